//! Creates, finds and deletes items: what happens below `/data/v3/`.

mod find;
mod shaped;
mod token_info;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use fxhash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use super::Options;
use super::answer::Answer;
use super::caller::Caller;
use super::http::Request;
use super::lock;
use super::metadata::Metadata;
use super::problem::Problem;
use super::profiles::Usage;
use super::show::{same, without_server_made};
use super::store::{Deleted, Demand, Store, identify};
use crate::check::{Checkers, Fault, Notes};
use crate::clock::unix_now;
use crate::edfi::key::StrictKey;
use crate::edfi::tolerance::Product;
use crate::model::{Definition, Model, Values, values};
use crate::resource::Resource;

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
    caller: Arc<Caller>,
    store: Store,
    /// The positions of the definitions of education organizations, and who posts one at present.
    organizations: Vec<usize>,
    posting_organizations: Mutex<()>,
    /// The descriptors that had values from the start: they have all that they will ever have.
    filled: FxHashSet<Resource>,
    /// For each other descriptor the namespaces of which a value was posted.
    namespaces: RwLock<FxHashMap<Resource, FxHashSet<String>>>,
    /// In the no-check mode, how many payloads came.
    unchecked: Option<AtomicU64>,
    /// Whether pages can be asked for by a cursor.
    cursor: bool,
    /// Every how manieth page shifts.
    shift: Option<u64>,
    /// How many pages were asked for.
    pages: AtomicU64,
}

/// A request for a known resource.
pub struct Call<'d> {
    /// Such as `ed-fi/students`.
    pub path: &'d str,
    position: usize,
    of: Of,
}

/// What of a resource a request is for.
enum Of {
    Collection,
    Partitions,
    Item(u128),
}

impl Data {
    /// The resources of `metadata`, no items but the school years and the values of its descriptors.
    pub fn new(metadata: &Metadata, options: &Options, caller: Arc<Caller>) -> Data {
        let (model, forbid) = (metadata.model.clone(), &options.forbid);
        let tolerance = Product::of_discovery(&metadata.discovery).tolerance();
        let paths: Vec<Box<str>> = model.definitions().iter().map(|d| d.resource.to_string().into()).collect();
        let is_forbidden =
            |resource: &Resource| forbid.iter().any(|name| name == resource.name() || *name == resource.to_string());
        let positions = model.definitions().iter().enumerate();
        let data = Data {
            routes: paths.iter().enumerate().map(|(position, path)| (path.clone(), position)).collect(),
            forbidden: positions.filter(|(_, d)| is_forbidden(&d.resource)).map(|(position, _)| position).collect(),
            caller,
            store: Store::new(paths.len()),
            paths,
            organizations: (0..)
                .zip(model.definitions())
                .filter(|(_, d)| d.is_organization)
                .map(|(at, _)| at)
                .collect(),
            posting_organizations: Mutex::default(),
            checkers: Checkers::of_api(model.definitions(), tolerance),
            model,
            filled: metadata.values.descriptors().filter(|d| metadata.values.of(d).next().is_some()).cloned().collect(),
            namespaces: RwLock::default(),
            unchecked: options.no_check.then(|| AtomicU64::new(0)),
            cursor: !options.no_cursor,
            shift: options.shift,
            pages: AtomicU64::new(0),
        };
        data.add_school_years();
        data.add_descriptors(&metadata.values);
        data
    }

