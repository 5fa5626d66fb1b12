//! A real gateway: nginx with TLS before the sandbox, as hosts put it before an ODS/API, and that every payload arrives through it or is
//! refused with its reason. Run by `make test-nginx`, so that the other tests need no nginx.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lightbeam::sandbox::{Options, Sandbox, start};
use serde_json::Value;

use crate::host::message;
use crate::support::{Folder, Stage, students, total, until};
use crate::tls::Authority;

/// nginx, ended when it is dropped.
struct Nginx(Child);

impl Nginx {
    /// Starts nginx with everything that it needs below `prefix`; returns it and its address once it answers.
    fn start(prefix: &Path, to: &str, rules: &str) -> (Nginx, String) {
        // Somebody else may take the port between its release and nginx.
        for _ in 0..3 {
            let address = free_address();
            fs::write(prefix.join("nginx.conf"), configuration(&address, to, rules)).unwrap();
            let mut child = Command::new("nginx")
                .arg("-p")
                .arg(prefix)
                .args(["-c", "nginx.conf", "-e", "error.log"])
                .stderr(Stdio::null())
                .spawn()
                .expect("nginx does not start; make test-nginx installs it");
            let mut ended = false;
            until("nginx listens", || {
                ended = child.try_wait().unwrap().is_some();
                ended || TcpStream::connect(&address).is_ok()
            });
            if !ended {
                return (Nginx(child), address);
            }
        }
        panic!("nginx ends at once: {}", fs::read_to_string(prefix.join("error.log")).unwrap_or_default());
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// One process, so that its end is the end of all of it. `rules` belong into the `server` block.
fn configuration(address: &str, to: &str, rules: &str) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid;
events {{ worker_connections 256; }}
http {{
    log_format told '$status $request_method $connection';
    access_log access.log told;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    limit_req_zone $binary_remote_addr zone=all:1m rate=20r/s;
    server {{
        listen {address} ssl;
        ssl_certificate host.pem; ssl_certificate_key host.key;
        {rules}
        location / {{ proxy_pass http://{to}; proxy_set_header Host $http_host; }}
    }}
}}
"
    )
}

/// What nginx noted of a request.
struct Passed {
    status: u16,
    post: bool,
    /// nginx's number for the connection.
    connection: String,
}

/// All that nginx has noted; a line is written when its answer is out.
fn passed(log: &Path) -> Vec<Passed> {
    let text = fs::read_to_string(log).unwrap();
    let line = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap().to_owned();
        Passed { status: next().parse().unwrap(), post: next() == "POST", connection: next() }
    };
    // The last line may still be growing.
    text.rsplit_once('\n').map_or("", |(whole, _)| whole).lines().map(line).collect()
}

/// How many POSTs were answered so. What the API says of itself is asked for by GET, and how that fares is not what is tested here.
fn with_status(log: &Path, status: u16) -> usize {
    passed(log).iter().filter(|passed| passed.post && passed.status == status).count()
}

/// A sandbox behind nginx, and a folder whose configuration leads there.
struct Gateway {
    stage: Stage,
    log: PathBuf,
    _nginx: Nginx,
}

impl Gateway {
    fn new(options: Options, rules: &str) -> Gateway {
        Gateway::through(options, rules, |sandbox, _| sandbox)
    }

    /// `way` gets the sandbox's address and nginx's log and returns the address that nginx is to pass requests on to.
    fn through(options: Options, rules: &str, way: impl FnOnce(String, PathBuf) -> String) -> Gateway {
        let (folder, sandbox) = (Folder::new(), start(Options { record: true, ..options }).unwrap());
        let authority = Authority::new("district");
        let host = authority.good();
        folder.write("ca.pem", authority.certificate.pem());
        folder.write("nginx/host.pem", host.certificate.pem());
        folder.write("nginx/host.key", host.key.serialize_pem());
        let log = folder.write("nginx/access.log", "");
        let to = way(address(&sandbox), log.clone());
        let (nginx, address) = Nginx::start(&folder.0.join("nginx"), &to, rules);
        folder.config(&format!("https://{address}"), "connection:\n  ca_file: ca.pem\n");
        Gateway { stage: Stage { folder, sandbox }, log, _nginx: nginx }
    }

    /// Sends so many students and fails the test unless each of them arrives and the run says so.
    #[track_caller]
    fn everything_arrives(&self, n: usize) -> Value {
        let sent = students(n);
        self.stage.data("students.jsonl", &sent);
        let (run, results) = self.stage.send(&[]);
        run.expect(0);
        assert_eq!(total(&results, "created") + total(&results, "updated"), n as u64);
        let stored: BTreeSet<_> = self.stage.stored().into_iter().collect();
        assert_eq!(stored, sent.into_iter().collect());
        results
    }

