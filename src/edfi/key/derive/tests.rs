//! The keys of genuine documents, and of small ones that each show one rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::model::{Model, without_reference};
use crate::resource::Resource;

/// A genuine document, or `None` where it is not at hand.
fn genuine(file: &str) -> Option<Value> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
    folder.is_dir().then(|| serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap())
}

fn parts(model: &Model, namespace: &str, name: &str) -> Vec<(String, Vec<String>)> {
    let definition = model.get(&Resource::new(namespace, name)).unwrap();
    let paths = |part: &Part| part.paths.iter().map(ToString::to_string).collect();
    definition.key().map(|part| (part.name.to_string(), paths(part))).collect()
}

fn names(model: &Model, name: &str) -> Vec<String> {
    parts(model, "ed-fi", name).into_iter().map(|(name, _)| name).collect()
}

fn why(model: &Model, name: &str) -> String {
    model.get(&Resource::new("ed-fi", name)).unwrap().natural.clone().unwrap_err()
}

/// A document of one resource with these parameters (and whether they are marked), properties and schemas of references, each with its
/// members. What ends with `!` is required.
fn document(get: &[(&str, bool)], properties: &[&str], references: &[(&str, &[&str])]) -> Value {
    let parameter = |(name, marked): &(&str, bool)| json!({"in": "query", "name": name, "x-Ed-Fi-isIdentity": marked});
    let object = |properties: &[&str]| {
        let bare = |name: &&str| name.trim_end_matches('!').to_string();
        let one = |name: String| match references.iter().find(|(schema, _)| is_of(&name, schema)) {
            Some((schema, _)) => (name, json!({"$ref": format!("#/x/{schema}")})),
            None => (name, json!({"type": "string"})),
        };
        let required: Vec<String> = properties.iter().filter(|name| name.ends_with('!')).map(bare).collect();
        json!({"required": required, "properties": serde_json::Map::from_iter(properties.iter().map(bare).map(one))})
    };
    let mut schemas: BTreeMap<String, Value> =
        references.iter().map(|(schema, members)| (schema.to_string(), object(members))).collect();
    let style = references.iter().any(|(schema, _)| schema.starts_with("EdFi"));
    let body = if style { "EdFi_Visit" } else { "edFi_visit" };
    schemas.insert(body.to_string(), object(properties));
    json!({"components": {"schemas": schemas}, "paths": {"/ed-fi/visits": {
        "get": {"parameters": get.iter().map(parameter).collect::<Vec<_>>()},
        "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": format!("#/x/{body}")}}}}},
    }}})
}

/// Whether a property of this name holds a reference of this schema.
fn is_of(property: &str, schema: &str) -> bool {
    let entity = without_reference(schema).split_once('_').map_or("", |(_, entity)| entity);
    property.ends_with(&format!("{}Reference", capitalised(entity)))
        || property == format!("{}{}Reference", entity[..1].to_lowercase(), &entity[1..])
}

fn model(get: &[(&str, bool)], properties: &[&str], references: &[(&str, &[&str])]) -> Model {
    Model::from_openapi([&document(get, properties, references)]).unwrap()
}

#[test]
fn the_schema_of_references_to_a_resource_tells_its_key_whatever_the_marks_say() {
    let properties = ["visitId!", "schoolReference!", "personReference", "note"];
    let references: [(&str, &[&str]); 3] = [
        ("EdFi_Visit_Reference", &["visitId!", "schoolId!"]),
        ("EdFi_School_Reference", &["schoolId!"]),
        ("EdFi_Person_Reference", &["personId!"]),
    ];
    for marks in [vec![("visitId", true)], vec![("visitId", true), ("schoolId", true), ("personId", true)], vec![]] {
        let model = model(&marks, &properties, &references);
        let expected = [("schoolId", "$.schoolReference.schoolId"), ("visitId", "$.visitId")];
        let expected = expected.map(|(name, path)| (name.to_string(), vec![path.to_string()]));
        assert_eq!(parts(&model, "ed-fi", "visits"), expected, "{marks:?}");
        assert_eq!(model.disagreements().len(), 1, "{marks:?}");
    }
}

