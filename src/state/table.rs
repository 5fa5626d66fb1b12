//! What is known of a resource's payloads: digest → when last answered, and how. Sorted rows instead of a map: 24 bytes a payload, and a
//! look-up that waits for memory once, where the rows lie, and not in each of several columns.

use std::ops::Range;

use crate::digest::Digest;

/// The last final answer to a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in seconds since 1970 (good until 2106).
    pub at: u32,
    /// The status that came back; [`Entry::NO_ANSWER`] where a payload that had one was sent again without getting one.
    pub status: u16,
}

impl Entry {
    /// The status of a payload that is due whatever came before.
    pub const NO_ANSWER: u16 = 0;
    /// The status of a payload of which nothing is to be known any more. News may have it; no table keeps it.
    pub const GONE: u16 = u16::MAX;

    /// Whether the API took the payload.
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The entries of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// In ascending order of digests.
    rows: Vec<(Digest, Entry)>,
    /// The first row of each bucket, which the digest's first bits choose; one more than there are buckets.
    buckets: Vec<u32>,
}

impl Table {
    /// So many rows share a bucket, or one. With eight a look-up takes 140 ns, with two 100, with one no less.
    const ROWS_A_BUCKET: usize = 2;

    /// From rows whose digests ascend; `None` if they do not.
    pub fn from_rows(rows: Vec<(Digest, Entry)>) -> Option<Table> {
        if !rows.is_sorted_by(|a, b| a.0 < b.0) || u32::try_from(rows.len()).is_err() {
            return None;
        }
        let mut table = Table { rows, buckets: Vec::new() };
        table.index();
        Some(table)
    }

    /// The rows, with digests ascending.
    pub fn rows(&self) -> &[(Digest, Entry)] {
        &self.rows
    }

    /// How many payloads are known.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What is known of a payload.
    pub fn get(&self, digest: &Digest) -> Option<Entry> {
        find(&self.rows[self.bucket(digest)], digest)
    }

    /// What is known of each of many payloads.
    pub fn get_all(&self, digests: &[Digest]) -> Vec<Option<Entry>> {
        let buckets: Vec<_> = digests.iter().map(|digest| self.bucket(digest)).collect();
        // Touches what will be looked at, so that the processor fetches for a dozen payloads at a time and not for one after the other, which
        // would take half as long again where a history is larger than its caches.
        let ends = buckets.iter().flat_map(|rows| [rows.start, rows.end.saturating_sub(1)]);
        std::hint::black_box(ends.filter_map(|row| self.rows.get(row)).fold(0, |sum, row| sum ^ row.0.0[0]));
        buckets.into_iter().zip(digests).map(|(rows, digest)| find(&self.rows[rows], digest)).collect()
    }

    /// The rows among which a digest's is, if there is any.
    fn bucket(&self, digest: &Digest) -> Range<usize> {
        let bucket = (digest.prefix() >> self.shift()) as usize;
        match self.buckets.get(bucket..) {
            Some([start, end, ..]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// This table with news added; of several entries for one payload the last one counts, and [`Entry::GONE`] leaves none. Rows are moved in
    /// place, for a second table would double what a history of millions takes.
    pub fn with(mut self, mut news: Vec<(Digest, Entry)>) -> Table {
        // Stable, so that of one payload the last one is the first from behind.
        news.sort_by_key(|(digest, _)| *digest);
        news.reverse();
        news.dedup_by_key(|(digest, _)| *digest);
        news.retain(|(digest, entry)| {
            let rows = self.bucket(digest);
            let known = self.rows[rows].iter_mut().find(|(known, _)| known == digest);
            let is_new = known.is_none();
            known.into_iter().for_each(|(_, known)| *known = *entry);
            is_new
        });
        let mut old = self.len();
        let mut free = old + news.len();
        self.rows.reserve_exact(news.len());
        self.rows.extend_from_slice(&news);
        // From the greatest down, so that no row is written over before it is moved.
        for new in news {
            while old > 0 && self.rows[old - 1].0 > new.0 {
                (old, free) = (old - 1, free - 1);
                self.rows[free] = self.rows[old];
            }
            free -= 1;
            self.rows[free] = new;
        }
        self.rows.retain(|(_, entry)| entry.status != Entry::GONE);
        self.index();
        self
    }

    /// By how many bits a digest's prefix is shifted to give its bucket; there are at least two buckets, so it is below 64.
    fn shift(&self) -> u32 {
        let buckets = (self.rows.len() / Table::ROWS_A_BUCKET).next_power_of_two().max(2);
        64 - buckets.trailing_zeros()
    }

    fn index(&mut self) {
        let shift = self.shift();
        let buckets = 1_usize << (64 - shift);
        self.buckets.clear();
        self.buckets.reserve_exact(buckets + 1);
        for (row, (digest, _)) in self.rows.iter().enumerate() {
            let bucket = (digest.prefix() >> shift) as usize;
            while self.buckets.len() <= bucket {
                self.buckets.push(row as u32);
            }
        }
        self.buckets.resize(buckets + 1, self.rows.len() as u32);
    }
}

/// So few rows are sooner looked at one after the other than by halves, each of which the processor would have to guess.
fn find(rows: &[(Digest, Entry)], digest: &Digest) -> Option<Entry> {
    rows.iter().find(|(known, _)| known == digest).map(|(_, entry)| *entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(i: u32) -> Digest {
        Digest::of(&i.to_le_bytes())
    }

    fn entry(status: u16) -> Entry {
        Entry { at: 1_700_000_000, status }
    }

    #[test]
    fn every_payload_is_found_and_no_other() {
        for n in [0, 1, 2, 7, 8, 9, 100, 10_000] {
            let table = Table::default().with((0..n).map(|i| (digest(i), entry((i % 500) as u16))).collect());
            assert_eq!(table.len(), n as usize);
            assert!((0..n).all(|i| table.get(&digest(i)) == Some(entry((i % 500) as u16))));
            assert!((n..n + 100).all(|i| table.get(&digest(i)).is_none()));
        }
    }

    #[test]
    fn the_last_of_several_answers_counts() {
        let table =
            Table::default().with(vec![(digest(1), entry(400)), (digest(2), entry(201)), (digest(1), entry(200))]);
        assert_eq!((table.len(), table.get(&digest(1))), (2, Some(entry(200))));
        let table = table.with(vec![(digest(2), entry(409)), (digest(3), entry(201))]);
        let statuses: Vec<_> = [1, 2, 3].iter().map(|&i| table.get(&digest(i)).unwrap().status).collect();
        assert_eq!(statuses, [200, 409, 201]);
    }

    #[test]
    fn what_is_gone_leaves_no_entry_and_may_come_back() {
        let table = Table::default().with((0..100).map(|i| (digest(i), entry(201))).collect());
        let table = table.with((0..50).map(|i| (digest(i), entry(Entry::GONE))).collect());
        assert_eq!((table.len(), table.get(&digest(7)), table.get(&digest(70))), (50, None, Some(entry(201))));
        let table = table.with(vec![(digest(7), entry(Entry::GONE)), (digest(7), entry(200))]);
        assert_eq!((table.len(), table.get(&digest(7))), (51, Some(entry(200))));
    }

    #[test]
    fn rows_that_do_not_ascend_are_no_table() {
        let (mut one, mut other) = ((digest(1), entry(201)), (digest(2), entry(201)));
        if one.0 > other.0 {
            (one, other) = (other, one);
        }
        assert!(Table::from_rows(vec![one, other]).is_some());
        assert!(Table::from_rows(vec![other, one]).is_none());
        assert!(Table::from_rows(vec![one, one]).is_none());
    }
}
