//! Messages → who sent what arrived at a socket's other end, where the wake itself does not tell.

use crate::recording::{Direction, Event, Layer, Nanos, Recording, SocketId, TaskId};

/// A sender's record is made when its call returns: mostly at once after the wake. Whom the wake, or an interrupt, took
/// the CPU returns much later.
pub(crate) const SEND_RETURNS_WITHIN: Nanos = Nanos(1_000_000);

#[derive(Debug, Default)]
pub(crate) struct Senders {
    /// By `SocketId`, in order of time.
    sends: Vec<Vec<(Nanos, TaskId)>>,
}

impl Senders {
    pub(crate) fn new(recording: &Recording) -> Self {
        let mut sends = vec![Vec::new(); recording.sockets.len()];
        for event in &recording.events {
            // A call into a TLS library is not a system call.
            if let Event::Message(message) = event
                && message.direction == Direction::Sent
                && message.layer == Layer::Wire
                && (message.task.0 as usize) < recording.tasks.len()
                && let Some(of_socket) = sends.get_mut(message.socket.0 as usize)
            {
                of_socket.push((message.at, message.task));
            }
        }
        for of_socket in &mut sends {
            of_socket.sort_by_key(|(at, _)| *at);
        }
        Self { sends }
    }

    /// Who sent on `socket` what arrived at its other end at `arrived`, and cannot have been sent before `since`: it was
    /// not asked for then, or waited for yet. Where that was not recorded, who sent there last.
    pub(crate) fn between(&self, socket: SocketId, since: Nanos, arrived: Nanos) -> Option<TaskId> {
        let sends = self.sends.get(socket.0 as usize)?;
        let later = &sends[sends.partition_point(|(at, _)| *at < since)..];
        let soon = later.partition_point(|(at, _)| *at <= arrived.plus(SEND_RETURNS_WITHIN));
        later[..soon].last().or(later.first()).or(sends.last()).map(|(_, task)| *task)
    }
}
