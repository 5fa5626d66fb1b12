//! The results file: the Python lightbeam's keys and types, for pipelines parse it, and counts that add up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::district::table;
use crate::support::{Stage, district, ended, number, signal, students, total, until};

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Fails the test unless `ours` has every key of the objects `examples`, with a value of the same type, but for a status where there
/// was no answer, and for overrides where nobody set any.
fn has_the_keys_of<'v>(ours: &Value, examples: impl Iterator<Item = &'v Value>, place: &str) {
    for (key, example) in examples.flat_map(|example| example.as_object().unwrap()) {
        let can_be_null = ["status_code", "namespace_overrides"].contains(&key.as_str());
        let is_unset = can_be_null && ours.get(key) == Some(&Value::Null);
        assert!(is_unset || kind(&ours[key]) == kind(example), "{place}.{key} is {}, not as {example}", ours[key]);
    }
}

/// Fails the test unless the results have the shape of the example that is kept of the original.
fn has_the_shape_of_the_original(results: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/results/python-send.json");
    let example: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    has_the_keys_of(results, [&example].into_iter(), "results");
    let examples = || example["resources"].as_object().unwrap().values();
    for (name, counts) in results["resources"].as_object().unwrap() {
        has_the_keys_of(counts, examples(), name);
        for list in ["successes", "failures"] {
            let entries = || examples().filter_map(|example| example[list].as_array()).flatten();
            for entry in counts[list].as_array().unwrap() {
                has_the_keys_of(entry, entries(), &format!("{name}.{list}"));
            }
        }
    }
    for time in ["started_at", "completed_at"] {
        let pattern =
            |time: &str| -> String { time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect() };
        assert_eq!(pattern(results[time].as_str().unwrap()), pattern(example[time].as_str().unwrap()));
    }
}

#[test]
fn the_results_file_has_every_key_of_the_originals() {
    let stage = Stage::new();
    let wrong = r#"{"studentUniqueId":"wrong"}"#.to_owned();
    stage.data("students.jsonl", &[students(3), vec![wrong.clone(), students(1).remove(0), wrong]].concat());
    let (run, results) = stage.send(&[]);
    run.expect(3);
    has_the_shape_of_the_original(&results);
    let students = &results["resources"]["students"];
    assert_eq!(students["successes"], serde_json::json!([{"status_code": 201, "count": 3}]));
    let failures = students["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!((&failures[0]["status_code"], &failures[0]["line_numbers"]), (&400.into(), &serde_json::json!([4])));
    assert_eq!(failures[0]["file"], "data/students.jsonl");
    let about = ["config_file", "data_dir", "api_url", "namespace", "command"].map(|key| results[key].clone());
    assert_eq!(about, ["./lightbeam.yaml", "data", &stage.sandbox.url(), "ed-fi", "send"]);
    assert_eq!(results["exit_code"], 3);

    let (_, again) = stage.send(&[]);
    has_the_shape_of_the_original(&again);
}

#[test]
fn the_results_file_has_that_shape_when_the_run_was_stopped_too() {
    let stage = Stage::with(Options { latency: Duration::from_millis(100), ..Options::default() });
    district(&stage.folder);
    let run = stage.spawn(&["send", "--results-file", "results.json"]);
    until("payloads are under way", || number(&stage.stats()["requests"]) > 60);
    signal(&run, "TERM");
    ended(run.wait_with_output().unwrap()).expect(143);
    let results = stage.results();
    has_the_shape_of_the_original(&results);
    assert_eq!((&results["stopped"], &results["exit_code"]), (&"terminated (SIGTERM)".into(), &143.into()));
    assert_eq!(total(&results, "processed"), 2_000);
}

#[test]
fn the_counts_of_the_whole_district_add_up_and_its_wrong_payloads_are_told_by_file_and_line() {
    let stage = Stage::new();
    district(&stage.folder);
    let (run, results) = stage.send(&[]);
    let run = run.expect(3);
    let counts =
        ["processed", "created", "updated", "duplicate", "refused", "unsent"].map(|what| total(&results, what));
    assert_eq!(counts, [2_000, 1_984, 5, 3, 8, 0], "the sandbox has the five school years from the start");
    assert_eq!(number(&results["total_lines_blank"]), 2);
    assert!(run.out.contains("2,000 payloads read, 1,989 accepted"), "{}", run.out);

    let mut told = BTreeMap::new();
    for failure in results["resources"].as_object().unwrap().values().flat_map(|r| r["failures"].as_array().unwrap()) {
        let file = failure["file"].as_str().unwrap().strip_prefix("data/").unwrap().to_owned();
        for line in failure["line_numbers"].as_array().unwrap() {
            told.insert((file.clone(), number(line)), (&failure["status_code"], failure["message"].as_str().unwrap()));
        }
    }
    for row in table("| file | line | answer |") {
        let (status, message) = told.remove(&(row[0].clone(), row[1].parse().unwrap())).unwrap();
        assert_eq!(status, &row[2].parse::<u16>().map_or(Value::Null, Value::from), "{row:?}");
        assert!(message.to_lowercase().contains(&row[3].to_lowercase()), "{row:?}: {message}");
    }
    assert!(told.is_empty(), "{told:?}");

    let (run, results) = stage.send(&[]);
    run.expect(3);
    let counts = ["processed", "skipped", "skipped_refused", "failed"].map(|what| total(&results, what));
    assert_eq!(counts, [2_000, 1_992, 0, 8], "what was refused is sent again, and refused again");
    let (run, results) = stage.send(&["--skip-refused"]);
    run.expect(3);
    let counts = ["processed", "skipped", "skipped_refused", "failed"].map(|what| total(&results, what));
    assert_eq!(counts, [2_000, 1_996, 4, 4], "two wait for order, and two are not payloads");
    assert_eq!(stage.stored().len(), 1_989);
}

#[test]
fn payloads_that_wait_for_others_are_accounted_for_when_the_run_stops() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.send(&["-s", "studentAcademicRecords"]).0.expect(1);
    let folder = |path: &Path| fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let target = folder(&stage.folder.0.join("state")).into_iter().find(|path| path.join("journal").exists()).unwrap();
    fs::write(target.join("ed-fi/studentAcademicRecords.dat"), "damaged").unwrap();
    // The tier of these stops the run, while enrolments of a student who does not exist wait for its end.
    let (run, results) = stage.send(&["--force"]);
    let run = run.expect(4);
    assert!(!run.out.contains("do not add up"), "{}", run.out);
    assert!(total(&results, "processed") > 1_900);
}

#[cfg(unix)]
#[test]
fn results_that_go_to_a_device_a_pipe_or_through_a_link_leave_these_what_they_are() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let stage = Stage::new();
    stage.data("students.jsonl", &students(2));
    let path = |name: &str| stage.folder.0.join(name);
    symlink("/dev/null", path("null")).unwrap();
    stage.run(&["send", "--results-file", "null"]).expect(0);
    assert!(fs::metadata(path("null")).unwrap().file_type().is_char_device());
    assert!(fs::symlink_metadata(path("null")).unwrap().is_symlink());

    // Standard output is a pipe here.
    let run = stage.run(&["send", "--quiet", "--results-file", "/dev/stdout"]).expect(99);
    let results: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(total(&results, "skipped"), 2);

    stage.folder.write("real.json", "before");
    symlink("real.json", path("link.json")).unwrap();
    stage.run(&["send", "--results-file", "link.json"]).expect(99);
    assert!(fs::symlink_metadata(path("link.json")).unwrap().is_symlink());
    assert!(fs::read_to_string(path("real.json")).unwrap().contains("records_skipped"));
}
