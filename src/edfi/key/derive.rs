//! Compiles a resource's natural key from what documents say: which parts it has, and where payloads hold each.
//!
//! # Which parts
//!
//! A reference to a resource holds its whole key, so the members of the schema of such references are the parts, wherever documents have that
//! schema (`edFi_schoolReference`, `EdFi_School_Reference`). Else the parts are the parameters of the collection's GET that are marked
//! `x-Ed-Fi-isIdentity`, but for those that only members of optional references hold: a key has no optional part. On the ODS/API the marks
//! are always whole. The Data Management Service marks either too few or too many of them, so without a schema of references its marks
//! tell the key only of a resource that requires no reference.
//!
//! # Where payloads hold them
//!
//! A scalar has the part's name. The member of a reference has it too, unless the reference plays a role: then the role's words come before
//! it, all of them (`gradingPeriodReference.schoolYear`: `gradingPeriodSchoolYear`), or the first of them
//! (`balanceSheetDimensionReference.code`: `balanceSheetCode`; `responsibilitySchoolReference.schoolId`: `responsibilitySchoolId`). Where
//! several members share a part, the API unifies them: they must be equal. A reference to an item of the same resource that would have to
//! equal the resource's own key in every part is none of its places. The ODS/API lists every such name among the parameters of GET. The
//! Data Management Service does not, so there the member of a reference that plays a role is a part of its plain name only if the part
//! stands nowhere else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Comparison, NaturalKey, Origin, Part, Path};
use crate::model::{Endpoint, Form, Kind, Member, Source, capitalised, entity, without_reference};
use crate::resource::Resource;

/// The natural key of every descriptor. Documents of the ODS/API do not mark it.
const DESCRIPTOR_KEY: [&str; 2] = ["codeValue", "namespace"];

/// What was found out about a resource's key and parameters.
pub struct Derived {
    /// The parameters of its collection and the parts of its key, in the document's order, each with its places.
    pub parameters: Vec<(String, Vec<Path>)>,
    /// The key, or why it is not known, in words.
    pub key: Result<NaturalKey, String>,
    /// What the marks say if that differs from the key.
    pub disagreement: Option<String>,
}

/// Finds out the natural key of an endpoint, and where its payloads hold what its collection can be asked for.
pub fn derive(source: &Source, endpoint: &Endpoint) -> Derived {
    let marked: Vec<&str> =
        endpoint.parameters.iter().filter(|(_, marked)| *marked).map(|(name, _)| name.as_str()).collect();
    let body = Body::of(source, endpoint);
    let (mut names, origin) = match (endpoint.resource.is_descriptor(), own_reference(source, endpoint)) {
        (true, _) => (DESCRIPTOR_KEY.to_vec(), Origin::Descriptor),
        (false, Some(schema)) => {
            let members = source.schemas.get(schema).map(Vec::as_slice).unwrap_or_default();
            (members.iter().map(|member| member.name.as_str()).collect(), Origin::Reference)
        }
        (false, None) => (marked.clone(), Origin::Marks),
    };
    let mut parameters: Vec<&str> = match endpoint.resource.is_descriptor() {
        true => body.fields.iter().map(|field| field.name).collect(),
        false => endpoint.parameters.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let unlisted: Vec<&str> = names.iter().copied().filter(|name| !parameters.contains(name)).collect();
    parameters.extend(unlisted);
    let places = body.places(&parameters, &names);
    if origin == Origin::Marks {
        let is_optional = |name: &&str| of(&places, name).all(|place| place.is_in_optional_reference);
        names.retain(|name| of(&places, name).next().is_none() || !is_optional(name));
    }
    let key = known(names, origin, &body, &places);
    let disagreement = key.as_ref().ok().filter(|key| key.origin != Origin::Descriptor && differ(key, &marked));
    let disagreement = disagreement.map(|key| {
        let names = key.names().collect::<Vec<_>>().join(", ");
        let marked = if marked.is_empty() { "none".to_string() } else { marked.join(", ") };
        format!("the natural key of {} is {names}; the parameters marked as its parts are {marked}", endpoint.resource)
    });
    let parameter = |name: &&str| (name.to_string(), of(&places, name).map(|place| place.path.clone()).collect());
    Derived { parameters: parameters.iter().map(parameter).collect(), key, disagreement }
}

fn differ(key: &NaturalKey, marked: &[&str]) -> bool {
    key.parts.len() != marked.len() || key.names().any(|name| !marked.contains(&name))
}

/// The places of the parameter of that name.
fn of<'p, 's>(places: &'p [Place<'s>], name: &'p str) -> impl Iterator<Item = &'p Place<'s>> {
    places.iter().filter(move |place| place.name == name)
}

