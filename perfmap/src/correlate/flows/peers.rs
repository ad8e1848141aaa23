//! Client ends → the endpoints they spoke to, with sums. Sums are kept by address in a sorted map, so that the same
//! recording gives the same order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Counted, EarlierCalls, End, Latency, PeerFlow, Protocol, Speaks};
use crate::recording::{
    Earlier, Endpoint, Family, Nanos, ProcessId, Recording, Socket, SocketId, StateChange, Sureness, Tally, TcpState,
};

const DATAGRAM: u16 = 2;

#[derive(Debug)]
struct Sums {
    flow: PeerFlow,
    /// And how often each.
    latencies: Vec<(Nanos, u64)>,
    connects: Vec<Nanos>,
    handshakes: Vec<Nanos>,
    hosts: BTreeMap<String, u64>,
    processes: BTreeMap<ProcessId, u64>,
}

#[derive(Debug)]
pub(super) struct Peers {
    sums: Vec<Sums>,
    /// Indices into `sums`.
    places: BTreeMap<Endpoint, usize>,
    /// Addresses of this host, sorted.
    own: Vec<[u8; 16]>,
    /// By `SocketId`: index into `sums`.
    of_socket: Vec<Option<usize>>,
}

impl Peers {
    pub fn new(recording: &Recording, ends: &[End], pairs: &[Option<SocketId>]) -> Peers {
        let mut own: Vec<[u8; 16]> = recording.sockets.iter().filter_map(|socket| Some(socket.local?.ip)).collect();
        own.sort_unstable();
        own.dedup();
        let of_socket = vec![None; recording.sockets.len()];
        let mut peers = Peers { sums: Vec::new(), places: BTreeMap::new(), own, of_socket };
        for (index, (socket, end)) in recording.sockets.iter().zip(ends).enumerate() {
            let other = pairs.get(index).copied().flatten();
            let process = other.and_then(|other| reader(recording, ends, other));
            let datagrams = socket.kind == DATAGRAM;
            let client = end.speaks == Speaks::Client
                || (datagrams && socket.family != Family::Unix && end.speaks == Speaks::Unknown && other.is_none());
            let key = endpoint(recording, ends, socket, other);
            let moved = socket.sent_bytes > 0 || socket.received_bytes > 0;
            let attempted = socket.states.iter().any(|change| change.to == TcpState::SynSent);
            let Some(key) = key.filter(|_| client && (moved || attempted || end.protocol.is_some())) else { continue };
            let place = peers.place(key);
            peers.of_socket[index] = Some(place);
            peers.sums[place].add(socket, end, process);
        }
        peers
    }

    fn place(&mut self, key: Endpoint) -> usize {
        *self.places.entry(key).or_insert_with(|| {
            self.sums.push(Sums::new(key, &self.own));
            self.sums.len() - 1
        })
    }

    /// Adds what is known of the time before the window.
    pub fn earlier(&mut self, earlier: &Earlier, lossy: bool) -> Vec<EarlierCalls> {
        for (endpoint, gone) in earlier.sockets.iter().filter_map(|(endpoint, gone)| Some(((*endpoint)?, gone))) {
            let place = self.place(endpoint);
            let flow = &mut self.sums[place].flow;
            flow.connections = flow.connections.saturating_add(gone.connections);
            flow.failed_connects = flow.failed_connects.saturating_add(gone.failed_connects);
            flow.bytes_sent = gone.sent.iter().fold(flow.bytes_sent, |sum, bytes| sum.saturating_add(*bytes));
            flow.bytes_received =
                gone.received.iter().fold(flow.bytes_received, |sum, bytes| sum.saturating_add(*bytes));
        }
        let calls = earlier.requests.iter().map(|(of, tally)| {
            let peer = of.endpoint.filter(|_| !of.inbound).map(|endpoint| self.place(endpoint));
            let counted = if lossy { Sureness::AtLeast } else { tally.counted };
            let calls = EarlierCalls { of: of.clone(), tally: Tally { counted, ..tally.clone() }, peer };
            if let Some(sums) = self.get(peer) {
                let flow = &mut sums.flow;
                flow.round_trips = flow.round_trips.saturating_add(tally.answered);
                flow.failed = flow.failed.saturating_add(tally.unanswered);
                flow.counted = flow.counted.max(calls.counted());
                sums.latencies.extend(tally.latencies.weighted());
                if tally.answered > 0 {
                    name(flow, calls.protocol(), of.encrypted);
                }
                if let Some(server) = of.server {
                    *sums.processes.entry(server).or_default() += 1;
                }
            }
            calls
        });
        calls.collect()
    }

