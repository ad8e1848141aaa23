//! On-CPU time → the stacks that own it, from samples alone wherever samples can tell.
//!
//! A burst is a task's CPU time from one block to the next; preemption does not end it. The stack at a block is known
//! exactly, but it says nothing of what was computed in between: cutting at midpoints between blocks and samples gives
//! calls time that the functions around them spent, up to a quarter of it in bursts as long as the sampling period. So:
//!
//! - a burst with samples is theirs, in equal parts, in their order: each sample stands for as much time as any other;
//! - bursts without one, between the same two stacks of a process, are shared out as their sisters with samples were. For a function
//!   that computes `a` of a burst's `l < T` (the period): `a/T` of the bursts are sampled in it and give it `l`, and of
//!   the `1 - l/T` without a sample it gets `a`: `a` on average, as it should;
//! - only where no sister has a sample, the midpoints between the known stacks decide.

use rustc_hash::FxHashMap;

use crate::{
    correlate::{State, Timeline},
    recording::{Nanos, ProcessId, StackId},
};

/// `[from, to)` on the CPU with one owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub from: Nanos,
    pub to: Nanos,
    pub stack: Option<StackId>,
}

/// What is known of one task.
pub(super) struct Facts<'a> {
    pub process: ProcessId,
    pub timeline: &'a Timeline,
    /// Stacks at blocks and calls, sorted by time.
    pub calls: &'a [(Nanos, StackId)],
    /// Sorted by time.
    pub samples: &'a [(Nanos, StackId)],
}

struct Burst {
    /// Its on-CPU segments.
    on: Vec<(Nanos, Nanos)>,
    length: u64,
    samples: std::ops::Range<usize>,
    between: Between,
}

/// The stacks at the blocks before and after.
type Between = (Option<StackId>, Option<StackId>);

/// Bursts between the same stacks, over all tasks of a process.
#[derive(Default)]
struct Sisters {
    /// In the order of the bursts: stack, and the time that its sample stood for.
    sampled: Vec<(StackId, u64)>,
    sampled_time: u64,
    unsampled_time: u64,
    /// How much of the latter was shared out, and where in `sampled` that was.
    shared: u64,
    next: usize,
    /// Of `sampled` before `next`.
    before_next: u64,
}

