//! Where lightbeam runs: without a home, with folders that cannot be written, with variables that nobody set, and with
//! secrets as files and key managers hold them.

use std::fs;

use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::support::{Stage, ended, students};

/// The configuration without the state folder that every stage names.
fn without_state(stage: &Stage) {
    let file = stage.folder.0.join("lightbeam.yaml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, config.replace("state_dir: state\n", "")).unwrap();
}

#[test]
fn a_run_without_a_home_goes_on_without_state_and_says_so() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(3), vec!["{}".into()]].concat());
    without_state(&stage);
    // Nothing can be made below a file, whoever runs this.
    for home in [Some("/dev/null"), None] {
        for command in ["send", "validate+send"] {
            let mut run = stage.folder.command(&[command, "--results-file", "results.json"]);
            match home {
                Some(home) => run.env("HOME", home),
                None => run.env_remove("HOME"),
            };
            let ended = ended(run.output().unwrap()).expect(3);
            assert!(ended.err.contains("WARNING the default state_dir ~/.lightbeam: "), "{}", ended.err);
            ended.tells(&["Warning: without a state folder lightbeam remembers nothing"]);
            let results: Value =
                serde_json::from_slice(&fs::read(stage.folder.0.join("results.json")).unwrap()).unwrap();
            assert_eq!(results["rejects_dir"], Value::Null);
            assert_eq!(results["warnings"].as_array().map(Vec::len), Some(1));
        }
    }
    // Each run sent everything: nothing was remembered, and nothing was written.
    assert_eq!(stage.stored().len(), 12);
    let mut made: Vec<_> = fs::read_dir(&stage.folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    made.sort();
    assert_eq!(made, ["data", "lightbeam.yaml", "results.json"]);
}

#[test]
fn without_state_rejects_are_kept_where_a_folder_is_named() {
    let stage = Stage::new();
    stage.data("students.jsonl", &["{}".into()]);
    without_state(&stage);
    let run = stage.folder.command(&["send", "--rejects", "kept"]).env("HOME", "/dev/null").output().unwrap();
    ended(run).expect(1).tells(&["Refused payloads and their reasons are in kept"]);
    assert_eq!(fs::read_to_string(stage.folder.0.join("kept/students.jsonl")).unwrap(), "{}\n");
}

#[test]
fn without_state_other_commands_work_too() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(2));
    without_state(&stage);
    for args in [
        &["plan"][..],
        &["send"],
        &["validate"],
        &["count", "-s", "students"],
        &["fetch", "-s", "students", "--output", "out"],
        &["delete", "--yes"],
        &["send"],
        &["truncate", "--yes", "-s", "students"],
    ] {
        let run = stage.folder.command(args).env("HOME", "/dev/null").output().unwrap();
        ended(run).expect(0);
    }
    assert!(stage.run(&["count", "-s", "students"]).expect(0).out.lines().count() <= 1);
}

#[test]
fn a_configured_state_folder_that_cannot_be_written_stops_the_run_before_anything_is_sent() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    for state in ["/dev/null/state", "${STATE}"] {
        let sets = ["send", "--set", "state_dir", state];
        let run = stage.folder.command(&sets).env("STATE", "/dev/null/x").output().unwrap();
        ended(run)
            .expect(2)
            .tells(&["cannot make the folder /dev/null/", "state_dir in the configuration chooses where"]);
    }
    assert!(stage.posts().is_empty());
}

#[test]
fn an_api_without_a_year_in_its_urls_is_loaded_with_a_warning_where_the_year_is_unset() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    stage.folder.config(&stage.sandbox.url(), "edfi_api_year: ${SCHOOL_YEAR}\ncount:\n  separator: ${SEP:-;}\n");
    let ended = stage.run(&["send"]).expect(0);
    assert!(
        ended.err.contains("WARNING ./lightbeam.yaml:7: edfi_api_year: ${SCHOOL_YEAR} is set neither"),
        "{}",
        ended.err
    );
    assert!(stage.run(&["count", "-s", "students"]).expect(0).out.contains("1;students"));
}

#[test]
fn a_secret_with_a_line_end_logs_in_and_a_line_says_so() {
    let credentials = Some(("key".to_string(), "hidden".to_string()));
    let stage = Stage::with(Options { credentials, ..Options::default() });
    stage.data("students.jsonl", &students(1));
    let file = stage.folder.0.join("lightbeam.yaml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(file, config.replace("s3cret-never-shown", "${KEY_SECRET}")).unwrap();
    let run = stage.folder.command(&["send"]).env("KEY_SECRET", "hidden\n").output().unwrap();
    let ended = ended(run).expect(0);
    ended.tells(&["edfi_api.client_secret: ends with a line break, which is left out"]);
    assert!(!ended.err.contains("hidden"));
}

#[test]
fn a_colon_in_key_or_secret_logs_in_through_the_form() {
    for (id, secret) in [("ke:y", "hid&den"), ("key", "hid:den+%")] {
        let credentials = Some((id.to_string(), secret.to_string()));
        let stage = Stage::with(Options { credentials, ..Options::default() });
        stage.data("students.jsonl", &students(1));
        let login = ["send", "--set", "edfi_api.client_id", id, "edfi_api.client_secret", secret];
        stage.run(&login).expect(0);
        let wrong = [&login[..5], &["hid:wrong"]].concat();
        let ended = stage.run(&[&wrong[..], &["-f", "--set", "state_dir", "other"]].concat()).expect(4);
        ended.tells(&["login refused", "holds a ':', so the login goes in the form"]);
        assert!(!ended.err.contains("hid:wrong") && !ended.err.contains("hid%3Awrong"), "{}", ended.err);
    }
}
