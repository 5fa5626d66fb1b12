//! The bytes of a data file, also of one that is compressed with gzip. What a compressed file holds is not trusted: it may
//! be cut off, damaged, or unpack to more than any disk holds.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// Payloads compress to a tenth, and very like ones to a hundredth; deflate's limit is about a thousandth. What unpacks to
/// more than this many times its size holds no payloads.
const MOST_TIMES: u64 = 300;
/// So many bytes are unpacked before that is judged.
const LEAST: u64 = 8 * 1024 * 1024;

/// Whether a file of this name is compressed: `.jsonl.gz`.
pub fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}

/// Reads a data file from its beginning.
pub enum Reader {
    /// The file as it is.
    Plain(File),
    /// What a compressed file holds, one member after the other, and how many bytes that was so far.
    Packed(Box<MultiGzDecoder<BufReader<File>>>, u64),
}

impl Reader {
    /// Of an open file of this name.
    pub fn of(path: &Path, file: File) -> Reader {
        match is_packed(path) {
            true => Reader::Packed(Box::new(MultiGzDecoder::new(BufReader::new(file))), 0),
            false => Reader::Plain(file),
        }
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        match self {
            Reader::Plain(file) => file,
            Reader::Packed(decoder, _) => decoder.get_ref().get_ref(),
        }
    }

    /// How many bytes of the file were read, for the progress of a run.
    pub fn taken(&self) -> u64 {
        self.file().stream_position().unwrap_or_default()
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Reader::Plain(file) => file.read(bytes),
            Reader::Packed(decoder, given) => {
                let got = decoder.read(bytes).map_err(told)?;
                *given += got as u64;
                let taken = decoder.get_ref().get_ref().stream_position()?;
                if *given > LEAST && *given / MOST_TIMES > taken {
                    let text = format!("it unpacks to more than {MOST_TIMES} times its size, as no payloads do");
                    return Err(io::Error::other(format!("{text}; if they do, unpack it: gunzip FILE")));
                }
                Ok(got)
            }
        }
    }
}

/// What is wrong, in words that say more than the decoder's.
fn told(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::other("the compressed file ends too early; was it copied whole?"),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            io::Error::other(format!("the compressed file is damaged, or it is not gzip: {error}"))
        }
        _ => error,
    }
}
