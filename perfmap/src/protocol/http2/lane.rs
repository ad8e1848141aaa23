//! One direction of an HTTP/2 connection: transfers → what its frames said. Lengths carry the walk over payloads that
//! were not captured. A frame's header that was not captured loses the direction; it is found again at a transfer that
//! begins with a frame.

use super::{
    frame::{self, HEADER, Header, Kind, PREFACE},
    hpack::{Fields, Table},
};

/// Header blocks and control frames are collected so far; a longer block counts as cut.
const MAX_PAYLOAD: usize = 64 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A header block was complete.
    Head {
        stream: u32,
        ends: bool,
        fields: Fields,
    },
    /// A part of a body was complete.
    Data {
        stream: u32,
        ends: bool,
        length: u32,
    },
    Reset {
        stream: u32,
    },
    /// Streams of the other side above this one were not looked at and will not be.
    GoAway {
        last: u32,
    },
    /// Bytes were not captured that the frames cannot be followed without.
    Lost,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    state: State,
    table: Table,
    block: Option<Block>,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing came yet: frames, or the preface before them.
    #[default]
    Start,
    Preface(usize),
    Header {
        bytes: [u8; HEADER],
        have: usize,
        first: bool,
    },
    Payload(Payload),
    /// Looks for a transfer that begins with a frame.
    Search,
}

#[derive(Debug)]
struct Payload {
    header: Header,
    left: u64,
    /// Its first bytes, where they are looked at.
    bytes: Vec<u8>,
    /// Bytes of it were not captured, so `bytes` has no more to come.
    cut: bool,
}

/// A header block over several frames.
#[derive(Debug)]
struct Block {
    stream: u32,
    ends: bool,
    promise: bool,
    bytes: Vec<u8>,
    cut: bool,
}

impl State {
    const FRAME: State = State::Header { bytes: [0; HEADER], have: 0, first: false };
    const FIRST: State = State::Header { bytes: [0; HEADER], have: 0, first: true };
}

impl Lane {
    /// A direction whose frames have to be found first.
    fn joined() -> Lane {
        Lane { state: State::Search, table: Table::joined(), block: None }
    }

    pub fn feed(&mut self, captured: &[u8], length: u64, items: &mut Vec<Item>) {
        if matches!(self.state, State::Search) {
            match frame::chain(captured) {
                Some(headers) if !headers.is_empty() => self.state = State::FRAME,
                Some(_) | None if PREFACE.starts_with(captured) || captured.starts_with(PREFACE) => {
                    *self = Lane::default();
                }
                Some(_) | None => return,
            }
        }
        let (mut captured, mut length) = (captured, length);
        while length > 0 {
            let Some(taken) = self.step(captured, length, items) else { return };
            length -= taken;
            let known = usize::try_from(taken).unwrap_or(usize::MAX).min(captured.len());
            captured = &captured[known..];
        }
    }

    /// How many bytes of the rest of a transfer were taken; None where the direction is lost.
    fn step(&mut self, captured: &[u8], length: u64, items: &mut Vec<Item>) -> Option<u64> {
        match &mut self.state {
            State::Search => None,
            State::Payload(payload) => {
                let taken = payload.take(captured, length);
                if payload.left == 0 {
                    self.over(items)?;
                }
                Some(taken)
            }
            State::Start => {
                let preface = captured.first() == PREFACE.first();
                self.state = if preface { State::Preface(0) } else { State::FIRST };
                Some(0)
            }
            State::Preface(have) => {
                if captured.first() != PREFACE.get(*have) {
                    return self.lose(items);
                }
                *have += 1;
                if *have == PREFACE.len() {
                    self.state = State::FIRST;
                }
                Some(1)
            }
            State::Header { bytes, have, first } => {
                let Some(byte) = captured.first() else { return self.lose(items) };
                bytes[*have] = *byte;
                *have += 1;
                if *have == HEADER {
                    let (header, first) = (Header::read(bytes), *first);
                    if first && header.is_none_or(|header| header.kind != Kind::Settings) {
                        // Each side begins with its settings (RFC 9113, 3.4): this one was begun before.
                        self.table = Table::joined();
                        if !header.is_some_and(|header| header.likely()) {
                            // Nothing is known to be under way, so nothing is lost.
                            self.state = State::Search;
                            return None;
                        }
                    }
                    let Some(header) = header.filter(|header| self.fits(header)) else {
                        return self.lose(items);
                    };
                    let left = header.length.into();
                    self.state = State::Payload(Payload { header, left, bytes: Vec::new(), cut: false });
                    if left == 0 {
                        self.over(items)?;
                    }
                }
                Some(1)
            }
        }
    }

