//! Profiles: which members of a resource a caller sees and writes, and by which media types requests name them.
//!
//! As an ODS/API has it: of the profiles that are assigned to the caller and cover the resource, one alone applies by itself; of several the
//! request must name one, `Accept` where it reads, `Content-Type` where it writes. Without assigned profiles any can be named. Members that a
//! profile leaves out are not shown, and what is sent of them is dropped. The members of the natural key are never left out.

pub mod document;

use fxhash::{FxHashMap, FxHashSet};

use super::claims::{Claims, Members};
use super::problem::{Denied, Problem};
use crate::error::Result;
use crate::model::{Definition, Model};
use crate::nearest::nearest;

/// What a profile leaves out of a resource.
pub type Hidden = FxHashSet<Box<str>>;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It reads.
    Readable,
    /// It writes.
    Writable,
}

/// The profiles of an API, and which of them the caller has.
#[derive(Default)]
pub struct Profiles {
    /// In the order of their names.
    all: Vec<Profile>,
    /// Positions in `all`.
    assigned: Vec<usize>,
}

/// A profile.
pub struct Profile {
    /// As the claims spell it.
    pub name: String,
    /// By the positions of the resources that it covers.
    pub covers: FxHashMap<usize, Covers>,
}

/// What a profile leaves out of a resource, by usage; `None` where that cannot be done under it.
#[derive(Default)]
pub struct Covers {
    readable: Option<Hidden>,
    writable: Option<Hidden>,
}

/// The profile under which a request is carried out.
#[derive(Clone, Copy)]
pub struct Applied<'p> {
    /// Which it is.
    pub profile: &'p Profile,
    /// What it leaves out.
    pub hidden: &'p Hidden,
}

impl Usage {
    fn name(self) -> &'static str {
        match self {
            Usage::Readable => "readable",
            Usage::Writable => "writable",
        }
    }

    fn header(self) -> &'static str {
        match self {
            Usage::Readable => "Accept",
            Usage::Writable => "Content-Type",
        }
    }
}

impl Covers {
    /// What is left out where a resource is used so.
    pub fn hidden(&self, usage: Usage) -> Option<&Hidden> {
        match usage {
            Usage::Readable => self.readable.as_ref(),
            Usage::Writable => self.writable.as_ref(),
        }
    }
}

impl Profile {
    /// The media type of a resource under it.
    pub fn media_type(&self, definition: &Definition, usage: Usage) -> String {
        let (namespace, entity) = (definition.resource.namespace(), definition.body.entity());
        format!("application/vnd.{namespace}.{entity}.{}.{}+json", self.name, usage.name()).to_lowercase()
    }
}

impl Profiles {
    /// Those that the claims define, and those that they assign without a definition: these cover everything wholly. An error names a
    /// resource or a member that the model does not have.
    pub fn new(claims: &Claims, model: &Model) -> Result<Profiles> {
        let mut all = Vec::new();
        for (name, resources) in &claims.profiles {
            let mut covers = FxHashMap::default();
            for (resource, coverage) in resources {
                let is = |d: &Definition| d.resource.name() == resource || d.resource.to_string() == *resource;
                let Some(position) = model.definitions().iter().position(is) else {
                    let near = nearest(resource, model.definitions().iter().map(|d| d.resource.name()));
                    let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                    return Err(claims.fault(resource, &format!("the API has no resource {resource}{hint}")));
                };
                let definition = &model.definitions()[position];
                let hidden = |members: &Option<Members>| {
                    members.as_ref().map(|members| hidden(members, definition, claims)).transpose()
                };
                let of = Covers { readable: hidden(&coverage.read)?, writable: hidden(&coverage.write)? };
                covers.insert(position, of);
            }
            all.push(Profile { name: name.clone(), covers });
        }
        for name in &claims.assigned_profiles {
            if !all.iter().any(|profile| profile.name.eq_ignore_ascii_case(name)) {
                let whole = || Covers { readable: Some(Hidden::default()), writable: Some(Hidden::default()) };
                let covers = (0..model.definitions().len()).map(|position| (position, whole())).collect();
                all.push(Profile { name: name.clone(), covers });
            }
        }
        let is_assigned = |profile: &Profile| {
            claims.assigned_profiles.iter().any(|assigned| assigned.eq_ignore_ascii_case(&profile.name))
        };
        let assigned = (0..all.len()).filter(|at| is_assigned(&all[*at])).collect();
        Ok(Profiles { all, assigned })
    }

    /// All of them.
    pub fn all(&self) -> &[Profile] {
        &self.all
    }

    /// The names of those that the caller has.
    pub fn assigned(&self) -> impl Iterator<Item = &str> {
        self.assigned.iter().map(|&at| &*self.all[at].name)
    }

