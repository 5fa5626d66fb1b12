//! Skeletons for earthmover, which makes payloads from tables: a template for each resource, and the `earthmover.yml` that uses them.
//!
//! A template names a column for each value, so that a table with these columns gives valid payloads as it stands. Members that share a
//! part of the natural key share a column, which is called as the API's query calls that part; every other column is called by its
//! path, joined by `_`. A list is a column of JSON text. Values go through `tojson`, so that a quote in a name breaks nothing.

use std::fmt::Write;

use fxhash::FxHashMap;

use crate::model::{Definition, Kind, Property, Schema};
use crate::resource::Resource;

/// The template of a resource's payloads.
pub fn template(definition: &Definition) -> String {
    let mut columns = FxHashMap::default();
    let mut key = Vec::new();
    for parameter in &definition.parameters {
        for path in &parameter.paths {
            let path = path.names().join("_");
            if parameter.identity {
                key.push(path.clone());
            }
            columns.insert(path, parameter.name.to_string());
        }
    }
    let scope = Scope { columns: &columns, key: &key, prefix: String::new(), item: None };
    let mut text = String::from("{#\n");
    let name = definition.resource.label();
    let _ = writeln!(text, "  An earthmover template for {name}, made by lightbeam create.");
    text.push_str("  Each {{ }} names a column. Delete what your data does not have.\n#}\n");
    object(&definition.body, &scope, 0, &mut text);
    text.push('\n');
    text
}

/// The file that makes payloads of `resources` from a table of each.
pub fn project<'r>(resources: impl Iterator<Item = &'r Resource> + Clone) -> String {
    let mut text = String::from(PROJECT);
    text.push_str("\nsources:\n");
    resources.clone().for_each(|resource| text.push_str(&source(resource)));
    text.push_str("\n# If the tables need work first, put it between sources and destinations:\n# transformations:\n");
    text.push_str("\ndestinations:\n");
    resources.for_each(|resource| text.push_str(&destination(resource)));
    text
}

/// Where the table of a resource comes from.
pub fn source(resource: &Resource) -> String {
    let (name, label) = (source_name(resource), resource.label());
    format!("  {name}:\n    file: ./sources/{label}.csv\n    header_rows: 1\n")
}

/// What becomes of it.
pub fn destination(resource: &Resource) -> String {
    let (name, label) = (source_name(resource), resource.label());
    format!(
        "  {label}:\n    source: $sources.{name}\n    template: ./templates/{label}.jsont\n    extension: jsonl\n    linearize: True\n"
    )
}

/// By what earthmover refers to the table. A destination's name is that of its file, but this one must be a word.
fn source_name(resource: &Resource) -> String {
    resource.label().replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

const PROJECT: &str = r#"version: 2

# An earthmover project that makes JSON payloads for an Ed-Fi API, made by lightbeam create.
# See https://github.com/edanalytics/earthmover for what can be said here.

config:
  output_dir: ./output
  # The namespace of descriptors whose columns hold nothing but code values.
  macros: >
    {% macro descriptor_namespace() -%}
      uri://ed-fi.org
    {%- endmacro %}
"#;

/// How the values of an object are called.
struct Scope<'a> {
    /// The columns of values that are called by a part of the natural key, by path.
    columns: &'a FxHashMap<String, String>,
    /// The paths of the natural key.
    key: &'a [String],
    /// The path of the object, with `_` at its end; empty at the top.
    prefix: String,
    /// The variable that holds the item of a list, within one.
    item: Option<String>,
}

impl Scope<'_> {
    fn path(&self, property: &Property) -> String {
        format!("{}{}", self.prefix, property.name)
    }

    /// The expression for the value of a property.
    fn value(&self, property: &Property) -> String {
        let path = self.path(property);
        match &self.item {
            Some(item) => format!("{item}.{}", property.name),
            None => self.columns.get(&path).cloned().unwrap_or(path),
        }
    }

    /// The scope of an object within.
    fn within(&self, property: &Property) -> Scope<'_> {
        let item = self.item.as_ref().map(|item| format!("{item}.{}", property.name));
        Scope { prefix: format!("{}_", self.path(property)), item, ..*self }
    }
}

