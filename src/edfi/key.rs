//! What identifies a record: its natural key, and the two ways in which keys are equal.
//!
//! This is the one definition of the natural key. A [`NaturalKey`] is compiled once for a resource ([`derive()`]): its parts, every place of
//! each part in a payload, and how the values of each part compare. Whoever needs a key asks it, from the text ([`crate::model::Natural`]),
//! from a tree of values ([`NaturalKey::of_value`]) or from what a checker has kept.
//!
//! # Which payloads have a key
//!
//! A part's value is the one at the first of its places that holds a single value. Null, objects and lists count as absent. A payload has a
//! key if each part has a value and no two places of a part contradict each other: the API unifies them, so a record cannot have both.
//!
//! # Two equalities
//!
//! *Strict*: the values as text; descriptors without regard to case. It decides what is one record for the state, for `validate`'s uniqueness
//! and for `delete`, because `AB1` and `ab1` are two records on PostgreSQL. *Loose*: case, blanks at the end and the spellings of dates and
//! numbers do not count. It decides the order of sending, because `AB1` and `ab1` are one record on SQL Server. Keys that are strictly equal
//! are loosely equal as well, because the loose form is made from the strict one.
//!
//! # Whole numbers beyond 53 bits written as decimals
//!
//! A number that JSON readers cannot hold exactly is not a value of a key: two keys that differ must never count as one.

mod compare;
mod dates;
mod derive;
mod encode;
mod lists;
mod path;
mod places;
mod read;

use std::sync::Arc;

pub use compare::Comparison;
pub use dates::slashed;
pub use derive::{Derived, derive, own_reference, with_open_references};
pub use encode::{Encoding, encode, encode_within};
pub use lists::{InList, in_lists};
pub use path::Path;
pub use places::is_listed;
pub use read::{Lack, decimal, text};

/// The hash of a natural key under *loose* equality, which decides the order of sending. It ignores case, trailing blanks and the
/// spelling of dates and numbers, because some API may take two such keys for one record. Merging too much only costs a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LooseKey(pub u64);

/// The hash of a natural key under *strict* equality, which decides what the state, uniqueness and `delete` take for one record. 96 bits of
/// a cryptographic hash, because a collision could lose a record. It does not say of which resource. It never changes, because the state
/// holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StrictKey(pub [u8; 12]);

/// Both hashes of one payload's natural key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// For the order of sending.
    pub loose: LooseKey,
    /// For what is one record.
    pub strict: StrictKey,
}

/// The natural key of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct NaturalKey {
    /// Its parts, in the order of their names. A reference to one of several resources has the same names as each of them, or one part only,
    /// so that it has one key whatever it refers to. Never empty.
    pub parts: Vec<Part>,
    /// Where the documents tell it.
    pub origin: Origin,
}

/// A part of a natural key.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// As queries and references spell it.
    pub name: Arc<str>,
    /// How its values compare.
    pub comparison: Comparison,
    /// Where payloads hold it; those that every payload has come first. Never empty. Several must hold equal values (key unification).
    pub paths: Vec<Path>,
}

/// Where documents tell a natural key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// All descriptors have the same key.
    Descriptor,
    /// In the schema of references to the resource: its members are the key.
    Reference,
    /// In the parameters of the collection's GET that are marked `x-Ed-Fi-isIdentity`.
    Marks,
}

impl StrictKey {
    /// Of the item that holds a descriptor's value.
    pub fn of_descriptor(namespace: &str, code_value: &str) -> StrictKey {
        let mut encoding = Encoding::default();
        encoding.add(Comparison::Descriptor, code_value);
        encoding.add(Comparison::Descriptor, namespace);
        encoding.keys().strict
    }
}

impl NaturalKey {
    /// The names of the parts.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.parts.iter().map(|part| &*part.name)
    }

    /// A number that changes when names, comparisons or places of the parts change, and never otherwise.
    pub fn fingerprint(&self) -> u64 {
        let mut written = Vec::new();
        for part in &self.parts {
            encode(&mut written, part.name.as_bytes());
            written.push(part.comparison.code());
            encode(&mut written, &(part.paths.len() as u64).to_le_bytes());
            part.paths.iter().for_each(|path| encode(&mut written, path.to_string().as_bytes()));
        }
        let mut short = [0; 8];
        short.copy_from_slice(&blake3::hash(&written).as_bytes()[..8]);
        u64::from_le_bytes(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, comparison: Comparison, paths: &[&str]) -> Part {
        let path = |path: &&str| Path::new(path.split('.'));
        Part { name: name.into(), comparison, paths: paths.iter().map(path).collect() }
    }

    fn key(parts: Vec<Part>) -> NaturalKey {
        NaturalKey { parts, origin: Origin::Marks }
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_run_and_changes_with_names_comparisons_and_places() {
        let first = key(vec![part("a", Comparison::Text, &["a"]), part("b", Comparison::Number, &["xReference.b"])]);
        assert_eq!(first.fingerprint(), 7_255_470_971_687_767_084);
        let others = [
            key(vec![part("a", Comparison::Text, &["a"]), part("c", Comparison::Number, &["xReference.b"])]),
            key(vec![part("a", Comparison::Text, &["a"]), part("b", Comparison::Text, &["xReference.b"])]),
            key(vec![part("a", Comparison::Text, &["a"]), part("b", Comparison::Number, &["yReference.b"])]),
            key(vec![
                part("a", Comparison::Text, &["a"]),
                part("b", Comparison::Number, &["xReference.b", "yReference.b"]),
            ]),
            key(vec![part("a", Comparison::Text, &["a"])]),
        ];
        for other in others {
            assert_ne!(other.fingerprint(), first.fingerprint(), "{other:?}");
        }
    }
}
