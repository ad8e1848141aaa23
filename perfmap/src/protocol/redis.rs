//! Redis' protocol (RESP 2 and 3, inline commands) → calls: one for each command that is answered, as its own statistics
//! count them; also MULTI, what is queued behind it, and EXEC. Messages that the server pushes are nobody's answer.
//!
//! Of a command only its name is kept (and the second word, where that is a part of the name), of an answer only whether
//! it is an error.

#[cfg(test)]
mod tests;
mod values;

use super::detect::{Guess, Kind};
use super::dialogue::{Onward, Side};
use super::frames::{Lost, Rest};
use super::repeat::RunKey;
use super::turns;
use crate::recording::Wire;
use values::{Event, Lane, Value};

/// Commands whose second word says what they do.
const CONTAINERS: [&str; 17] = [
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
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

type Owed = turns::Owed<Expect>;

#[derive(Debug)]
pub(super) struct Reader {
    /// The command that is being sent was understood.
    read: bool,
    subscribed: bool,
    replies: Replies,
    key: RunKey,
}

impl Reader {
    pub fn new(key: RunKey) -> Reader {
        Reader { read: false, subscribed: false, replies: Replies::On, key }
    }
}

impl turns::Reader for Reader {
    const WIRE: Wire = Wire::Redis;
    type Lane = Lane;
    type Expect = Expect;

    fn next(&mut self, side: Side, lane: &mut Lane, rest: &mut Rest<'_>, owed: &mut Owed) -> Result<bool, Lost> {
        match (side, lane.next(rest, side, &self.key)?) {
            (_, None) => return Ok(false),
            (Side::Requests, Some(Event::Begun(_))) => {}
            (Side::Requests, Some(Event::Over(value))) => {
                if !std::mem::take(&mut self.read) && !value.words.is_empty() {
                    self.command(&value, owed);
                }
                self.read = false;
                owed.told();
            }
            // Whether it answers anything shows at its first words.
            (Side::Responses, Some(Event::Begun(_))) if self.subscribed || owed.first().is_none() => {}
            (Side::Responses, Some(Event::Begun(b'>'))) => {}
            (Side::Responses, Some(Event::Begun(kind))) => begin(kind, owed),
            (Side::Responses, Some(Event::Over(value))) => self.reply(&value, owed),
        }
        Ok(true)
    }

    fn resumes(&mut self, side: Side, captured: &[u8], turned: bool) -> bool {
        match side {
            Side::Requests => {
                self.read = false;
                begins(captured) != Guess::No
            }
            Side::Responses => turned && values::is_reply(captured),
        }
    }

    /// What is sent in many transfers is told with its first one.
    fn paused(&mut self, requests: &Lane, owed: &mut Owed) {
        if let Some(value) = requests.open().filter(|value| !self.read && value.words.len() >= 2)
            && word(value.words.first()) != "CLIENT"
        {
            self.command(&value, owed);
        }
    }
}

impl Reader {
    fn command(&mut self, value: &Value, owed: &mut Owed) {
        self.read = true;
        let name = word(value.words.first());
        let second = word(value.words.get(1));
        match (name.as_str(), second.as_str()) {
            ("MONITOR" | "SYNC" | "PSYNC", _) => {
                owed.leave(Onward::Opaque);
                return;
            }
            ("CLIENT", "REPLY") => match word(value.words.get(2)).as_str() {
                "ON" => self.replies = Replies::On,
                "SKIP" => {
                    self.replies = Replies::SkipNext;
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
                return;
            }
            Replies::Off => {
                return;
            }
        }
        let subscription = name.ends_with("SUBSCRIBE");
        self.subscribed |= subscription;
        owed.expect(if subscription { Expect::Subscription } else { Expect::Reply });
        let operation = match CONTAINERS.contains(&name.as_str()) && !second.is_empty() {
            true => format!("{name} {second}"),
            false => name,
        };
        owed.call((!operation.is_empty()).then_some(operation), value.repeat);
    }

    fn reply(&mut self, value: &Value, owed: &mut Owed) {
        let first = word(value.words.first());
        let aggregate = matches!(value.kind, b'*' | b'>');
        let confirms = aggregate && first.ends_with("SUBSCRIBE");
        let pushed = match value.kind {
            _ if confirms => owed.first() != Some(&Expect::Subscription),
            b'>' => true,
            // RESP 2 pushes what looks like an answer.
            b'*' => (self.subscribed || owed.first().is_none()) && first.ends_with("MESSAGE"),
            _ => false,
        };
        if pushed {
            return;
        }
        begin(value.kind, owed);
        owed.end();
    }
}

fn begin(kind: u8, owed: &mut Owed) {
    if !owed.has_begun() {
        owed.begin(matches!(kind, b'-' | b'!'));
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
