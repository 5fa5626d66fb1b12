//! What was posted, in memory: items by id, who refers to whom, and the order in which they came.
//!
//! An id is a digest of resource and natural key, so that one map serves both look-ups. Items lie in shards with a lock each; no two
//! locks are held at a time. An upsert first *holds* each item that it refers to (counts itself among those that refer to it, under
//! that item's lock), then stores its own; a delete looks at the count under the same lock. So an item that somebody is about to
//! refer to cannot go.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fxhash::FxHashMap;

use super::lock::hold;
use crate::edfi::key::StrictKey;
use crate::resource::Resource;

const SHARDS: usize = 64;

/// The items of every resource.
pub struct Store {
    shards: Vec<Mutex<FxHashMap<u128, Item>>>,
    /// For each definition, ids by the order in which they came.
    listings: Vec<Mutex<BTreeMap<u64, u128>>>,
    clock: AtomicU64,
}

struct Item {
    definition: u32,
    arrival: u64,
    version: u64,
    /// Seconds since 1970.
    modified: u64,
    body: Box<[u8]>,
    refers_to: Box<[u128]>,
    /// How often items of each definition refer to it.
    referred_by: Vec<(u32, u32)>,
}

/// A copy of what is known of an item.
#[derive(Debug, PartialEq)]
pub struct Stored {
    /// Its place in the order in which items came.
    pub arrival: u64,
    /// As posted.
    pub body: Box<[u8]>,
    /// Grows with each change.
    pub version: u64,
    /// Seconds since 1970.
    pub modified: u64,
}

/// What an item refers to.
pub struct Demand {
    /// Any of these will do.
    pub candidates: Vec<u128>,
    /// Whether it is an error if there is none.
    pub required: bool,
}

/// What became of an upsert.
#[derive(Debug, PartialEq)]
pub struct Upserted {
    /// Whether it is new.
    pub created: bool,
    /// Its version now. The same as before if nothing differs.
    pub version: u64,
}

/// What became of a delete.
#[derive(Debug, PartialEq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// There was none.
    Missing,
    /// An item of this definition refers to it.
    Referenced(usize),
}

/// The id of the item of `resource` with this natural key.
pub fn identify(resource: &Resource, key: StrictKey) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&key.0);
    hasher.update(resource.namespace().as_bytes()).update(b"/").update(resource.name().as_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    u128::from_be_bytes(id)
}

impl Store {
    /// An empty one for so many definitions.
    pub fn new(definitions: usize) -> Store {
        Store {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            listings: (0..definitions).map(|_| Mutex::default()).collect(),
            clock: AtomicU64::new(1),
        }
    }

    fn shard(&self, id: u128) -> &Mutex<FxHashMap<u128, Item>> {
        &self.shards[(id as usize) % SHARDS]
    }

