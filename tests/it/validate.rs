//! Validation: everything that is wrong is told, with its file and line, and nothing else; and only what is right is sent.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Ended, Folder, Stage, district, number, students, total};

/// All methods.
pub const ALL: [&str; 3] = ["--set", "validate.methods", "*"];

/// Runs `lightbeam validate`, or another command, with these arguments and a results file.
pub fn results(stage: &Stage, command: &str, args: &[&str]) -> (Ended, Value) {
    let path = stage.folder.0.join("results.json");
    let _ = fs::remove_file(&path);
    let ended = stage.run(&[&[command, "--results-file", "results.json"], args].concat());
    let results = fs::read(path).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    (ended, results)
}

pub fn validate(stage: &Stage, args: &[&str]) -> (Ended, Value) {
    results(stage, "validate", args)
}

/// What a results file tells as `failures` or `warnings`: one text for each line, `students.jsonl:42 schema $.birthDate: birthDate is required`.
pub fn told(results: &Value, what: &str) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    for resource in results["resources"].as_object().unwrap().values() {
        for entry in resource[what].as_array().unwrap() {
            let text = |key: &str| entry[key].as_str().unwrap_or("-");
            let file = text("file").trim_start_matches("data/");
            let lines = entry["line_numbers"].as_array().unwrap();
            assert_eq!(number(&entry["count"]), lines.len() as u64);
            told.extend(
                lines
                    .iter()
                    .map(|line| format!("{file}:{line} {} {}: {}", text("method"), text("path"), text("message"))),
            );
        }
    }
    told
}

