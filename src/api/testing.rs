//! What the tests of this room share: a configuration, and a transport that plays a script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::reply::Reply;
use super::request::Request;
use super::transport::{Answer, Broken, Kind, Transport};
use crate::config::{Api, Secret};

/// The configuration of an API at `base_url`, all else unset.
pub fn api(base_url: &str) -> Api {
    Api {
        base_url: base_url.into(),
        oauth_url: None,
        dependencies_url: None,
        open_api_metadata_url: None,
        descriptors_swagger_url: None,
        resources_swagger_url: None,
        version: 3,
        mode: None,
        year: 2025,
        instance_code: None,
        tenant: None,
        url_values: BTreeMap::new(),
        client_id: "key".into(),
        client_secret: Secret::new("s3cret"),
    }
}
