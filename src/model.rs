//! What OpenAPI says of a resource, compiled once: its schema, its natural key, its references.
//!
//! OpenAPI documents ([`openapi`]) or a more compact text ([`compact`]) become a [`Source`]: names and types as written. [`Model::compile`]
//! resolves the names, so that whoever checks, deletes or stores payloads walks a tree and looks nothing up.

pub mod compact;
mod compile;
mod key;
mod natural;
pub mod openapi;
mod schema;
mod source;
pub mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use fxhash::FxHashMap;
use serde::Deserialize;
use serde_json::Value;

pub use key::Parameter;
pub use natural::Natural;
pub use schema::{
    DESCRIPTOR_LENGTH, Kind, Property, Reference, Schema, Target, capitalised, entity, without_reference,
};
pub use source::{Dependency, Endpoint, Form, Member, Source, Turns};
pub use values::Values;

use crate::edfi::key::{NaturalKey, Part};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::resource::Resource;

/// Everything that a set of OpenAPI documents says of resources and descriptors.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    definitions: Vec<Definition>,
    by_resource: FxHashMap<Resource, usize>,
    faults: Vec<(Resource, String)>,
    disagreements: Vec<String>,
}

/// What OpenAPI says of one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Whose definition it is.
    pub resource: Resource,
    /// What a payload looks like. What the server adds (`id`, `_etag`, `_lastModifiedDate`) is not in here.
    pub body: Arc<Schema>,
    /// What its collection can be asked for by GET, in the document's order. Those of the natural key are marked.
    pub parameters: Vec<Parameter>,
    /// Its natural key, or why that is not known, in words.
    pub natural: Result<NaturalKey, String>,
    /// The schema of references to it, which payloads of other resources use, if documents have it.
    pub own_reference: Option<Arc<Schema>>,
    /// Whether it is an education organization. All of these share one space of ids: a school cannot have the id of a district.
    pub is_organization: bool,
}

/// A reference somewhere in a payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Referral {
    /// Where, such as `$.gradingPeriods[*].gradingPeriodReference`.
    pub path: String,
    /// Whether every payload has it: it is required, and so is everything around it.
    pub required: bool,
    /// What it refers to.
    pub reference: Arc<Reference>,
}

impl Model {
    /// From the documents of resources and of descriptors, Swagger 2.0 or OpenAPI 3.
    pub fn from_openapi<'d>(documents: impl IntoIterator<Item = &'d Value>) -> Result<Model> {
        let mut source = Source::default();
        for document in documents {
            let document =
                openapi::Document::deserialize(document).or_stop(Exit::GivenUp, || "not an OpenAPI document".into())?;
            openapi::read(&document, &mut source)?;
        }
        Model::compile(&source)
    }

    /// The definitions, in the documents' order.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// The resources that are left out because what they need of the documents is broken, and what is wrong with it.
    pub fn faults(&self) -> &[(Resource, String)] {
        &self.faults
    }

    /// What is wrong with what the documents say of `resource`, if that is why it is left out.
    pub fn fault(&self, resource: &Resource) -> Option<&str> {
        self.faults.iter().find(|(broken, _)| broken == resource).map(|(_, fault)| fault.as_str())
    }

    /// Where the marks of natural keys differ from the keys, in sentences.
    pub fn disagreements(&self) -> &[String] {
        &self.disagreements
    }

    /// The definition of `resource`, if the documents know it.
    pub fn get(&self, resource: &Resource) -> Option<&Definition> {
        self.by_resource.get(resource).map(|&at| &self.definitions[at])
    }
}

impl Definition {
    /// The parts of the natural key, in the order of their names; none if that is not known.
    pub fn key(&self) -> impl Iterator<Item = &Part> {
        self.natural.iter().flat_map(|natural| &natural.parts)
    }

    /// Every schema that a payload can contain, by its name; those of references too.
    pub fn schemas(&self) -> BTreeMap<&str, &Schema> {
        fn add<'m>(schema: &'m Schema, all: &mut BTreeMap<&'m str, &'m Schema>) {
            if all.insert(&schema.name, schema).is_none() {
                schema
                    .properties
                    .iter()
                    .filter_map(|property| property.kind.schema())
                    .for_each(|inner| add(inner, all));
            }
        }
        let mut all = BTreeMap::new();
        add(&self.body, &mut all);
        all
    }

    /// Every reference that a payload can contain, at every depth.
    pub fn references(&self) -> Vec<Referral> {
        fn collect(kind: &Kind, path: String, required: bool, found: &mut Vec<Referral>) {
            match kind {
                Kind::Reference(reference) => found.push(Referral { path, required, reference: reference.clone() }),
                Kind::List(items) => collect(items, format!("{path}[*]"), required, found),
                Kind::Object(schema) => {
                    for property in &schema.properties {
                        let path = format!("{path}.{}", property.name);
                        collect(&property.kind, path, required && property.required, found);
                    }
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        collect(&Kind::Object(self.body.clone()), "$".into(), true, &mut found);
        found
    }
}
