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
//! (that of a firewall, a refusal of the whole resource, 5xx): they are held until the pass is over ([`Load::settle_held`]).

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fxhash::FxHashSet;
use rayon::ThreadPool;

use crate::api::Api;
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::reply::Reply;
use crate::api::retry::Fault;
use crate::api::send::{self, Settled, Step, Trial};
use crate::api::site::ROW;
use crate::api::transport::http::Uri;
use crate::books::Books;
use crate::chain::{self, Chain};
use crate::clock;
use crate::config::Level;
use crate::digest::Digest;
use crate::door::Door;
use crate::edfi::key::LooseKey;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::model::Natural;
use crate::observer::Observer;
use crate::outcome::{Outcome, Reason, Verdict};
use crate::payload::{Parked, Payload};
use crate::plan::{Job, Plan, Tier};
use crate::pool;
use crate::rejects::{Letter, Origins, Rejects, Why};
use crate::resource::Resource;
use crate::results::Stopped;
use crate::sift::{Knowledge, Known, Sifted, sift};
use crate::source::Piece;
use crate::state::History;
use crate::state::journal;
use crate::state::reasons::Said;
use crate::state::resend::Resend;
use crate::state::table::{Entry, Standing};
use crate::text;
use crate::validate::findings::Invalid;

/// A failure of the server that repeats itself is tried so often at most: twice, and a last time when the tier is done.
const TRIES: u32 = 3;

/// What the refusals of waiting payloads say is kept whole up to so many bytes; they are read anew when the payload is sent again.
const KEPT: usize = 16 * 1024 * 1024;

/// So many answers are held besides those that may show that the host is gone.
const HELD: usize = 1_000;

/// Beyond that, so much of each.
const SHORT: usize = 500;

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
    pub pool: &'a ThreadPool,
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

/// What a worker is given to send in the first pass.
enum Work {
    Fresh(Payload),
    Again(Box<Again>),
}

/// A payload that is sent again after a delay. Its text is not kept: its block would be kept with it.
struct Again {
    parked: Parked,
    course: Course,
}

/// What a payload has been through in a pass.
#[derive(Default)]
struct Course {
    trial: Trial,
    /// How often the server failed at it in the same way, one after the other.
    alike: u32,
    /// The last failure.
    failure: Option<Refusal>,
    /// How many of its resource had been accepted when it failed first.
    accepted: u32,
    /// Why it is sent again.
    reason: Option<Reason>,
}

