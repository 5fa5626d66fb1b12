//! One payload on its way: where it stands, what is sent, and how it is found again when its time comes later.

use std::ops::Range;
use std::sync::Arc;

use crate::api::refusal::Refusal;
use crate::digest::Digest;
use crate::edfi::key::{Keys, LooseKey};
use crate::model::Natural;
use crate::outcome::{Outcome, Place, Reason, Verdict};
use crate::rejects::{Letter, Why};
use crate::source::room::Room;
use crate::source::{Block, Origin, Spot};
use crate::state::table::{Entry, Standing};

/// A payload that is due.
#[derive(Debug)]
pub struct Payload {
    /// The number of its resource.
    pub resource: usize,
    /// By what it is recognised.
    pub digest: Digest,
    /// Its natural key, where that is known.
    pub key: Option<Keys>,
    /// How it stands from earlier runs, if it is known.
    pub known: Option<Standing>,
    line: u64,
    block: Arc<Block>,
    range: Range<usize>,
}

impl Payload {
    /// The text at `range` of a block, which is a line without white space around it.
    pub fn new(
        block: Arc<Block>,
        line: u64,
        range: Range<usize>,
        digest: Digest,
        key: Option<Keys>,
        known: Option<Standing>,
    ) -> Payload {
        Payload { resource: block.resource, digest, key, known, line, block, range }
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.block.bytes[self.range.clone()]
    }

    /// What became of it.
    pub fn outcome(&self, verdict: Verdict) -> Outcome {
        let place = Place { file: self.block.file.clone(), line: self.line };
        let (resource, digest, key, known) = (self.resource, Some(self.digest), self.key, self.known.is_some());
        Outcome { resource, place, digest, key, known, correlation_id: None, verdict }
    }

    /// What became of it when the API refused it, and the letter that tells of that.
    pub fn refused(&self, refusal: Refusal) -> (Outcome, Letter) {
        let outcome = refused(self.outcome(Verdict::Untried), &refusal);
        let (place, bytes) = (outcome.place.clone(), self.bytes().to_vec());
        (outcome, Letter { resource: self.resource, place, bytes, why: Why::Answer(refusal) })
    }

    /// By what the API's log knows it, given the run's and the resource's name: run, resource, file and line, in characters that any log
    /// and header takes.
    pub fn correlation(&self, run: &str, resource: &str) -> String {
        let file = self.block.file.file_name().unwrap_or_default().to_string_lossy();
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        let file: String = file.chars().take(60).map(plain).collect();
        format!("{run}/{resource}/{file}:{}", self.line)
    }

    /// Puts it aside after a refusal that a later try may not meet. `natural` tells to what of its own resource it refers.
    pub fn park(self, refusal: Refusal, natural: Option<&Natural>) -> Parked {
        Parked { refusal: Some(refusal), ..self.wait(natural) }
    }

    /// Puts it aside until an earlier payload of its natural key has its answer.
    pub fn wait(self, natural: Option<&Natural>) -> Parked {
        let spot = self.block.spot(&self.range);
        let refers_to = natural.map(|natural| natural.of_its_own_resource(self.bytes())).unwrap_or_default();
        let (known, outcome) = (self.known, self.outcome(Verdict::Untried));
        Parked { spot, length: self.range.len(), refusal: None, last: false, refers_to, known, outcome }
    }
}

/// A payload that waits. Its text is not kept but read again: a block would be kept with it.
#[derive(Debug)]
pub struct Parked {
    spot: Spot,
    length: usize,
    /// The last answer, if it was sent already.
    refusal: Option<Refusal>,
    /// Whether the next try is the last.
    last: bool,
    /// The natural keys of the items of its own resource that it refers to.
    refers_to: Vec<LooseKey>,
    /// How it stands from earlier runs, if it is known.
    known: Option<Standing>,
    /// Its place, with no verdict yet.
    outcome: Outcome,
}

impl Parked {
    /// The number of its resource.
    pub fn resource(&self) -> usize {
        self.outcome.resource
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.outcome.place
    }

    /// Its natural key, where that is known.
    pub fn key(&self) -> Option<LooseKey> {
        self.outcome.key.map(|keys| keys.loose)
    }

    /// The natural keys of the items of its own resource that it refers to.
    pub fn refers_to(&self) -> &[LooseKey] {
        &self.refers_to
    }

    /// The last answer, if it was sent already.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The same, to be tried just once more.
    pub fn last(self) -> Parked {
        Parked { last: true, ..self }
    }

    /// Whether the next try is the last.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// What it ends as without a final answer, for this reason.
    pub fn without_answer(self, reason: Reason) -> Outcome {
        Outcome { verdict: Verdict::Unsent(reason), ..self.outcome }
    }

    /// The same with what is known of other payloads of its resource.
    pub fn among(self, others_accepted: bool) -> Parked {
        Parked { refusal: self.refusal.map(|refusal| Refusal { others_accepted, ..refusal }), ..self }
    }

    /// What it ends as when the run stops before it was tried for the last time.
    pub fn unsent(self) -> Outcome {
        let verdict = self.refusal.map_or(Verdict::Untried, |refusal| Verdict::Unsent(refusal.reason()));
        Outcome { verdict, ..self.outcome }
    }

