//! Journals: whatever a file holds, what is believed of it is believed again once the torn end is cut off.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::state::journal::parse;

fuzz_target!(|bytes: &[u8]| {
    // As it comes, behind a right head, and as the body of a right frame.
    let behind_head = [b"LBJOURN\n\x01", bytes].concat();
    let length = (bytes.len() as u32).to_le_bytes();
    let frame = [b"LBJOURN\n\x01", &length[..], &blake3::hash(bytes).as_bytes()[..8], bytes, b"torn"].concat();
    for file in [bytes, &behind_head, &frame] {
        let parse = |file: &[u8]| parse(file, file.len() as u64).expect("bytes in memory");
        let Some(contents) = parse(file) else { continue };
        let whole = parse(&file[..file.len() - contents.torn as usize]).expect("a whole journal");
        assert_eq!((whole.torn, whole.news), (0, contents.news));
    }
});
