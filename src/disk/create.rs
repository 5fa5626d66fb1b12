//! Making files where others may write too: never through a link, drafts under names that nobody can foresee.
//!
//! Every file that lightbeam makes is made here. A draft is made with `O_EXCL`, so that a link that somebody has put in its place is
//! an error and not a way to another file (`open(2)`). Its writer locks it. What a run that was killed left behind is not locked, and
//! the next run removes it ([`sweep`]).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{Readers, folder_of};

/// What the name of a draft ends in.
const ENDING: &str = ".new";
/// How many hexadecimal digits stand before that.
const DIGITS: usize = 16;

/// The options for a file with these readers.
fn options(readers: Readers) -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options
}

/// A name for a draft of a file, in the same folder. No two calls return the same, and nobody can foresee it.
pub fn draft_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    // Its keys come from the system's source of randomness and differ from call to call.
    name.push(format!(".{:0DIGITS$x}{ENDING}", RandomState::new().hash_one(std::process::id())));
    folder_of(path).join(name)
}

/// Makes a file that is not there yet, to be written and read. An error (`AlreadyExists`) if anything has the name, be it a link that leads nowhere.
pub fn fresh(path: &Path, readers: Readers) -> io::Result<File> {
    options(readers).read(true).write(true).create_new(true).open(path)
}

/// Makes a draft that is not there yet and locks it, as far as the file system can.
pub fn draft(path: &Path, readers: Readers) -> io::Result<File> {
    loop {
        let file = fresh(path, readers)?;
        let _ = file.lock();
        // Another run may have swept it away before it was locked.
        if is_at(&file, path)? {
            return Ok(file);
        }
    }
}

/// Opens a file that lightbeam itself made, to be read and written at its end, or makes it. An error if its name is a link.
pub fn own(path: &Path, readers: Readers) -> io::Result<File> {
    match options(readers).read(true).append(true).create_new(true).open(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        made => return made,
    }
    refuse_link(path)?;
    let file = OpenOptions::new().read(true).append(true).open(path)?;
    match is_at(&file, path)? {
        true => Ok(file),
        false => Err(link(path)),
    }
}

/// Whether this open file is what the name stands for, and not what a link of that name leads to.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(is_same(&file.metadata()?, &named)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, other: &Metadata) -> bool {
    !other.is_symlink()
}

/// An error if the name is a link, where lightbeam has files or folders of its own.
pub fn refuse_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(named) if named.is_symlink() => Err(link(path)),
        _ => Ok(()),
    }
}

fn link(path: &Path) -> io::Error {
    let text = format!("{} is a link, and lightbeam follows no links here; remove it", path.display());
    io::Error::new(ErrorKind::PermissionDenied, text)
}

/// Removes the drafts in a folder that nobody is writing. `of` chooses those of one file. What cannot be removed stays: it is in nobody's way.
pub fn sweep(folder: &Path, of: Option<&OsStr>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_draft(&entry.file_name(), of) {
            let _ = OpenOptions::new().write(true).open(entry.path()).map(|file| {
                // The lock is held until the file is gone.
                if file.try_lock().is_ok() && is_at(&file, &entry.path()).unwrap_or(false) {
                    let _ = fs::remove_file(entry.path());
                }
            });
        }
    }
}

/// Whether a name is that of a draft: `.NAME.DIGITS.new`. Versions before wrote the process's number in place of the digits.
fn is_draft(name: &OsStr, of: Option<&OsStr>) -> bool {
    let parts = || {
        let (name, digits) = name.to_str()?.strip_prefix('.')?.strip_suffix(ENDING)?.rsplit_once('.')?;
        let is_number = digits.len() < DIGITS && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let is_random = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
        (is_number || is_random).then_some(name)
    };
    parts().is_some_and(|name| of.is_none_or(|of| of == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lightbeam-create-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn no_two_drafts_of_a_file_have_the_same_name() {
        let names: std::collections::BTreeSet<_> = (0..1000).map(|_| draft_of(Path::new("a/b.dat"))).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.starts_with("a") && is_draft(name.file_name().unwrap(), None)));
    }

    #[test]
    fn only_drafts_that_nobody_writes_are_swept_away() {
        let folder = folder("sweep");
        let held = folder.join(".students.jsonl.0123456789abcdef.new");
        let file = draft(&held, Readers::Owner).unwrap();
        let left = [".students.jsonl.00000000000000ff.new", ".r.json.4711.new"];
        let others = [".students.new", "students.jsonl.4711.new", ".a.xyz.new", ".b.4711.new.txt", "lock"];
        left.iter().chain(&others).for_each(|name| fs::write(folder.join(name), "x").unwrap());
        sweep(&folder, Some(OsStr::new("r.json")));
        assert!(folder.join(left[0]).exists() && !folder.join(left[1]).exists());
        sweep(&folder, None);
        let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert!(!folder.join(left[0]).exists());
        assert_eq!(names(&folder), 1 + others.len());
        drop(file);
        sweep(&folder, None);
        assert_eq!(names(&folder), others.len());
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn no_file_is_made_or_opened_through_a_link() {
        let folder = folder("link");
        let (precious, nowhere) = (folder.join("precious"), folder.join("nowhere"));
        fs::write(&precious, "precious").unwrap();
        for (name, to) in [("a", &precious), ("b", &nowhere)] {
            let path = folder.join(name);
            std::os::unix::fs::symlink(to, &path).unwrap();
            assert_eq!(fresh(&path, Readers::Owner).unwrap_err().kind(), ErrorKind::AlreadyExists);
            let error = own(&path, Readers::Owner).unwrap_err().to_string();
            assert!(error.contains(&format!("{} is a link", path.display())), "{error}");
        }
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert!(!nowhere.exists());
        assert!(own(&precious, Readers::Owner).is_ok() && own(&nowhere, Readers::Owner).is_ok());
        fs::remove_dir_all(folder).unwrap();
    }
}
