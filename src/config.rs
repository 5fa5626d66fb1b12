//! What a run is told by its configuration file: one type for both generations of keys, and the only place with
//! defaults. Once made, a [`Config`] does not change.

pub mod codes;
mod expand;
mod faults;
pub mod keys;
mod kinds;
mod lines;
mod nesting;
mod params;
pub mod paths;
mod profile;
mod quotes;
mod read;
mod secret;
mod settings;
mod trusted;
mod twice;
pub mod validate;
mod value;
mod yaml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Result};
use crate::exit::Exit;

pub use kinds::Kind;
pub use params::Params;
pub use paths::check_data_dir;
pub use profile::Profile;
pub use read::{Given, parse};
pub use secret::{ClientSecret, Secret};
pub use validate::Validate;

/// What the command line says of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The file; `None`: the one in the working folder.
    pub file: Option<PathBuf>,
    /// What `${NAME}`s stand for before the environment is asked.
    pub params: Option<Params>,
    /// What `--set` sets, in order.
    pub sets: Vec<Assignment>,
}

/// A key and its value from `--set`.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// A key in either spelling.
    pub key: String,
    /// Its value as text, a list or mapping as YAML.
    pub value: String,
}

/// The value may be a secret, so that only the key is shown.
impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=[...]", self.key)
    }
}

/// A configuration and what is to be told about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Whether the file is one that nobody named but that lay in the working folder; a line is to say so.
    pub found_by_default: bool,
    /// Such as unknown keys; each with file and line.
    pub warnings: Vec<String>,
}

/// Reads the configuration that the command line asks for. `env` looks a name up in the environment.
pub fn load(request: &Request, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded> {
    let file = match &request.file {
        Some(file) => file.clone(),
        None => paths::locate(Path::is_file).and_then(paths::refuse_of_others)?,
    };
    let text = std::fs::read_to_string(&file)
        .or_stop(Exit::Usage, || format!("cannot read the configuration {}", file.display()))?;
    let params = request.params.as_ref().map(Params::read).transpose()?.unwrap_or_default();
    let given = Given { params, sets: &request.sets, env, try_to_write: &paths::try_to_write };
    let (config, warnings) = parse(&file, &text, &given)?;
    Ok(Loaded { config, found_by_default: request.file.is_none(), warnings })
}

/// Everything that the configuration says, defaults filled in, `${NAME}` replaced, types checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where state and cached metadata are kept; `None`: nowhere, because the default folder cannot be written.
    pub state_dir: Option<PathBuf>,
    /// Whether the configuration names that folder, and it is not the default one.
    pub state_is_named: bool,
    /// Where the payloads are.
    pub data_dir: PathBuf,
    /// The namespace of every resource that no override names.
    pub namespace: String,
    /// Namespace → the names of its resources.
    pub namespace_overrides: BTreeMap<String, Vec<String>>,
    /// Where the API is and who asks.
    pub api: Api,
    /// How the API is asked.
    pub connection: Connection,
    /// Where refused payloads go; `None`: below the target's state.
    pub rejects_dir: Option<PathBuf>,
    /// Send again what was refused because of the payload itself.
    pub resend_failed: bool,
    /// The API's metadata as it was saved, in place of asking the API for it.
    pub metadata_file: Option<PathBuf>,
    /// What stands between the columns that `count` prints.
    pub count_separator: String,
    /// Records in each page that `fetch` asks for; `None`: as many as the API gives.
    pub page_size: Option<u32>,
    /// What validation checks.
    pub validate: Validate,
    /// Delete without asking.
    pub force_delete: bool,
    /// Whose ways are followed where they differ.
    pub compat: codes::Compat,
    /// What the file alone says of it, whatever the command line or the environment say.
    pub compat_in_file: codes::Compat,
    /// Exit codes that somebody chose.
    pub exit_codes: codes::ExitCodes,
    /// The least severe level that is logged.
    pub log_level: Level,
    /// Print the whole chain of causes of an error.
    pub show_stacktrace: bool,
}

impl Config {
    /// The code that a run with this configuration ends with.
    pub fn code(&self, exit: Exit) -> u8 {
        exit.code_in(self.compat, &self.exit_codes)
    }
}

