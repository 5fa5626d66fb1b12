//! Keeps the token between runs, because an ODS/API from 7.3 on gives a key no more than 15 at a time: a job that starts
//! every minute would lock itself out.
//!
//! A file for each token URL and key below `tokens` in the state folder, readable by its owner alone. It holds the token and
//! nothing else that is secret. A file that is damaged, or of another URL or key, counts as absent.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::transport::http::Uri;
use crate::digest::Digest;
use crate::disk::{self, Readers};
use crate::error::{Context, Result};
use crate::exit::Exit;

/// No token is used that ends sooner, in seconds: clocks differ, and a run wants to begin.
const LEAST_LEFT: u64 = 60;

/// Where the token of one URL and key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile {
    path: Option<PathBuf>,
    url: String,
    client_id: String,
}

/// A token as it was kept. Its text is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The token.
    pub token: String,
    /// When it was asked for, in seconds since 1970.
    pub asked: u64,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
}

impl Kept {
    /// When it is to be renewed, nine tenths of its life after it was asked for.
    pub fn renew_at(&self) -> u64 {
        self.asked + self.ends.saturating_sub(self.asked) / 10 * 9
    }

    /// Whether it can be used. A token from the future cannot: some clock was wrong.
    fn serves(&self, now: u64) -> bool {
        self.asked <= now && now < self.renew_at() && self.ends - now >= LEAST_LEFT
    }
}

#[derive(Serialize, Deserialize)]
struct Content {
    url: String,
    client_id: String,
    token: String,
    asked: u64,
    ends: u64,
}

impl TokenFile {
    /// The file of a key's token from `url`, which need not be there yet; without a state folder there is none.
    pub fn below(state_dir: Option<&Path>, url: &Uri, client_id: &str) -> TokenFile {
        let url = url.to_string();
        let name = Digest::of(format!("{url}\n{client_id}").as_bytes()).prefix();
        let path = state_dir.map(|folder| folder.join("tokens").join(format!("{name:016x}.json")));
        TokenFile { path, url, client_id: client_id.into() }
    }

    /// The token, if one is kept that serves at `now` (seconds since 1970).
    pub fn load(&self, now: u64) -> Option<Kept> {
        let content: Content = serde_json::from_slice(&fs::read(self.path.as_ref()?).ok()?).ok()?;
        let own = content.url == self.url && content.client_id == self.client_id;
        let kept = Kept { token: content.token, asked: content.asked, ends: content.ends };
        Some(kept).filter(|kept| own && kept.serves(now))
    }

    /// Keeps a token in place of the one before.
    pub fn store(&self, kept: Kept) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let Kept { token, asked, ends } = kept;
        let content = Content { url: self.url.clone(), client_id: self.client_id.clone(), token, asked, ends };
        let bytes = serde_json::to_vec(&content).or_stop(Exit::GivenUp, || "cannot describe a token".into())?;
        disk::replace(path, &bytes, Readers::Owner)
    }

    /// Forgets the token, which the API refuses or which has ended.
    pub fn forget(&self) {
        // What cannot be removed is refused once more next time, and costs that request.
        let _ = self.path.as_ref().map(fs::remove_file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lightbeam-token-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn file(folder: &Path, url: &'static str, client_id: &str) -> TokenFile {
        TokenFile::below(Some(folder), &Uri::from_static(url), client_id)
    }

    fn kept() -> Kept {
        Kept { token: "t".into(), asked: 1_000, ends: 2_800 }
    }

    #[test]
    fn a_token_is_kept_for_its_url_and_key_alone() {
        let folder = folder("own");
        let own = file(&folder, "https://example.com/token", "key");
        assert!(own.load(1_000).is_none());
        own.store(kept()).unwrap();
        assert!(own.load(1_000) == Some(kept()));
        for (url, key) in [("https://example.com/other", "key"), ("https://example.com/token", "other")] {
            let other = file(&folder, url, key);
            assert!(other.load(1_000).is_none());
            fs::copy(own.path.as_ref().unwrap(), other.path.as_ref().unwrap()).unwrap();
            assert!(other.load(1_000).is_none(), "the file of another");
        }
        own.forget();
        assert!(own.load(1_000).is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_token_serves_until_nine_tenths_of_its_life_and_a_minute_before_its_end() {
        assert!(kept().serves(1_000) && kept().serves(2_619));
        assert!(!kept().serves(2_620) && !kept().serves(999));
        let short = Kept { ends: 1_100, ..kept() };
        assert!(short.serves(1_040) && !short.serves(1_041));
        assert!(!Kept { ends: 900, ..kept() }.serves(1_000));
    }

    #[test]
    fn a_damaged_file_counts_as_absent() {
        let folder = folder("damaged");
        let own = file(&folder, "https://example.com/token", "key");
        own.store(kept()).unwrap();
        let whole = fs::read(own.path.as_ref().unwrap()).unwrap();
        for end in 0..whole.len() {
            fs::write(own.path.as_ref().unwrap(), &whole[..end]).unwrap();
            assert!(own.load(1_000).is_none(), "cut at {end}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
