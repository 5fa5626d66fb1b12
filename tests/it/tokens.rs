//! An API that refuses a token now and then, or takes none: a stub, because the sandbox refuses only tokens that have ended.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::metadata::{dependencies, discovery};
use crate::stub::{Asked, Stub};
use crate::support::{Folder, students, total};

/// An API that numbers its tokens and answers what is posted by `answer`, which gets the number of the post.
fn api(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Stub {
    let (posts, tokens) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let about = discovery(json!({"version": "7.3"}), "/api/metadata/data/v3/dependencies", "/api/data/v3/");
    Stub::new(move |asked: &Asked| match asked.line.as_str() {
        "GET /api" => (200, None, about.to_string()),
        "GET /api/metadata/data/v3/dependencies" => (200, None, dependencies().to_string()),
        line if line.ends_with("/oauth/token") => {
            let token = format!("t{}", tokens.fetch_add(1, Ordering::SeqCst));
            (200, None, json!({"access_token": token, "expires_in": 1800}).to_string())
        }
        line if line.starts_with("POST") => match answer(posts.fetch_add(1, Ordering::SeqCst)) {
            401 => (401, None, json!({"status": 401, "detail": "The caller could not be authenticated."}).to_string()),
            status => (status, None, String::new()),
        },
        _ => (404, None, String::new()),
    })
}

fn load(api: &Stub, payloads: usize) -> Folder {
    let folder = Folder::new();
    folder.config(&api.url("/api"), "");
    folder.data("students.jsonl", &students(payloads));
    folder
}

fn results(folder: &Folder) -> Value {
    serde_json::from_slice(&std::fs::read(folder.0.join("results.json")).unwrap()).unwrap()
}

fn logins(api: &Stub) -> usize {
    api.lines().iter().filter(|line| line.ends_with("/oauth/token")).count()
}

#[test]
fn a_token_that_is_refused_at_every_tenth_request_ends_no_run_and_takes_no_further_token() {
    let api = api(|post| if post % 10 == 9 { 401 } else { 201 });
    let folder = load(&api, 300);
    // One after the other, so that no payload is refused twice in a row.
    folder.run(&["send", "--results-file", "results.json", "--set", "connection.pool_size", "1"]).expect(0);
    assert_eq!((total(&results(&folder), "created"), logins(&api)), (300, 1));
}

#[test]
fn three_tokens_none_of_which_is_taken_end_a_run_and_no_fourth_one_is_asked_for() {
    let api = api(|_| 401);
    let folder = load(&api, 300);
    let run = folder.run(&["send", "--results-file", "results.json"]).expect(4);
    run.tells(&["refuses three tokens in a row", "edfi_api.oauth_url"]);
    assert_eq!((total(&results(&folder), "unsent"), logins(&api)), (300, 3));
}

#[test]
fn a_run_never_holds_more_than_ten_living_tokens() {
    // Each token is taken once and then refused twice.
    let api = api(|post| if post % 3 == 0 { 201 } else { 401 });
    let folder = load(&api, 60);
    folder.run(&["send", "--results-file", "results.json", "--set", "connection.pool_size", "1"]).expect(3);
    let results = results(&folder);
    assert!(total(&results, "created") >= 20 && total(&results, "unsent") == 0, "{results}");
    assert_eq!(logins(&api), 10);
}
