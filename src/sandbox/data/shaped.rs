//! What a profile makes of a payload: members that it leaves out are dropped, and what the item has of them stays.

use serde_json::{Map, Value};

use super::Data;
use crate::sandbox::problem::Problem;
use crate::sandbox::profiles::{Applied, cannot_create};
use crate::sandbox::store::identify;

impl Data {
    /// The payload for the resource at `position` as it is stored under a profile. Nothing can be created that lacks what is required.
    pub(super) fn shaped(
        &self,
        position: usize,
        Applied { profile, hidden }: Applied<'_>,
        mut object: Map<String, Value>,
    ) -> Result<Value, Problem> {
        let definition = &self.model.definitions()[position];
        object.retain(|name, _| !hidden.contains(&**name));
        let mut payload = Value::Object(object);
        let Some(natural) = definition.natural.as_ref().ok() else { return Ok(payload) };
        // Whoever checks the payload tells what its key lacks.
        let Ok(values) = natural.of_value(&payload) else { return Ok(payload) };
        let id = identify(&definition.resource, natural.keys_of(&values).strict);
        match self.store.get(position, id) {
            Some(stored) => {
                let stored: Map<String, Value> = serde_json::from_slice(&stored.body).unwrap_or_default();
                if let Some(object) = payload.as_object_mut() {
                    object.extend(stored.into_iter().filter(|(name, _)| hidden.contains(&**name)));
                }
                Ok(payload)
            }
            None if definition.body.properties.iter().any(|p| p.required && hidden.contains(&*p.name)) => {
                Err(cannot_create(profile))
            }
            None => Ok(payload),
        }
    }
}
