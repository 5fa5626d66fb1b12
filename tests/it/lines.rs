//! What data files hold: good lines, bad ones, and whole files that are not what they should be.

use std::io::Write;

use lightbeam::sandbox::{Options, start};
use serde_json::Value;

use crate::support::{Folder, Stage, get, number, students, total, until};

/// The failures of a resource as `file:line message`, in order.
fn failures(results: &Value, resource: &str) -> Vec<String> {
    let mut told = Vec::new();
    for failure in results["resources"][resource]["failures"].as_array().unwrap() {
        let (file, message) = (failure["file"].as_str().unwrap(), failure["message"].as_str().unwrap());
        let lines = failure["line_numbers"].as_array().unwrap();
        assert_eq!(number(&failure["count"]), lines.len() as u64);
        told.extend(lines.iter().map(|line| (file.to_owned(), number(line), message)));
    }
    told.sort();
    told.into_iter().map(|(file, line, message)| format!("{file}:{line} {message}")).collect()
}

#[track_caller]
fn begin_with(told: &[String], expected: &[&str]) {
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told} instead of {expected}");
    }
}

#[test]
fn each_kind_of_bad_line_is_told_with_file_and_line_and_all_others_arrive() {
    let stage = Stage::new();
    let good = students(4);
    let lines: [&[u8]; 11] = [
        good[0].as_bytes(),
        b"{\"studentUniqueId\":\"\xff\"}",
        b"nonsense",
        b"[{\"studentUniqueId\":\"a\"}]",
        b"{\"studentUniqueId\":\"b\"} {\"studentUniqueId\":\"c\"}",
        b"{\"studentUniqueId\":\"d\",}",
        b"",
        good[1].as_bytes(),
        b"{\"studentUniqueId\":\"e",
        b"  \t ",
        good[2].as_bytes(),
    ];
    let mut file = b"\xEF\xBB\xBF".to_vec();
    lines.iter().for_each(|line| file.extend([line, &b"\r\n"[..]].concat()));
    file.extend(good[3].as_bytes());
    stage.folder.write("data/students.jsonl", file);

    let (run, results) = stage.send(&[]);
    let run = run.expect(3);
    let expected = [
        "data/students.jsonl:2 not UTF-8 (byte 21 of the line)",
        "data/students.jsonl:3 not JSON",
        "data/students.jsonl:4 not a JSON object",
        "data/students.jsonl:5 not JSON",
        "data/students.jsonl:6 not JSON",
        "data/students.jsonl:9 not JSON",
    ];
    begin_with(&failures(&results, "students"), &expected);
    assert_eq!(stage.stored(), good, "trimmed, and nothing else");
    assert_eq!(stage.posts().len(), 4, "bad lines are never sent");
    let blank = number(&results["resources"]["students"]["lines_blank"]);
    assert_eq!((total(&results, "processed"), total(&results, "refused"), blank), (10, 6, 2));
    assert!(run.out.contains("first at data/students.jsonl:2"), "{}", run.out);

    let (run, results) = stage.send(&[]);
    run.expect(3);
    begin_with(&failures(&results, "students"), &expected);
    assert_eq!((total(&results, "skipped"), stage.posts().len()), (4, 4));
}

#[test]
fn a_file_that_does_not_hold_lines_is_one_failure_that_says_what_to_do_and_the_others_arrive() {
    let stage = Stage::new();
    let good = students(3);
    stage.data("students.jsonl", &good);
    stage.folder.write("data/students.json", format!("[{}]", good.join(",\n")));
    stage.folder.write("data/students/pretty.json", "{\n  \"studentUniqueId\": \"1\"\n}\n{\n}\n");
    let wide: Vec<u8> = good[0].encode_utf16().flat_map(u16::to_le_bytes).collect();
    stage.folder.write("data/students/wide.jsonl", [&b"\xFF\xFE"[..], &wide].concat());
    let (run, results) = stage.send(&[]);
    run.expect(3);
    let told = failures(&results, "students");
    let expected = [
        "data/students.json:1 the file holds a JSON array",
        "data/students/pretty.json:1 the file holds payloads of several lines each",
        "data/students/wide.jsonl:1 the file is UTF-16",
    ];
    begin_with(&told, &expected);
    assert!(told[0].contains("jq -c '.[]' data/students.json") && told[1].contains("jq -c . data/"), "{told:?}");
    assert_eq!(stage.stored(), good);
}

