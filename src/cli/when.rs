//! Dates as people write them, `01/02/2020` or `Jan 5 2020 2:30 PM`. The Python lightbeam reads times with dateutil, so
//! scripts hold such dates; this reads those that name a day fully, with day, month and year in dateutil's order.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

/// The point in time that a text means, in `zone` unless the text names another. Without a time of day it is the
/// day's first moment. `this_year` decides the century of years with two digits, as in dateutil: the nearest one.
/// `None` if the text is not understood, or leaves out the day, the month or the year.
pub fn read(text: &str, zone: &TimeZone, this_year: i16) -> Option<Timestamp> {
    let mut seen = Seen::default();
    let lower = text.to_lowercase();
    let mut words = lower.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let half = words.peek().and_then(|next| Half::of(next));
        match (half, word.parse::<i8>()) {
            (Some(half), Ok(hour)) => {
                words.next();
                seen.time(Time::new(hour, 0, 0, 0).ok()?, Some(half))?;
            }
            (Some(half), Err(_)) if word.contains(':') => {
                words.next();
                seen.clock(word, Some(half))?;
            }
            _ => seen.word(word)?,
        }
    }
    let date = day(&seen.parts, this_year)?;
    let time = DateTime::from_parts(date, seen.time.unwrap_or_else(Time::midnight));
    match seen.offset {
        Some(offset) => offset.to_timestamp(time).ok(),
        None => zone.to_timestamp(time).ok(),
    }
}

/// What of a text was understood.
#[derive(Default)]
struct Seen {
    /// What the day is told by, in the order of the text.
    parts: Vec<Part>,
    time: Option<Time>,
    offset: Option<Offset>,
}

#[derive(Clone, Copy)]
enum Part {
    /// A number; whether it is a year because it has more than two digits.
    Number(i16, bool),
    Month(i8),
}

/// Half of a day.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Am,
    Pm,
}

impl Half {
    fn of(word: &str) -> Option<Half> {
        match word {
            "am" | "a.m." => Some(Half::Am),
            "pm" | "p.m." => Some(Half::Pm),
            _ => None,
        }
    }
}

impl Seen {
    /// Understands a word; `None` if it is of no kind that a date has.
    fn word(&mut self, word: &str) -> Option<()> {
        if ["at", "on", "of"].contains(&word) || is_weekday(word) {
            return Some(());
        }
        for (ending, half) in [("am", Half::Am), ("pm", Half::Pm)] {
            if let Some(clock) =
                word.strip_suffix(ending).filter(|clock| clock.starts_with(|c: char| c.is_ascii_digit()))
            {
                return self.clock(clock, Some(half));
            }
        }
        if let Some((date, clock)) = word.split_once('t').filter(|(_, clock)| clock.contains(':')) {
            self.date(date)?;
            return self.clock(clock, None);
        }
        if word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit()) {
            return self.clock(word, None);
        }
        if let Some(offset) = offset(word) {
            return self.zone(offset);
        }
        self.date(word)
    }

    /// Understands the parts of a day: `1/31/2025`, `31-Jan-2025`, `20250131`, `Jan`, `31st`.
    fn date(&mut self, word: &str) -> Option<()> {
        if word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = |from, to| word.get(from..to)?.parse().ok();
            self.parts.extend([Part::Number(number(0, 4)?, true), Part::Number(number(4, 6)?, false)]);
            self.parts.push(Part::Number(number(6, 8)?, false));
            return Some(());
        }
        for piece in word.split(['/', '-', '.']).filter(|piece| !piece.is_empty()) {
            let plain = ["st", "nd", "rd", "th"].iter().find_map(|ending| piece.strip_suffix(ending)).unwrap_or(piece);
            let part = match plain.parse::<i16>() {
                Ok(number) if plain.bytes().all(|byte| byte.is_ascii_digit()) => Part::Number(number, plain.len() > 2),
                _ => Part::Month(month(piece)?),
            };
            self.parts.push(part);
        }
        Some(())
    }

    /// Understands a time of day, perhaps with a zone's offset: `14:30`, `2:30:15.5`, `14:30:00+02:00`, `14:30z`.
    fn clock(&mut self, word: &str, half: Option<Half>) -> Option<()> {
        let at = word.find(['+', '-', 'z']).unwrap_or(word.len());
        let (clock, zone) = word.split_at_checked(at)?;
        if !zone.is_empty() {
            self.zone(offset(zone)?)?;
        }
        let mut pieces = clock.split(':');
        let hour = pieces.next()?.parse().ok()?;
        let minute = pieces.next().map_or(Some(0), |piece| piece.parse().ok())?;
        // Whole seconds suffice: state keeps no smaller ones.
        let second = pieces.next().map_or(Some(0), |piece| piece.split('.').next()?.parse().ok())?;
        if pieces.next().is_some() || half.is_some() && hour > 12 {
            return None;
        }
        self.time(Time::new(hour, minute, second, 0).ok()?, half)
    }

    fn time(&mut self, time: Time, half: Option<Half>) -> Option<()> {
        let hour = match (half, time.hour()) {
            (Some(_), hour) if !(1..=12).contains(&hour) => return None,
            (Some(Half::Am), 12) => 0,
            (Some(Half::Pm), hour) if hour < 12 => hour + 12,
            (_, hour) => hour,
        };
        let is_first = self.time.replace(Time::new(hour, time.minute(), time.second(), 0).ok()?).is_none();
        is_first.then_some(())
    }

    fn zone(&mut self, offset: Offset) -> Option<()> {
        self.offset.replace(offset).is_none().then_some(())
    }
}

