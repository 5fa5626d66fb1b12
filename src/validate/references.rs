//! Whether what payloads refer to is there: in the files of the load, else in the API.
//!
//! A mention is looked up as soon as all before it in the load were read. What is not found then may come later, in the mention's own resource
//! above all, and is looked up once more at the end; what is missing still is what the API is asked for ([`super::remote`]), each distinct
//! reference once. A payload that is itself invalid is there all the same: it is what must be mended.

use std::path::Path;
use std::sync::Arc;

use fxhash::FxHashMap;
use serde_json::Value;

use super::findings::{Beside, Finding, Met, Severity};
use super::inspect::Mention;
use super::keys::Given;
use crate::check::{Method, Refers};
use crate::config;
use crate::edfi::key::StrictKey;
use crate::selector::Bare;

/// What is referred to and was not found so far.
pub struct References<'a> {
    rules: &'a config::validate::References,
    /// By the address of what a reference refers to, which is one for all references of a schema.
    aims: FxHashMap<usize, Aim>,
    numbers: FxHashMap<(usize, StrictKey), usize>,
    open: Vec<Open<'a>>,
    sites: Sites,
}

/// What a schema of references refers to.
struct Aim {
    is_checked: bool,
    /// The jobs that load it.
    jobs: Vec<usize>,
}

/// A reference to something that was not found so far.
pub struct Open<'a> {
    /// Of which resources.
    pub to: &'a Refers,
    /// What.
    pub key: StrictKey,
    /// The same as text, in the order of [`Refers::members`], as a payload writes it.
    pub values: Vec<String>,
    /// What is known of it.
    pub fate: Fate,
    mentions: Vec<Mentioned>,
}

/// What is known of something that no local file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is not there, as far as was looked.
    Missing,
    /// It is there.
    Found,
    /// Nobody told.
    Untold,
}

/// Where something was mentioned. Small, as a load that refers to what only the API has mentions it for every payload.
struct Mentioned {
    site: u32,
    line: u32,
}

/// A resource's file and a path within its payloads.
type Site = (usize, Arc<Path>, Arc<str>);

#[derive(Default)]
struct Sites {
    all: Vec<Site>,
    numbers: FxHashMap<Site, u32>,
}

impl<'a> References<'a> {
    /// Nothing was read so far.
    pub fn new(rules: &'a config::validate::References) -> References<'a> {
        let (aims, numbers, sites) = Default::default();
        References { rules, aims, numbers, open: Vec::new(), sites }
    }

    /// Takes note of a mention in a payload of that job, of which `text` is the block.
    pub fn mentioned(&mut self, mention: Mention<'a>, job: usize, file: &Arc<Path>, text: &[u8], keys: &Given) {
        let Mention { line, payload, path, to, key } = mention;
        // A name without a namespace means the resources of that name in all of them: its schema shows what refers to which.
        let aim = self.aims.entry(address(to)).or_insert_with(|| Aim {
            is_checked: to.targets.iter().any(|target| self.rules.to.selects(target, Bare::This)),
            jobs: to.targets.iter().filter_map(|target| keys.job(target)).collect(),
        });
        if !aim.is_checked || aim.jobs.iter().any(|&job| keys.has(job, key)) {
            return;
        }
        let number = *self.numbers.entry((address(to), key)).or_insert_with(|| {
            let values = values(&text[payload], &path, to);
            self.open.push(Open { to, key, values, fate: Fate::Missing, mentions: Vec::new() });
            self.open.len() - 1
        });
        let mentioned =
            Mentioned { site: self.sites.number(job, file, path), line: line.try_into().unwrap_or(u32::MAX) };
        self.open[number].mentions.push(mentioned);
    }

    /// What the load itself does not have, now that all of it was read.
    pub fn not_here(&mut self, keys: &Given) -> &mut Vec<Open<'a>> {
        let aims = &self.aims;
        self.open.retain(|open| !aims[&address(open.to)].jobs.iter().any(|&job| keys.has(job, open.key)));
        &mut self.open
    }

    /// Without the API: nothing can be told of what the load has no file of. Returns the names of that.
    pub fn without_api(&mut self) -> Vec<&str> {
        let mut entities = Vec::new();
        for open in &mut self.open {
            if self.aims[&address(open.to)].jobs.is_empty() {
                open.fate = Fate::Untold;
                entities.push(open.to.entity.as_str());
            }
        }
        entities.sort_unstable();
        entities.dedup();
        entities
    }

    /// Every mention of what is missing, with its job and file.
    pub fn missing(&self, with_api: bool) -> impl Iterator<Item = (usize, &Arc<Path>, Finding, Met)> {
        let missing = self.open.iter().filter(|open| open.fate == Fate::Missing);
        missing.flat_map(move |open| {
            let message: Arc<str> = open.message(with_api).into();
            open.mentions.iter().map(move |mentioned| {
                let (job, file, path) = &self.sites.all[mentioned.site as usize];
                let (severity, method) = (Severity::Fault, Method::References);
                let finding = Finding { severity, method, path: path.clone(), message: message.clone() };
                (*job, file, finding, Met { line: mentioned.line.into(), beside: Beside::Nothing })
            })
        })
    }
}

impl Open<'_> {
    /// How often it is mentioned.
    pub fn mentions(&self) -> u64 {
        self.mentions.len() as u64
    }

    fn message(&self, with_api: bool) -> String {
        let parts = self.to.members().zip(&self.values).map(|(name, value)| format!("{name} {value}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let nowhere = if with_api { ", neither in this load nor in the API" } else { " in this load" };
        format!("there is no {} with {parts}{nowhere}", self.to.entity)
    }
}

impl Sites {
    fn number(&mut self, job: usize, file: &Arc<Path>, path: Arc<str>) -> u32 {
        let site = (job, file.clone(), path);
        if let Some(&number) = self.numbers.get(&site) {
            return number;
        }
        self.all.push(site.clone());
        let number = self.all.len() as u32 - 1;
        self.numbers.insert(site, number);
        number
    }
}

fn address(to: &Refers) -> usize {
    std::ptr::from_ref(to) as usize
}

/// The values of a reference's key, as the payload writes them. The checker has read it, so it is there.
fn values(payload: &[u8], path: &str, to: &Refers) -> Vec<String> {
    let pointer = path.trim_start_matches('$').replace(['.', '['], "/").replace(']', "");
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    let reference = payload.pointer(&pointer).unwrap_or(&Value::Null);
    let value = |name: &str| match &reference[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    to.members().map(value).collect()
}
