//! What the checker found in a payload.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use fxhash::FxHashMap;
use serde_json::Value;

use super::compile::Refers;
use crate::edfi::key::{Keys, StrictKey};
use crate::edfi::tolerance::Tolerance;
use crate::resource::Resource;

/// What the checker found in a payload, to be used again for the next one. `'c` is the life of the checker.
#[derive(Default)]
pub struct Notes<'c> {
    /// What is wrong, in the order of the payload.
    pub faults: Vec<Fault>,
    /// What the document forbids and this API takes, in the order of the payload.
    pub taken: Vec<Taken>,
    /// The natural key; `None` if a part of it is missing.
    pub key: Option<Keys>,
    /// Each mention of a descriptor that has the form of one, and the right kind.
    pub descriptors: Vec<Descriptor<'c>>,
    /// Each reference that is complete and whose targets the documents know, at every depth.
    pub references: Vec<Reference<'c>>,
    /// Objects and lists on the way to what is noted, each with the one around it. A [`Place`] is a position in here.
    pub(super) trail: Vec<(Place, Step<'c>)>,
    /// Text of the payload that outlives the reading: parts of keys and identities, descriptors. Everything else holds ranges of it.
    pub(super) text: Vec<u8>,
    /// For each member of each object being read what came of it so far; the objects one behind the other, as they contain each other.
    pub(super) slots: Vec<Slot>,
    /// The identities of the items of the lists being read, each with its position in its list.
    pub(super) items: Vec<(Range<usize>, usize)>,
    /// The values of the parameters, by the checker's numbers for their places.
    pub(super) places: Vec<Option<Range<usize>>>,
    /// Values in the items of lists that must equal a part of the natural key, given by its position.
    pub(super) in_lists: Vec<InList>,
    /// How the API departs from its documents.
    pub(super) tolerance: Tolerance,
    /// Whether a string without an escape may hold what looks like markup.
    pub(super) may_hold_markup: bool,
    /// Whether properties that the API does not know are passed over.
    pub(super) ignores_unknown: bool,
    /// What to say of a property that is unknown, by the object's address and the property. Payloads say the same over and over.
    pub(super) hints: FxHashMap<usize, FxHashMap<Box<str>, Hint>>,
}

/// What to say of an unknown property, and where it was met last, which is mostly where it is met next.
pub(super) struct Hint {
    pub message: Arc<str>,
    pub path: Arc<str>,
    /// As many bytes of the path are that of the object that has the property.
    pub object: usize,
}

/// A value in the item of a list that must equal a part of the natural key.
#[derive(Clone, Debug)]
pub(super) struct InList {
    /// The position of the part.
    pub part: usize,
    /// In [`Notes::text`].
    pub value: Range<usize>,
    /// The reference that holds it.
    pub reference: Place,
    /// The member's position there, to be found again by its name.
    pub member: Arc<str>,
}

/// Something wrong with a payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What was broken.
    pub rule: Rule,
    /// Where, such as `$.addresses[2].city`.
    pub path: Arc<str>,
    /// What is wrong and what would be right. The same fault in another payload has the same text.
    pub message: Arc<str>,
}

/// Something that the document forbids and this API takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// What is wrong by the document; the message says what the API makes of it.
    pub fault: Fault,
    /// What the API stores in its place.
    pub value: Value,
    pub(super) place: Place,
}

/// What a payload can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is one JSON value in UTF-8 (RFC 8259).
    Json {
        /// Where it ceases to be, in characters from 1; the line's length and one if it ends too early.
        column: usize,
    },
    /// The API knows each property. It drops others without a word.
    Unknown,
    /// A property is given once.
    Twice,
    /// The server gives ids.
    Id,
    /// What is required is there.
    Required,
    /// Values have the right type.
    Type,
    /// Numbers are within bounds: those of the document, and those of 32 or 64 bits.
    Range,
    /// Strings are long enough, and not too long.
    Length,
    /// Dates and times are such.
    Format,
    /// Strings match the document's patterns.
    Pattern,
    /// Strings hold what the API can store: no U+0000, and no markup where the API looks for it.
    Content,
    /// Strings are among those that the document lists.
    OneOf,
    /// A required list has items.
    Empty,
    /// Members that share a parameter of the natural key are equal.
    Unification,
    /// Descriptors have the form of one, and are of the kind that belongs there.
    Descriptor,
    /// The items of a list differ in their identity.
    Items,
}

/// What configuration calls the ways of validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// The payload by itself.
    Schema,
    /// Descriptors: form, kind and existence.
    Descriptors,
    /// Equal keys and equal items.
    Uniqueness,
    /// What references refer to.
    References,
}

/// A position in a payload. [`Notes::path`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Place(pub(super) u32);

/// A mention of a descriptor.
#[derive(Clone, Debug)]
pub struct Descriptor<'c> {
    /// Of which descriptor a value is wanted.
    pub resource: &'c Resource,
    /// Where.
    pub place: Place,
    pub(super) uri: Range<usize>,
    pub(super) hash: usize,
}

/// A reference to an item of any of some resources.
#[derive(Clone, Debug)]
pub struct Reference<'c> {
    /// Of which resources.
    pub to: &'c Refers,
    /// Equals the strict [`Notes::key`] of what is referred to.
    pub key: StrictKey,
    /// Where.
    pub place: Place,
}

