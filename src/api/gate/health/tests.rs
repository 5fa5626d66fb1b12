//! How health is judged, with time that passes only when a test says so.

use super::*;
use crate::api::testing::{broken, status};

/// Health with time that passes only as told.
struct Bed {
    health: Health,
    now: Instant,
}

impl Bed {
    fn new(num_retries: u32) -> Bed {
        let patience = Duration::from_secs(300);
        let policy = Policy { num_retries, backoff_factor: 1.5, statuses: vec![429, 500, 503], patience };
        Bed { health: Health::new(policy), now: Instant::now() }
    }

    /// A payload is tried, which takes 10 ms; the rest that follows, in milliseconds.
    fn tried(&mut self, sign: Sign, ordeal: &mut Ordeal) -> Option<u128> {
        let began = self.now;
        self.now += Duration::from_millis(10);
        self.health.note(sign, ordeal, began, self.now, true, 1.0).rest.map(|rest| rest.length.as_millis())
    }

    /// Waits until nobody rests.
    fn wake(&mut self) {
        self.now = self.health.rest(self.now).unwrap_or(self.now);
    }
}

const UNWELL: Sign = Sign::Unwell { asked: None };

#[test]
fn what_an_answer_says_of_the_api() {
    let of = |answer: &Answer| Sign::of(answer, Timestamp::UNIX_EPOCH);
    for well in [200, 201, 400, 401, 403, 404, 409, 413] {
        assert_eq!(of(&status(well, "")), Sign::Well, "{well}");
    }
    for unwell in [429, 502, 503, 504] {
        assert_eq!(of(&status(unwell, "")), UNWELL, "{unwell}");
    }
    for failed in [408, 500, 501, 507] {
        assert_eq!(of(&status(failed, "")), Sign::Failed, "{failed}");
    }
    for kind in [Kind::Connect, Kind::Lookup, Kind::NoSuchHost, Kind::Tls, Kind::Timeout] {
        assert_eq!(of(&broken(kind)), UNWELL, "{kind:?}");
    }
    assert_eq!(of(&broken(Kind::Cut)), Sign::Cut);
    for foreign in [202, 302, 402, 511] {
        assert_eq!(of(&status(foreign, "")), Sign::Foreign, "{foreign}");
    }
    for kind in [Kind::Certificate, Kind::NoTls, Kind::Request] {
        assert_eq!(of(&broken(kind)), Sign::Failed, "{kind:?}");
    }
    let asked = crate::api::reply::Reply { status: 503, retry_after: Some("7".into()), ..Default::default() };
    assert_eq!(of(&Ok(asked)), Sign::Unwell { asked: Some(Duration::from_secs(7)) });
}

/// The rests until an API that always gives this sign is hopeless, and how long they took in all, in seconds.
fn rests(bed: &mut Bed, sign: Sign) -> (Vec<u128>, u64) {
    let (began, mut ordeals) = (bed.now, [Ordeal::default(); 8]);
    let (mut rests, mut tried) = (Vec::new(), 0);
    while !bed.health.is_hopeless() {
        rests.extend(bed.tried(sign, &mut ordeals[tried % 8]));
        tried += 1;
        bed.wake();
    }
    (rests, (bed.now - began).as_secs())
}

#[test]
fn an_api_that_stays_unwell_rests_everybody_for_as_long_as_patience_lasts_and_is_then_hopeless() {
    let (rests, seconds) = rests(&mut Bed::new(10), UNWELL);
    assert_eq!(rests[..10], [100, 500, 750, 1125, 1687, 2531, 3796, 5695, 8542, 10_000]);
    assert!(seconds == 300 && rests[10..rests.len() - 2].iter().all(|rest| *rest == 10_000), "{seconds} {rests:?}");
}

#[test]
fn a_restart_of_ninety_seconds_is_survived() {
    for sign in [UNWELL, Sign::Cut] {
        for payloads in [1, 8] {
            let (mut bed, mut ordeals) = (Bed::new(10), vec![Ordeal::default(); payloads]);
            let back = bed.now + Duration::from_secs(90);
            for number in 0.. {
                bed.tried(sign, &mut ordeals[number % payloads]);
                assert!(!bed.health.is_hopeless() && !bed.health.is_doubtful(), "{sign:?} {payloads}");
                // Where nobody rests the payload itself waits.
                bed.now = bed.health.rest(bed.now).unwrap_or(bed.now + Duration::from_secs(5));
                if bed.now >= back {
                    break;
                }
            }
            assert!(bed.now < back + Duration::from_secs(10), "it is soon noticed that the host is back");
            bed.tried(Sign::Well, &mut ordeals[0]);
            assert_eq!(bed.tried(UNWELL, &mut ordeals[0]), Some(100), "it is a new trouble");
        }
    }
}

#[test]
fn few_repetitions_end_patience_with_the_host_as_well() {
    let (rests, _) = rests(&mut Bed::new(5), UNWELL);
    assert_eq!(rests, [100, 500, 750, 1125, 1687, 2531]);
}

#[test]
fn at_the_start_of_a_run_a_host_is_waited_for_half_a_minute() {
    let Bed { mut health, mut now } = Bed::new(10);
    let began = now;
    while !health.is_hopeless() {
        health.note(UNWELL, &mut Ordeal::default(), now, now, false, 1.0);
        now = health.rest(now).unwrap_or(now);
    }
    assert_eq!((now - began).as_secs(), 30);
}

