//! Secrets, and where they do and do not go.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host::{Asked, Host, Proxy};
use crate::secrets::files;
use crate::support::{Ended, Folder, Stage, students};

const SECRET: &str = "s3cret-never-shown";

/// `key:s3cret-never-shown` as a Basic header has it (RFC 7617).
const LOGIN: &str = "a2V5OnMzY3JldC1uZXZlci1zaG93bg==";

/// Writes a configuration with these lines of `edfi_api` after the key, and then `more`.
fn config(folder: &Folder, url: &str, secret: &str, more: &str) {
    let config =
        format!("state_dir: state\ndata_dir: data\nedfi_api:\n  base_url: {url}\n  client_id: key\n{secret}{more}");
    folder.write("lightbeam.yaml", config);
}

/// A folder with students for a host.
fn for_host(host: &Host) -> Folder {
    let folder = Folder::new();
    folder.data("students.jsonl", &students(20));
    folder.config(&host.url, "");
    folder
}

/// What the host was logged in with.
fn logins(host: &Host) -> Vec<String> {
    host.asked("POST /token").into_iter().map(|asked| asked.authorization.unwrap()).collect()
}

#[test]
fn the_secret_may_be_in_a_file() {
    let host = Host::usual();
    let folder = for_host(&host);
    folder.write("secret", format!("{SECRET}\n"));
    config(&folder, &host.url, "  client_secret_file: secret\n", "");
    folder.run(&["send"]).expect(0);
    assert_eq!(logins(&host), [format!("Basic {LOGIN}")]);
}

#[cfg(unix)]
#[test]
fn the_secret_may_be_printed_by_a_command() {
    let host = Host::usual();
    let folder = for_host(&host);
    config(&folder, &host.url, "  client_secret_command: printf s3cret-; echo never-shown\n", "");
    folder.run(&["send"]).expect(0);
    assert_eq!(logins(&host), [format!("Basic {LOGIN}")]);
}

#[cfg(unix)]
#[test]
fn a_command_that_fails_is_told_by_key_and_status_and_never_by_its_output() {
    let host = Host::usual();
    let folder = for_host(&host);
    config(&folder, &host.url, "  client_secret_command: echo s3cret-never-shown | tee /dev/stderr; exit 3\n", "");
    let ended = folder.run(&["send", "--results-file", "results.json"]).expect(2);
    ended.tells(&["edfi_api.client_secret_command: the command failed (exit status: 3)"]);
    assert!(host.asked("POST").is_empty());
    nothing_shows(&folder, &ended);
}

#[test]
fn two_sources_of_the_secret_are_an_error() {
    let host = Host::usual();
    let folder = for_host(&host);
    folder.config(&host.url, "  client_secret_file: secret\n");
    folder.run(&["send"]).expect(2).tells(&["edfi_api.client_secret_file: given besides edfi_api.client_secret"]);
}

/// Fails if anything that a run printed or wrote, but for its configuration, holds the secret or the login, or anything but the
/// kept token the token.
#[track_caller]
fn nothing_shows(folder: &Folder, ended: &Ended) {
    for secret in [SECRET, LOGIN, "t0ken-of-the-host"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret}: {}{}", ended.out, ended.err);
    }
    for file in files(&folder.0).into_iter().filter(|file| !file.ends_with("lightbeam.yaml")) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains(SECRET) && !text.contains(LOGIN), "{}", file.display());
        let kept = file.parent().is_some_and(|parent| parent.ends_with("tokens"));
        assert!(kept || !text.contains("t0ken-of-the-host"), "{}", file.display());
    }
}

