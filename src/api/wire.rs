//! Asks again until there is an answer to go by: the one place that joins transport, policy and sleep.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::gate::Gate;
use super::gate::limiter::Limits;
use super::patience::Patience;
use super::reply::refusal;
use super::request::Request;
use super::retry::{Fault, Next, Policy, Tries, asked_for};
use super::transport::{Answer, Transport};
use crate::clock;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::text::secrets::Secrets;
use crate::text::shortened;

/// Sleeps, or tells how the program is to end because somebody asked it to.
pub type Sleep = Box<dyn Fn(Duration) -> Result<(), Exit> + Send + Sync>;

/// Tells the time.
pub type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A transport with the patience to use it.
pub struct Wire {
    /// What carries requests.
    pub transport: Box<dyn Transport>,
    /// When they are repeated.
    pub policy: Policy,
    /// What payloads pass, and where all workers rest.
    pub gate: Arc<Gate>,
    /// The login, once it was made, which no answer may show.
    pub secrets: OnceLock<Secrets>,
    /// The only sleep of this room.
    pub sleep: Sleep,
    /// The time that tokens age by.
    pub clock: Clock,
    /// A number in `[0, 1)`, another one each time.
    pub jitter: fn() -> f64,
}

/// What came of asking patiently.
#[derive(Debug)]
pub struct Exchange {
    /// The last answer.
    pub answer: Answer,
    /// How often it was asked, at least once.
    pub attempts: u32,
    /// How the program is to end, if somebody asked for that before patience ended.
    pub interrupted: Option<Exit>,
}

impl Wire {
    /// The wire that real runs use. Nobody sleeps on once the gate is shut.
    pub fn new(transport: Box<dyn Transport>, policy: Policy, limits: Limits, interrupt: &Interrupt) -> Wire {
        let gate = Arc::new(Gate::new(limits, policy.clone()));
        let (interrupt, watched) = (interrupt.clone(), gate.clone());
        let ends = move || interrupt.asked().or_else(|| watched.is_shut().then_some(Exit::GivenUp));
        let sleep = move |delay| clock::sleep(delay, &ends);
        let secrets = OnceLock::new();
        Wire { transport, policy, gate, secrets, sleep: Box::new(sleep), clock: Box::new(Instant::now), jitter }
    }

    /// Asks once.
    pub fn once(&self, request: &Request<'_>) -> Answer {
        let mut answer = self.transport.call(request);
        if let (Ok(reply), Some(secrets)) = (&mut answer, self.secrets.get())
            && !reply.accepted()
        {
            reply.hide(secrets);
        }
        self.gate.hear(&answer);
        answer
    }

    /// Asks until it is accepted, the policy says that the answer is final, patience with the host is over, or `goes_on` says so, which hears
    /// of every other answer with the delay until the next try. An error of `call` ends it at once.
    ///
    /// For documents and tokens, that workers wait for anyhow.
    pub fn patiently<E>(
        &self,
        mut call: impl FnMut() -> Result<Answer, E>,
        mut goes_on: impl FnMut(&Answer, Duration) -> bool,
    ) -> Result<Exchange, E> {
        let mut attempts = 0;
        let (mut tries, mut patience) = (Tries::default(), Patience::default());
        loop {
            let answer = call()?;
            attempts += 1;
            if answer.as_ref().is_ok_and(|reply| reply.accepted()) {
                return Ok(Exchange { answer, attempts, interrupted: None });
            }
            let interrupted = match self.next(&answer, &mut tries, &mut patience) {
                Next::After(delay) if goes_on(&answer, delay) => match (self.sleep)(delay) {
                    Ok(()) => continue,
                    Err(exit) => Some(exit),
                },
                Next::Final | Next::After(_) => None,
            };
            return Ok(Exchange { answer, attempts, interrupted });
        }
    }

    /// What follows an answer to a request that passes no gate.
    fn next(&self, answer: &Answer, tries: &mut Tries, patience: &mut Patience) -> Next {
        let (policy, heard, now) = (&self.policy, self.gate.heard(), (self.clock)());
        let (fault, asked) = (policy.fault(answer, heard), asked_for(answer, Timestamp::now()));
        let next = policy.decide(tries, fault, false, asked, (self.jitter)());
        match next {
            Next::After(delay) if fault == Fault::Host && !policy.is_bounded() => {
                patience.tried(asked, now);
                match patience.is_over(policy, heard, now) {
                    true => Next::Final,
                    false => Next::After(patience.wait(policy, heard, delay, asked.is_some(), now)),
                }
            }
            next => next,
        }
    }
}

/// So much of an answer stands in a line of the log or in an error; results and rejects have all of it.
const LONGEST_SAID: usize = 500;

/// An answer that was no acceptance, on one line.
pub fn in_words(answer: &Answer) -> String {
    match answer {
        Ok(reply) => {
            let refusal = refusal(reply);
            let text = shortened(&refusal.text(), LONGEST_SAID);
            // That sentence begins with the status itself.
            if refusal.foreign { text } else { format!("{}, {text}", reply.status) }
        }
        Err(broken) => broken.text.clone(),
    }
}

/// The standard library seeds every hasher anew, which is dice enough to keep workers apart.
fn jitter() -> f64 {
    (RandomState::new().build_hasher().finish() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_stay_in_range_and_differ() {
        let thrown: Vec<f64> = (0..100).map(|_| jitter()).collect();
        assert!(thrown.iter().all(|d| (0.0..1.0).contains(d)));
        assert!(thrown.windows(2).any(|two| two[0] != two[1]));
    }
}
