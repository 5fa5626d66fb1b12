//! The commands and the options, in two tables that feed the parser, the help, and the test that README mentions each.

use super::{Command, Parsed};
use crate::error::{Error, Result};

/// A command.
pub struct CommandInfo {
    /// What is typed.
    pub name: &'static str,
    /// What follows the name: a word in small letters as it is, one in capitals for something.
    pub operands: &'static [&'static str],
    /// Whether it reads a configuration.
    pub takes_config: bool,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else is to be known, for its own help.
    pub about: &'static str,
    /// Takes of the parsed arguments what concerns this command.
    pub(super) make: fn(Parsed) -> Result<Command>,
}

/// Which option it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Id {
    Help,
    Version,
    Config,
    Params,
    Set,
    Selector,
    Exclude,
    Force,
    OlderThan,
    NewerThan,
    ResendStatuses,
    Failed,
    SkipRefused,
    Wipe,
    TrustStateDir,
    ResultsFile,
    DataDir,
    Rejects,
    PartialOk,
    AllowEmpty,
    Strict,
    Rate,
    Compat,
    ExitCodes,
    LogFormat,
    NoProgress,
    Quiet,
    Port,
    Metadata,
    Claims,
    WriteConfig,
    NoCheck,
    Shape,
    ApiVersion,
    Latency,
    Fail429,
    RetryAfter,
    Fail500,
    Fail503,
    FailHtml,
    Fail302,
    RestartAfter,
    RestartFor,
    Cut,
    Hang,
    TokenLifetime,
    MaxConcurrent,
    NoCursor,
    Shift,
    KeepKeys,
    DropKeys,
    Query,
    Output,
    Sendable,
    Since,
    Yes,
    DryRun,
}

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// One value, which the help calls so.
    One(&'static str),
    /// One value, or none, which means as much as not to give the option.
    Perhaps(&'static str),
    /// A key and its value, and any more such pairs.
    Pairs,
}

/// An option.
#[derive(Debug)]
pub struct Opt {
    /// Which it is.
    pub id: Id,
    /// Its letters, the usual one first.
    pub short: &'static [char],
    /// Its names without `--`, the usual one first.
    pub long: &'static [&'static str],
    /// What follows it.
    pub takes: Takes,
    /// The names of the commands on which it has an effect.
    pub of: &'static [&'static str],
    /// What it does.
    pub help: &'static str,
    /// Whether the Python lightbeam 0.1.12 has it. Callers give such an option with every command, shortened, and
    /// with an empty value.
    pub in_python: bool,
}

