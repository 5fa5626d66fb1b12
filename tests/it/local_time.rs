//! Local times: they are those of the zone that `TZ` names, on a machine without a zone database too, and never UTC without a word.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::support::{Ended, Stage, ended, students};

/// A load that was sent a moment ago.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    stage.run(&["send", "--quiet"]).expect(0);
    stage
}

/// What is due of what was last sent before this time, on a machine with this `TZ` and no zone database.
fn plan(stage: &Stage, tz: &str, older_than: &str) -> Ended {
    let mut command = stage.folder.command(&["plan", "--older-than", older_than]);
    ended(command.env("TZ", tz).env("TZDIR", stage.folder.0.join("nothing")).output().unwrap()).expect(0)
}

/// How many students are due.
fn due(plan: &Ended) -> u64 {
    let row = plan.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.into_iter().find(|cells| cells.first() == Some(&"students")).unwrap();
    row[3].parse().unwrap()
}

/// Now and that many minutes later, as clocks show it in a zone that is some hours behind UTC all year.
fn clock_in_honolulu(minutes: i64) -> String {
    let zone = TimeZone::fixed(jiff::tz::offset(-10));
    let time = Timestamp::now() + SignedDuration::from_mins(minutes);
    time.to_zoned(zone).strftime("%FT%T").to_string()
}

#[test]
fn a_time_without_a_zone_is_local_where_there_is_no_zone_database() {
    let stage = stage();
    let (soon, before) = (clock_in_honolulu(10), clock_in_honolulu(-10));
    let [soon, before] = [soon, before].map(|time| plan(&stage, "Pacific/Honolulu", &time));
    assert_eq!([due(&soon), due(&before)], [3, 0]);
    assert!(!soon.err.contains("UTC"), "{}", soon.err);
}

#[test]
fn a_zone_that_nobody_knows_is_a_warning_and_its_times_are_taken_for_utc() {
    let stage = stage();
    let soon = Timestamp::now() + SignedDuration::from_mins(10);
    let plan = plan(&stage, "Nowhere/Land", &soon.strftime("%FT%T").to_string());
    plan.tells(&["WARNING TZ=Nowhere/Land names no time zone that is known here", "are taken for UTC"]);
    assert_eq!(due(&plan), 3);
}
