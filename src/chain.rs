//! The order among payloads that wait: which of them are to be sent now, because nothing that waits comes before them.
//!
//! Payloads of one natural key form a chain, in the order of the files; a worker sends a chain one after the other. A chain comes after
//! those whose items it refers to: a parent that was itself refused need not be waited for by sending its children in vain. So a
//! folder of 50 generations in the wrong order takes 50 rounds but sends each payload once more, not 50 times.

use std::collections::VecDeque;

use fxhash::{FxHashMap, FxHashSet};

use crate::edfi::key::LooseKey;
use crate::payload::Parked;

/// Payloads of one natural key, in the order of the files; or one payload whose key is not known. Never empty.
pub type Chain = VecDeque<Parked>;

/// Puts payloads in chains, these in the order of their first ones.
pub fn chains(mut waiting: Vec<Parked>) -> Vec<Chain> {
    waiting.sort_by(|a, b| (a.resource(), a.place()).cmp(&(b.resource(), b.place())));
    let mut chains: Vec<Chain> = Vec::new();
    let mut by_key: FxHashMap<(usize, LooseKey), usize> = FxHashMap::default();
    for parked in waiting {
        let known = parked.key().map(|key| *by_key.entry((parked.resource(), key)).or_insert(chains.len()));
        match known.filter(|&at| at < chains.len()) {
            Some(at) => chains[at].push_back(parked),
            None => chains.push(Chain::from([parked])),
        }
    }
    chains
}

/// Parts chains in those that can be sent and those that come after them or after one of `others`, which wait too. Where
/// chains wait for each other in a circle, all of them can be sent.
pub fn ready(chains: Vec<Chain>, others: &[Chain]) -> (Vec<Chain>, Vec<Chain>) {
    let keys = |chain: &Chain| chain.front().and_then(|parked| Some((parked.resource(), parked.key()?)));
    let waiting: FxHashSet<_> = chains.iter().chain(others).filter_map(keys).collect();
    let comes_after = |chain: &Chain| {
        chain.front().is_some_and(|parked| {
            let mut parents = parked.refers_to().iter().filter(|&&key| Some(key) != parked.key());
            parents.any(|&key| waiting.contains(&(parked.resource(), key)))
        })
    };
    let (held, ready): (Vec<_>, Vec<_>) = chains.into_iter().partition(comes_after);
    match ready.is_empty() && others.is_empty() {
        true => (held, Vec::new()),
        false => (ready, held),
    }
}

/// Parts what every pass refused in what has had its last try, because nothing that waits comes before it, and what comes after that.
pub fn last_tried(refused: Vec<Chain>) -> (Vec<Parked>, Vec<Parked>) {
    let (first, behind) = ready(refused, &[]);
    let mut behind: Vec<Parked> = behind.into_iter().flatten().collect();
    let mut tried = Vec::new();
    for mut chain in first {
        tried.extend(chain.pop_front());
        behind.extend(chain);
    }
    (tried, behind)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::digest::Digest;
    use crate::model::{Model, Natural};
    use crate::payload::Payload;
    use crate::source::{Block, Origin};

    /// Payloads that wait, from lines such as `3<2` (the key 3, a child of 2).
    fn waiting(lines: &[&str]) -> Vec<Parked> {
        let document = serde_json::json!({
            "paths": {"/ed-fi/units": {
                "get": {"parameters": [{"name": "unitId", "in": "query", "x-Ed-Fi-isIdentity": true}]},
                "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/edFi_unit"}}}}},
            }},
            "components": {"schemas": {
                "edFi_unit": {"properties": {"unitId": {"type": "integer"}, "parentUnitReference": {"$ref": "#/x/edFi_unitReference"}}},
                "edFi_unitReference": {"properties": {"unitId": {"type": "integer"}}}
            }}
        });
        let model = Model::from_openapi([&document]).unwrap();
        let natural = Natural::of(&model.definitions()[0]).unwrap();
        let parked = |(number, line): (u64, &&str)| {
            let text = match line.split_once('<') {
                Some((id, parent)) => format!(r#"{{"unitId":{id},"parentUnitReference":{{"unitId":{parent}}}}}"#),
                None => format!(r#"{{"unitId":{line}}}"#),
            };
            let (digest, key, range) = (Digest::of(text.as_bytes()), natural.keys(&text).unwrap(), 0..text.len());
            let file = Path::new("units.jsonl").into();
            let block = Block {
                resource: 0,
                file,
                first_line: number,
                origin: Origin::File(0),
                taken: 0,
                bytes: text.into_bytes(),
                held: Default::default(),
            };
            Payload::new(Arc::new(block), number, range, digest, key, None).wait(Some(&natural))
        };
        (1..).zip(lines).map(parked).collect()
    }

    fn lines(chains: &[Chain]) -> Vec<Vec<u64>> {
        chains.iter().map(|chain| chain.iter().map(|parked| parked.place().line).collect()).collect()
    }

    #[test]
    fn payloads_of_one_key_are_a_chain_in_the_order_of_the_files() {
        let mut all = waiting(&["1", "2", "1", "3", "1"]);
        all.reverse();
        assert_eq!(lines(&chains(all)), [vec![1, 3, 5], vec![2], vec![4]]);
    }

    #[test]
    fn children_come_after_parents_that_wait_and_only_after_those() {
        let (now, later) = ready(chains(waiting(&["3<2", "2<1", "1<9", "4<4"])), &[]);
        assert_eq!((lines(&now), lines(&later)), (vec![vec![3], vec![4]], vec![vec![1], vec![2]]));
        let (now, later) = ready(later, &now);
        assert_eq!((now.len(), lines(&later)), (0, vec![vec![1], vec![2]]), "the parent was refused and waits on");
        let (now, later) = ready(later, &[]);
        assert_eq!((lines(&now), lines(&later)), (vec![vec![2]], vec![vec![1]]));
    }

    #[test]
    fn chains_that_wait_for_each_other_can_all_be_sent() {
        let (now, later) = ready(chains(waiting(&["1<2", "2<1"])), &[]);
        assert_eq!((now.len(), later.len()), (2, 0));
    }

    #[test]
    fn what_was_tried_last_is_the_first_of_each_chain_that_nothing_stands_before() {
        let (tried, behind) = last_tried(chains(waiting(&["1<9", "1", "2<1"])));
        let numbers = |all: &[Parked]| all.iter().map(|parked| parked.place().line).collect::<Vec<_>>();
        assert_eq!((numbers(&tried), numbers(&behind)), (vec![1], vec![3, 2]));
    }
}
