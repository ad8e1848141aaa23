//! Sockets → connections and round trips. Placeholder of the interface until the protocol room's file takes its place.

use crate::recording::{Nanos, ProcessId, Recording, SocketId, StackId, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Http1,
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    Exact,
    Inferred,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// The client's end.
    pub socket: SocketId,
    pub sent: Nanos,
    pub received: Nanos,
    pub task: TaskId,
    /// Of the sending.
    pub stack: Option<StackId>,
    pub protocol: Protocol,
    pub method: Option<String>,
    pub route: Option<String>,
    pub status: Option<u16>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub counted: Counted,
    /// Index into [`Flows::peers`].
    pub peer: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PeerFlow {
    pub address: String,
    pub process: Option<ProcessId>,
    pub protocol: String,
    pub round_trips: u64,
    pub failed: u64,
    pub connections: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub connect: Option<Nanos>,
    pub tls_handshake: Option<Nanos>,
    pub counted: Counted,
    pub local: bool,
    /// Minimum, median, 95th percentile, maximum.
    pub latency: Option<(Nanos, Nanos, Nanos, Nanos)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FailedRequest {
    pub socket: SocketId,
    pub sent: Nanos,
    pub task: TaskId,
    pub stack: Option<StackId>,
    pub peer: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flows {
    pub round_trips: Vec<RoundTrip>,
    pub peers: Vec<PeerFlow>,
    /// By `SocketId`: the other end, where it is traced too.
    pub pairs: Vec<Option<SocketId>>,
    pub failed: Vec<FailedRequest>,
}

pub fn flows(recording: &Recording) -> Flows {
    Flows { pairs: vec![None; recording.sockets.len()], ..Flows::default() }
}
