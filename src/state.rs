//! What is known of the payloads of one target: a [`snapshot`] for each resource, a [`journal`] of what has become known since, and the
//! rules for what is [due](resend).
//!
//! One thread at a time touches a [`History`]; the workers of a tier share its tables, which do not change meanwhile. A kill at any
//! moment loses at most outcomes that were not yet flushed; these payloads are sent again, which an upsert allows.

mod growing;
pub mod journal;
pub mod reasons;
pub mod resend;
pub mod snapshot;
pub mod table;
pub mod target;

#[cfg(test)]
mod attack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fxhash::FxHashMap;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::disk::{self, Disk, System, create};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::resource::Resource;
use growing::Growing;
use journal::{Journal, News};
use table::Table;
use target::Lock;

/// The journal's name below a target's folder.
const JOURNAL: &str = "journal";
/// The journal is synced so often while outcomes come. With the quarter of a second that may pass between two flushes, no outcome is older
/// than a second when a power cut can no longer take it.
const SYNC_EVERY: Duration = Duration::from_millis(750);

/// The history of one target, held by this run alone.
pub struct History {
    disk: Box<dyn Disk>,
    target: String,
    folder: PathBuf,
    /// `None`: nothing is kept, because there is no folder for it.
    journal: Option<Journal>,
    synced: Instant,
    tables: FxHashMap<Resource, Arc<Table>>,
    /// Folders of namespaces that this run has made or found, and made safe. One that is only found may have been made by a run that was killed
    /// before it could do the latter.
    safe: BTreeSet<PathBuf>,
    _lock: Option<Lock>,
}

impl History {
    /// Opens the history of the target with this data URL, and brings into its snapshots what a killed run left in the journal. `warn` hears
    /// of a torn journal.
    pub fn open(
        disk: Box<dyn Disk>,
        state_dir: &Path,
        data_url: &str,
        warn: &mut dyn FnMut(String),
    ) -> Result<History> {
        let folder = target::folder(state_dir, data_url);
        for made in [state_dir, &folder] {
            let own = if made == folder { create::refuse_link(made) } else { Ok(()) };
            own.and_then(|()| disk::make_folders(&*disk, made)).or_stop(Exit::Usage, || {
                format!("cannot make the folder {} (state_dir in the configuration chooses where)", made.display())
            })?;
        }
        let lock = Lock::take(&folder, data_url)?;
        // The folders of namespaces and of rejects lie in it.
        disk::sweep_whole(&folder);
        disk::sweep_whole(&folder.join("rejects"));
        let path = folder.join(JOURNAL);
        let (journal, extent) = Journal::open(&*disk, &path)?;
        if extent.torn > 0 {
            warn(format!(
                "the last {} bytes of {} were not written whole when a run was cut off; those payloads are sent again",
                extent.torn,
                path.display()
            ));
        }
        let (tables, target, synced) = (FxHashMap::default(), data_url.into(), Instant::now());
        let safe = BTreeSet::new();
        let (journal, lock) = (Some(journal), Some(lock));
        let mut history = History { disk, target, folder, journal, synced, tables, safe, _lock: lock };
        history.bring(Exit::Usage)?;
        Ok(history)
    }

    /// A history that knows nothing and keeps nothing, for a run that has no folder for its state. It holds no lock.
    pub fn without_state(data_url: &str) -> History {
        let (folder, tables, safe) = Default::default();
        let (disk, target, synced) = (Box::new(System), data_url.into(), Instant::now());
        History { disk, target, folder, journal: None, synced, tables, safe, _lock: None }
    }

    /// What was known of a resource's payloads when its tier began, as [`History::tables`] gives it.
    pub fn table(&mut self, resource: &Resource, definition: u64) -> Result<Arc<Table>> {
        if let Some(table) = self.tables.get(resource) {
            return Ok(table.clone());
        }
        let table = match self.journal {
            Some(_) => Arc::new(self.shelf().read_under(resource, definition)?),
            None => Arc::default(),
        };
        self.tables.insert(resource.clone(), table.clone());
        Ok(table)
    }

    /// The same of all resources of a tier, read by the threads of a pool, for they wait for it.
    ///
    /// Each comes with the definition of its natural key, 0 for none; keys that another definition gave are forgotten.
    pub fn tables(&mut self, resources: &[(&Resource, u64)], pool: &ThreadPool) -> Result<Vec<Arc<Table>>> {
        let (shelf, known) = (self.journal.is_some().then(|| self.shelf()), &self.tables);
        let table = |&(resource, definition): &(&Resource, u64)| match (known.get(resource), &shelf) {
            (Some(table), _) => Ok(table.clone()),
            (None, Some(shelf)) => shelf.read_under(resource, definition).map(Arc::new),
            (None, None) => Ok(Arc::default()),
        };
        let tables: Vec<_> = pool.install(|| resources.par_iter().map(table).collect::<Result<_>>())?;
        self.tables.extend(resources.iter().map(|(resource, _)| (*resource).clone()).zip(tables.iter().cloned()));
        Ok(tables)
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf { disk: &*self.disk, folder: &self.folder, target: &self.target }
    }

