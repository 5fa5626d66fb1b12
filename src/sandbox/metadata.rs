//! What the sandbox says of itself: discovery, dependencies and OpenAPI documents, of the built-in model or of a folder.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::order::{self, Dependency};
use super::{compact, render};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Definition, Endpoint, Model, Source, openapi};
use crate::resource::Resource;

const BUILT_IN: &str = include_str!("ds-5.0.model");

/// The model that is served, and where it comes from.
pub struct Metadata {
    /// What resources there are.
    pub model: Arc<Model>,
    /// Their order.
    pub dependencies: Vec<Dependency>,
    /// The discovery document without its URLs.
    discovery: Value,
    resources: Origin,
    descriptors: Origin,
}

/// Where an OpenAPI document comes from.
enum Origin {
    /// A file, served as it is.
    File(Vec<u8>),
    /// The model.
    Model,
}

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
    /// Such as `http://127.0.0.1:8765`.
    base: String,
    /// Written when first asked for: those of the built-in model are large.
    written: [OnceLock<Document>; PATHS.len()],
}

const PATHS: [&str; 5] = [
    "/",
    "/metadata",
    "/metadata/data/v3/dependencies",
    "/metadata/data/v3/resources/swagger.json",
    "/metadata/data/v3/descriptors/swagger.json",
];

impl Metadata {
    /// Data Standard 5.0 with TPDM.
    pub fn built_in() -> Result<Metadata> {
        let (source, dependencies) = compact::read(BUILT_IN)?;
        Metadata::new(&source, &dependencies, discovery(), Origin::Model, Origin::Model)
    }

    /// From the documents of a folder, told apart by what they contain. The OpenAPI of resources must be there. Without that of
    /// descriptors, the descriptors are those of the dependencies, or else the built-in ones; without dependencies, the order is
    /// derived from references.
    pub fn of_folder(folder: &Path) -> Result<Metadata> {
        let found = Found::in_folder(folder)?;
        let (resources_file, resources) = found.resources.ok_or_else(|| {
            Error::usage(format!(
                "{} has no OpenAPI document of resources (JSON, with POST operations)",
                folder.display()
            ))
        })?;
        let mut source = Source::default();
        read_openapi(&resources_file, &resources, &mut source)?;
        let dependencies = match &found.dependencies {
            Some((file, document)) => {
                order::read(document).or_stop(Exit::Usage, || format!("cannot read {}", file.display()))?
            }
            None => Vec::new(),
        };
        let descriptors = match &found.descriptors {
            Some((file, document)) => {
                read_openapi(file, document, &mut source)?;
                Origin::File(document.to_string().into_bytes())
            }
            None => {
                add_descriptors(&mut source, &dependencies)?;
                Origin::Model
            }
        };
        let mut discovery = found.discovery.map_or_else(discovery, |(_, discovery)| discovery);
        // Its URLs say the year by themselves, so that nothing has to be rebuilt from the mode.
        discovery.as_object_mut().map(|discovery| discovery.remove("apiMode"));
        Metadata::new(&source, &dependencies, discovery, Origin::File(resources.to_string().into_bytes()), descriptors)
    }

    fn new(
        source: &Source,
        known: &[Dependency],
        discovery: Value,
        resources: Origin,
        descriptors: Origin,
    ) -> Result<Metadata> {
        let model = Arc::new(Model::compile(source)?);
        let dependencies = order::complete(&model, known);
        Ok(Metadata { model, dependencies, discovery, resources, descriptors })
    }

    fn openapi(&self, server: &str, descriptors: bool) -> Vec<u8> {
        let (title, origin) = match descriptors {
            true => ("Descriptors", &self.descriptors),
            false => ("Resources", &self.resources),
        };
        let definitions = || -> Vec<&Definition> {
            self.model
                .definitions()
                .iter()
                .filter(|definition| definition.resource.is_descriptor() == descriptors)
                .collect()
        };
        match origin {
            Origin::File(bytes) => bytes.clone(),
            Origin::Model => render::document(title, server, &definitions()).to_string().into_bytes(),
        }
    }
}

impl Library {
    /// The documents of `metadata` on a server at `base`.
    pub fn new(metadata: Metadata, base: String) -> Library {
        Library { metadata, base, written: Default::default() }
    }

    /// The document at `path`, with or without a slash at its end.
    pub fn get(&self, path: &str) -> Option<&Document> {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        let at = PATHS.iter().position(|known| *known == path)?;
        Some(self.written[at].get_or_init(|| {
            let body = self.write(at);
            let etag = blake3::hash(&body).as_bytes().iter().take(8).fold(0, |etag, &byte| etag << 8 | u64::from(byte));
            Document { body, etag }
        }))
    }

