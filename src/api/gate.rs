//! The gate that every payload passes on its way to the API, so that all workers heed what one of them is told.
//!
//! Decisions are made by [`limiter`] and [`health`]; here is what workers share of them, and where they wait. Requests for a token
//! do not count as in flight, but rest as all others do.

pub mod health;
pub mod limiter;
mod slowness;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use self::health::{Health, Noted, Ordeal, Rest, Sign};
use self::limiter::{Limiter, Limits, Turn};
use super::retry::Policy;
use super::transport::Answer;
use super::wire::{Wire, in_words};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::text;

/// Those who wait for others look up at least so often.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Shorter rests are not worth a line of the log.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// A request of which the answer has come.
pub struct Asked {
    /// How long that took, without what was to be done before, such as getting a token.
    pub took: Duration,
    /// What came.
    pub answer: Answer,
}

/// What workers share.
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// Why nobody is let in any more.
    shut: OnceLock<String>,
    told: Mutex<Vec<String>>,
    /// Whether the API was heard in this run.
    heard: AtomicBool,
}

struct State {
    limiter: Limiter,
    health: Health,
    /// So many wait for others.
    waiting: usize,
    /// One of them waits for a point in time, and will wake the next one.
    timed: bool,
}

impl Gate {
    /// A gate that nobody has passed.
    pub fn new(limits: Limits, policy: Policy) -> Gate {
        let state = State { limiter: Limiter::new(limits), health: Health::new(policy), waiting: 0, timed: false };
        Gate {
            state: Mutex::new(state),
            changed: Condvar::new(),
            shut: OnceLock::new(),
            told: Mutex::default(),
            heard: AtomicBool::new(false),
        }
    }

    /// Asks as soon as that may be, and learns from the answer; with it comes whether the API was well for others since the payload failed
    /// last. An error stops the run: one of `ask`, an interruption, or that the API fails as a whole.
    pub fn pass(
        &self,
        wire: &Wire,
        ordeal: &mut Ordeal,
        ask: impl FnOnce() -> Result<Asked>,
    ) -> Result<(Answer, bool)> {
        let entered = self.enter(wire)?;
        match ask() {
            Ok(asked) => {
                let well = self.learn(wire, ordeal, entered, &asked);
                Ok((asked.answer, well))
            }
            Err(error) => {
                lock(&self.state).limiter.leave();
                Err(error)
            }
        }
    }

    /// Whether the API was heard in this run.
    pub fn heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Takes note of an answer to any request, also for documents and tokens: was it the API's?
    pub fn hear(&self, answer: &Answer) {
        if !self.heard() && Sign::of(answer, Timestamp::UNIX_EPOCH) == Sign::Well {
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    /// Nobody is let in any more, for this reason.
    pub fn shut(&self, why: String) {
        self.shut.get_or_init(|| why);
        self.changed.notify_all();
    }

    /// The API was found well by somebody who did not pass the gate.
    pub fn well(&self) {
        lock(&self.state).health.well();
        self.changed.notify_all();
    }

    /// Waits while all workers rest.
    pub fn rest(&self, wire: &Wire) -> Result<(), Exit> {
        loop {
            let now = (wire.clock)();
            let rest = lock(&self.state).health.rest(now);
            match rest {
                Some(until) => (wire.sleep)(until - now)?,
                None => return Ok(()),
            }
        }
    }

    /// Whether a payload that just failed is to be tried again.
    pub fn is_open(&self) -> bool {
        !lock(&self.state).health.is_doubtful() && !self.is_shut()
    }

    /// A payload's patience is over without an answer to go by. An error if that shows that the API fails as a whole.
    pub fn spent(&self, ordeal: &Ordeal, answer: &Answer) -> Result<()> {
        let mut state = lock(&self.state);
        state.health.spent(ordeal);
        self.shut_if_hopeless(&state, answer);
        self.refuse_if_shut()
    }

    /// Whether nobody is let in any more.
    pub fn is_shut(&self) -> bool {
        self.shut.get().is_some()
    }

    /// Tells people that a run waits, and for what.
    pub fn tell(&self, what: String) {
        lock(&self.told).push(what);
    }

    /// What was told since this was last asked.
    pub fn told(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.told))
    }

    /// Returns when it let the request in.
    fn enter(&self, wire: &Wire) -> Result<Instant> {
        let interrupted = |exit| Error::new(exit, "interrupted while waiting to send");
        let mut state = lock(&self.state);
        loop {
            self.refuse_if_shut()?;
            let now = (wire.clock)();
            let turn = match state.health.rest(now) {
                Some(until) => Turn::At(until),
                None => state.limiter.enter(now),
            };
            match turn {
                Turn::Now => {
                    // Who was waiting for the same thing may come in too.
                    if state.waiting > 0 {
                        self.changed.notify_one();
                    }
                    return Ok(now);
                }
                Turn::At(then) if !state.timed => {
                    state.timed = true;
                    drop(state);
                    let slept = (wire.sleep)(then - now);
                    state = lock(&self.state);
                    state.timed = false;
                    if self.is_shut() {
                        continue;
                    }
                    slept.map_err(interrupted)?;
                }
                Turn::At(_) | Turn::Full => {
                    state.waiting += 1;
                    state = self.changed.wait_timeout(state, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
                    state.waiting -= 1;
                    if !self.is_shut() {
                        (wire.sleep)(Duration::ZERO).map_err(interrupted)?;
                    }
                }
            }
        }
    }

    fn learn(&self, wire: &Wire, ordeal: &mut Ordeal, entered: Instant, asked: &Asked) -> bool {
        let now = (wire.clock)();
        let sign = Sign::of(&asked.answer, Timestamp::now());
        let mut state = lock(&self.state);
        match sign {
            Sign::Well => state.limiter.answered(entered, asked.took, now),
            Sign::Unwell { .. } | Sign::Cut | Sign::Failed | Sign::Foreign => state.limiter.leave(),
        }
        let jitter = if sign == Sign::Well { 0.0 } else { (wire.jitter)() };
        let Noted { rest, well } = state.health.note(sign, ordeal, entered, now, self.heard(), jitter);
        if let Some(rest) = rest {
            state.limiter.trouble(now, rest.number == 1);
        }
        if sign != Sign::Well {
            self.shut_if_hopeless(&state, &asked.answer);
        }
        if state.waiting > 0 {
            self.changed.notify_one();
        }
        drop(state);
        if let Some(Rest { length, number }) = rest.filter(|rest| rest.length >= WORTH_TELLING && !self.is_shut()) {
            let (said, length) = (in_words(&asked.answer), text::duration(length.as_secs_f64().ceil() as u64));
            self.tell(format!("the API is not well ({said}): all workers wait {length} before one tries again (wait {number} in a row)"));
        }
        well
    }

    fn shut_if_hopeless(&self, state: &State, answer: &Answer) {
        if state.health.is_hopeless() {
            self.shut.get_or_init(|| {
                format!(
                    "the API fails as a whole: it was found well by none of the last {} payloads, and patience is over; \
                     its last answer: {}",
                    state.health.payloads(),
                    in_words(answer)
                )
            });
        }
    }

    fn refuse_if_shut(&self) -> Result<()> {
        self.shut.get().map_or(Ok(()), |why| Err(Error::api(why.as_str())))
    }
}

/// A panic elsewhere leaves these values whole: they are changed by their own methods, which do not panic midway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
