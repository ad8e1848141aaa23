//! Timelines → what each task did, piece by piece, with the project's functions that it was in: for those who compare
//! tasks with one another. The map itself holds sums along the chain of waits.

use std::collections::BTreeMap;

use super::{
    interpreter_lock::InterpreterLock,
    lock_place,
    loops::{asyncio, go},
    model::Location,
    points::Points,
    project::{FunctionId, Project},
    queue_place,
};
use crate::{
    correlate::{Cause, Correlated, State, WaitId},
    recording::{CoroutineId, Nanos, Recording, StackId, TaskId, Turn, TurnKind},
    resolve::Resolved,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Cpu,
    RunQueue,
    /// Its cgroup had no CPU quota left.
    Throttled,
    /// Waited for CPython's global interpreter lock.
    Interpreter,
    Blocked(WaitId),
    /// Blocks too short to be recorded one by one, of this kind.
    Short(Cause),
    /// A coroutine that its loop did not run.
    Awaits(Awaited),
}

/// What a coroutine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// A lock, a semaphore, a condition: until another coroutine goes on.
    Lock,
    Queue,
    /// Other coroutines' end.
    Others,
    Sleep,
    /// A socket, or what a library made.
    Other,
}

/// From its first turn to its last one.
#[derive(Debug, Clone)]
pub struct Coroutine {
    pub thread: TaskId,
    pub pieces: Vec<Piece>,
}

/// `[from, to)`, never empty; a task's pieces follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub from: Nanos,
    pub to: Nanos,
    pub stack: Option<StackId>,
    pub doing: Doing,
}

impl Piece {
    pub fn length(&self) -> Nanos {
        self.to.since(self.from)
    }
}

pub struct Activity<'a> {
    correlated: &'a Correlated,
    project: Project,
    points: Points,
    interpreter_lock: InterpreterLock,
    /// By `StackId`: takes a lock for mutual exclusion.
    takes: Vec<bool>,
    /// By `StackId`.
    embedded_database: Vec<bool>,
    /// By `StackId`: a goroutine waits for a mutex; at a channel.
    goroutine_mutex: Vec<bool>,
    channel: Vec<bool>,
    /// By `StackId`: waits for room in a queue.
    fills: Vec<bool>,
}

