//! memcached's text protocol → calls: one for each command that is answered, many keys or one. Keys are not kept. Of the
//! meta commands those that ask for silence are no calls, because most of them are never answered. The binary protocol
//! has a reader of its own.

pub(super) mod binary;
mod lines;
#[cfg(test)]
mod tests;

use super::detect::{Guess, Kind};
use super::dialogue::Side;
use super::frames::{Lost, Rest};
use super::repeat::RunKey;
use super::turns;
use crate::recording::Wire;
use lines::{Event, Lane};

/// Longer words than any command's.
const MAX_COMMAND: usize = 10;

/// How a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Line,
    /// VALUE or STAT lines up to END.
    UntilEnd,
    /// A line; VA has data behind it.
    Meta,
    Never,
}

/// Name, answer, which word is the length of the data behind the line.
const COMMANDS: [(&str, Answer, Option<usize>); 24] = [
    ("get", Answer::UntilEnd, None),
    ("gets", Answer::UntilEnd, None),
    ("gat", Answer::UntilEnd, None),
    ("gats", Answer::UntilEnd, None),
    ("set", Answer::Line, Some(4)),
    ("add", Answer::Line, Some(4)),
    ("replace", Answer::Line, Some(4)),
    ("append", Answer::Line, Some(4)),
    ("prepend", Answer::Line, Some(4)),
    ("cas", Answer::Line, Some(4)),
    ("delete", Answer::Line, None),
    ("incr", Answer::Line, None),
    ("decr", Answer::Line, None),
    ("touch", Answer::Line, None),
    ("flush_all", Answer::Line, None),
    ("version", Answer::Line, None),
    ("verbosity", Answer::Line, None),
    ("stats", Answer::UntilEnd, None),
    ("mg", Answer::Meta, None),
    ("ms", Answer::Meta, Some(2)),
    ("md", Answer::Meta, None),
    ("ma", Answer::Meta, None),
    ("mn", Answer::Meta, None),
    ("quit", Answer::Never, None),
];

type Owed = turns::Owed<Answer>;

#[derive(Debug)]
pub(super) struct Reader {
    key: RunKey,
}

impl Reader {
    pub fn new(key: RunKey) -> Reader {
        Reader { key }
    }
}

impl turns::Reader for Reader {
    const WIRE: Wire = Wire::Memcached;
    type Lane = Lane;
    type Expect = Answer;

    fn next(&mut self, side: Side, lane: &mut Lane, rest: &mut Rest<'_>, owed: &mut Owed) -> Result<bool, Lost> {
        match (side, lane.next(rest)?) {
            (_, None) => return Ok(false),
            (Side::Requests, Some(Event::Line { bytes, whole })) => {
                let data = self.command(&bytes, whole, owed);
                lane.data(data);
                if data.is_none() {
                    owed.told();
                }
            }
            (Side::Requests, Some(Event::DataOver)) => owed.told(),
            (Side::Responses, Some(Event::Line { bytes, .. })) => lane.data(answer(&bytes, owed)),
            (Side::Responses, Some(Event::DataOver)) => {
                if owed.first() == Some(&Answer::Meta) && owed.has_begun() {
                    owed.end();
                }
            }
        }
        Ok(true)
    }

    fn resumes(&mut self, side: Side, captured: &[u8], turned: bool) -> bool {
        match side {
            Side::Requests => begins(captured) != Guess::No,
            Side::Responses => turned && is_answer(captured),
        }
    }
}

impl Reader {
    /// The length of the data behind the line, where there is some.
    fn command(&mut self, line: &[u8], whole: bool, owed: &mut Owed) -> Option<u64> {
        let words: Vec<&[u8]> = words(line).collect();
        let known = COMMANDS.iter().find(|(name, ..)| words.first() == Some(&name.as_bytes()));
        let (name, answer, length_at) = match known {
            Some((name, answer, at)) => (Some((*name).to_owned()), *answer, *at),
            // Answered with ERROR.
            None => (None, Answer::Line, None),
        };
        let data = length_at.and_then(|at| words.get(at)).and_then(|word| number(word));
        let quiet = match answer {
            Answer::Meta => words.iter().skip(1).any(|word| *word == b"q"),
            Answer::Line => words.last() == Some(&b"noreply".as_slice()),
            Answer::UntilEnd => false,
            Answer::Never => true,
        };
        if !quiet && !words.is_empty() {
            let repeat = (whole && data.is_none()).then(|| self.key.of(&[line]));
            owed.call(name, repeat);
            owed.expect(answer);
        }
        data
    }
}

/// The length of the data behind an answer's line, where there is some.
fn answer(line: &[u8], owed: &mut Owed) -> Option<u64> {
    let words: Vec<&[u8]> = words(line).take(5).collect();
    let first = words.first().copied().unwrap_or_default();
    let data = match first {
        b"VALUE" => words.get(3).and_then(|word| number(word)),
        b"VA" => words.get(1).and_then(|word| number(word)),
        _ => None,
    };
    let failed = matches!(first, b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR");
    let meta = matches!(first, b"HD" | b"VA" | b"EN" | b"NF" | b"NS" | b"EX" | b"MN" | b"ME");
    let (ours, over) = match owed.first() {
        None => (false, false),
        Some(_) if failed => (true, true),
        Some(Answer::UntilEnd) => (!meta, matches!(first, b"END" | b"RESET")),
        Some(Answer::Line) => (!meta, true),
        Some(Answer::Meta) => (true, first != b"VA"),
        Some(Answer::Never) => (false, false),
    };
    if ours {
        owed.begin(failed);
    }
    if ours && over {
        owed.end();
    }
    data
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 12 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

fn is_answer(bytes: &[u8]) -> bool {
    const FIRST: [&[u8]; 14] = [
        b"VALUE ", b"END\r\n", b"STORED", b"NOT_", b"EXISTS", b"DELETED", b"TOUCHED", b"OK\r\n", b"HD", b"VA ",
        b"EN\r\n", b"NF", b"NS", b"STAT ",
    ];
    FIRST.iter().any(|first| bytes.starts_with(first)) || bytes.first().is_some_and(u8::is_ascii_digit)
}

/// A command's word, and a line that makes sense behind it.
pub(super) fn begins(bytes: &[u8]) -> Guess {
    let word =
        bytes.iter().take(MAX_COMMAND + 1).take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_').count();
    let Some(next) = bytes.get(word) else {
        let may = COMMANDS.iter().any(|(name, ..)| name.as_bytes().starts_with(bytes));
        return if may { Guess::NeedMore } else { Guess::No };
    };
    let Some((_, _, length_at)) = COMMANDS.iter().find(|(name, ..)| name.as_bytes() == &bytes[..word]) else {
        return Guess::No;
    };
    if !matches!(next, b' ' | b'\r') {
        return Guess::No;
    }
    let end = bytes.iter().take(lines::MAX_KEPT).position(|byte| *byte == b'\n');
    let line = &bytes[..end.unwrap_or(bytes.len().min(lines::MAX_KEPT))];
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    if !text.iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic()) {
        return Guess::No;
    }
    match (end, length_at) {
        // Many keys; nothing else begins so and goes on so long.
        (None, _) if bytes.len() >= lines::MAX_KEPT => yes(),
        (None, _) => Guess::NeedMore,
        (Some(_), _) if line.len() == text.len() => Guess::No,
        (Some(_), Some(at)) => match words(text).nth(*at).and_then(number) {
            Some(_) => yes(),
            None => Guess::No,
        },
        (Some(_), None) => yes(),
    }
}

fn yes() -> Guess {
    Guess::Yes(Kind::Call(Wire::Memcached, Side::Requests))
}
