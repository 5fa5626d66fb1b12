//! Judges whether the API is well: how long all workers rest when it is not, and when it is hopeless. Pure.
//!
//! The pool as a whole is as patient as one request. Where answers say that the API is not well, all workers rest; after that one of
//! them tries (or as many as the limit lets in), and so on, each rest longer than the one before, as often as one request would be repeated.
//!
//! A single payload can break things too: an API that answers it 500 or cuts the connection may do so because of what is in it. Such answers
//! rest nobody, and it takes many payloads in a row to call the API hopeless for them.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::reply::retry_after;
use crate::api::retry::Policy;
use crate::api::transport::{Answer, Kind};

/// An API that is not well has failed so many payloads at least, so that one that it cannot stand does not end a run.
const FEW: u32 = 3;
/// And rested the workers more often than this, also where requests are not to be repeated at all.
const RESTS: u32 = 3;
/// So many payloads in a row are not all to blame for what they are answered.
const MANY: u32 = 16;

/// What an answer says of the API's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is well, whatever it thinks of the payload.
    Well,
    /// It is not, or has too much to do: 429, 502, 503, 504, a timeout, no connection.
    Unwell {
        /// For how long it asks to be left alone.
        asked: Option<Duration>,
    },
    /// It failed, perhaps because of the payload: 500 and the like, a connection cut.
    Failed,
}

impl Sign {
    /// Reads it from an answer.
    pub fn of(answer: &Answer, now: Timestamp) -> Sign {
        match answer {
            Ok(reply) if matches!(reply.status, 429 | 502..=504) => Sign::Unwell { asked: retry_after(reply, now) },
            Ok(reply) if matches!(reply.status, 408 | 500..) => Sign::Failed,
            Ok(_) => Sign::Well,
            Err(broken) => match broken.kind {
                Kind::Connect | Kind::Lookup | Kind::Tls | Kind::Timeout => Sign::Unwell { asked: None },
                Kind::Certificate | Kind::ClientCertificate | Kind::Cut => Sign::Failed,
                Kind::TooLong | Kind::Encoded | Kind::Request => Sign::Failed,
            },
        }
    }
}

/// What one payload has been through, kept with it from try to try: in which streaks of failures it failed first and last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ordeal {
    first: Option<u64>,
    last: Option<u64>,
}

/// A rest for all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// How long it is.
    pub length: Duration,
    /// The how many-th it is since the API was last well, from 1.
    pub number: u32,
}

/// What is known of the API's health.
#[derive(Debug)]
pub struct Health {
    policy: Policy,
    /// Which streak of failures it is; each ends with an answer of an API that is well.
    streak: u64,
    /// Rests in this streak.
    rests: u32,
    /// Payloads that failed in this streak, each counted once.
    payloads: u32,
    /// Whether one of them spent all its patience in this streak.
    spent: bool,
    /// The last rest: from when, until when.
    rest: Option<(Instant, Instant)>,
}

impl Health {
    /// Of an API that nothing is known of.
    pub fn new(policy: Policy) -> Health {
        Health { policy, streak: 0, rests: 0, payloads: 0, spent: false, rest: None }
    }

    /// When the rest ends that workers have now.
    pub fn rest(&self, now: Instant) -> Option<Instant> {
        self.rest.map(|(_, until)| until).filter(|until| *until > now)
    }

    /// An answer came to a request that was let in at `entered`. Returns the rest that begins with it, if one does.
    pub fn note(
        &mut self,
        sign: Sign,
        ordeal: &mut Ordeal,
        entered: Instant,
        now: Instant,
        jitter: f64,
    ) -> Option<Rest> {
        if sign == Sign::Well {
            if self.payloads > 0 {
                self.streak += 1;
                (self.rests, self.payloads, self.spent) = (0, 0, false);
            }
            return None;
        }
        if ordeal.last != Some(self.streak) {
            ordeal.last = Some(self.streak);
            ordeal.first.get_or_insert(self.streak);
            self.payloads += 1;
        }
        let Sign::Unwell { asked } = sign else { return None };
        let length = self.policy.rest(self.rests, asked, jitter);
        match &mut self.rest {
            // Let in before the others learned of it: part of the same trouble.
            Some((since, until)) if entered < *since => {
                *until = (*until).max(now + asked.map_or(Duration::ZERO, |_| length));
                None
            }
            rest => {
                *rest = Some((now, now + length));
                self.rests = self.rests.saturating_add(1);
                Some(Rest { length, number: self.rests })
            }
        }
    }

    /// A payload's patience is over. It was tried in vain on an API that nobody found well meanwhile, or else it says nothing.
    pub fn spent(&mut self, ordeal: &Ordeal) {
        self.spent |= ordeal.first == Some(self.streak);
    }

    /// Whether patience was spent for all: until the API is well again, a payload is tried just once.
    pub fn is_doubtful(&self) -> bool {
        self.spent || self.rested_enough()
    }

    /// Whether the API fails as a whole.
    pub fn is_hopeless(&self) -> bool {
        (self.rested_enough() && self.payloads >= FEW) || (self.spent && self.payloads >= MANY)
    }

    /// How many payloads failed since the API was last well.
    pub fn payloads(&self) -> u32 {
        self.payloads
    }

