//! How a run ends that could not read all of its input or could not write all of its output.
#![cfg(target_os = "linux")]

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Ended, Stage, ended, students, total};

/// A load of which one file can be read and the other, which links to `to`, cannot.
fn half_readable(to: &str) -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    let year = r#"{"schoolYear":2024,"schoolYearDescription":"x","currentSchoolYear":true}"#;
    stage.folder.write("data/schoolYearTypes/1.jsonl", year);
    symlink(to, stage.folder.0.join("data/schoolYearTypes/2.jsonl")).unwrap();
    stage
}

/// Reading the memory of a process at its beginning is an error of the device (EIO), as of a disk that is broken.
const BROKEN: &str = "/proc/self/mem";

#[test]
fn input_that_cannot_be_read_is_incomplete_outside_the_balance_and_never_success() {
    for to in [BROKEN, "nowhere"] {
        let stage = half_readable(to);
        for more in [&["--partial-ok"][..], &[]] {
            let (run, results) = stage.send(more);
            run.expect(4).tells(&["Incomplete: data/schoolYearTypes/2.jsonl from line 1: "]);
            let incomplete = &results["incomplete"];
            assert_eq!(incomplete.as_array().unwrap().len(), 1);
            assert_eq!(incomplete[0]["file"], "data/schoolYearTypes/2.jsonl");
            assert_eq!(incomplete[0]["from_line"], 1);
            assert_eq!((total(&results, "processed"), total(&results, "failed")), (4, 0), "{results}");
            assert_eq!(results["exit_code"], 4);
        }
        assert_eq!(stage.stored().len(), 4, "what can be read arrives");
        for command in [&["plan"][..], &["validate", "--partial-ok"], &["delete", "--yes", "--partial-ok"]] {
            let run = stage.run(command).expect(4);
            run.tells(&["data/schoolYearTypes/2.jsonl"]);
        }
        fs::remove_file(stage.folder.0.join("data/schoolYearTypes/2.jsonl")).unwrap();
        let (run, results) = stage.send(&[]);
        run.expect(0);
        assert_eq!(results["incomplete"], json!([]));
    }
}

#[test]
fn output_that_cannot_be_written_is_74_unless_the_load_itself_failed() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let run = |args: &[&str]| ended(stage.folder.command(args).stdout(full()).output().unwrap());
    for args in [
        &["send"][..],
        &["send"],
        &["plan"],
        &["count"],
        &["fetch", "--output", "out"],
        &["delete", "--yes"],
        &["metadata", "save", "m.json"],
        &["--help"],
        &["--version"],
        &["send", "--help"],
    ] {
        run(args).expect(74).tells(&["cannot write to standard output: No space left on device"]);
    }
    assert_eq!(stage.stored().len(), 3, "a full disk stops no load");
    stage.data("students.jsonl", &["{".into()]);
    run(&["send"]).expect(1);
}

#[test]
fn whoever_does_not_listen_changes_nothing() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mute = |args: &[&str]| ended(stage.folder.command(args).stderr(full()).output().unwrap());
    mute(&["send"]).expect(0);
    mute(&["send", "--no-such-option"]).expect(2);
    mute(&["send", "--data-dir", "none"]).expect(2);
    assert_eq!(stage.stored().len(), 3);
    for command in ["plan", "count", "send --force", "--help"] {
        let program = env!("CARGO_BIN_EXE_lightbeam");
        let piped = format!("{{ {program} {command}; echo $? >&2; }} | true; {program} {command} >&-; echo $? >&2");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &piped]).current_dir(&stage.folder.0).env("HOME", &stage.folder.0);
        let Ended { err, .. } = ended(shell.output().unwrap());
        let codes: Vec<&str> = err.lines().filter(|line| line.parse::<u8>().is_ok()).collect();
        assert_eq!(codes, ["0", "0"], "{command}: {err}");
    }
}

#[test]
fn a_file_that_cannot_be_written_at_the_end_stops_the_run_before_it_sends_anything() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    stage.folder.write("taken", "a file");
    stage.folder.write("folder/x", "");
    let config = fs::read(stage.folder.0.join("lightbeam.yaml")).unwrap();
    for (file, told) in [
        ("taken/results.json", "cannot write to taken/results.json"),
        ("folder", "cannot write to folder: is a directory"),
        ("lightbeam.yaml", "lightbeam.yaml is the configuration; choose another file to write to"),
        ("data/students.jsonl", "data/students.jsonl is a data file; choose another file to write to"),
    ] {
        stage.run(&["send", "--results-file", file]).expect(2).tells(&[told]);
        stage.run(&["metadata", "save", file]).expect(2).tells(&[told]);
    }
    assert_eq!(stage.posts().len(), 0);
    assert_eq!(fs::read(stage.folder.0.join("lightbeam.yaml")).unwrap(), config);
    assert_eq!(fs::read_to_string(stage.folder.0.join("data/students.jsonl")).unwrap(), students(3).join("\n"));
    assert_eq!(stage.run(&["send", "--results-file", "/dev/full"]).code(), 74);
    assert_eq!(stage.stored().len(), 3);
    // Results that lie beside the data are no data.
    for _ in 0..2 {
        stage.run(&["send", "--force", "--results-file", "data/results.json"]).expect(0);
    }
}
