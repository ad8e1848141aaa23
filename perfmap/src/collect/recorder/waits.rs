//! Waits, the system calls that they happened in, and whose turn it was on a loop that waited.

use perfmap_common as wire;

use super::Recorder;
use crate::{
    collect::{decode::RawStack, goroutines::Fact, tree::name},
    recording::{
        Call, CallId, CoroutineId, Event, HeldLock, Nanos, OffCpu, OffState, OnObject, Runner, ShortWaits, StackId,
        Turn, TurnKind, WaitClass, Waker,
    },
};

const WAIT_CLASSES: [WaitClass; wire::WAIT_CLASSES] = [
    WaitClass::Socket,
    WaitClass::Pipe,
    WaitClass::Poll,
    WaitClass::Futex,
    WaitClass::Sleep,
    WaitClass::Child,
    WaitClass::Disk,
    WaitClass::Other,
];

/// epoll_wait, epoll_pwait, epoll_pwait2.
const EPOLL: [u32; 3] = [232, 281, 441];

impl Recorder {
    pub(super) fn block(&mut self, block: &wire::Block) {
        let Some(task) = self.tree.task(block.header.tid) else { return self.unknown_task() };
        let (off, on) = (self.at(block.off), self.at(block.header.at));
        let state = off_state(block.state);
        let woken = match (state, block.wake) {
            (OffState::Runnable, _) => off,
            (_, 0) => on,
            (_, wake) => self.at(wake).max(off).min(on),
        };
        // Of a task that was preempted nobody's: it says who woke it before.
        if block.waker_goroutine != 0
            && block.wake != 0
            && let Some(thread) = self.tree.task(block.waker_tid)
        {
            self.held += size_of::<Fact>();
            self.goroutines.ran(self.at(block.wake), thread, block.waker_goroutine);
        }
        let waker = (block.wake != 0 && block.waker_pid != 0 && state != OffState::Runnable).then(|| Waker {
            // Only the names of tasks that are not followed are sent.
            task: if block.waker_comm[0] == 0 { self.tree.task(block.waker_tid) } else { None },
            pid: block.waker_pid,
            comm: name(&block.waker_comm),
            syscall: u32::try_from(block.waker_syscall).ok(),
            descriptor: block.waker_descriptor,
            timer: false,
        });
        let stack = match self.fault_stacks.remove(&block.header.tid) {
            Some((at, stack)) if at == block.off => Some(stack),
            _ => None,
        };
        let syscall = u32::try_from(block.syscall).ok();
        let unfinished = block.flags & wire::BLOCK_UNFINISHED != 0;
        // Whatever memory it was that looked like a lock: only a thread of the same process can have held it.
        let holder = (block.holder != 0).then(|| self.tree.task(block.holder)).flatten();
        let own = |id| Some(self.tree.tasks.get(id as usize)?.process);
        let held = holder
            .filter(|holder| own(holder.0) == own(task.0))
            .map(|holder| HeldLock { holder, interpreter: block.flags & wire::BLOCK_INTERPRETER_LOCK != 0 });
        let before = (block.before_pid != 0 || block.before_comm[0] != 0).then(|| Runner {
            task: if block.before_comm[0] == 0 { self.tree.task(block.before_tid) } else { None },
            pid: block.before_pid,
            comm: match block.before_pid == std::process::id() {
                true => "perfmap".into(), // all of its threads
                false => name(&block.before_comm),
            },
        });
        let device = (block.device != 0).then(|| self.devices.id(block.device));
        if !unfinished && syscall.is_some() && state != OffState::Runnable {
            self.open_waits.entry(block.header.tid).or_default().push(self.events.len());
        }
        self.event(Event::OffCpu(OffCpu {
            task,
            off,
            woken,
            on,
            state,
            syscall,
            waker,
            call: None,
            stack,
            unfinished,
            throttled: block.flags & wire::BLOCK_THROTTLED != 0,
            held,
            unseen_wake: block.flags & wire::BLOCK_UNSEEN_WAKE != 0,
            before,
            device,
        }));
    }

