//! Which URLs the API has: what the configuration sets, else what the discovery document says, mended where it is
//! known to be wrong.
//!
//! The rules, from the ODS/API's `VersionController` and the Ed-Fi guideline on the Discovery API:
//!
//! - ODS/API 7 and later and DMS print `{placeholders}` for what the request for the document did not say: tenant,
//!   year, district. They are filled from the configuration by name.
//! - ODS/API up to 6.2 in a year-specific mode prints the year of the *server's clock*, and a literal `{instance}`.
//!   Both are replaced by what the configuration says.
//! - Behind a proxy, scheme and host of the document are often those that the proxy talks to. Those of `base_url` are
//!   the ones that work from here, and keep `https` from becoming `http`.
//! - Nothing is assumed of the path: DMS has no `/v3`, and half of the versions end it with a slash.

use serde_json::Value;

use super::transport::http::Uri;
use crate::config::{Api, Mode};
use crate::error::{Error, Result};
use crate::resource::Resource;
use crate::text::url::normal;

/// The URLs of one API, without placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// What stands before `/namespace/resource`; no slash at the end. In the one spelling that all spellings of it have.
    pub data: String,
    /// How versions before wrote it, where that is another spelling: under it they kept its state.
    pub data_before: Option<String>,
    /// Where tokens come from.
    pub oauth: Uri,
    /// In which order resources are to be sent; some hosts switch it off.
    pub dependencies: Option<Uri>,
    /// The list of OpenAPI documents; some hosts switch it off.
    pub open_api: Option<Uri>,
    /// The change queries, without a slash at the end; some hosts switch them off.
    pub change_queries: Option<String>,
    /// The OpenAPI document of resources, where the configuration names it.
    pub resources_document: Option<Uri>,
    /// The OpenAPI document of descriptors, where the configuration names it.
    pub descriptors_document: Option<Uri>,
    /// What is odd about them.
    pub warnings: Vec<String>,
}

impl Urls {
    /// A URL of the change queries, which stands below `place`.
    pub fn below(&self, place: &str, name: &str) -> Result<Uri> {
        parse("a URL of the API", &format!("{place}/{name}"))
    }

    /// By what the API's state is known: its data URL, and how versions before wrote that, where that differs.
    pub fn target(&self) -> (&str, Option<&str>) {
        (&self.data, self.data_before.as_deref())
    }

    /// Where payloads of a resource are posted.
    pub fn of(&self, resource: &Resource) -> Result<Uri> {
        let url = format!("{}/{}/{}", self.data, escaped(resource.namespace()), escaped(resource.name()));
        parse("the URL of a resource", &url)
    }
}

/// A URL with a query (RFC 3986 section 3.4), whose values may be anything.
pub fn with_query<'a>(url: &Uri, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Uri> {
    let mut text = url.to_string();
    for (name, value) in parameters {
        let mark = if text.contains('?') { '&' } else { '?' };
        text.push_str(&format!("{mark}{}={}", escaped(name), escaped(value)));
    }
    parse("a URL with a query", &text)
}

/// The address of the discovery document.
pub fn base(api: &Api) -> Result<Uri> {
    let url = parse("edfi_api.base_url", &normal(api.base_url.trim()))?;
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => Err(Error::usage(
            "edfi_api.base_url must not hold a login: set edfi_api.client_id and edfi_api.client_secret instead",
        )),
        _ => Ok(url),
    }
}

