//! What documents say, before any name is resolved.

use std::collections::BTreeMap;

use super::schema::Kind;
use crate::resource::Resource;

/// Schemas by name, and the resources that use them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The members of each schema.
    pub schemas: BTreeMap<String, Vec<Member>>,
    /// The resources, in the document's order.
    pub endpoints: Vec<Endpoint>,
}

/// A property as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// See [`super::Property::required`].
    pub required: bool,
    /// See [`super::Property::nullable`].
    pub nullable: bool,
    /// See [`super::Property::identity`].
    pub identity: bool,
    /// What it holds.
    pub form: Form,
}

/// What a property holds, as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// A kind without a schema. A descriptor is still [`Kind::Text`] here.
    Scalar(Kind),
    /// The schema of this name.
    Named(String),
    /// A list.
    List(Box<Form>),
}

/// A collection that can be posted to.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Of which resource.
    pub resource: Resource,
    /// The schema of what is posted.
    pub body: String,
    /// The parameters of its GET, and whether each is part of the natural key. A descriptor needs none.
    pub parameters: Vec<(String, bool)>,
}
