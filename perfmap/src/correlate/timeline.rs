//! Waits → per task a timeline without gaps and overlaps, from birth to death (or the end of the recording).
//!
//! What is not off the CPU is on it. Blocks below the recording's threshold are known as sums over a stretch only: the
//! on-CPU segments of that stretch carry them as [`Short`] proportions.

use super::causes::{Cause, Wait, WaitId};
use crate::recording::{Event, Nanos, Recording, WaitClass};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// On the CPU, but for the proportions of `short` (index into [`super::Correlated::shorts`]).
    Cpu {
        short: Option<u32>,
    },
    /// Runnable, waiting for a CPU.
    RunQueue(WaitId),
    Blocked(WaitId),
}

/// `[from, to)`, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub from: Nanos,
    pub to: Nanos,
    pub state: State,
}

/// Segments in order, each beginning where the one before ends. Empty for a task that lived no time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline(pub Vec<Segment>);

impl Timeline {
    pub fn born(&self) -> Option<Nanos> {
        self.0.first().map(|segment| segment.from)
    }
    pub fn ended(&self) -> Option<Nanos> {
        self.0.last().map(|segment| segment.to)
    }
    /// Time on a CPU within `[from, to)`, short waits among it.
    pub fn on_cpu(&self, from: Nanos, to: Nanos) -> Nanos {
        let first = self.0.partition_point(|segment| segment.to <= from);
        let segments = self.0[first..].iter().take_while(|segment| segment.from < to);
        segments
            .filter(|segment| matches!(segment.state, State::Cpu { .. }))
            .map(|segment| segment.to.min(to).since(segment.from.max(from)))
            .sum()
    }
    /// Index of the segment that holds the last nanosecond before `at`.
    pub fn before(&self, at: Nanos) -> Option<usize> {
        self.0.partition_point(|segment| segment.from < at).checked_sub(1)
    }
}

/// Short waits of a stretch: how much of its on-CPU segments' length `covered` was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    pub run_queue: Nanos,
    /// Sorted by cause.
    pub blocked: Vec<(Cause, Nanos)>,
    /// Sum of the segments' lengths that share these waits; at least the sum of the waits.
    pub covered: Nanos,
}

/// End of everything that was seen.
pub fn end_of(recording: &Recording) -> Nanos {
    recording.events.last().map_or(Nanos::ZERO, Event::at).max(recording.meta.wall)
}

struct Stretch {
    from: Nanos,
    to: Nanos,
    event: usize,
}

pub(super) fn timelines(recording: &Recording, waits: &[Wait]) -> (Vec<Timeline>, Vec<Short>) {
    let mut offs: Vec<Vec<u32>> = vec![Vec::new(); recording.tasks.len()];
    for (index, wait) in waits.iter().enumerate() {
        if let Some(of_task) = offs.get_mut(wait.task.0 as usize) {
            of_task.push(index as u32);
        }
    }
    let mut stretches: Vec<Vec<Stretch>> = std::iter::repeat_with(Vec::new).take(recording.tasks.len()).collect();
    for (event, short) in recording.events.iter().enumerate() {
        if let Event::ShortWaits(short) = short
            && let Some(of_task) = stretches.get_mut(short.task.0 as usize)
        {
            of_task.push(Stretch { from: short.from, to: short.to, event });
        }
    }
    let end = end_of(recording);
    let mut shorts = Vec::new();
    let timelines = recording
        .tasks
        .iter()
        .zip(offs.iter_mut().zip(&mut stretches))
        .map(|(task, (offs, stretches))| {
            offs.sort_by_key(|index| {
                let wait = &waits[*index as usize];
                (wait.on, wait.off, *index)
            });
            let base = segments(task.born, task.died.unwrap_or(end).max(task.born), offs, waits);
            stretches.sort_by_key(|stretch| (stretch.from, stretch.to, stretch.event));
            Timeline(with_shorts(base, stretches, recording, &mut shorts))
        })
        .collect();
    (timelines, shorts)
}

