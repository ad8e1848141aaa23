//! Both directions of an HTTP/1.x connection → calls. Heads are parsed (1xx are no answers), bodies are only measured; lengths that a head
//! or a chunk announced carry the walk over bytes that were not captured. Where a byte is needed that was not, the
//! direction is lost, and found again at a transfer that begins with a head.

mod chunked;
mod head;

use std::{borrow::Cow, collections::VecDeque};

use super::detect::{self, Guess, Probe};
use super::dialogue::{Dialogue, Onward, Side};
use super::frames::Rest;
use super::http2;
use crate::recording::{CallStep, Mark, Wire};
use chunked::{Chunked, Progress};
use head::Framing;
pub(super) use head::{bounded, host};

/// Longest head that is collected.
const MAX_HEAD: usize = 64 * 1024;
/// Requests without an answer whose method is remembered; beyond it HEAD cannot be told from GET.
const MAX_PENDING: usize = 16 * 1024;

/// What a request's method says about the framing of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Head,
    Connect,
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Connection {
    requests: Lane,
    responses: Lane,
    /// Requests whose final response's head has not been seen, oldest first.
    pending: VecDeque<Asked>,
    switched: Option<Onward>,
    /// Both sides agreed to go on with it.
    http2: Option<Box<http2::Connection>>,
}

#[derive(Debug, Default)]
struct Lane {
    state: State,
    head: Vec<u8>,
    probe: Probe,
    /// The request just read asks for another protocol: what follows need not be HTTP.
    asks_upgrade: bool,
}

#[derive(Debug, Default)]
enum State {
    /// In or before a head; its bytes so far are in `Lane::head`.
    #[default]
    Head,
    Body(u64),
    Chunked(Chunked),
    UntilClose,
    /// Looks for a transfer that begins with a head.
    Search,
}

fn mark(step: CallStep) -> Mark {
    Mark::Call { wire: Wire::Http1, stream: 0, step }
}

impl Dialogue for Connection {
    fn onward(&self) -> Onward {
        self.switched.unwrap_or(Onward::Same)
    }

    fn closed(&mut self, marks: &mut Vec<Mark>) {
        if matches!(self.responses.state, State::UntilClose) {
            self.responses.state = State::Search;
            marks.push(mark(CallStep::ResponseEnd));
        }
    }

    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        if let Some(http2) = &mut self.http2 {
            return http2.feed(side, captured, length, marks);
        }
        let (mut captured, mut length) = (Cow::Borrowed(captured), length);
        loop {
            if matches!(self.lane(side).state, State::Search) {
                let missing = length - captured.len() as u64;
                let Some(found) = self.lane(side).search(side, &captured, missing > 0) else { return };
                length = found.len() as u64 + missing;
                captured = Cow::Owned(found);
            }
            match self.walk(side, Rest { captured: &captured, length }, marks) {
                Some(rest) => (captured, length) = (Cow::Owned(rest.captured.to_vec()), rest.length),
                None => return,
            }
        }
    }
}

