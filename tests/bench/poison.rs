//! Payloads at which the API always fails, among others that it takes: how much longer they make a run. The sandbox has no such
//! payloads, so that a server of a few lines is the API here.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::input::{Folder, RESOURCES};

const PAYLOADS: usize = 3_000;

/// Prints how long it takes to send the payloads with default settings, if all are taken and if one in a hundred never is.
pub fn measure(workers: usize) {
    let all = seconds(workers, false, 0);
    let most = seconds(workers, true, 3);
    println!("{:<46}{:>12.2} s", format!("send {PAYLOADS}, all taken"), all.as_secs_f64());
    println!("{:<46}{:>12.2} s", "the same, 1 % of them always answered 500", most.as_secs_f64());
    let bound = all.mul_f64(1.5) + Duration::from_secs(10);
    println!("{:<46}{:>12.2} s", "  1.5 times the first and 10 s", bound.as_secs_f64());
}

fn seconds(workers: usize, poison: bool, code: i32) -> Duration {
    let url = serve(poison);
    let folder = Folder::new(PAYLOADS, &url, workers);
    folder.forget();
    let began = Instant::now();
    let ended = folder.lightbeam().output().expect("the binary runs");
    assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
    began.elapsed()
}

fn serve(poison: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let own = url.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let url = own.clone();
            std::thread::spawn(move || converse(stream, &url, poison));
        }
    });
    url
}

/// Answers until the client has no more.
fn converse(stream: TcpStream, url: &str, poison: bool) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).ok()?;
            if let Some((_, value)) = header.to_ascii_lowercase().split_once("content-length: ") {
                length = value.trim().parse().ok()?;
            }
            if header.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let (status, answer) = answer(line.trim_end_matches(" HTTP/1.1\r\n"), &body, url, poison);
        let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        stream.get_mut().write_all(head.as_bytes()).ok()?;
    }
}

fn answer(line: &str, body: &[u8], url: &str, poison: bool) -> (u16, String) {
    match line {
        "GET /" => {
            let urls =
                format!(r#"{{"dependencies":"{url}/order","oauth":"{url}/token","dataManagementApi":"{url}/data"}}"#);
            (200, format!(r#"{{"version":"7.3","urls":{urls}}}"#))
        }
        "GET /order" => {
            let entry = |name: &str| format!(r#"{{"resource":"/ed-fi/{name}","order":1,"operations":["Create"]}}"#);
            (200, format!("[{}]", RESOURCES.map(entry).join(",")))
        }
        "POST /token" => (200, r#"{"access_token":"token","expires_in":1800}"#.into()),
        _ if line.starts_with("POST /data/") => {
            let mut hasher = DefaultHasher::new();
            body.hash(&mut hasher);
            match poison && hasher.finish().is_multiple_of(100) {
                true => (500, r#"{"detail":"An unexpected problem has occurred.","status":500}"#.into()),
                false => (201, String::new()),
            }
        }
        _ if line.starts_with("GET /data/") => (200, "[]".into()),
        _ => (404, String::new()),
    }
}
