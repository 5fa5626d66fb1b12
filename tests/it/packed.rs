//! Data files that are compressed with gzip are read as the files that they hold, in bounded memory and whatever they hold.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{Stage, ended, students, total};

/// Writes a member of gzip for each text, one after the other.
fn pack(path: &Path, members: &[&[u8]]) {
    let mut file = File::create(path).unwrap();
    for text in members {
        let mut encoder = GzEncoder::new(&mut file, Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap();
    }
}

#[test]
fn a_compressed_file_is_sent_with_its_line_numbers_and_rejects() {
    let stage = Stage::new();
    let lines = [students(2), vec!["".into(), "{}".into()], students(3).split_off(2)].concat();
    let text = lines.join("\n");
    // As `cat a.gz b.gz` makes it; a line may begin in one member and end in the next.
    let (one, other) = text.as_bytes().split_at(100);
    pack(&stage.folder.0.join("data/students.jsonl.gz"), &[one, other]);
    let (ended, results) = stage.send(&[]);
    ended.expect(3);
    assert_eq!(stage.stored().len(), 3);
    let failure = &results["resources"]["students"]["failures"][0];
    assert!(failure["file"].as_str().unwrap().ends_with("data/students.jsonl.gz"), "{failure}");
    assert_eq!(failure["line_numbers"][0], 4);
    let rejects = Path::new(results["rejects_dir"].as_str().unwrap()).join("students.jsonl");
    assert_eq!(fs::read_to_string(stage.folder.0.join(rejects)).unwrap(), "{}\n");
    stage.run(&["validate"]).expect(3).tells(&["data/students.jsonl.gz:4"]);
    assert!(stage.run(&["plan"]).expect(0).out.contains("students"));
    stage.run(&["delete", "--yes"]).expect(3).tells(&["3 records deleted"]);
}

#[test]
fn a_file_that_is_compressed_between_two_runs_is_skipped() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(5));
    stage.run(&["send"]).expect(0);
    let plain = stage.folder.0.join("data/students.jsonl");
    pack(&stage.folder.0.join("data/students.jsonl.gz"), &[&fs::read(&plain).unwrap()]);
    fs::remove_file(plain).unwrap();
    stage.run(&["send"]).expect(99);
    assert_eq!(stage.posts().len(), 5);
}

#[test]
fn payloads_of_a_compressed_file_that_wait_for_others_are_sent_when_their_turn_comes() {
    let stage = Stage::new();
    // Of one key many payloads: each waits for the one before it.
    let same = |i: usize| students(1)[0].replace("Ada", &format!("Ada {i}"));
    let text: Vec<String> = (0..40).map(same).collect();
    pack(&stage.folder.0.join("data/students.jsonl.gz"), &[text.join("\n").as_bytes()]);
    let (ended, results) = stage.send(&[]);
    ended.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "updated"), total(&results, "same_key")), (1, 39, 39));
    assert_eq!(stage.posts().last().unwrap().body, text[39].as_bytes(), "the last one counts");
}

#[test]
fn a_compressed_file_that_is_cut_off_or_damaged_is_named_and_nothing_else_stops() {
    let stage = Stage::new();
    let path = stage.folder.0.join("data/students.jsonl.gz");
    stage.data(
        "schoolYearTypes.jsonl",
        &[r#"{"schoolYear":2024,"schoolYearDescription":"x","currentSchoolYear":true}"#.into()],
    );
    pack(&path, &[students(5_000).join("\n").as_bytes()]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let before = stage.run(&["send", "--results-file", "results.json"]).expect(4);
    before.tells(&["the file from here was not sent: the compressed file ends too early; was it copied whole?"]);
    assert!(total(&stage.results(), "created") > 0);
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    fs::write(&path, damaged).unwrap();
    stage.run(&["send"]).expect(4).tells(&["the compressed file is damaged"]);
    fs::write(&path, students(1)[0].as_bytes()).unwrap();
    stage.run(&["send"]).expect(4).tells(&["the compressed file is damaged, or it is not gzip"]);
    fs::write(&path, &whole).unwrap();
    stage.run(&["send"]).expect(0);
    assert_eq!(stage.run(&["count", "-s", "students"]).expect(0).out.lines().nth(1), Some("5000\tstudents"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_unpacks_without_end_is_given_up_in_bounded_memory() {
    let stage = Stage::new();
    let path = stage.folder.0.join("data/students.jsonl.gz");
    // One line without end, and lines without end.
    for piece in [vec![b'x'; 1 << 20], b"\n".repeat(1 << 20)] {
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::best());
        encoder.write_all(b"{}").unwrap();
        (0..300).for_each(|_| encoder.write_all(&piece).unwrap());
        encoder.finish().unwrap();
        // Less than the file unpacks to, and more than a run needs.
        let limited =
            format!("ulimit -v 450000; MALLOC_ARENA_MAX=1 exec {} send --no-progress", env!("CARGO_BIN_EXE_lightbeam"));
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited]).current_dir(&stage.folder.0).env("HOME", &stage.folder.0).stdin(Stdio::null());
        ended(shell.output().unwrap()).tells(&["it unpacks to more than 300 times its size, as no payloads do"]);
    }
}

#[test]
fn a_plain_file_that_holds_gzip_is_told_how_to_name_it() {
    let stage = Stage::new();
    pack(&stage.folder.0.join("data/students.jsonl"), &[b"{}"]);
    stage.run(&["send"]).expect(1).tells(&["the file is compressed with gzip; name it NAME.jsonl.gz, or unpack it"]);
}

#[test]
fn both_a_file_and_a_compressed_one_of_its_name_are_read() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(2));
    pack(&stage.folder.0.join("data/Students.NDJSON.GZ"), &[students(4).split_off(2).join("\n").as_bytes()]);
    stage.run(&["send"]).expect(0);
    assert_eq!(stage.stored().len(), 4);
    let run = stage.folder.command(&["validate"]).output().unwrap();
    ended(run).expect(0);
}
