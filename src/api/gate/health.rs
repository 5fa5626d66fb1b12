//! Judges whether the API is well: how long all workers rest when it is not, and when it is hopeless. Pure.
//!
//! Where answers say that the API is not well, all workers rest; after that one of them tries (or as many as the limit lets in), and so on,
//! each rest longer than the one before, until patience with the host is over ([`Patience`]). Where `num_retries` is set below its default,
//! the pool as a whole is only as patient as one request: it rests as often as one request would be repeated.
//!
//! A single payload can break things too: an API that answers it 500 or cuts the connection may do so because of what is in it. Such answers
//! rest nobody, and it takes many payloads in a row to call the API hopeless for them. Connections that are cut for one payload after the
//! other are the host's fault.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::origin::is_foreign;
use crate::api::patience::Patience;
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
    /// The connection was cut, perhaps because of the payload, perhaps because the host went away.
    Cut,
    /// It failed, perhaps because of the payload: 500 and the like.
    Failed,
    /// Nothing: somebody else answered.
    Foreign,
}

impl Sign {
    /// Reads it from an answer.
    pub fn of(answer: &Answer, now: Timestamp) -> Sign {
        match answer {
            Ok(reply) if reply.accepted() => Sign::Well,
            Ok(reply) if matches!(reply.status, 429 | 502..=504) => Sign::Unwell { asked: retry_after(reply, now) },
            Ok(reply) if is_foreign(reply) => Sign::Foreign,
            Ok(reply) if matches!(reply.status, 408 | 500..) => Sign::Failed,
            Ok(_) => Sign::Well,
            Err(broken) => match broken.kind {
                Kind::Connect | Kind::Lookup | Kind::NoSuchHost | Kind::Tls | Kind::Timeout => {
                    Sign::Unwell { asked: None }
                }
                Kind::Cut => Sign::Cut,
                Kind::Certificate | Kind::ClientCertificate | Kind::NoTls => Sign::Failed,
                Kind::TooLong | Kind::Encoded | Kind::Request => Sign::Failed,
            },
        }
    }
}

/// What one payload has been through, kept with it from try to try: in which streaks of failures it failed first and last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// What follows an answer for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The rest that begins with it, if one does.
    pub rest: Option<Rest>,
    /// Whether the API was well for others since this payload failed last.
    pub well: bool,
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
    /// How long the host was waited for in this streak.
    patience: Patience,
    /// Whether that was long enough.
    over: bool,
    /// Whether one of the payloads spent all its own patience in this streak.
    spent: bool,
    /// The last rest: from when, until when.
    rest: Option<(Instant, Instant)>,
}

impl Health {
    /// Of an API that nothing is known of.
    pub fn new(policy: Policy) -> Health {
        Health {
            policy,
            streak: 0,
            rests: 0,
            payloads: 0,
            patience: Patience::default(),
            over: false,
            spent: false,
            rest: None,
        }
    }

    /// When the rest ends that workers have now.
    pub fn rest(&self, now: Instant) -> Option<Instant> {
        self.rest.map(|(_, until)| until).filter(|until| *until > now)
    }

    /// The API was found well.
    pub fn well(&mut self) {
        if self.payloads > 0 {
            self.streak += 1;
            (self.rests, self.payloads, self.spent, self.over) = (0, 0, false, false);
            self.patience = Patience::default();
        }
    }

