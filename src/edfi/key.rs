//! What identifies a record: its natural key, and the two ways in which keys are equal.

/// The hash of a natural key under *loose* equality, which decides the order of sending. It ignores case, trailing blanks and the
/// spelling of dates and numbers, because some API may take two such keys for one record. Merging too much only costs a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LooseKey(pub u64);

/// The hash of a natural key under *strict* equality, which decides what the state, uniqueness and `delete` take for one record. 96 bits of
/// a cryptographic hash, because a collision could lose a record.
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
