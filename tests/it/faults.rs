//! What an API can do wrong, fault by fault, and that every payload arrives nonetheless.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lightbeam::sandbox::{Options, Received};

use crate::support::{Stage, number, students, total};

/// Sends `n` students to a sandbox with faults, and fails the test unless each of them arrives and the run says so.
fn everything_arrives(n: usize, options: Options, args: &[&str]) -> Stage {
    let stage = Stage::with(options);
    let mut sent = students(n);
    stage.data("students.jsonl", &sent);
    let (run, results) = stage.send(args);
    run.expect(0);
    assert_eq!(total(&results, "created") + total(&results, "updated"), n as u64);
    let stored: BTreeSet<_> = stage.stored().into_iter().collect();
    sent.sort();
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), sent);
    stage
}

/// How often the sandbox answered so; `None`: not at all.
fn answered(stage: &Stage, status: Option<u16>) -> usize {
    stage.posts().iter().filter(|p| p.status == status).count()
}

#[test]
fn too_many_requests() {
    let stage = everything_arrives(60, Options { fail_429: Some(5), ..Options::default() }, &[]);
    assert_eq!(answered(&stage, Some(429)), 14, "60 payloads and 14 repetitions, every fifth of 74 refused");
    assert_eq!(stage.posts().len(), 74);
}

#[test]
fn too_many_requests_with_a_time_to_wait() {
    let options = Options { fail_429: Some(20), retry_after: Some(1), ..Options::default() };
    let stage = everything_arrives(60, options, &[]);
    assert_eq!(answered(&stage, Some(429)), 3);
}

#[test]
fn more_requests_at_a_time_than_the_api_takes() {
    let options = Options { max_concurrent: Some(2), latency: Duration::from_millis(20), ..Options::default() };
    let stage = everything_arrives(40, options, &[]);
    assert!(answered(&stage, Some(429)) > 0);
}

#[test]
fn errors_of_the_server() {
    let stage = everything_arrives(60, Options { fail_500: Some(5), ..Options::default() }, &[]);
    assert_eq!(answered(&stage, Some(500)), 14);
}

#[test]
fn a_server_that_is_not_available() {
    let stage = everything_arrives(60, Options { fail_503: Some(5), ..Options::default() }, &[]);
    assert_eq!(answered(&stage, Some(503)), 14);
}

#[test]
fn a_server_that_is_not_available_with_a_time_to_wait() {
    let options = Options { fail_503: Some(20), retry_after: Some(1), ..Options::default() };
    let stage = everything_arrives(60, options, &[]);
    assert_eq!(answered(&stage, Some(503)), 3);
}

#[test]
fn connections_that_are_cut_before_and_after_the_payload_is_stored() {
    let stage = everything_arrives(60, Options { cut: Some(5), ..Options::default() }, &[]);
    let cut: Vec<Received> = stage.posts().into_iter().filter(|p| p.status.is_none()).collect();
    assert_eq!((cut.len(), cut.iter().filter(|p| p.stored).count()), (14, 7));
    let known: BTreeSet<_> = cut.iter().filter(|p| p.stored).map(|p| &p.body).collect();
    assert_eq!(total(&stage.results(), "updated"), known.len() as u64, "those were known when they came again");
}

#[test]
fn answers_that_never_come() {
    let stage =
        everything_arrives(30, Options { hang: Some(10), ..Options::default() }, &["--set", "connection.timeout", "1"]);
    assert_eq!(answered(&stage, None), 3);
}

/// A page that is called a success, or a redirect, may be about the payload: it is refused, and due in the next run.
fn everything_arrives_in_the_end(options: Options, exits: &[i32]) -> Stage {
    let stage = Stage::with(options);
    let mut sent = students(60);
    stage.data("students.jsonl", &sent);
    for exit in exits {
        stage.send(&[]).0.expect(*exit);
    }
    sent.sort();
    assert_eq!(stage.stored(), sent, "each is stored once");
    stage
}

