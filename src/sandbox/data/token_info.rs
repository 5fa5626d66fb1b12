//! What the API tells of a token: its caller's claims, and the education organizations by their names and kinds.

use serde_json::{Map, Value, json};

use super::Data;
use crate::sandbox::answer::Answer;
use crate::sandbox::store::identify;

impl Data {
    /// The answer to a question about a token of the client with this key.
    pub fn token_info(&self, client: &str) -> Answer<'static> {
        let all = || {
            let ids = |&position: &usize| {
                let ids = self.store.ids(position, 0..u64::MAX).into_iter();
                ids.filter_map(move |id| self.organization(position, id))
            };
            self.organizations.iter().flat_map(ids).collect()
        };
        let named = |id: i64| {
            let found = self.organizations.iter().find_map(|&position| {
                let resource = &self.model.definitions()[position].resource;
                let key = self.checkers.get(resource)?.key(|_| Some(id.to_string()))?;
                self.organization(position, identify(resource, key.strict))
            });
            // Claims can name one that is not loaded yet.
            found.unwrap_or_else(|| json!({"education_organization_id": id}))
        };
        let definitions = self.model.definitions();
        let told = self.caller.token_info(client, definitions, |at| self.forbidden.contains(&at), all, named);
        Answer::json(200, told.to_string().into_bytes())
    }

    /// An education organization as the answer has it: its id under its own name too, and that of its district.
    fn organization(&self, position: usize, id: u128) -> Option<Value> {
        let definition = &self.model.definitions()[position];
        let stored: Value = serde_json::from_slice(&self.store.get(position, id)?.body).ok()?;
        let name = definition.key().next()?.name.clone();
        let mut told = Map::new();
        told.insert("education_organization_id".into(), stored[&*name].clone());
        if let Some(district) = stored.pointer("/localEducationAgencyReference/localEducationAgencyId") {
            told.insert("local_education_agency_id".into(), district.clone());
        }
        told.insert(with_underscores(&name), stored[&*name].clone());
        told.insert("name_of_institution".into(), stored["nameOfInstitution"].clone());
        let kind = format!("{}.{}", definition.resource.namespace().replace('-', ""), definition.body.entity());
        told.insert("type".into(), kind.into());
        Some(told.into())
    }
}

/// `local_education_agency_id` for `localEducationAgencyId`.
fn with_underscores(name: &str) -> String {
    let letter = |letter: char| match letter.is_uppercase() {
        true => format!("_{}", letter.to_lowercase()),
        false => letter.to_string(),
    };
    name.chars().map(letter).collect()
}
