//! What a connection brings and does not bring: answers that are compressed unasked, waits in fractions, nothing at all.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use miniz_oxide::deflate::compress_to_vec_zlib;

use crate::host::{Asked, Host, Wire};
use crate::support::{Folder, signal, students, until};

fn folder(host: &Host, connection: &str) -> Folder {
    let folder = Folder::new();
    folder.data("students.jsonl", &students(5));
    folder.config(&host.url, &format!("connection:\n  num_retries: 1\n{connection}"));
    folder
}

/// Answers as a balancer does that compresses whatever comes from the API behind it.
fn compressed(asked: &Asked, wire: &mut Wire, coding: &str) -> io::Result<bool> {
    use std::io::Write;
    let url = asked.head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(String::from));
    let url = format!("http://{}", url.unwrap_or_default());
    let (status, body) = match asked.line.as_str() {
        "GET /" => {
            let urls = format!(
                r#""dependencies":"{url}/dependencies","oauth":"{url}/token","dataManagementApi":"{url}/data/""#
            );
            (200, format!(r#"{{"version":"7.3","urls":{{{urls}}}}}"#))
        }
        "GET /dependencies" => {
            (200, r#"[{"resource":"/ed-fi/students","order":1,"operations":["Create"]}]"#.to_string())
        }
        "POST /token" => (200, r#"{"access_token":"t0ken-of-the-host","expires_in":1800}"#.to_string()),
        _ => (400, r#"{"message":"the name is too long"}"#.to_string()),
    };
    let body = compress_to_vec_zlib(body.as_bytes(), 6);
    write!(wire, "HTTP/1.1 {status} X\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n", body.len())?;
    wire.write_all(&body)?;
    Ok(true)
}

#[test]
fn an_api_behind_a_host_that_compresses_unasked_is_read_and_every_request_asks_for_plain_answers() {
    let host = Host::new(|asked, wire| compressed(asked, wire, "deflate"));
    folder(&host, "").run(&["send"]).expect(1).tells(&["the name is too long"]);
    let asked = host.asked("");
    assert!(asked.iter().any(|asked| asked.line.starts_with("POST /data")));
    for asked in asked {
        let head = asked.head.to_ascii_lowercase();
        assert_eq!(head.matches("accept-encoding: identity\r\n").count(), 1, "{head}");
    }
}

#[test]
fn a_coding_that_cannot_be_read_is_named() {
    let host = Host::new(|asked, wire| compressed(asked, wire, "br"));
    folder(&host, "").run(&["send"]).expect(4).tells(&["compressed as br", "Accept-Encoding: identity"]);
    assert_eq!(host.asked("GET /").len(), 1, "to ask again would help nobody");
}

#[test]
fn a_request_on_whose_connection_nothing_comes_is_repeated_and_a_timeout_in_milliseconds_is_told() {
    let first = AtomicBool::new(true);
    let host =
        Host::new(move |asked, _| Ok(asked.line == "POST /data/ed-fi/students" && first.swap(false, Ordering::SeqCst)));
    let folder = folder(&host, "  timeout: 30000\n  idle_timeout: 0.2\n  pool_size: 1\n");
    let log = fs::File::create(folder.0.join("log")).unwrap();
    let mut child = folder.command(&["send"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    until("the request is repeated and the run ends", || child.try_wait().unwrap().is_some());
    let log = fs::read_to_string(folder.0.join("log")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{log}");
    assert_eq!(host.asked("POST /data").len(), 6);
    assert!(log.contains("connection.timeout: is in seconds, not milliseconds"), "{log}");
}

#[test]
fn waits_in_fractions_and_by_the_hosts_own_clock_are_obeyed_and_milliseconds_are_not() {
    let hour = "Date: Thu, 01 Jan 1970 01:00:00 GMT\r\n";
    for (headers, told) in [
        ("Retry-After: 7.5\r\n".to_string(), "asking again in 7.5 s"),
        (format!("{hour}Retry-After: Thu, 01 Jan 1970 01:00:42 GMT\r\n"), "asking again in 42.0 s"),
        ("Retry-After: 25000\r\nX-RateLimit-Reset: 25\r\n".to_string(), "asking again in 25.0 s"),
    ] {
        let host = Host::new(move |asked, wire| match asked.line.as_str() {
            "GET /" => wire.answer(429, &headers, "later").map(|()| true),
            _ => Ok(false),
        });
        let folder = folder(&host, "");
        let log = fs::File::create(folder.0.join("log")).unwrap();
        let mut child = folder.command(&["send"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        until(told, || fs::read_to_string(folder.0.join("log")).unwrap().contains(told));
        signal(&child, "TERM");
        child.wait().unwrap();
    }
}
