//! Timelines → one owner for every nanosecond of the root task's life.
//!
//! Backwards over a task's segments: time on the CPU and in the run queue is its own; a block that another traced task
//! ended is that task's, and is walked there for just that stretch. Each call partitions its interval, so nothing is
//! owned twice by construction. What comes before is decided by what came after.

use rustc_hash::FxHashMap;

use super::{
    known::Known,
    loops::{By, Owner, Serving},
    model::WaitCause,
    services,
    tree::{Kind, Level, NodeId, OUTSIDE, Tree},
};
use crate::{
    correlate::{Cause, Segment, State, WaitId},
    recording::{Nanos, StackId, TaskId},
};

/// Longest chain of tasks that wait for one another; what is behind it stays with the last of them.
const MAX_CHAIN: usize = 100;

/// A waiter may go to sleep a little later than its request was handed on (its own run queue, its interpreter's lock).
const LATE_TO_SLEEP: Nanos = Nanos(50_000_000);

/// A task was on the chain in `[from, to)`, its stacks below `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Visit {
    pub from: Nanos,
    pub to: Nanos,
    pub base: NodeId,
}

/// A piece of the chain outside of all functions of the project.
pub(super) type Outside = FxHashMap<(Option<StackId>, TaskId), Nanos>;

pub(super) struct Walk<'a> {
    known: &'a Known<'a>,
    pub tree: Tree,
    /// By `TaskId`; latest first while walking, sorted at the end.
    pub visits: Vec<Vec<Visit>>,
    pub outside: Outside,
    pub owned: u64,
    /// Of it: watched processes waited for requests.
    pub idle: Nanos,
    pub samples: u64,
    /// What was owned, where it is audited.
    pub pieces: Option<Vec<(Nanos, Nanos)>>,
    active: Vec<bool>,
    levels: Vec<Level>,
    /// When a task handed work to another one; a lock that is let go hands over none.
    handed: FxHashMap<(TaskId, TaskId), Vec<Nanos>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(known: &'a Known<'a>) -> Self {
        let mut handed: FxHashMap<(TaskId, TaskId), Vec<Nanos>> = FxHashMap::default();
        for wait in &known.correlated.waits {
            if let Some(by) = wait.by
                && !known.is_for_a_lock(wait)
            {
                handed.entry((by, wait.task)).or_default().push(wait.woken);
            }
        }
        for times in handed.values_mut() {
            times.sort_unstable();
        }
        let tasks = known.recording.tasks.len();
        Self {
            known,
            tree: Tree::new(),
            visits: vec![Vec::new(); tasks],
            outside: Outside::default(),
            owned: 0,
            idle: Nanos::ZERO,
            samples: 0,
            pieces: None,
            active: vec![false; tasks],
            levels: Vec::new(),
            handed,
        }
    }

    pub(super) fn run(&mut self) {
        let wall = self.known.recording.meta.wall;
        match self.known.recording.meta.root {
            _ if self.known.recording.meta.attached => self.window(),
            Some(root) => self.walk(root, Nanos::ZERO, wall, OUTSIDE, OUTSIDE, None),
            None => self.own(OUTSIDE, Kind::Wait(WaitCause::Other), Nanos::ZERO, wall, None, TaskId(u32::MAX)),
        }
        for visits in &mut self.visits {
            visits.sort_by_key(|visit| (visit.from, visit.to));
        }
    }

    pub(super) fn known(&self) -> &'a Known<'a> {
        self.known
    }

    fn own(&mut self, node: NodeId, kind: Kind, from: Nanos, to: Nanos, stack: Option<StackId>, task: TaskId) {
        let length = to.since(from);
        if length == Nanos::ZERO {
            return;
        }
        self.owned = self.owned.saturating_add(length.0);
        if node == OUTSIDE {
            let sum = self.outside.entry((stack, task)).or_default();
            *sum = sum.plus(length);
        }
        self.tree.own(node, kind, length, &self.levels, kind == Kind::Cpu);
        if let Some(pieces) = &mut self.pieces {
            pieces.push((from, to));
        }
    }

    pub(super) fn own_idle(&mut self, from: Nanos, to: Nanos) {
        self.owned = self.owned.saturating_add(to.since(from).0);
        self.idle = self.idle.plus(to.since(from));
        if let Some(pieces) = &mut self.pieces {
            pieces.push((from, to));
        }
    }

    /// Gives every nanosecond of `[from, to)` an owner, on behalf of somebody whom `task` woke at `to`. `outer` is
    /// where the waiter stands, `base` where the task's own functions go; `serving` which of the task's coroutines the
    /// waiter waited for.
    pub(super) fn walk(
        &mut self,
        task: TaskId,
        from: Nanos,
        to: Nanos,
        base: NodeId,
        outer: NodeId,
        serving: Option<Serving>,
    ) {
        if from >= to {
            return;
        }
        let known = self.known;
        let other = Kind::Wait(WaitCause::Other);
        let (Some(timeline), Some(active)) =
            (known.correlated.timelines.get(task.0 as usize), self.active.get_mut(task.0 as usize))
        else {
            return self.own(base, other, from, to, None, task);
        };
        let (Some(born), Some(ended)) = (timeline.born(), timeline.ended()) else {
            return self.own(base, other, from, to, None, task);
        };
        *active = true;
        let mut now = to;
        if ended < now {
            // Its memory is torn down after the exit is seen and before the waiter is woken.
            let after = ended.max(from);
            self.own(base, other, after, now, None, task);
            now = after;
        }
        let stop = born.clamp(from, now);
        while now > stop {
            let Some(segment) = timeline.before(now).and_then(|index| timeline.0.get(index)) else { break };
            let piece = Segment { from: segment.from.max(stop), to: now, state: segment.state };
            let explained = self.segment(task, piece, stop, base, serving);
            self.visit(task, piece, base);
            now = explained.clamp(stop, piece.from);
        }
        if now > from {
            // Until it was made, its maker was on the way to make it.
            let maker = known.recording.tasks.get(task.0 as usize).and_then(|task| task.maker);
            match maker.filter(|maker| !self.is_active(*maker) && self.levels.len() < MAX_CHAIN) {
                Some(maker) => {
                    let base = self.enter(task, maker, outer, now);
                    self.levels.push(Level { depth: self.tree.depth(outer), cause: WaitCause::Other });
                    self.walk(maker, from, now, base, outer, None);
                    self.levels.pop();
                }
                None => self.own(base, other, from, now, None, task),
            }
        }
        self.active[task.0 as usize] = false;
    }

    fn is_active(&self, task: TaskId) -> bool {
        self.active.get(task.0 as usize).copied().unwrap_or(true)
    }

    fn visit(&mut self, task: TaskId, piece: Segment, base: NodeId) {
        let visits = &mut self.visits[task.0 as usize];
        match visits.last_mut() {
            Some(last) if last.base == base && last.from == piece.to => last.from = piece.from,
            _ => visits.push(Visit { from: piece.from, to: piece.to, base }),
        }
    }

    /// Owners of a piece of one segment; returns back to when time is explained by it.
    fn segment(&mut self, task: TaskId, piece: Segment, stop: Nanos, base: NodeId, serving: Option<Serving>) -> Nanos {
        let known = self.known;
        match piece.state {
            State::Cpu { short } => {
                self.samples += known.points.samples_in(task, piece.from, piece.to);
                for (from, to, stack) in known.points.pieces(task, piece.from, piece.to) {
                    let base = if serving.is_none() { self.in_loop(task, base, stack, from) } else { base };
                    let node = self.place_own(task, base, stack, from);
                    for (kind, from, to) in known.split(short, stack, from, to) {
                        self.own(node, kind, from, to, stack, task);
                    }
                }
                piece.from
            }
            State::RunQueue(wait) => {
                let stack = known.stack_of(wait, piece.from);
                let owner = known.loops.owner(task, wait, piece.from, serving);
                if let Some(owner) = owner.as_ref().filter(|owner| owner.wait != wait) {
                    // What it waited for was not there yet: it would have gone on waiting.
                    self.owned_by(task, owner, piece, base);
                    return piece.from;
                }
                let base = match &owner {
                    Some(_) => base,
                    None if serving.is_none() => self.in_loop(task, base, stack, piece.from),
                    None => base,
                };
                let node = match &owner {
                    Some(owner) => {
                        let base = self.asked_below(task, base, owner, piece.from);
                        self.chain(task, base, &owner.stacks, piece.from)
                    }
                    None => self.place_own(task, base, stack, piece.from),
                };
                self.own(node, Kind::Wait(known.queue(wait)), piece.from, piece.to, stack, task);
                piece.from
            }
            State::Blocked(wait) if known.correlated.wait(wait).multiplexed => {
                self.polled(task, wait, piece, stop, base, serving)
            }
            State::Blocked(wait) => {
                let stack = known.stack_of(wait, piece.from);
                let base = if serving.is_none() { self.in_loop(task, base, stack, piece.from) } else { base };
                self.blocked(task, wait, piece, stop, base)
            }
        }
    }

    fn blocked(&mut self, task: TaskId, id: WaitId, piece: Segment, stop: Nanos, base: NodeId) -> Nanos {
        let known = self.known;
        let wait = known.correlated.wait(id);
        let stack = known.stack_of(id, piece.from);
        let node = match known.cause(id) {
            // Where a proxy waits for those behind it, its own functions tell nothing.
            WaitCause::Network | WaitCause::Db => self.place(task, base, stack, piece.from),
            _ => self.place_own(task, base, stack, piece.from),
        };
        let mut from = piece.from;
        if wait.multiplexed
            && let Some(by) = wait.by.filter(|by| !self.is_active(*by))
            && known.process(by) == known.process(task)
            && let Some(handed) = self.handed_over(task, by, piece.to, stop)
        {
            // An event loop: what was asked of it has been in the other's hands since then, whatever the loop did.
            from = from.min(handed);
        }
        // A loop that gave work to a thread, or a lock, answers nobody.
        let answered = wait.by.filter(|_| wait.cause == Cause::Network);
        let other = wait.socket.and_then(|socket| known.loops.other_end(socket));
        let serving = answered.and_then(|by| known.loops.serving(by, other, wait.woken));
        let piece = Segment { from, ..piece };
        self.waited(task, known.by(id), known.cause(id), piece, node, stack, serving);
        from
    }

    /// A poll of an event loop whose coroutines are known.
    fn polled(
        &mut self,
        task: TaskId,
        id: WaitId,
        piece: Segment,
        stop: Nanos,
        base: NodeId,
        serving: Option<Serving>,
    ) -> Nanos {
        let known = self.known;
        if serving.is_some_and(|serving| known.correlated.wait(id).on <= serving.since) {
            // Until the request was there, it was on its way.
            self.own(base, Kind::Wait(WaitCause::Network), piece.from, piece.to, None, task);
            return piece.from;
        }
        let Some(owner) = known.loops.owner(task, id, piece.from, serving) else {
            return self.blocked(task, id, piece, stop, base);
        };
        self.owned_by(task, &owner, piece, base);
        piece.from
    }

    fn owned_by(&mut self, task: TaskId, owner: &Owner, piece: Segment, base: NodeId) {
        let known = self.known;
        let base = self.asked_below(task, base, owner, piece.from);
        let node = self.chain(task, base, &owner.stacks, piece.from);
        let wait = known.correlated.wait(owner.wait);
        let (by, cause, socket) = match owner.by {
            By::Waker => (known.by(owner.wait), known.cause(owner.wait), None),
            By::Given(from, to) => match self.given(task, from, to) {
                Some(worker) => (Some(worker), WaitCause::Other, None),
                None => (known.by(owner.wait), known.cause(owner.wait), None),
            },
            By::Timer => (None, WaitCause::Sleep, None),
            By::Peer(by, socket) => match known.cause(owner.wait) {
                WaitCause::Db => (by, WaitCause::Db, socket),
                _ => (by, WaitCause::Network, socket),
            },
        };
        let answered = by.filter(|_| cause == WaitCause::Network);
        let serving = answered.and_then(|by| known.loops.serving(by, socket, wait.woken));
        self.waited(task, by, cause, piece, node, owner.stacks.last().copied(), serving);
    }

    /// Below what a request's function goes that the loop without coroutines sent: it may have a stack of its own (a
    /// task that was spawned), below which nothing tells who waits for it but the poll's.
    fn asked_below(&mut self, task: TaskId, base: NodeId, owner: &Owner, at: Nanos) -> NodeId {
        let known = self.known;
        let Some(asked) = owner.stacks.first().filter(|_| owner.asked) else { return base };
        let polled = known.stack_of(owner.wait, at);
        let first = |stack| known.project.stack(stack).first();
        match first(Some(*asked)) == first(polled) {
            true => base,
            false => self.place(task, base, polled, at),
        }
    }

    fn chain(&mut self, task: TaskId, base: NodeId, stacks: &[StackId], at: Nanos) -> NodeId {
        stacks.iter().fold(base, |node, stack| self.place(task, node, Some(*stack), at))
    }

    /// A stretch that `task`, standing at `node`, waited for `by`.
    #[expect(clippy::too_many_arguments, reason = "all of them describe one wait")]
    fn waited(
        &mut self,
        task: TaskId,
        by: Option<TaskId>,
        cause: WaitCause,
        piece: Segment,
        node: NodeId,
        stack: Option<StackId>,
        serving: Option<Serving>,
    ) {
        // Who is active was blocked all the time and cannot have woken anybody: the request was still on its way.
        let by = by.filter(|by| !self.is_active(*by) && self.levels.len() < MAX_CHAIN);
        let Some(by) = by else {
            return self.own(node, Kind::Wait(cause), piece.from, piece.to, stack, task);
        };
        let mut piece = piece;
        if cause == WaitCause::Db && !self.known.shows_project(by) {
            // Until the question was asked, a database was there for others.
            let asked = self.known.queries.asked(task, piece.to).unwrap_or(piece.to).clamp(piece.from, piece.to);
            self.own(node, Kind::Wait(cause), piece.from, asked, stack, task);
            piece.from = asked;
        }
        let inner = self.enter(task, by, node, piece.to);
        self.levels.push(Level { depth: self.tree.depth(node), cause });
        self.walk(by, piece.from, piece.to, inner, node, serving);
        self.levels.pop();
    }

    /// Where the loop's main coroutine waited, for what ran in the loop meanwhile.
    fn in_loop(&mut self, task: TaskId, base: NodeId, stack: Option<StackId>, at: Nanos) -> NodeId {
        match stack.and_then(|stack| self.known.loops.main_at(task, stack, at)) {
            Some(main) => self.place(task, base, Some(main), at),
            None => base,
        }
    }

    /// The thread of the loop's process that it first gave something to do in `[from, to)`.
    fn given(&self, of_loop: TaskId, from: Nanos, to: Nanos) -> Option<TaskId> {
        let process = self.known.process(of_loop)?;
        let tasks = self.known.recording.tasks.iter().enumerate();
        let threads = tasks.filter(|(_, task)| task.process == process).map(|(index, _)| TaskId(index as u32));
        let first = |worker: TaskId| {
            let woken = self.handed.get(&(of_loop, worker)).and_then(|times| {
                let next = times.partition_point(|time| *time < from);
                times.get(next).copied()
            });
            let born = self.known.recording.tasks.get(worker.0 as usize).filter(|task| task.maker == Some(of_loop));
            let born = born.map(|task| task.born).filter(|born| *born >= from);
            [woken, born].into_iter().flatten().min().filter(|at| *at < to).map(|at| (at, worker))
        };
        threads.filter_map(first).min().map(|(_, worker)| worker)
    }

    /// The last moment before `at` at which the loop gave `worker` something to do, not before `stop`.
    fn handed_over(&self, of_loop: TaskId, worker: TaskId, at: Nanos, stop: Nanos) -> Option<Nanos> {
        let woken = self.handed.get(&(of_loop, worker)).and_then(|times| {
            let before = times.partition_point(|time| *time < at);
            before.checked_sub(1).map(|last| times[last])
        });
        let task = self.known.recording.tasks.get(worker.0 as usize)?;
        let born = (task.maker == Some(of_loop) && task.born < at).then_some(task.born);
        let handed = woken.max(born)?;
        (handed.plus(LATE_TO_SLEEP) >= stop).then(|| handed.max(stop))
    }

    pub(super) fn place(&mut self, task: TaskId, base: NodeId, stack: Option<StackId>, at: Nanos) -> NodeId {
        let functions = self.known.project.stack(stack);
        if functions.is_empty() {
            return base;
        }
        self.tree.descend(base, stack, functions, self.known.service(task, at))
    }

    /// Where the functions of `to` go when `from`, standing at `node`, waits for it: tools that a function runs, and
    /// services that are not the project's, get a step of their own.
    fn enter(&mut self, from: TaskId, to: TaskId, node: NodeId, at: Nanos) -> NodeId {
        let known = self.known;
        let (Some(waiter), Some(awaited)) = (known.process(from), known.process(to)) else { return node };
        let Some(process) = known.recording.processes.get(awaited.0 as usize) else { return node };
        if waiter != awaited && known.services.is_service(awaited) && !known.has_project(awaited) {
            // A proxy, a database: nothing in it is the project's, but its time and its calls are its own.
            let service = known.service(to, at);
            return match process.images.last() {
                Some(image) if service != known.service(from, at) => {
                    self.tree.program(node, &services::program(image), service)
                }
                Some(_) | None => node,
            };
        }
        if waiter == awaited || known.services.is_service(awaited) || known.is_ancestor(awaited, waiter) {
            return node;
        }
        // A worker made by fork alone is a part of its program; and so is what has not executed anything yet.
        if !services::executed(known.recording, process) || services::before_exec(process, at) {
            return node;
        }
        let leads = known.leads_to_project.get(awaited.0 as usize).copied().unwrap_or(false);
        if node == OUTSIDE && leads {
            return node; // a launcher's child: the program itself
        }
        let Some(image) = process.images.last() else { return node };
        let service = known.service(to, at);
        self.tree.subprocess(node, &services::program(image), service)
    }
}