/// The commands of this build. The first is meant where none is named.
pub const COMMANDS: &[CommandInfo] = &[
    CommandInfo {
        name: "send",
        operands: &[],
        takes_config: true,
        summary: "send the payloads in data_dir to the API",
        about: "Sends each payload that the API has not accepted yet, in the order of the API's dependencies. What it \
                accepted is sent again only where --force, --older-than, --newer-than or --resend-status-codes asks \
                for it; any of them is enough.",
        make: |parsed| Ok(Command::Send(parsed.run)),
    },
    CommandInfo {
        name: "plan",
        operands: &[],
        takes_config: true,
        summary: "show what send would do, and send nothing",
        about: "Shows in which order resources would be sent, and for each its files and how many of its payloads \
                would be sent or skipped, and why.",
        make: |parsed| Ok(Command::Plan(parsed.run)),
    },
    CommandInfo {
        name: "count",
        operands: &[],
        takes_config: true,
        summary: "count the API's records",
        about: "Prints how many records the API has of each selected resource, in the order of its dependencies: those \
                that have any, and those that cannot be counted, with the status. --results-file gets all of them, as \
                the same table, or as JSON if its name ends in .json.",
        make: |parsed| Ok(Command::Count(parsed.run)),
    },
    CommandInfo {
        name: "fetch",
        operands: &[],
        takes_config: true,
        summary: "fetch the API's records into files",
        about: "Writes the records of each selected resource to {resource}.jsonl, as the API gives them, when they are \
                complete. A file that is there and differs stays, unless --force is given. Resources without records \
                get no file.",
        make: |parsed| Ok(Command::Fetch(parsed.run, parsed.fetch)),
    },
    CommandInfo {
        name: "validate",
        operands: &[],
        takes_config: true,
        summary: "tell which payloads the API would refuse, and why",
        about: "Checks every payload against the API's own OpenAPI documents and the values of its descriptors, and \
                natural keys over all files; references too if `validate.methods` asks for it. Tells everything that is \
                wrong, with file and line, and sends nothing.",
        make: |parsed| Ok(Command::Validate(parsed.run)),
    },
    CommandInfo {
        name: "validate+send",
        operands: &[],
        takes_config: true,
        summary: "validate, and send what is valid",
        about: "Does what validate does, then what send does with the payloads that are valid. The others are refused \
                with their reasons, which go to the results file and beside the rejects.",
        make: |parsed| Ok(Command::ValidateAndSend(parsed.run)),
    },
    CommandInfo {
        name: "delete",
        operands: &[],
        takes_config: true,
        summary: "delete the records of the payloads in data_dir",
        about: "Looks up the record of each payload by its natural key, shows what is there, asks, and deletes it, those \
                records first that refer to others. Payloads whose records are gone are due again for send.",
        make: |parsed| Ok(Command::Delete(parsed.run, parsed.delete)),
    },
    CommandInfo {
        name: "truncate",
        operands: &[],
        takes_config: true,
        summary: "delete all records of resources",
        about: "Deletes every record of the selected resources, whoever sent it, those first that refer to others. To \
                confirm, the number of records is to be typed; or --yes and a selector are given, and force_delete is \
                true unless the API is on this machine.",
        make: |parsed| Ok(Command::Truncate(parsed.run, parsed.delete)),
    },
    CommandInfo {
        name: "metadata",
        operands: &["save", "FILE"],
        takes_config: true,
        summary: "save what the API says of itself to a file",
        about: "Puts the API's discovery document, the order of its resources, what its OpenAPI documents say of them \
                and all values of its descriptors into one file. With `--metadata FILE`, or with the key \
                `metadata_file`, a load is planned, and the sandbox serves that API, where the API cannot be reached.",
        make: |mut parsed| match parsed.operands.pop() {
            Some(file) => Ok(Command::SaveMetadata { run: parsed.run, file: file.into() }),
            None => Err(Error::usage("'metadata' needs a file: lightbeam metadata save FILE")),
        },
    },
    CommandInfo {
        name: "create",
        operands: &[],
        takes_config: true,
        summary: "make templates that turn tables into payloads",
        about: "Makes an earthmover project in the current folder: earthmover.yml, and templates/{resource}.jsont for each \
                selected resource, with a column for each value that its payloads can have. Nothing that is there is \
                written over.",
        make: |parsed| Ok(Command::Create(parsed.run)),
    },
    #[cfg(feature = "sandbox")]
    CommandInfo {
        name: "sandbox",
        operands: &[],
        takes_config: false,
        summary: "run an Ed-Fi API in memory, for trying things out",
        about: "Listens on 127.0.0.1 only and forgets everything when it ends. Faults, each on request, show how a \
                load behaves when the API does not. It prints a configuration that works with it.",
        make: |parsed| match parsed.sandbox {
            args if args.restart_for.is_some() && args.restart_after.is_none() => {
                Err(Error::usage("--restart-for says how long; give --restart-after N too, which says when"))
            }
            args => Ok(Command::Sandbox(args)),
        },
    },
    #[cfg(feature = "sandbox")]
    CommandInfo {
        name: "demo",
        operands: &[],
        takes_config: false,
        summary: "send a sample school district to a sandbox, twice",
        about: "Starts a sandbox, sends it the sample district, sends it again, and explains the summaries. It ends \
                by itself.",
        make: |parsed| Ok(Command::Demo(parsed.run.output)),
    },
];

/// How the name of each environment variable begins that stands for an option.
pub const PREFIX: &str = "LIGHTBEAM_";

/// The command of that name, if this build has it.
pub fn command(name: &str) -> Option<&'static CommandInfo> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// The options that some command of this build takes.
pub fn options() -> impl Iterator<Item = &'static Opt> {
    OPTIONS.iter().filter(|option| option.commands().next().is_some())
}

impl Opt {
    /// The names of the commands of this build that take it.
    pub fn commands(&self) -> impl Iterator<Item = &'static str> {
        self.of.iter().copied().filter(|name| command(name).is_some())
    }

    /// The environment variable that stands for it; `None` where only the command line may say so: what confirms a
    /// deletion or trusts a folder is said for one run, not for all that come after it.
    pub fn variable(&self) -> Option<String> {
        match self.id {
            Id::Help | Id::Version | Id::Yes | Id::TrustStateDir => None,
            _ => Some(format!("{PREFIX}{}", self.long[0].to_uppercase().replace('-', "_"))),
        }
    }

    /// The same option, marked as one of the Python lightbeam 0.1.12.
    const fn in_python(mut self) -> Opt {
        self.in_python = true;
        self
    }

    /// `-s, --selector NAMES`, with all its letters and names.
    pub fn label(&self) -> String {
        let short = self.short.iter().map(|letter| format!("-{letter}"));
        let names: Vec<String> = short.chain(self.long.iter().map(|name| format!("--{name}"))).collect();
        let value = match self.takes {
            Takes::Nothing => "",
            Takes::One(value) | Takes::Perhaps(value) => value,
            Takes::Pairs => "KEY VALUE [KEY VALUE ...]",
        };
        format!("{} {value}", names.join(", ")).trim_end().to_string()
    }
}

