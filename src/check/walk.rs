//! The one pass over a payload: serde_json reads, a [`Spot`] for each value holds what comes against its form; objects and lists.
//!
//! Only what is not JSON ends the reading. Everything else is noted, and reading goes on, so that all faults are told.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::compile::{At, Checker, Form, Object, Refers};
use super::names::{Found, Name};
use super::notes::{Fault, InList, Notes, Place, Reference, Rule, Slot, Step};
use super::spot::Spot;
use crate::edfi::key::{StrictKey, encode_within};
use crate::text::invisible;

/// See [`Checker::check`].
pub(super) fn check<'c>(checker: &'c Checker, payload: &[u8], notes: &mut Notes<'c>) {
    notes.clear();
    notes.places.resize(checker.paths.len(), None);
    notes.tolerance = checker.tolerance;
    notes.may_hold_markup = checker.tolerance.refuses_markup && memchr::memchr2(b'<', b'&', payload).is_some();
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&payload[..error.valid_up_to()]).chars().count();
            return not_json(notes, before + 1, "it is not UTF-8");
        }
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let around = notes.step(Place::default(), Step::Top);
    let spot = Spot { notes, form: &checker.body, name: "payload", around, step: Step::Top, member: None };
    match spot.deserialize(&mut reader).and_then(|_| reader.end()) {
        Ok(()) => finish(checker, notes),
        Err(error) => {
            let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
            let column = line.bytes().take(error.column()).filter(|byte| byte & 0xC0 != 0x80).count();
            let message = error.to_string();
            // Where it is, is told apart, so that messages are the same for the same error.
            let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
            let unseen = invisible::fault(text, Some(error.column()).filter(|_| error.line() == 1));
            notes.clear();
            not_json(notes, column, unseen.as_deref().unwrap_or(message));
        }
    }
}

fn not_json(notes: &mut Notes<'_>, column: usize, why: &str) {
    let message = format!("not JSON: {why}").into();
    notes.faults.push(Fault { rule: Rule::Json { column }, path: "$".into(), message });
}

/// What takes the whole payload: key unification and the natural key.
fn finish(checker: &Checker, notes: &mut Notes<'_>) {
    let held = |place: usize| notes.places[place].clone().map(|value| &notes.text[value]);
    let mut faults = Vec::new();
    for parameter in &checker.parameters {
        let mut given = parameter.places.iter().filter_map(|&place| Some((place, held(place)?)));
        let Some((first, value)) = given.next() else { continue };
        for (place, _) in given.filter(|(_, other)| *other != value) {
            faults.push(apart(&parameter.name, checker.paths[place].clone(), &checker.paths[first]));
        }
    }
    for inner in &notes.in_lists {
        let parameter = &checker.parameters[checker.parts[inner.part]];
        let first = parameter.places.iter().find_map(|&place| Some((place, held(place)?)));
        let Some((first, _)) = first.filter(|(_, value)| **value != notes.text[inner.value.clone()]) else { continue };
        let path = notes.path(inner.reference) + "." + &inner.member;
        faults.push(apart(&inner.member, path, &checker.paths[first]));
    }
    let text = |part: usize, place: usize| {
        held(checker.parameters[checker.parts[part]].places[place]).and_then(|text| std::str::from_utf8(text).ok())
    };
    notes.key = checker.key.as_ref().and_then(|key| key.keys(text));
    notes.faults.append(&mut faults);
}

fn apart(name: &str, path: String, first: &str) -> Fault {
    let message = format!("{name} must be the same as at {first}").into();
    Fault { rule: Rule::Unification, path: path.into(), message }
}

