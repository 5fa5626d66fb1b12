//! Gets the values of descriptors: from the cache while they are fresh, else from the API, page by page and many descriptors at a time.
//!
//! One file of the cache holds them for a target, each descriptor with the time at which it was asked for.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cache::{Cache, Copy};
use super::paging::{LARGEST, OffsetWalk, Offsets, Page};
use super::reply;
use super::send::{Sent, Settled};
use super::transport::http::Uri;
use super::urls::{self, Urls};
use crate::clock::unix_now;
use crate::error::{Context, Error, Result};
use crate::exit::Exit;
use crate::model::Values;
use crate::outcome::Reason;
use crate::resource::Resource;

/// So many descriptors that cannot be read are named.
const NAMED: usize = 5;

/// What is known of one descriptor, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Such as `ed-fi/termDescriptors`.
    pub descriptor: String,
    /// When the API was asked, in seconds since 1970.
    pub asked: u64,
    /// Its values, `namespace#codeValue`.
    pub uris: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    namespace: String,
    code_value: String,
}

/// Forgets the values that are kept of these descriptors of an API: they have changed.
pub fn forget(urls: &Urls, cache: &Cache, changed: &[&Resource]) -> Result<()> {
    let target = urls::parse("the API's data URL", &urls.data)?;
    let is_changed = |row: &Row| changed.iter().any(|descriptor| descriptor.to_string() == row.descriptor);
    let rows: Vec<Row> = kept(cache, &target).into_iter().filter(|row| !is_changed(row)).collect();
    keep(cache, &target, &rows.iter().collect::<Vec<_>>())
}

fn kept(cache: &Cache, target: &Uri) -> Vec<Row> {
    cache.load(target).and_then(|copy| postcard::from_bytes(&copy.body).ok()).unwrap_or_default()
}

fn keep(cache: &Cache, target: &Uri, rows: &[&Row]) -> Result<()> {
    // Rows of text and numbers have no way to fail.
    let body = postcard::to_stdvec(rows).unwrap_or_default();
    cache.store(target, &Copy { etag: None, fetched: unix_now(), body })
}

/// Gets what the cache does not have.
pub struct Asking<'a> {
    /// Where everything is.
    pub urls: &'a Urls,
    /// Where values are kept.
    pub cache: &'a Cache,
    /// So many descriptors are asked for at the same time.
    pub pool: &'a rayon::ThreadPool,
    /// Asks for data, with the token and all patience.
    pub get: &'a (dyn Fn(&Uri) -> Result<Sent> + Sync),
}

