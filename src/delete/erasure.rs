//! What became of a delete or truncate as a whole: table, results file, exit code.

use std::path::Path;

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::account::{Account, Failure};
use super::{Deletion, Desk};
use crate::config::Config;
use crate::exit::Exit;
use crate::outcome::Reason;
use crate::report::{Trouble, reasons};
use crate::resource::Resource;
use crate::results::{Stopped, results, seconds};
use crate::text;

/// The summary stays within a terminal of so many columns.
const COLUMNS: usize = 80;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// The command.
    pub command: &'static str,
    /// The API's data URL, if the run came so far.
    pub target: Option<String>,
    /// Whether something was to be deleted, or only looked up.
    pub deed: Deed,
    /// When it began.
    pub started: Zoned,
    /// When it ended.
    pub completed: Zoned,
    /// Each resource, those first that refer to others.
    pub resources: Vec<(Resource, Account)>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// What was to be done with the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deed {
    /// To delete them.
    #[default]
    Delete,
    /// To tell what would be deleted.
    DryRun,
}

type Column = (&'static str, fn(&Account) -> u64, bool);

impl Erasure {
    /// What is known of a run by now.
    pub fn of(command: &'static str, deed: Deed, started: &Zoned, deletion: &Deletion, desk: &Desk) -> Erasure {
        let names = deletion.routes.iter().map(|route| route.resource.clone());
        let mut resources: Vec<_> = names.zip(desk.accounts.iter().cloned()).collect();
        resources.reverse();
        let target = Some(deletion.api.urls().data.clone());
        let stopped = Stopped::by(deletion.stop.clone(), deletion.interrupt);
        Erasure { command, target, deed, started: started.clone(), completed: Zoned::now(), resources, stopped }
    }

    /// Of a run that could not begin.
    pub fn of_nothing(command: &'static str, started: Zoned, stopped: Stopped) -> Erasure {
        let (completed, stopped) = (Zoned::now(), Some(stopped));
        Erasure { command, target: None, deed: Deed::Delete, started, completed, resources: Vec::new(), stopped }
    }

    /// The counts of all resources.
    pub fn total(&self) -> Account {
        let mut total = Account::default();
        self.resources.iter().for_each(|(_, account)| total.add(account));
        total
    }

    /// How the program is to end. `partial_ok`: a part that failed is no failure of the run.
    pub fn exit(&self, partial_ok: bool) -> Exit {
        let accounts = || self.resources.iter().map(|(_, account)| account);
        let bad = accounts().any(Account::is_bad);
        let went = |account: &Account| match self.deed {
            Deed::Delete => account.done() > 0,
            Deed::DryRun => account.there + account.gone > 0,
        };
        let good = accounts().any(|account| went(account) || !account.is_bad());
        match &self.stopped {
            Some(stopped) => stopped.exit_after(accounts().any(|account| account.done() > 0)),
            None if self.total().unsent > 0 => Exit::GivenUp,
            None if bad && !good => Exit::AllFailed,
            None if bad && !partial_ok => Exit::SomeFailed,
            None if self.command == "delete" && self.total().lines.payloads() == 0 => Exit::AllSkipped,
            None => Exit::Ok,
        }
    }

    /// What is to be deleted, for the one who is asked: every resource with its counts, within 80 columns.
    pub fn question(&self) -> String {
        let target = self.target.as_deref().unwrap_or_default();
        format!("To be deleted at {target}:\n{}", self.counts())
    }

    /// What people read at the end, within 80 columns.
    pub fn to_text(&self) -> String {
        let mut text = match self.resources.is_empty() {
            true => String::new(),
            false => self.counts() + &self.reasons() + "\n",
        };
        let total = self.total();
        if let Some(stopped) = &self.stopped {
            text.push_str(&text::wrapped(&format!("Stopped early: {}", stopped.why), 0, COLUMNS));
        }
        if total.unsent > 0 {
            let records = text::counted(total.unsent, "record");
            text.push_str(&format!("{records} not tried or without a final answer; a next run tries them again.\n"));
        }
        if total.lines.skipped > 0 {
            let payloads = text::counted(total.lines.skipped, "payload");
            let told = format!("{payloads} sent before and not selected; the records stay. --force selects all.");
            text.push_str(&text::wrapped(&told, 0, COLUMNS));
        }
        let at = self.target.as_ref().map_or(String::new(), |target| format!(" at {target}"));
        let seconds = seconds(&self.started, &self.completed);
        text + &match self.deed {
            Deed::DryRun => format!("Nothing is deleted. {} would go{at}.\n", text::counted(total.there, "record")),
            Deed::Delete => format!("{} deleted{at}, in {seconds:.1} s.\n", text::counted(total.deleted, "record")),
        }
    }

    fn counts(&self) -> String {
        let total = self.total();
        let columns: [Column; 9] = [
            ("read", |a| a.lines.read, false),
            ("blank", |a| a.lines.blank, false),
            ("duplicates", |a| a.lines.duplicates, false),
            ("skipped", |a| a.lines.skipped, false),
            ("there", |a| a.there, total.there != total.deleted),
            ("deleted", |a| a.deleted, false),
            ("gone", |a| a.gone, false),
            ("refused", |a| a.refused, false),
            ("unsent", |a| a.unsent, false),
        ];
        let shown: Vec<_> = columns.iter().filter(|(_, of, always)| *always || of(&total) > 0).collect();
        let cells = |account: &Account| shown.iter().map(|(_, of, _)| text::count(of(account))).collect::<Vec<_>>();
        let mut rows = vec![(String::new(), shown.iter().map(|(head, ..)| head.to_string()).collect())];
        let told =
            self.resources.iter().filter(|(_, account)| account.lines.read + account.there > 0 || account.is_bad());
        rows.extend(told.map(|(resource, account)| (resource.label().into(), cells(account))));
        rows.push(("total".into(), cells(&total)));
        text::table(&rows, COLUMNS)
    }

    fn reasons(&self) -> String {
        let mut all = Vec::new();
        for (resource, account) in &self.resources {
            let trouble = |(reason, failure): (&Reason, &Failure)| {
                let first = failure.places.iter().next();
                let first = first.and_then(|(file, lines)| Some((file.to_path_buf(), *lines.iter().min()?)));
                Trouble {
                    resource: resource.clone(),
                    reason: reason.clone(),
                    count: failure.count,
                    first,
                    correlation_id: None,
                }
            };
            all.extend(account.failures.iter().map(trouble));
            let unread = account.unread.iter().map(|reason| (reason, Failure { count: 1, ..Failure::default() }));
            all.extend(unread.map(|(reason, failure)| trouble((reason, &failure))));
        }
        reasons("Why records were not deleted", all)
    }

    /// The results file: the keys of `send`, as far as they mean something here.
    pub fn to_json(&self, config: &Config, exit: Exit) -> Value {
        let resources = self.resources.iter().map(|(resource, account)| {
            let mut told = counts_json(account);
            let reason = account.unread.as_ref();
            told.insert("namespace".into(), resource.namespace().into());
            told.insert("status_code".into(), json!(reason.and_then(|reason| reason.status)));
            told.insert("message".into(), json!(reason.map(|reason| &reason.message)));
            told.insert("failures".into(), account.failures.iter().flat_map(failures_json).collect());
            (resource.label().to_string(), told.into())
        });
        let total = counts_json(&self.total()).into_iter();
        let mut own: Map<String, Value> = total.map(|(key, n)| (format!("total_{key}"), n)).collect();
        own.insert("dry_run".into(), (self.deed == Deed::DryRun).into());
        own.insert("target".into(), json!(self.target));
        let (times, end) = ((&self.started, &self.completed), (exit, self.stopped.as_ref()));
        results(config, self.command, times, resources.collect(), own, end)
    }
}

fn counts_json(account: &Account) -> Map<String, Value> {
    let failed = account.refused + account.unsent;
    let all = [
        ("records_processed", account.processed()),
        ("records_skipped", account.lines.duplicates + account.lines.skipped),
        ("records_failed", failed),
        ("records_there", account.there),
        ("records_deleted", account.deleted),
        ("records_gone", account.gone),
        ("records_refused", account.refused),
        ("records_unsent", account.unsent),
        ("lines_blank", account.lines.blank),
    ];
    all.into_iter().map(|(key, n)| (key.to_string(), n.into())).collect()
}

fn failures_json((reason, failure): (&Reason, &Failure)) -> Vec<Value> {
    let told = |file: Option<&Path>, lines: &[u64], count: u64| {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        json!({
            "status_code": reason.status,
            "message": reason.message,
            "file": file.map(|file| file.display().to_string()),
            "count": count,
            "line_numbers": lines,
        })
    };
    match failure.places.is_empty() {
        true => vec![told(None, &[], failure.count)],
        false => failure.places.iter().map(|(file, lines)| told(Some(file), lines, lines.len() as u64)).collect(),
    }
}
