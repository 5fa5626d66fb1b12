//! Where payloads hold the parts of a key and what else a collection can be asked for.
//!
//! A scalar has the part's name. The member of a reference has it too, unless the reference plays a role: then the role's words come before
//! it, all of them (`gradingPeriodReference.schoolYear`: `gradingPeriodSchoolYear`), or the first of them
//! (`balanceSheetDimensionReference.code`: `balanceSheetCode`; `responsibilitySchoolReference.schoolId`: `responsibilitySchoolId`). Where
//! several members share a part, the API unifies them: they must be equal. A reference to an item of the same resource that would have to
//! equal the resource's own key in every part is none of its places. The ODS/API lists every such name among the parameters of GET. The
//! Data Management Service does not, so there the member of a reference that plays a role is a part of its plain name only if the part
//! stands nowhere else.

use super::Path;
use crate::model::{Endpoint, Form, Kind, Member, Source, capitalised, entity, without_reference};
use crate::resource::Resource;

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
pub(super) struct Body<'s> {
    resource: &'s Resource,
    pub fields: Vec<Field<'s>>,
    /// The schema of references to the resource itself.
    own_reference: Option<&'s str>,
    pub is_listed: bool,
}

pub(super) struct Field<'s> {
    pub name: &'s str,
    pub required: bool,
    holds: Holds<'s>,
}

pub(super) enum Holds<'s> {
    Scalar(&'s Kind),
    /// A reference: the name of its schema, and its members.
    Reference(&'s str, &'s [Member]),
    Other,
}

impl<'s> Field<'s> {
    pub(super) fn reference(&self) -> Option<(&'s str, &'s [Member])> {
        match self.holds {
            Holds::Reference(schema, members) => Some((schema, members)),
            _ => None,
        }
    }
}

/// A place that holds a parameter.
pub(super) struct Place<'s> {
    pub name: &'s str,
    /// The reference that holds it, if one does.
    reference: Option<&'s str>,
    /// The name of the property that holds it.
    pub member: &'s str,
    pub kind: &'s Kind,
    required: bool,
    pub is_in_optional_reference: bool,
}

impl<'s> Place<'s> {
    /// The place of a scalar in a reference, under its own name.
    fn plain(field: &Field<'s>, member: &'s Member) -> Option<Place<'s>> {
        let Form::Scalar(kind) = &member.form else { return None };
        Some(Place {
            name: &member.name,
            reference: Some(field.name),
            member: &member.name,
            kind,
            required: field.required && member.required,
            is_in_optional_reference: !field.required,
        })
    }

    pub(super) fn path(&self) -> Path {
        Path::new(self.reference.into_iter().chain([self.member]))
    }
}

impl<'s> Body<'s> {
    pub(super) fn of(
        source: &'s Source,
        endpoint: &'s Endpoint,
        own_reference: Option<&'s str>,
        is_listed: bool,
    ) -> Body<'s> {
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
        Body { resource: &endpoint.resource, fields, own_reference, is_listed }
    }

    /// Whether the API unifies the member of a reference with the part of its name.
    fn unifies(&self, field: &Field, schema: &str, member: &str) -> bool {
        let is_plain = || !plays_role(field.name, schema) && !self.is_in(&NOT_UNIFIED, field, member);
        self.is_listed || self.is_in(&UNIFIED, field, member) || is_plain()
    }

    fn is_in(&self, table: &[(&str, &str, &str)], field: &Field, member: &str) -> bool {
        self.resource.namespace() == "ed-fi" && table.contains(&(self.resource.name(), field.name, member))
    }

    /// Every place of every one of these parameters, those first that every payload has.
    pub(super) fn places(&self, parameters: &[&'s str], key: &[&str]) -> Vec<Place<'s>> {
        let mut places = Vec::new();
        let mut in_roles = Vec::new();
        for field in &self.fields {
            match field.holds {
                Holds::Scalar(kind) => places.push(Place {
                    name: field.name,
                    reference: None,
                    member: field.name,
                    kind,
                    required: field.required,
                    is_in_optional_reference: false,
                }),
                Holds::Reference(schema, members) => {
                    let role = Role::of(field.name, parameters);
                    let role = |member: &Member| role.parameter(&member.name, members);
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
            let fits = |place: &Place| place.name == *name && !place.is_in_optional_reference;
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

/// The words of a reference's role, and the parameters that begin as it does.
struct Role<'r, 's> {
    name: &'r str,
    /// Where its words end.
    ends: Vec<usize>,
    kin: Vec<&'s str>,
}

impl<'r, 's> Role<'r, 's> {
    fn of(reference: &'r str, parameters: &[&'s str]) -> Role<'r, 's> {
        let name = reference.strip_suffix("Reference").unwrap_or(reference);
        let words = name.match_indices(|letter: char| letter.is_ascii_uppercase()).map(|(at, _)| at);
        let ends: Vec<usize> = words.chain([name.len()]).collect();
        let first = &name[..ends[0]];
        Role { name, ends, kin: parameters.iter().copied().filter(|name| name.starts_with(first)).collect() }
    }

    /// The parameter's name for a member of the reference behind words of the role. A name that another member of the reference has is
    /// not meant.
    fn parameter(&self, member: &str, members: &[Member]) -> Option<&'s str> {
        if self.kin.is_empty() {
            return None;
        }
        let member = capitalised(member);
        let is_of = |name: &str, end: usize| name.strip_prefix(&self.name[..end]) == Some(member.as_str());
        let named = |&end: &usize| self.kin.iter().copied().find(|name| is_of(name, end));
        let mut candidates = self.ends.iter().rev().filter_map(named);
        candidates.find(|name| members.iter().all(|other| other.name != *name))
    }
}

/// Whether documents list the members of references among the parameters of GET, and mark all parts of a key there. Those of the Data
/// Management Service, which call a reference `EdFi_School_Reference`, do not.
pub fn is_listed(source: &Source) -> bool {
    !source.schemas.keys().any(|name| name.ends_with("_Reference"))
}
