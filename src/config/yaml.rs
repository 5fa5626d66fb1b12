//! YAML with every scalar as the text that was written, and with line numbers. A key's type decides what its text
//! means, so that `client_id: 0012` stays `0012` and `${SIZE}` may stand for a number.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::lines::Lines;
pub use super::twice::Twice;
use super::{nesting, twice};

/// A piece of YAML.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its line in the file, counted from 1; `None` where it comes from the command line.
    pub line: Option<usize>,
    /// What it is.
    pub content: Content,
}

/// What a piece of YAML is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing, `~` or `null`.
    Null,
    /// Any scalar.
    Text(Text),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Mapping(Vec<(String, Node)>),
}

/// A scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// As written, without quotes, or what its `${NAME}`s stand for.
    pub value: String,
    /// How it was written, if `${NAME}`s were replaced. Messages show this one: what a name stands for may be secret.
    pub template: Option<String>,
}

/// A configuration file.
pub struct Document {
    /// What it says.
    pub node: Node,
    /// The keys that a mapping has more than once, of which the last one counts.
    pub twice: Vec<Twice>,
}

/// Why a text is not YAML.
pub struct NotYaml {
    /// Counted from 1, where the reader tells it.
    pub line: Option<usize>,
    /// What the reader says.
    pub message: String,
}

impl Node {
    /// A scalar from the command line.
    pub fn text(value: &str) -> Node {
        Node { line: None, content: Content::Text(Text { value: value.into(), template: None }) }
    }
}

/// Reads a configuration file; an empty one is [`Content::Null`].
pub fn read(text: &str) -> Result<Document, NotYaml> {
    let marked = mark(text);
    // First, because the reader gives up what is nested too deeply.
    let shape = shape(&marked)?;
    let lines = Lines::of(&marked);
    let mut twice = Vec::new();
    twice::find(&shape, &mut Vec::new(), &lines, &mut twice);
    Ok(Document { node: read_shaped(&marked, &shape, Some(&lines))?, twice })
}

/// Reads what stands for a list or a mapping in one text, as on the command line.
pub fn read_inline(text: &str) -> Result<Node, NotYaml> {
    read_shaped(text, &shape(text)?, None)
}

fn not_yaml(error: serde_yaml::Error) -> NotYaml {
    NotYaml { line: error.location().map(|at| at.line()), message: unmark(&error.to_string()) }
}

/// Each text is read twice: what a piece is (nothing, a scalar, a list) the reader tells only together with its own
/// idea of a scalar's type; how a scalar was written it tells only if asked for a string.
fn shape(text: &str) -> Result<Shape, NotYaml> {
    match nesting::too_deep(text) {
        Some(line) => Err(NotYaml { line: Some(line), message: "brackets are nested too deeply".into() }),
        None => {
            let pieces = &Cell::new(0);
            ShapeReader { pieces }.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(not_yaml)
        }
    }
}

fn read_shaped(text: &str, shape: &Shape, lines: Option<&Lines>) -> Result<Node, NotYaml> {
    let seed = Shaped { shape, lines, path: &[] };
    if matches!(shape, Shape::Null) {
        return Ok(seed.node(Content::Null));
    }
    seed.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(not_yaml)
}

/// `{` and `}` mean something to YAML within `[…]`; these two, meant for private use, stand for those of `${NAME}`.
const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

fn mark(text: &str) -> String {
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        marked.push_str(before);
        let is_part = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let is_name = |inside: &str| {
            let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
            name.chars().all(is_part) && !default.contains(['\n', '{', '"', '\''])
        };
        match after.split_once('}').filter(|(inside, _)| is_name(inside)) {
            Some((name, behind)) => {
                marked.extend([OPEN.to_string().as_str(), name, CLOSE.to_string().as_str()]);
                rest = behind;
            }
            None => {
                marked.push_str("${");
                rest = after;
            }
        }
    }
    marked + rest
}

pub(super) fn unmark(text: &str) -> String {
    text.replace(OPEN, "${").replace(CLOSE, "}")
}

/// What a piece is.
pub(super) enum Shape {
    Null,
    Scalar,
    List(Vec<Shape>),
    Mapping(Vec<(String, Shape)>),
}

/// Its messages never hold a value, which may be a secret.
#[derive(Clone, Copy)]
struct ShapeReader<'a> {
    /// How many pieces there are so far. An anchor counts as often as it is named.
    pieces: &'a Cell<usize>,
}

impl ShapeReader<'_> {
    /// As many pieces as no configuration needs: what reads them compares each with each.
    const MOST: usize = 10_000;
}

