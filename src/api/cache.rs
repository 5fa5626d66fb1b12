//! Keeps the API's metadata on disk, so that most runs ask for none of it and `plan` works without the API.
//!
//! A file for each URL below `cache` in the state folder: a line of JSON that says what follows, then the document as
//! it came. A file that is damaged or of another URL counts as absent.

use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::transport::http::Uri;
use crate::disk::{self, Readers};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// Seconds after which a copy has to be confirmed by the API.
pub const TIME_TO_LIVE: u64 = 3_600;

/// The end of the names of this cache's files; the folder may hold files of other programs.
const ENDING: &str = "cached";

/// The cache of one state folder.
#[derive(Clone, Debug)]
pub struct Cache {
    /// `None`: nothing is kept.
    folder: Option<PathBuf>,
    /// Before the end of each file's name, where what is kept is not the document itself.
    form: &'static str,
}

/// A document as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// By which the API recognises it.
    pub etag: Option<String>,
    /// When the API gave or confirmed it, in seconds since 1970.
    pub fetched: u64,
    /// The document.
    pub body: Vec<u8>,
}

impl Copy {
    /// Whether it can be believed without asking. A copy from the future cannot: some clock was wrong.
    pub fn is_fresh(&self, now: u64) -> bool {
        now.checked_sub(self.fetched).is_some_and(|age| age < TIME_TO_LIVE)
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    url: String,
    etag: Option<String>,
    fetched: u64,
    check: u64,
}

impl Cache {
    /// The cache below a state folder, which need not be there yet; without one, a cache that keeps nothing.
    pub fn below(state_dir: Option<&Path>) -> Cache {
        Cache { folder: state_dir.map(folder), form: "" }
    }

    /// The same cache for what matters of documents, so that whoever needs a whole document finds that, or nothing.
    pub fn compacted(&self) -> Cache {
        Cache { form: "compact.", ..self.clone() }
    }

    /// What is kept of a URL.
    pub fn load(&self, url: &Uri) -> Option<Copy> {
        let mut bytes = fs::read(self.file(url)?).ok()?;
        let end = bytes.iter().position(|&b| b == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        bytes.drain(..=end);
        let whole = head.url == url.to_string() && head.check == check(&bytes);
        whole.then_some(Copy { etag: head.etag, fetched: head.fetched, body: bytes })
    }

    /// Keeps a copy in place of the one before.
    pub fn store(&self, url: &Uri, copy: &Copy) -> Result<()> {
        let Some(file) = self.file(url) else { return Ok(()) };
        let head =
            Head { url: url.to_string(), etag: copy.etag.clone(), fetched: copy.fetched, check: check(&copy.body) };
        let mut bytes = serde_json::to_vec(&head).or_stop(Exit::GivenUp, || "cannot describe metadata".into())?;
        bytes.push(b'\n');
        bytes.extend_from_slice(&copy.body);
        disk::replace(&file, &bytes, Readers::Owner)
    }

    fn file(&self, url: &Uri) -> Option<PathBuf> {
        let name = format!("{:016x}.{}{ENDING}", check(url.to_string().as_bytes()), self.form);
        Some(self.folder.as_ref()?.join(name))
    }
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("cache")
}

/// Forgets all metadata of all APIs below a state folder.
pub fn wipe(state_dir: &Path) -> Result<()> {
    let folder = folder(state_dir);
    let cannot =
        |e: io::Error| Error::new(Exit::GivenUp, format!("cannot empty the cache {}", folder.display())).because(e);
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(cannot)?,
    };
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            fs::remove_file(&path).map_err(cannot)?;
        }
    }
    Ok(())
}

/// Tells a damaged file from a whole one, and one URL's file from another's; nobody who means harm can write here.
pub(super) fn check(bytes: &[u8]) -> u64 {
    let mut hasher = fxhash::FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.com/metadata?a=1";

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lightbeam-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn copy(body: &[u8]) -> Copy {
        Copy { etag: Some("\"7\"".into()), fetched: 1_000_000, body: body.into() }
    }

    #[test]
    fn what_is_stored_is_loaded_and_only_for_its_url() {
        let folder = folder("stored");
        let (cache, url) = (Cache::below(Some(&folder)), Uri::from_static(URL));
        assert_eq!(cache.load(&url), None);
        cache.store(&url, &copy(b"old")).unwrap();
        cache.store(&url, &copy(b"line\nand \xff more")).unwrap();
        assert_eq!(cache.load(&url), Some(copy(b"line\nand \xff more")));
        assert_eq!(cache.load(&Uri::from_static("https://example.com/metadata?a=2")), None);
        assert_eq!(cache.compacted().load(&url), None, "what matters of it is something else");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_damaged_file_counts_as_absent() {
        let folder = folder("damaged");
        let (cache, url) = (Cache::below(Some(&folder)), Uri::from_static(URL));
        cache.store(&url, &copy(b"0123456789")).unwrap();
        let file = cache.file(&url).unwrap();
        let whole = fs::read(&file).unwrap();
        for end in 0..whole.len() {
            fs::write(&file, &whole[..end]).unwrap();
            assert_eq!(cache.load(&url), None, "cut at {end}");
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&file, flipped).unwrap();
        assert_eq!(cache.load(&url), None);
        let other = Uri::from_static("https://example.com/other");
        fs::write(cache.file(&other).unwrap(), whole).unwrap();
        assert_eq!(cache.load(&other), None, "the file of another URL");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_copy_is_fresh_for_an_hour_and_not_before_its_time() {
        let copy = copy(b"");
        assert!(copy.is_fresh(1_000_000) && copy.is_fresh(1_003_599));
        assert!(!copy.is_fresh(1_003_600) && !copy.is_fresh(999_999));
    }

    #[test]
    fn wiping_forgets_copies_and_touches_nothing_else() {
        let folder = folder("wiped");
        wipe(&folder).unwrap();
        let (cache, url) = (Cache::below(Some(&folder)), Uri::from_static(URL));
        cache.store(&url, &copy(b"x")).unwrap();
        cache.compacted().store(&url, &copy(b"x")).unwrap();
        let others = folder.join("cache/swagger.pickle");
        fs::write(&others, "somebody else's").unwrap();
        wipe(&folder).unwrap();
        assert_eq!(cache.load(&url), None);
        assert!(
            others.exists()
                && [cache.file(&url), cache.compacted().file(&url)].into_iter().flatten().all(|file| !file.exists())
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
