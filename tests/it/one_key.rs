//! All users of the natural key agree, whatever the payload: what has a key, and which payloads have the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use lightbeam::check::{Checkers, Notes};
use lightbeam::delete::find::Finder;
use lightbeam::edfi::key::{InList, LooseKey, StrictKey, in_lists};
use lightbeam::model::{Definition, Model, Natural};
use lightbeam::resource::Resource;
use lightbeam::sandbox::{Options, Received};
use lightbeam::skeleton;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::checker::{documents, mutate, object};
use crate::support::{Stage, total};
use crate::validate::{just, told, validate};

/// Payloads of each resource.
const PAYLOADS: usize = 6;

/// The model of each set of documents: what the sandbox serves, and the genuine ones where they are at hand.
fn models() -> Vec<Model> {
    let mut models: Vec<Model> = documents().iter().map(|document| Model::from_openapi([document]).unwrap()).collect();
    let genuine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
    for set in ["dms-2025-07", "dms-8-tpdm", "ds-5.0"].iter().filter(|set| genuine.join(set).is_dir()) {
        let read =
            |file: &str| -> Value { serde_json::from_slice(&fs::read(genuine.join(set).join(file)).unwrap()).unwrap() };
        let set = ["resources.openapi3.json", "descriptors.openapi3.json"].map(read);
        models.push(Model::from_openapi(&set).unwrap());
    }
    models
}

/// Writes one part of the key differently at one of its places, or at all of them, or leaves it out.
fn respell(payload: &mut Value, definition: &Definition, chance: &mut Chance) {
    let parts: Vec<_> = definition.key().collect();
    let part = parts[chance.below(parts.len() as u64) as usize];
    let one = chance.percent(30).then(|| chance.below(part.paths.len() as u64) as usize);
    let spelling = chance.below(9);
    for (at, path) in part.paths.iter().enumerate().filter(|(at, _)| one.is_none_or(|one| one == *at)) {
        let pointer: String = path.names().iter().map(|name| format!("/{name}")).collect();
        let Some(held) = payload.pointer_mut(&pointer) else { continue };
        let text = held.as_str().map_or_else(|| held.to_string(), str::to_owned);
        *held = match spelling {
            0 => text.to_uppercase().into(),
            1 => format!("{text} ").into(),
            2 => text.into(),
            3 => text.parse::<u64>().map_or(json!("0255901"), Value::from),
            4 => text.parse::<f64>().map_or(json!("8/1/2024"), Value::from),
            5 => json!([text]),
            6 => Value::Null,
            7 => json!(1e300),
            _ => json!(at),
        };
    }
}

/// What each user makes of the key of a payload.
#[derive(Debug, PartialEq)]
struct Views {
    send: Option<StrictKey>,
    validate: Option<StrictKey>,
    delete: Option<StrictKey>,
}

#[test]
fn send_validate_and_delete_agree_on_the_keys_of_mutated_payloads_of_every_set_of_documents() {
    let mut chance = Chance::new(12);
    let (mut with_key, mut without, mut loosely_equal) = (0, 0, 0);
    for model in models() {
        let checkers = Checkers::new(model.definitions());
        for definition in model.definitions() {
            let Some(natural) = Natural::of(definition) else { continue };
            let finder = Finder::of(definition).unwrap();
            let checker = checkers.get(&definition.resource).unwrap();
            assert_eq!(natural.fingerprint(), definition.natural.as_ref().unwrap().fingerprint());
            let mut loose: BTreeMap<StrictKey, LooseKey> = BTreeMap::new();
            let first = object(&definition.body, &mut chance, 0);
            for number in 0..PAYLOADS {
                let mut payload = first.clone();
                match number {
                    0 => {}
                    1 => mutate(&mut payload, &mut chance),
                    _ => respell(&mut payload, definition, &mut chance),
                }
                let text = payload.to_string();
                let mut notes = Notes::default();
                checker.check(text.as_bytes(), &mut notes);
                let keys = natural.keys(&text).ok().flatten();
                let views = Views {
                    send: keys.map(|keys| keys.strict),
                    validate: notes.key.map(|keys| keys.strict),
                    delete: finder.strict(&payload),
                };
                let all = Views { send: views.send, validate: views.send, delete: views.send };
                assert_eq!(views, all, "{} {text}", definition.resource);
                assert_eq!(notes.key, keys, "{} {text}", definition.resource);
                let Some(keys) = keys else {
                    without += 1;
                    continue;
                };
                with_key += 1;
                let known = *loose.entry(keys.strict).or_insert(keys.loose);
                assert_eq!(known, keys.loose, "strictly equal keys are loosely equal: {text}");
            }
            let different: BTreeSet<LooseKey> = loose.values().copied().collect();
            loosely_equal += loose.len() - different.len();
        }
    }
    assert!(with_key > 2_000 && without > 500 && loosely_equal > 100, "{with_key} {without} {loosely_equal}");
}

