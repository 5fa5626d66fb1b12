//! Names characters that nobody sees and that JSON does not take: an editor shows a line that begins with one as if nothing were wrong.

/// What such a character is called; `None` of those that one sees, and of the white space that JSON takes.
pub fn name(character: char) -> Option<String> {
    let name = match character {
        ' ' | '\t' | '\n' | '\r' => return None,
        '\0' => "a null character",
        '\u{B}' => "a vertical tab",
        '\u{C}' => "a form feed",
        '\u{1A}' => "the end-of-file character of DOS",
        '\u{1C}' => "a file separator",
        '\u{1D}' => "a group separator",
        '\u{1E}' => "a record separator",
        '\u{1F}' => "a unit separator",
        '\u{85}' => "a next-line character",
        '\u{A0}' => "a no-break space",
        '\u{AD}' => "a soft hyphen",
        '\u{180E}' => "a Mongolian vowel separator",
        '\u{2007}' => "a figure space",
        '\u{200B}' => "a zero-width space",
        '\u{200C}' => "a zero-width non-joiner",
        '\u{200D}' => "a zero-width joiner",
        '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            "a mark of the direction of writing"
        }
        '\u{2028}' => "a line separator",
        '\u{2029}' => "a paragraph separator",
        '\u{202F}' => "a narrow no-break space",
        '\u{2060}' => "a word joiner",
        '\u{3000}' => "an ideographic space",
        '\u{FEFF}' => "a byte order mark",
        other if other.is_whitespace() => "an unusual space",
        other if other.is_control() => "a control character",
        '\u{2061}'..='\u{2064}' | '\u{206A}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' => "an invisible character",
        _ => return None,
    };
    Some(format!("{name} (U+{:04X})", u32::from(character)))
}

/// What to report of a text that is not JSON because of such a character: at its beginning, at its end, or where reading
/// stopped, the place of a byte counted from 1.
pub fn fault(text: &str, stopped_at: Option<usize>) -> Option<String> {
    let first = || name(text.chars().next()?).map(|name| format!("the line begins with {name}; remove it"));
    let last = || name(text.chars().next_back()?).map(|name| format!("the line ends with {name}; remove it"));
    let within = || {
        let at = stopped_at?.checked_sub(1)?;
        // Some readers stop within a character.
        let start = (0..=at.min(text.len())).rev().find(|&start| text.is_char_boundary(start))?;
        name(text[start..].chars().next()?).map(|name| format!("there is {name} between its parts; remove it"))
    };
    first().or_else(within).or_else(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_has_a_name_and_what_one_sees_has_none() {
        for (character, expected) in [
            ('\u{FEFF}', "a byte order mark (U+FEFF)"),
            ('\u{1E}', "a record separator (U+001E)"),
            ('\u{A0}', "a no-break space (U+00A0)"),
            ('\u{200B}', "a zero-width space (U+200B)"),
            ('\u{2028}', "a line separator (U+2028)"),
            ('\u{3000}', "an ideographic space (U+3000)"),
            ('\u{1}', "a control character (U+0001)"),
            ('\u{2003}', "an unusual space (U+2003)"),
        ] {
            assert_eq!(name(character).as_deref(), Some(expected));
        }
        for character in ['{', '"', 'é', '語', ' ', '\t', '\u{301}'] {
            assert_eq!(name(character), None, "{character:?}");
        }
    }

    #[test]
    fn a_character_is_named_where_it_stands() {
        let fault = |text: &str, at| fault(text, at).unwrap_or_default();
        assert_eq!(fault("\u{FEFF}{}", Some(1)), "the line begins with a byte order mark (U+FEFF); remove it");
        assert_eq!(
            fault("{}\u{1A}", Some(3)),
            "there is the end-of-file character of DOS (U+001A) between its parts; remove it"
        );
        assert_eq!(
            fault("{\"é\":\u{A0}1}", Some(7)),
            "there is a no-break space (U+00A0) between its parts; remove it"
        );
        assert_eq!(fault("{}\u{3000}", None), "the line ends with an ideographic space (U+3000); remove it");
        assert_eq!(fault("{\"a\":}", Some(6)), "");
        assert_eq!(fault("", Some(9)), "");
    }
}
