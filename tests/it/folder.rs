//! Which files are sent as what, and that nothing in the data folder is passed over without a word.

use lightbeam::sandbox::Options;

use crate::support::{Stage, students};

#[test]
fn school_years_are_sent_before_all_others_and_a_line_says_so() {
    let stage = Stage::new();
    stage.data(
        "schoolYearTypes.jsonl",
        &[r#"{"schoolYear":2024,"currentSchoolYear":false,"schoolYearDescription":"2023-2024"}"#.into()],
    );
    stage.data("students.jsonl", &students(5));
    stage.data(
        "gradeLevelDescriptors.jsonl",
        &[r#"{"codeValue":"A","namespace":"uri://lightbeam.example/GradeLevelDescriptor","shortDescription":"A"}"#
            .into()],
    );
    let err = stage.run(&["send"]).expect(0).err;
    let told = "INFO    schoolYearTypes is not among the API's dependencies: it comes before all others";
    assert!(err.contains(told), "{err}");
    let posts = stage.posts();
    assert_eq!(
        posts.iter().map(|post| post.resource.as_str()).take(2).collect::<Vec<_>>(),
        ["ed-fi/schoolYearTypes", "ed-fi/gradeLevelDescriptors"]
    );
    assert!(posts[0].ended < posts[1].started);
    let err = stage.run(&["plan", "-s", "students"]).expect(0).err;
    assert!(!err.contains("schoolYearTypes"), "nobody asked for it: {err}");
}

#[test]
fn a_resource_of_another_namespace_is_sent_where_the_overrides_say() {
    let stage = Stage::with(Options { no_check: true, ..Options::default() });
    stage.data("candidates.jsonl", &students(2));
    stage.data("Students.jsonl", &students(1));
    let err = stage.run(&["send"]).expect(0).err;
    let told = "candidates.jsonl is left out: it matches no resource; the namespace tpdm has it: name it in namespace_overrides";
    assert!(err.contains(told), "{err}");
    assert!(stage.posts().iter().all(|post| post.resource == "ed-fi/students"));
    stage.folder.config(&stage.sandbox.url(), "namespace_overrides:\n  tpdm: [Candidates]\n");
    let err = stage.run(&["send"]).expect(0).err;
    assert!(!err.contains("WARNING"), "{err}");
    assert_eq!(stage.posts().iter().filter(|post| post.resource == "tpdm/candidates").count(), 2);
}

#[test]
fn whatever_is_not_sent_is_named_with_the_reason_and_the_nearest_resource() {
    let stage = Stage::new();
    stage.data("students.jsonl", &students(1));
    stage.data("studnets.jsonl", &students(1));
    stage.data("SCHOOL.ndjson", &students(1));
    stage.data("notes.json", &students(1));
    stage.data("export.csv", &["a,b".into()]);
    stage.data("staffs/readme.txt", &["hello".into()]);
    stage.data("contacts/part.jsonl/too-deep.jsonl", &students(1));
    for command in ["send", "plan"] {
        let err = stage.run(&[command]).expect(0).err;
        for told in [
            "WARNING data/studnets.jsonl is left out: it matches no resource; did you mean students?",
            "WARNING data/SCHOOL.ndjson is left out: it matches no resource; did you mean schools?",
            "WARNING data/notes.json is left out: it matches no resource\n",
            "WARNING data/export.csv is not read: it does not end in .jsonl, .ndjson or .json",
            "WARNING data/staffs/readme.txt is not read: it does not end in .jsonl, .ndjson or .json",
            "WARNING data/staffs is not read: it holds no .jsonl, .ndjson or .json file",
            "WARNING data/contacts/part.jsonl is not read: ",
        ] {
            assert!(err.contains(told), "{told}\n{err}");
        }
        assert_eq!(err.matches("WARNING").count(), 8, "{err}");
    }
    assert_eq!(stage.posts().len(), 1);
}

#[test]
fn an_empty_data_folder_is_said_to_be_empty() {
    let stage = Stage::new();
    for command in ["send", "plan"] {
        let err = stage.run(&[command]).expect(2).err;
        assert!(err.contains("CRITICAL there is nothing to read in data"), "{err}");
    }
    stage.data("students.jsonl", &students(1));
    let err = stage.run(&["send", "-s", "schools"]).expect(2).err;
    assert!(err.contains("CRITICAL there is nothing to read in data"), "{err}");
    assert!(stage.posts().is_empty());
}

#[test]
fn a_data_folder_that_is_not_there_is_named_before_the_api_is_asked() {
    let stage = Stage::new();
    std::fs::remove_dir_all(stage.folder.0.join("data")).unwrap();
    for command in ["send", "plan"] {
        let err = stage.run(&[command]).expect(2).err;
        assert!(err.contains("data_dir data is no folder that can be read"), "{err}");
    }
    assert!(!stage.folder.0.join("state").exists());
}

#[test]
fn a_folder_of_files_is_one_resource_whatever_its_casing_and_the_slash_after_data_dir() {
    let stage = Stage::new();
    for (part, payload) in ["b.jsonl", "a.NDJSON", "c.json"].into_iter().zip(students(3)) {
        stage.data(&format!("STUDENTS/{part}"), &[payload]);
    }
    for data_dir in ["data", "data/", "./data//"] {
        stage.run(&["send", "-f", "--set", "data_dir", data_dir]).expect(0);
    }
    assert_eq!(stage.posts().len(), 9);
}
