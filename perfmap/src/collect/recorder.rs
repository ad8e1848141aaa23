//! The second thread: the kernel's bytes, put in order with the mappings' changes → a [`Recording`].
//!
//! Mapping changes come through perf's buffers, everything else through the ring, so both streams are merged by time:
//! before an event is taken, all changes up to its time are applied. It knows nothing of the target's fate.

use std::collections::{HashMap, VecDeque};

use perfmap_common as wire;

use super::{
    containers::Runtimes,
    decode::{RawStack, Record, decode},
    habitats::Habitats,
    mappings::{Change, What},
    object::Verdicts,
    plaintext::{Plaintexts, Seen as SeenPlain},
    process::Seen,
    sockets::{Closed, Sockets},
    stacks::Stacks,
    tree::{Adopted, Tree, name},
};
use crate::{
    protocol::RunKey,
    recording::{
        Call, CallId, CoroutineId, Direction, Event, FileIo, FileOperation, HeldLock, Layer, Loss, Losses, Message,
        Meta, Nanos, OffCpu, OffState, OnObject, Recording, Sample, ShortWaits, SocketId, StackId, Turn, TurnKind,
        WaitClass, Waker,
    },
    unwind::{KernelSymbols, Mapping, ModuleFiles, Root},
};

/// What the first thread sends.
pub enum Item {
    /// Changes of address spaces; at least all up to the next `Events`' last time.
    Changes(Vec<Change>),
    /// Ring entries, each preceded by its length in four bytes.
    Events(Vec<u8>),
    Python {
        pid: u32,
        layout: wire::PythonLayout,
    },
    /// What /proc told about a process at its execve.
    Image {
        pid: u32,
        seen: Seen,
        /// Where it finds its files.
        root: Option<Root>,
    },
    /// What a process's command line said right after it named itself.
    Title {
        pid: u32,
        title: String,
    },
    /// A process that ran already is followed from `at` on: comes before its records.
    Adopted {
        at: u64,
        adopted: Adopted,
        /// Where it finds its files.
        root: Option<Root>,
        /// TCP ports that it listens on.
        ports: Vec<u16>,
        mappings: Vec<Mapping>,
    },
    /// Sums of sockets still open at the end.
    OpenSockets(Vec<(u64, wire::SocketSums)>),
}

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

pub struct Recorder {
    /// CLOCK_MONOTONIC at the release of the target, or when watching began.
    origin: u64,
    tree: Tree,
    sockets: Sockets,
    plaintexts: Plaintexts,
    /// None: nobody listens.
    verdicts: Option<Verdicts>,
    stacks: Stacks,
    changes: VecDeque<Change>,
    /// One for each execve whose record is still to come.
    images: HashMap<u32, VecDeque<Seen>>,
    titles: HashMap<u32, String>,
    habitats: Habitats,
    events: Vec<Event>,
    calls: Vec<Call>,
    /// Indices of waits whose system call has not returned yet, by tid.
    open_waits: HashMap<u32, Vec<usize>>,
    /// Stacks of blocks outside system calls, by tid, with the time of the switch-out.
    fault_stacks: HashMap<u32, (u64, StackId)>,
    /// The last wait for one of several descriptors, by tid: index of the call, and its stack.
    polls: HashMap<u32, (usize, StackId)>,
    turns: Vec<Turn>,
    sites: HashMap<u64, StackId>,
    losses: Losses,
}

impl Recorder {
    /// Without a root, only what is adopted is known.
    pub fn new(
        origin: u64,
        root_pid: Option<u32>,
        kernel: Option<KernelSymbols>,
        verdicts: Option<Verdicts>,
    ) -> Recorder {
        let key = RunKey::default();
        Recorder {
            origin,
            tree: root_pid.map_or_else(Tree::default, Tree::with_root),
            sockets: Sockets::new(key.clone()),
            plaintexts: Plaintexts::new(key),
            verdicts,
            stacks: Stacks::new(kernel),
            changes: VecDeque::new(),
            images: HashMap::new(),
            titles: HashMap::new(),
            habitats: Habitats::new(Runtimes::default()),
            events: Vec::new(),
            calls: Vec::new(),
            open_waits: HashMap::new(),
            fault_stacks: HashMap::new(),
            polls: HashMap::new(),
            turns: Vec::new(),
            sites: HashMap::new(),
            losses: Losses::default(),
        }
    }

