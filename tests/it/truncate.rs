//! `truncate`: every record of the selected resources goes, or it is told which did not.

use std::fs;
use std::time::Duration;

use lightbeam::sandbox::{Options, start};
use serde_json::Value;

use crate::delete::{at_terminal, deletes, erase, left, on, stubborn};
use crate::support::{Stage, district, ended, number, signal, students, total, until};

/// An API with that many students.
fn stage(count: usize, options: Options) -> Stage {
    let stage = Stage::with(options);
    stage.data("students.jsonl", &students(count));
    stage.run(&["send", "--quiet"]).expect(0);
    stage
}

#[test]
fn no_record_is_missed_whichever_way_pages_come_and_even_if_they_shift() {
    for (no_cursor, shift) in [(false, None), (true, None), (true, Some(2))] {
        let stage = stage(1_600, Options { no_cursor, shift, ..Options::default() });
        let pool = ["--set", "connection.pool_size", if shift.is_some() { "1" } else { "8" }];
        let (ended, results) = erase(&stage, "truncate", &[&["--yes", "-s", "students"], &pool[..]].concat());
        ended.expect(0).tells(&["1,600 records deleted"]);
        assert_eq!((total(&results, "there"), total(&results, "deleted")), (1_600, 1_600));
        assert_eq!((left(&stage, "students"), deletes(&stage).len()), (0, 1_600), "each once, in large pages");
        let (_, results) = stage.send(&["-s", "students"]);
        assert_eq!(total(&results, "created"), 1_600, "the state knows");
    }
}

#[test]
fn faults_leave_nothing_behind_and_what_went_without_an_answer_counts_as_gone() {
    let faults = Options { fail_429: Some(29), fail_500: Some(19), cut: Some(7), ..Options::default() };
    let stage = Stage::with(faults);
    stage.data("students.jsonl", &students(60));
    let settings = ["--set", "backoff_factor", "1", "num_retries", "20"];
    stage.run(&[&["send", "--quiet"], &settings[..]].concat()).expect(0);
    let (ended, results) = erase(&stage, "truncate", &[&["--yes", "-s", "students"], &settings[..]].concat());
    ended.expect(0);
    assert_eq!((total(&results, "deleted") + total(&results, "gone"), left(&stage, "students")), (60, 0));
    assert!(total(&results, "gone") > 0, "{results}");
}

#[test]
fn everything_goes_in_the_reverse_order_of_dependencies() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet"]);
    let (ended, results) = erase(&stage, "truncate", &["--yes", "-s", "*", "-e", "schoolYearTypes"]);
    ended.expect(0);
    assert_eq!(total(&results, "deleted"), 1_989 - 5);
    assert_eq!(stage.run(&["count"]).expect(0).out, "Records\tEndpoint\n60\tschoolYearTypes\n");
    let first = deletes(&stage)[0].started;
    let persons = ["ed-fi/students", "ed-fi/staffs", "ed-fi/contacts"];
    let read =
        stage.sandbox.received().into_iter().filter(|request| request.method == "GET" && request.started < first);
    // Once to count them, once to read their ids: afterwards they may be invisible.
    let read: Vec<_> = read.map(|request| request.resource).collect();
    assert!(persons.iter().all(|person| read.iter().filter(|resource| resource == person).count() >= 2), "{read:?}");
    let refused = deletes(&stage).into_iter().filter(|request| request.status != Some(204));
    let refused: Vec<_> = refused.map(|request| request.resource).collect();
    assert!(refused.iter().all(|resource| resource == "ed-fi/objectiveAssessments"), "{refused:?}");
}

#[test]
fn a_resource_of_which_nothing_goes_keeps_its_state_and_one_of_which_some_goes_is_sent_again() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet"]);
    let (ended, results) = erase(&stage, "truncate", &["--yes", "-s", "calendars"]);
    ended.expect(1).tells(&["calendars 409", "0 records deleted"]);
    assert_eq!(total(&results, "refused"), left(&stage, "calendars"));
    stage.send(&["-s", "calendars"]).0.expect(99);
    // All students of the district have associations; this one has none.
    stage.folder.write("more/students.jsonl", &students(1)[0]);
    stage.run(&["send", "--quiet", "--data-dir", "more"]).expect(0);
    let (ended, results) = erase(&stage, "truncate", &["--yes", "-s", "students"]);
    ended.expect(3);
    assert_eq!((total(&results, "deleted"), total(&results, "refused")), (1, 120));
    let (_, results) = stage.send(&["-s", "students"]);
    assert_eq!((total(&results, "updated"), total(&results, "skipped")), (120, 0));
}

