//! A validation: every payload of a load is held against what the API says of itself, before anything is sent.
//!
//! Workers inspect blocks of lines, each by itself ([`inspect`]); what they saw is taken in the order of the files, whatever the
//! timing, and adds what only the whole load can tell: keys given twice ([`keys`]), references to nothing ([`references`], [`remote`]).
//! The order of files is that of sending, so that what a payload refers to was mostly read before it. What was found is filed by what it is
//! and where ([`findings`]), and told by [`report`].

pub mod descriptors;
pub mod findings;
pub mod inspect;
pub mod keys;
pub mod references;
pub mod remote;
pub mod report;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::OnceLock;

use self::findings::{Beside, Finding, Gathered, Met, Severity, Tally};
use self::inspect::{Inspected, Inspector, Keyed};
use self::keys::{Claim, Given};
use self::references::References;
use self::remote::Remote;
use crate::check::Method;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::observer::{Observer, Progress};
use crate::plan::Plan;
use crate::pool::{self, Workers};
use crate::resource::Resource;
use crate::results::Stopped;
use crate::sequencer::Sequencer;
use crate::text;

/// What does not change while a load is validated.
pub struct Validation<'a> {
    /// What is read, and in which order.
    pub plan: &'a Plan,
    /// What is looked for in each payload.
    pub inspector: Inspector<'a>,
    /// Whom to ask for what the load refers to and does not have; `None`: nobody.
    pub remote: Option<Remote<'a>>,
    /// Whether a resource is one of education organizations, which share one space of ids.
    pub is_organization: &'a (dyn Fn(&Resource) -> bool + Sync),
    /// Who inspects.
    pub pool: &'a Workers,
    /// Whether somebody wants it to stop.
    pub interrupt: &'a Interrupt,
}

/// What a validation found.
#[derive(Clone, Debug, Default)]
pub struct Validated {
    /// In each of the plan's jobs.
    pub tallies: Vec<Tally>,
    /// What could not be checked, in sentences.
    pub unchecked: Vec<String>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// What one thread at a time keeps.
struct Desk<'a> {
    keys: Given,
    references: References<'a>,
    without_values: BTreeSet<&'a Resource>,
    tallies: Vec<Tally>,
    progress: Progress,
    bytes_read: u64,
    /// What was inspected, by the number of the piece.
    inspected: Sequencer<Inspected<'a>>,
}

