//! `lightbeam truncate`: all records of the selected resources, those first that refer to others.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Zoned;

use super::count::totals;
use super::prepare::{Chosen, choose_to_delete};
use crate::api::openapi::Collection;
use crate::api::{paging, transport, urls};
use crate::cli::{DeleteArgs, Run};
use crate::config::codes::Compat;
use crate::config::{Config, Level};
use crate::confirm::{Consent, wanted};
use crate::delete::account::{Account, Fate};
use crate::delete::erasure::{Deed, Erasure};
use crate::delete::memory::Memory;
use crate::delete::{Deletion, Desk, Doomed, Route, ids};
use crate::digest::Digest;
use crate::door::Door;
use crate::edfi::key::StrictKey;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::observer::{Observer, Progress, Work};
use crate::outcome::Reason;
use crate::pages::{NO_TOTAL, Pages, unusual};
use crate::plan::Turn;
use crate::pool;
use crate::selector::Selector;
use crate::state;
use crate::state::table::{Entry, Table};
use crate::text;

/// Deletes all records of the selected resources. An `Err` tells of a run that could not begin or was not confirmed.
pub fn run(
    config: &Config,
    run: &Run,
    args: &DeleteArgs,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Erasure> {
    let started = Zoned::now();
    let Chosen { api, resources, turns, .. } = choose_to_delete(config, &run.selection, observer, interrupt)?;
    let target = api.urls().data.clone();
    let consent = match args.deed {
        Deed::Delete => {
            let is_loopback = transport::is_loopback(&urls::parse("the API's data URL", &target)?);
            let selected = run.selection.names_something();
            let by_configuration = config.compat_in_file == Compat::Python && run.selector_is_typed;
            Consent::to_truncate(args.yes, config.force_delete, selected, by_configuration, is_loopback)?
        }
        Deed::DryRun => Consent::Given,
    };
    let mut warn = |text: String| observer.log(Level::Warning, &text);
    let history = match args.deed {
        Deed::Delete => Some(state::open(config.state_dir.as_deref(), api.urls().target(), &mut warn)?),
        Deed::DryRun => None,
    };
    let pool = pool::workers(config.connection.pool_size, config.connection.memory)?;
    let (mut routes, mut pages) = (Vec::new(), Vec::new());
    for (resource, collection) in &resources {
        let url = api.urls().of(resource)?;
        routes.push(Route { resource: resource.clone(), url: url.clone(), door: Door::default() });
        let (size, partitions) = pages_of(collection.as_ref());
        pages.push(Pages { api: &api, url, filters: Vec::new(), size, partitions });
    }
    let deletion = Deletion { api: &api, routes, pool: &pool, interrupt, stop: OnceLock::new() };
    let counts = totals(&api, &pages, &pool, &deletion.stop, observer, interrupt)?;
    let account = |count| match count {
        Some(Ok(Some(there))) => Account { there, ..Account::default() },
        // Whoever says yes to it is to know to how much.
        Some(Ok(None)) => Account { unread: Some(unusual(NO_TOTAL)), ..Account::default() },
        Some(Err(reason)) => Account { unread: Some(reason), ..Account::default() },
        None => Account::default(),
    };
    let accounts: Vec<Account> = counts.into_iter().map(account).collect();
    let total = accounts.iter().map(|account| account.there).fold(0, u64::saturating_add);
    let progress = Progress { work: Work::Delete, total, ..Progress::default() };
    let mut desk = Desk { accounts, progress, told_to_stop: false, observer };
    if let (Some(history), false) = (history, deletion.stopped()) {
        if total > 0 {
            let question = Erasure::of("truncate", args.deed, &started, &deletion, &desk).question();
            consent.obtain(&question, &wanted(total, run.selection != Selector::default()), interrupt)?;
        }
        if let Err(error) = truncate(&deletion, &turns, &pages, Memory::of(history, Vec::new()), &mut desk) {
            deletion.stop_for(&error);
        }
        desk.observer.finished();
    }
    if args.deed == Deed::Delete {
        desk.leave(&deletion);
    }
    Ok(Erasure::of("truncate", args.deed, &started, &deletion, &desk))
}

/// How many records a page has, the most that the API's documents allow, and whether there are partitions.
fn pages_of(collection: Option<&Collection>) -> (u64, bool) {
    let largest = collection.and_then(|collection| collection.largest_page);
    (largest.unwrap_or(paging::LARGEST).max(1), collection.is_some_and(|collection| collection.partitions))
}

/// Deletes tier after tier, the last one first.
fn truncate(deletion: &Deletion, turns: &[Turn], pages: &[Pages], mut memory: Memory, desk: &mut Desk) -> Result<()> {
    let mut tiers: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (number, turn) in turns.iter().enumerate().filter(|(number, _)| desk.accounts[*number].there > 0) {
        tiers.entry(turn.create).or_default().push(number);
    }
    desk.progress.tiers = tiers.len();
    // The associations that let the key see these may be gone before their turn comes.
    let persons = (0..turns.len()).filter(|number| turns[*number].update.is_some() && desk.accounts[*number].there > 0);
    let mut persons = doomed(deletion, &persons.collect::<Vec<_>>(), pages, desk)?;
    let mut parked = Vec::new();
    for (at, tier) in tiers.values().rev().enumerate() {
        desk.progress.tier = at + 1;
        let (known, others): (Vec<usize>, Vec<usize>) =
            tier.iter().partition(|number| turns[**number].update.is_some());
        let mut all = doomed(deletion, &others, pages, desk)?;
        let (now, later) = persons.into_iter().partition(|doomed| known.contains(&doomed.resource));
        persons = later;
        all.extend::<Vec<Doomed>>(now);
        for &number in tier.iter().filter(|_| !deletion.stopped()) {
            let table = memory.before(number, &turns[number].resource)?;
            memory.doubt(number, &turns[number].resource, digests(&table))?;
        }
        parked.extend(deletion.tier(all, &mut memory, desk)?);
    }
    deletion.finish(parked, &mut memory, desk)?;
    remember(deletion, &mut memory, desk)
}

/// The records of resources, unless these cannot be read.
fn doomed(deletion: &Deletion, numbers: &[usize], pages: &[Pages], desk: &mut Desk) -> Result<Vec<Doomed>> {
    let wanted: Vec<_> = numbers.iter().map(|&number| (number, &pages[number])).collect();
    let mut all = Vec::new();
    for (&resource, read) in numbers.iter().zip(ids::read(deletion, &wanted, desk)?) {
        if read.is_short() && !deletion.stopped() {
            let [came, total] = [read.ids.len() as u64, read.total.unwrap_or_default()].map(text::count);
            let name = deletion.routes[resource].resource.label();
            let text =
                format!("{name} changed while it was read: {came} of {total} records are deleted; truncate it again");
            desk.observer.log(Level::Warning, &text);
        }
        match read.failed {
            // What there is of it stays, and is not of this run.
            Some(reason) => desk.accounts[resource] = Account { unread: Some(reason), ..Account::default() },
            // What is not whole because the run stopped is not touched.
            None if deletion.stopped() => {}
            None => {
                desk.accounts[resource].there = read.ids.len() as u64;
                all.extend(read.ids.into_iter().map(|id| Doomed { resource, id, payload: None }));
            }
        }
    }
    Ok(all)
}

/// History does not know which payload made which record. So all of a resource is forgotten as soon as one record went, or if there is none: what
/// is sent once more is an upsert, and what is skipped would be missing. A resource of which nothing went keeps its history.
fn remember(deletion: &Deletion, memory: &mut Memory, desk: &Desk) -> Result<()> {
    for (number, (route, account)) in deletion.routes.iter().zip(&desk.accounts).enumerate() {
        let fate = match account {
            Account { unread: None, there: 0, .. } => Fate::Gone,
            account if account.done() > 0 => Fate::Gone,
            Account { unsent: 0, .. } => Fate::Untried,
            _ => Fate::Unsent(Reason::own("no answer")),
        };
        let table = memory.before(number, &route.resource)?;
        memory.settled(number, &route.resource, digests(&table), &fate);
    }
    memory.settle()
}

fn digests(table: &Table) -> impl Iterator<Item = (Digest, StrictKey)> {
    table.rows().iter().map(|(digest, _)| (*digest, Entry::NO_KEY))
}
