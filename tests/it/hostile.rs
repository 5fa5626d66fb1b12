//! An API that means harm, or a network that is broken in an unlikely way: lightbeam's memory and patience stay bounded, and it says which
//! URL did what. Bounds are counted in bytes, never in time.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::host::{Asked, Host, Silent, Wire};
use crate::support::{Ended, Folder, ended, signal, students, until};

const MEGABYTE: u64 = 1024 * 1024;

/// What the system may hold of an answer on its way, besides what lightbeam reads.
const BUFFERED: u64 = 16 * MEGABYTE;

fn folder(host: &Host, more: &str) -> Folder {
    let folder = Folder::new();
    folder.data("students.jsonl", &students(20));
    folder.config(&host.url, &format!("connection:\n  num_retries: 1\n  backoff_factor: 1\n  pool_size: 2\n{more}"));
    folder
}

/// A host that does something of its own with these requests, such as `POST /token`.
fn host(line: &'static str, what: impl Fn(&mut Wire) -> std::io::Result<()> + Send + Sync + 'static) -> Host {
    Host::new(move |asked: &Asked, wire| match asked.line == line {
        true => what(wire).map(|()| true),
        false => Ok(false),
    })
}

/// Runs `lightbeam send`; its end and the most memory it had, in bytes (0 where the system does not tell).
fn measured(folder: &Folder) -> (Ended, u64) {
    let child = folder.command(&["send"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        while let Ok(text) = fs::read_to_string(&status) {
            let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            most = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        most
    });
    let end = ended(child.wait_with_output().unwrap());
    (end, watcher.join().unwrap())
}

fn chunked(wire: &mut Wire, status: u16) -> std::io::Result<()> {
    write!(wire, "HTTP/1.1 {status} Status\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 65_536], b"\r\n".to_vec()].concat();
    wire.pour(&chunk)
}

#[test]
fn a_discovery_document_without_end_is_an_error() {
    let host = host("GET /", |wire| chunked(wire, 200));
    let (ended, memory) = measured(&folder(&host, ""));
    ended.expect(4).tells(&[&host.url, "the discovery document", "longer than 1048576 bytes"]);
    assert!(host.written() < MEGABYTE + BUFFERED, "{} bytes were taken", host.written());
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
    assert_eq!(host.asked("GET").len(), 1, "asking again does not help");
}

#[test]
fn dependencies_of_a_gigabyte_are_an_error() {
    let host = host("GET /dependencies", |wire| {
        write!(wire, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n[")?;
        wire.pour(&[b' '; 65_536])
    });
    let (ended, memory) = measured(&folder(&host, ""));
    ended.expect(4).tells(&[&format!("{}/dependencies", host.url), "longer than 4194304 bytes"]);
    assert!(host.written() < 4 * MEGABYTE + BUFFERED, "{} bytes were taken", host.written());
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
}

#[test]
fn an_openapi_document_without_end_is_done_without() {
    let host = Host::new(|asked, wire| match asked.line.as_str() {
        "GET /metadata" => {
            let list = r#"[{"name":"Resources","endpointUri":"http://elsewhere/long","prefix":""}]"#;
            wire.answer(200, "", list).map(|()| true)
        }
        "GET /long" => chunked(wire, 200).map(|()| true),
        _ => Ok(false),
    });
    let folder = folder(&host, "");
    // The OpenAPI documents are asked for names that the dependencies do not know.
    folder.data("schoolYearTypes.jsonl", &["{}".into()]);
    let (ended, memory) = measured(&folder);
    ended.expect(0).tells(&[&format!("{}/long", host.url), "longer than 33554432 bytes"]);
    assert!(host.written() < 32 * MEGABYTE + BUFFERED, "{} bytes were taken", host.written());
    assert!(memory < 160 * MEGABYTE, "{memory} bytes");
}

#[test]
fn a_refusal_without_end_is_read_as_far_as_people_would() {
    let host = host("GET /", |wire| chunked(wire, 404));
    let (ended, memory) = measured(&folder(&host, ""));
    ended.expect(4).tells(&[&host.url, "404"]);
    assert!(host.written() < 3 * MEGABYTE + BUFFERED, "{} bytes were taken", host.written());
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
}

#[test]
fn headers_without_end_are_an_error() {
    for (header, said) in
        [("X-Padding: ", "the head of the answer is longer than 24576 bytes"), ("X: y\r\n", "too many headers")]
    {
        let host = host("GET /", move |wire| {
            write!(wire, "HTTP/1.1 200 OK\r\n")?;
            wire.pour(header.as_bytes())
        });
        let (ended, memory) = measured(&folder(&host, ""));
        ended.expect(4).tells(&[&host.url, said]);
        assert!(host.written() < BUFFERED, "{} bytes were taken", host.written());
        assert!(memory < 64 * MEGABYTE, "{memory} bytes");
    }
}

#[test]
fn a_proxy_that_answers_without_end_is_an_error() {
    let host = host("CONNECT api.example.test:443", |wire| {
        write!(wire, "HTTP/1.1 200 OK\r\nX-Padding: ")?;
        wire.pour(&[b'x'; 1_000])
    });
    let folder = folder(&host, "");
    folder.config("https://api.example.test", &format!("connection:\n  num_retries: 1\n  proxy: {}\n", host.url));
    let (ended, memory) = measured(&folder);
    ended.expect(4).tells(&["https://api.example.test", "proxy server did not respond"]);
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
}

#[test]
fn a_token_of_a_megabyte_is_an_error() {
    let host =
        host("POST /token", |wire| wire.answer(200, "", &format!(r#"{{"access_token":"{}"}}"#, "t".repeat(1_000_000))));
    let (ended, memory) = measured(&folder(&host, ""));
    ended.expect(4).tells(&[&format!("{}/token", host.url), "longer than 65536 bytes"]);
    assert!(host.asked("POST /data").is_empty());
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
}

#[test]
fn answers_to_payloads_without_end_are_dropped() {
    let host = host("POST /data/ed-fi/students", |wire| chunked(wire, 201));
    let (ended, memory) = measured(&folder(&host, ""));
    ended.expect(0);
    assert_eq!(host.asked("POST /data").len(), 20);
    assert!(host.written() < 20 * (2 * MEGABYTE + BUFFERED), "{} bytes were taken", host.written());
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
}

#[test]
fn an_answer_that_drips_ends_with_the_timeout() {
    let host = host("GET /", |wire| {
        write!(wire, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        loop {
            write!(wire, " ")?;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let folder = folder(&host, "  timeout: 0.5\n");
    folder.run(&["send"]).expect(4).tells(&[&host.url, "no answer within the timeout"]);
    assert_eq!(host.asked("GET").len(), 2);
}

#[test]
fn interim_answers_without_end_end_with_the_timeout() {
    let host = host("GET /", |wire| wire.pour(b"HTTP/1.1 103 Early Hints\r\n\r\n"));
    let folder = folder(&host, "  timeout: 0.5\n");
    let (ended, memory) = measured(&folder);
    ended.expect(4).tells(&[&host.url]);
    assert!(memory < 64 * MEGABYTE, "{memory} bytes");
}

#[test]
fn a_wait_that_the_api_asks_for_is_cut_and_can_be_interrupted() {
    let host = host("GET /", |wire| wire.answer(429, "Retry-After: 999999999\r\n", "later"));
    let folder = folder(&host, "");
    let log = fs::File::create(folder.0.join("log")).unwrap();
    let mut child = folder.command(&["send"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    until("the wait is told", || fs::read_to_string(folder.0.join("log")).unwrap().contains("asking again in 300.0 s"));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn refusals_that_are_long_and_all_different_do_not_fill_the_memory() {
    let number = std::sync::atomic::AtomicU64::new(0);
    let host = host("POST /data/ed-fi/students", move |wire| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        wire.answer(400, "", &format!(r#"{{"message":"{number} {}"}}"#, "x".repeat(60_000)))
    });
    let folder = folder(&host, "");
    folder.data("students.jsonl", &students(1_000));
    let (ended, memory) = measured(&folder);
    ended.expect(1);
    assert!(memory < 48 * MEGABYTE, "{memory} bytes");
}

#[test]
fn redirections_lead_no_credential_to_another_host() {
    let elsewhere = Silent::new();
    let location = format!("Location: http://{}/there\r\n", elsewhere.address);
    let there = format!("it sends this request on to http://{}/there", elsewhere.address);
    for (line, code) in [("GET /", 4), ("GET /dependencies", 4), ("POST /token", 4), ("POST /data/ed-fi/students", 4)] {
        for status in [302, 307] {
            let location = location.clone();
            let host = host(line, move |wire| wire.answer(status, &location, ""));
            let folder = folder(&host, "");
            let ended = folder.run(&["send"]).expect(code);
            ended.tells(&[&there]);
        }
    }
    assert!(elsewhere.heard().is_empty());
}
