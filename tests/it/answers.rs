//! Who answered, and what that means: answers that no Ed-Fi API gave, races, failures of the server, refusals of a whole resource.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::host::{Asked, Host, Wire};
use crate::support::{Ended, Folder, Stage, number, students, total};

const POST: &str = "POST /data/ed-fi/students";
const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const PAGE: &str = "<html><head><title>Request Rejected</title></head><body>Your request was blocked.</body></html>";

/// A host whose answer to each payload `answer` gives from how often and as the how many-th it was sent: by payload, then in all. Other
/// requests, also questions for a record, are answered as an API does.
fn host(answer: impl Fn(usize, usize, &mut Wire) -> io::Result<bool> + Send + Sync + 'static) -> Host {
    let (all, by_line) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<String, usize>::new()));
    api(move |asked, wire| match asked.line == POST {
        true => {
            let line = correlation(asked);
            let tries = {
                let mut by_line = by_line.lock().unwrap();
                let tries = by_line.entry(line).or_default();
                *tries += 1;
                *tries
            };
            answer(tries, all.fetch_add(1, Ordering::SeqCst) + 1, wire)
        }
        false => Ok(false),
    })
}

/// By what a payload is known to the API's log.
fn correlation(asked: &Asked) -> String {
    let line = asked.head.lines().find(|line| line.to_ascii_lowercase().starts_with("correlation-id: "));
    line.unwrap_or_default().rsplit('/').next().unwrap_or_default().to_string()
}

/// A host that gives records when it is asked for some, unless `answer` does something else.
fn api(answer: impl Fn(&Asked, &mut Wire) -> io::Result<bool> + Send + Sync + 'static) -> Host {
    Host::new(move |asked, wire| match answer(asked, wire)? {
        true => Ok(true),
        false if asked.line.starts_with("GET /data/") => wire.answer(200, JSON, "[]").map(|()| true),
        false => Ok(false),
    })
}

fn folder(host: &Host, payloads: usize, connection: &str) -> Folder {
    let folder = Folder::new();
    folder.data("students.jsonl", &students(payloads));
    folder.config(&host.url, connection);
    folder
}

fn send(folder: &Folder) -> (Ended, Value) {
    let run = folder.run(&["send", "--results-file", "results.json"]);
    let results = std::fs::read(folder.0.join("results.json")).unwrap();
    (run, serde_json::from_slice(&results).unwrap())
}

