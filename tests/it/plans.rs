//! `lightbeam plan`: sends nothing, and says what would be sent, in which order, and why not the rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lightbeam::sandbox::Options;
use serde_json::{Value, json};

use crate::stub::Stub;
use crate::support::{Folder, Stage, district, students};

fn planned(folder: &Folder, args: &[&str]) -> Value {
    let ended = folder.run(&[&["plan", "--log-format", "json"], args].concat()).expect(0);
    serde_json::from_str(&ended.out).unwrap()
}

/// The orders of a plan's tiers, each with its resources.
fn tiers(plan: &Value) -> Vec<(u64, Vec<String>)> {
    let name = |row: &Value| row["resource"].as_str().unwrap().to_owned();
    let tier = |tier: &Value| {
        (tier["order"].as_u64().unwrap(), tier["resources"].as_array().unwrap().iter().map(name).collect())
    };
    plan["tiers"].as_array().unwrap().iter().map(tier).collect()
}

#[test]
fn a_plan_sends_nothing_and_asks_for_no_token_and_keeps_no_state() {
    let stage = Stage::new();
    district(&stage.folder);
    let out = stage.run(&["plan"]).expect(0).out;
    assert!(out.starts_with(&format!("Nothing is sent. To {}/data/v3:\n", stage.sandbox.url())), "{out}");
    assert!(stage.sandbox.received().is_empty());
    let kept: Vec<_> = fs::read_dir(stage.folder.0.join("state")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(kept, ["cache"]);
    for line in out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_districts_plan_has_the_tiers_and_counts_of_its_readme() {
    let stage = Stage::new();
    district(&stage.folder);
    let plan = planned(&stage.folder, &[]);
    assert_eq!(plan["target"], format!("{}/data/v3", stage.sandbox.url()));
    let tiers = tiers(&plan);
    assert_eq!(tiers.iter().map(|(order, _)| *order).collect::<Vec<_>>(), (0..=18).collect::<Vec<_>>());
    assert_eq!(tiers[0].1, ["schoolYearTypes"]);
    assert_eq!(tiers[3].1, ["contacts", "staffs", "students"]);
    let sum = |key: &str| -> u64 {
        let rows = plan["tiers"].as_array().unwrap().iter().flat_map(|tier| tier["resources"].as_array().unwrap());
        rows.map(|row| row[key].as_u64().unwrap()).sum()
    };
    let counted = ["files", "payloads", "blank", "duplicates", "invalid", "to_send"].map(sum);
    assert_eq!(counted, [41, 2000, 2, 3, 2, 1995]);
}

#[test]
fn each_reason_not_to_send_is_counted() {
    let stage = Stage::new();
    let refused = "{}".to_owned();
    stage.data("students.jsonl", &[students(3), vec![refused]].concat());
    stage.run(&["send"]).expect(3);
    stage.data(
        "students.jsonl",
        &[students(6), vec!["{}".into(), "".into(), "[]".into(), students(6)[5].clone()]].concat(),
    );
    let row = |args: &[&str]| planned(&stage.folder, args)["tiers"][0]["resources"][0].clone();
    let expected = json!({"resource": "students", "namespace": "ed-fi", "files": 1, "payloads": 9, "to_send": 3,
        "skipped_accepted": 3, "skipped_refused": 1, "duplicates": 1, "invalid": 1, "blank": 1});
    assert_eq!(row(&["--skip-refused"]), expected);
    assert_eq!(row(&["-f"])["to_send"], 7);
    assert_eq!([row(&[]), row(&["--failed"])].map(|row| row["to_send"].clone()), [4, 4]);
    let text = stage.run(&["plan", "--skip-refused"]).expect(0).out;
    assert!(text.contains("--failed sends them"), "{text}");
    let before = stage.posts().len();
    stage.run(&["send", "--skip-refused"]).expect(3);
    assert_eq!(stage.posts().len(), before + 3, "as planned");
}

#[test]
fn the_selector_narrows_the_plan_but_not_its_order() {
    let stage = Stage::new();
    district(&stage.folder);
    let plan = planned(&stage.folder, &["-s", "students,schools,*YearTypes", "-e", "schoolY*"]);
    assert_eq!(tiers(&plan), [(3, vec!["students".to_owned()]), (5, vec!["schools".to_owned()])]);
}

/// The folder of genuine documents, if it is there.
fn genuine(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata").join(name);
    folder.is_dir().then_some(folder)
}

fn document(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Writes a blank file for each resource that `dependencies` let be created, and returns the order of each.
fn one_file_each(folder: &Folder, dependencies: &Value, namespace: &str) -> BTreeMap<String, u64> {
    let mut orders = BTreeMap::new();
    for entry in dependencies.as_array().unwrap() {
        let (of, name) = entry["resource"].as_str().unwrap().trim_matches('/').split_once('/').unwrap();
        if of == namespace && entry["operations"].as_array().unwrap().contains(&"Create".into()) {
            folder.data(&format!("{name}.jsonl"), &["{}".into()]);
            orders.insert(name.to_owned(), entry["order"].as_u64().unwrap());
        }
    }
    orders
}

fn orders(plan: &Value) -> BTreeMap<String, u64> {
    tiers(plan).into_iter().flat_map(|(order, names)| names.into_iter().map(move |name| (name, order))).collect()
}

#[test]
fn a_real_ods_6_1_has_22_tiers() {
    let Some(documents) = genuine("ods-6.1") else { return };
    let dependencies = document(&documents.join("dependencies.json"));
    let mut discovery = document(&documents.join("discovery.json"));
    discovery["urls"]["dependencies"] = "/metadata/data/v3/2025/dependencies".into();
    let api = Stub::api(vec![("/", discovery), ("/metadata/data/v3/2024/dependencies", dependencies.clone())]);
    let folder = Folder::new();
    let expected = one_file_each(&folder, &dependencies, "ed-fi");
    let tpdm = one_file_each(&folder, &dependencies, "tpdm");
    let names: Vec<&str> = tpdm.keys().map(String::as_str).collect();
    let overrides = format!("namespace_overrides: {{tpdm: [{}]}}\nedfi_api_year: 2024\n", names.join(", "));
    folder.config(&api.url("/"), &overrides);
    let plan = planned(&folder, &[]);
    assert_eq!(tiers(&plan).len(), 22);
    assert_eq!(orders(&plan), expected.into_iter().chain(tpdm).collect());
}

#[test]
fn data_standard_5_has_18_tiers() {
    let Some(documents) = genuine("ds-5.0") else { return };
    let stage = Stage::with(Options { metadata: Some(documents.clone()), ..Options::default() });
    let mut expected = one_file_each(&stage.folder, &document(&documents.join("dependencies.json")), "ed-fi");
    // The dependencies are newer than the OpenAPI beside them; the sandbox serves what both know.
    let ended = stage.run(&["plan"]).expect(0);
    expected.retain(|name, _| !ended.err.contains(&format!("data/{name}.jsonl is left out")));
    let plan = planned(&stage.folder, &[]);
    assert_eq!((tiers(&plan).len(), expected.len()), (18, 339 - 12));
    assert_eq!(orders(&plan), expected);
}