#[test]
fn a_resource_that_the_api_forbids_keeps_its_state_and_the_others_go() {
    let stage = stage(3, Options::default());
    let port: u16 = stage.sandbox.url().rsplit(':').next().unwrap().parse().unwrap();
    stage.sandbox.stop();
    let sandbox = start(Options { port, forbid: vec!["students".into()], ..Options::default() }).unwrap();
    let (ended, results) = erase(&stage, "truncate", &["--yes", "-s", "students,schoolYearTypes"]);
    ended.expect(3).tells(&["students 403", "60 records deleted"]);
    assert_eq!(number(&results["resources"]["students"]["status_code"]), 403);
    erase(&stage, "truncate", &["--yes", "-s", "students"]).0.expect(1);
    stage.send(&["-s", "students"]).0.expect(99);
    sandbox.stop();
}

#[test]
fn an_api_that_lets_nobody_delete_is_asked_a_few_times_and_the_state_stays() {
    const NINE: &str = r#"[{"id":"a1"},{"id":"a2"},{"id":"a3"},{"id":"a4"},{"id":"a5"},{"id":"a6"},{"id":"a7"},{"id":"a8"},{"id":"a9"}]"#;
    let stub = stubborn(NINE);
    let stage = on(Stage::new(), &stub);
    stage.data("students.jsonl", &students(3));
    stage.send(&[]).0.expect(0);
    let pool = ["--set", "connection.pool_size", "1"];
    let (ended, results) = erase(&stage, "truncate", &[&["--yes", "-s", "students"], &pool[..]].concat());
    ended.expect(1).tells(&["students 403", "the API refuses this whole resource"]);
    assert_eq!(total(&results, "refused"), 9);
    assert_eq!(stub.lines().iter().filter(|line| line.starts_with("DELETE")).count(), 5);
    stage.send(&[]).0.expect(99);
}

#[test]
fn a_resource_that_somebody_else_has_emptied_is_forgotten_too() {
    let stage = stage(3, Options::default());
    erase(&stage, "truncate", &["--yes", "-s", "students", "--set", "state_dir", "other"]).0.expect(0);
    stage.send(&[]).0.expect(99);
    erase(&stage, "truncate", &["-s", "students", "--yes"]).0.expect(0).tells(&["0 records deleted"]);
    let (_, results) = stage.send(&[]);
    assert_eq!(total(&results, "created"), 3);
}

#[test]
fn a_dry_run_counts_and_deletes_nothing() {
    let stage = stage(3, Options::default());
    let (ended, results) = erase(&stage, "truncate", &["--dry-run"]);
    ended.expect(0).tells(&["students 3", "Nothing is deleted. 63 records would go"]);
    assert_eq!((total(&results, "there"), results["dry_run"].as_bool()), (63, Some(true)));
    assert!(deletes(&stage).is_empty());
    stage.send(&[]).0.expect(99);
}

#[test]
fn it_takes_a_selector_and_consent_or_the_number_of_records_typed() {
    let stage = stage(3, Options::default());
    for (args, told) in [
        (&["-s", "students"][..], "there is no terminal to confirm at"),
        (&["--yes"], "--yes needs a selector"),
        (&["--yes", "-e", "schools"], "--yes needs a selector"),
        (&["-s", "students", "--set", "force_delete", "true"], "there is no terminal to confirm at"),
    ] {
        erase(&stage, "truncate", args).0.expect(2).tells(&[told]);
    }
    if let Some(ended) = at_terminal(&stage, "truncate -s students", "yes") {
        ended.expect(2).tells(&["Type 3 to go on", "nothing was deleted"]);
        at_terminal(&stage, "truncate", "63").unwrap().expect(2).tells(&["Type 63 of all resources to go on"]);
        assert!(deletes(&stage).is_empty());
        at_terminal(&stage, "truncate -s students", "3").unwrap().expect(0).tells(&["3 records deleted"]);
    }
}

#[test]
fn an_interruption_is_obeyed_between_records_and_the_rest_is_accounted_for() {
    let stage = stage(40, Options { latency: Duration::from_millis(10), ..Options::default() });
    let args = ["truncate", "--yes", "-s", "*Types,students", "--results-file", "erased.json"];
    let child = stage.spawn(&[&args[..], &["--set", "connection.pool_size", "1"]].concat());
    until("records are deleted", || deletes(&stage).len() >= 5);
    signal(&child, "INT");
    ended(child.wait_with_output().unwrap()).expect(130).tells(&["Stopped early: interrupted"]);
    let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("erased.json")).unwrap()).unwrap();
    let deleted = total(&results, "deleted");
    assert_eq!((total(&results, "there"), total(&results, "unsent")), (100, 100 - deleted));
    let (_, results) = stage.send(&[]);
    assert_eq!((total(&results, "created"), total(&results, "updated")), (deleted, 40 - deleted));
}
