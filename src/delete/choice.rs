//! Which payloads' records a delete is about, where history decides: `--older-than`, `--newer-than` and
//! `--resend-status-codes` select among the payloads that were sent before, as in the Python lightbeam 0.1.12.

use std::sync::Arc;

use crate::digest::Digest;
use crate::state::resend::Resend;
use crate::state::table::{Standing, Table};

/// Which payloads of the plan take part.
pub enum Choice {
    /// Each of them.
    All,
    /// Those that were never sent, and of the others those that the rules ask for.
    Asked {
        /// What asks for a payload that was sent before.
        rules: Resend,
        /// What is known of the payloads of each of the plan's jobs.
        known: Vec<Arc<Table>>,
    },
}

impl Choice {
    /// Whether a payload of the job takes part.
    pub fn wants(&self, job: usize, digest: &Digest) -> bool {
        match self {
            Choice::All => true,
            Choice::Asked { rules, known } => match known.get(job).and_then(|table| table.get(digest)) {
                // A payload whose record is gone is one that was never sent.
                Some(entry) if entry.standing != Standing::Gone => rules.asks_for(&entry),
                _ => true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::table::Entry;

    #[test]
    fn what_was_sent_takes_part_only_if_a_rule_asks_for_it() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let entry = |at, status, standing| Entry { key: Entry::NO_KEY, at, status, standing };
        let rows = vec![
            (digest("old"), entry(10, 201, Standing::Accepted)),
            (digest("new"), entry(90, 200, Standing::Accepted)),
            (digest("gone"), entry(90, 0, Standing::Gone)),
        ];
        let table = Arc::new(Table::default().with(rows));
        let wanted = |rules: Resend| {
            let choice = Choice::Asked { rules, known: vec![table.clone()] };
            ["old", "new", "gone", "never sent"].map(|text| choice.wants(0, &digest(text)))
        };
        assert_eq!(wanted(Resend { older_than: Some(50), ..Resend::default() }), [true, false, true, true]);
        assert_eq!(wanted(Resend { newer_than: Some(50), ..Resend::default() }), [false, true, true, true]);
        assert_eq!(wanted(Resend { statuses: vec![201], ..Resend::default() }), [true, false, true, true]);
        assert_eq!(wanted(Resend { force: true, ..Resend::default() }), [true; 4]);
        assert_eq!(wanted(Resend::default()), [false, false, true, true]);
        assert!(Choice::All.wants(0, &digest("new")));
    }
}
