//! A statement as sent → its shape: literals and parameters become `?`, lists of them one `?`, comments go, white space
//! is one space, and the length is bounded. What cannot be told from a literal with certainty ends the text there, so
//! that none gets through.

use std::{iter::Peekable, str::CharIndices};

/// Longest shape that is kept, in bytes.
const MAX_SHAPE: usize = 300;
/// Longest statement that is looked at.
pub(super) const MAX_SEEN: usize = 4096;
/// Identifiers in quotes have at most 63 or 64 characters; what is longer is data.
const MAX_QUOTED: usize = 128;
const CUT: &str = "…";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `"name"`, `'it''s'`, `E'it\'s'`, `$tag$text$tag$`, `$1`.
    Postgres,
    /// `` `name` ``, `'it\'s'`, `"text"`, `# comment`.
    Mysql,
}

/// `cut`: the statement goes on behind these bytes.
pub(super) fn shape(bytes: &[u8], cut: bool, dialect: Dialect) -> String {
    let seen = &bytes[..bytes.len().min(MAX_SEEN)];
    let text = String::from_utf8_lossy(seen);
    let mut reader = Reader { text: &text, rest: text.char_indices().peekable(), dialect };
    let mut shape = Shape::default();
    let mut space = false;
    loop {
        match reader.token() {
            Token::Space => space = true,
            Token::End if cut || seen.len() < bytes.len() => return shape.finish(true),
            Token::End => return shape.finish(false),
            Token::Unclear => {
                shape.push(Piece::Literal, "?", space);
                return shape.finish(true);
            }
            Token::Literal => {
                if !shape.push(Piece::Literal, "?", std::mem::take(&mut space)) {
                    return shape.finish(true);
                }
            }
            Token::Text(text) => {
                if !shape.push(Piece::of(text), text, std::mem::take(&mut space)) {
                    return shape.finish(true);
                }
            }
        }
    }
}

/// Words that statements begin with: how a statement is told from other text.
const FIRST: [&str; 29] = [
    "select",
    "insert",
    "update",
    "delete",
    "with",
    "begin",
    "commit",
    "rollback",
    "start",
    "savepoint",
    "release",
    "set",
    "show",
    "create",
    "alter",
    "drop",
    "truncate",
    "copy",
    "explain",
    "call",
    "execute",
    "prepare",
    "deallocate",
    "discard",
    "lock",
    "listen",
    "replace",
    "use",
    "values",
];

/// None: too few bytes to say.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    let text = bytes.trim_ascii_start();
    let word = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let known = FIRST.iter().any(|first| text[..word].eq_ignore_ascii_case(first.as_bytes()));
    match text.get(word) {
        None if word < 16 && text.len() == word => None,
        None => Some(false),
        Some(0 | b';' | b'(' | b'*') => Some(known),
        Some(next) => Some(known && next.is_ascii_whitespace()),
    }
}

enum Token<'a> {
    Space,
    /// A word, a quoted name, or one character.
    Text(&'a str),
    Literal,
    /// A literal whose end cannot be told.
    Unclear,
    End,
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    dialect: Dialect,
}

