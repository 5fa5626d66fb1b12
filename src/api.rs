//! The Ed-Fi API, as a loader sees it: where it is, in which order it wants what, and what it says to a payload.
//!
//! Decisions are pure and effects thin. [`request`] makes requests, [`transport`] carries them, [`reply`] reads what comes back, often a
//! [`refusal`], [`origin`] tells whether an Ed-Fi API gave it, [`retry`] decides what follows, [`patience`] for how long the host is waited for;
//! [`wire`] joins these and is the only one that sleeps. [`gate`] keeps the workers together when the API is not well. [`login`] asks for a
//! token, [`session`] keeps the one token of a run, [`tokens`] says when it is renewed, [`token_file`] keeps it for the next run, and [`login_host`] reports where the
//! login goes. [`urls`], [`dependencies`] and [`openapi`] read
//! the API's own documents, for which [`documents`] asks; [`metadata`] gets them and [`cache`] keeps them. [`paging`] says which page comes
//! next. [`descriptors`] gets the values of descriptors. [`profiles`] tells the media types of a key that works under a profile. [`saved`] is
//! all of that in one file. [`send`] takes one request for data to its end, and [`site`] judges whether the API is still there when others
//! answer in its place, for which [`probe`] asks it. [`Api`] ties them together.

pub mod cache;
pub mod dependencies;
pub mod descriptors;
pub mod documents;
pub mod gate;
pub mod login;
pub mod login_host;
pub mod metadata;
pub mod openapi;
pub mod origin;
pub mod paging;
pub mod patience;
pub mod probe;
pub mod profiles;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod retry;
pub mod saved;
pub mod send;
pub mod session;
pub mod site;
#[cfg(test)]
mod testing;
pub mod token_file;
pub mod tokens;
pub mod transport;
pub mod urls;
pub mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use self::cache::Cache;
use self::descriptors::Asking;
use self::gate::limiter::Limits;
use self::login_host::LoginHost;
use self::metadata::Metadata;
use self::openapi::Collection;
use self::profiles::Profiles;
use self::retry::Policy;
use self::saved::Saved;
use self::send::{Sent, Settled, Step, Trial};
use self::session::Session;
use self::site::{Probed, Site};
use self::token_file::TokenFile;
use self::transport::Http;
use self::transport::http::{HeaderValue, Uri};
use self::urls::Urls;
use self::wire::Wire;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::model::{Dependency, Source, Values};
use crate::resource::Resource;

/// The longest page of records that is read, in bytes. With 500 records, the most that an ODS/API gives, each may have 128 kB.
pub const PAGE: u64 = 64 * 1024 * 1024;

/// An API whose metadata is known. Workers share it.
pub struct Api {
    config: config::Api,
    allow_http: bool,
    base: Uri,
    wire: Wire,
    cache: Cache,
    urls: Urls,
    discovery: Option<Value>,
    dependencies: Vec<Dependency>,
    session: Session,
    site: Site,
    /// Under which a key works, if it does: then requests name it.
    profiles: Option<Profiles>,
    saved: Option<Saved>,
}

impl Api {
    /// Learns where everything is and in which order resources are to be sent. Asks for no token yet.
    ///
    /// Errors: a configuration that does not fit the API (exit 2); an API that cannot be reached or does not answer
    /// as one (exit 4).
    pub fn connect(config: &Config, interrupt: &Interrupt, warn: &mut dyn FnMut(String)) -> Result<Api> {
        let connection = &config.connection;
        let http = Http::new(connection, interrupt, warn)?;
        if !connection.verify_ssl {
            let risk = "anybody on the way to the API can read and change what is sent, key and secret included";
            warn(format!("certificates are not verified (connection.verify_ssl is false): {risk}"));
        }
        let limits = Limits { ceiling: connection.pool_size, adaptive: connection.adaptive, rate: connection.rate };
        let policy = Policy::new(connection);
        // Nothing could be sent there anyhow, so that waiting for it cures nothing.
        let exposed = !connection.allow_http && urls::base(&config.api).is_ok_and(|base| transport::is_exposed(&base));
        let policy = if exposed { Policy { num_retries: 0, patience: Duration::ZERO, ..policy } } else { policy };
        let wire = Wire::new(Box::new(http), policy, limits, interrupt);
        Api::over(wire, config, warn).map_err(|error| match exposed && error.exit() == Exit::GivenUp {
            true => Error::api(format!("{error}; besides, {}", transport::EXPOSED)),
            false => error,
        })
    }

