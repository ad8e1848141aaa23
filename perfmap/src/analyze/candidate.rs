//! The step tree → what could be the bottleneck, with the time that each owns, largest first.
//!
//! A call to a service whose inside is shown owns the time of that inside: from the caller's point of view it is the
//! call that takes long. So a call step's time is its own plus what lies below it on the other side of its sockets (in
//! other services, or in a server thread of the same process), down to the
//! calls that these make in turn, which own what is below them. One call is left out: the entry call, with which a
//! test or a load generator drives the whole program. It contains everything, so that naming it would say nothing.

use std::cmp::Ordering;

use crate::{
    map::{Map, Step, StepKind},
    recording::Nanos,
};

use super::parts::Parts;

/// Of the time in which functions of the project ran.
const ENTRY_PCT: f64 = 80.0;
const COMPUTES_PCT: f64 = 50.0;

#[derive(Debug, Clone)]
pub struct Candidate<'m> {
    /// None: the remainder outside the project.
    pub step: Option<&'m Step>,
    /// Own time plus folded calls.
    pub time: Nanos,
    pub share_pct: f64,
    pub parts: Parts,
    /// Position in a walk of the tree; breaks ties, so that the order is always the same.
    order: usize,
    /// Positions of the steps below whose time is counted in this one.
    folded: Vec<usize>,
}

impl Candidate<'_> {
    /// The other's own time is part of this one's.
    pub fn owns(&self, other: &Candidate<'_>) -> bool {
        self.folded.contains(&other.order)
    }
}

pub fn ranked(map: &Map) -> Vec<Candidate<'_>> {
    let mut found = vec![];
    let mut order = 0;
    for step in &map.steps {
        visit(map, step, &mut order, &mut found);
    }
    found.push(Candidate {
        step: None,
        time: map.outside.self_time,
        share_pct: share(map.outside.self_time, map.wall),
        parts: Parts { cpu: map.outside.cpu, waits: map.outside.waits.clone() },
        order,
        folded: vec![],
    });
    found.retain(|candidate| candidate.time > Nanos::ZERO);
    found.sort_by(|a, b| match b.time.cmp(&a.time) {
        Ordering::Equal => a.order.cmp(&b.order),
        unequal => unequal,
    });
    found
}

/// Recursion is bounded by the map's depth: a stack has at most a few hundred project frames.
fn visit<'m>(map: &Map, step: &'m Step, order: &mut usize, found: &mut Vec<Candidate<'m>>) {
    let mine = *order;
    *order += 1;
    if !step.beside {
        let mut time = step.self_time;
        let mut folded = vec![];
        if is_call(step.kind) && !is_entry(map, step) {
            let mut position = *order;
            for child in &step.children {
                fold(child, step.service, false, &mut position, &mut time, &mut folded);
            }
        }
        found.push(Candidate {
            step: Some(step),
            time,
            share_pct: share(time, map.wall),
            parts: Parts { cpu: step.own_cpu, waits: step.own_waits.clone() },
            order: mine,
            folded,
        });
    }
    for child in &step.children {
        visit(map, child, order, found);
    }
}

/// A single round trip that spans nearly all of the project's time and whose inside computes: its inside is named.
/// Where the inside waits as well, the call as a whole is what the caller waits for.
fn is_entry(map: &Map, step: &Step) -> bool {
    // A statement is asked of a database by the program: it drives nothing.
    let single = step.http_round_trips == 1;
    let inside: Nanos = step.children.iter().filter(|child| child.service != step.service).map(own_cpu_below).sum();
    single
        && share(step.wall, map.wall.since(map.outside.self_time)) >= ENTRY_PCT
        && share(inside, step.wall) > COMPUTES_PCT
}

fn own_cpu_below(step: &Step) -> Nanos {
    step.own_cpu.plus(step.children.iter().map(own_cpu_below).sum())
}

/// Adds what lies below on the other side, or in other services than the caller's. A further call owns what is below it.
fn fold(step: &Step, caller: usize, inside: bool, order: &mut usize, time: &mut Nanos, folded: &mut Vec<usize>) {
    let inside = inside || step.over_socket || step.service != caller;
    if !step.beside && is_call(step.kind) {
        *order += size(step);
        return;
    }
    if inside {
        *time = time.plus(step.self_time);
        folded.push(*order);
    }
    *order += 1;
    for child in &step.children {
        fold(child, caller, inside, order, time, folded);
    }
}

fn size(step: &Step) -> usize {
    1 + step.children.iter().map(size).sum::<usize>()
}

/// Steps that hand work to a peer.
pub fn is_call(kind: StepKind) -> bool {
    match kind {
        StepKind::HttpCall | StepKind::GrpcCall | StepKind::DbQuery | StepKind::CacheOp | StepKind::QueueOp => true,
        StepKind::FunctionCall
        | StepKind::FileIo
        | StepKind::LockWait
        | StepKind::Sleep
        | StepKind::Subprocess
        | StepKind::Gpu
        | StepKind::Loop => false,
    }
}

fn share(part: Nanos, whole: Nanos) -> f64 {
    if whole == Nanos::ZERO { 0.0 } else { part.0 as f64 / whole.0 as f64 * 100.0 }
}