    fn rested_enough(&self) -> bool {
        self.rests > self.policy.num_retries.max(RESTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{broken, status};

    /// Health with time that passes only as told.
    struct Bed {
        health: Health,
        now: Instant,
    }

    impl Bed {
        fn new(num_retries: u32) -> Bed {
            let policy = Policy { num_retries, backoff_factor: 1.5, statuses: vec![429, 500, 503] };
            Bed { health: Health::new(policy), now: Instant::now() }
        }

        /// A payload is tried, which takes 10 ms; the rest that follows, in milliseconds.
        fn tried(&mut self, sign: Sign, ordeal: &mut Ordeal) -> Option<u128> {
            let began = self.now;
            self.now += Duration::from_millis(10);
            self.health.note(sign, ordeal, began, self.now, 1.0).map(|rest| rest.length.as_millis())
        }

        /// Waits until nobody rests.
        fn wake(&mut self) {
            self.now = self.health.rest(self.now).unwrap_or(self.now);
        }
    }

    const UNWELL: Sign = Sign::Unwell { asked: None };

    #[test]
    fn what_an_answer_says_of_the_api() {
        let of = |answer: &Answer| Sign::of(answer, Timestamp::UNIX_EPOCH);
        for well in [200, 201, 400, 401, 403, 404, 409, 413] {
            assert_eq!(of(&status(well, "")), Sign::Well, "{well}");
        }
        for unwell in [429, 502, 503, 504] {
            assert_eq!(of(&status(unwell, "")), UNWELL, "{unwell}");
        }
        for failed in [408, 500, 501, 507] {
            assert_eq!(of(&status(failed, "")), Sign::Failed, "{failed}");
        }
        for kind in [Kind::Connect, Kind::Lookup, Kind::Tls, Kind::Timeout] {
            assert_eq!(of(&broken(kind)), UNWELL, "{kind:?}");
        }
        for kind in [Kind::Cut, Kind::Certificate, Kind::Request] {
            assert_eq!(of(&broken(kind)), Sign::Failed, "{kind:?}");
        }
        let asked = crate::api::reply::Reply { status: 503, retry_after: Some("7".into()), ..Default::default() };
        assert_eq!(of(&Ok(asked)), Sign::Unwell { asked: Some(Duration::from_secs(7)) });
    }

    #[test]
    fn an_api_that_stays_unwell_rests_everybody_as_one_request_would_wait_and_is_then_hopeless() {
        let mut bed = Bed::new(10);
        let mut ordeals = [Ordeal::default(); 8];
        let mut rests = Vec::new();
        while !bed.health.is_hopeless() {
            rests.extend(bed.tried(UNWELL, &mut ordeals[rests.len() % 8]));
            bed.wake();
        }
        assert_eq!(rests, [100, 500, 750, 1125, 1687, 2531, 3796, 5695, 8542, 12814, 19221]);
    }

    #[test]
    fn those_on_their_way_when_trouble_begins_are_part_of_it_and_only_prolong_what_they_were_told_to() {
        let mut bed = Bed::new(10);
        let (began, mut ordeal) = (bed.now, Ordeal::default());
        assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(100));
        let first = bed.health.rest(bed.now);
        for _ in 0..7 {
            assert_eq!(bed.health.note(UNWELL, &mut Ordeal::default(), began, bed.now, 1.0), None);
        }
        assert_eq!(bed.health.rest(bed.now), first);
        let asked = Sign::Unwell { asked: Some(Duration::from_secs(7)) };
        assert_eq!(bed.health.note(asked, &mut Ordeal::default(), began, bed.now, 1.0), None);
        assert_eq!(bed.health.rest(bed.now), Some(bed.now + Duration::from_secs(7)));
        bed.wake();
        assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(500), "the second rest");
    }

    #[test]
    fn an_api_that_serves_others_is_never_hopeless_and_rests_them_briefly() {
        let mut bed = Bed::new(0);
        for _ in 0..100 {
            let mut ordeal = Ordeal::default();
            assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(100));
            bed.health.spent(&ordeal);
            bed.wake();
            assert_eq!(bed.tried(Sign::Well, &mut Ordeal::default()), None);
            assert!(!bed.health.is_hopeless() && !bed.health.is_doubtful());
        }
    }

    #[test]
    fn a_payload_that_always_fails_alone_leaves_hope() {
        for sign in [Sign::Failed, UNWELL] {
            let (mut bed, mut ordeal) = (Bed::new(10), Ordeal::default());
            for _ in 0..11 {
                bed.tried(sign, &mut ordeal);
                bed.wake();
            }
            bed.health.spent(&ordeal);
            assert!(bed.health.is_doubtful() && !bed.health.is_hopeless(), "{sign:?}");
            bed.tried(Sign::Well, &mut Ordeal::default());
            assert!(!bed.health.is_doubtful(), "{sign:?}");
        }
    }

    #[test]
    fn failures_of_one_payload_after_the_other_are_hopeless_once_one_spent_its_patience() {
        let mut bed = Bed::new(10);
        let mut first = Ordeal::default();
        for _ in 0..11 {
            bed.tried(Sign::Failed, &mut first);
        }
        for _ in 0..20 {
            assert_eq!(bed.tried(Sign::Failed, &mut Ordeal::default()), None, "nobody rests for it");
            assert!(!bed.health.is_hopeless(), "nobody was patient in vain");
        }
        bed.health.spent(&first);
        assert!(bed.health.is_hopeless());
    }

    #[test]
    fn patience_that_was_spent_while_others_were_served_says_nothing() {
        let (mut bed, mut ordeal) = (Bed::new(10), Ordeal::default());
        bed.tried(Sign::Failed, &mut ordeal);
        bed.tried(Sign::Well, &mut Ordeal::default());
        bed.tried(Sign::Failed, &mut ordeal);
        bed.health.spent(&ordeal);
        assert!(!bed.health.is_doubtful());
    }
}
