//! From arguments to a [`Command`].

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use lexopt::{Arg, Parser};

use super::options::{COMMANDS, CommandInfo, Id, Opt, Takes, command, options};
use super::values::Raw;
use super::{Command, Given, Invocation, Note, Parsed, environment, help};
use crate::config::{Assignment, Level, Params};
use crate::delete::erasure::Deed;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::selector::Selector;

/// Parses what follows the program's name, and what the environment adds to it: `variables` are those that
/// [`environment::variables`] gives. `is_file` tells a configuration from a mistyped command.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    variables: &[(String, OsString)],
    is_file: impl Fn(&Path) -> bool,
) -> Result<Invocation> {
    let (typed, free) = split(args.into_iter().collect())?;
    let asks_for = |id| typed.iter().any(|g| g.option.id == id);
    let wanted = what(&free, is_file)?;
    let plain = |command| Ok(Invocation { command, notes: Vec::new() });
    if asks_for(Id::Version) {
        return plain(Command::Version(concat!("lightbeam ", env!("CARGO_PKG_VERSION"), "\n").into()));
    }
    match wanted {
        What::Help(about) => plain(Command::Help(about.map_or_else(help::general, help::of))),
        What::Command { named, .. } if asks_for(Id::Help) => {
            plain(Command::Help(named.map_or_else(help::general, help::of)))
        }
        What::Command { named: None, rest: [] } if !asks_for(Id::Config) => {
            plain(Command::NothingAsked(help::general()))
        }
        What::Command { named, rest } => {
            let command = named.unwrap_or(&COMMANDS[0]);
            let (operands, rest) = operands(command, rest)?;
            let mut ids: Vec<Id> = typed.iter().map(|given| given.option.id).collect();
            if !rest.is_empty() {
                ids.push(Id::Config);
            }
            let (mut given, notes) = environment::given(variables, command, &ids)?;
            given.extend(typed);
            let mut parsed = interpret(&given, command)?;
            parsed.notes.extend(notes);
            parsed.operands = operands;
            match (rest.first().map(Path::new), &mut parsed.run.config.file) {
                (Some(free), Some(option)) if free != option => {
                    let (free, option) = (free.display(), option.display());
                    return Err(Error::usage(format!("'{free}' and '{option}' are two configurations; keep one")));
                }
                (Some(free), file) => *file = Some(free.into()),
                (None, _) => {}
            }
            let notes = std::mem::take(&mut parsed.notes);
            Ok(Invocation { command: (command.make)(parsed)?, notes })
        }
    }
}

/// Options apart from everything else, both in order.
fn split(args: Vec<OsString>) -> Result<(Vec<Given>, Vec<OsString>)> {
    let (mut given, mut free) = (Vec::new(), Vec::new());
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(lexical)? {
        let (option, spelled) = match arg {
            Arg::Value(value) => {
                free.push(value);
                continue;
            }
            Arg::Long(name) => (long(name)?, format!("--{name}")),
            Arg::Short(letter) => (short(letter)?, format!("-{letter}")),
        };
        let values = match option.takes {
            Takes::Nothing => Vec::new(),
            Takes::One(what) => {
                vec![value(&mut parser).ok_or_else(|| Error::usage(format!("{spelled}: needs a value, {what}")))?]
            }
            Takes::Perhaps(_) => value(&mut parser).into_iter().collect(),
            Takes::Pairs => pairs(&mut parser)?,
        };
        given.push(Given { option, spelled, values });
    }
    Ok((given, free))
}

/// The option of that name. An option of the Python lightbeam's may be shortened as long as only one of those can be
/// meant; new options cannot, so that one more of them never changes what a script says.
fn long(name: &str) -> Result<&'static Opt> {
    if let Some(option) = options().find(|option| option.long.contains(&name)) {
        return Ok(option);
    }
    let meant: Vec<_> = options().filter(|option| option.in_python && option.long[0].starts_with(name)).collect();
    match meant[..] {
        [option] if !name.is_empty() => Ok(option),
        [_, _, ..] if !name.is_empty() => {
            let names: Vec<String> = meant.iter().map(|option| format!("--{}", option.long[0])).collect();
            Err(Error::usage(format!("--{name} may mean {}; write one of them", names.join(" or "))))
        }
        _ => {
            let known = options().flat_map(|option| option.long.iter().copied());
            let hint =
                nearest(name, known).map_or("'lightbeam --help' lists them".into(), |n| format!("did you mean --{n}?"));
            Err(Error::usage(format!("unknown option --{name}; {hint}")))
        }
    }
}

