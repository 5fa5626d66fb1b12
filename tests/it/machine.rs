//! The machine under stress: disks that are full or cannot be written, data that changes under the reader's eyes.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::support::{Ended, Stage, ended, students, total, until};

/// Runs `lightbeam send` so that no file can grow beyond so many blocks of 512 bytes (1,024 in some shells), as on a disk that is full.
fn send_on_a_disk_of(stage: &Stage, blocks: u32) -> Ended {
    let send = stage.folder.command(&["send", "--results-file", "results.json"]);
    let mut shell = Command::new("sh");
    // Without the trap the system would kill the program for writing.
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    shell.arg(send.get_program()).args(send.get_args()).current_dir(&stage.folder.0);
    for (name, value) in send.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    ended(shell.output().unwrap())
}

#[test]
fn a_disk_that_is_full_from_the_start_stops_a_run_before_anything_is_sent() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(10));
    let run = send_on_a_disk_of(&stage, 0).expect(2);
    assert!(run.err.contains("state") && run.err.contains("File too large"), "{}", run.err);
    assert_eq!(stage.posts().len(), 0);
    stage.send(&[]).0.expect(0);
}

#[test]
fn a_disk_that_fills_up_stops_a_run_and_what_was_written_down_is_not_sent_again() {
    const PAYLOADS: usize = 12_000;
    let stage = Stage::new();
    stage.data("students.jsonl", &students(PAYLOADS));
    // So that metadata is there and the journal is the first to meet the limit.
    stage.send(&["--selector", "students", "--set", "data_dir", ".", "--allow-empty"]).0.expect(0);
    let run = send_on_a_disk_of(&stage, 200).expect(4);
    assert!(run.out.contains("cannot write the journal") && run.out.contains("File too large"), "{}", run.out);

    let sent = stage.posts().len();
    assert!(sent > 1_000 && sent < PAYLOADS, "{sent}");
    let (again, results) = stage.send(&[]);
    again.expect(0);
    let known = total(&results, "skipped") as usize;
    // The last write, what was under way, and what was handed over while the run was being stopped.
    assert!(known + 5 * 8 > sent, "{known} known of {sent} sent");
    assert_eq!(stage.posts().len(), sent + PAYLOADS - known);
}

#[test]
fn a_state_folder_that_cannot_be_made_stops_a_run_before_anything_is_sent() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(10));
    stage.folder.write("state", "a file where the folder should be");
    let run = stage.send(&[]).0.expect(2);
    assert!(run.err.contains("cannot make the folder") && run.err.contains("state_dir"), "{}", run.err);
    assert_eq!(stage.posts().len(), 0);
}

#[test]
fn a_file_that_grows_while_it_is_sent_is_told_and_the_next_run_sends_the_rest() {
    let stage = Stage::new();
    let payloads = students(5_000);
    stage.data("students.jsonl", &payloads[..4_000]);
    let path = stage.folder.0.join("data/students.jsonl");
    let mut run = stage.spawn(&["send", "--set", "connection.pool_size", "1"]);
    until("the run is at work", || !stage.posts().is_empty());
    let rest = payloads[4_000..].join("\n");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(format!("\n{rest}").as_bytes()).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(4));
    stage.send(&[]).0.expect(99);
    assert_eq!(stage.stored().len(), 5_000);
}

#[test]
fn a_file_that_vanishes_before_it_is_read_is_told_and_the_others_arrive() {
    let stage = Stage::new();
    stage.data("students/a.jsonl", &students(3_000));
    stage.data("students/b.jsonl", &["{}".into()]);
    let mut run = stage.spawn(&["send", "--set", "connection.pool_size", "1"]);
    until("the run is at work", || !stage.posts().is_empty());
    fs::remove_file(stage.folder.0.join("data/students/b.jsonl")).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(4));
    assert_eq!(stage.stored().len(), 3_000);
}

#[test]
fn a_pipe_in_the_data_folder_is_told_and_not_waited_for() {
    let stage = Stage::new();
    stage.data("schools.jsonl", &[]);
    stage.data("students/a.jsonl", &students(3));
    let pipe = stage.folder.0.join("data/students/b.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (run, results) = stage.send(&[]);
    run.expect(4);
    assert_eq!(stage.stored().len(), 3);
    assert!(results.to_string().contains("a pipe or a device cannot be read twice"), "{results}");
}
