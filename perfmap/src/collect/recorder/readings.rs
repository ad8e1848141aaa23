//! Readings of interpreters from outside, and events whose stacks have no Python part → stacks with the Python part of
//! the reading that is nearest in time, of the same thread, and of the same state: a computing thread's for a CPU
//! sample, a resting one's for a wait.
//!
//! The outermost frame alone is marked as an entry of the evaluation loop: a reading is of another moment than the
//! native stack, whose loops need not match it one by one. All its frames then take the place of the innermost loop.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::Recorder;
use crate::{
    collect::{pyspy::ThreadFrames, stacks::Stacks},
    recording::{Event, Nanos, OffState, PythonFrameId, StackId, TaskId},
};

/// Two rounds of readings: what is further away says nothing of the moment.
const FARTHEST: u64 = 25_000_000;
/// Readings of all threads that are kept: 32 bytes each, ten threads for an hour.
const MOST: usize = 4 << 20;

#[derive(Debug, Clone, Copy)]
struct Reading {
    from: Nanos,
    /// Equal ones that follow each other are one.
    to: Nanos,
    is_idle: bool,
    /// It lay between losing the CPU and getting it again: a thread loses it at its system calls more than elsewhere, so
    /// that such readings are no fair picture of what it computes.
    is_off: bool,
    frames: FramesId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FramesId(u32);

#[derive(Default)]
pub(super) struct Readings {
    of_task: FxHashMap<TaskId, Vec<Reading>>,
    frames: indexmap::IndexSet<Box<[PythonFrameId]>, rustc_hash::FxBuildHasher>,
    count: usize,
}

/// Which state an event was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Computing,
    Resting,
    Either,
}

impl Readings {
    fn add(&mut self, task: TaskId, at: Nanos, is_idle: bool, frames: Box<[PythonFrameId]>) {
        let frames = FramesId(self.frames.insert_full(frames).0 as u32);
        let readings = self.of_task.entry(task).or_default();
        if let Some(last) = readings.last_mut()
            && (last.is_idle, last.frames) == (is_idle, frames)
            && at.since(last.to).0 < FARTHEST
        {
            last.to = at;
        } else if self.count < MOST {
            self.count += 1;
            readings.push(Reading { from: at, to: at, is_idle, is_off: false, frames });
        }
    }

    fn forget_before(&mut self, until: Nanos) {
        self.of_task.values_mut().for_each(|readings| readings.retain(|reading| reading.to >= until));
        self.count = self.of_task.values().map(Vec::len).sum();
    }

    /// `off`: when each task had no CPU, sorted.
    fn mark_off(&mut self, off: &FxHashMap<TaskId, Vec<(Nanos, Nanos)>>) {
        for (task, readings) in &mut self.of_task {
            let Some(off) = off.get(task) else { continue };
            for reading in readings {
                let before = off.partition_point(|(from, _)| *from <= reading.from);
                reading.is_off = off[..before].last().is_some_and(|(_, to)| reading.to < *to);
            }
        }
    }

    /// Those of the reading nearest to the time from..to; of several inside it, of the one that was there for longest: the
    /// time of a wait is blurred, and one before it may reach into its beginning.
    fn nearest(&self, task: TaskId, (from, to): (Nanos, Nanos), wanted: Wanted) -> Option<&[PythonFrameId]> {
        let readings = self.of_task.get(&task)?;
        let (near_from, near_to) = (Nanos(from.0.saturating_sub(FARTHEST)), to.plus(Nanos(FARTHEST)));
        let first = readings.partition_point(|reading| reading.to < near_from);
        let near = readings[first..].iter().take_while(|reading| reading.from <= near_to);
        let fits = |reading: &&Reading| match wanted {
            Wanted::Computing => !reading.is_idle,
            Wanted::Resting => reading.is_idle,
            Wanted::Either => true,
        };
        let away = |reading: &&Reading| {
            let within = reading.to.min(to).since(reading.from.max(from));
            (reading.from.since(to).max(from.since(reading.to)), Reverse(within))
        };
        // One in another state is better than none: states are looked at a moment before the frames.
        let fair = |reading: &&Reading| fits(reading) && !(wanted == Wanted::Computing && reading.is_off);
        let best = near.clone().filter(fair).min_by_key(away);
        let best = best.or_else(|| near.clone().filter(fits).min_by_key(away)).or_else(|| near.min_by_key(away))?;
        self.frames.get_index(best.frames.0 as usize).map(|frames| &frames[..])
    }
}

