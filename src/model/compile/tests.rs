//! What genuine documents and small ones are compiled to.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::model::compact;

/// The genuine documents, or `None` where they are not at hand.
fn genuine(files: &[&str]) -> Option<Model> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
    folder.is_dir().then(|| {
        let read = |file: &&str| serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
        Model::from_openapi(&files.iter().map(read).collect::<Vec<Value>>()).unwrap()
    })
}

fn paths(model: &Model, resource: &str, parameter: &str) -> Vec<String> {
    let definition = model.get(&Resource::from_path(resource).unwrap()).unwrap();
    let parameter = definition.parameters.iter().find(|p| &*p.name == parameter).unwrap();
    parameter.paths.iter().map(ToString::to_string).collect()
}

fn key<'m>(model: &'m Model, resource: &str) -> Vec<&'m str> {
    model.get(&Resource::from_path(resource).unwrap()).unwrap().key().map(|part| &*part.name).collect()
}

fn every_reference_and_key_resolves(model: &Model) {
    for definition in model.definitions() {
        assert!(definition.key().next().is_some(), "{} has no natural key", definition.resource);
        for parameter in &definition.parameters {
            let [first, ..] = &parameter.paths[..] else {
                panic!("{} {} is nowhere", definition.resource, parameter.name)
            };
            assert!(first.property(&definition.body).is_some());
            if parameter.identity {
                assert!(first.property(&definition.body).unwrap().required, "{} {first}", definition.resource);
            }
        }
        for referral in definition.references() {
            assert!(!referral.reference.targets.is_empty(), "{} {}", definition.resource, referral.path);
        }
    }
}

#[test]
fn the_documents_of_data_standard_5_resolve_completely() {
    let Some(model) = genuine(&["ds-5.0/resources.openapi3.json", "ds-5.0/descriptors.openapi3.json"]) else {
        return;
    };
    assert_eq!(model.definitions().len(), 143 + 218);
    every_reference_and_key_resolves(&model);
    for schema in model.definitions().iter().flat_map(|definition| definition.schemas().into_values()) {
        for property in &schema.properties {
            assert_ne!(property.kind, Kind::Descriptor(None), "{} {}", schema.name, property.name);
            assert_ne!(property.kind, Kind::Any, "{} {}", schema.name, property.name);
        }
    }
    assert_eq!(key(&model, "/ed-fi/studentSchoolAssociations"), ["entryDate", "schoolId", "studentUniqueId"]);
    assert_eq!(
        paths(&model, "/ed-fi/studentSchoolAssociations", "schoolId"),
        ["$.schoolReference.schoolId", "$.calendarReference.schoolId"]
    );
    assert_eq!(paths(&model, "/ed-fi/grades", "gradingPeriodSchoolYear"), ["$.gradingPeriodReference.schoolYear"]);
    assert_eq!(paths(&model, "/ed-fi/grades", "schoolYear"), ["$.studentSectionAssociationReference.schoolYear"]);
    assert_eq!(paths(&model, "/ed-fi/chartOfAccounts", "balanceSheetCode"), ["$.balanceSheetDimensionReference.code"]);
    assert_eq!(
        paths(&model, "/ed-fi/studentAssessmentEducationOrganizationAssociations", "assessmentIdentifier"),
        ["$.studentAssessmentReference.assessmentIdentifier"]
    );
    assert_eq!(key(&model, "/ed-fi/termDescriptors"), ["codeValue", "namespace"]);
}

#[test]
fn the_document_of_a_real_api_of_version_5_3_resolves_completely() {
    let Some(model) = genuine(&["ods-5.3/resources.swagger2.json"]) else { return };
    assert_eq!(model.definitions().len(), 129);
    every_reference_and_key_resolves(&model);
}

