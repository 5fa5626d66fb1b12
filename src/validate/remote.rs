//! Asks the API for what payloads refer to and no local file has: by reading all keys of a resource, page after page, where that takes
//! fewer requests than asking for each single one.

use fxhash::FxHashSet;
use rayon::prelude::*;
use serde_json::Value;

use super::references::{Fate, Open};
use crate::api::paging::{LARGEST, Page};
use crate::api::transport::http::Uri;
use crate::api::{Api, reply, urls};
use crate::check::{Checker, Checkers, Notes};
use crate::config::Level;
use crate::edfi::key::StrictKey;
use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::observer::Observer;
use crate::outcome::Reason;
use crate::pages::{Got, Pages, unusual};
use crate::resource::Resource;
use crate::text;

/// Fewer are asked for one by one without counting first.
const FEW: usize = 3;
/// So many are asked for before it is looked at whether to go on.
const BATCH: usize = 512;

/// Whom to ask, and how.
pub struct Remote<'a> {
    /// The API.
    pub api: &'a Api,
    /// As many workers as there may be requests at the same time.
    pub pool: &'a rayon::ThreadPool,
    /// The checkers of whatever is referred to, which tell the keys of records.
    pub checkers: &'a Checkers,
    /// Whether somebody wants it to stop.
    pub interrupt: &'a Interrupt,
    /// So many mentions of what is missing suffice.
    pub enough: Option<u64>,
}

/// How a resource is asked for.
struct Target<'t> {
    checker: &'t Checker,
    pages: Pages<'t>,
}

