//! What a key may hold, and the reading of it from text.

use std::collections::BTreeMap;
use std::fmt;

use super::profile::{self, Profile};
pub use super::value::{FromValue, Value};
use super::yaml::{self, Content, Node};
use super::{Level, Mode};

/// The type of a key's value. Its `Display` says what is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that no message shows.
    Secret,
    /// An absolute http or https URL, which may hold `{placeholders}`.
    Url,
    /// A file or folder; `~` is the user's home.
    Path,
    /// A whole number within these bounds.
    Count(u64, u64),
    /// A finite number of at least this.
    Number(f64),
    /// Seconds, more than none, not necessarily whole.
    Seconds,
    /// True or false.
    Switch,
    /// One of [`Mode::ALL`].
    Mode,
    /// One of [`Level::ALL`].
    Level,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// HTTP statuses.
    Statuses,
    /// Names.
    Names,
    /// Lists of names, by name.
    NamesByName,
    /// Texts, by name.
    TextByName,
    /// The name of a profile, or such names by resource.
    Profile,
}

/// A value that a key may not hold.
#[derive(Debug, PartialEq)]
pub struct Wrong {
    /// Where it is, as [`Node::line`].
    pub line: Option<usize>,
    /// What it is, fit to print.
    pub found: String,
}

/// The upper bound of a [`Kind::Count`] that has none of its own.
pub const MANY: u64 = u32::MAX as u64;

const YES: [&str; 3] = ["true", "yes", "on"];
const NO: [&str; 3] = ["false", "no", "off"];

impl Kind {
    /// Reads a value whose `${NAME}`s are replaced. `Ok(None)` is nothing or an empty text, which count as not given.
    pub fn read(self, node: &Node) -> Result<Option<Value>, Wrong> {
        if is_nothing(node) {
            return Ok(None);
        }
        let value = match self {
            Kind::Text | Kind::Secret | Kind::Path => Some(Value::Text(text(node)?.into())),
            Kind::Url => Some(text(node)?.trim())
                .filter(|url| ["http://", "https://"].iter().any(|scheme| starts_with(url, scheme)))
                .map(|url| Value::Text(url.into())),
            Kind::Count(least, most) => {
                text(node)?.parse().ok().filter(|n| (least..=most).contains(n)).map(Value::Count)
            }
            Kind::Number(least) => {
                text(node)?.parse().ok().filter(|n: &f64| n.is_finite() && *n >= least).map(Value::Number)
            }
            Kind::Seconds => text(node)?.parse().ok().filter(|n| *n > 0.0 && *n < 1e9).map(Value::Number),
            Kind::Switch => {
                let word = text(node)?.to_ascii_lowercase();
                let yes = YES.contains(&word.as_str());
                (yes || NO.contains(&word.as_str())).then_some(Value::Switch(yes))
            }
            Kind::Mode => Mode::from_name(text(node)?).map(Value::Mode),
            Kind::Level => Level::from_name(text(node)?).map(Value::Level),
            Kind::Choice(words) => Some(text(node)?).filter(|word| words.contains(word)).map(|w| Value::Text(w.into())),
            Kind::Statuses => Some(Value::Statuses(list(node, status)?)),
            Kind::Names => Some(Value::Names(list(node, name)?)),
            Kind::NamesByName => Some(Value::NamesByName(mapping(node, |n| list(n, name))?)),
            Kind::TextByName => Some(Value::TextByName(mapping(node, name)?)),
            Kind::Profile => Profile::read(&inline(node)?).map(Value::Profile),
        };
        value.map(Some).ok_or_else(|| wrong(node))
    }

    /// Whether it holds entries by name.
    pub fn is_mapping(self) -> bool {
        matches!(self, Kind::NamesByName | Kind::TextByName | Kind::Profile)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Text | Kind::Secret => f.write_str("a text"),
            Kind::Url => f.write_str("a URL that begins with https:// or http://"),
            Kind::Path => f.write_str("a path"),
            Kind::Count(least, MANY) => write!(f, "a whole number of at least {least}"),
            Kind::Count(least, most) => write!(f, "a whole number from {least} to {most}"),
            Kind::Number(least) => write!(f, "a number of at least {least}"),
            Kind::Seconds => f.write_str("a number of seconds above 0"),
            Kind::Switch => f.write_str("true or false"),
            Kind::Mode => one_of(f, &Mode::ALL.map(Mode::name)),
            Kind::Level => one_of(f, &Level::ALL.map(Level::name)),
            Kind::Choice(words) => one_of(f, words),
            Kind::Statuses => f.write_str("a list of HTTP statuses from 100 to 599"),
            Kind::Names => f.write_str("a list of names"),
            Kind::NamesByName => f.write_str("a mapping of names to lists of names"),
            Kind::TextByName => f.write_str("a mapping of names to texts"),
            Kind::Profile => f.write_str(profile::EXPECTED),
        }
    }
}

