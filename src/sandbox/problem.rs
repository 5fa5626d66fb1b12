//! Why a request is refused, in the two shapes that Ed-Fi APIs use: problem details (RFC 9457) from ODS/API 7.2 on, a message before.

use serde_json::{Map, Value, json};

use super::Shape;
use super::answer::Answer;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// No token, or none that is good (401). The text says which.
    Unauthenticated(&'static str),
    /// The caller may not touch this resource at all (403).
    AccessDenied,
    /// No such resource, item or address (404).
    NotFound,
    /// The resource does not do this (405).
    MethodNotAllowed,
    /// The body is not called JSON (415).
    UnsupportedMediaType,
    /// A body of more than the sandbox takes (413).
    TooLarge,
    /// The body is missing or is not a JSON object (400).
    NotAnObject(String),
    /// The body brings its own `id` (400).
    IdGiven,
    /// Values that cannot be taken, each with its path (400).
    Invalid(Vec<(String, String)>),
    /// `limit` or `offset` out of bounds (400).
    Paging(&'static str),
    /// A reference to an item that does not exist (409), by the name of its entity.
    Unresolved(String),
    /// Another education organization, of this entity, has the same id (409).
    NotUnique(String),
    /// The item cannot be deleted because one of this entity refers to it (409).
    Referenced(String),
    /// Too much at a time (429).
    TooManyRequests,
    /// Something broke (500).
    System,
    /// Not now (503).
    Unavailable,
    /// The caller's claims or profiles do not allow it.
    Denied(Denied),
}

/// What claims or profiles do not allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    /// The HTTP status.
    pub status: u16,
    /// The type, behind `urn:ed-fi:api:`.
    pub urn: &'static str,
    /// The title that belongs to the type.
    pub title: &'static str,
    /// What happened, in general.
    pub detail: &'static str,
    /// What happened to this request.
    pub error: String,
}

impl Problem {
    /// The answer. `correlation_id` is what the client called its request.
    pub fn answer(&self, shape: Shape, correlation_id: &str) -> Answer<'static> {
        let (status, urn, title, detail) = self.facts();
        match shape {
            Shape::New => {
                let mut body = json!({
                    "detail": detail,
                    "type": format!("urn:ed-fi:api:{urn}"),
                    "title": title,
                    "status": status,
                    "correlationId": correlation_id
                });
                if let Problem::Invalid(values) = self {
                    body["validationErrors"] = by_path(values, |path| path.to_owned());
                }
                if let Some(error) = self.error() {
                    body["errors"] = json!([error]);
                }
                let content_type = "application/problem+json; charset=utf-8".into();
                Answer { content_type, ..Answer::json(status, body.to_string().into_bytes()) }
            }
            // An older API says nothing about a missing token but the status.
            Shape::Old if status == 401 => Answer::empty(401),
            Shape::Old => {
                let mut body = json!({"message": self.message()});
                if let Problem::Invalid(values) = self {
                    body["modelState"] = by_path(values, |path| path.replacen('$', "request", 1));
                }
                Answer::json(status, body.to_string().into_bytes())
            }
        }
    }

    /// Status, type (behind `urn:ed-fi:api:`), title and detail.
    fn facts(&self) -> (u16, &'static str, &'static str, String) {
        let (status, urn, title, detail) = match self {
            Problem::Unauthenticated(_) => {
                (401, "security:authentication", "Authentication Failed", "The caller could not be authenticated.")
            }
            Problem::AccessDenied => (
                403,
                "security:authorization:access-denied:resource",
                "Authorization Denied",
                "Access to the resource could not be authorized.",
            ),
            Problem::NotFound => (404, "not-found", "Not Found", "What was asked for does not exist."),
            Problem::MethodNotAllowed => {
                (405, "method-not-allowed", "Method Not Allowed", "The request cannot be made here.")
            }
            Problem::UnsupportedMediaType => {
                (415, "unsupported-media-type", "Unsupported Media Type", "The request cannot be read.")
            }
            Problem::TooLarge => (413, "bad-request", "Content Too Large", "The request body is too large."),
            Problem::NotAnObject(_) => {
                (400, "bad-request", "Bad Request", "The request cannot be processed. See 'errors'.")
            }
            Problem::IdGiven => (
                400,
                "bad-request:data-validation-failed",
                "Data Validation Failed",
                "The request data is not put together as it should be.",
            ),
            Problem::Invalid(_) => (
                400,
                "bad-request:data-validation-failed",
                "Data Validation Failed",
                "The data is not valid. See 'validationErrors'.",
            ),
            Problem::Paging(_) => (
                400,
                "bad-request:parameter-validation-failed",
                "Parameter Validation Failed",
                "A parameter is not valid. See 'errors'.",
            ),
            Problem::Unresolved(entity) => {
                let detail = format!("The referenced '{entity}' item does not exist.");
                return (409, "data-conflict:unresolved-reference", "Unresolved Reference", detail);
            }
            Problem::NotUnique(_) => (
                409,
                "data-conflict:non-unique-identity",
                "Identifying Values Are Not Unique",
                "Another item has the same identifying values.",
            ),
            Problem::Referenced(entity) => {
                let detail = format!("The item cannot be deleted because an existing '{entity}' item refers to it.");
                return (409, "data-conflict:dependent-item-exists", "Dependent Item Exists", detail);
            }
            Problem::Denied(denied) => (denied.status, denied.urn, denied.title, denied.detail),
            Problem::TooManyRequests => (
                429,
                "too-many-requests",
                "Too Many Requests",
                "There are more requests than allowed. Try again later.",
            ),
            Problem::System => (500, "system", "System Error", "Something unexpected happened."),
            Problem::Unavailable => {
                (503, "service-unavailable", "Service Unavailable", "The service cannot answer now. Try again later.")
            }
        };
        (status, urn, title, detail.to_owned())
    }

    /// What problem details say under `errors`.
    fn error(&self) -> Option<String> {
        match self {
            Problem::Unauthenticated(why) | Problem::Paging(why) => Some((*why).to_owned()),
            Problem::AccessDenied => Some("The caller's claim set does not include this resource.".to_owned()),
            Problem::UnsupportedMediaType => {
                Some("The Content-Type of the request must be application/json.".to_owned())
            }
            Problem::MethodNotAllowed => Some("The method is not supported at this address.".to_owned()),
            Problem::NotAnObject(why) | Problem::Denied(Denied { error: why, .. }) => Some(why.clone()),
            Problem::NotUnique(entity) => {
                Some(format!("A {entity} has this id; education organizations share their ids."))
            }
            Problem::IdGiven => Some("The client cannot assign an 'id'; leave it out of the request body.".to_owned()),
            _ => None,
        }
    }

    /// What an older API says.
    fn message(&self) -> String {
        match self {
            Problem::Invalid(_) => "The request is invalid.".to_owned(),
            Problem::Unresolved(entity) => {
                let mut letters = entity.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase()).unwrap_or_default();
                format!("The value supplied for the related '{first}{}' resource does not exist.", letters.as_str())
            }
            Problem::Referenced(entity) => {
                format!("The resource cannot be deleted because it is a dependency of the '{entity}' entity.")
            }
            other => other.error().unwrap_or_else(|| other.facts().3),
        }
    }
}

