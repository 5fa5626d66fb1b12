//! From what the model says of a resource to what the reading of a payload needs at hand.

use std::sync::Arc;

use fxhash::FxHashMap;
use regex_lite::Regex;

use super::Key;
use crate::model::{Definition, Kind, Reference, Schema};
use crate::resource::Resource;

/// Checks payloads of one resource.
pub struct Checker {
    pub(super) body: Form,
    /// Those with several places, and those of the natural key.
    pub(super) parameters: Vec<Parameter>,
    /// The parts of the natural key by position in `parameters`, in the order of their names. Empty if the documents do not tell where
    /// each of them is.
    pub(super) key: Vec<usize>,
    /// The paths of the places of all parameters.
    pub(super) paths: Vec<String>,
}

/// What members share that must be equal.
pub(super) struct Parameter {
    pub name: Arc<str>,
    pub places: Vec<usize>,
    folded: bool,
}

/// An object.
pub(super) struct Object {
    pub members: Vec<Member>,
    pub by_name: FxHashMap<Box<str>, usize>,
    /// The members that tell it from other items of a list; empty if that is not known.
    pub identity: Vec<usize>,
}

/// A member of an object.
pub(super) struct Member {
    pub name: Arc<str>,
    pub required: bool,
    pub form: Form,
    pub keeping: Keeping,
    /// Where the value is noted as a parameter's: for a scalar at most one place, with 0; for a reference places of its members, by
    /// their positions.
    pub places: Vec<(usize, usize)>,
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
    Text { least: usize, most: usize, pattern: Option<Regex> },
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
    /// Whether the documents tell its natural key. Else no payload has one in its notes.
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// The names of the parts of its natural key, in the order in which [`Refers::members`] names those of a reference.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|&number| &*self.parameters[number].name)
    }

    /// The key of an item, from its parts as text; `None` if `part` does not know one of them by its name, or there is no key.
    pub fn key<T: AsRef<str>>(&self, part: impl Fn(&str) -> Option<T>) -> Option<Key> {
        let canonical = |&number: &usize| {
            let parameter: &Parameter = &self.parameters[number];
            let text = part(&parameter.name)?;
            Some(if parameter.folded { text.as_ref().to_lowercase() } else { text.as_ref().to_owned() })
        };
        let parts: Vec<String> = self.key.iter().map(canonical).collect::<Option<_>>()?;
        self.has_key().then(|| Key::of(parts.iter().map(String::as_bytes)))
    }
}

/// Compiles what several resources share once. Schemas are told apart by their addresses, which hold as long as the model.
#[derive(Default)]
pub(super) struct Compiler {
    objects: FxHashMap<*const Schema, Arc<Object>>,
    references: FxHashMap<*const Reference, Arc<Refers>>,
}

impl Compiler {
    pub fn checker(&mut self, definition: &Definition) -> Checker {
        let mut body = self.new_object(&definition.body, |_| Keeping::No);
        let mut checker = Checker { body: Form::Any, parameters: Vec::new(), key: Vec::new(), paths: Vec::new() };
        for parameter in definition.parameters.iter().filter(|p| p.identity || p.paths.len() > 1) {
            let mut folded = definition.resource.is_descriptor();
            let mut places = Vec::new();
            for path in &parameter.paths {
                let place = checker.paths.len();
                let mut names = path.names().iter();
                let (Some(first), second) = (names.next(), names.next()) else { continue };
                let Some(member) = body.by_name.get(&**first).map(|&at| &mut body.members[at]) else { continue };
                let within = match (&member.form, second) {
                    (Form::Reference(refers), Some(name)) => refers.object.by_name.get(&**name).copied(),
                    (_, None) => Some(0),
                    _ => None,
                };
                let Some(within) = within else { continue };
                folded |= second.is_none() && matches!(member.form, Form::Descriptor(_));
                folded |= matches!(&member.form, Form::Reference(refers) if refers.object.members[within].keeping == Keeping::Folded);
                member.keeping = if folded { Keeping::Folded } else { Keeping::AsWritten };
                member.places.push((within, place));
                checker.paths.push(path.to_string());
                places.push(place);
            }
            if parameter.identity {
                checker.key.push(checker.parameters.len());
            }
            checker.parameters.push(Parameter { name: parameter.name.clone(), places, folded });
        }
        if checker.key.iter().any(|&part| checker.parameters[part].places.is_empty()) {
            checker.key.clear();
        }
        checker.key.sort_by(|&a, &b| checker.parameters[a].name.cmp(&checker.parameters[b].name));
        checker.body = Form::Object(Arc::new(body));
        checker
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
        Object { members, by_name, identity: Vec::new() }
    }

    fn form(&mut self, kind: &Kind) -> Form {
        match kind {
            Kind::Text { min_length, max_length, pattern } => Form::Text {
                least: min_length.map_or(0, |length| length as usize),
                most: max_length.map_or(usize::MAX, |length| length as usize),
                // One that is not understood, such as one that looks ahead, is left to the API.
                pattern: pattern.as_ref().and_then(|pattern| Regex::new(pattern).ok()),
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
        // Targets have their parts' names from the reference, or one part only: see `key`.
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