#[test]
fn no_secret_shows_even_where_the_api_repeats_it() {
    let repeat = |asked: &Asked| format!(r#"{{"message":"{} {SECRET}"}}"#, asked.head.replace("\r\n", " "));
    let data = Host::new(move |asked, wire| match asked.line.starts_with("POST /data") {
        // The secret itself never went to this URL, so that no host can repeat it.
        true => wire.answer(400, "", &repeat(asked).replace(SECRET, "")).map(|()| true),
        false => Ok(false),
    });
    let login = Host::new(move |asked, wire| match asked.line.starts_with("POST /token") {
        true => wire.answer(401, "", &repeat(asked)).map(|()| true),
        false => Ok(false),
    });
    for (host, code) in [(data, 1), (login, 4)] {
        let folder = for_host(&host);
        folder.config(&host.url, "log_level: DEBUG\nshow_stacktrace: true\n");
        let args = ["send", "--results-file", "results.json", "--set", "edfi_api.client_secret", SECRET];
        let ended = folder.run(&args).expect(code);
        assert!(ended.err.contains("[secret]") || ended.out.contains("[secret]"), "{}{}", ended.out, ended.err);
        nothing_shows(&folder, &ended);
    }
}

#[test]
fn a_secret_in_the_wrong_place_of_the_command_line_does_not_show() {
    let host = Host::usual();
    let folder = for_host(&host);
    for args in [
        &["send", "--set", SECRET, "x", "connection.timeout", "x"][..],
        &["send", "--set", "edfi_api.client_id", "x", SECRET],
        &["send", "--set", "connection.timeout", "${S}", "-p", &format!(r#"{{"S":"{SECRET}"}}"#)],
        &["send", "--set", "connection.proxy", SECRET],
    ] {
        let ended = folder.run(args).expect(2);
        nothing_shows(&folder, &ended);
    }
    folder.data("students.jsonl", &students(1));
    let ended = folder.run(&["send", "--set", SECRET, "x"]).expect(0);
    nothing_shows(&folder, &ended);
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    stage.data("students.jsonl", &[students(5), vec!["{}".into()]].concat());
    stage.run(&["send"]).expect(3);
    let state = stage.folder.0.join("state");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let kept = files(&state);
    for name in ["lock", "journal", "students.dat", "students.jsonl", "students.reasons.jsonl"] {
        let has = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().contains(name);
        assert!(kept.iter().any(has), "{name} is not in {kept:?}");
    }
    assert!(kept.iter().any(|file| file.parent().unwrap().ends_with("tokens")), "{kept:?}");
    for file in kept {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(&state));
        folders.for_each(|folder| assert_eq!(mode(folder), 0o700, "{}", folder.display()));
    }
}

/// A folder whose API is plain HTTP on another machine, as far as lightbeam can tell: a proxy leads there.
fn far_away(more: &str) -> (Folder, Proxy) {
    let (folder, proxy) = (Folder::new(), Proxy::new());
    folder.data("students.jsonl", &students(20));
    let more = format!("connection:\n  num_retries: 1\n  proxy: http://user:pass@{}\n{more}", proxy.address);
    folder.config("http://api.example.test", &more);
    (folder, proxy)
}

#[test]
fn credentials_do_not_travel_unencrypted_to_another_machine_unless_that_is_allowed() {
    let (folder, proxy) = far_away("");
    let ended = folder.run(&["send"]).expect(2);
    ended.tells(&["key and token would travel unencrypted", "connection.allow_http", "http://api.example.test"]);
    assert!(proxy.sandbox.received().is_empty());
    folder.run(&["plan"]).expect(0);

    let (folder, proxy) = far_away("  allow_http: true\n");
    folder.run(&["send"]).expect(0);
    assert_eq!(proxy.sandbox.received().len(), 20);
    // `user:pass` as RFC 7617 has it.
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.starts_with("CONNECT api.example.test:80 ")), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("Proxy-Authorization: Basic dXNlcjpwYXNz")), "{heads:?}");
}

#[test]
fn the_proxy_of_the_environment_is_used_except_where_no_proxy_says_otherwise() {
    let (folder, proxy) = (Folder::new(), Proxy::new());
    folder.data("students.jsonl", &students(20));
    folder.config("http://api.example.test", "connection:\n  num_retries: 0\n  allow_http: true\n");
    let url = format!("http://{}", proxy.address);
    let run = |more: &[(&str, &str)]| {
        let mut command = folder.command(&["send", "-w"]);
        command.env("HTTPS_PROXY", &url).envs(more.iter().copied());
        crate::support::ended(command.output().unwrap())
    };
    run(&[]).expect(0);
    let tunnels = proxy.heads().len();
    assert!(tunnels > 0);
    let direct = run(&[("NO_PROXY", "api.example.test")]).expect(4);
    direct.tells(&["cannot look up the host api.example.test"]);
    assert_eq!(proxy.heads().len(), tunnels);
}

#[test]
fn a_proxy_of_a_kind_that_is_not_known_is_not_passed_over_in_silence() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(5));
    let output = stage.folder.command(&["send"]).env("ALL_PROXY", "socks5://user:pass@127.0.0.1:1").output().unwrap();
    let ended = crate::support::ended(output).expect(0);
    ended.tells(&["WARNING the environment names a SOCKS proxy (ALL_PROXY), which is not used"]);
    assert!(!ended.err.contains("user:pass"));
}

#[test]
fn no_proxy_leads_to_the_loopback() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(5));
    stage.folder.config(&stage.sandbox.url(), "connection:\n  proxy: http://127.0.0.1:1\n");
    stage.run(&["send"]).expect(0);
}

