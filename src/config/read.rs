//! From the text of a configuration file to a [`Config`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::codes::{self, Compat};
use super::faults::{Fault, Faults};
use super::settings::Settings;
use super::{Api, Assignment, ClientCert, ClientSecret, Config, Connection, Secret, paths, quotes, validate, yaml};
use crate::error::{Error, Result};

/// What a configuration takes from outside its file.
pub struct Given<'a> {
    /// What `${NAME}`s stand for before the environment is asked.
    pub params: BTreeMap<String, String>,
    /// What `--set` sets; it wins over the file, and of two the later wins.
    pub sets: &'a [Assignment],
    /// Looks a name up in the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Makes a folder for state, if it is not there, and tries to write to it.
    pub try_to_write: &'a dyn Fn(&Path) -> io::Result<()>,
}

/// Reads the text of the configuration `file`. Returns it with warnings, each with file and line.
pub fn parse(file: &Path, text: &str, given: &Given) -> Result<(Config, Vec<String>)> {
    let text = text.trim_start_matches('\u{FEFF}');
    let yaml::Document { node, twice } = yaml::read(text).map_err(|not_yaml| {
        let to_quote = quotes::needed(text);
        match to_quote.is_empty() {
            true => {
                let line = not_yaml.line.map_or(String::new(), |line| format!(":{line}"));
                Error::usage(format!("{}{line}: wrong YAML: {}", file.display(), not_yaml.message))
            }
            false => Error::usage(quotes::told(file, &to_quote).join("; ")),
        }
    })?;
    let look_up = |name: &str| given.params.get(name).cloned().or_else(|| (given.env)(name));
    let mut settings = Settings::new(file, &look_up);
    for yaml::Twice { key, lines: (first, last) } in twice {
        let place = format!("{}:{last}", file.display());
        settings.warnings.push(format!("{place}: {key}: given before, on line {first}; this one counts"));
    }
    settings.read_file(node);
    let compat_in_file = codes::compat(&settings);
    given.sets.iter().for_each(|assignment| settings.assign(assignment));
    let mut faults = std::mem::take(&mut settings.faults);
    let mut warnings = std::mem::take(&mut settings.warnings);
    let config = config(file, &settings, compat_in_file, given, &mut faults, &mut warnings);
    match config.filter(|_| faults.is_empty()) {
        Some(config) => {
            warnings.extend(settings.warnings_of_unset(&NEEDED));
            warnings.extend(long_timeouts(&settings));
            warnings.extend(quotes::doubts(file, text));
            Ok((config, warnings))
        }
        None => {
            // A secret that YAML does not read as it was meant is missing, or of a wrong kind.
            for (line, key) in quotes::needed(text) {
                let text = quotes::told(file, &[(line, key.clone())]).concat();
                if let Some(key) = faults.replace_missing(&key, line, text) {
                    warnings.retain(|warning| !warning.contains(key));
                }
            }
            Err(faults.into_error(&warnings))
        }
    }
}

/// The keys that no default can stand in for, where the file names them.
const NEEDED: [&str; 6] = [
    "edfi_api.base_url",
    "edfi_api.client_id",
    "edfi_api.client_secret",
    "data_dir",
    "namespace",
    "namespace_overrides",
];

/// The keys that decide which API is loaded, if its URLs have them, which is known later.
const OF_URLS: [&str; 6] = [
    "edfi_api.year",
    "edfi_api.instance_code",
    "edfi_api.tenant",
    "edfi_api.mode",
    "edfi_api.version",
    "edfi_api.url_values",
];

fn config(
    file: &Path,
    settings: &Settings,
    compat_in_file: Compat,
    given: &Given,
    faults: &mut Faults,
    warnings: &mut Vec<String>,
) -> Option<Config> {
    let state_dir = faults.keep(state_dir(settings, given, warnings));
    let data_dir = settings.need_if_named("data_dir").and_then(|path| at_home(settings, "data_dir", given, path));
    let data_dir = faults.keep(data_dir);
    let namespace = faults.keep(settings.need_if_named("namespace"));
    let namespace_overrides = faults.keep(settings.get_if_named("namespace_overrides"));
    let api = api(settings, given, faults, warnings);
    let connection = faults.keep(connection(settings, given));
    let rejects_dir = faults.keep(optional_path(settings, "rejects_dir", given));
    let metadata_file = faults.keep(optional_path(settings, "metadata_file", given));
    let validate = faults.keep(validate::read(settings));
    Some(Config {
        file: file.into(),
        state_dir: state_dir?,
        state_is_named: settings.is_given("state_dir"),
        data_dir: data_dir?,
        namespace: namespace?,
        namespace_overrides: namespace_overrides?.unwrap_or_default(),
        api: api?,
        connection: connection?,
        rejects_dir: rejects_dir?,
        resend_failed: faults.keep(settings.need("resend_failed"))?,
        metadata_file: metadata_file?,
        count_separator: faults.keep(settings.need("count.separator"))?,
        page_size: settings.get("fetch.page_size"),
        validate: validate?,
        force_delete: faults.keep(settings.need("force_delete"))?,
        compat: codes::compat(settings),
        compat_in_file,
        exit_codes: codes::exit_codes(settings),
        log_level: faults.keep(settings.need("log_level"))?,
        show_stacktrace: faults.keep(settings.need("show_stacktrace"))?,
    })
}

