//! Reads natural keys out of payloads: a payload's own, and those of the items of its own resource that it refers to.
//!
//! The own key is read from the text in one pass that keeps nothing else, for every payload that is sent goes through it. A key is
//! known by its hash. Two payloads of one key that differ in how they write a part of it (`255901`, `"255901"`) have one hash, as
//! the API takes both for the same.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use fxhash::FxHasher;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Definition, text};
use crate::edfi::key::{Keys, LooseKey, StrictKey};

/// The hash of a natural key. Two keys of a load of ten million share one in one of 400,000 loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NaturalKey(u64);

/// Reads the natural keys of one resource's payloads.
#[derive(Debug)]
pub struct Natural {
    parts: usize,
    members: Members,
    /// The references to items of the same resource, and for each part of the key the member that holds it.
    to_itself: Vec<(Vec<Step>, Vec<Arc<str>>)>,
}

/// The properties of an object that lead to parts of the key.
#[derive(Debug, Default)]
struct Members(Vec<(Arc<str>, Way)>);

#[derive(Debug)]
enum Way {
    Part(usize),
    Within(Members),
}

#[derive(Clone, Debug)]
enum Step {
    Into(Arc<str>),
    Each,
}

impl Natural {
    /// For the payloads that `definition` describes; `None` if it does not tell where all of the natural key is.
    pub fn of(definition: &Definition) -> Option<Natural> {
        let mut members = Members::default();
        let mut parts = 0;
        for parameter in definition.key() {
            // Further places have to hold the same value.
            members.add(parameter.paths.first()?.names(), parts);
            parts += 1;
        }
        let referrals = definition.references().into_iter();
        let to_itself = referrals.filter_map(|referral| {
            let target = referral.reference.targets.iter().find(|target| target.resource == definition.resource)?;
            let member = |&at: &usize| referral.reference.schema.properties[at].name.clone();
            Some((steps(&referral.path), target.members.iter().map(member).collect()))
        });
        (parts > 0).then(|| Natural { parts, members, to_itself: to_itself.collect() })
    }

    /// Both hashes of a payload's natural key, unless a part of it is missing. An error if the text is not one JSON object.
    pub fn keys(&self, payload: &str) -> serde_json::Result<Option<Keys>> {
        let keys = |NaturalKey(key)| {
            let mut strict = [0; 12];
            strict.copy_from_slice(&blake3::hash(&key.to_le_bytes()).as_bytes()[..12]);
            Keys { loose: LooseKey(key), strict: StrictKey(strict) }
        };
        Ok(self.key(payload)?.map(keys))
    }

    /// Tells this definition of the key from others.
    pub fn fingerprint(&self) -> u64 {
        self.parts as u64
    }

    /// The natural key of a payload, unless a part of it is missing. An error if the text is not one JSON object.
    pub fn key(&self, payload: &str) -> serde_json::Result<Option<NaturalKey>> {
        let mut parts = Parts::of(self.parts);
        let mut json = serde_json::Deserializer::from_str(payload);
        Object { members: &self.members, parts: &mut parts }.deserialize(&mut json)?;
        json.end()?;
        Ok(parts.key())
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
            keys.extend(
                references.into_iter().filter_map(|reference| referred(reference, members)).map(|key| LooseKey(key.0)),
            );
        }
        keys
    }
}

impl Members {
    fn add(&mut self, way: &[Arc<str>], part: usize) {
        let Some((first, rest)) = way.split_first() else { return };
        if rest.is_empty() {
            return self.0.push((first.clone(), Way::Part(part)));
        }
        let known = self.0.iter_mut().find_map(|(name, way)| match way {
            Way::Within(members) if name == first => Some(members),
            _ => None,
        });
        match known {
            Some(members) => members.add(rest, part),
            None => {
                let mut members = Members::default();
                members.add(rest, part);
                self.0.push((first.clone(), Way::Within(members)));
            }
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

fn referred(reference: &Value, members: &[Arc<str>]) -> Option<NaturalKey> {
    let mut parts = Parts::of(members.len());
    for (part, member) in members.iter().enumerate() {
        parts.set(part, &text(reference.get(&**member)?)?);
    }
    parts.key()
}

/// The hashes of a key's parts, as far as they were found.
struct Parts(Vec<Option<u64>>);

impl Parts {
    fn of(count: usize) -> Parts {
        Parts(vec![None; count])
    }

    fn set(&mut self, part: usize, text: &str) {
        let mut hasher = FxHasher::default();
        hasher.write(text.as_bytes());
        self.0[part] = Some(hasher.finish());
    }

    fn key(&self) -> Option<NaturalKey> {
        let mut hasher = FxHasher::default();
        for part in &self.0 {
            hasher.write_u64((*part)?);
        }
        Some(NaturalKey(hasher.finish()))
    }
}

struct Object<'n> {
    members: &'n Members,
    parts: &'n mut Parts,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let parts = self.parts;
        while let Some(name) = map.next_key_seed(Name)? {
            match self.members.0.iter().find(|(known, _)| **known == *name) {
                Some((_, way)) => map.next_value_seed(Member { way, parts: &mut *parts })?,
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
struct Member<'n> {
    way: &'n Way,
    parts: &'n mut Parts,
}

impl Member<'_> {
    fn scalar(self, text: &str) {
        if let Way::Part(part) = self.way {
            self.parts.set(*part, text);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.scalar(text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.scalar(&number.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.scalar(&number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.scalar(&number.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<(), E> {
        self.scalar(&truth.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.way {
            Way::Within(members) => Object { members, parts: self.parts }.visit_map(map),
            Way::Part(_) => IgnoredAny.visit_map(map).map(|_| ()).map_err(A::Error::custom),
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

    fn key(payload: &str) -> NaturalKey {
        natural().key(payload).unwrap().unwrap()
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
            assert_eq!(natural().key(payload).unwrap(), None, "{payload}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_an_error() {
        for payload in ["[]", "{", r#"{"termName":"Fall"} {}"#, r#"{"schoolReference":{"schoolId":1}"#] {
            assert!(natural().key(payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn references_to_the_same_resource_have_the_key_of_what_they_refer_to() {
        let fall = key(r#"{"termName":"Fall","schoolReference":{"schoolId":1}}"#);
        let spring = key(r#"{"termName":"Spring","schoolReference":{"schoolId":1}}"#);
        let payload = br#"{"termName":"x","schoolReference":{"schoolId":1},
            "parentTermReference":{"schoolId":1,"termName":"Fall"},
            "others":[{"otherTermReference":{"termName":"Spring","schoolId":"1"}},{"otherTermReference":{"schoolId":1}}]}"#;
        assert_eq!(natural().of_its_own_resource(payload), [fall, spring].map(|key| LooseKey(key.0)));
    }
}
