//! The rules of the tree, as tests: what reviewers would otherwise have to look for in every change.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lightbeam::cli::options::{COMMANDS, options};
use lightbeam::config::keys::KEYS;
use lightbeam::exit::Exit;

/// A source file is no longer than this, so that it has one subject.
const LONGEST: usize = 400;

/// The files that may be longer, each with the reason.
const LONGER: &[(&str, &str)] = &[
    ("src/api.rs", "its tests bring an API with all its documents"),
    ("src/api/reply.rs", "its tests have the error bodies of every generation"),
    ("src/api/session.rs", "its tests play every way in which a token is had, kept, refused and renewed"),
    ("src/api/transport.rs", "its tests bring a server with and without encryption"),
    ("src/api/urls.rs", "one decision with a case for each generation of the API"),
    ("src/check/tests.rs", "each rule of the checker with the payloads that break it"),
    ("src/cli/options.rs", "the tables of all commands and options"),
    ("src/cli/parse.rs", "a parser and every line that it is to understand"),
    ("src/config/read.rs", "a parser and every file that it is to understand"),
    ("src/config/yaml.rs", "a parser and every text that it is to understand"),
    ("src/sandbox/tests.rs", "the sandbox's answers, one after the other"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project by its path from the top, without what a build leaves.
fn tree() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            match path.is_dir() {
                true if ["target", ".git"].contains(&name) => {}
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files: Vec<String> = match listed {
        Ok(listed) if listed.status.success() && !listed.stdout.is_empty() => {
            String::from_utf8(listed.stdout).unwrap().lines().map(String::from).collect()
        }
        // Without git or outside a clone, as in an unpacked archive.
        _ => {
            let mut found = Vec::new();
            walk(root(), &mut found);
            let from_top = |path: PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            found.into_iter().map(from_top).collect()
        }
    };
    files.retain(|file| root().join(file).is_file());
    files
}

fn read(file: &str) -> String {
    String::from_utf8_lossy(&fs::read(root().join(file)).unwrap()).into_owned()
}

/// Every source file with its text.
fn sources() -> Vec<(String, String)> {
    let files: Vec<_> =
        tree().into_iter().filter(|file| file.ends_with(".rs")).map(|f| (f.clone(), read(&f))).collect();
    assert!(files.len() > 50, "the sources are not found");
    files
}

#[test]
fn every_source_file_opens_with_why_it_exists() {
    for (file, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.len() > 20 && first.starts_with("//! "),
            "{file}: begins with '{first}', not with //! and a reason"
        );
    }
}

#[test]
fn no_source_file_is_too_long_for_one_subject() {
    let long: BTreeSet<String> =
        sources().into_iter().filter(|(_, text)| text.lines().count() > LONGEST).map(|(file, _)| file).collect();
    let allowed = LONGER.iter().map(|(file, reason)| {
        assert!(!reason.is_empty());
        (*file).to_owned()
    });
    assert_eq!(long, allowed.collect(), "left: longer than {LONGEST} lines; right: may be");
}

#[test]
fn unsafe_code_is_forbidden_and_nothing_allows_it() {
    assert!(read("Cargo.toml").contains("[lints.rust]\nunsafe_code = \"forbid\"\n"));
    for (file, text) in sources() {
        // Split, so that this file does not find itself.
        for word in
            [concat!("uns", "afe {"), concat!("uns", "afe fn"), concat!("uns", "afe impl"), concat!("allow(uns", "afe")]
        {
            assert!(!text.contains(word), "{file} holds '{word}'");
        }
    }
}

#[test]
fn every_dependency_has_its_reason_above_it() {
    let manifest = read("Cargo.toml");
    let (mut section, mut before, mut found) = ("", "", 0);
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        if section.ends_with("dependencies]") && line.starts_with(char::is_alphabetic) {
            // A block of dependencies shares the reason above its first line.
            assert!(before.starts_with('#') || before.starts_with(char::is_alphabetic), "no reason above: {line}");
            found += 1;
        }
        before = line;
    }
    assert!(found > 10, "the dependencies are not found");
}

#[test]
fn only_the_transport_names_the_http_client() {
    for (file, text) in sources() {
        let named = text.contains(concat!("ure", "q::"));
        // The benches measure against the client itself.
        let may = ["src/api/transport.rs", "src/api/transport/", "tests/bench/"];
        assert!(!named || may.iter().any(|may| file.starts_with(may)), "{file}");
    }
}

#[test]
fn no_file_names_a_package_registry_or_a_folder_of_somebodys_machine() {
    for file in tree() {
        let text = read(&file);
        for part in [
            concat!("/ho", "me/runner"),
            concat!("/ro", "ot/"),
            concat!("/Us", "ers/"),
            concat!("/wo", "rk/"),
            concat!("/tm", "p/wt"),
            concat!("arti", "factory"),
            concat!(".loc", "al:"),
        ] {
            assert!(!text.contains(part), "{file} holds '{part}'");
        }
        if let Some(source) = text.lines().find(|line| line.starts_with("source = \"registry+")) {
            assert_eq!(file, "Cargo.lock", "{source}");
        }
    }
}

#[test]
fn what_runs_from_the_shell_asks_cargo_where_it_builds() {
    for file in ["Makefile", ".ci/run"] {
        // With CARGO_TARGET_DIR, or a target folder in cargo's configuration, nothing is there.
        let fixed = read(file).lines().find(|line| line.contains("target/")).map(String::from);
        assert_eq!(fixed, None, "{file}");
    }
}

#[test]
fn the_readme_mentions_every_command_option_key_and_exit_code() {
    let readme = read("README.md");
    let mut missing = Vec::new();
    let mut needs = |text: String| {
        if !readme.contains(&text) {
            missing.push(text);
        }
    };
    for command in COMMANDS {
        needs(format!("`lightbeam {}", command.name));
    }
    for option in options() {
        option.short.iter().for_each(|letter| needs(format!("`-{letter}`")));
        option.long.iter().for_each(|name| needs(format!("`--{name}`")));
    }
    for key in KEYS {
        needs(format!("`{}`", key.name));
        key.flat.into_iter().for_each(|flat| needs(format!("`{flat}`")));
        key.default.filter(|default| *default != "\t").into_iter().for_each(|default| needs(format!("`{default}`")));
    }
    for exit in Exit::ALL {
        needs(format!("\n| {} | {}", exit.code(), exit.meaning()));
    }
    assert!(missing.is_empty(), "README.md does not mention:\n{}", missing.join("\n"));
}