fn object(schema: &Schema, scope: &Scope, depth: usize, text: &mut String) {
    let (inner, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    let (required, optional): (Vec<_>, Vec<_>) = schema.properties.iter().partition(|property| property.required);
    text.push('{');
    // Commas go between members that are there: behind required ones always, elsewhere as it turns out.
    let comma = match required.is_empty() {
        true => {
            let _ = write!(text, " {{% set comma{depth} = joiner(\",\") %}}");
            format!("{{{{ comma{depth}() }}}}")
        }
        false => ",".to_string(),
    };
    for (number, property) in required.iter().enumerate() {
        let separator = if number == 0 { "" } else { "," };
        let note =
            if scope.item.is_none() && scope.key.contains(&scope.path(property)) { "natural key" } else { "required" };
        let _ = write!(text, "{separator}\n{inner}{{# {note} #}} ");
        member(property, scope, depth, text);
    }
    for property in optional {
        let _ = write!(text, "\n{inner}{{% if {} %}}{comma} ", given(property, scope));
        member(property, scope, depth, text);
        text.push_str(" {% endif %}");
    }
    let _ = write!(text, "\n{outer}}}");
}

/// The condition under which an optional property is written.
fn given(property: &Property, scope: &Scope) -> String {
    match &property.kind {
        Kind::Object(schema) => enough_of(schema, &scope.within(property)),
        Kind::Reference(reference) => enough_of(&reference.schema, &scope.within(property)),
        // Zero and false are values too.
        _ => format!("{} | string", scope.value(property)),
    }
}

/// The condition under which an optional object is written: that all that it requires is given, or where it requires nothing, anything.
fn enough_of(schema: &Schema, scope: &Scope) -> String {
    let conditions = |required: bool| {
        let telling = schema.properties.iter().filter(move |property| property.required == required);
        telling.map(|property| given(property, scope)).collect::<Vec<_>>()
    };
    let needed = conditions(true);
    let enough = if needed.is_empty() { conditions(false).join(" or ") } else { needed.join(" and ") };
    match &scope.item {
        Some(item) => format!("{item} and ({enough})"),
        None => format!("({enough})"),
    }
}

fn member(property: &Property, scope: &Scope, depth: usize, text: &mut String) {
    let _ = write!(text, "\"{}\": ", property.name);
    match &property.kind {
        Kind::Object(schema) => object(schema, &scope.within(property), depth + 1, text),
        Kind::Reference(reference) => object(&reference.schema, &scope.within(property), depth + 1, text),
        Kind::List(items) => list(&property.name, items, scope, &scope.value(property), depth, text),
        kind => scalar(kind, &property.name, &scope.value(property), text),
    }
}

fn list(name: &str, items: &Kind, scope: &Scope, value: &str, depth: usize, text: &mut String) {
    let item = format!("item{depth}");
    // At the top it is a column's text, within an item it was read with that.
    let all = match scope.item {
        Some(_) => format!("{value} or []"),
        None => format!("fromjson({value} or \"[]\")"),
    };
    let _ = write!(text, "[ {{% for {item} in {all} %}} ");
    let within = Scope { prefix: String::new(), item: Some(item.clone()), ..*scope };
    match items {
        Kind::Object(schema) => object(schema, &within, depth + 1, text),
        Kind::Reference(reference) => object(&reference.schema, &within, depth + 1, text),
        Kind::List(inner) => list(name, inner, &within, &item, depth + 1, text),
        kind => scalar(kind, name, &item, text),
    }
    text.push_str("{{ \",\" if not loop.last }} {% endfor %} ]");
}

fn scalar(kind: &Kind, name: &str, value: &str, text: &mut String) {
    let _ = match kind {
        Kind::Integer { .. } | Kind::Number { .. } => write!(text, "{{{{ {value} }}}}"),
        Kind::Boolean => write!(text, "{{{{ {value} | string | lower }}}}"),
        Kind::Descriptor(resource) => {
            let kind = resource.as_ref().map_or(name, |resource| resource.name().trim_end_matches('s'));
            let mut letters = kind.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().collect::<String>();
            let kind = first + letters.as_str();
            write!(text, "{{{{ (descriptor_namespace() ~ \"/{kind}#\" ~ {value}) | tojson }}}}")
        }
        _ => write!(text, "{{{{ {value} | tojson }}}}"),
    };
}