const ALL: &[&str] = &[
    "send",
    "plan",
    "validate",
    "validate+send",
    "count",
    "fetch",
    "delete",
    "truncate",
    "metadata",
    "create",
    "sandbox",
    "demo",
];
const WITH_CONFIG: &[&str] =
    &["send", "plan", "validate", "validate+send", "count", "fetch", "delete", "truncate", "metadata", "create"];
const SELECTING: &[&str] =
    &["send", "plan", "validate", "validate+send", "count", "fetch", "delete", "truncate", "create"];
const WITH_FILES: &[&str] = &["send", "plan", "validate", "validate+send", "delete"];
const RESENDING: &[&str] = &["send", "plan", "validate+send"];
const CHOOSING: &[&str] = &["send", "plan", "validate+send", "delete"];
const FORCED: &[&str] = &["send", "plan", "validate+send", "fetch", "delete"];
const REPORTING: &[&str] = &["send", "validate", "validate+send", "count", "fetch", "delete", "truncate"];
const ASKING: &[&str] = &["send", "validate+send", "count", "fetch", "delete", "truncate"];
const SENDING: &[&str] = &["send", "validate+send"];
const STRICT: &[&str] = &["validate+send"];
const FETCH: &[&str] = &["fetch"];
const DELETING: &[&str] = &["delete", "truncate"];
const TELLING: &[&str] = &[
    "send",
    "plan",
    "validate",
    "validate+send",
    "count",
    "fetch",
    "delete",
    "truncate",
    "metadata",
    "create",
    "demo",
];
const OFFLINE: &[&str] = &["send", "plan", "validate", "validate+send", "sandbox"];
const SANDBOX: &[&str] = &["sandbox"];

