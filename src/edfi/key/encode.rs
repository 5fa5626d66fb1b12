//! From the values of a key's parts to its two hashes.

use std::hash::Hasher;
use std::ops::Range;

use fxhash::FxHasher;

use super::{Comparison, Keys, LooseKey, StrictKey};

/// Takes the values of a key's parts, in their order.
pub struct Encoding {
    strict: Vec<u8>,
    loose: FxHasher,
}

impl Default for Encoding {
    fn default() -> Encoding {
        // Room for nearly all keys, so that it does not have to grow.
        Encoding { strict: Vec::with_capacity(128), loose: FxHasher::default() }
    }
}

impl Encoding {
    /// Takes the next part's value.
    pub fn add(&mut self, comparison: Comparison, text: &str) {
        if text.is_ascii() {
            encode(&mut self.strict, text.as_bytes());
            if comparison == Comparison::Descriptor {
                let start = self.strict.len() - text.len();
                self.strict[start..].make_ascii_lowercase();
            }
            // Of the strict form nothing but case is lost, which does not count here.
            return self.loose.write_u64(hash_without_case(&comparison.loose_ascii(text)));
        }
        let strict = comparison.strict(text);
        encode(&mut self.strict, strict.as_bytes());
        self.loose.write_u64(hash_without_case(&comparison.loose(&strict)));
    }

    /// The hashes of all that was added.
    pub fn keys(&self) -> Keys {
        Keys { loose: LooseKey(self.loose.finish()), strict: StrictKey::of_encoded(&self.strict) }
    }
}

/// The hash of a text without the case of its ASCII letters, eight of them at a time: every payload passes here.
fn hash_without_case(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    let (eights, rest) = text.as_bytes().as_chunks::<8>();
    eights.iter().for_each(|bytes| hasher.write_u64(lowered(*bytes)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    hasher.write_u64(lowered(last));
    hasher.write_usize(text.len());
    hasher.finish()
}

/// Eight ASCII letters in lower case, all at once: each key of each payload passes here.
fn lowered(bytes: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    let low = word & (0x7f * EACH);
    // The highest bit of a byte tells whether it is at least `A`, and whether it is above `Z`.
    let from_a = low + (0x80 - u64::from(b'A')) * EACH;
    let above_z = low + (0x7f - u64::from(b'Z')) * EACH;
    let capital = from_a & !above_z & !word & (0x80 * EACH);
    // 0x80 becomes 0x20, by which a small letter differs from its capital.
    word | capital >> 2
}

impl StrictKey {
    /// Of the strict forms of a key's parts, each written by [`encode`].
    pub fn of_encoded(parts: &[u8]) -> StrictKey {
        let mut short = [0; 12];
        short.copy_from_slice(&blake3::hash(parts).as_bytes()[..12]);
        StrictKey(short)
    }
}

/// Writes a part behind its length, so that no two lists of parts are written alike. Short lengths take one byte, so that most keys fit into
/// one block of the hash.
pub fn encode(bytes: &mut Vec<u8>, part: &[u8]) {
    encode_length(bytes, part.len());
    bytes.extend_from_slice(part);
}

/// Writes a part that stands in `bytes` already.
pub fn encode_within(bytes: &mut Vec<u8>, part: Range<usize>) {
    encode_length(bytes, part.len());
    bytes.extend_from_within(part);
}

fn encode_length(bytes: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(parts: &[(Comparison, &str)]) -> Keys {
        let mut encoding = Encoding::default();
        parts.iter().for_each(|(comparison, text)| encoding.add(*comparison, text));
        encoding.keys()
    }

    #[test]
    fn eight_letters_at_once_become_what_each_becomes_alone() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut bytes = *b"aZ0@[`{\xC4";
                bytes[at] = byte;
                assert_eq!(lowered(bytes).to_le_bytes(), bytes.map(|byte| byte.to_ascii_lowercase()), "{bytes:?}");
            }
        }
    }

    #[test]
    fn keys_of_other_parts_are_other_keys() {
        let long = "b".repeat(200);
        let parts: [&[&str]; 7] = [&[], &[""], &["ab"], &["a", "b"], &["b", "a"], &["ab", ""], &[&long, "a"]];
        let all = |parts: &[&str]| keys(&parts.iter().map(|part| (Comparison::Text, *part)).collect::<Vec<_>>());
        let different: BTreeSet<_> = parts.iter().map(|parts| all(parts).strict).collect();
        assert_eq!(different.len(), parts.len());
    }

    #[test]
    fn a_strict_key_never_changes_because_the_state_holds_it() {
        let parts = [(Comparison::Date, "2024-08-20"), (Comparison::Number, "255901001"), (Comparison::Text, "604821")];
        let strict = keys(&parts).strict;
        let written: String = strict.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, "f0392c6fc594a6db8450d2a3");
    }

    #[test]
    fn a_descriptor_is_the_same_in_any_case() {
        let tenth = StrictKey::of_descriptor("uri://ed-fi.org/GradeLevelDescriptor", "Tenth grade");
        assert_eq!(tenth, StrictKey::of_descriptor("URI://ed-fi.org/gradeLevelDescriptor", "tenth Grade"));
        assert_ne!(tenth, StrictKey::of_descriptor("uri://tx.us/GradeLevelDescriptor", "Tenth grade"));
    }

    #[test]
    fn loosely_equal_keys_of_different_case_are_two_strict_ones() {
        let (upper, lower) = (keys(&[(Comparison::Text, "AB1")]), keys(&[(Comparison::Text, "ab1 ")]));
        assert_eq!(upper.loose, lower.loose);
        assert_ne!(upper.strict, lower.strict);
    }
}