    /// The same over any wire.
    pub fn over(wire: Wire, config: &Config, warn: &mut dyn FnMut(String)) -> Result<Api> {
        let base = urls::base(&config.api)?;
        let cache = Cache::below(config.state_dir.as_deref());
        let saved = config.metadata_file.as_deref().map(|file| Saved::of(file, &base)).transpose()?;
        let mut metadata = Metadata { wire: &wire, cache: &cache, warn };
        let discovery = match &saved {
            Some(saved) => saved.discovery.clone().ok_or_else(|| "none in the metadata file".to_string()),
            None => documents::discovered(&mut metadata, &base, &config.api)?,
        };
        let urls = urls::resolve(&base, &config.api, discovery.as_ref().map_err(String::as_str))?;
        urls.warnings.iter().for_each(|warning| (metadata.warn)(warning.clone()));
        let dependencies = match &saved {
            Some(saved) => saved.dependencies.clone(),
            None => documents::ordered(&mut metadata, &base, &urls)?,
        };
        let resources = dependencies.iter().map(|dependency| dependency.resource.clone()).collect();
        let naming = profiles::Asking { base: &base, api: &config.api, urls: &urls, resources };
        let profiles = naming.profiles(&mut metadata, saved.as_ref().map(|saved| &saved.source))?;
        let session = Session::new(urls.oauth.clone(), &config.api)
            .kept_in(TokenFile::below(config.state_dir.as_deref(), &urls.oauth, &config.api.client_id))
            .noting_hosts(LoginHost::new(config.state_dir.as_deref(), &base, &urls.oauth))
            .waiting(config.connection.wait_for_token);
        let allow_http = config.connection.allow_http;
        let discovery = discovery.ok();
        Ok(Api {
            config: config.api.clone(),
            allow_http,
            base,
            wire,
            cache,
            urls,
            discovery,
            dependencies,
            session,
            site: Site::default(),
            profiles,
            saved,
        })
    }

    /// Where everything is.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// The API's discovery document, if it has one.
    pub fn discovery(&self) -> Option<&Value> {
        self.discovery.as_ref()
    }

