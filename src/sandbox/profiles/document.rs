//! Writes the OpenAPI document of a profile: the resources that it covers, with its media types and the members that it leaves.

use serde_json::{Value, json};

use super::{Profile, Usage};
use crate::model::Definition;
use crate::sandbox::render;

/// The document of `profile`; `definitions` are those of the API, in their order.
pub fn document(profile: &Profile, server: &str, definitions: &[Definition], cursor: bool) -> Value {
    let covered = || (0..).zip(definitions).filter_map(|(at, of)| Some((of, profile.covers.get(&at)?)));
    let listed: Vec<&Definition> = covered().map(|(definition, _)| definition).collect();
    let mut document = render::document(&profile.name, server, &listed, cursor);
    for (definition, covers) in covered() {
        let name = &*definition.body.name;
        let body = document["components"]["schemas"].as_object_mut().and_then(|schemas| schemas.remove(name));
        let path = format!("/{}", definition.resource);
        for (usage, method, suffix) in [(Usage::Readable, "get", "readable"), (Usage::Writable, "post", "writable")] {
            let Some(hidden) = covers.hidden(usage) else {
                document["paths"][&path].as_object_mut().map(|methods| methods.remove(method));
                continue;
            };
            let mut schema = body.clone().unwrap_or_default();
            if let Some(properties) = schema["properties"].as_object_mut() {
                properties.retain(|name, _| !hidden.contains(&**name));
            }
            if let Some(required) = schema["required"].as_array_mut() {
                required.retain(|name| name.as_str().is_none_or(|name| !hidden.contains(name)));
            }
            let called = format!("{name}_{suffix}");
            let reference = json!({"$ref": format!("#/components/schemas/{called}")});
            document["components"]["schemas"][&called] = schema;
            let media_type = profile.media_type(definition, usage);
            let operation = &mut document["paths"][&path][method];
            match usage {
                Usage::Readable => {
                    let list = json!({"type": "array", "items": reference});
                    operation["responses"]["200"]["content"] = json!({media_type: {"schema": list}});
                }
                Usage::Writable => operation["requestBody"]["content"] = json!({media_type: {"schema": reference}}),
            }
        }
    }
    document
}
