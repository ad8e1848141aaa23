//! What is not on the chain of waits: counts (round trips, file bytes) put where their stacks say, and the time of
//! tasks that nobody waited for.
//!
//! A task that was awaited at another time goes where it was then; one that never was gets steps of its own. Waiting
//! for something to do (a server's accept, a pool's queue, a timer) is not counted as time of such a task.

use super::{
    calls,
    known::Known,
    model::WaitCause,
    project::FunctionId,
    tree::{BESIDE, Kind, NodeId, Tree, What},
    walk::Visit,
};
use crate::{
    correlate::{Segment, State},
    recording::{Event, FileOperation, Memory, Nanos, StackId, TaskId},
};

/// Adds all counts of the recording to the nodes of the functions that caused them. What no function caused stays at
/// the two roots of the tree.
pub(super) fn counts(known: &Known<'_>, tree: &mut Tree, visits: &[Vec<Visit>]) {
    for (index, functions) in calls::callers(known) {
        let Some(trip) = known.correlated.flows.round_trips.get(index as usize) else { continue };
        let times = [trip.sent, trip.received];
        let Some((base, service)) = base(known, tree, visits, trip.task, times, functions) else { continue };
        let node = tree.descend_path(base, functions, service);
        tree.node(node).round_trips.push(index);
    }
    for calls in known.correlated.flows.earlier.iter().filter(|calls| !calls.of.inbound) {
        let at = [Nanos::ZERO; 2];
        if let Some(node) = attribute(known, tree, visits, calls.tally.task, at, calls.of.stack) {
            let (kind, node) = (calls.protocol().kind(), tree.node(node));
            let [web, store] = &mut node.earlier;
            *web = web.saturating_add(if kind.is_web() { calls.tally.answered } else { 0 });
            *store = store.saturating_add(if kind.is_store() { calls.tally.answered } else { 0 });
            node.failed = node.failed.saturating_add(calls.tally.unanswered);
        }
    }
    for failed in known.correlated.flows.failed.iter().filter(|failed| !failed.inbound) {
        let stack = known.loops.place(failed.task, failed.socket, failed.at, failed.stack);
        if let Some(node) = attribute(known, tree, visits, failed.task, [failed.at, failed.at], stack) {
            tree.node(node).failed += 1;
        }
    }
    let mut first_tasks: Vec<Option<TaskId>> = vec![None; known.recording.processes.len()];
    let by_birth = |id: &TaskId| known.recording.tasks.get(id.0 as usize).map(|task| task.born);
    for (id, task) in (0..).map(TaskId).zip(&known.recording.tasks) {
        if let Some(first) = first_tasks.get_mut(task.process.0 as usize)
            && first.is_none_or(|first| by_birth(&id) < by_birth(&first))
        {
            *first = Some(id);
        }
    }
    for event in &known.recording.events {
        if let Event::FileIo(io) = event
            && let Some(node) = attribute(known, tree, visits, io.task, [io.last, io.first], io.stack)
        {
            let node = tree.node(node);
            let sum = match io.operation {
                FileOperation::Read => &mut node.file_read,
                FileOperation::Write => &mut node.file_written,
            };
            *sum = sum.saturating_add(io.bytes);
        }
        if let Event::Memory(memory) = event
            && let Some(node) = attribute(known, tree, visits, memory.task, [memory.at; 2], Some(memory.stack))
        {
            let node = tree.node(node);
            node.memory = node.memory.saturating_add(memory.change);
            if let Some(above) = given_back_at(known, tree, visits, &first_tasks, memory) {
                let above = tree.node(above);
                above.memory = above.memory.saturating_sub(memory.change);
            }
        }
    }
}

/// Where a process's growth is gone again once it has ended: at the node that its own steps hang from. In them it stays, and
/// none of those above has it.
fn given_back_at(
    known: &Known<'_>,
    tree: &Tree,
    visits: &[Vec<Visit>],
    first_tasks: &[Option<TaskId>],
    memory: &Memory,
) -> Option<NodeId> {
    let process = known.process(memory.task)?;
    let root = known.recording.meta.root.and_then(|root| known.process(root));
    let died = known.recording.processes.get(process.0 as usize)?.died?;
    if Some(process) == root || died >= known.recording.meta.wall || known.is_outside(memory.task) {
        return None;
    }
    let first = first_tasks.get(process.0 as usize).copied().flatten();
    let places = [first, Some(memory.task)].into_iter().flatten();
    let base = places.filter_map(|task| visit_at(visits, task, memory.at)).next().unwrap_or(BESIDE);
    let node = tree.nodes.get(base.0 as usize)?;
    match node.key.map(|key| key.what) {
        Some(What::Subprocess(_) | What::Program(_)) => Some(node.parent),
        Some(What::Function(_) | What::Request(_) | What::Inner(_)) | None => Some(base),
    }
}

