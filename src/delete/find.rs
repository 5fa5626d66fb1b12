//! Finds the record of a payload: what to ask the API for, and whether what it answers is that record. Pure.
//!
//! An Ed-Fi API passes over what it does not know of a query and then gives everything (the first page of it). So an answer is believed only
//! if it is one record that has the payload's natural key, strictly, and refers to the same in every reference that the payload must
//! have. The references outside the key are the second opinion, because documents may leave out parts of a key.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::api::reply;
use crate::edfi::key::{Comparison, NaturalKey, Path, StrictKey, text};
use crate::model::{Definition, Kind, Schema};

/// Finds the records of one resource's payloads.
pub struct Finder<'m> {
    key: &'m NaturalKey,
    /// The members of all required references.
    required: Vec<(Path, Comparison)>,
}

/// A natural key: each part's parameter and its value as text.
pub type Parts = Vec<(Arc<str>, String)>;

impl<'m> Finder<'m> {
    /// For the payloads that `definition` describes; an error says why their natural key is not known.
    pub fn of(definition: &'m Definition) -> Result<Finder<'m>, &'m str> {
        let mut required = Vec::new();
        add_required(&definition.body, &mut Vec::new(), &mut required);
        Ok(Finder { key: definition.natural.as_ref().map_err(String::as_str)?, required })
    }

    /// The natural key of a payload, or why it has none.
    pub fn key(&self, payload: &Value) -> Result<Parts, String> {
        let values = self.key.of_value(payload).map_err(|lack| self.key.why(lack))?;
        Ok(self.key.parts.iter().map(|part| part.name.clone()).zip(values).collect())
    }

    /// By what the record of a payload is known.
    pub fn strict(&self, payload: &Value) -> Option<StrictKey> {
        self.key.of_value(payload).ok().map(|values| self.key.keys_of(&values).strict)
    }

    /// The id of the record of `payload` in a page that the API gave when it was asked for it; `None` if the page is empty. An error says why
    /// the answer is not to be trusted.
    pub fn id(&self, payload: &Value, page: &[u8]) -> Result<Option<Box<str>>, String> {
        let records: Vec<Value> =
            reply::json(page).map_err(|error| format!("the API answered what is no list of records: {error}"))?;
        let wanted = self.key(payload)?;
        let record = match &records[..] {
            [] => return Ok(None),
            [record] => record,
            _ => return Err(format!("the API has several records for {}", written(&wanted))),
        };
        if self.strict(record).is_none_or(|held| self.strict(payload) != Some(held)) {
            let held = self.key(record).map_or_else(|why| why, |held| written(&held));
            let wanted = written(&wanted);
            return Err(format!("asked for {wanted}, the API gave a record of another natural key: {held}"));
        }
        let value = |(path, comparison): &(Path, Comparison), within: &Value| {
            let value = path.find(within).and_then(|value| text(value).map(Cow::into_owned));
            value.map(|value| comparison.strict(&value).into_owned())
        };
        if let Some((path, _)) = self.required.iter().find(|member| value(member, payload) != value(member, record)) {
            let wanted = written(&wanted);
            return Err(format!("asked for {wanted}, the API gave a record that has another value at {path}"));
        }
        let id = record["id"].as_str().filter(|id| is_plain(id));
        id.map(|id| Some(id.into())).ok_or_else(|| "the API gave a record without an id".into())
    }
}

/// Adds the members of every reference that `schema` requires, also in objects within.
fn add_required(schema: &Schema, way: &mut Vec<Arc<str>>, found: &mut Vec<(Path, Comparison)>) {
    for property in schema.properties.iter().filter(|property| property.required) {
        way.push(property.name.clone());
        match &property.kind {
            Kind::Object(inner) => add_required(inner, way, found),
            Kind::Reference(reference) => {
                for member in &reference.schema.properties {
                    let path = Path::new(way.iter().chain([&member.name]).map(|name| &**name));
                    found.push((path, Comparison::of(&member.name, &member.kind)));
                }
            }
            _ => {}
        }
        way.pop();
    }
}

/// Whether an id can stand in a URL as it is.
pub fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn written(key: &Parts) -> String {
    key.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
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
        test(&Finder::of(model.get(&Resource::new("ed-fi", name)).unwrap()).unwrap())
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
            assert!(why.contains("one value at $.beginDate and another at $.siteReference.beginDate"), "{why}");
            payload = enrolment(1, 2);
            payload["educationOrganizationReference"] = json!({});
            assert_eq!(
                finder.key(&payload).unwrap_err(),
                "educationOrganizationId, a part of the natural key, is missing"
            );
            payload["beginDate"] = json!([1]);
            assert!(finder.key(&payload).unwrap_err().contains("beginDate"));
        });
    }

    #[test]
    fn only_one_record_of_the_same_key_is_believed() {
        with_finder("enrolments", |finder| {
            let id = |records: Value| finder.id(&enrolment(1, 2), records.to_string().as_bytes());
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
    fn a_record_that_refers_to_something_else_is_not_believed_although_its_key_is_the_same() {
        let document = json!({
            "paths": {"/ed-fi/visits": {
                "get": {"parameters": [{"name": "visitId", "in": "query", "x-Ed-Fi-isIdentity": true}]},
                "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/edFi_visit"}}}}},
            }},
            "components": {"schemas": {
                "edFi_visit": {"required": ["visitId", "schoolReference"], "properties": {
                    "visitId": {"type": "string"},
                    "schoolReference": {"$ref": "#/x/edFi_schoolReference"},
                    "siteReference": {"$ref": "#/x/edFi_schoolReference"},
                }},
                "edFi_schoolReference": {"required": ["schoolId"], "properties": {"schoolId": {"type": "integer"}}},
            }}
        });
        let model = Model::from_openapi([&document]).unwrap();
        let finder = Finder::of(&model.definitions()[0]).unwrap();
        let visit = |school: Value, site: u64| json!({"visitId": "v", "schoolReference": {"schoolId": school}, "siteReference": {"schoolId": site}, "id": "0a1b"});
        let id = |record: Value| finder.id(&visit(json!(1), 1), json!([record]).to_string().as_bytes());
        assert_eq!(id(visit(json!("1"), 2)), Ok(Some("0a1b".into())), "an optional reference may differ");
        let why = id(visit(json!(2), 1)).unwrap_err();
        assert!(why.contains("another value at $.schoolReference.schoolId"), "{why}");
        assert!(id(json!({"visitId": "v", "id": "0a1b"})).is_err());
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
