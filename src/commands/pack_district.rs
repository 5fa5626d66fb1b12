//! Packs the sample district for `lightbeam demo`:
//!
//! ```sh
//! cargo run --example pack-district > PACKED
//! ```

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let packed = lightbeam::commands::demo::pack(Path::new("fixtures/district"));
    match packed
        .map_err(|error| error.to_string())
        .and_then(|packed| std::io::stdout().write_all(&packed).map_err(|error| error.to_string()))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
