//! Which resource a name means, and how a run writes the resources' names.
//!
//! Two namespaces can have a resource of the same name. A name alone then means the one in the configured namespace, or the one that
//! `namespace_overrides` gives; `tpdm/candidates` means the same everywhere. What a run prints and writes is the resource's *label*: the name
//! alone if no other resource has it and the configuration looks there, else namespace and name. So whatever a run writes
//! (results, rejects, fetched files) is understood again by every command.

use std::collections::BTreeMap;

use crate::model::Source;
use crate::nearest::nearest;
use crate::resource::{Resource, is_same_namespace};
use crate::selector::{Bare, Selector};

/// The order of resources that the API's dependencies leave out; theirs begin with 1.
pub const BEFORE_ALL: u32 = 0;

/// A resource and when its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub resource: Resource,
    /// The order at which it can be created.
    pub create: u32,
    /// The later order at which it can be updated too, where it is not the same.
    pub update: Option<u32>,
}

/// In which namespace a name is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Where no override names the resource.
    pub namespace: &'a str,
    /// Namespace → names.
    pub overrides: &'a BTreeMap<String, Vec<String>>,
}

impl Scope<'_> {
    /// `None` if overrides name it in several namespaces.
    fn namespace_of(&self, name: &str) -> Option<&str> {
        let names = |names: &Vec<String>| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let mut overrides = self.overrides.iter().filter(|(_, list)| names(list)).map(|(namespace, _)| namespace);
        match (overrides.next(), overrides.next()) {
            (None, _) => Some(self.namespace),
            (Some(namespace), None) => Some(namespace),
            (Some(_), Some(_)) => None,
        }
    }

    fn holds(&self, resource: &Resource) -> bool {
        let namespace = self.namespace_of(resource.name());
        namespace.is_some_and(|namespace| is_same_namespace(namespace, resource.namespace()))
    }
}

/// Every resource of the API.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By the name in lower case.
    names: BTreeMap<String, Namesakes>,
    /// As the API spells them.
    namespaces: Vec<String>,
}

/// The resources of one name.
#[derive(Clone, Debug, Default)]
struct Namesakes {
    /// Each in a namespace of its own.
    turns: Vec<Turn>,
    /// The position of the one in the scope.
    meant: Option<usize>,
}

