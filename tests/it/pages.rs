//! Pages through hosts that are faulty: every walk gives all records, or ends with a reason, whatever stands between.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use lightbeam::sandbox::Options;
use serde_json::{Value, json};

use crate::delete::{deletes, erase, left};
use crate::host::message;
use crate::support::{Ended, Stage, number, students, without_empty_lists};
use crate::validate::{results, told};

/// What a host does to the query of a question for data.
type Ask = fn(&str) -> String;
/// What it does to the head of an answer.
type Tell = fn(&str) -> String;

/// A host before a stage's sandbox that changes questions for data and the heads of answers. Whoever runs on the stage goes through it.
struct Between {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Between {
    fn new(stage: &Stage, ask: Ask, tell: Tell) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let between = Between { asked: Arc::default() };
        let (asked, to) = (between.asked.clone(), stage.sandbox.url().trim_start_matches("http://").to_string());
        let to = to.split('/').next().unwrap().to_string();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (asked, to) = (asked.clone(), to.clone());
                std::thread::spawn(move || {
                    let mut host = BufReader::new(TcpStream::connect(to)?);
                    let mut client = BufReader::new(client);
                    while let Ok((head, body)) = message(&mut client) {
                        let (line, rest) = head.split_once("\r\n").unwrap();
                        let path = line.split(' ').nth(1).unwrap();
                        let is_data = line.starts_with("GET ") && path.contains("/data/");
                        if is_data {
                            asked.lock().unwrap().push(path.to_string());
                        }
                        let line = if is_data { format!("GET {} HTTP/1.1", ask(path)) } else { line.into() };
                        let request = [format!("{line}\r\n{rest}").as_bytes(), &body].concat();
                        host.get_mut().write_all(&request)?;
                        let (head, body) = message(&mut host)?;
                        client.get_mut().write_all(&[tell(&head).as_bytes(), &body].concat())?;
                    }
                    Ok::<_, std::io::Error>(())
                });
            }
        });
        let url = stage
            .sandbox
            .url()
            .replace(stage.sandbox.url().trim_start_matches("http://").split('/').next().unwrap(), &address);
        stage.folder.config(&url, "");
        between
    }

    /// How often data of a resource was asked for.
    fn asked(&self, resource: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| path.contains(&format!("/{resource}"))).count()
    }
}

/// A query without the parameters of these names.
fn without(path: &str, names: &[&str]) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let kept = query.split('&').filter(|pair| !names.iter().any(|name| pair.starts_with(&format!("{name}="))));
    format!("{path}?{}", kept.collect::<Vec<_>>().join("&"))
}

/// A host that gives at most seven records a page.
fn seven(path: &str) -> String {
    let limit = |name: &str| {
        let given = path.split(&format!("{name}=")).nth(1)?.split('&').next()?.parse::<u64>().ok()?;
        Some(path.replace(&format!("{name}={given}"), &format!("{name}={}", given.min(7))))
    };
    limit("limit").or_else(|| limit("pageSize")).unwrap_or_else(|| path.into())
}

fn as_it_is(text: &str) -> String {
    text.into()
}

fn without_query(path: &str) -> String {
    path.split('?').next().unwrap_or_default().into()
}

fn without_place(path: &str) -> String {
    without(path, &["limit", "offset", "pageToken", "pageSize"])
}

/// A head without the header that counts.
fn uncounted(head: &str) -> String {
    let is_count = |line: &&str| line.to_ascii_lowercase().starts_with("total-count:");
    head.split_inclusive("\r\n").filter(|line| !is_count(line)).collect()
}

/// An API with that many students.
fn stage(count: usize, no_cursor: bool) -> Stage {
    let stage = Stage::with(Options { no_cursor, ..Options::default() });
    stage.data("students.jsonl", &students(count));
    stage.run(&["send", "--quiet", "--set", "connection.pool_size", "1"]).expect(0);
    stage
}

