//! What an item looks like where the API shows it: what was posted, as an ODS/API gives it back.
//!
//! It adds `id`, `_etag` and `_lastModifiedDate`, a `link` to each reference, and an empty list for each collection that the item lacks. It
//! leaves out what it dropped when the item was posted: members that it does not know, and null. Values stay as they were written.

use std::borrow::Cow;
use std::fmt;

use fxhash::FxHashMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::profiles::Hidden;
use super::store::Stored;
use crate::model::openapi::SERVER_MADE;
use crate::model::{Kind, Schema};
use crate::resource::Resource;

/// What a reference refers to: how Ed-Fi calls it, its resource, its id.
pub type Link<'a> = (String, &'a Resource, u128);

/// How an item is shown.
pub struct Shown<'a> {
    /// What payloads of its resource look like.
    pub schema: &'a Schema,
    /// Its own members that a profile leaves out.
    pub hidden: Option<&'a Hidden>,
    /// What its references refer to, by their paths, such as `$.schoolReference`.
    pub links: FxHashMap<String, Link<'a>>,
}

/// The members of an object, as written and in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((name.into(), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Shown<'_> {
    /// Writes the item.
    pub fn write(&self, id: u128, stored: &Stored, out: &mut Vec<u8>) {
        let modified =
            i64::try_from(stored.modified).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        let modified = modified.map(|time| time.to_string()).unwrap_or_default();
        out.extend_from_slice(format!("{{\"id\":\"{id:032x}\"").as_bytes());
        // It was read when it was posted.
        if let Ok(members) = serde_json::from_slice::<Members>(&stored.body) {
            self.members(self.schema, &members, &mut "$".to_owned(), false, out);
        }
        out.extend_from_slice(
            format!(",\"_etag\":\"{}\",\"_lastModifiedDate\":\"{modified}\"}}", stored.version).as_bytes(),
        );
    }

    /// Writes the members of an object; `first` tells whether nothing stands before them.
    fn members(
        &self,
        schema: &Schema,
        members: &Members<'_>,
        path: &mut String,
        mut first: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let mut name = |name: &str, out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(Value::from(name).to_string().as_bytes());
            out.push(b':');
        };
        let length = path.len();
        let is_hidden = |name: &str| length == 1 && self.hidden.is_some_and(|hidden| hidden.contains(name));
        for (member, value) in members.0.iter().filter(|(_, value)| value.get() != "null") {
            let property = schema.property(member);
            if property.is_none() && !schema.is_open || is_hidden(member) {
                continue;
            }
            name(member, out);
            path.push('.');
            path.push_str(member);
            match property {
                Some(property) => self.value(&property.kind, value, path, out),
                None => out.extend_from_slice(value.get().as_bytes()),
            }
            path.truncate(length);
        }
        let given = |name: &str| members.0.iter().any(|(member, value)| member == name && value.get() != "null");
        for property in &schema.properties {
            if matches!(property.kind, Kind::List(_)) && !given(&property.name) && !is_hidden(&property.name) {
                name(&property.name, out);
                out.extend_from_slice(b"[]");
            }
        }
        first
    }

    fn value(&self, kind: &Kind, value: &RawValue, path: &mut String, out: &mut Vec<u8>) {
        match kind {
            Kind::Object(schema) => match serde_json::from_str::<Members>(value.get()) {
                Ok(members) => {
                    out.push(b'{');
                    self.members(schema, &members, path, true, out);
                    out.push(b'}');
                }
                Err(_) => out.extend_from_slice(value.get().as_bytes()),
            },
            Kind::Reference(reference) => match serde_json::from_str::<Members>(value.get()) {
                Ok(members) => {
                    out.push(b'{');
                    let first = self.members(&reference.schema, &members, path, true, out);
                    if let Some((rel, resource, id)) = self.links.get(&*path) {
                        let comma = if first { "" } else { "," };
                        let link = format!("{comma}\"link\":{{\"rel\":\"{rel}\",\"href\":\"/{resource}/{id:032x}\"}}");
                        out.extend_from_slice(link.as_bytes());
                    }
                    out.push(b'}');
                }
                Err(_) => out.extend_from_slice(value.get().as_bytes()),
            },
            Kind::List(items) if items.schema().is_some() => {
                let listed: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                let length = path.len();
                out.push(b'[');
                for (number, item) in listed.into_iter().enumerate() {
                    if number > 0 {
                        out.push(b',');
                    }
                    path.push_str(&format!("[{number}]"));
                    self.value(items, item, path, out);
                    path.truncate(length);
                }
                out.push(b']');
            }
            _ => out.extend_from_slice(value.get().as_bytes()),
        }
    }
}

/// Whether two payloads of a resource are the same item: what the API drops, and an empty list in place of none, are no difference.
pub fn same(schema: &Schema, one: &[u8], other: &[u8]) -> bool {
    let kept = |body: &[u8]| serde_json::from_slice(body).map(|value| kept(schema, value));
    matches!((kept(one), kept(other)), (Ok(one), Ok(other)) if one == other)
}

/// What the API keeps of an object.
fn kept(schema: &Schema, value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let member = |(name, value): (String, Value)| {
        let value = match (schema.property(&name), value) {
            (_, Value::Null) => return None,
            (None, value) => return schema.is_open.then_some((name, value)),
            (Some(property), Value::Array(items)) => match property.kind.schema() {
                _ if items.is_empty() => return None,
                Some(within) => items.into_iter().map(|item| kept(within, item)).collect(),
                None => Value::Array(items),
            },
            (Some(property), value) => match property.kind.schema() {
                Some(within) => kept(within, value),
                None => value,
            },
        };
        Some((name, value))
    };
    Value::Object(members.into_iter().filter_map(member).collect())
}

/// The payload without what the server puts there by itself.
pub fn without_server_made<'p>(body: &'p [u8], payload: &Value) -> Cow<'p, [u8]> {
    let Some(object) = payload.as_object().filter(|object| SERVER_MADE.iter().any(|name| object.contains_key(*name)))
    else {
        return body.into();
    };
    let mut object = object.clone();
    object.retain(|name, _| !SERVER_MADE.contains(&name.as_str()));
    Value::Object(object).to_string().into_bytes().into()
}