    /// Takes note of outcomes of one resource; after [`History::flush`] a kill does not lose them.
    pub fn record(&mut self, resource: &Resource, news: &News) {
        if let Some(journal) = &mut self.journal {
            journal.append(&resource.to_string(), news);
        }
    }

    /// Hands to the system what was recorded; now and then makes it safe from power cuts too.
    pub fn flush(&mut self, now: Instant) -> Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.flush()?;
        if now.saturating_duration_since(self.synced) < SYNC_EVERY {
            return Ok(());
        }
        self.synced = now;
        journal.sync()
    }

    /// Brings what was recorded into the snapshots and empties the journal: at the end of a tier and at a clean stop. Once this returned, a
    /// power cut does not lose it. What was recorded is in the journal alone: in memory too, it would take more than all else.
    pub fn settle(&mut self) -> Result<()> {
        if let Some(journal) = &mut self.journal {
            let written = journal.flush();
            // Where not all could be written, what could be is to last.
            journal.sync()?;
            written?;
        }
        let brought = self.bring(Exit::GivenUp);
        self.tables.clear();
        brought
    }

    /// Brings into the snapshots what the journal holds. Where that fails, the journal keeps it for the next time: it is emptied only when every
    /// file is synced and has its name, and then every folder with a new name in it is synced, once.
    fn bring(&mut self, exit: Exit) -> Result<()> {
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let brought = self.bring_from(&mut journal, exit);
        self.journal = Some(journal);
        brought
    }

    fn bring_from(&mut self, journal: &mut Journal, exit: Exit) -> Result<()> {
        let mut names = BTreeSet::new();
        journal.read(&*self.disk, &mut |name, _| {
            if !names.contains(name) {
                names.insert(name.to_string());
            }
        })?;
        let resources = names.into_iter().filter_map(|name| Some((Resource::from_path(&name)?, name)));
        let resources: BTreeMap<_, _> = resources.map(|(resource, name)| (name, resource)).collect();
        let mut tables = BTreeMap::new();
        for (name, resource) in &resources {
            let table = match self.tables.remove(resource) {
                Some(table) => table,
                None => Arc::new(self.shelf().read_under(resource, 0)?),
            };
            tables.insert(name.clone(), Arc::try_unwrap(table).unwrap_or_else(|shared| shared.as_ref().clone()));
        }
        let mut growing = Growing::new(tables);
        journal.read(&*self.disk, &mut |name, news| growing.add(name, news))?;
        let mut folders = BTreeSet::new();
        for (name, table) in growing.grown() {
            let path = target::snapshot(&self.folder, &resources[&name]);
            let cannot = || format!("cannot write the state file {}", path.display());
            let folder = disk::folder_of(&path);
            if !self.safe.contains(folder) {
                create::refuse_link(folder).or_stop(exit, cannot)?;
                disk::make_folders(&*self.disk, folder).or_stop(exit, cannot)?;
                self.safe.insert(folder.into());
            }
            snapshot::write(&*self.disk, &path, &self.target, &name, &table).or_stop(exit, cannot)?;
            folders.insert(folder.to_path_buf());
        }
        for folder in folders {
            let cannot = || format!("cannot make safe the state files in {}", folder.display());
            self.disk.sync_folder(&folder).or_stop(exit, cannot)?;
        }
        journal.clear().or_stop(exit, || "cannot empty the journal".into())
    }
}

/// Where the snapshots of a target stand.
struct Shelf<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    target: &'a str,
}

impl Shelf<'_> {
    fn read(&self, resource: &Resource) -> Result<Table> {
        snapshot::read(self.disk, &target::snapshot(self.folder, resource), self.target, &resource.to_string())
    }

    /// For keys of that definition, if it is not 0.
    fn read_under(&self, resource: &Resource, definition: u64) -> Result<Table> {
        let table = self.read(resource)?;
        Ok(if definition == 0 { table } else { table.under(definition) })
    }
}

/// Opens the history of a target, as [`History::open`] does. Where there is no folder for state, nothing is known and
/// nothing kept.
pub fn open(
    state_dir: Option<&Path>,
    (data_url, before): (&str, Option<&str>),
    warn: &mut dyn FnMut(String),
) -> Result<History> {
    match state_dir {
        Some(state_dir) => {
            target::take_over(state_dir, data_url, before)?;
            History::open(Box::new(System), state_dir, data_url, warn)
        }
        None => Ok(History::without_state(data_url)),
    }
}

