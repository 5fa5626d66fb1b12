//! Decides whether a request is repeated, and when. Pure: the clock, the dice and the sleep are somebody else's.

use std::time::Duration;

use jiff::Timestamp;

use super::reply::retry_after;
use super::transport::Answer;
use crate::config::Connection;

/// The delay before the first repetition, before jitter.
const FIRST: Duration = Duration::from_millis(500);

/// How long all workers rest where the API was well a moment ago: most likely they were too many for it.
const FIRST_REST: Duration = Duration::from_millis(100);

/// No delay of our own is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// No `Retry-After` is obeyed for longer, so that an absurd one cannot stall a run. A host that asks for more is asked
/// again earlier, and the repetition counts.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(300);

/// What the configuration says about repeating requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How often a request is repeated after the first try.
    pub num_retries: u32,
    /// By how much each delay is longer than the one before.
    pub backoff_factor: f64,
    /// The statuses after which a request is repeated; just these.
    pub statuses: Vec<u16>,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The answer stands.
    Final,
    /// The same request again, after this delay.
    After(Duration),
}

impl Policy {
    /// The policy that the configuration describes.
    pub fn new(connection: &Connection) -> Policy {
        Policy {
            num_retries: connection.num_retries,
            backoff_factor: connection.backoff_factor,
            statuses: connection.retry_statuses.clone(),
        }
    }

    /// What follows `answer`, given how often the request was repeated already.
    ///
    /// Listed statuses and broken connections are repeated: a POST is an upsert, so that a repetition of one that had
    /// arrived does no harm. Where the API says `Retry-After`, that rules, except that "at once" is not believed of an
    /// API that has just refused. Otherwise the delay grows by the factor and is taken between half and whole of it,
    /// by `jitter` in `[0, 1)`, so that workers do not come back together.
    pub fn decide(&self, repeated: u32, answer: &Answer, now: Timestamp, jitter: f64) -> Next {
        let worth_it = match answer {
            Ok(reply) => self.statuses.contains(&reply.status),
            Err(broken) => broken.retryable(),
        };
        if !worth_it || repeated >= self.num_retries {
            return Next::Final;
        }
        let asked_for = answer.as_ref().ok().and_then(|reply| retry_after(reply, now));
        Next::After(obeyed(asked_for).unwrap_or_else(|| self.spread(repeated, jitter)))
    }

    /// How long all workers rest, given how often they did so since the API was last well, and for how long it asks to be left alone. Together
    /// with a short first rest, the pool as a whole waits as one request does.
    pub fn rest(&self, rested: u32, asked_for: Option<Duration>, jitter: f64) -> Duration {
        obeyed(asked_for).unwrap_or_else(|| match rested {
            0 => FIRST_REST,
            _ => self.spread(rested - 1, jitter),
        })
    }

    fn spread(&self, repeated: u32, jitter: f64) -> Duration {
        self.backoff(repeated).mul_f64(0.5 + jitter / 2.0)
    }

    fn backoff(&self, repeated: u32) -> Duration {
        let seconds = FIRST.as_secs_f64() * self.backoff_factor.powi(repeated.min(1_000) as i32);
        // Not a number fails the comparison and takes the longest delay.
        if (0.0..LONGEST.as_secs_f64()).contains(&seconds) { Duration::from_secs_f64(seconds) } else { LONGEST }
    }
}