    /// Stores an item of `definition` (by position) if all that it demands is there; else the position of the first demand that
    /// is not met. `same` tells of bodies that differ whether they are one item all the same; then nothing changes.
    pub fn upsert(
        &self,
        definition: usize,
        id: u128,
        body: &[u8],
        demands: &[Demand],
        now: u64,
        same: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<Upserted, usize> {
        let referrer = definition as u32;
        let mut held = Vec::new();
        for (position, demand) in demands.iter().enumerate() {
            // An item that refers to itself is there as soon as it is stored.
            if demand.candidates.contains(&id) {
                continue;
            }
            match demand.candidates.iter().find(|&&candidate| self.hold(candidate, referrer)) {
                Some(&found) => held.push(found),
                None if demand.required => {
                    self.release(&held, referrer);
                    return Err(position);
                }
                None => {}
            }
        }
        let mut shard = hold(self.shard(id));
        if let Some(item) = shard.get_mut(&id) {
            if *item.body != *body && !same(&item.body, body) {
                item.version = self.clock.fetch_add(1, Ordering::Relaxed);
                item.modified = now;
                item.body = body.into();
            }
            let version = item.version;
            let before = std::mem::replace(&mut item.refers_to, held.into());
            drop(shard);
            self.release(&before, referrer);
            return Ok(Upserted { created: false, version });
        }
        let version = self.clock.fetch_add(1, Ordering::Relaxed);
        let item = Item {
            definition: referrer,
            arrival: version,
            version,
            modified: now,
            body: body.into(),
            refers_to: held.into(),
            referred_by: Vec::new(),
        };
        shard.insert(id, item);
        drop(shard);
        hold(&self.listings[definition]).insert(version, id);
        Ok(Upserted { created: true, version })
    }

    /// Counts a referrer; false if there is no such item.
    fn hold(&self, id: u128, referrer: u32) -> bool {
        let mut shard = hold(self.shard(id));
        let Some(item) = shard.get_mut(&id) else { return false };
        match item.referred_by.iter_mut().find(|(definition, _)| *definition == referrer) {
            Some((_, count)) => *count += 1,
            None => item.referred_by.push((referrer, 1)),
        }
        true
    }

    fn release(&self, ids: &[u128], referrer: u32) {
        for &id in ids {
            let mut shard = hold(self.shard(id));
            let Some(item) = shard.get_mut(&id) else { continue };
            if let Some((_, count)) = item.referred_by.iter_mut().find(|(definition, _)| *definition == referrer) {
                *count -= 1;
            }
            item.referred_by.retain(|(_, count)| *count > 0);
        }
    }

    /// The item, if it is one of `definition`.
    pub fn get(&self, definition: usize, id: u128) -> Option<Stored> {
        let shard = hold(self.shard(id));
        let item = shard.get(&id).filter(|item| item.definition as usize == definition)?;
        Some(Stored { arrival: item.arrival, body: item.body.clone(), version: item.version, modified: item.modified })
    }

    /// Whether there is such an item of `definition`.
    pub fn holds(&self, definition: usize, id: u128) -> bool {
        hold(self.shard(id)).get(&id).is_some_and(|item| item.definition as usize == definition)
    }

    /// Deletes the item unless another refers to it.
    pub fn delete(&self, definition: usize, id: u128) -> Deleted {
        let mut shard = hold(self.shard(id));
        let Some(item) = shard.get(&id).filter(|item| item.definition as usize == definition) else {
            return Deleted::Missing;
        };
        if let Some(&(referrer, _)) = item.referred_by.first() {
            return Deleted::Referenced(referrer as usize);
        }
        let Some(item) = shard.remove(&id) else { return Deleted::Missing };
        drop(shard);
        hold(&self.listings[definition]).remove(&item.arrival);
        self.release(&item.refers_to, item.definition);
        Deleted::Gone
    }

    /// The ids of the items of `definition` that came at these places, in the order in which they came.
    pub fn ids(&self, definition: usize, arrivals: Range<u64>) -> Vec<u128> {
        hold(&self.listings[definition]).range(arrivals).map(|(_, id)| *id).collect()
    }

    /// The highest version that anything has.
    pub fn newest(&self) -> u64 {
        self.clock.load(Ordering::Relaxed) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(id: u128) -> Demand {
        Demand { candidates: vec![id], required: true }
    }

    fn upsert(store: &Store, definition: usize, id: u128, demands: &[Demand]) -> Result<bool, usize> {
        store.upsert(definition, id, b"{}", demands, 0, |_, _| false).map(|upserted| upserted.created)
    }

    #[test]
    fn an_item_that_is_referred_to_cannot_go_until_the_last_referrer_is_gone() {
        let store = Store::new(2);
        assert_eq!(upsert(&store, 0, 1, &[]), Ok(true));
        assert_eq!(upsert(&store, 1, 65, &[demand(1)]), Ok(true));
        assert_eq!(upsert(&store, 1, 66, &[demand(1), demand(1)]), Ok(true));
        assert_eq!(upsert(&store, 1, 66, &[demand(1)]), Ok(false), "an update replaces what it referred to");
        assert_eq!(store.delete(0, 1), Deleted::Referenced(1));
        assert_eq!(store.delete(1, 65), Deleted::Gone);
        assert_eq!(store.delete(0, 1), Deleted::Referenced(1));
        assert_eq!(upsert(&store, 1, 66, &[]), Ok(false));
        assert_eq!(store.delete(0, 1), Deleted::Gone);
        assert_eq!(store.delete(0, 1), Deleted::Missing);
        assert_eq!((store.ids(0, 0..u64::MAX), store.ids(1, 0..u64::MAX)), (vec![], vec![66]));
    }

    #[test]
    fn an_upsert_that_misses_something_leaves_nothing_behind() {
        let store = Store::new(2);
        upsert(&store, 0, 1, &[]).unwrap();
        assert_eq!(upsert(&store, 1, 2, &[demand(1), demand(9)]), Err(1));
        assert_eq!(store.delete(0, 1), Deleted::Gone, "what it held before it failed is released");
        assert_eq!(store.get(1, 2), None);
        let any = Demand { candidates: vec![9, 2], required: true };
        assert_eq!(upsert(&store, 1, 2, &[any]), Ok(true), "an item may refer to itself");
        let optional = Demand { candidates: vec![9], required: false };
        assert_eq!(upsert(&store, 1, 3, &[optional]), Ok(true));
    }

    #[test]
    fn a_version_grows_only_with_a_change() {
        let store = Store::new(1);
        let version =
            |body: &[u8]| store.upsert(0, 1, body, &[], 0, |one, other| one.len() == other.len()).unwrap().version;
        let first = version(b"{}");
        assert_eq!(version(b"{}"), first);
        let second = version(b"{\"a\":1}");
        assert!(second > first);
        assert_eq!(version(b"{\"b\":1}"), second, "called the same");
    }

    #[test]
    fn ids_tell_resources_and_keys_apart() {
        let (schools, weeks) = (Resource::new("ed-fi", "schools"), Resource::new("ed-fi", "weeks"));
        let [one, two] = [1, 2].map(|first| StrictKey([first; 12]));
        let ids = [identify(&schools, one), identify(&schools, two), identify(&weeks, one)];
        assert!(ids[0] != ids[1] && ids[0] != ids[2]);
        assert_eq!(identify(&schools, one), ids[0]);
    }
}
