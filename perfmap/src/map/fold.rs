//! Tree of nodes → steps: small ones folded into their parents, kinds chosen, sorted, numbered.

use std::collections::BTreeMap;

use super::{
    model::{Location, PeerCall, Step, StepKind, WaitCause, Waits},
    project::Project,
    tree::{BESIDE, Node, OUTSIDE, Tree, What},
};
use crate::{
    correlate::{CallKind, Flows, RoundTrip, flows},
    recording::{Nanos, covered},
};

pub(super) struct Folding<'a> {
    pub project: &'a Project,
    pub flows: &'a Flows,
    /// By index into `Flows::peers`: service name, else address.
    pub peer_names: &'a [String],
    pub wall: Nanos,
    pub min_share: f64,
    /// CPU samples on the chain.
    pub samples: u64,
    /// Between two of them: where sampled time begins and ends is known no better.
    pub period: Nanos,
}

/// A function in which memory grows by so many bytes, or shrinks, is a step, however short it is.
const GROWTH_SHOWN: u64 = 16 << 20;

/// What is left over at a root.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Remainder {
    pub self_time: Nanos,
    pub cpu: Nanos,
    pub waits: Waits,
    pub http_round_trips: u64,
    pub db_round_trips: u64,
    pub failed_requests: u64,
    pub file_read: u64,
    pub file_written: u64,
    pub memory_delta: i64,
    pub calls: Vec<u32>,
}

impl Remainder {
    fn of(node: &Node, flows: &Flows) -> Self {
        let trips = Trips::of(&node.round_trips, flows);
        Self {
            self_time: node.own_time,
            cpu: node.own.cpu,
            waits: node.own.waits.clone(),
            http_round_trips: trips.http().saturating_add(node.earlier[0]),
            db_round_trips: trips.db().saturating_add(node.earlier[1]),
            failed_requests: node.failed,
            file_read: node.file_read,
            file_written: node.file_written,
            memory_delta: node.memory,
            calls: node.round_trips.clone(),
        }
    }
}

/// A node on its way to a step.
struct Pending {
    step: Step,
    /// It or one below it has I/O that keeps it, whatever its share.
    has_io: bool,
    awaited: bool,
    /// A function of a program that is not the project's.
    inner: bool,
    /// CPU time of awaited tasks in steps that were folded: the steps above count it as a wait.
    lost: Vec<Lost>,
}

struct Lost {
    function: String,
    location: Option<Location>,
    service: usize,
    cpu: Nanos,
}

/// Steps (those of the chain first) and what no step owns.
pub(super) fn steps(tree: Tree, folding: &Folding<'_>) -> (Vec<Step>, Remainder) {
    let mut remainder = Remainder::of(&tree.nodes[OUTSIDE.0 as usize], folding.flows);
    add_counts(&mut remainder, &Remainder::of(&tree.nodes[BESIDE.0 as usize], folding.flows));
    let sampled = tree.nodes[OUTSIDE.0 as usize].sampled;
    let count = tree.nodes.len();
    let mut below: Vec<Vec<Pending>> = std::iter::repeat_with(Vec::new).take(count).collect();
    let mut beside = vec![false; count];
    for index in 0..count {
        let parent = tree.nodes[index].parent;
        beside[index] = index == BESIDE.0 as usize || index > 1 && beside[parent.0 as usize];
    }
    let smallest = folding.min_share * folding.wall.0 as f64;
    // Children come after their parents, so from the end on every node's children are complete.
    for (index, node) in tree.nodes.iter().enumerate().skip(2).rev() {
        let children = std::mem::take(&mut below[index]);
        let pending = folding.pending(node, &tree, beside[index], sampled, children, smallest);
        below[node.parent.0 as usize].push(pending);
    }
    let mut steps = Vec::new();
    let mut lost = Vec::new();
    for root in [OUTSIDE, BESIDE] {
        let (kept, folded): (Vec<_>, Vec<_>) =
            std::mem::take(&mut below[root.0 as usize]).into_iter().partition(|child| !folding.folds(child, smallest));
        for child in folded {
            fold_into_remainder(&mut remainder, child);
        }
        let mut of_root: Vec<Step> = Vec::with_capacity(kept.len());
        for mut child in kept {
            lost.append(&mut child.lost);
            of_root.push(folding.finish(child));
        }
        sort(&mut of_root);
        steps.append(&mut of_root);
    }
    for lost in lost {
        give_back(&mut steps, &lost);
    }
    number(&mut steps, "");
    (steps, remainder)
}

