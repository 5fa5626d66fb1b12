//! Which names are meant: comma-separated names with `*` at either end, for resources as well as for keys.
//!
//! A name of a resource may stand behind its namespace, `tpdm/candidates`, with `*` at either end of both. Without one it means what the
//! configuration says ([`Bare`]), because two namespaces can have a resource of the same name.

use crate::resource::{Resource, namespace_key};

/// What `--selector` and `--exclude` select: included first, excluded after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Empty: everything.
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// One name; casing does not count. A `*` within a name means nothing and so matches no name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    written: String,
    lower: String,
    /// Of one with a slash, what stands before it, without punctuation, and what stands behind it.
    parts: Option<(String, String)>,
}

/// What the name of a resource means without its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// This resource.
    This,
    /// This one or another one: several namespaces have it, and the configuration decides for none of them.
    Undecided,
    /// A resource of the same name in another namespace.
    Other,
    /// Nothing: only this namespace has it, and the configuration does not look there.
    Nothing,
}

impl Selector {
    /// From comma-separated names; blank or `None` includes all and excludes none.
    pub fn new(include: Option<&str>, exclude: Option<&str>) -> Selector {
        Selector { include: patterns(include), exclude: patterns(exclude) }
    }

    /// Whether the key `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let among = |patterns: &[Pattern]| patterns.iter().any(|p| glob(&p.lower, &name));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }

    /// The names that are included as they are, without a `*`, and not excluded.
    pub fn exact_names(&self) -> Vec<String> {
        let exact = self.include.iter().filter(|p| !p.lower.contains('*') && self.matches(&p.lower));
        exact.map(|p| p.written.clone()).collect()
    }

    /// Whether a resource is meant, given what its name alone means.
    pub fn selects(&self, resource: &Resource, bare: Bare) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|p| p.includes(resource, bare));
        included && !self.exclude.iter().any(|p| p.excludes(resource, bare))
    }

    /// Whether a pattern with a namespace, or the exact name, asks for a resource.
    pub fn asks_for(&self, resource: &Resource, bare: Bare) -> bool {
        let asked = |p: &Pattern| !p.is_everything() && p.includes(resource, bare);
        self.include.iter().any(asked)
    }

    /// Whether it says what is meant, if only `*`, and not just what is not.
    pub fn names_something(&self) -> bool {
        !self.include.is_empty()
    }

    /// The patterns, as written, that match none of the `known` resources.
    pub fn unknown<'a>(&self, known: impl IntoIterator<Item = (&'a Resource, Bare)>) -> Vec<String> {
        if *self == Selector::default() {
            return Vec::new();
        }
        let known: Vec<_> = known.into_iter().collect();
        let included = |p: &&Pattern| known.iter().any(|(resource, bare)| p.includes(resource, *bare));
        let excluded = |p: &&Pattern| known.iter().any(|(resource, bare)| p.excludes(resource, *bare));
        let unknown = self.include.iter().filter(|p| !included(p)).chain(self.exclude.iter().filter(|p| !excluded(p)));
        unknown.map(|p| p.written.clone()).collect()
    }

    /// The patterns without a namespace, as written, that match this name; `*` alone is not a name.
    pub fn without_namespace<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_lowercase();
        let matching = move |p: &&Pattern| p.parts.is_none() && !p.is_everything() && glob(&p.lower, &name);
        self.include.iter().chain(&self.exclude).filter(matching).map(|p| p.written.as_str())
    }
}

impl Pattern {
    fn includes(&self, resource: &Resource, bare: Bare) -> bool {
        // A name is written because it is wanted. A pattern may match other namespaces by chance.
        let means = |bare| bare == Bare::This || bare == Bare::Undecided && !self.lower.contains('*');
        match self.within_namespace(resource) {
            Some(matches) => matches,
            None => self.is_everything() || means(bare) && self.matches_name(resource),
        }
    }

    /// As [`includes`](Self::includes), but what no name alone can mean is left out too: to leave out too much does no harm.
    fn excludes(&self, resource: &Resource, bare: Bare) -> bool {
        match self.within_namespace(resource) {
            Some(matches) => matches,
            None => self.is_everything() || bare != Bare::Other && self.matches_name(resource),
        }
    }