impl<'c> Spot<'_, 'c> {
    fn object<'de, A: MapAccess<'de>>(mut self, object: &'c Object, map: A) -> Result<Slot, A::Error> {
        let place = self.place();
        let base = members(self.notes, object, place, map)?;
        let is_item = matches!(self.step, Step::Item(_)) && !object.identity.is_empty();
        let identity = is_item.then(|| identity(self.notes, object, base)).flatten();
        self.notes.slots.truncate(base);
        Ok(identity.map_or(Slot::Given, Slot::Part))
    }

    fn reference<'de, A: MapAccess<'de>>(mut self, refers: &'c Refers, map: A) -> Result<Slot, A::Error> {
        let place = self.place();
        let base = members(self.notes, &refers.object, place, map)?;
        let Notes { slots, text, places, references, in_lists, .. } = &mut *self.notes;
        for &(within, at) in self.member.iter().flat_map(|member| &member.places) {
            let Slot::Part(part) = &slots[base + within] else { continue };
            match at {
                At::Place(place) => places[place] = Some(part.clone()),
                At::InList(part_of_key) => in_lists.push(InList {
                    part: part_of_key,
                    value: part.clone(),
                    reference: place,
                    member: refers.object.members[within].name.clone(),
                }),
            }
        }
        let parts = || refers.members.iter().map(|&member| &slots[base + member]);
        let whole = parts().all(|slot| matches!(slot, Slot::Part(_)));
        let start = text.len();
        if whole {
            for slot in parts() {
                if let Slot::Part(part) = slot {
                    // What was kept of it is its strict form.
                    encode_within(text, part.clone());
                }
            }
            if !refers.targets.is_empty() {
                references.push(Reference { to: refers, key: StrictKey::of_encoded(&text[start..]), place });
            }
        }
        slots.truncate(base);
        Ok(if whole { Slot::Part(start..text.len()) } else { Slot::Given })
    }

    fn list<'de, A: SeqAccess<'de>>(mut self, items: &'c Form, mut seq: A) -> Result<Slot, A::Error> {
        let (place, before) = (self.place(), self.notes.items.len());
        let mut count = 0;
        loop {
            let step = Step::Item(count);
            let spot = Spot { notes: self.notes, form: items, name: self.name, around: place, step, member: None };
            match seq.next_element_seed(spot)? {
                Some(Slot::Part(identity)) => self.notes.items.push((identity, count)),
                Some(_) => {}
                None => break,
            }
            count += 1;
        }
        if count == 0 && self.member.is_some_and(|member| member.required) {
            self.wrong(Rule::Empty, format_args!("must have at least one item"));
        }
        if self.notes.items.len() > before + 1 {
            for position in repeated(self.notes, before) {
                let same = alike(items);
                let spot = &mut Spot {
                    notes: self.notes,
                    form: items,
                    name: self.name,
                    around: place,
                    step: Step::Item(position),
                    member: None,
                };
                spot.wrong(Rule::Items, format_args!("must differ from those before it{same}"));
            }
        }
        self.notes.items.truncate(before);
        Ok(Slot::Given)
    }
}

/// The positions of the items from `first` on that equal one before them in its list.
fn repeated(notes: &mut Notes<'_>, first: usize) -> Vec<usize> {
    let Notes { text, items, .. } = notes;
    let items = &mut items[first..];
    let bytes = |range: &Range<usize>| &text[range.clone()];
    items.sort_unstable_by(|(a, first), (b, second)| bytes(a).cmp(bytes(b)).then(first.cmp(second)));
    let pairs = items.windows(2).filter(|pair| bytes(&pair[0].0) == bytes(&pair[1].0));
    let mut positions: Vec<usize> = pairs.map(|pair| pair[1].1).collect();
    positions.sort_unstable();
    positions
}

/// What equal items have in common, for a message.
fn alike(items: &Form) -> String {
    match items {
        Form::Object(object) if object.identity.len() < object.members.len() => {
            let names: Vec<&str> = object.identity.iter().map(|&member| &*object.members[member].name).collect();
            format!(" in {}", names.join(", "))
        }
        _ => String::new(),
    }
}

