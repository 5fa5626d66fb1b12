//! Resolves names: schemas to trees, references to the resources they refer to, parameters to places.

use std::cell::OnceCell;
use std::sync::Arc;

use fxhash::{FxHashMap, FxHashSet};

use super::schema::{Kind, Property, Reference, Schema, Target, entity, without_reference};
use super::source::{Endpoint, Form, Member, Source};
use super::{Definition, Model, Parameter};
use crate::edfi::key::{Derived, NaturalKey, Path, derive, is_listed, own_reference, with_open_references};
use crate::error::{Error, Result};
use crate::resource::{Resource, namespace_key};

/// Objects within objects, the deepest of which a document may have. Genuine ones have five, and a hostile one would exhaust the stack.
const DEEPEST: usize = 64;

/// Properties that a schema may have, with those of all schemas within it. The largest of genuine documents, that of staffs, has 122. Schemas
/// that name each other several times over have, in a document of a kilobyte, more than any memory holds, and much is told of each.
const MOST: usize = 10_000;

impl Model {
    /// Resolves every name of `source`. A schema that is named and not described, contains itself or is nested too deeply takes the
    /// resources that need it with it, and is among the model's faults. An error if documents describe resources, and none is left.
    pub fn compile(source: &Source) -> Result<Model> {
        let model = Model::compile_some(source, |_| true);
        match (model.definitions.is_empty(), model.faults.first()) {
            (true, Some((_, fault))) => {
                let text = "the OpenAPI documents describe no resource that can be read";
                Err(Error::api(format!("{text}; {fault}")))
            }
            _ => Ok(model),
        }
    }

    /// The same of the resources that are `wanted` alone, which takes a fraction of the time where these are few.
    pub fn compile_some(source: &Source, wanted: impl Fn(&Resource) -> bool) -> Model {
        let open = source.schemas.iter().filter(|(_, members)| members.is_empty()).map(|(name, _)| name.as_str());
        let open = open.collect();
        let source = &*with_open_references(source);
        let derived: Vec<OnceCell<Derived>> = source.endpoints.iter().map(|_| OnceCell::new()).collect();
        let mut compiler = Compiler::new(source, &derived, open);
        let (mut definitions, mut faults, mut disagreements) = (Vec::new(), Vec::new(), Vec::new());
        let all = source.endpoints.iter().enumerate();
        for (at, endpoint) in all.filter(|(_, endpoint)| wanted(&endpoint.resource)) {
            match compiler.definition(at, endpoint) {
                Ok(definition) => {
                    definitions.push(definition);
                    disagreements.extend(compiler.derived(at).disagreement.clone());
                }
                Err(wrong) => faults.push((endpoint.resource.clone(), wrong)),
            }
        }
        let by_resource = definitions.iter().enumerate().map(|(at, d)| (d.resource.clone(), at)).collect();
        Model { definitions, by_resource, faults, disagreements }
    }
}

struct Compiler<'s> {
    source: &'s Source,
    /// The schemas of which the document lists no members. Those that keys tell of an open reference are none of the document's.
    open: FxHashSet<&'s str>,
    /// What is derived of each endpoint, once somebody asks for it.
    derived: &'s [OnceCell<Derived<'s>>],
    is_listed: bool,
    /// The name of the schema of references to each endpoint's resource.
    own_references: Vec<Option<&'s str>>,
    /// By the entity that a descriptor's URI names, such as `TermDescriptor`, without its case.
    descriptors: FxHashMap<String, Vec<&'s Resource>>,
    schemas: FxHashMap<&'s str, Progress>,
    /// How many properties each compiled schema has, with those of the schemas within it.
    sizes: FxHashMap<&'s str, usize>,
    /// How many schemas are being compiled, each for the one before.
    depth: usize,
    references: FxHashMap<&'s str, Arc<Reference>>,
}

/// How far a schema is.
enum Progress {
    Begun,
    Done(Arc<Schema>),
    Broken(String),
}

impl<'s> Compiler<'s> {
    fn new(source: &'s Source, derived: &'s [OnceCell<Derived<'s>>], open: FxHashSet<&'s str>) -> Compiler<'s> {
        let mut descriptors: FxHashMap<String, Vec<&Resource>> = FxHashMap::default();
        for endpoint in source.endpoints.iter().filter(|endpoint| endpoint.resource.is_descriptor()) {
            let entity = entity(&endpoint.body).to_ascii_lowercase();
            descriptors.entry(entity).or_default().push(&endpoint.resource);
        }
        Compiler {
            source,
            open,
            derived,
            is_listed: is_listed(source),
            own_references: source.endpoints.iter().map(|endpoint| own_reference(source, endpoint)).collect(),
            descriptors,
            schemas: FxHashMap::default(),
            sizes: FxHashMap::default(),
            depth: 0,
            references: FxHashMap::default(),
        }
    }

