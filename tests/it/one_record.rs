//! Several payloads of one record, over several runs: the last one in the files is what the API holds in the end.

use std::fs;
use std::path::{Path, PathBuf};

use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::support::{Stage, total, until};

fn student(id: usize, version: &str) -> String {
    format!(
        r#"{{"studentUniqueId":"{id}","birthDate":"2012-01-01","firstName":"Ada","lastSurname":"Version {version}"}}"#
    )
}

/// Sends these versions of student 1, in files in the order of their names, expects the exit code, and returns the versions that were posted.
#[track_caller]
fn sends(stage: &Stage, versions: &[&str], code: i32) -> Vec<String> {
    let folder = stage.folder.0.join("data");
    fs::remove_dir_all(&folder).unwrap();
    // Each in a file of its own, behind what fills blocks, so that they are in different pieces.
    for (number, version) in versions.iter().enumerate() {
        stage.data(&format!("students/{number}.jsonl"), &[student(1, version)]);
    }
    let before = stage.posts().len();
    stage.send(&[]).0.expect(code);
    let posts = stage.posts().into_iter().skip(before);
    let version = |body: Vec<u8>| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["lastSurname"].as_str().unwrap().trim_start_matches("Version ").to_owned()
    };
    posts.map(|post| version(post.body)).collect()
}

#[test]
fn a_payload_that_comes_back_after_another_one_of_its_record_is_sent_again() {
    let stage = Stage::new();
    assert_eq!(sends(&stage, &["A"], 0), ["A"]);
    assert_eq!(sends(&stage, &["B"], 0), ["B"]);
    assert_eq!(sends(&stage, &["A"], 0), ["A"]);
    assert_eq!(sends(&stage, &["A"], 99), [""; 0]);
    assert_eq!(sends(&stage, &["B"], 0), ["B"]);
}

#[test]
fn an_unchanged_folder_with_several_payloads_of_one_record_is_skipped() {
    let stage = Stage::new();
    assert_eq!(sends(&stage, &["A", "B", "C"], 0), ["A", "B", "C"]);
    for _ in 0..2 {
        assert_eq!(sends(&stage, &["A", "B", "C"], 99), [""; 0]);
    }
    assert_eq!(sends(&stage, &["B", "C"], 99), [""; 0]);
}

#[test]
fn the_last_payload_in_the_files_decides_and_earlier_ones_are_skipped_with_it() {
    let stage = Stage::new();
    assert_eq!(sends(&stage, &["A", "B"], 0), ["A", "B"]);
    assert_eq!(sends(&stage, &["B", "A"], 0), ["A"], "the API holds B, which is not the last one any more");
    assert_eq!(sends(&stage, &["new", "A"], 99), [""; 0], "the API holds the last one");
    assert_eq!(sends(&stage, &["new", "A", "newer"], 0), ["newer"]);
    assert_eq!(sends(&stage, &["newer", "new", "newer"], 99), [""; 0]);
    assert_eq!(sends(&stage, &["newer", "A", "new"], 0), ["A", "new"]);
}

#[test]
fn an_earlier_payload_that_the_api_refuses_does_not_matter_where_it_holds_the_last_one() {
    let stage = Stage::new();
    let refused = "A".repeat(100);
    assert_eq!(sends(&stage, &[&refused, "B"], 3).len(), 2);
    assert_eq!(sends(&stage, &[&refused, "B"], 99), [""; 0]);
    assert_eq!(sends(&stage, &["B", &refused], 3), std::slice::from_ref(&refused), "the last one is not accepted");
    assert_eq!(sends(&stage, &["B"], 99), [""; 0], "a refusal changes nothing in the API");
}

#[test]
fn plan_says_of_several_payloads_of_one_record_what_send_does() {
    let stage = Stage::new();
    sends(&stage, &["A", "B"], 0);
    stage.data("students/3.jsonl", &[student(1, "A"), student(2, "A")]);
    let plan = stage.run(&["plan", "--log-format", "json"]).expect(0);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    let row = &plan["tiers"][0]["resources"][0];
    let posts = stage.posts().len();
    stage.send(&[]).0.expect(0);
    assert_eq!(row["to_send"], stage.posts().len() - posts, "{row}");
}

#[test]
fn what_was_sent_without_a_final_answer_leaves_its_record_in_doubt() {
    // Every second request is cut off after the API has stored the payload, at every second time.
    let stage = Stage::with(Options { cut: Some(2), ..Options::default() });
    stage.folder.config(&stage.sandbox.url(), "connection:\n  num_retries: 0\n  pool_size: 1\n");
    assert_eq!(sends(&stage, &["A"], 0), ["A"]);
    assert_eq!(sends(&stage, &["B"], 4), ["B"]);
    assert_eq!(sends(&stage, &["A"], 0), ["A"], "the API may hold B");
    assert_eq!(sends(&stage, &["A"], 99), [""; 0], "no doubt is left");
}

