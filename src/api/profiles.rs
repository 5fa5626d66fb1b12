//! Names a profile in requests for data.
//!
//! A key to which an API has assigned several profiles must say with each request which of them it means: by the media type of
//! what it writes, and of what it wants to read. `application/vnd.ed-fi.student.sis.writable+json` is for students under the
//! profile `sis`. Which resources a profile covers, its own OpenAPI document tells, if the API lists it; else it is named for all.

use std::collections::BTreeMap;

use fxhash::FxHashMap;
use serde::Deserialize;
use serde_json::Value;

use super::metadata::{Found, Metadata};
use super::transport::http::{HeaderValue, Uri};
use super::urls::{self, Urls};
use super::{documents, reply};
use crate::config::{self, Profile};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::model::Source;
use crate::resource::Resource;

/// The media types of one resource under its profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Types {
    /// Of what is written; `None`: the profile does not cover that.
    pub write: Option<HeaderValue>,
    /// Of what is read; `None`: the profile does not cover that.
    pub read: Option<HeaderValue>,
}

/// The media types of all resources that have a profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profiles {
    /// The path of the API's data URL.
    data: String,
    /// By resource, as URLs spell it.
    types: FxHashMap<String, Types>,
}

impl Profiles {
    /// Of a resource and whatever belongs to it, by the path of its URL; `None` if no profile is named for it.
    fn of<'a>(&'a self, url: &'a Uri) -> Option<(&'a Types, &'a str)> {
        let path = url.path().strip_prefix(&self.data)?.strip_prefix('/')?;
        let end = path.match_indices('/').nth(1).map_or(path.len(), |(at, _)| at);
        Some((self.types.get(&path[..end])?, &path[end..]))
    }

    /// The media type of what is posted to this URL.
    pub fn write(&self, url: &Uri) -> Option<HeaderValue> {
        self.of(url)?.0.write.clone()
    }

    /// The media type that is wanted of this URL. Lists of partitions and of what was deleted are not records.
    pub fn read(&self, url: &Uri) -> Option<HeaderValue> {
        let (types, below) = self.of(url)?;
        match below {
            "/partitions" | "/deletes" | "/keyChanges" => None,
            _ => types.read.clone(),
        }
    }
}

/// What is known of an API whose profiles are to be named.
pub struct Asking<'a> {
    /// The address of its discovery document.
    pub base: &'a Uri,
    /// What the configuration says of it.
    pub api: &'a config::Api,
    /// Where everything is.
    pub urls: &'a Urls,
    /// The resources of its dependencies.
    pub resources: Vec<Resource>,
}

impl Asking<'_> {
    /// The media types for the profiles that the configuration names. `None` if it names none. Where the API's documents cannot be had, `known`
    /// is what an earlier run made of them.
    pub fn profiles(&self, metadata: &mut Metadata<'_>, known: Option<&Source>) -> Result<Option<Profiles>> {
        let Some(profile) = &self.api.profile else { return Ok(None) };
        let documents = match known {
            Some(_) => BTreeMap::new(),
            None => self.documents(metadata, profile)?,
        };
        // Only where a profile has no document must the resources' own names be known.
        let source = match known {
            Some(source) => source.clone(),
            None if profile.names().iter().all(|name| documents.contains_key(*name)) => Source::default(),
            None => self.source(metadata)?,
        };
        let covered = documents.values().flat_map(|document: &Document| document.0.keys());
        let mut resources = self.resources.clone();
        resources.extend(source.endpoints.iter().map(|endpoint| &endpoint.resource).chain(covered).cloned());
        resources.sort();
        resources.dedup();
        if let Some(unknown) = profile.unknown(&resources) {
            (metadata.warn)(format!("edfi_api.profile: the API has no resource {unknown}"));
        }
        let data = urls::parse("the API's data URL", &self.urls.data)?.path().trim_end_matches('/').to_string();
        let types = |resource: &Resource| {
            let name = profile.of(resource)?;
            let types = match documents.get(name) {
                Some(document) => document.0.get(resource)?.types(resource, name),
                None => {
                    let body = source.endpoints.iter().find(|endpoint| endpoint.resource == *resource);
                    let covered = Covered { schema: body.map(|endpoint| endpoint.body.clone()), ..Covered::all() };
                    covered.types(resource, name)
                }
            };
            Some((resource.to_string(), types))
        };
        Ok(Some(Profiles { data, types: resources.iter().filter_map(types).collect() }))
    }

    /// The profiles' own documents, by the names of the configuration, as far as the API lists them.
    fn documents(&self, metadata: &mut Metadata<'_>, profile: &Profile) -> Result<BTreeMap<String, Document>> {
        let mut documents = BTreeMap::new();
        let Some(list) = &self.urls.open_api else { return Ok(documents) };
        let listed = match documents::listed(metadata, list) {
            Ok(listed) => listed.map(|listed| listed.profiles).unwrap_or_default(),
            Err(error) if error.exit() == Exit::GivenUp => {
                (metadata.warn)(format!("{error}; so edfi_api.profile is named for all resources"));
                return Ok(documents);
            }
            Err(error) => return Err(error),
        };
        for name in profile.names() {
            let Some((_, url)) = listed.iter().find(|(listed, url)| is_of(name, listed, url)) else {
                if !listed.is_empty() {
                    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
                    let names = names.join(", ");
                    (metadata.warn)(format!(
                        "edfi_api.profile: {name} is none of the profiles that the API lists: {names}"
                    ));
                }
                continue;
            };
            let url = urls::mended(self.base, self.api, url)?;
            let what = format!("the OpenAPI document of the profile {name}");
            match metadata.get(&what, documents::LONG, &url, |body| Document::read(&url, body))? {
                Found::Document(document) => drop(documents.insert(name.to_string(), document)),
                Found::Absent(_) => {
                    (metadata.warn)(format!("the API has no OpenAPI document of the profile {name} at {url}"))
                }
            }
        }
        Ok(documents)
    }

    /// What the API says of its resources; nothing where it does not say it.
    fn source(&self, metadata: &mut Metadata<'_>) -> Result<Source> {
        let mut source = Source::default();
        let take = |known| source.merge(known);
        match documents::of(metadata, self.base, self.api, self.urls, documents::described, take) {
            Err(error) if error.exit() != Exit::GivenUp => Err(error),
            // Whoever needs it for more than names tells that it is missing.
            _ => Ok(source),
        }
    }
}

