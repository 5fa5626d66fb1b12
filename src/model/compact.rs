//! What documents say, as lines of text: a twentieth of the documents it is made from, readable, and read in a few
//! milliseconds.
//!
//! ```text
//! # A comment.
//! schema edFi_school edFi_otherOfTheSameMembers
//!  schoolId!# int64
//!  nameOfInstitution! string 1..75
//!  webSite? string 5..255
//!  charterStatusDescriptor? descriptor
//!  localEducationAgencyReference =edFi_localEducationAgencyReference
//!  gradeLevels! []=edFi_schoolGradeLevel
//! resource ed-fi/schools edFi_school
//!  get schoolId! charterStatusDescriptor
//!  load 5 Create Update
//! ```
//!
//! A property's name is followed by `!` if it is required, `?` if it may be null and `#` if it is marked as part of an identity;
//! `=` names a schema, `[]` makes a list. Kinds are `string`, `enum` (with its values as a JSON list), `descriptor` (a string of at
//! most 306 characters), `date`, `datetime`, `time`, `int32`, `int64`, `number`, `boolean` and `any`; limits follow as
//! `least..greatest`, either of which may be missing, a pattern after `~`. `resource` is
//! followed by its body's schema; `get` has the parameters of its GET (`!`: part of the natural key), `load` an entry of the
//! dependencies. `load ed-fi/schools 5 Create` at the beginning of a line is that of a resource that is not described.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Write};
use std::str::FromStr;

use serde_json::Value;

use super::schema::{DESCRIPTOR_LENGTH, Kind};
use super::source::{Dependency, Endpoint, Form, Member, Source, Turns};
use crate::edfi::key::own_reference;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::resource::Resource;

/// Reads the text. An error names the line.
pub fn read(text: &str) -> Result<(Source, Vec<Dependency>)> {
    let mut source = Source::default();
    let mut turns = Turns::default();
    let mut place = Place::Nowhere;
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        read_line(line, &mut place, &mut source, &mut turns).ok_or_else(|| {
            Error::new(Exit::Usage, format!("line {} of the model is not understood: {line}", number + 1))
        })?;
    }
    place.finish(&mut source);
    Ok((source, turns.sorted()))
}

/// What the indented lines belong to.
enum Place<'t> {
    Nowhere,
    Schema(Vec<&'t str>, Vec<Member>),
    Resource(Endpoint),
}

impl Place<'_> {
    fn finish(self, source: &mut Source) {
        match self {
            Place::Nowhere => {}
            Place::Schema(names, members) => {
                source.schemas.extend(names.into_iter().map(|name| (name.to_owned(), members.clone())));
            }
            Place::Resource(endpoint) => source.endpoints.push(endpoint),
        }
    }
}

fn read_line<'t>(line: &'t str, place: &mut Place<'t>, source: &mut Source, turns: &mut Turns) -> Option<()> {
    let (first, rest) = line.trim_start().split_once(' ')?;
    if !line.starts_with(' ') {
        let next = match first {
            "schema" => Place::Schema(rest.split(' ').collect(), Vec::new()),
            "resource" => {
                let (path, body) = rest.split_once(' ')?;
                let resource = Resource::from_path(path)?;
                Place::Resource(Endpoint { resource, body: body.to_owned(), parameters: Vec::new() })
            }
            "load" => {
                let (path, load) = rest.split_once(' ')?;
                read_load(&Resource::from_path(path)?, load, turns)?;
                Place::Nowhere
            }
            _ => return None,
        };
        std::mem::replace(place, next).finish(source);
        return Some(());
    }
    match (place, first) {
        (Place::Schema(_, members), name) => members.push(read_member(name, rest)?),
        (Place::Resource(endpoint), "get") => {
            let parameter = |word: &str| (word.trim_end_matches('!').to_owned(), word.ends_with('!'));
            endpoint.parameters = rest.split(' ').map(parameter).collect();
        }
        (Place::Resource(endpoint), "load") => read_load(&endpoint.resource, rest, turns)?,
        _ => return None,
    }
    Some(())
}

fn read_load(resource: &Resource, load: &str, turns: &mut Turns) -> Option<()> {
    let mut words = load.split(' ');
    let order = words.next()?.parse().ok()?;
    turns.add(resource, order, words);
    Some(())
}

fn read_member(name: &str, form: &str) -> Option<Member> {
    let (name, identity) = name.strip_suffix('#').map_or((name, false), |name| (name, true));
    let (name, nullable) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    Some(Member { name: name.to_owned(), required, nullable, identity, form: read_form(form)? })
}

/// No document has a list of lists of lists; a hostile text may have, to exhaust the stack.
const MOST_NESTED: &str = "[][][][][][][][]";

