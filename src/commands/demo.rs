//! `lightbeam demo`: a sample school district, sent twice to a sandbox, for newcomers. Everything it needs is in the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{say, send};
use crate::config::{self, Assignment, Config, Given};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::report::Summary;
use crate::sandbox::{self, Options};
use crate::selector::Selector;
use crate::state::resend::Resend;
use crate::terminal::Terminal;

/// The configuration that the district comes with.
const CONFIG: &str = include_str!("../../fixtures/district/lightbeam.yaml");

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../fixtures/district/", $name)))
    };
}

/// The district's files.
static DISTRICT: &[(&str, &[u8])] = &[
    file!("Courses.jsonl"),
    file!("academicSubjectDescriptors.jsonl"),
    file!("assessments.jsonl"),
    file!("attendanceEventCategoryDescriptors.jsonl"),
    file!("bellSchedules.jsonl"),
    file!("calendarDates.jsonl"),
    file!("calendars.jsonl"),
    file!("classPeriods.jsonl"),
    file!("contacts.jsonl"),
    file!("courseOfferings.jsonl"),
    file!("courseTranscripts.jsonl"),
    file!("gradeLevelDescriptors.jsonl"),
    file!("grades.jsonl"),
    file!("gradingPeriods.ndjson"),
    file!("graduationPlans.jsonl"),
    file!("localEducationAgencies.jsonl"),
    file!("locations.jsonl"),
    file!("objectiveAssessments.jsonl"),
    file!("programCharacteristicDescriptors.jsonl"),
    file!("programs.jsonl"),
    file!("reportCards.jsonl"),
    file!("schoolYearTypes.jsonl"),
    file!("schools.jsonl"),
    file!("sections.jsonl"),
    file!("sessions.json"),
    file!("staffEducationOrganizationAssignmentAssociations.jsonl"),
    file!("staffEducationOrganizationEmploymentAssociations.jsonl"),
    file!("staffSchoolAssociations.jsonl"),
    file!("staffSectionAssociations.jsonl"),
    file!("staffs.jsonl"),
    file!("stateEducationAgencies.jsonl"),
    file!("studentAcademicRecords.jsonl"),
    file!("studentAssessments.jsonl"),
    file!("studentContactAssociations.jsonl"),
    file!("studentEducationOrganizationAssociations.jsonl"),
    file!("studentProgramAssociations.jsonl"),
    file!("studentSchoolAssociations.jsonl"),
    file!("studentSchoolAttendanceEvents/part-1.jsonl"),
    file!("studentSchoolAttendanceEvents/part-2.jsonl"),
    file!("studentSectionAssociations.jsonl"),
    file!("students.jsonl"),
];

/// Runs the demo and tells what happened.
pub fn run(terminal: &mut Terminal) -> Result<Exit> {
    let folder = Folder::new()?;
    for (name, bytes) in DISTRICT {
        let path = folder.0.join("data").join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
            .and_then(|()| fs::write(&path, bytes))
            .or_stop(Exit::GivenUp, || format!("cannot write the sample district to {}", path.display()))?;
    }
    let sandbox = sandbox::start(Options::default())?;
    let config = config(&sandbox.url(), &folder.0)?;
    let interrupt = Interrupt::on_signals()?;
    let mut load = || send::run(&config, &Selector::default(), &Resend::default(), terminal, &interrupt);
    say(&format!("An Ed-Fi API in memory answers at {}.\n\n", sandbox.url()));
    let first = load()?;
    say(&format!("FIRST RUN: everything is new.\n\n{}\n{}", first.to_text(), explained(&first)));
    let second = load()?;
    say(&format!("\nSECOND RUN: nothing has changed, so nothing is sent.\n\n{}\n{FAREWELL}", second.to_text()));
    Ok(Exit::Ok)
}

/// What the first summary shows.
fn explained(summary: &Summary) -> String {
    let total = summary.total();
    format!(
        "Each resource waited for those that it refers to. {} payloads are wrong on\n\
         purpose; the API refused them, or lightbeam did, with file, line and reason.\n\
         Of payloads that stand twice one was sent. A real run would end with exit\n\
         code {}.\n",
        total.refused,
        summary.exit(false).code()
    )
}

/// What the second summary shows, and where to go from here.
const FAREWELL: &str = "\
What was refused is not sent again by itself (skipped*): mend the file, or send it\n\
again with --failed. Lines that cannot be sent at all are told in every run.\n\
The files named above were the demo's own and are gone now.\n\
Your own data: write a lightbeam.yaml (see README), then `lightbeam plan` and\n\
`lightbeam send`.\n";

fn config(url: &str, folder: &Path) -> Result<Config> {
    let set = |key: &str, path: PathBuf| Assignment { key: key.into(), value: path.display().to_string() };
    let sets = [set("data_dir", folder.join("data")), set("state_dir", folder.join("state"))];
    let login = [("LIGHTBEAM_URL", url), ("LIGHTBEAM_KEY", "demo"), ("LIGHTBEAM_SECRET", "demo")];
    let params = login.map(|(name, value)| (name.to_string(), value.to_string()));
    let given = Given { params: BTreeMap::from(params), sets: &sets, env: &|_| None, year: 2026 };
    config::parse(Path::new("lightbeam.yaml"), CONFIG, &given).map(|(config, _)| config)
}

/// A folder for the length of a demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("lightbeam-demo-{}", std::process::id()));
        fs::create_dir_all(&path).or_stop(Exit::GivenUp, || format!("cannot make the folder {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_holds_every_file_of_the_district() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/district");
        let found = crate::folder::find(&folder).unwrap();
        let mut files: Vec<_> = found.files.into_values().flatten().collect();
        files.sort();
        let held: Vec<_> = DISTRICT.iter().map(|(name, _)| folder.join(name)).collect();
        assert_eq!(files, held);
    }
}
