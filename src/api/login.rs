//! Logs in: what a token is asked for with, and what the answer means.

use std::time::Duration;

use serde_json::Value;

use super::reply::{self, Reply, refusal};
use super::request::{self, Credentials};
use super::transport::http::{HeaderValue, Uri};
use super::transport::{Answer, Kind};
use super::wire::{Wire, in_words};
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::text::secrets::{self, Secrets};

/// No lifetime is believed beyond a year.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// The lifetime of a token that does not tell its own: what hosts ship with.
const USUAL_LIFETIME: Duration = Duration::from_secs(1800);

/// No token is longer, in bytes: it has to stand in the head of each request.
const LONGEST: usize = 16 * 1024;

/// A key and its secret, and where they are shown.
pub struct Login {
    url: Uri,
    credentials: Credentials,
    secret: Secret,
    secrets: Secrets,
    /// Why this key or secret may not get through, if it may not.
    note: Option<&'static str>,
}

/// A token that was given.
pub struct Grant {
    /// The token, which is secret.
    pub token: String,
    /// The header that carries it.
    pub header: HeaderValue,
    /// How long it lives from when it was asked for.
    pub lifetime: Duration,
}

impl Login {
    /// The login of a key at the token URL.
    pub fn new(url: &Uri, id: &str, secret: Secret) -> Login {
        let credentials = Credentials::of(id, secret.expose());
        let note = match credentials {
            Credentials::Form(_) => Some(
                "edfi_api.client_id or edfi_api.client_secret holds a ':', so the login goes in the form, which not every \
                 API takes",
            ),
            Credentials::Header(_) => None,
        };
        let header = match &credentials {
            Credentials::Header(header) => header.to_str().ok().map(request::credential),
            Credentials::Form(_) => None,
        };
        let secrets = Secrets::of([secret.expose()].into_iter().chain(header));
        Login { url: url.clone(), credentials, secret, secrets, note }
    }

    /// Asks once for a token.
    pub fn ask(&self, wire: &Wire) -> Answer {
        wire.once(&request::token(&self.url, &self.credentials))
    }

    /// The token of an answer, or why there is none and what to do about it.
    pub fn grant(&self, answer: &Answer) -> Result<Grant> {
        let reply = match answer {
            Ok(reply) if reply.accepted() => reply,
            _ => return Err(self.refused(answer)),
        };
        let body: Value = reply::json(&reply.body).unwrap_or_default();
        let token = body["access_token"].as_str().filter(|token| (1..=LONGEST).contains(&token.len()));
        match token.and_then(|token| Some((token.to_string(), request::bearer(token)?))) {
            Some((token, header)) => Ok(Grant { token, header, lifetime: lifetime(&body) }),
            None => Err(Error::api(format!(
                "{} answered {} but gave no token that can be used; is it the API's token URL?",
                self.url, reply.status
            ))),
        }
    }

    /// Why there is no token, and what to do about it.
    pub fn refused(&self, answer: &Answer) -> Error {
        let (url, said) = (&self.url, self.said(answer));
        let text = match answer {
            Err(broken) if broken.kind == Kind::Request => format!("cannot ask {url} for a token: {said}"),
            Err(_) => format!("no answer from {url} to the request for a token: {said}"),
            Ok(reply) if refusal(reply).foreign => {
                format!("{url} gave no token ({said}): is it the API's token URL? edfi_api.oauth_url sets it")
            }
            Ok(Reply { status: 400 | 401 | 403, .. }) => format!(
                "login refused by {url} ({said}): check edfi_api.client_id, edfi_api.client_secret and edfi_api.base_url"
            ),
            Ok(reply) if too_many(reply) => format!(
                "no further token from {url} ({said}): an API allows a key 15 at a time by default, \
                 and each of them ends within 30 minutes; wait, use another key, or set connection.wait_for_token to true"
            ),
            Ok(Reply { status: 300..500, .. }) => {
                format!("no token from {url} ({said}): is it the API's token URL? edfi_api.oauth_url sets it")
            }
            Ok(_) => format!("no token from {url} ({said})"),
        };
        Error::api(match self.note {
            Some(note) if answer.is_ok() => format!("{text}; {note}"),
            _ => text,
        })
    }

