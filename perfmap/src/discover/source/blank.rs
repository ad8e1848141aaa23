//! A source text → the same text with comments and the insides of strings made blank, so that brackets and words that are
//! left are code. Offsets and lines stay what they were.

use crate::discover::found::Language;

/// Total on any text; what does not close ends with the text (or its line, where the language says so).
pub fn blanked(language: Language, text: &str) -> String {
    let mut scan = Scan { language, from: text.as_bytes(), into: text.as_bytes().to_vec(), at: 0, last: b'\n' };
    scan.all();
    // Only whole ranges between ASCII delimiters were made blank: it is still text.
    String::from_utf8(scan.into).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

struct Scan<'a> {
    language: Language,
    from: &'a [u8],
    into: Vec<u8>,
    at: usize,
    /// The last byte of code that is no space.
    last: u8,
}

impl Scan<'_> {
    fn starts(&self, with: &[u8]) -> bool {
        self.from.get(self.at..).is_some_and(|rest| rest.starts_with(with))
    }

    fn all(&mut self) {
        use Language::{DotNet, Go, Java, Node, Php, Python, Ruby, Rust};
        while let Some(byte) = self.from.get(self.at).copied() {
            let hash_comments = matches!(self.language, Python | Ruby | Php);
            let c_comments = !matches!(self.language, Python | Ruby);
            if (hash_comments && byte == b'#') || (c_comments && self.starts(b"//")) {
                self.until(0, b"\n", false);
            } else if c_comments && self.starts(b"/*") {
                self.until(2, b"*/", false);
            } else if byte == b'"' && matches!(self.language, Python | Java) && self.starts(b"\"\"\"") {
                self.until(3, b"\"\"\"", true);
            } else if byte == b'\'' && self.language == Python && self.starts(b"'''") {
                self.until(3, b"'''", true);
            } else if self.language == Rust && self.raw_string() {
                // done there
            } else if byte == b'"' {
                self.string(byte, matches!(self.language, Rust | Ruby | Php));
            } else if byte == b'\'' && matches!(self.language, Python | Node | Ruby | Php) {
                self.string(byte, matches!(self.language, Ruby | Php));
            } else if byte == b'\'' && matches!(self.language, Go | Java | DotNet) {
                self.string(byte, false);
            } else if byte == b'\'' && self.language == Rust {
                self.character();
            } else if byte == b'`' && matches!(self.language, Node) {
                self.string(byte, true);
            } else if byte == b'`' && self.language == Go {
                self.until(1, b"`", false);
            } else if byte == b'/' && self.language == Node && self.expression_begins() {
                self.string(byte, false);
            } else {
                if !byte.is_ascii_whitespace() {
                    self.last = byte;
                }
                self.at += 1;
            }
        }
    }

    /// Blank from here, behind an opening of `skip` bytes, to the end mark; that itself stays.
    fn until(&mut self, skip: usize, end: &[u8], escapes: bool) {
        let start = self.at + skip;
        let mut at = start;
        while at < self.from.len() {
            if escapes && self.from.get(at) == Some(&b'\\') {
                at += 2;
                continue;
            }
            if self.from.get(at..).is_some_and(|rest| rest.starts_with(end)) {
                break;
            }
            at += 1;
        }
        let at = at.min(self.from.len());
        self.blank(start, at);
        self.at = (at + end.len()).min(self.from.len()).max(self.at + 1);
        self.last = b'"';
    }

    fn string(&mut self, quote: u8, over_lines: bool) {
        let start = self.at + 1;
        let mut at = start;
        while let Some(byte) = self.from.get(at).copied() {
            match byte {
                b'\\' => at += 1,
                b'\n' if !over_lines => break,
                byte if byte == quote => break,
                _ => {}
            }
            at += 1;
        }
        let at = at.min(self.from.len());
        self.blank(start, at);
        self.at = (at + 1).min(self.from.len()).max(start);
        self.last = b'"';
    }

    /// `'x'` is a character, `'a` the name of a lifetime.
    fn character(&mut self) {
        let rest = self.from.get(self.at + 1..).unwrap_or_default();
        let length = match rest.first() {
            Some(b'\\') => rest.iter().skip(2).take(12).position(|byte| *byte == b'\'').map(|at| at + 2),
            Some(_) => rest.iter().take(5).position(|byte| *byte == b'\'').filter(|at| (1..=4).contains(at)),
            None => None,
        };
        // Of `<'a, 'b>` the second quote is no end: a character is one, or one of several bytes.
        let length =
            length.filter(|length| *length == 1 || rest.first().is_some_and(|byte| *byte >= 0x80 || *byte == b'\\'));
        match length {
            Some(length) => {
                self.blank(self.at + 1, self.at + 1 + length);
                self.at += length + 2;
            }
            None => self.at += 1,
        }
        self.last = b'\'';
    }

    fn raw_string(&mut self) -> bool {
        let begins = self.from.get(self.at) == Some(&b'r')
            && self
                .at
                .checked_sub(1)
                .and_then(|at| self.from.get(at))
                .is_none_or(|byte| !super::is_word(*byte) || *byte == b'b');
        let hashes = self.from.get(self.at + 1..).unwrap_or_default().iter().take_while(|byte| **byte == b'#').count();
        if !begins || self.from.get(self.at + 1 + hashes) != Some(&b'"') {
            return false;
        }
        let mut end = vec![b'"'];
        end.extend(std::iter::repeat_n(b'#', hashes));
        self.until(hashes + 2, &end, false);
        true
    }

    /// Where a `/` would be no division.
    fn expression_begins(&self) -> bool {
        matches!(self.last, b'(' | b',' | b'=' | b':' | b'[' | b'!' | b'&' | b'|' | b'?' | b'{' | b'}' | b';' | b'\n')
    }

    fn blank(&mut self, start: usize, end: usize) {
        for byte in self.into.get_mut(start..end).unwrap_or_default() {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_and_comments() {
        let cases = [
            (Language::Python, "a('x{') # {\n'''{\n''' b", "a('  ')  \n'''\n''' b"),
            (Language::Node, "a(`{${1}`) // {\n/* { */ b", "a(`     `)   \n/*   */ b"),
            (Language::Node, "x.match(/[{]/) / 2", "x.match(/   /) / 2"),
            (Language::Rust, "fn f<'a>(c: char) { '{' ; r#\"{\"#", "fn f<'a>(c: char) { ' ' ; r#\" \"#"),
            (Language::Go, "x := `{\n` + '{'", "x := ` \n` + ' '"),
            (Language::Java, "\"{\\\"\" + '{'", "\"   \" + ' '"),
        ];
        for (language, text, expected) in cases {
            let same = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let made = blanked(language, text);
            assert_eq!(same(&made), same(expected), "{text}");
            assert_eq!(made.len(), text.len());
        }
    }

    proptest! {
        #[test]
        fn total_and_as_long(text in any::<String>(), code in "[a-z(){}'\"`/*#\\\\\n ]{0,60}") {
            for language in [Language::Python, Language::Node, Language::Go, Language::Rust, Language::Java, Language::Ruby] {
                for text in [&text, &code] {
                    let made = blanked(language, text);
                    prop_assert_eq!(made.len(), text.len());
                    prop_assert_eq!(made.matches('\n').count(), text.matches('\n').count());
                }
            }
        }
    }
}