/// None: a service outside the command did it, and nobody of the command ever waited for that place.
fn attribute(
    known: &Known<'_>,
    tree: &mut Tree,
    visits: &[Vec<Visit>],
    task: TaskId,
    times: [Nanos; 2],
    stack: Option<StackId>,
) -> Option<NodeId> {
    let functions = known.project.stack(stack);
    let (base, service) = base(known, tree, visits, task, times, functions)?;
    Some(tree.descend(base, stack, functions, service))
}

/// Where the task's functions go that it was in at one of these times, and its service then.
fn base(
    known: &Known<'_>,
    tree: &Tree,
    visits: &[Vec<Visit>],
    task: TaskId,
    times: [Nanos; 2],
    functions: &[FunctionId],
) -> Option<(NodeId, u32)> {
    let service = known.service(task, times[0]);
    let on_chain = times.iter().find_map(|at| visit_at(visits, task, *at));
    let awaited = on_chain.or_else(|| tree.base_for(functions, service));
    Some((awaited.or_else(|| (!known.is_outside(task)).then_some(BESIDE))?, service))
}

fn visit_at(visits: &[Vec<Visit>], task: TaskId, at: Nanos) -> Option<NodeId> {
    let visits = visits.get(task.0 as usize)?;
    let visit = visits.get(visits.partition_point(|visit| visit.from <= at).checked_sub(1)?)?;
    (at <= visit.to).then_some(visit.base)
}

/// Adds the time that tasks spent off the chain, up to the end of the root's life.
pub(super) fn time(known: &Known<'_>, tree: &mut Tree, visits: &[Vec<Visit>]) {
    let wall = known.recording.meta.wall;
    for (index, timeline) in known.correlated.timelines.iter().enumerate() {
        let task = TaskId(index as u32);
        let mut on_chain = visits.get(index).map_or(&[][..], Vec::as_slice).iter().peekable();
        for segment in timeline.0.iter().take_while(|segment| segment.from < wall) {
            let mut from = segment.from;
            let to = segment.to.min(wall);
            while from < to {
                while on_chain.peek().is_some_and(|visit| visit.to <= from) {
                    on_chain.next();
                }
                let free = on_chain.peek().map_or(to, |visit| visit.from.min(to));
                if free > from {
                    piece(known, tree, task, Segment { from, to: free, state: segment.state });
                }
                from = on_chain.peek().map_or(to, |visit| visit.to).max(free);
            }
        }
    }
}

fn piece(known: &Known<'_>, tree: &mut Tree, task: TaskId, segment: Segment) {
    let Segment { from, to, state } = segment;
    match state {
        State::Cpu { short } => {
            for (from, to, stack) in known.points.pieces(task, from, to) {
                for (kind, from, to) in known.split(short, stack, from, to) {
                    add(known, tree, task, stack, kind, from, to);
                }
            }
        }
        State::RunQueue(wait) => {
            let stack = known.stack_of(wait, from);
            add(known, tree, task, stack, Kind::Wait(known.queue(wait)), from, to);
        }
        State::Blocked(wait) => match known.cause(wait) {
            cause @ (WaitCause::Disk | WaitCause::Child) => {
                let stack = known.stack_of(wait, from);
                add(known, tree, task, stack, Kind::Wait(cause), from, to);
            }
            WaitCause::Db if known.is_embedded_database(known.correlated.wait(wait)) => {
                let stack = known.stack_of(wait, from);
                add(known, tree, task, stack, Kind::Wait(WaitCause::Db), from, to);
            }
            WaitCause::Network
            | WaitCause::Db
            | WaitCause::Lock
            | WaitCause::Sleep
            | WaitCause::Pipe
            | WaitCause::RunQueue
            | WaitCause::Throttled
            | WaitCause::Gpu
            | WaitCause::Other => {}
        },
    }
}

fn add(known: &Known<'_>, tree: &mut Tree, task: TaskId, stack: Option<StackId>, kind: Kind, from: Nanos, to: Nanos) {
    let functions = known.project.stack(stack);
    if functions.is_empty() {
        return;
    }
    let service = known.service(task, from);
    let (base, node) = match tree.base_for(functions, service) {
        Some(base) => (base, tree.existing(base, functions, service)),
        // A service outside the command works for others too.
        None if known.is_outside(task) => return,
        None => (BESIDE, tree.descend(BESIDE, stack, functions, service)),
    };
    tree.beside(base, node, kind, from, to);
}
