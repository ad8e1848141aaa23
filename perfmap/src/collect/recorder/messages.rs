//! Transfers on sockets, in the clear and inside TLS → messages with a parser's marks.

use perfmap_common as wire;

use super::Recorder;
use crate::{
    collect::{decode::RawStack, plaintext::Seen},
    recording::{CallStep, Direction, Event, Layer, Loss, Mark, Message, Role, SocketId, Wire},
};

impl Recorder {
    pub(super) fn message(&mut self, message: &wire::Message, raw: Option<&RawStack<'_>>, payload: &[u8]) {
        let stack = raw.map(|raw| self.stack(&message.header, raw));
        if raw.is_none() && self.goroutines.is_go(message.header.pid) {
            self.ran_goroutine(&message.header, message.stack.coroutine);
        }
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
        let is_client = self.sockets.sockets.get(socket.0 as usize).is_some_and(|socket| socket.role == Role::Client);
        // What is asked for there are requests of HTTP: what else the thread sends meanwhile says nothing.
        let asks = |mark: &Mark| match mark {
            Mark::Call { wire, step: CallStep::Request { .. }, .. } => matches!(wire, Wire::Http1 | Wire::Http2),
            Mark::Call { .. } | Mark::TlsRecord { .. } | Mark::TlsDesync | Mark::Upgraded | Mark::Tokens { .. } => {
                false
            }
        };
        let may_ask = self.sockets.carries_tls(message.socket) || marks.iter().any(asks);
        if direction == Direction::Sent && is_client && may_ask {
            let asked = self.pending_asks.sent(message.header.tid, socket);
            self.asked(asked);
        }
        self.event(Event::Message(Message {
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

    pub(super) fn plaintext(&mut self, record: &wire::Plaintext, raw: Option<&RawStack<'_>>, plaintext: &[u8]) {
        let sent = record.flags & wire::PLAINTEXT_SENT != 0;
        // What is sent was there when the call began, and so was the coroutine that sent it.
        let began = if sent { record.began } else { record.header.at };
        let stack = raw.map(|raw| self.stack(&wire::Header { at: began, ..record.header }, raw));
        let at = self.at(began);
        let Some(task) = self.tree.task(record.header.tid) else { return self.unknown_task() };
        let socket = self.sockets.with_cookie(record.socket);
        let told = self.plaintexts.moved(record, plaintext, socket, (at, task, stack));
        self.told(told);
    }

    /// Plaintext whose socket is known.
    pub(super) fn told(&mut self, told: Option<(SocketId, Vec<Seen>)>) {
        let Some((socket, seen)) = told else { return };
        for Seen { at, task, direction, bytes, marks, stack } in seen {
            self.event(Event::Message(Message {
                at,
                task,
                socket,
                layer: Layer::Plaintext,
                direction,
                bytes,
                descriptor: -1,
                marks,
                stack,
            }));
        }
    }
}
