//! Every key of the configuration, in one table that feeds the reading of files, `--set`, the warnings about unknown
//! keys and the reference in README.

use super::codes::Compat;
use super::kinds::{Kind, MANY};
use crate::nearest::nearest;

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its nested name, as 0.1.12 of the Python lightbeam has it, with dots: `connection.pool_size`.
    pub name: &'static str,
    /// What 0.0.1 calls it, where that differs: `connection_pool_size`.
    pub flat: Option<&'static str>,
    /// What it may hold.
    pub kind: Kind,
    /// What holds where it is not given, in the words of the file; `None`: it is unset.
    pub default: Option<&'static str>,
    /// What it says, in a line.
    pub meaning: &'static str,
}

/// The one flat name with a type of its own: `verbose: true` is `log_level: DEBUG`, `verbose: false` says nothing.
pub const VERBOSE: &str = "verbose";

/// Every key of both generations, and what is new here.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    key("state_dir", None, Kind::Path, Some("~/.lightbeam"), "where state and cached metadata are kept"),
    key("data_dir", None, Kind::Path, Some("./"), "where the payloads are"),
    key("namespace", None, Kind::Text, Some("ed-fi"), "the namespace of every resource that no override names"),
    key("namespace_overrides", None, Kind::NamesByName, None, "for each other namespace, the list of its resources"),
    key("edfi_api.base_url", Some("edfi_api_base_url"), Kind::Url, Some("https://localhost/api"), "the address of the API's discovery document"),
    key("edfi_api.oauth_url", None, Kind::Url, None, "where the API gives tokens; wins over discovery"),
    key("edfi_api.dependencies_url", None, Kind::Url, None, "the dependencies document; wins over discovery"),
    key("edfi_api.open_api_metadata_url", None, Kind::Url, None, "the list of OpenAPI documents; wins over discovery"),
    key("edfi_api.descriptors_swagger_url", None, Kind::Url, None, "the OpenAPI document of descriptors; wins over the list"),
    key("edfi_api.resources_swagger_url", None, Kind::Url, None, "the OpenAPI document of resources; wins over the list"),
    key("edfi_api.version", Some("edfi_api_version"), Kind::Count(1, 99), Some("3"), "the version in the API's URLs"),
    key("edfi_api.mode", Some("edfi_api_mode"), Kind::Mode, None, "how the API is deployed; unset: discovery tells"),
    key("edfi_api.year", Some("edfi_api_year"), Kind::Count(1900, 2999), None, "the school year in the API's URLs; required if they have one"),
    key("edfi_api.instance_code", Some("edfi_api_instance_code"), Kind::Text, None, "the instance in the API's URLs"),
    key("edfi_api.tenant", None, Kind::Text, None, "the tenant in the API's URLs"),
    key("edfi_api.url_values", None, Kind::TextByName, None, "values for other placeholders of the API's URLs, by name"),
    key("edfi_api.profile", None, Kind::Profile, None, "the profile that requests name: one, or one for each resource by its name"),
    key("edfi_api.client_id", Some("edfi_api_client_id"), Kind::Text, None, "the API key; required"),
    key("edfi_api.client_secret", Some("edfi_api_client_secret"), Kind::Secret, None, "the API key's secret; this or one of the next two is required"),
    key("edfi_api.client_secret_file", None, Kind::Path, None, "the file that holds the secret and nothing else"),
    key("edfi_api.client_secret_command", None, Kind::Secret, None, "the command, run by the system's shell, that prints the secret"),
    key("edfi_api.client_secret_timeout", None, Kind::Seconds, Some("60"), "how long client_secret_command may take, in seconds"),
    key("connection.pool_size", Some("connection_pool_size"), Kind::Count(1, 1024), Some("8"), "the most requests at the same time"),
    key("connection.memory", None, Kind::Count(16, 1_000_000), Some("256"), "how many MB of payloads may be in memory at the same time"),
    key("connection.adaptive", None, Kind::Switch, Some("true"), "fewer requests at the same time while the API is slow or refuses"),
    key("connection.rate", None, Kind::Count(1, MANY), None, "the most requests a second, as --rate sets; unset: no limit"),
    key("connection.timeout", Some("connection_timeout"), Kind::Seconds, Some("60"), "the limit of each request, in seconds"),
    key("connection.idle_timeout", None, Kind::Seconds, None, "after how many seconds without a byte a request is repeated; unset: as timeout, 120 if that is above 600"),
    key("connection.num_retries", Some("num_retries"), Kind::Count(0, MANY), Some("10"), "how often a request is repeated"),
    key("connection.patience", None, Kind::Seconds, Some("300"), "for how long a host that does not answer is waited for, in seconds; at the start of a run at most 30"),
    key("connection.backoff_factor", Some("backoff_factor"), Kind::Number(1.0), Some("1.5"), "by how much each delay is longer than the one before"),
    key("connection.retry_statuses", Some("retry_statuses"), Kind::Statuses, Some("[429, 500, 502, 503, 504]"), "the HTTP statuses after which a request is repeated"),
    key("connection.verify_ssl", None, Kind::Switch, Some("true"), "whether the API's certificate is verified"),
    key("connection.ca_file", None, Kind::Path, None, "certificates (PEM) of authorities that are trusted besides the usual ones"),
    key("connection.client_cert", None, Kind::Path, None, "the certificate (PEM) that is shown to the API, for hosts that demand one"),
    key("connection.client_key", None, Kind::Path, None, "the private key (PEM) of that certificate"),
    key("connection.proxy", None, Kind::Secret, None, "the proxy's URL; unset: the environment decides (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY, NO_PROXY)"),
    key("connection.allow_http", None, Kind::Switch, Some("false"), "whether key and token may travel unencrypted to another machine"),
    key("connection.wait_for_token", None, Kind::Switch, Some("false"), "wait, where the key has too many tokens, until one of them has ended"),
    key("rejects_dir", None, Kind::Path, None, "where refused payloads and their reasons go; unset: below state_dir"),
    key("resend_failed", None, Kind::Switch, Some("true"), "send again what was refused because of the payload itself; `false` leaves it out, as --skip-refused does"),
    key("metadata_file", None, Kind::Path, None, "the API's metadata as `lightbeam metadata save` wrote it, in place of asking for it"),
    key("count.separator", None, Kind::Text, Some("\t"), "what stands between the columns that count prints"),
    key("fetch.page_size", None, Kind::Count(1, MANY), None, "records in each page that fetch asks for; unset: as many as the API gives, mostly 500"),
    key("validate.methods", None, Kind::Names, Some("[schema, descriptors, uniqueness]"), "what validate checks; \"*\": everything"),
    key("validate.unknown_properties", None, Kind::Choice(&["error", "warn", "ignore"]), Some("warn"), "what a property is that the API does not know and so drops"),
    key("validate.api", None, Kind::Choice(&["auto", "ods", "dms"]), Some("auto"), "what the API takes beyond its documents: as its version says, as ODS/API 7.1 and later, or as the DMS"),
    key("validate.strict", None, Kind::Switch, Some("false"), "whether it is a fault, not a warning, what the documents forbid and the API takes"),
    key("validate.max_failures", None, Kind::Count(1, MANY), None, "after how many invalid payloads validate stops; unset: it does not"),
    key("validate.references.selector", None, Kind::Names, Some("\"*\""), "references to which resources are checked; \"*\": to all"),
    key("validate.references.behavior", None, Kind::Choice(&["exclude", "include"]), Some("exclude"), "whether the selector leaves out or takes in; \"*\" is all either way"),
    key("validate.references.remote", None, Kind::Switch, Some("true"), "whether references are also looked up in the API"),
    key("validate.references.max_failures", None, Kind::Count(1, MANY), None, "after how many references to nothing validate stops; unset: it does not"),
    key("force_delete", None, Kind::Switch, Some("false"), "delete without asking; truncate: with --yes"),
    key("compat", None, Kind::Choice(&[Compat::PYTHON]), None, "`python`: do as the Python lightbeam where this differs on purpose"),
    key("exit_codes.partial", None, Kind::Count(0, 255), None, "the exit code where some payloads were refused; unset: 3"),
    key("exit_codes.skipped", None, Kind::Count(0, 255), None, "the exit code where everything was skipped; unset: 99"),
    key("exit_codes.nothing", None, Kind::Count(0, 255), None, "the exit code where there is nothing to read; unset: 2"),
    key("log_level", Some(VERBOSE), Kind::Level, Some("INFO"), "the least severe level that is logged; `verbose: true` is DEBUG"),
    key("show_stacktrace", None, Kind::Switch, Some("false"), "print the whole chain of causes of an error"),
];

