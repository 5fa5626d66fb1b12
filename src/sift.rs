//! What of a block is due: the first look at each line, and for most lines of a rerun the only one.
//!
//! A line is blank, no payload, known and not due, the same as an earlier one of this run, or a payload to send. One that has the natural
//! key of an earlier one waits until that has its answer: the API would keep whichever it took last, and that must be the last
//! one in the files. So lines are claimed in the order in which they stand there, although workers sift blocks in any.
//!
//! Of several payloads of one record the last one in the files decides. If the API holds that one, the earlier ones are not sent (`later`).

mod claims;
mod later;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fxhash::FxHashMap;
use serde::de::IgnoredAny;

use crate::api::refusal::Refusal;
use crate::clock;
use crate::digest::Digest;
use crate::edfi::key::{Keys, StrictKey};
use crate::model::Natural;
use crate::outcome::{Counts, Outcome, Place, Reason, Unread, Verdict};
use crate::payload::{Parked, Payload};
use crate::rejects::{Letter, Why};
use crate::source::{Block, Piece};
use crate::state::resend::{Due, Resend};
use crate::state::table::{Entry, Standing, Table};
use crate::text::invisible;
use crate::validate::findings::Invalid;
use claims::{Claimed, Claims, Spare};
use later::{Later, Position};

/// What sifting needs to know of one resource of a tier.
pub struct Known<'a> {
    /// What was known when the tier began.
    table: Arc<Table>,
    /// What tells its natural keys, if anything does.
    natural: Option<&'a Natural>,
    /// What validation found wrong.
    invalid: Option<&'a Invalid>,
    /// All its files, in order.
    files: &'a [Arc<Path>],
    /// Bytes of all its files.
    bytes: u64,
    claims: Mutex<Claims>,
    /// Where the files hold again what the API holds, once that was looked for.
    later: OnceLock<Later>,
    /// When the API accepted what it holds of each record, once that was asked for.
    newest: OnceLock<FxHashMap<StrictKey, u32>>,
}

