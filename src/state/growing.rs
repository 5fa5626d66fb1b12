//! Brings news into the tables of several resources, a little at a time: all that a tier has to tell would take more room than its tables.

use std::collections::BTreeMap;
use std::mem;

use super::journal::News;
use super::table::{Entry, Table};
use crate::digest::Digest;

/// So many news are brought in together, or, where that is more, a fourth of what the tables hold: so no row is moved more than a
/// few times until all are in.
const TOGETHER: usize = 50_000;

/// Tables, by the names of their resources, that hear news.
#[derive(Default)]
pub struct Growing {
    tables: BTreeMap<String, (Table, Vec<(Digest, Entry)>)>,
    /// News that the tables do not hold yet.
    waiting: usize,
    /// What is enough to bring it in.
    enough: usize,
}

impl Growing {
    /// From what is known already.
    pub fn new(tables: BTreeMap<String, Table>) -> Growing {
        let tables = tables.into_iter().map(|(name, table)| (name, (table, Vec::new()))).collect();
        let mut growing = Growing { tables, ..Growing::default() };
        growing.bring();
        growing
    }

    /// Adds news of one of the resources, which came after those before; of another one they are not heard.
    pub fn add(&mut self, resource: &str, news: News) {
        let Some((table, waiting)) = self.tables.get_mut(resource) else { return };
        // What comes before was told by another definition of the key, and so cannot be compared.
        if news.definition != 0 && news.definition != table.definition() {
            *table = mem::take(table).with(mem::take(waiting)).under(news.definition);
        }
        news.said.into_iter().for_each(|(digest, said)| table.reasons_mut().add(digest, said));
        self.waiting += news.entries.len();
        waiting.extend(news.entries);
        if self.waiting >= self.enough {
            self.bring();
        }
    }

    fn bring(&mut self) {
        for (table, news) in self.tables.values_mut().filter(|(_, news)| !news.is_empty()) {
            *table = mem::take(table).with(mem::take(news));
        }
        let rows: usize = self.tables.values().map(|(table, _)| table.len()).sum();
        (self.waiting, self.enough) = (0, TOGETHER.max(rows / 4));
    }

    /// The tables with all news.
    pub fn grown(mut self) -> impl Iterator<Item = (String, Table)> {
        self.bring();
        self.tables.into_iter().map(|(name, (table, _))| (name, table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(range: std::ops::Range<u32>, status: u16) -> News {
        let entries = range.map(|i| (Digest::of(&i.to_le_bytes()), Entry::of_status(1, status))).collect();
        News { entries, ..News::default() }
    }

    #[test]
    fn however_much_is_told_little_of_it_waits_and_all_is_there_in_the_end() {
        let known = Table::default().with(news(0..10, 400).entries);
        let tables = [("a", known), ("b", Table::default())].map(|(name, table)| (name.to_string(), table));
        let mut growing = Growing::new(BTreeMap::from(tables));
        let mut most = 0;
        for start in (0..300_000).step_by(1_000) {
            growing.add("a", news(start..start + 1_000, 201));
            growing.add("b", news(start..start + 10, 409));
            growing.add("unknown", news(0..1, 201));
            let waiting: usize = growing.tables.values().map(|(_, news)| news.len()).sum();
            assert_eq!(waiting, growing.waiting);
            most = most.max(waiting);
        }
        assert!((1_000..80_000).contains(&most), "{most}");
        growing.add("a", news(7..8, 500));
        let tables: BTreeMap<String, Table> = growing.grown().collect();
        assert_eq!((tables["a"].len(), tables["b"].len(), tables.len()), (300_000, 3_000, 2));
        let status = |name: &str, i: u32| tables[name].get(&Digest::of(&i.to_le_bytes())).map(|entry| entry.status);
        assert_eq!(
            (status("a", 7), status("a", 8), status("b", 1_009), status("b", 10)),
            (Some(500), Some(201), Some(409), None)
        );
    }
}
