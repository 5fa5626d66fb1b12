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

/// For each record of which a payload is due, the last line behind it that the API holds: the number of its piece, and the line.
#[derive(Debug, Default)]
pub struct Later(FxHashMap<StrictKey, Option<(usize, u64)>>);

impl Later {
    /// Whether the API holds a payload of this record that stands behind this position.
    pub fn is_behind(&self, key: &StrictKey, position: (usize, u64)) -> bool {
        self.0.get(key).is_some_and(|last| last.is_some_and(|last| last > position))
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
                    *last = Some((number, line));
                }
            }
            Due::Yes => {
                let key = record.or_else(|| read(text, known.natural).ok().flatten().map(|keys| keys.strict));
                later.0.extend(key.filter(|key| !later.0.contains_key(key)).map(|key| (key, None)));
            }
            // It is not sent.
            Due::Refused => {}
        }
    }
}
