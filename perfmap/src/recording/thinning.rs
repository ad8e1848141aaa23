//! What the probes gave up while the target ran, because they cost too much: from then on, until the end.

use serde::{Deserialize, Serialize};

use super::{Meta, Nanos};

/// One step down. Steps add up: a later one leaves the earlier ones in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thinned {
    pub at: Nanos,
    pub what: Thinning,
    pub why: Overload,
}

/// In the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Thinning {
    /// Of a socket message's head at most so many bytes are looked at.
    Payload { bytes: u32 },
    /// At most so many bytes of user stack are copied.
    Stacks { bytes: u32 },
    /// Of so many turns of one socket one has its stack taken; the others belong where the one before it was.
    Turns { every: u32 },
    /// Of so many ticks of the sampling clock one is taken.
    Sampling { every: u32 },
    /// Waits below this are summed, no longer recorded one by one.
    Waits { below: Nanos },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Overload {
    /// Run time of the probes, in percent of the target's own CPU time of the same interval.
    ProbeTime { pct: f64 },
    /// So many records found no room in the ring within the interval.
    RingFull { lost: u64 },
}

impl Meta {
    /// For how many ticks of the sampling clock a sample taken at `at` stands.
    pub fn sample_every(&self, at: Nanos) -> u32 {
        self.thinned.iter().filter(|thinned| thinned.at <= at).fold(1, |every, thinned| match thinned.what {
            Thinning::Sampling { every } => every.max(1),
            Thinning::Payload { .. } | Thinning::Stacks { .. } | Thinning::Turns { .. } | Thinning::Waits { .. } => {
                every
            }
        })
    }

    /// The longest time between two samples of a busy CPU that the recording has; 0 where there was no sampling.
    pub fn longest_period(&self) -> Nanos {
        let period = 1_000_000_000_u64.checked_div(self.sample_hz.into()).unwrap_or(0);
        Nanos(period.saturating_mul(self.sample_every(Nanos(u64::MAX)).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(steps: &[(u64, Thinning)]) -> Meta {
        let why = Overload::RingFull { lost: 1 };
        let thinned = steps.iter().map(|&(at, what)| Thinned { at: Nanos(at), what, why }).collect();
        Meta { sample_hz: 100, thinned, ..Meta::default() }
    }

    #[test]
    fn a_sample_stands_for_what_was_skipped_before_it() {
        let meta = meta(&[
            (5, Thinning::Stacks { bytes: 8192 }),
            (10, Thinning::Sampling { every: 2 }),
            (20, Thinning::Sampling { every: 4 }),
            (30, Thinning::Waits { below: Nanos(9) }),
        ]);
        let weights: Vec<u32> = [0, 9, 10, 19, 20, 99].iter().map(|at| meta.sample_every(Nanos(*at))).collect();
        assert_eq!(weights, [1, 1, 2, 2, 4, 4]);
        assert_eq!(meta.longest_period(), Nanos(40_000_000));
    }

    #[test]
    fn nothing_thinned_and_nothing_sampled() {
        assert_eq!(meta(&[]).longest_period(), Nanos(10_000_000));
        assert_eq!(Meta::default().longest_period(), Nanos::ZERO);
        assert_eq!(meta(&[(0, Thinning::Sampling { every: 0 })]).sample_every(Nanos(1)), 1, "a file may say anything");
    }
}
