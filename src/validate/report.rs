//! What a validation tells when it has ended: table and faults for people, the results file for machines.

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::Validated;
use super::findings::{Counts, Finding, Met, Severity, Tally};
use crate::config::Config;
use crate::exit::Exit;
use crate::outcome::Unread;
use crate::resource::Resource;
use crate::results::{Stopped, results, seconds};
use crate::text::{self, visible};

/// The report stays within a terminal of so many columns.
const COLUMNS: usize = 80;
/// So many findings of each resource are printed; the results file has all.
const SHOWN: usize = 10;
/// So much of a message is printed.
const LONGEST_MESSAGE: usize = 600;

/// What became of a validation.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it began.
    pub started: Zoned,
    /// When it ended.
    pub completed: Zoned,
    /// What was found in each resource that has files, in the order of the plan.
    pub resources: Vec<(Resource, Tally)>,
    /// What could not be checked, in sentences.
    pub unchecked: Vec<String>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

impl Report {
    /// Of a validation of these resources.
    pub fn new(started: Zoned, resources: impl Iterator<Item = Resource>, validated: Validated) -> Report {
        let Validated { tallies, unchecked, stopped } = validated;
        let resources = resources.zip(tallies).collect();
        Report { started, completed: Zoned::now(), resources, unchecked, stopped }
    }

    /// Of one that could not begin, or that broke off.
    pub fn of_nothing(started: Zoned, stopped: Stopped) -> Report {
        let (resources, unchecked) = Default::default();
        Report { started, completed: Zoned::now(), resources, unchecked, stopped: Some(stopped) }
    }

    /// The counts of all resources.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.resources.iter().for_each(|(_, tally)| total.add(&tally.counts));
        total
    }

    /// What could not be read.
    fn unread(&self) -> impl Iterator<Item = &Unread> {
        self.resources.iter().flat_map(|(_, tally)| &tally.unread)
    }

    /// How the program is to end. `partial_ok`: some invalid payloads are no failure of the run.
    pub fn exit(&self, partial_ok: bool) -> Exit {
        let total = self.total();
        match &self.stopped {
            Some(stopped) => stopped.exit,
            None if self.unread().next().is_some() => Exit::GivenUp,
            None if total.payloads() == 0 => Exit::AllSkipped,
            None if total.invalid == 0 => Exit::Ok,
            None if total.valid() == 0 => Exit::AllFailed,
            None if partial_ok => Exit::Ok,
            None => Exit::SomeFailed,
        }
    }

    /// What people read at the end, within 80 columns.
    pub fn to_text(&self) -> String {
        let mut text = if self.resources.is_empty() { String::new() } else { self.table() };
        for (resource, tally) in &self.resources {
            text.push_str(&told(resource, tally));
        }
        text.push('\n');
        for line in self.closing_lines() {
            text.push_str(&text::wrapped(&line, 0, COLUMNS));
        }
        text
    }

    fn table(&self) -> String {
        let row = |name: &str, counts: &Counts| {
            let numbers = [counts.payloads(), counts.valid(), counts.invalid, counts.warned];
            (name.to_string(), numbers.map(text::count).to_vec())
        };
        let head = ["read", "valid", "invalid", "with warnings"].map(String::from).to_vec();
        let mut rows = vec![(String::new(), head)];
        rows.extend(self.resources.iter().map(|(resource, tally)| row(resource.label(), &tally.counts)));
        rows.push(row("total", &self.total()));
        text::table(&rows, COLUMNS)
    }

    fn closing_lines(&self) -> Vec<String> {
        let total = self.total();
        let mut lines = self.unchecked.clone();
        lines.extend(self.unread().map(Unread::told));
        lines.extend(self.stopped.as_ref().map(|stopped| format!("Stopped early: {}", stopped.why)));
        if total.blank > 0 {
            lines.push(format!("{} passed over.", text::counted(total.blank, "blank line")));
        }
        let seconds = seconds(&self.started, &self.completed);
        let rate = (total.payloads() as f64 / seconds.max(0.001)) as u64;
        lines.push(format!(
            "{} read, {} invalid, in {seconds:.1} s, {} a second.",
            text::counted(total.payloads(), "payload"),
            text::count(total.invalid),
            text::count(rate)
        ));
        lines
    }

    /// The results file: the Python lightbeam's keys, which pipelines parse, and further ones.
    pub fn to_json(&self, config: &Config, command: &str, exit: Exit) -> Value {
        let mut resources = Map::new();
        for (resource, tally) in &self.resources {
            let mut value = counts_json(&tally.counts);
            value.insert("namespace".into(), resource.namespace().into());
            value.insert("successes".into(), json!([]));
            value.insert("failures".into(), found_json(tally, Severity::Fault).into());
            value.insert("warnings".into(), found_json(tally, Severity::Warning).into());
            resources.insert(resource.label().into(), value.into());
        }
        let totals = counts_json(&self.total()).into_iter().map(|(key, n)| (format!("total_{key}"), n));
        let mut own: Map<String, Value> = totals.collect();
        own.insert("unchecked".into(), json!(self.unchecked));
        own.insert("incomplete".into(), self.unread().map(Unread::to_json).collect());
        let times = (&self.started, &self.completed);
        results(config, command, times, resources, own, (exit, self.stopped.as_ref()))
    }

    /// The results file of a run that sent what is valid: that of sending, and what was found beside each resource's own failures.
    pub fn beside(&self, mut sent: Value) -> Value {
        for (resource, tally) in &self.resources {
            let told = &mut sent["resources"][resource.label()];
            let mut failures = found_json(tally, Severity::Fault);
            failures.extend(told["failures"].as_array().into_iter().flatten().cloned());
            told["failures"] = failures.into();
            told["warnings"] = found_json(tally, Severity::Warning).into();
        }
        sent["unchecked"] = json!(self.unchecked);
        sent
    }
}