impl Recorder {
    pub(super) fn reading(&mut self, at: u64, pid: u32, threads: Vec<ThreadFrames>) {
        let at = self.at(at);
        for ThreadFrames { tid, is_idle, frames } in threads {
            let Some(task) = self.tree.task(tid) else { continue };
            if self.tree.process(pid) != self.tree.tasks.get(task.0 as usize).map(|task| task.process) {
                continue;
            }
            let frames = self.stacks.read_frames(frames);
            self.readings.add(task, at, is_idle, frames);
        }
    }

    pub(super) fn forget_readings(&mut self, until: Nanos) {
        self.readings.forget_before(until);
    }

    /// Once all is there.
    pub(super) fn put_readings_in(&mut self) {
        let mut readings = std::mem::take(&mut self.readings);
        if readings.count == 0 {
            return;
        }
        let mut off: FxHashMap<TaskId, Vec<(Nanos, Nanos)>> = FxHashMap::default();
        for event in &self.events {
            if let Event::OffCpu(wait) = event {
                off.entry(wait.task).or_default().push((wait.off, wait.on));
            }
        }
        off.values_mut().for_each(|intervals| intervals.sort_unstable());
        readings.mark_off(&off);
        let Recorder { events, calls, turns, asks, stacks, .. } = self;
        let put = |stacks: &mut Stacks, task: TaskId, time: (Nanos, Nanos), wanted: Wanted, stack: &mut StackId| {
            if let Some(frames) = readings.nearest(task, time, wanted) {
                *stack = stacks.with_python(*stack, frames);
            }
        };
        for event in events {
            match event {
                Event::Sample(sample) => {
                    put(stacks, sample.task, (sample.at, sample.at), Wanted::Computing, &mut sample.stack);
                }
                Event::OffCpu(wait) => {
                    let time = (wait.off, wait.on);
                    let place = wait.call.and_then(|id| calls.get(id.0 as usize)?.stack);
                    if wait.stack.is_none() && place.is_none() && wait.state != OffState::Runnable {
                        // Without registers the reading is all that says where.
                        let frames = readings.nearest(wait.task, time, Wanted::Resting);
                        wait.stack = frames.map(|frames| stacks.of_python(frames));
                    } else if let Some(stack) = &mut wait.stack {
                        put(stacks, wait.task, time, Wanted::Resting, stack);
                    }
                    // The call's stack was taken at its return; what it waited in was read while it waited.
                    if let Some(call) = wait.call.and_then(|id| calls.get_mut(id.0 as usize))
                        && let Some(stack) = &mut call.stack
                    {
                        put(stacks, wait.task, time, Wanted::Resting, stack);
                    }
                }
                Event::ShortWaits(waits) => {
                    if let Some(stack) = &mut waits.stack {
                        put(stacks, waits.task, (waits.from, waits.to), Wanted::Either, stack);
                    }
                }
                Event::Message(message) => {
                    if let Some(stack) = &mut message.stack {
                        put(stacks, message.task, (message.at, message.at), Wanted::Either, stack);
                    }
                }
                Event::FileIo(io) => {
                    if let Some(stack) = &mut io.stack {
                        put(stacks, io.task, (io.first, io.last), Wanted::Either, stack);
                    }
                }
                Event::Memory(memory) => {
                    put(stacks, memory.task, (memory.at, memory.at), Wanted::Computing, &mut memory.stack);
                }
            }
        }
        for call in calls {
            if let Some(stack) = &mut call.stack {
                put(stacks, call.task, (call.returned, call.returned), Wanted::Either, stack);
            }
        }
        turns.iter_mut().for_each(|turn| put(stacks, turn.task, (turn.at, turn.at), Wanted::Either, &mut turn.stack));
        asks.iter_mut().for_each(|ask| put(stacks, ask.task, (ask.at, ask.at), Wanted::Either, &mut ask.stack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TASK: TaskId = TaskId(1);

    fn ms(at: u64) -> Nanos {
        Nanos(at * 1_000_000)
    }

    fn frames(id: u32) -> Box<[PythonFrameId]> {
        Box::new([PythonFrameId(id)])
    }

    #[test]
    fn the_nearest_of_the_same_state_is_taken() {
        let mut readings = Readings::default();
        readings.add(TASK, ms(100), false, frames(1));
        readings.add(TASK, ms(110), true, frames(2));
        readings.add(TASK, ms(120), false, frames(3));
        let at = |from, to, wanted| readings.nearest(TASK, (ms(from), ms(to)), wanted).map(|frames| frames[0].0);
        assert_eq!(at(104, 104, Wanted::Computing), Some(1));
        assert_eq!(at(112, 112, Wanted::Computing), Some(3));
        assert_eq!(at(104, 108, Wanted::Resting), Some(2));
        assert_eq!(at(112, 112, Wanted::Either), Some(2));
        // Nobody computes near, somebody rests.
        assert_eq!(at(90, 90, Wanted::Resting), Some(2));
        assert_eq!(at(160, 160, Wanted::Either), None);
        assert_eq!(readings.nearest(TaskId(2), (ms(104), ms(104)), Wanted::Either), None);
    }

    #[test]
    fn a_wait_is_where_it_was_seen_for_longest() {
        let mut readings = Readings::default();
        // It waited for a child until 501, which is told as its next wait's beginning, for an answer from 502 on.
        for (from, to, frames_of) in [(200, 501, 1), (510, 790, 2), (800, 805, 3)] {
            (from..=to).step_by(5).chain([to]).for_each(|at| readings.add(TASK, ms(at), true, frames(frames_of)));
        }
        let found = readings.nearest(TASK, (ms(498), ms(802)), Wanted::Resting);
        assert_eq!(found.map(|frames| frames[0].0), Some(2));
    }

    #[test]
    fn what_was_read_off_the_cpu_comes_second_for_what_computes() {
        let mut readings = Readings::default();
        readings.add(TASK, ms(100), false, frames(1));
        readings.add(TASK, ms(110), false, frames(2));
        readings.mark_off(&FxHashMap::from_iter([(TASK, vec![(ms(50), ms(60)), (ms(105), ms(115))])]));
        let at = |at, wanted| readings.nearest(TASK, (ms(at), ms(at)), wanted).map(|frames| frames[0].0);
        assert_eq!(at(116, Wanted::Computing), Some(1));
        assert_eq!(at(116, Wanted::Either), Some(2));
        // Only that one is near.
        assert_eq!(at(130, Wanted::Computing), Some(2));
    }

    #[test]
    fn equal_ones_are_one() {
        let mut readings = Readings::default();
        for at in 0..100 {
            readings.add(TASK, ms(at * 10), true, frames(1));
        }
        assert_eq!(readings.count, 1);
        assert!(readings.nearest(TASK, (ms(555), ms(555)), Wanted::Resting).is_some());
        // After a gap it is another one: what was between is not known.
        readings.add(TASK, ms(2000), true, frames(1));
        assert_eq!(readings.count, 2);
        assert_eq!(readings.nearest(TASK, (ms(1500), ms(1500)), Wanted::Resting), None);
        readings.forget_before(ms(1999));
        assert_eq!(readings.count, 1);
    }

    proptest! {
        /// What is found is never farther than what is said, and it is found where there is one.
        #[test]
        fn never_far(times in proptest::collection::vec(1_u64..200, 1..50), from in 0_u64..6000, length in 0_u64..100) {
            let mut readings = Readings::default();
            let mut at = 0;
            for (id, step) in times.iter().enumerate() {
                at += step;
                readings.add(TASK, ms(at), false, frames(id as u32));
            }
            let found = readings.nearest(TASK, (ms(from), ms(from + length)), Wanted::Either);
            let mut at = 0;
            let distance = |at: u64| at.saturating_sub(from + length).max(from.saturating_sub(at));
            let distances: Vec<u64> = times.iter().map(|step| { at += step; distance(at) }).collect();
            let least = distances.iter().copied().min().unwrap();
            prop_assert_eq!(found.map(|frames| distances[frames[0].0 as usize]), (least <= FARTHEST / 1_000_000).then_some(least));
        }
    }
}
