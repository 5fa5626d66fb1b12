//! `--params`: what the `${NAME}`s of the configuration stand for, before the environment is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// Where the parameters are.
#[derive(Clone, PartialEq, Eq)]
pub enum Params {
    /// In the argument itself, a JSON object.
    Literal(String),
    /// In a file (`@file`).
    File(PathBuf),
    /// On standard input (`-`).
    Stdin,
}

impl Params {
    /// From the argument of `--params`.
    pub fn from_argument(argument: &str) -> Params {
        match (argument, argument.strip_prefix('@')) {
            ("-", _) => Params::Stdin,
            (_, Some(file)) => Params::File(file.into()),
            (literal, None) => Params::Literal(literal.into()),
        }
    }

    /// Reads them: names and what they stand for.
    pub fn read(&self) -> Result<BTreeMap<String, String>> {
        let text = match self {
            Params::Literal(text) => text.clone(),
            Params::File(path) => std::fs::read_to_string(path)
                .or_stop(Exit::Usage, || format!("cannot read the --params file {}", path.display()))?,
            Params::Stdin => std::io::read_to_string(std::io::stdin())
                .or_stop(Exit::Usage, || "cannot read --params from standard input".into())?,
        };
        parse(&text)
    }
}

/// Parameters often are secrets, so that only their place is shown.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Params::Literal(_) => f.write_str("Literal([secret])"),
            Params::File(path) => write!(f, "File({path:?})"),
            Params::Stdin => f.write_str("Stdin"),
        }
    }
}

/// From a JSON object whose values are strings, numbers or booleans.
fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{FEFF}'))
        .or_stop(Exit::Usage, || "--params: expected a JSON object such as {\"NAME\": \"value\"}".into())?;
    let Value::Object(entries) = value else {
        return Err(Error::usage(format!("--params: found {}, expected a JSON object", kind(&value))));
    };
    let text_of = |(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
        other => {
            let expected = "expected a string, a number, true or false";
            Err(Error::usage(format!("--params: {name}: found {}, {expected}", kind(&other))))
        }
    };
    entries.into_iter().map(text_of).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).map_or_else(|e| e.to_string(), |params| panic!("{params:?}"))
    }

    #[test]
    fn an_argument_is_an_object_or_names_where_it_is() {
        assert_eq!(Params::from_argument("{}"), Params::Literal("{}".into()));
        assert_eq!(Params::from_argument("@a/b.json"), Params::File("a/b.json".into()));
        assert_eq!(Params::from_argument("-"), Params::Stdin);
    }

    #[test]
    fn strings_numbers_and_booleans_become_text() {
        let params = parse(r#" {"A": "x y", "B": 8, "C": 1.5, "D": true} "#).unwrap_or_default();
        let expected = [("A", "x y"), ("B", "8"), ("C", "1.5"), ("D", "true")];
        assert_eq!(params, expected.map(|(name, value)| (name.to_string(), value.to_string())).into());
    }

    #[test]
    fn what_is_no_object_of_plain_values_is_an_error_that_shows_no_value() {
        for (text, tells) in [
            ("hidden", "JSON object"),
            ("\"hidden\"", "found a string"),
            ("[\"hidden\"]", "found an array"),
            (r#"{"A": ["hidden"]}"#, "A: found an array"),
            (r#"{"A": null, "B": "hidden"}"#, "A: found null"),
            ("", "JSON object"),
        ] {
            let message = fault(text);
            assert!(message.contains(tells) && !message.contains("hidden"), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let read = Params::File("no-such-file.json".into()).read();
        let message = read.map_or_else(|e| e.to_string(), |params| panic!("{params:?}"));
        assert!(message.contains("no-such-file.json"), "{message}");
    }

    #[test]
    fn parameters_are_not_shown() {
        assert!(!format!("{:?}", Params::Literal("hidden".into())).contains("hidden"));
    }
}