    pub fn accept(&mut self, item: Item) {
        match item {
            Item::Changes(changes) => {
                // One CPU's buffer is read later than another's: batches may overlap in time.
                self.changes.extend(changes);
                self.changes.make_contiguous().sort_by_key(|change| change.at);
            }
            Item::Python { pid, layout } => self.stacks.python(pid, &layout),
            Item::Image { pid, seen, root } => {
                // Of one that was gone already, what it inherited holds.
                if root.is_some() {
                    let root = self.habitats.foreign(&seen.whereabouts, root);
                    self.stacks.unwinder.rooted(pid, seen.whereabouts.namespaces.mount, root);
                }
                self.images.entry(pid).or_default().push_back(seen);
            }
            Item::Adopted { at, adopted, root, ports, mappings } => {
                let pid = adopted.pid;
                let whereabouts = &adopted.seen.whereabouts;
                let root = self.habitats.foreign(whereabouts, root);
                self.stacks.unwinder.rooted(pid, whereabouts.namespaces.mount, root);
                let surroundings = self.habitats.of(whereabouts, None);
                self.tree.adopt(adopted, surroundings, self.at(at));
                if let Some(process) = self.tree.process(pid) {
                    self.sockets.listens(process, ports);
                }
                // In its place among the changes: what was told of it before is older.
                self.accept(Item::Changes(vec![Change { at, pid, what: What::Snapshot(mappings) }]));
            }
            Item::Title { pid, title } => {
                self.titles.insert(pid, title);
            }
            Item::OpenSockets(open) => {
                for (cookie, sums) in &open {
                    self.sockets.add_open(*cookie, sums);
                }
            }
            Item::Events(bytes) => {
                for entry in entries(&bytes) {
                    match decode(entry) {
                        Ok(record) => self.record(record),
                        Err(_) => self.losses.add(Loss::Malformed, 1),
                    }
                }
            }
        }
    }

    fn at(&self, time: u64) -> Nanos {
        Nanos(time.saturating_sub(self.origin))
    }

    fn apply_changes(&mut self, until: u64) {
        while self.changes.front().is_some_and(|change| change.at <= until) {
            let Some(Change { pid, what, .. }) = self.changes.pop_front() else { return };
            let subject = match what {
                What::Forked { parent } => parent,
                What::Mapped { .. } | What::Executed | What::Snapshot(_) => pid,
            };
            // perf tells of every process on the machine.
            if self.tree.process(subject).is_none() && self.stacks.unwinder.spaces().version(subject) == 0 {
                continue;
            }
            match what {
                What::Executed => self.stacks.unwinder.executed(pid),
                What::Snapshot(mappings) => {
                    self.stacks.unwinder.executed(pid);
                    for mapping in &mappings {
                        self.stacks.unwinder.mapped(pid, mapping);
                    }
                }
                What::Forked { parent } => self.stacks.unwinder.forked(parent, pid),
                What::Mapped { start, length, file_offset, path, build_id } => {
                    let path = String::from_utf8_lossy(&path).into_owned();
                    let build_id = (!build_id.is_empty()).then_some(build_id);
                    self.stacks.unwinder.mapped(pid, &Mapping { start, length, file_offset, path, build_id });
                }
            }
        }
    }

    fn stack(&mut self, header: &wire::Header, raw: &RawStack<'_>) -> StackId {
        self.apply_changes(header.at);
        let stack = self.stacks.intern(header.pid, raw);
        if raw.coroutine != 0 {
            self.turn(header, raw.coroutine, stack, TurnKind::Ran);
        }
        stack
    }

