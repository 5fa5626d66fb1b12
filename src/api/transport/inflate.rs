//! Reads bodies that a host compressed although it was asked not to. Pure.
//!
//! Every request says `Accept-Encoding: identity`. Some balancers and caches compress all the same. What they send is
//! hostile until it is read: nothing makes more bytes of it than the caller wants.

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// More codings than this on top of each other are nobody's.
const MOST_CODINGS: usize = 4;

/// Bytes that are inflated at a time.
const PIECE: usize = 32 * 1024;

/// What was made of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The body, or as much of its beginning as was wanted.
    pub bytes: Vec<u8>,
    /// Whether there is more of it.
    pub more: bool,
}

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has a coding that nobody here knows, of this name.
    Unknown(String),
    /// It is not what its coding makes: this is wrong with it.
    Damaged(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Unknown(name) => write!(
                f,
                "the answer is compressed as {name}, which lightbeam cannot read and did not ask for \
                 (Accept-Encoding: identity): ask the host's administrator to compress nothing, or only with gzip"
            ),
            Unreadable::Damaged(what) => write!(f, "the answer is compressed, and damaged: {what}"),
        }
    }
}

/// Whether a body with this `Content-Encoding` has to be inflated.
pub fn is_compressed(coding: &str) -> bool {
    codings(coding).next().is_some()
}

fn codings(list: &str) -> impl DoubleEndedIterator<Item = &str> {
    let known_as_none = |name: &str| name.is_empty() || name.eq_ignore_ascii_case("identity");
    list.split(',').map(str::trim).filter(move |name| !known_as_none(name))
}

/// Undoes the codings that `Content-Encoding` lists, the last one first, to at most `most` bytes. `cut`: the body is only
/// the beginning of one.
pub fn plain(coding: &str, body: Vec<u8>, cut: bool, most: usize) -> Result<Plain, Unreadable> {
    let names: Vec<&str> = codings(coding).rev().collect();
    if names.len() > MOST_CODINGS {
        return Err(Unreadable::Unknown(coding.into()));
    }
    let mut plain = Plain { bytes: body, more: cut };
    for name in names {
        let reading = Reading { cut: plain.more, most };
        plain = match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => reading.gzip(&plain.bytes)?,
            "deflate" => reading.deflate(&plain.bytes)?,
            _ => return Err(Unreadable::Unknown(name.into())),
        };
    }
    Ok(plain)
}

fn damaged(what: &str) -> Unreadable {
    Unreadable::Damaged(what.into())
}

/// How a body is read.
#[derive(Clone, Copy)]
struct Reading {
    /// Whether it is only the beginning of one.
    cut: bool,
    /// How many bytes are made of it at most.
    most: usize,
}

impl Reading {
    /// One member of gzip after the other (RFC 1952 section 2.2).
    fn gzip(self, body: &[u8]) -> Result<Plain, Unreadable> {
        let mut bytes = Vec::new();
        let mut rest = body;
        loop {
            let Some(head) = gzip_head(rest)? else { return self.ended(bytes) };
            let before = bytes.len();
            let Some(taken) = self.inflated(DataFormat::Raw, &rest[head..], &mut bytes)? else {
                return match bytes.len() > self.most {
                    true => Ok(self.cut_off(bytes)),
                    false => self.ended(bytes),
                };
            };
            rest = &rest[head + taken..];
            let Some((tail, after)) = rest.split_first_chunk::<8>() else { return self.ended(bytes) };
            let [a, b, c, d, e, f, g, h] = *tail;
            let member = &bytes[before..];
            let is_whole = u32::from_le_bytes([a, b, c, d]) == crc32(member)
                && u32::from_le_bytes([e, f, g, h]) == member.len() as u32;
            if !is_whole {
                return Err(damaged("its checksum is wrong"));
            }
            rest = after;
            // Some writers fill up with zeros.
            if rest.iter().all(|&byte| byte == 0) {
                return Ok(Plain { bytes, more: self.cut });
            }
        }
    }

    /// What HTTP calls deflate is zlib's format. Some hosts send the bare stream under that name.
    fn deflate(self, body: &[u8]) -> Result<Plain, Unreadable> {
        let format = if is_zlib(body) { DataFormat::Zlib } else { DataFormat::Raw };
        let mut bytes = Vec::new();
        let end = self.inflated(format, body, &mut bytes)?;
        match (end, bytes.len() > self.most) {
            (_, true) => Ok(self.cut_off(bytes)),
            (Some(_), false) => Ok(Plain { bytes, more: false }),
            (None, false) => self.ended(bytes),
        }
    }

