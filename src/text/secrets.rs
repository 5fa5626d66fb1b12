//! Hides secrets in texts from outside, in whatever encoding a host returns them.
//!
//! Some hosts repeat what they were sent, and their answers reach logs, results and rejects. JSON escapes (RFC 8259), percent and form
//! encoding (RFC 3986, WHATWG URL), references of HTML, and base64 (RFC 4648, both alphabets, at any place within a longer text) are all
//! recognised, mixed from character to character and one inside the other.

/// What stands in place of a secret.
pub const HIDDEN: &str = "[secret]";

/// Shorter secrets, in bytes, may stand in any text by chance and are not searched for.
pub const SHORTEST: usize = 6;

/// What was encoded more often is not recognised.
const DEEPEST: usize = 3;

/// The secrets that are searched for.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<Needle>);

#[derive(Clone)]
struct Needle {
    text: Vec<char>,
    is_base64: bool,
}

impl std::fmt::Debug for Needle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Secrets {
    /// Those of these that are long enough.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Secrets {
        let long = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST);
        let needles = long.flat_map(|secret| {
            let plain = Needle { text: secret.chars().collect(), is_base64: false };
            let encoded =
                (0..3).map(|before| Needle { text: within_base64(secret.as_bytes(), before), is_base64: true });
            std::iter::once(plain).chain(encoded)
        });
        Secrets(needles.collect())
    }

    /// The text without them; `None` if it holds none.
    pub fn hide(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut begins = [false; 256];
        self.0.iter().filter_map(|needle| needle.text.first()).for_each(|&c| mark(c, &mut begins));
        let (mut clean, mut copied, mut at) = (Vec::new(), 0, 0);
        while let Some(next) = text[at..].iter().position(|&b| begins[usize::from(b)]) {
            at += next;
            let found = self.0.iter().filter_map(|needle| Some((needle.end(text, at)?, needle.is_base64))).max();
            let Some((mut end, is_base64)) = found else {
                at += 1;
                continue;
            };
            clean.extend_from_slice(&text[copied..at]);
            if is_base64 {
                // The characters beside it hold bits of it too.
                clean.truncate(clean.iter().rposition(|b| !in_base64(b)).map_or(0, |last| last + 1));
                end += text[end..].iter().position(|b| !in_base64(b)).unwrap_or(text.len() - end);
            }
            clean.extend_from_slice(HIDDEN.as_bytes());
            (copied, at) = (end, end);
        }
        (copied > 0).then(|| {
            clean.extend_from_slice(&text[copied..]);
            clean
        })
    }

    /// The same of a text.
    pub fn hide_in(&self, text: String) -> String {
        self.hide(text.as_bytes()).map_or(text, |clean| String::from_utf8_lossy(&clean).into_owned())
    }
}

impl Needle {
    /// Where it ends if it begins here. A text that was cut off in the middle of it ends it too.
    fn end(&self, text: &[u8], start: usize) -> Option<usize> {
        let mut places = vec![start];
        for (number, &c) in self.text.iter().enumerate() {
            let mut next = Vec::new();
            for &place in &places {
                if place == text.len() && number >= SHORTEST {
                    return Some(place);
                }
                spellings(&text[place..], c, self.is_base64, &mut |length| next.push(place + length));
            }
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                return None;
            }
            places = next;
        }
        places.last().copied()
    }
}

/// Marks the bytes with which a character may begin.
fn mark(c: char, begins: &mut [bool; 256]) {
    let mut utf8 = [0; 4];
    for c in alike(c, true) {
        begins[usize::from(c.encode_utf8(&mut utf8).as_bytes()[0])] = true;
    }
    b"%\\&+".iter().for_each(|&b| begins[usize::from(b)] = true);
}

