//! Reads Swagger 2.0 (ODS/API up to 7.0) and OpenAPI 3 (later ones and the Data Management Service).
//!
//! A resource is a path of two segments that can be posted to; its schema is the one that its POST's body names, for how schemas
//! are named differs between servers.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::schema::Kind;
use super::source::{Endpoint, Form, Member, Source};
use crate::error::{Error, Result};
use crate::resource::Resource;

/// The properties that a server adds to each item, and that no payload needs.
pub const SERVER_MADE: [&str; 4] = ["id", "_etag", "_lastModifiedDate", "link"];

/// What of a document is read. Descriptions, answers and the rest, which a tree of JSON values would keep, are passed over.
#[derive(Deserialize)]
pub struct Document {
    #[serde(default, deserialize_with = "lenient")]
    openapi: Option<Box<str>>,
    #[serde(default, deserialize_with = "lenient")]
    swagger: Option<Box<str>>,
    /// Of Swagger 2.0.
    definitions: Option<Named<What>>,
    /// Of OpenAPI 3.
    #[serde(default)]
    components: Components,
    paths: Option<Named<Path>>,
}

#[derive(Default, Deserialize)]
struct Components {
    schemas: Option<Named<What>>,
}

#[derive(Deserialize)]
struct Path {
    #[serde(default)]
    get: Get,
    post: Option<Post>,
}

#[derive(Default, Deserialize)]
struct Get {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Post {
    /// Of OpenAPI 3.
    #[serde(rename = "requestBody")]
    body: Option<Body>,
    /// Of Swagger 2.0, where one of them is the body.
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Body {
    content: Option<Named<Media>>,
}

#[derive(Deserialize)]
struct Media {
    schema: Option<What>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "in")]
    place: Option<String>,
    name: Option<String>,
    schema: Option<Box<What>>,
    #[serde(default, rename = "x-Ed-Fi-isIdentity", deserialize_with = "lenient")]
    identity: Option<bool>,
}

/// A schema, of an object or of a property. A keyword whose value is of another type than it should be says nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct What {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    kind: Option<Box<str>>,
    #[serde(default, deserialize_with = "lenient")]
    format: Option<Box<str>>,
    #[serde(default, deserialize_with = "lenient")]
    required: Option<Vec<String>>,
    properties: Option<Named<What>>,
    items: Option<Box<What>>,
    #[serde(default, rename = "enum", deserialize_with = "lenient")]
    one_of: Option<Vec<Value>>,
    #[serde(default, deserialize_with = "lenient")]
    min_length: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    max_length: Option<u32>,
    #[serde(default, deserialize_with = "lenient")]
    pattern: Option<Box<str>>,
    #[serde(default, deserialize_with = "lenient")]
    minimum: Option<Number>,
    #[serde(default, deserialize_with = "lenient")]
    maximum: Option<Number>,
    #[serde(default, deserialize_with = "lenient")]
    nullable: Option<bool>,
    #[serde(default, rename = "x-nullable", deserialize_with = "lenient")]
    also_nullable: Option<bool>,
    #[serde(default, rename = "x-Ed-Fi-isIdentity", deserialize_with = "lenient")]
    identity: Option<bool>,
}

fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// The members of an object, in the document's order.
struct Named<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Named(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Adds what `document` says to `source`. One that tells its version may have no resource that can be posted to: an API without descriptors
/// has such a document of descriptors. Of any other that is an error.
pub fn read(document: &Document, source: &mut Source) -> Result<()> {
    let schemas = document.definitions.as_ref().or(document.components.schemas.as_ref());
    let is_openapi = document.openapi.is_some() || document.swagger.is_some();
    let is_whole = schemas.is_some() && document.paths.is_some();
    if !is_openapi && !is_whole {
        return Err(Error::api("not an OpenAPI document: it has no paths or no schemas"));
    }
    for (name, schema) in schemas.iter().flat_map(|Named(schemas)| schemas) {
        read_schema(name, schema, source);
    }
    let before = source.endpoints.len();
    for (path, item) in document.paths.iter().flat_map(|Named(paths)| paths) {
        let (Some(resource), Some(post)) = (Resource::from_path(path), &item.post) else { continue };
        // Without a name the resource alone is left out when names are resolved.
        let body = body_schema(post).unwrap_or_default();
        if let Some(members) = source.schemas.get_mut(&body) {
            members.retain(|member| !is_server_made(&resource, &member.name));
        }
        source.endpoints.push(Endpoint { parameters: parameters(&item.get), resource, body });
    }
    if source.endpoints.len() == before && !is_openapi {
        return Err(Error::api("the OpenAPI document has no resource that can be posted to"));
    }
    Ok(())
}

fn is_server_made(resource: &Resource, name: &str) -> bool {
    SERVER_MADE.contains(&name) || resource.is_descriptor() && name.ends_with("DescriptorId")
}

/// The name of the schema that a POST's body refers to.
fn body_schema(post: &Post) -> Option<String> {
    let schema = match post.body.as_ref().and_then(|body| body.content.as_ref()) {
        Some(Named(content)) => content.iter().find_map(|(_, media)| media.schema.as_ref())?,
        None => {
            post.parameters.iter().find(|parameter| parameter.place.as_deref() == Some("body"))?.schema.as_deref()?
        }
    };
    schema.reference.as_deref().map(last_name)
}

fn parameters(get: &Get) -> Vec<(String, bool)> {
    let asked = get.parameters.iter().filter(|parameter| parameter.place.as_deref() == Some("query"));
    let named = asked.filter_map(|parameter| Some((parameter.name.clone()?, parameter.identity == Some(true))));
    named.filter(|(name, _)| name != "id").collect()
}

fn read_schema(name: &str, schema: &What, source: &mut Source) {
    let required = schema.required.as_deref().unwrap_or_default();
    let mut members = Vec::new();
    for (property, what) in schema.properties.iter().flat_map(|Named(properties)| properties) {
        if name.ends_with("Reference") && property == "link" {
            continue;
        }
        members.push(Member {
            name: property.clone(),
            required: required.contains(property),
            nullable: what.nullable == Some(true) || what.also_nullable == Some(true),
            identity: what.identity == Some(true),
            form: form(&format!("{name}_{property}"), what, source),
        });
    }
    source.schemas.insert(name.to_owned(), members);
}

/// `unnamed` is the name for an object that is described in place.
fn form(unnamed: &str, what: &What, source: &mut Source) -> Form {
    if let Some(reference) = &what.reference {
        return Form::Named(last_name(reference));
    }
    let whole = |number: &Option<Number>| number.as_ref().and_then(Number::as_i64);
    let any = |number: &Option<Number>| number.as_ref().and_then(Number::as_f64);
    Form::Scalar(match (what.kind.as_deref(), what.format.as_deref()) {
        (Some("array"), _) => {
            let items = what.items.as_ref().map(|items| form(unnamed, items, source));
            return Form::List(Box::new(items.unwrap_or(Form::Scalar(Kind::Any))));
        }
        (Some("object"), _) if what.properties.is_some() => {
            read_schema(unnamed, what, source);
            return Form::Named(unnamed.to_owned());
        }
        (Some("string"), _) if what.one_of.is_some() => {
            let values = what.one_of.iter().flatten();
            Kind::OneOf(values.filter_map(Value::as_str).map(Into::into).collect())
        }
        (Some("string"), Some("date")) => Kind::Date,
        (Some("string"), Some("date-time")) => Kind::DateTime,
        (Some("string"), Some("time")) => Kind::Time,
        (Some("string"), _) => Kind::Text {
            min_length: what.min_length,
            max_length: what.max_length,
            pattern: what.pattern.as_deref().map(Into::into),
        },
        (Some("integer"), format) => Kind::Integer {
            // Only what the document says is 32 bits wide is.
            bits: if format == Some("int32") { 32 } else { 64 },
            minimum: whole(&what.minimum),
            maximum: whole(&what.maximum),
        },
        (Some("number"), _) => Kind::Number { minimum: any(&what.minimum), maximum: any(&what.maximum) },
        (Some("boolean"), _) => Kind::Boolean,
        _ => Kind::Any,
    })
}

/// The schema that a `$ref` names.
fn last_name(reference: &str) -> String {
    reference.rsplit('/').next().unwrap_or(reference).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn properties() -> Value {
        json!({
            "id": {"type": "string"},
            "weekIdentifier": {"type": "string", "maxLength": 80, "minLength": 5, "x-nullable": true, "x-Ed-Fi-isIdentity": true},
            "schoolReference": {"$ref": "#/whatever/edFi_schoolReference"},
            "days": {"type": "array", "items": {"$ref": "#/whatever/edFi_day"}},
            "total": {"type": "integer", "format": "int64", "minimum": 0},
            "share": {"type": "number", "maximum": 1.5},
            "season": {"type": "string", "enum": ["spring", "fall"]},
            "begin": {"type": "string", "format": "date"},
            "place": {"type": "object", "properties": {"room": {"type": "boolean"}}},
            "_etag": {"type": "string"}
        })
    }

    fn schemas() -> Value {
        json!({
            "edFi_week": {"required": ["weekIdentifier"], "properties": properties()},
            "edFi_schoolReference": {"properties": {"schoolId": {"type": "integer"}, "link": {"$ref": "#/x/link"}}}
        })
    }

    fn get() -> Value {
        json!({"parameters": [
            {"$ref": "#/parameters/limit"},
            {"name": "id", "in": "query"},
            {"name": "weekIdentifier", "in": "query", "x-Ed-Fi-isIdentity": true},
            {"name": "total", "in": "query"},
            {"name": "Snapshot-Identifier", "in": "header"}
        ]})
    }

    fn read_one(document: Value) -> Source {
        let mut source = Source::default();
        read(&Document::deserialize(document).unwrap(), &mut source).unwrap();
        source
    }

    #[test]
    fn both_generations_of_documents_say_the_same() {
        let body = json!({"$ref": "#/x/edFi_week"});
        let old = read_one(json!({
            "swagger": "2.0",
            "definitions": schemas(),
            "paths": {"/ed-fi/weeks": {"get": get(), "post": {"parameters": [{"in": "body", "schema": body}]}},
                      "/ed-fi/weeks/{id}": {"put": {}}}
        }));
        let new = read_one(json!({
            "openapi": "3.0.1",
            "components": {"schemas": schemas()},
            "paths": {"/ed-fi/weeks": {"get": get(), "post": {"requestBody": {"content": {"application/json": {"schema": body}}}}}}
        }));
        assert_eq!(old, new);
        assert_eq!(
            old.endpoints,
            [Endpoint {
                resource: Resource::new("ed-fi", "weeks"),
                body: "edFi_week".into(),
                parameters: vec![("weekIdentifier".into(), true), ("total".into(), false)],
            }]
        );
        let week = &old.schemas["edFi_week"];
        let names: Vec<&str> = week.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["weekIdentifier", "schoolReference", "days", "total", "share", "season", "begin", "place"]);
        let text = Kind::Text { min_length: Some(5), max_length: Some(80), pattern: None };
        assert_eq!(
            week[0],
            Member {
                name: "weekIdentifier".into(),
                required: true,
                nullable: true,
                identity: true,
                form: Form::Scalar(text)
            }
        );
        assert_eq!(week[1].form, Form::Named("edFi_schoolReference".into()));
        assert_eq!(week[2].form, Form::List(Box::new(Form::Named("edFi_day".into()))));
        assert_eq!(week[3].form, Form::Scalar(Kind::Integer { bits: 64, minimum: Some(0), maximum: None }));
        assert_eq!(week[4].form, Form::Scalar(Kind::Number { minimum: None, maximum: Some(1.5) }));
        assert_eq!(week[5].form, Form::Scalar(Kind::OneOf(vec!["spring".into(), "fall".into()])));
        assert_eq!(week[6].form, Form::Scalar(Kind::Date));
        assert_eq!(week[7].form, Form::Named("edFi_week_place".into()));
        assert_eq!(old.schemas["edFi_week_place"][0].form, Form::Scalar(Kind::Boolean));
        assert_eq!(old.schemas["edFi_schoolReference"].len(), 1, "link is the server's");
    }

    #[test]
    fn a_document_without_resources_is_an_error() {
        for document in [json!([]), json!({"paths": {}}), json!({"paths": {"/": {"get": {}}}, "definitions": {}})] {
            let told = Document::deserialize(&document).map(|document| read(&document, &mut Source::default()));
            assert!(!matches!(told, Ok(Ok(()))), "{document}");
        }
    }
}
