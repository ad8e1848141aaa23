//! All facts and the recording → the recording with goroutines as tasks.
//!
//! The main goroutine takes the place of its process's first thread, whose id others know: what they wait for is `main`, not
//! the thread that it was born on. That thread's own rest becomes a task of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Fact, Goroutine, MAIN, What,
    stints::{Stint, Thread, stints},
    waits::{Asked, Wait, life, waits},
};
use crate::{
    recording::{
        Call, CallId, Direction, Event, Layer, Nanos, OffCpu, OffState, OnObject, ProcessId, Recording, SocketId, Task,
        TaskId, Waker,
    },
    unwind::go::Reason,
};

const READ: u32 = 0;
const WRITE: u32 = 1;
const POLL: u32 = 7;
const NANOSLEEP: u32 = 35;
const RECVFROM: u32 = 45;
const FUTEX: u32 = 202;
const EPOLL_PWAIT: u32 = 281;

/// A wake is stamped before who was woken runs, on another CPU.
const WAKES_WITHIN: Nanos = Nanos(200_000);

/// Who ran where, for all processes.
#[derive(Default)]
struct Ran {
    stints: BTreeMap<TaskId, Vec<Stint>>,
    task: BTreeMap<(ProcessId, Goroutine), TaskId>,
    process: BTreeMap<TaskId, ProcessId>,
    /// Where a first thread's rest goes.
    rest: BTreeMap<TaskId, TaskId>,
    /// When a goroutine was first told of.
    seen: BTreeMap<(ProcessId, Goroutine), Nanos>,
    /// By thread, in order of time: transfers.
    transfers: BTreeMap<TaskId, Vec<(Nanos, SocketId, Direction)>>,
    /// By thread, in order of time: when its scheduler's sleep ended, and who woke it when.
    woken: BTreeMap<TaskId, Vec<(Nanos, Option<(TaskId, Nanos)>)>>,
}

impl Ran {
    fn stint(&self, thread: TaskId, at: Nanos) -> Option<&Stint> {
        let stints = self.stints.get(&thread)?;
        let next = stints.partition_point(|stint| stint.to <= at);
        // At the end of one, unless another one begins just then.
        let found = stints.get(next).filter(|stint| stint.from <= at);
        found.or_else(|| stints.get(next.checked_sub(1)?).filter(|stint| stint.to == at))
    }

    fn goroutine(&self, thread: TaskId, goroutine: Goroutine) -> Option<TaskId> {
        self.task.get(&(*self.process.get(&thread)?, goroutine)).copied()
    }

    /// The goroutine that the thread ran, else what remains of the thread.
    fn at(&self, thread: TaskId, at: Nanos) -> TaskId {
        let stint = self.stint(thread, at).and_then(|stint| self.goroutine(thread, stint.goroutine));
        stint.unwrap_or_else(|| self.rest.get(&thread).copied().unwrap_or(thread))
    }

    /// What the thread transferred in the stint.
    fn transfers(&self, stint: &Stint) -> &[(Nanos, SocketId, Direction)] {
        let all = self.transfers.get(&stint.thread).map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|(at, _, _)| *at < stint.from);
        &all[first..first + all[first..].partition_point(|(at, _, _)| *at <= stint.to)]
    }

    fn rest(&self, thread: TaskId) -> TaskId {
        self.rest.get(&thread).copied().unwrap_or(thread)
    }
}

pub fn turn_into_tasks(mut facts: Vec<Fact>, recording: &mut Recording) {
    if facts.is_empty() {
        return;
    }
    facts.sort_by_key(|fact| fact.at);
    let end = recording.events.iter().map(Event::at).max().unwrap_or_default();
    let mut of_process: BTreeMap<ProcessId, Vec<Fact>> = BTreeMap::new();
    let mut scheduler: BTreeSet<(TaskId, Nanos)> = BTreeSet::new();
    for fact in facts {
        let Some(task) = recording.tasks.get(fact.thread.0 as usize) else { continue };
        if fact.what == What::Schedules {
            scheduler.insert((fact.thread, fact.at));
        }
        of_process.entry(task.process).or_default().push(fact);
    }
    let idle: Vec<bool> = recording.events.iter().map(|event| is_idle(event, recording, &scheduler)).collect();
    let mut ran = Ran { transfers: transfers(recording), woken: woken(recording, &idle), ..Ran::default() };
    let mut goroutines = Vec::new();
    for (process, facts) in &of_process {
        goroutines.extend(of(*process, facts, recording, &idle, end, &mut ran));
    }
    let asked = asked(&of_process, &ran);
    let made = goroutines.iter().flat_map(|goroutine| goroutine.events(recording, &ran, &asked)).collect::<Vec<_>>();
    attribute(recording, &idle, &ran, &asked);
    for (mut off, call) in made {
        if let Some(call) = call {
            off.call = Some(CallId(recording.calls.len() as u32));
            recording.calls.push(call);
        }
        recording.events.push(Event::OffCpu(off));
    }
}