impl Asking<'_> {
    /// The values of the descriptors that are `wanted`. Those that the API does not let us read are told to `warn` and are not in the
    /// result. An error if the API does not answer.
    pub fn values<'r>(
        &self,
        wanted: impl IntoIterator<Item = &'r Resource>,
        warn: &mut dyn FnMut(String),
    ) -> Result<Values> {
        let now = unix_now();
        let target = urls::parse("the API's data URL", &self.urls.data)?;
        let fresh = |row: &Row| Copy { etag: None, fetched: row.asked, body: Vec::new() }.is_fresh(now);
        let fresh = kept(self.cache, &target).into_iter().filter(fresh);
        let mut rows: BTreeMap<String, Row> = fresh.map(|row| (row.descriptor.clone(), row)).collect();
        let wanted: Vec<&Resource> = wanted.into_iter().collect();
        let missing: Vec<&Resource> = wanted.iter().copied().filter(|d| !rows.contains_key(&d.to_string())).collect();
        let ask = |descriptor| Ok((descriptor, self.all_of(descriptor)?));
        let asked: Vec<_> = self.pool.install(|| missing.par_iter().copied().map(ask).collect::<Result<_>>())?;
        let mut refused = Vec::new();
        for (descriptor, answer) in asked {
            match answer {
                Ok(uris) => {
                    let row = Row { descriptor: descriptor.to_string(), asked: now, uris };
                    rows.insert(row.descriptor.clone(), row);
                }
                Err(reason) => refused.push((descriptor, reason)),
            }
        }
        if refused.len() < missing.len() {
            let all: Vec<&Row> = rows.values().collect();
            if let Err(error) = keep(self.cache, &target, &all) {
                warn(format!("descriptor values are not kept for the next run: {error}"));
            }
        }
        if let [(_, reason), ..] = &refused[..] {
            let names: Vec<&str> = refused.iter().take(NAMED).map(|(descriptor, _)| descriptor.label()).collect();
            let more = if refused.len() > NAMED { ", ..." } else { "" };
            warn(format!(
                "the API does not give the values of {} ({}{}): {}{more}",
                if refused.len() == 1 { "a descriptor".into() } else { format!("{} descriptors", refused.len()) },
                reason.status.map_or(String::new(), |status| format!("{status}, ")),
                reason.message,
                names.join(", ")
            ));
        }
        let mut values = Values::default();
        for descriptor in wanted {
            if let Some(row) = rows.get(&descriptor.to_string()) {
                values.add(descriptor, &row.uris);
            }
        }
        Ok(values)
    }

    /// Every value of one descriptor, or why the API does not give them.
    fn all_of(&self, descriptor: &Resource) -> Result<std::result::Result<Vec<String>, Reason>> {
        let collection = self.urls.of(descriptor)?;
        let (mut uris, mut walk, mut total) = (Vec::new(), OffsetWalk::new(&Offsets::all(), LARGEST), None);
        while let Some((offset, limit)) = walk.ask() {
            let (offset, limit) = (offset.to_string(), limit.to_string());
            let page = [("limit", limit.as_str()), ("offset", &offset), ("totalCount", "true")];
            let url = urls::with_query(&collection, page)?;
            let reply = match (self.get)(&url)?.settled {
                Settled::Accepted(reply) => reply,
                Settled::Refused(refusal) => return Ok(Err(refusal.reason())),
                settled @ (Settled::Failed(_) | Settled::NoAnswer { .. }) => {
                    let reason = settled.answer().err().map(|reason| reason.message).unwrap_or_default();
                    return Err(Error::api(format!(
                        "cannot get the values of {} at {url}: {reason}",
                        descriptor.label()
                    )));
                }
            };
            let malformed = || format!("the answer of {url} is no list of descriptors");
            let records: Vec<Record> = reply::json(&reply.body).or_stop(Exit::GivenUp, malformed)?;
            let before = uris.len();
            uris.extend(records.into_iter().map(|record| format!("{}#{}", record.namespace, record.code_value)));
            let new = &uris[before..];
            let page = Page::new(&reply.body, new.len() as u64, new.iter().map(|uri| Page::hash(uri.as_bytes())));
            total = reply.total_count.or(total);
            if let Err(message) = walk.came(page) {
                return Ok(Err(Reason::own(message)));
            }
            walk.bound(reply.total_count);
        }
        let got = uris.len() as u64;
        let short = |total| format!("it gave {got} of {total} values");
        Ok(match total.filter(|&total| got < total) {
            Some(total) => Err(Reason::own(short(total))),
            None => Ok(uris),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use serde_json::json;

    use super::super::refusal::Refusal;
    use super::super::reply::Reply;
    use super::super::{testing, transport};
    use super::*;

    /// A folder, and what was asked for in it.
    struct Case {
        folder: PathBuf,
        asked: Mutex<Vec<String>>,
        warnings: Vec<String>,
    }

    impl Case {
        fn new(name: &str) -> Case {
            let folder = std::env::temp_dir().join(format!("lightbeam-descriptors-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            Case { folder, asked: Mutex::default(), warnings: Vec::new() }
        }

        /// The values of these descriptors, of an API that answers what is behind its data URL.
        fn values(&mut self, names: &[&str], answer: impl Fn(&str) -> Settled + Sync) -> Result<Values> {
            let document = json!({"urls": {"dataManagementApi": "https://example.com/data", "oauth": "https://example.com/oauth/token"}});
            let base = transport::http::Uri::from_static("https://example.com");
            let urls = urls::resolve(&base, &testing::api("https://example.com"), Ok(&document)).unwrap();
            let get = |url: &Uri| {
                let path = url.to_string().strip_prefix(&urls.data).unwrap().to_string();
                self.asked.lock().unwrap().push(path.clone());
                Ok(Sent { settled: answer(&path), attempts: 1 })
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
            let cache = Cache::below(Some(&self.folder));
            let wanted: Vec<Resource> = names.iter().map(|name| Resource::new("ed-fi", name)).collect();
            let asking = Asking { urls: &urls, cache: &cache, pool: &pool, get: &get };
            asking.values(&wanted, &mut |warning| self.warnings.push(warning))
        }

        /// What was asked for since this was asked last, sorted.
        fn asked(&self) -> Vec<String> {
            let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
            asked.sort();
            asked
        }
    }

    impl Drop for Case {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    /// The values with these numbers.
    fn page(numbers: std::ops::Range<usize>, total_count: Option<u64>) -> Settled {
        let record = |n: usize| json!({"id": "x", "namespace": "uri://x/Y", "codeValue": n.to_string()});
        let body = numbers.map(record).collect::<serde_json::Value>().to_string().into_bytes();
        Settled::Accepted(Reply { status: 200, total_count, body, ..Reply::default() })
    }

    fn refused(_: &str) -> Settled {
        Settled::Refused(Refusal { status: 403, ..super::super::reply::refusal(&Reply::default()) })
    }

    #[test]
    fn pages_are_asked_for_until_all_are_there_however_short_the_host_makes_them() {
        let mut case = Case::new("short");
        let short = |path: &str| match path.contains("offset=0") {
            true => page(0..100, Some(150)),
            false => page(100..150, Some(150)),
        };
        let values = case.values(&["aDescriptors"], short).unwrap();
        assert_eq!(values.count(), 150);
        let url = |offset| format!("/ed-fi/aDescriptors?limit=500&offset={offset}&totalCount=true");
        assert_eq!(case.asked(), [url(0), url(100)]);
    }

    #[test]
    fn without_a_count_only_an_empty_page_is_the_last_one() {
        let mut case = Case::new("uncounted");
        let uncounted = |path: &str| match path.split("offset=").nth(1) {
            Some("0&totalCount=true") => page(0..100, None),
            Some("100&totalCount=true") => page(100..101, None),
            _ => page(0..0, None),
        };
        assert_eq!(case.values(&["aDescriptors"], uncounted).unwrap().count(), 101);
        assert_eq!(case.asked().len(), 3);
    }

    #[test]
    fn a_host_that_gives_the_same_page_for_ever_or_too_few_values_is_told_and_its_values_are_not_known() {
        for (name, told) in [("same", "the same page again"), ("few", "it gave 3 of 9 values")] {
            let mut case = Case::new(name);
            let answer = |path: &str| match (name, path.contains("offset=0")) {
                ("same", _) => page(0..500, None),
                (_, first) => page(0..if first { 3 } else { 0 }, Some(9)),
            };
            let values = case.values(&["aDescriptors"], answer).unwrap();
            assert_eq!(values.has(&Resource::new("ed-fi", "aDescriptors"), "x"), None);
            assert!(case.warnings[0].contains(told), "{:?}", case.warnings);
            assert_eq!(case.asked().len(), 2);
        }
    }

    #[test]
    fn only_what_is_not_kept_is_asked_for() {
        let mut case = Case::new("kept");
        let one = |_: &str| page(0..1, Some(1));
        case.values(&["aDescriptors", "bDescriptors"], one).unwrap();
        assert_eq!(case.asked().len(), 2);
        let values = case.values(&["bDescriptors", "cDescriptors"], one).unwrap();
        assert!(case.asked()[0].starts_with("/ed-fi/cDescriptors?"));
        assert_eq!(values.descriptors().map(Resource::name).collect::<Vec<_>>(), ["bDescriptors", "cDescriptors"]);
        case.values(&["aDescriptors", "bDescriptors", "cDescriptors"], refused).unwrap();
        assert!(case.asked().is_empty() && case.warnings.is_empty());
    }

    #[test]
    fn what_was_kept_for_too_long_is_asked_for_again() {
        let mut case = Case::new("old");
        let row = |name: &str, asked| Row { descriptor: format!("ed-fi/{name}"), asked, uris: vec!["old".into()] };
        let rows = [row("oldDescriptors", unix_now() - 3_600), row("newDescriptors", unix_now() - 1_000)];
        let body = postcard::to_stdvec(&rows[..]).unwrap();
        let copy = Copy { etag: None, fetched: unix_now(), body };
        Cache::below(Some(&case.folder)).store(&Uri::from_static("https://example.com/data"), &copy).unwrap();
        let values = case.values(&["oldDescriptors", "newDescriptors"], |_| page(7..8, Some(1))).unwrap();
        let of = |name| values.of(&Resource::new("ed-fi", name)).collect::<Vec<_>>();
        assert_eq!((of("oldDescriptors"), of("newDescriptors")), (vec!["uri://x/Y#7"], vec!["old"]));
    }

    #[test]
    fn descriptors_that_may_not_be_read_are_named_once_and_nothing_is_known_of_them() {
        let mut case = Case::new("refused");
        let values = case.values(&["aDescriptors", "bDescriptors"], refused).unwrap();
        assert_eq!(values.has(&Resource::new("ed-fi", "aDescriptors"), "x"), None);
        let [warning] = &case.warnings[..] else { panic!("{:?}", case.warnings) };
        assert!(warning.starts_with("the API does not give the values of 2 descriptors (403, "), "{warning}");
        assert!(warning.ends_with(": aDescriptors, bDescriptors"), "{warning}");
    }

    #[test]
    fn no_answer_is_an_error_that_names_descriptor_and_url() {
        let silent = |_: &str| Settled::NoAnswer { status: None, reason: "it was cut".into() };
        let error = Case::new("silent").values(&["aDescriptors"], silent).unwrap_err();
        assert_eq!(error.exit(), Exit::GivenUp);
        let text = error.to_string();
        assert!(text.contains("aDescriptors at https://example.com/data/ed-fi/aDescriptors?"), "{text}");
        assert!(text.ends_with("it was cut"), "{text}");
    }
}
