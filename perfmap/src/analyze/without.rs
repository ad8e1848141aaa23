//! All tasks' timelines, laid out again as if some of their waits took no time → how long the run would have taken.
//!
//! What stays is as it was measured: how long each task computes, sleeps and waits for what nobody of ours ends. A wait that
//! one of our tasks ends lasts until that task has come as far as it had when it ended it; a task begins when its maker has
//! come as far. What computes needs a CPU, and of the threads that share an interpreter one at a time. The work that each
//! task does is not given to others, and what would be done in another order is not known.

use std::{cmp::Reverse, collections::BTreeSet, collections::BinaryHeap};

use crate::{
    correlate::{Correlated, Segment, State, WaitId},
    recording::{Nanos, ProcessId, Recording, TaskId},
};

/// So long a task keeps a CPU while others want it.
const SLICE: u64 = 5_000_000;
/// A timeline that does not come to its own length again, by so many percent, says nothing of another.
const TRUSTED_PCT: u64 = 15;

/// Which waits take no time, and what computing needs.
#[derive(Debug, Clone, Default)]
pub struct Left {
    pub waits: BTreeSet<WaitId>,
    pub run_queue: bool,
    pub throttled: bool,
    /// Threads of these processes compute one at a time; who lost his CPU meanwhile, or waits for one after these waits,
    /// keeps the others away. The waits themselves take no time: they come of it.
    pub one_at_a_time: BTreeSet<ProcessId>,
    pub for_a_turn: BTreeSet<WaitId>,
    /// None: as many as want one.
    pub cpus: Option<u32>,
}

/// How much shorter the run would have been with `left` than as it was measured, both laid out in the same way: what the
/// model lacks is missing on both sides.
pub fn saved(recording: &Recording, correlated: &Correlated, measured: &Left, left: &Left) -> Option<Nanos> {
    let root = recording.meta.root?;
    let before = Replay::new(recording, correlated, measured).run().get(root.0 as usize).copied().flatten()?;
    let wall = recording.meta.wall;
    let off = before.since(wall).plus(wall.since(before));
    if off.0 > wall.0 / 100 * TRUSTED_PCT {
        return None;
    }
    let after = Replay::new(recording, correlated, left).run().get(root.0 as usize).copied().flatten()?;
    Some(before.since(after))
}

/// The part of a task's timeline from `old` on was laid out at `new`.
#[derive(Debug, Clone, Copy)]
struct Laid {
    old: Nanos,
    new: Nanos,
    length: Nanos,
}

#[derive(Debug, Default)]
struct Task<'a> {
    segments: &'a [Segment],
    /// The segment that comes next, and from when on.
    next: usize,
    from: Nanos,
    /// When it can go on.
    ready: Nanos,
    laid: Vec<Laid>,
    over: bool,
    /// Who waits for this task to come as far as that.
    waiting: Vec<(Nanos, usize)>,
}

impl Task<'_> {
    /// All before `old` is laid out.
    fn reached(&self, old: Nanos) -> bool {
        self.over || self.segments.is_empty() || self.from >= old
    }

    fn at(&self, old: Nanos) -> Nanos {
        let next = self.laid.partition_point(|laid| laid.old < old);
        let Some(laid) = next.checked_sub(1).and_then(|index| self.laid.get(index)) else { return old.min(self.ready) };
        // Its end is felt a little after it.
        let last = self.over && next == self.laid.len();
        laid.new.plus(if last { old.since(laid.old) } else { old.since(laid.old).min(laid.length) })
    }
}

struct Replay<'a> {
    recording: &'a Recording,
    correlated: &'a Correlated,
    left: &'a Left,
    tasks: Vec<Task<'a>>,
    /// When each CPU is free again.
    cpus: Vec<Nanos>,
    /// The same of interpreters.
    interpreters: Vec<(ProcessId, Nanos)>,
    queue: BinaryHeap<Reverse<(Nanos, usize)>>,
}

