//! What a file and `--set` say, as typed values by key: names resolved, `${NAME}` replaced, types checked, the two
//! spellings of a key held against each other.

use std::collections::BTreeMap;
use std::path::Path;

use super::expand::expand;
use super::keys::{self, KEYS, Key, Spelling};
use super::kinds::{FromValue, Kind, Value, Wrong};
use super::yaml::{Content, Node};
use super::{Assignment, Level, Profile};
use crate::error::{Error, Result};

/// Everything that is given, by the nested name of its key.
pub struct Settings<'a> {
    file: &'a Path,
    look_up: &'a dyn Fn(&str) -> Option<String>,
    spelling: Spelling,
    by_key: BTreeMap<&'static str, Setting>,
}

struct Setting {
    value: Value,
    /// The name it was given by.
    name: String,
    line: Option<usize>,
}

/// A key in a file, in the spelling and with the value of the file.
struct Entry {
    key: &'static Key,
    name: String,
    node: Node,
}

impl<'a> Settings<'a> {
    /// Nothing given yet; `look_up` tells what `${NAME}` stands for.
    pub fn new(file: &'a Path, look_up: &'a dyn Fn(&str) -> Option<String>) -> Settings<'a> {
        Settings { file, look_up, spelling: Spelling::Nested, by_key: BTreeMap::new() }
    }

    /// Takes what a file says. Returns warnings about keys that are not known.
    pub fn read_file(&mut self, root: Node) -> Result<Vec<String>> {
        let (mut entries, mut unknown) = (Vec::new(), Vec::new());
        self.collect("", root, &mut entries, &mut unknown)?;
        let is_nested = |name: &str| name.contains('.');
        let has_flat = entries.iter().any(|e| e.key.flat == Some(e.name.as_str()));
        if has_flat && !entries.iter().any(|e| is_nested(&e.name)) {
            self.spelling = Spelling::Flat;
        }
        for entry in entries {
            self.take_entry(entry)?;
        }
        let warning = |(line, name): (Option<usize>, String)| {
            let spelling = if is_nested(&name) { Spelling::Nested } else { self.spelling };
            let hint = hint(&name, spelling);
            format!("{}: unknown key '{name}' is ignored{hint}", self.place(line))
        };
        Ok(unknown.into_iter().map(warning).collect())
    }

    /// Takes what `--set` says, over what the file says.
    pub fn assign(&mut self, assignment: &Assignment) -> Result<()> {
        let Assignment { key: name, value } = assignment;
        let entry_of = |key: &'static Key| Some((key, name.strip_prefix(key.name)?.strip_prefix('.')?));
        let (key, value) = if let Some(key) = keys::find(name) {
            (key, self.read(key, name, Node::text(value))?)
        } else if let Some((key, entry)) = KEYS.iter().filter(|key| key.kind.is_mapping()).find_map(entry_of) {
            let entry = Content::Mapping(vec![(entry.into(), Node::text(value))]);
            let added = self.read(key, name, Node { line: None, content: entry })?;
            (key, added.map(|added| merged(self.by_key.get(key.name).map(|before| &before.value), added)))
        } else {
            let spelling = if name.contains('.') { Spelling::Nested } else { Spelling::Flat };
            // A name like no key may be a misplaced value, perhaps a secret.
            let message = match hint(name, spelling) {
                hint if hint.is_empty() => "--set: found what is no key; keys and values come in pairs".into(),
                hint => format!("--set: unknown key '{name}'{hint}"),
            };
            return Err(Error::usage(message));
        };
        match value {
            Some(value) => self.by_key.insert(key.name, Setting { value, name: name.clone(), line: None }),
            None => self.by_key.remove(key.name),
        };
        Ok(())
    }

    /// What holds for the key of that nested name: what is given, else the default, else nothing.
    pub fn get<T: FromValue>(&self, name: &str) -> Option<T> {
        let given = self.by_key.get(name).map(|setting| setting.value.clone());
        let default = || {
            let key = keys::find(name)?;
            key.kind.read(&Node::text(key.default?)).ok()?
        };
        given.or_else(default).and_then(T::from_value)
    }

    /// Whether the key of that nested name is given.
    pub fn is_given(&self, name: &str) -> bool {
        self.by_key.contains_key(name)
    }

    /// The same of a key that must be given unless it has a default.
    pub fn need<T: FromValue>(&self, name: &str) -> Result<T> {
        self.get(name).ok_or_else(|| self.fault(name, "not given, and it has no default"))
    }

    /// An error about the key of that nested name, with the place where it is given.
    pub fn fault(&self, name: &str, message: &str) -> Error {
        Error::usage(self.told(name, message))
    }

    /// The same as a sentence.
    pub fn told(&self, name: &str, message: &str) -> String {
        let (place, name) = match self.by_key.get(name) {
            Some(setting) => (self.place(setting.line), setting.name.as_str()),
            None => {
                let spelled = keys::find(name).map_or(name, |key| key.spelled(self.spelling));
                (self.file.display().to_string(), spelled)
            }
        };
        format!("{place}: {name}: {message}")
    }

    /// Walks the sections of a file.
    fn collect(
        &self,
        section: &str,
        node: Node,
        entries: &mut Vec<Entry>,
        unknown: &mut Vec<(Option<usize>, String)>,
    ) -> Result<()> {
        let children = match node.content {
            Content::Mapping(children) => children,
            Content::Null => return Ok(()),
            _ => {
                let of = if section.is_empty() { String::new() } else { format!(" {section}:") };
                let message = "expected a mapping, one 'key: value' a line";
                return Err(Error::usage(format!("{}:{of} {message}", self.place(node.line))));
            }
        };
        for (child, node) in children {
            let name = if section.is_empty() { child } else { format!("{section}.{child}") };
            match keys::find(&name) {
                Some(key) => entries.push(Entry { key, name, node }),
                None if keys::is_section(&name) => self.collect(&name, node, entries, unknown)?,
                None => unknown.push((node.line, name)),
            }
        }
        Ok(())
    }

    fn take_entry(&mut self, Entry { key, name, node }: Entry) -> Result<()> {
        let line = node.line;
        let Some(value) = self.read(key, &name, node)? else { return Ok(()) };
        if let Some(other) = self.by_key.get(key.name).filter(|other| other.value != value) {
            let (here, there) = (self.place(line), self.place(other.line));
            let message =
                format!("{here}: {name}: says something else than {} ({there}); keep one of them", other.name);
            return Err(Error::usage(message));
        }
        self.by_key.insert(key.name, Setting { value, name, line });
        Ok(())
    }

    /// The value of the key that was given by that name.
    fn read(&self, key: &Key, name: &str, node: Node) -> Result<Option<Value>> {
        let node = expand(node, self.look_up)
            .map_err(|unset| Error::usage(format!("{}: {name}: {}", self.place(unset.line), unset.message)))?;
        let (kind, value) = if name == keys::VERBOSE {
            let level = |value| (value == Value::Switch(true)).then_some(Value::Level(Level::Debug));
            (Kind::Switch, Kind::Switch.read(&node).map(|value| value.and_then(level)))
        } else {
            (key.kind, key.kind.read(&node))
        };
        value.map_err(|Wrong { line, found }| {
            Error::usage(format!("{}: {name}: found {found}, expected {kind}", self.place(line)))
        })
    }

    fn place(&self, line: Option<usize>) -> String {
        line.map_or("--set".into(), |line| format!("{}:{line}", self.file.display()))
    }
}

fn hint(unknown: &str, spelling: Spelling) -> String {
    keys::meant(unknown, spelling).map_or(String::new(), |key| format!("; did you mean '{key}'?"))
}

/// The mapping before with what is added.
fn merged(before: Option<&Value>, added: Value) -> Value {
    match (before.cloned(), added) {
        (Some(Value::NamesByName(mut lists)), Value::NamesByName(more)) => {
            lists.extend(more);
            Value::NamesByName(lists)
        }
        (Some(Value::TextByName(mut texts)), Value::TextByName(more)) => {
            texts.extend(more);
            Value::TextByName(texts)
        }
        (Some(Value::Profile(Profile::Each(mut names))), Value::Profile(Profile::Each(more))) => {
            names.extend(more);
            Value::Profile(Profile::Each(names))
        }
        (_, added) => added,
    }
}
