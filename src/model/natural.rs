//! Reads natural keys out of the text of payloads: a payload's own, and those of the items of its own resource that it refers to.
//!
//! The own key is read in one pass that keeps nothing else, for every payload that is sent goes through it. What a key is and how it compares,
//! [`crate::edfi::key`] tells.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Definition;
use crate::edfi::key::{Encoding, Keys, LooseKey, NaturalKey, decimal, text};

/// Reads the natural keys of one resource's payloads.
#[derive(Debug)]
pub struct Natural {
    key: NaturalKey,
    members: Members,
    /// For each part the number of its first place among all places, which are numbered part by part; how many there are at the end.
    starts: Vec<usize>,
    /// The references to items of the same resource, and for each part of the key the member that holds it.
    to_itself: Vec<(Vec<Step>, Vec<Arc<str>>)>,
    fingerprint: u64,
}

/// The properties of an object that lead to parts of the key.
#[derive(Debug, Default)]
struct Members(Vec<(Arc<str>, Way)>);

#[derive(Debug)]
enum Way {
    /// To the place of this number.
    Place(usize),
    Within(Members),
}

#[derive(Clone, Debug)]
enum Step {
    Into(Arc<str>),
    Each,
}

impl Natural {
    /// For the payloads that `definition` describes; `None` if its natural key is not known.
    pub fn of(definition: &Definition) -> Option<Natural> {
        let key = definition.natural.clone().ok()?;
        let mut members = Members::default();
        let mut starts = vec![0];
        let mut places = 0;
        for part in &key.parts {
            for path in &part.paths {
                members.add(path.names(), places);
                places += 1;
            }
            starts.push(places);
        }
        let referrals = definition.references().into_iter();
        let to_itself = referrals.filter_map(|referral| {
            let target = referral.reference.targets.iter().find(|target| target.resource == definition.resource)?;
            let member = |&at: &usize| referral.reference.schema.properties[at].name.clone();
            Some((steps(&referral.path), target.members.iter().map(member).collect()))
        });
        let to_itself = to_itself.collect();
        let fingerprint = key.fingerprint();
        Some(Natural { key, members, starts, to_itself, fingerprint })
    }

    /// Both hashes of the natural key of a payload; `None` if it has no key. An error if the text is not one JSON object.
    pub fn keys(&self, payload: &str) -> serde_json::Result<Option<Keys>> {
        let mut places: Vec<Option<Cow<str>>> = vec![None; self.starts.last().copied().unwrap_or_default()];
        let mut json = serde_json::Deserializer::from_str(payload);
        Object { members: &self.members, places: &mut places }.deserialize(&mut json)?;
        json.end()?;
        Ok(self.key.keys(|part, place| places[self.starts[part] + place].as_deref()))
    }

    /// A number that changes when names, comparisons or places of the key's parts change, and never otherwise.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The natural keys of the items of the same resource that a payload refers to.
    pub fn of_its_own_resource(&self, payload: &[u8]) -> Vec<LooseKey> {
        if self.to_itself.is_empty() {
            return Vec::new();
        }
        let Ok(payload) = serde_json::from_slice(payload) else { return Vec::new() };
        let mut keys = Vec::new();
        for (way, members) in &self.to_itself {
            let mut references = Vec::new();
            follow(&payload, way, &mut references);
            keys.extend(references.into_iter().filter_map(|reference| self.referred(reference, members)));
        }
        keys
    }

    fn referred(&self, reference: &Value, members: &[Arc<str>]) -> Option<LooseKey> {
        let mut encoding = Encoding::default();
        for (part, member) in self.key.parts.iter().zip(members) {
            encoding.add(part.comparison, &text(reference.get(&**member)?)?);
        }
        Some(encoding.keys().loose)
    }
}

impl Members {
    fn add(&mut self, way: &[Arc<str>], place: usize) {
        let Some((first, rest)) = way.split_first() else { return };
        if rest.is_empty() {
            return self.0.push((first.clone(), Way::Place(place)));
        }
        let known = self.0.iter_mut().find_map(|(name, way)| match way {
            Way::Within(members) if name == first => Some(members),
            _ => None,
        });
        match known {
            Some(members) => members.add(rest, place),
            None => {
                let mut members = Members::default();
                members.add(rest, place);
                self.0.push((first.clone(), Way::Within(members)));
            }
        }
    }

    /// Forgets what was read of them. Of a property that is given twice the later one counts.
    fn forget(&self, places: &mut [Option<Cow<str>>]) {
        self.0.iter().for_each(|(_, way)| way.forget(places));
    }
}

impl Way {
    fn forget(&self, places: &mut [Option<Cow<str>>]) {
        match self {
            Way::Place(place) => places[*place] = None,
            Way::Within(members) => members.forget(places),
        }
    }
}

/// `$.a[*].b` as steps.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for name in path.split('.').skip(1) {
        let plain = name.trim_end_matches("[*]");
        steps.push(Step::Into(plain.into()));
        steps.extend((0..(name.len() - plain.len()) / 3).map(|_| Step::Each));
    }
    steps
}

fn follow<'v>(value: &'v Value, way: &[Step], found: &mut Vec<&'v Value>) {
    match way.split_first() {
        None => found.push(value),
        Some((Step::Into(name), rest)) => value.get(&**name).into_iter().for_each(|value| follow(value, rest, found)),
        Some((Step::Each, rest)) => value.as_array().into_iter().flatten().for_each(|item| follow(item, rest, found)),
    }
}