#[test]
fn marks_that_only_occur_in_optional_references_are_no_parts() {
    let get = [("visitId", true), ("schoolId", true), ("personId", true)];
    let references: [(&str, &[&str]); 2] =
        [("edFi_schoolReference", &["schoolId!"]), ("edFi_personReference", &["personId!"])];
    let model = model(&get, &["visitId!", "schoolReference!", "personReference"], &references);
    assert_eq!(names(&model, "visits"), ["schoolId", "visitId"]);
}

#[test]
fn a_key_of_which_a_part_stands_nowhere_or_that_nothing_tells_is_not_known() {
    let school: (&str, &[&str]) = ("edFi_schoolReference", &["schoolId!"]);
    let nowhere = model(&[("visitId", true), ("roomId", true)], &["visitId!", "schoolReference!"], &[school]);
    assert!(why(&nowhere, "visits").contains("where a payload holds roomId"), "{}", why(&nowhere, "visits"));
    let untold = model(&[("visitId", false)], &["visitId!"], &[]);
    assert_eq!(why(&untold, "visits"), "the documents do not tell its natural key");
    // The Data Management Service marks scalars only, so that the required reference may be part of the key or not.
    let school: (&str, &[&str]) = ("EdFi_School_Reference", &["schoolId!"]);
    let partial = model(&[("visitId", true)], &["visitId!", "schoolReference!"], &[school]);
    assert!(why(&partial, "visits").contains("schoolReference"), "{}", why(&partial, "visits"));
    let optional = model(&[("visitId", true)], &["visitId!", "schoolReference"], &[school]);
    assert_eq!(names(&optional, "visits"), ["visitId"]);
}

#[test]
fn where_documents_do_not_list_parameters_a_role_is_no_place_unless_there_is_no_other() {
    let references: [(&str, &[&str]); 2] =
        [("EdFi_Visit_Reference", &["schoolId!", "day!"]), ("EdFi_School_Reference", &["schoolId!"])];
    let with = |properties: &[&str]| parts(&model(&[], properties, &references), "ed-fi", "visits").remove(1).1;
    assert_eq!(
        with(&["day!", "schoolReference!", "nextYearSchoolReference"]),
        ["$.schoolReference.schoolId"],
        "next year's school is another one"
    );
    assert_eq!(with(&["day!", "hostSchoolReference!"]), ["$.hostSchoolReference.schoolId"]);
}

#[test]
fn a_part_that_stands_nowhere_else_stands_in_the_one_required_reference_that_is_not_described() {
    let own: (&str, &[&str]) = ("EdFi_Visit_Reference", &["day!", "schoolId!"]);
    let open: (&str, &[&str]) = ("EdFi_School_Reference", &[]);
    let model = model(&[], &["day!", "schoolReference!"], &[own, open]);
    assert_eq!(parts(&model, "ed-fi", "visits")[1].1, ["$.schoolReference.schoolId"]);
    let references = model.definitions()[0].references();
    assert!(references[0].reference.schema.is_open, "other members may be there too");
}

