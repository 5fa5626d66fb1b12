//! Secrets that YAML does not read as they were meant. A secret may begin with `%`, `@`, `*`, `!` or `#`, and YAML then
//! reads a directive, an alias, a tag or a comment. The text of the file shows that, and no message shows the secret.

use std::path::Path;

/// The keys that hold what somebody else made up, by the end of their names.
const KEYS: [&str; 3] = ["client_secret", "client_id", "proxy"];

/// The lines, counted from 1, and keys of values without quotes that YAML reads as something else than text. That is a
/// fault only where the file cannot be read, or such a value is missing: an alias may be meant.
pub fn needed(text: &str) -> Vec<(usize, String)> {
    values(text).filter(|(.., value)| is_special(value)).map(|(line, key, _)| (line, key)).collect()
}

/// What to do about them.
pub fn told(file: &Path, needed: &[(usize, String)]) -> Vec<String> {
    let told = |(line, key): &(usize, String)| {
        format!("{}:{line}: {key}: YAML does not read this value as a text; put it in quotes", file.display())
    };
    needed.iter().map(told).collect()
}

/// Warnings about values that end where a comment begins that may be part of them.
pub fn doubts(file: &Path, text: &str) -> Vec<String> {
    let cut =
        |value: &str| value.split_once(" #").is_some_and(|(_, rest)| rest.starts_with(|c: char| !c.is_whitespace()));
    let told = |(line, key, _): (usize, String, &str)| {
        let place = file.display();
        format!("{place}:{line}: {key}: what follows the # is a comment; if it belongs to the value, put it in quotes")
    };
    values(text).filter(|(.., value)| cut(value)).map(told).collect()
}

/// Each line with a value without quotes of one of these keys.
fn values(text: &str) -> impl Iterator<Item = (usize, String, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let (key, value) = KEYS.iter().find_map(|key| value_of(line, key))?;
        (!value.starts_with(['"', '\''])).then_some((index + 1, key, value))
    })
}

/// The whole name of a key that ends so, and what stands behind it in the line.
fn value_of<'a>(line: &'a str, ending: &str) -> Option<(String, &'a str)> {
    let at = line.find(ending)?;
    let (before, after) = (&line[..at], &line[at + ending.len()..]);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let start = before.rfind(|c| !is_part(c)).map_or(0, |at| at + 1);
    // No key within a comment.
    if before[..start].contains('#') {
        return None;
    }
    let value = after.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?;
    let value = value.strip_prefix([' ', '\t'])?.trim();
    (!value.is_empty()).then(|| (format!("{}{ending}", &before[start..]), value))
}

fn is_special(value: &str) -> bool {
    let is_block = matches!(value.trim_end_matches(['-', '+']), "|" | ">");
    // A name in braces is a text.
    !is_block
        && !value.starts_with("${")
        && (value.starts_with(['%', '@', '*', '!', '&', '`', '|', '>', '[', ']', '{', '}', ',', '#', '?', '~', '-'])
            || value.contains(": ")
            || value.ends_with(':')
            || ["null", "Null", "NULL"].contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_takes_for_something_else_is_found_with_its_line_and_key() {
        for value in ["%a", "@a", "*a", "!a", "&a", "`a", "#a", "[a", "{a", "|a", ">a", "a: b", "a:", "~", "- a"] {
            let text = format!("state_dir: x\nedfi_api:\n  client_secret: {value}\n");
            assert_eq!(needed(&text), [(3, "client_secret".to_string())], "{value}");
        }
        assert_eq!(needed("edfi_api_client_id: @a"), [(1, "edfi_api_client_id".to_string())]);
        assert_eq!(needed("edfi_api: {client_id: a, client_secret: @b}"), [(1, "client_secret".to_string())]);
    }

    #[test]
    fn quotes_names_blocks_and_comments_are_left_alone() {
        for text in [
            "client_secret: '@a'",
            "client_secret: \"%a\"",
            "client_secret: ${A}",
            "client_secret: |",
            "client_secret: >-",
            "client_secret: a%b#c",
            "# client_secret: @a",
            "client_secret:",
            "client_secret_file: x",
            "secret: @a",
        ] {
            assert_eq!(needed(text), [], "{text}");
        }
    }

    #[test]
    fn a_comment_that_may_be_part_of_a_secret_is_pointed_out() {
        let told = |text| doubts(Path::new("f"), text).len();
        assert_eq!(told("client_secret: hid #den"), 1);
        assert_eq!(told("client_secret: ${A} # from the vault"), 0);
        assert_eq!(told("client_secret: 'hid #den'"), 0);
    }
}
