//! Run time of our programs from the kernel's statistics, which are on for a part of the time only: they read the clock
//! twice a run, about as much as the shortest programs take. What a stretch shows stands for its whole interval.

use std::{collections::BTreeMap, os::fd::OwnedFd};

use crate::{recording::Nanos, target::capabilities::raised};

/// Statistics stay on at first: short runs are measured whole, and a storm at the start is seen as it is.
const WHOLE_NS: u64 = 250_000_000;
/// Then for so long in each interval.
const STRETCH_NS: u64 = 50_000_000;

/// (program, runs, run time) since the programs were loaded.
pub type Cost = Vec<(String, u64, Nanos)>;

pub struct Meter {
    origin: u64,
    /// While it is open, the kernel keeps the statistics.
    statistics: Option<OwnedFd>,
    /// Start of the interval, and what the programs had taken by then.
    from: u64,
    before: Cost,
    /// Length of the interval's measured stretch and what it showed; None while it goes on.
    measured: Option<(u64, Cost)>,
    sums: BTreeMap<String, (u64, u64)>,
}

impl Meter {
    pub fn start(now: u64, cost: Cost) -> Meter {
        Meter { origin: now, statistics: on(), from: now, before: cost, measured: None, sums: BTreeMap::new() }
    }

    /// The interval was measured for long enough.
    pub fn is_due(&self, now: u64) -> bool {
        self.measured.is_none()
            && self.from.saturating_sub(self.origin) >= WHOLE_NS
            && now.saturating_sub(self.from) >= STRETCH_NS
    }

    pub fn pause(&mut self, now: u64, cost: Cost) {
        self.measured = Some((now.saturating_sub(self.from), since(&self.before, cost)));
        self.statistics = None;
    }

    /// Closes the interval, whose run time it returns, and begins the next.
    pub fn finish_interval(&mut self, now: u64, cost: impl Fn() -> Cost) -> Nanos {
        let whole = now.saturating_sub(self.from);
        let (stretch, seen) = self.measured.take().unwrap_or_else(|| (whole, since(&self.before, cost())));
        let mut total = 0u64;
        for (program, runs, time) in seen {
            let (runs, time) = (scaled(runs, whole, stretch), scaled(time.0, whole, stretch));
            let sum = self.sums.entry(program).or_default();
            *sum = (sum.0.saturating_add(runs), sum.1.saturating_add(time));
            total = total.saturating_add(time);
        }
        if self.statistics.is_none() {
            self.statistics = on();
        }
        (self.from, self.before) = (now, cost());
        Nanos(total)
    }

    pub fn into_sums(self) -> Cost {
        self.sums.into_iter().map(|(program, (runs, time))| (program, runs, Nanos(time))).collect()
    }
}

/// Without them (no privilege) there is no figure, and nothing is thinned for it.
fn on() -> Option<OwnedFd> {
    raised(|| aya::sys::enable_stats(aya::sys::Stats::RunTime).ok())
}

fn since(before: &Cost, now: Cost) -> Cost {
    let earlier = |program: &str| before.iter().find(|(name, ..)| name == program).map_or((0, 0), |of| (of.1, of.2.0));
    now.into_iter()
        .map(|(program, runs, time)| {
            let (runs_before, time_before) = earlier(&program);
            (program, runs.saturating_sub(runs_before), Nanos(time.0.saturating_sub(time_before)))
        })
        .filter(|(_, runs, _)| *runs > 0)
        .collect()
}

fn scaled(value: u64, whole: u64, part: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(whole) / u128::from(part.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn cost(runs: u64) -> Cost {
        vec![("late".into(), runs / 2, Nanos(runs * 10)), ("on_send".into(), runs, Nanos(runs * 100))]
    }

    #[test]
    fn a_stretch_stands_for_its_interval() {
        let mut meter = Meter::start(0, vec![]);
        assert!(!meter.is_due(100 * MS), "short runs are measured whole");
        assert_eq!(meter.finish_interval(250 * MS, || cost(100)), Nanos(11_000));
        assert!(!meter.is_due(290 * MS) && meter.is_due(300 * MS));
        meter.pause(300 * MS, cost(120));
        assert!(!meter.is_due(400 * MS));
        // 20 runs in 50 ms of 250 ms.
        assert_eq!(meter.finish_interval(500 * MS, || cost(140)), Nanos(11_000));
        // What came after the stretch (another's statistics) is not counted again.
        assert_eq!(meter.finish_interval(750 * MS, || cost(140)), Nanos(0));
        let sums = meter.into_sums();
        assert_eq!(sums, [("late".into(), 100, Nanos(2_000)), ("on_send".into(), 200, Nanos(20_000))]);
    }

    #[test]
    fn nothing_measured_is_nothing() {
        let mut meter = Meter::start(5, vec![]);
        assert_eq!(meter.finish_interval(5, || cost(0)), Nanos::ZERO);
        assert!(meter.into_sums().is_empty());
    }
}
