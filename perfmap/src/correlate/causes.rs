//! Intervals off the CPU → what was waited for and which traced task ended the wait.
//!
//! A waker is believed only where the system call that it was in can do that wake: wakes also arrive in interrupts,
//! inside whatever task happens to run. Where it is not believed, a socket's wait goes to who sent on its other end
//! meanwhile. Names and functions are not known here; `map` tells an interpreter's lock from others.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{flows::Flows, senders::Senders, syscalls};
use crate::recording::{
    Call, Direction, Event, Layer, Nanos, OffCpu, OffState, OnObject, ProcessId, Recording, SocketId, StackId, TaskId,
    Waker,
};

/// Index into [`super::Correlated::waits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    Network,
    /// The answer of a database or a cache.
    Database,
    Disk,
    Lock,
    Sleep,
    Child,
    /// Another task's word, by what carries no more than that it came: a pipe, an eventfd, a signal.
    Pipe,
    Other,
}

/// One interval off the CPU, explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    pub task: TaskId,
    pub off: Nanos,
    /// End of the block; equal to `off` where the task was runnable all the time.
    pub woken: Nanos,
    pub on: Nanos,
    /// From `woken` on it was runnable, but its cgroup's CPU quota was used up.
    pub throttled: bool,
    pub cause: Cause,
    /// The traced task that ended it, where that can be believed.
    pub by: Option<TaskId>,
    /// Of the system call, or of the block.
    pub stack: Option<StackId>,
    /// Waited for one of several descriptors: an event loop.
    pub multiplexed: bool,
    /// What the system call was on, where that was a socket; of a poll of one descriptor, what was read right after it.
    pub socket: Option<SocketId>,
    /// A poll of one descriptor: a receive with a time-out.
    pub polls_one: bool,
    /// In a futex call: `map` looks whether it was an interpreter's lock.
    pub futex: bool,
    /// Of a wait in a futex call: a lock, or a condition, which only names can tell apart.
    pub lock: Option<LockWait>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockWait {
    /// Of the lock, where the call returned.
    pub address: Option<u64>,
    /// Who held it when the wait began, where the lock says so.
    pub holder: Option<TaskId>,
    /// CPython's global interpreter lock.
    pub interpreter: bool,
}

/// From the word that CPython's interpreter lock is waited for at to the lock (see lock.h of the probes).
const INTERPRETER_LOCK_BEFORE: u64 = 72;

/// A task's exit is seen before its parent is woken, but on another CPU's clock.
const EXIT_IS_SEEN_WITHIN: Nanos = Nanos(100_000);

pub(super) fn waits(recording: &Recording, flows: &Flows, senders: &Senders) -> Vec<Wait> {
    let known = Known::new(recording, flows, senders);
    recording
        .events
        .iter()
        .filter_map(|event| match event {
            Event::OffCpu(off) => Some(known.wait(off)),
            Event::Sample(_) | Event::ShortWaits(_) | Event::Message(_) | Event::FileIo(_) | Event::Memory(_) => None,
        })
        .collect()
}

struct Known<'a> {
    recording: &'a Recording,
    flows: &'a Flows,
    /// Descriptors that carried messages.
    socket_descriptors: FxHashSet<(ProcessId, i32)>,
    senders: &'a Senders,
    /// By task, in order of time: the messages that it sent and received.
    messages: FxHashMap<TaskId, Vec<(Nanos, Direction, SocketId)>>,
    /// By task, in order of time: when it blocked.
    blocks: FxHashMap<TaskId, Vec<Nanos>>,
    /// First thread of each process.
    leaders: FxHashMap<ProcessId, TaskId>,
    /// (parent, pid) → first task of the child, in order of birth.
    children: FxHashMap<(ProcessId, u32), Vec<(Nanos, TaskId)>>,
}

