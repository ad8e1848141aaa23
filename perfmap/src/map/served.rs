//! Processes that were watched, not run → one owner for every nanosecond of the window: the requests that they served.
//!
//! There is no root task to walk from. Each instant belongs to the oldest request in progress, and its thread is walked
//! for just that stretch; without a request, to what the processes compute by themselves; else they wait for requests.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    known::Known,
    loops::Serving,
    model::{Counted, Served},
    tree::OUTSIDE,
    walk::Walk,
};
use crate::{
    correlate::{self, Protocol, RoundTrip, State, flows},
    recording::{Nanos, OTHER_REQUESTS, ProcessId, TaskId},
};

/// A stretch of one thread's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    from: Nanos,
    to: Nanos,
    task: TaskId,
}

impl Walk<'_> {
    /// Owners for the whole window.
    pub(super) fn window(&mut self) {
        let known = self.known();
        let wall = known.recording.meta.wall;
        let requests = requests(known);
        let stretches: Vec<Stretch> = requests.iter().map(|request| request.stretch).collect();
        for (from, to, owner) in owners(&stretches, Nanos::ZERO, wall) {
            match owner.and_then(|owner| requests.get(owner)) {
                Some(request) => {
                    let task = request.stretch.task;
                    let node = self.tree.request(&request.endpoint, known.service(task, from));
                    self.walk(task, from, to, node, node, request.serving);
                }
                None => self.between_requests(from, to),
            }
        }
    }

    fn between_requests(&mut self, from: Nanos, to: Nanos) {
        let own = own_work(self.known(), from, to);
        for (from, to, owner) in owners(&own, from, to) {
            match owner.and_then(|owner| own.get(owner)) {
                Some(stretch) => self.walk(stretch.task, from, to, OUTSIDE, OUTSIDE, None),
                None => self.own_idle(from, to),
            }
        }
    }
}

struct Request {
    stretch: Stretch,
    endpoint: String,
    /// Of an event loop: the coroutine that answered.
    serving: Option<Serving>,
}

/// Those of the watched processes, as far as they lie in the window.
fn requests(known: &Known<'_>) -> Vec<Request> {
    let wall = known.recording.meta.wall;
    let flows = &known.correlated.flows;
    let endpoints = Endpoints::new(known);
    let answered = flows.round_trips.iter().filter(|trip| trip.inbound).map(|trip| Request {
        stretch: Stretch {
            from: if older(trip) { Nanos::ZERO } else { trip.sent },
            to: trip.received.min(wall),
            task: trip.task,
        },
        endpoint: if older(trip) { OLDER.into() } else { endpoints.of(trip) },
        serving: known.loops.serving(trip.task, Some(trip.socket), trip.received),
    });
    // Without an answer by the end of the window: still in progress, where nothing came after it.
    let last: BTreeMap<_, Nanos> = flows.round_trips.iter().map(|trip| (trip.socket, trip.received)).collect();
    let open = flows.failed.iter().filter(|failed| failed.inbound).filter(|failed| {
        let closed =
            known.recording.sockets.get(failed.socket.0 as usize).is_some_and(|socket| socket.closed.is_some());
        !closed && last.get(&failed.socket).is_none_or(|last| *last <= failed.at)
    });
    let open = open.map(|failed| Request {
        stretch: Stretch { from: failed.at, to: wall, task: failed.task },
        endpoint: endpoints.name(failed.method.as_deref(), failed.route.as_deref()),
        serving: None,
    });
    let mut found: Vec<Request> = answered
        .chain(open)
        .filter(|request| request.stretch.from < request.stretch.to && !known.is_outside(request.stretch.task))
        .collect();
    found.sort_by_key(|request| request.stretch);
    found
}

/// Asked for before the window began: only its answer was seen.
const OLDER: &str = "(asked before)";

fn older(trip: &RoundTrip) -> bool {
    trip.protocol != Protocol::Tls && trip.method.is_none() && trip.route.is_none()
}

/// Endpoints that are told apart: who asks chooses their names, and may choose a new one each time.
const ENDPOINTS: usize = 200;
/// All others.
const OTHERS: &str = OTHER_REQUESTS;

/// The endpoints asked for most, by name.
struct Endpoints(BTreeSet<String>);

