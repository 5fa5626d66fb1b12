//! What was refused: due again, with its reason as long as it is not, and what becomes of it when it is mended.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Stage, students, total};

fn too_long(id: &str) -> String {
    json!({"studentUniqueId": id, "birthDate": "2010-01-01", "firstName": "A".repeat(80), "lastSurname": "B"})
        .to_string()
}

fn mended(id: &str) -> String {
    too_long(id).replace(&"A".repeat(80), "Ada")
}

/// The lines of a file of rejects.
fn rejects(stage: &Stage, name: &str) -> Vec<String> {
    let text = fs::read_to_string(stage.folder.0.join("rejects").join(name)).unwrap_or_default();
    text.lines().map(String::from).collect()
}

fn reasons(stage: &Stage, name: &str) -> Vec<Value> {
    rejects(stage, name).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn send(stage: &Stage, more: &[&str]) -> (crate::support::Ended, Value) {
    stage.send(&[&["--rejects", "rejects"], more].concat())
}

#[test]
fn everything_that_was_not_accepted_is_due_in_every_run_unless_the_payload_is_to_blame_and_that_is_not_wanted() {
    let stage = Stage::new();
    // Refused because of the payload, and because of what it refers to.
    stage.data("students.jsonl", &[too_long("1")]);
    let association = json!({"studentReference": {"studentUniqueId": "1"}, "schoolReference": {"schoolId": 1},
        "entryDate": "2024-08-01", "entryGradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"});
    stage.data("studentSchoolAssociations.jsonl", &[association.to_string()]);
    stage.send(&[]).0.expect(1);
    let sent = |args: &[&str]| {
        let before = stage.posts().len();
        stage.send(args).0.expect(if args.is_empty() || args == ["--failed"] { 1 } else { 3 });
        let posts = stage.posts();
        let to = |name: &str| posts[before..].iter().any(|post| post.resource.ends_with(name));
        (to("students"), to("studentSchoolAssociations"))
    };
    assert_eq!(sent(&[]), (true, true));
    assert_eq!(sent(&["--skip-refused"]), (false, true));
    assert_eq!(sent(&["--set", "resend_failed", "false"]), (false, true));
    assert_eq!(sent(&["--failed"]), (true, true));
}

#[test]
fn a_refusal_that_is_left_out_keeps_its_reason_in_summary_results_and_rejects() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(2), vec![too_long("x")]].concat());
    let (_, first) = send(&stage, &[]);
    let mut failure = first["resources"]["students"]["failures"][0].clone();
    // State does not keep how a message came.
    assert_eq!(failure.as_object_mut().unwrap().remove("listed"), Some(json!(true)));
    let written = reasons(&stage, "students.reasons.jsonl");
    assert_eq!((&failure["kind"], &failure["line_numbers"]), (&json!("payload"), &json!([3])));
    assert!(failure["type"].as_str().unwrap().starts_with("urn:ed-fi:api:bad-request"), "{failure}");
    assert!(!written[0]["correlation_id"].as_str().unwrap().is_empty());
    for _ in 0..2 {
        let (run, results) = send(&stage, &["--skip-refused"]);
        let students = &results["resources"]["students"];
        assert_eq!((&students["failures"], &students["left_out"]), (&json!([]), &json!([failure])));
        assert_eq!(total(&results, "skipped_refused"), 1);
        assert_eq!(reasons(&stage, "students.reasons.jsonl"), written);
        let text = |name: &str| failure[name].as_str().unwrap().to_owned();
        let folded = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = [text("message"), text("type"), text("correlation_id")].map(folded);
        run.expect(3).tells(&parts.each_ref().map(String::as_str));
    }
    let (_, again) = send(&stage, &[]);
    assert_eq!(again["resources"]["students"]["left_out"], json!([]), "it is sent, and so nothing is left out");
}