/// What follows one try.
enum Went {
    To(News),
    Again(Duration, Parked),
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
        let pieces = tier.pieces().inspect(|(number, piece)| {
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

    /// Sends a payload of the first pass.
    fn work(&self, work: Work, hand_in: &dyn Fn(News)) -> Option<pool::Delayed<Work>> {
        let (payload, mut course) = match work {
            Work::Fresh(payload) => (payload, Course::default()),
            Work::Again(again) => match self.resumed(*again) {
                Ok(taken_up) => taken_up,
                Err(news) => {
                    hand_in(news);
                    return None;
                }
            },
        };
        match self.send(payload, &mut course, false) {
            Went::To(news) => {
                hand_in(news);
                None
            }
            Went::Again(after, parked) => Some((after, Work::Again(Box::new(Again { parked, course })))),
        }
    }

    /// A delayed payload whose time has come, or what it ends as if it is not sent any more.
    fn resumed(&self, Again { parked, course }: Again) -> std::result::Result<(Payload, Course), News> {
        match (self.stopped(), course.reason) {
            (true, Some(Reason { status, message, .. })) => {
                let exit = self.interrupt.asked().unwrap_or(Exit::GivenUp);
                let reason = Reason::of_answer(status, send::noted(&message, exit));
                Err(News::Settled(parked.without_answer(reason)))
            }
            (_, reason) => match parked.fetch() {
                Ok(payload) => Ok((payload, Course { reason, ..course })),
                Err(outcome) => Err(News::Settled(outcome)),
            },
        }
    }

    /// Settles what was answered in a way that means something only beside the answers to others.
    fn settle_held(&self, waiting: &mut Waiting, desk: &mut Desk) {
        let held = std::mem::take(&mut waiting.held);
        if held.iter().any(|parked| parked.refusal().is_some_and(|refusal| refusal.foreign)) && !self.stopped() {
            self.api.is_there().unwrap_or_else(|error| self.stop_for(&error));
        }
        held.into_iter().for_each(|parked| self.settle(parked, waiting, desk));
    }

    fn settle(&self, parked: Parked, waiting: &mut Waiting, desk: &mut Desk) {
        let others = self.routes[parked.resource()].door.accepted() > 0;
        let parked = parked.among(others);
        let kind = parked.refusal().map(Refusal::kind);
        let is_final = match kind {
            // The host is there, as far as is known.
            Some(RefusalKind::Site) => !self.stopped(),
            Some(RefusalKind::Moment) => others && !self.stopped() && (parked.is_last() || !of_host(&parked)),
            Some(RefusalKind::Resource) | None => false,
            Some(RefusalKind::Payload | RefusalKind::Order | RefusalKind::Caller) => true,
        };
        let news = match is_final {
            true => {
                let (outcome, letter) = parked.refused();
                News::Refused(outcome, letter)
            }
            false => News::Settled(parked.unsent()),
        };
        self.learn(vec![news], desk, waiting);
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

    /// Sends payloads of one natural key, each when the one before it has its final answer; gives them back with what the first has been through
    /// if that is to be sent again after a delay.
    fn send_chain(
        &self,
        (mut chain, mut course): (Chain, Option<Box<Course>>),
        hand_in: &dyn Fn(News),
    ) -> Option<pool::Delayed<(Chain, Option<Box<Course>>)>> {
        while let Some(parked) = chain.pop_front() {
            let last = parked.is_last();
            let course_of_it = course.take().map_or_else(Course::default, |course| *course);
            let news = match self.resumed(Again { parked, course: course_of_it }) {
                Err(news) => news,
                Ok((payload, mut course)) => match self.send(payload, &mut course, last) {
                    Went::To(news) => news,
                    Went::Again(after, parked) => {
                        chain.push_front(if last { parked.last() } else { parked });
                        return Some((after, (chain, Some(Box::new(course)))));
                    }
                },
            };
            let rest: Option<fn(Parked) -> News> = match &news {
                News::Parked(_) | News::Held(_) => Some(News::Parked),
                News::Settled(Outcome { verdict: Verdict::Unsent(_), .. }) => {
                    Some(|parked| News::Settled(parked.outrun()))
                }
                _ => None,
            };
            hand_in(news);
            if let Some(rest) = rest {
                chain.into_iter().for_each(|parked| hand_in(rest(parked)));
                return None;
            }
            // An acceptance ends all doubt of its record, and the next one begins another.
            let next = chain.front().and_then(|next| Some((next.resource(), next.doubt(clock::unix_now() as u32)?)));
            next.into_iter().for_each(|(resource, doubt)| hand_in(News::Doubted(resource, doubt)));
        }
        None
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

    /// Sends a payload once. `last`: it is not tried again if the server fails at it.
    fn send(&self, payload: Payload, course: &mut Course, last: bool) -> Went {
        let settled = |payload: Payload, verdict| Went::To(News::Settled(payload.outcome(verdict)));
        if self.stopped() {
            return settled(payload, Verdict::Untried);
        }
        let resource = payload.resource;
        let route = &self.routes[resource];
        if let Some(reason) = route.door.closed().cloned().or_else(|| route.door.closed_to(payload.bytes())) {
            return settled(payload, Verdict::Unsent(reason));
        }
        let correlation = payload.correlation(&self.id, route.resource().label());
        let step = match self.api.post(&route.url, payload.bytes(), &correlation, &mut course.trial) {
            Ok(step) => step,
            Err(error) => {
                self.stop_for(&error);
                return settled(payload, Verdict::Untried);
            }
        };
        match step {
            Step::Done(Settled::Accepted(reply)) => {
                let Reply { status, .. } = reply;
                let accepted = Settled::Accepted(reply);
                route.door.answered(&accepted);
                route.door.answered_to(payload.bytes(), &accepted);
                settled(payload, Verdict::Accepted { status })
            }
            Step::Done(other) => {
                if let Settled::Failed(refusal) = &other {
                    self.note_failure(refusal, course, route, last);
                }
                Went::To(self.ended(payload, other, last))
            }
            Step::Again { after, fault, well, meanwhile } => {
                if let Some(refusal) = self.failed_for_good(course, fault, well, &meanwhile, route, last) {
                    return Went::To(match last {
                        true => self.ended(payload, Settled::Failed(refusal), last),
                        false => {
                            let refusal = self.bounded(refusal);
                            News::Parked(payload.park(refusal, self.natural[resource].as_ref()).last())
                        }
                    });
                }
                course.reason = meanwhile.answer().err();
                Went::Again(after, payload.wait(self.natural[resource].as_ref()))
            }
        }
    }

    /// What becomes of a payload that is not accepted and is not sent again soon.
    fn ended(&self, payload: Payload, settled: Settled, last: bool) -> News {
        let natural = self.natural[payload.resource].as_ref();
        let door = &self.routes[payload.resource].door;
        door.answered(&settled);
        door.answered_to(payload.bytes(), &settled);
        match settled {
            Settled::Accepted(Reply { status, .. }) => News::Settled(payload.outcome(Verdict::Accepted { status })),
            Settled::NoAnswer { status, reason } => {
                News::Settled(payload.outcome(Verdict::Unsent(Reason::of_answer(status, reason))))
            }
            Settled::Failed(refusal) => {
                let parked = payload.park(self.bounded(refusal), natural);
                News::Held(if last { parked.last() } else { parked })
            }
            Settled::Refused(refusal) => {
                let refusal = door.seen(refusal);
                match refusal.kind() {
                    RefusalKind::Order => News::Parked(payload.park(self.bounded(refusal), natural)),
                    RefusalKind::Site | RefusalKind::Resource => {
                        News::Held(payload.park(self.bounded(refusal), natural))
                    }
                    RefusalKind::Payload | RefusalKind::Caller | RefusalKind::Moment => {
                        let (outcome, letter) = payload.refused(refusal);
                        News::Refused(outcome, Some(letter))
                    }
                }
            }
        }
    }

    /// Whether a payload at which the server failed is to blame for it: it failed in the same way before, while others of its resource were
    /// accepted. Then it has had all tries but the one when the tier is done, or that one too.
    fn failed_for_good(
        &self,
        course: &mut Course,
        fault: Fault,
        well: bool,
        meanwhile: &Settled,
        route: &Route,
        last: bool,
    ) -> Option<Refusal> {
        let Settled::Failed(refusal) = meanwhile else { return None };
        self.note_failure(refusal, course, route, last);
        let by_itself = match fault {
            Fault::Server => true,
            // The host had the trouble, unless it was well for others meanwhile.
            Fault::Host => well,
            Fault::Race | Fault::Nothing => false,
        };
        if !by_itself {
            return None;
        }
        let door = &route.door;
        if course.failure.as_ref().is_some_and(|before| before.is_like(refusal)) {
            course.alike += 1;
        } else {
            (course.alike, course.accepted) = (1, door.accepted());
            course.failure = Some(refusal.clone());
        }
        // What the host may be to blame for is tried once more.
        let tries = TRIES + u32::from(fault == Fault::Host);
        let others = door.accepted() > if course.alike > 1 { course.accepted } else { 0 };
        let most = tries.min(self.api.retries() + 1);
        (last || (others && course.alike + 1 >= most)).then(|| refusal.clone())
    }

    /// The API failed at a payload of a resource: does it fail at all of them?
    fn note_failure(&self, refusal: &Refusal, course: &Course, route: &Route, last: bool) {
        // Payloads at which it always fails come together when their delays are over, while all others are done.
        if last || (course.trial.attempts > 1 && route.door.accepted() > 0) {
            return;
        }
        route.door.failed(refusal, || self.api.serves_others(&route.url));
    }

    /// A refusal that is kept while its payload waits: whole, unless too much is kept already.
    fn bounded(&self, refusal: Refusal) -> Refusal {
        let bytes: usize = refusal.messages.iter().map(String::len).sum();
        if self.kept.fetch_add(bytes, Ordering::Relaxed) + bytes <= KEPT {
            return refusal;
        }
        let text = text::shortened(&refusal.text(), SHORT);
        Refusal { messages: vec![text], ..refusal }
    }

    /// Enters news into journal and books, and what waits into `waiting`.
    fn learn(&self, news: Vec<News>, desk: &mut Desk, waiting: &mut Waiting) {
        if let Err(error) = self.write_down(&news, desk) {
            self.stop_for(&error);
        }
        for news in news {
            match news {
                News::Sifted(mut sifted) => {
                    waiting.parked.append(&mut sifted.later);
                    desk.books.sifted(sifted);
                }
                News::Settled(outcome) | News::Refused(outcome, _) => {
                    if let (Verdict::Unsent(_), Some(keys)) = (&outcome.verdict, outcome.key) {
                        waiting.stuck.insert((outcome.resource, keys.loose));
                    }
                    desk.books.settled(outcome);
                }
                News::Parked(payload) => waiting.parked.push(payload),
                News::Doubted(..) => {}
                News::Held(payload) => waiting.held.push_back(payload),
            }
        }
        // Of what is held, only the last few can be part of a row that shows that the host is gone.
        while waiting.held.len() > ROW as usize + self.pool.current_num_threads() + HELD {
            let Some(first) = waiting.held.pop_front() else { break };
            self.settle(first, waiting, desk);
        }
        self.api.warnings().iter().for_each(|text| desk.observer.log(Level::Warning, text));
        self.api.waits().iter().for_each(|wait| desk.observer.log(Level::Warning, wait));
        if self.interrupt.asked().is_some() && !std::mem::replace(&mut desk.told_to_stop, true) {
            let text = "stopping as soon as the requests under way are answered; ask again to end at once";
            desk.observer.log(Level::Warning, text);
        }
        desk.observer.progress(desk.books.progress());
    }

    /// Brings answers into the journal, and what is refused to the rejects.
    fn write_down(&self, news: &[News], desk: &mut Desk) -> Result<()> {
        let now = clock::unix_now() as u32;
        let mut entries: Vec<(usize, (Digest, Entry))> = Vec::new();
        let mut said: Vec<(usize, (Digest, Said))> = Vec::new();
        for news in news {
            match news {
                News::Sifted(sifted) => {
                    let known = sifted.learned.iter().chain(&sifted.doubts);
                    entries.extend(known.map(|entry| (sifted.resource, *entry)));
                }
                News::Doubted(resource, doubt) => entries.push((*resource, *doubt)),
                News::Settled(outcome) | News::Refused(outcome, _) => {
                    let Some(entry) = entry(outcome, now) else { continue };
                    entries.push((outcome.resource, entry));
                    entries.extend(self.settled(outcome, entry.1).map(|original| (outcome.resource, original)));
                    if let News::Refused(_, Some(Letter { why: Why::Answer(refusal), .. })) = news {
                        said.push((outcome.resource, (entry.0, Said::of(refusal, self.client_id))));
                    }
                }
                // It is answered for now, so that nothing is in doubt until it is sent again.
                News::Parked(parked) => entries.extend(parked.answered(now).map(|entry| (parked.resource(), entry))),
                News::Held(_) => {}
            }
        }
        // Stable: of one resource they stay in the order in which they became known.
        entries.sort_by_key(|(resource, _)| *resource);
        for batch in entries.chunk_by(|a, b| a.0 == b.0) {
            let number = batch[0].0;
            let of_this = said.extract_if(.., |(resource, _)| *resource == number);
            let said = of_this.map(|(_, said)| said).collect();
            let entries = batch.iter().map(|(_, entry)| *entry).collect();
            let news = journal::News { definition: self.definition(number), entries, said };
            desk.history.record(self.routes[number].resource(), &news);
        }
        desk.history.flush(Instant::now())?;
        let Some(rejects) = &mut desk.rejects else { return Ok(()) };
        for letter in news.iter().flat_map(News::letters) {
            rejects.add(self.routes[letter.resource].resource().label(), letter)?;
        }
        Ok(())
    }

    /// That the mended copy of a payload from a folder of rejects was accepted.
    fn settled(&self, outcome: &Outcome, entry: Entry) -> Option<(Digest, Entry)> {
        let original = self.origins.of(&outcome.place).filter(|original| Some(*original) != outcome.digest)?;
        let accepted = entry.standing == Standing::Accepted;
        accepted.then_some((original, Entry { standing: Standing::Settled, ..entry }))
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

impl News {
    /// Whether it must be in the journal before anything else is sent.
    fn is_urgent(&self) -> bool {
        match self {
            News::Sifted(sifted) => !sifted.doubts.is_empty(),
            News::Doubted(..) => true,
            News::Settled(_) | News::Refused(..) | News::Parked(_) | News::Held(_) => false,
        }
    }

    fn letters(&self) -> &[Letter] {
        match self {
            News::Sifted(sifted) => &sifted.letters,
            News::Refused(_, letter) => letter.as_slice(),
            News::Settled(_) | News::Parked(_) | News::Held(_) | News::Doubted(..) => &[],
        }
    }
}

/// What the state is to remember: final answers, and that a known payload is due because it was to be sent again and got none.
fn entry(outcome: &Outcome, now: u32) -> Option<(Digest, Entry)> {
    let (status, standing) = match &outcome.verdict {
        Verdict::Accepted { status } => (*status, Standing::Accepted),
        Verdict::Refused(reason) => (reason.status?, Standing::Refused(reason.kind?)),
        Verdict::Unsent(_) | Verdict::Untried if outcome.known => (0, Standing::NoAnswer),
        Verdict::Unsent(_) | Verdict::Untried | Verdict::Invalid => return None,
    };
    let key = outcome.key.map_or(Entry::NO_KEY, |keys| keys.strict);
    Some((outcome.digest?, Entry { key, at: now, status, standing }))
}

/// Whether its last answer says more of the host than of the payload.
fn of_host(parked: &Parked) -> bool {
    parked.refusal().is_some_and(|refusal| matches!(refusal.status, 502..=504))
}

fn bug(_: pool::Panicked) -> Error {
    Error::api("a worker came upon a bug in lightbeam; what the API accepted until then is kept")
}
