//! One spelling for each URL, so that one target has one state and one lock however its address is written (RFC 3986
//! section 6.2.2 and 6.2.3). What only a resolver or the server knows stays: `localhost` is not `127.0.0.1`.

/// The URL with its scheme and host in lower case, without the scheme's own port and a dot behind the host, without dot
/// segments, and with no more escapes than it needs. A text that is not a URL stays as it is.
pub fn normal(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    format!("{scheme}://{}{}{query}", host(&scheme, authority), without_dots(&escaped_once(path)))
}

fn host(scheme: &str, authority: &str) -> String {
    let (user, place) = authority.rsplit_once('@').map_or(("", authority), |(user, place)| (user, place));
    // Within the brackets of an IPv6 address, colons begin no port.
    let port = place.rfind(':').filter(|at| !place[*at..].contains(']'));
    let (name, port) = place.split_at(port.unwrap_or(place.len()));
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let port = match (scheme, port) {
        (_, ":") | ("http", ":80") | ("https", ":443") => "",
        (_, port) => port,
    };
    let at = if user.is_empty() { "" } else { "@" };
    format!("{user}{at}{name}{port}")
}

/// Letters, digits and `-._~` need no escape; other escapes are in capitals.
fn escaped_once(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => plain.push(char::from(byte)),
            Some(byte) => plain.push_str(&format!("%{byte:02X}")),
            None => plain.push('%'),
        }
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    plain + rest
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for (number, segment) in segments.iter().enumerate() {
        let is_last = number + 1 == segments.len();
        match *segment {
            "." | ".." => {
                // The first one is what stands before the slash at the beginning.
                if *segment == ".." && kept.len() > 1 {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_url_are_one() {
        for (url, expected) in [
            ("HTTP://LocalHost:80/Api", "http://localhost/Api"),
            ("https://example.org:443", "https://example.org"),
            ("https://example.org.:8443/", "https://example.org:8443/"),
            ("https://example.org:/a", "https://example.org/a"),
            ("http://example.org:443/", "http://example.org:443/"),
            ("http://[::1]:80/a", "http://[::1]/a"),
            ("http://[::FFFF:127.0.0.1]", "http://[::ffff:127.0.0.1]"),
            ("https://h/a/./b/../c", "https://h/a/c"),
            ("https://h/../../a/..", "https://h/"),
            ("https://h/%7euser/%2f/%c3%a9", "https://h/~user/%2F/%C3%A9"),
            ("https://h/100%/x%zz", "https://h/100%/x%zz"),
            ("https://h/a?b=/../%7e#c", "https://h/a?b=/../%7e#c"),
            ("https://h//a//", "https://h//a//"),
            ("https://User@H/{schoolYear}", "https://User@h/{schoolYear}"),
            ("not a URL", "not a URL"),
        ] {
            assert_eq!(normal(url), expected, "{url}");
            assert_eq!(normal(expected), expected);
        }
    }
}