/// Reads an object. What came of its members is in the slots from the position returned on; what is missing is noted.
fn members<'de, 'c, A: MapAccess<'de>>(
    notes: &mut Notes<'c>,
    object: &'c Object,
    place: Place,
    mut map: A,
) -> Result<usize, A::Error> {
    let base = notes.slots.len();
    notes.slots.resize(base + object.members.len(), Slot::Absent);
    let mut expected = 0;
    while let Some(found) = map.next_key_seed(Name { notes, object, place, expected })? {
        let at = match found {
            Found::Member(at) => at,
            Found::Id => {
                if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                    let message = "id must be left out: the server gives ids".into();
                    notes.faults.push(Fault { rule: Rule::Id, path: "$.id".into(), message });
                }
                continue;
            }
            Found::Dropped => {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
        };
        let member = &object.members[at];
        let step = Step::Property(&member.name);
        if notes.slots[base + at] != Slot::Absent {
            let path = (notes.path(place) + "." + &member.name).into();
            let message = format!("{} is given twice", member.name).into();
            notes.faults.push(Fault { rule: Rule::Twice, path, message });
            // The later one counts, whatever it holds.
            for (_, at) in &member.places {
                if let At::Place(place) = at {
                    notes.places[*place] = None;
                }
            }
        }
        let spot = Spot {
            notes: &mut *notes,
            form: &member.form,
            name: &member.name,
            around: place,
            step,
            member: Some(member),
        };
        let slot = map.next_value_seed(spot)?;
        if let ([(_, At::Place(place))], false) = (&member.places[..], matches!(member.form, Form::Reference(_))) {
            notes.places[*place] = part(&slot);
        }
        notes.slots[base + at] = slot;
        expected = at + 1;
    }
    for (position, member) in object.members.iter().enumerate() {
        if member.required && matches!(notes.slots[base + position], Slot::Absent | Slot::Null) {
            let path = (notes.path(place) + "." + &member.name).into();
            let message = format!("{} is required", member.name).into();
            notes.faults.push(Fault { rule: Rule::Required, path, message });
        }
    }
    Ok(base)
}

fn part(slot: &Slot) -> Option<Range<usize>> {
    match slot {
        Slot::Part(part) => Some(part.clone()),
        _ => None,
    }
}

/// What tells the object from its neighbours in a list; `None` if a part of that is missing.
fn identity(notes: &mut Notes<'_>, object: &Object, base: usize) -> Option<Range<usize>> {
    let start = notes.text.len();
    for &member in &object.identity {
        match &notes.slots[base + member] {
            Slot::Part(part) => {
                let part = part.clone();
                notes.text.push(GIVEN);
                encode_within(&mut notes.text, part);
            }
            Slot::Absent | Slot::Null if !object.members[member].required => notes.text.push(ABSENT),
            _ => return None,
        }
    }
    Some(start..notes.text.len())
}

/// Marks that tell a part of an identity that is given from one that is not.
const GIVEN: u8 = 1;
const ABSENT: u8 = 0;

impl<'de> DeserializeSeed<'de> for Spot<'_, '_> {
    type Value = Slot;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Slot, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Spot<'_, '_> {
    type Value = Slot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(mut self) -> Result<Slot, E> {
        if self.member.is_none() {
            self.mistyped("null");
        }
        Ok(Slot::Null)
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<Slot, E> {
        if !matches!(self.form, Form::Boolean) {
            self.mistyped("true or false");
        }
        Ok(self.kept_number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Slot, E> {
        Ok(self.whole_number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Slot, E> {
        Ok(self.whole_number(value.into()))
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<Slot, E> {
        match *self.form {
            Form::Number { least, most } => self.range(value, least, most),
            _ => self.mistyped("a decimal number"),
        }
        Ok(self.kept_decimal(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Slot, E> {
        Ok(self.string(text))
    }

    /// Of one that was written with escapes: only these can hold U+0000.
    fn visit_str<E>(mut self, text: &str) -> Result<Slot, E> {
        self.escaped(text);
        Ok(self.string(text))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Slot, A::Error> {
        match self.form {
            Form::Object(object) => self.object(object, map),
            Form::Reference(refers) => self.reference(refers, map),
            _ => {
                self.mistyped("an object");
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Slot::Given)
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Slot, A::Error> {
        match self.form {
            Form::List(items) => self.list(items, seq),
            _ => {
                self.mistyped("a list");
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Slot::Given)
            }
        }
    }
}
