//! Events → per task the instants at which its stack is known, and which of them were CPU samples.
//!
//! Only records that really have a stack count: a borrowed one would take time from another function. Sums (file I/O)
//! are no points, because their stack was taken once for many calls.

use super::loops::Loops;
use crate::{
    correlate::Correlated,
    recording::{Event, Nanos, Recording, StackId, TaskId},
};

#[derive(Debug, Default)]
struct OfTask {
    /// Sorted.
    points: Vec<(Nanos, StackId)>,
    samples: Vec<Nanos>,
}

#[derive(Debug, Default)]
pub(super) struct Points(Vec<OfTask>);

impl Points {
    pub(super) fn new(recording: &Recording, correlated: &Correlated) -> Self {
        let mut tasks: Vec<OfTask> = std::iter::repeat_with(OfTask::default).take(recording.tasks.len()).collect();
        let mut add = |task: TaskId, at: Nanos, stack: Option<StackId>, sample: bool| {
            if let Some(of_task) = tasks.get_mut(task.0 as usize)
                && let Some(stack) = stack
            {
                of_task.points.push((at, stack));
                if sample {
                    of_task.samples.push(at);
                }
            }
        };
        for event in &recording.events {
            match event {
                Event::Sample(sample) => add(sample.task, sample.at, Some(sample.stack), true),
                Event::Message(message) => add(message.task, message.at, message.stack, false),
                Event::ShortWaits(short) => add(short.task, short.to, short.stack, false),
                Event::OffCpu(_) | Event::FileIo(_) => {}
            }
        }
        for wait in &correlated.waits {
            add(wait.task, wait.off, wait.stack, false);
            add(wait.task, wait.on, wait.stack, false);
        }
        for call in &recording.calls {
            add(call.task, call.returned, call.stack, false);
        }
        for (task, at, stack) in Loops::resumptions(recording) {
            add(task, at, Some(stack), false);
        }
        for of_task in &mut tasks {
            of_task.points.sort_unstable();
            of_task.samples.sort_unstable();
        }
        Self(tasks)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (TaskId, Nanos, StackId)> {
        self.0.iter().enumerate().flat_map(|(task, of_task)| {
            of_task.points.iter().map(move |(at, stack)| (TaskId(task as u32), *at, *stack))
        })
    }

    fn of(&self, task: TaskId) -> &[(Nanos, StackId)] {
        self.0.get(task.0 as usize).map_or(&[], |of_task| &of_task.points)
    }

    pub(super) fn nearest(&self, task: TaskId, at: Nanos) -> Option<StackId> {
        let points = self.of(task);
        let next = points.partition_point(|(time, _)| *time < at);
        let after = points.get(next);
        let before = next.checked_sub(1).and_then(|index| points.get(index));
        match (before, after) {
            (Some(before), Some(after)) if after.0.since(at) < at.since(before.0) => Some(after.1),
            (Some(before), _) => Some(before.1),
            (None, after) => after.map(|after| after.1),
        }
    }

    /// `[from, to)` cut at the midpoints between points, each piece with its point's stack.
    pub(super) fn pieces(&self, task: TaskId, from: Nanos, to: Nanos) -> Vec<(Nanos, Nanos, Option<StackId>)> {
        let points = self.of(task);
        let mut index = points.partition_point(|(at, _)| *at < from).saturating_sub(1);
        let mut found: Vec<(Nanos, Nanos, Option<StackId>)> = Vec::new();
        let mut now = from;
        while now < to {
            let here = points.get(index).map(|(_, stack)| *stack);
            let until = match (points.get(index), points.get(index + 1)) {
                (Some((at, _)), Some((next, _))) => Nanos(at.0 + (next.0 - at.0) / 2).min(to),
                _ => to,
            };
            index += 1;
            if until <= now {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.2 == here => last.1 = until,
                _ => found.push((now, until, here)),
            }
            now = until;
        }
        found
    }

    pub(super) fn samples_in(&self, task: TaskId, from: Nanos, to: Nanos) -> u64 {
        let samples = self.0.get(task.0 as usize).map_or(&[][..], |of_task| &of_task.samples);
        (samples.partition_point(|at| *at < to) - samples.partition_point(|at| *at < from)) as u64
    }
}
