//! Decides whether a request is repeated, and when. Pure: the clock, the dice and the sleep are somebody else's.

use std::time::Duration;

use jiff::Timestamp;

use super::reply::{refusal, retry_after};
use super::transport::Answer;
use crate::config::Connection;

/// The delay before the first repetition, before jitter.
const FIRST: Duration = Duration::from_millis(500);

/// How long all workers rest where the API was well a moment ago: most likely they were too many for it.
const FIRST_REST: Duration = Duration::from_millis(100);

/// No delay of our own is longer.
const LONGEST: Duration = Duration::from_secs(60);

/// A host that does not answer is tried at least so often, so that it is soon noticed when it is back.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// No `Retry-After` is obeyed for longer, so that an absurd one cannot stall a run. A host that asks for more is asked
/// again earlier, and the repetition counts.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(300);

/// A request that met another one for the same record is repeated so often: the first of two that raced is done by then.
const RACES: u32 = 2;

/// The repetitions that the configuration has by default. Who sets fewer wants an end soon, also of waiting for the host.
const USUAL_RETRIES: u32 = 10;

/// What the configuration says about repeating requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How often a request is repeated after the first try.
    pub num_retries: u32,
    /// By how much each delay is longer than the one before.
    pub backoff_factor: f64,
    /// The statuses after which a request is repeated; just these.
    pub statuses: Vec<u16>,
    /// For how long a host as a whole is waited for.
    pub patience: Duration,
}

/// Why a request is to be repeated, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not: the answer stands, or no waiting helps.
    Nothing,
    /// The host as a whole does not answer, or has too much to do. That says nothing of the request.
    Host,
    /// The server failed at it, perhaps because of what is in it.
    Server,
    /// It met another request for the same record, or a transaction that the database gave up.
    Race,
}

