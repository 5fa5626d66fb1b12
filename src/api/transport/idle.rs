//! Notices a connection on which nothing moves.
//!
//! A firewall or a balancer that forgets a connection tells nobody. Whoever waits for the answer then waits until the
//! limit of the whole request, which some loads need to be long. So each single wait for bytes is also limited.

use std::time::Duration;

use ureq::Error;
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration as Limit;

use crate::interrupt::{GRACE, Interrupt};

/// How often a wait for bytes checks whether somebody asked the program to stop.
const LOOK: Duration = Duration::from_secs(1);

/// How long a connection may stay without a byte.
#[derive(Clone, Debug)]
pub struct Idle {
    /// While the run goes on.
    pub most: Duration,
    /// Ends it, after a grace.
    pub interrupt: Interrupt,
}

/// Nothing came for this long.
#[derive(Debug)]
pub struct NothingCame(Duration);

/// Nothing came before the program had to stop.
#[derive(Debug)]
pub struct Stopping;

impl Idle {
    /// Waits for bytes, at most for what is left of the request's time, for as long as nothing may come, and until the grace is over.
    pub fn wait_for_input<T>(
        &self,
        timeout: NextTimeout,
        wait: impl FnMut(NextTimeout) -> Result<T, Error>,
    ) -> Result<T, Error> {
        waits(self.most, timeout, || self.interrupt.left(), wait)
    }

    /// Sends bytes, at most for what is left of the request's time and for as long as nothing may move. What is half sent cannot be taken up
    /// again, so this never lasts longer than the grace.
    pub fn wait_for_output<T>(
        &self,
        timeout: NextTimeout,
        wait: impl FnOnce(NextTimeout) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let most = self.most.min(GRACE);
        match timeout.after {
            Limit::Exact(left) if left <= most => wait(timeout),
            _ => wait(limited(timeout, most)).map_err(|error| match is_timeout(&error) {
                true => Error::Other(NothingCame(most).into()),
                false => error,
            }),
        }
    }
}

/// Waits in slices. `grace`: how long it may still take, once somebody asked the program to stop.
fn waits<T>(
    most: Duration,
    timeout: NextTimeout,
    grace: impl Fn() -> Option<Duration>,
    mut wait: impl FnMut(NextTimeout) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut waited = Duration::ZERO;
    loop {
        let of_request = match timeout.after {
            Limit::Exact(after) => after.saturating_sub(waited),
            Limit::NotHappening => Duration::MAX,
        };
        let of_idle = most.saturating_sub(waited);
        let slice = of_request.min(of_idle).min(LOOK);
        if grace().is_some_and(|left| left.is_zero()) {
            return Err(Error::Other(Stopping.into()));
        }
        match wait(limited(timeout, slice)) {
            Err(error) if is_timeout(&error) && slice == of_request => return Err(error),
            Err(error) if is_timeout(&error) && slice == of_idle => return Err(Error::Other(NothingCame(most).into())),
            Err(error) if is_timeout(&error) => waited += slice,
            ended => return ended,
        }
    }
}

fn limited(timeout: NextTimeout, most: Duration) -> NextTimeout {
    NextTimeout { after: Limit::Exact(most), ..timeout }
}

fn is_timeout(error: &Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    match error {
        Error::Timeout(_) => true,
        Error::Io(error) => matches!(error.kind(), TimedOut | WouldBlock),
        _ => false,
    }
}

impl std::fmt::Display for NothingCame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "nothing came over the connection for {} s (connection.idle_timeout)", self.0.as_secs_f64())
    }
}

impl std::error::Error for NothingCame {}

impl std::fmt::Display for Stopping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer came before the program had to stop")
    }
}

impl std::error::Error for Stopping {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const IDLE: Duration = Duration::from_secs(120);

    /// How long a wait lasts when nothing ever comes, and the error that ends it. The program is asked to stop after `stop` seconds.
    fn ends(after: Limit, stop: u64) -> (Duration, String) {
        let passed = Cell::new(Duration::ZERO);
        let grace = || {
            let stopping_for = passed.get().checked_sub(Duration::from_secs(stop))?;
            Some(GRACE.saturating_sub(stopping_for))
        };
        let ended = waits(IDLE, NextTimeout { after, ..NextTimeout::default() }, grace, |timeout| {
            passed.set(passed.get() + *timeout.after);
            Err::<(), _>(Error::Timeout(ureq::Timeout::Global))
        });
        (passed.get(), ended.unwrap_err().to_string())
    }

    #[test]
    fn each_wait_ends_by_what_is_left_of_the_request_or_when_nothing_came_for_too_long() {
        let (waited, told) = ends(Limit::from_secs(3_600), 9_999);
        assert_eq!(waited, IDLE);
        assert!(told.contains("nothing came over the connection for 120 s"), "{told}");
        assert_eq!(ends(Limit::NotHappening, 9_999).0, IDLE);
        for left in [Duration::from_secs(120), Duration::from_millis(4_500), Duration::from_millis(50)] {
            let (waited, told) = ends(Limit::Exact(left), 9_999);
            assert_eq!((waited, told.contains("nothing came")), (left, false));
        }
    }

    #[test]
    fn a_wait_lasts_twenty_seconds_at_most_when_the_program_is_asked_to_stop() {
        for stop in [0, 3, 40] {
            let (waited, told) = ends(Limit::from_secs(3_600), stop);
            assert_eq!(waited, Duration::from_secs(stop) + GRACE);
            assert!(told.ends_with("no answer came before the program had to stop"), "{told}");
        }
        assert_eq!(ends(Limit::from_secs(5), 0).0, Duration::from_secs(5), "the request's own time is up before");
    }

    #[test]
    fn bytes_that_cannot_be_sent_never_take_longer_than_the_grace() {
        let idle = Idle { most: IDLE, interrupt: Interrupt::default() };
        let ended = idle.wait_for_output(NextTimeout::default(), |timeout| {
            assert_eq!(timeout.after, Limit::Exact(GRACE));
            Err::<(), _>(Error::Timeout(ureq::Timeout::Global))
        });
        assert!(ended.unwrap_err().to_string().contains("nothing came over the connection for 20 s"));
    }

    #[test]
    fn what_broke_otherwise_keeps_its_name() {
        let cut = || Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let ended = waits(IDLE, NextTimeout::default(), || None, |_| Err::<(), _>(cut()));
        assert!(matches!(ended, Err(Error::Io(_))));
    }
}
