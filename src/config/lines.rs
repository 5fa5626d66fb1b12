//! Which line of a YAML text a key is on. The YAML reader keeps no line numbers, and every message about the
//! configuration is to tell one.

use std::collections::BTreeMap;

/// The lines, counted from 1, of the keys and list items that stand in block style, told by indentation. What stands
/// in flow style (`{…}`, `[…]`) within one line has the line of the key before it.
pub struct Lines {
    by_path: BTreeMap<Vec<String>, Spots>,
}

/// Where a path stands for the first and for the last time.
#[derive(Clone, Copy)]
struct Spots {
    first: usize,
    last: usize,
}

/// A key or a list item that is open at some line: what is indented more deeply belongs to it.
struct Open {
    /// Twice the indentation, and one more for a list item, which may stand as far left as the key of its list.
    depth: usize,
    /// A key's name, or the index of a list item.
    name: String,
}

impl Lines {
    /// Reads them off the text.
    pub fn of(text: &str) -> Lines {
        let mut by_path: BTreeMap<Vec<String>, Spots> = BTreeMap::new();
        let mut open: Vec<Open> = Vec::new();
        let mut block_scalar_of: Option<usize> = None;
        for (index, line) in text.lines().enumerate() {
            let mut rest = line.trim_start();
            let mut indent = line.len() - rest.len();
            if rest.is_empty() || block_scalar_of.is_some_and(|owner| indent > owner) {
                continue;
            }
            block_scalar_of = None;
            let begins_at = indent;
            loop {
                let (opened, after) = if let Some(after) = list_item(rest) {
                    let depth = 2 * indent + 1;
                    let before = open.iter().find(|o| o.depth == depth).and_then(|o| o.name.parse::<usize>().ok());
                    (Open { depth, name: before.map_or(0, |n| n + 1).to_string() }, after)
                } else if let Some((name, after)) = key(rest) {
                    (Open { depth: 2 * indent, name }, after)
                } else {
                    break;
                };
                let is_item = opened.depth % 2 == 1;
                open.retain(|o| o.depth < opened.depth);
                open.push(opened);
                let line = index + 1;
                let path = open.iter().map(|o| o.name.clone()).collect();
                by_path.entry(path).or_insert(Spots { first: line, last: line }).last = line;
                if after.starts_with(['|', '>']) {
                    block_scalar_of = Some(begins_at);
                }
                indent += rest.len() - after.len();
                rest = after;
                if !is_item {
                    break;
                }
            }
        }
        Lines { by_path }
    }

    /// The line of the key (or list item, by its index) at `path`, the last one if it stands there more than once; of
    /// the nearest key above it where it has none of its own; and 1 where there is nothing above it either.
    pub fn line(&self, path: &[String]) -> usize {
        self.first_and_last(path).1
    }

    /// The same, and where it stands first.
    pub fn first_and_last(&self, path: &[String]) -> (usize, usize) {
        let spots = (1..=path.len()).rev().find_map(|n| self.by_path.get(&path[..n]));
        spots.map_or((1, 1), |spots| (spots.first, spots.last))
    }
}

/// What follows `- `, from its first letter.
fn list_item(text: &str) -> Option<&str> {
    let after = text.strip_prefix('-')?;
    (after.is_empty() || after.starts_with(' ')).then(|| after.trim_start())
}

/// A key and what follows its colon, from its first letter.
fn key(text: &str) -> Option<(String, &str)> {
    let (name, after) = match text.chars().next()? {
        '#' | '[' | '{' => return None,
        quote @ ('"' | '\'') => text[1..].split_once(quote)?,
        _ => {
            let colon = text.match_indices(':').map(|(at, _)| at).find(|at| is_end_of_key(&text[at + 1..]))?;
            text.split_at(colon)
        }
    };
    let after = after.trim_start().strip_prefix(':')?;
    (is_end_of_key(after) && !name.contains(" #")).then(|| (name.trim_end().to_string(), after.trim_start()))
}

fn is_end_of_key(after_colon: &str) -> bool {
    after_colon.is_empty() || after_colon.starts_with([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, path: &str) -> usize {
        Lines::of(text).line(&path.split('/').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_nested_key_has_its_own_line() {
        let text =
            "# head\n\nedfi_api:\n  base_url: https://localhost/api # x: y\n\n  year: 2024\nconnection:\n    year: 1\n";
        assert_eq!(line(text, "edfi_api"), 3);
        assert_eq!(line(text, "edfi_api/base_url"), 4);
        assert_eq!(line(text, "edfi_api/year"), 6);
        assert_eq!(line(text, "connection/year"), 8);
    }

    #[test]
    fn list_items_have_their_lines_wherever_they_are_indented() {
        let deeper = "a:\n  b:\n    - 1\n    - 2\n  c: 3\n";
        assert_eq!(line(deeper, "a/b/1"), 4);
        assert_eq!(line(deeper, "a/c"), 5);
        let level = "a:\n- 1\n- x: 2\n  y: 3\n- 4\nb: 5\n";
        assert_eq!(line(level, "a/0"), 2);
        assert_eq!(line(level, "a/1/x"), 3);
        assert_eq!(line(level, "a/1/y"), 4);
        assert_eq!(line(level, "a/2"), 5);
        assert_eq!(line(level, "b"), 6);
    }

    #[test]
    fn what_stands_in_flow_style_has_the_line_of_the_key_before_it() {
        let text = "x: 1\na: {b: 1, c: [2, 3]}\n";
        assert_eq!(line(text, "a/c/1"), 2);
        assert_eq!(line("{a: 1}\n", "a"), 1);
    }

    #[test]
    fn quoted_keys_and_colons_within_keys_and_values_are_told_apart() {
        let text = "\"a\": 1\n'b:c' : 2\nd:e: 3\nf: 'x: y'\n# g: 1\n";
        for (key, expected) in [("a", 1), ("b:c", 2), ("d:e", 3), ("f", 4)] {
            assert_eq!(line(text, key), expected, "{key}");
        }
        assert!(!Lines::of(text).by_path.contains_key(&["# g".to_string()][..]));
    }

    #[test]
    fn a_block_of_text_holds_no_keys() {
        let text = "a: |\n  b: 1\n\n  c: 2\nb: 3\nd:\n  - >-\n    e: 1\n  - f: 2\n";
        assert_eq!(line(text, "a/b"), 1);
        assert_eq!(line(text, "b"), 5);
        assert_eq!(line(text, "d/0/e"), 7);
        assert_eq!(line(text, "d/1/f"), 9);
    }
}
