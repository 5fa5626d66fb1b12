//! Airflow: a DAG of its tasks runs the real binary as the Ed-Fi operators for Airflow do, with the same options on every command, and
//! reads the results file. Run by `make test-airflow`, which installs Airflow; `tests/airflow/run_dag.py` is the DAG.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Stage, students};

/// The configuration of a project whose DAGs give the rest: a connection through the environment, a tenant through the parameters.
const CONFIG: &str = "\
state_dir: ${STATE_DIR}
data_dir: ${DATA_DIR}/${TENANT}
edfi_api:
  base_url: ${EDFI_API_BASE_URL}
  version: ${EDFI_API_VERSION}
  mode: ${EDFI_API_MODE}
  year: ${EDFI_API_YEAR}
  client_id: ${EDFI_API_CLIENT_ID}
  client_secret: ${EDFI_API_CLIENT_SECRET}
force_delete: true
";

/// A student without the birth date that is required.
const WRONG: &str = r#"{"studentUniqueId":"9","firstName":"Ada","lastSurname":"Wrong"}"#;

/// Airflow with a database of its own, the folders of a project and an API.
struct Airflow {
    stage: Stage,
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Airflow {
    fn new() -> Airflow {
        Airflow::of_worker(&[])
    }

    /// One whose worker has these variables in its environment.
    fn of_worker(variables: &[(&str, &str)]) -> Airflow {
        let python = std::env::var("AIRFLOW").expect("AIRFLOW names the Python that has Airflow: make test-airflow");
        let stage = Stage::new();
        stage.folder.write("lightbeam.yaml", CONFIG);
        let binary = Path::new(env!("CARGO_BIN_EXE_lightbeam")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([binary.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let airflow = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            command.args(arguments).env("PATH", &path).env("AIRFLOW_HOME", stage.folder.0.join("airflow"));
            command.env("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False");
            command.env("AIRFLOW__CORE__LOAD_EXAMPLES", "False").current_dir(&stage.folder.0);
            command.envs(variables.iter().copied());
            command
        };
        let migrated = airflow(&["-m", "airflow", "db", "migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/airflow/run_dag.py");
        let log = fs::File::create(stage.folder.0.join("airflow.log")).unwrap();
        let mut child = airflow(&[script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Airflow { stage, child, answers }
    }

    fn data(&self, name: &str, payloads: &[String]) {
        self.stage.data(&format!("lantern/{name}"), payloads);
    }

    /// Runs a DAG of these commands with these options beside those that every DAG gives.
    fn run(&mut self, commands: &[&str], options: Value) -> DagRun {
        let folder = &self.stage.folder.0;
        let mut all = json!({
            "config_file": folder.join("lightbeam.yaml"),
            "params": {"TENANT": "lantern"},
            "results_file": folder.join("results/lightbeam.json"),
        });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let environment = json!({
            "DATA_DIR": folder.join("data"),
            "STATE_DIR": folder.join("state"),
            "EDFI_API_BASE_URL": self.stage.sandbox.url(),
            "EDFI_API_CLIENT_ID": "key",
            "EDFI_API_CLIENT_SECRET": "s3cret-never-shown",
            "EDFI_API_YEAR": "2025",
            "EDFI_API_VERSION": "3",
            "EDFI_API_MODE": "shared_instance",
        });
        let request = json!({"commands": commands, "options": all, "environment": environment});
        let mut answer = String::new();
        writeln!(self.child.stdin.as_mut().unwrap(), "{request}").unwrap();
        self.answers.read_line(&mut answer).unwrap();
        let log = fs::read_to_string(folder.join("airflow.log")).unwrap();
        let answer = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("Airflow does not answer\n{log}"));
        // It has every line of a task twice, among many of its own.
        let of_tasks = |line: &&str| line.contains("+0000] {subprocess.py:");
        DagRun { answer, log: log.lines().filter(of_tasks).collect::<Vec<_>>().join("\n") }
    }

    fn posts(&self) -> usize {
        self.stage.posts().len()
    }
}

impl Drop for Airflow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How the tasks of a DAG ended.
struct DagRun {
    answer: Value,
    /// What the tasks have printed so far.
    log: String,
}

impl DagRun {
    #[track_caller]
    fn expect(&self, states: &[(&str, &str)]) -> &DagRun {
        for (task, state) in states {
            assert_eq!(self.answer["states"][task], *state, "{task}: {}\n{}", self.answer["states"], self.log);
        }
        self
    }

    /// The rows that the last task read in the results file.
    fn loaded(&self) -> &Value {
        &self.answer["xcoms"]["load"]
    }
}

/// What a DAG gives when its user has set everything.
fn everything() -> Value {
    json!({
        "selector": ["students", "schools"],
        "resend_status_codes": [409, 500],
        "wipe": true,
        "force": true,
        "older_than": "2001-01-01",
        "newer_than": "2001-01-01",
    })
}

#[test]
#[ignore = "needs Airflow: make test-airflow"]
fn airflow_validates_and_sends_and_skips_the_tasks_of_a_second_run() {
    let mut airflow = Airflow::new();
    airflow.data("students.jsonl", &students(5));
    let run = airflow.run(&["validate", "send"], json!({"selector": ["students"]}));
    run.expect(&[("validate", "success"), ("send", "success"), ("load", "success")]);
    assert_eq!(run.loaded(), &json!([["students", 5, 0, 0, []]]));
    assert!(run.answer["xcoms"]["send"].as_str().is_some_and(|line| !line.is_empty()), "{}", run.answer);
    let run = airflow.run(&["validate", "send"], json!({"selector": ["students"]}));
    run.expect(&[("validate", "success"), ("send", "skipped"), ("load", "skipped")]);
    assert_eq!(airflow.posts(), 5);
    let run = airflow.run(&["validate+send"], json!({}));
    run.expect(&[("validate_and_send", "skipped")]);
    assert!(!run.log.contains("s3cret-never-shown"), "{}", run.log);
}

#[test]
#[ignore = "needs Airflow: make test-airflow"]
fn airflow_gives_every_option_to_every_command() {
    let mut airflow = Airflow::new();
    airflow.data("students.jsonl", &students(5));
    airflow.data("staffs.jsonl", &[r#"{"staffUniqueId":"1","firstName":"Ada","lastSurname":"Byron"}"#.into()]);
    for commands in [&["validate", "send"][..], &["validate+send"]] {
        airflow.run(commands, everything()).expect(&[("load", "success")]);
    }
    assert_eq!(airflow.posts(), 10, "the students are sent with force, the staff is not selected");
    let skipping = json!({"selector": ["students"], "older_than": "2001-01-01", "resend_status_codes": [500]});
    airflow.run(&["validate", "send"], skipping).expect(&[("validate", "success"), ("send", "skipped")]);
    for due in [json!({"newer_than": "2001-01-01"}), json!({"older_than": "2101-01-01 00:00:00"})] {
        let before = airflow.posts();
        airflow.run(&["send"], due).expect(&[("send", "success"), ("load", "success")]);
        assert!(airflow.posts() >= before + 5);
    }
}

#[test]
#[ignore = "needs Airflow: make test-airflow"]
fn airflow_sees_one_bad_row_as_a_failure_unless_the_worker_asks_for_the_codes_of_the_python() {
    let payloads = [students(2), vec![WRONG.to_string()], students(4)[2..].to_vec()].concat();
    let mut strict = Airflow::new();
    strict.data("students.jsonl", &payloads);
    strict.run(&["send"], json!({})).expect(&[("send", "failed"), ("load", "upstream_failed")]);
    let mut airflow = Airflow::of_worker(&[("LIGHTBEAM_COMPAT", "python")]);
    airflow.data("students.jsonl", &payloads);
    let run = airflow.run(&["validate", "send"], json!({}));
    run.expect(&[("validate", "success"), ("send", "success"), ("load", "success")]);
    let row = &run.loaded()[0];
    assert_eq!(row.as_array().unwrap()[..4], json!(["students", 5, 0, 1]).as_array().unwrap()[..]);
    assert_eq!((&row[4][0][0], &row[4][0][2]), (&json!(1), &json!([3])), "{row}");
    assert!(row[4][0][1].as_str().is_some_and(|message| message.contains("birthDate")), "{row}");
    // As in every run: the refused payload goes again, alone, and is refused again, but not all of the five are.
    airflow.run(&["send"], json!({})).expect(&[("send", "success")]);
    let mut hopeless = Airflow::of_worker(&[("LIGHTBEAM_COMPAT", "python")]);
    hopeless.data("students.jsonl", &[WRONG.to_string()]);
    hopeless.run(&["send"], json!({})).expect(&[("send", "failed"), ("load", "upstream_failed")]);
}

#[test]
#[ignore = "needs Airflow: make test-airflow"]
fn airflow_fetches_counts_and_deletes_one_after_the_other() {
    let mut airflow = Airflow::new();
    airflow.data("students.jsonl", &students(5));
    airflow.run(&["send"], json!({})).expect(&[("load", "success")]);
    fs::remove_file(airflow.stage.folder.0.join("data/lantern/students.jsonl")).unwrap();
    let run = airflow.run(&["fetch"], json!({"selector": ["students"], "query": {"studentUniqueId": "3"}}));
    run.expect(&[("fetch", "success")]);
    let run = airflow.run(&["count", "delete"], json!({"selector": ["students"]}));
    run.expect(&[("count", "success"), ("delete", "success")]);
    airflow.run(&["fetch"], json!({"selector": ["students"], "force": true})).expect(&[("fetch", "success")]);
    let left = fs::read_to_string(airflow.stage.folder.0.join("data/lantern/students.jsonl")).unwrap();
    assert_eq!(left.lines().count(), 4, "one was fetched and deleted");
}
