//! Blocks that were drawn, and when they are given back → by stack what was allocated and what is still alive at the end.

use std::collections::HashMap;

use perfmap_common as wire;

use super::RawStack;
use super::Recorder;
use crate::recording::{AllocatedAt, Estimate, StackId};

/// Blocks that are alive at a time; the kernel side holds fewer.
const BLOCKS: usize = 1 << 20;

#[derive(Debug, Default)]
pub struct Allocations {
    sums: HashMap<StackId, (Estimate, Estimate)>,
    alive: HashMap<(u32, u64), (StackId, Estimate)>,
    /// About the bytes of blocks of which it will not be known when they are freed.
    pub untracked: u64,
}

impl Allocations {
    fn allocated(&mut self, pid: u32, allocation: &wire::Allocation, stack: StackId) {
        let one = estimate(allocation);
        let (all, alive) = self.sums.entry(stack).or_default();
        all.add(&one);
        if allocation.flags & wire::ALLOCATION_UNTRACKED != 0 || self.alive.len() >= BLOCKS {
            self.untracked = self.untracked.saturating_add(one.bytes(wire::ALLOCATION_MEAN));
            return;
        }
        alive.add(&one);
        if let Some((before, old)) = self.alive.insert((pid, allocation.address), (stack, one)) {
            // Its end was missed.
            self.less(before, &old);
        }
    }

    fn freed(&mut self, pid: u32, address: u64) {
        if let Some((stack, one)) = self.alive.remove(&(pid, address)) {
            self.less(stack, &one);
        }
    }

    /// What lay in its memory is gone.
    pub fn executed(&mut self, pid: u32) {
        let gone: Vec<_> = self.alive.extract_if(|(of, _), _| *of == pid).map(|(_, block)| block).collect();
        gone.into_iter().for_each(|(stack, one)| self.less(stack, &one));
    }

    fn less(&mut self, stack: StackId, one: &Estimate) {
        if let Some((_, alive)) = self.sums.get_mut(&stack) {
            alive.subtract(one);
        }
    }

    /// Ids of stacks have changed.
    pub fn moved(&mut self, visit: &mut dyn FnMut(&mut StackId)) {
        let sums = std::mem::take(&mut self.sums).into_iter().map(|(mut stack, sums)| {
            visit(&mut stack);
            (stack, sums)
        });
        self.sums = sums.collect();
        self.alive.values_mut().for_each(|(stack, _)| visit(stack));
    }

    pub fn finish(self) -> (Vec<AllocatedAt>, u64) {
        let by = |(stack, (all, alive))| AllocatedAt { stack, all, alive };
        let mut found: Vec<AllocatedAt> = self.sums.into_iter().map(by).collect();
        found.sort_by_key(|at| at.stack);
        (found, self.untracked)
    }
}

/// What one block that was drawn stands for.
fn estimate(allocation: &wire::Allocation) -> Estimate {
    if allocation.points == 0 {
        return Estimate { whole: allocation.size, blocks: 1.0, ..Estimate::default() };
    }
    let of_size = wire::ALLOCATION_MEAN as f64 / allocation.size.max(1) as f64;
    let points = f64::from(allocation.points);
    Estimate {
        whole: 0,
        points: u64::from(allocation.points),
        blocks: points * of_size,
        blocks_variance: points * of_size * of_size,
    }
}

impl Recorder {
    pub(super) fn allocation(&mut self, allocation: &wire::Allocation, raw: &RawStack<'_>) {
        let stack = self.stack(&allocation.header, raw);
        self.allocations.allocated(allocation.header.pid, allocation, stack);
    }

    pub(super) fn freed(&mut self, freed: &wire::Freed) {
        self.allocations.freed(freed.header.pid, freed.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(address: u64, size: u64, points: u32) -> wire::Allocation {
        let header = wire::Header { kind: wire::Kind::Allocation as u32, pid: 7, tid: 7, cpu: 0, at: 0 };
        let stack = wire::StackHead { registers: [0; 17], coroutine: 0, python: 0, kernel: 0, user: 0, flags: 0 };
        wire::Allocation { header, address, size, points, flags: 0, stack }
    }

    #[test]
    fn what_is_freed_is_not_alive() {
        let mut seen = Allocations::default();
        let (one, other) = (StackId(3), StackId(1));
        seen.allocated(7, &allocation(0x10, 1024, 1), one);
        seen.allocated(7, &allocation(0x20, 1024, 2), one);
        seen.allocated(7, &allocation(0x30, 1 << 20, 0), other);
        seen.freed(7, 0x20);
        seen.freed(8, 0x10);
        let untracked = wire::Allocation { flags: wire::ALLOCATION_UNTRACKED, ..allocation(0, 1 << 20, 0) };
        seen.allocated(7, &untracked, other);
        let (found, unknown) = seen.finish();
        let told: Vec<_> = found
            .iter()
            .map(|at| {
                (at.stack, at.all.bytes(wire::ALLOCATION_MEAN), at.all.blocks, at.alive.bytes(wire::ALLOCATION_MEAN))
            })
            .collect();
        let mean = wire::ALLOCATION_MEAN;
        assert_eq!(told, [(other, 2 << 20, 2.0, 1 << 20), (one, 3 * mean, 3.0 * mean as f64 / 1024.0, mean)]);
        assert_eq!(unknown, 1 << 20);
    }

    #[test]
    fn an_execve_takes_all_with_it() {
        let mut seen = Allocations::default();
        seen.allocated(7, &allocation(0x10, 1024, 1), StackId(0));
        seen.executed(8);
        seen.executed(7);
        assert_eq!(seen.finish().0[0].alive, Estimate::default());
    }
}
