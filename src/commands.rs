//! One file a command, each readable on one screen, and what they have in common: output, configuration, the end.

pub mod count;
pub mod create;
pub mod delete;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod fetch;
mod finish;
pub mod metadata;
mod outputs;
pub mod plan;
pub mod prepare;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod send;
pub mod truncate;
pub mod validate;

use std::io::Write;
use std::path::Path;

use jiff::Zoned;
use jiff::tz::TimeZone;

use self::count::Census;
pub use self::finish::complain;
use self::finish::{Ended, File, finish, finish_with_table, say};
use crate::api::cache;
use crate::cli::{Command, DeleteArgs, FetchArgs, Invocation, LogFormat, Note, Output, Run};
use crate::clock;
use crate::config::codes::{Compat, ExitCodes};
use crate::config::{self, Config, Level};
use crate::delete::erasure::Erasure;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::fetch::harvest::Yield;
use crate::interrupt::Interrupt;
use crate::observer::Observer;
use crate::rejects;
use crate::report::Summary;
use crate::results::Stopped;
use crate::state::resend::Resend;
use crate::terminal::Terminal;
use crate::text::visible;
use crate::validate::report::Report;

/// Does what the command line asks for, logs errors, and returns the code that the program is to end with.
pub fn run(invocation: Invocation) -> u8 {
    let Invocation { command, notes } = invocation;
    let simple = |exit: Exit| exit.code();
    match command {
        Command::Help(text) | Command::Version(text) => simple(say(&text)),
        Command::NothingAsked(help) => {
            let _ = std::io::stderr().lock().write_all(help.as_bytes());
            simple(Exit::Usage)
        }
        Command::Send(run) => configured(&run, &notes, send),
        Command::Plan(run) => configured(&run, &notes, plan),
        Command::Count(run) => configured(&run, &notes, count),
        Command::Fetch(run, args) => {
            configured(&run, &notes, |run, config, terminal| fetch(run, &args, config, terminal))
        }
        Command::Validate(run) => configured(&run, &notes, validate),
        Command::ValidateAndSend(run) => configured(&run, &notes, validate_and_send),
        Command::Delete(run, args) => {
            configured(&run, &notes, |run, config, terminal| delete(run, &args, config, terminal))
        }
        Command::Truncate(run, args) => {
            configured(&run, &notes, |run, config, terminal| truncate(run, &args, config, terminal))
        }
        Command::Create(run) => configured(&run, &notes, create),
        Command::SaveMetadata { run, file } => {
            configured(&run, &notes, |run, config, terminal| save(run, &file, config, terminal))
        }
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => {
            let mut terminal = terminal(&Output::default(), Level::Info);
            log(&notes, &mut terminal);
            simple(sandbox::run(&args).unwrap_or_else(|error| tell(&error, false, &mut terminal)))
        }
        #[cfg(feature = "sandbox")]
        Command::Demo(output) => {
            let mut terminal = terminal(&output, Level::Warning);
            log(&notes, &mut terminal);
            simple(demo::run(&mut terminal).unwrap_or_else(|error| tell(&error, false, &mut terminal)))
        }
    }
}

fn log(notes: &[Note], terminal: &mut Terminal) {
    notes.iter().for_each(|note| terminal.log(note.level, &note.text));
}

/// Loads the configuration, runs a command with it, and logs the error that stopped it, if one did.
fn configured(run: &Run, notes: &[Note], command: impl FnOnce(&Run, &Config, &mut Terminal) -> Result<Exit>) -> u8 {
    let mut terminal = terminal(&run.output, Level::Info);
    let loaded = match config::load(&run.config, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => {
            let exit = tell(&error, false, &mut terminal);
            // What the configuration says of exit codes is not known; what was given besides it is.
            return exit.code_in(compat_given(run), &ExitCodes::default());
        }
    };
    let mut config = loaded.config;
    let mut terminal = self::terminal(&run.output, config.log_level);
    log(notes, &mut terminal);
    if loaded.found_by_default {
        terminal.log(Level::Info, &format!("the configuration is {}", config.file.display()));
    }
    loaded.warnings.iter().for_each(|warning| terminal.log(Level::Warning, warning));
    if !run.trust_state_dir {
        match config.keep_to_trusted_folders() {
            Ok(warnings) => warnings.iter().for_each(|warning| terminal.warn(warning)),
            Err(error) => return config.code(tell(&error, config.show_stacktrace, &mut terminal)),
        }
    }
    let tz = std::env::var("TZ").ok().filter(|tz| !tz.is_empty());
    if let Some(text) = clock::unknown_zone(&TimeZone::system(), tz.as_deref()) {
        // Where nobody set a zone and no time is given, little depends on it.
        let matters = tz.is_some() || run.older_than.or(run.newer_than).is_some();
        terminal.log(if matters { Level::Warning } else { Level::Info }, &text);
    }
    if let Some(state_dir) = config.state_dir.as_ref().filter(|_| run.wipe) {
        cache::wipe(state_dir).unwrap_or_else(|error| terminal.log(Level::Warning, &error.to_string()));
    }
    let checked = run.results_file.as_ref().map_or(Ok(()), |path| outputs::check(path, &config));
    let exit = checked
        .and_then(|()| command(run, &config, &mut terminal))
        .unwrap_or_else(|error| tell(&error, config.show_stacktrace, &mut terminal));
    config.code(exit)
}

