//! The OpenAPI documents of resources and of descriptors: where they are, and what they say.

use std::collections::BTreeMap;

use super::metadata::{Found, Metadata};
use super::openapi::{self, Collection};
use super::transport::http::Uri;
use super::{Api, SHORT, urls};
use crate::error::Result;
use crate::model::Source;
use crate::resource::Resource;

/// The longest OpenAPI document that is read. Real ones have 3 MB.
const LONG: u64 = 32 * 1024 * 1024;

impl Api {
    /// What the API's OpenAPI documents say of resources and descriptors; they know some that the dependencies leave out
    /// (`schoolYearTypes`). A document that the API does not have is a warning, and what it would say is missing.
    pub fn source(&self, warn: &mut dyn FnMut(String)) -> Result<Source> {
        let mut source = Source::default();
        let read = |url: &Uri, body: &[u8]| {
            let mut source = Source::default();
            openapi::add(url, body, &mut source).map(|()| source)
        };
        self.documents(warn, read, |known| source.merge(known))?;
        Ok(source)
    }

    /// Every resource that can be posted according to the same documents, with what its collection can be asked for.
    pub fn collections(&self, warn: &mut dyn FnMut(String)) -> Result<BTreeMap<Resource, Collection>> {
        let mut collections = BTreeMap::new();
        self.documents(warn, openapi::collections, |known| collections.extend(known))?;
        Ok(collections)
    }

    /// Reads the OpenAPI documents of resources and of descriptors.
    fn documents<T>(
        &self,
        warn: &mut dyn FnMut(String),
        read: impl Fn(&Uri, &[u8]) -> Result<T>,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let mut metadata = Metadata { wire: &self.wire, cache: &self.cache, warn };
        let (mut resources, mut descriptors) =
            (self.urls.resources_document.clone(), self.urls.descriptors_document.clone());
        if let (true, Some(list)) = (resources.is_none() || descriptors.is_none(), &self.urls.open_api) {
            let read = |body: &[u8]| openapi::list(list, body);
            match metadata.get("the list of OpenAPI documents", SHORT, list, read)? {
                Found::Document(listed) => {
                    let mended =
                        |url: Option<String>| url.map(|u| urls::mended(&self.base, &self.config, &u)).transpose();
                    resources = resources.or(mended(listed.resources)?);
                    descriptors = descriptors.or(mended(listed.descriptors)?);
                }
                Found::Absent(_) => (metadata.warn)(format!("the API has no list of OpenAPI documents at {list}")),
            }
        }
        for (what, url) in [("resources", resources), ("descriptors", descriptors)] {
            let Some(url) = url else {
                (metadata.warn)(format!("the API does not tell where its OpenAPI document of {what} is"));
                continue;
            };
            let read = |body: &[u8]| read(&url, body);
            match metadata.get(&format!("the OpenAPI document of {what}"), LONG, &url, read)? {
                Found::Document(known) => take(known),
                Found::Absent(_) => (metadata.warn)(format!("the API has no OpenAPI document of {what} at {url}")),
            }
        }
        Ok(())
    }
}
