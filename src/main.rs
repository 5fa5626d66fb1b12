//! The program: parses, calls the library, tells what went wrong, returns the exit code.

use std::path::Path;
use std::process::ExitCode;

use lightbeam::cli::{self, environment};
use lightbeam::commands;
use lightbeam::config::codes::{Compat, ExitCodes};

fn main() -> ExitCode {
    let variables = environment::variables(std::env::vars_os());
    let code = match cli::parse(std::env::args_os().skip(1), &variables, Path::is_file) {
        Ok(invocation) => commands::run(invocation),
        Err(error) => {
            eprintln!("lightbeam: {error}");
            let in_python = variables.iter().any(|(name, value)| name == "LIGHTBEAM_COMPAT" && value == Compat::PYTHON);
            let compat = if in_python { Compat::Python } else { Compat::None };
            error.exit().code_in(compat, &ExitCodes::default())
        }
    };
    ExitCode::from(code)
}
