//! `lightbeam demo`: a sample school district, sent twice to a sandbox, for newcomers. Everything it needs is in the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use miniz_oxide::deflate::{CompressionLevel, compress_to_vec};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::{say, send};
use crate::config::{self, Assignment, Config, Given, paths};
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::folder;
use crate::interrupt::Interrupt;
use crate::report::Summary;
use crate::sandbox::{self, Options};
use crate::selector::Selector;
use crate::state::resend::Resend;
use crate::terminal::Terminal;

/// The configuration that the district comes with.
const CONFIG: &str = include_str!("../../fixtures/district/lightbeam.yaml");

/// The district's files, [packed](pack): as they are they would be a tenth of the program.
const DISTRICT: &[u8] = include_bytes!("district.packed");

/// More than the files together have.
const LONGEST: usize = 4 << 20;

/// Names and texts of the data files in a folder, compressed. `make district` packs the sample district anew.
pub fn pack(folder: &Path) -> Result<Vec<u8>> {
    let mut paths: Vec<_> = folder::find(folder)?.into_files();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path).or_stop(Exit::Usage, || format!("cannot read {}", path.display()))?;
        files.push((name, text));
    }
    let bytes = postcard::to_allocvec(&files).or_stop(Exit::Usage, || "cannot pack".into())?;
    Ok(compress_to_vec(&bytes, CompressionLevel::BestCompression as u8))
}

/// What [`pack`] packed.
fn unpack(packed: &[u8]) -> Result<Vec<(String, String)>> {
    let damaged = || "the sample district in this program is damaged".to_string();
    let bytes = decompress_to_vec_with_limit(packed, LONGEST).map_err(|_| Error::api(damaged()))?;
    postcard::from_bytes(&bytes).or_stop(Exit::GivenUp, damaged)
}

/// Runs the demo and tells what happened.
pub fn run(terminal: &mut Terminal) -> Result<Exit> {
    let stage = Folder::new()?;
    for (name, text) in unpack(DISTRICT)? {
        let path = stage.0.join("data").join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
            .and_then(|()| fs::write(&path, text))
            .or_stop(Exit::GivenUp, || format!("cannot write the sample district to {}", path.display()))?;
    }
    let sandbox = sandbox::start(Options::default())?;
    let config = config(&sandbox.url(), &stage.0)?;
    let interrupt = Interrupt::on_signals()?;
    let mut load = || send::run(&config, &Selector::default(), &Resend::default(), terminal, &interrupt);
    say(&format!("An Ed-Fi API in memory answers at {}.\n\n", sandbox.url()));
    let first = load()?;
    say(&format!("FIRST RUN: everything is new.\n\n{}\n{}", first.to_text(), explained(&first)));
    let second = load()?;
    say(&format!(
        "\nSECOND RUN: what was accepted is skipped, only what was refused is sent again.\n\n{}\n{FAREWELL}",
        second.to_text()
    ));
    Ok(Exit::Ok)
}

/// What the first summary shows.
fn explained(summary: &Summary) -> String {
    let total = summary.total();
    format!(
        "Each resource waited for those that it refers to. {} payloads are wrong on\n\
         purpose; the API refused them, or lightbeam did, with file, line and reason.\n\
         Of payloads that stand twice one was sent. A real run would end with exit\n\
         code {}.\n",
        total.refused,
        summary.exit(false).code()
    )
}

/// What the second summary shows, and where to go from here.
const FAREWELL: &str = "\
What was refused was sent again, and is in every run until the API accepts it;\n\
--skip-refused leaves out what was refused because of the payload itself.\n\
The files named above were the demo's own and are gone now.\n\
Your own data: write a lightbeam.yaml (see README), then `lightbeam plan` and\n\
`lightbeam send`.\n";

fn config(url: &str, folder: &Path) -> Result<Config> {
    let set = |key: &str, path: PathBuf| Assignment { key: key.into(), value: path.display().to_string() };
    let sets = [set("data_dir", folder.join("data")), set("state_dir", folder.join("state"))];
    let login = [("LIGHTBEAM_URL", url), ("LIGHTBEAM_KEY", "demo"), ("LIGHTBEAM_SECRET", "demo")];
    let params = login.map(|(name, value)| (name.to_string(), value.to_string()));
    let given =
        Given { params: BTreeMap::from(params), sets: &sets, env: &|_| None, try_to_write: &paths::try_to_write };
    config::parse(Path::new("lightbeam.yaml"), CONFIG, &given).map(|(config, _)| config)
}

/// A folder for the length of a demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("lightbeam-demo-{}", std::process::id()));
        fs::create_dir_all(&path).or_stop(Exit::GivenUp, || format!("cannot make the folder {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_holds_the_district_as_it_is() {
        let district = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/district");
        let held = unpack(DISTRICT).unwrap();
        assert!(held.len() > 30);
        assert_eq!(held, unpack(&pack(&district).unwrap()).unwrap(), "make district packs it anew");
    }
}
