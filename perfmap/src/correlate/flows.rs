//! Socket messages and their marks → round trips, the peers they went to, and which two socket ends are one connection.
//!
//! A plain function of the recording, without function names or steps. A connection both of whose ends are traced is
//! counted once, from the client's end; the server's end is only consulted where bytes of the client's were not seen.

mod earlier;
mod encrypted;
mod exchange;
mod pairs;
mod peers;
mod requests;
mod route;
mod said;
mod tls;
mod translated;

#[cfg(test)]
mod tests;

use crate::recording::{
    Direction, Endpoint, Event, Layer, Loss, Message, Nanos, ProcessId, Recording, Role, Socket, SocketId, StackId,
    TaskId, TcpState, Wire,
};
use exchange::{Exchange, Outcome};
use requests::Calls;

pub use earlier::{EarlierCalls, fold};
pub use said::Said;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Http1,
    Http2,
    Grpc,
    Postgres,
    Mysql,
    Redis,
    Memcached,
    Dns,
    /// Not decrypted: a turn of application-data records there and back.
    Tls,
}

/// What a round trip is for the one who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    Http,
    Grpc,
    Database,
    Cache,
    /// A look-up of a name.
    Name,
}

impl CallKind {
    /// Counted as an HTTP round trip.
    pub fn is_web(self) -> bool {
        match self {
            CallKind::Http | CallKind::Grpc => true,
            CallKind::Database | CallKind::Cache | CallKind::Name => false,
        }
    }

    /// Counted as a database's round trip.
    pub fn is_store(self) -> bool {
        match self {
            CallKind::Database | CallKind::Cache => true,
            CallKind::Http | CallKind::Grpc | CallKind::Name => false,
        }
    }
}

impl Protocol {
    pub fn kind(self) -> CallKind {
        match self {
            // What goes over TLS unread is HTTPS more often than anything else; it is marked inferred.
            Protocol::Http1 | Protocol::Http2 | Protocol::Tls => CallKind::Http,
            Protocol::Grpc => CallKind::Grpc,
            Protocol::Postgres | Protocol::Mysql => CallKind::Database,
            Protocol::Redis | Protocol::Memcached => CallKind::Cache,
            Protocol::Dns => CallKind::Name,
        }
    }
}

impl From<Wire> for Protocol {
    fn from(wire: Wire) -> Protocol {
        match wire {
            Wire::Http1 => Protocol::Http1,
            Wire::Http2 => Protocol::Http2,
            Wire::Grpc => Protocol::Grpc,
            Wire::Postgres => Protocol::Postgres,
            Wire::Mysql => Protocol::Mysql,
            Wire::Redis => Protocol::Redis,
            Wire::Memcached => Protocol::Memcached,
            Wire::Dns => Protocol::Dns,
        }
    }
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
    /// Of the time before the recording's window.
    pub earlier: Vec<EarlierCalls>,
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
    /// Who sent the request; where inbound, who answered: another one may have read it, and reads on.
    pub task: TaskId,
    /// Where, if the message that opened the turn carried a stack.
    pub stack: Option<StackId>,
    pub protocol: Protocol,
    pub method: Option<String>,
    /// The target with ids replaced: `/item/{id}`; for databases and caches the normalised statement or the command.
    pub route: Option<String>,
    pub status: Option<u16>,
    /// The answer was an error that is not told by the status alone (of a database, of gRPC).
    pub refused: bool,
    /// Equal for requests that are equal with their parameters, where the protocol tells.
    pub repeat: Option<u64>,
    /// Heads included; bytes of one transfer that belong to several round trips are shared out evenly.
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub counted: Counted,
    /// Index into [`Flows::peers`]; None where inbound.
    pub peer: Option<usize>,
    /// Words and values of the request, and of the answer.
    pub asked: Said,
    pub answered: Said,
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
    pub endpoint: Endpoint,
    /// `127.0.0.1:8002`, `[::1]:80`, `unix`.
    pub address: String,
    /// The traced process that reads on the other end.
    pub process: Option<ProcessId>,
    /// As the requests named it most often.
    pub host: Option<String>,
    /// `http/1.1`, `https` (its plaintext was read), `tls`, `tcp`, `udp`, `unix`.
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
    pub fn of(values: Vec<Nanos>) -> Option<Latency> {
        Self::weighted(values.into_iter().map(|value| (value, 1)).collect())
    }

