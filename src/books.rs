//! What is known of a run so far. One thread has it at a time.

use crate::observer::Progress;
use crate::outcome::{Outcome, Tally, Verdict};
use crate::plan::Plan;
use crate::resource::Resource;
use crate::sift::Sifted;

/// The tallies of all resources, and how far the run is.
pub struct Books {
    resources: Vec<(Resource, Tally)>,
    progress: Progress,
    /// Bytes of all files, and of those the bytes read, to tell how many payloads there may be.
    bytes: u64,
    bytes_read: u64,
}

impl Books {
    /// Of a run that has not begun.
    pub fn new(plan: &Plan) -> Books {
        Books {
            resources: plan.jobs().map(|job| (job.turn.resource.clone(), Tally::default())).collect(),
            progress: Progress { tiers: plan.tiers.len(), ..Progress::default() },
            bytes: plan.bytes(),
            bytes_read: 0,
        }
    }

    /// Turns to the tier of that number, from 0.
    pub fn begin(&mut self, tier: usize) {
        self.progress.tier = tier + 1;
    }

    /// Enters what sifting a block told.
    pub fn sifted(&mut self, sifted: Sifted) {
        let (resource, tally) = &mut self.resources[sifted.resource];
        self.progress.resource = resource.label().into();
        tally.counts.add(&sifted.counts);
        self.bytes_read += sifted.bytes;
        self.progress.settled += sifted.counts.settled();
        for (place, refusal) in sifted.left_out {
            let correlation_id = refusal.correlation_id.as_deref().map(Into::into);
            tally.left_out.add(refusal.reason(), place, correlation_id);
        }
        tally.unread.extend(sifted.unread);
        sifted.flaws.into_iter().for_each(|flaw| self.settled(flaw));
        let payloads: u64 = self.resources.iter().map(|(_, tally)| tally.counts.payloads()).sum();
        self.progress.estimate(payloads, self.bytes_read, self.bytes);
    }

    /// Enters what became of a payload.
    pub fn settled(&mut self, outcome: Outcome) {
        self.progress.settled += 1;
        self.progress.failed += u64::from(!matches!(outcome.verdict, Verdict::Accepted { .. }));
        self.resources[outcome.resource].1.add(outcome);
    }

    /// How far the run is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How many payloads the API has taken.
    pub fn accepted(&self) -> u64 {
        self.resources.iter().map(|(_, tally)| tally.counts.created + tally.counts.updated).sum()
    }

    /// How many payloads got no final answer.
    pub fn unsent(&self) -> u64 {
        self.resources.iter().map(|(_, tally)| tally.counts.unsent).sum()
    }

    /// Each resource's tally, in the order of the plan.
    pub fn close(self) -> Vec<(Resource, Tally)> {
        self.resources
    }
}