    pub(super) fn call(&mut self, call: &wire::Call, raw: &RawStack<'_>) {
        let Some(task) = self.tree.task(call.header.tid) else { return self.unknown_task() };
        // Other backends may know the call, but not where it was made.
        let stack = (raw.registers[16] != 0).then(|| self.stack(&call.header, raw));
        if EPOLL.contains(&call.syscall) {
            self.pending_asks.rests(call.header.tid);
        }
        if let Some(stack) = stack.filter(|_| EPOLL.contains(&call.syscall)) {
            self.polls.insert(call.header.tid, (Some(CallId(self.calls.len() as u32)), stack));
        }
        let object = match call.object {
            object if object == wire::Object::Socket as u32 => {
                self.sockets.at_kernel(call.identity).map_or(OnObject::None, OnObject::Socket)
            }
            object if object == wire::Object::Pipe as u32 => OnObject::Pipe(call.identity),
            object if object == wire::Object::File as u32 => OnObject::File,
            object if object == wire::Object::Anonymous as u32 => OnObject::Anonymous(call.identity),
            _ => OnObject::None,
        };
        let id = CallId(self.calls.len() as u32);
        self.held += size_of::<Call>();
        self.calls.push(Call {
            task,
            returned: self.at(call.header.at),
            number: call.syscall,
            result: call.result,
            arguments: call.arguments,
            object,
            stack,
        });
        for index in self.open_waits.remove(&call.header.tid).unwrap_or_default() {
            // Of another number: the return of the wait's own call was lost.
            if let Some(Event::OffCpu(wait)) = self.events.get_mut(index)
                && wait.syscall == Some(call.syscall)
            {
                wait.call = Some(id);
            }
        }
    }

    pub(super) fn short_waits(&mut self, waits: &wire::ShortWaits, raw: &RawStack<'_>) {
        let Some(task) = self.tree.task(waits.header.tid) else { return self.unknown_task() };
        let stack = (raw.registers[16] != 0).then(|| self.stack(&waits.header, raw));
        let blocked = WAIT_CLASSES
            .into_iter()
            .zip(waits.blocked)
            .filter(|(_, length)| *length > 0)
            .map(|(class, length)| (class, Nanos(length)))
            .collect();
        let (from, to) = (self.at(waits.from), self.at(waits.header.at));
        self.event(Event::ShortWaits(ShortWaits {
            task,
            from: from.min(to),
            to,
            run_queue: Nanos(waits.run_queue),
            blocked,
            count: waits.count,
            stack,
        }));
    }

    pub(super) fn turn(&mut self, header: &wire::Header, coroutine: u64, stack: StackId, kind: TurnKind) {
        if let Some(task) = self.tree.task(header.tid) {
            let coroutine = CoroutineId(coroutine);
            self.held += size_of::<Turn>();
            self.turns.push(Turn { at: self.at(header.at), task, coroutine, stack, kind });
        }
    }

    /// The thread was inside this goroutine; 0: in the scheduler.
    pub(super) fn ran_goroutine(&mut self, header: &wire::Header, goroutine: u64) {
        if let Some(thread) = self.tree.task(header.tid) {
            self.held += size_of::<Fact>();
            self.goroutines.ran(self.at(header.at), thread, goroutine);
        }
    }

    pub(super) fn goroutine(&mut self, seen: &wire::Goroutine, what: wire::GoroutineWhat, raw: &RawStack<'_>) {
        let Some(thread) = self.tree.task(seen.header.tid) else { return self.unknown_task() };
        self.apply_changes(seen.header.at);
        let stack = (raw.registers[16] != 0).then(|| self.stacks.intern(seen.header.pid, raw));
        self.held += size_of::<Fact>();
        self.goroutines.seen(self.at(seen.header.at), thread, seen, what, stack);
    }

    pub(super) fn resumed(&mut self, resumed: &wire::Resumed, frames: Vec<wire::PythonFrame>) {
        let header = &resumed.header;
        // Without the poll's own record (it was lost) nothing tells what the loop runs in.
        let Some((call, poll)) = self.polls.get(&header.tid).copied() else { return };
        let Some(stack) = self.stacks.resumed(header.pid, frames, poll) else { return };
        let kind = match resumed.round {
            wire::ROUND_MAIN => TurnKind::Main { of_tasks: resumed.of_tasks != 0 },
            wire::ROUND_STARTED => TurnKind::Started,
            round => TurnKind::Resumed { round, of_tasks: resumed.of_tasks != 0 },
        };
        // What the loop ran for while it polled: that is where it waited.
        if matches!(kind, TurnKind::Main { .. })
            && let Some(call) = call.and_then(|CallId(call)| self.calls.get_mut(call as usize))
        {
            call.stack = Some(stack);
        }
        self.turn(header, resumed.coroutine, stack, kind);
    }
}

/// The kernel's task state at switch-out (include/linux/sched.h): 1 interruptible, 2 uninterruptible, 4 and 8 stopped
/// or traced.
fn off_state(state: u32) -> OffState {
    match state {
        0 => OffState::Runnable,
        state if state & 2 != 0 => OffState::Uninterruptible,
        state if state & 0xc != 0 => OffState::Stopped,
        _ => OffState::Interruptible,
    }
}
