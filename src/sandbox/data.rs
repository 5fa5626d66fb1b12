//! Creates, finds and deletes items: what happens below `/data/v3/`.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use fxhash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use super::answer::Answer;
use super::http::Request;
use super::lock;
use super::problem::Problem;
use super::query;
use super::store::{Deleted, Demand, Store, identify};
use crate::check::{Checkers, Key, Notes, Rule};
use crate::clock::unix_now;
use crate::model::Model;
use crate::model::openapi::SERVER_MADE;
use crate::resource::Resource;

/// The most items that one answer holds.
const PAGE: usize = 500;
/// How many it holds if the client does not say.
const DEFAULT_PAGE: usize = 25;
/// The school years that every real API has from the start.
const SCHOOL_YEARS: std::ops::RangeInclusive<i32> = 1991..=2050;

/// The resources and their items.
pub struct Data {
    model: Arc<Model>,
    checkers: Checkers,
    /// `ed-fi/students` → the position of its definition.
    routes: FxHashMap<Box<str>, usize>,
    paths: Vec<Box<str>>,
    forbidden: FxHashSet<usize>,
    store: Store,
    /// For each descriptor the namespaces of which one was posted.
    namespaces: RwLock<FxHashMap<Resource, FxHashSet<String>>>,
    /// In the no-check mode, how many payloads came.
    unchecked: Option<AtomicU64>,
}

/// A request for a known resource.
pub struct Call<'d> {
    /// Such as `ed-fi/students`.
    pub path: &'d str,
    position: usize,
    id: Option<u128>,
}

impl Data {
    /// The resources of `model`, no items but the school years. `forbid` has names (`students`) or paths (`ed-fi/students`).
    pub fn new(model: Arc<Model>, no_check: bool, forbid: &[String]) -> Data {
        let paths: Vec<Box<str>> = model.definitions().iter().map(|d| d.resource.to_string().into()).collect();
        let is_forbidden =
            |resource: &Resource| forbid.iter().any(|name| name == resource.name() || *name == resource.to_string());
        let positions = model.definitions().iter().enumerate();
        let data = Data {
            routes: paths.iter().enumerate().map(|(position, path)| (path.clone(), position)).collect(),
            forbidden: positions.filter(|(_, d)| is_forbidden(&d.resource)).map(|(position, _)| position).collect(),
            store: Store::new(paths.len()),
            paths,
            checkers: Checkers::new(model.definitions()),
            model,
            namespaces: RwLock::default(),
            unchecked: no_check.then(|| AtomicU64::new(0)),
        };
        data.add_school_years();
        data
    }

    fn add_school_years(&self) {
        let school_years = self.model.definitions().iter().position(|d| d.resource.name() == "schoolYearTypes");
        for (position, year) in
            school_years.into_iter().flat_map(|position| SCHOOL_YEARS.map(move |year| (position, year)))
        {
            let body = json!({
                "schoolYear": year,
                "currentSchoolYear": false,
                "schoolYearDescription": format!("{}-{year}", year - 1)
            });
            let resource = &self.model.definitions()[position].resource;
            let key = self.checkers.get(resource).and_then(|checker| checker.key(|_| Some(year.to_string())));
            // It demands nothing, so it cannot fail.
            let id = key.map(|key| identify(resource, key));
            id.map(|id| self.store.upsert(position, id, body.to_string().as_bytes(), &[], unix_now()));
        }
    }

