//! What history is to know of payloads whose records are being deleted: see [`super`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::account::Fate;
use crate::clock;
use crate::digest::Digest;
use crate::error::Result;
use crate::resource::Resource;
use crate::state::History;
use crate::state::table::{Entry, Table};

/// The history of a target, and what it was before a run touched it.
pub struct Memory {
    history: History,
    /// By the number of the resource.
    before: BTreeMap<usize, Arc<Table>>,
}

impl Memory {
    /// Of a target that this run holds.
    pub fn of(history: History) -> Memory {
        Memory { history, before: BTreeMap::new() }
    }

    /// What was known of a resource's payloads when the run began.
    pub fn before(&mut self, number: usize, resource: &Resource) -> Result<Arc<Table>> {
        if let Some(table) = self.before.get(&number) {
            return Ok(table.clone());
        }
        let table = self.history.table(resource)?;
        self.before.insert(number, table.clone());
        Ok(table)
    }

    /// Lets known payloads be due, because their records may go now.
    pub fn doubt(
        &mut self,
        number: usize,
        resource: &Resource,
        digests: impl IntoIterator<Item = Digest>,
    ) -> Result<()> {
        let before = self.before(number, resource)?;
        let doubt = Entry { at: clock::unix_now() as u32, status: Entry::NO_ANSWER };
        let known = digests.into_iter().filter(|digest| before.get(digest).is_some());
        self.record(resource, known.map(|digest| (digest, doubt)).collect());
        Ok(())
    }

    /// Takes note of how it ended for known payloads that were in [doubt](Memory::doubt).
    pub fn settled(
        &mut self,
        number: usize,
        resource: &Resource,
        digests: impl IntoIterator<Item = Digest>,
        fate: &Fate,
    ) {
        let Some(before) = self.before.get(&number) else { return };
        let gone = |entry: Entry| Entry { status: Entry::GONE, ..entry };
        let entry = |digest: Digest| {
            let known = before.get(&digest)?;
            match fate {
                Fate::Deleted | Fate::Gone => Some((digest, gone(known))),
                Fate::Refused(_) | Fate::Untried => Some((digest, known)),
                // It stays in doubt.
                Fate::Unsent(_) => None,
            }
        };
        let entries = digests.into_iter().filter_map(entry).collect();
        self.record(resource, entries);
    }

    /// As [`History::flush`].
    pub fn flush(&mut self, now: Instant) -> Result<()> {
        self.history.flush(now)
    }

    /// As [`History::settle`].
    pub fn settle(&mut self) -> Result<()> {
        self.history.settle()
    }

    fn record(&mut self, resource: &Resource, entries: Vec<(Digest, Entry)>) {
        if !entries.is_empty() {
            self.history.record(resource, &entries);
        }
    }
}
