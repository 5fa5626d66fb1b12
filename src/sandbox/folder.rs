//! Finds the Ed-Fi documents of a folder by what they contain, for every server and every person names the files differently.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::resource::Resource;

/// A document and where it is.
pub type File = (PathBuf, Value);

/// The documents of a folder, each with its file.
#[derive(Default)]
pub struct Found {
    /// The OpenAPI document of resources.
    pub resources: Option<File>,
    /// The OpenAPI document of descriptors.
    pub descriptors: Option<File>,
    /// The order of resources.
    pub dependencies: Option<File>,
    /// The discovery document.
    pub discovery: Option<File>,
}

impl Found {
    /// Reads every `.json` file. An error if two are the same kind of document, or one is not JSON.
    pub fn in_folder(folder: &Path) -> Result<Found> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_known_by_what_it_contains() {
        let posts = |path: &str| json!({"paths": {path: {"post": {}}, format!("{path}/{{id}}"): {"get": {}}}});
        let documents = [
            posts("/ed-fi/schools"),
            posts("/ed-fi/termDescriptors"),
            json!([{"resource": "/ed-fi/schools", "order": 1, "operations": []}]),
            json!({"version": "7.3", "urls": {}}),
        ];
        let mut found = Found::default();
        for document in &documents {
            *found.role(document).unwrap() = Some((PathBuf::new(), document.clone()));
        }
        let roles = [found.resources, found.descriptors, found.dependencies, found.discovery];
        assert_eq!(roles.map(|file| file.map(|(_, document)| document)), documents.map(Some));
        for other in [json!([]), json!({"paths": {"/": {"get": {}}}}), json!([{"endpointUri": "x"}])] {
            assert!(Found::default().role(&other).is_none(), "{other}");
        }
    }
}
