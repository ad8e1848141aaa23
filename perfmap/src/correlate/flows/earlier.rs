//! Messages whose detail is to be given up → what they come to, by the same reading as that of the messages that stay, so
//! that parts add up to the whole. Only requests that are answered are taken; who is under way keeps its messages.

use std::collections::BTreeMap;

use super::{CallKind, Counted, End, Flows, Protocol, Speaks, peers};
use crate::recording::{
    Endpoint, Event, Family, Folded, Gone, Nanos, Recording, Requests, SocketId, Spoken, Sureness, Tally, Wire,
};

use super::exchange::Outcome;

/// Most messages that one connection keeps for its requests under way: of streams without end, with others beside them,
/// the connection would keep all.
const UNDER_WAY: usize = 512;

/// Earlier requests of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierCalls {
    pub of: Requests,
    pub tally: Tally,
    /// Index into [`Flows::peers`]; None where inbound.
    pub peer: Option<usize>,
}

impl EarlierCalls {
    pub fn protocol(&self) -> Protocol {
        self.of.spoken.into()
    }

    pub fn counted(&self) -> Counted {
        self.tally.counted.into()
    }
}

impl Flows {
    /// Round trips of some kinds, those before the window too.
    pub fn count(&self, of: fn(CallKind) -> bool) -> u64 {
        let earlier = self.earlier.iter().filter(|calls| of(calls.protocol().kind())).map(|calls| calls.tally.answered);
        let detailed = self.round_trips.iter().filter(|trip| of(trip.protocol.kind())).count() as u64;
        earlier.fold(detailed, u64::saturating_add)
    }
}

/// `recording` holds all messages before `until`, in order; of `gone` nobody will hear again.
pub fn fold(recording: &Recording, until: Nanos, gone: &[SocketId]) -> Folded {
    let pairs = super::pairs::pairs(&recording.sockets, &recording.translations);
    let mut ends = super::ends(recording);
    super::opposites(&mut ends, &pairs);
    let other = |index: usize| pairs.get(index).copied().flatten().map(|other| other.0 as usize);
    // One end alone says what both say together; so they go together.
    let gone: Vec<SocketId> = gone
        .iter()
        .copied()
        .filter(|id| other(id.0 as usize).is_none_or(|other| gone.binary_search(&SocketId(other as u32)).is_ok()))
        .collect();
    let closed = |index: usize| recording.sockets[index].closed.is_some_and(|closed| closed < until);
    let mut keep_from: Vec<Nanos> = ends
        .iter()
        .enumerate()
        .map(|(index, end)| {
            let over = closed(index) && other(index).is_none_or(closed);
            begun_before([Some(end), other(index).and_then(|other| ends.get(other))], over, until)
        })
        .collect();
    let (mut kept, mut cut) = (vec![0usize; ends.len()], 0);
    for event in &recording.events {
        if let Event::Message(message) = event
            && let Some(from) = keep_from.get(message.socket.0 as usize)
        {
            kept[message.socket.0 as usize] += usize::from(message.at >= *from && !message.marks.is_empty());
        }
    }
    for (index, end) in ends.iter_mut().enumerate() {
        let all = kept[index] > UNDER_WAY;
        if all {
            keep_from[index] = until;
            let before = end.exchanges.len();
            end.exchanges.retain(|exchange| exchange.outcome == Outcome::Answered);
            cut += (before - end.exchanges.len()) as u64;
            end.low |= before != end.exchanges.len();
        }
        let from = keep_from[index];
        end.exchanges.retain(|exchange| all || exchange.received.max(exchange.sent) < from);
    }
    let encrypted: Vec<bool> = ends.iter().map(|end| end.encrypted).collect();
    let sockets = sockets(recording, &ends, &pairs, &gone);
    let flows = super::of_ends(recording, &ends, pairs);
    Folded { requests: requests(recording, &flows, &encrypted), keep_from, cut, sockets, gone }
}

/// When the earliest of the requests was sent that are under way at `until`, or were when another such one was.
fn begun_before(ends: [Option<&End>; 2], closed: bool, until: Nanos) -> Nanos {
    let spans = ends.into_iter().flatten().flat_map(|end| &end.exchanges).map(|exchange| {
        let over = exchange.outcome == Outcome::Answered || closed;
        (if over { exchange.received.max(exchange.sent) } else { Nanos(u64::MAX) }, exchange.sent)
    });
    let mut spans: Vec<(Nanos, Nanos)> = spans.collect();
    spans.sort_unstable_by(|a, b| b.cmp(a));
    let mut from = until;
    for (received, sent) in spans {
        if received < from {
            break;
        }
        from = from.min(sent);
    }
    from
}