    /// What no answer may show.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// An answer that was no acceptance, on one line, without what it repeats of the login. A secret that is too short to be searched
    /// for may stand anywhere in it, so that nothing of it is told.
    pub fn said(&self, answer: &Answer) -> String {
        match answer {
            Ok(reply) if self.secret.expose().len() < secrets::SHORTEST => reply.status.to_string(),
            _ => self.secrets.hide_in(in_words(answer)),
        }
    }
}

/// Whether the key has too many live tokens, which a short wait does not change.
pub fn too_many(reply: &Reply) -> bool {
    reply.status == 429 && refusal(reply).problem_type.is_some_and(|t| t.ends_with(":too-many-tokens"))
}

/// `expires_in`, if it can be believed.
fn lifetime(body: &Value) -> Duration {
    match body["expires_in"].as_f64() {
        Some(seconds) if seconds > 0.0 => Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64())),
        _ => USUAL_LIFETIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{TOO_MANY, status, token};
    use crate::exit::Exit;

    const URL: &str = "https://example.com/oauth/token";

    fn granted(answer: Answer, id: &str, secret: &str) -> Result<Grant> {
        Login::new(&Uri::from_static(URL), id, Secret::new(secret)).grant(&answer)
    }

    fn error(answer: Answer) -> String {
        error_of(answer, "key", "s3cret")
    }

    fn error_of(answer: Answer, id: &str, secret: &str) -> String {
        let error = granted(answer, id, secret).err().unwrap();
        assert_eq!(error.exit(), Exit::GivenUp);
        let text = error.to_string();
        assert!(text.contains(URL) && !text.contains(secret), "{text}");
        text
    }

    #[test]
    fn a_token_that_does_not_tell_its_life_lives_half_an_hour() {
        let lifetime = |answer| granted(answer, "key", "s3cret").unwrap().lifetime;
        for expires in [r#""#, r#","expires_in":0"#, r#","expires_in":"soon""#, r#","expires_in":-5"#] {
            let answer = status(200, &format!(r#"{{"access_token":"t"{expires}}}"#));
            assert_eq!(lifetime(answer), Duration::from_secs(1800), "{expires}");
        }
        assert_eq!(lifetime(token("t", 60)), Duration::from_secs(60));
        assert_eq!(lifetime(token("t", u64::MAX)), Duration::from_secs(365 * 86_400));
    }

    #[test]
    fn a_refused_login_names_the_keys_to_check_and_no_secret() {
        for refused in [400, 401] {
            let text = error(status(refused, r#"{"error":"invalid_client"}"#));
            let expected = format!("login refused by {URL} ({refused}, invalid_client): check edfi_api.client_id, ");
            assert!(text.starts_with(&expected), "{text}");
        }
    }

    #[test]
    fn a_colon_in_the_login_is_pointed_out() {
        for (id, secret) in [("a:b", "s3cret"), ("key", "s3cret:")] {
            assert!(error_of(status(400, ""), id, secret).contains("holds a ':', so the login goes in the form"));
        }
        assert!(!error(status(400, "")).contains("holds a ':'"));
    }

    #[test]
    fn a_secret_that_a_host_repeats_is_hidden() {
        let text = error(status(401, r#"{"error":"s3cret is wrong, and so is a2V5OnMzY3JldA=="}"#));
        assert!(text.contains("[secret] is wrong, and so is [secret]"), "{text}");
        let text = error_of(status(401, r#"{"error":"s3:cret is wrong, and so is s3%3Acret"}"#), "key", "s3:cret");
        assert!(text.contains("[secret] is wrong, and so is [secret]"), "{text}");
    }

    #[test]
    fn too_many_tokens_are_explained() {
        let text = error(status(429, TOO_MANY));
        assert!(text.contains("(limit is 15)") && text.contains("within 30 minutes"), "{text}");
        assert!(!error(status(429, "slow down")).contains("30 minutes"));
    }

    #[test]
    fn a_url_that_gives_no_tokens_is_doubted() {
        assert!(error(status(404, "")).contains("edfi_api.oauth_url"));
        let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(20_000));
        for body in ["<html>Welcome</html>", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#, "{}", &long] {
            assert!(error(status(200, body)).contains("gave no token"), "{body}");
        }
    }
}
