//! What became of a resource that was to be fetched, and of all of them: table, results file, exit code.

use std::path::PathBuf;

use jiff::Zoned;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::exit::Exit;
use crate::outcome::Reason;
use crate::resource::Resource;
use crate::results::{Stopped, results, seconds};
use crate::text::{self, visible};

/// The summary stays within a terminal of so many columns.
const COLUMNS: usize = 80;

/// What became of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Harvest {
    /// How many records were fetched.
    pub records: u64,
    /// How many there were when its first page was asked for, where the API told.
    pub total: Option<u64>,
    /// How many there were when its last page had come, if it has several.
    pub after: Option<u64>,
    /// How many came that had come before.
    pub overlapping: u64,
    /// Whether it was walked by cursor, which nothing that comes or goes meanwhile confuses.
    pub by_cursor: bool,
    /// The file that holds them.
    pub file: Option<PathBuf>,
    /// How it ended.
    pub ending: Ending,
}

/// How the fetch of a resource ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Ending {
    /// All that the API gave is there.
    #[default]
    Fetched,
    /// The resource cannot be asked what was asked for.
    Skipped(String),
    /// Another file is there, and stays.
    Differs(PathBuf),
    /// It could not be read.
    Failed(Reason),
    /// The run stopped before.
    Missed,
}

impl Ending {
    /// It ends otherwise than well. What was the first to go wrong counts.
    pub fn turn(&mut self, otherwise: Ending) {
        if *self == Ending::Fetched {
            *self = otherwise;
        }
    }
}

impl Harvest {
    /// How records came or went while they were fetched, if that left gaps or doubles.
    pub fn shift(&self) -> Option<String> {
        let Some(total) = self.total else {
            let [fetched, twice] = [self.records, self.overlapping].map(text::count);
            let doubled = format!("gave {twice} of {fetched} records again while it was fetched; fetch it once more");
            return (self.overlapping > 0).then_some(doubled);
        };
        let after = self.after.unwrap_or(total);
        let between = (total.min(after)..=total.max(after)).contains(&self.records);
        let whole = match self.by_cursor {
            true => between,
            false => between && total == after,
        };
        let whole = whole && self.overlapping == 0;
        (!whole).then(|| {
            let counts = [total, after, self.records, self.overlapping].map(text::count);
            let [total, after, fetched, twice] = counts;
            format!("changed while it was fetched: {total} records before, {after} after, {fetched} fetched, {twice} of them again; fetch it once more")
        })
    }

    /// What is wrong with it, for people.
    pub fn trouble(&self) -> Option<String> {
        match &self.ending {
            Ending::Fetched => self.shift(),
            Ending::Skipped(why) => Some(format!("skipped, {why}")),
            Ending::Differs(path) => Some(format!(
                "not written, because {} is there, and somebody else wrote or edited it; --force replaces it, --output DIR writes elsewhere",
                visible::path(path)
            )),
            Ending::Failed(Reason { status: Some(status), message, .. }) => Some(format!("{status}, {message}")),
            Ending::Failed(Reason { status: None, message, .. }) => Some(message.clone()),
            Ending::Missed => None,
        }
    }

    /// Whether people want to know of it.
    fn is_told(&self) -> bool {
        self.records > 0 || matches!(self.ending, Ending::Differs(_) | Ending::Failed(_))
    }

    fn word(&self) -> &'static str {
        match (&self.ending, self.shift()) {
            (Ending::Fetched, None) => "fetched",
            (Ending::Fetched, Some(_)) => "shifted",
            (Ending::Skipped(_), _) => "skipped",
            (Ending::Differs(_), _) => "differs",
            (Ending::Failed(_), _) => "failed",
            (Ending::Missed, _) => "missed",
        }
    }

    fn to_json(&self, resource: &Resource) -> Value {
        let status = match &self.ending {
            Ending::Failed(reason) => reason.status,
            _ => None,
        };
        json!({
            "namespace": resource.namespace(),
            "outcome": self.word(),
            "records_fetched": self.records,
            "records_before": self.total,
            "records_after": self.after,
            "records_again": self.overlapping,
            "file": self.file.as_ref().map(|path| path.display().to_string()),
            "status_code": status,
            "message": self.trouble(),
        })
    }
}

/// What became of a fetch.
#[derive(Clone, Debug)]
pub struct Yield {
    /// When it began.
    pub started: Zoned,
    /// When it ended.
    pub completed: Zoned,
    /// Where the files are.
    pub folder: PathBuf,
    /// What became of each resource, in the order of dependencies.
    pub resources: Vec<(Resource, Harvest)>,
    /// From which change version the records are, if from one.
    pub since: Option<u64>,
    /// The change version with which the next fetch begins, where the API has change queries.
    pub next_since: Option<u64>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

impl Yield {
    /// Of a fetch that could not begin.
    pub fn of_nothing(started: Zoned, folder: PathBuf, stopped: Stopped) -> Yield {
        let (resources, since, next_since) = Default::default();
        let (completed, stopped) = (Zoned::now(), Some(stopped));
        Yield { started, completed, folder, resources, since, next_since, stopped }
    }

    /// How many records are in files, and in how many.
    fn kept(&self) -> (u64, u64) {
        let kept = || self.resources.iter().filter(|(_, harvest)| harvest.file.is_some());
        (kept().map(|(_, harvest)| harvest.records).sum(), kept().count() as u64)
    }

