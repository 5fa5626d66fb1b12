//! From what the model says of a resource to what the reading of a payload needs at hand.

use std::sync::Arc;

use fxhash::FxHashMap;
use regex_lite::Regex;

use crate::edfi::key::{Keys, NaturalKey, in_lists};
use crate::edfi::tolerance::Tolerance;
use crate::model::{Definition, Kind, Reference, Schema};
use crate::resource::Resource;

/// Checks payloads of one resource.
pub struct Checker {
    pub(super) body: Form,
    /// How the API departs from its documents.
    pub(super) tolerance: Tolerance,
    /// Those with several places, and those of the natural key.
    pub(super) parameters: Vec<Parameter>,
    /// The natural key; `None` if it is not known.
    pub(super) key: Option<NaturalKey>,
    /// The parts of the natural key by position in `parameters`.
    pub(super) parts: Vec<usize>,
    /// The paths of the places of all parameters.
    pub(super) paths: Vec<String>,
    /// What its payloads hold that cannot be checked, in words.
    pub(super) unchecked: Vec<String>,
}

/// What members share that must be equal.
pub(super) struct Parameter {
    pub name: Arc<str>,
    /// The numbers of its places, in the order of its paths.
    pub places: Vec<usize>,
}

/// An object.
pub(super) struct Object {
    pub members: Vec<Member>,
    pub by_name: FxHashMap<Box<str>, usize>,
    /// The members that tell it from other items of a list; empty if that is not known.
    pub identity: Vec<usize>,
    /// Whether the document does not list its members, so that it may have any.
    pub is_open: bool,
}

/// A member of an object.
pub(super) struct Member {
    pub name: Arc<str>,
    pub required: bool,
    pub form: Form,
    pub keeping: Keeping,
    /// Where the value is noted as a parameter's: for a scalar at most one place, with 0; for a reference places of its members, by
    /// their positions.
    pub places: Vec<(usize, At)>,
}

/// What a value is noted as.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// A parameter's, at the place of this number.
    Place(usize),
    /// One in an item of a list that must equal this part of the natural key.
    InList(usize),
}

/// Whether a scalar is needed after it was checked.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keeping {
    No,
    AsWritten,
    /// Casing does not count.
    Folded,
}

/// What a value has to be.
pub(super) enum Form {
    Text { least: usize, most: usize, pattern: Option<Pattern> },
    OneOf(Vec<Box<str>>),
    Descriptor(Option<Entity>),
    Integer { bits: u8, least: i64, most: i64 },
    Number { least: f64, most: f64 },
    Boolean,
    Date,
    DateTime,
    Time,
    Any,
    Object(Arc<Object>),
    List(Box<Form>),
    Reference(Arc<Refers>),
}

/// What a string must match.
pub(super) enum Pattern {
    /// An expression.
    Expression(Regex),
    /// No blank at either end, and one line only: what the Data Management Service asks with an expression that looks around.
    Trimmed,
}

/// A descriptor and what URIs call it, such as `TermDescriptor`.
pub(super) struct Entity {
    pub resource: Resource,
    pub name: Box<str>,
}

/// What a reference refers to.
pub struct Refers {
    /// As messages name it, such as `School`.
    pub entity: String,
    /// Any of these. Never empty where a mention is noted.
    pub targets: Vec<Resource>,
    pub(super) object: Arc<Object>,
    /// The members of the key, in the order of the targets' parameters' names.
    pub(super) members: Vec<usize>,
}

impl std::fmt::Debug for Refers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {:?}", self.entity, self.targets)
    }
}

impl Refers {
    /// The names of the members that are the key, in the order in which [`Checker::key_names`] names its targets' parts.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|&member| &*self.object.members[member].name)
    }
}

impl Checker {
    /// Whether its natural key is known. Else no payload has one in its notes.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The names of the parts of its natural key, in the order in which [`Refers::members`] names those of a reference.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().flat_map(NaturalKey::names)
    }

    /// The key of an item, from its parts as text; `None` if `part` does not know one of them by its name, or the key is not known.
    pub fn key<T: AsRef<str>>(&self, part: impl Fn(&str) -> Option<T>) -> Option<Keys> {
        self.key.as_ref()?.of_parts(part)
    }

    /// What its payloads hold that cannot be checked, in words.
    pub fn unchecked(&self) -> &[String] {
        &self.unchecked
    }
}

/// Compiles what several resources share once. Schemas are told apart by their addresses, which hold as long as the model.
pub(super) struct Compiler {
    tolerance: Tolerance,
    objects: FxHashMap<*const Schema, Arc<Object>>,
    references: FxHashMap<*const Reference, Arc<Refers>>,
}

impl Compiler {
    pub fn new(tolerance: Tolerance) -> Compiler {
        Compiler { tolerance, objects: FxHashMap::default(), references: FxHashMap::default() }
    }

