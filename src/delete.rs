//! Deletes records, tier after tier, those first that refer to others.
//!
//! What is to be deleted is known by its id before the first DELETE is sent: of payloads after [`search`], of whole resources after
//! [`ids`]. Were it looked up on the way, a student whose association with a school has just been deleted would be invisible to many keys and
//! look gone, and pages by offset would shift under the reader.
//!
//! A 409 says that others refer to the record. Such records are parked and tried again when their tier is done, and after the last tier, as
//! long as that helps.
//!
//! # History
//!
//! A payload whose record is deleted has to be sent again by the next `send`, whatever happens meanwhile. So history forgets *before* a
//! tier's first DELETE: each known payload is due again from then on. When the answers are there, what is gone loses its entry, and
//! what was refused or not tried gets back the entry that it had ([`memory`]). What is left behind by a kill is sent once more, which is an upsert.

pub mod account;
pub mod choice;
pub mod erasure;
pub mod find;
pub mod ids;
pub mod memory;
pub mod search;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Instant;

use self::account::{Account, Fate};
use self::memory::Memory;
use crate::api::Api;
use crate::api::send::Settled;
use crate::api::transport::http::Uri;
use crate::config::Level;
use crate::digest::Digest;
use crate::door::Door;
use crate::edfi::key::StrictKey;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::observer::{Observer, Progress};
use crate::outcome::{Place, Reason};
use crate::pool::{self, Workers};
use crate::resource::Resource;
use crate::results::Stopped;

/// What does not change during a run.
pub struct Deletion<'a> {
    /// Whom to ask.
    pub api: &'a Api,
    /// The resources; their numbers are how the rest speaks of them.
    pub routes: Vec<Route>,
    /// Who asks.
    pub pool: &'a Workers,
    /// Whether somebody wants it to stop.
    pub interrupt: &'a Interrupt,
    /// Set once, when the run cannot go on.
    pub stop: OnceLock<Stopped>,
}

/// A resource.
pub struct Route {
    /// Which.
    pub resource: Resource,
    /// Its URL.
    pub url: Uri,
    /// Whether it is of use to ask more of it.
    pub door: Door,
}

/// A record that is to be deleted.
#[derive(Debug)]
pub struct Doomed {
    /// The number of its resource.
    pub resource: usize,
    /// By what the API knows it.
    pub id: Box<str>,
    /// The payload that asks for it, if one does.
    pub payload: Option<(Place, Digest, StrictKey)>,
}

/// A record that could not be deleted yet, and why.
pub type Parked = (Doomed, Reason);

/// What one thread at a time keeps.
pub struct Desk<'a> {
    /// What became of each resource's records.
    pub accounts: Vec<Account>,
    /// How far the run is.
    pub progress: Progress,
    /// Whether it was said that the run is stopping.
    pub told_to_stop: bool,
    /// Who hears of it.
    pub observer: &'a mut dyn Observer,
}

impl Desk<'_> {
    fn enter(&mut self, resource: usize, fate: &Fate, place: Option<&Place>) {
        self.progress.settled += 1;
        self.progress.failed += u64::from(!matches!(fate, Fate::Deleted | Fate::Gone));
        self.accounts[resource].enter(fate, place);
    }

    fn deleted(&self) -> u64 {
        self.accounts.iter().map(Account::done).sum()
    }

    /// Accounts for what a run that stopped has left.
    pub fn leave(&mut self, deletion: &Deletion) {
        if deletion.stopped() {
            self.accounts.iter_mut().for_each(Account::leave);
        }
    }

    /// Tells whoever watches.
    fn tell(&mut self, deletion: &Deletion) {
        let api = deletion.api;
        api.warnings().iter().chain(&api.waits()).for_each(|text| self.observer.log(Level::Warning, text));
        if deletion.interrupt.asked().is_some() && !std::mem::replace(&mut self.told_to_stop, true) {
            let text = "stopping as soon as the requests under way are answered; ask again to end at once";
            self.observer.log(Level::Warning, text);
        }
        self.observer.progress(&self.progress);
    }
}

enum News {
    Settled(Doomed, Fate),
    Parked(Parked),
}