/// What a name alone means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning<'c> {
    /// This resource.
    One(&'c Turn),
    /// One of these, all of them outside the scope.
    Undecided(Vec<&'c Turn>),
    /// Nothing.
    Nothing,
}

impl Namesakes {
    fn bare(&self, position: usize) -> Bare {
        match self.meant {
            Some(meant) if meant == position => Bare::This,
            Some(_) => Bare::Other,
            None if self.turns.len() > 1 => Bare::Undecided,
            None => Bare::Nothing,
        }
    }

    fn all(&self) -> impl Iterator<Item = (&Turn, Bare)> {
        self.turns.iter().enumerate().map(|(position, turn)| (turn, self.bare(position)))
    }

    fn within(&self, namespace: &str) -> Option<&Turn> {
        self.turns.iter().find(|turn| is_same_namespace(turn.resource.namespace(), namespace))
    }

    /// Adds a resource unless it is known.
    fn add(&mut self, scope: Scope, turn: Turn) {
        if self.within(turn.resource.namespace()).is_some() {
            return;
        }
        if scope.holds(&turn.resource) {
            self.meant = Some(self.turns.len());
        }
        self.turns.push(turn);
        let is_ambiguous = self.turns.len() > 1;
        for (position, turn) in self.turns.iter_mut().enumerate() {
            let with_namespace = is_ambiguous || self.meant != Some(position);
            turn.resource = turn.resource.clone().labelled(with_namespace);
        }
    }
}

impl Catalog {
    /// From what the API's dependencies tell.
    pub fn new(scope: Scope, turns: impl IntoIterator<Item = Turn>) -> Catalog {
        let mut catalog = Catalog::default();
        turns.into_iter().for_each(|turn| catalog.add(scope, turn));
        catalog
    }

    /// Adds resources that dependencies leave out.
    pub fn add_unordered(&mut self, scope: Scope, resources: impl IntoIterator<Item = Resource>) {
        for resource in resources {
            self.add(scope, Turn { resource, create: BEFORE_ALL, update: None });
        }
    }

    fn add(&mut self, scope: Scope, turn: Turn) {
        let namespace = turn.resource.namespace();
        if !self.namespaces.iter().any(|known| is_same_namespace(known, namespace)) {
            self.namespaces.push(namespace.to_owned());
        }
        self.names.entry(turn.resource.name().to_lowercase()).or_default().add(scope, turn);
    }

    /// Every resource, and what its name alone means.
    pub fn all(&self) -> impl Iterator<Item = (&Turn, Bare)> {
        self.names.values().flat_map(Namesakes::all)
    }

    /// The resources that are read without any file that names them, in the order in which they are created: the selected ones of
    /// the scope, and those that the selector asks for elsewhere.
    pub fn selected(&self, selector: &Selector) -> Vec<Turn> {
        let is_wanted = |(turn, bare): &(&Turn, Bare)| {
            let asked = *bare == Bare::This || selector.asks_for(&turn.resource, *bare);
            asked && selector.selects(&turn.resource, *bare)
        };
        let mut turns: Vec<_> = self.all().filter(is_wanted).map(|(turn, _)| turn.clone()).collect();
        turns.sort_by_key(|turn| turn.create);
        turns
    }

    /// What a name alone means, whatever its casing.
    pub fn meaning(&self, name: &str) -> Meaning<'_> {
        match self.names.get(&name.to_lowercase()) {
            Some(Namesakes { turns, meant: Some(meant) }) => Meaning::One(&turns[*meant]),
            Some(Namesakes { turns, meant: None }) if turns.len() > 1 => Meaning::Undecided(turns.iter().collect()),
            _ => Meaning::Nothing,
        }
    }

    /// The resource of that name in a namespace, whatever their casing.
    pub fn within(&self, namespace: &str, name: &str) -> Option<&Turn> {
        self.names.get(&name.to_lowercase())?.within(namespace)
    }

    /// What the name of a resource alone means.
    pub fn bare(&self, resource: &Resource) -> Bare {
        let same = self.names.get(&resource.name().to_lowercase());
        let at = same.and_then(|same| Some((same, same.turns.iter().position(|turn| turn.resource == *resource)?)));
        at.map_or(Bare::Nothing, |(same, at)| same.bare(at))
    }

    /// The namespace that a spelling means, as the API spells it.
    pub fn namespace(&self, written: &str) -> Option<&str> {
        self.namespaces.iter().find(|namespace| is_same_namespace(namespace, written)).map(String::as_str)
    }

    /// Whether several namespaces have a resource of that name.
    pub fn is_ambiguous(&self, name: &str) -> bool {
        self.names.get(&name.to_lowercase()).is_some_and(|same| same.turns.len() > 1)
    }

    /// The names that several namespaces have, each with its resources.
    pub fn ambiguous(&self) -> impl Iterator<Item = (&str, Vec<&Resource>)> {
        let several = self.names.iter().filter(|(_, same)| same.turns.len() > 1);
        several.map(|(name, same)| (name.as_str(), same.turns.iter().map(|turn| &turn.resource).collect()))
    }

    /// Gives the resources of documents their labels, so that whatever is made of the documents has them too.
    pub fn label(&self, source: &mut Source) {
        for endpoint in &mut source.endpoints {
            let same = self.names.get(&endpoint.resource.name().to_lowercase());
            let known = same.and_then(|same| same.turns.iter().find(|turn| turn.resource == endpoint.resource));
            known.into_iter().for_each(|turn| endpoint.resource = turn.resource.clone());
        }
    }

    /// What may be meant by a name that is not a resource, or by a namespace and a name: the same in another namespace, or one spelled much
    /// like it. To be put behind a sentence.
    pub fn hint(&self, written: &str) -> String {
        let near = match written.split_once('/') {
            Some(_) => {
                let all: Vec<String> = self.all().map(|(turn, _)| turn.resource.to_string()).collect();
                nearest(written, all.iter().map(String::as_str)).map(str::to_owned)
            }
            None => {
                let elsewhere = self.names.get(&written.to_lowercase()).and_then(|same| same.turns.first());
                if let Some(Turn { resource, .. }) = elsewhere {
                    let namespace = resource.namespace();
                    return format!(
                        "; the namespace {namespace} has it: name it in namespace_overrides, or write {resource}"
                    );
                }
                let meant = self.all().filter(|(_, bare)| *bare == Bare::This).map(|(turn, _)| turn.resource.name());
                let namespaces = || self.namespaces.iter().map(String::as_str);
                let namespace = || nearest(written, namespaces()).map(|near| format!("the namespace {near}"));
                // A name with a date or a number beside it is no nearer than others, but says what it is.
                let part = || {
                    let mut parts = written.split(|c: char| !c.is_ascii_alphabetic()).filter(|part| *part != written);
                    parts.find_map(|part| match self.meaning(part) {
                        Meaning::One(turn) => Some(turn.resource.name()),
                        _ => None,
                    })
                };
                nearest(written, meant).or_else(part).map(str::to_owned).or_else(namespace)
            }
        };
        near.map_or(String::new(), |near| format!("; did you mean {near}?"))
    }
}

