//! A load: tier after tier, everything that is due is sent until its fate is known.
//!
//! A refusal that order may cure is not final. Such payloads are parked and sent again: when their own tier is done; at the tier from which on
//! the API lets their resource be updated, where dependencies name one (students, staffs, contacts); and after the last tier. Each time
//! they are sent as often as a pass accepts at least one. So lines of one resource may refer to each other in any order.

use std::sync::OnceLock;

use rayon::ThreadPool;

use crate::api::Api;
use crate::api::send::Settled;
use crate::api::transport::http::Uri;
use crate::books::Books;
use crate::clock;
use crate::config::Level;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::observer::Observer;
use crate::outcome::{Outcome, Reason, Verdict};
use crate::payload::{Parked, Payload};
use crate::plan::{Job, Plan, Tier};
use crate::pool;
use crate::report::Stopped;
use crate::sift::{Knowledge, Known, Sifted, sift};
use crate::source::Piece;
use crate::state::History;
use crate::state::resend::Resend;
use crate::state::table::Entry;

/// What does not change during a load.
pub struct Load<'a> {
    /// Where the payloads go.
    pub api: &'a Api,
    /// In which order.
    pub plan: &'a Plan,
    /// Each of the plan's jobs, and where its payloads go.
    pub jobs: Vec<(&'a Job, Uri)>,
    /// Which known payloads are due.
    pub resend: &'a Resend,
    /// Who sends.
    pub pool: &'a ThreadPool,
    /// Whether somebody wants it to stop.
    pub interrupt: &'a Interrupt,
    /// Set once, when the load cannot go on: from then on payloads are only counted.
    pub stop: &'a OnceLock<Stopped>,
}

/// What the calling thread keeps.
pub struct Desk<'a> {
    /// What is known of payloads from run to run.
    pub history: History,
    /// What is known of this run.
    pub books: Books,
    /// Who hears of it.
    pub observer: &'a mut dyn Observer,
}

/// What becomes known.
enum News {
    Sifted(Sifted),
    Settled(Outcome),
    Parked(Parked),
}

