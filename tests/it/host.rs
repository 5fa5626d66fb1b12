//! An Ed-Fi API written by hand, so that a test can make it do what no server does. It has one resource, students, and answers
//! each request as usual unless the test's own closure does something else with it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lightbeam::sandbox::{Options, Sandbox, start};

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `POST /token`.
    pub line: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// All of the head.
    pub head: String,
}

/// A host that is listening; its threads end with the test's process.
pub struct Host {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    written: Arc<AtomicU64>,
}

/// What a test's closure writes to. It counts.
pub struct Wire<'a> {
    stream: &'a mut TcpStream,
    written: &'a AtomicU64,
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.written.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Wire<'_> {
    /// Writes an answer.
    pub fn answer(&mut self, status: u16, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        write!(self, "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
    }

    /// Writes the same bytes until nobody wants more of them.
    pub fn pour(&mut self, bytes: &[u8]) -> io::Result<()> {
        loop {
            self.write_all(bytes)?;
        }
    }
}

impl Host {
    /// A host that does `what` with each request; where that is nothing (`Ok(false)`), it answers as usual. An error ends the connection.
    pub fn new(what: impl Fn(&Asked, &mut Wire) -> io::Result<bool> + Send + Sync + 'static) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let host = Host { url: url.clone(), asked: Arc::default(), written: Arc::default() };
        let (asked, written, what) = (host.asked.clone(), host.written.clone(), Arc::new(what));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, written, what, url) = (asked.clone(), written.clone(), what.clone(), url.clone());
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Ok((head, _)) = message(&mut stream) {
                        let one = asked_by(&head);
                        asked.lock().unwrap().push(one.clone());
                        let mut wire = Wire { stream: stream.get_mut(), written: &written };
                        let done = what(&one, &mut wire).and_then(|done| match done {
                            true => Ok(()),
                            false => usual(&one, &url, &mut wire),
                        });
                        if done.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        host
    }

    /// A host that does nothing unusual.
    pub fn usual() -> Host {
        Host::new(|_, _| Ok(false))
    }

    /// The requests so far whose line begins so.
    pub fn asked(&self, line: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.line.starts_with(line)).cloned().collect()
    }

    /// How many bytes of answers were taken.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
}

/// Reads a request or an answer: its head and its body. An error at the end of the stream.
pub fn message(stream: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length =
        head.to_ascii_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

fn asked_by(head: &str) -> Asked {
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_string();
    let value = |line: &str| line.to_ascii_lowercase().starts_with("authorization: ").then(|| line[15..].to_string());
    Asked { line, authorization: head.lines().find_map(value), head: head.into() }
}

fn usual(asked: &Asked, url: &str, wire: &mut Wire) -> io::Result<()> {
    match asked.line.as_str() {
        "GET /" => {
            let discovery = format!(
                r#"{{"version":"7.3","urls":{{"dependencies":"{url}/dependencies","openApiMetadata":"{url}/metadata",
                "oauth":"{url}/token","dataManagementApi":"{url}/data/"}}}}"#
            );
            wire.answer(200, "", &discovery)
        }
        "GET /dependencies" => {
            wire.answer(200, "", r#"[{"resource":"/ed-fi/students","order":1,"operations":["Create"]}]"#)
        }
        "POST /token" => wire.answer(200, "", r#"{"access_token":"t0ken-of-the-host","expires_in":1800}"#),
        "POST /data/ed-fi/students" => wire.answer(201, "", ""),
        _ => wire.answer(404, "", ""),
    }
}

/// A listener that notes what it is sent and says nothing.
pub struct Silent {
    pub address: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Silent {
    pub fn new() -> Silent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = Silent { address: listener.local_addr().unwrap().to_string(), heard: Arc::default() };
        let heard = silent.heard.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).unwrap_or(0);
                heard.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        silent
    }

    /// What it was sent.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

/// An HTTP proxy that leads every CONNECT to one sandbox, whatever host was wanted.
pub struct Proxy {
    pub address: String,
    heads: Arc<Mutex<Vec<String>>>,
    pub sandbox: Sandbox,
}

impl Proxy {
    pub fn new() -> Proxy {
        let sandbox = start(Options { record: true, ..Options::default() }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (seen, to) = (heads.clone(), sandbox.url().trim_start_matches("http://").to_string());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, to) = (seen.clone(), to.clone());
                std::thread::spawn(move || tunnel(stream, &seen, &to));
            }
        });
        Proxy { address, heads, sandbox }
    }

    /// The heads of the CONNECTs so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(stream: TcpStream, seen: &Mutex<Vec<String>>, to: &str) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    seen.lock().unwrap().push(message(&mut stream)?.0);
    let mut client = stream.into_inner();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut host = TcpStream::connect(to)?;
    let (mut from_client, mut to_host) = (client.try_clone()?, host.try_clone()?);
    std::thread::spawn(move || {
        io::copy(&mut from_client, &mut to_host).and_then(|_| to_host.shutdown(std::net::Shutdown::Both))
    });
    io::copy(&mut host, &mut client).map(drop)
}
