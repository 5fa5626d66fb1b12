//! What a collection can be asked for by GET, and where its payloads hold that. [`crate::edfi::key`] tells which of it is the natural key.

use std::sync::Arc;

use serde_json::Value;

use crate::edfi::key::Path;

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

impl Parameter {
    /// Every place of `payload` that holds it, with the value. Null counts as absent.
    pub fn values<'v>(&self, payload: &'v Value) -> impl Iterator<Item = (&Path, &'v Value)> {
        self.paths.iter().filter_map(|path| Some((path, path.find(payload)?)))
    }
}
