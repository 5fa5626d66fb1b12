//! Resolves names: schemas to trees, references to the resources they refer to, parameters to places.

use std::sync::Arc;

use fxhash::FxHashMap;

use super::key::parameters;
use super::schema::{DESCRIPTOR_LENGTH, Kind, Property, Reference, Schema, Target, capitalised, without_reference};
use super::source::{Endpoint, Form, Member, Source};
use super::{Definition, Model};
use crate::error::{Error, Result};
use crate::resource::{Resource, namespace_key};

/// Objects within objects, the deepest of which a document may have. Genuine ones have five, and a hostile one would exhaust the stack.
const DEEPEST: usize = 64;

/// The natural key of every descriptor. Documents of the ODS/API do not mark it.
const DESCRIPTOR_KEY: [&str; 2] = ["namespace", "codeValue"];

impl Model {
    /// Resolves every name of `source`. An error if a schema is named and not described, contains itself, or is nested too deeply.
    pub fn compile(source: &Source) -> Result<Model> {
        let mut compiler = Compiler::new(source);
        let mut model =
            Model { definitions: Vec::with_capacity(source.endpoints.len()), by_resource: Default::default() };
        for endpoint in &source.endpoints {
            let body = compiler.schema(&endpoint.body)?;
            let names = match endpoint.resource.is_descriptor() {
                true => body.properties.iter().map(|p| (&*p.name, DESCRIPTOR_KEY.contains(&&*p.name))).collect(),
                false => {
                    endpoint.parameters.iter().map(|(name, identity)| (name.as_str(), *identity)).collect::<Vec<_>>()
                }
            };
            let parameters = parameters(&names, &body);
            model.by_resource.insert(endpoint.resource.clone(), model.definitions.len());
            model.definitions.push(Definition { resource: endpoint.resource.clone(), body, parameters });
        }
        Ok(model)
    }
}

struct Compiler<'s> {
    source: &'s Source,
    /// By the entity that a descriptor's URI names, such as `TermDescriptor`; several namespaces may have it.
    descriptors: FxHashMap<String, Vec<&'s Resource>>,
    /// `None` while being compiled.
    schemas: FxHashMap<&'s str, Option<Arc<Schema>>>,
    /// How many schemas are being compiled, each for the one before.
    depth: usize,
    references: FxHashMap<&'s str, Arc<Reference>>,
}

