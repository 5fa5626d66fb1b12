//! Holds a payload against its definition: types, limits, required members, key unification; and finds what it refers to.

use std::borrow::Cow;

use serde_json::Value;

use super::store::identify;
use crate::model::{DESCRIPTOR_LENGTH, Definition, Kind, Reference, Schema};
use crate::resource::Resource;

/// What a payload that is well formed says.
pub struct Checked<'m, 'p> {
    /// The id of its natural key.
    pub id: u128,
    /// What it refers to.
    pub references: Vec<(&'m Reference, Vec<u128>)>,
    /// The descriptors that it uses and that the model knows.
    pub descriptors: Vec<Usage<'m, 'p>>,
}

/// A descriptor's value in a payload.
pub struct Usage<'m, 'p> {
    /// Where, such as `$.gradeLevels[0].gradeLevelDescriptor`.
    pub path: String,
    /// Of which descriptor.
    pub descriptor: &'m Resource,
    /// Such as `uri://ed-fi.org/GradeLevelDescriptor`.
    pub namespace: &'p str,
    /// Behind the `#`.
    pub code_value: &'p str,
}

/// Checks `payload`, a JSON object. Else every error with its path.
pub fn check<'m, 'p>(definition: &'m Definition, payload: &'p Value) -> Result<Checked<'m, 'p>, Vec<(String, String)>> {
    let mut check = Check { path: "$".into(), errors: Vec::new(), references: Vec::new(), descriptors: Vec::new() };
    check.object(&definition.body, payload);
    check.unification(definition, payload);
    if !check.errors.is_empty() {
        return Err(check.errors);
    }
    let parts: Vec<Cow<'_, str>> =
        definition.key().filter_map(|part| part.values(payload).next()).map(|(_, value)| text(value)).collect();
    let id = identify(&definition.resource, parts.iter().map(|part| &**part));
    Ok(Checked { id, references: check.references, descriptors: check.descriptors })
}

/// A value of a key as text.
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

struct Check<'m, 'p> {
    path: String,
    errors: Vec<(String, String)>,
    references: Vec<(&'m Reference, Vec<u128>)>,
    descriptors: Vec<Usage<'m, 'p>>,
}

impl<'m, 'p> Check<'m, 'p> {
    fn object(&mut self, schema: &'m Schema, value: &'p Value) {
        let Some(object) = value.as_object() else { return self.wrong("must be an object") };
        for property in &schema.properties {
            match object.get(&*property.name).filter(|value| !value.is_null()) {
                Some(value) => self.within(&format!(".{}", property.name), |check| check.value(&property.kind, value)),
                None if property.required => {
                    self.within(&format!(".{}", property.name), |check| check.wrong("is required"))
                }
                None => {}
            }
        }
    }

    fn value(&mut self, kind: &'m Kind, value: &'p Value) {
        match kind {
            Kind::Any => {}
            Kind::Object(schema) => self.object(schema, value),
            Kind::List(items) => match value.as_array() {
                Some(values) => values.iter().enumerate().for_each(|(position, value)| {
                    self.within(&format!("[{position}]"), |check| check.value(items, value));
                }),
                None => self.wrong("must be a list"),
            },
            Kind::Reference(reference) => self.reference(reference, value),
            Kind::Boolean if value.is_boolean() => {}
            Kind::Boolean => self.wrong("must be true or false"),
            Kind::Integer { bits, minimum, maximum } => {
                let fits = |value: &i64| *bits > 32 || i32::try_from(*value).is_ok();
                match value.as_i64().filter(fits) {
                    Some(value) => self.range(value, *minimum, *maximum),
                    None => self.wrong(&format!("must be a whole number of {bits} bits")),
                }
            }
            Kind::Number { minimum, maximum } => match value.as_f64() {
                Some(value) => self.range(value, *minimum, *maximum),
                None => self.wrong("must be a number"),
            },
            text => match value.as_str() {
                Some(value) => self.text(text, value),
                None => self.wrong("must be a string"),
            },
        }
    }

