//! Somebody else may write to the folders that lightbeam writes to: links that he puts there lead it nowhere. What killed runs leave
//! there is removed.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lightbeam::sandbox::Options;

use crate::secrets::files;
use crate::support::{Stage, students, until};

/// A load of which one payload is refused, sent once, so that all files of the state are there.
fn sent() -> (Stage, PathBuf) {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(5), vec!["{\"studentUniqueId\":".into()]].concat());
    stage.run(&["send"]).expect(3);
    let target = fs::read_dir(stage.folder.0.join("state")).unwrap().map(|entry| entry.unwrap().path());
    let mut target = target.filter(|path| path.join("lock").exists());
    let target = target.next().unwrap();
    (stage, target)
}

#[test]
fn a_link_in_place_of_a_file_of_the_state_is_refused_and_its_target_stays_as_it_is() {
    let (stage, target) = sent();
    let precious = stage.folder.write("precious", "precious");
    for name in ["lock", "journal", "ed-fi/students.dat", "ed-fi"] {
        let (path, saved) = (target.join(name), stage.folder.0.join("saved"));
        fs::rename(&path, &saved).unwrap();
        let to = if name == "ed-fi" { stage.folder.0.join("data") } else { precious.clone() };
        symlink(&to, &path).unwrap();
        let before = files(&stage.folder.0.join("data"));
        let run = stage.run(&["send", "--force"]);
        assert_eq!(run.code(), if name == "ed-fi" { 4 } else { 2 }, "{name}: {}", run.out);
        run.tells(&["is a link, and lightbeam follows no links here; remove it"]);
        assert_eq!(fs::read(&precious).unwrap(), b"precious", "{name}");
        assert_eq!(files(&stage.folder.0.join("data")), before, "{name}");
        fs::remove_file(&path).unwrap();
        fs::rename(&saved, &path).unwrap();
    }
    stage.run(&["send", "--force"]).expect(3);
}

#[test]
fn a_link_in_place_of_a_file_of_rejects_is_replaced_and_its_target_stays_as_it_is() {
    let (stage, _) = sent();
    let precious = stage.folder.write("precious", "precious");
    fs::create_dir(stage.folder.0.join("mine")).unwrap();
    let file = stage.folder.0.join("mine/students.jsonl");
    symlink(&precious, &file).unwrap();
    stage.run(&["send", "--force", "--rejects", "mine"]).expect(3);
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(!fs::symlink_metadata(&file).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"studentUniqueId\":\n");
}

#[test]
fn fetch_works_in_a_folder_of_its_own_and_in_no_other() {
    let (stage, _) = sent();
    let thesis = stage.folder.write("victim/thesis.txt", "thesis");
    fs::create_dir(stage.folder.0.join("out")).unwrap();
    symlink(thesis.parent().unwrap(), stage.folder.0.join("out/.fetch")).unwrap();
    let fetch = ["fetch", "-s", "students", "--output", "out"];
    let run = stage.run(&fetch);
    assert_ne!(run.code(), 0);
    run.tells(&["out/.fetch is a link"]);
    assert_eq!(files(thesis.parent().unwrap()), [thesis]);
    fs::remove_file(stage.folder.0.join("out/.fetch")).unwrap();
    // What a fetch of an earlier version left that was killed, open to all.
    stage.folder.write("out/.fetch/0-1", "left behind");
    fs::set_permissions(stage.folder.0.join("out/.fetch"), fs::Permissions::from_mode(0o777)).unwrap();
    stage.run(&fetch).expect(0);
    assert!(!stage.folder.0.join("out/.fetch").exists());
    let mode = fs::metadata(stage.folder.0.join("out/students.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o400, 0o400);
}

fn drafts(folder: &Path) -> usize {
    let is_draft = |file: &&PathBuf| file.extension().is_some_and(|ending| ending == "new");
    if folder.exists() { files(folder).iter().filter(is_draft).count() } else { 0 }
}

#[test]
fn the_next_run_removes_the_drafts_of_a_run_that_was_killed() {
    let stage = Stage::with(Options { latency: Duration::from_millis(5), ..Options::default() });
    let state = stage.folder.0.join("state");
    stage.data("students.jsonl", &[vec![r#"{"studentUniqueId":"0"}"#.into()], students(5_000)].concat());
    let mut run = stage.spawn(&["send"]);
    until("payloads are refused", || drafts(&state) == 2);
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(drafts(&state), 2);
    stage.data("students.jsonl", &students(2));
    stage.run(&["send", "--failed", "--rejects", "mine"]);
    assert_eq!(drafts(&state), 0);
}

#[test]
fn the_next_run_removes_the_draft_of_results_that_a_killed_run_left_and_no_other_file() {
    let (stage, _) = sent();
    let own = stage.folder.write(".r.json.0123456789abcdef.new", "{");
    let other = stage.folder.write(".s.json.0123456789abcdef.new", "{");
    stage.run(&["send", "--results-file", "r.json"]);
    assert!(!own.exists() && other.exists() && stage.folder.0.join("r.json").exists());
}

/// Only root can give a file away; where tests run as somebody else there is nobody to play the other user.
#[test]
fn a_configuration_of_another_user_is_read_only_where_it_is_named() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    let config = stage.folder.0.join("lightbeam.yaml");
    if std::os::unix::fs::chown(&config, Some(54_321), None).is_err() {
        return;
    }
    stage
        .run(&["send"])
        .expect(2)
        .tells(&["./lightbeam.yaml belongs to another user; if you trust it, name it: -c ./lightbeam.yaml"]);
    assert_eq!(stage.posts().len(), 0);
    stage.run(&["send", "-c", "./lightbeam.yaml"]).expect(0);
}
