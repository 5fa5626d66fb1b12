//! Replaces `${NAME}` in values. A `$` that no `{` follows stays, so that passwords may hold one.

use super::yaml::{Content, Node, Text};

/// Why a value could not be expanded. Its message does not show the value.
#[derive(Debug, PartialEq)]
pub struct Unset {
    /// Where, as [`Node::line`].
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

/// The same piece of YAML with every `${NAME}` of its texts replaced by what `look_up` gives. What comes from
/// there is not looked into again.
pub fn expand(node: Node, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Node, Unset> {
    let line = node.line;
    let content = match node.content {
        Content::Null => Content::Null,
        Content::Text(text) => Content::Text(expand_text(text, look_up).map_err(|message| Unset { line, message })?),
        Content::List(items) => Content::List(items.into_iter().map(|n| expand(n, look_up)).collect::<Result<_, _>>()?),
        Content::Mapping(entries) => {
            let expand_entry = |(name, node)| Ok((name, expand(node, look_up)?));
            Content::Mapping(entries.into_iter().map(expand_entry).collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { line, content })
}

fn expand_text(text: Text, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Text, String> {
    let mut expanded = String::new();
    let mut rest = text.value.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or("a ${ lacks its }")?;
        let value = look_up(name)
            .ok_or_else(|| format!("${{{name}}} is set neither by --params nor in the environment; set it there"))?;
        expanded.push_str(before);
        expanded.push_str(&value);
        rest = behind;
    }
    if rest.len() == text.value.len() {
        return Ok(text);
    }
    Ok(Text { value: expanded + rest, template: Some(text.value) })
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
    fn texts(yaml: &str) -> Result<Vec<String>, Unset> {
        fn collect(node: &Node) -> Vec<String> {
            match &node.content {
                Content::Null => vec![],
                Content::Text(text) => vec![text.value.clone()],
                Content::List(items) => items.iter().flat_map(collect).collect(),
                Content::Mapping(entries) => entries.iter().flat_map(|(_, node)| collect(node)).collect(),
            }
        }
        let node = yaml::read(yaml).unwrap_or_else(|e| panic!("{}", e.message));
        expand(node, &look_up).map(|node| collect(&node))
    }

    fn unset(yaml: &str) -> (Option<usize>, String) {
        texts(yaml).map_or_else(|e| (e.line, e.message), |found| panic!("{found:?}"))
    }

    #[test]
    fn names_are_replaced_wherever_they_stand() {
        let yaml = "a: x${A}y${A}\nb: [${A}, {c: '${EMPTY}'}]\nd: {e: \"${A}\"}\n";
        assert_eq!(texts(yaml), Ok(vec!["x1y1".into(), "1".into(), "".into(), "1".into()]));
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
    fn an_unset_name_is_told_with_its_line_even_within_a_list() {
        let (line, message) = unset("a: 1\nb:\n  - x\n  - secret${NO}\n");
        assert_eq!(line, Some(4));
        assert!(message.contains("${NO}") && !message.contains("secret"), "{message}");
        assert_eq!(unset("a: '${}'").0, Some(1));
    }

    #[test]
    fn a_brace_that_is_not_closed_is_told() {
        assert_eq!(unset("a: secret${A"), (Some(1), "a ${ lacks its }".into()));
    }
}