/// Fails the test unless just these were told; of each only the beginning is given.
#[track_caller]
pub fn just(told: &BTreeSet<String>, expected: &[&str]) {
    let is_met = |text: &String| expected.iter().any(|expected| text.starts_with(expected));
    let unexpected: Vec<_> = told.iter().filter(|text| !is_met(text)).collect();
    let missing: Vec<_> =
        expected.iter().filter(|expected| !told.iter().any(|text| text.starts_with(**expected))).collect();
    assert!(unexpected.is_empty() && missing.is_empty(), "not expected: {unexpected:#?}\nmissing: {missing:#?}");
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

pub fn student(id: u64) -> Value {
    json!({"studentUniqueId": id.to_string(), "birthDate": "2010-01-01", "firstName": "Ada", "lastSurname": "Number"})
}

pub fn with(mut payload: Value, change: Value) -> String {
    payload.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    payload.to_string()
}

pub fn descriptor(entity: &str, code: &str) -> String {
    json!({"namespace": format!("uri://ed-fi.org/{entity}"), "codeValue": code, "shortDescription": code}).to_string()
}

#[test]
fn all_that_is_wrong_in_the_district_is_found_and_nothing_else() {
    let stage = Stage::new();
    district(&stage.folder);
    let (run, results) = validate(&stage, &ALL);
    let events = "studentSchoolAttendanceEvents";
    just(
        &told(&results, "failures"),
        &[
            "contacts.jsonl:30 schema $: not JSON: trailing characters",
            "students.jsonl:42 schema $.birthDate: birthDate is required",
            "students.jsonl:97 schema $.firstName: firstName must have at most 75 characters",
            "studentSchoolAssociations.jsonl:61 references $.studentReference: there is no Student with studentUniqueId 799999",
            &format!("{events}/part-1.jsonl:100 schema $: not JSON"),
            &format!("{events}/part-2.jsonl:200 schema $.eventDuration: eventDuration must be a number, not a string"),
            "grades.jsonl:15 descriptors $.gradeTypeDescriptor: gradeTypeDescriptor must be a descriptor such as uri://",
            "grades.jsonl:89 references $.studentSectionAssociationReference: there is no StudentSectionAssociation with",
        ],
    );
    let again = "uniqueness $: the same payload was given before";
    just(
        &told(&results, "warnings"),
        &[
            &format!("contacts.jsonl:102 {again}"),
            &format!("studentSectionAssociations.jsonl:121 {again}"),
            &format!("{events}/part-2.jsonl:300 {again}"),
        ],
    );
    let counts = ["processed", "valid", "failed", "skipped", "with_warnings"].map(|what| total(&results, what));
    assert_eq!((counts, &results["exit_code"]), ([2_000, 1_992, 8, 0, 3], &json!(3)));
    run.expect(3).tells(&[
        "students 122 120 2 0",
        "data/contacts.jsonl:30:73 not JSON: trailing characters",
        "warning: the same payload was given before, at data/studentSchoolAttendanceEvents/part-1.jsonl:1",
        "not checked: 27 kinds of descriptors for which this API has no values",
        "2 blank lines passed over.",
        "2,000 payloads read, 8 invalid",
    ]);
    assert!(stage.posts().is_empty());
}

#[test]
fn each_kind_of_fault_is_found_where_it_was_planted_and_its_neighbours_are_not_blamed() {
    let stage = Stage::new();
    let table: Vec<(&str, String, &[&str])> = vec![
        ("students", "[1]".into(), &["schema $: payload must be an object, not a list"]),
        ("students", "{\"a\":".into(), &["schema $: not JSON"]),
        ("students", with(student(3), json!({"birthDate": "2010-02-30"})), &["schema $.birthDate: birthDate must be a date"]),
        ("students", with(student(4), json!({"birthDate": 5, "firstName": null})), &["schema $.birthDate", "schema $.firstName"]),
        ("students", with(student(5), json!({"id": "5"})), &["schema $.id: id must be left out"]),
        ("students", student(6).to_string().replacen('{', "{\"firstName\":\"Ada\",", 1), &["schema $.firstName: firstName is given twice"]),
        (
            "students",
            with(student(7), json!({"birthSexDescriptor": "uri://ed-fi.org/TermDescriptor#Fall"})),
            &["descriptors $.birthSexDescriptor: birthSexDescriptor must be a SexDescriptor"],
        ),
        (
            "students",
            with(student(8), json!({"personalIdentificationDocuments": [
                {"identificationDocumentUseDescriptor": "uri://x/IdentificationDocumentUseDescriptor#A", "personalInformationVerificationDescriptor": "uri://x/PersonalInformationVerificationDescriptor#A"},
                {"identificationDocumentUseDescriptor": "uri://x/IdentificationDocumentUseDescriptor#a", "personalInformationVerificationDescriptor": "uri://x/PersonalInformationVerificationDescriptor#A"},
            ]})),
            &["uniqueness $.personalIdentificationDocuments[1]: an item of personalIdentificationDocuments must differ"],
        ),
        ("students", with(student(9), json!({"shoeSize": 1, "birthCity": "x".repeat(31)})), &["schema $.birthCity: birthCity must have at most 30 characters"]),
        ("students", with(student(10), json!({"multipleBirthStatus": "yes"})), &["schema $.multipleBirthStatus: multipleBirthStatus must be true or false"]),
        ("courseOfferings", json!({
            "localCourseCode": "A", "courseReference": {"courseCode": "A", "educationOrganizationId": 1}, "schoolReference": {"schoolId": 1},
            "sessionReference": {"schoolId": 2, "schoolYear": 2025, "sessionName": "Fall"}}).to_string(),
            &["schema $.sessionReference.schoolId: schoolId must be the same as at $.schoolReference.schoolId"]),
        ("students", with(student(1), json!({"firstName": "Eve"})), &["uniqueness $: the natural key was given before"]),
    ];
    let mut files =
        std::collections::BTreeMap::from([("students", vec![student(1).to_string()]), ("courseOfferings", vec![])]);
    let mut expected = Vec::new();
    for (resource, payload, faults) in &table {
        let lines = files.get_mut(resource).unwrap();
        lines.push(payload.clone());
        expected.extend(faults.iter().map(|fault| format!("{resource}.jsonl:{} {fault}", lines.len())));
        lines.push(student(1_000 + expected.len() as u64).to_string());
        if *resource != "students" {
            lines.pop();
        }
    }
    files.iter().for_each(|(resource, lines)| stage.data(&format!("{resource}.jsonl"), lines));
    let (run, results) = validate(&stage, &[]);
    run.expect(3);
    just(&told(&results, "failures"), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    just(&told(&results, "warnings"), &["students.jsonl:18 schema $.shoeSize: shoeSize is unknown"]);
}

#[test]
fn an_unknown_property_is_a_warning_unless_configured() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[with(student(1), json!({"firstname": "Ada"})), student(2).to_string()]);
    let expected =
        "students.jsonl:1 schema $.firstname: firstname is unknown, the API drops it; did you mean firstName?";
    for (rule, code, failures, warnings) in
        [("warn", 0, &[][..], &[expected][..]), ("error", 3, &[expected], &[]), ("ignore", 0, &[], &[])]
    {
        let (run, results) = validate(&stage, &["--set", "validate.unknown_properties", rule]);
        run.expect(code);
        just(&told(&results, "failures"), failures);
        just(&told(&results, "warnings"), warnings);
    }
}

