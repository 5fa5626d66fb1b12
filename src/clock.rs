//! Now and sleep, behind one small wall, so that policies take time as a value.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::interrupt::Interrupt;

/// Seconds since 1970, as state and tokens keep time.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Sleeps for `delay`, or until somebody asks the program to stop. Returns whether the whole delay passed.
pub fn sleep(delay: Duration, interrupt: &Interrupt) -> bool {
    const LOOK: Duration = Duration::from_millis(50);
    let end = Instant::now() + delay;
    loop {
        if interrupt.asked().is_some() {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(LOOK));
    }
}
