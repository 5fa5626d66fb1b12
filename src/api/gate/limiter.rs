//! Decides how many requests may be in flight, and when the next one may start. Pure: time comes as a value.
//!
//! The limit behaves as TCP's window does. It starts low and lets one more in for each answer, so that it doubles with every round, up to
//! what is known to be safe; beyond that it tries one more at a time, each for a whole stretch of answers. On trouble it falls to one at a
//! time and comes back quickly to what is safe: where one more was being tried, what was fine before, else half. What did not work is
//! tried again after twice as long. Answers that are slower because of the load halve it too (`slowness`); since slowness passes, what was
//! fine before is tried again sooner.

use std::time::{Duration, Instant};

use super::slowness::{Slowness, Verdict};

/// More than this at a time is reached by trying.
const FIRST: usize = 8;

/// One more at a time is tried after so many rounds of answers.
const STRETCH: usize = 25;

/// What was fine before answers became slow is tried again after so many rounds.
const STRETCH_BACK: usize = 5;

/// And not before slowness is judged.
const ENOUGH: usize = 64;

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
    /// Below this, which was fine until answers became slow, the limit doubles with every short stretch.
    top: usize,
    /// Answers since the limit changed.
    steady: usize,
    /// How often in a row more than is safe did not work.
    misses: u32,
    slowness: Slowness,
    /// When the limit was last changed by much; answers to what was let in before say nothing about the load since.
    changed: Option<Instant>,
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
            top: 0,
            steady: 0,
            misses: 0,
            slowness: Slowness::default(),
            changed: None,
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

    /// A request that was let in at `entered` has ended with an answer of an API that is well, for which it took so long.
    pub fn answered(&mut self, entered: Instant, took: Duration, now: Instant) {
        self.in_flight -= 1;
        if !self.limits.adaptive || self.changed.is_some_and(|changed| entered < changed) {
            return;
        }
        match self.slowness.hear(took, self.limit) {
            Some(Verdict::Slower(load)) => {
                self.missed();
                (self.top, self.changed) = (self.top.max(load), Some(now));
                self.hold((load / 2).max(1));
            }
            Some(Verdict::Regardless(load)) => self.hold(load),
            None if self.full.is_some_and(|full| full >= entered) => self.grow(now),
            None => {}
        }
    }

    fn hold(&mut self, limit: usize) {
        (self.limit, self.safe, self.steady) = (limit, limit, 0);
    }

    fn grow(&mut self, now: Instant) {
        if self.limit < self.safe {
            self.limit += 1;
            return;
        }
        self.steady += 1;
        let trying = self.limit > self.safe;
        let coming_back = self.limit <= self.top;
        let stretch = if coming_back { (STRETCH_BACK * self.limit).max(ENOUGH) } else { STRETCH * self.limit };
        if self.steady < stretch << if trying { 0 } else { self.misses } {
            return;
        }
        if trying {
            (self.safe, self.misses) = (self.limit, 0);
        }
        self.steady = 0;
        if self.limit < self.top {
            self.limit = self.top.min(2 * self.limit);
            self.changed = Some(now);
            self.slowness.restart();
        } else {
            self.limit = self.limits.ceiling.min(self.limit + 1);
        }
    }

    fn missed(&mut self) {
        let trying = self.limit > self.safe;
        self.misses = if trying { MOST_MISSES.min(self.misses + 1) } else { 0 };
    }

    /// The API is not well. `served`: until now it was; else the load is not what troubles it.
    pub fn trouble(&mut self, now: Instant, served: bool) {
        if !self.limits.adaptive {
            return;
        }
        if served {
            self.missed();
            self.safe = if self.limit > self.safe { self.safe } else { (self.limit / 2).max(1) };
            self.top = 0;
        }
        (self.limit, self.steady, self.changed) = (1, 0, Some(now));
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

    /// Rounds on an API that answers any number at a time after `latency`; the number in flight in each.
    fn rounds(limiter: &mut Limiter, now: &mut Instant, n: usize, latency: fn(usize) -> u64) -> Vec<usize> {
        let round = |_| {
            let (entered, sent) = (*now, fill(limiter, *now));
            let took = Duration::from_millis(latency(sent));
            *now += took;
            (0..sent).for_each(|_| limiter.answered(entered, took, *now));
            sent
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
            let (entered, sent, took) = (now, fill(&mut limiter, now), Duration::from_millis(20));
            now += took;
            if sent > 4 {
                (4..sent).for_each(|_| limiter.leave());
                limiter.trouble(now, true);
                refused += sent - 4;
                tries.push(answered);
            }
            for _ in 0..sent.min(4) {
                limiter.answered(entered, took, now);
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
    fn slowness_that_passes_costs_a_few_rounds() {
        let (mut limiter, mut now) = (limiter(32), Instant::now());
        rounds(&mut limiter, &mut now, 10, |_| 40);
        rounds(&mut limiter, &mut now, 3, |_| 120);
        let after = rounds(&mut limiter, &mut now, 20, |_| 40);
        assert_eq!((after[0], after[8..].iter().min()), (16, Some(&32)), "{after:?}");
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
