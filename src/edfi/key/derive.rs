//! Compiles a resource's natural key from what documents say: which parts it has, and where payloads hold each.
//!
//! # Which parts
//!
//! A reference to a resource holds its whole key, so the members of the schema of such references are the parts, wherever documents have that
//! schema (`edFi_schoolReference`, `EdFi_School_Reference`). Else the parts are the parameters of the collection's GET that are marked
//! `x-Ed-Fi-isIdentity`, but for those that only members of optional references hold: a key has no optional part. On the ODS/API the marks
//! are always whole. The Data Management Service marks either too few or too many of them, so without a schema of references its marks
//! tell the key only of a resource that requires no reference. [`super::places`] tells where payloads hold them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::places::{Body, Field, Place, is_listed};
use super::{Comparison, NaturalKey, Origin, Part, Path};
use crate::model::{Endpoint, Member, Source, capitalised, entity};

/// The natural key of every descriptor. Documents of the ODS/API do not mark it.
const DESCRIPTOR_KEY: [&str; 2] = ["codeValue", "namespace"];

/// What was found out about a resource's key and parameters.
pub struct Derived<'s> {
    /// The name of the schema of references to the resource, if documents have one and list its members.
    pub own_reference: Option<&'s str>,
    /// The parameters of its collection and the parts of its key, in the document's order, each with its places.
    pub parameters: Vec<(&'s str, Vec<Path>)>,
    /// The key, or why it is not known, in words.
    pub key: Result<NaturalKey, String>,
    /// What the marks say if that differs from the key.
    pub disagreement: Option<String>,
}

/// Finds out the natural key of an endpoint, and where its payloads hold what its collection can be asked for. `is_listed` is what
/// [`super::is_listed`] tells of the source, which takes a while.
pub fn derive<'s>(source: &'s Source, endpoint: &'s Endpoint, is_listed: bool) -> Derived<'s> {
    let marked: Vec<&'s str> =
        endpoint.parameters.iter().filter(|(_, marked)| *marked).map(|(name, _)| name.as_str()).collect();
    let own_reference = own_reference(source, endpoint);
    let body = Body::of(source, endpoint, own_reference, is_listed);
    let (mut names, origin) = match (endpoint.resource.is_descriptor(), own_reference) {
        (true, _) => (DESCRIPTOR_KEY.to_vec(), Origin::Descriptor),
        (false, Some(schema)) => {
            let members = source.schemas.get(schema).map(Vec::as_slice).unwrap_or_default();
            (members.iter().map(|member| member.name.as_str()).collect(), Origin::Reference)
        }
        (false, None) => (marked.clone(), Origin::Marks),
    };
    let mut parameters: Vec<&'s str> = match endpoint.resource.is_descriptor() {
        true => body.fields.iter().map(|field| field.name).collect(),
        false => endpoint.parameters.iter().map(|(name, _)| name.as_str()).collect(),
    };
    let unlisted: Vec<&str> = names.iter().copied().filter(|name| !parameters.contains(name)).collect();
    parameters.extend(unlisted);
    let places = body.places(&parameters, &names);
    if origin == Origin::Marks {
        let is_optional = |name: &&str| of(&places, name).all(|place| place.is_in_optional_reference);
        names.retain(|name| of(&places, name).next().is_none() || !is_optional(name));
    }
    let key = known(names, origin, &body, &places);
    let disagreement = key.as_ref().ok().filter(|key| key.origin != Origin::Descriptor && differ(key, &marked));
    let disagreement = disagreement.map(|key| {
        let names = key.names().collect::<Vec<_>>().join(", ");
        let marked = if marked.is_empty() { "none".to_string() } else { marked.join(", ") };
        format!("the natural key of {} is {names}; the parameters marked as its parts are {marked}", endpoint.resource)
    });
    let parameter = |name: &&'s str| (*name, of(&places, name).map(Place::path).collect());
    Derived { own_reference, parameters: parameters.iter().map(parameter).collect(), key, disagreement }
}

fn differ(key: &NaturalKey, marked: &[&str]) -> bool {
    key.parts.len() != marked.len() || key.names().any(|name| !marked.contains(&name))
}

/// The places of the parameter of that name.
fn of<'p, 's>(places: &'p [Place<'s>], name: &'p str) -> impl Iterator<Item = &'p Place<'s>> {
    places.iter().filter(move |place| place.name == name)
}

