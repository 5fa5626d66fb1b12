//! Metadata in a file: saved from an API, and gone by where there is none.

use std::fs;

use lightbeam::api::saved::Saved;
use lightbeam::resource::Resource;
use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::support::{Folder, Stage, district, students};

fn term(code: &str) -> String {
    format!(r#"{{"namespace":"uri://ed-fi.org/TermDescriptor","codeValue":"{code}","shortDescription":"{code}"}}"#)
}

fn terms() -> Resource {
    Resource::new("ed-fi", "termDescriptors")
}

/// Saves the metadata of the stage's API as `api.meta`.
fn save(stage: &Stage, args: &[&str]) -> Saved {
    stage.run(&[&["metadata", "save", "api.meta"], args].concat()).expect(0);
    Saved::read(&stage.folder.0.join("api.meta")).unwrap()
}

/// How many pages of data were asked for so far.
fn pages(stage: &Stage) -> usize {
    stage.sandbox.received().iter().filter(|received| received.method == "GET").count()
}

#[test]
fn a_load_is_planned_from_a_file_where_no_api_answers() {
    let stage = Stage::new();
    district(&stage.folder);
    let online = stage.run(&["plan"]).expect(0).out;
    stage.run(&["metadata", "save", "api.meta"]).expect(0).tells(&[
        "api.meta holds the metadata of http://127.0.0.1:",
        "resources 143",
        "descriptors 218",
        "bytes",
    ]);
    stage.sandbox.stop();
    fs::remove_dir_all(stage.folder.0.join("state")).unwrap();
    stage.run(&["plan", "--set", "num_retries", "0"]).expect(4);
    assert_eq!(stage.run(&["plan", "--metadata", "api.meta"]).expect(0).out, online);
    assert_eq!(stage.run(&["plan", "--set", "metadata_file", "api.meta"]).expect(0).out, online);
}

#[test]
fn the_file_is_small_and_keeps_no_secret() {
    let stage = Stage::new();
    save(&stage, &[]);
    let bytes = fs::read(stage.folder.0.join("api.meta")).unwrap();
    assert!(bytes.len() < 60_000, "{}", bytes.len());
    let secret = b"s3cret-never-shown";
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn what_was_saved_is_told_to_machines_too() {
    let stage = Stage::new();
    let out = stage.run(&["metadata", "save", "api.meta", "--log-format", "json"]).expect(0).out;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["resources"], &told["descriptors"], &told["descriptor_values"]),
        (&143.into(), &218.into(), &0.into())
    );
    assert_eq!(told["bytes"], fs::metadata(stage.folder.0.join("api.meta")).unwrap().len());
}

#[test]
fn a_wrong_file_is_named_and_told_what_is_wrong() {
    let stage = Stage::new();
    save(&stage, &[]);
    let bytes = fs::read(stage.folder.0.join("api.meta")).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    let mut newer = bytes.clone();
    newer[7] = 9;
    for (name, bytes, what) in [
        ("cut.meta", &bytes[..bytes.len() / 2], "is cut short or damaged"),
        ("damaged.meta", &damaged, "is cut short or damaged"),
        ("newer.meta", &newer, "has version 9, this program reads 1"),
        ("other.meta", b"{}", "is not one that lightbeam wrote"),
    ] {
        stage.folder.write(name, bytes);
        for args in [["plan", "--metadata", name], ["send", "--metadata", name], ["sandbox", "--metadata", name]] {
            let told = format!("the metadata file {name} {what}");
            stage.run(&args).expect(2).tells(&[&told, "lightbeam metadata save"]);
        }
    }
    stage.run(&["plan", "--metadata", "none.meta"]).expect(2).tells(&["cannot read the metadata file none.meta"]);
}

#[test]
fn the_metadata_of_another_api_is_not_gone_by() {
    let (stage, other) = (Stage::new(), Stage::new());
    save(&stage, &[]);
    let file = stage.folder.0.join("api.meta");
    let told = [stage.sandbox.url(), other.sandbox.url()].map(|url| url.to_owned());
    for command in ["plan", "send"] {
        let ended = other.run(&[command, "--metadata", file.to_str().unwrap()]).expect(2);
        ended.tells(&["edfi_api.base_url", &told[0], &told[1]]);
    }
    assert!(other.sandbox.received().is_empty());
}

#[test]
fn sending_by_a_file_asks_for_no_metadata() {
    let stage = Stage::new();
    save(&stage, &[]);
    fs::remove_dir_all(stage.folder.0.join("state")).unwrap();
    stage.data("students.jsonl", &students(3));
    stage.send(&["--metadata", "api.meta"]).0.expect(0);
    assert_eq!(stage.stored().len(), 3);
    assert!(!stage.folder.0.join("state/cache").exists(), "nothing was asked for that would be kept");
}

