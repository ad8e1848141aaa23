//! The tree's single calls, in groups of equal ones that one parent call made: by step, peer and what was asked for.
//!
//! A parent call is the request that the calling process was answering when it made the call, where it was answering
//! one; else the program's run. Calls of two requests that a server answers are two patterns, not one.

use std::collections::BTreeMap;

use super::Facts;
use crate::{
    analyze::replay::{self, Span},
    correlate::{CallKind, Cause, RoundTrip},
    map::{Location, Step},
    recording::{Nanos, ProcessId, SocketId, TaskId},
};

/// Requests that are looked at to find the one that a call was made for; more are under way in event loops alone.
const MAX_LOOKED_AT: usize = 64;

/// Where calls were made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// None: outside the project.
    pub step: Option<&'a Step>,
    /// The step above it.
    pub above: Option<&'a Step>,
}

impl Place<'_> {
    pub fn id(&self) -> Vec<String> {
        self.step.map(|step| step.id.clone()).into_iter().collect()
    }

    pub fn function(&self) -> &str {
        self.step.map_or("(outside the project)", |step| step.function.as_str())
    }

    pub fn location(&self) -> Option<Location> {
        self.step.and_then(|step| step.location.clone())
    }

    /// Its time is part of the wall time.
    pub fn is_waited_for(&self) -> bool {
        self.step.is_none_or(|step| !step.beside)
    }
}

/// One call with what the rules ask of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Made<'a> {
    pub trip: &'a RoundTrip,
    pub place: Place<'a>,
    /// The request that it was made for: an index that tells one from another.
    pub parent: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub place: Place<'a>,
    /// Index into `Flows::peers`.
    pub peer: Option<usize>,
    pub kind: CallKind,
    /// Method and route, or the statement.
    pub operation: String,
    /// By the time they were sent.
    pub calls: Vec<&'a RoundTrip>,
}

impl Group<'_> {
    pub fn spans(&self, facts: &Facts<'_>) -> Vec<Span> {
        spans(facts, &self.calls)
    }

    /// None of them began before the one before it was over.
    pub fn is_sequential(&self) -> bool {
        self.calls.windows(2).all(|pair| pair[1].sent >= pair[0].received)
    }
}

/// What was measured of the calls. Computing of the server: its process's CPU time while it had the request.
pub(crate) fn spans(facts: &Facts<'_>, calls: &[&RoundTrip]) -> Vec<Span> {
    let mut tasks_of: BTreeMap<ProcessId, Vec<usize>> = BTreeMap::new();
    for (index, task) in facts.recording.tasks.iter().enumerate() {
        tasks_of.entry(task.process).or_default().push(index);
    }
    let computed = |trip: &RoundTrip| {
        let Some(server) = trip.server_socket.and_then(|socket| process(facts, socket)) else { return Nanos::ZERO };
        let client = facts.recording.tasks.get(trip.task.0 as usize).map(|task| task.process);
        if client == Some(server) {
            return Nanos::ZERO;
        }
        let timelines = tasks_of.get(&server).into_iter().flatten();
        let timelines = timelines.filter_map(|index| facts.correlated.timelines.get(*index));
        let sum: Nanos = timelines.map(|timeline| timeline.on_cpu(trip.sent, trip.received)).sum();
        sum.min(trip.latency())
    };
    calls.iter().map(|trip| Span { from: trip.sent, to: trip.received, computed: computed(trip) }).collect()
}

fn process(facts: &Facts<'_>, socket: SocketId) -> Option<ProcessId> {
    facts.recording.sockets.get(socket.0 as usize).map(|socket| socket.process)
}

/// All calls of the tree as a client, by the time they were sent.
pub(crate) fn made<'a>(facts: &Facts<'a>) -> Vec<Made<'a>> {
    let trips = &facts.correlated.flows.round_trips;
    let mut places: Vec<Option<Place<'a>>> = vec![None; trips.len()];
    let mut put = |calls: &[u32], place: Place<'a>| {
        for call in calls {
            if let Some(known) = places.get_mut(*call as usize) {
                *known = Some(place);
            }
        }
    };
    put(&facts.map.outside.calls, Place { step: None, above: None });
    walk(&facts.map.steps, None, &mut |step, above| put(&step.calls, Place { step: Some(step), above }));
    let served = Served::new(facts);
    let mut found: Vec<Made<'a>> = trips
        .iter()
        .zip(places)
        .filter_map(|(trip, place)| Some(Made { trip, place: place?, parent: served.parent(facts, trip) }))
        .collect();
    found.sort_by_key(|made| (made.trip.sent, made.trip.socket));
    found
}

pub(crate) fn walk<'a>(steps: &'a [Step], above: Option<&'a Step>, look: &mut impl FnMut(&'a Step, Option<&'a Step>)) {
    for step in steps {
        look(step, above);
        walk(&step.children, Some(step), look);
    }
}

/// Groups in the order of the map, then of time.
pub(crate) fn groups<'a>(facts: &Facts<'a>) -> Vec<Group<'a>> {
    type Key<'k> =
        (&'k str, Option<usize>, Option<ProcessId>, Option<usize>, CallKind, Option<&'k str>, Option<&'k str>);
    let mut groups: BTreeMap<Key<'a>, Group<'a>> = BTreeMap::new();
    for made in made(facts) {
        let Made { trip, place, parent } = made;
        let (method, route) = (trip.method.as_deref(), trip.route.as_deref());
        let id = place.step.map_or("", |step| step.id.as_str());
        let process = facts.recording.tasks.get(trip.task.0 as usize).map(|task| task.process);
        let key = (id, parent, process, trip.peer, trip.protocol.kind(), method, route);
        let group = groups.entry(key).or_insert_with(|| Group {
            place,
            peer: trip.peer,
            kind: trip.protocol.kind(),
            operation: [method, route].into_iter().flatten().collect::<Vec<_>>().join(" "),
            calls: Vec::new(),
        });
        group.calls.push(trip);
    }
    groups.into_values().collect()
}

