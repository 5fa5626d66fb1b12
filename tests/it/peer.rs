//! The Python lightbeam side by side with the binary under `compat: python`: the same command lines in twin folders against twin APIs, and
//! the same exit codes, results, files and requests. Run by `make test-peer`, which installs it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Ended, Stage, ended, students};

/// The callers' configuration: everything that differs from one to the next is in the environment. The Python does not look at `compat`.
pub const CONFIG: &str = "\
compat: python
state_dir: ${STATE_DIR}
data_dir: ${DATA_DIR}
edfi_api:
  base_url: ${EDFI_API_BASE_URL}
  version: 3
  mode: shared_instance
  client_id: ${EDFI_API_CLIENT_ID}
  client_secret: ${EDFI_API_CLIENT_SECRET}
connection:
  verify_ssl: false
";

/// Leaves out the descriptors, of which the Python fetches every page anew in each run with `--wipe`.
const QUICK: &str = "validate:\n  methods: [schema, uniqueness]\n";

/// A student without the birth date that is required.
const WRONG: &str = r#"{"studentUniqueId":"9","firstName":"Ada","lastSurname":"Wrong"}"#;

/// The Python's program.
pub fn python() -> PathBuf {
    PathBuf::from(std::env::var_os("PEER").expect("PEER names the Python lightbeam: make test-peer"))
}

/// The same folder twice, for the binary and for the Python, each with an API of its own.
pub struct Twins {
    pub ours: Stage,
    pub theirs: Stage,
}

impl Twins {
    pub fn new() -> Twins {
        Twins::with(&format!("{CONFIG}{QUICK}"))
    }

    fn with(config: &str) -> Twins {
        let twins = Twins { ours: Stage::new(), theirs: Stage::new() };
        twins.write("lightbeam.yaml", config);
        twins
    }

    pub fn write(&self, name: &str, content: &str) {
        self.ours.folder.write(name, content);
        self.theirs.folder.write(name, content);
    }

    pub fn data(&self, name: &str, payloads: &[String]) {
        self.write(&format!("data/{name}"), &payloads.join("\n"));
    }

    /// Runs a command line with both and fails the test unless they end with this code and leave the same behind.
    #[track_caller]
    fn run(&self, args: &[&str], code: i32) {
        self.answer(args, "", code);
    }

    /// The same with something to read from standard input.
    #[track_caller]
    fn answer(&self, args: &[&str], input: &str, code: i32) {
        let (ours, theirs) = self.both(args, input);
        let said = || said(args, &ours, &theirs);
        assert_eq!((ours.code(), theirs.code()), (code, code), "{}", said());
        assert_eq!(results(&self.ours), results(&self.theirs), "left: the results of {}", said());
        assert_eq!(files(&self.ours), files(&self.theirs), "left: the files after {}", said());
        assert_eq!(requests(&self.ours), requests(&self.theirs), "left: what arrived after {}", said());
        // Into a results file the Python only writes, and prints nothing.
        if args.contains(&"count") && !args.contains(&"--results-file") {
            assert_eq!(ours.out, theirs.out, "left: what was printed by {}", said());
        }
    }

    /// Runs a command line with both and fails the test unless they end with these codes of their own.
    #[track_caller]
    fn differ(&self, args: &[&str], ours: i32, theirs: i32) {
        let (our, their) = self.both(args, "");
        assert_eq!((our.code(), their.code()), (ours, theirs), "{}", said(args, &our, &their));
    }

    fn both(&self, args: &[&str], input: &str) -> (Ended, Ended) {
        let mut python = Command::new(python());
        python.args(args);
        (run(self.ours.folder.command(args), &self.ours, input), run(python, &self.theirs, input))
    }
}

/// All that both printed, for the failure of a test.
fn said(args: &[&str], ours: &Ended, theirs: &Ended) -> String {
    format!("{args:?}\n--- ours\n{}{}\n--- theirs\n{}{}", ours.out, ours.err, theirs.out, theirs.err)
}

/// Runs a program in the folder of a stage, with the environment that callers give.
pub fn run(mut command: Command, stage: &Stage, input: &str) -> Ended {
    let folder = &stage.folder.0;
    command.current_dir(folder).env("HOME", folder).env("LIGHTBEAM_COMPAT", "python");
    command.env("STATE_DIR", folder.join("state")).env("DATA_DIR", folder.join("data"));
    command.env("EDFI_API_BASE_URL", stage.sandbox.url());
    command.env("EDFI_API_CLIENT_ID", "key").env("EDFI_API_CLIENT_SECRET", "s3cret-never-shown");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read it may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child.wait_with_output().unwrap())
}