    pub fn of(&self, socket: SocketId) -> Option<usize> {
        self.of_socket.get(socket.0 as usize).copied().flatten()
    }

    pub fn weaken(&mut self, peer: Option<usize>, counted: Counted) {
        if let Some(sums) = self.get(peer) {
            sums.flow.counted = sums.flow.counted.max(counted);
        }
    }

    pub fn handshake(&mut self, peer: Option<usize>, length: Nanos) {
        if let Some(sums) = self.get(peer) {
            sums.handshakes.push(length);
        }
    }

    pub fn round_trip(&mut self, peer: Option<usize>, latency: Nanos, host: Option<String>) {
        if let Some(sums) = self.get(peer) {
            sums.flow.round_trips += 1;
            sums.latencies.push((latency, 1));
            if let Some(host) = host {
                *sums.hosts.entry(host).or_default() += 1;
            }
        }
    }

    pub fn failed(&mut self, peer: Option<usize>) {
        if let Some(sums) = self.get(peer) {
            sums.flow.failed += 1;
        }
    }

    /// The peers in their order, and for each former index its place in it.
    pub fn finish(self) -> (Vec<PeerFlow>, Vec<usize>) {
        let mut flows: Vec<(usize, PeerFlow)> = self.sums.into_iter().map(Sums::finish).enumerate().collect();
        flows.sort_by(|(_, a), (_, b)| {
            (b.round_trips, b.connections)
                .cmp(&(a.round_trips, a.connections))
                .then_with(|| (&a.address, &a.protocol, a.process).cmp(&(&b.address, &b.protocol, b.process)))
        });
        let mut places = vec![0; flows.len()];
        for (place, (former, _)) in flows.iter().enumerate() {
            places[*former] = place;
        }
        (flows.into_iter().map(|(_, flow)| flow).collect(), places)
    }

    fn get(&mut self, peer: Option<usize>) -> Option<&mut Sums> {
        peer.and_then(|peer| self.sums.get_mut(peer))
    }
}

/// The process that uses the server's end: workers that inherited a listener read what their parent never does.
fn reader(recording: &Recording, ends: &[End], server: SocketId) -> Option<ProcessId> {
    let used = ends.get(server.0 as usize).and_then(|end| end.task);
    let by_task = used.and_then(|task| recording.tasks.get(task.0 as usize)).map(|task| task.process);
    by_task.or_else(|| recording.sockets.get(server.0 as usize).map(|socket| socket.process))
}

impl Sums {
    fn new(key: Endpoint, own: &[[u8; 16]]) -> Sums {
        let (address, protocol, local) = match key {
            Endpoint::Unix(_) => ("unix".to_owned(), "unix", true),
            Endpoint::Internet { datagrams, remote, network: _ } => {
                let ip = Ipv6Addr::from(remote.ip).to_canonical();
                let address = SocketAddr::new(ip, remote.port).to_string();
                let local = is_loopback(ip) || own.binary_search(&remote.ip).is_ok();
                (address, if datagrams { "udp" } else { "tcp" }, local)
            }
        };
        Sums {
            flow: PeerFlow {
                endpoint: key,
                address,
                process: None,
                host: None,
                protocol: protocol.to_owned(),
                round_trips: 0,
                failed: 0,
                connections: 0,
                failed_connects: 0,
                bytes_sent: 0,
                bytes_received: 0,
                latency: None,
                connect: None,
                tls_handshake: None,
                counted: Counted::Exact,
                local,
            },
            latencies: Vec::new(),
            connects: Vec::new(),
            handshakes: Vec::new(),
            hosts: BTreeMap::new(),
            processes: BTreeMap::new(),
        }
    }

