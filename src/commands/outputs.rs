//! Whether the file that a command is to write at its end can be written, which is tried before it does anything else: after a load of
//! hours it is too late to learn that.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::config::Config;
use crate::disk;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::folder;
use crate::text::visible;

/// An error (exit 2) if the file cannot be written, or if it is the configuration or holds data.
pub fn check(path: &Path, config: &Config) -> Result<()> {
    let shown = visible::path(path);
    if is_same(path, &config.file) {
        return Err(Error::usage(format!("{shown} is the configuration; choose another file to write to")));
    }
    if is_data(path, &config.data_dir) {
        return Err(Error::usage(format!("{shown} is a data file; choose another file to write to")));
    }
    disk::try_named(path).or_stop(Exit::Usage, || format!("cannot write to {shown}"))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Whether a file in the data folder would be read as data. The results of an earlier run may stand there too.
fn is_data(path: &Path, data_dir: &Path) -> bool {
    let (Ok(file), Ok(data_dir)) = (path.canonicalize(), data_dir.canonicalize()) else { return false };
    file.starts_with(data_dir) && folder::is_data(&file) && !holds_results(&file)
}

/// Results of every version, and of the Python lightbeam, begin with that.
fn holds_results(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(200).read_to_end(&mut beginning));
    read.is_ok() && (beginning.is_empty() || String::from_utf8_lossy(&beginning).contains("\"started_at\""))
}
