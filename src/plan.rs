//! The order of a run: which files are sent as which resource, tier after tier.
//!
//! The order is that of the API's dependencies: a tier's resources reference only resources of tiers before it, so that all of a
//! tier is sent together. Resources that dependencies leave out (no Ed-Fi API lists schoolYearTypes there) come before all others.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::catalog::Catalog;
pub use crate::catalog::{BEFORE_ALL, Turn};
use crate::folder::Assigned;
use crate::selector::Selector;
use crate::source::room::Room;
use crate::source::{Blocks, Piece};

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
    pub fn pieces(&self, room: &Room) -> impl Iterator<Item = (usize, Piece)> + Send + use<> {
        let files = |(i, job): (usize, &Job)| job.files.iter().map(move |file| (i, file.clone())).collect::<Vec<_>>();
        let blocks = Blocks::new((self.first..).zip(&self.jobs).flat_map(files).collect());
        let (first, mut earlier) = (self.first, vec![0; self.jobs.len()]);
        let room = room.clone();
        blocks.map(move |piece| {
            let number = &mut earlier[piece.resource() - first];
            *number += 1;
            (*number - 1, piece.held_in(&room))
        })
    }
}

/// Puts the selected resources that have files in order.
pub fn build(catalog: &Catalog, selector: &Selector, assigned: &Assigned) -> Plan {
    let mut tiers: BTreeMap<u32, Vec<Job>> = BTreeMap::new();
    for (resource, (turn, files)) in &assigned.files {
        if selector.selects(resource, catalog.bare(resource)) {
            let files = files.iter().map(|file| Arc::from(file.as_path())).collect();
            tiers.entry(turn.create).or_default().push(Job { turn: turn.clone(), files });
        }
    }
    let mut first = 0;
    let tiers = tiers.into_iter().map(|(order, mut jobs)| {
        jobs.sort_by_cached_key(|job| (job.turn.resource.name().to_lowercase(), job.turn.resource.clone()));
        let tier = Tier { order, first, jobs };
        first += tier.jobs.len();
        tier
    });
    Plan { tiers: tiers.collect() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::catalog::Scope;
    use crate::folder::Found;
    use crate::resource::Resource;

    /// The orders of the tiers, each with its resources, and what is left out.
    fn planned(overrides: &[(&str, &str)], stems: &[&str]) -> (Vec<(u32, Vec<String>)>, Vec<PathBuf>) {
        let overrides = overrides.iter().map(|(namespace, name)| (namespace.to_string(), vec![name.to_string()]));
        let overrides: BTreeMap<_, _> = overrides.collect();
        let ordered = [
            ("ed-fi", "students", 3),
            ("ed-fi", "sexDescriptors", 1),
            ("ed-fi", "schools", 3),
            ("tpdm", "candidates", 9),
            ("tpdm", "students", 9),
        ];
        let turn = |(namespace, name, create)| Turn { resource: Resource::new(namespace, name), create, update: None };
        let scope = Scope { namespace: "ed-fi", overrides: &overrides };
        let mut catalog = Catalog::new(scope, ordered.map(turn));
        catalog.add_unordered(scope, [Resource::new("ed-fi", "schoolYearTypes")]);
        let files = stems.iter().map(|s| (s.to_string(), vec![PathBuf::from(format!("{s}.jsonl"))])).collect();
        let assigned = Found { files, ..Found::default() }.assign(&catalog).unwrap();
        let plan = build(&catalog, &Selector::default(), &assigned);
        let names = |tier: &Tier| tier.jobs.iter().map(|job| job.turn.resource.to_string()).collect();
        let tiers = plan.tiers.iter().map(|tier| (tier.order, names(tier))).collect();
        (tiers, assigned.left_out.into_iter().map(|(path, _)| path).collect())
    }

    #[test]
    fn tiers_ascend_and_hold_only_what_has_files() {
        let expected =
            [(1, vec!["ed-fi/sexDescriptors".to_string()]), (3, vec!["ed-fi/schools".into(), "ed-fi/students".into()])];
        assert_eq!(planned(&[], &["students", "sexdescriptors", "schools"]), (expected.to_vec(), vec![]));
    }

    #[test]
    fn a_name_means_the_resource_of_the_namespace_that_names_it() {
        let (tiers, _) = planned(&[("TPDM", "Candidates")], &["candidates", "students"]);
        assert_eq!(tiers, [(3, vec!["ed-fi/students".into()]), (9, vec!["tpdm/candidates".into()])]);
        assert_eq!(planned(&[], &["candidates"]), (vec![], vec![PathBuf::from("candidates.jsonl")]));
    }

    #[test]
    fn what_dependencies_leave_out_comes_before_all_others() {
        let (tiers, _) = planned(&[], &["schoolyeartypes", "students"]);
        assert_eq!(tiers.iter().map(|(order, _)| *order).collect::<Vec<_>>(), [BEFORE_ALL, 3]);
    }
}