#[test]
fn saving_asks_the_api_even_where_a_file_is_configured() {
    let stage = Stage::new();
    stage.folder.config(&stage.sandbox.url(), "metadata_file: api.meta\n");
    save(&stage, &[]);
    stage.data("termDescriptors.jsonl", &[term("Fall")]);
    stage.run(&["send"]).expect(0);
    assert!(save(&stage, &["-w"]).values.of(&terms()).eq(["uri://ed-fi.org/TermDescriptor#Fall"]));
}

#[test]
fn all_values_are_saved_and_asked_for_once_until_they_are_wiped() {
    let stage = Stage::new();
    let codes: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    stage.data("termDescriptors.jsonl", &codes.iter().map(|code| term(code)).collect::<Vec<_>>());
    stage.run(&["send"]).expect(0);
    assert_eq!(save(&stage, &[]).values.of(&terms()).count(), 501);
    assert_eq!(pages(&stage), 219, "one for each descriptor and a second for terms");
    stage.data("termDescriptors.jsonl", &[term("another")]);
    stage.run(&["send", "--set", "state_dir", "elsewhere"]).expect(0);
    assert_eq!(save(&stage, &[]).values.of(&terms()).count(), 501);
    assert_eq!(pages(&stage), 219, "they are kept, for nothing tells of somebody else's changes");
    assert_eq!(save(&stage, &["-w"]).values.of(&terms()).count(), 502);
    assert_eq!(pages(&stage), 2 * 219);
    stage.data("termDescriptors.jsonl", &[term("a third")]);
    stage.run(&["send"]).expect(0);
    assert_eq!(save(&stage, &[]).values.of(&terms()).count(), 503);
    assert_eq!(pages(&stage), 2 * 219 + 2, "what a run itself has changed is asked for again");
}

#[test]
fn values_arrive_through_429_500_and_cut_connections() {
    let faults = Options { fail_429: Some(7), fail_500: Some(11), cut: Some(13), ..Options::default() };
    let stage = Stage::with(faults);
    stage.folder.config(&stage.sandbox.url(), "connection:\n  backoff_factor: 1\n");
    stage.data("termDescriptors.jsonl", &[term("Fall")]);
    stage.run(&["send"]).expect(0);
    let saved = save(&stage, &[]);
    assert_eq!((saved.values.descriptors().count(), saved.values.count()), (218, 1));
}

#[test]
fn a_descriptor_that_may_not_be_read_is_told_and_nothing_is_known_of_it() {
    let stage = Stage::with(Options { forbid: vec!["termDescriptors".into()], ..Options::default() });
    stage.run(&["metadata", "save", "api.meta"]).expect(0).tells(&[
        "the API does not give the values of a descriptor (403, ",
        ": termDescriptors",
        "descriptors 217",
    ]);
    let values = Saved::read(&stage.folder.0.join("api.meta")).unwrap().values;
    assert_eq!(values.has(&terms(), "uri://ed-fi.org/TermDescriptor#Fall"), None);
}

#[test]
fn the_sandbox_serves_what_was_saved_and_knows_its_values() {
    let stage = Stage::new();
    let (namespace, known) = ("uri://ed-fi.org/SexDescriptor", "Female");
    let female = format!(r#"{{"namespace":"{namespace}","codeValue":"{known}","shortDescription":"{known}"}}"#);
    stage.data("sexDescriptors.jsonl", &[female]);
    stage.run(&["send"]).expect(0);
    let saved = save(&stage, &[]);
    let again = Stage::with(Options { metadata: Some(stage.folder.0.join("api.meta")), ..Options::default() });
    let saved_again = save(&again, &[]);
    assert_eq!(saved_again.values, saved.values);
    assert_eq!(saved_again.dependencies, saved.dependencies);
    assert_eq!(saved_again.source.schemas, saved.source.schemas);
    let born = |code: &str, id| {
        students(1)[0].replace("\"1\"", id).replace('}', &format!(r#","birthSexDescriptor":"{namespace}#{code}"}}"#))
    };
    again.data("students.jsonl", &[born(known, "\"7\""), born("Femal", "\"8\"")]);
    again.run(&["send"]).expect(3).tells(&["Femal"]);
    assert_eq!(again.stored().len(), 1);
}

#[test]
fn the_command_says_what_it_needs() {
    let folder = Folder::new();
    let help = folder.run(&["metadata", "--help"]).expect(0);
    help.tells(&["lightbeam metadata save FILE [CONFIG] [options]", "--wipe"]);
    folder.run(&["metadata"]).expect(2).tells(&["lightbeam metadata save FILE"]);
    folder.run(&["metadata", "save"]).expect(2).tells(&["'metadata' needs a file: lightbeam metadata save FILE"]);
    folder.run(&["metadata", "load", "x"]).expect(2).tells(&["'metadata' does not know 'load'"]);
    folder.run(&["metadata", "save", "x", "c.yaml", "more"]).expect(2).tells(&["unexpected argument 'more'"]);
    folder.run(&["metadata", "save", "x", "c.yaml"]).expect(2).tells(&["cannot read the configuration c.yaml"]);
}
