//! Answers that take the longer the more of them are asked for → the part of each wait that is the others' fault. A peer
//! whose only thread computes all the time, or answers one request after the other all the time, is saturated; of others it is
//! told by calls that were made with few beside them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    types::Spent,
    waits::{Bit, Key, On},
};
use crate::{
    analyze::suspicions::Facts,
    correlate::{RoundTrip, State, Timeline, WaitId},
    recording::{Direction, Event, Nanos, SocketId, TaskId, covered},
};

/// A thread that is busy for more of the time has no room.
const SATURATED: f64 = 0.8;
/// Answers take this much longer than alone, or it is no matter.
const LONGER: f64 = 1.5;
/// Fewer calls say nothing; of one thread it is known what it did.
const LEAST: usize = 30;
const LEAST_SEEN: usize = 12;
/// Requests that one thread has at a time for more of the time, in percent, are not answered one after the other.
const AT_ONCE_PCT: u64 = 5;
/// Of the calls, those with the fewest beside them.
const ALONE_PCT: usize = 5;
const ALONE_LEAST: usize = 3;

/// By peer: how much of the time its only thread computed, where that is what it is waited for.
pub(super) fn separate(
    facts: &Facts<'_>,
    tasks: &[Vec<TaskId>],
    bits: &mut [Vec<Bit>],
    active: &[(Nanos, Nanos)],
) -> BTreeMap<usize, f64> {
    let worker_of: BTreeMap<TaskId, usize> =
        tasks.iter().enumerate().flat_map(|(w, tasks)| tasks.iter().map(move |task| (*task, w))).collect();
    let mut by_peer: BTreeMap<usize, Vec<&RoundTrip>> = BTreeMap::new();
    for trip in facts.correlated.flows.round_trips.iter().filter(|trip| !trip.inbound) {
        let active = worker_of.get(&trip.task).and_then(|worker| active.get(*worker));
        if let (Some(peer), Some((from, to))) = (trip.peer, active)
            && trip.received > *from
            && trip.sent < *to
        {
            by_peer.entry(peer).or_default().push(trip);
        }
    }
    let ends = server_ends(facts);
    let polls = |wait: WaitId| facts.correlated.waits.get(wait.0 as usize).is_some_and(|wait| wait.multiplexed);
    let mut saturated = BTreeMap::new();
    for (peer, trips) in by_peer {
        if trips.len() < LEAST_SEEN {
            continue;
        }
        let mean = mean(&trips);
        let busy = single_thread(facts, &ends, &trips);
        let alone = match busy {
            Some((share, demand)) if share >= SATURATED => {
                saturated.insert(peer, share);
                Some(demand)
            }
            Some(_) | None => alone(&trips).filter(|_| trips.len() >= LEAST),
        };
        let Some(alone) = alone.filter(|alone| mean > alone * LONGER) else {
            saturated.remove(&peer);
            continue;
        };
        let fraction = 1.0 - alone / mean;
        let key = Key::Peer { peer, saturated: saturated.contains_key(&peer) };
        let mut spans: BTreeMap<usize, Vec<(Nanos, Nanos)>> = BTreeMap::new();
        for trip in &trips {
            if let Some(worker) = worker_of.get(&trip.task) {
                spans.entry(*worker).or_default().push((trip.sent, trip.received));
            }
        }
        for (worker, spans) in spans {
            if let Some(of_worker) = bits.get_mut(worker) {
                *of_worker = split(std::mem::take(of_worker), &spans, (fraction, &key), polls);
            }
        }
    }
    saturated
}

fn mean(trips: &[&RoundTrip]) -> f64 {
    trips.iter().map(|trip| trip.latency().0 as f64).sum::<f64>() / trips.len().max(1) as f64
}

/// Of each server's end who read the requests, and what was read and written there, in order of time.
type Ends = BTreeMap<SocketId, (BTreeSet<TaskId>, Vec<(Nanos, Direction)>)>;

fn server_ends(facts: &Facts<'_>) -> Ends {
    let sockets = facts.correlated.flows.round_trips.iter().filter_map(|trip| trip.server_socket);
    let mut found: Ends = sockets.map(|socket| (socket, Default::default())).collect();
    for event in &facts.recording.events {
        if let Event::Message(message) = event
            && let Some((readers, messages)) = found.get_mut(&message.socket)
        {
            if message.direction == Direction::Received {
                readers.insert(message.task);
            }
            messages.push((message.at, message.direction));
        }
    }
    found.values_mut().for_each(|(_, messages)| messages.sort_by_key(|(at, _)| *at));
    found
}