fn known(mut names: Vec<&str>, origin: Origin, body: &Body, places: &[Place]) -> Result<NaturalKey, String> {
    if names.is_empty() {
        return Err("the documents do not tell its natural key".into());
    }
    let requires = body.fields.iter().find(|field| field.required && field.reference().is_some());
    if let (Origin::Marks, false, Some(field)) = (origin, body.is_listed, requires) {
        return Err(format!(
            "the documents do not tell its natural key: they have no schema of references to it, and do not mark whether {} is a part",
            field.name
        ));
    }
    names.sort_unstable();
    names.dedup();
    let part = |name: &&str| {
        let mut places = of(places, name).peekable();
        let first = places.peek().ok_or_else(|| {
            format!("the documents do not tell where a payload holds {name}, a part of its natural key")
        })?;
        let comparison = Comparison::of(first.member, first.kind);
        let paths = places.map(|place| place.path.clone()).collect();
        Ok(Part { name: (*name).into(), comparison, paths })
    };
    Ok(NaturalKey { parts: names.iter().map(part).collect::<Result<_, String>>()?, origin })
}

/// The name of the schema of references to an endpoint's resource, if documents have one and list its members.
pub fn own_reference<'s>(source: &'s Source, endpoint: &Endpoint) -> Option<&'s str> {
    let prefix = endpoint.body.split_once('_').map_or("", |(prefix, _)| prefix);
    // The Data Management Service calls the body of a school year `EdFi_SchoolYear`, and a reference to it `EdFi_SchoolYearTypeReference`.
    let singular = capitalised(endpoint.resource.name().trim_end_matches('s'));
    let bodies = [endpoint.body.clone(), format!("{prefix}_{singular}")];
    let names = bodies.iter().flat_map(|body| [format!("{body}Reference"), format!("{body}_Reference")]);
    let mut known = names.filter_map(|name| source.schemas.get_key_value(&name));
    known.find(|(_, members)| !members.is_empty()).map(|(name, _)| name.as_str())
}

/// Whether documents list the members of references among the parameters of GET, and mark all parts of a key there. Those of the Data
/// Management Service, which call a reference `EdFi_School_Reference`, do not.
fn is_listed(source: &Source) -> bool {
    !source.schemas.keys().any(|name| name.ends_with("_Reference"))
}

/// `source` with members in those references that documents do not describe, as far as keys tell them: a part that stands nowhere else stands
/// in a required reference of which nothing else is known.
pub fn with_open_references(source: &Source) -> Cow<'_, Source> {
    let mut found: BTreeMap<&str, Vec<Member>> = BTreeMap::new();
    for endpoint in &source.endpoints {
        let Some(own) = own_reference(source, endpoint).and_then(|name| source.schemas.get(name)) else { continue };
        let body = Body::of(source, endpoint);
        let open = body.fields.iter().filter(|field| field.required).filter_map(Field::reference);
        let open: Vec<&str> = open.filter(|(_, members)| members.is_empty()).map(|(schema, _)| schema).collect();
        let names: Vec<&str> = own.iter().map(|member| member.name.as_str()).collect();
        let places = body.places(&names, &names);
        for member in own.iter().filter(|member| places.iter().all(|place| place.name != member.name)) {
            let Some(schema) = holder(&open, &member.name) else { continue };
            let members = found.entry(schema).or_default();
            if members.iter().all(|known| known.name != member.name) {
                members.push(Member { required: false, ..member.clone() });
            }
        }
    }
    if found.is_empty() {
        return Cow::Borrowed(source);
    }
    let mut source = source.clone();
    for (name, members) in found.into_iter().map(|(name, members)| (name.to_owned(), members)).collect::<Vec<_>>() {
        source.schemas.insert(name, members);
    }
    Cow::Owned(source)
}