#[test]
fn files_are_found_whatever_their_casing_ending_and_folder() {
    let stage = Stage::new();
    let good = students(5);
    let names = ["STUDENTS.jsonl", "students.ndjson", "Students.JSON", "sTudents/a.jsonl", "sTudents/b.NDJSON"];
    for (name, payload) in names.iter().zip(&good) {
        stage.data(name, std::slice::from_ref(payload));
    }
    stage.send(&[]).0.expect(0);
    assert_eq!(stage.stored(), good);
    assert!(stage.posts().iter().all(|p| p.resource == "ed-fi/students"));
}

#[test]
fn a_file_that_matches_no_resource_is_named_with_the_nearest_one() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    stage.data("studnets.jsonl", &students(1));
    stage.folder.write("data/students.csv", "a,b");
    let run = stage.send(&[]).0.expect(0);
    for told in [
        "data/studnets.jsonl is left out: it matches no resource; did you mean students?",
        "data/students.csv is not read",
    ] {
        assert!(run.err.contains(told), "{told}\n{}", run.err);
    }
}

#[test]
fn a_payload_that_stands_several_times_is_sent_once() {
    let stage = Stage::new();
    let good = students(3);
    stage.data("students/a.jsonl", &[good.clone(), good.clone()].concat());
    stage.folder.write("data/students/b.jsonl", format!("  {}\r\n{}\t\n", good[0], good[1]));
    let (run, results) = stage.send(&[]);
    let run = run.expect(0);
    assert_eq!(stage.posts().len(), 3);
    let counts = ["processed", "created", "duplicate", "skipped"].map(|what| total(&results, what));
    assert_eq!(counts, [8, 3, 5, 5]);
    assert!(run.out.lines().next().unwrap().contains("duplicates"), "{}", run.out);
    let (run, results) = stage.send(&[]);
    run.expect(99);
    assert_eq!((total(&results, "skipped_accepted"), total(&results, "duplicate")), (8, 0));
    let (run, results) = stage.send(&["--force"]);
    run.expect(0);
    assert_eq!((total(&results, "updated"), total(&results, "duplicate")), (3, 5));
}

#[test]
fn the_same_line_in_two_resources_is_two_payloads() {
    let stage = Stage::with(Options { no_check: true, ..Options::default() });
    stage.data("students.jsonl", &students(1));
    stage.data("staffs.jsonl", &students(1));
    stage.send(&[]).0.expect(0);
    assert_eq!(stage.posts().len(), 2);
}

#[test]
fn a_payload_of_20_mb_arrives_as_it_is() {
    let stage = Stage::with(Options { no_check: true, ..Options::default() });
    let large = format!(r#"{{"studentUniqueId":"1","essay":"{}"}}"#, "x".repeat(20 << 20));
    stage.data("students.jsonl", &[large.clone(), students(1).remove(0)]);
    stage.send(&[]).0.expect(0);
    assert!(stage.posts().iter().any(|p| p.body == large.as_bytes()));
    assert_eq!(stage.posts().len(), 2);
}

/// The sandbox leaves the last request unanswered, so that the program can be looked at when it has read and sent everything.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_file() {
    const LINES: u64 = 4_000;
    const LINE: usize = 16 << 10;
    let sandbox = start(Options { no_check: true, hang: Some(LINES), ..Options::default() }).unwrap();
    let folder = Folder::new();
    folder.config(&sandbox.url(), "");
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.0.join("data/students.jsonl")).unwrap());
    let filling = "x".repeat(LINE);
    (0..LINES).for_each(|n| writeln!(file, r#"{{"studentUniqueId":"{n}","essay":"{filling}"}}"#).unwrap());
    file.into_inner().unwrap();

    let mut run = folder.command(&["send", "--quiet"]).spawn().unwrap();
    until("all but one are answered", || get(&sandbox.url(), "/sandbox/stats")["statuses"]["201"] == LINES - 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let file_kb = LINES * LINE as u64 / 1024;
    assert!(peak < file_kb / 2, "{peak} kB at most, for a file of {file_kb} kB");
}
