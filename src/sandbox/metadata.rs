//! What is served: the built-in model, or what a folder of documents says.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::folder::Found;
use super::order;
use crate::api::dependencies;
use crate::api::saved::Saved;
use crate::edfi::tolerance::FIRST_DMS;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Dependency, Endpoint, Model, Source, Values, compact, openapi};
use crate::resource::Resource;

const BUILT_IN: &str = include_str!("ds-5.0.model");

/// The model that is served, and where it comes from.
pub struct Metadata {
    /// What resources there are.
    pub model: Arc<Model>,
    /// Their order.
    pub dependencies: Vec<Dependency>,
    /// The discovery document without its URLs.
    pub discovery: Value,
    /// The values that its descriptors have from the start.
    pub values: Values,
    /// The OpenAPI document of resources.
    pub resources: Origin,
    /// The OpenAPI document of descriptors.
    pub descriptors: Origin,
}

/// Where an OpenAPI document comes from.
pub enum Origin {
    /// A file, served as it is.
    File(Vec<u8>),
    /// The model.
    Model,
}

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
        let documents = Documents::of_folder(folder)?;
        let discovery = without_mode(documents.discovery.unwrap_or_else(discovery));
        Metadata::new(
            &documents.source,
            &documents.dependencies,
            discovery,
            Origin::File(documents.resources),
            documents.descriptors,
        )
    }

    /// From what was saved of an API.
    pub fn of_saved(saved: Saved) -> Result<Metadata> {
        if saved.source.endpoints.is_empty() {
            return Err(Error::usage(format!(
                "the metadata of the API at {} has no OpenAPI documents, so that the sandbox cannot serve it",
                saved.base_url
            )));
        }
        let discovery = without_mode(saved.discovery.unwrap_or_else(discovery));
        let metadata = Metadata::new(&saved.source, &saved.dependencies, discovery, Origin::Model, Origin::Model)?;
        Ok(Metadata { values: saved.values, ..metadata })
    }

    /// The same, in another version of the ODS/API, or of the DMS.
    pub fn of_version(mut self, version: Option<&str>) -> Metadata {
        let Some(version) = version else { return self };
        self.discovery["version"] = version.into();
        self.discovery["informationalVersion"] = format!("{version}, lightbeam's sandbox").into();
        let is_dms =
            version.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major| FIRST_DMS <= major);
        if let Some(discovery) = self.discovery.as_object_mut().filter(|_| is_dms) {
            discovery.retain(|name, _| !["suite", "build"].contains(&name.as_str()));
            discovery.insert("applicationName".into(), "Ed-Fi API".into());
        }
        self
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
        Ok(Metadata { model, dependencies, discovery, values: Values::default(), resources, descriptors })
    }
}

/// What the documents of a folder say.
struct Documents {
    source: Source,
    dependencies: Vec<Dependency>,
    discovery: Option<Value>,
    resources: Vec<u8>,
    descriptors: Origin,
}

impl Documents {
    fn of_folder(folder: &Path) -> Result<Documents> {
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
                let entries = document.as_array().map(Vec::as_slice).unwrap_or_default();
                dependencies::sorted(file.display(), entries)
                    .or_stop(Exit::Usage, || format!("cannot read {}", file.display()))?
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
        let discovery = found.discovery.map(|(_, discovery)| discovery);
        Ok(Documents { source, dependencies, discovery, resources: resources.to_string().into_bytes(), descriptors })
    }
}

/// The text of the built-in model, made from a folder as [`super::Options::metadata`] takes it.
pub fn compact_model(folder: &Path) -> Result<String> {
    let Documents { source, dependencies, .. } = Documents::of_folder(folder)?;
    let dependencies = order::complete(&Model::compile(&source)?, &dependencies);
    let about = "# Ed-Fi Data Standard 5.0 with TPDM: names, types, limits, natural keys, references and load order.\n\
                 # Made by the example compact-model from the Ed-Fi Alliance's OpenAPI documents; src/model/compact.rs tells the\n\
                 # format. The order of what the dependencies leave out is derived from references.\n";
    let text = compact::write(&source, &dependencies)
        .ok_or_else(|| Error::usage("the documents hold names or patterns that a compact model cannot tell"))?;
    Ok(format!("{about}{text}"))
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

/// The sandbox's URLs say the year by themselves, so that nothing has to be rebuilt from the mode.
fn without_mode(mut discovery: Value) -> Value {
    discovery.as_object_mut().map(|discovery| discovery.remove("apiMode"));
    discovery
}

fn read_openapi(file: &Path, document: &Value, source: &mut Source) -> Result<()> {
    let cannot = || format!("cannot read {}", file.display());
    let document = openapi::Document::deserialize(document).or_stop(Exit::Usage, cannot)?;
    openapi::read(&document, source).or_stop(Exit::Usage, cannot)
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
    use std::path::PathBuf;

    use super::*;

    fn shared(folder: &str) -> Option<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata").join(folder);
        folder.is_dir().then_some(folder)
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
        let creates = |resource: &Resource| dependencies.iter().find(|d| d.resource == *resource)?.create;
        for definition in model.definitions().iter().filter(|d| d.resource.name() != "schoolYearTypes") {
            let own = creates(&definition.resource).unwrap();
            for referral in definition.references().into_iter().filter(|referral| referral.required) {
                let lowest = referral.reference.targets.iter().filter_map(|target| creates(&target.resource)).min();
                assert!(lowest.is_none_or(|lowest| lowest < own), "{} {}", definition.resource, referral.path);
            }
        }
        let students = dependencies.iter().find(|d| d.resource.name() == "students").unwrap();
        assert_eq!((students.create, students.update), (Some(3), Some(14)), "people come twice");
    }

    #[test]
    fn a_folder_without_descriptors_and_dependencies_gets_the_built_in_descriptors_and_a_derived_order() {
        let Some(folder) = shared("ods-5.3") else { return };
        let metadata = Metadata::of_folder(&folder).unwrap();
        let ordered: BTreeSet<_> = metadata.dependencies.iter().map(|dependency| &dependency.resource).collect();
        assert_eq!(ordered.len(), 129 + 218 - 1, "all but schoolYearTypes");
        assert_eq!(metadata.discovery["version"], "5.3");
        assert!(matches!(metadata.resources, Origin::File(_)), "served as it is");
        assert!(matches!(metadata.descriptors, Origin::Model));
    }

    #[test]
    fn a_folder_without_resources_is_an_error_that_says_so() {
        let Some(folder) = shared("ods-6.1") else { return };
        let error = Metadata::of_folder(&folder).err().unwrap().to_string();
        assert!(error.contains("no OpenAPI document of resources"), "{error}");
    }
}
