//! What comes from outside reaches a terminal as text and nothing else: no escape codes, no hidden characters, and no line
//! that looks like one of lightbeam's own.

use std::fs;

use serde_json::Value;

use crate::stub::Stub;
use crate::support::{Ended, Folder, students};

/// Sets a terminal's title, clears it, colours what follows, and writes backwards.
const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31mFAKE\u{202e}";

/// An API that refuses every payload with such texts in every part of its answer.
fn hostile_api() -> Stub {
    Stub::new(|asked| {
        let line = asked.line.clone();
        let url = |path: &str| format!("http://internal{path}");
        match line.as_str() {
            "GET /" => {
                let urls = serde_json::json!({"dependencies": url("/dependencies"), "oauth": url("/oauth/token"),
                    "dataManagementApi": url("/data")});
                (200, None, serde_json::json!({"version": "7.3", "urls": urls}).to_string())
            }
            "POST /oauth/token" => (200, None, r#"{"access_token":"a-token-that-is-long","expires_in":1800}"#.into()),
            "GET /dependencies" => {
                let students = serde_json::json!({"resource": "/ed-fi/students", "order": 1, "operations": ["Create"]});
                (200, None, serde_json::json!([students]).to_string())
            }
            line if line.starts_with("POST /data") => {
                let text = format!("{HOSTILE}\n2026-01-01 00:00:00 lightbeam INFO    all accepted");
                let errors = serde_json::json!({(format!("$.{text}")): [text]});
                let body = serde_json::json!({"detail": text, "type": format!("urn:{text}"), "correlationId": text,
                    "validationErrors": errors});
                (400, None, body.to_string())
            }
            _ => (404, None, "{}".into()),
        }
    })
}

#[track_caller]
fn is_plain(ended: &Ended) {
    for text in [&ended.out, &ended.err] {
        let bad = |c: &char| c.is_control() && !matches!(c, '\n' | '\t') || matches!(c, '\u{202e}' | '\u{200b}');
        let found: Vec<char> = text.chars().filter(bad).collect();
        assert!(found.is_empty(), "{found:?} in\n{text}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01")), "{text}");
    }
}

#[test]
fn nothing_from_outside_steers_a_terminal() {
    let api = hostile_api();
    let folder = Folder::new();
    folder.config(&api.url("/"), "num_retries: 0\n");
    let name = format!("data/students/{}\n2026-01-01.jsonl", HOSTILE.replace('/', ""));
    folder.write(&name, [students(3), vec!["no JSON \u{1b}[31m".into()]].concat().join("\n"));
    folder.write(&format!("data/unknown{HOSTILE}.jsonl"), "{}\n");
    folder.write(&format!("data/other{HOSTILE}.txt"), "");
    for args in [&["send", "--results-file", "results.json"][..], &["plan"], &["validate"], &["send", "-s", HOSTILE]] {
        is_plain(&folder.run(args));
    }
    is_plain(&folder.run(&["send", "-c", &format!("{HOSTILE}.yaml")]));
    is_plain(&folder.run(&[HOSTILE]));
    is_plain(&folder.run(&["send", &format!("--{HOSTILE}")]));
    let json = folder.run(&["send", "--log-format", "json"]);
    is_plain(&json);
    let results: Value = serde_json::from_str(&json.out).unwrap();
    let failures = results["resources"]["students"]["failures"].to_string();
    assert!(failures.contains("FAKE"), "{failures}");
    let file: Value = serde_json::from_slice(&fs::read(folder.0.join("results.json")).unwrap()).unwrap();
    let names = file["resources"]["students"]["failures"].as_array().unwrap();
    assert!(names.iter().all(|failure| failure["file"].as_str().unwrap().contains('\u{1b}')), "data stays in JSON");
}
