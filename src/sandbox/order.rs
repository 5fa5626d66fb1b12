//! The order in which resources are loaded: as documents tell it, or derived from references where they do not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::resource::Resource;

/// An entry of the dependencies. A person has two: one to create, a later one to update.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// What is loaded.
    pub resource: Resource,
    /// The tier, from 1.
    pub order: u32,
    /// `Create`, `Update` or both.
    pub operations: Vec<String>,
}

/// Reads the document of dependencies.
pub fn read(document: &Value) -> Result<Vec<Dependency>> {
    let entry = |entry: &Value| {
        let operations = entry["operations"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let order = u32::try_from(entry["order"].as_u64()?).ok()?;
        Some(Dependency { resource: Resource::from_path(entry["resource"].as_str()?)?, order, operations })
    };
    let entries = document.as_array().and_then(|entries| entries.iter().map(entry).collect());
    entries
        .ok_or_else(|| Error::usage("not a document of dependencies: each entry needs resource, order and operations"))
}

/// The document, in the order of its tiers.
pub fn document(dependencies: &[Dependency]) -> Value {
    let mut sorted: Vec<&Dependency> = dependencies.iter().collect();
    sorted.sort_by_key(|dependency| (dependency.order, &dependency.resource));
    let entry =
        |d: &Dependency| json!({"resource": format!("/{}", d.resource), "order": d.order, "operations": d.operations});
    sorted.into_iter().map(entry).collect()
}

/// `known` without what the model does not have, and with what is missing there: each resource above all that it refers to.
///
/// References of a resource to itself do not count, and where resources refer to each other, only required references do.
/// `schoolYearTypes` is left out, as the ODS/API leaves it out.
pub fn complete(model: &Model, known: &[Dependency]) -> Vec<Dependency> {
    let mut all: Vec<Dependency> = known.iter().filter(|d| model.get(&d.resource).is_some()).cloned().collect();
    let mut orders: BTreeMap<Resource, u32> = BTreeMap::new();
    for dependency in all.iter().filter(|d| d.operations.iter().any(|operation| operation == "Create")) {
        orders.insert(dependency.resource.clone(), dependency.order);
    }
    let school_years = |resource: &Resource| resource.name() == "schoolYearTypes";
    let mut missing: BTreeMap<Resource, Vec<(Resource, bool)>> = BTreeMap::new();
    for definition in model.definitions().iter().filter(|definition| !orders.contains_key(&definition.resource)) {
        let targets = definition.references().into_iter().flat_map(|referral| {
            let required = referral.required;
            referral.reference.targets.iter().map(move |target| (target.resource.clone(), required)).collect::<Vec<_>>()
        });
        let others = targets.filter(|(target, _)| *target != definition.resource && !school_years(target)).collect();
        missing.insert(definition.resource.clone(), others);
    }
    missing.retain(|resource, _| !school_years(resource));
    while !missing.is_empty() {
        let ready = |binding: fn(bool) -> bool| -> Vec<Resource> {
            let waits = |targets: &[(Resource, bool)]| {
                targets.iter().any(|(t, required)| binding(*required) && missing.contains_key(t))
            };
            missing.iter().filter(|(_, targets)| !waits(targets)).map(|(resource, _)| resource.clone()).collect()
        };
        let next =
            [ready(|_| true), ready(|required| required), ready(|_| false)].into_iter().find(|ready| !ready.is_empty());
        for resource in next.unwrap_or_default() {
            let targets = missing.remove(&resource).unwrap_or_default();
            let below = targets.iter().filter_map(|(target, _)| orders.get(target)).max();
            let order = if resource.is_descriptor() { 1 } else { below.map_or(2, |below| below + 1) };
            orders.insert(resource.clone(), order);
            all.push(Dependency { resource, order, operations: vec!["Create".into(), "Update".into()] });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::compact;

    const TEXT: &str = "\
schema edFi_school
 schoolId! int64
schema edFi_schoolReference
 schoolId! int64
schema edFi_weekReference
 weekId! int64
schema edFi_week
 weekId! int64
 schoolReference! =edFi_schoolReference
 parentWeekReference =edFi_weekReference
schema edFi_first
 firstId! int64
 secondReference =edFi_secondReference
schema edFi_second
 secondId! int64
 firstReference! =edFi_firstReference
schema edFi_firstReference
 firstId! int64
schema edFi_secondReference
 secondId! int64
schema edFi_termDescriptor
 namespace! string
schema edFi_schoolYearType
 schoolYear! int32
resource ed-fi/weeks edFi_week
 get weekId!
resource ed-fi/schools edFi_school
 get schoolId!
resource ed-fi/firsts edFi_first
 get firstId!
resource ed-fi/seconds edFi_second
 get secondId!
resource ed-fi/termDescriptors edFi_termDescriptor
resource ed-fi/schoolYearTypes edFi_schoolYearType
 get schoolYear!
";

    fn orders(dependencies: &[Dependency]) -> BTreeMap<&str, u32> {
        dependencies.iter().map(|dependency| (dependency.resource.name(), dependency.order)).collect()
    }

    #[test]
    fn what_is_not_known_comes_above_what_it_refers_to() {
        let (source, _) = compact::read(TEXT).unwrap();
        let model = Model::compile(&source).unwrap();
        let derived = complete(&model, &[]);
        let expected = [("firsts", 2), ("schools", 2), ("seconds", 3), ("termDescriptors", 1), ("weeks", 3)];
        assert_eq!(orders(&derived), BTreeMap::from(expected));
        let known = read(&json!([
            {"resource": "/ed-fi/schools", "order": 5, "operations": ["Create"]},
            {"resource": "/ed-fi/schools", "order": 9, "operations": ["Update"]},
            {"resource": "/ed-fi/unheardOf", "order": 5, "operations": ["Create"]}
        ]));
        let completed = complete(&model, &known.unwrap());
        assert_eq!(orders(&completed)["weeks"], 6, "above the order that creates schools");
        assert_eq!(completed.iter().filter(|d| d.resource.name() == "schools").count(), 2);
        assert!(completed.iter().all(|d| d.resource.name() != "unheardOf"));
    }

    #[test]
    fn a_document_that_is_written_reads_the_same() {
        let people = json!([
            {"resource": "/ed-fi/students", "order": 3, "operations": ["Create"]},
            {"resource": "/ed-fi/students", "order": 14, "operations": ["Update"]}
        ]);
        assert_eq!(document(&read(&people).unwrap()), people);
        assert!(read(&json!({"message": "no"})).is_err());
    }
}