    fn add_descriptors(&self, values: &Values) {
        for descriptor in values.descriptors() {
            let Some(&position) = self.routes.get(&*descriptor.to_string()) else { continue };
            for (namespace, code) in values.of(descriptor).map(values::split) {
                let id = identify(descriptor, StrictKey::of_descriptor(namespace, code));
                let body = json!({"namespace": namespace, "codeValue": code, "shortDescription": code});
                // It demands nothing, so it cannot fail.
                let _ = self.store.upsert(position, id, body.to_string().as_bytes(), &[], unix_now(), |_, _| false);
            }
        }
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
            let id = key.map(|key| identify(resource, key.strict));
            id.map(|id| self.store.upsert(position, id, body.to_string().as_bytes(), &[], unix_now(), |_, _| false));
        }
    }

    /// What is asked for at `path`, which is behind `/data/v3/`.
    pub fn route(&self, path: &str) -> Option<Call<'_>> {
        let call = |position: usize, of| Call { path: &self.paths[position], position, of };
        if let Some(&position) = self.routes.get(path.trim_end_matches('/')) {
            return Some(call(position, Of::Collection));
        }
        let (collection, last) = path.rsplit_once('/')?;
        let of = match last {
            "partitions" if self.cursor => Of::Partitions,
            id => Of::Item(u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32)?),
        };
        self.routes.get(collection).map(|&position| call(position, of))
    }

    /// The change versions that there are, as the change queries tell them.
    pub fn change_versions(&self) -> Answer<'static> {
        let versions = json!({"oldestChangeVersion": 0, "newestChangeVersion": self.store.newest()});
        Answer::json(200, versions.to_string().into_bytes())
    }

    /// Does what is asked for.
    pub fn answer(&self, call: &Call<'_>, request: &Request<'_>) -> Result<Answer<'_>, Problem> {
        if self.forbidden.contains(&call.position) {
            return Err(Problem::AccessDenied);
        }
        let claims: &[&str] = match request.method {
            "GET" => &["Read"],
            "DELETE" => &["Delete"],
            _ => &["Create", "Update"],
        };
        self.caller.may(call.position, || claims)?;
        match (request.method, &call.of) {
            ("POST", Of::Collection) => self.post(call.position, request),
            ("GET", Of::Collection) => self.find(call.position, request),
            ("GET", Of::Partitions) => self.partitions(call.position, request.query),
            ("GET", &Of::Item(id)) => self.item(call.position, id, request),
            ("DELETE", &Of::Item(id)) => self.delete(call.position, id),
            _ => Err(Problem::MethodNotAllowed),
        }
    }

    fn delete(&self, position: usize, id: u128) -> Result<Answer<'_>, Problem> {
        let stored = self.store.get(position, id).ok_or(Problem::NotFound)?;
        self.caller.may_write(&self.model.definitions()[position].resource, || {
            Cow::Owned(serde_json::from_slice(&stored.body).unwrap_or_default())
        })?;
        match self.store.delete(position, id) {
            Deleted::Gone => Ok(Answer::empty(204)),
            Deleted::Missing => Err(Problem::NotFound),
            Deleted::Referenced(by) => Err(Problem::Referenced(self.model.definitions()[by].body.entity())),
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
        let definition = &self.model.definitions()[position];
        let under = self.caller.profiles.applied(position, definition, Usage::Writable, request.content_type)?;
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
        let shaped = under.map(|applied| self.shaped(position, applied, object.clone())).transpose()?;
        let written = shaped.as_ref().map(Value::to_string);
        let (body, payload) =
            (written.as_ref().map_or(body, |text| text.as_bytes()), shaped.as_ref().unwrap_or(&payload));
        let Definition { resource, body: schema, .. } = definition;
        // What it does not know, a real API drops.
        let mut notes = Notes::without_unknown();
        let checker = self.checkers.get(resource).ok_or(Problem::NotFound)?;
        checker.check(body, &mut notes);
        if !notes.faults.is_empty() {
            let told = |fault: &Fault| (fault.path.to_string(), fault.message.to_string());
            return Err(Problem::Invalid(notes.faults.iter().map(told).collect()));
        }
        let taken = (!notes.taken.is_empty()).then(|| notes.applied(payload));
        let written = taken.as_ref().map(Value::to_string);
        let (body, payload) =
            (written.as_ref().map_or(body, |text| text.as_bytes()), taken.as_ref().unwrap_or(payload));
        let no_key = || Problem::Invalid(vec![("$".into(), "the documents do not tell its natural key".into())]);
        let key = notes.key.ok_or_else(no_key)?.strict;
        let id = identify(resource, key);
        self.caller.may(position, || if self.store.holds(position, id) { &["Update"] } else { &["Create"] })?;
        self.caller.may_write(resource, || Cow::Borrowed(payload))?;
        let demands = self.demands(&notes);
        let _organizations = self.unique_organization(position, key)?;
        let upserted =
            self.store.upsert(position, id, &without_server_made(body, payload), &demands, unix_now(), |one, other| {
                same(schema, one, other)
            });
        let upserted = upserted.map_err(|missing| unresolved(&notes, missing))?;
        if let (true, Some(namespace)) = (resource.is_descriptor(), payload["namespace"].as_str()) {
            lock::write(&self.namespaces).entry(resource.clone()).or_default().insert(namespace.to_owned());
        }
        let location = Some((&*self.paths[position], id));
        let status = if upserted.created { 201 } else { 200 };
        Ok(Answer { location, etag: Some(upserted.version), ..Answer::empty(status) })
    }

    /// Education organizations of all kinds share one space of ids. What is returned keeps others from taking the id meanwhile.
    fn unique_organization(&self, position: usize, key: StrictKey) -> Result<Option<MutexGuard<'_, ()>>, Problem> {
        if !self.organizations.contains(&position) {
            return Ok(None);
        }
        let guard = lock::hold(&self.posting_organizations);
        let others = self.organizations.iter().filter(|&&other| other != position);
        for &other in others {
            let definition = &self.model.definitions()[other];
            if self.store.get(other, identify(&definition.resource, key)).is_some() {
                return Err(Problem::NotUnique(definition.body.entity()));
            }
        }
        Ok(Some(guard))
    }

    /// What has to be there: first each reference, then each descriptor. A descriptor that is not there is an error only if
    /// its kind had values from the start, or one of its kind and namespace was posted: a real API has its descriptors loaded before anybody
    /// posts.
    fn demands(&self, notes: &Notes<'_>) -> Vec<Demand> {
        let references = notes.references.iter().map(|reference| {
            let candidates = reference.to.targets.iter().map(|target| identify(target, reference.key)).collect();
            Demand { candidates, required: true }
        });
        let descriptors = notes.descriptors.iter().map(|mention| {
            let (namespace, code_value) = notes.value(mention);
            let id = identify(mention.resource, StrictKey::of_descriptor(namespace, code_value));
            let is_posted = |posted: &FxHashSet<String>| posted.iter().any(|own| own.eq_ignore_ascii_case(namespace));
            let required = self.filled.contains(mention.resource)
                || lock::read(&self.namespaces).get(mention.resource).is_some_and(is_posted);
            Demand { candidates: vec![id], required }
        });
        references.chain(descriptors).collect()
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