    fn answered(&self, status: u16) -> usize {
        with_status(&self.log, status)
    }
}

fn address(sandbox: &Sandbox) -> String {
    sandbox.url().trim_start_matches("http://").to_owned()
}

#[test]
#[ignore = "needs nginx: make test-nginx"]
fn nginx_limits_the_rate_with_429_and_with_503() {
    for status in [429, 503] {
        let gateway = Gateway::new(
            Options::default(),
            &format!("limit_req zone=all burst=4 nodelay; limit_req_status {status};"),
        );
        let results = gateway.everything_arrives(60);
        assert!(gateway.answered(status) > 0, "nobody was told to wait");
        assert_eq!(total(&results, "created"), 60);
        assert_eq!(gateway.stage.posts().len(), 60, "what nginx refuses does not reach the API");
    }
}

/// Whether nginx takes in the upload that it has refused or cuts it, as it does after its `lingering_time`.
#[test]
#[ignore = "needs nginx: make test-nginx"]
fn nginx_refuses_a_body_that_is_too_large() {
    for lingering in ["30s", "0s"] {
        let rules = format!("client_max_body_size 100k; lingering_time {lingering};");
        let gateway = Gateway::new(Options::default(), &rules);
        let fits = students(30);
        let large: Vec<String> =
            [110_000, 1_000_000, 20_000_000].iter().map(|size| fits[0].replace("Ada", &"a".repeat(*size))).collect();
        gateway.stage.data("students.jsonl", &[&fits[..15], &large, &fits[15..]].concat());
        let (run, results) = gateway.stage.send(&["--set", "connection.num_retries", "3"]);
        run.expect(3);
        assert_eq!((total(&results, "created"), total(&results, "refused")), (30, 3), "{lingering}: {results}");
        let reasons = reasons(&gateway.stage.folder.0.join("state"));
        assert_eq!(reasons.len(), 3);
        for reason in reasons {
            assert_eq!(reason["status_code"], 413, "{reason}");
            assert!(reason["messages"][0].as_str().unwrap().contains("413 Request Entity Too Large"), "{reason}");
        }
        // nginx notes a request when it is done with its connection.
        until("nginx has noted them", || gateway.answered(413) >= 3);
        assert_eq!(gateway.answered(413), 3, "each was sent once");
    }
}

/// The lines of the one file of reasons somewhere below `folder`.
fn reasons(folder: &Path) -> Vec<Value> {
    let mut files = crate::secrets::files(folder);
    files.retain(|file| file.ends_with("students.reasons.jsonl"));
    assert_eq!(files.len(), 1);
    fs::read_to_string(&files[0]).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
#[ignore = "needs nginx: make test-nginx"]
fn nginx_stands_before_an_api_that_restarts() {
    const ROUNDS: usize = 3;
    let gateway = Gateway::through(Options::default(), "", |to, log| restarting(to, log, ROUNDS));
    let results = gateway.everything_arrives(400);
    assert!(gateway.answered(502) >= ROUNDS * DOWN, "the API was never away");
    let posts = gateway.stage.posts();
    assert_eq!(posts.len(), 400 + ROUNDS, "what went with the API was sent again");
    assert_eq!(total(&results, "updated"), ROUNDS as u64, "those were known when they came again");
}

/// For so many refused requests the API stays away.
const DOWN: usize = 3;

/// Forwards each connection to `to`. In each of its rounds, after some requests, the API carries one more POST out, goes away before it
/// has answered, stays away until nginx has said so a few times, and comes back at the same address.
fn restarting(to: String, log: PathBuf, rounds: usize) -> String {
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut listener = first;
        for round in 0..=rounds {
            let mut answered = 0;
            for client in listener.incoming().map_while(Result::ok) {
                let mut client = BufReader::new(client);
                // One connection a request: nginx keeps none to the API.
                let Ok((head, body)) = message(&mut client) else { continue };
                let answer = forward(&to, &head, &body).unwrap();
                if round < rounds && answered >= 60 && head.starts_with("POST /data/") {
                    break;
                }
                answered += 1;
                let _ = client.get_mut().write_all(&answer);
            }
            drop(listener);
            let gone = with_status(&log, 502);
            until("nginx misses the API", || with_status(&log, 502) >= gone + DOWN);
            listener = TcpListener::bind(address).unwrap();
        }
    });
    address.to_string()
}

/// The whole answer to a request.
fn forward(to: &str, head: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut host = BufReader::new(TcpStream::connect(to)?);
    host.get_mut().write_all(&[head.as_bytes(), body].concat())?;
    let (head, body) = message(&mut host)?;
    Ok([head.as_bytes(), &body].concat())
}

#[test]
#[ignore = "needs nginx: make test-nginx"]
fn nginx_gives_up_waiting_for_a_slow_api() {
    let gateway = Gateway::new(Options { hang: Some(20), ..Options::default() }, "proxy_read_timeout 200ms;");
    let results = gateway.everything_arrives(100);
    assert_eq!(gateway.answered(504), 5, "100 payloads and 5 repetitions, every twentieth of 105 never answered");
    assert_eq!(total(&results, "created"), 100);
}

#[test]
#[ignore = "needs nginx: make test-nginx"]
fn nginx_ends_each_connection_after_fifty_requests() {
    let gateway = Gateway::new(Options::default(), "keepalive_requests 50;");
    let results = gateway.everything_arrives(1_000);
    assert_eq!(total(&results, "created"), 1_000);
    assert_eq!(gateway.stage.posts().len(), 1_000, "no payload was sent into a connection that had ended");
    let mut connections: BTreeMap<String, usize> = BTreeMap::new();
    let posts = || passed(&gateway.log).iter().filter(|passed| passed.post).count();
    until("they all and a login went through nginx", || posts() == 1_001);
    passed(&gateway.log).into_iter().for_each(|passed| *connections.entry(passed.connection).or_default() += 1);
    assert!(connections.len() >= 20 && connections.values().all(|requests| *requests <= 50), "{connections:?}");
}
