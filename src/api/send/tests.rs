//! What becomes of requests, on a stage where answers are played and time stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::api::refusal::RefusalKind;
use crate::api::request::{delete, get, post};
use crate::api::testing::{self, Stage, broken, numbered_tokens, script, stage, status};
use crate::api::transport::Kind;

const TOKEN: &str = "https://example.com/oauth/token";
const STUDENTS: &str = "https://example.com/data/v3/ed-fi/students";

/// An API that gives tokens of 1000 s and plays `answers` to payloads.
fn host(answers: Vec<Answer>) -> Stage {
    let (tokens, data) = (numbered_tokens(1000), script(answers));
    stage(move |request| if request.url == TOKEN { tokens(request) } else { data(request) })
}

fn session() -> Session {
    Session::new(Uri::from_static(TOKEN), &testing::api("https://example.com"))
}

fn sent(stage: &Stage) -> Result<Sent> {
    send(&stage.wire, &session(), post(&Uri::from_static(STUDENTS), b"{}", None))
}

fn accepted(status: u16) -> Settled {
    Settled::Accepted(Reply { status, ..Reply::default() })
}

fn settled(answers: Vec<Answer>) -> Settled {
    sent(&host(answers)).unwrap().settled
}

/// The requests for payloads, by their tokens.
fn posts(stage: &Stage) -> Vec<String> {
    let prefix = format!("POST {STUDENTS} Bearer ");
    stage.seen().iter().filter_map(|seen| seen.strip_prefix(&prefix)).map(String::from).collect()
}

#[test]
fn a_2xx_of_an_ed_fi_api_is_accepted_at_once() {
    for code in [200, 201, 204] {
        let stage = host(vec![status(code, "")]);
        let expected = Sent { settled: accepted(code), attempts: 1 };
        assert_eq!(sent(&stage).unwrap(), expected);
        assert_eq!(posts(&stage), ["t1"]);
    }
}

#[test]
fn a_race_is_repeated_twice_and_then_a_refusal_of_the_moment() {
    const RACE: &str = r#"{"type":"urn:ed-fi:api:data-conflict:multi-user-conflict"}"#;
    let stage = host(vec![status(409, RACE), status(409, ""), status(200, "")]);
    assert_eq!(sent(&stage).unwrap(), Sent { settled: accepted(200), attempts: 3 });
    assert_eq!(stage.slept(), [250, 375]);
    let Settled::Refused(refusal) = settled(vec![status(409, RACE); 3]) else { panic!("it is a refusal") };
    assert_eq!(refusal.kind(), RefusalKind::Moment);
}

#[test]
fn a_host_that_is_away_for_ninety_seconds_is_waited_for_without_spending_repetitions() {
    let stage = stage(move |request| match request.url == TOKEN {
        true => testing::token("t1", 1_000),
        false => broken(Kind::Connect),
    });
    // The token was given, so that the host was heard.
    let error = sent(&stage).unwrap();
    assert!(matches!(error.settled, Settled::NoAnswer { status: None, .. }));
    let waited: u64 = stage.slept().iter().sum();
    assert!((299_000..=311_000).contains(&waited), "{waited} ms for one payload, with default settings");
}

#[test]
fn a_page_that_says_401_is_no_reason_for_token_after_token() {
    let page = || Ok(Reply { status: 401, body: b"<html>Access denied".into(), ..Reply::default() });
    let stage = host(vec![page(), page()]);
    let session = session();
    for _ in 0..2 {
        let sent = send(&stage.wire, &session, post(&Uri::from_static(STUDENTS), b"{}", None)).unwrap();
        assert!(matches!(sent.settled, Settled::Refused(refusal) if refusal.kind() == RefusalKind::Site));
    }
    assert_eq!(posts(&stage), ["t1", "t1"]);
}

