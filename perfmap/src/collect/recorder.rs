//! The second thread: the kernel's bytes, put in order with the mappings' changes → a [`Recording`].
//!
//! Mapping changes come through perf's buffers, everything else through the ring, so both streams are merged by time:
//! before an event is taken, all changes up to its time are applied. It knows nothing of the target's fate.

mod allocations;
mod files;
mod messages;
mod readings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unseen_tests;
mod waits;
mod window;

pub use allocations::Allocations;
pub use window::Detail;

use std::collections::{HashMap, VecDeque};

use perfmap_common as wire;

use super::{
    asks::{self, Asks, Key},
    containers::Runtimes,
    decode::{RawStack, Record, decode},
    devices::Devices,
    goroutines::Goroutines,
    habitats::Habitats,
    item::Item,
    mappings::{Change, What},
    object::Verdicts,
    opened::Opened,
    plaintext::Plaintexts,
    process::Seen,
    sockets::{Closed, Sockets},
    stacks::Stacks,
    tree::Tree,
};
use window::Past;

use crate::{
    protocol::RunKey,
    recording::{
        Ask, Asked, Call, CallId, Direction, Event, Layer, Loss, Losses, Memory, Message, Meta, Nanos, Recording,
        Sample, StackId, Turn, TurnKind,
    },
    unwind::{KernelSymbols, Mapping, ModuleFiles},
};

pub struct Recorder {
    /// CLOCK_MONOTONIC at the release of the target, or when watching began.
    origin: u64,
    /// There is a root.
    launched: bool,
    tree: Tree,
    sockets: Sockets,
    plaintexts: Plaintexts,
    pending_asks: Asks,
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
    /// The last wait for one of several descriptors, by tid: its call, where that is kept, and its stack.
    polls: HashMap<u32, (Option<CallId>, StackId)>,
    turns: Vec<Turn>,
    devices: Devices,
    goroutines: Goroutines,
    asks: Vec<Ask>,
    sites: HashMap<u64, StackId>,
    readings: readings::Readings,
    opened: Opened,
    allocations: Allocations,
    losses: Losses,
    detail: Detail,
    /// About the bytes that events, calls and turns take.
    held: usize,
    past: Past,
}