    fn text(&mut self, kind: &'m Kind, value: &'p str) {
        let length = || u32::try_from(value.chars().count()).unwrap_or(u32::MAX);
        match kind {
            Kind::Text { min_length: Some(least), .. } if length() < *least => {
                self.wrong(&format!("must have at least {least} characters"));
            }
            Kind::Text { max_length: Some(most), .. } if length() > *most => {
                self.wrong(&format!("must have at most {most} characters"));
            }
            Kind::Date if value.parse::<jiff::civil::Date>().is_err() => {
                self.wrong("must be a date such as 2025-08-31")
            }
            Kind::Time if value.parse::<jiff::civil::Time>().is_err() => self.wrong("must be a time such as 07:45:00"),
            Kind::DateTime
                if value.parse::<jiff::Timestamp>().is_err() && value.parse::<jiff::civil::DateTime>().is_err() =>
            {
                self.wrong("must be a date and time such as 2025-08-31T07:45:00Z");
            }
            Kind::Descriptor(_) if length() > DESCRIPTOR_LENGTH => {
                self.wrong(&format!("must have at most {DESCRIPTOR_LENGTH} characters"));
            }
            Kind::Descriptor(descriptor) => self.descriptor(descriptor.as_ref(), value),
            _ => {}
        }
    }

    /// `uri://namespace/XDescriptor#code value`, of the right descriptor if the model knows it.
    fn descriptor(&mut self, descriptor: Option<&'m Resource>, value: &'p str) {
        let parts =
            value.split_once('#').filter(|(namespace, code)| namespace.starts_with("uri://") && !code.is_empty());
        let Some((namespace, code_value)) = parts else {
            return self
                .wrong(&format!("must be a descriptor such as uri://ed-fi.org/XDescriptor#Value, not '{value}'"));
        };
        let Some(descriptor) = descriptor else { return };
        let named = namespace.rsplit('/').next().unwrap_or_default();
        let expected = descriptor.name().trim_end_matches('s');
        match named.eq_ignore_ascii_case(expected) {
            true => self.descriptors.push(Usage { path: self.path.clone(), descriptor, namespace, code_value }),
            false => self.wrong(&format!("must be a {expected}, not '{value}'")),
        }
    }

    fn reference(&mut self, reference: &'m Reference, value: &'p Value) {
        let errors = self.errors.len();
        self.object(&reference.schema, value);
        if self.errors.len() > errors {
            return;
        }
        let members = &reference.schema.properties;
        let values: Vec<Cow<'_, str>> = members.iter().map(|member| text(&value[&*member.name])).collect();
        let id = |target: &crate::model::Target| {
            identify(&target.resource, target.members.iter().map(|&member| &*values[member]))
        };
        self.references.push((reference, reference.targets.iter().map(id).collect()));
    }

    /// Members that share a parameter must be equal.
    fn unification(&mut self, definition: &Definition, payload: &Value) {
        for parameter in definition.parameters.iter().filter(|parameter| parameter.paths.len() > 1) {
            let values: Vec<_> = parameter.values(payload).collect();
            let mut texts: Vec<_> = values.iter().map(|(_, value)| text(value)).collect();
            texts.dedup();
            if texts.len() > 1 {
                let all: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
                let message =
                    format!("All values of '{}' must be the same; these differ: {}", parameter.name, all.join(", "));
                self.errors.extend(values.iter().map(|(path, _)| (path.to_string(), message.clone())));
            }
        }
    }

    fn range<T: PartialOrd + std::fmt::Display>(&mut self, value: T, minimum: Option<T>, maximum: Option<T>) {
        if let Some(minimum) = minimum.filter(|minimum| value < *minimum) {
            self.wrong(&format!("must be at least {minimum}"));
        }
        if let Some(maximum) = maximum.filter(|maximum| value > *maximum) {
            self.wrong(&format!("must be at most {maximum}"));
        }
    }

    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        check(self);
        self.path.truncate(length);
    }