impl Deletion<'_> {
    /// Deletes what can go of a tier, and returns what others refer to still.
    pub fn tier(&self, doomed: Vec<Doomed>, memory: &mut Memory, desk: &mut Desk) -> Result<Vec<Parked>> {
        let mut payloads: BTreeMap<usize, Vec<(Digest, StrictKey)>> = BTreeMap::new();
        for doomed in &doomed {
            let payload = doomed.payload.as_ref().map(|(_, digest, key)| (*digest, *key));
            payloads.entry(doomed.resource).or_default().extend(payload);
        }
        for (number, payloads) in payloads {
            memory.doubt(number, &self.routes[number].resource, payloads)?;
        }
        // Before the first of them can go.
        memory.settle()?;
        let before = desk.deleted();
        let parked = self.pass(doomed, memory, desk)?;
        let helped = desk.deleted() > before;
        let parked = if helped { self.passes(parked, memory, desk)? } else { parked };
        memory.settle()?;
        Ok(parked)
    }

    /// Tries what is parked for the last time, as often as that helps.
    pub fn finish(&self, parked: Vec<Parked>, memory: &mut Memory, desk: &mut Desk) -> Result<()> {
        for (doomed, reason) in self.passes(parked, memory, desk)? {
            let fate = if self.stopped() { Fate::Unsent(reason) } else { Fate::Refused(reason) };
            self.learn(vec![News::Settled(doomed, fate)], memory, desk, &mut Vec::new())?;
        }
        memory.settle()
    }

    fn passes(&self, mut parked: Vec<Parked>, memory: &mut Memory, desk: &mut Desk) -> Result<Vec<Parked>> {
        while !parked.is_empty() && !self.stopped() {
            let before = desk.deleted();
            // Files have parents before their children, so that the way back is the shorter one.
            let again = parked.into_iter().rev().map(|(doomed, _)| doomed).collect();
            parked = self.pass(again, memory, desk)?;
            if desk.deleted() == before {
                break;
            }
        }
        Ok(parked)
    }

    fn pass(&self, doomed: Vec<Doomed>, memory: &mut Memory, desk: &mut Desk) -> Result<Vec<Parked>> {
        let mut parked = Vec::new();
        let mut written = Ok(());
        let delete = |doomed, hand_in: &dyn Fn(News)| hand_in(self.delete(doomed));
        pool::run(
            self.pool,
            doomed.into_iter(),
            |doomed| (None, vec![doomed]),
            delete,
            |news| {
                let learnt = self.learn(news, memory, desk, &mut parked);
                if let Err(error) = learnt {
                    self.stop_for(&error);
                    written = Err(error);
                }
            },
        )
        .map_err(bug)?;
        written.map(|()| parked)
    }

    fn delete(&self, doomed: Doomed) -> News {
        if self.stopped() {
            return News::Settled(doomed, Fate::Untried);
        }
        let route = &self.routes[doomed.resource];
        if let Some(reason) = route.door.closed() {
            return News::Settled(doomed, Fate::Refused(reason.clone()));
        }
        let Ok(url) = format!("{}/{}", route.url, doomed.id).parse::<Uri>() else {
            let message = format!("the id {} makes no URL", doomed.id);
            return News::Settled(doomed, Fate::Refused(Reason::own(message)));
        };
        let settled = match self.api.delete(&url) {
            Ok(sent) => sent.settled,
            Err(error) => {
                self.stop_for(&error);
                // It may have been sent before the API failed as a whole.
                let reason = Reason::own(error.to_string());
                return News::Settled(doomed, Fate::Unsent(reason));
            }
        };
        let fate = match settled {
            Settled::Refused(refusal) if refusal.status == 404 && !refusal.foreign => Fate::Gone,
            Settled::Refused(refusal) if refusal.status == 409 && !refusal.foreign => {
                return News::Parked((doomed, refusal.reason()));
            }
            settled => {
                route.door.answered(&settled);
                match settled {
                    Settled::Accepted(_) => Fate::Deleted,
                    Settled::Refused(refusal) => Fate::Refused(refusal.reason()),
                    Settled::Failed(refusal) => Fate::Unsent(refusal.reason()),
                    Settled::NoAnswer { status, reason } => Fate::Unsent(Reason::of_answer(status, reason)),
                }
            }
        };
        News::Settled(doomed, fate)
    }

    fn learn(&self, news: Vec<News>, memory: &mut Memory, desk: &mut Desk, parked: &mut Vec<Parked>) -> Result<()> {
        for news in news {
            match news {
                News::Parked(waiting) => parked.push(waiting),
                News::Settled(doomed, fate) => {
                    desk.progress.resource = self.routes[doomed.resource].resource.label().into();
                    desk.enter(doomed.resource, &fate, doomed.payload.as_ref().map(|(place, ..)| place));
                    if let Some((_, digest, key)) = doomed.payload {
                        let resource = &self.routes[doomed.resource].resource;
                        memory.settled(doomed.resource, resource, [(digest, key)], &fate);
                    }
                }
            }
        }
        desk.tell(self);
        memory.flush(Instant::now())
    }

    /// Whether nothing more is to be asked.
    pub fn stopped(&self) -> bool {
        self.stop.get().is_some() || self.interrupt.asked().is_some()
    }

    /// Lets the run end for this error, unless something else has ended it.
    pub fn stop_for(&self, error: &Error) {
        let _ = self.stop.set(Stopped::for_error(error));
    }
}

fn bug(_: pool::Panicked) -> Error {
    Error::bug("a worker came upon a bug in lightbeam; what was deleted until then is known")
}
