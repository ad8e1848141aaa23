//! Values of one metric over the runs → median and spread.

/// Of at least one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Coefficient of variation (sample standard deviation / mean) in percent; 0 for one value or a mean of 0.
    pub cv_pct: f64,
}

/// None without values. Values that are no numbers are left out.
pub fn statistics(values: &[f64]) -> Option<Statistics> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let count = sorted.len();
    let upper = sorted[count / 2];
    let median = if count % 2 == 1 { upper } else { sorted[count / 2 - 1] / 2.0 + upper / 2.0 };
    let mean = sorted.iter().map(|value| value / count as f64).sum::<f64>();
    let cv_pct = if count < 2 || mean == 0.0 {
        0.0
    } else {
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (count - 1) as f64).sqrt() / mean.abs() * 100.0
    };
    Some(Statistics { median, min, max, cv_pct })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn worked_by_hand() {
        let three = statistics(&[30.0, 10.0, 20.0]).expect("values");
        assert_eq!((three.median, three.min, three.max), (20.0, 10.0, 30.0));
        assert!((three.cv_pct - 50.0).abs() < 1e-9);
        assert_eq!(statistics(&[1.0, 2.0, 4.0, 9.0]).expect("values").median, 3.0);
        assert_eq!(statistics(&[5.0]).expect("a value").cv_pct, 0.0);
        assert_eq!(statistics(&[-1.0, 1.0]).expect("values").cv_pct, 0.0, "no ratio to a mean of 0");
        assert_eq!(statistics(&[]), None);
        assert_eq!(statistics(&[f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn the_median_lies_between_and_order_does_not_matter(mut values in proptest::collection::vec(-1e12_f64..1e12, 1..20)) {
            let forwards = statistics(&values).expect("values");
            values.reverse();
            prop_assert_eq!(statistics(&values).expect("values"), forwards);
            prop_assert!(forwards.min <= forwards.median && forwards.median <= forwards.max);
            prop_assert!(forwards.cv_pct >= 0.0);
        }
    }
}
