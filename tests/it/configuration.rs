//! Both generations of the configuration, through the real binary.

use std::process::Stdio;

use lightbeam::sandbox::Options;

use crate::support::{Ended, Folder, Stage, ended, students};

/// The first generation's words for what [`Folder::config`] writes.
fn flat(url: &str, more: &str) -> String {
    format!(
        "state_dir: state\ndata_dir: data\nedfi_api_base_url: {url}\nedfi_api_client_id: key\nedfi_api_client_secret: s\n{more}"
    )
}

/// A stage whose sandbox demands a key and a secret, and a fixture as its configuration.
fn with_fixture(name: &str, key: &str, secret: &str) -> Stage {
    let credentials = Some((key.to_owned(), secret.to_owned()));
    let stage = Stage::with(Options { credentials, no_check: true, ..Options::default() });
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/configs").join(name);
    std::fs::copy(fixture, stage.folder.0.join(name)).unwrap();
    std::fs::remove_file(stage.folder.0.join("lightbeam.yaml")).unwrap();
    stage
}

#[test]
fn every_key_of_the_first_generation_is_read() {
    let stage = with_fixture("flat.yaml", "flatKey", "flat$HOMEsecret");
    stage.folder.write("data/flat/students.jsonl", students(3).join("\n"));
    let ended = stage.run(&["flat.yaml", "--set", "edfi_api_base_url", &stage.sandbox.url()]).expect(0);
    assert_eq!(stage.stored().len(), 3);
    assert!(stage.folder.0.join("state/flat").is_dir());
    assert!(!ended.err.contains("unknown key"), "{}", ended.err);
}

#[test]
fn every_key_of_the_second_generation_is_read() {
    let stage = with_fixture("nested.yaml", "nestedKey", "nested$HOMEsecret");
    for (name, payloads) in [("students", 3), ("candidates", 2)] {
        stage.folder.write(&format!("data/nested/{name}.jsonl"), students(payloads).join("\n"));
    }
    let url = |path: &str| format!("{}{path}", stage.sandbox.url());
    let mut args = vec!["send".to_owned(), "nested.yaml".into(), "--set".into()];
    for (key, path) in [
        ("base_url", ""),
        ("oauth_url", "/oauth/token"),
        ("dependencies_url", "/metadata/data/v3/dependencies"),
        ("open_api_metadata_url", "/metadata/"),
        ("descriptors_swagger_url", "/metadata/data/v3/descriptors/swagger.json"),
        ("resources_swagger_url", "/metadata/data/v3/resources/swagger.json"),
    ] {
        args.extend([format!("edfi_api.{key}"), url(path)]);
    }
    let ended = stage.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    let mut resources: Vec<String> = stage.posts().into_iter().map(|post| post.resource).collect();
    resources.sort();
    resources.dedup();
    assert_eq!(resources, ["ed-fi/students", "tpdm/candidates"], "each in the namespace that the overrides say");
    assert_eq!(stage.stored().len(), 5);
    assert!(!ended.err.contains("unknown key") && !ended.err.contains("INFO"), "{}", ended.err);
}

#[test]
fn both_generations_send_the_same() {
    let (nested, flat_stage) = (Stage::new(), Stage::new());
    flat_stage.folder.write("lightbeam.yaml", flat(&flat_stage.sandbox.url(), "connection_pool_size: 2\n"));
    for stage in [&nested, &flat_stage] {
        stage.data("students.jsonl", &students(20));
        stage.run(&["send"]).expect(0);
    }
    assert_eq!(nested.stored(), flat_stage.stored());
    assert_eq!(nested.stored().len(), 20);
}

#[test]
fn a_key_in_both_forms_with_different_values_names_both_lines() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    let more = "connection_timeout: 5\nconnection:\n  timeout: 6\n";
    stage.folder.config(&stage.sandbox.url(), more);
    let err = stage.run(&["send"]).expect(2).err;
    assert!(err.contains("lightbeam.yaml:9: connection.timeout"), "{err}");
    assert!(err.contains("connection_timeout (./lightbeam.yaml:7)"), "{err}");
    stage.folder.config(&stage.sandbox.url(), &more.replace('6', "5"));
    stage.run(&["send"]).expect(0);
}