#[test]
fn every_key_of_the_tpdm_fragment_of_the_data_management_service_is_the_true_one() {
    let Some(mut document) = genuine("dms-8-tpdm/resources.openapi3.json") else { return };
    let truth = genuine("dms-8-tpdm/truth.json").unwrap();
    for with_all_paths in [false, true] {
        if with_all_paths {
            // The fragment has the schemas of all 15 resources and the paths of two.
            for name in truth.as_object().unwrap().keys() {
                let body = format!("Tpdm_{}", capitalised(name.strip_suffix('s').unwrap()));
                let schema = json!({"$ref": format!("#/components/schemas/{body}")});
                let post = json!({"requestBody": {"content": {"application/json": {"schema": schema}}}});
                document["paths"][format!("/tpdm/{name}")] = json!({"get": {"parameters": []}, "post": post});
            }
        }
        let model = Model::from_openapi([&document]).unwrap();
        assert_eq!(model.faults(), []);
        assert_eq!(model.definitions().len(), if with_all_paths { 15 } else { 2 });
        for definition in model.definitions() {
            let truth = &truth[definition.resource.name()];
            let strings = |list: &Value, key: &str| -> BTreeSet<String> {
                let all = list.as_array().unwrap().iter();
                all.map(|one| if key.is_empty() { one } else { &one[key] }.as_str().unwrap().to_owned()).collect()
            };
            let found: BTreeSet<String> =
                definition.key().flat_map(|part| part.paths.iter().map(ToString::to_string)).collect();
            assert_eq!(found, strings(&truth["identity"], ""), "{}", definition.resource);
            for equal in truth["equal"].as_array().unwrap() {
                let ends = ["sourceJsonPath", "targetJsonPath"].map(|end| equal[end].as_str().unwrap());
                if ends.iter().any(|end| end.contains("sectionReference")) {
                    continue; // The fragment does not describe sections.
                }
                let holds = |part: &Part, end: &str| part.paths.iter().any(|path| path.to_string() == end);
                let unified = definition.key().any(|part| ends.iter().all(|end| holds(part, end)));
                assert!(unified, "{} {ends:?}", definition.resource);
            }
        }
    }
}

#[test]
fn every_key_of_the_data_management_service_has_the_members_of_its_reference() {
    let Some(document) = genuine("dms-2025-07/resources.openapi3.json") else { return };
    let model = Model::from_openapi([&document]).unwrap();
    let mut count = 0;
    for definition in model.definitions() {
        let reference = &document["components"]["schemas"][format!("{}_Reference", definition.body.name)];
        let Some(members) = reference["properties"].as_object() else {
            assert_eq!(definition.resource.name(), "schoolYearTypes");
            continue;
        };
        let expected: BTreeSet<&str> = members.keys().map(String::as_str).collect();
        let found: BTreeSet<&str> = definition.key().map(|part| &*part.name).collect();
        assert_eq!(found, expected, "{}", definition.resource);
        count += 1;
    }
    assert_eq!(count, 152);
    assert_eq!(names(&model, "schoolYearTypes"), ["schoolYear"]);
    for definition in model.definitions() {
        for referral in definition.references() {
            assert!(!referral.reference.targets.is_empty(), "{} {}", definition.resource, referral.path);
        }
    }
}

#[test]
fn what_the_ods_and_the_data_management_service_have_in_common_has_the_same_places() {
    let (Some(ods), Some(dms)) =
        (genuine("ds-5.0/resources.openapi3.json"), genuine("dms-2025-07/resources.openapi3.json"))
    else {
        return;
    };
    let [ods, dms] = [ods, dms].map(|document| Model::from_openapi([&document]).unwrap());
    let mut compared = 0;
    for definition in dms.definitions() {
        let Some(other) = ods.get(&definition.resource) else { continue };
        for part in definition.key() {
            let Some(known) = other.key().find(|other| other.name == part.name) else { continue };
            let paths = |part: &Part| part.paths.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
            compared += 1;
            // Data Standard 5.2 has a part more there.
            if definition.resource.name() != "studentSpecialEducationProgramEligibilityAssociations" {
                assert_eq!(paths(part), paths(known), "{} {}", definition.resource, part.name);
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn on_an_ods_the_marks_are_the_key() {
    let files = ["ods-5.3/resources.swagger2.json", "ds-5.0/resources.openapi3.json"];
    for document in files.iter().filter_map(|file| genuine(file)) {
        let model = Model::from_openapi([&document]).unwrap();
        assert_eq!(model.disagreements(), [""; 0]);
        let paths = document["paths"].as_object().unwrap();
        for definition in model.definitions() {
            let get = &paths[&format!("/{}", definition.resource)]["get"]["parameters"];
            let marked = get.as_array().unwrap().iter().filter(|parameter| parameter["x-Ed-Fi-isIdentity"] == true);
            let marked: BTreeSet<&str> = marked.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            let found: BTreeSet<&str> = definition.key().map(|part| &*part.name).collect();
            assert_eq!(found, marked, "{}", definition.resource);
        }
    }
}
