//! What is kept of a record: the lines of a page, with the keys that are wanted, everything as the API wrote it.
//!
//! No value is read and written again: numbers keep their digits, texts their escapes, keys their order. Only white space between members may
//! go, and line ends must, for a line is a record.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::paging::Page;
use crate::selector::Selector;

/// Nothing of Ed-Fi is nested deeper; what is deeper is kept as it is.
const DEEPEST: usize = 64;

/// What of each record is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Which of its own keys.
    pub keys: Selector,
    /// Leave out what the API added, so that the record can be sent to another one.
    pub sendable: bool,
    /// Keys that each record is to have, null if it lacks them.
    pub filled: Vec<String>,
}

/// The lines of one page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// A line for each record, with its line end.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub count: u64,
    /// What the records' ids hash to, where they have one; equal ids to the same.
    pub ids: Vec<u64>,
}

impl Lines {
    /// What paging has to know of the page that they are.
    pub fn page(&self, body: &[u8]) -> Page {
        Page::new(body, self.count, self.ids.iter().copied())
    }
}

/// The members of an object, as written and in their order.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The records of a page, in their order. An error if it is no list of objects.
pub fn lines(page: &[u8], shape: &Shape) -> serde_json::Result<Lines> {
    let records: Vec<&RawValue> = crate::api::reply::json(page)?;
    let mut lines = Lines { bytes: Vec::with_capacity(page.len()), ..Lines::default() };
    let whole = *shape == Shape::default();
    for record in records {
        let members: Members = serde_json::from_str(record.get())?;
        let id = members.0.iter().find(|(key, _)| name(key) == "id");
        lines.ids.extend(id.map(|(_, id)| Page::hash(id.get().as_bytes())));
        match whole {
            true => push(record, &mut lines.bytes),
            false => write_members(&members, &mut lines.bytes, 0, shape),
        }
        lines.bytes.push(b'\n');
        lines.count += 1;
    }
    Ok(lines)
}

/// Writes an object without the members that are not wanted. Which keys a record is to have concerns its own, not those of what is within.
fn write_members(members: &Members<'_>, out: &mut Vec<u8>, depth: usize, shape: &Shape) {
    out.push(b'{');
    let mut first = true;
    for (key, value) in &members.0 {
        let name = name(key);
        let unwanted = depth == 0 && !shape.keys.matches(&name);
        if unwanted || shape.sendable && is_added(&name, value.get(), depth) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        push(key, out);
        out.push(b':');
        match shape.sendable {
            true => write_sendable(value, out, depth + 1, shape),
            false => push(value, out),
        }
    }
    let lacks = |key: &&String| !members.0.iter().any(|(own, _)| name(own).eq_ignore_ascii_case(key));
    for key in shape.filled.iter().filter(|_| depth == 0).filter(lacks) {
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        out.extend(format!("{comma}{}:null", serde_json::Value::from(key.as_str())).into_bytes());
    }
    out.push(b'}');
}

fn write_sendable(value: &RawValue, out: &mut Vec<u8>, depth: usize, shape: &Shape) {
    let text = value.get();
    let looks = |opening| depth < DEEPEST && text.starts_with(opening);
    if looks('{')
        && let Ok(members) = serde_json::from_str::<Members>(text)
    {
        return write_members(&members, out, depth, shape);
    }
    if looks('[')
        && let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text)
    {
        out.push(b'[');
        for (number, item) in items.into_iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            write_sendable(item, out, depth + 1, shape);
        }
        return out.push(b']');
    }
    push(value, out);
}

/// Whether the API added a member: `id`, `_etag` and `_lastModifiedDate`, the `link` of a reference, and what ODS/API up to 7 calls a
/// descriptor's number.
fn is_added(name: &str, value: &str, depth: usize) -> bool {
    match name {
        "id" | "_etag" | "_lastModifiedDate" => true,
        "link" => value.starts_with('{'),
        _ => depth == 0 && name.ends_with("DescriptorId") && value.starts_with(|c: char| c.is_ascii_digit()),
    }
}

/// A key without its quotes and escapes.
fn name(key: &RawValue) -> String {
    serde_json::from_str(key.get()).unwrap_or_default()
}

