//! How the values of a key's part compare: strictly, and loosely.
//!
//! The loose form of a value is made from its strict form, so that strictly equal values are loosely equal too.

use std::borrow::Cow;

use super::dates;
use crate::model::Kind;

/// How the values of a part compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// As text.
    Text,
    /// Loosely as numbers: `255901`, `255901.0` and `"0255901"` are equal.
    Number,
    /// Loosely as days: `8/1/2024`, `2024-08-01` and `2024-08-01T00:00:00Z` are equal.
    Date,
    /// Loosely as moments.
    DateTime,
    /// Loosely as times of the day.
    Time,
    /// `true` or `false`.
    Truth,
    /// As text without regard to case, which both the ODS and the Data Management Service ignore in descriptors.
    Descriptor,
}

impl Comparison {
    /// Of the values that documents describe so.
    pub fn of(name: &str, kind: &Kind) -> Comparison {
        match kind {
            kind if kind.is_descriptor(name) => Comparison::Descriptor,
            Kind::Integer { .. } | Kind::Number { .. } => Comparison::Number,
            Kind::Date => Comparison::Date,
            Kind::DateTime => Comparison::DateTime,
            Kind::Time => Comparison::Time,
            Kind::Boolean => Comparison::Truth,
            _ => Comparison::Text,
        }
    }

    /// A number that stands for it in fingerprints. It never changes.
    pub(super) fn code(self) -> u8 {
        match self {
            Comparison::Text => 1,
            Comparison::Number => 2,
            Comparison::Date => 3,
            Comparison::DateTime => 4,
            Comparison::Time => 5,
            Comparison::Truth => 6,
            Comparison::Descriptor => 7,
        }
    }

    /// Whether a value is written as nearly all are, so that its loose form is the text itself. A short cut: each payload passes here.
    fn is_canonical(self, text: &[u8]) -> bool {
        match (self, text) {
            (Comparison::Number, [b'1'..=b'9', rest @ ..]) => rest.len() < 18 && rest.iter().all(u8::is_ascii_digit),
            (Comparison::Date, &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]) => {
                let all = [y1, y2, y3, y4, m1, m2, d1, d2];
                let day = (d1.wrapping_sub(b'0')).wrapping_mul(10).wrapping_add(d2.wrapping_sub(b'0'));
                let month = (m1.wrapping_sub(b'0')).wrapping_mul(10).wrapping_add(m2.wrapping_sub(b'0'));
                // Each month has 28 days.
                let is_day = (1..=12).contains(&month) && (1..=28).contains(&day);
                is_day && all.iter().all(u8::is_ascii_digit)
            }
            _ => false,
        }
    }

    /// What strictly equal values have in common.
    pub fn strict(self, text: &str) -> Cow<'_, str> {
        match self {
            Comparison::Descriptor => lowered(text),
            _ => text.into(),
        }
    }

    /// What loosely equal values have in common, from their strict form.
    pub fn loose(self, strict: &str) -> Cow<'_, str> {
        let trimmed = strict.trim_end();
        self.value(trimmed).map_or_else(|| folded(trimmed), Cow::Owned)
    }

    /// The same of a text of ASCII letters, but for their case.
    pub(super) fn loose_ascii(self, text: &str) -> Cow<'_, str> {
        let trimmed = text.trim_end();
        self.value(trimmed).map_or(Cow::Borrowed(trimmed), Cow::Owned)
    }

    /// One spelling of the number, day or time that a text tells; `None` if that is the text itself, or it tells none.
    fn value(self, text: &str) -> Option<String> {
        match self {
            _ if self.is_canonical(text.as_bytes()) => None,
            Comparison::Text | Comparison::Truth | Comparison::Descriptor => None,
            Comparison::Number => number(text),
            Comparison::Date => dates::day(text),
            Comparison::DateTime => dates::moment(text),
            Comparison::Time => dates::time(text),
        }
    }
}

fn lowered(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true if !text.bytes().any(|byte| byte.is_ascii_uppercase()) => text.into(),
        true => text.to_ascii_lowercase().into(),
        false => text.to_lowercase().into(),
    }
}

/// Text without its case. Each letter goes to upper case and back, so that letters that share an upper case are equal (`ß` and `ss`, `ς` and
/// `σ`, `ı` and `i`). The dot that `İ` leaves behind is dropped.
fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return lowered(text);
    }
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).filter(|&letter| letter != '\u{307}').collect::<String>().into()
}

/// A number without zeros that do not count; `None` if it is not a number.
fn number(text: &str) -> Option<String> {
    let text = text.trim_start();
    if let Ok(whole) = text.parse::<i128>() {
        return Some(whole.to_string());
    }
    let exact = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|byte| byte == b'0'));
    let exact = exact.and_then(|(digits, _)| digits.parse::<i128>().ok());
    exact.map(|whole| whole.to_string()).or_else(|| any_number(text))
}

