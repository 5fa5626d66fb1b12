//! Whether a file is still what it was when reading it began.
//!
//! Nothing keeps other programs from writing to a data file, so a file that was written to while it was read is a failure that says so:
//! its last line may be half a line, and lines may have been missed or seen in part.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// What tells that a file was written to.
#[derive(Debug, PartialEq, Eq)]
pub struct Stamp {
    bytes: u64,
    /// Not every file system tells it.
    modified: Option<SystemTime>,
}

impl Stamp {
    /// Of a file as it is now.
    pub fn of(file: &File) -> io::Result<Stamp> {
        let metadata = file.metadata()?;
        Ok(Stamp { bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// What happened to the file since this stamp, if anything did.
    pub fn change(&self, file: &File) -> io::Result<Option<String>> {
        let now = Stamp::of(file)?;
        let grown = match now.bytes.cmp(&self.bytes) {
            std::cmp::Ordering::Less => format!("shrank from {} to {} bytes", self.bytes, now.bytes),
            std::cmp::Ordering::Equal => "was changed".into(),
            std::cmp::Ordering::Greater => format!("grew from {} to {} bytes", self.bytes, now.bytes),
        };
        Ok((now != *self).then(|| {
            format!("the file {grown} while it was read; what was read was sent. Send it again when it is complete")
        }))
    }
}

/// Opens a file of data. A pipe or device is none: it cannot be read a second time, which a payload that is tried again needs, and opening a
/// pipe may wait forever.
pub fn open(path: &Path) -> Result<(File, Stamp), String> {
    let cannot = |e: io::Error| format!("cannot open the file: {e}");
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("not a file: a pipe or a device cannot be read twice; write what it gives to a file".into());
    }
    let file = File::open(path).map_err(cannot)?;
    let stamp = Stamp::of(&file).map_err(cannot)?;
    Ok((file, stamp))
}

#[cfg(test)]
mod tests {
    use super::super::{Blocks, Piece};
    use super::*;
    use std::path::PathBuf;

    /// A file of three blocks and a bit, of lines of 16 bytes.
    fn data(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lightbeam-stamp-{}-{name}.jsonl", std::process::id()));
        let lines: String = (0..13_000).map(|i| format!("{{\"number\":{i:04}}}\n")).collect();
        fs::write(&path, lines).unwrap();
        path
    }

    /// How many lines are read, and what is told, where `meddle` happens after the first block.
    fn read(path: &Path, meddle: impl FnOnce()) -> (usize, Vec<String>) {
        let mut pieces = Blocks::new(vec![(0, path.into())]);
        let first = pieces.next().unwrap();
        meddle();
        let (mut lines, mut told) = (0, Vec::new());
        for piece in std::iter::once(first).chain(pieces) {
            match piece {
                Piece::Lines(block) => lines += block.lines().count(),
                Piece::Flaw { message, .. } => panic!("{message}"),
                Piece::Unread { unread, .. } => told.push(unread.message),
            }
        }
        (lines, told)
    }

    #[test]
    fn a_file_that_nobody_touches_is_read_without_a_word() {
        let path = data("calm");
        assert_eq!(read(&path, || {}), (13_000, vec![]));
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_grows_or_shrinks_or_is_written_over_while_it_is_read_is_told() {
        let path = data("changed");
        let append = || {
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend(b"{\"number\":1}\n");
            fs::write(&path, bytes).unwrap();
        };
        let (lines, told) = read(&path, append);
        assert_eq!(lines, 13_001);
        assert!(told.len() == 1 && told[0].contains("grew from"), "{told:?}");

        let cut = || File::options().write(true).open(&path).unwrap().set_len(100_000).unwrap();
        let (lines, told) = read(&path, cut);
        assert!(lines < 13_000 && told.len() == 1 && told[0].contains("shrank from"), "{lines} {told:?}");

        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let (_, told) = read(&path, || File::options().write(true).open(&path).unwrap().set_modified(later).unwrap());
        assert!(told.len() == 1 && told[0].contains("was changed"), "{told:?}");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_removed_or_replaced_while_it_is_read_is_read_to_its_end() {
        let path = data("removed");
        assert_eq!(read(&path, || fs::remove_file(&path).unwrap()), (13_000, vec![]));
        let (path, other) = (data("replaced"), data("other"));
        assert_eq!(read(&path, || fs::rename(&other, &path).unwrap()), (13_000, vec![]));
        fs::remove_file(path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_device_is_told_and_not_opened() {
        let (lines, told) = {
            let mut pieces = Blocks::new(vec![(0, Path::new("/dev/zero").into())]);
            let Some(Piece::Unread { unread, .. }) = pieces.next() else { panic!("read a device") };
            (pieces.count(), unread.message)
        };
        assert!(lines == 0 && told.contains("not a file"), "{told}");
    }
}