fn short(letter: char) -> Result<&'static Opt> {
    let unknown = || Error::usage(format!("unknown option -{letter}; 'lightbeam --help' lists them"));
    options().find(|option| option.short.contains(&letter)).ok_or_else(unknown)
}

/// The next value, unless an option stands in its place. What only looks like an option is a value.
fn value(parser: &mut Parser) -> Option<OsString> {
    let option_next = parser.try_raw_args().is_some_and(|raw| raw.peek().is_some_and(is_option));
    if option_next { None } else { parser.value().ok() }
}

fn is_option(arg: &OsStr) -> bool {
    let Some(text) = arg.to_str() else { return false };
    match (text.strip_prefix("--"), text.strip_prefix('-')) {
        (Some(name), _) => long(name.split('=').next().unwrap_or(name)).is_ok(),
        (None, Some(letters)) => letters.len() == 1 && letters.chars().all(|letter| short(letter).is_ok()),
        (None, None) => false,
    }
}

/// The keys and values after `--set`.
fn pairs(parser: &mut Parser) -> Result<Vec<OsString>> {
    let mut pairs = Vec::new();
    loop {
        let key = value(parser).ok_or_else(|| Error::usage("--set: needs a key and a value"))?;
        let value = value(parser).ok_or_else(|| {
            // Not shown: where a key is missing before it, it is a value, perhaps a secret.
            Error::usage("--set: the last key has no value; name a configuration before --set, or with -c")
        })?;
        pairs.extend([key, value]);
        let goes_on = |next: &OsStr| !next.as_encoded_bytes().starts_with(b"-");
        if !parser.try_raw_args().is_some_and(|raw| raw.peek().is_some_and(goes_on)) {
            return Ok(pairs);
        }
    }
}

/// What the arguments that are no options ask for.
enum What<'a> {
    Help(Option<&'static CommandInfo>),
    Command { named: Option<&'static CommandInfo>, rest: &'a [OsString] },
}

fn what<'a>(free: &'a [OsString], is_file: impl Fn(&Path) -> bool) -> Result<What<'a>> {
    let Some((first, rest)) = free.split_first() else { return Ok(What::Command { named: None, rest: free }) };
    if first == "help" {
        let about = rest.first().map(|name| known_command(name)).transpose()?;
        return nothing_more(rest.get(1..)).map(|()| What::Help(about));
    }
    let names_config = |path: &Path| {
        let is_yaml = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
        is_yaml || path.to_string_lossy().contains(std::path::is_separator) || is_file(path)
    };
    let (named, rest) = match first.to_str().and_then(command) {
        Some(named) => (Some(named), rest),
        None if names_config(Path::new(first)) => (None, free),
        None => (Some(known_command(first)?), rest),
    };
    let most = named.map_or(1, |command| command.operands.len() + usize::from(command.takes_config));
    nothing_more(rest.get(most..))?;
    Ok(What::Command { named, rest })
}

/// What a command's operands stand for, and what follows them. The command itself says which one is missing.
fn operands<'a>(command: &CommandInfo, mut rest: &'a [OsString]) -> Result<(Vec<OsString>, &'a [OsString])> {
    let mut values = Vec::new();
    for operand in command.operands {
        let Some((first, after)) = rest.split_first() else { break };
        rest = after;
        match operand.chars().all(char::is_lowercase) {
            true if first == operand => {}
            true => {
                let (name, first) = (command.name, first.to_string_lossy());
                return Err(Error::usage(format!("'{name}' does not know '{first}': lightbeam {name} {operand}")));
            }
            false => values.push(first.clone()),
        }
    }
    Ok((values, rest))
}

fn known_command(name: &OsStr) -> Result<&'static CommandInfo> {
    let name = name.to_string_lossy();
    command(&name).ok_or_else(|| {
        let hint = match nearest(&name, COMMANDS.iter().map(|command| command.name).chain(["help"])) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "'lightbeam --help' lists the commands".into(),
        };
        Error::usage(format!("'{name}' is neither a command nor a configuration file; {hint}"))
    })
}

