//! Keys that a mapping has more than once. The last one counts, as for other readers of YAML, and a warning says so.

use super::lines::Lines;
use super::yaml::{Shape, unmark};

/// A key that a mapping has more than once.
#[derive(Debug, PartialEq, Eq)]
pub struct Twice {
    /// The key.
    pub key: String,
    /// Where it stands first and last, each counted from 1.
    pub lines: (usize, usize),
}

/// Adds those of a piece at `path` to `twice`.
pub(super) fn find(shape: &Shape, path: &mut Vec<String>, lines: &Lines, twice: &mut Vec<Twice>) {
    let children: Vec<(String, &Shape)> = match shape {
        Shape::Null | Shape::Scalar => return,
        Shape::List(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Shape::Mapping(entries) => entries.iter().map(|(key, value)| (key.clone(), value)).collect(),
    };
    for (number, (key, child)) in children.iter().enumerate() {
        path.push(key.clone());
        match children[number + 1..].iter().any(|(other, _)| other == key) {
            // What this one says is lost, so that nothing in it matters.
            true if twice.iter().all(|known| known.key != *key) => {
                twice.push(Twice { key: unmark(key), lines: lines.first_and_last(path) });
            }
            true => {}
            false => find(child, path, lines, twice),
        }
        path.pop();
    }
}