/// What is obeyed of a `Retry-After`.
fn obeyed(asked_for: Option<Duration>) -> Option<Duration> {
    asked_for.filter(|wait| !wait.is_zero()).map(|wait| wait.min(LONGEST_ASKED_FOR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reply::Reply;
    use crate::api::transport::{Broken, Kind};

    fn policy() -> Policy {
        Policy { num_retries: 10, backoff_factor: 1.5, statuses: vec![429, 500, 502, 503, 504] }
    }

    fn status(status: u16) -> Answer {
        Ok(Reply { status, ..Reply::default() })
    }

    fn asks_for(wait: &str) -> Answer {
        Ok(Reply { status: 429, retry_after: Some(wait.into()), ..Reply::default() })
    }

    fn broken(kind: Kind) -> Answer {
        Err(Broken { kind, text: "gone".into() })
    }

    fn decide(policy: &Policy, repeated: u32, answer: &Answer, jitter: f64) -> Next {
        policy.decide(repeated, answer, Timestamp::UNIX_EPOCH, jitter)
    }

    fn schedule(policy: &Policy, jitter: f64) -> Vec<u128> {
        (0..)
            .map_while(|repeated| match decide(policy, repeated, &status(503), jitter) {
                Next::After(delay) => Some(delay.as_millis()),
                Next::Final => None,
            })
            .collect()
    }

    #[test]
    fn the_default_schedule_takes_between_28_and_57_seconds() {
        let whole = [500, 750, 1125, 1687, 2531, 3796, 5695, 8542, 12814, 19221];
        let half = [250, 375, 562, 843, 1265, 1898, 2847, 4271, 6407, 9610];
        assert_eq!(schedule(&policy(), 1.0), whole);
        assert_eq!(schedule(&policy(), 0.0), half);
    }

    #[test]
    fn no_delay_is_longer_than_a_minute() {
        let steep = Policy { num_retries: 40, backoff_factor: 10.0, ..policy() };
        assert_eq!(schedule(&steep, 0.0)[..4], [250, 2_500, 25_000, 30_000]);
        assert_eq!(schedule(&steep, 0.0)[39], 30_000);
        for factor in [f64::NAN, f64::INFINITY, -1.0] {
            let odd = Policy { backoff_factor: factor, ..policy() };
            assert_eq!(decide(&odd, 1, &status(503), 0.0), Next::After(Duration::from_secs(30)), "{factor}");
        }
    }

    #[test]
    fn just_the_listed_statuses_are_repeated() {
        for listed in [429, 500, 502, 503, 504] {
            assert_ne!(decide(&policy(), 0, &status(listed), 0.0), Next::Final, "{listed}");
        }
        for other in [200, 400, 403, 404, 408, 409, 501] {
            assert_eq!(decide(&policy(), 0, &status(other), 0.0), Next::Final, "{other}");
        }
        let own = Policy { statuses: vec![409], ..policy() };
        assert_ne!(decide(&own, 0, &status(409), 0.0), Next::Final);
        assert_eq!(decide(&own, 0, &status(503), 0.0), Next::Final);
    }

    #[test]
    fn a_broken_connection_is_repeated_unless_repeating_cannot_help() {
        for kind in [Kind::Connect, Kind::Lookup, Kind::Tls, Kind::Timeout, Kind::Cut] {
            assert_ne!(decide(&policy(), 0, &broken(kind), 0.0), Next::Final, "{kind:?}");
        }
        for kind in [Kind::Certificate, Kind::Request] {
            assert_eq!(decide(&policy(), 0, &broken(kind), 0.0), Next::Final, "{kind:?}");
        }
    }

    #[test]
    fn patience_ends() {
        assert_eq!(decide(&policy(), 10, &status(503), 0.0), Next::Final);
        let none = Policy { num_retries: 0, ..policy() };
        assert_eq!(decide(&none, 0, &broken(Kind::Cut), 0.0), Next::Final);
    }

    #[test]
    fn the_pool_rests_as_one_request_waits() {
        let rests: Vec<_> = (0..5).map(|rested| policy().rest(rested, None, 1.0).as_millis()).collect();
        assert_eq!(rests, [100, 500, 750, 1125, 1687]);
        let asked = |seconds| policy().rest(3, Some(Duration::from_secs(seconds)), 1.0).as_millis();
        assert_eq!([asked(7), asked(86_400), asked(0)], [7_000, 300_000, 1_125]);
    }

    #[test]
    fn retry_after_rules_within_reason() {
        let after = |wait| decide(&policy(), 0, &asks_for(wait), 0.0);
        assert_eq!(after("7"), Next::After(Duration::from_secs(7)));
        assert_eq!(after("Thu, 01 Jan 1970 00:00:09 GMT"), Next::After(Duration::from_secs(9)));
        assert_eq!(after("86400"), Next::After(Duration::from_secs(300)));
        assert_eq!(after("0"), Next::After(Duration::from_millis(250)));
        assert_eq!(after("soon"), Next::After(Duration::from_millis(250)));
        assert_eq!(decide(&policy(), 10, &asks_for("7"), 0.0), Next::Final);
    }
}
