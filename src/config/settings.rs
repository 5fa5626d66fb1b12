//! What a file and `--set` say, as typed values by key: names resolved, `${NAME}` replaced, types checked, the two
//! spellings of a key held against each other.

use std::collections::BTreeMap;
use std::path::Path;

use super::expand::{Trouble, expand};
use super::faults::{Fault, Faults};
use super::keys::{self, KEYS, Key, Spelling};
use super::kinds::{FromValue, Kind, Value, Wrong};
use super::yaml::{Content, Node};
use super::{Assignment, Level, Profile};

/// Everything that is given, by the nested name of its key.
pub struct Settings<'a> {
    file: &'a Path,
    look_up: &'a dyn Fn(&str) -> Option<String>,
    spelling: Spelling,
    by_key: BTreeMap<&'static str, Setting>,
    /// Keys whose value has a `${NAME}` that stands for nothing, each with a sentence about it.
    unset: BTreeMap<&'static str, Gap>,
    /// What is wrong, as far as it was read.
    pub faults: Faults,
    /// What is to be said besides, each with its place.
    pub warnings: Vec<String>,
}

/// A key that is not given, although the file names it.
struct Gap {
    line: Option<usize>,
    told: String,
}

struct Setting {
    value: Value,
    /// The name it was given by.
    name: String,
    line: Option<usize>,
}

