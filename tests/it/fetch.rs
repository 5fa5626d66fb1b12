//! `fetch`: files that hold just what the API gave, whole, in its order, whatever happens on the way.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::support::{Ended, Stage, district, number, signal, students, until, without_empty_lists};

/// An API with so many students, in the order of their numbers.
fn stage(count: usize, options: Options) -> Stage {
    let stage = Stage::with(options);
    stage.data("students.jsonl", &students(count));
    stage.run(&["send", "--quiet", "--set", "connection.pool_size", "1", "num_retries", "20"]).expect(0);
    stage
}

/// Fetches the students to the folder `out`, and returns the results too.
fn fetch(stage: &Stage, args: &[&str]) -> (Ended, Value) {
    let all = ["fetch", "--output", "out", "--results-file", "fetched.json"];
    let selected: &[&str] = if args.contains(&"-s") { &[] } else { &["-s", "students"] };
    let ended = stage.run(&[&all, selected, args].concat());
    let results = fs::read(stage.folder.0.join("fetched.json")).ok();
    (ended, results.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap()))
}

/// The lines of a file, as they were sent.
fn lines(stage: &Stage, file: &str) -> Vec<String> {
    fs::read_to_string(stage.folder.0.join(file)).unwrap().lines().map(without_empty_lists).collect()
}

/// Where a fetch notes what it wrote.
const MANIFEST: &str = ".lightbeam-fetched.json";

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != MANIFEST).collect()
}

#[test]
fn both_ways_of_paging_give_every_record_in_the_order_of_the_api() {
    for no_cursor in [false, true] {
        let stage = stage(230, Options { no_cursor, ..Options::default() });
        let (ended, results) = fetch(&stage, &["--sendable", "--set", "fetch.page_size", "7"]);
        ended.expect(0).tells(&["230 records in 1 file in out"]);
        assert_eq!(lines(&stage, "out/students.jsonl"), students(230));
        assert_eq!(number(&results["total_records_fetched"]), 230);
        assert_eq!(names(&stage.folder.0.join("out")), ["students.jsonl".to_string()].into());
        let gets = stage.sandbox.received().into_iter().filter(|request| request.method == "GET").count();
        assert!(gets > 230 / 7, "{gets}");
    }
}

#[test]
fn records_are_kept_to_the_byte_and_only_what_the_api_added_goes_on_request() {
    let stage = Stage::new();
    let payload = r#"{"firstName":"\u00c9va\/É","studentUniqueId":"1","lastSurname":"x  y","birthDate":"2010-01-01"}"#;
    stage.data("students.jsonl", &[payload.into()]);
    stage.run(&["send", "--quiet"]).expect(0);
    fetch(&stage, &["--sendable"]).0.expect(0);
    assert_eq!(lines(&stage, "out/students.jsonl"), [payload]);
    fetch(&stage, &["--force"]).0.expect(0);
    let whole = &lines(&stage, "out/students.jsonl")[0];
    assert!(whole.starts_with("{\"id\":\"") && whole.contains(&payload[1..payload.len() - 1]), "{whole}");
}

#[test]
fn what_is_fetched_can_be_sent_to_another_api_and_is_the_same_there() {
    let (one, other) = (Stage::new(), Stage::new());
    district(&one.folder);
    one.run(&["send", "--quiet", "--partial-ok"]);
    let all = ["fetch", "--sendable", "--quiet", "--set", "data_dir"];
    one.run(&[&all[..], &["out"]].concat()).expect(0);
    fs::remove_dir_all(other.folder.0.join("data")).unwrap();
    fs::rename(one.folder.0.join("out"), other.folder.0.join("data")).unwrap();
    other.run(&["send", "--quiet"]).expect(0);
    other.run(&[&all[..], &["out"]].concat()).expect(0);
    let (sent, back) = (other.folder.0.join("data"), other.folder.0.join("out"));
    assert!(names(&sent).len() > 10);
    assert_eq!(names(&sent), names(&back));
    for name in names(&sent) {
        let sorted = |folder: &str| {
            let mut lines = lines(&other, &format!("{folder}/{name}"));
            lines.sort();
            lines
        };
        assert_eq!(sorted("data"), sorted("out"), "{name}");
    }
}

#[test]
fn faults_and_tokens_that_expire_leave_no_gap() {
    use std::time::Duration;
    let faults =
        Options { fail_429: Some(29), fail_500: Some(19), cut: Some(11), no_cursor: true, ..Options::default() };
    let (token_lifetime, latency) = (Duration::from_secs(1), Duration::from_millis(60));
    for options in [faults, Options { token_lifetime, latency, ..Options::default() }] {
        let stage = stage(30, options);
        let (before, tokens) = (stage.sandbox.received().len(), number(&stage.stats()["tokens"]));
        let settings = ["--set", "fetch.page_size", "1", "backoff_factor", "1", "connection.pool_size", "1"];
        fetch(&stage, &[&settings[..], &["--sendable"]].concat()).0.expect(0);
        // In the order in which they were made: what had to be sent again came after others.
        let (mut fetched, mut sent) = (lines(&stage, "out/students.jsonl"), students(30));
        fetched.sort();
        sent.sort();
        assert_eq!(fetched, sent);
        let refused = stage.sandbox.received()[before..].iter().filter(|request| request.status != Some(200)).count();
        assert!(refused > 2 || number(&stage.stats()["tokens"]) > tokens, "nothing went wrong");
    }
}

