//! Where a resource's files hold again what the API holds already.
//!
//! Of several payloads of one record the last one in the files decides. If that is the one that the API holds, the earlier ones need not be
//! sent, and must not be, because they would replace it. Which one is the last is known only when all lines were seen. So the files are
//! read once more before anything of a record that the API holds is sent: at most once for each resource, and never where nothing
//! is known of it or nothing is due.

use std::sync::Arc;

use fxhash::FxHashMap;

use super::{Known, read};
use crate::digest::Digest;
use crate::edfi::key::StrictKey;
use crate::source::{Block, Blocks, Piece};
use crate::state::resend::{Due, Resend};
use crate::state::table::Entry;

/// Where a line stands: the number of its piece, and its own.
pub type Position = (usize, u64);

/// Each record of which a payload is due.
#[derive(Debug, Default)]
pub struct Later(FxHashMap<StrictKey, Last>);

#[derive(Debug)]
struct Last {
    /// The last line that is due.
    due: Position,
    /// The last line behind one that is due of which the API holds the payload.
    held: Option<Position>,
}

impl Later {
    /// Whether a payload of this record stands behind this position and the API holds it.
    pub fn is_held(&self, key: &StrictKey, position: Position) -> bool {
        self.0.get(key).is_some_and(|last| last.held.is_some_and(|held| held > position))
    }

    /// Whether a payload of this record stands behind this position and is due.
    pub fn is_due(&self, key: &StrictKey, position: Position) -> bool {
        self.0.get(key).is_some_and(|last| last.due > position)
    }
}

/// Reads all files of a resource.
pub fn look(known: &Known, rules: &Resend) -> Later {
    let mut later = Later::default();
    let files = known.files.iter().map(|file| (0, Arc::clone(file))).collect();
    for (number, piece) in Blocks::new(files).enumerate() {
        if let Piece::Lines(block) = piece {
            look_at(number, &block, known, rules, &mut later);
        }
    }
    later
}

fn look_at(number: usize, block: &Block, known: &Known, rules: &Resend, later: &mut Later) {
    let lines: Vec<_> = block.lines().filter(|(_, range)| !range.is_empty()).collect();
    let texts: Vec<&[u8]> = lines.iter().map(|(_, range)| &block.bytes[range.clone()]).collect();
    let entries = known.table.get_all(&Digest::of_all(&texts));
    for (((line, _), text), entry) in lines.into_iter().zip(texts).zip(entries) {
        let entry = entry.map(|entry| known.entry(entry, text));
        let record = entry.as_ref().and_then(Entry::record);
        match known.due(entry.as_ref(), rules) {
            Due::Accepted => {
                if let Some(last) = record.and_then(|key| later.0.get_mut(&key)) {
                    last.held = Some((number, line));
                }
            }
            Due::Yes | Due::InDoubt => {
                let key = record.or_else(|| read(text, known.natural).ok().flatten().map(|keys| keys.strict));
                if let Some(key) = key {
                    let due = (number, line);
                    later.0.entry(key).or_insert(Last { due, held: None }).due = due;
                }
            }
            // It is not sent.
            Due::Refused => {}
        }
    }
}
