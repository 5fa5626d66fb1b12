//! A run may be killed at any moment: what is known by then is kept, and what is not is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lightbeam::sandbox::{Options, Received};

use crate::chance::Chance;
use crate::support::{Stage, district, number, students, total, until};

/// So many payloads a worker may have under way or not yet written down when it is killed.
const UNKNOWN: usize = 3 * 8;

/// Starts a run and kills it once the sandbox has been asked so often in all.
fn kill_after(stage: &Stage, requests: u64) {
    let mut run = stage.spawn(&["send"]);
    until("requests come", || number(&stage.stats()["requests"]) >= requests);
    run.kill().unwrap();
    assert_eq!(run.wait().unwrap().code(), None, "the run ended before it was killed");
}

/// How often each payload was taken in.
fn stored(posts: &[Received]) -> BTreeMap<(&str, &[u8]), usize> {
    let mut times = BTreeMap::new();
    for post in posts.iter().filter(|p| p.stored) {
        *times.entry((post.resource.as_str(), post.body.as_slice())).or_default() += 1;
    }
    times
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(path) } else { vec![path] }).collect()
}

#[test]
fn a_district_arrives_whole_whatever_the_kills_and_little_of_it_twice() {
    let calm = Stage::new();
    district(&calm.folder);
    calm.send(&[]).0.expect(3);

    let stage = Stage::with(Options { latency: Duration::from_millis(2), ..Options::default() });
    district(&stage.folder);
    for requests in [30, 300, 800, 1_300, 1_800] {
        kill_after(&stage, requests);
    }
    let (run, results) = stage.send(&["--failed"]);
    run.expect(3);
    assert_eq!(total(&results, "processed"), 2_000);
    assert_eq!(total(&results, "unsent"), 0);

    let (calm, posts) = (calm.posts(), stage.posts());
    let (arrived, times) = (stored(&calm), stored(&posts));
    assert!(arrived.len() > 1_900);
    let missing: Vec<_> =
        arrived.keys().filter(|payload| !times.contains_key(*payload)).map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let again: usize = times.values().map(|times| times - 1).sum();
    assert!(again <= 5 * UNKNOWN, "{again} payloads were stored twice");
}

#[test]
fn the_journal_of_a_killed_run_is_taken_up() {
    let stage = Stage::with(Options { latency: Duration::from_millis(20), ..Options::default() });
    stage.data("students.jsonl", &students(400));
    kill_after(&stage, 200);
    let names = |stage: &Stage| -> BTreeSet<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        files(stage.folder.0.join("state")).into_iter().map(name).collect()
    };
    assert!(names(&stage).contains("journal") && !names(&stage).contains("students.dat"), "{:?}", names(&stage));

    let before = stage.posts().len();
    let (run, results) = stage.send(&[]);
    run.expect(0);
    let skipped = total(&results, "skipped") as usize;
    assert!((before - UNKNOWN..=before).contains(&skipped), "{skipped} skipped of {before} sent");
    assert_eq!(stored(&stage.posts()).len(), 400);
    assert!(names(&stage).contains("students.dat"), "{:?}", names(&stage));
    stage.send(&[]).0.expect(99);
}

#[test]
fn a_journal_that_was_cut_off_in_the_middle_costs_no_more_than_its_end() {
    let stage = Stage::with(Options { latency: Duration::from_millis(20), ..Options::default() });
    stage.data("students.jsonl", &students(100));
    kill_after(&stage, 50);
    let journal = files(stage.folder.0.join("state")).into_iter().find(|f| f.ends_with("journal")).unwrap();
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 3]).unwrap();
    let (run, results) = stage.send(&[]);
    let run = run.expect(0);
    assert!(run.err.contains("not written whole") && run.err.contains("journal"), "{}", run.err);
    assert!(total(&results, "skipped") > 0);
    assert_eq!(stored(&stage.posts()).len(), 100);
}

#[test]
fn after_twenty_kills_at_random_moments_every_payload_has_arrived_and_few_were_sent_twice() {
    const PAYLOADS: u64 = 20_000;
    let stage = Stage::new();
    stage.data("students.jsonl", &students(PAYLOADS as usize));
    let mut chance = Chance::new(20);
    let mut moments: Vec<u64> = (0..20).map(|_| 1 + chance.below(PAYLOADS - 1_000)).collect();
    moments.sort();
    // After which POST each run was over.
    let mut ends = Vec::new();
    for moment in moments {
        kill_after(&stage, moment);
        // What was under way may still arrive.
        until("nothing is under way", || number(&stage.stats()["requests"]) == stage.posts().len() as u64);
        ends.push(stage.posts().len());
    }
    stage.send(&[]).0.expect(0);
    stage.send(&[]).0.expect(99);

    let posts = stage.posts();
    assert_eq!(stored(&posts).len(), PAYLOADS as usize);
    let mut seen = BTreeMap::new();
    let mut twice = vec![0; ends.len() + 1];
    for (number, post) in posts.iter().enumerate() {
        let run = ends.partition_point(|end| *end <= number);
        if let Some(earlier) = seen.insert(&post.body, run) {
            twice[earlier] += 1;
        }
    }
    assert!(twice.iter().all(|twice| *twice < UNKNOWN), "sent again after each kill: {twice:?}");
}
