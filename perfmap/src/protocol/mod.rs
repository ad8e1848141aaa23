//! Captured bytes of one connection end → marks: requests, responses, TLS record headers.
//!
//! Runs while recording, beside the unwinder, so that no payload, header value or query string is ever stored. It
//! sees only the first bytes of each transfer and its length; what cannot be known from these is said with a desync
//! mark. It knows nothing of sockets, times or processes; pairing marks to round trips is `correlate::flows`.

mod detect;
mod dialogue;
mod dns;
mod frames;
mod http1;
mod http2;
mod imprint;
mod memcached;
mod mysql;
mod postgres;
mod redis;
mod repeat;
mod statement;
mod tls;
mod turns;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

use crate::recording::{CallStep, Direction, Mark, Wire};
use detect::{Guess, Kind, Probe};
use dialogue::{Dialogue, Onward, Side};
pub use repeat::RunKey;

/// Transfers that may begin with no known protocol before the connection is given up. Above the plain-text preludes
/// of protocols that start TLS later (PostgreSQL 2, MySQL 2, SMTP 5 to 7).
const MAX_MISSES: u8 = 8;

/// What a connection carries, as far as its bytes have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Undecided,
    Http1,
    Tls,
    /// Any other that is read: messages are framed, so long heads of them are worth having.
    Calls(Wire),
    /// No known protocol, or one that was switched to: the kernel need not send its messages any more.
    Opaque,
}

/// DNS is told by it: nothing in a message's first bytes does.
pub const NAME_SERVER_PORT: u16 = 53;

/// The protocol state of one socket end, both directions.
#[derive(Debug)]
pub struct Decoder {
    phase: Phase,
    key: RunKey,
}

