//! Instructions of small fixed loads, as callgrind counts them: where a machine is too noisy for times, a regression shows here.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::SKIPPED;
use crate::child::Sandbox;
use crate::input::Folder;

/// What they were when somebody last looked: `make bench-count write=1` writes them anew.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/counts.txt");

/// So much more than committed is a failure.
const TOLERANCE: f64 = 1.10;

/// Prints the counts and their shares of the committed ones; `false` if one has grown too much.
pub fn measure() -> bool {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions are not counted: there is no valgrind (make bench-count installs it)");
        return true;
    }
    let counts = counts();
    if std::env::var_os("COUNTS_WRITE").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        fs::write(COMMITTED, lines).expect("room for the counts");
    }
    let committed = fs::read_to_string(COMMITTED).unwrap_or_default();
    let committed: BTreeMap<&str, f64> = committed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(n, c)| (n, c.parse().unwrap_or(f64::NAN)))
        .collect();
    println!("{:<20}{:>18}{:>12}", "case", "instructions", "committed");
    let mut fine = true;
    for (name, count) in counts {
        let share = count as f64 / committed.get(name).copied().unwrap_or(f64::NAN);
        let told = if share > TOLERANCE { "  too many" } else { "" };
        fine &= told.is_empty();
        println!("{name:<20}{count:>18}{share:>12.3}{told}");
    }
    fine
}

fn counts() -> Vec<(&'static str, u64)> {
    let sandbox = Sandbox::start(Duration::ZERO);
    // One worker: how often several wait for each other differs from run to run.
    let folder = Folder::new(2_000, &sandbox.url, 1);
    // What the API says of itself is cached.
    sandbox.cost_of(folder.lightbeam(), 0);
    folder.forget_outcomes();
    let send = counted(&folder.lightbeam(), 0);
    let skip = counted(&folder.lightbeam(), SKIPPED);
    drop(folder);
    let folder = Folder::of_schools(20_000, &sandbox.url);
    sandbox.cost_of(folder.validate("[schema]"), 0);
    let validate = counted(&folder.validate("*"), 0);
    vec![("send-2000", send), ("skip-2000", skip), ("validate-20000", validate)]
}

/// Instructions of a command that ends with the code `exit`.
fn counted(command: &Command, exit: i32) -> u64 {
    let mut counting = Command::new("valgrind");
    counting.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(command.get_program());
    counting.args(command.get_args()).current_dir(command.get_current_dir().expect("a folder"));
    let output = counting.output().expect("valgrind");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{counting:?}\n{told}");
    let count = told.lines().find_map(|line| line.split_once("Collected :")).expect("a count").1;
    count.trim().parse().expect("a number")
}
