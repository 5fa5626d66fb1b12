//! Where there is nothing to read: a folder that is not mounted, files with other names, and what may well be empty.

use std::fs;

use serde_json::Value;

use crate::support::{Stage, students};

#[test]
fn a_folder_without_a_data_file_of_a_selected_resource_is_a_fault() {
    let stage = Stage::new();
    let told = "CRITICAL there is nothing to read in data: it has no data file of a selected resource";
    let all = |stage: &Stage| {
        for args in [&["send"][..], &["validate"], &["validate+send"], &["plan"], &["delete", "--yes"]] {
            let ended = stage.run(args).expect(2);
            assert!(ended.err.contains(told), "{args:?}: {}", ended.err);
            let ended = stage.run(&[args, &["--allow-empty"]].concat()).expect(0);
            assert!(!ended.err.contains("CRITICAL"), "{args:?}: {}", ended.err);
        }
    };
    all(&stage);
    stage.data("studnets.jsonl", &students(1));
    all(&stage);
    stage.data("students.jsonl", &students(1));
    assert!(stage.run(&["send", "-s", "schools"]).expect(2).err.contains(told));
    let results = stage.folder.0.join("results.json");
    stage.run(&["send", "-s", "schools", "--results-file", "results.json"]).expect(2);
    let results: Value = serde_json::from_slice(&fs::read(results).unwrap()).unwrap();
    assert_eq!(results["exit_code"], 2);
    assert!(results["stopped"].as_str().unwrap().starts_with("there is nothing to read in data"));
    stage.run(&["send", "-s", "schools", "--compat", "python"]).expect(255);
    stage.run(&["send", "-s", "schools", "--exit-codes", "nothing=0"]).expect(0);
    assert!(stage.posts().is_empty());
}

#[test]
fn files_without_payloads_count_as_skipped() {
    let stage = Stage::new();
    stage.data("students.jsonl", &["".into(), " ".into()]);
    for args in [&["send"][..], &["validate"], &["validate+send"], &["plan"], &["delete", "--yes"]] {
        stage.run(args).expect(99);
    }
}

#[test]
fn a_folder_of_rejects_may_be_empty() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(1), vec!["{}".into()]].concat());
    stage.run(&["send", "--rejects", "rejects"]).expect(3);
    stage.data("students.jsonl", &students(1));
    stage.run(&["send", "--rejects", "rejects"]).expect(99);
    assert!(!stage.folder.0.join("rejects/students.jsonl").exists());
    stage.run(&["send", "--rejects", "rejects", "--data-dir", "rejects"]).expect(99);
    // Below the state, rejects need no name.
    stage.data("students.jsonl", &["{}".into()]);
    stage.run(&["send"]).expect(1);
    stage.data("students.jsonl", &students(1));
    stage.run(&["send"]).expect(99);
    let state = fs::read_dir(stage.folder.0.join("state")).unwrap().map(|entry| entry.unwrap().path().join("rejects"));
    let rejects = state.into_iter().find(|folder| folder.is_dir()).unwrap();
    stage.run(&["send", "--data-dir", rejects.to_str().unwrap()]).expect(99);
}

#[test]
fn a_name_with_a_date_says_what_may_be_meant() {
    let stage = Stage::new();
    for name in ["students_2024-08-01.jsonl", "2024-08-01-students.jsonl", "students (1).jsonl", "students2.json"] {
        stage.data(name, &students(1));
        let ended = stage.run(&["send"]).expect(2);
        let told = format!("data/{name} is left out: it matches no resource; did you mean students?");
        assert!(ended.err.contains(&told), "{}", ended.err);
        fs::remove_file(stage.folder.0.join("data").join(name)).unwrap();
    }
}
