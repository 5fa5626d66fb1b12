//! Validation and the API come to the same verdict: what `validate` passes the sandbox accepts, and what it refuses the sandbox refuses.

use std::collections::BTreeSet;

use lightbeam::model::Model;
use serde_json::Value;

use crate::chance::Chance;
use crate::checker::{documents, mutate, object};
use crate::support::{Stage, district, total};
use crate::validate::results;

/// Resources, and payloads of each.
const RESOURCES: usize = 50;
const PAYLOADS: usize = 60;

/// The lines that failed: `resource file:line`.
fn failed(results: &Value) -> BTreeSet<String> {
    failed_because(results, |_| true)
}

/// Those of which the entry is such a one.
fn failed_because(results: &Value, is_meant: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let mut failed = BTreeSet::new();
    for (name, resource) in results["resources"].as_object().unwrap() {
        for entry in resource["failures"].as_array().unwrap().iter().filter(|entry| is_meant(entry)) {
            failed.extend(entry["line_numbers"].as_array().unwrap().iter().map(|line| format!("{name}:{line}")));
        }
    }
    failed
}

#[test]
fn validation_says_the_same_of_the_district_before_it_was_sent_and_after_it_and_the_sandbox_refuses_the_same() {
    let stage = Stage::new();
    district(&stage.folder);
    // What is given again is for the API an update; what is missing in the load is asked for in an API that is not filled yet.
    let methods = ["-w", "--set", "validate.methods", "[schema, descriptors]"];
    let (ended, before) = results(&stage, "validate", &methods);
    ended.tells(&["not checked: 27 kinds of descriptors for which this API has no values"]);
    let (_, sent) = stage.send(&[]);
    let (ended, after) = results(&stage, "validate", &methods);
    ended.tells(&["not checked: 27 kinds of descriptors for which this API has no values"]);
    assert_eq!((total(&before, "failed"), failed(&before)), (6, failed(&after)));
    let of_payloads = |entry: &Value| entry["status_code"] != 409;
    let refused = failed_because(&sent, of_payloads);
    assert_eq!(refused, failed(&before));
}

#[test]
fn validation_and_the_api_refuse_the_same_of_thousands_of_mutated_payloads() {
    let stage = Stage::new();
    let mut chance = Chance::new(23);
    let model = Model::from_openapi(&documents()[..1]).unwrap();
    let mut lines = std::collections::BTreeMap::new();
    let free = model.definitions().iter().filter(|definition| definition.references().iter().all(|r| !r.required));
    for definition in free.filter(|definition| !definition.resource.is_descriptor()).take(RESOURCES) {
        let mut payloads = BTreeSet::new();
        for _ in 0..PAYLOADS {
            let mut payload = object(&definition.body, &mut chance, 0);
            if chance.percent(40) {
                mutate(&mut payload, &mut chance);
            }
            payloads.insert(payload.to_string());
        }
        let payloads: Vec<_> = payloads.into_iter().collect();
        let name = definition.resource.name().to_owned();
        stage.data(&format!("{name}.jsonl"), &payloads);
        lines.insert(name, payloads);
    }
    // Keys given twice are for the API an update.
    let methods =
        ["--set", "validate.methods", "[schema, descriptors, references]", "namespace_overrides", "{tpdm: []}"];
    let (_, validated) = results(&stage, "validate", &methods);
    let (_, sent) = stage.send(&["--set", "namespace_overrides", "{tpdm: []}"]);
    let (ours, theirs) = (failed(&validated), failed(&sent));
    let text = |place: &&String| {
        let (name, line) = place.split_once(':').unwrap();
        format!("{place} {}", lines[name][line.parse::<usize>().unwrap() - 1])
    };
    let only_ours: Vec<_> = ours.difference(&theirs).map(|place| text(&place)).take(5).collect();
    let only_theirs: Vec<_> = theirs.difference(&ours).map(|place| text(&place)).take(5).collect();
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "validate alone: {only_ours:#?}\nthe API alone: {only_theirs:#?}"
    );
    let (right, wrong) = (total(&sent, "created") + total(&sent, "updated"), ours.len() as u64);
    assert!(right > 200 && wrong > 1_000, "{right} right, {wrong} wrong: too few of one kind to tell anything");
}