impl Connection {
    /// Goes through a transfer. What is left of it is given back when the next head has to be searched for.
    fn walk<'a>(&mut self, side: Side, mut rest: Rest<'a>, marks: &mut Vec<Mark>) -> Option<Rest<'a>> {
        while rest.length > 0 && self.switched.is_none() {
            let lane = self.lane(side);
            match &mut lane.state {
                State::Head => match lane.collect(&mut rest) {
                    Collected::More => {}
                    Collected::Head(bytes) => {
                        if !self.head(side, &bytes, marks) {
                            return None;
                        }
                    }
                    Collected::Cut(bytes) => {
                        self.cut_head(side, &bytes, marks);
                        return None;
                    }
                },
                State::Body(left) => {
                    let step = (*left).min(rest.length);
                    *left -= step;
                    let over = *left == 0;
                    rest.skip(step);
                    if over {
                        self.body_over(side, marks);
                    }
                }
                State::Chunked(chunked) => match chunked.read(rest.captured, rest.length) {
                    Progress::More(count) => rest.skip(count),
                    Progress::Over(count) => {
                        rest.skip(count);
                        self.body_over(side, marks);
                    }
                    Progress::Lost => {
                        self.lose(side, marks);
                        return None;
                    }
                },
                State::UntilClose => return None,
                State::Search => return Some(rest),
            }
        }
        if let Some(http2) = &mut self.http2
            && rest.length > 0
        {
            http2.feed(side, rest.captured, rest.length, marks);
        }
        None
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Requests => &mut self.requests,
            Side::Responses => &mut self.responses,
        }
    }

    fn lose(&mut self, side: Side, marks: &mut Vec<Mark>) {
        *self.lane(side) = Lane { state: State::Search, ..Lane::default() };
        marks.push(mark(CallStep::Desync));
    }

    /// False: it was no head, and the direction is lost.
    fn head(&mut self, side: Side, bytes: &[u8], marks: &mut Vec<Mark>) -> bool {
        let framing = match side {
            Side::Requests => self.request(bytes, marks),
            Side::Responses => self.response(bytes, marks),
        };
        match framing {
            None => self.lose(side, marks),
            Some(Framing::None | Framing::Length(0)) => self.body_over(side, marks),
            Some(Framing::Interim) => {}
            Some(Framing::Length(length)) => self.lane(side).state = State::Body(length),
            Some(Framing::Chunked) => self.lane(side).state = State::Chunked(Chunked::default()),
            Some(Framing::UntilClose) => self.lane(side).state = State::UntilClose,
        }
        framing.is_some()
    }

    fn request(&mut self, bytes: &[u8], marks: &mut Vec<Mark>) -> Option<Framing> {
        let request = head::request(bytes)?;
        let asked = match request.method.as_str() {
            "HEAD" => Asked::Head,
            "CONNECT" => Asked::Connect,
            _ => Asked::Other,
        };
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back(asked);
        }
        self.requests.asks_upgrade = request.upgrade || asked == Asked::Connect;
        let framing = if asked == Asked::Connect { Some(Framing::None) } else { request.framing };
        marks.push(mark(request.into_step()));
        framing
    }

    fn response(&mut self, bytes: &[u8], marks: &mut Vec<Mark>) -> Option<Framing> {
        let response = head::response(bytes)?;
        let status = response.status;
        if (100..200).contains(&status) && status != 101 {
            return Some(Framing::Interim);
        }
        let asked = self.pending.pop_front().unwrap_or(Asked::Other);
        if status == 101 && response.http2 {
            self.switched = Some(Onward::Same);
            self.http2 = Some(Box::new(http2::Connection::upgraded()));
        } else if status == 101 {
            self.switched = Some(Onward::Opaque);
        } else if asked == Asked::Connect && (200..300).contains(&status) {
            self.switched = Some(Onward::Tunnel);
        }
        marks.push(mark(CallStep::Response { status: Some(status), failed: false }));
        let bodiless = asked == Asked::Head || matches!(status, 204 | 304);
        if self.switched.is_some() || bodiless { Some(Framing::None) } else { response.framing }
    }

    fn body_over(&mut self, side: Side, marks: &mut Vec<Mark>) {
        let lane = self.lane(side);
        lane.state = if lane.asks_upgrade { State::Search } else { State::Head };
        lane.asks_upgrade = false;
        marks.push(mark(match side {
            Side::Requests => CallStep::RequestEnd,
            Side::Responses => CallStep::ResponseEnd,
        }));
        if side == Side::Responses && self.switched.is_some() {
            marks.push(Mark::Upgraded);
        }
    }

    /// A head that runs into bytes that were not captured: what it said first still counts.
    fn cut_head(&mut self, side: Side, bytes: &[u8], marks: &mut Vec<Mark>) {
        if let Some(repaired) = head::repair(bytes) {
            // Its framing is not used: where the head ends is not known.
            let _ = match side {
                Side::Requests => self.request(&repaired, marks),
                Side::Responses => self.response(&repaired, marks),
            };
            if self.switched.is_some() {
                self.body_over(side, marks);
                return;
            }
        }
        self.lose(side, marks);
    }
}

enum Collected {
    More,
    Head(Vec<u8>),
    Cut(Vec<u8>),
}

impl Lane {
    /// Looks for a head at the start of a transfer; with it come the bytes that were held back for it.
    fn search(&mut self, side: Side, captured: &[u8], cut: bool) -> Option<Vec<u8>> {
        let guess = match side {
            Side::Requests => detect::request,
            Side::Responses => detect::response,
        };
        match self.probe.offer(captured, cut, guess) {
            Guess::No | Guess::NeedMore => None,
            Guess::Yes(_) => {
                self.state = State::Head;
                Some(self.probe.take())
            }
        }
    }

    /// Moves bytes from the transfer into the head until its empty line.
    fn collect(&mut self, rest: &mut Rest<'_>) -> Collected {
        let mut taken = 0;
        for byte in rest.captured {
            taken += 1;
            if self.head.is_empty() && matches!(byte, b'\r' | b'\n') {
                continue;
            }
            self.head.push(*byte);
            let over = *byte == b'\n' && (self.head.ends_with(b"\n\n") || self.head.ends_with(b"\n\r\n"));
            if over {
                rest.skip(taken);
                return Collected::Head(std::mem::take(&mut self.head));
            }
            if self.head.len() >= MAX_HEAD {
                return Collected::Cut(std::mem::take(&mut self.head));
            }
        }
        rest.skip(taken);
        if rest.length > 0 { Collected::Cut(std::mem::take(&mut self.head)) } else { Collected::More }
    }
}
