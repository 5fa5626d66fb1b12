//! What commands do first: reach the API, put resources in order, and, to send, find the files and name whatever will not be sent.

use std::collections::BTreeMap;

use crate::api::Api;
use crate::api::openapi::Collection;
use crate::config::{Config, Level};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::folder::{self, Found};
use crate::interrupt::Interrupt;
use crate::model::{Model, Natural, Source};
use crate::nearest::nearest;
use crate::observer::Observer;
use crate::plan::{self, Catalog, Job, Plan, Scope, Turn};
use crate::resource::Resource;
use crate::selector::Selector;
use crate::text;

/// An API and what there is to be sent to it.
pub struct Prepared {
    /// Where the payloads go.
    pub api: Api,
    /// In which order.
    pub plan: Plan,
    /// What the API's OpenAPI documents say, if it has any.
    pub model: Option<Model>,
    /// What tells the natural keys of each of the plan's jobs, where that is known.
    pub natural: Vec<Option<Natural>>,
}

/// Reaches the API for its metadata and puts the selected files in order. What will not be read is logged by name.
pub fn prepare(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Prepared> {
    let found = folder::find(&config.data_dir)?;
    let api = reach(config, interrupt, observer)?;
    let source = source(&api, observer)?;
    let catalog = catalog(config, selector, &api, &source, &found, observer);
    check(selector, &catalog, &api)?;
    let unused = found.unused.len();
    for unused in found.unused.iter().take(SHOWN) {
        observer.log(Level::Warning, &format!("{} is not read: it {}", unused.path.display(), unused.why));
    }
    if unused > SHOWN {
        observer.log(Level::Warning, &format!("{} more are not read either", text::count((unused - SHOWN) as u64)));
    }
    let (plan, unmatched) = plan::build(&catalog, selector, found);
    for path in unmatched {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let hint = hint(&name, &catalog, &api);
        observer.log(Level::Warning, &format!("{} is left out: it matches no resource{hint}", path.display()));
    }
    if plan.tiers.is_empty() {
        let text =
            format!("there is nothing to do in {}: no data file of a selected resource", config.data_dir.display());
        observer.log(Level::Warning, &text);
    }
    let model = model(&source, observer);
    if let Some(model) = &model {
        plan.jobs().for_each(|job| tell_of_key(&job.turn.resource, model, observer));
    }
    let natural = |job: &Job| Natural::of(model.as_ref()?.get(&job.turn.resource)?);
    let natural = plan.jobs().map(natural).collect();
    Ok(Prepared { api, plan, model, natural })
}

/// What the API's OpenAPI documents say. They only add to what the dependencies tell: without them all can be sent all the same, only not
/// each payload of a natural key after the one before it.
fn source(api: &Api, observer: &mut dyn Observer) -> Result<Source> {
    match api.source(&mut |text| observer.log(Level::Info, &text)) {
        Err(error) if error.exit() == Exit::GivenUp => {
            let text =
                format!("{error}; going on without, so that payloads of one natural key may overtake each other");
            observer.log(Level::Warning, &text);
            Ok(Source::default())
        }
        source => source,
    }
}

/// What the documents mean; `None` if they tell of no resource.
fn model(source: &Source, observer: &mut dyn Observer) -> Option<Model> {
    let model = Model::compile(source).inspect_err(|error| {
        let text = format!("{error}; so payloads of one natural key may overtake each other");
        observer.log(Level::Warning, &text);
    });
    let model = model.ok().filter(|model| !model.definitions().is_empty())?;
    let (faults, more) = model.faults().split_at(model.faults().len().min(SHOWN));
    for (resource, fault) in faults {
        observer.log(Level::Warning, &format!("{resource}: {fault}; the resource is not checked"));
    }
    if !more.is_empty() {
        let text = format!("{} more resources are not checked, because the OpenAPI documents are broken", more.len());
        observer.log(Level::Warning, &text);
    }
    model.disagreements().iter().for_each(|text| observer.log(Level::Debug, text));
    Some(model)
}

/// Says what follows where the natural key of a resource is not known.
fn tell_of_key(resource: &Resource, model: &Model, observer: &mut dyn Observer) {
    let why = match model.get(resource).map(|definition| &definition.natural) {
        Some(Ok(_)) => return,
        Some(Err(why)) => why,
        None => model.fault(resource).unwrap_or("the documents do not describe it"),
    };
    let name = resource.name();
    let text = format!("{name}: {why}; so payloads of one natural key may overtake each other");
    observer.log(Level::Warning, &text);
}

/// An API and what is to be read from it.
pub struct Chosen {
    /// Where the records are.
    pub api: Api,
    /// The selected resources, in the order in which they are created, each with what it can be asked for, where the API tells.
    pub resources: Vec<(Resource, Option<Collection>)>,
    /// When the turn of each of them comes.
    pub turns: Vec<Turn>,
}

/// Reaches the API for its metadata and puts the selected resources in order.
pub fn choose(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Chosen> {
    let api = reach(config, interrupt, observer)?;
    api.check_privacy()?;
    let (mut catalog, _) = ordered(config, &api);
    let mut collections = collections(&api, observer)?;
    catalog.add_unordered(scope(config), collections.keys().cloned());
    check(selector, &catalog, &api)?;
    let turns = catalog.selected(selector);
    let resources = turns.iter().map(|turn| turn.resource.clone());
    let resources = resources.map(|resource| (resource.clone(), collections.remove(&resource))).collect();
    Ok(Chosen { api, resources, turns })
}

fn reach(config: &Config, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<Api> {
    let api = Api::connect(config, interrupt, &mut |text| observer.log(Level::Warning, &text))?;
    let urls = api.urls();
    observer.log(Level::Info, &format!("the API at {} takes data at {}", config.api.base_url, urls.data));
    observer.log(Level::Debug, &format!("tokens are had at {}", urls.oauth));
    Ok(api)
}

/// An error if part of the selector matches nothing.
fn check(selector: &Selector, catalog: &Catalog, api: &Api) -> Result<()> {
    match selector.unknown(catalog.names()).first() {
        None => Ok(()),
        Some(pattern) => {
            let hint = hint(pattern, catalog, api);
            Err(Error::usage(format!("the selector {pattern} matches no resource{hint}")))
        }
    }
}

fn scope(config: &Config) -> Scope<'_> {
    Scope { namespace: &config.namespace, overrides: &config.namespace_overrides }
}

/// The resources of dependencies and overrides, and those of them that dependencies leave out.
fn ordered(config: &Config, api: &Api) -> (Catalog, Vec<Resource>) {
    let turns = api.dependencies().iter().filter_map(|dependency| {
        let create = dependency.create?;
        let update = dependency.update.filter(|update| *update > create);
        Some(Turn { resource: dependency.resource.clone(), create, update })
    });
    let mut catalog = Catalog::new(scope(config), turns);
    let overridden = config.namespace_overrides.iter();
    let overridden = overridden.flat_map(|(namespace, names)| names.iter().map(|name| Resource::new(namespace, name)));
    let extra = catalog.add_unordered(scope(config), overridden);
    (catalog, extra)
}

/// What the OpenAPI documents tell. They only add to what is known: without them the rest can be done all the same.
fn collections(api: &Api, observer: &mut dyn Observer) -> Result<BTreeMap<Resource, Collection>> {
    match api.collections(&mut |text| observer.log(Level::Warning, &text)) {
        Err(error) if error.exit() == Exit::GivenUp => {
            observer.log(Level::Warning, &error.to_string());
            Ok(BTreeMap::new())
        }
        known => known,
    }
}

/// So many entries that are not read are named.
const SHOWN: usize = 20;

/// The resources that can be sent. Those that only the OpenAPI documents know are among them where one of them is wanted.
fn catalog(
    config: &Config,
    selector: &Selector,
    api: &Api,
    source: &Source,
    found: &Found,
    observer: &mut dyn Observer,
) -> Catalog {
    let (mut catalog, mut extra) = ordered(config, api);
    let unknown_file = found.files.keys().any(|name| !catalog.has(name));
    if unknown_file || !selector.unknown(catalog.names()).is_empty() {
        let known = source.endpoints.iter().map(|endpoint| endpoint.resource.clone());
        extra.extend(catalog.add_unordered(scope(config), known));
    }
    let sent = |r: &&Resource| selector.matches(r.name()) && found.files.contains_key(&r.name().to_lowercase());
    for resource in extra.iter().filter(sent) {
        let text = format!("{} is not among the API's dependencies: it comes before all others", resource.name());
        observer.log(Level::Info, &text);
    }
    catalog
}

/// What may be meant by a name that the catalog does not have: the same in another namespace, or one spelled much like it.
fn hint(name: &str, catalog: &Catalog, api: &Api) -> String {
    let elsewhere = api.dependencies().iter().find(|d| d.resource.name().eq_ignore_ascii_case(name));
    match (elsewhere, nearest(name, catalog.names())) {
        (Some(same), _) => {
            format!("; the namespace {} has it: name it in namespace_overrides", same.resource.namespace())
        }
        (None, Some(near)) => format!("; did you mean {near}?"),
        (None, None) => String::new(),
    }
}