/// Whether an entry of the list is that of the profile of this name: an ODS/API lists it by name, a DMS by its URL too.
fn is_of(name: &str, listed: &str, url: &str) -> bool {
    listed.eq_ignore_ascii_case(name) || url.split('/').any(|part| part.eq_ignore_ascii_case(name))
}

/// What a profile's document says of the resources that it covers.
#[derive(Debug, Default)]
struct Document(BTreeMap<Resource, Covered>);

/// How a profile covers a resource.
#[derive(Debug, Default)]
struct Covered {
    /// Whether it can be written, and as what media type, where the document tells.
    write: Option<Option<String>>,
    /// The same of reading.
    read: Option<Option<String>>,
    /// The name of the schema of what is written.
    schema: Option<String>,
}

impl Covered {
    /// Wholly, with nothing told of it.
    fn all() -> Covered {
        Covered { write: Some(None), read: Some(None), schema: None }
    }

    fn types(&self, resource: &Resource, profile: &str) -> Types {
        let singular = self.schema.as_deref().and_then(singular_of_schema).unwrap_or_else(|| singular(resource.name()));
        let made = |usage| {
            let namespace = resource.namespace();
            format!("application/vnd.{namespace}.{singular}.{profile}.{usage}+json").to_lowercase()
        };
        let header = |told: &Option<Option<String>>, usage| {
            let text = told.as_ref()?.clone().unwrap_or_else(|| made(usage));
            HeaderValue::from_str(&text).ok()
        };
        Types { write: header(&self.write, "writable"), read: header(&self.read, "readable") }
    }
}

#[derive(Deserialize)]
struct Paths {
    paths: BTreeMap<String, Value>,
}

impl Document {
    fn read(url: &Uri, body: &[u8]) -> Result<Document> {
        let wrong = || format!("the OpenAPI document at {url} is not what an Ed-Fi API answers");
        let Paths { paths } = reply::json(body).or_stop(Exit::GivenUp, wrong)?;
        let covered = |(path, item): (&String, &Value)| {
            let (post, get) = (item.get("post"), item.get("get"));
            let covered = Covered {
                write: post.map(|post| media_type(&[&post["consumes"], &post["requestBody"]["content"]], "writable")),
                read: get.map(|get| media_type(&[&get["produces"], &get["responses"]["200"]["content"]], "readable")),
                schema: post.and_then(schema),
            };
            Some((Resource::from_path(path)?, covered))
        };
        Ok(Document(paths.iter().filter_map(covered).collect()))
    }
}

/// The media type of a profile among a list of them (Swagger 2.0), or the names of an object (OpenAPI 3).
fn media_type(places: &[&Value], usage: &str) -> Option<String> {
    let listed = places.iter().flat_map(|place| match place {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Object(members) => members.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    });
    let of_profile = |kind: &&str| kind.to_ascii_lowercase().starts_with("application/vnd.") && kind.contains(usage);
    listed.into_iter().find(of_profile).map(String::from)
}

