//! Finds the record of a payload: what to ask the API for, and whether what it answers is that record. Pure.
//!
//! An Ed-Fi API passes over what it does not know of a query and then gives everything (the first page of it). So an answer is believed only
//! if it is one record, and that has the payload's natural key.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::api::reply;
use crate::check::Checker;
use crate::model::{Definition, Kind, Parameter, text};

/// Finds the records of one resource's payloads.
pub struct Finder<'m> {
    definition: &'m Definition,
    checker: &'m Checker,
}

/// A natural key: each part's parameter and its value as text.
pub type Parts = Vec<(Arc<str>, String)>;

impl<'m> Finder<'m> {
    /// For the payloads that `definition` describes; `None` if the documents do not tell all of their natural key.
    pub fn of(definition: &'m Definition, checker: &'m Checker) -> Option<Finder<'m>> {
        checker.has_key().then_some(Finder { definition, checker })
    }

    /// The natural key of a payload, or why it has none.
    pub fn key(&self, payload: &Value) -> Result<Parts, String> {
        self.definition.key().map(|parameter| Ok((parameter.name.clone(), self.part(parameter, payload)?))).collect()
    }

    /// A part of the key. Where a payload holds it in several places they must agree.
    fn part(&self, parameter: &Parameter, payload: &Value) -> Result<String, String> {
        let name = &parameter.name;
        let mut found: Option<(String, Cow<'_, str>)> = None;
        for (path, value) in parameter.values(payload) {
            let value = text(value).ok_or_else(|| format!("{path}, a part of the natural key, is no single value"))?;
            let kind = path.property(&self.definition.body).map(|property| &property.kind);
            let same = |one: &str, other: &str| match kind {
                Some(Kind::Descriptor(_)) => one.to_lowercase() == other.to_lowercase(),
                _ => one == other,
            };
            match &found {
                None => found = Some((path.to_string(), value)),
                Some((_, first)) if same(first, &value) => {}
                Some((place, first)) => {
                    return Err(format!(
                        "{name}, a part of the natural key, is {first} at {place} and {value} at {path}: no record can have both"
                    ));
                }
            }
        }
        found
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| format!("{name}, a part of the natural key, is missing"))
    }

    /// The id of the record with this key in a page that the API gave when it was asked for it; `None` if the page is empty. An error says why
    /// the answer is not to be trusted.
    pub fn id(&self, key: &Parts, page: &[u8]) -> Result<Option<Box<str>>, String> {
        let records: Vec<Value> =
            reply::json(page).map_err(|error| format!("the API answered what is no list of records: {error}"))?;
        let record = match &records[..] {
            [] => return Ok(None),
            [record] => record,
            _ => return Err(format!("the API has several records for {}", written(key))),
        };
        let held: Parts =
            self.definition.key().filter_map(|p| Some((p.name.clone(), self.part(p, record).ok()?))).collect();
        let hash = |parts: &Parts| self.checker.key(|name| value(parts, name).map(str::to_owned));
        if hash(&held).is_none_or(|of_record| hash(key) != Some(of_record)) {
            return Err(format!(
                "asked for {}, the API gave a record of another natural key: {}",
                written(key),
                written(&held)
            ));
        }
        let id = record["id"].as_str().filter(|id| is_plain(id));
        id.map(|id| Some(id.into())).ok_or_else(|| "the API gave a record without an id".into())
    }
}

/// Whether an id can stand in a URL as it is.
pub fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn value<'k>(key: &'k Parts, name: &str) -> Option<&'k str> {
    key.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.as_str())
}