    /// Of values that came so many times.
    pub fn weighted(mut values: Vec<(Nanos, u64)>) -> Option<Latency> {
        values.sort_unstable();
        let all = values.iter().fold(0u128, |sum, (_, count)| sum + u128::from(*count));
        let rank = |percent: u128| {
            let wanted = (all * percent).div_ceil(100).max(1);
            let mut before = 0u128;
            let found = values.iter().find(|(_, count)| {
                before += u128::from(*count);
                before >= wanted
            });
            found.map(|(value, _)| *value)
        };
        Some(Latency { min: rank(0)?, median: rank(50)?, p95: rank(95)?, max: rank(100)? })
    }
}

const STREAM: u16 = 1;

pub fn flows(recording: &Recording) -> Flows {
    let pairs = pairs::pairs(&recording.sockets, &recording.translations);
    let mut ends = ends(recording);
    opposites(&mut ends, &pairs);
    of_ends(recording, &ends, pairs)
}

fn of_ends(recording: &Recording, ends: &[End], pairs: Vec<Option<SocketId>>) -> Flows {
    let lossy = recording.losses.of(Loss::RingFullMessage) > 0;
    let mut peers = peers::Peers::new(recording, ends, &pairs);
    let (mut round_trips, mut failed) = (Vec::new(), Vec::new());
    for (index, end) in ends.iter().enumerate() {
        let other = pairs.get(index).copied().flatten();
        let other_end = other.and_then(|other| ends.get(other.0 as usize));
        // The server's end of a connection whose client end is traced says nothing of its own.
        if end.speaks == Speaks::Server && other_end.is_some_and(|other| other.speaks == Speaks::Client) {
            continue;
        }
        let inbound = match end.speaks {
            Speaks::Client => false,
            Speaks::Server => true,
            Speaks::Unknown => continue,
        };
        let socket = SocketId(index as u32);
        let peer = if inbound { None } else { peers.of(socket) };
        let (exchanges, low) = match other_end {
            Some(other) if !inbound => exchange::better(end, other),
            _ => (end.exchanges.clone(), end.low),
        };
        if low || lossy {
            peers.weaken(peer, Counted::AtLeast);
        }
        if let Some(handshake) = end.handshake {
            peers.handshake(peer, handshake);
        }
        for exchange in exchanges {
            let counted = match exchange.protocol {
                _ if low || lossy => Counted::AtLeast,
                Protocol::Tls => Counted::Inferred,
                Protocol::Http1
                | Protocol::Http2
                | Protocol::Grpc
                | Protocol::Postgres
                | Protocol::Mysql
                | Protocol::Redis
                | Protocol::Memcached
                | Protocol::Dns => Counted::Exact,
            };
            peers.weaken(peer, counted);
            let Exchange { sent, received, task, answers, stack, method, target, host, status, .. } = exchange;
            let stack = stack.or_else(|| end.turn_stack(task, sent));
            let route = match exchange.protocol.kind() {
                CallKind::Http => target.as_deref().map(route::template),
                CallKind::Grpc | CallKind::Database | CallKind::Cache | CallKind::Name => target,
            };
            match exchange.outcome {
                Outcome::Open => {
                    peers.failed(peer);
                    failed.push(FailedRequest { socket, inbound, at: sent, task, stack, method, route, peer });
                }
                Outcome::Answered => {
                    peers.round_trip(peer, received.since(sent), host);
                    round_trips.push(RoundTrip {
                        socket,
                        server_socket: if inbound { Some(socket) } else { other },
                        inbound,
                        sent,
                        received,
                        task: if inbound { answers } else { task },
                        stack,
                        protocol: exchange.protocol,
                        method,
                        route,
                        status,
                        refused: exchange.refused,
                        repeat: exchange.repeat,
                        request_bytes: exchange.request_bytes,
                        response_bytes: exchange.response_bytes,
                        counted,
                        peer,
                        asked: exchange.asked,
                        answered: exchange.answered,
                    });
                }
            }
        }
    }
    let mut earlier = peers.earlier(&recording.earlier, lossy);
    let (peers, places) = peers.finish();
    let place = |peer: Option<usize>| peer.and_then(|peer| places.get(peer).copied());
    round_trips.iter_mut().for_each(|trip| trip.peer = place(trip.peer));
    failed.iter_mut().for_each(|request| request.peer = place(request.peer));
    earlier.iter_mut().for_each(|calls| calls.peer = place(calls.peer));
    round_trips.sort_by_key(|trip| (trip.sent, trip.socket));
    failed.sort_by_key(|request| (request.at, request.socket));
    Flows { round_trips, peers, pairs, failed, earlier }
}

/// Which part a socket end plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Client,
    Server,
    Unknown,
}

