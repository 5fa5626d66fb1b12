//! The order of a run: which files are sent as which resource, tier after tier.
//!
//! The order is that of the API's dependencies: a tier's resources reference only resources of tiers before it, so that all of a
//! tier is sent together. Resources that dependencies leave out (no Ed-Fi API lists schoolYearTypes there) come before all others.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::folder::Found;
use crate::resource::Resource;
use crate::selector::Selector;
use crate::source::{Blocks, Piece};

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

/// Which resource a name means, and when its turn comes: by name in lower case.
#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<String, Turn>);

/// In which namespace a name is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Where no override names the resource.
    pub namespace: &'a str,
    /// Namespace → names.
    pub overrides: &'a BTreeMap<String, Vec<String>>,
}

impl Scope<'_> {
    fn namespace_of(&self, name: &str) -> &str {
        let names = |names: &Vec<String>| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        self.overrides.iter().find(|(_, list)| names(list)).map_or(self.namespace, |(namespace, _)| namespace)
    }

    /// Punctuation in namespaces differs between tools (`ed-fi`, `edfi`); the Ed-Fi bulk loader ignores it too.
    fn holds(&self, resource: &Resource) -> bool {
        let plain =
            |s: &str| s.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
        plain(self.namespace_of(resource.name())) == plain(resource.namespace())
    }
}

impl Catalog {
    /// From what the API's dependencies tell.
    pub fn new(scope: Scope, turns: impl IntoIterator<Item = Turn>) -> Catalog {
        let within = turns.into_iter().filter(|turn| scope.holds(&turn.resource));
        Catalog(within.map(|turn| (turn.resource.name().to_lowercase(), turn)).collect())
    }

    /// Adds resources that dependencies leave out, and returns those that were new.
    pub fn add_unordered(&mut self, scope: Scope, resources: impl IntoIterator<Item = Resource>) -> Vec<Resource> {
        let mut new = Vec::new();
        for resource in resources.into_iter().filter(|resource| scope.holds(resource)) {
            if let Entry::Vacant(free) = self.0.entry(resource.name().to_lowercase()) {
                free.insert(Turn { resource: resource.clone(), create: BEFORE_ALL, update: None });
                new.push(resource);
            }
        }
        new
    }

    /// Whether a name, in whatever casing, is a resource.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_lowercase())
    }

    /// The selected resources, in the order in which they are created.
    pub fn selected(&self, selector: &Selector) -> Vec<Turn> {
        let selected = self.0.values().filter(|turn| selector.matches(turn.resource.name()));
        let mut turns: Vec<_> = selected.cloned().collect();
        turns.sort_by_key(|turn| turn.create);
        turns
    }

    /// Every name, as the API spells it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|turn| turn.resource.name())
    }
}

/// Tier after tier.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In ascending order; each has at least one job.
    pub tiers: Vec<Tier>,
}

/// Resources that can be sent together.
#[derive(Clone, Debug)]
pub struct Tier {
    /// The order that the API gives it; [`BEFORE_ALL`] for what it gives none.
    pub order: u32,
    /// The number of its first job within the plan.
    pub first: usize,
    /// By name.
    pub jobs: Vec<Job>,
}

/// One resource and its files.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is sent, and when its turn comes.
    pub turn: Turn,
    /// From where, in this order.
    pub files: Vec<Arc<Path>>,
}

impl Plan {
    /// The jobs of all tiers; their numbers are how the rest of a run speaks of resources.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.tiers.iter().flat_map(|tier| &tier.jobs)
    }

    /// How many bytes all files have.
    pub fn bytes(&self) -> u64 {
        self.jobs().map(Job::bytes).sum()
    }
}

impl Job {
    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| std::fs::metadata(file).map_or(0, |m| m.len())).sum()
    }
}

impl Tier {
    /// What is read of all its files, each piece with the number of its job, and before it how many pieces of that job came earlier.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, Piece)> + Send + use<> {
        let files = |(i, job): (usize, &Job)| job.files.iter().map(move |file| (i, file.clone())).collect::<Vec<_>>();
        let blocks = Blocks::new((self.first..).zip(&self.jobs).flat_map(files).collect());
        let (first, mut earlier) = (self.first, vec![0; self.jobs.len()]);
        blocks.map(move |piece| {
            let number = &mut earlier[piece.resource() - first];
            *number += 1;
            (*number - 1, piece)
        })
    }
}