#[test]
fn only_the_methods_that_are_asked_for_are_used_and_what_is_no_json_is_always_told() {
    let stage = Stage::new();
    let wrong = with(student(1), json!({"birthDate": 1, "birthSexDescriptor": "Female"}));
    stage.data("students.jsonl", &[wrong.clone(), with(student(1), json!({})), "{".into()]);
    let key = "students.jsonl:2 uniqueness $";
    let (schema, descriptors) =
        ("students.jsonl:1 schema $.birthDate", "students.jsonl:1 descriptors $.birthSexDescriptor");
    for (methods, expected) in [
        ("[schema]", &[schema][..]),
        ("[descriptors]", &[descriptors]),
        ("[uniqueness]", &[key]),
        ("[Schema, uniqueness]", &[schema, key]),
        ("*", &[schema, descriptors, key]),
    ] {
        let (_, results) = validate(&stage, &["--set", "validate.methods", methods]);
        just(&told(&results, "failures"), &[expected, &["students.jsonl:3 schema $: not JSON"]].concat());
    }
    stage
        .run(&["validate", "--set", "validate.methods", "[shema]"])
        .expect(2)
        .tells(&["'shema' is none of schema, descriptors, uniqueness, references; did you mean schema?"]);
}

#[test]
fn a_key_given_twice_tells_both_lines_in_whatever_files_they_are_and_the_same_every_time() {
    let stage = Stage::new();
    let many = |from: u64, name: &str| -> Vec<String> {
        (from..from + 3_000).map(|id| with(student(id), json!({"firstName": name}))).collect()
    };
    stage.data("students/a.jsonl", &many(0, "Ada"));
    stage.data("students/b.jsonl", &many(2_000, "Eve"));
    let mut before = None;
    for _ in 0..3 {
        let (run, results) = validate(&stage, &[]);
        let run = run.expect(3);
        run.tells(&[
            "data/students/b.jsonl:1 (1,000 times) the natural key was given before, at data/students/a.jsonl:2001",
        ]);
        let failures = results["resources"]["students"]["failures"].as_array().unwrap().clone();
        let [failure] = &failures[..] else { panic!("{failures:?}") };
        assert_eq!(
            (&failure["message"], number(&failure["count"])),
            (&json!("the natural key was given before"), 1_000)
        );
        let lines: Vec<u64> = failure["line_numbers"].as_array().unwrap().iter().map(number).collect();
        assert_eq!(lines, (1..=1_000).collect::<Vec<_>>());
        assert_eq!(failure["given_before"][999], json!({"file": "data/students/a.jsonl", "line": 3_000}));
        assert_eq!(before.get_or_insert(failures.clone()), &failures);
    }
}

#[test]
fn a_descriptor_exists_if_the_load_or_the_api_has_it_and_a_hint_tells_what_was_meant() {
    let stage = Stage::new();
    let sexes = |codes: &[&str]| codes.iter().map(|code| descriptor("SexDescriptor", code)).collect::<Vec<_>>();
    let born = |id, value: &str| with(student(id), json!({"birthSexDescriptor": value}));
    stage.data("sexDescriptors.jsonl", &sexes(&["Female"]));
    stage.send(&[]).0.expect(0);
    stage.data(
        "students.jsonl",
        &[
            born(1, "uri://ed-fi.org/SexDescriptor#Female"),
            born(2, "uri://ed-fi.org/SexDescriptor#female"),
            born(3, "uri://ed-fi.org/SexDescriptor#Male"),
            born(4, "uri://tx.example/SexDescriptor#Unknown"),
            born(5, "uri://ed-fi.org/SexDescriptor#Fmale"),
        ],
    );
    let known = "birthSexDescriptor: uri://ed-fi.org/SexDescriptor";
    let meant = "is not known; did you mean uri://ed-fi.org/SexDescriptor#Female?";
    let (run, results) = validate(&stage, &["-s", "students"]);
    run.expect(3);
    just(
        &told(&results, "failures"),
        &[
            &format!("students.jsonl:3 descriptors $.{known}#Male {meant}"),
            "students.jsonl:4 descriptors $.birthSexDescriptor: uri://tx.example/SexDescriptor#Unknown is not known",
            &format!("students.jsonl:5 descriptors $.{known}#Fmale {meant}"),
        ],
    );
    let own = json!({"namespace": "uri://tx.example/SexDescriptor", "codeValue": "Unknown", "shortDescription": "x"});
    stage.data("sexDescriptors.jsonl", &[sexes(&["Male"]), vec![own.to_string()]].concat());
    let (run, results) = validate(&stage, &[]);
    run.expect(3);
    just(&told(&results, "failures"), &[&format!("students.jsonl:5 descriptors $.{known}#Fmale {meant}")]);
    // What was sent is known at once, although values are kept for an hour.
    stage.send(&["-s", "sexDescriptors"]).0.expect(0);
    let (_, results) = validate(&stage, &["-s", "students"]);
    assert_eq!(told(&results, "failures").len(), 1);
    assert_eq!(results["unchecked"], json!([]));
}

