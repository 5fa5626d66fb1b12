//! The Ed-Fi API, as a loader sees it: where it is, in which order it wants what, and what it says to a payload.
//!
//! Decisions are pure and effects thin. [`request`] makes requests, [`transport`] carries them, [`reply`] reads what
//! comes back, [`retry`] decides what follows; [`wire`] joins these and is the only one that sleeps. [`session`] keeps
//! the one token of a run. [`urls`], [`dependencies`] and [`openapi`] read the API's own documents, which [`metadata`]
//! gets and [`cache`] keeps. [`send`] takes one payload to its end. [`Api`] ties them together.

pub mod cache;
pub mod dependencies;
pub mod metadata;
pub mod openapi;
pub mod reply;
pub mod request;
pub mod retry;
pub mod send;
pub mod session;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod urls;
pub mod wire;

use std::collections::BTreeSet;

use serde_json::Value;

use self::cache::Cache;
use self::dependencies::Dependency;
use self::metadata::{Found, Metadata};
use self::retry::Policy;
use self::send::Sent;
use self::session::Session;
use self::transport::Http;
use self::transport::http::Uri;
use self::urls::Urls;
use self::wire::Wire;
use crate::config::{self, Config};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::resource::Resource;

/// An API whose metadata is known. Workers share it.
pub struct Api {
    config: config::Api,
    base: Uri,
    wire: Wire,
    cache: Cache,
    urls: Urls,
    dependencies: Vec<Dependency>,
    session: Session,
}

impl Api {
    /// Learns where everything is and in which order resources are to be sent. Asks for no token yet.
    ///
    /// Errors: a configuration that does not fit the API (exit 2); an API that cannot be reached or does not answer
    /// as one (exit 4).
    pub fn connect(config: &Config, interrupt: &Interrupt, warn: &mut dyn FnMut(String)) -> Result<Api> {
        let http = Http::new(&config.connection, &urls::base(&config.api)?);
        let wire = Wire::new(Box::new(http), Policy::new(&config.connection), interrupt);
        Api::over(wire, config, warn)
    }

    /// The same over any wire.
    pub fn over(wire: Wire, config: &Config, warn: &mut dyn FnMut(String)) -> Result<Api> {
        let base = urls::base(&config.api)?;
        let cache = Cache::below(&config.state_dir);
        let mut metadata = Metadata { wire: &wire, cache: &cache, warn };
        let urls = discovered(&mut metadata, &base, &config.api)?;
        urls.warnings.iter().for_each(|warning| (metadata.warn)(warning.clone()));
        let dependencies = ordered(&mut metadata, &base, &urls)?;
        let session = Session::new(urls.oauth.clone(), &config.api);
        Ok(Api { config: config.api.clone(), base, wire, cache, urls, dependencies, session })
    }

    /// Where everything is.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// When each resource's turn comes, sorted by the order of creation.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// Every resource that can be posted according to the API's OpenAPI documents, which knows some that the
    /// dependencies leave out (`schoolYearTypes`). A document that the API does not have is a warning.
    pub fn posted(&self, warn: &mut dyn FnMut(String)) -> Result<BTreeSet<Resource>> {
        let mut metadata = Metadata { wire: &self.wire, cache: &self.cache, warn };
        let (mut resources, mut descriptors) =
            (self.urls.resources_document.clone(), self.urls.descriptors_document.clone());
        if let (true, Some(list)) = (resources.is_none() || descriptors.is_none(), &self.urls.open_api) {
            let read = |body: &[u8]| openapi::list(list, body);
            match metadata.get("the list of OpenAPI documents", list, read)? {
                Found::Document(listed) => {
                    let mended =
                        |url: Option<String>| url.map(|u| urls::mended(&self.base, &self.config, &u)).transpose();
                    resources = resources.or(mended(listed.resources)?);
                    descriptors = descriptors.or(mended(listed.descriptors)?);
                }
                Found::Absent(_) => (metadata.warn)(format!("the API has no list of OpenAPI documents at {list}")),
            }
        }
        let mut posted = BTreeSet::new();
        for (what, url) in [("resources", resources), ("descriptors", descriptors)] {
            let Some(url) = url else {
                (metadata.warn)(format!("the API does not tell where its OpenAPI document of {what} is"));
                continue;
            };
            let read = |body: &[u8]| openapi::posted(&url, body);
            match metadata.get(&format!("the OpenAPI document of {what}"), &url, read)? {
                Found::Document(known) => posted.extend(known),
                Found::Absent(_) => (metadata.warn)(format!("the API has no OpenAPI document of {what} at {url}")),
            }
        }
        Ok(posted)
    }

    /// Asks for a token, so that a refused login shows before anything is read or sent.
    pub fn login(&self) -> Result<()> {
        self.session.bearer(&self.wire).map(drop)
    }

    /// Posts one payload to its resource's URL ([`Urls::of`], made once for each resource), with all patience of the
    /// configuration. Called by many workers at once. An error stops the run.
    pub fn post(&self, url: &Uri, body: &[u8]) -> Result<Sent> {
        send::send(&self.wire, &self.session, url, body)
    }
}

/// The API's URLs. Where the configuration says all that is needed, discovery may fail.
fn discovered(metadata: &mut Metadata<'_>, base: &Uri, api: &config::Api) -> Result<Urls> {
    let read = |body: &[u8]| {
        let told = || format!("the discovery document at {base} is no JSON; is edfi_api.base_url right?");
        reply::json::<Value>(body).or_stop(Exit::GivenUp, told)
    };
    let by_hand = api.oauth_url.is_some() && api.dependencies_url.is_some();
    match metadata.get("the discovery document", base, read) {
        Ok(Found::Document(document)) => urls::resolve(base, api, Ok(&document)),
        Ok(Found::Absent(refusal)) => urls::resolve(base, api, Err(&format!("{}, {}", refusal.status, refusal.text()))),
        Err(error) if by_hand && error.exit() == Exit::GivenUp => {
            (metadata.warn)(format!("{error}; going by the configuration alone"));
            urls::resolve(base, api, Err(&error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// The API's dependencies, without which nothing can be sent in order.
fn ordered(metadata: &mut Metadata<'_>, base: &Uri, urls: &Urls) -> Result<Vec<Dependency>> {
    let Some(url) = &urls.dependencies else {
        return Err(Error::api(format!(
            "the API at {base} does not tell the order of its resources (urls.dependencies of its discovery document): \
             set edfi_api.dependencies_url"
        )));
    };
    match metadata.get("the dependencies", url, |body| dependencies::read(url, body))? {
        Found::Document(dependencies) => Ok(dependencies),
        Found::Absent(refusal) => Err(Error::api(format!(
            "the API has no dependencies at {url} ({}, {}): set edfi_api.dependencies_url",
            refusal.status,
            refusal.text()
        ))),
    }
}
