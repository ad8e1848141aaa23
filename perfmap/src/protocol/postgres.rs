//! PostgreSQL's protocol 3 → calls: one for each Query and each Execute that is answered, whatever it asks for, BEGIN and
//! COMMIT included. That is what the server logs as `statement:` and `execute`; what it refuses is answered as well, with
//! an error. Parse, Bind, Describe and Sync are parts of a call, not calls.
//!
//! A server that has answered with an error skips what was sent up to the next Sync: these calls are abandoned.

mod messages;
mod names;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::dialogue::{Dialogue, Onward, Side};
use super::frames::{self, Event, Lane, Rest};
use super::repeat::RunKey;
use super::statement::{self, Dialect};
use crate::recording::{CallStep, Mark, Wire};
use names::{Bound, Names};

pub(super) use messages::begins;

/// Calls and Syncs without an answer that are remembered; a client that sends more at once is not followed.
const MAX_PENDING: usize = 16 * 1024;

/// What the server owes an answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
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

#[derive(Debug)]
pub(super) struct Connection {
    opening: Opening,
    requests: Lane,
    responses: Lane,
    /// Since a lane was lost, the other side has spoken: what follows begins with a message.
    turned: bool,
    pending: VecDeque<Expect>,
    /// The answer to the first of `pending` has begun.
    begun: bool,
    /// As many of `pending` may have been answered while the responses were lost.
    doubt: usize,
    /// An error was answered and no Sync has followed: the server skips what it reads.
    skipping: bool,
    /// COPY FROM STDIN is under way: the server ignores Sync until the data's end.
    copying: bool,
    /// BindComplete was seen, for a client whose messages were not.
    bound: bool,
    names: Names,
    onward: Onward,
    key: RunKey,
}

