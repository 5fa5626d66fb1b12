//! What an API takes although its documents forbid it, and what it refuses although they allow it: `validate` says it, and the sandbox in the
//! same version does it. Each case names its source.

use lightbeam::sandbox::Options;
use serde_json::{Value, json};

use crate::support::{Stage, total};
use crate::validate::{just, student, told, validate, with};

/// A sandbox that plays this version, and the students of `payloads` to be sent to it.
fn stage(version: &str, payloads: &[String]) -> Stage {
    let stage = Stage::with(Options { version: Some(version.into()), ..Options::default() });
    stage.data("students.jsonl", payloads);
    stage
}

/// The students that the sandbox has, without what it adds to them.
fn stored(stage: &Stage) -> Vec<Value> {
    stage.run(&["fetch", "-s", "students", "--set", "data_dir", "fetched"]).expect(0);
    let text = std::fs::read_to_string(stage.folder.0.join("fetched/students.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A change to a student, what the API makes of the value, and what the warning says of that.
struct Case {
    change: Value,
    stored: Value,
    says: &'static str,
}

/// Of a version: each case is one warning, the payload is sent, and the sandbox stores what the API makes of it. Strictly it is a fault.
#[track_caller]
fn are_taken(version: &str, cases: &[Case]) {
    let payloads: Vec<_> = (1..).zip(cases).map(|(id, case)| with(student(id), case.change.clone())).collect();
    let stage = stage(version, &payloads);
    let (ended, results) = validate(&stage, &[]);
    ended.expect(0).tells(&["warning: ", "this API takes it and ", "data/students.jsonl:1 $."]);
    assert_eq!(total(&results, "valid"), cases.len() as u64);
    assert_eq!(total(&results, "with_warnings"), cases.len() as u64);
    assert_eq!(results["resources"]["students"]["failures"], json!([]));
    let warnings = told(&results, "warnings");
    for (number, case) in (1..).zip(cases) {
        let (name, _) = case.change.as_object().unwrap().iter().next().unwrap();
        let begins = format!("students.jsonl:{number} schema $.{name}: {name} must ");
        let warning = warnings.iter().find(|warning| warning.starts_with(&begins));
        let warning = warning.unwrap_or_else(|| panic!("{begins} {warnings:#?}"));
        assert!(warning.ends_with(case.says), "{warning}");
    }
    let (ended, results) = crate::validate::results(&stage, "validate+send", &[]);
    ended.expect(0);
    assert_eq!(total(&results, "created"), cases.len() as u64);
    let stored = stored(&stage);
    for (id, case) in (1..).zip(cases) {
        let key = id.to_string();
        let stored = stored.iter().find(|stored| stored["studentUniqueId"].as_str() == Some(&key)).unwrap();
        let mut expected: Value = serde_json::from_str(&with(student(id), case.change.clone())).unwrap();
        let (name, _) = case.change.as_object().unwrap().iter().next().unwrap();
        expected[name] = case.stored.clone();
        expected.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(stored[name], *value, "{stored}"));
    }
    let (ended, results) = validate(&stage, &["--set", "validate.strict", "true"]);
    ended.expect(1);
    assert_eq!(told(&results, "failures").len(), cases.len());
    assert!(told(&results, "warnings").is_empty());
}

/// Of a version: each change makes a student invalid, and the sandbox refuses it.
#[track_caller]
fn are_refused(version: &str, changes: &[Value]) {
    let payloads: Vec<_> = (1..).zip(changes).map(|(id, change)| with(student(id), change.clone())).collect();
    let stage = stage(version, &payloads);
    let (ended, results) = validate(&stage, &[]);
    ended.expect(1);
    assert_eq!(total(&results, "failed"), changes.len() as u64);
    let (ended, results) = stage.send(&[]);
    ended.expect(1);
    assert_eq!(total(&results, "failed"), changes.len() as u64);
}

const DROPS_THE_TIME: &str = "; this API takes it and drops the time";
const SLASHES: &str = "; this API takes it and reads a date with slashes, the month first where that can be";

#[test]
fn an_ods_from_7_1_on_takes_an_empty_optional_string_and_a_date_with_a_time() {
    for version in ["7.1", "7.3"] {
        are_taken(
            version,
            &[
                // Source: the Ed-Fi advisory "String Validation Divergence" of June 2024, and ODS-6323 (Ed-Fi-ODS, pull requests 1031 and 1032).
                Case {
                    change: json!({"middleName": ""}),
                    stored: json!(""),
                    says: "; this API takes it and stores an empty string, as it is optional",
                },
                // Source: edfi-api.md 4.4, from the advisories on the ODS/API 7.1.
                Case {
                    change: json!({"birthDate": "2010-01-02T00:00:00Z"}),
                    stored: json!("2010-01-02"),
                    says: DROPS_THE_TIME,
                },
            ],
        );
    }
}

#[test]
fn a_dms_reads_booleans_numbers_and_dates_out_of_strings() {
    are_taken(
        "8.0",
        &[
            // Source: Data-Management-Service, CoerceFromStringsMiddleware (DMS-83, pull request 158): any casing, as .NET reads a boolean.
            Case {
                change: json!({"multipleBirthStatus": "true"}),
                stored: json!(true),
                says: "; this API takes it and reads true or false out of the string",
            },
            Case {
                change: json!({"multipleBirthStatus": "False"}),
                stored: json!(false),
                says: "; this API takes it and reads true or false out of the string",
            },
            // Source: CoerceDateFormatMiddleware (DMS-722, pull request 626): month/day/year, and day/month/year where that gives no date.
            Case { change: json!({"birthDate": "1/2/2010"}), stored: json!("2010-01-02"), says: SLASHES },
            Case { change: json!({"birthDate": "31/12/2010"}), stored: json!("2010-12-31"), says: SLASHES },
            // Source: edfi-api.md 4.4 (pull request 565).
            Case {
                change: json!({"birthDate": "2010-01-02T00:00:00Z"}),
                stored: json!("2010-01-02"),
                says: DROPS_THE_TIME,
            },
        ],
    );
}

#[test]
fn a_dms_takes_numbers_as_strings_and_goes_by_the_number_in_keys_and_references() {
    // Source: CoerceFromStringsMiddleware, which comes before the natural key is read.
    let stage = Stage::with(Options { version: Some("8.0".into()), ..Options::default() });
    let school = json!({
        "schoolId": 1, "nameOfInstitution": "Lantern Ridge",
        "gradeLevels": [{"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"}],
        "educationOrganizationCategories": [
            {"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#School"}
        ]
    });
    let location = |school: &str, seats: Value| {
        let reference = json!({"schoolId": school});
        json!({"schoolReference": reference, "classroomIdentificationCode": "a", "maximumNumberOfSeats": seats})
            .to_string()
    };
    stage.data("schools.jsonl", &[school.to_string()]);
    stage.data("locations.jsonl", &[location("1", json!("30")), location("01", json!(30)), location("2", json!("x"))]);
    let (ended, results) = validate(&stage, &crate::validate::ALL);
    ended.expect(3);
    just(
        &told(&results, "failures"),
        &[
            "locations.jsonl:2 uniqueness $: the natural key was given before",
            "locations.jsonl:3 schema $.maximumNumberOfSeats: maximumNumberOfSeats must be a whole number, not a string",
            "locations.jsonl:3 references $.schoolReference: ",
        ],
    );
    let (ended, results) = stage.send(&[]);
    ended.expect(3);
    assert_eq!((total(&results, "created"), total(&results, "failed")), (2, 1));
}

#[test]
fn an_older_api_takes_none_of_that_and_validate_api_says_which_api_it_is() {
    let changes = [
        json!({"middleName": ""}),
        json!({"birthDate": "2010-01-02T00:00:00Z"}),
        json!({"birthDate": "1/2/2010"}),
        json!({"multipleBirthStatus": "true"}),
    ];
    // Source: edfi-api.md 4.4: 5.3 to 7.0 are not known to take more than their documents.
    are_refused("5.3", &changes);
    are_refused("7.0", &changes);
    are_refused("7.3", &changes[2..]);
    are_refused("8.0", &changes[..1]);
    let payloads: Vec<_> = (1..).zip(&changes).map(|(id, change)| with(student(id), change.clone())).collect();
    let stage = stage("6.2", &payloads);
    for (api, invalid) in [("auto", 4), ("ods", 2), ("dms", 1)] {
        let (_, results) = validate(&stage, &["--set", "validate.api", api]);
        assert_eq!(total(&results, "failed"), invalid, "{api}");
    }
}

#[test]
fn what_an_api_refuses_although_its_documents_allow_it_is_a_fault() {
    // Source: edfi-api.md 4.4: PostgreSQL cannot store U+0000.
    let nul = json!({"firstName": "A\u{0}a"});
    // Source: the ODS/API's attribute NoDangerousText on its strings, which is ASP.NET's request validation.
    let markup = [json!({"firstName": "<b>Ada"}), json!({"firstName": "Ada &#33;"})];
    // Source: edfi-api.md 4.4: the DMS's pattern for strings.
    let blanks = [json!({"firstName": " Ada"}), json!({"firstName": "Ada "}), json!({"middleName": "A\na"})];
    for version in ["6.2", "7.3"] {
        are_refused(version, &[std::slice::from_ref(&nul), &markup[..]].concat());
    }
    are_refused("8.0", &[&[nul], &blanks[..]].concat());
    let others: Vec<String> = (1..).zip(&blanks).map(|(id, change)| with(student(id), change.clone())).collect();
    validate(&stage("7.3", &others), &[]).0.expect(0);
    let others: Vec<String> = (1..).zip(&markup).map(|(id, change)| with(student(id), change.clone())).collect();
    validate(&stage("8.0", &others), &[]).0.expect(0);
    let harmless = with(student(1), json!({"firstName": "R&D < 3 \u{e9}\n"}));
    validate(&stage("7.3", &[harmless]), &[]).0.expect(0);
}
