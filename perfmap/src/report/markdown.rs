//! Any text → text that Markdown shows as it is: no markup, no HTML, no line break that would end a table's row.

use super::text::visible;

/// Punctuation that means something wherever it stands. A backslash before ASCII punctuation is never shown.
const MARKUP: &str = "\\`*_{}[]<>|~#&$@";
/// Punctuation that begins a list, a heading or a quotation at the beginning of a line.
const AT_THE_BEGINNING: &str = "-+=:";

/// In running text, and in a table's cell.
pub fn text(any: &str) -> String {
    let visible = visible(any);
    let mut escaped = String::with_capacity(visible.len());
    // "1." and "1)" begin a list.
    let number = visible.find(|character: char| !character.is_ascii_digit()).filter(|end| *end > 0);
    for (position, character) in visible.char_indices() {
        let begins = position == 0 && AT_THE_BEGINNING.contains(character)
            || number == Some(position) && matches!(character, '.' | ')');
        // What looks like an address would become a link.
        let links = character == ':' && visible.get(position..).is_some_and(|rest| rest.starts_with("://"))
            || character == '.' && visible.get(..position).is_some_and(|before| before.ends_with("www"));
        if MARKUP.contains(character) || begins || links {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// As code in a line, whatever backticks it has itself.
pub fn code(any: &str) -> String {
    let any = visible(any).replace('|', "\u{2502}");
    let marks = "`".repeat(longest_run(&any) + 1);
    let pad = if any.starts_with(['`', ' ']) || any.ends_with(['`', ' ']) || any.is_empty() { " " } else { "" };
    format!("{marks}{pad}{any}{pad}{marks}")
}

/// As a block of code, line by line.
pub fn fence(language: &str, any: &str) -> String {
    let lines: Vec<String> = any.lines().map(|line| visible(&line.replace('\t', "    "))).collect();
    let body = lines.join("\n");
    let marks = "`".repeat((longest_run(&body) + 1).max(3));
    format!("{marks}{language}\n{body}\n{marks}\n")
}

fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_look_like_markup() {
        assert_eq!(text("__init__"), "\\_\\_init\\_\\_");
        assert_eq!(text("# a"), "\\# a");
        assert_eq!(text("- a"), "\\- a");
        assert_eq!(text("<script>"), "\\<script\\>");
        assert_eq!(text("app/main.py:41, 9.5 ms"), "app/main.py:41, 9.5 ms");
        assert_eq!(text("http://x"), "http\\://x");
        assert_eq!(text("a|b"), "a\\|b");
        assert_eq!(text("1. a"), "1\\. a");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(fence("", "x\n```\ny"), "````\nx\n```\ny\n````\n");
    }

    proptest! {
        #[test]
        fn one_line_without_tags(any in any::<String>(), odd in "[`<>|\n\\[\\]()#*a _-]{0,20}") {
            for any in [any, odd] {
                for shown in [text(&any), code(&any)] {
                    prop_assert!(!shown.contains('\n'));
                }
                let shown = text(&any);
                let bare = shown.replace("\\\\", "");
                for mark in ["<", "|", "`", "[", "*", "_"] {
                    prop_assert_eq!(bare.matches(mark).count(), bare.matches(&format!("\\{mark}")).count(), "{}", shown);
                }
            }
        }
    }
}
