//! For how long a host as a whole is waited for. Pure: time comes as a value.
//!
//! A host that restarts answers nobody for a minute or two. That says nothing of a payload, and so it costs no payload a repetition: patience
//! with the host is measured in time, patience with a payload in repetitions.

use std::time::{Duration, Instant};

use super::retry::Policy;

/// Nobody waits longer at the start of a run: a host that was never heard may have another address.
const AT_THE_START: Duration = Duration::from_secs(30);

/// How long a host has been waited for since it was last well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Since when.
    began: Option<Instant>,
    /// How much of that it asked for itself.
    excused: Duration,
    /// How often it asked.
    asked: u32,
}

impl Patience {
    /// The host failed. It asks to be left alone for `asked`, if it asks.
    pub fn tried(&mut self, asked: Option<Duration>, now: Instant) {
        self.began.get_or_insert(now);
        self.asked += u32::from(asked.is_some());
    }

    /// Whether enough was waited. `heard`: whether the host was heard in this run.
    pub fn is_over(&self, policy: &Policy, heard: bool, now: Instant) -> bool {
        // What a host asks for does not end patience, or a single wait could; that it asks again and again does.
        let began = self.began.is_some();
        began && (self.asked > policy.num_retries.max(1) || self.left(policy, heard, now).is_zero())
    }

    /// The wait that follows: of the wanted length, but no longer than patience is. One that the host asked for is as long as that.
    pub fn wait(&mut self, policy: &Policy, heard: bool, wanted: Duration, asked: bool, now: Instant) -> Duration {
        match asked {
            true => {
                self.excused += wanted;
                wanted
            }
            // A last wait of nearly nothing would be none.
            false => wanted.min(self.left(policy, heard, now).max(Duration::from_millis(1))),
        }
    }

    fn left(&self, policy: &Policy, heard: bool, now: Instant) -> Duration {
        let whole = if heard { policy.patience } else { policy.patience.min(AT_THE_START) };
        let since = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        whole.saturating_sub(since.saturating_sub(self.excused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(seconds: u64) -> Policy {
        let patience = Duration::from_secs(seconds);
        Policy { num_retries: 10, backoff_factor: 1.5, statuses: vec![503], patience }
    }

    #[test]
    fn it_lasts_as_long_as_configured_and_at_the_start_of_a_run_half_a_minute_at_most() {
        let start = Instant::now();
        let ends = |seconds: u64, heard: bool| {
            let mut patience = Patience::default();
            patience.tried(None, start);
            (0..1_000u64)
                .find(|&at| patience.is_over(&policy(seconds), heard, start + Duration::from_secs(at)))
                .unwrap_or(u64::MAX)
        };
        assert_eq!((ends(300, true), ends(300, false)), (300, 30));
        assert_eq!((ends(5, true), ends(5, false)), (5, 5));
    }

    #[test]
    fn the_last_wait_ends_with_it() {
        let (start, policy) = (Instant::now(), policy(12));
        let mut patience = Patience::default();
        patience.tried(None, start);
        let ten = Duration::from_secs(10);
        assert_eq!(patience.wait(&policy, true, ten, false, start), ten);
        assert_eq!(patience.wait(&policy, true, ten, false, start + ten), Duration::from_secs(2));
    }

    #[test]
    fn what_the_host_asks_for_does_not_end_it_but_asking_without_end_does() {
        let (start, policy) = (Instant::now(), policy(20));
        let (mut patience, mut now) = (Patience::default(), start);
        let five_minutes = Duration::from_secs(300);
        let mut waits = 0;
        loop {
            patience.tried(Some(five_minutes), now);
            if patience.is_over(&policy, true, now) {
                break;
            }
            now += patience.wait(&policy, true, five_minutes, true, now);
            waits += 1;
        }
        assert_eq!(waits, 10);
    }
}
