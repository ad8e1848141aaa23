//! Every quarter of a second: what our programs took, what the followed processes used, what was lost → a step of the
//! thinning where it is too much, put in force at once and written down.

use std::collections::{BTreeSet, HashMap};

use perfmap_common as wire;
use perfmap_common::Plain;

use super::{
    CollectError, Mode, Plan,
    clock::process_cpu,
    meter::Meter,
    object::{self, Object},
    thinning::{Policy, Reading, Volume, apply},
};
use crate::recording::{Loss, Nanos, Thinned};

const EVERY_NS: u64 = 250_000_000;

/// What the watch reads from the ring's entries as they go by.
#[derive(Debug, Default)]
pub struct Passing {
    volume: Volume,
    /// CPU time of threads that ended, of processes that ended and of those that live, by pid.
    ended: u64,
    threads: HashMap<u32, u64>,
}

impl Passing {
    pub fn see(&mut self, kind: wire::Kind, entry: &[u8]) {
        self.volume.add(kind, entry);
        if kind == wire::Kind::Exit
            && let Some(exit) = wire::Exit::read(entry)
        {
            // A living process's clock has the time of its ended threads.
            let of_process = self.threads.entry(exit.header.pid).or_default();
            *of_process = of_process.saturating_add(exit.cpu_ns);
            if exit.alive == 0 {
                self.ended = self.ended.saturating_add(*of_process);
                self.threads.remove(&exit.header.pid);
            }
        }
    }

    /// All processes so far. One that ends between two looks is in neither sum for a moment: its record is on its way.
    fn tree_cpu(&self, alive: &BTreeSet<u32>) -> u64 {
        alive.iter().filter_map(|pid| process_cpu(*pid)).fold(self.ended, |sum, cpu| sum.saturating_add(cpu.0))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    at: u64,
    tree_cpu: u64,
    lost: u64,
}

pub struct Watch {
    /// Not in counting runs: they have nothing that could be thinned without harm to their counts.
    thins: bool,
    origin: u64,
    policy: Policy,
    now: wire::LiveSettings,
    before: Sums,
    meter: Meter,
    pub thinned: Vec<Thinned>,
}

impl Watch {
    /// `origin` is the time from which the recording counts.
    pub fn new(plan: &Plan, object: &Object, origin: u64) -> Watch {
        let before = Sums { at: origin, ..Sums::default() };
        Watch {
            // A run for allocations alone is slow on purpose.
            thins: plan.mode == Mode::Profile && plan.allocations.is_none(),
            origin,
            policy: Policy::default(),
            now: object::first(plan),
            before,
            meter: Meter::start(origin, object.cost()),
            thinned: Vec::new(),
        }
    }

    pub fn tick(
        &mut self,
        now: u64,
        object: &mut Object,
        passing: &mut Passing,
        alive: &BTreeSet<u32>,
    ) -> Result<(), CollectError> {
        let wall = now.saturating_sub(self.before.at);
        if self.meter.is_due(now) {
            self.meter.pause(now, object.cost());
        }
        if wall < EVERY_NS {
            return Ok(());
        }
        let probes = self.meter.finish_interval(now, || object.cost());
        let sums = Sums { at: now, tree_cpu: passing.tree_cpu(alive), lost: lost(object) };
        let reading = Reading {
            wall: Nanos(wall),
            probes,
            tree_cpu: Nanos(sums.tree_cpu.saturating_sub(self.before.tree_cpu)),
            lost: sums.lost.saturating_sub(self.before.lost),
            through: std::mem::take(&mut passing.volume),
        };
        self.before = sums;
        if self.thins
            && let Some((what, why)) = self.policy.judge(&reading, &self.now)
        {
            self.now = apply(what, &self.now);
            object.live.set(&self.now)?;
            self.thinned.push(Thinned { at: Nanos(now.saturating_sub(self.origin)), what, why });
        }
        Ok(())
    }

    /// Run time of our programs over the whole run, and what was thinned.
    pub fn finish(mut self, now: u64, object: &Object) -> (Vec<(String, u64, Nanos)>, Vec<Thinned>) {
        self.meter.finish_interval(now, || object.cost());
        (self.meter.into_sums(), self.thinned)
    }
}

/// Records that the ring had no room for.
fn lost(object: &Object) -> u64 {
    const RING: [Loss; 6] = [
        Loss::RingFullSample,
        Loss::RingFullWait,
        Loss::RingFullMessage,
        Loss::RingFullTask,
        Loss::RingFullFile,
        Loss::RingFullPython,
    ];
    let losses = object.losses();
    RING.into_iter().map(|kind| losses.of(kind)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(pid: u32, alive: u32, cpu_ns: u64) -> wire::Exit {
        let header = wire::Header { kind: wire::Kind::Exit as u32, pid, tid: pid, cpu: 0, at: 0 };
        wire::Exit { header, code: 0, alive, cpu_ns, comm: [0; 16] }
    }

    #[test]
    fn ended_processes_keep_their_time() {
        let mut passing = Passing::default();
        for record in [exit(7, 1, 5), exit(8, 0, 100), exit(7, 0, 6)] {
            passing.see(wire::Kind::Exit, record.as_bytes());
        }
        assert_eq!(passing.tree_cpu(&BTreeSet::new()), 111);
        assert!(passing.threads.is_empty());
        let own = passing.tree_cpu(&BTreeSet::from([std::process::id(), u32::MAX]));
        assert!(own > 111, "this process has used some time, and one that is gone none");
    }
}
