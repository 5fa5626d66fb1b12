//! Reads what the API's list of OpenAPI documents says, and the documents: as a model's source, and what collections can be asked for.
//!
//! ODS/API up to 7.0 speaks Swagger 2.0, later ones and DMS OpenAPI 3; their paths are of the same shape. A genuine document has 3 MB, of
//! which a twentieth matters for a model: [`compacted`] is what the cache keeps for that, and is read in its place.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::reply;
use super::transport::http::Uri;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Source, compact, openapi};
use crate::resource::Resource;

/// The URLs of the documents that describe what can be posted, as the list spells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// Of the document of resources.
    pub resources: Option<String>,
    /// Of the document of descriptors.
    pub descriptors: Option<String>,
    /// The names of profiles, and the URLs of their documents.
    pub profiles: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    endpoint_uri: Option<String>,
    #[serde(default)]
    prefix: Option<String>,
}

/// What a resource's collection can be asked for by GET.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// The names of the query's parameters, as the document spells them.
    pub parameters: BTreeSet<String>,
    /// How many records a page has at most, where the document tells.
    pub largest_page: Option<u64>,
    /// Whether it is given in partitions that can be walked side by side (ODS/API 7.3 and later, DMS).
    pub partitions: bool,
}

#[derive(Deserialize)]
struct Document {
    paths: Option<BTreeMap<String, Path>>,
    #[serde(default)]
    openapi: Value,
    #[serde(default)]
    swagger: Value,
    /// Of Swagger 2.0.
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    /// Of OpenAPI 3.
    #[serde(default)]
    components: Components,
}

#[derive(Default, Deserialize)]
struct Components {
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
}

#[derive(Deserialize)]
struct Path {
    post: Option<IgnoredAny>,
    #[serde(default)]
    get: Get,
}

#[derive(Default, Deserialize)]
struct Get {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    name: Option<String>,
    #[serde(default)]
    maximum: Value,
    #[serde(default)]
    schema: Value,
}

/// Reads the list of documents that `url` answered. Profiles have a prefix; composites and others have one too and are passed over.
pub fn list(url: &Uri, body: &[u8]) -> Result<Documents> {
    let listed: Vec<Listed> = reply::json(body).or_stop(Exit::GivenUp, || {
        format!("the list of OpenAPI documents at {url} is not what an Ed-Fi API answers")
    })?;
    let named = |name: &str| {
        let own = |l: &&Listed| l.prefix.as_deref().unwrap_or_default().is_empty() && l.name.eq_ignore_ascii_case(name);
        listed.iter().find(own).and_then(|l| l.endpoint_uri.clone())
    };
    let is_profile = |l: &&Listed| l.prefix.as_deref().is_some_and(|prefix| prefix.eq_ignore_ascii_case("Profiles"));
    let profile = |l: &Listed| Some((l.name.clone(), l.endpoint_uri.clone()?));
    let profiles = listed.iter().filter(is_profile).filter_map(profile).collect();
    Ok(Documents { resources: named("Resources"), descriptors: named("Descriptors"), profiles })
}

/// The first line of what [`compacted`] makes, by which it is told from a document. Changes whenever the lines that follow mean something else.
const COMPACTED: &str = "# What matters of an OpenAPI document, form 2.\n";

/// What matters of an OpenAPI document, as the text of [`compact`]; the document itself where that cannot tell it.
pub fn compacted(body: Vec<u8>) -> Vec<u8> {
    let read = |body: &[u8]| {
        let mut source = Source::default();
        openapi::read(&reply::json(body).ok()?, &mut source).ok()?;
        compact::write(&source, &[])
    };
    read(&body).map_or(body, |text| format!("{COMPACTED}{text}").into_bytes())
}

