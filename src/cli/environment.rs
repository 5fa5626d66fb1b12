//! Options that the environment gives. Airflow, ECS and Kubernetes call lightbeam with a fixed command line; there a
//! variable is the only way to say more.

use std::ffi::{OsStr, OsString};

use super::options::{CommandInfo, Id, Opt, PREFIX, Takes, options};
use super::{Given, Note};
use crate::config::Level;
use crate::error::{Error, Result};
use crate::nearest::nearest;

/// The variables of an environment whose names begin with [`PREFIX`], in the order of their names.
pub fn variables(all: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(String, OsString)> {
    let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
    let mut own: Vec<_> = all.into_iter().filter_map(named).filter(|(name, _)| name.starts_with(PREFIX)).collect();
    own.sort();
    own
}

/// What the variables say to this command, and what is worth a line in the log. What was typed counts more than a
/// variable, so a variable for an option in `typed` is left out.
pub(super) fn given(
    variables: &[(String, OsString)],
    command: &CommandInfo,
    typed: &[Id],
) -> Result<(Vec<Given>, Vec<Note>)> {
    let (mut given, mut notes, mut active) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in variables {
        let Some(option) = options().find(|option| option.variable().as_deref() == Some(name)) else {
            notes.extend(stray(name));
            continue;
        };
        if typed.iter().any(|id| *id == option.id || are_contrary(*id, option.id)) {
            continue;
        }
        let Some(values) = values(option, name, value)? else { continue };
        if !option.of.contains(&command.name) && !option.in_python {
            // Whoever wants a rehearsal is to know that this is none.
            let level = if option.id == Id::DryRun { Level::Warning } else { Level::Debug };
            notes.push(Note::new(level, format!("{name} has no effect on '{}'", command.name)));
            continue;
        }
        active.push(name.as_str());
        given.push(Given { option, spelled: name.clone(), values });
    }
    if !active.is_empty() {
        notes.push(Note::new(Level::Info, format!("options from the environment: {}", active.join(", "))));
    }
    Ok((given, notes))
}

/// Two options of which the one that counts more takes the other's place.
fn are_contrary(one: Id, other: Id) -> bool {
    matches!((one, other), (Id::Failed, Id::SkipRefused) | (Id::SkipRefused, Id::Failed))
}

/// The option's values; `None` if the variable switches it off or is empty.
fn values(option: &Opt, name: &str, value: &OsStr) -> Result<Option<Vec<OsString>>> {
    if value.is_empty() && !narrows(option.id) {
        return Ok(None);
    }
    match option.takes {
        Takes::One(_) | Takes::Perhaps(_) => Ok(Some(vec![value.to_owned()])),
        Takes::Nothing => match value.to_str().map(str::to_ascii_lowercase).as_deref() {
            Some("1" | "true" | "yes" | "on") => Ok(Some(Vec::new())),
            Some("0" | "false" | "no" | "off") => Ok(None),
            _ => Err(Error::usage(format!("{name}: found '{}', expected 1 or 0", value.to_string_lossy()))),
        },
        Takes::Pairs => pairs(name, value).map(Some),
    }
}

/// Whether the option makes fewer payloads or records take part. Where something is deleted, an empty one is a fault.
pub(super) fn narrows(id: Id) -> bool {
    matches!(id, Id::Selector | Id::Exclude | Id::OlderThan | Id::NewerThan | Id::ResendStatuses | Id::Query)
}

/// Keys and values with blanks between, as after `--set`. They may be secrets, so no error shows them.
fn pairs(name: &str, value: &OsStr) -> Result<Vec<OsString>> {
    let text = value.to_str().ok_or_else(|| Error::usage(format!("{name}: expected text in UTF-8")))?;
    let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
    if !words.len().is_multiple_of(2) {
        return Err(Error::usage(format!("{name}: the last key has no value; expected KEY VALUE [KEY VALUE ...]")));
    }
    if words.chunks_exact(2).any(|pair| pair[0] == "force_delete") {
        return Err(Error::usage(format!(
            "{name}: the environment cannot set force_delete, because it confirms deletions; set it in the \
             configuration"
        )));
    }
    Ok(words)
}

/// What to say of a variable that stands for no option.
fn stray(name: &str) -> Option<Note> {
    if options().any(|option| option.variable().is_none() && is_of(option, name)) {
        let text = format!("{name} has no effect: only the command line can say that, for one run");
        return Some(Note::new(Level::Warning, text));
    }
    let known: Vec<String> = options().filter_map(Opt::variable).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => Some(Note::new(Level::Warning, format!("{name} has no effect; did you mean {near}?"))),
        None => Some(Note::new(Level::Debug, format!("{name} stands for no option"))),
    }
}