impl<'s> Compiler<'s> {
    fn new(source: &'s Source) -> Compiler<'s> {
        let mut descriptors: FxHashMap<String, Vec<&'s Resource>> = FxHashMap::default();
        for endpoint in source.endpoints.iter().filter(|endpoint| endpoint.resource.is_descriptor()) {
            let schema = Schema { name: endpoint.body.as_str().into(), properties: Vec::new() };
            descriptors.entry(schema.entity()).or_default().push(&endpoint.resource);
        }
        let (schemas, references) = Default::default();
        Compiler { source, descriptors, schemas, depth: 0, references }
    }

    fn schema(&mut self, name: &'s str) -> Result<Arc<Schema>> {
        match self.schemas.get(name) {
            Some(Some(schema)) => return Ok(schema.clone()),
            Some(None) => return Err(Error::api(format!("the OpenAPI schema {name} contains itself"))),
            None => {}
        }
        let members = self.source.schemas.get(name);
        let members = members.ok_or_else(|| Error::api(format!("the OpenAPI document has no schema {name}")))?;
        if self.depth == DEEPEST {
            return Err(Error::api(format!("the OpenAPI schema {name} is nested too deeply, in {DEEPEST} others")));
        }
        self.schemas.insert(name, None);
        self.depth += 1;
        let properties = members.iter().map(|member| self.property(name, member)).collect::<Result<_>>()?;
        self.depth -= 1;
        let schema = Arc::new(Schema { name: name.into(), properties });
        self.schemas.insert(name, Some(schema.clone()));
        Ok(schema)
    }

    fn property(&mut self, schema: &str, member: &'s Member) -> Result<Property> {
        let kind = self.kind(schema, &member.name, &member.form)?;
        let Member { name, required, nullable, identity, .. } = member;
        Ok(Property { name: name.as_str().into(), required: *required, nullable: *nullable, identity: *identity, kind })
    }

    fn kind(&mut self, within: &str, property: &str, form: &'s Form) -> Result<Kind> {
        Ok(match form {
            Form::Scalar(Kind::Text { max_length: Some(DESCRIPTOR_LENGTH), .. })
                if property.ends_with("Descriptor") =>
            {
                Kind::Descriptor(self.descriptor(within, property))
            }
            Form::Scalar(kind) => kind.clone(),
            Form::List(items) => Kind::List(Box::new(self.kind(within, property, items)?)),
            Form::Named(schema) if property.ends_with("Reference") && schema.ends_with("Reference") => {
                Kind::Reference(self.reference(schema)?)
            }
            Form::Named(schema) => Kind::Object(self.schema(schema)?),
        })
    }

    /// A descriptor's property has the descriptor's name, behind the words of its role if it plays one:
    /// `stateOfIssueStateAbbreviationDescriptor` holds a `StateAbbreviationDescriptor`. Of several, documents do not tell which one: that
    /// of the schema's own namespace is taken, else the first.
    fn descriptor(&self, schema: &str, property: &str) -> Option<Resource> {
        let name = capitalised(property);
        let words = name.match_indices(|letter: char| letter.is_ascii_uppercase()).map(|(at, _)| &name[at..]);
        let same = words.into_iter().find_map(|words| self.descriptors.get(words))?;
        let own = namespace_key(schema.split('_').next().unwrap_or_default());
        let is_own = |resource: &&&Resource| namespace_key(resource.namespace()) == own;
        same.iter().find(is_own).or(same.first()).map(|&resource| resource.clone())
    }

    fn reference(&mut self, name: &'s str) -> Result<Arc<Reference>> {
        if let Some(reference) = self.references.get(name) {
            return Ok(reference.clone());
        }
        let schema = self.schema(name)?;
        let targets = self.targets(&schema);
        let reference = Arc::new(Reference { schema, targets });
        self.references.insert(name, reference.clone());
        Ok(reference)
    }

    /// The resource whose body has the reference's name; else those that extend the abstract resource of that name.
    fn targets(&self, reference: &Schema) -> Vec<Target> {
        let body = without_reference(&reference.name);
        let named: Vec<Target> =
            self.source.endpoints.iter().filter(|e| e.body == body).filter_map(|e| target(e, reference)).collect();
        match named.is_empty() {
            true => self
                .source
                .endpoints
                .iter()
                .filter(|e| self.extends(e, reference))
                .filter_map(|e| target(e, reference))
                .collect(),
            false => named,
        }
    }

    /// Documents do not tell what extends what. Of the two abstract resources that are referred to, a student's association with a
    /// program keeps the natural key of what it extends, and an education organization, whose key each renames
    /// (`schoolId`, `localEducationAgencyId`), is what has a name of an institution and a single number for a key.
    fn extends(&self, endpoint: &Endpoint, reference: &Schema) -> bool {
        let key = key_names(endpoint);
        match reference.entity().as_str() {
            "EducationOrganization" => {
                let members = self.source.schemas.get(&endpoint.body);
                key.len() == 1 && members.is_some_and(|all| all.iter().any(|member| member.name == "nameOfInstitution"))
            }
            _ => key.len() == reference.properties.len() && key.iter().all(|name| reference.property(name).is_some()),
        }
    }
}

/// `None` if the reference does not hold the whole natural key.
fn target(endpoint: &Endpoint, reference: &Schema) -> Option<Target> {
    let key = key_names(endpoint);
    let members = match (key.as_slice(), reference.properties.as_slice()) {
        ([_], [_]) => vec![0],
        (key, members) => {
            key.iter().map(|name| members.iter().position(|m| &*m.name == *name)).collect::<Option<_>>()?
        }
    };
    Some(Target { resource: endpoint.resource.clone(), members })
}

fn key_names(endpoint: &Endpoint) -> Vec<&str> {
    match endpoint.resource.is_descriptor() {
        true => DESCRIPTOR_KEY.to_vec(),
        false => endpoint.parameters.iter().filter(|(_, identity)| *identity).map(|(name, _)| name.as_str()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::super::compact;
    use super::*;

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
        assert_eq!(
            paths(&model, "/ed-fi/chartOfAccounts", "balanceSheetCode"),
            ["$.balanceSheetDimensionReference.code"]
        );
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
        assert_eq!(key(&model, "/ed-fi/grades"), ["periodSchoolYear", "schoolYear", "schoolId", "name"]);
    }

    #[test]
    fn a_reference_knows_its_target_and_where_it_holds_each_part_of_the_key() {
        let model = Model::from_openapi([&grades()]).unwrap();
        let grade = model.get(&Resource::new("ed-fi", "grades")).unwrap();
        let period = grade.references().into_iter().find(|referral| referral.path == "$.periodReference").unwrap();
        assert!(period.required);
        assert_eq!(
            period.reference.targets,
            [Target { resource: Resource::new("ed-fi", "periods"), members: vec![1, 0] }]
        );
    }

    #[test]
    fn a_descriptor_is_known_by_the_end_of_its_property_and_its_key_needs_no_marks() {
        let model = Model::from_openapi([&grades()]).unwrap();
        let grade = model.get(&Resource::new("ed-fi", "grades")).unwrap();
        let term = Resource::new("ed-fi", "termDescriptors");
        assert_eq!(grade.body.property("finalTermDescriptor").unwrap().kind, Kind::Descriptor(Some(term)));
        assert_eq!(key(&model, "/ed-fi/termDescriptors"), ["namespace", "codeValue"]);
    }

    #[test]
    fn a_schema_that_is_missing_or_contains_itself_is_an_error() {
        for properties in [json!({"more": {"$ref": "#/x/edFi_period"}}), json!({"more": {"$ref": "#/x/edFi_none"}})] {
            let mut document = grades();
            document["definitions"]["edFi_period"]["properties"] = properties;
            assert!(Model::from_openapi([&document]).is_err());
        }
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
}