const fn key(
    name: &'static str,
    flat: Option<&'static str>,
    kind: Kind,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Key {
    Key { name, flat, kind, default, meaning }
}

/// Which generation's names a message uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `connection_pool_size`, as in 0.0.1.
    Flat,
    /// `connection.pool_size`, as in 0.1.12.
    Nested,
}

impl Key {
    /// Its name in the words of a generation.
    pub fn spelled(&self, spelling: Spelling) -> &'static str {
        match (spelling, self.flat) {
            (Spelling::Flat, Some(flat)) if flat != VERBOSE => flat,
            _ => self.name,
        }
    }
}

/// The section, empty if there is none, and the name within it.
fn parts(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// The key of that name, in either spelling.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.flat == Some(name))
}

/// Whether the name is that of a section, as `connection` is that of `connection.pool_size`.
pub fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().flat_map(|key| key.name.match_indices('.').map(|(at, _)| &key.name[..at]))
}

/// The name that is probably meant by an unknown one: the same in another section; one that is spelled much like it in
/// its own section or, where there is no such section, anywhere; or one that is spelled much like it in another section.
pub fn meant(unknown: &str, spelling: Spelling) -> Option<&'static str> {
    let (section, leaf) = parts(unknown);
    let with_leaf = |leaf: &str| KEYS.iter().find(|key| parts(key.name).1 == leaf).map(|key| key.name);
    let names = || KEYS.iter().flat_map(|key| [Some(key.name), key.flat]).flatten().chain(sections());
    let neighbour = || {
        let near = nearest(leaf, names().filter(|name| parts(name).0 == section).map(|name| parts(name).1))?;
        names().find(|name| parts(name) == (section, near))
    };
    let anywhere = || nearest(unknown, names()).filter(|_| !is_section(section));
    let elsewhere = || with_leaf(nearest(leaf, KEYS.iter().map(|key| parts(key.name).1))?);
    let name = with_leaf(leaf).or_else(neighbour).or_else(anywhere).or_else(elsewhere)?;
    Some(find(name).filter(|_| name != VERBOSE).map_or(name, |key| key.spelled(spelling)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    #[test]
    fn every_default_is_a_value_that_its_key_may_hold() {
        for key in KEYS {
            if let Some(default) = key.default {
                let value = key.kind.read(&yaml::Node::text(default));
                assert!(matches!(value, Ok(Some(_))), "{}: {value:?}", key.name);
            }
        }
    }

    #[test]
    fn every_name_leads_to_one_key() {
        for key in KEYS {
            for name in [Some(key.name), key.flat].into_iter().flatten() {
                assert!(find(name).is_some_and(|found| std::ptr::eq(found, key)), "{name}");
                assert!(!is_section(name), "{name}");
            }
        }
        assert!(is_section("connection") && is_section("validate") && is_section("validate.references"));
        assert!(!is_section("state_dir"));
    }

    #[test]
    fn a_suggestion_is_in_the_words_of_the_same_generation() {
        for (unknown, flat, nested) in [
            ("conection_pool_size", "connection_pool_size", "connection.pool_size"),
            ("connection.pol_size", "connection_pool_size", "connection.pool_size"),
            ("pool_size", "connection_pool_size", "connection.pool_size"),
            ("edfi_api.timeout", "connection_timeout", "connection.timeout"),
            ("Data-Dir", "data_dir", "data_dir"),
            ("conection", "connection", "connection"),
            ("conection.pol_size", "connection_pool_size", "connection.pool_size"),
            ("validate.referenses", "validate.references", "validate.references"),
            ("verbos", "verbose", "verbose"),
            ("log_levl", "log_level", "log_level"),
        ] {
            assert_eq!(meant(unknown, Spelling::Flat), Some(flat), "{unknown}");
            assert_eq!(meant(unknown, Spelling::Nested), Some(nested), "{unknown}");
        }
        assert_eq!(meant("colour", Spelling::Nested), None);
    }
}
