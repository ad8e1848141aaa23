//! Redis' protocol (RESP 2 and 3, inline commands) → calls: one for each command that is answered, as its own statistics
//! count them; also MULTI, what is queued behind it, and EXEC. Messages that the server pushes are nobody's answer.
//!
//! Of a command only its name is kept (and the second word, where that is a part of the name), of an answer only whether
//! it is an error.

#[cfg(test)]
mod tests;
mod values;

use std::collections::VecDeque;

use super::detect::{Guess, Kind};
use super::dialogue::{Dialogue, Onward, Side};
use super::frames::Rest;
use super::repeat::RunKey;
use crate::recording::{CallStep, Mark, Wire};
use values::{Event, Lane, Value};

/// Commands without an answer that are remembered; a client that sends more at once is not followed.
const MAX_PENDING: usize = 64 * 1024;
/// Commands whose second word says what they do.
const CONTAINERS: [&str; 17] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Reply,
    /// One confirmation a channel: the first one answers.
    Subscription,
}

/// CLIENT REPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replies {
    On,
    /// Not to the next command.
    SkipNext,
    Off,
}

#[derive(Debug)]
pub(super) struct Connection {
    requests: Lane,
    responses: Lane,
    pending: VecDeque<Expect>,
    /// The answer to the first of `pending` has begun.
    begun: bool,
    /// As many of `pending` may have been answered while the responses were lost.
    doubt: usize,
    /// Since the responses were lost, the client has spoken.
    turned: bool,
    /// The command that is being sent was told, and whether it will be answered.
    told: Option<bool>,
    subscribed: bool,
    replies: Replies,
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
            told: None,
            subscribed: false,
            replies: Replies::On,
            onward: Onward::Same,
            key,
        }
    }
}

fn mark(step: CallStep) -> Mark {
    Mark::Call { wire: Wire::Redis, stream: 0, step }
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
            match self.requests.next(rest, Side::Requests, &self.key) {
                None => break,
                Some(Event::Begun(_)) => {}
                Some(Event::Over(value)) => {
                    if self.told.is_none() && !value.words.is_empty() {
                        self.command(&value, marks);
                    }
                    if self.told.take() == Some(true) {
                        marks.push(mark(CallStep::RequestEnd));
                    }
                }
                Some(Event::Lost) => {
                    self.told = None;
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
        // What is sent in many transfers is told with its first one.
        if let Some(value) = self.requests.open().filter(|value| self.told.is_none() && value.words.len() >= 2)
            && word(value.words.first()) != "CLIENT"
        {
            self.command(&value, marks);
        }
    }

    fn command(&mut self, value: &Value, marks: &mut Vec<Mark>) {
        let name = word(value.words.first());
        let second = word(value.words.get(1));
        match (name.as_str(), second.as_str()) {
            ("MONITOR" | "SYNC" | "PSYNC", _) => {
                self.onward = Onward::Opaque;
                return;
            }
            ("CLIENT", "REPLY") => match word(value.words.get(2)).as_str() {
                "ON" => self.replies = Replies::On,
                "SKIP" => {
                    self.replies = Replies::SkipNext;
                    self.told = Some(false);
                    return;
                }
                _ => self.replies = Replies::Off,
            },
            _ => {}
        }
        match self.replies {
            Replies::On => {}
            Replies::SkipNext => {
                self.replies = Replies::On;
                self.told = Some(false);
                return;
            }
            Replies::Off => {
                self.told = Some(false);
                return;
            }
        }
        let subscription = name.ends_with("SUBSCRIBE");
        self.subscribed |= subscription;
        self.expect(if subscription { Expect::Subscription } else { Expect::Reply });
        self.told = Some(true);
        let operation = match CONTAINERS.contains(&name.as_str()) && !second.is_empty() {
            true => format!("{name} {second}"),
            false => name,
        };
        marks.push(mark(CallStep::Request {
            method: None,
            operation: (!operation.is_empty()).then_some(operation),
            host: None,
            repeat: value.repeat,
        }));
    }

    fn expect(&mut self, expect: Expect) {
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back(expect);
        } else {
            self.onward = Onward::Opaque;
        }
    }

    fn answered(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        if self.responses.is_lost() {
            if !(self.turned && values::is_reply(rest.captured)) {
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
            match self.responses.next(rest, Side::Responses, &self.key) {
                None => return,
                // Whether it answers anything shows at its first words.
                Some(Event::Begun(_)) if self.subscribed || self.pending.is_empty() => {}
                Some(Event::Begun(b'>')) => {}
                Some(Event::Begun(kind)) => self.begin(kind, marks),
                Some(Event::Over(value)) => self.reply(&value, marks),
                Some(Event::Lost) => {
                    self.turned = false;
                    self.doubt = self.pending.len();
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    fn begin(&mut self, kind: u8, marks: &mut Vec<Mark>) {
        if !self.begun {
            self.begun = true;
            let failed = matches!(kind, b'-' | b'!');
            marks.push(mark(CallStep::Response { status: None, failed }));
        }
    }

    fn reply(&mut self, value: &Value, marks: &mut Vec<Mark>) {
        let first = word(value.words.first());
        let aggregate = matches!(value.kind, b'*' | b'>');
        let confirms = aggregate && first.ends_with("SUBSCRIBE");
        let pushed = match value.kind {
            _ if confirms => self.pending.front() != Some(&Expect::Subscription),
            b'>' => true,
            // RESP 2 pushes what looks like an answer.
            b'*' => (self.subscribed || self.pending.is_empty()) && first.ends_with("MESSAGE"),
            _ => false,
        };
        if pushed {
            return;
        }
        self.begin(value.kind, marks);
        self.begun = false;
        self.pending.pop_front();
        marks.push(mark(CallStep::ResponseEnd));
    }
}

/// In capitals; empty for what is no name of a command.
fn word(bytes: Option<&Vec<u8>>) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-|".contains(byte);
    let word = bytes.filter(|bytes| bytes.len() < values::MAX_WORD && bytes.iter().all(plain));
    word.map(|bytes| String::from_utf8_lossy(bytes).to_ascii_uppercase()).unwrap_or_default()
}

/// `*1\r\n$4\r\nPING`, or that in one line.
pub(super) fn begins(bytes: &[u8]) -> Guess {
    const INLINE: &[u8] = b"PING\r\n";
    let both = bytes.len().min(INLINE.len());
    if bytes[..both].eq_ignore_ascii_case(&INLINE[..both]) && both > 0 {
        return if both == INLINE.len() { yes() } else { Guess::NeedMore };
    }
    let mut at = 0;
    for (start, most) in [(b'*', 7), (b'$', 9)] {
        match bytes.get(at) {
            None => return Guess::NeedMore,
            Some(byte) if *byte == start => {}
            Some(_) => return Guess::No,
        }
        let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > most || bytes.get(at + 1) == Some(&b'0') {
            return Guess::No;
        }
        let end = &bytes[at + 1 + digits..];
        let both = end.len().min(2);
        match end[..both] == b"\r\n"[..both] {
            true if both == 2 && digits > 0 => at += digits + 3,
            true if digits > 0 || end.is_empty() => return Guess::NeedMore,
            _ => return Guess::No,
        }
    }
    match bytes.get(at) {
        None => Guess::NeedMore,
        Some(first) if first.is_ascii_alphabetic() => yes(),
        Some(_) => Guess::No,
    }
}

fn yes() -> Guess {
    Guess::Yes(Kind::Call(Wire::Redis, Side::Requests))
}