impl<'a> Reader<'a> {
    fn token(&mut self) -> Token<'a> {
        let Some((start, first)) = self.rest.next() else { return Token::End };
        let next = self.rest.peek().map(|(_, next)| *next);
        let postgres = self.dialect == Dialect::Postgres;
        match first {
            _ if first.is_whitespace() || first.is_control() => Token::Space,
            '-' if next == Some('-') => self.line(),
            '#' if !postgres => self.line(),
            '/' if next == Some('*') => self.comment(),
            '\'' => self.string('\'', !postgres),
            '"' if !postgres => self.string('"', true),
            '"' | '`' => self.quoted(start, first),
            '$' if postgres && next.is_some_and(|next| next.is_ascii_digit()) => {
                self.skip(|next| next.is_ascii_digit());
                Token::Literal
            }
            '$' if postgres => self.dollar(start),
            '0'..='9' => self.number(),
            '.' if next.is_some_and(|next| next.is_ascii_digit()) => self.number(),
            _ if is_word(first) => self.word(start),
            _ => Token::Text(self.since(start)),
        }
    }

    fn since(&mut self, start: usize) -> &'a str {
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        &self.text[start..end]
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.rest.next_if(|(_, next)| wanted(*next)).is_some() {}
    }

    fn line(&mut self) -> Token<'a> {
        self.skip(|next| next != '\n');
        Token::Space
    }

    /// PostgreSQL's nest. What one of MySQL's executable comments holds is dropped as well.
    fn comment(&mut self) -> Token<'a> {
        self.rest.next();
        let (mut depth, mut last) = (1_u32, ' ');
        for (_, next) in self.rest.by_ref() {
            match (last, next) {
                ('*', '/') => {
                    depth -= 1;
                    last = ' ';
                }
                ('/', '*') if self.dialect == Dialect::Postgres => {
                    depth += 1;
                    last = ' ';
                }
                _ => last = next,
            }
            if depth == 0 {
                break;
            }
        }
        Token::Space
    }

    /// Behind its first quote. Without `escapes` a backslash before the last quote may still be meant to escape it
    /// (standard_conforming_strings): what follows is either inside or outside.
    fn string(&mut self, quote: char, escapes: bool) -> Token<'a> {
        let mut escaped = false;
        while let Some((_, next)) = self.rest.next() {
            if next == quote && escaped && !escapes {
                return Token::Unclear;
            }
            if next == quote && !escaped && self.rest.next_if(|(_, next)| *next == quote).is_none() {
                return Token::Literal;
            }
            escaped = next == '\\' && !escaped;
        }
        Token::Unclear
    }

    fn quoted(&mut self, start: usize, quote: char) -> Token<'a> {
        while let Some((_, next)) = self.rest.next() {
            if next == quote && self.rest.next_if(|(_, next)| *next == quote).is_none() {
                let name = self.since(start);
                let plain = name.len() <= MAX_QUOTED && !name.contains(char::is_control);
                return if plain { Token::Text(name) } else { Token::Literal };
            }
        }
        Token::Unclear
    }

    /// `$tag$…$tag$`; a lone dollar is not SQL.
    fn dollar(&mut self, start: usize) -> Token<'a> {
        self.skip(is_word_inside);
        if self.rest.next_if(|(_, next)| *next == '$').is_none() {
            return Token::Unclear;
        }
        let tag = self.since(start);
        let from = start + tag.len();
        let Some(end) = self.text[from..].find(tag).map(|at| from + at + tag.len()) else { return Token::Unclear };
        while self.rest.next_if(|(at, _)| *at < end).is_some() {}
        Token::Literal
    }

    fn number(&mut self) -> Token<'a> {
        let mut last = ' ';
        while let Some((_, next)) = self.rest.next_if(|(_, next)| {
            is_word_inside(*next) || *next == '.' || (matches!(next, '+' | '-') && matches!(last, 'e' | 'E'))
        }) {
            last = next;
        }
        Token::Literal
    }

    fn word(&mut self, start: usize) -> Token<'a> {
        self.skip(|next| is_word_inside(next) || next == '$');
        let word = self.since(start);
        // E'…', X'…', B'…', N'…', U&'…': one literal with its prefix.
        let Some((_, '\'')) = self.rest.peek() else {
            if word.eq_ignore_ascii_case("u") && self.text.as_bytes()[start..].get(1..3) == Some(b"&'") {
                self.rest.next();
                self.rest.next();
                return self.string('\'', false);
            }
            return Token::Text(word);
        };
        match word.as_bytes() {
            [b'e' | b'E'] => {
                self.rest.next();
                self.string('\'', true)
            }
            [b'x' | b'X' | b'b' | b'B' | b'n' | b'N'] => {
                self.rest.next();
                self.string('\'', self.dialect == Dialect::Mysql)
            }
            _ => Token::Text(word),
        }
    }
}

fn is_word(first: char) -> bool {
    first.is_alphabetic() || first == '_' || first == '@' || first == char::REPLACEMENT_CHARACTER
}

