//! `lightbeam create`: an earthmover project for the selected resources, in the current folder. Nothing that is there is written over.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::prepare::choose;
use crate::config::{Config, Level};
use crate::disk;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::observer::Observer;
use crate::resource::Resource;
use crate::selector::Selector;
use crate::skeleton;
use crate::text;

const PROJECT: &str = "earthmover.yml";
const TEMPLATES: &str = "templates";

/// What was made, in words for people, and how the program is to end.
pub fn run(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<(String, Exit)> {
    let chosen = choose(config, selector, observer, interrupt)?;
    let mut source = chosen.api.source(&mut |text| observer.log(Level::Warning, &text))?;
    chosen.catalog.label(&mut source);
    let model = Model::compile(&source)?;
    let (mut made, mut left) = (Vec::new(), 0);
    for (resource, _) in &chosen.resources {
        let Some(definition) = model.get(resource) else {
            observer
                .log(Level::Warning, &format!("no template for {resource}: the API's OpenAPI does not describe it"));
            left += 1;
            continue;
        };
        let path = Path::new(TEMPLATES).join(format!("{}.jsont", resource.label()));
        let folder = disk::folder_of(&path);
        fs::create_dir_all(folder).or_stop(Exit::GivenUp, || format!("cannot make the folder {}", folder.display()))?;
        match write_new(&path, &skeleton::template(definition))? {
            true => made.push(resource),
            false => {
                observer.log(Level::Warning, &format!("{} is there already and left as it is", path.display()));
                left += 1;
            }
        }
    }
    if made.is_empty() {
        return Err(Error::new(Exit::AllFailed, "nothing was made: remove the templates that are to be made anew"));
    }
    let told = told(&made, write_new(Path::new(PROJECT), &skeleton::project(made.iter().copied()))?);
    Ok((told, if left == 0 { Exit::Ok } else { Exit::SomeFailed }))
}

fn told(made: &[&Resource], project: bool) -> String {
    let count = text::counted(made.len() as u64, "template");
    let mut told = format!("{count} in {TEMPLATES}");
    match project {
        true => {
            told.push_str(&format!(", and {PROJECT}, which uses {}.\n", if made.len() == 1 { "it" } else { "them" }));
            told.push_str("Next: put a table with a template's columns into ./sources, say students.csv, and\n");
            told.push_str("run earthmover; then send what it makes: lightbeam send --data-dir output\n");
        }
        false => {
            let _ = writeln!(told, ". {PROJECT} is there already and left as it is; add to it:\n\nsources:");
            made.iter().for_each(|resource| told.push_str(&skeleton::source(resource)));
            told.push_str("\ndestinations:\n");
            made.iter().for_each(|resource| told.push_str(&skeleton::destination(resource)));
        }
    }
    told
}

/// Writes a file that is not there yet; `false` if it is.
fn write_new(path: &Path, content: &str) -> Result<bool> {
    match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        file => {
            let written = file.and_then(|mut file| file.write_all(content.as_bytes()));
            written.or_stop(Exit::GivenUp, || format!("cannot write {}", path.display())).map(|()| true)
        }
    }
}
