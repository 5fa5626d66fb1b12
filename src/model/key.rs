//! Where a payload holds what its collection can be asked for, the natural key above all.
//!
//! The parameters of a collection's GET are the one complete list of the parts of the natural key: bodies mark only scalars, and
//! a required reference need not be part of it. Each has to be found again in the payload. A scalar has the parameter's name. The
//! member of a reference has it too, unless the reference plays a role: then the role's words come before it, all of them
//! (`gradingPeriodReference.schoolYear`: `gradingPeriodSchoolYear`), or the first of them (`balanceSheetDimensionReference.code`:
//! `balanceSheetCode`; `responsibilitySchoolReference.schoolId`: `responsibilitySchoolId`). Where several members share a
//! parameter, the API unifies them: they must be equal.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::schema::{Kind, Property, Schema, capitalised};

/// What a collection can be asked for by GET.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// As the query spells it.
    pub name: Arc<str>,
    /// Whether it is part of the natural key.
    pub identity: bool,
    /// Where payloads hold it; those that every payload has come first. Several must hold equal values (key unification).
    pub paths: Vec<Path>,
}

/// The way from a payload's top to a value, such as `$.schoolReference.schoolId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Arc<str>>);

impl Parameter {
    /// Every place of `payload` that holds it, with the value. Null counts as absent.
    pub fn values<'v>(&self, payload: &'v Value) -> impl Iterator<Item = (&Path, &'v Value)> {
        self.paths.iter().filter_map(|path| Some((path, path.find(payload)?)))
    }
}

impl Path {
    /// The value there, unless it is absent or null.
    pub fn find<'v>(&self, payload: &'v Value) -> Option<&'v Value> {
        let value = self.0.iter().try_fold(payload, |value, name| value.get(&**name))?;
        (!value.is_null()).then_some(value)
    }

    /// The names on the way, from the top.
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }

    /// The property of `body` that it leads to.
    pub fn property<'s>(&self, body: &'s Schema) -> Option<&'s Property> {
        let (last, way) = self.0.split_last()?;
        way.iter().try_fold(body, |schema, name| schema.property(name)?.kind.schema())?.property(last)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

/// A value of a key as text, which is how queries have it and how keys are compared; `None` if it is no scalar.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(truth.to_string().into()),
        _ => None,
    }
}

/// Finds the parameters of `names` (and whether each is part of the natural key) in `body`.
pub(super) fn parameters(names: &[(&str, bool)], body: &Schema) -> Vec<Parameter> {
    let known = |name: &str| names.iter().any(|(known, _)| *known == name);
    let mut places: Vec<(String, bool, Path)> = Vec::new();
    for property in &body.properties {
        let Kind::Reference(reference) = &property.kind else {
            let path = Path(vec![property.name.clone()]);
            places.push((property.name.to_string(), property.required, path));
            continue;
        };
        for member in &reference.schema.properties {
            let name = flattened(&property.name, &member.name, &reference.schema, known);
            let path = Path(vec![property.name.clone(), member.name.clone()]);
            places.push((name, property.required && member.required, path));
        }
    }
    places.sort_by_key(|(_, required, _)| !required);
    names
        .iter()
        .map(|&(name, identity)| {
            let paths = places.iter().filter(|(place, ..)| place == name).map(|(.., path)| path.clone()).collect();
            Parameter { name: name.into(), identity, paths }
        })
        .collect()
}

/// The parameter's name for the member of a reference. A name that another member of the same reference has is not meant.
fn flattened(reference: &str, member: &str, schema: &Schema, known: impl Fn(&str) -> bool) -> String {
    let role = reference.strip_suffix("Reference").unwrap_or(reference);
    let words = role.match_indices(|letter: char| letter.is_ascii_uppercase()).map(|(at, _)| at);
    let ends: Vec<usize> = words.chain([role.len()]).collect();
    let member_in_role = capitalised(member);
    let candidates = ends.iter().rev().map(|&end| format!("{}{member_in_role}", &role[..end]));
    candidates
        .into_iter()
        .find(|name| known(name) && schema.property(name).is_none())
        .unwrap_or_else(|| member.to_owned())
}
