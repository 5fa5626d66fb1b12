//! Which value each part of a key has, from whatever tells the values at its places.

use std::borrow::Cow;

use serde_json::Value;

use super::{Encoding, Keys, NaturalKey, Part, Path};

/// Why a payload has no natural key. Parts and places are given by their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No place holds the part.
    Missing {
        /// Which part.
        part: usize,
    },
    /// Two places of the part contradict each other.
    Contradiction {
        /// Which part.
        part: usize,
        /// The place whose value would count.
        first: usize,
        /// The place that holds another value.
        other: usize,
    },
}

/// A value of a key as text, which is how queries have it and how keys are compared; `None` if it is not a single value.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) if number.is_f64() => decimal(number.as_f64()?).map(Cow::Owned),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(if *truth { "true" } else { "false" }.into()),
        _ => None,
    }
}

/// A decimal number as text, unless it is so large that another number may have the same text.
pub fn decimal(number: f64) -> Option<String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.abs() < EXACT).then(|| number.to_string())
}

impl Part {
    /// Its value, from what `held` tells of each place.
    fn value<'t>(&self, part: usize, held: impl Fn(usize) -> Option<&'t str>) -> Result<&'t str, Lack> {
        let mut given = (0..self.paths.len()).filter_map(|place| Some((place, held(place)?)));
        let Some((first, value)) = given.next() else { return Err(Lack::Missing { part }) };
        let loose = |text: &str| self.comparison.loose(&self.comparison.strict(text)).into_owned();
        match given.find(|(_, other)| *other != value && loose(other) != loose(value)) {
            Some((other, _)) => Err(Lack::Contradiction { part, first, other }),
            None => Ok(value),
        }
    }
}

impl NaturalKey {
    /// The value of each part, from what `held` tells of each place of each part.
    pub fn values<'t>(&self, held: impl Fn(usize, usize) -> Option<&'t str>) -> Result<Vec<&'t str>, Lack> {
        let value = |(number, part): (usize, &Part)| part.value(number, |place| held(number, place));
        self.parts.iter().enumerate().map(value).collect()
    }

    /// The hashes, from what `held` tells of each place of each part; `None` if the payload has no key.
    pub fn keys<'t>(&self, held: impl Fn(usize, usize) -> Option<&'t str>) -> Option<Keys> {
        let mut encoding = Encoding::default();
        for (number, part) in self.parts.iter().enumerate() {
            encoding.add(part.comparison, part.value(number, |place| held(number, place)).ok()?);
        }
        Some(encoding.keys())
    }

    /// The hashes of a key, from the value of each part by its name; `None` if `part` does not know one of them.
    pub fn of_parts<T: AsRef<str>>(&self, part: impl Fn(&str) -> Option<T>) -> Option<Keys> {
        let mut encoding = Encoding::default();
        for known in &self.parts {
            encoding.add(known.comparison, part(&known.name)?.as_ref());
        }
        Some(encoding.keys())
    }

    /// The value of each part of a payload.
    pub fn of_value(&self, payload: &Value) -> Result<Vec<String>, Lack> {
        let at = |path: &Path| path.find(payload).and_then(text);
        let held: Vec<Vec<Option<Cow<str>>>> =
            self.parts.iter().map(|part| part.paths.iter().map(at).collect()).collect();
        let values = self.values(|part, place| held[part][place].as_deref())?;
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    /// The hashes of these values of the parts.
    pub fn keys_of(&self, values: &[String]) -> Keys {
        let mut encoding = Encoding::default();
        self.parts.iter().zip(values).for_each(|(part, value)| encoding.add(part.comparison, value));
        encoding.keys()
    }

    /// Why a payload has no key, in words.
    pub fn why(&self, lack: Lack) -> String {
        match lack {
            Lack::Missing { part } => format!("{}, a part of the natural key, is missing", self.parts[part].name),
            Lack::Contradiction { part, first, other } => {
                let Part { name, paths, .. } = &self.parts[part];
                format!(
                    "{name}, a part of the natural key, has one value at {} and another at {}: no record can have both",
                    paths[first], paths[other]
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Comparison, Origin};
    use super::*;

    fn terms() -> NaturalKey {
        let part = |name: &str, comparison, paths: &[&[&str]]| Part {
            name: name.into(),
            comparison,
            paths: paths.iter().map(|path| Path::new(path.iter().copied())).collect(),
        };
        let school: [&[&str]; 2] = [&["schoolReference", "schoolId"], &["siteReference", "schoolId"]];
        let parts =
            vec![part("schoolId", Comparison::Number, &school), part("termName", Comparison::Text, &[&["termName"]])];
        NaturalKey { parts, origin: Origin::Marks }
    }

    #[test]
    fn the_first_place_that_holds_a_single_value_tells_the_part() {
        let values = |payload: Value| terms().of_value(&payload);
        let both = Ok(vec!["1".to_string(), "Fall".into()]);
        for school in [json!(1), json!("1"), json!(1.0)] {
            assert_eq!(values(json!({"termName": "Fall", "schoolReference": {"schoolId": school}})), both);
        }
        assert_eq!(values(json!({"termName": "Fall", "siteReference": {"schoolId": 1}})), both);
        for odd in [json!(null), json!([1]), json!({"a": 1}), json!(1e300), json!(12345678901234567890123_f64)] {
            let payload =
                json!({"termName": "Fall", "schoolReference": {"schoolId": odd}, "siteReference": {"schoolId": 1}});
            assert_eq!(values(payload), both, "{odd} is not a single value");
        }
        let part = 0;
        assert_eq!(values(json!({"termName": "Fall"})), Err(Lack::Missing { part }));
        let contradiction = |first: Value, second: Value| {
            values(
                json!({"termName": "Fall", "schoolReference": {"schoolId": first}, "siteReference": {"schoolId": second}}),
            )
        };
        assert_eq!(contradiction(json!(1), json!(2)), Err(Lack::Contradiction { part, first: 0, other: 1 }));
        assert_eq!(contradiction(json!(1), json!("01")), both, "loosely equal values do not contradict each other");
    }

    #[test]
    fn why_a_payload_has_no_key_names_the_part_and_its_places() {
        let key = terms();
        assert_eq!(key.why(Lack::Missing { part: 1 }), "termName, a part of the natural key, is missing");
        let why = key.why(Lack::Contradiction { part: 0, first: 0, other: 1 });
        assert!(why.contains("at $.schoolReference.schoolId and another at $.siteReference.schoolId"), "{why}");
    }
}
