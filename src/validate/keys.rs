//! The natural keys of all payloads read so far, to tell what is given twice and what is there to be referred to.
//!
//! A key costs 56 bytes and its share of two hash tables that double when they are full: 65 to 130 bytes for each payload.

use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use fxhash::FxHashMap;

use crate::edfi::key::{Keys, LooseKey, StrictKey};
use crate::outcome::Place;
use crate::plan::Plan;
use crate::resource::Resource;

/// The keys of each of the plan's jobs.
pub struct Given {
    files: Vec<Arc<Path>>,
    numbers: FxHashMap<Arc<Path>, u32>,
    jobs: Vec<Of>,
    by_resource: FxHashMap<Resource, usize>,
    /// The jobs that load education organizations, which share one space of ids: the first of each id, and its job.
    organizations: FxHashMap<StrictKey, (usize, First)>,
    /// The number of the file of the key before.
    last: u32,
}

/// The keys of one job.
#[derive(Default)]
struct Of {
    strict: FxHashMap<StrictKey, First>,
    /// The first key of those that an API may take for one because it ignores case.
    loose: FxHashMap<LooseKey, StrictKey>,
    is_of_organizations: bool,
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
    /// The first of its key, but an API that ignores case takes it for the record of the payload that stands there.
    Alike(Place),
    /// An education organization whose id one of another kind has, which stands there.
    TakenByOrganization(Place),
}

impl Given {
    /// Of a load of which nothing was read. `is_organization` tells whether a resource is one of education organizations.
    pub fn new(plan: &Plan, is_organization: impl Fn(&Resource) -> bool) -> Given {
        let files: Vec<Arc<Path>> = plan.jobs().flat_map(|job| job.files.iter().cloned()).collect();
        let of = |resource: &Resource| Of { is_of_organizations: is_organization(resource), ..Of::default() };
        Given {
            numbers: files.iter().cloned().zip(0..).collect(),
            files,
            jobs: plan.jobs().map(|job| of(&job.turn.resource)).collect(),
            by_resource: plan.jobs().map(|job| job.turn.resource.clone()).zip(0..).collect(),
            organizations: FxHashMap::default(),
            last: 0,
        }
    }

    /// Enters the key of a payload of that job, whose text has that hash.
    pub fn claim(&mut self, job: usize, key: Keys, file: &Arc<Path>, line: u64, hash: u64) -> Claim {
        let file = self.number(file);
        let first = First { hash, file, line: line.try_into().unwrap_or(u32::MAX) };
        let of = &mut self.jobs[job];
        match of.strict.entry(key.strict) {
            Entry::Vacant(free) => drop(free.insert(first)),
            Entry::Occupied(taken) => {
                let earlier = *taken.get();
                let place = place(&self.files, earlier);
                return if earlier.hash == hash { Claim::Repeated(place) } else { Claim::Taken(place) };
            }
        }
        if of.is_of_organizations {
            let (owner, earlier) = *self.organizations.entry(key.strict).or_insert((job, first));
            if owner != job {
                return Claim::TakenByOrganization(place(&self.files, earlier));
            }
        }
        let alike = *of.loose.entry(key.loose).or_insert(key.strict);
        match of.strict.get(&alike).filter(|_| alike != key.strict) {
            Some(&earlier) => Claim::Alike(place(&self.files, earlier)),
            None => Claim::First,
        }
    }

    /// The number of a file. Most keys come from the same one as the key before, which a look at its address tells.
    fn number(&mut self, file: &Arc<Path>) -> u32 {
        if !self.files.get(self.last as usize).is_some_and(|last| Arc::ptr_eq(last, file)) {
            self.last = self.numbers.get(file).copied().unwrap_or_default();
        }
        self.last
    }

    /// The number of the job that loads a resource, if one does.
    pub fn job(&self, resource: &Resource) -> Option<usize> {
        self.by_resource.get(resource).copied()
    }

    /// Whether that job has a payload of this key.
    pub fn has(&self, job: usize, key: StrictKey) -> bool {
        self.jobs[job].strict.contains_key(&key)
    }
}

