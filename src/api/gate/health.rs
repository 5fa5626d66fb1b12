//! Judges whether the API is well: how long all workers rest when it is not, and when it is hopeless. Pure.
//!
//! Where answers say that the API is not well, all workers rest; after that one of them tries (or as many as the limit lets in), and so on,
//! each rest longer than the one before, until patience with the host is over ([`Patience`]). Where `num_retries` is set below its default,
//! the pool as a whole is only as patient as one request: it rests as often as one request would be repeated.
//!
//! A single payload can break things too: an API that answers it 500 or cuts the connection may do so because of what is in it. Such answers
//! rest nobody, until so many payloads in a row got them that the payloads cannot be the cause: a few whose connections are cut, many that are
//! answered 500.

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

impl Ordeal {
    /// That of a payload that is known to be to blame for its failures.
    pub fn to_blame() -> Ordeal {
        Ordeal { first: Some(u64::MAX), last: None }
    }
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
        // One that others were served after, and that fails again, is itself to blame: that says nothing of the API.
        let to_blame = ordeal.first.is_some_and(|first| first != self.streak);
        if to_blame && matches!(sign, Sign::Cut | Sign::Failed) {
            return Noted { rest: None, well: true };
        }
        let well = ordeal.last != Some(self.streak);
        if well {
            ordeal.last = Some(self.streak);
            ordeal.first.get_or_insert(self.streak);
            self.payloads += 1;
        }
        let asked = match sign {
            Sign::Unwell { asked } => asked,
            Sign::Well | Sign::Cut | Sign::Failed | Sign::Foreign => None,
        };
        let part_of_it = self.rest.is_some_and(|(since, _)| entered < since);
        if sign != Sign::Failed || self.payloads >= MANY {
            self.patience.tried(asked.filter(|_| !part_of_it), now);
        }
        let rest = match sign {
            // One payload may be to blame for it, or some neighbours.
            Sign::Cut if self.payloads < FEW || self.policy.is_bounded() => None,
            Sign::Failed if self.payloads < MANY => None,
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
mod tests;
