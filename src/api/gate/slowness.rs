//! Tells answers that are slow because of the load from those that take long anyway. Pure.
//!
//! Whether the load is the cause is found out by trying: once answers take twice as long as they did, fewer are sent. If
//! they are quicker then, that was it. If not, what is sent now (another resource, larger payloads) takes so long by itself,
//! and that is usual from now on. So a wrong suspicion costs a round or two, whatever the API.

use std::time::Duration;

/// Answers within this time are never called slow: who waits so little does not stand in a queue worth avoiding.
const QUICK: Duration = Duration::from_millis(50);

/// So many answers at least, and at most, make a judgement.
const ENOUGH: (usize, usize) = (20, 64);

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Twice as slow as usual under this load: try with half of it.
    Slower(usize),
    /// Half of this load did not help: go back to it.
    Regardless(usize),
}

/// How long answers take.
#[derive(Debug, Default)]
pub struct Slowness {
    /// What those took that are to be judged next.
    heard: Vec<Duration>,
    /// The shortest time that was typical since the last surprise.
    usual: Option<Duration>,
    /// The load when the first of those came, which is no less than that under which most of them were sent.
    load: usize,
    /// What was typical under which load before it was halved, while that is being tried.
    tried: Option<(Duration, usize)>,
}

impl Slowness {
    /// An answer took so long; `load` is how many may be in flight now.
    pub fn hear(&mut self, took: Duration, load: usize) -> Option<Verdict> {
        if self.heard.is_empty() {
            self.load = load;
        }
        self.heard.push(took);
        if self.heard.len() < (2 * self.load).clamp(ENOUGH.0, ENOUGH.1) {
            return None;
        }
        self.heard.sort_unstable();
        let typical = self.heard[self.heard.len() / 2];
        self.heard.clear();
        match (self.tried.take(), self.usual) {
            (Some((before, load)), _) if typical > before.mul_f64(0.75) => {
                self.usual = Some(typical);
                Some(Verdict::Regardless(load))
            }
            (Some(_), _) => None,
            (None, Some(usual)) if typical > 2 * usual && typical > QUICK => {
                self.tried = Some((typical, self.load));
                Some(Verdict::Slower(self.load))
            }
            (None, usual) => {
                self.usual = Some(usual.map_or(typical, |usual| usual.min(typical)));
                None
            }
        }
    }

    /// The load has changed for another reason.
    pub fn restart(&mut self) {
        self.heard.clear();
        self.tried = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of so many answers that each take so many milliseconds, ten at a time.
    fn hear(slowness: &mut Slowness, n: usize, took: u64) -> Vec<Verdict> {
        (0..n).filter_map(|_| slowness.hear(Duration::from_millis(took), 10)).collect()
    }

    #[test]
    fn twice_as_slow_as_usual_is_slow_and_half_the_load_shows_why() {
        let mut slowness = Slowness::default();
        assert_eq!(hear(&mut slowness, 40, 60), []);
        assert_eq!(hear(&mut slowness, 40, 119), []);
        assert_eq!(hear(&mut slowness, 20, 130), [Verdict::Slower(10)]);
        assert_eq!(hear(&mut slowness, 60, 70), [], "that helped");
        assert_eq!(hear(&mut slowness, 20, 130), [Verdict::Slower(10)]);
        assert_eq!(hear(&mut slowness, 40, 120), [Verdict::Regardless(10)], "and is usual from now on");
    }

    #[test]
    fn a_few_slow_answers_are_not_typical() {
        let mut slowness = Slowness::default();
        hear(&mut slowness, 20, 60);
        assert_eq!(hear(&mut slowness, 9, 5_000), []);
        assert_eq!(hear(&mut slowness, 11, 60), []);
    }

    #[test]
    fn where_the_load_changed_for_another_reason_judgement_begins_anew() {
        let mut slowness = Slowness::default();
        hear(&mut slowness, 20, 60);
        assert_eq!(hear(&mut slowness, 20, 130), [Verdict::Slower(10)]);
        assert_eq!(hear(&mut slowness, 10, 130), []);
        slowness.restart();
        assert_eq!(hear(&mut slowness, 19, 130), []);
        assert_eq!(hear(&mut slowness, 1, 130), [Verdict::Slower(10)]);
    }
}
