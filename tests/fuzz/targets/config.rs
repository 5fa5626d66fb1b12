//! Configurations: whatever the text, a configuration or an error; errors and warnings name the file.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use lightbeam::config::{Given, parse};

fuzz_target!(|text: &str| {
    let env = |name: &str| name.starts_with(char::is_uppercase).then(|| "fr0m-outside".to_string());
    let given = Given { params: BTreeMap::new(), sets: &[], env: &env, year: 2026 };
    match parse(Path::new("lightbeam.yaml"), text, &given) {
        Ok((_, warnings)) => assert!(warnings.iter().all(|warning| warning.starts_with("lightbeam.yaml:")), "{warnings:?}"),
        Err(error) => assert!(error.to_string().contains("lightbeam.yaml"), "{error}"),
    }
});