impl<'a> Known<'a> {
    fn new(recording: &'a Recording, flows: &'a Flows, senders: &'a Senders) -> Self {
        let mut socket_descriptors = FxHashSet::default();
        let mut messages: FxHashMap<TaskId, Vec<(Nanos, Direction, SocketId)>> = FxHashMap::default();
        let mut blocks: FxHashMap<TaskId, Vec<Nanos>> = FxHashMap::default();
        for event in &recording.events {
            if let Event::OffCpu(off) = event
                && off.state != OffState::Runnable
            {
                blocks.entry(off.task).or_default().push(off.off);
            }
            // A call into a TLS library is not a system call.
            if let Event::Message(message) = event
                && message.layer == Layer::Wire
            {
                if let Some(task) = recording.tasks.get(message.task.0 as usize) {
                    socket_descriptors.insert((task.process, message.descriptor));
                }
                let of_task = messages.entry(message.task).or_default();
                of_task.push((message.at, message.direction, message.socket));
            }
        }
        messages.values_mut().for_each(|of_task| of_task.sort_by_key(|(at, _, _)| *at));
        blocks.values_mut().for_each(|of_task| of_task.sort_unstable());
        let mut children: FxHashMap<(ProcessId, u32), Vec<(Nanos, TaskId)>> = FxHashMap::default();
        let mut leaders = FxHashMap::default();
        for (index, task) in recording.tasks.iter().enumerate() {
            if let Some(process) = recording.processes.get(task.process.0 as usize)
                && process.pid == task.tid
            {
                leaders.entry(task.process).or_insert(TaskId(index as u32));
                if let Some(parent) = process.parent {
                    children.entry((parent, process.pid)).or_default().push((task.born, TaskId(index as u32)));
                }
            }
        }
        for of_pid in children.values_mut() {
            of_pid.sort_unstable();
        }
        Self { recording, flows, socket_descriptors, senders, messages, blocks, leaders, children }
    }

    fn wait(&self, off: &OffCpu) -> Wait {
        let on = off.on.max(off.off);
        let woken = match off.state {
            OffState::Runnable => off.off,
            // Nobody was seen waking it: blocked to the end.
            _ if off.waker.is_none() && off.woken <= off.off => on,
            OffState::Interruptible | OffState::Uninterruptible | OffState::Stopped => off.woken.clamp(off.off, on),
        };
        let call = off.call.and_then(|id| self.recording.calls.get(id.0 as usize));
        // A restarted call hides its number: what the record of the wait says, if it says more, is the real one.
        let number =
            [call.map(|call| call.number), off.syscall].into_iter().flatten().find(|n| *n != syscalls::RESTART_SYSCALL);
        let single =
            matches!(number, Some(syscalls::POLL | syscalls::PPOLL)) && call.is_some_and(|call| call.arguments[1] == 1);
        let asked = Asked {
            number,
            single,
            result: call.map(|call| call.result),
            socket: match call.map(|call| call.object) {
                Some(OnObject::Socket(socket)) => Some(socket),
                Some(OnObject::None | OnObject::Pipe(_) | OnObject::File | OnObject::Anonymous(_)) | None => {
                    self.polled(off, woken).filter(|_| single)
                }
            },
            object: call.map_or(OnObject::None, |call| call.object),
        };
        let (cause, by) = self.explain(off, &asked, woken);
        Wait {
            task: off.task,
            off: off.off,
            woken,
            on,
            throttled: off.throttled,
            cause,
            by: by
                .map(|by| self.leader(off, by, cause))
                .filter(|by| *by != off.task && (by.0 as usize) < self.recording.tasks.len()),
            stack: call.and_then(|call| call.stack).or(off.stack),
            multiplexed: number.is_some_and(syscalls::multiplexes) && !single,
            socket: asked.socket,
            polls_one: single,
            futex: number.is_some_and(syscalls::locks),
            lock: number.is_some_and(syscalls::locks).then(|| lock(off, call)),
        }
    }

