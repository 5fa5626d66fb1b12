//! An answer, and how it is put on the wire.

use std::borrow::Cow;
use std::io::Write;

/// The type of a body of JSON.
pub const JSON: &str = "application/json; charset=utf-8";

/// What a request is answered.
#[derive(Clone, Debug, Default)]
pub struct Answer<'s> {
    /// The HTTP status.
    pub status: u16,
    /// The type of the body, if there is one.
    pub content_type: Cow<'static, str>,
    /// The body.
    pub body: Cow<'s, [u8]>,
    /// The resource (`ed-fi/students`) and the id of the item that was stored.
    pub location: Option<(&'s str, u128)>,
    /// The version of the item or document.
    pub etag: Option<u64>,
    /// How many items there are in all.
    pub total_count: Option<usize>,
    /// Where the next page begins.
    pub next_page_token: Option<String>,
    /// After how many seconds to come again.
    pub retry_after: Option<u64>,
    /// The path to which a redirect leads.
    pub redirect: Option<&'static str>,
}

impl<'s> Answer<'s> {
    /// Nothing but a status.
    pub fn empty(status: u16) -> Answer<'s> {
        Answer { status, ..Answer::default() }
    }

    /// A body of JSON.
    pub fn json(status: u16, body: impl Into<Cow<'s, [u8]>>) -> Answer<'s> {
        Answer { status, content_type: JSON.into(), body: body.into(), ..Answer::default() }
    }

    /// A page for people.
    pub fn page(status: u16, html: &'static str) -> Answer<'s> {
        let body = Cow::Borrowed(html.as_bytes());
        Answer { status, content_type: "text/html; charset=utf-8".into(), body, ..Answer::default() }
    }

    /// Puts it on `wire`. `base` is the address of the sandbox; `closes` tells the client that the connection ends.
    pub fn write(&self, base: &str, closes: bool, wire: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = self.try_write(base, closes, wire);
    }

    fn try_write(&self, base: &str, closes: bool, wire: &mut Vec<u8>) -> std::io::Result<()> {
        write!(wire, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status))?;
        if let Some((resource, id)) = self.location {
            write!(wire, "Location: {base}/data/v3/{resource}/{id:032x}\r\n")?;
        }
        if let Some(path) = self.redirect {
            write!(wire, "Location: {base}{path}\r\n")?;
        }
        if let Some(etag) = self.etag {
            write!(wire, "ETag: \"{etag}\"\r\n")?;
        }
        if let Some(count) = self.total_count {
            write!(wire, "Total-Count: {count}\r\n")?;
        }
        if let Some(token) = &self.next_page_token {
            write!(wire, "Next-Page-Token: {token}\r\n")?;
        }
        if let Some(seconds) = self.retry_after {
            write!(wire, "Retry-After: {seconds}\r\n")?;
        }
        if !self.content_type.is_empty() {
            write!(wire, "Content-Type: {}\r\n", self.content_type)?;
        }
        if closes {
            wire.extend_from_slice(b"Connection: close\r\n");
        }
        // 204 and 304 have no body by definition, and 204 must not tell a length (RFC 9110, 8.6).
        if self.status != 204 {
            write!(wire, "Content-Length: {}\r\n", self.body.len())?;
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&self.body);
        Ok(())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Answer<'_>) -> String {
        let mut wire = Vec::new();
        answer.write("http://here", false, &mut wire);
        String::from_utf8(wire).unwrap()
    }

    #[test]
    fn an_answer_is_written_with_what_it_has_and_no_more() {
        assert_eq!(written(&Answer::empty(204)), "HTTP/1.1 204 No Content\r\n\r\n");
        let created = Answer { location: Some(("ed-fi/schools", 0xab)), etag: Some(7), ..Answer::empty(201) };
        let location = format!("http://here/data/v3/ed-fi/schools/{}ab", "0".repeat(30));
        let expected =
            format!("HTTP/1.1 201 Created\r\nLocation: {location}\r\nETag: \"7\"\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(written(&created), expected);
        let text = written(&Answer { retry_after: Some(3), total_count: Some(5), ..Answer::json(200, &b"[]"[..]) });
        for header in
            ["Retry-After: 3\r\n", "Total-Count: 5\r\n", "Content-Length: 2\r\n", "Content-Type: application/json"]
        {
            assert!(text.contains(header), "{text}");
        }
        assert!(text.ends_with("\r\n\r\n[]"));
    }
}
