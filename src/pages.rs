//! Reads the records of a resource: how many there are, and page after page, on several ways side by side.
//!
//! There are two ways of paging. A walk by cursor follows the tokens that the API gives (ODS/API 7.3 and later, DMS): nothing that comes or goes
//! meanwhile moves its pages, and `/partitions` says where several walks can begin. By `limit` and `offset`, as all versions have it, a
//! record that comes or goes shifts all pages behind it; whoever reads so counts before and after. Here is what is asked, and of
//! whom; what becomes of the records is somebody else's matter, and that every walk makes progress or ends that of [`paging`].

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::api::paging::{self, CursorWalk, OffsetWalk, Offsets, Page};
use crate::api::reply::{self, Reply};
use crate::api::transport::http::Uri;
use crate::api::{Api, urls};
use crate::error::{Error, Result};
use crate::outcome::Reason;

/// What was asked for, or why the API does not give it. That of one resource; an [`Error`] is one of the run.
pub type Got<T> = std::result::Result<T, Reason>;

/// What to tell where an API does not count.
pub const NO_TOTAL: &str = "the API reports no total";

/// How the records of one resource are asked for. Workers share it.
pub struct Pages<'a> {
    /// Who is asked.
    pub api: &'a Api,
    /// The URL of the resource.
    pub url: Uri,
    /// Which of its records: names and values of the query.
    pub filters: Vec<(String, String)>,
    /// How many records a page has at most.
    pub size: u64,
    /// Whether the resource is given in partitions, to be walked by cursor.
    pub partitions: bool,
}

/// Some of a resource's pages that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// The records from one place to another, by `limit` and `offset`.
    Offsets(Offsets),
    /// From where a token says, as far as tokens lead.
    Cursor(String),
}

/// The beginning of a resource.
pub struct First {
    /// The body of the first page.
    pub body: Vec<u8>,
    /// How many records there are in all, where the API tells.
    pub total: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Partitions {
    page_tokens: Vec<String>,
}

impl Pages<'_> {
    /// How many records there are; `None` where the API does not count ([`NO_TOTAL`]).
    pub fn total(&self) -> Result<Got<Option<u64>>> {
        let reply = self.ask(&[("limit", "0"), ("totalCount", "true")])?;
        Ok(reply.map(|reply| reply.total_count))
    }

    /// The first page, and how many records there are.
    pub fn first(&self) -> Result<Got<First>> {
        let size = self.size.to_string();
        let reply = self.ask(&[("limit", &size), ("offset", "0"), ("totalCount", "true")])?;
        Ok(reply.map(|Reply { body, total_count, .. }| First { body, total: total_count }))
    }

    /// Where walks begin that together give every record, enough of them for that many workers. `total`: of how many; `first`: the first page,
    /// which is at hand and left out of pages by offset. By cursor all is walked, from the beginning.
    pub fn stretches(&self, total: Option<u64>, first: Option<Page>, workers: usize) -> Result<Got<Vec<Stretch>>> {
        if self.partitions {
            match self.tokens(paging::partitions(total, self.size, workers))? {
                // There are records, and so there must be a partition.
                Ok(tokens) if tokens.is_empty() => {}
                Ok(tokens) => return Ok(Ok(tokens.into_iter().map(Stretch::Cursor).collect())),
                // Its document says that it has partitions, but it does not: the old way is always there.
                Err(Reason { status: Some(400..500), .. }) => {}
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let parts = paging::parts(total, first, self.size, workers);
        Ok(Ok(parts.into_iter().map(Stretch::Offsets).collect()))
    }

    fn tokens(&self, number: u64) -> Result<Got<Vec<String>>> {
        let url = format!("{}/partitions", self.url).parse().map_err(|_| Error::api("no URL for partitions"))?;
        let reply = self.ask_at(&url, &[("number", &number.to_string())])?;
        let read = |reply: Reply| {
            reply::json::<Partitions>(&reply.body).map_err(|e| unusual(&format!("no list of partitions: {e}")))
        };
        let distinct = |Partitions { page_tokens }: Partitions| {
            let all: BTreeSet<&String> = page_tokens.iter().collect();
            match all.len() == page_tokens.len() {
                true => Ok(page_tokens),
                false => Err(unusual("the API gave the same partition twice")),
            }
        };
        Ok(reply.and_then(read).and_then(distinct))
    }

    /// Gets page after page of a stretch, until there is none or one that leads nowhere. `each` takes a body and tells what page it is, or why it
    /// cannot be read, which ends the walk as the API's refusal does.
    pub fn walk(&self, stretch: &Stretch, each: impl FnMut(&[u8]) -> Result<Got<Page>>) -> Result<Got<()>> {
        match stretch {
            Stretch::Offsets(part) => self.walk_offsets(part, each),
            Stretch::Cursor(token) => self.walk_cursor(token, each),
        }
    }

    fn walk_offsets(&self, part: &Offsets, mut each: impl FnMut(&[u8]) -> Result<Got<Page>>) -> Result<Got<()>> {
        let mut walk = OffsetWalk::new(part, self.size);
        while let Some((offset, limit)) = walk.ask() {
            let (offset, limit) = (offset.to_string(), limit.to_string());
            let page = match self.ask(&[("limit", &limit), ("offset", &offset)])? {
                Ok(reply) => each(&reply.body)?,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = page.and_then(|page| walk.came(page).map_err(|why| unusual(&why))) {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(()))
    }

    fn walk_cursor(&self, first: &str, mut each: impl FnMut(&[u8]) -> Result<Got<Page>>) -> Result<Got<()>> {
        let size = self.size.to_string();
        let mut walk = CursorWalk::default();
        let mut next = Some(first.to_string());
        while let Some(token) = next {
            let (page, after) = match self.ask(&[("pageToken", &token), ("pageSize", &size)])? {
                Ok(reply) => (each(&reply.body)?, reply.next_page_token),
                Err(reason) => (Err(reason), None),
            };
            next = match page.and_then(|page| walk.came(&token, page, after).map_err(|why| unusual(&why))) {
                Ok(next) => next,
                Err(reason) => return Ok(Err(reason)),
            };
        }
        Ok(Ok(()))
    }

    fn ask(&self, page: &[(&str, &str)]) -> Result<Got<Reply>> {
        self.ask_at(&self.url, page)
    }

    fn ask_at(&self, url: &Uri, page: &[(&str, &str)]) -> Result<Got<Reply>> {
        let filters = self.filters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let url = urls::with_query(url, page.iter().copied().chain(filters))?;
        Ok(self.api.get(&url)?.settled.answer())
    }
}

/// An answer that no Ed-Fi API gives.
pub fn unusual(message: &str) -> Reason {
    Reason::own(message)
}
