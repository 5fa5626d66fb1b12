//! What becomes of one payload: it is sent once, and either its fate is known, or it waits, for a while, for the end of its tier, or for what
//! the others are answered.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Desk, Load, News, Route, Waiting};
use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::reply::Reply;
use crate::api::retry::Fault;
use crate::api::send::{self, Settled, Step, Trial};
use crate::chain::Chain;
use crate::clock;
use crate::exit::Exit;
use crate::outcome::{Outcome, Reason, Verdict};
use crate::payload::{Parked, Payload};
use crate::pool;
use crate::text;

/// A failure of the server that repeats itself is tried so often at most: twice, and a last time when the tier is done.
const TRIES: u32 = 3;

/// What the refusals of waiting payloads say is kept whole up to this number of bytes; the others are read anew when the payload is sent again.
const KEPT: usize = 16 * 1024 * 1024;

/// Beyond that, so much of each.
const SHORT: usize = 500;

/// What a worker is given to send in the first pass.
pub(super) enum Work {
    Fresh(Payload),
    Again(Box<Again>),
}

/// A payload that is sent again after a delay. Its text is not kept: its block would be kept with it.
pub(super) struct Again {
    parked: Parked,
    course: Course,
}

/// What a payload has been through in a pass.
#[derive(Default)]
pub(super) struct Course {
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
    /// Sends a payload of the first pass.
    pub(super) fn work(&self, work: Work, hand_in: &dyn Fn(News)) -> Option<pool::Delayed<Work>> {
        let (payload, mut course) = match work {
            Work::Fresh(payload) => (payload, Course::default()),
            Work::Again(again) => match self.resumed(*again) {
                Ok(taken_up) => taken_up,
                Err(outcome) => {
                    hand_in(News::Settled(*outcome));
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
    fn resumed(&self, Again { parked, course }: Again) -> Result<(Payload, Course), Box<Outcome>> {
        match (self.stopped(), course.reason) {
            (true, Some(Reason { status, message, .. })) => {
                let exit = self.interrupt.asked().unwrap_or(Exit::GivenUp);
                let reason = Reason::of_answer(status, send::noted(&message, exit));
                Err(Box::new(parked.without_answer(reason)))
            }
            (_, reason) => match parked.fetch(self.pool.room()) {
                Ok(payload) => Ok((payload, Course { reason, ..course })),
                Err(outcome) => Err(outcome),
            },
        }
    }

    /// Settles what was answered in a way that means something only beside the answers to others.
    pub(super) fn settle_held(&self, waiting: &mut Waiting, desk: &mut Desk) {
        let held = std::mem::take(&mut waiting.held);
        if held.iter().any(|parked| parked.refusal().is_some_and(|refusal| refusal.foreign)) && !self.stopped() {
            self.api.is_there().unwrap_or_else(|error| self.stop_for(&error));
        }
        held.into_iter().for_each(|parked| self.settle(parked, waiting, desk));
    }

    pub(super) fn settle(&self, parked: Parked, waiting: &mut Waiting, desk: &mut Desk) {
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

    /// Sends payloads of one natural key, each when the one before it has its final answer; gives them back with what the first has been through
    /// if that is to be sent again after a delay.
    pub(super) fn send_chain(
        &self,
        (mut chain, mut course): (Chain, Option<Box<Course>>),
        hand_in: &dyn Fn(News),
    ) -> Option<pool::Delayed<(Chain, Option<Box<Course>>)>> {
        while let Some(parked) = chain.pop_front() {
            let last = parked.is_last();
            let begun =
                || Course { trial: if last { Trial::to_blame() } else { Trial::default() }, ..Course::default() };
            let course_of_it = course.take().map_or_else(begun, |course| *course);
            let news = match self.resumed(Again { parked, course: course_of_it }) {
                Err(outcome) => News::Settled(*outcome),
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
        let most = self.api.retries() + 1;
        // A gateway that limits the rate answers so as well (nginx's `limit_req` does by default), and lets others through meanwhile.
        if refusal.status == 503 {
            return (course.alike >= most).then(|| refusal.clone());
        }
        // What the host may be to blame for is tried once more.
        let tries = TRIES + u32::from(fault == Fault::Host);
        let others = door.accepted() > if course.alike > 1 { course.accepted } else { 0 };
        (last || (others && course.alike + 1 >= tries.min(most))).then(|| refusal.clone())
    }

    /// The API failed at a payload of a resource: does it fail at all of them, or as a whole?
    fn note_failure(&self, refusal: &Refusal, course: &Course, route: &Route, last: bool) {
        // Payloads at which it always fails come together when their delays are over, while all others are done: that says nothing of those.
        let tells = !last && (course.trial.attempts <= 1 || route.door.accepted() == 0);
        route.door.failed(refusal, tells, || self.api.serves_others(&route.url));
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
}

/// Whether its last answer says more of the host than of the payload.
fn of_host(parked: &Parked) -> bool {
    parked.refusal().is_some_and(|refusal| matches!(refusal.status, 502..=504))
}
