//! Which files of a folder hold payloads of which resource.
//!
//! A resource's payloads stand in `{resource}.jsonl`, `.ndjson` or `.json` (or with `.gz` behind that) in the data folder and in files with these endings in a folder
//! named as the resource, whatever the casing; or the same in a folder named as the resource's namespace. Which it is takes the API's
//! [`Catalog`]: [`find`] lists what is there, [`Found::assign`] says what it means. Nothing is passed over without a word.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::catalog::{Catalog, Meaning, Turn, ways};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::rejects;
use crate::resource::Resource;

/// Endings of data files, in lower case.
const ENDINGS: [&str; 3] = ["jsonl", "ndjson", "json"];

/// What a folder holds, by the stem of a file or the name of a folder, in lower case.
#[derive(Debug, Default)]
pub struct Found {
    /// Stem → data files.
    pub files: BTreeMap<String, Vec<PathBuf>>,
    /// The folders in it; what is in those that stand in one of them is listed when it matters.
    pub folders: Vec<(PathBuf, Found)>,
    /// Files that are not data.
    pub others: Vec<PathBuf>,
}

/// Something in the data folder that is not read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unused {
    /// What it is.
    pub path: PathBuf,
    /// Why it is not read.
    pub why: &'static str,
}

/// What files mean.
#[derive(Debug, Default)]
pub struct Assigned {
    /// Each resource that has files, when its turn comes, and the files, sorted.
    pub files: BTreeMap<Resource, (Turn, Vec<PathBuf>)>,
    /// Data files that are left out, each with the reason.
    pub left_out: Vec<(PathBuf, String)>,
    /// Whatever else lies there.
    pub unused: Vec<Unused>,
    /// Names without a namespace that several namespaces have, in lower case, each with its first file.
    pub ambiguous: BTreeMap<String, PathBuf>,
    /// What was taken where a name means two things, in sentences.
    pub notes: Vec<String>,
}

/// Lists the data files of a folder. Hidden entries (`.DS_Store`, `.git`) are no data, nor are the reasons beside rejects.
pub fn find(data_dir: &Path) -> Result<Found> {
    let mut found = list(data_dir)?;
    for (path, within) in &mut found.folders {
        *within = list(path)?;
    }
    Ok(found)
}

/// Lists a folder, but not those in it.
fn list(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    for path in entries(folder)? {
        if path.is_dir() {
            found.folders.push((path, Found::default()));
        } else if is_data(&path) {
            let name = lower_name(&path);
            let stem = plain(&name).rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_string();
            found.files.entry(stem).or_default().push(path);
        } else {
            found.others.push(path);
        }
    }
    Ok(found)
}

const NOT_DATA: &str = "does not end in .jsonl, .ndjson or .json, with or without .gz";
const NO_DATA: &str = "holds no .jsonl, .ndjson or .json file, with or without .gz";

impl Found {
    /// Every data file, at every level.
    pub fn into_files(self) -> Vec<PathBuf> {
        let within = self.folders.into_iter().flat_map(|(_, found)| found.into_files());
        self.files.into_values().flatten().chain(within).collect()
    }

    /// Says of everything what it means. An error if the folder of a resource in that of a namespace cannot be listed.
    pub fn assign(self, catalog: &Catalog) -> Result<Assigned> {
        let mut assigned = Assigned::default();
        let Found { files, folders, others } = self;
        assigned.no_data(others);
        files.into_iter().for_each(|(stem, files)| assigned.by_name(catalog, &stem, files));
        for (path, found) in folders {
            let name = lower_name(&path);
            match catalog.namespace(&name) {
                Some(namespace) if assigned.is_namespace(catalog, (&name, namespace), &path, &found) => {
                    assigned.in_namespace(catalog, namespace, path, found)?;
                }
                _ => {
                    if let Some(files) = assigned.data_of(path, found) {
                        assigned.by_name(catalog, &name, files);
                    }
                }
            }
        }
        assigned.files.values_mut().for_each(|(_, files)| files.sort());
        Ok(assigned)
    }
}

impl Assigned {
    /// Whether a folder is that of a namespace. If a resource has the same name, what is in it decides.
    fn is_namespace(&mut self, catalog: &Catalog, names: (&str, &str), path: &Path, found: &Found) -> bool {
        let (name, namespace) = names;
        if catalog.meaning(name) == Meaning::Nothing {
            return true;
        }
        let folders = found.folders.iter().map(|(path, _)| lower_name(path));
        let is_namespace = found.files.keys().cloned().chain(folders).any(|n| catalog.within(namespace, &n).is_some());
        let (taken, not) = match is_namespace {
            true => (format!("the namespace {namespace}"), "resource"),
            false => (format!("the resource {name}"), "namespace"),
        };
        self.notes.push(format!("{} is read as the folder of {taken}, not of the {not} of that name", path.display()));
        is_namespace
    }

