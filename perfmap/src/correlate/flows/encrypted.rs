//! What a connection's TLS carried: read where a library's plaintext was seen, inferred from the turns of its records
//! where not, and never both for the same request. A library can be probed late, in the middle of a connection: what came
//! before is inferred. A turn whose plaintext was seen and held no request is none (the settings that both sides of
//! HTTP/2 begin with).

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
    if let Some(first) = first {
        let Early { inferred, seen_without } = early(turns.as_ref(), &plain[..=first]);
        // An answer without its request: that was sent before the probes, so its turn is among the inferred ones.
        let late = !inferred.is_empty() || plain[..first].iter().any(|message| answers(message));
        // Joined in the middle, what was seen may not have been understood.
        let unsure = seen_without && (late || handshake.is_none());
        let seen = if late { &plain[first..] } else { plain };
        if let Some(Calls { requests: client, protocol, exchanges, low }) = requests::read(seen) {
            let exchanges = inferred.into_iter().chain(exchanges).collect();
            return Some(Encrypted { client, exchanges, low: low || unsure, handshake, read: Some(protocol) });
        }
    }
    let tls::Turns { client, exchanges, handshake } = turns?;
    Some(Encrypted { client, exchanges, low: false, handshake, read: None })
}

/// The turns that were over before the first request was seen.
#[derive(Debug, Default)]
struct Early {
    inferred: Vec<Exchange>,
    /// Of some the plaintext was seen, and was no request.
    seen_without: bool,
}

/// `plain`: up to the first request.
fn early(turns: Option<&tls::Turns>, plain: &[&Message]) -> Early {
    let (Some(turns), Some((first, before))) = (turns, plain.split_last()) else { return Early::default() };
    let asked: Vec<Nanos> =
        before.iter().filter(|message| message.direction == turns.client).map(|message| message.at).collect();
    let (mut early, mut since) = (Early::default(), Nanos::ZERO);
    for turn in turns.exchanges.iter().filter(|turn| turn.received < first.at) {
        // A library is called before it sends, or returns after it did, but not after the answer.
        let seen = asked.get(asked.partition_point(|at| *at <= since)).is_some_and(|at| *at <= turn.received);
        match seen {
            true => early.seen_without = true,
            false => early.inferred.push(turn.clone()),
        }
        since = turn.received;
    }
    early
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
