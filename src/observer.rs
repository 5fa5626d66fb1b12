//! What a run tells as it goes. A run knows this trait and nothing of terminals; [`crate::terminal`] is for people and log collectors.

use crate::config::Level;

/// Hears of a run, from one thread at a time.
pub trait Observer: Send {
    /// A sentence that somebody may want to read.
    fn log(&mut self, level: Level, text: &str);

    /// A warning that the summary and the results repeat, because it bears on what the run means.
    fn warn(&mut self, text: &str) {
        self.log(Level::Warning, text);
    }

    /// How far the run is; comes often, so it must cost little.
    fn progress(&mut self, progress: &Progress);

    /// The run sends no more payloads.
    fn finished(&mut self);
}

/// What a run does, and so what its progress counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// It sends payloads, tier after tier.
    #[default]
    Send,
    /// It fetches records, resource after resource.
    Fetch,
    /// It looks for the records of payloads, tier after tier.
    Search,
    /// It deletes records, tier after tier.
    Delete,
}

impl Work {
    /// What it goes through and what it counts.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Work::Send => ("tier", "payloads"),
            Work::Fetch => ("resource", "records"),
            Work::Search => ("tier", "payloads looked up"),
            Work::Delete => ("tier", "records"),
        }
    }
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is done.
    pub work: Work,
    /// The tier at work, from 1; of a fetch, the resource.
    pub tier: usize,
    /// How many tiers have files; of a fetch, how many resources there are.
    pub tiers: usize,
    /// The name of a resource at work.
    pub resource: String,
    /// Payloads whose fate is known, or records fetched.
    pub settled: u64,
    /// Payloads or records in all; told from sizes as long as not all has been read.
    pub total: u64,
    /// Whether `total` is an estimate.
    pub estimated: bool,
    /// Payloads refused or unsent, or resources that could not be fetched.
    pub failed: u64,
}

impl Progress {
    /// Tells how many payloads there are in all, given that so many were in the first so many bytes.
    pub fn estimate(&mut self, payloads: u64, bytes_read: u64, bytes: u64) {
        let share = bytes as f64 / bytes_read.max(1) as f64;
        self.total = (payloads as f64 * share.max(1.0)) as u64;
        self.estimated = bytes_read < bytes;
    }
}