    /// Assigns what is in the folder of a namespace.
    fn in_namespace(&mut self, catalog: &Catalog, namespace: &str, path: PathBuf, found: Found) -> Result<()> {
        let Found { files, folders, others } = found;
        self.no_data(others);
        if files.is_empty() && folders.is_empty() {
            self.unused.push(Unused { path, why: NO_DATA });
            return Ok(());
        }
        let place = |assigned: &mut Assigned, name: &str, files| match catalog.within(namespace, name) {
            Some(turn) => assigned.add(turn, files),
            None => {
                let hint = catalog.hint(&format!("{namespace}/{name}"));
                assigned.leave_out(files, &format!("it matches no resource of the namespace {namespace}{hint}"));
            }
        };
        files.into_iter().for_each(|(stem, files)| place(self, &stem, files));
        for (path, _) in folders {
            let (name, found) = (lower_name(&path), list(&path)?);
            if let Some(files) = self.data_of(path, found) {
                place(self, &name, files);
            }
        }
        Ok(())
    }

    /// The data files of a resource's folder; what else is in it is not read.
    fn data_of(&mut self, path: PathBuf, found: Found) -> Option<Vec<PathBuf>> {
        let Found { files, folders, others } = found;
        self.no_data(folders.into_iter().map(|(path, _)| path).chain(others));
        if files.is_empty() {
            self.unused.push(Unused { path, why: NO_DATA });
            return None;
        }
        Some(files.into_values().flatten().collect())
    }

    /// Assigns files that are named without a namespace.
    fn by_name(&mut self, catalog: &Catalog, name: &str, files: Vec<PathBuf>) {
        if let (true, Some(first)) = (catalog.is_ambiguous(name), files.first()) {
            self.ambiguous.entry(name.to_owned()).or_insert_with(|| first.clone());
        }
        match catalog.meaning(name) {
            Meaning::One(turn) => self.add(turn, files),
            Meaning::Undecided(turns) => {
                let ways = ways(turns.iter().map(|turn| &turn.resource));
                self.leave_out(files, &format!("its name alone does not say which resource it is: write {ways}"));
            }
            Meaning::Nothing => self.leave_out(files, &format!("it matches no resource{}", catalog.hint(name))),
        }
    }

    fn add(&mut self, turn: &Turn, files: Vec<PathBuf>) {
        let assigned = self.files.entry(turn.resource.clone()).or_insert_with(|| (turn.clone(), Vec::new()));
        assigned.1.extend(files);
    }

    fn leave_out(&mut self, files: Vec<PathBuf>, why: &str) {
        self.left_out.extend(files.into_iter().map(|path| (path, why.to_owned())));
    }

    fn no_data(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        self.unused.extend(paths.into_iter().map(|path| Unused { path, why: NOT_DATA }));
    }
}

/// The sorted entries of a folder that are not hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>())
        .or_stop(Exit::Usage, || format!("cannot list the data folder {}", folder.display()))?;
    let of_others = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') || name.ends_with(rejects::REASONS)
    };
    let mut paths: Vec<_> = paths.into_iter().filter(|path| !of_others(path)).collect();
    paths.sort();
    Ok(paths)
}

