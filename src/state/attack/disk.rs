//! A disk in memory that fails, or that the program or the power leaves, at the n-th operation.
//!
//! It keeps apart what the program sees and what is safe: bytes become safe when their file is synced, names when their folder is. A power
//! cut keeps all of the latter and as little of the former as the cut says.

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Appending, Disk, Readers};

/// What happens at the chosen operation.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It fails; a write is done by half. What follows succeeds.
    Error,
    /// It fails, and so does everything after it that makes a file longer.
    Full,
    /// The program is killed; a write is done by half.
    Kill,
}

/// How much of what is not safe survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    Nothing,
    /// The first half of the changes, the last of them torn.
    Half,
    /// As long as it was, but zeros. For names: nothing.
    Zeros,
    All,
}

/// What is kept of names and of data; the last is no power cut.
pub const CUTS: [(Kept, Kept); 9] = [
    (Kept::Nothing, Kept::Nothing),
    (Kept::Nothing, Kept::All),
    (Kept::Half, Kept::Nothing),
    (Kept::Half, Kept::Half),
    (Kept::Half, Kept::Zeros),
    (Kept::All, Kept::Nothing),
    (Kept::All, Kept::Half),
    (Kept::All, Kept::Zeros),
    (Kept::All, Kept::All),
];

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, new) => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Change::SetLen(length) => bytes.resize(*length, 0),
        }
    }

    fn torn(&self) -> Change {
        match self {
            Change::Write(at, new) => Change::Write(*at, new[..new.len() / 2].to_vec()),
            set_len => set_len.clone(),
        }
    }
}

#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    safe: Vec<u8>,
    changes: Vec<Change>,
}

impl Content {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    fn lose_power(&mut self, kept: Kept) {
        match kept {
            Kept::Nothing => {}
            Kept::Half => {
                let half = self.changes.len().div_ceil(2);
                let (torn, whole) = self.changes[..half].split_last().map_or((None, &[][..]), |(t, w)| (Some(t), w));
                whole.iter().cloned().chain(torn.map(Change::torn)).for_each(|change| change.apply(&mut self.safe));
            }
            Kept::Zeros => self.safe.resize(self.seen.len(), 0),
            Kept::All => self.safe.clone_from(&self.seen),
        }
        *self = Content { seen: self.safe.clone(), safe: self.safe.clone(), changes: Vec::new() };
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    File(usize),
    Folder,
}

type Names = BTreeMap<PathBuf, Node>;
/// Names that appear or go together.
type Naming = Vec<(PathBuf, Option<Node>)>;

fn name(names: &mut Names, naming: &Naming) {
    for (path, node) in naming {
        match node {
            Some(node) => drop(names.insert(path.clone(), *node)),
            None => drop(names.remove(path)),
        }
    }
}

#[derive(Clone, Default)]
struct World {
    contents: Vec<Content>,
    seen: Names,
    safe: Names,
    namings: Vec<Naming>,
    operations: usize,
    fault: Option<(usize, Fault)>,
    syncs: usize,
    folder_syncs: usize,
}

impl World {
    /// Counts an operation; an error if it is not to be done, or not wholly.
    fn operate(&mut self, lengthens: bool) -> io::Result<()> {
        self.operations += 1;
        let now = self.operations;
        match self.fault {
            Some((at, Fault::Error)) if now == at => Err(io::Error::other("a fault made for this test")),
            Some((at, Fault::Full)) if now == at || (now > at && lengthens) => Err(ErrorKind::StorageFull.into()),
            Some((at, Fault::Kill)) if now >= at => Err(io::Error::other("nobody sees this: the program was killed")),
            _ => Ok(()),
        }
    }

    /// Whether this operation is the last thing that a killed program did, or failed while it was done.
    fn struck(&self) -> bool {
        self.fault
            .is_some_and(|(at, fault)| at == self.operations || (matches!(fault, Fault::Full) && at < self.operations))
    }

    fn name(&mut self, naming: Naming) {
        name(&mut self.seen, &naming);
        self.namings.push(naming);
    }