#[test]
fn an_abstract_reference_refers_to_all_that_extend_it() {
    let Some(model) = genuine(&["ds-5.0/resources.openapi3.json"]) else { return };
    let targets = |resource: &str, path: &str| -> Vec<String> {
        let definition = model.get(&Resource::from_path(resource).unwrap()).unwrap();
        let referral = definition.references().into_iter().find(|referral| referral.path == path).unwrap();
        referral.reference.targets.iter().map(|target| target.resource.name().to_owned()).collect()
    };
    assert_eq!(
        targets("/ed-fi/accountabilityRatings", "$.educationOrganizationReference"),
        [
            "communityOrganizations",
            "communityProviders",
            "educationOrganizationNetworks",
            "educationServiceCenters",
            "localEducationAgencies",
            "organizationDepartments",
            "postSecondaryInstitutions",
            "schools",
            "stateEducationAgencies"
        ]
    );
    assert_eq!(
        targets(
            "/ed-fi/studentCompetencyObjectives",
            "$.generalStudentProgramAssociations[*].generalStudentProgramAssociationReference"
        ),
        [
            "studentCTEProgramAssociations",
            "studentHomelessProgramAssociations",
            "studentLanguageInstructionProgramAssociations",
            "studentMigrantEducationProgramAssociations",
            "studentNeglectedOrDelinquentProgramAssociations",
            "studentProgramAssociations",
            "studentSchoolFoodServiceProgramAssociations",
            "studentSpecialEducationProgramAssociations",
            "studentTitleIPartAProgramAssociations"
        ]
    );
}

/// Grades and what they refer to, cut down, with one descriptor.
fn grades() -> Value {
    let text = json!({"type": "string"});
    let year = json!({"type": "integer"});
    let refer = |name: &str| json!({"$ref": format!("#/definitions/edFi_{name}Reference")});
    let term = json!({"type": "string", "maxLength": 306});
    let get = |names: &[(&str, bool)]| {
        let parameter =
            |(name, identity): &(&str, bool)| json!({"in": "query", "name": name, "x-Ed-Fi-isIdentity": identity});
        json!({"parameters": names.iter().map(parameter).collect::<Vec<_>>()})
    };
    let post =
        |body: &str| json!({"parameters": [{"in": "body", "schema": {"$ref": format!("#/definitions/{body}")}}]});
    json!({
        "definitions": {
            "edFi_grade": {
                "required": ["periodReference", "sectionReference", "finalTermDescriptor"],
                "properties": {"lateReference": refer("period"), "periodReference": refer("period"),
                               "sectionReference": refer("section"), "finalTermDescriptor": term, "letter": text}},
            "edFi_period": {"properties": {"schoolId": year, "schoolYear": year}},
            "edFi_section": {"properties": {"name": text, "schoolId": year, "schoolYear": year}},
            "edFi_periodReference": {"required": ["schoolId", "schoolYear"], "properties": {"schoolYear": year, "schoolId": year}},
            "edFi_sectionReference": {"required": ["name", "schoolId", "schoolYear"],
                                      "properties": {"name": text, "schoolId": year, "schoolYear": year}},
            "edFi_termDescriptor": {"properties": {"namespace": text, "codeValue": text, "shortDescription": text}}
        },
        "paths": {
            "/ed-fi/grades": {"post": post("edFi_grade"), "get": get(&[
                ("periodSchoolYear", true), ("schoolYear", true), ("schoolId", true), ("name", true), ("letter", false), ("lateSchoolYear", false)])},
            "/ed-fi/periods": {"post": post("edFi_period"), "get": get(&[("schoolId", true), ("schoolYear", true)])},
            "/ed-fi/sections": {"post": post("edFi_section"), "get": get(&[("schoolId", true), ("schoolYear", true), ("name", true)])},
            "/ed-fi/termDescriptors": {"post": post("edFi_termDescriptor"), "get": get(&[])}
        }
    })
}

