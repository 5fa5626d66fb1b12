//! A model and its dependencies as lines of text: a twentieth of the documents it is made from, readable, and read in
//! a few milliseconds.
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
//! dependencies.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::str::FromStr;

use serde_json::Value;

use super::order::Dependency;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::model::{DESCRIPTOR_LENGTH, Definition, Endpoint, Form, Kind, Member, Model, Schema, Source};
use crate::resource::Resource;

/// Reads the text. An error names the line.
pub fn read(text: &str) -> Result<(Source, Vec<Dependency>)> {
    let mut source = Source::default();
    let mut dependencies = Vec::new();
    let mut place = Place::Nowhere;
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        read_line(line, &mut place, &mut source, &mut dependencies).ok_or_else(|| {
            Error::new(Exit::Usage, format!("line {} of the model is not understood: {line}", number + 1))
        })?;
    }
    place.finish(&mut source);
    Ok((source, dependencies))
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

fn read_line<'t>(line: &'t str, place: &mut Place<'t>, source: &mut Source, loads: &mut Vec<Dependency>) -> Option<()> {
    let (first, rest) = line.trim_start().split_once(' ')?;
    if !line.starts_with(' ') {
        let next = match first {
            "schema" => Place::Schema(rest.split(' ').collect(), Vec::new()),
            "resource" => {
                let (path, body) = rest.split_once(' ')?;
                let resource = Resource::from_path(path)?;
                Place::Resource(Endpoint { resource, body: body.to_owned(), parameters: Vec::new() })
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
        (Place::Resource(endpoint), "load") => {
            let mut words = rest.split(' ');
            let order = words.next()?.parse().ok()?;
            let operations = words.map(str::to_owned).collect();
            loads.push(Dependency { resource: endpoint.resource.clone(), order, operations });
        }
        _ => return None,
    }
    Some(())
}

fn read_member(name: &str, form: &str) -> Option<Member> {
    let (name, identity) = name.strip_suffix('#').map_or((name, false), |name| (name, true));
    let (name, nullable) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    Some(Member { name: name.to_owned(), required, nullable, identity, form: read_form(form)? })
}

fn read_form(text: &str) -> Option<Form> {
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

/// Writes the text that [`read`] makes the same of.
pub fn write(model: &Model, dependencies: &[Dependency]) -> String {
    let schemas: BTreeMap<&str, &Schema> = model.definitions().iter().flat_map(Definition::schemas).collect();
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, schema) in schemas {
        alike.entry(Members(schema).to_string()).or_default().push(name);
    }
    let mut text = String::new();
    for (members, names) in &alike {
        let _ = write!(text, "schema {}\n{members}", names.join(" "));
    }
    for definition in model.definitions() {
        let _ = writeln!(text, "resource {} {}", definition.resource, definition.body.name);
        if !definition.resource.is_descriptor() {
            text.push_str(" get");
            for parameter in &definition.parameters {
                let _ = write!(text, " {}{}", parameter.name, if parameter.identity { "!" } else { "" });
            }
            text.push('\n');
        }
        for dependency in dependencies.iter().filter(|dependency| dependency.resource == definition.resource) {
            let _ = writeln!(text, " load {} {}", dependency.order, dependency.operations.join(" "));
        }
    }
    text
}

/// The lines below `schema`.
struct Members<'m>(&'m Schema);

impl Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.properties.iter().try_for_each(|property| {
            let required = if property.required { "!" } else { "" };
            let nullable = if property.nullable { "?" } else { "" };
            let identity = if property.identity { "#" } else { "" };
            write!(f, " {}{required}{nullable}{identity} ", property.name)?;
            write_kind(f, &property.kind)?;
            f.write_char('\n')
        })
    }
}

fn write_kind(f: &mut fmt::Formatter<'_>, kind: &Kind) -> fmt::Result {
    match kind {
        Kind::Text { min_length, max_length, pattern } => {
            write_limits(f, "string", min_length, max_length)?;
            pattern.iter().try_for_each(|pattern| write!(f, " ~{pattern}"))
        }
        Kind::OneOf(values) => write!(f, "enum {}", Value::from_iter(values.iter().map(|value| &**value))),
        Kind::Descriptor(_) => f.write_str("descriptor"),
        Kind::Integer { bits, minimum, maximum } => write_limits(f, &format!("int{bits}"), minimum, maximum),
        Kind::Number { minimum, maximum } => write_limits(f, "number", minimum, maximum),
        Kind::Boolean => f.write_str("boolean"),
        Kind::Date => f.write_str("date"),
        Kind::DateTime => f.write_str("datetime"),
        Kind::Time => f.write_str("time"),
        Kind::Any => f.write_str("any"),
        Kind::Object(schema) => write!(f, "={}", schema.name),
        Kind::Reference(reference) => write!(f, "={}", reference.schema.name),
        Kind::List(items) => {
            f.write_str("[]")?;
            write_kind(f, items)
        }
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
";

    #[test]
    fn what_is_read_and_written_again_is_the_same() {
        let (source, dependencies) = read(TEXT).unwrap();
        let model = Model::compile(&source).unwrap();
        let (again, dependencies_again) = read(&write(&model, &dependencies)).unwrap();
        assert_eq!(again, source);
        assert_eq!(dependencies_again, dependencies);
        assert_eq!(dependencies.len(), 2);
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
        ] {
            let error = read(&format!("# first\n{line}")).unwrap_err().to_string();
            assert!(error.starts_with("line "), "{error}");
        }
    }
}