/// A stage whose sandbox demands what `${SECRET}` is to stand for.
fn with_secret(secret: &str) -> Stage {
    let credentials = Some(("key".to_owned(), secret.to_owned()));
    let stage = Stage::with(Options { credentials, ..Options::default() });
    let config = std::fs::read_to_string(stage.folder.0.join("lightbeam.yaml")).unwrap();
    stage.folder.write("lightbeam.yaml", config.replace("s3cret-never-shown", "a${SECRET}z"));
    stage.data("students.jsonl", &students(1));
    stage
}

#[test]
fn a_name_in_braces_comes_from_params_in_each_of_their_forms_or_from_the_environment() {
    let stage = with_secret("a-b$HOME-z");
    stage.folder.write("params.json", r#"{"SECRET": "-b$HOME-"}"#);
    let run = |args: &[&str], secret: Option<&str>| -> Ended {
        let mut command = stage.folder.command(&[&["send", "-f"], args].concat());
        if let Some(secret) = secret {
            command.env("SECRET", secret);
        }
        ended(command.output().unwrap())
    };
    run(&["-p", r#"{"SECRET": "-b$HOME-"}"#], None).expect(0);
    run(&["--params", "@params.json"], None).expect(0);
    run(&[], Some("-b$HOME-")).expect(0);
    run(&["-p", r#"{"SECRET": "-b$HOME-"}"#], Some("wrong")).expect(0);
    run(&["-p", r#"{"OTHER": "x"}"#], Some("-b$HOME-")).expect(0);
    let input = std::fs::File::open(stage.folder.0.join("params.json")).unwrap();
    let mut from_stdin = stage.folder.command(&["send", "-f", "--params", "-"]);
    ended(from_stdin.stdin(Stdio::from(input)).output().unwrap()).expect(0);
    assert_eq!(stage.posts().len(), 6);
    // Nobody asks for the secret as long as the token that is kept serves.
    std::fs::remove_dir_all(stage.folder.0.join("state/tokens")).unwrap();
    run(&[], Some("wrong")).expect(4);
    assert_eq!(stage.posts().len(), 6);
}

#[test]
fn an_unset_name_is_told_with_file_line_and_key_even_in_a_list() {
    let stage = with_secret("x");
    let err = stage.run(&["send"]).expect(2).err;
    let told =
        "./lightbeam.yaml:6: edfi_api.client_secret: ${SECRET} is set neither by --params nor in the environment";
    assert!(err.contains(told), "{err}");
    stage.folder.config(&stage.sandbox.url(), "connection:\n  retry_statuses:\n    - 500\n    - ${NONE}\n");
    let err = stage.run(&["plan"]).expect(0).err;
    let told = "WARNING ./lightbeam.yaml:10: connection.retry_statuses: ${NONE} is set neither by --params nor in the";
    assert!(err.contains(told), "{err}");
}

#[test]
fn set_takes_either_spelling_and_wins_over_the_file() {
    let stage = Stage::new();
    stage.folder.write("more/students.jsonl", students(2).join("\n"));
    for file in [flat("http://127.0.0.1:1", ""), "edfi_api: {client_id: a, client_secret: b}\n".to_owned()] {
        stage.folder.write("lightbeam.yaml", file);
        for key in ["edfi_api_base_url", "edfi_api.base_url"] {
            let args = [
                "send",
                "-f",
                "--set",
                key,
                &stage.sandbox.url(),
                "data_dir",
                "more",
                "--set",
                "retry_statuses",
                "[500, 501]",
            ];
            stage.run(&args).expect(0);
        }
    }
    assert_eq!(stage.posts().len(), 8);
    let args = ["send", "--set", "edfi_api.base_url", &stage.sandbox.url(), "connection.pol_size", "3"];
    let err = stage.run(&args).err;
    let told = "WARNING --set: unknown key 'connection.pol_size' is ignored; did you mean 'connection.pool_size'?";
    assert!(err.contains(told), "{err}");
    for (args, told) in [
        (["connection_pool_size", "many"], "--set: connection_pool_size: found 'many', expected a whole number"),
        (["retry_statuses", "[abc]"], "--set: retry_statuses: found 'abc', expected a list of HTTP statuses"),
    ] {
        let err = stage.run(&["send", "--set", args[0], args[1]]).expect(2).err;
        assert!(err.contains(told), "{err}");
    }
}

#[test]
fn a_tilde_is_the_home_and_state_is_kept_there_unless_told() {
    let stage = Stage::new();
    stage.folder.write("elsewhere/students.jsonl", students(1).join("\n"));
    let config = std::fs::read_to_string(stage.folder.0.join("lightbeam.yaml")).unwrap();
    let config = config.replace("state_dir: state\n", "").replace("data_dir: data", "data_dir: ~/elsewhere");
    stage.folder.write("deep/lightbeam.yaml", config);
    let mut command = stage.folder.command(&["send"]);
    ended(command.current_dir(stage.folder.0.join("deep")).output().unwrap()).expect(0);
    assert_eq!(stage.posts().len(), 1);
    assert!(stage.folder.0.join(".lightbeam/cache").is_dir());
    assert!(!stage.folder.0.join("deep/.lightbeam").exists() && !stage.folder.0.join("deep/~").exists());
}

#[test]
fn a_relative_path_is_relative_to_the_working_folder_not_to_the_configuration() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    std::fs::create_dir(stage.folder.0.join("configs")).unwrap();
    std::fs::rename(stage.folder.0.join("lightbeam.yaml"), stage.folder.0.join("configs/mine.yaml")).unwrap();
    stage.run(&["configs/mine.yaml"]).expect(0);
    assert_eq!(stage.posts().len(), 1);
    assert!(stage.folder.0.join("state").is_dir() && !stage.folder.0.join("configs/state").exists());
}

/// What `send` says of a configuration that cannot be used.
fn refused(config: &str) -> String {
    let folder = Folder::new();
    folder.write("lightbeam.yaml", config);
    folder.run(&["send"]).expect(2).err
}

#[test]
fn a_wrong_value_is_told_with_file_line_key_what_was_found_and_what_is_allowed() {
    for (more, told) in [
        ("num_retries: often\n", "./lightbeam.yaml:6: num_retries: found 'often', expected a whole number"),
        ("retry_statuses: 429 and 503\n", "./lightbeam.yaml:6: retry_statuses: found '429 and 503', expected a list"),
        ("connection:\n  verify_ssl: 7\n", "./lightbeam.yaml:7: connection.verify_ssl: found '7', expected true or"),
        ("edfi_api_mode: monthly\n", "./lightbeam.yaml:6: edfi_api_mode: found 'monthly', expected"),
        ("connection: 5\n", "./lightbeam.yaml:6: connection: expected a mapping"),
        ("namespace_overrides: [a\n", "wrong YAML"),
    ] {
        let err = refused(&flat("http://127.0.0.1:1", more));
        assert!(err.contains(told), "{err}");
    }
    let err = refused("edfi_api:\n  client_id: key\n");
    assert!(err.contains("edfi_api.client_secret: not given"), "{err}");
}

#[test]
fn an_unknown_key_is_a_warning_that_names_the_nearest() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    stage.folder.config(&stage.sandbox.url(), "conection:\n  pool_size: 2\ncolour: red\nlog_levl: DEBUG\n");
    let err = stage.run(&["send"]).expect(0).err;
    for told in [
        "WARNING ./lightbeam.yaml:7: unknown key 'conection' is ignored; did you mean 'connection'?",
        "WARNING ./lightbeam.yaml:9: unknown key 'colour' is ignored\n",
        "WARNING ./lightbeam.yaml:10: unknown key 'log_levl' is ignored; did you mean 'log_level'?",
    ] {
        assert!(err.contains(told), "{err}");
    }
    assert_eq!(stage.posts().len(), 1);
}

#[test]
fn yaml_that_nests_without_end_is_an_error_at_its_line() {
    let folder = Folder::new();
    let aliases = |(name, of): (char, char)| format!("{name}: &{name} [{}]\n", vec![format!("*{of}"); 9].join(","));
    let laughs: String = "bcdefghi".chars().zip("abcdefgh".chars()).map(aliases).collect();
    for (text, told) in [
        (
            format!("a: 1\nedfi_api: {}\n", "[".repeat(100_000)),
            "./lightbeam.yaml:2: wrong YAML: brackets are nested too deeply",
        ),
        (
            format!("edfi_api: {}\n", "{a: ".repeat(100_000)),
            "./lightbeam.yaml:1: wrong YAML: brackets are nested too deeply",
        ),
        (
            (0..3_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect(),
            "./lightbeam.yaml:129: wrong YAML: recursion limit",
        ),
        (format!("a: &a [x,x,x,x,x,x,x,x,x]\n{laughs}"), "it has more than 10000 values and lists"),
    ] {
        folder.write("lightbeam.yaml", text);
        folder.run(&["send"]).expect(2).tells(&[told]);
    }
}