fn nothing_more(rest: Option<&[OsString]>) -> Result<()> {
    match rest.and_then(|rest| rest.first()) {
        Some(more) => Err(Error::usage(format!("unexpected argument '{}'", more.to_string_lossy()))),
        None => Ok(()),
    }
}

/// What the options say to that command.
fn interpret(given: &[Given], command: &CommandInfo) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let (mut include, mut exclude, mut keep, mut drop) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let zone = TimeZone::system();
    for Given { option, spelled, values } in given {
        match effect(option, spelled, values, command)? {
            Effect::Some => {}
            Effect::None(why) => {
                parsed.notes.push(Note::new(Level::Debug, why));
                continue;
            }
        }
        let raw = Raw { option: spelled, value: values.first().map_or(OsStr::new(""), |value| value) };
        let path = || Some(PathBuf::from(raw.value));
        let every = || raw.count(1..=u64::MAX).map(Some);
        let (run, fetch, sandbox) = (&mut parsed.run, &mut parsed.fetch, &mut parsed.sandbox);
        match option.id {
            Id::Help | Id::Version => {}
            Id::Config => run.config.file = path(),
            Id::Params => run.config.params = Some(Params::from_argument(raw.text()?)),
            Id::Set => run.config.sets.extend(assignments(spelled, values)?),
            // Both are keys of the configuration under another name, so that there is one place that reads paths.
            Id::DataDir => run.config.sets.push(Assignment { key: "data_dir".into(), value: raw.text()?.to_string() }),
            Id::Rejects => {
                run.config.sets.push(Assignment { key: "rejects_dir".into(), value: raw.text()?.to_string() })
            }
            Id::Selector => {
                include.push(raw.text()?);
                run.selector_is_typed = spelled.starts_with('-');
            }
            Id::Exclude => exclude.push(raw.text()?),
            Id::Force => run.force = true,
            Id::OlderThan => run.older_than = Some(raw.time(&zone)?),
            Id::NewerThan => run.newer_than = Some(raw.time(&zone)?),
            Id::ResendStatuses => run.resend_statuses.extend(raw.statuses()?),
            Id::Failed => run.failed = true,
            Id::SkipRefused => run.skip_refused = true,
            Id::Wipe => run.wipe = true,
            Id::TrustStateDir => run.trust_state_dir = true,
            Id::ResultsFile => run.results_file = path(),
            Id::PartialOk => run.partial_ok = true,
            Id::AllowEmpty => run.allow_empty = true,
            Id::Strict => run.strict = true,
            Id::Rate => run
                .config
                .sets
                .push(Assignment { key: "connection.rate".into(), value: raw.count(1..=u32::MAX.into())?.to_string() }),
            Id::Compat => run.config.sets.push(Assignment { key: "compat".into(), value: raw.text()?.to_string() }),
            Id::ExitCodes => run.config.sets.extend(raw.exit_codes()?),
            Id::LogFormat => run.output.log_format = raw.log_format()?,
            Id::NoProgress => run.output.no_progress = true,
            Id::Quiet => run.output.quiet = true,
            Id::Port => sandbox.port = raw.count(0..=u16::MAX.into())? as u16,
            Id::Metadata if command.takes_config => {
                run.config.sets.push(Assignment { key: "metadata_file".into(), value: raw.text()?.to_string() })
            }
            Id::Metadata => sandbox.metadata = path(),
            Id::Claims => sandbox.claims = path(),
            Id::WriteConfig => sandbox.write_config = path(),
            Id::NoCheck => sandbox.no_check = true,
            Id::Shape => sandbox.shape = raw.shape()?,
            Id::ApiVersion => sandbox.version = Some(raw.version()?),
            Id::Latency => sandbox.latency = Some(raw.count(0..=u64::MAX)?),
            Id::Fail429 => sandbox.fail_429 = every()?,
            Id::RetryAfter => sandbox.retry_after = Some(raw.count(0..=u64::MAX)?),
            Id::Fail500 => sandbox.fail_500 = every()?,
            Id::Fail503 => sandbox.fail_503 = every()?,
            Id::FailHtml => sandbox.fail_html = every()?,
            Id::Fail302 => sandbox.fail_302 = every()?,
            Id::RestartAfter => sandbox.restart_after = every()?,
            Id::RestartFor => sandbox.restart_for = every()?,
            Id::Cut => sandbox.cut = every()?,
            Id::Hang => sandbox.hang = every()?,
            Id::TokenLifetime => sandbox.token_lifetime = every()?,
            Id::MaxConcurrent => sandbox.max_concurrent = every()?,
            Id::NoCursor => sandbox.no_cursor = true,
            Id::Shift => sandbox.shift = every()?,
            Id::KeepKeys => keep.push(raw.text()?),
            Id::DropKeys => drop.push(raw.text()?),
            Id::Query => fetch.query = raw.query()?,
            Id::Output => fetch.output = path(),
            Id::Sendable => fetch.sendable = true,
            Id::Since => fetch.since = Some(raw.count(0..=u64::MAX)?),
            Id::Yes => parsed.delete.yes = true,
            Id::DryRun => parsed.delete.deed = Deed::DryRun,
        }
    }
    parsed.run.selection = Selector::new(Some(&include.join(",")), Some(&exclude.join(",")));
    parsed.fetch.keys = Selector::new(Some(&keep.join(",")), Some(&drop.join(",")));
    Ok(parsed)
}

