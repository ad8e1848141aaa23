//! Two medians with their spread → whether they differ by more than runs of one program do.
//!
//! Welch's t-test at 95 %, with the standard deviations that the coefficients of variation give. Differences below 1 %
//! are noise whatever the test says: three quiet runs in a row know little about the next day. Without two runs on both
//! sides nothing can be said about noise.

use super::Change;

const LEAST_PCT: f64 = 1.0;
/// Quantiles of Student's t for 95 %, two-sided, by degrees of freedom from 1 on; beyond them that of the normal
/// distribution is near enough.
const T_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const NORMAL_95: f64 = 1.960;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub value: f64,
    pub cv_pct: f64,
    pub runs: u64,
}

impl Measured {
    fn variance_of_mean(self) -> f64 {
        (self.value * self.cv_pct / 100.0).powi(2) / self.runs.max(1) as f64
    }
}

/// More is worse.
pub fn judge(before: Measured, after: Measured) -> Change {
    let difference = after.value - before.value;
    if difference.abs() <= before.value.abs() * LEAST_PCT / 100.0 {
        return if before.runs < 2 || after.runs < 2 { Change::Unknown } else { Change::Noise };
    }
    if before.runs < 2 || after.runs < 2 {
        return Change::Unknown;
    }
    let (a, b) = (before.variance_of_mean(), after.variance_of_mean());
    let freedom = match a.powi(2) / (before.runs - 1) as f64 + b.powi(2) / (after.runs - 1) as f64 {
        0.0 => f64::INFINITY,
        sum => (a + b).powi(2) / sum,
    };
    of(difference, t_95(freedom) * (a + b).sqrt())
}

pub fn of(difference: f64, margin: f64) -> Change {
    if difference.abs() <= margin {
        Change::Noise
    } else if difference < 0.0 {
        Change::Better
    } else {
        Change::Worse
    }
}

/// Of the next smaller whole number of degrees: the test then claims less, never more.
pub fn t_95(freedom: f64) -> f64 {
    if freedom >= (T_95.len() + 1) as f64 {
        return NORMAL_95;
    }
    let place = (freedom.floor() as usize).max(1) - 1;
    T_95.get(place).copied().unwrap_or(NORMAL_95)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_runs(value: f64, cv_pct: f64, runs: u64) -> Measured {
        Measured { value, cv_pct, runs }
    }

    #[test]
    fn known_cases() {
        // Means 100 and 110, deviations 2 and 2.2, three runs: t = 5.8 with 3.96 degrees of freedom, against 3.18.
        assert_eq!(judge(of_runs(100.0, 2.0, 3), of_runs(110.0, 2.0, 3)), Change::Worse);
        assert_eq!(judge(of_runs(110.0, 2.0, 3), of_runs(100.0, 2.0, 3)), Change::Better);
        // The same with deviations of 5: t = 2.3.
        assert_eq!(judge(of_runs(100.0, 5.0, 3), of_runs(110.0, 5.0, 3)), Change::Noise);
        assert_eq!(judge(of_runs(100.0, 0.01, 3), of_runs(100.9, 0.01, 3)), Change::Noise, "below 1 %");
        assert_eq!(judge(of_runs(14.0, 0.0, 3), of_runs(2.0, 0.0, 3)), Change::Better, "counts without spread");
        assert_eq!(judge(of_runs(100.0, 0.0, 1), of_runs(200.0, 2.0, 3)), Change::Unknown);
    }

    #[test]
    fn quantiles() {
        assert_eq!([t_95(1.0), t_95(4.9), t_95(30.0), t_95(1e9)], [12.706, 2.776, 2.042, 1.96]);
        assert_eq!([t_95(0.0), t_95(f64::INFINITY)], [12.706, 1.96]);
    }

    proptest! {
        #[test]
        fn the_other_way_round_is_the_opposite(
            a in 0.0..1e9f64, b in 0.0..1e9f64, cv in 0.0..50.0f64, runs in 2..20u64,
        ) {
            let (one, other) = (judge(of_runs(a, cv, runs), of_runs(b, cv, runs)), judge(of_runs(b, cv, runs), of_runs(a, cv, runs)));
            let opposite = match one {
                Change::Better => other == Change::Worse,
                Change::Worse => other == Change::Better,
                // What is 1 % of the one may be less than 1 % of the other.
                Change::Noise => other == Change::Noise || (a - b).abs() <= a.max(b) * 0.0101,
                Change::Unknown => false,
            };
            prop_assert!(opposite || (a - b).abs() <= a.max(b) * 0.0101, "{:?} {:?}", one, other);
        }
    }
}
