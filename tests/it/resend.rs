//! Which known payloads are sent again: each rule by itself.

use jiff::{SignedDuration, Timestamp};
use lightbeam::sandbox::Options;

use crate::support::{Ended, Stage, ended, students, total};

/// How many payloads a first run had accepted, refused with 400, and not sent because of a 403 of their whole resource: those are due in every run.
const ALL: [usize; 3] = [5, 2, 1];
/// Those that were refused, which are due in every run.
const REFUSED: [usize; 3] = [0, 2, 1];
/// Those that were not refused because of the payload itself, which are due in every run too.
const LEAST: [usize; 3] = [0, 0, 1];

/// A stage on which a first run has sent [`ALL`].
fn stage() -> Stage {
    let stage = Stage::with(Options { forbid: vec!["contacts".into()], ..Options::default() });
    let mut lines = students(5);
    lines.extend((0..2).map(|n| format!(r#"{{"studentUniqueId":"x{n}","firstName":"Born never","lastSurname":"?"}}"#)));
    stage.data("students.jsonl", &lines);
    stage.data("contacts.jsonl", &[r#"{"contactUniqueId":"1","firstName":"Ada","lastSurname":"Forbidden"}"#.into()]);
    let (_, results) = stage.send(&[]);
    assert_eq!((total(&results, "created"), total(&results, "refused"), total(&results, "unsent")), (5, 2, 1));
    stage
}

/// What another run sends, in the order of [`ALL`].
fn again(stage: &Stage, run: impl FnOnce() -> Ended) -> [usize; 3] {
    let before = stage.posts().len();
    run();
    let posts = &stage.posts()[before..];
    let of = |status: &[u16]| posts.iter().filter(|p| p.status.is_some_and(|s| status.contains(&s))).count();
    [of(&[200, 201]), of(&[400]), of(&[403])]
}

fn again_with(stage: &Stage, args: &[&str]) -> [usize; 3] {
    again(stage, || stage.send(args).0)
}

/// The same where refusals alone do not cause sending.
fn with_rule(stage: &Stage, args: &[&str]) -> [usize; 3] {
    again_with(stage, &[&["--skip-refused"], args].concat())
}

/// The same where local time is that of `zone`, a POSIX `TZ`.
fn again_in(stage: &Stage, zone: &str, args: &[&str]) -> [usize; 3] {
    again(stage, || ended(stage.folder.command(args).env("TZ", zone).output().unwrap()))
}

/// Now and so many hours, as `strftime` formats it in UTC.
fn hours_from_now(hours: i64, format: &str) -> String {
    (Timestamp::now() + SignedDuration::from_hours(hours)).strftime(format).to_string()
}

#[test]
fn without_a_rule_just_what_was_not_accepted_is_sent() {
    assert_eq!(again_with(&stage(), &[]), REFUSED);
}

#[test]
fn what_the_payload_itself_is_to_blame_for_can_be_left_out_and_is_counted_apart() {
    let stage = stage();
    let (run, results) = stage.send(&["--skip-refused"]);
    run.expect(4).tells(&[
        "* 2 payloads refused in an earlier run because of the payload itself, and left out; --failed sends them.",
    ]);
    let skipped = ["skipped", "skipped_accepted", "skipped_refused", "processed"].map(|what| total(&results, what));
    assert_eq!(skipped, [7, 5, 2, 8]);
}

#[test]
fn force_sends_everything() {
    assert_eq!(again_with(&stage(), &["--force"]), ALL);
    assert_eq!(again_with(&stage(), &["-f"]), ALL);
}

#[test]
fn failed_sends_what_was_refused_whatever_the_refusal() {
    let stage = stage();
    assert_eq!(again_with(&stage, &["--failed"]), REFUSED);
    assert_eq!(again_with(&stage, &["--failed"]), REFUSED, "they were refused again");
    assert_eq!(again_with(&stage, &["--set", "resend_failed", "true"]), REFUSED);
    assert_eq!(again_with(&stage, &["--set", "resend_failed", "false"]), LEAST);
    assert_eq!(again_with(&stage, &["--set", "resend_failed", "false", "--failed"]), REFUSED);
}

#[test]
fn listed_statuses_are_sent_and_no_others() {
    let stage = stage();
    assert_eq!(with_rule(&stage, &["-r", "400"]), [0, 2, 1]);
    assert_eq!(with_rule(&stage, &["-u", "403,409"]), LEAST);
    assert_eq!(with_rule(&stage, &["--resend-status-codes", "409"]), LEAST);
    assert_eq!(with_rule(&stage, &["--retry-status-codes", "201,403"]), [5, 0, 1]);
    assert_eq!(with_rule(&stage, &["-r", "201"]), LEAST, "they were answered 200 in between");
    assert_eq!(with_rule(&stage, &["-r", "200"]), [5, 0, 1]);
}

#[test]
fn older_than_sends_what_was_last_sent_before() {
    let stage = stage();
    let (hour_ago, in_an_hour) = (hours_from_now(-1, "%FT%TZ"), hours_from_now(1, "%FT%TZ"));
    assert_eq!(with_rule(&stage, &["--older-than", &hour_ago]), LEAST);
    assert_eq!(with_rule(&stage, &["--older-than", &in_an_hour]), ALL);
    assert_eq!(with_rule(&stage, &["-o", &in_an_hour]), ALL);
    assert_eq!(with_rule(&stage, &["-t", &in_an_hour]), ALL);
}

#[test]
fn newer_than_sends_what_was_last_sent_after() {
    let stage = stage();
    let (hour_ago, in_an_hour) = (hours_from_now(-1, "%FT%TZ"), hours_from_now(1, "%FT%TZ"));
    assert_eq!(with_rule(&stage, &["--newer-than", &in_an_hour]), LEAST);
    assert_eq!(with_rule(&stage, &["--newer-than", &hour_ago]), ALL);
    assert_eq!(with_rule(&stage, &["-n", &hour_ago]), ALL);
}

#[test]
fn the_offset_of_a_time_is_heeded() {
    let stage = stage();
    // The clock of UTC, read as that of a place nine hours ahead, was so nine hours ago.
    let now = hours_from_now(0, "%FT%T");
    assert_eq!(with_rule(&stage, &["--older-than", &format!("{now}+09:00")]), LEAST);
    assert_eq!(with_rule(&stage, &["--older-than", &format!("{now}-09:00")]), ALL);
    assert_eq!(with_rule(&stage, &["--newer-than", &format!("{now}-09:00")]), LEAST);
}

#[test]
fn a_time_without_a_zone_is_local_time() {
    let stage = stage();
    for format in ["%FT%T", "%F %T"] {
        let now = hours_from_now(0, format);
        assert_eq!(again_in(&stage, "AHEAD-9", &["send", "--skip-refused", "--older-than", &now]), LEAST);
        assert_eq!(again_in(&stage, "BEHIND+9", &["send", "--skip-refused", "--older-than", &now]), ALL);
    }
}

#[test]
fn a_date_is_its_first_moment() {
    let stage = stage();
    let (today, day_after_next) = (hours_from_now(0, "%F"), hours_from_now(48, "%F"));
    assert_eq!(again_in(&stage, "UTC0", &["send", "--skip-refused", "--older-than", &day_after_next]), ALL);
    assert_eq!(with_rule(&stage, &["--newer-than", &day_after_next]), LEAST);
    assert_eq!(with_rule(&stage, &["--older-than", "2001-01-01"]), LEAST);
    // Unless midnight passes between these two lines.
    if today == hours_from_now(0, "%F") {
        assert_eq!(again_in(&stage, "UTC0", &["send", "--skip-refused", "--older-than", &today]), LEAST);
    }
}

#[test]
fn any_rule_suffices() {
    let stage = stage();
    let hour_ago = hours_from_now(-1, "%FT%TZ");
    assert_eq!(with_rule(&stage, &["--older-than", &hour_ago, "-r", "400"]), [0, 2, 1]);
    assert_eq!(with_rule(&stage, &["-r", "403", "--newer-than", &hour_ago]), ALL);
    assert_eq!(again_with(&stage, &["-r", "200"]), ALL);
}
