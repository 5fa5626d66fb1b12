//! What validation found: for each resource its counts and what is wrong, by what it is and where.
//!
//! As in a tally of sending, one fault of a thousand payloads is kept once, with the lines where it was met. What was found is told in the order
//! of files and lines, in whatever order it became known. Whoever meets much in one file gathers it first ([`Gathered`]), because to file it costs
//! more than to meet it, and one thread files for all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use fxhash::FxHashMap;

use crate::check::Method;
use crate::outcome::{Place, Unread};

/// So many different findings are kept for a resource; further ones are filed together, so that memory stays bounded where every message
/// differs.
const DIFFERENT: usize = 5_000;

/// Something that was found in payloads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Whether it makes a payload invalid.
    pub severity: Severity,
    /// Which way of validation found it.
    pub method: Method,
    /// Where in the payload, such as `$.addresses[2].city`.
    pub path: Arc<str>,
    /// What is wrong and what would be right.
    pub message: Arc<str>,
}

/// Whether something makes a payload invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The API would refuse it.
    Fault,
    /// The API would take it.
    Warning,
}

/// Where a finding was met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Met {
    /// The line, from 1.
    pub line: u64,
    /// What is to be known of it there.
    pub beside: Beside,
}

/// What differs between payloads of one finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// In which column of the line it is, in characters from 1.
    Column(usize),
    /// Where the payload stands that it collides with.
    Earlier(Place),
}

impl Beside {
    /// The column, if that is what it is.
    pub fn column(&self) -> Option<usize> {
        match self {
            Beside::Column(column) => Some(*column),
            _ => None,
        }
    }

    /// The earlier payload, if that is what it is.
    pub fn earlier(&self) -> Option<&Place> {
        match self {
            Beside::Earlier(place) => Some(place),
            _ => None,
        }
    }
}

/// What became of the lines of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read.
    pub read: u64,
    /// Lines with nothing but white space.
    pub blank: u64,
    /// Payloads with a fault.
    pub invalid: u64,
    /// Payloads with a warning.
    pub warned: u64,
}

impl Counts {
    /// Lines that hold a payload or should.
    pub fn payloads(&self) -> u64 {
        self.read - self.blank
    }

    /// Payloads without a fault.
    pub fn valid(&self) -> u64 {
        self.payloads() - self.invalid
    }

    /// Adds what is counted elsewhere.
    pub fn add(&mut self, other: &Counts) {
        self.read += other.read;
        self.blank += other.blank;
        self.invalid += other.invalid;
        self.warned += other.warned;
    }
}

/// What was found in the payloads of one resource.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many.
    pub counts: Counts,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What, and where.
    pub found: FxHashMap<Arc<Finding>, Places>,
    /// The lines with faults and those with warnings.
    lines: FxHashMap<Arc<Path>, [Lines; 2]>,
}

/// Where one finding was met, by file.
pub type Places = BTreeMap<Arc<Path>, Vec<Met>>;

/// Lines of a file, each once: by 64 of them, a bit for each.
#[derive(Clone, Debug, Default)]
struct Lines(FxHashMap<u64, u64>);

impl Lines {
    /// Adds a line; whether it is new.
    fn add(&mut self, line: u64) -> bool {
        let (lines, bit) = (self.0.entry(line / 64).or_default(), 1 << (line % 64));
        let is_new = *lines & bit == 0;
        *lines |= bit;
        is_new
    }
}

/// What was met in one file: each finding once, in the order in which they were first met, with where it was met.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    found: Vec<(Finding, Vec<Met>)>,
    /// The position of each.
    positions: FxHashMap<Finding, usize>,
    /// The position of what comes if payloads have the same findings in the same order.
    expected: usize,
}

impl Gathered {
    /// Adds a finding.
    pub fn add(&mut self, finding: Finding, met: Met) {
        let is_expected = self.found.get(self.expected).is_some_and(|(expected, _)| *expected == finding);
        let known = if is_expected { Some(self.expected) } else { self.positions.get(&finding).copied() };
        let position = known.unwrap_or(self.found.len());
        match known {
            Some(position) => self.found[position].1.push(met),
            None => {
                self.positions.insert(finding.clone(), position);
                self.found.push((finding, vec![met]));
            }
        }
        self.expected = if position + 1 < self.found.len() { position + 1 } else { 0 };
    }