    fn write(&self, at: usize) -> Vec<u8> {
        let url = |path: &str| format!("{}{path}", self.base);
        let entry = |name: &str, path: &str| json!({"name": name, "endpointUri": url(path), "prefix": ""});
        match at {
            0 => {
                let mut discovery = self.metadata.discovery.clone();
                discovery["urls"] = json!({
                    "dependencies": url(PATHS[2]),
                    "openApiMetadata": url("/metadata/"),
                    "oauth": url("/oauth/token"),
                    "dataManagementApi": url("/data/v3/")
                });
                discovery.to_string().into_bytes()
            }
            1 => json!([entry("Descriptors", PATHS[4]), entry("Resources", PATHS[3])]).to_string().into_bytes(),
            2 => order::document(&self.metadata.dependencies).to_string().into_bytes(),
            3 => self.metadata.openapi(&url("/data/v3"), false),
            _ => self.metadata.openapi(&url("/data/v3"), true),
        }
    }
}

/// The text of the built-in model, made from a folder as [`Metadata::of_folder`] takes it.
pub fn compact_model(folder: &Path) -> Result<String> {
    let metadata = Metadata::of_folder(folder)?;
    let about = "# Ed-Fi Data Standard 5.0 with TPDM: names, types, limits, natural keys, references and load order.\n\
                 # Made by the example compact-model from the Ed-Fi Alliance's OpenAPI documents; src/sandbox/compact.rs tells the\n\
                 # format. The order of what the dependencies leave out is derived from references.\n";
    Ok(format!("{about}{}", compact::write(&metadata.model, &metadata.dependencies)))
}

/// What the built-in model's discovery document says, without URLs.
fn discovery() -> Value {
    json!({
        "version": "7.3",
        "informationalVersion": "7.3, lightbeam's sandbox",
        "suite": "3",
        "build": env!("CARGO_PKG_VERSION"),
        "dataModels": [
            {"name": "Ed-Fi", "version": "5.0.0", "informationalVersion": "The Ed-Fi Data Model 5.0"},
            {"name": "TPDM", "version": "1.1.0", "informationalVersion": "TPDM-Core"}
        ]
    })
}

type File = (PathBuf, Value);

/// The documents of a folder.
#[derive(Default)]
struct Found {
    resources: Option<File>,
    descriptors: Option<File>,
    dependencies: Option<File>,
    discovery: Option<File>,
}