/// Which of the references that documents do not describe holds a part: the only one, or the one whose name begins as the part's does.
fn holder<'o>(open: &[&'o str], part: &str) -> Option<&'o str> {
    let is_kin = |schema: &&&str| {
        let (entity, part) = (entity(schema), capitalised(part));
        part.starts_with(&entity) || entity.starts_with(&part)
    };
    match open {
        [only] => Some(only),
        several => {
            let mut kin = several.iter().filter(is_kin);
            kin.next().filter(|_| kin.next().is_none()).copied()
        }
    }
}

/// Members of references in the core model that have the name of a part although the API does not unify them with it. The ODS/API's
/// documents list a parameter of another name for each of them, those of the Data Management Service tell nothing.
const NOT_UNIFIED: [(&str, &str, &str); 6] = [
    ("interventionStudies", "interventionPrescriptionReference", "educationOrganizationId"),
    ("localAccounts", "chartOfAccountReference", "accountIdentifier"),
    ("localAccounts", "chartOfAccountReference", "educationOrganizationId"),
    ("restraintEvents", "disciplineIncidentReference", "schoolId"),
    ("sections", "locationReference", "schoolId"),
    ("studentInterventionAssociations", "cohortReference", "educationOrganizationId"),
];

/// Members of references that play a role in the core model and that the API unifies with the part of their name all the same.
const UNIFIED: [(&str, &str, &str); 3] = [
    ("objectiveAssessments", "parentObjectiveAssessmentReference", "assessmentIdentifier"),
    ("objectiveAssessments", "parentObjectiveAssessmentReference", "namespace"),
    (
        "staffEducationOrganizationAssignmentAssociations",
        "employmentStaffEducationOrganizationEmploymentAssociationReference",
        "staffUniqueId",
    ),
];

/// What a payload holds at its top.
struct Body<'s> {
    resource: &'s Resource,
    fields: Vec<Field<'s>>,
    /// The schema of references to the resource itself.
    own_reference: Option<&'s str>,
    is_listed: bool,
}

struct Field<'s> {
    name: &'s str,
    required: bool,
    holds: Holds<'s>,
}

enum Holds<'s> {
    Scalar(&'s Kind),
    /// A reference: the name of its schema, and its members.
    Reference(&'s str, &'s [Member]),
    Other,
}

impl<'s> Field<'s> {
    fn reference(&self) -> Option<(&'s str, &'s [Member])> {
        match self.holds {
            Holds::Reference(schema, members) => Some((schema, members)),
            _ => None,
        }
    }
}

/// A place that holds a parameter.
struct Place<'s> {
    name: String,
    /// The name of the property that holds it.
    member: &'s str,
    kind: &'s Kind,
    path: Path,
    required: bool,
    is_in_optional_reference: bool,
}

impl<'s> Place<'s> {
    /// The place of a scalar in a reference, under its own name.
    fn plain(field: &Field<'s>, member: &'s Member) -> Option<Place<'s>> {
        let Form::Scalar(kind) = &member.form else { return None };
        Some(Place {
            name: member.name.clone(),
            member: &member.name,
            kind,
            path: Path::new([field.name, &member.name]),
            required: field.required && member.required,
            is_in_optional_reference: !field.required,
        })
    }
}

