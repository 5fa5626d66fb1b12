//! A resource's [`Table`] as a file: written whole, put in place atomically, believed only if its checksum holds.
//!
//! ```text
//! LBSTATE\n | version: 1 byte | body: postcard | checksum: first 8 bytes of BLAKE3 of all before
//! body = target's URL, resource, definition of its natural key: 8 bytes, the table's rows as bytes, what the API said as bytes
//! row = digest: 16 bytes | key: 12 bytes | when answered: 4 bytes | status: 2 bytes | standing: 1 byte, numbers little-endian
//! ```
//!
//! Version 2, which is read as well, had neither definition nor what the API said, and rows without key and standing.
//!
//! The version changes whenever the body does; an unknown one is an error, never a guess. Target and resource are in the file so that
//! one that was copied or renamed to another place is noticed.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use super::reasons::Reasons;
use super::table::{Entry, Standing, Table};
use crate::digest::{CHECKSUM, Digest, Sum};
use crate::disk::{self, Appending, Disk, Readers};
use crate::edfi::key::StrictKey;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::text::url;

const MAGIC: &[u8; 8] = b"LBSTATE\n";
const VERSION: u8 = 3;
/// Bytes of a row.
const ROW: usize = 35;
/// The version before, and the bytes of its rows.
const VERSION_2: u8 = 2;
const ROW_2: usize = 22;

/// Writes the table of a resource of a target in place of what was there, in a folder that is there. It is safe from a power cut once that
/// folder is synced.
pub fn write(disk: &dyn Disk, path: &Path, target: &str, resource: &str, table: &Table) -> io::Result<()> {
    disk::put_on(disk, path, Readers::Owner, |file| encode(target, resource, table, file))
}

/// Reads the table of a resource of a target; an empty one if there is no file yet.
pub fn read(disk: &dyn Disk, path: &Path, target: &str, resource: &str) -> Result<Table> {
    let told = || format!("cannot read the state file {}", path.display());
    let (bytes, file) = match disk.read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Table::default()),
        other => other.or_stop(Exit::Usage, told)?,
    };
    decode(file, bytes, target, resource).or_stop(Exit::Usage, told)?.map_err(|what| {
        let path = path.display();
        Error::usage(format!(
            "the state file {path} {what}; it was left as it is. Put it elsewhere to send all of {resource} again, \
             or restore it from a backup"
        ))
    })
}

/// So many rows are written and read at a time, so that a history of millions is not in memory twice.
const ROWS: usize = 4_096;

fn encode(target: &str, resource: &str, table: &Table, file: &mut dyn Appending) -> io::Result<()> {
    let mut sum = Sum::default();
    let mut put = |bytes: Vec<u8>| {
        sum.add(&bytes);
        file.write(&bytes)
    };
    // Serialising numbers and text into a growing vector has no way to fail.
    let length = |bytes: usize| postcard::to_extend(&bytes, Vec::new()).unwrap_or_default();
    let mut head = MAGIC.to_vec();
    head.push(VERSION);
    put(postcard::to_extend(&(target, resource), head).unwrap_or_default())?;
    put(table.definition().to_le_bytes().to_vec())?;
    put(length(table.len() * ROW))?;
    table.rows().chunks(ROWS).try_for_each(|rows| put(rows.iter().flat_map(row).collect()))?;
    let reasons = table.reasons().to_bytes();
    put(length(reasons.len()))?;
    put(reasons)?;
    file.write(&sum.end())
}

fn row((digest, entry): &(Digest, Entry)) -> [u8; ROW] {
    let mut row = [0; ROW];
    row[..16].copy_from_slice(&digest.0);
    row[16..28].copy_from_slice(&entry.key.0);
    row[28..32].copy_from_slice(&entry.at.to_le_bytes());
    row[32..34].copy_from_slice(&entry.status.to_le_bytes());
    row[34] = entry.standing.code();
    row
}

fn of_row([row @ .., a, b, c, d, e, f, standing]: [u8; ROW]) -> (Digest, Entry) {
    let (mut digest, mut key) = ([0; 16], [0; 12]);
    digest.copy_from_slice(&row[..16]);
    key.copy_from_slice(&row[16..]);
    let (at, status) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
    (Digest(digest), Entry { key: StrictKey(key), at, status, standing: Standing::from_code(standing) })
}

