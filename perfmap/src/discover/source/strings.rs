//! A source text → its string literals, and what each is handed to.

use super::{line_of, word_before};

const LONGEST: usize = 512;

/// A string that stands in quotes on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal<'a> {
    pub text: &'a str,
    /// Of the opening quote.
    pub offset: usize,
    pub line: u32,
    /// The function that it is the first argument of: `post` in `client.post("/x")`.
    pub callee: &'a str,
}

/// In their order. Comments are not left out.
pub fn literals(text: &str) -> Vec<Literal<'_>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut line, mut counted) = (0, 1, 0);
    while let Some(byte) = bytes.get(at).copied() {
        if !matches!(byte, b'"' | b'\'' | b'`') {
            at += 1;
            continue;
        }
        let Some(end) = end_of(bytes, at) else {
            at += 1;
            continue;
        };
        if let Some(inside) = text.get(at + 1..end) {
            line += line_of(text.get(counted..at).unwrap_or_default(), usize::MAX) - 1;
            counted = at;
            found.push(Literal { text: inside, offset: at, line, callee: callee(text, at) });
        }
        at = end + 1;
    }
    found
}

fn end_of(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = bytes.get(open)?;
    let mut at = open + 1;
    while at <= open + LONGEST {
        match bytes.get(at)? {
            b'\\' => at += 1,
            b'\n' => return None,
            byte if byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Behind prefixes of the string itself (`f"…"`), names of arguments and type arguments are skipped: `url="…"`.
fn callee(text: &str, quote: usize) -> &str {
    let prefix = word_before(text, quote);
    let mut before = text.get(..quote - prefix.len()).unwrap_or_default().trim_end();
    if prefix.len() > 2 {
        return "";
    }
    if let Some(named) = before.strip_suffix('=') {
        let named = named.trim_end();
        before = named.get(..named.len() - word_before(named, named.len()).len()).unwrap_or_default().trim_end();
    }
    let Some(before) = before.strip_suffix('(') else { return "" };
    let before = before.trim_end();
    // supertest's and axios' generics: request.get<Answer>("/x")
    let before = match (before.ends_with('>'), before.rfind('<')) {
        (true, Some(open)) => before.get(..open).unwrap_or_default(),
        (true, None) | (false, _) => before,
    };
    word_before(before, before.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_string_is_handed_to() {
        let text = "a = client.post(f\"/x/{id}\", json={'k': 1})\nget<T>(\n  '/y')\nfetch(url=\"/z\") don't";
        let found: Vec<(&str, &str, u32)> = literals(text).iter().map(|l| (l.callee, l.text, l.line)).collect();
        assert_eq!(found, [("post", "/x/{id}", 1), ("", "k", 1), ("get", "/y", 3), ("fetch", "/z", 4)]);
    }

    proptest! {
        #[test]
        fn total(text in any::<String>(), code in "[a-z(<>=){}'\"`\\\\\n ]{0,60}") {
            for text in [&text, &code] {
                for literal in literals(text) {
                    prop_assert_eq!(text.get(literal.offset + 1..literal.offset + 1 + literal.text.len()), Some(literal.text));
                    prop_assert_eq!(literal.line, line_of(text, literal.offset));
                }
            }
        }
    }
}
