//! A range of values → round marks on an axis, and how far the axes reach.

use crate::analyze::scaling::{Curve, Peak, Usl};

/// So far beyond the measured workers a top of the curve is still drawn.
const BEYOND: f64 = 3.0;

/// What is drawn: (most workers, highest rate).
pub(super) fn reach(curve: &Curve) -> Option<(f64, f64)> {
    let measured = f64::from(curve.points.last()?.workers);
    let usl = curve.law.as_ref().ok();
    let top = usl.and_then(Usl::knee).filter(|knee| *knee <= measured * BEYOND);
    let workers = (measured * 1.15).max(top.unwrap_or(0.0) * 1.15).max(2.0);
    let highest = curve.points.iter().map(|point| point.highest).fold(0.0, f64::max);
    let curve_top = match usl {
        Some(usl) => match usl.peak() {
            Peak::At { workers: at, rate } if at <= workers => rate,
            Peak::At { .. } | Peak::Never { .. } | Peak::Linear => usl.rate(workers),
        },
        None => 0.0,
    };
    let rate = highest.max(curve_top) * 1.12;
    (rate > 0.0 && rate.is_finite() && workers.is_finite()).then_some((workers, rate))
}

/// Round values from 0 to `most`, about `about` of them.
pub(super) fn marks(most: f64, about: f64) -> Vec<f64> {
    let raw = most / about.max(1.0);
    if raw <= 0.0 || !raw.is_finite() {
        return vec![];
    }
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(power * 10.0);
    (0..=(most / step).floor().min(1000.0) as u32).map(|count| f64::from(count) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        assert_eq!(marks(8.0, 5.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(marks(0.9, 4.0), [0.0, 0.5]);
        assert_eq!(marks(2100.0, 5.0), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        assert_eq!(marks(0.0, 5.0), Vec::<f64>::new());
        assert_eq!(marks(f64::INFINITY, 5.0), Vec::<f64>::new());
    }
}