    fn turn(&mut self, header: &wire::Header, coroutine: u64, stack: StackId, kind: TurnKind) {
        if let Some(task) = self.tree.task(header.tid) {
            let coroutine = CoroutineId(coroutine);
            self.turns.push(Turn { at: self.at(header.at), task, coroutine, stack, kind });
        }
    }

    fn resumed(&mut self, resumed: &wire::Resumed, frames: Vec<wire::PythonFrame>) {
        let header = &resumed.header;
        // Without the poll's own record (it was lost) nothing tells what the loop runs in.
        let Some((call, poll)) = self.polls.get(&header.tid).copied() else { return };
        let Some(stack) = self.stacks.resumed(header.pid, frames, poll) else { return };
        let kind = match resumed.round {
            wire::ROUND_MAIN => TurnKind::Main,
            wire::ROUND_STARTED => TurnKind::Started,
            round => TurnKind::Resumed { round, of_tasks: resumed.of_tasks != 0 },
        };
        // What the loop ran for while it polled: that is where it waited.
        if kind == TurnKind::Main
            && let Some(call) = self.calls.get_mut(call)
        {
            call.stack = Some(stack);
        }
        self.turn(header, resumed.coroutine, stack, kind);
    }

    fn record(&mut self, record: Record<'_>) {
        match record {
            Record::Fork(fork) => {
                let at = self.at(fork.header.at);
                self.apply_changes(fork.header.at);
                // The id may have been another's, who left something open.
                self.open_waits.remove(&fork.child_tid);
                self.fault_stacks.remove(&fork.child_tid);
                self.polls.remove(&fork.child_tid);
                if let Some(child) = self.tree.fork(&fork, at) {
                    self.stacks.forked(fork.header.pid, child);
                }
            }
            Record::Exec(exec) => {
                self.apply_changes(exec.header.at);
                let at = self.at(exec.header.at);
                let seen = self.image(exec.header.pid);
                let before = self.tree.surroundings(exec.header.pid);
                let surroundings = self.habitats.of(&seen.whereabouts, before);
                self.tree.exec(&exec, seen, surroundings, at);
                self.stacks.executed(exec.header.pid);
                self.open_waits.remove(&exec.header.tid);
                self.open_waits.remove(&(exec.value as u32));
                self.polls.remove(&exec.header.tid);
            }
            Record::Exit(exit) => {
                self.open_waits.remove(&exit.header.tid);
                self.polls.remove(&exit.header.tid);
                let at = self.at(exit.header.at);
                let over = self.tree.exit(&exit, at);
                self.plaintexts.exited(exit.header.tid, over);
                if let Some(pid) = over {
                    self.stacks.exited(pid);
                }
            }
            Record::Rename(rename) => {
                let title = self.titles.remove(&rename.header.pid).unwrap_or_default();
                self.tree.rename(&rename, title);
            }
            Record::Adopt(adopt) => {
                let at = self.at(adopt.header.at);
                self.open_waits.remove(&adopt.header.tid);
                self.tree.adopt_task(&adopt, at);
            }
            Record::Peer => {}
            Record::Sample(header, raw) => {
                let Some(task) = self.tree.task(header.tid) else { return self.unknown_task() };
                let stack = self.stack(&header, &raw);
                self.events.push(Event::Sample(Sample { at: self.at(header.at), task, stack }));
            }
            Record::FaultStack(header, raw) => {
                let stack = self.stack(&header, &raw);
                self.fault_stacks.insert(header.tid, (header.at, stack));
            }
            Record::Block(block) => self.block(&block),
            Record::Call(call, raw) => self.call(&call, &raw),
            Record::ShortWaits(waits, raw) => self.short_waits(&waits, &raw),
            Record::SocketSeen(seen) => {
                let at = self.at(seen.header.at);
                let Some(process) = self.tree.process(seen.header.pid) else { return self.unknown_task() };
                self.sockets.seen(&seen, process, at);
            }
            Record::SocketState(state) => {
                let process = self.tree.process(state.seen.header.pid);
                let at = self.at(state.seen.header.at);
                if let Some(ended) = self.sockets.ends(&state) {
                    let told = self.plaintexts.gone(ended, at);
                    self.told(told);
                }
                if let Some(Closed { socket, tid, marks }) = self.sockets.state(&state, process, at)
                    && let Some(task) = self.tree.task(tid)
                {
                    self.events.push(Event::Message(Message {
                        at,
                        task,
                        socket,
                        layer: Layer::Wire,
                        direction: Direction::Received,
                        bytes: 0,
                        descriptor: -1,
                        marks,
                        stack: None,
                    }));
                }
            }
            Record::Message(message, raw, payload) => self.message(&message, raw.as_ref(), payload),
            Record::Plaintext(record, raw, plaintext) => self.plaintext(&record, raw.as_ref(), plaintext),
            Record::Resumed(resumed, frames) => self.resumed(&resumed, frames),
            Record::FileIo(io, raw) => self.file_io(&io, raw.as_ref()),
            Record::PythonCode { code, name, file, table } => {
                let variable = [name, file, table].concat();
                if !self.stacks.code(&code, &variable) {
                    self.losses.add(Loss::PythonUnreadable, 1);
                }
            }
        }
    }

