//! The program: parses, calls the library, tells what went wrong, returns the exit code.

use std::panic;
use std::path::Path;
use std::process::ExitCode;

use lightbeam::cli::{self, environment};
use lightbeam::commands;
use lightbeam::config::codes::{Compat, ExitCodes};
use lightbeam::exit::Exit;

fn main() -> ExitCode {
    let variables = environment::variables(std::env::vars_os());
    let in_python = variables.iter().any(|(name, value)| name == "LIGHTBEAM_COMPAT" && value == Compat::PYTHON);
    // Where no configuration was read, it cannot choose codes.
    let code = |exit: Exit| exit.code_in(if in_python { Compat::Python } else { Compat::None }, &ExitCodes::default());
    ExitCode::from(match cli::parse(std::env::args_os().skip(1), &variables, Path::is_file) {
        // A panic has said what it is by then.
        Ok(invocation) => panic::catch_unwind(|| commands::run(invocation)).unwrap_or_else(|_| code(Exit::Bug)),
        Err(error) => {
            commands::complain(&error.to_string());
            code(error.exit())
        }
    })
}
