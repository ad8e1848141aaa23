//! A source file's text → its functions, routes, tests and imports, read line by line without a grammar.
//!
//! Good enough to find where something is; what a function calls is read with a grammar, by `chain`. What a preprocessor,
//! a macro or a computed name makes is not seen.

pub mod blank;
pub mod definitions;
pub mod routes;
pub mod strings;

/// 1 for the first line.
pub fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + u32::try_from(memchr::memchr_iter(b'\n', before).count()).unwrap_or(u32::MAX - 1)
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Where a word stands in a text, with no part of a word beside it.
pub fn word_positions<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    memchr::memmem::find_iter(bytes, word.as_bytes()).filter(move |at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).is_none_or(|byte| !is_word(*byte));
        let after = bytes.get(at + word.len()).is_none_or(|byte| !is_word(*byte));
        before && after && !word.is_empty()
    })
}

/// The word that ends right before an offset.
pub fn word_before(text: &str, offset: usize) -> &str {
    let bytes = text.as_bytes();
    let mut start = offset.min(bytes.len());
    while start > 0 && bytes.get(start - 1).is_some_and(|byte| is_word(*byte)) {
        start -= 1;
    }
    text.get(start..offset).unwrap_or_default()
}

/// The word that begins at the front of a text.
pub fn first_word(text: &str) -> &str {
    let end = text.bytes().position(|byte| !is_word(byte)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// From an opening bracket to the one that closes it, both excluded; cut at `limit` bytes. Strings are not looked into, so
/// the text should be a blanked one.
pub fn bracketed(text: &str, open: usize, limit: usize) -> &str {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let end = bytes.len().min(open.saturating_add(limit));
    for at in open..end {
        match bytes.get(at) {
            Some(b'(' | b'[' | b'{') => depth += 1,
            Some(b')' | b']' | b'}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(open + 1..at).unwrap_or_default();
                }
            }
            Some(_) | None => {}
        }
    }
    let mut end = end;
    while end > open && !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get((open + 1).min(end)..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone() {
        assert_eq!(word_positions("get get_all _get (get)", "get").collect::<Vec<_>>(), [0, 18]);
        assert_eq!(word_positions("x", "").count(), 0);
        assert_eq!((word_before("a.create(", 8), first_word("create(")), ("create", "create"));
        assert_eq!((line_of("a\nb\nc", 4), line_of("", 9)), (3, 1));
    }

    #[test]
    fn brackets_nest() {
        assert_eq!(bracketed("f(a, (b), [c]) x", 1, 100), "a, (b), [c]");
        assert_eq!(bracketed("f(a", 1, 100), "a");
        assert_eq!(bracketed("(äää", 0, 2), "");
    }
}
