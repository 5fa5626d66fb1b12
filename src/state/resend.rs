//! Which payloads are due: the one place that decides whether a known payload is sent again.

use super::table::Entry;

/// What makes a known payload due; any of them suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resend {
    /// Whatever is known.
    pub force: bool,
    /// Last answered before this time (seconds since 1970).
    pub older_than: Option<u64>,
    /// Last answered after this time (seconds since 1970).
    pub newer_than: Option<u64>,
    /// Last answered with one of these statuses.
    pub statuses: Vec<u16>,
    /// Last answered with a refusal.
    pub failed: bool,
}

/// Whether a payload is to be sent, and if not, why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is to be sent.
    Yes,
    /// It was accepted before.
    Accepted,
    /// It was refused before.
    Refused,
}

impl Resend {
    /// Decides for one payload, from what is known of it.
    pub fn due(&self, known: Option<Entry>) -> Due {
        let Some(entry) = known else { return Due::Yes };
        let at = u64::from(entry.at);
        let again = entry.status == Entry::NO_ANSWER
            || self.force
            || self.older_than.is_some_and(|time| at < time)
            || self.newer_than.is_some_and(|time| at > time)
            || self.statuses.contains(&entry.status)
            || (self.failed && !entry.accepted());
        match again {
            true => Due::Yes,
            false if entry.accepted() => Due::Accepted,
            false => Due::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(rules: &Resend, at: u32, status: u16) -> Due {
        rules.due(Some(Entry { at, status }))
    }

    #[test]
    fn a_payload_never_seen_is_due() {
        assert_eq!(Resend::default().due(None), Due::Yes);
    }

    #[test]
    fn a_known_payload_is_skipped_and_says_how_it_was_answered() {
        let rules = Resend::default();
        assert_eq!([200, 201, 204].map(|s| due(&rules, 50, s)), [Due::Accepted; 3]);
        assert_eq!([400, 403, 409].map(|s| due(&rules, 50, s)), [Due::Refused; 3]);
    }

    #[test]
    fn a_payload_without_a_final_answer_is_due() {
        assert_eq!(due(&Resend::default(), 50, Entry::NO_ANSWER), Due::Yes);
    }

    #[test]
    fn force_makes_everything_due() {
        let rules = Resend { force: true, ..Resend::default() };
        assert_eq!([200, 400].map(|s| due(&rules, 50, s)), [Due::Yes; 2]);
    }

    #[test]
    fn older_and_newer_leave_out_their_own_second() {
        let older = Resend { older_than: Some(50), ..Resend::default() };
        assert_eq!([49, 50, 51].map(|at| due(&older, at, 200)), [Due::Yes, Due::Accepted, Due::Accepted]);
        let newer = Resend { newer_than: Some(50), ..Resend::default() };
        assert_eq!([49, 50, 51].map(|at| due(&newer, at, 200)), [Due::Accepted, Due::Accepted, Due::Yes]);
    }

    #[test]
    fn a_listed_status_is_due_and_no_other() {
        let rules = Resend { statuses: vec![200, 409], ..Resend::default() };
        assert_eq!([200, 201, 409, 400].map(|s| due(&rules, 50, s)), [Due::Yes, Due::Accepted, Due::Yes, Due::Refused]);
    }

    #[test]
    fn failed_means_whatever_was_refused() {
        let rules = Resend { failed: true, ..Resend::default() };
        assert_eq!([201, 400, 409].map(|s| due(&rules, 50, s)), [Due::Accepted, Due::Yes, Due::Yes]);
    }

    #[test]
    fn any_rule_suffices() {
        let rules = Resend { older_than: Some(10), statuses: vec![409], ..Resend::default() };
        assert_eq!(
            [due(&rules, 5, 200), due(&rules, 50, 409), due(&rules, 50, 200)],
            [Due::Yes, Due::Yes, Due::Accepted]
        );
    }
}
