//! Now and sleep, behind one small wall, so that policies take time as a value.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::exit::Exit;

/// Seconds since 1970, as state and tokens keep time.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// What is to be told of a local time zone that is not known, in whose place jiff takes UTC. `tz` is the environment's `TZ`.
pub fn unknown_zone(zone: &TimeZone, tz: Option<&str>) -> Option<String> {
    const UTC: &str = "times without a zone, and those in the log, are taken for UTC";
    zone.is_unknown().then(|| match tz {
        Some(tz) if !tz.is_empty() => format!("TZ={tz} names no time zone that is known here: {UTC}"),
        _ => format!("the local time zone is not known (neither TZ nor the system tells it): {UTC}"),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_is_not_known_is_told_with_what_names_it() {
        assert_eq!(unknown_zone(&TimeZone::UTC, Some("Nowhere/Land")), None, "whoever has UTC knows it");
        let told = |tz| unknown_zone(&TimeZone::unknown(), tz).unwrap();
        assert!(told(Some("Nowhere/Land")).starts_with("TZ=Nowhere/Land names no time zone"));
        for none in [None, Some("")] {
            assert!(told(none).starts_with("the local time zone is not known"), "{none:?}");
        }
    }
}
