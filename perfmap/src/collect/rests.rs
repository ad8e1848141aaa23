//! When the program at the return of system calls rests. Being called costs a system call more than the program itself does
//! (the kernel takes a longer way out for as long as it is attached), so in a storm of calls it is detached for four
//! stretches of five. Bytes of files stay exact: the kernel counts them (rest.h of the probes). What would be lost are the
//! returns of calls with a wait in them, so there is no rest where these come.

use std::{collections::BTreeSet, os::fd::OwnedFd};

use perfmap_common as wire;

use super::{CollectError, object::Object, overload::Passing};
use crate::recording::{Overload, Thinning};

/// A stretch that is watched, a little less than the time between two looks at the ring.
const LOOK_NS: u64 = 9_000_000;
const REST_NS: u64 = 40_000_000;
/// Of so many stretches one is watched.
const EVERY: u32 = 5;
/// So many stretches in a row have to be a storm before the first rest: a program's start is none.
const IN_A_ROW: u32 = 3;
/// What a call takes longer while a program is attached at its return, beside the program's own time: measured on an EPYC
/// with its mitigations as 85 to 95.
const ATTACHED_NS: u64 = 90;
/// Part of the target's CPU time that is worth a rest.
const STORM: f64 = 0.03;
/// A target that uses less than this part of one CPU is judged as if it used it.
const LEAST_CPU: f64 = 0.25;
/// Watching costs so much at most for one return with a wait in it, or it rests.
const WORTH_NS: u64 = 500_000;
/// Returns that one rest may miss before it is ended, and for how long there is none then: twice as long each time.
const MISSED: u64 = 4;
const PATIENCE_NS: u64 = 500_000_000;
const MOST_PATIENCE_NS: u64 = 16_000_000_000;

/// One stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Stretch {
    wall: u64,
    /// Of the followed processes.
    cpu: u64,
    runs: u64,
    run_time: u64,
    /// Records of returns with a wait in them, and of coroutines that a poll's return showed.
    told: u64,
}

impl Stretch {
    /// Part of the target's CPU time that watching took, where that is too much for what it told.
    fn storm(&self) -> Option<f64> {
        let cost = self.run_time.saturating_add(self.runs.saturating_mul(ATTACHED_NS));
        let share = cost as f64 / (self.cpu as f64).max(self.wall as f64 * LEAST_CPU).max(1.0);
        (share > STORM && self.told.saturating_mul(WORTH_NS) < cost).then_some(share)
    }
}

/// Totals when the stretch began.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: u64,
    cpu: u64,
    runs: u64,
    run_time: u64,
    told: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Watching(Mark),
    /// Since when, and how many returns had been missed by then.
    Resting {
        since: u64,
        missed: u64,
    },
}

pub(super) struct Rests {
    /// The kernel counts what files are read.
    able: bool,
    state: State,
    storms: u32,
    not_before: u64,
    patience: u64,
    /// The kernel's statistics, on while a stretch between two rests is watched.
    statistics: Option<OwnedFd>,
    said: bool,
}

impl Rests {
    pub(super) fn new(able: bool, now: u64) -> Rests {
        Rests {
            able: able && is_counted(),
            state: State::Watching(Mark { at: now, ..Mark::default() }),
            storms: 0,
            not_before: 0,
            patience: PATIENCE_NS,
            statistics: None,
            said: false,
        }
    }

    /// What is to be said of the first rest.
    pub(super) fn tick(
        &mut self,
        now: u64,
        object: &mut Object,
        limits: &mut wire::LiveSettings,
        passing: &Passing,
        alive: &BTreeSet<u32>,
    ) -> Result<Option<(Thinning, Overload)>, CollectError> {
        if !self.able {
            return Ok(None);
        }
        match self.state {
            State::Resting { since, missed } => {
                let too_many = passing.unreturned.saturating_sub(missed) > MISSED;
                if too_many {
                    self.not_before = now.saturating_add(self.patience);
                    self.patience = self.patience.saturating_mul(2).min(MOST_PATIENCE_NS);
                }
                if too_many || now.saturating_sub(since) >= REST_NS {
                    self.statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime).ok();
                    // In this order: a return that is seen while the rest still counts would pass for one of many.
                    limits.rests = limits.rests.wrapping_add(1);
                    object.live.set(limits)?;
                    object.watch_returns()?;
                    self.storms = IN_A_ROW - 1;
                    self.state = State::Watching(mark(now, object, passing, alive));
                }
                Ok(None)
            }
            State::Watching(from) if now.saturating_sub(from.at) < LOOK_NS => Ok(None),
            State::Watching(from) => {
                let to = mark(now, object, passing, alive);
                let stretch = Stretch {
                    wall: to.at.saturating_sub(from.at),
                    cpu: to.cpu.saturating_sub(from.cpu),
                    runs: to.runs.saturating_sub(from.runs),
                    run_time: to.run_time.saturating_sub(from.run_time),
                    told: to.told.saturating_sub(from.told),
                };
                self.statistics = None;
                self.state = State::Watching(to);
                let Some(share) = stretch.storm() else {
                    self.storms = 0;
                    return Ok(None);
                };
                self.storms += 1;
                if self.storms < IN_A_ROW || now < self.not_before {
                    return Ok(None);
                }
                // In this order: what is seen in between is known to be of the stretch's end.
                limits.rests = limits.rests.wrapping_add(1);
                object.live.set(limits)?;
                object.rest_returns();
                self.state = State::Resting { since: now, missed: passing.unreturned };
                let first = !std::mem::replace(&mut self.said, true);
                let why = Overload::ProbeTime { pct: share * 100.0 };
                Ok(first.then_some((Thinning::Returns { every: EVERY }, why)))
            }
        }
    }
}

fn mark(now: u64, object: &Object, passing: &Passing, alive: &BTreeSet<u32>) -> Mark {
    let (runs, run_time) = object.cost_of_returns().map_or((0, 0), |(runs, time)| (runs, time.0));
    Mark { at: now, cpu: passing.tree_cpu(alive), runs, run_time, told: passing.told }
}

/// A kernel may be built without (CONFIG_TASK_XACCT): the file is there, its numbers stay 0.
fn is_counted() -> bool {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let read = text.lines().find_map(|line| line.strip_prefix("rchar:")?.trim().parse::<u64>().ok());
    read.is_some_and(|read| read > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_storm_costs_much_and_tells_little() {
        // 10 ms of a CPU, of which watching 4,000 calls took 0.88 ms.
        let reads = Stretch { wall: 10 * MS, cpu: 10 * MS, runs: 4_000, run_time: MS / 2, told: 0 };
        assert!((reads.storm().unwrap() - 0.086).abs() < 1e-9);
        assert_eq!(Stretch { told: 1, ..reads }.storm(), reads.storm());
        assert_eq!(Stretch { told: 2, ..reads }.storm(), None, "each return with a wait is worth half a millisecond");
        assert_eq!(Stretch { runs: 1_000, run_time: MS / 8, ..reads }.storm(), None, "100,000 calls a second are none");
        assert_eq!(Stretch { cpu: 40 * MS, ..reads }.storm(), None, "four threads that compute");
        assert_eq!(Stretch::default().storm(), None);
        assert!(Stretch { cpu: 0, ..reads }.storm().is_some_and(|share| share > 0.3), "its CPU time is not known yet");
    }

    #[test]
    fn this_kernel_counts() {
        assert!(is_counted());
    }
}
