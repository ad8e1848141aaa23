//! Sleeps of a loop that tries to connect until somebody listens → waits for the process that came to listen.
//!
//! A program that polls another one's readiness sleeps, but what it waits for is the other's way to its `listen`. Such
//! a loop is known by what it does, not by names: connections to one address fail, each is followed by the same sleep,
//! and the first one after a traced process listens there succeeds. Up to that moment each of these sleeps is a wait
//! for that process; what is left of the last one is a sleep.

use std::collections::BTreeMap;

use super::causes::{Cause, Wait};
use crate::recording::{Address, Nanos, ProcessId, Recording, Socket, StackId, TaskId, TcpState};

/// So many failed attempts make a loop.
const LEAST_FAILURES: usize = 2;

struct Attempt {
    at: Nanos,
    /// When the connection was established.
    established: Option<Nanos>,
}

/// A loop's attempts, from the first one that failed to the one that succeeded.
struct Loop {
    poller: ProcessId,
    listener: TaskId,
    cause: Cause,
    /// When the listener began to listen.
    ready: Nanos,
    /// The attempts that failed, then the end of the one that did not.
    times: Vec<Nanos>,
}

pub(super) fn explain(recording: &Recording, waits: &mut Vec<Wait>) {
    let attempts = attempts(recording);
    if attempts.is_empty() {
        return;
    }
    let mut split = Vec::new();
    for found in loops(recording, &attempts) {
        for index in sleeps(recording, waits, &found) {
            let wait = &mut waits[index];
            if wait.woken > found.ready {
                split.push(Wait { off: found.ready, ..wait.clone() });
                wait.woken = found.ready;
                wait.on = found.ready;
            }
            wait.cause = found.cause;
            wait.by = Some(found.listener);
        }
    }
    waits.append(&mut split);
}

/// By process and address, in order of time; only where one failed.
fn attempts(recording: &Recording) -> BTreeMap<(ProcessId, Address), Vec<Attempt>> {
    let mut found: BTreeMap<(ProcessId, Address), Vec<Attempt>> = BTreeMap::new();
    for socket in &recording.sockets {
        if let (Some(at), Some(remote)) = (changed(socket, TcpState::SynSent), socket.remote) {
            let established = changed(socket, TcpState::Established);
            found.entry((socket.process, remote)).or_default().push(Attempt { at, established });
        }
    }
    found.retain(|_, attempts| attempts.iter().any(|attempt| attempt.established.is_none()));
    found.values_mut().for_each(|attempts| attempts.sort_by_key(|attempt| attempt.at));
    found
}

fn changed(socket: &Socket, to: TcpState) -> Option<Nanos> {
    socket.states.iter().find(|change| change.to == to).map(|change| change.at)
}

fn loops(recording: &Recording, attempts: &BTreeMap<(ProcessId, Address), Vec<Attempt>>) -> Vec<Loop> {
    let mut found = Vec::new();
    for socket in &recording.sockets {
        let (Some(ready), Some(local)) = (changed(socket, TcpState::Listen), socket.local) else { continue };
        let Some(listener) = leader(recording, socket.process) else { continue };
        for ((poller, remote), attempts) in attempts {
            if *poller == socket.process || remote.port != local.port || !reaches(remote, &local) {
                continue;
            }
            let after = attempts.partition_point(|attempt| attempt.at < ready);
            let Some(established) = attempts.get(after).and_then(|attempt| attempt.established) else { continue };
            let failed = attempts[..after].iter().rev().take_while(|attempt| attempt.established.is_none()).count();
            if failed < LEAST_FAILURES {
                continue;
            }
            let mut times: Vec<Nanos> = attempts[after - failed..after].iter().map(|attempt| attempt.at).collect();
            times.push(established);
            let below = is_below(recording, socket.process, *poller);
            let cause = if below { Cause::Child } else { Cause::Network };
            found.push(Loop { poller: *poller, listener, cause, ready, times });
        }
    }
    found
}

fn reaches(remote: &Address, local: &Address) -> bool {
    const ANY_V4: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0];
    local.ip == remote.ip || local.ip == [0; 16] || local.ip == ANY_V4
}

