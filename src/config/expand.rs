//! Replaces `${NAME}` in values, and `${NAME:-default}`, as a shell does. A `$` that no `{` follows stays, so that
//! passwords may hold one.

use super::yaml::{Content, Node, Text};

/// Why a value could not be expanded. Nothing in it shows the value.
#[derive(Debug, PartialEq)]
pub enum Trouble {
    /// A name stands for nothing.
    Unset {
        /// Where, as [`Node::line`].
        line: Option<usize>,
        /// The name.
        name: String,
        /// Whether it is set, but all of the value is empty.
        is_empty: bool,
    },
    /// A `${` that cannot be understood.
    Malformed {
        /// Where, as [`Node::line`].
        line: Option<usize>,
        /// What is wrong and what to do.
        message: String,
    },
}

/// The same piece of YAML with every `${NAME}` of its texts replaced by what `look_up` gives. What comes from
/// there is not looked into again.
pub fn expand(node: Node, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Node, Trouble> {
    let line = node.line;
    let content = match node.content {
        Content::Null => Content::Null,
        Content::Text(text) => Content::Text(expand_text(text, line, look_up)?),
        Content::List(items) => Content::List(items.into_iter().map(|n| expand(n, look_up)).collect::<Result<_, _>>()?),
        Content::Mapping(entries) => {
            let expand_entry = |(name, node)| Ok((name, expand(node, look_up)?));
            Content::Mapping(entries.into_iter().map(expand_entry).collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { line, content })
}

fn expand_text(text: Text, line: Option<usize>, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Text, Trouble> {
    let malformed = |message: &str| Trouble::Malformed { line, message: message.into() };
    let unset = |name: &str, is_empty| Trouble::Unset { line, name: name.into(), is_empty };
    let mut expanded = String::new();
    let (mut first, mut rest) = (None, text.value.as_str());
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').ok_or_else(|| malformed("a ${ lacks its }"))?;
        if inside.contains("${") {
            return Err(malformed("a ${ within another one is not understood"));
        }
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        let value = look_up(name).filter(|value| default.is_none() || !value.is_empty());
        expanded.push_str(before);
        expanded.push_str(&value.or_else(|| default.map(String::from)).ok_or_else(|| unset(name, false))?);
        first = first.or(Some(name));
        rest = behind;
    }
    let Some(first) = first else { return Ok(text) };
    expanded.push_str(rest);
    match expanded.is_empty() {
        true => Err(unset(first, true)),
        false => Ok(Text { value: expanded, template: Some(text.value) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn look_up(name: &str) -> Option<String> {
        match name {
            "A" => Some("1".into()),
            "B" => Some("${A}".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    /// The texts in a YAML text once expanded.
    fn texts(yaml: &str) -> Result<Vec<String>, Trouble> {
        fn collect(node: &Node) -> Vec<String> {
            match &node.content {
                Content::Null => vec![],
                Content::Text(text) => vec![text.value.clone()],
                Content::List(items) => items.iter().flat_map(collect).collect(),
                Content::Mapping(entries) => entries.iter().flat_map(|(_, node)| collect(node)).collect(),
            }
        }
        let node = yaml::read(yaml).unwrap_or_else(|e| panic!("{}", e.message)).node;
        expand(node, &look_up).map(|node| collect(&node))
    }

    fn trouble(yaml: &str) -> Trouble {
        texts(yaml).map_or_else(|e| e, |found| panic!("{found:?}"))
    }

    fn unset(line: usize, name: &str, is_empty: bool) -> Trouble {
        Trouble::Unset { line: Some(line), name: name.into(), is_empty }
    }

    #[test]
    fn names_are_replaced_wherever_they_stand() {
        let yaml = "a: x${A}y${A}\nb: [${A}, {c: 'x${EMPTY}'}]\nd: {e: \"${A}\"}\n";
        assert_eq!(texts(yaml), Ok(vec!["x1y1".into(), "1".into(), "x".into(), "1".into()]));
    }

    #[test]
    fn a_dollar_without_a_brace_stays() {
        assert_eq!(texts("[pa$HOME, $, a$$b, '{A}']"), Ok(["pa$HOME", "$", "a$$b", "{A}"].map(String::from).to_vec()));
    }

    #[test]
    fn what_a_name_stands_for_is_not_looked_into_again() {
        assert_eq!(texts("${B}"), Ok(vec!["${A}".into()]));
    }

    #[test]
    fn a_name_that_stands_for_nothing_has_its_line_even_within_a_list() {
        assert_eq!(trouble("a: 1\nb:\n  - x\n  - secret${NO}\n"), unset(4, "NO", false));
        assert_eq!(trouble("a: '${}'"), unset(1, "", false));
        assert_eq!(trouble("a: 1\nb: ${EMPTY}${EMPTY}"), unset(2, "EMPTY", true));
    }

    #[test]
    fn a_default_stands_in_for_what_is_unset_or_empty() {
        let yaml = "[${NO:-x}, ${EMPTY:-y}, ${A:-z}, 'a${NO:-}', ${NO:-a:-b}, ${NO:-/var/lib}]";
        assert_eq!(texts(yaml), Ok(["x", "y", "1", "a", "a:-b", "/var/lib"].map(String::from).to_vec()));
        assert_eq!(trouble("a: ${NO:-}"), unset(1, "NO", true));
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        let malformed = |message: &str| Trouble::Malformed { line: Some(1), message: message.into() };
        assert_eq!(trouble("a: secret${A"), malformed("a ${ lacks its }"));
        assert_eq!(trouble("a: '${NO:-${A}}'"), malformed("a ${ within another one is not understood"));
    }
}