    /// Inflates one stream behind what `out` holds, until that is longer than what is wanted. How many bytes of the
    /// input it took, if it came to its end.
    fn inflated(self, format: DataFormat, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Unreadable> {
        let mut state = InflateState::new_boxed(format);
        let mut piece = vec![0; PIECE];
        let mut taken = 0;
        loop {
            let result = inflate(&mut state, &input[taken..], &mut piece, MZFlush::None);
            taken += result.bytes_consumed;
            out.extend_from_slice(&piece[..result.bytes_written]);
            match result.status {
                Ok(MZStatus::StreamEnd) => return Ok(Some(taken)),
                _ if out.len() > self.most => return Ok(None),
                Ok(_) if result.bytes_consumed > 0 || result.bytes_written > 0 => {}
                // There is nothing more to read.
                Ok(_) | Err(MZError::Buf) => return Ok(None),
                Err(_) => return Err(damaged("it is not deflated data")),
            }
        }
    }

    /// What a body is that ends before its stream does.
    fn ended(self, bytes: Vec<u8>) -> Result<Plain, Unreadable> {
        match self.cut {
            true => Ok(self.cut_off(bytes)),
            false => Err(damaged("it ends too early")),
        }
    }

    fn cut_off(self, mut bytes: Vec<u8>) -> Plain {
        bytes.truncate(self.most);
        Plain { bytes, more: true }
    }
}

/// How long the head of a member is; `None` if it is not whole.
fn gzip_head(body: &[u8]) -> Result<Option<usize>, Unreadable> {
    let has = |flag: u8| body.get(3).is_some_and(|flags| flags & flag != 0);
    let [has_sum, has_extra, has_name, has_comment] = [2, 4, 8, 16].map(has);
    if !b"\x1f\x8b\x08".starts_with(&body[..body.len().min(3)]) {
        return Err(damaged("it does not begin as gzip does"));
    }
    let mut at = 10;
    if has_extra {
        let Some(&[low, high]) = body.get(at..at + 2).and_then(|length| length.first_chunk()) else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for _ in [has_name, has_comment].into_iter().filter(|&has_text| has_text) {
        let text = body.get(at..).and_then(|rest| memchr::memchr(0, rest));
        let Some(length) = text else { return Ok(None) };
        at += length + 1;
    }
    at += if has_sum { 2 } else { 0 };
    Ok((at <= body.len()).then_some(at))
}

/// Whether a body begins as zlib's format does (RFC 1950 section 2.2).
fn is_zlib(body: &[u8]) -> bool {
    let head = body.first_chunk().map(|&[method, flags]: &[u8; 2]| (method, u16::from_be_bytes([method, flags])));
    head.is_some_and(|(method, both)| method & 0x0f == 8 && method >> 4 <= 7 && both % 31 == 0)
}

/// The sum of gzip (RFC 1952 section 8). Bodies are short, and this way is rare: bit by bit will do.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// A body as it is, or as much of it as is wanted, where `coding` is what `Content-Encoding` says if it says anything.
pub fn read(coding: Option<&str>, body: Vec<u8>, cut: bool, most: u64) -> Result<Plain, Unreadable> {
    match coding.filter(|coding| is_compressed(coding) && !body.is_empty()) {
        None => Ok(Plain { bytes: body, more: cut }),
        Some(coding) => plain(coding, body, cut, usize::try_from(most).unwrap_or(usize::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    use super::*;

    const MOST: usize = 1_000_000;

    /// A member of gzip with a head of these flags.
    fn gzip(text: &[u8], flags: u8) -> Vec<u8> {
        let mut body = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        if flags & 4 != 0 {
            body.extend(b"\x03\x00abc");
        }
        [8, 16].iter().filter(|&flag| flags & flag != 0).for_each(|_| body.extend(b"name\0"));
        if flags & 2 != 0 {
            body.extend([0, 0]);
        }
        body.extend(compress_to_vec(text, 6));
        body.extend(crc32(text).to_le_bytes());
        body.extend((text.len() as u32).to_le_bytes());
        body
    }

    fn text(plain: Result<Plain, Unreadable>) -> String {
        let plain = plain.unwrap();
        assert!(!plain.more);
        String::from_utf8(plain.bytes).unwrap()
    }

    fn wrong(plain: Result<Plain, Unreadable>) -> String {
        plain.unwrap_err().to_string()
    }

    #[test]
    fn the_sum_is_that_of_the_rfc() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn gzip_and_both_kinds_of_deflate_are_inflated_whatever_their_heads_hold() {
        let page = "[{\"id\":\"1\"}]".repeat(10_000);
        for flags in 0..32 {
            assert_eq!(text(plain("gzip", gzip(page.as_bytes(), flags), false, MOST)), page, "{flags}");
        }
        assert_eq!(text(plain("deflate", compress_to_vec_zlib(page.as_bytes(), 6), false, MOST)), page);
        assert_eq!(text(plain("Deflate", compress_to_vec(page.as_bytes(), 6), false, MOST)), page);
        let members = [gzip(b"one ", 0), gzip(b"", 0), gzip(b"two", 8), vec![0; 512]].concat();
        assert_eq!(text(plain("X-GZIP", members, false, MOST)), "one two");
        let twice = gzip(&compress_to_vec_zlib(page.as_bytes(), 6), 0);
        assert_eq!(text(plain("deflate, identity, gzip", twice, false, MOST)), page);
    }

    #[test]
    fn what_is_not_compressed_or_empty_stays_as_it_is() {
        for coding in [None, Some(""), Some("identity"), Some(" Identity , ")] {
            assert_eq!(text(read(coding, b"{}".to_vec(), false, 10)), "{}");
        }
        assert_eq!(text(read(Some("br"), Vec::new(), false, 10)), "", "an answer without a body has nothing to read");
    }

    #[test]
    fn a_bomb_is_inflated_to_what_is_wanted_and_no_further() {
        let bomb = gzip(&vec![b'x'; 50_000_000], 0);
        assert!(bomb.len() < 100_000);
        for (coding, body) in [("gzip", bomb.clone()), ("gzip, gzip", gzip(&bomb, 0))] {
            let plain = plain(coding, body, false, 70_000).unwrap();
            assert!(plain.more && plain.bytes == vec![b'x'; 70_000], "{coding}");
        }
        let whole = plain("gzip", gzip(&[b'x'; 70_000], 0), false, 70_000).unwrap();
        assert_eq!((whole.bytes.len(), whole.more), (70_000, false), "what just fits is whole");
    }

    #[test]
    fn every_truncated_body_is_an_error_and_the_beginning_of_one_gives_a_beginning() {
        let page: String = (0..2_000).map(|i| format!("{{\"id\":{i}}},")).collect();
        for (coding, body) in
            [("gzip", gzip(page.as_bytes(), 8)), ("deflate", compress_to_vec_zlib(page.as_bytes(), 6))]
        {
            for end in (1..body.len()).step_by(7).chain(body.len() - 9..body.len()) {
                let told = wrong(plain(coding, body[..end].to_vec(), false, MOST));
                assert!(told.contains("ends too early"), "{coding} cut at {end}: {told}");
                let beginning = plain(coding, body[..end].to_vec(), true, MOST).unwrap();
                assert!(beginning.more && page.as_bytes().starts_with(&beginning.bytes), "{coding} cut at {end}");
            }
        }
    }

    #[test]
    fn damaged_bodies_and_unknown_codings_are_errors_that_say_so() {
        let good = gzip(b"a text that is long enough to be damaged somewhere", 0);
        for at in (0..3).chain(10..good.len()) {
            let mut body = good.clone();
            body[at] ^= 0xff;
            assert!(plain("gzip", body, false, MOST).is_err(), "changed at {at}");
        }
        assert!(wrong(plain("gzip", b"{\"a\":1}".to_vec(), false, MOST)).contains("does not begin as gzip"));
        assert!(wrong(plain("deflate", b"{\"a\":1}".to_vec(), false, MOST)).contains("damaged"));
        for name in ["br", "zstd", "compress"] {
            let told = wrong(plain(&format!("gzip, {name}"), good.clone(), false, MOST));
            assert!(told.contains(&format!("compressed as {name}, ")), "{told}");
        }
        assert!(plain("gzip,gzip,gzip,gzip,gzip", good, false, MOST).is_err());
    }
}
