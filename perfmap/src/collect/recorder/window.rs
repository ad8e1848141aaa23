//! More events than memory is allowed for → a window: the oldest three quarters are given up, and what they came to is
//! kept. Requests, connections and bytes stay exact that way; where the time went is known of the window alone.
//!
//! What a message means is not known here: the reading of messages comes with the plan.

use std::collections::{BTreeMap, HashMap};

use super::Recorder;
use crate::collect::goroutines::Fact;
use crate::recording::{
    Ask, Asked, Call, CallId, CallStep, Earlier, Event, FileIo, FileOperation, Fold, Folded, Loss, Mark, Memory,
    Message, Nanos, OnObject, ProcessId, Recording, Requests, SocketId, StackId, Turn, WebMethod,
};

/// How much is kept in detail.
#[derive(Clone, Copy)]
pub struct Detail {
    /// About so many bytes of events.
    pub bytes: usize,
    pub fold: Fold,
}

impl std::fmt::Debug for Detail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detail").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// File I/O that is alike is added up.
type Files = BTreeMap<(ProcessId, FileOperation, Option<StackId>), FileIo>;

/// What was given up.
#[derive(Default)]
pub(super) struct Past {
    pub earlier: Earlier,
    pub files: Files,
    /// Its changes, with the last reading of the first.
    pub memory: BTreeMap<(ProcessId, StackId), Memory>,
}

impl Recorder {
    pub(super) fn event(&mut self, mut event: Event) {
        if let Event::Message(message) = &mut event {
            // A vector's first room is for four.
            message.marks.shrink_to_fit();
        }
        self.held += size(&event);
        self.events.push(event);
    }

    /// Looked at after every batch: what that can bring is bounded.
    pub(super) fn keep_to_memory(&mut self) {
        if self.held + self.stacks.grown() < self.detail.bytes {
            return;
        }
        let event = self.events.get(self.events.len() / 4 * 3).map(Event::at);
        let turn = self.turns.get(self.turns.len() / 4 * 3).map(|turn| turn.at);
        if let Some(until) = event.max(turn).filter(|until| *until > self.past.earlier.length) {
            self.give_up(until);
        }
    }

    fn give_up(&mut self, until: Nanos) {
        let before = self.events.len();
        // The window begins with the requests under way, if they are not much older than it: their length is known then.
        let last = self.events.last().map_or(until, Event::at);
        let oldest = Nanos(until.0.saturating_sub(last.since(until).0 / 4)).max(self.past.earlier.length);
        let gone = self.gone_sockets(until, oldest);
        let events = std::mem::take(&mut self.events);
        let (mut messages, mut rest) = (Vec::new(), Vec::new());
        for (index, event) in events.into_iter().enumerate() {
            match event {
                Event::Message(message) if message.at < until => messages.push(Event::Message(message)),
                event => rest.push((index, event)),
            }
        }
        messages.sort_by_key(Event::at);
        let mut folded = self.fold(&mut messages, until, &gone);
        messages.retain(|event| is_under_way(event, &folded));
        let until = messages.first().map_or(until, Event::at).clamp(oldest, until);
        let wanted = self.open_waits.values().flatten().copied();
        let mut places: HashMap<usize, usize> = wanted.map(|index| (index, usize::MAX)).collect();
        for (index, event) in rest {
            if event.at() < until {
                self.past_event(event);
                continue;
            }
            if let Some(place) = places.get_mut(&index) {
                *place = messages.len();
            }
            messages.push(event);
        }
        self.events = messages;
        self.losses.add(Loss::RequestsCut, folded.cut);
        self.past.earlier.add(&mut folded);
        self.sockets.release(&folded.gone);
        for waits in self.open_waits.values_mut() {
            waits.retain_mut(|index| {
                *index = places.get(index).copied().unwrap_or(usize::MAX);
                *index != usize::MAX
            });
        }
        self.open_waits.retain(|_, waits| !waits.is_empty());
        self.give_up_calls(until);
        self.turns.retain(|turn| turn.at >= until);
        self.asks.retain(|ask| ask.at >= until);
        self.goroutines.facts.retain(|fact| fact.at >= until);
        self.forget_readings(until);
        self.past.earlier.length = until;
        self.past.earlier.events += (before - self.events.len()) as u64;
        self.events.shrink_to_fit();
        self.give_up_stacks();
        let events: usize = self.events.iter().map(size).sum();
        self.held = events
            + self.calls.len() * size_of::<Call>()
            + self.turns.len() * size_of::<Turn>()
            + self.asks.len() * size_of::<Ask>();
        self.held += self.goroutines.facts.len() * size_of::<Fact>();
    }

