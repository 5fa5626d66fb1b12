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
    /// The descriptors of which the API told whether it has values.
    told: FxHashSet<Resource>,
    /// Those of which it has values that are not the load's own: then it has all that it will ever have.
    filled: FxHashSet<Resource>,
    /// The descriptors and namespaces that the load's own files have values of.
    own: FxHashSet<(Resource, String)>,
}

/// What is to be said of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It exists, or nothing was told of it.
    Fine,
    /// It does not exist; the text says so.
    Fault(String),
    /// The API has no values of that descriptor to hold it against.
    NotChecked,
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
        let (mut loaded, mut own) = (Values::default(), FxHashSet::default());
        for job in plan.jobs().filter(|job| job.turn.resource.is_descriptor()) {
            let resource = &job.turn.resource;
            for piece in Blocks::new(job.files.iter().map(|file| (0, file.clone())).collect()) {
                let Piece::Lines(block) = piece else { continue };
                let records = block.lines().filter_map(|(_, range)| serde_json::from_slice(&block.bytes[range]).ok());
                for Record { namespace, code_value } in records {
                    loaded.add(resource, [format!("{namespace}#{code_value}")]);
                    own.insert((resource.clone(), namespace.to_lowercase()));
                }
            }
        }
        let told: FxHashSet<Resource> = values.descriptors().cloned().collect();
        let is_filled = |d: &&Resource| values.of(d).any(|uri| loaded.has(d, uri) != Some(true));
        let filled = told.iter().filter(is_filled).cloned().collect();
        loaded.descriptors().for_each(|descriptor| values.add(descriptor, loaded.of(descriptor)));
        Known { values, told, filled, own }
    }

    /// Whether the API told of the values of any descriptor.
    pub fn is_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// What is to be said of a value. A real API has its descriptors before anybody sends. Where it has none but the load's own, such as a
    /// sandbox, the others are not there yet, and only namespaces of the load's own can be checked. The sandbox goes by the same rule, and so
    /// both say the same before a load was sent and after it.
    pub fn verdict(&self, descriptor: &Resource, uri: &str) -> Verdict {
        if self.values.has(descriptor, uri) == Some(true) {
            return Verdict::Fine;
        }
        let namespace = uri.split_once('#').map_or(uri, |(namespace, _)| namespace).to_lowercase();
        if !self.filled.contains(descriptor) && !self.own.contains(&(descriptor.clone(), namespace)) {
            return if self.told.contains(descriptor) { Verdict::NotChecked } else { Verdict::Fine };
        }
        let hint = self.values.nearest(descriptor, uri);
        let hint = hint.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        Verdict::Fault(format!("{uri} is not known{hint}"))
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
        assert_eq!(known.verdict(&terms(), FALL), Verdict::Fine);
        let unknown = Verdict::Fault("uri://x/TermDescriptor#Y is not known".into());
        assert_eq!(known.verdict(&terms(), "uri://x/TermDescriptor#Y"), unknown);
        assert_eq!(known.verdict(&Resource::new("ed-fi", "sexDescriptors"), "uri://x/SexDescriptor#Y"), Verdict::Fine);
    }

    #[test]
    fn a_descriptor_of_which_the_api_has_no_values_is_not_checked() {
        let mut values = Values::default();
        values.add(&terms(), [""; 0]);
        values.add(&Resource::new("ed-fi", "sexDescriptors"), ["uri://ed-fi.org/SexDescriptor#Female"]);
        let known = Known::new(Some(values), &Plan::default());
        assert_eq!(known.verdict(&terms(), FALL), Verdict::NotChecked);
        let of_other = known.verdict(&Resource::new("ed-fi", "sexDescriptors"), "uri://ed-fi.org/SexDescriptor#F");
        assert!(matches!(of_other, Verdict::Fault(_)));
    }
}