    fn explain(&self, off: &OffCpu, asked: &Asked, woken: Nanos) -> (Cause, Option<TaskId>) {
        let waker = off.waker.as_ref();
        let timer = waker.is_some_and(|waker| waker.timer);
        let believed =
            |can: fn(u32) -> bool| waker.and_then(|w| w.task.filter(|_| !w.timer && w.syscall.is_some_and(can)));
        let number = asked.number.unwrap_or(u32::MAX);
        if off.state == OffState::Runnable {
            return (Cause::Other, None);
        }
        if syscalls::forks(number) {
            return (Cause::Child, believed(|n| syscalls::executes(n) || syscalls::exits(n)));
        }
        match off.state {
            // Block devices wake in softirq, inside a bystander.
            OffState::Uninterruptible if matches!(asked.object, OnObject::Socket(_)) => return (Cause::Network, None),
            OffState::Uninterruptible => return (Cause::Disk, None),
            OffState::Stopped => return (Cause::Other, None),
            OffState::Runnable | OffState::Interruptible => {}
        }
        if syscalls::sleeps(number) {
            return (Cause::Sleep, None);
        }
        if syscalls::awaits_child(number) {
            return (Cause::Child, self.child(off, waker).or_else(|| self.reaped(off, asked, woken)));
        }
        if syscalls::locks(number) {
            if let Some(joined) = self.joined(off, woken) {
                return (Cause::Lock, Some(joined));
            }
            let by = believed(syscalls::wakes_futex);
            match off.held {
                // Neither who woke it nor its time-out says who had it: it is asked for again every few milliseconds.
                Some(held) if held.interpreter => return (Cause::Lock, Some(held.holder)),
                Some(held) => return (Cause::Lock, by.or(Some(held.holder))),
                None => {}
            }
            if timer || asked.result == Some(-syscalls::ETIMEDOUT) {
                return (Cause::Sleep, None);
            }
            return (Cause::Lock, by);
        }
        if syscalls::locks_files(number) {
            return (Cause::Lock, believed(|n| syscalls::locks_files(n) || syscalls::closes(n)));
        }
        if syscalls::awaits_signal(number) {
            return self.signalled(off, asked);
        }
        if syscalls::multiplexes(number) {
            if timer || asked.result == Some(0) {
                return (Cause::Sleep, None);
            }
            if let Some(socket) = asked.socket {
                return (Cause::Network, self.socket(off, number, socket, woken));
            }
            if off.unseen_wake {
                return (Cause::Other, None);
            }
            return self.multiplexed(off, waker, asked.single, woken);
        }
        match asked.object {
            OnObject::Socket(socket) => (Cause::Network, self.socket(off, number, socket, woken)),
            OnObject::Pipe(_) => {
                (Cause::Pipe, believed(|n| syscalls::writes(n) || syscalls::closes(n) || syscalls::receives(n)))
            }
            OnObject::Anonymous(_) => match (self.child(off, waker), believed(tells)) {
                (Some(child), _) => (Cause::Child, Some(child)),
                (None, Some(by)) => (Cause::Pipe, Some(by)),
                // Who is in no call was only interrupted: by the clock of a timerfd.
                (None, None) if !off.unseen_wake && waker.is_none_or(|waker| waker.syscall.is_none()) => {
                    (Cause::Sleep, None)
                }
                (None, None) => (Cause::Other, None),
            },
            OnObject::None | OnObject::File if syscalls::connects(number) || syscalls::sends(number) => {
                (Cause::Network, believed(wakes_socket))
            }
            OnObject::None | OnObject::File => match self.child(off, waker) {
                Some(child) => (Cause::Child, Some(child)),
                None if timer && asked.number.is_none() && off.syscall == Some(syscalls::RESTART_SYSCALL) => {
                    (Cause::Sleep, None)
                }
                None => (Cause::Other, None),
            },
        }
    }

    /// A wait for nothing but a signal: of a child that ended, of a clock, or of another task.
    fn signalled(&self, off: &OffCpu, asked: &Asked) -> (Cause, Option<TaskId>) {
        let waker = off.waker.as_ref();
        if let Some(child) = self.child(off, waker) {
            return (Cause::Child, Some(child));
        }
        if asked.result == Some(-syscalls::EAGAIN) {
            return (Cause::Sleep, None);
        }
        match waker {
            Some(waker) if waker.syscall.is_some_and(syscalls::signals) => (Cause::Pipe, waker.task),
            // An alarm goes off in an interrupt.
            None if !off.unseen_wake && !off.unfinished => (Cause::Sleep, None),
            Some(waker) if waker.syscall.is_none() => (Cause::Sleep, None),
            Some(_) | None => (Cause::Other, None),
        }
    }

