//! Outcomes as they become known, appended to one file for each target, so that a kill loses none that was written.
//!
//! ```text
//! LBJOURN\n | version: 1 byte | frame | frame | …
//! frame = length of body: 4 bytes little-endian | first 8 bytes of BLAKE3 of body | body: postcard
//! body  = resource, definition of its key, [(digest, key, at, status, standing), …], [(digest, text, correlation id), …]
//! ```
//!
//! Version 2, which is read as well, had `resource, [(digest, at, status), …]`.
//!
//! What follows the last whole frame is the torn end of a write that was cut off by a kill, a full disk or a power cut; it is dropped, and
//! what it would have told is sent again. A file that begins differently is somebody else's and is left alone.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::reasons::{Said, Text};
use super::table::{Entry, Standing};
use crate::digest::{Digest, checksum};
use crate::disk::{self, Appending, Disk, Readers};
use crate::edfi::key::StrictKey;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

const HEAD: &[u8; 9] = b"LBJOURN\n\x03";
/// The head of the version before, whose frames a run that was cut off may have left.
const HEAD_2: &[u8; 9] = b"LBJOURN\n\x02";
/// Length and checksum before each body.
const FRAME_HEAD: usize = 12;

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    resource: &'a str,
    definition: u64,
    entries: Vec<(Digest, [u8; 12], u32, u16, u8)>,
    said: Vec<(Digest, Text, Option<Box<str>>)>,
}

#[derive(Serialize, Deserialize)]
struct Body2<'a> {
    #[serde(borrow)]
    resource: &'a str,
    entries: Vec<(Digest, u32, u16)>,
}

/// What became known of payloads of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    /// The definition of the natural key by which the keys were read; 0 if they are not known.
    pub definition: u64,
    /// How payloads stand, in the order in which that became known.
    pub entries: Vec<(Digest, Entry)>,
    /// What the API said to those that it refused.
    pub said: Vec<(Digest, Said)>,
}

impl News {
    fn body<'a>(&self, resource: &'a str) -> Body<'a> {
        let entry = |(digest, e): &(Digest, Entry)| (*digest, e.key.0, e.at, e.status, e.standing.code());
        let said = |(digest, said): &(Digest, Said)| (*digest, Text::clone(&said.text), said.correlation_id.clone());
        let (entries, said) = (self.entries.iter().map(entry).collect(), self.said.iter().map(said).collect());
        Body { resource, definition: self.definition, entries, said }
    }
}

impl<'a> Body<'a> {
    fn news(self) -> (&'a str, News) {
        let entry = |(digest, key, at, status, standing)| {
            (digest, Entry { key: StrictKey(key), at, status, standing: Standing::from_code(standing) })
        };
        let said = |(digest, text, correlation_id)| (digest, Said { text: Arc::new(text), correlation_id });
        let entries = self.entries.into_iter().map(entry).collect();
        let said = self.said.into_iter().map(said).collect();
        (self.resource, News { definition: self.definition, entries, said })
    }
}

impl<'a> Body2<'a> {
    fn news(self) -> (&'a str, News) {
        let entry = |(digest, at, status)| (digest, Entry::of_status(at, status));
        (self.resource, News { entries: self.entries.into_iter().map(entry).collect(), ..News::default() })
    }
}

/// How far a journal can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The length of head and whole frames.
    whole: u64,
    /// Bytes behind them.
    pub torn: u64,
    /// Whether the version before wrote them.
    old: bool,
}

/// An open journal, written to by one thread.
pub struct Journal {
    file: Box<dyn Appending>,
    path: PathBuf,
    unwritten: Vec<u8>,
    /// The length of head and whole frames in the file.
    whole: u64,
    /// Whether a write failed, so that part of a frame may follow them.
    torn: bool,
    /// Whether something was written since the last sync.
    unsynced: bool,
    /// Whether a sync failed. What was written before it may be lost, and then nothing behind it is found again either.
    doubtful: bool,
    /// Whether the version before wrote the head.
    old: bool,
}

