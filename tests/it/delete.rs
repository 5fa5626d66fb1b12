//! `delete`: just the records of the payloads go, those first that refer to others, and history knows of each.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use lightbeam::sandbox::{Options, Received};
use lightbeam::state::target::{self, Lock};
use serde_json::{Value, json};

use crate::stub::Stub;
use crate::support::{Ended, Stage, district, ended, number, signal, students, total, until, without_empty_lists};

/// Runs `delete` or `truncate` with a results file.
pub fn erase(stage: &Stage, command: &str, args: &[&str]) -> (Ended, Value) {
    let file = stage.folder.0.join("erased.json");
    let _ = fs::remove_file(&file);
    let ended = stage.run(&[&[command, "--results-file", "erased.json"], args].concat());
    let results = fs::read(file).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
    balance(&results);
    (ended, results)
}

/// Fails the test unless every payload or record is accounted for just once.
#[track_caller]
fn balance(results: &Value) {
    if results.is_null() || results["dry_run"] == true {
        return;
    }
    for (name, counts) in results["resources"].as_object().unwrap() {
        let of = |what: &str| number(&counts[format!("records_{what}")]);
        assert_eq!(of("processed"), of("skipped") + of("deleted") + of("gone") + of("failed"), "{name}: {counts}");
    }
}

fn delete(stage: &Stage, args: &[&str]) -> (Ended, Value) {
    erase(stage, "delete", &[&["--yes"], args].concat())
}

/// How many records the API has.
pub fn left(stage: &Stage, resource: &str) -> u64 {
    stage.run(&["count", "--quiet", "-s", resource, "--results-file", "left.json"]).expect(0);
    let counts: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("left.json")).unwrap()).unwrap();
    number(&counts["total_records"])
}

/// The DELETEs so far, in the order in which they came.
pub fn deletes(stage: &Stage) -> Vec<Received> {
    stage.sandbox.received().into_iter().filter(|request| request.method == "DELETE").collect()
}

/// An API with that many students.
fn stage(count: usize, options: Options) -> Stage {
    let stage = Stage::with(options);
    stage.data("students.jsonl", &students(count));
    stage.run(&["send", "--quiet", "--set", "num_retries", "20"]).expect(if count == 0 { 99 } else { 0 });
    stage
}

/// Runs the program at a terminal, where somebody types a line; `None` where no such terminal can be had.
pub fn at_terminal(stage: &Stage, args: &str, typed: &str) -> Option<Ended> {
    let version = Command::new("script").arg("--version").output().ok()?;
    if !String::from_utf8_lossy(&version.stdout).contains("util-linux") {
        return None;
    }
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_lightbeam"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(&stage.folder.0).env("HOME", &stage.folder.0);
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{typed}").unwrap();
    Some(ended(child.wait_with_output().unwrap()))
}

#[test]
fn a_whole_district_goes_in_the_reverse_order_of_its_dependencies() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet"]);
    let (ended, results) = delete(&stage, &[]);
    ended.expect(3).tells(&["1,989 records deleted at", "not JSON"]);
    assert_eq!([total(&results, "deleted"), total(&results, "gone"), total(&results, "refused")], [1_989, 6, 2]);
    assert_eq!([total(&results, "processed"), total(&results, "skipped")], [2_000, 3]);
    assert_eq!(stage.run(&["count"]).expect(0).out, "Records\tEndpoint\n55\tschoolYearTypes\n");
    let deletes = deletes(&stage);
    let times = |resource: &str| {
        let of = deletes.iter().filter(|request| request.resource == format!("ed-fi/{resource}"));
        of.map(|request| (request.started, request.ended)).collect::<Vec<_>>()
    };
    for (later, earlier) in
        [("students", "studentSchoolAssociations"), ("sections", "grades"), ("gradeLevelDescriptors", "schools")]
    {
        let last = times(earlier).iter().map(|(_, ended)| *ended).max().unwrap();
        assert!(times(later).iter().all(|(started, _)| *started > last), "{later} before the last of {earlier}");
    }
    let looked_up = stage.sandbox.received().into_iter().filter(|request| request.method == "GET");
    let last = looked_up.take_while(|request| request.started < deletes[0].started).count();
    assert!(last >= 1_995, "all is looked up before anything goes, for persons may be invisible afterwards: {last}");
    // Generations within one resource, the parents first in the file.
    let of = |status| deletes.iter().filter(move |request| request.status == Some(status));
    let parked = of(409).filter(|request| request.resource == "ed-fi/objectiveAssessments").count();
    assert!(of(409).count() == parked && parked > 0, "{parked}");
    let (ended, results) = stage.send(&[]);
    ended.expect(3);
    assert_eq!(total(&results, "created"), 1_989, "all of it is due again");
}

