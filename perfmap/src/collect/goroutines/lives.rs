//! One goroutine's waits → the events and calls that a thread would have left.

use super::{
    Goroutine,
    ran::{Ran, Transfer},
    requests::Requests,
    stints::Stint,
    waits::Wait,
};
use crate::{
    recording::{Call, Direction, Nanos, OffCpu, OffState, OnObject, ProcessId, Task, TaskId, Waker},
    unwind::go::Reason,
};

const READ: u32 = 0;
const WRITE: u32 = 1;
const POLL: u32 = 7;
const NANOSLEEP: u32 = 35;
const RECVFROM: u32 = 45;
const FUTEX: u32 = 202;

/// A wake is stamped before who was woken runs, on another CPU.
const WAKES_WITHIN: Nanos = Nanos(200_000);

pub struct Life {
    pub process: ProcessId,
    pub goroutine: Goroutine,
    pub task: TaskId,
    pub stints: Vec<Stint>,
    pub waits: Vec<Wait>,
    /// Of its process.
    pub end: Nanos,
}

impl Life {
    /// Its waits as the events and calls of a task: what the runtime does for it a thread would do by itself.
    pub fn events(&self, pid: u32, ran: &Ran, requests: &Requests) -> Vec<(OffCpu, Option<Call>)> {
        self.waits.iter().map(|wait| self.event(wait, pid, ran, requests)).collect()
    }

    fn event(&self, wait: &Wait, pid: u32, ran: &Ran, requests: &Requests) -> (OffCpu, Option<Call>) {
        let reason = wait.at.map_or(Reason::Runtime, |(_, reason)| reason);
        let stack = wait.at.map(|(stack, _)| stack);
        let answer = requests.by(self.process, self.goroutine, wait.from);
        let answer = answer.filter(|request| wait.from <= request.answered && reason == Reason::Goroutine);
        let by = match (reason, answer) {
            (Reason::Lock | Reason::Goroutine, None) => self.waker(wait, requests, ran),
            (Reason::Lock | Reason::Goroutine, Some(_)) | (Reason::Sleep | Reason::Descriptor | Reason::Runtime, _) => {
                None
            }
        };
        let call = |number, arguments, object| {
            Some(Call { task: self.task, returned: wait.to, number, result: 1, arguments, object, stack })
        };
        let (syscall, call) = match (reason, answer) {
            (Reason::Goroutine, Some(request)) => {
                (Some(RECVFROM), call(RECVFROM, [0; 3], OnObject::Socket(request.socket)))
            }
            (Reason::Goroutine, None) => (Some(READ), call(READ, [0; 3], OnObject::Anonymous(0))),
            (Reason::Descriptor, _) => {
                // What it then reads says which; of one that it does not read, that it is one.
                let until = wait.until.and_then(|index| self.stints.get(index));
                match until.and_then(|stint| ran.transfers(stint).first()) {
                    Some(Transfer { socket, direction: Direction::Received, .. }) => {
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
                pid,
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
            unseen_wake: false,
            before: None,
            device: None,
        };
        (off, call)
    }

    /// Who made it: the goroutine that ran before it where it was first seen, else the one in whose time that thread was
    /// woken. None: not known.
    pub fn maker(&self, ran: &Ran, tasks: &[Task]) -> Option<TaskId> {
        let first = self.stints.first()?;
        let born = |task: TaskId| tasks.get(task.0 as usize).map(|task| task.born);
        let on_its_thread = || {
            let (thread, at) = ran.slept(first).filter(|slept| slept.to == first.from)?.by?;
            ran.stint(thread, at).map(|stint| stint.goroutine)
        };
        let maker = ran.task.get(&(self.process, first.after.or_else(on_its_thread)?)).copied()?;
        // What was seen of it before was not how it began.
        (born(self.task) >= Some(first.from) && born(maker) < born(self.task)).then_some(maker)
    }

    /// Who made it ready: the goroutine that was seen running before it on the thread that went on with it, because that
    /// hands its thread over; where nobody was since the thread slept, the one in whose time the thread was woken; else
    /// one that ran beside it when it went on.
    fn waker(&self, wait: &Wait, requests: &Requests, ran: &Ran) -> Option<TaskId> {
        let stint = self.stints.get(wait.until?)?;
        let stints = ran.stints.get(&stint.thread)?;
        let before = stints[..stints.partition_point(|other| other.from < stint.from)].last();
        let before = before.filter(|before| stint.after == Some(before.goroutine));
        let on_its_thread = || {
            let (thread, at) = ran.slept(stint)?.by?;
            ran.stint(thread, at).or_else(|| ran.stint(thread, at.since(WAKES_WITHIN)))
        };
        let beside = || {
            let threads = ran.threads.get(&self.process).map_or(&[][..], Vec::as_slice);
            let nearest = threads.iter().filter_map(|thread| {
                let stints = ran.stints.get(thread)?;
                stints[..stints.partition_point(|other| other.from < stint.to)].last()
            });
            // Of one that was not seen only the thread's own start is known: who began a little later can have been first.
            let began = |other: &Stint| if stint.seen { stint.from } else { stint.from.max(other.from) };
            let runs = nearest.filter(|other| !ran.is_blocked(other.thread, began(other)));
            let near =
                runs.filter(|other| other.to.plus(WAKES_WITHIN) >= stint.from && self.could_wake(wait, other, ran));
            near.max_by_key(|other| (other.from, other.thread))
        };
        let could = |other: &&Stint| self.could_wake(wait, other, ran);
        let handed_over = before.filter(|before| before.seen).filter(could);
        let by =
            handed_over.or_else(|| on_its_thread().filter(could)).or_else(|| before.filter(could)).or_else(beside)?;
        // Who reads for others passes the answer on, and only whom it was for wakes anybody else.
        let read = ran.transfers(by).iter().rev().find(|transfer| transfer.direction == Direction::Received);
        let reads_for = read.and_then(|read| requests.on(self.process, read.socket, read.at));
        let by = reads_for.map_or(by.goroutine, |request| request.goroutine);
        ran.task.get(&(self.process, by)).copied().filter(|task| *task != self.task)
    }

    fn could_wake(&self, wait: &Wait, other: &Stint, ran: &Ran) -> bool {
        let seen = ran.seen.get(&(self.process, other.goroutine));
        other.goroutine != self.goroutine && seen.is_some_and(|seen| *seen < wait.to) && other.to >= wait.from
    }
}
