//! One target has one state and one lock, however its address is written.

use std::fs;

use lightbeam::state::target::{self, Lock};

use crate::support::{Stage, students};

/// The folders of targets below the state.
fn targets(stage: &Stage) -> Vec<String> {
    let names = fs::read_dir(stage.folder.0.join("state")).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.contains("-data-v3-")).collect()
}

#[test]
fn every_spelling_of_an_address_has_the_same_state_and_lock() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    let url = stage.sandbox.url();
    let port = url.rsplit(':').next().unwrap();
    stage.run(&["send", "--set", "edfi_api.base_url", &format!("http://localhost:{port}")]).expect(0);
    let lock = Lock::take(&stage.folder.0.join("state").join(&targets(&stage)[0]), "test").unwrap();
    for spelling in ["HTTP://localhost", "http://LOCALHOST", "http://LocalHost.", "http://localhost"] {
        let set = ["send", "--set", "edfi_api.base_url", &format!("{spelling}:{port}/./")];
        stage.run(&set).expect(5);
    }
    drop(lock);
    for spelling in ["HTTP://localhost", "http://LOCALHOST", "http://LocalHost."] {
        let set = ["--set", "edfi_api.base_url", &format!("{spelling}:{port}")];
        stage.run(&[&["send"], &set[..]].concat()).expect(99);
        assert!(stage.run(&[&["plan"], &set[..]].concat()).expect(0).out.contains(" 3  "), "{spelling}");
    }
    assert_eq!((targets(&stage).len(), stage.posts().len()), (1, 3));
}

#[test]
fn state_under_the_spelling_of_a_version_before_is_taken_over() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    let port = stage.sandbox.url().rsplit(':').next().unwrap().to_string();
    stage.run(&["send", "--set", "edfi_api.base_url", &format!("http://localhost:{port}")]).expect(0);
    let state = stage.folder.0.join("state");
    let [new, old] = ["localhost", "LocalHost"].map(|host| format!("http://{host}:{port}/data/v3"));
    // As the version before left it: the folder by its spelling, and the same spelling in each file.
    let earlier = target::folder(&state, &old);
    fs::rename(target::folder(&state, &new), &earlier).unwrap();
    let set = ["--set", "edfi_api.base_url", &format!("http://LocalHost:{port}")];
    let plan = stage.run(&[&["plan", "--log-format", "json"], &set[..]].concat()).expect(0).out;
    assert!(plan.contains(r#""skipped_accepted":3"#) && earlier.exists(), "plan changes nothing: {plan}");
    stage.run(&[&["send"], &set[..]].concat()).expect(99);
    assert!(!earlier.exists() && target::folder(&state, &new).exists());
    assert_eq!(stage.posts().len(), 3);
}
