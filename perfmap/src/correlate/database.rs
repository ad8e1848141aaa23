//! Waits at sockets → which of them were for a database's or a cache's answer.
//!
//! A wait is named after the answer that ended it: the first that its task got after it was woken. Sums of short waits
//! are shared out by how long round trips of either kind were under way in them.

use super::{
    causes::{Cause, Wait},
    flows::{Flows, RoundTrip},
    timeline::{Short, State, Timeline},
};
use crate::recording::Nanos;

/// Answers that may be looked at behind a wait's end; more are under way at once only in an event loop.
const MAX_LATER: usize = 64;

pub(crate) fn name(flows: &Flows, timelines: &[Timeline], waits: &mut [Wait], shorts: &mut [Short]) {
    if !flows.round_trips.iter().any(|trip| trip.protocol.kind().is_store()) {
        return;
    }
    let mut of_task: Vec<Vec<&RoundTrip>> = vec![Vec::new(); timelines.len()];
    for trip in &flows.round_trips {
        if let Some(trips) = of_task.get_mut(trip.task.0 as usize).filter(|_| !trip.inbound) {
            trips.push(trip);
        }
    }
    for trips in &mut of_task {
        trips.sort_by_key(|trip| (trip.received, trip.sent));
    }
    for wait in waits.iter_mut().filter(|wait| wait.cause == Cause::Network) {
        let Some(trips) = of_task.get(wait.task.0 as usize) else { continue };
        let later = &trips[trips.partition_point(|trip| trip.received < wait.woken)..];
        let ended = later.iter().take(MAX_LATER).find(|trip| trip.sent <= wait.woken);
        if ended.is_some_and(|trip| trip.protocol.kind().is_store()) {
            wait.cause = Cause::Database;
        }
    }
    for (trips, timeline) in of_task.iter().zip(timelines) {
        share_out(trips, timeline, shorts);
    }
}

fn share_out(trips: &[&RoundTrip], timeline: &Timeline, shorts: &mut [Short]) {
    if !trips.iter().any(|trip| trip.protocol.kind().is_store()) {
        return;
    }
    let [stores, others] = [true, false].map(|store| {
        let of_kind = trips.iter().filter(|trip| trip.protocol.kind().is_store() == store);
        union(of_kind.map(|trip| (trip.sent, trip.received)).collect())
    });
    // A sum's pieces follow one another.
    let mut open: Option<(u32, Nanos, Nanos)> = None;
    for segment in &timeline.0 {
        let State::Cpu { short: Some(short) } = segment.state else { continue };
        if let Some((done, of_stores, of_others)) = open.filter(|(of, ..)| *of != short) {
            rename(shorts, done, of_stores, of_others);
            open = None;
        }
        let (_, of_stores, of_others) = open.get_or_insert((short, Nanos::ZERO, Nanos::ZERO));
        *of_stores = of_stores.plus(overlap(&stores, segment.from, segment.to));
        *of_others = of_others.plus(overlap(&others, segment.from, segment.to));
    }
    if let Some((done, of_stores, of_others)) = open {
        rename(shorts, done, of_stores, of_others);
    }
}

fn rename(shorts: &mut [Short], index: u32, stores: Nanos, others: Nanos) {
    let Some(short) = shorts.get_mut(index as usize).filter(|_| stores > Nanos::ZERO) else { return };
    let Some((_, network)) = short.blocked.iter_mut().find(|(cause, _)| *cause == Cause::Network) else { return };
    let all = u128::from(stores.0) + u128::from(others.0);
    let part = Nanos((u128::from(network.0) * u128::from(stores.0) / all) as u64);
    *network = network.since(part);
    short.blocked.push((Cause::Database, part));
    short.blocked.retain(|(_, length)| *length > Nanos::ZERO);
    short.blocked.sort_unstable();
}

/// Sorted, none overlapping another.
fn union(mut intervals: Vec<(Nanos, Nanos)>) -> Vec<(Nanos, Nanos)> {
    intervals.sort_unstable();
    let mut joined: Vec<(Nanos, Nanos)> = Vec::with_capacity(intervals.len());
    for (from, to) in intervals {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

fn overlap(intervals: &[(Nanos, Nanos)], from: Nanos, to: Nanos) -> Nanos {
    let first = intervals.partition_point(|(_, end)| *end <= from);
    let within = intervals[first..].iter().take_while(|(begin, _)| *begin < to);
    within.map(|(begin, end)| (*end).min(to).since((*begin).max(from))).sum()
}
