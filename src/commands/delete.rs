//! `lightbeam delete`: the records of the payloads in `data_dir`, those first that refer to others.

use std::sync::{Arc, OnceLock};

use jiff::Zoned;

use super::prepare::{Prepared, prepare_to_delete};
use crate::cli::{DeleteArgs, Run};
use crate::config::{Config, Level};
use crate::confirm::Consent;
use crate::delete::account::{Account, Fate};
use crate::delete::choice::Choice;
use crate::delete::erasure::{Deed, Erasure};
use crate::delete::find::Finder;
use crate::delete::memory::Memory;
use crate::delete::search::{Findings, search};
use crate::delete::{Deletion, Desk, Route};
use crate::disk::System;
use crate::door::Door;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::model::Natural;
use crate::observer::{Observer, Progress, Work};
use crate::plan::Job;
use crate::pool;
use crate::state;
use crate::state::resend::Resend;

/// Deletes the records of the selected resources' payloads; where there are rules, they select among those that were
/// sent before. An `Err` tells of a run that could not begin or was not confirmed.
pub fn run(
    config: &Config,
    run: &Run,
    rules: Option<&Resend>,
    args: &DeleteArgs,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Erasure> {
    let started = Zoned::now();
    let consent = match args.deed {
        Deed::Delete => Consent::to_delete(args.yes, config.force_delete)?,
        Deed::DryRun => Consent::Given,
    };
    let prepared = prepare_to_delete(config, &run.selection, observer, interrupt)?;
    let (api, plan) = (&prepared.api, &prepared.plan);
    api.check_privacy()?;
    let mut warn = |text: String| observer.log(Level::Warning, &text);
    let history = match args.deed {
        Deed::Delete => Some(state::open(config.state_dir.as_deref(), api.urls().target(), &mut warn)?),
        Deed::DryRun => None,
    };
    let choice = choice(rules, config, &prepared)?;
    let finder = |job: &Job| {
        let definition = prepared.model.as_ref().and_then(|model| model.get(&job.turn.resource));
        let definition = definition.ok_or("the API's OpenAPI documents do not describe the resource")?;
        Finder::of(definition).map_err(str::to_owned)
    };
    let finders: Vec<Result<Finder, String>> = plan.jobs().map(finder).collect();
    let mut routes = Vec::new();
    for job in plan.jobs() {
        let resource = job.turn.resource.clone();
        routes.push(Route { url: api.urls().of(&resource)?, resource, door: Door::default() });
    }
    let pool = pool::workers(config.connection.pool_size, config.connection.memory)?;
    let deletion = Deletion { api, routes, pool: &pool, interrupt, stop: OnceLock::new() };
    let progress = Progress { work: Work::Search, tiers: plan.tiers.len(), ..Progress::default() };
    let accounts = vec![Account::default(); deletion.routes.len()];
    let mut desk = Desk { accounts, progress, told_to_stop: false, observer };
    let findings = search(&deletion, plan, &choice, &finders, &prepared.natural, &mut desk)?;
    desk.observer.finished();
    if let (Some(history), false) = (history, deletion.stopped()) {
        let there: u64 = desk.accounts.iter().map(|account| account.there).sum();
        if there > 0 {
            consent.obtain(
                &Erasure::of("delete", args.deed, &started, &deletion, &desk).question(),
                "yes",
                interrupt,
            )?;
        }
        let definition = |natural: &Option<Natural>| natural.as_ref().map_or(0, Natural::fingerprint);
        let memory = Memory::of(history, prepared.natural.iter().map(definition).collect());
        if let Err(error) = delete(&deletion, findings, memory, &mut desk) {
            deletion.stop_for(&error);
        }
        desk.observer.finished();
    }
    if args.deed == Deed::Delete {
        desk.leave(&deletion);
    }
    Ok(Erasure::of("delete", args.deed, &started, &deletion, &desk))
}

/// Which payloads take part.
fn choice(rules: Option<&Resend>, config: &Config, prepared: &Prepared) -> Result<Choice> {
    let target = prepared.api.urls().target();
    let Some(rules) = rules else { return Ok(Choice::All) };
    let mut known = Vec::new();
    for (job, natural) in prepared.plan.jobs().zip(&prepared.natural) {
        let definition = natural.as_ref().map_or(0, Natural::fingerprint);
        let table = state::peek(&System, config.state_dir.as_deref(), target, &job.turn.resource, definition)?;
        known.push(Arc::new(table));
    }
    Ok(Choice::Asked { rules: rules.clone(), known })
}

/// Deletes what was found, the last tier first.
fn delete(deletion: &Deletion, findings: Findings, mut memory: Memory, desk: &mut Desk) -> Result<()> {
    for (number, digests) in findings.gone {
        let resource = &deletion.routes[number].resource;
        memory.before(number, resource)?;
        memory.settled(number, resource, digests, &Fate::Gone);
    }
    let total = findings.doomed.iter().map(|tier| tier.len() as u64).sum();
    let tiers = findings.doomed.len();
    desk.progress = Progress { work: Work::Delete, tiers, total, ..Progress::default() };
    let mut parked = Vec::new();
    for (number, doomed) in findings.doomed.into_iter().rev().enumerate() {
        desk.progress.tier = number + 1;
        parked.extend(deletion.tier(doomed, &mut memory, desk)?);
    }
    deletion.finish(parked, &mut memory, desk)
}
