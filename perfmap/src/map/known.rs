//! What is known before the walk, and what is asked of it: the task's process and service, a wait's stack, cause and
//! holder, what a piece of on-CPU time consists of. Owns nothing and decides no owner.

use super::{
    gpu_driver::GpuDriver, inside::Inside, interpreter_lock::InterpreterLock, loops::Loops, model::WaitCause,
    points::Points, project::Project, queries::Queries, services::Services, tree::Kind,
};
use crate::{
    correlate::{Cause, Correlated, Wait, WaitId},
    recording::{Nanos, ProcessId, Recording, StackId, TaskId},
};

/// Everything that is known before the walk.
pub(super) struct Known<'a> {
    pub recording: &'a Recording,
    pub correlated: &'a Correlated,
    pub project: &'a Project,
    pub services: &'a Services,
    pub points: &'a Points,
    pub interpreter_lock: &'a InterpreterLock,
    /// By `StackId`.
    pub embedded_database: &'a [bool],
    /// By `StackId`.
    pub go_processor: &'a [bool],
    pub gpu_driver: &'a GpuDriver,
    /// By `ProcessId`: the project's functions were seen in it.
    pub has_project: &'a [bool],
    pub loops: &'a Loops,
    pub inside: &'a Inside,
    pub queries: &'a Queries,
    /// By `ProcessId`: the project's functions were seen in it or in one below it.
    pub leads_to_project: &'a [bool],
}

impl Known<'_> {
    pub(super) fn process(&self, task: TaskId) -> Option<ProcessId> {
        self.recording.tasks.get(task.0 as usize).map(|task| task.process)
    }

    pub(super) fn is_outside(&self, task: TaskId) -> bool {
        self.process(task).is_some_and(|process| self.recording.is_outside(process))
    }

    pub(super) fn service(&self, task: TaskId, at: Nanos) -> u32 {
        self.process(task).map_or(0, |process| self.services.at(self.recording, process, at))
    }

    pub(super) fn has_project(&self, process: ProcessId) -> bool {
        self.has_project.get(process.0 as usize).copied().unwrap_or(false)
    }

    pub(super) fn shows_project(&self, task: TaskId) -> bool {
        let process = self.process(task).map(|process| process.0 as usize);
        process.and_then(|process| self.leads_to_project.get(process)).copied().unwrap_or(false)
    }

    /// Somebody held what was waited for.
    pub(super) fn is_for_a_lock(&self, wait: &Wait) -> bool {
        wait.lock.is_some_and(|lock| lock.holder.is_some()) || self.interpreter_lock.is_waited_for(wait)
    }

    /// Who ended it; for the interpreter's lock, who had it meanwhile.
    pub(super) fn by(&self, id: WaitId) -> Option<TaskId> {
        let wait = self.correlated.wait(id);
        if self.is_for_go_processor(wait.stack) {
            return None;
        }
        wait.by.or_else(|| self.interpreter_lock.holder(id))
    }

    /// The stack of a wait's system call, else what it interrupted, else what the task was seen doing nearest to it.
    pub(super) fn stack_of(&self, wait: WaitId, at: Nanos) -> Option<StackId> {
        let wait = self.correlated.wait(wait);
        let interrupted = || self.points.interrupted(wait.task, wait.off);
        wait.stack.or_else(interrupted).or_else(|| self.points.nearest(wait.task, at))
    }

    pub(super) fn cause(&self, wait: WaitId) -> WaitCause {
        let wait = self.correlated.wait(wait);
        if self.is_for_go_processor(wait.stack) {
            return WaitCause::RunQueue;
        }
        if self.interpreter_lock.is_waited_for(wait) || self.inside.is_lock(wait.task, wait.stack) {
            return WaitCause::Lock;
        }
        if wait.cause == Cause::Other && self.loops.is_for_mutex(wait.stack) {
            return WaitCause::Lock;
        }
        if self.is_embedded_database(wait) {
            return WaitCause::Db;
        }
        if wait.stack.is_some_and(|stack| self.gpu_driver.is_within(stack.0 as usize)) {
            return WaitCause::Gpu;
        }
        cause(wait.cause)
    }

    /// What a runnable task waited for.
    pub(super) fn queue(&self, wait: WaitId) -> WaitCause {
        if self.correlated.wait(wait).throttled { WaitCause::Throttled } else { WaitCause::RunQueue }
    }

    /// An on-CPU piece in the proportion of its short waits; `stack` owns the piece.
    pub(super) fn split(
        &self,
        short: Option<u32>,
        stack: Option<StackId>,
        from: Nanos,
        to: Nanos,
    ) -> Vec<(Kind, Nanos, Nanos)> {
        if stack.is_some_and(|stack| self.gpu_driver.is_until_done(stack.0 as usize)) {
            return vec![(Kind::Wait(WaitCause::Gpu), from, to)];
        }
        let Some(short) = short.and_then(|short| self.correlated.shorts.get(short as usize)) else {
            return vec![(Kind::Cpu, from, to)];
        };
        let (run_queue, blocked) = short.split(to.since(from));
        let mut found = Vec::with_capacity(blocked.len() + 2);
        let mut now = from;
        let embedded = self.is_of_embedded_database(stack);
        let waits = blocked.into_iter().map(|(of, length)| match of {
            Cause::Disk | Cause::Sleep if embedded => (WaitCause::Db, length),
            of => (cause(of), length),
        });
        for (cause, length) in waits.chain([(WaitCause::RunQueue, run_queue)]) {
            let until = now.plus(length).min(to);
            if until > now {
                found.push((Kind::Wait(cause), now, until));
                now = until;
            }
        }
        if to > now {
            found.push((Kind::Cpu, now, to));
        }
        found
    }

    pub(super) fn is_ancestor(&self, ancestor: ProcessId, of: ProcessId) -> bool {
        let mut at = of;
        while let Some(parent) = self.recording.processes.get(at.0 as usize).and_then(|process| process.parent) {
            if parent == ancestor {
                return true;
            }
            if parent.0 >= at.0 {
                return false; // parents are older; anything else would be a cycle
            }
            at = parent;
        }
        false
    }
}

fn cause(cause: Cause) -> WaitCause {
    match cause {
        Cause::Network => WaitCause::Network,
        Cause::Database => WaitCause::Db,
        Cause::Disk => WaitCause::Disk,
        Cause::Lock => WaitCause::Lock,
        Cause::Sleep => WaitCause::Sleep,
        Cause::Child => WaitCause::Child,
        Cause::Pipe => WaitCause::Pipe,
        Cause::Other => WaitCause::Other,
    }
}