#[test]
fn a_record_is_told_by_every_part_of_its_key_in_its_own_role() {
    let stage = Stage::new();
    district(&stage.folder);
    let kind = "uri://ed-fi.org/ProgramTypeDescriptor#Gifted and Talented";
    let program = |of: u32| {
        format!(
            r#"{{"programName":"Gifted and Talented","programTypeDescriptor":"{kind}","educationOrganizationReference":{{"educationOrganizationId":{of}}}}}"#
        )
    };
    let enrolment = |program_of: u32| {
        format!(
            r#"{{"beginDate":"2024-10-01","educationOrganizationReference":{{"educationOrganizationId":990101}},"programReference":{{"educationOrganizationId":{program_of},"programName":"Gifted and Talented","programTypeDescriptor":"{kind}"}},"studentReference":{{"studentUniqueId":"700001"}}}}"#
        )
    };
    stage.data("programs.jsonl", &[990100, 990101, 990102].map(program));
    stage.data("studentProgramAssociations.jsonl", &[990100, 990101, 990102].map(enrolment));
    stage.run(&["send", "--quiet"]);
    assert_eq!(left(&stage, "studentProgramAssociations"), 3);
    stage.folder.write("few/studentProgramAssociations.jsonl", enrolment(990101));
    let (ended, results) = delete(&stage, &["--data-dir", "few"]);
    ended.expect(0).tells(&["1 record deleted"]);
    assert_eq!(total(&results, "deleted"), 1);
    stage.run(&["fetch", "--sendable", "-s", "studentProgramAssociations", "--output", "out"]).expect(0);
    let kept = fs::read_to_string(stage.folder.0.join("out/studentProgramAssociations.jsonl")).unwrap();
    let mut kept: Vec<_> = kept.lines().map(without_empty_lists).collect();
    kept.sort();
    assert_eq!(kept, [990100, 990102].map(enrolment));
}

#[test]
fn what_is_deleted_is_sent_again_by_the_next_send_and_nothing_else() {
    let stage = stage(10, Options::default());
    stage.folder.write("few/students.jsonl", students(4).join("\n"));
    delete(&stage, &["--data-dir", "few"]).0.expect(0);
    let (ended, results) = stage.send(&[]);
    ended.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (4, 6));
    // Deleted by somebody else, whose state is not ours.
    delete(&stage, &["--set", "state_dir", "other"]).0.expect(0);
    stage.send(&[]).0.expect(99);
    let (ended, results) = delete(&stage, &[]);
    ended.expect(0).tells(&["0 records deleted"]);
    assert_eq!((total(&results, "deleted"), total(&results, "gone")), (0, 10));
    let (_, results) = stage.send(&[]);
    assert_eq!(total(&results, "created"), 10);
}

