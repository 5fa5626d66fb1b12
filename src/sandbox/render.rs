//! Writes a model as an OpenAPI 3 document, as an ODS/API of version 7.3 would.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::{DESCRIPTOR_LENGTH, Definition, Kind, Schema};

/// The document of these definitions. [`crate::model::Model::from_openapi`] makes the same model of it. `cursor` tells whether pages can be
/// asked for by a cursor.
pub fn document(title: &str, server: &str, definitions: &[&Definition], cursor: bool) -> Value {
    let mut schemas: BTreeMap<&str, &Schema> = BTreeMap::new();
    let mut paths = Map::new();
    for definition in definitions {
        schemas.extend(definition.schemas());
        schemas.extend(definition.own_reference.iter().map(|schema| (&*schema.name, &**schema)));
        paths.insert(format!("/{}", definition.resource), collection(definition, cursor));
        if cursor {
            let number = json!([{"name": "number", "in": "query", "schema": {"type": "integer"}}]);
            let found = json!({"200": {"description": "Found"}});
            let partitions = json!({"get": {"parameters": number, "responses": found}});
            paths.insert(format!("/{}/partitions", definition.resource), partitions);
        }
        paths.insert(format!("/{}/{{id}}", definition.resource), item(definition));
    }
    let mut written: Map<String, Value> =
        schemas.into_iter().map(|(name, schema)| (name.to_owned(), object(schema))).collect();
    for definition in definitions {
        written.insert(definition.body.name.to_string(), body(definition));
    }
    written.insert("link".into(), json!({"type": "object", "properties": {"rel": text(), "href": text()}}));
    let paging = |name: &str, schema: Value| json!({"name": name, "in": "query", "schema": schema});
    json!({
        "openapi": "3.0.1",
        "info": {"title": title, "version": "3"},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": written,
            "parameters": {
                "offset": paging("offset", json!({"type": "integer", "format": "int32", "minimum": 0, "default": 0})),
                "limit": paging("limit", json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 500, "default": 25})),
                "totalCount": paging("totalCount", json!({"type": "boolean", "default": false})),
                "pageToken": paging("pageToken", text()),
                "pageSize": paging("pageSize", json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 500, "default": 25})),
                "MinChangeVersion": paging("minChangeVersion", json!({"type": "integer", "format": "int64"})),
                "MaxChangeVersion": paging("maxChangeVersion", json!({"type": "integer", "format": "int64"}))
            }
        }
    })
}

fn collection(definition: &Definition, cursor: bool) -> Value {
    let body = json!({"application/json": {"schema": named(&definition.body.name)}});
    let common = ["offset", "limit", "totalCount", "MinChangeVersion", "MaxChangeVersion"].into_iter();
    let common = common.chain(["pageToken", "pageSize"].into_iter().filter(|_| cursor));
    let common = common.map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
    let own = definition.parameters.iter().map(|parameter| {
        let property = parameter.paths.first().and_then(|path| path.property(&definition.body));
        let schema = property.map_or_else(text, |property| kind(&property.kind));
        let mut written = json!({"name": &*parameter.name, "in": "query", "schema": schema});
        if parameter.identity {
            written["x-Ed-Fi-isIdentity"] = true.into();
        }
        written
    });
    let parameters: Vec<Value> = common.chain(own).collect();
    let entity = definition.body.entity();
    json!({
        "get": {"operationId": format!("get{entity}List"), "parameters": parameters, "responses": {"200": {"description": "Found"}}},
        "post": {
            "operationId": format!("post{entity}"),
            "requestBody": {"content": body, "required": true},
            "responses": {"200": {"description": "Updated"}, "201": {"description": "Created"}}
        }
    })
}

fn item(definition: &Definition) -> Value {
    let entity = definition.body.entity();
    let id = json!([{"name": "id", "in": "path", "required": true, "schema": text()}]);
    json!({
        "get": {"operationId": format!("get{entity}"), "parameters": id, "responses": {"200": {"description": "Found"}}},
        "delete": {"operationId": format!("delete{entity}"), "parameters": id, "responses": {"204": {"description": "Deleted"}}}
    })
}

/// A body with what the server adds to it.
fn body(definition: &Definition) -> Value {
    let mut schema = object(&definition.body);
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert("id".into(), text());
        properties.insert("_etag".into(), text());
        properties.insert("_lastModifiedDate".into(), json!({"type": "string", "format": "date-time"}));
    }
    schema
}

fn object(schema: &Schema) -> Value {
    let mut properties = Map::new();
    for property in schema.properties.iter().filter(|_| !schema.is_open) {
        let mut written = kind(&property.kind);
        if property.nullable {
            written["x-nullable"] = true.into();
        }
        if property.identity {
            written["x-Ed-Fi-isIdentity"] = true.into();
        }
        properties.insert(property.name.to_string(), written);
    }
    if schema.name.ends_with("Reference") {
        properties.insert("link".into(), named("link"));
    }
    let required: Vec<&str> = schema.properties.iter().filter(|p| p.required).map(|p| &*p.name).collect();
    let mut written = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        written["required"] = json!(required);
    }
    written
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text { min_length, max_length, pattern } => {
            let limits =
                [("minLength", json!(min_length)), ("maxLength", json!(max_length)), ("pattern", json!(pattern))];
            limited(text(), limits)
        }
        Kind::OneOf(values) => json!({"type": "string", "enum": values}),
        Kind::Descriptor(_) => json!({"type": "string", "maxLength": DESCRIPTOR_LENGTH}),
        Kind::Integer { bits, minimum, maximum } => {
            let integer = json!({"type": "integer", "format": format!("int{bits}")});
            limited(integer, [("minimum", json!(minimum)), ("maximum", json!(maximum))])
        }
        Kind::Number { minimum, maximum } => {
            let number = json!({"type": "number", "format": "double"});
            limited(number, [("minimum", json!(minimum)), ("maximum", json!(maximum))])
        }
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Date => json!({"type": "string", "format": "date"}),
        Kind::DateTime => json!({"type": "string", "format": "date-time"}),
        Kind::Time => json!({"type": "string", "format": "time"}),
        Kind::Any => json!({}),
        Kind::Object(schema) => named(&schema.name),
        Kind::Reference(reference) => named(&reference.schema.name),
        Kind::List(items) => json!({"type": "array", "items": self::kind(items)}),
    }
}

/// With those limits that are set.
fn limited<const N: usize>(mut schema: Value, limits: [(&str, Value); N]) -> Value {
    for (name, limit) in limits.into_iter().filter(|(_, limit)| !limit.is_null()) {
        schema[name] = limit;
    }
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn named(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}