impl<'a> Replay<'a> {
    fn new(recording: &'a Recording, correlated: &'a Correlated, left: &'a Left) -> Replay<'a> {
        let tasks = correlated.timelines.iter().map(|timeline| Task {
            segments: &timeline.0,
            from: timeline.born().unwrap_or(Nanos::ZERO),
            ..Task::default()
        });
        let cpus = left.cpus.map_or(0, |cpus| cpus.clamp(1, 4096));
        Replay {
            recording,
            correlated,
            left,
            tasks: tasks.collect(),
            cpus: vec![Nanos::ZERO; cpus as usize],
            interpreters: left.one_at_a_time.iter().map(|process| (*process, Nanos::ZERO)).collect(),
            queue: BinaryHeap::new(),
        }
    }

    /// When each task is over.
    fn run(mut self) -> Vec<Option<Nanos>> {
        for index in 0..self.tasks.len() {
            self.begin(index);
        }
        loop {
            while let Some(Reverse((now, index))) = self.queue.pop() {
                self.step(index, now);
            }
            // Two that wait for one another: what ended one of them was not what it is believed to have been.
            let Some((by, place)) = self.first_stuck() else { break };
            let (_, index) = self.tasks[by].waiting.swap_remove(place);
            self.let_go(index);
        }
        self.tasks.iter().map(|task| task.over.then_some(task.ready)).collect()
    }

    fn begin(&mut self, index: usize) {
        let Some(task) = self.recording.tasks.get(index) else { return };
        let born = self.tasks[index].from;
        let maker = task.maker.map(|TaskId(maker)| maker as usize).filter(|maker| {
            *maker != index
                && self
                    .tasks
                    .get(*maker)
                    .is_some_and(|maker| maker.segments.first().is_some_and(|first| first.from < born))
        });
        match maker {
            Some(maker) => self.wait_for(index, maker, born),
            None => self.go_on(index, born),
        }
    }

    fn go_on(&mut self, index: usize, at: Nanos) {
        let task = &mut self.tasks[index];
        task.ready = task.ready.max(at);
        self.queue.push(Reverse((task.ready, index)));
    }

    fn wait_for(&mut self, index: usize, by: usize, old: Nanos) {
        if self.tasks[by].reached(old) {
            let at = self.tasks[by].at(old);
            self.go_on(index, at);
        } else {
            self.tasks[by].waiting.push((old, index));
        }
    }

    fn first_stuck(&self) -> Option<(usize, usize)> {
        let all = self.tasks.iter().enumerate().flat_map(|(by, task)| {
            task.waiting.iter().enumerate().map(move |(place, (old, index))| (*old, *index, by, place))
        });
        all.min().map(|(_, _, by, place)| (by, place))
    }

    /// As long as it was measured.
    fn let_go(&mut self, index: usize) {
        let (Some(laid), from) = (self.tasks[index].laid.last().copied(), self.tasks[index].from) else {
            let born = self.tasks[index].from;
            return self.go_on(index, born);
        };
        self.go_on(index, laid.new.plus(from.since(laid.old)));
    }

    /// Lays out what comes next of a task.
    fn step(&mut self, index: usize, now: Nanos) {
        let task = &mut self.tasks[index];
        let Some(segment) = task.segments.get(task.next).copied() else {
            task.over = true;
            self.wake(index);
            return;
        };
        let from = task.from.max(segment.from);
        let rest = segment.to.since(from);
        match segment.state {
            State::Cpu { short } => {
                let length = Nanos(rest.0.min(SLICE));
                let begins = self.computes(index, now, length, short);
                self.lay(index, segment, Laid { old: from, new: begins, length });
                self.go_on(index, begins.plus(length));
            }
            State::RunQueue(wait) => {
                let throttled = self.correlated.waits.get(wait.0 as usize).is_some_and(|wait| wait.throttled);
                let left = if throttled { self.left.throttled } else { self.left.run_queue };
                let length = if left || self.left.waits.contains(&wait) { Nanos::ZERO } else { rest };
                if self.keeps_its_turn(wait) {
                    self.takes_the_turn(index, now.plus(length));
                }
                self.lay(index, segment, Laid { old: from, new: now, length });
                self.go_on(index, now.plus(length));
            }
            State::Blocked(wait) => self.blocks(index, now, segment, wait),
        }
        self.wake(index);
    }

    fn blocks(&mut self, index: usize, now: Nanos, segment: Segment, wait: WaitId) {
        let rest = segment.to.since(segment.from);
        let left = self.left.waits.contains(&wait) || self.left.for_a_turn.contains(&wait);
        let length = if left { Nanos::ZERO } else { rest };
        self.lay(index, Segment { to: segment.to, ..segment }, Laid { old: segment.from, new: now, length });
        let by = self.correlated.waits.get(wait.0 as usize).and_then(|wait| wait.by);
        let by = by.map(|TaskId(by)| by as usize).filter(|by| *by != index && *by < self.tasks.len());
        match by.filter(|by| length > Nanos::ZERO && !self.tasks[*by].segments.is_empty()) {
            Some(by) => {
                self.tasks[index].ready = now;
                self.wait_for(index, by, segment.to);
            }
            None => self.go_on(index, now.plus(length)),
        }
    }

    fn lay(&mut self, index: usize, segment: Segment, laid: Laid) {
        let task = &mut self.tasks[index];
        task.laid.push(laid);
        let blocks = !matches!(segment.state, State::Cpu { .. });
        task.from = if blocks { segment.to } else { laid.old.plus(laid.length) };
        if task.from >= segment.to {
            task.next += 1;
        }
    }

    fn wake(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        let mut free = Vec::new();
        let (over, from) = (task.over, task.from);
        task.waiting.retain(|(old, waiter)| {
            let reached = over || from >= *old;
            if reached {
                free.push((*old, *waiter));
            }
            !reached
        });
        for (old, waiter) in free {
            let at = self.tasks[index].at(old);
            self.go_on(waiter, at);
        }
    }

    fn keeps_its_turn(&self, wait: WaitId) -> bool {
        let preempted = self.correlated.waits.get(wait.0 as usize).is_some_and(|wait| wait.woken <= wait.off);
        preempted || self.left.for_a_turn.contains(&wait)
    }

    fn takes_the_turn(&mut self, index: usize, until: Nanos) {
        let process = self.recording.tasks.get(index).map(|task| task.process);
        if let Some((_, free)) = self.interpreters.iter_mut().find(|(of, _)| Some(*of) == process) {
            *free = (*free).max(until);
        }
    }

    /// When a CPU and the interpreter are there for it.
    fn computes(&mut self, index: usize, now: Nanos, length: Nanos, short: Option<u32>) -> Nanos {
        let busy = match short.and_then(|short| self.correlated.shorts.get(short as usize)) {
            Some(short) => {
                let off: u64 = short.run_queue.0.saturating_add(short.blocked.iter().map(|(_, length)| length.0).sum());
                let on = short.covered.0.saturating_sub(off) as f64 / short.covered.0.max(1) as f64;
                Nanos((length.0 as f64 * on) as u64)
            }
            None => length,
        };
        let process = self.recording.tasks.get(index).map(|task| task.process);
        let interpreter = self.interpreters.iter_mut().find(|(of, _)| Some(*of) == process);
        let mut begins = now;
        if let Some((_, free)) = &interpreter {
            begins = begins.max(*free);
        }
        // The one that was free last before: the others stay free for what comes earlier.
        let best = self.cpus.iter_mut().min_by_key(|free| (free.since(begins), begins.since(**free)));
        if let Some(free) = best {
            begins = begins.max(*free);
            *free = begins.plus(busy);
        }
        if let Some((_, free)) = interpreter {
            *free = begins.plus(busy);
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        analyze::fixture::ms,
        correlate::{Cause, Timeline, Wait},
        recording::Meta,
    };

    #[derive(Debug, Clone, Copy)]
    enum Part {
        Cpu(u64),
        Sleep(u64),
        /// Until that task is there.
        For(u64, u32),
    }

    /// Root first: its timeline begins at 0, as do all others.
    fn run(tasks: &[Vec<Part>]) -> (Recording, Correlated) {
        let (mut recording, mut correlated) = (Recording::default(), Correlated::default());
        for (index, parts) in tasks.iter().enumerate() {
            let (mut timeline, mut now) = (Timeline::default(), 0);
            for part in parts {
                let (length, by) = match part {
                    Part::Cpu(length) | Part::Sleep(length) => (*length, None),
                    Part::For(length, by) => (*length, Some(TaskId(*by))),
                };
                let state = match part {
                    Part::Cpu(_) => State::Cpu { short: None },
                    Part::Sleep(_) | Part::For(..) => {
                        correlated.waits.push(wait(index as u32, now, now + length, by));
                        State::Blocked(WaitId(correlated.waits.len() as u32 - 1))
                    }
                };
                timeline.0.push(Segment { from: ms(now), to: ms(now + length), state });
                now += length;
            }
            recording.tasks.push(crate::recording::Task {
                tid: index as u32,
                process: ProcessId(0),
                maker: None,
                born: Nanos::ZERO,
                died: Some(ms(now)),
                comm: String::new(),
            });
            correlated.timelines.push(timeline);
        }
        let wall = correlated.timelines[0].ended().unwrap_or_default();
        recording.meta = Meta { root: Some(TaskId(0)), wall, ..Meta::default() };
        (recording, correlated)
    }

    fn wait(task: u32, off: u64, on: u64, by: Option<TaskId>) -> Wait {
        Wait {
            task: TaskId(task),
            off: ms(off),
            woken: ms(on),
            on: ms(on),
            throttled: false,
            cause: if by.is_some() { Cause::Lock } else { Cause::Sleep },
            by,
            stack: None,
            multiplexed: false,
            socket: None,
            polls_one: false,
            futex: by.is_some(),
            lock: None,
        }
    }

    fn without(run: &(Recording, Correlated), waits: &[u32], cpus: Option<u32>) -> Option<Nanos> {
        let as_measured = Left { cpus, ..Left::default() };
        let left = Left { waits: waits.iter().map(|wait| WaitId(*wait)).collect(), cpus, ..Left::default() };
        saved(&run.0, &run.1, &as_measured, &left)
    }

    /// Two threads take turns at a lock, each with it for 10 ms of sleep; the root waits for both.
    fn turns() -> (Recording, Correlated) {
        use Part::{For, Sleep};
        run(&[
            vec![For(40, 2)],
            vec![Sleep(10), For(10, 2), Sleep(10)],
            vec![For(10, 1), Sleep(10), For(10, 1), Sleep(10)],
        ])
    }

    #[test]
    fn who_waits_no_more_for_a_lock_is_done_sooner_and_so_is_who_waits_for_him() {
        let run = turns();
        assert_eq!(without(&run, &[2, 4, 6], None), Some(ms(20)));
        assert_eq!(without(&run, &[], None), Some(Nanos::ZERO));
    }

    #[test]
    fn what_computes_needs_a_cpu() {
        use Part::{Cpu, For};
        let run = run(&[vec![For(40, 2)], vec![Cpu(20)], vec![For(20, 1), Cpu(20)]]);
        assert_eq!(without(&run, &[1], Some(2)), Some(ms(20)));
        assert_eq!(without(&run, &[1], Some(1)), Some(Nanos::ZERO));
        let interpreter = |one_at_a_time: &[ProcessId], waits: &[u32]| Left {
            one_at_a_time: one_at_a_time.iter().copied().collect(),
            waits: waits.iter().map(|wait| WaitId(*wait)).collect(),
            cpus: Some(2),
            ..Left::default()
        };
        let shared = interpreter(&[ProcessId(0)], &[1]);
        assert_eq!(saved(&run.0, &run.1, &shared, &interpreter(&[], &[1])), Some(ms(20)));
        assert_eq!(saved(&run.0, &run.1, &interpreter(&[], &[]), &shared), Some(Nanos::ZERO));
    }

    #[test]
    fn two_that_wait_for_one_another_end() {
        use Part::For;
        let run = run(&[vec![For(10, 1)], vec![For(10, 0)]]);
        assert!(without(&run, &[], None).is_some());
    }

    fn parts(tasks: u32) -> impl Strategy<Value = Vec<Part>> {
        let part = prop_oneof![
            (1_u64..30).prop_map(Part::Cpu),
            (1_u64..30).prop_map(Part::Sleep),
            (1_u64..30, 0..tasks).prop_map(|(length, by)| Part::For(length, by)),
        ];
        proptest::collection::vec(part, 1..12)
    }

    proptest! {
        /// Nothing left out: every task ends when it did, whoever waits for whom.
        #[test]
        fn as_it_was(tasks in proptest::collection::vec(parts(5), 5)) {
            let (recording, correlated) = run(&tasks);
            let left = Left::default();
            let ends = Replay::new(&recording, &correlated, &left).run();
            for (timeline, end) in correlated.timelines.iter().zip(ends) {
                prop_assert_eq!(end, timeline.ended());
            }
        }

        #[test]
        fn nothing_takes_longer_without_a_wait(
            tasks in proptest::collection::vec(parts(4), 4), gone in proptest::collection::btree_set(0_u32..40, 0..8),
        ) {
            let (recording, correlated) = run(&tasks);
            let left = Left { waits: gone.into_iter().map(WaitId).collect(), ..Left::default() };
            let before = Replay::new(&recording, &correlated, &Left::default()).run();
            let after = Replay::new(&recording, &correlated, &left).run();
            prop_assert!(before.iter().zip(&after).all(|(before, after)| after <= before), "{before:?} {after:?}");
        }
    }
}