/// The results file, if there is one, without what differs between any two runs, and removes it. The sentences of `validate` are the
/// Python's library's, so that only where they point to is compared.
fn results(stage: &Stage) -> Value {
    let file = stage.folder.0.join("results.json");
    let Ok(text) = fs::read_to_string(&file) else { return Value::Null };
    fs::remove_file(file).unwrap();
    let text = text.replace(stage.folder.0.to_str().unwrap(), "FOLDER").replace(&stage.sandbox.url(), "URL");
    let Ok(mut results) = serde_json::from_str::<Value>(&text) else { return text.into() };
    for key in ["started_at", "completed_at", "runtime_sec"] {
        results.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("no {key} in {text}"));
    }
    let validated = results["command"] == "validate";
    for (_, resource) in results["resources"].as_object_mut().unwrap() {
        for failure in resource.get_mut("failures").and_then(Value::as_array_mut).into_iter().flatten() {
            assert!(failure["message"].is_string(), "{failure}");
            if validated {
                failure["message"] = Value::Null;
            }
        }
        // In the order of the answers, which come as they like.
        for key in ["failures", "successes"] {
            if let Some(list) = resource.get_mut(key).and_then(Value::as_array_mut) {
                list.sort_by_key(Value::to_string);
            }
        }
    }
    results
}

/// The JSON lines in the data folder, without what an API gives each record.
fn files(stage: &Stage) -> BTreeMap<String, Vec<Value>> {
    let folder = stage.folder.0.join("data");
    let lines = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let record = |line: &str| without_additions(serde_json::from_str(line).unwrap());
        let mut records: Vec<Value> = text.lines().map(record).collect();
        // An API may give them in any order.
        records.sort_by_key(Value::to_string);
        records
    };
    let named = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), lines(&entry.path()));
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).map(named).collect()
}

/// A record without what the API added to it, and without the nulls that the Python writes for keys of `-k` that a record lacks.
fn without_additions(mut record: Value) -> Value {
    let additions = ["id", "_etag", "_lastModifiedDate"];
    record.as_object_mut().unwrap().retain(|key, value| !additions.contains(&key.as_str()) && !value.is_null());
    record
}

