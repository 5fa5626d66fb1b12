//! The test suite that the Python lightbeam brings along, unchanged, against the binary: `tests/peer/run_suite.py` turns the methods that it
//! calls into command lines. Run by `make test-peer`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::peer::{CONFIG, Twins, python, run};
use crate::support::{Stage, students};

const LEA: &str = r#"{"localEducationAgencyId":7,"nameOfInstitution":"Lantern Ridge","localEducationAgencyCategoryDescriptor":"uri://ed-fi.org/LocalEducationAgencyCategoryDescriptor#Independent","categories":[{"educationOrganizationCategoryDescriptor":"uri://ed-fi.org/EducationOrganizationCategoryDescriptor#Local Education Agency"}]}"#;

/// A school; a third party's exports give what they do not know as empty text.
fn school(id: u32) -> String {
    json!({
        "schoolId": id,
        "nameOfInstitution": "Harbor Lane",
        "localEducationAgencyReference": {"localEducationAgencyId": 7},
        "educationOrganizationCategories": [
            {"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#School"}
        ],
        "gradeLevels": [{"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"}],
        "addresses": [{
            "addressTypeDescriptor": "uri://ed-fi.org/AddressTypeDescriptor#Physical",
            "stateAbbreviationDescriptor": "uri://ed-fi.org/StateAbbreviationDescriptor#TX",
            "city": "Lantern", "postalCode": "00000", "streetNumberName": "1 Harbor Lane",
            "latitude": "", "longitude": "",
        }],
    })
    .to_string()
}

const SERVICE_CENTER: &str = r#"{"educationServiceCenterId":3,"nameOfInstitution":"Ridge Services","categories":[{"educationOrganizationCategoryDescriptor":"uri://ed-fi.org/EducationOrganizationCategoryDescriptor#Education Service Center"}]}"#;

const DISCIPLINE_ACTION: &str = r#"{"disciplineActionIdentifier":"1","disciplineDate":"2025-09-01","disciplines":[{"disciplineDescriptor":"uri://ed-fi.org/DisciplineDescriptor#Removal from Classroom"}],"responsibilitySchoolReference":{"schoolId":71},"studentReference":{"studentUniqueId":"1"}}"#;

/// Loads what the Python's test suite finds at the API: one district, four types of schools and one disciplinary action.
fn seed(stage: &Stage) {
    let kind = |kind| {
        json!({"namespace": "uri://lightbeam.example/SchoolTypeDescriptor", "codeValue": kind, "shortDescription": kind})
            .to_string()
    };
    // Values of the Alliance's that the payloads have.
    for (resource, values) in [
        ("addressTypeDescriptors", &["Physical"][..]),
        ("disciplineDescriptors", &["Removal from Classroom"]),
        ("educationOrganizationCategoryDescriptors", &["Education Service Center", "Local Education Agency", "School"]),
        ("gradeLevelDescriptors", &["Ninth grade"]),
        ("localEducationAgencyCategoryDescriptors", &["Independent"]),
        ("stateAbbreviationDescriptors", &["TX"]),
    ] {
        let kind = format!("{}{}", resource[..1].to_uppercase(), &resource[1..resource.len() - 1]);
        let value = |value: &&str| {
            json!({"namespace": format!("uri://ed-fi.org/{kind}"), "codeValue": value, "shortDescription": value})
                .to_string()
        };
        let values: Vec<_> = values.iter().map(value).collect();
        stage.folder.write(&format!("seed/{resource}.jsonl"), values.join("\n"));
    }
    stage.folder.write("seed/localEducationAgencies.jsonl", LEA);
    stage.folder.write("seed/schoolTypeDescriptors.jsonl", ["A", "B", "C", "D"].map(kind).join("\n"));
    stage.folder.write("seed/schools.jsonl", school(71));
    stage.folder.write("seed/students.jsonl", &students(1)[0]);
    stage.folder.write("seed/disciplineActions.jsonl", DISCIPLINE_ACTION);
    stage.folder.config(&stage.sandbox.url(), "");
    stage.run(&["send", "--data-dir", "seed"]).expect(0);
    fs::remove_dir_all(stage.folder.0.join("state")).unwrap();
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn the_peers_own_test_suite_passes_unchanged_against_the_binary() {
    let twins = Twins::new();
    [&twins.ours, &twins.theirs].into_iter().for_each(seed);
    // With a folder for its state the Python deletes nothing that it has sent before, and fails its own suite.
    let stateless = CONFIG.replace("state_dir: ${STATE_DIR}\n", "");
    twins.write("lightbeam.yaml", &format!("{stateless}force_delete: true\n"));
    twins.data("schools.jsonl", &[school(72)]);
    twins.data("educationServiceCenters.jsonl", &[SERVICE_CENTER.into()]);
    // What the suite is to compare with comes from the Python itself.
    for (command, resources, file) in [
        ("count", "localEducationAgencies,schoolTypeDescriptors", "count.tsv"),
        ("send", "schools,educationServiceCenters", "send.json"),
    ] {
        let mut command_line = Command::new(python());
        command_line.args([command, "-s", resources, "--results-file", file]);
        run(command_line, &twins.theirs, "").expect(0);
        let expected = fs::read(twins.theirs.folder.0.join(file)).unwrap();
        twins.ours.folder.write(&format!("expected/{file}"), expected);
    }
    fs::create_dir(twins.ours.folder.0.join("output")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_lightbeam")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([binary.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut suite = Command::new(python().with_file_name("python3"));
    suite.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peer/run_suite.py")).args(["lightbeam.yaml", "."]);
    suite.env("PATH", path);
    run(suite, &twins.ours, "").expect(0).tells(&["testing `lighbeam truncate`"]);
}
