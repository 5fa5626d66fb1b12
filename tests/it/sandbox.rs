//! `lightbeam sandbox` and `lightbeam demo`, as somebody at a shell has them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use crate::support::{Folder, signal, students, until};

/// A sandbox in a process of its own; killed when dropped.
pub struct Running {
    child: Child,
    pub address: String,
    said: String,
}

impl Running {
    pub fn new(args: &[&str]) -> Running {
        let folder = Folder::new();
        let mut command = folder.command(&[&["sandbox"], args].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        let (_, rest) = said.split_once("http://").unwrap();
        let address = rest.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next().unwrap().to_owned();
        Running { child, address, said }
    }

    /// What a request is answered, head and body; empty if the connection is cut.
    pub fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head =
            format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A cut connection is an answer too.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// The answer to a request for a token.
    pub fn token(&self) -> serde_json::Value {
        let headers = "Authorization: Basic azpz\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        let answer = self.ask("POST /oauth/token", headers, "grant_type=client_credentials");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// The answer to a payload for students.
    fn post(&self, body: &str) -> String {
        let token = self.token()["access_token"].as_str().unwrap().to_owned();
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        self.ask("POST /data/v3/ed-fi/students", &headers, body)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_sandbox_says_where_it_is_answers_and_ends_well_when_asked_to() {
    for name in ["TERM", "INT"] {
        let mut running = Running::new(&[]);
        assert!(running.said.contains("http://127.0.0.1:"), "{}", running.said);
        let discovery = running.ask("GET /", "", "");
        assert!(discovery.contains(&format!("http://{}/data/v3/", running.address)), "{discovery}");
        signal(&running.child, name);
        assert_eq!(running.child.wait().unwrap().code(), Some(0), "{name}");
    }
}

#[test]
fn each_option_of_a_sandbox_does_what_it_says() {
    let status = |answer: &str| answer.split(' ').nth(1).map(str::to_owned);
    for (args, expected) in [
        (&["--fail-429", "1", "--retry-after", "7"][..], Some("429")),
        (&["--fail-500", "1"], Some("500")),
        (&["--fail-503", "1"], Some("503")),
        (&["--fail-html", "1"], Some("502")),
        (&["--fail-302", "1"], Some("302")),
        (&["--cut", "1"], None),
        (&["--no-check"], Some("201")),
        (&["--shape", "old", "--token-lifetime", "5"], Some("400")),
        (&["--max-concurrent", "1"], Some("400")),
    ] {
        let running = Running::new(args);
        let answer = running.post("{}");
        assert_eq!(status(&answer).as_deref(), expected, "{args:?}: {answer}");
        assert_eq!(answer.to_lowercase().contains("\r\nretry-after: 7\r\n"), args.contains(&"--retry-after"));
        if args.contains(&"--token-lifetime") {
            assert_eq!(running.token()["expires_in"], 5);
            assert!(answer.contains("modelState") && !answer.contains("validationErrors"), "{answer}");
        }
    }
    assert!(Running::new(&[]).post("{}").contains("validationErrors"), "no option, no change");
}

#[test]
fn the_configuration_that_a_sandbox_writes_and_prints_works() {
    let folder = Folder::new();
    folder.write("students.jsonl", students(3).join("\n"));
    let started = |args: &[&str]| {
        let mut command = folder.command(&[&["sandbox"], args].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first).unwrap();
        (
            Running {
                child,
                address: first.split("http://").nth(1).unwrap().split(',').next().unwrap().into(),
                said: first,
            },
            out,
        )
    };
    let (running, out) = started(&["--write-config", "to/sandbox.yaml"]);
    let written = std::fs::read_to_string(folder.0.join("to/sandbox.yaml")).unwrap();
    folder.run(&["send", "-c", "to/sandbox.yaml"]).expect(0).tells(&["total 3 3"]);
    let port = running.address.rsplit(':').next().unwrap().to_owned();
    drop(running);
    let printed = std::io::read_to_string(out).unwrap();
    assert!(printed.contains("lightbeam send -c to/sandbox.yaml") && printed.contains(&written), "{printed}");

    let (again, out) = started(&["--write-config", "to/sandbox.yaml", "--port", &port]);
    drop(again);
    let printed = std::io::read_to_string(out).unwrap();
    folder.write("lightbeam.yaml", &printed[printed.find("# lightbeam's").unwrap()..]);
    let (_running, _out) = started(&["--port", &port]);
    folder.run(&["send", "--force"]).expect(0);

    folder.write("mine.yaml", "data_dir: elsewhere\n");
    let told = "mine.yaml is there already and says something else; delete it or name another file";
    folder.run(&["sandbox", "--write-config", "mine.yaml"]).expect(2).tells(&[told]);
    folder.run(&["sandbox", "--write-config", "students.jsonl/x"]).expect(2).tells(&["--write-config: cannot"]);
    assert_eq!(std::fs::read_to_string(folder.0.join("mine.yaml")).unwrap(), "data_dir: elsewhere\n");
}

#[test]
fn a_redirect_leads_to_a_page_to_sign_in_at() {
    let running = Running::new(&["--fail-302", "1"]);
    let answer = running.post("{}");
    assert!(answer.contains(&format!("\r\nLocation: http://{}/login\r\n", running.address)), "{answer}");
    assert!(running.ask("GET /login", "", "").contains("\r\nContent-Type: text/html"));
}

#[test]
fn a_sandbox_that_restarts_answers_nobody_and_then_everybody_again() {
    let running = Running::new(&["--restart-after", "1", "--restart-for", "1"]);
    let student = &students(1)[0];
    assert!(running.post(student).starts_with("HTTP/1.1 201"));
    assert_eq!(running.post(student), "");
    assert_eq!(running.ask("GET /", "", ""), "", "documents and tokens are gone too");
    until("it is back", || running.ask("GET /", "", "").starts_with("HTTP/1.1 200"));
    assert!(running.post(student).starts_with("HTTP/1.1 200"), "what was stored is there");
}

#[test]
fn a_sandbox_takes_the_port_that_it_is_told_unless_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let err = Folder::new().run(&["sandbox", "--port", &port]).expect(4).err;
    assert!(err.contains(&format!("cannot listen on port {port}")), "{err}");
    drop(taken);
    assert_eq!(Running::new(&["--port", &port]).address, format!("127.0.0.1:{port}"));
}

#[test]
fn a_sandbox_without_usable_metadata_does_not_start() {
    let folder = Folder::new();
    let err = folder.run(&["sandbox", "--metadata", "nowhere"]).expect(2).err;
    assert!(err.contains("nowhere"), "{err}");
    let err = folder.run(&["sandbox", "--metadata", "data"]).expect(2).err;
    assert!(err.contains("no OpenAPI document of resources"), "{err}");
}

#[test]
fn the_metadata_of_a_folder_is_served() {
    let folder = Folder::new();
    let schema = r#"{"type": "object", "required": ["id1"], "properties": {"id1": {"type": "string", "maxLength": 9, "x-Ed-Fi-isIdentity": true}}}"#;
    let openapi = format!(
        r##"{{"openapi": "3.0.1", "info": {{"title": "t", "version": "1"}}, "servers": [{{"url": "http://x/data/v3"}}],
        "paths": {{"/ed-fi/lanterns": {{"post": {{"requestBody": {{"content": {{"application/json":
        {{"schema": {{"$ref": "#/components/schemas/edFi_lantern"}}}}}}}}, "responses": {{}}}}}}}},
        "components": {{"schemas": {{"edFi_lantern": {schema}}}}}}}"##
    );
    folder.write("documents/resources.json", openapi);
    let running = Running::new(&["--metadata", folder.0.join("documents").to_str().unwrap()]);
    let dependencies = running.ask("GET /metadata/data/v3/dependencies", "", "");
    assert!(dependencies.contains("/ed-fi/lanterns") && !dependencies.contains("/ed-fi/students"), "{dependencies}");
}

#[test]
fn the_demo_ends_by_itself_and_its_second_run_sends_only_what_was_refused_and_says_so() {
    let folder = Folder::new();
    let ended = folder.run(&["demo", "--no-progress"]).expect(0);
    let (first, second) =
        ended.out.split_once("SECOND RUN: what was accepted is skipped, only what was refused is sent again.").unwrap();
    let number = |run: &str, column: &str| -> u64 {
        let head: Vec<&str> = run.lines().find(|line| line.contains("created")).unwrap().split_whitespace().collect();
        let total: Vec<&str> = run.lines().find(|line| line.starts_with("total")).unwrap().split_whitespace().collect();
        let at = head.iter().position(|name| *name == column).unwrap();
        total[at + 1].replace(',', "").parse().unwrap()
    };
    assert!(first.contains("FIRST RUN") && number(first, "created") > 1980 && number(first, "skipped") == 0, "{first}");
    assert_eq!([number(second, "created"), number(second, "updated")], [0, 0], "{second}");
    let sent = ["created", "updated", "duplicates"].map(|column| number(first, column)).iter().sum::<u64>();
    assert_eq!(number(second, "skipped"), sent, "what was accepted, and what stands twice");
    assert!(number(first, "refused") > 0 && number(second, "refused") == number(first, "refused"), "{second}");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "the home is left as it was");
}
