//! memcached's text protocol → calls: one for each command that is answered, many keys or one. Keys are not kept. Of the
//! meta commands those that ask for silence are no calls, because most of them are never answered; the binary protocol
//! is not read.

mod lines;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::detect::{Guess, Kind};
use super::dialogue::{Dialogue, Onward, Side};
use super::frames::Rest;
use super::repeat::RunKey;
use crate::recording::{CallStep, Mark, Wire};
use lines::{Event, Lane};

const MAX_PENDING: usize = 64 * 1024;
/// Longer words than any command's.
const MAX_COMMAND: usize = 10;

/// How a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
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

#[derive(Debug)]
pub(super) struct Connection {
    requests: Lane,
    responses: Lane,
    pending: VecDeque<Answer>,
    begun: bool,
    doubt: usize,
    /// Since the responses were lost, the client has spoken.
    turned: bool,
    /// The data of a command that was told is being sent.
    telling: bool,
    onward: Onward,
    key: RunKey,
}

impl Connection {
    pub fn new(key: RunKey) -> Connection {
        Connection {
            requests: Lane::default(),
            responses: Lane::default(),
            pending: VecDeque::new(),
            begun: false,
            doubt: 0,
            turned: false,
            telling: false,
            onward: Onward::Same,
            key,
        }
    }
}

fn mark(step: CallStep) -> Mark {
    Mark::Call { wire: Wire::Memcached, stream: 0, step }
}

impl Dialogue for Connection {
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        let mut rest = Rest { captured, length };
        match side {
            Side::Requests => self.asked(&mut rest, marks),
            Side::Responses => self.answered(&mut rest, marks),
        }
    }

    fn onward(&self) -> Onward {
        self.onward
    }
}

impl Connection {
    fn asked(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        self.turned |= self.responses.is_lost();
        if self.requests.is_lost() {
            if begins(rest.captured) == Guess::No {
                return;
            }
            self.requests.found();
        }
        while self.onward == Onward::Same {
            match self.requests.next(rest) {
                None => return,
                Some(Event::Line { bytes, whole }) => {
                    let data = self.command(&bytes, whole, marks);
                    self.requests.data(data);
                    if data.is_none() && std::mem::take(&mut self.telling) {
                        marks.push(mark(CallStep::RequestEnd));
                    }
                }
                Some(Event::DataOver) => {
                    if std::mem::take(&mut self.telling) {
                        marks.push(mark(CallStep::RequestEnd));
                    }
                }
                Some(Event::Lost) => {
                    self.telling = false;
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    /// The length of the data behind the line, where there is some.
    fn command(&mut self, line: &[u8], whole: bool, marks: &mut Vec<Mark>) -> Option<u64> {
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
            marks.push(mark(CallStep::Request { method: None, operation: name, host: None, repeat }));
            self.telling = true;
            if self.pending.len() < MAX_PENDING {
                self.pending.push_back(answer);
            } else {
                self.onward = Onward::Opaque;
            }
        }
        data
    }

    fn answered(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        if self.responses.is_lost() {
            if !(self.turned && is_answer(rest.captured)) {
                return;
            }
            self.responses.found();
            if self.pending.len() > self.doubt {
                // The client went on, so what was asked before has been answered.
                self.pending.drain(..self.doubt);
                self.begun = false;
            }
            self.doubt = 0;
        }
        while self.onward == Onward::Same {
            match self.responses.next(rest) {
                None => return,
                Some(Event::Line { bytes, .. }) => {
                    let data = self.answer(&bytes, marks);
                    self.responses.data(data);
                }
                Some(Event::DataOver) => {
                    if self.pending.front() == Some(&Answer::Meta) && self.begun {
                        self.end(marks);
                    }
                }
                Some(Event::Lost) => {
                    self.turned = false;
                    self.doubt = self.pending.len();
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    fn answer(&mut self, line: &[u8], marks: &mut Vec<Mark>) -> Option<u64> {
        let words: Vec<&[u8]> = words(line).take(5).collect();
        let first = words.first().copied().unwrap_or_default();
        let data = match first {
            b"VALUE" => words.get(3).and_then(|word| number(word)),
            b"VA" => words.get(1).and_then(|word| number(word)),
            _ => None,
        };
        let failed = matches!(first, b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR");
        let meta = matches!(first, b"HD" | b"VA" | b"EN" | b"NF" | b"NS" | b"EX" | b"MN" | b"ME");
        let (ours, over) = match self.pending.front() {
            None => (false, false),
            Some(_) if failed => (true, true),
            Some(Answer::UntilEnd) => (!meta, matches!(first, b"END" | b"RESET")),
            Some(Answer::Line) => (!meta, true),
            Some(Answer::Meta) => (true, first != b"VA"),
            Some(Answer::Never) => (false, false),
        };
        if ours && (!self.begun || failed) {
            self.begun = true;
            marks.push(mark(CallStep::Response { status: None, failed }));
        }
        if ours && over {
            self.end(marks);
        }
        data
    }

    fn end(&mut self, marks: &mut Vec<Mark>) {
        self.pending.pop_front();
        self.begun = false;
        marks.push(mark(CallStep::ResponseEnd));
    }
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
