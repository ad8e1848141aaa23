//! Client ends → the endpoints they spoke to, with sums. Sums are kept by address in a sorted map, so that the same
//! recording gives the same order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Counted, End, Latency, PeerFlow, Protocol, Speaks};
use crate::recording::{Address, Family, Nanos, ProcessId, Recording, Socket, SocketId, TcpState};

const DATAGRAM: u16 = 2;

/// Unix sockets have no address that is known, so the process at the other end tells them apart. A loopback address is
/// another endpoint in each network namespace (0 for all other addresses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Internet { datagrams: bool, remote: Address, network: u32 },
    Unix(Option<ProcessId>),
}

#[derive(Debug)]
struct Sums {
    flow: PeerFlow,
    latencies: Vec<Nanos>,
    connects: Vec<Nanos>,
    handshakes: Vec<Nanos>,
    hosts: BTreeMap<String, u64>,
    processes: BTreeMap<ProcessId, u64>,
}

#[derive(Debug)]
pub(super) struct Peers {
    sums: Vec<Sums>,
    /// By `SocketId`: index into `sums`.
    of_socket: Vec<Option<usize>>,
}

impl Peers {
    pub fn new(recording: &Recording, ends: &[End], pairs: &[Option<SocketId>]) -> Peers {
        let mut own: Vec<[u8; 16]> = recording.sockets.iter().filter_map(|socket| Some(socket.local?.ip)).collect();
        own.sort_unstable();
        own.dedup();
        let mut places: BTreeMap<Key, usize> = BTreeMap::new();
        let mut peers = Peers { sums: Vec::new(), of_socket: vec![None; recording.sockets.len()] };
        for (index, (socket, end)) in recording.sockets.iter().zip(ends).enumerate() {
            let other = pairs.get(index).copied().flatten();
            let process = other.and_then(|other| reader(recording, ends, other));
            let datagrams = socket.kind == DATAGRAM;
            let client = end.speaks == Speaks::Client
                || (datagrams && socket.family != Family::Unix && end.speaks == Speaks::Unknown && other.is_none());
            let key = match (socket.family, socket.remote) {
                (Family::Unix, _) => Some(Key::Unix(process)),
                (_, Some(remote)) if remote.port != 0 => {
                    let network = if super::translated::is_loopback(remote) { socket.network } else { 0 };
                    Some(Key::Internet { datagrams, remote, network })
                }
                _ => None,
            };
            let moved = socket.sent_bytes > 0 || socket.received_bytes > 0;
            let attempted = socket.states.iter().any(|change| change.to == TcpState::SynSent);
            let Some(key) = key.filter(|_| client && (moved || attempted || end.protocol.is_some())) else { continue };
            let place = *places.entry(key).or_insert_with(|| {
                peers.sums.push(Sums::new(key, &own));
                peers.sums.len() - 1
            });
            peers.of_socket[index] = Some(place);
            peers.sums[place].add(socket, end, process);
        }
        peers
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
            sums.latencies.push(latency);
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
    fn new(key: Key, own: &[[u8; 16]]) -> Sums {
        let (address, protocol, local) = match key {
            Key::Unix(_) => ("unix".to_owned(), "unix", true),
            Key::Internet { datagrams, remote, network: _ } => {
                let ip = Ipv6Addr::from(remote.ip).to_canonical();
                let address = SocketAddr::new(ip, remote.port).to_string();
                let local = is_loopback(ip) || own.binary_search(&remote.ip).is_ok();
                (address, if datagrams { "udp" } else { "tcp" }, local)
            }
        };
        Sums {
            flow: PeerFlow {
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
        let moved = socket.sent_bytes > 0 || socket.received_bytes > 0 || end.protocol.is_some();
        if socket.kind != DATAGRAM {
            if made.is_some() || moved {
                flow.connections += 1;
            } else if socket.states.iter().any(|change| {
                change.from == TcpState::SynSent && matches!(change.to, TcpState::Close | TcpState::Closing)
            }) {
                flow.failed_connects += 1;
            }
        }
        if let (Some(began), Some(made)) = (began, made) {
            self.connects.push(made.at.since(began.at));
        }
        match (end.protocol, flow.protocol.as_str()) {
            (Some(Protocol::Http1), _) if end.encrypted => flow.protocol = "https".to_owned(),
            (Some(Protocol::Http1), _) => flow.protocol = "http/1.1".to_owned(),
            (Some(Protocol::Tls), "tcp" | "unix") => flow.protocol = "tls".to_owned(),
            (Some(Protocol::Http2), _) => flow.protocol = "http/2".to_owned(),
            (Some(Protocol::Grpc), _) => flow.protocol = "grpc".to_owned(),
            (Some(Protocol::Postgres), _) => flow.protocol = "postgresql".to_owned(),
            (Some(Protocol::Mysql), _) => flow.protocol = "mysql".to_owned(),
            (Some(Protocol::Redis), _) => flow.protocol = "redis".to_owned(),
            (Some(Protocol::Memcached), _) => flow.protocol = "memcached".to_owned(),
            (Some(Protocol::Dns), _) => flow.protocol = "dns".to_owned(),
            (Some(Protocol::Tls), _) | (None, _) => {}
        }
        if let Some(process) = process {
            flow.local = true;
            *self.processes.entry(process).or_default() += 1;
        }
    }

    fn finish(self) -> PeerFlow {
        let Sums { mut flow, latencies, connects, handshakes, hosts, processes } = self;
        flow.latency = Latency::of(latencies);
        flow.connect = Latency::of(connects).map(|connect| connect.median);
        flow.tls_handshake = Latency::of(handshakes).map(|handshake| handshake.median);
        flow.host = most(hosts);
        flow.process = most(processes);
        flow
    }
}

/// The one seen most often; of equals the first in order.
fn most<T: Ord>(counts: BTreeMap<T, u64>) -> Option<T> {
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}
