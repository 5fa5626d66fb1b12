//! By what a payload is recognised: the one place that names the hash.
//!
//! A collision would silently lose a payload, so 128 bits of a cryptographic hash are kept, not a hash made for maps. BLAKE3 rather than
//! the SHA-256 that TLS brings along: on processors without SHA instructions it takes a quarter of the time, and it can go
//! over several short payloads at once, one in each lane of the processor's vectors. A rerun that skips everything does little else.

use std::fmt;

use blake3::IncrementCounter;
use blake3::platform::{MAX_SIMD_DEGREE, Platform};
use serde::{Deserialize, Serialize};

/// BLAKE3 takes in blocks of so many bytes.
const BLOCK: usize = 64;

/// The first 128 bits of the BLAKE3 hash of a payload's bytes, white space around it left out, and then as many spaces as fill the last block,
/// so that the lanes of several payloads end together. No payload ends with a space, so no two become one by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Of a payload as it is sent.
    pub fn of(payload: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let missing = payload.len().next_multiple_of(BLOCK) - payload.len();
        hasher.update(payload).update(&[b' '; BLOCK][..missing]);
        Digest::beginning(hasher.finalize().as_bytes())
    }

    /// Of each of many payloads. Those of a kilobyte at most go through the processor sixteen at a time, if it is wide enough, which takes
    /// 90 ns instead of 300 for one of 280 bytes, and a rerun that skips everything half as long.
    pub fn of_all(payloads: &[&[u8]]) -> Vec<Digest> {
        let blocks = |number: &usize| payloads[*number].len().div_ceil(BLOCK);
        let mut numbers: Vec<usize> = (0..payloads.len()).collect();
        numbers.sort_by_key(blocks);
        let mut digests = vec![Digest::default(); payloads.len()];
        for alike in numbers.chunk_by(|a, b| blocks(a) == blocks(b)) {
            let together = blocks(&alike[0]).checked_sub(1).and_then(|index| TOGETHER.get(index));
            for numbers in alike.chunks(MAX_SIMD_DEGREE) {
                match together {
                    Some(together) => together(payloads, numbers, &mut digests),
                    None => numbers.iter().for_each(|&number| digests[number] = Digest::of(payloads[number])),
                }
            }
        }
        digests
    }

    /// From what [`Digest`] displays; `None` if the text is something else.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(text, 16).ok())?.map(|number| Digest(number.to_be_bytes()))
    }

    fn beginning(hash: &[u8]) -> Digest {
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        Digest(short)
    }

    /// Its first 64 bits, which are as good as random.
    pub fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Puts the digests of the payloads of these numbers in their places.
type Together = fn(&[&[u8]], &[usize], &mut [Digest]);

/// [`together`] for payloads of one block, of two, and so on up to the sixteen of a chunk; longer ones are trees of chunks, in which BLAKE3
/// finds work for all lanes by itself.
const TOGETHER: [Together; 16] = [
    together::<64>,
    together::<128>,
    together::<192>,
    together::<256>,
    together::<320>,
    together::<384>,
    together::<448>,
    together::<512>,
    together::<576>,
    together::<640>,
    together::<704>,
    together::<768>,
    together::<832>,
    together::<896>,
    together::<960>,
    together::<1024>,
];

/// The digests of the payloads of these numbers, no more than there are lanes, all of which fill `N` bytes.
fn together<const N: usize>(payloads: &[&[u8]], numbers: &[usize], digests: &mut [Digest]) {
    /// Where a hash begins, and what marks the first and the last block of a chunk that is the whole text (the BLAKE3 paper, 2.2 and 2.3).
    const IV: [u32; 8] =
        [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
    const CHUNK_START: u8 = 1;
    const CHUNK_END: u8 = 2;
    const ROOT: u8 = 8;
    let mut padded = [[b' '; N]; MAX_SIMD_DEGREE];
    for (padded, number) in padded.iter_mut().zip(numbers) {
        padded[..payloads[*number].len()].copy_from_slice(payloads[*number]);
    }
    let mut hashes = [0; MAX_SIMD_DEGREE * blake3::OUT_LEN];
    Platform::detect().hash_many(
        &padded.each_ref()[..numbers.len()],
        &IV,
        0,
        IncrementCounter::No,
        0,
        CHUNK_START,
        CHUNK_END | ROOT,
        &mut hashes,
    );
    for (number, hash) in numbers.iter().zip(hashes.chunks(blake3::OUT_LEN)) {
        digests[*number] = Digest::beginning(hash);
    }
}

/// Bytes of a [`checksum`].
pub const CHECKSUM: usize = 8;

/// By what a file or a part of it is known to be whole.
pub fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = Sum::default();
    sum.add(bytes);
    sum.end()
}

/// The [`checksum`] of what comes in pieces.
#[derive(Default)]
pub struct Sum(blake3::Hasher);

impl Sum {
    /// Adds the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all pieces.
    pub fn end(&self) -> [u8; CHECKSUM] {
        let mut sum = [0; CHECKSUM];
        sum.copy_from_slice(&self.0.finalize().as_bytes()[..CHECKSUM]);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_payload_never_changes_because_state_files_hold_it() {
        let digest = Digest::of(br#"{"studentUniqueId":"604821"}"#);
        assert_eq!(digest.to_string(), "53170e0f0919c2d40d4ff344916ad00b");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("+3170e0f0919c2d40d4ff344916ad00b"), None);
    }

    #[test]
    fn many_payloads_have_the_digests_that_each_has_alone_and_that_is_the_hash_of_the_padded_text() {
        let bytes: Vec<u8> = (0..5_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        // Each length from nothing to beyond a chunk, and some of them often enough to fill all lanes.
        let lengths = (0..1_200).chain((0..200).map(|i| 250 + i % 70)).chain([2_048, 2_049, 4_999]);
        let payloads: Vec<&[u8]> = lengths.map(|length| &bytes[length % 7..][..length.min(4_990)]).collect();
        let padded = |payload: &[u8]| {
            let mut text = payload.to_vec();
            text.resize(payload.len().next_multiple_of(64), b' ');
            blake3::hash(&text).as_bytes()[..16].to_vec()
        };
        for (payload, digest) in payloads.iter().zip(Digest::of_all(&payloads)) {
            assert_eq!(digest, Digest::of(payload), "{} bytes", payload.len());
            assert_eq!(digest.0.to_vec(), padded(payload), "{} bytes", payload.len());
        }
    }
}
