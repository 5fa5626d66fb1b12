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
use crate::exit::Exit;

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
    /// Held by the one who renews. Once that has failed for good it says so to whoever waited, for to ask as patiently
    /// for each worker would keep a run from ending.
    renewing: Mutex<Option<Failed>>,
}

/// How a renewal failed.
struct Failed {
    exit: Exit,
    message: String,
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
        let mut failed = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Failed { exit, message }) = &*failed {
            return Err(Error::new(*exit, message.clone()));
        }
        let current = self.current();
        if let Some(bearer) = current.as_ref().filter(|bearer| good(bearer)) {
            return Ok(bearer.clone());
        }
        let renewed = self.renewed(wire, current.as_ref());
        if let Err(error) = &renewed {
            *failed = Some(Failed { exit: error.exit(), message: error.to_string() });
        }
        renewed
    }

    /// Asks for the next token, with all patience of the policy.
    fn renewed(&self, wire: &Wire, before: Option<&Bearer>) -> Result<Bearer> {
        let mut since = (wire.clock)();
        let interrupted = |exit| Error::new(exit, "interrupted while asking for a token");
        let exchange = wire.patiently(
            || {
                wire.gate.rest(wire).map_err(interrupted)?;
                since = (wire.clock)();
                Ok::<Answer, Error>(wire.once(&request::token(&self.url, &self.login)))
            },
            |answer, delay| {
                let (said, delay) = (in_words(answer), delay.as_secs_f64());
                wire.gate.tell(format!("no token from {} ({said}): asking again in {delay:.1} s", self.url));
                true
            },
        )?;
        match exchange.interrupted {
            Some(exit) => Err(interrupted(exit)),
            None => Ok(self.set(self.token(&exchange.answer, since, before)?)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{self, broken, stage, status, token};

    const URL: &str = "https://example.com/oauth/token";

    fn session() -> Session {
        Session::new(Uri::from_static(URL), &testing::api("https://example.com"))
    }

    /// The header of a token, readable.
    fn sent(bearer: &Bearer) -> &str {
        bearer.header.to_str().unwrap()
    }

    #[test]
    fn one_token_serves_until_nine_tenths_of_its_life_are_over() {
        let stage = stage(testing::script(vec![token("t1", 1000), token("t2", 1000)]));
        let session = session();
        for seconds in [0, 500, 899] {
            stage.set_time(seconds);
            assert_eq!(sent(&session.bearer(&stage.wire).unwrap()), "Bearer t1");
        }
        stage.set_time(900);
        assert_eq!(sent(&session.bearer(&stage.wire).unwrap()), "Bearer t2");
        assert_eq!(stage.seen(), vec![format!("POST {URL} Basic a2V5OnMzY3JldA=="); 2]);
    }

    #[test]
    fn a_token_that_does_not_tell_its_life_lives_half_an_hour() {
        for expires in [r#""#, r#","expires_in":0"#, r#","expires_in":"soon""#, r#","expires_in":-5"#] {
            let body = format!(r#"{{"access_token":"t"{expires}}}"#);
            let stage = stage(testing::script(vec![Ok(Reply { status: 200, body: body.into(), ..Reply::default() })]));
            let bearer = session().bearer(&stage.wire).unwrap();
            assert_eq!(bearer.until - bearer.since, Duration::from_secs(1800), "{expires}");
        }
        let stage = stage(testing::script(vec![token("t", u64::MAX)]));
        let bearer = session().bearer(&stage.wire).unwrap();
        assert_eq!(bearer.until - bearer.since, Duration::from_secs(365 * 86_400));
    }

    #[test]
    fn a_failed_early_renewal_falls_back_to_the_token_at_hand() {
        let stage = stage(testing::script(vec![token("t1", 1000), status(500, ""), token("t2", 1000)]));
        let session = session();
        session.bearer(&stage.wire).unwrap();
        for seconds in [900, 950, 999] {
            stage.set_time(seconds);
            assert_eq!(sent(&session.bearer(&stage.wire).unwrap()), "Bearer t1");
        }
        assert_eq!((stage.seen().len(), stage.slept().len()), (2, 0));
        stage.set_time(1000);
        assert_eq!(sent(&session.bearer(&stage.wire).unwrap()), "Bearer t2");
    }

    #[test]
    fn eight_workers_with_an_ended_token_ask_for_one() {
        let (stage, session) = (stage(testing::numbered_tokens(1000)), session());
        session.bearer(&stage.wire).unwrap();
        stage.set_time(2000);
        let barrier = std::sync::Barrier::new(8);
        let ask = || {
            barrier.wait();
            sent(&session.bearer(&stage.wire).unwrap()).to_string()
        };
        let sent: Vec<String> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(sent, ["Bearer t2"; 8]);
        assert_eq!(stage.seen().len(), 2);
    }

    #[test]
    fn eight_workers_with_a_refused_token_ask_for_one() {
        let (stage, session) = (stage(testing::numbered_tokens(1000)), session());
        let refused = session.bearer(&stage.wire).unwrap();
        let barrier = std::sync::Barrier::new(8);
        let renew = || {
            barrier.wait();
            sent(&session.renew(&stage.wire, &refused).unwrap()).to_string()
        };
        let sent: Vec<String> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8).map(|_| scope.spawn(renew)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(sent, ["Bearer t2"; 8]);
        assert_eq!(stage.seen().len(), 2);
    }

    #[test]
    fn a_token_is_asked_for_with_patience() {
        let answers = vec![broken(Kind::Connect), status(503, ""), token("t1", 1000)];
        let stage = stage(testing::script(answers));
        assert_eq!(sent(&session().bearer(&stage.wire).unwrap()), "Bearer t1");
        assert_eq!(stage.slept(), [250, 375]);
    }

    #[test]
    fn a_final_failure_is_told_to_all_who_waited() {
        let stage = stage(|_| broken(Kind::Connect));
        let session = session();
        let first = session.bearer(&stage.wire).unwrap_err();
        assert_eq!(first.to_string(), format!("no answer from {URL} to the request for a token: broken as scripted"));
        assert_eq!(stage.seen().len(), 11);
        let second = session.bearer(&stage.wire).unwrap_err();
        assert_eq!((second.to_string(), second.exit()), (first.to_string(), Exit::GivenUp));
        assert_eq!(stage.seen().len(), 11);
    }

    #[test]
    fn an_interrupted_wait_ends_as_the_interruption_wants() {
        let mut stage = stage(|_| broken(Kind::Connect));
        stage.wire.sleep = Box::new(|_| Err(Exit::Terminated));
        assert_eq!(session().bearer(&stage.wire).unwrap_err().exit(), Exit::Terminated);
    }

    fn error(answer: Answer, set: impl FnOnce(&mut Api)) -> String {
        let mut api = testing::api("https://example.com");
        set(&mut api);
        let mut stage = stage(testing::script(vec![answer]));
        stage.wire.policy.num_retries = 0;
        let error = Session::new(Uri::from_static(URL), &api).bearer(&stage.wire).unwrap_err();
        assert_eq!(error.exit(), Exit::GivenUp);
        let text = error.to_string();
        assert!(text.contains(URL) && !text.contains("s3cret"), "{text}");
        text
    }

    #[test]
    fn a_refused_login_names_the_keys_to_check_and_no_secret() {
        for refused in [400, 401] {
            let text = error(status(refused, r#"{"error":"invalid_client"}"#), |_| ());
            let expected = format!("login refused by {URL} ({refused}, invalid_client): check edfi_api.client_id, ");
            assert!(text.starts_with(&expected), "{text}");
        }
    }

    #[test]
    fn a_colon_in_the_login_is_pointed_out() {
        assert!(error(status(400, ""), |api| api.client_id = "a:b".into()).contains("RFC 7617"));
        let secret = |api: &mut Api| api.client_secret = crate::config::Secret::new("s3cret:");
        assert!(error(status(400, ""), secret).contains("edfi_api.client_secret holds a ':'"));
        assert!(!error(status(400, ""), |_| ()).contains("holds a ':'"));
    }

    #[test]
    fn too_many_tokens_are_explained() {
        let body = r#"{"detail":"The caller has authenticated too many times in too short of a time period.",
            "type":"urn:ed-fi:api:security:authentication:too-many-tokens","title":"Too Many Tokens","status":429,
            "errors":["Too many access tokens have been requested (limit is 15)."]}"#;
        let text = error(status(429, body), |_| ());
        assert!(text.contains("(limit is 15)") && text.contains("within 30 minutes"), "{text}");
        assert!(!error(status(429, "slow down"), |_| ()).contains("30 minutes"));
    }

    #[test]
    fn a_url_that_gives_no_tokens_is_doubted() {
        assert!(error(status(404, ""), |_| ()).contains("edfi_api.oauth_url"));
        for body in ["<html>Welcome</html>", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#, "{}"] {
            assert!(error(status(200, body), |_| ()).contains("gave no token"), "{body}");
        }
    }
}