#[test]
fn the_exit_code_tells_how_many_are_invalid() {
    let stage = Stage::new();
    let wrong = || "{}".to_string();
    for (payloads, args, code) in [
        (vec![], &[][..], 99),
        (students(2), &[], 0),
        (vec![wrong(), students(1).remove(0)], &[], 3),
        (vec![wrong(), students(1).remove(0)], &["--partial-ok"], 0),
        (vec![wrong(), wrong()], &["--partial-ok"], 1),
        (students(2), &["-s", "studnets"], 2),
        (students(2), &["--set", "validate.max_failures", "0"], 2),
        (students(2), &["--set", "validate.references.selector", "studnets"], 2),
    ] {
        stage.data("students.jsonl", &payloads);
        let (run, results) = validate(&stage, args);
        run.expect(code);
        assert!(code == 2 || results["exit_code"] == code, "{results}");
    }
    let folder = Folder::new();
    folder.config("http://127.0.0.1:1", "num_retries: 0\n");
    folder.run(&["validate", "--results-file", "r.json"]).expect(4);
    let results: Value = serde_json::from_slice(&fs::read(folder.0.join("r.json")).unwrap()).unwrap();
    assert!(results["stopped"].as_str().unwrap().contains("http://127.0.0.1:1"), "{results}");
}

#[test]
fn enough_failures_stop_the_run() {
    let stage = Stage::new();
    let wrong = vec![with(student(1), json!({"birthDate": "x"})); 20_000];
    stage.data("students.jsonl", &wrong);
    let (run, results) = validate(&stage, &["--set", "validate.max_failures", "10", "validate.methods", "[schema]"]);
    run.expect(3).tells(&["Stopped early: validate.max_failures (10) reached"]);
    let failed = total(&results, "failed");
    assert!((10..2_000).contains(&failed), "{failed}");
    assert_eq!(total(&results, "processed"), failed, "what was read is what is told of");
    let (_, again) = validate(&stage, &["--set", "validate.max_failures", "10", "validate.methods", "[schema]"]);
    assert_eq!(total(&again, "failed"), failed, "whatever the timing");
}

#[test]
fn a_saved_file_of_metadata_is_enough_to_check_a_load_completely() {
    let stage = Stage::new();
    stage.data("sexDescriptors.jsonl", &[descriptor("SexDescriptor", "Female")]);
    stage.send(&[]).0.expect(0);
    stage.run(&["metadata", "save", "api.meta"]).expect(0);
    stage.sandbox.stop();
    fs::remove_file(stage.folder.0.join("data/sexDescriptors.jsonl")).unwrap();
    let born = |id, code: &str| {
        with(student(id), json!({"birthSexDescriptor": format!("uri://ed-fi.org/SexDescriptor#{code}")}))
    };
    stage.data("students.jsonl", &[born(1, "Female"), born(2, "Fmale")]);
    stage.data("studentParentAssociations.jsonl", &[]);
    let association = |id: u64| json!({"contactReference": {"contactUniqueId": "1"}, "studentReference": {"studentUniqueId": id.to_string()}});
    stage.data("studentContactAssociations.jsonl", &[association(1).to_string(), association(7).to_string()]);
    let args = [&["--metadata", "api.meta", "--set", "num_retries", "0"][..], &["validate.methods", "*"]].concat();
    let (run, results) = validate(&stage, &args);
    run.expect(3);
    just(
        &told(&results, "failures"),
        &[
            "students.jsonl:2 descriptors $.birthSexDescriptor: uri://ed-fi.org/SexDescriptor#Fmale is not known; did you mean",
            "studentContactAssociations.jsonl:2 references $.studentReference: there is no Student with studentUniqueId 7 in",
        ],
    );
    let unchecked = "references to Contact were not checked: the load has no file of it, and the API is not asked";
    assert_eq!(results["unchecked"], json!([unchecked]));
}
