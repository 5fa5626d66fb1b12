//! A history of ten million payloads: what it takes on disk and in memory, and how long it takes to open. Each step is a process of its own,
//! so that its memory can be told.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use lightbeam::digest::Digest;
use lightbeam::disk::System;
use lightbeam::edfi::key::StrictKey;
use lightbeam::resource::Resource;
use lightbeam::state::journal::{self, Journal, News};
use lightbeam::state::table::Entry;
use lightbeam::state::{self, History};

use crate::child::{Cost, cost};

/// The argument that makes the bench be one of the steps.
pub const NAME: &str = "history";

const PAYLOADS: u32 = 10_000_000;
/// Entries of the journal of a run that was killed.
const REPLAYED: u32 = 2_000_000;
const TARGET: &str = "http://localhost/data/v3";
/// As many outcomes as reach the journal at once under load.
const BATCH: u32 = 6;

/// Prints what the steps cost.
pub fn measure(runs: usize) {
    let folder = env::temp_dir().join(format!("lightbeam-bench-history-{}", std::process::id()));
    let step = |what: &str| {
        let mut command = Command::new(env::current_exe().expect("the path of this program"));
        command.args([NAME, what]).arg(&folder);
        command
    };
    let size = |end: &str| {
        let files = fs::read_dir(&folder).expect("the folder").flatten().map(|entry| entry.path());
        let mut found = files.flat_map(|path| if path.is_dir() { listed(&path) } else { vec![path] });
        let file = found.find(|path| path.to_string_lossy().ends_with(end)).expect("the file");
        fs::metadata(file).expect("its size").len() as f64
    };
    fs::create_dir_all(&folder).expect("a folder in the temporary folder");
    // One that was over before it could be looked at tells no size.
    let bases = std::iter::repeat_with(|| cost(step("nothing"), 0).memory);
    let base = bases.take(100).find(|base| !base.is_nan()).expect("a look at it");
    row("make", PAYLOADS, &cost(step("make"), 0), base);
    row("open", PAYLOADS, &median(runs, || cost(step("open"), 0)), base);
    println!("{:<46}{:>14.1}", "  bytes on disk a payload", size(".dat") / f64::from(PAYLOADS));
    cost(step("write-journal"), 0);
    row("replay the journal of", REPLAYED, &median(runs, || cost(step("replay"), 0)), base);
    let _ = fs::remove_dir_all(&folder);
}

fn listed(folder: &Path) -> Vec<std::path::PathBuf> {
    let inside = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    inside.flat_map(|path| if path.is_dir() { listed(&path) } else { vec![path] }).collect()
}

fn median(runs: usize, cost: impl Fn() -> Cost) -> Cost {
    Cost::median((0..runs).map(|_| cost()).collect())
}

fn row(what: &str, payloads: u32, cost: &Cost, base: f64) {
    let payloads_f = f64::from(payloads);
    println!(
        "{:<46}{:>14.0}{:>8.2} s{:>9.1} bytes of memory a payload",
        format!("{what} {payloads}, history"),
        payloads_f / cost.seconds,
        cost.seconds,
        (cost.memory - base) / payloads_f
    );
}

/// One of the steps.
pub fn step(what: &str, folder: &Path) {
    let resource = Resource::new("ed-fi", "grades");
    // Each of another record.
    let entry = |number: u32| {
        let digest = Digest::of(&number.to_le_bytes());
        let mut key = StrictKey([0; 12]);
        key.0.copy_from_slice(&digest.0[4..]);
        (digest, Entry { key, ..Entry::of_status(1_700_000_000, 201) })
    };
    let news =
        |range: std::ops::Range<u32>| News { definition: 1, entries: range.map(entry).collect(), said: Vec::new() };
    let path = folder.join("journal");
    match what {
        "make" => {
            let mut history = History::open(Box::new(System), folder, TARGET, &mut |_| ()).expect("a new history");
            // As loads do, some hundred thousand at a time.
            for first in (0..PAYLOADS).step_by(500_000) {
                history.record(&resource, &news(first..first + 500_000));
                history.settle().expect("room for it");
            }
        }
        "open" => {
            let table = state::peek(&System, Some(folder), (TARGET, None), &resource, 1).expect("the history");
            assert_eq!(table.len(), PAYLOADS as usize);
        }
        "write-journal" => {
            let (mut journal, _) = Journal::open(&System, &path).expect("a new journal");
            for first in (0..REPLAYED).step_by(BATCH as usize) {
                journal.append("ed-fi/grades", &news(first..first + BATCH));
            }
            journal.flush().expect("room for it");
        }
        "replay" => {
            let mut replayed = 0;
            journal::read(&System, &path, &mut |_, news| replayed += news.entries.len()).expect("the journal");
            assert!(replayed >= REPLAYED as usize);
        }
        _ => {}
    }
}
