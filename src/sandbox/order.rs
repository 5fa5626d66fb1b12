//! The order in which resources are loaded: as documents tell it, or derived from references where they do not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::{Dependency, Model};
use crate::resource::Resource;

/// The document, in the order of its tiers. A person comes twice: to be created, and later to be updated.
pub fn document(dependencies: &[Dependency]) -> Value {
    let entries =
        |d: &Dependency| d.turns().into_iter().map(|turn| (turn.0, d.resource.clone(), turn.1)).collect::<Vec<_>>();
    let mut sorted: Vec<_> = dependencies.iter().flat_map(entries).collect();
    sorted.sort();
    let entry = |(order, resource, operations)| json!({"resource": format!("/{resource}"), "order": order, "operations": operations});
    sorted.into_iter().map(entry).collect()
}

/// `known` without what the model does not have, and with what is missing there: each resource above all that it refers to.
///
/// References of a resource to itself do not count, and where resources refer to each other, only required references do.
/// `schoolYearTypes` is left out, as the ODS/API leaves it out.
pub fn complete(model: &Model, known: &[Dependency]) -> Vec<Dependency> {
    let mut all: Vec<Dependency> = known.iter().filter(|d| model.get(&d.resource).is_some()).cloned().collect();
    let mut orders: BTreeMap<Resource, u32> = BTreeMap::new();
    orders.extend(all.iter().filter_map(|dependency| Some((dependency.resource.clone(), dependency.create?))));
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
            all.push(Dependency { resource, create: Some(order), update: Some(order) });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dependencies::sorted;
    use crate::model::compact;

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
        dependencies.iter().map(|d| (d.resource.name(), d.create.unwrap())).collect()
    }

    #[test]
    fn what_is_not_known_comes_above_what_it_refers_to() {
        let (source, _) = compact::read(TEXT).unwrap();
        let model = Model::compile(&source).unwrap();
        let derived = complete(&model, &[]);
        let expected = [("firsts", 2), ("schools", 2), ("seconds", 3), ("termDescriptors", 1), ("weeks", 3)];
        assert_eq!(orders(&derived), BTreeMap::from(expected));
        let known = sorted(
            "the test",
            &[
                json!({"resource": "/ed-fi/schools", "order": 5, "operations": ["Create"]}),
                json!({"resource": "/ed-fi/schools", "order": 9, "operations": ["Update"]}),
                json!({"resource": "/ed-fi/unheardOf", "order": 5, "operations": ["Create"]}),
            ],
        );
        let completed = complete(&model, &known.unwrap());
        assert_eq!(orders(&completed)["weeks"], 6, "above the order that creates schools");
        assert!(completed.iter().any(|d| d.resource.name() == "schools" && d.update == Some(9)));
        assert!(completed.iter().all(|d| d.resource.name() != "unheardOf"));
    }

    #[test]
    fn a_document_that_is_written_reads_the_same() {
        let entries = [
            json!({"resource": "/ed-fi/students", "order": 3, "operations": ["Create"]}),
            json!({"resource": "/ed-fi/schools", "order": 5, "operations": ["Create", "Update"]}),
            json!({"resource": "/ed-fi/students", "order": 14, "operations": ["Update"]}),
        ];
        assert_eq!(document(&sorted("the test", &entries).unwrap()), json!(entries));
    }
}
