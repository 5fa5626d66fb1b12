//! The spellings of days, moments and times that APIs take, and one for each: ISO 8601, and `8/1/2024`, with or without a time.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};

/// The day that a date tells, with or without a time; `None` if it is none.
pub(super) fn day(text: &str) -> Option<String> {
    let (date, rest) = parted(text);
    let day = date_of(date)?;
    (rest.is_empty() || time_of(rest).is_some()).then(|| day.to_string())
}

/// A moment. One without an offset counts as one of UTC.
pub(super) fn moment(text: &str) -> Option<String> {
    let (date, rest) = parted(text);
    let (time, offset) = if rest.is_empty() { (Time::midnight(), 0) } else { time_of(rest)? };
    let moment = DateTime::from_parts(date_of(date)?, time).checked_sub(offset.minutes()).ok()?;
    Some(moment.to_string())
}

/// A time of the day. Its offset, if it has one, does not count.
pub(super) fn time(text: &str) -> Option<String> {
    time_of(text.trim_start()).map(|(time, _)| time.to_string())
}

/// What stands before and behind the first `T` or blank.
fn parted(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(['T', 't', ' ']).map_or((text, ""), |(date, rest)| (date, rest.trim_start()))
}

fn number(text: &str, longest: usize) -> Option<i16> {
    let plain = !text.is_empty() && text.len() <= longest && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// The day of a date with slashes, as the DMS reads it (`TryCoerceSlashDateToIso8601`): month, day and year, or day, month and year where the
/// first can be no month. A year of two digits is one from 1950 to 2049, which is how .NET reads it.
pub fn slashed(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (first, second, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (first, second) = (number(first, 2)? as i8, number(second, 2)? as i8);
    let year = match (year.len(), number(year, 4)?) {
        (2, year) if year < 50 => 2000 + year,
        (2, year) => 1900 + year,
        (4, year) => year,
        _ => return None,
    };
    let date = |month, day| Date::new(year, month, day).ok().filter(|_| parts.clone().next().is_none());
    date(first, second).or_else(|| date(second, first))
}

/// Year, month and day, or month, day and year.
fn date_of(text: &str) -> Option<Date> {
    let separator =
        text.chars().find(|letter| !letter.is_ascii_digit()).filter(|letter| matches!(letter, '-' | '/'))?;
    if let Some(day) = slashed(text) {
        return Some(day);
    }
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = if first.len() == 4 { (first, second, third) } else { (third, first, second) };
    let (month, day) = (number(month, 2)? as i8, number(day, 2)? as i8);
    Date::new(number(year, 4).filter(|_| year.len() == 4)?, month, day).ok()
}

/// A time, and the minutes by which its offset is ahead of UTC.
fn time_of(text: &str) -> Option<(Time, i64)> {
    let upper = text.to_ascii_uppercase();
    let (text, offset) = offset_of(upper.trim_end())?;
    let (text, noon) = match (text.strip_suffix("AM"), text.strip_suffix("PM")) {
        (Some(text), _) => (text.trim_end(), Some(0)),
        (_, Some(text)) => (text.trim_end(), Some(12)),
        _ => (text, None),
    };
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    let second = parts.next().map_or(Some(0), |second| number(second, 2))?;
    if parts.next().is_some() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hour = match noon {
        Some(noon) if (1..=12).contains(&hour) => hour % 12 + noon,
        Some(_) => return None,
        None => hour,
    };
    let nanoseconds = format!("{fraction:0<9.9}").parse().ok()?;
    Some((Time::new(hour as i8, minute as i8, second as i8, nanoseconds).ok()?, offset))
}

/// What stands before an offset, and the offset in minutes.
fn offset_of(text: &str) -> Option<(&str, i64)> {
    if let Some(text) = text.strip_suffix('Z') {
        return Some((text, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let (text, offset) = text.split_at(at);
    let (hours, minutes) = offset[1..].split_once(':').or_else(|| offset[1..].split_at_checked(2))?;
    let minutes = if minutes.is_empty() { 0 } else { number(minutes, 2)? };
    let ahead = i64::from(number(hours, 2)?) * 60 + i64::from(minutes);
    Some((text.trim_end(), if offset.starts_with('-') { -ahead } else { ahead }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_day_or_time_is_told_apart() {
        for text in ["", "2024", "2024-13-01", "2024-02-30", "1/2/224", "2024-08-01-1", "2024-08-01Tnoon", "8-1/2024"] {
            assert_eq!(day(text), None, "{text}");
        }
        for text in ["", "25:00", "7", "07:45:00:00", "13:00 PM", "07:45:00.x", "é7:45"] {
            assert_eq!(time(text), None, "{text}");
        }
        for (text, slashed) in [
            ("1/2/2010", Some("2010-01-02")),
            ("31/12/2010", Some("2010-12-31")),
            ("1/2/49", Some("2049-01-02")),
            ("1/2/50", Some("1950-01-02")),
            ("2/30/2010", None),
            ("1/2", None),
            ("1/2/3/2010", None),
            ("+1/2/2010", None),
        ] {
            assert_eq!(day(text).as_deref(), slashed, "{text}");
        }
        assert_eq!(day("2024-8-1").as_deref(), Some("2024-08-01"));
        assert_eq!(time("12:30 am").as_deref(), Some("00:30:00"));
        assert_eq!(moment("0001-01-01T00:00:00+14:00").as_deref(), Some("0000-12-31T10:00:00"));
        assert_eq!(moment("2024-08-01T07:45:00+é"), None);
    }
}
