//! Whether it is of use to send a resource at all, or the payloads of one of its namespaces: the API may refuse it as a whole, or fail at
//! it while it serves others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

use crate::api::refusal::{Refusal, RefusalKind};
use crate::api::send::Settled;
use crate::outcome::Reason;

/// So many refusals of the resource, with no other answer between them, close its door.
const KNOCKS: u32 = 5;

/// So many failures of the server in a row raise the question whether it fails at a resource of which it accepted some payloads: a few that
/// it cannot stand may be neighbours.
const KNOCKS_LATER: u32 = 12;

/// One resource's door; workers share it.
#[derive(Debug, Default)]
pub struct Door {
    /// Refusals of the resource in a row.
    refusals: AtomicU32,
    /// Failures of the server in a row.
    failures: AtomicU32,
    /// And how many of them tell of the resource.
    telling: AtomicU32,
    /// How many payloads were accepted.
    accepted: AtomicU32,
    /// Whether the API served another resource after the last row of failures. Held by the one who asks.
    others_served: Mutex<bool>,
    closed: OnceLock<Reason>,
    /// Whether any namespace was refused.
    has_namespaces: AtomicBool,
    namespaces: Mutex<BTreeMap<String, Namespace>>,
}

/// One namespace that was refused.
#[derive(Debug, Default)]
struct Namespace {
    /// How often in a row.
    refusals: u32,
    closed: Option<Reason>,
}

impl Door {
    /// Why nothing more is sent, if the door is closed.
    pub fn closed(&self) -> Option<&Reason> {
        self.closed.get()
    }

    /// Why this payload is not sent, if the door is closed to its namespace.
    pub fn closed_to(&self, payload: &[u8]) -> Option<Reason> {
        if !self.has_namespaces.load(Ordering::Relaxed) {
            return None;
        }
        let namespace = namespace(payload)?;
        lock(&self.namespaces).get(&namespace).and_then(|known| known.closed.clone())
    }

    /// How many payloads of the resource were accepted.
    pub fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Takes note of an answer.
    pub fn answered(&self, settled: &Settled) {
        match settled {
            Settled::Refused(refusal) if refusal.kind_among(self.accepted() > 0) == RefusalKind::Resource => {
                if self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= KNOCKS {
                    self.close(
                        format!("not sent, because the API refuses this whole resource: {}", refusal.text()),
                        refusal,
                    );
                }
            }
            Settled::Refused(refusal) if refusal.foreign => {}
            Settled::Accepted(_) => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                clear(&self.refusals);
                clear(&self.failures);
                clear(&self.telling);
            }
            Settled::Refused(_) => {
                clear(&self.refusals);
                clear(&self.failures);
                clear(&self.telling);
            }
            Settled::Failed(_) | Settled::NoAnswer { .. } => {}
        }
    }

    /// The refusal with what is known of other payloads of the resource.
    pub fn seen(&self, refusal: Refusal) -> Refusal {
        Refusal { others_accepted: self.accepted() > 0, ..refusal }
    }

    /// Takes note of what the namespace of a payload was answered, where that is known to matter.
    pub fn answered_to(&self, payload: &[u8], settled: &Settled) {
        match settled {
            Settled::Refused(refusal) if refusal.is_of_namespace() => {
                let Some(namespace) = namespace(payload) else { return };
                let mut namespaces = lock(&self.namespaces);
                self.has_namespaces.store(true, Ordering::Relaxed);
                let known = namespaces.entry(namespace.clone()).or_default();
                known.refusals += 1;
                if known.refusals >= KNOCKS {
                    let text = refusal.text();
                    let message =
                        format!("not sent, because the API refuses the namespace {namespace} of this resource: {text}");
                    known.closed.get_or_insert(Reason::of_answer(Some(refusal.status), message));
                }
            }
            Settled::Accepted(_) if self.has_namespaces.load(Ordering::Relaxed) => {
                if let Some(namespace) = namespace(payload) {
                    lock(&self.namespaces).remove(&namespace);
                }
            }
            _ => {}
        }
    }

    /// The API failed at a payload with 5xx. After so many in a row with none accepted, `serves_others` asks whether it serves another
    /// resource; if it does, and again after as many more, it is this resource that fails, and its door closes. `tells`: the payload was not
    /// among those that failed before while others were accepted.
    pub fn failed(&self, refusal: &Refusal, tells: bool, serves_others: impl FnOnce() -> bool) {
        let most = if self.accepted() > 0 { KNOCKS_LATER } else { KNOCKS };
        self.telling.fetch_add(u32::from(tells), Ordering::Relaxed);
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 < most || self.closed().is_some() {
            return;
        }
        let mut others_served = lock(&self.others_served);
        // Somebody else may have asked meanwhile.
        if self.failures.load(Ordering::Relaxed) < most {
            return;
        }
        let serves = serves_others();
        let all_tell = self.telling.swap(0, Ordering::Relaxed) >= most;
        self.failures.store(0, Ordering::Relaxed);
        // One answer may come just when a host is back that failed at everything.
        if serves && all_tell && *others_served {
            let text = refusal.text();
            self.close(
                format!("not sent, because the API fails at this whole resource while it serves others: {text}"),
                refusal,
            );
        }
        *others_served = serves && all_tell;
    }

    fn close(&self, message: String, refusal: &Refusal) {
        let _ = self.closed.set(Reason::of_answer(Some(refusal.status), message));
    }
}

