//! A decoded recording → whether every id in it points into its table, ancestors come to an end, and events are in
//! order. What lies right of the recording relies on it.

use super::{FileError, corrupt};
use crate::recording::{
    Asked, Call, CallId, DeviceId, Earlier, Endpoint, Event, Files, Frame, HeldLock, MOST_PROGRESS, MOST_SWEEP, Meta,
    OnObject, ProcessId, Recording, Runner, SocketId, Stack, StackId, TaskId, Waker, Work,
};

type Checked = Result<(), FileError>;

pub(super) fn check(recording: &Recording) -> Checked {
    let Recording {
        meta,
        baseline: _,
        processes,
        surroundings,
        tasks,
        sockets,
        modules: _,
        codes: _,
        kernel_symbols: _,
        frames,
        python_frames,
        stacks,
        symbols,
        calls,
        devices: _,
        events,
        losses: _,
        turns,
        asks,
        earlier,
        source: _,
        gpu: _,
        translations: _,
        work,
        files,
        environment: _,
        closer,
        own_profiles,
        far_ends: _,
    } = recording;
    let Meta { root, outside, own_surroundings, .. } = meta;
    outside.iter().try_for_each(|process| within(process.0, processes.len(), "process"))?;
    if !outside.is_sorted() {
        return Err(corrupt("its processes outside the command are not in order"));
    }
    root.map_or(Ok(()), |root| recording.known_task(root))?;
    let images = processes.iter().flat_map(|process| &process.images);
    for id in images.map(|image| image.surroundings).chain([*own_surroundings]).flatten() {
        within(id.0, surroundings.len(), "surroundings")?;
    }
    for task in tasks {
        within(task.process.0, processes.len(), "process")?;
        task.maker.map_or(Ok(()), |maker| recording.known_task(maker))?;
    }
    for process in processes {
        process.parent.map_or(Ok(()), |parent| within(parent.0, processes.len(), "process"))?;
    }
    ends(processes.len(), "process", |index| processes[index].parent.map(|parent| parent.0 as usize))?;
    ends(tasks.len(), "thread", |index| tasks[index].maker.map(|maker| maker.0 as usize))?;
    sockets.iter().try_for_each(|socket| within(socket.process.0, processes.len(), "process"))?;
    frames.iter().try_for_each(|frame| recording.known_frame(frame))?;
    python_frames.iter().try_for_each(|frame| within(frame.code.0, recording.codes.len(), "code"))?;
    stacks.iter().try_for_each(|stack| recording.known_stack_frames(stack))?;
    calls.iter().try_for_each(|call| recording.known_call_ids(call))?;
    events.iter().try_for_each(|event| recording.known_event_ids(event))?;
    if !symbols.is_empty() && symbols.len() != frames.len() {
        return Err(corrupt("it has not a symbol for each frame"));
    }
    if !events.is_sorted_by_key(Event::at) {
        return Err(corrupt("its events are not in order"));
    }
    for turn in turns {
        recording.known_task(turn.task)?;
        recording.known_stack(Some(turn.stack))?;
    }
    if !turns.is_sorted_by_key(|turn| turn.at) {
        return Err(corrupt("its coroutines' turns are not in order"));
    }
    for ask in asks {
        recording.known_task(ask.task)?;
        recording.known_stack(Some(ask.stack))?;
        match ask.what {
            Asked::Send(socket) => recording.known_socket(socket)?,
            Asked::Timer { due: _ } => {}
        }
    }
    if !asks.is_sorted_by_key(|ask| ask.at) {
        return Err(corrupt("what its event loops were asked for is not in order"));
    }
    bounded(work)?;
    file_ids(recording, files)?;
    for own in own_profiles {
        own.process.map_or(Ok(()), |process| within(process.0, processes.len(), "process"))?;
    }
    if let Some(again) = &closer.samples {
        let named = again.names.recording(&Meta::default());
        check(&named)?;
        again.samples.iter().try_for_each(|(stack, _)| named.known_stack(Some(*stack)))?;
    }
    if let Some(native) = &closer.native {
        let named = native.names.recording(&Meta::default());
        check(&named)?;
        native.by_stack.iter().try_for_each(|at| named.known_stack(Some(at.stack)))?;
    }
    earlier_ids(recording, earlier)
}

fn file_ids(recording: &Recording, files: &Files) -> Checked {
    let Files { known: _, made, descriptors, unread } = files;
    for made in made {
        recording.known_task(made.task)?;
        recording.known_stack(made.stack)?;
    }
    for of in descriptors {
        within(of.process.0, recording.processes.len(), "process")?;
        recording.known_task(of.task)?;
        recording.known_stack(of.stack)?;
    }
    for unread in unread {
        recording.known_task(unread.task)?;
        recording.known_socket(unread.socket)?;
    }
    Ok(())
}

