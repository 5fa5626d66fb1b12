//! What is sent: a folder of JSONL files with its configuration, removed when it is dropped.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lightbeam::digest::Digest;
use lightbeam::disk::System;
use lightbeam::resource::Resource;
use lightbeam::state::History;
use lightbeam::state::table::Entry;

/// The payloads are spread over these, which no other of them has to precede.
const RESOURCES: [&str; 4] =
    ["grades", "studentAssessments", "studentSchoolAttendanceEvents", "studentSectionAttendanceEvents"];

/// A folder with data, configuration and state.
pub struct Folder(PathBuf);

impl Folder {
    /// So many different payloads for the API at `url`.
    pub fn new(payloads: usize, url: &str, workers: usize) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("lightbeam-bench-{}", std::process::id())));
        fs::create_dir_all(folder.data()).expect("a folder in the temporary folder");
        for (number, resource) in RESOURCES.iter().enumerate() {
            let file = File::create(folder.data().join(format!("{resource}.jsonl"))).expect("a data file");
            let mut file = BufWriter::new(file);
            let write = |i| writeln!(file, "{}", payload(i));
            (0..payloads).skip(number).step_by(RESOURCES.len()).try_for_each(write).expect("room for the payloads");
        }
        let config = format!(
            "state_dir: state\ndata_dir: data\nedfi_api:\n  base_url: {url}\n  client_id: key\n  client_secret: secret\n\
             connection:\n  pool_size: {workers}\n"
        );
        fs::write(folder.0.join("lightbeam.yaml"), config).expect("a configuration");
        folder
    }

    /// So many payloads that are valid: students of the sample district's schools and their attendance, and all that these refer to but the
    /// districts above the schools.
    pub fn of_schools(payloads: usize, url: &str) -> Folder {
        let folder = Folder::new(0, url, 8);
        fs::remove_dir_all(folder.data()).expect("an empty folder of data");
        fs::create_dir_all(folder.data()).expect("the same again");
        for file in
            ["schools.jsonl", "sessions.json", "schoolYearTypes.jsonl", "attendanceEventCategoryDescriptors.jsonl"]
        {
            let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/district/");
            fs::copy(format!("{sample}{file}"), folder.data().join(file)).expect("the sample district");
        }
        let write = |resource: &str, count: usize, line: &dyn Fn(usize) -> String| {
            let file = File::create(folder.data().join(format!("{resource}.jsonl"))).expect("a data file");
            let mut file = BufWriter::new(file);
            (0..count).try_for_each(|i| writeln!(file, "{}", line(i))).expect("room for the payloads");
        };
        let students = payloads / 10;
        write("students", students, &student);
        write("studentSchoolAttendanceEvents", payloads - students, &|i| attendance(i % students, i / students));
        folder
    }

    /// `lightbeam validate` in these ways.
    pub fn validate(&self, methods: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lightbeam"));
        let set = ["--set", "validate.methods", methods, "validate.references.remote", "false"];
        command.args(["validate", "--quiet"]).args(set).current_dir(&self.0).stdout(Stdio::null());
        command
    }

    /// Where the data files are.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// `lightbeam send`, as it runs under a scheduler.
    pub fn lightbeam(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lightbeam"));
        command.args(["send", "--quiet"]).current_dir(&self.0).stdout(Stdio::null());
        command
    }

    /// Takes away the state, so that everything is due.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.0.join("state"));
    }

    /// Makes the state of a run in which the API at `url` accepted everything.
    pub fn know_all(&self, url: &str) {
        let target = format!("{url}/data/v3");
        let mut history =
            History::open(Box::new(System), &self.0.join("state"), &target, &mut |_| ()).expect("a new history");
        let entry = Entry { at: 1_700_000_000, status: 201 };
        for resource in RESOURCES {
            let text = fs::read(self.data().join(format!("{resource}.jsonl"))).expect("a data file");
            let known: Vec<_> = text.trim_ascii_end().split(|&b| b == b'\n').map(|p| (Digest::of(p), entry)).collect();
            history.record(&Resource::new("ed-fi", resource), &known);
        }
        history.settle().expect("room for the state");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// 280 bytes that differ in each payload, as an attendance event has them.
fn payload(i: usize) -> String {
    format!(
        concat!(
            r#"{{"attendanceEventCategoryDescriptor":"uri://ed-fi.org/AttendanceEventCategoryDescriptor#Tardy","#,
            r#""eventDate":"2026-{:02}-{:02}","schoolReference":{{"schoolId":255901{:03}}},"#,
            r#""sessionReference":{{"schoolId":255901001,"schoolYear":2026,"sessionName":"Fall"}},"#,
            r#""studentReference":{{"studentUniqueId":"{:08}"}}}}"#
        ),
        i % 12 + 1,
        i % 28 + 1,
        i % 1000,
        i
    )
}

fn student(i: usize) -> String {
    format!(
        concat!(
            r#"{{"studentUniqueId":"{:08}","birthDate":"2010-{:02}-{:02}","firstName":"Ada","#,
            r#""middleName":"Augusta","lastSurname":"Number {}","birthCity":"Lantern Ridge"}}"#
        ),
        i,
        i % 12 + 1,
        i % 28 + 1,
        i
    )
}

/// On the how many-th day.
fn attendance(student: usize, day: usize) -> String {
    format!(
        concat!(
            r#"{{"attendanceEventCategoryDescriptor":"uri://lightbeam.example/AttendanceEventCategoryDescriptor#{}","#,
            r#""eventDate":"2024-09-{:02}","schoolReference":{{"schoolId":990101}},"#,
            r#""sessionReference":{{"schoolId":990101,"schoolYear":2025,"sessionName":"2024-2025 Fall"}},"#,
            r#""studentReference":{{"studentUniqueId":"{:08}"}}}}"#
        ),
        "Field Trip",
        day + 1,
        student
    )
}