#[rustfmt::skip]
static OPTIONS: &[Opt] = &[
    opt(Id::Help, &['h'], &["help"], Takes::Nothing, ALL, "Show this help.").in_python(),
    opt(Id::Version, &['v'], &["version"], Takes::Nothing, ALL, "Show the version.").in_python(),

    opt(Id::Config, &['c'], &["config-file", "config"], Takes::One("FILE"), WITH_CONFIG,
        "The configuration, if it is not given as CONFIG.").in_python(),
    opt(Id::Params, &['p'], &["params"], Takes::One("JSON"), WITH_CONFIG,
        "What each ${NAME} in the configuration stands for, before the environment is asked: a JSON object, @FILE, \
         or - for standard input.").in_python(),
    opt(Id::Set, &[], &["set"], Takes::Pairs, WITH_CONFIG,
        "Set keys of the configuration, in either spelling; lists as YAML.").in_python(),
    opt(Id::Selector, &['s'], &["selector"], Takes::Perhaps("NAMES"), SELECTING,
        "Only these resources: names with commas between, * at either end; with a namespace (tpdm/candidates, tpdm/*) \
         also those of others.").in_python(),
    opt(Id::Exclude, &['e'], &["exclude"], Takes::Perhaps("NAMES"), SELECTING,
        "Not these resources, even if selected.").in_python(),
    opt(Id::Force, &['f'], &["force"], Takes::Nothing, FORCED,
        "Send everything, whenever it was sent before; fetch: write over files that differ; delete: everything.").in_python(),
    opt(Id::OlderThan, &['o', 't'], &["older-than"], Takes::One("TIME"), CHOOSING,
        "Send again what was last sent before TIME; delete: only that. TIME is ISO 8601 with or without zone (without: \
         local time), a date, or as people write it (month first): 1/31/2025 2:00 PM, Jan 31 2025.").in_python(),
    opt(Id::NewerThan, &['n'], &["newer-than"], Takes::One("TIME"), CHOOSING,
        "Send again what was last sent after TIME; delete: only that.").in_python(),
    opt(Id::ResendStatuses, &['r', 'u'], &["resend-status-codes", "retry-status-codes"], Takes::One("CODES"), CHOOSING,
        "Send again what was last answered with one of these HTTP statuses, with commas between; delete: only that.").in_python(),
    opt(Id::Failed, &[], &["failed"], Takes::Nothing, RESENDING,
        "Send again what was refused last time. This is the default; it overrides `resend_failed: false`."),
    opt(Id::SkipRefused, &[], &["skip-refused"], Takes::Nothing, RESENDING,
        "Leave out what was refused because of the payload itself, as `resend_failed: false` does."),
    opt(Id::Wipe, &['w'], &["wipe"], Takes::Nothing, WITH_CONFIG,
        "Forget the API's cached metadata first.").in_python(),
    opt(Id::TrustStateDir, &[], &["trust-state-dir"], Takes::Nothing, WITH_CONFIG,
        "Use the folders of state and rejects, although others may write to them."),

    opt(Id::DataDir, &[], &["data-dir"], Takes::One("DIR"), WITH_FILES,
        "Read the files in DIR, not those in data_dir."),
    opt(Id::Rejects, &[], &["rejects"], Takes::One("DIR"), SENDING,
        "Keep refused payloads and their reasons in DIR, not below state_dir."),
    opt(Id::ResultsFile, &[], &["results-file"], Takes::One("FILE"), REPORTING,
        "Write what happened to FILE, as JSON.").in_python(),
    opt(Id::PartialOk, &[], &["partial-ok"], Takes::Nothing, REPORTING,
        "Exit 0, not 3, where only some payloads, or resources, failed or are invalid."),
    opt(Id::AllowEmpty, &[], &["allow-empty"], Takes::Nothing, WITH_FILES,
        "Exit 0, not 2, where there is no data file of a selected resource."),
    opt(Id::Strict, &[], &["strict"], Takes::Nothing, STRICT,
        "Send nothing if any payload is invalid."),
    opt(Id::Rate, &[], &["rate"], Takes::One("N"), ASKING,
        "Send at most N requests a second, as `connection.rate` does."),

    opt(Id::Compat, &[], &["compat"], Takes::One("python"), WITH_CONFIG,
        "Where lightbeam differs from the Python lightbeam 0.1.12 on purpose, do as that does."),
    opt(Id::ExitCodes, &[], &["exit-codes"], Takes::One("CODES"), WITH_CONFIG,
        "Exit with these codes for outcomes, such as partial=0,skipped=0,nothing=99."),

    opt(Id::KeepKeys, &['k'], &["keep-keys"], Takes::Perhaps("NAMES"), FETCH,
        "Keep only these keys of each record: names with commas between, * at either end.").in_python(),
    opt(Id::DropKeys, &['d'], &["drop-keys"], Takes::Perhaps("NAMES"), FETCH,
        "Leave out these keys of each record, even if kept.").in_python(),
    opt(Id::Query, &['q'], &["query"], Takes::One("JSON"), FETCH,
        "Only records that match, a JSON object of the resource's parameters; resources that lack one are skipped.").in_python(),
    opt(Id::Output, &[], &["output"], Takes::One("DIR"), FETCH,
        "Write to DIR, not to data_dir."),
    opt(Id::Sendable, &[], &["sendable"], Takes::Nothing, FETCH,
        "Leave out what the API added (id, _etag, _lastModifiedDate, link), so that the records can be sent."),
    opt(Id::Since, &[], &["since"], Takes::One("VERSION"), FETCH,
        "Only what changed from this change version on; the results tell the next one."),

    opt(Id::Yes, &[], &["yes"], Takes::Nothing, DELETING,
        "Delete without asking; truncate also needs a selector, and `force_delete: true` unless the API is on this machine."),
    opt(Id::DryRun, &[], &["dry-run"], Takes::Nothing, DELETING,
        "Show what would be deleted, and delete nothing."),

    opt(Id::LogFormat, &[], &["log-format"], Takes::One("text|json"), TELLING,
        "How lines of the log are written; text by default."),
    opt(Id::NoProgress, &[], &["no-progress"], Takes::Nothing, TELLING,
        "Show no progress while running."),
    opt(Id::Quiet, &[], &["quiet"], Takes::Nothing, TELLING,
        "Tell only what is wrong."),

    opt(Id::Metadata, &[], &["metadata"], Takes::One("FILE"), OFFLINE,
        "Go by the metadata in FILE, as `lightbeam metadata save` wrote it, and ask the API for none. The sandbox \
         serves it in place of Data Standard 5.0, or else a folder of an API's documents."),

    opt(Id::Port, &[], &["port"], Takes::One("N"), SANDBOX,
        "Listen on this port; a free one by default."),
    opt(Id::Claims, &[], &["claims"], Takes::One("FILE"), SANDBOX,
        "Hold the caller to the claims in FILE: JSON with any of claim_set, education_organizations, namespace_prefixes, \
         resources, assigned_profiles, as the API answers /oauth/token_info, and profiles. README shows one."),
    opt(Id::WriteConfig, &[], &["write-config"], Takes::One("FILE"), SANDBOX,
        "Write a configuration for this sandbox to FILE, unless a file is there that says something else."),
    opt(Id::NoCheck, &[], &["no-check"], Takes::Nothing, SANDBOX,
        "Accept every payload unread, for benchmarks."),
    opt(Id::Shape, &[], &["shape"], Takes::One("new|old"), SANDBOX,
        "Bodies of errors as ODS/API 7.2 and later (new by default) or earlier ones write them."),
    opt(Id::ApiVersion, &[], &["api-version"], Takes::One("VERSION"), SANDBOX,
        "Play an API of this version, such as 6.2, in what it takes; from 8 on it is a DMS."),
    opt(Id::Latency, &[], &["latency"], Takes::One("MS"), SANDBOX,
        "Wait MS milliseconds before each answer."),
    opt(Id::Fail429, &[], &["fail-429"], Takes::One("N"), SANDBOX,
        "Answer every Nth data request with 429."),
    opt(Id::RetryAfter, &[], &["retry-after"], Takes::One("SECONDS"), SANDBOX,
        "Send this Retry-After with each 429."),
    opt(Id::Fail500, &[], &["fail-500"], Takes::One("N"), SANDBOX,
        "Answer every Nth data request with 500."),
    opt(Id::Fail503, &[], &["fail-503"], Takes::One("N"), SANDBOX,
        "Answer every Nth data request with 503."),
    opt(Id::FailHtml, &[], &["fail-html"], Takes::One("N"), SANDBOX,
        "Answer every Nth data request with a gateway's page in HTML: 502 and 200 in turn."),
    opt(Id::Fail302, &[], &["fail-302"], Takes::One("N"), SANDBOX,
        "Answer every Nth data request with a gateway's redirect to a page to sign in at."),
    opt(Id::RestartAfter, &[], &["restart-after"], Takes::One("N"), SANDBOX,
        "Stop answering after N data requests, once, as a server that restarts; what was stored stays."),
    opt(Id::RestartFor, &[], &["restart-for"], Takes::One("SECONDS"), SANDBOX,
        "Let that restart take SECONDS seconds; 5 by default."),
    opt(Id::Cut, &[], &["cut"], Takes::One("N"), SANDBOX,
        "Cut the connection at every Nth data request."),
    opt(Id::Hang, &[], &["hang"], Takes::One("N"), SANDBOX,
        "Never answer every Nth data request."),
    opt(Id::TokenLifetime, &[], &["token-lifetime"], Takes::One("SECONDS"), SANDBOX,
        "Let tokens expire after SECONDS seconds."),
    opt(Id::MaxConcurrent, &[], &["max-concurrent"], Takes::One("N"), SANDBOX,
        "Answer 429 to more data requests than N at a time."),
    opt(Id::NoCursor, &[], &["no-cursor"], Takes::Nothing, SANDBOX,
        "Give pages by limit and offset only, as ODS/API before 7.3."),
    opt(Id::Shift, &[], &["shift"], Takes::One("N"), SANDBOX,
        "Let every Nth page by offset overlap with the one before."),
];

const fn opt(
    id: Id,
    short: &'static [char],
    long: &'static [&'static str],
    takes: Takes,
    of: &'static [&'static str],
    help: &'static str,
) -> Opt {
    Opt { id, short, long, takes, of, help, in_python: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_options_share_a_name_or_a_letter() {
        let mut names: Vec<String> = OPTIONS
            .iter()
            .flat_map(|o| o.short.iter().map(char::to_string).chain(o.long.iter().map(|name| name.to_string())))
            .collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_command_is_known() {
        for info in COMMANDS {
            assert!(ALL.contains(&info.name), "{}", info.name);
        }
    }

    #[test]
    fn options_of_commands_that_this_build_lacks_are_not_known() {
        let knows_port = options().any(|option| option.id == Id::Port);
        assert_eq!(knows_port, cfg!(feature = "sandbox"));
        assert_eq!(command("demo").is_some(), cfg!(feature = "sandbox"));
    }
}
