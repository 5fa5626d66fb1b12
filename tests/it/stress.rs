//! An API under stress: how it is spared, and when it is given up.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use lightbeam::sandbox::{Options, start};
use serde_json::json;

use crate::stub::{Asked, Stub};
use crate::support::{Folder, Stage, ended, number, students, total, until};

/// How often the sandbox answered so.
fn answered(stage: &Stage, status: u16) -> usize {
    stage.posts().iter().filter(|post| post.status == Some(status)).count()
}

fn sending(n: usize, options: Options) -> Stage {
    let stage = Stage::with(options);
    stage.data("students.jsonl", &students(n));
    stage
}

#[test]
fn a_time_to_wait_rests_all_workers_and_is_told_once() {
    for options in [
        Options { fail_429: Some(5), retry_after: Some(1), ..Options::default() },
        Options { fail_503: Some(5), retry_after: Some(1), ..Options::default() },
    ] {
        let stage = sending(10, options);
        let (run, results) = stage.send(&["--set", "connection.adaptive", "false"]);
        let run = run.expect(0);
        assert_eq!((total(&results, "created"), stage.posts().len()), (10, 12));
        // The fifth is told to wait; so is the tenth, which may have been on its way by then.
        let waits = run.err.matches("WARNING the API is not well").count();
        assert!((1..=2).contains(&waits), "{}", run.err);
        assert!(run.err.contains("all workers wait 0:01 before one tries again"), "{}", run.err);
    }
}

#[test]
fn more_workers_than_the_api_takes_find_out_how_many_it_does() {
    let options = || Options { max_concurrent: Some(4), latency: Duration::from_millis(10), ..Options::default() };
    let stage = sending(1_500, options());
    let (run, results) = stage.send(&["--set", "connection.pool_size", "32"]);
    run.expect(0);
    assert_eq!(total(&results, "created"), 1_500);
    let (refused, posts) = (answered(&stage, 429), stage.posts().len());
    assert!(refused > 0 && refused * 20 < posts, "{refused} of {posts} refused");

    let stage = sending(40, options());
    stage.send(&["--set", "connection.pool_size", "32", "connection.adaptive", "false"]).0.expect(0);
    let (refused, posts) = (answered(&stage, 429), stage.posts().len());
    assert!(refused * 10 > posts, "{refused} of {posts} refused, which is what adaption spares");
}

#[test]
fn a_rate_is_kept_by_all_workers_together() {
    for args in [&["--rate", "40"][..], &["--set", "connection.rate", "40"]] {
        let stage = sending(60, Options::default());
        let began = Instant::now();
        stage.send(args).0.expect(0);
        assert!(began.elapsed() >= Duration::from_millis(1_400), "59 intervals of 25 ms, of which 50 ms may be saved");
        assert_eq!(stage.posts().len(), 60);
    }
}

#[test]
fn an_api_that_is_never_available_is_given_up_after_the_patience_of_one_request() {
    let stage = sending(500, Options { fail_503: Some(1), ..Options::default() });
    let (run, results) = stage.send(&["--set", "connection.num_retries", "4"]);
    let run = run.expect(4);
    assert_eq!(total(&results, "unsent"), 500);
    let why = results["stopped"].as_str().unwrap();
    assert!(why.starts_with("the API fails as a whole") && why.contains("503"), "{why}");
    assert!(run.out.contains("Stopped early: the API fails as a whole"), "{}", run.out);
    // Eight workers, then one at a time.
    assert!(stage.posts().len() <= 8 + 4 + 8, "{} POSTs", stage.posts().len());
}

#[test]
fn an_api_that_fails_at_every_payload_is_given_up_and_not_asked_for_each() {
    let stage = sending(500, Options { fail_500: Some(1), ..Options::default() });
    let (run, results) = stage.send(&["--set", "connection.num_retries", "2"]);
    run.expect(4);
    assert_eq!(total(&results, "unsent"), 500);
    assert!(results["stopped"].as_str().unwrap().contains("500"), "{results}");
    assert!(stage.posts().len() <= 8 * 3 + 16, "{} POSTs", stage.posts().len());
}