/// Adds what the OpenAPI document that `url` answered, compacted or not, says to `source`.
pub fn add(url: &Uri, body: &[u8], source: &mut Source) -> Result<()> {
    let wrong = || format!("the OpenAPI document at {url} is not what an Ed-Fi API answers");
    if body.starts_with(COMPACTED.as_bytes()) {
        let text = std::str::from_utf8(body).or_stop(Exit::GivenUp, wrong)?;
        source.merge(compact::read(text).or_stop(Exit::GivenUp, wrong)?.0);
        return Ok(());
    }
    let document: openapi::Document = reply::json(body).or_stop(Exit::GivenUp, wrong)?;
    openapi::read(&document, source).or_stop(Exit::GivenUp, wrong)
}

/// Reads from the OpenAPI document that `url` answered which resources can be posted, and what each can be asked for.
pub fn collections(url: &Uri, body: &[u8]) -> Result<BTreeMap<Resource, Collection>> {
    let wrong = || format!("the OpenAPI document at {url} is not what an Ed-Fi API answers");
    let document: Document = reply::json(body).or_stop(Exit::GivenUp, wrong)?;
    if document.paths.is_none() && document.openapi.is_null() && document.swagger.is_null() {
        return Err(Error::api(wrong()));
    }
    let posted = document.paths.iter().flatten().filter(|(_, path)| path.post.is_some());
    // A path with a placeholder has three segments and so is no resource's.
    Ok(posted.filter_map(|(path, item)| Some((Resource::from_path(path)?, document.collection(path, item)))).collect())
}

impl Document {
    fn collection(&self, path: &str, item: &Path) -> Collection {
        let parameters = || item.get.parameters.iter().filter_map(|parameter| self.resolved(parameter));
        let limit = parameters().find(|parameter| parameter.name.as_deref() == Some("limit"));
        Collection {
            parameters: parameters().filter_map(|parameter| parameter.name.clone()).collect(),
            largest_page: limit.and_then(|limit| limit.maximum.as_u64().or(limit.schema["maximum"].as_u64())),
            partitions: self
                .paths
                .iter()
                .any(|all| all.contains_key(&format!("{}/partitions", path.trim_end_matches('/')))),
        }
    }

    /// What stands in place of a `$ref`.
    fn resolved<'d>(&'d self, parameter: &'d Parameter) -> Option<&'d Parameter> {
        let Some(reference) = &parameter.reference else { return Some(parameter) };
        let name = reference.rsplit('/').next()?;
        self.components.parameters.get(name).or_else(|| self.parameters.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.com/metadata";

    #[test]
    fn the_list_is_read_by_name_in_any_casing_and_without_prefix() {
        let documents = |body: &str| list(&Uri::from_static(URL), body.as_bytes()).unwrap();
        let ods = r#"[
            {"name":"Resources","endpointUri":"https://example.com/profile","prefix":"Profiles"},
            {"name":"Descriptors","endpointUri":"https://example.com/descriptors/swagger.json","prefix":""},
            {"name":"Resources","endpointUri":"https://example.com/resources/swagger.json","prefix":""}]"#;
        assert_eq!(
            documents(ods),
            Documents {
                resources: Some("https://example.com/resources/swagger.json".into()),
                descriptors: Some("https://example.com/descriptors/swagger.json".into()),
                profiles: vec![("Resources".into(), "https://example.com/profile".into())]
            }
        );
        let dms = r#"[{"name":"resources","endpointUri":"https://example.com/resources-spec.json"},
            {"name":"Discovery","endpointUri":"https://example.com/discovery-spec.json","prefix":"Other"}]"#;
        assert_eq!(
            documents(dms),
            Documents { resources: Some("https://example.com/resources-spec.json".into()), ..Documents::default() }
        );
        assert!(list(&Uri::from_static(URL), b"{}").unwrap_err().to_string().contains(URL));
    }

