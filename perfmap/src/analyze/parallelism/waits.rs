//! A worker's pieces → what each was spent on: its own work, or a wait for what the workers share. A wait for an answer is
//! followed to who gave it: what that one waited for meanwhile is what the worker waited for.

use std::collections::BTreeSet;

use super::{
    limiter::Limiters,
    types::{Category, Spent},
    workers::Loop,
};
use crate::{
    analyze::suspicions::{self, Facts},
    correlate::{Cause, Wait, WaitId},
    map::{Activity, Awaited, Doing, Piece},
    recording::{Nanos, ProcessId, StackId, TaskId},
};

/// Who answers may have asked somebody in turn.
const MAX_DEPTH: usize = 3;
/// No single process's.
const NOBODY: ProcessId = ProcessId(u32::MAX);
/// Servers' stacks by their engine's name.
const ENGINES: [&str; 3] = ["SQLite", "PostgreSQL", "MySQL"];

/// What is waited for, so that equal ones are one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Lock {
        process: ProcessId,
        address: Option<u64>,
        place: Option<StackPlace>,
    },
    /// Let in by another worker, in this step.
    Places {
        step: usize,
    },
    /// For room in a queue that the step fills and somebody else empties.
    Room {
        step: usize,
    },
    FileLock,
    Database {
        engine: &'static str,
    },
    Interpreter {
        process: ProcessId,
    },
    Limiter {
        step: usize,
    },
    RunQueue,
    Throttled,
    Disk,
    /// By index into `Flows::peers`; its only thread computes all the time, or what it does is not known.
    Peer {
        peer: usize,
        saturated: bool,
    },
}

/// Where there is no address: the step.
pub(super) type StackPlace = usize;

