//! When a run renews its token, keeps it or ends. A single refusal ends no run, and many refusals do not use up the tokens of the key.
//!
//! An ODS/API behind a balancer may refuse a token that it takes a moment later, and from 7.3 on it gives a key 15 living tokens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A run holds at most this many living tokens, because other programs use the same key.
const MOST_LIVING: usize = 10;
/// A run ends when the API has refused this many tokens in a row and accepted none of them.
const REFUSED_IN_A_ROW: usize = 3;

/// The tokens of a run, by their numbers, which ascend from 1.
#[derive(Debug, Default)]
pub struct Tokens {
    /// The last one that the API took; 0 if it took none.
    accepted: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// When those end that were given.
    ends: Vec<Instant>,
    /// Those that were refused since the API took one.
    refused: Vec<u64>,
}

/// What follows when a token was refused again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// A new token is asked for.
    Renew,
    /// Too many are living: the request has its answer, and others go on with the same token.
    Keep,
    /// The API takes no token.
    End,
}

impl Tokens {
    /// Takes note of a token.
    pub fn given(&self, until: Instant) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).ends.push(until);
    }

    /// Takes note that the API took this token, if it was the API that answered; asks that only where it is not noted yet.
    pub fn accepted(&self, number: u64, by_api: impl FnOnce() -> bool) {
        if self.accepted.load(Ordering::Relaxed) < number && by_api() {
            self.accepted.fetch_max(number, Ordering::Relaxed);
        }
    }

    /// What follows when this token was refused, which has not ended by itself if `alive`.
    pub fn refused(&self, number: u64, alive: bool, now: Instant) -> AfterRefusal {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let accepted = self.accepted.load(Ordering::Relaxed);
        known.refused.retain(|refused| *refused > accepted);
        if alive && number > accepted && !known.refused.contains(&number) {
            known.refused.push(number);
        }
        known.ends.retain(|end| *end > now);
        match (known.refused.len(), known.ends.len()) {
            (refused, _) if refused >= REFUSED_IN_A_ROW => AfterRefusal::End,
            (_, living) if living >= MOST_LIVING => AfterRefusal::Keep,
            _ => AfterRefusal::Renew,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn three_tokens_in_a_row_that_were_never_taken_end_the_run() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        assert_eq!(tokens.refused(1, true, now), AfterRefusal::Renew);
        assert_eq!(tokens.refused(1, true, now), AfterRefusal::Renew, "another worker's request with the same token");
        assert_eq!(tokens.refused(2, true, now), AfterRefusal::Renew);
        tokens.accepted(4, || false);
        tokens.accepted(3, || true);
        for (number, after) in [(3, AfterRefusal::Renew), (4, AfterRefusal::Renew), (5, AfterRefusal::Renew)] {
            assert_eq!(tokens.refused(number, true, now), after, "{number}");
        }
        assert_eq!(tokens.refused(6, false, now), AfterRefusal::Renew, "it had ended");
        assert_eq!(tokens.refused(7, true, now), AfterRefusal::End);
    }

    #[test]
    fn of_ten_living_tokens_the_last_one_is_kept_until_one_has_ended() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let end = |number: u64| now + Duration::from_secs(number);
        for number in 1..=10 {
            assert_eq!(tokens.refused(number, true, now), AfterRefusal::Renew, "{number}");
            tokens.given(end(number));
            tokens.accepted(number, || true);
        }
        assert_eq!(tokens.refused(10, true, now), AfterRefusal::Keep);
        assert_eq!(tokens.refused(10, true, end(1)), AfterRefusal::Renew);
    }
}