impl Connection {
    pub fn new(key: RunKey) -> Connection {
        Connection {
            opening: Opening::Unknown,
            requests: Lane::default(),
            responses: Lane::default(),
            turned: false,
            pending: VecDeque::new(),
            begun: false,
            doubt: 0,
            skipping: false,
            copying: false,
            bound: false,
            names: Names::default(),
            onward: Onward::Same,
            key,
        }
    }
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

fn mark(step: CallStep) -> Mark {
    Mark::Call { wire: Wire::Postgres, stream: 0, step }
}

impl Connection {
    fn asked(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        if self.opening == Opening::Unknown {
            let typed = rest.captured.first().is_some_and(|first| *first != 0);
            self.opening = if typed { Opening::Over } else { Opening::Startup };
        }
        if self.requests.is_lost() && !self.found(Side::Requests, rest.captured) {
            return;
        }
        self.turned |= self.responses.is_lost();
        while self.onward == Onward::Same {
            let header = match self.opening {
                Opening::Over => messages::request,
                Opening::Unknown | Opening::Startup | Opening::Asked => messages::startup,
            };
            match self.requests.next(rest, header) {
                None => return,
                Some(Event::Message { kind, body, cut, length: _ }) => match self.opening {
                    Opening::Over => self.request(kind, &body, cut, marks),
                    Opening::Unknown | Opening::Startup | Opening::Asked => self.startup(kind),
                },
                Some(Event::Over(b'Q' | b'E' | b'F')) if self.opening == Opening::Over => {
                    marks.push(mark(CallStep::RequestEnd));
                }
                Some(Event::Over(_)) => {}
                Some(Event::Lost) => {
                    self.turned = false;
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    fn startup(&mut self, kind: u8) {
        self.opening = match kind {
            messages::ENCRYPTION => Opening::Asked,
            messages::CANCEL => {
                self.onward = Onward::Opaque;
                Opening::Over
            }
            _ => Opening::Over,
        };
    }

    fn request(&mut self, kind: u8, body: &[u8], cut: bool, marks: &mut Vec<Mark>) {
        match kind {
            b'Q' => {
                let text = body.strip_suffix(&[0]).unwrap_or(body);
                let cut = cut || text.len() == body.len();
                let operation = Some(statement::shape(text, cut, Dialect::Postgres));
                let repeat = (!cut).then(|| self.key.of(&[text]));
                self.call(Expect::Query, operation, repeat, marks);
            }
            b'F' => self.call(Expect::Query, None, None, marks),
            b'E' => {
                let Bound { operation, repeat } = self.names.executed(body);
                self.call(Expect::Execute, operation, repeat, marks);
            }
            b'P' => self.names.parsed(body, cut),
            b'B' => self.names.bound(body, cut, &self.key),
            b'C' => self.names.closed(body),
            b'S' if !self.copying => {
                self.skipping = false;
                self.expect(Expect::Sync);
            }
            // CopyDone, CopyFail.
            b'c' | b'f' => self.copying = false,
            _ => {}
        }
    }

    fn call(&mut self, expect: Expect, operation: Option<String>, repeat: Option<u64>, marks: &mut Vec<Mark>) {
        marks.push(mark(CallStep::Request { method: None, operation, host: None, repeat }));
        if self.skipping && expect == Expect::Execute {
            marks.push(mark(CallStep::Abandoned));
        } else {
            self.expect(expect);
        }
    }

    fn expect(&mut self, expect: Expect) {
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back(expect);
        } else {
            self.onward = Onward::Opaque;
        }
    }

    fn answered(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        if self.opening == Opening::Asked && rest.length > 0 {
            self.opening = Opening::Startup;
            match rest.captured.first() {
                Some(b'S') => self.onward = Onward::Tunnel,
                Some(b'N') => rest.skip(1),
                // An ErrorResponse, of a server that does not know the request.
                Some(b'E') => {}
                Some(_) | None => self.onward = Onward::Opaque,
            }
        }
        if self.responses.is_lost() && !self.found(Side::Responses, rest.captured) {
            return;
        }
        self.turned |= self.requests.is_lost();
        while self.onward == Onward::Same {
            match self.responses.next(rest, messages::response) {
                None => return,
                Some(Event::Message { kind, .. }) => self.response(kind, marks),
                Some(Event::Over(_)) => {}
                Some(Event::Lost) => {
                    self.turned = false;
                    self.doubt = self.pending.len();
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    /// A lost side that begins a message again: told by one header where the turn changed, by more of them elsewhere.
    fn found(&mut self, side: Side, captured: &[u8]) -> bool {
        let (lane, header): (_, fn(&[u8]) -> frames::Header) = match side {
            Side::Requests => (&mut self.requests, messages::request),
            Side::Responses => (&mut self.responses, messages::response),
        };
        let least = if self.turned { 1 } else { 3 };
        if !frames::chain(captured, header, least) {
            return false;
        }
        lane.found();
        if side == Side::Responses {
            if self.turned && self.pending.len() > self.doubt {
                // The client went on, so what was asked before has been answered.
                self.pending.drain(..self.doubt);
                self.begun = false;
            }
            self.doubt = 0;
        }
        true
    }

    fn response(&mut self, kind: u8, marks: &mut Vec<Mark>) {
        match kind {
            b'2' => self.bound = true,
            b'W' => self.onward = Onward::Opaque,
            b'T' | b'D' | b'C' | b'I' | b's' | b'E' | b'G' | b'H' | b'V' => self.answer(kind, marks),
            b'Z' => self.ready(marks),
            _ => {}
        }
    }

    fn answer(&mut self, kind: u8, marks: &mut Vec<Mark>) {
        if self.pending.is_empty() && matches!(kind, b'D' | b'C' | b'I' | b's' | b'G' | b'H' | b'V') {
            // Its request was not seen.
            let bound = std::mem::take(&mut self.bound);
            self.expect(if bound { Expect::Execute } else { Expect::Query });
        }
        let failed = kind == b'E';
        match self.pending.front() {
            Some(Expect::Query) => self.begin(failed, marks),
            Some(Expect::Execute) => {
                self.begin(failed, marks);
                if kind == b'G' {
                    self.copying = true;
                    self.pending.retain(|expect| *expect != Expect::Sync);
                }
                if matches!(kind, b'C' | b'I' | b's' | b'E') {
                    self.end(marks);
                }
                if failed {
                    self.skip(marks);
                }
            }
            // Of a Parse or a Bind that nothing was to be executed of.
            Some(Expect::Sync) | None => {}
        }
    }

    fn begin(&mut self, failed: bool, marks: &mut Vec<Mark>) {
        if !self.begun || failed {
            marks.push(mark(CallStep::Response { status: None, failed }));
        }
        self.begun = true;
    }

    fn end(&mut self, marks: &mut Vec<Mark>) {
        self.pending.pop_front();
        self.begun = false;
        marks.push(mark(CallStep::ResponseEnd));
    }

    /// Behind an error, up to the Sync.
    fn skip(&mut self, marks: &mut Vec<Mark>) {
        while let Some(Expect::Execute) = self.pending.front() {
            self.pending.pop_front();
            self.begun = false;
            marks.push(mark(CallStep::Abandoned));
        }
        self.skipping = self.pending.is_empty();
    }

    fn ready(&mut self, marks: &mut Vec<Mark>) {
        self.copying = false;
        self.bound = false;
        while let Some(front) = self.pending.front() {
            match front {
                Expect::Query => {
                    self.begin(false, marks);
                    return self.end(marks);
                }
                Expect::Execute => {
                    self.pending.pop_front();
                    self.begun = false;
                    marks.push(mark(CallStep::Abandoned));
                }
                Expect::Sync => {
                    self.pending.pop_front();
                    return;
                }
            }
        }
    }
}
