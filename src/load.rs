//! A load: tier after tier, everything that is due is sent until its fate is known.
//!
//! A refusal that order may cure is not final. Such payloads are parked and sent again: when their own tier is done; at the tier from which on
//! the API lets their resource be updated, where dependencies name one (students, staffs, contacts); and after the last tier. Each time
//! they are sent as often as a pass accepts at least one. So lines of one resource may refer to each other in any order.
//!
//! A payload that has the natural key of an earlier one waits likewise, until that has its final answer ([`crate::chain`]).
//!
//! What has to be sent again after a while waits in the pool's own queue. A failure of the server that repeats while others of the resource
//! are accepted is tried a last time when the tier is done. Some answers mean something only beside those to other payloads
//! (that of a firewall, a refusal of the whole resource, 5xx): they are held until the pass is over (`sending`).

mod sending;
mod writing;

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use fxhash::{FxHashMap, FxHashSet};

use self::sending::Work;
use crate::api::Api;
use crate::api::transport::http::Uri;
use crate::books::Books;
use crate::chain::{self, Chain};
use crate::clock;
use crate::config::Level;
use crate::digest::Digest;
use crate::door::Door;
use crate::edfi::key::LooseKey;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::model::Natural;
use crate::observer::Observer;
use crate::outcome::Outcome;
use crate::payload::Parked;
use crate::plan::{Job, Plan, Tier};
use crate::pool::{self, Workers};
use crate::rejects::{Letter, Origins, Rejects};
use crate::resource::Resource;
use crate::results::Stopped;
use crate::sequencer::Sequencer;
use crate::sift::{Knowledge, Known, Sifted, sift};
use crate::source::Piece;
use crate::state::History;
use crate::state::resend::Resend;
use crate::state::table::Entry;
use crate::validate::findings::Invalid;

/// What does not change during a load.
pub struct Load<'a> {
    /// Where the payloads go.
    pub api: &'a Api,
    /// In which order.
    pub plan: &'a Plan,
    /// Where each of the plan's jobs goes.
    pub routes: Vec<Route<'a>>,
    /// By what the API's log knows this run.
    pub id: String,
    /// What tells the natural keys of each of the plan's jobs, where that is known.
    pub natural: &'a [Option<Natural>],
    /// Which known payloads are due.
    pub resend: &'a Resend,
    /// Which payloads validation found wrong.
    pub invalid: &'a Invalid,
    /// Whose mended copies the files hold.
    pub origins: &'a Origins,
    /// Who sends, as the API knows it: a refusal that is about the caller is kept with it.
    pub client_id: &'a str,
    /// The workers.
    pub pool: &'a Workers,
    /// Whether somebody wants it to stop.
    pub interrupt: &'a Interrupt,
    /// Set once, when the load cannot go on: from then on payloads are only counted.
    pub stop: &'a OnceLock<Stopped>,
    /// How many bytes the refusals of waiting payloads have.
    pub kept: AtomicUsize,
}

/// Where the payloads of a job go.
pub struct Route<'a> {
    /// The job.
    pub job: &'a Job,
    /// The URL of its resource.
    pub url: Uri,
    /// Whether it is of use to send more.
    pub door: Door,
}

impl Route<'_> {
    fn resource(&self) -> &Resource {
        &self.job.turn.resource
    }
}

/// What one thread at a time keeps.
pub struct Desk<'a> {
    /// What is known of payloads from run to run.
    pub history: History,
    /// What is known of this run.
    pub books: Books,
    /// Where refused payloads go, if they are kept.
    pub rejects: Option<Rejects>,
    /// Whether it was said that the load is stopping.
    pub told_to_stop: bool,
    /// Who hears of it.
    pub observer: &'a mut dyn Observer,
}

