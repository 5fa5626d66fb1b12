//! Both generations of the command line, every alias, and what is said to whoever mistypes.

use std::collections::BTreeSet;

use crate::support::{Ended, Folder, Stage, students};

/// What `plan` says of everything, as JSON, with these arguments.
fn planned(stage: &Stage, args: &[&str]) -> String {
    stage.run(&[&["plan", "--log-format", "json"], args].concat()).expect(0).out
}

#[test]
fn every_way_to_name_the_configuration_sends() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(3));
    let mut before = 0;
    for args in [
        &["lightbeam.yaml", "-f"][..],
        &["-f", "./lightbeam.yaml"],
        &["send", "-c", "lightbeam.yaml", "-f"],
        &["send", "--config", "lightbeam.yaml", "-f"],
        &["send", "--config-file=lightbeam.yaml", "-f"],
        &["send", "lightbeam.yaml", "-f"],
        &["-c", "lightbeam.yaml", "-f"],
        &["send", "-f"],
    ] {
        let ended = stage.run(args).expect(0);
        assert_eq!(stage.posts().len(), before + 3, "{args:?}");
        before += 3;
        let by_default = !args.iter().any(|arg| arg.contains("lightbeam.yaml"));
        assert_eq!(ended.err.contains("the configuration is ./lightbeam.yaml"), by_default, "{args:?}\n{}", ended.err);
    }
}

#[test]
fn the_yml_file_is_taken_where_there_is_no_yaml_file_and_a_line_says_so() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    let yaml = stage.folder.0.join("lightbeam.yaml");
    let yml = stage.folder.0.join("lightbeam.yml");
    std::fs::copy(&yaml, &yml).unwrap();
    std::fs::write(&yaml, "data_dir: elsewhere\n").unwrap();
    assert!(stage.run(&["send"]).expect(2).err.contains("lightbeam.yaml"), "the yaml file comes first");
    std::fs::remove_file(&yaml).unwrap();
    assert!(stage.run(&["send"]).expect(0).err.contains("the configuration is ./lightbeam.yml"));
    assert_eq!(stage.posts().len(), 1);
    std::fs::remove_file(&yml).unwrap();
    let err = stage.run(&["send"]).expect(2).err;
    assert!(err.contains("./lightbeam.yaml") && err.contains("./lightbeam.yml") && err.contains("-c"), "{err}");
}

#[test]
fn every_alias_does_what_its_option_does() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(2), vec!["{}".into()]].concat());
    stage.data("schoolYearTypes.jsonl", &[r#"{"schoolYear":2024}"#.into()]);
    stage.run(&["send"]).expect(3);
    stage.data("staffs.jsonl", &["{}".into()]);
    stage.folder.write("more/students.jsonl", students(7).join("\n"));
    let config = std::fs::read_to_string(stage.folder.0.join("lightbeam.yaml")).unwrap();
    stage.folder.write("other.yaml", config.replace("data_dir: data", "data_dir: ${WHERE}"));

    let mut all = BTreeSet::from([planned(&stage, &[])]);
    for (args, aliases) in [
        (&["students,staffs"][..], &["-s", "--selector"][..]),
        (&["stud*"], &["-e", "--exclude"]),
        (&[], &["-f", "--force"]),
        (&["201", "-e", "schoolYearTypes"], &["-r", "-u", "--resend-status-codes", "--retry-status-codes"]),
        (&[r#"{"WHERE": "more"}"#, "-c", "other.yaml"], &["-p", "--params"]),
        (&["other.yaml", "-p", r#"{"WHERE": "more"}"#, "-f"], &["-c", "--config", "--config-file"]),
        (&["2999-01-01T00:00:00Z", "-s", "students"], &["-o", "-t", "--older-than"]),
        (&["1999-01-01", "-e", "staffs"], &["-n", "--newer-than"]),
    ] {
        let said: BTreeSet<String> = aliases.iter().map(|alias| planned(&stage, &[&[*alias], args].concat())).collect();
        assert_eq!(said.len(), 1, "{aliases:?}: {said:#?}");
        assert!(all.insert(said.into_iter().next().unwrap()), "{aliases:?} changes nothing");
    }
    let skipping = planned(&stage, &["--skip-refused"]);
    assert_eq!(skipping, planned(&stage, &["--set", "resend_failed", "false"]));
    let failed = planned(&stage, &["--failed", "--set", "resend_failed", "false"]);
    assert!(failed == planned(&stage, &[]) && failed != skipping);
    for [short, long] in [["-h", "--help"], ["-v", "--version"]] {
        let (short, long) = (stage.run(&[short]).expect(0), stage.run(&[long]).expect(0));
        assert!(!short.out.is_empty() && short.out == long.out && short.err.is_empty());
    }
}

/// Runs `lightbeam` in a folder without a configuration.
fn run(args: &[&str]) -> Ended {
    Folder::new().run(args)
}

#[test]
fn an_unknown_option_or_command_names_the_nearest() {
    for (args, told) in [
        (&["send", "--selectr", "x"][..], "unknown option --selectr; did you mean --selector?"),
        (&["send", "--older-then", "2024-01-01"], "unknown option --older-then; did you mean --older-than?"),
        (&["send", "-x"], "unknown option -x"),
        (&["sned"], "did you mean 'send'?"),
        (&["plann", "-c", "x.yaml"], "did you mean 'plan'?"),
        (&["plan", "--partial-ok"], "'plan' does not take --partial-ok; commands that do: send"),
    ] {
        let ended = run(args).expect(2);
        assert!(ended.err.contains(told) && ended.err.lines().count() == 1, "{args:?}: {}", ended.err);
        assert!(ended.out.is_empty(), "{}", ended.out);
    }
}

#[test]
fn a_selector_that_matches_nothing_names_the_nearest_resource_and_nothing_is_sent() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    for args in [["send", "-s", "studnets"], ["plan", "-s", "studnets"], ["count", "-s", "studnets,x*"]] {
        let err = stage.run(&args).expect(2).err;
        assert!(err.contains("the selector studnets matches no resource; did you mean students?"), "{err}");
    }
    assert!(stage.posts().is_empty());
}

#[test]
fn the_help_fits_80_columns_and_lists_the_exit_codes() {
    for args in [
        &["--help"][..],
        &["send", "--help"],
        &["plan", "-h"],
        &["fetch", "-h"],
        &["sandbox", "--help"],
        &["help", "demo"],
    ] {
        let help = run(args).expect(0).out;
        assert!(help.lines().count() > 10, "{args:?}: {help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
    for args in [&["--help"][..], &["send", "--help"]] {
        let help = run(args).expect(0).out;
        let codes = help.split_once("Exit codes:\n").unwrap().1.lines();
        let codes: Vec<&str> = codes.map_while(|line| line.split_whitespace().next()).collect();
        assert_eq!(codes, ["0", "1", "2", "2", "3", "4", "5", "70", "74", "99", "130", "143"]);
    }
}

#[test]
fn two_configurations_or_a_missing_one_are_told() {
    let err = run(&["send", "-c", "a.yaml", "b.yaml"]).expect(2).err;
    assert!(err.contains("a.yaml") && err.contains("b.yaml"), "{err}");
    let err = run(&["send", "nowhere.yaml"]).expect(2).err;
    assert!(err.contains("cannot read the configuration nowhere.yaml"), "{err}");
}
