//! Where the text of a payload stands until its turn comes again: in its file, or put aside.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::aside::Aside;
use super::room;

/// Where the texts of a block can be read again.
#[derive(Clone, Debug)]
pub enum Origin {
    /// In the file, where the block's bytes begin.
    File(u64),
    /// Nowhere but where they are put aside: the file is compressed.
    Aside(Arc<Aside>),
}

impl Origin {
    /// Of a block that holds just the text of a spot.
    pub fn of(spot: Spot) -> Origin {
        match spot {
            Spot::File(offset) => Origin::File(offset),
            Spot::Aside(aside, _) => Origin::Aside(aside),
            Spot::Here(_) => Origin::Aside(Arc::default()),
        }
    }
}

/// Where a text that waits stands.
#[derive(Debug)]
pub enum Spot {
    /// In its file.
    File(u64),
    /// Where it was put aside.
    Aside(Arc<Aside>, u64),
    /// Here, because it could not be put aside.
    Here(Box<[u8]>),
}

impl Spot {
    /// The text of that length, read again; `file` is the one that it was read from.
    pub fn read(&self, file: &Path, length: usize) -> io::Result<Vec<u8>> {
        match self {
            Spot::File(offset) => {
                let mut file = File::open(file)?;
                file.seek(SeekFrom::Start(*offset))?;
                let mut bytes = Vec::new();
                room::make_large(&mut bytes, length);
                bytes.resize(length, 0);
                file.read_exact(&mut bytes)?;
                Ok(bytes)
            }
            Spot::Aside(aside, place) => aside.get(*place, length),
            Spot::Here(text) => Ok(text.to_vec()),
        }
    }
}
