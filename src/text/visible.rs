//! What reaches a terminal or a log is text and nothing else. Names, answers and payloads come from outside: what they hold
//! may move the cursor, colour what follows, hide it, or write it backwards.

use std::borrow::Cow;
use std::path::Path;

/// What stands for a character that is not shown.
const INSTEAD: char = '\u{FFFD}';

/// The text without control characters (C0 and C1) and without those of Unicode's category Cf. Line ends and tabs stay:
/// tables are made of them.
pub fn clean(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| !matches!(c, '\n' | '\t') && is_hidden(c);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_bad(c) { INSTEAD } else { c }).collect())
}

/// A text as one line of a log: the same, and what follows a line end is indented, so that no text looks like a line of its
/// own.
pub fn clean_line(text: &str) -> Cow<'_, str> {
    match clean(text) {
        text if text.contains('\n') => Cow::Owned(text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n    ")),
        text => text,
    }
}

/// A path as it stands within a line of a table or summary.
pub fn path(path: &Path) -> String {
    clean(&path.display().to_string().replace(['\n', '\t'], &INSTEAD.to_string())).into_owned()
}

/// A JSON text with such characters escaped. They can stand within strings only.
pub fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(is_hidden_in_json) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_hidden_in_json(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}"))),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// JSON's own white space between members stays.
fn is_hidden_in_json(c: char) -> bool {
    !matches!(c, '\n' | '\r' | '\t') && is_hidden(c)
}

/// The categories Cc and Cf of Unicode 16.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}'..='\u{891}' | '\u{8E2}'
            | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}'
            | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0001}'
            | '\u{E0020}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_or_hides_text_is_left() {
        let hostile = "a\u{1b}[31mb\u{9b}2Jc\u{7}d\re\u{202e}f\u{feff}g\u{0}h\u{e0041}i";
        assert_eq!(clean(hostile), "a\u{fffd}[31mb\u{fffd}2Jc\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}g\u{fffd}h\u{fffd}i");
        let plain = "Grâce\t日本 👩 ½\nnext";
        assert!(matches!(clean(plain), Cow::Borrowed(text) if text == plain));
    }

    #[test]
    fn what_follows_a_line_end_in_a_log_is_indented() {
        assert_eq!(clean_line("2 faults:\n  one\n  two"), "2 faults:\n    one\n    two");
        assert_eq!(
            clean_line("a\n2026-11-26 12:00:00 lightbeam INFO    all accepted"),
            "a\n    2026-11-26 12:00:00 lightbeam INFO    all accepted"
        );
    }

    #[test]
    fn json_keeps_what_it_holds() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}\u{202e}\u{e0041}\u{7f} é"});
        let text = value.to_string();
        let escaped = escaped(&text);
        assert!(!escaped.contains(is_hidden), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