/// How often a request was repeated, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Repetitions that count.
    pub repeated: u32,
    /// Repetitions while nobody found the host well, which count only for the length of delays.
    waited: u32,
    /// Repetitions after races.
    races: u32,
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
            patience: connection.patience,
        }
    }

    /// Whether `num_retries` bounds patience with the host too.
    pub fn is_bounded(&self) -> bool {
        self.num_retries < USUAL_RETRIES
    }

    /// Why the request that got this answer is to be repeated. `heard`: whether the host was heard in this run.
    ///
    /// Listed statuses and broken connections are repeated: a POST is an upsert, so that a repetition of one that had
    /// arrived does no harm.
    pub fn fault(&self, answer: &Answer, heard: bool) -> Fault {
        match answer {
            Ok(reply) if self.statuses.contains(&reply.status) => match reply.status {
                429 | 502..=504 => Fault::Host,
                _ => Fault::Server,
            },
            Ok(reply) if matches!(reply.status, 400 | 409 | 412) && refusal(reply).is_race() => Fault::Race,
            Ok(_) => Fault::Nothing,
            Err(broken) if broken.retryable(heard) => Fault::Host,
            Err(_) => Fault::Nothing,
        }
    }

    /// What follows a fault, given how often the request was repeated already; notes what follows. `well`: the host was well for others
    /// since the request was tried last, or it was tried for the first time.
    ///
    /// Where the API says `Retry-After`, that rules, except that "at once" is not believed of an
    /// API that has just refused. Otherwise the delay grows by the factor and is taken between half and whole of it,
    /// by `jitter` in `[0, 1)`, so that workers do not come back together.
    pub fn decide(&self, tries: &mut Tries, fault: Fault, well: bool, asked: Option<Duration>, jitter: f64) -> Next {
        let longer = tries.repeated.saturating_add(tries.waited);
        let (count, most) = match fault {
            Fault::Nothing => return Next::Final,
            Fault::Race => (&mut tries.races, RACES.min(self.num_retries)),
            Fault::Host if !well && !self.is_bounded() => (&mut tries.waited, u32::MAX),
            Fault::Host | Fault::Server => (&mut tries.repeated, self.num_retries),
        };
        if *count >= most {
            return Next::Final;
        }
        let spread = self.spread(if fault == Fault::Race { *count } else { longer }, jitter);
        *count += 1;
        let own = if fault == Fault::Host && !self.is_bounded() { spread.min(LONGEST_REST) } else { spread };
        Next::After(obeyed(asked).unwrap_or(own))
    }

    /// How long all workers rest, given how often they did so since the API was last well, and for how long it asks to be left alone. Together
    /// with a short first rest, the pool as a whole waits as one request does.
    pub fn rest(&self, rested: u32, asked_for: Option<Duration>, jitter: f64) -> Duration {
        obeyed(asked_for).unwrap_or_else(|| match rested {
            0 => FIRST_REST,
            _ => self.spread(rested - 1, jitter).min(LONGEST_REST),
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

/// What an answer asks for, if it asks.
pub fn asked_for(answer: &Answer, now: Timestamp) -> Option<Duration> {
    obeyed(answer.as_ref().ok().and_then(|reply| retry_after(reply, now)))
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
        let patience = Duration::from_secs(300);
        Policy { num_retries: 10, backoff_factor: 1.5, statuses: vec![429, 500, 502, 503, 504], patience }
    }

    fn status(status: u16) -> Answer {
        Ok(Reply { status, ..Reply::default() })
    }

    fn broken(kind: Kind) -> Answer {
        Err(Broken { kind, text: "gone".into() })
    }

    /// The delays in milliseconds until a request that always fails so is given up, or the first forty.
    fn schedule(policy: &Policy, fault: Fault, well: bool, jitter: f64) -> Vec<u128> {
        let mut tries = Tries::default();
        (0..40)
            .map_while(|_| match policy.decide(&mut tries, fault, well, None, jitter) {
                Next::After(delay) => Some(delay.as_millis()),
                Next::Final => None,
            })
            .collect()
    }

    #[test]
    fn the_default_schedule_takes_between_28_and_57_seconds() {
        let whole = [500, 750, 1125, 1687, 2531, 3796, 5695, 8542, 12814, 19221];
        let half = [250, 375, 562, 843, 1265, 1898, 2847, 4271, 6407, 9610];
        assert_eq!(schedule(&policy(), Fault::Server, true, 1.0), whole);
        assert_eq!(schedule(&policy(), Fault::Server, false, 0.0), half);
    }

    #[test]
    fn no_delay_is_longer_than_a_minute() {
        let steep = Policy { num_retries: 40, backoff_factor: 10.0, ..policy() };
        let delays = schedule(&steep, Fault::Server, true, 0.0);
        assert_eq!((&delays[..4], delays[39]), (&[250, 2_500, 25_000, 30_000][..], 30_000));
        for factor in [f64::NAN, f64::INFINITY, -1.0] {
            let odd = Policy { backoff_factor: factor, ..policy() };
            assert_eq!(schedule(&odd, Fault::Server, true, 0.0)[1], 30_000, "{factor}");
        }
    }

    #[test]
    fn just_the_listed_statuses_are_repeated() {
        for host in [429, 502, 503, 504] {
            assert_eq!(policy().fault(&status(host), true), Fault::Host, "{host}");
        }
        assert_eq!(policy().fault(&status(500), true), Fault::Server);
        for other in [200, 302, 400, 403, 404, 408, 501, 511] {
            assert_eq!(policy().fault(&status(other), true), Fault::Nothing, "{other}");
        }
        let own = Policy { statuses: vec![403], ..policy() };
        assert_eq!(own.fault(&status(403), true), Fault::Server);
        assert_eq!(own.fault(&status(503), true), Fault::Nothing);
    }

    #[test]
    fn a_broken_connection_is_repeated_unless_repeating_cannot_help() {
        for kind in [Kind::Connect, Kind::Lookup, Kind::Tls, Kind::Timeout, Kind::Cut] {
            assert_eq!(policy().fault(&broken(kind), false), Fault::Host, "{kind:?}");
        }
        for kind in [Kind::Certificate, Kind::ClientCertificate, Kind::TooLong, Kind::Request, Kind::NoTls] {
            assert_eq!(policy().fault(&broken(kind), true), Fault::Nothing, "{kind:?}");
        }
    }

    #[test]
    fn a_host_that_nobody_knows_is_waited_for_only_if_it_was_heard_before() {
        assert_eq!(policy().fault(&broken(Kind::NoSuchHost), false), Fault::Nothing);
        assert_eq!(policy().fault(&broken(Kind::NoSuchHost), true), Fault::Host);
    }

    #[test]
    fn races_are_repeated_twice() {
        let race = |status, body: &str| {
            policy().fault(&Ok(Reply { status, body: body.into(), ..Reply::default() }), true) == Fault::Race
        };
        for kind in ["data-conflict:multi-user-conflict", "data-conflict:non-unique-identity", "identity-conflict"] {
            assert!(race(409, &format!(r#"{{"type":"urn:ed-fi:api:{kind}"}}"#)), "{kind}");
        }
        assert!(race(409, "") && race(412, "") && race(400, r#"{"errors":["40P01: deadlock detected"]}"#));
        assert!(!race(409, r#"{"type":"urn:ed-fi:api:data-conflict:unresolved-reference"}"#));
        assert!(!race(400, r#"{"errors":["School 40001 is wrong"]}"#));
        assert_eq!(schedule(&policy(), Fault::Race, true, 1.0), [500, 750]);
        assert_eq!(schedule(&Policy { num_retries: 1, ..policy() }, Fault::Race, true, 1.0), [500]);
        assert!(schedule(&Policy { num_retries: 0, ..policy() }, Fault::Race, true, 1.0).is_empty());
    }

    #[test]
    fn an_outage_of_the_host_costs_a_request_no_repetitions_unless_few_are_wanted() {
        let delays = schedule(&policy(), Fault::Host, false, 1.0);
        assert_eq!((delays.len(), delays[39]), (40, 10_000), "for as long as patience with the host lasts");
        assert_eq!(schedule(&policy(), Fault::Host, true, 1.0).len(), 10, "it failed ten times while others succeeded");
        let few = Policy { num_retries: 3, ..policy() };
        assert_eq!(schedule(&few, Fault::Host, false, 1.0), [500, 750, 1125]);
        let none = Policy { num_retries: 0, ..policy() };
        assert!(schedule(&none, Fault::Host, false, 0.0).is_empty());
    }

    #[test]
    fn the_pool_rests_as_one_request_waits_and_is_soon_back() {
        let rests: Vec<_> = (0..12).map(|rested| policy().rest(rested, None, 1.0).as_millis()).collect();
        assert_eq!(rests, [100, 500, 750, 1125, 1687, 2531, 3796, 5695, 8542, 10_000, 10_000, 10_000]);
        let asked = |seconds| policy().rest(3, Some(Duration::from_secs(seconds)), 1.0).as_millis();
        assert_eq!([asked(7), asked(86_400), asked(0)], [7_000, 300_000, 1_125]);
    }

    #[test]
    fn retry_after_rules_within_reason() {
        let after = |wait: &str| {
            let answer = Ok(Reply { status: 429, retry_after: Some(wait.into()), ..Reply::default() });
            let asked = asked_for(&answer, Timestamp::UNIX_EPOCH);
            policy().decide(&mut Tries::default(), Fault::Host, true, asked, 0.0)
        };
        assert_eq!(after("7"), Next::After(Duration::from_secs(7)));
        assert_eq!(after("Thu, 01 Jan 1970 00:00:09 GMT"), Next::After(Duration::from_secs(9)));
        assert_eq!(after("86400"), Next::After(Duration::from_secs(300)));
        assert_eq!(after("0"), Next::After(Duration::from_millis(250)));
        assert_eq!(after("soon"), Next::After(Duration::from_millis(250)));
    }
}
