//! What can be told of a block of lines by itself. Workers do this, each for a block at a time.

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fxhash::{FxHashMap, FxHasher};

use super::descriptors::{Known, Verdict};
use super::findings::{Beside, Counts, Finding, Gathered, Met, Severity};
use crate::check::{Checker, Fault, Method, Notes, Refers, Rule, Taken};
use crate::config::validate::{Unknown, Validate};
use crate::edfi::key::{Keys, StrictKey};
use crate::outcome::Unread;
use crate::resource::Resource;
use crate::sift;
use crate::source::{Block, Piece};

/// What inspecting needs.
pub struct Inspector<'a> {
    /// What is checked.
    pub rules: &'a Validate,
    /// The checker of each of the plan's jobs; `None` where the documents do not describe its resource.
    pub checkers: Vec<Option<&'a Checker>>,
    /// The values of descriptors.
    pub known: &'a Known,
}

/// What was seen in a piece of a file.
pub struct Inspected<'a> {
    /// The number of the job.
    pub job: usize,
    /// The file.
    pub file: Arc<Path>,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many lines, nothing more.
    pub counts: Counts,
    /// What could not be read.
    pub unread: Option<Unread>,
    /// What was found, each finding once, in the order of the first lines.
    pub found: Vec<(Finding, Vec<Met>)>,
    /// The natural keys, in the order of the lines.
    pub keys: Vec<Keyed>,
    /// The descriptors that are mentioned and of which the API has no values.
    pub without_values: Vec<&'a Resource>,
    /// What is referred to, in the order of the lines.
    pub mentions: Vec<Mention<'a>>,
    /// The text, where it is needed to tell to what a mention refers.
    pub block: Option<Block>,
}

/// A payload and its natural key.
pub struct Keyed {
    /// Where it stands.
    pub line: u64,
    /// Its key.
    pub key: Keys,
    /// A hash of its text.
    pub hash: u64,
}

/// A reference in a payload.
pub struct Mention<'a> {
    /// Where the payload stands.
    pub line: u64,
    /// The payload's text within the block.
    pub payload: Range<usize>,
    /// Where the reference stands in it.
    pub path: Arc<str>,
    /// Of which resources.
    pub to: &'a Refers,
    /// Of what.
    pub key: StrictKey,
}

impl<'a> Inspector<'a> {
    /// Whether that is checked.
    pub fn does(&self, method: Method) -> bool {
        self.rules.methods.contains(&method)
    }

    /// Whether natural keys are of use.
    fn needs_keys(&self) -> bool {
        self.does(Method::Uniqueness) || self.does(Method::References)
    }

    /// Looks at a piece.
    pub fn inspect(&self, piece: Piece) -> Inspected<'a> {
        match piece {
            Piece::Lines(block) => self.lines(block),
            Piece::Unread { resource, unread } => {
                let mut inspected = Inspected::new(resource, unread.place.file.clone());
                inspected.unread = Some(unread);
                inspected
            }
            Piece::Flaw { resource, file, line, message } => {
                let mut inspected = Inspected::new(resource, file);
                inspected.counts.read = 1;
                let (finding, met) = unreadable(line, message);
                inspected.found.push((finding, vec![met]));
                inspected
            }
        }
    }

    fn lines(&self, block: Block) -> Inspected<'a> {
        let mut inspected = Inspected::new(block.resource, block.file.clone());
        inspected.bytes = block.bytes.len() as u64;
        let ignores_unknown = self.rules.unknown_properties == Unknown::Ignore || !self.does(Rule::Unknown.method());
        let mut reader = Reader {
            inspector: self,
            notes: if ignores_unknown { Notes::without_unknown() } else { Notes::default() },
            found: Gathered::default(),
            kinds: FxHashMap::default(),
            paths: FxHashMap::default(),
        };
        for (line, range) in block.lines() {
            inspected.counts.read += 1;
            let payload = &block.bytes[range.clone()];
            match self.checkers[block.resource] {
                _ if payload.is_empty() => inspected.counts.blank += 1,
                Some(checker) => reader.payload(checker, line, range, payload, &mut inspected),
                None => {
                    if let Err(why) = sift::read(payload, None) {
                        let (finding, met) = unreadable(line, why);
                        reader.found.add(finding, met);
                    }
                }
            }
        }
        inspected.without_values =
            reader.kinds.values().filter(|kind| kind.is_unchecked).map(|kind| kind.descriptor).collect();
        inspected.found = reader.found.found();
        inspected.block = (!inspected.mentions.is_empty()).then_some(block);
        inspected
    }
}

impl Inspected<'_> {
    fn new(job: usize, file: Arc<Path>) -> Self {
        let counts = Counts::default();
        Inspected {
            job,
            file,
            bytes: 0,
            counts,
            unread: None,
            found: Vec::new(),
            keys: Vec::new(),
            without_values: Vec::new(),
            mentions: Vec::new(),
            block: None,
        }
    }
}