impl Load<'_> {
    /// Sends everything that is due. An error is one of the state or of lightbeam itself; that the API failed is told by `stop`.
    pub fn run(&self, desk: &mut Desk) -> Result<()> {
        let mut parked = Vec::new();
        let end = self.tiers(&mut parked, desk).inspect_err(|error| self.stop_for(error));
        // Also where the load stopped, so that what still waits is accounted for.
        let rest = self.passes(parked, desk)?;
        let verdict = if self.stopped() { Verdict::Unsent } else { Verdict::Refused };
        let rest: Vec<_> = rest.into_iter().map(|parked| News::Settled(parked.give_up(verdict))).collect();
        self.learn(rest, desk, &mut Vec::new());
        end.and(desk.history.settle())
    }

    /// Sends tier after tier; what is still refused when the last one is done, or when an error ends them, is in `parked`.
    fn tiers(&self, parked: &mut Vec<Parked>, desk: &mut Desk) -> Result<()> {
        for (number, tier) in self.plan.tiers.iter().enumerate() {
            desk.books.begin(number);
            self.tier(tier, desk, parked)?;
            let (due, later) = parked.drain(..).partition(|p: &Parked| self.is_due_after(number, p.resource()));
            *parked = later;
            parked.extend(self.passes(due, desk)?);
            desk.history.settle()?;
        }
        Ok(())
    }

    /// The first pass over a tier; what order may cure goes to `parked`.
    fn tier(&self, tier: &Tier, desk: &mut Desk, parked: &mut Vec<Parked>) -> Result<()> {
        let known = tier.jobs.iter().map(|job| desk.history.table(&job.turn.resource).map(Known::new));
        let knowledge = Knowledge { first: tier.first, known: known.collect::<Result<Vec<_>>>()? };
        let sift = |piece: Piece| {
            let (sifted, due) = sift(piece, &knowledge, self.resend);
            (Some(News::Sifted(sifted)), due)
        };
        pool::run(self.pool, tier.blocks(), sift, |p| self.send(p), |news| self.learn(news, desk, parked)).map_err(bug)
    }

    /// Sends what is parked again, as often as that helps; returns what is still refused.
    fn passes(&self, mut parked: Vec<Parked>, desk: &mut Desk) -> Result<Vec<Parked>> {
        while !parked.is_empty() && !self.stopped() {
            let before = desk.books.accepted();
            let mut again = Vec::new();
            let fetch = |parked: Parked| match parked.fetch() {
                Ok(payload) => (None, vec![payload]),
                Err(outcome) => (Some(News::Settled(outcome)), Vec::new()),
            };
            let learn = |news| self.learn(news, desk, &mut again);
            pool::run(self.pool, parked.into_iter(), fetch, |p| self.send(p), learn).map_err(bug)?;
            parked = again;
            if desk.books.accepted() == before {
                break;
            }
        }
        Ok(parked)
    }

    /// Whether payloads of a resource that are parked are sent again when the tier of that number is done: it is their own, or the last
    /// one before their resource can be updated.
    fn is_due_after(&self, number: usize, resource: usize) -> bool {
        let tier = &self.plan.tiers[number];
        let own = (tier.first..tier.first + tier.jobs.len()).contains(&resource);
        let next = self.plan.tiers.get(number + 1).map(|tier| tier.order);
        let update = self.jobs[resource].0.turn.update;
        own || update.is_some_and(|update| tier.order <= update && next.is_some_and(|next| next > update))
    }

    fn stopped(&self) -> bool {
        self.stop.get().is_some() || self.interrupt.asked().is_some()
    }

    fn send(&self, payload: Payload) -> News {
        if self.stopped() {
            return News::Settled(payload.outcome(Verdict::Untried));
        }
        let settled = match self.api.post(&self.jobs[payload.resource].1, payload.bytes()) {
            Ok(sent) => sent.settled,
            Err(error) => {
                self.stop_for(&error);
                return News::Settled(payload.outcome(Verdict::Untried));
            }
        };
        News::Settled(payload.outcome(match settled {
            Settled::Accepted { status } => Verdict::Accepted { status },
            Settled::NoAnswer { status, reason } => Verdict::Unsent(Reason { status, message: reason }),
            Settled::Refused(refusal) => {
                let reason = Reason { status: Some(refusal.status), message: refusal.text() };
                if refusal.order_may_cure() {
                    return News::Parked(payload.park(reason));
                }
                Verdict::Refused(reason)
            }
        }))
    }

    /// Enters news into journal and books; what is parked goes to `parked`.
    fn learn(&self, news: Vec<News>, desk: &mut Desk, parked: &mut Vec<Parked>) {
        if let Err(error) = self.write_down(&news, &mut desk.history) {
            self.stop_for(&error);
        }
        for news in news {
            match news {
                News::Sifted(sifted) => desk.books.sifted(sifted),
                News::Settled(outcome) => desk.books.settled(outcome),
                News::Parked(payload) => parked.push(payload),
            }
        }
        self.api.waits().iter().for_each(|wait| desk.observer.log(Level::Warning, wait));
        desk.observer.progress(desk.books.progress());
    }

    fn write_down(&self, news: &[News], history: &mut History) -> Result<()> {
        let now = clock::unix_now() as u32;
        let outcomes = news.iter().filter_map(|news| match news {
            News::Settled(outcome) => Some((outcome.resource, entry(outcome, now)?)),
            News::Sifted(_) | News::Parked(_) => None,
        });
        let mut outcomes: Vec<_> = outcomes.collect();
        outcomes.sort_by_key(|(resource, _)| *resource);
        for batch in outcomes.chunk_by(|a, b| a.0 == b.0) {
            let entries: Vec<_> = batch.iter().map(|(_, entry)| *entry).collect();
            history.record(&self.jobs[batch[0].0].0.turn.resource, &entries);
        }
        history.flush()
    }

    fn stop_for(&self, error: &Error) {
        // Whatever stopped it first is the reason.
        let _ = self.stop.set(Stopped { exit: error.exit(), why: error.to_string() });
    }
}

/// What the state is to remember: final answers, and that a known payload is due because it was to be sent again and got none.
fn entry(outcome: &Outcome, now: u32) -> Option<(Digest, Entry)> {
    let status = match &outcome.verdict {
        Verdict::Accepted { status } => *status,
        Verdict::Refused(reason) => reason.status?,
        Verdict::Unsent(_) | Verdict::Untried if outcome.known => Entry::NO_ANSWER,
        Verdict::Unsent(_) | Verdict::Untried => return None,
    };
    Some((outcome.digest?, Entry { at: now, status }))
}

fn bug(_: pool::Panicked) -> Error {
    Error::api("a worker came upon a bug in lightbeam; what the API accepted until then is kept")
}
