//! What callers of the Python lightbeam rely on: its options with every command, names that match nothing, variables,
//! exit codes, and its results file.

use serde_json::{Value, json};

use crate::support::{Ended, Stage, ended, students};

fn stage() -> Stage {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    stage
}

/// Runs `lightbeam` with these variables.
fn run_with(stage: &Stage, variables: &[(&str, &str)], args: &[&str]) -> Ended {
    ended(stage.folder.command(args).envs(variables.iter().copied()).output().unwrap())
}

#[test]
fn an_operator_gives_the_same_options_with_every_command() {
    let stage = stage();
    let options = [
        "--config-file",
        "lightbeam.yaml",
        "--selector",
        "students",
        "--params",
        r#"{"K": "v"}"#,
        "--results-file",
        "results.json",
        "--resend-status-codes",
        "409,500",
        "--wipe",
        "--force",
        "--older-than",
        "Jan 5 2020",
        "--newer-than",
        "01/02/2999",
    ];
    for command in ["validate", "send", "validate+send", "plan", "count", "create"] {
        let ended = stage.run(&[&[command], &options[..]].concat()).expect(0);
        assert!(!ended.err.contains("WARNING"), "{command}: {}", ended.err);
    }
    let args = [&["count", "--set", "log_level", "DEBUG"], &options[..]].concat();
    stage.run(&args).expect(0).tells(&["DEBUG --force has no effect on 'count'"]);
}

#[test]
fn names_that_match_nothing_are_a_warning_that_summary_and_results_repeat() {
    let stage = stage();
    let told = "the selector nosuch matches no resource";
    for command in ["send", "validate", "plan", "count", "fetch"] {
        let mut args = vec![command, "-s", "students,nosuch", "-e", "neither"];
        if command == "fetch" {
            args.extend(["--output", "out"]);
        }
        if command != "plan" {
            args.extend(["--results-file", "results.json"]);
        }
        let ended = stage.run(&args).expect(0);
        assert!(ended.err.contains(&format!("WARNING {told}")), "{command}: {}", ended.err);
        // Below the table of count, which programs read, nothing stands.
        let is_told = ended.out.contains(&format!("Warning: {told}"));
        assert_eq!(is_told, command != "count", "{command}: {}", ended.out);
        assert!(ended.err.contains("the selector neither matches no resource"), "{command}: {}", ended.err);
        if command != "plan" {
            let bytes = std::fs::read(stage.folder.0.join("results.json")).unwrap();
            let results: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            // What count writes there is a table unless the name says otherwise.
            let warnings = results["warnings"].as_array().unwrap_or_else(|| panic!("{command}: {results}"));
            assert_eq!(warnings.len(), 2, "{command}: {warnings:?}");
        }
    }
    assert_eq!(stage.stored().len(), 3);
}

#[test]
fn nothing_is_deleted_where_a_name_matches_nothing_or_is_missing() {
    let stage = stage();
    stage.run(&["send"]).expect(0);
    for args in [
        &["delete", "--yes", "-s", "students,nosuch"][..],
        &["delete", "--yes", "-e", "nosuch"],
        &["delete", "--yes", "-s"],
        &["delete", "--yes", "-s", ""],
        &["delete", "--yes", "-q", "{}"],
        &["truncate", "--yes", "-s", "students", "-e", "nosuch"],
        &["truncate", "--yes", "-s", "students", "-o", "2020-01-01"],
        &["truncate", "--yes", "-s", "students", "-r", "409"],
    ] {
        stage.run(args).expect(2).tells(&["nothing is deleted"]);
    }
    let empty = run_with(&stage, &[("LIGHTBEAM_SELECTOR", "")], &["delete", "--yes"]).expect(2);
    empty.tells(&["LIGHTBEAM_SELECTOR has no value, and nothing is deleted"]);
    assert_eq!(count(&stage), 3);
}