#[test]
fn a_token_serves_several_runs() {
    let host = Host::usual();
    let folder = for_host(&host);
    folder.run(&["send"]).expect(0);
    folder.run(&["send", "--force"]).expect(0);
    assert_eq!(host.asked("POST /data").len(), 40);
    assert_eq!(host.asked("POST /token").len(), 1);
    // Another key has a token of its own.
    folder.run(&["send", "--force", "--set", "edfi_api.client_id", "other"]).expect(0);
    assert_eq!(host.asked("POST /token").len(), 2);
    let kept = files(&folder.0.join("state/tokens"));
    assert_eq!(kept.len(), 2);
    let text = fs::read_to_string(&kept[0]).unwrap();
    assert!(text.contains("t0ken-of-the-host") && !text.contains(SECRET), "{text}");
}

#[test]
fn a_kept_token_that_the_api_refuses_costs_one_new_token() {
    let given = std::sync::atomic::AtomicU64::new(0);
    let newest = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let revoked = newest.clone();
    let host = Host::new(move |asked, wire| match asked.line.as_str() {
        "POST /token" => {
            let token = format!("token-{}", given.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            let body = format!(r#"{{"access_token":"{token}","expires_in":1800}}"#);
            *newest.lock().unwrap() = format!("Bearer {token}");
            wire.answer(200, "", &body).map(|()| true)
        }
        "POST /data/ed-fi/students" if asked.authorization.as_ref() != Some(&*newest.lock().unwrap()) => {
            wire.answer(401, "", r#"{"detail":"The caller could not be authenticated."}"#).map(|()| true)
        }
        _ => Ok(false),
    });
    let folder = for_host(&host);
    folder.run(&["send"]).expect(0);
    *revoked.lock().unwrap() = "nobody's".into();
    folder.run(&["send", "--force"]).expect(0);
    assert_eq!(host.asked("POST /token").len(), 2);
    folder.run(&["send", "--force"]).expect(0);
    assert_eq!(host.asked("POST /token").len(), 2, "the new one is kept");
}

#[test]
fn a_token_that_ends_soon_is_not_kept_for_long() {
    let host = Host::new(|asked, wire| match asked.line.as_str() {
        "POST /token" => wire.answer(200, "", r#"{"access_token":"short","expires_in":59}"#).map(|()| true),
        _ => Ok(false),
    });
    let folder = for_host(&host);
    folder.run(&["send"]).expect(0);
    folder.run(&["send", "--force"]).expect(0);
    assert_eq!(host.asked("POST /token").len(), 2);
}

#[test]
fn a_token_that_cannot_be_kept_is_a_warning() {
    let host = Host::usual();
    let folder = for_host(&host);
    folder.write("state/tokens", "not a folder");
    let ended = folder.run(&["send"]).expect(0);
    ended.tells(&["WARNING the token is not kept for the next run", "state/tokens"]);
}

#[test]
fn too_many_tokens_end_the_run_at_once_with_what_to_do() {
    let host = Host::new(|asked, wire| match asked.line.as_str() {
        "POST /token" => {
            let body = r#"{"type":"urn:ed-fi:api:security:authentication:too-many-tokens","title":"Too Many Tokens",
                "errors":["Too many access tokens have been requested (limit is 15). Access will be denied for up to 30 minutes."]}"#;
            wire.answer(429, "", body).map(|()| true)
        }
        _ => Ok(false),
    });
    let folder = for_host(&host);
    let ended = folder.run(&["send"]).expect(4);
    ended.tells(&["limit is 15", "/token", "connection.wait_for_token", "another key"]);
    assert_eq!(host.asked("POST /token").len(), 1, "asking again makes it no better");
}

#[test]
fn too_many_tokens_are_waited_for_if_that_is_wanted() {
    let host = Host::new(|asked, wire| match asked.line.as_str() {
        "POST /token" => {
            let body = r#"{"type":"urn:ed-fi:api:security:authentication:too-many-tokens","title":"Too Many Tokens"}"#;
            wire.answer(429, "", body).map(|()| true)
        }
        _ => Ok(false),
    });
    let folder = for_host(&host);
    folder.config(&host.url, "connection:\n  wait_for_token: true\n");
    let log = fs::File::create(folder.0.join("log")).unwrap();
    let mut child = folder.command(&["send"]).stdout(std::process::Stdio::null()).stderr(log).spawn().unwrap();
    crate::support::until("the wait is told", || {
        fs::read_to_string(folder.0.join("log")).unwrap().contains("waiting until one of them has ended")
    });
    crate::support::signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(host.asked("POST /token").len(), 1);
}