    /// An answer came to a request that was let in at `entered`. `heard`: whether the host was heard in this run.
    pub fn note(
        &mut self,
        sign: Sign,
        ordeal: &mut Ordeal,
        entered: Instant,
        now: Instant,
        heard: bool,
        jitter: f64,
    ) -> Noted {
        match sign {
            Sign::Well => {
                self.well();
                return Noted { rest: None, well: true };
            }
            Sign::Foreign => return Noted { rest: None, well: true },
            Sign::Unwell { .. } | Sign::Cut | Sign::Failed => {}
        }
        let well = ordeal.last != Some(self.streak);
        if well {
            ordeal.last = Some(self.streak);
            ordeal.first.get_or_insert(self.streak);
            self.payloads += 1;
        }
        let asked = match sign {
            Sign::Unwell { asked } => asked,
            Sign::Cut => None,
            Sign::Well | Sign::Failed | Sign::Foreign => return Noted { rest: None, well },
        };
        let part_of_it = self.rest.is_some_and(|(since, _)| entered < since);
        self.patience.tried(asked.filter(|_| !part_of_it), now);
        let rest = match sign {
            // One payload may be to blame for it.
            Sign::Cut if self.payloads < FEW => None,
            _ => self.begin(asked, entered, now, heard, jitter),
        };
        self.over = match self.policy.is_bounded() {
            true => self.rests > self.policy.num_retries.max(RESTS),
            false => self.patience.is_over(&self.policy, heard, now),
        };
        Noted { rest, well }
    }