    fn add(&mut self, socket: &Socket, end: &End, process: Option<ProcessId>) {
        let flow = &mut self.flow;
        flow.bytes_sent = flow.bytes_sent.saturating_add(socket.sent_bytes);
        flow.bytes_received = flow.bytes_received.saturating_add(socket.received_bytes);
        let began = socket.states.iter().find(|change| change.to == TcpState::SynSent);
        let made = socket.states.iter().find(|change| change.to == TcpState::Established);
        let (connected, failed) = connected(socket, end.protocol.is_some());
        flow.connections += u64::from(connected);
        flow.failed_connects += u64::from(failed);
        if let (Some(began), Some(made)) = (began, made) {
            self.connects.push(made.at.since(began.at));
        }
        if let Some(protocol) = end.protocol {
            name(flow, protocol, end.encrypted);
        }
        if let Some(process) = process {
            flow.local = true;
            *self.processes.entry(process).or_default() += 1;
        }
    }

    fn finish(self) -> PeerFlow {
        let Sums { mut flow, latencies, connects, handshakes, hosts, processes } = self;
        flow.latency = Latency::weighted(latencies);
        flow.connect = Latency::of(connects).map(|connect| connect.median);
        flow.tls_handshake = Latency::of(handshakes).map(|handshake| handshake.median);
        flow.host = most(hosts);
        flow.process = most(processes);
        flow
    }
}

/// Whom the socket's user speaks to, if it is a client.
pub(super) fn endpoint(
    recording: &Recording,
    ends: &[End],
    socket: &Socket,
    other: Option<SocketId>,
) -> Option<Endpoint> {
    match (socket.family, socket.remote) {
        (Family::Unix, _) => Some(Endpoint::Unix(other.and_then(|other| reader(recording, ends, other)))),
        (_, Some(remote)) if remote.port != 0 => {
            let network = if super::translated::is_loopback(remote) { socket.network } else { 0 };
            Some(Endpoint::Internet { datagrams: socket.kind == DATAGRAM, remote, network })
        }
        _ => None,
    }
}

/// Whether a connection came about, and whether an attempt at one failed.
pub(super) fn connected(socket: &Socket, spoke: bool) -> (bool, bool) {
    if socket.kind == DATAGRAM {
        return (false, false);
    }
    let made = socket.states.iter().any(|change| change.to == TcpState::Established);
    let made = made || socket.sent_bytes > 0 || socket.received_bytes > 0 || spoke;
    let refused = |change: &StateChange| {
        change.from == TcpState::SynSent && matches!(change.to, TcpState::Close | TcpState::Closing)
    };
    (made, !made && socket.states.iter().any(refused))
}

fn name(flow: &mut PeerFlow, protocol: Protocol, encrypted: bool) {
    flow.protocol = match (protocol, flow.protocol.as_str()) {
        (Protocol::Http1, _) if encrypted => "https",
        (Protocol::Http1, _) => "http/1.1",
        (Protocol::Tls, "tcp" | "unix") => "tls",
        (Protocol::Http2, _) => "http/2",
        (Protocol::Grpc, _) => "grpc",
        (Protocol::Postgres, _) => "postgresql",
        (Protocol::Mysql, _) => "mysql",
        (Protocol::Redis, _) => "redis",
        (Protocol::Memcached, _) => "memcached",
        (Protocol::Dns, _) => "dns",
        (Protocol::Tls, _) => return,
    }
    .to_owned();
}

/// The one seen most often; of equals the first in order.
fn most<T: Ord>(counts: BTreeMap<T, u64>) -> Option<T> {
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}
