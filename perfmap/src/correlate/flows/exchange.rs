//! A request and what became of it, on one end of its connection; and which end's word counts where both are traced.

use super::{End, Protocol, Said};
use crate::recording::{Message, Nanos, StackId, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// No answer, or not all of it.
    Open,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exchange {
    pub protocol: Protocol,
    pub sent: Nanos,
    pub received: Nanos,
    pub task: TaskId,
    /// Who sent or read the first of the answer.
    pub answers: TaskId,
    pub stack: Option<StackId>,
    pub method: Option<String>,
    pub target: Option<String>,
    pub host: Option<String>,
    pub status: Option<u16>,
    pub refused: bool,
    pub repeat: Option<u64>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub outcome: Outcome,
    pub asked: Said,
    pub answered: Said,
}

impl Exchange {
    pub fn opened(message: &Message, protocol: Protocol) -> Exchange {
        Exchange {
            protocol,
            sent: message.at,
            received: message.at,
            task: message.task,
            answers: message.task,
            stack: message.stack,
            method: None,
            target: None,
            host: None,
            status: None,
            refused: false,
            repeat: None,
            request_bytes: 0,
            response_bytes: 0,
            outcome: Outcome::Open,
            asked: Said::default(),
            answered: Said::default(),
        }
    }
}

/// The exchanges of a connection whose two ends are traced: the client's own, or, where answers were hidden from it,
/// the server's with the client's times. The flag says whether some may still be missing.
pub(super) fn better(client: &End, server: &End) -> (Vec<Exchange>, bool) {
    let count = |end: &End| end.exchanges.iter().filter(|exchange| exchange.outcome == Outcome::Answered).count();
    // What the client's end could only infer from TLS records, the server's may have read.
    let inferred = client.exchanges.iter().any(|exchange| exchange.protocol == Protocol::Tls);
    let hidden = client.low || client.exchanges.is_empty() || (inferred && server.encrypted);
    let alike = server.protocol == client.protocol.or(server.protocol) || (inferred && server.encrypted);
    if !hidden || server.low || !alike || count(server) < count(client) {
        return (client.exchanges.clone(), client.low);
    }
    let mut merged = server.exchanges.clone();
    let last = client.exchanges.iter().map(|exchange| exchange.received).max();
    for (index, exchange) in merged.iter_mut().enumerate() {
        if let Some(task) = client.task {
            exchange.task = task;
        }
        exchange.stack = None;
        if let Some(own) = client.exchanges.get(index) {
            exchange.sent = own.sent;
            exchange.task = own.task;
            exchange.stack = own.stack;
        }
        // Read not before it was sent by the server.
        let read = client.exchanges.get(index).map(|own| own.received).or(last);
        exchange.received = exchange.received.max(read.unwrap_or_default()).max(exchange.sent);
    }
    (merged, false)
}
