//! `lightbeam count`: how many records the API has of each selected resource.

use std::convert::Infallible;
use std::sync::OnceLock;

use jiff::Zoned;
use serde_json::{Map, Value, json};

use super::prepare::choose;
use crate::api::Api;
use crate::api::openapi::Collection;
use crate::config::{Config, Level};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::observer::Observer;
use crate::outcome::Reason;
use crate::pages::{Got, NO_TOTAL, Pages};
use crate::pool::{self, Workers};
use crate::resource::Resource;
use crate::results::{Stopped, results};
use crate::selector::Selector;

/// How many records there are.
#[derive(Clone, Debug)]
pub struct Census {
    /// When counting began.
    pub started: Zoned,
    /// When it ended.
    pub completed: Zoned,
    /// Each resource in the order of dependencies, with its count if the API reports one, or why there is none; `None`: the run stopped before its
    /// turn.
    pub resources: Vec<(Resource, Option<Got<Option<u64>>>)>,
    /// Why it ended early, if it did.
    pub stopped: Option<Stopped>,
}

/// Counts the records of the selected resources, as many at a time as `connection.pool_size`.
pub fn run(config: &Config, selector: &Selector, observer: &mut dyn Observer, interrupt: &Interrupt) -> Result<Census> {
    let started = Zoned::now();
    let chosen = choose(config, selector, observer, interrupt)?;
    let api = &chosen.api;
    let pool = pool::workers(config.connection.pool_size, config.connection.memory)?;
    let pages = |(resource, _): &(Resource, Option<Collection>)| {
        let url = api.urls().of(resource)?;
        Ok(Pages { api, url, filters: Vec::new(), size: 0, partitions: false })
    };
    let pages = chosen.resources.iter().map(pages).collect::<Result<Vec<_>>>()?;
    let stop = OnceLock::new();
    let counts = totals(api, &pages, &pool, &stop, observer, interrupt)?;
    let stopped = Stopped::by(stop, interrupt);
    let names = chosen.resources.iter().map(|(resource, _)| resource.clone());
    Ok(Census { started, completed: Zoned::now(), resources: names.zip(counts).collect(), stopped })
}

/// How many records there are of each resource if the API reports it, or why that is not known; `None`: the run stopped before its turn.
pub fn totals(
    api: &Api,
    pages: &[Pages],
    pool: &Workers,
    stop: &OnceLock<Stopped>,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Vec<Option<Got<Option<u64>>>>> {
    let mut counts: Vec<Option<Got<Option<u64>>>> = vec![None; pages.len()];
    let count = |number: usize| {
        if stop.get().is_some() || interrupt.asked().is_some() {
            return (None, Vec::<Infallible>::new());
        }
        let counted = pages[number].total().map_err(|error| stop.set(Stopped::for_error(&error)));
        (counted.ok().map(|counted| (number, counted)), Vec::new())
    };
    let never = |nothing: Infallible, _: &dyn Fn((usize, Got<Option<u64>>))| match nothing {};
    pool::run(pool, 0..pages.len(), count, never, |news| {
        news.into_iter().for_each(|(number, counted)| counts[number] = Some(counted));
        api.warnings().iter().chain(&api.waits()).for_each(|text| observer.log(Level::Warning, text));
    })
    .map_err(|_| Error::bug("a worker came upon a bug in lightbeam"))?;
    Ok(counts)
}

impl Census {
    /// Of a count that could not begin.
    pub fn of_nothing(started: Zoned, stopped: Stopped) -> Census {
        Census { started, completed: Zoned::now(), resources: Vec::new(), stopped: Some(stopped) }
    }

    /// How the program is to end. `partial_ok`: a part that failed is no failure of the run.
    pub fn exit(&self, partial_ok: bool) -> Exit {
        let failed = self.resources.iter().filter(|(_, count)| matches!(count, Some(Ok(None) | Err(_)))).count();
        match &self.stopped {
            Some(stopped) => stopped.exit,
            None if failed > 0 && failed == self.resources.len() => Exit::AllFailed,
            None if failed > 0 && !partial_ok => Exit::SomeFailed,
            None => Exit::Ok,
        }
    }

    /// The Python lightbeam's table. A resource that could not be counted has its status in place of the number. `empty` tells whether resources
    /// without records have a row too.
    pub fn to_table(&self, separator: &str, empty: bool) -> String {
        let mut table = format!("Records{separator}Endpoint\n");
        for (resource, count) in &self.resources {
            let cell = match count {
                Some(Ok(Some(0))) if !empty => continue,
                Some(Ok(Some(count))) => count.to_string(),
                Some(Ok(None)) => NO_TOTAL.into(),
                Some(Err(Reason { status: Some(status), .. })) => format!("HTTP {status}"),
                Some(Err(_)) => "no answer".into(),
                None => "not asked".into(),
            };
            table.push_str(&format!("{cell}{separator}{}\n", resource.label()));
        }
        table
    }

    /// The same for machines.
    pub fn to_json(&self, config: &Config, exit: Exit) -> Value {
        let records = |count: &Option<Got<Option<u64>>>| count.as_ref()?.as_ref().ok().copied()?;
        let resource = |(resource, count): &(Resource, Option<Got<Option<u64>>>)| {
            let reason = count.as_ref().and_then(|count| count.as_ref().err());
            let untold = matches!(count, Some(Ok(None))).then_some(NO_TOTAL);
            let told = json!({
                "namespace": resource.namespace(),
                "records": records(count),
                "status_code": reason.and_then(|reason| reason.status),
                "message": reason.map(|reason| reason.message.as_str()).or(untold),
            });
            (resource.label().to_string(), told)
        };
        let total: u64 = self.resources.iter().filter_map(|(_, count)| records(count)).fold(0, u64::saturating_add);
        let own = Map::from_iter([("total_records".to_string(), json!(total))]);
        let resources = self.resources.iter().map(resource).collect();
        results(config, "count", (&self.started, &self.completed), resources, own, (exit, self.stopped.as_ref()))
    }
}
