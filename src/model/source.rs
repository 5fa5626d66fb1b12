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

impl Source {
    /// Adds what another document says. Of two schemas of one name the later one counts; servers give both the same members.
    pub fn merge(&mut self, other: Source) {
        self.schemas.extend(other.schemas);
        self.endpoints.extend(other.endpoints);
    }
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

/// When a resource's turn comes. Orders begin at 1; resources of the same order do not need each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Whose turn.
    pub resource: Resource,
    /// The order at which it can be created; `None` if the API does not let it.
    pub create: Option<u32>,
    /// The order at which it can be updated too.
    pub update: Option<u32>,
}

/// Collects what is said of the order, in whatever order it is said.
#[derive(Debug, Default)]
pub struct Turns(BTreeMap<Resource, Dependency>);

impl Turns {
    /// Adds that `operations` (`Create`, `Update`, and others that do not matter here) can be done from `order` on.
    pub fn add<'o>(&mut self, resource: &Resource, order: u32, operations: impl IntoIterator<Item = &'o str>) {
        let unsaid = || Dependency { resource: resource.clone(), create: None, update: None };
        let dependency = self.0.entry(resource.clone()).or_insert_with(unsaid);
        for operation in operations {
            let known = match operation {
                "Create" => &mut dependency.create,
                "Update" => &mut dependency.update,
                _ => continue,
            };
            *known = Some(known.map_or(order, |known| known.min(order)));
        }
    }

    /// One for each resource, sorted by the order of creation and name.
    pub fn sorted(self) -> Vec<Dependency> {
        let mut dependencies: Vec<Dependency> = self.0.into_values().collect();
        dependencies.sort_by_key(|dependency| dependency.create.unwrap_or(u32::MAX));
        dependencies
    }
}

impl Dependency {
    /// What documents say of it: each order with what can be done from it on.
    pub fn turns(&self) -> Vec<(u32, Vec<&'static str>)> {
        match (self.create, self.update) {
            (Some(create), Some(update)) if create == update => vec![(create, vec!["Create", "Update"])],
            (create, update) => {
                let turn = |order: Option<u32>, operation| order.map(|order| (order, vec![operation]));
                [turn(create, "Create"), turn(update, "Update")].into_iter().flatten().collect()
            }
        }
    }
}
