//! Any text → a word of a POSIX shell, or a comment in one.

const LONGEST_COMMENT: usize = 200;

/// As it is where that is safe, else in quotes.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+^".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// One line, without control characters.
pub fn comment(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_COMMENT).collect()
}

/// A command line as it is written → its words, where it needs no shell.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        end if end == character => break,
                        '$' | '`' | '\\' if character == '"' => return None,
                        inside => word.push(inside),
                    }
                }
            }
            '$' | '`' | '\\' | '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '~' | '#' | '\n' | '!' | '{'
            | '[' => return None,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    // `A=1 program` sets a variable.
    let first = words.first()?;
    (!first.contains('=')).then_some(words)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_that_need_no_shell() {
        let split = |line: &str| words(line).map(|words| words.join("|"));
        assert_eq!(split("uv run pytest 'a b' -k \"x y\"").as_deref(), Some("uv|run|pytest|a b|-k|x y"));
        for line in ["a && b", "a $HOME", "A=1 b", "", "a 'b", "a > b", "a \"$(x)\""] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_sees_the_word_itself(word in "[^\0]{0,40}", odd in "['\"$`\\\\;|&() \n!*]{0,12}") {
            for word in [&word, &odd] {
                let out = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output().expect("sh runs");
                prop_assert_eq!(&out.stdout, word.as_bytes());
            }
        }

        #[test]
        fn comments_are_one_line(text in any::<String>()) {
            prop_assert!(!comment(&text).contains(['\n', '\r']));
        }
    }
}
