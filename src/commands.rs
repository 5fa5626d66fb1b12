//! One file a command, each readable on one screen, and what they have in common: output, configuration, the end.

pub mod count;
pub mod create;
pub mod delete;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod fetch;
pub mod metadata;
pub mod plan;
pub mod prepare;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod send;
pub mod truncate;
pub mod validate;

use std::cell::LazyCell;
use std::io::Write;
use std::path::Path;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::Value;

use self::count::Census;
use crate::api::cache;
use crate::cli::{Command, DeleteArgs, FetchArgs, LogFormat, Output, Run};
use crate::clock;
use crate::config::{self, Config, Level};
use crate::delete::erasure::Erasure;
use crate::disk::{self, Readers};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::fetch::harvest::Yield;
use crate::interrupt::Interrupt;
use crate::observer::Observer;
use crate::report::Summary;
use crate::results::Stopped;
use crate::state::resend::Resend;
use crate::terminal::Terminal;
use crate::validate::report::Report;

/// Does what the command line asks for, tells of errors, and returns how the program is to end.
pub fn run(command: Command) -> Exit {
    match command {
        Command::Help(text) | Command::Version(text) => say(&text),
        Command::Send(run) => configured(&run, send),
        Command::Plan(run) => configured(&run, plan),
        Command::Count(run) => configured(&run, count),
        Command::Fetch(run, args) => configured(&run, |run, config, terminal| fetch(run, &args, config, terminal)),
        Command::Validate(run) => configured(&run, validate),
        Command::ValidateAndSend(run) => configured(&run, validate_and_send),
        Command::Delete(run, args) => configured(&run, |run, config, terminal| delete(run, &args, config, terminal)),
        Command::Truncate(run, args) => {
            configured(&run, |run, config, terminal| truncate(run, &args, config, terminal))
        }
        Command::Create(run) => configured(&run, create),
        Command::SaveMetadata { run, file } => {
            configured(&run, |run, config, terminal| save(run, &file, config, terminal))
        }
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(&args)
            .unwrap_or_else(|error| tell(&error, false, &mut terminal(&Output::default(), Level::Info))),
        #[cfg(feature = "sandbox")]
        Command::Demo(output) => {
            let mut terminal = terminal(&output, Level::Warning);
            demo::run(&mut terminal).unwrap_or_else(|error| tell(&error, false, &mut terminal))
        }
    }
}

/// Loads the configuration, runs a command with it, and logs the error that stopped it, if one did.
fn configured(run: &Run, command: impl FnOnce(&Run, &Config, &mut Terminal) -> Result<Exit>) -> Exit {
    let mut terminal = terminal(&run.output, Level::Info);
    let loaded = match config::load(&run.config, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => return tell(&error, false, &mut terminal),
    };
    let config = loaded.config;
    let mut terminal = self::terminal(&run.output, config.log_level);
    if loaded.found_by_default {
        terminal.log(Level::Info, &format!("the configuration is {}", config.file.display()));
    }
    loaded.warnings.iter().for_each(|warning| terminal.log(Level::Warning, warning));
    let tz = std::env::var("TZ").ok().filter(|tz| !tz.is_empty());
    if let Some(text) = clock::unknown_zone(&TimeZone::system(), tz.as_deref()) {
        // Where nobody set a zone and no time is given, little depends on it.
        let matters = tz.is_some() || run.older_than.or(run.newer_than).is_some();
        terminal.log(if matters { Level::Warning } else { Level::Info }, &text);
    }
    if run.wipe {
        cache::wipe(&config.state_dir).unwrap_or_else(|error| terminal.log(Level::Warning, &error.to_string()));
    }
    command(run, &config, &mut terminal).unwrap_or_else(|error| tell(&error, config.show_stacktrace, &mut terminal))
}

fn send(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    let interrupt = Interrupt::on_signals()?;
    let started = Zoned::now();
    let summary = send::run(config, &run.selection, &resend(run, config), terminal, &interrupt);
    let summary = or_nothing(summary, config, terminal, |stopped| Summary::of_nothing(started, Some(stopped)))?;
    let exit = summary.exit(run.partial_ok);
    conclude(&summary, exit, run, config)?;
    Ok(exit)
}