#[test]
fn a_record_that_others_refer_to_stays_and_so_does_what_is_known_of_it() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.run(&["send", "--quiet"]);
    let before = left(&stage, "calendars");
    let (ended, results) = delete(&stage, &["-s", "calendars,courseTranscripts"]);
    ended.expect(3).tells(&["calendars 409", "'CalendarDate' item refers to it"]);
    assert_eq!([total(&results, "deleted"), total(&results, "refused")], [30, before]);
    let failure = &results["resources"]["calendars"]["failures"][0];
    assert_eq!((number(&failure["status_code"]), &failure["line_numbers"]), (409, &json!([1, 2])));
    delete(&stage, &["-s", "calendars"]).0.expect(1);
    delete(&stage, &["-s", "calendars,courseTranscripts", "--partial-ok"]).0.expect(0);
    stage.send(&["-s", "calendars"]).0.expect(99);
    let (_, results) = stage.send(&["-s", "courseTranscripts"]);
    assert_eq!(total(&results, "created"), 30);
}

#[test]
fn two_payloads_of_one_record_both_count_as_gone() {
    let stage = stage(1, Options::default());
    let other = students(1)[0].replace("Ada", "Eva");
    stage.data("students.jsonl", &[students(1)[0].clone(), other]);
    stage.send(&[]).0.expect(0);
    let (ended, results) = delete(&stage, &[]);
    ended.expect(0);
    assert_eq!([total(&results, "deleted"), total(&results, "gone")], [1, 1]);
    let mut statuses: Vec<_> = deletes(&stage).iter().map(|request| request.status).collect();
    statuses.sort();
    assert_eq!(statuses, [Some(204), Some(404)]);
    let (_, results) = stage.send(&[]);
    assert_eq!(total(&results, "created") + total(&results, "updated"), 2);
}

#[test]
fn a_dry_run_shows_what_would_go_and_changes_nothing() {
    let stage = stage(3, Options::default());
    stage.data("students.jsonl", &students(5));
    let (ended, results) = erase(&stage, "delete", &["--dry-run"]);
    ended.expect(0).tells(&["Nothing is deleted. 3 records would go at http://127.0.0.1"]);
    assert_eq!([total(&results, "there"), total(&results, "gone"), total(&results, "deleted")], [3, 2, 0]);
    assert_eq!(results["dry_run"], true);
    assert!(deletes(&stage).is_empty());
    let (_, results) = stage.send(&[]);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (2, 3));
}

#[test]
fn nothing_is_deleted_without_consent() {
    let stage = stage(2, Options::default());
    let before = stage.sandbox.received().len();
    let (ended, _) = erase(&stage, "delete", &[]);
    ended.expect(2).tells(&["there is no terminal to confirm at", "give --yes, or set force_delete to true"]);
    assert_eq!(stage.sandbox.received().len(), before, "nothing is even looked up");
    if let Some(ended) = at_terminal(&stage, "delete", "no") {
        ended.expect(2).tells(&["To be deleted at http://127.0.0.1", "Type yes to go on", "nothing was deleted"]);
        assert_eq!(left(&stage, "students"), 2);
        stage.send(&[]).0.expect(99);
        at_terminal(&stage, "delete", "yes").unwrap().expect(0).tells(&["2 records deleted"]);
        stage.send(&[]).0.expect(0);
    }
    let (ended, _) = erase(&stage, "delete", &["--set", "force_delete", "true"]);
    ended.expect(0).tells(&["2 records deleted"]);
}

#[test]
fn faults_and_tokens_that_expire_leave_nothing_behind() {
    let faults = Options { fail_429: Some(29), fail_500: Some(19), cut: Some(11), ..Options::default() };
    let (token_lifetime, latency) = (Duration::from_secs(1), Duration::from_millis(30));
    for options in [faults, Options { token_lifetime, latency, ..Options::default() }] {
        let stage = stage(30, options);
        let tokens = number(&stage.stats()["tokens"]);
        let settings = ["--set", "backoff_factor", "1", "num_retries", "20", "connection.pool_size", "1"];
        let (ended, results) = delete(&stage, &settings);
        ended.expect(0);
        // A cut hides that a record was deleted: the next attempt finds it gone.
        assert_eq!(total(&results, "deleted") + total(&results, "gone"), 30);
        assert_eq!(left(&stage, "students"), 0);
        let refused = stage.sandbox.received().iter().filter(|request| request.status == Some(500)).count();
        assert!(refused > 0 || number(&stage.stats()["tokens"]) > tokens, "nothing went wrong");
    }
}

