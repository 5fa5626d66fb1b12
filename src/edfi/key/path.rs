//! The way from a payload's top to a value.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{Property, Schema};

/// The way from a payload's top to a value, such as `$.schoolReference.schoolId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Arc<[Arc<str>]>);

impl Path {
    /// Through these names, from the top.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Path {
        Path(names.into_iter().map(Arc::from).collect())
    }

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