/// Why a run ends that has nothing to read: most likely its folder was not mounted, or its files have other names. A
/// folder of rejects may well be empty.
fn nothing_read(is_empty: bool, run: &Run, config: &Config, terminal: &mut Terminal) -> Option<Stopped> {
    if !is_empty || run.allow_empty {
        return None;
    }
    let folder = &config.data_dir;
    if rejects::is_of_rejects(folder, config.rejects_dir.as_deref(), config.state_dir.as_deref()) {
        terminal.log(Level::Info, &format!("there are no rejects in {}", folder.display()));
        return None;
    }
    let why = format!(
        "there is nothing to read in {}: it has no data file of a selected resource (--allow-empty: that may be so)",
        folder.display()
    );
    terminal.log(Level::Critical, &why);
    Some(Stopped { exit: Exit::Nothing, why })
}

/// How a run ends: well, if nothing to read is what somebody allowed.
fn allowed(exit: Exit, is_empty: bool, run: &Run) -> Exit {
    if is_empty && run.allow_empty && exit == Exit::AllSkipped { Exit::Ok } else { exit }
}

/// Says what follows where no folder can hold state.
fn tell_of_no_state(config: &Config, terminal: &mut Terminal) {
    if config.state_dir.is_none() {
        terminal.warn(
            "without a state folder lightbeam remembers nothing: send sends every payload, also what it sent before, \
             and no lock keeps two runs apart; set state_dir to a folder that can be written",
        );
    }
}

/// What was given on the command line or in the environment.
fn compat_given(run: &Run) -> Compat {
    let given = run.config.sets.iter().rev().find(|set| set.key == "compat");
    given.filter(|set| set.value == Compat::PYTHON).map_or(Compat::None, |_| Compat::Python)
}

