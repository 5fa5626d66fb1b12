//! Decides how many requests may be in flight, and when the next one may start. Pure: time comes as a value.
//!
//! The limit behaves as TCP's window does. It starts low and lets one more in for each answer, so that it doubles with every round, up to
//! what is known to be safe; beyond that it tries one more at a time, each for a whole stretch of answers. On trouble it falls to one at a
//! time and comes back quickly to what is safe: where one more was being tried, what was fine before, else half. What did not work is
//! tried again after twice as long. Answers that are slower because of the load halve it too ([`Slowness`]).

use std::time::{Duration, Instant};

use super::slowness::{Slowness, Verdict};

/// More than this at a time is reached by trying.
const FIRST: usize = 8;

/// One more at a time is tried after so many rounds of answers.
const STRETCH: usize = 25;

/// After misses in a row, the stretch is no longer than this power of two of it.
const MOST_MISSES: u32 = 6;

/// So much of what a rate allows can be made up for, so that workers that wake late do not lower it.
const SLACK: Duration = Duration::from_millis(50);

/// What the configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Never more requests in flight.
    pub ceiling: usize,
    /// Fewer while the API is slow or refuses.
    pub adaptive: bool,
    /// Never more requests in a second.
    pub rate: Option<u32>,
}

/// Whether a request may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may, and is counted.
    Now,
    /// Not before then.
    At(Instant),
    /// Not before another one has ended.
    Full,
}

/// The number in flight and its limit.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    in_flight: usize,
    limit: usize,
    /// When the limit was last reached; answers from times when it was not say nothing about it.
    full: Option<Instant>,
    /// Up to here the limit grows with every answer.
    safe: usize,
    /// Answers since the limit changed.
    steady: usize,
    /// How often in a row one more than is safe did not work.
    misses: u32,
    slowness: Slowness,
    /// When the load was last cut; answers to what was sent before say nothing about the load since.
    cut: Option<Instant>,
    /// When the rate allows the next request.
    next: Option<Instant>,
}

impl Limiter {
    /// A limiter that has let nobody in yet.
    pub fn new(limits: Limits) -> Limiter {
        let limit = if limits.adaptive { limits.ceiling.min(FIRST) } else { limits.ceiling };
        Limiter {
            limits,
            in_flight: 0,
            limit,
            full: None,
            safe: limits.ceiling,
            steady: 0,
            misses: 0,
            slowness: Slowness::default(),
            cut: None,
            next: None,
        }
    }

    /// Lets a request start, if it may.
    pub fn enter(&mut self, now: Instant) -> Turn {
        if self.in_flight >= self.limit {
            return Turn::Full;
        }
        if let Some(rate) = self.limits.rate {
            let next = self.next.unwrap_or(now);
            if next > now {
                return Turn::At(next);
            }
            let from = now.checked_sub(SLACK).map_or(now, |earliest| next.max(earliest));
            self.next = Some(from + Duration::from_secs(1) / rate);
        }
        self.in_flight += 1;
        if self.in_flight >= self.limit {
            self.full = Some(now);
        }
        Turn::Now
    }

    /// A request has ended in a way that says nothing about the load.
    pub fn leave(&mut self) {
        self.in_flight -= 1;
    }

    /// A request that was sent at `began` has ended with an answer of an API that is well.
    pub fn answered(&mut self, began: Instant, now: Instant) {
        let saturated = self.in_flight >= self.limit || self.full.is_some_and(|full| full >= began);
        self.in_flight -= 1;
        if !self.limits.adaptive || self.cut.is_some_and(|cut| began < cut) {
            return;
        }
        match self.slowness.hear(now.saturating_duration_since(began), self.limit) {
            Some(Verdict::Slower(load)) => {
                self.cut = Some(now);
                self.hold((load / 2).max(1));
            }
            Some(Verdict::Regardless(load)) => self.hold(load),
            None if saturated => self.grow(),
            None => {}
        }
    }

    fn hold(&mut self, limit: usize) {
        (self.limit, self.safe, self.steady) = (limit, limit, 0);
    }

    fn grow(&mut self) {
        if self.limit < self.safe {
            self.limit += 1;
        } else if self.limit < self.limits.ceiling {
            self.steady += 1;
            let trying = self.limit > self.safe;
            let needed = (STRETCH * self.limit) << if trying { 0 } else { self.misses };
            if self.steady < needed {
                return;
            }
            if trying {
                (self.safe, self.misses) = (self.limit, 0);
            }
            (self.limit, self.steady) = (self.limit + 1, 0);
        }
    }

