//! Records look as an ODS/API returns them, and what it returns can be sent to it again.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Stage, district, get, students, total};

/// The records of the district that a sandbox took, by resource.
fn fetched(stage: &Stage, args: &[&str]) -> BTreeMap<String, Vec<Value>> {
    let folder = stage.folder.0.join("fetched");
    let _ = fs::remove_dir_all(&folder);
    stage.run(&[&["fetch", "--quiet", "--output", "fetched"], args].concat()).expect(0);
    let read = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        let name = entry.file_name().into_string().unwrap().trim_end_matches(".jsonl").to_owned();
        (name, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    };
    fs::read_dir(&folder).unwrap().map(|entry| read(entry.unwrap())).collect()
}

/// What a document says that is not so of a value; counts the references and the empty lists.
struct Judge<'d> {
    schemas: &'d Value,
    /// The ids of all records, with `/ed-fi/` and the resource before them.
    known: Vec<String>,
    references: usize,
    empty: usize,
}

impl Judge<'_> {
    fn object(&mut self, schema: &str, value: &Value) {
        let schema = schema.rsplit('/').next().unwrap();
        let is_reference = schema.ends_with("Reference");
        if is_reference {
            let (rel, href) = (value["link"]["rel"].as_str().unwrap(), value["link"]["href"].as_str().unwrap());
            assert!(self.known.iter().any(|known| known == href), "{href} of {schema} leads to nothing: {value}");
            let resource = href.split('/').nth(2).unwrap();
            assert!(resource.to_lowercase().starts_with(&rel[..rel.len() - 1].to_lowercase()), "{rel}, {href}");
            self.references += 1;
        }
        for (name, property) in self.schemas[schema]["properties"].as_object().unwrap() {
            let held = &value[name];
            if property["type"] == "array" {
                let items = held.as_array().unwrap_or_else(|| panic!("{schema} without {name}: {value}"));
                self.empty += usize::from(items.is_empty());
                if let Some(within) = property["items"]["$ref"].as_str() {
                    items.iter().for_each(|item| self.object(within, item));
                }
            } else if let Some(within) = property["$ref"].as_str().filter(|_| name != "link" && !held.is_null()) {
                self.object(within, held);
            }
        }
    }
}

#[test]
fn every_reference_has_a_link_that_leads_to_its_record_and_every_collection_is_a_list() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet", "--partial-ok"]).expect(0);
    let records = fetched(&stage, &[]);
    let document = get(&stage.sandbox.url(), "/metadata/data/v3/resources/swagger.json");
    let ids = records.iter().flat_map(|(resource, records)| {
        records.iter().map(move |record| format!("/ed-fi/{resource}/{}", record["id"].as_str().unwrap()))
    });
    let schemas = &document["components"]["schemas"];
    let mut judge = Judge { schemas, known: ids.collect(), references: 0, empty: 0 };
    for (resource, records) in &records {
        let post = &document["paths"][format!("/ed-fi/{resource}")]["post"];
        let Some(schema) = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        for record in records {
            assert!(record["_etag"].is_string() && record["_lastModifiedDate"].as_str().unwrap().ends_with('Z'));
            judge.object(schema, record);
        }
    }
    assert!(judge.references > 3_000 && judge.empty > 3_000, "{} and {}", judge.references, judge.empty);
    let school = &records["studentEducationOrganizationAssociations"][0]["educationOrganizationReference"];
    assert!(["School", "LocalEducationAgency"].contains(&school["link"]["rel"].as_str().unwrap()), "{school}");
}

#[test]
fn what_was_fetched_is_accepted_by_the_same_api_again_and_changes_nothing() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet", "--partial-ok"]).expect(0);
    // As fetched but for the id, which no API takes.
    for (state, args) in [("one", &["--sendable"][..]), ("other", &["-d", "id"])] {
        let before = fetched(&stage, &[]);
        fetched(&stage, args);
        let (run, results) = stage.send(&["--data-dir", "fetched", "--set", "state_dir", state]);
        run.expect(0);
        let records: usize = before.values().map(Vec::len).sum();
        assert_eq!(total(&results, "updated"), records as u64, "{args:?}");
        assert_eq!(total(&results, "created"), 0);
        assert!(fetched(&stage, &[]) == before, "no version and no time is another");
    }
}

#[test]
fn what_an_api_drops_is_not_shown_and_is_no_change() {
    let stage = Stage::new();
    let student = &students(1)[0];
    let with = |more: &str| format!("{}{more}}}", &student[..student.len() - 1]);
    let mut etags = Vec::new();
    for payload in [
        student.clone(),
        with(r#","middleName":null,"otherNames":[],"visas":null"#),
        with(r#","_etag":"7","_lastModifiedDate":"2020-01-01T00:00:00Z","link":{"rel":"x","href":"/x"}"#),
        with(r#","unheardOf":1"#),
        with(r#","middleName":"M""#),
    ] {
        stage.data("students.jsonl", &[payload]);
        stage.run(&["send", "--quiet"]).expect(0);
        let record = fetched(&stage, &["-s", "students"])["students"][0].clone();
        etags.push(record["_etag"].as_str().unwrap().to_owned());
        let names: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert!(names.iter().all(|name| !["unheardOf", "link"].contains(&name.as_str())), "{names:?}");
        assert_eq!((&record["otherNames"], record.get("preferredFirstName")), (&json!([]), None));
    }
    assert!(etags[..4].iter().all(|etag| *etag == etags[0]) && etags[4] != etags[0], "{etags:?}");
}
