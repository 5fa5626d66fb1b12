//! OAuth 2 client credentials: gives tokens that expire, and knows them again.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fxhash::FxHashMap;
use serde_json::{Value, json};

use super::answer::Answer;
use super::http::Request;
use super::lock;
use super::query;

/// The tokens that were given.
pub struct Tokens {
    credentials: Option<(String, String)>,
    lifetime: Duration,
    given: RwLock<FxHashMap<Box<str>, Given>>,
    count: AtomicU64,
}

/// A token that was given.
struct Given {
    expires: Instant,
    /// The key of the client that got it.
    client: Box<str>,
}

impl Tokens {
    /// Tokens that live for `lifetime`, for whoever shows `credentials`, or any that are not empty.
    pub fn new(credentials: Option<(String, String)>, lifetime: Duration) -> Tokens {
        Tokens { credentials, lifetime, given: RwLock::default(), count: AtomicU64::new(0) }
    }

    /// How many were given.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether the header of a request has a good token; else what is wrong with it, as the ODS/API tells it.
    pub fn check(&self, authorization: Option<&str>, now: Instant) -> Result<(), &'static str> {
        let header = authorization.ok_or("Authorization header is missing.")?;
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err("Unknown Authorization header scheme.");
        }
        if token.trim().is_empty() {
            return Err("Missing Authorization header bearer token value.");
        }
        match lock::read(&self.given).get(token.trim()) {
            Some(given) if now < given.expires => Ok(()),
            _ => Err("Invalid Authorization header."),
        }
    }

    /// Answers `POST /oauth/token`: credentials in a Basic header or in the body, not in both.
    pub fn answer(&self, request: &Request<'_>) -> Answer<'static> {
        let Some(form) = form(request) else {
            return error(415, "invalid_request", "The body must be a form or JSON, and its Content-Type must say so.");
        };
        let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match value("grant_type").as_deref() {
            Some("client_credentials") => {}
            Some(_) => return error(400, "unsupported_grant_type", "The grant_type must be client_credentials."),
            None => return error(400, "invalid_request", "The grant_type is missing."),
        }
        let basic = request.authorization.and_then(|header| header.split_once(' '));
        let basic = basic.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let shown = match (basic, value("client_id"), value("client_secret")) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return error(400, "invalid_client", "Credentials must be in the header or in the body, not in both.");
            }
            (Some((_, encoded)), None, None) => {
                match decode(encoded.trim()).as_deref().map(|both| both.split_once(':')) {
                    // As in the ODS/API, a colon within the key or the secret makes three parts.
                    Some(Some((id, secret))) if !secret.contains(':') => (id.to_owned(), secret.to_owned()),
                    Some(_) => {
                        return error(400, "invalid_client", "The Basic header must be key:secret, with one colon.");
                    }
                    None => return error(400, "invalid_client", "The Basic header is not Base64."),
                }
            }
            (None, Some(id), Some(secret)) => (id, secret),
            (None, ..) => return error(401, "invalid_client", "The credentials are missing."),
        };
        let good = match &self.credentials {
            Some(demanded) => *demanded == shown,
            None => !shown.0.is_empty() && !shown.1.is_empty(),
        };
        if !good {
            return error(401, "invalid_client", "The key or the secret is wrong.");
        }
        let token = self.give(&shown.0, Instant::now());
        let body = json!({"access_token": token, "expires_in": self.lifetime.as_secs(), "token_type": "bearer"});
        Answer::json(200, body.to_string().into_bytes())
    }

    /// Answers `POST /oauth/token_info` with what is `told` of the client with a key. The token that it shows must be the one that it asks
    /// about.
    pub fn introspect(&self, request: &Request<'_>, told: impl FnOnce(&str) -> Answer<'static>) -> Answer<'static> {
        let Some(form) = form(request) else {
            return error(415, "invalid_request", "The body must be a form or JSON, and its Content-Type must say so.");
        };
        let shown = request.authorization.and_then(|header| header.split_once(' ')).map(|(_, token)| token.trim());
        let asked = form.iter().find(|(key, _)| key == "token").map(|(_, value)| value.trim());
        let own = asked.filter(|token| Some(*token) == shown);
        let client = own.and_then(|token| Some(lock::read(&self.given).get(token)?.client.clone()));
        match client {
            Some(client) => told(&client),
            None => error(400, "invalid_request", "The token must be the one in the Authorization header."),
        }
    }

    fn give(&self, client: &str, now: Instant) -> Box<str> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{number} {:?}", std::time::SystemTime::now());
        let token: Box<str> = blake3::hash(unique.as_bytes()).to_hex()[..32].into();
        let mut given = lock::write(&self.given);
        given.retain(|_, given| now < given.expires);
        given.insert(token.clone(), Given { expires: now + self.lifetime, client: client.into() });
        token
    }
}

