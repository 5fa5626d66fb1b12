//! The lines of data files, in blocks whose size does not grow with the files.

mod aside;
mod beginning;
pub mod packed;
pub mod room;
mod spot;
mod stamp;

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::outcome::{Place, Unread};
use aside::Aside;
use packed::Reader;
use room::Held;
pub use spot::{Origin, Spot};
use stamp::Stamp;

/// Bytes of a block; one line longer than this makes its block as long as itself.
const BLOCK: usize = 64 * 1024;
/// A line that is longer by a read or more is a failed payload. No Ed-Fi API takes half of this (ASP.NET's limit is 30 MB, DMS's 10 MB).
const LONGEST_LINE: usize = 64 * 1024 * 1024;
/// So much of a long line is read at once.
const LONGEST_READ: usize = 256 * 1024;
/// The UTF-8 byte order mark, which some editors and exports put before the first line.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Whole lines of one file.
#[derive(Debug)]
pub struct Block {
    /// The resource's index, as [`Blocks::new`] was given it.
    pub resource: usize,
    /// The file.
    pub file: Arc<Path>,
    /// The number of its first line, from 1.
    pub first_line: u64,
    /// Where its texts can be read again.
    pub origin: Origin,
    /// How many bytes of the file it stands for: of a compressed one, fewer than it holds.
    pub taken: u64,
    /// The lines, each but perhaps the last with its line end.
    pub bytes: Vec<u8>,
    /// The room that they take.
    pub held: Held,
}

impl Block {
    /// The whole text of a file, for tests.
    #[cfg(test)]
    pub fn of_text(file: &Path, text: &[u8]) -> Block {
        let (origin, bytes, held) = (Origin::File(0), text.to_vec(), Held::default());
        Block { resource: 0, file: file.into(), first_line: 1, origin, taken: 0, bytes, held }
    }

    /// Where the text at `range` can be read again.
    pub fn spot(&self, range: &std::ops::Range<usize>) -> Spot {
        match &self.origin {
            Origin::File(offset) => Spot::File(offset + range.start as u64),
            Origin::Aside(aside) => {
                let text = &self.bytes[range.clone()];
                aside.put(text).map_or_else(|_| Spot::Here(text.into()), |place| Spot::Aside(aside.clone(), place))
            }
        }
    }

    /// Each line's number and the place of its text in `bytes`, white space around it left out.
    pub fn lines(&self) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
        let mut start = 0;
        let mut number = self.first_line;
        std::iter::from_fn(move || {
            if start >= self.bytes.len() {
                return None;
            }
            let end = memchr::memchr(b'\n', &self.bytes[start..]).map_or(self.bytes.len(), |i| start + i);
            let line = &self.bytes[start..end];
            let left = start + (line.len() - line.trim_ascii_start().len());
            let item = (number, left..left + line.trim_ascii().len());
            start = end + 1;
            number += 1;
            Some(item)
        })
    }
}

/// What reading yields next.
#[derive(Debug)]
pub enum Piece {
    /// Lines.
    Lines(Block),
    /// Something in a file that cannot be read as lines; it counts as one failed payload.
    Flaw {
        /// The resource's index.
        resource: usize,
        /// The file.
        file: Arc<Path>,
        /// The line, from 1.
        line: u64,
        /// What is wrong and what to do.
        message: String,
    },
    /// From there on the file cannot be read, or is not what it was when it was opened.
    Unread {
        /// The resource's index.
        resource: usize,
        /// From where, and why.
        unread: Unread,
    },
}

impl Piece {
    /// The index of the resource that it is of.
    pub fn resource(&self) -> usize {
        match self {
            Piece::Lines(block) => block.resource,
            Piece::Flaw { resource, .. } | Piece::Unread { resource, .. } => *resource,
        }
    }
}

/// Reads files one after the other, piece by piece.
pub struct Blocks {
    files: std::vec::IntoIter<(usize, Arc<Path>)>,
    open: Option<Open>,
}

struct Open {
    resource: usize,
    path: Arc<Path>,
    reader: Reader,
    stamp: Stamp,
    /// Of a compressed file, where its texts are put aside, and how many bytes of it were given out.
    aside: Option<Arc<Aside>>,
    taken: u64,
    /// Read, but not yet given out: the beginning of a line.
    rest: Vec<u8>,
    /// The number of the next line to be given out, and where in the file it begins.
    line: u64,
    offset: u64,
    ended: bool,
}

impl Blocks {
    /// Over `files`, each with the index of its resource.
    pub fn new(files: Vec<(usize, Arc<Path>)>) -> Blocks {
        Blocks { files: files.into_iter(), open: None }
    }
}

