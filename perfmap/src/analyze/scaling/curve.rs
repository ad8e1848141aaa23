//! The runs of a sweep → the rate at each number of workers, and the law through them.

use std::collections::BTreeMap;

use super::{fit, fit::WhyNot, law::Usl};
use crate::recording::{SweepRun, Work};

#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub unit: Unit,
    /// By number of workers.
    pub points: Vec<Point>,
    /// Runs that did not end well, by number of workers: (workers, how many). They count for nothing.
    pub failed: Vec<(u32, u32)>,
    pub law: Result<Usl, WhyNot>,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Items,
    /// Nothing told how many items a run has: each is taken to do the same work.
    Runs,
}

/// The runs with so many workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub workers: u32,
    /// Median of the runs, per second.
    pub rate: f64,
    pub lowest: f64,
    pub highest: f64,
    pub runs: u32,
}

/// None where no sweep was made.
pub fn curve(work: &Work) -> Option<Curve> {
    if work.sweep.is_empty() {
        return None;
    }
    let good = |run: &&SweepRun| !run.failed && run.wall.0 > 0;
    let items = |run: &SweepRun| run.items.or(work.items).filter(|items| *items > 0);
    let unit = match work.sweep.iter().filter(good).all(|run| items(run).is_some()) {
        true => Unit::Items,
        false => Unit::Runs,
    };
    let mut rates: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for run in work.sweep.iter().filter(good) {
        let amount = match unit {
            Unit::Items => items(run).unwrap_or(1) as f64,
            Unit::Runs => 1.0,
        };
        rates.entry(run.workers).or_default().push(amount / run.wall.0 as f64 * 1e9);
    }
    let points: Vec<Point> = rates.into_iter().filter_map(|(workers, rates)| point(workers, rates)).collect();
    let mut failed: BTreeMap<u32, u32> = BTreeMap::new();
    for run in work.sweep.iter().filter(|run| !good(run)) {
        *failed.entry(run.workers).or_default() += 1;
    }
    let measured: Vec<(f64, f64)> = points.iter().map(|point| (f64::from(point.workers), point.rate)).collect();
    Some(Curve { unit, points, failed: failed.into_iter().collect(), law: fit::fit(&measured) })
}

fn point(workers: u32, mut rates: Vec<f64>) -> Option<Point> {
    rates.sort_by(f64::total_cmp);
    let (lowest, highest) = (*rates.first()?, *rates.last()?);
    let upper = rates[rates.len() / 2];
    let rate = if rates.len() % 2 == 1 { upper } else { (rates[rates.len() / 2 - 1] + upper) / 2.0 };
    Some(Point { workers, rate, lowest, highest, runs: u32::try_from(rates.len()).unwrap_or(u32::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Nanos;

    fn run(workers: u32, items: Option<u64>, seconds: f64) -> SweepRun {
        SweepRun { workers, items, wall: Nanos((seconds * 1e9) as u64), failed: false }
    }

    #[test]
    fn medians_by_number_of_workers() {
        let sweep =
            vec![run(4, Some(100), 2.0), run(1, Some(100), 10.0), run(4, Some(100), 4.0), run(4, Some(100), 2.5)];
        let curve = curve(&Work { sweep, ..Work::default() }).expect("a sweep");
        assert_eq!(curve.unit, Unit::Items);
        let rates: Vec<(u32, f64, u32)> =
            curve.points.iter().map(|point| (point.workers, point.rate, point.runs)).collect();
        assert_eq!(rates, [(1, 10.0, 1), (4, 40.0, 3)]);
        assert_eq!((curve.points[1].lowest, curve.points[1].highest), (25.0, 50.0));
        assert_eq!(curve.law, Err(WhyNot::TooFew { counts: 2 }));
    }

    #[test]
    fn without_items_runs_are_counted() {
        let sweep = vec![run(1, None, 2.0), run(2, Some(5), 1.0)];
        let counted = curve(&Work { sweep: sweep.clone(), ..Work::default() }).expect("a sweep");
        assert_eq!((counted.unit, counted.points[0].rate, counted.points[1].rate), (Unit::Runs, 0.5, 1.0));
        let said = curve(&Work { sweep, items: Some(10), ..Work::default() }).expect("a sweep");
        assert_eq!((said.unit, said.points[0].rate, said.points[1].rate), (Unit::Items, 5.0, 5.0));
    }

    #[test]
    fn failed_runs_are_named_and_left_out() {
        let broken = |workers| SweepRun { failed: true, ..run(workers, Some(1), 0.001) };
        let sweep = vec![run(1, Some(9), 1.0), broken(8), broken(8), broken(1)];
        let curve = curve(&Work { sweep, ..Work::default() }).expect("a sweep");
        assert_eq!(curve.points.len(), 1);
        assert_eq!(curve.failed, [(1, 1), (8, 2)]);
        assert_eq!(super::curve(&Work::default()), None);
    }
}
