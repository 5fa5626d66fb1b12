//! A value about to be read, and what is asked of strings and numbers.

use std::fmt;
use std::io::Write;

use super::compile::{Entity, Form, Keeping, Member, Pattern};
use super::formats;
use super::notes::{Descriptor, Fault, Notes, Place, Rule, Slot, Step};
use crate::edfi::key::{Comparison, decimal};
use crate::model::DESCRIPTOR_LENGTH;
use crate::text::shortened;

/// As much of a value or of a list of values as a message shows, in characters.
pub(super) const SHOWN: usize = 120;

/// A value about to be read, and where it stands.
pub(super) struct Spot<'n, 'c> {
    pub notes: &'n mut Notes<'c>,
    pub form: &'c Form,
    /// What messages call it: the property's name; for an item, that of its list.
    pub name: &'c str,
    pub around: Place,
    pub step: Step<'c>,
    /// `None` for an item of a list and for the payload itself.
    pub member: Option<&'c Member>,
}

impl<'c> Spot<'_, 'c> {
    /// Its own place.
    pub(super) fn place(&mut self) -> Place {
        match self.step {
            Step::Top => self.around,
            step => self.notes.step(self.around, step),
        }
    }

    pub(super) fn wrong(&mut self, rule: Rule, what: fmt::Arguments<'_>) {
        let place = self.place();
        let fault = self.fault(rule, place, what);
        self.notes.faults.push(fault);
    }

    pub(super) fn fault(&self, rule: Rule, place: Place, what: fmt::Arguments<'_>) -> Fault {
        let item = if matches!(self.step, Step::Item(_)) { "an item of " } else { "" };
        Fault { rule, path: self.notes.path(place).into(), message: format!("{item}{} {what}", self.name).into() }
    }

    /// It is of another type than its form.
    pub(super) fn mistyped(&mut self, given: &str) {
        if let Some(wanted) = self.wanted() {
            self.wrong(Rule::Type, format_args!("must be {wanted}, not {given}"));
        }
    }

    /// What messages call the type that is wanted; `None` if any will do.
    pub(super) fn wanted(&self) -> Option<&'static str> {
        Some(match self.form {
            Form::Integer { .. } => "a whole number",
            Form::Number { .. } => "a number",
            Form::Boolean => "true or false",
            Form::Object(_) | Form::Reference(_) => "an object",
            Form::List(_) => "a list",
            Form::Any => return None,
            _ => "a string",
        })
    }

    fn keeping(&self) -> Keeping {
        match (self.member, self.form) {
            (Some(member), _) => member.keeping,
            // Items of a list are compared.
            (None, Form::Descriptor(_)) => Keeping::Folded,
            (None, _) => Keeping::AsWritten,
        }
    }

    /// What remains of a scalar after it was checked.
    pub(super) fn kept(self, text: &str) -> Slot {
        let kept = match self.keeping() {
            Keeping::No => return Slot::Given,
            Keeping::AsWritten => self.notes.keep(text.as_bytes()),
            Keeping::Folded => self.notes.keep(Comparison::Descriptor.strict(text).as_bytes()),
        };
        Slot::Part(kept)
    }

    pub(super) fn kept_number(self, number: impl fmt::Display) -> Slot {
        if self.keeping() == Keeping::No {
            return Slot::Given;
        }
        let start = self.notes.text.len();
        // Writing to memory does not fail.
        let _ = write!(self.notes.text, "{number}");
        Slot::Part(start..self.notes.text.len())
    }

    pub(super) fn kept_decimal(self, value: f64) -> Slot {
        match decimal(value) {
            Some(text) => self.kept_number(text),
            None => Slot::Given,
        }
    }

    pub(super) fn whole_number(mut self, value: i128) -> Slot {
        match *self.form {
            Form::Integer { bits, least, most } => self.integer(value, bits, least, most),
            Form::Number { least, most } => self.range(value as f64, least, most),
            _ => self.mistyped("a number"),
        }
        self.kept_number(value)
    }

    pub(super) fn string(mut self, text: &str) -> Slot {
        match self.form {
            Form::Any => {}
            Form::Text { least, most, pattern } => {
                self.length(text, *least, *most);
                if self.notes.may_hold_markup {
                    self.markup(text);
                }
                match pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
                    Some(Pattern::Expression(pattern)) => {
                        self.wrong(Rule::Pattern, format_args!("must match the pattern {pattern}"));
                    }
                    Some(Pattern::Trimmed) => {
                        let what = format_args!("must be one line that neither begins nor ends with a blank");
                        self.wrong(Rule::Pattern, what);
                    }
                    None => {}
                }
            }
            Form::OneOf(values) if values.iter().any(|value| **value == *text) => {}
            Form::OneOf(values) => {
                let values = shortened(&values.join(", "), SHOWN);
                self.wrong(Rule::OneOf, format_args!("must be one of {values}"));
            }
            Form::Descriptor(entity) => self.descriptor(entity.as_ref(), text),
            Form::Date if formats::is_date(text) => {}
            Form::Date => return self.other_date(text),
            Form::Time if formats::is_time(text) => {}
            Form::Time => self.wrong(Rule::Format, format_args!("must be a time such as 07:45:00")),
            Form::DateTime if formats::is_date_time(text) && !self.notes.tolerance.exact_times => {}
            Form::DateTime if formats::is_exact_date_time(text) => {}
            Form::DateTime => return self.other_date_time(text),
            Form::Boolean | Form::Integer { .. } | Form::Number { .. } => return self.scalar_as_text(text),
            _ => self.mistyped("a string"),
        }
        self.kept(text)
    }

    fn integer(&mut self, value: i128, bits: u8, least: i64, most: i64) {
        if value >> (bits - 1) != value >> 127 {
            return self.wrong(Rule::Range, format_args!("must be a whole number of {bits} bits"));
        }
        self.range(value, least.into(), most.into());
    }

    pub(super) fn range<T: PartialOrd + fmt::Display>(&mut self, value: T, least: T, most: T) {
        if value < least {
            self.wrong(Rule::Range, format_args!("must be at least {least}"));
        }
        if value > most {
            self.wrong(Rule::Range, format_args!("must be at most {most}"));
        }
    }

    /// Limits are in characters. A character has at most four bytes, so that most strings need not be counted.
    fn length(&mut self, text: &str, least: usize, most: usize) {
        if text.len() > most && text.chars().count() > most {
            self.wrong(Rule::Length, format_args!("must have at most {most} characters"));
        }
        if text.len() < least.saturating_mul(4) && text.chars().count() < least {
            self.too_short(text, least);
        }
    }

    fn descriptor(&mut self, entity: Option<&'c Entity>, text: &str) {
        self.length(text, 0, DESCRIPTOR_LENGTH as usize);
        let hash = memchr::memchr(b'#', text.as_bytes()).filter(|&hash| {
            let code_value = &text[hash + 1..];
            text.starts_with("uri://") && !code_value.is_empty() && !code_value.contains('#')
        });
        let Some(hash) = hash else {
            let (name, text) = (entity.map_or("XDescriptor", |entity| &entity.name), shortened(text, SHOWN));
            let what = format_args!("must be a descriptor such as uri://ed-fi.org/{name}#Value, not '{text}'");
            return self.wrong(Rule::Descriptor, what);
        };
        let Some(entity) = entity else { return };
        let named = text[..hash].rsplit('/').next().unwrap_or_default();
        if !named.eq_ignore_ascii_case(&entity.name) {
            let text = shortened(text, SHOWN);
            return self.wrong(Rule::Descriptor, format_args!("must be a {}, not '{text}'", entity.name));
        }
        let (place, uri) = (self.place(), self.notes.keep(text.as_bytes()));
        self.notes.descriptors.push(Descriptor { resource: &entity.resource, place, uri, hash });
    }
}
