//! Socket records → the recording's sockets and messages. Payload bytes go through the protocol decoders here and are
//! dropped: only their marks are kept.

use std::collections::HashMap;

use perfmap_common as wire;

use super::pieces;
use crate::{
    protocol::{Decoder, NAME_SERVER_PORT, RunKey, Verdict},
    recording::{
        Address, Direction, Family, Mark, Nanos, ProcessId, Role, Socket, SocketId, StateChange, TcpState, Wire,
    },
};

struct Known {
    id: SocketId,
    /// Of streams alone.
    decoder: Option<Box<Decoder>>,
    /// Who used it last.
    tid: u32,
    /// Of the decoder, as the kernel side was told or sees by itself.
    verdict: Verdict,
    transfers: u32,
}

/// A message that no transfer brought: what closing the connection completed.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed {
    pub socket: SocketId,
    pub tid: u32,
    pub marks: Vec<Mark>,
}

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
/// Within so many transfers the kernel side sees by itself that a connection is HTTP/1 or TLS.
const SEEN_BY_KERNEL: u32 = 2;
/// Connections whose first changes of state are kept until somebody followed uses them.
const EARLY: usize = 65_536;

#[derive(Default)]
pub struct Sockets {
    pub sockets: Vec<Socket>,
    /// Places of sockets that were closed and given up.
    free: Vec<SocketId>,
    by_cookie: HashMap<u64, Known>,
    by_kernel: HashMap<u64, SocketId>,
    /// State changes of sockets that nobody followed has used yet: a server's end changes its state in the client's
    /// context, so whose it is shows at its first transfer.
    early: HashMap<u64, Vec<StateChange>>,
    /// TCP ports that adopted processes listen on: their connections may be older than the recording.
    ports: HashMap<ProcessId, Vec<u16>>,
    key: RunKey,
    /// What the kernel side is to be told: cookie and `wire::PROTOCOL_*`.
    pub verdicts: Vec<(u64, u32)>,
}

impl Sockets {
    pub fn new(key: RunKey) -> Sockets {
        Sockets { key, ..Sockets::default() }
    }

    pub fn listens(&mut self, process: ProcessId, ports: Vec<u16>) {
        self.ports.insert(process, ports);
    }

    /// By kernel address, as system calls name it: the socket that has it now.
    pub fn at_kernel(&self, kernel: u64) -> Option<SocketId> {
        self.by_kernel.get(&kernel).copied()
    }

    pub fn with_cookie(&self, cookie: u64) -> Option<SocketId> {
        Some(self.by_cookie.get(&cookie)?.id)
    }

    /// The socket that this change gives up for good.
    pub fn ends(&self, record: &wire::SocketState) -> Option<SocketId> {
        let given_up = tcp_state(record.from) == TcpState::Close && tcp_state(record.to) == TcpState::Close;
        self.with_cookie(record.seen.socket).filter(|_| given_up)
    }

    pub fn carries_tls(&self, cookie: u64) -> bool {
        let decoder = self.by_cookie.get(&cookie).and_then(|known| known.decoder.as_ref());
        decoder.is_some_and(|decoder| decoder.verdict() == Verdict::Tls)
    }

    /// Closed before that time, and nobody can use them any more.
    pub fn closed_before(&self, until: Nanos) -> Vec<SocketId> {
        let mut out: Vec<bool> =
            self.sockets.iter().map(|socket| socket.closed.is_some_and(|closed| closed < until)).collect();
        for id in self.by_cookie.values().map(|known| known.id).chain(self.free.iter().copied()) {
            if let Some(flag) = out.get_mut(id.0 as usize) {
                *flag = false;
            }
        }
        out.into_iter().enumerate().filter(|(_, out)| *out).map(|(index, _)| SocketId(index as u32)).collect()
    }

    /// Their places are free for others.
    pub fn release(&mut self, sockets: &[SocketId]) {
        for id in sockets {
            if let Some(socket) = self.sockets.get_mut(id.0 as usize) {
                *socket = Socket::unknown(socket.process);
                self.free.push(*id);
            }
        }
    }

