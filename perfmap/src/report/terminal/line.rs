//! Spans of styled text → lines that fit the width. Whatever is put in is made visible first, so that nothing a target
//! named can steer the terminal.

use anstyle::{AnsiColor, Style as Ansi};
use unicode_width::UnicodeWidthChar;

use super::View;
use crate::report::text::visible;

const NARROWEST: usize = 40;
/// Of the words in front of a line: "baseline", "profiled", "warning".
const LABEL: usize = 11;
const BETWEEN_ITEMS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Strong,
    Dim,
    Verdict,
    Warning,
}

impl Style {
    fn ansi(self) -> Ansi {
        match self {
            Style::Plain => Ansi::new(),
            Style::Strong => Ansi::new().bold(),
            Style::Dim => Ansi::new().dimmed(),
            Style::Verdict => AnsiColor::Red.on_default().bold(),
            Style::Warning => AnsiColor::Yellow.on_default(),
        }
    }
}

/// One line's text. Glyphs beyond ASCII are replaced when the page is written for a terminal without them.
#[derive(Debug, Clone, Default)]
pub struct Line {
    spans: Vec<(Style, String)>,
}

impl Line {
    pub fn of(style: Style, text: &str) -> Line {
        let mut line = Line::default();
        line.push(style, text);
        line
    }

    pub fn push(&mut self, style: Style, text: &str) {
        self.spans.push((style, visible(text)));
    }

    pub fn append(&mut self, other: Line) {
        self.spans.extend(other.spans);
    }

    fn plain(&self) -> String {
        self.spans.iter().map(|(_, text)| text.as_str()).collect()
    }
}

pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// At most `most` columns, with an ellipsis where something was cut.
pub fn cut(text: &str, most: usize, ellipsis: &str) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(width(ellipsis));
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > room {
            break;
        }
        kept.push(character);
    }
    if width(ellipsis) <= most {
        kept.push_str(ellipsis);
    }
    kept
}

/// Padded on the right.
pub fn padded(text: &str, to: usize) -> String {
    let mut text = text.to_owned();
    text.extend(std::iter::repeat_n(' ', to.saturating_sub(width(&text))));
    text
}

/// Padded on the left.
pub fn right(text: &str, to: usize) -> String {
    " ".repeat(to.saturating_sub(width(text))) + text
}

/// The lines so far.
#[derive(Debug)]
pub struct Page {
    pub view: View,
    text: String,
}

impl Page {
    pub fn new(view: View) -> Page {
        Page { view: View { width: view.width.max(NARROWEST), ..view }, text: String::new() }
    }

    pub fn width(&self) -> usize {
        self.view.width
    }

    pub fn ellipsis(&self) -> &'static str {
        if self.view.unicode { "…" } else { "..." }
    }

    /// As it will be shown on this terminal.
    pub fn shown(&self, text: &str) -> String {
        let text = visible(text);
        if self.view.unicode { text } else { ascii(&text) }
    }

    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Cut to the width, without blanks at its end.
    pub fn line(&mut self, line: &Line) {
        let mut room = self.width();
        let mut spans: Vec<(Style, String)> = vec![];
        for (style, text) in &line.spans {
            let text = cut(&self.shown(text), room, self.ellipsis());
            room -= width(&text);
            spans.push((*style, text));
        }
        while let Some((_, last)) = spans.last_mut() {
            last.truncate(last.trim_end().len());
            if !last.is_empty() {
                break;
            }
            spans.pop();
        }
        for (style, text) in spans {
            if self.view.colour && style != Style::Plain && !text.trim().is_empty() {
                let ansi = style.ansi();
                self.text.push_str(&format!("{ansi}{text}{ansi:#}"));
            } else {
                self.text.push_str(&text);
            }
        }
        self.text.push('\n');
    }

    /// A label, then items side by side, on as many lines as needed.
    pub fn items(&mut self, label: &str, items: &[Line]) {
        let mut line = Line::of(Style::Dim, &padded(label, LABEL));
        let mut used = LABEL;
        for (position, item) in items.iter().enumerate() {
            let needed = width(&self.shown(&item.plain()));
            if position > 0 {
                if used + BETWEEN_ITEMS + needed > self.width() {
                    self.line(&line);
                    line = Line::of(Style::Plain, &" ".repeat(LABEL));
                    used = LABEL;
                } else {
                    line.push(Style::Plain, &" ".repeat(BETWEEN_ITEMS));
                    used += BETWEEN_ITEMS;
                }
            }
            line.spans.extend(item.spans.iter().cloned());
            used += needed;
        }
        self.line(&line);
    }

    /// A label, then text broken between words.
    pub fn paragraph(&mut self, label: &str, style: Style, text: &str) {
        let indent = LABEL.max(width(label) + BETWEEN_ITEMS);
        let mut line = Line::of(style, &padded(label, indent));
        let mut used = 0;
        for word in words(&self.shown(text)) {
            let needed = width(&word) + usize::from(used > 0);
            if used > 0 && indent + used + needed > self.width() {
                self.line(&line);
                line = Line::of(Style::Plain, &(" ".repeat(indent) + &word));
                used = width(&word);
            } else {
                let word = if used > 0 { format!(" {word}") } else { word };
                line.push(if style == Style::Verdict { Style::Strong } else { Style::Plain }, &word);
                used += needed;
            }
        }
        self.line(&line);
    }

    /// Text behind a line that ends at `indent`, broken between words and kept at that column.
    pub fn hanging(&mut self, first: Line, indent: usize, text: &str) {
        let mut line = first;
        let mut used = 0;
        for word in words(&self.shown(text)) {
            let needed = width(&word) + usize::from(used > 0);
            if used > 0 && indent + used + needed > self.width() {
                self.line(&line);
                line = Line::of(Style::Plain, &(" ".repeat(indent) + &word));
                used = width(&word);
            } else {
                let word = if used > 0 { format!(" {word}") } else { word };
                line.push(Style::Plain, &word);
                used += needed;
            }
        }
        self.line(&line);
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// What a line is not broken in: a number stays with its unit.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    for word in text.split(' ') {
        let is_unit = ["%", "ms", "s"].contains(&word.trim_end_matches([')', ',', ':']));
        match words.last_mut().filter(|before| is_unit && before.ends_with(|end: char| end.is_ascii_digit())) {
            Some(number) => {
                number.push(' ');
                number.push_str(word);
            }
            None => words.push(word.to_owned()),
        }
    }
    words
}

/// Our own signs by their usual stand-ins, letters of other scripts as escapes.
fn ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            plain if plain.is_ascii() => shown.push(plain),
            '·' => shown.push('-'),
            '×' => shown.push('x'),
            '±' => shown.push_str("+-"),
            'µ' => shown.push('u'),
            '…' => shown.push_str("..."),
            '│' => shown.push('|'),
            '├' => shown.push('|'),
            '└' => shown.push('`'),
            '−' => shown.push('-'),
            '→' => shown.push_str("->"),
            other => shown.push_str(&format!("\\u{{{:x}}}", u32::from(other))),
        }
    }
    shown
}
