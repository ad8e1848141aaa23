//! Who asks and who writes for a connection → the requests of each connection with their askers.

use std::collections::BTreeMap;

use super::{Fact, Goroutine, What, ran::Ran, stints::Stint};
use crate::recording::{Direction, Nanos, ProcessId, SocketId, StackId};

/// Requests of one connection that may be under way together.
const MAX_TOGETHER: usize = 256;
/// Stints of a writer that are looked at for the send of one request.
const MAX_STINTS: usize = 64;
/// Stints of one goroutine on several threads can only overlap by what is not known of where they ended.
const MAX_OVERLAPPING: usize = 8;

/// A request that a goroutine made on a connection, and when its answer began to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub at: Nanos,
    pub goroutine: Goroutine,
    pub stack: StackId,
    pub socket: SocketId,
    pub answered: Nanos,
    /// From when to when whoever wrote it ran, where it was sent.
    pub written: (Nanos, Nanos),
}

/// In order of time. Of a connection one after the other, or many at once (HTTP/2).
#[derive(Debug, Default)]
pub struct Requests {
    of_socket: BTreeMap<(ProcessId, SocketId), Vec<Request>>,
    of_goroutine: BTreeMap<(ProcessId, Goroutine), Vec<Request>>,
}

impl Requests {
    pub fn new(of_process: &BTreeMap<ProcessId, Vec<Fact>>, ran: &Ran) -> Requests {
        let mut received: BTreeMap<SocketId, Vec<Nanos>> = BTreeMap::new();
        for transfer in ran.transfers.values().flatten().filter(|transfer| transfer.direction == Direction::Received) {
            received.entry(transfer.socket).or_default().push(transfer.at);
        }
        received.values_mut().for_each(|of_socket| of_socket.sort_unstable());
        let mut found = Requests::default();
        for (process, facts) in of_process {
            let writers = writers(*process, facts, ran);
            let mut asks: BTreeMap<u64, (Nanos, Goroutine, StackId)> = BTreeMap::new();
            for fact in facts {
                match fact.what {
                    What::Asks { goroutine, stack, connection } => {
                        asks.insert(connection, (fact.at, goroutine, stack));
                    }
                    What::Writes { goroutine: writer, connection } => {
                        // A body goes in several writes.
                        let Some((at, goroutine, stack)) = asks.remove(&connection) else { continue };
                        let stints = writers.get(&writer).map_or(&[][..], Vec::as_slice);
                        let Some((sent, socket, written)) = sent(stints, fact.at, ran) else { continue };
                        let answers = received.get(&socket).map_or(&[][..], Vec::as_slice);
                        let answered = answers.get(answers.partition_point(|at| *at <= sent)).copied();
                        let answered = answered.unwrap_or(Nanos(u64::MAX));
                        let request = Request { at, goroutine, stack, socket, answered, written };
                        found.of_socket.entry((*process, socket)).or_default().push(request);
                        found.of_goroutine.entry((*process, goroutine)).or_default().push(request);
                    }
                    What::Runs(_) | What::Schedules | What::Waits { .. } | What::GoesOn(_) | What::Ended(_) => {}
                }
            }
        }
        found.of_socket.values_mut().for_each(|requests| requests.sort_by_key(|request| request.at));
        found.of_goroutine.values_mut().for_each(|requests| requests.sort_by_key(|request| request.at));
        found
    }

    /// The one that was being written on the connection then; else the last one that was made by then.
    pub fn on(&self, process: ProcessId, socket: SocketId, at: Nanos) -> Option<&Request> {
        let of_socket = self.of_socket.get(&(process, socket))?;
        let made = &of_socket[..of_socket.partition_point(|request| request.at <= at)];
        let writing = |request: &&Request| request.written.0 <= at && at <= request.written.1;
        let near = made.iter().rev().take(MAX_TOGETHER).filter(writing);
        near.max_by_key(|request| request.written.0).or(made.last())
    }

    pub fn by(&self, process: ProcessId, goroutine: Goroutine, at: Nanos) -> Option<&Request> {
        last(self.of_goroutine.get(&(process, goroutine))?, at)
    }
}

fn last(requests: &[Request], at: Nanos) -> Option<&Request> {
    requests[..requests.partition_point(|request| request.at <= at)].last()
}

/// Of those that write: where they ran, in order of time.
fn writers(process: ProcessId, facts: &[Fact], ran: &Ran) -> BTreeMap<Goroutine, Vec<Stint>> {
    let writes = facts.iter().filter_map(|fact| match fact.what {
        What::Writes { goroutine, .. } => Some((goroutine, Vec::new())),
        What::Runs(_) | What::Schedules | What::Waits { .. } | What::GoesOn(_) | What::Ended(_) | What::Asks { .. } => {
            None
        }
    });
    let mut found: BTreeMap<Goroutine, Vec<Stint>> = writes.collect();
    if found.is_empty() {
        return found;
    }
    let threads = ran.threads.get(&process).map_or(&[][..], Vec::as_slice);
    for stint in threads.iter().filter_map(|thread| ran.stints.get(thread)).flatten() {
        if let Some(own) = found.get_mut(&stint.goroutine) {
            own.push(*stint);
        }
    }
    found.values_mut().for_each(|own| own.sort_by_key(|stint| (stint.from, stint.to)));
    found
}

/// What the writer sent next after `at`, when, and when it ran there. One that gathers requests yields before it sends them, and
/// one that shares the connection may wait for its turn: then it goes on on any thread.
fn sent(stints: &[Stint], at: Nanos, ran: &Ran) -> Option<(Nanos, SocketId, (Nanos, Nanos))> {
    let first = stints.partition_point(|stint| stint.from <= at).saturating_sub(MAX_OVERLAPPING);
    let later = stints[first..].iter().filter(|stint| stint.to >= at).take(MAX_STINTS);
    let sends = later.filter_map(|stint| {
        let mut transfers = ran.transfers(stint).iter();
        let send = transfers.find(|transfer| transfer.at >= at && transfer.direction == Direction::Sent)?;
        Some((send.at, send.socket, (at.max(stint.from), stint.to)))
    });
    sends.min_by_key(|(sent, _, _)| *sent)
}
