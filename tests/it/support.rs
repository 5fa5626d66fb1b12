//! A stage for tests: a folder of its own, a sandbox in this process, and the real binary run against it over HTTP.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lightbeam::sandbox::{Options, Received, Sandbox, start};
use serde_json::Value;

/// A folder, removed with everything in it when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("lightbeam-it-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("data")).unwrap();
        Folder(path)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes `data/{name}` with one payload a line.
    pub fn data(&self, name: &str, payloads: &[String]) {
        self.write(&format!("data/{name}"), payloads.join("\n"));
    }

    /// Writes `lightbeam.yaml` for the API at `url`; `more` is added at its end.
    pub fn config(&self, url: &str, more: &str) {
        let config = format!(
            "state_dir: state\ndata_dir: data\nedfi_api:\n  base_url: {url}\n  client_id: key\n  client_secret: s3cret-never-shown\n{more}"
        );
        self.write("lightbeam.yaml", config);
    }

    /// The binary, to be run in this folder, without the environment's proxies.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lightbeam"));
        command.args(args).current_dir(&self.0).env("HOME", &self.0).stdin(Stdio::null());
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// The exit code, if no signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Fails the test with all that was printed unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code(), code, "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Fails the test unless each of these parts was printed, wherever lines were broken.
    #[track_caller]
    pub fn tells(&self, parts: &[&str]) {
        let folded = format!("{} {}", self.err, self.out).split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(folded.contains(part), "\n{part}\n--- is not in stdout\n{}\n--- or stderr\n{}", self.out, self.err);
        }
    }
}

pub fn ended(output: std::process::Output) -> Ended {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status, out: text(output.stdout), err: text(output.stderr) }
}

/// A folder with a configuration for a sandbox that records what it receives.
pub struct Stage {
    pub folder: Folder,
    pub sandbox: Sandbox,
}

impl Stage {
    pub fn new() -> Stage {
        Stage::with(Options::default())
    }

    pub fn with(options: Options) -> Stage {
        let sandbox = start(Options { record: true, ..options }).unwrap();
        let folder = Folder::new();
        folder.config(&sandbox.url(), "");
        Stage { folder, sandbox }
    }

    pub fn data(&self, name: &str, payloads: &[String]) {
        self.folder.data(name, payloads);
    }

    /// Runs `lightbeam` with these arguments.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.folder.run(args)
    }

    /// Runs `lightbeam send` with these arguments and a results file, and returns that too.
    pub fn send(&self, args: &[&str]) -> (Ended, Value) {
        let args = [&["send", "--results-file", "results.json"], args].concat();
        let _ = fs::remove_file(self.folder.0.join("results.json"));
        let ended = self.run(&args);
        (ended, self.results())
    }

    /// The POSTs so far, in the order in which they came.
    pub fn posts(&self) -> Vec<Received> {
        self.sandbox.received().into_iter().filter(|r| r.method == "POST").collect()
    }

    /// The bodies that the sandbox took in, sorted.
    pub fn stored(&self) -> Vec<String> {
        let mut bodies: Vec<_> =
            self.posts().into_iter().filter(|r| r.stored).map(|r| String::from_utf8(r.body).unwrap()).collect();
        bodies.sort();
        bodies
    }

    /// Starts `lightbeam` and leaves it running.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.folder.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Waits until something is so; fails the test if that takes a minute.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(60), "never came true: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends a child of ours by a signal, `TERM` or `INT` or `KILL`.
pub fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// So many different students that any sandbox accepts.
pub fn students(n: usize) -> Vec<String> {
    let student = |i| {
        format!(r#"{{"studentUniqueId":"{i}","birthDate":"2010-01-01","firstName":"Ada","lastSurname":"Number {i}"}}"#)
    };
    (1..=n).map(student).collect()
}

/// A record without the empty lists that the API gives in place of collections that it lacks.
pub fn without_empty_lists(record: &str) -> String {
    let mut record = record.to_owned();
    while let Some(list) = record.find(":[]") {
        let name = record[..list].rfind(",\"").unwrap();
        record.replace_range(name..list + 3, "");
    }
    record
}

/// The files of the sample district, copied into a folder's `data`.
pub fn district(folder: &Folder) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/district");
    copy(&from, &folder.0.join("data"));
    fs::remove_file(folder.0.join("data/lightbeam.yaml")).unwrap();
    fs::remove_file(folder.0.join("data/README.md")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => assert!(fs::copy(&path, &to).is_ok()),
        }
    }
}

impl Stage {
    /// The results file that a run left, whose counts must add up; null if there is none.
    pub fn results(&self) -> Value {
        let Ok(bytes) = fs::read(self.folder.0.join("results.json")) else { return Value::Null };
        let results: Value = serde_json::from_slice(&bytes).unwrap();
        balance(&results);
        results
    }

    /// The sandbox's counts, which know of a request as soon as it comes.
    pub fn stats(&self) -> Value {
        get(&self.sandbox.url(), "/sandbox/stats")
    }
}

/// Gets a JSON document, not with lightbeam's own client.
pub fn get(url: &str, path: &str) -> Value {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The `total_records_{what}` of a results file.
#[track_caller]
pub fn total(results: &Value, what: &str) -> u64 {
    number(&results[format!("total_records_{what}")])
}

/// A number of a results file.
#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Fails the test unless all that was processed of each resource either arrived, was skipped or failed, and the totals are the
/// sums of the resources.
fn balance(results: &Value) {
    let resources = results["resources"].as_object().unwrap();
    for (name, counts) in resources {
        let arrived = counts["successes"].as_array().unwrap().iter().map(|s| number(&s["count"])).sum::<u64>();
        let of = |what: &str| number(&counts[format!("records_{what}")]);
        assert_eq!(of("processed"), arrived + of("skipped") + of("failed"), "{name}: {counts}");
    }
    for what in ["processed", "skipped", "failed", "created", "updated", "refused", "unsent", "duplicate"] {
        let sum = resources.values().map(|counts| number(&counts[format!("records_{what}")])).sum::<u64>();
        assert_eq!(total(results, what), sum, "{what}");
    }
}