impl Journal {
    /// Opens or makes the file. The caller holds the target's lock, brings what it held into snapshots, and then [clears](Journal::clear) it.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<(Journal, Extent)> {
        let extent = read(disk, path, &mut |_, _| ())?;
        let open = || {
            if extent.whole == 0 {
                disk::replace_on(disk, path, Readers::Owner, |file| file.write(HEAD))?;
            }
            disk.open(path, Readers::Owner)
        };
        let file = open().or_stop(Exit::Usage, || failed(path))?;
        let whole = extent.whole.max(HEAD.len() as u64);
        let torn = extent.torn > 0;
        let (unwritten, unsynced, doubtful) = Default::default();
        Ok((Journal { file, path: path.into(), unwritten, whole, torn, unsynced, doubtful, old: extent.old }, extent))
    }

    /// Adds a batch; [`Journal::flush`] hands it to the system.
    pub fn append(&mut self, resource: &str, news: &News) {
        let body = news.body(resource);
        let start = self.unwritten.len();
        self.unwritten.extend([0; FRAME_HEAD]);
        // Serialising into a growing vector has no way to fail.
        self.unwritten = postcard::to_extend(&body, std::mem::take(&mut self.unwritten)).unwrap_or_default();
        let body = &self.unwritten[start + FRAME_HEAD..];
        let head = frame_head(body);
        self.unwritten[start..start + FRAME_HEAD].copy_from_slice(&head);
    }

    /// Writes what was appended: from here on a kill does not lose it. After an error it can be called again.
    pub fn flush(&mut self) -> Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        self.write().or_stop(Exit::GivenUp, || failed(&self.path))
    }

    fn write(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.whole)?;
        }
        (self.torn, self.unsynced) = (true, true);
        self.file.write(&self.unwritten)?;
        self.torn = false;
        self.whole += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }

    /// Gives what it holds to `each`, read again from the disk. An error also if that is not all that was flushed.
    pub fn read(&self, disk: &dyn Disk, each: &mut dyn FnMut(&str, News)) -> Result<()> {
        let changed = || format!("the journal {} was changed by somebody else during the run", self.path.display());
        let extent = read(disk, &self.path, each)?;
        if extent.whole == self.whole { Ok(()) } else { Err(Error::new(Exit::GivenUp, changed())) }
    }

    fn is_empty(&self) -> bool {
        self.whole == HEAD.len() as u64 && !self.torn && !self.old
    }

    /// Makes safe what was flushed: from here on a power cut does not lose it. Once this failed, it fails for good.
    pub fn sync(&mut self) -> Result<()> {
        let synced = match (self.doubtful, self.unsynced) {
            (true, _) => Err(io::Error::other("a sync of it failed before")),
            (false, true) => self.file.sync(),
            (false, false) => Ok(()),
        };
        self.doubtful = synced.is_err();
        self.unsynced = self.doubtful;
        synced.or_stop(Exit::GivenUp, || failed(&self.path))
    }

    /// Empties the file, once snapshots hold what it held.
    pub fn clear(&mut self) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let end = HEAD.len() as u64;
        self.unwritten.clear();
        // A journal without a head is an empty one, should the power be cut in between.
        let emptied = match self.old {
            true => self.file.set_len(0).and_then(|()| self.file.write(HEAD)),
            false => self.file.set_len(end),
        };
        emptied.or_stop(Exit::GivenUp, || failed(&self.path))?;
        (self.whole, self.torn, self.unsynced, self.old) = (end, false, true, false);
        self.sync()
    }
}

/// Reads a journal without changing it, and gives each frame's resource, as [`crate::resource::Resource`] prints it, and news to `each`. A
/// journal that does not exist is empty.
pub fn read(disk: &dyn Disk, path: &Path, each: &mut dyn FnMut(&str, News)) -> Result<Extent> {
    let extent = match disk.read(path).and_then(|(length, file)| parse(file, length, each)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Extent::default()),
        other => other.or_stop(Exit::Usage, || format!("cannot read the journal {}", path.display()))?,
    };
    extent.ok_or_else(|| {
        Error::usage(format!(
            "{} is not a journal of this version of lightbeam; it was left as it is. Put it elsewhere to go on: \
             what it tells of is then sent again",
            path.display()
        ))
    })
}

fn failed(path: &Path) -> String {
    format!("cannot write the journal {}", path.display())
}

fn frame_head(body: &[u8]) -> [u8; FRAME_HEAD] {
    let mut head = [0; FRAME_HEAD];
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&checksum(body));
    head
}

/// Gives the whole frames of a file of that length to `each`; `None` if it is no journal of this version. It is read frame by frame, for that
/// of a long run takes more room than the rest of the program.
pub fn parse(file: impl Read, length: u64, each: &mut dyn FnMut(&str, News)) -> io::Result<Option<Extent>> {
    let mut file = BufReader::with_capacity(64 * 1024, file.take(length));
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD.len() as u64).read_to_end(&mut bytes)?;
    let old = bytes == HEAD_2;
    if bytes != HEAD && !old {
        let begun = HEAD.starts_with(&bytes);
        return Ok(begun.then_some(Extent { whole: 0, torn: length, old: false }));
    }
    let mut extent = Extent { whole: HEAD.len() as u64, torn: length - HEAD.len() as u64, old };
    while let Some((resource, news)) = frame(&mut file, extent.torn, old, &mut bytes)? {
        each(resource, news);
        extent.whole += bytes.len() as u64;
        extent.torn -= bytes.len() as u64;
    }
    Ok(Some(extent))
}