fn named(commands: &[String], command: u32) -> String {
    commands.get(command as usize).cloned().unwrap_or_default()
}

impl Folding<'_> {
    fn pending(
        &self,
        node: &Node,
        tree: &Tree,
        beside: bool,
        sampled: Nanos,
        children: Vec<Pending>,
        smallest: f64,
    ) -> Pending {
        let (function, location, kind, service) = match node.key {
            Some(key) => match key.what {
                What::Function(id) | What::Inner(id) => {
                    let function = self.project.function(id);
                    (function.name.clone(), function.location(), StepKind::FunctionCall, key.service)
                }
                What::Subprocess(command) => (named(&tree.commands, command), None, StepKind::Subprocess, key.service),
                What::Program(command) => (named(&tree.commands, command), None, StepKind::FunctionCall, key.service),
                What::Request(request) => (named(&tree.requests, request), None, StepKind::FunctionCall, key.service),
            },
            None => (String::new(), None, StepKind::FunctionCall, 0),
        };
        let wall = if beside { covered(node.intervals.iter().copied()) } else { node.wall };
        let trips = Trips::of(&node.round_trips, self.flows);
        // A function that only looks names up makes no call that is counted.
        let kind = match trips.most() {
            Some(most) if kind == StepKind::FunctionCall => call_step(most).unwrap_or(kind),
            Some(_) | None => kind,
        };
        let step = Step {
            id: String::new(),
            function,
            location,
            service: service as usize,
            kind,
            wall,
            self_time: if beside { Nanos::ZERO } else { node.own_time },
            cpu: node.all.cpu,
            waits: node.all.waits.clone(),
            own_cpu: node.own.cpu,
            own_waits: node.own.waits.clone(),
            thread_time: if beside { node.beside_time } else { node.wall.plus(node.beside_time) },
            thread_cpu: if beside { node.beside_cpu } else { node.all.cpu.plus(node.beside_cpu) },
            beside,
            over_socket: node.over_socket,
            http_round_trips: trips.http().saturating_add(node.earlier[0]),
            failed_requests: node.failed,
            db_round_trips: trips.db().saturating_add(node.earlier[1]),
            file_read: node.file_read,
            file_written: node.file_written,
            memory_delta: node.memory,
            call: self.call(trips, node.earlier),
            error_pct: if beside { 0.0 } else { self.error_pct(node.sampled, sampled) },
            calls: sorted(&node.round_trips),
            children: Vec::new(),
        };
        let counts = [step.http_round_trips, step.db_round_trips, step.failed_requests];
        let io = counts.iter().chain([&step.file_read, &step.file_written]).any(|count| *count > 0);
        let grows = step.memory_delta.unsigned_abs() >= GROWTH_SHOWN;
        // What was asked for is shown however little of the time it took.
        let request = node.key.is_some_and(|key| matches!(key.what, What::Request(_)));
        let inner = node.key.is_some_and(|key| matches!(key.what, What::Inner(_)));
        let mut pending =
            Pending { step, has_io: io || request || grows, awaited: node.awaited, inner, lost: Vec::new() };
        let mut all_inner = inner;
        for mut child in children {
            pending.lost.append(&mut child.lost);
            if self.folds(&child, smallest) {
                fold(&mut pending, child);
            } else {
                pending.has_io |= child.has_io;
                all_inner &= child.inner;
                pending.step.children.push(self.finish(child));
            }
        }
        if all_inner {
            only_the_telling(&mut pending.step);
        }
        pending
    }

    /// Import frames and tools are folded with their bytes: every module reads its own file, every program its libraries.
    fn folds(&self, child: &Pending, smallest: f64) -> bool {
        let loads = child.step.function == "<module>" || child.step.kind == StepKind::Subprocess;
        let calls = [child.step.http_round_trips, child.step.db_round_trips, child.step.failed_requests];
        let module = loads && calls == [0; 3];
        // A step above one that is kept is kept. So is what may be as long as the limit as far as sampling can tell: a
        // function whose share would be above it in the next run of the same program must not come and go.
        let unsure = if child.step.thread_cpu > Nanos::ZERO && !child.inner {
            (child.step.error_pct / 100.0 * self.wall.0 as f64).max(self.period.0 as f64)
        } else {
            0.0
        };
        child.step.children.is_empty()
            && (child.step.wall.max(child.step.thread_time).0 as f64 + unsure) < smallest
            && (!child.has_io || module)
    }

    /// The kind, now that everything folded into the step is known.
    fn finish(&self, pending: Pending) -> Step {
        let Pending { mut step, has_io: _, awaited: _, inner: _, lost: _ } = pending;
        sort(&mut step.children);
        if step.kind == StepKind::FunctionCall {
            let total = step.self_time;
            let dominates = |cause| step.own_waits.of(cause).0 > total.0 / 2 && total.0 > step.wall.0 / 2;
            step.kind = match () {
                () if dominates(WaitCause::Sleep) => StepKind::Sleep,
                () if dominates(WaitCause::Disk) => StepKind::FileIo,
                () if dominates(WaitCause::Lock) => StepKind::LockWait,
                // Of a database inside the program: others are told by their round trips.
                () if dominates(WaitCause::Db) => StepKind::DbQuery,
                () => StepKind::FunctionCall,
            };
        }
        step
    }

    /// Of the share of wall time, in points: only the chain's CPU time is sampled, all else is measured.
    fn error_pct(&self, of_step: Nanos, of_chain: Nanos) -> f64 {
        if of_chain == Nanos::ZERO || self.wall == Nanos::ZERO {
            return 0.0;
        }
        let share = (of_step.0 as f64 / of_chain.0 as f64).min(1.0);
        let half = 1.96 * (share * (1.0 - share) / self.samples.max(1) as f64).sqrt();
        half * of_chain.0 as f64 / self.wall.0 as f64 * 100.0
    }

    fn call(&self, trips: Trips<'_>, [web, store]: [u64; 2]) -> Option<PeerCall> {
        let most = trips.most()?;
        call_step(most)?;
        let earlier = if most.is_store() { store } else { web };
        let mut trips: Vec<&RoundTrip> = trips.0.into_iter().filter(|trip| trip.protocol.kind() == most).collect();
        trips.sort_by_key(|trip| (trip.sent, trip.received));
        let first = trips.first()?;
        let sequential = trips.windows(2).all(|pair| pair[1].sent >= pair[0].received);
        // More than one peer below one function: the one it called most, the first of equals.
        let mut by_peer: Vec<(Option<usize>, usize)> = Vec::new();
        for trip in &trips {
            match by_peer.iter_mut().find(|(peer, _)| *peer == trip.peer) {
                Some((_, count)) => *count += 1,
                None => by_peer.push((trip.peer, 1)),
            }
        }
        let most = by_peer.iter().map(|(_, count)| *count).max()?;
        let (peer, _) = by_peer.iter().find(|(_, count)| *count == most)?;
        let same = |of: fn(&RoundTrip) -> Option<&String>| trips.iter().all(|trip| of(trip) == of(first));
        let method = first.method.as_ref().filter(|_| same(|trip| trip.method.as_ref()));
        let route = first.route.as_ref().filter(|_| same(|trip| trip.route.as_ref()));
        let endpoint = match (method, route) {
            (Some(method), Some(route)) => Some(format!("{method} {route}")),
            (Some(only), None) => Some(only.clone()),
            // Statements and commands have no method; a route of many methods is none.
            (None, Some(only)) if first.method.is_none() => Some(only.clone()),
            (None, _) => None,
        };
        let latency = flows::Latency::of(trips.iter().map(|trip| trip.latency()).collect()).map(super::latency);
        let peer = peer.and_then(|peer| self.peer_names.get(peer)).cloned().unwrap_or_default();
        Some(PeerCall { peer, endpoint, latency, sequential, round_trips: earlier.saturating_add(trips.len() as u64) })
    }
}