#[test]
fn mended_rejects_go_back_with_one_command_with_what_was_refused_only_in_consequence() {
    let stage = Stage::new();
    let category = json!({"namespace": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor", "codeValue": "School", "shortDescription": "s"});
    let grade = json!({"namespace": "uri://ed-fi.org/GradeLevelDescriptor", "codeValue": "Ninth grade", "shortDescription": "s"});
    stage.data("educationOrganizationCategoryDescriptors.jsonl", &[category.to_string()]);
    stage.data("gradeLevelDescriptors.jsonl", &[grade.to_string()]);
    let school = json!({"schoolId": 1, "nameOfInstitution": "N".repeat(100),
        "educationOrganizationCategories": [{"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#School"}],
        "gradeLevels": [{"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"}]});
    stage.data("schools.jsonl", &[school.to_string()]);
    stage.data("students.jsonl", &students(3));
    let association = |student: usize| {
        json!({"studentReference": {"studentUniqueId": student.to_string()}, "schoolReference": {"schoolId": 1},
            "entryDate": "2024-08-01", "entryGradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"})
        .to_string()
    };
    stage.data("studentSchoolAssociations.jsonl", &(1..=3).map(association).collect::<Vec<_>>());
    let (run, results) = send(&stage, &[]);
    run.expect(3);
    assert_eq!(total(&results, "refused"), 4);
    let file = stage.folder.0.join("rejects/schools.jsonl");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace(&"N".repeat(100), "Mended")).unwrap();
    let (run, results) = stage.send(&["--data-dir", "rejects", "--skip-refused"]);
    run.expect(0);
    assert_eq!(total(&results, "created"), 4);
    let posts = stage.posts().len();
    send(&stage, &[]).0.expect(99);
    assert_eq!(stage.posts().len(), posts, "the unmended school must not be sent");
}

#[test]
fn an_original_stays_settled_until_its_text_changes() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[too_long("a"), too_long("b"), too_long("c")]);
    send(&stage, &[]).0.expect(1);
    // Blank lines between them do not matter.
    let mend = |line: String| if line == too_long("a") { mended("a") } else { line };
    let lines = rejects(&stage, "students.jsonl").into_iter().map(mend).collect::<Vec<_>>();
    stage.folder.write("rejects/students.jsonl", lines.join("\n\n"));
    stage.send(&["--data-dir", "rejects"]).0.expect(3);
    let sent = |first: &str| {
        stage.data("students.jsonl", &[first.into(), too_long("b"), too_long("c")]);
        let before = stage.posts().len();
        send(&stage, &[]).0.expect(3);
        let bodies = stage.posts().into_iter().skip(before).map(|post| String::from_utf8(post.body).unwrap());
        sorted(bodies.collect())
    };
    for _ in 0..2 {
        assert_eq!(sent(&too_long("a")), [too_long("b"), too_long("c")], "the mended copy of a was accepted");
    }
    let changed = mended("a").replace("Ada", "Bea");
    assert_eq!(sent(&changed), sorted(vec![changed.clone(), too_long("b"), too_long("c")]), "its text changed");
    assert_eq!(sent(&too_long("a")), [too_long("b"), too_long("c")], "the unmended text is still settled");
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn edited_rejects_are_never_overwritten() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[too_long("1"), too_long("2")]);
    send(&stage, &[]).0.expect(1);
    let edited = format!("{}\n{}\n", mended("1"), too_long("2"));
    stage.folder.write("rejects/students.jsonl", &edited);
    let (run, _) = send(&stage, &[]);
    run.expect(1).tells(&[
        "rejects/students.jsonl was edited, so it is kept in rejects/edited-",
        "to send it: lightbeam send --data-dir",
    ]);
    assert_eq!(sorted(rejects(&stage, "students.jsonl")), [too_long("1"), too_long("2")], "the new ones");
    let aside = fs::read_dir(stage.folder.0.join("rejects")).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.is_dir()).collect();
    assert_eq!(fs::read_to_string(aside[0].join("students.jsonl")).unwrap(), edited);
    let (_, results) = stage.send(&["--data-dir", aside[0].to_str().unwrap()]);
    assert_eq!((total(&results, "created"), total(&results, "refused")), (1, 1));
    let (_, results) = send(&stage, &[]);
    assert_eq!((total(&results, "skipped"), total(&results, "refused")), (1, 1), "the original is settled");

    // Where no new rejects come in its place, it stays where it is.
    stage.data("students.jsonl", &students(1));
    stage.folder.write("rejects/students.jsonl", &edited);
    let (run, _) = send(&stage, &[]);
    run.expect(0).tells(&["rejects/students.jsonl was edited, so it is left as it is"]);
    assert_eq!(fs::read_to_string(stage.folder.0.join("rejects/students.jsonl")).unwrap(), edited);
}