/// What there is to tell of a run that could not begin, once its error is told: the pipeline that waits for a results file learns from it that
/// nothing was done. A wrong command line or a lock is no run.
fn or_nothing<T>(
    outcome: Result<T>,
    config: &Config,
    terminal: &mut Terminal,
    nothing: impl FnOnce(Stopped) -> T,
) -> Result<T> {
    match outcome {
        Err(error) if !matches!(error.exit(), Exit::Usage | Exit::Locked) => {
            tell(&error, config.show_stacktrace, terminal);
            Ok(nothing(Stopped::for_error(&error)))
        }
        other => other,
    }
}

/// Tells how a run ended, on the terminal and in the results file.
fn conclude(summary: &Summary, exit: Exit, run: &Run, config: &Config) -> Result<()> {
    let results = LazyCell::new(|| summary.to_json(config, "send", exit));
    tell_result(run, &results, || summary.to_text());
    write_results_if_wanted(run, &results)
}

/// The results of a run.
type Results<F> = LazyCell<Value, F>;

/// Prints what became of a run: as JSON for machines, else as text unless only what is wrong is wanted.
/// The results, which can name every line of a load, are made only where somebody wants them.
fn tell_result(run: &Run, results: &Results<impl FnOnce() -> Value>, text: impl FnOnce() -> String) {
    match run.output {
        Output { log_format: LogFormat::Json, .. } => drop(say(&format!("{}\n", **results))),
        Output { quiet: true, .. } => {}
        _ => drop(say(&text())),
    }
}

fn write_results_if_wanted(run: &Run, results: &Results<impl FnOnce() -> Value>) -> Result<()> {
    match &run.results_file {
        Some(path) => write_results(path, results),
        None => Ok(()),
    }
}

fn write_results(path: &Path, results: &Value) -> Result<()> {
    // A value that was just made has no way to fail.
    let bytes = serde_json::to_vec_pretty(results).unwrap_or_default();
    disk::replace(path, &bytes, Readers::AsUsual)
}

fn plan(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    let interrupt = Interrupt::on_signals()?;
    let outlook = plan::run(config, &run.selection, &resend(run, config), terminal, &interrupt)?;
    Ok(say(&match run.output.log_format {
        LogFormat::Text => outlook.to_text(),
        LogFormat::Json => format!("{}\n", outlook.to_json()),
    }))
}

fn validate(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    let (interrupt, started) = (Interrupt::on_signals()?, Zoned::now());
    let report = validate::run(config, &run.selection, terminal, &interrupt);
    let report = or_nothing(report, config, terminal, |stopped| Report::of_nothing(started, stopped))?;
    let exit = report.exit(run.partial_ok);
    let results = LazyCell::new(|| report.to_json(config, "validate", exit));
    tell_result(run, &results, || report.to_text());
    write_results_if_wanted(run, &results)?;
    Ok(exit)
}

fn validate_and_send(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    let (interrupt, started) = (Interrupt::on_signals()?, Zoned::now());
    let done = validate::and_send(config, run, &resend(run, config), terminal, &interrupt);
    let nothing = |stopped| (Report::of_nothing(started, stopped), None);
    let (report, summary) = or_nothing(done, config, terminal, nothing)?;
    let found = report.exit(run.partial_ok);
    let exit = match summary.as_ref().map(|summary| summary.exit(run.partial_ok)) {
        None => found,
        // What was sent before stands, but is invalid.
        Some(Exit::Ok | Exit::AllSkipped) if found != Exit::Ok => Exit::SomeFailed,
        Some(exit) => exit,
    };
    let results = LazyCell::new(|| match &summary {
        Some(summary) => report.beside(summary.to_json(config, "validate+send", exit)),
        None => report.to_json(config, "validate+send", exit),
    });
    let sent = summary.as_ref().map_or(String::new(), |summary| "\n".to_owned() + &summary.to_text());
    tell_result(run, &results, || report.to_text() + &sent);
    write_results_if_wanted(run, &results)?;
    Ok(exit)
}