/// The API's URLs, from the configuration and `discovery`: the document found at `base`, or else what was found there.
pub fn resolve(base: &Uri, api: &Api, discovery: Result<&Value, &str>) -> Result<Urls> {
    let described = match discovery {
        Ok(document) => match document["urls"]["dataManagementApi"].as_str() {
            Some(data) => Ok((document, data)),
            None => Err(format!("a document without urls.dataManagementApi ({})", members(document))),
        },
        Err(found) => Err(found.to_string()),
    };
    let maker = Maker { base, api, route: Route::new(api, discovery.ok())? };
    let set_by_hand = api.oauth_url.is_some() && api.dependencies_url.is_some();
    let (document, data) = match described {
        Ok((document, data)) => (document, maker.advertised(Place::Data, data)?),
        Err(_) if set_by_hand => (&Value::Null, maker.assembled()?),
        Err(found) => {
            return Err(Error::api(format!(
                "no discovery document at {base}, but {found}; is edfi_api.base_url right? \
                 (An API without that document needs edfi_api.oauth_url and edfi_api.dependencies_url.)"
            )));
        }
    };
    let one = |by_hand: &Option<String>, key: &str, place: Place, name: &str| match (by_hand, &document["urls"][name]) {
        (Some(url), _) => maker.by_hand(key, url).map(Some),
        (None, Value::String(url)) => maker.advertised(place, url).and_then(|url| parse(name, &url)).map(Some),
        _ => Ok(None),
    };
    let by_hand = |url: &Option<String>, key| url.as_ref().map(|url| maker.by_hand(key, url)).transpose();
    let oauth = one(&api.oauth_url, "edfi_api.oauth_url", Place::Oauth, "oauth")?;
    let data_before = before(api, base, &data);
    let data = normal(&data);
    Ok(Urls {
        warnings: maker.doubts(document, &data),
        oauth: oauth.ok_or_else(|| {
            Error::api(format!("the discovery document at {base} has no urls.oauth: set edfi_api.oauth_url"))
        })?,
        dependencies: one(&api.dependencies_url, "edfi_api.dependencies_url", Place::Dependencies, "dependencies")?,
        open_api: one(&api.open_api_metadata_url, "edfi_api.open_api_metadata_url", Place::OpenApi, "openApiMetadata")?,
        change_queries: match &document["urls"]["changeQueries"] {
            Value::String(url) => Some(maker.advertised(Place::ChangeQueries, url)?.trim_end_matches('/').to_string()),
            _ => None,
        },
        resources_document: by_hand(&api.resources_swagger_url, "edfi_api.resources_swagger_url")?,
        descriptors_document: by_hand(&api.descriptors_swagger_url, "edfi_api.descriptors_swagger_url")?,
        data_before: data_before.filter(|before| *before != data),
        data,
    })
}

/// A data URL below `base` with the scheme and host as the configuration spells them.
fn before(api: &Api, base: &Uri, data: &str) -> Option<String> {
    let written = parse("edfi_api.base_url", api.base_url.trim()).ok()?;
    let origin = |url: &Uri| Some(format!("{}://{}", url.scheme_str()?, url.authority()?));
    let path = data.strip_prefix(&origin(base)?)?;
    Some(origin(&written)? + path)
}

/// A URL out of one of the API's own documents, mended like those of the discovery document.
pub fn mended(base: &Uri, api: &Api, url: &str) -> Result<Uri> {
    let maker = Maker { base, api, route: None };
    maker.advertised(Place::OpenApi, url).and_then(|url| parse("a URL of the API's metadata", &url))
}

/// Whether a discovery document, and not the configuration, says that the login is at another host than `base`.
pub fn logs_in_elsewhere(base: &Uri, api: &Api, document: &Value) -> bool {
    let Some(url) = document["urls"]["oauth"].as_str().filter(|_| api.oauth_url.is_none()) else { return false };
    let maker = Maker { base, api, route: None };
    let login = maker.advertised(Place::Oauth, url).and_then(|url| parse("urls.oauth", &url));
    login.map_or(true, |login| login.authority() != base.authority())
}

/// Reads a URL; `name` tells where it comes from.
pub fn parse(name: &str, url: &str) -> Result<Uri> {
    let uri: Option<Uri> = url.parse().ok();
    let whole =
        |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|h| !h.is_empty());
    uri.filter(whole).ok_or_else(|| {
        // What stands before an @ may be a password.
        let shown = url.rsplit('@').next().unwrap_or_default();
        Error::usage(format!("{name} must be http:// or https:// with a host and no blanks, but is {shown}"))
    })
}

/// Which of the URLs is being made.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Data,
    Dependencies,
    OpenApi,
    Oauth,
    ChangeQueries,
}

