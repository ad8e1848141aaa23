//! How far the work was and when, as the command told it or as its items were counted → its rate, how sure that is, and
//! when the whole job will be done at this rate.
//!
//! The error comes from the rate's own ups and downs: the time is cut into slices, and the slices' rates tell how much
//! their mean can be off. Slices after one another resemble each other; the error is widened by as much as they do.

use super::student;
use crate::{
    analyze::parallelism::Confidence,
    recording::{Nanos, Progress, Work},
};

/// Slices of the time: enough for a spread, few enough that each holds several items.
const SLICES: usize = 10;
const FEWEST_SLICES: usize = 4;
/// However alike neighbours are: beyond this the spread itself is not known.
const MOST_ALIKE: f64 = 0.9;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Items per second.
    pub per_second: f64,
    /// 95 %; None where there are too few slices to tell.
    pub interval: Option<(f64, f64)>,
    /// Items that were seen to be done, and the time that it took.
    pub items: u64,
    pub over: Nanos,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    pub rate: Rate,
    /// How sure it is what an item is; None where the command's own words told it.
    pub counted: Option<Confidence>,
    pub done: Option<u64>,
    pub total: Option<u64>,
    pub left: Option<Left>,
}

/// What remains of the whole job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    pub items: u64,
    /// What was done before the sample is not known: so many at most.
    pub at_most: bool,
    /// Seconds from the end of what was recorded.
    pub seconds: f64,
    /// 95 %, where the rate has one that does not reach down to nothing.
    pub interval: Option<(f64, f64)>,
}

/// From the progress that the command told; None where it told less than two different amounts.
pub fn from_progress(work: &Work) -> Option<Forecast> {
    let points: Vec<(f64, f64)> = rising(&work.progress);
    let rate = rate(&points)?;
    let last = work.progress.last();
    let total = work.total.or_else(|| last.and_then(|last| last.total));
    Some(forecast(rate, None, last.map(|last| last.done), total, false))
}

/// From the instants at which items began, in order, where the workers' repetition shows them.
pub fn from_items(begun: &[Nanos], confidence: Confidence, work: &Work) -> Option<Forecast> {
    let points: Vec<(f64, f64)> =
        begun.iter().enumerate().map(|(count, at)| (at.0 as f64 / 1e9, count as f64)).collect();
    let sampled = work.sampled.is_some();
    let done = begun.len() as u64;
    let found = forecast(rate(&points)?, Some(confidence), Some(done), work.total, sampled);
    Some(if sampled { Forecast { done: None, ..found } } else { found })
}

fn forecast(rate: Rate, counted: Option<Confidence>, done: Option<u64>, total: Option<u64>, at_most: bool) -> Forecast {
    let remaining = total.zip(done).map(|(total, done)| total.saturating_sub(done));
    let left = remaining.map(|items| Left {
        items,
        at_most,
        seconds: items as f64 / rate.per_second,
        interval: rate
            .interval
            .filter(|(low, _)| *low > 0.0)
            .map(|(low, high)| (items as f64 / high, items as f64 / low)),
    });
    Forecast { rate, counted, done, total, left }
}

/// (seconds, items): of a counter that begins anew only what follows its last beginning.
fn rising(progress: &[Progress]) -> Vec<(f64, f64)> {
    let begins = progress.windows(2).rposition(|pair| pair[1].done < pair[0].done).map_or(0, |at| at + 1);
    let last = progress.get(begins..).unwrap_or_default();
    last.iter().map(|point| (point.at.0 as f64 / 1e9, point.done as f64)).collect()
}

fn rate(points: &[(f64, f64)]) -> Option<Rate> {
    let (&(from, first), &(to, last)) = (points.first()?, points.last()?);
    let (time, items) = (to - from, last - first);
    if time <= 0.0 || items <= 0.0 {
        return None;
    }
    let per_second = items / time;
    let slices = SLICES.min(points.len() - 1);
    let interval = (slices >= FEWEST_SLICES).then(|| {
        let border = |slice: usize| at(points, from + time * slice as f64 / slices as f64);
        let rates: Vec<f64> =
            (0..slices).map(|slice| (border(slice + 1) - border(slice)) * slices as f64 / time).collect();
        let reach = standard_error(&rates) * student::quantile(slices - 1).unwrap_or(f64::INFINITY);
        ((per_second - reach).max(0.0), per_second + reach)
    });
    Some(Rate { per_second, interval, items: items as u64, over: Nanos((time * 1e9) as u64) })
}

/// Items done at that time, on a straight line between two points.
fn at(points: &[(f64, f64)], time: f64) -> f64 {
    let after = points.partition_point(|(at, _)| *at < time);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some(&(t0, d0)), Some(&(t1, d1))) if t1 > t0 => d0 + (d1 - d0) * (time - t0) / (t1 - t0),
        (Some(&(_, done)), None) | (None | Some(_), Some(&(_, done))) => done,
        (None, None) => 0.0,
    }
}

