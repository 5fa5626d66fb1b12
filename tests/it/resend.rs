//! Which known payloads are sent again: each rule by itself.

use jiff::{SignedDuration, Timestamp};
use lightbeam::sandbox::Options;

use crate::support::{Ended, Stage, ended, students, total};

/// How many payloads a first run had accepted, refused with 400, and not sent because of a 403 of their whole resource: those are due in every run.
const ALL: [usize; 3] = [5, 2, 1];
const NONE: [usize; 3] = [0, 0, 1];

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

/// The same where local time is that of `zone`, a POSIX `TZ`.
fn again_in(stage: &Stage, zone: &str, args: &[&str]) -> [usize; 3] {
    again(stage, || ended(stage.folder.command(args).env("TZ", zone).output().unwrap()))
}

/// Now and so many hours, as `strftime` formats it in UTC.
fn hours_from_now(hours: i64, format: &str) -> String {
    (Timestamp::now() + SignedDuration::from_hours(hours)).strftime(format).to_string()
}

#[test]
fn without_a_rule_nothing_known_is_sent_and_refusals_are_counted_apart() {
    let stage = stage();
    let (run, results) = stage.send(&[]);
    let run = run.expect(4);
    assert_eq!(stage.posts().len(), 9, "those of the first run, and what is due in every run");
    let skipped = ["skipped", "skipped_accepted", "skipped_refused", "processed"].map(|what| total(&results, what));
    assert_eq!(skipped, [7, 5, 2, 8]);
    let told = "* 2 payloads refused in an earlier run and not sent again; --failed sends them.";
    assert!(run.out.lines().any(|line| line == told), "{}", run.out);
}

#[test]
fn force_sends_everything() {
    assert_eq!(again_with(&stage(), &["--force"]), ALL);
    assert_eq!(again_with(&stage(), &["-f"]), ALL);
}

#[test]
fn failed_sends_what_was_refused_whatever_the_refusal() {
    let stage = stage();
    assert_eq!(again_with(&stage, &["--failed"]), [0, 2, 1]);
    assert_eq!(again_with(&stage, &["--failed"]), [0, 2, 1], "they were refused again");
    assert_eq!(again_with(&stage, &["--set", "resend_failed", "true"]), [0, 2, 1]);
    assert_eq!(again_with(&stage, &["--set", "resend_failed", "false"]), NONE);
}

#[test]
fn listed_statuses_are_sent_and_no_others() {
    let stage = stage();
    assert_eq!(again_with(&stage, &["-r", "400"]), [0, 2, 1]);
    assert_eq!(again_with(&stage, &["-u", "403,409"]), [0, 0, 1]);
    assert_eq!(again_with(&stage, &["--resend-status-codes", "409"]), NONE);
    assert_eq!(again_with(&stage, &["--retry-status-codes", "201,403"]), [5, 0, 1]);
    assert_eq!(again_with(&stage, &["-r", "201"]), NONE, "they were answered 200 in between");
    assert_eq!(again_with(&stage, &["-r", "200"]), [5, 0, 1]);
}

#[test]
fn older_than_sends_what_was_last_sent_before() {
    let stage = stage();
    let (hour_ago, in_an_hour) = (hours_from_now(-1, "%FT%TZ"), hours_from_now(1, "%FT%TZ"));
    assert_eq!(again_with(&stage, &["--older-than", &hour_ago]), NONE);
    assert_eq!(again_with(&stage, &["--older-than", &in_an_hour]), ALL);
    assert_eq!(again_with(&stage, &["-o", &in_an_hour]), ALL);
    assert_eq!(again_with(&stage, &["-t", &in_an_hour]), ALL);
}

#[test]
fn newer_than_sends_what_was_last_sent_after() {
    let stage = stage();
    let (hour_ago, in_an_hour) = (hours_from_now(-1, "%FT%TZ"), hours_from_now(1, "%FT%TZ"));
    assert_eq!(again_with(&stage, &["--newer-than", &in_an_hour]), NONE);
    assert_eq!(again_with(&stage, &["--newer-than", &hour_ago]), ALL);
    assert_eq!(again_with(&stage, &["-n", &hour_ago]), ALL);
}

#[test]
fn the_offset_of_a_time_is_heeded() {
    let stage = stage();
    // The clock of UTC, read as that of a place nine hours ahead, was so nine hours ago.
    let now = hours_from_now(0, "%FT%T");
    assert_eq!(again_with(&stage, &["--older-than", &format!("{now}+09:00")]), NONE);
    assert_eq!(again_with(&stage, &["--older-than", &format!("{now}-09:00")]), ALL);
    assert_eq!(again_with(&stage, &["--newer-than", &format!("{now}-09:00")]), NONE);
}

#[test]
fn a_time_without_a_zone_is_local_time() {
    let stage = stage();
    for format in ["%FT%T", "%F %T"] {
        let now = hours_from_now(0, format);
        assert_eq!(again_in(&stage, "AHEAD-9", &["send", "--older-than", &now]), NONE);
        assert_eq!(again_in(&stage, "BEHIND+9", &["send", "--older-than", &now]), ALL);
    }
}

#[test]
fn a_date_is_its_first_moment() {
    let stage = stage();
    let (today, day_after_next) = (hours_from_now(0, "%F"), hours_from_now(48, "%F"));
    assert_eq!(again_in(&stage, "UTC0", &["send", "--older-than", &day_after_next]), ALL);
    assert_eq!(again_with(&stage, &["--newer-than", &day_after_next]), NONE);
    assert_eq!(again_with(&stage, &["--older-than", "2001-01-01"]), NONE);
    // Unless midnight passes between these two lines.
    if today == hours_from_now(0, "%F") {
        assert_eq!(again_in(&stage, "UTC0", &["send", "--older-than", &today]), NONE);
    }
}

#[test]
fn any_rule_suffices() {
    let stage = stage();
    let hour_ago = hours_from_now(-1, "%FT%TZ");
    assert_eq!(again_with(&stage, &["--older-than", &hour_ago, "-r", "400"]), [0, 2, 1]);
    assert_eq!(again_with(&stage, &["-r", "409", "--newer-than", &hour_ago]), ALL);
    assert_eq!(again_with(&stage, &["-r", "200", "--failed"]), ALL);
}
