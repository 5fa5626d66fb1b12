//! The secret and the token are in no output, in no file and in no error, whatever goes wrong.

use std::fs;
use std::path::Path;

use lightbeam::sandbox::Options;

use crate::stub::Stub;
use crate::support::{Ended, Folder, Stage, students};

/// The secret that [`Folder::config`] writes, and the same within the Basic header.
const SECRETS: [&str; 3] = ["s3cret-never-shown", "czNjcmV0LW5ldmVyLXNob3du", "a2V5OnMzY3JldC1uZXZlci1zaG93b"];

#[track_caller]
fn shows_none(ended: &Ended) {
    for secret in SECRETS.into_iter().chain(["t0ken"]) {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}\n{}\n{}", ended.out, ended.err);
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn keeps_none(folder: &Folder) {
    for file in files(&folder.0).into_iter().filter(|file| !file.ends_with("lightbeam.yaml")) {
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for secret in SECRETS.into_iter().chain(["t0ken"]) {
            assert!(!text.contains(secret), "{secret} in {}", file.display());
        }
    }
}

#[test]
fn a_run_with_all_there_is_to_tell_shows_no_secret() {
    let stage = Stage::new();
    stage.folder.config(&stage.sandbox.url(), "log_level: DEBUG\nshow_stacktrace: true\n");
    stage.data("students.jsonl", &[students(20), vec!["{}".into(), "no JSON".into()]].concat());
    for args in [&[][..], &["--log-format", "json", "--failed"], &["-f"]] {
        let (ended, results) = stage.send(args);
        assert_eq!(ended.code(), 3, "{}", ended.err);
        assert!(results["total_records_failed"].as_u64() > Some(0));
        shows_none(&ended);
    }
    shows_none(&stage.run(&["plan"]).expect(0));
    keeps_none(&stage.folder);
}

#[test]
fn an_api_that_refuses_or_is_not_there_learns_and_shows_no_secret() {
    let wrong = Stage::with(Options { credentials: Some(("key".into(), "other".into())), ..Options::default() });
    let more = "log_level: DEBUG\nshow_stacktrace: true\nconnection: {num_retries: 0}\n";
    wrong.folder.config(&wrong.sandbox.url(), more);
    wrong.data("students.jsonl", &students(3));
    let (ended, results) = wrong.send(&[]);
    shows_none(&ended.expect(4));
    assert!(results["stopped"].as_str().unwrap().contains("login refused"));
    keeps_none(&wrong.folder);

    let echo = Stub::new(|asked| (400, None, String::from_utf8_lossy(&asked.body).into_owned()));
    wrong.folder.config(&echo.url("/"), more);
    shows_none(&wrong.run(&["send"]).expect(4));
    keeps_none(&wrong.folder);
}

#[test]
fn an_error_of_configuration_shows_no_secret() {
    let folder = Folder::new();
    let secret = SECRETS[0];
    let in_params = format!(r#"{{"A": ["{secret}"]}}"#);
    for (config, args) in [
        (format!("edfi_api: {{client_id: a, client_secret: [{secret}]}}\n"), &[][..]),
        (format!("edfi_api_client_secret: a\nedfi_api: {{client_secret: {secret}}}\n"), &[]),
        (format!("edfi_api_client_secret: {secret}${{NO}}\n"), &[]),
        (format!("edfi_api_client_secret: {secret}\n"), &[]),
        ("{}\n".into(), &["-p", in_params.as_str()]),
        ("{}\n".into(), &["-p", secret]),
        ("{}\n".into(), &["--set", secret, "edfi_api.client_secret"]),
        ("{}\n".into(), &["--set", "edfi_api.client_secret", secret, "edfi_api.client_secret"]),
        ("{}\n".into(), &["--set", "edfi_api.client_secret", secret]),
        ("{}\n".into(), &["--set", "edfi_api.client_secret", secret, "connection.pool_size", "x"]),
        ("connection_pool_size: ${A}\n".into(), &["-p", r#"{"A": "s3cret-never-shown"}"#]),
        (
            format!("edfi_api_base_url: https://key:{secret}@127.0.0.1:1\n"),
            &["--set", "edfi_api_client_id", "a", "edfi_api_client_secret", "b"],
        ),
    ] {
        folder.write("lightbeam.yaml", &config);
        let ended = folder.run(&[&["send"], args].concat());
        assert_eq!(ended.code(), 2, "{config}{args:?}: {}", ended.err);
        shows_none(&ended);
        assert!(!ended.err.is_empty());
    }
}

/// An API that repeats `token` and `secret` in this encoding wherever it refuses something: at login (unless `logs_in`) or for every payload.
fn echoing(token: String, secret: String, logs_in: bool, encode: fn(&str) -> String) -> Stub {
    Stub::new(move |asked| {
        let url = |path: &str| format!("http://internal{path}");
        let told = || format!("No {} and no {} here", encode(&token), encode(&secret));
        match asked.line.as_str() {
            "GET /" => {
                let urls = serde_json::json!({"dependencies": url("/dependencies"), "oauth": url("/oauth/token"),
                    "dataManagementApi": url("/data")});
                (200, None, serde_json::json!({"version": "7.3", "urls": urls}).to_string())
            }
            "POST /oauth/token" if !logs_in => (401, None, format!(r#"{{"error":"{}"}}"#, told())),
            "POST /oauth/token" => {
                (200, None, serde_json::json!({"access_token": token, "expires_in": 1800}).to_string())
            }
            "GET /dependencies" => {
                let students = serde_json::json!({"resource": "/ed-fi/students", "order": 1, "operations": ["Create"]});
                (200, None, serde_json::json!([students]).to_string())
            }
            line if line.starts_with("POST /data") => (
                400,
                None,
                format!(r#"{{"type":"urn:{}","correlationId":"{}","errors":["{}"]}}"#, told(), told(), told()),
            ),
            _ => (404, None, "{}".into()),
        }
    })
}

const ENCODINGS: [fn(&str) -> String; 6] = [
    |text| serde_json::to_string(text).unwrap().trim_matches('"').replace('+', "\\u002B"),
    |text| text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
    |text| text.bytes().map(|b| format!("%{b:02X}")).collect(),
    |text| text.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
    |text| lightbeam::text::secrets::base64(text.as_bytes()),
    |text| lightbeam::text::secrets::base64(format!("id:{text}").as_bytes()).replace('+', "-").replace('/', "_"),
];

/// What a reader makes of a text: one who wants to can decode it.
#[track_caller]
fn is_hidden(text: &str, secrets: [&str; 2], place: &str) {
    for secret in secrets {
        for encode in ENCODINGS {
            let encoded = encode(secret);
            // The ends of base64 depend on what is beside it.
            let part = &encoded[4..encoded.len() - 4];
            assert!(!text.contains(part) && !text.contains(secret), "{secret} as {encoded} in {place}:\n{text}");
        }
    }
}

#[test]
fn whatever_secret_a_host_repeats_in_whatever_encoding_is_in_no_outlet() {
    let mut chance = crate::chance::Chance::new(23);
    let letters: Vec<char> = "abcdefXYZ0189+/=%&<>~-_.".chars().collect();
    for (number, encode) in ENCODINGS.into_iter().enumerate() {
        let mut random = || (0..24).map(|_| letters[chance.below(letters.len() as u64) as usize]).collect::<String>();
        let (token, secret) = (random(), random());
        for logs_in in [true, false] {
            // Before it was given, a token is nobody's secret.
            let token = if logs_in { &token } else { &secret };
            let stub = echoing(token.clone(), secret.clone(), logs_in, encode);
            let folder = Folder::new();
            let config = format!(
                "data_dir: data\nstate_dir: state\nlog_level: DEBUG\nshow_stacktrace: true\nedfi_api:\n  base_url: {}\n  \
                 client_id: key\n  client_secret: '{secret}'\nconnection: {{num_retries: 0}}\n",
                stub.url("/")
            );
            folder.write("lightbeam.yaml", config);
            folder.data("students.jsonl", &students(3));
            for format in ["text", "json"] {
                let ended = folder.run(&["send", "--log-format", format, "--results-file", "results.json", "--force"]);
                assert_eq!(ended.code(), if logs_in { 1 } else { 4 }, "{number} {secret}: {}", ended.err);
                let all = ended.out + &ended.err;
                assert!(all.contains("[secret]"), "nothing was repeated: {all}");
                is_hidden(&all, [token, &secret], "the output");
            }
            for file in files(&folder.0) {
                let holds_it = ["lightbeam.yaml", "token"].iter().any(|name| file.ends_with(name));
                if !holds_it && !file.to_string_lossy().contains("/tokens/") {
                    let bytes = fs::read(&file).unwrap();
                    is_hidden(&String::from_utf8_lossy(&bytes), [token, &secret], &file.display().to_string());
                }
            }
        }
    }
}

#[test]
fn a_secret_too_short_to_be_searched_for_garbles_no_answer_and_no_answer_to_its_login_is_told() {
    let stub = echoing("t".into(), "err".into(), false, |text| text.into());
    let folder = Folder::new();
    folder.config(&stub.url("/"), "");
    folder.write(
        "lightbeam.yaml",
        format!("data_dir: data\nedfi_api: {{base_url: '{}', client_id: key, client_secret: err}}\n", stub.url("/")),
    );
    folder.data("students.jsonl", &students(1));
    let ended = folder.run(&["send"]).expect(4);
    ended.tells(&["(401): check edfi_api.client_id"]);
    assert!(!(ended.out + &ended.err).contains("No t and no"));
    let stub = echoing("t".into(), "err".into(), true, |text| text.into());
    folder.write(
        "lightbeam.yaml",
        format!("data_dir: data\nedfi_api: {{base_url: '{}', client_id: key, client_secret: err}}\n", stub.url("/")),
    );
    folder.run(&["send"]).expect(1).tells(&["No t and no err here"]);
}

#[test]
fn a_login_at_another_host_is_reported_once_and_a_change_of_the_host_is_a_warning() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    let at = |host: &str| stage.sandbox.url().replace("127.0.0.1", host) + "/oauth/token";
    let log = |host: &str| stage.run(&["send", "--force", "--set", "edfi_api.oauth_url", &at(host)]).expect(0).err;
    let said = "key and secret";
    assert!(log("localhost").contains("which is another host than 127.0.0.1:"));
    assert!(!log("localhost").contains(said));
    let changed = log("127.0.0.1");
    assert!(changed.contains("WARNING") && changed.contains("in the last run they went to localhost:"), "{changed}");
    assert!(!log("127.0.0.1").contains(said));
    stage
        .run(&["send", "--force", "--wipe", "--set", "edfi_api.oauth_url", &at("localhost")])
        .tells(&["in the last run"]);
}