fn segments(born: Nanos, died: Nanos, offs: &[u32], waits: &[Wait]) -> Vec<Segment> {
    let mut found = Vec::with_capacity(offs.len() * 3 + 1);
    let mut now = born;
    let mut until = |to: Nanos, state: State| {
        let to = to.min(died);
        if to > now {
            found.push(Segment { from: now, to, state });
            now = to;
        }
    };
    for index in offs {
        let wait = &waits[*index as usize];
        let id = WaitId(*index);
        until(wait.off, State::Cpu { short: None });
        until(wait.woken, State::Blocked(id));
        until(wait.on, State::RunQueue(id));
    }
    until(died, State::Cpu { short: None });
    found
}

/// Cuts the on-CPU segments where stretches of short waits begin and end.
fn with_shorts(
    base: Vec<Segment>,
    stretches: &[Stretch],
    recording: &Recording,
    shorts: &mut Vec<Short>,
) -> Vec<Segment> {
    if stretches.is_empty() {
        return base;
    }
    let mut found = Vec::with_capacity(base.len() + stretches.len());
    let mut next = 0;
    let mut done = Nanos::ZERO; // stretches that overlap an earlier one begin at its end
    let mut open: Option<(usize, u32)> = None;
    for segment in base {
        if !matches!(segment.state, State::Cpu { .. }) {
            found.push(segment);
            continue;
        }
        let mut from = segment.from;
        while from < segment.to {
            while next < stretches.len() && stretches[next].to.min(segment.to) <= from && stretches[next].to <= from {
                done = done.max(stretches[next].to);
                next += 1;
            }
            let Some(stretch) = stretches.get(next) else {
                found.push(Segment { from, ..segment });
                break;
            };
            let begin = stretch.from.max(done);
            if begin > from {
                let to = begin.min(segment.to);
                found.push(Segment { from, to, ..segment });
                from = to;
                continue;
            }
            let to = stretch.to.min(segment.to);
            let short = match open {
                Some((index, short)) if index == next => short,
                _ => {
                    let short = shorts.len() as u32;
                    shorts.push(sums(recording, stretch.event));
                    open = Some((next, short));
                    short
                }
            };
            if let Some(sum) = shorts.get_mut(short as usize) {
                sum.covered = sum.covered.plus(to.since(from));
            }
            found.push(Segment { from, to, state: State::Cpu { short: Some(short) } });
            from = to;
        }
    }
    found
}

fn sums(recording: &Recording, event: usize) -> Short {
    let mut sum = Short { run_queue: Nanos::ZERO, blocked: Vec::new(), covered: Nanos::ZERO };
    if let Some(Event::ShortWaits(short)) = recording.events.get(event) {
        sum.run_queue = short.run_queue;
        for (class, length) in &short.blocked {
            let cause = cause_of(*class);
            match sum.blocked.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, known)) => *known = known.plus(*length),
                None => sum.blocked.push((cause, *length)),
            }
        }
        sum.blocked.sort_unstable();
    }
    sum
}

/// A short poll is nearly always one for a peer's answer.
fn cause_of(class: WaitClass) -> Cause {
    match class {
        WaitClass::Socket | WaitClass::Poll => Cause::Network,
        WaitClass::Pipe => Cause::Pipe,
        WaitClass::Futex => Cause::Lock,
        WaitClass::Sleep => Cause::Sleep,
        WaitClass::Child => Cause::Child,
        WaitClass::Disk => Cause::Disk,
        WaitClass::Other => Cause::Other,
    }
}

impl Short {
    /// Splits a piece of `length` of the stretch in the proportion of its waits; the rest is on-CPU time. The parts
    /// never exceed the piece, also where the sums contradict the stretch.
    pub fn split(&self, length: Nanos) -> (Nanos, Vec<(Cause, Nanos)>) {
        let total: u128 =
            u128::from(self.run_queue.0) + self.blocked.iter().map(|(_, blocked)| u128::from(blocked.0)).sum::<u128>();
        let whole = u128::from(self.covered.0).max(total).max(1);
        let part = |of: Nanos| Nanos((u128::from(length.0) * u128::from(of.0) / whole) as u64);
        (part(self.run_queue), self.blocked.iter().map(|(cause, blocked)| (*cause, part(*blocked))).collect())
    }
}