/// What is known of a resource's payloads, read without lock or change, for a look ahead.
pub fn peek(
    disk: &dyn Disk,
    state_dir: Option<&Path>,
    (data_url, before): (&str, Option<&str>),
    resource: &Resource,
    definition: u64,
) -> Result<Table> {
    let Some(state_dir) = state_dir else { return Ok(Table::default()) };
    let folder = target::folder_of_either(state_dir, data_url, before);
    let table = Shelf { disk, folder: &folder, target: data_url }.read(resource)?;
    let mut growing = Growing::new(BTreeMap::from([(resource.to_string(), table)]));
    journal::read(disk, &folder.join(JOURNAL), &mut |name, news| growing.add(name, news))?;
    let table = growing.grown().next().map(|(_, table)| table).unwrap_or_default();
    Ok(if definition == 0 { table } else { table.under(definition) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::disk::System;
    use crate::state::table::Entry;

    const URL: &str = "http://localhost/data/v3";

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("lightbeam-history-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    fn quiet(_: String) {}

    fn entry(status: u16) -> Entry {
        Entry::of_status(1, status)
    }

    fn news(digest: u8, status: u16) -> News {
        News { entries: vec![(Digest([digest; 16]), entry(status))], ..News::default() }
    }

    #[test]
    fn what_was_flushed_survives_a_run_that_never_settled() {
        let dir = dir("kill");
        let students = Resource::new("ed-fi", "students");
        let mut history = History::open(Box::new(System), &dir, URL, &mut quiet).unwrap();
        history.record(&students, &news(1, 201));
        history.flush(Instant::now()).unwrap();
        history.record(&students, &news(2, 201));
        drop(history);
        assert_eq!(
            peek(&System, Some(&dir), (URL, None), &students, 0).unwrap().len(),
            1,
            "a look ahead sees the journal"
        );
        let mut history = History::open(Box::new(System), &dir, URL, &mut quiet).unwrap();
        assert_eq!(history.table(&students, 0).unwrap().get(&Digest([1; 16])), Some(entry(201)));
        assert_eq!(history.table(&students, 0).unwrap().get(&Digest([2; 16])), None);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_is_recorded_counts_from_the_next_tier_on() {
        let dir = dir("settle");
        let students = Resource::new("ed-fi", "students");
        let mut history = History::open(Box::new(System), &dir, URL, &mut quiet).unwrap();
        let before = history.table(&students, 0).unwrap();
        history.record(&students, &news(1, 400));
        assert!(before.is_empty());
        history.settle().unwrap();
        history.record(&students, &news(1, 200));
        history.settle().unwrap();
        assert_eq!(history.table(&students, 0).unwrap().get(&Digest([1; 16])), Some(entry(200)));
        let journal = target::folder(&dir, URL).join(JOURNAL);
        journal::read(&System, &journal, &mut |resource, _| panic!("{resource} is still in the journal")).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_journal_that_somebody_else_cut_off_during_the_run_is_an_error_and_not_taken_for_all_there_was() {
        let dir = dir("cut-off");
        let mut history = History::open(Box::new(System), &dir, URL, &mut quiet).unwrap();
        for digest in 1..3 {
            history.record(&Resource::new("ed-fi", "students"), &news(digest, 201));
            history.flush(Instant::now()).unwrap();
        }
        let journal = target::folder(&dir, URL).join(JOURNAL);
        let length = std::fs::metadata(&journal).unwrap().len();
        std::fs::File::options().write(true).open(&journal).unwrap().set_len(length - 1).unwrap();
        let error = history.settle().unwrap_err();
        assert_eq!(error.exit(), Exit::GivenUp);
        assert!(error.to_string().contains(&journal.display().to_string()), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn two_targets_in_one_folder_know_nothing_of_each_other() {
        let dir = dir("targets");
        let students = Resource::new("ed-fi", "students");
        let mut history = History::open(Box::new(System), &dir, URL, &mut quiet).unwrap();
        history.record(&students, &news(1, 201));
        history.settle().unwrap();
        assert!(peek(&System, Some(&dir), ("http://localhost/data/v3/2026", None), &students, 0).unwrap().is_empty());
        assert!(
            peek(&System, Some(&dir), (URL, None), &Resource::new("tpdm", "students"), 0).unwrap().is_empty(),
            "nor do namespaces"
        );
        std::fs::remove_dir_all(dir).unwrap();
    }
}
