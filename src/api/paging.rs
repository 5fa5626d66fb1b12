//! Which page is asked for next, and whether it makes progress. Pure.
//!
//! A host is believed only as far as its pages go: each page is asked for behind what has arrived, however many records the one
//! before had. What never ends, because something between drops the query or a token leads back, is noticed and ends with a reason.

use std::ops::Range;

use fxhash::FxHashSet;

use crate::digest::Digest;

/// The most records that an ODS/API or a DMS gives in one page unless its host configures another number.
pub const LARGEST: u64 = 500;

/// The most partitions that an ODS/API gives.
const PARTITIONS: u64 = 200;

/// The number of stretches for each worker, so that none is left with a long one at the end.
const STRETCHES: u64 = 4;

/// What paging has to know of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many records it has.
    pub records: u64,
    /// By what it is known if it comes again.
    print: u64,
}

impl Page {
    /// Of a body: the number of its records, and the hash of each of their ids. The order of the records does not matter; where not all have ids,
    /// the bytes do.
    pub fn new(body: &[u8], records: u64, ids: impl Iterator<Item = u64>) -> Page {
        let (count, sum) = ids.fold((0, 0u64), |(count, sum), id| (count + 1, sum.wrapping_add(id)));
        let print = if count == records { sum } else { Digest::of(body).prefix() };
        Page { records, print }
    }

    /// What an id hashes to.
    pub fn hash(id: &[u8]) -> u64 {
        Digest::of(id).prefix()
    }
}

/// The pages that came, to notice one that comes again. An empty one may.
#[derive(Debug, Default)]
struct Seen(FxHashSet<u64>);

impl Seen {
    fn is_new(&mut self, page: Page) -> bool {
        page.records == 0 || self.0.insert(page.print)
    }
}

/// A part of a resource that is walked by `limit` and `offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// From which record to which.
    pub range: Range<u64>,
    /// Whether another part begins where this one ends, so that no page may reach beyond.
    pub shared: bool,
    /// The first page of the resource, which must not come again.
    pub first: Option<Page>,
}

impl Offsets {
    /// From the beginning to wherever it ends.
    pub fn all() -> Offsets {
        Offsets { range: 0..u64::MAX, shared: false, first: None }
    }
}

/// A walk by `limit` and `offset`.
#[derive(Debug)]
pub struct OffsetWalk {
    left: Range<u64>,
    shared: bool,
    size: u64,
    seen: Seen,
}

impl OffsetWalk {
    /// Through a part, in pages of at most that many records.
    pub fn new(part: &Offsets, size: u64) -> OffsetWalk {
        let mut seen = Seen::default();
        part.first.map(|first| seen.is_new(first));
        OffsetWalk { left: part.range.clone(), shared: part.shared, size: size.max(1), seen }
    }

    /// The offset of the next page, and its limit; `None` at the end.
    pub fn ask(&self) -> Option<(u64, u64)> {
        let Range { start, end } = self.left;
        let most = if self.shared { end.saturating_sub(start) } else { u64::MAX };
        (start < end).then_some((start, self.size.min(most)))
    }

    /// Takes note of how many records there are in all, where a page told.
    pub fn bound(&mut self, total: Option<u64>) {
        self.left.end = total.unwrap_or(self.left.end);
    }

    /// Takes note of the page that came; an error says why it leads nowhere.
    pub fn came(&mut self, page: Page) -> Result<(), String> {
        let Range { start, end } = self.left;
        if !self.seen.is_new(page) {
            return Err(format!(
                "the API gave the same page again (at offset {start}): it, or a host before it, passes over limit and offset"
            ));
        }
        let next = start.saturating_add(page.records);
        if self.shared && next > end {
            return Err(format!(
                "the API gave {} records where at most {} were asked for (limit): it is unclear which of them belong to the page",
                page.records,
                self.size.min(end - start)
            ));
        }
        // Nothing can be behind an empty page, whatever was counted.
        self.left = if page.records == 0 { end..end } else { next..end };
        Ok(())
    }
}

/// A walk by tokens.
#[derive(Debug, Default)]
pub struct CursorWalk {
    tokens: FxHashSet<String>,
    seen: Seen,
}