fn unreadable(line: u64, message: String) -> (Finding, Met) {
    let finding =
        Finding { severity: Severity::Fault, method: Method::Schema, path: "$".into(), message: message.into() };
    (finding, Met { line, beside: Beside::Nothing })
}

/// What is known of the values of one descriptor. Of a block, whose payloads say the same over and over.
struct Kind<'a> {
    descriptor: &'a Resource,
    /// Whether a value could not be checked.
    is_unchecked: bool,
    /// By value: what is wrong with it, if anything is.
    verdicts: FxHashMap<Box<str>, Option<Arc<str>>>,
}

/// Reads the payloads of a block.
struct Reader<'i, 'a> {
    inspector: &'i Inspector<'a>,
    notes: Notes<'a>,
    found: Gathered,
    /// By the address of the descriptor: checkers, which live longer than a block, have one for all mentions of a property.
    kinds: FxHashMap<usize, Kind<'a>>,
    paths: FxHashMap<String, Arc<str>>,
}

impl<'a> Reader<'_, 'a> {
    fn payload(
        &mut self,
        checker: &'a Checker,
        line: u64,
        range: Range<usize>,
        payload: &[u8],
        inspected: &mut Inspected<'a>,
    ) {
        let inspector = self.inspector;
        checker.check(payload, &mut self.notes);
        for fault in self.notes.faults.drain(..) {
            if let Some((finding, met)) = inspector.finding(line, fault) {
                self.found.add(finding, met);
            }
        }
        for Taken { fault, .. } in self.notes.taken.drain(..) {
            if let Some((finding, met)) = inspector.finding(line, fault) {
                self.found.add(Finding { severity: Severity::Warning, ..finding }, met);
            }
        }
        if inspector.does(Method::Descriptors) {
            for mention in &self.notes.descriptors {
                let uri = self.notes.uri(mention);
                if let Some(message) = verdict(&mut self.kinds, inspector.known, mention.resource, uri) {
                    let path = self.notes.path(mention.place).into();
                    let (severity, method) = (Severity::Fault, Method::Descriptors);
                    let finding = Finding { severity, method, path, message };
                    self.found.add(finding, Met { line, beside: Beside::Nothing });
                }
            }
        }
        if let Some(key) = self.notes.key.filter(|_| inspector.needs_keys()) {
            let mut hasher = FxHasher::default();
            payload.hash(&mut hasher);
            inspected.keys.push(Keyed { line, key, hash: hasher.finish() });
        }
        if inspector.does(Method::References) {
            for reference in &self.notes.references {
                let path = self.notes.path(reference.place);
                let path = match self.paths.get(&path) {
                    Some(known) => known.clone(),
                    None => self.paths.entry(path.clone()).or_insert(path.into()).clone(),
                };
                let (to, key) = (reference.to, reference.key);
                inspected.mentions.push(Mention { line, payload: range.clone(), path, to, key });
            }
        }
    }
}

impl Inspector<'_> {
    /// What a fault is under the rules, if anything.
    fn finding(&self, line: u64, fault: Fault) -> Option<(Finding, Met)> {
        let (method, beside) = match fault.rule {
            Rule::Json { column } => (Method::Schema, Beside::Column(column)),
            rule if self.does(rule.method()) => (rule.method(), Beside::Nothing),
            _ => return None,
        };
        let severity = match (fault.rule, self.rules.unknown_properties) {
            (Rule::Unknown, Unknown::Ignore) => return None,
            (Rule::Unknown, Unknown::Warn) => Severity::Warning,
            _ => Severity::Fault,
        };
        let finding = Finding { severity, method, path: fault.path, message: fault.message };
        Some((finding, Met { line, beside }))
    }
}

fn verdict<'a>(
    kinds: &mut FxHashMap<usize, Kind<'a>>,
    known: &Known,
    descriptor: &'a Resource,
    uri: &str,
) -> Option<Arc<str>> {
    let kind = kinds.entry(std::ptr::from_ref(descriptor) as usize);
    let kind = kind.or_insert_with(|| Kind { descriptor, is_unchecked: false, verdicts: FxHashMap::default() });
    match kind.verdicts.get(uri) {
        Some(verdict) => verdict.clone(),
        None => {
            let verdict = known.verdict(descriptor, uri);
            kind.is_unchecked |= verdict == Verdict::NotChecked;
            let fault: Option<Arc<str>> = match verdict {
                Verdict::Fault(message) => Some(message.into()),
                Verdict::Fine | Verdict::NotChecked => None,
            };
            kind.verdicts.insert(uri.into(), fault.clone());
            fault
        }
    }
}
