//! Who answered: whether an answer shows by evidence that no Ed-Fi API gave it, but a firewall, a gateway or a sign-in page.
//!
//! An Ed-Fi API answers a POST with 200 or 201, an empty body and some headers, a DELETE with 204, a GET with JSON. What is missing is no
//! evidence, because gateways drop headers. What is there too much is: a page for people, a JSON error under a status of success, a
//! status that no Ed-Fi API knows.

use serde_json::{Map, Value};

use super::reply::{Reply, json};

/// The statuses with which an Ed-Fi API says that it did what it was asked.
const OWN: [u16; 3] = [200, 201, 204];

/// An error body is not longer; a longer one is a document or a page of records.
const LONGEST_ERROR: usize = 64 * 1024;

/// Whether the answer shows that no Ed-Fi API gave it.
pub fn is_foreign(reply: &Reply) -> bool {
    match reply.status {
        200..300 => !OWN.contains(&reply.status) || is_page(reply) || is_error(reply),
        300..400 | 402 | 407 | 421 | 423 | 425 | 426 | 451 | 511 => true,
        // These are about the payload or the moment, whoever says so.
        408 | 413 | 414 | 429 | 431 => false,
        400..500 => is_page(reply),
        _ => false,
    }
}

/// Whether the body is for people to look at.
pub fn is_page(reply: &Reply) -> bool {
    let body = trimmed(&reply.body);
    let html = || {
        let kind = reply.media_type().to_ascii_lowercase();
        kind == "text/html" || kind == "application/xhtml+xml"
    };
    match body.first() {
        None => false,
        Some(b'<') => true,
        // Some gateways call everything HTML that they pass on.
        Some(b'{' | b'[') => html() && json::<serde::de::IgnoredAny>(body).is_err(),
        Some(_) => html(),
    }
}

/// Whether the body is a JSON error, although the status is one of success.
fn is_error(reply: &Reply) -> bool {
    let body = trimmed(&reply.body);
    if body.first() != Some(&b'{') || body.len() > LONGEST_ERROR {
        return false;
    }
    json::<Map<String, Value>>(body).is_ok_and(|object| {
        let is = |names: &[&str]| object.iter().any(|(name, value)| named(name, names) && says_something(value));
        let stated = object.iter().filter(|(name, _)| named(name, &["status", "statusCode", "code"]));
        let stated: Vec<u64> = stated.filter_map(|(_, value)| value.as_u64()).collect();
        let failed = stated.iter().any(|status| (400..600).contains(status));
        let done = object.iter().any(|(name, value)| named(name, &["success"]) && *value == Value::Bool(true));
        let only_error = !done && object.keys().all(|name| named(name, &OF_ERRORS));
        // Records, tokens and documents have members of their own.
        let told = only_error && (failed || stated.is_empty());
        is(&["fault", "validationErrors"])
            || problem_type(&object)
            || (only_error && is(&["error", "errors", "exceptionMessage", "modelState"]))
            || (only_error && failed)
            // Where a record was made the API says where it is.
            || (told && reply.location.is_none() && is(&["message", "detail", "title"]))
    })
}

/// The members of error bodies, of Ed-Fi APIs and of what stands before them.
const OF_ERRORS: [&str; 26] = [
    "code",
    "correlationId",
    "detail",
    "details",
    "error",
    "error_description",
    "error_uri",
    "errors",
    "exceptionMessage",
    "exceptionType",
    "fault",
    "failures",
    "instance",
    "message",
    "modelState",
    "path",
    "requestId",
    "stackTrace",
    "status",
    "statusCode",
    "success",
    "timestamp",
    "title",
    "traceId",
    "type",
    "validationErrors",
];