    /// All of it.
    pub fn found(self) -> Vec<(Finding, Vec<Met>)> {
        self.found
    }
}

impl Tally {
    /// Files a finding.
    pub fn add(&mut self, finding: Finding, file: &Arc<Path>, met: Met) {
        self.file(vec![(finding, vec![met])], file);
    }

    /// Files what was gathered in a file.
    pub fn file(&mut self, gathered: Vec<(Finding, Vec<Met>)>, file: &Arc<Path>) {
        if gathered.is_empty() {
            return;
        }
        let [faulty, warned] = self.lines.entry(file.clone()).or_default();
        let mut further: BTreeMap<(Severity, Method), Vec<Met>> = BTreeMap::new();
        for (finding, met) in gathered {
            let (lines, count) = match finding.severity {
                Severity::Fault => (&mut *faulty, &mut self.counts.invalid),
                Severity::Warning => (&mut *warned, &mut self.counts.warned),
            };
            *count += met.iter().filter(|met| lines.add(met.line)).count() as u64;
            if let Some(places) = self.found.get_mut(&finding) {
                places.entry(file.clone()).or_default().extend(met);
            } else if self.found.len() < DIFFERENT {
                self.found.insert(Arc::new(finding), Places::from([(file.clone(), met)]));
            } else {
                further.entry((finding.severity, finding.method)).or_default().extend(met);
            }
        }
        for ((severity, method), met) in further {
            let message = "(further messages, not kept apart)".into();
            let finding = Finding { severity, method, path: "$".into(), message };
            self.found.entry(Arc::new(finding)).or_default().entry(file.clone()).or_default().extend(met);
        }
    }

    /// What was found, each with the first place where it was met and how often: faults before warnings and in the order of files and lines,
    /// at most so many.
    pub fn first(&self, most: usize) -> impl Iterator<Item = (&Finding, &Path, &Met, u64)> {
        let mut first = BTreeSet::new();
        for (finding, places) in &self.found {
            let Some((file, met)) = places.iter().next() else { continue };
            let count: usize = places.values().map(Vec::len).sum();
            first.extend(met.iter().min().map(|met| (finding.severity, file, met, finding, count as u64)));
            if first.len() > most {
                first.pop_last();
            }
        }
        first.into_iter().map(|(_, file, met, finding, count)| (&**finding, &**file, met, count))
    }

    /// How often something of that severity was met.
    pub fn met(&self, severity: Severity) -> u64 {
        let of = self.found.iter().filter(|(finding, _)| finding.severity == severity);
        of.flat_map(|(_, places)| places.values()).map(|met| met.len() as u64).sum()
    }
}

/// Which payloads are invalid, and why.
#[derive(Clone, Debug, Default)]
pub struct Invalid(FxHashMap<Arc<Path>, Vec<(u64, Arc<Finding>)>>);

