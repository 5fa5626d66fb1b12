//! What commands do first: reach the API, put resources in order, and, to send, find the files and name whatever will not be sent.

use std::collections::BTreeMap;

use fxhash::FxHashSet;

use crate::api::Api;
use crate::api::openapi::Collection;
use crate::catalog::{Catalog, Meaning, Scope, ways};
use crate::config::{Config, Level};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::folder::{self, Assigned};
use crate::interrupt::Interrupt;
use crate::model::{Model, Natural, Source};
use crate::observer::Observer;
use crate::plan::{self, BEFORE_ALL, Job, Plan, Turn};
use crate::resource::Resource;
use crate::selector::Selector;
use crate::text;

/// An API and what there is to be sent to it.
pub struct Prepared {
    /// Where the payloads go.
    pub api: Api,
    /// In which order.
    pub plan: Plan,
    /// What the API's OpenAPI documents say of the plan's resources, or of all where the load is to be validated; `None` if it has none.
    pub model: Option<Model>,
    /// What tells the natural keys of each of the plan's jobs, where that is known.
    pub natural: Vec<Option<Natural>>,
}

/// What a name without a namespace may be, where several namespaces have a resource of that name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// What the configuration says.
    AsConfigured,
    /// An error, because what is deleted in the wrong namespace is gone.
    Unmistakable,
}

/// Of which resources the documents are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Of those of the load.
    Load,
    /// Of all, because references lead to them.
    Whole,
}