/// Hands over the length of every way in which the text begins with this character.
fn spellings(text: &[u8], c: char, is_base64: bool, hand_over: &mut dyn FnMut(usize)) {
    for c in alike(c, is_base64) {
        let mut utf8 = [0; 4];
        let utf8 = c.encode_utf8(&mut utf8).as_bytes();
        if text.starts_with(utf8) {
            hand_over(utf8.len());
        }
        match text.first() {
            Some(b'+') if c == ' ' => hand_over(1),
            Some(b'%') if c == '%' => {
                let again = |n: &usize| text[1..].starts_with("25".repeat(*n).as_bytes());
                (1..=DEEPEST).take_while(again).for_each(|n| hand_over(1 + 2 * n));
            }
            Some(b'%') => {
                in_turn(text, utf8.iter().map(|&b| u32::from(b)), percent).into_iter().for_each(&mut *hand_over)
            }
            Some(b'&') => reference(text, c).into_iter().for_each(&mut *hand_over),
            Some(b'\\') => escape(text, c, hand_over),
            _ => {}
        }
    }
}

/// The characters that stand for this one: base64 has two alphabets.
fn alike(c: char, is_base64: bool) -> impl Iterator<Item = char> {
    let other = match c {
        '+' => Some('-'),
        '/' => Some('_'),
        _ => None,
    };
    std::iter::once(c).chain(other.filter(|_| is_base64))
}

/// The length of these units one after the other, where `unit` tells that of one at the beginning of a text.
fn in_turn(text: &[u8], units: impl Iterator<Item = u32>, unit: fn(&[u8], u32) -> Option<usize>) -> Option<usize> {
    let mut length = 0;
    for value in units {
        length += unit(&text[length..], value)?;
    }
    Some(length)
}

/// `%2B`, and `%252B`, which was encoded twice.
fn percent(text: &[u8], byte: u32) -> Option<usize> {
    let mut rest = text.strip_prefix(b"%")?;
    for _ in 0..DEEPEST {
        if hex(rest, 2) == Some(byte) {
            return Some(text.len() - rest.len() + 2);
        }
        rest = rest.strip_prefix(b"25")?;
    }
    None
}

/// `\u002B`, behind more backslashes where it was encoded more than once.
fn unicode(text: &[u8], unit: u32) -> Option<usize> {
    let rest = unescaped(text);
    let digits = rest.strip_prefix(b"u").filter(|_| rest.len() < text.len())?;
    (hex(digits, 4) == Some(unit)).then_some(text.len() - digits.len() + 4)
}

/// The escapes of JSON.
fn escape(text: &[u8], c: char, hand_over: &mut dyn FnMut(usize)) {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter().map(|&unit| u32::from(unit));
    in_turn(text, units, unicode).into_iter().for_each(&mut *hand_over);
    let rest = unescaped(text);
    let run = text.len() - rest.len();
    let letter = match c {
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        c => u8::try_from(c).unwrap_or(0),
    };
    match c {
        // One or more of them stand for one.
        '\\' => (2..=run).for_each(hand_over),
        '"' | '/' | '\'' | '\n' | '\r' | '\t' if rest.first() == Some(&letter) => hand_over(run + 1),
        _ => {}
    }
}

/// `&#x2B;`, `&#43;`, `&amp;`, and what was encoded twice (`&amp;#43;`).
fn reference(text: &[u8], c: char) -> Option<usize> {
    let mut rest = text.strip_prefix(b"&")?;
    let name = match c {
        '&' => "amp",
        '<' => "lt",
        '>' => "gt",
        '"' => "quot",
        '\'' => "apos",
        '+' => "plus",
        _ => "",
    };
    loop {
        let end = rest.iter().take(10).position(|&b| b == b';')?;
        let inner = std::str::from_utf8(&rest[..end]).ok()?;
        let number = inner.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        });
        let (is_name, after) = (inner == name && !name.is_empty(), &rest[end + 1..]);
        let goes_on = || after.iter().take(10).any(|&b| b == b';');
        if number == Some(u32::from(c)) || is_name && !(inner == "amp" && after.starts_with(b"amp;")) {
            return Some(text.len() - after.len());
        }
        if inner != "amp" || !goes_on() {
            return None;
        }
        rest = after;
    }
}

/// The number that so many hexadecimal digits make.
fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let digits = text.get(..digits).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The text behind the backslashes at its beginning, as many as [`DEEPEST`] encodings make of one.
fn unescaped(text: &[u8]) -> &[u8] {
    &text[text.iter().take(1 << DEEPEST).take_while(|&&b| b == b'\\').count()..]
}

/// What base64 makes of these bytes behind so many others of the same group, without the characters that hold bits of others.
fn within_base64(bytes: &[u8], before: usize) -> Vec<char> {
    let padded = [&vec![0; before][..], bytes].concat();
    let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    base64(&padded).chars().take(last).skip(first).collect()
}