#[test]
fn pages_that_shift_are_told() {
    let stage = stage(40, Options { no_cursor: true, shift: Some(5), ..Options::default() });
    let (ended, results) = fetch(&stage, &["--set", "fetch.page_size", "4"]);
    ended.expect(3).tells(&["students", "shifted", "40 records before, 40 after", "of them again; fetch it once more"]);
    let told = &results["resources"]["students"];
    assert_eq!((&told["outcome"], number(&told["records_again"])), (&"shifted".into(), 1));
    assert_eq!(lines(&stage, "out/students.jsonl").len() as u64, number(&told["records_fetched"]));
}

#[test]
fn a_resource_that_is_refused_leaves_the_others_whole() {
    let stage = stage(3, Options { forbid: vec!["schools".into()], ..Options::default() });
    let (ended, results) = fetch(&stage, &["-s", "students,schools,staffs"]);
    ended.expect(3).tells(&["schools: 403"]);
    assert_eq!(names(&stage.folder.0.join("out")), ["students.jsonl".to_string()].into());
    let outcome = |name: &str| results["resources"][name]["outcome"].as_str().unwrap();
    assert_eq!([outcome("students"), outcome("schools"), outcome("staffs")], ["fetched", "failed", "fetched"]);
    assert_eq!(number(&results["resources"]["schools"]["status_code"]), 403);
    fetch(&stage, &["-s", "students,schools", "--partial-ok"]).0.expect(0);
    fetch(&stage, &["-s", "schools"]).0.expect(1);
}

