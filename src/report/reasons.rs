//! Why something failed, most frequent first, for people.

use std::path::{Path, PathBuf};

use super::COLUMNS;
use crate::outcome::{Failure, Places, Reason};
use crate::resource::Resource;
use crate::text::{self, visible};

/// So many reasons are printed; the results file has all.
const TOP_REASONS: usize = 10;
/// So much of a message is printed.
const LONGEST_MESSAGE: usize = 600;

/// What there is to tell of a reason of one resource.
pub fn trouble(resource: &Resource, (reason, failure): (&Reason, &Failure)) -> Trouble {
    Trouble {
        resource: resource.clone(),
        reason: reason.clone(),
        count: occurrences(&failure.places),
        first: first(&failure.places).map(|(file, line)| (file.into(), line)),
        correlation_id: failure.correlation_id.as_deref().map(Into::into),
    }
}

/// A reason for failures of one resource.
pub struct Trouble {
    /// Of which resource.
    pub resource: Resource,
    /// What the API or lightbeam said.
    pub reason: Reason,
    /// How often.
    pub count: u64,
    /// The first file and line, if it was said of lines.
    pub first: Option<(PathBuf, u64)>,
    /// By which the API's log knows the first request that met it.
    pub correlation_id: Option<String>,
}

/// The most frequent reasons, within 80 columns, below a title; nothing if there are none.
pub fn reasons(title: &str, mut all: Vec<Trouble>) -> String {
    if all.is_empty() {
        return String::new();
    }
    all.sort_by(|a, b| (b.count, &a.resource, &a.reason).cmp(&(a.count, &b.resource, &b.reason)));
    let mut text = format!("\n{title}, most frequent first:\n");
    for Trouble { resource, reason, count, first, correlation_id } in all.iter().take(TOP_REASONS) {
        let status = reason.status.map_or(String::new(), |status| format!(" {status}"));
        let first = first.as_ref().map(|(file, line)| format!(", first at {}:{line}", visible::path(file)));
        let (count, first) = (text::count(*count), first.unwrap_or_default());
        text.push_str(&format!("{count:>7}  {}{status}{first}\n", resource.label()));
        text.push_str(&text::wrapped(&text::shortened(&reason.message, LONGEST_MESSAGE), 9, COLUMNS));
        let kind = reason.problem_type.as_ref().map(|kind| format!("type {kind}"));
        let id = correlation_id.as_ref().map(|id| format!("correlation id {id}"));
        let details: Vec<_> = kind.into_iter().chain(id).collect();
        if !details.is_empty() {
            text.push_str(&text::wrapped(&text::shortened(&details.join(", "), LONGEST_MESSAGE), 9, COLUMNS));
        }
    }
    if all.len() > TOP_REASONS {
        let more = text::counted((all.len() - TOP_REASONS) as u64, "reason");
        text.push_str(&format!("{:>7}  and {more} more\n", ""));
    }
    text
}

fn occurrences(places: &Places) -> u64 {
    places.values().map(|lines| lines.len() as u64).sum()
}

fn first(places: &Places) -> Option<(&Path, u64)> {
    let (file, lines) = places.iter().next()?;
    Some((file.as_ref(), *lines.iter().min()?))
}