/// The ways to write resources of one name, for whoever must choose: `ed-fi/candidates or tpdm/candidates`.
pub fn ways<'r>(resources: impl IntoIterator<Item = &'r Resource>) -> String {
    resources.into_iter().map(Resource::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn((namespace, name, create): (&str, &str, u32)) -> Turn {
        Turn { resource: Resource::new(namespace, name), create, update: None }
    }

    fn catalog(namespace: &str, overrides: &BTreeMap<String, Vec<String>>) -> Catalog {
        let all = [
            ("ed-fi", "students", 3),
            ("ed-fi", "candidates", 4),
            ("tpdm", "candidates", 9),
            ("tpdm", "rubrics", 9),
            ("tx", "leavers", 9),
            ("tpdm", "leavers", 9),
        ];
        Catalog::new(Scope { namespace, overrides }, all.map(turn))
    }

    fn selected(catalog: &Catalog, include: &str, exclude: &str) -> Vec<String> {
        let turns = catalog.selected(&Selector::new(Some(include), Some(exclude)));
        turns.iter().map(|turn| turn.resource.to_string()).collect()
    }

    #[test]
    fn a_label_is_the_name_alone_where_it_can_mean_nothing_else() {
        let labels = |catalog: Catalog| -> Vec<String> {
            catalog.all().map(|(turn, _)| turn.resource.label().to_owned()).collect()
        };
        let ambiguous = ["ed-fi/candidates", "tpdm/candidates", "tx/leavers", "tpdm/leavers"];
        let expected = |rubrics, students| [&ambiguous[..], &[rubrics, students]].concat();
        assert_eq!(labels(catalog("ed-fi", &BTreeMap::new())), expected("tpdm/rubrics", "students"));
        assert_eq!(labels(catalog("TPDM", &BTreeMap::new())), expected("rubrics", "ed-fi/students"));
        let overrides = BTreeMap::from([("tpdm".to_string(), vec!["Rubrics".to_string(), "candidates".into()])]);
        assert_eq!(labels(catalog("edfi", &overrides)), expected("rubrics", "students"));
    }

    #[test]
    fn every_label_is_understood_as_the_resource_that_it_labels() {
        for namespace in ["ed-fi", "tpdm", "none"] {
            let catalog = catalog(namespace, &BTreeMap::new());
            for (turn, _) in catalog.all() {
                let label = turn.resource.label();
                let meant = match label.split_once('/') {
                    Some((namespace, name)) => catalog.within(namespace, name),
                    None => match catalog.meaning(label) {
                        Meaning::One(turn) => Some(turn),
                        _ => None,
                    },
                };
                assert_eq!(meant, Some(turn), "{label}");
                assert_eq!(selected(&catalog, label, ""), [turn.resource.to_string()], "{label}");
            }
        }
    }

    #[test]
    fn a_name_alone_means_what_the_scope_has_and_else_all_of_that_name() {
        let overrides = BTreeMap::new();
        let catalog = catalog("ed-fi", &overrides);
        assert_eq!(selected(&catalog, "candidates", ""), ["ed-fi/candidates"]);
        assert_eq!(selected(&catalog, "Leavers", ""), ["tx/leavers", "tpdm/leavers"]);
        assert_eq!(selected(&catalog, "rubrics", ""), [""; 0], "only tpdm has it, and nobody said so");
        assert_eq!(selected(&catalog, "*", ""), ["ed-fi/students", "ed-fi/candidates"]);
        assert_eq!(selected(&catalog, "", ""), ["ed-fi/students", "ed-fi/candidates"]);
        assert_eq!(selected(&catalog, "*s", ""), ["ed-fi/students", "ed-fi/candidates"]);
        let namespaces = ["ed-fi", "tpdm"].map(|namespace| (namespace.to_string(), vec!["candidates".to_string()]));
        let undecided = self::catalog("ed-fi", &BTreeMap::from(namespaces));
        assert_eq!(selected(&undecided, "candidates", ""), ["ed-fi/candidates", "tpdm/candidates"]);
        let Meaning::Undecided(turns) = catalog.meaning("leavers") else { panic!("two have it") };
        assert_eq!(ways(turns.iter().map(|turn| &turn.resource)), "tx/leavers or tpdm/leavers");
        assert_eq!(catalog.meaning("rubrics"), Meaning::Nothing);
    }

    #[test]
    fn a_pattern_with_a_slash_means_namespace_and_name() {
        let catalog = catalog("ed-fi", &BTreeMap::new());
        assert_eq!(selected(&catalog, "TPDM/*", "").len(), 3);
        assert_eq!(selected(&catalog, "*/candidates", ""), ["ed-fi/candidates", "tpdm/candidates"]);
        assert_eq!(selected(&catalog, "edfi/cand*,t*/l*", "tx/*"), ["ed-fi/candidates", "tpdm/leavers"]);
        assert_eq!(selected(&catalog, "*/*", "tpdm/*,candidates"), ["ed-fi/students", "tx/leavers"]);
        for nothing in ["/candidates", "tpdm/", "a/tpdm/candidates", "tpdm/candidates/x", "t*m/candidates"] {
            assert_eq!(selected(&catalog, nothing, ""), [""; 0], "{nothing}");
            let known = catalog.all().map(|(turn, bare)| (&turn.resource, bare));
            assert_eq!(Selector::new(Some(nothing), None).unknown(known), [nothing]);
        }
    }

    #[test]
    fn to_exclude_a_name_alone_spares_only_the_namesakes_of_what_it_means() {
        let catalog = catalog("ed-fi", &BTreeMap::new());
        assert_eq!(selected(&catalog, "*/*", "cand*"), selected(&catalog, "*/*", "candidates"));
        assert!(selected(&catalog, "*/*", "cand*").contains(&"tpdm/candidates".to_string()));
        assert_eq!(selected(&catalog, "tpdm/*", "rub*,leavers"), ["tpdm/candidates"]);
        assert_eq!(selected(&catalog, "tpdm/*", "*"), [""; 0]);
    }

    #[test]
    fn what_dependencies_leave_out_comes_before_all_others_and_never_replaces_what_they_have() {
        let overrides = BTreeMap::new();
        let mut catalog = catalog("ed-fi", &overrides);
        let scope = Scope { namespace: "ed-fi", overrides: &overrides };
        let extra = [("ed-fi", "schoolYearTypes"), ("EdFi", "Students"), ("tx", "students")];
        catalog.add_unordered(scope, extra.map(|(namespace, name)| Resource::new(namespace, name)));
        let of = |namespace: &str, name: &str| {
            let turn = catalog.within(namespace, name).unwrap();
            (turn.resource.label().to_owned(), turn.create)
        };
        assert_eq!(of("ed-fi", "schoolyeartypes"), ("schoolYearTypes".into(), BEFORE_ALL));
        assert_eq!(of("ed-fi", "students"), ("ed-fi/students".into(), 3));
        assert_eq!(of("tx", "students"), ("tx/students".into(), BEFORE_ALL));
    }

    #[test]
    fn a_name_that_nothing_has_leads_to_the_nearest() {
        let catalog = catalog("ed-fi", &BTreeMap::new());
        assert_eq!(catalog.hint("studnets"), "; did you mean students?");
        assert_eq!(catalog.hint("tpdm/candidate"), "; did you mean tpdm/candidates?");
        let elsewhere = "; the namespace tpdm has it: name it in namespace_overrides, or write tpdm/rubrics";
        assert_eq!(catalog.hint("Rubrics"), elsewhere);
        assert_eq!(catalog.hint("xyz"), "");
    }
}