impl Endpoints {
    fn new(known: &Known<'_>) -> Self {
        let flows = &known.correlated.flows;
        let trips = flows.round_trips.iter().map(|trip| (trip.method.as_deref(), trip.route.as_deref()));
        let failed = flows.failed.iter().filter(|failed| failed.inbound);
        let failed = failed.map(|failed| (failed.method.as_deref(), failed.route.as_deref()));
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (method, route) in trips.chain(failed) {
            *counts.entry(endpoint(method, route)).or_default() += 1;
        }
        for calls in &flows.earlier {
            let count = counts.entry(endpoint(calls.of.method.as_deref(), calls.of.route.as_deref())).or_default();
            *count = count.saturating_add(calls.tally.answered);
        }
        Self::most(counts)
    }

    fn most(counts: BTreeMap<String, u64>) -> Self {
        let mut sorted: Vec<(String, u64)> = counts.into_iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sorted.truncate(ENDPOINTS);
        Self(sorted.into_iter().map(|(endpoint, _)| endpoint).collect())
    }

    fn name(&self, method: Option<&str>, route: Option<&str>) -> String {
        let name = endpoint(method, route);
        if self.0.contains(&name) { name } else { OTHERS.into() }
    }

    fn of(&self, trip: &RoundTrip) -> String {
        self.name(trip.method.as_deref(), trip.route.as_deref())
    }
}

/// `GET /items/{id}`.
fn endpoint(method: Option<&str>, route: Option<&str>) -> String {
    match (method, route) {
        (Some(method), Some(route)) => format!("{method} {route}"),
        (Some(only), None) | (None, Some(only)) => only.to_owned(),
        (None, None) => "(encrypted)".to_owned(),
    }
}

/// When threads of the watched processes were on a CPU.
fn own_work(known: &Known<'_>, from: Nanos, to: Nanos) -> Vec<Stretch> {
    let mut found = Vec::new();
    for (index, timeline) in known.correlated.timelines.iter().enumerate() {
        let task = TaskId(index as u32);
        if known.is_outside(task) {
            continue;
        }
        let first = timeline.0.partition_point(|segment| segment.to <= from);
        for segment in timeline.0.iter().skip(first).take_while(|segment| segment.from < to) {
            if matches!(segment.state, State::Cpu { .. }) {
                found.push(Stretch { from: segment.from.max(from), to: segment.to.min(to), task });
            }
        }
    }
    found.sort();
    found
}

/// `[from, to)` cut into pieces, each with the index of the stretch that began first among those that cover it.
/// `stretches` are sorted.
fn owners(stretches: &[Stretch], from: Nanos, to: Nanos) -> Vec<(Nanos, Nanos, Option<usize>)> {
    let mut found = Vec::new();
    let mut now = from;
    let mut active: BTreeSet<usize> = BTreeSet::new();
    let mut next = 0;
    while now < to {
        while stretches.get(next).is_some_and(|stretch| stretch.from <= now) {
            active.insert(next);
            next += 1;
        }
        active.retain(|index| stretches[*index].to > now);
        let begins = stretches.get(next).map_or(to, |stretch| stretch.from.min(to));
        // The first one keeps its time to its end: those that begin meanwhile are later.
        let (until, owner) = match active.first() {
            Some(first) => (stretches[*first].to.min(to), Some(*first)),
            None => (begins, None),
        };
        found.push((now, until, owner));
        now = until;
    }
    found
}

/// Latencies and how often each, failed requests, and how sure all that is.
type Sums = (Vec<(Nanos, u64)>, u64, Counted);

