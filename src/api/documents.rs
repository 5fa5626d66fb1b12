//! The documents with which an API describes itself, and what is made of their absence.

use std::collections::BTreeMap;

use serde_json::Value;

use super::metadata::{Found, Metadata};
use super::openapi::Collection;
use super::transport::http::Uri;
use super::urls::{self, Urls};
use super::{dependencies, openapi, reply};
use crate::config;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Dependency, Source};
use crate::resource::Resource;

/// The longest discovery document or list of OpenAPI documents that is read. Real ones have 4 kB, and reading makes
/// each byte of a hostile one many.
const SHORT: u64 = 1024 * 1024;

/// The longest document of dependencies that is read. Real ones have 60 kB.
const MIDDLING: u64 = 4 * 1024 * 1024;

/// The longest OpenAPI document that is read. Real ones have 3 MB.
pub const LONG: u64 = 32 * 1024 * 1024;

/// The API's discovery document, or what was found in its place. Where the configuration says all that is needed, it may fail.
pub fn discovered(metadata: &mut Metadata<'_>, base: &Uri, api: &config::Api) -> Result<Result<Value, String>> {
    let read = |body: &[u8]| {
        let told = || format!("the discovery document at {base} is no JSON; is edfi_api.base_url right?");
        reply::json::<Value>(body).or_stop(Exit::GivenUp, told)
    };
    let by_hand = api.oauth_url.is_some() && api.dependencies_url.is_some();
    // Where the secret would go to another host, the API itself has to say so now.
    let stays = |document: &Value| !urls::logs_in_elsewhere(base, api, document);
    match metadata.get_if("the discovery document", SHORT, base, read, stays) {
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

/// The API's list of OpenAPI documents at `url`, if it has one.
pub fn listed(metadata: &mut Metadata<'_>, url: &Uri) -> Result<Option<openapi::Documents>> {
    let read = |body: &[u8]| openapi::list(url, body);
    Ok(match metadata.get("the list of OpenAPI documents", SHORT, url, read)? {
        Found::Document(listed) => Some(listed),
        Found::Absent(_) => None,
    })
}

/// Gets the OpenAPI documents of resources and of descriptors with `get`, which is told their name and place, and gives each to `take`. One
/// that the API does not have is a warning.
pub fn of<T>(
    metadata: &mut Metadata<'_>,
    base: &Uri,
    api: &config::Api,
    urls: &Urls,
    get: impl Fn(&mut Metadata<'_>, &str, &Uri) -> Result<Found<T>>,
    mut take: impl FnMut(T),
) -> Result<()> {
    let (mut resources, mut descriptors) = (urls.resources_document.clone(), urls.descriptors_document.clone());
    if let (true, Some(list)) = (resources.is_none() || descriptors.is_none(), &urls.open_api) {
        match listed(metadata, list)? {
            Some(listed) => {
                let mended = |url: Option<String>| url.map(|u| urls::mended(base, api, &u)).transpose();
                resources = resources.or(mended(listed.resources)?);
                descriptors = descriptors.or(mended(listed.descriptors)?);
            }
            None => (metadata.warn)(format!("the API has no list of OpenAPI documents at {list}")),
        }
    }
    for (what, url) in [("resources", resources), ("descriptors", descriptors)] {
        let Some(url) = url else {
            (metadata.warn)(format!("the API does not tell where its OpenAPI document of {what} is"));
            continue;
        };
        match get(metadata, &format!("the OpenAPI document of {what}"), &url)? {
            Found::Document(known) => take(known),
            Found::Absent(_) => (metadata.warn)(format!("the API has no OpenAPI document of {what} at {url}")),
        }
    }
    Ok(())
}

/// What an OpenAPI document says of resources. The cache keeps no more of it than that.
pub fn described(metadata: &mut Metadata<'_>, name: &str, url: &Uri) -> Result<Found<Source>> {
    let read = |body: &[u8]| {
        let mut source = Source::default();
        openapi::add(url, body, &mut source).map(|()| source)
    };
    let compacted = metadata.cache.compacted();
    let mut metadata = Metadata { wire: metadata.wire, cache: &compacted, warn: &mut *metadata.warn };
    metadata.get_made(name, LONG, url, openapi::compacted, read)
}

/// What an OpenAPI document says that collections can be asked for.
pub fn collections(
    metadata: &mut Metadata<'_>,
    name: &str,
    url: &Uri,
) -> Result<Found<BTreeMap<Resource, Collection>>> {
    metadata.get(name, LONG, url, |body| openapi::collections(url, body))
}