impl<'s> Body<'s> {
    fn of(source: &'s Source, endpoint: &'s Endpoint) -> Body<'s> {
        let members = source.schemas.get(&endpoint.body).map(Vec::as_slice).unwrap_or_default();
        let field = |member: &'s Member| Field {
            name: &member.name,
            required: member.required,
            holds: match &member.form {
                Form::Scalar(kind) => Holds::Scalar(kind),
                Form::Named(schema) if member.name.ends_with("Reference") && schema.ends_with("Reference") => {
                    Holds::Reference(schema, source.schemas.get(schema).map(Vec::as_slice).unwrap_or_default())
                }
                _ => Holds::Other,
            },
        };
        let fields = members.iter().map(field).collect();
        Body {
            resource: &endpoint.resource,
            fields,
            own_reference: own_reference(source, endpoint),
            is_listed: is_listed(source),
        }
    }

    /// Whether the API unifies the member of a reference with the part of its name.
    fn unifies(&self, field: &Field, schema: &str, member: &str) -> bool {
        let is_plain = !plays_role(field.name, schema) && !self.is_in(&NOT_UNIFIED, field, member);
        self.is_listed || self.is_in(&UNIFIED, field, member) || is_plain
    }

    fn is_in(&self, table: &[(&str, &str, &str)], field: &Field, member: &str) -> bool {
        self.resource.namespace() == "ed-fi" && table.contains(&(self.resource.name(), field.name, member))
    }

    /// Every place of every one of these parameters, those first that every payload has.
    fn places(&self, parameters: &[&str], key: &[&str]) -> Vec<Place<'s>> {
        let mut places = Vec::new();
        let mut in_roles = Vec::new();
        for field in &self.fields {
            match field.holds {
                Holds::Scalar(kind) => places.push(Place {
                    name: field.name.to_owned(),
                    member: field.name,
                    kind,
                    path: Path::new([field.name]),
                    required: field.required,
                    is_in_optional_reference: false,
                }),
                Holds::Reference(schema, members) => {
                    let role = |member: &Member| in_role(field.name, &member.name, members, parameters);
                    let is_known =
                        |member: &Member| role(member).is_some() || self.is_in(&UNIFIED, field, &member.name);
                    if Some(schema) == self.own_reference && !members.iter().any(is_known) {
                        // A parent is another item, so that its key cannot be the item's own.
                        in_roles.extend(members.iter().filter_map(|member| Place::plain(field, member)));
                        continue;
                    }
                    for member in members {
                        let Some(place) = Place::plain(field, member) else { continue };
                        match role(member) {
                            Some(name) => places.push(Place { name, ..place }),
                            None if self.unifies(field, schema, &member.name) => places.push(place),
                            None => in_roles.push(place),
                        }
                    }
                }
                Holds::Other => {}
            }
        }
        for name in key.iter().filter(|name| !places.iter().any(|place| place.name == **name)).collect::<Vec<_>>() {
            let fits = |place: &Place| place.name == **name && !place.is_in_optional_reference;
            let fitting: Vec<usize> = (0..in_roles.len()).filter(|&at| fits(&in_roles[at])).collect();
            if let [at] = fitting[..] {
                places.push(in_roles.remove(at));
            }
        }
        places.sort_by_key(|place| !place.required);
        places
    }
}

/// Whether a reference of this name has a name of its own: `nextYearSchoolReference` to a `School`.
fn plays_role(property: &str, schema: &str) -> bool {
    capitalised(without_reference(property)) != entity(schema)
}

/// The parameter's name for the member of a reference that plays a role. A name that another member of the same reference has is not meant.
fn in_role(reference: &str, member: &str, members: &[Member], parameters: &[&str]) -> Option<String> {
    let role = reference.strip_suffix("Reference").unwrap_or(reference);
    let words = role.match_indices(|letter: char| letter.is_ascii_uppercase()).map(|(at, _)| at);
    let ends: Vec<usize> = words.chain([role.len()]).collect();
    let member = capitalised(member);
    let mut candidates = ends.iter().rev().map(|&end| format!("{}{member}", &role[..end]));
    candidates.find(|name| parameters.contains(&name.as_str()) && members.iter().all(|other| other.name != *name))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use serde_json::{Value, json};

    use super::*;
    use crate::model::Model;
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
        let parameter =
            |(name, marked): &(&str, bool)| json!({"in": "query", "name": name, "x-Ed-Fi-isIdentity": marked});
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
        for marks in [vec![("visitId", true)], vec![("visitId", true), ("schoolId", true), ("personId", true)], vec![]]
        {
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
            assert_eq!(model.faults(), [""; 0]);
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
}