fn read_form(text: &str) -> Option<Form> {
    if text.starts_with(MOST_NESTED) {
        return None;
    }
    if let Some(items) = text.strip_prefix("[]") {
        return Some(Form::List(Box::new(read_form(items)?)));
    }
    if let Some(schema) = text.strip_prefix('=') {
        return Some(Form::Named(schema.to_owned()));
    }
    if let Some(values) = text.strip_prefix("enum ") {
        return Some(Form::Scalar(Kind::OneOf(serde_json::from_str(values).ok()?)));
    }
    let (text, pattern) = text.split_once(" ~").map_or((text, None), |(text, pattern)| (text, Some(pattern.into())));
    let (kind, limits) = text.split_once(' ').unwrap_or((text, ".."));
    Some(Form::Scalar(match kind {
        "string" => {
            let (min_length, max_length) = read_limits(limits)?;
            Kind::Text { min_length, max_length, pattern }
        }
        "descriptor" => Kind::Text { min_length: None, max_length: Some(DESCRIPTOR_LENGTH), pattern: None },
        "int32" | "int64" => {
            let (minimum, maximum) = read_limits(limits)?;
            Kind::Integer { bits: if kind == "int64" { 64 } else { 32 }, minimum, maximum }
        }
        "number" => {
            let (minimum, maximum) = read_limits(limits)?;
            Kind::Number { minimum, maximum }
        }
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "datetime" => Kind::DateTime,
        "time" => Kind::Time,
        "any" => Kind::Any,
        _ => return None,
    }))
}

fn read_limits<T: FromStr>(text: &str) -> Option<(Option<T>, Option<T>)> {
    fn limit<T: FromStr>(text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }
    let (least, greatest) = text.split_once("..")?;
    Some((limit(least)?, limit(greatest)?))
}

/// Writes the text that [`read`] makes the same of, but for schemas that no resource needs. `None` if a name or a pattern cannot be
/// told in such lines, as one with a blank in it.
pub fn write(source: &Source, dependencies: &[Dependency]) -> Option<String> {
    let needed = needed(source);
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, members) in &needed.schemas {
        alike.entry(Members(members).to_string()).or_default().push(name);
    }
    let mut text = String::new();
    for (members, names) in &alike {
        let _ = write!(text, "schema {}\n{members}", names.join(" "));
    }
    for endpoint in &needed.endpoints {
        let _ = writeln!(text, "resource {} {}", endpoint.resource, endpoint.body);
        if !endpoint.parameters.is_empty() {
            text.push_str(" get");
            for (name, identity) in &endpoint.parameters {
                let _ = write!(text, " {name}{}", if *identity { "!" } else { "" });
            }
            text.push('\n');
        }
        for dependency in dependencies.iter().filter(|dependency| dependency.resource == endpoint.resource) {
            write_loads(&mut text, " load", dependency);
        }
    }
    let described: BTreeSet<&Resource> = needed.endpoints.iter().map(|endpoint| &endpoint.resource).collect();
    for dependency in dependencies.iter().filter(|dependency| !described.contains(&dependency.resource)) {
        write_loads(&mut text, &format!("load {}", dependency.resource), dependency);
    }
    let (source, read) = read(&text).ok()?;
    (source == needed && read.len() == dependencies.len()).then_some(text)
}

/// The resources, and the schemas that they use. Descriptors need no parameters.
fn needed(source: &Source) -> Source {
    let mut needed = Source { schemas: BTreeMap::new(), endpoints: source.endpoints.clone() };
    needed.endpoints.iter_mut().filter(|e| e.resource.is_descriptor()).for_each(|e| e.parameters.clear());
    let mut names: Vec<&str> = source.endpoints.iter().map(|endpoint| endpoint.body.as_str()).collect();
    // References to a resource tell its natural key, also if nothing refers to it.
    names.extend(source.endpoints.iter().filter_map(|endpoint| own_reference(source, endpoint)));
    while let Some(name) = names.pop() {
        let Some(members) = source.schemas.get(name).filter(|_| !needed.schemas.contains_key(name)) else { continue };
        needed.schemas.insert(name.to_owned(), members.clone());
        names.extend(members.iter().filter_map(|member| named(&member.form)));
    }
    needed
}

fn named(form: &Form) -> Option<&str> {
    match form {
        Form::Scalar(_) => None,
        Form::Named(schema) => Some(schema),
        Form::List(items) => named(items),
    }
}

fn write_loads(text: &mut String, line: &str, dependency: &Dependency) {
    for (order, operations) in dependency.turns() {
        let _ = writeln!(text, "{line} {order} {}", operations.join(" "));
    }
}

/// The lines below `schema`.
struct Members<'m>(&'m [Member]);

impl Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|member| {
            let required = if member.required { "!" } else { "" };
            let nullable = if member.nullable { "?" } else { "" };
            let identity = if member.identity { "#" } else { "" };
            write!(f, " {}{required}{nullable}{identity} ", member.name)?;
            write_form(f, &member.form)?;
            f.write_char('\n')
        })
    }
}