/// The folder of state. The default one may be missing, as where a service has no home; a run goes on without state then.
fn state_dir(settings: &Settings, given: &Given, warnings: &mut Vec<String>) -> Result<Option<PathBuf>, Fault> {
    const KEY: &str = "state_dir";
    let path: String = settings.need(KEY)?;
    if settings.is_given(KEY) {
        return at_home(settings, KEY, given, path).map(Some);
    }
    let usable = paths::expand_home(&path, given.env).and_then(|path| match (given.try_to_write)(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(format!("{} cannot be written: {error}", path.display())),
    });
    let told = |why: &String| warnings.push(format!("the default state_dir {path}: {why}"));
    Ok(usable.inspect_err(told).ok())
}

fn api(settings: &Settings, given: &Given, faults: &mut Faults, warnings: &mut Vec<String>) -> Option<Api> {
    let base_url = faults.keep(settings.need_if_named("edfi_api.base_url"));
    let profile = faults.keep(settings.get_if_named("edfi_api.profile"));
    // These two have no default. Every command that reads a configuration logs in, so that every configuration
    // must give them; a command that never logs in would be decided on here.
    let client_id = faults.keep(
        settings
            .need("edfi_api.client_id")
            .and_then(|id| without_line_end("edfi_api.client_id", id, settings, warnings)),
    );
    let client_secret = faults.keep(client_secret(settings, given, warnings));
    let unset = OF_URLS.into_iter().filter_map(|key| Some((key, settings.why_unset(key)?.to_string())));
    Some(Api {
        base_url: base_url?,
        oauth_url: settings.get("edfi_api.oauth_url"),
        dependencies_url: settings.get("edfi_api.dependencies_url"),
        open_api_metadata_url: settings.get("edfi_api.open_api_metadata_url"),
        descriptors_swagger_url: settings.get("edfi_api.descriptors_swagger_url"),
        resources_swagger_url: settings.get("edfi_api.resources_swagger_url"),
        version: faults.keep(settings.need("edfi_api.version"))?,
        mode: settings.get("edfi_api.mode"),
        year: settings.get("edfi_api.year"),
        instance_code: settings.get("edfi_api.instance_code"),
        tenant: settings.get("edfi_api.tenant"),
        url_values: settings.get("edfi_api.url_values").unwrap_or_default(),
        unset: unset.collect(),
        profile: profile?,
        client_id: client_id?,
        client_secret: client_secret?,
    })
}

/// From the one of three keys that is given.
fn client_secret(settings: &Settings, given: &Given, warnings: &mut Vec<String>) -> Result<ClientSecret, Fault> {
    const KEYS: [&str; 3] = ["edfi_api.client_secret", "edfi_api.client_secret_file", "edfi_api.client_secret_command"];
    let [text, file, command] = KEYS;
    let all = KEYS.iter().filter(|key| settings.is_given(key)).collect::<Vec<_>>();
    if let [first, second, ..] = all[..] {
        return Err(settings.fault(second, &format!("given besides {first}; keep one of them")));
    }
    if let (None, Some(unset)) = (all.first(), KEYS.iter().find(|key| settings.why_unset(key).is_some())) {
        return settings.need_if_named::<String>(unset).map(|secret| ClientSecret::Given(Secret::new(secret)));
    }
    if let Some(path) = optional_path(settings, file, given)? {
        return Ok(ClientSecret::File(path));
    }
    match settings.get::<String>(command) {
        Some(command) => {
            let limit = Duration::from_secs_f64(settings.need("edfi_api.client_secret_timeout")?);
            Ok(ClientSecret::Command(Secret::new(command), limit))
        }
        None => {
            let secret = without_line_end(text, settings.need::<String>(text)?, settings, warnings)?;
            Ok(ClientSecret::Given(Secret::new(secret)))
        }
    }
}

