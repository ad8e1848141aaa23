//! Who ran where, and what threads did meanwhile: asked by thread and time.

use std::collections::BTreeMap;

use super::{Goroutine, stints::Stint};
use crate::recording::{Direction, Event, Layer, Nanos, OffState, ProcessId, Recording, SocketId, TaskId};

const NANOSLEEP: u32 = 35;
const FUTEX: u32 = 202;
const EPOLL_PWAIT: u32 = 281;

/// A sleep of a thread's scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Idle {
    pub from: Nanos,
    pub to: Nanos,
    /// Who woke it, and when.
    pub by: Option<(TaskId, Nanos)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transfer {
    pub at: Nanos,
    pub socket: SocketId,
    pub direction: Direction,
}

#[derive(Debug, Default)]
pub struct Ran {
    /// By thread, in order of time, as are the next two.
    pub stints: BTreeMap<TaskId, Vec<Stint>>,
    pub idle: BTreeMap<TaskId, Vec<Idle>>,
    pub transfers: BTreeMap<TaskId, Vec<Transfer>>,
    /// When it was blocked in calls of what it ran.
    pub blocked: BTreeMap<TaskId, Vec<(Nanos, Nanos)>>,
    pub threads: BTreeMap<ProcessId, Vec<TaskId>>,
    pub process: BTreeMap<TaskId, ProcessId>,
    pub task: BTreeMap<(ProcessId, Goroutine), TaskId>,
    /// When a goroutine was first told of.
    pub seen: BTreeMap<(ProcessId, Goroutine), Nanos>,
    /// Where a first thread's rest goes.
    pub rest: BTreeMap<TaskId, TaskId>,
}

impl Ran {
    /// `is_idle`: by event.
    pub fn new(recording: &Recording, is_idle: &[bool]) -> Ran {
        let mut ran = Ran::default();
        for (event, is_idle) in recording.events.iter().zip(is_idle) {
            match event {
                Event::OffCpu(off) if *is_idle => {
                    let by = off.waker.as_ref().and_then(|waker| Some((waker.task?, off.woken)));
                    ran.idle.entry(off.task).or_default().push(Idle { from: off.off, to: off.on, by });
                }
                Event::OffCpu(off) if off.state != OffState::Runnable => {
                    ran.blocked.entry(off.task).or_default().push((off.off, off.woken));
                }
                Event::Message(message) if message.layer == Layer::Wire && message.bytes > 0 => {
                    let transfer = Transfer { at: message.at, socket: message.socket, direction: message.direction };
                    ran.transfers.entry(message.task).or_default().push(transfer);
                }
                Event::OffCpu(_)
                | Event::Message(_)
                | Event::Sample(_)
                | Event::ShortWaits(_)
                | Event::FileIo(_)
                | Event::Memory(_) => {}
            }
        }
        ran.idle.values_mut().for_each(|of_thread| of_thread.sort_unstable());
        ran.blocked.values_mut().for_each(|of_thread| of_thread.sort_unstable());
        ran.transfers.values_mut().for_each(|of_thread| of_thread.sort_unstable());
        for (index, task) in recording.tasks.iter().enumerate() {
            ran.threads.entry(task.process).or_default().push(TaskId(index as u32));
        }
        ran
    }

    pub fn stint(&self, thread: TaskId, at: Nanos) -> Option<&Stint> {
        let stints = self.stints.get(&thread)?;
        let next = stints.partition_point(|stint| stint.to <= at);
        // At the end of one, unless another one begins just then.
        let found = stints.get(next).filter(|stint| stint.from <= at);
        found.or_else(|| stints.get(next.checked_sub(1)?).filter(|stint| stint.to == at))
    }

    /// Whom it ran then did nothing.
    pub fn is_blocked(&self, thread: TaskId, at: Nanos) -> bool {
        let blocked = self.blocked.get(&thread).map_or(&[][..], Vec::as_slice);
        let before = blocked[..blocked.partition_point(|(from, _)| *from <= at)].last();
        before.is_some_and(|(_, to)| at < *to)
    }

    pub fn goroutine(&self, thread: TaskId, goroutine: Goroutine) -> Option<TaskId> {
        self.task.get(&(*self.process.get(&thread)?, goroutine)).copied()
    }

    /// The goroutine that the thread ran, else what remains of the thread.
    pub fn at(&self, thread: TaskId, at: Nanos) -> TaskId {
        let stint = self.stint(thread, at).and_then(|stint| self.goroutine(thread, stint.goroutine));
        stint.unwrap_or_else(|| self.rest(thread))
    }

    pub fn rest(&self, thread: TaskId) -> TaskId {
        self.rest.get(&thread).copied().unwrap_or(thread)
    }

    /// What the thread transferred in the stint.
    pub fn transfers(&self, stint: &Stint) -> &[Transfer] {
        let all = self.transfers.get(&stint.thread).map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|transfer| transfer.at < stint.from);
        &all[first..first + all[first..].partition_point(|transfer| transfer.at <= stint.to)]
    }

    /// The last sleep of its thread's scheduler before the stint.
    pub fn slept(&self, stint: &Stint) -> Option<&Idle> {
        let idle = self.idle.get(&stint.thread)?;
        idle.get(idle.partition_point(|idle| idle.to <= stint.from).checked_sub(1)?)
    }
}

/// By event: the scheduler of a thread slept, and with it nobody that ran. `schedules`: whether a call that returned was the
/// scheduler's.
pub fn idle(recording: &Recording, schedules: impl Fn(TaskId, Nanos) -> bool) -> Vec<bool> {
    let is_idle = |event: &Event| match event {
        Event::OffCpu(off) if off.state != OffState::Runnable => {
            match off.call.and_then(|call| recording.calls.get(call.0 as usize)) {
                Some(call) => schedules(off.task, call.returned),
                None => matches!(off.syscall, Some(FUTEX | EPOLL_PWAIT | NANOSLEEP)),
            }
        }
        Event::OffCpu(_)
        | Event::Message(_)
        | Event::Sample(_)
        | Event::ShortWaits(_)
        | Event::FileIo(_)
        | Event::Memory(_) => false,
    };
    recording.events.iter().map(is_idle).collect()
}
