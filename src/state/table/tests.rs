//! Pure cases of the table.

use super::*;

fn digest(i: u32) -> Digest {
    Digest::of(&i.to_le_bytes())
}

fn record(n: u8) -> StrictKey {
    StrictKey([n; 12])
}

fn entry(status: u16) -> Entry {
    Entry::of_status(1_700_000_000, status)
}

fn of(key: u8, standing: Standing) -> Entry {
    Entry { key: StrictKey([key; 12]), at: 5, status: 200, standing }
}

fn standings<const N: usize>(table: &Table, payloads: [u32; N]) -> [Option<Standing>; N] {
    payloads.map(|payload| table.get(&digest(payload)).map(|entry| entry.standing))
}

#[test]
fn every_payload_is_found_and_no_other() {
    for n in [0, 1, 2, 7, 8, 9, 100, 10_000] {
        let table = Table::default().with((0..n).map(|i| (digest(i), entry((i % 500) as u16))).collect());
        assert_eq!(table.len(), n as usize);
        assert!((0..n).all(|i| table.get(&digest(i)) == Some(entry((i % 500) as u16))));
        assert!((n..n + 100).all(|i| table.get(&digest(i)).is_none()));
    }
}

#[test]
fn a_row_takes_36_bytes_of_memory() {
    assert_eq!(size_of::<(Digest, Entry)>(), 36);
}

#[test]
fn every_standing_has_a_code_of_its_own() {
    assert!(Standing::ALL.iter().all(|standing| Standing::from_code(standing.code()) == *standing));
    assert_eq!(Standing::from_code(200), Standing::NoAnswer);
}

#[test]
fn the_last_of_several_answers_counts() {
    let table = Table::default().with(vec![(digest(1), entry(400)), (digest(2), entry(201)), (digest(1), entry(200))]);
    assert_eq!((table.len(), table.get(&digest(1))), (2, Some(entry(200))));
    let table = table.with(vec![(digest(2), entry(409)), (digest(3), entry(201))]);
    let statuses: Vec<_> = [1, 2, 3].iter().map(|&i| table.get(&digest(i)).unwrap().status).collect();
    assert_eq!(statuses, [200, 409, 201]);
}

#[test]
fn what_is_gone_leaves_no_entry_and_may_come_back() {
    let gone = Entry { standing: Standing::Gone, ..entry(201) };
    let table = Table::default().with((0..100).map(|i| (digest(i), entry(201))).collect());
    let table = table.with((0..50).map(|i| (digest(i), gone)).collect());
    assert_eq!((table.len(), table.get(&digest(7)), table.get(&digest(70))), (50, None, Some(entry(201))));
    let table = table.with(vec![(digest(7), gone), (digest(7), entry(200))]);
    assert_eq!((table.len(), table.get(&digest(7))), (51, Some(entry(200))));
}

#[test]
fn rows_that_do_not_ascend_are_no_table() {
    let (mut one, mut other) = ((digest(1), entry(201)), (digest(2), entry(201)));
    if one.0 > other.0 {
        (one, other) = (other, one);
    }
    let table = |rows| Table::from_rows(rows, 0, Reasons::default());
    assert!(table(vec![one, other]).is_some());
    assert!(table(vec![other, one]).is_none());
    assert!(table(vec![one, one]).is_none());
}

#[test]
fn of_one_record_the_payload_accepted_last_holds_whether_news_come_together_or_one_by_one() {
    use Standing::*;
    let news = [(1, Accepted), (2, Accepted), (1, Accepted), (3, Accepted), (3, NoAnswer)];
    let expected = [Some(Superseded), Some(Superseded), Some(NoAnswer)];
    let news = news.map(|(payload, standing)| (digest(payload), of(7, standing)));
    let together = Table::default().with(news.to_vec());
    assert_eq!(standings(&together, [1, 2, 3]), expected);
    let one_by_one = news.iter().fold(Table::default(), |table, news| table.with(vec![*news]));
    assert_eq!(one_by_one, together);
    let table = together.with(vec![(digest(2), of(7, Accepted))]);
    assert_eq!(standings(&table, [1, 2, 3]), [Some(Superseded), Some(Accepted), None], "the doubt is over");
}