fn send(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    tell_of_no_state(config, terminal);
    let interrupt = Interrupt::on_signals()?;
    let started = Zoned::now();
    let summary = send::run(config, &run.selection, &resend(run, config), terminal, &interrupt);
    let mut summary = or_nothing(summary, config, terminal, |stopped| Summary::of_nothing(started, Some(stopped)))?;
    let is_empty = summary.resources.is_empty();
    summary.stopped = summary.stopped.or_else(|| nothing_read(is_empty, run, config, terminal));
    let exit = allowed(summary.exit(run.partial_ok), is_empty, run);
    let (text, results) = (|| summary.to_text(), || summary.to_json(config, "send", exit));
    finish(&Ended { exit, text: &text, results: &results, file: File::Results }, run, config, terminal)
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

fn plan(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    tell_of_no_state(config, terminal);
    let interrupt = Interrupt::on_signals()?;
    let outlook = plan::run(config, &run.selection, &resend(run, config), terminal, &interrupt)?;
    let is_empty = outlook.tiers.is_empty();
    let stopped = nothing_read(is_empty, run, config, terminal);
    let exit = allowed(stopped.map_or_else(|| outlook.exit(), |stopped| stopped.exit), is_empty, run);
    let (text, results) = (|| outlook.to_text(), || outlook.to_json());
    finish(&Ended { exit, text: &text, results: &results, file: File::OwnResults }, run, config, terminal)
}

fn validate(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    let (interrupt, started) = (Interrupt::on_signals()?, Zoned::now());
    let report = validate::run(config, &run.selection, terminal, &interrupt);
    let mut report = or_nothing(report, config, terminal, |stopped| Report::of_nothing(started, stopped))?;
    let is_empty = report.resources.is_empty();
    report.stopped = report.stopped.or_else(|| nothing_read(is_empty, run, config, terminal));
    let exit = allowed(report.exit(run.partial_ok), is_empty, run);
    let (text, results) = (|| report.to_text(), || report.to_json(config, "validate", exit));
    finish(&Ended { exit, text: &text, results: &results, file: File::Results }, run, config, terminal)
}

fn validate_and_send(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    tell_of_no_state(config, terminal);
    let (interrupt, started) = (Interrupt::on_signals()?, Zoned::now());
    let done = validate::and_send(config, run, &resend(run, config), terminal, &interrupt);
    let nothing = |stopped| (Report::of_nothing(started, stopped), None);
    let (mut report, mut summary) = or_nothing(done, config, terminal, nothing)?;
    let is_empty = report.resources.is_empty();
    report.stopped = report.stopped.or_else(|| nothing_read(is_empty, run, config, terminal));
    summary = summary.filter(|_| !is_empty);
    let found = allowed(report.exit(run.partial_ok), is_empty, run);
    let exit = match summary.as_ref().map(|summary| summary.exit(run.partial_ok)) {
        None => found,
        // What was sent before stands, but is invalid.
        Some(Exit::Ok | Exit::AllSkipped) if !matches!(found, Exit::Ok | Exit::AllSkipped) => Exit::SomeFailed,
        Some(exit) => exit,
    };
    let results = || match &summary {
        Some(summary) => report.beside(summary.to_json(config, "validate+send", exit)),
        None => report.to_json(config, "validate+send", exit),
    };
    let sent = summary.as_ref().map_or(String::new(), |summary| "\n".to_owned() + &summary.to_text());
    let text = || report.to_text() + &sent;
    finish(&Ended { exit, text: &text, results: &results, file: File::Results }, run, config, terminal)
}

fn save(run: &Run, file: &Path, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    outputs::check(file, config)?;
    let interrupt = Interrupt::on_signals()?;
    let written = metadata::save(config, file, terminal, &interrupt)?;
    Ok(say(&match run.output.log_format {
        LogFormat::Text => written.to_text(),
        LogFormat::Json => format!("{}\n", visible::escaped(&written.to_json().to_string())),
    }))
}

fn count(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let census = count::run(config, &run.selection, terminal, &interrupt);
    let census = or_nothing(census, config, terminal, |stopped| Census::of_nothing(started, stopped))?;
    let exit = census.exit(run.partial_ok);
    if let Some(stopped) = census.stopped.as_ref().filter(|_| !census.resources.is_empty()) {
        terminal.log(Level::Critical, &stopped.why);
    }
    let separator = &config.count_separator;
    let (text, results) = (|| census.to_table(separator, false), || census.to_json(config, exit));
    let is_json = run.results_file.as_ref().and_then(|path| path.extension()).is_some_and(|ending| ending == "json");
    let table = || census.to_table(separator, true);
    // The Python lightbeam writes its table there, whatever the name.
    let file = match is_json && config.compat == Compat::None {
        true => File::OwnResults,
        false => File::Text(&table),
    };
    finish_with_table(&Ended { exit, text: &text, results: &results, file }, run, config, terminal)
}

fn fetch(run: &Run, args: &FetchArgs, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let fetched = fetch::run(config, run, args, terminal, &interrupt);
    let nothing = |stopped| Yield::of_nothing(started, fetch::folder(config, args), stopped);
    let fetched = or_nothing(fetched, config, terminal, nothing)?;
    let exit = fetched.exit(run.partial_ok);
    let (text, results) = (|| fetched.to_text(), || fetched.to_json(config, exit));
    finish(&Ended { exit, text: &text, results: &results, file: File::OwnResults }, run, config, terminal)
}

fn delete(run: &Run, args: &DeleteArgs, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    config::check_data_dir(&config.data_dir)?;
    tell_of_no_state(config, terminal);
    let (started, interrupt) = (Zoned::now(), Interrupt::on_signals()?);
    let rules = rules_to_delete(run, config);
    let erasure = delete::run(config, run, rules.as_ref(), args, terminal, &interrupt);
    erased(erasure, "delete", started, run, config, terminal)
}

fn truncate(run: &Run, args: &DeleteArgs, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    tell_of_no_state(config, terminal);
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
    let mut erasure = or_nothing(erasure, config, terminal, nothing)?;
    // A truncate reads no files.
    let is_empty = command == "delete" && erasure.resources.is_empty();
    erasure.stopped = erasure.stopped.or_else(|| nothing_read(is_empty, run, config, terminal));
    let exit = allowed(erasure.exit(run.partial_ok), is_empty, run);
    let (text, results) = (|| erasure.to_text(), || erasure.to_json(config, exit));
    finish(&Ended { exit, text: &text, results: &results, file: File::OwnResults }, run, config, terminal)
}

fn create(run: &Run, config: &Config, terminal: &mut Terminal) -> Result<Exit> {
    let (told, exit) = create::run(config, &run.selection, terminal, &Interrupt::on_signals()?)?;
    let said = if run.output.quiet { Exit::Ok } else { say(&told) };
    Ok(exit.and(said))
}

/// What selects among the payloads that were sent before; `None`: all of them are meant.
fn rules_to_delete(run: &Run, config: &Config) -> Option<Resend> {
    let rules = resend(run, config);
    let selects = rules.older_than.or(rules.newer_than).is_some() || !rules.statuses.is_empty();
    // The Python lightbeam leaves alone what it knows unless it is asked for; it knows nothing unless state_dir is given.
    let as_in_python = config.compat == Compat::Python && config.state_is_named;
    (!rules.force && (selects || as_in_python)).then_some(rules)
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
