//! What is sent: a folder of JSONL files with its configuration, removed when it is dropped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lightbeam::digest::Digest;
use lightbeam::disk::System;
use lightbeam::resource::Resource;
use lightbeam::state::History;
use lightbeam::state::journal::News;
use lightbeam::state::table::Entry;

/// The payloads are spread over these, which no other of them has to precede.
pub const RESOURCES: [&str; 4] =
    ["grades", "studentAssessments", "studentSchoolAttendanceEvents", "studentSectionAttendanceEvents"];

/// A folder with data, configuration and state.
pub struct Folder(PathBuf);

impl Folder {
    /// So many different payloads for the API at `url`.
    pub fn new(payloads: usize, url: &str, workers: usize) -> Folder {
        let folder = Folder(std::env::temp_dir().join(format!("lightbeam-bench-{}", std::process::id())));
        fs::create_dir_all(folder.data()).expect("a folder in the temporary folder");
        for (number, resource) in RESOURCES.iter().enumerate().filter(|_| payloads > 0) {
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

    /// Some payloads for each of the tiers of the API at `url`, twenty for each of two hundred descriptors among them.
    pub fn of_tiers(url: &str) -> Folder {
        let folder = Folder::new(0, url, 8);
        let answer = ureq::get(format!("{url}/metadata/data/v3/dependencies")).call().expect("the dependencies");
        let answer = answer.into_body().read_to_string().expect("their text");
        let dependencies: Vec<serde_json::Value> = serde_json::from_str(&answer).expect("JSON");
        let mut tiers: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for entry in &dependencies {
            let name = entry["resource"].as_str().expect("a resource").rsplit('/').next().expect("a name");
            if entry["operations"][0] == "Create" {
                tiers.entry(entry["order"].as_u64().expect("an order")).or_default().push(name);
            }
        }
        for names in tiers.values() {
            let descriptors =
                names.iter().filter(|name| name.ends_with("Descriptors")).take(200).map(|name| (name, 20));
            let others = names.iter().filter(|name| !name.ends_with("Descriptors")).take(1).map(|name| (name, 80));
            for (name, lines) in descriptors.chain(others) {
                let lines: String = (0..lines).map(|i| payload(i) + "\n").collect();
                fs::write(folder.data().join(format!("{name}.jsonl")), lines).expect("a data file");
            }
        }
        folder
    }

    /// So many payloads of a megabyte.
    pub fn of_large(payloads: usize, url: &str) -> Folder {
        let folder = Folder::new(0, url, 8);
        let file = File::create(folder.data().join("grades.jsonl")).expect("a data file");
        let (mut file, filling) = (BufWriter::new(file), "x".repeat(1_000_000));
        let write = |i| writeln!(file, r#"{{"number":{i},"filling":"{filling}"}}"#);
        (0..payloads).try_for_each(write).expect("room for the payloads");
        folder
    }

    /// How many payloads there are.
    pub fn payloads(&self) -> usize {
        let files = fs::read_dir(self.data()).expect("the data folder").flatten();
        files.map(|file| fs::read(file.path()).expect("a data file").iter().filter(|&&b| b == b'\n').count()).sum()
    }

    /// `lightbeam validate` in these ways.
    pub fn validate(&self, methods: &str) -> Command {
        self.run(&["validate", "--set", "validate.methods", methods, "validate.references.remote", "false"])
    }

    /// Where the data files are.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// `lightbeam send`, as it runs under a scheduler.
    pub fn lightbeam(&self) -> Command {
        self.run(&["send"])
    }

    /// The release binary with these arguments.
    pub fn run(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lightbeam"));
        command.args(args).current_dir(&self.0).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Where everything is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes away the state, so that everything is due.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.0.join("state"));
    }

    /// The same, but what the API says of itself stays.
    pub fn forget_outcomes(&self) {
        for entry in fs::read_dir(self.0.join("state")).expect("the state").flatten() {
            if entry.file_name() != "cache" && entry.file_name() != "tokens" {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Makes the state of a run in which the API at `url` accepted everything.
    pub fn know_all(&self, url: &str) {
        let target = format!("{url}/data/v3");
        let mut history =
            History::open(Box::new(System), &self.0.join("state"), &target, &mut |_| ()).expect("a new history");
        let entry = Entry::of_status(1_700_000_000, 201);
        for resource in RESOURCES {
            let text = fs::read(self.data().join(format!("{resource}.jsonl"))).expect("a data file");
            let payloads = text.trim_ascii_end().split(|&b| b == b'\n');
            let entries = payloads.map(|payload| (Digest::of(payload), entry)).collect();
            history.record(&Resource::new("ed-fi", resource), &News { entries, ..News::default() });
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
