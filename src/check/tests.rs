//! Each rule, on a small model.

use super::*;
use crate::edfi::key::StrictKey;
use crate::model::{Model, compact};

const TEXT: &str = "\
schema edFi_week
 weekIdentifier!# string 2..5
 beginDate? date
 at time
 since datetime
 total? int32 1..9
 big int64
 share number 0..0.5
 open boolean
 season enum [\"spring\",\"fall\"]
 code string ~^[A-Z]\\d$
 anything any
 termDescriptor descriptor
 otherDescriptor descriptor
 schoolReference! =edFi_schoolReference
 calendarReference =edFi_calendarReference
 organizationReference =edFi_educationOrganizationReference
 days! []=edFi_day
 names []string
 _ext =edFi_weekExtensions
schema edFi_weekExtensions
 TPDM =tpdm_weekExtension
schema tpdm_weekExtension
 room! string
schema edFi_day
 number!# int64
 termDescriptor# descriptor
 note string
 periods []=edFi_period
schema edFi_period
 periodReference! =edFi_calendarReference
 note string
schema edFi_schoolReference
 schoolId! int64
schema edFi_calendarReference
 schoolId! int64
 code! string
schema edFi_calendar
 code!# string
 schoolReference! =edFi_schoolReference
 flat []=edFi_flat
schema edFi_flat
 a string
 b number
schema edFi_educationOrganizationReference
 educationOrganizationId! int64
schema edFi_school
 schoolId!# int64
 nameOfInstitution! string
schema edFi_agency
 agencyId!# int64
 nameOfInstitution! string
schema edFi_termDescriptor
 codeValue! string
 namespace! string
resource ed-fi/weeks edFi_week
 get weekIdentifier! schoolId! termDescriptor!
resource ed-fi/calendars edFi_calendar
 get schoolId! code!
resource ed-fi/schools edFi_school
 get schoolId!
resource ed-fi/agencies edFi_agency
 get agencyId!
resource ed-fi/termDescriptors edFi_termDescriptor
";

const WEEK: &str = r#"{"weekIdentifier": "ÄÖÜ", "schoolReference": {"schoolId": 4000000000},
    "termDescriptor": "uri://ed-fi.org/TermDescriptor#Fall: 1st", "days": [{"number": 1}]}"#;

fn checkers() -> Checkers {
    let model = Model::compile(&compact::read(TEXT).unwrap().0).unwrap();
    Checkers::new(model.definitions())
}

fn resource(name: &str) -> Resource {
    Resource::new("ed-fi", name)
}

/// What `look` sees in the notes of one payload of `name`.
fn noted<T>(name: &str, payload: &str, look: impl FnOnce(&Notes<'_>) -> T) -> T {
    let checkers = checkers();
    let mut notes = Notes::default();
    checkers.get(&resource(name)).unwrap().check(payload.as_bytes(), &mut notes);
    look(&notes)
}

fn told(notes: &Notes<'_>) -> Vec<String> {
    notes.faults.iter().map(|fault| format!("{} {}", fault.path, fault.message)).collect()
}

/// The faults of a week with these members in place of what it has.
fn week(members: &str) -> Vec<String> {
    let mut payload: serde_json::Value = serde_json::from_str(WEEK).unwrap();
    let changes: serde_json::Value = serde_json::from_str(&format!("{{{members}}}")).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        payload[name] = value.clone();
    }
    noted("weeks", &payload.to_string(), told)
}

fn key(name: &str, payload: &str) -> Option<StrictKey> {
    noted(name, payload, |notes| notes.key.map(|key| key.strict))
}