impl<'de> DeserializeSeed<'de> for ShapeReader<'_> {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Shape, D::Error> {
        self.pieces.set(self.pieces.get() + 1);
        match self.pieces.get() > Self::MOST {
            true => Err(D::Error::custom(format!("it has more than {} values and lists", Self::MOST))),
            false => from.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for ShapeReader<'_> {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(shape) = items.next_element_seed(self)? {
            shapes.push(shape);
        }
        Ok(Shape::List(shapes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut shapes = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            shapes.push((key, entries.next_value_seed(self)?));
        }
        Ok(Shape::Mapping(shapes))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Shape, A::Error> {
        // What follows the ! may be a secret.
        let (_, _) = tagged.variant::<IgnoredAny>()?;
        Err(A::Error::custom(
            "a tag (what begins with !) means nothing here; if it belongs to the value, put the value in quotes",
        ))
    }
}

/// Reads the piece that has this shape.
#[derive(Clone, Copy)]
struct Shaped<'a> {
    shape: &'a Shape,
    lines: Option<&'a Lines>,
    path: &'a [String],
}

impl<'a> Shaped<'a> {
    fn node(&self, content: Content) -> Node {
        Node { line: self.lines.map(|lines| lines.line(self.path)), content }
    }

    fn at<'b>(&self, shape: &'b Shape, path: &'b [String]) -> Shaped<'b>
    where
        'a: 'b,
    {
        Shaped { shape, lines: self.lines, path }
    }

    fn path_to(&self, name: String) -> Vec<String> {
        self.path.iter().cloned().chain([name]).collect()
    }
}

impl<'de> DeserializeSeed<'de> for Shaped<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        match self.shape {
            Shape::Null => from.deserialize_any(IgnoredAny).map(|_| self.node(Content::Null)),
            Shape::Scalar => from.deserialize_str(self),
            Shape::List(_) => from.deserialize_seq(self),
            Shape::Mapping(_) => from.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Shaped<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the first reading found")
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Content::Text(Text { value: unmark(value), template: None })))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let Shape::List(shapes) = self.shape else { return Err(A::Error::custom("a list came unexpected")) };
        let mut nodes = Vec::new();
        for (index, shape) in shapes.iter().enumerate() {
            let path = self.path_to(index.to_string());
            nodes.extend(items.next_element_seed(self.at(shape, &path))?);
        }
        Ok(self.node(Content::List(nodes)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let Shape::Mapping(shapes) = self.shape else { return Err(A::Error::custom("a mapping came unexpected")) };
        let mut nodes = Vec::new();
        for (_, shape) in shapes {
            let Some(key) = entries.next_key::<String>()? else { break };
            let path = self.path_to(key.clone());
            let node = entries.next_value_seed(self.at(shape, &path))?;
            let key = unmark(&key);
            // The last one counts, as for other readers of YAML.
            nodes.retain(|(known, _)| *known != key);
            nodes.push((key, node));
        }
        Ok(self.node(Content::Mapping(with_merged(nodes))))
    }
}

