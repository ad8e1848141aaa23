//! What event loops were asked for → who stands behind a send, or behind the end of a wait for a timer, when only the runtime's
//! own functions are on the stack.
//!
//! Only what functions of the project asked for counts. An ask for a connection holds until something comes back on it:
//! what is sent later was asked for by somebody else, who may not be known.

use rustc_hash::{FxHashMap, FxHashSet};

use super::MAX_LOOKED_AT;
use crate::{
    recording::{Ask, Asked, Direction, Event, Layer, Nanos, ProcessId, Recording, SocketId, StackId, TaskId},
    resolve::{PlaceId, Resolved},
};

/// A poll's time-out is whole milliseconds, counted from when the loop last looked at its clock.
const TIMER_TOLERANCE: Nanos = Nanos(3_000_000);

#[derive(Debug, Default)]
pub(in crate::map) struct Asks {
    /// By socket, in order of time: the ask and until when it holds.
    sends: FxHashMap<SocketId, Vec<(Ask, Nanos)>>,
    /// By task, in order of time.
    timers: FxHashMap<TaskId, Vec<(Ask, Nanos)>>,
    /// Those of runtimes whose loop moves from thread to thread, by process, in order of time.
    shared: FxHashMap<ProcessId, Vec<(Ask, Nanos)>>,
    /// By `StackId`: a function of the project is on it.
    own: Vec<bool>,
}

impl Asks {
    pub(in crate::map) fn new(recording: &Recording, resolved: &Resolved, own: impl Fn(StackId) -> bool) -> Asks {
        let mut asks = Asks::default();
        if recording.asks.is_empty() {
            return asks;
        }
        asks.own = (0..resolved.stacks.len()).map(|stack| own(StackId(stack as u32))).collect();
        let answers = answers(recording);
        for ask in &recording.asks {
            if !asks.is_own(ask.stack) {
                continue;
            }
            match ask.what {
                Asked::Send(socket) => {
                    let came = answers.get(&socket).map_or(&[][..], Vec::as_slice);
                    let until = came.get(came.partition_point(|at| *at <= ask.at));
                    let until = until.copied().unwrap_or(Nanos(u64::MAX));
                    asks.sends.entry(socket).or_default().push((ask.clone(), until));
                }
                Asked::Timer { due } if is_tokios(resolved, ask.stack) => {
                    let Some(task) = recording.tasks.get(ask.task.0 as usize) else { continue };
                    asks.shared.entry(task.process).or_default().push((ask.clone(), due));
                }
                Asked::Timer { due } if sets_timer(resolved, ask.stack) => {
                    asks.timers.entry(ask.task).or_default().push((ask.clone(), due));
                }
                Asked::Timer { .. } => {}
            }
        }
        asks.shared.values_mut().for_each(|of_process| of_process.sort_by_key(|(ask, _)| ask.at));
        asks
    }

    fn is_own(&self, stack: StackId) -> bool {
        self.own.get(stack.0 as usize).copied().unwrap_or(false)
    }

    /// Who asked for what was sent at `at` from `stack`, where that does not show it.
    pub(in crate::map) fn asker(&self, socket: SocketId, at: Nanos, stack: Option<StackId>) -> Option<&Ask> {
        let of_socket = self.sends.get(&socket).filter(|_| !stack.is_some_and(|stack| self.is_own(stack)))?;
        let before = of_socket.partition_point(|(ask, _)| ask.at <= at).checked_sub(1)?;
        of_socket.get(before).filter(|(_, until)| at <= *until).map(|(ask, _)| ask)
    }

    /// Who set the timer that ran out at `at`; `looked` says when the loop had last looked at its clock before an instant.
    pub(super) fn timer(&self, task: TaskId, at: Nanos, looked: impl Fn(Nanos) -> Nanos) -> Option<StackId> {
        let of_task = self.timers.get(&task)?;
        let before = of_task.partition_point(|(ask, _)| ask.at < at);
        let fits = |(ask, due): &&(Ask, Nanos)| {
            let late = ask.at.since(looked(ask.at)).plus(TIMER_TOLERANCE);
            *due <= at.plus(late) && at <= due.plus(TIMER_TOLERANCE)
        };
        let near = of_task[..before].iter().rev().take(MAX_LOOKED_AT).filter(fits);
        near.min_by_key(|(_, due)| due.0.abs_diff(at.0)).map(|(ask, _)| ask.stack)
    }

