//! Attacks on what the state promises. A test tries every operation of two runs on a [`disk`] with every fault and every power cut, and
//! compares what a third run finds with a ledger of what was recorded and confirmed.

mod disk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::journal::News;
use super::table::Entry;
use super::{History, SYNC_EVERY, target};
use crate::digest::Digest;
use crate::error::Result;
use crate::resource::Resource;
use disk::{CUTS, Fault, Memory};

/// What was recorded of each payload, in order, and how much of it was confirmed.
#[derive(Default)]
struct Ledger {
    entries: BTreeMap<(Resource, Digest), Vec<Entry>>,
    confirmed: BTreeMap<(Resource, Digest), usize>,
    recorded: u32,
}

impl Ledger {
    fn record(&mut self, history: &mut History, resource: &Resource, digests: &[u8]) {
        for digest in digests {
            self.recorded += 1;
            // Each entry is the only one of its kind, so that one that comes back tells when it was recorded.
            let entry = Entry::of_status(self.recorded, self.recorded as u16);
            let digest = Digest([*digest; 16]);
            self.entries.entry((resource.clone(), digest)).or_default().push(entry);
            history.record(resource, &News { entries: vec![(digest, entry)], ..News::default() });
        }
    }

    fn confirm(&mut self, synced: Result<()>) {
        if synced.is_ok() {
            self.confirmed = self.entries.iter().map(|(key, entries)| (key.clone(), entries.len())).collect();
        }
    }

    fn check(&self, history: &mut History, situation: &str) {
        for resource in resources() {
            let table = history.table(&resource, 0).unwrap();
            let known = self.entries.keys().filter(|(of, _)| *of == resource);
            let found = known.clone().filter(|(_, digest)| table.get(digest).is_some()).count();
            assert_eq!(found, table.len(), "{situation}: payloads that nobody sent");
            for key in known {
                let (entries, confirmed) = (&self.entries[key], self.confirmed.get(key).copied().unwrap_or(0));
                match table.get(&key.1) {
                    None => assert_eq!(confirmed, 0, "{situation}: {key:?} is lost"),
                    Some(entry) => {
                        let at = entries.iter().position(|e| *e == entry);
                        let at = at.unwrap_or_else(|| panic!("{situation}: {key:?} never ended as {entry:?}"));
                        assert!(at + 1 >= confirmed, "{situation}: {key:?} is back to {entry:?}");
                    }
                }
            }
        }
    }
}

const URL: &str = "http://localhost/data/v3";

/// Two of them share a folder, which is synced once for both.
fn resources() -> [Resource; 3] {
    [Resource::new("ed-fi", "schools"), Resource::new("tpdm", "candidates"), Resource::new("ed-fi", "students")]
}

fn open(disk: &Memory, state_dir: &Path) -> Result<History> {
    History::open(Box::new(disk.clone()), state_dir, URL, &mut |_| {})
}

/// Two runs that end within their second tier, without a clean end. Like a load they go on after errors.
fn two_runs(disk: &Memory, state_dir: &Path) -> Ledger {
    let mut ledger = Ledger::default();
    let [schools, candidates, students] = resources();
    for run in 0..2 {
        let Ok(mut history) = open(disk, state_dir) else { continue };
        let start = Instant::now();
        ledger.record(&mut history, &schools, &[1, 2]);
        let _ = history.flush(start);
        ledger.record(&mut history, &candidates, &[3]);
        ledger.confirm(history.flush(start + 2 * SYNC_EVERY));
        ledger.record(&mut history, &schools, &[2, 4 + run]);
        ledger.record(&mut history, &students, &[5, 10 + run]);
        ledger.confirm(history.settle());
        ledger.record(&mut history, &schools, &[1]);
        ledger.record(&mut history, &candidates, &[3, 6 + run]);
        ledger.confirm(history.flush(start + 4 * SYNC_EVERY));
        ledger.record(&mut history, &candidates, &[3, 8 + run]);
        ledger.confirm(history.flush(start + 6 * SYNC_EVERY));
        ledger.record(&mut history, &candidates, &[3]);
        let _ = history.flush(start + 6 * SYNC_EVERY);
    }
    ledger
}