    fn place(&mut self, socket: Socket) -> SocketId {
        if let Some(id) = self.free.pop()
            && let Some(place) = self.sockets.get_mut(id.0 as usize)
        {
            *place = socket;
            return id;
        }
        self.sockets.push(socket);
        SocketId(self.sockets.len() as u32 - 1)
    }

    pub fn seen(&mut self, record: &wire::SocketSeen, process: ProcessId, at: Nanos) -> SocketId {
        let family = match record.family {
            1 => Family::Unix,
            2 => Family::Ipv4,
            10 => Family::Ipv6,
            other => Family::Other(other),
        };
        let id = match self.by_cookie.get(&record.socket) {
            Some(known) => known.id,
            None => {
                let socket = Socket {
                    family,
                    kind: record.kind,
                    kernel: record.kernel,
                    peer_kernel: record.peer,
                    network: record.netns,
                    first_seen: at,
                    states: self.early.remove(&record.socket).unwrap_or_default(),
                    ..Socket::unknown(process)
                };
                let id = self.place(socket);
                let decoder = decoder(record, &self.key).map(Box::new);
                let verdict = decoder.as_ref().map_or(Verdict::Opaque, |decoder| decoder.verdict());
                let known = Known { id, decoder, tid: record.header.tid, verdict, transfers: 0 };
                self.by_cookie.insert(record.socket, known);
                id
            }
        };
        self.by_kernel.insert(record.kernel, id);
        let socket = &mut self.sockets[id.0 as usize];
        if matches!(family, Family::Ipv4 | Family::Ipv6) {
            let local = Address { ip: record.local_ip, port: record.local_port };
            let remote = Address { ip: record.remote_ip, port: record.remote_port };
            socket.local = (local.port != 0).then_some(local).or(socket.local);
            socket.remote = (remote.port != 0).then_some(remote).or(socket.remote);
        }
        if record.peer != 0 {
            socket.peer_kernel = record.peer;
        }
        if socket.role == Role::Unknown && socket.states.iter().any(|change| change.from == TcpState::SynReceived) {
            socket.role = Role::Server;
        }
        let listens = |port: u16| self.ports.get(&socket.process).is_some_and(|ports| ports.contains(&port));
        if socket.role == Role::Unknown && socket.local.is_some_and(|local| listens(local.port)) {
            socket.role = Role::Server;
        }
        id
    }

    /// `process` is the running one, where it is followed.
    pub fn state(&mut self, record: &wire::SocketState, process: Option<ProcessId>, at: Nanos) -> Option<Closed> {
        let change = StateChange { at, from: tcp_state(record.from), to: tcp_state(record.to) };
        let cookie = record.seen.socket;
        let connects = change.to == TcpState::SynSent || change.to == TcpState::Listen;
        let id = match (self.by_cookie.get(&cookie), process) {
            (Some(known), _) => known.id,
            (None, Some(process)) if connects => self.seen(&record.seen, process, at),
            (None, _) => {
                match change.to {
                    TcpState::Close => {
                        self.early.remove(&cookie);
                    }
                    // From LISTEN: under a cookie that the kernel replaces right after.
                    _ if change.from != TcpState::Listen && self.early.len() < EARLY => {
                        self.early.entry(cookie).or_default().push(change);
                    }
                    _ => {}
                }
                return None;
            }
        };
        let owner = self.sockets[id.0 as usize].process;
        self.seen(&record.seen, owner, at);
        let socket = &mut self.sockets[id.0 as usize];
        // From CLOSE to CLOSE: given up, nobody can read from it any more.
        let given_up = change.from == TcpState::Close && change.to == TcpState::Close;
        if !given_up {
            socket.states.push(change);
        }
        if change.to == TcpState::SynSent {
            socket.role = Role::Client;
        }
        if change.to == TcpState::Close {
            socket.closed.get_or_insert(at);
        }
        if !given_up {
            return None;
        }
        self.by_kernel.remove(&record.seen.kernel);
        let mut known = self.by_cookie.remove(&cookie)?;
        let marks = known.decoder.as_mut().map(|decoder| decoder.closed()).unwrap_or_default();
        (!marks.is_empty()).then_some(Closed { socket: id, tid: known.tid, marks })
    }

