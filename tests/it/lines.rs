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

/// The most memory of a run until it has come far enough, in kB; then it is killed.
#[cfg(target_os = "linux")]
fn peak_kb(folder: &Folder, args: &[&str], enough: impl Fn() -> bool) -> u64 {
    let mut run = folder.command(args).spawn().unwrap();
    until("the run has come far enough", enough);
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let kb = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    };
    // Pages of the program's own file count too, and of a debug build there are many.
    kb("VmHWM:") - kb("RssFile:")
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

    let peak = peak_kb(&folder, &["send", "--quiet"], accepted(&sandbox.url(), LINES - 1));
    let file_kb = LINES * LINE as u64 / 1024;
    assert!(peak < file_kb / 2, "{peak} kB at most, for a file of {file_kb} kB");
}

/// Whether the sandbox at that URL has accepted exactly `payloads` payloads.
#[cfg(target_os = "linux")]
fn accepted(url: &str, payloads: u64) -> impl Fn() -> bool {
    move || get(url, "/sandbox/stats")["statuses"]["201"] == payloads
}

/// Some 40 MB are under way whatever their number; of each one some 15 bytes are kept.
#[cfg(target_os = "linux")]
#[test]
fn what_is_kept_of_a_failed_line_is_small() {
    const LINES: usize = 300_000;
    let sandbox = start(Options { hang: Some(1), ..Options::default() }).unwrap();
    let folder = Folder::new();
    folder.config(&sandbox.url(), "");
    let failed = |number| format!(r#"{{"studentUniqueId":{number},"#);
    folder.data("students.jsonl", &(0..LINES).map(failed).chain(crate::support::students(1)).collect::<Vec<_>>());
    let peak = peak_kb(&folder, &["send", "--quiet"], || get(&sandbox.url(), "/sandbox/stats")["requests"] == 1);
    assert!(peak < 64 << 10, "{peak} kB at most, for {LINES} failed lines");
}

#[cfg(target_os = "linux")]
#[test]
fn long_payloads_of_many_workers_take_no_more_memory_than_the_configuration_allows() {
    const PAYLOADS: u64 = 16;
    let sandbox = start(Options {
        no_check: true,
        latency: std::time::Duration::from_millis(50),
        hang: Some(PAYLOADS),
        ..Options::default()
    })
    .unwrap();
    let folder = Folder::new();
    folder.config(&sandbox.url(), "connection: {pool_size: 64, memory: 16, adaptive: false}\n");
    let filling = "x".repeat(6 << 20);
    let line = |n| format!(r#"{{"studentUniqueId":"{n}","essay":"{filling}"}}"#);
    folder.data("students.jsonl", &(0..PAYLOADS).map(line).collect::<Vec<_>>());
    let peak = peak_kb(&folder, &["send", "--quiet"], accepted(&sandbox.url(), PAYLOADS - 1));
    assert!(peak < 56 << 10, "{peak} kB at most, for {PAYLOADS} payloads of 6 MB");
}

#[test]
fn a_character_that_nobody_sees_before_a_payload_is_named_by_send_and_by_validate_and_the_other_lines_are_good() {
    let good = students(12);
    let unseen = [
        ("\u{FEFF}", "a byte order mark (U+FEFF)"),
        ("\u{1E}", "a record separator (U+001E)"),
        ("\u{A0}", "a no-break space (U+00A0)"),
        ("\u{200B}", "a zero-width space (U+200B)"),
        ("\u{2028}", "a line separator (U+2028)"),
        ("\u{3000}", "an ideographic space (U+3000)"),
    ];
    let stage = Stage::new();
    let lines: Vec<String> = good
        .chunks(2)
        .zip(&unseen)
        .flat_map(|(two, (mark, _))| [two[0].clone(), format!("{mark}{}", two[1])])
        .collect();
    stage.data("students.jsonl", &lines);
    let (run, results) = stage.send(&[]);
    run.expect(3);
    let told = failures(&results, "students");
    let expected = |(at, (_, name)): (usize, &(&str, &str))| {
        format!("data/students.jsonl:{} not JSON: the line begins with {name}; remove it", 2 * at + 2)
    };
    let mut expected: Vec<String> = unseen.iter().enumerate().map(expected).collect();
    expected.sort();
    let mut sorted = told.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
    assert_eq!(stage.stored().len(), 6);
    let run = stage.run(&["validate", "--results-file", "validated.json"]).expect(3);
    let validated = std::fs::read_to_string(stage.folder.0.join("validated.json")).unwrap();
    for (_, name) in unseen {
        assert!(validated.contains(&format!("the line begins with {name}; remove it")), "{name}: {}", run.out);
    }
}

#[test]
fn a_file_that_is_no_json_text_is_one_failure_that_says_what_it_is_for_send_and_for_validate() {
    let good = students(2_000);
    let wide: Vec<u8> = good.join("\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wider: Vec<u8> = good.join("\n").chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    packed.extend(miniz_oxide::deflate::compress_to_vec(good.join("\n").as_bytes(), 6));
    let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x87).collect();
    let table = "studentUniqueId,firstName\n1,Ada\n".repeat(500);
    let page = "<html>\n<p>Not Found</p>\n".repeat(1_000);
    let files: [(&str, &[u8], &str); 6] = [
        (
            "gzip",
            &packed,
            "the file is compressed with gzip; name it NAME.jsonl.gz, or unpack it: gunzip -c data/students/gzip.jsonl",
        ),
        ("noise", &noise, "the file is binary data, not text"),
        ("page", page.as_bytes(), "the file is XML or HTML"),
        ("table", table.as_bytes(), "the file holds no JSON: none of its first 1,000 lines begins with {"),
        ("wide", &wide, "the file is UTF-16LE; write it as UTF-8, for example: iconv -f UTF-16LE -t UTF-8"),
        ("wider", &wider, "the file is UTF-32BE; write it as UTF-8"),
    ];
    let stage = Stage::new();
    stage.data("students.jsonl", &good[..3]);
    for (name, bytes, _) in &files {
        stage.folder.write(&format!("data/students/{name}.jsonl"), bytes);
    }
    let (run, results) = stage.send(&[]);
    run.expect(3);
    let expected: Vec<String> =
        files.iter().map(|(name, _, told)| format!("data/students/{name}.jsonl:1 {told}")).collect();
    begin_with(&failures(&results, "students"), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((total(&results, "failed"), stage.stored().len()), (6, 3));
    stage.run(&["validate", "--results-file", "validated.json"]).expect(3);
    let validated = std::fs::read(stage.folder.0.join("validated.json")).unwrap();
    let validated: Value = serde_json::from_slice(&validated).unwrap();
    let told = failures(&validated, "students");
    begin_with(&told, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}