    /// The profile under which a request for the resource at `position` is carried out. `header` is what it says in the header of its usage.
    pub fn applied(
        &self,
        position: usize,
        definition: &Definition,
        usage: Usage,
        header: Option<&str>,
    ) -> Result<Option<Applied<'_>>, Problem> {
        // What every request but few meets.
        if self.all.is_empty() && !header.is_some_and(|header| header.contains("/vnd.")) {
            return Ok(None);
        }
        let applied = |profile: &'_ Profile| profile.covers.get(&position).and_then(|of| of.hidden(usage)).is_some();
        let relevant: Vec<&Profile> = self.assigned.iter().map(|&at| &self.all[at]).filter(|p| applied(p)).collect();
        let types = header.into_iter().flat_map(|header| header.split(','));
        let media_type = |text: &'_ str| text.split(';').next().unwrap_or_default().trim().to_lowercase();
        let named = types.map(media_type).find(|text| text.starts_with("application/vnd."));
        let profile = match (named, &relevant[..]) {
            (None, []) => return Ok(None),
            (None, [one]) => one,
            (None, several) => return Err(must_name(several, definition, usage)),
            (Some(named), _) => {
                let profile = self.named(&named, position, definition, usage)?;
                if !relevant.is_empty() && !relevant.iter().any(|assigned| assigned.name == profile.name) {
                    return Err(must_name(&relevant, definition, usage));
                }
                profile
            }
        };
        let hidden = profile.covers.get(&position).and_then(|of| of.hidden(usage));
        Ok(hidden.map(|hidden| Applied { profile, hidden }))
    }

    /// The profile that a media type names.
    fn named(
        &self,
        media_type: &str,
        position: usize,
        definition: &Definition,
        usage: Usage,
    ) -> Result<&Profile, Problem> {
        let header = usage.header();
        let parts = media_type.strip_prefix("application/vnd.").and_then(|rest| rest.strip_suffix("+json"));
        let parts = parts.and_then(|rest| {
            let (names, usage) = rest.rsplit_once('.')?;
            let (namespace, rest) = names.split_once('.')?;
            let (entity, profile) = rest.split_once('.')?;
            Some((namespace, entity, profile, usage))
        });
        let Some((namespace, entity, profile, used)) = parts else {
            return Err(invalid(400, format!("The {header} '{media_type}' is no media type of a profile.")));
        };
        if used != usage.name() {
            return Err(invalid(400, format!("The media type in {header} must be {}, and is {used}.", usage.name())));
        }
        let Some(found) = self.all.iter().find(|known| known.name.to_lowercase() == profile) else {
            let status = if usage == Usage::Readable { 406 } else { 415 };
            return Err(invalid(status, format!("This host has no profile '{profile}', which the {header} names.")));
        };
        let wanted = (definition.resource.namespace().to_lowercase(), definition.body.entity().to_lowercase());
        if (namespace, entity) != (&*wanted.0, &*wanted.1) {
            return Err(invalid(400, format!("The {header} is for '{entity}', and the request for '{}'.", wanted.1)));
        }
        match found.covers.get(&position) {
            None => Err(invalid(400, format!("The profile '{}' does not cover '{}'.", found.name, wanted.1))),
            Some(covers) if covers.hidden(usage).is_none() => Err(Problem::Denied(Denied {
                status: 405,
                urn: "profile:method-usage",
                title: "Method Not Allowed with Profile",
                detail: "The profile does not allow this use of the resource.",
                error: format!("'{}' is not {} under the profile '{}'.", wanted.1, usage.name(), found.name),
            })),
            Some(_) => Ok(found),
        }
    }
}

/// What these members leave out. An error names one that the resource does not have.
fn hidden(members: &Members, definition: &Definition, claims: &Claims) -> Result<Hidden> {
    let properties = || definition.body.properties.iter().map(|property| &*property.name);
    let named = members.include.iter().chain(&members.exclude).flatten();
    for name in named {
        if definition.body.property(name).is_none() {
            let near = nearest(name, properties()).map_or(String::new(), |near| format!("; did you mean {near}?"));
            return Err(claims.fault(name, &format!("{} have no member {name}{near}", definition.resource.name())));
        }
    }
    let has = |list: &Option<Vec<String>>, name: &str| list.as_ref().map(|list| list.iter().any(|n| n == name));
    let key = |name: &str| {
        let first = |path: &crate::edfi::key::Path| path.names().first().is_some_and(|first| **first == *name);
        definition.key().any(|part| part.paths.iter().any(first))
    };
    let is_out = |name: &&str| {
        !key(name) && (has(&members.exclude, name) == Some(true) || has(&members.include, name) == Some(false))
    };
    Ok(properties().filter(is_out).map(Box::from).collect())
}

fn invalid(status: u16, error: String) -> Problem {
    Problem::Denied(Denied {
        status,
        urn: "profile:invalid-profile-usage",
        title: "Invalid Profile Usage",
        detail: "The request does not name a profile as it should.",
        error,
    })
}

fn must_name(profiles: &[&Profile], definition: &Definition, usage: Usage) -> Problem {
    let types: Vec<String> = profiles.iter().map(|profile| profile.media_type(definition, usage)).collect();
    Problem::Denied(Denied {
        status: 403,
        urn: "security:data-policy:incorrect-usage",
        title: "Data Policy Failure Due to Incorrect Usage",
        detail: "Profiles are assigned to the caller, and the request does not name one of them.",
        error: format!("The {} must be one of these: '{}'.", usage.header(), types.join("', '")),
    })
}

/// Why nothing can be created under a profile that leaves out what is required.
pub fn cannot_create(profile: &Profile) -> Problem {
    Problem::Denied(Denied {
        status: 400,
        urn: "data-policy-enforced",
        title: "Data Policy Enforced",
        detail: "The data cannot be saved under the profile that is applied to it.",
        error: format!("The profile '{}' leaves out what a new item requires.", profile.name),
    })
}