#[test]
fn pages_of_a_gateway() {
    let stage = everything_arrives_in_the_end(Options { fail_html: Some(10), ..Options::default() }, &[3, 0]);
    assert!(answered(&stage, Some(502)) >= 3, "repeated at once");
    assert!(stage.posts().iter().any(|post| post.status == Some(200) && !post.stored), "and never believed");
}

#[test]
fn redirects_of_a_gateway() {
    let stage = everything_arrives_in_the_end(Options { fail_302: Some(10), ..Options::default() }, &[3, 0]);
    assert_eq!(answered(&stage, Some(302)), 6);
}

#[test]
fn a_server_that_restarts_with_its_data_kept() {
    let options = Options { restart_after: Some(20), restart_for: Duration::from_millis(1500), ..Options::default() };
    let stage = everything_arrives(60, options, &[]);
    let cut = stage.posts().iter().filter(|post| post.status.is_none()).count();
    assert_eq!(cut, 1, "all others came to nobody");
    assert_eq!(total(&stage.results(), "created"), 60);
}

#[test]
fn all_of_it_together() {
    let options = Options {
        fail_429: Some(7),
        fail_500: Some(11),
        fail_503: Some(13),
        cut: Some(9),
        shape: lightbeam::sandbox::Shape::Old,
        ..Options::default()
    };
    everything_arrives(60, options, &[]);
}

/// The sandbox says that such tokens end after 0 seconds, which lightbeam does not believe, so that it learns of each end by a 401.
#[test]
fn a_token_that_expires_under_eight_workers() {
    let options = Options {
        token_lifetime: Duration::from_millis(700),
        latency: Duration::from_millis(50),
        ..Options::default()
    };
    let stage = everything_arrives(300, options, &[]);
    let (refused, tokens) = (answered(&stage, Some(401)) as u64, number(&stage.stats()["tokens"]));
    assert!(refused > 0 && tokens > 1, "{refused} times 401, {tokens} tokens");
    assert!(tokens - 1 < refused, "one worker renewed for all: {tokens} tokens, {refused} times 401");
    assert_eq!(total(&stage.results(), "created"), 300, "no payload was stored twice");
}

/// These say so, and are renewed before they end.
#[test]
fn a_token_that_says_when_it_expires() {
    let options =
        Options { token_lifetime: Duration::from_secs(1), latency: Duration::from_millis(50), ..Options::default() };
    let stage = everything_arrives(300, options, &[]);
    assert!(number(&stage.stats()["tokens"]) > 1);
}

#[test]
fn a_status_that_is_not_to_be_retried_is_not() {
    let stage = Stage::with(Options { fail_500: Some(3), ..Options::default() });
    stage.data("students.jsonl", &students(12));
    let (run, results) = stage.send(&["--set", "connection.retry_statuses", "[429, 503]"]);
    run.expect(3);
    assert_eq!((stage.posts().len(), answered(&stage, Some(500))), (12, 4));
    assert_eq!((total(&results, "created"), total(&results, "refused")), (8, 4), "others were accepted");
}

