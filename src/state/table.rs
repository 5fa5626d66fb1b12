//! What is known of a resource's payloads: digest → record, when last answered, and how it stands. Sorted rows instead of a map: 38 bytes a
//! payload, and a look-up that waits for memory once, where the rows lie, and not in each of several columns.
//!
//! # One record, several payloads
//!
//! The API keeps one record for each natural key, and it holds whatever payload of that key the API accepted last. So an acceptance changes
//! what is known of the other payloads of its key: see [`Table::with`].

use std::ops::Range;

use fxhash::{FxHashMap, FxHashSet};

use super::reasons::Reasons;
use crate::api::refusal::RefusalKind;
use crate::digest::Digest;
use crate::edfi::key::StrictKey;

/// What is known of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record that it describes; [`Entry::NO_KEY`] where that is not known.
    pub key: StrictKey,
    /// When it was answered, in seconds since 1970 (good until 2106).
    pub at: u32,
    /// The status that came back; 0 where none did.
    pub status: u16,
    /// What that means for later runs.
    pub standing: Standing,
}

/// How a payload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The API accepted it, and no other payload of its record since.
    Accepted,
    /// The API accepted it, and then another payload of its record.
    Superseded,
    /// It was refused, and the API accepted its mended copy from a folder of rejects. The key is that of the copy as long as the API accepted
    /// no other payload of that record since.
    Settled,
    /// It may have been sent, and no final answer came: the API may hold it or not.
    NoAnswer,
    /// The API refused it.
    Refused(RefusalKind),
    /// Nothing is to be known of it any more, because its record is gone. News may say so; no table keeps it.
    Gone,
    /// As [`Standing::Accepted`]; only its key is new. News may say so; no table keeps it.
    Learned,
}

impl Entry {
    /// The key of a payload whose record is not known, because its key was not read.
    pub const NO_KEY: StrictKey = StrictKey([0; 12]);
    /// The key of a payload that has none, although the definition of its resource's key is known.
    pub const WITHOUT: StrictKey = StrictKey([0xFF; 12]);

    /// Of which no more than time and status is known, as in versions 1 and 2 of the files.
    pub fn of_status(at: u32, status: u16) -> Entry {
        Entry { key: Entry::NO_KEY, at, status, standing: Standing::from_status(status) }
    }

    /// The record, where it is known.
    pub fn record(&self) -> Option<StrictKey> {
        Some(self.key).filter(|key| !matches!(*key, Entry::NO_KEY | Entry::WITHOUT))
    }

    /// Whether the API may hold it, although it did not say so: no answer came, or one that the server or somebody else made of a failure.
    pub fn is_doubtful(&self) -> bool {
        use RefusalKind::{Moment, Site};
        matches!(self.standing, Standing::NoAnswer | Standing::Refused(Moment | Site))
    }

    /// Whether the API accepted it, or its mended copy, at some time.
    pub fn arrived(&self) -> bool {
        self.holds() || self.standing == Standing::Superseded
    }

    /// Whether the API's record holds it.
    pub fn holds(&self) -> bool {
        matches!(self.standing, Standing::Accepted | Standing::Settled)
    }
}

impl Standing {
    const ALL: [Standing; 12] = [
        Standing::NoAnswer,
        Standing::Accepted,
        Standing::Superseded,
        Standing::Settled,
        Standing::Refused(RefusalKind::Payload),
        Standing::Refused(RefusalKind::Order),
        Standing::Refused(RefusalKind::Caller),
        Standing::Refused(RefusalKind::Moment),
        Standing::Refused(RefusalKind::Site),
        Standing::Refused(RefusalKind::Resource),
        Standing::Gone,
        Standing::Learned,
    ];

    /// The number that files hold.
    pub fn code(self) -> u8 {
        Standing::ALL.iter().position(|standing| *standing == self).unwrap_or_default() as u8
    }

    /// From the number that files hold; one that no version has written says nothing, and so the payload is due.
    pub fn from_code(code: u8) -> Standing {
        Standing::ALL.get(usize::from(code)).copied().unwrap_or(Standing::NoAnswer)
    }

    /// From a status alone, which is all that versions 1 and 2 of the files hold.
    pub fn from_status(status: u16) -> Standing {
        match status {
            0 => Standing::NoAnswer,
            200..300 => Standing::Accepted,
            u16::MAX => Standing::Gone,
            403 => Standing::Refused(RefusalKind::Caller),
            409 => Standing::Refused(RefusalKind::Order),
            500.. => Standing::Refused(RefusalKind::Moment),
            _ => Standing::Refused(RefusalKind::Payload),
        }
    }
}

/// The entries of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// In ascending order of digests.
    rows: Vec<(Digest, Entry)>,
    /// The first row of each bucket, which the digest's first bits choose; one more than there are buckets.
    buckets: Vec<u32>,
    /// The definition of the natural key by which the keys were read; 0 if none was.
    definition: u64,
    /// Whether the API holds any of the payloads.
    holds_some: bool,
    /// The records of which it is not known what the API holds.
    doubtful: FxHashSet<StrictKey>,
    /// What the API said to refused payloads.
    reasons: Reasons,
}