/// A step of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'c> {
    Top,
    Property(&'c str),
    Item(usize),
}

/// What came of a member so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Slot {
    Absent,
    Null,
    Given,
    /// In [`Notes::text`], in canonical form.
    Part(Range<usize>),
}

impl Rule {
    /// To which way of validation it belongs.
    pub fn method(self) -> Method {
        match self {
            Rule::Descriptor => Method::Descriptors,
            Rule::Items => Method::Uniqueness,
            _ => Method::Schema,
        }
    }
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 4] = [Method::Schema, Method::Descriptors, Method::Uniqueness, Method::References];

    /// As configuration and the results file write it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Schema => "schema",
            Method::Descriptors => "descriptors",
            Method::Uniqueness => "uniqueness",
            Method::References => "references",
        }
    }
}

impl<'c> Notes<'c> {
    /// Notes that pass over properties that the API does not know.
    pub fn without_unknown() -> Notes<'c> {
        Notes { ignores_unknown: true, ..Notes::default() }
    }

    /// Such as `$.addresses[2].stateAbbreviationDescriptor`.
    pub fn path(&self, place: Place) -> String {
        path(&self.trail, place)
    }

    /// What a mention says, as it is written.
    pub fn uri(&self, mention: &Descriptor<'_>) -> &str {
        std::str::from_utf8(&self.text[mention.uri.clone()]).unwrap_or_default()
    }

    /// Namespace and code value of a mention: what stands before and behind the `#`.
    pub fn value(&self, mention: &Descriptor<'_>) -> (&str, &str) {
        self.uri(mention).split_at_checked(mention.hash).map_or(("", ""), |(namespace, code)| (namespace, &code[1..]))
    }

    /// The payload with what the API makes of its values, in place of what it was given.
    pub fn applied(&self, payload: &Value) -> Value {
        let mut payload = payload.clone();
        for taken in &self.taken {
            if let Some(given) = within(&self.trail, taken.place, &mut payload) {
                *given = taken.value.clone();
            }
        }
        payload
    }

    pub(super) fn clear(&mut self) {
        let Notes { faults, taken, key, descriptors, references, trail, text, slots, items, places, in_lists, .. } =
            self;
        faults.clear();
        taken.clear();
        *key = None;
        descriptors.clear();
        references.clear();
        trail.clear();
        text.clear();
        slots.clear();
        items.clear();
        places.clear();
        in_lists.clear();
    }

    /// A place within `around`.
    pub(super) fn step(&mut self, around: Place, step: Step<'c>) -> Place {
        self.trail.push((around, step));
        Place(self.trail.len() as u32 - 1)
    }

    /// Keeps `text`.
    pub(super) fn keep(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        start..self.text.len()
    }
}

/// The value at a place of the payload.
fn within<'p>(trail: &[(Place, Step<'_>)], place: Place, payload: &'p mut Value) -> Option<&'p mut Value> {
    let &(around, step) = trail.get(place.0 as usize)?;
    match step {
        Step::Top => Some(payload),
        Step::Property(name) => within(trail, around, payload)?.get_mut(name),
        Step::Item(position) => within(trail, around, payload)?.get_mut(position),
    }
}

/// See [`Notes::path`].
pub(super) fn path(trail: &[(Place, Step<'_>)], place: Place) -> String {
    let Some(&(around, step)) = trail.get(place.0 as usize) else { return "$".into() };
    match step {
        Step::Top => "$".into(),
        Step::Property(name) => path(trail, around) + "." + name,
        Step::Item(position) => {
            let mut path = path(trail, around);
            let _ = write!(path, "[{position}]");
            path
        }
    }
}

/// Whether [`path`] writes that, without writing it.
pub(super) fn is_path(trail: &[(Place, Step<'_>)], place: Place, written: &str) -> bool {
    let Some(&(around, step)) = trail.get(place.0 as usize) else { return written == "$" };
    let written = match step {
        Step::Top => return written == "$",
        Step::Property(name) => written.strip_suffix(name).and_then(|rest| rest.strip_suffix('.')),
        Step::Item(position) => {
            let parts = written.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
            parts.filter(|(_, digits)| digits.parse() == Ok(position)).map(|(rest, _)| rest)
        }
    };
    written.is_some_and(|written| is_path(trail, around, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_at_the_path_that_it_writes_and_at_no_other() {
        let mut notes = Notes::default();
        let top = notes.step(Place::default(), Step::Top);
        let list = notes.step(top, Step::Property("a"));
        let mut places = vec![top, list, notes.step(top, Step::Property("b.a")), notes.step(top, Step::Property("aa"))];
        for position in [0, 1, 11] {
            let item = notes.step(list, Step::Item(position));
            places.extend([item, notes.step(item, Step::Property("a")), notes.step(item, Step::Item(1))]);
        }
        let paths: Vec<String> = places.iter().map(|&place| notes.path(place)).collect();
        for (number, &place) in places.iter().enumerate() {
            for (other, written) in paths.iter().enumerate() {
                assert_eq!(is_path(&notes.trail, place, written), number == other, "{} {written}", paths[number]);
            }
            assert!(!is_path(&notes.trail, place, ""));
        }
    }
}