fn leader(recording: &Recording, of: ProcessId) -> Option<TaskId> {
    let pid = recording.processes.get(of.0 as usize)?.pid;
    let first = recording.tasks.iter().position(|task| task.process == of && task.tid == pid)?;
    Some(TaskId(first as u32))
}

fn is_below(recording: &Recording, process: ProcessId, above: ProcessId) -> bool {
    let parent = |of: ProcessId| recording.processes.get(of.0 as usize).and_then(|process| process.parent);
    // Parents are older; anything else would be a cycle.
    std::iter::successors(Some(process), |of| parent(*of).filter(|parent| parent < of)).skip(1).any(|of| of == above)
}

/// The loop's own sleeps while the listener was on its way: those of one task and place that lie in half of the gaps
/// between its attempts, and in two at least.
fn sleeps(recording: &Recording, waits: &[Wait], of: &Loop) -> Vec<usize> {
    let (Some(first), Some(last)) = (of.times.first(), of.times.last()) else { return Vec::new() };
    let born = recording.tasks.get(of.listener.0 as usize).map_or(*last, |task| task.born);
    let gap = |at: Nanos| of.times.partition_point(|time| *time <= at);
    let mut places: BTreeMap<(TaskId, StackId), Vec<usize>> = BTreeMap::new();
    for (index, wait) in waits.iter().enumerate() {
        let process = recording.tasks.get(wait.task.0 as usize).map(|task| task.process);
        let during = wait.off >= *first && wait.woken <= *last;
        if let (Cause::Sleep, Some(stack)) = (wait.cause, wait.stack)
            && process == Some(of.poller)
            && during
            && wait.by.is_none()
            // An event loop's poll is for all that it serves.
            && !wait.multiplexed
        {
            places.entry((wait.task, stack)).or_default().push(index);
        }
    }
    let mut found = Vec::new();
    for of_place in places.into_values() {
        let mut gaps: Vec<usize> = of_place.iter().map(|index| gap(waits[*index].off)).collect();
        gaps.sort_unstable();
        gaps.dedup();
        if gaps.len() >= LEAST_FAILURES && gaps.len() * 2 >= of.times.len() - 1 {
            found.extend(of_place);
        }
    }
    found.retain(|index| waits[*index].off < of.ready && waits[*index].off >= born);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        correlate::{State, correlate, syscalls as call},
        recording::{Call, CallId, Event, Family, OffCpu, OffState, OnObject, Process, StateChange, Task, TcpState::*},
    };

    const POLLER: TaskId = TaskId(0);
    const SERVER: TaskId = TaskId(1);
    const PORT: u16 = 8000;

    fn address(port: u16) -> Address {
        Address { ip: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1], port }
    }

    struct Told(Recording);

    impl Told {
        /// The poller makes the server at 10.
        fn new() -> Told {
            let mut told = Recording::default();
            for (pid, parent, born) in [(10, None, 0), (20, Some(ProcessId(0)), 10)] {
                told.processes.push(Process {
                    pid,
                    parent,
                    born: Nanos(born),
                    died: None,
                    ending: None,
                    images: vec![],
                    own_name: None,
                    cpu: Nanos::ZERO,
                });
                let process = ProcessId(told.processes.len() as u32 - 1);
                told.tasks.push(Task {
                    tid: pid,
                    process,
                    maker: parent.map(|_| POLLER),
                    born: Nanos(born),
                    died: None,
                    comm: String::new(),
                });
            }
            told.meta.wall = Nanos(1000);
            Told(told)
        }

        fn socket(
            &mut self,
            process: u32,
            local: Option<Address>,
            remote: Option<Address>,
            states: &[(u64, TcpState)],
        ) {
            let mut from = Close;
            let states = states.iter().map(|(at, to)| {
                let change = StateChange { at: Nanos(*at), from, to: *to };
                from = *to;
                change
            });
            self.0.sockets.push(Socket {
                family: Family::Ipv4,
                kind: 1,
                local,
                remote,
                states: states.collect(),
                ..Socket::unknown(ProcessId(process))
            });
        }

        fn refused(&mut self, at: u64, port: u16) {
            self.socket(0, None, Some(address(port)), &[(at, SynSent), (at + 1, Close)]);
        }

        fn sleeps(&mut self, from: u64, to: u64, stack: u32) {
            let call = CallId(self.0.calls.len() as u32);
            self.0.calls.push(Call {
                task: POLLER,
                returned: Nanos(to),
                number: call::CLOCK_NANOSLEEP,
                result: 0,
                arguments: [0; 3],
                object: OnObject::None,
                stack: Some(StackId(stack)),
            });
            self.0.events.push(Event::OffCpu(OffCpu {
                task: POLLER,
                off: Nanos(from),
                woken: Nanos(to),
                on: Nanos(to + 1),
                state: OffState::Interruptible,
                syscall: Some(call::CLOCK_NANOSLEEP),
                waker: None,
                call: Some(call),
                stack: None,
                unfinished: false,
                throttled: false,
                held: None,
                unseen_wake: false,
                before: None,
                device: None,
            }));
        }

        /// (from, to, cause, by) of what the poller was blocked in; the timeline must hold it as it is.
        fn waits(&self) -> Vec<(u64, u64, Cause, Option<TaskId>)> {
            let correlated = correlate(&self.0);
            let blocked = correlated.timelines[0].0.iter().filter_map(|segment| match segment.state {
                State::Blocked(id) => Some((segment.from.0, segment.to.0, correlated.wait(id))),
                State::Cpu { .. } | State::RunQueue(_) => None,
            });
            blocked.map(|(from, to, wait)| (from, to, wait.cause, wait.by)).collect()
        }
    }

    /// Attempts at 100, 200, 300 and 400, of which the last succeeds, and sleeps between them; it listens at 350.
    fn polled(port: u16, stacks: [u32; 3]) -> Told {
        let mut told = Told::new();
        for (turn, stack) in (1..).zip(stacks) {
            told.refused(turn * 100, port);
            told.sleeps(turn * 100 + 5, turn * 100 + 90, stack);
        }
        told.socket(1, Some(Address { ip: [0; 16], port: PORT }), None, &[(350, Listen)]);
        told.socket(0, None, Some(address(port)), &[(400, SynSent), (401, Established)]);
        told
    }

    const SLEPT: [(u64, u64, Cause, Option<TaskId>); 3] =
        [(105, 190, Cause::Sleep, None), (205, 290, Cause::Sleep, None), (305, 390, Cause::Sleep, None)];

    #[test]
    fn the_loop_s_sleeps_are_waits_for_who_came_to_listen() {
        let told = polled(PORT, [0; 3]);
        let by = Some(SERVER);
        let expected = [
            (105, 190, Cause::Child, by),
            (205, 290, Cause::Child, by),
            (305, 350, Cause::Child, by),
            (350, 390, Cause::Sleep, None),
        ];
        assert_eq!(told.waits(), expected);
    }

    #[test]
    fn another_port_s_listener_is_not_waited_for() {
        assert_eq!(polled(PORT + 1, [0; 3]).waits(), SLEPT);
    }

    #[test]
    fn different_sleeps_are_no_loop() {
        assert_eq!(polled(PORT, [0, 1, 2]).waits(), SLEPT);
    }

    #[test]
    fn a_single_failure_is_no_loop() {
        let mut told = polled(PORT, [0; 3]);
        told.0.sockets.remove(0);
        told.0.sockets.remove(0);
        assert_eq!(told.waits(), SLEPT);
    }

    #[test]
    fn a_listener_that_is_still_refused_is_not_what_was_waited_for() {
        let mut told = polled(PORT, [0; 3]);
        told.refused(395, PORT);
        assert_eq!(told.waits(), SLEPT);
    }

    #[test]
    fn the_time_before_the_listener_was_made_stays_a_sleep() {
        let mut told = polled(PORT, [0; 3]);
        told.0.tasks[1].born = Nanos(195);
        let waits = told.waits();
        assert_eq!(waits[0], SLEPT[0]);
        assert_eq!(waits[1], (205, 290, Cause::Child, Some(SERVER)));
    }

    #[test]
    fn a_process_elsewhere_is_waited_for_over_the_network() {
        let mut told = polled(PORT, [0; 3]);
        told.0.processes[1].parent = None;
        assert_eq!(told.waits()[0].2, Cause::Network);
    }
}