/// By task: its on-CPU time, in order, without gaps within an on-CPU segment.
pub(super) fn owners(tasks: &[Facts<'_>]) -> Vec<Vec<Cut>> {
    let bursts: Vec<Vec<Burst>> = tasks.iter().map(bursts).collect();
    let mut sisters: FxHashMap<(ProcessId, Between), Sisters> = FxHashMap::default();
    for (facts, bursts) in tasks.iter().zip(&bursts) {
        for burst in bursts {
            let known = sisters.entry((facts.process, burst.between)).or_default();
            let samples = facts.samples.get(burst.samples.clone()).unwrap_or_default();
            if samples.is_empty() {
                known.unsampled_time = known.unsampled_time.saturating_add(burst.length);
                continue;
            }
            let each = (burst.length / samples.len() as u64).max(1);
            known.sampled_time = known.sampled_time.saturating_add(each.saturating_mul(samples.len() as u64));
            known.sampled.extend(samples.iter().map(|(_, stack)| (*stack, each)));
        }
    }
    tasks
        .iter()
        .zip(&bursts)
        .map(|(facts, bursts)| {
            let mut cuts = Vec::new();
            for burst in bursts {
                let samples = facts.samples.get(burst.samples.clone()).unwrap_or_default();
                match sisters.get_mut(&(facts.process, burst.between)) {
                    _ if !samples.is_empty() => equal_parts(burst, samples, &mut cuts),
                    Some(known) if known.sampled_time > 0 => known.share(burst, &mut cuts),
                    Some(_) | None => midpoints(burst, facts.calls, &mut cuts),
                }
            }
            cuts
        })
        .collect()
}

fn bursts(facts: &Facts<'_>) -> Vec<Burst> {
    let mut found: Vec<Burst> = Vec::new();
    let mut open = false;
    for segment in &facts.timeline.0 {
        match segment.state {
            State::Blocked(_) => open = false,
            State::RunQueue(_) => {}
            State::Cpu { .. } => {
                let on = (segment.from, segment.to);
                let length = segment.to.since(segment.from).0;
                match found.last_mut() {
                    Some(burst) if open => {
                        burst.length += length;
                        match burst.on.last_mut() {
                            Some(last) if last.1 == on.0 => last.1 = on.1,
                            _ => burst.on.push(on),
                        }
                    }
                    _ => found.push(Burst { on: vec![on], length, samples: 0..0, between: (None, None) }),
                }
                open = true;
            }
        }
    }
    for burst in &mut found {
        let (Some((from, _)), Some((_, to))) = (burst.on.first().copied(), burst.on.last().copied()) else { continue };
        let index = |at: Nanos| facts.samples.partition_point(|(time, _)| *time < at);
        burst.samples = index(from)..index(to);
        let before = facts.calls.partition_point(|(at, _)| *at <= from).checked_sub(1);
        let after = facts.calls.partition_point(|(at, _)| *at < to);
        let stack = |index: usize| facts.calls.get(index).map(|(_, stack)| *stack);
        burst.between = (before.and_then(stack), stack(after));
    }
    found
}

fn equal_parts(burst: &Burst, samples: &[(Nanos, StackId)], cuts: &mut Vec<Cut>) {
    let count = samples.len() as u64;
    let mut lay = Lay::new(burst, cuts);
    for (index, (_, stack)) in (1..).zip(samples) {
        let until = u128::from(burst.length) * index / u128::from(count);
        lay.until(until as u64, Some(*stack));
    }
}

impl Sisters {
    /// The unsampled bursts, laid end to end, are cut in the proportions of the samples, laid end to end.
    fn share(&mut self, burst: &Burst, cuts: &mut Vec<Cut>) {
        let begun = self.shared;
        self.shared = self.shared.saturating_add(burst.length);
        let mut lay = Lay::new(burst, cuts);
        while let Some((stack, weight)) = self.sampled.get(self.next) {
            let reaches = u128::from(self.before_next.saturating_add(*weight)) * u128::from(self.unsampled_time)
                / u128::from(self.sampled_time.max(1));
            let reaches = reaches as u64;
            let is_last = self.next + 1 == self.sampled.len();
            if is_last || reaches >= self.shared {
                return lay.until(burst.length, Some(*stack));
            }
            lay.until(reaches.saturating_sub(begun), Some(*stack));
            self.before_next = self.before_next.saturating_add(*weight);
            self.next += 1;
        }
    }
}

fn midpoints(burst: &Burst, calls: &[(Nanos, StackId)], cuts: &mut Vec<Cut>) {
    for &(from, to) in &burst.on {
        let mut index = calls.partition_point(|(at, _)| *at < from).saturating_sub(1);
        let mut now = from;
        while now < to {
            let here = calls.get(index).map(|(_, stack)| *stack);
            let until = match (calls.get(index), calls.get(index + 1)) {
                (Some((at, _)), Some((next, _))) => Nanos(at.0 + (next.0 - at.0) / 2).min(to),
                _ => to,
            };
            index += 1;
            if until > now {
                push(cuts, Cut { from: now, to: until, stack: here });
                now = until;
            }
        }
    }
}

/// Gives a burst's time away from its beginning on, over its segments.
struct Lay<'a> {
    burst: &'a Burst,
    cuts: &'a mut Vec<Cut>,
    segment: usize,
    /// On-CPU time of the burst that is given away, and of the segments before this one.
    given: u64,
    before: u64,
}

impl<'a> Lay<'a> {
    fn new(burst: &'a Burst, cuts: &'a mut Vec<Cut>) -> Self {
        Self { burst, cuts, segment: 0, given: 0, before: 0 }
    }

    /// The burst's on-CPU time up to `until` that is still there.
    fn until(&mut self, until: u64, stack: Option<StackId>) {
        while self.given < until
            && let Some(&(from, to)) = self.burst.on.get(self.segment)
        {
            let length = to.since(from).0;
            let end = until.min(self.before + length);
            let at = |given: u64| Nanos(from.0 + (given - self.before));
            push(self.cuts, Cut { from: at(self.given), to: at(end), stack });
            self.given = end;
            if end == self.before + length {
                self.before = end;
                self.segment += 1;
            }
        }
    }
}