    /// The last thread of a process to go reports its end, whichever that is. Who decided the end is found from the
    /// first thread: it made the call, or was ended by the thread that did.
    fn leader(&self, off: &OffCpu, by: TaskId, cause: Cause) -> TaskId {
        // In no call is who was killed, but also in whom an interrupt brought what another one had sent.
        let gone = off.waker.as_ref().is_some_and(|waker| waker.syscall.map_or(cause == Cause::Child, syscalls::exits));
        match self.process(by) {
            Some(process) if gone && self.process(off.task) != Some(process) => {
                self.leaders.get(&process).copied().unwrap_or(by)
            }
            Some(_) | None => by,
        }
    }

    fn process(&self, task: TaskId) -> Option<ProcessId> {
        self.recording.tasks.get(task.0 as usize).map(|task| task.process)
    }

    /// The waker, where it is a child of the waiter's process on its way out. Killed by a signal it is in no call.
    fn child(&self, off: &OffCpu, waker: Option<&Waker>) -> Option<TaskId> {
        let waker = waker?;
        let task = waker.task?;
        if !waker.syscall.is_none_or(syscalls::exits) || waker.timer {
            return None;
        }
        let process = self.recording.processes.get(self.process(task)?.0 as usize)?;
        (process.parent.is_some() && process.parent == self.process(off.task)).then_some(task)
    }

    /// The thread that was joined, where the process ended in the meantime: a word of memory that holds a thread's number is
    /// waited for until that thread is gone. (Java's first thread waits so from the beginning to the end.)
    fn joined(&self, off: &OffCpu, woken: Nanos) -> Option<TaskId> {
        const WAIT: u64 = 0;
        const WAIT_BITSET: u64 = 9;
        const COMMANDS: u64 = 0x7f;
        let waker = off.waker.as_ref().filter(|waker| waker.syscall.is_some_and(syscalls::exits))?;
        let process = self.process(off.task)?;
        let same = |task: TaskId| self.process(task) == Some(process);
        let call = self.recording.calls.get(off.call?.0 as usize)?;
        let [_, command, number] = call.arguments;
        if !waker.task.is_some_and(same) || !matches!(command & COMMANDS, WAIT | WAIT_BITSET) {
            return None;
        }
        let mut threads = self.recording.tasks.iter().enumerate().rev();
        let (index, _) = threads.find(|(index, task)| {
            let alive = task.born <= off.off && task.died.is_none_or(|died| died.plus(EXIT_IS_SEEN_WITHIN) >= woken);
            u64::from(task.tid) == number && alive && same(TaskId(*index as u32))
        })?;
        Some(TaskId(index as u32)).filter(|joined| *joined != off.task)
    }

    /// The waker, where it is a thread of a child that was ended in the middle of some call: the last one of a process
    /// to go reports its end.
    fn killed(&self, off: &OffCpu, task: TaskId, woken: Nanos) -> Option<TaskId> {
        let ended = self.recording.tasks.get(task.0 as usize)?.died?;
        let process = self.recording.processes.get(self.process(task)?.0 as usize)?;
        let child = process.parent.is_some() && process.parent == self.process(off.task);
        (child && ended <= woken.plus(EXIT_IS_SEEN_WITHIN)).then_some(task)
    }

    /// The child that the call reports.
    fn reaped(&self, off: &OffCpu, asked: &Asked, woken: Nanos) -> Option<TaskId> {
        let pid = u32::try_from(asked.result?).ok()?;
        let born = self.children.get(&(self.process(off.task)?, pid))?;
        let (_, task) = born[..born.partition_point(|(born, _)| *born <= woken)].last()?;
        Some(*task)
    }

