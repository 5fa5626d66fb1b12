//! The token: one for the whole run, or that of the run before, renewed by one worker while the others wait for it.
//!
//! An ODS/API from 7.3 on gives a key 15 live tokens, so a token of its own for each worker, or a renewal by each of them,
//! would lock the key out for half an hour.

use std::sync::{Mutex, OnceLock, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use super::login::{Grant, LONGEST_LIFETIME, Login, too_many};
use super::login_host::LoginHost;
use super::request;
use super::token_file::{Kept, TokenFile};
use super::tokens::{AfterRefusal, Tokens};
use super::transport::Answer;
use super::transport::http::{HeaderValue, Uri};
use super::wire::Wire;
use crate::clock::unix_now;
use crate::config::{Api, ClientSecret};
use crate::error::{Error, Result};
use crate::exit::Exit;

/// How long a token that is free again is waited for, beyond which the host's tokens live longer than any do by default.
const LONGEST_WAIT: Duration = Duration::from_secs(35 * 60);

/// The pause between two questions whether a token is free again.
const PAUSE: Duration = Duration::from_secs(60);

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
    /// Which token of the run it is, from 1.
    pub generation: u64,
}

/// The login of a run, shared by its workers.
pub struct Session {
    url: Uri,
    client_id: String,
    client_secret: ClientSecret,
    /// Made when the first token is asked for: a run that needs none asks for no secret either.
    login: OnceLock<Login>,
    kept: Option<TokenFile>,
    host: Option<LoginHost>,
    wait: bool,
    warnings: Mutex<Vec<String>>,
    tokens: Tokens,
    current: RwLock<Option<Bearer>>,
    /// Held by the one who renews. Once that has failed for good it says so to whoever waited, for to ask as patiently
    /// for each worker would keep a run from ending.
    renewing: Mutex<Option<Failed>>,
}

/// Why asking for a token ended before its answer was to be read.
enum NotNow {
    /// The key has too many tokens.
    TooMany(Box<Answer>),
    /// Somebody wants the program to end.
    Interrupted(Exit),
}

/// How a renewal failed.
struct Failed {
    exit: Exit,
    message: String,
}

impl Session {
    /// A session that has no token yet and gets them from `url`.
    pub fn new(url: Uri, api: &Api) -> Session {
        Session {
            url,
            client_id: api.client_id.clone(),
            client_secret: api.client_secret.clone(),
            login: OnceLock::new(),
            kept: None,
            host: None,
            wait: false,
            warnings: Mutex::default(),
            tokens: Tokens::default(),
            current: RwLock::default(),
            renewing: Mutex::default(),
        }
    }

    /// The same, but tokens are kept there from run to run.
    pub fn kept_in(self, file: TokenFile) -> Session {
        Session { kept: Some(file), ..self }
    }

    /// The same, but it reports where the login goes.
    pub fn noting_hosts(self, host: LoginHost) -> Session {
        Session { host: Some(host), ..self }
    }

    /// The same; `wait` tells whether to wait, where the key has too many tokens, until one of them has ended.
    pub fn waiting(self, wait: bool) -> Session {
        Session { wait, ..self }
    }

    /// What was odd since this was asked last; each is told once.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
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

    /// Takes note that the API took this token, if it was the API that answered.
    pub fn accepted(&self, bearer: &Bearer, by_api: impl FnOnce() -> bool) {
        self.tokens.accepted(bearer.generation, by_api);
    }

    /// What follows when the API has refused this token.
    pub fn refused(&self, bearer: &Bearer, now: Instant) -> AfterRefusal {
        self.tokens.refused(bearer.generation, now < bearer.until, now)
    }