impl<'a> Validation<'a> {
    /// Validates the load. An error is one of lightbeam itself; that the API failed is told by what is found.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Validated> {
        let plan = self.plan;
        let mut desk = Desk {
            keys: Given::new(plan, self.is_organization),
            references: References::new(&self.inspector.rules.references),
            without_values: BTreeSet::new(),
            tallies: plan.jobs().map(|_| Tally::default()).collect(),
            progress: Progress { tiers: plan.tiers.len(), ..Progress::default() },
            bytes_read: 0,
            inspected: Sequencer::default(),
        };
        let stop = OnceLock::new();
        self.read(&mut desk, &stop, observer)?;
        let mut unchecked = Vec::new();
        if !desk.without_values.is_empty() {
            let kinds = text::counted(desk.without_values.len() as u64, "kind");
            unchecked.push(format!("not checked: {kinds} of descriptors for which this API has no values"));
        }
        if self.inspector.does(Method::References) && stop.get().is_none() && self.interrupt.asked().is_none() {
            unchecked.append(&mut self.refer(&mut desk, &stop, observer));
        }
        observer.finished();
        Ok(Validated { tallies: desk.tallies, unchecked, stopped: Stopped::by(stop, self.interrupt) })
    }

    /// Reads everything.
    fn read(&self, desk: &mut Desk<'a>, stop: &OnceLock<Stopped>, observer: &mut dyn Observer) -> Result<()> {
        let bytes = self.plan.bytes();
        let goes_on = |_: &_| stop.get().is_none() && self.interrupt.asked().is_none();
        let pieces = self
            .plan
            .tiers
            .iter()
            .flat_map(|tier| tier.pieces(self.pool.room()))
            .map(|(_, piece)| piece)
            .take_while(goes_on);
        let inspect = |(number, piece)| (Some((number, self.inspector.inspect(piece))), Vec::new());
        let send = |never: Infallible, _: &dyn Fn(_)| match never {};
        let learn = |news: Vec<(usize, Inspected<'a>)>| {
            news.into_iter().for_each(|(number, inspected)| desk.inspected.add(number, inspected));
            while let Some(inspected) = desk.inspected.next_in_turn() {
                // What is behind the last one that counts was inspected for nothing.
                if stop.get().is_none() {
                    self.learn(inspected, desk);
                    self.enough(desk, stop);
                }
            }
            let payloads = desk.tallies.iter().map(|tally| tally.counts.payloads()).sum();
            desk.progress.settled = payloads;
            desk.progress.estimate(payloads, desk.bytes_read, bytes);
            observer.progress(&desk.progress);
        };
        pool::run(self.pool, pieces.enumerate(), inspect, send, learn)
            .map_err(|_| Error::bug("a worker came upon a bug in lightbeam; nothing was validated"))
    }

    /// Adds what was seen in a piece, and what is to be told of it in view of those before.
    fn learn(&self, inspected: Inspected<'a>, desk: &mut Desk<'a>) {
        let Inspected { job, file, bytes, counts, unread, found, keys, without_values, mentions, block } = inspected;
        desk.without_values.extend(without_values);
        let tally = &mut desk.tallies[job];
        tally.counts.add(&counts);
        tally.unread.extend(unread);
        let invalid = tally.counts.invalid;
        tally.file(found, &file);
        let mut given_before = Gathered::default();
        for Keyed { line, key, hash } in keys {
            let (severity, message, place) = match desk.keys.claim(job, key, &file, line, hash) {
                Claim::First => continue,
                Claim::Repeated(place) => (Severity::Warning, "the same payload was given before", place),
                Claim::Taken(place) => (Severity::Fault, "the natural key was given before", place),
                Claim::Alike(place) => (Severity::Warning, "the same record on an API that ignores case", place),
                Claim::TakenByOrganization(place) => {
                    let message = "another kind of education organization has this id, and all kinds share their ids";
                    (Severity::Fault, message, place)
                }
            };
            if self.inspector.does(Method::Uniqueness) {
                let method = Method::Uniqueness;
                let finding = Finding { severity, method, path: "$".into(), message: message.into() };
                given_before.add(finding, Met { line, beside: Beside::Earlier(place) });
            }
        }
        tally.file(given_before.found(), &file);
        let text = block.map_or(Vec::new(), |block| block.bytes);
        for mention in mentions {
            desk.references.mentioned(mention, job, &file, &text, &desk.keys);
        }
        desk.bytes_read += bytes;
        desk.progress.failed += desk.tallies[job].counts.invalid - invalid;
        desk.progress.tier = self.plan.tiers.partition_point(|tier| tier.first <= job);
        let tier = &self.plan.tiers[desk.progress.tier - 1];
        desk.progress.resource = tier.jobs[job - tier.first].turn.resource.label().into();
    }

    /// Stops where there are as many invalid payloads as somebody wants to hear of.
    fn enough(&self, desk: &Desk, stop: &OnceLock<Stopped>) {
        let Some(most) = self.inspector.rules.max_failures else { return };
        if desk.progress.failed >= most {
            let why = format!("validate.max_failures ({most}) reached");
            let _ = stop.set(Stopped { exit: Exit::SomeFailed, why });
        }
    }

    /// Settles which references refer to nothing. Returns what could not be told. An API that fails stops the run, of which the rest still counts.
    fn refer(&self, desk: &mut Desk<'a>, stop: &OnceLock<Stopped>, observer: &mut dyn Observer) -> Vec<String> {
        let open = desk.references.not_here(&desk.keys);
        let unchecked = match &self.remote {
            Some(remote) => match remote.look(open, observer) {
                Ok(untold) => untold,
                Err(error) => {
                    let _ = stop.set(Stopped::for_error(&error));
                    return Vec::new();
                }
            },
            None => {
                let untold = desk.references.without_api();
                let text = "were not checked: the load has no file of it, and the API is not asked";
                untold.into_iter().map(|entity| format!("references to {entity} {text}")).collect()
            }
        };
        let most = self.inspector.rules.references.max_failures;
        let mut told = 0;
        for (job, file, finding, met) in desk.references.missing(self.remote.is_some()) {
            desk.tallies[job].add(finding, file, met);
            told += 1;
            if most == Some(told) {
                let why = format!("validate.references.max_failures ({told}) reached");
                let _ = stop.set(Stopped { exit: Exit::SomeFailed, why });
                break;
            }
        }
        unchecked
    }
}