    /// How the program is to end. `partial_ok`: a part that failed is no failure of the run.
    pub fn exit(&self, partial_ok: bool) -> Exit {
        let words = || self.resources.iter().map(|(_, harvest)| harvest.word());
        let bad = words().filter(|word| matches!(*word, "failed" | "differs" | "shifted")).count();
        let lost = words().filter(|word| matches!(*word, "failed" | "differs")).count();
        match &self.stopped {
            Some(stopped) => stopped.exit,
            None if lost > 0 && lost == words().filter(|word| *word != "skipped").count() => Exit::AllFailed,
            None if bad > 0 && !partial_ok => Exit::SomeFailed,
            None => Exit::Ok,
        }
    }

    /// What people read, within 80 columns: resources with records, and those with trouble.
    pub fn to_text(&self) -> String {
        let told = self.resources.iter().filter(|(_, harvest)| harvest.is_told());
        let cells = |harvest: &Harvest| vec![text::count(harvest.records), harvest.word().to_string()];
        let mut rows = vec![(String::new(), vec!["records".into(), String::new()])];
        rows.extend(told.map(|(resource, harvest)| (resource.label().to_string(), cells(harvest))));
        let (records, files) = self.kept();
        rows.push(("total".into(), vec![text::count(records), String::new()]));
        let mut text = text::table(&rows, COLUMNS);
        for (resource, harvest) in self.resources.iter().filter(|(_, harvest)| harvest.is_told()) {
            if let Some(trouble) = harvest.trouble() {
                text.push_str(&format!("\n{}:\n{}", resource.label(), text::wrapped(&trouble, 4, COLUMNS)));
            }
        }
        if let Some(stopped) = &self.stopped {
            text.push_str(&text::wrapped(&format!("Stopped early: {}", stopped.why), 0, COLUMNS));
        }
        let skipped = self.resources.iter().filter(|(_, harvest)| harvest.word() == "skipped").count();
        if skipped > 0 {
            text.push_str(&format!("{} skipped.\n", text::counted(skipped as u64, "resource")));
        }
        if let Some(next) = self.next_since {
            text.push_str(&format!("The next fetch goes on from here with --since {next}\n"));
        }
        let seconds = seconds(&self.started, &self.completed);
        let (records, files) = (text::counted(records, "record"), text::counted(files, "file"));
        text + &format!("{records} in {files} in {}, in {seconds:.1} s\n", visible::path(&self.folder))
    }

    /// The same for machines.
    pub fn to_json(&self, config: &Config, exit: Exit) -> Value {
        let resources: Map<String, Value> =
            self.resources.iter().map(|(resource, h)| (resource.label().to_string(), h.to_json(resource))).collect();
        let own = json!({
            "total_records_fetched": self.kept().0,
            "output_dir": self.folder.display().to_string(),
            "since": self.since,
            "next_since": self.next_since,
        });
        let own = if let Value::Object(own) = own { own } else { Map::new() };
        let times = (&self.started, &self.completed);
        results(config, "fetch", times, resources, own, (exit, self.stopped.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harvest(records: u64, total: u64, after: u64) -> Harvest {
        Harvest { records, total: Some(total), after: Some(after), ..Harvest::default() }
    }

    #[test]
    fn pages_that_shifted_are_told_by_counts_and_by_what_came_again() {
        assert_eq!(harvest(7, 7, 7).shift(), None);
        assert_eq!(Harvest { after: None, ..harvest(7, 7, 0) }.shift(), None);
        assert_eq!(Harvest { total: None, ..harvest(7, 7, 7) }.shift(), None, "an API that does not count");
        for odd in
            [harvest(6, 7, 7), harvest(7, 7, 8), harvest(8, 7, 8), Harvest { overlapping: 1, ..harvest(7, 7, 7) }]
        {
            assert!(odd.shift().is_some(), "{odd:?}");
        }
        let doubled = Harvest { total: None, after: None, overlapping: 2, ..harvest(7, 0, 0) }.shift();
        assert!(doubled.is_some_and(|told| told.contains("2 of 7 records again")));
        assert!(Harvest { by_cursor: true, overlapping: 1, ..harvest(7, 7, 7) }.shift().is_some());
        let by_cursor = |records, total, after| Harvest { by_cursor: true, ..harvest(records, total, after) }.shift();
        assert_eq!([by_cursor(7, 7, 8), by_cursor(8, 7, 8), by_cursor(7, 8, 7)], [None, None, None]);
        assert!(by_cursor(6, 7, 8).is_some());
    }

    fn exit(endings: &[Ending], partial_ok: bool) -> u8 {
        let now = Zoned::now();
        let resource = |ending: &Ending| {
            (Resource::new("ed-fi", "students"), Harvest { ending: ending.clone(), ..Harvest::default() })
        };
        let resources = endings.iter().map(resource).collect();
        let (folder, since, next_since, stopped) = Default::default();
        Yield { started: now.clone(), completed: now, folder, resources, since, next_since, stopped }
            .exit(partial_ok)
            .code()
    }

    #[test]
    fn the_exit_code_tells_what_became_of_the_fetch() {
        let failed = Ending::Failed(Reason::of_answer(Some(403), "no"));
        let differs = Ending::Differs("x".into());
        let skipped = Ending::Skipped("no such key".into());
        assert_eq!(exit(&[], false), 0);
        assert_eq!(exit(&[Ending::Fetched, skipped.clone()], false), 0);
        assert_eq!(exit(&[Ending::Fetched, failed.clone()], false), 3);
        assert_eq!(exit(&[Ending::Fetched, failed.clone()], true), 0);
        assert_eq!(exit(&[Ending::Fetched, differs.clone()], false), 3);
        assert_eq!(exit(&[failed, differs, skipped], true), 1);
    }
}
