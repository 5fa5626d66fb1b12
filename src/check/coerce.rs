//! What becomes of a value that its document forbids: a fault, unless this API takes it all the same
//! ([`Tolerance`](crate::edfi::tolerance::Tolerance)). And what this API refuses in strings that the document allows.

use serde_json::Value;

use super::compile::Form;
use super::formats;
use super::notes::{Rule, Slot, Taken};
use super::spot::Spot;
use crate::edfi::key::slashed;

impl Spot<'_, '_> {
    /// Notes that the API takes what is wrong by its document: as this value, which `made` puts into words.
    fn taken(&mut self, rule: Rule, wrong: &str, made: &str, value: Value) {
        let place = self.place();
        let fault = self.fault(rule, place, format_args!("{wrong}; this API takes it and {made}"));
        self.notes.taken.push(Taken { fault, value, place });
    }

    /// A string of fewer characters than the least.
    pub(super) fn too_short(&mut self, text: &str, least: usize) {
        let wrong = format!("must have at least {least} character{}", if least == 1 { "" } else { "s" });
        let is_optional = self.member.is_some_and(|member| !member.required);
        match text.is_empty() && is_optional && self.notes.tolerance.empty_optional_text {
            true => self.taken(Rule::Length, &wrong, "stores an empty string, as it is optional", "".into()),
            false => self.wrong(Rule::Length, format_args!("{wrong}")),
        }
    }

    /// A string that is no date, where one is wanted.
    pub(super) fn other_date(mut self, text: &str) -> Slot {
        const WRONG: &str = "must be a date such as 2025-08-31";
        let with_slashes = with_slashes(text).filter(|_| self.notes.tolerance.dates_with_slashes);
        let (written, is_rewritten) = (with_slashes.as_deref().unwrap_or(text), with_slashes.is_some());
        let has_time = !formats::is_date(written);
        let takes = !has_time || self.notes.tolerance.time_in_date && formats::is_date_time(written);
        let date = written.get(..10).filter(|_| takes);
        let Some(date) = date else {
            self.wrong(Rule::Format, format_args!("{WRONG}"));
            return self.kept(text);
        };
        let made = match (is_rewritten, has_time) {
            (true, false) => "reads a date with slashes, the month first where that can be",
            (true, true) => "reads a date with slashes, the month first where that can be, and drops the time",
            _ => "drops the time",
        };
        self.taken(Rule::Format, WRONG, made, date.into());
        self.kept(date)
    }

    /// A string that is no date and time, where one is wanted.
    pub(super) fn other_date_time(mut self, text: &str) -> Slot {
        const WRONG: &str = "must be a date and time such as 2025-08-31T07:45:00Z";
        let with_slashes = with_slashes(text).filter(|_| self.notes.tolerance.dates_with_slashes);
        let Some(written) = with_slashes.filter(|written| formats::is_date_time(written)) else {
            self.wrong(Rule::Format, format_args!("{WRONG}"));
            return self.kept(text);
        };
        let made = "reads a date with slashes, the month first where that can be";
        self.taken(Rule::Format, WRONG, made, written.as_str().into());
        self.kept(&written)
    }

    /// A string where a boolean or a number is wanted.
    pub(super) fn scalar_as_text(mut self, text: &str) -> Slot {
        let wanted = self.wanted().unwrap_or_default();
        let read = Some(text).filter(|_| self.notes.tolerance.scalars_as_text);
        let wrong = format!("must be {wanted}, not a string");
        let made = format!("reads {wanted} out of the string");
        match (self.form, read.map(str::trim)) {
            (Form::Boolean, Some(text)) if ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) => {
                let value = text.eq_ignore_ascii_case("true");
                self.taken(Rule::Type, &wrong, &made, value.into());
                self.kept_number(value)
            }
            (Form::Integer { .. } | Form::Number { .. }, Some(text)) if !text.contains('.') => {
                match text.parse::<i64>() {
                    Ok(value) => {
                        self.taken(Rule::Type, &wrong, &made, value.into());
                        self.whole_number(value.into())
                    }
                    Err(_) => self.not_taken(text),
                }
            }
            (Form::Number { least, most }, Some(text)) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => {
                    self.taken(Rule::Type, &wrong, &made, value.into());
                    self.range(value, *least, *most);
                    self.kept_decimal(value)
                }
                _ => self.not_taken(text),
            },
            _ => self.not_taken(text),
        }
    }

    fn not_taken(mut self, text: &str) -> Slot {
        self.mistyped("a string");
        self.kept(text)
    }

    /// A string that was written with escapes.
    pub(super) fn escaped(&mut self, text: &str) {
        if memchr::memchr(0, text.as_bytes()).is_some() {
            let what = "must not hold U+0000: the API's database cannot store it";
            self.wrong(Rule::Content, format_args!("{what}"));
        }
        // Where the payload may hold markup without an escape, every string is looked at anyway.
        if self.notes.tolerance.refuses_markup && !self.notes.may_hold_markup {
            self.markup(text);
        }
    }

    /// What looks like markup, on an API that refuses it.
    pub(super) fn markup(&mut self, text: &str) {
        if matches!(self.form, Form::Text { .. }) && looks_like_markup(text) {
            let what = "must not hold what looks like markup ('<' before a letter or one of '!/?', or '&#')";
            self.wrong(Rule::Content, format_args!("{what}"));
        }
    }
}

/// Whether ASP.NET's request validation, which the ODS/API uses for its strings (`NoDangerousText`), takes it for markup.
fn looks_like_markup(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| match pair {
        [b'<', next] => next.is_ascii_alphabetic() || b"!/?".contains(next),
        pair => pair == b"&#",
    })
}

/// `1/2/2010 07:45` with its date as ISO 8601 writes it; `None` if it has none with slashes.
fn with_slashes(text: &str) -> Option<String> {
    let (date, time) = text.split_once(' ').map_or((text, None), |(date, time)| (date, Some(time)));
    let date = slashed(date)?;
    Some(time.map_or_else(|| date.to_string(), |time| format!("{date} {time}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_what_asp_net_takes_for_it() {
        for text in ["<script>", "a </b", "<!", "<?xml", "&#60;"] {
            assert!(looks_like_markup(text), "{text}");
        }
        for text in ["a < b", "<3", "R&D", "x<", "&", "<"] {
            assert!(!looks_like_markup(text), "{text}");
        }
    }
}