#[test]
fn what_was_fetched_before_is_replaced_and_what_somebody_edited_is_not() {
    let stage = stage(3, Options::default());
    let file = stage.folder.0.join("out/students.jsonl");
    fetch(&stage, &["-s", "students"]).0.expect(0);
    stage.data("students.jsonl", &students(4));
    stage.run(&["send"]).expect(0);
    fetch(&stage, &["-s", "students"]).0.expect(0);
    assert_eq!(lines(&stage, "out/students.jsonl").len(), 4);
    fs::write(&file, "mine\n").unwrap();
    fetch(&stage, &["-s", "students"]).0.expect(1).tells(&["somebody else wrote or edited it"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
    fetch(&stage, &["-s", "students", "--compat", "python"]).0.expect(0);
    assert_eq!(lines(&stage, "out/students.jsonl").len(), 4);
    // The manifest is not data.
    let plan = stage.run(&["plan", "--data-dir", "out", "--allow-empty"]).expect(0);
    assert!(!plan.err.contains(MANIFEST), "{}", plan.err);
}

#[test]
fn a_file_that_differs_stays_unless_forced_and_one_that_is_the_same_is_no_trouble() {
    let stage = stage(3, Options::default());
    let file = stage.folder.write("out/students.jsonl", "mine\n");
    fetch(&stage, &[]).0.expect(1).tells(&["is there, and somebody else wrote or edited it; --force replaces it"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
    assert_eq!(names(&stage.folder.0.join("out")).len(), 1);
    fetch(&stage, &["--force"]).0.expect(0);
    assert_eq!(lines(&stage, "out/students.jsonl").len(), 3);
    fetch(&stage, &[]).0.expect(0).tells(&["3 records in 1 file"]);
}

#[test]
fn keys_are_kept_and_dropped_by_what_each_record_has() {
    let stage = Stage::new();
    let student = |id: u8, more: &str| {
        format!(r#"{{"studentUniqueId":"{id}",{more}"birthDate":"2010-01-01","firstName":"A","lastSurname":"B"}}"#)
    };
    stage.data("students.jsonl", &[student(1, ""), student(2, r#""middleName":"M","birthCity":"Here","#)]);
    stage.run(&["send", "--quiet", "--set", "connection.pool_size", "1"]).expect(0);
    fetch(&stage, &["-k", "birth*,*Name,studentUniqueId", "-d", "birthDate,last*"]).0.expect(0);
    let expected = [
        r#"{"studentUniqueId":"1","firstName":"A"}"#,
        r#"{"studentUniqueId":"2","middleName":"M","birthCity":"Here","firstName":"A"}"#,
    ];
    assert_eq!(lines(&stage, "out/students.jsonl"), expected);
}

#[test]
fn a_query_selects_records_and_skips_resources_that_cannot_be_asked_that() {
    let stage = stage(30, Options::default());
    let query = r#"{"LASTsurname": "Number 7"}"#;
    let (ended, results) = fetch(&stage, &["-s", "students,schools,sexDescriptors", "-q", query, "--sendable"]);
    ended.expect(0).tells(&["schools is skipped: it cannot be asked for LASTsurname"]);
    assert_eq!(lines(&stage, "out/students.jsonl"), students(7)[6..]);
    assert_eq!(results["resources"]["sexDescriptors"]["outcome"], "skipped");
    let (ended, _) = fetch(&stage, &["-q", r#"{"lastSurnam": "x"}"#]);
    ended.expect(2).tells(&["no selected resource can be asked that", "did you mean lastSurname?"]);
}

#[test]
fn a_query_holds_on_every_page() {
    for no_cursor in [false, true] {
        let stage = stage(120, Options { no_cursor, ..Options::default() });
        let (ended, _) = fetch(&stage, &["-q", r#"{"firstName": "Nobody"}"#]);
        ended.expect(0);
        assert!(!stage.folder.0.join("out/students.jsonl").exists(), "no records, no file");
        let (ended, _) =
            fetch(&stage, &["-q", r#"{"firstName": "Ada"}"#, "--sendable", "--set", "fetch.page_size", "9"]);
        ended.expect(0);
        assert_eq!(lines(&stage, "out/students.jsonl"), students(120));
    }
}

#[test]
fn a_fetch_goes_on_from_the_version_where_the_one_before_ended() {
    let stage = stage(5, Options::default());
    let since = number(&fetch(&stage, &[]).1["next_since"]).to_string();
    stage.data("students.jsonl", &students(7)[5..]);
    stage.run(&["send", "--quiet"]).expect(0);
    let (ended, results) = fetch(&stage, &["--since", &since, "--sendable", "--force"]);
    ended.expect(0);
    let changed: BTreeSet<_> = lines(&stage, "out/students.jsonl").into_iter().collect();
    assert_eq!(changed, students(7)[5..].iter().cloned().collect());
    let next = number(&results["next_since"]).to_string();
    let (ended, results) = fetch(&stage, &["--since", &next]);
    ended.expect(0);
    assert_eq!((number(&results["total_records_fetched"]), number(&results["next_since"]).to_string()), (0, next));
}

#[test]
fn no_page_is_larger_than_the_api_gives() {
    let stage = stage(3, Options { no_cursor: true, ..Options::default() });
    let (ended, _) = fetch(&stage, &["--set", "fetch.page_size", "5000"]);
    ended.expect(0).tells(&["pages have fewer records than fetch.page_size, 5000"]);
}

#[test]
fn a_fetch_that_is_killed_leaves_no_file_and_the_next_one_clears_up() {
    let stage = Stage::with(Options { hang: Some(3), no_cursor: true, ..Options::default() });
    let args = ["fetch", "--output", "out", "-s", "schoolYearTypes", "--set", "fetch.page_size", "10"];
    let mut child = stage.spawn(&args);
    until("a page hangs", || number(&stage.stats()["requests"]) >= 3);
    stage.run(&args).expect(5).tells(&["another fetch is writing to out"]);
    signal(&child, "KILL");
    child.wait().unwrap();
    assert_eq!(names(&stage.folder.0.join("out")), [".fetch".to_string()].into());
    let healthy = Stage { folder: stage.folder, ..Stage::new() };
    healthy.folder.config(&healthy.sandbox.url(), "");
    fetch(&healthy, &["-s", "schoolYearTypes"]).0.expect(0);
    assert_eq!(names(&healthy.folder.0.join("out")), ["schoolYearTypes.jsonl".to_string()].into());
}

#[test]
fn an_interruption_is_obeyed_between_pages() {
    let stage = stage(60, Options { latency: std::time::Duration::from_millis(20), ..Options::default() });
    let args = ["fetch", "--output", "out", "--results-file", "fetched.json", "-s", "schoolYearTypes,students"];
    let child = stage.spawn(&[&args[..], &["--set", "fetch.page_size", "1", "connection.pool_size", "1"]].concat());
    let before = number(&stage.stats()["requests"]);
    until("pages are given", || number(&stage.stats()["requests"]) >= before + 4);
    signal(&child, "TERM");
    let ended = crate::support::ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code(), 143, "{ended:?}");
    assert!(names(&stage.folder.0.join("out")).is_empty(), "neither a file nor drafts");
    let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("fetched.json")).unwrap()).unwrap();
    assert_eq!(results["resources"]["students"]["outcome"], "missed");
}

#[test]
fn a_run_that_cannot_begin_says_so_in_the_results_too() {
    let stage = Stage::with(Options { credentials: Some(("other".into(), "key".into())), ..Options::default() });
    for command in ["fetch", "count"] {
        stage.run(&[command, "--results-file", "r.json"]).expect(4).tells(&["login refused"]);
        let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("r.json")).unwrap()).unwrap();
        assert_eq!((&results["command"], number(&results["exit_code"])), (&command.into(), 4));
        assert!(results["stopped"].as_str().unwrap().starts_with("login refused"), "{results}");
    }
}

#[test]
fn an_api_that_fails_as_a_whole_ends_the_fetch_without_files() {
    let stage = Stage::with(Options { fail_503: Some(1), ..Options::default() });
    let (ended, results) = fetch(&stage, &["-s", "s*", "--set", "num_retries", "0"]);
    ended.expect(4).tells(&["the API fails as a whole"]);
    assert!(names(&stage.folder.0.join("out")).is_empty());
    assert_eq!(number(&results["exit_code"]), 4);
}
