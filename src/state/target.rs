//! Where the state of one target is kept, and the lock that lets one run at a time work on it.
//!
//! A target is an API's data URL, in which year, instance and tenant stand. Below its folder each namespace has one, and in it each resource a
//! file: `{state_dir}/{host-and-path}-{hash}/{namespace}/{resource}.dat`.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::disk::{Readers, create};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::resource::Resource;

/// The folder of a target: its host and path to recognise it by, and a hash because those are shortened.
pub fn folder(state_dir: &Path, data_url: &str) -> PathBuf {
    let readable = data_url.split_once("://").map_or(data_url, |(_, rest)| rest);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let short: String = readable.trim_end_matches('/').chars().map(plain).take(60).collect();
    let hash = Digest::of(data_url.trim_end_matches('/').as_bytes()).prefix();
    state_dir.join(format!("{short}-{:08x}", hash >> 32))
}

/// The folder that holds the state of a target: its own one, or else that of the spelling which versions before had for it.
pub fn folder_of_either(state_dir: &Path, data_url: &str, before: Option<&str>) -> PathBuf {
    let own = folder(state_dir, data_url);
    match before.map(|before| folder(state_dir, before)) {
        Some(earlier) if !own.exists() && earlier.exists() => earlier,
        _ => own,
    }
}

/// Takes over the state that was kept under the spelling of versions before. An error (exit 5) if a run of such a version
/// is working on it.
pub fn take_over(state_dir: &Path, data_url: &str, before: Option<&str>) -> Result<()> {
    let (own, holds) = (folder(state_dir, data_url), folder_of_either(state_dir, data_url, before));
    if own == holds {
        return Ok(());
    }
    let _lock = Lock::take(&holds, data_url)?;
    std::fs::rename(&holds, &own)
        .or_stop(Exit::Usage, || format!("cannot move the state in {} to {}", holds.display(), own.display()))
}

/// The file of a resource below its target's folder.
pub fn snapshot(folder: &Path, resource: &Resource) -> PathBuf {
    folder.join(resource.namespace()).join(format!("{}.dat", resource.name()))
}

/// Held as long as a run works on a target; the system lets go of it when the program ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a target's folder; an error with exit code 5 tells who holds it.
    pub fn take(folder: &Path, data_url: &str) -> Result<Lock> {
        let path = folder.join("lock");
        let cannot = || format!("cannot lock the state of {data_url} in {}", path.display());
        let mut file = create::own(&path, Readers::Owner).or_stop(Exit::Usage, cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is matters less than that it is held: an unreadable note is no further error.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::new(
                    Exit::Locked,
                    format!("another run ({}) is working on {data_url}; start again when it has ended", holder.trim()),
                ));
            }
            Err(TryLockError::Error(e)) => {
                let way_out = "if this file system cannot lock, set state_dir to a folder on a local disk";
                return Err(Error::new(Exit::Usage, format!("{}; {way_out}", cannot())).because(e));
            }
        }
        let note = format!("process {}, since {}\n", std::process::id(), jiff::Zoned::now().strftime("%F %T %Z"));
        file.set_len(0).and_then(|()| file.write_all(note.as_bytes())).or_stop(Exit::Usage, cannot)?;
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> String {
        folder(Path::new("state"), url).display().to_string()
    }

    #[test]
    fn each_data_url_has_its_own_readable_folder() {
        let year = name("https://api.example.org/data/v3/2025");
        assert!(year.starts_with("state/api.example.org-data-v3-2025-"), "{year}");
        assert_ne!(year, name("https://api.example.org/data/v3/2026"));
        assert_ne!(year, name("http://api.example.org/data/v3/2025"));
        assert_ne!(name("https://a.org/data/v3"), name("https://a.org/data-v3"), "alike once shortened");
        assert_eq!(year, name("https://api.example.org/data/v3/2025/"), "a slash at the end makes no other API");
    }

    #[test]
    fn a_second_run_is_told_who_holds_the_lock_until_the_first_ends() {
        let dir = std::env::temp_dir().join(format!("lightbeam-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = Lock::take(&dir, "http://localhost/data").unwrap();
        let refused = Lock::take(&dir, "http://localhost/data").unwrap_err();
        assert_eq!(refused.exit(), Exit::Locked);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        Lock::take(&dir, "http://localhost/data").unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}