/// The day that three parts mean, in dateutil's order with `dayfirst=False`: month, day, year, unless a number is too
/// large for that place.
fn day(parts: &[Part], this_year: i16) -> Option<Date> {
    use Part::{Month, Number};
    let (year, month, day) = match *parts {
        [Number(year, true), Number(month, _), Number(day, _)] => ((year, true), month, day),
        [Number(a, long), Number(b, _), Number(c, _)] if a > 31 => ((a, long), b, c),
        [Number(a, _), Number(b, _), Number(c, long)] if a > 12 => ((c, long), b, a),
        [Number(a, _), Number(b, _), Number(c, long)] if b > 12 || a <= 12 => ((c, long), a, b),
        [Month(month), Number(a, long), Number(b, _)] if a > 31 => ((a, long), month.into(), b),
        [Month(month), Number(a, _), Number(b, long)] => ((b, long), month.into(), a),
        [Number(a, long), Month(month), Number(b, _)] if a > 31 => ((a, long), month.into(), b),
        [Number(a, _), Month(month), Number(b, long)] => ((b, long), month.into(), a),
        [Number(a, _), Number(b, long), Month(month)] if b > 31 => ((b, long), month.into(), a),
        [Number(a, long), Number(b, _), Month(month)] => ((a, long), month.into(), b),
        _ => return None,
    };
    let year = if year.1 { year.0 } else { nearest_century(year.0, this_year) };
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// The year with these last two digits that is nearest to this one.
fn nearest_century(year: i16, this_year: i16) -> i16 {
    let year = this_year - this_year % 100 + year;
    match year - this_year {
        50.. => year - 100,
        ..-50 => year + 100,
        _ => year,
    }
}

/// A zone's offset from UTC; names of zones other than UTC are not understood, because they mean several.
fn offset(word: &str) -> Option<Offset> {
    if ["z", "utc", "gmt"].contains(&word) {
        return Some(Offset::UTC);
    }
    let sign = if word.starts_with('-') { -1 } else { 1 };
    let digits = word.strip_prefix(['+', '-'])?.replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = match digits.len() {
        2 => (digits.parse().ok()?, 0),
        4 => (digits.get(..2)?.parse().ok()?, digits.get(2..)?.parse().ok()?),
        _ => return None,
    };
    Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()
}

fn month(word: &str) -> Option<i8> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let is_meant = |name: &str| word == name || word == &name[..3] || word == "sept" && name.starts_with("sept");
    (1..).zip(NAMES).find(|(_, name)| is_meant(name)).map(|(number, _)| number)
}

fn is_weekday(word: &str) -> bool {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    NAMES.iter().any(|name| word == *name || word == &name[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same in ISO 8601, in a zone five hours behind UTC, in 2026.
    fn iso(text: &str) -> Option<String> {
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        let time = read(text, &zone, 2026)?;
        Some(time.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// What python-dateutil 2.9 makes of each text, in the same zone.
    #[test]
    fn dates_mean_what_dateutil_makes_of_them() {
        for (text, expected) in [
            ("01/02/2020", "2020-01-02 00:00:00"),
            ("1/2/2020", "2020-01-02 00:00:00"),
            ("13/02/2020", "2020-02-13 00:00:00"),
            ("02/13/2020", "2020-02-13 00:00:00"),
            ("01-02-2020", "2020-01-02 00:00:00"),
            ("01.02.2020", "2020-01-02 00:00:00"),
            ("2020/01/02", "2020-01-02 00:00:00"),
            ("2020.1.2", "2020-01-02 00:00:00"),
            ("20200102", "2020-01-02 00:00:00"),
            ("01/02/20", "2020-01-02 00:00:00"),
            ("1/2/75", "2075-01-02 00:00:00"),
            ("1/2/76", "1976-01-02 00:00:00"),
            ("99-01-02", "1999-01-02 00:00:00"),
            ("Jan 5 2020", "2020-01-05 00:00:00"),
            ("January 5, 2020", "2020-01-05 00:00:00"),
            ("5 jan 2020", "2020-01-05 00:00:00"),
            ("5-Jan-2020", "2020-01-05 00:00:00"),
            ("2020-Jan-05", "2020-01-05 00:00:00"),
            ("Sept 3rd 2020", "2020-09-03 00:00:00"),
            ("Sun, 5 Jan 2020", "2020-01-05 00:00:00"),
            ("Jan 5 2020 14:30", "2020-01-05 14:30:00"),
            ("Jan 5 2020 at 2:30 PM", "2020-01-05 14:30:00"),
            ("1/5/2020 2:30:15pm", "2020-01-05 14:30:15"),
            ("1/5/2020 12 am", "2020-01-05 00:00:00"),
            ("1/5/2020 12:15 PM", "2020-01-05 12:15:00"),
            ("Sun Jan 5 14:30:00 2020", "2020-01-05 14:30:00"),
            ("1/5/2020 14:30 UTC", "2020-01-05 09:30:00"),
            ("Sun, 05 Jan 2020 14:30:00 +0200", "2020-01-05 07:30:00"),
            ("1/5/2020 14:30:00-06:00", "2020-01-05 15:30:00"),
            ("2020-1-5T14:30Z", "2020-01-05 09:30:00"),
        ] {
            assert_eq!(iso(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_day_is_not_guessed() {
        for text in [
            "",
            "soon",
            "yesterday",
            "Jan 5",
            "14:30",
            "2020",
            "5",
            "13/13/2020",
            "02/30/2020",
            "Jan 5 2020 25:00",
            "1/2/2020 13 pm",
            "1/2/2020 10:00 11:00",
            "1/2/2020 EST",
            "1/2/3/2020",
            "1:2:3:4 1/2/2020",
            "٣/٣/2020",
        ] {
            assert_eq!(iso(text), None, "{text}");
        }
    }
}
