//! The token: one for the whole run, renewed by one worker while the others wait for it.
//!
//! An ODS/API from 7.3 on gives a key 15 live tokens, so a token of its own for each worker, or a renewal by each of them,
//! would lock the key out for half an hour.

use std::sync::{Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::reply::{self, Reply, refusal};
use super::request;
use super::transport::http::{HeaderValue, Uri};
use super::transport::{Answer, Kind};
use super::wire::{Wire, in_words};
use crate::config::Api;
use crate::error::{Error, Result};

/// The lifetime of a token that does not tell its own: what hosts ship with.
const USUAL_LIFETIME: Duration = Duration::from_secs(1800);

/// A token; clones are cheap.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The header that carries it.
    pub header: HeaderValue,
    /// When it was asked for.
    pub since: Instant,
    /// When it ends by itself.
    pub until: Instant,
    /// When it is to be renewed, so that no request meets its end.
    renew_at: Instant,
    /// Which token of the run it is.
    generation: u64,
}

/// The login of a run, shared by its workers.
pub struct Session {
    url: Uri,
    login: HeaderValue,
    /// Why this key or secret may not get through, if it may not.
    note: Option<&'static str>,
    current: RwLock<Option<Bearer>>,
    renewing: Mutex<()>,
}

impl Session {
    /// A session that has no token yet and gets them from `url`.
    pub fn new(url: Uri, api: &Api) -> Session {
        let (id, secret) = (api.client_id.as_str(), api.client_secret.expose());
        let note = match (id.contains(':'), secret.contains(':')) {
            (true, _) => Some("edfi_api.client_id holds a ':', which a login cannot (RFC 7617)"),
            (_, true) => Some("edfi_api.client_secret holds a ':', which an ODS/API does not take in a login"),
            _ => None,
        };
        let login = request::login(id, secret);
        Session { url, login, note, current: RwLock::default(), renewing: Mutex::default() }
    }

    /// The token to send. Asks for the first one, and for the next one when nine tenths of its life are over; if that
    /// fails, the old one serves until its end.
    ///
    /// Errors are final: the login was refused, patience is over, or the run was interrupted.
    pub fn bearer(&self, wire: &Wire) -> Result<Bearer> {
        let now = (wire.clock)();
        match self.current() {
            Some(bearer) if now < bearer.renew_at => Ok(bearer),
            Some(bearer) if now < bearer.until => Ok(self.renewed_early(wire, bearer)),
            _ => self.renewed_unless(wire, |current| now < current.until),
        }
    }

    /// The token after `refused`, which the API answered with 401. Whoever comes with an old one gets the new one.
    pub fn renew(&self, wire: &Wire, refused: &Bearer) -> Result<Bearer> {
        self.renewed_unless(wire, |current| current.generation != refused.generation)
    }

    fn current(&self) -> Option<Bearer> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, bearer: Bearer) -> Bearer {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(bearer.clone());
        bearer
    }

    /// Waits for whoever is renewing; then the current token if it is `good`, else a new one.
    fn renewed_unless(&self, wire: &Wire, good: impl Fn(&Bearer) -> bool) -> Result<Bearer> {
        let _one = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        if let Some(bearer) = current.as_ref().filter(|bearer| good(bearer)) {
            return Ok(bearer.clone());
        }
        let mut since = (wire.clock)();
        let exchange = wire.patiently(
            || {
                since = (wire.clock)();
                Ok::<Answer, Error>(wire.once(&request::token(&self.url, &self.login)))
            },
            |_, _| (),
        )?;
        match exchange.interrupted {
            Some(exit) => Err(Error::new(exit, "interrupted while asking for a token")),
            None => Ok(self.set(self.token(&exchange.answer, since, current.as_ref())?)),
        }
    }

    /// Asks once, unless somebody does already; the token at hand is good for a while, so nobody waits.
    fn renewed_early(&self, wire: &Wire, bearer: Bearer) -> Bearer {
        let _one = match self.renewing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return bearer,
        };
        if let Some(newer) = self.current().filter(|current| current.generation != bearer.generation) {
            return newer;
        }
        let since = (wire.clock)();
        let answer = wire.once(&request::token(&self.url, &self.login));
        // What is wrong shows, patiently asked for, when the token ends.
        let fallback = || Bearer { renew_at: bearer.until, ..bearer.clone() };
        self.set(self.token(&answer, since, Some(&bearer)).unwrap_or_else(|_| fallback()))
    }

    /// Reads the answer to a token request that was sent at `since`.
    fn token(&self, answer: &Answer, since: Instant, before: Option<&Bearer>) -> Result<Bearer> {
        let reply = match answer {
            Ok(reply) if reply.accepted() => reply,
            _ => return Err(self.refused(answer)),
        };
        let body: Value = reply::json(&reply.body).unwrap_or_default();
        let header = body["access_token"].as_str().filter(|token| !token.is_empty()).and_then(request::bearer);
        let header = header.ok_or_else(|| {
            Error::api(format!("{} answered {} but gave no token; is it the API's token URL?", self.url, reply.status))
        })?;
        let lifetime = lifetime(&body);
        Ok(Bearer {
            header,
            since,
            until: since + lifetime,
            renew_at: since + lifetime.mul_f64(0.9),
            generation: before.map_or(0, |bearer| bearer.generation + 1),
        })
    }

    /// Why there is no token, and what to do about it.
    fn refused(&self, answer: &Answer) -> Error {
        let said = in_words(answer);
        let url = &self.url;
        let text = match answer {
            Err(broken) if broken.kind == Kind::Request => format!("cannot ask {url} for a token: {said}"),
            Err(_) => format!("no answer from {url} to the request for a token: {said}"),
            Ok(Reply { status: 400 | 401 | 403, .. }) => format!(
                "login refused by {url} ({said}): check edfi_api.client_id, edfi_api.client_secret and edfi_api.base_url"
            ),
            Ok(reply) if too_many(reply) => format!(
                "no further token from {url} ({said}): an API allows a key 15 at a time by default, \
                 and each of them ends within 30 minutes; wait, or use another key"
            ),
            Ok(Reply { status: 300..500, .. }) => {
                format!("no token from {url} ({said}): is it the API's token URL? edfi_api.oauth_url sets it")
            }
            Ok(_) => format!("no token from {url} ({said})"),
        };
        Error::api(match self.note {
            Some(note) if answer.is_ok() => format!("{text}; {note}"),
            _ => text,
        })
    }
}

/// Whether the key has too many live tokens, which a short wait does not change.
fn too_many(reply: &Reply) -> bool {
    reply.status == 429 && refusal(reply).problem_type.is_some_and(|t| t.ends_with(":too-many-tokens"))
}

/// `expires_in`, if it can be believed.
fn lifetime(body: &Value) -> Duration {
    const MOST: f64 = 365.0 * 86_400.0;
    match body["expires_in"].as_f64() {
        Some(seconds) if seconds > 0.0 => Duration::from_secs_f64(seconds.min(MOST)),
        _ => USUAL_LIFETIME,
    }
}