impl Key {
    pub(super) fn category(&self) -> Category {
        match self {
            Key::Lock { .. } | Key::FileLock => Category::LockContention,
            Key::Places { .. } | Key::Room { .. } => Category::PoolExhaustion,
            Key::Database { .. } => Category::DatabaseWriteLock,
            Key::Interpreter { .. } => Category::GilContention,
            Key::Limiter { .. } => Category::RateLimiting,
            Key::RunQueue => Category::CpuContention,
            Key::Throttled => Category::CpuThrottling,
            Key::Disk => Category::DiskContention,
            Key::Peer { saturated: true, .. } => Category::SaturatedPeer,
            // It lets only so many through.
            Key::Peer { saturated: false, .. } => Category::RateLimiting,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum On {
    Own(Spent),
    Shared(Key),
    /// Waited for work: nobody of the workers had what it waited for.
    Idle,
}

/// A piece of a worker's time, or of one part of it.
#[derive(Debug, Clone)]
pub(super) struct Bit {
    pub from: Nanos,
    pub to: Nanos,
    /// None: outside the loop's body.
    pub step: Option<usize>,
    pub on: On,
    pub stack: Option<StackId>,
    pub wait: Option<WaitId>,
}

impl Bit {
    pub(super) fn length(&self) -> Nanos {
        self.to.since(self.from)
    }
}

pub(super) struct Classifier<'c, 'a> {
    pub facts: &'c Facts<'a>,
    pub activity: &'c Activity<'a>,
    pub members: BTreeSet<TaskId>,
    pub limiters: Limiters,
    /// By `StackId`.
    pub engines: Vec<Option<&'static str>>,
    /// By `StackId`.
    idle: Vec<bool>,
    /// Addresses of locks that several processes have in common.
    common: BTreeSet<u64>,
}

impl<'c, 'a> Classifier<'c, 'a> {
    pub(super) fn new(
        facts: &'c Facts<'a>,
        activity: &'c Activity<'a>,
        members: BTreeSet<TaskId>,
        idle: Vec<bool>,
    ) -> Self {
        let engines = suspicions::database_lock_stacks(facts.resolved);
        let common = common_locks(facts, &members);
        Classifier { facts, activity, members, limiters: Limiters::default(), engines, idle, common }
    }

    /// The step of a piece: the function that the loop calls; the loop's own is the last one.
    pub(super) fn step(&self, found: &Loop, stack: Option<StackId>, blocked: bool) -> Option<usize> {
        let path = self.activity.path(stack);
        let below = path.strip_prefix(found.prefix.as_slice()).filter(|_| !path.is_empty())?;
        match below.first() {
            // Where it waits now and then it waits for work, or for the others at the beginning.
            None => (found.own || !blocked).then_some(found.steps.len()),
            Some(function) => {
                let known = found.steps.iter().position(|step| step == function);
                known.or(Some(found.steps.len()))
            }
        }
    }

    pub(super) fn bits(&self, process: ProcessId, pieces: &[Piece], found: &Loop) -> Vec<Bit> {
        let mut bits = Vec::with_capacity(pieces.len());
        let mut last: Option<usize> = None;
        for piece in pieces {
            let path_is_empty = self.activity.path(piece.stack).is_empty();
            let blocked = matches!(piece.doing, Doing::Blocked(_) | Doing::Awaits(_));
            // What has no stack of the project's goes on with what was before it, but for waits: these are the pool's.
            let step = match self.step(found, piece.stack, blocked) {
                Some(step) => Some(step),
                None if path_is_empty && !blocked => last,
                None => None,
            };
            if piece.stack.is_some_and(|stack| self.idle.get(stack.0 as usize).copied().unwrap_or(false)) {
                let (from, to, stack) = (piece.from, piece.to, piece.stack);
                bits.push(Bit { from, to, step: None, on: On::Idle, stack, wait: None });
                last = None;
                continue;
            }
            last = step;
            let bit = |from, to, on, wait| Bit { from, to, step, on, stack: piece.stack, wait };
            match piece.doing {
                Doing::Cpu => bits.push(bit(piece.from, piece.to, On::Own(Spent::Cpu), None)),
                Doing::RunQueue => bits.push(bit(piece.from, piece.to, On::Shared(Key::RunQueue), None)),
                Doing::Throttled => bits.push(bit(piece.from, piece.to, On::Shared(Key::Throttled), None)),
                Doing::Interpreter => {
                    bits.push(bit(piece.from, piece.to, On::Shared(Key::Interpreter { process }), None));
                }
                Doing::Short(cause) => {
                    bits.push(bit(piece.from, piece.to, self.short(process, cause, step, piece), None))
                }
                Doing::Awaits(awaited) => {
                    bits.push(bit(piece.from, piece.to, self.awaits(awaited, step, piece.stack), None));
                }
                Doing::Blocked(id) => {
                    for (from, to, on) in self.blocked(id, piece.from, piece.to, step) {
                        bits.push(bit(from, to, on, Some(id)));
                    }
                }
            }
        }
        join(&mut bits);
        bits
    }

    fn process(&self, task: TaskId) -> ProcessId {
        self.facts.recording.tasks.get(task.0 as usize).map_or(NOBODY, |task| task.process)
    }

    fn short(&self, process: ProcessId, cause: Cause, step: Option<usize>, piece: &Piece) -> On {
        match cause {
            Cause::Lock => match step {
                Some(step) if self.activity.is_for_room(piece.stack) => On::Shared(Key::Room { step }),
                Some(step) => On::Shared(Key::Lock { process, address: None, place: Some(step) }),
                None => On::Idle,
            },
            other => {
                if other == Cause::Sleep && self.activity.is_of_embedded_database(piece.stack) {
                    return On::Shared(Key::Database { engine: ENGINES[0] });
                }
                On::Own(spent(other))
            }
        }
    }

    fn awaits(&self, awaited: Awaited, step: Option<usize>, stack: Option<StackId>) -> On {
        match (awaited, step) {
            (Awaited::Lock, Some(step)) => On::Shared(Key::Places { step }),
            (Awaited::Sleep, Some(step)) if self.limiters.is_named(stack) => On::Shared(Key::Limiter { step }),
            (Awaited::Sleep, _) => On::Own(Spent::Sleep),
            (Awaited::Queue, Some(step)) if self.activity.is_for_room(stack) => On::Shared(Key::Room { step }),
            (Awaited::Queue, _) | (Awaited::Lock, None) => On::Idle,
            (Awaited::Others, _) => On::Own(Spent::Other),
            (Awaited::Other, _) => On::Own(Spent::Network),
        }
    }

    fn blocked(&self, id: WaitId, from: Nanos, to: Nanos, step: Option<usize>) -> Vec<(Nanos, Nanos, On)> {
        let Some(wait) = self.facts.correlated.waits.get(id.0 as usize) else { return vec![] };
        if let Some(on) = self.direct(wait, id, step) {
            return vec![(from, to, on)];
        }
        let own = On::Own(spent(wait.cause));
        let mut found = Vec::new();
        let mut now = from;
        if let Some(by) = wait.by.filter(|by| !self.members.contains(by)) {
            for (from, to, key) in self.behind(by, from, to, 0) {
                if from > now {
                    found.push((now, from, own.clone()));
                }
                if to > now {
                    found.push((from.max(now), to, On::Shared(key)));
                    now = to;
                }
            }
        }
        if to > now {
            let idle = step.is_none() && matches!(wait.cause, Cause::Pipe | Cause::Other);
            found.push((now, to, if idle { On::Idle } else { own }));
        }
        found
    }

    /// What the wait itself tells; None: it is for somebody's answer, or the worker's own.
    fn direct(&self, wait: &Wait, id: WaitId, step: Option<usize>) -> Option<On> {
        let engine = wait.stack.and_then(|stack| self.engines.get(stack.0 as usize).copied().flatten());
        if let Some(engine) = engine {
            let for_a_lock = match wait.cause {
                Cause::Sleep => true,
                Cause::Lock => !wait.futex,
                Cause::Network | Cause::Database | Cause::Disk | Cause::Child | Cause::Pipe | Cause::Other => false,
            };
            if for_a_lock {
                return Some(On::Shared(Key::Database { engine }));
            }
        }
        if let Some(on) = self.goroutine(wait, id, step) {
            return Some(on);
        }
        match wait.cause {
            Cause::Lock if !wait.futex => Some(On::Shared(Key::FileLock)),
            Cause::Lock => {
                let by = self.activity.by(id);
                let process = self.process(wait.task);
                let address = wait.lock.and_then(|lock| lock.address);
                let process = if address.is_some_and(|at| self.common.contains(&at)) { NOBODY } else { process };
                let by_worker = by.is_some_and(|by| self.members.contains(&by));
                Some(match step {
                    Some(step) if self.activity.is_for_room(wait.stack) && !by_worker => On::Shared(Key::Room { step }),
                    Some(_) if self.activity.takes_lock(wait.stack) => {
                        let place = step.filter(|_| address.is_none());
                        On::Shared(Key::Lock { process, address, place })
                    }
                    Some(step) if by_worker => On::Shared(Key::Places { step }),
                    Some(_) | None => On::Idle,
                })
            }
            Cause::Sleep => {
                let limiter = step.filter(|step| self.limiters.holds_back(*step, wait));
                limiter.map(|step| On::Shared(Key::Limiter { step }))
            }
            Cause::Network | Cause::Database | Cause::Disk | Cause::Child | Cause::Pipe | Cause::Other => None,
        }
    }

    /// It sleeps in no call of the kernel's: the functions tell what for.
    fn goroutine(&self, wait: &Wait, id: WaitId, step: Option<usize>) -> Option<On> {
        if self.activity.is_for_goroutine_s_mutex(wait.stack) {
            let process = self.process(wait.task);
            let lock = |step| On::Shared(Key::Lock { process, address: None, place: Some(step) });
            return Some(step.map_or(On::Idle, lock));
        }
        if !self.activity.is_at_channel(wait.stack) {
            return None;
        }
        // A channel that the workers fill and empty themselves has places; one that somebody else does has work.
        match (self.activity.by(id), step) {
            (Some(by), Some(step)) if self.members.contains(&by) => Some(On::Shared(Key::Places { step })),
            (_, None) => Some(On::Idle),
            (None, Some(_)) => Some(On::Own(spent(wait.cause))),
            (Some(_), Some(step)) if self.activity.is_for_room(wait.stack) => Some(On::Shared(Key::Room { step })),
            (Some(_), Some(_)) => None,
        }
    }

    /// What whoever answered waited for that others had, in order of time.
    fn behind(&self, by: TaskId, from: Nanos, to: Nanos, depth: usize) -> Vec<(Nanos, Nanos, Key)> {
        let mut found = Vec::new();
        for piece in self.activity.pieces_between(by, from, to) {
            match piece.doing {
                Doing::Cpu | Doing::Short(_) | Doing::Awaits(_) => {}
                Doing::RunQueue => found.push((piece.from, piece.to, Key::RunQueue)),
                Doing::Throttled => found.push((piece.from, piece.to, Key::Throttled)),
                Doing::Interpreter => {
                    found.push((piece.from, piece.to, Key::Interpreter { process: self.process(by) }));
                }
                Doing::Blocked(id) => {
                    let Some(wait) = self.facts.correlated.waits.get(id.0 as usize) else { continue };
                    let engine = wait.stack.and_then(|stack| self.engines.get(stack.0 as usize).copied().flatten());
                    let lock = wait.cause == Cause::Lock && wait.futex && self.activity.takes_lock(wait.stack);
                    if let Some(engine) = engine {
                        found.push((piece.from, piece.to, Key::Database { engine }));
                    } else if lock {
                        let address = wait.lock.and_then(|lock| lock.address);
                        let key = Key::Lock { process: self.process(by), address, place: None };
                        found.push((piece.from, piece.to, key));
                    } else if let (Some(next), true) = (wait.by, depth < MAX_DEPTH)
                        && matches!(wait.cause, Cause::Network | Cause::Database | Cause::Pipe)
                        && next != by
                        && !self.members.contains(&next)
                    {
                        found.extend(self.behind(next, piece.from, piece.to, depth + 1));
                    }
                }
            }
        }
        found
    }
}

/// What was shared before a fork lies at one address in all children: a lock there that one of another process let go of is
/// one lock, whoever waits for it.
fn common_locks(facts: &Facts<'_>, members: &BTreeSet<TaskId>) -> BTreeSet<u64> {
    let process = |task: TaskId| facts.recording.tasks.get(task.0 as usize).map(|task| task.process);
    let waits = facts.correlated.waits.iter().filter(|wait| wait.futex && members.contains(&wait.task));
    let of_others = waits.filter(|wait| wait.by.is_some_and(|by| process(by) != process(wait.task)));
    of_others.filter_map(|wait| wait.lock?.address).collect()
}

pub(super) fn spent(cause: Cause) -> Spent {
    match cause {
        Cause::Network => Spent::Network,
        Cause::Database => Spent::Database,
        Cause::Disk => Spent::Disk,
        Cause::Lock => Spent::Lock,
        Cause::Sleep => Spent::Sleep,
        Cause::Child => Spent::Child,
        Cause::Pipe => Spent::Pipe,
        Cause::Other => Spent::Other,
    }
}

/// What takes longer between two waits is no retry.
const RETRY: Nanos = Nanos(1_000_000);

/// Between two waits for the same thing nothing was done but to ask again: waits for a CPU there, and the asking itself of
/// a database's client, are part of the wait.
fn join(bits: &mut [Bit]) {
    let mut last: Option<usize> = None;
    for index in 0..bits.len() {
        let Some(bit) = bits.get(index) else { break };
        let On::Shared(key) = &bit.on else {
            let asks = matches!(bit.on, On::Own(Spent::Cpu | Spent::Network | Spent::Database));
            if !asks || bit.length() > RETRY {
                last = None;
            }
            continue;
        };
        if matches!(key, Key::RunQueue | Key::Throttled | Key::Interpreter { .. }) {
            continue;
        }
        let (key, step) = (key.clone(), bit.step);
        let asks = matches!(key, Key::Database { .. });
        if let Some(before) = last.replace(index)
            && bits.get(before).is_some_and(|bit| bit.step == step && bit.on == On::Shared(key.clone()))
            && let Some(between) = bits.get_mut(before + 1..index)
            && (asks || between.iter().all(|bit| !matches!(bit.on, On::Own(_))))
        {
            for bit in between {
                bit.on = On::Shared(key.clone());
            }
        }
    }
}
