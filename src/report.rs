//! What a run tells when it has ended: the [`Summary`], from which the exit code, the summary table and the results file are made.

mod reasons;

use std::path::{Path, PathBuf};

use jiff::Zoned;
use serde_json::{Map, Value, json};

use crate::api::refusal::RefusalKind;
use crate::config::Config;
use crate::exit::Exit;
use crate::outcome::{Counts, Failure, Failures, Reason, Tally, Unread};
use crate::resource::Resource;
use crate::results::{Stopped, results, seconds};
use crate::text::{self, visible};
pub use reasons::{Trouble, reasons, trouble};

/// The summary stays within a terminal of so many columns.
const COLUMNS: usize = 80;
/// More unchanged resources than this share a row of the table.
const FEW: usize = 3;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// By what the API's log knows the run: correlation ids begin with it.
    pub id: String,
    /// When it began.
    pub started: Zoned,
    /// When it ended.
    pub completed: Zoned,
    /// Each resource that has files, in the order of the plan.
    pub resources: Vec<(Resource, Tally)>,
    /// Where refused payloads were put, if anywhere.
    pub rejects_dir: Option<PathBuf>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

impl Summary {
    /// Of a run that could not begin.
    pub fn of_nothing(started: Zoned, stopped: Option<Stopped>) -> Summary {
        let (id, resources) = Default::default();
        Summary { id, started, completed: Zoned::now(), resources, rejects_dir: None, stopped }
    }

