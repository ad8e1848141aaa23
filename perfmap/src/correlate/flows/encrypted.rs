//! What a connection's TLS carried: read where a library's plaintext was seen, inferred from the turns of its records
//! where not, and never both for the same request. A library can be probed late, in the middle of a connection: what came
//! before is inferred.

use super::exchange::Exchange;
use super::requests::{self, Calls};
use super::{Protocol, tls};
use crate::recording::{CallStep, Direction, Mark, Message, Nanos};

#[derive(Debug)]
pub(super) struct Encrypted {
    /// Where the client's requests go.
    pub client: Direction,
    pub exchanges: Vec<Exchange>,
    /// Exchanges may be missing.
    pub low: bool,
    pub handshake: Option<Nanos>,
    /// What some of it was read as.
    pub read: Option<Protocol>,
}

/// None: no TLS. `known`: the client's direction, where somebody else knows it.
pub(super) fn read(wire: &[&Message], plain: &[&Message], known: Option<Direction>) -> Option<Encrypted> {
    let turns = tls::read(wire, known);
    let handshake = turns.as_ref().and_then(|turns| turns.handshake);
    let first = plain.iter().position(|message| asks(message));
    let inferred = |until: Nanos| {
        let turns = turns.iter().flat_map(|turns| &turns.exchanges);
        turns.filter(move |turn| turn.received < until).cloned().collect::<Vec<_>>()
    };
    if let Some(first) = first {
        let begins = plain[first].at;
        let early = inferred(begins);
        // An answer without its request: that was sent before the probes, so its turn is among the inferred ones.
        let late = !early.is_empty() || plain[..first].iter().any(|message| answers(message));
        let seen = if late { &plain[first..] } else { plain };
        if let Some(Calls { requests: client, protocol, exchanges, low }) = requests::read(seen) {
            let exchanges = early.into_iter().chain(exchanges).collect();
            return Some(Encrypted { client, exchanges, low, handshake, read: Some(protocol) });
        }
    }
    let tls::Turns { client, exchanges, handshake } = turns?;
    Some(Encrypted { client, exchanges, low: false, handshake, read: None })
}

fn asks(message: &Message) -> bool {
    message.marks.iter().any(|mark| matches!(mark, Mark::Call { step: CallStep::Request { .. }, .. }))
}

fn answers(message: &Message) -> bool {
    message.marks.iter().any(|mark| matches!(mark, Mark::Call { step: CallStep::Response { .. }, .. }))
}

#[cfg(test)]
#[path = "encrypted_tests.rs"]
mod tests;
