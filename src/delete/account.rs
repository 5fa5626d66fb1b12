//! What became of the records that were to be deleted, resource by resource.

use std::collections::BTreeMap;

use crate::outcome::{Counts, Place, Places, Reason};

/// What is known of one resource.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What became of the lines of its files before any was looked up: read, blank, duplicates, skipped because they
    /// are not selected. Of a truncate, none.
    pub lines: Counts,
    /// Why its records cannot be counted or read, if so: a truncate leaves such a resource as it is.
    pub unread: Option<Reason>,
    /// Records that are there and to be deleted.
    pub there: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Records that were gone already, when they were looked up or when they were to be deleted.
    pub gone: u64,
    /// The API's final no, or a payload whose record cannot be told.
    pub refused: u64,
    /// Without a final answer.
    pub unsent: u64,
    /// The failures, by reason.
    pub failures: BTreeMap<Reason, Failure>,
}

/// How often one reason was met, and where, as far as it is one of payloads.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// How often.
    pub count: u64,
    /// The lines of each file.
    pub places: Places,
}

/// How it ended for one payload or record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is deleted.
    Deleted,
    /// It was gone already.
    Gone,
    /// It is there still, or is not known to be the one.
    Refused(Reason),
    /// Nobody knows.
    Unsent(Reason),
    /// The run stopped before its turn.
    Untried,
}

impl Account {
    /// So many different reasons are kept; further ones are filed together by status.
    const REASONS: usize = 5_000;

    /// Enters how it ended for one.
    pub fn enter(&mut self, fate: &Fate, place: Option<&Place>) {
        match fate {
            Fate::Deleted => self.deleted += 1,
            Fate::Gone => self.gone += 1,
            Fate::Refused(reason) => {
                self.refused += 1;
                self.file(reason, place);
            }
            Fate::Unsent(reason) => {
                self.unsent += 1;
                self.file(reason, place);
            }
            // That the run stopped is told once, not for each.
            Fate::Untried => self.unsent += 1,
        }
    }

    fn file(&mut self, reason: &Reason, place: Option<&Place>) {
        let reason = match self.failures.len() < Account::REASONS || self.failures.contains_key(reason) {
            true => reason.clone(),
            false => Reason::of_answer(reason.status, "(further messages, not kept apart)"),
        };
        let failure = self.failures.entry(reason).or_default();
        failure.count += 1;
        if let Some(place) = place {
            failure.places.entry(place.file.clone()).or_default().push(place.line);
        }
    }

    /// How many payloads or, where no lines are read, records there are to account for.
    pub fn processed(&self) -> u64 {
        self.lines.payloads().max(self.there)
    }

    /// Accounts for what was not tried because the run stopped.
    pub fn leave(&mut self) {
        let accounted = self.lines.duplicates + self.lines.skipped + self.done() + self.refused + self.unsent;
        self.unsent += self.processed().saturating_sub(accounted);
    }

    /// Those that went, or had gone.
    pub fn done(&self) -> u64 {
        self.deleted + self.gone
    }

    /// Whether something failed.
    pub fn is_bad(&self) -> bool {
        self.refused + self.unsent > 0 || self.unread.is_some()
    }

    /// Adds what is counted elsewhere. Reasons are told of each resource, not of all.
    pub fn add(&mut self, other: &Account) {
        self.lines.add(&other.lines);
        self.there += other.there;
        self.deleted += other.deleted;
        self.gone += other.gone;
        self.refused += other.refused;
        self.unsent += other.unsent;
    }
}
