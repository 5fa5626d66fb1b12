//! Makes the sandbox's built-in model from a folder with the OpenAPI documents of resources and descriptors and the dependencies:
//!
//! ```sh
//! cargo run --example compact-model -- FOLDER > src/sandbox/ds-5.0.model
//! ```

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: compact-model FOLDER > MODEL");
        return ExitCode::from(2);
    };
    match lightbeam::sandbox::compact_model(Path::new(&folder)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
