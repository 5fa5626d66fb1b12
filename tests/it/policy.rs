//! What may be linked into the binary: licences, duplicate versions, and where crates come from.
//!
//! Advisories are not looked up: the RustSec database is on the network, and a test must not need that. Instead, crates that
//! are maintained were chosen, in place of unmaintained ones their successors (`serde_yaml_ng`, `rustc-hash`); `Cargo.lock` fixes every
//! version by checksum; and where there is a network, `cargo audit` reads that file without further ado.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The licences that a crate may be had under, each with what it asks of those who pass the binary on.
const LICENCES: &[(&str, &str)] = &[
    ("Apache-2.0", "ours: keep the notices"),
    ("MIT", "keep the notice"),
    ("ISC", "ring and the libraries around it: the terms of MIT in fewer words"),
    ("BSD-3-Clause", "subtle: those of MIT, and not to advertise with the authors' names"),
    ("Zlib", "foldhash: do not claim to have written it; no notice with a binary"),
    ("CDLA-Permissive-2.0", "the Mozilla roots, which are data: pass the text of the agreement on with the data"),
];

/// The crates of which `Cargo.lock` holds several versions, each with the reason.
const SEVERAL: &[(&str, &str)] = &[
    ("bit-vec", "of jsonschema's own dependencies, for tests; not linked"),
    ("embedded-io", "postcard names two for small machines; neither is compiled"),
    ("getrandom", "ring asks for an older one than jsonschema, which is for tests; one is linked"),
    ("syn", "the derives of serde and jiff moved on at different times; neither is linked"),
    ("windows-sys", "ring still asks for an older one; bindings, only on Windows"),
];

/// The members of each package of `Cargo.lock`.
fn locked() -> Vec<BTreeMap<String, String>> {
    let lock = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let member = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), value.trim_matches('"').to_owned()))
    };
    lock.split("[[package]]\n").skip(1).map(|package| package.lines().filter_map(member).collect()).collect()
}

/// What cargo knows of the crates for this machine. It asks no network: whoever runs this test has built with them.
fn metadata() -> Value {
    let cargo = |args: &[&str]| {
        let ran = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(ran.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let args = ["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host];
    serde_json::from_str(&cargo(&args)).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("none named")
}

/// The licences by name of every crate whose code ends up in the binary: not those of derives, builds and tests.
fn linked() -> BTreeMap<String, String> {
    let metadata = metadata();
    let by_id = |list: &Value| array(list).iter().map(|one| (text(&one["id"]).to_owned(), one.clone())).collect();
    let packages: BTreeMap<String, Value> = by_id(&metadata["packages"]);
    let nodes: BTreeMap<String, Value> = by_id(&metadata["resolve"]["nodes"]);
    let is_derive = |id: &str| array(&packages[id]["targets"]).iter().any(|target| target["kind"][0] == "proc-macro");
    let (mut seen, mut todo) = (BTreeSet::new(), vec![text(&metadata["resolve"]["root"])]);
    while let Some(id) = todo.pop() {
        if is_derive(id) || !seen.insert(id) {
            continue;
        }
        let normal = |dep: &&Value| array(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        todo.extend(array(&nodes[id]["deps"]).iter().filter(normal).map(|dep| text(&dep["pkg"])));
    }
    let of = |id: &str, member: &str| text(&packages[id][member]).to_owned();
    seen.into_iter().map(|id| (of(id, "name"), of(id, "license"))).collect()
}

/// Whether an SPDX expression leaves a choice of which all is allowed. One with brackets does not pass: none needs it so far.
fn is_allowed(expression: &str) -> bool {
    let allowed = |licence: &str| LICENCES.iter().any(|(name, _)| *name == licence);
    // What was written before SPDX had a word for it.
    expression.replace('/', " OR ").split(" OR ").any(|choice| choice.split(" AND ").all(allowed))
}

#[test]
fn every_linked_crate_has_an_allowed_licence() {
    let linked = linked();
    assert!(linked.contains_key("ureq") && linked.contains_key("ring") && linked.len() > 40, "{linked:?}");
    assert!(!linked.contains_key("rcgen") && !linked.contains_key("syn"), "not linked: {linked:?}");
    let others: Vec<_> = linked.iter().filter(|(_, licence)| !is_allowed(licence)).collect();
    assert!(others.is_empty(), "not under an allowed licence: {others:?}");
    for (name, reason) in LICENCES {
        assert!(!reason.is_empty() && linked.values().any(|licence| licence.contains(name)), "nobody needs {name}");
    }
}

#[test]
fn a_licence_is_allowed_if_one_of_its_choices_is_so_in_all_parts() {
    for allowed in ["MIT", "MIT/Apache-2.0", "Unlicense OR MIT", "GPL-3.0-only OR Apache-2.0 AND ISC"] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for other in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MPL-2.0 OR GPL-2.0-only", "none named", ""] {
        assert!(!is_allowed(other), "{other}");
    }
}

#[test]
fn only_named_crates_come_in_several_versions() {
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    locked().into_iter().for_each(|package| *versions.entry(package["name"].clone()).or_default() += 1);
    let several: BTreeSet<_> =
        versions.iter().filter(|(_, count)| **count > 1).map(|(name, _)| name.as_str()).collect();
    let named = SEVERAL.iter().map(|(name, reason)| {
        assert!(!reason.is_empty());
        *name
    });
    assert_eq!(several, named.collect(), "left: in several versions; right: may be");
}

#[test]
fn every_crate_comes_from_the_registry_with_its_checksum() {
    let others: Vec<_> = locked().into_iter().filter(|package| package["name"] != "lightbeam").collect();
    assert!(others.len() > 40, "the packages are not found");
    let sources: BTreeSet<_> = others.iter().map(|package| package.get("source")).collect();
    assert_eq!(sources.len(), 1, "one registry for all: {sources:?}");
    for package in others {
        assert!(package.get("source").is_some_and(|source| source.starts_with("registry+")), "{package:?}");
        assert_eq!(package.get("checksum").map(String::len), Some(64), "{package:?}");
    }
}
