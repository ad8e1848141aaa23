//! PostgreSQL's protocol 3 → calls: one for each Query and each Execute that is answered, whatever it asks for, BEGIN and
//! COMMIT included. That is what the server logs as `statement:` and `execute`; what it refuses is answered as well, with
//! an error. Parse, Bind, Describe and Sync are parts of a call, not calls.
//!
//! A server that has answered with an error skips what was sent up to the next Sync: these calls are abandoned.

mod messages;
mod names;
#[cfg(test)]
mod tests;

use super::dialogue::{Onward, Side};
use super::frames::{self, Event, Lane, Lost, Rest};
use super::repeat::RunKey;
use super::statement::{self, Dialect};
use super::turns;
use crate::recording::Wire;
use names::{Bound, Names};

pub(super) use messages::begins;

/// What the server owes an answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Over with ReadyForQuery: Query and FunctionCall.
    Query,
    Execute,
    Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Nothing of the client's was seen yet.
    Unknown,
    /// Messages without a type.
    Startup,
    /// SSLRequest or GSSENCRequest: one byte answers it.
    Asked,
    Over,
}

type Owed = turns::Owed<Expect>;

#[derive(Debug)]
pub(super) struct Reader {
    opening: Opening,
    /// An error was answered and no Sync has followed: the server skips what it reads.
    skipping: bool,
    /// COPY FROM STDIN is under way: the server ignores Sync until the data's end.
    copying: bool,
    /// BindComplete was seen, for a client whose messages were not.
    bound: bool,
    names: Names,
    key: RunKey,
}

impl Reader {
    pub fn new(key: RunKey) -> Reader {
        Reader {
            opening: Opening::Unknown,
            skipping: false,
            copying: false,
            bound: false,
            names: Names::default(),
            key,
        }
    }
}

impl turns::Reader for Reader {
    const WIRE: Wire = Wire::Postgres;
    type Lane = Lane;
    type Expect = Expect;

    fn opens(&mut self, side: Side, rest: &mut Rest<'_>, owed: &mut Owed) {
        match (side, self.opening) {
            (Side::Requests, Opening::Unknown) => {
                let typed = rest.captured.first().is_some_and(|first| *first != 0);
                self.opening = if typed { Opening::Over } else { Opening::Startup };
            }
            (Side::Responses, Opening::Asked) => {
                self.opening = Opening::Startup;
                match rest.captured.first() {
                    Some(b'S') => owed.leave(Onward::Tunnel),
                    Some(b'N') => rest.skip(1),
                    // An ErrorResponse, of a server that does not know the request.
                    Some(b'E') => {}
                    Some(_) | None => owed.leave(Onward::Opaque),
                }
            }
            (Side::Requests | Side::Responses, _) => {}
        }
    }

    fn next(&mut self, side: Side, lane: &mut Lane, rest: &mut Rest<'_>, owed: &mut Owed) -> Result<bool, Lost> {
        let header = match (side, self.opening) {
            (Side::Responses, _) => messages::response,
            (Side::Requests, Opening::Over) => messages::request,
            (Side::Requests, Opening::Unknown | Opening::Startup | Opening::Asked) => messages::startup,
        };
        match (side, lane.next(rest, header)?) {
            (_, None) => return Ok(false),
            (Side::Requests, Some(Event::Message { kind, body, cut, length: _ })) => match self.opening {
                Opening::Over => self.request(kind, &body, cut, owed),
                Opening::Unknown | Opening::Startup | Opening::Asked => self.startup(kind, owed),
            },
            (Side::Requests, Some(Event::Over(kind))) if matches!(kind, b'Q' | b'E' | b'F') => owed.told(),
            (Side::Responses, Some(Event::Message { kind, .. })) => self.response(kind, owed),
            (Side::Requests | Side::Responses, Some(Event::Over(_))) => {}
        }
        Ok(true)
    }