    fn image(&mut self, pid: u32) -> Seen {
        let Some(images) = self.images.get_mut(&pid) else { return Seen::default() };
        let seen = images.pop_front().unwrap_or_default();
        if images.is_empty() {
            self.images.remove(&pid);
        }
        seen
    }

    fn unknown_task(&mut self) {
        self.losses.add(Loss::Malformed, 1);
    }

    fn block(&mut self, block: &wire::Block) {
        let Some(task) = self.tree.task(block.header.tid) else { return self.unknown_task() };
        let (off, on) = (self.at(block.off), self.at(block.header.at));
        let state = off_state(block.state);
        let woken = match (state, block.wake) {
            (OffState::Runnable, _) => off,
            (_, 0) => on,
            (_, wake) => self.at(wake).max(off).min(on),
        };
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
        if !unfinished && syscall.is_some() && state != OffState::Runnable {
            self.open_waits.entry(block.header.tid).or_default().push(self.events.len());
        }
        self.events.push(Event::OffCpu(OffCpu {
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
        }));
    }

    fn call(&mut self, call: &wire::Call, raw: &RawStack<'_>) {
        let Some(task) = self.tree.task(call.header.tid) else { return self.unknown_task() };
        let stack = self.stack(&call.header, raw);
        if EPOLL.contains(&call.syscall) {
            self.polls.insert(call.header.tid, (self.calls.len(), stack));
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
        self.calls.push(Call {
            task,
            returned: self.at(call.header.at),
            number: call.syscall,
            result: call.result,
            arguments: call.arguments,
            object,
            stack: Some(stack),
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

    fn short_waits(&mut self, waits: &wire::ShortWaits, raw: &RawStack<'_>) {
        let Some(task) = self.tree.task(waits.header.tid) else { return self.unknown_task() };
        let stack = (raw.registers[16] != 0).then(|| self.stack(&waits.header, raw));
        let blocked = WAIT_CLASSES
            .into_iter()
            .zip(waits.blocked)
            .filter(|(_, length)| *length > 0)
            .map(|(class, length)| (class, Nanos(length)))
            .collect();
        let (from, to) = (self.at(waits.from), self.at(waits.header.at));
        self.events.push(Event::ShortWaits(ShortWaits {
            task,
            from: from.min(to),
            to,
            run_queue: Nanos(waits.run_queue),
            blocked,
            count: waits.count,
            stack,
        }));
    }

    fn message(&mut self, message: &wire::Message, raw: Option<&RawStack<'_>>, payload: &[u8]) {
        let stack = raw.map(|raw| self.stack(&message.header, raw));
        let Some((socket, direction, marks)) = self.sockets.message(message, payload) else {
            return self.losses.add(Loss::RingFullMessage, 1);
        };
        for (cookie, verdict) in self.sockets.verdicts.drain(..) {
            if let Some(verdicts) = &mut self.verdicts {
                verdicts.tell(cookie, verdict);
            }
        }
        if message.flags & wire::MESSAGE_CLOSED != 0 {
            return;
        }
        let Some(task) = self.tree.task(message.header.tid) else { return self.unknown_task() };
        let at = self.at(message.header.at);
        if self.sockets.carries_tls(message.socket) {
            let told = self.plaintexts.transferred(message.header.tid, socket, direction, message.bytes, &marks);
            self.told(told);
            if message.bytes == 0 && direction == Direction::Received {
                let told = self.plaintexts.ended(socket, at);
                self.told(told);
            }
        }
        self.events.push(Event::Message(Message {
            at,
            task,
            socket,
            layer: Layer::Wire,
            direction,
            bytes: message.bytes,
            descriptor: message.descriptor,
            marks,
            stack,
        }));
    }

    fn plaintext(&mut self, record: &wire::Plaintext, raw: Option<&RawStack<'_>>, plaintext: &[u8]) {
        let stack = raw.map(|raw| self.stack(&record.header, raw));
        let now = self.at(record.header.at);
        let Some(task) = self.tree.task(record.header.tid) else { return self.unknown_task() };
        let sent = record.flags & wire::PLAINTEXT_SENT != 0;
        let at = if sent { self.at(record.began) } else { now };
        let socket = self.sockets.with_cookie(record.socket);
        let told = self.plaintexts.moved(record, plaintext, socket, (at, task, stack));
        self.told(told);
    }

    /// Plaintext whose socket is known.
    fn told(&mut self, told: Option<(SocketId, Vec<SeenPlain>)>) {
        let Some((socket, seen)) = told else { return };
        self.events.extend(seen.into_iter().map(|SeenPlain { at, task, direction, bytes, marks, stack }| {
            Event::Message(Message {
                at,
                task,
                socket,
                layer: Layer::Plaintext,
                direction,
                bytes,
                descriptor: -1,
                marks,
                stack,
            })
        }));
    }

    fn file_io(&mut self, io: &wire::FileIo, raw: Option<&RawStack<'_>>) {
        let Some(task) = self.tree.task(io.header.tid) else { return self.unknown_task() };
        if let Some(raw) = raw {
            let stack = self.stack(&io.header, raw);
            self.sites.insert(io.site, stack);
        }
        self.events.push(Event::FileIo(FileIo {
            task,
            operation: if io.operation == 0 { FileOperation::Read } else { FileOperation::Write },
            first: self.at(io.first),
            last: self.at(io.header.at),
            calls: io.calls,
            bytes: io.bytes,
            stack: self.sites.get(&io.site).copied(),
        }));
    }

    /// The recording without its meta data; `kernel_losses` are those that the kernel side counted.
    pub fn finish(mut self, kernel_losses: &Losses) -> (Recording, ModuleFiles) {
        for (kind, count) in &kernel_losses.0 {
            self.losses.add(*kind, *count);
        }
        let parts = self.stacks.into_parts();
        self.losses.add(Loss::PythonUnreadable, parts.unknown_codes);
        self.events.sort_by_key(Event::at);
        self.turns.sort_by_key(|turn| turn.at);
        let own_surroundings = Some(self.habitats.own());
        let recording = Recording {
            meta: Meta { outside: self.tree.outside, own_surroundings, ..Meta::default() },
            processes: self.tree.processes,
            surroundings: self.habitats.into_known(),
            tasks: self.tree.tasks,
            sockets: self.sockets.sockets,
            modules: parts.modules,
            codes: parts.codes,
            kernel_symbols: parts.kernel_symbols,
            frames: parts.frames,
            python_frames: parts.python_frames,
            stacks: parts.stacks,
            calls: self.calls,
            events: self.events,
            losses: self.losses,
            turns: self.turns,
            ..Recording::default()
        };
        (recording, parts.files)
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

fn entries(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (entry, tail) = tail.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
        rest = tail;
        Some(entry)
    })
}
