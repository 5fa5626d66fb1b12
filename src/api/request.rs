//! Makes requests: what is asked, of which URL, with which headers. Nothing is sent here.

use super::transport::http::{HeaderValue, Method, Uri};
use super::urls::escaped;
use crate::config::Secret;
use crate::text::secrets::base64;

/// How much of an answer's body is kept, so that no host can fill the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// At most so many bytes from its beginning; what follows is dropped.
    Beginning(u64),
    /// All of it; an accepted answer that is longer is an error.
    Whole(u64),
}

/// How much of an answer about data is kept. Messages of errors are shorter.
pub const KEPT_OF_DATA: u64 = 64 * 1024;

/// One request. Making one allocates nothing, for 100,000 of them are made each second.
pub struct Request<'a> {
    /// What is to be done with the resource.
    pub method: Method,
    /// Where.
    pub url: &'a Uri,
    /// The `Authorization` header; marked as sensitive, so that no debug output shows it.
    pub authorization: Option<HeaderValue>,
    /// The `Content-Type` of the body.
    pub content_type: Option<HeaderValue>,
    /// The `Accept` header; `None`: anything.
    pub accept: Option<HeaderValue>,
    /// The `If-None-Match` header: answer 304 if the document still has this ETag.
    pub if_none_match: Option<HeaderValue>,
    /// The `correlation-id` header.
    pub correlation: Option<HeaderValue>,
    /// The bytes that are sent.
    pub body: Option<&'a [u8]>,
    /// How much of the answer's body is kept.
    pub keep: Keep,
}

/// Asks for a metadata document, or data, of at most `most` bytes; with `etag`, only if it has changed since (RFC 9110 13.1.2).
pub fn get<'a>(url: &'a Uri, etag: Option<&str>, most: u64) -> Request<'a> {
    Request {
        method: Method::GET,
        url,
        authorization: None,
        content_type: None,
        accept: None,
        if_none_match: etag.and_then(|etag| HeaderValue::from_str(etag).ok()),
        correlation: None,
        body: None,
        keep: Keep::Whole(most),
    }
}

/// How a key and its secret are shown to the API.
#[derive(Clone)]
pub enum Credentials {
    /// In a Basic header (RFC 7617), the one form that ODS and DMS both take.
    Header(HeaderValue),
    /// In the form (RFC 6749 section 2.3.1), because a `:` in them cannot be told from the one between them.
    Form(Secret),
}

impl Credentials {
    /// Of a key and its secret.
    pub fn of(client_id: &str, client_secret: &str) -> Credentials {
        if ![client_id, client_secret].iter().any(|text| text.contains(':')) {
            return Credentials::Header(login(client_id, client_secret));
        }
        let [id, secret] = [client_id, client_secret].map(escaped);
        Credentials::Form(Secret::new(format!("{GRANT}&client_id={id}&client_secret={secret}")))
    }

    /// The form that asks for a token.
    fn form(&self) -> &str {
        match self {
            Credentials::Header(_) => GRANT,
            Credentials::Form(form) => form.expose(),
        }
    }
}

const GRANT: &str = "grant_type=client_credentials";

/// Asks for a token.
pub fn token<'a>(url: &'a Uri, credentials: &'a Credentials) -> Request<'a> {
    Request {
        method: Method::POST,
        url,
        authorization: match credentials {
            Credentials::Header(header) => Some(header.clone()),
            Credentials::Form(_) => None,
        },
        content_type: Some(HeaderValue::from_static("application/x-www-form-urlencoded")),
        accept: None,
        if_none_match: None,
        correlation: None,
        body: Some(credentials.form().as_bytes()),
        keep: Keep::Whole(KEPT_OF_DATA),
    }
}

/// Upserts one payload at its resource's URL. By `correlation` the API's log and error bodies name the request (ODS/API; others ignore
/// it). The token is added when it is sent, as to all requests for data.
pub fn post<'a>(url: &'a Uri, body: &'a [u8], correlation: Option<HeaderValue>) -> Request<'a> {
    Request {
        method: Method::POST,
        url,
        authorization: None,
        content_type: Some(HeaderValue::from_static("application/json")),
        accept: None,
        if_none_match: None,
        correlation,
        body: Some(body),
        keep: Keep::Beginning(KEPT_OF_DATA),
    }
}

/// Deletes the record at a URL, which ends with the id that the API gave it.
pub fn delete(url: &Uri) -> Request<'_> {
    Request { method: Method::DELETE, keep: Keep::Beginning(KEPT_OF_DATA), ..get(url, None, KEPT_OF_DATA) }
}

/// The `Authorization` header that asks for a token: Basic, RFC 7617.
pub fn login(client_id: &str, client_secret: &str) -> HeaderValue {
    let value = format!("Basic {}", base64(format!("{client_id}:{client_secret}").as_bytes()));
    sensitive(HeaderValue::from_str(&value).expect("base64 is visible ASCII"))
}

/// The `Authorization` header of data requests (RFC 6750), or `None` if the token cannot stand in a header.
pub fn bearer(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Bearer {token}")).ok().map(sensitive)
}

/// What is secret of an `Authorization` header.
pub fn credential(header: &str) -> &str {
    header.split_once(' ').map_or(header, |(_, credential)| credential)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_with_a_basic_header_and_a_form() {
        let url = Uri::from_static("https://example.com/oauth/token");
        // RFC 7617 section 2.
        let credentials = Credentials::of("Aladdin", "open sesame");
        let request = token(&url, &credentials);
        assert_eq!(request.authorization.unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(request.content_type.unwrap(), "application/x-www-form-urlencoded");
        assert_eq!(request.body, Some(&b"grant_type=client_credentials"[..]));
        assert_eq!(request.method, Method::POST);
    }

    #[test]
    fn a_payload_is_posted_as_it_is() {
        let url = Uri::from_static("https://example.com/data/v3/ed-fi/students");
        let correlation = Some(HeaderValue::from_static("run/students/1"));
        let request = post(&url, b"{ \"a\" : 1 }", correlation);
        assert_eq!(request.correlation.unwrap(), "run/students/1");
        assert_eq!(request.content_type.unwrap(), "application/json");
        assert_eq!(request.body, Some(&b"{ \"a\" : 1 }"[..]));
        assert_eq!((request.method, request.url), (Method::POST, &url));
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let shown = format!("{:?} {:?}", login("key", "secret"), bearer("token").unwrap());
        assert_eq!(shown, "Sensitive Sensitive");
    }

    #[test]
    fn a_token_with_a_line_break_makes_no_header() {
        assert_eq!(bearer("a\r\nHost: elsewhere"), None);
    }

    #[test]
    fn a_document_is_asked_for_by_its_etag() {
        let url = Uri::from_static("https://example.com/metadata");
        assert_eq!(get(&url, Some("\"7\""), 100).if_none_match.unwrap(), "\"7\"");
        let plain = get(&url, None, 100);
        assert!(plain.if_none_match.is_none() && plain.body.is_none() && plain.authorization.is_none());
        assert_eq!(plain.method, Method::GET);
    }
}
