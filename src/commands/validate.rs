//! `lightbeam validate` and `lightbeam validate+send`: what the API would refuse is told, and not sent.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::SystemTime;

use jiff::Zoned;

use super::prepare::{Prepared, prepare_to_validate};
use super::send;
use crate::check::{Checkers, Method};
use crate::cli::Run;
use crate::config::{Config, Level};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::nearest::nearest;
use crate::observer::Observer;
use crate::plan::Plan;
use crate::pool;
use crate::report::Summary;
use crate::resource::Resource;
use crate::results::Stopped;
use crate::selector::{Bare, Selector};
use crate::state::resend::Resend;
use crate::text;
use crate::validate::descriptors::{Known, mentioned};
use crate::validate::findings::Invalid;
use crate::validate::inspect::Inspector;
use crate::validate::remote::Remote;
use crate::validate::report::Report;
use crate::validate::{Validated, Validation};

/// Validates the selected resources.
pub fn run(config: &Config, selector: &Selector, observer: &mut dyn Observer, interrupt: &Interrupt) -> Result<Report> {
    report(config, &prepare_to_validate(config, selector, observer, interrupt)?, observer, interrupt)
}

/// Validates, and sends what is due and valid. No summary where nothing was to be sent: the validation stopped early, or `--strict` forbids it.
pub fn and_send(
    config: &Config,
    run: &Run,
    resend: &Resend,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<(Report, Option<Summary>)> {
    let prepared = prepare_to_validate(config, &run.selection, observer, interrupt)?;
    let before = stamps(&prepared.plan);
    let mut report = report(config, &prepared, observer, interrupt)?;
    let invalid = report.total().invalid;
    if run.strict && invalid > 0 && report.stopped.is_none() {
        let why = format!("{} invalid, and --strict then sends nothing", text::counted(invalid, "payload"));
        let exit = report.exit(run.partial_ok);
        report.stopped = Some(Stopped { exit, why });
    }
    if report.stopped.is_none() && stamps(&prepared.plan) != before {
        let why = "a file was changed while the load was validated, and nothing was sent: run again".into();
        report.stopped = Some(Stopped { exit: Exit::GivenUp, why });
    }
    if report.stopped.is_some() {
        return Ok((report, None));
    }
    let invalid = Invalid::of(report.resources.iter().map(|(_, tally)| tally));
    match send::prepared_load(config, &prepared, &invalid, resend, observer, interrupt) {
        Ok(summary) => Ok((report, Some(summary))),
        Err(error) if matches!(error.exit(), Exit::Usage | Exit::Locked) => Err(error),
        Err(error) => {
            report.stopped = Some(Stopped::for_error(&error));
            Ok((report, None))
        }
    }
}

/// By what it shows that a file is not what it was: lengths and times of all files.
fn stamps(plan: &Plan) -> Vec<Option<(u64, SystemTime)>> {
    let stamp = |file: &Arc<Path>| {
        let known = fs::metadata(file).ok()?;
        Some((known.len(), known.modified().ok()?))
    };
    plan.jobs().flat_map(|job| &job.files).map(stamp).collect()
}

fn report(config: &Config, prepared: &Prepared, observer: &mut dyn Observer, interrupt: &Interrupt) -> Result<Report> {
    let started = Zoned::now();
    let validated = validated(config, prepared, observer, interrupt)?;
    let resources = prepared.plan.jobs().map(|job| job.turn.resource.clone());
    Ok(Report::new(started, resources, validated))
}

fn validated(
    config: &Config,
    prepared: &Prepared,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Validated> {
    let (api, plan, rules) = (&prepared.api, &prepared.plan, &config.validate);
    let none = || Error::api("there is nothing to validate against: the API tells nothing of its resources");
    let model = prepared.model.as_ref().ok_or_else(none)?;
    check_selector(&rules.references.to, model)?;
    let does = |method: Method| rules.methods.contains(&method);
    let offline = config.metadata_file.is_some();
    let remote = does(Method::References) && rules.references.remote && !offline;
    if !offline && (remote || does(Method::Descriptors)) {
        api.check_privacy()?;
    }
    let asking = pool::workers(config.connection.pool_size, config.connection.memory)?;
    let mut unchecked = Vec::new();

    let checkers = Checkers::of_api(model.definitions(), rules.tolerance(api.discovery()));
    let checkers_of_jobs: Vec<_> = plan.jobs().map(|job| checkers.get(&job.turn.resource)).collect();
    for (job, checker) in plan.jobs().zip(&checkers_of_jobs) {
        let name = job.turn.resource.label();
        let Some(checker) = checker else {
            let why = model.fault(&job.turn.resource).map_or_else(
                || format!("{name} is not in the API's documents"),
                |fault| format!("what the API's documents say of {name} is broken ({fault})"),
            );
            unchecked.push(format!("{why}: its lines were read as JSON only"));
            continue;
        };
        if let (Some(Err(why)), true) = (model.get(&job.turn.resource).map(|d| &d.natural), does(Method::Uniqueness)) {
            unchecked.push(format!("the natural keys of {name} were not checked: {why}"));
        }
        if does(Method::Schema) {
            unchecked.extend(checker.unchecked().iter().cloned());
        }
    }
    let values = match does(Method::Descriptors) {
        true => {
            let definitions = plan.jobs().filter_map(|job| model.get(&job.turn.resource));
            let mut warn = |text: String| observer.log(Level::Warning, &text);
            Some(api.descriptor_values(mentioned(definitions), &asking, &mut warn)?)
        }
        false => None,
    };
    let known = Known::new(values, plan);
    if does(Method::Descriptors) && !known.is_told() && plan.jobs().next().is_some() {
        let text = "no descriptor values of the API are known: whether a descriptor exists was checked only where the \
                    load's own files have values of its namespace";
        unchecked.push(text.into());
    }
    let inspector = Inspector { rules, checkers: checkers_of_jobs, known: &known };
    let enough = rules.references.max_failures;
    let remote = remote.then_some(Remote { api, pool: &asking, checkers: &checkers, interrupt, enough });
    let pool = pool::workers(available_parallelism().map_or(1, NonZero::get), config.connection.memory)?;
    let is_organization = |resource: &Resource| model.get(resource).is_some_and(|known| known.is_organization);
    let validation = Validation { plan, inspector, remote, is_organization: &is_organization, pool: &pool, interrupt };
    let mut validated = validation.run(observer)?;
    unchecked.append(&mut validated.unchecked);
    Ok(Validated { unchecked, ..validated })
}

fn check_selector(to: &Selector, model: &Model) -> Result<()> {
    let resources = || model.definitions().iter().map(|definition| &definition.resource);
    let unknown = to.unknown(resources().map(|resource| (resource, Bare::This)));
    let Some(pattern) = unknown.first() else { return Ok(()) };
    let meant = nearest(pattern, resources().map(|resource| resource.name()))
        .map_or(String::new(), |near| format!("; did you mean {near}?"));
    let message = format!("validate.references.selector: {pattern} matches no resource{meant}");
    Err(Error::usage(message))
}
