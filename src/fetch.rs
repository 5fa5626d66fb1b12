//! A fetch: every record of the wanted resources, each resource as a file of lines.
//!
//! The first page of a resource tells how many records there are; what more there is becomes stretches of pages, which all workers share, of
//! whichever resources are at hand. A stretch goes page by page into a file of its own ([`draft`]), so that memory holds a page for each worker
//! and the order of records is that of the API whatever comes first. When the last stretch of a resource is done, the calling
//! thread joins its parts and puts the file in place: it is there whole or not at all.

pub mod draft;
pub mod harvest;
pub mod manifest;
pub mod record;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use self::draft::{Drafts, Placed, close};
use self::harvest::{Ending, Harvest};
use self::record::{Shape, lines};
use crate::api::Api;
use crate::config::Level;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::observer::{Observer, Progress, Work};
use crate::outcome::Reason;
use crate::pages::{Got, Pages, Stretch, unusual};
use crate::pool::{self, Workers};
use crate::resource::Resource;
use crate::results::Stopped;

/// What does not change during a fetch.
pub struct Fetch<'a> {
    /// Whom to ask for what.
    pub sources: Vec<Source<'a>>,
    /// What of each record is kept.
    pub shape: Shape,
    /// Where the files go.
    pub folder: &'a Path,
    /// Whether files that differ are replaced.
    pub force: bool,
    /// Who asks.
    pub pool: &'a Workers,
    /// Whether somebody wants it to stop.
    pub interrupt: &'a Interrupt,
    /// Set once, when the fetch cannot go on.
    pub stop: OnceLock<Stopped>,
    /// Records that have come, for those who watch.
    pub fetched: AtomicU64,
}

/// A resource that is wanted.
pub struct Source<'a> {
    /// Which.
    pub resource: Resource,
    /// How it is asked for.
    pub pages: Pages<'a>,
}

/// A stretch of a resource that is to be walked.
struct Errand {
    source: usize,
    /// The number of its part; that of the first page is 0.
    part: usize,
    stretch: Stretch,
    /// How many of the resource's stretches are not done.
    left: Arc<AtomicUsize>,
}

/// What a part brought.
#[derive(Default)]
struct Part {
    records: u64,
    ids: Vec<u64>,
}

/// What becomes known of a source, or of a stretch of it. That of a stretch may come before that of its source.
struct News {
    source: usize,
    is_stretch: bool,
    what: What,
}

enum What {
    /// The source is so large, and so many stretches are to be walked.
    Opened { total: Option<u64>, stretches: usize, by_cursor: bool, first: Part },
    /// The stretch was walked. The last one brings how many records there are now.
    Walked { part: Part, after: Option<Got<Option<u64>>> },
    /// It could not be read.
    Failed(Reason),
    /// The run stopped before.
    Missed,
}

/// What is known of a source.
#[derive(Default)]
struct Ledger {
    harvest: Harvest,
    opened: bool,
    /// Stretches told less those walked.
    open: isize,
    parts: usize,
    ids: Vec<u64>,
}

