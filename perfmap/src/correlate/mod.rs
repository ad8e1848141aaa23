//! Events → who did what when: per task a timeline without gaps, waits with their cause, sockets paired to flows.
//! Knows system calls and sockets; knows no function's name. Total on any recording: indices that lead nowhere and
//! times that contradict each other are dropped or clipped, never a panic.

mod causes;
pub(crate) mod database;
pub mod flows;
mod patience;
mod readiness;
pub(crate) mod senders;
pub mod syscalls;
#[cfg(test)]
mod tests;
mod timeline;

pub use causes::{Cause, LockWait, Wait, WaitId};
pub use flows::{CallKind, Counted, FailedRequest, Flows, PeerFlow, Protocol, RoundTrip, Said};
pub use timeline::{Segment, Short, State, Timeline, end_of};

use crate::recording::Recording;
use senders::Senders;

/// Everything that follows from the events without knowing any function's name.
#[derive(Debug, Clone, Default)]
pub struct Correlated {
    /// By `TaskId`.
    pub timelines: Vec<Timeline>,
    /// One for each recorded interval off the CPU, two where it was a wait for two things.
    pub waits: Vec<Wait>,
    /// Sums of short waits, as stretches of a task's on-CPU segments.
    pub shorts: Vec<Short>,
    pub flows: Flows,
}

impl Correlated {
    pub fn wait(&self, id: WaitId) -> &Wait {
        &self.waits[id.0 as usize]
    }
}

pub fn correlate(recording: &Recording) -> Correlated {
    let flows = flows::flows(recording);
    let senders = Senders::new(recording);
    let mut waits = causes::waits(recording, &flows, &senders);
    readiness::explain(recording, &mut waits);
    let (timelines, mut shorts) = timeline::timelines(recording, &waits);
    patience::explain(&flows, &senders, &mut waits);
    database::name(&flows, &timelines, &mut waits, &mut shorts);
    Correlated { timelines, waits, shorts, flows }
}
