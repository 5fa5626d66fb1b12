//! The checker against what others say: a general validator of JSON Schema on the documents themselves, and the README of the district.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lightbeam::check::{Checkers, Method, Notes, Rule};
use lightbeam::edfi::key::StrictKey;
use lightbeam::model::{Kind, Model, Schema};
use lightbeam::resource::Resource;
use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::district;
use crate::support::{Stage, get};

/// Payloads for each resource and document.
const PAYLOADS: usize = 12;

/// The OpenAPI documents to try: those that the sandbox makes of its built-in model, and the genuine ones where they are at hand.
pub fn documents() -> Vec<Value> {
    let stage = Stage::new();
    let served = ["resources", "descriptors"]
        .map(|part| get(&stage.sandbox.url(), &format!("/metadata/data/v3/{part}/swagger.json")));
    let mut documents = Vec::from(served);
    let genuine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
    if genuine.is_dir() {
        for file in ["ods-5.3/resources.swagger2.json", "ds-5.0/resources.openapi3.json"] {
            documents.push(serde_json::from_slice(&fs::read(genuine.join(file)).unwrap()).unwrap());
        }
    }
    documents
}

/// What a document says of a resource's payloads, as JSON Schema.
///
/// It differs from the document in three ways. What is optional may be null, which the API takes for nothing given, although
/// documents up to 5.3 never say so. `int32`, a format that JSON Schema does not know, becomes bounds. What only the server
/// writes is left out.
fn json_schema(document: &Value, resource: &Resource) -> Value {
    let schemas = document.get("definitions").unwrap_or_else(|| &document["components"]["schemas"]);
    let post = &document["paths"][format!("/{resource}")]["post"];
    let mut todo = Vec::new();
    let content = post["requestBody"]["content"].as_object().and_then(|content| content.values().next());
    let body = content.unwrap_or_else(|| &post["parameters"][0])["schema"].clone();
    let top = rewritten(&body, &mut todo);
    let mut definitions = Map::new();
    while let Some(name) = todo.pop() {
        if !definitions.contains_key(&name) {
            definitions.insert(name.clone(), Value::Null);
            definitions[&name] = rewritten(&schemas[&name], &mut todo);
        }
    }
    json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": top["$ref"], "$defs": definitions})
}

fn rewritten(schema: &Value, todo: &mut Vec<String>) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        todo.push(name.to_owned());
        return json!({"$ref": format!("#/$defs/{name}")});
    }
    let mut written = schema.clone();
    if schema["format"] == "int32" {
        for (bound, value) in [("minimum", i32::MIN), ("maximum", i32::MAX)] {
            if written.get(bound).is_none() {
                written[bound] = value.into();
            }
        }
    }
    if let Some(items) = schema.get("items") {
        written["items"] = rewritten(items, todo);
    }
    if let Some(properties) = schema["properties"].as_object() {
        let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
        let of_server = ["id", "_etag", "_lastModifiedDate", "link"];
        let kept = properties.iter().filter(|(name, _)| !of_server.contains(&name.as_str()));
        let property = |(name, property): (&String, &Value)| {
            let written = rewritten(property, todo);
            let is_required = required.iter().any(|required| *required == name);
            let written = if is_required { written } else { json!({"anyOf": [written, {"type": "null"}]}) };
            (name.clone(), written)
        };
        written["properties"] = kept.map(property).collect::<Map<_, _>>().into();
    }
    written
}

/// A payload of this schema that is right, or nearly so.
pub fn object(schema: &Schema, chance: &mut Chance, depth: u64) -> Value {
    let mut members = Map::new();
    for property in &schema.properties {
        if property.required || chance.percent(60 / (1 + depth)) {
            members.insert(property.name.to_string(), value(&property.kind, chance, depth + 1));
        }
    }
    members.into()
}

fn value(kind: &Kind, chance: &mut Chance, depth: u64) -> Value {
    match kind {
        Kind::Text { min_length, max_length, .. } => {
            let least: u64 = min_length.unwrap_or(0).into();
            let most = max_length.map_or(40, u64::from);
            let length = if chance.percent(10) { most } else { least.max(chance.below(12)).min(most) };
            (0..length).map(|_| chance.one_of(&["a", "é", "7", "\u{1F600}"])).collect::<String>().into()
        }
        Kind::OneOf(values) => (*values[chance.below(values.len() as u64) as usize]).into(),
        Kind::Descriptor(resource) => {
            let name = resource.as_ref().map_or("xDescriptors", |resource| resource.name());
            format!("uri://ed-fi.org/{}{}#y", name[..1].to_uppercase(), &name[1..name.len() - 1]).into()
        }
        Kind::Integer { minimum, maximum, .. } => {
            let least = minimum.unwrap_or(-3);
            (least + chance.below((maximum.unwrap_or(least + 9) - least + 1) as u64) as i64).into()
        }
        Kind::Number { minimum, maximum } => {
            let least = minimum.unwrap_or(-1.5);
            (least + (maximum.unwrap_or(least + 9.0) - least) * (chance.below(101) as f64 / 100.0)).into()
        }
        Kind::Boolean => chance.percent(50).into(),
        Kind::Date => chance.one_of(&["2025-08-31", "2024-02-29"]).into(),
        Kind::DateTime => chance.one_of(&["2025-08-31T07:45:00Z", "2024-02-29T23:59:59.5-05:00"]).into(),
        Kind::Time => "07:45:00".into(),
        Kind::Any => Value::Null,
        Kind::Object(schema) => object(schema, chance, depth),
        Kind::Reference(reference) => object(&reference.schema, chance, depth),
        Kind::List(items) => (0..chance.below(3)).map(|_| value(items, chance, depth)).collect(),
    }
}