    fn derived(&self, at: usize) -> &'s Derived<'s> {
        self.derived[at].get_or_init(|| derive(self.source, &self.source.endpoints[at], self.is_listed))
    }

    /// The names of the parts of an endpoint's natural key; none if that is not known.
    fn key(&self, at: usize) -> impl Iterator<Item = &'s str> + Clone {
        self.derived(at).key.as_ref().into_iter().flat_map(NaturalKey::names)
    }

    fn definition(&mut self, at: usize, endpoint: &'s Endpoint) -> Result<Definition, String> {
        let derived = self.derived(at);
        if endpoint.body.is_empty() {
            return Err("the OpenAPI document does not tell what is posted".into());
        }
        let body = self.schema(&endpoint.body)?;
        let own_reference = derived.own_reference.map(|name| self.schema(name)).transpose()?;
        let natural = derived.key.clone();
        let is_part = |name: &str| natural.iter().any(|key| key.names().any(|part| part == name));
        let parameter = |(name, paths): &(&str, Vec<Path>)| Parameter {
            name: (*name).into(),
            identity: is_part(name),
            paths: paths.clone(),
        };
        let parameters = derived.parameters.iter().map(parameter).collect();
        let is_organization = self.is_organization(at, endpoint);
        Ok(Definition {
            resource: endpoint.resource.clone(),
            body,
            parameters,
            natural,
            own_reference,
            is_organization,
        })
    }

    fn schema(&mut self, name: &'s str) -> Result<Arc<Schema>, String> {
        match self.schemas.get(name) {
            Some(Progress::Done(schema)) => return Ok(schema.clone()),
            Some(Progress::Broken(wrong)) => return Err(wrong.clone()),
            Some(Progress::Begun) => return Err(format!("the OpenAPI schema {name} contains itself")),
            None => {}
        }
        let members = self.source.schemas.get(name);
        let members = members.ok_or_else(|| format!("the OpenAPI document has no schema {name}"))?;
        if self.depth == DEEPEST {
            return Err(format!("the OpenAPI schema {name} is nested too deeply, in {DEEPEST} others"));
        }
        self.schemas.insert(name, Progress::Begun);
        self.depth += 1;
        let properties = members.iter().map(|member| self.property(name, member)).collect::<Result<_, String>>();
        self.depth -= 1;
        match properties.and_then(|properties| self.measure(name, members).map(|()| properties)) {
            Ok(properties) => {
                let schema = Arc::new(Schema { name: name.into(), properties, is_open: self.open.contains(name) });
                self.schemas.insert(name, Progress::Done(schema.clone()));
                Ok(schema)
            }
            Err(wrong) => {
                self.schemas.insert(name, Progress::Broken(wrong.clone()));
                Err(wrong)
            }
        }
    }

    /// Counts the properties of a schema of which all schemas within are compiled.
    fn measure(&mut self, name: &'s str, members: &'s [Member]) -> Result<(), String> {
        let within = |mut form: &Form| {
            while let Form::List(items) = form {
                form = items;
            }
            match form {
                Form::Named(schema) => self.sizes.get(schema.as_str()).copied().unwrap_or(0),
                _ => 0,
            }
        };
        let size = members.iter().map(|member| 1 + within(&member.form)).sum();
        if size > MOST {
            return Err(format!(
                "the OpenAPI schema {name} has more than {MOST} properties, with those of the schemas within it"
            ));
        }
        self.sizes.insert(name, size);
        Ok(())
    }

    fn property(&mut self, schema: &'s str, member: &'s Member) -> Result<Property, String> {
        let named = |wrong| format!("the property {} of the OpenAPI schema {schema} is broken: {wrong}", member.name);
        let broken = |wrong: String| if wrong.contains(" is broken: ") { wrong } else { named(wrong) };
        let kind = self.kind(schema, &member.name, &member.form).map_err(broken)?;
        let Member { name, required, nullable, identity, .. } = member;
        Ok(Property { name: name.as_str().into(), required: *required, nullable: *nullable, identity: *identity, kind })
    }

    fn kind(&mut self, schema: &str, property: &str, form: &'s Form) -> Result<Kind, String> {
        Ok(match form {
            Form::Scalar(kind) if kind.is_descriptor(property) => Kind::Descriptor(self.descriptor(schema, property)),
            Form::Scalar(kind) => kind.clone(),
            Form::List(items) => Kind::List(Box::new(self.kind(schema, property, items)?)),
            Form::Named(schema) if property.ends_with("Reference") && schema.ends_with("Reference") => {
                Kind::Reference(self.reference(schema)?)
            }
            Form::Named(schema) => Kind::Object(self.schema(schema)?),
        })
    }

    /// A descriptor's property has the descriptor's name, behind the words of its role if it plays one:
    /// `stateOfIssueStateAbbreviationDescriptor` holds a `StateAbbreviationDescriptor`. Names match whatever their case. Of several
    /// descriptors of one name that of the schema's own namespace is meant. The core model never uses a descriptor of an extension, although
    /// one may have a name that the property ends with: `evaluationRubricRatingLevelDescriptor` holds a `RatingLevelDescriptor`.
    fn descriptor(&self, schema: &str, property: &str) -> Option<Resource> {
        let name = property.to_ascii_lowercase();
        let words = property.match_indices(|letter: char| letter.is_ascii_uppercase()).map(|(at, _)| at);
        let known = |at: usize| {
            let known = self.descriptors.get(&name[at..])?;
            let namespace = schema.split_once('_').map(|(prefix, _)| namespace_key(prefix)).unwrap_or_default();
            let own = known.iter().find(|resource| namespace_key(resource.namespace()) == namespace);
            own.or(known.first().filter(|_| namespace != CORE)).map(|&resource| resource.clone())
        };
        [0].into_iter().chain(words).find_map(known)
    }

    fn reference(&mut self, name: &'s str) -> Result<Arc<Reference>, String> {
        if let Some(reference) = self.references.get(name) {
            return Ok(reference.clone());
        }
        let schema = self.schema(name)?;
        let targets = self.targets(&schema);
        let reference = Arc::new(Reference { schema, targets });
        self.references.insert(name, reference.clone());
        Ok(reference)
    }

    /// The resource whose body has the reference's name; else those that extend the abstract resource of that name.
    fn targets(&self, reference: &Schema) -> Vec<Target> {
        let body = without_reference(&reference.name);
        let endpoints = || self.source.endpoints.iter().enumerate();
        let is_named = |at: usize, endpoint: &Endpoint| {
            endpoint.body == body || self.own_references[at].is_some_and(|own| *own == *reference.name)
        };
        let named = endpoints().filter(|&(at, endpoint)| is_named(at, endpoint));
        let named: Vec<Target> = named.filter_map(|(at, endpoint)| self.target(at, endpoint, reference)).collect();
        if !named.is_empty() {
            return named;
        }
        let extending = endpoints().filter(|&(at, endpoint)| self.extends(at, endpoint, reference));
        extending.filter_map(|(at, endpoint)| self.target(at, endpoint, reference)).collect()
    }

    /// Documents do not tell what extends what. Of the two abstract resources that are referred to, a student's association with a
    /// program keeps the natural key of what it extends, and an education organization, whose key each renames
    /// (`schoolId`, `localEducationAgencyId`), is what has a name of an institution and a single number for a key.
    fn extends(&self, at: usize, endpoint: &Endpoint, reference: &Schema) -> bool {
        match reference.entity().as_str() {
            "EducationOrganization" => self.is_organization(at, endpoint),
            _ => {
                let mut key = self.key(at);
                key.clone().count() == reference.properties.len() && key.all(|name| reference.property(name).is_some())
            }
        }
    }

    /// Whether an endpoint's payloads are education organizations.
    fn is_organization(&self, at: usize, endpoint: &Endpoint) -> bool {
        let members = self.source.schemas.get(&endpoint.body);
        let is_named = |all: &Vec<Member>| all.iter().any(|member| member.name == "nameOfInstitution");
        members.is_some_and(is_named) && self.key(at).count() == 1
    }

    /// `None` if the reference does not hold the whole natural key.
    fn target(&self, at: usize, endpoint: &Endpoint, reference: &Schema) -> Option<Target> {
        let mut key = self.key(at);
        let members = match (key.clone().count(), &reference.properties[..]) {
            (0, _) => return None,
            (1, [_]) => vec![0],
            (_, members) => {
                let position = |name: &str| members.iter().position(|member| *member.name == *name);
                key.by_ref().map(position).collect::<Option<_>>()?
            }
        };
        Some(Target { resource: endpoint.resource.clone(), members })
    }
}

/// The prefix of the core model's schemas, without its case.
const CORE: &str = "edfi";

#[cfg(test)]
mod tests;
