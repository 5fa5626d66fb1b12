//! How numbers, times and tables are written for people, and how characters are called that nobody sees.

pub mod invisible;
pub mod secrets;
pub mod url;
pub mod visible;

/// With a comma between thousands, as the Ed-Fi community writes them: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 payload`, `2 payloads`, `1,000 payloads`.
pub fn counted(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Seconds as `0:07`, `12:30` or `2:05:00`.
pub fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A table's names have at least so many columns, enough for `total`.
const SHORTEST_NAME: usize = 5;

/// Rows of a name and numbers as aligned lines within `width` columns. A name that leaves no room for its numbers stands on a line of its own. The first
/// row of `rows` is the head.
pub fn table(rows: &[(String, Vec<String>)], width: usize) -> String {
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let wide =
        |i: usize| rows.iter().filter_map(|(_, cells)| cells.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    let room = width.saturating_sub(widths.iter().map(|w| w + 2).sum::<usize>());
    let fitting = rows.iter().map(|(name, _)| name.chars().count()).filter(|&w| w <= room.max(SHORTEST_NAME));
    let name_width = fitting.max().unwrap_or(0);
    let mut text = String::new();
    for (name, cells) in rows {
        if name.chars().count() > name_width {
            text.push_str(name);
            text.push('\n');
            text.push_str(&" ".repeat(name_width));
        } else {
            text.push_str(&format!("{name:<name_width$}"));
        }
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// `text` broken between words into lines of at most `width` columns, each behind `indent` blanks. A word that is longer has its own line.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let mut lines = String::new();
    let mut line = " ".repeat(indent);
    for word in text.split_whitespace() {
        if line.len() > indent && line.chars().count() + word.chars().count() >= width {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

/// `text` cut to `width` characters, the cut marked.
pub fn shortened(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "file"), counted(2_000, "file")], ["1 file", "2,000 files"]);
    }

    #[test]
    fn durations_read_as_clocks() {
        assert_eq!([7, 750, 7_500].map(duration), ["0:07", "12:30", "2:05:00"]);
    }

    #[test]
    fn a_table_aligns_and_stays_within_its_width() {
        let row = |name: &str, cells: [&str; 2]| (name.to_string(), cells.map(String::from).to_vec());
        let rows = [row("", ["read", "created"]), row("students", ["1,000", "7"]), row(&"long".repeat(6), ["1", "2"])];
        let text = table(&rows, 26);
        let indent = " ".repeat(8);
        assert_eq!(
            text,
            format!(
                "{indent}   read  created\nstudents  1,000        7\n{}\n{indent}      1        2\n",
                "long".repeat(6)
            )
        );
        assert!(text.lines().all(|line| line.len() <= 26), "{text}");
    }

    #[test]
    fn wrapping_breaks_between_words_and_loses_none() {
        assert_eq!(wrapped("one two three", 2, 10), "  one two\n  three\n");
        assert_eq!(wrapped("a verylongword b", 1, 5), " a\n verylongword\n b\n");
    }

    #[test]
    fn what_is_too_long_is_cut_visibly() {
        assert_eq!([shortened("abc", 3), shortened("äbcd", 3)], ["abc", "äb…"]);
    }
}