    /// Lends the reading all that it looks at.
    fn fold(&mut self, messages: &mut Vec<Event>, until: Nanos, gone: &[SocketId]) -> Folded {
        let mut recording = Recording {
            processes: std::mem::take(&mut self.tree.processes),
            tasks: std::mem::take(&mut self.tree.tasks),
            sockets: std::mem::take(&mut self.sockets.sockets),
            events: std::mem::take(messages),
            losses: self.losses.clone(),
            ..Recording::default()
        };
        let folded = (self.detail.fold)(&recording, until, gone);
        *messages = std::mem::take(&mut recording.events);
        self.tree.processes = std::mem::take(&mut recording.processes);
        self.tree.tasks = std::mem::take(&mut recording.tasks);
        self.sockets.sockets = std::mem::take(&mut recording.sockets);
        folded
    }

    /// Only sums of files and of memory are worth keeping.
    fn past_event(&mut self, event: Event) {
        let io = match event {
            Event::FileIo(io) => io,
            Event::Memory(memory) => return self.past_memory(memory),
            Event::Sample(_) | Event::OffCpu(_) | Event::ShortWaits(_) | Event::Message(_) => return,
        };
        let Some(task) = self.tree.tasks.get(io.task.0 as usize) else { return };
        let key = (task.process, io.operation, io.stack);
        match self.past.files.get_mut(&key) {
            Some(sum) => {
                sum.calls = sum.calls.saturating_add(io.calls);
                sum.bytes = sum.bytes.saturating_add(io.bytes);
            }
            None => {
                // Sums of several files are of none.
                self.past.files.insert(key, FileIo { file: None, ..io });
            }
        }
    }

    fn past_memory(&mut self, memory: Memory) {
        let Some(task) = self.tree.tasks.get(memory.task.0 as usize) else { return };
        match self.past.memory.get_mut(&(task.process, memory.stack)) {
            Some(sum) => sum.change = sum.change.saturating_add(memory.change),
            None => {
                self.past.memory.insert((task.process, memory.stack), memory);
            }
        }
    }

    /// Closed before `until`, and named by nothing that stays: messages from then on, calls from `oldest` on.
    fn gone_sockets(&self, until: Nanos, oldest: Nanos) -> Vec<SocketId> {
        let mut used = vec![false; self.sockets.sockets.len()];
        let events = self.events.iter().filter_map(|event| match event {
            Event::Message(message) if message.at >= until => Some(message.socket),
            _ => None,
        });
        let calls = self.calls.iter().filter_map(|call| match call.object {
            OnObject::Socket(socket) if call.returned >= oldest => Some(socket),
            _ => None,
        });
        for socket in events.chain(calls) {
            if let Some(flag) = used.get_mut(socket.0 as usize) {
                *flag = true;
            }
        }
        let gone = self.sockets.closed_before(until);
        gone.into_iter().filter(|id| used.get(id.0 as usize) == Some(&false)).collect()
    }

    fn give_up_calls(&mut self, until: Nanos) {
        let mut places: Vec<Option<u32>> = Vec::with_capacity(self.calls.len());
        let mut kept = 0;
        for call in &self.calls {
            let stays = call.returned >= until;
            places.push(stays.then_some(kept));
            kept += u32::from(stays);
        }
        self.calls.retain(|call| call.returned >= until);
        self.calls.shrink_to_fit();
        let place = |id: CallId| places.get(id.0 as usize).copied().flatten().map(CallId);
        for event in &mut self.events {
            if let Event::OffCpu(wait) = event {
                wait.call = wait.call.and_then(place);
            }
        }
        for (call, _) in self.polls.values_mut() {
            *call = call.and_then(place);
        }
    }
}

/// Stacks that nothing names any more are given up, too: a program can have new ones for ever.
impl Recorder {
    fn give_up_stacks(&mut self) {
        let mut used = vec![false; self.stacks.count()];
        self.each_stack(&mut |stack| {
            if let Some(flag) = used.get_mut(stack.0 as usize) {
                *flag = true;
            }
        });
        let places = self.stacks.keep(&used);
        self.each_stack(&mut |stack| *stack = places.get(stack.0 as usize).copied().flatten().unwrap_or(*stack));
    }

