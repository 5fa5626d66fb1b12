//! The formats of strings: dates and times as RFC 3339 writes them, with what Ed-Fi APIs take beyond it.

/// `2025-08-31`, a day that there is (RFC 3339 `full-date`).
pub(super) fn is_date(text: &str) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else { return false };
    let (Some(century), Some(year), Some(month), Some(day)) =
        (number(y1, y2), number(y3, y4), number(m1, m2), number(d1, d2))
    else {
        return false;
    };
    let year = i16::from(century) * 100 + i16::from(year);
    (1..=12).contains(&month)
        && (1..=28).contains(&day)
        // No month ends before; behind that, it depends.
        || jiff::civil::Date::new(year, month, day).is_ok()
}

/// `07:45:00`, also without seconds, with a fraction of them, or with an offset (`Z`, `-05:00`). Documents tell a format of times since
/// Data Standard 5.1, and examples of it have no offset, although RFC 3339 asks for one.
pub(super) fn is_time(text: &str) -> bool {
    let Some(([h1, h2, b':', m1, m2], rest)) = text.as_bytes().split_first_chunk() else { return false };
    let within = |a: u8, b: u8, most: i8| number(a, b).is_some_and(|number| number <= most);
    if !within(*h1, *h2, 23) || !within(*m1, *m2, 59) {
        return false;
    }
    let mut rest = rest;
    if let Some(([b':', s1, s2], behind)) = rest.split_first_chunk() {
        if !within(*s1, *s2, 59) {
            return false;
        }
        rest = behind;
        if let Some((b'.', fraction)) = rest.split_first() {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            rest = &fraction[digits..];
        }
    }
    match *rest {
        [] | [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => within(h1, h2, 23) && within(m1, m2, 59),
        _ => false,
    }
}

/// `2025-08-31T07:45:00Z` (RFC 3339 `date-time`); also without an offset, with a space for the `T`, or without a time, as APIs take it.
pub(super) fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    is_date(date) && (rest.is_empty() || rest.strip_prefix(['T', 't', ' ']).is_some_and(is_time))
}

/// One with seconds and an offset (RFC 3339 `date-time`).
pub(super) fn is_exact_date_time(text: &str) -> bool {
    let time = text.get(11..).unwrap_or_default();
    let has_seconds = time.as_bytes().get(5) == Some(&b':');
    let has_offset = time.ends_with(['Z', 'z']) || time.rfind(['+', '-']).is_some();
    is_date_time(text) && has_seconds && has_offset
}

/// The number that two digits write.
fn number(tens: u8, ones: u8) -> Option<i8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| (byte - b'0') as i8);
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_that_there_is() {
        for text in ["2025-08-31", "2024-02-29", "0001-01-01", "9999-12-31"] {
            assert!(is_date(text), "{text}");
        }
        for text in ["2025-02-29", "2025-13-01", "2025-00-10", "2025-01-00", "2025-1-1", "20250831", "2025-08-31 ", ""]
        {
            assert!(!is_date(text), "{text}");
        }
        assert!(!is_date("2025-08-31T00:00:00") && !is_date("2O25-08-31") && !is_date("+025-08-31"));
    }

    #[test]
    fn a_time_needs_hour_and_minute() {
        for text in ["07:45", "23:59:59", "07:45:00.1234567", "07:45:00Z", "07:45-05:00", "07:45:00.5+00:00"] {
            assert!(is_time(text), "{text}");
        }
        for text in ["7:45", "24:00:00", "07:60", "07:45:60", "07:45:00.", "07:45:00+5", "0745", "07:45:00 Z", "é7:45"]
        {
            assert!(!is_time(text), "{text}");
        }
    }

    #[test]
    fn an_exact_date_time_has_seconds_and_an_offset() {
        for text in ["2025-08-31T07:45:00Z", "2025-08-31 07:45:00.5-05:00"] {
            assert!(is_exact_date_time(text), "{text}");
        }
        for text in ["2025-08-31T07:45:00", "2025-08-31T07:45Z", "2025-08-31T07:45-05:00", "2025-08-31", "2025-08-31Z"]
        {
            assert!(!is_exact_date_time(text), "{text}");
        }
    }

    #[test]
    fn a_date_time_may_do_without_the_time_or_the_offset() {
        for text in ["2025-08-31T07:45:00Z", "2025-08-31T07:45:00", "2025-08-31 07:45:00-05:00", "2025-08-31"] {
            assert!(is_date_time(text), "{text}");
        }
        for text in ["2025-08-31T", "2025-02-30T07:45:00Z", "now", "2025-08-3éT07:45", "2025-08-31X07:45:00Z"] {
            assert!(!is_date_time(text), "{text}");
        }
    }
}
