//! What validation says of one payload: no input or output, no look-ups, one pass over its bytes.
//!
//! A [`Checker`] is compiled once from what the model says of a resource. [`Checker::check`] reads the payload as a stream, holds each
//! value against its schema as it comes by, and writes [`Notes`]: every fault with its path, the natural key, and all that the payload
//! refers to, for whoever can look that up. Notes are used again from payload to payload, so that a payload without faults allocates
//! nothing.
//!
//! # What is a fault
//!
//! What the OpenAPI document says, and what it cannot say but every Ed-Fi API refuses: members that share a parameter of the natural key
//! and differ (key unification), a required list without items, two items of a list with the same identity, a descriptor of the wrong
//! kind, an `id` of the client's own, a property given twice. Documents up to ODS/API 5.3 never say that a property may be null; the API takes
//! null for nothing given, wherever that is allowed, and so does the checker. A property that the document does not know is dropped
//! by the API without a word: that is a fault of a kind of its own ([`Rule::Unknown`]), which callers may take for a warning.
//!
//! What the document forbids and this API takes all the same ([`Tolerance`]) is no fault: [`Notes::taken`] tells it, and what the API makes
//! of it. Everything after that, such as keys, goes by what the API makes of it.
//!
//! # What tells the items of a list apart
//!
//! Documents mark scalars of an item's schema as parts of its identity, but never references. The ODS's generated code takes the marked
//! scalars and those references that are required; so does the checker. Where nothing is marked or required, only flat items are
//! compared, whole: equal items are the same item under any identity.

mod coerce;
mod compile;
mod formats;
mod names;
mod notes;
mod spot;
mod walk;

use fxhash::FxHashMap;

pub use compile::{Checker, Refers};
pub use notes::{Descriptor, Fault, Method, Notes, Place, Reference, Rule, Taken};

use crate::edfi::tolerance::Tolerance;
use crate::model::Definition;
use crate::resource::Resource;

/// The checkers of several resources. What their schemas have in common is in memory once.
pub struct Checkers(FxHashMap<Resource, Checker>);

impl Checkers {
    /// Of these resources, on an API that goes by its documents.
    pub fn new<'m>(definitions: impl IntoIterator<Item = &'m Definition>) -> Checkers {
        Checkers::of_api(definitions, Tolerance::default())
    }

    /// Of these resources, on an API that departs from its documents like this.
    pub fn of_api<'m>(definitions: impl IntoIterator<Item = &'m Definition>, tolerance: Tolerance) -> Checkers {
        let mut compiler = compile::Compiler::new(tolerance);
        let checker = |definition: &'m Definition| (definition.resource.clone(), compiler.checker(definition));
        Checkers(definitions.into_iter().map(checker).collect())
    }

    /// The checker of `resource`, if it is among them.
    pub fn get(&self, resource: &Resource) -> Option<&Checker> {
        self.0.get(resource)
    }
}

impl Checker {
    /// Checks one payload. What `notes` held before is gone.
    pub fn check<'c>(&'c self, payload: &[u8], notes: &mut Notes<'c>) {
        walk::check(self, payload, notes);
    }
}

#[cfg(test)]
mod tests;
