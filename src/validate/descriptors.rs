//! Which values descriptors have: those of the load's own files, and those of the API.

use std::collections::BTreeSet;

use fxhash::FxHashSet;
use serde::Deserialize;

use crate::model::{Definition, Kind, Schema, Values};
use crate::plan::Plan;
use crate::resource::Resource;
use crate::source::{Blocks, Piece};

/// What is known of the values of descriptors.
pub struct Known {
    values: Values,
    /// The descriptors of which the API told its values. Of others nothing can be said of a namespace of which the load itself has no value.
    told: FxHashSet<Resource>,
    /// The descriptors and namespaces that the load's own files have values of.
    own: FxHashSet<(Resource, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    namespace: String,
    code_value: String,
}

impl Known {
    /// From what the API told, if it did, and the descriptors of the load.
    pub fn new(api: Option<Values>, plan: &Plan) -> Known {
        let mut values = api.unwrap_or_default();
        let told = values.descriptors().cloned().collect();
        let mut own = FxHashSet::default();
        for job in plan.jobs().filter(|job| job.turn.resource.is_descriptor()) {
            let resource = &job.turn.resource;
            for piece in Blocks::new(job.files.iter().map(|file| (0, file.clone())).collect()) {
                let Piece::Lines(block) = piece else { continue };
                let records = block.lines().filter_map(|(_, range)| serde_json::from_slice(&block.bytes[range]).ok());
                for Record { namespace, code_value } in records {
                    values.add(resource, [format!("{namespace}#{code_value}")]);
                    own.insert((resource.clone(), namespace.to_lowercase()));
                }
            }
        }
        Known { values, told, own }
    }

    /// Whether the API told of the values of any descriptor.
    pub fn is_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// Whether the API has no values of a descriptor, and the load neither. A real API has its descriptors before anybody sends; where it has
    /// none, they are not there yet, and nothing can be said of any value. The sandbox goes by the same rule.
    pub fn has_no_values(&self, descriptor: &Resource) -> bool {
        self.told.contains(descriptor) && self.values.of(descriptor).next().is_none()
    }

    /// What to tell of a value that is not known; `None` if it is, or if nothing can be said of it.
    pub fn fault(&self, descriptor: &Resource, uri: &str) -> Option<String> {
        if self.values.has(descriptor, uri)? || self.has_no_values(descriptor) {
            return None;
        }
        let namespace = uri.split_once('#').map_or(uri, |(namespace, _)| namespace).to_lowercase();
        if !self.told.contains(descriptor) && !self.own.contains(&(descriptor.clone(), namespace)) {
            return None;
        }
        let hint = self.values.nearest(descriptor, uri);
        let hint = hint.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        Some(format!("{uri} is not known{hint}"))
    }
}

/// The descriptors that payloads of these definitions may mention.
pub fn mentioned<'m>(definitions: impl IntoIterator<Item = &'m Definition>) -> BTreeSet<&'m Resource> {
    fn within<'m>(kind: &'m Kind, found: &mut BTreeSet<&'m Resource>) {
        match kind {
            Kind::Descriptor(Some(resource)) => drop(found.insert(resource)),
            Kind::List(items) => within(items, found),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for definition in definitions {
        let of_schema = |schema: &&'m Schema| schema.properties.iter();
        definition.schemas().values().flat_map(of_schema).for_each(|property| within(&property.kind, &mut found));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FALL: &str = "uri://ed-fi.org/TermDescriptor#Fall";

    fn terms() -> Resource {
        Resource::new("ed-fi", "termDescriptors")
    }

    #[test]
    fn what_the_api_told_is_all_there_is_and_of_other_descriptors_nothing_is_known() {
        let mut values = Values::default();
        values.add(&terms(), [FALL]);
        let known = Known::new(Some(values), &Plan::default());
        assert!(known.is_told());
        assert_eq!(known.fault(&terms(), FALL), None);
        assert_eq!(
            known.fault(&terms(), "uri://x/TermDescriptor#Y").as_deref(),
            Some("uri://x/TermDescriptor#Y is not known")
        );
        assert_eq!(known.fault(&Resource::new("ed-fi", "sexDescriptors"), "uri://x/SexDescriptor#Y"), None);
    }

    #[test]
    fn nothing_is_said_of_a_descriptor_of_which_the_api_has_no_values() {
        let mut values = Values::default();
        values.add(&terms(), [""; 0]);
        values.add(&Resource::new("ed-fi", "sexDescriptors"), ["uri://ed-fi.org/SexDescriptor#Female"]);
        let known = Known::new(Some(values), &Plan::default());
        assert_eq!((known.has_no_values(&terms()), known.fault(&terms(), FALL)), (true, None));
        assert!(!known.has_no_values(&Resource::new("ed-fi", "sexDescriptors")));
        assert!(!known.has_no_values(&Resource::new("ed-fi", "otherDescriptors")), "of these it told nothing");
    }
}
