//! Which files of a folder hold payloads of which resource.
//!
//! A resource's payloads stand in `{resource}.jsonl`, `.ndjson` or `.json` in the data folder and in files with these
//! endings in a folder named as the resource, whatever the casing. Nothing is passed over without a word: what matches
//! no resource is returned as [`Unused`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::rejects;

/// Endings of data files, in lower case.
const ENDINGS: [&str; 3] = ["jsonl", "ndjson", "json"];

/// What a folder holds: data files by the stem that should name a resource, lower case, each list sorted.
#[derive(Debug, Default)]
pub struct Found {
    /// Stem or folder name in lower case → its files.
    pub files: BTreeMap<String, Vec<PathBuf>>,
    /// Whatever else lies there.
    pub unused: Vec<Unused>,
}

/// Something in the data folder that is not read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unused {
    /// What it is.
    pub path: PathBuf,
    /// Why it is not read.
    pub why: &'static str,
}

/// Lists the data files of a folder. Hidden entries (`.DS_Store`, `.git`) are no data, nor are the reasons beside rejects.
pub fn find(data_dir: &Path) -> Result<Found> {
    let mut found = Found::default();
    for path in entries(data_dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() {
            let inside = entries(&path)?;
            let (files, others): (Vec<_>, Vec<_>) = inside.into_iter().partition(|p| !p.is_dir() && is_data(p));
            found.unused.extend(others.into_iter().map(|path| Unused { path, why: NOT_DATA }));
            match files.is_empty() {
                true => found.unused.push(Unused { path, why: "holds no .jsonl, .ndjson or .json file" }),
                false => found.files.entry(name).or_default().extend(files),
            }
        } else if is_data(&path) {
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_string();
            found.files.entry(stem).or_default().push(path);
        } else {
            found.unused.push(Unused { path, why: NOT_DATA });
        }
    }
    found.files.values_mut().for_each(|files| files.sort());
    Ok(found)
}

const NOT_DATA: &str = "does not end in .jsonl, .ndjson or .json";

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

fn is_data(path: &Path) -> bool {
    path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_folder_is_data_or_named_as_unused() {
        let dir = std::env::temp_dir().join(format!("lightbeam-source-{}-find", std::process::id()));
        for file in [
            "Students.jsonl",
            "students/b.NDJSON",
            "students/a.json",
            "notes.txt",
            "empty/x.csv",
            ".hidden",
            "students.reasons.jsonl",
        ] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = find(&dir).unwrap();
        let short = |p: &PathBuf| p.strip_prefix(&dir).unwrap().display().to_string();
        let students: Vec<_> = found.files["students"].iter().map(short).collect();
        assert_eq!(students, ["Students.jsonl", "students/a.json", "students/b.NDJSON"]);
        let unused: Vec<_> = found.unused.iter().map(|u| short(&u.path)).collect();
        assert_eq!(unused, ["empty/x.csv", "empty", "notes.txt"]);
        fs::remove_dir_all(dir).unwrap();
    }
}
