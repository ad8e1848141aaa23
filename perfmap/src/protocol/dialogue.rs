//! What a protocol's parser is to the decoder: both directions of one connection in, marks out.
//!
//! A parser sees the first bytes of each transfer and its full length. It is total on any bytes, its memory is bounded,
//! and where a byte is needed that was not captured it says so with a desync mark and finds its way back by itself,
//! most safely where the turn changes: a side that was answered begins a new message.

use crate::recording::Mark;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What the client sends.
    Requests,
    /// What the server sends.
    Responses,
}

/// What the connection carries behind what was fed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onward {
    Same,
    /// TLS from here on, or once it begins (a tunnel, an upgrade in place).
    Tunnel,
    /// Something that is not read: WebSocket, replication, a format that cannot be followed.
    Opaque,
}

pub(super) trait Dialogue: std::fmt::Debug + Send {
    /// One transfer: `captured` are its first bytes, `length` (never 0) is its full length.
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>);

    /// The connection's end was read or made.
    fn closed(&mut self, _marks: &mut Vec<Mark>) {}

    fn onward(&self) -> Onward {
        Onward::Same
    }
}