fn of_row_2([digest @ .., a, b, c, d, e, f]: [u8; ROW_2]) -> (Digest, Entry) {
    let (at, status) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]));
    (Digest(digest), Entry::of_status(at, status))
}

/// The table in a file of so many bytes, or what is wrong with these, to be put behind the file's name. It is read in pieces, for a history
/// of millions would else be in memory twice.
pub fn decode(file: impl Read, bytes: u64, target: &str, resource: &str) -> io::Result<Result<Table, String>> {
    let Some(left) = bytes.checked_sub(CHECKSUM as u64) else { return Ok(Err("is cut short".into())) };
    let mut body = Body { file: BufReader::with_capacity(PIECE, file), sum: Sum::default(), left };
    match body.table(target, resource) {
        Ok(table) => Ok(Ok(table)),
        Err(Wrong::Unreadable(e)) => Err(e),
        Err(Wrong::Content(what)) => Ok(Err(what)),
    }
}

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// What the checksum is of, and then the checksum.
struct Body<R> {
    file: BufReader<R>,
    sum: Sum,
    /// Bytes before the checksum that were not read yet.
    left: u64,
}

enum Wrong {
    Unreadable(io::Error),
    Content(String),
}

impl Wrong {
    fn damaged(how: &str) -> Wrong {
        Wrong::Content(format!("is damaged ({how})"))
    }
}

impl<R: Read> Body<R> {
    fn table(&mut self, target: &str, resource: &str) -> Result<Table, Wrong> {
        let mut head = [0; MAGIC.len() + 1];
        self.fill(&mut head)?;
        let version = head[MAGIC.len()];
        if head[..MAGIC.len()] != *MAGIC {
            return Err(Wrong::Content("is not lightbeam's".into()));
        }
        if version != VERSION && version != VERSION_2 {
            return Err(Wrong::Content(format!("has version {version}, this program writes {VERSION}")));
        }
        let owner = [self.values(u8::from_le_bytes)?, self.values(u8::from_le_bytes)?];
        let (mut definition, mut reasons) = ([0; 8], Vec::new());
        let rows = match version {
            VERSION_2 => self.values(of_row_2)?,
            _ => {
                self.fill(&mut definition)?;
                let rows = self.values(of_row)?;
                reasons = self.values(u8::from_le_bytes)?;
                rows
            }
        };
        let mut sum = [0; CHECKSUM];
        self.file.read_exact(&mut sum).map_err(Wrong::Unreadable)?;
        if self.left > 0 || self.sum.end() != sum {
            return Err(Wrong::damaged("its checksum is wrong"));
        }
        let [own, of] = owner.each_ref().map(|name| String::from_utf8_lossy(name));
        // Versions before wrote the target in the spelling of the configuration.
        if url::normal(&own) != url::normal(target) || of != resource {
            let (target, resource) = (own, of);
            return Err(Wrong::Content(format!("belongs to {resource} of {target}")));
        }
        let reasons = match version {
            VERSION_2 => Reasons::default(),
            _ => Reasons::from_bytes(&reasons).ok_or_else(|| Wrong::damaged("what the API said is not readable"))?,
        };
        Table::from_rows(rows, u64::from_le_bytes(definition), reasons)
            .ok_or_else(|| Wrong::damaged("its rows are out of order"))
    }

    /// The next values of `N` bytes each, before which stands how many bytes they are.
    fn values<T, const N: usize>(&mut self, value: fn([u8; N]) -> T) -> Result<Vec<T>, Wrong> {
        let bytes = self.number()?;
        if bytes > self.left || bytes % N as u64 > 0 {
            return Err(Wrong::damaged("a length is wrong"));
        }
        let mut left = bytes as usize;
        let mut values = Vec::with_capacity(left / N);
        let mut piece = vec![0; left.min(ROWS * N)];
        while left > 0 {
            let piece = &mut piece[..left.min(ROWS * N)];
            self.fill(piece)?;
            values.extend(piece.as_chunks().0.iter().map(|bytes| value(*bytes)));
            left -= piece.len();
        }
        Ok(values)
    }

