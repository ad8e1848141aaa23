//! Receives that give up after a while and try again → waits for the answer that came in the end. A client that wants
//! to stay interruptible polls its one socket for 100 ms at a time (psycopg does); none of these polls is a sleep.

use rustc_hash::FxHashMap;

use super::{
    causes::{Cause, Wait},
    flows::{Flows, RoundTrip},
    senders::Senders,
};
use crate::recording::TaskId;

pub(super) fn explain(flows: &Flows, senders: &Senders, waits: &mut [Wait]) {
    let gave_up = |wait: &&mut Wait| wait.polls_one && wait.cause == Cause::Sleep && wait.woken > wait.off;
    let mut tries: Vec<&mut Wait> = waits.iter_mut().filter(gave_up).collect();
    if tries.is_empty() {
        return;
    }
    let mut of_task: FxHashMap<TaskId, Vec<&RoundTrip>> = FxHashMap::default();
    for trip in flows.round_trips.iter().filter(|trip| !trip.inbound) {
        of_task.entry(trip.task).or_default().push(trip);
    }
    for trips in of_task.values_mut() {
        trips.sort_by_key(|trip| (trip.received, trip.sent));
    }
    for wait in &mut tries {
        let Some(trips) = of_task.get(&wait.task) else { continue };
        // The oldest question without an answer is the one that a single socket is read for.
        let Some(trip) = trips.get(trips.partition_point(|trip| trip.received < wait.woken)) else { continue };
        if trip.sent > wait.off {
            continue;
        }
        wait.cause = Cause::Network;
        let by = trip.server_socket.and_then(|socket| senders.between(socket, trip.sent, trip.received));
        wait.by = by.filter(|task| *task != wait.task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::{Counted, Protocol};
    use crate::recording::{Direction, Event, Layer, Message, Nanos, Recording, SocketId, Task};

    fn wait(off: u64, woken: u64) -> Wait {
        Wait {
            task: TaskId(0),
            off: Nanos(off),
            woken: Nanos(woken),
            on: Nanos(woken),
            throttled: false,
            cause: Cause::Sleep,
            by: None,
            stack: None,
            multiplexed: false,
            socket: None,
            polls_one: true,
            futex: false,
            lock: None,
        }
    }

    fn trip(sent: u64, received: u64) -> RoundTrip {
        RoundTrip {
            socket: SocketId(0),
            server_socket: Some(SocketId(1)),
            inbound: false,
            sent: Nanos(sent),
            received: Nanos(received),
            task: TaskId(0),
            stack: None,
            protocol: Protocol::Postgres,
            method: None,
            route: None,
            status: None,
            refused: false,
            repeat: None,
            request_bytes: 1,
            response_bytes: 1,
            counted: Counted::Exact,
            peer: None,
            asked: Default::default(),
            answered: Default::default(),
        }
    }

    #[test]
    fn tries_within_a_round_trip_are_waits_for_who_answered() {
        let message = |at, task, socket| {
            Event::Message(Message {
                at: Nanos(at),
                task: TaskId(task),
                socket: SocketId(socket),
                layer: Layer::Wire,
                direction: Direction::Sent,
                bytes: 1,
                descriptor: 3,
                marks: vec![],
                stack: None,
            })
        };
        let task = || Task {
            tid: 1,
            process: crate::recording::ProcessId(0),
            maker: None,
            born: Nanos(0),
            died: None,
            comm: String::new(),
        };
        let mut recording = Recording {
            tasks: vec![task(), task(), task()],
            events: vec![message(100, 0, 0), message(90, 2, 1), message(399, 1, 1), message(9_000_000, 2, 1)],
            ..Recording::default()
        };
        crate::correlate::tests::ends(&mut recording);
        let senders = Senders::new(&recording);
        let flows = Flows { round_trips: vec![trip(100, 400)], ..Flows::default() };
        for (off, woken, change, expected) in [
            (110, 210, None, Some(Cause::Network)),
            (310, 400, None, Some(Cause::Network)),
            (90, 210, None, None),  // before it was asked
            (390, 500, None, None), // answered meanwhile
            (110, 210, Some(false), None),
        ] {
            let mut waits = [Wait { polls_one: change.unwrap_or(true), ..wait(off, woken) }];
            explain(&flows, &senders, &mut waits);
            assert_eq!(waits[0].cause, expected.unwrap_or(Cause::Sleep), "{off} {woken}");
            assert_eq!(waits[0].by, expected.map(|_| TaskId(1)), "{off} {woken}");
        }
    }
}
