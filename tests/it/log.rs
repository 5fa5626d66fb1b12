//! What a run tells while it runs, and where.

use serde_json::Value;

use crate::support::{Stage, students};

/// A stage whose run has something to warn of.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    stage.data("studnets.jsonl", &students(1));
    stage
}

/// Whether a line is `2025-01-31 14:00:00 lightbeam WARNING text`.
fn is_log_line(line: &str) -> bool {
    let digits: String = line.chars().take(20).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let words: Vec<_> = line.split_whitespace().skip(2).take(3).collect();
    digits == "0000-00-00 00:00:00 "
        && words.len() == 3
        && words[0] == "lightbeam"
        && ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"].contains(&words[1])
}

#[test]
fn the_log_goes_to_stderr_in_lines_of_the_originals_shape_and_the_summary_to_stdout() {
    let run = stage().send(&[]).0.expect(0);
    assert!(run.err.lines().count() >= 2 && run.err.lines().all(is_log_line), "{}", run.err);
    assert!(run.err.contains("lightbeam WARNING data/studnets.jsonl"), "{}", run.err);
    assert!(run.out.contains("3 payloads read, 3 accepted"), "{}", run.out);
    assert!(!run.out.lines().any(is_log_line) && !run.out.contains("studnets"), "{}", run.out);
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
}

#[test]
fn an_error_is_a_line_of_the_log_too() {
    let run = stage().send(&["--set", "data_dir", "no-such-folder"]).0.expect(2);
    assert!(run.err.lines().all(is_log_line) && run.err.contains("lightbeam CRITICAL"), "{}", run.err);
}

#[test]
fn a_short_run_shows_no_progress_where_there_is_no_terminal() {
    let run = stage().send(&[]).0.expect(0);
    assert!(!run.err.contains("tier ") && !run.err.contains("/s, "), "{}", run.err);
    assert!(!run.err.contains('\u{1b}') && !run.err.contains('\r'), "{:?}", run.err);
}

#[test]
fn as_json_every_line_is_one_object_and_the_results_are_the_output() {
    for args in
        [&[][..], &["--set", "data_dir", "no-such-folder"], &["--set", "edfi_api.base_url", "http://127.0.0.1:1"]]
    {
        let retries = ["--log-format", "json", "--set", "connection.num_retries", "0"];
        let (run, results) = stage().send(&[&retries[..], args].concat());
        let lines: Vec<Value> = run.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!lines.is_empty());
        for line in &lines {
            assert!(["time", "level", "message"].iter().all(|key| line[key].is_string()), "{line}");
        }
        // A configuration that cannot be used leaves no results.
        let out = if run.out.is_empty() { Value::Null } else { serde_json::from_str(&run.out).unwrap() };
        assert_eq!(out, results, "{}", run.out);
    }
}

#[test]
fn quiet_tells_only_what_is_wrong() {
    let stage = stage();
    let run = stage.send(&["--quiet"]).0.expect(0);
    assert!(run.out.is_empty(), "{}", run.out);
    assert!(run.err.lines().count() == 1 && run.err.contains("WARNING"), "{}", run.err);
    std::fs::remove_file(stage.folder.0.join("data/studnets.jsonl")).unwrap();
    let run = stage.send(&["--quiet"]).0.expect(99);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""));
}

#[test]
fn debug_tells_no_secret() {
    let stage = stage();
    let (run, results) = stage.send(&["--set", "log_level", "DEBUG", "show_stacktrace", "true"]);
    assert!(!format!("{run:?}{results}").contains("s3cret-never-shown"));
}
