//! A wait for a database's answer → since when the database had the question. What its processes did before then was
//! for others.

use rustc_hash::FxHashMap;

use crate::{
    correlate::Flows,
    recording::{Nanos, TaskId},
};

/// Answers that may be looked at behind a wait's end; more are under way at once only in an event loop.
const MAX_LATER: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Queries {
    /// By who asked, in order of the answers: (answered, asked).
    of_task: FxHashMap<TaskId, Vec<(Nanos, Nanos)>>,
}

impl Queries {
    pub(super) fn new(flows: &Flows) -> Self {
        let mut of_task: FxHashMap<TaskId, Vec<(Nanos, Nanos)>> = FxHashMap::default();
        for trip in flows.round_trips.iter().filter(|trip| !trip.inbound && trip.protocol.kind().is_store()) {
            of_task.entry(trip.task).or_default().push((trip.received, trip.sent));
        }
        of_task.values_mut().for_each(|trips| trips.sort_unstable());
        Self { of_task }
    }

    /// When the question was sent whose answer ended the task's wait at `woken`.
    pub(super) fn asked(&self, task: TaskId, woken: Nanos) -> Option<Nanos> {
        let trips = self.of_task.get(&task)?;
        let later = &trips[trips.partition_point(|(answered, _)| *answered < woken)..];
        later.iter().take(MAX_LATER).map(|(_, asked)| *asked).find(|asked| *asked <= woken)
    }
}