#[test]
fn an_api_that_goes_away_is_given_up_and_the_next_run_sends_the_rest() {
    let slow = || Options { latency: Duration::from_millis(20), ..Options::default() };
    let mut stage = sending(1_000, slow());
    let run = stage.spawn(&["send", "--results-file", "results.json", "--set", "connection.num_retries", "2"]);
    until("payloads are under way", || number(&stage.stats()["requests"]) >= 20);
    stage.sandbox.stop();
    ended(run.wait_with_output().unwrap()).expect(4);
    let results = stage.results();
    let (created, unsent) = (total(&results, "created"), total(&results, "unsent"));
    assert!(created >= 12 && created + unsent == 1_000, "{created} + {unsent}");
    assert!(results["stopped"].as_str().unwrap().contains("Connection refused"), "{results}");

    let port = stage.sandbox.url().rsplit_once(':').unwrap().1.parse().unwrap();
    stage.sandbox = start(Options { port, record: true, ..Options::default() }).unwrap();
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "skipped")), (unsent, created));
    // The sandbox that came back does not know the token that the first run kept.
    let taken = stage.posts().iter().filter(|post| post.status != Some(401)).count();
    assert_eq!(taken as u64, unsent);
}

/// An API that answers to each request for data or a token what `answer` says.
fn api(answer: impl Fn(&Asked) -> u16 + Send + Sync + 'static) -> (Stub, Folder) {
    let stub = Stub::new(move |asked| {
        let body = match asked.line.as_str() {
            "GET /" => json!({"version": "7.3", "urls": {"dependencies": "http://127.0.0.1/order",
                "oauth": "http://127.0.0.1/oauth/token", "dataManagementApi": "http://127.0.0.1/data/v3"}}),
            "GET /order" => json!([{"resource": "/ed-fi/students", "order": 1, "operations": ["Create"]}]),
            _ => return (answer(asked), None, json!({"access_token": "t0ken", "expires_in": 1800}).to_string()),
        };
        (200, None, body.to_string())
    });
    let folder = Folder::new();
    folder.config(&stub.url("/"), "");
    (stub, folder)
}

#[test]
fn payloads_that_always_fail_do_not_end_a_run_in_which_others_succeed() {
    let (stub, folder) = api(|asked| match String::from_utf8_lossy(&asked.body).contains("Number 1") {
        true if asked.line.ends_with("students") => 500,
        _ => 201,
    });
    // Number 1, 10 to 19 and 100: eleven of them in a row.
    folder.data("students.jsonl", &students(100));
    let run = folder.run(&["send", "--results-file", "results.json", "--set", "connection.num_retries", "2"]).expect(3);
    assert!(run.out.contains("refused"), "{}", run.out);
    assert!(!run.out.contains("Stopped early"), "{}", run.out);
    let arrived = stub.asked().iter().filter(|asked| asked.line == "POST /data/v3/ed-fi/students").count();
    assert!((88 + 12..=88 + 12 * 3).contains(&arrived), "{arrived} POSTs");
}

/// nginx's `limit_req` answers 503 by default: whom it meets is chance, and it may meet the same payload again and again.
#[test]
fn payloads_that_a_gateway_turns_away_with_503_time_and_again_while_others_pass_arrive() {
    // Numbers 1 to 8 are turned away as often as their number says.
    let left: Vec<_> = (0..=8).map(AtomicU32::new).collect();
    let (stub, folder) = api(move |asked| {
        let body = String::from_utf8_lossy(&asked.body);
        let met = left.iter().enumerate().find(|(n, _)| body.contains(&format!("Number {n}\"")));
        let away =
            |left: &AtomicU32| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        if asked.line.ends_with("students") && met.is_some_and(|(_, left)| away(left)) { 503 } else { 201 }
    });
    folder.data("students.jsonl", &students(400));
    folder.run(&["send", "--set", "connection.backoff_factor", "1"]).expect(0);
    let arrived = stub.asked().iter().filter(|asked| asked.line == "POST /data/v3/ed-fi/students").count();
    assert_eq!(arrived, 400 + 36);
}

#[test]
fn a_login_that_is_waited_for_is_told() {
    let refusals = AtomicU32::new(2);
    let (_stub, folder) = api(move |asked| {
        let left = refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if asked.line == "POST /oauth/token" && left.is_ok() { 503 } else { 201 }
    });
    folder.data("students.jsonl", &students(20));
    let run = folder.run(&["send"]).expect(0);
    let told: Vec<_> = run.err.lines().filter(|line| line.contains("WARNING no token from")).collect();
    assert_eq!(told.len(), 2, "once for all workers: {}", run.err);
    assert!(told[0].contains("(503, ") && told[0].contains("asking again in 0."), "{}", told[0]);
}
