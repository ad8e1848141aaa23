//! What a run of its own saw of the calls of malloc and its like: estimates from blocks that were drawn, by stack. Of each thread's
//! bytes one in `mean` is drawn; a block that is as large or larger counts for itself.

use serde::{Deserialize, Serialize};

use super::{Nanos, Recording, StackId, StackNames};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NativeAllocations {
    /// Why there is nothing, where there is nothing.
    pub hindrance: Option<String>,
    pub wall: Nanos,
    pub mean: u64,
    /// Counted, not estimated: calls that allocate, the bytes that they ask for, and calls that free.
    pub calls: u64,
    pub bytes: u64,
    pub frees: u64,
    /// Records of blocks, and of their ends, that had no room.
    pub lost: u64,
    pub lost_frees: u64,
    /// Bytes, about, of which it is not known whether they were freed.
    pub untracked: u64,
    /// Processes whose calls were seen, and others.
    pub watched: u32,
    pub unwatched: u32,
    /// When it was given up, because it took too long.
    pub stopped: Option<Nanos>,
    pub names: StackNames,
    /// In the order of the stacks.
    pub by_stack: Vec<AllocatedAt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AllocatedAt {
    pub stack: StackId,
    pub all: Estimate,
    /// Not freed when their process ended.
    pub alive: Estimate,
}

/// Of blocks. The points that fall into small blocks are counted, as those of a Poisson process are: n of them are n ± √n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Bytes of large blocks.
    pub whole: u64,
    /// Points in small ones.
    pub points: u64,
    pub blocks: f64,
    pub blocks_variance: f64,
}

impl Estimate {
    pub fn bytes(&self, mean: u64) -> u64 {
        self.whole.saturating_add(self.points.saturating_mul(mean))
    }

    /// Half width of the 95 % interval of `bytes`.
    pub fn bytes_error(&self, mean: u64) -> f64 {
        Z * (self.points as f64).sqrt() * mean as f64
    }

    /// Half width of the 95 % interval of `blocks`.
    pub fn blocks_error(&self) -> f64 {
        Z * self.blocks_variance.max(0.0).sqrt()
    }

    pub fn add(&mut self, other: &Estimate) {
        self.whole = self.whole.saturating_add(other.whole);
        self.points = self.points.saturating_add(other.points);
        self.blocks += other.blocks;
        self.blocks_variance += other.blocks_variance;
    }

    /// What was added before.
    pub fn subtract(&mut self, other: &Estimate) {
        self.whole = self.whole.saturating_sub(other.whole);
        self.points = self.points.saturating_sub(other.points);
        if self.whole == 0 && self.points == 0 {
            // Nothing is nothing, whatever rounding has left.
            *self = Estimate::default();
            return;
        }
        self.blocks = (self.blocks - other.blocks).max(0.0);
        self.blocks_variance = (self.blocks_variance - other.blocks_variance).max(0.0);
    }
}

/// Of the normal distribution, for 95 %.
const Z: f64 = 1.96;

impl NativeAllocations {
    /// With what names its stacks, from the run's recording: `recording.symbols` is filled.
    pub fn named(mut self, recording: Recording) -> NativeAllocations {
        self.wall = recording.meta.wall;
        let mut stacks = Vec::with_capacity(self.by_stack.len());
        for at in &mut self.by_stack {
            stacks.push(recording.stack(at.stack).clone());
            at.stack = StackId(stacks.len() as u32 - 1);
        }
        self.names = StackNames::of(recording, stacks);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_and_their_errors() {
        let small = Estimate { whole: 0, points: 1, blocks: 64.0, blocks_variance: 4096.0 };
        let mut sum = Estimate { whole: 5000, blocks: 1.0, ..Estimate::default() };
        (0..100).for_each(|_| sum.add(&small));
        assert_eq!(sum.bytes(1000), 105_000);
        assert!((sum.bytes_error(1000) - 19_600.0).abs() < 1e-6 && (sum.blocks_error() - 1254.4).abs() < 1e-6);
        (0..100).for_each(|_| sum.subtract(&small));
        assert_eq!((sum.bytes(1000), sum.bytes_error(1000)), (5000, 0.0));
        sum.subtract(&Estimate { whole: 5000, blocks: 0.9, ..Estimate::default() });
        assert_eq!(sum, Estimate::default());
    }
}