/// What waits while a load goes on.
#[derive(Default)]
struct Waiting {
    /// Payloads that are to be sent later.
    parked: Vec<Parked>,
    /// Payloads whose answer is judged when the pass is over.
    held: VecDeque<Parked>,
    /// The natural keys of payloads without a final answer: what comes after these in the files must not be sent before them.
    stuck: FxHashSet<(usize, LooseKey)>,
    /// By resource, what was learned of the records of known payloads: of two that were accepted in the same second, the later one in the
    /// files counts.
    learned: FxHashMap<usize, Sequencer<Vec<(Digest, Entry)>>>,
}

/// What becomes known.
enum News {
    Sifted(Sifted),
    /// A payload of a resource that is about to be sent.
    Doubted(usize, (Digest, Entry)),
    Settled(Outcome),
    Refused(Outcome, Option<Letter>),
    Parked(Parked),
    Held(Parked),
}

impl Load<'_> {
    /// Sends everything that is due. An error is one of the state or of lightbeam itself; that the API failed is told by `stop`.
    pub fn run(&self, desk: &mut Desk) -> Result<()> {
        let mut waiting = Waiting::default();
        let end = self.tiers(&mut waiting, desk).inspect_err(|error| self.stop_for(error));
        // Also where the load stopped, so that what still waits is accounted for.
        while !waiting.parked.is_empty() {
            let rest = self.passes(std::mem::take(&mut waiting.parked), &waiting.stuck, desk)?;
            let (given_up, behind) = match self.stopped() {
                true => (rest.into_iter().flatten().collect(), Vec::new()),
                false => chain::last_tried(rest),
            };
            self.give_up(given_up, &mut waiting, desk);
            // What comes after them has a last try of its own.
            waiting.parked.extend(behind);
        }
        end.and(desk.history.settle())
    }

    /// Ends what no further try helps.
    fn give_up(&self, parked: Vec<Parked>, waiting: &mut Waiting, desk: &mut Desk) {
        for parked in parked {
            // What is missed may be what got no answer, and then the next run sends both.
            let hopeful = self.stopped() || desk.books.unsent() > 0;
            let news = match hopeful {
                true => News::Settled(parked.unsent()),
                false => {
                    let (outcome, letter) = parked.refused();
                    News::Refused(outcome, letter)
                }
            };
            self.learn(vec![news], desk, waiting);
        }
    }

    /// Sends tier after tier; what is still refused when the last one is done, or when an error ends them, is left waiting.
    fn tiers(&self, waiting: &mut Waiting, desk: &mut Desk) -> Result<()> {
        for (number, tier) in self.plan.tiers.iter().enumerate() {
            desk.books.begin(number);
            let names: Vec<_> = tier.jobs.iter().map(|job| job.turn.resource.label()).collect();
            let text = format!(
                "tier {} of {} (order {}): {}",
                number + 1,
                self.plan.tiers.len(),
                tier.order,
                names.join(", ")
            );
            desk.observer.log(Level::Debug, &text);
            self.tier(tier, desk, waiting)?;
            let (due, later) = waiting.parked.drain(..).partition(|p: &Parked| self.is_due_after(number, p.resource()));
            waiting.parked = later;
            let refused = self.passes(due, &waiting.stuck, desk)?;
            waiting.parked.extend(refused.into_iter().flatten());
            desk.history.settle()?;
        }
        Ok(())
    }

    /// The first pass over a tier.
    fn tier(&self, tier: &Tier, desk: &mut Desk, waiting: &mut Waiting) -> Result<()> {
        let numbers = tier.first..tier.first + tier.jobs.len();
        let resources: Vec<_> =
            numbers.map(|number| (self.routes[number].resource(), self.definition(number))).collect();
        let tables = desk.history.tables(&resources, self.pool)?;
        let natural = self.natural[tier.first..].iter().map(Option::as_ref);
        let known = tier.jobs.iter().zip(tables).zip(natural).map(|((job, table), natural)| {
            Known::new(table, natural).of_files(&job.files, job.bytes()).without(self.invalid)
        });
        let knowledge = Knowledge::new(tier.first, known.collect());
        // Where the pieces of one resource end those of the next begin.
        let mut before = None;
        let pieces = tier.pieces(self.pool.room()).inspect(|(number, piece)| {
            let resource = piece.resource();
            if let Some((before, pieces)) = before.replace((resource, number + 1)).filter(|last| last.0 != resource) {
                knowledge.all_read(before, pieces);
            }
        });
        let sift = |(number, piece): (usize, Piece)| {
            let (sifted, due) = sift(number, piece, &knowledge, self.resend);
            (Some(News::Sifted(sifted)), due.into_iter().flatten().map(Work::Fresh))
        };
        let learn = |news| self.learn(news, desk, waiting);
        let send = |work: Work, hand_in: &dyn Fn(News)| self.work(work, hand_in);
        pool::run_again(self.pool, pieces, sift, send, News::is_urgent, learn, || self.stopped()).map_err(bug)?;
        self.settle_held(waiting, desk);
        Ok(())
    }

    /// Sends what is parked as often as that helps; returns what still waits: what is refused, and what comes after that.
    fn passes(&self, parked: Vec<Parked>, stuck: &FxHashSet<(usize, LooseKey)>, desk: &mut Desk) -> Result<Vec<Chain>> {
        let is_stuck = |parked: &Parked| parked.key().is_some_and(|key| stuck.contains(&(parked.resource(), key)));
        // What is sent again is answered anew.
        self.kept.store(0, Ordering::Relaxed);
        let (outrun, parked): (Vec<_>, Vec<_>) = parked.into_iter().partition(is_stuck);
        outrun.into_iter().for_each(|parked| {
            self.learn(vec![News::Settled(parked.outrun())], desk, &mut Waiting::default());
        });
        let mut chains = chain::chains(parked);
        let mut refused = Vec::new();
        while !self.stopped() {
            let (ready, held) = chain::ready(chains, &refused);
            chains = held;
            if ready.is_empty() {
                break;
            }
            let now = clock::unix_now() as u32;
            let doubt = |parked: &Parked| Some(News::Doubted(parked.resource(), parked.doubt(now)?));
            let doubts = ready.iter().filter_map(|chain| doubt(chain.front()?)).collect();
            self.learn(doubts, desk, &mut Waiting::default());
            let before = desk.books.accepted();
            let mut again = Waiting::default();
            let learn = |news| self.learn(news, desk, &mut again);
            let send = |work, hand_in: &dyn Fn(News)| self.send_chain(work, hand_in);
            let sift = |chain| (None, std::iter::once((chain, None)));
            let now = ready.into_iter();
            pool::run_again(self.pool, now, sift, send, News::is_urgent, learn, || self.stopped()).map_err(bug)?;
            self.settle_held(&mut again, desk);
            refused.extend(chain::chains(again.parked));
            if desk.books.accepted() > before {
                let all = chains.into_iter().chain(std::mem::take(&mut refused)).flatten();
                chains = chain::chains(all.collect());
            }
        }
        chains.extend(refused);
        Ok(chains)
    }

    /// Whether payloads of a resource that are parked are sent again when the tier of that number is done: it is their own, or the last
    /// one before their resource can be updated.
    fn is_due_after(&self, number: usize, resource: usize) -> bool {
        let tier = &self.plan.tiers[number];
        let own = (tier.first..tier.first + tier.jobs.len()).contains(&resource);
        let next = self.plan.tiers.get(number + 1).map(|tier| tier.order);
        let update = self.routes[resource].job.turn.update;
        own || update.is_some_and(|update| tier.order <= update && next.is_some_and(|next| next > update))
    }

    fn stopped(&self) -> bool {
        self.stop.get().is_some() || self.interrupt.asked().is_some()
    }

    /// The definition of a job's natural key; 0 if there is none.
    fn definition(&self, number: usize) -> u64 {
        self.natural[number].as_ref().map_or(0, Natural::fingerprint)
    }

    fn stop_for(&self, error: &Error) {
        // Whatever stopped it first is the reason.
        let _ = self.stop.set(Stopped::for_error(error));
    }
}

fn bug(_: pool::Panicked) -> Error {
    Error::bug("a worker came upon a bug in lightbeam; what the API accepted until then is kept")
}