impl Remote<'_> {
    /// Looks for all that is open. What the API does not tell of is returned in sentences.
    pub fn look(&self, open: &mut [Open], observer: &mut dyn Observer) -> Result<Vec<String>> {
        let mut targets: Vec<Resource> = Vec::new();
        let mut known = FxHashSet::default();
        for target in open.iter().flat_map(|open| &open.to.targets) {
            if known.insert(target) {
                targets.push(target.clone());
            }
        }
        let mut untold = FxHashSet::default();
        let mut told = Vec::new();
        for target in &targets {
            let is_wanted = |open: &Open| open.fate == Fate::Missing && open.to.targets.contains(target);
            let wanted: Vec<usize> = (0..open.len()).filter(|&number| is_wanted(&open[number])).collect();
            if self.interrupt.asked().is_some() {
                untold.extend(wanted);
                continue;
            }
            if wanted.is_empty() {
                continue;
            }
            observer.log(Level::Debug, &format!("asking the API for {} of {}", wanted.len(), target.label()));
            let answer = self.of(target, &wanted, open)?;
            self.api.warnings().iter().chain(&self.api.waits()).for_each(|text| observer.log(Level::Warning, text));
            if let Err(reason) = answer {
                let status = reason.status.map_or(String::new(), |status| format!("{status}, "));
                let why = format!("{status}{}", reason.message);
                told.push(format!("references to {} were not looked up in the API: {why}", target.label()));
                untold.extend(wanted);
            }
        }
        for number in untold {
            if open[number].fate == Fate::Missing {
                open[number].fate = Fate::Untold;
            }
        }
        Ok(told)
    }

    /// Looks for those of one resource.
    fn of(&self, resource: &Resource, wanted: &[usize], open: &mut [Open]) -> Result<Got<()>> {
        let Some(checker) = self.checkers.get(resource).filter(|checker| checker.has_key()) else {
            return Ok(Err(unusual("its documents do not tell its natural key")));
        };
        let url = self.api.urls().of(resource)?;
        let pages = Pages { api: self.api, url, filters: Vec::new(), size: LARGEST, partitions: false };
        let target = Target { checker, pages };
        let mut wanted = wanted.to_vec();
        if wanted.len() >= FEW {
            let total = match target.pages.total()? {
                Ok(Some(0)) => return Ok(Ok(())),
                // One that does not count can be asked all the same.
                Ok(total) => total,
                Err(reason @ Reason { status: Some(_), .. }) => return Ok(Err(reason)),
                Err(_) => None,
            };
            let pages = total.map(|total| total.div_ceil(LARGEST)).filter(|&pages| pages < wanted.len() as u64);
            if let (Some(total), Some(pages)) = (total, pages) {
                let keys: FxHashSet<StrictKey> = wanted.iter().map(|&number| open[number].key).collect();
                let found = match self.walk(&target, total, &keys)? {
                    Ok(found) => found,
                    Err(reason) => return Ok(Err(reason)),
                };
                wanted.retain(|&number| {
                    let is_found = found.contains(&open[number].key);
                    if is_found {
                        open[number].fate = Fate::Found;
                    }
                    !is_found
                });
                // The API may see a key where the texts differ, as in casing. Asking for the rest takes as long as the pages did at most.
                if wanted.len() as u64 > pages {
                    return Ok(Ok(()));
                }
            }
        }
        self.one_by_one(&target, &wanted, open)
    }

    /// Those of the keys that records of a resource have.
    fn walk(&self, target: &Target, total: u64, keys: &FxHashSet<StrictKey>) -> Result<Got<FxHashSet<StrictKey>>> {
        let stretches = match target.pages.stretches(Some(total), None, self.pool.current_num_threads())? {
            Ok(stretches) => stretches,
            Err(reason) => return Ok(Err(reason)),
        };
        let walk = |stretch| {
            let (mut found, mut read) = (FxHashSet::default(), 0);
            let mut notes = Notes::without_unknown();
            let walked = target.pages.walk(stretch, |body| {
                let records: Vec<Value> = match reply::json(body) {
                    Ok(records) => records,
                    Err(error) => return Ok(Err(unusual(&format!("no list of records: {error}")))),
                };
                for record in &records {
                    target.checker.check(record.to_string().as_bytes(), &mut notes);
                    found.extend(notes.key.map(|key| key.strict).filter(|key| keys.contains(key)));
                }
                let ids = records.iter().filter_map(|record| record["id"].as_str());
                let page = Page::new(body, records.len() as u64, ids.map(|id| Page::hash(id.as_bytes())));
                read += page.records;
                Ok(Ok(page))
            });
            Ok(walked?.map(|()| (found, read)))
        };
        let walked: Vec<Got<_>> = self.pool.install(|| stretches.par_iter().map(walk).collect::<Result<_>>())?;
        let (mut all, mut read) = (FxHashSet::default(), 0);
        for walked in walked {
            let (found, count) = match walked {
                Ok(walked) => walked,
                Err(reason) => return Ok(Err(reason)),
            };
            all.extend(found);
            read += count;
        }
        // What was not read may be what is looked for.
        let short = || unusual(&format!("the API gave {} of {} records", text::count(read), text::count(total)));
        Ok(if read < total { Err(short()) } else { Ok(all) })
    }

    fn one_by_one(&self, target: &Target, wanted: &[usize], open: &mut [Open]) -> Result<Got<()>> {
        let mut missing = 0;
        for batch in wanted.chunks(BATCH) {
            if self.enough.is_some_and(|enough| missing >= enough) || self.interrupt.asked().is_some() {
                batch.iter().for_each(|&number| open[number].fate = Fate::Untold);
                continue;
            }
            let asked = &*open;
            let ask = |&number: &usize| self.has(target, &asked[number].values);
            let answers: Vec<Got<bool>> = self.pool.install(|| batch.par_iter().map(ask).collect::<Result<_>>())?;
            for (&number, answer) in batch.iter().zip(answers) {
                match answer {
                    Ok(true) => open[number].fate = Fate::Found,
                    // What may be of several resources may be found among the next one's.
                    Ok(false) if open[number].to.targets.len() > 1 => {}
                    Ok(false) => missing += open[number].mentions(),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
        }
        Ok(Ok(()))
    }

    /// Whether a record has these values of its natural key.
    fn has(&self, target: &Target, values: &[String]) -> Result<Got<bool>> {
        let key = target.checker.key_names().zip(values.iter().map(String::as_str));
        let url: Uri = urls::with_query(&target.pages.url, key.chain([("limit", "1")]))?;
        let answer = self.api.get(&url)?.settled.answer();
        let read = |body: &[u8]| {
            let records = reply::json::<Vec<Value>>(body).map_err(|e| unusual(&format!("no list of records: {e}")));
            records.map(|records| !records.is_empty())
        };
        Ok(answer.and_then(|reply| read(&reply.body)))
    }
}