    fn current(&self) -> Option<Bearer> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, bearer: Bearer) -> Bearer {
        let before = self.current.write().unwrap_or_else(PoisonError::into_inner).replace(bearer.clone());
        if before.is_none_or(|before| before.generation != bearer.generation) {
            self.tokens.given(bearer.until);
        }
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
        if let Some(kept) = current.is_none().then(|| self.kept((wire.clock)())).flatten() {
            if let ClientSecret::Given(_) = self.client_secret {
                // A host may repeat the secret of an earlier run.
                self.login(wire)?;
            }
            return Ok(self.set(kept));
        }
        let renewed = self.renewed(wire, current.as_ref());
        if let Err(error) = &renewed {
            *failed = Some(Failed { exit: error.exit(), message: error.to_string() });
        }
        renewed
    }

    /// The token of an earlier run, if it serves.
    fn kept(&self, now: Instant) -> Option<Bearer> {
        let unix = unix_now();
        let kept = self.kept.as_ref()?.load(unix)?;
        Some(Bearer {
            header: request::bearer(&kept.token)?,
            // From when it was asked for, not from when this run began.
            since: now.checked_sub(Duration::from_secs(unix.saturating_sub(kept.asked))).unwrap_or(now),
            until: now + Duration::from_secs(kept.ends - unix).min(LONGEST_LIFETIME),
            renew_at: now + Duration::from_secs(kept.renew_at() - unix).min(LONGEST_LIFETIME),
            generation: 1,
        })
    }

    /// The login. Whoever asks holds `renewing`, so that no command is run twice for it.
    fn login(&self, wire: &Wire) -> Result<&Login> {
        if let Some(login) = self.login.get() {
            return Ok(login);
        }
        self.host.as_ref().and_then(LoginHost::told).into_iter().for_each(|text| self.warn(text));
        let login = Login::new(&self.url, &self.client_id, self.client_secret.reveal(&*wire.sleep)?);
        // Only the first of equal ones counts.
        let _ = wire.secrets.set(login.secrets().clone());
        Ok(self.login.get_or_init(|| login))
    }

    fn warn(&self, text: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Asks for the next token, with all patience of the policy, and longer where the key has too many and that is wanted.
    fn renewed(&self, wire: &Wire, before: Option<&Bearer>) -> Result<Bearer> {
        // The one that is kept has ended or was refused.
        self.kept.iter().for_each(TokenFile::forget);
        let login = self.login(wire)?;
        let mut since = (wire.clock)();
        let mut waited = Duration::ZERO;
        loop {
            let ask = || {
                wire.gate.rest(wire).map_err(NotNow::Interrupted)?;
                since = (wire.clock)();
                match login.ask(wire) {
                    Ok(reply) if too_many(&reply) => Err(NotNow::TooMany(Box::new(Ok(reply)))),
                    answer => Ok(answer),
                }
            };
            let told = |answer: &Answer, delay: Duration| {
                let (url, said, delay) = (&self.url, login.said(answer), delay.as_secs_f64());
                wire.gate.tell(format!("no token from {url} ({said}): asking again in {delay:.1} s"));
                true
            };
            let interrupted = match wire.patiently(ask, told) {
                Ok(exchange) => match exchange.interrupted {
                    Some(exit) => exit,
                    None => return Ok(self.set(self.token(login, &exchange.answer, since, before)?)),
                },
                Err(NotNow::Interrupted(exit)) => exit,
                Err(NotNow::TooMany(answer)) if !self.wait || waited >= LONGEST_WAIT => {
                    return Err(login.refused(&answer));
                }
                Err(NotNow::TooMany(answer)) => {
                    if waited.is_zero() {
                        let (url, minutes) = (&self.url, LONGEST_WAIT.as_secs() / 60);
                        let said = login.said(&answer);
                        let until = format!("waiting until one of them has ended, at most {minutes} minutes");
                        self.warn(format!("the key has too many tokens of {url} ({said}): {until}"));
                    }
                    waited += PAUSE;
                    match (wire.sleep)(PAUSE) {
                        Ok(()) => continue,
                        Err(exit) => exit,
                    }
                }
            };
            return Err(Error::new(interrupted, "interrupted while asking for a token"));
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
        let renewed = self.login(wire).and_then(|login| self.token(login, &login.ask(wire), since, Some(&bearer)));
        // What is wrong shows, patiently asked for, when the token ends.
        self.set(renewed.unwrap_or_else(|_| Bearer { renew_at: bearer.until, ..bearer }))
    }

    /// Reads the answer to a token request that was sent at `since`, and keeps the token for the next run.
    fn token(&self, login: &Login, answer: &Answer, since: Instant, before: Option<&Bearer>) -> Result<Bearer> {
        let Grant { token, header, lifetime } = login.grant(answer)?;
        self.keep(token, lifetime);
        Ok(Bearer {
            header,
            since,
            until: since + lifetime,
            renew_at: since + lifetime.mul_f64(0.9),
            generation: before.map_or(1, |bearer| bearer.generation + 1),
        })
    }

    /// Keeps a token that was just got. Failure costs the next run no more than a token.
    fn keep(&self, token: String, lifetime: Duration) {
        let asked = unix_now();
        let kept = Kept { token, asked, ends: asked + lifetime.as_secs() };
        if let Some(Err(error)) = self.kept.as_ref().map(|file| file.store(kept)) {
            self.warn(format!("the token is not kept for the next run: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{self, TOO_MANY, broken, stage, status, token};
    use crate::api::transport::Kind;

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
        let (asked, waited) = (stage.seen().len(), stage.slept().iter().sum::<u64>());
        assert!((29_900..=30_100).contains(&waited), "{waited} ms: nothing of the API was heard yet");
        let second = session.bearer(&stage.wire).unwrap_err();
        assert_eq!((second.to_string(), second.exit()), (first.to_string(), Exit::GivenUp));
        assert_eq!(stage.seen().len(), asked);
    }

    #[test]
    fn an_interrupted_wait_ends_as_the_interruption_wants() {
        let mut stage = stage(|_| broken(Kind::Connect));
        stage.wire.sleep = Box::new(|_| Err(Exit::Terminated));
        assert_eq!(session().bearer(&stage.wire).unwrap_err().exit(), Exit::Terminated);
    }

    #[test]
    fn too_many_tokens_are_not_waited_for_unless_that_is_wanted() {
        let answers = || testing::script(vec![status(429, TOO_MANY), status(429, TOO_MANY), token("t1", 1000)]);
        let refused = stage(answers());
        session().bearer(&refused.wire).unwrap_err();
        assert!(refused.slept().is_empty());
        let (waited, session) = (stage(answers()), session().waiting(true));
        assert_eq!(sent(&session.bearer(&waited.wire).unwrap()), "Bearer t1");
        assert_eq!(waited.slept(), [60_000, 60_000]);
        let told = session.warnings();
        assert!(told.len() == 1 && told[0].contains("(limit is 15)") && told[0].contains("35 minutes"), "{told:?}");
        let (never, patient) = (stage(|_| status(429, TOO_MANY)), self::session().waiting(true));
        assert!(patient.bearer(&never.wire).unwrap_err().to_string().contains("(limit is 15)"));
        assert_eq!(never.slept().len(), 35);
    }

    /// A file for tokens, in a folder that is not there yet.
    fn token_file(name: &str) -> (std::path::PathBuf, TokenFile) {
        let folder = std::env::temp_dir().join(format!("lightbeam-session-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let file = TokenFile::below(Some(&folder), &Uri::from_static(URL), "key");
        (folder, file)
    }

    #[test]
    fn the_next_run_goes_on_with_the_token_and_needs_no_secret() {
        let (folder, file) = token_file("kept");
        let first = stage(testing::script(vec![token("t1", 1000)]));
        session().kept_in(file.clone()).bearer(&first.wire).unwrap();
        let second = stage(testing::script(vec![token("t2", 1000)]));
        let mut api = testing::api("https://example.com");
        api.client_secret = ClientSecret::File("/no/such/file".into());
        let next = Session::new(Uri::from_static(URL), &api).kept_in(file.clone());
        assert_eq!(sent(&next.bearer(&second.wire).unwrap()), "Bearer t1");
        assert!(second.seen().is_empty());
        let early = Duration::from_secs(901);
        second.set_time(early.as_secs());
        assert_eq!(
            sent(&next.bearer(&second.wire).unwrap()),
            "Bearer t1",
            "the secret is missing, the token still good"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_kept_token_that_the_api_refuses_gives_way_to_a_new_one() {
        let (folder, file) = token_file("refused");
        let first = stage(testing::script(vec![token("t1", 1000)]));
        session().kept_in(file.clone()).bearer(&first.wire).unwrap();
        let second = stage(testing::script(vec![token("t2", 1000)]));
        let next = session().kept_in(file.clone());
        let refused = next.bearer(&second.wire).unwrap();
        assert_eq!(sent(&next.renew(&second.wire, &refused).unwrap()), "Bearer t2");
        let third = stage(testing::script(vec![]));
        assert_eq!(sent(&session().kept_in(file).bearer(&third.wire).unwrap()), "Bearer t2");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_token_that_cannot_be_kept_is_a_warning() {
        let (folder, file) = token_file("unwritable");
        std::fs::write(&folder, "not a folder").unwrap();
        let (stage, session) = (stage(testing::script(vec![token("t1", 1000)])), session().kept_in(file));
        assert_eq!(sent(&session.bearer(&stage.wire).unwrap()), "Bearer t1");
        let told = session.warnings();
        assert!(told.len() == 1 && told[0].starts_with("the token is not kept for the next run: "), "{told:?}");
        assert!(session.warnings().is_empty(), "each is told once");
        std::fs::remove_file(folder).unwrap();
    }
}
