//! What payloads refer to: first looked for in the load, then in the API, with as few requests as it takes.

use lightbeam::sandbox::Options;
use serde_json::{Value, json};

use crate::support::{Ended, Stage, ended, number, signal, students, until};
use crate::validate::{just, results, told};

/// Validates references alone.
fn validate(stage: &Stage, args: &[&str]) -> (Ended, Value) {
    results(stage, "validate", &[&["--set", "validate.methods", "[references]"], args].concat())
}

/// That a person is a student's contact.
fn contact_of(student: u64) -> String {
    json!({"contactReference": {"contactUniqueId": "1"}, "studentReference": {"studentUniqueId": student.to_string()}})
        .to_string()
}

fn contact() -> String {
    json!({"contactUniqueId": "1", "firstName": "Ada", "lastSurname": "Number"}).to_string()
}

/// So many GETs of a resource came.
fn gets(stage: &Stage, resource: &str) -> usize {
    let received = stage.sandbox.received();
    received.iter().filter(|r| r.method == "GET" && r.resource == format!("ed-fi/{resource}")).count()
}

/// A stage whose API has so many students, of which the load has none, and a contact.
fn with_students_in_the_api(count: usize) -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(count));
    stage.send(&[]).0.expect(0);
    std::fs::remove_file(stage.folder.0.join("data/students.jsonl")).unwrap();
    stage.data("contacts.jsonl", &[contact()]);
    stage
}

#[test]
fn what_the_load_itself_has_is_not_asked_for() {
    let stage = Stage::new();
    stage.data("contacts.jsonl", &[contact()]);
    stage.data("students.jsonl", &students(3));
    stage.data("studentContactAssociations.jsonl", &[1, 2, 3, 1].map(contact_of));
    validate(&stage, &[]).0.expect(0);
    assert_eq!(gets(&stage, "students") + gets(&stage, "contacts"), 0);
}

#[test]
fn lines_may_refer_to_later_lines_of_their_own_resource_and_to_any_kind_of_an_abstract_one() {
    let stage = Stage::new();
    let department = |id: u64, parent: u64| {
        json!({"organizationDepartmentId": id, "nameOfInstitution": "A", "categories": [],
            "parentEducationOrganizationReference": {"educationOrganizationId": parent}})
        .to_string()
    };
    let agency = json!({"stateEducationAgencyId": 9, "nameOfInstitution": "A", "categories": []}).to_string();
    stage.data("stateEducationAgencies.jsonl", &[agency]);
    stage.data("organizationDepartments.jsonl", &[department(1, 2), department(2, 9), department(3, 4)]);
    let (run, results) = validate(&stage, &[]);
    run.expect(3);
    let path = "$.parentEducationOrganizationReference";
    just(
        &told(&results, "failures"),
        &[&format!(
            "organizationDepartments.jsonl:3 references {path}: there is no EducationOrganization with educationOrganizationId 4, neither"
        )],
    );
}

#[test]
fn few_references_are_asked_for_one_by_one_and_each_once() {
    let stage = with_students_in_the_api(3);
    stage.data("studentContactAssociations.jsonl", &[1, 2, 1, 2, 8, 8].map(contact_of));
    let (run, results) = validate(&stage, &[]);
    run.expect(3);
    let missing = "references $.studentReference: there is no Student with studentUniqueId 8, neither in this load nor in the API";
    let line = |line: u64| format!("studentContactAssociations.jsonl:{line} {missing}");
    just(&told(&results, "failures"), &[&line(5), &line(6)]);
    // 3 distinct students are more than the one page that has all of the API's, and the missing one is asked for to be sure.
    assert_eq!(gets(&stage, "students"), 3);
}

#[test]
fn many_references_are_looked_for_in_pages_of_all_that_the_api_has() {
    let stage = with_students_in_the_api(1_200);
    let all: Vec<_> = (1..=1_200).chain([5_000]).map(contact_of).collect();
    stage.data("studentContactAssociations.jsonl", &all);
    let (run, results) = validate(&stage, &[]);
    run.expect(3);
    assert_eq!(told(&results, "failures").len(), 1, "{:?}", told(&results, "failures"));
    let asked = gets(&stage, "students");
    assert_eq!(asked, 1 + 3 + 1, "the count, three pages, and the one that was not there");
    assert_eq!(number(&stage.stats()["tokens"]), 1);
}