/// Base64 with padding (RFC 4648 section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn in_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a+b/c=d&e%f\"g\\h é<i>'j";

    fn hidden(secret: &str, text: &str) -> String {
        Secrets::of([secret]).hide_in(text.to_owned())
    }

    /// Numbers that look random and are the same in every run.
    fn dice(seed: u64) -> impl FnMut(usize) -> usize {
        let mut state = seed;
        move |end| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % end
        }
    }

    fn percents(text: &str) -> String {
        text.bytes().map(|b| format!("%{b:02x}")).collect()
    }

    /// A character in one of its spellings.
    fn spelled(c: char, way: usize) -> String {
        match way {
            0 => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
            1 => percents(&c.to_string()),
            2 => format!("&#x{:x};", u32::from(c)),
            3 => format!("&#{};", u32::from(c)),
            4 => percents(&c.to_string()).replace('%', "%25"),
            5 => serde_json::to_string(&c).unwrap().trim_matches('"').replace("\\\\\"", "\\\"").to_string(),
            _ => c.to_string(),
        }
    }

    #[test]
    fn a_secret_is_hidden_however_each_of_its_characters_is_written() {
        let mut dice = dice(7);
        let characters: Vec<char> = "abcXYZ019+/=&%\"\\ é<>'-_.~😀".chars().collect();
        for round in 0..2_000 {
            let secret: String = (0..6 + dice(20)).map(|_| characters[dice(characters.len())]).collect();
            let one_way = dice(8);
            let text: String =
                secret
                    .chars()
                    .map(|c| {
                        if c == '"' {
                            "\\\"".into()
                        } else {
                            spelled(c, if round % 2 == 0 { one_way } else { dice(8) })
                        }
                    })
                    .collect();
            let told = hidden(&secret, &format!("No <{text}> here"));
            assert_eq!(told, "No <[secret]> here", "{secret} as {text}");
        }
    }

    #[test]
    fn a_secret_is_hidden_within_base64_wherever_it_stands_there() {
        let mut dice = dice(11);
        for round in 0..600 {
            let secret: String = (0..6 + dice(30)).map(|_| char::from(33 + dice(94) as u8)).collect();
            let text = format!("{}{secret}{}", "x".repeat(round % 7), "y".repeat(dice(5)));
            let mut text = base64(text.as_bytes());
            if round % 2 == 0 {
                text = text.replace('+', "-").replace('/', "_").trim_end_matches('=').into();
            }
            assert_eq!(hidden(&secret, &format!("it is '{text}'")), "it is '[secret]'", "{secret}");
            let text = text.replace('+', "\\u002b").replace('/', "%2F");
            assert!(hidden(&secret, &text).contains(HIDDEN), "{secret} {text}");
        }
    }

    #[test]
    fn the_forms_of_real_hosts_are_hidden() {
        let json = serde_json::to_string(SECRET).unwrap();
        let twice = serde_json::to_string(&json).unwrap();
        let html = SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let form = percents(SECRET).replace("%20", "+");
        for text in [SECRET, json.trim_matches('"'), &twice, &html, &html.replace('&', "&amp;"), &form] {
            let told = hidden(SECRET, text);
            assert!(told.contains(HIDDEN) && told.len() < HIDDEN.len() + 10, "{text}: {told}");
        }
        assert_eq!(hidden("s3cret-value", "cut off: s3cret-va"), "cut off: [secret]");
    }

    #[test]
    fn texts_without_a_secret_stay_as_they_are_and_short_secrets_are_not_searched_for() {
        assert_eq!(Secrets::of(["s3cret-value"]).hide(b"s3cret- value %73 \\u0073 &#115; &amp"), None);
        assert_eq!(Secrets::of(["short", ""]).hide(b"short"), None);
        assert_eq!(Secrets::default().hide(b"s3cret-value"), None);
        let long = "\\".repeat(20_000);
        assert_eq!(Secrets::of([&"\\".repeat(40)[..], "x\\\\\\\\\\"]).hide("%&+".repeat(6_000).as_bytes()), None);
        assert!(Secrets::of([&long[..40]]).hide(long.as_bytes()).is_some());
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }
}
