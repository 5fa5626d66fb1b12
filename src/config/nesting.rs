//! How deep brackets nest in a configuration. The YAML reader takes time that grows with the square of their depth before it gives up,
//! so that a file of 100 kB could keep it busy for minutes.

/// No configuration needs as many.
const DEEPEST: usize = 100;

/// The line, counted from 1, on which more brackets are open than any configuration needs. Whether one stands within quotes makes no
/// difference: nobody closes so few of them there.
pub fn too_deep(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (number, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
            if open > DEEPEST {
                return Some(number + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_that_nobody_closes_are_found_by_their_line() {
        assert_eq!(too_deep(&format!("a: 1\nb: {}", "[".repeat(101))), Some(2));
        assert_eq!(too_deep(&"{a: [".repeat(51)), Some(1));
        assert_eq!(too_deep(&format!("a: {}{}", "[".repeat(100), "]".repeat(100))), None);
        assert_eq!(too_deep(&"a: {b: [${C}]}\n".repeat(1_000)), None);
    }
}