fn written(key: &Parts) -> String {
    key.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::Checkers;
    use crate::model::Model;
    use crate::resource::Resource;

    /// Enrolments, whose program may belong to another organization than the enrolment itself.
    fn model() -> Model {
        let identity = |name: &str| json!({"name": name, "in": "query", "x-Ed-Fi-isIdentity": true});
        let names = ["beginDate", "educationOrganizationId", "programEducationOrganizationId", "programTypeDescriptor"];
        let document = json!({
            "paths": {"/ed-fi/enrolments": {
                "get": {"parameters": names.map(identity)},
                "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/edFi_enrolment"}}}}},
            }, "/ed-fi/programTypeDescriptors": {
                "get": {"parameters": []},
                "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/edFi_programTypeDescriptor"}}}}},
            }},
            "components": {"schemas": {
                "edFi_enrolment": {"required": ["beginDate", "educationOrganizationReference", "programReference"], "properties": {
                    "beginDate": {"type": "string", "format": "date"},
                    "educationOrganizationReference": {"$ref": "#/x/edFi_educationOrganizationReference"},
                    "programReference": {"$ref": "#/x/edFi_programReference"},
                    "siteReference": {"$ref": "#/x/edFi_siteReference"},
                }},
                "edFi_educationOrganizationReference": {"required": ["educationOrganizationId"], "properties": {
                    "educationOrganizationId": {"type": "integer"},
                }},
                "edFi_siteReference": {"properties": {"beginDate": {"type": "string"}}},
                "edFi_programReference": {"required": ["educationOrganizationId", "programTypeDescriptor"], "properties": {
                    "educationOrganizationId": {"type": "integer"},
                    "programTypeDescriptor": {"type": "string", "maxLength": 306},
                }},
                "edFi_programTypeDescriptor": {"required": ["codeValue", "namespace"], "properties": {
                    "codeValue": {"type": "string"}, "namespace": {"type": "string"},
                }},
            }}
        });
        Model::from_openapi([&document]).unwrap()
    }

    fn with_finder<T>(name: &str, test: impl FnOnce(&Finder) -> T) -> T {
        let model = model();
        let checkers = Checkers::new(model.definitions());
        let resource = Resource::new("ed-fi", name);
        let definition = model.get(&resource).unwrap();
        test(&Finder::of(definition, checkers.get(&resource).unwrap()).unwrap())
    }

    const BILINGUAL: &str = "uri://ed-fi.org/ProgramTypeDescriptor#Bilingual";

    fn enrolment(of: u32, program_of: u32) -> Value {
        json!({
            "beginDate": "2024-08-20",
            "educationOrganizationReference": {"educationOrganizationId": of},
            "programReference": {"educationOrganizationId": program_of, "programTypeDescriptor": BILINGUAL},
        })
    }

    fn with_id(mut record: Value) -> Value {
        record["id"] = "0a1b".into();
        record
    }

    #[test]
    fn no_part_of_a_key_takes_the_place_of_another() {
        let key = with_finder("enrolments", |finder| finder.key(&enrolment(1, 2)).unwrap());
        let parts: Vec<_> = key.iter().map(|(name, value)| (&**name, value.as_str())).collect();
        let expected = [
            ("beginDate", "2024-08-20"),
            ("educationOrganizationId", "1"),
            ("programEducationOrganizationId", "2"),
            ("programTypeDescriptor", BILINGUAL),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_payload_whose_key_is_incomplete_or_contradicts_itself_is_told() {
        with_finder("enrolments", |finder| {
            let mut payload = enrolment(1, 2);
            payload["siteReference"] = json!({"beginDate": "2024-08-21"});
            let why = finder.key(&payload).unwrap_err();
            assert!(why.contains("2024-08-20 at $.beginDate and 2024-08-21 at $.siteReference.beginDate"), "{why}");
            payload = enrolment(1, 2);
            payload["educationOrganizationReference"] = json!({});
            assert_eq!(
                finder.key(&payload).unwrap_err(),
                "educationOrganizationId, a part of the natural key, is missing"
            );
            payload["beginDate"] = json!([1]);
            assert!(finder.key(&payload).unwrap_err().contains("$.beginDate"));
        });
    }

    #[test]
    fn only_one_record_of_the_same_key_is_believed() {
        with_finder("enrolments", |finder| {
            let key = finder.key(&enrolment(1, 2)).unwrap();
            let id = |records: Value| finder.id(&key, records.to_string().as_bytes());
            assert_eq!(id(json!([])), Ok(None));
            let mut same = with_id(enrolment(1, 2));
            same["programReference"]["programTypeDescriptor"] = BILINGUAL.to_uppercase().into();
            same["educationOrganizationReference"]["educationOrganizationId"] = "1".into();
            assert_eq!(id(json!([same])), Ok(Some("0a1b".into())));
            let why = id(json!([with_id(enrolment(1, 3))])).unwrap_err();
            assert!(why.contains("another natural key") && why.contains("programEducationOrganizationId 3"), "{why}");
            assert!(id(json!([same, same])).unwrap_err().contains("several records"));
            assert!(id(json!([{"id": "0a1b"}])).unwrap_err().contains("another natural key"));
            assert!(id(json!([enrolment(1, 2)])).unwrap_err().contains("without an id"));
            assert!(id(json!({})).unwrap_err().contains("no list of records"));
        });
    }

    #[test]
    fn a_descriptor_is_found_by_namespace_and_code_value() {
        with_finder("programTypeDescriptors", |finder| {
            let payload = json!({"namespace": "uri://ed-fi.org/ProgramTypeDescriptor", "codeValue": "Bilingual"});
            let key = finder.key(&payload).unwrap();
            let parts: Vec<_> = key.iter().map(|(name, value)| (&**name, value.as_str())).collect();
            assert!(parts.contains(&("namespace", "uri://ed-fi.org/ProgramTypeDescriptor")), "{parts:?}");
            assert!(parts.contains(&("codeValue", "Bilingual")), "{parts:?}");
        });
    }
}
