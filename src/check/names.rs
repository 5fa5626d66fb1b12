//! The names of properties: which member of an object each is, and what to say of one that the API does not know.

use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Visitor};

use super::compile::Object;
use super::notes::{self, Fault, Hint, Notes, Place, Rule};
use super::spot::SHOWN;
use crate::model::openapi::SERVER_MADE;
use crate::nearest::nearest;
use crate::text::shortened;

/// A property's name about to be read.
pub(super) struct Name<'n, 'c> {
    pub notes: &'n mut Notes<'c>,
    pub object: &'c Object,
    pub place: Place,
    /// The member that comes if the payload is ordered as the schema is.
    pub expected: usize,
}

pub(super) enum Found {
    Member(usize),
    /// The `id` of the whole payload.
    Id,
    /// The API does not take it.
    Dropped,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property")
    }

    fn visit_str<E>(self, name: &str) -> Result<Found, E> {
        let Name { notes, object, place, expected } = self;
        let as_expected = object.members.get(expected).is_some_and(|member| *member.name == *name);
        let at = if as_expected { Some(expected) } else { object.by_name.get(name).copied() };
        Ok(match at {
            Some(at) => Found::Member(at),
            None if place == Place::default() && name == "id" => Found::Id,
            None if is_server_made(name, place) => Found::Dropped,
            None if notes.ignores_unknown || object.is_open => Found::Dropped,
            None => {
                let (path, message) = unknown(notes, object, place, name);
                notes.faults.push(Fault { rule: Rule::Unknown, path, message });
                Found::Dropped
            }
        })
    }
}

/// As many unknown properties of an object are remembered, so that memory stays bounded where every name differs.
const REMEMBERED: usize = 256;

/// Where an unknown property is and what to say of it. To look for the nearest known one takes long, so that it is done once for each object
/// and name; the path is written anew only where it differs from the last one.
fn unknown(notes: &mut Notes<'_>, object: &Object, place: Place, name: &str) -> (Arc<str>, Arc<str>) {
    let Notes { hints, trail, .. } = notes;
    let hints = hints.entry(std::ptr::from_ref(object) as usize).or_default();
    if let Some(hint) = hints.get_mut(name) {
        if !notes::is_path(trail, place, &hint.path[..hint.object]) {
            (hint.path, hint.object) = path(&notes::path(trail, place), name);
        }
        return (hint.path.clone(), hint.message.clone());
    }
    let near = nearest(name, object.members.iter().map(|member| &*member.name));
    let near = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    let message: Arc<str> = format!("{} is unknown, the API drops it{near}", shortened(name, SHOWN)).into();
    let (path, object) = path(&notes::path(trail, place), name);
    if hints.len() < REMEMBERED {
        hints.insert(name.into(), Hint { message: message.clone(), path: path.clone(), object });
    }
    (path, message)
}

/// The path of an unknown property, and how much of it is that of its object.
fn path(object: &str, name: &str) -> (Arc<str>, usize) {
    (format!("{object}.{}", shortened(name, SHOWN)).into(), object.len())
}

/// Whether the server puts it there, so that it comes with items that were read from it.
fn is_server_made(name: &str, place: Place) -> bool {
    let anywhere = name != "id" && SERVER_MADE.contains(&name);
    anywhere || place == Place::default() && name.ends_with("DescriptorId")
}