/// The value without one line end behind it, which files of secrets have (Kubernetes, `echo`) and no login does.
fn without_line_end(
    key: &'static str,
    value: String,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<String, Fault> {
    let Some(rest) = value.strip_suffix('\n') else { return Ok(value) };
    let rest = rest.strip_suffix('\r').unwrap_or(rest);
    if rest.is_empty() {
        return Err(settings.fault(key, "is empty but for a line break"));
    }
    warnings.push(settings.told(key, "ends with a line break, which is left out"));
    Ok(rest.into())
}

fn connection(settings: &Settings, given: &Given) -> Result<Connection, Fault> {
    Ok(Connection {
        pool_size: settings.need("connection.pool_size")?,
        memory: settings.need::<u64>("connection.memory")? << 20,
        adaptive: settings.need("connection.adaptive")?,
        rate: settings.get("connection.rate"),
        timeout: Duration::from_secs_f64(settings.need(TIMEOUT)?),
        idle_timeout: Duration::from_secs_f64(idle_timeout(settings.get(IDLE_TIMEOUT), settings.need(TIMEOUT)?)),
        num_retries: settings.need("connection.num_retries")?,
        patience: Duration::from_secs_f64(settings.need("connection.patience")?),
        backoff_factor: settings.need("connection.backoff_factor")?,
        retry_statuses: settings.need("connection.retry_statuses")?,
        verify_ssl: settings.need("connection.verify_ssl")?,
        ca_file: optional_path(settings, "connection.ca_file", given)?,
        client_cert: client_cert(settings, given)?,
        proxy: proxy(settings)?,
        allow_http: settings.need("connection.allow_http")?,
        wait_for_token: settings.need("connection.wait_for_token")?,
    })
}

const TIMEOUT: &str = "connection.timeout";
const IDLE_TIMEOUT: &str = "connection.idle_timeout";

/// Seconds above which a limit of time is most likely meant in milliseconds.
const LONG: f64 = 600.0;

/// Who waits longer than that for a whole answer does not want to wait as long for each byte of it.
fn idle_timeout(given: Option<f64>, timeout: f64) -> f64 {
    given.unwrap_or(if timeout > LONG { 120.0 } else { timeout })
}

/// Warnings about limits of time that are most likely meant in milliseconds.
fn long_timeouts(settings: &Settings) -> Vec<String> {
    let warning = |key: &&str| {
        let seconds: f64 = settings.get(key).filter(|seconds| *seconds > LONG)?;
        let text = format!("is in seconds, not milliseconds: {seconds} is {:.1} minutes", seconds / 60.0);
        Some(settings.told(key, &text))
    };
    [TIMEOUT, IDLE_TIMEOUT].iter().filter_map(warning).collect()
}

/// Certificate and key, which are of no use without each other.
fn client_cert(settings: &Settings, given: &Given) -> Result<Option<ClientCert>, Fault> {
    let (cert, key) = ("connection.client_cert", "connection.client_key");
    match (optional_path(settings, cert, given)?, optional_path(settings, key, given)?) {
        (Some(certificate), Some(key)) => Ok(Some(ClientCert { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(settings.fault(cert, &format!("needs {key}"))),
        (None, Some(_)) => Err(settings.fault(key, &format!("needs {cert}"))),
    }
}

/// The URL of a proxy. It may hold a password, so that no message shows it.
fn proxy(settings: &Settings) -> Result<Option<Secret>, Fault> {
    const KEY: &str = "connection.proxy";
    let Some(url) = settings.get::<String>(KEY) else { return Ok(None) };
    match url.split_once("://") {
        Some((scheme, _)) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            Ok(Some(Secret::new(url.trim())))
        }
        _ => Err(settings.fault(KEY, "expected a URL that begins with http:// or https://")),
    }
}

fn optional_path(settings: &Settings, name: &'static str, given: &Given) -> Result<Option<PathBuf>, Fault> {
    settings.get(name).map(|path| at_home(settings, name, given, path)).transpose()
}

fn at_home(settings: &Settings, name: &'static str, given: &Given, path: String) -> Result<PathBuf, Fault> {
    paths::expand_home(&path, given.env).map_err(|missing| settings.fault(name, &missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Method;
    use crate::config::validate::{Unknown, Validate};
    use crate::config::{Level, Mode};
    use crate::edfi::tolerance::Product;
    use crate::selector::Selector;

    const LOGIN: &str = "edfi_api: {client_id: populated, client_secret: populatedSecret}\n";

    fn env(name: &str) -> Option<String> {
        match name {
            "HOME" | "USERPROFILE" => Some("/home/me".into()),
            "SECRET" => Some("s3cret$HOME".into()),
            "SIZE" => Some("12".into()),
            "NESTED" => Some("${SIZE}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn read_with(text: &str, params: &[(&str, &str)], sets: &[(&str, &str)]) -> Result<(Config, Vec<String>)> {
        let params = params.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let sets: Vec<Assignment> =
            sets.iter().map(|(key, value)| Assignment { key: key.to_string(), value: value.to_string() }).collect();
        parse(Path::new("lightbeam.yaml"), text, &Given { params, sets: &sets, env: &env, try_to_write: &|_| Ok(()) })
    }

    fn read(text: &str) -> Config {
        match read_with(text, &[], &[]) {
            Ok((config, warnings)) if warnings.is_empty() => config,
            other => panic!("{other:?}"),
        }
    }

    fn set(sets: &[(&str, &str)]) -> Config {
        read_with(LOGIN, &[], sets).map_or_else(|e| panic!("{e}"), |(config, _)| config)
    }

    fn revealed(api: &Api) -> String {
        api.client_secret.reveal(&|_| Ok(())).unwrap().expose().into()
    }

    fn fault(text: &str) -> String {
        fault_of(read_with(text, &[], &[]))
    }

    fn fault_of(read: Result<(Config, Vec<String>)>) -> String {
        match read {
            Err(e) => {
                assert_eq!(e.exit().code(), 2);
                e.to_string()
            }
            Ok((config, _)) => panic!("{config:?}"),
        }
    }

    fn warnings(text: &str) -> Vec<String> {
        read_with(text, &[], &[]).map_or_else(|e| panic!("{e}"), |(_, warnings)| warnings)
    }

    #[test]
    fn a_limit_of_time_that_is_most_likely_meant_in_milliseconds_is_a_warning_with_its_place() {
        let timeouts = |keys: &str| warnings(&format!("{LOGIN}connection: {{{keys}}}\n"));
        assert_eq!(timeouts("timeout: 600, idle_timeout: 600"), [""; 0]);
        let told = timeouts("timeout: 30000");
        let expected = "connection.timeout: is in seconds, not milliseconds: 30000 is 500.0 minutes";
        assert_eq!(told, [format!("lightbeam.yaml:2: {expected}")]);
        assert!(timeouts("timeout: 601, idle_timeout: 60000")[1].contains("connection.idle_timeout: is in seconds"));
    }

    #[test]
    fn a_connection_may_be_idle_as_long_as_a_request_may_take_unless_that_is_very_long() {
        let idle = |keys: &str| {
            let text = format!("{LOGIN}connection: {{{keys}}}\n");
            read_with(&text, &[], &[]).unwrap().0.connection.idle_timeout.as_secs_f64()
        };
        assert_eq!([idle("timeout: 30"), idle("timeout: 600"), idle("timeout: 600.5")], [30.0, 600.0, 120.0]);
        assert_eq!([idle("adaptive: true"), idle("timeout: 3600, idle_timeout: 0.5")], [60.0, 0.5]);
    }

    #[test]
    fn a_flat_configuration_is_read_whole() {
        let config = read(
            "verbose: True
state_dir: ~/state/
data_dir: ./district/
edfi_api_base_url: https://example.org/api
edfi_api_version: 4
edfi_api_mode: instance_year_specific
edfi_api_year: 2022
edfi_api_instance_code: 0042
edfi_api_client_id: 12345678901234567890123
edfi_api_client_secret: ${SECRET}
connection_pool_size: 16
connection_timeout: 30
num_retries: 5
backoff_factor: 2
retry_statuses: [429, 503]
show_stacktrace: yes
",
        );
        let (api, connection) = (&config.api, &config.connection);
        assert_eq!(config.file, Path::new("lightbeam.yaml"));
        assert_eq!(config.log_level, Level::Debug);
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("/home/me/state/")));
        assert_eq!(config.data_dir, Path::new("./district/"));
        assert_eq!((api.base_url.as_str(), api.version, api.year), ("https://example.org/api", 4, Some(2022)));
        assert_eq!((api.mode, api.instance_code.as_deref()), (Some(Mode::InstanceYearSpecific), Some("0042")));
        assert_eq!((api.client_id.as_str(), revealed(api).as_str()), ("12345678901234567890123", "s3cret$HOME"));
        assert_eq!((connection.pool_size, connection.timeout.as_secs(), connection.num_retries), (16, 30, 5));
        assert_eq!((connection.backoff_factor, connection.retry_statuses.as_slice()), (2.0, &[429, 503][..]));
        assert!(config.show_stacktrace);
    }

    #[test]
    fn a_nested_configuration_is_read_whole() {
        let config = read(
            "state_dir: state
data_dir: data
namespace: tx
namespace_overrides:
  ed-fi: [students, schools]
  tpdm:
    - candidates
edfi_api:
  base_url: https://example.org/{tenant}/api
  oauth_url: https://example.org/oauth
  dependencies_url: https://example.org/dependencies
  open_api_metadata_url: https://example.org/metadata
  descriptors_swagger_url: https://example.org/descriptors
  resources_swagger_url: https://example.org/resources
  version: 3
  mode: year_specific
  year: 2025
  instance_code: abc
  tenant: t1
  url_values:
    districtId: 255901
  client_id: me
  client_secret: '0012'
connection:
  pool_size: 4
  adaptive: false
  rate: 250
  patience: 90
  timeout: 1.5
  num_retries: 0
  backoff_factor: 1.25
  retry_statuses:
  - 500
  - 502
  verify_ssl: false
count: {separator: ','}
fetch:
  page_size: 500
validate:
  api: dms
  strict: true
  methods: '*'
  references:
    selector: [students]
    behavior: include
    remote: false
    max_failures: 10
force_delete: true
resend_failed: false
log_level: warn
show_stacktrace: false
",
        );
        let (api, connection) = (&config.api, &config.connection);
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("state")));
        assert_eq!(config.data_dir, Path::new("data"));
        assert_eq!(config.namespace, "tx");
        assert_eq!(config.namespace_overrides["ed-fi"], names(&["students", "schools"]));
        assert_eq!(config.namespace_overrides["tpdm"], names(&["candidates"]));
        assert_eq!(api.base_url, "https://example.org/{tenant}/api");
        assert_eq!(api.oauth_url.as_deref(), Some("https://example.org/oauth"));
        assert_eq!(api.dependencies_url.as_deref(), Some("https://example.org/dependencies"));
        assert_eq!(api.open_api_metadata_url.as_deref(), Some("https://example.org/metadata"));
        assert_eq!(api.descriptors_swagger_url.as_deref(), Some("https://example.org/descriptors"));
        assert_eq!(api.resources_swagger_url.as_deref(), Some("https://example.org/resources"));
        assert_eq!((api.version, api.mode, api.year), (3, Some(Mode::YearSpecific), Some(2025)));
        assert_eq!((api.instance_code.as_deref(), api.tenant.as_deref()), (Some("abc"), Some("t1")));
        assert_eq!(api.url_values["districtId"], "255901");
        assert_eq!((api.client_id.as_str(), revealed(api).as_str()), ("me", "0012"));
        assert_eq!((connection.pool_size, connection.timeout.as_millis(), connection.num_retries), (4, 1500, 0));
        assert_eq!((connection.adaptive, connection.rate), (false, Some(250)));
        assert_eq!(connection.patience.as_secs(), 90);
        assert_eq!((connection.backoff_factor, connection.retry_statuses.as_slice()), (1.25, &[500, 502][..]));
        assert!(!connection.verify_ssl && !config.resend_failed && !config.show_stacktrace);
        assert_eq!(config.log_level, Level::Warning);
        let Validate { methods, unknown_properties, api, strict, max_failures, references } = &config.validate;
        assert_eq!((*api, *strict), (Some(Product::Dms), true));
        assert_eq!((&methods[..], max_failures), (&Method::ALL[..], &None));
        assert_eq!(*unknown_properties, Unknown::Warn);
        assert_eq!((&references.to, references.remote), (&Selector::new(Some("students"), None), false));
        assert_eq!(references.max_failures, Some(10));
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let config = read(&format!(
            "{LOGIN}data_dir:
connection:
log_level: ''
"
        ));
        let (api, connection) = (&config.api, &config.connection);
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("/home/me/.lightbeam")));
        assert_eq!(config.data_dir, Path::new("./"));
        assert_eq!(config.namespace, "ed-fi");
        assert!(config.namespace_overrides.is_empty() && api.url_values.is_empty());
        assert_eq!((api.base_url.as_str(), api.version, api.year), ("https://localhost/api", 3, None));
        assert_eq!((api.mode, &api.oauth_url, &api.dependencies_url), (None, &None, &None));
        assert_eq!((&api.instance_code, &api.tenant), (&None, &None));
        assert_eq!((connection.pool_size, connection.timeout.as_secs(), connection.num_retries), (8, 60, 10));
        assert_eq!((connection.adaptive, connection.rate), (true, None));
        assert_eq!((connection.backoff_factor, connection.patience.as_secs()), (1.5, 300));
        assert_eq!(connection.retry_statuses, [429, 500, 502, 503, 504]);
        assert!(connection.verify_ssl && config.resend_failed && !config.show_stacktrace);
        assert_eq!(config.log_level, Level::Info);
    }

    #[test]
    fn a_login_must_be_given_and_is_asked_for_in_the_words_of_the_file() {
        let of = |key| format!("lightbeam.yaml: edfi_api.{key}: not given, and it has no default");
        let both = format!("2 faults in the configuration:\n  {}\n  {}", of("client_id"), of("client_secret"));
        assert_eq!(fault(""), both);
        let flat = fault(
            "edfi_api_client_id: me
edfi_api_client_secret: ${EMPTY}
",
        );
        assert_eq!(flat, "lightbeam.yaml:2: edfi_api_client_secret: ${EMPTY} is empty; set it there");
    }

    #[test]
    fn the_secret_comes_from_just_one_of_three_keys() {
        let file = read("edfi_api: {client_id: me, client_secret_file: ~/secret}");
        assert_eq!(file.api.client_secret, ClientSecret::File("/home/me/secret".into()));
        let command = read("edfi_api: {client_id: me, client_secret_command: pass show edfi}");
        assert_eq!(
            command.api.client_secret,
            ClientSecret::Command(Secret::new("pass show edfi"), Duration::from_secs(60))
        );
        let both = fault("edfi_api:\n  client_id: me\n  client_secret: hidden\n  client_secret_file: x\n");
        assert_eq!(
            both,
            "lightbeam.yaml:4: edfi_api.client_secret_file: given besides edfi_api.client_secret; keep one of them"
        );
    }

    #[test]
    fn how_the_api_is_trusted_and_reached_is_read() {
        let config = read(&format!(
            "{LOGIN}connection:
  ca_file: ~/ca.pem
  client_cert: me.pem
  client_key: me.key
  proxy: http://user:hidden@proxy:3128
  allow_http: true
  wait_for_token: yes
"
        ));
        let connection = &config.connection;
        assert_eq!(connection.ca_file.as_deref(), Some(Path::new("/home/me/ca.pem")));
        let ours = ClientCert { certificate: "me.pem".into(), key: "me.key".into() };
        assert_eq!(connection.client_cert, Some(ours));
        assert_eq!(connection.proxy, Some(Secret::new("http://user:hidden@proxy:3128")));
        assert!(connection.allow_http && connection.wait_for_token);
        assert!(!format!("{config:?}").contains("hidden"));
        let unset = &read(LOGIN).connection;
        assert_eq!((&unset.ca_file, &unset.client_cert, &unset.proxy), (&None, &None, &None));
        assert!(!unset.allow_http && !unset.wait_for_token);
    }

    #[test]
    fn a_certificate_needs_its_key_and_a_proxy_a_scheme_that_is_known() {
        let of = |line: &str| fault(&format!("{LOGIN}connection:\n  {line}\n"));
        assert_eq!(of("client_cert: a"), "lightbeam.yaml:3: connection.client_cert: needs connection.client_key");
        assert_eq!(of("client_key: a"), "lightbeam.yaml:3: connection.client_key: needs connection.client_cert");
        let told = "lightbeam.yaml:3: connection.proxy: expected a URL that begins with http:// or https://";
        for proxy in ["proxy: 'socks5://user:hidden@host'", "proxy: 'user:hidden@host:3128'"] {
            assert_eq!(of(proxy), told);
        }
    }

    #[test]
    fn a_login_under_a_mistyped_name_is_told_with_the_name_that_is_missing() {
        let message = fault("edfi_api:\n  client: me\n  clientid: me\n");
        assert!(message.contains("edfi_api.client_id: not given"), "{message}");
        assert!(message.contains("lightbeam.yaml:3: unknown key 'edfi_api.clientid'"), "{message}");
    }

    #[test]
    fn a_wrong_value_is_told_with_file_line_key_what_was_found_and_what_is_allowed() {
        let nested = fault(&format!(
            "{LOGIN}
connection:
  pool_size: many
"
        ));
        assert_eq!(
            nested,
            "lightbeam.yaml:4: connection.pool_size: found 'many', expected a whole number from 1 to 1024"
        );
        let flat = fault(&format!("{LOGIN}retry_statuses:\n  - 429\n  - 42\n"));
        assert_eq!(
            flat,
            "lightbeam.yaml:4: retry_statuses: found '42', expected a list of HTTP statuses from 100 to 599"
        );
        assert_eq!(
            fault(&format!("{LOGIN}verbose: loud\n")),
            "lightbeam.yaml:2: verbose: found 'loud', expected true or false"
        );
        let unused = fault(&format!("{LOGIN}fetch:\n  page_size: 0\n"));
        assert_eq!(unused, "lightbeam.yaml:3: fetch.page_size: found '0', expected a whole number of at least 1");
    }

    #[test]
    fn no_message_shows_a_secret() {
        for text in [
            "edfi_api: {client_id: a, client_secret: [hidden]}",
            "edfi_api_client_secret: a
edfi_api: {client_secret: hidden}",
            "edfi_api_client_secret: hidden${NO}",
            "connection_pool_size: ${SECRET}",
        ] {
            let message = fault(text);
            assert!(!message.contains("hidden") && !message.contains("s3cret"), "{message}");
        }
        let message = fault_of(read_with(LOGIN, &[("X", "hidden")], &[("connection.timeout", "${X}")]));
        assert_eq!(
            message,
            "--set: connection.timeout: found what '${X}' stands for, expected a number of seconds above 0"
        );
    }

    #[test]
    fn a_key_in_both_spellings_must_say_the_same() {
        let config = read(&format!(
            "{LOGIN}retry_statuses: [500]
connection: {{retry_statuses: ['500']}}
"
        ));
        assert_eq!(config.connection.retry_statuses, [500]);
        assert_eq!(
            fault(&format!("{LOGIN}connection_pool_size: 8\nconnection:\n  timeout: 2\n  pool_size: 9\n")),
            "lightbeam.yaml:5: connection.pool_size: says something else than connection_pool_size (lightbeam.yaml:2); \
             keep one of them"
        );
        assert!(
            fault(
                "verbose: true
log_level: INFO
"
            )
            .contains("verbose (lightbeam.yaml:1)")
        );
    }

    #[test]
    fn verbose_is_debug_and_its_absence_says_nothing() {
        assert_eq!(
            read(&format!(
                "{LOGIN}verbose: true
log_level: debug
"
            ))
            .log_level,
            Level::Debug
        );
        assert_eq!(
            read(&format!(
                "{LOGIN}verbose: false
log_level: ERROR
"
            ))
            .log_level,
            Level::Error
        );
        assert_eq!(set(&[("verbose", "true")]).log_level, Level::Debug);
        assert_eq!(set(&[("log_level", "ERROR"), ("verbose", "false")]).log_level, Level::Info);
    }

    #[test]
    fn an_unknown_key_is_a_warning_that_names_the_nearest_in_the_words_of_the_file() {
        assert_eq!(
            warnings(&format!(
                "{LOGIN}connection:
  pol_size: 3
colour: red
"
            )),
            [
                "lightbeam.yaml:3: unknown key 'connection.pol_size' is ignored; did you mean 'connection.pool_size'?",
                "lightbeam.yaml:4: unknown key 'colour' is ignored",
            ]
        );
        assert_eq!(
            warnings(
                "edfi_api_client_id: a
edfi_api_client_secret: b
pool_size: ${NO}
"
            ),
            ["lightbeam.yaml:3: unknown key 'pool_size' is ignored; did you mean 'connection_pool_size'?"]
        );
    }

    #[test]
    fn names_in_braces_come_from_params_before_the_environment() {
        let text = format!(
            "{LOGIN}connection: {{pool_size: '${{SIZE}}', retry_statuses: [5${{N}}, ${{N}}9]}}
"
        );
        let read = |params: &[(&str, &str)]| match read_with(&text, params, &[]) {
            Ok((config, _)) => (config.connection.pool_size, config.connection.retry_statuses),
            Err(e) => panic!("{e}"),
        };
        assert_eq!(read(&[("N", "42")]), (12, vec![542, 429]));
        assert_eq!(read(&[("N", "11"), ("SIZE", "3")]), (3, vec![511, 119]));
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_a_fault_where_no_default_can_take_its_place() {
        let of = |line: &str| fault(&format!("{LOGIN}{line}\n"));
        for key in ["data_dir", "namespace", "namespace_overrides"] {
            let told = format!(
                "lightbeam.yaml:2: {key}: ${{NO}} is set neither by --params nor in the environment; set it there"
            );
            assert_eq!(of(&format!("{key}: ${{NO}}")), told);
        }
        let login = "edfi_api:\n  base_url: ${NO}\n  client_id: a${NO}\n  client_secret_file: ${NO}\n";
        let told = fault(login);
        assert!(
            told.starts_with("3 faults in the configuration:\n  lightbeam.yaml:2: edfi_api.base_url: ${NO}"),
            "{told}"
        );
        assert!(told.contains("\n  lightbeam.yaml:3: edfi_api.client_id: ${NO} is set neither"), "{told}");
        assert!(told.contains("\n  lightbeam.yaml:4: edfi_api.client_secret_file: ${NO} is set neither"), "{told}");
    }

    #[test]
    fn elsewhere_a_name_that_stands_for_nothing_is_a_warning_and_the_default_holds() {
        let text = format!(
            "{LOGIN}state_dir: ${{NO}}\nconnection:\n  retry_statuses:\n    - 500\n    - ${{NO}}\n  rate: ${{EMPTY}}\n"
        );
        let (config, warnings) = read_with(&text, &[], &[]).unwrap();
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("/home/me/.lightbeam")));
        assert_eq!((config.connection.retry_statuses, config.connection.rate), (vec![429, 500, 502, 503, 504], None));
        let unset = "${NO} is set neither by --params nor in the environment; so the key is";
        let expected = [
            "lightbeam.yaml:7: connection.rate: ${EMPTY} is empty; so the key counts as not given".to_string(),
            format!("lightbeam.yaml:6: connection.retry_statuses: {unset} [429, 500, 502, 503, 504], the default"),
            format!("lightbeam.yaml:2: state_dir: {unset} ~/.lightbeam, the default"),
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn what_decides_which_api_is_loaded_is_kept_as_unset() {
        let text = "edfi_api: {client_id: a, client_secret: b, year: '${NO}', mode: '${NO}'}\n";
        let (config, warnings) = read_with(text, &[], &[]).unwrap();
        assert_eq!((config.api.year, config.api.mode), (None, None));
        assert_eq!(config.api.unset.keys().copied().collect::<Vec<_>>(), ["edfi_api.mode", "edfi_api.year"]);
        assert_eq!(warnings.len(), 2);
        let set = read_with(text, &[], &[("edfi_api.year", "2024"), ("edfi_api.mode", "sandbox")]).unwrap();
        assert_eq!((set.0.api.year, set.0.api.unset.len(), set.1.len()), (Some(2024), 0, 0));
    }

    #[test]
    fn all_faults_are_told_at_once_in_the_order_of_the_file() {
        let text =
            "connection:\n  pool_size: many\nlog_level: LOUD\nedfi_api: {client_id: me}\nvalidate: {methods: [x]}\n";
        let told = fault_of(read_with(text, &[], &[("connection.timeout", "-1")]));
        let keys =
            ["connection.pool_size", "log_level", "validate.methods", "connection.timeout", "edfi_api.client_secret"];
        let at: Vec<Option<usize>> = keys.iter().map(|key| told.find(key)).collect();
        assert!(told.starts_with("5 faults") && at.is_sorted() && at.iter().all(Option::is_some), "{told}");
    }

    #[test]
    fn a_key_given_twice_is_a_warning_with_both_lines() {
        let told = warnings(&format!("{LOGIN}log_level: DEBUG\nstate_dir: x\nlog_level: INFO\n"));
        assert_eq!(told, ["lightbeam.yaml:4: log_level: given before, on line 2; this one counts"]);
    }

    #[test]
    fn a_name_without_braces_in_a_path_is_a_warning() {
        let told = warnings(&format!("{LOGIN}state_dir: $HOME/state\ndata_dir: a$/b\nrejects_dir: '${{SIZE}}/$X_1'\n"));
        let of = |line, key, name| {
            format!("lightbeam.yaml:{line}: {key}: ${name} stays as it is; write ${{{name}}} for what it stands for")
        };
        assert_eq!(told, [of(2, "state_dir", "HOME"), of(4, "rejects_dir", "X_1")]);
    }

    #[test]
    fn the_default_state_folder_may_be_missing_and_a_named_one_is_never_replaced() {
        let read = |text: &str, home: Option<&str>, write: io::Result<()>| {
            let env = |name: &str| home.filter(|_| name == "HOME" || name == "USERPROFILE").map(String::from);
            let write = std::cell::Cell::new(Some(write));
            let given =
                Given { params: BTreeMap::new(), sets: &[], env: &env, try_to_write: &|_| write.take().unwrap() };
            parse(Path::new("f"), text, &given).unwrap()
        };
        let (config, warnings) = read(LOGIN, Some("/home/me"), Err(io::ErrorKind::PermissionDenied.into()));
        let told = "the default state_dir ~/.lightbeam: /home/me/.lightbeam cannot be written: permission denied";
        assert_eq!((config.state_dir, config.state_is_named, warnings), (None, false, vec![told.to_string()]));
        let (config, warnings) = read(LOGIN, None, Ok(()));
        assert_eq!((config.state_dir, warnings.len()), (None, 1));
        let named = read(&format!("{LOGIN}state_dir: /x\n"), None, Err(io::ErrorKind::PermissionDenied.into())).0;
        assert_eq!((named.state_dir.as_deref(), named.state_is_named), (Some(Path::new("/x")), true));
    }

    #[test]
    fn one_line_end_behind_key_and_secret_is_left_out_and_reported() {
        let text = "edfi_api: {client_id: '${ID}', client_secret: '${KEY}'}\n";
        let login = |id: &str, key: &str| {
            let (config, warnings) = read_with(text, &[("ID", id), ("KEY", key)], &[]).unwrap();
            assert!(warnings.iter().all(|warning| warning.ends_with("ends with a line break, which is left out")));
            assert!(!warnings.concat().contains("hidden"));
            (config.api.client_id.clone(), revealed(&config.api), warnings.len())
        };
        assert_eq!(login("me\n", "hidden\r\n"), ("me".into(), "hidden".into(), 2));
        assert_eq!(login("me", "hidden\n\n"), ("me".into(), "hidden\n".into(), 1));
        assert_eq!(login("me", "hidden"), ("me".into(), "hidden".into(), 0));
        let block = warnings("edfi_api:\n  client_id: me\n  client_secret: |\n    hidden\n");
        assert_eq!(block, ["lightbeam.yaml:3: edfi_api.client_secret: ends with a line break, which is left out"]);
        assert!(
            fault_of(read_with(text, &[("ID", "me"), ("KEY", "\n")], &[])).contains("is empty but for a line break")
        );
    }

    #[test]
    fn a_secret_that_yaml_reads_as_something_else_is_to_be_put_in_quotes_and_never_shown() {
        for secret in [
            "%hidden",
            "@hidden",
            "*hidden",
            "!hidden",
            "!hidden x",
            "&hidden",
            "`hidden",
            "#hidden",
            "[hidden",
            "{hidden",
            "hidden: x",
            "[hidden]",
            "{a: hidden}",
            "~",
        ] {
            let told = fault(&format!("edfi_api:\n  client_id: me\n  client_secret: {secret}\n"));
            assert!(told.starts_with("lightbeam.yaml:3: ") && told.contains("client_secret: "), "{secret}: {told}");
            assert!(told.contains("put it in quotes") && !told.contains("hidden"), "{secret}: {told}");
        }
        let told = warnings("edfi_api: {client_id: a}\nedfi_api_client_secret: hid #den\n");
        assert!(told[0].contains("what follows the # is a comment") && !told[0].contains("den"), "{told:?}");
    }

    #[test]
    fn a_name_in_braces_may_stand_for_a_whole_list() {
        let text = format!(
            "{LOGIN}retry_statuses: ${{LIST}}
"
        );
        for list in ["[500, 501]", "500,501"] {
            let config = read_with(&text, &[("LIST", list)], &[]).map(|(config, _)| config.connection.retry_statuses);
            assert_eq!(config.ok(), Some(vec![500, 501]), "{list}");
        }
    }

    #[test]
    fn what_a_name_stands_for_is_not_expanded_again() {
        let config = read(
            "edfi_api: {client_id: '${NESTED}', client_secret: pa$HOME}
",
        );
        assert_eq!((config.api.client_id.as_str(), revealed(&config.api).as_str()), ("${SIZE}", "pa$HOME"));
    }

    #[test]
    fn set_wins_over_the_file_in_either_spelling() {
        let text = format!(
            "{LOGIN}connection: {{pool_size: 2}}
"
        );
        let sets = [
            ("connection_pool_size", "4"),
            ("connection.pool_size", "5"),
            ("retry_statuses", "[500]"),
            ("edfi_api.client_secret", "${SECRET}"),
            ("data_dir", "~/x"),
        ];
        let config = read_with(&text, &[], &sets).map_or_else(|e| panic!("{e}"), |(config, _)| config);
        assert_eq!((config.connection.pool_size, config.connection.retry_statuses.as_slice()), (5, &[500][..]));
        assert_eq!(revealed(&config.api), "s3cret$HOME");
        assert_eq!(config.data_dir, Path::new("/home/me/x"));
    }

    #[test]
    fn set_takes_a_mapping_whole_or_by_entry() {
        let config = set(&[
            ("namespace_overrides", "{tx: [a, b]}"),
            ("namespace_overrides.tpdm", "[c]"),
            ("edfi_api.url_values.districtId", "0255"),
        ]);
        let lists = format!("{:?}", config.namespace_overrides);
        assert_eq!(lists, r#"{"tpdm": ["c"], "tx": ["a", "b"]}"#);
        assert_eq!(config.api.url_values["districtId"], "0255");
    }

    #[test]
    fn set_to_nothing_is_back_to_the_default() {
        let text = format!(
            "{LOGIN}namespace: tx
"
        );
        let config = read_with(&text, &[], &[("namespace", "")]).map(|(config, _)| config.namespace);
        assert_eq!(config.ok().as_deref(), Some("ed-fi"));
    }

    #[test]
    fn set_warns_of_unknown_keys_and_refuses_wrong_values() {
        let warned = |key, value| read_with(LOGIN, &[], &[(key, value)]).unwrap().1.join("\n");
        assert_eq!(
            warned("connection.pol_size", "1"),
            "--set: unknown key 'connection.pol_size' is ignored; did you mean 'connection.pool_size'?"
        );
        let no_key = "--set: what is not a key is ignored, with the value after it; keys and values come in pairs";
        assert_eq!(warned("hidden", "1"), no_key);
        assert_eq!(
            warned("conection_pool_size", "1"),
            "--set: unknown key 'conection_pool_size' is ignored; did you mean 'connection_pool_size'?"
        );
        let refused = |key, value| fault_of(read_with(LOGIN, &[], &[(key, value)]));
        assert_eq!(
            refused("connection_pool_size", "x"),
            "--set: connection_pool_size: found 'x', expected a whole number from 1 to 1024"
        );
    }

    #[test]
    fn a_section_that_is_no_mapping_is_told() {
        assert!(
            fault(&format!("{LOGIN}connection: 5\n")).starts_with("lightbeam.yaml:2: connection: expected a mapping")
        );
        assert!(
            fault(
                "- a
"
            )
            .contains("\n  lightbeam.yaml:1: expected a mapping")
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        let message = fault(
            "a: 1
b: [
",
        );
        assert!(message.starts_with("lightbeam.yaml:") && message.contains("wrong YAML"), "{message}");
        assert!(
            fault(
                "data_dir: a
data_dir: b
"
            )
            .contains("data_dir")
        );
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(read(&format!("\u{FEFF}{LOGIN}")).api.client_id, "populated");
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        assert!(!format!("{:?}", read(LOGIN)).contains("populatedSecret"));
        let assignment = Assignment { key: "edfi_api.client_secret".into(), value: "hidden".into() };
        assert!(!format!("{assignment:?}").contains("hidden"));
    }
}
