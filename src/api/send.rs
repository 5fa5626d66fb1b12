//! Sends one request for data, a payload or a question: once ([`attempt`]), or until its fate is known ([`send`]).

use std::time::Duration;

use jiff::Timestamp;

use super::gate::Asked;
use super::gate::health::Ordeal;
use super::origin::is_page;
use super::refusal::Refusal;
use super::reply::{Reply, refusal};
use super::request::Request;
use super::retry::{Fault, Next, Tries, asked_for};
use super::session::Session;
use super::tokens::AfterRefusal;
use super::transport::Answer;
use super::transport::http::Uri;
use super::wire::{Wire, in_words};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::outcome::Reason;

/// What became of a request, and how often it was sent for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What became of it.
    pub settled: Settled,
    /// How often it was sent, without replays after a token had ended; 0 if the run was interrupted while it waited
    /// for a token.
    pub attempts: u32,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The API did it. Of a payload: 201 if it was new, 200 or 204 if it was known.
    Accepted(Reply),
    /// The final no: the API's, or that of whoever answers in its place.
    Refused(Refusal),
    /// The API failed at it with 5xx, as often as it was sent. Whether that says anything of a payload depends on what became of others.
    Failed(Refusal),
    /// Nothing final: a payload must be sent again in the next run.
    NoAnswer {
        /// The status of the last answer, if there was one.
        status: Option<u16>,
        /// What that answer said, what broke, or that the run was interrupted.
        reason: String,
    },
}

impl Settled {
    /// The API's answer, or why there is none to go by.
    pub fn answer(self) -> std::result::Result<Reply, Reason> {
        match self {
            Settled::Accepted(reply) => Ok(reply),
            Settled::Refused(refusal) | Settled::Failed(refusal) => Err(refusal.reason()),
            Settled::NoAnswer { status, reason } => Err(Reason::of_answer(status, reason)),
        }
    }

    /// What it ends as where nobody waits for its next try any more.
    fn abandoned(self, exit: Exit) -> Settled {
        match self.answer() {
            Ok(reply) => Settled::Accepted(reply),
            Err(Reason { status, message, .. }) => Settled::NoAnswer { status, reason: noted(&message, exit) },
        }
    }
}

/// What one request has been through, kept with it from attempt to attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    ordeal: Ordeal,
    tries: Tries,
    /// How often it was sent.
    pub attempts: u32,
}

impl Trial {
    /// Of a payload that is known to be to blame for its failures.
    pub fn to_blame() -> Trial {
        Trial { ordeal: Ordeal::to_blame(), ..Trial::default() }
    }
}

/// What follows one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its fate is known.
    Done(Settled),
    /// It is to be sent again.
    Again {
        /// After this delay.
        after: Duration,
        /// Why.
        fault: Fault,
        /// Whether the API was well for others since this one failed last.
        well: bool,
        /// What it ends as if it is not sent again.
        meanwhile: Settled,
    },
}

/// Sends a request, to which it adds the token, with all patience of the policy; sleeps meanwhile.
///
/// A token that ended is renewed and the request replayed, which spends no attempt. An error stops the run: the login
/// is refused, no token can be had, the API takes none of three tokens in a row, or fails as a whole.
pub fn send(wire: &Wire, session: &Session, mut request: Request<'_>) -> Result<Sent> {
    let mut trial = Trial::default();
    loop {
        let settled = match attempt(wire, session, &mut request, &mut trial)? {
            Step::Done(settled) => settled,
            Step::Again { after, meanwhile, .. } => match (wire.sleep)(after) {
                Ok(()) => continue,
                Err(exit) => meanwhile.abandoned(exit),
            },
        };
        return Ok(Sent { settled, attempts: trial.attempts });
    }
}