/// The round trips of one node.
struct Trips<'a>(Vec<&'a RoundTrip>);

impl<'a> Trips<'a> {
    fn of(indices: &[u32], flows: &'a Flows) -> Self {
        Self(indices.iter().filter_map(|index| flows.round_trips.get(*index as usize)).collect())
    }

    fn count(&self, of: fn(CallKind) -> bool) -> u64 {
        self.0.iter().filter(|trip| of(trip.protocol.kind())).count() as u64
    }

    fn http(&self) -> u64 {
        self.count(CallKind::is_web)
    }

    fn db(&self) -> u64 {
        self.count(CallKind::is_store)
    }

    /// The kind of call that takes longest together; of equals the first in order.
    fn most(&self) -> Option<CallKind> {
        let mut sums: BTreeMap<CallKind, Nanos> = BTreeMap::new();
        for trip in &self.0 {
            let sum = sums.entry(trip.protocol.kind()).or_default();
            *sum = sum.plus(trip.latency());
        }
        let counted = |kind: &CallKind| call_step(*kind).is_some();
        sums.into_iter().rev().max_by_key(|(kind, sum)| (counted(kind), *sum)).map(|(kind, _)| kind)
    }
}

fn call_step(kind: CallKind) -> Option<StepKind> {
    match kind {
        CallKind::Http => Some(StepKind::HttpCall),
        CallKind::Grpc => Some(StepKind::GrpcCall),
        CallKind::Database => Some(StepKind::DbQuery),
        CallKind::Cache => Some(StepKind::CacheOp),
        CallKind::Name => None,
    }
}