/// The lines of the reasons of refused students.
fn reasons(folder: &Folder) -> Vec<Value> {
    let files = crate::secrets::files(&folder.0.join("state"));
    let Some(file) = files.iter().find(|file| file.ends_with("students.reasons.jsonl")) else { return Vec::new() };
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_answer_that_no_ed_fi_api_gave_never_counts_as_accepted() {
    for (status, headers, body) in [
        (200, HTML, PAGE),
        (201, JSON, PAGE),
        (200, JSON, r#"{"error":"access denied"}"#),
        (202, "", ""),
        (203, "", ""),
        (206, "", ""),
        (302, "Location: /login\r\n", ""),
        (402, JSON, r#"{"message":"pay"}"#),
        (404, HTML, PAGE),
        (403, HTML, PAGE),
        (451, "", ""),
        (511, HTML, PAGE),
    ] {
        // One payload is blocked, the others are taken.
        let host = host(move |_, all, wire| match all == 7 {
            true => wire.answer(status, headers, body).map(|()| true),
            false => Ok(false),
        });
        let folder = folder(&host, 20, "");
        let (run, results) = send(&folder);
        let run = run.expect(3);
        assert_eq!((total(&results, "created"), total(&results, "refused")), (19, 1), "{status} {body}: {run:?}");
        let reasons = reasons(&folder);
        let said = reasons[0]["messages"][0].as_str().unwrap();
        assert!(said.starts_with(&format!("not an Ed-Fi API: {status}")), "{said}");
    }
}

#[test]
fn what_a_firewall_says_is_told_by_status_content_type_and_visible_text() {
    let host = host(|_, all, wire| match all == 2 {
        true => wire.answer(200, HTML, "Request <b>blocked</b>").map(|()| true),
        false => Ok(false),
    });
    let folder = folder(&host, 5, "");
    let (run, _) = send(&folder);
    run.expect(3).tells(&["not an Ed-Fi API: 200 text/html"]);
    assert_eq!(reasons(&folder)[0]["messages"], json!([r#"not an Ed-Fi API: 200 text/html "Request <b>blocked</b>""#]));
}

#[test]
fn a_payload_that_is_too_large_is_refused_whoever_says_so() {
    for status in [413, 414, 431] {
        let host = host(move |_, all, wire| match all == 2 {
            true => wire.answer(status, HTML, PAGE).map(|()| true),
            false => Ok(false),
        });
        let folder = folder(&host, 5, "");
        let (run, _) = send(&folder);
        run.expect(3);
        assert_eq!(reasons(&folder)[0]["messages"], json!(["Request Rejected Your request was blocked."]));
    }
}

#[test]
fn a_host_where_somebody_else_answers_everything_or_every_payload_is_gone_and_the_rest_is_unsent() {
    for blocked in ["/data/", POST] {
        let gone = AtomicBool::new(false);
        let host = api(move |asked, wire| {
            let last = asked.line == POST && correlation(asked) == "students.jsonl:21";
            match (gone.fetch_or(last, Ordering::SeqCst) || last) && asked.line.contains(blocked) {
                true => wire.answer(200, HTML, PAGE).map(|()| true),
                false => Ok(false),
            }
        });
        let folder = folder(&host, 2_000, "");
        let (run, results) = send(&folder);
        run.expect(4).tells(&["somebody else answers in place of the API", "not an Ed-Fi API: 200 text/html"]);
        let (created, unsent) = (total(&results, "created"), total(&results, "unsent"));
        assert!(created >= 13 && created + unsent == 2_000, "{created} {unsent}: nothing counts as refused");
        assert!(reasons(&folder).is_empty());
        let posts = host.asked(POST);
        assert!(posts.len() as u64 <= created + 16 + 16, "{} POSTs, {created} accepted", posts.len());
        let empty = posts.iter().filter(|asked| correlation(asked).is_empty()).count();
        assert_eq!((host.asked("GET /data/").len(), empty), (1, usize::from(blocked == POST)), "questions");
    }
}

#[test]
fn a_few_answers_of_somebody_else_and_nothing_more_are_judged_by_a_question() {
    for there in [true, false] {
        let host =
            api(move |asked, wire| match asked.line == POST || (!there && asked.line.starts_with("GET /data/")) {
                true => wire.answer(200, HTML, PAGE).map(|()| true),
                false => Ok(false),
            });
        let folder = folder(&host, 3, "");
        let (run, results) = send(&folder);
        run.expect(if there { 1 } else { 4 });
        let expected = if there { (3, 0) } else { (0, 3) };
        assert_eq!((total(&results, "refused"), total(&results, "unsent")), expected);
        assert_eq!(host.asked("GET /data/").len(), 1);
    }
}

#[test]
fn a_firewall_that_blocks_neighbours_does_not_end_a_run() {
    let host = api(|asked, wire| {
        let line = correlation(asked).rsplit(':').next().and_then(|line| line.parse::<u32>().ok());
        match asked.line == POST && line.is_some_and(|line| (30..70).contains(&line)) {
            true => wire.answer(403, HTML, PAGE).map(|()| true),
            false => Ok(false),
        }
    });
    let folder = folder(&host, 100, "");
    let (run, results) = send(&folder);
    run.expect(3);
    assert_eq!((total(&results, "created"), total(&results, "refused")), (60, 40));
    assert!((1..=3).contains(&host.asked("GET /data/").len()), "it asked whether the API is there");
}

#[test]
fn documents_and_tokens_of_somebody_else_are_told_as_such() {
    for line in ["GET /", "GET /dependencies", "POST /token"] {
        let host = Host::new(move |asked, wire| match asked.line == line {
            true => wire.answer(200, HTML, PAGE).map(|()| true),
            false => Ok(false),
        });
        let folder = folder(&host, 3, "");
        folder.run(&["send"]).expect(4).tells(&["not an Ed-Fi API: 200 text/html \"Request Rejected"]);
        assert_eq!(host.asked(line).len(), 1, "to ask again does not help");
    }
}

#[test]
fn a_race_is_repeated_twice_and_then_refused() {
    let conflict =
        r#"{"type":"urn:ed-fi:api:data-conflict:non-unique-identity","title":"Identifying Values Are Not Unique"}"#;
    for (races, code) in [(2, 0), (3, 3)] {
        let host = self::host(move |tries, _, wire| match tries <= races {
            true => wire.answer(409, JSON, conflict).map(|()| true),
            false => Ok(false),
        });
        let folder = folder(&host, 1, "");
        let (run, results) = send(&folder);
        run.expect(if code == 3 { 1 } else { 0 });
        assert_eq!(host.asked(POST).len(), 3);
        assert_eq!(total(&results, "refused"), u64::from(code == 3));
    }
}

#[test]
fn a_deadlock_of_the_database_is_repeated_and_digits_in_an_id_are_not() {
    for (text, posts) in [("40P01: deadlock detected", 2), ("SQLSTATE 40001", 2), ("School 40001 is not known", 1)] {
        let body = format!(r#"{{"type":"urn:ed-fi:api:bad-request:data-validation-failed","errors":["{text}"]}}"#);
        let host = host(move |tries, _, wire| match tries == 1 {
            true => wire.answer(400, JSON, &body).map(|()| true),
            false => Ok(false),
        });
        send(&folder(&host, 1, "")).0.expect(if posts == 2 { 0 } else { 1 });
        assert_eq!(host.asked(POST).len(), posts, "{text}");
    }
}

#[test]
fn a_conflict_of_unknown_type_takes_part_in_the_second_pass() {
    let host = host(|tries, all, wire| match tries == 1 && all == 1 {
        true => wire.answer(409, JSON, r#"{"type":"urn:ed-fi:api:data-conflict:something-new"}"#).map(|()| true),
        false => Ok(false),
    });
    let (run, results) = send(&folder(&host, 10, ""));
    run.expect(0);
    assert_eq!(total(&results, "created"), 10);
}

#[test]
fn nothing_of_a_refusal_is_cut_in_results_and_reasons() {
    let long = format!("{} end", "word ".repeat(10_000));
    let body = json!({"detail": long}).to_string();
    let host = host(move |_, _, wire| wire.answer(400, JSON, &body).map(|()| true));
    let folder = folder(&host, 2, "");
    let (run, results) = send(&folder);
    let run = run.expect(1);
    assert!(run.out.len() < 10_000, "the table for people is short");
    let whole = long.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(reasons(&folder)[0]["messages"], json!([whole]));
    assert!(results.to_string().contains(&whole));
}

#[test]
fn payloads_at_which_the_api_always_fails_are_tried_three_times_and_hold_up_no_other() {
    let system = r#"{"detail":"An unexpected problem has occurred.","type":"urn:ed-fi:api:system","status":500}"#;
    let poison = |asked: &Asked| {
        let line = correlation(asked).rsplit(':').next().and_then(|line| line.parse::<u32>().ok());
        asked.line == POST && line.is_some_and(|line| line % 10 == 1)
    };
    let host = api(move |asked, wire| match poison(asked) {
        true => wire.answer(500, JSON, system).map(|()| true),
        false => Ok(false),
    });
    let folder = folder(&host, 300, "connection:\n  pool_size: 2\n");
    let (run, results) = send(&folder);
    run.expect(3);
    assert_eq!((total(&results, "created"), total(&results, "refused")), (270, 30));
    let posts = host.asked(POST);
    let mut tries: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let failing = posts.iter().enumerate().filter(|(_, asked)| poison(asked));
    failing.for_each(|(at, asked)| tries.entry(correlation(asked)).or_default().push(at));
    assert!(tries.values().all(|tries| tries.len() == 3), "{tries:?}");
    let last_good = posts.iter().rposition(|asked| !poison(asked)).unwrap();
    assert!(tries.values().all(|tries| tries[2] > last_good), "the last try comes when the tier is done");
    assert_eq!(reasons(&folder).len(), 30);
}

/// An API with students and schools, whose answer to a POST of students is `status`, while schools are taken and given.
fn two_resources(status: u16, order: [u64; 2]) -> (Host, Folder) {
    let host = Host::new(move |asked, wire| {
        let line = asked.line.as_str();
        if line == "GET /dependencies" {
            let entry = |name: &str, order: u64| json!({"resource": format!("/ed-fi/{name}"), "order": order, "operations": ["Create"]});
            let dependencies = json!([entry("students", order[0]), entry("schools", order[1])]);
            return wire.answer(200, JSON, &dependencies.to_string()).map(|()| true);
        }
        let (status, body) = match line {
            POST => (status, r#"{"detail":"No.","title":"No"}"#),
            "POST /data/ed-fi/schools" => (201, ""),
            _ if line.starts_with("GET /data/ed-fi/schools") => (200, "[]"),
            _ if line.starts_with("GET /data/ed-fi/students") => (status, ""),
            _ => return Ok(false),
        };
        wire.answer(status, JSON, body).map(|()| true)
    });
    let folder = folder(&host, 500, "connection:\n  backoff_factor: 1\n");
    folder.data("schools.jsonl", &(0..50).map(|n| format!(r#"{{"schoolId":{n}}}"#)).collect::<Vec<_>>());
    (host, folder)
}

#[test]
fn a_resource_that_fails_or_is_refused_as_a_whole_is_given_up_and_the_others_go_on() {
    for (status, told) in [
        (500, "the API fails at this whole resource while it serves others"),
        (503, "the API fails at this whole resource while it serves others"),
        (404, "the API refuses this whole resource"),
        (405, "the API refuses this whole resource"),
        (415, "the API refuses this whole resource"),
    ] {
        // Alone in its tier, before the others, and together with them.
        for order in [[1, 2], [1, 1]] {
            let (host, folder) = two_resources(status, order);
            let (run, results) = send(&folder);
            run.expect(4).tells(&[told]);
            let of = |resource: &str, what: &str| number(&results["resources"][resource][what]);
            assert_eq!(of("schools", "records_created"), 50, "{status} {order:?}");
            assert_eq!((of("students", "records_unsent"), of("students", "records_refused")), (500, 0));
            assert!(results["stopped"].is_null(), "{results}");
            let posts = host.asked(POST).len();
            assert!(posts < 100, "{status} {order:?}: {posts} POSTs");
        }
    }
}

#[test]
fn a_media_type_that_is_refused_for_one_payload_is_about_the_payload() {
    let host = host(|_, all, wire| match all == 1 {
        true => wire.answer(415, JSON, r#"{"detail":"No."}"#).map(|()| true),
        false => Ok(false),
    });
    let (run, results) = send(&folder(&host, 10, ""));
    run.expect(3);
    assert_eq!((total(&results, "created"), total(&results, "refused")), (9, 1));
}

#[test]
fn five_equal_refusals_of_payloads_are_no_refusal_of_the_resource() {
    let unresolved = r#"{"type":"urn:ed-fi:api:data-conflict:unresolved-reference","detail":"The referenced 'School' item does not exist."}"#;
    for (status, body) in [(400, r#"{"detail":"Data validation failed."}"#), (409, unresolved)] {
        let host = host(move |_, all, wire| match all <= 20 {
            true => wire.answer(status, JSON, body).map(|()| true),
            false => Ok(false),
        });
        let (_, results) = send(&folder(&host, 40, ""));
        assert!(total(&results, "created") >= 20, "{status}: {results}");
        assert_eq!(total(&results, "unsent"), 0);
    }
}

#[test]
fn a_namespace_that_is_refused_is_not_tried_to_its_end_and_others_are() {
    let mismatch =
        r#"{"type":"urn:ed-fi:api:security:authorization:namespace:access-denied:namespace-mismatch","detail":"No."}"#;
    let host = api(move |asked, wire| {
        let line = correlation(asked).rsplit(':').next().and_then(|line| line.parse::<u32>().ok());
        match asked.line == POST && line.is_some_and(|line| line <= 200) {
            true => wire.answer(403, JSON, mismatch).map(|()| true),
            false => Ok(false),
        }
    });
    let folder = folder(&host, 0, "");
    let of = |namespace: &str, n: usize| format!(r#"{{"namespace":"uri://{namespace}","codeValue":"{n}"}}"#);
    let lines = (0..200).map(|n| of("theirs", n)).chain((0..50).map(|n| of("ours", n)));
    folder.data("students.jsonl", &lines.collect::<Vec<_>>());
    let (run, results) = send(&folder);
    run.expect(4).tells(&["the API refuses the namespace uri://theirs of this resource"]);
    let (created, refused, unsent) =
        (total(&results, "created"), total(&results, "refused"), total(&results, "unsent"));
    assert!(created == 50 && (5..5 + 8).contains(&refused) && refused + unsent == 200, "{created} {refused} {unsent}");
}

#[test]
fn what_waiting_cannot_cure_is_reported_at_once() {
    // A port that speaks plain HTTP.
    let (stage, folder) = (Stage::new(), Folder::new());
    folder.data("students.jsonl", &students(1));
    folder.config(&stage.sandbox.url().replace("http://", "https://"), "");
    let run = folder.run(&["send"]).expect(4);
    run.tells(&["the host does not speak TLS, which https:// needs"]);
    assert!(!run.err.contains("asking again"), "{}", run.err);
    // A host on another machine, over plain HTTP, at a port where nobody listens.
    folder.config("http://api.example.test", "connection:\n  proxy: http://127.0.0.1:1\n");
    let run = folder.run(&["send"]).expect(4);
    run.tells(&["key and token would travel unencrypted to another machine", "connection.allow_http"]);
    assert!(!run.err.contains("asking again"), "{}", run.err);
}

#[test]
fn a_host_that_is_not_there_is_waited_for_as_long_as_patience_is_configured() {
    let folder = Folder::new();
    folder.data("students.jsonl", &students(1));
    folder.config("http://127.0.0.1:1", "connection:\n  patience: 1\n");
    let run = folder.run(&["send"]).expect(4);
    run.tells(&["asking again in", "Connection refused"]);
    // 0.25 to 0.5 s, 0.4 to 0.75 s, and what is left of the second.
    let asked = run.err.matches("asking again in").count();
    assert!((2..=4).contains(&asked), "{}", run.err);
}
