//! The main job, from files to the API and back to the summary.

use crate::support::{Stage, students};

#[test]
fn what_was_sent_once_is_skipped_by_the_next_run() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(50));
    let (_, results) = (stage.send(&[]).0.expect(0), stage.send(&[]));
    results.0.expect(99);
    assert_eq!(results.1["total_records_skipped"], 50);
    assert_eq!(stage.posts().len(), 50);
    let mut sent = students(50);
    sent.sort();
    assert_eq!(stage.stored(), sent);
}