    /// What it ends as when an earlier payload of its natural key has no final answer. Sent now, it would be overwritten when that is sent
    /// in the next run.
    pub fn outrun(self) -> Outcome {
        let message = "not sent: an earlier payload of the same natural key has no final answer".to_string();
        let status = self.refusal.map(|refusal| refusal.status);
        Outcome { verdict: Verdict::Unsent(Reason::of_answer(status, message)), ..self.outcome }
    }

    /// That it is about to be sent, if its record is known.
    pub fn doubt(&self, now: u32) -> Option<(Digest, Entry)> {
        let entry = Entry { key: self.outcome.key?.strict, at: now, status: 0, standing: Standing::NoAnswer };
        Some((self.outcome.digest?, entry))
    }

    /// That it was refused for now because of what it refers to, if its record is known.
    pub fn answered(&self, now: u32) -> Option<(Digest, Entry)> {
        let refusal = self.refusal.as_ref().filter(|refusal| refusal.order_may_cure())?;
        let (key, standing) = (self.outcome.key?.strict, Standing::Refused(refusal.kind()));
        Some((self.outcome.digest?, Entry { key, at: now, status: refusal.status, standing }))
    }

    /// What it ends as when no further try helps, and the letter that tells of it if it can be read again.
    pub fn refused(self) -> (Outcome, Option<Letter>) {
        let Some(refusal) = self.refusal.clone() else { return (self.unsent(), None) };
        let bytes = self.spot.read(&self.outcome.place.file, self.length);
        let letter = bytes.ok().filter(|bytes| Some(Digest::of(bytes)) == self.outcome.digest).map(|bytes| Letter {
            resource: self.outcome.resource,
            place: self.outcome.place.clone(),
            bytes,
            why: Why::Answer(refusal.clone()),
        });
        (refused(self.outcome, &refusal), letter)
    }

    /// The payload, read from its file again when there is room for it; what it ends as if it does not stand there any more.
    pub fn fetch(self, room: &Room) -> Result<Payload, Box<Outcome>> {
        let held = room.hold_again(self.length);
        let Outcome { resource, digest, key, .. } = self.outcome;
        let Place { file, line } = &self.outcome.place;
        match (self.spot.read(file, self.length), digest) {
            (Ok(bytes), Some(digest)) if Digest::of(&bytes) == digest => {
                let range = 0..bytes.len();
                let (origin, taken) = (Origin::of(self.spot), 0);
                let block = Block { resource, file: file.clone(), first_line: *line, origin, taken, bytes, held };
                Ok(Payload::new(Arc::new(block), *line, range, digest, key, self.known))
            }
            (changed, _) => {
                let why = changed
                    .err()
                    .map_or("the file has changed since".to_string(), |e| format!("reading it again failed: {e}"));
                let (status, message) = match self.refusal.map(|refusal| refusal.reason()) {
                    Some(reason) => (reason.status, format!("{}; not sent a second time: {why}", reason.message)),
                    None => (None, format!("not sent: {why}")),
                };
                Err(Box::new(Outcome { verdict: Verdict::Unsent(Reason::of_answer(status, message)), ..self.outcome }))
            }
        }
    }
}

fn refused(outcome: Outcome, refusal: &Refusal) -> Outcome {
    let correlation_id = refusal.correlation_id.as_deref().map(Into::into);
    Outcome { verdict: Verdict::Refused(refusal.reason()), correlation_id, ..outcome }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::room::Held;

    fn refusal() -> Refusal {
        Refusal { status: 409, messages: vec!["no such school".into()], ..Refusal::default() }
    }

    fn parked(file: &Path) -> Parked {
        let block = Block {
            resource: 4,
            file: file.into(),
            first_line: 7,
            origin: Origin::File(10),
            taken: 2,
            bytes: b"{\"a\":1}\n{\"a\":2}\n".to_vec(),
            held: Held::default(),
        };
        let payload = Payload::new(Arc::new(block), 8, 8..15, Digest::of(b"{\"a\":2}"), None, Some(Standing::NoAnswer));
        payload.park(refusal(), None)
    }

    #[test]
    fn a_correlation_id_names_run_resource_file_and_line_whatever_the_file_is_called() {
        let block = Block::of_text(Path::new("data/Schüler 1.jsonl"), b"{}");
        let payload = Payload::new(Arc::new(block), 1, 0..2, Digest::of(b"{}"), None, None);
        assert_eq!(payload.correlation("run", "students"), "run/students/Sch_ler_1.jsonl:1");
    }

    #[test]
    fn a_parked_payload_is_read_again_where_it_stood() {
        let path = std::env::temp_dir().join(format!("lightbeam-parked-{}", std::process::id()));
        std::fs::write(&path, b"0123456789{\"a\":1}\n{\"a\":2}\n").unwrap();
        let payload = parked(&path).fetch(&Room::new(1)).unwrap();
        assert_eq!((payload.bytes(), payload.resource, payload.line), (&b"{\"a\":2}"[..], 4, 8));
        std::fs::write(&path, b"0123456789{\"a\":1}\n{\"a\":3}\n").unwrap();
        let outcome = parked(&path).fetch(&Room::new(1)).unwrap_err();
        assert!(
            matches!(&outcome.verdict, Verdict::Unsent(reason) if reason.message.contains("has changed")),
            "{outcome:?}"
        );
        std::fs::remove_file(&path).unwrap();
        assert!(
            matches!(parked(&path).fetch(&Room::new(1)).unwrap_err().verdict, Verdict::Unsent(_)),
            "a file that is gone"
        );
    }
}
