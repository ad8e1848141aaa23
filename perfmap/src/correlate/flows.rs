//! Sockets → connections and round trips: the types, until the file that fills them takes this one's place.

use crate::recording::{Nanos, ProcessId, Recording, SocketId, StackId, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Http1,
    /// Not decrypted: a turn of application-data records there and back.
    Tls,
}

/// How far a count can be relied on; the later the weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    Exact,
    Inferred,
    AtLeast,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flows {
    /// By the time the request was sent.
    pub round_trips: Vec<RoundTrip>,
    /// Most round trips first.
    pub peers: Vec<PeerFlow>,
    /// By `SocketId`: the other end of the connection, where it is traced too.
    pub pairs: Vec<Option<SocketId>>,
    /// By the time the request was sent.
    pub failed: Vec<FailedRequest>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// The client's end; the server's where only that is traced (`inbound`).
    pub socket: SocketId,
    pub server_socket: Option<SocketId>,
    /// Made by somebody outside the traced tree: not one of the tree's round trips.
    pub inbound: bool,
    /// First byte of the request sent (read, where inbound).
    pub sent: Nanos,
    /// Last byte of the response read (sent, where inbound).
    pub received: Nanos,
    /// Who sent the request (read it, where inbound).
    pub task: TaskId,
    /// Where, if the message that opened the turn carried a stack.
    pub stack: Option<StackId>,
    pub protocol: Protocol,
    pub method: Option<String>,
    /// The target with ids replaced: `/item/{id}`.
    pub route: Option<String>,
    pub status: Option<u16>,
    /// Heads included; bytes of one transfer that belong to several round trips are shared out evenly.
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub counted: Counted,
    /// Index into [`Flows::peers`]; None where inbound.
    pub peer: Option<usize>,
}

impl RoundTrip {
    pub fn latency(&self) -> Nanos {
        self.received.since(self.sent)
    }
}

/// A request that got no answer, or not all of one.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedRequest {
    pub socket: SocketId,
    pub inbound: bool,
    pub at: Nanos,
    pub task: TaskId,
    pub stack: Option<StackId>,
    pub method: Option<String>,
    pub route: Option<String>,
    /// Index into [`Flows::peers`]; None where inbound.
    pub peer: Option<usize>,
}

/// An endpoint that the tree spoke to as a client, or tried to.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerFlow {
    /// `127.0.0.1:8002`, `[::1]:80`, `unix`.
    pub address: String,
    /// The traced process that reads on the other end.
    pub process: Option<ProcessId>,
    /// As the requests named it most often.
    pub host: Option<String>,
    /// `http/1.1`, `tls`, `tcp`, `udp`, `unix`.
    pub protocol: String,
    pub round_trips: u64,
    pub failed: u64,
    /// Connections that were established, also those without a request.
    pub connections: u64,
    /// Attempts that did not get that far; no request was made on them.
    pub failed_connects: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub latency: Option<Latency>,
    /// Medians, where seen.
    pub connect: Option<Nanos>,
    pub tls_handshake: Option<Nanos>,
    pub counted: Counted,
    /// The address is on this host.
    pub local: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    pub min: Nanos,
    pub median: Nanos,
    pub p95: Nanos,
    pub max: Nanos,
}

impl Latency {
    /// None for no values at all. Ranks are rounded up, so that every number is one that was measured.
    pub fn of(mut values: Vec<Nanos>) -> Option<Latency> {
        values.sort_unstable();
        let rank = |percent: usize| values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Latency { min: rank(0)?, median: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }
}

pub fn flows(recording: &Recording) -> Flows {
    Flows { pairs: vec![None; recording.sockets.len()], ..Flows::default() }
}