#[derive(Debug)]
enum Phase {
    Undecided {
        sent: Probe,
        received: Probe,
        misses: u8,
        /// Inside a CONNECT tunnel: only TLS is looked for.
        tunnel: bool,
    },
    Dialogue {
        parser: Box<dyn Dialogue>,
        requests: Direction,
        wire: Wire,
    },
    Tls {
        sent: tls::Lane,
        received: tls::Lane,
    },
    Opaque,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder::with_key(RunKey::default())
    }

    /// Decoders with the same key give equal requests the same number.
    pub fn with_key(key: RunKey) -> Decoder {
        Decoder { phase: Phase::undecided(false), key }
    }

    /// Of a socket whose datagrams are DNS messages.
    pub fn datagrams(requests: Direction) -> Decoder {
        let parser = Box::new(dns::Connection::Datagrams);
        let phase = Phase::Dialogue { parser, requests, wire: Wire::Dns };
        Decoder { phase, key: RunKey::default() }
    }

    /// The same over TCP.
    pub fn name_server(requests: Direction) -> Decoder {
        let parser = Box::new(dns::Connection::stream());
        let phase = Phase::Dialogue { parser, requests, wire: Wire::Dns };
        Decoder { phase, key: RunKey::default() }
    }

    /// One transfer. `captured` are its first bytes, `length` its full length. Transfers that were not seen one by
    /// one are fed with nothing captured: known lengths are skipped over them exactly.
    pub fn feed(&mut self, direction: Direction, captured: &[u8], length: u64) -> Vec<Mark> {
        let mut marks = Vec::new();
        if length > 0 {
            let kept = usize::try_from(length).map_or(captured.len(), |length| captured.len().min(length));
            self.step(direction, &captured[..kept], length, &mut marks);
        }
        marks
    }

    /// Adds to the marks of a transfer, which was fed just before, what its bytes tell beside the calls: its tokens, and
    /// for a request that only reads whether another one is equal.
    pub fn imprint(&self, direction: Direction, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        let Phase::Dialogue { requests, wire, .. } = &self.phase else { return };
        let kept = usize::try_from(length).map_or(captured.len(), |length| captured.len().min(length));
        let captured = &captured[..kept];
        if *wire == Wire::Http1
            && direction == *requests
            && let Some(line) = imprint::reads(captured)
            && let Some(Mark::Call { step: CallStep::Request { host, repeat, .. }, .. }) = marks.first_mut()
        {
            *repeat = Some(self.key.of(&[line, host.as_deref().unwrap_or_default().as_bytes()]));
        }
        if !captured.is_empty() && self.key.has_room() {
            marks.extend(imprint::tokens(&self.key, *wire, captured, captured.len() as u64 == length, marks));
        }
    }

    /// The connection's end was read or made: completes a response that ends with the connection.
    pub fn closed(&mut self) -> Vec<Mark> {
        let mut marks = Vec::new();
        if let Phase::Dialogue { parser, .. } = &mut self.phase {
            parser.closed(&mut marks);
        }
        marks
    }

    pub fn verdict(&self) -> Verdict {
        match self.phase {
            Phase::Undecided { .. } => Verdict::Undecided,
            Phase::Dialogue { wire: Wire::Http1, .. } => Verdict::Http1,
            Phase::Dialogue { wire, .. } => Verdict::Calls(wire),
            Phase::Tls { .. } => Verdict::Tls,
            Phase::Opaque => Verdict::Opaque,
        }
    }

    fn step(&mut self, direction: Direction, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        match &mut self.phase {
            Phase::Undecided { .. } => self.detect(direction, captured, length, marks),
            Phase::Dialogue { parser, requests, wire: _ } => {
                let side = if direction == *requests { Side::Requests } else { Side::Responses };
                parser.feed(side, captured, length, marks);
                match parser.onward() {
                    Onward::Same => {}
                    Onward::Opaque => self.phase = Phase::Opaque,
                    Onward::Tunnel => self.phase = Phase::undecided(true),
                }
            }
            Phase::Tls { sent, received } => {
                let lane = if direction == Direction::Sent { sent } else { received };
                lane.feed(captured, length, marks);
            }
            Phase::Opaque => {}
        }
    }

    fn detect(&mut self, direction: Direction, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        let Phase::Undecided { sent, received, misses, tunnel } = &mut self.phase else { return };
        let (probe, other) = if direction == Direction::Sent { (sent, received) } else { (received, sent) };
        let missing = length - captured.len() as u64;
        let guess = if *tunnel { detect::tls } else { detect::any };
        let kind = match probe.offer(captured, missing > 0, guess) {
            Guess::NeedMore => return,
            Guess::No => {
                *misses += 1;
                if *misses >= MAX_MISSES {
                    self.phase = Phase::Opaque;
                }
                return;
            }
            Guess::Yes(kind) => kind,
        };
        let (seen, seen_other) = (probe.take(), other.take());
        self.phase = match kind {
            Kind::Tls => Phase::Tls { sent: tls::Lane::default(), received: tls::Lane::default() },
            Kind::Call(wire, by) => match parser(wire, &seen, &self.key) {
                Some(parser) => Phase::Dialogue { parser, requests: by.requests(direction), wire },
                None => Phase::Opaque,
            },
        };
        if !seen_other.is_empty() {
            self.step(opposite(direction), &seen_other, seen_other.len() as u64, marks);
        }
        self.step(direction, &seen, seen.len() as u64 + missing, marks);
    }
}

/// One row a protocol; `seen` is what it began with. None: it is told from others, but not read.
fn parser(wire: Wire, seen: &[u8], key: &RunKey) -> Option<Box<dyn Dialogue>> {
    match wire {
        Wire::Http1 => Some(Box::<http1::Connection>::default()),
        Wire::Http2 | Wire::Grpc => Some(Box::<http2::Connection>::default()),
        Wire::Postgres => Some(Box::new(turns::Connection::new(postgres::Reader::new(key.clone())))),
        Wire::Redis => Some(Box::new(turns::Connection::new(redis::Reader::new(key.clone())))),
        Wire::Mysql => Some(Box::new(mysql::Connection::new(key.clone()))),
        Wire::Memcached if memcached::binary::is_request(seen) => {
            Some(Box::new(turns::Connection::new(memcached::binary::Reader::new(key.clone()))))
        }
        Wire::Memcached => Some(Box::new(turns::Connection::new(memcached::Reader::new(key.clone())))),
        // DNS is told by its port alone.
        Wire::Dns => None,
    }
}

impl Side {
    /// Where the requests go, if this side speaks in `direction`.
    fn requests(self, direction: Direction) -> Direction {
        match self {
            Side::Requests => direction,
            Side::Responses => opposite(direction),
        }
    }
}

impl Phase {
    fn undecided(tunnel: bool) -> Phase {
        Phase::Undecided { sent: Probe::default(), received: Probe::default(), misses: 0, tunnel }
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Sent => Direction::Received,
        Direction::Received => Direction::Sent,
    }
}
