//! Dead letters: what is refused, byte for byte, to be mended and sent again.
//!
//! For each resource `{resource}.jsonl` holds the payloads and `{resource}.reasons.jsonl`, line for line, why: file, line, status, problem
//! type, messages, correlation id, and the digest of the payload. Where the name alone does not say which resource is meant, both stand in
//! a folder that is named as its namespace, so that they are read back as what they are. After a run the files hold whatever of the input stands refused, in this
//! run or an earlier one; they replace those of the run before, atomically. A file that somebody edited meanwhile is kept.

mod origins;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Zoned;
use serde_json::json;

pub use origins::Origins;

use crate::api::refusal::{Refusal, RefusalKind};
use crate::digest::Digest;
use crate::disk::{self, Readers, System, create};
use crate::error::{Context, Result};
use crate::exit::Exit;
use crate::outcome::Place;

/// What the names of files of reasons end in; whoever lists a data folder passes over these.
pub const REASONS: &str = ".reasons.jsonl";

/// A payload that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The number of its resource.
    pub resource: usize,
    /// Where it stands.
    pub place: Place,
    /// As it stands there, white space around it left out.
    pub bytes: Vec<u8>,
    /// Why.
    pub why: Why,
}

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The API's answer.
    Answer(Refusal),
    /// It is no payload.
    Flaw(String),
    /// Validation found all this.
    Invalid(Vec<String>),
}

/// Where dead letters go.
pub struct Rejects {
    folder: PathBuf,
    /// Who is refused.
    client_id: String,
    /// By the label of the resource.
    drafts: BTreeMap<String, Draft>,
}

struct Draft {
    payloads: Part,
    reasons: Part,
}

/// A file that is not in place yet.
struct Part {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Rejects {
    /// Into this folder, which is made when there is something to be written. What a killed run left there is removed. Refusals that are about the caller name it.
    pub fn into(folder: PathBuf, client_id: &str) -> Rejects {
        disk::sweep_whole(&folder);
        Rejects { folder, client_id: client_id.into(), drafts: BTreeMap::new() }
    }

    /// Adds a letter of the resource with that label.
    pub fn add(&mut self, resource: &str, letter: &Letter) -> Result<()> {
        if !self.drafts.contains_key(resource) {
            let draft = Draft { payloads: self.create(resource, ".jsonl")?, reasons: self.create(resource, REASONS)? };
            self.drafts.insert(resource.into(), draft);
        }
        let folder = self.folder.display();
        let Some(draft) = self.drafts.get_mut(resource) else { return Ok(()) };
        let reason = letter.reason(&self.client_id).to_string();
        let write = |to: &mut Part, line: &[u8]| to.file.write_all(line).and_then(|()| to.file.write_all(b"\n"));
        write(&mut draft.payloads, &letter.bytes)
            .and_then(|()| write(&mut draft.reasons, reason.as_bytes()))
            .or_stop(Exit::GivenUp, || format!("cannot write the rejects to {folder}"))
    }

    /// Puts the files of these resources, all of the run's, in place of those of the run before. Returns what became of those that somebody edited;
    /// `arrived` tells whether the API accepted all payloads of one of the resources, by their position.
    pub fn close<'n>(
        mut self,
        resources: impl IntoIterator<Item = &'n str>,
        mut arrived: impl FnMut(usize, &[Digest]) -> Result<bool>,
    ) -> Result<Vec<String>> {
        let mut kept = Vec::new();
        let aside = self.folder.join(format!("edited-{}", Zoned::now().strftime("%Y%m%dT%H%M%S")));
        for (number, resource) in resources.into_iter().enumerate() {
            let draft = self.drafts.remove(resource);
            let current = self.folder.join(format!("{resource}.jsonl"));
            let edited = origins::edited(&current);
            let edited = match edited {
                Some(payloads) => draft.is_some() || !arrived(number, &payloads)?,
                None => false,
            };
            if edited {
                if draft.is_none() {
                    kept.push(format!("{} was edited, so it is left as it is; nothing replaces it", current.display()));
                    continue;
                }
                self.put_aside(resource, &aside)?;
                kept.push(format!(
                    "{} was edited, so it is kept in {}; to send it: lightbeam send --data-dir {}",
                    current.display(),
                    aside.display(),
                    aside.display()
                ));
            }
            for (ending, part) in match draft {
                Some(draft) => [(".jsonl", Some(draft.payloads)), (REASONS, Some(draft.reasons))],
                None => [(".jsonl", None), (REASONS, None)],
            } {
                let path = self.folder.join(format!("{resource}{ending}"));
                let done = match part {
                    Some(part) => part.put(&path),
                    None => fs::remove_file(&path).or_else(|e| match e.kind() {
                        ErrorKind::NotFound => Ok(()),
                        _ => Err(e),
                    }),
                };
                done.or_stop(Exit::GivenUp, || format!("cannot replace the rejects in {}", path.display()))?;
            }
            if let Some(namespace) = namespace_folder(&self.folder, resource) {
                // Only an empty one goes.
                let _ = fs::remove_dir(namespace);
            }
        }
        Ok(kept)
    }