/// The child's time is in the parent's already; its own and its counts move up, and its children's did before.
fn fold(into: &mut Pending, child: Pending) {
    if child.awaited && child.step.thread_cpu > Nanos::ZERO {
        into.lost.push(Lost {
            function: child.step.function.clone(),
            location: child.step.location.clone(),
            service: child.step.service,
            cpu: child.step.thread_cpu,
        });
    }
    let step = &mut into.step;
    step.own_cpu = step.own_cpu.plus(child.step.own_cpu);
    for (cause, length) in &child.step.own_waits.0 {
        step.own_waits.add(*cause, *length);
    }
    step.self_time = step.self_time.plus(child.step.self_time);
    step.file_read = step.file_read.saturating_add(child.step.file_read);
    step.file_written = step.file_written.saturating_add(child.step.file_written);
    step.memory_delta = step.memory_delta.saturating_add(child.step.memory_delta);
    // Only import frames bring any: they keep their parents no more than themselves.
    take_calls(&mut step.calls, &child.step.calls);
}

/// Of a program's deep stack, only functions at which it parts, or that do something themselves, tell anything: one that
/// does nearly nothing but call one other is left out for that one.
fn only_the_telling(step: &mut Step) {
    let [child] = step.children.as_slice() else { return };
    if u128::from(child.wall.0) * 10 < u128::from(step.wall.0) * 9 {
        return;
    }
    let Some(child) = step.children.pop() else { return };
    // Its own time, and below it the child's; all other times of the two are the same, or the outer one's.
    (step.function, step.location) = (child.function, child.location);
    step.self_time = step.self_time.plus(child.self_time);
    step.own_cpu = step.own_cpu.plus(child.own_cpu);
    for (cause, length) in child.own_waits.0 {
        step.own_waits.add(cause, length);
    }
    step.file_read = step.file_read.saturating_add(child.file_read);
    step.file_written = step.file_written.saturating_add(child.file_written);
    step.memory_delta = step.memory_delta.saturating_add(child.memory_delta);
    take_calls(&mut step.calls, &child.calls);
    step.children = child.children;
}

