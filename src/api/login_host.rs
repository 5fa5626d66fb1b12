//! Which host gets key and secret. That it is another one than the API's is said once; that it changed since the last run is a warning,
//! because whoever can change the discovery document could send the secret elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::transport::http::Uri;
use crate::disk::{self, Readers};

/// Where the hosts of earlier logins are kept, and those of this run.
#[derive(Clone, Debug)]
pub struct LoginHost {
    file: Option<PathBuf>,
    own: String,
    now: String,
}

impl LoginHost {
    /// Of the API at `base`, which logs in at `login`. Without a state folder nothing is kept.
    pub fn new(state_dir: Option<&Path>, base: &Uri, login: &Uri) -> LoginHost {
        LoginHost { file: state_dir.map(|folder| file(folder, base)), own: host(base), now: host(login) }
    }

    /// What is to be said of it before the login, if anything is. What is kept of the last run is replaced.
    pub fn told(&self) -> Option<String> {
        let before = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        if let Some(file) = self.file.as_ref().filter(|_| before.as_deref() != Some(&self.now)) {
            // What cannot be kept is said again by the next run.
            let _ = disk::replace(file, self.now.as_bytes(), Readers::Owner);
        }
        said(before.as_deref(), &self.own, &self.now)
    }
}

fn said(before: Option<&str>, own: &str, now: &str) -> Option<String> {
    match before {
        Some(before) if before == now => None,
        Some(before) => Some(format!(
            "key and secret now go to {now}; in the last run they went to {before}. If nobody changed that on purpose, stop and renew the \
             secret"
        )),
        None if own == now => None,
        None => Some(format!("key and secret go to {now}, which is another host than {own} of base_url")),
    }
}

fn host(url: &Uri) -> String {
    url.authority().map_or(String::new(), |authority| authority.as_str().to_ascii_lowercase())
}

/// Not among the cached metadata: forgetting these must not hide a change.
fn file(state_dir: &Path, base: &Uri) -> PathBuf {
    state_dir.join("logins").join(format!("{:016x}.login", super::cache::check(base.to_string().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_is_said_once_and_a_change_whenever_there_is_one() {
        let said = |before, now| said(before, "api", now).unwrap_or_default();
        assert_eq!(said(None, "api"), "");
        assert_eq!(said(Some("api"), "api"), "");
        assert_eq!(said(Some("login"), "login"), "");
        assert_eq!(said(None, "login"), "key and secret go to login, which is another host than api of base_url");
        for (before, now) in [("api", "login"), ("login", "api"), ("login", "other")] {
            let told = said(Some(before), now);
            assert!(told.contains(&format!("now go to {now}; in the last run they went to {before}.")), "{told}");
        }
    }
}
