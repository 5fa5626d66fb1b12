//! What became of payloads: one [`Outcome`] each, counted in a [`Tally`] for each resource, whose balance must hold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fxhash::FxHashMap;
use serde_json::{Value, json};

use crate::api::refusal::RefusalKind;
use crate::digest::Digest;
use crate::edfi::key::Keys;
use crate::text::visible;

/// Where a payload stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its file.
    pub file: Arc<Path>,
    /// Its line there, from 1.
    pub line: u64,
}

/// Data that could not be read: how many payloads there are is not known, so that no count has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its file, and the line from which on.
    pub place: Place,
    /// Why, and what to do.
    pub message: String,
}

impl Unread {
    /// For people, in a sentence.
    pub fn told(&self) -> String {
        let Place { file, line } = &self.place;
        format!("Incomplete: {} from line {line}: {}", visible::path(file), self.message)
    }

    /// The same for machines.
    pub fn to_json(&self) -> Value {
        let Place { file, line } = &self.place;
        json!({ "file": file.display().to_string(), "from_line": line, "message": self.message })
    }
}

/// What became of one payload that was not skipped.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The index of its resource within the plan.
    pub resource: usize,
    /// Where it stands.
    pub place: Place,
    /// By what it is recognised next time; `None` for a line that is no payload.
    pub digest: Option<Digest>,
    /// Its natural key, where that is known.
    pub key: Option<Keys>,
    /// Whether history has an entry for it.
    pub known: bool,
    /// By which the API's log knows the request that was refused.
    pub correlation_id: Option<Box<str>>,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a payload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The API took it: 201 created it, any other 2xx updated it.
    Accepted {
        /// The answer's status.
        status: u16,
    },
    /// The API's final no, or a line that cannot be sent; sending it again unchanged is not likely to help.
    Refused(Reason),
    /// Validation, which tells why itself, found it wrong, so that it was not sent.
    Invalid,
    /// No final answer: it is due again in the next run.
    Unsent(Reason),
    /// The run stopped before its turn: it is due again in the next run.
    Untried,
}

/// Why a payload was not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason {
    /// The answer's status, where there was an answer.
    pub status: Option<u16>,
    /// What the refusal is about, where the API refused.
    pub kind: Option<RefusalKind>,
    /// The answer's `type`, where it has one.
    pub problem_type: Option<String>,
    /// What the API or lightbeam says of it.
    pub message: String,
    /// Whether the message is a list of faults, with `; ` between, and not one text.
    pub listed: bool,
}

impl Reason {
    /// What lightbeam itself says.
    pub fn own(message: impl Into<String>) -> Reason {
        Reason { message: message.into(), ..Reason::default() }
    }

    /// What an answer says that is not a refusal.
    pub fn of_answer(status: Option<u16>, message: impl Into<String>) -> Reason {
        Reason { status, message: message.into(), ..Reason::default() }
    }
}

/// What became of the lines of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read.
    pub read: u64,
    /// Lines with nothing but white space.
    pub blank: u64,
    /// Answered 201.
    pub created: u64,
    /// Answered with another 2xx.
    pub updated: u64,
    /// Not sent, because accepted before.
    pub skipped: u64,
    /// Not sent, because refused before.
    pub skipped_refused: u64,
    /// Not sent, because the same payload stands earlier in this run, with no other of its natural key between them.
    pub duplicates: u64,
    /// Refused for good.
    pub refused: u64,
    /// Without a final answer.
    pub unsent: u64,
    /// How many of the payloads that were due have the natural key of another one earlier in this run: they come after it, and
    /// the last one counts.
    pub same_key: u64,
}

impl Counts {
    /// Lines that hold a payload or should.
    pub fn payloads(&self) -> u64 {
        self.read - self.blank
    }

    /// Payloads whose fate is known.
    pub fn settled(&self) -> u64 {
        self.created + self.updated + self.skipped + self.skipped_refused + self.duplicates + self.refused + self.unsent
    }

    /// Payloads that were due and did not arrive.
    pub fn failed(&self) -> u64 {
        self.refused + self.unsent
    }

    /// Whether there was nothing but payloads accepted before.
    pub fn is_unchanged(&self) -> bool {
        self.skipped > 0 && self.payloads() == self.skipped
    }

    /// Whether every line read is accounted for, just once.
    pub fn balances(&self) -> bool {
        self.read == self.settled() + self.blank
    }

    /// Adds what is counted elsewhere.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.blank += other.blank;
        self.created += other.created;
        self.updated += other.updated;
        self.skipped += other.skipped;
        self.skipped_refused += other.skipped_refused;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.unsent += other.unsent;
        self.same_key += other.same_key;
    }
}

/// Where one reason was met: the lines of each file.
pub type Places = BTreeMap<Arc<Path>, Vec<u64>>;

/// Where one reason was met, and by which the API's log knows the first request that met it.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// Where.
    pub places: Places,
    /// The correlation id of the first of them that has one.
    pub correlation_id: Option<Box<str>>,
}

/// The failures of one resource, by reason.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    by_reason: FxHashMap<Reason, Failure>,
    /// How many bytes the messages have.
    bytes: usize,
}