    /// The counts of all resources.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.resources.iter().for_each(|(_, tally)| total.add(&tally.counts));
        total
    }

    /// How the program is to end. `partial_ok`: a part that failed is no failure of the run.
    pub fn exit(&self, partial_ok: bool) -> Exit {
        let total = self.total();
        let accepted = total.created + total.updated;
        match &self.stopped {
            Some(stopped) => stopped.exit_after(accepted + total.refused > 0),
            None if total.unsent > 0 || self.unread().next().is_some() => Exit::GivenUp,
            None if total.refused > 0 && accepted + total.skipped + total.skipped_refused == 0 => Exit::AllFailed,
            None if total.refused + total.skipped_refused > 0 => match partial_ok && !self.has_moment() {
                true => Exit::Ok,
                false => Exit::SomeFailed,
            },
            // Where there were no payloads, there were none to send either.
            None if accepted == 0 => Exit::AllSkipped,
            None => Exit::Ok,
        }
    }

    /// What could not be read.
    fn unread(&self) -> impl Iterator<Item = &Unread> {
        self.resources.iter().flat_map(|(_, tally)| &tally.unread)
    }

    /// Whether something was refused that the API may accept at another moment: then the data is not what is wrong.
    fn has_moment(&self) -> bool {
        let of_moment = |(reason, _): (&Reason, &Failure)| reason.kind == Some(RefusalKind::Moment);
        self.resources.iter().any(|(_, tally)| tally.failures.iter().any(of_moment))
    }

    /// What people read at the end, within 80 columns.
    pub fn to_text(&self) -> String {
        let mut text = match self.resources.is_empty() {
            true => String::new(),
            false => self.counts() + &self.reasons() + "\n",
        };
        for line in self.closing_lines() {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    fn counts(&self) -> String {
        type Column = (&'static str, fn(&Counts) -> u64, bool);
        let total = self.total();
        let columns: [Column; 8] = [
            ("read", |c| c.read, true),
            ("created", |c| c.created, true),
            ("updated", |c| c.updated, true),
            ("skipped", |c| c.skipped, true),
            ("skipped*", |c| c.skipped_refused, false),
            ("duplicates", |c| c.duplicates, false),
            ("refused", |c| c.refused, true),
            ("unsent", |c| c.unsent, false),
        ];
        // Columns that are always there, and those with something to tell.
        let shown: Vec<_> = columns.iter().filter(|(_, of, always)| *always || of(&total) > 0).collect();
        let cells = |counts: &Counts| shown.iter().map(|(_, of, _)| text::count(of(counts))).collect::<Vec<_>>();
        let mut rows = vec![(String::new(), shown.iter().map(|(head, ..)| head.to_string()).collect())];
        let (unchanged, told): (Vec<_>, Vec<_>) =
            self.resources.iter().partition(|(_, tally)| tally.counts.is_unchanged());
        let (folded, told) =
            if unchanged.len() > FEW { (unchanged, told) } else { (Vec::new(), self.resources.iter().collect()) };
        rows.extend(told.iter().map(|(resource, tally)| (resource.label().into(), cells(&tally.counts))));
        if !folded.is_empty() {
            let mut sum = Counts::default();
            folded.iter().for_each(|(_, tally)| sum.add(&tally.counts));
            rows.push((format!("{} unchanged", text::counted(folded.len() as u64, "resource")), cells(&sum)));
        }
        rows.push(("total".into(), cells(&total)));
        text::table(&rows, COLUMNS)
    }

    fn reasons(&self) -> String {
        let troubles = |of: fn(&Tally) -> &Failures| {
            let mut all = Vec::new();
            for (resource, tally) in &self.resources {
                all.extend(of(tally).iter().map(|failure| trouble(resource, failure)));
            }
            all
        };
        reasons("Why payloads did not arrive", troubles(|tally| &tally.failures))
            + &reasons("Why payloads were refused in an earlier run", troubles(|tally| &tally.left_out))
    }

    fn closing_lines(&self) -> Vec<String> {
        let total = self.total();
        let seconds = seconds(&self.started, &self.completed);
        let mut lines = Vec::new();
        if total.skipped_refused > 0 {
            lines.push(format!(
                "* {} refused in an earlier run because of the payload itself, and left out; --failed sends them.",
                text::counted(total.skipped_refused, "payload")
            ));
        }
        if let Some(folder) = self.rejects_dir.as_ref().filter(|_| total.refused + total.skipped_refused > 0) {
            lines.push(format!("Refused payloads and their reasons are in {}", visible::path(folder)));
        }
        if total.unsent > 0 {
            lines.push(format!(
                "{} not sent or without a final answer; the next run sends them.",
                text::counted(total.unsent, "payload")
            ));
        }
        lines.extend(self.unread().map(|unread| text::wrapped(&unread.told(), 0, COLUMNS).trim_end().into()));
        if let Some(stopped) = &self.stopped {
            lines.push(format!("Stopped early: {}", stopped.why));
        }
        if total.same_key > 0 {
            lines.push(format!(
                "{} with the natural key of an earlier one; the last one in the files counts.",
                text::counted(total.same_key, "payload")
            ));
        }
        if total.blank > 0 {
            lines.push(format!("{} passed over.", text::counted(total.blank, "blank line")));
        }
        if !total.balances() {
            lines.push("The counts do not add up: this is a bug in lightbeam, please report it.".into());
        }
        let accepted = total.created + total.updated;
        let rate = match accepted {
            0 => String::new(),
            _ => format!(", {} a second", text::count((accepted as f64 / seconds.max(0.001)) as u64)),
        };
        let read = text::counted(total.payloads(), "payload");
        lines.push(format!("{read} read, {} accepted, in {seconds:.1} s{rate}.", text::count(accepted)));
        lines
    }

    /// The results file: the Python lightbeam's keys, which pipelines parse, and further ones.
    pub fn to_json(&self, config: &Config, command: &str, exit: Exit) -> Value {
        let total = self.total();
        let mut resources = Map::new();
        for (resource, tally) in &self.resources {
            resources.insert(resource.label().into(), resource_json(resource, tally));
        }
        let mut own: Map<String, Value> =
            counts_json(&total).into_iter().map(|(key, n)| (format!("total_{key}"), n)).collect();
        own.insert("run_id".into(), self.id.as_str().into());
        own.insert("incomplete".into(), self.unread().map(Unread::to_json).collect());
        own.insert("rejects_dir".into(), json!(self.rejects_dir.as_ref().map(|dir| dir.display().to_string())));
        let times = (&self.started, &self.completed);
        results(config, command, times, resources, own, (exit, self.stopped.as_ref()))
    }
}

fn resource_json(resource: &Resource, tally: &Tally) -> Value {
    let successes: Vec<_> =
        tally.accepted.iter().map(|(status, count)| json!({ "status_code": status, "count": count })).collect();
    let mut value = counts_json(&tally.counts);
    value.insert("namespace".into(), resource.namespace().into());
    value.insert("successes".into(), successes.into());
    let failure = |(reason, entry): (&Reason, Value)| {
        let mut entry = entry;
        entry["listed"] = reason.listed.into();
        entry
    };
    value.insert("failures".into(), failures_json(&tally.failures).into_iter().map(failure).collect());
    let left_out = failures_json(&tally.left_out).into_iter().map(|(_, entry)| entry);
    value.insert("left_out".into(), left_out.collect());
    value.into()
}

fn failures_json(failures: &Failures) -> Vec<(&Reason, Value)> {
    let mut all: Vec<(&Path, &Reason, Vec<u64>, Option<&str>)> = Vec::new();
    for (reason, Failure { places, correlation_id }) in failures.iter() {
        all.extend(places.iter().map(|(file, lines)| {
            let mut lines = lines.clone();
            lines.sort_unstable();
            (file.as_ref(), reason, lines, correlation_id.as_deref())
        }));
    }
    all.sort();
    let mut entries = Vec::new();
    for (file, reason, lines, correlation_id) in all {
        let entry = json!({
            "status_code": reason.status,
            "kind": reason.kind.map(|kind| kind.name()),
            "type": reason.problem_type,
            "message": reason.message,
            "correlation_id": correlation_id,
            "file": file.display().to_string(),
            "count": lines.len(),
            "line_numbers": lines,
        });
        entries.push((reason, entry));
    }
    entries
}

/// The Python lightbeam's three counts, which add up with its successes, and what they are made of.
fn counts_json(counts: &Counts) -> Map<String, Value> {
    let all = [
        ("records_processed", counts.payloads()),
        ("records_skipped", counts.skipped + counts.skipped_refused + counts.duplicates),
        ("records_failed", counts.failed()),
        ("records_created", counts.created),
        ("records_updated", counts.updated),
        ("records_skipped_accepted", counts.skipped),
        ("records_skipped_refused", counts.skipped_refused),
        ("records_duplicate", counts.duplicates),
        ("records_refused", counts.refused),
        ("records_unsent", counts.unsent),
        ("records_same_key", counts.same_key),
        ("lines_blank", counts.blank),
    ];
    all.into_iter().map(|(key, n)| (key.to_string(), n.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Place;

    fn summary(counts: Counts) -> Summary {
        let now: Zoned = "2026-11-22T12:00:00+00:00[UTC]".parse().unwrap();
        let tally = Tally { counts, ..Tally::default() };
        let resources = vec![(Resource::new("ed-fi", "students"), tally)];
        Summary { id: "run".into(), started: now.clone(), completed: now, resources, rejects_dir: None, stopped: None }
    }

    #[test]
    fn the_exit_code_tells_what_became_of_the_run() {
        let exit = |counts| (summary(counts).exit(false).code(), summary(counts).exit(true).code());
        let none = Counts::default();
        assert_eq!(exit(none), (99, 99), "files without payloads");
        assert_eq!(exit(Counts { created: 1, skipped: 5, ..none }), (0, 0));
        assert_eq!(exit(Counts { skipped: 5, duplicates: 1, ..none }), (99, 99));
        assert_eq!(exit(Counts { refused: 3, ..none }), (1, 1));
        assert_eq!(exit(Counts { refused: 3, updated: 1, ..none }), (3, 0));
        assert_eq!(exit(Counts { refused: 3, skipped: 1, ..none }), (3, 0));
        assert_eq!(exit(Counts { skipped: 5, skipped_refused: 1, ..none }), (3, 0));
        assert_eq!(exit(Counts { unsent: 1, created: 9, ..none }), (4, 4));
        let mut stopped = summary(Counts { unsent: 1, ..none });
        stopped.stopped = Some(Stopped { exit: Exit::Terminated, why: "SIGTERM".into() });
        assert_eq!(stopped.exit(true).code(), 143);
    }

    #[test]
    fn the_summary_stays_within_80_columns() {
        let n = 1_234;
        let counts = Counts {
            read: 8 * n,
            blank: n,
            created: n,
            updated: n,
            skipped: n,
            skipped_refused: n,
            duplicates: n,
            refused: n,
            unsent: n,
            same_key: n,
        };
        let mut summary = summary(counts);
        let long = "studentSpecialEducationProgramEligibilityAssociations";
        summary.resources.push((Resource::new("ed-fi", long), Tally::default()));
        let fits = |table: &str| table.lines().all(|line| line.chars().count() <= COLUMNS);
        let table = summary.counts();
        assert!(fits(&table) && table.lines().any(|line| line == long), "every column at once\n{table}");
        summary.resources[0].1.counts = Counts { read: 2_000_000, created: 1_999_993, refused: 7, ..Counts::default() };
        let table = summary.counts();
        assert!(fits(&table), "millions\n{table}");
    }

    #[test]
    fn resources_with_nothing_new_share_a_row_unless_they_are_few() {
        let mut summary = summary(Counts { read: 2, created: 2, ..Counts::default() });
        let unchanged =
            Tally { counts: Counts { read: 3, skipped: 2, blank: 1, ..Counts::default() }, ..Tally::default() };
        for i in 0..4 {
            summary.resources.push((Resource::new("ed-fi", &format!("resource{i}")), unchanged.clone()));
        }
        let table = summary.counts();
        assert!(
            table.contains("students") && table.contains("4 resources unchanged") && !table.contains("resource0"),
            "{table}"
        );
        summary.resources.pop();
        assert!(summary.counts().contains("resource0"));
    }

    #[test]
    fn a_reason_is_told_with_its_count_place_and_whole_message_within_80_columns() {
        let mut summary = summary(Counts { read: 2, refused: 2, ..Counts::default() });
        let reason = Reason::of_answer(Some(400), "a word ".repeat(30));
        for line in [9, 4] {
            let place = Place { file: Path::new("data/students.jsonl").into(), line };
            summary.resources[0].1.failures.add(reason.clone(), place, None);
        }
        let text = summary.to_text();
        assert!(
            text.contains("      2  students 400, first at data/students.jsonl:4\n         a word a word"),
            "{text}"
        );
        assert_eq!(text.matches("a word").count(), 30);
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
    }

    #[test]
    fn a_balance_that_does_not_hold_is_told() {
        let text = |read| summary(Counts { read, created: 1, ..Counts::default() }).to_text();
        assert!(!text(1).contains("do not add up"));
        assert!(text(2).contains("do not add up"));
    }
}