#[test]
fn a_template_of_create_names_each_part_of_a_key_at_each_of_its_places() {
    for model in models() {
        for definition in model.definitions() {
            let template = skeleton::template(definition);
            for part in definition.key() {
                for path in &part.paths {
                    let member = path.names().last().unwrap();
                    let lines = template.lines().filter(|line| line.contains(&format!("\"{member}\": ")));
                    let is_named = |line: &str| {
                        [format!("{{{{ {} ", part.name), format!("~ {})", part.name)].iter().any(|e| line.contains(e))
                    };
                    assert!(lines.clone().any(is_named), "{} {path}", definition.resource);
                }
            }
        }
    }
}

#[test]
fn the_sandbox_takes_two_payloads_for_one_record_just_where_their_keys_are_strictly_equal() {
    let stage = Stage::new();
    let mut chance = Chance::new(7);
    let model = Model::from_openapi(&documents()[..2]).unwrap();
    let free = model.definitions().iter().filter(|definition| definition.references().iter().all(|r| !r.required));
    let mut expected = 0;
    // The ids of organizations are few here, and all organizations share them; school years are there from the start.
    let free = free.filter(|definition| !definition.resource.is_descriptor() && !definition.is_organization).filter(
        |definition| definition.resource.namespace() == "ed-fi" && definition.resource.name() != "schoolYearTypes",
    );
    for definition in free.take(30) {
        let natural = Natural::of(definition).unwrap();
        let mut keys = BTreeSet::new();
        let mut payloads = BTreeSet::new();
        for _ in 0..6 {
            let mut payload = object(&definition.body, &mut chance, 9);
            for spelling in 0..4 {
                for path in definition.key().flat_map(|part| &part.paths) {
                    let pointer: String = path.names().iter().map(|name| format!("/{name}")).collect();
                    match payload.pointer_mut(&pointer) {
                        Some(Value::String(text)) if spelling == 1 => *text = text.to_uppercase(),
                        Some(Value::String(text)) if spelling == 2 => *text = text.to_lowercase(),
                        _ => {}
                    }
                }
                payloads.insert(payload.to_string());
            }
        }
        let checkers = Checkers::new([definition]);
        let checker = checkers.get(&definition.resource).unwrap();
        payloads.retain(|payload| {
            let mut notes = Notes::default();
            checker.check(payload.as_bytes(), &mut notes);
            notes.faults.is_empty() && notes.references.is_empty()
        });
        keys.extend(payloads.iter().map(|payload| natural.keys(payload).unwrap().unwrap().strict));
        expected += keys.len() as u64;
        stage.data(&format!("{}.jsonl", definition.resource.name()), &Vec::from_iter(payloads));
    }
    let (run, sent) = stage.send(&[]);
    run.expect(0);
    assert!(expected > 60, "{expected}");
    assert_eq!(total(&sent, "created"), expected);
    assert!(total(&sent, "updated") > 0);
}

