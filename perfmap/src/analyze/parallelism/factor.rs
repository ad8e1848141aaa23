//! Work of an item and number of workers → rates, and how far apart the possible one and the measured one are.

use super::types::Severity;
use crate::recording::Nanos;

/// Above it more than half of the workers are of no use.
const GOOD: f64 = 1.5;
const MINOR: f64 = 3.0;
const WARNING: f64 = 10.0;
/// Computing is a part of an item where it is so much of its work.
const CPU_PART: f64 = 5.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub single: f64,
    pub theoretical: f64,
    pub capped: bool,
    pub actual: f64,
    pub factor: f64,
}

/// `work` and `cpu` of one item; None where nothing was done or took time.
pub(super) fn rates(items: u64, duration: Nanos, workers: u64, (work, cpu): (f64, f64), cores: u32) -> Option<Rates> {
    if items == 0 || duration == Nanos::ZERO || work <= 0.0 || workers == 0 {
        return None;
    }
    let actual = items as f64 * 1e9 / duration.0 as f64;
    let single = 1e9 / work;
    let free = single * workers as f64;
    // What items that wait compute beside it is no part of them: `expected` looks at that.
    let by_cores = if cores > 0 && cpu * CPU_PART >= work { f64::from(cores) * 1e9 / cpu } else { f64::INFINITY };
    let theoretical = free.min(by_cores);
    Some(Rates { single, theoretical, capped: by_cores < free, actual, factor: theoretical / actual })
}

pub(super) fn severity(factor: f64) -> Severity {
    if factor > WARNING {
        Severity::Critical
    } else if factor > MINOR {
        Severity::Warning
    } else if factor > GOOD {
        Severity::Minor
    } else {
        Severity::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: 205 ms and 236 ms, 64 workers, 1.97 items a second.
    #[test]
    fn sixty_four_workers_behind_one_write_lock() {
        let duration = Nanos(1_000_000_000_000);
        let found = rates(1970, duration, 64, (441e6, 0.0), 2).expect("rates");
        assert!((found.single - 2.2676).abs() < 0.001, "{found:?}");
        assert!((found.theoretical - 145.1).abs() < 0.1, "{found:?}");
        assert!((found.factor - 73.7).abs() < 0.1, "{found:?}");
        assert_eq!(severity(found.factor), Severity::Critical);
    }

    #[test]
    fn what_is_computed_has_no_more_cores_than_there_are() {
        let second = Nanos(1_000_000_000);
        let found = rates(50, second, 8, (40e6, 20e6), 2).expect("rates");
        assert!(found.capped && (found.theoretical - 100.0).abs() < 1e-9, "{found:?}");
        let found = rates(50, second, 8, (80e6, 20e6), 2).expect("rates");
        assert!(!found.capped && (found.theoretical - 100.0).abs() < 1e-9, "{found:?}");
        let found = rates(50, second, 100, (80e6, 20e6), 2).expect("rates");
        assert!(found.capped && (found.theoretical - 100.0).abs() < 1e-9, "{found:?}");
        let found = rates(50, second, 100, (80e6, 4e6), 2).expect("rates");
        assert!(!found.capped && (found.theoretical - 1250.0).abs() < 1e-9, "it waits, but for a twentieth: {found:?}");
        assert_eq!(rates(0, second, 8, (40e6, 0.0), 2), None);
        assert_eq!(rates(5, second, 8, (0.0, 0.0), 2), None);
    }

    #[test]
    fn bands_end_where_the_specification_says() {
        let of = |factor| severity(factor);
        assert_eq!(
            [of(1.5), of(1.51), of(3.0), of(3.1)],
            [Severity::Good, Severity::Minor, Severity::Minor, Severity::Warning]
        );
        assert_eq!([of(10.0), of(10.1), of(0.9)], [Severity::Warning, Severity::Critical, Severity::Good]);
    }
}
