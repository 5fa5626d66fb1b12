//! How long an API asks to be left alone. Hosts say it in seconds, in fractions of them, as a date by a clock of their own, or wrongly in
//! milliseconds. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::Reply;

/// How long the API asks to be left alone (RFC 9110 section 10.2.3): seconds, or a date, of which one in the past
/// means not at all. `None` if it does not say so in either form.
///
/// A date is held against the `Date` of the same answer, because the host's clock need not agree with ours. Some hosts
/// write milliseconds: where a wait is very long and the end of their rate limit is near, that end is believed.
pub fn retry_after(reply: &Reply, now: Timestamp) -> Option<Duration> {
    /// The longest wait that is believed without looking for the end of a rate limit.
    const LONG: Duration = Duration::from_secs(300);
    let asked = reply.retry_after.as_deref()?.trim();
    let wait = seconds(asked).or_else(|| {
        let here = reply.date.as_deref().and_then(|date| timestamp(date.trim())).unwrap_or(now);
        let wait = timestamp(asked)?.duration_since(here);
        Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
    })?;
    let near = || {
        let resets = reply.limit_resets.iter().filter_map(|reset| seconds(reset.trim()));
        resets.into_iter().find(|reset| (Duration::from_secs(1)..=LONG).contains(reset))
    };
    Some(if wait > LONG { near().unwrap_or(wait) } else { wait })
}

/// Seconds in decimal digits, perhaps with a fraction. No sign, no exponent, no words that stand for numbers.
fn seconds(text: &str) -> Option<Duration> {
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // More seconds than fit are as good as the most that fit: the policy bounds them.
    let most = Duration::from_secs(u64::MAX);
    text.parse().ok().map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(most))
}

/// A date as HTTP writes it.
fn timestamp(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        let wait = |value: &str| retry_after(&Reply { retry_after: Some(value.into()), ..Reply::default() }, now);
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(wait("2.0"), Some(Duration::from_secs(2)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("0.000"), Some(Duration::ZERO));
        for nonsense in ["", "-5", "-0.5", "+5", "soon", ".5", "1.5.2", "1e3", "NaN", "inf", "infinity", "0x10", "5 s"]
        {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&Reply::default(), now), None);
    }

    #[test]
    fn a_date_is_held_against_the_clock_of_the_host_that_wrote_it() {
        let ours: Timestamp = "1994-11-06T09:30:00Z".parse().unwrap();
        let wait = |date: Option<&str>| {
            let retry_after = Some("Sun, 06 Nov 1994 08:49:37 GMT".into());
            super::retry_after(&Reply { retry_after, date: date.map(String::from), ..Reply::default() }, ours)
        };
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:49:07 GMT")), Some(Duration::from_secs(30)));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:50:07 GMT")), Some(Duration::ZERO));
        assert_eq!([wait(Some("today")), wait(None)], [Some(Duration::ZERO); 2], "by our clock it is long over");
    }

    #[test]
    fn a_wait_of_more_than_five_minutes_gives_way_to_a_rate_limit_that_ends_sooner() {
        let wait = |retry_after: &str, resets: &[&str]| {
            let limit_resets = resets.iter().map(|reset| reset.to_string()).collect();
            let reply = Reply { retry_after: Some(retry_after.into()), limit_resets, ..Reply::default() };
            super::retry_after(&reply, Timestamp::UNIX_EPOCH).unwrap().as_secs_f64()
        };
        assert_eq!(wait("25000", &["25"]), 25.0, "Meadowlark writes milliseconds");
        assert_eq!(wait("Thu, 01 Jan 1970 01:00:00 GMT", &["30.5"]), 30.5);
        assert_eq!(wait("301", &["1700000000", "1"]), 1.0, "the first is a time, not a span");
        for not_believed in ["0", "0.5", "301", "-5", "NaN", "soon"] {
            assert_eq!(wait("25000", &[not_believed]), 25_000.0, "{not_believed}");
        }
        assert_eq!(wait("300", &["25"]), 300.0, "a wait that may well be meant is kept");
    }
}
