//! The exit codes that scripts branch on. Each is shown by a test, here or where its cause is at home:
//!
//! | code | test |
//! |---:|---|
//! | 0 | `everything_accepted_is_0`, `new_payloads_beside_known_ones_are_0` |
//! | 1 | `everything_refused_is_1` |
//! | 2 | `a_wrong_command_line_or_configuration_is_2`, [`crate::state`] (damaged files) |
//! | 3 | `some_refused_is_3_unless_that_is_fine`, `known_refusals_are_3_unless_that_is_fine` |
//! | 4 | `an_api_that_cannot_be_reached_is_4`, [`crate::faults`] (login refused, payloads unsent) |
//! | 5 | [`crate::state`] (`a_second_run_on_the_same_target_is_told_who_is_at_work`) |
//! | 99 | `everything_skipped_is_99` |
//! | 130, 143 | [`crate::signals`] |

use crate::support::{Folder, Stage, students, total};

/// A student that no sandbox accepts.
fn wrong() -> String {
    r#"{"studentUniqueId":"wrong"}"#.into()
}

fn sending(payloads: &[String]) -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", payloads);
    stage
}

#[test]
fn everything_accepted_is_0() {
    sending(&students(2)).send(&[]).0.expect(0);
}

#[test]
fn nothing_to_read_is_2_and_0_where_that_is_allowed() {
    let (run, results) = Stage::new().send(&[]);
    run.expect(2);
    assert_eq!(total(&results, "processed"), 0);
    let (run, results) = Stage::new().send(&["--allow-empty"]);
    run.expect(0);
    assert_eq!(total(&results, "processed"), 0);
}

#[test]
fn new_payloads_beside_known_ones_are_0() {
    let stage = sending(&students(2));
    stage.send(&[]).0.expect(0);
    stage.data("students.jsonl", &students(3));
    stage.send(&[]).0.expect(0);
    assert_eq!(stage.posts().len(), 3);
}

#[test]
fn everything_refused_is_1() {
    let stage = sending(&[wrong(), "nonsense".into()]);
    stage.send(&["--partial-ok"]).0.expect(1);
}

#[test]
fn a_wrong_command_line_or_configuration_is_2() {
    let stage = sending(&students(1));
    for wrong in [
        &["send", "--forse"][..],
        &["sned"],
        &["send", "-s", "studnets"],
        &["send", "--older-than", "yesterday"],
        &["send", "-c", "no-such-file.yaml"],
        &["send", "--set", "connection.pool_size", "many"],
        &["send", "--set", "data_dir", "no-such-folder"],
    ] {
        let run = stage.run(wrong).expect(2);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{wrong:?}: {run:?}");
    }
    assert!(stage.posts().is_empty());
}

#[test]
fn some_refused_is_3_unless_that_is_fine() {
    let payloads = [students(2), vec![wrong()]].concat();
    sending(&payloads).send(&[]).0.expect(3);
    sending(&payloads).send(&["--partial-ok"]).0.expect(0);
}

#[test]
fn known_refusals_are_3_unless_that_is_fine() {
    let stage = sending(&[students(2), vec![wrong()]].concat());
    stage.send(&[]).0.expect(3);
    stage.send(&["--skip-refused"]).0.expect(3);
    stage.send(&["--skip-refused", "--partial-ok"]).0.expect(0);
    assert_eq!(stage.posts().len(), 3);
    stage.send(&[]).0.expect(3);
    assert_eq!(stage.posts().len(), 4, "without that option it is sent again");
}

#[test]
fn an_api_that_cannot_be_reached_is_4() {
    let folder = Folder::new();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("http://127.0.0.1:{port}");
    folder.config(&url, "connection:\n  num_retries: 1\n");
    folder.data("students.jsonl", &students(2));
    let run = folder.run(&["send", "--results-file", "results.json"]).expect(4);
    assert!(run.err.contains(&url), "{}", run.err);
    let results: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.0.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["exit_code"], 4);
    assert!(results["stopped"].as_str().unwrap().contains(&url), "{results}");
}

#[test]
fn everything_skipped_is_99() {
    let stage = sending(&students(2));
    stage.send(&[]).0.expect(0);
    stage.send(&[]).0.expect(99);
    stage.send(&["--partial-ok"]).0.expect(99);
    assert_eq!(stage.posts().len(), 2);
}
