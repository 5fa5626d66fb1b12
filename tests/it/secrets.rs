//! The secret and the token are in no output, in no file and in no error, whatever goes wrong.

use std::fs;
use std::path::Path;

use lightbeam::sandbox::Options;

use crate::stub::Stub;
use crate::support::{Ended, Folder, Stage, students};

/// The secret that [`Folder::config`] writes, and the same within the Basic header.
const SECRETS: [&str; 3] = ["s3cret-never-shown", "czNjcmV0LW5ldmVyLXNob3du", "a2V5OnMzY3JldC1uZXZlci1zaG93b"];

#[track_caller]
fn shows_none(ended: &Ended) {
    for secret in SECRETS.into_iter().chain(["t0ken"]) {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}\n{}\n{}", ended.out, ended.err);
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn keeps_none(folder: &Folder) {
    for file in files(&folder.0).into_iter().filter(|file| !file.ends_with("lightbeam.yaml")) {
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in SECRETS.into_iter().chain(["t0ken"]) {
            assert!(!text.contains(secret), "{secret} in {}", file.display());
        }
    }
}

#[test]
fn a_run_with_all_there_is_to_tell_shows_no_secret() {
    let stage = Stage::new();
    stage.folder.config(&stage.sandbox.url(), "log_level: DEBUG\nshow_stacktrace: true\n");
    stage.data("students.jsonl", &[students(20), vec!["{}".into(), "no JSON".into()]].concat());
    for args in [&[][..], &["--log-format", "json", "--failed"], &["-f"]] {
        let (ended, results) = stage.send(args);
        assert_eq!(ended.code(), 3, "{}", ended.err);
        assert!(results["total_records_failed"].as_u64() > Some(0));
        shows_none(&ended);
    }
    shows_none(&stage.run(&["plan"]).expect(0));
    keeps_none(&stage.folder);
}

#[test]
fn an_api_that_refuses_or_is_not_there_learns_and_shows_no_secret() {
    let wrong = Stage::with(Options { credentials: Some(("key".into(), "other".into())), ..Options::default() });
    let more = "log_level: DEBUG\nshow_stacktrace: true\nconnection: {num_retries: 0}\n";
    wrong.folder.config(&wrong.sandbox.url(), more);
    wrong.data("students.jsonl", &students(3));
    let (ended, results) = wrong.send(&[]);
    shows_none(&ended.expect(4));
    assert!(results["stopped"].as_str().unwrap().contains("login refused"));
    keeps_none(&wrong.folder);

    let echo = Stub::new(|asked| (400, None, String::from_utf8_lossy(&asked.body).into_owned()));
    wrong.folder.config(&echo.url("/"), more);
    shows_none(&wrong.run(&["send"]).expect(4));
    keeps_none(&wrong.folder);
}

#[test]
fn an_error_of_configuration_shows_no_secret() {
    let folder = Folder::new();
    let secret = SECRETS[0];
    let in_params = format!(r#"{{"A": ["{secret}"]}}"#);
    for (config, args) in [
        (format!("edfi_api: {{client_id: a, client_secret: [{secret}]}}\n"), &[][..]),
        (format!("edfi_api_client_secret: a\nedfi_api: {{client_secret: {secret}}}\n"), &[]),
        (format!("edfi_api_client_secret: {secret}${{NO}}\n"), &[]),
        (format!("edfi_api_client_secret: {secret}\n"), &[]),
        ("{}\n".into(), &["-p", in_params.as_str()]),
        ("{}\n".into(), &["-p", secret]),
        ("{}\n".into(), &["--set", secret, "edfi_api.client_secret"]),
        ("{}\n".into(), &["--set", "edfi_api.client_secret", secret, "edfi_api.client_secret"]),
        ("{}\n".into(), &["--set", "edfi_api.client_secret", secret]),
        ("{}\n".into(), &["--set", "edfi_api.client_secret", secret, "connection.pool_size", "x"]),
        ("connection_pool_size: ${A}\n".into(), &["-p", r#"{"A": "s3cret-never-shown"}"#]),
        (
            format!("edfi_api_base_url: https://key:{secret}@127.0.0.1:1\n"),
            &["--set", "edfi_api_client_id", "a", "edfi_api_client_secret", "b"],
        ),
    ] {
        folder.write("lightbeam.yaml", &config);
        let ended = folder.run(&[&["send"], args].concat());
        assert_eq!(ended.code(), 2, "{config}{args:?}: {}", ended.err);
        shows_none(&ended);
        assert!(!ended.err.is_empty());
    }
}