fn named(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn problem_type(object: &Map<String, Value>) -> bool {
    object.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("urn:ed-fi:api:"))
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// A body without a byte order mark and without white space around it.
fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(status: u16, content_type: Option<&str>, body: &str) -> bool {
        let content_type = content_type.map(String::from);
        is_foreign(&Reply { status, content_type, body: body.into(), ..Reply::default() })
    }

    #[test]
    fn a_success_with_a_page_for_people_is_not_the_apis() {
        let page = "<html><body>Request blocked</body></html>";
        for status in [200, 201] {
            assert!(foreign(status, Some("text/html"), page));
            assert!(foreign(status, Some("Text/HTML; charset=utf-8"), "Request blocked"));
            assert!(foreign(status, None, "\u{feff} \r\n<!DOCTYPE html><p>Sign in"));
            assert!(foreign(status, Some("application/json"), page), "what the body is counts, not what it is called");
            assert!(!foreign(status, Some("text/html"), ""), "there is no page");
            assert!(!foreign(status, Some("text/html"), "[]"), "a gateway that calls everything HTML");
        }
    }

    #[test]
    fn a_success_with_an_error_in_json_is_not_the_apis() {
        for body in [
            r#"{"error":"access denied"}"#,
            r#"{"error":{"message":"no"}}"#,
            r#"{"errors":["no"]}"#,
            r#"{"message":"Forbidden"}"#,
            r#"{"Message":"An error has occurred."}"#,
            r#"{"statusCode":401,"message":"Access denied due to missing subscription key."}"#,
            r#"{"fault":{"faultstring":"Rate limit","detail":{"errorcode":"x"}}}"#,
            r#"{"type":"urn:ed-fi:api:system","title":"System Error","status":500,"unheard":1}"#,
            r#"{"status":503}"#,
        ] {
            assert!(foreign(200, Some("application/json"), body) && foreign(201, None, body), "{body}");
        }
        let created = Reply {
            status: 201,
            location: Some("/data/1".into()),
            body: br#"{"message":"created"}"#.into(),
            ..Reply::default()
        };
        assert!(!is_foreign(&created));
    }

    #[test]
    fn records_tokens_documents_and_empty_bodies_are_the_apis() {
        for body in [
            "",
            "  ",
            "[]",
            r#"[{"error":"a name that a record may have"}]"#,
            r#"{"id":"1","message":"of a record"}"#,
            r#"{"access_token":"t","expires_in":1800,"token_type":"bearer"}"#,
            r#"{"version":"7.3","urls":{"oauth":"x"}}"#,
            r#"{"pageTokens":["a"]}"#,
            r#"{"openapi":"3.0.1","paths":{}}"#,
            r#"{"errors":[],"validationErrors":{},"message":"","status":200}"#,
            r#"{"message":"done","status":200}"#,
            r#"{"message":"done","success":true}"#,
            "null",
        ] {
            for status in [200, 201] {
                assert!(!foreign(status, Some("application/json"), body) && !foreign(status, None, body), "{body}");
            }
        }
        assert!(!foreign(204, None, ""));
    }

    #[test]
    fn statuses_that_no_ed_fi_api_gives_are_not_the_apis_whatever_their_body() {
        for status in [202, 203, 205, 206, 207, 226, 300, 301, 302, 303, 304, 307, 308] {
            assert!(foreign(status, None, ""), "{status}");
        }
        for status in [402, 407, 421, 423, 425, 426, 451, 511] {
            assert!(foreign(status, Some("application/json"), r#"{"message":"no"}"#), "{status}");
        }
    }

    #[test]
    fn a_refusal_with_a_page_is_not_the_apis_unless_it_is_about_the_payload_or_the_moment() {
        let page = "<html><body>nginx</body></html>";
        for status in [400, 401, 403, 404, 405, 406, 409, 410, 415, 418, 422] {
            assert!(foreign(status, Some("text/html"), page), "{status}");
            assert!(!foreign(status, Some("application/json"), r#"{"detail":"no"}"#), "{status}");
            assert!(!foreign(status, None, ""), "{status}");
        }
        for status in [408, 413, 414, 429, 431, 500, 502, 503, 504] {
            assert!(!foreign(status, Some("text/html"), page), "{status}");
        }
    }
}
