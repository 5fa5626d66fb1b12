//! What is asked of the API before anything is sent: where it is, in which order it wants what, and who asks.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use lightbeam::sandbox::Options;
use serde_json::{Value, json};

use crate::stub::Stub;
use crate::support::{Folder, Stage, students};

/// A discovery document whose URLs begin as a server behind a proxy believes.
pub fn discovery(about: Value, dependencies: &str, data: &str) -> Value {
    let url = |path: &str| format!("http://web-api:5000{path}");
    let mut document = about;
    document["urls"] = json!({"dependencies": url(dependencies), "openApiMetadata": url("/api/metadata/"),
        "oauth": url("/api/oauth/token"), "dataManagementApi": url(data)});
    document
}

pub fn dependencies() -> Value {
    json!([{"resource": "/ed-fi/students", "order": 3, "operations": ["Create"]},
        {"resource": "/ed-fi/students", "order": 14, "operations": ["Update"]}])
}

/// An API 7.3 that a proxy hides.
fn proxied() -> Stub {
    let about = json!({"version": "7.3", "suite": "3"});
    let posts = |path: &str| {
        let body = json!({"in": "body", "schema": {"$ref": "#/definitions/item"}});
        json!({"paths": {path: {"post": {"parameters": [body]}}}, "definitions": {"item": {}}})
    };
    let entry = |name: &str, path: &str| json!({"name": name, "endpointUri": format!("http://web-api:5000{path}")});
    Stub::api(vec![
        ("/api", discovery(about, "/api/metadata/data/v3/dependencies", "/api/data/v3/")),
        ("/api/metadata/data/v3/dependencies", dependencies()),
        ("/api/metadata/", json!([entry("Resources", "/r.json"), entry("Descriptors", "/d.json")])),
        ("/r.json", posts("/ed-fi/schoolYearTypes")),
        ("/d.json", posts("/ed-fi/termDescriptors")),
    ])
}

fn folder_for(url: &str, more: &str) -> Folder {
    let folder = Folder::new();
    folder.config(url, more);
    folder.data("students.jsonl", &students(1));
    folder
}