    /// Nothing may come between the frames of a header block.
    fn fits(&self, header: &Header) -> bool {
        match &self.block {
            Some(block) => header.kind == Kind::Continuation && header.stream == block.stream,
            None => header.kind != Kind::Continuation,
        }
    }

    /// The payload's last byte has come.
    fn over(&mut self, items: &mut Vec<Item>) -> Option<()> {
        let State::Payload(payload) = std::mem::replace(&mut self.state, State::FRAME) else { return Some(()) };
        let Payload { header, bytes, cut, .. } = payload;
        let Header { stream, kind, .. } = header;
        match kind {
            Kind::Data => items.push(Item::Data { stream, ends: header.ends_stream(), length: header.length }),
            Kind::Headers | Kind::Promise | Kind::Continuation => {
                let Some((part, missing)) = header.block(&bytes) else {
                    self.lose(items);
                    return None;
                };
                let promise = kind == Kind::Promise;
                let fresh = Block { stream, ends: false, promise, bytes: Vec::new(), cut: false };
                let block = self.block.get_or_insert(fresh);
                block.ends |= header.ends_stream();
                block.add(part, missing || cut);
                if header.ends_headers() {
                    self.head(items);
                }
            }
            Kind::Reset => items.push(Item::Reset { stream }),
            Kind::GoAway => {
                if let Some(last) = bytes.first_chunk::<4>() {
                    items.push(Item::GoAway { last: u32::from_be_bytes(*last) & (u32::MAX >> 1) });
                }
            }
            Kind::Priority | Kind::Settings | Kind::Ping | Kind::WindowUpdate | Kind::Other => {}
        }
        Some(())
    }

    fn head(&mut self, items: &mut Vec<Item>) {
        let Some(Block { stream, ends, promise, bytes, cut }) = self.block.take() else { return };
        let fields = self.table.read(&bytes, cut);
        // What a server promises nobody asked for; its fields change the table all the same.
        if !promise {
            items.push(Item::Head { stream, ends, fields });
        }
    }

    fn lose(&mut self, items: &mut Vec<Item>) -> Option<u64> {
        *self = Lane::joined();
        items.push(Item::Lost);
        None
    }
}

impl Payload {
    fn take(&mut self, captured: &[u8], length: u64) -> u64 {
        let taken = self.left.min(length);
        self.left -= taken;
        let wanted = match self.header.kind {
            Kind::Headers | Kind::Continuation | Kind::Promise => MAX_PAYLOAD,
            Kind::GoAway => 8,
            Kind::Data
            | Kind::Priority
            | Kind::Reset
            | Kind::Settings
            | Kind::Ping
            | Kind::WindowUpdate
            | Kind::Other => 0,
        };
        let known = usize::try_from(taken).unwrap_or(usize::MAX).min(captured.len());
        if !self.cut {
            let room = wanted.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&captured[..known.min(room)]);
            self.cut = (known as u64) < taken || known > room;
        }
        taken
    }
}

impl Block {
    /// Nothing is added behind a gap.
    fn add(&mut self, part: &[u8], missing: bool) {
        if self.cut {
            return;
        }
        let room = MAX_PAYLOAD - self.bytes.len();
        self.bytes.extend_from_slice(&part[..part.len().min(room)]);
        self.cut = missing || part.len() > room;
    }
}
