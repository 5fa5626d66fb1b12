//! Writing to disk so that nothing is ever half there: the one place that replaces files and makes folders.
//!
//! What state does to a disk goes through [`Disk`], a wall of seven operations. [`System`] is the real one; the tests of state bring one
//! that fails or loses power at a chosen operation. What is promised rests on these rules of POSIX and of the file systems in use:
//! written bytes are safe once their file was synced, a new name once its folder was synced, and a rename puts one whole file in
//! the place of another.

pub mod create;
pub mod trust;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

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

/// What is done to a disk.
pub trait Disk: Send + Sync {
    /// How many bytes a file has, and they.
    fn read(&self, path: &Path) -> io::Result<(u64, Box<dyn Read>)>;
    /// Makes a draft that is not there yet.
    fn draft(&self, path: &Path, readers: Readers) -> io::Result<Box<dyn Appending>>;
    /// Opens a file to be written at its end; makes an empty one if there is none.
    fn open(&self, path: &Path, readers: Readers) -> io::Result<Box<dyn Appending>>;
    /// Gives a file another name, in place of the file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes one folder, readable by its owner alone, if it is not there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes safe what became of the names in a folder.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open to be written at its end.
pub trait Appending: Send {
    /// Adds bytes. After an error some of them may be there.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off.
    fn set_len(&mut self, length: u64) -> io::Result<()>;
    /// Makes safe what was written and cut off. After an error that may never be safe, even if a later call succeeds: Linux reports
    /// a failed write to the disk once and forgets it.
    fn sync(&mut self) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Disk for System {
    fn read(&self, path: &Path) -> io::Result<(u64, Box<dyn Read>)> {
        create::refuse_link(path)?;
        let file = File::open(path)?;
        Ok((file.metadata()?.len(), Box::new(file)))
    }

    fn draft(&self, path: &Path, readers: Readers) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(create::draft(path, readers)?))
    }

    fn open(&self, path: &Path, readers: Readers) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(create::own(path, readers)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    /// Only Unix lets a folder be opened for that, not every network file system knows it, and a folder that nobody may list
    /// is synced when the system gets to it.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        if !cfg!(unix) {
            return Ok(());
        }
        match File::open(path).and_then(|folder| folder.sync_all()) {
            Err(e) if matches!(e.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
            synced => synced,
        }
    }
}

impl Appending for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Puts `bytes` in place of what the file held, as [`replace_on`] does, on the disk of this machine.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    replace_on(&System, path, readers, |file| file.write(bytes))
        .or_stop(Exit::GivenUp, || format!("cannot write {}", path.display()))
}

/// Writes to a path that the user named. A device or a pipe, such as `/dev/stdout`, is written to and stays what it is. Of a
/// link, the file that it leads to is replaced, if it belongs to the user; a link of somebody else's may lead anywhere.
pub fn write_named(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(file) = file_named(path)? else {
        return OpenOptions::new().append(true).open(path)?.write_all(bytes);
    };
    create::sweep(folder_of(&file), file.file_name());
    replace_on(&System, &file, Readers::AsUsual, |draft| draft.write(bytes))
}

/// Tries whether [`write_named`] can write there, without changing what is there. A device or a pipe is not opened: nobody may listen yet.
pub fn try_named(path: &Path) -> io::Result<()> {
    let Some(file) = file_named(path)? else { return Ok(()) };
    if file.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    make_folders(&System, folder_of(&file))?;
    let draft = create::draft_of(&file);
    create::draft(&draft, Readers::AsUsual)?;
    fs::remove_file(draft)
}

/// The file that a path of the user's stands for; `None`: a device or a pipe.
fn file_named(path: &Path) -> io::Result<Option<PathBuf>> {
    let is_special = |kind: fs::Metadata| !kind.is_file() && !kind.is_dir();
    if path.starts_with("/dev") || fs::metadata(path).is_ok_and(is_special) {
        return Ok(None);
    }
    if !fs::symlink_metadata(path).is_ok_and(|kind| kind.is_symlink()) {
        return Ok(Some(path.into()));
    }
    let target = fs::canonicalize(path)?;
    match is_own(&target)? {
        true => Ok(Some(target)),
        false => {
            let text = format!("it is a link to {}, which belongs to somebody else", target.display());
            Err(io::Error::new(ErrorKind::PermissionDenied, text))
        }
    }
}

/// Whose a file is, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Of whoever runs the program.
    Own,
    /// Of the system's administrator.
    Root,
    /// Of another ordinary user.
    Other,
}

/// Whose file the path leads to.
pub fn owner(path: &Path) -> io::Result<Owner> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let uid = fs::metadata(path)?.uid();
        let own = own_uid().unwrap_or(uid);
        Ok(match uid {
            uid if uid == own => Owner::Own,
            0 => Owner::Root,
            _ => Owner::Other,
        })
    }
    #[cfg(not(unix))]
    fs::metadata(path).map(|_| Owner::Own)
}

/// The number of the user who runs the program, where the system tells it.
pub fn own_uid() -> Option<u32> {
    #[cfg(unix)]
    return fs::metadata("/proc/self").ok().map(|process| std::os::unix::fs::MetadataExt::uid(&process));
    #[cfg(not(unix))]
    None
}

fn is_own(path: &Path) -> io::Result<bool> {
    Ok(owner(path)? == Owner::Own)
}

/// Puts what `write` writes in place of what the file held: [`put_on`] in a folder that is made if it is not there, then sync of the folder.
/// Whatever happens, the file then holds the old bytes or the new ones, and once this returned, the new ones. Of two processes that replace
/// the same file at once, the later one's bytes stay.
pub fn replace_on(
    disk: &dyn Disk,
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Appending) -> io::Result<()>,
) -> io::Result<()> {
    let folder = folder_of(path);
    make_folders(disk, folder)?;
    put_on(disk, path, readers, write)?;
    disk.sync_folder(folder)
}

/// Puts what `write` writes in place of what the file held, in a folder that is there: temporary file in the same folder, sync, rename. A power
/// cut may still bring the old bytes back, until the folder is synced: whoever replaces many files of one folder does that once, behind them all.
pub fn put_on(
    disk: &dyn Disk,
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Appending) -> io::Result<()>,
) -> io::Result<()> {
    let draft = create::draft_of(path);
    let mut file = disk.draft(&draft, readers)?;
    let written = write(&mut *file).and_then(|()| file.sync()).and_then(|()| disk.rename(&draft, path));
    written.inspect_err(|_| drop(disk.remove(&draft)))
}

/// Makes a folder, and those above it that are not there, so that it is still there after a power cut. The folder above is synced even if
/// this one is not new: who made it may have been killed before that.
pub fn make_folders(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match (disk.make_folder(path), path.parent()) {
        (Err(e), Some(above)) if e.kind() == ErrorKind::NotFound => {
            make_folders(disk, above)?;
            disk.make_folder(path)?;
        }
        (made, _) => made?,
    }
    disk.sync_folder(folder_of(path))
}

/// Lets nobody but its owner into a folder that is there. An error if it is no folder or belongs to somebody else.
pub fn make_private(folder: &Path) -> io::Result<()> {
    if !is_own(folder)? {
        let text = format!("{} belongs to somebody else; remove it or choose another folder", folder.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, text));
    }
    #[cfg(unix)]
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Removes what killed runs left in a folder and in the folders in it.
pub fn sweep_whole(folder: &Path) {
    create::sweep(folder, None);
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        create::sweep(&entry.path(), None);
    }
}

/// The folder that holds a file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
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
