//! A roster that is fetched, as Runway fetches it, is one from which earthmover learns the students of a table.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Stage, district, ended};

/// The configuration of a bundle, in the environment of whoever runs it.
const BUNDLE: &str = "\
data_dir: ${DATA_DIR}
edfi_api:
  base_url: ${EDFI_API_BASE_URL}
  client_id: ${EDFI_API_CLIENT_ID}
  client_secret: ${EDFI_API_CLIENT_SECRET}
connection:
  timeout: 6000
";

/// Takes ids from within the roster's records, one for each kind, and joins a table to one of them.
const PROJECT: &str = r#"version: 2
config:
  output_dir: ./made
  show_progress: False
sources:
  roster:
    file: ./roster/studentEducationOrganizationAssociations.jsonl
  scores:
    file: ./scores.csv
    header_rows: 1
transformations:
  flat_roster:
    source: $sources.roster
    operations:
      - operation: add_columns
        columns:
          organization: '{%raw%}{{ educationOrganizationReference.educationOrganizationId }}{%endraw%}'
          organizationKind: '{%raw%}{{ educationOrganizationReference.link.rel }}{%endraw%}'
          uniqueId: '{%raw%}{{ studentReference.studentUniqueId }}{%endraw%}'
          localId: '{%raw%}{% set own = studentIdentificationCodes | selectattr("assigningOrganizationIdentificationCode", "eq", "LRSD") | list %}{{ own[0].identificationCode if own else "" }}{%endraw%}'
      - operation: keep_columns
        columns: [organization, organizationKind, uniqueId, localId]
  known_scores:
    source: $sources.scores
    operations:
      - operation: join
        sources: [$transformations.flat_roster]
        join_type: inner
        left_key: pupil
        right_key: localId
destinations:
  everybody:
    source: $transformations.flat_roster
    template: ./row.jsont
    extension: jsonl
    linearize: True
  matched:
    source: $transformations.known_scores
    template: ./row.jsont
    extension: jsonl
    linearize: True
"#;

const ROW: &str =
    r#"{"id": "{{uniqueId}}", "of": "{{organization}}", "kind": "{{organizationKind}}", "local": "{{localId}}"}"#;

/// Fetches the roster of the district as Runway does.
fn fetched() -> (Stage, Vec<Value>) {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet", "--partial-ok"]).expect(0);
    stage.folder.write("bundle/lightbeam.yaml", BUNDLE);
    let keys = "studentIdentificationCodes,educationOrganizationReference,studentReference";
    let args = ["-c", "bundle/lightbeam.yaml", "fetch", "-s", "studentEducationOrganizationAssociations", "-k", keys];
    let mut command = stage.folder.command(&args);
    command.env("DATA_DIR", "roster").env("OUTPUT_DIR", "roster").env("EDFI_API_BASE_URL", stage.sandbox.url());
    command.env("EDFI_API_CLIENT_ID", "key").env("EDFI_API_CLIENT_SECRET", "secret").env("API_YEAR", "2025");
    fs::create_dir_all(stage.folder.0.join("roster")).unwrap();
    ended(command.output().unwrap()).expect(0);
    let text =
        fs::read_to_string(stage.folder.0.join("roster/studentEducationOrganizationAssociations.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (stage, records)
}

/// The local id of each student that has one, by its unique id.
fn local_ids<'r>(records: &'r [Value]) -> Vec<(&'r str, &'r str)> {
    let id = |record: &'r Value| {
        let code = Value::as_array(&record["studentIdentificationCodes"])?.first()?;
        Some((record["studentReference"]["studentUniqueId"].as_str()?, code["identificationCode"].as_str()?))
    };
    records.iter().filter_map(id).collect()
}

#[test]
fn each_record_of_a_roster_has_every_key_that_was_asked_for() {
    let (_stage, records) = fetched();
    assert!(records.len() > 100);
    for record in &records {
        let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 3, "{record}");
        assert!(record["studentIdentificationCodes"].is_array(), "{record}");
        assert!(record["educationOrganizationReference"]["link"]["rel"].is_string(), "{record}");
    }
    let (with, all) = (local_ids(&records).len(), records.len());
    assert!(with > 10 && with < all, "{with} of {all} have codes");
}

#[test]
#[ignore = "needs earthmover: make test-create"]
fn earthmover_finds_the_students_of_a_table_in_the_roster() {
    let earthmover = std::env::var("EARTHMOVER").expect("EARTHMOVER names the program");
    let (stage, records) = fetched();
    let ids = local_ids(&records);
    let scores: Vec<String> = ids.iter().map(|(_, local)| format!("{local},50")).collect();
    stage.folder.write("scores.csv", format!("pupil,score\n{}\nNOBODY,1\n", scores.join("\n")));
    stage.folder.write("earthmover.yml", PROJECT);
    stage.folder.write("row.jsont", ROW);
    ended(Command::new(earthmover).arg("run").current_dir(&stage.folder.0).output().unwrap()).expect(0);
    let made = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(stage.folder.0.join(format!("made/{name}.jsonl"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let everybody = made("everybody");
    assert_eq!(everybody.len(), records.len());
    let kinds = ["School", "LocalEducationAgency"];
    assert!(everybody.iter().all(|row| kinds.contains(&row["kind"].as_str().unwrap())), "{:?}", everybody[0]);
    let mut matched: Vec<(String, String)> = made("matched")
        .iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["local"].as_str().unwrap().to_owned()))
        .collect();
    matched.sort();
    let mut expected: Vec<(String, String)> =
        ids.iter().map(|(id, local)| (id.to_string(), local.to_string())).collect();
    expected.sort();
    assert_eq!(matched, expected);
}
