//! What is known of the payloads of one target: a [`snapshot`] for each resource, a [`journal`] of what has become known since, and the
//! rules for what is [due](resend).
//!
//! Only the calling thread of a run touches a [`History`]; the workers of a tier share its tables, which do not change meanwhile. A kill at any
//! moment loses at most outcomes that were not yet flushed; these payloads are sent again, which an upsert allows.

pub mod journal;
pub mod resend;
pub mod snapshot;
pub mod table;
pub mod target;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fxhash::FxHashMap;

use crate::digest::Digest;
use crate::error::Result;
use crate::resource::Resource;
use journal::{Batch, Journal};
use table::{Entry, Table};
use target::Lock;

/// The journal's name below a target's folder.
const JOURNAL: &str = "journal";

/// The history of one target, held by this run alone.
pub struct History {
    target: String,
    folder: PathBuf,
    journal: Journal,
    tables: FxHashMap<Resource, Arc<Table>>,
    news: FxHashMap<Resource, Vec<(Digest, Entry)>>,
    _lock: Lock,
}

impl History {
    /// Opens the history of the target with this data URL, and brings into its snapshots what a killed run left in the journal. `warn` hears
    /// of a torn journal.
    pub fn open(state_dir: &Path, data_url: &str, warn: &mut dyn FnMut(String)) -> Result<History> {
        let folder = target::folder(state_dir, data_url);
        let lock = Lock::take(&folder, data_url)?;
        let path = folder.join(JOURNAL);
        let (mut journal, contents) = Journal::open(&path)?;
        if contents.torn > 0 {
            warn(format!(
                "the last {} bytes of {} were not written whole when a run was cut off; those payloads are sent again",
                contents.torn,
                path.display()
            ));
        }
        for (resource, news) in by_resource(contents.batches) {
            let path = target::snapshot(&folder, &resource);
            let name = resource.to_string();
            snapshot::write(&path, data_url, &name, &snapshot::read(&path, data_url, &name)?.with(news))?;
        }
        journal.clear()?;
        let (tables, news) = Default::default();
        Ok(History { target: data_url.into(), folder, journal, tables, news, _lock: lock })
    }

    /// What was known of a resource's payloads when its tier began.
    pub fn table(&mut self, resource: &Resource) -> Result<Arc<Table>> {
        if let Some(table) = self.tables.get(resource) {
            return Ok(table.clone());
        }
        let path = target::snapshot(&self.folder, resource);
        let table = Arc::new(snapshot::read(&path, &self.target, &resource.to_string())?);
        self.tables.insert(resource.clone(), table.clone());
        Ok(table)
    }

    /// Takes note of outcomes of one resource; after [`History::flush`] a kill does not lose them.
    pub fn record(&mut self, resource: &Resource, entries: &[(Digest, Entry)]) {
        self.journal.append(&resource.to_string(), entries);
        self.news.entry(resource.clone()).or_default().extend_from_slice(entries);
    }

    /// Hands to the system what was recorded.
    pub fn flush(&mut self) -> Result<()> {
        self.journal.flush()
    }

    /// Brings what was recorded into the snapshots and empties the journal: at the end of a tier and at a clean stop.
    pub fn settle(&mut self) -> Result<()> {
        self.journal.flush()?;
        let news = std::mem::take(&mut self.news);
        let any = !news.is_empty();
        for (resource, news) in news {
            self.table(&resource)?;
            let table = self.tables.remove(&resource).unwrap_or_default();
            let path = target::snapshot(&self.folder, &resource);
            let table = Arc::try_unwrap(table).unwrap_or_else(|shared| shared.as_ref().clone()).with(news);
            snapshot::write(&path, &self.target, &resource.to_string(), &table)?;
        }
        self.tables.clear();
        if any {
            self.journal.clear()?;
        }
        Ok(())
    }
}

/// What is known of a resource's payloads, read without lock or change, for a look ahead.
pub fn peek(state_dir: &Path, data_url: &str, resource: &Resource) -> Result<Table> {
    let folder = target::folder(state_dir, data_url);
    let table = snapshot::read(&target::snapshot(&folder, resource), data_url, &resource.to_string())?;
    let batches = journal::read(&folder.join(JOURNAL))?.batches;
    Ok(table.with(by_resource(batches).remove(resource).unwrap_or_default()))
}

fn by_resource(batches: Vec<Batch>) -> FxHashMap<Resource, Vec<(Digest, Entry)>> {
    let mut news: FxHashMap<Resource, Vec<(Digest, Entry)>> = FxHashMap::default();
    for batch in batches {
        if let Some(resource) = Resource::from_path(&batch.resource) {
            news.entry(resource).or_default().extend(batch.entries);
        }
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost/data/v3";

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("lightbeam-history-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    fn quiet(_: String) {}

    fn entry(status: u16) -> Entry {
        Entry { at: 1, status }
    }

    #[test]
    fn what_was_flushed_survives_a_run_that_never_settled() {
        let dir = dir("kill");
        let students = Resource::new("ed-fi", "students");
        let mut history = History::open(&dir, URL, &mut quiet).unwrap();
        history.record(&students, &[(Digest([1; 16]), entry(201))]);
        history.flush().unwrap();
        history.record(&students, &[(Digest([2; 16]), entry(201))]);
        drop(history);
        assert_eq!(peek(&dir, URL, &students).unwrap().len(), 1, "a look ahead sees the journal");
        let mut history = History::open(&dir, URL, &mut quiet).unwrap();
        assert_eq!(history.table(&students).unwrap().get(&Digest([1; 16])), Some(entry(201)));
        assert_eq!(history.table(&students).unwrap().get(&Digest([2; 16])), None);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_recorded_counts_from_the_next_tier_on() {
        let dir = dir("settle");
        let students = Resource::new("ed-fi", "students");
        let mut history = History::open(&dir, URL, &mut quiet).unwrap();
        let before = history.table(&students).unwrap();
        history.record(&students, &[(Digest([1; 16]), entry(400))]);
        assert!(before.is_empty());
        history.settle().unwrap();
        history.record(&students, &[(Digest([1; 16]), entry(200))]);
        history.settle().unwrap();
        assert_eq!(history.table(&students).unwrap().get(&Digest([1; 16])), Some(entry(200)));
        assert_eq!(journal::read(&target::folder(&dir, URL).join(JOURNAL)).unwrap().batches, []);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn two_targets_in_one_folder_know_nothing_of_each_other() {
        let dir = dir("targets");
        let students = Resource::new("ed-fi", "students");
        let mut history = History::open(&dir, URL, &mut quiet).unwrap();
        history.record(&students, &[(Digest([1; 16]), entry(201))]);
        history.settle().unwrap();
        assert!(peek(&dir, "http://localhost/data/v3/2026", &students).unwrap().is_empty());
        assert!(peek(&dir, URL, &Resource::new("tpdm", "students")).unwrap().is_empty(), "nor do namespaces");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