#[test]
fn scheme_and_host_of_the_base_url_are_kept_where_a_proxy_misreports_them() {
    let api = proxied();
    let folder = folder_for(&api.url("/api"), "");
    folder.data("schoolYearTypes.jsonl", &[r#"{"schoolYear": 2024}"#.into()]);
    folder.run(&["send"]).expect(0);
    assert_eq!(
        api.lines(),
        [
            "GET /api",
            "GET /api/metadata/data/v3/dependencies",
            "GET /api/metadata/",
            "GET /r.json",
            "GET /d.json",
            "POST /api/oauth/token",
            "POST /api/data/v3/ed-fi/schoolYearTypes",
            "POST /api/data/v3/ed-fi/students",
        ]
    );
}

#[test]
fn a_year_specific_api_gets_the_configured_year_and_not_the_one_of_its_clock() {
    let about = json!({"version": "6.1", "apiMode": "Year Specific"});
    let api = Stub::api(vec![
        ("/api", discovery(about, "/api/metadata/data/v3/2025/dependencies", "/api/data/v3/2025")),
        ("/api/metadata/data/v3/2023/dependencies", dependencies()),
    ]);
    folder_for(&api.url("/api"), "edfi_api_year: 2023\n").run(&["send"]).expect(0);
    assert_eq!(api.lines().last().unwrap(), "POST /api/data/v3/2023/ed-fi/students");
}

#[test]
fn a_year_specific_api_is_never_loaded_with_a_year_that_nobody_said() {
    let about = json!({"version": "6.1", "apiMode": "Year Specific"});
    let api = Stub::api(vec![
        ("/api", discovery(about, "/api/metadata/data/v3/2025/dependencies", "/api/data/v3/2025")),
        ("/api/metadata/data/v3/2024/dependencies", dependencies()),
    ]);
    let ended = folder_for(&api.url("/api"), "").run(&["send"]).expect(2);
    ended.tells(&["the API is year-specific, so its URLs need edfi_api.year: set it"]);
    let folder = folder_for(&api.url("/api"), "edfi_api_year: ${SCHOOL_YEAR}\n");
    let ended = folder.run(&["send"]).expect(2);
    ended.tells(&["edfi_api_year: ${SCHOOL_YEAR} is set neither", "this API's URLs need it"]);
    assert!(!api.lines().iter().any(|line| line.starts_with("POST")), "{:?}", api.lines());
    folder.run(&["send", "-p", r#"{"SCHOOL_YEAR": "2024"}"#]).expect(0);
    assert_eq!(api.lines().last().unwrap(), "POST /api/data/v3/2024/ed-fi/students");
}

#[test]
fn a_mode_that_nobody_said_is_not_guessed_where_the_api_does_not_tell_it() {
    // An ODS/API 5.3 tells no mode.
    let api = Stub::api(vec![
        ("/api", discovery(json!({"version": "5.3"}), "/api/metadata/data/v3/dependencies", "/api/data/v3")),
        ("/api/metadata/data/v3/dependencies", dependencies()),
    ]);
    let folder = folder_for(&api.url("/api"), "edfi_api_mode: ${MODE}\n");
    folder.run(&["send"]).expect(2).tells(&["edfi_api_mode: ${MODE} is set neither", "this API's URLs need it"]);
    folder.run(&["send", "-p", r#"{"MODE": "shared_instance"}"#]).expect(0);
}

#[test]
fn an_api_without_a_version_in_its_urls_and_with_placeholders_is_taken_at_its_word() {
    let about = json!({"version": "8.0.0", "applicationName": "Ed-Fi API"});
    let api = Stub::api(vec![
        ("/", discovery(about, "/{tenant}/{schoolYear}/metadata/dependencies", "/{tenant}/{schoolYear}/data")),
        ("/T1/2023/metadata/dependencies", dependencies()),
    ]);
    folder_for(&api.url("/"), "edfi_api_year: 2023\n").run(&["send"]).expect(2);
    assert_eq!(api.lines(), ["GET /"], "an unfilled placeholder ends it");
    let folder = folder_for(&api.url("/"), "edfi_api_year: 2023\n");
    folder.run(&["send", "--set", "edfi_api.tenant", "T1"]).expect(0);
    assert_eq!(api.lines().last().unwrap(), "POST /T1/2023/data/ed-fi/students");
}

#[test]
fn a_discovery_document_that_sends_the_login_elsewhere_is_never_taken_from_the_cache() {
    let login = Stub::new(|_| (200, None, r#"{"access_token":"t","expires_in":1800}"#.into()));
    let mut elsewhere = discovery(json!({"version": "7.3"}), "/metadata/dependencies", "/data");
    elsewhere["urls"]["oauth"] = login.url("/connect/token").into();
    let asked = |document: Value| {
        let api = Stub::api(vec![("/", document), ("/metadata/dependencies", dependencies())]);
        let folder = folder_for(&api.url("/"), "");
        for _ in 0..2 {
            folder.run(&["send", "-f"]).expect(0);
        }
        api.lines().iter().filter(|line| *line == "GET /").count()
    };
    assert_eq!(asked(discovery(json!({"version": "7.3"}), "/metadata/dependencies", "/data")), 1);
    assert_eq!(asked(elsewhere), 2);
    assert!(!login.lines().is_empty());
}

/// The requests for documents so far.
fn documents(api: &Stub) -> Vec<(String, Option<String>)> {
    let gets = api.asked().into_iter().filter(|asked| asked.line.starts_with("GET"));
    gets.map(|asked| (asked.line, asked.if_none_match)).collect()
}

/// Makes every cached document five hours older.
fn age(folder: &Folder) {
    for entry in fs::read_dir(folder.0.join("state/cache")).unwrap() {
        let file = entry.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        let end = bytes.iter().position(|&b| b == b'\n').unwrap();
        let mut head: Value = serde_json::from_slice(&bytes[..end]).unwrap();
        head["fetched"] = (head["fetched"].as_u64().unwrap() - 5 * 3_600).into();
        fs::write(&file, [head.to_string().as_bytes(), &bytes[end..]].concat()).unwrap();
    }
}

#[test]
fn metadata_is_asked_for_once_again_when_wiped_and_confirmed_when_old() {
    let api = proxied();
    let folder = folder_for(&api.url("/api"), "");
    let paths = ["/api", "/api/metadata/data/v3/dependencies", "/api/metadata/", "/r.json", "/d.json"];
    let needed = || paths.map(|path| format!("GET {path}"));
    let plain: Vec<_> = needed().into_iter().map(|line| (line, None)).collect();
    folder.run(&["plan"]).expect(0);
    assert_eq!(documents(&api), plain);
    folder.run(&["plan"]).expect(0);
    assert_eq!(documents(&api).len(), paths.len(), "within the time to live nothing is asked");
    for wipe in ["-w", "--wipe"] {
        let before = documents(&api).len();
        folder.run(&["plan", wipe]).expect(0);
        assert_eq!(documents(&api)[before..], plain[..], "{wipe} forgets what was known");
    }
    age(&folder);
    let before = documents(&api).len();
    folder.run(&["plan"]).expect(0);
    let conditional: Vec<_> = needed().into_iter().map(|line| (line, Some("\"1\"".to_owned()))).collect();
    assert_eq!(documents(&api)[before..], conditional[..]);
}

#[test]
fn a_copy_that_the_api_confirms_is_fresh_again() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    stage.run(&["plan"]).expect(0);
    age(&stage.folder);
    stage.run(&["plan"]).expect(0);
    stage.sandbox.stop();
    let err = stage.run(&["plan"]).expect(0).err;
    assert!(!err.contains("WARNING"), "{err}");
}

#[test]
fn a_plan_is_made_from_copies_when_the_api_is_gone_with_a_warning_if_they_are_old() {
    let stage = Stage::new();
    stage.folder.config(&stage.sandbox.url(), "connection: {num_retries: 0}\n");
    stage.data("students.jsonl", &students(4));
    let with_api = stage.run(&["plan"]).expect(0);
    stage.sandbox.stop();
    let fresh = stage.run(&["plan"]).expect(0);
    assert_eq!((&fresh.out, fresh.err.contains("WARNING")), (&with_api.out, false), "{}", fresh.err);
    age(&stage.folder);
    let stale = stage.run(&["plan"]).expect(0);
    assert_eq!(stale.out, with_api.out);
    let warned = format!("WARNING cannot get the discovery document at {}", stage.sandbox.url());
    assert!(stale.err.contains(&warned) && stale.err.contains("going by the copy from 5 hours ago"), "{}", stale.err);
    stage.run(&["plan", "-w"]).expect(4);
}

#[test]
fn an_api_that_cannot_be_reached_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = folder_for(&format!("http://{free}/api"), "connection: {num_retries: 1, timeout: 5}\n");
    for command in ["send", "plan"] {
        let err = folder.run(&[command]).expect(4).err;
        assert!(err.contains("asking again in"), "{err}");
        let last = format!("CRITICAL cannot get the discovery document at http://{free}/api (");
        assert!(err.contains(&last) && err.contains("is edfi_api.base_url right"), "{err}");
    }
}

#[test]
fn a_refused_login_ends_the_run_before_any_payload_is_sent() {
    let credentials = Some(("key".to_owned(), "another".to_owned()));
    let stage = Stage::with(Options { credentials, ..Options::default() });
    stage.data("students.jsonl", &students(50));
    let (ended, results) = stage.send(&[]);
    let err = ended.expect(4).err;
    let told = format!("login refused by {}/oauth/token (401, ", stage.sandbox.url());
    assert!(err.contains(&told) || results["stopped"].as_str().unwrap().contains(&told), "{err}\n{results}");
    assert!(stage.posts().is_empty());
    assert_eq!((&results["exit_code"], &results["total_records_unsent"]), (&json!(4), &json!(50)), "{results}");
}

#[test]
fn a_refused_login_is_asked_for_by_one_worker_once() {
    let api = Stub::new(|asked| match asked.line.as_str() {
        "GET /api" => {
            let about = json!({"version": "7.3"});
            (200, None, discovery(about, "/api/metadata/data/v3/dependencies", "/api/data/v3/").to_string())
        }
        "GET /api/metadata/data/v3/dependencies" => (200, None, dependencies().to_string()),
        _ => (401, None, r#"{"error":"invalid_client"}"#.into()),
    });
    let folder = folder_for(&api.url("/api"), "");
    folder.data("students.jsonl", &students(50));
    folder.run(&["send"]).expect(4);
    let logins = api.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(logins, 1, "{:?}", api.lines());
}

#[test]
fn an_https_url_never_becomes_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first: Arc<Mutex<Vec<u8>>> = Arc::default();
    let seen = first.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).unwrap_or(0);
            seen.lock().unwrap().extend(bytes[..read].first());
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let folder = folder_for(&format!("https://{address}/api"), "connection: {num_retries: 1}\n");
    let err = folder.run(&["send"]).expect(4).err;
    assert!(err.contains(&format!("https://{address}/api (the host does not speak TLS")), "{err}");
    let first = first.lock().unwrap();
    // Every TLS handshake begins with a record of type 22 (RFC 8446 section 5.1).
    assert!(!first.is_empty() && first.iter().all(|byte| *byte == 22), "{first:?}");
}
