//! Resolves names: schemas to trees, references to the resources they refer to, parameters to places.

use std::sync::Arc;

use fxhash::{FxHashMap, FxHashSet};

use super::schema::{
    DESCRIPTOR_LENGTH, Kind, Property, Reference, Schema, Target, capitalised, entity, without_reference,
};
use super::source::{Endpoint, Form, Member, Source};
use super::{Definition, Model, Parameter};
use crate::edfi::key::{Derived, NaturalKey, Path, derive, own_reference, with_open_references};
use crate::error::{Error, Result};
use crate::resource::{Resource, namespace_key};

/// Objects within objects, the deepest of which a document may have. Genuine ones have five, and a hostile one would exhaust the stack.
const DEEPEST: usize = 64;

impl Model {
    /// Resolves every name of `source`. A schema that is named and not described, contains itself or is nested too deeply takes the
    /// resources that need it with it, and is among the model's faults. An error if documents describe resources, and none is left.
    pub fn compile(source: &Source) -> Result<Model> {
        let open = source.schemas.iter().filter(|(_, members)| members.is_empty()).map(|(name, _)| name.as_str());
        let open = open.collect();
        let source = &*with_open_references(source);
        let derived: Vec<Derived> = source.endpoints.iter().map(|endpoint| derive(source, endpoint)).collect();
        let mut compiler = Compiler::new(source, &derived, open);
        let mut definitions = Vec::with_capacity(source.endpoints.len());
        let (mut faults, mut disagreements) = (Vec::new(), Vec::new());
        for (endpoint, derived) in source.endpoints.iter().zip(&derived) {
            match compiler.definition(endpoint, derived) {
                Ok(definition) => {
                    definitions.push(definition);
                    disagreements.extend(derived.disagreement.clone());
                }
                Err(wrong) => faults.push(format!("{}: {wrong}", endpoint.resource)),
            }
        }
        if let (true, Some(fault)) = (definitions.is_empty(), faults.first()) {
            return Err(Error::api(format!("the OpenAPI documents describe no resource that can be read; {fault}")));
        }
        let by_resource = definitions.iter().enumerate().map(|(at, d)| (d.resource.clone(), at)).collect();
        Ok(Model { definitions, by_resource, faults, disagreements })
    }
}

struct Compiler<'s> {
    source: &'s Source,
    /// The schemas of which the document lists no members. Those that keys tell of an open reference are none of the document's.
    open: FxHashSet<&'s str>,
    /// The names of the parts of each endpoint's natural key; none if that is not known.
    keys: Vec<Vec<&'s str>>,
    /// The name of the schema of references to each endpoint's resource.
    own_references: Vec<Option<&'s str>>,
    /// By the entity that a descriptor's URI names, such as `TermDescriptor`, without its case.
    descriptors: FxHashMap<String, Vec<&'s Resource>>,
    schemas: FxHashMap<&'s str, Progress>,
    /// How many schemas are being compiled, each for the one before.
    depth: usize,
    references: FxHashMap<&'s str, Arc<Reference>>,
}

/// How far a schema is.
enum Progress {
    Begun,
    Done(Arc<Schema>),
    Broken(String),
}