/// The next frame, if it is whole, of which so many bytes at most are left; `bytes` is then all of it.
fn frame<'b>(
    file: &mut impl Read,
    left: u64,
    old: bool,
    bytes: &'b mut Vec<u8>,
) -> io::Result<Option<(&'b str, News)>> {
    bytes.clear();
    file.take(FRAME_HEAD as u64).read_to_end(bytes)?;
    let Some(length) = bytes.first_chunk().filter(|_| bytes.len() == FRAME_HEAD) else { return Ok(None) };
    let length = u64::from(u32::from_le_bytes(*length));
    if FRAME_HEAD as u64 + length > left || file.take(length).read_to_end(bytes)? as u64 != length {
        return Ok(None);
    }
    let (head, body) = bytes.split_at(FRAME_HEAD);
    if head != frame_head(body) {
        return Ok(None);
    }
    Ok(match old {
        true => postcard::from_bytes(body).ok().map(Body2::news),
        false => postcard::from_bytes(body).ok().map(Body::news),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::refusal::RefusalKind;
    use crate::disk::System;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lightbeam-journal-{}-{name}", std::process::id()))
    }

    /// News of that many payloads, the first of which was refused.
    fn entries(n: u8) -> News {
        let standing = |i| if i == 0 { Standing::Refused(RefusalKind::Order) } else { Standing::Superseded };
        let entry = |i| Entry { key: StrictKey([i; 12]), at: 1_700_000_000, status: 201, standing: standing(i) };
        let text =
            Text { problem_type: Some("urn:test".into()), messages: vec!["no".into(), "never".into()], caller: None };
        let said = Said { text: Arc::new(text), correlation_id: Some("run/students:1".into()) };
        let entries = (0..n).map(|i| (Digest([i; 16]), entry(i))).collect();
        News { definition: 5, entries, said: vec![(Digest([0; 16]), said)] }
    }

    /// What is read of a journal.
    fn all(path: &Path) -> Vec<(String, News)> {
        let mut all = Vec::new();
        read(&System, path, &mut |resource, news| all.push((resource.into(), news))).unwrap();
        all
    }

    fn resources(path: &Path) -> Vec<String> {
        all(path).into_iter().map(|(resource, _)| resource).collect()
    }

    #[test]
    fn what_was_flushed_is_there_after_reopening_and_gone_after_clearing() {
        let path = path("reopen");
        let (mut journal, _) = Journal::open(&System, &path).unwrap();
        assert_eq!(all(&path), []);
        journal.append("ed-fi/students", &entries(2));
        journal.append("ed-fi/schools", &entries(1));
        journal.flush().unwrap();
        journal.append("ed-fi/never", &entries(1));
        drop(journal);
        let (mut journal, _) = Journal::open(&System, &path).unwrap();
        assert_eq!(all(&path), [("ed-fi/students".into(), entries(2)), ("ed-fi/schools".into(), entries(1))]);
        journal.clear().unwrap();
        assert_eq!(all(&path), []);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_cut_anywhere_keeps_every_whole_frame_and_can_be_appended_to() {
        let path = path("torn");
        let (mut journal, _) = Journal::open(&System, &path).unwrap();
        journal.append("a", &entries(1));
        journal.flush().unwrap();
        let first = std::fs::metadata(&path).unwrap().len() as usize;
        journal.append("b", &entries(2));
        journal.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let (mut journal, _) = Journal::open(&System, &path).unwrap();
            assert_eq!(resources(&path), if end < first { &[][..] } else { &["a"] }, "cut at {end}");
            journal.append("c", &entries(1));
            journal.flush().unwrap();
            assert_eq!(resources(&path).pop().as_deref(), Some("c"), "cut at {end}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_changed_byte_ends_what_is_believed() {
        let path = path("changed");
        let (mut journal, _) = Journal::open(&System, &path).unwrap();
        journal.append("a", &entries(1));
        journal.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for at in HEAD.len()..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert_eq!(all(&path), [], "changed at {at}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_journal_of_the_version_before_is_read_and_the_next_one_is_of_this_version() {
        let path = path("before");
        let body =
            Body2 { resource: "ed-fi/students", entries: vec![(Digest([1; 16]), 7, 201), (Digest([2; 16]), 8, 0)] };
        let body = postcard::to_extend(&body, Vec::new()).unwrap();
        std::fs::write(&path, [&HEAD_2[..], &frame_head(&body), &body, b"torn"].concat()).unwrap();
        let (mut journal, extent) = Journal::open(&System, &path).unwrap();
        assert_eq!(extent.torn, 4);
        let entries = vec![(Digest([1; 16]), Entry::of_status(7, 201)), (Digest([2; 16]), Entry::of_status(8, 0))];
        assert_eq!(all(&path), [("ed-fi/students".into(), News { entries: entries.clone(), ..News::default() })]);
        journal.clear().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), HEAD);
        journal.append("ed-fi/students", &self::entries(2));
        journal.flush().unwrap();
        assert_eq!(all(&path), [("ed-fi/students".into(), self::entries(2))]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_foreign_file_is_named_and_left_alone() {
        let path = path("foreign");
        std::fs::write(&path, "something of somebody else").unwrap();
        let message = Journal::open(&System, &path).err().unwrap().to_string();
        assert!(message.contains(&path.display().to_string()) && message.contains("Put it elsewhere"), "{message}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "something of somebody else");
        std::fs::remove_file(path).unwrap();
    }
}
