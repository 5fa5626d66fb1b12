//! A resource's [`Table`] as a file: written whole, put in place atomically, believed only if its checksum holds.
//!
//! ```text
//! LBSTATE\n | version: 1 byte | body: postcard | checksum: first 8 bytes of BLAKE3 of all before
//! body = target's URL, resource, and the table's columns as bytes, numbers little-endian
//! ```
//!
//! The version changes whenever the body does; an unknown one is an error, never a guess. Target and resource are in the file so that
//! one that was copied or renamed to another place is noticed.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

use super::table::Table;
use crate::digest::{CHECKSUM, Digest, checksum};
use crate::disk::{self, Appending, Disk, Readers};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

const MAGIC: &[u8; 8] = b"LBSTATE\n";
const VERSION: u8 = 1;

#[derive(Deserialize)]
struct Body<'a> {
    target: &'a str,
    resource: &'a str,
    digests: &'a [u8],
    ats: &'a [u8],
    statuses: &'a [u8],
}

/// Writes the table of a resource of a target in place of what was there.
pub fn write(disk: &dyn Disk, path: &Path, target: &str, resource: &str, table: &Table) -> io::Result<()> {
    disk::replace_on(disk, path, Readers::Owner, |file| encode(target, resource, table, file))
}

/// Reads the table of a resource of a target; an empty one if there is no file yet.
pub fn read(disk: &dyn Disk, path: &Path, target: &str, resource: &str) -> Result<Table> {
    let bytes = match disk.read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Table::default()),
        other => other.or_stop(Exit::Usage, || format!("cannot read the state file {}", path.display()))?,
    };
    decode(bytes, target, resource).map_err(|what| {
        let path = path.display();
        Error::usage(format!(
            "the state file {path} {what}; it was left as it is. Put it elsewhere to send all of {resource} again, \
             or restore it from a backup"
        ))
    })
}

/// So many rows are written at a time, so that a history of millions is not in memory twice.
const ROWS: usize = 4_096;

fn encode(target: &str, resource: &str, table: &Table, file: &mut dyn Appending) -> io::Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: Vec<u8>| {
        hasher.update(&bytes);
        file.write(&bytes)
    };
    // Serialising numbers and text into a growing vector has no way to fail.
    let length = |bytes: usize| postcard::to_extend(&bytes, Vec::new()).unwrap_or_default();
    let mut head = MAGIC.to_vec();
    head.push(VERSION);
    put(postcard::to_extend(&(target, resource), head).unwrap_or_default())?;
    let (digests, ats, statuses) = table.columns();
    put(length(digests.len() * 16))?;
    digests.chunks(ROWS).try_for_each(|rows| put(rows.iter().flat_map(|digest| digest.0).collect()))?;
    put(length(ats.len() * 4))?;
    ats.chunks(ROWS).try_for_each(|rows| put(rows.iter().flat_map(|at| at.to_le_bytes()).collect()))?;
    put(length(statuses.len() * 2))?;
    statuses.chunks(ROWS).try_for_each(|rows| put(rows.iter().flat_map(|status| status.to_le_bytes()).collect()))?;
    file.write(&hasher.finalize().as_bytes()[..CHECKSUM])
}

/// The table in a file's bytes, or what is wrong with them, to be put behind the file's name. The bytes of each column go as soon as it is
/// read, for a history of millions would else be in memory twice.
pub fn decode(mut bytes: Vec<u8>, target: &str, resource: &str) -> Result<Table, String> {
    let [digests, ats, statuses] = columns(&bytes, target, resource)?;
    let read = bytes[statuses].as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
    let statuses = read;
    let read = bytes[ats.clone()].as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    bytes.truncate(ats.start);
    bytes.shrink_to_fit();
    let ats = read;
    let digests = bytes[digests].as_chunks::<16>().0.iter().map(|d| Digest(*d)).collect();
    Table::from_columns(digests, ats, statuses).ok_or_else(|| "is damaged (its columns do not fit)".into())
}

/// Where the columns are: digests, times, statuses, in this order.
fn columns(bytes: &[u8], target: &str, resource: &str) -> Result<[Range<usize>; 3], String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("is not lightbeam's")?;
    let (&version, rest) = rest.split_first().ok_or("is cut short")?;
    if version != VERSION {
        return Err(format!("has version {version}, this program writes {VERSION}"));
    }
    let body = rest.len().checked_sub(CHECKSUM).map(|end| &rest[..end]).ok_or("is cut short")?;
    if bytes[bytes.len() - CHECKSUM..] != checksum(&bytes[..bytes.len() - CHECKSUM]) {
        return Err("is damaged (its checksum is wrong)".into());
    }
    let body: Body = postcard::from_bytes(body).map_err(|e| format!("is damaged ({e})"))?;
    if (body.target, body.resource) != (target, resource) {
        return Err(format!("belongs to {} of {}", body.resource, body.target));
    }
    let place = |column: &[u8]| {
        let start = column.as_ptr().addr() - bytes.as_ptr().addr();
        start..start + column.len()
    };
    Ok([place(body.digests), place(body.ats), place(body.statuses)])
}

#[cfg(test)]
mod tests {
    use super::super::table::Entry;
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

    fn table(n: u32) -> Table {
        let rows = (0..n).map(|i| (Digest::of(&i.to_le_bytes()), Entry { at: i, status: 201 }));
        Table::default().with(rows.collect())
    }

    #[test]
    fn what_is_written_is_read() {
        for n in [0, 1, 1_000] {
            let bytes = encode("http://localhost/data", "ed-fi/students", &table(n));
            assert_eq!(decode(bytes.clone(), "http://localhost/data", "ed-fi/students"), Ok(table(n)));
        }
    }

    #[test]
    fn ten_thousand_payloads_take_22_bytes_each() {
        let bytes = encode("http://localhost/data", "ed-fi/students", &table(10_000));
        assert!((220_000..220_200).contains(&bytes.len()), "{}", bytes.len());
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = encode("t", "r", &table(3));
        for end in 0..bytes.len() {
            assert!(decode(bytes[..end].to_vec(), "t", "r").is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(changed, "t", "r").is_err(), "changed at {at}");
        }
    }

    #[test]
    fn the_file_of_another_target_is_refused_by_name() {
        let bytes = encode("http://a/data", "ed-fi/students", &table(1));
        let what = decode(bytes.clone(), "http://b/data", "ed-fi/students").unwrap_err();
        assert_eq!(what, "belongs to ed-fi/students of http://a/data");
    }
}