    /// One header tells where the turn changed, more of them elsewhere.
    fn resumes(&mut self, side: Side, captured: &[u8], turned: bool) -> bool {
        let header = if side == Side::Requests { messages::request } else { messages::response };
        frames::chain(captured, header, if turned { 1 } else { 3 })
    }
}

impl Reader {
    fn startup(&mut self, kind: u8, owed: &mut Owed) {
        self.opening = match kind {
            messages::ENCRYPTION => Opening::Asked,
            messages::CANCEL => {
                owed.leave(Onward::Opaque);
                Opening::Over
            }
            _ => Opening::Over,
        };
    }

    fn request(&mut self, kind: u8, body: &[u8], cut: bool, owed: &mut Owed) {
        match kind {
            b'Q' => {
                let text = body.strip_suffix(&[0]).unwrap_or(body);
                let cut = cut || text.len() == body.len();
                let operation = Some(statement::shape(text, cut, Dialect::Postgres));
                let repeat = (!cut).then(|| self.key.of(&[text]));
                self.call(Expect::Query, operation, repeat, owed);
            }
            b'F' => self.call(Expect::Query, None, None, owed),
            b'E' => {
                let Bound { operation, repeat } = self.names.executed(body);
                self.call(Expect::Execute, operation, repeat, owed);
            }
            b'P' => self.names.parsed(body, cut),
            b'B' => self.names.bound(body, cut, &self.key),
            b'C' => self.names.closed(body),
            b'S' if !self.copying => {
                self.skipping = false;
                owed.expect(Expect::Sync);
            }
            // CopyDone, CopyFail.
            b'c' | b'f' => self.copying = false,
            _ => {}
        }
    }

    fn call(&mut self, expect: Expect, operation: Option<String>, repeat: Option<u64>, owed: &mut Owed) {
        owed.call(operation, repeat);
        if self.skipping && expect == Expect::Execute {
            owed.refuse();
        } else {
            owed.expect(expect);
        }
    }

    fn response(&mut self, kind: u8, owed: &mut Owed) {
        match kind {
            b'2' => self.bound = true,
            b'W' => owed.leave(Onward::Opaque),
            b'T' | b'D' | b'C' | b'I' | b's' | b'E' | b'G' | b'H' | b'V' => self.answer(kind, owed),
            b'Z' => self.ready(owed),
            _ => {}
        }
    }

    fn answer(&mut self, kind: u8, owed: &mut Owed) {
        if owed.first().is_none() && matches!(kind, b'D' | b'C' | b'I' | b's' | b'G' | b'H' | b'V') {
            // Its request was not seen.
            let bound = std::mem::take(&mut self.bound);
            owed.expect(if bound { Expect::Execute } else { Expect::Query });
        }
        let failed = kind == b'E';
        match owed.first() {
            Some(Expect::Query) => owed.begin(failed),
            Some(Expect::Execute) => {
                owed.begin(failed);
                if kind == b'G' {
                    self.copying = true;
                    owed.forget(|expect| *expect == Expect::Sync);
                }
                if matches!(kind, b'C' | b'I' | b's' | b'E') {
                    owed.end();
                }
                if failed {
                    self.skip(owed);
                }
            }
            // Of a Parse or a Bind that nothing was to be executed of.
            Some(Expect::Sync) | None => {}
        }
    }

    /// Behind an error, up to the Sync.
    fn skip(&mut self, owed: &mut Owed) {
        while let Some(Expect::Execute) = owed.first() {
            owed.abandon();
        }
        self.skipping = owed.first().is_none();
    }

    fn ready(&mut self, owed: &mut Owed) {
        self.copying = false;
        self.bound = false;
        while let Some(front) = owed.first() {
            match front {
                Expect::Query => {
                    owed.begin(false);
                    return owed.end();
                }
                Expect::Execute => {
                    owed.abandon();
                }
                Expect::Sync => {
                    owed.settle();
                    return;
                }
            }
        }
    }
}
