//! Now and sleep, behind one small wall, so that policies take time as a value.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::exit::Exit;

/// Seconds since 1970, as state and tokens keep time.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Sleeps for `delay`, or until `ends` tells how the program is to end, which it is asked every now and then.
pub fn sleep(delay: Duration, ends: &dyn Fn() -> Option<Exit>) -> Result<(), Exit> {
    const LOOK: Duration = Duration::from_millis(50);
    let end = Instant::now() + delay;
    loop {
        if let Some(exit) = ends() {
            return Err(exit);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(LOOK));
    }
}
