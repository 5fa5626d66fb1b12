//! How every command ends: what it has to say goes to people, to machines and into the results file, in one place.

use std::cell::LazyCell;
use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::cli::{LogFormat, Output, Run};
use crate::config::Config;
use crate::config::codes::Compat;
use crate::disk;
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::results::python;
use crate::terminal::Terminal;
use crate::text::{self, visible};

/// What people read stays within a terminal of so many columns.
const COLUMNS: usize = 80;

/// What a command has to say when it has ended. Results can name every line of a load, so they are made only where
/// somebody wants them.
pub struct Ended<'a> {
    /// How.
    pub exit: Exit,
    /// For people.
    pub text: &'a dyn Fn() -> String,
    /// For machines.
    pub results: &'a dyn Fn() -> Value,
    /// What the results file holds.
    pub file: File<'a>,
}

/// What the results file holds.
pub enum File<'a> {
    /// The results; under `compat: python` the Python lightbeam's keys of them.
    Results,
    /// The results, also under `compat: python`: the Python lightbeam writes no file there.
    OwnResults,
    /// This text.
    Text(&'a dyn Fn() -> String),
}

/// Says how a command ended and repeats the warnings below it; returns how it ended.
pub fn finish(ended: &Ended, run: &Run, config: &Config, terminal: &Terminal) -> Result<Exit> {
    let warning = |text: &String| text::wrapped(&format!("Warning: {text}"), 0, COLUMNS);
    let text = || (ended.text)() + &terminal.warnings().iter().map(warning).collect::<String>();
    conclude(&text, ended, run, config, terminal)
}

/// The same of a command whose text is a table that programs read: nothing may stand below it, and the log has the warnings.
pub fn finish_with_table(ended: &Ended, run: &Run, config: &Config, terminal: &Terminal) -> Result<Exit> {
    conclude(ended.text, ended, run, config, terminal)
}

fn conclude(text: &dyn Fn() -> String, ended: &Ended, run: &Run, config: &Config, terminal: &Terminal) -> Result<Exit> {
    let results = LazyCell::new(|| {
        let mut results = (ended.results)();
        results["warnings"] = terminal.warnings().into();
        results
    });
    let said = match run.output {
        Output { log_format: LogFormat::Json, .. } => say(&format!("{}\n", visible::escaped(&results.to_string()))),
        Output { quiet: true, .. } => Exit::Ok,
        _ => say(&text()),
    };
    if let Some(path) = &run.results_file {
        let bytes = match (&ended.file, config.compat) {
            (File::Text(text), _) => text().into_bytes(),
            (File::Results, Compat::Python) => bytes(&python::of(results.clone())),
            (File::Results | File::OwnResults, _) => bytes(&results),
        };
        disk::write_named(path, &bytes)
            .or_stop(Exit::Unwritten, || format!("cannot write the results to {}", path.display()))?;
    }
    Ok(ended.exit.and(said))
}

fn bytes(results: &Value) -> Vec<u8> {
    // A value that was just made has no way to fail.
    serde_json::to_vec_pretty(results).unwrap_or_default()
}

/// Prints to standard output, and returns whether that went well. Whoever closed a pipe does not want to read on; a disk that
/// is full is told.
pub fn say(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(visible::clean(text).as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("cannot write to standard output: {e}"));
            Exit::Unwritten
        }
        _ => Exit::Ok,
    }
}

/// Says on standard error what there is no log for. That nobody can read it is no reason to fail.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "lightbeam: {}", visible::clean_line(text));
}
