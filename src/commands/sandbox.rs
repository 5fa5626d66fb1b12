//! `lightbeam sandbox`: an Ed-Fi API in memory, until somebody ends it.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::say;
use crate::cli::{SandboxArgs, Shape};
use crate::clock;
use crate::disk::{Readers, System, replace_on};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::sandbox::{self, Options};

/// Runs it until ctrl-c or SIGTERM, which is how it is meant to end.
pub fn run(args: &SandboxArgs) -> Result<Exit> {
    let interrupt = Interrupt::on_signals()?;
    let sandbox = sandbox::start(options(args))?;
    let config = config(&sandbox.url(), &sandbox.assigned_profiles());
    let how = match &args.write_config {
        None => {
            "To send to it, save these lines as lightbeam.yaml (--write-config FILE does that), then: lightbeam send"
                .into()
        }
        Some(file) => {
            write_config(file, &config)?;
            format!("To send to it: lightbeam send -c {}, which says:", file.display())
        }
    };
    say(&format!(
        "An Ed-Fi API in memory answers at {}, with any key and secret.\nIt forgets everything when it ends (ctrl-c).\n\n\
         {how}\n\n{config}",
        sandbox.url()
    ));
    while clock::sleep(Duration::from_secs(3600), &|| interrupt.asked()).is_ok() {}
    Ok(Exit::Ok)
}

/// A configuration that works with the sandbox at `url`, whose caller has these profiles.
fn config(url: &str, profiles: &[&str]) -> String {
    let profile = match profiles {
        [] | [_] => String::new(),
        [first, others @ ..] => format!(
            "\x20 # Several profiles are assigned, so that requests must name one. The others: {}.\n\x20 profile: {first}\n",
            others.join(", ")
        ),
    };
    format!(
        "# lightbeam's sandbox, an Ed-Fi API in memory.\n\
         # Where payloads are, such as students.jsonl: the folder in which you run lightbeam.\n\
         data_dir: ./\n\
         # Where lightbeam notes what the sandbox accepted. Delete it when you start another sandbox on the same port.\n\
         state_dir: ./.lightbeam-sandbox\n\
         edfi_api:\n\
         \x20 base_url: {url}\n\
         \x20 # The sandbox takes any key and secret.\n\
         \x20 client_id: sandbox\n\
         \x20 client_secret: sandbox-secret\n{profile}"
    )
}

/// Writes the configuration to a file that is not there; one that is there may say the same.
fn write_config(file: &Path, config: &str) -> Result<()> {
    match std::fs::read(file) {
        Ok(there) if there == config.as_bytes() => Ok(()),
        Ok(_) => Err(Error::usage(format!(
            "--write-config: {} is there already and says something else; delete it or name another file",
            file.display()
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            replace_on(&System, file, Readers::AsUsual, |file| file.write(config.as_bytes()))
                .or_stop(Exit::Usage, || format!("--write-config: cannot write {}", file.display()))
        }
        Err(error) => Err(error).or_stop(Exit::Usage, || format!("--write-config: cannot read {}", file.display())),
    }
}

fn options(args: &SandboxArgs) -> Options {
    let unless_told = Options::default();
    Options {
        port: args.port,
        metadata: args.metadata.clone(),
        claims: args.claims.clone(),
        no_check: args.no_check,
        shape: match args.shape {
            Shape::New => sandbox::Shape::New,
            Shape::Old => sandbox::Shape::Old,
        },
        version: args.version.clone(),
        latency: args.latency.map_or(unless_told.latency, Duration::from_millis),
        fail_429: args.fail_429,
        retry_after: args.retry_after,
        fail_500: args.fail_500,
        fail_503: args.fail_503,
        fail_html: args.fail_html,
        fail_302: args.fail_302,
        restart_after: args.restart_after,
        restart_for: args.restart_for.map_or(unless_told.restart_for, Duration::from_secs),
        cut: args.cut,
        hang: args.hang,
        token_lifetime: args.token_lifetime.map_or(unless_told.token_lifetime, Duration::from_secs),
        max_concurrent: args.max_concurrent.map(|n| n as usize),
        no_cursor: args.no_cursor,
        shift: args.shift,
        ..unless_told
    }
}
