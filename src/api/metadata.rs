//! Gets the API's metadata: from the cache while that is fresh, else from the API, else from a stale copy.

use std::time::Duration;

use super::cache::{Cache, Copy};
use super::origin::is_foreign;
use super::refusal::Refusal;
use super::reply::{Reply, refusal};
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
    /// The document at `url`, called `what` in messages, as `read` reads it. What cannot be read, or is longer than
    /// `most` bytes, is not kept.
    ///
    /// Where a stale copy can serve, the API is asked just once, so that `plan` is quick without it.
    pub fn get<T>(&mut self, what: &str, most: u64, url: &Uri, read: impl Fn(&[u8]) -> Result<T>) -> Result<Found<T>> {
        self.get_if(what, most, url, read, |_| true)
    }

    /// The same of a document that is not taken from the cache unless it is `trusted` there: somebody else may have put it
    /// there.
    pub fn get_if<T>(
        &mut self,
        what: &str,
        most: u64,
        url: &Uri,
        read: impl Fn(&[u8]) -> Result<T>,
        trusted: impl Fn(&T) -> bool,
    ) -> Result<Found<T>> {
        self.made_if((what, most, url), |body| body, read, trusted)
    }

    /// The same of a document that is long to read: what is kept, and what `read` is given, is what `make` makes of it.
    pub fn get_made<T>(
        &mut self,
        what: &str,
        most: u64,
        url: &Uri,
        make: impl Fn(Vec<u8>) -> Vec<u8>,
        read: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Found<T>> {
        self.made_if((what, most, url), make, read, |_| true)
    }

    fn made_if<T>(
        &mut self,
        (what, most, url): (&str, u64, &Uri),
        make: impl Fn(Vec<u8>) -> Vec<u8>,
        read: impl Fn(&[u8]) -> Result<T>,
        trusted: impl Fn(&T) -> bool,
    ) -> Result<Found<T>> {
        let now = unix_now();
        // A copy that cannot be read any more is as good as none.
        let kept = self.cache.load(url).and_then(|copy| read(&copy.body).ok().map(|document| (copy, document)));
        let kept = kept.filter(|(_, document)| trusted(document));
        let kept = match kept {
            Some((copy, document)) if copy.is_fresh(now) => return Ok(Found::Document(document)),
            other => other,
        };
        let answer = match &kept {
            Some((copy, _)) => self.wire.once(&request::get(url, copy.etag.as_deref(), most)),
            None => self.ask(what, most, url)?,
        };
        match (answer, kept) {
            (Ok(reply), _) if reply.accepted() => {
                let body = make(reply.body);
                let document = read(&body)?;
                self.keep(url, Copy { etag: reply.etag, fetched: now, body });
                Ok(Found::Document(document))
            }
            (Ok(Reply { status: 304, .. }), Some((copy, document))) => {
                self.keep(url, Copy { fetched: now, ..copy });
                Ok(Found::Document(document))
            }
            // Whether the API has it, a gateway does not know.
            (Ok(reply), _) if reply.status == 404 && !is_foreign(&reply) => Ok(Found::Absent(refusal(&reply))),
            (answer, Some((copy, document))) if is_passing(&answer) => {
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
    fn ask(&mut self, what: &str, most: u64, url: &Uri) -> Result<Answer> {
        let wire = self.wire;
        let told = |answer: &Answer, delay: Duration| {
            let said = in_words(answer);
            (self.warn)(format!(
                "no answer for {what} at {url} ({said}); asking again in {:.1} s",
                delay.as_secs_f64()
            ));
            true
        };
        let exchange = wire.patiently(|| Ok::<Answer, Error>(wire.once(&request::get(url, None, most))), told)?;
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

/// Whether an answer says nothing of the document, so that a copy serves.
fn is_passing(answer: &Answer) -> bool {
    answer.as_ref().map_or(true, |reply| matches!(reply.status, 408 | 429 | 500..) || is_foreign(reply))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::api::testing::{Stage, broken, script, stage, status};
    use crate::api::transport::Kind;
    use crate::exit::Exit;

    const URL: &str = "https://example.com/metadata";

    struct Case {
        folder: PathBuf,
        cache: Cache,
        warnings: Vec<String>,
    }

    impl Case {
        fn new(name: &str) -> Case {
            let folder = std::env::temp_dir().join(format!("lightbeam-metadata-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            Case { cache: Cache::below(Some(&folder)), folder, warnings: Vec::new() }
        }

        /// A case with a copy that has been kept for `hours`.
        fn with_copy(name: &str, hours: u64) -> Case {
            let case = Case::new(name);
            let copy = Copy { etag: Some("\"1\"".into()), fetched: unix_now() - hours * 3_600, body: b"kept".into() };
            case.cache.store(&Uri::from_static(URL), &copy).unwrap();
            case
        }

        fn get(&mut self, stage: &Stage) -> Result<Found<String>> {
            let warn = &mut |warning| self.warnings.push(warning);
            let mut metadata = Metadata { wire: &stage.wire, cache: &self.cache, warn };
            metadata.get("the test", 1_000, &Uri::from_static(URL), |body| match std::str::from_utf8(body) {
                Ok(text) if !text.starts_with('<') => Ok(text.to_string()),
                _ => Err(Error::api("not readable")),
            })
        }

        fn kept(&self) -> Option<Copy> {
            self.cache.load(&Uri::from_static(URL))
        }
    }

    impl Drop for Case {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn document(text: &str) -> Found<String> {
        Found::Document(text.into())
    }

    #[test]
    fn a_document_is_asked_for_once_and_then_kept() {
        let mut case = Case::new("once");
        let reply = Reply { status: 200, etag: Some("\"1\"".into()), body: b"new".into(), ..Reply::default() };
        let stage = stage(script(vec![Ok(reply)]));
        assert_eq!(case.get(&stage).unwrap(), document("new"));
        assert_eq!(case.get(&stage).unwrap(), document("new"));
        assert_eq!(stage.seen(), [format!("GET {URL}")]);
        assert_eq!(case.kept().unwrap().etag.as_deref(), Some("\"1\""));
        assert!(case.warnings.is_empty());
    }

    #[test]
    fn a_stale_copy_that_the_api_confirms_is_fresh_again() {
        let mut case = Case::with_copy("confirmed", 2);
        let stage = stage(script(vec![status(304, "")]));
        assert_eq!(case.get(&stage).unwrap(), document("kept"));
        assert_eq!(case.get(&stage).unwrap(), document("kept"));
        assert_eq!(stage.seen(), [format!("GET {URL} \"1\"")]);
        assert!(case.warnings.is_empty());
    }

    #[test]
    fn a_stale_copy_gives_way_to_a_new_document() {
        let mut case = Case::with_copy("replaced", 2);
        assert_eq!(case.get(&stage(script(vec![status(200, "new")]))).unwrap(), document("new"));
        assert_eq!(case.kept().unwrap().body, b"new");
    }

    #[test]
    fn a_stale_copy_serves_with_a_warning_when_the_api_does_not_answer() {
        for answer in [broken(Kind::Connect), status(503, "")] {
            let mut case = Case::with_copy("stale", 5);
            let stage = stage(script(vec![answer]));
            assert_eq!(case.get(&stage).unwrap(), document("kept"));
            assert!(stage.slept().is_empty(), "nobody waits for what is at hand");
            assert_eq!(case.warnings.len(), 1);
            assert!(case.warnings[0].contains(URL) && case.warnings[0].contains("5 hours"), "{:?}", case.warnings);
        }
    }

    #[test]
    fn a_stale_copy_does_not_serve_when_the_api_says_no() {
        let mut case = Case::with_copy("gone", 2);
        let Found::Absent(refusal) = case.get(&stage(script(vec![status(404, "")]))).unwrap() else {
            panic!("404 is absent")
        };
        assert_eq!(refusal.status, 404);
        let error = case.get(&stage(script(vec![status(403, "")]))).unwrap_err();
        assert!(error.to_string().contains("403, Forbidden"), "{error}");
    }

    #[test]
    fn without_a_copy_the_api_is_asked_with_patience_and_a_word() {
        let mut case = Case::new("patience");
        let stage = stage(script(vec![broken(Kind::Connect), status(503, ""), status(200, "new")]));
        assert_eq!(case.get(&stage).unwrap(), document("new"));
        assert_eq!(stage.slept(), [250, 375]);
        assert_eq!(case.warnings.len(), 2);
        assert!(case.warnings[0].contains("broken as scripted") && case.warnings[0].contains(URL));
    }

    #[test]
    fn an_api_that_cannot_be_reached_is_an_error_that_names_url_and_key() {
        let error = Case::new("unreachable").get(&stage(|_| broken(Kind::Connect))).unwrap_err();
        assert_eq!(error.exit(), Exit::GivenUp);
        let text = error.to_string();
        assert!(
            text.contains(URL) && text.contains("broken as scripted") && text.contains("edfi_api.base_url"),
            "{text}"
        );
    }

    #[test]
    fn what_somebody_else_says_in_place_of_the_api_is_no_word_about_the_document() {
        let page = |status| Ok(Reply { status, body: b"<html>Sign in</html>".into(), ..Reply::default() });
        for status in [200, 404, 302] {
            let mut case = Case::with_copy("foreign-copy", 48);
            assert_eq!(case.get(&stage(script(vec![page(status)]))).unwrap(), document("kept"), "{status}");
            assert!(case.warnings[0].contains("not an Ed-Fi API"), "{:?}", case.warnings);
            let error = Case::new("foreign").get(&stage(script(vec![page(status)]))).unwrap_err().to_string();
            assert!(error.contains(&format!("not an Ed-Fi API: {status} \"Sign in\"")), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_neither_kept_nor_believed() {
        let mut case = Case::new("unreadable");
        assert!(case.get(&stage(script(vec![status(200, "<html>")]))).is_err());
        assert_eq!(case.kept(), None);
        let copy = Copy { etag: None, fetched: unix_now(), body: b"<html>".into() };
        case.cache.store(&Uri::from_static(URL), &copy).unwrap();
        assert_eq!(case.get(&stage(script(vec![status(200, "new")]))).unwrap(), document("new"));
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_a_warning() {
        let mut case = Case::new("unwritable");
        std::fs::create_dir_all(&case.folder).unwrap();
        std::fs::write(case.folder.join("cache"), "not a folder").unwrap();
        assert_eq!(case.get(&stage(script(vec![status(200, "new")]))).unwrap(), document("new"));
        assert!(case.warnings[0].starts_with("metadata is not kept for the next run"), "{:?}", case.warnings);
    }

    #[test]
    fn what_is_made_of_a_document_is_kept_and_read_in_its_place() {
        let case = Case::new("made");
        let get = |stage: &Stage| {
            let mut metadata = Metadata { wire: &stage.wire, cache: &case.cache, warn: &mut |_| () };
            let read = |body: &[u8]| Ok(String::from_utf8_lossy(body).into_owned());
            let made = metadata.get_made("the test", 1_000, &Uri::from_static(URL), |body| body[..2].to_vec(), read);
            made.unwrap()
        };
        let reply = Reply { status: 200, etag: Some("\"7\"".into()), body: b"long".into(), ..Reply::default() };
        assert_eq!(get(&stage(script(vec![Ok(reply)]))), document("lo"));
        let copy = case.cache.load(&Uri::from_static(URL)).unwrap();
        assert_eq!(
            (&copy.body[..], copy.etag.as_deref()),
            (&b"lo"[..], Some("\"7\"")),
            "the document's ETag stays with it"
        );
        case.cache.store(&Uri::from_static(URL), &Copy { fetched: 0, ..copy }).unwrap();
        assert_eq!(get(&stage(script(vec![status(304, "")]))), document("lo"));
    }

    #[test]
    fn an_interruption_ends_the_asking() {
        let mut stage = stage(|_| broken(Kind::Connect));
        stage.wire.sleep = Box::new(|_| Err(Exit::Interrupted));
        assert_eq!(Case::new("interrupted").get(&stage).unwrap_err().exit(), Exit::Interrupted);
    }
}
