//! Tiers: no payload is sent before all that it may refer to has settled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use lightbeam::sandbox::{Options, Received};
use serde_json::{Value, json};

use crate::stub::Stub;
use crate::support::{Folder, Stage, district, get, number, until};

/// When each resource may be created, as the sandbox's own document tells it; what it leaves out comes first.
fn orders(stage: &Stage) -> BTreeMap<String, u64> {
    let mut orders = BTreeMap::from([("ed-fi/schoolYearTypes".to_owned(), 0)]);
    for entry in get(&stage.sandbox.url(), "/metadata/data/v3/dependencies").as_array().unwrap() {
        if entry["operations"].as_array().unwrap().contains(&"Create".into()) {
            let resource = entry["resource"].as_str().unwrap().trim_start_matches('/');
            orders.insert(resource.to_owned(), number(&entry["order"]));
        }
    }
    orders
}

/// Fails the test unless the first POST of each tier came after the last one of the tier below had ended. Returns how many
/// tiers there were. Payloads that refer to what never comes are left out, for they are tried again after the last tier.
fn tiers_in_order(stage: &Stage, posts: &[Received]) -> usize {
    let orders = orders(stage);
    let stored: BTreeSet<_> = posts.iter().filter(|p| p.stored).map(|p| &p.body).collect();
    let hopeless = |post: &Received| post.status == Some(409) && !stored.contains(&post.body);
    let mut tiers: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for post in posts.iter().filter(|post| !hopeless(post)) {
        let (started, ended) = tiers.entry(orders[&post.resource]).or_insert((u64::MAX, 0));
        (*started, *ended) = (post.started.min(*started), post.ended.max(*ended));
    }
    for ((below, (_, ended)), (tier, (started, _))) in tiers.iter().zip(tiers.iter().skip(1)) {
        assert!(ended < started, "tier {tier} began at {started}, before {ended}, when tier {below} had ended");
    }
    tiers.len()
}

#[test]
fn no_payload_of_a_tier_is_sent_before_the_last_one_of_the_tier_below_has_settled() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.send(&[]).0.expect(3);
    assert_eq!(tiers_in_order(&stage, &stage.posts()), 19);
}

#[test]
fn a_tier_waits_for_the_repetitions_of_the_tier_below() {
    let stage = Stage::with(Options { fail_500: Some(40), ..Options::default() });
    district(&stage.folder);
    stage.send(&[]).0.expect(3);
    let posts = stage.posts();
    let failed: BTreeSet<_> = posts.iter().filter(|p| p.status == Some(500)).map(|p| &p.resource).collect();
    assert!(failed.len() > 5, "tiers with repetitions are what this test is about: {failed:?}");
    assert_eq!(tiers_in_order(&stage, &posts), 19);
}

#[test]
fn a_resource_does_not_wait_for_another_one_of_its_tier() {
    let stage = Stage::with(Options { hang: Some(1), ..Options::default() });
    let person = |kind: &str, n| format!(r#"{{"{kind}UniqueId":"{n}","firstName":"Ada","lastSurname":"Number {n}"}}"#);
    for kind in ["contact", "staff"] {
        stage.data(&format!("{kind}s.jsonl"), &(0..4).map(|n| person(kind, n)).collect::<Vec<_>>());
    }
    let mut run = stage.spawn(&["send"]);
    let came = |resource: &str| stage.posts().iter().filter(|p| p.resource == resource).count();
    until("all are sent although none is answered", || came("ed-fi/contacts") + came("ed-fi/staffs") == 8);
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn payloads_of_one_resource_may_refer_to_each_other_in_any_order() {
    let stage = Stage::new();
    district(&stage.folder);
    let (_, results) = stage.send(&["-s", "assessments,objectiveAssessments"]);
    let counts = &results["resources"]["objectiveAssessments"];
    assert_eq!((number(&counts["records_created"]), number(&counts["records_failed"])), (14, 0), "{counts}");
}

/// An API that takes a student only when what `needed` names was posted, and until then says `status` and `refusal`. It lets students be
/// created first, then associations, then lets students be updated, then takes grades.
fn api_with_updates(needed: &'static str, status: u16, refusal: &'static str) -> (Stub, Folder) {
    let posted: Mutex<BTreeSet<String>> = Mutex::default();
    let stub = Stub::new(move |asked| {
        let entry = |name: &str, order: u32, operation: &str| json!({"resource": format!("/ed-fi/{name}"), "order": order, "operations": [operation]});
        let body: Value = match asked.line.as_str() {
            "GET /" => json!({"version": "7.3", "urls": {"dependencies": "http://127.0.0.1/order",
                "oauth": "http://127.0.0.1/oauth/token", "dataManagementApi": "http://127.0.0.1/data/v3"}}),
            "GET /order" => json!([
                entry("students", 1, "Create"),
                entry("studentSchoolAssociations", 2, "Create"),
                entry("students", 3, "Update"),
                entry("grades", 4, "Create")
            ]),
            "POST /oauth/token" => json!({"access_token": "t0ken", "expires_in": 1800}),
            line => {
                let name = line.rsplit('/').next().unwrap().to_owned();
                let mut posted = posted.lock().unwrap();
                if name == "students" && !posted.contains(needed) {
                    return (status, None, refusal.into());
                }
                posted.insert(name);
                return (201, None, String::new());
            }
        };
        (200, None, body.to_string())
    });
    let folder = Folder::new();
    folder.config(&stub.url("/"), "");
    for name in ["students", "studentSchoolAssociations", "grades"] {
        folder.data(&format!("{name}.jsonl"), &[r#"{"a":1}"#.into()]);
    }
    (stub, folder)
}

fn posted(stub: &Stub) -> Vec<String> {
    let names = stub.lines().into_iter().filter_map(|line| Some(line.strip_prefix("POST /data/v3/ed-fi/")?.to_owned()));
    names.collect()
}

#[test]
fn a_student_that_no_relationship_allows_to_be_updated_is_sent_again_at_the_tier_of_its_update() {
    let refusal = r#"{"type":"urn:ed-fi:api:security:authorization","detail":"Access could not be authorized.",
        "errors":["No relationships have been established between the caller and the item."]}"#;
    let (stub, folder) = api_with_updates("studentSchoolAssociations", 403, refusal);
    folder.run(&["send"]).expect(0);
    // At once, when its own tier is done, and before the tier that comes after the order of its update.
    assert_eq!(posted(&stub), ["students", "students", "studentSchoolAssociations", "students", "grades"]);
}

#[test]
fn what_an_older_api_cannot_resolve_is_sent_once_more_after_the_last_tier() {
    let (stub, folder) = api_with_updates("grades", 400, r#"{"message":"Student reference could not be resolved."}"#);
    folder.run(&["send"]).expect(0);
    assert_eq!(posted(&stub).last().unwrap(), "students");
    let (stub, folder) = api_with_updates("nothing", 400, r#"{"message":"Student reference could not be resolved."}"#);
    folder.run(&["send"]).expect(3).tells(&["could not be resolved"]);
    let students = posted(&stub).iter().filter(|name| *name == "students").count();
    assert_eq!(students, 4, "at once, after its tier, before its update is over, and at the end");
}