impl<'s> Compiler<'s> {
    fn new(source: &'s Source, derived: &'s [Derived], open: FxHashSet<&'s str>) -> Compiler<'s> {
        let mut descriptors: FxHashMap<String, Vec<&Resource>> = FxHashMap::default();
        for endpoint in source.endpoints.iter().filter(|endpoint| endpoint.resource.is_descriptor()) {
            let entity = entity(&endpoint.body).to_lowercase();
            descriptors.entry(entity).or_default().push(&endpoint.resource);
        }
        let names = |derived: &'s Derived| derived.key.iter().flat_map(NaturalKey::names).collect();
        Compiler {
            source,
            open,
            keys: derived.iter().map(names).collect(),
            own_references: source.endpoints.iter().map(|endpoint| own_reference(source, endpoint)).collect(),
            descriptors,
            schemas: FxHashMap::default(),
            depth: 0,
            references: FxHashMap::default(),
        }
    }

    fn definition(&mut self, endpoint: &'s Endpoint, derived: &Derived) -> Result<Definition, String> {
        if endpoint.body.is_empty() {
            return Err("the OpenAPI document does not tell what is posted".into());
        }
        let body = self.schema(&endpoint.body)?;
        let own_reference = own_reference(self.source, endpoint).map(|name| self.schema(name)).transpose()?;
        let natural = derived.key.clone();
        let is_part = |name: &str| natural.iter().any(|key| key.names().any(|part| part == name));
        let parameter = |(name, paths): &(String, Vec<Path>)| Parameter {
            name: name.as_str().into(),
            identity: is_part(name),
            paths: paths.clone(),
        };
        let parameters = derived.parameters.iter().map(parameter).collect();
        let is_organization =
            self.is_organization(endpoint, &natural.iter().flat_map(|k| k.names()).collect::<Vec<_>>());
        Ok(Definition {
            resource: endpoint.resource.clone(),
            body,
            parameters,
            natural,
            own_reference,
            is_organization,
        })
    }

    fn schema(&mut self, name: &'s str) -> Result<Arc<Schema>, String> {
        match self.schemas.get(name) {
            Some(Progress::Done(schema)) => return Ok(schema.clone()),
            Some(Progress::Broken(wrong)) => return Err(wrong.clone()),
            Some(Progress::Begun) => return Err(format!("the OpenAPI schema {name} contains itself")),
            None => {}
        }
        let members = self.source.schemas.get(name);
        let members = members.ok_or_else(|| format!("the OpenAPI document has no schema {name}"))?;
        if self.depth == DEEPEST {
            return Err(format!("the OpenAPI schema {name} is nested too deeply, in {DEEPEST} others"));
        }
        self.schemas.insert(name, Progress::Begun);
        self.depth += 1;
        let properties = members.iter().map(|member| self.property(name, member)).collect::<Result<_, String>>();
        self.depth -= 1;
        match properties {
            Ok(properties) => {
                let schema = Arc::new(Schema { name: name.into(), properties, is_open: self.open.contains(name) });
                self.schemas.insert(name, Progress::Done(schema.clone()));
                Ok(schema)
            }
            Err(wrong) => {
                self.schemas.insert(name, Progress::Broken(wrong.clone()));
                Err(wrong)
            }
        }
    }

    fn property(&mut self, schema: &'s str, member: &'s Member) -> Result<Property, String> {
        let named = |wrong| format!("the property {} of the OpenAPI schema {schema} is broken: {wrong}", member.name);
        let broken = |wrong: String| if wrong.contains(" is broken: ") { wrong } else { named(wrong) };
        let kind = self.kind(schema, &member.name, &member.form).map_err(broken)?;
        let Member { name, required, nullable, identity, .. } = member;
        Ok(Property { name: name.as_str().into(), required: *required, nullable: *nullable, identity: *identity, kind })
    }

    fn kind(&mut self, schema: &str, property: &str, form: &'s Form) -> Result<Kind, String> {
        Ok(match form {
            Form::Scalar(Kind::Text { max_length: Some(DESCRIPTOR_LENGTH), .. })
                if property.ends_with("Descriptor") =>
            {
                Kind::Descriptor(self.descriptor(schema, property))
            }
            Form::Scalar(kind) => kind.clone(),
            Form::List(items) => Kind::List(Box::new(self.kind(schema, property, items)?)),
            Form::Named(schema) if property.ends_with("Reference") && schema.ends_with("Reference") => {
                Kind::Reference(self.reference(schema)?)
            }
            Form::Named(schema) => Kind::Object(self.schema(schema)?),
        })
    }

    /// A descriptor's property has the descriptor's name, behind the words of its role if it plays one:
    /// `stateOfIssueStateAbbreviationDescriptor` holds a `StateAbbreviationDescriptor`. Names match whatever their case. Of several
    /// descriptors of one name that of the schema's own namespace is meant. The core model never uses a descriptor of an extension, although
    /// one may have a name that the property ends with: `evaluationRubricRatingLevelDescriptor` holds a `RatingLevelDescriptor`.
    fn descriptor(&self, schema: &str, property: &str) -> Option<Resource> {
        let name = capitalised(property);
        let namespace = schema.split_once('_').map(|(prefix, _)| namespace_key(prefix)).unwrap_or_default();
        let words = name.match_indices(|letter: char| letter.is_ascii_uppercase()).map(|(at, _)| &name[at..]);
        let is_own = |resource: &&&Resource| namespace_key(resource.namespace()) == namespace;
        let known = |words: &str| {
            let known = self.descriptors.get(&words.to_lowercase())?;
            known.iter().find(is_own).or(known.first().filter(|_| namespace != CORE)).map(|&resource| resource.clone())
        };
        words.into_iter().find_map(known)
    }

    fn reference(&mut self, name: &'s str) -> Result<Arc<Reference>, String> {
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
        let endpoints = || self.source.endpoints.iter().enumerate();
        let is_named = |at: usize, endpoint: &Endpoint| {
            endpoint.body == body || self.own_references[at].is_some_and(|own| *own == *reference.name)
        };
        let named = endpoints().filter(|&(at, endpoint)| is_named(at, endpoint));
        let named: Vec<Target> = named.filter_map(|(at, endpoint)| self.target(at, endpoint, reference)).collect();
        if !named.is_empty() {
            return named;
        }
        let extending = endpoints().filter(|&(at, endpoint)| self.extends(at, endpoint, reference));
        extending.filter_map(|(at, endpoint)| self.target(at, endpoint, reference)).collect()
    }

    /// Documents do not tell what extends what. Of the two abstract resources that are referred to, a student's association with a
    /// program keeps the natural key of what it extends, and an education organization, whose key each renames
    /// (`schoolId`, `localEducationAgencyId`), is what has a name of an institution and a single number for a key.
    fn extends(&self, at: usize, endpoint: &Endpoint, reference: &Schema) -> bool {
        let key = &self.keys[at];
        match reference.entity().as_str() {
            "EducationOrganization" => self.is_organization(endpoint, key),
            _ => key.len() == reference.properties.len() && key.iter().all(|name| reference.property(name).is_some()),
        }
    }

    /// Whether an endpoint's payloads are education organizations.
    fn is_organization(&self, endpoint: &Endpoint, key: &[&str]) -> bool {
        let members = self.source.schemas.get(&endpoint.body);
        key.len() == 1 && members.is_some_and(|all| all.iter().any(|member| member.name == "nameOfInstitution"))
    }

    /// `None` if the reference does not hold the whole natural key.
    fn target(&self, at: usize, endpoint: &Endpoint, reference: &Schema) -> Option<Target> {
        let members = match (&self.keys[at][..], &reference.properties[..]) {
            ([], _) => return None,
            ([_], [_]) => vec![0],
            (key, members) => {
                key.iter().map(|name| members.iter().position(|m| *m.name == **name)).collect::<Option<_>>()?
            }
        };
        Some(Target { resource: endpoint.resource.clone(), members })
    }
}

/// The prefix of the core model's schemas, without its case.
const CORE: &str = "edfi";

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
        assert_eq!(key(&model, "/ed-fi/grades"), ["name", "periodSchoolYear", "schoolId", "schoolYear"]);
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
        assert_eq!(key(&model, "/ed-fi/termDescriptors"), ["codeValue", "namespace"]);
    }

    #[test]
    fn a_schema_that_is_missing_or_contains_itself_takes_only_the_resources_that_need_it_with_it() {
        for (broken, what) in [("edFi_none", "has no schema edFi_none"), ("edFi_period", "edFi_period contains itself")]
        {
            let mut document = grades();
            document["definitions"]["edFi_period"]["properties"]["more"] = json!({"$ref": format!("#/x/{broken}")});
            let model = Model::from_openapi([&document]).unwrap();
            let known = |name: &str| model.get(&Resource::new("ed-fi", name)).is_some();
            assert!(!known("periods") && known("grades") && known("sections") && known("termDescriptors"));
            let [fault] = model.faults() else { panic!("{:?}", model.faults()) };
            let named = ["ed-fi/periods", "the property more of the OpenAPI schema edFi_period", what];
            assert!(named.iter().all(|part| fault.contains(part)), "{fault}");
        }
        let mut document = grades();
        document["paths"]["/ed-fi/sections"]["post"] = json!({"parameters": []});
        let model = Model::from_openapi([&document]).unwrap();
        assert_eq!(model.faults(), ["ed-fi/sections: the OpenAPI document does not tell what is posted"]);
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
}
