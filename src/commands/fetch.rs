//! `lightbeam fetch`: the API's records of the selected resources, each resource as a file of lines.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use jiff::Zoned;
use serde_json::Value;

use super::prepare::choose;
use crate::api::openapi::Collection;
use crate::api::{Api, paging, reply};
use crate::cli::{FetchArgs, Run};
use crate::config::codes::Compat;
use crate::config::{Config, Level};
use crate::error::{Error, Result};
use crate::fetch::harvest::{Ending, Harvest, Yield};
use crate::fetch::record::Shape;
use crate::fetch::{Fetch, Source};
use crate::interrupt::Interrupt;
use crate::nearest::nearest;
use crate::observer::Observer;
use crate::pages::Pages;
use crate::pool;
use crate::results::Stopped;
use crate::text;

/// Fetches the records of the selected resources. An `Err` tells of a run that could not begin; one that had to stop tells so in what it returns.
pub fn run(
    config: &Config,
    run: &Run,
    args: &FetchArgs,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Yield> {
    let started = Zoned::now();
    let chosen = choose(config, &run.selection, observer, interrupt)?;
    let api = &chosen.api;
    let newest = newest_version(api, args.since, observer)?;
    let mut sources = Vec::new();
    let mut skipped = BTreeMap::new();
    for (resource, collection) in &chosen.resources {
        let collection = collection.as_ref();
        match filters(&args.query, collection) {
            Ok(filters) => {
                let versions = [("minChangeVersion", args.since), ("maxChangeVersion", args.since.and(newest))];
                let versions =
                    versions.into_iter().filter_map(|(name, version)| Some((name.into(), version?.to_string())));
                let pages = Pages {
                    api,
                    url: api.urls().of(resource)?,
                    filters: filters.into_iter().chain(versions).collect(),
                    size: page_size(config.page_size, collection),
                    partitions: collection.is_some_and(|collection| collection.partitions),
                };
                sources.push(Source { resource: resource.clone(), pages });
            }
            Err(why) => {
                if skipped.len() < SHOWN {
                    observer.log(Level::Warning, &format!("{} is skipped: {why}", resource.label()));
                }
                skipped.insert(resource.clone(), why);
            }
        }
    }
    if let (true, Some(why)) = (sources.is_empty(), skipped.values().next()) {
        return Err(Error::usage(format!("no selected resource can be asked that: {why}")));
    }
    if skipped.len() > SHOWN {
        let more = text::count((skipped.len() - SHOWN) as u64);
        observer.log(Level::Warning, &format!("{more} more are skipped for such reasons"));
    }
    if let Some(wanted) = config.page_size.filter(|&wanted| sources.iter().any(|s| s.pages.size < wanted.into())) {
        let text = format!("pages have fewer records than fetch.page_size, {wanted}, because the API gives no more");
        observer.log(Level::Info, &text);
    }
    let folder = folder(config, args);
    let pool = pool::workers(config.connection.pool_size, config.connection.memory)?;
    let in_python = config.compat == Compat::Python;
    // The Python lightbeam gives each record the keys that were asked for.
    let filled = if in_python { args.keys.exact_names() } else { Vec::new() };
    let shape = Shape { keys: args.keys.clone(), sendable: args.sendable, filled };
    // Of versions that are yet to come there are no records.
    let sources = if args.since > newest { Vec::new() } else { sources };
    let (stop, fetched) = (OnceLock::new(), AtomicU64::new(0));
    // The Python lightbeam asks nobody.
    let force = run.force || in_python;
    let fetch = Fetch { sources, shape, folder: &folder, force, pool: &pool, interrupt, stop, fetched };
    let harvests = fetch.run(api, observer)?;
    let stopped = Stopped::by(fetch.stop, interrupt);
    let names = fetch.sources.into_iter().map(|source| source.resource);
    let mut fetched: BTreeMap<_, _> = names.zip(harvests).collect();
    let resources = chosen.resources.iter().map(|(resource, _)| {
        let why = skipped.remove(resource).map(|why| Harvest { ending: Ending::Skipped(why), ..Harvest::default() });
        let harvest = why.or_else(|| fetched.remove(resource)).unwrap_or_default();
        (resource.clone(), harvest)
    });
    let (since, next_since) = (args.since, newest.map(|newest| newest + 1));
    Ok(Yield { started, completed: Zoned::now(), resources: resources.collect(), folder, since, next_since, stopped })
}

/// Where the files go.
pub fn folder(config: &Config, args: &FetchArgs) -> PathBuf {
    args.output.clone().unwrap_or_else(|| config.data_dir.clone())
}

/// So many resources that are skipped are named.
const SHOWN: usize = 5;

/// As many records as the API gives at most, or fewer if fewer are wanted.
fn page_size(wanted: Option<u32>, collection: Option<&Collection>) -> u64 {
    /// Of larger pages a few would be longer than an answer may be.
    const MOST: u64 = 5_000;
    let largest = collection.and_then(|collection| collection.largest_page).map(|most| most.max(1));
    match wanted.map(u64::from) {
        Some(wanted) => largest.map_or(wanted, |most| wanted.min(most)),
        None => largest.unwrap_or(paging::LARGEST).min(MOST),
    }
}

/// The query in the words of a resource, or why it cannot be asked that: an Ed-Fi API passes over what it does not know, and gives everything.
fn filters(
    query: &[(String, String)],
    collection: Option<&Collection>,
) -> std::result::Result<Vec<(String, String)>, String> {
    let filter = |(key, value): &(String, String)| {
        let Some(collection) = collection else { return Err("the API does not tell what it can be asked for".into()) };
        let known = collection.parameters.iter().find(|known| known.eq_ignore_ascii_case(key));
        known.map(|known| (known.clone(), value.clone())).ok_or_else(|| {
            let near = nearest(key, collection.parameters.iter().map(String::as_str));
            let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
            format!("it cannot be asked for {key}{hint}")
        })
    };
    query.iter().map(filter).collect()
}

/// The newest change version, so that the next fetch knows where to go on; `None` where the API has none. An error if versions are wanted and cannot
/// be had.
fn newest_version(api: &Api, since: Option<u64>, observer: &mut dyn Observer) -> Result<Option<u64>> {
    let told = match &api.urls().change_queries {
        None => Err("the API has no change queries (urls.changeQueries of its discovery document)".to_string()),
        Some(url) => {
            let url = api.urls().below(url, "availableChangeVersions")?;
            let answer = api.get(&url)?.settled.answer();
            answer.map_err(|reason| format!("{url}: {}", reason.message)).and_then(|reply| {
                newest(&reply.body).ok_or_else(|| format!("{url} does not tell the newest change version"))
            })
        }
    };
    match (told, since) {
        (Ok(newest), _) => Ok(Some(newest)),
        (Err(why), Some(_)) => Err(Error::usage(format!("--since cannot be obeyed: {why}"))),
        (Err(why), None) => {
            observer.log(Level::Debug, &format!("nobody can go on from here with --since: {why}"));
            Ok(None)
        }
    }
}

/// Versions up to 5.4 spell the member with a capital.
fn newest(body: &[u8]) -> Option<u64> {
    let versions: Value = reply::json(body).ok()?;
    let mut members = versions.as_object()?.iter();
    members.find(|(name, _)| name.eq_ignore_ascii_case("newestChangeVersion"))?.1.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_as_many_records_as_the_api_gives_unless_fewer_are_wanted() {
        let size =
            |wanted, largest_page| page_size(wanted, Some(&Collection { largest_page, ..Collection::default() }));
        assert_eq!(
            [size(None, Some(500)), size(None, Some(250)), size(None, None), page_size(None, None)],
            [500, 250, 500, 500]
        );
        assert_eq!([size(Some(100), Some(500)), size(Some(700), Some(500)), size(Some(700), None)], [100, 500, 700]);
        assert_eq!([size(None, Some(0)), size(None, Some(1_000_000))], [1, 5_000]);
    }

    #[test]
    fn the_newest_version_is_read_in_either_spelling() {
        assert_eq!(newest(br#"{"oldestChangeVersion":0,"newestChangeVersion":100}"#), Some(100));
        assert_eq!(newest(br#"{"OldestChangeVersion":0,"NewestChangeVersion":7}"#), Some(7));
        assert_eq!(newest(b"[]"), None);
    }

    #[test]
    fn a_query_is_asked_in_the_spelling_of_the_resource_or_not_at_all() {
        let collection = Collection { parameters: ["schoolId".to_string()].into(), ..Collection::default() };
        let asked = |key: &str| filters(&[(key.into(), "1".into())], Some(&collection));
        assert_eq!(asked("SCHOOLID"), Ok(vec![("schoolId".into(), "1".into())]));
        assert_eq!(asked("schoolIds"), Err("it cannot be asked for schoolIds; did you mean schoolId?".into()));
        assert_eq!(filters(&[], None), Ok(vec![]));
        assert!(filters(&[("schoolId".into(), "1".into())], None).is_err());
    }
}
