//! The runs without deep probes → one median and one spread for each metric.

use crate::recording::{Baseline, Metrics, Nanos};

/// Everything that a run is measured by, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    Wall,
    Cpu,
    MemoryPeak,
    MemoryDelta,
    FileRead,
    FileWritten,
    NetRead,
    NetWritten,
    HttpRoundTrips,
    DbRoundTrips,
    ProbeCost,
}

impl Metric {
    pub const ALL: [Metric; 11] = [
        Metric::Wall,
        Metric::Cpu,
        Metric::MemoryPeak,
        Metric::MemoryDelta,
        Metric::FileRead,
        Metric::FileWritten,
        Metric::NetRead,
        Metric::NetWritten,
        Metric::HttpRoundTrips,
        Metric::DbRoundTrips,
        Metric::ProbeCost,
    ];

    /// In the recording's units: nanoseconds, bytes, counts.
    pub fn of(self, run: &Metrics) -> f64 {
        match self {
            Metric::Wall => run.wall.0 as f64,
            Metric::Cpu => run.cpu.0 as f64,
            Metric::MemoryPeak => run.memory_peak as f64,
            Metric::MemoryDelta => run.memory_delta as f64,
            Metric::FileRead => run.file_read as f64,
            Metric::FileWritten => run.file_written as f64,
            Metric::NetRead => run.net_read as f64,
            Metric::NetWritten => run.net_written as f64,
            Metric::HttpRoundTrips => run.http_round_trips as f64,
            Metric::DbRoundTrips => run.db_round_trips as f64,
            Metric::ProbeCost => run.probe_cost.0 as f64,
        }
    }

    /// What only probes can tell.
    fn is_count(self) -> bool {
        match self {
            Metric::FileRead
            | Metric::FileWritten
            | Metric::NetRead
            | Metric::NetWritten
            | Metric::HttpRoundTrips
            | Metric::DbRoundTrips
            | Metric::ProbeCost => true,
            Metric::Wall | Metric::Cpu | Metric::MemoryPeak | Metric::MemoryDelta => false,
        }
    }

    /// Below this median a spread says nothing: schedulers, caches and name look-ups move small values by more than
    /// a fifth. None: never judged. A memory delta lies around zero, where a ratio has no meaning; the probes' cost is
    /// ours, not the program's.
    pub fn judged_from(self) -> Option<f64> {
        match self {
            Metric::Wall => Some(1e6),
            Metric::Cpu => Some(10e6),
            Metric::MemoryPeak => Some(4.0 * 1024.0 * 1024.0),
            Metric::FileRead | Metric::FileWritten | Metric::NetRead | Metric::NetWritten => Some(64.0 * 1024.0),
            Metric::HttpRoundTrips | Metric::DbRoundTrips => Some(1.0),
            Metric::MemoryDelta | Metric::ProbeCost => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Standard deviation of the runs (n − 1) over their mean, in percent; 0 where the mean is 0 or one run was made.
    pub cv_pct: f64,
}

/// None without runs, and for a count that one of them did not measure.
pub fn spread(baseline: &Baseline, metric: Metric) -> Option<Spread> {
    if metric.is_count() && !baseline.runs.iter().all(|run| run.is_counted) {
        return None;
    }
    let mut values: Vec<f64> = baseline.runs.iter().map(|run| metric.of(run)).collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let cv_pct = if values.len() < 2 || mean == 0.0 {
        0.0
    } else {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (count - 1.0)).sqrt() / mean.abs() * 100.0
    };
    Some(Spread { median: median(&values), min, max, cv_pct })
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// How much slower the profiled run was than the median run without deep probes, in percent; may be negative.
pub fn overhead_pct(baseline: Option<&Baseline>, profiled: Nanos) -> Option<f64> {
    let plain = spread(baseline?, Metric::Wall)?.median;
    (plain > 0.0 && profiled > Nanos::ZERO).then(|| (profiled.0 as f64 / plain - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_counted_has_no_median() {
        let plain = Metrics { wall: Nanos(5), ..Metrics::default() };
        let runs = Baseline { warmups: 0, runs: vec![plain], reused_from: None };
        assert_eq!(spread(&runs, Metric::FileRead), None);
        assert_eq!(spread(&runs, Metric::Wall).map(|of| of.median), Some(5.0));
    }

    fn runs(walls_ms: &[u64]) -> Baseline {
        let runs = walls_ms
            .iter()
            .map(|&ms| Metrics { wall: Nanos(ms * 1_000_000), is_counted: true, ..Metrics::default() })
            .collect();
        Baseline { warmups: 1, runs, reused_from: None }
    }

    #[test]
    fn median_and_variation_of_three_runs() {
        let wall = spread(&runs(&[7333, 7251, 7280]), Metric::Wall).expect("three runs");
        assert_eq!((wall.median, wall.min, wall.max), (7280e6, 7251e6, 7333e6));
        assert!((wall.cv_pct - 0.571).abs() < 0.001, "{}", wall.cv_pct);
    }

    #[test]
    fn an_even_number_of_runs_takes_the_middle() {
        assert_eq!(spread(&runs(&[10, 40, 20, 30]), Metric::Wall).map(|s| s.median), Some(25e6));
    }

    #[test]
    fn one_run_has_no_variation_and_none_has_no_spread() {
        assert_eq!(spread(&runs(&[10]), Metric::Wall).map(|s| s.cv_pct), Some(0.0));
        assert_eq!(spread(&runs(&[]), Metric::Wall), None);
        assert_eq!(spread(&runs(&[10, 20]), Metric::Cpu).map(|s| s.cv_pct), Some(0.0));
    }

    #[test]
    fn overhead_needs_a_baseline() {
        assert_eq!(overhead_pct(None, Nanos(5)), None);
        assert_eq!(overhead_pct(Some(&runs(&[])), Nanos(5)), None);
        assert_eq!(overhead_pct(Some(&runs(&[100])), Nanos(110_000_000)).map(f64::round), Some(10.0));
    }
}
