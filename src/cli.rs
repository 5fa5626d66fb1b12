//! The command line: what is typed becomes a [`Command`], a value that says everything about it.

pub mod environment;
pub mod help;
pub mod options;
mod parse;
mod values;
mod when;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{Level, Request};
use crate::delete::erasure::Deed;
use crate::selector::Selector;

pub use parse::parse;

/// What is to be done, and what there is to say of how it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What is to be done.
    pub command: Command,
    /// For the log.
    pub notes: Vec<Note>,
}

/// A sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// The sentence.
    pub text: String,
}

impl Note {
    fn new(level: Level, text: impl Into<String>) -> Note {
        Note { level, text: text.into() }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Print this text.
    Help(String),
    /// Print this text.
    Version(String),
    /// Neither a command nor a configuration was named: print this help where errors go.
    NothingAsked(String),
    /// Send payloads.
    Send(Run),
    /// Show what would be sent.
    Plan(Run),
    /// Tell which payloads the API would refuse.
    Validate(Run),
    /// Send the payloads that it would not.
    ValidateAndSend(Run),
    /// Save the API's metadata.
    SaveMetadata {
        /// From which API, and how.
        run: Run,
        /// Where it goes.
        file: PathBuf,
    },
    /// Count records.
    Count(Run),
    /// Fetch records.
    Fetch(Run, FetchArgs),
    /// Delete the records of payloads.
    Delete(Run, DeleteArgs),
    /// Delete all records.
    Truncate(Run, DeleteArgs),
    /// Make templates for earthmover.
    Create(Run),
    /// Be an Ed-Fi API.
    #[cfg(feature = "sandbox")]
    Sandbox(SandboxArgs),
    /// Send the sample district to a sandbox.
    #[cfg(feature = "sandbox")]
    Demo(Output),
}

/// What every command that has a configuration is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Which configuration, and what is changed in it.
    pub config: Request,
    /// Which resources.
    pub selection: Selector,
    /// Whether the selector was typed, and does not come from the environment.
    pub selector_is_typed: bool,
    /// Send everything, whenever it was sent before; of a fetch: write over files that differ.
    pub force: bool,
    /// Send again what was last sent before this time, in seconds since 1970.
    pub older_than: Option<u64>,
    /// Send again what was last sent after this time, in seconds since 1970.
    pub newer_than: Option<u64>,
    /// Send again what was last answered with one of these.
    pub resend_statuses: Vec<u16>,
    /// Send again what was refused last time, whatever the configuration says.
    pub failed: bool,
    /// Leave out what was refused because of the payload itself.
    pub skip_refused: bool,
    /// Forget cached metadata first.
    pub wipe: bool,
    /// Use folders of state and rejects that others may write to.
    pub trust_state_dir: bool,
    /// Where the results go, as JSON.
    pub results_file: Option<PathBuf>,
    /// Send nothing if validation finds anything wrong.
    pub strict: bool,
    /// Exit 0 where only some payloads failed.
    pub partial_ok: bool,
    /// It is no fault if there is nothing to read.
    pub allow_empty: bool,
    /// What is told meanwhile.
    pub output: Output,
}

/// What `fetch` is told besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchArgs {
    /// Which keys of each record.
    pub keys: Selector,
    /// Which records: names and values of the query.
    pub query: Vec<(String, String)>,
    /// Where the files go; `None`: to `data_dir`.
    pub output: Option<PathBuf>,
    /// Leave out what the API added.
    pub sendable: bool,
    /// Only what has this change version or a later one.
    pub since: Option<u64>,
}

/// What `delete` and `truncate` are told besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteArgs {
    /// Do it without asking.
    pub yes: bool,
    /// Whether to do it at all.
    pub deed: Deed,
}

/// What a command tells while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How lines of the log are written.
    pub log_format: LogFormat,
    /// Show no progress, neither as a bar nor as lines.
    pub no_progress: bool,
    /// Tell only what is wrong.
    pub quiet: bool,
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What `sandbox` is told. "Every Nth" counts the requests for data, all connections together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxArgs {
    /// The port on 127.0.0.1; 0: a free one.
    pub port: u16,
    /// The folder of documents or the file to serve; `None`: the built-in model of Data Standard 5.0.
    pub metadata: Option<PathBuf>,
    /// The file with the caller's claims; `None`: the caller may do anything.
    pub claims: Option<PathBuf>,
    /// The file that gets a configuration for the sandbox.
    pub write_config: Option<PathBuf>,
    /// Accept every payload unread.
    pub no_check: bool,
    /// How bodies of errors look.
    pub shape: Shape,
    /// The version of the API that it plays, if another than that of its metadata.
    pub version: Option<String>,
    /// How long each answer waits, in milliseconds.
    pub latency: Option<u64>,
    /// Every how manieth request is answered with 429; at least 1, as in all of these.
    pub fail_429: Option<u64>,
    /// The seconds in the Retry-After of each 429; `None`: it has none.
    pub retry_after: Option<u64>,
    /// Every how manieth request is answered with 500.
    pub fail_500: Option<u64>,
    /// Every how manieth request is answered with 503.
    pub fail_503: Option<u64>,
    /// Every how manieth request a gateway answers with a page.
    pub fail_html: Option<u64>,
    /// Every how manieth request a gateway answers with a redirect.
    pub fail_302: Option<u64>,
    /// After how many requests nobody answers for a while.
    pub restart_after: Option<u64>,
    /// For how many seconds; `None`: as the sandbox has it.
    pub restart_for: Option<u64>,
    /// At every how manieth request the connection is cut.
    pub cut: Option<u64>,
    /// Every how manieth request is never answered.
    pub hang: Option<u64>,
    /// After how many seconds a token expires; `None`: as the API's own default.
    pub token_lifetime: Option<u64>,
    /// More requests than this at a time are answered with 429; at least 1.
    pub max_concurrent: Option<u64>,
    /// Give pages by limit and offset only.
    pub no_cursor: bool,
    /// Every how manieth page overlaps with the one before.
    pub shift: Option<u64>,
}

/// How bodies of errors look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// As from ODS/API 7.2 on: problem details.
    #[default]
    New,
    /// As before: a message, perhaps with a model state.
    Old,
}

/// An option as it was given.
struct Given {
    option: &'static options::Opt,
    /// As it was typed, or the name of its variable.
    spelled: String,
    values: Vec<OsString>,
}

/// Everything that options say, before a command takes its part.
#[derive(Default)]
struct Parsed {
    run: Run,
    fetch: FetchArgs,
    delete: DeleteArgs,
    sandbox: SandboxArgs,
    notes: Vec<Note>,
    /// What [`options::CommandInfo::operands`] asks for, without the words that are always the same.
    operands: Vec<OsString>,
}
