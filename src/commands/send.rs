//! `lightbeam send`: every payload that is due, tier after tier.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use jiff::Zoned;

use super::prepare::{Prepared, prepare};
use crate::api::send::Settled;
use crate::api::transport::http::Uri;
use crate::clock;
use crate::config::{Config, Level};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::observer::{Observer, Progress};
use crate::outcome::{Outcome, Reason, Tally, Verdict};
use crate::plan::{Plan, Tier};
use crate::pool;
use crate::report::{Stopped, Summary};
use crate::resource::Resource;
use crate::selector::Selector;
use crate::sift::{Known, Payload, Sifted, sift};
use crate::state::History;
use crate::state::resend::Resend;
use crate::state::table::Entry;

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
    let target = prepared.api.urls().data.clone();
    let mut history = History::open(&config.state_dir, &target, &mut |text| observer.log(Level::Warning, &text))?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.connection.pool_size)
        .build()
        .or_stop(Exit::GivenUp, || format!("cannot start {} workers", config.connection.pool_size))?;
    let mut books = Books::new(&prepared.plan);
    let stop = OnceLock::new();
    let load = Load { prepared: &prepared, resend, pool: &pool, interrupt, stop: &stop };
    for (number, tier) in prepared.plan.tiers.iter().enumerate() {
        if let Err(error) = load.tier(number, tier, &mut history, &mut books, observer) {
            stop_for(&stop, &error);
            break;
        }
    }
    observer.finished();
    if let Some(exit) = interrupt.asked() {
        let why = if exit == Exit::Terminated { "terminated (SIGTERM)" } else { "interrupted (ctrl-c)" };
        let _ = stop.set(Stopped { exit, why: why.into() });
    }
    let completed = Zoned::now();
    Ok(Summary { started, completed, resources: books.resources, stopped: stop.into_inner() })
}

/// What a tier adds to the books.
enum News {
    Sifted(Sifted),
    Settled(Outcome),
}

/// What the tiers of a run share.
struct Load<'a> {
    prepared: &'a Prepared,
    resend: &'a Resend,
    pool: &'a rayon::ThreadPool,
    interrupt: &'a Interrupt,
    /// Set once, when the run cannot go on: from then on payloads are only counted.
    stop: &'a OnceLock<Stopped>,
}

impl Load<'_> {
    /// Sends one tier and brings what became of it into the state.
    fn tier(
        &self,
        number: usize,
        tier: &Tier,
        history: &mut History,
        books: &mut Books,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let first = books.begin(number, tier);
        let known =
            tier.jobs.iter().map(|job| history.table(&job.resource).map(Known::new)).collect::<Result<Vec<_>>>()?;
        let urls = self.prepared.api.urls();
        let urls = tier.jobs.iter().map(|job| urls.of(&job.resource)).collect::<Result<Vec<_>>>()?;
        let end = pool::run(
            self.pool,
            tier.blocks(),
            |piece| {
                let (sifted, due) = sift(piece, &known, self.resend);
                (News::Sifted(sifted), due)
            },
            |payload: Payload| News::Settled(payload.outcome(self.verdict(&urls[payload.resource], &payload))),
            |news| {
                if let Err(error) = write_down(tier, &news, history) {
                    stop_for(self.stop, &error);
                }
                books.add(first, news);
                observer.progress(&books.progress);
            },
        );
        drop(known);
        history.settle()?;
        end.map_err(|_| Error::api("a worker came upon a bug in lightbeam; what the API accepted until then is kept"))
    }

    fn verdict(&self, url: &Uri, payload: &Payload) -> Verdict {
        if self.stop.get().is_some() || self.interrupt.asked().is_some() {
            return Verdict::Untried;
        }
        let settled = match self.prepared.api.post(url, payload.bytes()) {
            Ok(sent) => sent.settled,
            Err(error) => {
                stop_for(self.stop, &error);
                return Verdict::Untried;
            }
        };
        match settled {
            Settled::Accepted { status } => Verdict::Accepted { status },
            Settled::Refused(refusal) => {
                Verdict::Refused(Reason { status: Some(refusal.status), message: refusal.text() })
            }
            Settled::NoAnswer { status, reason } => Verdict::Unsent(Reason { status, message: reason }),
        }
    }
}

fn stop_for(stop: &OnceLock<Stopped>, error: &Error) {
    let _ = stop.set(Stopped { exit: error.exit(), why: error.to_string() });
}

/// Brings outcomes into the journal.
fn write_down(tier: &Tier, news: &[News], history: &mut History) -> Result<()> {
    let now = clock::unix_now() as u32;
    for news in news {
        if let News::Settled(outcome) = news
            && let Some((digest, entry)) = entry(outcome, now)
        {
            history.record(&tier.jobs[outcome.resource].resource, &[(digest, entry)]);
        }
    }
    history.flush()
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

/// What is known of the run so far; only the calling thread has it.
struct Books {
    resources: Vec<(Resource, Tally)>,
    progress: Progress,
    /// Bytes of all files, and of those the bytes read, to tell how many payloads there may be.
    bytes: u64,
    bytes_read: u64,
}

impl Books {
    fn new(plan: &Plan) -> Books {
        let jobs = || plan.tiers.iter().flat_map(|tier| &tier.jobs);
        let size = |file: &Arc<Path>| std::fs::metadata(file).map_or(0, |m| m.len());
        Books {
            resources: jobs().map(|job| (job.resource.clone(), Tally::default())).collect(),
            progress: Progress { tiers: plan.tiers.len(), ..Progress::default() },
            bytes: jobs().flat_map(|job| &job.files).map(size).sum(),
            bytes_read: 0,
        }
    }

    /// Turns to a tier and returns where its resources begin.
    fn begin(&mut self, number: usize, tier: &Tier) -> usize {
        self.progress.tier = number + 1;
        let first = &tier.jobs[0].resource;
        self.progress.resource = first.name().into();
        self.resources.iter().position(|(resource, _)| resource == first).unwrap_or(0)
    }

    fn add(&mut self, first: usize, news: Vec<News>) {
        for news in news {
            match news {
                News::Sifted(sifted) => {
                    let (resource, tally) = &mut self.resources[first + sifted.resource];
                    self.progress.resource = resource.name().into();
                    tally.counts.add(&sifted.counts);
                    self.bytes_read += sifted.bytes;
                    self.progress.settled += sifted.counts.settled();
                    sifted.flaws.into_iter().for_each(|flaw| self.count(first, flaw));
                    let payloads: u64 = self.resources.iter().map(|(_, tally)| tally.counts.payloads()).sum();
                    let share = self.bytes as f64 / self.bytes_read.max(1) as f64;
                    self.progress.total = (payloads as f64 * share.max(1.0)) as u64;
                    self.progress.estimated = self.bytes_read < self.bytes;
                }
                News::Settled(outcome) => self.count(first, outcome),
            }
        }
    }

    fn count(&mut self, first: usize, outcome: Outcome) {
        self.progress.settled += 1;
        self.progress.failed += u64::from(!matches!(outcome.verdict, Verdict::Accepted { .. }));
        self.resources[first + outcome.resource].1.add(outcome);
    }
}
