//! Dependencies: an error, or each resource once, in ascending order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::api::dependencies::read;
use lightbeam::api::transport::http::Uri;

fuzz_target!(|body: &[u8]| {
    let Ok(found) = read(&Uri::from_static("https://example.com/dependencies"), body) else { return };
    assert!(found.is_sorted_by_key(|dependency| dependency.create.unwrap_or(u32::MAX)));
    let mut names: Vec<_> = found.iter().map(|dependency| &dependency.resource).collect();
    names.sort();
    assert!(names.is_sorted_by(|a, b| a < b));
});