/// Where the API is and who asks.
#[derive(Clone, Debug)]
pub struct Api {
    /// The address of the discovery document.
    pub base_url: String,
    /// Wins over discovery.
    pub oauth_url: Option<String>,
    /// Wins over discovery.
    pub dependencies_url: Option<String>,
    /// The list of OpenAPI documents; wins over discovery.
    pub open_api_metadata_url: Option<String>,
    /// The OpenAPI document of descriptors; wins over the list.
    pub descriptors_swagger_url: Option<String>,
    /// The OpenAPI document of resources; wins over the list.
    pub resources_swagger_url: Option<String>,
    /// The version of the API's URLs, the 3 in `/data/v3`.
    pub version: u32,
    /// How the API is deployed; unset: discovery tells.
    pub mode: Option<Mode>,
    /// The school year of year-specific deployments and route templates.
    pub year: Option<i32>,
    /// The instance of instance-specific deployments and route templates.
    pub instance_code: Option<String>,
    /// The tenant of route templates.
    pub tenant: Option<String>,
    /// Other values for placeholders of the API's URLs, by name.
    pub url_values: BTreeMap<String, String>,
    /// Keys that decide which API is loaded and whose values have a `${NAME}` that stands for nothing, by their nested
    /// names, each with a sentence about it.
    pub unset: BTreeMap<&'static str, String>,
    /// Under which profile resources are written and read.
    pub profile: Option<Profile>,
    /// The key.
    pub client_id: String,
    /// Where the secret comes from.
    pub client_secret: ClientSecret,
}

/// How an ODS/API up to 6.2 is deployed, which decides its URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One database.
    SharedInstance,
    /// A database for each key.
    Sandbox,
    /// A database for each district.
    DistrictSpecific,
    /// The school year is part of the URLs.
    YearSpecific,
    /// Instance and school year are parts of the URLs.
    InstanceYearSpecific,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 5] =
        [Mode::SharedInstance, Mode::Sandbox, Mode::DistrictSpecific, Mode::YearSpecific, Mode::InstanceYearSpecific];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::SharedInstance => "shared_instance",
            Mode::Sandbox => "sandbox",
            Mode::DistrictSpecific => "district_specific",
            Mode::YearSpecific => "year_specific",
            Mode::InstanceYearSpecific => "instance_year_specific",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// How the API is asked.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The most requests at the same time.
    pub pool_size: usize,
    /// How many bytes of payloads may be in memory at the same time.
    pub memory: u64,
    /// Fewer at the same time while the API is slow or refuses.
    pub adaptive: bool,
    /// The most requests a second.
    pub rate: Option<u32>,
    /// The limit of each request, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// How long a connection may stay without a byte before its request is given up and repeated.
    pub idle_timeout: Duration,
    /// How often a request is repeated after the first try.
    pub num_retries: u32,
    /// For how long a host as a whole is waited for.
    pub patience: Duration,
    /// By how much each delay is longer than the one before.
    pub backoff_factor: f64,
    /// The statuses after which a request is repeated.
    pub retry_statuses: Vec<u16>,
    /// Whether certificates are verified.
    pub verify_ssl: bool,
    /// A file of certificates (PEM) of authorities that are trusted besides the bundled ones.
    pub ca_file: Option<PathBuf>,
    /// What is shown to a host that demands a certificate.
    pub client_cert: Option<ClientCert>,
    /// The URL of a proxy, which may hold a login; `None`: the environment decides.
    pub proxy: Option<Secret>,
    /// Whether credentials may travel unencrypted to another machine.
    pub allow_http: bool,
    /// Whether to wait, where the key has too many tokens, until one of them has ended.
    pub wait_for_token: bool,
}

/// A certificate of ours and its private key, both files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCert {
    /// The certificate, then those that lead from it to an authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// How severe a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What helps to find a fault.
    Debug,
    /// What a run does.
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
    /// What ends the run.
    Critical,
}

impl Level {
    /// All of them, the least severe first.
    pub const ALL: [Level; 5] = [Level::Debug, Level::Info, Level::Warning, Level::Error, Level::Critical];

    /// As the configuration and the log spell it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        }
    }

    /// The level of that name in any casing; `WARN` is short for `WARNING`, as in Python.
    pub fn from_name(name: &str) -> Option<Level> {
        let name = if name.eq_ignore_ascii_case("warn") { "WARNING" } else { name };
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_file(file: PathBuf) -> Result<Loaded> {
        let params = Some(Params::Literal(r#"{"ID": "me"}"#.into()));
        let secret = Assignment { key: "edfi_api.client_secret".into(), value: "x".into() };
        let request = Request { file: Some(file), params, sets: vec![secret] };
        load(&request, &|name| (name == "HOME" || name == "USERPROFILE").then(|| "/home/me".into()))
    }

    #[test]
    fn a_named_file_is_read_with_params_and_sets() {
        let file = std::env::temp_dir().join(format!("lightbeam-config-{}.yaml", std::process::id()));
        std::fs::write(&file, "edfi_api_client_id: ${ID}\ncolour: red\n").expect("a temporary folder");
        let loaded = load_file(file.clone());
        std::fs::remove_file(&file).expect("the file just written");
        let loaded = loaded.expect("a whole configuration");
        assert_eq!((loaded.config.file, loaded.found_by_default), (file, false));
        assert_eq!((loaded.config.api.client_id.as_str(), loaded.warnings.len()), ("me", 1));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let message = load_file("no-such-file.yaml".into()).map_or_else(|e| e.to_string(), |l| panic!("{l:?}"));
        assert!(message.contains("no-such-file.yaml"), "{message}");
    }
}
