//! A server of a few lines for what the sandbox does not do: documents of other generations of the API, and a record of
//! every request, those for documents and tokens too.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Such as `GET /api/metadata/`.
    pub line: String,
    /// The header of this name.
    pub if_none_match: Option<String>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// What a request is answered: a status, an ETag and a body.
pub type Answer = (u16, Option<&'static str>, String);

/// A server that answers until the tests end.
pub struct Stub {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// Answers each request by the value of `answer`.
    pub fn new(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Stub { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let (asked, answer) = (stub.asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, answer) = (asked.clone(), answer.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &asked, &*answer));
            }
        });
        stub
    }

    /// An API that has these documents by path, gives tokens at every other path that ends in `/oauth/token`, creates
    /// what is posted anywhere else, and knows nothing more.
    pub fn api(documents: Vec<(&'static str, Value)>) -> Stub {
        Stub::new(move |asked| {
            let (method, path) = asked.line.split_once(' ').unwrap();
            match documents.iter().find(|(known, _)| *known == path) {
                Some((_, document)) => (200, Some("\"1\""), document.to_string()),
                None if path.ends_with("/oauth/token") => {
                    (200, None, json!({"access_token": "t0ken", "expires_in": 1800}).to_string())
                }
                None if method == "POST" => (201, None, String::new()),
                None => (404, None, String::new()),
            }
        })
    }

    /// The address of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The lines of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

/// Answers one request after the other until the client has no more.
fn serve(stream: &TcpStream, record: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Answer) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let (status, etag, body) = answer(&asked);
        record.lock().unwrap().push(asked);
        let etag = etag.map_or(String::new(), |etag| format!("ETag: {etag}\r\n"));
        let answer = format!("HTTP/1.1 {status} Stub\r\n{etag}Content-Length: {}\r\n\r\n{body}", body.len());
        if (&*stream).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = || -> Option<String> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let mut asked = Asked { line: line()?.strip_suffix(" HTTP/1.1")?.to_owned(), ..Asked::default() };
    let mut length = 0;
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "if-none-match" => asked.if_none_match = Some(value.to_owned()),
            _ => {}
        }
    }
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}