impl Iterator for Blocks {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            if let Some(open) = &mut self.open {
                match open.read_on() {
                    Ok(Some(piece)) => return Some(piece),
                    Ok(None) => {
                        let changed = open.changed();
                        self.open = None;
                        if changed.is_some() {
                            return changed;
                        }
                    }
                    Err(e) => {
                        open.ended = true;
                        return Some(open.unread(format!("cannot read on; the file from here was not sent: {e}")));
                    }
                }
            }
            let (resource, path) = self.files.next()?;
            match stamp::open(&path) {
                Ok((file, stamp)) => {
                    let aside = packed::is_packed(&path).then(Arc::default);
                    let (reader, rest) = (Reader::of(&path, file), Vec::new());
                    let (line, offset, taken, ended) = (1, 0, 0, false);
                    self.open = Some(Open { resource, path, reader, stamp, aside, taken, rest, line, offset, ended });
                }
                Err(message) => {
                    let place = Place { file: path, line: 1 };
                    return Some(Piece::Unread { resource, unread: Unread { place, message } });
                }
            }
        }
    }
}

impl Open {
    /// The next lines; `None` at the end of the file.
    fn read_on(&mut self) -> io::Result<Option<Piece>> {
        if self.ended {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(BLOCK.max(self.rest.len()));
        bytes.append(&mut self.rest);
        let whole = loop {
            let searched = bytes.len();
            let wanted = searched.max(BLOCK.saturating_sub(searched)).min(LONGEST_READ);
            room::make_large(&mut bytes, searched + wanted);
            let got = fill(&mut bytes, wanted, &mut self.reader)?;
            if searched == 0 && self.line == 1 {
                let text = bytes.strip_prefix(BOM).unwrap_or(&bytes);
                if let Some(message) = beginning::fault(&self.path, text) {
                    self.ended = true;
                    return Ok(Some(self.flaw(message)));
                }
            }
            if got < wanted {
                self.ended = true;
                break bytes.len();
            }
            if let Some(end) = memchr::memrchr(b'\n', &bytes[searched..]) {
                break searched + end + 1;
            }
            if bytes.len() > LONGEST_LINE {
                return self.pass_over_line(bytes.len()).map(Some);
            }
        };
        self.rest = bytes.split_off(whole);
        if self.line == 1 && bytes.starts_with(BOM) {
            bytes.drain(..BOM.len());
            self.offset = BOM.len() as u64;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let first_line = self.line;
        let (origin, taken) = match &self.aside {
            None => (Origin::File(self.offset), bytes.len() as u64),
            Some(aside) => (Origin::Aside(aside.clone()), self.reader.taken() - self.taken),
        };
        self.taken += taken;
        self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        self.offset += bytes.len() as u64;
        let (resource, file) = (self.resource, self.path.clone());
        Ok(Some(Piece::Lines(Block { resource, file, first_line, origin, taken, bytes, held: Held::default() })))
    }

    /// Reads to the end of a line that is too long, of which so many bytes are read already, keeping nothing of it.
    fn pass_over_line(&mut self, read: usize) -> io::Result<Piece> {
        let flaw = self.flaw(format!("the line is longer than {} MB", LONGEST_LINE >> 20));
        self.line += 1;
        self.offset += read as u64;
        loop {
            self.rest.clear();
            let got = fill(&mut self.rest, BLOCK, &mut self.reader)?;
            if let Some(end) = memchr::memchr(b'\n', &self.rest) {
                self.rest.drain(..=end);
                self.offset += end as u64 + 1;
                return Ok(flaw);
            }
            self.offset += got as u64;
            if got < BLOCK {
                self.rest.clear();
                self.ended = true;
                return Ok(flaw);
            }
        }
    }

    /// What to tell of a file that was written to while it was read.
    fn changed(&self) -> Option<Piece> {
        let change = self.stamp.change(self.reader.file());
        change
            .unwrap_or_else(|e| Some(format!("cannot tell whether the file has changed: {e}")))
            .map(|m| self.unread(m))
    }

    fn unread(&self, message: String) -> Piece {
        let place = Place { file: self.path.clone(), line: self.line };
        Piece::Unread { resource: self.resource, unread: Unread { place, message } }
    }

    fn flaw(&self, message: String) -> Piece {
        Piece::Flaw { resource: self.resource, file: self.path.clone(), line: self.line, message }
    }
}

/// Adds as many bytes as are wanted, or what there is; returns how many. In one call of the system, where [`Read::read_to_end`] makes several
/// small ones before it trusts a file to go on.
fn fill(bytes: &mut Vec<u8>, wanted: usize, reader: &mut Reader) -> io::Result<usize> {
    let start = bytes.len();
    bytes.resize(start + wanted, 0);
    let mut end = start;
    while end < bytes.len() {
        match reader.read(&mut bytes[end..]) {
            Ok(0) => break,
            Ok(got) => end += got,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(end);
    Ok(end - start)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes a file and reads it back as (line, text) pairs, flaws as `!line message`.
    fn read(name: &str, bytes: &[u8]) -> Vec<String> {
        let dir = std::env::temp_dir().join(format!("lightbeam-source-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        let pieces = Blocks::new(vec![(0, path.into())]);
        let seen = pieces
            .flat_map(|piece| match piece {
                Piece::Flaw { line, message, .. } => vec![format!("!{line} {message}")],
                Piece::Unread { unread, .. } => vec![format!("!{} {}", unread.place.line, unread.message)],
                Piece::Lines(block) => {
                    let text = |r: std::ops::Range<usize>| String::from_utf8_lossy(&block.bytes[r]).into_owned();
                    block.lines().map(|(n, r)| format!("{n} {}", text(r))).collect()
                }
            })
            .collect();
        fs::remove_dir_all(dir).unwrap();
        seen
    }

    #[test]
    fn lines_keep_their_numbers_whatever_ends_them() {
        assert_eq!(read("crlf.jsonl", b"{1}\r\n\r\n  {3} \r\n{4}"), ["1 {1}", "2 ", "3 {3}", "4 {4}"]);
        assert_eq!(read("bom.jsonl", b"\xEF\xBB\xBF{1}\n{2}\n"), ["1 {1}", "2 {2}"]);
        assert_eq!(read("empty.jsonl", b""), [""; 0]);
        assert_eq!(read("only-bom.jsonl", b"\xEF\xBB\xBF"), [""; 0]);
    }

    #[test]
    fn blocks_cut_only_between_lines() {
        let lines: Vec<String> = (0..40_000).map(|i| format!("{{\"i\":{i}}}")).collect();
        let seen = read("many.jsonl", lines.join("\n").as_bytes());
        assert_eq!(seen.len(), lines.len());
        assert!(seen.iter().zip(&lines).enumerate().all(|(i, (s, l))| *s == format!("{} {l}", i + 1)));
    }

    #[test]
    fn every_line_can_be_read_again_where_its_block_says() {
        let mut bytes = BOM.to_vec();
        (0..20_000).for_each(|i| bytes.extend(format!("{{\"i\":{i}}}\r\n").as_bytes()));
        bytes.resize(bytes.len() + LONGEST_LINE + 2 * LONGEST_READ, b'x');
        bytes.extend(b"\n{\"after\":1}");
        let folder = std::env::temp_dir().join(format!("lightbeam-source-{}-offsets", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("students.jsonl");
        fs::write(&path, &bytes).unwrap();
        let mut lines = 0;
        for piece in Blocks::new(vec![(0, path.into())]) {
            let Piece::Lines(block) = piece else { continue };
            for (_, range) in block.lines() {
                let text = block.spot(&range).read(&block.file, range.len()).unwrap();
                assert_eq!(text, block.bytes[range]);
                lines += 1;
            }
        }
        assert_eq!(lines, 20_001);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_line_longer_than_a_block_stays_whole() {
        let long = "x".repeat(3 * BLOCK);
        assert_eq!(read("long.jsonl", format!("a\n{long}\nb\n").as_bytes()), ["1 a", &format!("2 {long}"), "3 b"]);
    }

    #[test]
    fn a_line_beyond_all_limits_is_a_flaw_and_the_next_line_is_read() {
        let mut bytes = b"a\n".to_vec();
        bytes.resize(LONGEST_LINE + 2 * LONGEST_READ, b'x');
        bytes.extend(b"\nb\n");
        assert_eq!(read("huge.jsonl", &bytes), ["1 a", "!2 the line is longer than 64 MB", "3 b"]);
    }

    #[test]
    fn a_file_that_is_no_lines_says_what_to_do() {
        for (name, bytes) in [
            ("array.json", &b" [{\"a\":1},\n{\"a\":2}]"[..]),
            ("array.jsonl", b"[\n{\"a\":1}\n]"),
            ("pretty.json", b"{\n  \"a\": 1\n}\n"),
        ] {
            let seen = read(name, bytes);
            assert!(seen.len() == 1 && seen[0].starts_with("!1 ") && seen[0].contains("jq -c"), "{seen:?}");
        }
        assert!(read("wide.jsonl", b"\xFF\xFE{\0}\0")[0].contains("UTF-8"));
        assert_eq!(read("one-array.jsonl", b"[1]\n{2}\n"), ["1 [1]", "2 {2}"], "one wrong line is not a wrong file");
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_unread_from_its_first_line() {
        let mut pieces = Blocks::new(vec![(3, Path::new("no-such-folder/students.jsonl").into())]);
        let first = pieces.next();
        assert!(matches!(first, Some(Piece::Unread { resource: 3, unread }) if unread.place.line == 1));
        assert!(pieces.next().is_none());
    }
}