#[test]
fn a_role_tells_apart_what_would_have_the_same_name_and_the_rest_is_unified() {
    let model = Model::from_openapi([&grades()]).unwrap();
    assert_eq!(paths(&model, "/ed-fi/grades", "periodSchoolYear"), ["$.periodReference.schoolYear"]);
    assert_eq!(paths(&model, "/ed-fi/grades", "lateSchoolYear"), ["$.lateReference.schoolYear"]);
    assert_eq!(paths(&model, "/ed-fi/grades", "schoolYear"), ["$.sectionReference.schoolYear"]);
    assert_eq!(
        paths(&model, "/ed-fi/grades", "schoolId"),
        ["$.periodReference.schoolId", "$.sectionReference.schoolId", "$.lateReference.schoolId"],
        "those that every payload has come first"
    );
    assert_eq!(key(&model, "/ed-fi/grades"), ["name", "periodSchoolYear", "schoolId", "schoolYear"]);
}

#[test]
fn a_reference_knows_its_target_and_where_it_holds_each_part_of_the_key() {
    let model = Model::from_openapi([&grades()]).unwrap();
    let grade = model.get(&Resource::new("ed-fi", "grades")).unwrap();
    let period = grade.references().into_iter().find(|referral| referral.path == "$.periodReference").unwrap();
    assert!(period.required);
    assert_eq!(period.reference.targets, [Target { resource: Resource::new("ed-fi", "periods"), members: vec![1, 0] }]);
}

#[test]
fn a_descriptor_is_known_by_the_end_of_its_property_and_its_key_needs_no_marks() {
    let model = Model::from_openapi([&grades()]).unwrap();
    let grade = model.get(&Resource::new("ed-fi", "grades")).unwrap();
    let term = Resource::new("ed-fi", "termDescriptors");
    assert_eq!(grade.body.property("finalTermDescriptor").unwrap().kind, Kind::Descriptor(Some(term)));
    assert_eq!(key(&model, "/ed-fi/termDescriptors"), ["codeValue", "namespace"]);
}

#[test]
fn a_schema_that_is_missing_or_contains_itself_takes_only_the_resources_that_need_it_with_it() {
    for (broken, what) in [("edFi_none", "has no schema edFi_none"), ("edFi_period", "edFi_period contains itself")] {
        let mut document = grades();
        document["definitions"]["edFi_period"]["properties"]["more"] = json!({"$ref": format!("#/x/{broken}")});
        let model = Model::from_openapi([&document]).unwrap();
        let known = |name: &str| model.get(&Resource::new("ed-fi", name)).is_some();
        assert!(!known("periods") && known("grades") && known("sections") && known("termDescriptors"));
        let [(resource, fault)] = model.faults() else { panic!("{:?}", model.faults()) };
        assert_eq!(resource.to_string(), "ed-fi/periods");
        let named = ["the property more of the OpenAPI schema edFi_period", what];
        assert!(named.iter().all(|part| fault.contains(part)), "{fault}");
    }
    let mut document = grades();
    document["paths"]["/ed-fi/sections"]["post"] = json!({"parameters": []});
    let model = Model::from_openapi([&document]).unwrap();
    let sections = Resource::new("ed-fi", "sections");
    assert_eq!(model.fault(&sections), Some("the OpenAPI document does not tell what is posted"));
    assert_eq!(model.definitions().len(), 3);
}

#[test]
fn objects_within_objects_have_a_limit() {
    let nested = |deep: usize| {
        let schema = |n| format!("schema s{n}\n inner =s{}\n", n + 1);
        let text = (1..deep).map(schema).collect::<String>();
        let text = format!("{text}schema s{deep}\n last string\nresource ed-fi/nests s1\n get last!\n");
        Model::compile(&compact::read(&text).unwrap().0)
    };
    assert!(nested(DEEPEST).is_ok());
    let error = nested(100_000).unwrap_err().to_string();
    assert!(error.contains("nested too deeply"), "{error}");
}