    pub fn checker(&mut self, definition: &Definition) -> Checker {
        let mut body = self.new_object(&definition.body, |_| Keeping::No);
        let mut checker = Checker {
            body: Form::Any,
            tolerance: self.tolerance,
            parameters: Vec::new(),
            key: definition.natural.clone().ok(),
            parts: Vec::new(),
            paths: Vec::new(),
            unchecked: unchecked(definition),
        };
        for parameter in definition.parameters.iter().filter(|p| p.identity || p.paths.len() > 1) {
            let mut places = Vec::new();
            for path in &parameter.paths {
                let place = checker.paths.len();
                checker.paths.push(path.to_string());
                places.push(place);
                let mut names = path.names().iter();
                let (Some(first), second) = (names.next(), names.next()) else { continue };
                let Some(member) = body.by_name.get(&**first).map(|&at| &mut body.members[at]) else { continue };
                let within = match (&member.form, second) {
                    (Form::Reference(refers), Some(name)) => refers.object.by_name.get(&**name).copied(),
                    (_, None) => Some(0),
                    _ => None,
                };
                let Some(within) = within else { continue };
                if second.is_none() {
                    let is_folded = definition.resource.is_descriptor() || matches!(member.form, Form::Descriptor(_));
                    member.keeping = if is_folded { Keeping::Folded } else { Keeping::AsWritten };
                }
                member.places.push((within, At::Place(place)));
            }
            checker.parameters.push(Parameter { name: parameter.name.clone(), places });
        }
        if let Some(key) = &checker.key {
            let position = |name: &str| checker.parameters.iter().position(|parameter| *parameter.name == *name);
            checker.parts = key.names().filter_map(position).collect();
            self.unify_in_lists(definition, key, &mut body);
        }
        checker.body = Form::Object(Arc::new(body));
        checker
    }

    /// Lets values in the items of lists be noted that must equal parts of the key.
    fn unify_in_lists(&mut self, definition: &Definition, key: &NaturalKey, body: &mut Object) {
        for unified in in_lists(&definition.resource, &definition.body, key) {
            let Some(&list) = body.by_name.get(&*unified.list) else { continue };
            let schema = definition.body.properties[list].kind.schema();
            let Form::List(items) = &mut body.members[list].form else { continue };
            let (Form::Object(item), Some(schema)) = (&mut **items, schema) else { continue };
            // An object that several resources share notes nothing for one of them.
            if Arc::get_mut(item).is_none() {
                let mut own = self.new_object(schema, |_| Keeping::No);
                own.identity = identity(schema);
                own.identity.clone().iter().for_each(|&at| own.members[at].keeping = keeping(&own.members[at].form));
                *item = Arc::new(own);
            }
            let Some(item) = Arc::get_mut(item) else { continue };
            let Some(&reference) = item.by_name.get(&*unified.reference) else { continue };
            let Form::Reference(refers) = &item.members[reference].form else { continue };
            let within = refers.object.by_name.get(&*unified.member).copied();
            item.members[reference].places.extend(within.map(|within| (within, At::InList(unified.part))));
        }
    }

    fn object(&mut self, schema: &Arc<Schema>) -> Arc<Object> {
        let at = Arc::as_ptr(schema);
        if let Some(object) = self.objects.get(&at) {
            return object.clone();
        }
        let mut object = self.new_object(schema, |_| Keeping::No);
        object.identity = identity(schema);
        for &member in &object.identity {
            object.members[member].keeping = keeping(&object.members[member].form);
        }
        let object = Arc::new(object);
        self.objects.insert(at, object.clone());
        object
    }

    fn new_object(&mut self, schema: &Schema, keeping: impl Fn(&Form) -> Keeping) -> Object {
        let mut members = Vec::with_capacity(schema.properties.len());
        for property in &schema.properties {
            let form = self.form(&property.kind);
            members.push(Member {
                name: property.name.clone(),
                required: property.required,
                keeping: keeping(&form),
                form,
                places: Vec::new(),
            });
        }
        let by_name = members.iter().enumerate().map(|(position, member)| ((&*member.name).into(), position)).collect();
        Object { members, by_name, identity: Vec::new(), is_open: schema.is_open }
    }