    #[test]
    fn what_can_be_posted_and_asked_for_is_read_from_both_generations() {
        let paths = r##""paths":{
            "/ed-fi/students":{"get":{"parameters":[{"$ref":"#/x/limit"},{"name":"firstName","in":"query"}]},"post":{"summary":"x"}},
            "/ed-fi/students/partitions":{"get":{}},
            "/ed-fi/students/{id}":{"get":{},"put":{},"delete":{},"post":{}},
            "/ed-fi/students/deletes":{"get":{}},
            "/tpdm/candidates":{"post":{}},
            "/ed-fi/schoolYearTypes":{"parameters":[],"get":{}}}"##;
        let old = r#""swagger":"2.0","parameters":{"limit":{"name":"limit","maximum":500}}"#;
        let new =
            r#""openapi":"3.0.1","components":{"parameters":{"limit":{"name":"limit","schema":{"maximum":500}}}}"#;
        for document in [format!("{{{old},{paths}}}"), format!("{{{new},{paths}}}")] {
            let read = collections(&Uri::from_static(URL), document.as_bytes()).unwrap();
            let parameters = ["firstName", "limit"].map(String::from).into();
            let students = Collection { parameters, largest_page: Some(500), partitions: true };
            let expected = [("ed-fi", "students", students), ("tpdm", "candidates", Collection::default())];
            let expected = expected.map(|(namespace, name, known)| (Resource::new(namespace, name), known));
            assert_eq!(read, BTreeMap::from(expected));
        }
        assert!(collections(&Uri::from_static(URL), b"[]").unwrap_err().to_string().contains(URL));
    }

    #[test]
    fn what_is_no_openapi_document_is_told_with_its_address() {
        for body in ["[]", "{", r#"{"paths":{}}"#] {
            let error = add(&Uri::from_static(URL), body.as_bytes(), &mut Source::default()).unwrap_err();
            assert!(error.to_string().contains(URL), "{error}");
        }
    }

    const DOCUMENT: &str = r##"{"definitions":{
        "school":{"required":["schoolId"],"properties":{"schoolId":{"type":"integer"},"rank":{"$ref":"#/definitions/rank"}}},
        "rank":{"properties":{"at place":{"type":"string"}}},
        "plain":{"properties":{"schoolId":{"type":"integer"}}}},
        "paths":{"/ed-fi/schools":{"post":{"parameters":[{"in":"body","schema":{"$ref":"#/definitions/BODY"}}]}}}}"##;

    #[test]
    fn what_matters_is_read_from_the_document_and_from_what_is_kept_of_it_alike() {
        let url = Uri::from_static(URL);
        // The second has a name that the compact form cannot tell, so that the document itself is kept.
        for (body, shorter) in [("plain", true), ("school", false)] {
            let document = DOCUMENT.replace("BODY", body).into_bytes();
            let kept = compacted(document.clone());
            assert_eq!(kept.starts_with(b"#"), shorter);
            let read = |body: &[u8]| {
                let mut source = Source::default();
                add(&url, body, &mut source).unwrap();
                source
            };
            let (known, read) = (read(&document), read(&kept));
            assert_eq!(read.endpoints, known.endpoints);
            assert_eq!(read.schemas[body], known.schemas[body]);
        }
        for wrong in ["{}", "<html>", &format!("{COMPACTED}nonsense")] {
            assert_eq!(compacted(wrong.into()), wrong.as_bytes());
            assert!(add(&url, wrong.as_bytes(), &mut Source::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_genuine_documents_have_their_known_resources() {
        let documents = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
        for (file, count) in [
            ("ods-5.3/resources.swagger2.json", 129),
            ("ds-5.0/resources.openapi3.json", 143),
            ("ds-5.0/descriptors.openapi3.json", 218),
        ] {
            // The documents are not part of the project.
            let Ok(body) = std::fs::read(documents.join(file)) else { continue };
            let mut source = Source::default();
            add(&Uri::from_static(URL), &body, &mut source).unwrap();
            assert_eq!(source.endpoints.len(), count, "{file}");
            let read = collections(&Uri::from_static(URL), &body).unwrap();
            assert_eq!(read.len(), count, "{file}");
            assert!(read.values().all(|known| known.largest_page == Some(500)), "{file}");
        }
    }
}