fn save(run: &Run, file: &Path, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let interrupt = Interrupt::on_signals()?;
    let written = metadata::save(config, file, terminal, &interrupt)?;
    Ok(say(&match run.output.log_format {
        LogFormat::Text => written.to_text(),
        LogFormat::Json => format!("{}\n", written.to_json()),
    }))
}

fn count(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let census = count::run(config, &run.selection, terminal, &interrupt);
    let census = or_nothing(census, config, terminal, |stopped| Census::of_nothing(started, stopped))?;
    let exit = census.exit(run.partial_ok);
    let results = LazyCell::new(|| census.to_json(config, exit));
    if let Some(stopped) = census.stopped.as_ref().filter(|_| !census.resources.is_empty()) {
        terminal.log(Level::Critical, &stopped.why);
    }
    let separator = &config.count_separator;
    tell_result(run, &results, || census.to_table(separator, false));
    match &run.results_file {
        // The Python lightbeam writes its table there, whatever the name.
        Some(path) if path.extension().is_none_or(|ending| ending != "json") => {
            disk::replace(path, census.to_table(separator, true).as_bytes(), Readers::AsUsual)?;
        }
        _ => write_results_if_wanted(run, &results)?,
    }
    Ok(exit)
}

fn fetch(run: &Run, args: &FetchArgs, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let fetched = fetch::run(config, run, args, terminal, &interrupt);
    let nothing = |stopped| Yield::of_nothing(started, fetch::folder(config, args), stopped);
    let fetched = or_nothing(fetched, config, terminal, nothing)?;
    let exit = fetched.exit(run.partial_ok);
    let results = LazyCell::new(|| fetched.to_json(config, exit));
    tell_result(run, &results, || fetched.to_text());
    write_results_if_wanted(run, &results)?;
    Ok(exit)
}

fn delete(run: &Run, args: &DeleteArgs, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let erasure = delete::run(config, run, args, terminal, &interrupt);
    erased(erasure, "delete", started, run, config, terminal)
}

fn truncate(run: &Run, args: &DeleteArgs, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let erasure = truncate::run(config, run, args, terminal, &interrupt);
    erased(erasure, "truncate", started, run, config, terminal)
}

/// Tells how a delete or truncate ended.
fn erased(
    erasure: Result<Erasure>,
    command: &'static str,
    started: Zoned,
    run: &Run,
    config: &Config,
    terminal: &mut Terminal,
) -> Result<Exit> {
    let nothing = |stopped| Erasure::of_nothing(command, started, stopped);
    let erasure = or_nothing(erasure, config, terminal, nothing)?;
    let exit = erasure.exit(run.partial_ok);
    let results = LazyCell::new(|| erasure.to_json(config, exit));
    tell_result(run, &results, || erasure.to_text());
    write_results_if_wanted(run, &results)?;
    Ok(exit)
}

fn create(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (told, exit) = create::run(config, &run.selection, terminal, &Interrupt::on_signals()?)?;
    if !run.output.quiet {
        say(&told);
    }
    Ok(exit)
}

fn resend(run: &Run, config: &Config) -> Resend {
    Resend {
        force: run.force,
        older_than: run.older_than,
        newer_than: run.newer_than,
        statuses: run.resend_statuses.clone(),
        skip_refused: run.skip_refused || !run.failed && !config.resend_failed,
    }
}

fn terminal(output: &Output, least: Level) -> Terminal {
    let least = if output.quiet { least.max(Level::Warning) } else { least };
    Terminal::new(output.log_format, least, !output.no_progress && !output.quiet)
}

/// Logs an error with its nearest cause, or with all of them.
fn tell(error: &Error, whole_chain: bool, terminal: &mut Terminal) -> Exit {
    terminal.log(Level::Critical, &error.to_string());
    if whole_chain {
        error.causes().for_each(|cause| terminal.log(Level::Critical, &format!("caused by: {cause}")));
    }
    error.exit()
}

/// Prints to standard output; whoever closed it does not want to read on.
fn say(text: &str) -> Exit {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Exit::Ok
}