    fn needs_folder(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        if self.seen.get(folder) == Some(&Node::Folder) { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }
}

/// A disk in memory; clones are the same disk.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<World>>);

impl Memory {
    /// A disk that holds one empty folder.
    pub fn new(root: &Path, fault: Option<(usize, Fault)>) -> Memory {
        let safe = Names::from([(root.into(), Node::Folder)]);
        Memory(Arc::new(Mutex::new(World { seen: safe.clone(), safe, fault, ..World::default() })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// How often something was done to it.
    pub fn operations(&self) -> usize {
        self.world().operations
    }

    /// How often a file was synced.
    pub fn syncs(&self) -> usize {
        self.world().syncs
    }

    /// How often a folder was synced.
    pub fn folder_syncs(&self) -> usize {
        self.world().folder_syncs
    }

    /// This disk as it is found, whole again, after a power cut.
    pub fn after_power_cut(&self, names: Kept, data: Kept) -> Memory {
        let mut world = self.world().clone();
        let kept = match names {
            Kept::Nothing | Kept::Zeros => 0,
            Kept::Half => world.namings.len().div_ceil(2),
            Kept::All => world.namings.len(),
        };
        world.namings.drain(..).take(kept).for_each(|naming| name(&mut world.safe, &naming));
        let all = world.safe.clone();
        // What lay in a folder that is gone is gone with it.
        let root = all.keys().next().cloned().unwrap_or_default();
        let reached = |path: &Path| path.ancestors().take_while(|a| *a != root).all(|a| all.contains_key(a));
        world.safe.retain(|path, _| reached(path));
        world.seen.clone_from(&world.safe);
        world.contents.iter_mut().for_each(|content| content.lose_power(data));
        world.fault = None;
        Memory(Arc::new(Mutex::new(world)))
    }
}

impl Disk for Memory {
    fn read(&self, path: &Path) -> io::Result<(u64, Box<dyn Read>)> {
        let mut world = self.world();
        world.operate(false)?;
        match world.seen.get(path) {
            Some(Node::File(file)) => {
                let bytes = world.contents[*file].seen.clone();
                Ok((bytes.len() as u64, Box::new(Cursor::new(bytes))))
            }
            Some(Node::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn draft(&self, path: &Path, readers: Readers) -> io::Result<Box<dyn Appending>> {
        let is_there = self.world().seen.contains_key(path);
        match is_there {
            true => Err(ErrorKind::AlreadyExists.into()),
            false => self.open(path, readers),
        }
    }

    fn open(&self, path: &Path, _: Readers) -> io::Result<Box<dyn Appending>> {
        let mut world = self.world();
        world.operate(false)?;
        world.needs_folder(path)?;
        let file = match world.seen.get(path) {
            Some(Node::File(file)) => *file,
            Some(Node::Folder) => return Err(ErrorKind::IsADirectory.into()),
            None => {
                world.contents.push(Content::default());
                let file = world.contents.len() - 1;
                world.name(vec![(path.into(), Some(Node::File(file)))]);
                file
            }
        };
        Ok(Box::new(OpenFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.operate(false)?;
        let node = world.seen.get(from).copied().ok_or(ErrorKind::NotFound)?;
        world.name(vec![(from.into(), None), (to.into(), Some(node))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.operate(false)?;
        world.name(vec![(path.into(), None)]);
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.operate(true)?;
        if world.seen.contains_key(path) {
            return Ok(());
        }
        world.needs_folder(path)?;
        world.name(vec![(path.into(), Some(Node::Folder))]);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let world = &mut *self.world();
        world.operate(false)?;
        world.folder_syncs += 1;
        let (synced, others) = std::mem::take(&mut world.namings)
            .into_iter()
            .partition(|naming: &Naming| naming[0].0.parent() == Some(path));
        world.namings = others;
        synced.iter().for_each(|naming| name(&mut world.safe, naming));
        Ok(())
    }
}

struct OpenFile {
    disk: Memory,
    file: usize,
}

impl Appending for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let world = &mut *self.disk.world();
        let done = world.operate(true);
        let struck = world.struck();
        let content = &mut world.contents[self.file];
        let change = Change::Write(content.seen.len(), bytes.to_vec());
        match &done {
            Ok(()) => content.change(change),
            Err(_) if struck => content.change(change.torn()),
            Err(_) => {}
        }
        done
    }

    fn set_len(&mut self, length: u64) -> io::Result<()> {
        let world = &mut *self.disk.world();
        world.operate(false)?;
        world.contents[self.file].change(Change::SetLen(length as usize));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let world = &mut *self.disk.world();
        let done = world.operate(false);
        let killed = matches!(world.fault, Some((_, Fault::Kill)));
        let content = &mut world.contents[self.file];
        if done.is_ok() {
            world.syncs += 1;
            content.changes.iter().for_each(|change| change.apply(&mut content.safe));
        }
        if done.is_ok() || !killed {
            // A sync that fails forgets what it was to make safe, as Linux does.
            content.changes.clear();
        }
        done
    }
}
