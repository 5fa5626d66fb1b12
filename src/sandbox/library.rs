//! What the sandbox says of itself: discovery, the list of OpenAPI documents, these, and the dependencies.

use std::sync::{Arc, OnceLock};

use serde_json::json;

use super::caller::Caller;
use super::metadata::{Metadata, Origin};
use super::profiles::{Profile, document};
use super::{order, render};
use crate::model::Definition;
use crate::resource::Resource;

/// A document as served.
pub struct Document {
    /// JSON.
    pub body: Vec<u8>,
    /// For `If-None-Match`.
    pub etag: u64,
}

/// The documents at their addresses.
pub struct Library {
    metadata: Metadata,
    /// Whether pages can be asked for by a cursor.
    cursor: bool,
    /// Such as `http://127.0.0.1:8765`.
    base: String,
    /// Written when first asked for: those of the built-in model are large.
    written: [OnceLock<Document>; PATHS.len()],
    caller: Arc<Caller>,
    /// Those of the caller's profiles, in their order.
    of_profiles: Vec<OnceLock<Document>>,
}

const DISCOVERY: &str = "/";
const LIST: &str = "/metadata";
const DEPENDENCIES: &str = "/metadata/data/v3/dependencies";
const RESOURCES: &str = "/metadata/data/v3/resources/swagger.json";
const DESCRIPTORS: &str = "/metadata/data/v3/descriptors/swagger.json";
const PATHS: [&str; 5] = [DISCOVERY, LIST, DEPENDENCIES, RESOURCES, DESCRIPTORS];

impl Document {
    fn new(body: Vec<u8>) -> Document {
        let etag = blake3::hash(&body).as_bytes().iter().take(8).fold(0, |etag, &byte| etag << 8 | u64::from(byte));
        Document { body, etag }
    }
}

/// Where the document of a profile is.
fn of_profile(profile: &Profile) -> String {
    format!("/metadata/data/v3/profiles/{}/swagger.json", profile.name.to_lowercase())
}

impl Library {
    /// The documents of `metadata` on a server at `base`, with or without paging by cursor.
    pub fn new(metadata: Metadata, base: String, cursor: bool, caller: Arc<Caller>) -> Library {
        let of_profiles = caller.profiles.all().iter().map(|_| OnceLock::new()).collect();
        Library { metadata, cursor, base, written: Default::default(), caller, of_profiles }
    }

    /// The document at `path`, with or without a slash at its end.
    pub fn get(&self, path: &str) -> Option<&Document> {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        if let Some(at) = self.caller.profiles.all().iter().position(|profile| of_profile(profile) == path) {
            return Some(self.of_profiles[at].get_or_init(|| {
                let (profile, server) = (&self.caller.profiles.all()[at], format!("{}/data/v3", self.base));
                let written = document::document(profile, &server, self.metadata.model.definitions(), self.cursor);
                Document::new(written.to_string().into_bytes())
            }));
        }
        let at = PATHS.iter().position(|known| *known == path)?;
        Some(self.written[at].get_or_init(|| Document::new(self.write(PATHS[at]))))
    }

    fn write(&self, path: &str) -> Vec<u8> {
        let url = |path: &str| format!("{}{path}", self.base);
        let entry = |name: &str, path: &str| json!({"name": name, "endpointUri": url(path), "prefix": ""});
        match path {
            DISCOVERY => {
                let mut discovery = self.metadata.discovery.clone();
                discovery["urls"] = json!({
                    "dependencies": url(DEPENDENCIES),
                    "openApiMetadata": url("/metadata/"),
                    "oauth": url("/oauth/token"),
                    "oauthTokenIntrospection": url("/oauth/token_info"),
                    "dataManagementApi": url("/data/v3/"),
                    "changeQueries": url("/changeQueries/v1/")
                });
                discovery.to_string().into_bytes()
            }
            LIST => {
                let profile = |profile: &Profile| json!({"name": profile.name, "endpointUri": url(&of_profile(profile)), "prefix": "Profiles"});
                let all = [entry("Descriptors", DESCRIPTORS), entry("Resources", RESOURCES)].into_iter();
                let all: Vec<_> = all.chain(self.caller.profiles.all().iter().map(profile)).collect();
                json!(all).to_string().into_bytes()
            }
            DEPENDENCIES => order::document(&self.metadata.dependencies).to_string().into_bytes(),
            RESOURCES => self.openapi("Resources", &self.metadata.resources, |resource| !resource.is_descriptor()),
            _ => self.openapi("Descriptors", &self.metadata.descriptors, Resource::is_descriptor),
        }
    }

    /// The document itself, or one of those resources of the model that belong to it.
    fn openapi(&self, title: &str, origin: &Origin, belongs: fn(&Resource) -> bool) -> Vec<u8> {
        match origin {
            Origin::File(bytes) => bytes.clone(),
            Origin::Model => {
                let definitions = self.metadata.model.definitions().iter();
                let definitions: Vec<&Definition> = definitions.filter(|d| belongs(&d.resource)).collect();
                let server = format!("{}/data/v3", self.base);
                render::document(title, &server, &definitions, self.cursor).to_string().into_bytes()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::model::Model;

    fn json(library: &Library, path: &str) -> Value {
        serde_json::from_slice(&library.get(path).unwrap().body).unwrap()
    }

    #[test]
    fn the_openapi_documents_compile_back_to_the_model() {
        let library = Library::new(Metadata::built_in().unwrap(), "http://127.0.0.1:1".into(), true, Arc::default());
        let again = Model::from_openapi(&[json(&library, RESOURCES), json(&library, DESCRIPTORS)]).unwrap();
        let sorted = |model: &Model| {
            let mut definitions = model.definitions().to_vec();
            definitions.sort_by(|a, b| a.resource.cmp(&b.resource));
            definitions
        };
        assert!(sorted(&again) == sorted(&library.metadata.model));
    }

    #[test]
    fn documents_lead_to_each_other() {
        let library = Library::new(Metadata::built_in().unwrap(), "http://127.0.0.1:1".into(), true, Arc::default());
        let urls = json(&library, DISCOVERY)["urls"].clone();
        assert_eq!(urls["dataManagementApi"], "http://127.0.0.1:1/data/v3/");
        let list = json(&library, "/metadata/");
        let listed = list.as_array().unwrap().iter().map(|entry| entry["endpointUri"].clone());
        for url in listed.chain([urls["dependencies"].clone(), urls["openApiMetadata"].clone()]) {
            let path = url.as_str().unwrap().strip_prefix("http://127.0.0.1:1").unwrap();
            assert!(library.get(path).is_some(), "{path}");
        }
        assert!(library.get("/metadata/xsd").is_none());
    }
}
