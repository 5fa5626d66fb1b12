//! Writing to disk so that nothing is ever half there: the one place that replaces files and makes folders.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Context, Result};
use crate::exit::Exit;

/// Who may read a file; only Unix tells owners from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// State and caches, which tell of students: nobody but the owner.
    Owner,
    /// Files that other programs are meant to read: as the user's mask has it.
    AsUsual,
}

/// Puts `bytes` in place of what the file held: temporary file in the same folder, sync, rename, sync of the folder. Whatever happens, the
/// file then holds the old bytes or the new ones. Two processes must not replace the same file at once.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let temporary = folder.join(name);
    write_whole(&temporary, bytes, readers)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(folder))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .or_stop(Exit::GivenUp, || format!("cannot write {}", path.display()))
}

/// Makes a folder and those above it, readable by their owner alone, if they are not there.
pub fn make_folder(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).or_stop(Exit::Usage, || format!("cannot make the folder {}", path.display()))
}

/// Options whose new files only their owner may read and write.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn write_whole(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut options = match readers {
        Readers::Owner => private(),
        Readers::AsUsual => OpenOptions::new(),
    };
    let mut file = options.write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the rename itself durable; only Unix lets a folder be opened for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lightbeam-disk-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left_behind() {
        let folder = folder("replaced");
        let path = folder.join("deep/down/state.dat");
        replace(&path, b"old and longer", Readers::Owner).unwrap();
        replace(&path, b"new", Readers::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(path.parent().unwrap()), ["state.dat"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_failed_replacement_names_the_path_and_leaves_no_draft() {
        let folder = folder("failed");
        let path = folder.join("taken");
        fs::create_dir_all(path.join("by a folder")).unwrap();
        let error = replace(&path, b"x", Readers::Owner).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot write {}: ", path.display())), "{error}");
        assert_eq!(names(&folder), ["taken"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("owner");
        let path = folder.join("private/file");
        replace(&path, b"x", Readers::Owner).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let shared = folder.join("results.json");
        replace(&shared, b"x", Readers::AsUsual).unwrap();
        assert_ne!(mode(&shared), 0o600);
        fs::remove_dir_all(folder).unwrap();
    }
}
