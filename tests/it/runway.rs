//! Runway, a job runner that calls lightbeam in a container: with the configurations of the assessment bundles, the options before the
//! command, an environment that names less than the configurations ask for, and maybe a user without a home.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lightbeam::sandbox::{Options, Sandbox, start};
use serde_json::Value;

use crate::support::{Ended, Folder, district, ended, students, total};

/// How many payloads a job sends.
const PAYLOADS: u64 = 5;

/// The configurations below a folder. Of files with the same text one stands for all.
fn bundles(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.sort();
    let mut texts = BTreeSet::new();
    files.retain(|file| texts.insert(fs::read(file).unwrap()));
    files
}

/// An API that has the students of the sample district.
fn api() -> Sandbox {
    let (sandbox, folder) = (start(Options { record: true, ..Options::default() }).unwrap(), Folder::new());
    folder.config(&sandbox.url(), "");
    district(&folder);
    folder.run(&["send", "--quiet"]).expect(3);
    sandbox
}

/// A job: a bundle in a folder of its own, which is the working folder too, and what earthmover made for it.
struct Job {
    folder: Folder,
    url: String,
}

impl Job {
    fn new(bundle: &Path, sandbox: &Sandbox) -> Job {
        let folder = Folder::new();
        folder.write("bundle/lightbeam.yaml", fs::read(bundle).unwrap());
        folder.data("students.jsonl", &students(PAYLOADS as usize));
        folder.write("data/input_no_student_id_match.csv", "student,reason\n7,unknown\n");
        Job { folder, url: sandbox.url() }
    }

    /// Nothing in the environment but what Runway puts there, and a home.
    fn command(&self, args: &[&str]) -> Command {
        let data = self.folder.0.join("data");
        let mut command = self.folder.command(&[&["-c", "bundle/lightbeam.yaml"], args].concat());
        command.env_clear().env("HOME", self.folder.0.join("home")).env("DATA_DIR", &data).env("OUTPUT_DIR", &data);
        command.env("EDFI_API_BASE_URL", &self.url).env("API_YEAR", "2025");
        command.env("EDFI_API_CLIENT_ID", "key").env("EDFI_API_CLIENT_SECRET", "s3cret-never-shown");
        command
    }

    /// Fetches the roster as Runway does, and takes the file out of the folder, because it is earthmover's input.
    fn fetch(&self) -> String {
        let resource = "studentEducationOrganizationAssociations";
        let keys = "studentIdentificationCodes,educationOrganizationReference,studentReference";
        ended(self.command(&["fetch", "-s", resource, "-k", keys]).output().unwrap()).expect(0);
        let file = self.folder.0.join(format!("data/{resource}.jsonl"));
        let roster = fs::read_to_string(&file).unwrap();
        fs::remove_file(file).unwrap();
        roster
    }

    /// Sends as Runway does; `change` may change the command before. Returns the results file too.
    fn send(&self, change: impl FnOnce(&mut Command)) -> (Ended, Value) {
        let mut command = self.command(&["send", "--results-file", "lb-send-results.json"]);
        change(&mut command);
        let ended = ended(command.output().unwrap());
        let results = fs::read(self.folder.0.join("lb-send-results.json")).unwrap_or_else(|_| b"null".into());
        (ended, serde_json::from_slice(&results).unwrap())
    }
}

/// What Runway shows of a results file: processed, skipped and failed.
fn shown(results: &Value) -> [u64; 3] {
    ["processed", "skipped", "failed"].map(|what| total(results, what))
}

/// Fetches, sends and sends again with each bundle.
#[track_caller]
fn every_job_is_done(bundles: &[PathBuf]) {
    let sandbox = api();
    for bundle in bundles {
        let job = Job::new(bundle, &sandbox);
        let roster = job.fetch();
        let first: Value = serde_json::from_str(roster.lines().next().unwrap()).unwrap();
        assert!(first["studentReference"]["studentUniqueId"].is_string(), "{}: {first}", bundle.display());
        let (run, results) = job.send(|_| ());
        assert_eq!((run.code(), shown(&results)), (0, [PAYLOADS, 0, 0]), "{}\n{}", bundle.display(), run.err);
        let (run, results) = job.send(|_| ());
        assert_eq!((run.code(), shown(&results)), (99, [PAYLOADS, PAYLOADS, 0]), "{}\n{}", bundle.display(), run.err);
    }
}

#[test]
fn configurations_in_the_forms_of_the_bundles_send_as_runway_runs_them() {
    let own = bundles("fixtures/bundles");
    assert_eq!(own.len(), 6);
    every_job_is_done(&own);
}

#[test]
fn the_published_bundles_send_as_runway_runs_them() {
    match bundles("../shared/bundles").as_slice() {
        [] => println!("not run: there are no published bundles here"),
        published => every_job_is_done(published),
    }
}

/// Lets a user who owns nothing run the command, if this one may choose and the binary stands where everybody can read it.
#[cfg(unix)]
fn as_nobody(job: &Job, command: &mut Command) {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let mut version = Command::new(command.get_program());
    if version.arg("--version").uid(NOBODY).gid(NOBODY).output().is_ok() {
        for folder in ["", "data"] {
            fs::set_permissions(job.folder.0.join(folder), fs::Permissions::from_mode(0o777)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Without state nothing is known to have been sent, so the second run sends again, which changes nothing at the API, and ends with 0, not
/// 99. A state folder in the working folder needs no home.
#[cfg(unix)]
#[test]
fn a_user_without_a_home_that_can_be_written_sends_as_well_and_without_state_each_time() {
    let sandbox = api();
    let homes: [fn(&mut Command); 2] = [
        |command| _ = command.env_remove("HOME"),
        // Below a file not even root can make a folder.
        |command| _ = command.env("HOME", "/dev/null/nobody"),
    ];
    let all = bundles("fixtures/bundles").into_iter().chain(bundles("../shared/bundles"));
    for (bundle, home) in all.zip(homes.into_iter().cycle()) {
        let stateful = fs::read_to_string(&bundle).unwrap().contains("state_dir: ./");
        let job = Job::new(&bundle, &sandbox);
        let send = || {
            job.send(|command| {
                as_nobody(&job, command);
                home(command);
            })
        };
        let (run, results) = send();
        assert_eq!((run.code(), shown(&results)), (0, [PAYLOADS, 0, 0]), "{}\n{}", bundle.display(), run.err);
        if !stateful {
            run.tells(&["without a state folder"]);
        }
        let expected = if stateful { (99, [PAYLOADS, PAYLOADS, 0]) } else { (0, [PAYLOADS, 0, 0]) };
        let (run, results) = send();
        assert_eq!((run.code(), shown(&results)), expected, "{}\n{}", bundle.display(), run.err);
    }
}