/// Whether a variable would stand for an option, if it could.
fn is_of(option: &Opt, name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.to_lowercase().replace('_', "-") == option.long[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::{COMMANDS, command};

    fn of(name: &str, all: &[(&str, &str)], typed: &[Id]) -> Result<(Vec<String>, Vec<String>)> {
        let variables = variables(all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))));
        let (given, notes) = given(&variables, command(name).unwrap_or(&COMMANDS[0]), typed)?;
        let given = given.into_iter().map(|given| format!("--{}={:?}", given.option.long[0], given.values));
        Ok((given.collect(), notes.into_iter().map(|note| note.text).collect()))
    }

    fn options_of(all: &[(&str, &str)]) -> Vec<String> {
        of("send", all, &[]).unwrap().0
    }

    fn fault(all: &[(&str, &str)]) -> String {
        of("send", all, &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_variable_stands_for_its_option() {
        assert_eq!(options_of(&[("LIGHTBEAM_PARTIAL_OK", "1")]), ["--partial-ok=[]"]);
        assert_eq!(options_of(&[("LIGHTBEAM_SELECTOR", "a,b")]), [r#"--selector=["a,b"]"#]);
        assert_eq!(options_of(&[("LIGHTBEAM_SET", "a 1  b 2")]), [r#"--set=["a", "1", "b", "2"]"#]);
        assert_eq!(options_of(&[("PARTIAL_OK", "1"), ("lightbeam_force", "1")]), [""; 0]);
    }

    #[test]
    fn every_option_but_those_that_confirm_has_one() {
        let without: Vec<_> =
            options().filter(|option| option.variable().is_none()).map(|option| option.long[0]).collect();
        assert_eq!(without, ["help", "version", "trust-state-dir", "yes"]);
    }

    #[test]
    fn a_switch_is_on_or_off_and_nothing_else() {
        for on in ["1", "true", "YES", "on"] {
            assert_eq!(options_of(&[("LIGHTBEAM_FORCE", on)]), ["--force=[]"], "{on}");
        }
        for off in ["0", "false", "No", "off", ""] {
            assert_eq!(options_of(&[("LIGHTBEAM_FORCE", off)]), [""; 0], "{off}");
        }
        assert_eq!(fault(&[("LIGHTBEAM_FORCE", "2")]), "LIGHTBEAM_FORCE: found '2', expected 1 or 0");
    }

    #[test]
    fn what_was_typed_counts_more_also_than_the_contrary() {
        let all = [("LIGHTBEAM_SELECTOR", "a"), ("LIGHTBEAM_SKIP_REFUSED", "1")];
        assert_eq!(of("send", &all, &[Id::Selector, Id::Failed]).unwrap().0, [""; 0]);
    }

    #[test]
    fn what_is_active_is_listed_without_its_value() {
        let all = [("LIGHTBEAM_PARAMS", "{}"), ("LIGHTBEAM_FORCE", "1"), ("LIGHTBEAM_WIPE", "0")];
        let notes = of("send", &all, &[]).unwrap().1;
        assert_eq!(notes, ["options from the environment: LIGHTBEAM_FORCE, LIGHTBEAM_PARAMS"]);
    }

    #[test]
    fn a_variable_that_says_nothing_is_pointed_out() {
        let told = |name| of("delete", &[(name, "1")], &[]).unwrap().1.join("\n");
        assert_eq!(
            told("LIGHTBEAM_PARTAIL_OK"),
            "LIGHTBEAM_PARTAIL_OK has no effect; did you mean LIGHTBEAM_PARTIAL_OK?"
        );
        assert_eq!(
            told("LIGHTBEAM_YES"),
            "LIGHTBEAM_YES has no effect: only the command line can say that, for one run"
        );
        assert_eq!(told("LIGHTBEAM_FAILED"), "LIGHTBEAM_FAILED has no effect on 'delete'");
    }

    #[test]
    fn the_environment_never_confirms_a_deletion() {
        assert!(fault(&[("LIGHTBEAM_SET", "force_delete true")]).contains("cannot set force_delete"));
        assert!(fault(&[("LIGHTBEAM_SET", "force_delete")]).contains("KEY VALUE"));
    }
}