fn fetch(stage: &Stage, args: &[&str]) -> Ended {
    stage.run(&[&["fetch", "-s", "students", "--output", "out", "--sendable"], args].concat())
}

#[test]
fn pages_that_are_shorter_than_asked_for_leave_no_gap_whether_or_not_the_api_counts() {
    for (no_cursor, tell) in [(true, as_it_is as Tell), (true, uncounted), (false, as_it_is), (false, uncounted)] {
        let stage = stage(150, no_cursor);
        let between = Between::new(&stage, seven, tell);
        fetch(&stage, &[]).expect(0).tells(&["150 records in 1 file"]);
        let fetched = std::fs::read_to_string(stage.folder.0.join("out/students.jsonl")).unwrap();
        assert_eq!(fetched.lines().map(without_empty_lists).collect::<Vec<_>>(), students(150));
        assert!(between.asked("students") <= 40, "{}", between.asked("students"));
    }
}

#[test]
fn a_host_that_drops_the_query_ends_a_fetch_with_a_reason_and_without_a_file() {
    for no_cursor in [true, false] {
        for (ask, tell) in
            [(without_query as Ask, as_it_is as Tell), (without_place, as_it_is), (without_place, uncounted)]
        {
            let stage = stage(600, no_cursor);
            let between = Between::new(&stage, ask, tell);
            // By a page or by its token, whichever comes first.
            fetch(&stage, &[]).expect(1).tells(&["or a host before it, passes over"]);
            assert!(!stage.folder.0.join("out/students.jsonl").exists());
            assert!(between.asked("students") < 100, "{}", between.asked("students"));
        }
    }
}

#[test]
fn partitions_that_all_give_the_same_page_are_told_even_if_nobody_counts() {
    fn without_token(path: &str) -> String {
        without(path, &["pageToken", "pageSize"])
    }
    fn without_next(head: &str) -> String {
        let is_next = |line: &&str| line.to_ascii_lowercase().starts_with("next-page-token:");
        uncounted(head).split_inclusive("\r\n").filter(|line| !is_next(line)).collect()
    }
    let stage = stage(600, false);
    let _between = Between::new(&stage, without_token, without_next);
    fetch(&stage, &[]).expect(3).tells(&["records again while it was fetched"]);
}