/// Reaches the API for its metadata and puts the selected files in order. What will not be read is logged by name.
pub fn prepare(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Prepared> {
    prepared(config, selector, (Names::AsConfigured, Depth::Load), observer, interrupt)
}

/// As [`prepare`], with all that the documents say.
pub fn prepare_to_validate(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Prepared> {
    prepared(config, selector, (Names::AsConfigured, Depth::Whole), observer, interrupt)
}

/// As [`prepare`], but a name that may mean several resources is an error.
pub fn prepare_to_delete(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Prepared> {
    prepared(config, selector, (Names::Unmistakable, Depth::Load), observer, interrupt)
}

fn prepared(
    config: &Config,
    selector: &Selector,
    (names, depth): (Names, Depth),
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Prepared> {
    let found = folder::find(&config.data_dir)?;
    let api = reach(config, interrupt, observer)?;
    let mut source = source(&api, observer)?;
    let catalog = catalog(config, &api, source.endpoints.iter().map(|endpoint| endpoint.resource.clone()));
    catalog.label(&mut source);
    check(selector, &catalog, names, observer)?;
    let assigned = found.assign(&catalog)?;
    if names == Names::Unmistakable {
        check_files(selector, &catalog, &assigned)?;
    }
    name_what_is_not_read(&assigned, observer);
    let plan = plan::build(&catalog, selector, &assigned);
    for job in plan.jobs().filter(|job| job.turn.create == BEFORE_ALL) {
        let name = job.turn.resource.label();
        observer.log(Level::Info, &format!("{name} is not among the API's dependencies: it comes before all others"));
    }
    let resources: FxHashSet<&Resource> = plan.jobs().map(|job| &job.turn.resource).collect();
    let wanted = |resource: &Resource| depth == Depth::Whole || resources.contains(resource);
    let model = model(&source, wanted, observer);
    if let Some(model) = &model {
        plan.jobs().for_each(|job| tell_of_key(&job.turn.resource, model, observer));
    }
    let natural = |job: &Job| Natural::of(model.as_ref()?.get(&job.turn.resource)?);
    let natural = plan.jobs().map(natural).collect();
    Ok(Prepared { api, plan, model, natural })
}

/// So many entries that are not read are named.
const SHOWN: usize = 20;

fn name_what_is_not_read(assigned: &Assigned, observer: &mut dyn Observer) {
    let unused = assigned.unused.len();
    for unused in assigned.unused.iter().take(SHOWN) {
        observer.log(Level::Warning, &format!("{} is not read: it {}", unused.path.display(), unused.why));
    }
    if unused > SHOWN {
        observer.log(Level::Warning, &format!("{} more are not read either", text::count((unused - SHOWN) as u64)));
    }
    assigned.notes.iter().for_each(|note| observer.log(Level::Info, note));
    for (path, why) in &assigned.left_out {
        observer.log(Level::Warning, &format!("{} is left out: {why}", path.display()));
    }
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
fn model(source: &Source, wanted: impl Fn(&Resource) -> bool, observer: &mut dyn Observer) -> Option<Model> {
    if source.endpoints.is_empty() {
        return None;
    }
    let model = Model::compile_some(source, wanted);
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
    /// Every resource that the API has.
    pub catalog: Catalog,
}

/// Reaches the API for its metadata and puts the selected resources in order.
pub fn choose(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Chosen> {
    chosen(config, selector, Names::AsConfigured, observer, interrupt)
}

/// As [`choose`], but a name that may mean several resources is an error.
pub fn choose_to_delete(
    config: &Config,
    selector: &Selector,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Chosen> {
    chosen(config, selector, Names::Unmistakable, observer, interrupt)
}

fn chosen(
    config: &Config,
    selector: &Selector,
    names: Names,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Chosen> {
    let api = reach(config, interrupt, observer)?;
    api.check_privacy()?;
    let mut collections = collections(&api, observer)?;
    let catalog = catalog(config, &api, collections.keys().cloned());
    check(selector, &catalog, names, observer)?;
    let turns = catalog.selected(selector);
    let resources = turns.iter().map(|turn| turn.resource.clone());
    let resources = resources.map(|resource| (resource.clone(), collections.remove(&resource))).collect();
    Ok(Chosen { api, resources, turns, catalog })
}

fn reach(config: &Config, interrupt: &Interrupt, observer: &mut dyn Observer) -> Result<Api> {
    let api = Api::connect(config, interrupt, &mut |text| observer.log(Level::Warning, &text))?;
    let urls = api.urls();
    observer.log(Level::Info, &format!("the API at {} takes data at {}", config.api.base_url, urls.data));
    observer.log(Level::Debug, &format!("the API gives tokens at {}", urls.oauth));
    Ok(api)
}

/// A warning if part of the selector matches nothing: the rest is meant all the same. An error if nothing remains, or
/// where something is to be deleted, because a mistyped name would then delete more than was meant, or other things.
/// The same if a name may mean several resources and must not. Elsewhere it is said what such a part means.
fn check(selector: &Selector, catalog: &Catalog, names: Names, observer: &mut dyn Observer) -> Result<()> {
    let known = catalog.all().map(|(turn, bare)| (&turn.resource, bare));
    let unknown = selector.unknown(known);
    let nothing_remains = catalog.selected(selector).is_empty();
    for pattern in &unknown {
        let text = format!("the selector {pattern} matches no resource{}", catalog.hint(pattern));
        match names {
            Names::AsConfigured if !nothing_remains => observer.warn(&text),
            Names::AsConfigured => return Err(Error::usage(text)),
            Names::Unmistakable => return Err(Error::usage(format!("{text}, and nothing is deleted"))),
        }
    }
    for (name, resources) in catalog.ambiguous() {
        let ways = ways(resources);
        for pattern in selector.without_namespace(name) {
            if names == Names::Unmistakable {
                let text =
                    format!("the selector {pattern} may mean several resources, and nothing is deleted: write {ways}");
                return Err(Error::usage(text));
            }
            if !pattern.contains('*') {
                let (level, text) = match catalog.meaning(name) {
                    Meaning::One(turn) => (Level::Info, format!("{pattern} means {}, of {ways}", turn.resource)),
                    _ => (Level::Warning, format!("{pattern} means all of that name: write {ways} to name one")),
                };
                observer.log(level, &format!("the selector {text}"));
            }
        }
    }
    Ok(())
}

/// An error if a file whose name has no namespace may be of a selected resource or of another one.
fn check_files(selector: &Selector, catalog: &Catalog, assigned: &Assigned) -> Result<()> {
    for (name, resources) in catalog.ambiguous() {
        let Some(file) = assigned.ambiguous.get(name) else { continue };
        if resources.iter().any(|resource| selector.selects(resource, catalog.bare(resource))) {
            let (file, ways) = (file.display(), ways(resources));
            let text = format!("{file} may be of several resources, and nothing is deleted: move it to {ways}");
            return Err(Error::usage(text));
        }
    }
    Ok(())
}

/// Every resource that can be addressed: those of the dependencies, and `others`, which the OpenAPI documents or overrides know.
fn catalog(config: &Config, api: &Api, others: impl Iterator<Item = Resource>) -> Catalog {
    let scope = Scope { namespace: &config.namespace, overrides: &config.namespace_overrides };
    let turns = api.dependencies().iter().filter_map(|dependency| {
        let create = dependency.create?;
        let update = dependency.update.filter(|update| *update > create);
        Some(Turn { resource: dependency.resource.clone(), create, update })
    });
    let mut catalog = Catalog::new(scope, turns);
    catalog.add_unordered(scope, others);
    let overridden = config.namespace_overrides.iter();
    let overridden = overridden.flat_map(|(namespace, names)| names.iter().map(|name| Resource::new(namespace, name)));
    catalog.add_unordered(scope, overridden);
    catalog
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
