//! Which page a query asks for: by `limit` and `offset`, or by a token that an earlier page or `/partitions` gave (ODS/API 7.3).
//!
//! Items lie in the order in which they came. A token names the places from which and up to which its walk goes, so that what is deleted or
//! added meanwhile moves no page.

use std::ops::Range;

use super::problem::Problem;

/// The most items that one answer holds.
pub const PAGE: usize = 500;
/// How many it holds if the client does not say.
const DEFAULT_PAGE: usize = 25;
/// The most partitions.
const PARTITIONS: usize = 200;
/// How many there are if the client does not say.
const DEFAULT_PARTITIONS: usize = 10;
/// A partition has so many items at least. In a real API it is five of the largest pages; fewer are easier to play with.
const LEAST: usize = 50;

/// The page that is asked for.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// The places within which it lies.
    pub arrivals: Range<u64>,
    /// How many items stand before it there.
    pub offset: usize,
    /// How many it has at most.
    pub limit: usize,
    /// Whether all that match are to be counted.
    pub counts: bool,
}

impl Asked {
    /// Reads it from a query. `cursor` tells whether tokens are taken.
    pub fn read(pairs: &[(String, String)], cursor: bool) -> Result<Asked, Problem> {
        let number = |name: &str, default: usize, most: usize, why: &'static str| {
            let number = given(pairs, name).map_or(Some(default), |value| value.parse().ok());
            number.filter(|number| *number <= most).ok_or(Problem::Paging(why))
        };
        let counts = given(pairs, "totalCount").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if let Some(token) = given(pairs, "pageToken").filter(|_| cursor) {
            if ["limit", "offset", "totalCount"].iter().any(|name| given(pairs, name).is_some()) {
                return Err(Problem::Paging("A page token goes with no limit, offset or totalCount."));
            }
            let bounds = token.split_once('-').and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
            let arrivals = bounds.ok_or(Problem::Paging("The page token is none of this API's."))?;
            let limit = number("pageSize", DEFAULT_PAGE, PAGE, "The page size must be between 0 and 500.")?;
            return Ok(Asked { arrivals, offset: 0, limit, counts: false });
        }
        let limit = number("limit", DEFAULT_PAGE, PAGE, "The limit must be left out or be between 0 and 500.")?;
        let offset = number("offset", 0, usize::MAX, "The offset must be left out or be at least 0.")?;
        Ok(Asked { arrivals: 0..u64::MAX, offset, limit, counts })
    }

    /// The token of the page after this one, whose last item stands at `last`.
    pub fn after(&self, last: u64) -> String {
        token(last + 1..self.arrivals.end)
    }
}

/// The tokens of as many partitions as the query wants and these items are enough for.
pub fn partitions(pairs: &[(String, String)], arrivals: Vec<u64>) -> Result<Vec<String>, Problem> {
    let number = given(pairs, "number").map_or(Some(DEFAULT_PARTITIONS), |value| value.parse().ok());
    let number = number.filter(|number| (1..=PARTITIONS).contains(number));
    let number = number.ok_or(Problem::Paging("The number of partitions must be between 1 and 200."))?;
    let size = arrivals.len().div_ceil(number).max(LEAST);
    let firsts: Vec<u64> = arrivals.chunks(size).map(|chunk| chunk[0]).collect();
    let ends = firsts.iter().skip(1).copied().chain([u64::MAX]);
    Ok(firsts.iter().zip(ends).map(|(first, end)| token(*first..end)).collect())
}

fn token(arrivals: Range<u64>) -> String {
    format!("{}-{}", arrivals.start, arrivals.end)
}

fn given<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        super::super::query::pairs(text)
    }

    #[test]
    fn a_token_leads_on_from_the_last_item_to_the_end_of_its_partition() {
        let tokens = partitions(&pairs("number=2"), (1..=120).map(|n| n * 2).collect()).unwrap();
        assert_eq!(tokens, ["2-122".to_string(), format!("122-{}", u64::MAX)]);
        let asked = Asked::read(&pairs("pageToken=2-122&pageSize=10"), true).unwrap();
        assert_eq!(asked, Asked { arrivals: 2..122, offset: 0, limit: 10, counts: false });
        assert_eq!(asked.after(20), "21-122");
        assert_eq!(partitions(&pairs(""), vec![]).unwrap(), [""; 0]);
    }

    #[test]
    fn pages_out_of_bounds_and_mixed_ways_of_paging_are_refused() {
        for query in ["limit=501", "offset=x", "pageToken=2-9&limit=5", "pageToken=2-9&totalCount=true", "pageToken=?"]
        {
            assert!(matches!(Asked::read(&pairs(query), true), Err(Problem::Paging(_))), "{query}");
        }
        assert!(partitions(&pairs("number=201"), vec![1]).is_err() && partitions(&pairs("number=0"), vec![1]).is_err());
        assert_eq!(
            Asked::read(&pairs("pageToken=?"), false).unwrap().limit,
            25,
            "an API without cursors passes it over"
        );
    }
}