/// Which news of a record decides.
#[derive(Clone, Copy)]
struct Last {
    number: usize,
    digest: Digest,
    what: Standing,
    at: u32,
}

impl Table {
    /// So many rows share a bucket, or one. With eight a look-up takes 140 ns, with two 100, with one no less.
    const ROWS_A_BUCKET: usize = 2;

    /// From rows whose digests ascend, whose keys were read by that definition; `None` if they do not.
    pub fn from_rows(rows: Vec<(Digest, Entry)>, definition: u64, reasons: Reasons) -> Option<Table> {
        if !rows.is_sorted_by(|a, b| a.0 < b.0) || u32::try_from(rows.len()).is_err() {
            return None;
        }
        let mut table = Table { rows, definition, reasons, ..Table::default() };
        table.index();
        Some(table)
    }

    /// The rows, with digests ascending.
    pub fn rows(&self) -> &[(Digest, Entry)] {
        &self.rows
    }

    /// How many payloads are known.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The definition of the natural key by which the keys were read; 0 if none was.
    pub fn definition(&self) -> u64 {
        self.definition
    }

    /// Whether the API holds any of the payloads.
    pub fn holds_some(&self) -> bool {
        self.holds_some
    }

    /// What the API said to refused payloads.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// Adds what the API said.
    pub fn reasons_mut(&mut self) -> &mut Reasons {
        &mut self.reasons
    }

    /// Whether it is not known which payload of this record the API holds: one was sent and got no final answer.
    pub fn is_doubtful(&self, key: &StrictKey) -> bool {
        !self.doubtful.is_empty() && self.doubtful.contains(key)
    }

    /// This table for keys of this definition. Keys that another one gave are forgotten, and learned again when their payloads are next seen.
    pub fn under(mut self, definition: u64) -> Table {
        if self.definition != definition {
            self.definition = definition;
            self.rows.iter_mut().for_each(|(_, entry)| entry.key = Entry::NO_KEY);
            self.doubtful.clear();
        }
        self
    }

    /// What is known of a payload.
    pub fn get(&self, digest: &Digest) -> Option<Entry> {
        find(&self.rows[self.bucket(digest)], digest)
    }

    /// What is known of each of many payloads.
    pub fn get_all(&self, digests: &[Digest]) -> Vec<Option<Entry>> {
        let buckets: Vec<_> = digests.iter().map(|digest| self.bucket(digest)).collect();
        // Touches what will be looked at, so that the processor fetches for a dozen payloads at a time and not for one after the other, which
        // would take half as long again where a history is larger than its caches.
        let ends = buckets.iter().flat_map(|rows| [rows.start, rows.end.saturating_sub(1)]);
        std::hint::black_box(ends.filter_map(|row| self.rows.get(row)).fold(0, |sum, row| sum ^ row.0.0[0]));
        buckets.into_iter().zip(digests).map(|(rows, digest)| find(&self.rows[rows], digest)).collect()
    }

