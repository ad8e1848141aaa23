//! What was seen of Go's goroutines → the recording's tasks. A goroutine is what the program's author calls a thread: which
//! of the runtime's threads runs it is chance. So each one becomes a task: it runs where it was seen to run on some thread,
//! in between it waits, with the stack and the reason that the runtime's own list gave. What the threads did for it (samples,
//! messages, blocked system calls, wakes) becomes its own; what they did for the scheduler stays theirs.
//!
//! Knows nothing of functions' names. What was never seen (that it went on and came back between two looks) is not made up:
//! then it is one wait.

mod lives;
mod ran;
mod requests;
mod stints;
#[cfg(test)]
mod tests;
mod turn_into_tasks;
mod waits;

use std::collections::HashMap;

use perfmap_common as wire;

use crate::{
    recording::{Nanos, Recording, StackId, TaskId},
    unwind::go::{Reason, Reasons},
};

/// One goroutine of a process; numbers are not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Goroutine(pub u64);

/// The one that runs `main`.
pub const MAIN: Goroutine = Goroutine(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub at: Nanos,
    /// Who ran it, or saw it.
    pub thread: TaskId,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The thread was inside it.
    Runs(Goroutine),
    /// A system call of the scheduler's returned.
    Schedules,
    /// No thread runs it: it waits.
    Waits {
        goroutine: Goroutine,
        stack: StackId,
        reason: Reason,
    },
    /// It is known to have waited before.
    GoesOn(Goroutine),
    Ended(Goroutine),
    /// It hands a request over to the one that writes for the connection.
    Asks {
        goroutine: Goroutine,
        stack: StackId,
        connection: u64,
    },
    Writes {
        goroutine: Goroutine,
        connection: u64,
    },
}

impl What {
    /// Of whom it tells.
    fn of(&self) -> Option<Goroutine> {
        match self {
            What::Waits { goroutine, .. } | What::GoesOn(goroutine) | What::Ended(goroutine) => Some(*goroutine),
            What::Runs(_) | What::Schedules | What::Asks { .. } | What::Writes { .. } => self.ran(),
        }
    }

    /// The thread that tells was inside this one.
    fn ran(&self) -> Option<Goroutine> {
        match self {
            What::Runs(goroutine) | What::Asks { goroutine, .. } | What::Writes { goroutine, .. } => Some(*goroutine),
            What::Schedules | What::Waits { .. } | What::GoesOn(_) | What::Ended(_) => None,
        }
    }
}

/// Gathers while the target runs.
#[derive(Debug, Default)]
pub struct Goroutines {
    /// By pid.
    programs: HashMap<u32, Reasons>,
    /// Where each was last seen to wait.
    places: HashMap<(u32, Goroutine), (StackId, Reason)>,
    /// Whose a structure is: the runtime gives that of one that ended to a later one.
    structures: HashMap<(u32, u64), Goroutine>,
    pub facts: Vec<Fact>,
}

impl Goroutines {
    pub fn found(&mut self, pid: u32, reasons: Reasons) {
        self.programs.insert(pid, reasons);
    }

    /// It is another program now, or none.
    pub fn gone(&mut self, pid: u32) {
        if self.programs.remove(&pid).is_some() {
            self.places.retain(|(of, _), _| *of != pid);
            self.structures.retain(|(of, _), _| *of != pid);
        }
    }

    pub fn is_go(&self, pid: u32) -> bool {
        self.programs.contains_key(&pid)
    }

    /// `goroutine` 0: the thread was in none.
    pub fn ran(&mut self, at: Nanos, thread: TaskId, goroutine: u64) {
        let what = if goroutine == 0 { What::Schedules } else { What::Runs(Goroutine(goroutine)) };
        self.facts.push(Fact { at, thread, what });
    }

    /// `stack`: of one that waits or asks; without, that says nothing.
    pub fn seen(
        &mut self,
        at: Nanos,
        thread: TaskId,
        record: &wire::Goroutine,
        what: wire::GoroutineWhat,
        stack: Option<StackId>,
    ) {
        let Some(reasons) = self.programs.get(&record.header.pid) else { return };
        let (goroutine, connection) = (Goroutine(record.goroutine), record.connection);
        let place = (record.header.pid, goroutine);
        let what = match (what, stack) {
            (wire::GoroutineWhat::Waits | wire::GoroutineWhat::Asks, None) => return,
            (wire::GoroutineWhat::Waits, Some(stack)) => {
                let reason = reasons.get(record.reason);
                self.places.insert(place, (stack, reason));
                let before = self.structures.insert((record.header.pid, connection), goroutine);
                if let Some(before) = before.filter(|before| *before != goroutine) {
                    self.places.remove(&(record.header.pid, before));
                    self.facts.push(Fact { at, thread, what: What::Ended(before) });
                }
                What::Waits { goroutine, stack, reason }
            }
            (wire::GoroutineWhat::WaitsAgain, _) => match self.places.get(&place).copied() {
                Some((stack, reason)) => What::Waits { goroutine, stack, reason },
                None => What::GoesOn(goroutine),
            },
            (wire::GoroutineWhat::GoesOn, _) => What::GoesOn(goroutine),
            (wire::GoroutineWhat::Ended, _) => {
                self.places.remove(&place);
                What::Ended(goroutine)
            }
            (wire::GoroutineWhat::Asks, Some(stack)) => What::Asks { goroutine, stack, connection },
            (wire::GoroutineWhat::Writes, _) => What::Writes { goroutine, connection },
        };
        self.facts.push(Fact { at, thread, what });
    }

    pub fn stacks(&mut self) -> impl Iterator<Item = &mut StackId> {
        let places = self.places.values_mut().map(|(stack, _)| stack);
        places.chain(self.facts.iter_mut().filter_map(|fact| match &mut fact.what {
            What::Waits { stack, .. } | What::Asks { stack, .. } => Some(stack),
            What::Runs(_) | What::Schedules | What::GoesOn(_) | What::Ended(_) | What::Writes { .. } => None,
        }))
    }

    /// Makes tasks of them. `launched`: the recording's first process was, and seen from its start.
    pub fn into_tasks(self, launched: bool, recording: &mut Recording) {
        turn_into_tasks::turn_into_tasks(self.facts, launched, recording);
    }
}
