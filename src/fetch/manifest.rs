//! Which files of a folder lightbeam fetched, and what it wrote there. A file that is still the same may be replaced when it
//! is fetched again; one that somebody wrote or edited may not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{self, Readers};
use crate::error::Result;

/// The manifest's name in its folder. Hidden files are not data.
pub const NAME: &str = ".lightbeam-fetched.json";

/// What was written to one folder.
pub struct Manifest {
    folder: PathBuf,
    content: Content,
}

#[derive(Default, Deserialize, Serialize)]
struct Content {
    /// By their paths from the folder.
    files: BTreeMap<String, Written>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Written {
    bytes: u64,
    /// BLAKE3, in hexadecimal.
    digest: String,
}

impl Manifest {
    /// Of a folder. One that is missing or damaged knows no file, so that none is replaced.
    pub fn of(folder: &Path) -> Manifest {
        let content = fs::read(folder.join(NAME)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Manifest { folder: folder.into(), content: content.unwrap_or_default() }
    }

    /// Whether a file is just what lightbeam wrote there.
    pub fn knows(&self, path: &Path) -> io::Result<bool> {
        match self.content.files.get(&self.name(path)) {
            Some(written) => Ok(written.bytes == fs::metadata(path)?.len() && *written == read(path)?),
            None => Ok(false),
        }
    }

    /// Takes note of a file that is in place now.
    pub fn note(&mut self, path: &Path) -> Result<()> {
        let Ok(written) = read(path) else { return Ok(()) };
        let name = self.name(path);
        if self.content.files.get(&name) == Some(&written) {
            return Ok(());
        }
        self.content.files.insert(name, written);
        // A value that was just made has no way to fail.
        let bytes = serde_json::to_vec_pretty(&self.content).unwrap_or_default();
        disk::replace(&self.folder.join(NAME), &bytes, Readers::AsUsual)
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }
}

fn read(path: &Path) -> io::Result<Written> {
    let (mut file, mut hasher, mut chunk) = (File::open(path)?, blake3::Hasher::new(), vec![0; 64 * 1024]);
    let mut bytes = 0;
    loop {
        let got = file.read(&mut chunk)?;
        if got == 0 {
            return Ok(Written { bytes, digest: hasher.finalize().to_hex().to_string() });
        }
        hasher.update(&chunk[..got]);
        bytes += got as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_as_long_as_it_is_what_was_written() {
        let folder = std::env::temp_dir().join(format!("lightbeam-manifest-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("tpdm")).unwrap();
        let (one, other) = (folder.join("students.jsonl"), folder.join("tpdm/rubrics.jsonl"));
        fs::write(&one, "a\n").unwrap();
        fs::write(&other, "b\n").unwrap();
        let mut manifest = Manifest::of(&folder);
        assert!(!manifest.knows(&one).unwrap());
        manifest.note(&one).unwrap();
        manifest.note(&other).unwrap();
        let again = Manifest::of(&folder);
        assert!(again.knows(&one).unwrap() && again.knows(&other).unwrap());
        fs::write(&one, "c\n").unwrap();
        fs::write(&other, "bb\n").unwrap();
        assert!(!again.knows(&one).unwrap() && !again.knows(&other).unwrap());
        fs::write(folder.join(NAME), "{").unwrap();
        fs::write(&one, "a\n").unwrap();
        assert!(!Manifest::of(&folder).knows(&one).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }
}