fn transfers(recording: &Recording) -> BTreeMap<TaskId, Vec<(Nanos, SocketId, Direction)>> {
    let mut found: BTreeMap<TaskId, Vec<_>> = BTreeMap::new();
    for event in &recording.events {
        if let Event::Message(message) = event
            && message.layer == Layer::Wire
            && message.bytes > 0
        {
            found.entry(message.task).or_default().push((message.at, message.socket, message.direction));
        }
    }
    found.values_mut().for_each(|of_thread| of_thread.sort_unstable());
    found
}

fn woken(recording: &Recording, idle: &[bool]) -> BTreeMap<TaskId, Vec<(Nanos, Option<(TaskId, Nanos)>)>> {
    let mut found: BTreeMap<TaskId, Vec<_>> = BTreeMap::new();
    for (event, _) in recording.events.iter().zip(idle).filter(|(_, idle)| **idle) {
        if let Event::OffCpu(off) = event {
            let by = off.waker.as_ref().and_then(|waker| Some((waker.task?, off.woken)));
            found.entry(off.task).or_default().push((off.on, by));
        }
    }
    found.values_mut().for_each(|of_thread| of_thread.sort_unstable());
    found
}

/// The scheduler slept, and with it nobody that ran.
fn is_idle(event: &Event, recording: &Recording, scheduler: &BTreeSet<(TaskId, Nanos)>) -> bool {
    let Event::OffCpu(off) = event else { return false };
    if off.state == OffState::Runnable {
        return false;
    }
    match off.call.and_then(|call| recording.calls.get(call.0 as usize)) {
        Some(call) => scheduler.contains(&(off.task, call.returned)),
        None => matches!(off.syscall, Some(FUTEX | EPOLL_PWAIT | NANOSLEEP)),
    }
}

struct Life {
    process: ProcessId,
    task: TaskId,
    stints: Vec<Stint>,
    waits: Vec<Wait>,
    goroutine: Goroutine,
    end: Nanos,
}

