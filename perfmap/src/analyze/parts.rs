//! One step → what its own time consists of, without its children's.

use crate::{
    map::{Step, WaitCause, Waits},
    recording::Nanos,
};

/// On-CPU and blocked parts. They need not add up to the step's own time: a call's wait lasts as long as the peer's
/// steps below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    pub cpu: Nanos,
    pub waits: Waits,
}

impl Parts {
    /// The step's parts minus its children's where the step's cover its whole length, as they are where they cover
    /// only its own time: whichever of the two lengths their sum is nearer to.
    pub fn of_step(step: &Step) -> Parts {
        let sum = step.cpu.plus(step.waits.total()).0;
        if sum.abs_diff(step.self_time.0) <= sum.abs_diff(step.wall.0) {
            return Parts { cpu: step.cpu, waits: step.waits.clone() };
        }
        let children = || step.children.iter().filter(|child| !child.beside);
        let cpu = step.cpu.since(children().map(|child| child.cpu).sum());
        let mut waits = Waits::default();
        for (&cause, &length) in &step.waits.0 {
            waits.add(cause, length.since(children().map(|child| child.waits.of(cause)).sum()));
        }
        Parts { cpu, waits }
    }

    /// The cause with the longest wait; the first of equals.
    pub fn longest_wait(&self) -> Option<(WaitCause, Nanos)> {
        let mut longest: Option<(WaitCause, Nanos)> = None;
        for (&cause, &length) in &self.waits.0 {
            if length > longest.map_or(Nanos::ZERO, |(_, most)| most) {
                longest = Some((cause, length));
            }
        }
        longest
    }
}