/// The fields of the body, a form or a JSON object by its Content-Type.
fn form(request: &Request<'_>) -> Option<Vec<(String, String)>> {
    let content_type = request.content_type?;
    if content_type.starts_with("application/x-www-form-urlencoded") {
        return Some(query::pairs(std::str::from_utf8(request.body).ok()?));
    }
    let body: Value =
        content_type.starts_with("application/json").then(|| serde_json::from_slice(request.body).ok())??;
    let field = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Some(body.as_object()?.iter().filter_map(field).collect())
}

fn error(status: u16, error: &str, description: &str) -> Answer<'static> {
    let body = json!({"error": error, "error_description": description});
    Answer::json(status, body.to_string().into_bytes())
}

/// Base64 (RFC 4648, 4) of UTF-8 text.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn tokens() -> Tokens {
        Tokens::new(Some(("key".into(), "sec ret".into())), Duration::from_secs(60))
    }

    fn ask(tokens: &Tokens, authorization: Option<&str>, content_type: Option<&str>, body: &str) -> (u16, Value) {
        let request = Request { authorization, content_type, body: body.as_bytes(), ..Request::default() };
        let answer = tokens.answer(&request);
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    #[test]
    fn credentials_come_in_the_header_or_in_the_body_but_not_in_both() {
        let tokens = tokens();
        let basic = Some("Basic a2V5OnNlYyByZXQ=");
        assert_eq!(ask(&tokens, basic, Some(FORM), "grant_type=client_credentials").0, 200);
        let both = "grant_type=client_credentials&client_id=key&client_secret=sec+ret";
        assert_eq!(ask(&tokens, None, Some(FORM), both).0, 200);
        let as_json = r#"{"grant_type":"client_credentials","client_id":"key","client_secret":"sec ret"}"#;
        assert_eq!(ask(&tokens, None, Some("application/json"), as_json).0, 200);
        assert_eq!(ask(&tokens, basic, Some(FORM), both), (400, ask(&tokens, basic, Some(FORM), both).1));
        assert_eq!(tokens.count(), 3);
    }

    #[test]
    fn wrong_credentials_and_wrong_requests_are_told_apart() {
        let tokens = tokens();
        for (status, code, header, content_type, body) in [
            (401, "invalid_client", Some("Basic a2V5Ondyb25n"), Some(FORM), "grant_type=client_credentials"),
            (401, "invalid_client", None, Some(FORM), "grant_type=client_credentials"),
            (400, "invalid_client", Some("Basic a2V5OmE6Yg=="), Some(FORM), "grant_type=client_credentials"),
            (400, "invalid_client", Some("Basic !"), Some(FORM), "grant_type=client_credentials"),
            (400, "unsupported_grant_type", None, Some(FORM), "grant_type=password"),
            (400, "invalid_request", None, Some(FORM), ""),
            (415, "invalid_request", None, None, "grant_type=client_credentials"),
        ] {
            let (answered, body) = ask(&tokens, header, content_type, body);
            assert_eq!((answered, body["error"].as_str()), (status, Some(code)), "{body}");
        }
    }

    #[test]
    fn without_a_demanded_pair_any_that_is_not_empty_will_do() {
        let tokens = Tokens::new(None, Duration::from_secs(60));
        let body = |id: &str| format!("grant_type=client_credentials&client_id={id}&client_secret=x");
        assert_eq!(ask(&tokens, None, Some(FORM), &body("anybody")).0, 200);
        assert_eq!(ask(&tokens, None, Some(FORM), &body("")).0, 401);
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let tokens = tokens();
        let now = Instant::now();
        let header = format!("Bearer {}", tokens.give("key", now));
        assert_eq!(tokens.check(Some(&header), now), Ok(()));
        assert_eq!(tokens.check(Some(&header), now + Duration::from_secs(60)), Err("Invalid Authorization header."));
        assert_eq!(tokens.check(None, now), Err("Authorization header is missing."));
        assert_eq!(tokens.check(Some("Basic x"), now), Err("Unknown Authorization header scheme."));
        assert_eq!(tokens.check(Some("Bearer "), now), Err("Missing Authorization header bearer token value."));
    }
}
