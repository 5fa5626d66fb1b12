//! What a file is that does not hold one payload a line, as its beginning tells. Such a file is one failure, and not one for
//! each of its lines. Pure.
//!
//! A file with bad lines among good ones is not meant: what has one line that begins as a payload does is read line by line.

use std::path::Path;

use crate::text::{self, invisible};

/// How a format begins, what it is called, and what to do about it.
type Format = (&'static [u8], &'static str, &'static str);

/// Formats that their first bytes show. None of them can begin a JSON text.
const FORMATS: &[Format] = &[
    (b"\x1f\x8b", "compressed with gzip", "name it NAME.jsonl.gz, or unpack it: gunzip -c FILE > NAME.jsonl"),
    (b"PK\x03\x04", "a zip archive", "unpack it: unzip FILE"),
    (b"PK\x05\x06", "an empty zip archive", "there is nothing in it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it: zstd -dc FILE > NAME.jsonl"),
    (b"BZh", "compressed with bzip2", "unpack it: bunzip2 -c FILE > NAME.jsonl"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it: xz -dc FILE > NAME.jsonl"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x FILE"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it: lz4 -dc FILE > NAME.jsonl"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with snappy", "unpack it"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it"),
    (b"PAR1", "Parquet", LINES),
    (b"Obj\x01", "Avro", LINES),
    (b"ARROW1", "Arrow", LINES),
    (b"SQLite format 3\0", "an SQLite database", LINES),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file", LINES),
    (b"%PDF-", "PDF", LINES),
    (b"\x89PNG", "a picture", LINES),
    (b"\xff\xd8\xff", "a picture", LINES),
];

/// What to do about all other formats.
const LINES: &str = "write its records as JSON, one object a line";

/// So many lines of which none begins a payload show that a file of text holds none.
const ENOUGH: usize = 3;

/// Why a file that begins so does not hold one payload a line, and what to do about it.
pub fn fault(path: &Path, beginning: &[u8]) -> Option<String> {
    let file = path.display();
    if let Some(encoding) = wide(beginning) {
        return Some(format!(
            "the file is {encoding}; write it as UTF-8, for example: iconv -f {encoding} -t UTF-8 {file}"
        ));
    }
    if let Some((_, name, what)) = FORMATS.iter().find(|(magic, _, _)| beginning.starts_with(magic)) {
        return Some(format!("the file is {name}; {}", what.replace("FILE", &file.to_string())));
    }
    if beginning.get(257..262) == Some(b"ustar") {
        return Some(format!("the file is a tar archive; unpack it: tar -xf {file}"));
    }
    let first_line = beginning.trim_ascii_start().split(|&b| b == b'\n').next()?.trim_ascii_end();
    let is_json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    if first_line.first() == Some(&b'[') && (is_json || first_line == b"[") {
        return Some(format!(
            "the file holds a JSON array, not one payload a line; convert it, for example: jq -c '.[]' {file} > NAME.jsonl"
        ));
    }
    if first_line == b"{" {
        return Some(format!(
            "the file holds payloads of several lines each; convert it, for example: jq -c . {file} > NAME.jsonl"
        ));
    }
    no_payloads(beginning)
}

/// Of a text in an encoding of more than one byte a character: its name. With a byte order mark or by the zeros around the first
/// two characters, which in JSON are ASCII.
fn wide(beginning: &[u8]) -> Option<&'static str> {
    let first: &[u8; 4] = beginning.first_chunk()?;
    match (first, first.map(|byte| byte == 0)) {
        ([0xFF, 0xFE, 0, 0], _) | (_, [false, true, true, true]) => Some("UTF-32LE"),
        ([0, 0, 0xFE, 0xFF], _) | (_, [true, true, true, false]) => Some("UTF-32BE"),
        // With a mark, whoever converts it finds out which of the two it is.
        ([0xFF, 0xFE, ..] | [0xFE, 0xFF, ..], _) => Some("UTF-16"),
        (_, [false, true, false, true]) => Some("UTF-16LE"),
        (_, [true, false, true, false]) => Some("UTF-16BE"),
        _ => None,
    }
}

/// What a file is that has no line that begins as a payload does.
fn no_payloads(beginning: &[u8]) -> Option<String> {
    let lines = || beginning.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    if lines().any(begins_json) {
        return None;
    }
    if !is_text(beginning) {
        return Some(format!("the file is binary data, not text; {LINES}"));
    }
    let count = lines().count();
    if count > 0 && lines().next().is_some_and(|line| line.starts_with(b"<")) {
        return Some(format!("the file is XML or HTML; {LINES}"));
    }
    (count >= ENOUGH).then(|| {
        format!("the file holds no JSON: none of its first {} lines begins with {{; {LINES}", text::count(count as u64))
    })
}

/// Whether a line begins as JSON does, but for what nobody sees before it.
fn begins_json(line: &[u8]) -> bool {
    // A line is long, its beginning is short.
    let beginning = String::from_utf8_lossy(&line[..line.len().min(64)]);
    let mut seen = beginning.chars().skip_while(|&c| c.is_whitespace() || invisible::name(c).is_some());
    seen.next().is_some_and(|c| matches!(c, '{' | '[' | '"'))
}

/// Whether it may be text: UTF-8, perhaps cut within a character, without the control characters that no text has.
fn is_text(beginning: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(beginning) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !beginning.iter().any(|&byte| byte < 0x09 || (0x0E..0x1A).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(beginning: &[u8]) -> String {
        fault(Path::new("students.jsonl"), beginning).unwrap_or_default()
    }

    #[test]
    fn text_in_another_encoding_is_named_with_the_command_that_converts_it() {
        let payload = "{\"studentUniqueId\":\"1\"}\n";
        let wide = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("{mark}{payload}").encode_utf16().flat_map(bytes).collect()
        };
        let wider = |mark: &str, bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
            format!("{mark}{payload}").chars().flat_map(|c| bytes(u32::from(c))).collect()
        };
        for mark in ["", "\u{FEFF}"] {
            for (text, name) in [
                (wide(mark, u16::to_le_bytes), if mark.is_empty() { "UTF-16LE" } else { "UTF-16" }),
                (wide(mark, u16::to_be_bytes), if mark.is_empty() { "UTF-16BE" } else { "UTF-16" }),
                (wider(mark, u32::to_le_bytes), "UTF-32LE"),
                (wider(mark, u32::to_be_bytes), "UTF-32BE"),
            ] {
                let expected = format!("the file is {name}; write it as UTF-8, for example: iconv -f {name} -t UTF-8");
                assert!(told(&text).starts_with(&expected), "{name}: {}", told(&text));
            }
        }
    }

    #[test]
    fn formats_that_are_no_text_are_named() {
        for (bytes, name) in [
            (
                &b"\x1f\x8b\x08\0\0\n{\n{\n"[..],
                "compressed with gzip; name it NAME.jsonl.gz, or unpack it: gunzip -c students.jsonl",
            ),
            (b"PK\x03\x04\x14\0", "a zip archive"),
            (b"\x28\xb5\x2f\xfd\x04", "compressed with zstd"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"SQLite format 3\0\x10", "an SQLite database"),
            (b"\x80\x04\x95\xff\n\xff", "binary data"),
            (b"\x01\x02", "binary data"),
            (b"<!DOCTYPE html>\n<html>", "XML or HTML"),
            (b"<?xml version=\"1.0\"?>", "XML or HTML"),
        ] {
            assert!(told(bytes).starts_with(&format!("the file is {name}")), "{name}: {}", told(bytes));
        }
        let mut tar = vec![b'x'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(told(&tar).contains("tar -xf"));
        let csv = b"studentUniqueId,birthDate\n1,2010-01-01\n2,2010-01-01\n";
        assert!(told(csv).starts_with("the file holds no JSON: none of its first 3 lines begins with {"));
    }

    #[test]
    fn a_file_with_one_line_that_begins_as_a_payload_is_read_line_by_line() {
        for bytes in [
            &b"{\"a\":1}"[..],
            b"\xff\xff\n\0\0\n{\"a\":1}\n",
            b"nonsense",
            b"x\ny\nz\n{}",
            b"a line\nand one more",
            b"<x>\n{}",
            b"\xEF\xBB\xBF{}\n\xEF\xBB\xBF{}\n\xEF\xBB\xBF{}\n",
            b"\x1e{}\n\x1e{}\n\x1e{}\n",
            b"[1]\n[2]\n[3]\n",
            b"\"a\"\n\"b\"\n\"c\"\n",
            b"",
            b"\n\n\n\n",
            "\u{e9}\u{e9}\n".as_bytes().split_last().unwrap().1,
        ] {
            assert_eq!(told(bytes), "", "{}", String::from_utf8_lossy(bytes));
        }
    }
}
