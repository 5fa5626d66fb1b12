//! Sends one payload until its fate is known.

use super::reply::{Refusal, refusal};
use super::request;
use super::session::Session;
use super::transport::Answer;
use super::transport::http::Uri;
use super::wire::{Exchange, Wire, in_words};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// What became of a payload, and how often it was sent for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What became of it.
    pub settled: Settled,
    /// How often it was sent, without replays after a token had ended.
    pub attempts: u32,
}

/// What became of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The API has it.
    Accepted {
        /// 201 if it was new, 200 if it was known, or another 2xx.
        status: u16,
    },
    /// The API's final no.
    Refused(Refusal),
    /// Nothing final: it must be sent again in the next run.
    NoAnswer {
        /// The status of the last answer, if there was one.
        status: Option<u16>,
        /// What that answer said, what broke, or that the run was interrupted.
        reason: String,
    },
}

/// Posts `body` to `url`, with all patience of the policy.
///
/// A token that ended is renewed and the request replayed, which spends no attempt. An error stops the run: the login
/// is refused, no token can be had, or the API refuses a token that it has just given.
pub fn send(wire: &Wire, session: &Session, url: &Uri, body: &[u8]) -> Result<Sent> {
    match wire.patiently(|| authorized(wire, session, url, body), |_, _| ()) {
        Ok(exchange) => Ok(Sent { attempts: exchange.attempts, settled: settle(exchange, &wire.policy.statuses) }),
        Err(error) if matches!(error.exit(), Exit::Interrupted | Exit::Terminated) => {
            Ok(Sent { attempts: 0, settled: Settled::NoAnswer { status: None, reason: error.to_string() } })
        }
        Err(error) => Err(error),
    }
}

/// One attempt: the answer to a request whose token the API took.
fn authorized(wire: &Wire, session: &Session, url: &Uri, body: &[u8]) -> Result<Answer> {
    /// Tokens that live shorter than a request takes end even this patience.
    const TOKENS: usize = 5;
    let mut bearer = session.bearer(wire)?;
    let mut first_refusal = None;
    for _ in 0..TOKENS {
        let answer = wire.once(&request::post(url, &bearer.header, body));
        if !answer.as_ref().is_ok_and(|reply| reply.status == 401) {
            return Ok(answer);
        }
        let now = (wire.clock)();
        // A worker can be given a token that another one got before its own was refused, and a token can end on its
        // way: neither says that the API takes none.
        let fresh = first_refusal.is_some_and(|first| bearer.since >= first);
        if fresh && now < bearer.until {
            return Err(unwelcome(url, &answer));
        }
        first_refusal.get_or_insert(now);
        bearer = session.renew(wire, &bearer)?;
    }
    Err(Error::api(format!("the API's tokens end before {url} has answered: its clock or their lifetime is wrong")))
}

fn unwelcome(url: &Uri, answer: &Answer) -> Error {
    Error::api(format!(
        "{url} refuses a token that was got a moment ago ({}): does the token URL belong to the same API? \
         Check edfi_api.base_url and edfi_api.oauth_url",
        in_words(answer)
    ))
}

/// What the last answer means. `listed` are the statuses that are repeated, none of which is a final no.
fn settle(exchange: Exchange, listed: &[u16]) -> Settled {
    let reply = match exchange.answer {
        Ok(reply) if reply.accepted() => return Settled::Accepted { status: reply.status },
        Ok(reply) => reply,
        Err(broken) => return Settled::NoAnswer { status: None, reason: noted(broken.text, exchange.interrupted) },
    };
    let refusal = refusal(&reply);
    match reply.status {
        status if listed.contains(&status) || matches!(status, 408 | 429 | 500..) => {
            Settled::NoAnswer { status: Some(status), reason: noted(refusal.text(), exchange.interrupted) }
        }
        _ => Settled::Refused(refusal),
    }
}

fn noted(reason: String, interrupted: Option<Exit>) -> String {
    match interrupted {
        Some(_) => format!("interrupted while waiting to send it again, after: {reason}"),
        None => reason,
    }
}