    /// Who waits for the next timer of the process, on whichever thread it was set: Tokio's wheel polls several times, in
    /// ever smaller steps, until a distant one is due.
    pub(super) fn next_timer(&self, process: ProcessId, at: Nanos) -> Option<StackId> {
        let of_process = self.shared.get(&process)?;
        let before = of_process.partition_point(|(ask, _)| ask.at < at);
        let near = of_process[..before].iter().rev().take(MAX_LOOKED_AT);
        let pending = near.filter(|(_, due)| at <= due.plus(TIMER_TOLERANCE));
        pending.min_by_key(|(_, due)| *due).map(|(ask, _)| ask.stack)
    }
}

/// The future is on top of its own stack.
fn is_tokios(resolved: &Resolved, stack: StackId) -> bool {
    let places: &[PlaceId] = resolved.stacks.get(stack.0 as usize).map_or(&[], |stack| stack);
    let top = places.first().and_then(|id| resolved.places.get(id.0 as usize));
    top.is_some_and(|place| place.function.contains("tokio::time::sleep::Sleep"))
}

/// When something came back on each connection that was asked for: of those under TLS, plaintext.
fn answers(recording: &Recording) -> FxHashMap<SocketId, Vec<Nanos>> {
    let sends = recording.asks.iter().filter_map(|ask| match ask.what {
        Asked::Send(socket) => Some(socket),
        Asked::Timer { .. } => None,
    });
    let asked: FxHashSet<SocketId> = sends.collect();
    let messages = || {
        recording.events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message).filter(|message| asked.contains(&message.socket)),
            Event::Sample(_) | Event::OffCpu(_) | Event::ShortWaits(_) | Event::FileIo(_) | Event::Memory(_) => None,
        })
    };
    let readable = messages().filter(|message| message.layer == Layer::Plaintext).map(|message| message.socket);
    let readable: FxHashSet<SocketId> = readable.collect();
    let mut answers: FxHashMap<SocketId, Vec<Nanos>> = FxHashMap::default();
    for message in messages().filter(|message| message.direction == Direction::Received && message.bytes > 0) {
        if (message.layer == Layer::Plaintext) == readable.contains(&message.socket) {
            answers.entry(message.socket).or_default().push(message.at);
        }
    }
    answers.values_mut().for_each(|times| times.sort_unstable());
    answers
}

/// The runtime's functions that a program sets its timers with.
const TIMERS: [&str; 4] =
    ["node:timers", "node:internal/timers", "node:timers/promises", "node:internal/process/task_queues"];

/// Node sets timers of its own from within what a program calls (time-outs of connections): those are nobody's wait.
fn sets_timer(resolved: &Resolved, stack: StackId) -> bool {
    let places: &[PlaceId] = resolved.stacks.get(stack.0 as usize).map_or(&[], |stack| stack);
    let files = places.iter().filter_map(|id| resolved.places.get(id.0 as usize)?.file.as_deref());
    let mut of_runtime = files.take_while(|file| file.starts_with("node:"));
    of_runtime.all(|file| TIMERS.contains(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wheel polls up to where a distant timer's slot begins, and then again; a shorter one comes first.
    #[test]
    fn the_next_timer_of_the_process_is_waited_for() {
        let process = ProcessId(0);
        let set = |at: u64, due: u64, stack: u32| {
            let (at, due) = (Nanos(at * 1_000_000), Nanos(due * 1_000_000));
            (Ask { at, task: TaskId(0), stack: StackId(stack), what: Asked::Timer { due } }, due)
        };
        let shared = [(process, vec![set(10, 160, 1), set(20, 90, 2), set(30, 5_000, 3)])].into_iter().collect();
        let asks = Asks { shared, ..Asks::default() };
        let next = |at: u64| asks.next_timer(process, Nanos(at * 1_000_000));
        assert_eq!(next(15), Some(StackId(1)), "the others are not set yet");
        assert_eq!((next(64), next(91)), (Some(StackId(2)), Some(StackId(2))));
        assert_eq!((next(128), next(161)), (Some(StackId(1)), Some(StackId(1))));
        assert_eq!((next(200), next(6_000), next(5)), (Some(StackId(3)), None, None));
        assert_eq!(asks.next_timer(ProcessId(1), Nanos(50_000_000)), None);
    }
}
