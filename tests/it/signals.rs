//! Ctrl-c and SIGTERM: what is under way finishes, what is known is written, what is left is sent by the next run.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use lightbeam::sandbox::Options;

use crate::support::{Stage, ended, number, signal, students, total, until};

/// Sends 150 students, four at a time, stops the run by a signal, and sends the rest.
fn stopped_by(name: &str, code: i32, why: &str) {
    let stage = Stage::with(Options { latency: Duration::from_millis(100), ..Options::default() });
    stage.data("students.jsonl", &students(150));
    let run = stage.spawn(&["send", "--results-file", "results.json", "--set", "connection.pool_size", "4"]);
    until("payloads are under way", || number(&stage.stats()["requests"]) >= 9);
    signal(&run, name);
    let run = ended(run.wait_with_output().unwrap()).expect(code);

    let (results, stored) = (stage.results(), stage.stored().len() as u64);
    assert!((9..150).contains(&stored), "{stored} stored");
    let counts = ["processed", "created", "unsent"].map(|what| total(&results, what));
    assert_eq!(counts, [150, stored, 150 - stored], "what was under way has finished and is known");
    assert_eq!((&results["stopped"], &results["exit_code"]), (&why.into(), &code.into()));
    assert!(run.out.contains(&format!("Stopped early: {why}")), "{}", run.out);

    let (rest, results) = stage.send(&["--set", "connection.pool_size", "64"]);
    rest.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (150 - stored, stored));
    assert_eq!(stage.posts().len(), 150, "nothing was sent twice");
}

#[test]
fn ctrl_c_finishes_what_is_under_way_and_leaves_the_rest_to_the_next_run() {
    stopped_by("INT", 130, "interrupted (ctrl-c)");
}

#[test]
fn sigterm_finishes_what_is_under_way_and_leaves_the_rest_to_the_next_run() {
    stopped_by("TERM", 143, "terminated (SIGTERM)");
}

#[test]
fn a_tier_that_was_not_reached_is_told_of_and_sent_by_the_next_run() {
    let stage = Stage::with(Options { latency: Duration::from_millis(100), ..Options::default() });
    crate::support::district(&stage.folder);
    let few = ["--set", "connection.pool_size", "2", "-s", "schoolYearTypes,*Descriptors,students"];
    let run = stage.spawn(&[&["send", "--results-file", "results.json"], &few[..]].concat());
    until("payloads are under way", || number(&stage.stats()["requests"]) >= 1);
    signal(&run, "INT");
    ended(run.wait_with_output().unwrap()).expect(130);
    let results = stage.results();
    assert_eq!(total(&results, "processed"), 5 + 3 + 2 + 7 + 2 + 122, "the files of later tiers are counted too");
    let students = &results["resources"]["students"];
    assert_eq!((number(&students["records_unsent"]), number(&students["records_created"])), (122, 0));
    let (rest, results) = stage.send(&["-s", "schoolYearTypes,*Descriptors,students"]);
    rest.expect(3);
    assert_eq!(number(&results["resources"]["students"]["records_created"]), 120);
}

#[test]
fn a_payload_that_waits_to_be_sent_again_does_not_delay_the_end() {
    // The sandbox asks for a longer wait than this test would have.
    let stage = Stage::with(Options { fail_503: Some(1), retry_after: Some(250), ..Options::default() });
    stage.data("students.jsonl", &students(3));
    let mut run = stage.spawn(&["send", "--results-file", "results.json"]);
    until("all three were answered", || stage.posts().len() == 3);
    signal(&run, "TERM");
    until("the run ends", || run.try_wait().unwrap().is_some());
    ended(run.wait_with_output().unwrap()).expect(143);
    let results = stage.results();
    assert_eq!((total(&results, "unsent"), stage.posts().len()), (3, 3));
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    let stage = Stage::with(Options { hang: Some(5), ..Options::default() });
    stage.data("students.jsonl", &students(5));
    let mut run = stage.spawn(&["send", "--results-file", "results.json", "--set", "connection.timeout", "600"]);
    until("a payload is under way for good", || stage.posts().iter().any(|p| p.status.is_none()));
    signal(&run, "INT");
    until("the run ends", || {
        let over = run.try_wait().unwrap().is_some();
        if !over {
            signal(&run, "INT");
        }
        over
    });
    ended(run.wait_with_output().unwrap()).expect(130);
    assert!(stage.results().is_null(), "it ended without another word");
    assert_eq!(stage.stored().len(), 4);
}

#[cfg(unix)]
#[test]
fn a_command_for_the_secret_that_hangs_is_left_at_the_first_signal() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    let config = std::fs::read_to_string(stage.folder.0.join("lightbeam.yaml")).unwrap();
    let hang = "client_secret_command: touch started; exec sleep 300";
    stage.folder.write("lightbeam.yaml", config.replace("client_secret: s3cret-never-shown", hang));
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let _ = std::fs::remove_file(stage.folder.0.join("started"));
        let child = stage.spawn(&["send"]);
        until("the command runs", || stage.folder.0.join("started").exists());
        signal(&child, name);
        let run = ended(child.wait_with_output().unwrap()).expect(code);
        run.tells(&["stopped while client_secret_command was running"]);
    }
    let late = stage.run(&["send", "--set", "edfi_api.client_secret_timeout", "0.1"]).expect(2);
    late.tells(&["the command has not ended after 0.1 s"]);
    assert!(stage.posts().is_empty());
}

/// A request that is never answered has a limit of ten minutes; Kubernetes would have killed the run long before.
#[test]
fn a_request_that_gets_no_answer_does_not_keep_a_run_from_ending() {
    let stage = Stage::with(Options { hang: Some(1), ..Options::default() });
    stage.data("students.jsonl", &students(1));
    let limit = ["--set", "connection.timeout", "600"];
    let run = stage.spawn(&[&["send", "--results-file", "results.json"], &limit[..]].concat());
    until("the payload is on its way", || !stage.posts().is_empty());
    signal(&run, "TERM");
    let run = ended(run.wait_with_output().unwrap()).expect(143);
    assert_eq!(total(&stage.results(), "unsent"), 1, "{}", run.out);
    assert_eq!(stage.posts().len(), 1);
}

#[test]
fn one_signal_ends_a_run_that_waits_at_a_question_and_nothing_is_deleted() {
    for command in [&["delete"][..], &["truncate"], &["truncate", "-s", "students"]] {
        for (name, code) in [("INT", 130), ("TERM", 143)] {
            let stage = Stage::new();
            stage.data("students.jsonl", &students(2));
            stage.send(&[]).0.expect(0);
            let mut asking = stage.folder.command(command);
            let mut run = asking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let answer = run.stdin.take();
            let (mut stderr, mut said) = (run.stderr.take().unwrap(), Vec::new());
            while !String::from_utf8_lossy(&said).contains("to go on: ") {
                let mut byte = [0];
                assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
                said.push(byte[0]);
            }
            signal(&run, name);
            assert_eq!(run.wait().unwrap().code(), Some(code), "{command:?}");
            drop(answer);
            assert_eq!(stage.stored().len(), 2);
        }
    }
}
