//! What of a block is due: the first look at each line, and for most lines of a rerun the only one.
//!
//! A line is blank, no payload, known and not due, the same as an earlier one of this run, or a payload to send.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use fxhash::FxHashSet;
use serde::de::IgnoredAny;

use crate::digest::Digest;
use crate::outcome::{Counts, Outcome, Place, Reason, Verdict};
use crate::payload::Payload;
use crate::rejects::{Letter, Why};
use crate::source::{Block, Piece};
use crate::state::resend::{Due, Resend};
use crate::state::table::{Entry, Table};

/// What sifting needs to know of one resource of a tier.
pub struct Known {
    /// What was known when the tier began.
    table: Arc<Table>,
    /// The payloads of this run that were due so far.
    taken: Mutex<FxHashSet<Digest>>,
}

impl Known {
    /// From the resource's history.
    pub fn new(table: Arc<Table>) -> Known {
        Known { table, taken: Mutex::default() }
    }
}

/// What sifting needs to know of a tier.
pub struct Knowledge {
    /// The number of the tier's first resource.
    pub first: usize,
    /// Of each of its resources.
    pub known: Vec<Known>,
}

/// What became of the lines of a block that are not due.
#[derive(Debug, Default)]
pub struct Sifted {
    /// The number of the resource.
    pub resource: usize,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many lines, and what became of them; failures are in `flaws` alone.
    pub counts: Counts,
    /// Lines that cannot be sent.
    pub flaws: Vec<Outcome>,
    /// What tells of these, and of payloads that were refused before.
    pub letters: Vec<Letter>,
}

/// Sifts what was read of one of the tier's resources.
pub fn sift(piece: Piece, knowledge: &Knowledge, rules: &Resend) -> (Sifted, Vec<Payload>) {
    let block = match piece {
        Piece::Lines(block) => Arc::new(block),
        Piece::Flaw { resource, file, line, message } => {
            let counts = Counts { read: 1, ..Counts::default() };
            let flaws = vec![flaw(resource, &file, line, message)];
            return (Sifted { resource, counts, flaws, ..Sifted::default() }, Vec::new());
        }
    };
    let Known { table, taken } = &knowledge.known[block.resource - knowledge.first];
    let mut sifted = Sifted { resource: block.resource, bytes: block.bytes.len() as u64, ..Sifted::default() };
    let mut due = Vec::new();
    // All digests first, then all look-ups: as these stand close together, the processor waits for several of them at a time.
    let lines: Vec<_> =
        block.lines().map(|(line, range)| (line, Digest::of(&block.bytes[range.clone()]), range)).collect();
    for (line, digest, range) in lines {
        sifted.counts.read += 1;
        let bytes = &block.bytes[range.clone()];
        if bytes.is_empty() {
            sifted.counts.blank += 1;
            continue;
        }
        let entry = table.get(&digest);
        match rules.due(entry) {
            Due::Accepted => sifted.counts.skipped += 1,
            Due::Refused => {
                sifted.counts.skipped_refused += 1;
                let status = entry.map_or(Entry::NO_ANSWER, |entry| entry.status);
                sifted.letters.push(letter(&block, line, bytes, Why::Earlier(status)));
            }
            // What the API answered to before was a payload: only new lines are looked into.
            Due::Yes => match entry.map_or_else(|| no_object(bytes), |_| None) {
                Some(what) => {
                    sifted.letters.push(letter(&block, line, bytes, Why::Flaw(what.clone())));
                    sifted.flaws.push(flaw(block.resource, &block.file, line, what));
                }
                None => {
                    due.push(Payload::new(block.clone(), line, range, digest, entry.is_some()));
                }
            },
        }
    }
    if !due.is_empty() {
        let lines = due.len();
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        due.retain(|payload| taken.insert(payload.digest));
        sifted.counts.duplicates += (lines - due.len()) as u64;
    }
    (sifted, due)
}

fn letter(block: &Block, line: u64, bytes: &[u8], why: Why) -> Letter {
    let place = Place { file: block.file.clone(), line };
    Letter { resource: block.resource, place, bytes: bytes.to_vec(), why }
}