fn push(cuts: &mut Vec<Cut>, cut: Cut) {
    match cuts.last_mut() {
        Some(last) if last.to == cut.from && last.stack == cut.stack => last.to = cut.to,
        _ if cut.to > cut.from => cuts.push(cut),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::correlate::{Segment, WaitId};

    const A: StackId = StackId(1);
    const B: StackId = StackId(2);
    const WAIT: StackId = StackId(9);

    /// States by letter, in units: c on the CPU, r in the run queue, b blocked.
    fn timeline(line: &[(char, u64)]) -> Timeline {
        let mut now = Nanos(0);
        let segments = line.iter().map(|(kind, length)| {
            let from = now;
            now = now.plus(Nanos(*length));
            let state = match kind {
                'c' => State::Cpu { short: None },
                'r' => State::RunQueue(WaitId(0)),
                _ => State::Blocked(WaitId(0)),
            };
            Segment { from, to: now, state }
        });
        Timeline(segments.collect())
    }

    fn cut(from: u64, to: u64, stack: StackId) -> Cut {
        Cut { from: Nanos(from), to: Nanos(to), stack: Some(stack) }
    }

    #[test]
    fn samples_share_a_burst_and_calls_get_nothing_of_it() {
        let timeline = timeline(&[('c', 10), ('b', 10), ('c', 10), ('r', 5), ('c', 10), ('b', 5)]);
        let calls = [10, 20, 45].map(|at| (Nanos(at), WAIT));
        let samples = [(Nanos(22), A), (Nanos(44), B)];
        let found = owners(&[Facts { process: ProcessId(0), timeline: &timeline, calls: &calls, samples: &samples }]);
        // The first one has no sample, and no sister either: nothing is known before it.
        assert_eq!(found, [[cut(0, 10, WAIT), cut(20, 30, A), cut(35, 45, B)]]);
    }

    #[test]
    fn bursts_without_a_sample_follow_their_sisters() {
        // Ten bursts of 8 between the same stacks; three were sampled, twice in A.
        let line: Vec<(char, u64)> = (0..10).flat_map(|_| [('b', 2), ('c', 8)]).chain([('b', 2)]).collect();
        let timeline = timeline(&line);
        let calls: Vec<_> = (0..11).flat_map(|n| [(Nanos(n * 10), WAIT), (Nanos(n * 10 + 2), WAIT)]).collect();
        let samples = [(Nanos(5), A), (Nanos(45), A), (Nanos(95), B)];
        let found = owners(&[Facts { process: ProcessId(0), timeline: &timeline, calls: &calls, samples: &samples }]);
        let of = |stack| -> u64 {
            found[0].iter().filter(|cut| cut.stack == Some(stack)).map(|cut| cut.to.since(cut.from).0).sum()
        };
        assert_eq!((of(A), of(B), of(WAIT)), (53, 27, 0));
    }

    #[test]
    fn another_process_is_no_sister() {
        let timeline = timeline(&[('c', 10)]);
        let sampled = [(Nanos(5), A)];
        let facts = |process, samples| Facts { process: ProcessId(process), timeline: &timeline, calls: &[], samples };
        let found = owners(&[facts(0, &sampled), facts(1, &[])]);
        assert_eq!(found[0], [cut(0, 10, A)]);
        assert_eq!(found[1], [Cut { from: Nanos(0), to: Nanos(10), stack: None }]);
    }

    proptest! {
        /// Every instant on the CPU has one owner, and no other instant has one.
        #[test]
        fn on_cpu_time_is_covered(
            line in prop::collection::vec((prop::sample::select(vec!['c', 'c', 'r', 'b']), 1..50u64), 0..30),
            calls in prop::collection::vec((0..900u64, 0..4u32), 0..20),
            samples in prop::collection::vec((0..900u64, 0..4u32), 0..20),
        ) {
            let timeline = timeline(&line);
            let sorted = |list: Vec<(u64, u32)>| {
                let mut list: Vec<_> = list.into_iter().map(|(at, stack)| (Nanos(at), StackId(stack))).collect();
                list.sort_unstable();
                list
            };
            let (calls, samples) = (sorted(calls), sorted(samples));
            let facts = || Facts { process: ProcessId(0), timeline: &timeline, calls: &calls, samples: &samples };
            for cuts in owners(&[facts(), facts()]) {
                let mut covered: Vec<(Nanos, Nanos)> = Vec::new();
                for cut in cuts {
                    prop_assert!(cut.from < cut.to);
                    match covered.last_mut() {
                        Some(last) if last.1 == cut.from => last.1 = cut.to,
                        Some(last) => {
                            prop_assert!(last.1 < cut.from);
                            covered.push((cut.from, cut.to));
                        }
                        None => covered.push((cut.from, cut.to)),
                    }
                }
                let mut on: Vec<(Nanos, Nanos)> = Vec::new();
                for segment in timeline.0.iter().filter(|segment| matches!(segment.state, State::Cpu { .. })) {
                    match on.last_mut() {
                        Some(last) if last.1 == segment.from => last.1 = segment.to,
                        _ => on.push((segment.from, segment.to)),
                    }
                }
                prop_assert_eq!(covered, on);
            }
        }
    }
}