/// A resource of this schema with one property, among these descriptors.
fn kind(schema: &str, property: Value, name: &str, descriptors: &[(&str, &str)]) -> Kind {
    let post =
        |body: &str| json!({"parameters": [{"in": "body", "schema": {"$ref": format!("#/definitions/{body}")}}]});
    let mut document = json!({
        "definitions": {(schema): {"properties": {(name): property}}},
        "paths": {"/ed-fi/visits": {"post": post(schema)}}
    });
    for (resource, body) in descriptors {
        document["definitions"][body] = json!({"properties": {"namespace": {"type": "string"}}});
        document["paths"][resource] = json!({"post": post(body)});
    }
    let model = Model::from_openapi([&document]).unwrap();
    model.get(&Resource::new("ed-fi", "visits")).unwrap().body.properties[0].kind.clone()
}

#[test]
fn a_descriptor_is_found_whatever_the_case_of_its_name_and_never_in_an_extension_of_the_core_model() {
    let term = json!({"type": "string", "maxLength": 306});
    let ratings = [
        ("/tpdm/rubricRatingLevelDescriptors", "tpdm_rubricRatingLevelDescriptor"),
        ("/ed-fi/ratingLevelDescriptors", "edFi_ratingLevelDescriptor"),
    ];
    let found = |schema: &str, name: &str, known: &[(&str, &str)]| match kind(schema, term.clone(), name, known) {
        Kind::Descriptor(resource) => resource.map(|resource| resource.to_string()),
        other => panic!("{other:?}"),
    };
    let rating = "evaluationRubricRatingLevelDescriptor";
    let is = |name: &str| Some(name.to_string());
    assert_eq!(found("edFi_evaluationRubricDimension", rating, &ratings), is("ed-fi/ratingLevelDescriptors"));
    assert_eq!(found("EdFi_EvaluationRubricDimension", rating, &ratings), is("ed-fi/ratingLevelDescriptors"));
    assert_eq!(found("tpdm_rubricDimension", rating, &ratings), is("tpdm/rubricRatingLevelDescriptors"));
    let services = [("/ed-fi/cteProgramServiceDescriptors", "EdFi_CTEProgramServiceDescriptor")];
    assert_eq!(found("EdFi_Visit", "cteProgramServiceDescriptor", &services), is("ed-fi/cteProgramServiceDescriptors"));
    let both = [("/tpdm/levelDescriptors", "tpdm_levelDescriptor"), ("/tx/levelDescriptors", "TX_LevelDescriptor")];
    assert_eq!(
        found("TX_Visit", "levelDescriptor", &both),
        is("tx/levelDescriptors"),
        "the own namespace's comes first"
    );
}

#[test]
fn only_an_integer_that_the_document_calls_one_of_32_bits_is() {
    for (format, bits) in [(json!("int32"), 32), (json!("int64"), 64), (Value::Null, 64), (json!("other"), 64)] {
        let integer = kind("edFi_visit", json!({"type": "integer", "format": format}), "total", &[]);
        assert_eq!(integer, Kind::Integer { bits, minimum: None, maximum: None });
    }
}

#[test]
fn in_no_genuine_document_a_rating_of_these_resources_is_of_an_extension() {
    for set in ["ds-5.0", "dms-2025-07"] {
        let files = ["resources", "descriptors"].map(|part| format!("{set}/{part}.openapi3.json"));
        let Some(model) = genuine(&files.each_ref().map(String::as_str)) else { return };
        for name in ["evaluationRubricDimensions", "studentProgramEvaluations"] {
            let definition = model.get(&Resource::new("ed-fi", name)).unwrap();
            let schemas = definition.schemas();
            let ratings = schemas.values().flat_map(|schema| &schema.properties);
            let ratings: Vec<_> = ratings.filter(|property| property.name.ends_with("RatingLevelDescriptor")).collect();
            assert!(!ratings.is_empty());
            for rating in ratings {
                let level = Resource::new("ed-fi", "ratingLevelDescriptors");
                assert_eq!(rating.kind, Kind::Descriptor(Some(level)), "{set} {}", rating.name);
            }
        }
        for definition in model.definitions() {
            for schema in definition.schemas().into_values() {
                for property in &schema.properties {
                    assert_ne!(property.kind, Kind::Descriptor(None), "{set} {} {}", schema.name, property.name);
                }
            }
        }
    }
}
