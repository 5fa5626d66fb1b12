//! `lightbeam metadata save`: all that the API says of itself in one file, for machines that cannot reach it.

use std::path::Path;

use serde_json::{Value, json};

use crate::api::Api;
use crate::api::saved::Saved;
use crate::clock::unix_now;
use crate::config::{Config, Level};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::observer::Observer;
use crate::resource::Resource;
use crate::text;

/// What was written.
pub struct Written {
    file: String,
    target: String,
    resources: usize,
    descriptors: usize,
    values: usize,
    bytes: usize,
}

/// Asks the API, even if the configuration names a metadata file, and writes what it says to `file`.
pub fn save(config: &Config, file: &Path, observer: &mut dyn Observer, interrupt: &Interrupt) -> Result<Written> {
    let config = Config { metadata_file: None, ..config.clone() };
    let workers = config.connection.pool_size;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .build()
        .or_stop(Exit::GivenUp, || format!("cannot start {workers} workers"))?;
    let mut warn = |text: String| observer.log(Level::Warning, &text);
    let api = Api::connect(&config, interrupt, &mut warn)?;
    api.check_privacy()?;
    let source = api.source(&mut warn)?;
    let described = source.endpoints.iter().map(|endpoint| &endpoint.resource);
    let ordered = api.dependencies().iter().map(|dependency| &dependency.resource);
    let mut known: Vec<&Resource> = described.chain(ordered).collect();
    known.sort();
    known.dedup();
    let descriptors = known.iter().copied().filter(|resource| resource.is_descriptor());
    let values = api.descriptor_values(descriptors, &pool, &mut warn)?;
    let resources = known.iter().filter(|resource| !resource.is_descriptor()).count();
    let saved = Saved {
        base_url: config.api.base_url.clone(),
        asked: unix_now(),
        discovery: api.discovery().cloned(),
        dependencies: api.dependencies().to_vec(),
        source,
        values,
    };
    Ok(Written {
        bytes: saved.write(file)?,
        file: file.display().to_string(),
        target: api.urls().data.clone(),
        resources,
        descriptors: saved.values.descriptors().count(),
        values: saved.values.count(),
    })
}

impl Written {
    /// What people read.
    pub fn to_text(&self) -> String {
        let rows = [("resources", self.resources), ("descriptors", self.descriptors), ("their values", self.values)];
        let mut text = format!("{} holds the metadata of {}:\n", self.file, self.target);
        for (what, number) in rows.into_iter().chain([("bytes", self.bytes)]) {
            text += &format!("  {what:<12} {:>10}\n", text::count(number as u64));
        }
        text
    }

    /// The same for machines.
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "target": self.target,
            "resources": self.resources,
            "descriptors": self.descriptors,
            "descriptor_values": self.values,
            "bytes": self.bytes,
        })
    }
}
