//! `count`: how many records the API has, for people, for pipelines that read the Python lightbeam's table, and for machines.

use std::fs;

use lightbeam::sandbox::Options;
use serde_json::Value;

use crate::support::{Stage, number, students};

/// An API with three students and nothing else but its school years.
fn stage(options: Options) -> Stage {
    let stage = Stage::with(options);
    stage.data("students.jsonl", &students(3));
    stage.run(&["send", "--quiet"]).expect(0);
    stage
}

#[test]
fn the_table_has_what_there_is_in_the_order_of_dependencies() {
    let stage = stage(Options::default());
    let counted = stage.run(&["count"]).expect(0);
    assert_eq!(counted.out, "Records\tEndpoint\n60\tschoolYearTypes\n3\tstudents\n");
    let counted = stage.run(&["count", "-s", "*udents,schools", "--set", "count.separator", ";"]).expect(0);
    assert_eq!(counted.out, "Records;Endpoint\n3;students\n");
}

#[test]
fn no_warning_stands_below_the_table_for_programs_read_it() {
    let stage = stage(Options::default());
    let counted = stage.run(&["count", "-s", "students,nosuch", "--results-file", "c.json"]).expect(0);
    assert_eq!(counted.out, "Records\tEndpoint\n3\tstudents\n");
    counted.tells(&["WARNING", "nosuch"]);
    let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("c.json")).unwrap()).unwrap();
    assert!(results["warnings"][0].as_str().unwrap().contains("nosuch"), "{results}");
}

#[test]
fn the_results_file_has_the_table_with_empty_resources_or_json() {
    let stage = stage(Options::default());
    stage.run(&["count", "-s", "students,schools", "--results-file", "deep/counts.tsv", "--quiet"]).expect(0);
    let table = fs::read_to_string(stage.folder.0.join("deep/counts.tsv")).unwrap();
    assert_eq!(table, "Records\tEndpoint\n3\tstudents\n0\tschools\n");
    let counted = stage.run(&["count", "-s", "students", "--results-file", "c.json", "--log-format", "json"]).expect(0);
    let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("c.json")).unwrap()).unwrap();
    assert_eq!(results, serde_json::from_str::<Value>(&counted.out).unwrap());
    assert_eq!((&results["command"], number(&results["total_records"])), (&"count".into(), 3));
    assert_eq!(number(&results["resources"]["students"]["records"]), 3);
}

#[test]
fn a_resource_that_cannot_be_read_is_a_row_with_its_status() {
    let stage = stage(Options { forbid: vec!["schools".into()], ..Options::default() });
    let counted = stage.run(&["count", "--results-file", "c.json"]).expect(3);
    assert_eq!(counted.out, "Records\tEndpoint\n60\tschoolYearTypes\n3\tstudents\nHTTP 403\tschools\n");
    let results: Value = serde_json::from_slice(&fs::read(stage.folder.0.join("c.json")).unwrap()).unwrap();
    let schools = &results["resources"]["schools"];
    assert!(schools["records"].is_null() && schools["message"].as_str().unwrap().contains("claim set"), "{schools}");
    assert_eq!((number(&schools["status_code"]), number(&results["exit_code"])), (403, 3));
    stage.run(&["count", "--partial-ok"]).expect(0);
    stage.run(&["count", "-s", "schools"]).expect(1);
}

#[test]
fn every_resource_is_asked_once_and_no_more_at_a_time_than_the_pool_has_workers() {
    let stage = Stage::new();
    let results = stage.run(&["count", "--log-format", "json", "--set", "connection.pool_size", "3"]).expect(0);
    let results: Value = serde_json::from_str(&results.out).unwrap();
    let asked = stage.sandbox.received();
    assert_eq!(asked.len(), results["resources"].as_object().unwrap().len());
    assert!(asked.len() > 300 && asked.iter().all(|request| request.method == "GET" && request.status == Some(200)));
    let stats = stage.stats();
    assert!(number(&stats["peakConcurrent"]) <= 3 && number(&stats["tokens"]) == 1, "{stats}");
}

#[test]
fn an_api_that_fails_as_a_whole_ends_the_count() {
    let stage = Stage::with(Options { fail_503: Some(1), ..Options::default() });
    let counted = stage.run(&["count", "--set", "num_retries", "0"]).expect(4);
    counted.tells(&["the API fails as a whole", "not asked"]);
}