/// Of the mean of values that follow one another.
fn standard_error(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if squares <= 0.0 {
        return 0.0;
    }
    let neighbours: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let alike = (neighbours / squares).clamp(0.0, MOST_ALIKE);
    (squares / (count - 1.0) / count).sqrt() * ((1.0 + alike) / (1.0 - alike)).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn progress(points: &[(f64, u64)]) -> Vec<Progress> {
        points.iter().map(|(at, done)| Progress { at: Nanos((at * 1e9) as u64), done: *done, total: None }).collect()
    }

    fn told(points: &[(f64, u64)], total: Option<u64>) -> Option<Forecast> {
        from_progress(&Work { progress: progress(points), total, ..Work::default() })
    }

    #[test]
    fn an_even_rate_has_no_error() {
        let points: Vec<(f64, u64)> = (0..=20).map(|second| (f64::from(second), 100 + second as u64 * 5)).collect();
        let forecast = told(&points, Some(1000)).expect("a rate");
        assert!((forecast.rate.per_second - 5.0).abs() < 1e-9);
        let (low, high) = forecast.rate.interval.expect("an interval");
        assert!((low - 5.0).abs() < 1e-6 && (high - 5.0).abs() < 1e-6);
        let left = forecast.left.expect("a total");
        assert_eq!(left.items, 800);
        assert!((left.seconds - 160.0).abs() < 1e-6);
    }

    #[test]
    fn an_uneven_rate_is_less_sure() {
        let mut done = 0;
        let mut points = vec![(0.0, 0)];
        for second in 1..=40 {
            done += if second % 8 < 4 { 2 } else { 8 };
            points.push((f64::from(second), done));
        }
        let forecast = told(&points, None).expect("a rate");
        let (low, high) = forecast.rate.interval.expect("an interval");
        assert!(low < forecast.rate.per_second * 0.9 && high > forecast.rate.per_second * 1.1, "{forecast:?}");
        assert_eq!(forecast.left, None);
    }

    #[test]
    fn a_counter_that_begins_anew_counts_from_there() {
        let forecast = told(&[(0.0, 50), (1.0, 90), (2.0, 3), (3.0, 5), (5.0, 9)], None).expect("a rate");
        assert!((forecast.rate.per_second - 2.0).abs() < 1e-9);
        assert_eq!((forecast.rate.items, forecast.rate.interval), (6, None), "two slices tell no spread");
    }

    #[test]
    fn no_rate_from_one_amount() {
        assert_eq!(told(&[], None), None);
        assert_eq!(told(&[(1.0, 5)], None), None);
        assert_eq!(told(&[(1.0, 5), (2.0, 5)], None), None);
        assert_eq!(told(&[(1.0, 5), (1.0, 6)], None), None);
    }

    #[test]
    fn the_commands_own_total_counts_where_none_was_typed() {
        let mut work = Work { progress: progress(&[(0.0, 0), (10.0, 100)]), ..Work::default() };
        work.progress[1].total = Some(300);
        assert_eq!(from_progress(&work).and_then(|it| it.left).map(|left| left.items), Some(200));
        work.total = Some(150);
        assert_eq!(from_progress(&work).and_then(|it| it.left).map(|left| left.items), Some(50));
    }

    #[test]
    fn counted_items_give_the_same_and_a_sample_does_not_know_what_was_before() {
        let begun: Vec<Nanos> = (1..=50).map(|count| Nanos(count * 100_000_000)).collect();
        let mut work = Work { total: Some(60), ..Work::default() };
        let forecast = from_items(&begun, Confidence::Medium, &work).expect("a rate");
        assert!((forecast.rate.per_second - 10.0).abs() < 1e-9 && forecast.rate.interval.is_some());
        assert_eq!(forecast.counted, Some(Confidence::Medium));
        let left = forecast.left.expect("a total");
        assert!((left.seconds - 1.0).abs() < 1e-9 && !left.at_most);
        work.sampled = Some(crate::recording::Sampled { ran_before: None, done_before: None });
        let left = from_items(&begun, Confidence::Medium, &work).and_then(|forecast| forecast.left);
        assert!(left.expect("a total").at_most);
    }

    proptest! {
        #[test]
        fn the_rate_lies_in_its_interval(steps in proptest::collection::vec((1_u64..5_000_000_000, 0_u64..1000), 1..60)) {
            let (mut at, mut done) = (0, 0);
            let mut all = Vec::new();
            for (time, items) in steps {
                at += time;
                done += items;
                all.push(Progress { at: Nanos(at), done, total: Some(done * 2) });
            }
            if let Some(forecast) = from_progress(&Work { progress: all, ..Work::default() }) {
                prop_assert!(forecast.rate.per_second > 0.0);
                if let Some((low, high)) = forecast.rate.interval {
                    prop_assert!(0.0 <= low && low <= forecast.rate.per_second && forecast.rate.per_second <= high);
                }
            }
        }
    }
}