fn any_number(text: &str) -> Option<String> {
    let known = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && text.bytes().all(known))?;
    // Adding zero makes 0 of -0.
    Some((number + 0.0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_equal(comparison: Comparison, texts: &[&str]) {
        let loose = |text: &str| comparison.loose(&comparison.strict(text)).into_owned();
        for text in texts {
            assert_eq!(loose(text), loose(texts[0]), "{text:?} and {:?} as {comparison:?}", texts[0]);
        }
    }

    fn differ(comparison: Comparison, one: &str, other: &str) {
        assert_ne!(comparison.loose(&comparison.strict(one)), comparison.loose(&comparison.strict(other)));
    }

    #[test]
    fn text_is_loosely_the_same_in_any_case_and_with_blanks_at_the_end() {
        all_equal(Comparison::Text, &["AB1", "ab1", "Ab1 ", "ab1\u{A0}\t"]);
        all_equal(Comparison::Text, &["Straße", "STRASSE", "strasse"]);
        all_equal(Comparison::Text, &["İstanbul", "i\u{307}stanbul", "ISTANBUL", "ıstanbul"]);
        all_equal(Comparison::Text, &["ΟΔΟΣ", "οδος", "οδοσ"]);
        differ(Comparison::Text, " ab1", "ab1");
        differ(Comparison::Text, "0255901", "255901");
        differ(Comparison::Text, "2024-08-01", "8/1/2024");
    }

    #[test]
    fn numbers_are_loosely_the_same_however_they_are_written() {
        all_equal(Comparison::Number, &["255901", "255901.0", "0255901", "255901.", "255901.00 ", "+255901"]);
        all_equal(Comparison::Number, &["0", "-0", "0.0", "-0.0", "00"]);
        all_equal(Comparison::Number, &["1000", "1e3", "1E3", "1.0e3"]);
        all_equal(Comparison::Number, &["0.5", ".5", "0.50"]);
        differ(Comparison::Number, "9223372036854775807", "9223372036854775808");
        differ(Comparison::Number, "255901", "255901.5");
        all_equal(Comparison::Number, &["no number", "NO NUMBER "]);
    }

    #[test]
    fn days_are_loosely_the_same_however_they_are_written() {
        let days = [
            "8/1/2024",
            "2024-08-01T00:00:00Z",
            "2024-08-01",
            "2024-08-01 00:00:00",
            "08/01/2024",
            "2024-08-01T00:00:00.000-05:00",
            "8/1/2024 12:00:00 AM",
        ];
        all_equal(Comparison::Date, &days);
        all_equal(Comparison::DateTime, &["8/1/2024", "2024-08-01T00:00:00Z", "2024-08-01", "2024-08-01 00:00:00"]);
        differ(Comparison::Date, "2024-08-01", "2024-01-08");
        all_equal(Comparison::Date, &["Soon", "soon"]);
    }

    #[test]
    fn the_short_cut_for_common_spellings_gives_what_the_long_way_gives() {
        for (comparison, text) in [(Comparison::Number, "255901"), (Comparison::Date, "2024-02-28")] {
            assert!(comparison.is_canonical(text.as_bytes()));
            let long = if comparison == Comparison::Number { number(text) } else { dates::day(text) };
            assert_eq!(long.as_deref(), Some(text));
        }
        let others = ["0255901", "-1", "1.0", "12345678901234567890", "", "a"];
        assert!(others.iter().all(|text| !Comparison::Number.is_canonical(text.as_bytes())));
        let others = ["2024-13-01", "2024-02-30", "2024-00-01", "2024-0a-01", "8/1/2024"];
        assert!(others.iter().all(|text| !Comparison::Date.is_canonical(text.as_bytes())));
    }

    #[test]
    fn moments_are_told_apart_and_loosely_the_same_in_any_zone() {
        all_equal(
            Comparison::DateTime,
            &["2024-08-01T07:45:00Z", "2024-08-01T02:45:00-05:00", "2024-08-01 07:45", "2024-08-01T07:45:00.000"],
        );
        differ(Comparison::DateTime, "2024-08-01T07:45:00Z", "2024-08-01T07:46:00Z");
        all_equal(Comparison::Time, &["07:45", "07:45:00", "7:45:00.0", "07:45:00Z"]);
        differ(Comparison::Time, "07:45", "19:45");
    }

    #[test]
    fn strictly_only_descriptors_ignore_case() {
        assert_eq!(Comparison::Descriptor.strict("uri://X#Äb"), "uri://x#äb");
        for comparison in [Comparison::Text, Comparison::Number, Comparison::Date] {
            assert_eq!(comparison.strict("Ab "), "Ab ");
        }
    }
}