impl Gap {
    /// What is wrong where the key is needed.
    fn fault(&self, key: &'static str) -> Fault {
        Fault::at(self.line, key, format!("{}; set it there", self.told))
    }
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
        let (spelling, by_key, unset) = (Spelling::Nested, BTreeMap::new(), BTreeMap::new());
        Settings { file, look_up, spelling, by_key, unset, faults: Faults::default(), warnings: Vec::new() }
    }

    /// Takes what a file says.
    pub fn read_file(&mut self, root: Node) {
        let (mut entries, mut unknown) = (Vec::new(), Vec::new());
        self.collect("", root, &mut entries, &mut unknown);
        let is_nested = |name: &str| name.contains('.');
        let has_flat = entries.iter().any(|e| e.key.flat == Some(e.name.as_str()));
        if has_flat && !entries.iter().any(|e| is_nested(&e.name)) {
            self.spelling = Spelling::Flat;
        }
        for entry in entries {
            self.take_entry(entry);
        }
        for (line, name) in unknown {
            let spelling = if is_nested(&name) { Spelling::Nested } else { self.spelling };
            let hint = hint(&name, spelling);
            self.warnings.push(format!("{}: unknown key '{name}' is ignored{hint}", self.place(line)));
        }
    }

    /// Takes what `--set` says, over what the file says.
    pub fn assign(&mut self, assignment: &Assignment) {
        let Assignment { key: name, value } = assignment;
        let entry_of = |key: &'static Key| Some((key, name.strip_prefix(key.name)?.strip_prefix('.')?));
        if let Some(key) = keys::find(name) {
            // It takes the place of what the file says, also of a name there that stands for nothing.
            self.unset.remove(key.name);
            self.faults.forget(key.name);
            match self.read(key, name, Node::text(value)) {
                Some(value) => self.by_key.insert(key.name, Setting { value, name: name.clone(), line: None }),
                None => self.by_key.remove(key.name),
            };
        } else if let Some((key, entry)) = KEYS.iter().filter(|key| key.kind.is_mapping()).find_map(entry_of) {
            let entry = Content::Mapping(vec![(entry.into(), Node::text(value))]);
            if let Some(added) = self.read(key, name, Node { line: None, content: entry }) {
                let value = merged(self.by_key.get(key.name).map(|before| &before.value), added);
                self.by_key.insert(key.name, Setting { value, name: name.clone(), line: None });
            }
        } else {
            let spelling = if name.contains('.') { Spelling::Nested } else { Spelling::Flat };
            // A name like no key may be a misplaced value, perhaps a secret.
            self.warnings.push(match hint(name, spelling) {
                hint if hint.is_empty() => {
                    "--set: what is not a key is ignored, with the value after it; keys and values come in pairs".into()
                }
                hint => format!("--set: unknown key '{name}' is ignored{hint}"),
            });
        }
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
    pub fn need<T: FromValue>(&self, name: &'static str) -> Result<T, Fault> {
        self.get(name).ok_or_else(|| match self.unset.get(name) {
            Some(gap) => gap.fault(name),
            None => self.fault(name, "not given, and it has no default"),
        })
    }

    /// The same of a key that is needed whether it has a default or not: a name that stands for nothing is not that.
    pub fn need_if_named<T: FromValue>(&self, name: &'static str) -> Result<T, Fault> {
        match self.unset.get(name) {
            Some(gap) => Err(gap.fault(name)),
            None => self.need(name),
        }
    }

    /// What is given for a key, if anything is; a name that stands for nothing is not that.
    pub fn get_if_named<T: FromValue>(&self, name: &'static str) -> Result<Option<T>, Fault> {
        match self.unset.get(name) {
            Some(gap) => Err(gap.fault(name)),
            None => Ok(self.get(name)),
        }
    }

    /// What to say of a key whose value has a name that stands for nothing, if it is one.
    pub fn why_unset(&self, name: &str) -> Option<&str> {
        self.unset.get(name).map(|gap| gap.told.as_str())
    }

    /// Warnings about the keys whose values have names that stand for nothing, but for those in `needed`.
    pub fn warnings_of_unset(&self, needed: &[&str]) -> Vec<String> {
        let warning = |(name, gap): (&&'static str, &Gap)| {
            let default = keys::find(name).and_then(|key| key.default);
            let instead = default.map_or("counts as not given".into(), |default| format!("is {default}, the default"));
            format!("{}; so the key {instead}", gap.told)
        };
        self.unset.iter().filter(|(name, _)| !needed.contains(name)).map(warning).collect()
    }

    /// What is wrong about the key of that nested name, with the place where it is given.
    pub fn fault(&self, name: &'static str, message: &str) -> Fault {
        let line = self.by_key.get(name).and_then(|setting| setting.line);
        Fault::at(line, name, self.told(name, message))
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
        &mut self,
        section: &str,
        node: Node,
        entries: &mut Vec<Entry>,
        unknown: &mut Vec<(Option<usize>, String)>,
    ) {
        let children = match node.content {
            Content::Mapping(children) => children,
            Content::Null => return,
            _ => {
                let of = if section.is_empty() { String::new() } else { format!(" {section}:") };
                let message = "expected a mapping, one 'key: value' a line";
                let text = format!("{}:{of} {message}", self.place(node.line));
                return self.faults.add(Fault { line: node.line, key: None, text });
            }
        };
        for (child, node) in children {
            let name = if section.is_empty() { child } else { format!("{section}.{child}") };
            match keys::find(&name) {
                Some(key) => entries.push(Entry { key, name, node }),
                None if keys::is_section(&name) => self.collect(&name, node, entries, unknown),
                None => unknown.push((node.line, name)),
            }
        }
    }

    fn take_entry(&mut self, Entry { key, name, node }: Entry) {
        let line = node.line;
        let Some(value) = self.read(key, &name, node) else { return };
        if let Some(other) = self.by_key.get(key.name).filter(|other| other.value != value) {
            let (here, there) = (self.place(line), self.place(other.line));
            let text = format!("{here}: {name}: says something else than {} ({there}); keep one of them", other.name);
            return self.faults.add(Fault::at(line, key.name, text));
        }
        self.by_key.insert(key.name, Setting { value, name, line });
    }

    /// The value of the key that was given by that name. What is wrong with it is noted.
    fn read(&mut self, key: &'static Key, name: &str, node: Node) -> Option<Value> {
        let line = node.line;
        let node = match expand(node, self.look_up) {
            Ok(node) => node,
            Err(Trouble::Unset { line, name: variable, is_empty }) => {
                let how = if is_empty { "is empty" } else { "is set neither by --params nor in the environment" };
                let told = format!("{}: {name}: ${{{variable}}} {how}", self.place(line));
                self.unset.insert(key.name, Gap { line, told });
                return None;
            }
            Err(Trouble::Malformed { line, message }) => {
                let text = format!("{}: {name}: {message}", self.place(line));
                self.faults.add(Fault::at(line, key.name, text));
                return None;
            }
        };
        let (kind, value) = if name == keys::VERBOSE {
            let level = |value| (value == Value::Switch(true)).then_some(Value::Level(Level::Debug));
            (Kind::Switch, Kind::Switch.read(&node).map(|value| value.and_then(level)))
        } else {
            (key.kind, key.kind.read(&node))
        };
        if kind == Kind::Path && line.is_some() {
            self.warnings.extend(self.dollar(name, &node));
        }
        match value {
            Ok(value) => value,
            Err(Wrong { line, found }) => {
                let text = format!("{}: {name}: found {found}, expected {kind}", self.place(line));
                self.faults.add(Fault::at(line, key.name, text));
                None
            }
        }
    }

    /// A warning about a `$NAME` in a path: a shell would replace it, and somebody may expect that.
    fn dollar(&self, name: &str, node: &Node) -> Option<String> {
        let Content::Text(text) = &node.content else { return None };
        let written = text.template.as_ref().unwrap_or(&text.value);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let variable = written.split('$').skip(1).find_map(|rest| {
            let variable = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
            (!variable.is_empty()).then_some(variable)
        })?;
        let place = self.place(node.line);
        Some(format!("{place}: {name}: ${variable} stays as it is; write ${{{variable}}} for what it stands for"))
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
