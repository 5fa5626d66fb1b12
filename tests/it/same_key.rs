//! Payloads that depend on others of their own resource: of the same natural key, or as children.

use lightbeam::sandbox::{Options, Received};
use serde_json::{Value, json};

use crate::support::{Stage, district, total};

/// What an organization needs to be one.
fn category() -> Value {
    json!({"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#School"})
}

fn student(id: usize, version: usize) -> String {
    format!(
        r#"{{"studentUniqueId":"{id}","birthDate":"2012-01-01","firstName":"Ada","lastSurname":"Version {version}"}}"#
    )
}

/// The POSTs of one student, in the order in which they came.
fn of_student(posts: &[Received], id: usize) -> Vec<&Received> {
    let text = format!(r#""studentUniqueId":"{id}""#);
    posts.iter().filter(|post| String::from_utf8_lossy(&post.body).contains(&text)).collect()
}

#[test]
fn payloads_of_one_natural_key_are_sent_in_file_order_and_never_at_the_same_time() {
    let stage = Stage::with(Options { latency: std::time::Duration::from_millis(2), ..Options::default() });
    // Lines of a key stand side by side, far apart, and in two files; long enough for several blocks.
    let filler = |id| student(id, 0).replace("Ada", &"Ada ".repeat(12));
    let mut first: Vec<_> = (0..20).flat_map(|id| [student(id, 1), student(id, 2)]).collect();
    first.extend((1_000..1_600).map(filler));
    first.extend((0..20).rev().map(|id| student(id, 3)));
    stage.data("students/a.jsonl", &first);
    stage.data("students/b.jsonl", &(0..20).flat_map(|id| [student(id, 4), student(id, 2)]).collect::<Vec<_>>());
    let (run, results) = stage.send(&[]);
    run.expect(0).tells(&["80 payloads with the natural key of an earlier one; the last one in the files counts."]);
    assert_eq!([total(&results, "same_key"), total(&results, "duplicate"), total(&results, "created")], [80, 0, 620]);
    let posts = stage.posts();
    for id in 0..20 {
        let posts = of_student(&posts, id);
        let bodies: Vec<_> = posts.iter().map(|post| String::from_utf8_lossy(&post.body)).collect();
        assert_eq!(bodies, [1, 2, 3, 4, 2].map(|version| student(id, version)), "the last one in the files wins");
        assert!(posts.windows(2).all(|two| two[0].ended < two[1].started), "two of student {id} at the same time");
    }
    stage.send(&[]).0.expect(99);
}

#[test]
fn a_payload_whose_predecessor_got_no_answer_waits_for_the_next_run() {
    // Every second request fails, and is not repeated.
    let stage = Stage::with(Options { fail_503: Some(2), ..Options::default() });
    stage.folder.config(&stage.sandbox.url(), "connection:\n  num_retries: 0\n  pool_size: 1\n");
    stage.data("students.jsonl", &[student(1, 1), student(2, 1), student(2, 2)]);
    let (run, results) = stage.send(&[]);
    run.expect(4).tells(&["an earlier payload of the same natural key has no final answer"]);
    assert_eq!((total(&results, "created"), total(&results, "unsent")), (1, 2));
    assert_eq!(stage.posts().len(), 2, "the second version must not overtake the first");
    stage.send(&[]).0.expect(4);
    stage.send(&[]).0.expect(0);
    assert_eq!(stage.posts().last().unwrap().body, student(2, 2).into_bytes());
}

#[test]
fn a_payload_whose_predecessor_is_refused_is_sent_all_the_same() {
    let stage = Stage::new();
    let wrong = student(1, 1).replace("Ada", &"A".repeat(80));
    stage.data("students.jsonl", &[wrong, student(1, 2)]);
    let (run, results) = stage.send(&[]);
    run.expect(3);
    assert_eq!((total(&results, "created"), total(&results, "refused"), total(&results, "same_key")), (1, 1, 1));
}

#[test]
fn a_predecessor_that_waits_for_what_it_refers_to_is_waited_for() {
    let stage = Stage::new();
    let department = |id: u64, parent: u64, name: &str| {
        json!({"organizationDepartmentId": id, "nameOfInstitution": name, "categories": [category()],
            "parentEducationOrganizationReference": {"educationOrganizationId": parent}})
        .to_string()
    };
    let root =
        json!({"organizationDepartmentId": 3, "nameOfInstitution": "Root", "categories": [category()]}).to_string();
    let root_too = root.replace('3', "1");
    // The first line's parent comes last; the second line could be sent at once.
    stage.data(
        "organizationDepartments.jsonl",
        &[department(1, 2, "old"), root_too.clone(), department(2, 3, "b"), root],
    );
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!((total(&results, "created"), total(&results, "updated"), total(&results, "same_key")), (3, 1, 1));
    assert_eq!(stage.posts().last().unwrap().body, root_too.into_bytes());
}

#[test]
fn fifty_generations_in_the_wrong_order_take_two_requests_for_each_payload_at_most() {
    let stage = Stage::new();
    district(&stage.folder);
    stage.send(&["-s", "assessments"]).0.expect(0);
    let assessment =
        json!({"assessmentIdentifier": "LANTERN-MATH-2025", "namespace": "uri://lightbeam.example/Assessment"});
    let code = |line: usize, generation: usize| format!("LINE {line} GENERATION {generation}");
    let objective = |line: usize, generation: usize| {
        let mut payload = json!({"identificationCode": code(line, generation), "assessmentReference": assessment});
        if generation > 0 {
            let mut parent = assessment.clone();
            parent["identificationCode"] = code(line, generation - 1).into();
            payload["parentObjectiveAssessmentReference"] = parent;
        }
        payload.to_string()
    };
    let payloads: Vec<_> = (0..50).rev().flat_map(|generation| (0..4).map(move |line| (line, generation))).collect();
    stage.data("objectiveAssessments.jsonl", &payloads.iter().map(|&(l, g)| objective(l, g)).collect::<Vec<_>>());
    let before = stage.posts().len();
    let (run, results) = stage.send(&["-s", "objectiveAssessments"]);
    run.expect(0);
    assert_eq!(total(&results, "created"), 200);
    let posts = stage.posts().len() - before;
    assert!(posts <= 2 * 200, "{posts} requests for 200 payloads");
}

#[test]
fn every_resource_that_refers_to_itself_loads_in_one_run_whatever_the_order_of_its_lines() {
    let namespace = "uri://lightbeam.example";
    let learning_standard = |id: &str, parent: Option<&str>| {
        let mut payload = json!({"learningStandardId": id, "description": "d", "namespace": namespace,
            "contentStandard": {"title": "t"}, "academicSubjects": [{"academicSubjectDescriptor": "uri://ed-fi.org/AcademicSubjectDescriptor#Mathematics"}],
            "gradeLevels": [{"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Tenth grade"}]});
        if let Some(parent) = parent {
            payload["parentLearningStandardReference"] = json!({"learningStandardId": parent});
        }
        payload.to_string()
    };
    let content = |id: &str, source: Option<&str>| {
        let sources =
            source.map(|source| json!({"derivativeSourceEducationContentReference": {"contentIdentifier": source}}));
        json!({"contentIdentifier": id, "namespace": namespace,
            "derivativeSourceEducationContents": sources.into_iter().collect::<Vec<_>>()})
        .to_string()
    };
    let agency = |id: u64, parent: Option<u64>| {
        let mut payload = json!({"localEducationAgencyId": id, "nameOfInstitution": "A", "categories": [category()],
            "localEducationAgencyCategoryDescriptor": "uri://ed-fi.org/LocalEducationAgencyCategoryDescriptor#Independent"});
        if let Some(parent) = parent {
            payload["parentLocalEducationAgencyReference"] = json!({"localEducationAgencyId": parent});
        }
        payload.to_string()
    };
    let stage = Stage::new();
    let ids = ["a", "b", "c", "d", "e"];
    let parent = |at: usize| at.checked_sub(1);
    let reversed = |payload: &dyn Fn(usize) -> String| (0..5).rev().map(payload).collect::<Vec<_>>();
    stage.data("learningStandards.jsonl", &reversed(&|at| learning_standard(ids[at], parent(at).map(|at| ids[at]))));
    stage.data("educationContents.jsonl", &reversed(&|at| content(ids[at], parent(at).map(|at| ids[at]))));
    stage.data(
        "localEducationAgencies.jsonl",
        &reversed(&|at| agency(at as u64 + 1, parent(at).map(|at| at as u64 + 1))),
    );
    let (run, results) = stage.send(&[]);
    run.expect(0);
    assert_eq!(total(&results, "created"), 15);
    assert!(stage.posts().len() <= 2 * 15);
}
