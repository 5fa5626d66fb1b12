//! The documents with which an API describes itself, and what is made of their absence.

use serde_json::Value;

use super::metadata::{Found, Metadata};
use super::transport::http::Uri;
use super::urls::{self, Urls};
use super::{dependencies, openapi, reply};
use crate::config;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Dependency, Source};

/// The longest discovery document or list of OpenAPI documents that is read. Real ones have 4 kB, and reading makes
/// each byte of a hostile one many.
const SHORT: u64 = 1024 * 1024;

/// The longest document of dependencies that is read. Real ones have 60 kB.
const MIDDLING: u64 = 4 * 1024 * 1024;

/// The longest OpenAPI document that is read. Real ones have 3 MB.
const LONG: u64 = 32 * 1024 * 1024;

/// The API's discovery document, or what was found in its place. Where the configuration says all that is needed, it may fail.
pub fn discovered(metadata: &mut Metadata<'_>, base: &Uri, api: &config::Api) -> Result<Result<Value, String>> {
    let read = |body: &[u8]| {
        let told = || format!("the discovery document at {base} is no JSON; is edfi_api.base_url right?");
        reply::json::<Value>(body).or_stop(Exit::GivenUp, told)
    };
    let by_hand = api.oauth_url.is_some() && api.dependencies_url.is_some();
    match metadata.get("the discovery document", SHORT, base, read) {
        Ok(Found::Document(document)) => Ok(Ok(document)),
        Ok(Found::Absent(refusal)) => Ok(Err(format!("{}, {}", refusal.status, refusal.text()))),
        Err(error) if by_hand && error.exit() == Exit::GivenUp => {
            (metadata.warn)(format!("{error}; going by the configuration alone"));
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// The API's dependencies, without which nothing can be sent in order.
pub fn ordered(metadata: &mut Metadata<'_>, base: &Uri, urls: &Urls) -> Result<Vec<Dependency>> {
    let Some(url) = &urls.dependencies else {
        return Err(Error::api(format!(
            "the API at {base} does not tell the order of its resources (urls.dependencies of its discovery document): \
             set edfi_api.dependencies_url"
        )));
    };
    match metadata.get("the dependencies", MIDDLING, url, |body| dependencies::read(url, body))? {
        Found::Document(dependencies) => Ok(dependencies),
        Found::Absent(refusal) => Err(Error::api(format!(
            "the API has no dependencies at {url} ({}, {}): set edfi_api.dependencies_url",
            refusal.status,
            refusal.text()
        ))),
    }
}

/// What the API's OpenAPI documents say of resources and descriptors. A document that the API does not have is a warning, and what it
/// would say is missing.
pub fn described(metadata: &mut Metadata<'_>, base: &Uri, api: &config::Api, urls: &Urls) -> Result<Source> {
    let (mut resources, mut descriptors) = (urls.resources_document.clone(), urls.descriptors_document.clone());
    if let (true, Some(list)) = (resources.is_none() || descriptors.is_none(), &urls.open_api) {
        let read = |body: &[u8]| openapi::list(list, body);
        match metadata.get("the list of OpenAPI documents", SHORT, list, read)? {
            Found::Document(listed) => {
                let mended = |url: Option<String>| url.map(|u| urls::mended(base, api, &u)).transpose();
                resources = resources.or(mended(listed.resources)?);
                descriptors = descriptors.or(mended(listed.descriptors)?);
            }
            Found::Absent(_) => (metadata.warn)(format!("the API has no list of OpenAPI documents at {list}")),
        }
    }
    let compacted = metadata.cache.compacted();
    let mut metadata = Metadata { wire: metadata.wire, cache: &compacted, warn: metadata.warn };
    let mut source = Source::default();
    for (what, url) in [("resources", resources), ("descriptors", descriptors)] {
        let Some(url) = url else {
            (metadata.warn)(format!("the API does not tell where its OpenAPI document of {what} is"));
            continue;
        };
        let read = |body: &[u8]| {
            let mut source = Source::default();
            openapi::add(&url, body, &mut source).map(|()| source)
        };
        let name = format!("the OpenAPI document of {what}");
        match metadata.get_made(&name, LONG, &url, openapi::compacted, read)? {
            Found::Document(known) => source.merge(known),
            Found::Absent(_) => (metadata.warn)(format!("the API has no OpenAPI document of {what} at {url}")),
        }
    }
    Ok(source)
}