fn bounded(work: &Work) -> Checked {
    let Work { items: _, total: _, workers: _, progress, sweep, sampled: _, asked: _ } = work;
    if progress.len() > MOST_PROGRESS || sweep.len() > MOST_SWEEP {
        return Err(corrupt("it has more progress or more runs of a sweep than are ever kept"));
    }
    if !progress.is_sorted_by_key(|progress| progress.at) {
        return Err(corrupt("its progress is not in order"));
    }
    Ok(())
}

fn earlier_ids(recording: &Recording, earlier: &Earlier) -> Checked {
    let Earlier { length: _, events: _, requests, sockets } = earlier;
    let process = |id: ProcessId| within(id.0, recording.processes.len(), "process");
    let endpoint = |endpoint: &Option<Endpoint>| match endpoint {
        Some(Endpoint::Unix(Some(id))) => process(*id),
        Some(Endpoint::Unix(None) | Endpoint::Internet { .. }) | None => Ok(()),
    };
    for (of, tally) in requests {
        if !tally.latencies.are_possible() {
            return Err(corrupt("the least of its latencies is above the greatest"));
        }
        process(of.process)?;
        of.server.map_or(Ok(()), process)?;
        endpoint(&of.endpoint)?;
        recording.known_stack(of.stack)?;
        recording.known_task(tally.task)?;
    }
    sockets.keys().try_for_each(endpoint)
}

impl Recording {
    fn known_task(&self, id: TaskId) -> Checked {
        within(id.0, self.tasks.len(), "thread")
    }

    fn known_socket(&self, id: SocketId) -> Checked {
        within(id.0, self.sockets.len(), "socket")
    }

    fn known_stack(&self, id: Option<StackId>) -> Checked {
        id.map_or(Ok(()), |id| within(id.0, self.stacks.len(), "stack"))
    }

    fn known_frame(&self, frame: &Frame) -> Checked {
        match frame {
            Frame::Native { module, offset: _ } => within(module.0, self.modules.len(), "module"),
            Frame::Kernel(symbol) => within(symbol.0, self.kernel_symbols.len(), "kernel symbol"),
            Frame::Jit { .. } | Frame::Unmapped { .. } => Ok(()),
        }
    }

    fn known_stack_frames(&self, stack: &Stack) -> Checked {
        let Stack { kernel, native, python, end: _ } = stack;
        kernel.iter().chain(native).try_for_each(|frame| within(frame.0, self.frames.len(), "frame"))?;
        python.iter().try_for_each(|frame| within(frame.0, self.python_frames.len(), "Python frame"))
    }

    fn known_call_ids(&self, call: &Call) -> Checked {
        self.known_task(call.task)?;
        self.known_stack(call.stack)?;
        match call.object {
            OnObject::Socket(socket) => self.known_socket(socket),
            OnObject::None | OnObject::Pipe(_) | OnObject::File | OnObject::Anonymous(_) => Ok(()),
        }
    }

    fn known_event_ids(&self, event: &Event) -> Checked {
        self.known_task(event.task())?;
        match event {
            Event::Sample(sample) => self.known_stack(Some(sample.stack)),
            Event::Memory(memory) => self.known_stack(Some(memory.stack)),
            Event::OffCpu(off) => {
                if let Some(Waker { task: Some(task), .. }) = off.waker {
                    self.known_task(task)?;
                }
                if let Some(HeldLock { holder, interpreter: _ }) = off.held {
                    self.known_task(holder)?;
                }
                if let Some(Runner { task: Some(task), .. }) = off.before {
                    self.known_task(task)?;
                }
                if let Some(DeviceId(device)) = off.device {
                    within(device, self.devices.len(), "device")?;
                }
                if let Some(CallId(call)) = off.call {
                    within(call, self.calls.len(), "call")?;
                }
                self.known_stack(off.stack)
            }
            Event::ShortWaits(waits) => self.known_stack(waits.stack),
            Event::Message(message) => {
                self.known_socket(message.socket)?;
                self.known_stack(message.stack)
            }
            Event::FileIo(io) => {
                io.file.map_or(Ok(()), |file| within(file.0, self.files.known.len(), "file"))?;
                self.known_stack(io.stack)
            }
        }
    }
}

fn within(id: u32, count: usize, what: &str) -> Checked {
    if (id as usize) < count { Ok(()) } else { Err(corrupt(format!("it names {what} {id} of {count}"))) }
}

/// Every way through `next` comes to an end: no process is its own ancestor.
fn ends(count: usize, what: &str, next: impl Fn(usize) -> Option<usize>) -> Checked {
    // Which walk came by: 0 none yet.
    let mut seen = vec![0_usize; count];
    for start in 0..count {
        let mut at = Some(start);
        while let Some(index) = at {
            match seen[index] {
                0 => seen[index] = start + 1,
                walk if walk == start + 1 => return Err(corrupt(format!("{what} {index} is its own ancestor"))),
                _ => break,
            }
            at = next(index);
        }
    }
    Ok(())
}