/// How many students the API has.
fn count(stage: &Stage) -> u64 {
    let out = stage.run(&["count", "-s", "students"]).expect(0).out;
    out.lines().nth(1).and_then(|row| row.split_whitespace().next()).map_or(0, |number| number.parse().unwrap())
}

#[test]
fn delete_selects_among_what_was_sent_before_and_takes_what_was_never_sent() {
    let stage = stage();
    stage.run(&["send"]).expect(0);
    let known = |args: &[&str]| {
        let args = [&["delete", "--dry-run", "--results-file", "results.json"], args].concat();
        stage.run(&args).expect(0);
        let bytes = std::fs::read(stage.folder.0.join("results.json")).unwrap();
        let results: Value = serde_json::from_slice(&bytes).unwrap();
        let number = |key: &str| results[key].as_u64().unwrap();
        (number("total_records_there"), number("total_records_skipped"))
    };
    assert_eq!(known(&[]), (3, 0));
    assert_eq!(known(&["-o", "1/1/2020"]), (0, 3));
    assert_eq!(known(&["-n", "Jan 1 2020"]), (3, 0));
    assert_eq!(known(&["-r", "409"]), (0, 3));
    assert_eq!(known(&["-r", "409,201"]), (3, 0));
    assert_eq!(known(&["-o", "1/1/2020", "-f"]), (3, 0));
    // A record that is there, of a payload that was never sent.
    let other = students(1)[0].replace("Ada", "Eva");
    stage.data("students.jsonl", &[students(3), vec![other]].concat());
    assert_eq!(known(&["-r", "409"]), (1, 3));
    assert_eq!(known(&["--compat", "python"]), (1, 3), "the Python leaves alone what it sent");
    let ended = stage.run(&["delete", "--yes", "-r", "409"]).expect(0);
    ended.tells(&["3 payloads sent before and not selected", "1 record deleted"]);
    assert_eq!(count(&stage), 2);
}

#[test]
fn without_a_command_the_help_goes_to_standard_error_also_where_a_configuration_lies() {
    let stage = stage();
    for args in [&[][..], &["-f"]] {
        let ended = stage.run(args).expect(2);
        assert!(ended.out.is_empty() && ended.err.contains("Usage:") && ended.err.contains("Commands:"), "{ended:?}");
    }
    assert!(stage.sandbox.received().is_empty());
}

#[test]
fn variables_say_what_an_operator_cannot() {
    let stage = stage();
    stage.data("students.jsonl", &[students(1), vec!["{}".into()]].concat());
    let variables = [("LIGHTBEAM_PARTIAL_OK", "1"), ("LIGHTBEAM_LOG_FORMAT", "json"), ("LIGHTBEAM_QUIET", "0")];
    let ended = run_with(&stage, &variables, &["send"]).expect(0);
    let first: Value = serde_json::from_str(ended.err.lines().next().unwrap()).unwrap();
    assert_eq!(first["message"], "options from the environment: LIGHTBEAM_LOG_FORMAT, LIGHTBEAM_PARTIAL_OK");
    run_with(&stage, &[("LIGHTBEAM_PARTIAL_OK", "0")], &["send", "-f"]).expect(3);
    run_with(&stage, &[("LIGHTBEAM_YES", "1")], &["delete"]).expect(2).tells(&["LIGHTBEAM_YES has no effect"]);
    assert_eq!(count(&stage), 1);
}

#[test]
fn a_variable_counts_more_than_the_configuration_and_less_than_the_command_line() {
    let stage = stage();
    std::fs::write(stage.folder.0.join("lightbeam.yaml"), {
        let config = std::fs::read_to_string(stage.folder.0.join("lightbeam.yaml")).unwrap();
        config + "exit_codes:\n  skipped: 11\n"
    })
    .unwrap();
    stage.run(&["send"]).expect(0);
    stage.run(&["send"]).expect(11);
    let variable = [("LIGHTBEAM_EXIT_CODES", "skipped=12")];
    run_with(&stage, &variable, &["send"]).expect(12);
    run_with(&stage, &variable, &["send", "--exit-codes", "skipped=13"]).expect(13);
    stage.run(&["send", "--exit-codes", "skipped=x"]).expect(2).tells(&["exit_codes.skipped"]);
    stage.run(&["send", "--exit-codes", "x"]).expect(2).tells(&["--exit-codes: found 'x', expected"]);
}

