//! The sample district is what its README says, because the demo and other tests count on these numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the README says of one file, or what is found in it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    payloads: usize,
    blank: usize,
    duplicates: usize,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/district")
}

fn readme() -> String {
    fs::read_to_string(folder().join("README.md")).unwrap()
}

/// The cells of the README's table that begins with this header, a row a line.
pub fn table(header: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let rows = readme.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.take_while(|row| row.starts_with('|')).map(cells).collect()
}

/// The rows of the counts, without the last, which sums them up.
fn counts_of_files() -> Vec<Vec<String>> {
    let mut rows = table("| tier | file |");
    rows.pop();
    rows
}

fn number(cell: &str) -> usize {
    cell.parse().unwrap()
}

/// Every data file with its lines as a loader sees them, in the order in which a loader reads them.
pub fn files() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if ["jsonl", "ndjson", "json"].contains(&ending) {
                let name = path.strip_prefix(folder()).unwrap().to_str().unwrap().replace('\\', "/");
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.trim_start_matches('\u{feff}').lines();
                found.insert(name, lines.map(|line| line.trim().to_owned()).collect());
            }
        }
    }
    found
}

/// `studentSchoolAttendanceEvents` of `studentSchoolAttendanceEvents/part-1.jsonl`, `Courses` of `Courses.jsonl`.
fn resource(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

#[test]
fn every_file_has_the_payloads_blank_lines_and_duplicates_that_the_readme_counts() {
    let mut seen = BTreeSet::new();
    let mut found = BTreeMap::new();
    for (file, lines) in files() {
        let mut counts = Counts::default();
        for line in lines {
            if line.is_empty() {
                counts.blank += 1;
                continue;
            }
            counts.payloads += 1;
            counts.duplicates += usize::from(!seen.insert((resource(&file).to_owned(), line)));
        }
        found.insert(file, counts);
    }
    let read = |row: Vec<String>| {
        let counts = Counts { payloads: number(&row[2]), blank: number(&row[3]), duplicates: number(&row[4]) };
        (row[1].clone(), counts)
    };
    assert_eq!(found, counts_of_files().into_iter().map(read).collect());
}

#[test]
fn the_last_row_of_the_counts_and_the_sentence_above_them_sum_them_up() {
    let files = counts_of_files();
    let sum = |column: usize| files.iter().map(|row| number(&row[column])).sum::<usize>();
    let distinct = |values: Vec<&str>| values.into_iter().collect::<BTreeSet<_>>().len();
    let (payloads, blank, duplicates, wrong) = (sum(2), sum(3), sum(4), sum(5));

    let row = format!("| all | {} files | {payloads} | {blank} | {duplicates} | {wrong} |", files.len());
    let sentence = format!(
        "{payloads} payloads = {} right + {duplicates} duplicates + {wrong} wrong, in {} resources, {} files, {} tiers.",
        payloads - duplicates - wrong,
        distinct(files.iter().map(|row| resource(&row[1])).collect()),
        files.len(),
        distinct(files.iter().map(|row| row[0].as_str()).collect()),
    );
    for expected in [row, sentence] {
        assert!(readme().lines().any(|line| line == expected), "the README lacks the line: {expected}");
    }
}

#[test]
fn every_wrong_payload_is_explained() {
    let mut explained = BTreeMap::new();
    for row in table("| file | line | answer |") {
        *explained.entry(row[0].clone()).or_insert(0) += 1;
    }
    let mut counted: BTreeMap<_, _> = counts_of_files().iter().map(|row| (row[1].clone(), number(&row[5]))).collect();
    counted.retain(|_, wrong| *wrong > 0);
    assert_eq!(explained, counted);
}

#[test]
fn the_lines_left_to_the_loader_are_those_that_are_no_json_object() {
    let mut found = BTreeSet::new();
    for (file, lines) in files() {
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
            if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).is_err() {
                found.insert((file.clone(), index + 1));
            }
        }
    }
    let explained = table("| file | line | answer |");
    let left = explained.iter().filter(|row| row[2] == "loader").map(|row| (row[0].clone(), number(&row[1])));
    assert_eq!(found, left.collect());
}

#[test]
fn every_tier_is_the_order_that_data_standard_5_gives_the_resource() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata/ds-5.0/dependencies.json");
    let Ok(document) = fs::read(document) else { return };
    let mut orders = BTreeMap::from([("schoolyeartypes".to_owned(), 0)]);
    for entry in serde_json::from_slice::<Vec<serde_json::Value>>(&document).unwrap() {
        if entry["operations"].as_array().unwrap().contains(&"Create".into()) {
            let name = entry["resource"].as_str().unwrap().trim_start_matches("/ed-fi/").to_lowercase();
            orders.insert(name, entry["order"].as_u64().unwrap());
        }
    }
    for row in counts_of_files() {
        assert_eq!(orders.get(&resource(&row[1]).to_lowercase()), Some(&(number(&row[0]) as u64)), "{}", row[1]);
    }
}