    /// The API is not well. `served`: until now it was; else the load is not what troubles it.
    pub fn trouble(&mut self, now: Instant, served: bool) {
        if !self.limits.adaptive {
            return;
        }
        if served && self.limit > self.safe {
            self.misses = MOST_MISSES.min(self.misses + 1);
        } else if served {
            (self.safe, self.misses) = ((self.limit / 2).max(1), 0);
        }
        (self.limit, self.steady, self.cut) = (1, 0, Some(now));
        self.slowness.restart();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(ceiling: usize) -> Limiter {
        Limiter::new(Limits { ceiling, adaptive: true, rate: None })
    }

    /// Lets in as many as may.
    fn fill(limiter: &mut Limiter, now: Instant) -> usize {
        (0..).take_while(|_| limiter.enter(now) == Turn::Now).count()
    }

    /// Rounds on an API that answers any number at a time after `latency`, each request sent a moment after it was let in; the number in
    /// flight in each.
    fn rounds(limiter: &mut Limiter, now: &mut Instant, n: usize, latency: fn(usize) -> u64) -> Vec<usize> {
        let round = |_| {
            let mut began = Vec::new();
            while limiter.enter(*now) == Turn::Now {
                *now += Duration::from_micros(1);
                began.push(*now);
            }
            *now += Duration::from_millis(latency(began.len()));
            began.iter().for_each(|began| limiter.answered(*began, *now));
            began.len()
        };
        (0..n).map(round).collect()
    }

    #[test]
    fn the_limit_doubles_with_every_round_until_the_ceiling() {
        let mut now = Instant::now();
        assert_eq!(rounds(&mut limiter(64), &mut now, 5, |_| 20), [8, 16, 32, 64, 64]);
        assert_eq!(rounds(&mut limiter(5), &mut now, 2, |_| 20), [5, 5]);
    }

    #[test]
    fn trouble_leaves_one_at_a_time_and_the_way_back_is_quick_to_the_half_and_slow_from_there() {
        let (mut limiter, mut now) = (limiter(32), Instant::now());
        rounds(&mut limiter, &mut now, 4, |_| 20);
        limiter.trouble(now, true);
        let back = rounds(&mut limiter, &mut now, 30 + 16 * 26, |_| 20);
        assert_eq!(back[..6], [1, 2, 4, 8, 16, 16]);
        assert!(back[6..29].iter().all(|sent| *sent == 16) && back[31] == 17, "{back:?}");
        assert!(back.windows(2).all(|two| two[1] >= two[0]) && back.last() == Some(&32), "{back:?}");
    }

    #[test]
    fn what_did_not_work_is_tried_again_after_twice_as_long() {
        let (mut limiter, mut now) = (limiter(32), Instant::now());
        let (mut answered, mut refused, mut tries) = (0, 0, Vec::new());
        // An API that takes four at a time.
        while answered < 5_000 {
            let began = now;
            let sent = fill(&mut limiter, began);
            now += Duration::from_millis(20);
            if sent > 4 {
                (4..sent).for_each(|_| limiter.leave());
                limiter.trouble(now, true);
                refused += sent - 4;
                tries.push(answered);
            }
            for _ in 0..sent.min(4) {
                limiter.answered(began, now);
                answered += 1;
            }
        }
        let apart: Vec<i32> = tries.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(apart.len(), 5, "{tries:?}");
        assert!(apart.windows(2).all(|two| two[1] > two[0] * 3 / 2), "{apart:?}");
        assert_eq!(refused, 4 + 5);
    }

    #[test]
    fn an_outage_does_not_change_what_is_safe() {
        let (mut limiter, mut now) = (limiter(32), Instant::now());
        rounds(&mut limiter, &mut now, 4, |_| 20);
        limiter.trouble(now, true);
        for _ in 0..10 {
            assert_eq!(fill(&mut limiter, now), 1);
            limiter.leave();
            limiter.trouble(now, false);
        }
        assert_eq!(rounds(&mut limiter, &mut now, 6, |_| 20), [1, 2, 4, 8, 16, 16]);
    }

    #[test]
    fn answers_that_slow_down_as_the_load_grows_halve_it() {
        let (mut limiter, mut now) = (limiter(256), Instant::now());
        // An API that works on 16 at a time and lets the others wait.
        let sent = rounds(&mut limiter, &mut now, 200, |sent| 40 * sent.div_ceil(16) as u64);
        assert!(sent[10..].iter().all(|sent| (16..=64).contains(sent)), "{sent:?}");
    }

    #[test]
    fn a_resource_that_takes_longer_whatever_the_load_is_sent_as_many_at_a_time() {
        let (mut limiter, mut now) = (limiter(32), Instant::now());
        rounds(&mut limiter, &mut now, 10, |_| 60);
        let slower = rounds(&mut limiter, &mut now, 20, |_| 300);
        assert_eq!(slower.iter().min(), Some(&16), "it was tried whether fewer help: {slower:?}");
        assert!(slower.iter().filter(|sent| **sent < 32).count() <= 4 && slower.last() == Some(&32), "{slower:?}");
    }

    #[test]
    fn quick_answers_are_never_slow() {
        let (mut limiter, mut now) = (limiter(32), Instant::now());
        rounds(&mut limiter, &mut now, 10, |_| 2);
        assert_eq!(rounds(&mut limiter, &mut now, 20, |_| 45), [32; 20]);
    }

    #[test]
    fn without_adaption_the_ceiling_stays() {
        let mut limiter = Limiter::new(Limits { ceiling: 32, adaptive: false, rate: None });
        let mut now = Instant::now();
        assert_eq!(rounds(&mut limiter, &mut now, 1, |_| 60), [32]);
        limiter.trouble(now, true);
        assert_eq!(rounds(&mut limiter, &mut now, 20, |_| 900), [32; 20]);
    }

    #[test]
    fn a_rate_spreads_requests_evenly_and_makes_up_for_no_more_than_a_little() {
        let mut limiter = Limiter::new(Limits { ceiling: 1_000, adaptive: false, rate: Some(100) });
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(limiter.enter(at(0)), Turn::Now);
        assert_eq!(limiter.enter(at(0)), Turn::At(at(10)));
        assert_eq!(limiter.enter(at(9)), Turn::At(at(10)));
        // Late by 5 ms, which the next one need not wait.
        assert_eq!(limiter.enter(at(15)), Turn::Now);
        assert_eq!(limiter.enter(at(15)), Turn::At(at(20)));
        let after_a_break = fill(&mut limiter, at(60_000));
        assert_eq!(after_a_break, 6, "what 50 ms allow, and one");
    }
}