impl Invalid {
    /// Of what was found in all resources.
    pub fn of<'t>(tallies: impl IntoIterator<Item = &'t Tally>) -> Invalid {
        let mut lines: FxHashMap<Arc<Path>, Vec<(u64, Arc<Finding>)>> = FxHashMap::default();
        let found = tallies.into_iter().flat_map(|tally| &tally.found);
        for (finding, places) in found.filter(|(finding, _)| finding.severity == Severity::Fault) {
            for (file, met) in places {
                lines.entry(file.clone()).or_default().extend(met.iter().map(|met| (met.line, finding.clone())));
            }
        }
        lines.values_mut().for_each(|lines| lines.sort_unstable());
        Invalid(lines)
    }

    /// Everything that is wrong with the payload in that line.
    pub fn why(&self, file: &Path, line: u64) -> Vec<String> {
        let lines = self.0.get(file).map_or(&[][..], Vec::as_slice);
        let of_line = lines.iter().skip(lines.partition_point(|(other, _)| *other < line));
        of_line
            .take_while(|(other, _)| *other == line)
            .map(|(_, finding)| format!("{} ({}): {}", finding.path, finding.method.name(), finding.message))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, message: &str) -> Finding {
        Finding { severity, method: Method::Schema, path: "$.a".into(), message: message.into() }
    }

    fn met(line: u64) -> Met {
        Met { line, beside: Beside::Nothing }
    }

    #[test]
    fn a_payload_with_several_faults_is_invalid_once_and_all_of_them_are_told() {
        let (mut tally, file) = (Tally::default(), Arc::from(Path::new("a.jsonl")));
        for (severity, message, line) in [
            (Severity::Fault, "x", 7),
            (Severity::Fault, "y", 7),
            (Severity::Warning, "z", 7),
            (Severity::Fault, "x", 3),
        ] {
            tally.add(finding(severity, message), &file, met(line));
        }
        assert_eq!((tally.counts.invalid, tally.counts.warned), (2, 1));
        assert_eq!((tally.met(Severity::Fault), tally.met(Severity::Warning)), (3, 1));
        let first = tally.first(2).map(|(finding, _, met, count)| (met.line, &*finding.message, count));
        assert_eq!(first.collect::<Vec<_>>(), [(3, "x", 2), (7, "y", 1)]);
        let invalid = Invalid::of([&tally]);
        assert_eq!(invalid.why(&file, 7), ["$.a (schema): x", "$.a (schema): y"]);
        assert!(invalid.why(&file, 4).is_empty() && invalid.why(Path::new("b.jsonl"), 7).is_empty());
    }

    #[test]
    fn what_was_gathered_is_filed_as_if_each_finding_had_been_filed_by_itself() {
        let files: [Arc<Path>; 2] = ["a.jsonl", "b.jsonl"].map(|file| Path::new(file).into());
        let (mut one_by_one, mut gathered) = (Tally::default(), Tally::default());
        // More different findings than are kept, in blocks that each have known and new ones, of both severities, two to a line.
        for block in 0..100 {
            let (mut block_of, file) = (Gathered::default(), &files[block / 50]);
            for number in 0..400 {
                let severity = if number % 3 == 0 { Severity::Warning } else { Severity::Fault };
                let message =
                    if number % 4 == 0 { format!("no {block} {number}") } else { format!("no {}", number % 8) };
                let met = Met { line: (block * 200 + number / 2) as u64, beside: Beside::Column(number) };
                one_by_one.add(finding(severity, &message), file, met.clone());
                block_of.add(finding(severity, &message), met);
            }
            gathered.file(block_of.found(), file);
        }
        assert_eq!(gathered.counts, one_by_one.counts);
        // Each line has a fault, as only every third finding is a warning; each warning is in a line of its own.
        assert_eq!((gathered.counts.invalid, gathered.counts.warned), (20_000, 13_400));
        let sorted = |mut tally: Tally| {
            tally.found.values_mut().flat_map(|places| places.values_mut()).for_each(|met| met.sort_unstable());
            tally.found
        };
        assert!(gathered.first(20).eq(one_by_one.first(20)));
        let (gathered, one_by_one) = (sorted(gathered), sorted(one_by_one));
        assert_eq!((gathered.len(), gathered == one_by_one), (DIFFERENT + 2, true));
    }

    #[test]
    fn what_is_gathered_keeps_the_order_in_which_it_was_first_met() {
        let mut gathered = Gathered::default();
        for (message, line) in [("x", 1), ("y", 1), ("x", 2), ("z", 3), ("y", 4), ("x", 5)] {
            gathered.add(finding(Severity::Fault, message), met(line));
        }
        let found = gathered.found();
        let lines = |met: &[Met]| met.iter().map(|met| met.line).collect::<Vec<_>>();
        let found: Vec<_> = found.iter().map(|(finding, met)| (&*finding.message, lines(met))).collect();
        assert_eq!(found, [("x", vec![1, 2, 5]), ("y", vec![1, 4]), ("z", vec![3])]);
    }

    #[test]
    fn findings_without_end_are_filed_together_and_still_counted() {
        let (mut tally, file) = (Tally::default(), Arc::from(Path::new("a.jsonl")));
        for line in 0..6_000 {
            tally.add(finding(Severity::Fault, &format!("no {line}")), &file, met(line));
        }
        assert_eq!((tally.found.len(), tally.met(Severity::Fault)), (DIFFERENT + 1, 6_000));
    }
}