impl Fetch<'_> {
    /// Fetches all, and tells of each source what became of it, in their order. An error is one of the disk or of lightbeam itself; that the API failed
    /// is told by `stop`.
    pub fn run(&self, api: &Api, observer: &mut dyn Observer) -> Result<Vec<Harvest>> {
        let drafts = Drafts::within(self.folder)?;
        let mut ledgers: Vec<Ledger> = self.sources.iter().map(|_| Ledger::default()).collect();
        let mut progress = Progress { work: Work::Fetch, tiers: self.sources.len(), ..Progress::default() };
        let mut told_to_stop = false;
        let open = |source| self.open(source, &drafts);
        let walk = |errand, hand_in: &dyn Fn(News)| hand_in(self.walk(errand, &drafts));
        pool::run(self.pool, 0..self.sources.len(), open, walk, |news| {
            for news in news {
                self.learn(news, &mut ledgers, &drafts, &mut progress, observer);
            }
            api.warnings().iter().chain(&api.waits()).for_each(|text| observer.log(Level::Warning, text));
            if self.interrupt.asked().is_some() && !std::mem::replace(&mut told_to_stop, true) {
                let text = "stopping as soon as the requests under way are answered; ask again to end at once";
                observer.log(Level::Warning, text);
            }
            progress.settled = self.fetched.load(Ordering::Relaxed);
            progress.total = progress.total.max(progress.settled);
            observer.progress(&progress);
        })
        .map_err(|_| Error::bug("a worker came upon a bug in lightbeam"))?;
        observer.finished();
        Ok(ledgers.into_iter().map(|ledger| ledger.harvest).collect())
    }

    /// Gets the first page of a source, and finds out what more there is.
    fn open(&self, source: usize, drafts: &Drafts) -> (Option<News>, Vec<Errand>) {
        let (what, errands) = match self.stopped() {
            true => (What::Missed, Vec::new()),
            false => match self.opened(source, drafts) {
                Ok(Ok(opened)) => opened,
                Ok(Err(reason)) => (What::Failed(reason), Vec::new()),
                Err(error) => (self.missed_for(&error), Vec::new()),
            },
        };
        (Some(News { source, is_stretch: false, what }), errands)
    }

    fn opened(&self, source: usize, drafts: &Drafts) -> Result<Got<(What, Vec<Errand>)>> {
        let pages = &self.sources[source].pages;
        let first = match pages.first()? {
            Ok(first) => first,
            Err(reason) => return Ok(Err(reason)),
        };
        let lines = match lines(&first.body, &self.shape) {
            Ok(lines) => lines,
            Err(error) => return Ok(Err(no_page(&error))),
        };
        // Where nobody counts, only an empty page is the last one: a host may give shorter pages than are asked for.
        let is_all = first.total.map_or(lines.count == 0, |total| total <= lines.count);
        let page = lines.page(&first.body);
        let stretches = match is_all {
            true => Vec::new(),
            false => match pages.stretches(first.total, Some(page), self.pool.current_num_threads())? {
                Ok(stretches) => stretches,
                Err(reason) => return Ok(Err(reason)),
            },
        };
        // Walks by cursor begin at the beginning.
        let by_cursor = stretches.iter().any(|stretch| matches!(stretch, Stretch::Cursor(_)));
        let mut part = Part::default();
        if !by_cursor {
            let mut file = drafts.part(source, 0)?;
            self.keep(&lines.bytes, &mut file)?;
            close(file)?;
            self.fetched.fetch_add(lines.count, Ordering::Relaxed);
            part = Part { records: lines.count, ids: lines.ids };
        }
        let left = Arc::new(AtomicUsize::new(stretches.len()));
        let opened = What::Opened { total: first.total, stretches: stretches.len(), by_cursor, first: part };
        let errand = |(part, stretch)| Errand { source, part, stretch, left: left.clone() };
        Ok(Ok((opened, (1..).zip(stretches).map(errand).collect())))
    }

    fn walk(&self, errand: Errand, drafts: &Drafts) -> News {
        let what = match self.stopped() {
            true => What::Missed,
            false => self.walked(&errand, drafts).unwrap_or_else(|error| self.missed_for(&error)),
        };
        News { source: errand.source, is_stretch: true, what }
    }

    fn walked(&self, errand: &Errand, drafts: &Drafts) -> Result<What> {
        let pages = &self.sources[errand.source].pages;
        let mut file = drafts.part(errand.source, errand.part)?;
        let mut part = Part::default();
        let walked = pages.walk(&errand.stretch, |body| {
            if let Some(exit) = self.interrupt.asked() {
                return Err(Error::new(exit, "interrupted while fetching"));
            }
            let lines = match lines(body, &self.shape) {
                Ok(lines) => lines,
                Err(error) => return Ok(Err(no_page(&error))),
            };
            self.keep(&lines.bytes, &mut file)?;
            part.records += lines.count;
            self.fetched.fetch_add(lines.count, Ordering::Relaxed);
            let page = lines.page(body);
            match errand.stretch {
                // A walk by cursor meets no record twice. That two walks do not give the same pages, one record of each page shows.
                Stretch::Cursor(_) => part.ids.extend(lines.ids.first()),
                Stretch::Offsets(_) => part.ids.extend(lines.ids),
            }
            Ok(Ok(page))
        })?;
        close(file)?;
        if let Err(reason) = walked {
            return Ok(What::Failed(reason));
        }
        let is_last = errand.left.fetch_sub(1, Ordering::AcqRel) == 1;
        let after = is_last.then(|| pages.total()).transpose()?;
        Ok(What::Walked { part, after })
    }

    fn keep(&self, lines: &[u8], file: &mut impl Write) -> Result<()> {
        file.write_all(lines).or_stop(Exit::GivenUp, || format!("cannot write to {}", self.folder.display()))
    }

    fn stopped(&self) -> bool {
        self.stop.get().is_some() || self.interrupt.asked().is_some()
    }

    fn missed_for(&self, error: &Error) -> What {
        self.stop_for(error);
        What::Missed
    }

    fn stop_for(&self, error: &Error) {
        // Whatever stopped it first is the reason.
        let _ = self.stop.set(Stopped::for_error(error));
    }

    /// Enters news; a source of which all is known is brought to its end.
    fn learn(
        &self,
        news: News,
        ledgers: &mut [Ledger],
        drafts: &Drafts,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) {
        let (source, ledger) = (&self.sources[news.source], &mut ledgers[news.source]);
        if let What::Opened { total: Some(total), .. } = &news.what {
            progress.total = progress.total.saturating_add(*total);
        }
        if !ledger.enter(news.is_stretch, news.what) {
            return;
        }
        progress.tier += 1;
        progress.resource = source.resource.label().into();
        let harvest = &mut ledger.harvest;
        harvest.overlapping = repeated(std::mem::take(&mut ledger.ids));
        if harvest.ending == Ending::Fetched {
            let path = self.folder.join(format!("{}.jsonl", source.resource.label()));
            match drafts.place(news.source, ledger.parts, &path, self.force) {
                Ok(Placed::Differs) => harvest.ending = Ending::Differs(path),
                Ok(placed) => harvest.file = (placed != Placed::Empty).then_some(path),
                Err(error) => {
                    self.stop_for(&error);
                    harvest.ending = Ending::Missed;
                }
            }
        }
        drafts.forget(news.source, ledger.parts);
        if let Some(trouble) = harvest.trouble() {
            progress.failed += 1;
            observer.log(Level::Warning, &format!("{}: {trouble}", source.resource.label()));
        }
    }
}

