//! What the tests of this room share: a configuration, and a stage on which answers are played and time stands still.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::gate::limiter::Limits;
use super::reply::Reply;
use super::request::Request;
use super::retry::Policy;
use super::transport::{Answer, Broken, Kind, Transport};
use super::wire::Wire;
use crate::config::{Api, ClientSecret, Connection, Secret};

/// The configuration of an API at `base_url`, all else unset.
pub fn api(base_url: &str) -> Api {
    Api {
        base_url: base_url.into(),
        oauth_url: None,
        dependencies_url: None,
        open_api_metadata_url: None,
        descriptors_swagger_url: None,
        resources_swagger_url: None,
        version: 3,
        mode: None,
        year: Some(2025),
        unset: Default::default(),
        instance_code: None,
        tenant: None,
        url_values: BTreeMap::new(),
        profile: None,
        client_id: "key".into(),
        client_secret: ClientSecret::Given(Secret::new("s3cret")),
    }
}

/// A configuration of connections that repeats nothing and has all else by default.
pub fn connection() -> Connection {
    Connection {
        memory: 256 << 20,
        pool_size: 8,
        adaptive: true,
        rate: None,
        timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(60),
        num_retries: 0,
        patience: Duration::from_secs(300),
        backoff_factor: 1.0,
        retry_statuses: Vec::new(),
        verify_ssl: true,
        ca_file: None,
        client_cert: None,
        proxy: None,
        allow_http: false,
        wait_for_token: false,
    }
}

/// A wire whose answers are played, and what was seen of its use.
pub struct Stage {
    pub wire: Wire,
    seen: Arc<Mutex<Vec<String>>>,
    slept: Arc<Mutex<Vec<u64>>>,
    seconds: Arc<AtomicU64>,
}

impl Stage {
    /// The requests: method, URL and `Authorization` or `If-None-Match`, if there was one.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The delays, in milliseconds.
    pub fn slept(&self) -> Vec<u64> {
        self.slept.lock().unwrap().clone()
    }

    /// Sets the time, in seconds since the beginning.
    pub fn set_time(&self, seconds: u64) {
        self.seconds.store(seconds, Ordering::SeqCst);
    }
}

struct Played<F> {
    play: F,
    seen: Arc<Mutex<Vec<String>>>,
}

impl<F: Fn(&Request<'_>) -> Answer + Send + Sync> Transport for Played<F> {
    fn call(&self, request: &Request<'_>) -> Answer {
        let mut seen = format!("{} {}", request.method, request.url);
        for header in [&request.authorization, &request.if_none_match].into_iter().flatten() {
            seen = format!("{seen} {}", header.to_str().unwrap());
        }
        self.seen.lock().unwrap().push(seen);
        (self.play)(request)
    }
}

/// A stage with the default policy, on which every delay is the shortest possible and passes at once. Time passes by
/// delays only.
pub fn stage(play: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static) -> Stage {
    let (seen, slept, seconds) = (Arc::default(), Arc::<Mutex<Vec<u64>>>::default(), Arc::<AtomicU64>::default());
    let start = Instant::now();
    let (sleeper, now) = (slept.clone(), seconds.clone());
    // Delays are shown in milliseconds, but pass to the nanosecond.
    let passed = Arc::<AtomicU64>::default();
    let passing = passed.clone();
    let policy = Policy {
        num_retries: 10,
        backoff_factor: 1.5,
        statuses: vec![429, 500, 502, 503, 504],
        patience: Duration::from_secs(300),
    };
    let limits = Limits { ceiling: 8, adaptive: true, rate: None };
    let wire = Wire {
        secrets: OnceLock::new(),
        transport: Box::new(Played { play, seen: Arc::clone(&seen) }),
        gate: Arc::new(Gate::new(limits, policy.clone())),
        policy,
        sleep: Box::new(move |delay| {
            sleeper.lock().unwrap().push(delay.as_millis() as u64);
            passing.fetch_add(delay.as_nanos() as u64, Ordering::SeqCst);
            Ok(())
        }),
        clock: Box::new(move || {
            let slept = Duration::from_nanos(passed.load(Ordering::SeqCst));
            start + Duration::from_secs(now.load(Ordering::SeqCst)) + slept
        }),
        jitter: || 0.0,
    };
    Stage { wire, seen, slept, seconds }
}

/// Plays the answers one by one; more requests than answers fail the test.
pub fn script(answers: Vec<Answer>) -> impl Fn(&Request<'_>) -> Answer + Send + Sync {
    let answers = Mutex::new(VecDeque::from(answers));
    move |request| {
        let next = answers.lock().unwrap().pop_front();
        next.unwrap_or_else(|| panic!("the script has no answer for {} {}", request.method, request.url))
    }
}

/// What an ODS/API from 7.3 on says, with 429, to a key that has as many tokens as it may.
pub const TOO_MANY: &str = r#"{"detail":"The caller has authenticated too many times in too short of a time period.",
    "type":"urn:ed-fi:api:security:authentication:too-many-tokens","title":"Too Many Tokens","status":429,
    "errors":["Too many access tokens have been requested (limit is 15)."]}"#;

/// Answers with the tokens `t1`, `t2`, …
pub fn numbered_tokens(expires_in: u64) -> impl Fn(&Request<'_>) -> Answer + Send + Sync {
    let given = AtomicU64::new(0);
    move |_| token(&format!("t{}", given.fetch_add(1, Ordering::SeqCst) + 1), expires_in)
}

/// An answer with a token.
pub fn token(token: &str, expires_in: u64) -> Answer {
    status(200, &format!(r#"{{"access_token":"{token}","expires_in":{expires_in},"token_type":"bearer"}}"#))
}

/// An answer with a body.
pub fn status(status: u16, body: &str) -> Answer {
    Ok(Reply { status, body: body.into(), ..Reply::default() })
}

/// No answer.
pub fn broken(kind: Kind) -> Answer {
    Err(Broken { kind, text: "broken as scripted".into() })
}