impl CursorWalk {
    /// Takes note of the page that came, and of the token of the next one; an error says why that leads nowhere. DMS may give an empty page and
    /// go on; an ODS/API gives no token with it.
    pub fn came(&mut self, asked: &str, page: Page, next: Option<String>) -> Result<Option<String>, String> {
        const WHY: &str = "it, or a host before it, passes over pageToken";
        self.tokens.insert(asked.into());
        if next.as_ref().is_some_and(|next| self.tokens.contains(next)) {
            return Err(format!("a page of the API leads back to one that has come: {WHY}"));
        }
        match self.seen.is_new(page) {
            true => Ok(next),
            false => Err(format!("the API gave the same page again: {WHY}")),
        }
    }
}

/// Into how many partitions that number of records is split, in pages of this size: no more than there are workers, and each of whole pages, since
/// each ends with one that is not full and one that is empty.
pub fn partitions(total: Option<u64>, size: u64, workers: usize) -> u64 {
    let workers = (workers as u64).clamp(1, PARTITIONS);
    let Some(total) = total else { return workers };
    let pages = total.div_ceil(size.max(1)).max(1);
    pages.div_ceil(pages.div_ceil(workers))
}

/// The parts in which a resource of that many records is walked side by side. `first`: a page that is at hand already, and is not walked again.
pub fn parts(total: Option<u64>, first: Option<Page>, size: u64, workers: usize) -> Vec<Offsets> {
    let known = first.map_or(0, |first| first.records);
    let whole = |end| vec![Offsets { range: known..end, shared: false, first }];
    let Some(total) = total else { return whole(u64::MAX) };
    // Who gives more than was asked for passes over the limit, and nobody knows where his pages end.
    if known > size {
        return whole(total.max(known));
    }
    // A host may give shorter pages than are asked for.
    let page = if known > 0 { known } else { size.max(1) };
    let pages = total.saturating_sub(known).div_ceil(page);
    let long = pages.div_ceil((workers as u64).max(1) * STRETCHES).max(1) * page;
    let starts = (known..total).step_by(usize::try_from(long).unwrap_or(usize::MAX));
    let part = |start: u64| {
        let end = total.min(start.saturating_add(long));
        Offsets { range: start..end, shared: end < total, first }
    };
    starts.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page with these records.
    fn page(ids: Range<u64>) -> Page {
        Page::new(b"", ids.end - ids.start, ids.map(|id| Page::hash(&id.to_le_bytes())))
    }

    /// Walks a part of a host with that many records, which makes of offset and limit the page that it likes; the records that came.
    fn walk(part: &Offsets, size: u64, host: impl Fn(u64, u64) -> Range<u64>) -> Result<Vec<Range<u64>>, String> {
        let (mut walk, mut came) = (OffsetWalk::new(part, size), Vec::new());
        while let Some((offset, limit)) = walk.ask() {
            let records = host(offset, limit);
            walk.came(page(records.clone()))?;
            came.push(records);
            assert!(came.len() < 100, "it never ends");
        }
        Ok(came)
    }

    /// A host with that many records, whose pages have at most `most`.
    fn honest(total: u64, most: u64) -> impl Fn(u64, u64) -> Range<u64> {
        move |offset, limit| offset.min(total)..(offset + limit.min(most)).min(total)
    }

    #[test]
    fn a_page_is_known_by_its_ids_in_any_order_or_by_its_bytes() {
        let ids = |ids: &[&str], body: &[u8]| {
            Page::new(body, 2, ids.iter().map(|id| Page::hash(id.as_bytes())).collect::<Vec<_>>().into_iter())
        };
        assert_eq!(ids(&["a", "b"], b"x"), ids(&["b", "a"], b"y"));
        assert_ne!(ids(&["a", "b"], b"x"), ids(&["a", "c"], b"x"));
        assert_eq!(ids(&["a"], b"x"), ids(&[], b"x"), "not all have ids");
        assert_ne!(ids(&[], b"x"), ids(&[], b"y"));
    }

    #[test]
    fn short_pages_are_gone_on_from_and_only_an_empty_one_is_the_last() {
        for (total, most) in [(0, 10), (7, 10), (10, 10), (25, 10), (25, 3), (25, 1)] {
            let came = walk(&Offsets::all(), 10, honest(total, most)).unwrap();
            assert_eq!(came.iter().map(|page| page.end - page.start).sum::<u64>(), total);
            assert!(came.last().unwrap().is_empty());
            assert!(came.windows(2).all(|two| two[0].end == two[1].start));
        }
    }

    #[test]
    fn a_host_that_passes_over_the_query_ends_with_a_reason() {
        let told = walk(&Offsets::all(), 500, |_, _| 0..500).unwrap_err();
        assert!(told.contains("the same page again (at offset 500)"), "{told}");
        let again = Offsets { range: 1_000..2_000, shared: true, first: Some(page(0..500)) };
        assert!(walk(&again, 500, |_, _| 0..500).is_err(), "the first page came before");
        let circle = walk(&Offsets::all(), 2, |offset, _| offset % 6..offset % 6 + 2).unwrap_err();
        assert!(circle.contains("(at offset 6)"), "{circle}");
    }

    #[test]
    fn a_page_that_is_longer_than_asked_for_reaches_into_no_other_part() {
        let part = Offsets { range: 100..150, shared: true, first: None };
        let told = walk(&part, 20, |offset, _| offset..offset + 30).unwrap_err();
        assert!(told.contains("30 records where at most 20 were asked for"), "{told}");
        let alone = Offsets { shared: false, ..part };
        assert_eq!(walk(&alone, 20, |offset, _| offset..offset + 30).unwrap().len(), 2);
        assert_eq!(parts(Some(9_000), Some(page(0..700)), 500, 8).len(), 1, "nobody knows where such pages end");
    }

    #[test]
    fn parts_are_of_whole_pages_and_together_all_that_there_is() {
        for (total, known, size, workers, page_of_host) in
            [(20_000, 100, 100, 8, 100), (20_000, 0, 500, 8, 500), (12_345, 100, 500, 8, 100), (3, 1, 1, 64, 1)]
        {
            let first = (known > 0).then(|| page(0..known));
            let parts = parts(Some(total), first, size, workers);
            let mut requests = 0;
            let mut at = known;
            for part in &parts {
                assert_eq!((part.range.start, part.shared), (at, part.range.end < total));
                at = part.range.end;
                let came = walk(part, size, honest(total, page_of_host)).unwrap();
                assert_eq!(came.last().unwrap().end, at);
                requests += came.len() as u64;
            }
            assert_eq!(at, total);
            assert_eq!(requests, (total - known).div_ceil(page_of_host), "no page is cut in two");
        }
        assert_eq!(
            parts(None, Some(page(0..7)), 500, 8),
            [Offsets { range: 7..u64::MAX, shared: false, first: Some(page(0..7)) }]
        );
    }

    #[test]
    fn partitions_are_as_many_as_workers_and_of_whole_pages() {
        for (total, size, workers, expected) in
            [(20_000, 100, 8, 8), (20_100, 100, 8, 8), (2_300, 500, 8, 5), (0, 500, 8, 1), (9_000_000, 1, 900, 200)]
        {
            let number = partitions(Some(total), size, workers);
            assert_eq!(number, expected);
            // As an ODS/API cuts them.
            let long = total.div_ceil(number);
            let pages = total / long.max(1) * long.div_ceil(size) + (total % long.max(1)).div_ceil(size);
            assert!(pages <= total.div_ceil(size) + number, "{pages} for {total}");
        }
        assert_eq!(partitions(None, 500, 8), 8);
    }

    #[test]
    fn tokens_are_followed_until_there_is_none_and_never_back() {
        let mut walk = CursorWalk::default();
        let next = |token: &str| Some(token.to_string());
        assert_eq!(walk.came("a", page(0..5), next("b")), Ok(next("b")));
        assert_eq!(walk.came("b", page(0..0), next("c")), Ok(next("c")), "DMS goes on after an empty page");
        assert_eq!(walk.came("c", page(0..0), next("d")), Ok(next("d")));
        assert_eq!(walk.came("d", page(5..6), None), Ok(None));
        for (asked, leads) in [("e", "e"), ("e", "a"), ("e", "c")] {
            assert!(walk.came(asked, page(6..7), next(leads)).unwrap_err().contains("leads back"), "{asked} {leads}");
        }
        assert!(walk.came("f", page(0..5), next("g")).unwrap_err().contains("same page again"));
    }
}