#[test]
fn a_refusal_is_not_retried_unless_its_status_is_listed() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[r#"{"studentUniqueId":"1"}"#.into()]);
    let (run, results) = stage.send(&[]);
    run.expect(1);
    assert_eq!((stage.posts().len(), total(&results, "refused")), (1, 1));

    let stage = Stage::new();
    stage.data("students.jsonl", &[r#"{"studentUniqueId":"1"}"#.into()]);
    let listed = ["--set", "connection.retry_statuses", "[400]", "connection.num_retries", "2"];
    let (run, results) = stage.send(&listed);
    run.expect(4);
    assert_eq!((stage.posts().len(), total(&results, "unsent")), (3, 1));
}

#[test]
fn what_got_no_final_answer_is_unsent_and_just_that_is_sent_by_the_next_run() {
    let stage = Stage::with(Options { fail_503: Some(5), ..Options::default() });
    stage.data("students.jsonl", &students(24));
    let (run, results) = stage.send(&["--set", "connection.num_retries", "0"]);
    let run = run.expect(4);
    assert_eq!((total(&results, "created"), total(&results, "unsent"), total(&results, "failed")), (20, 4, 4));
    assert!(run.out.contains("4 payloads not sent or without a final answer; the next run sends them."), "{}", run.out);

    let first = stage.posts();
    let refused: BTreeSet<_> = first.iter().filter(|p| p.status == Some(503)).map(|p| &p.body).collect();
    let (run, results) = stage.send(&["--set", "connection.num_retries", "2"]);
    run.expect(0);
    let second = stage.posts().split_off(first.len());
    assert_eq!(second.iter().map(|p| &p.body).collect::<BTreeSet<_>>(), refused);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (4, 20));
}

#[test]
fn patience_ends_after_the_configured_number_of_repetitions() {
    let stage = Stage::with(Options { cut: Some(1), ..Options::default() });
    stage.data("students.jsonl", &students(3));
    let (run, results) = stage.send(&["--set", "connection.num_retries", "2"]);
    run.expect(4);
    let mut tries: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    stage.posts().into_iter().for_each(|p| *tries.entry(p.body).or_default() += 1);
    assert_eq!(tries.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(total(&results, "unsent"), 3);
}

#[test]
fn a_payload_that_was_accepted_and_then_got_no_answer_is_due_again() {
    let stage = Stage::with(Options { fail_500: Some(2), ..Options::default() });
    stage.data("students.jsonl", &students(1));
    let once = ["--set", "connection.num_retries", "0"];
    stage.send(&once).0.expect(0);
    stage.send(&[&once[..], &["--force"]].concat()).0.expect(4);
    stage.send(&once).0.expect(0);
    assert_eq!(stage.posts().iter().map(|p| p.status).collect::<Vec<_>>(), [Some(201), Some(500), Some(200)]);
}

#[test]
fn a_login_that_is_refused_stops_the_run() {
    let credentials = Some(("key".to_owned(), "another".to_owned()));
    let stage = Stage::with(Options { credentials, ..Options::default() });
    stage.data("students.jsonl", &students(20));
    let (run, results) = stage.send(&[]);
    let run = run.expect(4);
    assert!(run.out.contains("login refused"), "{}", run.out);
    assert_eq!((stage.posts().len(), total(&results, "unsent")), (0, 20));
    assert!(results["stopped"].as_str().unwrap().contains("client_secret"), "{results}");
    assert!(!format!("{run:?}{results}").contains("s3cret-never-shown"));
}

#[test]
fn tokens_that_are_refused_as_soon_as_they_are_given_stop_the_run() {
    let stage = Stage::with(Options { token_lifetime: Duration::ZERO, ..Options::default() });
    stage.data("students.jsonl", &students(200));
    let (run, results) = stage.send(&[]);
    let run = run.expect(4);
    assert!(run.out.contains("refuses three tokens in a row that it was to take (401"), "{}", run.out);
    assert_eq!((total(&results, "processed"), total(&results, "unsent")), (200, 200));
    assert!(stage.posts().len() <= 6 * 8, "each worker gives up soon: {} POSTs", stage.posts().len());
    let resent = stage.send(&[]).1;
    assert_eq!(total(&resent, "skipped"), 0, "none of it counts as known");
}

#[test]
fn what_was_refused_because_others_were_unsent_is_sent_again_with_them() {
    let stage = Stage::with(Options { fail_503: Some(40), ..Options::default() });
    crate::support::district(&stage.folder);
    let once = ["--set", "connection.num_retries", "0"];
    let run = stage.send(&once).0.expect(4);
    assert!(
        stage.posts().iter().filter(|p| p.status == Some(409)).count() > 10,
        "nobody missed what was unsent: {run:?}"
    );
    stage.send(&[]).0.expect(3);
    let stored: BTreeSet<_> = stage.posts().into_iter().filter(|p| p.stored).map(|p| (p.resource, p.body)).collect();
    assert_eq!(stored.len(), 1_989);
}