struct Object<'n, 'de> {
    members: &'n Members,
    places: &'n mut [Option<Cow<'de, str>>],
}

impl<'de> DeserializeSeed<'de> for Object<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let places = self.places;
        while let Some(name) = map.next_key_seed(Name)? {
            match self.members.0.iter().find(|(known, _)| **known == *name) {
                Some((_, way)) => map.next_value_seed(Member { way, places: &mut *places })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A property's name, borrowed where it is written without escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A value that is part of the key or leads to parts. What has another shape is passed over: the API will say so.
struct Member<'n, 'de> {
    way: &'n Way,
    places: &'n mut [Option<Cow<'de, str>>],
}

impl<'de> Member<'_, 'de> {
    /// Keeps a single value, or that there is none.
    fn keep(self, value: Option<Cow<'de, str>>) {
        match self.way {
            Way::Place(place) => self.places[*place] = value,
            Way::Within(members) => members.forget(self.places),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_, 'de> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.keep(Some(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.keep(Some(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.keep(Some(Cow::Owned(number.to_string())));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.keep(Some(Cow::Owned(number.to_string())));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.keep(decimal(number).map(Cow::Owned));
        Ok(())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<(), E> {
        self.keep(Some(Cow::Borrowed(if truth { "true" } else { "false" })));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.keep(None);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.keep(None);
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.way {
            Way::Within(members) => {
                members.forget(self.places);
                Object { members, places: self.places }.visit_map(map)
            }
            Way::Place(place) => {
                self.places[*place] = None;
                IgnoredAny.visit_map(map).map(|_| ()).map_err(A::Error::custom)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Model;
    use super::*;
    use crate::resource::Resource;

    fn natural() -> Natural {
        let document = json!({
            "paths": {
                "/ed-fi/terms": {
                    "get": {"parameters": [
                        {"name": "termName", "in": "query", "x-Ed-Fi-isIdentity": true},
                        {"name": "schoolId", "in": "query", "x-Ed-Fi-isIdentity": true},
                    ]},
                    "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/edFi_term"}}}}}
                }
            },
            "components": {"schemas": {
                "edFi_term": {"required": ["termName", "schoolReference"], "properties": {
                    "termName": {"type": "string"},
                    "note": {"type": "string"},
                    "schoolReference": {"$ref": "#/x/edFi_schoolReference"},
                    "parentTermReference": {"$ref": "#/x/edFi_termReference"},
                    "others": {"type": "array", "items": {"$ref": "#/x/edFi_termOther"}},
                }},
                "edFi_termOther": {"properties": {"otherTermReference": {"$ref": "#/x/edFi_termReference"}}},
                "edFi_schoolReference": {"required": ["schoolId"], "properties": {"schoolId": {"type": "integer"}}},
                "edFi_termReference": {"required": ["schoolId", "termName"], "properties": {
                    "schoolId": {"type": "integer"}, "termName": {"type": "string"}
                }},
            }}
        });
        let model = Model::from_openapi([&document]).unwrap();
        Natural::of(model.get(&Resource::new("ed-fi", "terms")).unwrap()).unwrap()
    }

    fn key(payload: &str) -> Keys {
        natural().keys(payload).unwrap().unwrap()
    }

    #[test]
    fn a_key_is_the_same_whatever_stands_around_it_and_however_it_is_written() {
        let fall = key(r#"{"termName":"Fall","schoolReference":{"schoolId":1},"note":"a"}"#);
        assert_eq!(
            fall,
            key(r#"{"schoolReference":{"link":[{}],"schoolId":"1"},"note":{"termName":2},"termName":"F\u0061ll"}"#)
        );
        assert_ne!(fall, key(r#"{"termName":"Fall","schoolReference":{"schoolId":2}}"#));
        assert_ne!(fall, key(r#"{"termName":"1","schoolReference":{"schoolId":"Fall"}}"#), "parts have their places");
    }

    #[test]
    fn a_key_of_which_a_part_is_missing_is_none() {
        for payload in [
            r#"{"termName":"Fall"}"#,
            r#"{"termName":null,"schoolReference":{"schoolId":1}}"#,
            r#"{"termName":"Fall","schoolReference":[1]}"#,
            r#"{"termName":{"a":1},"schoolReference":{"schoolId":1}}"#,
        ] {
            assert_eq!(natural().keys(payload).unwrap(), None, "{payload}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_an_error() {
        for payload in ["[]", "{", r#"{"termName":"Fall"} {}"#, r#"{"schoolReference":{"schoolId":1}"#] {
            assert!(natural().keys(payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn references_to_the_same_resource_have_the_key_of_what_they_refer_to() {
        let fall = key(r#"{"termName":"Fall","schoolReference":{"schoolId":1}}"#).loose;
        let spring = key(r#"{"termName":"Spring","schoolReference":{"schoolId":1}}"#).loose;
        let payload = br#"{"termName":"x","schoolReference":{"schoolId":1},
            "parentTermReference":{"schoolId":1,"termName":"Fall"},
            "others":[{"otherTermReference":{"termName":"Spring","schoolId":"1"}},{"otherTermReference":{"schoolId":1}}]}"#;
        assert_eq!(natural().of_its_own_resource(payload), [fall, spring].map(|key| LooseKey(key.0)));
    }
}