/// Stores nothing where nothing is to be cleared: all workers would wait for each other.
fn clear(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

/// The namespace of a payload: its own (descriptors, assessments), else that of the first reference that has one.
fn namespace(payload: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    let members = value.as_object()?;
    let of = |members: &serde_json::Map<String, Value>| {
        let (_, value) = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("namespace"))?;
        value.as_str().map(String::from)
    };
    of(members).or_else(|| members.values().filter_map(Value::as_object).find_map(of))
}

/// A panic elsewhere leaves these values whole: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reply::Reply;

    fn refusal(status: u16, kind: &str) -> Refusal {
        let problem_type = Some(format!("urn:ed-fi:api:{kind}"));
        Refusal { status, problem_type, messages: vec!["no".into()], ..Refusal::default() }
    }

    fn refused(status: u16) -> Settled {
        Settled::Refused(refusal(status, "x"))
    }

    fn accepted() -> Settled {
        Settled::Accepted(Reply::default())
    }

    #[test]
    fn five_refusals_of_the_resource_in_a_row_close_its_door() {
        let door = Door::default();
        (0..4).for_each(|_| door.answered(&refused(404)));
        assert!(door.closed().is_none());
        door.answered(&refused(404));
        assert_eq!(door.closed().and_then(|reason| reason.status), Some(404));
    }

    #[test]
    fn every_refusal_of_a_whole_resource_closes_it_and_no_other_does() {
        let closes = |status, kind: &str| {
            let door = Door::default();
            (0..100).for_each(|_| door.answered(&Settled::Refused(refusal(status, kind))));
            door.closed().is_some()
        };
        for (status, kind) in [
            (404, "not-found"),
            (405, "method-not-allowed"),
            (415, "unsupported-media-type"),
            (403, "security:authorization:access-denied:action"),
            (403, "security:authorization:access-denied:resource"),
            (403, "security:data-policy:incorrect-usage"),
        ] {
            assert!(closes(status, kind), "{status} {kind}");
        }
        for (status, kind) in [
            (400, "bad-request:data-validation-failed"),
            (409, "data-conflict:unresolved-reference"),
            (409, "data-conflict:non-unique-identity"),
            (403, "security:authorization"),
            (403, "security:authorization:namespace:access-denied:namespace-mismatch"),
            (413, "too-large"),
        ] {
            assert!(!closes(status, kind), "{status} {kind}");
        }
    }

    #[test]
    fn any_other_answer_keeps_it_open() {
        let door = Door::default();
        for answer in [accepted(), refused(400)] {
            (0..4).for_each(|_| door.answered(&refused(404)));
            door.answered(&answer);
            (0..4).for_each(|_| door.answered(&refused(404)));
            assert!(door.closed().is_none());
            door.answered(&accepted());
        }
    }

    #[test]
    fn where_others_were_accepted_a_missing_claim_or_a_media_type_is_about_one_payload() {
        let door = Door::default();
        door.answered(&accepted());
        (0..100).for_each(|_| door.answered(&Settled::Refused(refusal(415, "unsupported-media-type"))));
        (0..100).for_each(|_| door.answered(&Settled::Refused(refusal(403, "authorization:access-denied:action"))));
        assert!(door.closed().is_none());
    }

    #[test]
    fn a_namespace_that_is_refused_five_times_in_a_row_is_closed_and_others_are_not() {
        let mismatch =
            Settled::Refused(refusal(403, "security:authorization:namespace:access-denied:namespace-mismatch"));
        let (theirs, ours) = (br#"{"codeValue":"a","namespace":"uri://theirs"}"#, br#"{"namespace":"uri://ours"}"#);
        let by_reference = br#"{"assessmentReference":{"namespace":"uri://theirs"}}"#;
        let door = Door::default();
        (0..4).for_each(|_| door.answered_to(theirs, &mismatch));
        door.answered_to(ours, &accepted());
        assert!(door.closed_to(theirs).is_none());
        door.answered_to(by_reference, &mismatch);
        let reason = door.closed_to(theirs).unwrap();
        assert!(reason.message.contains("the namespace uri://theirs") && reason.status == Some(403), "{reason:?}");
        assert!(door.closed_to(by_reference).is_some() && door.closed_to(ours).is_none() && door.closed().is_none());
        let door = Door::default();
        (0..4).for_each(|_| door.answered_to(theirs, &mismatch));
        door.answered_to(theirs, &accepted());
        (0..4).for_each(|_| door.answered_to(theirs, &mismatch));
        assert!(door.closed_to(theirs).is_none());
    }

    #[test]
    fn a_resource_at_which_the_api_fails_is_closed_if_others_are_served_before_and_after() {
        let door = Door::default();
        let fails =
            |times: usize, serves: bool| (0..times).for_each(|_| door.failed(&refusal(500, "system"), true, || serves));
        fails(5, true);
        assert!(door.closed().is_none(), "the host may have come back just then");
        fails(4, true);
        assert!(door.closed().is_none());
        fails(1, true);
        assert!(door.closed().is_some_and(|reason| reason.message.contains("fails at this whole resource")));
    }

    #[test]
    fn an_api_that_fails_at_others_too_or_accepts_some_closes_no_door() {
        let door = Door::default();
        (0..100).for_each(|_| door.failed(&refusal(500, "system"), true, || false));
        assert!(door.closed().is_none());
        for _ in 0..100 {
            door.answered(&accepted());
            (0..11).for_each(|_| door.failed(&refusal(500, "system"), true, || true));
        }
        (0..100).for_each(|_| door.failed(&refusal(500, "system"), false, || true));
        assert!(door.closed().is_none());
    }
}
