//! Looks up the records of all payloads, before any is deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::account::Fate;
use super::choice::Choice;
use super::find::Finder;
use super::{Deletion, Desk, Doomed, bug};
use crate::api::send::Settled;
use crate::api::urls;
use crate::digest::Digest;
use crate::edfi::key::StrictKey;
use crate::error::Result;
use crate::model::Natural;
use crate::outcome::{Outcome, Reason, Unread, Verdict};
use crate::payload::Payload;
use crate::plan::Plan;
use crate::pool;
use crate::sift::{Knowledge, Known, Sifted, read, sift};
use crate::state::resend::Resend;
use crate::state::table::Entry;

/// What was found.
#[derive(Default)]
pub struct Findings {
    /// Tier by tier of the plan, what is there.
    pub doomed: Vec<Vec<Doomed>>,
    /// By the number of the resource, the payloads whose records are gone already.
    pub gone: BTreeMap<usize, Vec<(Digest, StrictKey)>>,
}

enum News {
    Sifted(Sifted),
    There(Doomed),
    Ended(Outcome, StrictKey, Fate),
}

/// Looks up each payload of the plan that `choice` wants, once. `finders` are those of its jobs; a payload of a job of which the natural key is not known is refused.
pub fn search(
    deletion: &Deletion,
    plan: &Plan,
    choice: &Choice,
    finders: &[Result<Finder, String>],
    naturals: &[Option<Natural>],
    desk: &mut Desk,
) -> Result<Findings> {
    let mut findings = Findings::default();
    for (number, tier) in plan.tiers.iter().enumerate() {
        desk.progress.tier = number + 1;
        // Whatever history knows: a payload is to be deleted if its record is there.
        let known = tier.jobs.iter().map(|_| Known::new(Arc::default(), None)).collect();
        let knowledge = Knowledge::new(tier.first, known);
        let look = |(number, piece)| {
            let (mut sifted, due) = sift(number, piece, &knowledge, &Resend::default());
            let (wanted, others): (Vec<_>, Vec<_>) = due
                .into_iter()
                .flatten()
                .partition(|payload: &Payload| choice.wants(payload.resource, &payload.digest));
            sifted.counts.skipped += others.len() as u64;
            (Some(News::Sifted(sifted)), wanted.into_iter())
        };
        let find = |payload: Payload, hand_in: &dyn Fn(News)| hand_in(look_up(deletion, finders, naturals, &payload));
        let mut there = Vec::new();
        pool::run(deletion.pool, tier.pieces(deletion.pool.room()), look, find, |news| {
            for news in news {
                match news {
                    News::Sifted(sifted) => {
                        let resource = &deletion.routes[sifted.resource].resource;
                        desk.progress.resource = resource.label().into();
                        desk.progress.total +=
                            sifted.counts.payloads() - sifted.counts.duplicates - sifted.counts.skipped;
                        desk.accounts[sifted.resource].lines.add(&sifted.counts);
                        if let Some(Unread { place, message }) = sifted.unread {
                            desk.enter(sifted.resource, &Fate::Unsent(Reason::own(message)), Some(&place));
                        }
                        sifted.flaws.into_iter().for_each(|flaw| enter_flaw(flaw, desk));
                    }
                    News::There(doomed) => {
                        desk.progress.settled += 1;
                        desk.accounts[doomed.resource].there += 1;
                        there.push(doomed);
                    }
                    News::Ended(outcome, key, fate) => {
                        desk.enter(outcome.resource, &fate, Some(&outcome.place));
                        if fate == Fate::Gone {
                            let digest = outcome.digest.map(|digest| (digest, key));
                            findings.gone.entry(outcome.resource).or_default().extend(digest);
                        }
                    }
                }
            }
            desk.tell(deletion);
        })
        .map_err(bug)?;
        findings.doomed.push(there);
    }
    Ok(findings)
}

fn enter_flaw(flaw: Outcome, desk: &mut Desk) {
    if let Verdict::Refused(reason) = flaw.verdict {
        desk.enter(flaw.resource, &Fate::Refused(reason), Some(&flaw.place));
    }
}

fn look_up(
    deletion: &Deletion,
    finders: &[Result<Finder, String>],
    naturals: &[Option<Natural>],
    payload: &Payload,
) -> News {
    let outcome = payload.outcome(Verdict::Untried);
    match found(deletion, finders, payload) {
        Ok(Some(id)) => {
            let Outcome { resource, place, .. } = outcome;
            let key = record(naturals, payload);
            News::There(Doomed { resource, id, payload: Some((place, payload.digest, key)) })
        }
        Ok(None) => News::Ended(outcome, record(naturals, payload), Fate::Gone),
        Err(fate) => News::Ended(outcome, Entry::NO_KEY, fate),
    }
}

/// By what history knows a payload's record.
fn record(naturals: &[Option<Natural>], payload: &Payload) -> StrictKey {
    let keys = read(payload.bytes(), naturals[payload.resource].as_ref()).ok().flatten();
    keys.map_or(Entry::NO_KEY, |keys| keys.strict)
}

/// The id of a payload's record, `None` if the API has none.
fn found(deletion: &Deletion, finders: &[Result<Finder, String>], payload: &Payload) -> Result<Option<Box<str>>, Fate> {
    if deletion.stopped() {
        return Err(Fate::Untried);
    }
    let own = |message: String| Fate::Refused(Reason::own(message));
    let route = &deletion.routes[payload.resource];
    let finder = finders[payload.resource].as_ref().map_err(|why| own(format!("not deleted: {why}")))?;
    let value: Value = serde_json::from_slice(payload.bytes()).map_err(|error| own(format!("not JSON: {error}")))?;
    let key = finder.key(&value).map_err(own)?;
    if let Some(reason) = route.door.closed() {
        return Err(Fate::Refused(reason.clone()));
    }
    // Two are enough to know that there is not just one.
    let query = key.iter().map(|(name, value)| (&**name, value.as_str())).chain([("limit", "2"), ("offset", "0")]);
    let asked = urls::with_query(&route.url, query).and_then(|url| deletion.api.get(&url));
    let settled = match asked {
        Ok(sent) => sent.settled,
        Err(error) => {
            deletion.stop_for(&error);
            return Err(Fate::Untried);
        }
    };
    route.door.answered(&settled);
    let refused = matches!(settled, Settled::Refused(_));
    match settled.answer() {
        Ok(page) => finder.id(&value, &page.body).map_err(own),
        Err(reason) if refused => Err(Fate::Refused(reason)),
        Err(reason) => Err(Fate::Unsent(reason)),
    }
}