/// Requests of the watched processes by endpoint, most first.
pub(super) fn served(known: &Known<'_>) -> Vec<Served> {
    let flows = &known.correlated.flows;
    if !known.recording.meta.attached {
        return Vec::new();
    }
    let endpoints = Endpoints::new(known);
    let mut sums: BTreeMap<(usize, String), Sums> = BTreeMap::new();
    for trip in flows.round_trips.iter().filter(|trip| !older(trip)) {
        let Some(process) = server(known, trip).filter(|process| !known.recording.is_outside(*process)) else {
            continue;
        };
        let service = known.services.at(known.recording, process, trip.sent) as usize;
        let key = (service, endpoints.of(trip));
        let (latencies, failed, counted) = sums.entry(key).or_insert((Vec::new(), 0, Counted::Exact));
        latencies.push((trip.latency(), 1));
        *failed += u64::from(trip.refused || trip.status.is_some_and(|status| status >= 500));
        *counted = (*counted).max(certainty(trip.counted));
    }
    for calls in flows.earlier.iter().filter(|calls| calls.tally.answered > 0) {
        let process = if calls.of.inbound { Some(calls.of.process) } else { calls.of.server };
        let Some(process) = process.filter(|process| !known.recording.is_outside(*process)) else { continue };
        let service = known.services.at(known.recording, process, Nanos::ZERO) as usize;
        let key = (service, endpoints.name(calls.of.method.as_deref(), calls.of.route.as_deref()));
        let (latencies, failed, counted) = sums.entry(key).or_insert((Vec::new(), 0, Counted::Exact));
        latencies.extend(calls.tally.latencies.weighted());
        *failed = failed.saturating_add(calls.tally.refused);
        *counted = (*counted).max(certainty(calls.counted()));
    }
    let mut served: Vec<Served> = sums
        .into_iter()
        .filter_map(|((service, endpoint), (latencies, failed, counted))| {
            let count = latencies.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
            let latency = super::latency(flows::Latency::weighted(latencies)?);
            Some(Served { service, endpoint, count, failed, latency, counted })
        })
        .collect();
    served.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (a.service, &a.endpoint).cmp(&(b.service, &b.endpoint))));
    served
}

fn certainty(counted: correlate::Counted) -> Counted {
    match counted {
        correlate::Counted::Exact => Counted::Exact,
        correlate::Counted::Inferred => Counted::Inferred,
        correlate::Counted::AtLeast => Counted::AtLeast,
    }
}

/// Who answered.
fn server(known: &Known<'_>, trip: &RoundTrip) -> Option<ProcessId> {
    if trip.inbound {
        return known.process(trip.task);
    }
    known.recording.sockets.get(trip.server_socket?.0 as usize).map(|socket| socket.process)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stretch(from: u64, to: u64) -> Stretch {
        Stretch { from: Nanos(from), to: Nanos(to), task: TaskId(0) }
    }

    #[test]
    fn the_oldest_request_owns_the_time() {
        let of = |list: &[Stretch]| {
            let pieces = owners(list, Nanos(0), Nanos(100));
            pieces.into_iter().map(|(from, to, owner)| (from.0, to.0, owner)).collect::<Vec<_>>()
        };
        let two = [stretch(10, 50), stretch(20, 70)];
        assert_eq!(of(&two), [(0, 10, None), (10, 50, Some(0)), (50, 70, Some(1)), (70, 100, None)]);
        assert_eq!(of(&[]), [(0, 100, None)]);
        assert_eq!(of(&[stretch(0, 500)]), [(0, 100, Some(0))]);
    }

    #[test]
    fn so_many_endpoints_are_told_apart_and_no_more() {
        let counts = (0..1000).map(|index| (format!("GET /{index:04}"), 1 + u64::from(index == 999))).collect();
        let endpoints = Endpoints::most(counts);
        assert_eq!(endpoints.0.len(), ENDPOINTS);
        assert_eq!(endpoints.name(Some("GET"), Some("/0999")), "GET /0999");
        assert_eq!(endpoints.name(Some("GET"), Some("/0001")), "GET /0001");
        assert_eq!(endpoints.name(Some("GET"), Some("/0500")), OTHERS);
    }

    proptest! {
        #[test]
        fn owners_cover_the_window_without_overlap(
            spans in proptest::collection::vec((0u64..200, 0u64..60), 0..20), from in 0u64..100, length in 0u64..150,
        ) {
            let mut list: Vec<Stretch> = spans.into_iter().map(|(from, length)| stretch(from, from + length)).collect();
            list.sort();
            let (from, to) = (Nanos(from), Nanos(from + length));
            let mut now = from;
            for (a, b, owner) in owners(&list, from, to) {
                prop_assert_eq!(a, now);
                prop_assert!(b > a);
                if let Some(owner) = owner {
                    prop_assert!(list[owner].from <= a && b <= list[owner].to);
                } else {
                    prop_assert!(list.iter().all(|other| other.to <= a || b <= other.from || other.from == other.to));
                }
                now = b;
            }
            prop_assert_eq!(now, to);
        }
    }
}