/// A state folder of this machine, for the lock, which stays real.
struct StateDir(PathBuf);

impl StateDir {
    fn new(name: &str) -> StateDir {
        let dir = std::env::temp_dir().join(format!("lightbeam-attack-{}-{name}", std::process::id()));
        std::fs::create_dir_all(target::folder(&dir, URL)).unwrap();
        StateDir(dir)
    }

    fn disk(&self, fault: Option<(usize, Fault)>) -> Memory {
        Memory::new(self.0.parent().unwrap_or(Path::new("/")), fault)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn whatever_operation_fails_or_is_the_last_the_state_opens_and_holds_what_was_confirmed() {
    let dir = StateDir::new("all");
    let disk = dir.disk(None);
    let ledger = two_runs(&disk, &dir.0);
    assert!(ledger.entries.keys().all(|key| ledger.confirmed.contains_key(key)), "without a fault all is confirmed");
    let operations = disk.operations();
    for (at, fault) in (1..=operations + 1).flat_map(|at| [Fault::Error, Fault::Full, Fault::Kill].map(|f| (at, f))) {
        let disk = dir.disk(Some((at, fault)));
        let ledger = two_runs(&disk, &dir.0);
        for (names, data) in CUTS {
            let situation = format!("{fault:?} at {at} of {operations}, names kept: {names:?}, data kept: {data:?}");
            let disk = disk.after_power_cut(names, data);
            for _ in 0..2 {
                let history = open(&disk, &dir.0);
                ledger.check(&mut history.unwrap_or_else(|e| panic!("{situation}: {e}")), &situation);
            }
        }
    }
}

#[test]
fn outcomes_that_keep_coming_are_synced_as_often_as_promised_and_no_oftener() {
    let dir = StateDir::new("pace");
    let disk = dir.disk(None);
    let mut history = open(&disk, &dir.0).unwrap();
    let start = Instant::now();
    let before = disk.syncs();
    let mut ledger = Ledger::default();
    for quarter in 1..=40 {
        ledger.record(&mut history, &resources()[0], &[quarter]);
        history.flush(start + u32::from(quarter) * Duration::from_millis(250)).unwrap();
    }
    let syncs = disk.syncs() - before;
    assert!((10..=14).contains(&syncs), "{syncs} in ten seconds");
    history.flush(start + Duration::from_secs(60)).unwrap();
    let idle = disk.syncs();
    history.flush(start + Duration::from_secs(120)).unwrap();
    assert_eq!(disk.syncs(), idle, "nothing new, nothing to sync");
}

#[test]
fn a_tier_of_three_hundred_resources_syncs_each_file_and_the_folder_of_each_namespace_once() {
    let dir = StateDir::new("tier");
    let disk = dir.disk(None);
    let mut history = open(&disk, &dir.0).unwrap();
    let tier = |history: &mut History, status| {
        let before = (disk.syncs(), disk.folder_syncs());
        for number in 0..300 {
            let namespace = if number % 3 == 0 { "tpdm" } else { "ed-fi" };
            let resource = Resource::new(namespace, &format!("resource{number}"));
            let entries = vec![(Digest([1; 16]), Entry::of_status(1, status))];
            history.record(&resource, &News { entries, ..News::default() });
        }
        history.settle().unwrap();
        (disk.syncs() - before.0, disk.folder_syncs() - before.1)
    };
    // The journal is synced before and when it is empty. The folder above is synced for each folder that is new to the run.
    assert_eq!(tier(&mut history, 201), (302, 4));
    assert_eq!(tier(&mut history, 200), (302, 2));
    drop(history);
    let mut history = open(&disk.after_power_cut(disk::Kept::Nothing, disk::Kept::Nothing), &dir.0).unwrap();
    let table = history.table(&Resource::new("ed-fi", "resource299"), 0).unwrap();
    assert_eq!(table.get(&Digest([1; 16])), Some(Entry::of_status(1, 200)));
}