#[test]
fn a_2xx_that_shows_that_no_ed_fi_api_gave_it_is_refused_for_every_verb() {
    let page = || Ok(Reply { status: 200, body: b"<html>Sign in".into(), ..Reply::default() });
    let stage = host(vec![page(), page(), page(), status(202, ""), status(200, r#"{"error":"no"}"#)]);
    let (session, url) = (session(), Uri::from_static(STUDENTS));
    let mut foreign = Vec::new();
    for request in
        [post(&url, b"{}", None), get(&url, None, 1_000), delete(&url), post(&url, b"{}", None), delete(&url)]
    {
        let Settled::Refused(refusal) = send(&stage.wire, &session, request).unwrap().settled else {
            panic!("an answer of somebody else does not accept a payload")
        };
        foreign.push(refusal.kind());
    }
    assert_eq!(foreign, [RefusalKind::Site; 5]);
}

#[test]
fn a_401_renews_the_token_and_replays_without_spending_an_attempt() {
    let mut stage = host(vec![status(401, ""), status(401, ""), status(201, "")]);
    stage.wire.policy.num_retries = 0;
    assert_eq!(sent(&stage).unwrap(), Sent { settled: accepted(201), attempts: 1 });
    assert_eq!(posts(&stage), ["t1", "t1", "t2"]);
    assert!(stage.slept().is_empty());
}

#[test]
fn questions_and_deletions_have_the_same_patience_and_give_back_the_answer() {
    let page = Reply { status: 200, total_count: Some(2), body: b"[{},{}]".into(), ..Reply::default() };
    let stage = host(vec![
        status(503, ""),
        status(401, ""),
        status(401, ""),
        Ok(page.clone()),
        broken(Kind::Cut),
        status(404, ""),
    ]);
    let (session, url) = (session(), Uri::from_static(STUDENTS));
    let got = send(&stage.wire, &session, get(&url, None, 1_000)).unwrap();
    assert_eq!(got, Sent { settled: Settled::Accepted(page), attempts: 2 });
    let gone = send(&stage.wire, &session, delete(&url)).unwrap();
    assert!(matches!(gone.settled, Settled::Refused(refusal) if refusal.status == 404));
    let data: Vec<_> = stage.seen().into_iter().filter(|seen| !seen.contains(TOKEN)).collect();
    let expected = ["GET", "GET", "GET", "GET", "DELETE", "DELETE"].iter().zip(["t1", "t1", "t1", "t2", "t2", "t2"]);
    assert_eq!(data, expected.map(|(m, t)| format!("{m} {STUDENTS} Bearer {t}")).collect::<Vec<_>>());
}

#[test]
fn three_tokens_none_of_which_is_taken_stop_the_run() {
    let refused = || status(401, r#"{"errors":["Invalid Authorization header."]}"#);
    let stage = host((0..6).map(|_| refused()).collect());
    let error = sent(&stage).unwrap_err();
    assert_eq!(error.exit(), Exit::GivenUp);
    assert!(error.to_string().contains("(401, Invalid Authorization header.)"), "{error}");
    assert_eq!(posts(&stage), ["t1", "t1", "t2", "t2", "t3", "t3"]);
}

#[test]
fn a_token_that_is_refused_now_and_then_is_sent_once_more() {
    let answers = [401, 201, 401, 201, 401, 201].map(|code| status(code, "")).into();
    let (stage, session) = (host(answers), session());
    for _ in 0..3 {
        let sent = send(&stage.wire, &session, post(&Uri::from_static(STUDENTS), b"{}", None)).unwrap();
        assert_eq!(sent, Sent { settled: accepted(201), attempts: 1 });
    }
    assert_eq!(posts(&stage), ["t1"; 6]);
}

/// An API whose answers take longer than its tokens live.
fn slow_host(answers: Vec<Answer>) -> Stage {
    let mut stage = host(answers);
    let asked = AtomicU64::new(0);
    let start = Instant::now();
    let tick = move || asked.fetch_add(1, Ordering::SeqCst);
    stage.wire.clock = Box::new(move || start + Duration::from_secs(2_000 * tick()));
    stage
}

#[test]
fn a_token_that_ended_on_its_way_is_not_a_refusal_of_all_tokens() {
    let stage = slow_host(vec![status(401, ""), status(401, ""), status(201, "")]);
    assert_eq!(sent(&stage).unwrap().settled, accepted(201));
    assert_eq!(posts(&stage), ["t1", "t2", "t3"]);
}

#[test]
fn tokens_that_always_end_on_their_way_stop_the_run() {
    let error = sent(&slow_host(vec![status(401, ""); 5])).unwrap_err();
    assert!(error.to_string().starts_with("the API's tokens end before"), "{error}");
}

#[test]
fn a_token_that_another_worker_got_before_counts_as_the_first() {
    let (session, other) = (Arc::new(session()), stage(numbered_tokens(1000)));
    let mine = session.bearer(&other.wire).unwrap();
    let (shared, data) = (
        session.clone(),
        script(vec![status(401, ""), status(401, ""), status(401, ""), status(401, ""), status(201, "")]),
    );
    let stage = stage(move |request| {
        if request.url == TOKEN {
            return testing::token("t3", 1000);
        }
        // While the first request is on its way, another worker renews; its token is refused as well.
        shared.renew(&other.wire, &mine).unwrap();
        data(request)
    });
    let sent = send(&stage.wire, &session, post(&Uri::from_static(STUDENTS), b"{}", None)).unwrap();
    assert_eq!(sent.settled, accepted(201));
    assert_eq!(posts(&stage), ["t1", "t1", "t2", "t2", "t3"]);
}

#[test]
fn listed_statuses_and_broken_connections_are_sent_again_on_schedule() {
    let stage = host(vec![status(503, ""), broken(Kind::Cut), status(429, ""), broken(Kind::Timeout), status(200, "")]);
    assert_eq!(sent(&stage).unwrap(), Sent { settled: accepted(200), attempts: 5 });
    assert_eq!(stage.slept(), [250, 375, 562, 843]);
}

#[test]
fn retry_after_rules() {
    let asked = Reply { status: 429, retry_after: Some("7".into()), ..Reply::default() };
    let stage = host(vec![Ok(asked), status(201, "")]);
    assert_eq!(sent(&stage).unwrap().attempts, 2);
    assert_eq!(stage.slept(), [7_000]);
}

#[test]
fn exhausted_patience_is_no_answer() {
    let mut stage = host(vec![status(503, ""), status(503, r#"{"detail":"Try later."}"#)]);
    stage.wire.policy.num_retries = 1;
    let last = refusal(&Reply { status: 503, body: br#"{"detail":"Try later."}"#.into(), ..Reply::default() });
    assert_eq!(sent(&stage).unwrap(), Sent { settled: Settled::Failed(last), attempts: 2 });
    let mut stage = host(vec![broken(Kind::Cut), broken(Kind::Cut)]);
    stage.wire.policy.num_retries = 1;
    let settled = Settled::NoAnswer { status: None, reason: "broken as scripted".into() };
    assert_eq!(sent(&stage).unwrap(), Sent { settled, attempts: 2 });
}

#[test]
fn what_repeating_cannot_mend_is_not_repeated() {
    let certificate = settled(vec![broken(Kind::Certificate)]);
    assert_eq!(certificate, Settled::NoAnswer { status: None, reason: "broken as scripted".into() });
}

#[test]
fn a_status_that_is_not_listed_is_refused_unless_it_says_later() {
    for refused in [400, 403, 404, 405, 413] {
        let Settled::Refused(refusal) = settled(vec![status(refused, r#"{"message":"No."}"#)]) else {
            panic!("{refused} is a refusal")
        };
        assert_eq!((refusal.status, refusal.messages), (refused, vec!["No.".to_string()]));
    }
    let expected = Settled::NoAnswer { status: Some(408), reason: "No.".into() };
    assert_eq!(settled(vec![status(408, r#"{"message":"No."}"#)]), expected);
    for failed in [501, 505] {
        let settled = settled(vec![status(failed, r#"{"message":"No."}"#)]);
        assert!(matches!(settled, Settled::Failed(refusal) if refusal.status == failed && refusal.text() == "No."));
    }
}

#[test]
fn a_status_that_is_listed_is_never_a_refusal() {
    let mut stage = host(vec![status(403, ""), status(403, r#"{"message":"No."}"#)]);
    (stage.wire.policy.statuses, stage.wire.policy.num_retries) = (vec![403], 1);
    let expected = Settled::NoAnswer { status: Some(403), reason: "No.".into() };
    assert_eq!(sent(&stage).unwrap().settled, expected);
}

#[test]
fn a_redirection_is_refused_with_where_it_points() {
    let moved = Reply { status: 301, location: Some("https://elsewhere.example.com/".into()), ..Reply::default() };
    let Settled::Refused(refusal) = settled(vec![Ok(moved)]) else { panic!("a redirection is a refusal") };
    assert!(refusal.text().contains("https://elsewhere.example.com/"));
}

#[test]
fn an_interruption_ends_patience_and_leaves_the_payload_unsent() {
    let mut stage = host(vec![status(503, r#"{"detail":"Try later."}"#)]);
    stage.wire.sleep = Box::new(|_| Err(Exit::Interrupted));
    let reason = "interrupted while waiting to send it again, after: Try later.".into();
    let settled = Settled::NoAnswer { status: Some(503), reason };
    assert_eq!(sent(&stage).unwrap(), Sent { settled, attempts: 1 });
    let mut stage = testing::stage(|_| broken(Kind::Connect));
    stage.wire.sleep = Box::new(|_| Err(Exit::Interrupted));
    let reason = "interrupted while asking for a token".into();
    assert_eq!(sent(&stage).unwrap().settled, Settled::NoAnswer { status: None, reason });
}

#[test]
fn a_refused_login_stops_the_run() {
    let stage = testing::stage(|_| status(401, ""));
    assert!(sent(&stage).unwrap_err().to_string().starts_with("login refused"));
}
