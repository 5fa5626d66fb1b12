//! What is known of a resource's payloads: digest → when last answered, and how. Sorted columns instead of a map: 22 bytes a payload, as on
//! disk, and a look-up that touches two or three cache lines.

use std::cmp::Reverse;
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
    digests: Vec<Digest>,
    ats: Vec<u32>,
    statuses: Vec<u16>,
    /// The first row of each bucket, which the digest's first bits choose; one more than there are buckets.
    buckets: Vec<u32>,
}

impl Table {
    /// About so many rows share a bucket.
    const ROWS_A_BUCKET: usize = 8;

    /// From columns of one length whose digests ascend; `None` if they do not.
    pub fn from_columns(digests: Vec<Digest>, ats: Vec<u32>, statuses: Vec<u16>) -> Option<Table> {
        let one_length = digests.len() == ats.len() && digests.len() == statuses.len();
        if !one_length || !digests.is_sorted_by(|a, b| a < b) || u32::try_from(digests.len()).is_err() {
            return None;
        }
        let mut table = Table { digests, ats, statuses, buckets: Vec::new() };
        table.index();
        Some(table)
    }

    /// The columns: digests ascending, times, statuses.
    pub fn columns(&self) -> (&[Digest], &[u32], &[u16]) {
        (&self.digests, &self.ats, &self.statuses)
    }

    /// How many payloads are known.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// What is known of a payload.
    pub fn get(&self, digest: &Digest) -> Option<Entry> {
        self.row(digest).map(|row| self.entry(row))
    }

    /// What is known of each of many payloads.
    pub fn get_all(&self, digests: &[Digest]) -> Vec<Option<Entry>> {
        let rows: Vec<_> = digests.iter().map(|digest| self.bucket(digest)).collect();
        // Touches what will be looked at, so that the processor fetches for a dozen payloads at a time and not for one after the other, which
        // would take 170 ns each instead of 60 where a history is larger than its caches.
        let ends = rows.iter().flat_map(|rows| [rows.start, rows.end.saturating_sub(1)]);
        std::hint::black_box(ends.filter_map(|row| self.digests.get(row)).fold(0, |sum, digest| sum ^ digest.0[0]));
        let found = rows.into_iter().zip(digests).map(|(rows, digest)| self.row_of(rows, digest));
        let found: Vec<_> = found.collect();
        found.into_iter().map(|row| Some(self.entry(row?))).collect()
    }

    fn entry(&self, row: usize) -> Entry {
        Entry { at: self.ats[row], status: self.statuses[row] }
    }

    fn row(&self, digest: &Digest) -> Option<usize> {
        self.row_of(self.bucket(digest), digest)
    }

    /// The rows among which a digest's is, if there is any.
    fn bucket(&self, digest: &Digest) -> Range<usize> {
        let bucket = (digest.prefix() >> self.shift()) as usize;
        match self.buckets.get(bucket..) {
            Some([start, end, ..]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// So few rows are sooner looked at one after the other than by halves, each of which the processor would have to guess.
    fn row_of(&self, rows: Range<usize>, digest: &Digest) -> Option<usize> {
        let start = rows.start;
        self.digests[rows].iter().position(|known| known == digest).map(|row| start + row)
    }

    /// This table with news added; of several entries for one payload the last one counts, and [`Entry::GONE`] leaves none. Rows are moved in place, for a second table
    /// would double what a history of millions takes.
    pub fn with(mut self, news: Vec<(Digest, Entry)>) -> Table {
        // In the order of digests, and of one payload the last first; not the news themselves, for to sort these takes their size again.
        let mut order: Vec<u32> = (0..news.len() as u32).collect();
        order.sort_unstable_by_key(|&number| (news[number as usize].0, Reverse(number)));
        order.dedup_by_key(|number| news[*number as usize].0);
        order.retain(|&number| {
            let (digest, entry) = news[number as usize];
            let row = self.row(&digest);
            if let Some(row) = row {
                (self.ats[row], self.statuses[row]) = (entry.at, entry.status);
            }
            row.is_none()
        });
        let mut old = self.len();
        let mut free = old + order.len();
        self.digests.reserve_exact(order.len());
        self.ats.reserve_exact(order.len());
        self.statuses.reserve_exact(order.len());
        self.digests.resize(free, Digest([0; 16]));
        self.ats.resize(free, 0);
        self.statuses.resize(free, 0);
        // From the greatest down, so that no row is written over before it is moved.
        while let Some(&number) = order.last() {
            let (digest, entry) = news[number as usize];
            free -= 1;
            if old > 0 && self.digests[old - 1] > digest {
                old -= 1;
                self.digests[free] = self.digests[old];
                (self.ats[free], self.statuses[free]) = (self.ats[old], self.statuses[old]);
            } else {
                self.digests[free] = digest;
                (self.ats[free], self.statuses[free]) = (entry.at, entry.status);
                order.pop();
            }
        }
        self.forget();
        self.index();
        self
    }

    /// Takes out what is gone.
    fn forget(&mut self) {
        if !self.statuses.contains(&Entry::GONE) {
            return;
        }
        let mut stays = self.statuses.iter().map(|status| *status != Entry::GONE);
        self.digests.retain(|_| stays.next().unwrap_or(true));
        let mut stays = self.statuses.iter().map(|status| *status != Entry::GONE);
        self.ats.retain(|_| stays.next().unwrap_or(true));
        self.statuses.retain(|status| *status != Entry::GONE);
    }

    /// By how many bits a digest's prefix is shifted to give its bucket; there are at least two buckets, so it is below 64.
    fn shift(&self) -> u32 {
        let buckets = (self.digests.len() / Table::ROWS_A_BUCKET).next_power_of_two().max(2);
        64 - buckets.trailing_zeros()
    }

    fn index(&mut self) {
        let shift = self.shift();
        let buckets = 1_usize << (64 - shift);
        self.buckets = Vec::with_capacity(buckets + 1);
        for (row, digest) in self.digests.iter().enumerate() {
            let bucket = (digest.prefix() >> shift) as usize;
            while self.buckets.len() <= bucket {
                self.buckets.push(row as u32);
            }
        }
        self.buckets.resize(buckets + 1, self.digests.len() as u32);
    }
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
    fn columns_that_do_not_fit_are_no_table() {
        let mut sorted = vec![digest(1), digest(2)];
        sorted.sort();
        assert!(Table::from_columns(sorted.clone(), vec![1, 2], vec![201, 201]).is_some());
        assert!(Table::from_columns(sorted.clone(), vec![1, 2], vec![201]).is_none());
        sorted.reverse();
        assert!(Table::from_columns(sorted, vec![1, 2], vec![201, 201]).is_none());
        assert!(Table::from_columns(vec![digest(1); 2], vec![1, 2], vec![201, 201]).is_none());
    }
}
