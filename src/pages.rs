//! Reads the records of a resource: how many there are, and page after page, on several ways side by side.
//!
//! There are two ways of paging. A walk by cursor follows the tokens that the API gives (ODS/API 7.3 and later, DMS): nothing that comes or goes
//! meanwhile moves its pages, and `/partitions` says where several walks can begin. By `limit` and `offset`, as all versions have it, a
//! record that comes or goes shifts all pages behind it; whoever reads so counts before and after. Here is what is asked, and of
//! whom; what becomes of the records is somebody else's matter.

use std::ops::Range;

use serde::Deserialize;

use crate::api::reply::{self, Reply};
use crate::api::transport::http::Uri;
use crate::api::{Api, urls};
use crate::error::{Error, Result};
use crate::outcome::Reason;

/// What was asked for, or why the API does not give it. That of one resource; an [`Error`] is one of the run.
pub type Got<T> = std::result::Result<T, Reason>;

/// The most partitions that an ODS/API gives.
const PARTITIONS: usize = 200;

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
    Offsets(Range<u64>),
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
    /// How many records there are.
    pub fn total(&self) -> Result<Got<u64>> {
        let reply = self.ask(&[("limit", "0"), ("totalCount", "true")])?;
        Ok(reply.and_then(|reply| reply.total_count.ok_or_else(|| unusual("the API does not tell how many there are"))))
    }

    /// The first page, and how many records there are.
    pub fn first(&self) -> Result<Got<First>> {
        let size = self.size.to_string();
        let reply = self.ask(&[("limit", &size), ("offset", "0"), ("totalCount", "true")])?;
        Ok(reply.map(|Reply { body, total_count, .. }| First { body, total: total_count }))
    }

    /// Where about so many walks begin that together give every record. `total`: of how many; `known`: so many of them are at hand from the first
    /// page, and left out of pages by offset. By cursor all is walked, from the beginning.
    pub fn stretches(&self, total: Option<u64>, known: u64, walks: usize) -> Result<Got<Vec<Stretch>>> {
        if self.partitions {
            match self.tokens(walks)? {
                Ok(tokens) => return Ok(Ok(tokens.into_iter().map(Stretch::Cursor).collect())),
                // Its document says that it has partitions, but it does not: the old way is always there.
                Err(Reason { status: Some(400..500), .. }) => {}
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let Some(total) = total else { return Ok(Ok(vec![Stretch::Offsets(known..u64::MAX)])) };
        let pages = total.saturating_sub(known).div_ceil(self.size);
        let long = pages.div_ceil(walks.max(1) as u64).max(1) * self.size;
        let starts = (known..total).step_by(usize::try_from(long).unwrap_or(usize::MAX));
        Ok(Ok(starts.map(|start| Stretch::Offsets(start..total.min(start.saturating_add(long)))).collect()))
    }

    fn tokens(&self, walks: usize) -> Result<Got<Vec<String>>> {
        let url = format!("{}/partitions", self.url).parse().map_err(|_| Error::api("no URL for partitions"))?;
        let number = walks.clamp(1, PARTITIONS).to_string();
        let reply = self.ask_at(&url, &[("number", &number)])?;
        let read = |reply: Reply| {
            reply::json::<Partitions>(&reply.body).map_err(|e| unusual(&format!("no list of partitions: {e}")))
        };
        Ok(reply.and_then(read).map(|partitions| partitions.page_tokens))
    }

    /// Gets page after page of a stretch. `each` takes a body and tells how many records it has, or why it cannot be read, which ends the walk
    /// as the API's refusal does.
    pub fn walk(&self, stretch: &Stretch, mut each: impl FnMut(&[u8]) -> Result<Got<u64>>) -> Result<Got<()>> {
        let size = self.size.to_string();
        match stretch {
            Stretch::Offsets(range) => {
                for offset in range.clone().step_by(self.size.max(1) as usize) {
                    let page = self.ask(&[("limit", &size), ("offset", &offset.to_string())])?;
                    match page {
                        Err(reason) => return Ok(Err(reason)),
                        Ok(page) => match each(&page.body)? {
                            Err(reason) => return Ok(Err(reason)),
                            // Nothing can be behind it, whatever was counted.
                            Ok(0) => break,
                            Ok(_) => {}
                        },
                    }
                }
            }
            Stretch::Cursor(first) => {
                let mut next = Some(first.clone());
                while let Some(token) = next {
                    let page = match self.ask(&[("pageToken", &token), ("pageSize", &size)])? {
                        Err(reason) => return Ok(Err(reason)),
                        Ok(page) => page,
                    };
                    if let Err(reason) = each(&page.body)? {
                        return Ok(Err(reason));
                    }
                    // DMS may give an empty page and go on; an ODS/API gives no token with it.
                    next = page.next_page_token;
                    if next.as_ref() == Some(&token) {
                        return Ok(Err(unusual("a page leads back to itself")));
                    }
                }
            }
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
