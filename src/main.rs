//! The program: parses, calls the library, tells what went wrong, returns the exit code.

use std::path::Path;
use std::process::ExitCode;

use lightbeam::{cli, commands};

fn main() -> ExitCode {
    let exit = match cli::parse(std::env::args_os().skip(1), Path::is_file) {
        Ok(command) => commands::run(command),
        Err(error) => {
            eprintln!("lightbeam: {error}");
            error.exit()
        }
    };
    ExitCode::from(exit.code())
}
