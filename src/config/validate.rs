//! The keys below `validate`, which say what validation checks.

use serde_json::Value;

use super::faults::Fault;
use super::settings::Settings;
use crate::check::Method;
use crate::edfi::tolerance::{Product, Tolerance};
use crate::nearest::nearest;
use crate::selector::Selector;

/// What validation checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validate {
    /// In which ways. What is no JSON is told whatever they are.
    pub methods: Vec<Method>,
    /// What a property is that the API does not know.
    pub unknown_properties: Unknown,
    /// What the API is; `None`: its discovery document tells.
    pub api: Option<Product>,
    /// Whether it is a fault what the documents forbid and the API takes all the same.
    pub strict: bool,
    /// After how many invalid payloads no more are read.
    pub max_failures: Option<u64>,
    /// Which references are checked, and where.
    pub references: References,
}

impl Validate {
    /// How the API with this discovery document departs from its documents.
    pub fn tolerance(&self, discovery: Option<&Value>) -> Tolerance {
        let product = self.api.unwrap_or_else(|| discovery.map_or(Product::Unknown, Product::of_discovery));
        if self.strict { product.tolerance().strict() } else { product.tolerance() }
    }
}

/// What a property is that the API does not know, and so drops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// A fault.
    Error,
    /// A warning.
    #[default]
    Warn,
    /// Nothing to be told.
    Ignore,
}

/// Which references are checked, and where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// Those to resources of these names; an abstract reference if any of its resources is among them.
    pub to: Selector,
    /// Whether the API is asked for what no local file has.
    pub remote: bool,
    /// After how many references to nothing the run stops.
    pub max_failures: Option<u64>,
}

/// Reads them.
pub(super) fn read(settings: &Settings) -> Result<Validate, Fault> {
    let names: Vec<String> = settings.need("validate.references.selector")?;
    let (all, names) = (names.iter().any(|name| name == "*"), names.join(","));
    let behavior: String = settings.need("validate.references.behavior")?;
    let to = match behavior.as_str() {
        _ if all => Selector::default(),
        "include" => Selector::new(Some(&names), None),
        _ => Selector::new(None, Some(&names)),
    };
    let unknown: String = settings.need("validate.unknown_properties")?;
    let api: String = settings.need("validate.api")?;
    Ok(Validate {
        methods: methods(settings)?,
        unknown_properties: match unknown.as_str() {
            "error" => Unknown::Error,
            "ignore" => Unknown::Ignore,
            _ => Unknown::Warn,
        },
        api: match api.as_str() {
            "ods" => Some(Product::Ods),
            "dms" => Some(Product::Dms),
            _ => None,
        },
        strict: settings.need("validate.strict")?,
        max_failures: settings.get("validate.max_failures"),
        references: References {
            to,
            remote: settings.need("validate.references.remote")?,
            max_failures: settings.get("validate.references.max_failures"),
        },
    })
}

fn methods(settings: &Settings) -> Result<Vec<Method>, Fault> {
    const KEY: &str = "validate.methods";
    let names: Vec<String> = settings.need(KEY)?;
    if names.iter().any(|name| name == "*") {
        return Ok(Method::ALL.to_vec());
    }
    let method = |name: &String| {
        let known = Method::ALL.into_iter().find(|method| method.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| {
            let meant = nearest(name, Method::ALL.map(Method::name));
            let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
            let all = Method::ALL.map(Method::name).join(", ");
            settings.fault(KEY, &format!("'{name}' is none of {all}{meant}"))
        })
    };
    names.iter().map(method).collect()
}
