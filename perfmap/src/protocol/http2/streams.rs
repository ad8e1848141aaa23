//! The streams of one connection that are not over, and how far each is. Bounded: of too many the oldest is forgotten,
//! and then its trailers may be taken for a head, which counts nothing twice.

use std::collections::BTreeMap;

/// Above what servers allow at a time (100 to 1,000 by default).
const MOST: usize = 4096;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    pub grpc: bool,
    /// A CONNECT: what follows the head of its answer is a tunnel.
    pub connects: bool,
    /// The final head of the answer was seen.
    pub answered: bool,
    /// Bytes of the answer's body that are still to come, where its head said how many there are.
    pub missing: Option<u64>,
    /// The answer is complete, if not the stream.
    pub over: bool,
}

#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<u32, Stream>,
    /// Highest that the client began: numbers only rise.
    highest: u32,
}

impl Streams {
    pub fn is_new(&self, number: u32) -> bool {
        number > self.highest
    }

    pub fn begin(&mut self, number: u32, stream: Stream) {
        self.highest = self.highest.max(number);
        self.set(number, stream);
    }

    pub fn set(&mut self, number: u32, stream: Stream) {
        self.open.insert(number, stream);
        if self.open.len() > MOST {
            self.open.pop_first();
        }
    }

    pub fn get(&self, number: u32) -> Option<Stream> {
        self.open.get(&number).copied()
    }

    pub fn end(&mut self, number: u32) -> Option<Stream> {
        self.open.remove(&number)
    }

    /// Ends those that the server will not look at.
    pub fn above(&mut self, last: u32) -> Vec<(u32, Stream)> {
        match last.checked_add(1) {
            Some(first) => self.open.split_off(&first).into_iter().collect(),
            None => Vec::new(),
        }
    }
}