impl Ledger {
    /// Enters news, and tells whether all is known with it.
    fn enter(&mut self, is_stretch: bool, what: What) -> bool {
        match is_stretch {
            true => self.open -= 1,
            false => self.opened = true,
        }
        match what {
            What::Opened { total, stretches, by_cursor, first } => {
                self.open += stretches as isize;
                self.parts = stretches + 1;
                (self.harvest.total, self.harvest.by_cursor) = (total, by_cursor);
                self.add(first);
            }
            What::Walked { part, after } => {
                self.add(part);
                match after {
                    Some(Ok(after)) => self.harvest.after = after,
                    // That it cannot be checked is as bad as that it failed.
                    Some(Err(reason)) => self.harvest.ending.turn(Ending::Failed(reason)),
                    None => {}
                }
            }
            What::Failed(reason) => self.harvest.ending.turn(Ending::Failed(reason)),
            What::Missed => self.harvest.ending.turn(Ending::Missed),
        }
        self.opened && self.open == 0
    }

    fn add(&mut self, part: Part) {
        self.harvest.records += part.records;
        self.ids.extend(part.ids);
    }
}

/// How many of the ids came before.
fn repeated(mut ids: Vec<u64>) -> u64 {
    ids.sort_unstable();
    ids.windows(2).filter(|two| two[0] == two[1]).count() as u64
}

fn no_page(error: &serde_json::Error) -> Reason {
    unusual(&format!("the API answered what is no list of records: {error}"))
}
