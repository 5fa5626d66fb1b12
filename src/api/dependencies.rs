//! Reads the API's dependencies: in which order resources can be created.
//!
//! The document is an array of `{resource, order, operations}`. Resources that belong to people stand in it twice,
//! because a client that may see them only through an association can create them before it, but update them after it.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::Value;

use super::reply;
use super::transport::http::Uri;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Dependency, Turns};
use crate::resource::Resource;

#[derive(Deserialize)]
struct Entry {
    resource: String,
    order: u32,
    operations: Vec<String>,
}

/// Reads the document that `url` answered: one entry for each resource, sorted by the order of creation and name,
/// however the document is sorted.
pub fn read(url: &Uri, body: &[u8]) -> Result<Vec<Dependency>> {
    let entries: Vec<Value> =
        reply::json(body).or_stop(Exit::GivenUp, || format!("the dependencies at {url} are no JSON array"))?;
    sorted(url, &entries)
}

/// The same of the entries of a document that `place` names.
pub fn sorted(place: impl Display, entries: &[Value]) -> Result<Vec<Dependency>> {
    let mut turns = Turns::default();
    for (index, value) in entries.iter().enumerate() {
        let malformed = || format!("the dependencies at {place} have a malformed entry {}, {value}", index + 1);
        let entry = Entry::deserialize(value).or_stop(Exit::GivenUp, malformed)?;
        let resource = Resource::from_path(&entry.resource).ok_or_else(|| Error::api(malformed()))?;
        turns.add(&resource, entry.order, entry.operations.iter().map(String::as_str));
    }
    Ok(turns.sorted())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    fn read_text(body: &str) -> Result<Vec<Dependency>> {
        read(&Uri::from_static("https://example.com/dependencies"), body.as_bytes())
    }

    #[test]
    fn people_are_created_early_and_updated_late() {
        let mut entries = [
            r#"{"resource":"/ed-fi/students","order":14,"operations":["Update"]}"#,
            r#"{"resource":"/ed-fi/schools","order":5,"operations":["Create","Update"]}"#,
            r#"{"resource":"/ed-fi/students","order":3,"operations":["Create"]}"#,
            r#"{"resource":"/ed-fi/academicSubjectDescriptors","order":1,"operations":["Create","Update"]}"#,
        ];
        let expected = [
            ("academicSubjectDescriptors", Some(1), Some(1)),
            ("students", Some(3), Some(14)),
            ("schools", Some(5), Some(5)),
        ]
        .map(|(name, create, update)| Dependency { resource: Resource::new("ed-fi", name), create, update });
        assert_eq!(read_text(&format!("[{}]", entries.join(","))).unwrap(), expected);
        entries.reverse();
        assert_eq!(read_text(&format!("[{}]", entries.join(","))).unwrap(), expected);
    }

    #[test]
    fn a_resource_that_cannot_be_created_has_no_order_of_creation() {
        let read = read_text(r#"[{"resource":"/ed-fi/students","order":14,"operations":["Update","Read"]}]"#).unwrap();
        assert_eq!((read[0].create, read[0].update), (None, Some(14)));
    }

    #[test]
    fn a_malformed_entry_is_named_with_its_url() {
        for entry in [
            r#"{"resource":"/ed-fi/students","operations":["Create"]}"#,
            r#"{"resource":"students","order":1,"operations":["Create"]}"#,
            r#"{"resource":"/ed-fi/students","order":-1,"operations":["Create"]}"#,
            r#"{"resource":"/ed-fi/students","order":1,"operations":"Create"}"#,
            "7",
        ] {
            let good = r#"{"resource":"/ed-fi/schools","order":5,"operations":["Create"]}"#;
            let error = read_text(&format!("[{good},{entry}]")).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with("the dependencies at https://example.com/dependencies have a malformed entry 2, "),
                "{text}"
            );
            assert!(text.contains(entry), "{text}");
            assert_eq!(error.exit(), Exit::GivenUp);
        }
        assert!(read_text("<html>").unwrap_err().to_string().contains("no JSON array"));
        assert!(read_text(r#"{"message":"x"}"#).unwrap_err().to_string().contains("no JSON array"));
    }

    #[test]
    fn documents_of_22_and_of_18_tiers_are_read_whole() {
        // How many resources each order of an ODS/API 6.1 with TPDM and of Data Standard 5 creates, and at which order
        // people can be updated.
        let ods_6_1: &[u32] = &[207, 14, 5, 2, 1, 7, 12, 8, 8, 8, 2, 4, 3, 3, 24, 5, 1, 1, 1, 15, 13, 5];
        let data_standard_5: &[u32] = &[209, 16, 5, 2, 1, 8, 11, 7, 19, 7, 6, 3, 2, 31, 6, 5, 3, 1];
        for (sizes, updates) in [(ods_6_1, [15, 16, 20]), (data_standard_5, [14, 15, 9])] {
            let mut entries = Vec::new();
            for (order, size) in (1..).zip(sizes) {
                entries.extend((0..*size).map(|n| (format!("/ed-fi/r{order}x{n}"), order, "Create")));
            }
            // Students, contacts or parents, and staffs are created at the third order.
            entries.extend((0..).zip(updates).map(|(n, order)| (format!("/ed-fi/r3x{n}"), order, "Update")));
            let entry = |(resource, order, operation): &(String, u32, &str)| {
                format!(r#"{{"resource":"{resource}","order":{order},"operations":["{operation}"]}}"#)
            };
            let read = read_text(&format!("[{}]", entries.iter().map(entry).collect::<Vec<_>>().join(","))).unwrap();
            let mut tiers: BTreeMap<u32, u32> = BTreeMap::new();
            read.iter().for_each(|d| *tiers.entry(d.create.unwrap()).or_default() += 1);
            assert_eq!(tiers.into_values().collect::<Vec<_>>(), sizes);
            let people = read.iter().filter_map(|d| d.update);
            assert_eq!(people.collect::<Vec<_>>(), updates);
        }
    }

    #[test]
    fn the_genuine_documents_have_their_known_tiers() {
        let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
        for (file, resources, tiers) in [("ods-6.1", 346, 22), ("ds-5.0", 339, 18)] {
            // The documents are not part of the project.
            let Ok(body) = std::fs::read(documents.join(file).join("dependencies.json")) else { continue };
            let read = read(&Uri::from_static("https://example.com/"), &body).unwrap();
            let orders: BTreeSet<u32> = read.iter().filter_map(|d| d.create).collect();
            assert_eq!((read.len(), orders.len()), (resources, tiers), "{file}");
        }
    }
}
