//! Pure cases of sifting.

use super::*;

fn sift(number: usize, piece: Piece, knowledge: &Knowledge, rules: &Resend) -> (Sifted, Vec<Payload>) {
    let (sifted, due) = super::sift(number, piece, knowledge, rules);
    (sifted, due.into_iter().flatten().collect())
}

fn block(text: &str) -> Piece {
    Piece::Lines(Block::of_text(Path::new("students.jsonl"), text.as_bytes()))
}

fn known(entries: &[(&str, u16)]) -> Knowledge<'static> {
    let entry = |(text, status): &(&str, u16)| (Digest::of(text.as_bytes()), Entry::of_status(1, *status));
    let table = Table::default().with(entries.iter().map(entry).collect());
    Knowledge::new(0, vec![Known::new(Arc::new(table), None)])
}

fn texts(due: &[Payload]) -> Vec<&str> {
    due.iter().map(|p| std::str::from_utf8(p.bytes()).unwrap()).collect()
}

#[test]
fn each_line_is_blank_or_known_or_taken_or_due() {
    let known = known(&[(r#"{"a":1}"#, 201), (r#"{"a":2}"#, 400)]);
    let text = "{\"a\":1}\r\n\n  {\"a\":2}\n{\"a\":3} \n{\"a\":3}\n{\"a\":4}";
    let rules = Resend { skip_refused: true, ..Resend::default() };
    let (sifted, due) = sift(0, block(text), &known, &rules);
    let counts = Counts { read: 6, blank: 1, skipped: 1, skipped_refused: 1, duplicates: 1, ..Counts::default() };
    assert_eq!(sifted.counts, counts);
    let letters: Vec<_> = sifted.letters.iter().map(|l| (l.place.line, &l.bytes[..], &l.why)).collect();
    assert_eq!(letters, [(3, &b"{\"a\":2}"[..], &Why::Answer(Refusal::earlier(400)))]);
    assert_eq!(texts(&due), [r#"{"a":3}"#, r#"{"a":4}"#]);
    assert_eq!(due.iter().map(|p| p.outcome(Verdict::Untried).place.line).collect::<Vec<_>>(), [4, 6]);
    let (sifted, due) = sift(1, block("{\"a\":4}\n"), &known, &Resend::default());
    assert_eq!((sifted.counts.duplicates, due.len()), (1, 0), "a later block knows what an earlier one took");
}

#[test]
fn what_is_no_payload_is_told_with_its_line_and_the_rest_is_due() {
    let text = "{\"a\":1}\n{\"a\":\n[1]\nnonsense\n{\"a\":1} {\"b\":2}\n{\"a\":2,}\n{\"z\":1}";
    let (sifted, due) = sift(0, block(text), &known(&[]), &Resend::default());
    let told: Vec<_> = sifted
        .flaws
        .iter()
        .map(|flaw| match &flaw.verdict {
            Verdict::Refused(reason) => format!("{} {}", flaw.place.line, reason.message),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told.len(), 5, "{told:?}");
    for (told, expected) in
        told.iter().zip(["2 not JSON", "3 not a JSON object", "4 not JSON", "5 not JSON", "6 not JSON"])
    {
        assert!(told.starts_with(expected), "{told} instead of {expected}");
    }
    assert!(told[4].ends_with("at column 8"), "{told:?}");
    assert_eq!(texts(&due), [r#"{"a":1}"#, r#"{"z":1}"#]);
}

#[test]
fn a_line_that_is_not_utf_8_says_where() {
    assert_eq!(read(b"{\"a\":\"\xff\"}", None), Err("not UTF-8 (byte 7 of the line)".into()));
}

/// Of payloads whose natural key is `a`.
fn natural() -> Natural {
    let document = serde_json::json!({
        "paths": {"/ed-fi/students": {
            "get": {"parameters": [{"name": "a", "in": "query", "x-Ed-Fi-isIdentity": true}]},
            "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/student"}}}}},
        }},
        "components": {"schemas": {"student": {"properties": {"a": {"type": "integer"}}}}}
    });
    let model = crate::model::Model::from_openapi([&document]).unwrap();
    Natural::of(&model.definitions()[0]).unwrap()
}

fn lines(later: &[Parked]) -> Vec<u64> {
    later.iter().map(|parked| parked.place().line).collect()
}

#[test]
fn of_one_natural_key_the_first_payload_is_due_and_others_come_later_unless_they_repeat_the_one_before() {
    let natural = natural();
    let knowledge = Knowledge::new(0, vec![Known::new(Arc::default(), Some(&natural))]);
    let text =
        "{\"a\":1,\"b\":1}\n{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":2}\n{\"a\":2}\n{\"b\":1,\"a\":1}\n{\"b\":1}\n{\"b\":1}";
    let (sifted, due) = sift(0, block(text), &knowledge, &Resend::default());
    assert_eq!(texts(&due), [r#"{"a":1,"b":1}"#, r#"{"a":2}"#, r#"{"b":1}"#]);
    assert_eq!(lines(&sifted.later), [2, 5]);
    assert_eq!((sifted.counts.same_key, sifted.counts.duplicates), (2, 2));
}

#[test]
fn a_piece_that_is_sifted_before_its_turn_claims_nothing_until_the_earlier_ones_have() {
    let natural = natural();
    let knowledge = Knowledge::new(0, vec![Known::new(Arc::default(), Some(&natural))]);
    let rules = Resend::default();
    let (second, due) = sift(1, block("{\"a\":1,\"second\":1}\n{\"a\":7}"), &knowledge, &rules);
    assert_eq!((second.counts.read, second.later.len(), due.len()), (2, 0, 0));
    let (first, due) = sift(0, block("{\"a\":1,\"first\":1}"), &knowledge, &rules);
    assert_eq!(texts(&due), [r#"{"a":1,"first":1}"#, r#"{"a":7}"#]);
    assert_eq!((first.counts.read, lines(&first.later)), (1, vec![1]));
}
