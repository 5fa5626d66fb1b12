//! The state of several targets in one folder, its lock, and files that are not as lightbeam wrote them.

use std::fs;
use std::path::{Path, PathBuf};

use lightbeam::sandbox::{Options, start};

use crate::support::{Stage, students, total, until};

/// The file of that name somewhere below the state's folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => path.ends_with(name).then_some(path),
    })
}

fn state(stage: &Stage, name: &str) -> PathBuf {
    find(&stage.folder.0.join("state"), name).unwrap()
}

/// A stage whose state knows ten students.
fn sent() -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(10));
    stage.send(&[]).0.expect(0);
    stage
}

/// Fails the test unless a run stops because of this file, names it, sends nothing and leaves it alone.
fn stops_at(stage: &Stage, file: &Path) {
    let (bytes, posts) = (fs::read(file).unwrap(), stage.posts().len());
    let run = stage.send(&[]).0.expect(2);
    let name = file.strip_prefix(&stage.folder.0).unwrap().display().to_string();
    let told = format!("{}{}", run.out, run.err);
    assert!(told.contains(&name) && told.contains("it was left as it is"), "{name}\n{told}");
    assert_eq!(fs::read(file).unwrap(), bytes);
    assert_eq!(stage.posts().len(), posts);
}

#[test]
fn two_targets_in_one_folder_each_get_everything() {
    let stage = sent();
    let other = start(Options { record: true, ..Options::default() }).unwrap();
    let url = other.url();
    let to_other = ["--set", "edfi_api.base_url", &url];
    let (run, results) = stage.send(&to_other);
    run.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (10, 0));
    assert_eq!(other.received().len(), 10);
    stage.send(&to_other).0.expect(99);
    stage.send(&[]).0.expect(99);
    assert_eq!(
        fs::read_dir(stage.folder.0.join("state")).unwrap().count(),
        5,
        "two targets, the cache, the tokens and where logins go"
    );
}

#[test]
fn a_second_run_on_the_same_target_is_told_who_is_at_work() {
    let stage = Stage::with(Options { hang: Some(1), ..Options::default() });
    stage.data("students.jsonl", &students(1));
    let mut first = stage.spawn(&["send"]);
    until("the first run sends", || stage.posts().len() == 1);
    let impatient = ["--set", "connection.timeout", "0.5", "connection.num_retries", "0"];
    let (second, results) = stage.send(&impatient);
    let second = second.expect(5);
    let holder = format!("another run (process {}, since ", first.id());
    assert!(second.err.contains(&holder), "{}", second.err);
    assert!(results.is_null(), "the first run's results are not to be replaced");
    assert_eq!(stage.posts().len(), 1);

    let other = start(Options::default()).unwrap();
    stage.send(&["--set", "edfi_api.base_url", &other.url()]).0.expect(0);

    first.kill().unwrap();
    first.wait().unwrap();
    let third = stage.send(&impatient).0;
    assert_eq!(third.code(), 4, "the lock has ended with its holder, the hanging has not: {third:?}");
}

#[test]
fn a_damaged_state_file_is_named_and_left_alone() {
    let stage = sent();
    let file = state(&stage, "students.dat");
    let whole = fs::read(&file).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for damaged in [changed, whole[..whole.len() / 2].to_vec(), Vec::new(), b"\x80\x04\x95 a pickle".to_vec()] {
        fs::write(&file, damaged).unwrap();
        stops_at(&stage, &file);
    }
    fs::write(&file, whole).unwrap();
    stage.send(&[]).0.expect(99);
}

#[test]
fn the_state_file_of_another_target_is_named_and_left_alone() {
    let stage = sent();
    let file = state(&stage, "students.dat");
    let another = sent();
    fs::copy(state(&another, "students.dat"), &file).unwrap();
    stops_at(&stage, &file);
}

#[test]
fn a_foreign_journal_is_named_and_left_alone() {
    let stage = sent();
    let file = state(&stage, "journal");
    fs::write(&file, "something of somebody else").unwrap();
    stops_at(&stage, &file);
}

#[test]
fn a_state_file_put_elsewhere_lets_everything_be_sent_again() {
    let stage = sent();
    fs::remove_file(state(&stage, "students.dat")).unwrap();
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!(total(&results, "updated"), 10);
}

#[test]
fn state_is_for_its_owner_alone_and_holds_no_secret() {
    use std::os::unix::fs::PermissionsExt;
    let stage = sent();
    let file = state(&stage, "students.dat");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(stage.folder.0.join("state")).unwrap().permissions().mode() & 0o777, 0o700);
}