    /// Whether namespace and name match; `None` if it has no namespace.
    fn within_namespace(&self, resource: &Resource) -> Option<bool> {
        let (namespace, name) = self.parts.as_ref()?;
        let matches = glob(namespace, &namespace_key(resource.namespace()));
        Some(matches && glob(name, &resource.name().to_lowercase()))
    }

    fn matches_name(&self, resource: &Resource) -> bool {
        glob(&self.lower, &resource.name().to_lowercase())
    }

    fn is_everything(&self) -> bool {
        self.lower.bytes().all(|byte| byte == b'*')
    }
}

/// Whether a pattern in lower case matches a name in lower case.
fn glob(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => name.contains(rest.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

fn patterns(names: Option<&str>) -> Vec<Pattern> {
    names.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).map(pattern).collect()
}

fn pattern(written: &str) -> Pattern {
    let lower = written.to_lowercase();
    let plain = |namespace: &str| namespace.chars().filter(|c| c.is_alphanumeric() || *c == '*').collect();
    let parts = lower.split_once('/').map(|(namespace, name)| (plain(namespace), name.to_string()));
    Pattern { written: written.to_string(), lower, parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] =
        ["schools", "students", "studentSchoolAssociations", "gradeLevelDescriptors", "sexDescriptors"];

    fn selected(include: Option<&str>, exclude: Option<&str>) -> Vec<&'static str> {
        let selector = Selector::new(include, exclude);
        KNOWN.into_iter().filter(|name| selector.matches(name)).collect()
    }

    #[test]
    fn a_blank_selector_selects_everything() {
        for blank in [None, Some(""), Some("  "), Some(" , ,")] {
            assert_eq!(selected(blank, blank), KNOWN, "{blank:?}");
        }
    }

    #[test]
    fn a_name_selects_itself_whatever_the_casing() {
        assert_eq!(selected(Some("Schools, STUDENTS"), None), ["schools", "students"]);
        assert_eq!(selected(Some("school"), None), [""; 0]);
    }

    #[test]
    fn a_star_stands_at_the_beginning_or_the_end_or_both_or_alone() {
        assert_eq!(selected(Some("student*"), None), ["students", "studentSchoolAssociations"]);
        assert_eq!(selected(Some("*descriptors"), None), ["gradeLevelDescriptors", "sexDescriptors"]);
        assert_eq!(selected(Some("*school*"), None), ["schools", "studentSchoolAssociations"]);
        assert_eq!(selected(Some("*"), None), KNOWN);
        assert_eq!(selected(Some("**"), None), KNOWN);
    }

    #[test]
    fn what_is_excluded_stays_out_even_if_it_was_included() {
        assert_eq!(selected(Some("*"), Some("*Descriptors")), ["schools", "students", "studentSchoolAssociations"]);
        assert_eq!(selected(Some("schools"), Some("schools")), [""; 0]);
    }

    fn unknown(include: Option<&str>, exclude: Option<&str>) -> Vec<String> {
        let known = KNOWN.map(|name| Resource::new("ed-fi", name));
        Selector::new(include, exclude).unknown(known.iter().map(|resource| (resource, Bare::This)))
    }

    #[test]
    fn patterns_that_match_no_known_name_are_told_as_they_were_written() {
        let written = unknown(Some("Studnets,schools,x*,EdFi/Schools,tpdm/*"), Some("*Association,*s,ed-fi/x"));
        assert_eq!(written, ["Studnets", "x*", "tpdm/*", "*Association", "ed-fi/x"]);
    }

    #[test]
    fn a_star_within_a_name_matches_nothing_and_so_is_told() {
        assert_eq!(unknown(Some("stud*ents"), None), ["stud*ents"]);
        assert_eq!(unknown(Some("e*i/students"), None), ["e*i/students"]);
    }

    #[test]
    fn patterns_select_resources_of_one_namespace_as_they_select_keys() {
        for patterns in ["students", "*Descriptors", "student*", "*school*,Schools", "*", "**", "x"] {
            let by_key = |name: &&str| Selector::new(Some(patterns), None).matches(name);
            let by_resource =
                |name: &&str| Selector::new(Some(patterns), None).selects(&Resource::new("ed-fi", name), Bare::This);
            let selected = |of: &dyn Fn(&&str) -> bool| KNOWN.into_iter().filter(of).collect::<Vec<_>>();
            assert_eq!(selected(&by_key), selected(&by_resource), "{patterns}");
        }
    }
}
