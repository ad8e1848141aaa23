//! Degrees of freedom → the quantile of Student's t that makes a two-sided 95 % interval.

/// From 1 degree on.
const EXACT: [f64; 30] = [
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139, 2.200985,
    2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963, 2.079614, 2.073873,
    2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
];
/// Of the normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

/// None without a degree of freedom: nothing tells how sure the figure is.
pub fn quantile(degrees: usize) -> Option<f64> {
    match degrees {
        0 => None,
        1..=30 => EXACT.get(degrees - 1).copied(),
        more => {
            // The first terms of the expansion around the normal distribution: exact to six digits from 30 on.
            let (z, n) = (NORMAL, more as f64);
            let first = (z.powi(3) + z) / (4.0 * n);
            let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
            Some(z + first + second)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_towards_the_normal_distribution() {
        assert_eq!(quantile(0), None);
        let all: Vec<f64> = (1..2000).filter_map(quantile).collect();
        assert!(all.is_sorted_by(|one, next| one > next), "no jump where the table ends");
        assert!((quantile(31).unwrap_or(0.0) - 2.039_513).abs() < 1e-4);
        assert!((quantile(120).unwrap_or(0.0) - 1.979_930).abs() < 1e-5);
    }
}