/// The goroutines of one process, with a task for each.
fn of(
    process: ProcessId,
    facts: &[Fact],
    recording: &mut Recording,
    idle: &[bool],
    end: Nanos,
    ran: &mut Ran,
) -> Vec<Life> {
    let Some(of_process) = recording.processes.get(process.0 as usize) else { return Vec::new() };
    let (pid, end) = (of_process.pid, of_process.died.unwrap_or(end));
    let mut threads: BTreeMap<TaskId, Thread> = BTreeMap::new();
    let mut first = None;
    for (index, task) in recording.tasks.iter().enumerate().filter(|(_, task)| task.process == process) {
        let id = TaskId(index as u32);
        let is_first = task.tid == pid && first.is_none();
        if is_first {
            first = Some(id);
        }
        let died = task.died.unwrap_or(end);
        threads.insert(id, Thread { born: task.born, died, idle: Vec::new(), first: is_first });
        ran.process.insert(id, process);
    }
    for (event, _) in recording.events.iter().zip(idle).filter(|(_, idle)| **idle) {
        if let Event::OffCpu(off) = event
            && let Some(thread) = threads.get_mut(&off.task)
        {
            thread.idle.push((off.off, off.on));
        }
    }
    threads.values_mut().for_each(|thread| thread.idle.sort_unstable());
    let of_threads = stints(&threads, facts);
    let mut of_goroutine: BTreeMap<Goroutine, (Vec<Fact>, Vec<Stint>)> = BTreeMap::new();
    for fact in facts {
        if let Some(goroutine) = subject(&fact.what) {
            of_goroutine.entry(goroutine).or_default().0.push(fact.clone());
        }
    }
    for stint in of_threads.values().flatten() {
        of_goroutine.entry(stint.goroutine).or_default().1.push(*stint);
    }
    ran.stints.extend(of_threads);
    let mut found = Vec::new();
    for (goroutine, (own, mut stints)) in of_goroutine {
        stints.sort_by_key(|stint| (stint.from, stint.to));
        let Some((mut born, mut died)) = life(&own, &stints, end) else { continue };
        let task = match first.filter(|_| goroutine == MAIN) {
            Some(first) => {
                if let Some(task) = recording.tasks.get_mut(first.0 as usize) {
                    let rest = Task { tid: 0, maker: Some(first), ..task.clone() };
                    (born, died) = (task.born, end);
                    task.died = rest.died.map(|_| end);
                    ran.rest.insert(first, TaskId(recording.tasks.len() as u32));
                    recording.tasks.push(rest);
                }
                first
            }
            None => {
                let died = (died < end).then_some(died).or(recording.processes[process.0 as usize].died);
                let comm = format!("goroutine {}", goroutine.0);
                recording.tasks.push(Task { tid: 0, process, maker: first, born, died, comm });
                TaskId(recording.tasks.len() as u32 - 1)
            }
        };
        ran.task.insert((process, goroutine), task);
        ran.seen.insert((process, goroutine), own.first().map_or(born, |fact| fact.at));
        let waits = waits(&own, &stints, born, died);
        found.push(Life { process, task, stints, waits, goroutine, end });
    }
    found
}

/// Of whom a fact tells.
fn subject(what: &What) -> Option<Goroutine> {
    match what {
        What::Waits { goroutine, .. } | What::GoesOn(goroutine) | What::Ended(goroutine) => Some(*goroutine),
        What::Runs(_) | What::Schedules | What::Asks { .. } | What::Writes { .. } => what.ran(),
    }
}

/// Requests of goroutines, by the connection that another one wrote for.
fn asked(of_process: &BTreeMap<ProcessId, Vec<Fact>>, ran: &Ran) -> BTreeMap<(ProcessId, SocketId), Vec<Asked>> {
    let mut received: BTreeMap<SocketId, Vec<Nanos>> = BTreeMap::new();
    for (at, socket, direction) in ran.transfers.values().flatten() {
        if *direction == Direction::Received {
            received.entry(*socket).or_default().push(*at);
        }
    }
    received.values_mut().for_each(|of_socket| of_socket.sort_unstable());
    let mut found: BTreeMap<(ProcessId, SocketId), Vec<Asked>> = BTreeMap::new();
    for (process, facts) in of_process {
        let mut asks: BTreeMap<u64, (Nanos, Goroutine, crate::recording::StackId)> = BTreeMap::new();
        for fact in facts {
            match fact.what {
                What::Asks { goroutine, stack, connection } => {
                    asks.insert(connection, (fact.at, goroutine, stack));
                }
                What::Writes { goroutine, connection } => {
                    // A body goes in several writes.
                    let Some((at, by, stack)) = asks.remove(&connection) else { continue };
                    let stint = ran.stint(fact.thread, fact.at).filter(|stint| stint.goroutine == goroutine);
                    let transfers = stint.map_or(&[][..], |stint| ran.transfers(stint));
                    let next =
                        transfers.iter().find(|(at, _, direction)| *at >= fact.at && *direction == Direction::Sent);
                    let Some((when, socket, _)) = next else { continue };
                    let answers = received.get(socket).map_or(&[][..], Vec::as_slice);
                    let answered = answers.get(answers.partition_point(|at| at <= when)).copied();
                    let asked = Asked {
                        at,
                        goroutine: by,
                        stack,
                        socket: *socket,
                        answered: answered.unwrap_or(Nanos(u64::MAX)),
                    };
                    found.entry((*process, *socket)).or_default().push(asked);
                }
                What::Runs(_) | What::Schedules | What::Waits { .. } | What::GoesOn(_) | What::Ended(_) => {}
            }
        }
    }
    found
}