impl Found {
    fn in_folder(folder: &Path) -> Result<Found> {
        let cannot = || format!("cannot read the folder of metadata {}", folder.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).or_stop(Exit::Usage, cannot)? {
            files.push(entry.or_stop(Exit::Usage, cannot)?.path());
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")));
        files.sort();
        let mut found = Found::default();
        for file in files {
            let cannot = || format!("cannot read {}", file.display());
            let bytes = std::fs::read(&file).or_stop(Exit::Usage, cannot)?;
            let document: Value = serde_json::from_slice(&bytes).or_stop(Exit::Usage, cannot)?;
            let Some(role) = found.role(&document) else { continue };
            if let Some((other, _)) = role {
                let (file, other) = (file.display(), other.display());
                return Err(Error::usage(format!(
                    "{other} and {file} are the same kind of document; keep one of them"
                )));
            }
            *role = Some((file, document));
        }
        Ok(found)
    }

    /// What `document` is, by its contents; `None` if nothing that is served.
    fn role(&mut self, document: &Value) -> Option<&mut Option<File>> {
        let is_entry = |entry: &Value| entry.get("resource").is_some() && entry.get("order").is_some();
        if document.as_array().is_some_and(|entries| entries.first().is_some_and(is_entry)) {
            return Some(&mut self.dependencies);
        }
        if document.get("urls").is_some() && document.get("version").is_some() {
            return Some(&mut self.discovery);
        }
        let posts = document["paths"].as_object()?.iter().filter(|(_, item)| item.get("post").is_some());
        let resources: Vec<Resource> = posts.filter_map(|(path, _)| Resource::from_path(path)).collect();
        match (resources.is_empty(), resources.iter().all(Resource::is_descriptor)) {
            (true, _) => None,
            (false, true) => Some(&mut self.descriptors),
            (false, false) => Some(&mut self.resources),
        }
    }
}

fn read_openapi(file: &Path, document: &Value, source: &mut Source) -> Result<()> {
    openapi::read(document, source).or_stop(Exit::Usage, || format!("cannot read {}", file.display()))
}

/// Adds the descriptors that `dependencies` name, or the built-in ones if they name none. All descriptors have the same members.
fn add_descriptors(source: &mut Source, dependencies: &[Dependency]) -> Result<()> {
    let (built_in, _) = compact::read(BUILT_IN)?;
    let known = || built_in.endpoints.iter().filter(|endpoint| endpoint.resource.is_descriptor());
    let mut names: Vec<Resource> =
        dependencies.iter().map(|d| d.resource.clone()).filter(Resource::is_descriptor).collect();
    if names.is_empty() {
        names = known().map(|endpoint| endpoint.resource.clone()).collect();
    }
    names.sort();
    names.dedup();
    let members = known().next().and_then(|endpoint| built_in.schemas.get(&endpoint.body)).cloned().unwrap_or_default();
    names.retain(|name| source.endpoints.iter().all(|endpoint| endpoint.resource != *name));
    for resource in names {
        let body = format!("{}_{}", resource.namespace(), resource.name().trim_end_matches('s'));
        source.schemas.insert(body.clone(), members.clone());
        source.endpoints.push(Endpoint { resource, body, parameters: Vec::new() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shared(folder: &str) -> Option<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata").join(folder);
        folder.is_dir().then_some(folder)
    }

    fn json(library: &Library, path: &str) -> Value {
        serde_json::from_slice(&library.get(path).unwrap().body).unwrap()
    }

    #[test]
    fn the_built_in_model_is_what_the_tool_makes() {
        let Some(folder) = shared("ds-5.0") else { return };
        assert!(compact_model(&folder).unwrap() == BUILT_IN, "run the example compact-model again");
    }

    #[test]
    fn the_built_in_model_covers_data_standard_5_with_tpdm() {
        let metadata = Metadata::built_in().unwrap();
        let descriptors = metadata.model.definitions().iter().filter(|d| d.resource.is_descriptor()).count();
        assert_eq!((metadata.model.definitions().len() - descriptors, descriptors), (143, 218));
        for definition in metadata.model.definitions() {
            assert!(definition.key().count() > 0 && definition.parameters.iter().all(|p| !p.paths.is_empty()));
            assert!(definition.references().iter().all(|referral| !referral.reference.targets.is_empty()));
        }
        assert!(BUILT_IN.len() < 250_000);
    }

    #[test]
    fn the_order_names_every_resource_and_puts_it_above_what_it_requires() {
        let Metadata { model, dependencies, .. } = Metadata::built_in().unwrap();
        let creates = |resource: &Resource| {
            dependencies
                .iter()
                .find(|d| d.resource == *resource && d.operations.contains(&"Create".into()))
                .map(|d| d.order)
        };
        for definition in model.definitions().iter().filter(|d| d.resource.name() != "schoolYearTypes") {
            let own = creates(&definition.resource).unwrap();
            for referral in definition.references().into_iter().filter(|referral| referral.required) {
                let lowest = referral.reference.targets.iter().filter_map(|target| creates(&target.resource)).min();
                assert!(lowest.is_none_or(|lowest| lowest < own), "{} {}", definition.resource, referral.path);
            }
        }
        let students: Vec<_> =
            dependencies.iter().filter(|d| d.resource.name() == "students").map(|d| d.order).collect();
        assert_eq!(students, [3, 14], "people come twice");
    }

    #[test]
    fn the_openapi_documents_compile_back_to_the_model() {
        let library = Library::new(Metadata::built_in().unwrap(), "http://127.0.0.1:1".into());
        let again = Model::from_openapi(&[json(&library, PATHS[3]), json(&library, PATHS[4])]).unwrap();
        let sorted = |model: &Model| {
            let mut definitions = model.definitions().to_vec();
            definitions.sort_by(|a, b| a.resource.cmp(&b.resource));
            definitions
        };
        assert!(sorted(&again) == sorted(&library.metadata.model));
    }

    #[test]
    fn documents_lead_to_each_other() {
        let library = Library::new(Metadata::built_in().unwrap(), "http://127.0.0.1:1".into());
        let urls = json(&library, "/")["urls"].clone();
        assert_eq!(urls["dataManagementApi"], "http://127.0.0.1:1/data/v3/");
        let list = json(&library, "/metadata/");
        let listed = list.as_array().unwrap().iter().map(|entry| entry["endpointUri"].clone());
        for url in listed.chain([urls["dependencies"].clone(), urls["openApiMetadata"].clone()]) {
            let path = url.as_str().unwrap().strip_prefix("http://127.0.0.1:1").unwrap();
            assert!(library.get(path).is_some(), "{path}");
        }
        assert!(library.get("/metadata/xsd").is_none());
    }

    #[test]
    fn a_folder_without_descriptors_and_dependencies_gets_the_built_in_descriptors_and_a_derived_order() {
        let Some(folder) = shared("ods-5.3") else { return };
        let metadata = Metadata::of_folder(&folder).unwrap();
        let ordered: BTreeSet<_> = metadata.dependencies.iter().map(|dependency| &dependency.resource).collect();
        assert_eq!(ordered.len(), 129 + 218 - 1, "all but schoolYearTypes");
        let library = Library::new(metadata, "http://127.0.0.1:1".into());
        assert_eq!(json(&library, "/")["version"], "5.3");
        assert_eq!(json(&library, PATHS[3])["swagger"], "2.0", "served as it is");
        assert!(json(&library, PATHS[4])["paths"]["/ed-fi/termDescriptors"].is_object());
    }

    #[test]
    fn a_folder_without_resources_is_an_error_that_says_so() {
        let Some(folder) = shared("ods-6.1") else { return };
        let error = Metadata::of_folder(&folder).err().unwrap().to_string();
        assert!(error.contains("no OpenAPI document of resources"), "{error}");
    }
}