    /// Adds to the sums; None for a socket that was never announced.
    pub fn message(&mut self, record: &wire::Message, payload: &[u8]) -> Option<(SocketId, Direction, Vec<Mark>)> {
        let known = self.by_cookie.get_mut(&record.socket);
        let direction = if record.flags & wire::MESSAGE_SENT != 0 { Direction::Sent } else { Direction::Received };
        let known = known?;
        known.tid = record.header.tid;
        let socket = &mut self.sockets[known.id.0 as usize];
        let (bytes, messages) = match direction {
            Direction::Sent => (&mut socket.sent_bytes, &mut socket.sent_messages),
            Direction::Received => (&mut socket.received_bytes, &mut socket.received_messages),
        };
        let closed = record.flags & wire::MESSAGE_CLOSED != 0;
        *bytes += record.bytes + record.skipped_bytes;
        *messages += record.skipped_messages + u64::from(!closed);
        let marks = match &mut known.decoder {
            // An empty send says nothing; an empty receive is the end of the stream.
            Some(decoder) if record.bytes == 0 && direction == Direction::Received && !closed => decoder.closed(),
            Some(decoder) if record.flags & wire::MESSAGE_PIECES != 0 => {
                pieces::feed(decoder, direction, payload, record.bytes)
            }
            Some(decoder) if record.bytes > 0 => {
                let mut marks = decoder.feed(direction, payload, record.bytes);
                decoder.imprint(direction, payload, record.bytes, &mut marks);
                marks
            }
            Some(_) | None => Vec::new(),
        };
        known.transfers = known.transfers.saturating_add(1);
        let verdict = known.decoder.as_ref().map_or(Verdict::Opaque, |decoder| decoder.verdict());
        if verdict != std::mem::replace(&mut known.verdict, verdict)
            && let Some(said) = told(verdict, known.transfers)
        {
            self.verdicts.push((record.socket, said));
        }
        Some((known.id, direction, marks))
    }

    /// Sums of sockets that were still open at the end.
    pub fn add_open(&mut self, cookie: u64, sums: &wire::SocketSums) {
        let Some(known) = self.by_cookie.get(&cookie) else { return };
        let socket = &mut self.sockets[known.id.0 as usize];
        socket.received_bytes += sums.skipped_bytes[0];
        socket.sent_bytes += sums.skipped_bytes[1];
        socket.received_messages += sums.skipped_messages[0];
        socket.sent_messages += sums.skipped_messages[1];
    }
}

/// None: what it carries is not looked at.
fn decoder(record: &wire::SocketSeen, key: &RunKey) -> Option<Decoder> {
    const UNIX: u16 = 1;
    let asks = match (record.family, record.remote_port, record.local_port) {
        (UNIX, ..) => None,
        (_, NAME_SERVER_PORT, _) => Some(Direction::Sent),
        (_, _, NAME_SERVER_PORT) => Some(Direction::Received),
        _ => None,
    };
    match (record.kind, asks) {
        (SOCK_DGRAM, Some(requests)) => Some(Decoder::datagrams(requests)),
        (SOCK_STREAM, Some(requests)) => Some(Decoder::name_server(requests)),
        (SOCK_STREAM, None) => Some(Decoder::with_key(key.clone())),
        _ => None,
    }
}

/// What the kernel side does not know by itself.
fn told(verdict: Verdict, transfers: u32) -> Option<u32> {
    match verdict {
        Verdict::Undecided => None,
        Verdict::Http1 if transfers > SEEN_BY_KERNEL => Some(wire::PROTOCOL_HTTP1),
        Verdict::Tls if transfers > SEEN_BY_KERNEL => Some(wire::PROTOCOL_TLS),
        Verdict::Http1 | Verdict::Tls => None,
        Verdict::Calls(Wire::Http2 | Wire::Grpc) => Some(wire::PROTOCOL_HTTP2),
        Verdict::Calls(_) => Some(wire::PROTOCOL_CALLS),
        Verdict::Opaque => Some(wire::PROTOCOL_OPAQUE),
    }
}

/// include/net/tcp_states.h
fn tcp_state(number: u32) -> TcpState {
    match number {
        1 => TcpState::Established,
        2 => TcpState::SynSent,
        3 | 12 => TcpState::SynReceived,
        7 => TcpState::Close,
        10 => TcpState::Listen,
        _ => TcpState::Closing,
    }
}