    fn each_stack(&mut self, visit: &mut dyn FnMut(&mut StackId)) {
        for event in &mut self.events {
            match event {
                Event::Sample(event) => visit(&mut event.stack),
                Event::Memory(event) => visit(&mut event.stack),
                Event::OffCpu(event) => event.stack.iter_mut().for_each(&mut *visit),
                Event::ShortWaits(event) => event.stack.iter_mut().for_each(&mut *visit),
                Event::Message(event) => event.stack.iter_mut().for_each(&mut *visit),
                Event::FileIo(event) => event.stack.iter_mut().for_each(&mut *visit),
            }
        }
        self.calls.iter_mut().filter_map(|call| call.stack.as_mut()).for_each(&mut *visit);
        self.turns.iter_mut().for_each(|turn| visit(&mut turn.stack));
        self.asks.iter_mut().for_each(|ask| visit(&mut ask.stack));
        self.pending_asks.stacks().for_each(&mut *visit);
        self.goroutines.stacks().for_each(&mut *visit);
        self.polls.values_mut().for_each(|(_, stack)| visit(stack));
        self.fault_stacks.values_mut().for_each(|(_, stack)| visit(stack));
        self.sites.values_mut().for_each(&mut *visit);
        self.plaintexts.stacks().for_each(&mut *visit);
        self.opened.stacks().for_each(&mut *visit);
        let Past { earlier, files, memory } = &mut self.past;
        let mut moved = |mut stack: Option<StackId>| {
            stack.iter_mut().for_each(&mut *visit);
            stack
        };
        *files = std::mem::take(files)
            .into_iter()
            .map(|((process, operation, stack), io)| {
                let stack = moved(stack);
                ((process, operation, stack), FileIo { stack, ..io })
            })
            .collect();
        *memory = std::mem::take(memory)
            .into_iter()
            .filter_map(|((process, stack), of)| {
                let stack = moved(Some(stack))?;
                Some(((process, stack), Memory { stack, ..of }))
            })
            .collect();
        earlier.requests = std::mem::take(&mut earlier.requests)
            .into_iter()
            .map(|(of, tally)| (Requests { stack: moved(of.stack), ..of }, tally))
            .collect();
    }
}

impl Past {
    /// The recording counts from the end of what was given up: what began before began there.
    pub fn finish(self, recording: &mut Recording) {
        let Past { earlier, files, memory } = self;
        let by = earlier.length;
        recording.earlier = earlier;
        if by == Nanos::ZERO {
            return;
        }
        recording.events.extend(files.into_values().map(Event::FileIo));
        recording.events.extend(memory.into_values().map(Event::Memory));
        let shift = |at: &mut Nanos| *at = at.since(by);
        let Recording { processes, tasks, sockets, calls, events, turns, asks, .. } = recording;
        for process in processes {
            shift(&mut process.born);
            process.died.iter_mut().for_each(shift);
            process.images.iter_mut().for_each(|image| shift(&mut image.at));
        }
        for task in tasks {
            shift(&mut task.born);
            task.died.iter_mut().for_each(shift);
        }
        for socket in sockets {
            shift(&mut socket.first_seen);
            socket.closed.iter_mut().for_each(shift);
            socket.states.iter_mut().for_each(|change| shift(&mut change.at));
        }
        calls.iter_mut().for_each(|call| shift(&mut call.returned));
        turns.iter_mut().for_each(|turn| shift(&mut turn.at));
        for Ask { at, what, .. } in asks {
            shift(at);
            if let Asked::Timer { due } = what {
                shift(due);
            }
        }
        for event in events {
            match event {
                Event::Sample(event) => shift(&mut event.at),
                Event::Memory(event) => shift(&mut event.at),
                Event::OffCpu(event) => [&mut event.off, &mut event.woken, &mut event.on].into_iter().for_each(shift),
                Event::ShortWaits(event) => [&mut event.from, &mut event.to].into_iter().for_each(shift),
                Event::Message(event) => shift(&mut event.at),
                Event::FileIo(event) => [&mut event.first, &mut event.last].into_iter().for_each(shift),
            }
        }
    }
}

/// Of requests under way, without what only their bodies brought.
fn is_under_way(event: &Event, folded: &Folded) -> bool {
    let Event::Message(message) = event else { return false };
    let from = folded.keep_from.get(message.socket.0 as usize).copied().unwrap_or(Nanos(u64::MAX));
    message.at >= from && !message.marks.is_empty() && folded.gone.binary_search(&message.socket).is_err()
}

/// About the memory that it takes.
pub(super) fn size(event: &Event) -> usize {
    let more = match event {
        Event::Sample(_) | Event::FileIo(_) | Event::Memory(_) => 0,
        Event::OffCpu(wait) => wait.waker.as_ref().map_or(0, |waker| heap(waker.comm.len())),
        Event::ShortWaits(waits) => heap(size_of_val(waits.blocked.as_slice())),
        Event::Message(Message { marks, .. }) => {
            heap(size_of_val(marks.as_slice())) + marks.iter().map(text).sum::<usize>()
        }
    };
    size_of::<Event>() + more
}

/// With what the allocator adds.
fn heap(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.next_multiple_of(16) + 16 }
}

fn text(mark: &Mark) -> usize {
    let of = |text: &Option<String>| text.as_ref().map_or(0, |text| heap(text.len()));
    let method = |method: &WebMethod| heap(method.0.len());
    match mark {
        Mark::Call { step: CallStep::Request { method: of_request, operation, host, .. }, .. } => {
            of_request.as_ref().map_or(0, method) + of(operation) + of(host)
        }
        Mark::Call { .. } | Mark::TlsRecord { .. } | Mark::TlsDesync | Mark::Upgraded => 0,
        Mark::Tokens { hashes, .. } => heap(hashes.len() * size_of::<u32>()),
    }
}
