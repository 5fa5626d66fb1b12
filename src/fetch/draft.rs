//! What is fetched of a resource until it is complete: a file for each part, so that parts can come in any order and memory holds none of them.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::manifest::Manifest;
use crate::disk::{self, Disk, Readers, System, create};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;

/// So much of two files is compared at a time.
const CHUNK: usize = 64 * 1024;

/// The file by which a process has the folder.
const LOCK: &str = "lock";

/// A hidden folder beside the files that are to be, for one process at a time; with all in it, it is gone when this is.
pub struct Drafts {
    folder: PathBuf,
    manifest: Mutex<Manifest>,
    /// Held as long as this is.
    _lock: File,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is there now.
    Written,
    /// It was there before, the same to the byte.
    Unchanged,
    /// Another one is there, and stays.
    Differs,
    /// There are no records, and no file.
    Empty,
}

impl Drafts {
    /// Makes the folder of drafts in `target`, which is made too if it is not there. An error (exit 5) if another process has it.
    pub fn within(target: &Path) -> Result<Drafts> {
        let cannot = || format!("cannot write to {}", target.display());
        let folder = target.join(".fetch");
        fs::create_dir_all(target)
            .and_then(|()| create::refuse_link(&folder))
            .and_then(|()| disk::make_folders(&System, &folder))
            .and_then(|()| disk::make_private(&folder))
            .or_stop(Exit::GivenUp, cannot)?;
        let lock = create::own(&folder.join(LOCK), Readers::Owner).or_stop(Exit::GivenUp, cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("another fetch is writing to {}", target.display());
                return Err(Error::new(Exit::Locked, text));
            }
            Err(TryLockError::Error(error)) => return Err(Error::new(Exit::GivenUp, cannot()).because(error)),
        }
        clear(&folder).or_stop(Exit::GivenUp, cannot)?;
        Ok(Drafts { folder, manifest: Mutex::new(Manifest::of(target)), _lock: lock })
    }

    /// The file of a part, to be written from its beginning.
    pub fn part(&self, resource: usize, part: usize) -> Result<BufWriter<File>> {
        let path = self.path(resource, part);
        let file = create::fresh(&path, Readers::AsUsual)
            .or_stop(Exit::GivenUp, || format!("cannot write {}", path.display()))?;
        Ok(BufWriter::new(file))
    }

    /// Joins the parts of a resource, as many of the first `parts` as there are, and puts them in place. A file that is there and differs is
    /// replaced only if `force`, or if it is still what an earlier fetch wrote.
    pub fn place(&self, resource: usize, parts: usize, path: &Path, force: bool) -> Result<Placed> {
        // A panic elsewhere leaves it whole: an entry is added in one step.
        let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        let force = force || manifest.knows(path).unwrap_or(false);
        let joined = self.folder.join(format!("{resource}"));
        let placed = self
            .join(resource, parts, &joined)
            .and_then(|length| self.settle(&joined, length, path, force))
            .or_stop(Exit::GivenUp, || format!("cannot write {}", path.display()))?;
        if matches!(placed, Placed::Written | Placed::Unchanged) {
            manifest.note(path)?;
        }
        Ok(placed)
    }

    /// Forgets the parts of a resource.
    pub fn forget(&self, resource: usize, parts: usize) {
        (0..parts).for_each(|part| drop(fs::remove_file(self.path(resource, part))));
    }

    fn join(&self, resource: usize, parts: usize, to: &Path) -> io::Result<u64> {
        let mut joined = create::fresh(to, Readers::AsUsual)?;
        let mut length = 0;
        for part in (0..parts).map(|part| self.path(resource, part)).filter(|path| path.exists()) {
            length += io::copy(&mut File::open(&part)?, &mut joined)?;
            fs::remove_file(part)?;
        }
        joined.sync_all()?;
        Ok(length)
    }

    fn settle(&self, joined: &Path, length: u64, path: &Path, force: bool) -> io::Result<Placed> {
        let placed = match path.exists() {
            true if is_same(joined, path)? => Placed::Unchanged,
            true if !force => Placed::Differs,
            false if length == 0 => Placed::Empty,
            _ => {
                // That of a namespace may not be there yet. It is made for whoever may read the others.
                let folder = disk::folder_of(path);
                if Some(folder) != self.folder.parent() {
                    create::refuse_link(folder)?;
                }
                fs::create_dir_all(folder)?;
                fs::rename(joined, path)?;
                System.sync_folder(disk::folder_of(path))?;
                return Ok(Placed::Written);
            }
        };
        fs::remove_file(joined)?;
        Ok(placed)
    }

    fn path(&self, resource: usize, part: usize) -> PathBuf {
        self.folder.join(format!("{resource}-{part}"))
    }
}

impl Drop for Drafts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Hands the last bytes over to the system, which a file that is merely dropped may fail to do without a word.
pub fn close(mut part: BufWriter<File>) -> Result<()> {
    part.flush().or_stop(Exit::GivenUp, || "cannot write what was fetched".into())
}

/// Removes what a process left that was killed.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    if !other.is_file() || fs::metadata(one)?.len() != fs::metadata(other)?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut a, mut b) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let read = one.read(&mut a)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..read])?;
        if a[..read] != b[..read] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> (PathBuf, Drafts) {
        let folder = std::env::temp_dir().join(format!("lightbeam-draft-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let drafts = Drafts::within(&folder).unwrap();
        (folder, drafts)
    }

    fn write(drafts: &Drafts, part: usize, text: &str) {
        let mut file = drafts.part(7, part).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        close(file).unwrap();
    }

    #[test]
    fn parts_are_joined_in_their_order_and_nothing_else_is_left_behind() {
        let (folder, drafts) = stage("joined");
        let path = folder.join("students.jsonl");
        write(&drafts, 3, "c\n");
        write(&drafts, 1, "a\n");
        write(&drafts, 2, "");
        assert_eq!(drafts.place(7, 4, &path, false).unwrap(), Placed::Written);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\nc\n");
        drop(drafts);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "the file and the manifest");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_of_somebody_else_stays_unless_it_is_forced_away() {
        let (folder, drafts) = stage("differs");
        let path = folder.join("students.jsonl");
        let place = |text: &str, force| {
            write(&drafts, 0, text);
            (drafts.place(7, 1, &path, force).unwrap(), fs::read_to_string(&path).unwrap_or_default())
        };
        assert_eq!(place("", false), (Placed::Empty, String::new()));
        assert_eq!(place("a\n", false), (Placed::Written, "a\n".into()));
        assert_eq!(place("a\n", false), (Placed::Unchanged, "a\n".into()));
        assert_eq!(place("b\n", false), (Placed::Written, "b\n".into()), "it is what was fetched before");
        fs::write(&path, "edited\n").unwrap();
        assert_eq!(place("c\n", false), (Placed::Differs, "edited\n".into()));
        assert_eq!(place("", false), (Placed::Differs, "edited\n".into()));
        assert_eq!(place("c\n", true), (Placed::Written, "c\n".into()));
        assert_eq!(place("", false), (Placed::Written, "".into()));
        drop(drafts);
        fs::remove_dir_all(folder).unwrap();
    }
}