/// The segments that deployments up to 6.2 have between the version and what follows.
#[derive(Debug, PartialEq)]
struct Route {
    instance: Option<String>,
    year: Option<String>,
}

impl Route {
    /// The segments that are to replace the printed ones; `None` if the printed URLs are right.
    fn new(api: &Api, document: Option<&Value>) -> Result<Option<Route>> {
        let stated = document.and_then(|d| d["apiMode"].as_str()).and_then(year_mode);
        let mode = match document {
            Some(document) if !has_modes(document) => None,
            Some(document) if document["apiMode"].is_string() => api.mode.or(stated),
            // Nothing but the configuration tells it.
            _ => {
                known(api, "edfi_api.mode")?;
                api.mode
            }
        };
        let (instance, year) = match mode {
            Some(Mode::InstanceYearSpecific) => (true, true),
            Some(Mode::YearSpecific) => (false, true),
            Some(_) if stated.is_some() => (false, false),
            _ => return Ok(None),
        };
        let instance = match (instance, &api.instance_code) {
            (false, _) => None,
            (true, Some(code)) => Some(escaped(code)),
            (true, None) => {
                known(api, "edfi_api.instance_code")?;
                return Err(Error::usage(
                    "the API is instance-year-specific, so its URLs need edfi_api.instance_code: set it",
                ));
            }
        };
        let year = match (year, api.year) {
            (false, _) => None,
            (true, Some(year)) => Some(year.to_string()),
            // Another year than the one that was meant would be loaded.
            (true, None) => {
                known(api, "edfi_api.year")?;
                return Err(Error::usage("the API is year-specific, so its URLs need edfi_api.year: set it"));
            }
        };
        Ok(Some(Route { instance, year }))
    }

    /// `path` with the printed segments replaced.
    fn replace(&self, place: Place, path: &str) -> String {
        let mut segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let printed = |s: &str| s.starts_with('{') || (s.len() == 4 && s.bytes().all(|b| b.is_ascii_digit()));
        let after = match place {
            Place::Data | Place::Dependencies => {
                segments.windows(2).rposition(|w| w[0] == "data" && w[1].starts_with('v')).map(|at| at + 2)
            }
            Place::ChangeQueries => {
                segments.windows(2).rposition(|w| w[0].eq_ignore_ascii_case("changeQueries")).map(|at| at + 2)
            }
            Place::OpenApi => segments.iter().rposition(|s| *s == "metadata").map(|at| at + 1),
            // Only the instance stands here, before the two last segments.
            Place::Oauth => {
                segments.len().checked_sub(2).map(|at| at - usize::from(at > 0 && printed(segments[at - 1])))
            }
        };
        let Some(after) = after else { return path.into() };
        let count = segments[after..].iter().take(2).take_while(|s| printed(s)).count();
        let year = self.year.as_deref().filter(|_| place != Place::Oauth);
        segments.splice(after..after + count, self.instance.as_deref().into_iter().chain(year));
        format!("/{}", segments.join("/"))
    }
}

/// An error if a key that this API's URLs need has a name that stands for nothing: no default can take its place.
fn known(api: &Api, key: &str) -> Result<()> {
    match api.unset.get(key) {
        Some(told) => Err(Error::usage(format!("{told}; this API's URLs need it"))),
        None => Ok(()),
    }
}

struct Maker<'a> {
    base: &'a Uri,
    api: &'a Api,
    route: Option<Route>,
}