fn one_of(f: &mut fmt::Formatter<'_>, words: &[&str]) -> fmt::Result {
    write!(f, "one of {}", words.join(", "))
}

fn is_nothing(node: &Node) -> bool {
    match &node.content {
        Content::Null => true,
        Content::Text(text) => text.value.is_empty(),
        Content::List(_) | Content::Mapping(_) => false,
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn text(node: &Node) -> Result<&str, Wrong> {
    match &node.content {
        Content::Text(text) => Ok(&text.value),
        _ => Err(wrong(node)),
    }
}

fn name(node: &Node) -> Result<String, Wrong> {
    text(node).map(String::from)
}

fn status(node: &Node) -> Result<u16, Wrong> {
    text(node)?.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(|| wrong(node))
}

/// A list; or a text that holds one, as YAML or with commas, which is how `--set` and `${NAME}` can give one.
fn list<T>(node: &Node, item: fn(&Node) -> Result<T, Wrong>) -> Result<Vec<T>, Wrong> {
    match inline(node)?.content {
        Content::List(items) => items.iter().map(item).collect(),
        Content::Text(whole) => {
            let part = |value: &str| {
                let part = yaml::Text { value: value.trim().into(), template: whole.template.clone() };
                Node { line: node.line, content: Content::Text(part) }
            };
            whole.value.split(',').map(part).map(|node| item(&node)).collect()
        }
        Content::Null | Content::Mapping(_) => Err(wrong(node)),
    }
}

/// A mapping, or a text that holds one as YAML.
fn mapping<T>(node: &Node, value: impl Fn(&Node) -> Result<T, Wrong>) -> Result<BTreeMap<String, T>, Wrong> {
    match inline(node)?.content {
        Content::Mapping(entries) => entries
            .into_iter()
            .filter(|(_, node)| !is_nothing(node))
            .map(|(name, node)| Ok((name, value(&node)?)))
            .collect(),
        _ => Err(wrong(node)),
    }
}

/// The YAML that a text holds, or the text itself where it is none, as `*` is not. Its parts remember the line and the template of the whole, so that no message shows
/// what a `${NAME}` stands for.
fn inline(node: &Node) -> Result<Node, Wrong> {
    let Content::Text(text) = &node.content else { return Ok(node.clone()) };
    match yaml::read_inline(&text.value) {
        Ok(parts) => Ok(within(parts, node.line, &text.template)),
        Err(_) if text.value.trim_start().starts_with(['[', '{']) => Err(wrong(node)),
        Err(_) => Ok(node.clone()),
    }
}

fn within(part: Node, line: Option<usize>, template: &Option<String>) -> Node {
    let again = |node| within(node, line, template);
    let content = match part.content {
        Content::Null => Content::Null,
        Content::Text(text) => Content::Text(yaml::Text { value: text.value, template: template.clone() }),
        Content::List(items) => Content::List(items.into_iter().map(again).collect()),
        Content::Mapping(entries) => Content::Mapping(entries.into_iter().map(|(k, node)| (k, again(node))).collect()),
    };
    Node { line, content }
}

fn wrong(node: &Node) -> Wrong {
    let found = match &node.content {
        Content::Null => "nothing".into(),
        Content::Text(yaml::Text { template: Some(template), .. }) => format!("what '{template}' stands for"),
        Content::Text(text) => format!("'{}'", text.value),
        Content::List(_) => "a list".into(),
        Content::Mapping(_) => "a mapping".into(),
    };
    Wrong { line: node.line, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text of YAML is read as.
    fn read(kind: Kind, text: &str) -> Result<Option<Value>, String> {
        let node = yaml::read(text).unwrap_or_else(|e| panic!("{}", e.message)).node;
        kind.read(&node).map_err(|wrong| wrong.found)
    }

    fn accepts(kind: Kind, text: &str, value: Value) {
        assert_eq!(read(kind, text), Ok(Some(value)), "{text}");
    }

    fn refuses(kind: Kind, texts: &[&str], allowed: &str) {
        for text in texts {
            let found = read(kind, text).expect_err(text);
            assert!(!found.is_empty());
        }
        assert_eq!(kind.to_string(), allowed);
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn nothing_and_an_empty_text_are_not_given() {
        for kind in [Kind::Text, Kind::Count(1, 2), Kind::Statuses, Kind::TextByName] {
            for text in ["", "~", "null", "''"] {
                assert_eq!(read(kind, text), Ok(None), "{kind:?} {text}");
            }
        }
    }

    #[test]
    fn a_text_is_what_was_written_even_if_it_looks_like_a_number() {
        accepts(Kind::Text, "0012", Value::Text("0012".into()));
        accepts(Kind::Secret, "1e5", Value::Text("1e5".into()));
        accepts(Kind::Text, "true", Value::Text("true".into()));
        refuses(Kind::Text, &["[a]", "a: b"], "a text");
    }

    #[test]
    fn a_url_is_absolute() {
        accepts(Kind::Url, "HTTPS://localhost/{year}/api", Value::Text("HTTPS://localhost/{year}/api".into()));
        accepts(Kind::Url, "'http://x '", Value::Text("http://x".into()));
        refuses(Kind::Url, &["localhost/api", "ftp://x"], "a URL that begins with https:// or http://");
    }

    #[test]
    fn a_count_is_whole_and_within_its_bounds() {
        accepts(Kind::Count(1, 1024), "1", Value::Count(1));
        accepts(Kind::Count(1, 1024), "'1024'", Value::Count(1024));
        refuses(Kind::Count(1, 1024), &["0", "1025", "many", "1.5", "-1", "[1]"], "a whole number from 1 to 1024");
        assert_eq!(Kind::Count(0, MANY).to_string(), "a whole number of at least 0");
    }

    #[test]
    fn a_number_is_finite_and_within_its_bound() {
        accepts(Kind::Number(1.0), "1", Value::Number(1.0));
        accepts(Kind::Number(1.0), "1.5", Value::Number(1.5));
        refuses(Kind::Number(1.0), &["0.9", "inf", "NaN", "x"], "a number of at least 1");
        accepts(Kind::Seconds, "0.5", Value::Number(0.5));
        refuses(Kind::Seconds, &["0", "-1", "inf", "1e10", "x"], "a number of seconds above 0");
    }

    #[test]
    fn a_switch_knows_the_words_of_yaml_in_any_casing() {
        for text in ["true", "True", "yes", "ON"] {
            accepts(Kind::Switch, text, Value::Switch(true));
        }
        for text in ["false", "FALSE", "no", "off"] {
            accepts(Kind::Switch, text, Value::Switch(false));
        }
        refuses(Kind::Switch, &["1", "maybe"], "true or false");
    }

    #[test]
    fn every_mode_and_level_is_known_by_its_name() {
        for mode in Mode::ALL {
            accepts(Kind::Mode, mode.name(), Value::Mode(mode));
        }
        for level in Level::ALL {
            accepts(Kind::Level, level.name(), Value::Level(level));
        }
        accepts(Kind::Level, "warn", Value::Level(Level::Warning));
        accepts(Kind::Level, "Info", Value::Level(Level::Info));
        refuses(
            Kind::Mode,
            &["shared"],
            "one of shared_instance, sandbox, district_specific, year_specific, instance_year_specific",
        );
        refuses(Kind::Level, &["LOUD"], "one of DEBUG, INFO, WARNING, ERROR, CRITICAL");
    }

    #[test]
    fn a_choice_is_one_of_its_words() {
        let kind = Kind::Choice(&["exclude", "include"]);
        accepts(kind, "include", Value::Text("include".into()));
        refuses(kind, &["both"], "one of exclude, include");
    }

    #[test]
    fn a_list_may_be_one_text_with_commas_or_yaml() {
        for text in ["[429, 500]", "- 429\n- 500", "'429,500'", "'429 , 500'", "'[429, 500]'"] {
            accepts(Kind::Statuses, text, Value::Statuses(vec![429, 500]));
        }
        accepts(Kind::Statuses, "429", Value::Statuses(vec![429]));
        accepts(Kind::Statuses, "[]", Value::Statuses(vec![]));
        refuses(Kind::Statuses, &["[99]", "[600]", "x", "a: 1", "'['"], "a list of HTTP statuses from 100 to 599");
        accepts(Kind::Names, "'*'", Value::Names(strings(&["*"])));
        accepts(Kind::Names, "[a, 1]", Value::Names(strings(&["a", "1"])));
        refuses(Kind::Names, &["[[a]]"], "a list of names");
    }

    #[test]
    fn a_mapping_may_be_one_text_of_yaml() {
        let lists = BTreeMap::from([("tx".to_string(), strings(&["a", "b"])), ("nm".to_string(), strings(&["c"]))]);
        for text in ["tx: [a, b]\nnm: c\nempty:\n", "'{tx: [a, b], nm: [c]}'"] {
            accepts(Kind::NamesByName, text, Value::NamesByName(lists.clone()));
        }
        refuses(Kind::NamesByName, &["[a]", "a", "a: {b: c}"], "a mapping of names to lists of names");
        let texts = BTreeMap::from([("districtId".to_string(), "0255".to_string())]);
        accepts(Kind::TextByName, "districtId: 0255", Value::TextByName(texts));
        refuses(Kind::TextByName, &["a: [b]"], "a mapping of names to texts");
    }

    #[test]
    fn no_message_shows_what_a_name_in_braces_stands_for() {
        let text = yaml::Text { value: "[hidden, 5]".into(), template: Some("${LIST}".into()) };
        let node = Node { line: Some(3), content: Content::Text(text) };
        for kind in [Kind::Count(1, 2), Kind::Statuses, Kind::Mode, Kind::TextByName] {
            assert_eq!(kind.read(&node), Err(Wrong { line: Some(3), found: "what '${LIST}' stands for".into() }));
        }
    }
}