impl Life {
    /// Its waits as the events and calls of a task: what the runtime does for it a thread would do by itself.
    fn events(
        &self,
        recording: &Recording,
        ran: &Ran,
        asked: &BTreeMap<(ProcessId, SocketId), Vec<Asked>>,
    ) -> Vec<(OffCpu, Option<Call>)> {
        let mut own: Vec<&Asked> = asked
            .iter()
            .filter(|((process, _), _)| *process == self.process)
            .flat_map(|(_, of_socket)| of_socket)
            .filter(|asked| asked.goroutine == self.goroutine)
            .collect();
        own.sort_by_key(|asked| asked.at);
        self.waits.iter().map(|wait| self.event(wait, &own, asked, recording, ran)).collect()
    }

    fn event(
        &self,
        wait: &Wait,
        own: &[&Asked],
        asked: &BTreeMap<(ProcessId, SocketId), Vec<Asked>>,
        recording: &Recording,
        ran: &Ran,
    ) -> (OffCpu, Option<Call>) {
        let reason = wait.at.map_or(Reason::Runtime, |(_, reason)| reason);
        let stack = wait.at.map(|(stack, _)| stack);
        let answer = own[..own.partition_point(|asked| asked.at <= wait.from)].last();
        let answer = answer.filter(|asked| wait.from <= asked.answered && reason == Reason::Goroutine);
        let by = match (reason, answer) {
            (Reason::Lock | Reason::Goroutine, None) => self.waker(wait, asked, ran),
            (Reason::Lock | Reason::Goroutine, Some(_)) | (Reason::Sleep | Reason::Descriptor | Reason::Runtime, _) => {
                None
            }
        };
        let call = |number, arguments, object| {
            Some(Call { task: self.task, returned: wait.to, number, result: 1, arguments, object, stack })
        };
        let (syscall, call) = match (reason, answer) {
            (Reason::Goroutine, Some(asked)) => {
                (Some(RECVFROM), call(RECVFROM, [0; 3], OnObject::Socket(asked.socket)))
            }
            (Reason::Goroutine, None) => (Some(READ), call(READ, [0; 3], OnObject::Anonymous(0))),
            (Reason::Descriptor, _) => {
                match self.stints.get(wait.until.unwrap_or(usize::MAX)).map(|stint| ran.transfers(stint)) {
                    Some([(_, socket, Direction::Received), ..]) => {
                        (Some(RECVFROM), call(RECVFROM, [0; 3], OnObject::Socket(*socket)))
                    }
                    Some(_) | None => (Some(POLL), call(POLL, [0, 1, 0], OnObject::None)),
                }
            }
            (Reason::Sleep, _) => (Some(NANOSLEEP), None),
            (Reason::Lock, _) => (Some(FUTEX), None),
            (Reason::Runtime, _) => (None, None),
        };
        let waker_call = if reason == Reason::Lock { FUTEX } else { WRITE };
        let off = OffCpu {
            task: self.task,
            off: wait.from,
            woken: wait.woken,
            on: wait.to,
            state: OffState::Interruptible,
            syscall,
            waker: by.map(|task| Waker {
                task: Some(task),
                pid: recording.processes.get(self.process.0 as usize).map_or(0, |process| process.pid),
                comm: String::new(),
                syscall: Some(waker_call),
                descriptor: -1,
                timer: false,
            }),
            call: None,
            stack,
            unfinished: wait.until.is_none() && wait.to >= self.end,
            throttled: false,
            held: None,
        };
        (off, call)
    }