    /// When each resource's turn comes, sorted by the order of creation.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// The values of the descriptors that are `wanted`, from the cache or, page by page, from the API: `pool` has as many workers as there
    /// may be requests at the same time. What the API does not let us read is a warning, and nothing is known of it then.
    pub fn descriptor_values<'r>(
        &self,
        wanted: impl IntoIterator<Item = &'r Resource>,
        pool: &rayon::ThreadPool,
        warn: &mut dyn FnMut(String),
    ) -> Result<Values> {
        match &self.saved {
            Some(saved) => Ok(saved.values.clone()),
            None => {
                let get = |url: &Uri| self.get(url);
                Asking { urls: &self.urls, cache: &self.cache, pool, get: &get }.values(wanted, warn)
            }
        }
    }

    /// Forgets the values of these descriptors that are kept for later runs: they have changed.
    pub fn forget_descriptor_values(&self, changed: &[&Resource]) -> Result<()> {
        descriptors::forget(&self.urls, &self.cache, changed)
    }

    /// What the API's OpenAPI documents say of resources and descriptors; they know some that the dependencies leave out
    /// (`schoolYearTypes`). A document that the API does not have is a warning, and what it would say is missing.
    pub fn source(&self, warn: &mut dyn FnMut(String)) -> Result<Source> {
        if let Some(saved) = &self.saved {
            return Ok(saved.source.clone());
        }
        let mut metadata = Metadata { wire: &self.wire, cache: &self.cache, warn };
        let mut source = Source::default();
        let take = |known| source.merge(known);
        documents::of(&mut metadata, &self.base, &self.config, &self.urls, documents::described, take)?;
        Ok(source)
    }

    /// Every resource that can be posted according to the same documents, with what its collection can be asked for.
    pub fn collections(&self, warn: &mut dyn FnMut(String)) -> Result<BTreeMap<Resource, Collection>> {
        let mut metadata = Metadata { wire: &self.wire, cache: &self.cache, warn };
        let mut collections = BTreeMap::new();
        let take = |known| collections.extend(known);
        documents::of(&mut metadata, &self.base, &self.config, &self.urls, documents::collections, take)?;
        Ok(collections)
    }

    /// Whether key and token may be sent at all, so that a run ends before it has read anything (exit 2) instead of
    /// sending them unencrypted over a network. The transport refuses that too.
    pub fn check_privacy(&self) -> Result<()> {
        let data = urls::parse("the API's data URL", &self.urls.data)?;
        let exposed = [&self.urls.oauth, &data].into_iter().find(|url| transport::is_exposed(url));
        match exposed.filter(|_| !self.allow_http) {
            None => Ok(()),
            Some(url) => Err(Error::usage(format!("{}: {url}", transport::EXPOSED))),
        }
    }

    /// What is odd about the token since this was asked last; each is told once.
    pub fn warnings(&self) -> Vec<String> {
        self.session.warnings()
    }

    /// For what the run has to wait, as sentences for people; each is told once.
    pub fn waits(&self) -> Vec<String> {
        self.wire.gate.told()
    }

    /// How often a request is repeated at most.
    pub fn retries(&self) -> u32 {
        self.wire.policy.num_retries
    }

    /// Posts one payload once to its resource's URL ([`Urls::of`], made once for each resource), as soon as the gate lets it through.
    /// `correlation` is by what the API's log is to know it, `trial` what the payload has been through. Called by many workers at once. An
    /// error stops the run.
    pub fn post(&self, url: &Uri, body: &[u8], correlation: &str, trial: &mut Trial) -> Result<Step> {
        let mut request = self.posting(url, body, HeaderValue::from_str(correlation).ok());
        let step = send::attempt(&self.wire, &self.session, &mut request, trial)?;
        if let Step::Done(settled) = &step {
            self.heed(settled, || self.probe_posting(url))?;
        }
        Ok(step)
    }

    fn posting<'a>(&self, url: &'a Uri, body: &'a [u8], correlation: Option<HeaderValue>) -> request::Request<'a> {
        let mut request = request::post(url, body, correlation);
        if let Some(named) = self.profiles.as_ref().and_then(|profiles| profiles.write(url)) {
            request.content_type = Some(named);
        }
        request
    }

    /// Asks for data: a page of a resource, a record by its id, a count. The same patience, token and gate as [`Api::post`]; sleeps while it
    /// waits. A body longer than [`PAGE`] does not count as an answer.
    pub fn get(&self, url: &Uri) -> Result<Sent> {
        let accept = self.profiles.as_ref().and_then(|profiles| profiles.read(url));
        self.sent(request::Request { accept, ..request::get(url, None, PAGE) })
    }

    /// Deletes the record at a URL: that of its resource, a slash and its id. Accepted: it is gone. Refused with 404: it was gone before, perhaps
    /// by an attempt whose answer did not arrive; with 409: others refer to it.
    pub fn delete(&self, url: &Uri) -> Result<Sent> {
        self.sent(request::delete(url))
    }

    fn sent(&self, request: request::Request<'_>) -> Result<Sent> {
        let sent = send::send(&self.wire, &self.session, request)?;
        self.heed(&sent.settled, || self.probe(None))?;
        Ok(sent)
    }

    /// Takes note of who answered. An error if the API is gone, which `probe` finds out.
    fn heed(&self, settled: &Settled, probe: impl FnOnce() -> Probed) -> Result<()> {
        match settled {
            Settled::Refused(refusal) if refusal.foreign => {
                self.site.is_foreign(probe).map_err(|what| self.gone(&what))
            }
            Settled::Accepted(_) | Settled::Refused(_) => {
                self.site.is_there();
                Ok(())
            }
            Settled::Failed(_) | Settled::NoAnswer { .. } => Ok(()),
        }
    }

    /// Whether the API is still there, although the last answers may have been those of others. An error if it is not.
    pub fn is_there(&self) -> Result<()> {
        self.site.judge(|| self.probe(None)).map_err(|what| self.gone(&what))
    }

    fn gone(&self, what: &str) -> Error {
        let why = format!("somebody else answers in place of the API, also to a question of ours: {what}");
        self.wire.gate.shut(why.clone());
        Error::api(why)
    }

    /// Whether the API serves a resource other than that at `except`: so it is not the API that fails, but that resource.
    pub fn serves_others(&self, except: &Uri) -> bool {
        let serves = self.probe(Some(except)) == Probed::Serves;
        if serves {
            self.wire.gate.well();
        }
        serves
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::testing::{broken, stage, status};
    use super::transport::{Answer, Kind};
    use super::*;
    use crate::config::Level;

    const DISCOVERY: &str = r#"{"version":"7.3","urls":{
        "dependencies":"http://web-api/api/metadata/data/v3/dependencies","openApiMetadata":"http://web-api/api/metadata/",
        "oauth":"http://web-api/api/oauth/token","dataManagementApi":"http://web-api/api/data/v3/"}}"#;
    const DEPENDENCIES: &str = r#"[{"resource":"/ed-fi/students","order":3,"operations":["Create"]}]"#;
    const LIST: &str = r#"[{"name":"Resources","endpointUri":"http://web-api/api/metadata/r.json","prefix":""},
        {"name":"Descriptors","endpointUri":"http://web-api/api/metadata/d.json","prefix":""}]"#;

    fn config(name: &str) -> Config {
        let folder = std::env::temp_dir().join(format!("lightbeam-api-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Config {
            file: PathBuf::from("lightbeam.yaml"),
            state_dir: Some(folder),
            state_is_named: true,
            data_dir: PathBuf::from("."),
            namespace: "ed-fi".into(),
            namespace_overrides: Default::default(),
            api: testing::api("https://example.com/api"),
            connection: testing::connection(),
            rejects_dir: None,
            resend_failed: false,
            metadata_file: None,
            count_separator: "\t".into(),
            page_size: None,
            validate: Default::default(),
            force_delete: false,
            compat: Default::default(),
            compat_in_file: Default::default(),
            exit_codes: Default::default(),
            log_level: Level::Info,
            show_stacktrace: false,
        }
    }

    /// An OpenAPI document of one resource.
    fn document(resource: &str) -> String {
        let body = r##"{"schema":{"$ref":"#/components/schemas/item"}}"##;
        let post = format!(r#"{{"requestBody":{{"content":{{"application/json":{body}}}}}}}"#);
        let schemas = r#"{"schemas":{"item":{"properties":{}}}}"#;
        format!(r#"{{"paths":{{"/ed-fi/{resource}":{{"post":{post}}}}},"components":{schemas}}}"#)
    }

    /// An API that answers its documents by path; `missing` is not there.
    fn documents(missing: &'static str) -> impl Fn(&request::Request<'_>) -> Answer + Send + Sync {
        move |request| match request.url.path() {
            path if path == missing => status(404, ""),
            "/api" => status(200, DISCOVERY),
            "/api/metadata/data/v3/dependencies" => status(200, DEPENDENCIES),
            "/api/metadata/" => status(200, LIST),
            "/api/metadata/r.json" => status(200, &document("schoolYearTypes")),
            "/api/metadata/d.json" => status(200, &document("termDescriptors")),
            "/api/oauth/token" => testing::token("t1", 1000),
            "/api/data/v3/ed-fi/students" => status(201, ""),
            path => panic!("nobody should ask for {path}"),
        }
    }

    #[test]
    fn connecting_learns_urls_and_order_and_sending_uses_them() {
        let config = config("connect");
        let mut warnings = Vec::new();
        let api = Api::over(stage(documents("")).wire, &config, &mut |w| warnings.push(w)).unwrap();
        let students = Resource::new("ed-fi", "students");
        let expected = Dependency { resource: students.clone(), create: Some(3), update: None };
        assert_eq!(api.dependencies(), [expected]);
        assert_eq!(api.urls().data, "https://example.com/api/data/v3");
        let (url, mut trial) = (api.urls().of(&students).unwrap(), Trial::default());
        let step = api.post(&url, b"{}", "run/students/1", &mut trial).unwrap();
        assert_eq!(step, Step::Done(Settled::Accepted(reply::Reply { status: 201, ..Default::default() })));
        let source = api.source(&mut |w| warnings.push(w)).unwrap();
        let known = source.endpoints.iter().map(|endpoint| endpoint.resource.name()).collect::<Vec<_>>();
        assert_eq!(known, ["schoolYearTypes", "termDescriptors"]);
        let collections = api.collections(&mut |w| warnings.push(w)).unwrap();
        assert_eq!(collections.keys().map(Resource::name).collect::<Vec<_>>(), known);
        assert!(warnings.is_empty(), "{warnings:?}");
        std::fs::remove_dir_all(config.state_dir.unwrap()).unwrap();
    }

    #[test]
    fn key_and_token_are_not_sent_unencrypted_to_another_machine_unless_that_is_allowed() {
        let mut config = config("exposed");
        let connect = |config: &Config| Api::over(stage(documents("")).wire, config, &mut |_| ()).unwrap();
        connect(&config).check_privacy().unwrap();
        config.api.oauth_url = Some("http://login.example.com/token".into());
        let error = connect(&config).check_privacy().unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let text = error.to_string();
        assert!(text.contains("connection.allow_http") && text.ends_with("http://login.example.com/token"), "{text}");
        config.connection.allow_http = true;
        connect(&config).check_privacy().unwrap();
        config.connection.allow_http = false;
        config.api.oauth_url = Some("http://127.0.0.1:8080/token".into());
        connect(&config).check_privacy().unwrap();
        std::fs::remove_dir_all(config.state_dir.unwrap()).unwrap();
    }

    #[test]
    fn fresh_metadata_works_without_the_api() {
        let config = config("offline");
        Api::over(stage(documents("")).wire, &config, &mut |_| ()).unwrap();
        let api = Api::over(stage(|_| broken(Kind::Connect)).wire, &config, &mut |_| ()).unwrap();
        assert_eq!(api.dependencies().len(), 1);
        std::fs::remove_dir_all(config.state_dir.unwrap()).unwrap();
    }

    fn error(name: &str, missing: &'static str) -> String {
        let config = config(name);
        let error = Api::over(stage(documents(missing)).wire, &config, &mut |_| ()).err().unwrap();
        let _ = std::fs::remove_dir_all(config.state_dir.unwrap());
        assert_eq!(error.exit(), Exit::GivenUp);
        error.to_string()
    }

    #[test]
    fn missing_metadata_names_the_key_that_helps() {
        let text = error("no-discovery", "/api");
        assert!(text.contains("404, Not Found") && text.contains("edfi_api.base_url"), "{text}");
        let text = error("no-dependencies", "/api/metadata/data/v3/dependencies");
        assert!(text.contains("404, Not Found") && text.contains("edfi_api.dependencies_url"), "{text}");
    }

    #[test]
    fn where_the_configuration_says_all_discovery_may_fail() {
        for answer in [status(404, ""), status(200, "<html>Welcome</html>"), broken(Kind::Certificate)] {
            let mut config = config("by-hand");
            config.api.oauth_url = Some("https://example.com/login".into());
            config.api.dependencies_url = Some("https://example.com/order".into());
            let stage = stage(move |request| match request.url.path() {
                "/order" => status(200, DEPENDENCIES),
                _ => answer.clone(),
            });
            let api = Api::over(stage.wire, &config, &mut |_| ()).unwrap();
            assert_eq!(api.urls().data, "https://example.com/api/data/v3");
            std::fs::remove_dir_all(config.state_dir.unwrap()).unwrap();
        }
    }

    #[test]
    fn openapi_documents_that_the_api_lacks_are_warnings() {
        let config = config("no-openapi");
        let api = Api::over(stage(documents("/api/metadata/d.json")).wire, &config, &mut |_| ()).unwrap();
        let mut warnings = Vec::new();
        assert_eq!(api.source(&mut |w| warnings.push(w)).unwrap().endpoints.len(), 1);
        assert_eq!(
            warnings,
            ["the API has no OpenAPI document of descriptors at https://example.com/api/metadata/d.json"]
        );
        std::fs::remove_dir_all(config.state_dir.unwrap()).unwrap();
    }
}
