//! The natural keys of all payloads read so far, to tell what is given twice and what is there to be referred to.
//!
//! A key costs 32 bytes and its share of a hash table that doubles when it is full: 40 to 75 bytes for each payload.

use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use fxhash::FxHashMap;

use crate::check::Key;
use crate::outcome::Place;
use crate::plan::Plan;
use crate::resource::Resource;

/// The keys of each of the plan's jobs.
pub struct Keys {
    files: Vec<Arc<Path>>,
    numbers: FxHashMap<Arc<Path>, u32>,
    jobs: Vec<FxHashMap<Key, First>>,
    by_resource: FxHashMap<Resource, usize>,
}

/// The first payload of a key.
#[derive(Clone, Copy)]
struct First {
    /// Of its text.
    hash: u64,
    file: u32,
    /// The last one that a number of 32 bits can tell stands for all behind it.
    line: u32,
}

/// What a payload is to those before it.
#[derive(Debug, PartialEq)]
pub enum Claim {
    /// The first of its key.
    First,
    /// The same, to the byte, as the first of its key, which stands there.
    Repeated(Place),
    /// Another payload of a key whose first stands there.
    Taken(Place),
}

impl Keys {
    /// Of a load of which nothing was read.
    pub fn new(plan: &Plan) -> Keys {
        let files: Vec<Arc<Path>> = plan.jobs().flat_map(|job| job.files.iter().cloned()).collect();
        Keys {
            numbers: files.iter().cloned().zip(0..).collect(),
            files,
            jobs: plan.jobs().map(|_| FxHashMap::default()).collect(),
            by_resource: plan.jobs().map(|job| job.turn.resource.clone()).zip(0..).collect(),
        }
    }

    /// Enters the key of a payload of that job, whose text has that hash.
    pub fn claim(&mut self, job: usize, key: Key, file: &Arc<Path>, line: u64, hash: u64) -> Claim {
        match self.jobs[job].entry(key) {
            Entry::Vacant(free) => {
                let file = self.numbers.get(file).copied().unwrap_or_default();
                free.insert(First { hash, file, line: line.try_into().unwrap_or(u32::MAX) });
                Claim::First
            }
            Entry::Occupied(taken) => {
                let first = taken.get();
                let place = Place { file: self.files[first.file as usize].clone(), line: first.line.into() };
                if first.hash == hash { Claim::Repeated(place) } else { Claim::Taken(place) }
            }
        }
    }

    /// The number of the job that loads a resource, if one does.
    pub fn job(&self, resource: &Resource) -> Option<usize> {
        self.by_resource.get(resource).copied()
    }

    /// Whether that job has a payload of this key.
    pub fn has(&self, job: usize, key: Key) -> bool {
        self.jobs[job].contains_key(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Job, Tier, Turn};

    #[test]
    fn the_first_payload_of_a_key_is_told_to_later_ones_of_its_resource_and_of_no_other() {
        let file = |name: &str| Arc::from(Path::new(name));
        let job = |name: &str, files: &[&str]| Job {
            turn: Turn { resource: Resource::new("ed-fi", name), create: 1, update: None },
            files: files.iter().map(|name| file(name)).collect(),
        };
        let jobs = vec![job("schools", &["schools.jsonl"]), job("students", &["a.jsonl", "b.jsonl"])];
        let mut keys = Keys::new(&Plan { tiers: vec![Tier { order: 1, first: 0, jobs }] });
        let first = Place { file: file("a.jsonl"), line: 7 };
        assert_eq!(keys.claim(1, Key(5), &file("a.jsonl"), 7, 1), Claim::First);
        assert_eq!(keys.claim(1, Key(5), &file("b.jsonl"), 1, 1), Claim::Repeated(first.clone()));
        assert_eq!(keys.claim(1, Key(5), &file("b.jsonl"), 2, 2), Claim::Taken(first));
        assert_eq!(keys.claim(0, Key(5), &file("schools.jsonl"), 1, 1), Claim::First);
        assert_eq!((keys.has(1, Key(5)), keys.has(1, Key(6))), (true, false));
        assert_eq!(keys.job(&Resource::new("ed-fi", "students")), Some(1));
        assert_eq!(keys.job(&Resource::new("tpdm", "students")), None);
    }
}