impl Maker<'_> {
    /// A URL that the configuration sets; only its placeholders are filled.
    fn by_hand(&self, key: &str, url: &str) -> Result<Uri> {
        parse(key, &self.filled(url)?)
    }

    /// A URL that a document of the API says; no slash at the end of data URLs.
    fn advertised(&self, place: Place, url: &str) -> Result<String> {
        let (origin, path) = split(url);
        let path = match &self.route {
            Some(route) => route.replace(place, path),
            None => path.to_string(),
        };
        let path = self.filled(if place == Place::Data { path.trim_end_matches('/') } else { &path })?;
        Ok(format!("{}{path}", self.origin(place, origin, &path)?))
    }

    /// The data URL of an API that does not tell it, as lightbeam has always made it.
    fn assembled(&self) -> Result<String> {
        known(self.api, "edfi_api.version")?;
        let (origin, path) = split(self.api.base_url.trim());
        let path = format!("{}/data/v{}", path.trim_end_matches('/'), self.api.version);
        let path = self.route.as_ref().map_or(path.clone(), |route| route.replace(Place::Data, &path));
        Ok(format!("{origin}{}", self.filled(&path)?))
    }

    /// Scheme and host: those of `base_url`, but for an identity provider of its own, told by its path.
    fn origin(&self, place: Place, printed: &str, path: &str) -> Result<String> {
        let own = format!(
            "{}://{}",
            self.base.scheme_str().unwrap_or("https"),
            self.base.authority().map_or("", |a| a.as_str())
        );
        let host = |origin: &str| origin.split_once("://").map(|(_, host)| host.to_ascii_lowercase());
        if place != Place::Oauth || path.ends_with("/oauth/token") || printed.is_empty() || host(printed) == host(&own)
        {
            return Ok(own);
        }
        match own.starts_with("https:") && !printed.starts_with("https:") {
            true => Err(Error::api(format!(
                "the API at {} wants the login sent unencrypted, to {printed}{path}; \
                 set edfi_api.oauth_url if that is meant",
                self.base
            ))),
            false => Ok(printed.into()),
        }
    }

    /// `url` with its placeholders replaced.
    fn filled(&self, url: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = url;
        while let Some((before, (name, after))) = rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?)))
        {
            filled.push_str(before);
            filled.push_str(&escaped(&self.value(url, name)?));
            rest = after;
        }
        Ok(filled + rest)
    }

    /// What the configuration has for a placeholder.
    fn value(&self, url: &str, name: &str) -> Result<String> {
        let api = self.api;
        if let Some(value) = api.url_values.get(name) {
            return Ok(value.clone());
        }
        let (value, key) = match name.to_ascii_lowercase().as_str() {
            "tenant" | "tenantidentifier" | "tenantid" => (api.tenant.clone(), "edfi_api.tenant".to_string()),
            "instance" | "instanceid" | "instancecode" => (api.instance_code.clone(), "edfi_api.instance_code".into()),
            year if year.contains("year") => (api.year.map(|year| year.to_string()), "edfi_api.year".into()),
            _ => (None, format!("edfi_api.url_values.{name}")),
        };
        let other =
            || api.url_values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        value.or_else(other).ok_or_else(|| {
            let told = api.unset.get(key.as_str()).or_else(|| api.unset.get("edfi_api.url_values"));
            let told = told.map_or(String::new(), |told| format!(" ({told})"));
            Error::usage(format!("the API's URL {url} leaves {{{name}}} to be filled: set {key}{told}"))
        })
    }

    /// A configured mode that this API does not know is not obeyed, which somebody might not expect.
    fn doubts(&self, document: &Value, data: &str) -> Vec<String> {
        let year_wanted = matches!(self.api.mode, Some(Mode::YearSpecific | Mode::InstanceYearSpecific));
        let year = self.api.year.map(|year| year.to_string());
        let year_there = data.split('/').any(|segment| Some(segment) == year.as_deref());
        match year_wanted && !year_there && !has_modes(document) {
            true => vec![format!(
                "edfi_api.mode is year-specific, but this API knows no modes and its data URL {data} has no year; \
                 if it serves years by route, edfi_api.base_url must hold the year"
            )],
            false => Vec::new(),
        }
    }
}

/// Whether the API is of the versions that have modes: the ODS/API up to 6.2.
fn has_modes(document: &Value) -> bool {
    let major = document["version"].as_str().and_then(|v| v.split('.').next()?.parse::<u32>().ok());
    document["apiMode"].is_string() || (document["applicationName"].is_null() && major.is_none_or(|major| major < 7))
}

