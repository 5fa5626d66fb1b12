//! Reads `a=1&b=two%20words`, as queries and forms write it.

/// The names and values, decoded, in their order.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    text.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = || Some((char::from(*after.first()?).to_digit(16)?, char::from(*after.get(1)?).to_digit(16)?));
        rest = match (first, hex()) {
            (b'%', Some((high, low))) => {
                bytes.push((high * 16 + low) as u8);
                &after[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                after
            }
            _ => {
                bytes.push(first);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            pair("uri", "uri://ed-fi.org/TermDescriptor#Fall & more"),
            pair("b", "ü"),
            pair("c", ""),
            pair("d", "100%"),
        ];
        assert_eq!(pairs("uri=uri%3A%2F%2Fed-fi.org/TermDescriptor%23Fall+%26+more&&b=%C3%BC&c&d=100%"), expected);
    }
}