#[test]
fn payloads_of_other_records_and_those_without_a_key_do_not_touch_each_other() {
    use Standing::*;
    let others = vec![(digest(1), of(1, Accepted)), (digest(2), of(0, Accepted)), (digest(3), of(0, Accepted))];
    let table = Table::default().with(others).with(vec![(digest(4), of(2, Accepted))]);
    assert_eq!(standings(&table, [1, 2, 3, 4]), [Some(Accepted); 4]);
}

#[test]
fn a_doubt_holds_until_the_record_has_an_acceptance_after_it() {
    use Standing::*;
    let table = Table::default().with(vec![(digest(1), of(7, Accepted)), (digest(2), of(7, NoAnswer))]);
    assert!(table.is_doubtful(&record(7)) && !table.is_doubtful(&record(6)));
    assert_eq!(standings(&table, [1, 2]), [Some(Accepted), Some(NoAnswer)]);
    let no = Entry { status: 400, ..of(7, Refused(RefusalKind::Payload)) };
    let refused = table.clone().with(vec![(digest(2), of(7, NoAnswer)), (digest(2), no)]);
    assert!(!refused.is_doubtful(&record(7)));
    assert_eq!(standings(&refused, [1]), [Some(Superseded)], "the earlier request may have been heard");
    let refused =
        Table::default().with(vec![(digest(1), of(7, Accepted)), (digest(2), of(7, NoAnswer)), (digest(2), no)]);
    assert!(!refused.is_doubtful(&record(7)), "a final no changes nothing in the API");
    assert_eq!(standings(&refused, [1]), [Some(Accepted)]);
    let again = table.with(vec![(digest(1), of(7, Accepted)), (digest(3), of(7, NoAnswer))]);
    assert_eq!(standings(&again, [1, 2, 3]), [Some(Accepted), None, Some(NoAnswer)]);
    assert!(again.is_doubtful(&record(7)));
}

#[test]
fn what_is_learned_supersedes_the_older_payload_of_its_record_and_undoes_nothing() {
    use Standing::*;
    let learned = |at| Entry { at, ..of(7, Learned) };
    let table = Table::default().with(vec![(digest(1), learned(10)), (digest(2), learned(20))]);
    assert_eq!(standings(&table, [1, 2]), [Some(Superseded), Some(Accepted)]);
    let later = table.clone().with(vec![(digest(3), learned(15))]);
    assert_eq!(standings(&later, [2, 3]), [Some(Accepted), Some(Superseded)]);
    let equal = table.clone().with(vec![(digest(3), learned(20))]);
    assert_eq!(standings(&equal, [2, 3]), [Some(Superseded), Some(Accepted)], "the later one in the files");
    let sent = table.with(vec![(digest(4), of(7, Accepted)), (digest(3), learned(99))]);
    assert_eq!(standings(&sent, [2, 3, 4]), [Some(Superseded), Some(Superseded), Some(Accepted)]);
}

#[test]
fn a_settled_payload_stays_settled_when_its_record_changes() {
    use Standing::*;
    let table = Table::default().with(vec![(digest(1), of(7, Accepted)), (digest(2), of(7, Settled))]);
    assert_eq!(table.get(&digest(2)).unwrap().record(), Some(record(7)));
    let table = table.with(vec![(digest(3), of(7, Accepted))]);
    assert_eq!(standings(&table, [1, 2, 3]), [Some(Superseded), Some(Settled), Some(Accepted)]);
    assert_eq!(table.get(&digest(2)).unwrap().record(), None);
}

#[test]
fn when_a_record_is_gone_nothing_is_known_of_its_payloads_but_refusals() {
    use Standing::*;
    let known = [(1, Accepted), (2, Superseded), (3, NoAnswer), (4, Refused(RefusalKind::Payload))];
    let known = known.map(|(payload, standing)| (digest(payload), of(7, standing)));
    let table = Table::default().with(known.to_vec()).with(vec![(digest(9), of(7, Gone))]);
    let expected = [None, None, None, Some(Refused(RefusalKind::Payload)), None];
    assert_eq!(standings(&table, [1, 2, 3, 4, 9]), expected);
}

#[test]
fn under_another_definition_keys_are_forgotten_and_standings_kept() {
    use Standing::*;
    let table = Table::default().under(5).with(vec![(digest(1), of(7, Accepted)), (digest(2), of(7, Accepted))]);
    assert_eq!(table.clone().under(5), table);
    let table = table.under(6);
    assert_eq!(standings(&table, [1, 2]), [Some(Superseded), Some(Accepted)]);
    assert!(table.rows().iter().all(|(_, entry)| entry.record().is_none()));
}
