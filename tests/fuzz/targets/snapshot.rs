//! State files: a wrong one is an error, and of a right one every payload is found.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::state::snapshot::decode;

fuzz_target!(|bytes: &[u8]| {
    // As it comes, and behind a right head and beginning, with a right checksum.
    let mut sealed = [b"LBSTATE\n\x03\x01t\x01r", bytes].concat();
    sealed.extend_from_slice(&blake3::hash(&sealed).as_bytes()[..8]);
    for file in [bytes.to_vec(), sealed] {
        if let Ok(Ok(table)) = decode(&*file, file.len() as u64, "t", "r") {
            assert!(table.rows().iter().all(|(digest, entry)| table.get(digest) == Some(*entry)));
        }
    }
});
