//! Events → per task the instants at which its stack is known, and who owns its time on the CPU.
//!
//! Only records that really have a stack count: a borrowed one would take time from another function. Sums (file I/O)
//! are no points, because their stack was taken once for many calls.

use super::bursts::{self, Cut, Facts};
use super::loops::Loops;
use crate::{
    correlate::Correlated,
    recording::{Event, Nanos, Recording, StackId, TaskId},
};

#[derive(Debug, Default)]
struct OfTask {
    /// Samples, and stacks at blocks and calls; each sorted.
    points: Vec<(Nanos, StackId)>,
    samples: Vec<(Nanos, StackId)>,
    calls: Vec<(Nanos, StackId)>,
    /// Of its on-CPU time, sorted.
    cuts: Vec<Cut>,
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
                if sample { &mut of_task.samples } else { &mut of_task.calls }.push((at, stack));
            }
        };
        for event in &recording.events {
            match event {
                Event::Sample(sample) => add(sample.task, sample.at, Some(sample.stack), true),
                Event::Message(message) => add(message.task, message.at, message.stack, false),
                Event::ShortWaits(short) => add(short.task, short.to, short.stack, false),
                Event::OffCpu(_) | Event::FileIo(_) | Event::Memory(_) => {}
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
            let OfTask { points, samples, calls, cuts: _ } = of_task;
            for list in [points, samples, calls] {
                list.sort_unstable();
            }
        }
        let facts: Vec<Facts<'_>> = tasks
            .iter()
            .zip(recording.tasks.iter().zip(&correlated.timelines))
            .map(|(of_task, (task, timeline))| Facts {
                process: task.process,
                timeline,
                calls: &of_task.calls,
                samples: &of_task.samples,
            })
            .collect();
        let owners = bursts::owners(&facts);
        for (of_task, cuts) in tasks.iter_mut().zip(owners) {
            of_task.cuts = cuts;
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

    /// What the task was computing when it was last on a CPU before `at`, where it stopped just then.
    pub(super) fn interrupted(&self, task: TaskId, at: Nanos) -> Option<StackId> {
        let cuts = self.cuts(task);
        let cut = cuts.get(cuts.partition_point(|cut| cut.to < at))?;
        if cut.to == at { cut.stack } else { None }
    }

    /// The on-CPU interval `[from, to)` with its owners.
    pub(super) fn pieces(&self, task: TaskId, from: Nanos, to: Nanos) -> Vec<(Nanos, Nanos, Option<StackId>)> {
        let cuts = self.cuts(task);
        let mut found = Vec::new();
        let mut now = from;
        for cut in &cuts[cuts.partition_point(|cut| cut.to <= from)..] {
            if cut.from >= to {
                break;
            }
            if cut.from > now {
                found.push((now, cut.from, None));
            }
            let until = cut.to.min(to);
            found.push((cut.from.max(from), until, cut.stack));
            now = until;
        }
        if now < to {
            found.push((now, to, None));
        }
        found
    }

    fn cuts(&self, task: TaskId) -> &[Cut] {
        self.0.get(task.0 as usize).map_or(&[], |of_task| &of_task.cuts)
    }

    pub(super) fn samples_in(&self, task: TaskId, from: Nanos, to: Nanos) -> u64 {
        let samples = self.0.get(task.0 as usize).map_or(&[][..], |of_task| &of_task.samples);
        (samples.partition_point(|(at, _)| *at < to) - samples.partition_point(|(at, _)| *at < from)) as u64
    }
}