    fn wrong(&mut self, what: &str) {
        let name = self.path.rsplit('.').next().unwrap_or_default();
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase()).unwrap_or_default();
        self.errors.push((self.path.clone(), format!("{first}{} {what}.", letters.as_str())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::model::compact;
    use serde_json::json;

    const TEXT: &str = "\
schema edFi_week
 weekIdentifier! string 2..5
 beginDate? date
 at time
 since datetime
 total? int32 1..9
 share number ..0.5
 open boolean
 termDescriptor descriptor
 schoolReference! =edFi_schoolReference
 calendarReference =edFi_calendarReference
 days []=edFi_day
schema edFi_day
 number! int64
schema edFi_schoolReference
 schoolId! int64
schema edFi_calendarReference
 code! string
 schoolId! int64
schema edFi_termDescriptor
 namespace! string
 codeValue! string
resource ed-fi/weeks edFi_week
 get weekIdentifier! schoolId!
resource ed-fi/schools edFi_schoolReference
 get schoolId!
resource ed-fi/termDescriptors edFi_termDescriptor
";

    fn weeks() -> (Model, Resource) {
        (Model::compile(&compact::read(TEXT).unwrap().0).unwrap(), Resource::new("ed-fi", "weeks"))
    }

    fn good() -> Value {
        json!({
            "weekIdentifier": "ÄÖÜ", "beginDate": "2025-08-31", "at": "07:45:00", "since": "2025-08-31T07:45:00Z", "total": 9,
            "share": 0.5, "open": true, "termDescriptor": "uri://ed-fi.org/TermDescriptor#Fall: 1st", "unheardOf": 1,
            "schoolReference": {"schoolId": 4_000_000_000_u64}, "days": [{"number": 1}]
        })
    }

    fn errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let (model, weeks) = weeks();
        let mut payload = good();
        change(&mut payload);
        let checked = check(model.get(&weeks).unwrap(), &payload);
        let errors = checked.err().unwrap_or_default();
        errors.into_iter().map(|(path, text)| format!("{path} {text}")).collect()
    }

    #[test]
    fn a_good_payload_tells_its_key_and_what_it_refers_to() {
        let (model, weeks) = weeks();
        let payload = good();
        let checked = check(model.get(&weeks).unwrap(), &payload).ok().unwrap();
        assert_eq!(checked.id, identify(&weeks, ["ÄÖÜ", "4000000000"]));
        let schools = identify(&Resource::new("ed-fi", "schools"), ["4000000000"]);
        let references: Vec<_> =
            checked.references.iter().map(|(reference, ids)| (reference.schema.entity(), ids.clone())).collect();
        assert_eq!(references, [("School".to_owned(), vec![schools])]);
        let [term] = &checked.descriptors[..] else { panic!("one descriptor") };
        assert_eq!((term.namespace, term.code_value), ("uri://ed-fi.org/TermDescriptor", "Fall: 1st"));
    }

    #[test]
    fn each_error_is_told_with_its_path() {
        for (pointer, value, expected) in [
            ("weekIdentifier", json!(null), "$.weekIdentifier WeekIdentifier is required."),
            ("weekIdentifier", json!("x"), "$.weekIdentifier WeekIdentifier must have at least 2 characters."),
            ("weekIdentifier", json!("xxxxxx"), "$.weekIdentifier WeekIdentifier must have at most 5 characters."),
            ("weekIdentifier", json!(12), "$.weekIdentifier WeekIdentifier must be a string."),
            ("beginDate", json!("2025-02-30"), "$.beginDate BeginDate must be a date such as 2025-08-31."),
            ("at", json!("25:00"), "$.at At must be a time such as 07:45:00."),
            ("since", json!("now"), "$.since Since must be a date and time such as 2025-08-31T07:45:00Z."),
            ("total", json!(0), "$.total Total must be at least 1."),
            ("total", json!(1.5), "$.total Total must be a whole number of 32 bits."),
            ("total", json!(4_000_000_000_u64), "$.total Total must be a whole number of 32 bits."),
            ("share", json!(0.6), "$.share Share must be at most 0.5."),
            ("share", json!("0.1"), "$.share Share must be a number."),
            ("open", json!("true"), "$.open Open must be true or false."),
            ("days", json!({}), "$.days Days must be a list."),
            ("days", json!([{"number": 1}, {}]), "$.days[1].number Number is required."),
            ("days", json!([7]), "$.days[0] Days[0] must be an object."),
            ("schoolReference", json!({}), "$.schoolReference.schoolId SchoolId is required."),
            (
                "termDescriptor",
                json!("uri://x/SexDescriptor#F"),
                "$.termDescriptor TermDescriptor must be a termDescriptor, not 'uri://x/SexDescriptor#F'.",
            ),
            (
                "termDescriptor",
                json!("Fall"),
                "$.termDescriptor TermDescriptor must be a descriptor such as uri://ed-fi.org/XDescriptor#Value, not 'Fall'.",
            ),
        ] {
            assert_eq!(errors(|payload| payload[pointer] = value), [expected]);
        }
        let two = errors(|payload| (payload["total"], payload["open"]) = (json!(10), json!(1)));
        assert_eq!(two.len(), 2);
        assert_eq!(errors(|payload| payload["beginDate"] = Value::Null).len(), 0, "null is the same as nothing");
    }

    #[test]
    fn members_that_are_unified_must_agree() {
        let with = |id: i64| errors(|payload| payload["calendarReference"] = json!({"code": "c", "schoolId": id}));
        assert_eq!(with(4_000_000_000).len(), 0);
        let differ = with(5);
        assert_eq!(differ.len(), 2);
        assert!(
            differ[0].starts_with("$.schoolReference.schoolId All values of 'schoolId' must be the same"),
            "{differ:?}"
        );
        assert!(differ[1].starts_with("$.calendarReference.schoolId"), "{differ:?}");
    }
}