fn place(files: &[Arc<Path>], first: First) -> Place {
    Place { file: files[first.file as usize].clone(), line: first.line.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Job, Tier, Turn};

    fn key(number: u8) -> Keys {
        Keys { loose: LooseKey(number.into()), strict: StrictKey([number; 12]) }
    }

    #[test]
    fn the_first_payload_of_a_key_is_told_to_later_ones_of_its_resource_and_of_no_other() {
        let file = |name: &str| Arc::from(Path::new(name));
        let job = |name: &str, files: &[&str]| Job {
            turn: Turn { resource: Resource::new("ed-fi", name), create: 1, update: None },
            files: files.iter().map(|name| file(name)).collect(),
        };
        let jobs = vec![job("schools", &["schools.jsonl"]), job("students", &["a.jsonl", "b.jsonl"])];
        let mut keys = Given::new(&Plan { tiers: vec![Tier { order: 1, first: 0, jobs }] }, |_| false);
        let first = Place { file: file("a.jsonl"), line: 7 };
        assert_eq!(keys.claim(1, key(5), &file("a.jsonl"), 7, 1), Claim::First);
        assert_eq!(keys.claim(1, key(5), &file("b.jsonl"), 1, 1), Claim::Repeated(first.clone()));
        assert_eq!(keys.claim(1, key(5), &file("b.jsonl"), 2, 2), Claim::Taken(first));
        assert_eq!(keys.claim(0, key(5), &file("schools.jsonl"), 1, 1), Claim::First);
        assert_eq!((keys.has(1, key(5).strict), keys.has(1, key(6).strict)), (true, false));
        assert_eq!(keys.job(&Resource::new("ed-fi", "students")), Some(1));
        assert_eq!(keys.job(&Resource::new("tpdm", "students")), None);
    }

    #[test]
    fn keys_that_are_only_loosely_equal_are_told_with_the_first_of_them() {
        let file: Arc<Path> = Arc::from(Path::new("a.jsonl"));
        let turn = Turn { resource: Resource::new("ed-fi", "students"), create: 1, update: None };
        let jobs = vec![Job { turn, files: vec![file.clone()] }];
        let mut keys = Given::new(&Plan { tiers: vec![Tier { order: 1, first: 0, jobs }] }, |_| false);
        let alike = |number: u8| Keys { loose: LooseKey(1), strict: StrictKey([number; 12]) };
        let first = Place { file: file.clone(), line: 1 };
        assert_eq!(keys.claim(0, alike(1), &file, 1, 1), Claim::First);
        assert_eq!(keys.claim(0, alike(2), &file, 2, 2), Claim::Alike(first.clone()));
        assert_eq!(keys.claim(0, alike(3), &file, 3, 3), Claim::Alike(first));
        assert_eq!(keys.claim(0, alike(2), &file, 4, 4), Claim::Taken(Place { file: file.clone(), line: 2 }));
    }

    #[test]
    fn an_education_organization_cannot_have_the_id_of_another_kind() {
        let file = |name: &str| -> Arc<Path> { Arc::from(Path::new(name)) };
        let job = |name: &str| Job {
            turn: Turn { resource: Resource::new("ed-fi", name), create: 1, update: None },
            files: vec![file(name)],
        };
        let jobs = vec![job("schools"), job("localEducationAgencies"), job("weeks")];
        let plan = Plan { tiers: vec![Tier { order: 1, first: 0, jobs }] };
        let mut keys = Given::new(&plan, |resource| resource.name() != "weeks");
        assert_eq!(keys.claim(0, key(1), &file("schools"), 3, 1), Claim::First);
        let place = Place { file: file("schools"), line: 3 };
        assert_eq!(keys.claim(1, key(1), &file("localEducationAgencies"), 1, 1), Claim::TakenByOrganization(place));
        assert_eq!(keys.claim(2, key(1), &file("weeks"), 1, 1), Claim::First);
        assert!(keys.has(0, key(1).strict) && keys.has(1, key(1).strict));
    }
}
