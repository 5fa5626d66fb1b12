//! The values of descriptors, such as `uri://ed-fi.org/TermDescriptor#Fall Semester`, to tell those that exist from those that do not.
//!
//! Casing does not count: that is how SQL Server compares them for the ODS/API, and how the Data Management Service does (its own tests
//! call it "Descriptor CaseInsensitive Validation"). An ODS/API over PostgreSQL may be stricter, and then says so itself.

use std::collections::{BTreeMap, BTreeSet};

use fxhash::FxHashSet;

use crate::nearest::nearest;
use crate::resource::Resource;

/// The known values, by descriptor. A descriptor that is not in here is one of which nothing is known, not one without values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(BTreeMap<Resource, Set>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Set {
    written: BTreeSet<Box<str>>,
    folded: FxHashSet<Box<str>>,
}

impl Values {
    /// Adds what is known of a descriptor: that it has these values, `namespace#codeValue`, and perhaps others that were added before.
    pub fn add(&mut self, descriptor: &Resource, uris: impl IntoIterator<Item = impl AsRef<str>>) {
        let set = self.0.entry(descriptor.clone()).or_default();
        for uri in uris {
            set.written.insert(uri.as_ref().into());
            set.folded.insert(uri.as_ref().to_lowercase().into());
        }
    }

    /// Whether a descriptor has this value; `None` if nothing is known of it. A value that is spelled as the API spells it is found without
    /// a copy of it being made.
    pub fn has(&self, descriptor: &Resource, uri: &str) -> Option<bool> {
        let set = self.0.get(descriptor)?;
        Some(set.written.contains(uri) || set.folded.contains(uri.to_lowercase().as_str()))
    }

    /// The value that was probably meant by an unknown one: of those in its namespace that whose code is spelled much like it, else one
    /// of any namespace with that code.
    pub fn nearest(&self, descriptor: &Resource, uri: &str) -> Option<&str> {
        let (namespace, code) = split(uri);
        let own = |known: &&str| split(known).0.eq_ignore_ascii_case(namespace);
        let near = nearest(code, self.of(descriptor).filter(own).map(|known| split(known).1));
        let near = near.and_then(|near| self.of(descriptor).filter(own).find(|known| split(known).1 == near));
        near.or_else(|| self.of(descriptor).find(|known| split(known).1.eq_ignore_ascii_case(code)))
    }

    /// The values of a descriptor as the API spells them, sorted.
    pub fn of(&self, descriptor: &Resource) -> impl Iterator<Item = &str> {
        self.0.get(descriptor).into_iter().flat_map(|set| set.written.iter().map(|uri| &**uri))
    }

    /// The descriptors of which the values are known, sorted.
    pub fn descriptors(&self) -> impl Iterator<Item = &Resource> {
        self.0.keys()
    }

    /// How many values are known in all.
    pub fn count(&self) -> usize {
        self.0.values().map(|set| set.written.len()).sum()
    }
}

/// Namespace and code.
pub fn split(uri: &str) -> (&str, &str) {
    uri.split_once('#').unwrap_or(("", uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FALL: &str = "uri://ed-fi.org/TermDescriptor#Fall Semester";
    const LOCAL: &str = "uri://tx.example/TermDescriptor#Tri-Term";

    fn terms() -> (Resource, Values) {
        let (terms, mut values) = (Resource::new("ed-fi", "termDescriptors"), Values::default());
        values.add(&terms, ["uri://ed-fi.org/TermDescriptor#Spring Semester", FALL, LOCAL]);
        (terms, values)
    }

    #[test]
    fn a_value_is_known_in_any_casing_and_only_of_its_descriptor() {
        let (terms, values) = terms();
        assert_eq!(values.has(&terms, FALL), Some(true));
        assert_eq!(values.has(&terms, &FALL.to_uppercase()), Some(true));
        assert_eq!(values.has(&terms, "uri://ed-fi.org/TermDescriptor#Fall"), Some(false));
        assert_eq!(values.has(&terms, "Fall Semester"), Some(false));
        assert_eq!(values.has(&Resource::new("ed-fi", "sexDescriptors"), FALL), None);
    }

    #[test]
    fn values_add_up_and_a_descriptor_may_have_none() {
        let (terms, mut values) = terms();
        let none = Resource::new("tx", "noneDescriptors");
        values.add(&none, [""; 0]);
        values.add(&terms, ["uri://ed-fi.org/TermDescriptor#Year Round", FALL]);
        assert_eq!((values.count(), values.has(&none, FALL)), (4, Some(false)));
        assert!(values.descriptors().eq([&terms, &none]));
        assert!(values.of(&terms).is_sorted());
    }

    #[test]
    fn what_was_meant_is_looked_for_by_its_code_in_its_namespace_and_then_in_others() {
        let (terms, values) = terms();
        let meant = |uri: &str| values.nearest(&terms, uri);
        assert_eq!(meant("uri://ed-fi.org/TermDescriptor#Fal Semester"), Some(FALL));
        assert_eq!(meant("uri://ed-fi.org/TermDescriptor#Tri-Term"), Some(LOCAL));
        assert_eq!(meant("Fall Semester"), Some(FALL));
        assert_eq!(meant("uri://ed-fi.org/TermDescriptor#Quarter"), None);
    }
}