/// Whether an option, as it is given, changes anything.
enum Effect {
    Some,
    /// It does not, for this reason.
    None(String),
}

/// Callers of the Python lightbeam give its options with every command, and empty ones. Where something is deleted, an
/// option that is to narrow that is never passed over: more would be deleted than was meant.
fn effect(option: &Opt, spelled: &str, values: &[OsString], command: &CommandInfo) -> Result<Effect> {
    let name = command.name;
    let narrows_deletion = ["delete", "truncate"].contains(&name) && environment::narrows(option.id);
    let is_of_command = option.of.contains(&name);
    let is_accepted = is_of_command || option.in_python && command.takes_config;
    if !is_accepted {
        let of = option.commands().collect::<Vec<_>>().join(", ");
        return Err(Error::usage(format!("'{name}' does not take {spelled}; commands that do: {of}")));
    }
    if !is_of_command && narrows_deletion {
        let text = format!("'{name}' cannot select by {spelled}, and nothing is deleted: leave {spelled} out");
        return Err(Error::usage(text));
    }
    if !is_of_command {
        return Ok(Effect::None(format!("{spelled} has no effect on '{name}'")));
    }
    let says_nothing = |value: &OsString| value.to_str().is_some_and(|text| text.trim_matches([' ', ',']).is_empty());
    match option.takes {
        Takes::One(_) | Takes::Perhaps(_) if option.in_python && values.iter().all(says_nothing) => {
            if narrows_deletion {
                let text = format!("{spelled} has no value, and nothing is deleted: give it one, or leave it out");
                return Err(Error::usage(text));
            }
            Ok(Effect::None(format!("{spelled} has no value, so it counts as not given")))
        }
        _ => Ok(Effect::Some),
    }
}

fn assignments(spelled: &str, pairs: &[OsString]) -> Result<Vec<Assignment>> {
    let text = |value| Raw { option: spelled, value }.text().map(String::from);
    pairs.chunks_exact(2).map(|pair| Ok(Assignment { key: text(&pair[0])?, value: text(&pair[1])? })).collect()
}

