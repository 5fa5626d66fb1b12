//! Folders of state and rejects that others may write to: another user's are refused, and in the administrator's lightbeam keeps to a
//! folder of its own. Only the administrator can give folders away, so these tests need to be run by him; the rule itself has a unit case.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Ended, Stage, ended, students};

const NOBODY: u32 = 65_534;
const SOMEBODY: u32 = 12_345;

/// Makes a folder of that user's with that mode, if this user can.
fn given(stage: &Stage, name: &str, owner: u32, mode: u32) -> Option<PathBuf> {
    let folder = stage.folder.0.join(name);
    fs::create_dir_all(&folder).unwrap();
    chown(&folder, Some(owner), Some(owner)).ok()?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    Some(folder)
}

fn load() -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(3), vec!["{\"studentUniqueId\":".into()]].concat());
    stage
}

#[test]
fn folders_of_another_user_that_others_may_write_to_are_refused_unless_they_are_trusted() {
    for (key, name) in [("state_dir", "theirs"), ("rejects_dir", "their-rejects")] {
        let stage = load();
        let Some(folder) = given(&stage, name, SOMEBODY, 0o777) else { return };
        let set = ["send", "--set", key, folder.to_str().unwrap()];
        let run = stage.run(&set);
        assert_eq!((run.code(), stage.posts().len()), (2, 0), "{}", run.err);
        run.tells(&[&format!("{key} "), "belongs to another user", "--trust-state-dir"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

        stage.run(&[&set[..], &["--trust-state-dir"]].concat()).expect(3);
        assert!(fs::read_dir(&folder).unwrap().count() > 0);
    }
}

#[test]
fn a_folder_of_another_user_that_only_he_may_write_to_is_used() {
    let stage = load();
    let Some(folder) = given(&stage, "theirs", SOMEBODY, 0o755) else { return };
    stage.run(&["send", "--set", "state_dir", folder.to_str().unwrap()]).expect(3);
}

#[test]
fn no_environment_variable_trusts_a_folder() {
    let stage = load();
    let Some(folder) = given(&stage, "theirs", SOMEBODY, 0o777) else { return };
    let mut command = stage.folder.command(&["send", "--set", "state_dir", folder.to_str().unwrap()]);
    let run = ended(command.env("LIGHTBEAM_TRUST_STATE_DIR", "1").output().unwrap());
    assert_eq!((run.code(), stage.posts().len()), (2, 0), "{}", run.err);
}

/// Runs send as a user who owns nothing, if this one may choose and the binary stands where everybody can read it.
fn as_nobody(stage: &Stage, volume: &Path, results: &Path, more: &[&str]) -> Option<Ended> {
    let options = ["send", "--set", "state_dir", volume.to_str().unwrap(), "--results-file", results.to_str().unwrap()];
    let mut command = stage.folder.command(&[&options[..], more].concat());
    Some(ended(command.uid(NOBODY).gid(NOBODY).output().ok()?))
}

#[test]
fn in_a_volume_that_everybody_may_write_to_state_is_kept_in_a_folder_of_ones_own() {
    let stage = load();
    let Some(volume) = given(&stage, "volume", 0, 0o777) else { return };
    fs::set_permissions(&stage.folder.0, fs::Permissions::from_mode(0o777)).unwrap();
    let results = stage.folder.0.join("results.json");
    let Some(run) = as_nobody(&stage, &volume, &results, &[]) else { return };
    let run = run.expect(3);
    run.tells(&["everybody may write to state_dir", "lightbeam-65534"]);
    let own = fs::read_dir(&volume).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(own, [volume.join("lightbeam-65534")]);
    let metadata = fs::metadata(&own[0]).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o700, NOBODY));
    let results: Value = serde_json::from_slice(&fs::read(&results).unwrap()).unwrap();
    assert!(results["warnings"].to_string().contains("everybody may write"), "{results}");

    let sent = stage.posts().len();
    as_nobody(&stage, &volume, &stage.folder.0.join("again.json"), &[]).unwrap().expect(3);
    assert_eq!(stage.posts().len(), sent, "the state of the run before is found again");
}

#[test]
fn a_link_or_another_users_folder_in_place_of_ones_own_is_refused() {
    let stage = load();
    let Some(volume) = given(&stage, "volume", 0, 0o777) else { return };
    fs::set_permissions(&stage.folder.0, fs::Permissions::from_mode(0o777)).unwrap();
    let results = stage.folder.0.join("results.json");
    let own = volume.join("lightbeam-65534");
    given(&stage, "volume/lightbeam-65534", SOMEBODY, 0o777);
    let Some(run) = as_nobody(&stage, &volume, &results, &[]) else { return };
    assert_eq!((run.code(), stage.posts().len()), (2, 0), "{}", run.err);
    run.tells(&["belongs to somebody else"]);
    fs::remove_dir(&own).unwrap();
    let elsewhere = given(&stage, "elsewhere", NOBODY, 0o777).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &own).unwrap();
    let run = as_nobody(&stage, &volume, &results, &[]).unwrap();
    assert_eq!((run.code(), stage.posts().len()), (2, 0), "{}", run.err);
    run.tells(&["is a link"]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// Every file and folder below this one with its mode.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let mode = fs::metadata(&path).unwrap().mode() & 0o777;
            let within = if path.is_dir() { modes(&path) } else { Vec::new() };
            within.into_iter().chain([(path, mode)])
        })
        .collect()
}

#[test]
fn what_others_are_to_read_has_the_modes_of_the_umask_and_state_and_rejects_are_the_owners_alone() {
    let stage = load();
    let run = |command: &str| {
        let mut shell = std::process::Command::new("sh");
        let lightbeam = stage.folder.command(&[]);
        let program = lightbeam.get_program().to_owned();
        let envs = lightbeam.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.args(["-c", &format!("umask 027; exec \"$0\" {command}")]).arg(program).envs(envs);
        ended(shell.current_dir(&stage.folder.0).output().unwrap())
    };
    run("send --rejects rejects --results-file results.json").expect(3);
    run("fetch -s students --output fetched").expect(0);
    for (name, folder_mode, file_mode) in
        [("fetched", 0o750, 0o640), ("state", 0o700, 0o600), ("rejects", 0o700, 0o600)]
    {
        let found = modes(&stage.folder.0.join(name));
        assert!(found.iter().any(|(path, _)| path.is_file()), "{found:?}");
        for (path, mode) in found {
            let expected = if path.is_dir() { folder_mode } else { file_mode };
            assert_eq!(mode, expected, "{}: {mode:o}", path.display());
        }
        assert_eq!(fs::metadata(stage.folder.0.join(name)).unwrap().mode() & 0o777, folder_mode, "{name}");
    }
    assert_eq!(fs::metadata(stage.folder.0.join("results.json")).unwrap().mode() & 0o777, 0o640);
}