fn lower_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The name of a file, or of what a compressed one holds.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// Whether a file has a name of those that hold data.
pub fn is_data(path: &Path) -> bool {
    let name = lower_name(path);
    plain(&name).rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalog::Scope;

    /// A folder with these files, removed when it is dropped.
    struct Stage(PathBuf);

    impl Stage {
        fn new(name: &str, files: &[&str]) -> Stage {
            let folder = std::env::temp_dir().join(format!("lightbeam-folder-{}-{name}", std::process::id()));
            for file in files {
                let path = folder.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            Stage(folder)
        }

        fn short(&self, path: &Path) -> String {
            path.strip_prefix(&self.0).unwrap().display().to_string()
        }

        fn assigned(&self, namespace: &str, resources: &[&str]) -> Assigned {
            let overrides = BTreeMap::new();
            let turn = |path: &&str| Turn { resource: Resource::from_path(path).unwrap(), create: 1, update: None };
            let catalog = Catalog::new(Scope { namespace, overrides: &overrides }, resources.iter().map(turn));
            find(&self.0).unwrap().assign(&catalog).unwrap()
        }

        /// The files of each resource.
        fn files(&self, assigned: &Assigned) -> Vec<(String, Vec<String>)> {
            let files = |files: &[PathBuf]| files.iter().map(|path| self.short(path)).collect();
            assigned.files.iter().map(|(resource, (_, paths))| (resource.to_string(), files(paths))).collect()
        }

        fn left_out(&self, assigned: &Assigned) -> Vec<String> {
            assigned.left_out.iter().map(|(path, why)| format!("{}: {why}", self.short(path))).collect()
        }
    }

    impl Drop for Stage {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn owned(files: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        files.iter().map(|(name, files)| (name.to_string(), files.iter().map(|f| f.to_string()).collect())).collect()
    }

    #[test]
    fn every_entry_of_the_folder_is_data_or_named_as_unused() {
        let files = ["Students.jsonl", "students/b.NDJSON", "students/a.json", "students/in/deep.jsonl", "notes.txt"];
        let hidden = ["empty/x.csv", ".hidden", "students.reasons.jsonl", "ed-fi/.x", "ed-fi/schools/x.csv"];
        let stage = Stage::new("entries", &[&files[..], &hidden].concat());
        let assigned = stage.assigned("ed-fi", &["ed-fi/students", "ed-fi/schools"]);
        let students = ["Students.jsonl", "students/a.json", "students/b.NDJSON"];
        assert_eq!(stage.files(&assigned), owned(&[("ed-fi/students", &students)]));
        assert_eq!(stage.left_out(&assigned), [""; 0]);
        let unused: BTreeSet<_> = assigned.unused.iter().map(|unused| stage.short(&unused.path)).collect();
        let expected = ["ed-fi/schools", "ed-fi/schools/x.csv", "empty", "empty/x.csv", "notes.txt", "students/in"];
        assert_eq!(unused, expected.map(String::from).into());
    }

    const BOTH: [&str; 4] = ["ed-fi/candidates", "tpdm/candidates", "tpdm/rubrics", "ed-fi/students"];

    #[test]
    fn files_below_a_namespace_are_of_that_namespace_however_it_is_spelled() {
        let files =
            ["tpdm/Candidates.jsonl", "TPDM/candidates/1.json", "edfi/candidates.ndjson", "ed-fi/students/1.jsonl"];
        let stage = Stage::new("namespaces", &[&files[..], &["candidates.jsonl", "tpdm/rubric.jsonl"]].concat());
        let assigned = stage.assigned("ed-fi", &BOTH);
        let expected: [(&str, &[&str]); 3] = [
            ("ed-fi/candidates", &["candidates.jsonl", "edfi/candidates.ndjson"]),
            ("ed-fi/students", &["ed-fi/students/1.jsonl"]),
            ("tpdm/candidates", &["TPDM/candidates/1.json", "tpdm/Candidates.jsonl"]),
        ];
        assert_eq!(stage.files(&assigned), owned(&expected));
        let told = "tpdm/rubric.jsonl: it matches no resource of the namespace tpdm; did you mean tpdm/rubrics?";
        assert_eq!(stage.left_out(&assigned), [told]);
        assert_eq!(assigned.ambiguous.keys().collect::<Vec<_>>(), ["candidates"]);
        assert!(assigned.notes.is_empty() && assigned.unused.is_empty());
    }

    #[test]
    fn a_name_alone_that_the_scope_does_not_decide_is_left_out_with_the_ways_to_write_it() {
        let stage =
            Stage::new("undecided", &["candidates.jsonl", "rubrics.jsonl", "candidates/2.jsonl", "tpmd/x.json"]);
        let assigned = stage.assigned("tx", &BOTH);
        assert!(assigned.files.is_empty());
        let why = "its name alone does not say which resource it is: write ed-fi/candidates or tpdm/candidates";
        let elsewhere = "the namespace tpdm has it: name it in namespace_overrides, or write tpdm/rubrics";
        let expected = [
            format!("candidates.jsonl: {why}"),
            format!("rubrics.jsonl: it matches no resource; {elsewhere}"),
            format!("candidates/2.jsonl: {why}"),
            "tpmd/x.json: it matches no resource; did you mean the namespace tpdm?".into(),
        ];
        assert_eq!(stage.left_out(&assigned), expected);
    }

    #[test]
    fn a_folder_that_is_a_namespace_and_a_resource_is_what_its_files_are_and_a_note_says_so() {
        let resources = ["ed-fi/sample", "sample/bookings", "sample/sample"];
        let stage = Stage::new("both", &["sample/bookings.jsonl", "sample/part-1.jsonl"]);
        let assigned = stage.assigned("ed-fi", &resources);
        assert_eq!(stage.files(&assigned), owned(&[("sample/bookings", &["sample/bookings.jsonl"])]));
        assert!(
            assigned.notes[0]
                .ends_with("is read as the folder of the namespace sample, not of the resource of that name")
        );
        assert_eq!(assigned.left_out.len(), 1);
        let stage = Stage::new("either", &["sample/part-1.jsonl"]);
        let assigned = stage.assigned("ed-fi", &resources);
        assert_eq!(stage.files(&assigned), owned(&[("ed-fi/sample", &["sample/part-1.jsonl"])]));
        assert!(
            assigned.notes[0]
                .ends_with("is read as the folder of the resource sample, not of the namespace of that name")
        );
    }
}
