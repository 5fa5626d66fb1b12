//! Which payloads are due: the one place that decides whether a known payload is sent again.

use super::table::{Entry, Standing};
use crate::api::refusal::RefusalKind;

/// What makes a payload due although the API accepted it, and whether one is left out although it was refused. Any of the first four is enough.
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
    /// Leave out what was refused because of the payload itself.
    pub skip_refused: bool,
}

/// Whether a payload is to be sent, and if not, why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It is to be sent, unless the API holds a later payload of its record in the files.
    Yes,
    /// It was accepted, but the API may hold another one of its record since: it is to be sent if it is the last one of that in the files.
    InDoubt,
    /// The API holds it.
    Accepted,
    /// It was refused before.
    Refused,
}

impl Resend {
    /// Whether one of the rules asks for a payload that was answered before.
    pub fn asks_for(&self, entry: &Entry) -> bool {
        let at = u64::from(entry.at);
        self.force
            || self.older_than.is_some_and(|time| at < time)
            || self.newer_than.is_some_and(|time| at > time)
            || self.statuses.contains(&entry.status)
    }

    /// Decides for one payload, from what is known of it. `doubtful`: it is not known which payload of its record the API holds.
    pub fn due(&self, known: Option<&Entry>, doubtful: bool) -> Due {
        let Some(entry) = known else { return Due::Yes };
        match entry.standing {
            _ if self.asks_for(entry) => Due::Yes,
            Standing::Accepted if doubtful => Due::InDoubt,
            Standing::Accepted | Standing::Settled => Due::Accepted,
            Standing::Refused(RefusalKind::Payload) if self.skip_refused => Due::Refused,
            _ => Due::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(rules: &Resend, at: u32, status: u16) -> Due {
        standing(rules, at, status, Standing::from_status(status))
    }

    fn standing(rules: &Resend, at: u32, status: u16, standing: Standing) -> Due {
        rules.due(Some(&Entry { key: Entry::NO_KEY, at, status, standing }), false)
    }

    #[test]
    fn a_payload_never_seen_is_due() {
        assert_eq!(Resend::default().due(None, false), Due::Yes);
    }

    #[test]
    fn what_the_api_holds_is_skipped_and_everything_else_is_due() {
        let rules = Resend::default();
        assert_eq!([200, 201, 204].map(|s| due(&rules, 50, s)), [Due::Accepted; 3]);
        assert_eq!([0, 400, 403, 409, 500].map(|s| due(&rules, 50, s)), [Due::Yes; 5]);
        assert_eq!(standing(&rules, 50, 201, Standing::Superseded), Due::Yes);
        assert_eq!(standing(&rules, 50, 400, Standing::Settled), Due::Accepted);
    }

    #[test]
    fn what_the_api_may_no_longer_hold_is_in_doubt() {
        let entry = |standing| Entry { key: Entry::NO_KEY, at: 50, status: 201, standing };
        assert_eq!(Resend::default().due(Some(&entry(Standing::Accepted)), true), Due::InDoubt);
        assert_eq!(Resend::default().due(Some(&entry(Standing::Settled)), true), Due::Accepted);
        let force = Resend { force: true, ..Resend::default() };
        assert_eq!(force.due(Some(&entry(Standing::Accepted)), true), Due::Yes);
    }

    #[test]
    fn skip_refused_leaves_out_what_the_payload_itself_is_to_blame_for_and_nothing_else() {
        let rules = Resend { skip_refused: true, ..Resend::default() };
        let kinds = [
            (RefusalKind::Payload, Due::Refused),
            (RefusalKind::Order, Due::Yes),
            (RefusalKind::Caller, Due::Yes),
            (RefusalKind::Moment, Due::Yes),
            (RefusalKind::Site, Due::Yes),
        ];
        for (kind, expected) in kinds {
            assert_eq!(standing(&rules, 50, 400, Standing::Refused(kind)), expected, "{kind:?}");
        }
        let listed = Resend { statuses: vec![400], ..rules };
        assert_eq!(standing(&listed, 50, 400, Standing::Refused(RefusalKind::Payload)), Due::Yes);
    }

    #[test]
    fn force_makes_everything_due() {
        let rules = Resend { force: true, ..Resend::default() };
        assert_eq!([200, 400].map(|s| due(&rules, 50, s)), [Due::Yes; 2]);
        assert_eq!(standing(&rules, 50, 400, Standing::Settled), Due::Yes);
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
        let rules = Resend { statuses: vec![200, 409], skip_refused: true, ..Resend::default() };
        assert_eq!([200, 201, 409, 400].map(|s| due(&rules, 50, s)), [Due::Yes, Due::Accepted, Due::Yes, Due::Refused]);
    }

    #[test]
    fn any_rule_is_enough() {
        let rules = Resend { older_than: Some(10), statuses: vec![204], ..Resend::default() };
        assert_eq!(
            [due(&rules, 5, 200), due(&rules, 50, 204), due(&rules, 50, 200)],
            [Due::Yes, Due::Yes, Due::Accepted]
        );
    }
}
