//! What a caller may do, read from a file in the form in which an ODS/API answers `/oauth/token_info`, with definitions of profiles added.
//!
//! What that answer has and the sandbox has no use for is taken as well, so that a real API's answer can be played back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// The claims of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Education organizations that the caller acts for.
    pub education_organizations: Option<Vec<Organization>>,
    /// How the namespaces begin of which the caller may write descriptors and assessments.
    pub namespace_prefixes: Option<Vec<String>>,
    /// The profiles that are assigned to the caller.
    #[serde(default)]
    pub assigned_profiles: Vec<String>,
    /// The claim set.
    pub claim_set: Option<Value>,
    /// What the caller may do with which resource; with no other, anything.
    pub resources: Option<Vec<Operations>>,
    /// What the caller may do with services.
    pub services: Option<Value>,
    /// Profiles by name, each with its resources.
    #[serde(default)]
    pub profiles: BTreeMap<String, BTreeMap<String, Coverage>>,
    #[serde(rename = "active")]
    _active: Option<IgnoredAny>,
    #[serde(rename = "client_id")]
    _client_id: Option<IgnoredAny>,
    #[serde(rename = "exp")]
    _exp: Option<IgnoredAny>,
    #[serde(rename = "student_identification_system")]
    _student_identification_system: Option<IgnoredAny>,
    /// Where they were read.
    #[serde(skip)]
    source: (PathBuf, String),
}

/// An education organization.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Organization {
    /// By its id alone.
    Id(i64),
    /// With all that is to be told of it.
    Told(Map<String, Value>),
}

/// What the caller may do with a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// Such as `/ed-fi/students`.
    pub resource: String,
    /// Of `Create`, `Read`, `Update`, `Delete`.
    pub operations: Vec<String>,
}

/// How a profile covers a resource; what is not given cannot be done under it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// What is shown.
    pub read: Option<Members>,
    /// What is taken.
    pub write: Option<Members>,
}

/// Members of a resource's payloads; all, if neither is given. The natural key is always among them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// These only.
    pub include: Option<Vec<String>>,
    /// All but these.
    pub exclude: Option<Vec<String>>,
}

impl Claims {
    /// Reads a file. An error names the file, and the line where there is one.
    pub fn read(file: &Path) -> Result<Claims> {
        let text = std::fs::read_to_string(file)
            .or_stop(Exit::Usage, || format!("cannot read the claims in {}", file.display()))?;
        let mut claims: Claims = serde_json::from_str(&text).map_err(|error| {
            // The place is named first, as for every file.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            let (line, column) = (error.line(), error.column());
            Error::usage(format!("{}, line {line}, column {column}: {what}", file.display()))
        })?;
        claims.source = (file.to_owned(), text);
        Ok(claims)
    }

    /// An error about a name that stands in the file.
    pub fn fault(&self, name: &str, what: &str) -> Error {
        let (file, text) = &self.source;
        let quoted = Value::from(name).to_string();
        let line = text.lines().position(|line| line.contains(&quoted)).map_or(1, |at| at + 1);
        Error::usage(format!("{}, line {line}: {what}", file.display()))
    }
}