fn requests(recording: &Recording, flows: &Flows, encrypted: &[bool]) -> BTreeMap<Requests, Tally> {
    let mut found: BTreeMap<Requests, Tally> = BTreeMap::new();
    let process = |socket: SocketId| recording.sockets.get(socket.0 as usize).map(|socket| socket.process);
    let by = |task: crate::recording::TaskId| recording.tasks.get(task.0 as usize).map(|task| task.process);
    let inside = |socket: SocketId| encrypted.get(socket.0 as usize).copied().unwrap_or_default();
    for trip in &flows.round_trips {
        // Asked before anybody listened: of a server's, nothing is known but that.
        let older = trip.protocol != Protocol::Tls && trip.method.is_none() && trip.route.is_none();
        let Some(process_of_task) = by(trip.task).filter(|_| !(trip.inbound && older)) else { continue };
        let of = Requests {
            inbound: trip.inbound,
            process: process_of_task,
            server: trip.server_socket.filter(|_| !trip.inbound).and_then(process),
            endpoint: trip.peer.and_then(|peer| flows.peers.get(peer)).map(|peer| peer.endpoint),
            spoken: trip.protocol.into(),
            encrypted: inside(trip.socket),
            method: trip.method.clone(),
            route: trip.route.clone(),
            stack: trip.stack.filter(|_| !trip.inbound),
        };
        let tally = found.entry(of).or_insert_with(|| Tally::new(trip.task));
        tally.answered += 1;
        tally.refused += u64::from(trip.refused || trip.status.is_some_and(|status| status >= 500));
        tally.latencies.record(trip.latency());
        tally.counted = tally.counted.max(trip.counted.into());
    }
    for failed in &flows.failed {
        let Some(process_of_task) = by(failed.task) else { continue };
        let of = Requests {
            inbound: failed.inbound,
            process: process_of_task,
            server: None,
            endpoint: failed.peer.and_then(|peer| flows.peers.get(peer)).map(|peer| peer.endpoint),
            spoken: Spoken::Http1,
            encrypted: inside(failed.socket),
            method: failed.method.clone(),
            route: failed.route.clone(),
            stack: failed.stack.filter(|_| !failed.inbound),
        };
        found.entry(of).or_insert_with(|| Tally::new(failed.task)).unanswered += 1;
    }
    found
}

fn sockets(
    recording: &Recording,
    ends: &[End],
    pairs: &[Option<SocketId>],
    gone: &[SocketId],
) -> BTreeMap<Option<Endpoint>, Gone> {
    let mut found: BTreeMap<Option<Endpoint>, Gone> = BTreeMap::new();
    for id in gone {
        let index = id.0 as usize;
        let (Some(socket), Some(end)) = (recording.sockets.get(index), ends.get(index)) else { continue };
        let other = pairs.get(index).copied().flatten();
        let endpoint = peers::endpoint(recording, ends, socket, other).filter(|_| end.speaks == Speaks::Client);
        let sum = found.entry(endpoint).or_default();
        let (made, failed) = peers::connected(socket, end.protocol.is_some());
        sum.connections += u64::from(made);
        sum.failed_connects += u64::from(failed);
        let kind = match socket.family {
            Family::Ipv4 | Family::Ipv6 => 0,
            Family::Unix | Family::Other(_) => 1,
        };
        sum.sent[kind] = sum.sent[kind].saturating_add(socket.sent_bytes);
        sum.received[kind] = sum.received[kind].saturating_add(socket.received_bytes);
    }
    found
}

impl From<Protocol> for Spoken {
    fn from(protocol: Protocol) -> Spoken {
        match protocol {
            Protocol::Http1 => Spoken::Http1,
            Protocol::Tls => Spoken::Tls,
            Protocol::Http2 => Spoken::Calls(Wire::Http2),
            Protocol::Grpc => Spoken::Calls(Wire::Grpc),
            Protocol::Postgres => Spoken::Calls(Wire::Postgres),
            Protocol::Mysql => Spoken::Calls(Wire::Mysql),
            Protocol::Redis => Spoken::Calls(Wire::Redis),
            Protocol::Memcached => Spoken::Calls(Wire::Memcached),
            Protocol::Dns => Spoken::Calls(Wire::Dns),
        }
    }
}

impl From<Spoken> for Protocol {
    fn from(spoken: Spoken) -> Protocol {
        match spoken {
            Spoken::Http1 => Protocol::Http1,
            Spoken::Tls => Protocol::Tls,
            Spoken::Calls(wire) => wire.into(),
        }
    }
}

impl From<Counted> for Sureness {
    fn from(counted: Counted) -> Sureness {
        match counted {
            Counted::Exact => Sureness::Exact,
            Counted::Inferred => Sureness::Inferred,
            Counted::AtLeast => Sureness::AtLeast,
        }
    }
}

impl From<Sureness> for Counted {
    fn from(sureness: Sureness) -> Counted {
        match sureness {
            Sureness::Exact => Counted::Exact,
            Sureness::Inferred => Counted::Inferred,
            Sureness::AtLeast => Counted::AtLeast,
        }
    }
}
