//! Two namespaces that have a resource of the same name: every command reaches each of them, and confuses neither with the other.

use std::fs;
use std::path::Path;
use std::process::Command;

use lightbeam::sandbox::Options;
use serde_json::{Value, json};

use crate::delete::{erase, left};
use crate::support::{Stage, ended, number, total};

/// An API where `ed-fi` and `tpdm` both have candidates, each with a schema of its own, and descriptors of their stages. Only `tpdm` has rubrics, which refer to its candidates.
fn stage() -> Stage {
    let metadata = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/namesakes");
    Stage::with(Options { metadata: Some(metadata), ..Options::default() })
}

fn core(id: &str) -> String {
    format!(r#"{{"candidateIdentifier":"{id}","lastSurname":"Core"}}"#)
}

fn tpdm(id: &str) -> String {
    format!(r#"{{"candidateIdentifier":"{id}","birthDate":"2001-02-03"}}"#)
}

fn rubric(id: &str, candidate: &str) -> String {
    format!(r#"{{"rubricIdentifier":"{id}","candidateReference":{{"candidateIdentifier":"{candidate}"}}}}"#)
}

/// An API with candidates 1 and 2 in `ed-fi`, 1 to 3 in `tpdm`, and the files from which they came.
fn sent() -> Stage {
    let stage = stage();
    stage.data("ed-fi/candidates.jsonl", &["1", "2"].map(core));
    stage.data("tpdm/Candidates/part.jsonl", &["1", "2", "3"].map(tpdm));
    stage.run(&["send", "--quiet"]).expect(0);
    stage
}

/// The resources of the POSTs so far, sorted.
fn posted(stage: &Stage) -> Vec<String> {
    let mut posted: Vec<_> = stage.posts().into_iter().map(|post| post.resource).collect();
    posted.sort();
    posted
}

fn keys(results: &Value) -> Vec<&str> {
    results["resources"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn read(stage: &Stage, file: &str) -> Option<String> {
    fs::read_to_string(stage.folder.0.join(file)).ok()
}

fn results_of(stage: &Stage, args: &[&str], code: i32) -> Value {
    stage.run(&[args, &["--results-file", "of.json"]].concat()).expect(code);
    serde_json::from_str(&read(stage, "of.json").unwrap()).unwrap()
}

#[test]
fn both_are_sent_in_one_run_and_each_has_its_own_counts_and_history() {
    let stage = stage();
    stage.data("ed-fi/candidates.jsonl", &["1", "2"].map(core));
    stage.data("TPDM/candidates.jsonl", &["1", "2", "3"].map(tpdm));
    stage.data("tpdm/rubrics/1.jsonl", &[rubric("A", "1")]);
    stage.data("schools.jsonl", &[r#"{"schoolId":1}"#.into()]);
    let (run, results) = stage.send(&[]);
    run.expect(0).tells(&["ed-fi/candidates 2 2", "tpdm/candidates 3 3", "tpdm/rubrics 1 1", "schools 1 1"]);
    let created = |name: &str| number(&results["resources"][name]["records_created"]);
    assert_eq!(keys(&results), ["ed-fi/candidates", "schools", "tpdm/candidates", "tpdm/rubrics"]);
    assert_eq!([created("ed-fi/candidates"), created("tpdm/candidates"), created("tpdm/rubrics")], [2, 3, 1]);
    assert_eq!(results["resources"]["tpdm/candidates"]["namespace"], "tpdm");

    let before = stage.posts().len();
    stage.send(&[]).0.expect(99);
    assert_eq!(stage.posts().len(), before);
    stage.data("TPDM/candidates.jsonl", &["1", "2", "4"].map(tpdm));
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "created"), stage.posts().len()), (1, before + 1));
    assert_eq!(stage.posts().last().unwrap().resource, "tpdm/candidates");
}

#[test]
fn the_same_text_in_both_is_a_payload_of_each() {
    let stage = stage();
    let text = r#"{"candidateIdentifier":"1","lastSurname":"A","birthDate":"2001-02-03"}"#.to_string();
    stage.data("ed-fi/candidates.jsonl", std::slice::from_ref(&text));
    stage.data("tpdm/candidates.jsonl", &[text]);
    let (run, results) = stage.send(&["-s", "ed-fi/candidates"]);
    run.expect(0);
    assert_eq!(keys(&results), ["ed-fi/candidates"]);
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (1, 1));
    assert_eq!(posted(&stage), ["ed-fi/candidates", "tpdm/candidates"]);
}

#[test]
fn rejects_of_both_are_kept_apart_and_go_back_with_one_command() {
    let stage = stage();
    stage.data("ed-fi/candidates.jsonl", &[core("1"), tpdm("2")]);
    stage.data("tpdm/candidates.jsonl", &[tpdm("1"), core("2")]);
    stage.send(&["--rejects", "rejects"]).0.expect(3);
    assert_eq!(read(&stage, "rejects/ed-fi/candidates.jsonl"), Some(tpdm("2") + "\n"));
    assert_eq!(read(&stage, "rejects/tpdm/candidates.jsonl"), Some(core("2") + "\n"));
    let reasons = read(&stage, "rejects/tpdm/candidates.reasons.jsonl").unwrap();
    assert!(reasons.contains("data/tpdm/candidates.jsonl") && reasons.contains("birthDate"), "{reasons}");

    stage.folder.write("rejects/ed-fi/candidates.jsonl", core("2"));
    stage.folder.write("rejects/tpdm/candidates.jsonl", tpdm("2"));
    let (run, results) = stage.send(&["--data-dir", "rejects", "--rejects", "rejects"]);
    assert!(!run.expect(0).err.contains("WARNING"));
    assert_eq!((total(&results, "created"), keys(&results)), (2, vec!["ed-fi/candidates", "tpdm/candidates"]));

    stage.data("ed-fi/candidates.jsonl", &["1", "2"].map(core));
    stage.data("tpdm/candidates.jsonl", &["1", "2"].map(tpdm));
    stage.send(&["--rejects", "rejects"]).0.expect(99);
    let rest: Vec<_> = fs::read_dir(stage.folder.0.join("rejects")).unwrap().collect();
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn the_rejects_of_one_namespace_can_be_sent_by_themselves_and_are_left_as_they_are() {
    let stage = stage();
    stage.data("tpdm/candidates.jsonl", &[tpdm("1"), core("2")]);
    stage.send(&["--rejects", "rejects"]).0.expect(3);
    let mended = tpdm("2") + "\n";
    stage.folder.write("rejects/tpdm/candidates.jsonl", &mended);
    let args = ["--data-dir", "rejects/tpdm", "--rejects", "rejects", "--set", "namespace", "tpdm"];
    let (run, results) = stage.send(&args);
    run.expect(0).tells(&["is sent from and left as it is"]);
    assert_eq!(keys(&results), ["tpdm/candidates"]);
    assert_eq!(read(&stage, "rejects/tpdm/candidates.jsonl"), Some(mended));
}

#[test]
fn a_selector_with_a_slash_names_one_namespace_and_one_without_what_is_configured() {
    let stage = stage();
    stage.data("candidates.jsonl", &["1"].map(core));
    stage.data("tpdm/candidates.jsonl", &["1"].map(tpdm));
    stage.data("tpdm/rubrics.jsonl", &[rubric("A", "1")]);
    let rows = |args: &[&str]| -> Vec<String> {
        let plan = stage.run(&[&["plan", "--log-format", "json"], args].concat()).expect(0).out;
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let tiers = plan["tiers"].as_array().unwrap().iter();
        tiers
            .flat_map(|tier| tier["resources"].as_array().unwrap())
            .map(|row| row["resource"].as_str().unwrap().into())
            .collect()
    };
    let (core, tpdm, rubrics) = ("ed-fi/candidates", "tpdm/candidates", "tpdm/rubrics");
    assert_eq!(rows(&[]), [core, tpdm, rubrics]);
    assert_eq!(rows(&["-s", "tpdm/candidates"]), [tpdm]);
    assert_eq!(rows(&["-s", "TPDM/*"]), [tpdm, rubrics]);
    assert_eq!(rows(&["-s", "*/candidates"]), [core, tpdm]);
    assert_eq!(rows(&["-s", "edfi/cand*"]), [core]);
    assert_eq!(rows(&["-s", "candidates"]), [core]);
    assert_eq!(rows(&["-e", "candidates"]), [tpdm, rubrics]);
    assert_eq!(rows(&["-e", "tpdm/candidates"]), [core, rubrics]);
    assert_eq!(rows(&["-s", "*", "-e", "rub*"]), [core, tpdm]);
    assert_eq!(rows(&["-s", "candidates", "--set", "namespace_overrides", "{TPDM: [Candidates]}"]), [tpdm]);
    stage.run(&["plan"]).expect(0).tells(&[core, tpdm, rubrics]);
    stage.run(&["plan", "-s", "candidates"]).expect(0).tells(&["the selector candidates means ed-fi/candidates, of"]);
    for (selector, hint) in [
        ("tpdm/candidate", "did you mean tpdm/candidates?"),
        ("rubrics", "the namespace tpdm has it: name it in namespace_overrides, or write tpdm/rubrics"),
        ("tx/*", "matches no resource"),
    ] {
        stage.run(&["plan", "-s", selector]).expect(2).tells(&[&format!("the selector {selector} matches no"), hint]);
    }
}

#[test]
fn a_file_without_a_namespace_means_what_is_configured_or_is_left_out_with_the_ways_to_write_it() {
    let stage = stage();
    stage.data("candidates.jsonl", &["1"].map(core));
    stage.data("candidates/more.jsonl", &["2"].map(core));
    stage.data("ed-fi/candidates.jsonl", &["3"].map(core));
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "created"), keys(&results)), (3, vec!["ed-fi/candidates"]));

    let undecided = ["--set", "namespace", "none"];
    let told = "its name alone does not say which resource it is: write ed-fi/candidates or tpdm/candidates";
    let run = stage.run(&[&["plan"], &undecided[..]].concat()).expect(0);
    run.tells(&[
        &format!("data/candidates.jsonl is left out: {told}"),
        &format!("data/candidates/more.jsonl is left out: {told}"),
    ]);
    let results = results_of(&stage, &[&["count", "-s", "candidates"], &undecided[..]].concat(), 0);
    assert_eq!(keys(&results), ["ed-fi/candidates", "tpdm/candidates"]);
    stage
        .run(&[&["count", "-s", "candidates"], &undecided[..]].concat())
        .expect(0)
        .tells(&["WARNING the selector candidates means all of that name: write ed-fi/candidates or tpdm/candidates"]);
}

#[test]
fn each_is_validated_by_its_own_schema_and_references_lead_to_the_one_that_they_name() {
    let stage = stage();
    stage.data("ed-fi/candidates.jsonl", &[core("1"), tpdm("2")]);
    stage.data("tpdm/candidates.jsonl", &[tpdm("1"), tpdm("3"), tpdm("3"), core("4")]);
    stage.data("tpdm/rubrics.jsonl", &[rubric("A", "3"), rubric("B", "2")]);
    let methods = ["--set", "validate.methods", "*", "validate.references.remote", "false"];
    let results = results_of(&stage, &[&["validate"], &methods[..]].concat(), 3);
    let messages = |name: &str| {
        let failures = results["resources"][name]["failures"].as_array().unwrap();
        failures.iter().map(|failure| (failure["path"].clone(), failure["line_numbers"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(keys(&results), ["ed-fi/candidates", "tpdm/candidates", "tpdm/rubrics"]);
    assert_eq!(messages("ed-fi/candidates"), [(json!("$.lastSurname"), json!([2]))]);
    assert_eq!(messages("tpdm/candidates"), [(json!("$.birthDate"), json!([4]))]);
    assert_eq!(messages("tpdm/rubrics"), [(json!("$.candidateReference"), json!([2]))]);
    let mut warnings = results["resources"]["tpdm/candidates"]["warnings"].as_array().unwrap().iter();
    assert!(warnings.any(|warning| warning["method"] == "uniqueness" && warning["line_numbers"] == json!([3])));
    let only = ["validate.references.selector", "[ed-fi/candidates]", "validate.references.behavior", "include"];
    let results = results_of(&stage, &[&["validate"], &methods[..], &only].concat(), 3);
    assert_eq!(results["resources"]["tpdm/rubrics"]["failures"], json!([]), "references to others are not checked");
    stage
        .run(&["validate"])
        .expect(3)
        .tells(&["ed-fi/candidates 2 1 1", "tpdm/candidates data/tpdm/candidates.jsonl:4"]);

    let (run, results) = stage.send(&[]);
    run.expect(3);
    assert_eq!(total(&results, "created"), 1 + 2 + 1, "the API sees it the same way");
    let results = results_of(&stage, &["validate+send", "-f"], 3);
    let method = |name: &str| results["resources"][name]["failures"][0]["method"].clone();
    assert_eq!((method("ed-fi/candidates"), method("tpdm/candidates")), ("schema".into(), "schema".into()));
}

#[test]
fn a_descriptor_that_both_have_is_looked_up_in_the_namespace_of_the_schema_that_holds_it() {
    let stage = stage();
    let value = |code: &str| {
        let namespace = "uri://lightbeam.example/StageDescriptor";
        format!(r#"{{"codeValue":"{code}","namespace":"{namespace}","shortDescription":"{code}"}}"#)
    };
    stage.data("ed-fi/stageDescriptors.jsonl", &[value("Core")]);
    stage.data("tpdm/stageDescriptors.jsonl", &[value("Tpdm")]);
    let staged = |payload: String, code: &str| {
        payload.replace('}', &format!(r#","stageDescriptor":"uri://lightbeam.example/StageDescriptor#{code}"}}"#))
    };
    stage.data("ed-fi/candidates.jsonl", &[staged(core("1"), "Core"), staged(core("2"), "Tpdm")]);
    stage.data("tpdm/candidates.jsonl", &[staged(tpdm("1"), "Core"), staged(tpdm("2"), "Tpdm")]);
    let results = results_of(&stage, &["validate"], 3);
    let wrong = |name: &str| results["resources"][name]["failures"][0]["line_numbers"].clone();
    assert_eq!((wrong("ed-fi/candidates"), wrong("tpdm/candidates")), (json!([2]), json!([1])));
    let (run, sent) = stage.send(&[]);
    run.expect(3);
    assert_eq!((total(&sent, "created"), total(&sent, "refused")), (4, 2), "the API sees it the same way");
}

#[test]
fn what_is_fetched_of_both_can_be_sent_elsewhere_whatever_the_namespace_there() {
    let stage = sent();
    stage.data("schools.jsonl", &[r#"{"schoolId":1}"#.into()]);
    stage.run(&["send", "--quiet"]).expect(0);
    let all = ["-s", "*/candidates,schools"];
    let results = results_of(&stage, &[&["fetch", "--output", "copy", "--sendable"], &all[..]].concat(), 0);
    assert_eq!(keys(&results), ["ed-fi/candidates", "schools", "tpdm/candidates"]);
    assert_eq!(results["resources"]["tpdm/candidates"]["file"], "copy/tpdm/candidates.jsonl");
    assert_eq!(read(&stage, "copy/ed-fi/candidates.jsonl").unwrap().lines().count(), 2);
    assert_eq!(read(&stage, "copy/tpdm/candidates.jsonl").unwrap().lines().count(), 3);
    assert!(stage.folder.0.join("copy/schools.jsonl").exists(), "its name alone says which one it is");
    assert!(!stage.folder.0.join("copy/candidates.jsonl").exists());
    stage.run(&[&["fetch", "--output", "copy", "--sendable"], &all[..]].concat()).expect(0);

    let other = self::stage();
    let copy = stage.folder.0.join("copy");
    let copy = copy.to_str().unwrap();
    let (run, results) = other.send(&["--data-dir", copy, "-e", "schools"]);
    run.expect(0);
    assert_eq!((total(&results, "created"), keys(&results)), (5, vec!["ed-fi/candidates", "tpdm/candidates"]));
    other.send(&["--data-dir", copy, "--set", "namespace", "tpdm"]).0.expect(99).tells(&["ed-fi has it"]);
    assert_eq!(stage.run(&["count", "-s", "*/*"]).expect(0).out, other_count());
}

/// What `count` prints of the API whose records are fetched.
fn other_count() -> &'static str {
    "Records\tEndpoint\n2\ted-fi/candidates\n1\tschools\n3\ttpdm/candidates\n"
}

#[test]
fn count_and_fetch_stay_in_the_configured_namespace_unless_asked() {
    let stage = sent();
    assert_eq!(stage.run(&["count"]).expect(0).out, "Records\tEndpoint\n2\ted-fi/candidates\n");
    let results = results_of(&stage, &["count", "-s", "candidates,tpdm/*"], 0);
    let records = |name: &str| number(&results["resources"][name]["records"]);
    assert_eq!([records("ed-fi/candidates"), records("tpdm/candidates"), records("tpdm/rubrics")], [2, 3, 0]);
    stage.run(&["fetch", "--output", "out"]).expect(0).tells(&["ed-fi/candidates 2 fetched", "2 records in 1 file"]);
}

#[test]
fn to_delete_one_leaves_the_other_and_a_name_that_may_mean_either_deletes_nothing() {
    let stage = sent();
    let both = "ed-fi/candidates or tpdm/candidates";
    for args in [&["-s", "candidates"][..], &["-e", "candidates"], &["-s", "tpdm/*", "-e", "cand*"]] {
        let (run, _) = erase(&stage, "delete", &[&["--yes"], args].concat());
        run.expect(2).tells(&["may mean several resources, and nothing is deleted", both]);
    }
    stage.data("candidates.jsonl", &["1"].map(core));
    for args in [&[][..], &["-s", "tpdm/candidates"], &["--dry-run"], &["--set", "namespace", "none"]] {
        let (run, _) = erase(&stage, "delete", &[&["--yes"], args].concat());
        run.expect(2).tells(&["data/candidates.jsonl may be of several resources, and nothing is deleted", both]);
    }
    let schools = erase(&stage, "delete", &["--yes", "-s", "schools"]).0;
    schools.expect(2).tells(&["there is nothing to read"]);
    fs::remove_file(stage.folder.0.join("data/candidates.jsonl")).unwrap();
    assert_eq!((left(&stage, "ed-fi/candidates"), left(&stage, "tpdm/candidates")), (2, 3));

    let (run, results) = erase(&stage, "delete", &["--yes", "-s", "tpdm/candidates"]);
    run.expect(0).tells(&["tpdm/candidates 3 3"]);
    assert_eq!((total(&results, "deleted"), keys(&results)), (3, vec!["tpdm/candidates"]));
    assert_eq!((left(&stage, "ed-fi/candidates"), left(&stage, "tpdm/candidates")), (2, 0));
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (3, 2), "history knows which are gone");
}

#[test]
fn to_truncate_one_leaves_the_other_and_a_name_that_may_mean_either_deletes_nothing() {
    let stage = sent();
    for selector in [&["-s", "candidates"][..], &["-s", "cand*"], &["-s", "*", "-e", "Candidates"]] {
        let (run, _) = erase(&stage, "truncate", &[&["--yes"], selector].concat());
        run.expect(2).tells(&["may mean several resources", "ed-fi/candidates or tpdm/candidates"]);
    }
    assert_eq!((left(&stage, "ed-fi/candidates"), left(&stage, "tpdm/candidates")), (2, 3));
    let (run, results) = erase(&stage, "truncate", &["--yes", "-s", "ed-fi/candidates"]);
    run.expect(0);
    assert_eq!((total(&results, "deleted"), keys(&results)), (2, vec!["ed-fi/candidates"]));
    assert_eq!((left(&stage, "ed-fi/candidates"), left(&stage, "tpdm/candidates")), (0, 3));
    let (run, results) = erase(&stage, "truncate", &["--yes", "-s", "*"]);
    run.expect(0);
    assert!(!keys(&results).iter().any(|key| key.starts_with("tpdm/")), "{results}");
    assert_eq!(left(&stage, "tpdm/candidates"), 3, "nobody named it");
}

#[test]
fn templates_for_both_stand_in_folders_of_their_own() {
    let stage = stage();
    let told = "4 templates in templates";
    stage.run(&["create", "-s", "*/candidates,schools,tpdm/rubrics"]).expect(0).tells(&[told]);
    assert!(read(&stage, "templates/ed-fi/candidates.jsont").unwrap().contains("lastSurname"));
    assert!(read(&stage, "templates/tpdm/candidates.jsont").unwrap().contains("birthDate"));
    assert!(stage.folder.0.join("templates/schools.jsont").exists());
    let project = read(&stage, "earthmover.yml").unwrap();
    for part in [
        "  tpdm_candidates:\n    file: ./sources/tpdm/candidates.csv\n",
        "  tpdm/candidates:\n    source: $sources.tpdm_candidates\n    template: ./templates/tpdm/candidates.jsont\n",
        "  ed-fi/candidates:\n    source: $sources.ed_fi_candidates\n",
        "  schools:\n    source: $sources.schools\n",
    ] {
        assert!(project.contains(part), "{part}\n--- is not in\n{project}");
    }
    stage.run(&["create", "-s", "candidates"]).expect(1).tells(&["templates/ed-fi/candidates.jsont is there already"]);
}

#[test]
#[ignore = "needs earthmover: make test-create"]
fn earthmover_makes_payloads_of_both_that_the_api_takes() {
    let earthmover = std::env::var("EARTHMOVER").expect("EARTHMOVER names the program");
    let stage = stage();
    stage.run(&["create", "-s", "*/candidates"]).expect(0);
    stage.folder.write("sources/ed-fi/candidates.csv", "candidateIdentifier,lastSurname\n1,Core\n");
    stage.folder.write("sources/tpdm/candidates.csv", "candidateIdentifier,birthDate\n1,2001-02-03\n2,2001-02-04\n");
    ended(Command::new(earthmover).arg("run").current_dir(&stage.folder.0).output().unwrap()).expect(0);
    let (run, results) = stage.send(&["--data-dir", "output"]);
    run.expect(0);
    let created = |name: &str| number(&results["resources"][name]["records_created"]);
    assert_eq!([created("ed-fi/candidates"), created("tpdm/candidates")], [1, 2]);
}

#[test]
fn saved_metadata_and_a_rehearsal_with_it_know_both() {
    let stage = sent();
    stage.run(&["metadata", "save", "api.meta"]).expect(0);
    let planned = stage.run(&["plan", "--metadata", "api.meta"]).expect(0);
    planned.tells(&["ed-fi/candidates 1 2 0 2", "tpdm/candidates 1 3 0 3"]);
    let saved = stage.folder.0.join("api.meta");
    let rehearsal = Stage::with(Options { metadata: Some(saved), ..Options::default() });
    rehearsal.data("ed-fi/candidates.jsonl", &["1"].map(core));
    rehearsal.data("tpdm/candidates.jsonl", &[tpdm("1"), core("2")]);
    let (run, results) = rehearsal.send(&[]);
    run.expect(3);
    assert_eq!((total(&results, "created"), total(&results, "refused")), (2, 1));
}
