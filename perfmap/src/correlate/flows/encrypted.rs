//! What a connection's TLS carried: read where a library's plaintext was seen, inferred from the turns of its records
//! where not, and never both for the same request. A library can be probed late, in the middle of a connection: what came
//! before is inferred.
//!
//! Turns are no count of HTTP/2's requests: its settings are turns too, and many requests can share one. But its streams are
//! numbered, so the first request that was read tells how many there were before.

use std::collections::BTreeSet;

use super::exchange::Exchange;
use super::requests::{self, Calls};
use super::{Protocol, tls};
use crate::recording::{CallStep, Direction, Mark, Message, Nanos};

/// Requests that may have shared their turns with others: a number that came over the wire makes no memory.
const MOST_TOGETHER: usize = 1024;

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
    if let Some(first) = plain.iter().position(|message| asks(message)) {
        let begins = plain[first].at;
        let turns = turns.iter().flat_map(|turns| &turns.exchanges);
        let before = turns.filter(|turn| turn.received < begins).cloned().collect();
        let Early { inferred, missing } = match streams_before(&plain[first..]) {
            Some(count) => of_streams(before, count, handshake.is_some()),
            None => Early { inferred: before, missing: false },
        };
        // An answer without its request: that was sent before the probes, so its turn is among the inferred ones.
        let late = !inferred.is_empty() || plain[..first].iter().any(|message| answers(message));
        let seen = if late { &plain[first..] } else { plain };
        if let Some(Calls { requests: client, protocol, exchanges, low }) = requests::read(seen) {
            let exchanges = inferred.into_iter().chain(exchanges).collect();
            return Some(Encrypted { client, exchanges, low: low || missing, handshake, read: Some(protocol) });
        }
    }
    let tls::Turns { client, exchanges, handshake } = turns?;
    Some(Encrypted { client, exchanges, low: false, handshake, read: None })
}

/// What came before the first request that was read.
#[derive(Debug)]
struct Early {
    inferred: Vec<Exchange>,
    /// There were more, of which nothing is known.
    missing: bool,
}

/// How many requests came before the first of these on their connection, whose answers are not among these. None: they have no
/// numbers.
fn streams_before(plain: &[&Message]) -> Option<usize> {
    let mut calls = plain.iter().flat_map(|message| &message.marks).filter_map(|mark| match mark {
        Mark::Call { stream, step, .. } if *stream != 0 => Some((*stream, step)),
        Mark::Call { .. } | Mark::Tokens { .. } | Mark::Upgraded | Mark::TlsRecord { .. } | Mark::TlsDesync => None,
    });
    // Clients count by two, from one on.
    let (first, _) = calls.clone().find(|(_, step)| matches!(step, CallStep::Request { .. }))?;
    let answer = |(stream, step): (u32, &CallStep)| {
        (stream < first && matches!(step, CallStep::Response { .. } | CallStep::ResponseEnd)).then_some(stream)
    };
    let answered_late: BTreeSet<u32> = calls.by_ref().filter_map(answer).collect();
    Some((first as usize / 2).saturating_sub(answered_late.len()))
}

/// `count` requests in the time of these turns. `whole`: the connection's start was seen, so there were no others.
fn of_streams(turns: Vec<Exchange>, count: usize, whole: bool) -> Early {
    // The settings are exchanged first: their turns are those of the first request.
    let together = if count == 0 { turns.len() } else { (turns.len() + 1).saturating_sub(count).max(1) };
    let mut turns = turns.into_iter();
    let first = turns.by_ref().take(together).reduce(|first, turn| Exchange {
        received: turn.received,
        request_bytes: first.request_bytes.saturating_add(turn.request_bytes),
        response_bytes: first.response_bytes.saturating_add(turn.response_bytes),
        ..first
    });
    let mut inferred: Vec<Exchange> = first.into_iter().filter(|_| count > 0).chain(turns).collect();
    let lacking = if whole { count.saturating_sub(inferred.len()) } else { 0 };
    // The rest went with them; which with which is not known, and the bytes are counted once.
    let last = inferred.last().map(|last| Exchange { request_bytes: 0, response_bytes: 0, ..last.clone() });
    let missing = lacking > 0 && last.is_none();
    inferred.extend(last.into_iter().flat_map(|last| std::iter::repeat_n(last, lacking.min(MOST_TOGETHER))));
    Early { inferred, missing: missing || lacking > MOST_TOGETHER }
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