fn write_form(f: &mut fmt::Formatter<'_>, form: &Form) -> fmt::Result {
    match form {
        Form::Named(schema) => write!(f, "={schema}"),
        Form::List(items) => {
            f.write_str("[]")?;
            write_form(f, items)
        }
        Form::Scalar(kind) => write_kind(f, kind),
    }
}

fn write_kind(f: &mut fmt::Formatter<'_>, kind: &Kind) -> fmt::Result {
    match kind {
        Kind::Text { min_length: None, max_length: Some(DESCRIPTOR_LENGTH), pattern: None } => {
            f.write_str("descriptor")
        }
        Kind::Text { min_length, max_length, pattern } => {
            write_limits(f, "string", min_length, max_length)?;
            pattern.iter().try_for_each(|pattern| write!(f, " ~{pattern}"))
        }
        Kind::OneOf(values) => write!(f, "enum {}", Value::from_iter(values.iter().map(|value| &**value))),
        Kind::Integer { bits, minimum, maximum } => write_limits(f, &format!("int{bits}"), minimum, maximum),
        Kind::Number { minimum, maximum } => write_limits(f, "number", minimum, maximum),
        Kind::Boolean => f.write_str("boolean"),
        Kind::Date => f.write_str("date"),
        Kind::DateTime => f.write_str("datetime"),
        Kind::Time => f.write_str("time"),
        // What is written has no resolved names yet, which the others hold.
        Kind::Any | Kind::Descriptor(_) | Kind::Object(_) | Kind::List(_) | Kind::Reference(_) => f.write_str("any"),
    }
}

fn write_limits<T: Display>(
    f: &mut fmt::Formatter<'_>,
    kind: &str,
    least: &Option<T>,
    most: &Option<T>,
) -> fmt::Result {
    f.write_str(kind)?;
    if least.is_none() && most.is_none() {
        return Ok(());
    }
    let limit = |limit: &Option<T>| limit.as_ref().map(T::to_string).unwrap_or_default();
    write!(f, " {}..{}", limit(least), limit(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
schema edFi_school edFi_twin
 schoolId!# int64 1..
 season enum [\"in spring\",\"fall\"]
 webSite? string 5..255 ~^h t+
 share number ..1.5
 termDescriptor!? descriptor
 names []string
 regionReference! =edFi_regionReference
 places []=edFi_place
schema edFi_regionReference
 regionId! int32
schema edFi_place
 at time
 anything any
resource ed-fi/schools edFi_school
 get schoolId! webSite
 load 3 Create
 load 7 Update
resource ed-fi/twins edFi_twin
 get schoolId!
load tx/nowhere 1 Create Update
";

    #[test]
    fn what_is_read_and_written_again_is_the_same() {
        let (source, dependencies) = read(TEXT).unwrap();
        let (again, dependencies_again) = read(&write(&source, &dependencies).unwrap()).unwrap();
        assert_eq!(again, source);
        assert_eq!(dependencies_again, dependencies);
        let orders: Vec<_> = dependencies.iter().map(|d| (d.resource.name(), d.create, d.update)).collect();
        assert_eq!(orders, [("nowhere", Some(1), Some(1)), ("schools", Some(3), Some(7))]);
        assert_eq!(source.schemas["edFi_twin"], source.schemas["edFi_school"]);
        assert_eq!(
            source.schemas["edFi_school"][2].form,
            Form::Scalar(Kind::Text { min_length: Some(5), max_length: Some(255), pattern: Some("^h t+".into()) })
        );
    }

    #[test]
    fn a_line_that_means_nothing_is_named() {
        for line in [
            "nonsense",
            "schema x\n a unheard",
            "schema x\n a int32 1",
            "resource schools x",
            " get a",
            "resource a/b c\n load x",
            "load schools 1 Create",
            "schema x\n a [][][][][][][][][]any",
        ] {
            let error = read(&format!("# first\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with("line "), "{error}");
        }
    }
    #[test]
    fn a_schema_that_no_resource_needs_is_left_out() {
        let (source, _) = read(&format!("schema edFi_link\n href string\n{TEXT}")).unwrap();
        assert_eq!(read(&write(&source, &[]).unwrap()).unwrap().0, read(TEXT).unwrap().0);
    }

    #[test]
    fn what_lines_cannot_tell_is_not_written() {
        let (source, dependencies) = read(TEXT).unwrap();
        for odd in ["two words", "odd!", "", "a\nschema b"] {
            let mut source = source.clone();
            source.schemas.entry("edFi_school".into()).and_modify(|members| members[3].name = odd.into());
            assert_eq!(write(&source, &dependencies), None, "{odd}");
        }
    }
}