impl Failures {
    /// So many different reasons are kept for a resource; further ones are filed together by status and kind, so that memory stays
    /// bounded where every message differs.
    const REASONS: usize = 5_000;

    /// Together they have at most this number of bytes, because messages can be as long as answers.
    const BYTES: usize = 4 * 1024 * 1024;

    /// Adds one.
    pub fn add(&mut self, reason: Reason, place: Place, correlation_id: Option<Box<str>>) {
        let has_room = self.by_reason.len() < Failures::REASONS && self.bytes + reason.message.len() <= Failures::BYTES;
        let reason = if self.by_reason.contains_key(&reason) {
            reason
        } else if has_room {
            self.bytes += reason.message.len();
            reason
        } else {
            let message = "(further messages, not kept apart)".into();
            Reason { status: reason.status, kind: reason.kind, message, ..Reason::default() }
        };
        let failure = self.by_reason.entry(reason).or_default();
        failure.places.entry(place.file).or_default().push(place.line);
        if failure.correlation_id.is_none() {
            failure.correlation_id = correlation_id;
        }
    }

    /// The reasons, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Reason, &Failure)> {
        self.by_reason.iter()
    }
}

/// The counts of one resource, its answers by status, and its failures by reason and place.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// What became of the lines.
    pub counts: Counts,
    /// How often each 2xx came.
    pub accepted: BTreeMap<u16, u64>,
    /// What did not arrive, and why.
    pub failures: Failures,
    /// What was left out because it was refused in an earlier run, and why it was.
    pub left_out: Failures,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

impl Tally {
    /// Counts an outcome.
    pub fn add(&mut self, outcome: Outcome) {
        let reason = match outcome.verdict {
            Verdict::Accepted { status } => {
                *self.accepted.entry(status).or_default() += 1;
                match status {
                    201 => self.counts.created += 1,
                    _ => self.counts.updated += 1,
                }
                return;
            }
            Verdict::Refused(reason) => {
                self.counts.refused += 1;
                reason
            }
            Verdict::Unsent(reason) => {
                self.counts.unsent += 1;
                reason
            }
            Verdict::Invalid => {
                self.counts.refused += 1;
                return;
            }
            // That the run stopped is told once, not for each line.
            Verdict::Untried => {
                self.counts.unsent += 1;
                return;
            }
        };
        self.failures.add(reason, outcome.place, outcome.correlation_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(line: u64, verdict: Verdict) -> Outcome {
        let place = Place { file: Path::new("students.jsonl").into(), line };
        Outcome { resource: 0, place, digest: None, key: None, known: false, correlation_id: None, verdict }
    }

    fn reason(message: &str) -> Reason {
        Reason::of_answer(Some(400), message)
    }

    #[test]
    fn each_verdict_is_counted_once_and_the_lines_of_a_reason_are_kept() {
        let mut tally = Tally::default();
        tally.counts.read = 5;
        tally.counts.blank = 1;
        tally.add(outcome(1, Verdict::Accepted { status: 201 }));
        tally.add(outcome(2, Verdict::Accepted { status: 200 }));
        tally.add(outcome(3, Verdict::Refused(reason("too long"))));
        tally.add(outcome(5, Verdict::Refused(reason("too long"))));
        assert_eq!((tally.counts.created, tally.counts.updated, tally.counts.refused), (1, 1, 2));
        assert!(tally.counts.balances());
        let lines =
            tally.failures.iter().map(|(of, failure)| (of, failure.places.values().flatten().collect::<Vec<_>>()));
        assert_eq!(lines.collect::<Vec<_>>(), [(&reason("too long"), vec![&3, &5])]);
        tally.add(outcome(6, Verdict::Accepted { status: 200 }));
        assert!(!tally.counts.balances(), "an outcome without a line must show");
    }

    #[test]
    fn long_reasons_are_kept_whole_until_they_are_too_many_and_still_counted() {
        let mut tally = Tally::default();
        let long = |line: u64| reason(&format!("no {line} {}", "x".repeat(60_000)));
        for line in 0..1_000 {
            tally.add(outcome(line, Verdict::Refused(long(line))));
        }
        assert!(tally.failures.iter().any(|(reason, _)| *reason == long(0)), "nothing of it is cut");
        let bytes: usize = tally.failures.iter().map(|(reason, _)| reason.message.len()).sum();
        assert!((4_000_000..5_000_000).contains(&bytes), "{bytes}");
        assert_eq!(tally.failures.iter().flat_map(|(_, f)| f.places.values()).map(Vec::len).sum::<usize>(), 1_000);
    }

    #[test]
    fn reasons_without_end_are_filed_together_and_still_counted() {
        let mut tally = Tally::default();
        for line in 0..6_000 {
            tally.add(outcome(line, Verdict::Refused(reason(&format!("no {line}")))));
        }
        assert_eq!(tally.failures.iter().count(), Failures::REASONS + 1);
        let lines = tally.failures.iter().flat_map(|(_, failure)| failure.places.values()).map(Vec::len);
        assert_eq!(lines.sum::<usize>(), 6_000);
    }
}