fn student(id: &str, version: usize) -> String {
    format!(r#"{{"studentUniqueId":"{id}","birthDate":"2012-01-01","firstName":"Ada","lastSurname":"V{version}"}}"#)
}

#[test]
fn payloads_whose_keys_differ_only_in_case_and_blanks_are_sent_one_after_the_other_in_file_order() {
    let stage = Stage::with(Options { latency: std::time::Duration::from_millis(2), ..Options::default() });
    let spellings = |id: usize| [format!("AB{id}"), format!("ab{id}"), format!("Ab{id} ")];
    let mut payloads = Vec::new();
    for version in 0..3 {
        payloads.extend((0..20).map(|id| student(&spellings(id)[version], version)));
    }
    stage.data("students.jsonl", &payloads);
    stage.send(&[]).0.expect(0);
    let posts = stage.posts();
    for id in 0..20 {
        let is_of = |post: &&Received| {
            spellings(id)
                .iter()
                .any(|id| post.body.windows(id.len() + 2).any(|part| part == format!("\"{id}\"").as_bytes()))
        };
        let of_student: Vec<&Received> = posts.iter().filter(is_of).collect();
        let versions: Vec<_> = of_student.iter().map(|post| String::from_utf8_lossy(&post.body).into_owned()).collect();
        assert_eq!(versions, [0, 1, 2].map(|version| student(&spellings(id)[version], version)));
        assert!(of_student.windows(2).all(|two| two[0].ended < two[1].started), "two of {id} at the same time");
    }
}

#[test]
fn validation_warns_of_two_payloads_that_are_one_record_on_an_api_that_ignores_case() {
    let stage = Stage::new();
    stage.data("students.jsonl", &[student("AB1", 1), student("x", 1), student("ab1", 2), student("AB1", 3)]);
    let (run, results) = validate(&stage, &[]);
    run.expect(3).tells(&["warning: the same record on an API that ignores case, at data/students.jsonl:1"]);
    just(&told(&results, "warnings"), &["students.jsonl:3 uniqueness $: the same record on an API that ignores case"]);
    just(&told(&results, "failures"), &["students.jsonl:4 uniqueness $: the natural key was given before"]);
}

#[test]
fn two_kinds_of_education_organizations_cannot_have_the_same_id() {
    let category = json!([{"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#X"}]);
    let stage = Stage::new();
    let agency = json!({"localEducationAgencyId": 255901, "nameOfInstitution": "A", "categories": category,
        "localEducationAgencyCategoryDescriptor": "uri://ed-fi.org/LocalEducationAgencyCategoryDescriptor#X"});
    let school = json!({"schoolId": 255901, "nameOfInstitution": "S", "educationOrganizationCategories": category,
        "gradeLevels": [{"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#X"}]});
    stage.data("localEducationAgencies.jsonl", &[agency.to_string()]);
    stage.data("schools.jsonl", &[school.to_string()]);
    let (run, results) = validate(&stage, &[]);
    run.expect(3);
    just(
        &told(&results, "failures"),
        &["schools.jsonl:1 uniqueness $: another kind of education organization has this id"],
    );
    let (run, sent) = stage.send(&[]);
    run.expect(3).tells(&["409"]);
    assert_eq!((total(&sent, "created"), total(&sent, "refused")), (1, 1));
}

#[test]
fn members_of_references_in_lists_must_equal_the_key_that_the_api_unifies_them_with() {
    let stage = Stage::new();
    let schedule = |name: &str, of: [u64; 2]| {
        let periods =
            of.iter().map(|school| json!({"classPeriodReference": {"classPeriodName": "1st", "schoolId": school}}));
        json!({"classPeriods": Vec::from_iter(periods), "bellScheduleName": name, "schoolReference": {"schoolId": 1}})
            .to_string()
    };
    stage.data("bellSchedules.jsonl", &[schedule("a", [1, 2])]);
    let (run, results) = validate(&stage, &[]);
    run.expect(1);
    let path = "$.classPeriods[1].classPeriodReference.schoolId";
    just(
        &told(&results, "failures"),
        &[&format!("bellSchedules.jsonl:1 schema {path}: schoolId must be the same as at $.schoolReference.schoolId")],
    );
    stage.send(&[]).0.expect(1).tells(&["must be the same as at $.schoolReference.schoolId"]);
}

/// What the API unifies inside lists, as `resource list.reference.member` of Data Standard 5.
const IN_LISTS: [&str; 26] = [
    "bellSchedules classPeriods.classPeriodReference.schoolId",
    "disciplineActions studentDisciplineIncidentBehaviorAssociations.studentDisciplineIncidentBehaviorAssociationReference.studentUniqueId",
    "objectiveAssessments assessmentItems.assessmentItemReference.assessmentIdentifier",
    "objectiveAssessments assessmentItems.assessmentItemReference.namespace",
    "reportCards grades.gradeReference.gradingPeriodDescriptor",
    "reportCards grades.gradeReference.gradingPeriodName",
    "reportCards grades.gradeReference.gradingPeriodSchoolYear",
    "reportCards grades.gradeReference.studentUniqueId",
    "reportCards studentCompetencyObjectives.studentCompetencyObjectiveReference.gradingPeriodDescriptor",
    "reportCards studentCompetencyObjectives.studentCompetencyObjectiveReference.gradingPeriodName",
    "reportCards studentCompetencyObjectives.studentCompetencyObjectiveReference.gradingPeriodSchoolId",
    "reportCards studentCompetencyObjectives.studentCompetencyObjectiveReference.gradingPeriodSchoolYear",
    "reportCards studentCompetencyObjectives.studentCompetencyObjectiveReference.studentUniqueId",
    "sections classPeriods.classPeriodReference.schoolId",
    "sessions academicWeeks.academicWeekReference.schoolId",
    "sessions gradingPeriods.gradingPeriodReference.schoolId",
    "sessions gradingPeriods.gradingPeriodReference.schoolYear",
    "studentAcademicRecords reportCards.reportCardReference.educationOrganizationId",
    "studentAcademicRecords reportCards.reportCardReference.studentUniqueId",
    "studentAssessments items.assessmentItemReference.assessmentIdentifier",
    "studentAssessments items.assessmentItemReference.namespace",
    "studentAssessments studentObjectiveAssessments.objectiveAssessmentReference.assessmentIdentifier",
    "studentAssessments studentObjectiveAssessments.objectiveAssessmentReference.namespace",
    "studentCompetencyObjectives generalStudentProgramAssociations.generalStudentProgramAssociationReference.studentUniqueId",
    "studentCompetencyObjectives studentSectionAssociations.studentSectionAssociationReference.studentUniqueId",
    "studentSectionAttendanceEvents classPeriods.classPeriodReference.schoolId",
];

#[test]
fn just_what_the_api_unifies_inside_lists_is_unified() {
    for model in
        models().iter().filter(|model| model.get(&Resource::new("ed-fi", "studentContactAssociations")).is_some())
    {
        let mut found = BTreeSet::new();
        for definition in model.definitions() {
            let Ok(key) = &definition.natural else { continue };
            for InList { list, reference, member, .. } in in_lists(&definition.resource, &definition.body, key) {
                found.insert(format!("{} {list}.{reference}.{member}", definition.resource.name()));
            }
        }
        assert_eq!(found, IN_LISTS.map(String::from).into());
    }
}