/// YAML's merge key: entries below `<<` belong to the mapping itself, unless it has them. A list's first wins.
fn with_merged(mut entries: Vec<(String, Node)>) -> Vec<(String, Node)> {
    let Some(at) = entries.iter().position(|(key, _)| key == "<<") else { return entries };
    let sources = match entries.remove(at).1 {
        Node { content: Content::List(items), .. } => items,
        node => vec![node],
    };
    for source in sources {
        let Content::Mapping(more) = source.content else { continue };
        for (key, node) in more {
            if entries.iter().all(|(known, _)| *known != key) {
                entries.push((key, node));
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces as one line each, `path@line=text`.
    fn pieces(node: &Node, path: &str) -> Vec<String> {
        let line = node.line.unwrap_or(0);
        match &node.content {
            Content::Null => vec![format!("{path}@{line} nothing")],
            Content::Text(text) => vec![format!("{path}@{line}={}", text.value)],
            Content::List(items) => {
                items.iter().enumerate().flat_map(|(i, n)| pieces(n, &format!("{path}/{i}"))).collect()
            }
            Content::Mapping(entries) => entries.iter().flat_map(|(k, n)| pieces(n, &format!("{path}/{k}"))).collect(),
        }
    }

    fn read_pieces(text: &str) -> Vec<String> {
        pieces(&read(text).unwrap_or_else(|e| panic!("{}", e.message)).node, "")
    }

    fn fault(text: &str) -> (Option<usize>, String) {
        read(text).map_or_else(|e| (e.line, e.message), |document| panic!("{:?}", document.node))
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        let text = "a: 0012\nb: 1.10\nc: yes\nd: \"x\\ty\"\ne: 'it''s'\nf: 1e5\n12: 0x1F\n";
        let expected = ["/a@1=0012", "/b@2=1.10", "/c@3=yes", "/d@4=x\ty", "/e@5=it's", "/f@6=1e5", "/12@7=0x1F"];
        assert_eq!(read_pieces(text), expected);
    }

    #[test]
    fn a_number_too_long_for_any_integer_is_text_all_the_same() {
        let long = "9".repeat(60);
        for number in ["12345678901234567890", "-123456789012345678901234567890", &long] {
            assert_eq!(read_pieces(number), [format!("@1={number}")]);
        }
    }

    #[test]
    fn nothing_is_told_from_a_quoted_nothing() {
        assert_eq!(
            read_pieces("a:\nb: ~\nc: null\nd: ''\n"),
            ["/a@1 nothing", "/b@2 nothing", "/c@3 nothing", "/d@4="]
        );
    }

    #[test]
    fn lists_mappings_and_aliases_are_followed() {
        let text = "a: &x [1, {b: 2}]\nc:\n  - *x\n  - d\n";
        assert_eq!(read_pieces(text), ["/a/0@1=1", "/a/1/b@1=2", "/c/0/0@3=1", "/c/0/1/b@3=2", "/c/1@4=d"]);
    }

    #[test]
    fn a_merge_key_adds_what_is_not_there() {
        let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 5\nd: {<<: *b}\n";
        assert_eq!(read_pieces(text)[4..], ["/c/x@5=5", "/c/y@4=2", "/c/z@4=4", "/d/y@6=3", "/d/z@6=4"]);
    }

    #[test]
    fn an_empty_file_is_nothing() {
        for text in ["", "\n", "# only this\n", "---\n"] {
            assert_eq!(read(text).ok().map(|document| document.node.content), Some(Content::Null), "{text:?}");
        }
    }

    #[test]
    fn names_in_braces_need_no_quotes_within_a_list() {
        assert_eq!(read_pieces("a: [${X}, y${Z_1}]\n"), ["/a/0@1=${X}", "/a/1@1=y${Z_1}"]);
        assert_eq!(read_pieces("a: ${X y}\nb: '${'\nc: $X\n"), ["/a@1=${X y}", "/b@2=${", "/c@3=$X"]);
    }

    #[test]
    fn of_a_key_given_twice_the_last_one_counts_and_both_lines_are_told() {
        let text = "a: 1\nsection:\n  b: 1\n  c: 2\n  b: 3\na: 4\n";
        assert_eq!(read_pieces(text), ["/section/c@4=2", "/section/b@5=3", "/a@6=4"]);
        let twice = |text: &str| read(text).unwrap_or_else(|e| panic!("{}", e.message)).twice;
        let of = |key: &str, lines| Twice { key: key.into(), lines };
        assert_eq!(twice(text), [of("a", (1, 6)), of("b", (3, 5))]);
        // Of a section that is given twice, what the first one says is lost.
        let sections = "s:\n  a: 1\ns:\n  b: 2\n";
        assert_eq!(read_pieces(sections), ["/s/b@4=2"]);
        assert_eq!(twice(sections), [of("s", (1, 3))]);
        assert_eq!(twice("a: {b: 1, b: 2}"), [of("b", (1, 1))]);
        assert_eq!(twice("a: [{b: 1}, {b: 2}]"), []);
    }

    #[test]
    fn an_error_of_syntax_tells_its_line() {
        let (line, _) = fault("a: 1\nb: [1\nc: 2\n");
        assert!(line.is_some_and(|line| line > 1), "{line:?}");
    }

    #[test]
    fn a_tag_is_an_error() {
        let message = fault("a: !hidden X\n").1;
        assert!(message.contains("put the value in quotes") && !message.contains("hidden"), "{message}");
        assert!(!fault("a: !hidden\n").1.contains("hidden"));
    }

    #[test]
    fn what_has_more_pieces_than_any_configuration_needs_is_given_up_also_where_an_anchor_makes_them() {
        let list = |item: &str, times: usize| vec![item; times].join(", ");
        let anchored = format!("a: &a [{}]\nb: [{}]\n", list("1", 300), list("*a", 300));
        let keys: String = (0..10_001).map(|n| format!("k{n}: 1\n")).collect();
        for text in [anchored, keys, format!("a: {}1", "- ".repeat(100_000))] {
            assert!(read(&text).is_err());
        }
        assert!(read(&(0..9_000).map(|n| format!("k{n}: 1\n")).collect::<String>()).is_ok());
    }
}