fn is_word_inside(next: char) -> bool {
    next.is_alphanumeric() || next == '_' || next == '@' || next == char::REPLACEMENT_CHARACTER
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal,
    Open,
    Close,
    Comma,
    Semicolon,
    Sign,
    /// An operator's character: what a sign behind it belongs to is the number.
    Operator,
    Other,
}

impl Piece {
    fn of(text: &str) -> Piece {
        match text {
            "?" => Piece::Literal,
            "(" | "[" => Piece::Open,
            ")" | "]" => Piece::Close,
            "," => Piece::Comma,
            ";" => Piece::Semicolon,
            "-" | "+" => Piece::Sign,
            "=" | "<" | ">" | "*" | "/" | "%" | "|" => Piece::Operator,
            _ => Piece::Other,
        }
    }
}

/// The text so far, and where its pieces begin: lists are folded as they grow.
#[derive(Default)]
struct Shape {
    text: String,
    pieces: Vec<(Piece, usize)>,
}

impl Shape {
    /// False: it does not fit any more.
    fn push(&mut self, piece: Piece, text: &str, space: bool) -> bool {
        let text = if text.len() > MAX_QUOTED { "?" } else { text };
        let Some(space) = self.fold(piece, space) else { return true };
        let before = self.kind(0);
        let apart = match (before, piece) {
            (None | Some(Piece::Open), _) | (_, Piece::Comma | Piece::Close | Piece::Semicolon) => false,
            (Some(Piece::Comma | Piece::Semicolon), _) => true,
            // Two that would read as one.
            (Some(Piece::Literal | Piece::Other), Piece::Literal | Piece::Other) => space || glues(&self.text, text),
            _ => space,
        };
        if self.text.len() + usize::from(apart) + text.len() > MAX_SHAPE - 1 - CUT.len() {
            return false;
        }
        self.pieces.push((piece, self.text.len()));
        if apart {
            self.text.push(' ');
        }
        self.text.push_str(text);
        true
    }

    /// Before `next` is added: `(?), (?)` → `(?)`, `= -?` → `= ?`. None: it is part of a list, `?, ?` → `?`. Else
    /// whether white space goes before it.
    fn fold(&mut self, next: Piece, space: bool) -> Option<bool> {
        use Piece::{Close, Comma, Literal, Open, Operator, Sign};
        const ROW: [Piece; 6] = [Open, Literal, Close, Comma, Open, Literal];
        let sign = self.kind(0) == Some(Sign) && matches!(self.kind(1), None | Some(Open | Comma | Operator));
        if next == Literal && sign {
            let apart = self.pieces.last().is_some_and(|(_, at)| self.text[*at..].starts_with(' '));
            self.drop(1);
            return self.fold(next, apart);
        }
        if next == Literal && self.kind(0) == Some(Comma) && self.kind(1) == Some(Literal) {
            self.drop(1);
            return None;
        }
        if next == Close && ROW.iter().rev().enumerate().all(|(back, piece)| self.kind(back) == Some(*piece)) {
            self.drop(4);
        }
        Some(space)
    }

    fn kind(&self, back: usize) -> Option<Piece> {
        let index = self.pieces.len().checked_sub(back + 1)?;
        self.pieces.get(index).map(|(piece, _)| *piece)
    }

    fn drop(&mut self, count: usize) {
        let from = self.pieces.len().saturating_sub(count);
        if let Some((_, at)) = self.pieces.get(from) {
            self.text.truncate(*at);
        }
        self.pieces.truncate(from);
    }

    fn finish(mut self, cut: bool) -> String {
        if cut {
            if !self.text.is_empty() && self.kind(0) != Some(Piece::Open) {
                self.text.push(' ');
            }
            self.text.push_str(CUT);
        } else {
            while self.kind(0) == Some(Piece::Semicolon) {
                self.drop(1);
            }
        }
        self.text
    }
}

fn glues(before: &str, after: &str) -> bool {
    let last = before.chars().next_back();
    let first = after.chars().next();
    last.is_some_and(|last| is_word_inside(last) || last == '$' || last == '?')
        && first.is_some_and(|first| is_word_inside(first) || first == '$' || first == '?')
}

#[cfg(test)]
mod tests;
