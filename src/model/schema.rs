//! The tree that a payload is checked against.

use std::sync::Arc;

use crate::resource::Resource;

/// The longest URI of a descriptor, in characters, and the mark by which documents tell that a string is one.
pub const DESCRIPTOR_LENGTH: u32 = 306;

/// An object: its properties by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// As the document calls it, such as `edFi_gradingPeriod`. Tells schemas apart; nothing is derived from it but
    /// [`Schema::entity`].
    pub name: Arc<str>,
    /// In the document's order.
    pub properties: Vec<Property>,
    /// Whether the document does not list its properties, so that it may hold any.
    pub is_open: bool,
}

/// A property of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// As payloads spell it.
    pub name: Arc<str>,
    /// Whether the object cannot do without it.
    pub required: bool,
    /// Whether the document says that it may be null. Documents up to ODS/API 5.3 never say so of any property.
    pub nullable: bool,
    /// Whether the document marks it as part of what tells this object from others of its kind (`x-Ed-Fi-isIdentity`). Documents mark
    /// scalars only, never references.
    pub identity: bool,
    /// What it holds.
    pub kind: Kind,
}

/// What a property holds. Limits include both ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A string that is not one of the others.
    Text {
        /// In characters.
        min_length: Option<u32>,
        /// In characters.
        max_length: Option<u32>,
        /// A regular expression of ECMA-262, as written.
        pattern: Option<Box<str>>,
    },
    /// One of these strings.
    OneOf(Vec<Box<str>>),
    /// A descriptor's URI, `uri://namespace/XDescriptor#code value`, of the resource given, where the documents know one
    /// that the property's name ends with.
    Descriptor(Option<Resource>),
    /// A whole number.
    Integer {
        /// 32 or 64.
        bits: u8,
        /// The least.
        minimum: Option<i64>,
        /// The greatest.
        maximum: Option<i64>,
    },
    /// Any number.
    Number {
        /// The least.
        minimum: Option<f64>,
        /// The greatest.
        maximum: Option<f64>,
    },
    /// `true` or `false`.
    Boolean,
    /// Such as `2025-08-31`.
    Date,
    /// Such as `2025-08-31T07:45:00Z`.
    DateTime,
    /// Such as `07:45:00`. Documents up to Data Standard 5.0 write a plain string.
    Time,
    /// The document does not say.
    Any,
    /// An object within the object, such as `_ext`.
    Object(Arc<Schema>),
    /// A list of the same kind of things.
    List(Box<Kind>),
    /// The natural key of an item of another resource.
    Reference(Arc<Reference>),
}

/// The natural key of an item of another resource, or of any of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The members of the key.
    pub schema: Arc<Schema>,
    /// What it may refer to: one resource, or each that extends an abstract one, such as every kind of education organization.
    /// Empty if the documents know none.
    pub targets: Vec<Target>,
}

/// A resource that a reference may refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The resource.
    pub resource: Resource,
    /// For each part of its natural key the position of the reference's member that holds it.
    pub members: Vec<usize>,
}

impl Schema {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| &*property.name == name)
    }

    /// What Ed-Fi calls the thing described, such as `GradingPeriod`, also for a reference to it.
    pub fn entity(&self) -> String {
        entity(&self.name)
    }
}

impl Kind {
    /// Whether a property or parameter of this name holds a descriptor's URI. Documents describe it as a string, which its name and its length
    /// tell from others.
    pub fn is_descriptor(&self, name: &str) -> bool {
        match self {
            Kind::Descriptor(_) => true,
            Kind::Text { max_length: Some(DESCRIPTOR_LENGTH), .. } => name.ends_with("Descriptor"),
            _ => false,
        }
    }

    /// The schema within, if it is an object, a reference or a list of such.
    pub fn schema(&self) -> Option<&Schema> {
        match self {
            Kind::Object(schema) => Some(schema),
            Kind::Reference(reference) => Some(&reference.schema),
            Kind::List(items) => items.schema(),
            _ => None,
        }
    }
}

/// What Ed-Fi calls the thing that a schema of this name describes.
pub fn entity(schema: &str) -> String {
    let name = without_reference(schema);
    capitalised(name.split_once('_').map_or(name, |(_, name)| name))
}

/// `edFi_school` for `edFi_schoolReference`, `EdFi_School` for the Data Management Service's `EdFi_School_Reference`.
pub fn without_reference(schema: &str) -> &str {
    schema.strip_suffix("Reference").map_or(schema, |name| name.trim_end_matches('_'))
}

/// With a capital first letter.
pub fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_named_as_messages_name_it() {
        for (schema, entity) in [
            ("edFi_gradingPeriod", "GradingPeriod"),
            ("edFi_schoolReference", "School"),
            ("EdFi_School_Reference", "School"),
            ("credential", "Credential"),
        ] {
            assert_eq!(Schema { name: schema.into(), properties: vec![], is_open: false }.entity(), entity, "{schema}");
        }
    }
}