/// Where one thread answers all: how much of the time it was busy, and how long for one call.
fn single_thread(facts: &Facts<'_>, ends: &Ends, trips: &[&RoundTrip]) -> Option<(f64, f64)> {
    let mut servers: BTreeSet<TaskId> = BTreeSet::new();
    let mut answering: Vec<(Nanos, Nanos)> = Vec::new();
    for trip in trips {
        let Some((readers, messages)) = ends.get(&trip.server_socket?) else { continue };
        servers.extend(readers);
        let first = messages.partition_point(|(at, _)| *at < trip.sent);
        let during = || messages.iter().skip(first).take_while(|(at, _)| *at <= trip.received);
        let read = during().find(|(_, direction)| *direction == Direction::Received);
        let answered = during().filter(|(_, direction)| *direction == Direction::Sent).last();
        if let (Some((from, _)), Some((to, _))) = (read, answered) {
            answering.push((*from, *to));
        }
    }
    let (Some(server), 1) = (servers.first(), servers.len()) else { return None };
    let (from, to) = (trips.iter().map(|trip| trip.sent).min()?, trips.iter().map(|trip| trip.received).max()?);
    let timeline = facts.correlated.timelines.get(server.0 as usize)?;
    // Without a CPU it has something to do as well.
    let busy = ready(timeline, from, to).max(one_by_one(&answering, trips.len()));
    Some((busy.0 as f64 / to.since(from).0.max(1) as f64, busy.0 as f64 / trips.len() as f64))
}

/// Time in which a request was being answered, where no other one was meanwhile; whatever the thread waits for, it is taken.
fn one_by_one(answering: &[(Nanos, Nanos)], trips: usize) -> Nanos {
    let all: Nanos = answering.iter().map(|(from, to)| to.since(*from)).sum();
    let union = covered(answering.iter().copied());
    let at_once = all.since(union).0.saturating_mul(100) > all.0.saturating_mul(AT_ONCE_PCT);
    if at_once || answering.len() * 2 < trips { Nanos::ZERO } else { union }
}

fn ready(timeline: &Timeline, from: Nanos, to: Nanos) -> Nanos {
    let first = timeline.0.partition_point(|segment| segment.to <= from);
    let segments = timeline.0.iter().skip(first).take_while(|segment| segment.from < to);
    segments
        .filter(|segment| matches!(segment.state, State::Cpu { .. } | State::RunQueue(_)))
        .map(|segment| segment.to.min(to).since(segment.from.max(from)))
        .sum()
}

/// How long a call takes with few others under way, where many of them make it longer.
fn alone(trips: &[&RoundTrip]) -> Option<f64> {
    let mut ends: Vec<Nanos> = trips.iter().map(|trip| trip.received).collect();
    ends.sort_unstable();
    // Trips are in the order of their beginnings.
    let mut crowd: Vec<(usize, f64)> = trips
        .iter()
        .enumerate()
        .map(|(index, trip)| {
            let over = ends.partition_point(|end| *end <= trip.sent);
            (index.saturating_sub(over), trip.latency().0 as f64)
        })
        .collect();
    crowd.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let of = |part: &[(usize, f64)]| {
        let count = part.len().max(1) as f64;
        (part.iter().map(|one| one.0 as f64).sum::<f64>() / count, part.iter().map(|one| one.1).sum::<f64>() / count)
    };
    let third = crowd.len() / 3;
    let ((few, quick), (_, middle), (many, slow)) =
        (of(&crowd[..third]), of(&crowd[third..third * 2]), of(&crowd[third * 2..]));
    if slow < quick * LONGER || middle < quick || slow < middle || many < (few + 1.0) * LONGER {
        return None;
    }
    let count = (crowd.len() * ALONE_PCT / 100).max(ALONE_LEAST);
    crowd.get(..count).map(|fewest| of(fewest).1)
}

/// Of each wait inside the spans so much goes to the peer.
fn split(
    bits: Vec<Bit>,
    spans: &[(Nanos, Nanos)],
    (fraction, key): (f64, &Key),
    polls: impl Fn(WaitId) -> bool,
) -> Vec<Bit> {
    let mut found = Vec::with_capacity(bits.len());
    for bit in bits {
        // Of a saturated peer also what it waits for: its other callers would wait for that too.
        let waits = match &bit.on {
            On::Own(Spent::Network | Spent::Database | Spent::Pipe) => true,
            // A poll that ran out and was begun anew, with the answer still to come.
            On::Own(Spent::Sleep) => bit.wait.is_some_and(&polls),
            On::Shared(Key::RunQueue) => bit.wait.is_some() && matches!(key, Key::Peer { saturated: true, .. }),
            On::Own(_) | On::Shared(_) | On::Idle => false,
        };
        let next = spans.partition_point(|(_, to)| *to <= bit.from);
        let inside = spans.get(next).is_some_and(|(from, _)| *from <= bit.from || *from < bit.to);
        if !waits || !inside {
            found.push(bit);
            continue;
        }
        let others = (bit.length().0 as f64 * fraction) as u64;
        let cut = Nanos(bit.to.0.saturating_sub(others)).max(bit.from);
        if cut > bit.from {
            found.push(Bit { to: cut, ..bit.clone() });
        }
        if bit.to > cut {
            found.push(Bit { from: cut, on: On::Shared(key.clone()), ..bit });
        }
    }
    found
}