#[test]
fn without_the_api_only_what_the_load_has_files_of_is_checked_and_the_rest_is_told_of() {
    let stage = with_students_in_the_api(1);
    stage.data("studentContactAssociations.jsonl", &[contact_of(1), contact_of(2)]);
    let remote = ["validate.references.remote", "false"];
    let (run, results) = validate(&stage, &remote);
    run.expect(0).tells(&["references to Student were not checked: the load has no file of it"]);
    assert_eq!(results["unchecked"].as_array().unwrap().len(), 1);
    stage.data("students.jsonl", &students(1));
    let (run, results) = validate(&stage, &remote);
    run.expect(3);
    just(
        &told(&results, "failures"),
        &[
            "studentContactAssociations.jsonl:2 references $.studentReference: there is no Student with studentUniqueId 2 in this load",
        ],
    );
    assert_eq!((&results["unchecked"], gets(&stage, "students")), (&json!([]), 0));
}

#[test]
fn the_selector_says_references_to_which_resources_are_checked() {
    let stage = Stage::new();
    stage.data("studentContactAssociations.jsonl", &[contact_of(1)]);
    for (selector, behavior, faults) in [
        ("*", "exclude", 2),
        ("*", "include", 2),
        ("students", "include", 1),
        ("students", "exclude", 1),
        ("[students, contacts]", "exclude", 0),
        ("[stud*, cont*]", "include", 2),
    ] {
        let set = ["validate.references.selector", selector, "validate.references.behavior", behavior];
        let (_, results) = validate(&stage, &set);
        assert_eq!(told(&results, "failures").len(), faults, "{selector} {behavior}");
    }
    stage
        .run(&["validate", "--set", "validate.references.selector", "studnets"])
        .expect(2)
        .tells(&["validate.references.selector: studnets matches no resource; did you mean students?"]);
}

#[test]
fn enough_references_to_nothing_stop_the_run() {
    let stage = Stage::new();
    stage.data("contacts.jsonl", &[contact()]);
    stage.data("studentContactAssociations.jsonl", &(1..=50).map(contact_of).collect::<Vec<_>>());
    let (run, results) = validate(&stage, &["validate.references.max_failures", "5"]);
    run.expect(3).tells(&["Stopped early: validate.references.max_failures (5) reached"]);
    assert_eq!(told(&results, "failures").len(), 5);
}

#[test]
fn what_the_api_does_not_tell_of_is_no_fault() {
    let stage = Stage::with(Options { forbid: vec!["students".into()], ..Options::default() });
    stage.data("contacts.jsonl", &[contact()]);
    stage.data("studentContactAssociations.jsonl", &[1, 2, 3, 4].map(contact_of));
    let (run, results) = validate(&stage, &[]);
    run.expect(0).tells(&["references to students were not looked up in the API: 403"]);
    assert_eq!(results["unchecked"].as_array().unwrap().len(), 1);
}

#[test]
fn ctrl_c_ends_the_asking_and_blames_nobody() {
    // The API asks for a longer wait than this test would have.
    let stage = Stage::with(Options { fail_503: Some(1), retry_after: Some(250), ..Options::default() });
    stage.data("contacts.jsonl", &[contact()]);
    stage.data("studentContactAssociations.jsonl", &[1, 2, 3].map(contact_of));
    let run = stage.spawn(&["validate", "--results-file", "results.json", "--set", "validate.methods", "[references]"]);
    until("the API was asked", || number(&stage.stats()["requests"]) >= 1);
    signal(&run, "INT");
    ended(run.wait_with_output().unwrap()).expect(130).tells(&["Stopped early: interrupted (ctrl-c)"]);
    let results = std::fs::read(stage.folder.0.join("results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(told(&results, "failures").len(), 0);
}

#[test]
fn an_api_that_fails_stops_the_run_and_what_was_found_until_then_is_told() {
    let credentials = Some(("another".into(), "secret".into()));
    let stage = Stage::with(Options { credentials, ..Options::default() });
    stage.data("students.jsonl", &["{}".into()]);
    stage.data("studentContactAssociations.jsonl", &[contact_of(1)]);
    let (run, results) = results(&stage, "validate", &["--set", "validate.methods", "[schema, references]"]);
    run.expect(4);
    let told = told(&results, "failures");
    assert!(!told.is_empty() && told.iter().all(|text| text.starts_with("students.jsonl:1 schema")), "{told:?}");
    assert!(results["stopped"].is_string());
}