/// The first findings of a resource, and how many more there are.
fn told(resource: &Resource, tally: &Tally) -> String {
    let mut more = [Severity::Fault, Severity::Warning].map(|severity| (severity, tally.met(severity)));
    if more.iter().all(|(_, met)| *met == 0) {
        return String::new();
    }
    let mut text = format!("\n{}\n", resource.label());
    for (finding, file, Met { line, beside }, count) in tally.first(SHOWN) {
        more.iter_mut().filter(|(severity, _)| *severity == finding.severity).for_each(|(_, met)| *met -= count);
        let column = beside.column().map_or(String::new(), |column| format!(":{column}"));
        let path = if &*finding.path == "$" { String::new() } else { format!(" {}", finding.path) };
        let times = if count > 1 { format!(" ({} times)", text::count(count)) } else { String::new() };
        text.push_str(&format!("  {}:{line}{column}{path}{times}\n", visible::path(file)));
        let warning = if finding.severity == Severity::Warning { "warning: " } else { "" };
        let message = text::shortened(&finding.message, LONGEST_MESSAGE);
        let earlier = beside.earlier();
        let earlier =
            earlier.map_or(String::new(), |place| format!(", at {}:{}", visible::path(&place.file), place.line));
        text.push_str(&text::wrapped(&format!("{warning}{message}{earlier}"), 6, COLUMNS));
    }
    let more = more.into_iter().filter(|(_, met)| *met > 0).map(|(severity, met)| match severity {
        Severity::Fault => text::counted(met, "more fault"),
        Severity::Warning => text::counted(met, "more warning"),
    });
    let more: Vec<String> = more.collect();
    if !more.is_empty() {
        text.push_str(&format!("  and {}\n", more.join(", ")));
    }
    text
}

/// What was found of that severity: one entry for each finding and file.
fn found_json(tally: &Tally, severity: Severity) -> Vec<Value> {
    let mut found: Vec<_> = tally
        .found
        .iter()
        .filter(|(finding, _)| finding.severity == severity)
        .flat_map(|(finding, places)| places.iter().map(move |(file, met)| (file, finding, met)))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(file, finding, met)| entry(file, finding, met)).collect()
}

fn entry(file: &std::path::Path, finding: &Finding, met: &[Met]) -> Value {
    let mut met: Vec<&Met> = met.iter().collect();
    met.sort_unstable();
    let mut entry = json!({
        "method": finding.method.name(),
        "path": &*finding.path,
        "message": &*finding.message,
        "file": file.display().to_string(),
        "count": met.len(),
        "line_numbers": met.iter().map(|met| met.line).collect::<Vec<_>>(),
    });
    let columns: Vec<usize> = met.iter().filter_map(|met| met.beside.column()).collect();
    let earlier: Vec<Value> = met
        .iter()
        .filter_map(|met| met.beside.earlier())
        .map(|place| json!({"file": place.file.display().to_string(), "line": place.line}))
        .collect();
    if !columns.is_empty() {
        entry["columns"] = json!(columns);
    }
    if !earlier.is_empty() {
        entry["given_before"] = json!(earlier);
    }
    entry
}

/// The Python lightbeam's three counts and what they are made of.
fn counts_json(counts: &Counts) -> Map<String, Value> {
    let all = [
        ("records_processed", counts.payloads()),
        ("records_skipped", 0),
        ("records_failed", counts.invalid),
        ("records_valid", counts.valid()),
        ("records_with_warnings", counts.warned),
        ("lines_blank", counts.blank),
    ];
    all.into_iter().map(|(key, n)| (key.to_string(), n.into())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::super::findings::Beside;
    use super::*;
    use crate::check::Method;
    use crate::outcome::Place;

    #[test]
    fn the_report_stays_within_80_columns_and_tells_ten_findings_and_how_many_more() {
        let mut tally = Tally::default();
        tally.counts.read = 1_234_567;
        let file: Arc<Path> = Path::new("data/students.jsonl").into();
        for line in 1..=30 {
            let (severity, message) = match line % 15 {
                0 => (Severity::Warning, "a warning".to_string()),
                n => (Severity::Fault, format!("fault {n} {}", "word ".repeat(30))),
            };
            let finding = Finding { severity, method: Method::Schema, path: "$.a".into(), message: message.into() };
            let beside = Beside::Earlier(Place { file: file.clone(), line: 1 });
            tally.add(finding, &file, Met { line, beside });
        }
        let resource = Resource::new("ed-fi", "studentSpecialEducationProgramEligibilityAssociations");
        let validated = Validated { tallies: vec![tally], unchecked: vec!["word ".repeat(30)], stopped: None };
        let report = Report::new(Zoned::now(), [resource].into_iter(), validated);
        let text = report.to_text();
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(text.contains("  data/students.jsonl:10 $.a (2 times)\n      fault 10 word"), "{text}");
        assert!(!text.contains("fault 11") && text.contains("  and 8 more faults, 2 more warnings\n"), "{text}");
        assert_eq!((report.total().invalid, report.total().warned), (28, 2));
    }
}
