//! Reads answers: every generation of error bodies, and when to come back. Nothing in here trusts what it reads.

mod wait;

use serde_json::{Map, Value};

use super::origin::is_foreign;
use super::refusal::Refusal;
use super::transport::http::StatusCode;
use crate::text::secrets::Secrets;
use crate::text::shortened;
pub use wait::retry_after;

/// An answer of the API, of which only what somebody reads is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// The `Date` header, by the host's clock.
    pub date: Option<String>,
    /// The headers `ratelimit-reset` and `x-ratelimit-reset`: in how many seconds the host takes requests again.
    pub limit_resets: Vec<String>,
    /// The `Location` header.
    /// The `Location` header, of an answer that has a body or does not accept the payload.
    pub location: Option<String>,
    /// The `Content-Type` header, likewise.
    pub content_type: Option<String>,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Total-Count` header of data, where `totalCount=true` asked for it.
    pub total_count: Option<u64>,
    /// The `Next-Page-Token` header of data: where the next page begins (ODS/API 7.3 and later, DMS).
    pub next_page_token: Option<String>,
    /// The body, or as much of its beginning as the request wanted kept.
    pub body: Vec<u8>,
}

impl Reply {
    /// Removes secrets from an answer: some hosts repeat what they were sent, and errors are logged.
    pub fn hide(&mut self, secrets: &Secrets) {
        for text in [&mut self.location, &mut self.content_type, &mut self.etag, &mut self.retry_after] {
            *text = text.take().map(|text| secrets.hide_in(text));
        }
        if let Some(clean) = secrets.hide(&self.body) {
            self.body = clean;
        }
    }

    /// Whether the request was accepted: a 2xx of an Ed-Fi API.
    pub fn accepted(&self) -> bool {
        match self.status {
            // What nearly every answer is needs no closer look.
            200 | 201 | 204 if self.body.is_empty() => true,
            200..300 => !is_foreign(self),
            _ => false,
        }
    }

    /// What the body is called, without parameters; nothing if it is not called anything.
    pub fn media_type(&self) -> &str {
        self.content_type.as_deref().and_then(|kind| kind.split(';').next()).unwrap_or_default().trim()
    }
}

/// Reads an answer that is not an acceptance.
///
/// The bodies are those of ODS/API 5.3 to 7.1 (`message`, `modelState`), of 7.2 and later (RFC 9457 with
/// `validationErrors` and `errors`), of DMS (the same members, always there and mostly empty), of token endpoints
/// (RFC 6749 section 5.2), and whatever proxies say.
pub fn refusal(reply: &Reply) -> Refusal {
    let body: Option<Value> = json(&reply.body).ok();
    let object = body.as_ref().and_then(Value::as_object);
    let nested = object.and_then(|o| member(o, "error")).and_then(Value::as_object);
    let text = |name| [object, nested].into_iter().flatten().find_map(|o| string(o, name));
    let (mut messages, listed) = match (&body, object) {
        (_, Some(object)) => said(object),
        (Some(Value::String(text)), _) => (one_line(text).into_iter().collect(), false),
        _ => Default::default(),
    };
    if messages.is_empty() {
        messages.extend(visible(&reply.body));
    }
    let foreign = is_foreign(reply);
    let silent = messages.is_empty();
    if foreign {
        messages = stranger(reply, &messages);
    } else if silent {
        messages.push(phrase(reply.status));
    }
    let (problem_type, correlation_id) = (text("type"), text("correlationId"));
    let (status, others_accepted) = (reply.status, false);
    Refusal { status, problem_type, correlation_id, messages, foreign, silent, listed, others_accepted }
}

/// What lightbeam reports of an answer that no Ed-Fi API gave: its status, what it calls itself, the beginning of what a reader would see of it, and
/// where it points.
fn stranger(reply: &Reply, seen: &[String]) -> Vec<String> {
    const MOST: usize = 300;
    let mut text = format!("not an Ed-Fi API: {}", reply.status);
    let media_type = reply.media_type();
    if let Some(media_type) = one_line(media_type) {
        text.push_str(&format!(" {}", shortened(&media_type, MOST)));
    }
    if !seen.is_empty() {
        text.push_str(&format!(" \"{}\"", shortened(&seen.join("; "), MOST)));
    }
    let location = reply.location.as_deref().filter(|_| (300..400).contains(&reply.status)).and_then(one_line);
    let on = location.map(|location| format!("it sends this request on to {location}"));
    [text].into_iter().chain(on).collect()
}

/// Reads JSON, with or without a byte order mark.
pub fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))
}

/// The messages of an error body: the most specific member that says anything. And whether they are the list of faults
/// that ODS/API 7.2 and later and DMS give.
fn said(object: &Map<String, Value>) -> (Vec<String>, bool) {
    let listed = |name| member(object, name).map(|value| texts("", value)).unwrap_or_default();
    // As the Python lightbeam writes them, because pipelines look for that text.
    let faults = || {
        let place = |path: &str, text: &str| format!("{text} (at {path})");
        member(object, "validationErrors").map(|value| texts_as("", value, place)).unwrap_or_default()
    };
    let single = |name| string(object, name).into_iter().collect::<Vec<_>>();
    let message = || {
        let mut message = single("message");
        message.extend(listed("modelState"));
        message
    };
    // Meadowlark and gateways of several makers put all of it into one member.
    let nested = || {
        let inner = |name| member(object, name).and_then(Value::as_object);
        inner("error").or_else(|| inner("fault")).map(told_inside).unwrap_or_default()
    };
    let oauth = || single("error_description").into_iter().chain(listed("error")).collect();
    let ways: [&dyn Fn() -> Vec<String>; 7] =
        [&nested, &faults, &|| listed("errors"), &message, &|| single("detail"), &|| single("title"), &oauth];
    let (number, messages) =
        ways.iter().map(|way| way()).enumerate().find(|(_, messages)| !messages.is_empty()).unwrap_or_default();
    (messages, [1, 2].contains(&number))
}

/// The messages of an error that is inside another: what it says, then each of its failures on one line.
fn told_inside(error: &Map<String, Value>) -> Vec<String> {
    let failures = match member(error, "failures") {
        Some(Value::Array(failures)) => failures.iter().map(|failure| texts("", failure).join(", ")).collect(),
        Some(other) => texts("", other),
        None => Vec::new(),
    };
    let mut messages: Vec<String> = ["message", "faultstring", "detail", "title", "code"]
        .iter()
        .find_map(|name| string(error, name))
        .into_iter()
        .chain(failures.into_iter().filter(|failure| !failure.is_empty()))
        .collect();
    if messages.is_empty() {
        messages = error.iter().flat_map(|(name, value)| texts(name, value)).collect();
    }
    messages
}

/// Every text in a value, whatever its shape, each with the member it belongs to.
fn texts(path: &str, value: &Value) -> Vec<String> {
    texts_as(path, value, |path, text| format!("{path}: {text}"))
}

/// The same, where `label` puts a text together with its member.
fn texts_as(path: &str, value: &Value, label: fn(&str, &str) -> String) -> Vec<String> {
    let labelled = |text: &str| if path.is_empty() { text.into() } else { label(path, text) };
    match value {
        Value::Object(members) => members.iter().flat_map(|(name, value)| texts_as(name, value, label)).collect(),
        Value::Array(values) => values.iter().flat_map(|value| texts_as(path, value, label)).collect(),
        Value::String(text) => one_line(text).map(|text| labelled(&text)).into_iter().collect(),
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) => vec![labelled(&value.to_string())],
    }
}

/// A member by its name in any casing: the older generations begin with capitals now and then.
fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A member that is a text and not blank.
fn string(object: &Map<String, Value>, name: &str) -> Option<String> {
    member(object, name)?.as_str().and_then(one_line)
}

/// The text with whitespace folded and without control characters; `None` if nothing is left.
fn one_line(text: &str) -> Option<String> {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// What a reader would see of a body of no known shape, such as a proxy's page.
fn visible(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    one_line(&if text.trim_start().starts_with('<') { without_tags(&text) } else { text.into_owned() })
}

/// What a browser would show of a page.
fn without_tags(page: &str) -> String {
    const HIDDEN: [(&str, &str); 3] = [("<style", "</style>"), ("<script", "</script>"), ("<!--", "-->")];
    let lower = page.to_ascii_lowercase();
    let mut text = String::new();
    let mut at = 0;
    while let Some(tag) = lower[at..].find('<').map(|found| at + found) {
        text.push_str(&page[at..tag]);
        text.push(' ');
        let end = HIDDEN.iter().find(|(start, _)| lower[tag..].starts_with(start)).map_or(">", |(_, end)| end);
        at = lower[tag..].find(end).map_or(page.len(), |found| tag + found + end.len());
    }
    text + &page[at..]
}

/// What a status means by itself.
fn phrase(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    known.unwrap_or("the API gave no reason").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Reply {
        Reply { status, body: body.into(), ..Reply::default() }
    }

    fn messages(body: &str) -> Vec<String> {
        refusal(&answer(400, body)).messages
    }

    #[test]
    fn ods_up_to_7_1_says_it_in_message_and_model_state() {
        assert_eq!(
            messages(r#"{"message":"The value supplied for the related 'student' resource does not exist."}"#),
            ["The value supplied for the related 'student' resource does not exist."]
        );
        assert_eq!(
            messages(
                r#"{"message":"The request is invalid.","modelState":{"request.codeValue":["CodeValue is required."],"request.namespace":["Too long.","No URI."]}}"#
            ),
            [
                "The request is invalid.",
                "request.codeValue: CodeValue is required.",
                "request.namespace: Too long.",
                "request.namespace: No URI."
            ]
        );
    }

    #[test]
    fn ods_from_7_2_says_it_in_validation_errors_with_their_paths() {
        let refusal = refusal(&answer(
            400,
            r#"{"detail":"Data validation failed. See 'validationErrors' for details.","type":"urn:ed-fi:api:bad-request:data-validation-failed","title":"Data Validation Failed","status":400,"correlationId":"c-1","validationErrors":{"$.codeValue":["CodeValue is required."],"$.schoolReference.schoolId":["Must match."]}}"#,
        ));
        assert_eq!(
            refusal.messages,
            ["CodeValue is required. (at $.codeValue)", "Must match. (at $.schoolReference.schoolId)"]
        );
        assert_eq!(refusal.problem_type.as_deref(), Some("urn:ed-fi:api:bad-request:data-validation-failed"));
        assert_eq!(refusal.correlation_id.as_deref(), Some("c-1"));
    }

    #[test]
    fn ods_from_7_2_says_it_in_errors_else_in_detail_else_in_title() {
        assert_eq!(
            messages(
                r#"{"detail":"The request could not be processed. See 'errors' for details.","errors":["A non-empty request body is required."]}"#
            ),
            ["A non-empty request body is required."]
        );
        assert_eq!(
            messages(r#"{"detail":"The referenced 'Student' item does not exist.","title":"Unresolved Reference"}"#),
            ["The referenced 'Student' item does not exist."]
        );
        assert_eq!(messages(r#"{"title":"Non-Unique Values","status":409}"#), ["Non-Unique Values"]);
    }

    #[test]
    fn dms_sends_empty_members_that_say_nothing() {
        let refusal = refusal(&answer(
            409,
            r#"{"detail":"One or more references could not be resolved. See 'validationErrors' for details.","type":"urn:ed-fi:api:data-conflict:unresolved-reference","status":409,"correlationId":null,"validationErrors":{"$.graduationSchoolYearTypeReference":["The referenced SchoolYearType item does not exist."]},"errors":[]}"#,
        ));
        assert_eq!(
            refusal.messages,
            ["The referenced SchoolYearType item does not exist. (at $.graduationSchoolYearTypeReference)"]
        );
        assert_eq!(refusal.correlation_id, None);
        assert_eq!(
            messages(r#"{"detail":"Gone wrong.","validationErrors":{},"errors":["Natural key conflict."]}"#),
            ["Natural key conflict."]
        );
        assert_eq!(messages(r#"{"detail":"Gone wrong.","validationErrors":{},"errors":[]}"#), ["Gone wrong."]);
    }

    #[test]
    fn token_endpoints_say_it_as_oauth_does() {
        assert_eq!(messages(r#"{"error":"invalid_client"}"#), ["invalid_client"]);
        assert_eq!(
            messages(r#"{"error":"invalid_client","error_description":"No such key."}"#),
            ["No such key.", "invalid_client"]
        );
    }

    #[test]
    fn members_of_the_wrong_type_are_read_for_what_they_hold() {
        assert_eq!(messages(r#"{"validationErrors":"No.","errors":7}"#), ["No."]);
        assert_eq!(messages(r#"{"validationErrors":[{"$.a":"A."},"B.",null,3]}"#), ["A. (at $.a)", "B.", "3"]);
        assert_eq!(messages(r#"{"errors":{"Name":["Required."]}}"#), ["Name: Required."]);
        assert_eq!(messages(r#"{"message":{"text":"x"},"detail":["y"],"title":"Plain"}"#), ["Plain"]);
        assert_eq!(messages(r#"{"Message":"An error has occurred."}"#), ["An error has occurred."]);
        assert_eq!(messages(r#"{"errors":["  ","two\n lines\u001b[0m"]}"#), ["two lines [0m"]);
    }

    #[test]
    fn json_that_says_nothing_is_shown_as_it_is() {
        assert_eq!(messages(r#"{"a": 1}"#), [r#"{"a": 1}"#]);
        assert_eq!(messages("[1,2]"), ["[1,2]"]);
        assert_eq!(messages(r#""Just a text""#), ["Just a text"]);
        assert_eq!(messages("\u{feff}{\"detail\":\"Marked.\"}"), ["Marked."]);
    }

    #[test]
    fn a_page_is_shown_without_its_tags() {
        let page = "<html>\r\n<head><title>502 Bad Gateway</title><STYLE>b { color: red }</style></head>\r\n<body><!-- <b> -->\r\n<hr>nginx</body></html>";
        assert_eq!(refusal(&answer(502, page)).messages, ["502 Bad Gateway nginx"]);
        assert_eq!(refusal(&answer(502, "<b")).messages, [phrase(502)]);
        assert_eq!(messages("value 3 < 5 > 4"), ["value 3 < 5 > 4"]);
    }

    #[test]
    fn who_is_not_an_ed_fi_api_is_told_by_status_content_type_and_what_a_reader_sees() {
        let told = |status, content_type: &str, body: &str| {
            let content_type = Some(content_type.into());
            refusal(&Reply { status, content_type, body: body.into(), ..Reply::default() }).messages
        };
        let page = "<html><head><style>p {}</style></head><body><p>Request\n blocked</p></body></html>";
        assert_eq!(
            told(200, "text/html; charset=utf-8", page),
            [r#"not an Ed-Fi API: 200 text/html "Request blocked""#]
        );
        assert_eq!(
            told(200, "application/json", r#"{"error":"access denied"}"#),
            [r#"not an Ed-Fi API: 200 application/json "access denied""#]
        );
        assert_eq!(told(202, "", ""), ["not an Ed-Fi API: 202"]);
        let long = told(403, "text/html", &"b".repeat(60_000));
        assert!(long[0].chars().count() < 400 && long[0].ends_with("b…\""), "{long:?}");
    }

    #[test]
    fn errors_inside_an_error_are_read() {
        let meadowlark = r#"{"error":{"message":"Reference validation failed","failures":[
            {"resourceName":"School","identity":{"schoolId":"123"}},{"resourceName":"Session"}]}}"#;
        assert_eq!(
            messages(meadowlark),
            ["Reference validation failed", "resourceName: School, schoolId: 123", "resourceName: Session"]
        );
        assert_eq!(
            messages(r#"{"error":[{"message":"must have x","path":"{requestBody}"}]}"#),
            ["message: must have x", "path: {requestBody}"]
        );
        assert_eq!(messages(r#"{"fault":{"faultstring":"Quota"}}"#), ["Quota"]);
        assert_eq!(messages(r#"{"error":{"odd":{"er":7}}}"#), ["er: 7"]);
        let typed = refusal(&answer(409, r#"{"error":{"type":"urn:x","correlationId":"c"}}"#));
        assert_eq!((typed.problem_type.as_deref(), typed.correlation_id.as_deref()), (Some("urn:x"), Some("c")));
    }

    #[test]
    fn nothing_of_a_refusal_is_cut() {
        assert_eq!(messages(&"é".repeat(30_000)), ["é".repeat(30_000)]);
        let bytes = Reply { status: 500, body: vec![b'a', 0xff], ..Reply::default() };
        assert_eq!(refusal(&bytes).messages, ["a\u{fffd}"]);
        let long = messages(&format!(r#"{{"errors":["short","{}","last"]}}"#, "é".repeat(20_000)));
        assert_eq!(long, ["short".into(), "é".repeat(20_000), "last".into()]);
    }

    #[test]
    fn an_empty_body_leaves_the_meaning_of_the_status() {
        assert_eq!(refusal(&answer(404, "")).messages, ["Not Found"]);
        assert_eq!(refusal(&answer(404, " \n")).messages, ["Not Found"]);
        assert_eq!(refusal(&answer(404, "{}")).messages, ["{}"]);
        assert_eq!(refusal(&answer(599, "")).messages, ["the API gave no reason"]);
    }

    #[test]
    fn a_redirection_names_where_it_points() {
        let reply = Reply { status: 301, location: Some("https://example.com/api/".into()), ..Reply::default() };
        let expected = ["not an Ed-Fi API: 301", "it sends this request on to https://example.com/api/"];
        assert_eq!(refusal(&reply).messages, expected);
    }

    #[test]
    fn a_credential_that_a_host_repeats_is_hidden() {
        let secrets = Secrets::of(["a+t0ken"]);
        let mut reply = answer(401, r#"{"detail":"No a+t0ken here, a\u002Bt0ken there."}"#);
        reply.location = Some("https://example.com/?a%2bt0ken".into());
        reply.hide(&secrets);
        assert_eq!(refusal(&reply).messages, ["No [secret] here, [secret] there."]);
        assert_eq!(reply.location.as_deref(), Some("https://example.com/?[secret]"));
        let mut other = answer(401, "nothing");
        other.hide(&secrets);
        assert_eq!(other, answer(401, "nothing"));
    }
}
