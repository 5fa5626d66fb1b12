//! Texts of payloads that wait, where their file cannot be read at any place: a compressed file is read from its beginning
//! only. They go to a file without a name, so that memory stays bounded however many wait, and nothing is left behind.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use crate::disk::{Readers, create};

/// Where the texts of one file's waiting payloads are kept.
#[derive(Debug, Default)]
pub struct Aside {
    /// Made when it is first needed.
    file: Mutex<Option<File>>,
}

impl Aside {
    /// Keeps a text; returns where.
    pub fn put(&self, text: &[u8]) -> io::Result<u64> {
        // A panic elsewhere leaves it whole: each text stands where its place says.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => none.insert(nameless()?),
        };
        let place = file.seek(SeekFrom::End(0))?;
        file.write_all(text)?;
        Ok(place)
    }

    /// The text of that length that is kept there.
    pub fn get(&self, place: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut text = vec![0; length];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut text)?;
        Ok(text)
    }
}

/// A file that only its owner may read and that goes with the process, however it ends.
fn nameless() -> io::Result<File> {
    let path = create::draft_of(&std::env::temp_dir().join("lightbeam"));
    let file = create::fresh(&path, Readers::Owner)?;
    // Where a file that is open cannot be removed, it stays until somebody clears the folder for temporary files.
    let _ = fs::remove_file(path);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_found_where_it_was_put() {
        let aside = Aside::default();
        assert!(aside.get(0, 1).is_err());
        let places: Vec<u64> = [&b"one"[..], b"", b"three"].iter().map(|text| aside.put(text).unwrap()).collect();
        assert_eq!(aside.get(places[2], 5).unwrap(), b"three");
        assert_eq!(aside.get(places[0], 3).unwrap(), b"one");
        assert!(aside.get(places[2], 6).is_err());
    }
}
