//! A request in two writes whose second part is held back until the first is acknowledged, and an acknowledgement that
//! waits for 40 ms because there is no answer yet (RFC 896 meets RFC 1122). Where the server is watched it is seen: its
//! second read comes that much later than its first. Where it is not, an answer after 40 ms may be a server that takes
//! 40 ms: told from it by the requests before, whose first parts the kernel acknowledges at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::{self, Group},
        draft::suspicion,
        rules::connection_per_request::median,
        sketch::{self, Pattern},
        types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
    },
    correlate::RoundTrip,
    recording::{Direction, Event, Layer, Nanos, SocketId},
};

const RULE: (&str, Category) = ("delayed_ack_stall", Category::Environment);
/// Linux's shortest delay of an acknowledgement (TCP_DELACK_MIN), and what a busy machine adds.
const STALL: std::ops::Range<Nanos> = Nanos(36_000_000)..Nanos(60_000_000);
/// Times that it is no chance.
const TIMES: usize = 3;

type Transfers = BTreeMap<SocketId, Vec<(Nanos, Direction)>>;

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut transfers = Transfers::new();
    for event in &facts.recording.events {
        if let Event::Message(message) = event
            && message.layer == Layer::Wire
            && message.bytes > 0
        {
            transfers.entry(message.socket).or_default().push((message.at, message.direction));
        }
    }
    let shared = shared(&facts.correlated.flows.round_trips);
    let groups = calls::groups(facts);
    let found: Vec<Suspicion> = groups
        .iter()
        .filter(|group| group.kind.is_web() || group.kind.is_store())
        .filter_map(|group| of_group(facts, group, &transfers, &shared))
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// Connections with several requests under way at one time: what follows one request's first part may be another's.
fn shared(trips: &[RoundTrip]) -> BTreeSet<SocketId> {
    let mut busy_until: BTreeMap<SocketId, Nanos> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    // By the time they were sent.
    for trip in trips {
        let until = busy_until.entry(trip.socket).or_default();
        if trip.sent < *until {
            shared.insert(trip.socket);
        }
        *until = trip.received.max(*until);
    }
    shared
}

/// What passed in one direction from a time on until something goes the other way.
fn one_way(transfers: &Transfers, socket: SocketId, direction: Direction, from: Nanos, to: Nanos) -> Vec<Nanos> {
    let all = transfers.get(&socket).map_or(&[][..], Vec::as_slice);
    let first = all.partition_point(|(at, _)| *at < from);
    let during = all[first..].iter().take_while(|(at, _)| *at < to);
    during.take_while(|(_, way)| *way == direction).map(|(at, _)| *at).collect()
}

/// A request in several writes, and how long its second part was held back; None: the server is not watched.
struct InTwo {
    latency: Nanos,
    held_back: Option<Nanos>,
}

fn of_group(
    facts: &Facts<'_>,
    group: &Group<'_>,
    transfers: &Transfers,
    shared: &BTreeSet<SocketId>,
) -> Option<Suspicion> {
    let in_two: Vec<InTwo> = group
        .calls
        .iter()
        .filter(|trip| !shared.contains(&trip.socket))
        .filter(|trip| one_way(transfers, trip.socket, Direction::Sent, trip.sent, trip.received).len() >= 2)
        .map(|trip| {
            let held_back = trip.server_socket.map(|server| {
                let read = one_way(transfers, server, Direction::Received, trip.sent, trip.received);
                read.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default()
            });
            InTwo { latency: trip.latency(), held_back }
        })
        .collect();
    if in_two.len() < TIMES {
        return None;
    }
    let latencies = || in_two.iter().map(|request| request.latency);
    // The first exchanges of a connection are acknowledged at once.
    let at_once = latencies().filter(|latency| *latency < STALL.start).min();
    let stalled: Vec<Nanos> = in_two
        .iter()
        .filter_map(|request| match request.held_back {
            Some(held_back) => Some(held_back).filter(|held_back| STALL.contains(held_back)),
            None => at_once
                .map(|at_once| request.latency.since(at_once))
                .filter(|longer| STALL.contains(longer) && STALL.contains(&request.latency)),
        })
        .collect();
    let late = latencies().filter(|latency| STALL.contains(latency)).count();
    // After the first exchanges all wait, or it is not this.
    let confirmed = stalled.len() >= TIMES && stalled.len() * 2 > in_two.len();
    let name = calls::peer_name(facts, group.peer);
    let usual = median(latencies().collect()).unwrap_or_default();
    let mut evidence = vec![
        Evidence::new("requests in two writes or more", Value::Count(in_two.len() as u64)),
        Evidence::held_against(
            "of them held back for some 40 ms",
            Value::Count(stalled.len() as u64),
            Value::Count(TIMES as u64),
        ),
        Evidence::new("median until the answer", Value::Time(usual)),
    ];
    let watched = in_two.iter().any(|request| request.held_back.is_some());
    let seen = if watched {
        evidence.push(Evidence::new("seen at the server", Value::Count(stalled.len() as u64)));
        "reached the server's second read 36 to 60 ms after its first"
    } else {
        "were answered 36 to 60 ms later than the first ones"
    };
    let mut note = format!(
        "{} of {} requests in two writes {seen}; answered after {:.1} ms in the median",
        stalled.len(),
        in_two.len(),
        usual.as_ms()
    );
    if !confirmed && !watched && late * 2 > in_two.len() {
        note.push_str("; the server, which is not watched, may take that long itself");
    }
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let description = format!("Requests to {name} are sent in several writes.");
    let mut found = suspicion(RULE, name, Some(&group.place), (verdict, note), description, evidence);
    if confirmed {
        let wall: Nanos = stalled.iter().copied().sum();
        found.gain =
            group.place.is_waited_for().then(|| Gain { wall, basis: format!("{} stalls of 40 ms", stalled.len()) });
        found.change = Some(sketch::change(Pattern::OneWrite, found.location.as_ref(), group.place.function()));
    }
    Some(found)
}
