//! The values of options, read from text. Each error names the option, what was found and what is allowed.

use std::ffi::OsStr;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{LogFormat, Shape, when};
use crate::config::Assignment;
use crate::error::{Error, Result};

/// A value as it was given, with the option as it was spelled.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    /// Such as `--port` or `-s`.
    pub option: &'a str,
    /// What followed it.
    pub value: &'a OsStr,
}

impl<'a> Raw<'a> {
    /// Any text. It may be a secret, so that the error does not show it.
    pub fn text(self) -> Result<&'a str> {
        self.value.to_str().ok_or_else(|| Error::usage(format!("{}: expected text in UTF-8", self.option)))
    }

    /// A whole number within bounds.
    pub fn count(self, allowed: RangeInclusive<u64>) -> Result<u64> {
        self.text()?.trim().parse().ok().filter(|n| allowed.contains(n)).ok_or_else(|| {
            let (least, most) = allowed.into_inner();
            match most {
                u64::MAX => self.wrong(&format!("a whole number of at least {least}")),
                _ => self.wrong(&format!("a whole number from {least} to {most}")),
            }
        })
    }

    /// HTTP statuses with commas between.
    pub fn statuses(self) -> Result<Vec<u16>> {
        let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
        let statuses: Option<Vec<u16>> = self.text()?.split(',').map(status).collect();
        statuses.ok_or_else(|| self.wrong("HTTP statuses from 100 to 599 with commas between, such as 409,500"))
    }

    /// Names and values of a query: a JSON object of texts, numbers, true and false. Paging is not for users to meddle with.
    pub fn query(self) -> Result<Vec<(String, String)>> {
        const PAGING: [&str; 6] = ["limit", "offset", "totalCount", "pageToken", "pageSize", "number"];
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(self.text()?);
        let pair = |(name, value): (String, serde_json::Value)| match value {
            _ if PAGING.iter().any(|paging| paging.eq_ignore_ascii_case(&name)) => None,
            serde_json::Value::String(text) => Some((name, text)),
            value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Some((name, value.to_string())),
            _ => None,
        };
        let pairs = object.ok().and_then(|object| object.into_iter().map(pair).collect());
        let expected =
            "a JSON object of texts, numbers or true and false, such as {\"schoolId\": 255901001}, without paging";
        pairs.ok_or_else(|| self.wrong(expected))
    }

    /// A point in time as seconds since 1970: ISO 8601 with a zone's offset, or without (then in `zone`), a date
    /// (then its first moment in `zone`), or either as people write it ([`when`]).
    pub fn time(self, zone: &TimeZone) -> Result<u64> {
        let text = self.text()?.trim();
        let local = || {
            let time: DateTime = text.parse().ok()?;
            zone.to_timestamp(time).ok()
        };
        let this_year = || Timestamp::now().to_zoned(zone.clone()).year();
        let time = text.parse::<Timestamp>().ok().or_else(local).or_else(|| when::read(text, zone, this_year()));
        time.and_then(|time| u64::try_from(time.as_second()).ok()).ok_or_else(|| {
            self.wrong("a time since 1970 such as 2025-01-31T14:00:00Z, 2025-01-31T14:00:00 (local), 2025-01-31, 1/31/2025 2:00 PM or Jan 31 2025")
        })
    }

    /// Exit codes for outcomes, as the keys of the configuration below `exit_codes`, which judges names and numbers.
    pub fn exit_codes(self) -> Result<Vec<Assignment>> {
        let assignment = |pair: &str| {
            let (name, code) = pair.split_once('=')?;
            Some(Assignment { key: format!("exit_codes.{}", name.trim()), value: code.trim().to_string() })
        };
        let all: Option<Vec<Assignment>> = self.text()?.split(',').map(assignment).collect();
        all.ok_or_else(|| self.wrong("outcomes with their codes, such as partial=0,skipped=0,nothing=99"))
    }

    /// How lines of the log are written.
    pub fn log_format(self) -> Result<LogFormat> {
        match self.text()? {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(self.wrong("text or json")),
        }
    }

    /// A version, such as `7.3`.
    pub fn version(self) -> Result<String> {
        let text = self.text()?;
        let is_version = text.split('.').all(|number| number.parse::<u32>().is_ok());
        is_version.then(|| text.to_owned()).ok_or_else(|| self.wrong("a version such as 7.3"))
    }

    /// How errors of the sandbox look.
    pub fn shape(self) -> Result<Shape> {
        match self.text()? {
            "new" => Ok(Shape::New),
            "old" => Ok(Shape::Old),
            _ => Err(self.wrong("new or old")),
        }
    }

    fn wrong(self, expected: &str) -> Error {
        Error::usage(format!("{}: found '{}', expected {expected}", self.option, self.value.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(value: &str) -> Raw<'_> {
        Raw { option: "--x", value: OsStr::new(value) }
    }

    fn fault<T>(read: Result<T>) -> String {
        read.map_or_else(|e| e.to_string(), |_| panic!("accepted"))
    }

    fn zone() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(-5))
    }

    #[test]
    fn a_time_with_a_zone_is_taken_as_it_is() {
        for text in ["2025-01-31T14:00:00Z", "2025-01-31T16:00:00+02:00", "2025-01-31 14:00:00.9Z"] {
            assert_eq!(raw(text).time(&zone()).ok(), Some(1_738_332_000), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_local() {
        for text in ["2025-01-31T09:00:00", "2025-01-31 09:00", "2025-01-31T09:00"] {
            assert_eq!(raw(text).time(&zone()).ok(), Some(1_738_332_000), "{text}");
        }
    }

    #[test]
    fn a_date_is_its_local_midnight() {
        assert_eq!(raw("2025-01-31").time(&zone()).ok(), Some(1_738_299_600));
    }

    #[test]
    fn what_is_no_time_is_told() {
        for text in ["yesterday", "2025-13-01", "1960-01-01", ""] {
            let message = fault(raw(text).time(&zone()));
            assert!(message.starts_with(&format!("--x: found '{text}', expected a time since 1970")), "{message}");
        }
    }

    #[test]
    fn a_count_keeps_its_bounds() {
        assert_eq!(raw("1").count(1..=9).ok(), Some(1));
        assert_eq!(fault(raw("0").count(1..=9)), "--x: found '0', expected a whole number from 1 to 9");
        assert_eq!(fault(raw("-1").count(0..=u64::MAX)), "--x: found '-1', expected a whole number of at least 0");
    }

    #[test]
    fn statuses_have_commas_between() {
        assert_eq!(raw("409, 500").statuses().ok(), Some(vec![409, 500]));
        for text in ["", "409,", "99", "600", "x"] {
            let expected = "expected HTTP statuses from 100 to 599 with commas between, such as 409,500";
            assert_eq!(fault(raw(text).statuses()), format!("--x: found '{text}', {expected}"));
        }
    }

    #[test]
    fn words_are_taken_only_as_they_are_listed() {
        assert_eq!(raw("json").log_format().ok(), Some(LogFormat::Json));
        assert_eq!(raw("text").log_format().ok(), Some(LogFormat::Text));
        assert_eq!(fault(raw("xml").log_format()), "--x: found 'xml', expected text or json");
        assert_eq!(raw("old").shape().ok(), Some(Shape::Old));
        assert_eq!(raw("new").shape().ok(), Some(Shape::New));
        assert_eq!(fault(raw("odd").shape()), "--x: found 'odd', expected new or old");
    }
}