    fn begin(
        &mut self,
        asked: Option<Duration>,
        entered: Instant,
        now: Instant,
        heard: bool,
        jitter: f64,
    ) -> Option<Rest> {
        let wanted = self.policy.rest(self.rests, asked, jitter);
        match &mut self.rest {
            // Let in before the others learned of it: part of the same trouble.
            Some((since, until)) if entered < *since => {
                *until = (*until).max(now + asked.map_or(Duration::ZERO, |_| wanted));
                None
            }
            rest => {
                let length = match self.policy.is_bounded() {
                    true => wanted,
                    false => self.patience.wait(&self.policy, heard, wanted, asked.is_some(), now),
                };
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
        self.spent || self.over
    }

    /// Whether the API fails as a whole.
    pub fn is_hopeless(&self) -> bool {
        (self.over && self.payloads >= FEW) || (self.spent && self.payloads >= MANY)
    }

    /// How many payloads failed since the API was last well.
    pub fn payloads(&self) -> u32 {
        self.payloads
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
            let patience = Duration::from_secs(300);
            let policy = Policy { num_retries, backoff_factor: 1.5, statuses: vec![429, 500, 503], patience };
            Bed { health: Health::new(policy), now: Instant::now() }
        }

        /// A payload is tried, which takes 10 ms; the rest that follows, in milliseconds.
        fn tried(&mut self, sign: Sign, ordeal: &mut Ordeal) -> Option<u128> {
            let began = self.now;
            self.now += Duration::from_millis(10);
            self.health.note(sign, ordeal, began, self.now, true, 1.0).rest.map(|rest| rest.length.as_millis())
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
        for kind in [Kind::Connect, Kind::Lookup, Kind::NoSuchHost, Kind::Tls, Kind::Timeout] {
            assert_eq!(of(&broken(kind)), UNWELL, "{kind:?}");
        }
        assert_eq!(of(&broken(Kind::Cut)), Sign::Cut);
        for foreign in [202, 302, 402, 511] {
            assert_eq!(of(&status(foreign, "")), Sign::Foreign, "{foreign}");
        }
        for kind in [Kind::Certificate, Kind::NoTls, Kind::Request] {
            assert_eq!(of(&broken(kind)), Sign::Failed, "{kind:?}");
        }
        let asked = crate::api::reply::Reply { status: 503, retry_after: Some("7".into()), ..Default::default() };
        assert_eq!(of(&Ok(asked)), Sign::Unwell { asked: Some(Duration::from_secs(7)) });
    }

    /// The rests until an API that always gives this sign is hopeless, and how long they took in all, in seconds.
    fn rests(bed: &mut Bed, sign: Sign) -> (Vec<u128>, u64) {
        let (began, mut ordeals) = (bed.now, [Ordeal::default(); 8]);
        let (mut rests, mut tried) = (Vec::new(), 0);
        while !bed.health.is_hopeless() {
            rests.extend(bed.tried(sign, &mut ordeals[tried % 8]));
            tried += 1;
            bed.wake();
        }
        (rests, (bed.now - began).as_secs())
    }

    #[test]
    fn an_api_that_stays_unwell_rests_everybody_for_as_long_as_patience_lasts_and_is_then_hopeless() {
        let (rests, seconds) = rests(&mut Bed::new(10), UNWELL);
        assert_eq!(rests[..10], [100, 500, 750, 1125, 1687, 2531, 3796, 5695, 8542, 10_000]);
        assert!(seconds == 300 && rests[10..rests.len() - 2].iter().all(|rest| *rest == 10_000), "{seconds} {rests:?}");
    }

    #[test]
    fn a_restart_of_ninety_seconds_is_survived() {
        for sign in [UNWELL, Sign::Cut] {
            for payloads in [1, 8] {
                let (mut bed, mut ordeals) = (Bed::new(10), vec![Ordeal::default(); payloads]);
                let back = bed.now + Duration::from_secs(90);
                for number in 0.. {
                    bed.tried(sign, &mut ordeals[number % payloads]);
                    assert!(!bed.health.is_hopeless() && !bed.health.is_doubtful(), "{sign:?} {payloads}");
                    // Where nobody rests the payload itself waits.
                    bed.now = bed.health.rest(bed.now).unwrap_or(bed.now + Duration::from_secs(5));
                    if bed.now >= back {
                        break;
                    }
                }
                assert!(bed.now < back + Duration::from_secs(10), "it is soon noticed that the host is back");
                bed.tried(Sign::Well, &mut ordeals[0]);
                assert_eq!(bed.tried(UNWELL, &mut ordeals[0]), Some(100), "it is a new trouble");
            }
        }
    }

    #[test]
    fn few_repetitions_end_patience_with_the_host_as_well() {
        let (rests, _) = rests(&mut Bed::new(5), UNWELL);
        assert_eq!(rests, [100, 500, 750, 1125, 1687, 2531]);
    }

    #[test]
    fn at_the_start_of_a_run_a_host_is_waited_for_half_a_minute() {
        let Bed { mut health, mut now } = Bed::new(10);
        let began = now;
        while !health.is_hopeless() {
            health.note(UNWELL, &mut Ordeal::default(), now, now, false, 1.0);
            now = health.rest(now).unwrap_or(now);
        }
        assert_eq!((now - began).as_secs(), 30);
    }

    #[test]
    fn connections_cut_for_one_payload_after_the_other_are_the_hosts_fault() {
        let mut bed = Bed::new(10);
        let mut poison = Ordeal::default();
        (0..5).for_each(|_| assert_eq!(bed.tried(Sign::Cut, &mut poison), None, "it may be to blame"));
        assert_eq!(bed.tried(Sign::Cut, &mut Ordeal::default()), None);
        assert_eq!(bed.tried(Sign::Cut, &mut Ordeal::default()), Some(100));
    }

    #[test]
    fn a_payload_is_told_whether_others_found_the_api_well_meanwhile() {
        let (mut bed, mut ordeal) = (Bed::new(10), Ordeal::default());
        let mut tried = |bed: &mut Bed| bed.health.note(UNWELL, &mut ordeal, bed.now, bed.now, true, 1.0).well;
        assert!(tried(&mut bed), "the first time");
        assert!(!tried(&mut bed) && !tried(&mut bed));
        bed.tried(Sign::Foreign, &mut Ordeal::default());
        assert!(!tried(&mut bed), "what somebody else says is no sign of the API");
        bed.tried(Sign::Well, &mut Ordeal::default());
        assert!(tried(&mut bed));
    }

    #[test]
    fn those_on_their_way_when_trouble_begins_are_part_of_it_and_only_prolong_what_they_were_told_to() {
        let mut bed = Bed::new(10);
        let (began, mut ordeal) = (bed.now, Ordeal::default());
        assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(100));
        let first = bed.health.rest(bed.now);
        for _ in 0..7 {
            assert_eq!(bed.health.note(UNWELL, &mut Ordeal::default(), began, bed.now, true, 1.0).rest, None);
        }
        assert_eq!(bed.health.rest(bed.now), first);
        let asked = Sign::Unwell { asked: Some(Duration::from_secs(7)) };
        assert_eq!(bed.health.note(asked, &mut Ordeal::default(), began, bed.now, true, 1.0).rest, None);
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
            bed.now += Duration::from_secs(300);
            bed.tried(sign, &mut ordeal);
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
