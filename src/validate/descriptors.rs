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
    /// Whether the API told of its values. Else nothing can be said of a namespace of which the load itself has no value.
    whole: bool,
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
    /// From what the API told, if it did, and the descriptors of the load. An API that has no values at all is one that was never filled, such
    /// as a sandbox: it is taken for one that told nothing.
    pub fn new(api: Option<Values>, plan: &Plan) -> Known {
        let mut values = api.unwrap_or_default();
        let whole = values.count() > 0;
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
        Known { values, whole, own }
    }

    /// Whether the API told of its values.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// What to tell of a value that is not known; `None` if it is, or if nothing can be said of it.
    pub fn fault(&self, descriptor: &Resource, uri: &str) -> Option<String> {
        if self.values.has(descriptor, uri)? {
            return None;
        }
        let namespace = uri.split_once('#').map_or(uri, |(namespace, _)| namespace).to_lowercase();
        if !self.whole && !self.own.contains(&(descriptor.clone(), namespace)) {
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
        assert!(known.is_whole());
        assert_eq!(known.fault(&terms(), FALL), None);
        assert_eq!(
            known.fault(&terms(), "uri://x/TermDescriptor#Y").as_deref(),
            Some("uri://x/TermDescriptor#Y is not known")
        );
        assert_eq!(known.fault(&Resource::new("ed-fi", "sexDescriptors"), "uri://x/SexDescriptor#Y"), None);
    }

    #[test]
    fn an_api_without_any_values_tells_nothing() {
        let mut empty = Values::default();
        empty.add(&terms(), [""; 0]);
        let known = Known::new(Some(empty), &Plan::default());
        assert_eq!((known.is_whole(), known.fault(&terms(), FALL)), (false, None));
    }
}