/// Makes something else of one value within.
pub fn mutate(value: &mut Value, chance: &mut Chance) {
    let inner: Vec<&mut Value> = match value {
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            if !names.is_empty() && chance.percent(10) {
                members.remove(&names[chance.below(names.len() as u64) as usize]);
                return;
            }
            if chance.percent(5) {
                members.insert("somethingElse".into(), json!({"a": [1]}));
                return;
            }
            members.values_mut().collect()
        }
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    if !inner.is_empty() && chance.percent(90) {
        let at = chance.below(inner.len() as u64) as usize;
        return mutate(inner.into_iter().nth(at).unwrap(), chance);
    }
    let others = [
        Value::Null,
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(4_000_000_000_u64),
        json!(""),
        json!("x"),
        json!("é".repeat(305)),
        json!("é".repeat(307)),
        json!("2025-02-29"),
        json!("2025-08-31"),
        json!("2025-08-31T25:00:00Z"),
        json!([]),
        json!({}),
        json!([null]),
        json!([{}]),
    ];
    *value = others[chance.below(others.len() as u64) as usize].clone();
}

/// Whether the document by itself forbids it, apart from how descriptors look.
fn is_of_the_document(rule: Rule) -> bool {
    use Rule::*;
    matches!(rule, Required | Type | Range | Length | Format | Pattern | OneOf)
}

#[test]
fn a_validator_of_json_schema_comes_to_the_same_verdict_on_the_same_documents() {
    let mut chance = Chance::new(11);
    let (mut right, mut wrong) = (0, 0);
    for document in documents() {
        let model = Model::from_openapi([&document]).unwrap();
        let checkers = Checkers::new(model.definitions());
        let mut notes = Notes::default();
        // All descriptors look alike.
        let most = if model.definitions().iter().all(|d| d.resource.is_descriptor()) { 3 } else { usize::MAX };
        for definition in model.definitions().iter().take(most) {
            let schema = json_schema(&document, &definition.resource);
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
            let checker = checkers.get(&definition.resource).unwrap();
            for _ in 0..PAYLOADS {
                let mut payload = object(&definition.body, &mut chance, 0);
                (0..chance.below(3)).for_each(|_| mutate(&mut payload, &mut chance));
                checker.check(payload.to_string().as_bytes(), &mut notes);
                let ours: Vec<_> = notes.faults.iter().filter(|fault| is_of_the_document(fault.rule)).collect();
                let theirs: Vec<_> =
                    validator.iter_errors(&payload).map(|e| format!("{}: {e}", e.instance_path())).collect();
                assert_eq!(
                    ours.is_empty(),
                    theirs.is_empty(),
                    "{} {payload}\n{ours:?}\n{theirs:?}",
                    definition.resource
                );
                *(if ours.is_empty() { &mut right } else { &mut wrong }) += 1;
            }
        }
    }
    assert!(right > 500 && wrong > 500, "{right} right, {wrong} wrong: too few of one kind to tell anything");
}

