//! Reads the ids of all records of resources, before any of these is deleted.
//!
//! Pages by offset shift when records come or go; then some are missed. So where fewer ids came than there are records, the resource is read
//! again, and what came in any reading counts.

use serde::Deserialize;

use super::find::is_plain;
use super::{Deletion, Desk, bug};
use crate::api::paging::Page;
use crate::api::reply;
use crate::error::Result;
use crate::outcome::Reason;
use crate::pages::{Got, Pages, Stretch, unusual};
use crate::pool;

/// So often a resource is read whose pages shift.
const READINGS: usize = 3;

/// The ids of one resource's records, each once.
#[derive(Debug, Default)]
pub struct Ids {
    /// In no order.
    pub ids: Vec<Box<str>>,
    /// How many records there were, where the API told.
    pub total: Option<u64>,
    /// Why they could not all be read.
    pub failed: Option<Reason>,
}

#[derive(Deserialize)]
struct Record {
    id: Box<str>,
}

struct News {
    /// Which of the resources.
    at: usize,
    total: Option<u64>,
    ids: Got<Vec<Box<str>>>,
}

/// Reads the ids of some resources, each given with its number. Where the run stops, what is returned is not all.
pub fn read(deletion: &Deletion, resources: &[(usize, &Pages)], desk: &mut Desk) -> Result<Vec<Ids>> {
    let mut all: Vec<Ids> = resources.iter().map(|_| Ids::default()).collect();
    let mut again: Vec<usize> = (0..resources.len()).collect();
    for _ in 0..READINGS {
        if again.is_empty() || deletion.stopped() {
            break;
        }
        reading(deletion, resources, &again, &mut all, desk)?;
        for ids in &mut all {
            ids.ids.sort_unstable();
            ids.ids.dedup();
        }
        again.retain(|&at| all[at].is_short());
    }
    Ok(all)
}

impl Ids {
    /// Whether there are more records than came.
    pub fn is_short(&self) -> bool {
        self.failed.is_none() && self.total.is_some_and(|total| total > self.ids.len() as u64)
    }
}

fn reading(
    deletion: &Deletion,
    resources: &[(usize, &Pages)],
    again: &[usize],
    all: &mut [Ids],
    desk: &mut Desk,
) -> Result<()> {
    let open = |at: usize| match deletion.stopped() {
        true => (None, Vec::new()),
        false => match opened(resources[at].1, deletion.pool.current_num_threads()) {
            Ok(Ok((total, ids, stretches))) => {
                let errands = stretches.into_iter().map(|stretch| (at, stretch)).collect();
                (Some(News { at, total, ids: Ok(ids) }), errands)
            }
            Ok(Err(reason)) => (Some(News { at, total: None, ids: Err(reason) }), Vec::new()),
            Err(error) => {
                deletion.stop_for(&error);
                (None, Vec::new())
            }
        },
    };
    let walk = |(at, stretch): (usize, Stretch), hand_in: &dyn Fn(News)| {
        if deletion.stopped() {
            return;
        }
        match walked(resources[at].1, &stretch) {
            Ok(ids) => hand_in(News { at, total: None, ids }),
            Err(error) => deletion.stop_for(&error),
        }
    };
    pool::run(deletion.pool, again.iter().copied(), open, walk, |news| {
        for News { at, total, ids } in news {
            let known = &mut all[at];
            known.total = total.or(known.total);
            desk.progress.resource = deletion.routes[resources[at].0].resource.label().into();
            match ids {
                Ok(ids) => known.ids.extend(ids),
                Err(reason) => known.failed = Some(reason),
            }
        }
        desk.tell(deletion);
    })
    .map_err(bug)
}

type Opened = (Option<u64>, Vec<Box<str>>, Vec<Stretch>);

/// The first page, and where to walk on.
fn opened(pages: &Pages, workers: usize) -> Result<Got<Opened>> {
    let first = match pages.first()? {
        Ok(first) => first,
        Err(reason) => return Ok(Err(reason)),
    };
    let ids = match ids(&first.body) {
        Ok(ids) => ids,
        Err(reason) => return Ok(Err(reason)),
    };
    let page = page(&first.body, &ids);
    // Where nobody counts, only an empty page is the last one.
    let is_all = first.total.map_or(page.records == 0, |total| total <= page.records);
    let stretches = if is_all { Ok(Vec::new()) } else { pages.stretches(first.total, Some(page), workers)? };
    Ok(stretches.map(|stretches| (first.total, ids, stretches)))
}

fn walked(pages: &Pages, stretch: &Stretch) -> Result<Got<Vec<Box<str>>>> {
    let mut all = Vec::new();
    let walked = pages.walk(stretch, |body| {
        Ok(ids(body).map(|ids| {
            let page = page(body, &ids);
            all.extend(ids);
            page
        }))
    })?;
    Ok(walked.map(|()| all))
}

/// What paging has to know of a page with these ids.
fn page(body: &[u8], ids: &[Box<str>]) -> Page {
    Page::new(body, ids.len() as u64, ids.iter().map(|id| Page::hash(id.as_bytes())))
}

fn ids(page: &[u8]) -> Got<Vec<Box<str>>> {
    let records: Vec<Record> =
        reply::json(page).map_err(|error| unusual(&format!("the API answered what is no list of records: {error}")))?;
    match records.iter().all(|record| is_plain(&record.id)) {
        true => Ok(records.into_iter().map(|record| record.id).collect()),
        false => Err(unusual("the API gave a record whose id makes no URL")),
    }
}
