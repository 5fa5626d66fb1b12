//! What a run is told by its configuration file: one type for both generations of keys, and the only place with
//! defaults. Once made, a [`Config`] does not change.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the configuration says, defaults filled in, `${NAME}` replaced, types checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where state and cached metadata are kept.
    pub state_dir: PathBuf,
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
    /// Send again what was refused last time.
    pub resend_failed: bool,
    /// The least severe level that is logged.
    pub log_level: Level,
    /// Print the whole chain of causes of an error.
    pub show_stacktrace: bool,
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
    pub year: i32,
    /// The instance of instance-specific deployments and route templates.
    pub instance_code: Option<String>,
    /// The tenant of route templates.
    pub tenant: Option<String>,
    /// Other values for placeholders of the API's URLs, by name.
    pub url_values: BTreeMap<String, String>,
    /// The key.
    pub client_id: String,
    /// The secret.
    pub client_secret: Secret,
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

/// How the API is asked.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Requests at the same time.
    pub pool_size: usize,
    /// The limit of each request, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// How often a request is repeated after the first try.
    pub num_retries: u32,
    /// By how much each delay is longer than the one before.
    pub backoff_factor: f64,
    /// The statuses after which a request is repeated.
    pub retry_statuses: Vec<u16>,
    /// Whether certificates are verified.
    pub verify_ssl: bool,
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
    /// As the Python lightbeam writes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
            Level::Critical => "CRITICAL",
        }
    }
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(value: impl Into<String>) -> Secret {
        Secret(value.into())
    }

    /// For the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
