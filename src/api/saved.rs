//! The metadata of an API in one file, so that a load can be planned, checked and rehearsed where no API can be reached.
//!
//! ```text
//! LBMETA\n | version: 1 byte | length of the body: 4 bytes, little-endian | body, deflated | checksum: first 8 bytes of BLAKE3 of all before
//! body = postcard of the base URL, the time, the discovery document, the compact model with the order, and descriptor values
//! ```
//!
//! The version changes whenever the body does; an unknown one is an error, never a guess. Nothing in such a file makes more than
//! [`LONGEST`] bytes of memory out of it before it is refused, whoever wrote it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use miniz_oxide::deflate::{CompressionLevel, compress_to_vec};
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::descriptors::Row;
use super::transport::http::Uri;
use crate::digest::{CHECKSUM, checksum};
use crate::disk;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::{Dependency, Source, Values, compact};
use crate::resource::Resource;
use crate::text::url::normal;

const MAGIC: &[u8; 7] = b"LBMETA\n";
const VERSION: u8 = 1;

/// The longest body, in bytes. Real ones have 2 MB.
pub const LONGEST: usize = 64 * 1024 * 1024;

/// What an API said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// The address of its discovery document.
    pub base_url: String,
    /// When it was asked, in seconds since 1970.
    pub asked: u64,
    /// Its discovery document, if it has one.
    pub discovery: Option<Value>,
    /// What its OpenAPI documents say; nothing if it has none.
    pub source: Source,
    /// In which order its resources are to be sent.
    pub dependencies: Vec<Dependency>,
    /// The values of its descriptors.
    pub values: Values,
}

#[derive(Serialize, Deserialize)]
struct Body {
    base_url: String,
    asked: u64,
    discovery: Option<String>,
    model: String,
    values: Vec<Row>,
}