/// The year-specific mode that `apiMode` states, if it states one.
fn year_mode(stated: &str) -> Option<Mode> {
    let stated: String = stated.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_ascii_lowercase();
    match stated.as_str() {
        s if s.contains("instanceyearspecific") => Some(Mode::InstanceYearSpecific),
        s if s.contains("yearspecific") => Some(Mode::YearSpecific),
        _ => None,
    }
}

/// A URL's scheme with its host, and its path; the first is empty if it is but a path.
fn split(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    if host == 0 {
        return ("", url);
    }
    url.split_at(url[host..].find('/').map_or(url.len(), |at| host + at))
}

/// A text as one segment of a path (RFC 3986 section 3.3).
pub fn escaped(segment: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    segment.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The names of a document's members, to recognise it by.
fn members(document: &Value) -> String {
    match document {
        Value::Object(members) => members.keys().take(10).cloned().collect::<Vec<_>>().join(", "),
        _ => "not even a JSON object".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::testing;

    fn urls(base_url: &str, document: Value, set: impl FnOnce(&mut Api)) -> Result<Urls> {
        let mut api = testing::api(base_url);
        set(&mut api);
        resolve(&base(&api)?, &api, Ok(&document))
    }

    #[test]
    fn a_query_takes_values_of_any_kind() {
        let url = Uri::from_static("https://example.com/data/v3/ed-fi/students");
        let value = "uri://ed-fi.org/SexDescriptor#Not & é";
        let asked = with_query(&url, [("limit", "0"), ("sexDescriptor", value)]).unwrap();
        let expected = "limit=0&sexDescriptor=uri%3A%2F%2Fed-fi.org%2FSexDescriptor%23Not%20%26%20%C3%A9";
        assert_eq!(asked.to_string(), format!("{url}?{expected}"));
        assert_eq!(with_query(&url, []).unwrap(), url);
    }

    fn shown(urls: &Urls) -> [String; 4] {
        let text = |url: &Option<Uri>| url.as_ref().map(Uri::to_string).unwrap_or_default();
        [urls.data.clone(), urls.oauth.to_string(), text(&urls.dependencies), text(&urls.open_api)]
    }

    /// The sandbox of ODS/API 5.3.
    fn ods_5_3() -> Value {
        json!({"version": "5.3", "suite": "3", "build": "5.3.1146.0", "apiMode": "Sandbox", "urls": {
            "dependencies": "https://example.com/v5.3/api/metadata/data/v3/dependencies",
            "openApiMetadata": "https://example.com/v5.3/api/metadata/",
            "oauth": "https://example.com/v5.3/api/oauth/token",
            "dataManagementApi": "https://example.com/v5.3/api/data/v3/"}})
    }

    /// An ODS/API 6.1 by year, printed in 2025.
    fn ods_6_1() -> Value {
        json!({"version": "6.1", "apiMode": "Year Specific", "urls": {
            "dependencies": "https://example.com/v6.1/WebApi/metadata/data/v3/2025/dependencies",
            "openApiMetadata": "https://example.com/v6.1/WebApi/metadata/2025",
            "oauth": "https://example.com/v6.1/WebApi/oauth/token",
            "dataManagementApi": "https://example.com/v6.1/WebApi/data/v3/2025"}})
    }

    /// An ODS/API 7.1 with a tenant and the year of its route.
    fn ods_7_1() -> Value {
        let root = "https://example.com/{tenantIdentifier}/{schoolYearFromRoute}";
        json!({"version": "7.1", "urls": {
            "dependencies": format!("{root}/metadata/data/v3/dependencies"),
            "openApiMetadata": format!("{root}/metadata/"),
            "oauth": format!("{root}/oauth/token"),
            "dataManagementApi": format!("{root}/data/v3/")}})
    }

    /// A DMS with tenant, district and year.
    fn dms() -> Value {
        let root = "http://localhost:8080/{tenant}/{districtId}/{schoolYear}";
        json!({"version": "8.0.0", "applicationName": "Ed-Fi API", "urls": {
            "dependencies": format!("{root}/metadata/dependencies"),
            "openApiMetadata": format!("{root}/metadata/specifications"),
            "oauth": format!("{root}/oauth/token"),
            "dataManagementApi": format!("{root}/data")}})
    }

    #[test]
    fn discovery_is_taken_at_its_word_but_for_slashes() {
        let urls = urls("https://example.com/v5.3/api", ods_5_3(), |_| ()).unwrap();
        assert_eq!(
            shown(&urls),
            [
                "https://example.com/v5.3/api/data/v3",
                "https://example.com/v5.3/api/oauth/token",
                "https://example.com/v5.3/api/metadata/data/v3/dependencies",
                "https://example.com/v5.3/api/metadata/",
            ]
        );
        let students = urls.of(&Resource::new("ed-fi", "students")).unwrap();
        assert_eq!(students, "https://example.com/v5.3/api/data/v3/ed-fi/students");
        assert!(urls.warnings.is_empty());
    }

    #[test]
    fn the_year_of_the_servers_clock_gives_way_to_the_configured_one() {
        let urls = urls("https://example.com/v6.1/WebApi/", ods_6_1(), |api| api.year = Some(2023)).unwrap();
        assert_eq!(
            shown(&urls),
            [
                "https://example.com/v6.1/WebApi/data/v3/2023",
                "https://example.com/v6.1/WebApi/oauth/token",
                "https://example.com/v6.1/WebApi/metadata/data/v3/2023/dependencies",
                "https://example.com/v6.1/WebApi/metadata/2023",
            ]
        );
    }

    #[test]
    fn an_instance_year_specific_api_gets_both_and_its_own_token_url() {
        let document = json!({"version": "6.2", "apiMode": "Instance Year Specific", "urls": {
            "dependencies": "https://example.com/metadata/data/v3/{instance}/2025/dependencies",
            "openApiMetadata": "https://example.com/metadata/{instance}/2025",
            "oauth": "https://example.com/{instance}/oauth/token",
            "dataManagementApi": "https://example.com/data/v3/{instance}/2025"}});
        let set = |api: &mut Api| (api.year, api.instance_code) = (Some(2023), Some("d 1".into()));
        let urls = urls("https://example.com", document.clone(), set).unwrap();
        assert_eq!(
            shown(&urls),
            [
                "https://example.com/data/v3/d%201/2023",
                "https://example.com/d%201/oauth/token",
                "https://example.com/metadata/data/v3/d%201/2023/dependencies",
                "https://example.com/metadata/d%201/2023",
            ]
        );
        let error = self::urls("https://example.com", document, |_| ()).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
        assert!(error.to_string().contains("edfi_api.instance_code"), "{error}");
    }

    #[test]
    fn a_configured_mode_rules_over_the_stated_one() {
        let year = urls("https://example.com/v5.3/api", ods_5_3(), |api| {
            (api.mode, api.year) = (Some(Mode::YearSpecific), Some(2023));
        });
        assert_eq!(
            shown(&year.unwrap()),
            [
                "https://example.com/v5.3/api/data/v3/2023",
                "https://example.com/v5.3/api/oauth/token",
                "https://example.com/v5.3/api/metadata/data/v3/2023/dependencies",
                "https://example.com/v5.3/api/metadata/2023",
            ]
        );
        let instance = urls("https://example.com/v6.1/WebApi", ods_6_1(), |api| {
            (api.mode, api.year) = (Some(Mode::InstanceYearSpecific), Some(2023));
            api.instance_code = Some("d1".into());
        })
        .unwrap();
        assert_eq!(instance.data, "https://example.com/v6.1/WebApi/data/v3/d1/2023");
        assert_eq!(instance.oauth, "https://example.com/v6.1/WebApi/d1/oauth/token");
        let shared = urls("https://example.com/v6.1/WebApi", ods_6_1(), |api| api.mode = Some(Mode::SharedInstance));
        assert_eq!(
            shown(&shared.unwrap()),
            [
                "https://example.com/v6.1/WebApi/data/v3",
                "https://example.com/v6.1/WebApi/oauth/token",
                "https://example.com/v6.1/WebApi/metadata/data/v3/dependencies",
                "https://example.com/v6.1/WebApi/metadata",
            ]
        );
    }

    #[test]
    fn placeholders_are_filled_by_name() {
        let ods = urls("https://example.com", ods_7_1(), |api| {
            (api.tenant, api.year) = (Some("T1".into()), Some(2023));
        });
        assert_eq!(
            shown(&ods.unwrap()),
            [
                "https://example.com/T1/2023/data/v3",
                "https://example.com/T1/2023/oauth/token",
                "https://example.com/T1/2023/metadata/data/v3/dependencies",
                "https://example.com/T1/2023/metadata/",
            ]
        );
        let dms = urls("http://localhost:8080/", dms(), |api| {
            (api.tenant, api.year) = (Some("T1".into()), Some(2023));
            api.url_values.insert("districtid".into(), "255901".into());
            api.url_values.insert("schoolYear".into(), "2024".into());
        });
        assert_eq!(
            shown(&dms.unwrap()),
            [
                "http://localhost:8080/T1/255901/2024/data",
                "http://localhost:8080/T1/255901/2024/oauth/token",
                "http://localhost:8080/T1/255901/2024/metadata/dependencies",
                "http://localhost:8080/T1/255901/2024/metadata/specifications",
            ]
        );
    }

    #[test]
    fn a_placeholder_that_nothing_fills_names_the_key_to_set() {
        let error = urls("https://example.com", ods_7_1(), |_| ()).unwrap_err().to_string();
        assert!(error.contains("{tenantIdentifier}") && error.contains("set edfi_api.tenant"), "{error}");
        let error = urls("http://localhost:8080", dms(), |api| api.tenant = Some("T1".into())).unwrap_err().to_string();
        assert!(error.contains("set edfi_api.url_values.districtId"), "{error}");
    }

    #[test]
    fn a_mode_that_the_api_has_outgrown_is_left_alone_with_a_warning() {
        let year = |document: Value| {
            urls("https://example.com", document, |api| {
                (api.mode, api.year, api.tenant) = (Some(Mode::YearSpecific), Some(2023), Some("T1".into()));
            })
            .unwrap()
        };
        let filled = year(ods_7_1());
        assert_eq!(filled.data, "https://example.com/T1/2023/data/v3");
        assert!(filled.warnings.is_empty(), "{:?}", filled.warnings);
        let mut document = ods_5_3();
        (document["version"], document["apiMode"]) = ("7.3".into(), Value::Null);
        let plain = year(document);
        assert_eq!(plain.data, "https://example.com/v5.3/api/data/v3");
        assert!(plain.warnings[0].contains("edfi_api.mode is year-specific"), "{:?}", plain.warnings);
    }

    #[test]
    fn a_proxy_that_misreports_scheme_and_host_is_not_believed() {
        let mut document = ods_5_3();
        for name in ["dependencies", "openApiMetadata", "oauth", "dataManagementApi"] {
            let inside = document["urls"][name].as_str().unwrap().replace("https://example.com", "http://web-api:5000");
            document["urls"][name] = inside.into();
        }
        let urls = urls("https://example.com:8443/v5.3/api", document, |_| ()).unwrap();
        assert_eq!(
            shown(&urls),
            [
                "https://example.com:8443/v5.3/api/data/v3",
                "https://example.com:8443/v5.3/api/oauth/token",
                "https://example.com:8443/v5.3/api/metadata/data/v3/dependencies",
                "https://example.com:8443/v5.3/api/metadata/",
            ]
        );
        let api = testing::api("https://example.com");
        let document = mended(&base(&api).unwrap(), &api, "http://web-api/metadata/resources/swagger.json").unwrap();
        assert_eq!(document, "https://example.com/metadata/resources/swagger.json");
    }

    #[test]
    fn an_identity_provider_elsewhere_is_believed_but_never_without_encryption() {
        let with = |base_url: &str, oauth: &str| {
            let mut document = ods_5_3();
            document["urls"]["oauth"] = oauth.into();
            urls(base_url, document, |_| ()).map(|urls| urls.oauth.to_string())
        };
        let login = "https://login.example.com/realms/edfi/connect/token";
        assert_eq!(with("https://example.com", login).unwrap(), login);
        assert_eq!(
            with("http://localhost:8080", "http://localhost:8045/connect/token").unwrap(),
            "http://localhost:8045/connect/token"
        );
        assert_eq!(
            with("https://example.com", "http://example.com/connect/token").unwrap(),
            "https://example.com/connect/token"
        );
        assert_eq!(with("https://example.com", "/oauth/token").unwrap(), "https://example.com/oauth/token");
        let error = with("https://example.com", "http://login.example.com/connect/token").unwrap_err().to_string();
        assert!(error.contains("unencrypted") && error.contains("edfi_api.oauth_url"), "{error}");
    }

    #[test]
    fn what_the_configuration_sets_wins() {
        let urls = urls("https://example.com/v5.3/api", ods_5_3(), |api| {
            api.oauth_url = Some("http://login.example.com/oauth/token".into());
            api.dependencies_url = Some("https://other.example.com/{year}/deps".into());
            api.open_api_metadata_url = Some("https://other.example.com/list".into());
            api.resources_swagger_url = Some("https://other.example.com/r.json".into());
            api.descriptors_swagger_url = Some("https://other.example.com/d.json".into());
            api.year = Some(2023);
        })
        .unwrap();
        assert_eq!(
            shown(&urls),
            [
                "https://example.com/v5.3/api/data/v3",
                "http://login.example.com/oauth/token",
                "https://other.example.com/2023/deps",
                "https://other.example.com/list",
            ]
        );
        assert_eq!(urls.resources_document.unwrap(), "https://other.example.com/r.json");
        assert_eq!(urls.descriptors_document.unwrap(), "https://other.example.com/d.json");
    }

    #[test]
    fn without_discovery_the_data_url_is_assembled_if_the_others_are_set_by_hand() {
        let found = |api: &Api| resolve(&base(api).unwrap(), api, Err("404: Not Found"));
        let mut api = testing::api("https://example.com/api/");
        let error = found(&api).unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::GivenUp);
        for part in ["https://example.com/api/", "404: Not Found", "edfi_api.base_url", "edfi_api.oauth_url"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        api.oauth_url = Some("https://example.com/api/oauth/token".into());
        api.dependencies_url = Some("https://example.com/deps".into());
        assert_eq!(found(&api).unwrap().data, "https://example.com/api/data/v3");
        (api.mode, api.year) = (Some(Mode::InstanceYearSpecific), Some(2023));
        api.instance_code = Some("d1".into());
        assert_eq!(found(&api).unwrap().data, "https://example.com/api/data/v3/d1/2023");
    }

    #[test]
    fn a_document_without_urls_says_what_it_has() {
        let error = urls("https://example.com", json!({"version": "5.3", "hello": 1}), |_| ()).unwrap_err().to_string();
        assert!(error.contains("(version, hello)"), "{error}");
        let error = urls("https://example.com", json!([1]), |_| ()).unwrap_err().to_string();
        assert!(error.contains("not even a JSON object"), "{error}");
        let error = urls("https://example.com", json!({"urls": {"dataManagementApi": "/data"}}), |_| ()).unwrap_err();
        assert!(error.to_string().contains("no urls.oauth"), "{error}");
    }

    #[test]
    fn a_base_url_is_a_url_without_a_login() {
        for (base_url, part) in [
            ("example.com/api", "http:// or https://"),
            ("ftp://example.com", "http:// or https://"),
            ("https://exa mple.com", "edfi_api.base_url must be"),
            ("https://key:secret@example.com", "must not hold a login"),
        ] {
            let error = base(&testing::api(base_url)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_odd_name_stays_one_segment() {
        let urls = urls("https://example.com/v5.3/api", ods_5_3(), |_| ()).unwrap();
        let odd = urls.of(&Resource::new("ed-fi", "a/b ü")).unwrap();
        assert_eq!(odd, "https://example.com/v5.3/api/data/v3/ed-fi/a%2Fb%20%C3%BC");
    }
}