    /// Moves the files of a resource, with their reasons, to another folder.
    fn put_aside(&self, resource: &str, to: &Path) -> Result<()> {
        for ending in [".jsonl", REASONS] {
            let (from, to) = (self.folder.join(format!("{resource}{ending}")), to.join(format!("{resource}{ending}")));
            let folder = to.parent().unwrap_or(Path::new(""));
            disk::make_folders(&System, folder)
                .and_then(|()| fs::rename(&from, &to))
                .or_stop(Exit::GivenUp, || format!("cannot move {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }

    fn create(&self, resource: &str, ending: &str) -> Result<Part> {
        let path = create::draft_of(&self.folder.join(format!("{resource}{ending}")));
        let folder = disk::folder_of(&path);
        // The user named the folder itself; that of a namespace is lightbeam's own.
        let own = if folder == self.folder { Ok(()) } else { create::refuse_link(folder) };
        own.and_then(|()| disk::make_folders(&System, folder))
            .and_then(|()| create::draft(&path, Readers::Owner))
            .map(|file| Part { path: path.clone(), file: BufWriter::new(file) })
            .or_stop(Exit::GivenUp, || format!("cannot write the rejects to {}", path.display()))
    }
}

impl Part {
    /// Puts it in place.
    fn put(mut self, path: &Path) -> std::io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.path, path)
    }
}

/// What was not put in place is of no use to anybody.
impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The folder in which the rejects of a resource stand if it is written with its namespace.
fn namespace_folder(folder: &Path, resource: &str) -> Option<PathBuf> {
    resource.rsplit_once('/').map(|(namespace, _)| folder.join(namespace))
}

/// Whether a folder is one that rejects were put in, although it may hold none by now: it is the one that is named for
/// them, it is below the state, or it holds reasons.
pub fn is_of_rejects(folder: &Path, rejects_dir: Option<&Path>, state_dir: Option<&Path>) -> bool {
    let whole = |path: &Path| fs::canonicalize(path).ok();
    let is_below_state = match (whole(folder), state_dir.and_then(whole)) {
        (Some(folder), Some(state)) => folder.starts_with(state),
        _ => false,
    };
    let is_reasons = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with(REASONS);
    let has_reasons = || fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(is_reasons));
    is_below_state || rejects_dir.is_some_and(|named| same_folder(named, folder)) || has_reasons()
}

/// Whether both are one folder, however they are written.
pub fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Letter {
    fn reason(&self, client_id: &str) -> serde_json::Value {
        let (answer, messages) = match &self.why {
            Why::Answer(refusal) => (Some(refusal), refusal.messages.clone()),
            Why::Flaw(message) => (None, vec![message.clone()]),
            Why::Invalid(messages) => (None, messages.clone()),
        };
        json!({
            "file": self.place.file.display().to_string(),
            "line": self.place.line,
            "status_code": answer.map(|refusal| refusal.status),
            "kind": answer.map(|refusal| refusal.kind().name()),
            "client_id": answer.filter(|refusal| refusal.kind() == RefusalKind::Caller).map(|_| client_id),
            "type": answer.and_then(|refusal| refusal.problem_type.as_deref()),
            "messages": messages,
            "correlation_id": answer.and_then(|refusal| refusal.correlation_id.as_deref()),
            "digest": Digest::of(&self.bytes).to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(line: u64, why: Why) -> Letter {
        let place = Place { file: Path::new("data/students.jsonl").into(), line };
        Letter { resource: 0, place, bytes: b"{\"a\":\xff}".to_vec(), why }
    }

    #[test]
    fn a_refusal_that_is_about_the_caller_names_it_and_each_names_its_kind_and_payload() {
        let reason = |status| letter(1, Why::Answer(Refusal::earlier(status))).reason("key");
        assert_eq!((&reason(403)["kind"], &reason(403)["client_id"]), (&"caller".into(), &"key".into()));
        assert_eq!((&reason(400)["kind"], &reason(400)["client_id"]), (&"payload".into(), &serde_json::Value::Null));
        assert_eq!(reason(400)["digest"], Digest::of(b"{\"a\":\xff}").to_string());
    }

    #[test]
    fn letters_are_kept_byte_for_byte_with_a_reason_each_and_replaced_by_the_next_run() {
        let folder = std::env::temp_dir().join(format!("lightbeam-rejects-{}", std::process::id()));
        let refusal = Refusal {
            status: 400,
            problem_type: Some("urn:x".into()),
            correlation_id: Some("run/1".into()),
            messages: vec!["too long".into()],
            ..Refusal::default()
        };
        let mut rejects = Rejects::into(folder.clone(), "key");
        rejects.add("students", &letter(7, Why::Answer(refusal))).unwrap();
        rejects.add("students", &letter(9, Why::Flaw("not UTF-8".into()))).unwrap();
        assert!(!folder.join("students.jsonl").exists(), "nothing is in place before the end");
        rejects.close(["students", "schools"], |_, _| Ok(false)).unwrap();
        assert_eq!(fs::read(folder.join("students.jsonl")).unwrap(), b"{\"a\":\xff}\n{\"a\":\xff}\n");
        let reasons = fs::read_to_string(folder.join("students.reasons.jsonl")).unwrap();
        let reasons: Vec<serde_json::Value> = reasons.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(
            (&reasons[0]["line"], &reasons[0]["type"], &reasons[0]["correlation_id"]),
            (&7.into(), &"urn:x".into(), &"run/1".into())
        );
        assert_eq!(
            (&reasons[1]["status_code"], &reasons[1]["messages"][0]),
            (&serde_json::Value::Null, &"not UTF-8".into())
        );
        Rejects::into(folder.clone(), "key").close(["schools"], |_, _| Ok(false)).unwrap();
        let mut abandoned = Rejects::into(folder.clone(), "key");
        abandoned.add("students", &letter(1, Why::Answer(Refusal::earlier(400)))).unwrap();
        drop(abandoned);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "a run that broke off leaves everything as it was");
        assert!(folder.join("students.jsonl").exists(), "a resource that was not part of the run keeps its letters");
        Rejects::into(folder.clone(), "key").close(["students"], |_, _| Ok(false)).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }
}