    /// What is asked for at `path`, which is behind `/data/v3/`.
    pub fn route(&self, path: &str) -> Option<Call<'_>> {
        let call = |position: usize, id| Call { path: &self.paths[position], position, id };
        if let Some(&position) = self.routes.get(path.trim_end_matches('/')) {
            return Some(call(position, None));
        }
        let (collection, id) = path.rsplit_once('/')?;
        let id = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32)?;
        self.routes.get(collection).map(|&position| call(position, Some(id)))
    }

    /// Does what is asked for.
    pub fn answer(&self, call: &Call<'_>, request: &Request<'_>) -> Result<Answer<'_>, Problem> {
        if self.forbidden.contains(&call.position) {
            return Err(Problem::AccessDenied);
        }
        match (request.method, call.id) {
            ("POST", None) => self.post(call.position, request),
            ("GET", None) => self.find(call.position, request.query),
            ("GET", Some(id)) => {
                let stored = self.store.get(call.position, id).ok_or(Problem::NotFound)?;
                Ok(Answer { etag: Some(stored.version), ..Answer::json(200, with_id(id, &stored)) })
            }
            ("DELETE", Some(id)) => match self.store.delete(call.position, id) {
                Deleted::Gone => Ok(Answer::empty(204)),
                Deleted::Missing => Err(Problem::NotFound),
                Deleted::Referenced(by) => Err(Problem::Referenced(self.model.definitions()[by].body.entity())),
            },
            _ => Err(Problem::MethodNotAllowed),
        }
    }

    fn post(&self, position: usize, request: &Request<'_>) -> Result<Answer<'_>, Problem> {
        let is_json = |content_type: &str| {
            let media_type = content_type.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case("application/json") || media_type.ends_with("+json")
        };
        if !request.content_type.is_some_and(is_json) {
            return Err(Problem::UnsupportedMediaType);
        }
        if let Some(count) = &self.unchecked {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let location = Some((&*self.paths[position], u128::from(number)));
            return Ok(Answer { location, etag: Some(number), ..Answer::empty(201) });
        }
        let body = request.body.trim_ascii();
        if body.is_empty() {
            return Err(Problem::NotAnObject("The request has no body.".into()));
        }
        let payload: Value = serde_json::from_slice(body).map_err(|error| Problem::NotAnObject(error.to_string()))?;
        let object =
            payload.as_object().ok_or_else(|| Problem::NotAnObject("The body is not a JSON object.".into()))?;
        if object.get("id").is_some_and(|id| !id.is_null()) {
            return Err(Problem::IdGiven);
        }
        let resource = &self.model.definitions()[position].resource;
        let mut notes = Notes::default();
        let checker = self.checkers.get(resource).ok_or(Problem::NotFound)?;
        checker.check(body, &mut notes);
        // What it does not know, a real API drops.
        notes.faults.retain(|fault| fault.rule != Rule::Unknown);
        if !notes.faults.is_empty() {
            return Err(Problem::Invalid(notes.faults.into_iter().map(|fault| (fault.path, fault.message)).collect()));
        }
        let no_key = || Problem::Invalid(vec![("$".into(), "the documents do not tell its natural key".into())]);
        let key = notes.key.ok_or_else(no_key)?;
        let id = identify(resource, key);
        let demands = self.demands(&notes);
        let upserted = self.store.upsert(position, id, &without_server_made(body, object), &demands, unix_now());
        let upserted = upserted.map_err(|missing| unresolved(&notes, missing))?;
        if let (true, Some(namespace)) = (resource.is_descriptor(), payload["namespace"].as_str()) {
            lock::write(&self.namespaces).entry(resource.clone()).or_default().insert(namespace.to_owned());
        }
        let location = Some((&*self.paths[position], id));
        let status = if upserted.created { 201 } else { 200 };
        Ok(Answer { location, etag: Some(upserted.version), ..Answer::empty(status) })
    }

    /// What has to be there: first each reference, then each descriptor. A descriptor that is not there is an error only if
    /// one of its kind and namespace was posted: a real API has its descriptors loaded before anybody posts.
    fn demands(&self, notes: &Notes<'_>) -> Vec<Demand> {
        let references = notes.references.iter().map(|reference| {
            let candidates = reference.to.targets.iter().map(|target| identify(target, reference.key)).collect();
            Demand { candidates, required: true }
        });
        let descriptors = notes.descriptors.iter().map(|mention| {
            let (namespace, code_value) = notes.value(mention);
            let id = identify(mention.resource, Key::of_descriptor(namespace, code_value));
            let namespaces = lock::read(&self.namespaces);
            let required = namespaces.get(mention.resource).is_some_and(|posted| posted.contains(namespace));
            Demand { candidates: vec![id], required }
        });
        references.chain(descriptors).collect()
    }

    fn find(&self, position: usize, query: &str) -> Result<Answer<'_>, Problem> {
        let pairs = query::pairs(query);
        let number = |name: &str, default: usize, most: usize, why: &'static str| {
            let given = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            let number = given.map_or(Some(default), |(_, value)| value.parse().ok());
            number.filter(|number| *number <= most).ok_or(Problem::Paging(why))
        };
        let limit = number("limit", DEFAULT_PAGE, PAGE, "The limit must be left out or be between 0 and 500.")?;
        let offset = number("offset", 0, usize::MAX, "The offset must be left out or be at least 0.")?;
        let counts = pairs
            .iter()
            .any(|(key, value)| key.eq_ignore_ascii_case("totalCount") && value.eq_ignore_ascii_case("true"));

        let found = self.matching(position, &pairs);
        let mut body = b"[".to_vec();
        for id in found.iter().skip(offset).take(limit) {
            // One that was deleted since is passed over.
            let Some(stored) = self.store.get(position, *id) else { continue };
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(&with_id(*id, &stored));
        }
        body.push(b']');
        Ok(Answer { total_count: counts.then_some(found.len()), ..Answer::json(200, body) })
    }

    /// The ids of the items that the query asks for. As in a real API, what is no parameter of the resource is passed over.
    fn matching(&self, position: usize, pairs: &[(String, String)]) -> Vec<u128> {
        let definition = &self.model.definitions()[position];
        let asked = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let filters: Vec<_> = definition.parameters.iter().filter_map(|p| Some((p, asked(&p.name)?))).collect();
        let id = asked("id").map(|id| u128::from_str_radix(id, 16).unwrap_or_default());
        if filters.is_empty() && id.is_none() {
            return self.store.ids(position);
        }
        let checker = self.checkers.get(&definition.resource);
        let candidates = match checker.and_then(|checker| checker.key(asked)) {
            Some(key) => vec![identify(&definition.resource, key)],
            None => self.store.ids(position),
        };
        let matches = |candidate: &u128| {
            let Some(stored) = self.store.get(position, *candidate) else { return false };
            let payload: Value = serde_json::from_slice(&stored.body).unwrap_or_default();
            id.is_none_or(|id| id == *candidate)
                && filters.iter().all(|(parameter, value)| {
                    parameter.values(&payload).next().is_some_and(|(_, held)| text(held) == *value)
                })
        };
        candidates.into_iter().filter(matches).collect()
    }
}

