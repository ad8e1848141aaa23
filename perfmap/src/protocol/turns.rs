//! A protocol whose answers come in the order of its requests: what is the same in all of them. Each direction has a lane
//! that reads messages; what the server owes is remembered first in, first out, a direction that was lost is found
//! again, and the marks are told. What a message means, and where a lost direction begins anew, the protocol says.

use std::collections::VecDeque;

use super::dialogue::{Dialogue, Onward, Side};
use super::frames::{Lost, Rest};
use crate::recording::{CallStep, Mark, Wire};

/// Calls without an answer that are remembered; a client that sends more at once is not followed.
const MAX_PENDING: usize = 64 * 1024;

/// One protocol's part.
pub(super) trait Reader: std::fmt::Debug + Send {
    const WIRE: Wire;
    /// One direction, at a message's beginning.
    type Lane: Default + std::fmt::Debug + Send;
    /// What the server owes for a request.
    type Expect: std::fmt::Debug + Send;

    /// Reads one thing and says what it means. False: the transfer has nothing more to say.
    fn next(
        &mut self,
        side: Side,
        lane: &mut Self::Lane,
        rest: &mut Rest<'_>,
        owed: &mut Owed<Self::Expect>,
    ) -> Result<bool, Lost>;

    /// Whether a direction that was lost begins a message with these first bytes of a transfer. `turned`: the other side
    /// has spoken since, so that the first message of a turn can be expected.
    fn resumes(&mut self, side: Side, captured: &[u8], turned: bool) -> bool;

    /// Before a transfer is read: what is no message (an opening) is taken from it here.
    fn opens(&mut self, _side: Side, _rest: &mut Rest<'_>, _owed: &mut Owed<Self::Expect>) {}

    /// The requests of a transfer were read; a last one may have begun in it.
    fn paused(&mut self, _requests: &Self::Lane, _owed: &mut Owed<Self::Expect>) {}
}

/// What the server owes, and the marks of the transfer that is being read.
#[derive(Debug)]
pub(super) struct Owed<E> {
    wire: Wire,
    pending: VecDeque<E>,
    /// The answer to the first of `pending` has begun.
    begun: bool,
    /// As many of `pending` may have been answered while the responses were lost.
    doubt: usize,
    /// The request that is being sent was told.
    telling: bool,
    onward: Onward,
    marks: Vec<Mark>,
}

impl<E> Owed<E> {
    fn mark(&mut self, step: CallStep) {
        self.marks.push(Mark::Call { wire: self.wire, stream: 0, step });
    }

    /// A request that counts. Whether it is answered is said apart, with [`Owed::expect`].
    pub fn call(&mut self, operation: Option<String>, repeat: Option<u64>) {
        self.mark(CallStep::Request { method: None, operation, host: None, repeat });
        self.telling = true;
    }

    pub fn expect(&mut self, expect: E) {
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back(expect);
        } else {
            self.onward = Onward::Opaque;
        }
    }

    /// The request's last byte has passed, if it was one that counts.
    pub fn told(&mut self) {
        if std::mem::take(&mut self.telling) {
            self.mark(CallStep::RequestEnd);
        }
    }

    pub fn first(&self) -> Option<&E> {
        self.pending.front()
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// The first answer has begun; an error behind its beginning is said again.
    pub fn begin(&mut self, failed: bool) {
        if !self.begun || failed {
            self.mark(CallStep::Response { status: None, failed });
        }
        self.begun = true;
    }

    pub fn end(&mut self) {
        self.settle();
        self.mark(CallStep::ResponseEnd);
    }

    /// There will be no answer to the first.
    pub fn abandon(&mut self) {
        self.settle();
        self.refuse();
    }

    /// Nor to what was not even expected to have one.
    pub fn refuse(&mut self) {
        self.mark(CallStep::Abandoned);
    }

    /// The first is over and was no call.
    pub fn settle(&mut self) {
        self.pending.pop_front();
        self.begun = false;
    }

    pub fn forget(&mut self, these: impl Fn(&E) -> bool) {
        self.pending.retain(|expect| !these(expect));
    }

    /// What follows is not this protocol's any more.
    pub fn leave(&mut self, onward: Onward) {
        self.onward = onward;
    }
}

#[derive(Debug, Default)]
struct Way<L> {
    lane: L,
    lost: bool,
    /// Since it was lost, the other side has spoken.
    turned: bool,
}

#[derive(Debug)]
pub(super) struct Connection<R: Reader> {
    reader: R,
    requests: Way<R::Lane>,
    responses: Way<R::Lane>,
    owed: Owed<R::Expect>,
}

impl<R: Reader> Connection<R> {
    pub fn new(reader: R) -> Connection<R> {
        Connection {
            reader,
            requests: Way::default(),
            responses: Way::default(),
            owed: Owed {
                wire: R::WIRE,
                pending: VecDeque::new(),
                begun: false,
                doubt: 0,
                telling: false,
                onward: Onward::Same,
                marks: Vec::new(),
            },
        }
    }

    /// False: the direction is lost, and this transfer does not bring it back.
    fn found(&mut self, side: Side, captured: &[u8]) -> bool {
        let (way, other) = match side {
            Side::Requests => (&mut self.requests, &mut self.responses),
            Side::Responses => (&mut self.responses, &mut self.requests),
        };
        other.turned |= other.lost;
        if !way.lost {
            return true;
        }
        if !self.reader.resumes(side, captured, way.turned) {
            return false;
        }
        let turned = std::mem::take(way).turned;
        if side == Side::Responses {
            if turned && self.owed.pending.len() > self.owed.doubt {
                // The client went on, so what was asked before has been answered.
                self.owed.pending.drain(..self.owed.doubt);
                self.owed.begun = false;
            }
            self.owed.doubt = 0;
        }
        true
    }

    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Bytes of a layer below were lost.
    pub fn interrupted(&mut self, side: Side, marks: &mut Vec<Mark>) {
        self.lose(side);
        marks.append(&mut self.owed.marks);
    }

    fn lose(&mut self, side: Side) {
        match side {
            Side::Requests => {
                self.requests = Way { lost: true, ..Way::default() };
                self.owed.telling = false;
            }
            Side::Responses => {
                self.responses = Way { lost: true, ..Way::default() };
                self.owed.doubt = self.owed.pending.len();
            }
        }
        self.owed.mark(CallStep::Desync);
    }

    fn read(&mut self, side: Side, rest: &mut Rest<'_>) {
        self.reader.opens(side, rest, &mut self.owed);
        if !self.found(side, rest.captured) {
            return;
        }
        while self.owed.onward == Onward::Same {
            let way = match side {
                Side::Requests => &mut self.requests,
                Side::Responses => &mut self.responses,
            };
            match self.reader.next(side, &mut way.lane, rest, &mut self.owed) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Lost) => return self.lose(side),
            }
        }
        if side == Side::Requests {
            self.reader.paused(&self.requests.lane, &mut self.owed);
        }
    }
}

impl<R: Reader> Dialogue for Connection<R> {
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        self.read(side, &mut Rest { captured, length });
        marks.append(&mut self.owed.marks);
    }

    fn onward(&self) -> Onward {
        self.owed.onward
    }
}
