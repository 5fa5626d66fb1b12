//! Pieces are read in one order and worked on in any. Where the order decides something, results wait here for their turn.

use std::collections::BTreeMap;

/// Results by the number of their piece, which starts at 0 and leaves no gap.
#[derive(Debug)]
pub struct Sequencer<T> {
    turn: usize,
    early: BTreeMap<usize, T>,
}

impl<T> Default for Sequencer<T> {
    fn default() -> Sequencer<T> {
        Sequencer { turn: 0, early: BTreeMap::new() }
    }
}

impl<T> Sequencer<T> {
    /// How many results have had their turn.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// Adds the result of the piece of that number.
    pub fn add(&mut self, number: usize, result: T) {
        self.early.insert(number, result);
    }

    /// The next result, unless an earlier one is still missing.
    pub fn next_in_turn(&mut self) -> Option<T> {
        let next = self.early.remove(&self.turn)?;
        self.turn += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_out_in_the_order_of_their_pieces_and_wait_for_what_is_missing() {
        let mut sequencer = Sequencer::default();
        let mut add = |number| {
            sequencer.add(number, number);
            std::iter::from_fn(|| sequencer.next_in_turn()).collect::<Vec<_>>()
        };
        assert_eq!(add(1), [0; 0]);
        assert_eq!(add(0), [0, 1]);
        assert_eq!(add(3), [0; 0]);
        assert_eq!(add(2), [2, 3]);
        assert_eq!(sequencer.turn(), 4);
    }
}