    /// The rows among which a digest's is, if there is any.
    fn bucket(&self, digest: &Digest) -> Range<usize> {
        let bucket = (digest.prefix() >> self.shift()) as usize;
        match self.buckets.get(bucket..) {
            Some([start, end, ..]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// This table with news added, which came in that order. Of several entries for one payload the last one counts, and [`Standing::Gone`]
    /// leaves none.
    ///
    /// Where the API accepted a payload, the other payloads of its record are superseded, and what was in doubt before is in doubt no more.
    /// Where a record is gone, so is what was known of its payloads. What was refused stays refused. A refusal ends the doubt that the same
    /// request raised, but not one of an earlier request.
    ///
    /// Rows are moved in place, because a second table would double what a history of millions takes.
    pub fn with(mut self, mut news: Vec<(Digest, Entry)>) -> Table {
        self.settle_records(&mut news);
        // Stable, so that of one payload the last one is the first from behind.
        news.sort_by_key(|(digest, _)| *digest);
        news.reverse();
        news.dedup_by_key(|(digest, _)| *digest);
        news.retain(|(digest, entry)| {
            let rows = self.bucket(digest);
            let known = self.rows[rows].iter_mut().find(|(known, _)| known == digest);
            let is_new = known.is_none();
            known.into_iter().for_each(|(_, known)| *known = *entry);
            is_new
        });
        let mut old = self.len();
        let mut free = old + news.len();
        self.rows.reserve_exact(news.len());
        self.rows.extend_from_slice(&news);
        // From the greatest down, so that no row is written over before it is moved.
        for new in news {
            while old > 0 && self.rows[old - 1].0 > new.0 {
                (old, free) = (old - 1, free - 1);
                self.rows[free] = self.rows[old];
            }
            free -= 1;
            self.rows[free] = new;
        }
        self.rows.retain(|(_, entry)| entry.standing != Standing::Gone);
        self.index();
        self.forget_reasons();
        self
    }

    /// Lets news change what is known of the other payloads of their records, in the rows and among the news themselves.
    fn settle_records(&mut self, news: &mut [(Digest, Entry)]) {
        let mut last: FxHashMap<StrictKey, Last> = FxHashMap::default();
        for (number, (digest, entry)) in news.iter().enumerate() {
            let Some(key) = entry.record() else { continue };
            let this = Last { number, digest: *digest, what: entry.standing, at: entry.at };
            match entry.standing {
                Standing::Accepted | Standing::Gone => drop(last.insert(key, this)),
                // What was learned tells of an earlier run: the later of two payloads counts, and nothing of this run is undone.
                Standing::Learned => {
                    let known = last.entry(key).or_insert(this);
                    if known.what == Standing::Learned && known.at <= entry.at {
                        *known = this;
                    }
                }
                _ => {}
            }
        }
        let unsure = self.unsure(news);
        if !last.is_empty() || !unsure.is_empty() {
            for (digest, entry) in &mut self.rows {
                if entry.standing == Standing::Accepted && unsure.get(&entry.key).is_some_and(|other| other != digest) {
                    entry.standing = Standing::Superseded;
                }
                let Some(decides) = last.get_mut(&entry.key).filter(|last| last.digest != *digest) else { continue };
                match (decides.what, entry.standing) {
                    // The learned one is the older one.
                    (Standing::Learned, Standing::Accepted) if entry.at > decides.at => {
                        decides.digest = *digest;
                        decides.at = entry.at;
                    }
                    _ => entry.standing = after(decides.what, entry),
                }
            }
        }
        for (number, (digest, entry)) in news.iter_mut().enumerate() {
            let decides = last.get(&entry.key).filter(|last| last.digest != *digest);
            if let Some(decides) = decides.filter(|last| number < last.number || entry.standing == Standing::Learned) {
                entry.standing = after(decides.what, entry);
            }
            if entry.standing == Standing::Learned {
                entry.standing = Standing::Accepted;
            }
        }
    }

    /// The records that the API may hold in the form of a payload which it refuses now: when that was sent before, no answer came.
    fn unsure(&self, news: &[(Digest, Entry)]) -> FxHashMap<StrictKey, Digest> {
        let refused = news.iter().filter(|(_, entry)| matches!(entry.standing, Standing::Refused(_)));
        let before = refused.filter(|(digest, _)| self.get(digest).is_some_and(|entry| entry.is_doubtful()));
        before.filter_map(|(digest, entry)| Some((entry.record()?, *digest))).collect()
    }

    /// By how many bits a digest's prefix is shifted to give its bucket; there are at least two buckets, so it is below 64.
    fn shift(&self) -> u32 {
        let buckets = (self.rows.len() / Table::ROWS_A_BUCKET).next_power_of_two().max(2);
        64 - buckets.trailing_zeros()
    }

    fn index(&mut self) {
        let shift = self.shift();
        let buckets = 1_usize << (64 - shift);
        self.buckets.clear();
        self.buckets.reserve_exact(buckets + 1);
        self.doubtful.clear();
        self.holds_some = false;
        for (row, (digest, entry)) in self.rows.iter().enumerate() {
            let bucket = (digest.prefix() >> shift) as usize;
            while self.buckets.len() <= bucket {
                self.buckets.push(row as u32);
            }
            self.holds_some |= entry.holds();
            if entry.is_doubtful() {
                self.doubtful.extend(entry.record());
            }
        }
        self.buckets.resize(buckets + 1, self.rows.len() as u32);
    }

    fn forget_reasons(&mut self) {
        let mut reasons = std::mem::take(&mut self.reasons);
        reasons.retain(|digest| matches!(self.get(digest), Some(Entry { standing: Standing::Refused(_), .. })));
        self.reasons = reasons;
    }
}

/// What becomes of another payload of a record, when this was said of the record's last one.
fn after(what: Standing, other: &mut Entry) -> Standing {
    match (what, other.standing) {
        (Standing::Accepted, _) if other.is_doubtful() => Standing::Gone,
        (_, Standing::Refused(_)) => other.standing,
        (Standing::Gone, _) => Standing::Gone,
        (_, Standing::Accepted | Standing::Learned) => Standing::Superseded,
        (Standing::Accepted, Standing::Settled) => {
            other.key = Entry::NO_KEY;
            Standing::Settled
        }
        (_, other) => other,
    }
}

/// So few rows are sooner looked at one after the other than by halves, each of which the processor would have to guess.
fn find(rows: &[(Digest, Entry)], digest: &Digest) -> Option<Entry> {
    rows.iter().find(|(known, _)| known == digest).map(|(_, entry)| *entry)
}

#[cfg(test)]
mod tests;