pub(crate) fn peer_name(facts: &Facts<'_>, peer: Option<usize>) -> String {
    peer.and_then(|peer| facts.map.peer_names.get(peer)).cloned().unwrap_or_else(|| "an unknown peer".into())
}

/// The caller slept between most of them: it polls, or is held back on purpose.
pub(crate) fn sleeps_between(facts: &Facts<'_>, calls: &[&RoundTrip]) -> bool {
    let Some(task) = calls.first().map(|trip| trip.task) else { return false };
    let mut sleeps: Vec<(Nanos, Nanos)> = facts
        .correlated
        .waits
        .iter()
        .filter(|wait| wait.task == task && wait.cause == Cause::Sleep)
        .map(|wait| (wait.off, wait.woken))
        .collect();
    sleeps.sort_unstable();
    let slept = calls.windows(2).filter(|pair| {
        let (from, to) = (pair[0].received, pair[1].sent);
        let next = sleeps.partition_point(|(off, _)| *off < from);
        sleeps.get(next).is_some_and(|(off, woken)| *off < to && woken.since(*off).0 * 2 > to.since(from).0)
    });
    slept.count() * 2 > calls.len().saturating_sub(1)
}

/// How many of the group's calls were under way together with another one of the same kind, which the same function made
/// for the same parent call: of threads that call at one time, those that others wait for come one after the other.
pub(crate) fn overlapped(facts: &Facts<'_>, group: &Group<'_>) -> usize {
    let process = |trip: &RoundTrip| facts.recording.tasks.get(trip.task.0 as usize).map(|task| task.process);
    let Some(first) = group.calls.first() else { return 0 };
    let all = made(facts);
    let parent = all.iter().find(|made| std::ptr::eq(made.trip, *first)).and_then(|made| made.parent);
    let same = |made: &Made<'_>| {
        let trip = made.trip;
        made.parent == parent
            && trip.peer == group.peer
            && (&trip.method, &trip.route) == (&first.method, &first.route)
            && process(trip) == process(first)
            && made.place.function() == group.place.function()
    };
    // By the time they were sent.
    let all: Vec<&RoundTrip> = all.into_iter().filter(same).map(|made| made.trip).collect();
    let with_another = |call: &&&RoundTrip| {
        let until = all.partition_point(|other| other.sent < call.received);
        let before = all[..until].iter().rev().take(MAX_LOOKED_AT);
        before.into_iter().any(|other| other.received > call.sent && !std::ptr::eq(*other, **call))
    };
    group.calls.iter().filter(with_another).count()
}

pub(crate) fn overlapped_note(count: usize) -> String {
    format!("most of the {count} were under way together with others that the same function made")
}

/// Most calls of the whole run that the peer was answering at one time.
pub(crate) fn width_at(facts: &Facts<'_>, peer: Option<usize>) -> usize {
    let trips = facts.correlated.flows.round_trips.iter().filter(|trip| !trip.inbound && trip.peer == peer);
    let spans: Vec<Span> =
        trips.map(|trip| Span { from: trip.sent, to: trip.received, computed: Nanos::ZERO }).collect();
    replay::width(&spans)
}

/// Requests by the process that answered them.
struct Served {
    /// By beginning: from, to, index of the round trip, who read it, and whether the client was the same process.
    of_process: BTreeMap<ProcessId, Vec<Request>>,
}

struct Request {
    from: Nanos,
    to: Nanos,
    index: usize,
    reader: Option<TaskId>,
    own: bool,
}

impl Served {
    fn new(facts: &Facts<'_>) -> Served {
        let mut readers: BTreeMap<SocketId, TaskId> = BTreeMap::new();
        for event in &facts.recording.events {
            if let crate::recording::Event::Message(message) = event {
                readers.entry(message.socket).or_insert(message.task);
            }
        }
        let mut of_process: BTreeMap<ProcessId, Vec<Request>> = BTreeMap::new();
        for (index, trip) in facts.correlated.flows.round_trips.iter().enumerate() {
            let Some(socket) = trip.server_socket else { continue };
            let reader = if trip.inbound { Some(trip.task) } else { readers.get(&socket).copied() };
            let of = |task: TaskId| facts.recording.tasks.get(task.0 as usize).map(|task| task.process);
            let Some(server) = reader.and_then(of).or_else(|| process(facts, socket)) else { continue };
            let own = !trip.inbound && of(trip.task) == Some(server);
            let request = Request { from: trip.sent, to: trip.received, index, reader, own };
            of_process.entry(server).or_default().push(request);
        }
        of_process.values_mut().for_each(|requests| requests.sort_by_key(|request| (request.from, request.index)));
        Served { of_process }
    }

    /// The request that was read last of those that were under way; in the calling process's own conversation with
    /// itself, only one that the calling thread read.
    fn parent(&self, facts: &Facts<'_>, trip: &RoundTrip) -> Option<usize> {
        let process = facts.recording.tasks.get(trip.task.0 as usize)?.process;
        let requests = self.of_process.get(&process)?;
        let before = requests.partition_point(|request| request.from <= trip.sent);
        let fits =
            |request: &&Request| request.to >= trip.received && (!request.own || request.reader == Some(trip.task));
        requests[..before].iter().rev().take(MAX_LOOKED_AT).find(fits).map(|request| request.index)
    }
}
