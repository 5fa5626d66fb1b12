//! Notices a connection on which nothing moves.
//!
//! A firewall or a balancer that forgets a connection tells nobody. Whoever waits for the answer then waits until the
//! limit of the whole request, which some loads need to be long. So each single wait for bytes is also limited.

use std::time::Duration;

use ureq::Error;
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration as Limit;

/// How long a connection may stay without a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle(pub Duration);

/// Nothing came for this long.
#[derive(Debug)]
pub struct NothingCame(Duration);

impl Idle {
    /// Does what waits for bytes, at most for what is left of the request's time and for as long as nothing may come.
    pub fn wait<T>(self, timeout: NextTimeout, wait: impl FnOnce(NextTimeout) -> Result<T, Error>) -> Result<T, Error> {
        match timeout.after {
            Limit::Exact(left) if left <= self.0 => wait(timeout),
            _ => {
                wait(NextTimeout { after: Limit::Exact(self.0), ..timeout }).map_err(|error| match is_timeout(&error) {
                    true => Error::Other(NothingCame(self.0).into()),
                    false => error,
                })
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Idle = Idle(Duration::from_secs(120));

    /// What a wait with so much time left is limited to, and what its end by time is called.
    fn limited(after: Limit) -> (Limit, String) {
        let mut limit = Limit::NotHappening;
        let ended = IDLE.wait(NextTimeout { after, ..NextTimeout::default() }, |timeout| {
            limit = timeout.after;
            Err::<(), _>(Error::Timeout(ureq::Timeout::Global))
        });
        (limit, ended.unwrap_err().to_string())
    }

    #[test]
    fn each_wait_ends_by_what_is_left_of_the_request_or_when_nothing_came_for_too_long() {
        let (limit, told) = limited(Limit::from_secs(3_600));
        assert_eq!(limit, Limit::from_secs(120));
        assert!(told.contains("nothing came over the connection for 120 s"), "{told}");
        assert_eq!(limited(Limit::NotHappening).0, Limit::from_secs(120));
        for left in [Limit::from_secs(120), Limit::from_secs(5)] {
            let (limit, told) = limited(left);
            assert_eq!((limit, told.contains("nothing came")), (left, false));
        }
    }

    #[test]
    fn what_broke_otherwise_keeps_its_name() {
        let cut = || Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let ended = IDLE.wait(NextTimeout::default(), |_| Err::<(), _>(cut()));
        assert!(matches!(ended, Err(Error::Io(_))));
    }
}