impl<'a> Activity<'a> {
    pub fn new(recording: &'a Recording, resolved: &'a Resolved, correlated: &'a Correlated) -> Activity<'a> {
        Activity {
            correlated,
            project: Project::new(&recording.meta, resolved),
            points: Points::new(recording, correlated),
            interpreter_lock: InterpreterLock::new(recording, correlated, resolved),
            takes: lock_place::stacks(resolved),
            embedded_database: super::embedded_database_stacks(resolved),
            goroutine_mutex: resolved.stacks.iter().map(|stack| go::waits_for_mutex(resolved, stack)).collect(),
            channel: resolved.stacks.iter().map(|stack| go::waits_at_channel(resolved, stack)).collect(),
            fills: queue_place::stacks(resolved),
        }
    }

    /// The project's functions on a stack, root first.
    pub fn path(&self, stack: Option<StackId>) -> &[FunctionId] {
        self.project.stack(stack)
    }

    /// The outermost function of the project that a coroutine is in; who called the loop is another's.
    pub fn coroutine_root(&self, resolved: &Resolved, stack: Option<StackId>) -> Option<FunctionId> {
        let stack = resolved.stacks.get(stack?.0 as usize)?;
        self.project.of(asyncio::inside(resolved, stack)).first().copied()
    }

    /// As in `Step::function` and `Step::location`.
    pub fn function(&self, id: FunctionId) -> (&str, Option<Location>) {
        let function = self.project.function(id);
        (&function.name, function.location())
    }

    /// The wait is for a lock that one at a time can have, as far as the names on its stack tell.
    pub fn takes_lock(&self, stack: Option<StackId>) -> bool {
        has(&self.takes, stack)
    }

    /// A goroutine's mutex: which one is not seen.
    pub fn is_for_goroutine_s_mutex(&self, stack: Option<StackId>) -> bool {
        has(&self.goroutine_mutex, stack)
    }

    /// A goroutine waits at a channel.
    pub fn is_at_channel(&self, stack: Option<StackId>) -> bool {
        has(&self.channel, stack)
    }

    /// What it puts something into has no room.
    pub fn is_for_room(&self, stack: Option<StackId>) -> bool {
        has(&self.fills, stack)
    }

    /// A database inside the program waits there.
    pub fn is_of_embedded_database(&self, stack: Option<StackId>) -> bool {
        has(&self.embedded_database, stack)
    }

    /// Who had the interpreter's lock meanwhile, or ended the wait.
    pub fn by(&self, wait: WaitId) -> Option<TaskId> {
        self.correlated.waits.get(wait.0 as usize)?.by.or_else(|| self.interpreter_lock.holder(wait))
    }

    pub fn pieces(&self, task: TaskId) -> Vec<Piece> {
        self.pieces_between(task, Nanos::ZERO, Nanos(u64::MAX))
    }

    pub fn pieces_between(&self, task: TaskId, from: Nanos, to: Nanos) -> Vec<Piece> {
        let timeline = self.correlated.timelines.get(task.0 as usize).map_or(&[][..], |timeline| &timeline.0);
        let first = timeline.partition_point(|segment| segment.to <= from);
        let mut found = Vec::new();
        for segment in timeline.iter().skip(first).take_while(|segment| segment.from < to) {
            let (from, to) = (segment.from.max(from), segment.to.min(to));
            match segment.state {
                State::Cpu { short } => {
                    for (from, to, stack) in self.points.pieces(task, from, to) {
                        self.cpu(short, Piece { from, to, stack, doing: Doing::Cpu }, &mut found);
                    }
                }
                State::RunQueue(id) => {
                    let wait = self.correlated.waits.get(id.0 as usize);
                    let throttled = wait.is_some_and(|wait| wait.throttled);
                    let doing = if throttled { Doing::Throttled } else { Doing::RunQueue };
                    found.push(Piece { from, to, stack: self.stack(task, id, from), doing });
                }
                State::Blocked(id) => {
                    let wait = self.correlated.waits.get(id.0 as usize);
                    let interpreter = wait.is_some_and(|wait| self.interpreter_lock.is_waited_for(wait));
                    let doing = if interpreter { Doing::Interpreter } else { Doing::Blocked(id) };
                    found.push(Piece { from, to, stack: self.stack(task, id, from), doing });
                }
            }
        }
        found.retain(|piece| piece.to > piece.from);
        found
    }

    /// All that were seen on the loops' threads, by thread and beginning.
    pub fn coroutines(&self, recording: &Recording, resolved: &Resolved) -> Vec<Coroutine> {
        let mut by_thread: BTreeMap<TaskId, Vec<&Turn>> = BTreeMap::new();
        for turn in &recording.turns {
            by_thread.entry(turn.task).or_default().push(turn);
        }
        let mut found = Vec::new();
        for (thread, turns) in by_thread {
            let polls = self.correlated.waits.iter().filter(|wait| wait.task == thread && wait.multiplexed);
            let mut stops: Vec<Nanos> = polls.map(|wait| wait.off).collect();
            let moves = |turn: &&&Turn| matches!(turn.kind, TurnKind::Started | TurnKind::Resumed { .. });
            stops.extend(turns.iter().filter(moves).map(|turn| turn.at));
            stops.sort_unstable();
            found.extend(lives(thread, &turns, &stops, resolved));
        }
        found
    }

    fn stack(&self, task: TaskId, wait: WaitId, at: Nanos) -> Option<StackId> {
        let known = self.correlated.waits.get(wait.0 as usize);
        let interrupted = || self.points.interrupted(task, known?.off);
        known.and_then(|wait| wait.stack).or_else(interrupted).or_else(|| self.points.nearest(task, at))
    }

    /// In the proportion of the short waits that were counted in its stretch.
    fn cpu(&self, short: Option<u32>, piece: Piece, found: &mut Vec<Piece>) {
        let Some(short) = short.and_then(|short| self.correlated.shorts.get(short as usize)) else {
            found.push(piece);
            return;
        };
        let (run_queue, blocked) = short.split(piece.length());
        let mut now = piece.from;
        let waits = blocked.into_iter().map(|(cause, length)| (Doing::Short(cause), length));
        for (doing, length) in waits.chain([(Doing::RunQueue, run_queue)]) {
            let to = now.plus(length).min(piece.to);
            found.push(Piece { from: now, to, stack: piece.stack, doing });
            now = to;
        }
        found.push(Piece { from: now, ..piece });
    }
}

/// Numbers are used again: a start is another coroutine's. `stops`: when the thread went on to something else.
fn lives(thread: TaskId, turns: &[&Turn], stops: &[Nanos], resolved: &Resolved) -> Vec<Coroutine> {
    let mut found: Vec<(Nanos, Coroutine)> = Vec::new();
    let mut now: BTreeMap<CoroutineId, usize> = BTreeMap::new();
    for turn in turns {
        let started = turn.kind == TurnKind::Started;
        let resumed = match turn.kind {
            TurnKind::Main { .. } => continue,
            TurnKind::Resumed { .. } => true,
            TurnKind::Ran | TurnKind::Started => false,
        };
        let next = found.len();
        let life = now.entry(turn.coroutine).or_insert(next);
        if started {
            *life = next;
        }
        if *life == next {
            found.push((turn.at, Coroutine { thread, pieces: Vec::new() }));
        }
        let Some((end, coroutine)) = found.get_mut(*life) else { continue };
        let stack = Some(turn.stack);
        if resumed && turn.at > *end {
            let of_stack = resolved.stacks.get(turn.stack.0 as usize).map_or(&[][..], |stack| stack);
            let doing = Doing::Awaits(asyncio::awaited(resolved, of_stack));
            coroutine.pieces.push(Piece { from: *end, to: turn.at, stack, doing });
            *end = turn.at;
        }
        let stop = stops.get(stops.partition_point(|stop| *stop <= turn.at)).copied().unwrap_or(turn.at);
        if stop > *end {
            coroutine.pieces.push(Piece { from: *end, to: stop, stack, doing: Doing::Cpu });
            *end = stop;
        }
    }
    found.into_iter().map(|(_, coroutine)| coroutine).collect()
}

fn has(flags: &[bool], stack: Option<StackId>) -> bool {
    stack.is_some_and(|stack| flags.get(stack.0 as usize).copied().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        correlate::syscalls as call,
        map::testing::{Ended, Story, ms},
        recording::WaitClass,
    };

    #[test]
    fn pieces_are_the_timeline_with_the_functions_that_own_it() {
        let (mut story, main) = Story::new("app", 300);
        story.cpu(main, 0, 100, "main work");
        story.block(main, 100, 200, "main rest", Ended::call(call::NANOSLEEP).result(0));
        story.cpu(main, 200, 300, "main work");
        story.short_waits(main, 200, 300, &[(WaitClass::Futex, 20)], "main work");
        let correlated = story.correlated();
        let activity = Activity::new(&story.recording, &story.resolved, &correlated);
        let pieces = activity.pieces(main);
        assert!(pieces.windows(2).all(|two| two[0].to == two[1].from), "{pieces:?}");
        assert_eq!((pieces.first().unwrap().from, pieces.last().unwrap().to), (ms(0), ms(300)));
        let mut sums: Vec<(String, Nanos)> = Vec::new();
        for piece in &pieces {
            let function = activity.path(piece.stack).last().map_or("?", |id| activity.function(*id).0);
            let doing = match piece.doing {
                Doing::Blocked(_) => "blocked",
                Doing::Cpu => "cpu",
                Doing::Short(Cause::Lock) => "short",
                Doing::Awaits(_) | Doing::Short(_) | Doing::RunQueue | Doing::Throttled | Doing::Interpreter => "other",
            };
            let key = format!("{function} {doing}");
            match sums.iter_mut().find(|(known, _)| *known == key) {
                Some((_, sum)) => *sum = sum.plus(piece.length()),
                None => sums.push((key, piece.length())),
            }
        }
        let of = |key: &str| sums.iter().find(|(known, _)| known == key).map_or(0, |(_, sum)| sum.0 / ms(1).0);
        assert_eq!((of("work cpu"), of("rest blocked"), of("work short")), (180, 100, 20), "{sums:?}");
    }
}
