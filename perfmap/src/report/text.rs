//! Names that the target chose → text that is safe to show. Names are hostile: a function may be called like an
//! escape sequence of the terminal.

/// Names longer than this are cut, with an ellipsis.
pub const LONGEST: usize = 400;

/// Every character that moves the cursor, changes colours, reverses the line or cannot be seen is written as an
/// escape (`\x1b`, `\u{202e}`).
pub fn visible(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for (position, character) in name.chars().enumerate() {
        if position == LONGEST {
            shown.push('…');
            break;
        }
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            hidden if is_hidden(hidden) && u32::from(hidden) < 0x100 => {
                shown.push_str(&format!("\\x{:02x}", u32::from(hidden)));
            }
            hidden if is_hidden(hidden) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(hidden))),
            plain => shown.push(plain),
        }
    }
    shown
}

/// Controls, line separators, direction marks, invisible and unassignable characters.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0xad | 0x61c | 0x115f | 0x1160 | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0xe000..=0xf8ff
            | 0xe0000..=0x10ffff)
        || u32::from(character) & 0xfffe == 0xfffe
}

/// argv as a person would type it to a shell.
pub fn command_line(argv: &[String]) -> String {
    argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_shown_and_not_obeyed() {
        assert_eq!(visible("a\x1b[31mb"), "a\\x1b[31mb");
        assert_eq!(visible("\u{9b}2J\u{7f}"), "\\x9b2J\\x7f");
        assert_eq!(visible("x\u{202e}y\nz\t"), "x\\u{202e}y\\nz\\t");
        assert_eq!(visible("größe_名前"), "größe_名前");
        assert_eq!(visible(&"a".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn commands_are_quoted_where_a_shell_would_need_it() {
        let argv = ["uv", "run", "pytest", "-k", "a or b", "it's", ""].map(str::to_owned);
        assert_eq!(command_line(&argv), r"uv run pytest -k 'a or b' 'it'\''s' ''");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(name in any::<String>()) {
            prop_assert!(!visible(&name).chars().any(is_hidden));
        }
    }
}
