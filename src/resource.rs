//! What a payload is a payload of: a resource's namespace and name.

use std::fmt;
use std::sync::Arc;

/// A resource or descriptor of the API, such as `/ed-fi/students`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Resource {
    /// From its parts, spelled as the API spells them.
    pub fn new(namespace: &str, name: &str) -> Resource {
        Resource { namespace: namespace.into(), name: name.into() }
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

    /// Whether it is a descriptor, which the Ed-Fi API tells by its name alone.
    pub fn is_descriptor(&self) -> bool {
        self.name.ends_with("Descriptors")
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
}
