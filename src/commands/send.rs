//! `lightbeam send`: every payload that is due, tier after tier.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use jiff::Zoned;

use super::prepare::{Prepared, prepare};
use crate::books::Books;
use crate::config::{Config, Level};
use crate::digest::Digest;
use crate::disk;
use crate::door::Door;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::load::{Desk, Load, Route};
use crate::observer::Observer;
use crate::outcome::Tally;
use crate::plan::{Job, Plan};
use crate::pool;
use crate::rejects::{self, Origins, Rejects};
use crate::report::Summary;
use crate::resource::Resource;
use crate::results::Stopped;
use crate::selector::Selector;
use crate::state;
use crate::state::resend::Resend;
use crate::state::target;
use crate::validate::findings::Invalid;

/// Sends what is due of the selected resources. An `Err` tells of a run that could not begin; one that had to stop tells so in its summary.
pub fn run(
    config: &Config,
    selector: &Selector,
    resend: &Resend,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    // The model is large, and sending needs no more of it.
    let prepared = Prepared { model: None, ..prepare(config, selector, observer, interrupt)? };
    prepared_load(config, &prepared, &Invalid::default(), resend, observer, interrupt)
}

/// Sends what is due and not invalid of a load that is prepared.
pub fn prepared_load(
    config: &Config,
    prepared: &Prepared,
    invalid: &Invalid,
    resend: &Resend,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let started = Zoned::now();
    let (api, plan) = (&prepared.api, &prepared.plan);
    api.check_privacy()?;
    let mut warn = |text: String| observer.log(Level::Warning, &text);
    let history = state::open(config.state_dir.as_deref(), api.urls().target(), &mut warn)?;
    let pool = pool::workers(config.connection.pool_size, config.connection.memory)?;
    let mut routes = Vec::new();
    for job in plan.jobs() {
        routes.push(Route { job, url: api.urls().of(&job.turn.resource)?, door: Door::default() });
    }
    let id = format!("{}-{}", started.strftime("%Y%m%dT%H%M%S"), std::process::id());
    let stop = OnceLock::new();
    let natural = &prepared.natural;
    let origins = &Origins::read(plan.jobs().flat_map(|job| &job.files));
    let load = Load {
        api,
        plan,
        routes,
        natural,
        id: id.clone(),
        resend,
        invalid,
        origins,
        client_id: &config.api.client_id,
        pool: &pool,
        interrupt,
        stop: &stop,
        kept: AtomicUsize::new(0),
    };
    let rejects_dir = rejects_dir(config, &api.urls().data, plan, observer);
    let rejects = rejects_dir.clone().map(|folder| Rejects::into(folder, &config.api.client_id));
    let mut desk = Desk { history, books: Books::new(plan), rejects, told_to_stop: false, observer };
    match (load.run(&mut desk), desk.rejects.take()) {
        (Err(error), _) => drop(stop.set(Stopped::for_error(&error))),
        (Ok(()), Some(rejects)) => {
            let names = plan.jobs().map(|job| job.turn.resource.label());
            let resources: Vec<_> = plan.jobs().map(|job| &job.turn.resource).collect();
            let history = &mut desk.history;
            let arrived = |number: usize, payloads: &[Digest]| {
                let table = history.table(resources[number], 0)?;
                Ok(payloads.iter().all(|payload| table.get(payload).is_some_and(|entry| entry.arrived())))
            };
            match rejects.close(names, arrived) {
                Ok(kept) => kept.iter().for_each(|text| desk.observer.log(Level::Warning, text)),
                Err(error) => desk.observer.log(Level::Error, &error.to_string()),
            }
        }
        (Ok(()), None) => {}
    }
    desk.observer.finished();
    api.warnings().iter().for_each(|text| desk.observer.log(Level::Warning, text));
    let resources = desk.books.close();
    let is_changed = |(resource, tally): &&(Resource, Tally)| resource.is_descriptor() && tally.counts.created > 0;
    let changed: Vec<&Resource> = resources.iter().filter(is_changed).map(|(resource, _)| resource).collect();
    if !changed.is_empty() {
        api.forget_descriptor_values(&changed).unwrap_or_else(|error| observer.log(Level::Warning, &error.to_string()));
    }
    let stopped = Stopped::by(stop, interrupt);
    Ok(Summary { id, started, completed: Zoned::now(), resources, rejects_dir, stopped })
}

/// Where refused payloads go: nowhere if there is neither a folder for them nor for state, and if it is the folder that is being sent, lest payloads that get no answer are lost with it.
fn rejects_dir(config: &Config, data_url: &str, plan: &Plan, observer: &mut dyn Observer) -> Option<PathBuf> {
    let below_state = || Some(target::folder(config.state_dir.as_deref()?, data_url).join("rejects"));
    let folder = config.rejects_dir.clone().or_else(below_state)?;
    // A resource that is written with its namespace has its rejects in a folder of their own, which can be sent by itself.
    let is_sent = |job: &Job| {
        let folder = disk::folder_of(&folder.join(job.turn.resource.label())).to_path_buf();
        job.turn.resource.label().contains('/') && rejects::same_folder(&folder, &config.data_dir)
    };
    if rejects::same_folder(&folder, &config.data_dir) || plan.jobs().any(is_sent) {
        observer.log(
            Level::Info,
            &format!("{} is sent from and left as it is; --rejects DIR keeps new rejects", folder.display()),
        );
        return None;
    }
    Some(folder)
}