    fn form(&mut self, kind: &Kind) -> Form {
        match kind {
            Kind::Text { min_length, max_length, pattern } => Form::Text {
                least: min_length.map_or(0, |length| length as usize),
                most: max_length.map_or(usize::MAX, |length| length as usize),
                // One that is not understood, such as one that looks ahead, is left to the API.
                pattern: match pattern {
                    Some(pattern) => Pattern::new(pattern),
                    None => self.tolerance.refuses_outer_blanks.then_some(Pattern::Trimmed),
                },
            },
            Kind::OneOf(values) => Form::OneOf(values.clone()),
            Kind::Descriptor(resource) => Form::Descriptor(resource.clone().map(Entity::new)),
            Kind::Integer { bits, minimum, maximum } => {
                Form::Integer { bits: *bits, least: minimum.unwrap_or(i64::MIN), most: maximum.unwrap_or(i64::MAX) }
            }
            Kind::Number { minimum, maximum } => {
                Form::Number { least: minimum.unwrap_or(f64::NEG_INFINITY), most: maximum.unwrap_or(f64::INFINITY) }
            }
            Kind::Boolean => Form::Boolean,
            Kind::Date => Form::Date,
            Kind::DateTime => Form::DateTime,
            Kind::Time => Form::Time,
            Kind::Any => Form::Any,
            Kind::Object(schema) => Form::Object(self.object(schema)),
            Kind::List(items) => Form::List(Box::new(self.form(items))),
            Kind::Reference(reference) => Form::Reference(self.reference(reference)),
        }
    }

    fn reference(&mut self, reference: &Arc<Reference>) -> Arc<Refers> {
        let at = Arc::as_ptr(reference);
        if let Some(refers) = self.references.get(&at) {
            return refers.clone();
        }
        let schema = &reference.schema;
        let object = Arc::new(self.new_object(schema, keeping));
        // Targets have their parts' names from the reference, or one part only: see `edfi::key`.
        let mut members = match reference.targets.first() {
            Some(target) => target.members.clone(),
            None => (0..schema.properties.len()).collect(),
        };
        members.sort_by(|&a, &b| schema.properties[a].name.cmp(&schema.properties[b].name));
        let targets = reference.targets.iter().map(|target| target.resource.clone()).collect();
        let refers = Arc::new(Refers { entity: schema.entity(), targets, object, members });
        self.references.insert(at, refers.clone());
        refers
    }
}

impl Pattern {
    /// `None` if it cannot be checked.
    fn new(pattern: &str) -> Option<Pattern> {
        match pattern {
            TRIMMED => Some(Pattern::Trimmed),
            pattern => Regex::new(pattern).ok().map(Pattern::Expression),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Expression(expression) => expression.is_match(text),
            Pattern::Trimmed => {
                !text.starts_with(char::is_whitespace)
                    && !text.ends_with(char::is_whitespace)
                    && !text.contains(['\n', '\r', '\u{2028}', '\u{2029}'])
            }
        }
    }
}

/// How the Data Management Service asks for text without a blank at either end.
const TRIMMED: &str = r"^(?!\s).*(?<!\s)$";

/// What a resource's payloads hold that cannot be checked.
fn unchecked(definition: &Definition) -> Vec<String> {
    fn patterns<'k>(kind: &'k Kind, name: &'k str, found: &mut Vec<(&'k str, &'k str)>) {
        match kind {
            Kind::Text { pattern: Some(pattern), .. } if Pattern::new(pattern).is_none() => {
                found.push((name, pattern));
            }
            Kind::List(items) => patterns(items, name, found),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let schemas = definition.schemas();
    let properties = schemas.values().flat_map(|schema| &schema.properties);
    properties.for_each(|property| patterns(&property.kind, &property.name, &mut found));
    found.sort_unstable();
    found.dedup();
    let resource = definition.resource.name();
    let sentence = |(name, pattern): (&str, &str)| {
        format!("the pattern {pattern} of {name} in {resource} cannot be checked, because it is not understood")
    };
    found.into_iter().map(sentence).collect()
}

impl Entity {
    fn new(resource: Resource) -> Entity {
        let name = resource.name().trim_end_matches('s');
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        Entity { name: first.into_iter().chain(letters).collect::<String>().into(), resource }
    }
}

fn keeping(form: &Form) -> Keeping {
    match form {
        Form::Descriptor(_) => Keeping::Folded,
        _ => Keeping::AsWritten,
    }
}

/// The members that tell an item of this schema from others: see [`super`].
fn identity(schema: &Schema) -> Vec<usize> {
    let those = |wanted: &dyn Fn(&crate::model::Property) -> bool| -> Vec<usize> {
        let all = schema.properties.iter().enumerate();
        all.filter(|(_, property)| wanted(property)).map(|(position, _)| position).collect()
    };
    let is_reference = |kind: &Kind| matches!(kind, Kind::Reference(_));
    let is_nested = |kind: &Kind| matches!(kind, Kind::Object(_) | Kind::List(_) | Kind::Any);
    let marked = those(&|property| match property.identity {
        true => !is_nested(&property.kind),
        false => property.required && is_reference(&property.kind),
    });
    match marked.is_empty() && !schema.properties.iter().any(|property| is_nested(&property.kind)) {
        true => those(&|_| true),
        false => marked,
    }
}