/// The name of the schema of what is posted.
fn schema(post: &Value) -> Option<String> {
    let of_two = post["parameters"].as_array().into_iter().flatten().map(|parameter| &parameter["schema"]["$ref"]);
    let of_three = post["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values());
    let named = of_two.chain(of_three.map(|media| &media["schema"]["$ref"])).find_map(Value::as_str)?;
    named.rsplit('/').next().map(String::from)
}

/// `student` of `edFi_student`, `EdFi_Student` and `edFi_student_writable`.
fn singular_of_schema(schema: &str) -> Option<String> {
    schema.split('_').nth(1).filter(|name| !name.is_empty()).map(str::to_lowercase)
}

/// The singular of a resource's name, where no schema tells it.
fn singular(plural: &str) -> String {
    let plural = plural.to_lowercase();
    match plural.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None if plural == "people" => "person".into(),
        None => plural.strip_suffix('s').unwrap_or(&plural).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.com/metadata";

    fn text(header: Option<HeaderValue>) -> String {
        header.map_or(String::new(), |header| header.to_str().unwrap().into())
    }

    #[test]
    fn media_types_are_lower_case_and_name_resource_and_profile_in_the_singular() {
        for (namespace, name, schema, expected) in [
            ("ed-fi", "students", None, "ed-fi.student"),
            ("ed-fi", "localEducationAgencies", None, "ed-fi.localeducationagency"),
            ("ed-fi", "people", None, "ed-fi.person"),
            ("ed-fi", "classes", Some("edFi_class"), "ed-fi.class"),
            ("tpdm", "candidates", Some("TPDM_Candidate"), "tpdm.candidate"),
            ("TX", "leavers", Some("leaver"), "tx.leaver"),
        ] {
            let covered = Covered { schema: schema.map(String::from), ..Covered::all() };
            let types = covered.types(&Resource::new(namespace, name), "Sis-1.0");
            assert_eq!(text(types.write), format!("application/vnd.{expected}.sis-1.0.writable+json"));
            assert_eq!(text(types.read), format!("application/vnd.{expected}.sis-1.0.readable+json"));
        }
    }

    #[test]
    fn a_profiles_document_tells_what_it_covers_and_its_media_types_in_both_generations() {
        let two = r##"{"paths":{
            "/ed-fi/students":{"get":{"produces":["application/vnd.ed-fi.student.sis.readable+json"]},
                "post":{"consumes":["application/vnd.ed-fi.student.sis.writable+json"],
                    "parameters":[{"in":"body","schema":{"$ref":"#/definitions/edFi_student_writable"}}]}},
            "/ed-fi/students/{id}":{"get":{}},
            "/ed-fi/schools":{"get":{"produces":["application/json"]}}}}"##;
        let three = r##"{"paths":{
            "/ed-fi/students":{
                "get":{"responses":{"200":{"content":{"application/vnd.ed-fi.student.sis.readable+json":{}}}}},
                "post":{"requestBody":{"content":{"application/vnd.ed-fi.student.sis.writable+json":
                    {"schema":{"$ref":"#/components/schemas/EdFi_Student"}}}}}},
            "/ed-fi/schools":{"get":{}}}}"##;
        for document in [two, three] {
            let document = Document::read(&Uri::from_static(URL), document.as_bytes()).unwrap().0;
            assert_eq!(document.len(), 2);
            let [schools, students] = [Resource::new("ed-fi", "schools"), Resource::new("ed-fi", "students")];
            let types = document[&students].types(&students, "sis");
            assert_eq!(text(types.write), "application/vnd.ed-fi.student.sis.writable+json");
            assert_eq!(text(types.read), "application/vnd.ed-fi.student.sis.readable+json");
            let types = document[&schools].types(&schools, "sis");
            assert_eq!(
                (types.write, text(types.read).as_str()),
                (None, "application/vnd.ed-fi.school.sis.readable+json")
            );
        }
        assert!(Document::read(&Uri::from_static(URL), b"[]").unwrap_err().to_string().contains(URL));
    }

    #[test]
    fn pages_and_records_are_asked_for_under_the_profile_and_nothing_else_is() {
        let types = Covered::all().types(&Resource::new("ed-fi", "students"), "sis");
        let types = FxHashMap::from_iter([("ed-fi/students".to_string(), types)]);
        let profiles = Profiles { data: "/api/data/v3".into(), types };
        let read = |path: &str| profiles.read(&format!("https://example.com/api/data/v3/{path}").parse().unwrap());
        for covered in ["ed-fi/students", "ed-fi/students?limit=5", "ed-fi/students/0123"] {
            assert!(read(covered).is_some(), "{covered}");
        }
        for other in ["ed-fi/schools", "ed-fi/students/partitions?number=4", "ed-fi/studentsX", "ed-fi", ""] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(profiles.read(&Uri::from_static("https://example.com/api/oauth/token")), None);
    }
}
