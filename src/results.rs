//! What the results file of every command has in common, and why a run ended early.

pub mod python;

use std::sync::OnceLock;

use jiff::Zoned;
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::interrupt::Interrupt;

/// Why a run ended before all was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The exit code that tells it.
    pub exit: Exit,
    /// The reason in a sentence.
    pub why: String,
}

impl Stopped {
    /// An error stops it.
    pub fn for_error(error: &Error) -> Stopped {
        Stopped { exit: error.exit(), why: error.to_string() }
    }

    /// How a run ends that this stopped. Code 2 promises that nothing was done, which does not hold once something has gone out.
    pub fn exit_after(&self, has_done_something: bool) -> Exit {
        match self.exit {
            Exit::Usage if has_done_something => Exit::GivenUp,
            exit => exit,
        }
    }

    /// Why a run ended early: what stopped it first, else that somebody wanted it to.
    pub fn by(stop: OnceLock<Stopped>, interrupt: &Interrupt) -> Option<Stopped> {
        stop.into_inner().or_else(|| {
            let exit = interrupt.asked()?;
            let why = if exit == Exit::Terminated { "terminated (SIGTERM)" } else { "interrupted (ctrl-c)" };
            Some(Stopped { exit, why: why.into() })
        })
    }
}

/// The results file of any command: when it ran, of what, how it ended, and what it tells of each resource; `own` is what it tells besides.
pub fn results(
    config: &Config,
    command: &str,
    (started, completed): (&Zoned, &Zoned),
    resources: Map<String, Value>,
    own: Map<String, Value>,
    (exit, stopped): (Exit, Option<&Stopped>),
) -> Value {
    let stamp = |time: &Zoned| time.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    let mut results = json!({
        "started_at": stamp(started),
        "working_dir": std::env::current_dir().unwrap_or_default().display().to_string(),
        "config_file": config.file.display().to_string(),
        "data_dir": config.data_dir.display().to_string(),
        "api_url": config.api.base_url,
        "namespace": config.namespace,
        // The Python lightbeam writes null where nobody set it.
        "namespace_overrides": Some(&config.namespace_overrides).filter(|overrides| !overrides.is_empty()),
        "command": command,
        "completed_at": stamp(completed),
        "runtime_sec": seconds(started, completed),
        "resources": resources,
    });
    if let Value::Object(results) = &mut results {
        results.extend(own);
        results.insert("exit_code".into(), config.code(exit).into());
        results.insert("stopped".into(), json!(stopped.map(|s| &s.why)));
        results.insert("lightbeam_version".into(), env!("CARGO_PKG_VERSION").into());
    }
    results
}

/// From one time to another, in seconds.
pub fn seconds(started: &Zoned, completed: &Zoned) -> f64 {
    (completed.timestamp() - started.timestamp()).total(jiff::Unit::Second).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_stops_a_run_in_its_middle_never_says_that_nothing_was_done() {
        let after = |exit, done| Stopped::for_error(&Error::new(exit, "cannot read the journal")).exit_after(done);
        assert_eq!((after(Exit::Usage, true), after(Exit::Usage, false)), (Exit::GivenUp, Exit::Usage));
        assert_eq!((after(Exit::Bug, true), after(Exit::Terminated, true)), (Exit::Bug, Exit::Terminated));
    }
}