#[test]
fn a_resource_without_a_total_is_a_row_that_says_so_and_the_others_are_counted() {
    fn students_uncounted(head: &str) -> String {
        if head.contains("Total-Count: 3\r\n") { uncounted(head) } else { head.into() }
    }
    let stage = stage(3, true);
    let _between = Between::new(&stage, as_it_is, students_uncounted);
    let counted = stage.run(&["count", "--results-file", "c.json"]).expect(3);
    assert_eq!(counted.out, "Records\tEndpoint\n60\tschoolYearTypes\nthe API reports no total\tstudents\n");
    let results = std::fs::read(stage.folder.0.join("c.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(results["resources"]["students"]["message"], "the API reports no total");
    assert!(results["resources"]["students"]["records"].is_null());
    assert_eq!(number(&results["total_records"]), 60);
    stage.run(&["count", "-s", "students"]).expect(1);
}

#[test]
fn a_truncate_reads_short_pages_to_their_end_and_touches_nothing_that_it_cannot_count_or_read() {
    for no_cursor in [true, false] {
        let short = stage(60, no_cursor);
        let _between = Between::new(&short, seven, as_it_is);
        erase(&short, "truncate", &["--yes", "-s", "students"]).0.expect(0).tells(&["60 records deleted"]);
        assert_eq!(left(&short, "students"), 0);
        for (ask, tell, told) in [
            (as_it_is as Ask, uncounted as Tell, "the API reports no total"),
            (without_place, as_it_is, "or a host before it, passes over"),
        ] {
            let stage = stage(60, no_cursor);
            let _between = Between::new(&stage, ask, tell);
            erase(&stage, "truncate", &["--yes", "-s", "students"]).0.tells(&[told]);
            stage.folder.config(&stage.sandbox.url(), "");
            assert_eq!((deletes(&stage).len(), left(&stage, "students")), (0, 60));
        }
    }
}

/// Payloads that refer to that many students, and a contact.
fn contacts(stage: &Stage, count: usize) {
    std::fs::remove_file(stage.folder.0.join("data/students.jsonl")).unwrap();
    stage.data("contacts.jsonl", &[json!({"contactUniqueId": "1", "firstName": "A", "lastSurname": "B"}).to_string()]);
    let contact_of = |student: usize| {
        json!({"contactReference": {"contactUniqueId": "1"}, "studentReference": {"studentUniqueId": student.to_string()}})
            .to_string()
    };
    stage.data("studentContactAssociations.jsonl", &(1..=count).map(contact_of).collect::<Vec<_>>());
}

#[test]
fn validation_finds_all_keys_on_short_pages_and_blames_no_payload_for_pages_that_lead_nowhere() {
    let validate = |ask: Ask| {
        let stage = stage(60, true);
        contacts(&stage, 60);
        let between = Between::new(&stage, ask, as_it_is);
        let (ended, results) = results(&stage, "validate", &["--set", "validate.methods", "[references]"]);
        ended.expect(0);
        assert!(told(&results, "failures").is_empty(), "{results}");
        (between.asked("students"), results["unchecked"].to_string())
    };
    let (asked, unchecked) = validate(seven);
    assert!(asked < 20 && !unchecked.contains("students"), "{asked} {unchecked}");
    let (asked, unchecked) = validate(without_place);
    assert!(asked < 20 && unchecked.contains("the API gave"), "{asked} {unchecked}");
}

#[test]
fn values_of_descriptors_whose_pages_lead_nowhere_are_not_known_and_no_payload_is_blamed() {
    let stage = Stage::new();
    let value = |n: usize| json!({"namespace": "uri://ed-fi.org/SexDescriptor", "codeValue": n.to_string(), "shortDescription": "x"});
    stage.data("sexDescriptors.jsonl", &(1..=60).map(|n| value(n).to_string()).collect::<Vec<_>>());
    stage.run(&["send", "--quiet"]).expect(0);
    std::fs::remove_file(stage.folder.0.join("data/sexDescriptors.jsonl")).unwrap();
    let student = |n: usize| {
        students(1)[0].replacen('{', &format!(r#"{{"birthSexDescriptor":"uri://ed-fi.org/SexDescriptor#{n}","#), 1)
    };
    stage.data("students.jsonl", &[student(60), student(60).replace("Ada", "Eve")]);
    let validate = || stage.run(&["validate", "-w", "--set", "validate.methods", "[descriptors]"]);
    {
        let _between = Between::new(&stage, seven, as_it_is);
        validate().expect(0);
    }
    let between = Between::new(&stage, without_place, as_it_is);
    validate().expect(0).tells(&["the API does not give the values of", "passes over limit and offset"]);
    assert_eq!(between.asked("sexDescriptors"), 2);
}

#[test]
fn a_fetch_asks_for_as_many_records_as_the_api_gives_and_for_hardly_more_pages_than_there_are() {
    for no_cursor in [true, false] {
        let stage = stage(2_000, no_cursor);
        let gets = |args: &[&str]| {
            let before = stage.sandbox.received().len();
            fetch(&stage, args).expect(0).tells(&["2,000 records in 1 file"]);
            stage.sandbox.received()[before..].iter().filter(|asked| asked.resource == "ed-fi/students").count()
        };
        // Besides pages: what tells how many there are before and after, partitions, and the end of each of them.
        let besides = if no_cursor { 1 } else { 3 + 8 };
        let asked = [gets(&[]), gets(&["--set", "fetch.page_size", "100"]), gets(&["--set", "fetch.page_size", "10"])];
        assert!(asked[0] <= 4 + besides, "{asked:?}");
        assert!(asked[1] <= 20 + 8 + besides, "{asked:?}");
        assert!(asked[2] <= 200 + besides, "{asked:?}");
    }
}