#[test]
fn a_resource_that_is_refused_leaves_the_others_to_go() {
    let stage = stage(3, Options { forbid: vec!["staffs".into()], ..Options::default() });
    let staff = |id| format!(r#"{{"staffUniqueId":"{id}","firstName":"A","lastSurname":"B"}}"#);
    stage.data("staffs.jsonl", &(0..9).map(staff).collect::<Vec<_>>());
    let (ended, results) = delete(&stage, &[]);
    ended.expect(3).tells(&["staffs 403", "3 records deleted"]);
    assert_eq!([total(&results, "deleted"), total(&results, "refused")], [3, 9]);
    delete(&stage, &["-s", "staffs"]).0.expect(1);
}

#[test]
fn a_payload_that_contradicts_itself_or_lacks_a_part_of_its_key_is_refused_with_its_line() {
    let stage = stage(1, Options::default());
    let lines = [r#"{"firstName":"Ada"}"#.to_string(), students(1)[0].clone(), "nonsense".into()];
    stage.data("students.jsonl", &lines);
    let (ended, results) = delete(&stage, &[]);
    ended.expect(3).tells(&["studentUniqueId, a part of the natural key, is missing", "students.jsonl:1", "not JSON"]);
    assert_eq!([total(&results, "deleted"), total(&results, "refused")], [1, 2]);
}

#[test]
fn another_run_on_the_target_keeps_it_from_beginning() {
    let stage = stage(1, Options::default());
    let url = format!("{}/data/v3", stage.sandbox.url());
    let folder = target::folder(&stage.folder.0.join("state"), &url);
    let _lock = Lock::take(&folder, &url).unwrap();
    delete(&stage, &[]).0.expect(5).tells(&["another run"]);
    erase(&stage, "delete", &["--dry-run"]).0.expect(0);
    assert!(deletes(&stage).is_empty());
}

#[test]
fn a_kill_leaves_no_payload_that_send_would_skip_although_its_record_is_gone() {
    let stage = stage(40, Options { latency: Duration::from_millis(10), ..Options::default() });
    let mut child = stage.spawn(&["delete", "--yes", "--set", "connection.pool_size", "1"]);
    until("records are deleted", || deletes(&stage).len() >= 5);
    signal(&child, "KILL");
    child.wait().unwrap();
    let gone = 40 - left(&stage, "students");
    assert!((4..40).contains(&gone), "{gone}");
    let (ended, results) = stage.send(&[]);
    ended.expect(0);
    assert_eq!((total(&results, "created"), left(&stage, "students")), (gone, 40));
}

#[test]
fn an_interruption_is_obeyed_between_records_and_what_was_not_tried_is_known_still() {
    let stage = stage(40, Options { latency: Duration::from_millis(10), ..Options::default() });
    let args = ["delete", "--yes", "--results-file", "erased.json", "--set", "connection.pool_size", "1"];
    let child = stage.spawn(&args);
    until("records are deleted", || deletes(&stage).len() >= 5);
    signal(&child, "TERM");
    let ended = ended(child.wait_with_output().unwrap());
    ended.expect(143).tells(&["Stopped early: terminated", "not tried or without a final answer"]);
    let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("erased.json")).unwrap()).unwrap();
    balance(&results);
    let deleted = total(&results, "deleted");
    assert!((5..40).contains(&deleted) && total(&results, "unsent") == 40 - deleted, "{results}");
    let (_, results) = stage.send(&[]);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (deleted, 40 - deleted));
}