/// The problem with demand number `missing`, in the order of [`Data::demands`].
fn unresolved(notes: &Notes<'_>, missing: usize) -> Problem {
    if let Some(reference) = notes.references.get(missing) {
        return Problem::Unresolved(reference.to.entity.clone());
    }
    let mention = &notes.descriptors[missing - notes.references.len()];
    let (namespace, code_value) = notes.value(mention);
    let name = namespace.rsplit('/').next().unwrap_or_default();
    let message = format!("{name} value '{namespace}#{code_value}' does not exist.");
    Problem::Invalid(vec![(notes.path(mention.place), message)])
}

/// A value of a key as text.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// The payload without what the server puts there by itself.
fn without_server_made<'p>(body: &'p [u8], object: &serde_json::Map<String, Value>) -> Cow<'p, [u8]> {
    if !SERVER_MADE.iter().any(|name| object.contains_key(*name)) {
        return body.into();
    }
    let mut object = object.clone();
    object.retain(|name, _| !SERVER_MADE.contains(&name.as_str()));
    Value::Object(object).to_string().into_bytes().into()
}

/// An item as the API shows it.
fn with_id(id: u128, stored: &super::store::Stored) -> Vec<u8> {
    let modified = i64::try_from(stored.modified).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let modified = modified.map(|time| time.to_string()).unwrap_or_default();
    let members = stored.body.strip_prefix(b"{").and_then(|body| body.strip_suffix(b"}")).unwrap_or_default();
    let comma = if members.trim_ascii().is_empty() { "" } else { "," };
    let mut body = format!("{{\"id\":\"{id:032x}\"{comma}").into_bytes();
    body.extend_from_slice(members);
    body.extend_from_slice(
        format!(",\"_etag\":\"{}\",\"_lastModifiedDate\":\"{modified}\"}}", stored.version).as_bytes(),
    );
    body
}