impl Saved {
    /// Reads a file. An error names it and says what is wrong with it.
    pub fn read(path: &Path) -> Result<Saved> {
        let cannot = || format!("cannot read the metadata file {}", path.display());
        let mut bytes = Vec::new();
        // One byte more than there may be, so that a file that is too long is not taken for a whole one.
        let most = LONGEST as u64 + 1;
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).or_stop(Exit::Usage, cannot)?;
        Saved::decode(&bytes).map_err(|what| {
            Error::usage(format!(
                "the metadata file {} {what}; make it anew with `lightbeam metadata save`",
                path.display()
            ))
        })
    }

    /// Reads a file that must be that of the API at `base`, or payloads might go to another one than somebody thinks.
    pub fn of(file: &Path, base: &Uri) -> Result<Saved> {
        let saved = Saved::read(file)?;
        let same =
            |url: &str| normal(url.trim()).trim_end_matches('/') == normal(&base.to_string()).trim_end_matches('/');
        match same(&saved.base_url) {
            true => Ok(saved),
            false => Err(Error::usage(format!(
                "the metadata file {} is of the API at {}, but edfi_api.base_url is {base}: \
                 set that to the former, or save the metadata of the latter",
                file.display(),
                saved.base_url
            ))),
        }
    }

    /// Puts it in place of what the file held, and returns the file's length in bytes.
    pub fn write(&self, path: &Path) -> Result<usize> {
        let bytes = self.encode()?;
        disk::write_named(path, &bytes).or_stop(Exit::Unwritten, || format!("cannot write {}", path.display()))?;
        Ok(bytes.len())
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let cannot = |what: &str| Error::api(format!("the metadata of {} cannot be saved: {what}", self.base_url));
        let model = compact::write(&self.source, &self.dependencies)
            .ok_or_else(|| cannot("a name or pattern in its OpenAPI documents is not what an Ed-Fi API has"))?;
        let row = |descriptor: &Resource| Row {
            descriptor: descriptor.to_string(),
            asked: self.asked,
            uris: self.values.of(descriptor).map(String::from).collect(),
        };
        let body = Body {
            base_url: self.base_url.clone(),
            asked: self.asked,
            discovery: self.discovery.as_ref().map(Value::to_string),
            model,
            values: self.values.descriptors().map(row).collect(),
        };
        // Text and numbers have no way to fail.
        let body = postcard::to_stdvec(&body).unwrap_or_default();
        let length = u32::try_from(body.len()).ok().filter(|&length| length as usize <= LONGEST);
        let length = length.ok_or_else(|| cannot("it is too long"))?;
        let mut bytes = [&MAGIC[..], &[VERSION], &length.to_le_bytes()].concat();
        bytes.extend(compress_to_vec(&body, CompressionLevel::BestCompression as u8));
        bytes.extend(checksum(&bytes));
        Ok(bytes)
    }

    /// What a file's bytes say, or what is wrong with them, to be put behind the file's name.
    pub fn decode(bytes: &[u8]) -> Result<Saved, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("is not one that lightbeam wrote")?;
        let (&version, rest) = rest.split_first().ok_or("is cut short")?;
        if version != VERSION {
            return Err(format!("has version {version}, this program reads {VERSION}"));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or("is cut short")?;
        let deflated = rest.len().checked_sub(CHECKSUM).map(|end| &rest[..end]).ok_or("is cut short")?;
        if bytes[bytes.len() - CHECKSUM..] != checksum(&bytes[..bytes.len() - CHECKSUM]) {
            return Err("is cut short or damaged (its checksum is wrong)".into());
        }
        let damaged = |what: &dyn std::fmt::Display| format!("is damaged ({what})");
        let length = u32::from_le_bytes(*length) as usize;
        if length > LONGEST {
            return Err(damaged(&"it would be too long"));
        }
        let body = decompress_to_vec_with_limit(deflated, length).map_err(|error| damaged(&error))?;
        let body: Body = postcard::from_bytes(&body).map_err(|error| damaged(&error))?;
        let discovery = body.discovery.map(|text| serde_json::from_str(&text)).transpose();
        let (source, dependencies) = compact::read(&body.model).map_err(|error| damaged(&error))?;
        let mut values = Values::default();
        for row in &body.values {
            let descriptor = Resource::from_path(&row.descriptor);
            values.add(&descriptor.ok_or_else(|| damaged(&"a descriptor has no name"))?, &row.uris);
        }
        let discovery = discovery.map_err(|error| damaged(&error))?;
        Ok(Saved { base_url: body.base_url, asked: body.asked, discovery, source, dependencies, values })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MODEL: &str = "\
schema edFi_school
 schoolId! int64
schema edFi_termDescriptor
 codeValue! string
 namespace! string
resource ed-fi/schools edFi_school
 get schoolId!
 load 2 Create Update
resource ed-fi/termDescriptors edFi_termDescriptor
load tx/leavers 3 Create
load tx/leavers 5 Update
";

    fn saved() -> Saved {
        let (source, dependencies) = compact::read(MODEL).unwrap();
        let mut values = Values::default();
        values.add(&Resource::new("ed-fi", "termDescriptors"), ["uri://ed-fi.org/TermDescriptor#Fall\nSemester"]);
        values.add(&Resource::new("tx", "noneDescriptors"), [""; 0]);
        let discovery = Some(json!({"version": "7.3", "urls": {"oauth": "https://example.com/oauth/token"}}));
        Saved { base_url: "https://example.com".into(), asked: 1, discovery, source, dependencies, values }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Saved::decode(&saved().encode().unwrap()), Ok(saved()));
        let bare = Saved { discovery: None, source: Source::default(), values: Values::default(), ..saved() };
        assert_eq!(Saved::decode(&bare.encode().unwrap()), Ok(bare));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = saved().encode().unwrap();
        for end in 0..bytes.len() {
            assert!(Saved::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Saved::decode(&changed).is_err(), "changed at {at}");
        }
    }

    /// A file with a right head and checksum.
    fn sealed(version: u8, length: usize, body: &[u8]) -> Vec<u8> {
        let deflated = compress_to_vec(body, CompressionLevel::BestSpeed as u8);
        let mut bytes = [&MAGIC[..], &[version], &(length as u32).to_le_bytes(), &deflated].concat();
        bytes.extend(checksum(&bytes));
        bytes
    }

    #[test]
    fn a_file_of_another_version_or_one_that_would_fill_the_memory_is_refused() {
        let what = |file: Vec<u8>| Saved::decode(&file).unwrap_err();
        assert_eq!(what(sealed(VERSION + 1, 5, b"later")), "has version 2, this program reads 1");
        assert!(what(sealed(VERSION, LONGEST + 1, b"")).contains("too long"));
        let bomb = sealed(VERSION, 1_000, &vec![0; 4_000_000]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert!(what(bomb).starts_with("is damaged"));
    }

    #[test]
    fn a_name_that_would_not_come_back_is_not_written() {
        let mut saved = saved();
        saved.source.endpoints[0].parameters[0].0 = "two words".into();
        assert!(saved.encode().unwrap_err().to_string().contains("https://example.com"));
    }
}
