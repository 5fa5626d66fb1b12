//! What history is to know of payloads whose records are being deleted: see [`super`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::account::Fate;
use crate::clock;
use crate::digest::Digest;
use crate::edfi::key::StrictKey;
use crate::error::Result;
use crate::resource::Resource;
use crate::state::History;
use crate::state::journal::News;
use crate::state::table::{Entry, Standing, Table};

/// The history of a target, and what it was before a run touched it.
pub struct Memory {
    history: History,
    /// By the number of the resource.
    before: BTreeMap<usize, Arc<Table>>,
    /// The definitions of the resources' natural keys; 0 for none.
    definitions: Vec<u64>,
}

impl Memory {
    /// Of a target that this run holds. `definitions` are those of the resources' natural keys, by their numbers; 0 or missing for none.
    pub fn of(history: History, definitions: Vec<u64>) -> Memory {
        Memory { history, before: BTreeMap::new(), definitions }
    }

    fn definition(&self, number: usize) -> u64 {
        self.definitions.get(number).copied().unwrap_or_default()
    }

    /// What was known of a resource's payloads when the run began.
    pub fn before(&mut self, number: usize, resource: &Resource) -> Result<Arc<Table>> {
        if let Some(table) = self.before.get(&number) {
            return Ok(table.clone());
        }
        let table = self.history.table(resource, self.definition(number))?;
        self.before.insert(number, table.clone());
        Ok(table)
    }

    /// Lets known payloads be due, because their records may go now.
    pub fn doubt(
        &mut self,
        number: usize,
        resource: &Resource,
        payloads: impl IntoIterator<Item = (Digest, StrictKey)>,
    ) -> Result<()> {
        let before = self.before(number, resource)?;
        let at = clock::unix_now() as u32;
        let doubt = |(digest, key): (Digest, StrictKey)| {
            let known = before.get(&digest);
            let key = known.and_then(|entry| entry.record()).unwrap_or(key);
            // Another payload of the record may be known although this one is not.
            let matters = known.is_some() || before.holds_some() && key != Entry::NO_KEY;
            matters.then_some((digest, Entry { key, at, status: 0, standing: Standing::NoAnswer }))
        };
        let entries = payloads.into_iter().filter_map(doubt).collect();
        self.record(number, resource, entries);
        Ok(())
    }

    /// Takes note of how it ended for known payloads that were in [doubt](Memory::doubt).
    pub fn settled(
        &mut self,
        number: usize,
        resource: &Resource,
        payloads: impl IntoIterator<Item = (Digest, StrictKey)>,
        fate: &Fate,
    ) {
        let Some(before) = self.before.get(&number) else { return };
        let gone = |key| Entry { key, at: 0, status: 0, standing: Standing::Gone };
        let entry = |(digest, key): (Digest, StrictKey)| {
            let known = before.get(&digest);
            match (fate, known) {
                (Fate::Deleted | Fate::Gone, None) if key == Entry::NO_KEY => None,
                (Fate::Deleted | Fate::Gone, _) => {
                    Some((digest, gone(known.and_then(|entry| entry.record()).unwrap_or(key))))
                }
                // What it was before says nothing new about its record.
                (Fate::Refused(_) | Fate::Untried, Some(known)) => {
                    let is_accepted = known.standing == Standing::Accepted;
                    let standing = if is_accepted { Standing::Learned } else { known.standing };
                    Some((digest, Entry { standing, ..known }))
                }
                (Fate::Refused(_) | Fate::Untried, None) => Some((digest, gone(Entry::NO_KEY))),
                // It stays in doubt.
                (Fate::Unsent(_), _) => None,
            }
        };
        let entries = payloads.into_iter().filter_map(entry).collect();
        self.record(number, resource, entries);
    }

    /// As [`History::flush`].
    pub fn flush(&mut self, now: Instant) -> Result<()> {
        self.history.flush(now)
    }

    /// As [`History::settle`].
    pub fn settle(&mut self) -> Result<()> {
        self.history.settle()
    }

    fn record(&mut self, number: usize, resource: &Resource, entries: Vec<(Digest, Entry)>) {
        if !entries.is_empty() {
            let definition = self.definition(number);
            self.history.record(resource, &News { definition, entries, said: Vec::new() });
        }
    }
}