/// Puts the selected resources that have files in order, and returns the files that match no resource too.
pub fn build(catalog: &Catalog, selector: &Selector, found: Found) -> (Plan, Vec<PathBuf>) {
    let mut tiers: BTreeMap<u32, Vec<Job>> = BTreeMap::new();
    let mut unmatched = Vec::new();
    for (name, files) in found.files {
        match catalog.0.get(&name) {
            None => unmatched.extend(files),
            Some(turn) if !selector.matches(turn.resource.name()) => {}
            Some(turn) => {
                let files = files.into_iter().map(Arc::from).collect();
                tiers.entry(turn.create).or_default().push(Job { turn: turn.clone(), files });
            }
        }
    }
    let mut first = 0;
    let tiers = tiers.into_iter().map(|(order, jobs)| {
        let tier = Tier { order, first, jobs };
        first += tier.jobs.len();
        tier
    });
    (Plan { tiers: tiers.collect() }, unmatched)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(overrides: &BTreeMap<String, Vec<String>>) -> Catalog {
        let ordered = [
            ("ed-fi", "students", 3),
            ("ed-fi", "sexDescriptors", 1),
            ("ed-fi", "schools", 3),
            ("tpdm", "candidates", 9),
            ("tpdm", "students", 9),
        ];
        let turn = |(namespace, name, create)| Turn { resource: Resource::new(namespace, name), create, update: None };
        Catalog::new(Scope { namespace: "ed-fi", overrides }, ordered.map(turn))
    }

    fn found(stems: &[&str]) -> Found {
        let files = stems.iter().map(|s| (s.to_string(), vec![PathBuf::from(format!("{s}.jsonl"))])).collect();
        Found { files, unused: Vec::new() }
    }

    fn tiers(plan: &Plan) -> Vec<(u32, Vec<String>)> {
        plan.tiers.iter().map(|t| (t.order, t.jobs.iter().map(|j| j.turn.resource.to_string()).collect())).collect()
    }

    #[test]
    fn tiers_ascend_and_hold_only_what_has_files() {
        let (plan, unmatched) =
            build(&catalog(&BTreeMap::new()), &Selector::default(), found(&["students", "sexdescriptors", "schools"]));
        let expected =
            [(1, vec!["ed-fi/sexDescriptors".to_string()]), (3, vec!["ed-fi/schools".into(), "ed-fi/students".into()])];
        assert_eq!((tiers(&plan), unmatched), (expected.to_vec(), vec![]));
    }

    #[test]
    fn a_name_means_the_resource_of_the_namespace_that_names_it() {
        let overrides = BTreeMap::from([("TPDM".to_string(), vec!["Candidates".to_string()])]);
        let (plan, _) = build(&catalog(&overrides), &Selector::default(), found(&["candidates", "students"]));
        assert_eq!(tiers(&plan), [(3, vec!["ed-fi/students".into()]), (9, vec!["tpdm/candidates".into()])]);
        let (_, unmatched) = build(&catalog(&BTreeMap::new()), &Selector::default(), found(&["candidates"]));
        assert_eq!(unmatched, [PathBuf::from("candidates.jsonl")]);
    }

    #[test]
    fn what_dependencies_leave_out_comes_before_all_others() {
        let overrides = BTreeMap::new();
        let mut catalog = catalog(&overrides);
        let scope = Scope { namespace: "ed-fi", overrides: &overrides };
        let extra = ["schoolYearTypes", "students"].map(|name| Resource::new("ed-fi", name));
        assert_eq!(catalog.add_unordered(scope, extra), [Resource::new("ed-fi", "schoolYearTypes")]);
        let (plan, _) = build(&catalog, &Selector::default(), found(&["schoolyeartypes", "students"]));
        assert_eq!(plan.tiers.iter().map(|t| t.order).collect::<Vec<_>>(), [BEFORE_ALL, 3]);
    }
}
