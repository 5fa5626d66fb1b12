//! Validating and sending in one go: what is valid arrives, what is not is refused with its reasons.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Stage, district, students, total};
use crate::validate::{ALL, just, results, student, told, with};

fn rejects(stage: &Stage, file: &str) -> String {
    fs::read_to_string(stage.folder.0.join("rejects").join(file)).unwrap_or_default()
}

#[test]
fn what_is_valid_is_sent_and_the_api_is_never_asked_for_the_rest() {
    let stage = Stage::new();
    district(&stage.folder);
    let (run, results) = results(&stage, "validate+send", &[&["--rejects", "rejects"], &ALL[..]].concat());
    run.expect(3).tells(&["2,000 payloads read, 8 invalid", "2,000 payloads read, 1,989 accepted"]);
    let refused =
        stage.posts().into_iter().filter(|post| !post.stored && post.resource != "ed-fi/objectiveAssessments");
    assert_eq!(refused.count(), 0, "but for children that came before their parents");
    assert_eq!(["created", "refused", "duplicate", "failed"].map(|what| total(&results, what)), [1_984, 8, 3, 8]);
    let failures = told(&results, "failures");
    assert_eq!(failures.len(), 8, "{failures:#?}");
    assert!(
        results["resources"].as_object().unwrap().values().all(|r| r["failures"]
            .as_array()
            .unwrap()
            .iter()
            .all(|f| f["method"].is_string()))
    );
    let lines: Vec<String> =
        fs::read_to_string(stage.folder.0.join("data/students.jsonl")).unwrap().lines().map(String::from).collect();
    assert_eq!(rejects(&stage, "students.jsonl"), format!("{}\n{}\n", lines[41], lines[96]));
    let reasons = rejects(&stage, "students.reasons.jsonl");
    let first: Value = serde_json::from_str(reasons.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["line"], &first["messages"]),
        (&json!(42), &json!(["$.birthDate (schema): birthDate is required"]))
    );
}

#[test]
fn what_the_api_refuses_all_the_same_is_told_beside_what_validation_found() {
    let stage = Stage::new();
    let association =
        json!({"contactReference": {"contactUniqueId": "1"}, "studentReference": {"studentUniqueId": "1"}});
    stage.data("students.jsonl", &[student(1).to_string(), "{}".into()]);
    stage.data("studentContactAssociations.jsonl", &[association.to_string()]);
    let (run, results) = results(&stage, "validate+send", &[]);
    run.expect(3);
    let of = |resource: &str| results["resources"][resource]["failures"][0].clone();
    assert_eq!((&of("students")["method"], &of("students")["line_numbers"]), (&json!("schema"), &json!([2])));
    assert_eq!(of("studentContactAssociations")["status_code"], 409);
}

#[test]
fn a_mended_load_goes_through_and_what_was_sent_is_not_sent_again() {
    let stage = Stage::new();
    let wrong = with(student(3), json!({"birthDate": "x"}));
    stage.data("students.jsonl", &[students(2), vec![wrong]].concat());
    stage.run(&["validate+send"]).expect(3);
    assert_eq!(stage.posts().len(), 2);
    stage.data("students.jsonl", &students(3));
    let (run, results) = results(&stage, "validate+send", &[]);
    run.expect(0);
    assert_eq!(["created", "skipped"].map(|what| total(&results, what)), [1, 2]);
    stage.run(&["validate+send"]).expect(99);
}

#[test]
fn strict_sends_nothing_if_anything_is_wrong() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(2), vec!["{}".into()]].concat());
    let (run, results) = results(&stage, "validate+send", &["--strict"]);
    run.expect(3).tells(&["Stopped early: 1 payload invalid, and --strict then sends nothing"]);
    just(
        &told(&results, "failures").into_iter().filter(|text| text.contains("birthDate")).collect(),
        &["students.jsonl:3 schema $.birthDate: birthDate is required"],
    );
    assert_eq!((&results["command"], stage.posts().len()), (&json!("validate+send"), 0));
    stage.data("students.jsonl", &students(2));
    stage.run(&["validate+send", "--strict"]).expect(0);
    assert_eq!(stage.posts().len(), 2);
}

#[test]
fn a_validation_that_stops_early_sends_nothing() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(2), vec!["{}".into()]].concat());
    stage.run(&["validate+send", "--set", "validate.max_failures", "1"]).expect(3).tells(&["Stopped early"]);
    assert!(stage.posts().is_empty());
}