#[test]
fn a_payload_without_faults_has_none() {
    assert_eq!(week(""), [""; 0]);
    let all = r#""beginDate": "2025-08-31", "at": "07:45:00", "since": "2025-08-31T07:45:00Z", "total": 9, "big": -4000000000,
        "share": 0.5, "open": true, "season": "fall", "code": "A7", "anything": [{"x": 1}, "y"],
        "otherDescriptor": "uri://x/What#ever", "calendarReference": {"code": "c", "schoolId": 4000000000}, "names": ["a", "b"],
        "_ext": {"TPDM": {"room": "12"}}, "organizationReference": {"educationOrganizationId": 7, "link": {"rel": "x"}},
        "days": [{"number": 1, "periods": [{"periodReference": {"code": "c", "schoolId": 1}}]}, {"number": 2}],
        "_etag": "1", "_lastModifiedDate": "x", "id": null"#;
    assert_eq!(week(all), [""; 0]);
}

#[test]
fn each_fault_is_told_with_its_path() {
    for (members, expected) in [
        (r#""weekIdentifier": "x""#, "$.weekIdentifier weekIdentifier must have at least 2 characters"),
        (r#""weekIdentifier": "xxxxxx""#, "$.weekIdentifier weekIdentifier must have at most 5 characters"),
        (r#""weekIdentifier": 12"#, "$.weekIdentifier weekIdentifier must be a string, not a number"),
        (r#""weekIdentifier": null"#, "$.weekIdentifier weekIdentifier is required"),
        (r#""beginDate": "2025-02-30""#, "$.beginDate beginDate must be a date such as 2025-08-31"),
        (r#""at": "25:00""#, "$.at at must be a time such as 07:45:00"),
        (r#""since": "now""#, "$.since since must be a date and time such as 2025-08-31T07:45:00Z"),
        (r#""total": 0"#, "$.total total must be at least 1"),
        (r#""total": 10"#, "$.total total must be at most 9"),
        (r#""total": 1.5"#, "$.total total must be a whole number, not a decimal number"),
        (r#""total": 4000000000"#, "$.total total must be a whole number of 32 bits"),
        (r#""total": "1""#, "$.total total must be a whole number, not a string"),
        (r#""big": 9223372036854775808"#, "$.big big must be a whole number of 64 bits"),
        (r#""share": 0.6"#, "$.share share must be at most 0.5"),
        (r#""share": -1"#, "$.share share must be at least 0"),
        (r#""share": "0.1""#, "$.share share must be a number, not a string"),
        (r#""open": "true""#, "$.open open must be true or false, not a string"),
        (r#""season": "winter""#, "$.season season must be one of spring, fall"),
        (r#""code": "a7""#, "$.code code must match the pattern ^[A-Z]\\d$"),
        (r#""days": {}"#, "$.days days must be a list, not an object"),
        (r#""days": []"#, "$.days days must have at least one item"),
        (r#""days": [7]"#, "$.days[0] an item of days must be an object, not a number"),
        (r#""days": [null]"#, "$.days[0] an item of days must be an object, not null"),
        (r#""days": [{"number": 1}, {}]"#, "$.days[1].number number is required"),
        (r#""names": [true]"#, "$.names[0] an item of names must be a string, not true or false"),
        (r#""schoolReference": {}"#, "$.schoolReference.schoolId schoolId is required"),
        (r#""schoolReference": [1]"#, "$.schoolReference schoolReference must be an object, not a list"),
        (r#""_ext": {"TPDM": {}}"#, "$._ext.TPDM.room room is required"),
        (r#""id": "1""#, "$.id id must be left out: the server gives ids"),
    ] {
        assert_eq!(week(members), [expected], "{members}");
    }
}

#[test]
fn all_faults_of_a_payload_are_told() {
    assert_eq!(week(r#""total": 10, "open": 1, "days": [{"number": "1"}, {"number": 2.5}]"#).len(), 4);
    let faults = noted("weeks", "{}", told);
    assert_eq!(
        faults,
        [
            "$.weekIdentifier weekIdentifier is required",
            "$.schoolReference schoolReference is required",
            "$.days days is required"
        ]
    );
}

#[test]
fn what_is_optional_may_be_null() {
    assert_eq!(
        week(r#""beginDate": null, "at": null, "names": null, "calendarReference": null, "_ext": null"#),
        [""; 0]
    );
}

#[test]
fn what_is_not_json_is_one_fault_with_its_column() {
    for (payload, column, message) in [
        (r#"{"ä": 1, x}"#, 10, "not JSON: key must be a string"),
        (r#"{"a": 1"#, 7, "not JSON: EOF while parsing an object"),
        ("{} {}", 4, "not JSON: trailing characters"),
    ] {
        let faults = noted("weeks", payload, |notes| notes.faults.clone());
        assert_eq!(
            faults,
            [Fault { rule: Rule::Json { column }, path: "$".into(), message: message.into() }],
            "{payload}"
        );
    }
    let checkers = checkers();
    let mut notes = Notes::default();
    checkers.get(&resource("weeks")).unwrap().check(b"{\"\xC3\xA4\": \"\xFF\"}", &mut notes);
    assert_eq!(notes.faults[0].rule, Rule::Json { column: 8 });
    assert_eq!(noted("weeks", "[]", told), ["$ payload must be an object, not a list"]);
}

#[test]
fn an_unknown_property_is_named_with_the_nearest_known_one() {
    let faults = noted("weeks", &WEEK.replacen('{', r#"{"BeginDate": 1, "zzzzzzzz": {"a": [1]}, "#, 1), |notes| {
        notes.faults.clone()
    });
    assert_eq!(&*faults[0].message, "BeginDate is unknown, the API drops it; did you mean beginDate?");
    assert_eq!(&*faults[1].message, "zzzzzzzz is unknown, the API drops it");
    assert_eq!(
        faults.iter().map(|fault| (fault.rule, &*fault.path)).collect::<Vec<_>>(),
        [(Rule::Unknown, "$.BeginDate"), (Rule::Unknown, "$.zzzzzzzz")]
    );
    assert_eq!(week(r#""days": [{"number": 1, "id": "x"}]"#)[0], "$.days[0].id id is unknown, the API drops it");
}

#[test]
fn an_unknown_property_that_is_met_again_is_told_where_it_is_now() {
    let checkers = checkers();
    let weeks = checkers.get(&resource("weeks")).unwrap();
    let mut notes = Notes::default();
    for (days, places) in [
        (r#"[{"number": 1, "x": 1}]"#, &["$.days[0].x"][..]),
        (r#"[{"number": 1}, {"number": 2, "x": 1}, {"number": 3, "x": 1}]"#, &["$.days[1].x", "$.days[2].x"]),
        (r#"[{"number": 1}, {"number": 2}, {"x": 1, "number": 3}]"#, &["$.days[2].x"]),
        (r#"[{"number": 1, "x": 1, "y": 1}]"#, &["$.days[0].x", "$.days[0].y"]),
    ] {
        let payload = WEEK.replace(r#"[{"number": 1}]"#, days);
        weeks.check(payload.as_bytes(), &mut notes);
        assert_eq!(notes.faults.iter().map(|fault| &*fault.path).collect::<Vec<_>>(), places);
        assert!(notes.faults.iter().all(|fault| fault.message.ends_with(" is unknown, the API drops it")));
    }
}

#[test]
fn unknown_properties_can_be_passed_over_and_what_is_said_of_them_is_remembered_within_bounds() {
    let checkers = checkers();
    let weeks = checkers.get(&resource("weeks")).unwrap();
    let unknown = WEEK.replacen('{', r#"{"BeginDate": 1, "#, 1);
    let mut notes = Notes::without_unknown();
    weeks.check(unknown.as_bytes(), &mut notes);
    assert_eq!(told(&notes), [""; 0]);
    let mut notes = Notes::default();
    for number in 0..1_000 {
        let text = WEEK.replacen('{', &format!(r#"{{"BeginDate": 1, "begin{number}": 1, "#), 1);
        weeks.check(text.as_bytes(), &mut notes);
        assert_eq!(&*notes.faults[0].message, "BeginDate is unknown, the API drops it; did you mean beginDate?");
        assert!(notes.faults[1].message.starts_with(&format!("begin{number} is unknown")));
    }
    assert_eq!(notes.hints.values().map(|hints| hints.len()).sum::<usize>(), 256);
}

#[test]
fn text_that_must_not_begin_or_end_with_a_blank_is_checked_and_a_pattern_that_is_not_understood_is_told() {
    let text = TEXT.replace(r"~^[A-Z]\d$", r"~^(?!\s).*(?<!\s)$").replace("names []string", "names []string ~^(?=a)b$");
    let model = Model::compile(&compact::read(&text).unwrap().0).unwrap();
    let checkers = Checkers::new(model.definitions());
    let weeks = checkers.get(&resource("weeks")).unwrap();
    assert_eq!(
        weeks.unchecked(),
        ["the pattern ^(?=a)b$ of names in weeks cannot be checked, because it is not understood"]
    );
    let mut notes = Notes::default();
    for (code, is_right) in
        [("a b", true), ("", true), (" a", false), ("a ", false), ("a\\t", false), ("\u{a0}a", false), ("a\\nb", false)]
    {
        weeks.check(WEEK.replacen('{', &format!(r#"{{"code": "{code}", "#), 1).as_bytes(), &mut notes);
        assert_eq!(notes.faults.is_empty(), is_right, "{code:?} {:?}", notes.faults);
    }
}

#[test]
fn a_property_that_is_given_twice_is_a_fault() {
    let twice = WEEK.replacen('{', r#"{"weekIdentifier": null, "#, 1);
    assert_eq!(noted("weeks", &twice, told), ["$.weekIdentifier weekIdentifier is given twice"]);
}

#[test]
fn a_descriptor_must_have_the_form_and_the_kind_that_belong_there() {
    let wrong = |uri: &str| week(&format!(r#""termDescriptor": "{uri}""#));
    let form = |uri: &str| {
        format!(
            "$.termDescriptor termDescriptor must be a descriptor such as uri://ed-fi.org/TermDescriptor#Value, not '{uri}'"
        )
    };
    for uri in
        ["Fall", "uri://ed-fi.org/TermDescriptor#", "ed-fi.org/TermDescriptor#Fall", "uri://x/TermDescriptor#a#b", ""]
    {
        assert_eq!(wrong(uri), [form(uri)]);
    }
    assert_eq!(
        wrong("uri://x/SexDescriptor#F"),
        ["$.termDescriptor termDescriptor must be a TermDescriptor, not 'uri://x/SexDescriptor#F'"]
    );
    assert_eq!(wrong("uri://x/termDescriptor#F"), [""; 0], "casing does not count");
    let long = format!("uri://x/TermDescriptor#{}", "ä".repeat(300));
    assert_eq!(wrong(&long), ["$.termDescriptor termDescriptor must have at most 306 characters"]);
    assert_eq!(Rule::Descriptor.method().name(), "descriptors");
}

#[test]
fn every_descriptor_is_mentioned_with_its_place() {
    let payload = WEEK.replace(
        "[{\"number\": 1}]",
        r#"[{"number": 1}, {"number": 2, "termDescriptor": "uri://\u0078.org/a/TermDescriptor#Fall"}]"#,
    );
    noted("weeks", &payload, |notes| {
        let mentions: Vec<_> =
            notes.descriptors.iter().map(|m| (m.resource, notes.path(m.place), notes.value(m))).collect();
        let term = resource("termDescriptors");
        assert_eq!(
            mentions,
            [
                (&term, "$.termDescriptor".to_owned(), ("uri://ed-fi.org/TermDescriptor", "Fall: 1st")),
                (&term, "$.days[1].termDescriptor".to_owned(), ("uri://x.org/a/TermDescriptor", "Fall"))
            ]
        );
    });
    let descriptor =
        r#"{"codeValue": "Fall: 1st", "namespace": "uri://ed-fi.org/TermDescriptor", "termDescriptorId": 7}"#;
    assert_eq!(
        key("termDescriptors", descriptor),
        Some(StrictKey::of_descriptor("uri://ed-fi.org/TermDescriptor", "Fall: 1st"))
    );
}

#[test]
fn every_reference_has_the_key_of_what_it_refers_to() {
    let period = r#"{"periodReference": {"code": "c", "schoolId": 1}}"#;
    let days = format!(
        r#"[{{"number": 1}}, {{"number": 2, "periods": [{period}]}}], "organizationReference": {{"educationOrganizationId": 8}}"#
    );
    let payload = WEEK.replace("[{\"number\": 1}]", &days);
    noted("weeks", &payload, |notes| {
        let references: Vec<_> = notes
            .references
            .iter()
            .map(|r| (&*r.to.entity, &r.to.targets[..], Some(r.key), notes.path(r.place)))
            .collect();
        let school = key("schools", r#"{"nameOfInstitution": "x", "schoolId": 4000000000}"#);
        let calendar = key("calendars", r#"{"schoolReference": {"schoolId": 1}, "code": "c"}"#);
        let agency = key("agencies", r#"{"agencyId": 8, "nameOfInstitution": "x"}"#);
        assert!(school.is_some() && calendar.is_some() && agency.is_some());
        assert_eq!(
            references,
            [
                ("School", &[resource("schools")][..], school, "$.schoolReference".to_owned()),
                ("Calendar", &[resource("calendars")][..], calendar, "$.days[1].periods[0].periodReference".to_owned()),
                (
                    "EducationOrganization",
                    &[resource("schools"), resource("agencies")][..],
                    agency,
                    "$.organizationReference".to_owned()
                ),
            ]
        );
    });
    let partial = noted("weeks", r#"{"calendarReference": {"code": "c"}}"#, |notes| notes.references.len());
    assert_eq!(partial, 0, "a reference that lacks a part refers to nothing");
}

#[test]
fn a_key_is_the_same_however_it_is_written() {
    let one = key("calendars", r#"{"code": "12", "schoolReference": {"schoolId": 7}}"#);
    for other in [
        r#"{"schoolReference": {"schoolId": "7"}, "code": 12}"#,
        r#"{"schoolReference": {"schoolId": 7.0}, "code": "1\u0032"}"#,
    ] {
        assert_eq!(key("calendars", other), one);
    }
    assert!(one.is_some());
    for other in [
        r#"{"schoolReference": {"schoolId": 12}, "code": "7"}"#,
        r#"{"schoolReference": {"schoolId": 7}, "code": "012"}"#,
    ] {
        assert_ne!(key("calendars", other), one);
    }
    assert_eq!(key("calendars", r#"{"schoolReference": {}, "code": "7"}"#), None, "a part is missing");
    let with = |code: &str| key("weeks", &WEEK.replace("Fall: 1st", code));
    assert_eq!(with("FÄLL"), with("fäll"), "descriptors are compared without regard to casing");
    assert_ne!(with("Fall"), with("Spring"));
}

#[test]
fn a_key_can_be_had_from_its_parts() {
    let checkers = checkers();
    let weeks = checkers.get(&resource("weeks")).unwrap();
    let part = |name: &str| match name {
        "weekIdentifier" => Some("ÄÖÜ"),
        "schoolId" => Some("4000000000"),
        "termDescriptor" => Some("uri://ed-fi.org/TermDescriptor#FALL: 1st"),
        _ => None,
    };
    assert_eq!(weeks.key(part).map(|key| key.strict), key("weeks", WEEK));
    assert_eq!(weeks.key(|_| None::<String>), None);
}

#[test]
fn members_that_are_unified_must_agree() {
    let with = |id: &str| week(&format!(r#""calendarReference": {{"code": "c", "schoolId": {id}}}"#));
    assert_eq!(with("4000000000"), [""; 0]);
    assert_eq!(with("5"), ["$.calendarReference.schoolId schoolId must be the same as at $.schoolReference.schoolId"]);
}

#[test]
fn items_of_a_list_must_differ_in_their_identity() {
    let days = |days: &str| week(&format!(r#""days": {days}"#));
    assert_eq!(
        days(r#"[{"number": 1, "note": "a"}, {"number": 2}, {"number": 1, "note": "b"}]"#),
        ["$.days[2] an item of days must differ from those before it in number, termDescriptor"]
    );
    let fall = r#""termDescriptor": "uri://x/TermDescriptor#Fall""#;
    assert_eq!(days(&format!(r#"[{{"number": 1, {fall}}}, {{"number": 1}}]"#)), [""; 0]);
    assert_eq!(
        days(&format!(r#"[{{"number": 1, {fall}}}, {{{}, "number": 1}}]"#, fall.replace("Fall", "fall"))).len(),
        1
    );
    let period =
        |id: u8, note: &str| format!(r#"{{"periodReference": {{"code": "c", "schoolId": {id}}}, "note": "{note}"}}"#);
    let periods = |a: &str, b: &str| days(&format!(r#"[{{"number": 1, "periods": [{a}, {b}]}}]"#));
    assert_eq!(periods(&period(1, "a"), &period(2, "a")), [""; 0]);
    assert_eq!(
        periods(&period(1, "a"), &period(1, "b")),
        ["$.days[0].periods[1] an item of periods must differ from those before it in periodReference"]
    );
    assert_eq!(week(r#""names": ["a", "b", "a"]"#), ["$.names[2] an item of names must differ from those before it"]);
    let flat = |items: &str| {
        noted(
            "calendars",
            &format!(r#"{{"code": "c", "schoolReference": {{"schoolId": 1}}, "flat": [{items}]}}"#),
            told,
        )
    };
    assert_eq!(flat(r#"{"a": "x"}, {"a": "x", "b": 1}, {"b": 1}"#), [""; 0]);
    assert_eq!(
        flat(r#"{"a": "x", "b": 1}, {"b": 1.0, "a": "x"}"#),
        ["$.flat[1] an item of flat must differ from those before it"]
    );
    assert_eq!(days(r#"[{}, {}]"#).len(), 2, "what has no identity is not compared");
}

#[test]
fn notes_are_used_again() {
    let checkers = checkers();
    let weeks = checkers.get(&resource("weeks")).unwrap();
    let mut notes = Notes::default();
    for broken in ["{", r#"{"days": [{"number": 1}, {"number": 1}], "x": 1}"#] {
        weeks.check(broken.as_bytes(), &mut notes);
        assert!(!notes.faults.is_empty());
        weeks.check(WEEK.as_bytes(), &mut notes);
        assert_eq!((notes.faults.len(), notes.descriptors.len(), notes.references.len()), (0, 1, 1));
        assert_eq!(notes.key.map(|key| key.strict), key("weeks", WEEK));
    }
}

#[test]
fn a_resource_whose_key_is_nowhere_in_its_payloads_has_none() {
    let text = TEXT.replace("get agencyId!", "get agencyId! elsewhere!");
    let model = Model::compile(&compact::read(&text).unwrap().0).unwrap();
    let checkers = Checkers::new(model.definitions());
    let agencies = checkers.get(&resource("agencies")).unwrap();
    let mut notes = Notes::default();
    agencies.check(br#"{"agencyId": 1, "nameOfInstitution": "x"}"#, &mut notes);
    assert_eq!((notes.key, agencies.has_key(), agencies.key(|_| Some("1"))), (None, false, None));
    assert!(notes.faults.is_empty() && checkers.get(&resource("schools")).unwrap().has_key());
}
