//! Under which profile of the API a key works: one for all resources, or one for each.

use std::collections::{BTreeMap, BTreeSet};

use super::yaml::{Content, Node};
use crate::resource::Resource;

/// What a configuration may say of it.
pub const EXPECTED: &str =
    "the name of a profile, of letters, digits, '-', '_' and '.', or a mapping of resources to such names";

/// The profile, or the profiles, that requests name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The same for every resource that it covers.
    Every(String),
    /// One for each resource, by its name; a resource that is not named has none. The name may be that of a namespace and
    /// a resource, as `tpdm/candidates`.
    Each(BTreeMap<String, String>),
}

impl Profile {
    /// Reads it from a name or a mapping; `None` if it is neither, or a name cannot be part of a media type.
    pub fn read(node: &Node) -> Option<Profile> {
        let name = |node: &Node| match &node.content {
            Content::Text(text) => Some(text.value.trim()).filter(|name| is_name(name)).map(String::from),
            _ => None,
        };
        match &node.content {
            Content::Mapping(entries) => {
                let entry = |(resource, node): &(String, Node)| Some((resource.clone(), name(node)?));
                let given = entries.iter().filter(|(_, node)| !matches!(node.content, Content::Null));
                given.map(entry).collect::<Option<_>>().map(Profile::Each)
            }
            _ => name(node).map(Profile::Every),
        }
    }

    /// The profile of a resource.
    pub fn of(&self, resource: &Resource) -> Option<&str> {
        match self {
            Profile::Every(name) => Some(name),
            Profile::Each(names) => names.iter().find(|(key, _)| is_of(key, resource)).map(|(_, name)| name.as_str()),
        }
    }

    /// The names of all profiles, each once.
    pub fn names(&self) -> BTreeSet<&str> {
        match self {
            Profile::Every(name) => BTreeSet::from([name.as_str()]),
            Profile::Each(names) => names.values().map(String::as_str).collect(),
        }
    }

    /// The first name that is none of these resources'.
    pub fn unknown(&self, resources: &[Resource]) -> Option<&str> {
        let Profile::Each(names) = self else { return None };
        let is_known = |key: &&String| resources.iter().any(|resource| is_of(key, resource));
        names.keys().find(|key| !is_known(key)).map(String::as_str)
    }
}

/// Whether a key names a resource.
fn is_of(key: &str, resource: &Resource) -> bool {
    let whole = resource.to_string();
    key.eq_ignore_ascii_case(resource.name()) || key.trim_start_matches('/').eq_ignore_ascii_case(&whole)
}

/// Whether a name can stand in a media type: a profile's name is part of one.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_the_profile_that_is_given_for_it_or_for_all() {
        let [students, candidates] = [Resource::new("ed-fi", "students"), Resource::new("tpdm", "candidates")];
        let every = Profile::Every("sis".into());
        assert_eq!((every.of(&students), every.unknown(&[])), (Some("sis"), None));
        let pairs = [("STUDENTS", "a"), ("tpdm/candidates", "b"), ("staffs", "a")];
        let each = Profile::Each(pairs.map(|(key, name)| (key.to_string(), name.to_string())).into());
        assert_eq!((each.of(&students), each.of(&candidates)), (Some("a"), Some("b")));
        assert_eq!(each.of(&Resource::new("ed-fi", "candidates")), None);
        assert_eq!(each.names(), ["a", "b"].into());
        assert_eq!(each.unknown(&[students, candidates]), Some("staffs"));
    }

    #[test]
    fn a_name_holds_nothing_that_a_header_or_url_could_take_otherwise() {
        assert!(is_name("Test-Profile_1.0"));
        for wrong in ["", "a b", "a/b", "a;q=1", "a\r\nb", "é", "a+json", "a,b"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
