//! `lightbeam sandbox`: an Ed-Fi API in memory, until somebody ends it.

use std::time::Duration;

use super::say;
use crate::cli::{SandboxArgs, Shape};
use crate::clock;
use crate::error::Result;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::sandbox::{self, Options};

/// Runs it until ctrl-c or SIGTERM, which is how it is meant to end.
pub fn run(args: &SandboxArgs) -> Result<Exit> {
    let interrupt = Interrupt::on_signals()?;
    let sandbox = sandbox::start(options(args))?;
    say(&format!(
        "An Ed-Fi API in memory answers at {}, with any key and secret.\nIt forgets everything when it ends (ctrl-c).\n",
        sandbox.url()
    ));
    while clock::sleep(Duration::from_secs(3600), &|| interrupt.asked()).is_ok() {}
    Ok(Exit::Ok)
}

fn options(args: &SandboxArgs) -> Options {
    let unless_told = Options::default();
    Options {
        port: args.port,
        metadata: args.metadata.clone(),
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
        cut: args.cut,
        hang: args.hang,
        token_lifetime: args.token_lifetime.map_or(unless_told.token_lifetime, Duration::from_secs),
        max_concurrent: args.max_concurrent.map(|n| n as usize),
        no_cursor: args.no_cursor,
        shift: args.shift,
        ..unless_told
    }
}
