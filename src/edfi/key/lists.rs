//! Key unification inside lists: members of references in the items of a list that must equal a part of the resource's own key.
//!
//! At the top of a payload the names of parameters tell what the API unifies. For lists no document tells it: a cohort's programs may belong to
//! another organization than the cohort, but the class periods of a section are those of its school. So the resources of the core
//! model where the API unifies inside lists are named here. What it unifies there follows from the names: the member of a reference
//! without a role has the name of a part that references hold at the top. A part that is the resource's own scalar is not meant.

use super::NaturalKey;
use crate::model::{Kind, Schema, capitalised};
use crate::resource::Resource;

/// The resources of the core model whose lists the API unifies with the resource's own key.
const RESOURCES: [&str; 10] = [
    "bellSchedules",
    "disciplineActions",
    "objectiveAssessments",
    "reportCards",
    "sections",
    "sessions",
    "studentAcademicRecords",
    "studentAssessments",
    "studentCompetencyObjectives",
    "studentSectionAttendanceEvents",
];

/// The member of a reference in the items of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InList {
    /// The property at the top that holds the list.
    pub list: String,
    /// The property of an item that holds the reference.
    pub reference: String,
    /// The member.
    pub member: String,
    /// The part of the key that it must equal, by its position.
    pub part: usize,
}

/// What the API unifies with `key` in the lists of a resource's payloads.
pub fn in_lists(resource: &Resource, body: &Schema, key: &NaturalKey) -> Vec<InList> {
    if resource.namespace() != "ed-fi" || !RESOURCES.contains(&resource.name()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for list in &body.properties {
        let Kind::List(items) = &list.kind else { continue };
        let Kind::Object(item) = &**items else { continue };
        for property in &item.properties {
            let Kind::Reference(reference) = &property.kind else { continue };
            let role = property.name.strip_suffix("Reference").unwrap_or(&property.name);
            if capitalised(role) != reference.schema.entity() {
                continue;
            }
            for member in &reference.schema.properties {
                let is_held_by_references = |names: &[_]| names.len() > 1;
                let part = key.parts.iter().position(|part| {
                    part.name == member.name && part.paths.iter().all(|path| is_held_by_references(path.names()))
                });
                found.extend(part.map(|part| InList {
                    list: list.name.to_string(),
                    reference: property.name.to_string(),
                    member: member.name.to_string(),
                    part,
                }));
            }
        }
    }
    found
}