fn flaw(resource: usize, file: &Arc<Path>, line: u64, message: String) -> Outcome {
    let place = Place { file: file.clone(), line };
    let verdict = Verdict::Refused(Reason { status: None, message });
    Outcome { resource, place, digest: None, known: false, verdict }
}

/// Why a line is not one JSON object (RFC 8259), if it is not.
fn no_object(bytes: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => return Some(format!("not UTF-8 (byte {} of the line)", e.valid_up_to() + 1)),
    };
    if !text.starts_with('{') {
        return Some(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => "not a JSON object, but another JSON value".into(),
            Err(_) => "not JSON: a payload begins with {".into(),
        });
    }
    let wrong = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(format!("not JSON: {}", wrong.to_string().replace("at line 1 column", "at column")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Piece {
        let file = Path::new("students.jsonl").into();
        Piece::Lines(Block { resource: 0, file, first_line: 1, offset: 0, bytes: text.into() })
    }

    fn known(entries: &[(&str, u16)]) -> Knowledge {
        let entry = |(text, status): &(&str, u16)| (Digest::of(text.as_bytes()), Entry { at: 1, status: *status });
        let table = Table::default().with(entries.iter().map(entry).collect());
        Knowledge { first: 0, known: vec![Known::new(Arc::new(table))] }
    }

    fn texts(due: &[Payload]) -> Vec<&str> {
        due.iter().map(|p| std::str::from_utf8(p.bytes()).unwrap()).collect()
    }

    #[test]
    fn each_line_is_blank_or_known_or_taken_or_due() {
        let known = known(&[(r#"{"a":1}"#, 201), (r#"{"a":2}"#, 400)]);
        let text = "{\"a\":1}\r\n\n  {\"a\":2}\n{\"a\":3} \n{\"a\":3}\n{\"a\":4}";
        let (sifted, due) = sift(block(text), &known, &Resend::default());
        let counts = Counts { read: 6, blank: 1, skipped: 1, skipped_refused: 1, duplicates: 1, ..Counts::default() };
        assert_eq!(sifted.counts, counts);
        let letters: Vec<_> = sifted.letters.iter().map(|l| (l.place.line, &l.bytes[..], &l.why)).collect();
        assert_eq!(letters, [(3, &b"{\"a\":2}"[..], &Why::Earlier(400))]);
        assert_eq!(texts(&due), [r#"{"a":3}"#, r#"{"a":4}"#]);
        assert_eq!(due.iter().map(|p| p.outcome(Verdict::Untried).place.line).collect::<Vec<_>>(), [4, 6]);
        let (sifted, due) = sift(block("{\"a\":4}\n"), &known, &Resend::default());
        assert_eq!((sifted.counts.duplicates, due.len()), (1, 0), "a later block knows what an earlier one took");
    }

    #[test]
    fn what_is_no_payload_is_told_with_its_line_and_the_rest_is_due() {
        let text = "{\"a\":1}\n{\"a\":\n[1]\nnonsense\n{\"a\":1} {\"b\":2}\n{\"a\":2,}\n{\"z\":1}";
        let (sifted, due) = sift(block(text), &known(&[]), &Resend::default());
        let told: Vec<_> = sifted
            .flaws
            .iter()
            .map(|flaw| match &flaw.verdict {
                Verdict::Refused(reason) => format!("{} {}", flaw.place.line, reason.message),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.len(), 5, "{told:?}");
        for (told, expected) in
            told.iter().zip(["2 not JSON", "3 not a JSON object", "4 not JSON", "5 not JSON", "6 not JSON"])
        {
            assert!(told.starts_with(expected), "{told} instead of {expected}");
        }
        assert!(told[4].ends_with("at column 8"), "{told:?}");
        assert_eq!(texts(&due), [r#"{"a":1}"#, r#"{"z":1}"#]);
    }

    #[test]
    fn a_line_that_is_not_utf_8_says_where() {
        assert_eq!(no_object(b"{\"a\":\"\xff\"}").as_deref(), Some("not UTF-8 (byte 7 of the line)"));
    }
}
