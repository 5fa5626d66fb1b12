//! Which names are meant: comma-separated names with `*` at either end, for resources as well as for keys.

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
}

impl Selector {
    /// From comma-separated names; blank or `None` includes all and excludes none.
    pub fn new(include: Option<&str>, exclude: Option<&str>) -> Selector {
        Selector { include: patterns(include), exclude: patterns(exclude) }
    }

    /// Whether `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let among = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(&name));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }

    /// Whether it says what is meant, if only `*`, and not just what is not.
    pub fn names_something(&self) -> bool {
        !self.include.is_empty()
    }

    /// The patterns, as written, that match none of the `known` names.
    pub fn unknown<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let known: Vec<String> = known.into_iter().map(str::to_lowercase).collect();
        let matches_none = |p: &&Pattern| !known.iter().any(|name| p.matches(name));
        self.include.iter().chain(&self.exclude).filter(matches_none).map(|p| p.written.clone()).collect()
    }
}

impl Pattern {
    fn matches(&self, lower_name: &str) -> bool {
        match (self.lower.strip_prefix('*'), self.lower.strip_suffix('*')) {
            (Some(""), _) => true,
            (Some(rest), Some(_)) => lower_name.contains(rest.trim_end_matches('*')),
            (Some(end), None) => lower_name.ends_with(end),
            (None, Some(start)) => lower_name.starts_with(start),
            (None, None) => lower_name == self.lower,
        }
    }
}

fn patterns(names: Option<&str>) -> Vec<Pattern> {
    names
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| Pattern { written: name.to_string(), lower: name.to_lowercase() })
        .collect()
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

    #[test]
    fn patterns_that_match_no_known_name_are_told_as_they_were_written() {
        let selector = Selector::new(Some("Studnets,schools,x*"), Some("*Association,*s"));
        assert_eq!(selector.unknown(KNOWN), ["Studnets", "x*", "*Association"]);
    }

    #[test]
    fn a_star_within_a_name_matches_nothing_and_so_is_told() {
        assert_eq!(Selector::new(Some("stud*ents"), None).unknown(KNOWN), ["stud*ents"]);
    }
}
