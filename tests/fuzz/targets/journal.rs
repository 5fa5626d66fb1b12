//! Journals: whatever a file holds, what is believed of it is believed again once the torn end is cut off.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::state::journal::{News, parse};

fuzz_target!(|bytes: &[u8]| {
    // As it comes, behind a right head, and as the body of a right frame.
    let behind_head = [b"LBJOURN\n\x03", bytes].concat();
    let length = (bytes.len() as u32).to_le_bytes();
    let frame = [b"LBJOURN\n\x03", &length[..], &blake3::hash(bytes).as_bytes()[..8], bytes, b"torn"].concat();
    for file in [bytes, &behind_head, &frame] {
        let parse = |file: &[u8]| {
            let mut all = Vec::new();
            let mut each = |resource: &str, news: News| all.push((resource.to_owned(), news));
            let extent = parse(file, file.len() as u64, &mut each).expect("bytes in memory");
            extent.map(|extent| (extent.torn, all))
        };
        let Some((torn, all)) = parse(file) else { continue };
        let whole = parse(&file[..file.len() - torn as usize]);
        assert_eq!(whole, Some((0, all)));
    }
});