    fn multiplexed(&self, off: &OffCpu, waker: Option<&Waker>, single: bool, woken: Nanos) -> (Cause, Option<TaskId>) {
        let Some((waker, task)) = waker.and_then(|waker| Some((waker, waker.task?))) else {
            // Nobody of ours: what comes from outside comes over the network.
            return (Cause::Network, None);
        };
        if let Some(child) = self.child(off, Some(waker)) {
            return (Cause::Child, Some(child)); // its end: a signal, a process descriptor, or its end of a pipe
        }
        let Some(number) = waker.syscall else { return (Cause::Other, None) };
        let process = self.process(task);
        let inside = process == self.process(off.task) && !single;
        let on_socket = process.is_some_and(|of| self.socket_descriptors.contains(&(of, waker.descriptor)));
        let network = syscalls::sends(number)
            || syscalls::connects(number)
            || number == syscalls::SHUTDOWN
            || on_socket && (syscalls::writes(number) || number == syscalls::CLOSE);
        let pipe = syscalls::writes(number) || syscalls::closes(number) || syscalls::receives(number);
        match (network, pipe) {
            // A loop that its own worker calls: neither a peer nor a pipe to anybody.
            (true, _) | (_, true) if inside => (Cause::Other, Some(task)),
            (true, _) => (Cause::Network, Some(task)),
            (false, true) => (Cause::Pipe, Some(task)),
            (false, false) => match self.killed(off, task, woken) {
                Some(child) => (Cause::Child, Some(child)),
                // Processes of one server tell each other so that what was waited for is there.
                None if syscalls::signals(number) => (Cause::Pipe, Some(task)),
                None => (Cause::Network, None),
            },
        }
    }

    fn socket(&self, off: &OffCpu, number: u32, socket: SocketId, woken: Nanos) -> Option<TaskId> {
        let sending = syscalls::sends(number) || syscalls::writes(number);
        let believed = off.waker.as_ref().filter(|waker| {
            !waker.timer && waker.syscall.is_some_and(|n| wakes_socket(n) || sending && (syscalls::receives(n)))
        });
        believed.and_then(|waker| waker.task).or_else(|| {
            let other = (*self.flows.pairs.get(socket.0 as usize)?)?;
            // Nothing had come when it began to wait.
            self.senders.between(other, off.off, woken)
        })
    }

    /// What the task read first when it went on: the descriptor that a poll of only one was for.
    fn polled(&self, off: &OffCpu, woken: Nanos) -> Option<SocketId> {
        let messages = self.messages.get(&off.task)?;
        let (at, direction, socket) = messages.get(messages.partition_point(|(at, _, _)| *at < woken))?;
        let blocks = self.blocks.get(&off.task)?;
        let next = blocks.get(blocks.partition_point(|block| *block < woken));
        (*direction == Direction::Received && next.is_none_or(|next| at <= next)).then_some(*socket)
    }
}

/// What the waiting task's system call tells.
struct Asked {
    number: Option<u32>,
    /// A poll of one descriptor: a receive with a time-out.
    single: bool,
    result: Option<i64>,
    /// That it was on, or that was read right after the poll of one descriptor.
    socket: Option<SocketId>,
    object: OnObject,
}

fn lock(off: &OffCpu, call: Option<&Call>) -> LockWait {
    let interpreter = off.held.is_some_and(|held| held.interpreter);
    let address = call.map(|call| match interpreter {
        true => (call.arguments[0] & !7).saturating_sub(INTERPRETER_LOCK_BEFORE),
        false => call.arguments[0],
    });
    LockWait { address, holder: off.held.map(|held| held.holder), interpreter }
}

/// Wakes who reads an eventfd, or a descriptor for signals.
fn tells(number: u32) -> bool {
    syscalls::writes(number) || syscalls::signals(number)
}

fn wakes_socket(number: u32) -> bool {
    syscalls::sends(number) || syscalls::writes(number) || syscalls::closes(number) || number == syscalls::CONNECT
}