    /// Who made it ready: the goroutine that ran before it on the thread that went on with it, because that hands its thread
    /// over; where the thread slept until then, the one that ran on the thread that woke it; else one that ran beside it
    /// when it went on.
    fn waker(&self, wait: &Wait, asked: &BTreeMap<(ProcessId, SocketId), Vec<Asked>>, ran: &Ran) -> Option<TaskId> {
        let stint = self.stints.get(wait.until?)?;
        let stints = ran.stints.get(&stint.thread)?;
        let before = stints[..stints.partition_point(|other| other.from < stint.from)].last();
        let before = before.filter(|before| stint.after == Some(before.goroutine));
        let woken = ran.woken.get(&stint.thread).map_or(&[][..], Vec::as_slice);
        let by = woken.get(woken.partition_point(|(on, _)| *on < stint.from)).filter(|(on, _)| *on == stint.from);
        let on_its_thread = || {
            let (thread, at) = by?.1?;
            ran.stint(thread, at).or_else(|| ran.stint(thread, at.since(WAKES_WITHIN)))
        };
        let beside = || {
            let of_process = ran.stints.iter().filter(|(thread, _)| ran.process.get(thread) == Some(&self.process));
            let nearest = of_process
                .filter_map(|(_, stints)| stints[..stints.partition_point(|other| other.from < stint.to)].last());
            let near =
                nearest.filter(|other| other.to.plus(WAKES_WITHIN) >= stint.from && self.could_wake(wait, other, ran));
            near.max_by_key(|other| (other.from, other.thread))
        };
        let could = |other: &&Stint| self.could_wake(wait, other, ran);
        let by = before.filter(could).or_else(|| on_its_thread().filter(could)).or_else(beside)?;
        // Who reads for others passes the answer on, and only whom it was for wakes anybody else.
        let read = ran.transfers(by).iter().rev().find(|(_, _, direction)| *direction == Direction::Received);
        let reads_for = read.and_then(|(at, socket, _)| {
            let of_socket = asked.get(&(self.process, *socket))?;
            of_socket[..of_socket.partition_point(|asked| asked.at <= *at)].last()
        });
        let by = reads_for.map_or(by.goroutine, |asked| asked.goroutine);
        ran.task.get(&(self.process, by)).copied().filter(|task| *task != self.task)
    }

    fn could_wake(&self, wait: &Wait, other: &Stint, ran: &Ran) -> bool {
        let seen = ran.seen.get(&(self.process, other.goroutine));
        other.goroutine != self.goroutine && seen.is_some_and(|seen| *seen < wait.to) && other.to >= wait.from
    }
}

/// What threads did becomes what goroutines did.
fn attribute(recording: &mut Recording, idle: &[bool], ran: &Ran, asked: &BTreeMap<(ProcessId, SocketId), Vec<Asked>>) {
    let Recording { tasks, events, calls, .. } = recording;
    let mut moved: Vec<Option<TaskId>> = vec![None; calls.len()];
    for (event, idle) in events.iter_mut().zip(idle) {
        match event {
            Event::Sample(sample) => sample.task = ran.at(sample.task, sample.at),
            Event::ShortWaits(short) => short.task = ran.at(short.task, short.to),
            Event::FileIo(io) => io.task = ran.at(io.task, io.last),
            Event::OffCpu(off) => {
                if let Some(waker) = &mut off.waker
                    && let Some(task) = waker.task
                {
                    waker.task = Some(ran.at(task, off.woken));
                }
                off.task = if *idle { ran.rest(off.task) } else { ran.at(off.task, off.off) };
                if let Some(to) = off.call.and_then(|call| moved.get_mut(call.0 as usize)) {
                    *to = Some(off.task);
                }
            }
            Event::Message(message) => {
                let process = ran.process.get(&message.task).copied();
                let of_socket = process.and_then(|process| asked.get(&(process, message.socket)));
                let by = of_socket.and_then(|of| of[..of.partition_point(|asked| asked.at <= message.at)].last());
                match by.and_then(|asked| Some((ran.goroutine(message.task, asked.goroutine)?, asked.stack))) {
                    Some((task, stack)) => {
                        message.task = task;
                        message.stack = message.stack.map(|_| stack);
                    }
                    None => message.task = ran.at(message.task, message.at),
                }
            }
        }
    }
    for (call, moved) in calls.iter_mut().zip(moved) {
        call.task = moved.unwrap_or_else(|| ran.at(call.task, call.returned));
    }
    let made: Vec<Option<TaskId>> = tasks.iter().map(|task| Some(ran.at(task.maker?, task.born))).collect();
    let leaders: BTreeSet<TaskId> = ran.rest.keys().copied().collect();
    for (index, (task, maker)) in tasks.iter_mut().zip(made).enumerate() {
        // Whom one of another process made.
        if maker.is_some() && task.maker != maker && task.tid != 0 && !leaders.contains(&TaskId(index as u32)) {
            task.maker = maker;
        }
    }
}