impl Recorder {
    /// Without a root, only what is adopted is known.
    pub fn new(
        origin: u64,
        root_pid: Option<u32>,
        kernel: Option<KernelSymbols>,
        verdicts: Option<Verdicts>,
        detail: Detail,
    ) -> Recorder {
        let key = RunKey::default();
        Recorder {
            origin,
            launched: root_pid.is_some(),
            tree: root_pid.map_or_else(Tree::default, Tree::with_root),
            sockets: Sockets::new(key.clone()),
            plaintexts: Plaintexts::new(key),
            pending_asks: Asks::default(),
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
            devices: Devices::default(),
            goroutines: Goroutines::default(),
            asks: Vec::new(),
            sites: HashMap::new(),
            readings: readings::Readings::default(),
            opened: Opened::default(),
            allocations: Allocations::default(),
            losses: Losses::default(),
            detail,
            held: 0,
            past: Past::default(),
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
            Item::Reading { at, pid, threads } => self.reading(at, pid, threads),
            Item::Go { pid, reasons } => self.goroutines.found(pid, reasons),
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
                self.keep_to_memory();
            }
        }
    }

    fn at(&self, time: u64) -> Nanos {
        Nanos(time.saturating_sub(self.origin))
    }

    fn apply_changes(&mut self, until: u64) {
        self.stacks.unwinder.reached(until);
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
        if self.goroutines.is_go(header.pid) {
            self.ran_goroutine(header, raw.coroutine);
        } else if raw.coroutine != 0 {
            self.turn(header, raw.coroutine, stack, TurnKind::Ran);
        }
        stack
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
                self.goroutines.gone(exec.header.pid);
                self.allocations.executed(exec.header.pid);
                self.pending_asks.executed(exec.header.pid);
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
                self.pending_asks.exited(exit.header.tid, over);
                if let Some(pid) = over {
                    self.stacks.exited(pid);
                    self.goroutines.gone(pid);
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
                self.event(Event::Sample(Sample { at: self.at(header.at), task, stack }));
            }
            Record::Memory(memory, raw) => {
                let Some(task) = self.tree.task(memory.header.tid) else { return self.unknown_task() };
                let stack = self.stack(&memory.header, &raw);
                let (at, resident) = (self.at(memory.header.at), u64::try_from(memory.resident).unwrap_or(0));
                self.event(Event::Memory(Memory { at, task, change: memory.change, resident, stack }));
            }
            Record::Allocation(allocation, raw) => self.allocation(&allocation, &raw),
            Record::Freed(freed) => self.freed(&freed),
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
                let opens = opens(&state);
                if let Some(ended) = self.sockets.ends(&state) {
                    let told = self.plaintexts.gone(ended, at);
                    self.told(told);
                    self.pending_asks.gone(ended);
                }
                if let Some(Closed { socket, tid, marks }) = self.sockets.state(&state, process, at)
                    && let Some(task) = self.tree.task(tid)
                {
                    self.event(Event::Message(Message {
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
                if opens && let Some(socket) = self.sockets.with_cookie(state.seen.socket) {
                    let asked = self.pending_asks.opened(state.seen.header.tid, socket);
                    self.asked(asked);
                }
            }
            Record::Ask(ask, raw, object) => self.ask(&ask, raw.as_ref(), object),
            Record::Message(message, raw, payload) => self.message(&message, raw.as_ref(), payload),
            Record::Plaintext(record, raw, plaintext) => self.plaintext(&record, raw.as_ref(), plaintext),
            Record::Resumed(resumed, frames) => self.resumed(&resumed, frames),
            Record::Goroutine(seen, what, raw) => self.goroutine(&seen, what, &raw),
            Record::FileIo(io, raw) => self.file_io(&io, raw.as_ref()),
            Record::Opened(opened, raw, path) => self.opened(&opened, raw.as_ref(), path),
            Record::Closed(closed) => self.closed(&closed),
            Record::Unread(unread) => self.unread(&unread),
            Record::PythonCode { code, name, file, table } => {
                let variable = [name, file, table].concat();
                if !self.stacks.code(&code, &variable) {
                    self.losses.add(Loss::PythonUnreadable, 1);
                }
            }
        }
    }

    fn ask(&mut self, ask: &wire::Ask, raw: Option<&RawStack<'_>>, object: &[u8]) {
        let header = &ask.header;
        let Some(task) = self.tree.task(header.tid) else { return self.unknown_task() };
        let (at, stack) = (self.at(header.at), raw.map(|raw| self.stack(header, raw)));
        let by = stack.map(|stack| (at, task, stack));
        let key = |address: u64| Key { pid: header.pid, address };
        let Some(what) = wire::AskFunction::from_u32(ask.what) else { return self.losses.add(Loss::Malformed, 1) };
        match (what, by) {
            (wire::AskFunction::Made, Some(by)) => self.pending_asks.made(key(ask.handle), ask.wrap, by),
            (wire::AskFunction::Connects, _) => self.pending_asks.connects(header.tid, key(ask.handle)),
            (wire::AskFunction::Reused, Some(by)) => {
                let tls = || self.plaintexts.of_object(header.pid, object).map(|socket| asks::send(by, socket));
                let wrap = key(ask.wrap);
                let asked = self.pending_asks.reused(wrap, by).or_else(tls);
                let asked = asked.or_else(|| self.pending_asks.reused_unknown(header.tid, wrap, by));
                self.asked(asked);
            }
            (wire::AskFunction::Timer | wire::AskFunction::Sleeps, Some((at, task, stack))) => {
                let what = Asked::Timer { due: self.at(ask.due) };
                self.asked(Some(Ask { at, task, stack, what }));
            }
            (
                wire::AskFunction::Made
                | wire::AskFunction::Reused
                | wire::AskFunction::Timer
                | wire::AskFunction::Sleeps,
                None,
            ) => {}
        }
    }

    fn asked(&mut self, ask: Option<Ask>) {
        self.held += ask.as_ref().map_or(0, size_of_val);
        self.asks.extend(ask);
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

    /// What was allocated; nothing comes after it.
    pub fn take_allocations(&mut self) -> Allocations {
        std::mem::take(&mut self.allocations)
    }

    /// The recording without its meta data; `kernel_losses` are those that the kernel side counted.
    pub fn finish(mut self, kernel_losses: &Losses) -> (Recording, ModuleFiles) {
        for (kind, count) in &kernel_losses.0 {
            self.losses.add(*kind, *count);
        }
        self.put_readings_in();
        let parts = self.stacks.into_parts();
        self.losses.add(Loss::PythonUnreadable, parts.unknown_codes);
        self.turns.sort_by_key(|turn| turn.at);
        self.asks.sort_by_key(|ask| ask.at);
        let own_surroundings = Some(self.habitats.own());
        let mut recording = Recording {
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
            devices: self.devices.into_known(),
            events: self.events,
            losses: self.losses,
            turns: self.turns,
            asks: self.asks,
            files: self.opened.finish(self.past.earlier.length),
            ..Recording::default()
        };
        self.goroutines.into_tasks(self.launched, &mut recording);
        self.past.finish(&mut recording);
        recording.events.sort_by_key(Event::at);
        (recording, parts.files)
    }
}

/// To SYN_SENT (include/net/tcp_states.h), by the thread that connects.
fn opens(state: &wire::SocketState) -> bool {
    state.to == 2
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
