//! What the caller may do: the claims of a file, or anything where there is none.
//!
//! Held are the operations on resources and the prefixes of namespaces: those of descriptors, and of assessments and what belongs to them,
//! which is what an ODS/API authorizes by namespace as it is shipped. Education organizations are only told; relationships are not checked.

use std::borrow::Cow;

use fxhash::FxHashMap;
use serde_json::{Value, json};

use super::claims::{Claims, Organization};
use super::problem::{Denied, Problem};
use super::profiles::Profiles;
use crate::error::Result;
use crate::model::{Definition, Model};
use crate::resource::Resource;

/// What is told of a caller whom nothing restricts: every namespace of Ed-Fi begins so.
const ANY_NAMESPACE: &str = "uri://";
const OPERATIONS: [&str; 4] = ["Create", "Read", "Update", "Delete"];
/// Resources besides descriptors that are authorized by namespace.
const OF_NAMESPACE: [&str; 5] = [
    "assessments",
    "assessmentItems",
    "assessmentScoreRangeLearningStandards",
    "objectiveAssessments",
    "studentAssessments",
];

/// Whoever has a token.
#[derive(Default)]
pub struct Caller {
    claims: Claims,
    /// By the positions of the resources; `None`: anything.
    operations: Option<FxHashMap<usize, Vec<String>>>,
    /// The profiles of the API, and the caller's.
    pub profiles: Profiles,
}

impl Caller {
    /// The caller whom these claims describe to an API of this model. Errors as of [`Profiles::new`].
    pub fn new(claims: Claims, model: &Model) -> Result<Caller> {
        let operations = claims.resources.as_ref().map(|listed| {
            let position = |path: &str| model.definitions().iter().position(|d| format!("/{}", d.resource) == path);
            // A real API may have more resources than the sandbox.
            listed.iter().filter_map(|entry| Some((position(&entry.resource)?, entry.operations.clone()))).collect()
        });
        let profiles = Profiles::new(&claims, model)?;
        Ok(Caller { claims, operations, profiles })
    }

    /// Whether any of some operations on the resource at `position` is among the claims.
    pub fn may<'o>(&self, position: usize, wanted: impl FnOnce() -> &'o [&'o str]) -> Result<(), Problem> {
        let Some(claimed) = &self.operations else { return Ok(()) };
        let operations = claimed.get(&position).ok_or(Problem::AccessDenied)?;
        let wanted = wanted();
        if operations.iter().any(|claimed| wanted.contains(&claimed.as_str())) {
            return Ok(());
        }
        let wanted = wanted.join(" or ");
        Err(Problem::Denied(Denied {
            status: 403,
            urn: "security:authorization:access-denied:action",
            title: "Authorization Denied",
            detail: "Access to the resource could not be authorized.",
            error: format!("The caller's claim set does not allow the action {wanted} on this resource."),
        }))
    }

    /// Whether the namespace of an item is one that the caller may write.
    pub fn may_write<'p>(&self, resource: &Resource, payload: impl FnOnce() -> Cow<'p, Value>) -> Result<(), Problem> {
        let Some(prefixes) = &self.claims.namespace_prefixes else { return Ok(()) };
        if !resource.is_descriptor() && !OF_NAMESPACE.contains(&resource.name()) {
            return Ok(());
        }
        let payload = payload();
        let own = ["/namespace", "/assessmentReference/namespace", "/objectiveAssessmentReference/namespace"];
        let Some(namespace) = own.iter().find_map(|path| payload.pointer(path)?.as_str()) else { return Ok(()) };
        if prefixes.iter().any(|prefix| namespace.starts_with(prefix.as_str())) {
            return Ok(());
        }
        let (urn, error) = match prefixes.is_empty() {
            true => (
                "security:authorization:namespace:invalid-client:no-namespaces",
                "The caller has no namespace prefixes.".to_owned(),
            ),
            false => (
                "security:authorization:namespace:access-denied:namespace-mismatch",
                format!(
                    "The 'Namespace' '{namespace}' begins with none of the caller's namespace prefixes: '{}'.",
                    prefixes.join("', '")
                ),
            ),
        };
        let detail = "Access to the data could not be authorized by its namespace.";
        Err(Problem::Denied(Denied { status: 403, urn, title: "Authorization Denied", detail, error }))
    }

    /// The answer to a question about a token: the claims, and what is told of those that are not restricted. `all` are the education
    /// organizations that there are, `named` what is known of one by its id.
    pub fn token_info(
        &self,
        client: &str,
        definitions: &[Definition],
        forbidden: impl Fn(usize) -> bool,
        all: impl FnOnce() -> Vec<Value>,
        named: impl Fn(i64) -> Value,
    ) -> Value {
        let Claims { namespace_prefixes, assigned_profiles, claim_set, services, .. } = &self.claims;
        let organizations = match &self.claims.education_organizations {
            None => all(),
            Some(listed) => listed
                .iter()
                .map(|organization| match organization {
                    Organization::Id(id) => named(*id),
                    Organization::Told(told) => told.clone().into(),
                })
                .collect(),
        };
        let operations = |position: usize| match &self.operations {
            _ if forbidden(position) => None,
            None => Some(json!(OPERATIONS)),
            Some(claimed) => Some(json!(claimed.get(&position)?)),
        };
        let resources = (0..).zip(definitions).filter_map(|(position, definition)| {
            Some(json!({"resource": format!("/{}", definition.resource), "operations": operations(position)?}))
        });
        json!({
            "active": true,
            "client_id": client,
            "namespace_prefixes": namespace_prefixes.clone().unwrap_or_else(|| vec![ANY_NAMESPACE.into()]),
            "education_organizations": organizations,
            "assigned_profiles": assigned_profiles,
            "claim_set": claim_set.clone().unwrap_or_else(|| json!({"name": "Sandbox"})),
            "resources": resources.collect::<Vec<_>>(),
            "services": services.clone().unwrap_or_else(|| json!([]))
        })
    }
}