/// Where the checker says something else than the document, with the reason.
#[test]
fn differences_from_the_document_are_known() {
    let documents = documents();
    let model = Model::from_openapi(&documents[..2]).unwrap();
    let checkers = Checkers::new(model.definitions());
    let sessions = Resource::new("ed-fi", "studentAssessments");
    let schools = Resource::new("ed-fi", "schools");
    let assessment = json!({
        "studentAssessmentIdentifier": "1", "studentReference": {"studentUniqueId": "7"},
        "assessmentReference": {"assessmentIdentifier": "m", "namespace": "uri://x/A"},
        "schoolYearTypeReference": {"schoolYear": 2025}
    });
    let grade = json!({"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"});
    let school = json!({
        "schoolId": 1, "nameOfInstitution": "Lantern Ridge", "gradeLevels": [grade],
        "educationOrganizationCategories": [{"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#School"}]
    });
    let with = |payload: &Value, name: &str, value: Value| {
        let mut payload = payload.clone();
        payload[name] = value;
        payload
    };
    let cases = [
        (&schools, school.clone(), None, true, "nothing is wrong"),
        (&sessions, assessment.clone(), None, true, "nothing is wrong"),
        (
            &sessions,
            with(&assessment, "administrationDate", json!("2025-02-11T09:00:00")),
            None,
            false,
            "APIs take a time without offset",
        ),
        (
            &sessions,
            with(&assessment, "administrationDate", json!("2025-02-11")),
            None,
            false,
            "and a date for its beginning",
        ),
        (
            &schools,
            with(&school, "schoolId", json!(1.0)),
            Some(Rule::Type),
            true,
            "the ODS reads 1.0 as no whole number",
        ),
        (&schools, with(&school, "gradeLevels", json!([])), Some(Rule::Empty), true, "what is required needs an item"),
        (
            &schools,
            with(&school, "gradeLevels", json!([grade, grade])),
            Some(Rule::Items),
            true,
            "items have an identity",
        ),
        (
            &schools,
            with(&school, "gradeLevels", json!([{"gradeLevelDescriptor": "9"}])),
            Some(Rule::Descriptor),
            true,
            "a descriptor is a URI",
        ),
        (&schools, with(&school, "id", json!("1")), Some(Rule::Id), true, "the server gives ids"),
        (&schools, with(&school, "name", json!("1")), Some(Rule::Unknown), true, "the API drops it"),
    ];
    for (resource, payload, expected, validates, reason) in cases {
        let schema = json_schema(&documents[0], resource);
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        assert_eq!(validator.is_valid(&payload), validates, "{reason}");
        let mut notes = Notes::default();
        checkers.get(resource).unwrap().check(payload.to_string().as_bytes(), &mut notes);
        let rules: Vec<Rule> = notes.faults.iter().map(|fault| fault.rule).collect();
        assert_eq!(rules, Vec::from_iter(expected), "{reason}: {:?}", notes.faults);
    }
}

/// A payload of the district by file and line.
type At = (String, usize);

#[test]
fn in_the_district_everything_wrong_on_purpose_is_found_and_nothing_else() {
    let documents = documents();
    let model = Model::from_openapi(&documents[..2]).unwrap();
    let checkers = Checkers::new(model.definitions());
    let mut notes = Notes::default();
    let mut faults: BTreeMap<At, String> = BTreeMap::new();
    let mut keys: BTreeMap<Resource, BTreeMap<StrictKey, At>> = BTreeMap::new();
    let mut references: Vec<(At, String, Vec<Resource>, StrictKey)> = Vec::new();
    let mut repeated = BTreeMap::new();
    for (file, lines) in district::files() {
        let stem = file.split(['.', '/']).next().unwrap();
        let is_meant = |resource: &Resource| resource.name().eq_ignore_ascii_case(stem);
        let resource = &model.definitions().iter().find(|d| is_meant(&d.resource)).unwrap().resource;
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
            let at = (file.clone(), number + 1);
            checkers.get(resource).unwrap().check(line.as_bytes(), &mut notes);
            if !notes.faults.is_empty() {
                let told = notes.faults.iter().map(|fault| format!("{}: {}\n", fault.path, fault.message));
                faults.insert(at, told.collect());
                continue;
            }
            for reference in &notes.references {
                let entity = reference.to.entity.clone();
                references.push((at.clone(), entity, reference.to.targets.clone(), reference.key));
            }
            if keys.entry(resource.clone()).or_default().insert(notes.key.unwrap().strict, at).is_some() {
                *repeated.entry(file.clone()).or_insert(0) += 1;
            }
        }
    }
    let wrong = district::table("| file | line | answer |");
    let expected = |answers: &[&str]| -> BTreeMap<At, &str> {
        let rows = wrong.iter().filter(|row| answers.contains(&&*row[2]));
        rows.map(|row| ((row[0].clone(), row[1].parse().unwrap()), &*row[3])).collect()
    };
    for (at, names) in expected(&["400", "loader"]) {
        let told = faults.remove(&at).unwrap_or_default();
        assert!(!told.is_empty() && told.contains(names), "{at:?}: {told}");
    }
    assert!(faults.is_empty(), "{faults:?}");
    references.retain(|(_, _, targets, key)| {
        !targets.iter().any(|to| keys.get(to).is_some_and(|keys| keys.contains_key(key)))
    });
    let dangling: BTreeMap<At, &str> = references.iter().map(|(at, entity, ..)| (at.clone(), &**entity)).collect();
    assert_eq!(dangling, expected(&["409"]));
    let repeated: BTreeSet<String> = repeated.into_iter().map(|(file, count)| format!("{file} {count}")).collect();
    let rows = district::table("| tier | file |");
    let duplicates =
        rows.iter().filter(|row| row[4] != "0" && row[1].contains('.')).map(|row| format!("{} {}", row[1], row[4]));
    assert_eq!(repeated, duplicates.collect());
    assert_eq!(Rule::Items.method(), Method::Uniqueness);
}