/// A line end is nothing but white space where it stands: within a text it is escaped.
fn push(value: &RawValue, out: &mut Vec<u8>) {
    let text = value.get();
    match memchr::memchr2(b'\n', b'\r', text.as_bytes()) {
        None => out.extend_from_slice(text.as_bytes()),
        Some(_) => out.extend(text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(page: &str, keys: (Option<&str>, Option<&str>), sendable: bool) -> String {
        let shape = Shape { keys: Selector::new(keys.0, keys.1), sendable, filled: Vec::new() };
        String::from_utf8(lines(page.as_bytes(), &shape).unwrap().bytes).unwrap()
    }

    const ALL: (Option<&str>, Option<&str>) = (None, None);

    #[test]
    fn values_and_the_order_of_keys_stay_as_the_api_wrote_them() {
        let record = r#"{"z":1.10,"a":1E5,"n":12345678901234567890.000,"t":"\u00e9\/é","o":{"y":0.0,"b":[1.0]}}"#;
        assert_eq!(fetched(&format!("[{record}]"), ALL, false), format!("{record}\n"));
        assert_eq!(fetched(&format!("[{record}]"), ALL, true), format!("{record}\n"));
    }

    #[test]
    fn a_record_is_one_line_however_the_page_is_laid_out() {
        let page = "\u{feff}[\r\n  {\n    \"a\": 1,\n    \"b\": [\n 2 ]\n  },\n  {}\n]\n";
        assert_eq!(fetched(page, ALL, false), "{    \"a\": 1,    \"b\": [ 2 ]  }\n{}\n");
    }

    #[test]
    fn each_records_own_keys_decide_what_is_kept_of_it() {
        let page = r#"[{"id":"1","birthDate":"x"},{"birthCity":"y","firstName":"Ada","o":{"birthDate":1}}]"#;
        assert_eq!(
            fetched(page, (Some("birth*,firstName"), Some("*City")), false),
            "{\"birthDate\":\"x\"}\n{\"firstName\":\"Ada\"}\n"
        );
        assert_eq!(fetched(page, (None, Some("id,birth*,firstName")), false), "{}\n{\"o\":{\"birthDate\":1}}\n");
    }

    #[test]
    fn keys_that_are_to_be_filled_are_null_where_a_record_lacks_them() {
        let keys = Selector::new(Some("a,B,c*,d"), Some("d"));
        let filled = keys.exact_names();
        assert_eq!(filled, ["a", "B"]);
        let shape = Shape { keys, sendable: false, filled };
        let page = br#"[{"b":1,"x":{"y":2}},{},{"a":[]}]"#;
        let text = String::from_utf8(lines(page, &shape).unwrap().bytes).unwrap();
        assert_eq!(text, "{\"b\":1,\"a\":null}\n{\"a\":null,\"B\":null}\n{\"a\":[],\"B\":null}\n");
    }

    #[test]
    fn what_the_api_added_goes_at_any_depth_and_nothing_else() {
        let page = r#"[{"id":"1","schoolReference":{"schoolId":1,"link":{"rel":"School","href":"/x"}},"termDescriptorId":7,
            "link":"https://example.com","a":[{"id":"2","_etag":"3","b":{"link":{}}}],"_lastModifiedDate":"now","_ext":{}}]"#;
        let expected = r#"{"schoolReference":{"schoolId":1},"link":"https://example.com","a":[{"b":{}}],"_ext":{}}"#;
        assert_eq!(fetched(page, ALL, true), format!("{expected}\n"));
    }

    #[test]
    fn equal_ids_are_told_whatever_is_kept() {
        let page = br#"[{"id":"1"},{"id":"2"},{"a":1},{"id":"1"}]"#;
        let shape = Shape { keys: Selector::new(Some("a"), None), sendable: true, filled: Vec::new() };
        let ids = lines(page, &shape).unwrap().ids;
        assert_eq!(ids.len(), 3);
        assert!(ids[0] == ids[2] && ids[0] != ids[1]);
    }

    #[test]
    fn what_is_no_list_of_objects_is_an_error() {
        for page in ["", "{}", "[1]", "[[]]", "[{}", "<html>", "null"] {
            assert!(lines(page.as_bytes(), &Shape::default()).is_err(), "{page}");
        }
    }

    #[test]
    fn nothing_is_nested_too_deeply() {
        let deep = format!("[{{\"a\":{}{}}}]", "[".repeat(100_000), "]".repeat(100_000));
        let shape = Shape { sendable: true, ..Shape::default() };
        // Whether it is read or refused is the reader's matter; it must not end the program.
        assert!(lines(deep.as_bytes(), &shape).map_or(true, |lines| lines.count == 1));
    }
}