/// An API of one resource, students, that gives the same records whatever it is asked for, and refuses every DELETE. Their ids are those
/// in `records`.
pub fn stubborn(records: &'static str) -> Stub {
    let identity = json!({"name": "studentUniqueId", "in": "query", "x-Ed-Fi-isIdentity": true});
    let schema = json!({"$ref": "#/components/schemas/edFi_student"});
    let document = json!({
        "paths": {"/ed-fi/students": {
            "get": {"parameters": [identity]},
            "post": {"requestBody": {"content": {"application/json": {"schema": schema}}}},
        }},
        "components": {"schemas": {"edFi_student": {"properties": {"studentUniqueId": {"type": "string"}}}}},
    });
    Stub::new(move |asked| {
        let (method, path) = asked.line.split_once(' ').unwrap();
        let json = |status, value: Value| (status, None, value.to_string());
        match (method, path.split('?').next().unwrap()) {
            (_, "/oauth/token") => json(200, json!({"access_token": "t0ken", "expires_in": 1800})),
            ("GET", "/metadata/dependencies") => {
                json(200, json!([{"resource": "/ed-fi/students", "order": 1, "operations": ["Create", "Update"]}]))
            }
            ("GET", "/metadata/students.json") => json(200, document.clone()),
            ("POST", "/data/v3/ed-fi/students") => (201, None, String::new()),
            // The count in a header of its own, behind that of the ETag.
            ("GET", "/data/v3/ed-fi/students") => (200, Some("\"1\"\r\nTotal-Count: 9"), records.into()),
            ("DELETE", _) => json(403, json!({"type": "urn:ed-fi:api:security:authorization:access-denied:action"})),
            _ => (404, None, String::new()),
        }
    })
}

/// Lets a stage work on a stub.
pub fn on(stage: Stage, stub: &Stub) -> Stage {
    let urls = ["oauth_url: /oauth/token", "dependencies_url: /metadata/dependencies"];
    let urls = urls.into_iter().chain(["resources_swagger_url: /metadata/students.json"]);
    let urls: String = urls.map(|line| format!("  {}\n", line.replace(": ", &format!(": {}", stub.url(""))))).collect();
    let swagger = format!("  descriptors_swagger_url: {}\n", stub.url("/metadata/students.json"));
    stage.folder.config(&stub.url(""), &(urls + &swagger));
    stage
}

#[test]
fn an_api_that_passes_over_the_key_loses_no_record_of_another() {
    let stub = stubborn(r#"[{"id":"a1","studentUniqueId":"another"}]"#);
    let stage = on(stage(0, Options::default()), &stub);
    stage.data("students.jsonl", &students(2));
    let (ended, results) = delete(&stage, &[]);
    ended.expect(1).tells(&["a record of another natural key: studentUniqueId another"]);
    assert_eq!(total(&results, "refused"), 2);
    assert!(!stub.lines().iter().any(|line| line.starts_with("DELETE")));
}

/// Runs the program with this on standard input.
fn piped(stage: &Stage, args: &[&str], answer: &str) -> Ended {
    let mut child =
        stage.folder.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever does not want an answer has closed it.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    ended(child.wait_with_output().unwrap())
}

#[test]
fn an_answer_through_a_pipe_confirms_as_one_at_a_terminal_does() {
    let stage = stage(3, Options::default());
    for (args, answer) in [
        (&["delete"][..], "no\n"),
        (&["delete"], "y\n"),
        (&["truncate", "-s", "students"], "yes\n"),
        (&["truncate", "-s", "students"], "2\n"),
        (&["truncate"], "3\n"),
    ] {
        piped(&stage, args, answer).expect(2).tells(&["not confirmed: nothing was deleted"]);
    }
    piped(&stage, &["delete"], "").expect(2).tells(&["so nothing is deleted: give --yes", "or pipe the answer in"]);
    assert!(deletes(&stage).is_empty());
    piped(&stage, &["truncate", "-s", "students"], "3\n").expect(0).tells(&["3 records deleted"]);
    stage.run(&["send"]).expect(0);
    piped(&stage, &["delete"], "yes\n").expect(0).tells(&["3 records deleted"]);
}
