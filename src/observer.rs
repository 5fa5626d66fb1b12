//! What a run tells as it goes. A run knows this trait and nothing of terminals; [`crate::terminal`] is for people and log collectors.

use crate::config::Level;

/// Hears of a run, on its calling thread.
pub trait Observer {
    /// A sentence that somebody may want to read.
    fn log(&mut self, level: Level, text: &str);

    /// How far the run is; comes often, so it must cost little.
    fn progress(&mut self, progress: &Progress);

    /// The run sends no more payloads.
    fn finished(&mut self);
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The tier at work, from 1.
    pub tier: usize,
    /// How many tiers have files.
    pub tiers: usize,
    /// The name of a resource at work.
    pub resource: String,
    /// Payloads whose fate is known.
    pub settled: u64,
    /// Payloads in all; told from sizes as long as not all has been read.
    pub total: u64,
    /// Whether `total` is an estimate.
    pub estimated: bool,
    /// Payloads refused or unsent.
    pub failed: u64,
}
