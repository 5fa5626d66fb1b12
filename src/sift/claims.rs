//! Which of the payloads that are due is the first of its natural key, decided in the order of the files.
//!
//! Pieces are sifted in any order; what is found due in them waits here until all earlier pieces of the resource have made their claims.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fxhash::{FxHashMap, FxHashSet};

use crate::digest::Digest;
use crate::edfi::key::LooseKey;
use crate::payload::Payload;
use crate::sequencer::Sequencer;

/// What was due so far of one resource in this run.
#[derive(Default)]
pub struct Claims {
    /// How many pieces there are, once that is known.
    pieces: Option<usize>,
    /// What pieces would claim.
    due: Sequencer<Vec<Payload>>,
    seen: Seen,
}

/// Room that no resource needs at present.
pub type Spare = Mutex<Seen>;

/// The payloads that made a claim.
#[derive(Default)]
pub struct Seen {
    /// Of the last payload of each natural key, half of its digest: enough where the key is the same, and half the memory.
    by_key: FxHashMap<LooseKey, u64>,
    /// The payloads whose natural key is not known.
    others: FxHashSet<Digest>,
}

/// What became of claims.
#[derive(Default)]
pub struct Claimed {
    /// The first ones, of each piece that made its claims.
    pub first: Vec<Vec<Payload>>,
    /// Those of the same natural key as an earlier one.
    pub later: Vec<Payload>,
    /// How many were the same as the last one before them.
    pub repeated: u64,
}

impl Claims {
    /// Makes the claims of the piece of that number, and of those that waited for it. `share` is what part of the resource the piece is.
    pub fn make(&mut self, number: usize, due: Vec<Payload>, share: f64, spare: &Spare) -> Claimed {
        if self.due.turn() == 0 && !due.is_empty() {
            if self.seen.room() == 0 {
                self.seen = std::mem::take(&mut *lock(spare));
            }
            self.seen.reserve(&due, share);
        }
        self.due.add(number, due);
        let mut claimed = Claimed::default();
        while let Some(due) = self.due.next_in_turn() {
            // In place, and not all together: several pieces are more than an allocator gives back.
            let first = due.into_iter().filter_map(|payload| self.seen.claim(payload, &mut claimed));
            let first = first.collect();
            claimed.first.push(first);
        }
        self.forget_if_over(spare);
        claimed
    }

    /// Says that there are so many pieces.
    pub fn end(&mut self, pieces: usize, spare: &Spare) {
        self.pieces = Some(pieces);
        self.forget_if_over(spare);
    }

    /// When the last piece has made its claims nobody asks for them again; their room goes to the tier's next resource.
    fn forget_if_over(&mut self, spare: &Spare) {
        if self.pieces == Some(self.due.turn()) && self.seen.room() > 0 {
            *lock(spare) = std::mem::take(&mut self.seen).emptied();
        }
    }
}

impl Seen {
    /// Gives back the payload if it is the first of its key.
    fn claim(&mut self, payload: Payload, claimed: &mut Claimed) -> Option<Payload> {
        let half = payload.digest.prefix();
        match payload.key.map(|keys| self.by_key.insert(keys.loose, half)) {
            None if !self.others.insert(payload.digest) => claimed.repeated += 1,
            Some(Some(last)) if last == half => claimed.repeated += 1,
            Some(Some(_)) => claimed.later.push(payload),
            None | Some(None) => return Some(payload),
        }
        None
    }

    /// Makes room for all of which `due` is that share: growing by and by leaves holes.
    fn reserve(&mut self, due: &[Payload], share: f64) {
        /// Never for more: of a file whose first lines are short the share is far too small.
        const MOST: usize = 500_000;
        let keys = due.iter().filter(|payload| payload.key.is_some()).count();
        let room = |payloads: usize| ((payloads as f64 / share) as usize).min(MOST);
        self.by_key.reserve(room(keys));
        self.others.reserve(room(due.len() - keys));
    }

    fn room(&self) -> usize {
        self.by_key.capacity() + self.others.capacity()
    }

    /// With nothing inside.
    fn emptied(mut self) -> Seen {
        self.by_key.clear();
        self.others.clear();
        self
    }
}

/// A panic elsewhere leaves the value whole: it is put there in one step.
fn lock(spare: &Spare) -> MutexGuard<'_, Seen> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::source::Block;

    fn due() -> Vec<Payload> {
        let text = br#"{"a":1}"#;
        let block = Block::of_text(Path::new("students.jsonl"), text);
        vec![Payload::new(Arc::new(block), 1, 0..text.len(), Digest::of(text), None, None)]
    }

    #[test]
    fn claims_are_forgotten_when_the_last_piece_has_made_its_own_whenever_it_is_known_to_be_the_last() {
        let spare = Spare::default();
        let mut claims = Claims::default();
        assert!(claims.make(1, due(), 0.5, &spare).first.is_empty());
        assert_eq!(claims.make(0, due(), 0.5, &spare).repeated, 1);
        claims.end(3, &spare);
        assert_eq!(claims.seen.others.len(), 1);
        assert_eq!(claims.make(2, due(), 0.5, &spare).repeated, 1);
        assert_eq!(claims.seen.room(), 0);
        let room = lock(&spare).room();
        assert!(room > 0);

        let mut next = Claims::default();
        assert_eq!(next.make(0, due(), 1.0, &spare).first[0].len(), 1, "the room is empty");
        assert_eq!((next.seen.room(), lock(&spare).room()), (room, 0));
        next.end(1, &spare);
        assert_eq!((next.seen.room(), lock(&spare).room()), (0, room));
    }

    #[test]
    fn however_small_a_share_a_piece_seems_to_be_room_is_made_for_a_million_at_most() {
        let mut claims = Claims::default();
        claims.make(0, due(), 1e-12, &Spare::default());
        assert!((500_000..1_000_000).contains(&claims.seen.room()), "{}", claims.seen.room());
    }
}