fn by_path(values: &[(String, String)], name: impl Fn(&str) -> String) -> Value {
    let mut paths = Map::new();
    for (path, text) in values {
        match paths.entry(name(path)).or_insert_with(|| json!([])) {
            Value::Array(texts) => texts.push(text.as_str().into()),
            _ => unreachable!("each entry is made as an array"),
        }
    }
    paths.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: &Problem, shape: Shape) -> Value {
        serde_json::from_slice(&problem.answer(shape, "run-1").body).unwrap()
    }

    #[test]
    fn problem_details_have_every_error_of_every_path() {
        let errors = [("$.a", "first"), ("$.b[0].c", "second"), ("$.a", "third")];
        let invalid = Problem::Invalid(errors.map(|(path, text)| (path.into(), text.into())).to_vec());
        let new = body(&invalid, Shape::New);
        assert_eq!(new["type"], "urn:ed-fi:api:bad-request:data-validation-failed");
        assert_eq!(new["validationErrors"], json!({"$.a": ["first", "third"], "$.b[0].c": ["second"]}));
        assert_eq!((&new["status"], &new["correlationId"]), (&json!(400), &json!("run-1")));
        let old = body(&invalid, Shape::Old);
        assert_eq!(old["modelState"], json!({"request.a": ["first", "third"], "request.b[0].c": ["second"]}));
    }

    #[test]
    fn an_unresolved_reference_is_told_in_both_shapes() {
        let problem = Problem::Unresolved("ClassPeriod".into());
        let new = body(&problem, Shape::New);
        assert_eq!(new["type"], "urn:ed-fi:api:data-conflict:unresolved-reference");
        assert_eq!(new["detail"], "The referenced 'ClassPeriod' item does not exist.");
        let old = body(&problem, Shape::Old);
        assert_eq!(
            old,
            json!({"message": "The value supplied for the related 'classPeriod' resource does not exist."})
        );
    }

    #[test]
    fn an_older_api_refuses_a_token_without_a_body() {
        let problem = Problem::Unauthenticated("Invalid Authorization header.");
        assert_eq!(problem.answer(Shape::Old, "").body.len(), 0);
        assert_eq!(body(&problem, Shape::New)["errors"], json!(["Invalid Authorization header."]));
    }
}
