//! What becomes of refused payloads: tried again in order, kept as dead letters, traced in the API's log.

use std::fs;

use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::support::{Stage, students};

/// The lines of a file in the folder of rejects.
fn rejects(stage: &Stage, name: &str) -> Vec<String> {
    let text = fs::read_to_string(stage.folder.0.join("rejects").join(name)).unwrap_or_default();
    text.lines().map(String::from).collect()
}

fn too_long(id: &str) -> String {
    let name = "x".repeat(100);
    format!(r#"{{"studentUniqueId":"{id}","birthDate":"2010-01-01","firstName":"{name}","lastSurname":"L"}}"#)
}

#[test]
fn refused_payloads_are_kept_byte_for_byte_with_their_reasons_and_mended_ones_go_straight_back() {
    let stage = Stage::new();
    let wrong = too_long("w1").replace(',', " , ");
    stage.data("students.jsonl", &[&students(3)[..], &[wrong.clone(), "{no json".into()]].concat());
    let (run, results) = stage.send(&["--rejects", "rejects"]);
    let run = run.expect(3);
    assert!(run.out.contains("Refused payloads and their reasons are in rejects"), "{}", run.out);
    let mut kept = rejects(&stage, "students.jsonl");
    kept.sort();
    assert_eq!(kept, [wrong.clone(), "{no json".into()]);
    let reasons: Vec<Value> =
        rejects(&stage, "students.reasons.jsonl").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answer = reasons.iter().find(|reason| reason["status_code"] == 400).unwrap();
    assert_eq!((answer["line"].as_u64(), answer["file"].as_str()), (Some(4), Some("data/students.jsonl")));
    assert_eq!(answer["type"], "urn:ed-fi:api:bad-request:data-validation-failed");
    assert!(answer["messages"][0].as_str().unwrap().contains("firstName"), "{answer}");
    let correlation = format!("{}/students/students.jsonl:4", results["run_id"].as_str().unwrap());
    assert_eq!(answer["correlation_id"], correlation.as_str(), "the API answers with the id that it was given");
    let mended = wrong.replace(&"x".repeat(100), "Ada");
    stage.folder.write("rejects/students.jsonl", &mended);
    stage.run(&["send", "--data-dir", "rejects", "--rejects", "again"]).expect(0);
    assert!(stage.stored().contains(&mended));
    assert!(rejects(&stage, "students.jsonl") == [mended], "what is sent from is left as it is");
}

#[test]
fn rejects_hold_what_stands_refused_and_not_what_was_mended() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[too_long("w1"), too_long("w2")]);
    stage.send(&["--rejects", "rejects"]).0.expect(1);
    assert_eq!(rejects(&stage, "students.jsonl").len(), 2);
    stage.data("students.jsonl", &[&students(1)[..], &[too_long("w2")]].concat());
    stage.send(&["--rejects", "rejects"]).0.expect(3);
    assert_eq!(rejects(&stage, "students.jsonl"), [too_long("w2")], "refused by the run before and still there");
    stage.data("students.jsonl", &students(1));
    stage.send(&["--rejects", "rejects"]).0.expect(99);
    assert!(!stage.folder.0.join("rejects/students.jsonl").exists());
}

#[test]
fn rejects_are_never_written_into_the_folder_that_is_sent() {
    let stage = Stage::new();
    stage.folder.write("rejects/students.jsonl", [students(2), vec![too_long("w")]].concat().join("\n"));
    let before = fs::read(stage.folder.0.join("rejects/students.jsonl")).unwrap();
    stage.send(&["--data-dir", "rejects", "--rejects", "./rejects/"]).0.expect(3);
    assert_eq!(fs::read(stage.folder.0.join("rejects/students.jsonl")).unwrap(), before);
    assert!(!stage.folder.0.join("rejects/students.reasons.jsonl").exists());
}

#[test]
fn a_resource_that_is_refused_as_a_whole_is_not_tried_to_its_end_and_the_others_go_on() {
    let stage = Stage::with(Options { forbid: vec!["contacts".into()], ..Options::default() });
    let contact = |i| format!(r#"{{"contactUniqueId":"{i}","firstName":"A","lastSurname":"B"}}"#);
    stage.data("contacts.jsonl", &(0..500).map(contact).collect::<Vec<_>>());
    stage.data("students.jsonl", &students(100));
    let (run, results) = stage.send(&[]);
    let run = run.expect(4);
    assert!(run.out.contains("refuses this whole resource"), "{}", run.out);
    let contacts = stage.posts().iter().filter(|post| post.resource == "ed-fi/contacts").count();
    assert!((5..5 + 8).contains(&contacts), "five refusals, and what was under way meanwhile: {contacts}");
    let counts = |resource: &str, what: &str| results["resources"][resource][what].as_u64().unwrap() as usize;
    assert_eq!(counts("contacts", "records_refused"), 0, "no payload is to blame");
    assert_eq!(counts("contacts", "records_unsent"), 500);
    assert_eq!(counts("students", "records_created"), 100);
}
