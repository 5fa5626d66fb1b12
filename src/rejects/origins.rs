//! What mended rejects were before: for each line of a file of rejects, the payload that was refused.
//!
//! The file of reasons beside it names the digest of each payload as it was written. Who mends payloads changes lines, and may remove or add some.
//! So lines that are unchanged are found first, and what stands between two of them belongs together line by line, if it is as
//! many lines on both sides.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fxhash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use super::REASONS;
use crate::digest::Digest;
use crate::outcome::Place;

/// The payloads that the lines of some files were before.
#[derive(Debug, Default)]
pub struct Origins(BTreeMap<Arc<Path>, FxHashMap<u64, Digest>>);

/// A line of a file of reasons. Versions before wrote no digest.
#[derive(Deserialize)]
struct Reason {
    digest: Option<String>,
}

impl Origins {
    /// Of those of `files` that have a file of reasons beside them. One that cannot be read tells nothing.
    pub fn read<'f>(files: impl IntoIterator<Item = &'f Arc<Path>>) -> Origins {
        let of_file = |file: &Arc<Path>| {
            let before = reasons(&reasons_of(file)?).ok()??;
            let now = payloads(file).ok()?;
            let digests: Vec<Digest> = now.iter().map(|(_, digest)| *digest).collect();
            let pairs = pairs(&before, &digests).into_iter();
            Some((file.clone(), pairs.map(|(before_at, now_at)| (now[now_at].0, before[before_at])).collect()))
        };
        Origins(files.into_iter().filter_map(of_file).collect())
    }

    /// The payload that this line was before, if that is known.
    pub fn of(&self, place: &Place) -> Option<Digest> {
        self.0.get(&place.file)?.get(&place.line).copied()
    }
}

/// The payloads of a file of rejects, if somebody changed it since it was written. `None` also if the file of reasons does not tell.
pub fn edited(file: &Path) -> Option<Vec<Digest>> {
    let before = reasons(&reasons_of(file)?).ok()??;
    let now: Vec<Digest> = payloads(file).ok()?.into_iter().map(|(_, digest)| digest).collect();
    (now != before).then_some(now)
}

/// The file of reasons that belongs to a file of payloads.
fn reasons_of(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    Some(file.with_file_name(format!("{name}{REASONS}")))
}

/// The digests that a file of reasons names; `None` if one is missing.
fn reasons(path: &Path) -> io::Result<Option<Vec<Digest>>> {
    let mut digests = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let digest = serde_json::from_str(&line).ok().and_then(|reason: Reason| Digest::from_hex(&reason.digest?));
        let Some(digest) = digest else { return Ok(None) };
        digests.push(digest);
    }
    Ok(Some(digests))
}

/// The numbers and digests of the lines of a file that are not blank.
fn payloads(path: &Path) -> io::Result<Vec<(u64, Digest)>> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut all, mut line) = (Vec::new(), Vec::new());
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let payload = line.trim_ascii();
        if !payload.is_empty() {
            all.push((number, Digest::of(payload)));
        }
    }
    Ok(all)
}

/// Which lines belong together, by their positions in both.
fn pairs(before: &[Digest], now: &[Digest]) -> Vec<(usize, usize)> {
    let mut positions: FxHashMap<Digest, Vec<usize>> = FxHashMap::default();
    before.iter().enumerate().for_each(|(at, digest)| positions.entry(*digest).or_default().push(at));
    let mut pairs = Vec::new();
    let (mut before_next, mut now_next) = (0, 0);
    let ends = [(before.len(), now.len())];
    let unchanged = now.iter().enumerate().filter_map(|(now_at, digest)| Some((positions.get(digest)?, now_at)));
    let mut between = |before_at: usize, now_at: usize, (before_next, now_next): (usize, usize)| {
        if before_at - before_next == now_at - now_next {
            pairs.extend((before_next..before_at).zip(now_next..now_at));
        }
    };
    for (known, now_at) in unchanged {
        let Some(&before_at) = known.iter().find(|at| **at >= before_next) else { continue };
        between(before_at, now_at, (before_next, now_next));
        (before_next, now_next) = (before_at + 1, now_at + 1);
    }
    for (before_end, now_end) in ends {
        between(before_end, now_end, (before_next, now_next));
    }
    // Whoever puts lines in another order and mends just one leaves no doubt either.
    let only_one = |all: &[Digest], of: &[Digest], paired: FxHashSet<usize>| {
        let of: FxHashSet<&Digest> = of.iter().collect();
        let mut others = (0..all.len()).filter(|at| !of.contains(&all[*at]) && !paired.contains(at));
        others.next().filter(|_| others.next().is_none())
    };
    let before_at = only_one(before, now, pairs.iter().map(|(before_at, _)| *before_at).collect());
    let now_at = only_one(now, before, pairs.iter().map(|(_, now_at)| *now_at).collect());
    pairs.extend(before_at.zip(now_at));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(before: &str, now: &str) -> Vec<(char, char)> {
        let digests = |text: &str| text.bytes().map(|byte| Digest([byte; 16])).collect::<Vec<_>>();
        let char = |text: &str, at: usize| char::from(text.as_bytes()[at]);
        let pairs = pairs(&digests(before), &digests(now)).into_iter();
        pairs.map(|(before_at, now_at)| (char(before, before_at), char(now, now_at))).collect()
    }

    #[test]
    fn changed_lines_belong_to_those_at_their_place() {
        assert_eq!(paired("abc", "ABC"), [('a', 'A'), ('b', 'B'), ('c', 'C')]);
        assert_eq!(paired("abcd", "aBcD"), [('b', 'B'), ('d', 'D')]);
    }

    #[test]
    fn removed_and_added_lines_move_the_others_only_where_that_is_certain() {
        assert_eq!(paired("abcde", "aBde"), [], "b or c");
        assert_eq!(paired("abcde", "acDE"), [('d', 'D'), ('e', 'E')], "b was removed");
        assert_eq!(paired("abc", "axyBc"), []);
        assert_eq!(paired("abc", ""), []);
        assert_eq!(paired("abc", "cAb"), [('a', 'A')]);
        assert_eq!(paired("abc", "cAB"), [], "a or b");
    }
}
