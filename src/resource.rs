//! What a payload is a payload of: a resource's namespace and name, and how a run writes it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A resource or descriptor of the API, such as `/ed-fi/students`.
#[derive(Clone)]
pub struct Resource {
    namespace: Arc<str>,
    name: Arc<str>,
    /// Takes no part in comparisons: it says how a run writes the resource, not which one it is.
    label: Arc<str>,
}

impl Resource {
    /// From its parts, spelled as the API spells them.
    pub fn new(namespace: &str, name: &str) -> Resource {
        let name: Arc<str> = name.into();
        Resource { namespace: namespace.into(), label: name.clone(), name }
    }

    /// The same resource, written with its namespace if its name alone does not say which one it is.
    pub fn labelled(self, with_namespace: bool) -> Resource {
        let label = if with_namespace { self.to_string().into() } else { self.name.clone() };
        Resource { label, ..self }
    }

    /// From the path that dependencies and OpenAPI documents use, `/ed-fi/students`; `None` if it has not just
    /// these two segments, or one that could lead a file's name astray.
    pub fn from_path(path: &str) -> Option<Resource> {
        let (namespace, name) = path.trim_matches('/').split_once('/')?;
        let letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let plain = |part: &str| part.starts_with(char::is_alphanumeric) && part.chars().all(letter);
        (plain(namespace) && plain(name)).then(|| Resource::new(namespace, name))
    }

    /// Such as `ed-fi`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Such as `students`, as the API spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a run calls it wherever it prints or writes its name: `students`, or `tpdm/candidates` where `candidates` alone does not
    /// say which resource is meant. [`crate::catalog::Catalog`] decides.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether it is a descriptor, which the Ed-Fi API tells by its name alone.
    pub fn is_descriptor(&self) -> bool {
        self.name.ends_with("Descriptors")
    }
}

/// What the spellings of a namespace have in common. Punctuation differs between tools (`ed-fi`, `edfi`), and the Ed-Fi bulk loader
/// ignores it too.
pub fn namespace_key(namespace: &str) -> String {
    letters(namespace).collect()
}

/// Whether two spellings mean one namespace.
pub fn is_same_namespace(a: &str, b: &str) -> bool {
    a == b || letters(a).eq(letters(b))
}

fn letters(namespace: &str) -> impl Iterator<Item = char> {
    namespace.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase)
}

impl PartialEq for Resource {
    fn eq(&self, other: &Resource) -> bool {
        (&self.namespace, &self.name) == (&other.namespace, &other.name)
    }
}

impl Eq for Resource {}

impl Hash for Resource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.name.hash(state);
    }
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Resource) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Resource {
    fn cmp(&self, other: &Resource) -> Ordering {
        (&self.namespace, &self.name).cmp(&(&other.namespace, &other.name))
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_two_segments_is_a_resource_and_no_other() {
        assert_eq!(Resource::from_path("/ed-fi/students"), Some(Resource::new("ed-fi", "students")));
        assert_eq!(Resource::from_path("/TX/leavers/"), Some(Resource::new("TX", "leavers")));
        for path in ["", "/", "/ed-fi", "/ed-fi/", "/ed-fi/students/{id}", "/../etc", "/ed-fi/..", "/a/b\\c"] {
            assert_eq!(Resource::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_label_has_the_namespace_only_where_it_is_needed_and_makes_no_other_resource() {
        let resource = Resource::new("tpdm", "candidates");
        let with_namespace = resource.clone().labelled(true);
        assert_eq!((resource.label(), with_namespace.label()), ("candidates", "tpdm/candidates"));
        assert_eq!(with_namespace.clone().labelled(false).label(), "candidates");
        assert_eq!(with_namespace, resource);
        assert_eq!(with_namespace.cmp(&resource), Ordering::Equal);
    }
}
