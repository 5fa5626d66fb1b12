//! Whether records may be deleted: what somebody has to type or to say beforehand.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::text::{self, visible};

/// What was said before the run began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It was given; nobody is asked.
    Given,
    /// It is to be asked for; where nobody answers, this says how else to give it.
    Asked(&'static str),
}

impl Consent {
    /// To delete what payloads name: `--yes` or `force_delete` suffices.
    pub fn to_delete(yes: bool, force_delete: bool) -> Result<Consent> {
        let how = "give --yes, or set force_delete to true";
        if yes || force_delete { Ok(Consent::Given) } else { Consent::asked(how) }
    }

    /// To delete all records of resources. As no files say which, more has to come together: `--yes` for this one run, a selector, which
    /// may be `*`, and, where the target is another machine, `force_delete` in the configuration, which tells that it may be emptied at all.
    /// `by_configuration`: the configuration says `compat: python`, and the selector was typed; then `force_delete` is enough.
    pub fn to_truncate(
        yes: bool,
        force_delete: bool,
        selected: bool,
        by_configuration: bool,
        is_loopback: bool,
    ) -> Result<Consent> {
        match (yes, selected, force_delete || is_loopback) {
            _ if by_configuration && force_delete && selected => Ok(Consent::Given),
            (true, true, true) => Ok(Consent::Given),
            (true, false, _) => {
                Err(Error::usage("--yes needs a selector: name resources with -s, all of them with -s '*'"))
            }
            (true, true, false) => Err(Error::usage(
                "--yes is not enough to empty resources of another machine: set force_delete to true as well, or leave \
                 --yes out and type the number of records",
            )),
            (false, ..) => Consent::asked("give --yes and a selector, and set force_delete to true"),
        }
    }

    /// Stops where it is clear that nobody will answer, before anything is looked up.
    fn asked(how: &'static str) -> Result<Consent> {
        if may_answer() { Ok(Consent::Asked(how)) } else { Err(unanswered(how)) }
    }

    /// Returns if `question` is answered with `wanted`, or need not be asked. An error if it is not, or if somebody asks the program to stop.
    pub fn obtain(self, question: &str, wanted: &str, interrupt: &Interrupt) -> Result<()> {
        match self {
            Consent::Given => Ok(()),
            Consent::Asked(how) => {
                // Whoever cannot read the question will not type the answer.
                let _ = write!(std::io::stderr().lock(), "{}\nType {wanted} to go on: ", visible::clean(question));
                answered(wanted, how, line(interrupt)?)
            }
        }
    }
}

/// Whether standard input is a terminal, or something that may hold an answer: `echo yes |`.
fn may_answer() -> bool {
    if std::io::stdin().is_terminal() || !cfg!(unix) {
        return true;
    }
    #[cfg(unix)]
    return std::fs::metadata("/dev/stdin").is_ok_and(|stdin| {
        let kind = stdin.file_type();
        kind.is_file()
            || std::os::unix::fs::FileTypeExt::is_fifo(&kind)
            || std::os::unix::fs::FileTypeExt::is_socket(&kind)
    });
    #[cfg(not(unix))]
    true
}

fn unanswered(how: &str) -> Error {
    Error::usage(format!(
        "there is no terminal to confirm at, so nothing is deleted: {how}, or pipe the answer in; --dry-run shows what \
         would go"
    ))
}

/// Reads a line, on a thread of its own: a signal does not end the reading, because the system takes it up again.
fn line(interrupt: &Interrupt) -> Result<io::Result<String>> {
    const LOOK: Duration = Duration::from_millis(50);
    let (read, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // Nobody waits for it any more where the program is about to end.
        let _ = read.send(io::stdin().read_line(&mut line).map(|_| line));
    });
    loop {
        if let Some(exit) = interrupt.asked() {
            return Err(Error::new(exit, "stopped at the question: nothing was deleted"));
        }
        match answer.recv_timeout(LOOK) {
            Ok(line) => return Ok(line),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Ok(String::new())),
        }
    }
}

/// Whether the line, empty at the end of the input, is `wanted` but for white space around it and commas in numbers.
fn answered(wanted: &str, how: &str, line: io::Result<String>) -> Result<()> {
    let plain = |text: &str| text.trim().replace(',', "");
    match line {
        Ok(line) if line.is_empty() => Err(unanswered(how)),
        Ok(line) if plain(&line) == plain(wanted) => Ok(()),
        _ => Err(Error::usage("not confirmed: nothing was deleted")),
    }
}

/// What has to be typed to empty resources: the number of their records, and that it is all resources if none was selected.
pub fn wanted(records: u64, selected: bool) -> String {
    match selected {
        true => text::count(records),
        false => format!("{} of all resources", text::count(records)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_confirms() {
        for line in ["yes\n", " yes \r\n", "yes"] {
            answered("yes", "how", Ok(line.into())).unwrap();
        }
        for line in ["", "y\n", "YES\n", "no\nyes\n", "\n"] {
            assert_eq!(answered("yes", "how", Ok(line.into())).unwrap_err().exit().code(), 2, "{line:?}");
        }
        for line in ["1234\n", "1,234\n"] {
            answered(&wanted(1_234, true), "how", Ok(line.into())).unwrap();
            answered(&wanted(1_234, false), "how", Ok(line.into())).unwrap_err();
        }
        answered(&wanted(1_234, false), "how", Ok("1234 of all resources\n".into())).unwrap();
    }

    #[test]
    fn emptying_resources_takes_more_than_one_word() {
        let given = |yes, force, selected, loopback| Consent::to_truncate(yes, force, selected, false, loopback).ok();
        assert_eq!(given(true, false, true, true), Some(Consent::Given));
        assert_eq!(given(true, true, true, false), Some(Consent::Given));
        assert_eq!(given(true, false, true, false), None, "another machine");
        assert_eq!(given(true, true, false, true), None, "no selector");
        assert_ne!(given(false, true, true, true), Some(Consent::Given), "force_delete alone");
        let in_python = |force, selected| Consent::to_truncate(false, force, selected, true, false).ok();
        assert_eq!(in_python(true, true), Some(Consent::Given));
        assert_ne!(in_python(true, false), Some(Consent::Given), "no selector");
        assert_ne!(in_python(false, true), Some(Consent::Given), "no force_delete");
    }
}