#[test]
fn under_compat_python_exit_codes_and_results_are_the_pythons() {
    let stage = stage();
    let python = [("LIGHTBEAM_COMPAT", "python")];
    let send = ["send", "--results-file", "results.json"];
    let results =
        || -> Value { serde_json::from_slice(&std::fs::read(stage.folder.0.join("results.json")).unwrap()).unwrap() };
    stage.data("students.jsonl", &[students(1), vec!["{}".into(), r#"{"studentUniqueId":"x"}"#.into()]].concat());
    run_with(&stage, &python, &send).expect(0);
    let got = results();
    let keys: Vec<&String> = got.as_object().unwrap().keys().collect();
    let expected = [
        "started_at",
        "working_dir",
        "config_file",
        "data_dir",
        "api_url",
        "namespace",
        "namespace_overrides",
        "resources",
        "command",
        "completed_at",
        "runtime_sec",
        "total_records_processed",
        "total_records_skipped",
        "total_records_failed",
    ];
    assert_eq!(keys, expected);
    let resource = &got["resources"]["students"];
    let keys: Vec<&String> = resource.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["failures", "successes", "records_processed", "records_skipped", "records_failed"]);
    let birth = resource["failures"].as_array().unwrap().iter().find(|f| f["message"].to_string().contains("irthDate"));
    let birth = birth.unwrap_or_else(|| panic!("{resource}"));
    assert!(birth["message"].as_str().unwrap().ends_with("(at $.birthDate)"), "{birth}");
    assert_eq!((&birth["count"], &birth["line_numbers"]), (&json!(2), &json!([2, 3])));
    let keys: Vec<&String> = birth.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["status_code", "message", "file", "line_numbers", "count"]);

    stage.data("students.jsonl", &students(1));
    run_with(&stage, &python, &send).expect(99);
    let keys: Vec<String> = results()["resources"]["students"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["records_processed", "records_skipped", "records_failed"]);
    stage.data("students.jsonl", &["{}".into()]);
    run_with(&stage, &python, &send).expect(1);
    run_with(&stage, &python, &["send", "-c", "nosuch.yaml"]).expect(1);
    run_with(&stage, &python, &["sned"]).expect(1);
    run_with(&stage, &python, &["send", "--set", "connection.pool_size", "x"]).expect(1);
}

#[test]
fn what_the_python_never_weakens_stays_under_compat_python() {
    let stage = stage();
    stage.run(&["send"]).expect(0);
    let config = std::fs::read_to_string(stage.folder.0.join("lightbeam.yaml")).unwrap();
    // Of another machine, so that it takes the most to empty it.
    stage.folder.write("compat.yaml", format!("{config}compat: python\nforce_delete: true\n"));
    stage.folder.write("forced.yaml", format!("{config}force_delete: true\n"));
    let python = [("LIGHTBEAM_COMPAT", "python")];
    run_with(&stage, &python, &["truncate", "-c", "forced.yaml", "-s", "students"]).expect(1);
    run_with(&stage, &[("LIGHTBEAM_SELECTOR", "students")], &["truncate", "-c", "compat.yaml"]).expect(1);
    stage.run(&["truncate", "-c", "compat.yaml"]).expect(1);
    assert_eq!(count(&stage), 3);
    stage.run(&["truncate", "-c", "compat.yaml", "-s", "students"]).expect(0);
    assert_eq!(count(&stage), 0);
}
