//! Gets the API's metadata: from the cache while that is fresh, else from the API, else from a stale copy.

use std::time::Duration;

use super::cache::{Cache, Copy};
use super::reply::{Refusal, Reply, refusal};
use super::request;
use super::transport::Answer;
use super::transport::http::Uri;
use super::wire::{Wire, in_words};
use crate::clock::unix_now;
use crate::error::{Error, Result};

/// Gets documents. Whatever is odd but does not stop it goes to `warn`.
pub struct Metadata<'a> {
    /// What asks for them.
    pub wire: &'a Wire,
    /// Where they are kept.
    pub cache: &'a Cache,
    /// Who hears what is odd.
    pub warn: &'a mut dyn FnMut(String),
}

/// What was found at a URL.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// The document.
    Document(T),
    /// 404: the API does not have it.
    Absent(Refusal),
}

impl Metadata<'_> {
    /// The document at `url`, called `what` in messages, as `read` reads it. What cannot be read is not kept.
    ///
    /// Where a stale copy can serve, the API is asked just once, so that `plan` is quick without it.
    pub fn get<T>(&mut self, what: &str, url: &Uri, read: impl Fn(&[u8]) -> Result<T>) -> Result<Found<T>> {
        let now = unix_now();
        // A copy that cannot be read any more is as good as none.
        let kept = self.cache.load(url).and_then(|copy| read(&copy.body).ok().map(|document| (copy, document)));
        let answer = match &kept {
            Some((copy, _)) if copy.is_fresh(now) => {
                return Ok(kept.map(|(_, document)| Found::Document(document)).unwrap());
            }
            Some((copy, _)) => self.wire.once(&request::get(url, copy.etag.as_deref())),
            None => self.ask(what, url)?,
        };
        match (answer, kept) {
            (Ok(reply), _) if reply.accepted() => {
                let document = read(&reply.body)?;
                self.keep(url, Copy { etag: reply.etag, fetched: now, body: reply.body });
                Ok(Found::Document(document))
            }
            (Ok(Reply { status: 304, .. }), Some((copy, document))) => {
                self.keep(url, Copy { fetched: now, ..copy });
                Ok(Found::Document(document))
            }
            (Ok(reply), _) if reply.status == 404 => Ok(Found::Absent(refusal(&reply))),
            (answer @ (Err(_) | Ok(Reply { status: 408 | 429 | 500.., .. })), Some((copy, document))) => {
                let age = now.saturating_sub(copy.fetched) / 3_600;
                let said = in_words(&answer);
                (self.warn)(format!("cannot get {what} at {url} ({said}); going by the copy from {age} hours ago"));
                Ok(Found::Document(document))
            }
            (answer, _) => Err(Error::api(format!(
                "cannot get {what} at {url} ({}): is edfi_api.base_url right, and the API running?",
                in_words(&answer)
            ))),
        }
    }

    /// Asks with all patience of the policy, and tells of each wait.
    fn ask(&mut self, what: &str, url: &Uri) -> Result<Answer> {
        let wire = self.wire;
        let told = |answer: &Answer, delay: Duration| {
            let said = in_words(answer);
            (self.warn)(format!(
                "no answer for {what} at {url} ({said}); asking again in {:.1} s",
                delay.as_secs_f64()
            ));
        };
        let exchange = wire.patiently(|| Ok::<Answer, Error>(wire.once(&request::get(url, None))), told)?;
        match exchange.interrupted {
            Some(exit) => Err(Error::new(exit, format!("interrupted while asking for {what} at {url}"))),
            None => Ok(exchange.answer),
        }
    }

    fn keep(&mut self, url: &Uri, copy: Copy) {
        if let Err(error) = self.cache.store(url, &copy) {
            (self.warn)(format!("metadata is not kept for the next run: {error}"));
        }
    }
}
