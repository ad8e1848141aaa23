//! Transfers → per process the answers that its loops without known coroutines wait for, and which function had asked.
//!
//! Of the process, not of the thread: where a loop has several threads (Tokio, Go), the one that polls is seldom the one
//! that reads. What a thread blocked for by itself is no loop's.

use rustc_hash::{FxHashMap, FxHashSet};

use super::asks::Asks;
use crate::{
    correlate::Correlated,
    recording::{Direction, Event, Layer, Message, Nanos, ProcessId, Recording, Role, SocketId, StackId, TaskId},
};

/// Requests of one connection that are looked at, which may all be under way together (HTTP/2).
const MAX_TOGETHER: usize = 64;

#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// When it was read.
    pub at: Nanos,
    pub asked: Nanos,
    /// Of who asked.
    pub stack: StackId,
    pub socket: SocketId,
}

/// By process, in the order in which they were read. `coroutines`: whether those of a task are known.
pub(super) fn answers(
    recording: &Recording,
    correlated: &Correlated,
    asks: &Asks,
    coroutines: impl Fn(TaskId) -> bool,
) -> FxHashMap<ProcessId, Vec<Answer>> {
    let blocked_for: FxHashSet<SocketId> =
        correlated.waits.iter().filter(|wait| wait.woken > wait.off).filter_map(|wait| wait.socket).collect();
    let trips = Trips::new(correlated);
    let mut asked: FxHashMap<SocketId, (Nanos, StackId)> = FxHashMap::default();
    let mut found: FxHashMap<ProcessId, Vec<Answer>> = FxHashMap::default();
    let mut messages: Vec<&Message> = recording.events.iter().filter_map(message).collect();
    messages.sort_by_key(|message| message.at);
    for message in messages {
        let Some(socket) = recording.sockets.get(message.socket.0 as usize) else { continue };
        let Some(task) = recording.tasks.get(message.task.0 as usize) else { continue };
        let excluded = socket.role != Role::Client || blocked_for.contains(&message.socket) || coroutines(message.task);
        if excluded {
            continue;
        }
        match (message.direction, message.stack) {
            (Direction::Sent, stack) => {
                let asker = asks.asker(message.socket, message.at, stack).map(|ask| (ask.at, ask.stack));
                if let Some(by) = asker.or(stack.map(|stack| (message.at, stack))) {
                    asked.insert(message.socket, by);
                }
            }
            // The connection's end answers nothing.
            (Direction::Received, _) if message.bytes == 0 || !trips.awaited(message) => {}
            (Direction::Received, _) => {
                if let Some((asked, stack)) = asked.get(&message.socket).copied() {
                    let answer = Answer { at: message.at, asked, stack, socket: message.socket };
                    found.entry(task.process).or_default().push(answer);
                }
            }
        }
    }
    found
}

/// When each connection was waited on, where its protocol is known: what comes later (the tickets of TLS, notices) is no
/// answer to what was asked long before.
struct Trips(FxHashMap<SocketId, Vec<(Nanos, Nanos)>>);

impl Trips {
    fn new(correlated: &Correlated) -> Self {
        let mut trips: FxHashMap<SocketId, Vec<(Nanos, Nanos)>> = FxHashMap::default();
        for trip in correlated.flows.round_trips.iter().filter(|trip| !trip.inbound) {
            trips.entry(trip.socket).or_default().push((trip.sent, trip.received));
        }
        trips.values_mut().for_each(|of| of.sort_unstable());
        Self(trips)
    }

    /// An answer was on its way when the message came, or nothing is known of that.
    fn awaited(&self, message: &Message) -> bool {
        let Some(trips) = self.0.get(&message.socket) else { return true };
        let begun = trips.partition_point(|(sent, _)| *sent < message.at);
        // Answers may come in another order than their requests.
        trips[..begun].iter().rev().take(MAX_TOGETHER).any(|(_, received)| message.at <= *received)
    }
}

fn message(event: &Event) -> Option<&Message> {
    match event {
        Event::Message(message) if message.layer == Layer::Wire => Some(message),
        Event::Message(_)
        | Event::Sample(_)
        | Event::OffCpu(_)
        | Event::ShortWaits(_)
        | Event::FileIo(_)
        | Event::Memory(_) => None,
    }
}