impl<'a> Known<'a> {
    /// From the resource's history, and what tells its natural keys.
    pub fn new(table: Arc<Table>, natural: Option<&'a Natural>) -> Known<'a> {
        let (claims, later, newest) = Default::default();
        Known { table, natural, invalid: None, files: &[], bytes: 0, claims, later, newest }
    }

    /// Of these files; their bytes limit how many claims there may be.
    pub fn of_files(self, files: &'a [Arc<Path>], bytes: u64) -> Known<'a> {
        Known { files, bytes, ..self }
    }

    /// Leaving out what validation found wrong.
    pub fn without(self, invalid: &'a Invalid) -> Known<'a> {
        Known { invalid: Some(invalid), ..self }
    }

    /// A panic elsewhere leaves them whole: nothing that changes them panics midway.
    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a payload whose text is at hand. An entry without a key learns it from the text.
    fn entry(&self, entry: Entry, text: &[u8]) -> Entry {
        let Some(natural) = self.natural.filter(|_| entry.key == Entry::NO_KEY) else { return entry };
        if entry.standing == Standing::Settled {
            return entry;
        }
        let key = match read(text, Some(natural)) {
            Ok(Some(keys)) => keys.strict,
            Ok(None) => return Entry { key: Entry::WITHOUT, ..entry },
            Err(_) => return entry,
        };
        let newest = self.newest.get_or_init(|| {
            let holds = |(_, entry): &&(Digest, Entry)| entry.standing == Standing::Accepted;
            let record = |(_, entry): &(Digest, Entry)| Some((entry.record()?, entry.at));
            self.table.rows().iter().filter(holds).filter_map(record).collect()
        });
        let is_older = newest.get(&key).is_some_and(|at| *at > entry.at);
        let standing = match entry.standing {
            Standing::Accepted if is_older => Standing::Superseded,
            standing => standing,
        };
        Entry { key, standing, ..entry }
    }

    fn due(&self, entry: Option<&Entry>, rules: &Resend) -> Due {
        let doubtful = entry.and_then(Entry::record).is_some_and(|key| self.table.is_doubtful(&key));
        rules.due(entry, doubtful)
    }

    /// Whether a later line of the same record in the files makes this one needless, which is due for that reason.
    fn is_overtaken(&self, key: Option<StrictKey>, why: Due, position: Position, rules: &Resend) -> bool {
        let Some(key) = key.filter(|_| self.table.holds_some() && !rules.force) else { return false };
        let later = self.later.get_or_init(|| later::look(self, rules));
        later.is_held(&key, position) || why == Due::InDoubt && later.is_due(&key, position)
    }
}

/// What sifting needs to know of a tier.
pub struct Knowledge<'a> {
    /// The number of the tier's first resource.
    pub first: usize,
    /// Of each of its resources.
    pub known: Vec<Known<'a>>,
    /// Room for claims that no resource needs at present.
    spare: Spare,
}

impl<'a> Knowledge<'a> {
    /// Of resources of which the first has this number.
    pub fn new(first: usize, known: Vec<Known<'a>>) -> Knowledge<'a> {
        Knowledge { first, known, spare: Mutex::default() }
    }

    /// Says that all pieces of a resource are read, and how many there were.
    pub fn all_read(&self, resource: usize, pieces: usize) {
        self.known[resource - self.first].claims().end(pieces, &self.spare);
    }
}

/// What became of the lines of a block that are not due.
#[derive(Debug, Default)]
pub struct Sifted {
    /// The number of the resource.
    pub resource: usize,
    /// The number of the piece among those of the resource.
    pub number: usize,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many lines, and what became of them; failures are in `flaws` alone.
    pub counts: Counts,
    /// What could not be read.
    pub unread: Option<Unread>,
    /// Lines that cannot be sent.
    pub flaws: Vec<Outcome>,
    /// Payloads that are left out because they were refused before, and why they were.
    pub left_out: Vec<(Place, Refusal)>,
    /// What tells of these and of the flaws.
    pub letters: Vec<Letter>,
    /// Payloads that are due when an earlier one of the same natural key has its answer.
    pub later: Vec<Parked>,
    /// Known payloads whose record was not known until now.
    pub learned: Vec<(Digest, Entry)>,
    /// Payloads that are about to be sent, so that a run that is cut off leaves no doubt about what the API may hold.
    pub doubts: Vec<(Digest, Entry)>,
}

/// Sifts what was read of one of the tier's resources, the piece of that number. What is due comes by pieces: others may have waited for this
/// one to make its claims.
pub fn sift(number: usize, piece: Piece, knowledge: &Knowledge, rules: &Resend) -> (Sifted, Vec<Vec<Payload>>) {
    let known = &knowledge.known[piece.resource() - knowledge.first];
    let (mut sifted, due) = look(number, piece, known, rules);
    let share = sifted.bytes as f64 / known.bytes.max(sifted.bytes) as f64;
    let Claimed { first, later, repeated } = known.claims().make(number, due, share, &knowledge.spare);
    sifted.counts.duplicates += repeated;
    sifted.counts.same_key += later.len() as u64;
    sifted.later.extend(later.into_iter().map(|payload| payload.wait(known.natural)));
    let now = clock::unix_now() as u32;
    sifted.doubts = first.iter().flatten().filter_map(|payload| doubt(payload, known, now)).collect();
    (sifted, first)
}

/// That a payload is about to be sent. Where the API holds nothing that is known, or just that payload, there is nothing to doubt.
fn doubt(payload: &Payload, known: &Known, now: u32) -> Option<(Digest, Entry)> {
    let holds = matches!(payload.known, Some(Standing::Accepted | Standing::Settled));
    let entry = Entry { key: payload.key?.strict, at: now, status: 0, standing: Standing::NoAnswer };
    (known.table.holds_some() && !holds).then_some((payload.digest, entry))
}

/// What can be told of a piece by itself.
fn look(number: usize, piece: Piece, known: &Known, rules: &Resend) -> (Sifted, Vec<Payload>) {
    let block = match piece {
        Piece::Lines(block) => Arc::new(block),
        Piece::Unread { resource, unread } => {
            return (Sifted { resource, number, unread: Some(unread), ..Sifted::default() }, Vec::new());
        }
        Piece::Flaw { resource, file, line, message } => {
            let counts = Counts { read: 1, ..Counts::default() };
            let flaws = vec![flaw(resource, &file, line, message)];
            return (Sifted { resource, number, counts, flaws, ..Sifted::default() }, Vec::new());
        }
    };
    let mut sifted = Sifted { resource: block.resource, number, bytes: block.taken, ..Sifted::default() };
    let mut due = Vec::new();
    let lines: Vec<_> = block.lines().collect();
    let texts: Vec<&[u8]> = lines.iter().map(|(_, range)| &block.bytes[range.clone()]).collect();
    let digests = Digest::of_all(&texts);
    let entries = known.table.get_all(&digests);
    sifted.counts.read = lines.len() as u64;
    for (((line, range), bytes), (digest, entry)) in lines.into_iter().zip(texts).zip(digests.into_iter().zip(entries))
    {
        if bytes.is_empty() {
            sifted.counts.blank += 1;
            continue;
        }
        let entry = entry.map(|entry| {
            let now = known.entry(entry, bytes);
            if now != entry {
                let is_accepted = now.standing == Standing::Accepted;
                let standing = if is_accepted { Standing::Learned } else { now.standing };
                sifted.learned.push((digest, Entry { standing, ..now }));
            }
            now
        });
        let why = known.due(entry.as_ref(), rules);
        match why {
            Due::Accepted => sifted.counts.skipped += 1,
            Due::Refused => {
                sifted.counts.skipped_refused += 1;
                let refusal = earlier(&known.table, &digest, entry.as_ref());
                let place = Place { file: block.file.clone(), line };
                sifted.letters.push(letter(&block, line, bytes, Why::Answer(refusal.clone())));
                sifted.left_out.push((place, refusal));
            }
            // What was superseded stays so where the files do not differ from what the API holds, which is seen without reading the payload.
            _ if known.is_overtaken(entry.as_ref().and_then(Entry::record), why, (number, line), rules) => {
                sifted.counts.skipped += 1;
            }
            Due::Yes | Due::InDoubt => match read(bytes, known.natural) {
                Ok(Some(keys)) if known.is_overtaken(Some(keys.strict), why, (number, line), rules) => {
                    sifted.counts.skipped += 1;
                }
                read => {
                    let why = known.invalid.map_or(Vec::new(), |invalid| invalid.why(&block.file, line));
                    if !why.is_empty() {
                        sifted.letters.push(letter(&block, line, bytes, Why::Invalid(why)));
                        sifted.flaws.push(outcome(block.resource, &block.file, line, Verdict::Invalid));
                        continue;
                    }
                    match read {
                        Ok(key) => {
                            let standing = entry.map(|entry| entry.standing);
                            due.push(Payload::new(block.clone(), line, range, digest, key, standing));
                        }
                        Err(what) => {
                            sifted.letters.push(letter(&block, line, bytes, Why::Flaw(what.clone())));
                            sifted.flaws.push(flaw(block.resource, &block.file, line, what));
                        }
                    }
                }
            },
        }
    }
    (sifted, due)
}

/// What the API said when it refused a payload in an earlier run.
fn earlier(table: &Table, digest: &Digest, entry: Option<&Entry>) -> Refusal {
    let status = entry.map_or(0, |entry| entry.status);
    match table.reasons().get(digest) {
        Some(said) => said.refusal(status),
        None => Refusal::earlier(status),
    }
}

fn letter(block: &Block, line: u64, bytes: &[u8], why: Why) -> Letter {
    let place = Place { file: block.file.clone(), line };
    Letter { resource: block.resource, place, bytes: bytes.to_vec(), why }
}

fn flaw(resource: usize, file: &Arc<Path>, line: u64, message: String) -> Outcome {
    outcome(resource, file, line, Verdict::Refused(Reason::own(message)))
}

fn outcome(resource: usize, file: &Arc<Path>, line: u64, verdict: Verdict) -> Outcome {
    let place = Place { file: file.clone(), line };
    Outcome { resource, place, digest: None, key: None, known: false, correlation_id: None, verdict }
}

/// The natural key of a line, where that is known; an error says why the line is not one JSON object (RFC 8259).
pub fn read(bytes: &[u8], natural: Option<&Natural>) -> Result<Option<Keys>, String> {
    let text =
        std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 (byte {} of the line)", e.valid_up_to() + 1))?;
    if !text.starts_with('{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => "not a JSON object, but another JSON value".into(),
            Err(_) => match invisible::fault(text, None) {
                Some(fault) => format!("not JSON: {fault}"),
                None => "not JSON: a payload begins with {".into(),
            },
        });
    }
    let key = match natural {
        Some(natural) => natural.keys(text),
        None => serde_json::from_str::<IgnoredAny>(text).map(|_| None),
    };
    key.map_err(|wrong| match invisible::fault(text, Some(wrong.column())) {
        Some(fault) => format!("not JSON: {fault} (at column {})", wrong.column()),
        None => format!("not JSON: {}", wrong.to_string().replace("at line 1 column", "at column")),
    })
}

#[cfg(test)]
mod tests;
