//! Files of saved metadata: a wrong one is an error, a right one stays within its bounds, and what it says can be compiled or not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::api::saved::{LONGEST, Saved};
use lightbeam::model::{Model, compact};

fuzz_target!(|bytes: &[u8]| {
    // As it comes, behind a right head and with a right checksum, and so that the text of a model is reached.
    let mut sealed = [b"LBMETA\n\x01\x00\x10\x00\x00", bytes].concat();
    sealed.extend_from_slice(&blake3::hash(&sealed).as_bytes()[..8]);
    for file in [bytes, &sealed] {
        if let Ok(saved) = Saved::decode(file) {
            assert!(saved.values.count() <= LONGEST);
            let _ = Model::compile(&saved.source);
        }
    }
    let Ok((source, dependencies)) = std::str::from_utf8(bytes).map_err(drop).and_then(|t| compact::read(t).map_err(drop))
    else {
        return;
    };
    let _ = Model::compile(&source);
    if let Some(text) = compact::write(&source, &dependencies) {
        assert!(compact::read(&text).is_ok_and(|(_, again)| again == dependencies));
    }
});