/// How often each payload arrived, and how many records were deleted.
fn requests(stage: &Stage) -> BTreeMap<(String, String), usize> {
    let mut requests = BTreeMap::new();
    for request in stage.sandbox.received() {
        let request = match request.method.as_str() {
            "POST" => (request.resource, String::from_utf8(request.body).unwrap()),
            "DELETE" => (request.resource, "deleted".into()),
            _ => continue,
        };
        *requests.entry(request).or_default() += 1;
    }
    requests
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_understand_the_same_command_lines() {
    let twins = Twins::new();
    twins.data("students.jsonl", &students(5));
    twins.run(&["send", "--config", "lightbeam.yaml", "--select", "students", "--results", "results.json"], 0);
    twins.run(&["-c", "lightbeam.yaml", "send", "--results-file", "results.json"], 99);
    for (args, code) in [
        (&["-s"][..], 99),
        (&["-e"], 99),
        (&["-s", ""], 99),
        (&["-e", "", "-k", "", "-d", "", "-q", "", "-p", "", "-o", "", "-n", "", "-r", ""], 99),
        (&["-r", "400,409"], 99),
        (&["--resend", "200,201"], 0),
        (&["-o", "01/02/2020"], 99),
        (&["-n", "Jan 5 2020"], 0),
        (&["--older", "2101-01-01 08:30"], 0),
        (&["--force", "--wipe"], 0),
        (&["-k", "id", "-d", "id", "-q", "{}", "--set", "connection.pool_size", "4"], 99),
    ] {
        twins.run(&[&["send", "--results-file", "results.json"], args].concat(), code);
    }
    let every = ["-k", "*", "-d", "id", "-w", "-f", "-o", "2001-01-01", "-n", "2001-01-01", "-r", "409,500"];
    for command in ["validate", "send", "validate+send"] {
        twins.run(&[&[command, "-s", "students", "--results-file", "results.json"], &every[..]].concat(), 0);
    }
    for command in ["count", "fetch"] {
        twins.run(&[&[command, "-s", "students"], &every[..]].concat(), 0);
    }
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_go_on_without_names_that_are_unknown() {
    let twins = Twins::new();
    twins.data("students.jsonl", &students(3));
    twins.run(&["send", "-s", "students,nosuch", "--results-file", "results.json"], 0);
    twins.run(&["send", "-e", "nosuch", "--results-file", "results.json"], 99);
    twins.run(&["send", "--set", "nosuch.key", "1", "--results-file", "results.json"], 99);
    twins.run(&["count", "-s", "students,nosuch"], 0);
    twins.run(&["validate", "-s", "students,nosuch", "--results-file", "results.json"], 0);
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_read_the_callers_configurations() {
    let twice = CONFIG.replace("connection:\n", "connection:\n  timeout: 6000\n  timeout: 5000\n");
    let unset = CONFIG.replace("  mode:", "  year: ${API_YEAR_OF_NOBODY}\n  mode:");
    let overrides = format!("{CONFIG}namespace: ed-fi\nnamespace_overrides:\n  tpdm: [candidates]\n");
    for config in [twice, unset, overrides] {
        let twins = Twins::with(&format!("{config}{QUICK}"));
        twins.data("students.jsonl", &students(3));
        for code in [0, 99] {
            let params = r#"{"EDFI_API_CLIENT_ID": "another"}"#;
            twins.run(&["validate+send", "-c", "lightbeam.yaml", "-p", params, "--results-file", "results.json"], code);
        }
    }
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_end_with_the_same_codes() {
    let send = &["send", "--results-file", "results.json"];
    let validate = &["validate", "--results-file", "results.json"];
    let mixed = Twins::new();
    mixed.data("students.jsonl", &[students(4), vec![WRONG.into()]].concat());
    mixed.run(validate, 0);
    mixed.run(send, 0);
    mixed.run(send, 0);
    let hopeless = Twins::new();
    hopeless.data("students.jsonl", &[WRONG.into()]);
    hopeless.run(send, 1);
    let empty = Twins::new();
    // The Python leaves no results file where there is nothing to read.
    for command in [&send[..], validate, &["delete"]] {
        empty.differ(command, 255, 255);
    }
    empty.data("students.jsonl", &[]);
    empty.run(send, 99);
    empty.differ(&["send", "-s", "schools"], 255, 255);
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_fetch_over_their_own_files() {
    let twins = Twins::new();
    // The Python looks for keys in the first record only.
    twins.data("students.jsonl", &[students(1)[0].replace("}", r#","middleName":"Augusta"}"#)]);
    twins.run(&["send"], 0);
    twins.data("students.jsonl", &students(3)[1..]);
    twins.run(&["send"], 0);
    fs::remove_file(twins.ours.folder.0.join("data/students.jsonl")).unwrap();
    fs::remove_file(twins.theirs.folder.0.join("data/students.jsonl")).unwrap();
    for selection in [&["-k", "studentUniqueId,middleName"][..], &["-d", "id,_etag,birthDate"], &[]] {
        twins.run(&[&["fetch", "-s", "students"], selection].concat(), 0);
    }
    twins.run(&["fetch", "-s", "students", "-q", r#"{"studentUniqueId": "2"}"#], 0);
    twins.run(&["count", "-s", "students,schools"], 0);
    twins.run(&["count", "-s", "students,schools", "--results-file", "results.json"], 0);
    twins.run(&["count", "-s", "students,schools", "--set", "count.separator", "\\,"], 0);
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_delete_when_somebody_says_yes() {
    let twins = Twins::new();
    twins.data("students.jsonl", &students(3));
    twins.run(&["send"], 0);
    twins.answer(&["delete", "-s", "students", "--force"], "yes\n", 0);
    twins.run(&["count", "-s", "students"], 0);
    twins.run(&["send"], 0);
    twins.write("lightbeam.yaml", &format!("{CONFIG}force_delete: true\n"));
    twins.run(&["truncate", "-s", "students"], 0);
    twins.run(&["count", "-s", "students"], 0);
}

#[test]
#[ignore = "needs the Python lightbeam: make test-peer"]
fn peer_and_binary_differ_where_the_readme_says_so() {
    let twins = Twins::new();
    twins.write("stateless.yaml", &CONFIG.replace("state_dir: ${STATE_DIR}\n", ""));
    twins.data("students.jsonl", &students(3));
    twins.data(
        "schoolYearTypes.jsonl",
        &[r#"{"schoolYear":2025,"currentSchoolYear":true,"schoolYearDescription":"2025"}"#.into()],
    );
    // What stops a run.
    twins.differ(&["send", "--set", "edfi_api.base_url", "http://127.0.0.1:1"], 1, 255);
    twins.differ(&["send", "-s", "nosuch"], 1, 255);
    twins.differ(&["send", "--set", "data_dir", "nosuch"], 1, 255);
    twins.differ(&["nosuch"], 1, 255);
    twins.differ(&["--version"], 0, 1);
    // What is read.
    twins.differ(&["send", "-s", "schoolYearTypes"], 0, 255);
    twins.data("Staffs.jsonl", &[r#"{"staffUniqueId":"1","firstName":"Ada","lastSurname":"Byron"}"#.into()]);
    twins.differ(&["send", "-s", "staffs"], 0, 255);
    // What counts as sent before.
    twins.differ(&["send", "-c", "stateless.yaml", "-s", "students"], 0, 0);
    twins.differ(&["send", "-c", "stateless.yaml", "-s", "students"], 99, 0);
    let unresolved = r#"{"studentReference":{"studentUniqueId":"1"},"schoolReference":{"schoolId":1},"entryDate":"2025-08-01","entryGradeLevelDescriptor":"uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"}"#;
    twins.data("studentSchoolAssociations.jsonl", &[unresolved.into()]);
    twins.differ(&["send", "-s", "studentSchoolAssociations"], 1, 1);
    twins.differ(&["send", "-s", "studentSchoolAssociations"], 1, 99);
}