/// Sends a request once, as soon as the gate lets it through. Errors as of [`send`].
pub fn attempt(wire: &Wire, session: &Session, request: &mut Request<'_>, trial: &mut Trial) -> Result<Step> {
    let (answer, well) = match wire.gate.pass(wire, &mut trial.ordeal, || authorized(wire, session, request)) {
        Ok(passed) => passed,
        Err(error) if matches!(error.exit(), Exit::Interrupted | Exit::Terminated) => {
            return Ok(Step::Done(Settled::NoAnswer { status: None, reason: error.to_string() }));
        }
        Err(error) => return Err(error),
    };
    trial.attempts += 1;
    let answer = match answer {
        Ok(reply) if reply.accepted() => return Ok(Step::Done(Settled::Accepted(reply))),
        other => other,
    };
    let fault = wire.policy.fault(&answer, wire.gate.heard());
    let asked = asked_for(&answer, Timestamp::now());
    let next = wire.policy.decide(&mut trial.tries, fault, well, asked, (wire.jitter)());
    let listed = &wire.policy.statuses;
    match next {
        Next::After(after) if wire.gate.is_open() => {
            Ok(Step::Again { after, fault, well, meanwhile: settle(answer, listed) })
        }
        Next::Final | Next::After(_) => {
            if !is_final(&answer, listed) {
                wire.gate.spent(&trial.ordeal, &answer)?;
            }
            Ok(Step::Done(settle(answer, listed)))
        }
    }
}

/// One attempt: the answer to a request whose token the API took.
pub fn authorized(wire: &Wire, session: &Session, request: &mut Request<'_>) -> Result<Asked> {
    /// Tokens that live shorter than a request takes end even this patience.
    const TOKENS: usize = 5;
    /// A token that was given so shortly ago has not ended: it is sent once more, because one of several hosts may not know it yet.
    const NEW: Duration = Duration::from_secs(60);
    let mut bearer = session.bearer(wire)?;
    let (mut renewals, mut sent_twice) = (0, None);
    while renewals < TOKENS {
        let began = (wire.clock)();
        request.authorization = Some(bearer.header.clone());
        let answer = wire.once(request);
        let now = (wire.clock)();
        let took = now.saturating_duration_since(began);
        if !answer.as_ref().is_ok_and(|reply| reply.status == 401) {
            session.accepted(&bearer, || answer.as_ref().is_ok_and(|reply| reply.status < 500 && !is_page(reply)));
            return Ok(Asked { took, answer });
        }
        // Gateways say so on a page; a new token each time would lock the key out.
        let is_new = now.saturating_duration_since(bearer.since) < NEW && now < bearer.until;
        if is_new && answer.as_ref().is_ok_and(is_page) {
            return Ok(Asked { took, answer });
        }
        if is_new && sent_twice != Some(bearer.generation) {
            sent_twice = Some(bearer.generation);
            continue;
        }
        match session.refused(&bearer, now) {
            AfterRefusal::Renew => {
                renewals += 1;
                bearer = session.renew(wire, &bearer)?;
            }
            AfterRefusal::Keep if sent_twice != Some(bearer.generation) => sent_twice = Some(bearer.generation),
            AfterRefusal::Keep => return Ok(Asked { took, answer }),
            AfterRefusal::End => return Err(unwelcome(request.url, &answer)),
        }
    }
    Err(Error::api(format!(
        "the API's tokens end before {} has answered: its clock or their lifetime is wrong",
        request.url
    )))
}

fn unwelcome(url: &Uri, answer: &Answer) -> Error {
    Error::api(format!(
        "{url} refuses three tokens in a row that it was to take ({}): does the token URL belong to the same API? \
         Check edfi_api.base_url and edfi_api.oauth_url",
        in_words(answer)
    ))
}

/// Whether an answer says all that there is to say. `listed` are the statuses that are repeated, none of which is a final no.
fn is_final(answer: &Answer, listed: &[u16]) -> bool {
    answer.as_ref().is_ok_and(|reply| {
        let later = listed.contains(&reply.status) || matches!(reply.status, 408 | 429 | 500..=510 | 512..);
        reply.accepted() || !later
    })
}

/// What the last answer means.
fn settle(answer: Answer, listed: &[u16]) -> Settled {
    let is_final = is_final(&answer, listed);
    match answer {
        Ok(reply) if reply.accepted() => Settled::Accepted(reply),
        Ok(reply) if is_final => Settled::Refused(refusal(&reply)),
        Ok(reply) if reply.status >= 500 => Settled::Failed(refusal(&reply)),
        Ok(reply) => Settled::NoAnswer { status: Some(reply.status), reason: refusal(&reply).text() },
        Err(broken) => Settled::NoAnswer { status: None, reason: broken.text },
    }
}

/// Why a request is not sent again although it should be.
pub fn noted(reason: &str, exit: Exit) -> String {
    match exit {
        Exit::GivenUp => format!("given up while waiting to send it again, after: {reason}"),
        _ => format!("interrupted while waiting to send it again, after: {reason}"),
    }
}

#[cfg(test)]
mod tests;
