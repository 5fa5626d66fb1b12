//! `lightbeam send`: every payload that is due, tier after tier.

use std::sync::OnceLock;

use jiff::Zoned;

use super::prepare::prepare;
use crate::books::Books;
use crate::config::{Config, Level};
use crate::disk::System;
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::load::{Desk, Load};
use crate::observer::Observer;
use crate::report::{Stopped, Summary};
use crate::selector::Selector;
use crate::state::History;
use crate::state::resend::Resend;

/// Sends what is due of the selected resources. An `Err` tells of a run that could not begin; one that had to stop tells so in its summary.
pub fn run(
    config: &Config,
    selector: &Selector,
    resend: &Resend,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Summary> {
    let started = Zoned::now();
    let prepared = prepare(config, selector, observer, interrupt)?;
    let (api, plan) = (&prepared.api, &prepared.plan);
    let mut warn = |text: String| observer.log(Level::Warning, &text);
    let history = History::open(Box::new(System), &config.state_dir, &api.urls().data, &mut warn)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.connection.pool_size)
        .build()
        .or_stop(Exit::GivenUp, || format!("cannot start {} workers", config.connection.pool_size))?;
    let jobs = plan.jobs().map(|job| Ok((job, api.urls().of(&job.turn.resource)?))).collect::<Result<Vec<_>>>()?;
    let stop = OnceLock::new();
    let load = Load { api, plan, jobs, resend, pool: &pool, interrupt, stop: &stop };
    let mut desk = Desk { history, books: Books::new(plan), observer };
    if let Err(error) = load.run(&mut desk) {
        let _ = stop.set(Stopped { exit: error.exit(), why: error.to_string() });
    }
    desk.observer.finished();
    if let Some(exit) = interrupt.asked() {
        let why = if exit == Exit::Terminated { "terminated (SIGTERM)" } else { "interrupted (ctrl-c)" };
        let _ = stop.set(Stopped { exit, why: why.into() });
    }
    let resources = desk.books.close();
    Ok(Summary { started, completed: Zoned::now(), resources, stopped: stop.into_inner() })
}