/// What the messages of one socket end say.
#[derive(Debug)]
struct End {
    speaks: Speaks,
    protocol: Option<Protocol>,
    /// The protocol was read inside TLS.
    encrypted: bool,
    exchanges: Vec<Exchange>,
    /// Exchanges may be missing.
    low: bool,
    handshake: Option<Nanos>,
    /// First to use it: for a server, who reads the requests.
    task: Option<TaskId>,
    /// The messages that carry a stack, in order: a stack is taken where a turn opens.
    stacks: Vec<(Nanos, TaskId, StackId)>,
}

impl End {
    /// Where the turn was opened in which `task` sent something at `at`. A request that follows another one, or a
    /// handshake's last flight, in the same direction has no stack of its own.
    fn turn_stack(&self, task: TaskId, at: Nanos) -> Option<StackId> {
        let until = self.stacks.partition_point(|(opened, ..)| *opened <= at);
        let mut before = self.stacks[..until].iter().rev();
        before.find(|(_, by, _)| *by == task).map(|(.., stack)| *stack)
    }
}

fn ends(recording: &Recording) -> Vec<End> {
    let mut messages: Vec<Vec<&Message>> = vec![Vec::new(); recording.sockets.len()];
    for event in &recording.events {
        if let Event::Message(message) = event
            && let Some(of_socket) = messages.get_mut(message.socket.0 as usize)
        {
            of_socket.push(message);
        }
    }
    recording.sockets.iter().zip(messages).map(|(socket, messages)| end(socket, &messages)).collect()
}

/// Of a connection older than the recording: Linux takes a client's port from 32768 on, and services lie below.
fn calls_a_service(socket: &Socket) -> bool {
    const EPHEMERAL: u16 = 32768;
    socket.local.zip(socket.remote).is_some_and(|(local, remote)| {
        socket.kind == STREAM && local.port >= EPHEMERAL && (1..EPHEMERAL).contains(&remote.port)
    })
}

/// Where one end's part is known, so is the other's.
fn opposites(ends: &mut [End], pairs: &[Option<SocketId>]) {
    for index in 0..ends.len() {
        let other = pairs.get(index).copied().flatten().and_then(|other| ends.get(other.0 as usize));
        let speaks = match (ends[index].speaks, other.map(|other| other.speaks)) {
            (Speaks::Unknown, Some(Speaks::Server)) => Speaks::Client,
            (Speaks::Unknown, Some(Speaks::Client)) => Speaks::Server,
            (own, _) => own,
        };
        ends[index].speaks = speaks;
    }
}

fn end(socket: &Socket, messages: &[&Message]) -> End {
    let connected = socket.states.iter().any(|change| change.to == TcpState::SynSent);
    let opened = match socket.role {
        Role::Client => Speaks::Client,
        Role::Server => Speaks::Server,
        Role::Unknown if connected || calls_a_service(socket) => Speaks::Client,
        Role::Unknown => Speaks::Unknown,
    };
    let task = messages.first().map(|message| message.task);
    let stacks: Vec<_> =
        messages.iter().filter_map(|message| Some((message.at, message.task, message.stack?))).collect();
    let speaks = |requests| if requests == Direction::Sent { Speaks::Client } else { Speaks::Server };
    let (plain, wire): (Vec<&Message>, Vec<&Message>) =
        messages.iter().partition(|message| message.layer == Layer::Plaintext);
    let nothing = End {
        speaks: opened,
        protocol: None,
        encrypted: false,
        exchanges: Vec::new(),
        low: false,
        handshake: None,
        task,
        stacks,
    };
    if let Some(Calls { requests, protocol, mut exchanges, low }) = requests::read(&wire) {
        // Behind the HTTP of a CONNECT tunnel, and behind a database's request for it, TLS can begin.
        let tunnel = encrypted::read(&wire, &plain, Some(requests));
        let handshake = tunnel.as_ref().and_then(|tunnel| tunnel.handshake);
        let low = low || tunnel.as_ref().is_some_and(|tunnel| tunnel.low);
        exchanges.extend(tunnel.into_iter().flat_map(|tunnel| tunnel.exchanges));
        return End { speaks: speaks(requests), protocol: Some(protocol), exchanges, low, handshake, ..nothing };
    }
    let known = match opened {
        Speaks::Client => Some(Direction::Sent),
        Speaks::Server => Some(Direction::Received),
        Speaks::Unknown => None,
    };
    if let Some(tls) = encrypted::read(&wire, &plain, known) {
        let encrypted::Encrypted { client, exchanges, low, handshake, read } = tls;
        let (protocol, encrypted) = (Some(read.unwrap_or(Protocol::Tls)), read.is_some());
        return End { speaks: speaks(client), protocol, encrypted, exchanges, low, handshake, ..nothing };
    }
    nothing
}