#[test]
fn connections_cut_for_one_payload_after_the_other_are_the_hosts_fault() {
    let mut bed = Bed::new(10);
    let mut poison = Ordeal::default();
    (0..5).for_each(|_| assert_eq!(bed.tried(Sign::Cut, &mut poison), None, "it may be to blame"));
    assert_eq!(bed.tried(Sign::Cut, &mut Ordeal::default()), None);
    assert_eq!(bed.tried(Sign::Cut, &mut Ordeal::default()), Some(100));
}

#[test]
fn a_payload_is_told_whether_others_found_the_api_well_meanwhile() {
    let (mut bed, mut ordeal) = (Bed::new(10), Ordeal::default());
    let mut tried = |bed: &mut Bed| bed.health.note(UNWELL, &mut ordeal, bed.now, bed.now, true, 1.0).well;
    assert!(tried(&mut bed), "the first time");
    assert!(!tried(&mut bed) && !tried(&mut bed));
    bed.tried(Sign::Foreign, &mut Ordeal::default());
    assert!(!tried(&mut bed), "an answer of somebody else is not a sign of the API");
    bed.tried(Sign::Well, &mut Ordeal::default());
    assert!(tried(&mut bed));
}

#[test]
fn those_on_their_way_when_trouble_begins_are_part_of_it_and_only_prolong_what_they_were_told_to() {
    let mut bed = Bed::new(10);
    let (began, mut ordeal) = (bed.now, Ordeal::default());
    assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(100));
    let first = bed.health.rest(bed.now);
    for _ in 0..7 {
        assert_eq!(bed.health.note(UNWELL, &mut Ordeal::default(), began, bed.now, true, 1.0).rest, None);
    }
    assert_eq!(bed.health.rest(bed.now), first);
    let asked = Sign::Unwell { asked: Some(Duration::from_secs(7)) };
    assert_eq!(bed.health.note(asked, &mut Ordeal::default(), began, bed.now, true, 1.0).rest, None);
    assert_eq!(bed.health.rest(bed.now), Some(bed.now + Duration::from_secs(7)));
    bed.wake();
    assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(500), "the second rest");
}

#[test]
fn an_api_that_serves_others_is_never_hopeless_and_rests_them_briefly() {
    let mut bed = Bed::new(0);
    for _ in 0..100 {
        let mut ordeal = Ordeal::default();
        assert_eq!(bed.tried(UNWELL, &mut ordeal), Some(100));
        bed.health.spent(&ordeal);
        bed.wake();
        assert_eq!(bed.tried(Sign::Well, &mut Ordeal::default()), None);
        assert!(!bed.health.is_hopeless() && !bed.health.is_doubtful());
    }
}

#[test]
fn a_payload_that_always_fails_alone_leaves_hope() {
    for sign in [Sign::Failed, UNWELL] {
        let (mut bed, mut ordeal) = (Bed::new(10), Ordeal::default());
        for _ in 0..11 {
            bed.tried(sign, &mut ordeal);
            bed.wake();
        }
        bed.now += Duration::from_secs(300);
        bed.tried(sign, &mut ordeal);
        bed.health.spent(&ordeal);
        assert!(bed.health.is_doubtful() && !bed.health.is_hopeless(), "{sign:?}");
        bed.tried(Sign::Well, &mut Ordeal::default());
        assert!(!bed.health.is_doubtful(), "{sign:?}");
    }
}

#[test]
fn failures_of_one_payload_after_the_other_are_hopeless_once_one_spent_its_patience() {
    let mut bed = Bed::new(10);
    let mut first = Ordeal::default();
    for _ in 0..11 {
        bed.tried(Sign::Failed, &mut first);
    }
    for number in 2..20 {
        let rests = bed.tried(Sign::Failed, &mut Ordeal::default()).is_some();
        assert_eq!(rests, number >= 16, "a few neighbours may be the cause, sixteen are not: {number}");
        assert!(!bed.health.is_hopeless(), "nobody was patient in vain");
        bed.wake();
    }
    bed.health.spent(&first);
    assert!(bed.health.is_hopeless());
}

#[test]
fn patience_that_was_spent_while_others_were_served_says_nothing() {
    let (mut bed, mut ordeal) = (Bed::new(10), Ordeal::default());
    bed.tried(Sign::Failed, &mut ordeal);
    bed.tried(Sign::Well, &mut Ordeal::default());
    bed.tried(Sign::Failed, &mut ordeal);
    bed.health.spent(&ordeal);
    assert!(!bed.health.is_doubtful());
}

#[test]
fn payloads_that_fail_again_after_others_were_served_say_nothing_of_the_api() {
    for sign in [Sign::Failed, Sign::Cut] {
        let (mut bed, mut poison) = (Bed::new(0), [Ordeal::default(); 40]);
        for ordeal in &mut poison {
            bed.tried(sign, ordeal);
            bed.tried(Sign::Well, &mut Ordeal::default());
        }
        for ordeal in &mut poison {
            assert_eq!(bed.tried(sign, ordeal), None, "{sign:?}");
            bed.health.spent(ordeal);
        }
        (0..40).for_each(|_| assert_eq!(bed.tried(sign, &mut Ordeal::to_blame()), None));
        assert!(!bed.health.is_hopeless() && !bed.health.is_doubtful(), "{sign:?}");
    }
}
