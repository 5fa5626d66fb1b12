//! The yardsticks: what posting costs without everything that makes a loader. A process of its own, so that its cost can be told.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use ureq::Agent;

/// The argument that makes the bench be the bare loop: so many threads that do nothing but post through the same HTTP client.
pub const LOOP: &str = "bare-loop";

/// The argument that makes the bench be the bare sockets: the same without a client, one write and one read for each payload.
pub const SOCKETS: &str = "bare-sockets";

/// This program as one of them.
pub fn command(which: &str, url: &str, data: &Path, workers: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args([which, url]).arg(data).arg(workers.to_string());
    command
}

/// Is one of them, if that is asked for.
pub fn run(which: &str, url: &str, data: &Path, workers: usize) -> bool {
    match which {
        LOOP => {
            let config = Agent::config_builder().max_idle_connections(workers).max_idle_connections_per_host(workers);
            let agent = Agent::new_with_config(config.build());
            let bearer = format!("Bearer {}", token(url));
            post_all(
                url,
                data,
                workers,
                || (),
                |(), target, line| {
                    let request = agent.post(target);
                    let request = request.header("Authorization", &bearer).content_type("application/json");
                    let answer = request.send(line).expect("an answer");
                    answer.into_body().into_reader().read_to_end(&mut Vec::new()).expect("its body");
                },
            );
        }
        SOCKETS => {
            let host = url.strip_prefix("http://").expect("http");
            let bearer = token(url);
            let connected = || (TcpStream::connect(host).expect("a connection"), [0; 4096]);
            post_all(host, data, workers, connected, |(stream, answer), target, line| {
                let path = &target[host.len()..];
                let mut request = format!(
                    "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {bearer}\r\n\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    line.len()
                )
                .into_bytes();
                request.extend_from_slice(line);
                stream.write_all(&request).expect("a connection that stands");
                let length = stream.read(answer).expect("an answer");
                assert!(answer[..length].ends_with(b"\r\n\r\n"), "an answer without a body, in one piece");
            });
        }
        _ => return false,
    }
    true
}

fn token(url: &str) -> String {
    let login = ureq::post(format!("{url}/oauth/token")).content_type("application/x-www-form-urlencoded");
    let form = "grant_type=client_credentials&client_id=key&client_secret=secret";
    let answer = login.send(form).and_then(|mut answer| answer.body_mut().read_to_string()).expect("a token");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    answer["access_token"].as_str().expect("a token").into()
}

/// Posts every line of every file in `data` to its resource at `host`, each thread with what `begin` gives it.
fn post_all<T>(
    host: &str,
    data: &Path,
    workers: usize,
    begin: impl Fn() -> T + Sync,
    post: impl Fn(&mut T, &str, &[u8]) + Sync,
) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads");
    for file in fs::read_dir(data).expect("the data folder") {
        let file = file.expect("an entry").path();
        let resource = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let target = format!("{host}/data/v3/ed-fi/{resource}");
        let text = fs::read(&file).expect("a data file");
        let lines: Vec<_> = text.trim_ascii_end().split(|&b| b == b'\n').collect();
        let next = AtomicUsize::new(0);
        pool.broadcast(|_| {
            let mut own = begin();
            while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                post(&mut own, &target, line);
            }
        });
    }
}
