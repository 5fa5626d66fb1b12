//! By what a natural key is recognised, wherever it stands: in the item's own payload, in a reference to it, in a query.
//!
//! The parts are taken in the order of their parameters' names. A reference to one of several resources has the same names as each of
//! them, or one part only, so that it has one key whatever it refers to. Parts are compared as text, because the API takes the number
//! 255901 and the string "255901" for the same; descriptors without regard to casing, as both the ODS and the Data Management Service do.

/// 128 bits of a cryptographic hash of the parts of a natural key. Does not say of which resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u128);

impl Key {
    /// Of parts in the order of their parameters' names, in canonical form.
    pub(super) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Key {
        let mut encoded = Vec::new();
        parts.into_iter().for_each(|part| encode(&mut encoded, part.len(), |bytes| bytes.extend_from_slice(part)));
        Key::of_encoded(&encoded)
    }

    /// Of the item that holds a descriptor's value: its key's parts are the code value and the namespace.
    pub fn of_descriptor(namespace: &str, code_value: &str) -> Key {
        Key::of([code_value.to_lowercase().as_bytes(), namespace.to_lowercase().as_bytes()])
    }

    /// Of parts that [`encode`] wrote.
    pub(super) fn of_encoded(encoded: &[u8]) -> Key {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(encoded).as_bytes()[..16]);
        Key(u128::from_be_bytes(short))
    }
}

/// Writes a part so that no two lists of parts are written alike: behind its length.
pub(super) fn encode(bytes: &mut Vec<u8>, length: usize, part: impl FnOnce(&mut Vec<u8>)) {
    bytes.extend_from_slice(&length.to_le_bytes());
    part(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_parts_are_other_keys() {
        let parts: [&[&[u8]]; 6] = [&[], &[b""], &[b"ab"], &[b"a", b"b"], &[b"b", b"a"], &[b"ab", b""]];
        let keys: std::collections::BTreeSet<Key> = parts.iter().map(|parts| Key::of(parts.iter().copied())).collect();
        assert_eq!(keys.len(), parts.len());
    }

    #[test]
    fn a_descriptor_is_the_same_whatever_its_casing() {
        let tenth = Key::of_descriptor("uri://ed-fi.org/GradeLevelDescriptor", "Tenth grade");
        assert_eq!(tenth, Key::of_descriptor("URI://ed-fi.org/gradeLevelDescriptor", "tenth Grade"));
        assert_ne!(tenth, Key::of_descriptor("uri://tx.us/GradeLevelDescriptor", "Tenth grade"));
    }
}