fn known(mut names: Vec<&str>, origin: Origin, body: &Body, places: &[Place]) -> Result<NaturalKey, String> {
    if names.is_empty() {
        return Err("the documents do not tell its natural key".into());
    }
    let requires = body.fields.iter().find(|field| field.required && field.reference().is_some());
    if let (Origin::Marks, false, Some(field)) = (origin, body.is_listed, requires) {
        return Err(format!(
            "the documents do not tell its natural key: they have no schema of references to it, and do not mark whether {} is a part",
            field.name
        ));
    }
    names.sort_unstable();
    names.dedup();
    let part = |name: &&str| {
        let mut places = of(places, name).peekable();
        let first = places.peek().ok_or_else(|| {
            format!("the documents do not tell where a payload holds {name}, a part of its natural key")
        })?;
        let comparison = match origin {
            Origin::Descriptor => Comparison::Descriptor,
            _ => Comparison::of(first.member, first.kind),
        };
        let paths = places.map(Place::path).collect();
        Ok(Part { name: (*name).into(), comparison, paths })
    };
    Ok(NaturalKey { parts: names.iter().map(part).collect::<Result<_, String>>()?, origin })
}

/// The name of the schema of references to an endpoint's resource, if documents have one and list its members. Nothing refers to a
/// descriptor in this way.
pub fn own_reference<'s>(source: &'s Source, endpoint: &Endpoint) -> Option<&'s str> {
    if endpoint.resource.is_descriptor() {
        return None;
    }
    let known = |body: String| {
        let known =
            ["Reference", "_Reference"].iter().find_map(|end| source.schemas.get_key_value(&(body.clone() + end)));
        known.filter(|(_, members)| !members.is_empty()).map(|(name, _)| name.as_str())
    };
    known(endpoint.body.clone()).or_else(|| {
        // The Data Management Service calls the body of a school year `EdFi_SchoolYear`, a reference to it `EdFi_SchoolYearTypeReference`.
        let prefix = endpoint.body.split_once('_').map_or("", |(prefix, _)| prefix);
        known(format!("{prefix}_{}", capitalised(endpoint.resource.name().trim_end_matches('s'))))
    })
}

/// `source` with members in those references that documents do not describe, as far as keys tell them: a part that stands nowhere else stands
/// in a required reference of which nothing else is known.
pub fn with_open_references(source: &Source) -> Cow<'_, Source> {
    let mut found: BTreeMap<&str, Vec<Member>> = BTreeMap::new();
    if !source.schemas.iter().any(|(name, members)| members.is_empty() && name.ends_with("Reference")) {
        return Cow::Borrowed(source);
    }
    let is_listed = is_listed(source);
    for endpoint in &source.endpoints {
        let reference = own_reference(source, endpoint);
        let Some(own) = reference.and_then(|name| source.schemas.get(name)) else { continue };
        let body = Body::of(source, endpoint, reference, is_listed);
        let open = body.fields.iter().filter(|field| field.required).filter_map(Field::reference);
        let open: Vec<&str> = open.filter(|(_, members)| members.is_empty()).map(|(schema, _)| schema).collect();
        let names: Vec<&str> = own.iter().map(|member| member.name.as_str()).collect();
        let places = body.places(&names, &names);
        for member in own.iter().filter(|member| places.iter().all(|place| place.name != member.name)) {
            let Some(schema) = holder(&open, &member.name) else { continue };
            let members = found.entry(schema).or_default();
            if members.iter().all(|known| known.name != member.name) {
                members.push(Member { required: false, ..member.clone() });
            }
        }
    }
    if found.is_empty() {
        return Cow::Borrowed(source);
    }
    let mut source = source.clone();
    for (name, members) in found.into_iter().map(|(name, members)| (name.to_owned(), members)).collect::<Vec<_>>() {
        source.schemas.insert(name, members);
    }
    Cow::Owned(source)
}

/// Which of the references that documents do not describe holds a part: the only one, or the one whose name begins as the part's does.
fn holder<'o>(open: &[&'o str], part: &str) -> Option<&'o str> {
    let is_kin = |schema: &&&str| {
        let (entity, part) = (entity(schema), capitalised(part));
        part.starts_with(&entity) || entity.starts_with(&part)
    };
    match open {
        [only] => Some(only),
        several => {
            let mut kin = several.iter().filter(is_kin);
            kin.next().filter(|_| kin.next().is_none()).copied()
        }
    }
}

#[cfg(test)]
mod tests;