#[cfg(unix)]
#[test]
fn a_run_that_is_killed_while_a_payload_is_on_its_way_leaves_its_record_in_doubt() {
    for versions in [&["B"][..], &["A", "B"], &["A", "B", "C"]] {
        // The first request of the second run is never answered.
        let stage = Stage::with(Options { hang: Some(versions.len() as u64 + 1), ..Options::default() });
        for (number, version) in versions.iter().enumerate() {
            stage.data(&format!("students/{number}.jsonl"), &[student(1, version)]);
        }
        stage.send(&[]).0.expect(0);
        let before = stage.posts().len();
        stage.data("students/9.jsonl", &[student(1, "last")]);
        let mut run = stage.spawn(&["send"]);
        until("the payload is on its way", || stage.posts().len() > before);
        run.kill().unwrap();
        run.wait().unwrap();
        let last = versions[versions.len() - 1];
        assert_eq!(sends(&stage, versions, 0).last().map(String::as_str), Some(last), "the API may hold another one");
        assert_eq!(sends(&stage, versions, 99), [""; 0]);
    }
}

#[test]
fn deleting_a_record_by_one_of_its_payloads_lets_the_others_be_sent_again() {
    let stage = Stage::new();
    sends(&stage, &["A"], 0);
    sends(&stage, &["B"], 0);
    for by in ["A", "C"] {
        fs::remove_dir_all(stage.folder.0.join("data")).unwrap();
        stage.data("students.jsonl", &[student(1, by)]);
        stage.run(&["delete", "--yes"]).expect(0);
        assert_eq!(sends(&stage, &["B"], 0), ["B"], "its record was deleted by {by}");
    }
}

/// The file of a resource below the state's folder.
fn state_file(stage: &Stage) -> PathBuf {
    fn find(folder: &Path) -> Option<PathBuf> {
        fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).find_map(|path| match path.is_dir() {
            true => find(&path),
            false => path.ends_with("students.dat").then_some(path),
        })
    }
    find(&stage.folder.0.join("state")).unwrap()
}

/// Changes the bytes of a state file between its head and its checksum, which then holds again.
fn rewritten(stage: &Stage, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let path = state_file(stage);
    let bytes = fs::read(&path).unwrap();
    let mut bytes = change(bytes[..bytes.len() - 8].to_vec());
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(&sum.as_bytes()[..8]);
    fs::write(path, bytes).unwrap();
}

/// Where the definition of the key stands: behind magic, version, URL and resource, each text behind its length.
fn definition_at(bytes: &[u8]) -> usize {
    let url = 10 + usize::from(bytes[9]);
    url + 1 + usize::from(bytes[url])
}

/// A state file of version 2: rows of digest, time and status.
fn version_2(bytes: Vec<u8>) -> Vec<u8> {
    let at = definition_at(&bytes);
    let (mut old, rows) = (bytes[..at].to_vec(), &bytes[at + 8..]);
    old[8] = 2;
    // Lengths below 128 take one byte.
    let count = usize::from(rows[0]) / 35;
    old.push(count as u8 * 22);
    for row in rows[1..].chunks(35).take(count) {
        old.extend_from_slice(&row[..16]);
        // Long ago.
        old.extend_from_slice(&1_000_u32.to_le_bytes());
        old.extend_from_slice(&row[32..34]);
    }
    old
}

#[test]
fn state_of_the_version_before_is_read_and_learns_which_record_each_payload_is_of() {
    let stage = Stage::new();
    sends(&stage, &["A", "B"], 0);
    rewritten(&stage, version_2);
    assert_eq!(sends(&stage, &["A", "B"], 99), [""; 0], "nothing is sent again");
    assert_eq!(sends(&stage, &["A"], 0), ["A"], "the API holds B");
    assert_eq!(sends(&stage, &["B"], 0), ["B"]);

    rewritten(&stage, version_2);
    assert_eq!(sends(&stage, &["new"], 0), ["new"]);
    assert_eq!(sends(&stage, &["B"], 0), ["B"], "also what was not seen since is known to be older");
    rewritten(&stage, version_2);
    assert_eq!(sends(&stage, &["newer", "B"], 99), [""; 0]);
}

#[test]
fn another_definition_of_the_key_sends_nothing_again_and_forgets_no_order() {
    let stage = Stage::new();
    let other = |mut bytes: Vec<u8>| {
        let at = definition_at(&bytes);
        bytes[at] ^= 1;
        bytes
    };
    sends(&stage, &["A", "B"], 0);
    rewritten(&stage, other);
    assert_eq!(sends(&stage, &["A", "B"], 99), [""; 0]);
    assert_eq!(sends(&stage, &["A"], 0), ["A"]);
    rewritten(&stage, other);
    assert_eq!(sends(&stage, &["B"], 0), ["B"], "it was superseded under the other definition");
}

#[test]
fn payloads_of_many_records_do_not_get_into_each_others_way() {
    let stage = Stage::new();
    let all = |version: fn(usize) -> &'static str| (1..=2_000).map(|id| student(id, version(id))).collect::<Vec<_>>();
    stage.data("students.jsonl", &all(|_| "old"));
    stage.send(&[]).0.expect(0);
    let changed = all(|id| if id % 100 == 0 { "new" } else { "old" });
    stage.data("students.jsonl", &changed);
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "updated"), total(&results, "skipped")), (20, 1_980));
    // Both versions of each, the accepted one last.
    stage.data("students.jsonl", &[all(|_| "old"), changed].concat());
    stage.send(&[]).0.expect(99);
    stage.data("students.jsonl", &all(|_| "old"));
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "updated"), total(&results, "skipped")), (20, 1_980));
}