fn lexical(error: lexopt::Error) -> Error {
    Error::usage(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{DeleteArgs, FetchArgs, LogFormat, Output, Run};

    /// Only `there` is a file.
    fn parse_line(line: &str) -> Result<Command> {
        let args = line.split_whitespace().map(OsString::from);
        parse(args, &[], |path| path == Path::new("there")).map(|invocation| invocation.command)
    }

    fn command_of(line: &str) -> Command {
        parse_line(line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    fn send(line: &str) -> Run {
        match command_of(line) {
            Command::Send(run) => run,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn fault(line: &str) -> String {
        match parse_line(line) {
            Err(e) => {
                assert_eq!(e.exit().code(), 2, "{line}");
                e.to_string()
            }
            Ok(command) => panic!("{line}: {command:?}"),
        }
    }

    #[test]
    fn a_configuration_alone_is_sent() {
        for config in ["lightbeam.yaml", "x.YML", "path/to/config", "there"] {
            assert_eq!(send(config).config.file, Some(config.into()), "{config}");
        }
        let line = "path/to/config.yaml -s a -p {} -t 2024-01-01 -n 2024-01-02 -u 409 -f";
        assert_eq!(send(line).config.file, Some("path/to/config.yaml".into()));
    }

    #[test]
    fn a_command_takes_its_configuration_with_or_without_an_option() {
        for line in ["send -c x.yaml", "send x.yaml", "-c x.yaml send", "send --config-file=x.yaml", "--config x.yaml"]
        {
            assert_eq!(send(line).config.file, Some("x.yaml".into()), "{line}");
        }
        assert!(matches!(command_of("plan any"), Command::Plan(run) if run.config.file == Some("any".into())));
        assert_eq!(send("send -c x.yaml x.yaml").config.file, Some("x.yaml".into()));
        assert!(fault("send -c x.yaml y.yaml").contains("'y.yaml' and 'x.yaml' are two configurations"));
        assert_eq!(fault("send x.yaml y.yaml"), "unexpected argument 'y.yaml'");
    }

    #[test]
    fn send_looks_for_a_configuration_where_none_is_named() {
        assert_eq!(send("send"), Run::default());
        assert!(send("send -f").force && send("-f send").force);
    }

    #[test]
    fn without_a_command_or_a_configuration_nothing_is_done() {
        for line in ["", "-f", "-s students"] {
            assert_eq!(command_of(line), Command::NothingAsked(help::general()), "{line}");
        }
    }

    #[test]
    fn a_mistyped_command_is_told_the_nearest_one() {
        assert_eq!(fault("sned -f"), "'sned' is neither a command nor a configuration file; did you mean 'send'?");
        assert!(fault("colour").ends_with("'lightbeam --help' lists the commands"));
        assert!(fault("help sned").contains("did you mean 'send'?"));
    }

    #[test]
    fn every_option_of_a_send_is_understood() {
        let run = send(
            "send --config-file c --params @p --set a 1 b 2 --set c 3 --rate 50 --selector x,y --exclude z --force \
             --older-than 2024-01-01T00:00:00Z --newer-than 2024-01-02T00:00:00Z --resend-status-codes 409,500 \
             --failed --skip-refused --wipe --results-file r.json --partial-ok --log-format json --no-progress --quiet",
        );
        let sets: Vec<_> = run.config.sets.iter().map(|set| format!("{}={}", set.key, set.value)).collect();
        assert_eq!(run.config.file, Some("c".into()));
        assert_eq!(run.config.params, Some(Params::File("p".into())));
        assert_eq!(sets, ["a=1", "b=2", "c=3", "connection.rate=50"]);
        assert_eq!(run.selection, Selector::new(Some("x,y"), Some("z")));
        assert_eq!((run.older_than, run.newer_than), (Some(1_704_067_200), Some(1_704_153_600)));
        assert_eq!(run.resend_statuses, [409, 500]);
        assert_eq!(run.results_file, Some("r.json".into()));
        assert!(run.force && run.failed && run.skip_refused && run.wipe && run.partial_ok);
        assert_eq!(run.output, Output { log_format: LogFormat::Json, no_progress: true, quiet: true });
    }

    #[test]
    fn every_option_of_a_fetch_is_understood() {
        let line =
            "fetch c -s x -k id,*Date -d a -k b --query {\"schoolId\":5,\"b\":true} --output o --sendable --since 7 -f";
        let Command::Fetch(run, args) = command_of(line) else { panic!("{line}") };
        assert_eq!(
            (run.config.file, run.force, run.selection),
            (Some("c".into()), true, Selector::new(Some("x"), None))
        );
        let expected = FetchArgs {
            keys: Selector::new(Some("id,*Date,b"), Some("a")),
            query: vec![("schoolId".into(), "5".into()), ("b".into(), "true".into())],
            output: Some("o".into()),
            sendable: true,
            since: Some(7),
        };
        assert_eq!(args, expected);
        for wrong in ["x", "[1]", r#"{"a":[1]}"#, r#"{"a":null}"#, r#"{"limit":1}"#, r#"{"pageToken":"x"}"#] {
            assert!(fault(&format!("fetch -q {wrong}")).starts_with("-q: "), "{wrong}");
        }
        assert!(fault("count --since 7").contains("does not take --since"));
        assert!(
            matches!(command_of("count --results-file r"), Command::Count(run) if run.results_file == Some("r".into()))
        );
    }

    #[test]
    fn every_alias_means_its_option() {
        let time = "2024-01-01T00:00:00Z";
        for [alias, option] in [
            ["-c x", "--config-file x"],
            ["--config x", "--config-file x"],
            ["-p {}", "--params {}"],
            ["-s x", "--selector x"],
            ["-sx", "--selector=x"],
            ["-e x", "--exclude x"],
            ["-f", "--force"],
            ["-w", "--wipe"],
            ["-r 409", "--resend-status-codes 409"],
            ["-u 409", "--resend-status-codes 409"],
            ["--retry-status-codes 409", "--resend-status-codes 409"],
            [&format!("-o {time}"), &format!("--older-than {time}")],
            [&format!("-t {time}"), &format!("--older-than {time}")],
            [&format!("-n {time}"), &format!("--newer-than {time}")],
        ] {
            let [alias, option] = [alias, option].map(|option| send(&format!("send {option}")));
            assert_eq!(alias, option);
            assert_ne!(alias, Run::default());
        }
        assert_eq!(command_of("-h"), command_of("--help"));
        assert_eq!(command_of("-v"), command_of("--version"));
    }

    #[test]
    fn selectors_given_twice_add_up_and_of_other_values_the_last_holds() {
        let run = send("send -s a -s b -e c -e d -p {} -p - -c x -c y");
        assert_eq!(run.selection, Selector::new(Some("a,b"), Some("c,d")));
        assert_eq!((run.config.params, run.config.file), (Some(Params::Stdin), Some("y".into())));
    }

    #[test]
    fn set_takes_pairs_up_to_the_next_option() {
        let run = send("send there --set backoff_factor -1 num_retries 3 -f");
        assert_eq!((run.config.sets.len(), run.config.sets[0].value.as_str(), run.force), (2, "-1", true));
        assert_eq!(fault("--set"), "--set: needs a key and a value");
        let expected = "--set: the last key has no value; name a configuration before --set, or with -c";
        assert_eq!(fault("--set a 1 x.yaml"), expected);
        assert_eq!(fault("--set a 1 x.yaml --force"), expected);
    }

    /// The options of the Python lightbeam 0.1.12, as its callers give them with every command.
    const IN_PYTHON: &str = "-c x --selector a --exclude b --params {} --results-file r --resend-status-codes 409,500 \
                             --wipe --force --older-than 2024-01-01 --newer-than 2024-01-02 -k id -d link -q {} \
                             --set log_level DEBUG";

    fn invocation(line: &str) -> Invocation {
        let args = line.split_whitespace().map(OsString::from);
        parse(args, &[], |_| false).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn every_option_of_the_python_is_accepted_with_every_command() {
        for command in COMMANDS.iter().filter(|command| command.takes_config) {
            let name = if command.name == "metadata" { "metadata save f" } else { command.name };
            if ["delete", "truncate"].contains(&name) {
                continue;
            }
            let notes = invocation(&format!("{name} {IN_PYTHON}")).notes;
            let without: Vec<_> =
                options().filter(|option| option.in_python && !option.of.contains(&command.name)).collect();
            assert_eq!(notes.len(), without.len(), "{name}: {notes:?}");
            assert!(notes.iter().all(|note| note.level == Level::Debug), "{notes:?}");
        }
        assert_eq!(invocation("validate x.yaml --force").notes[0].text, "--force has no effect on 'validate'");
    }

    #[test]
    fn what_is_to_narrow_a_deletion_is_never_passed_over() {
        for line in ["delete -q {}", "truncate -o 2024-01-01", "truncate -n 2024", "truncate -r 409", "truncate -q {}"]
        {
            assert!(fault(line).contains("cannot select by") && fault(line).contains("nothing is deleted"), "{line}");
        }
        for line in
            ["delete -s", "truncate -s", "delete -s=", "delete --selector=,", "delete -e --yes", "truncate -s -e x"]
        {
            assert!(fault(line).contains("has no value, and nothing is deleted"), "{line}");
        }
        assert!(fault("delete --older-than=").contains("--older-than has no value, and nothing is deleted"));
        for line in ["delete -k id -d link -w -f", "truncate -k id -d link -w -f"] {
            assert!(invocation(line).notes.iter().all(|note| note.level == Level::Debug), "{line}");
        }
    }

    #[test]
    fn a_rule_selects_what_is_deleted() {
        let Command::Delete(run, _) = command_of("delete -o 2024-01-01T00:00:00Z -r 201 -f") else { panic!() };
        assert_eq!((run.older_than, run.resend_statuses, run.force), (Some(1_704_067_200), vec![201], true));
    }

    #[test]
    fn an_empty_value_counts_as_not_given() {
        for line in ["send -s", "send -s -e -f", "send -s= --exclude= -f", "fetch -k -d"] {
            let plain = if line.ends_with("-f") { "send -f" } else { &line[..5] };
            assert_eq!(command_of(line), command_of(plain.trim_end()), "{line}");
        }
        for option in ["-r", "-o", "-n", "-p", "-c", "--results-file"] {
            let args = ["send", option, ""].map(OsString::from);
            let invocation = parse(args, &[], |_| false).unwrap_or_else(|e| panic!("{option}: {e}"));
            assert_eq!(invocation.command, command_of("send"), "{option}");
            assert_eq!(invocation.notes[0].text, format!("{option} has no value, so it counts as not given"));
        }
    }

    #[test]
    fn options_of_the_python_may_be_shortened_and_no_others() {
        assert_eq!(command_of("send --sel a --resu r --resend 409"), command_of("send -s a --results-file r -r 409"));
        assert_eq!(fault("send --se a"), "--se may mean --set or --selector; write one of them");
        assert_eq!(fault("send --res a"), "--res may mean --resend-status-codes or --results-file; write one of them");
        assert!(fault("send --partial").starts_with("unknown option --partial; did you mean --partial-ok?"));
        assert!(fault("delete --ye").starts_with("unknown option --ye"));
    }

    #[test]
    fn a_variable_counts_where_nothing_was_typed() {
        let with = |line: &str, name: &str, value: &str| {
            let args = line.split_whitespace().map(OsString::from);
            match parse(args, &[(name.to_string(), value.into())], |_| false).map(|i| i.command) {
                Ok(Command::Send(run)) => run,
                other => panic!("{other:?}"),
            }
        };
        assert!(with("send", "LIGHTBEAM_PARTIAL_OK", "1").partial_ok);
        assert_eq!(with("send", "LIGHTBEAM_SELECTOR", "a").selection, Selector::new(Some("a"), None));
        assert_eq!(with("send -s b", "LIGHTBEAM_SELECTOR", "a").selection, Selector::new(Some("b"), None));
        assert_eq!(with("send", "LIGHTBEAM_CONFIG_FILE", "a.yaml").config.file, Some("a.yaml".into()));
        assert_eq!(with("send b.yaml", "LIGHTBEAM_CONFIG_FILE", "a.yaml").config.file, Some("b.yaml".into()));
        assert_eq!(with("send", "LIGHTBEAM_SINCE", "7"), Run::default());
    }

    #[test]
    fn an_unknown_option_is_told_the_nearest_one() {
        assert_eq!(fault("send --selectr x"), "unknown option --selectr; did you mean --selector?");
        assert_eq!(fault("--colour"), "unknown option --colour; 'lightbeam --help' lists them");
        assert_eq!(fault("-x"), "unknown option -x; 'lightbeam --help' lists them");
    }

    #[test]
    fn an_option_of_another_command_says_whose_it_is() {
        assert_eq!(
            fault("plan --partial-ok"),
            "'plan' does not take --partial-ok; commands that do: send, validate, validate+send, count, fetch, delete, truncate"
        );
        assert_eq!(fault("plan --rejects x"), "'plan' does not take --rejects; commands that do: send, validate+send");
    }

    #[test]
    fn a_missing_or_superfluous_value_is_told() {
        assert_eq!(fault("--results-file --force"), "--results-file: needs a value, FILE");
        assert_eq!(fault("-o -f"), "-o: needs a value, TIME");
        assert!(fault("--force=yes").contains("--force"));
    }

    #[test]
    fn a_wrong_value_names_the_option_as_it_was_spelled() {
        assert!(fault("send -t soon").starts_with("-t: found 'soon', expected a time"));
        assert!(
            fault("send --retry-status-codes x").starts_with("--retry-status-codes: found 'x', expected HTTP statuses")
        );
        assert_eq!(fault("send --log-format xml"), "--log-format: found 'xml', expected text or json");
    }

    #[test]
    fn help_is_had_in_every_way() {
        for line in ["--help", "help", "-h", "x.yaml -h"] {
            assert_eq!(command_of(line), Command::Help(help::general()), "{line}");
        }
        for info in COMMANDS {
            for line in [format!("{} --help", info.name), format!("help {}", info.name), format!("-h {}", info.name)] {
                assert_eq!(command_of(&line), Command::Help(help::of(info)), "{line}");
            }
        }
        assert_eq!(fault("help send x"), "unexpected argument 'x'");
    }

    #[test]
    fn the_version_is_had_with_or_without_a_command() {
        let version = Command::Version(format!("lightbeam {}\n", env!("CARGO_PKG_VERSION")));
        for line in ["--version", "-v", "send -v"] {
            assert_eq!(command_of(line), version, "{line}");
        }
    }

    #[test]
    fn no_debug_output_or_error_shows_a_secret() {
        let shown = format!("{:?}", command_of(r#"send -p {"A":"hidden"} --set edfi_api.client_secret hidden"#));
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(!fault("--set a edfi_api.client_secret hidden").contains("hidden"));
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn every_option_of_a_sandbox_is_understood() {
        let args = crate::cli::SandboxArgs {
            port: 8080,
            metadata: Some("docs".into()),
            claims: Some("claims.json".into()),
            write_config: Some("new.yaml".into()),
            no_check: true,
            shape: crate::cli::Shape::Old,
            version: Some("6.2".into()),
            latency: Some(0),
            fail_429: Some(1),
            retry_after: Some(2),
            fail_500: Some(3),
            fail_503: Some(4),
            fail_html: Some(10),
            fail_302: Some(11),
            restart_after: Some(12),
            restart_for: Some(13),
            cut: Some(5),
            hang: Some(6),
            token_lifetime: Some(7),
            max_concurrent: Some(8),
            no_cursor: true,
            shift: Some(9),
        };
        let line = "sandbox --port 8080 --metadata docs --no-check --shape old --api-version 6.2 --latency 0 --fail-429 1 --retry-after 2 \
                    --fail-500 3 --fail-503 4 --cut 5 --hang 6 --token-lifetime 7 --max-concurrent 8 --no-cursor --shift 9 \
                    --fail-html 10 --fail-302 11 --restart-after 12 --restart-for 13 --write-config new.yaml --claims claims.json";
        assert_eq!(command_of(line), Command::Sandbox(args));
        assert_eq!(command_of("sandbox"), Command::Sandbox(Default::default()));
    }

    #[test]
    fn deleting_is_confirmed_or_rehearsed_on_the_command_line() {
        let args = |yes, deed| DeleteArgs { yes, deed };
        assert!(matches!(command_of("delete"), Command::Delete(_, given) if given == args(false, Deed::Delete)));
        assert!(matches!(command_of("delete --yes"), Command::Delete(_, given) if given == args(true, Deed::Delete)));
        let line = "truncate --dry-run";
        assert!(matches!(command_of(line), Command::Truncate(_, given) if given == args(false, Deed::DryRun)));
        assert!(fault("send --yes").contains("'send' does not take --yes; commands that do: delete, truncate"));
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn a_sandbox_refuses_what_is_not_its_own() {
        assert_eq!(fault("sandbox x.yaml"), "unexpected argument 'x.yaml'");
        assert!(fault("sandbox -s x").starts_with("'sandbox' does not take -s; commands that do: send, plan"));
        assert_eq!(fault("send --cut 5"), "'send' does not take --cut; commands that do: sandbox");
        assert_eq!(fault("sandbox --port 65536"), "--port: found '65536', expected a whole number from 0 to 65535");
        assert!(fault("sandbox --restart-for 5").contains("give --restart-after N too"));
        assert_eq!(fault("sandbox --cut 0"), "--cut: found '0', expected a whole number of at least 1");
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn a_demo_is_told_what_to_tell() {
        let output = Output { log_format: LogFormat::Json, no_progress: true, quiet: false };
        assert_eq!(command_of("demo --log-format json --no-progress"), Command::Demo(output));
        assert!(fault("demo x.yaml").contains("unexpected argument"));
    }
}