    /// The next number: seven bits in each byte, the lowest first, as long as the eighth is set (postcard's varint).
    fn number(&mut self) -> Result<u64, Wrong> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.fill(&mut byte)?;
            number |= u64::from(byte[0] & 0x7F) << shift;
            if byte[0] < 0x80 {
                return Ok(number);
            }
        }
        Err(Wrong::damaged("a length is wrong"))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Wrong> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| Wrong::Content("is cut short".into()))?;
        self.file.read_exact(bytes).map_err(Wrong::Unreadable)?;
        self.sum.add(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::reasons::{Said, Text};
    use super::*;

    /// A file in memory.
    struct Written(Vec<u8>);

    impl Appending for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn set_len(&mut self, length: u64) -> io::Result<()> {
            self.0.truncate(length as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn encode(target: &str, resource: &str, table: &Table) -> Vec<u8> {
        let mut written = Written(Vec::new());
        super::encode(target, resource, table, &mut written).unwrap();
        written.0
    }

    fn decode(bytes: &[u8], target: &str, resource: &str) -> Result<Table, String> {
        super::decode(bytes, bytes.len() as u64, target, resource).unwrap()
    }

    fn table(n: u32) -> Table {
        let entry = |i: u32| Entry {
            key: StrictKey([i as u8; 12]),
            ..Entry::of_status(i, if i.is_multiple_of(2) { 201 } else { 400 })
        };
        let rows = (0..n).map(|i| (Digest::of(&i.to_le_bytes()), entry(i)));
        let mut table = Table::default().under(7).with(rows.collect());
        let text = Text { problem_type: None, messages: vec!["no".into()], caller: None };
        let said = Said { text: Arc::new(text), correlation_id: Some("run".into()) };
        table.reasons_mut().add(Digest::of(&1_u32.to_le_bytes()), said);
        table
    }

    #[test]
    fn what_is_written_is_read() {
        for n in [0, 1, 1_000] {
            let bytes = encode("http://localhost/data", "ed-fi/students", &table(n));
            assert_eq!(decode(&bytes, "http://localhost/data", "ed-fi/students"), Ok(table(n)));
        }
    }

    #[test]
    fn ten_thousand_payloads_take_35_bytes_each() {
        let bytes = encode("http://localhost/data", "ed-fi/students", &table(10_000));
        assert!((350_000..350_200).contains(&bytes.len()), "{}", bytes.len());
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = encode("t", "r", &table(3));
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], "t", "r").is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed, "t", "r").is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_file_of_another_version_is_refused_with_both_versions() {
        let mut bytes = encode("t", "r", &table(1));
        for version in [1, VERSION + 1] {
            bytes[MAGIC.len()] = version;
            let expected = format!("has version {version}, this program writes 3");
            assert_eq!(decode(&bytes, "t", "r").unwrap_err(), expected);
        }
    }

    #[test]
    fn a_file_of_the_version_before_is_read_and_its_payloads_have_no_key_yet() {
        let mut bytes = [&MAGIC[..], &[VERSION_2, 1, b't', 1, b'r', 2 * ROW_2 as u8]].concat();
        for (digest, status) in [(1, 201_u16), (2, 409)] {
            bytes.extend([digest; 16]);
            bytes.extend(77_u32.to_le_bytes());
            bytes.extend(status.to_le_bytes());
        }
        let mut sum = Sum::default();
        sum.add(&bytes);
        bytes.extend(sum.end());
        let table = decode(&bytes, "t", "r").unwrap();
        let expected = [(Digest([1; 16]), Entry::of_status(77, 201)), (Digest([2; 16]), Entry::of_status(77, 409))];
        assert_eq!((table.rows(), table.definition()), (&expected[..], 0));
    }

    #[test]
    fn the_file_of_another_target_is_refused_by_name() {
        let bytes = encode("http://a/data", "ed-fi/students", &table(1));
        let what = decode(&bytes, "http://b/data", "ed-fi/students").unwrap_err();
        assert_eq!(what, "belongs to ed-fi/students of http://a/data");
    }
}