/// To the longest step of the same function, so that a thread's work is not lost by the places where it was waited for.
fn give_back(steps: &mut [Step], lost: &Lost) {
    let Some(wall) = longest(steps, lost) else { return };
    add_to(steps, lost, wall);
}

fn is_of(step: &Step, lost: &Lost) -> bool {
    step.function == lost.function && step.service == lost.service && step.location == lost.location
}

fn longest(steps: &[Step], lost: &Lost) -> Option<Nanos> {
    let own = |step: &Step| is_of(step, lost).then_some(step.wall);
    steps.iter().filter_map(|step| own(step).max(longest(&step.children, lost))).max()
}

/// The first one that is so long.
fn add_to(steps: &mut [Step], lost: &Lost, wall: Nanos) -> bool {
    steps.iter_mut().any(|step| {
        let found = step.wall == wall && is_of(step, lost);
        if found {
            step.thread_cpu = step.thread_cpu.plus(lost.cpu);
        }
        found || add_to(&mut step.children, lost, wall)
    })
}

fn fold_into_remainder(remainder: &mut Remainder, child: Pending) {
    remainder.self_time = remainder.self_time.plus(child.step.self_time);
    remainder.cpu = remainder.cpu.plus(child.step.own_cpu);
    for (cause, length) in &child.step.own_waits.0 {
        remainder.waits.add(*cause, *length);
    }
    remainder.file_read = remainder.file_read.saturating_add(child.step.file_read);
    remainder.file_written = remainder.file_written.saturating_add(child.step.file_written);
    remainder.memory_delta = remainder.memory_delta.saturating_add(child.step.memory_delta);
    take_calls(&mut remainder.calls, &child.step.calls);
}

fn add_counts(into: &mut Remainder, other: &Remainder) {
    into.http_round_trips = into.http_round_trips.saturating_add(other.http_round_trips);
    into.db_round_trips = into.db_round_trips.saturating_add(other.db_round_trips);
    into.failed_requests = into.failed_requests.saturating_add(other.failed_requests);
    into.file_read = into.file_read.saturating_add(other.file_read);
    into.file_written = into.file_written.saturating_add(other.file_written);
    into.memory_delta = into.memory_delta.saturating_add(other.memory_delta);
    take_calls(&mut into.calls, &other.calls);
}

fn take_calls(into: &mut Vec<u32>, calls: &[u32]) {
    into.extend(calls);
    into.sort_unstable();
}

fn sorted(calls: &[u32]) -> Vec<u32> {
    let mut calls = calls.to_vec();
    calls.sort_unstable();
    calls
}

fn sort(steps: &mut [Step]) {
    steps.sort_by(|a, b| {
        b.wall
            .cmp(&a.wall)
            .then_with(|| a.function.cmp(&b.function))
            .then_with(|| a.location.cmp(&b.location))
            .then_with(|| (a.service, a.kind).cmp(&(b.service, b.kind)))
    });
}

fn number(steps: &mut [Step], above: &str) {
    for (index, step) in steps.iter_mut().enumerate() {
        step.id = if above.is_empty() { format!("{}", index + 1) } else { format!("{above}.{}", index + 1) };
        number(&mut step.children, &step.id.clone());
    }
}
