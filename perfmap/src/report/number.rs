//! Measured quantities → the numbers of the outputs: finite, and no more digits than were measured.

use crate::recording::Nanos;

/// Milliseconds to the microsecond.
pub fn ms(length: Nanos) -> f64 {
    rounded(length.as_ms(), 3)
}

/// The same from a mean or median in nanoseconds.
pub fn ms_of(nanos: f64) -> f64 {
    rounded(nanos / 1e6, 3)
}

/// Bytes to MiB.
pub fn mib(bytes: f64) -> f64 {
    rounded(bytes / (1024.0 * 1024.0), 2)
}

/// A percentage.
pub fn pct(value: f64) -> f64 {
    rounded(value, 2)
}

/// 0 where the value is no number: YAML and JSON readers disagree about the others.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    let scaled = (value * scale).round() / scale;
    // Adding 0 makes −0 a plain 0.
    if scaled.is_finite() { scaled + 0.0 } else { 0.0 }
}

pub fn share_pct(part: Nanos, whole: Nanos) -> f64 {
    if whole == Nanos::ZERO { 0.0 } else { part.0 as f64 / whole.0 as f64 * 100.0 }
}

/// A count that went through a median.
pub fn count(value: f64) -> u64 {
    if value.is_finite() && value > 0.0 { value.round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_never_gives_what_a_reader_cannot_take() {
        assert_eq!(ms(Nanos(1_590_000_499)), 1590.0);
        assert_eq!(ms(Nanos(1_590_000_500)), 1590.001);
        assert_eq!(pct(48.036), 48.04);
        assert_eq!(rounded(f64::NAN, 2), 0.0);
        assert_eq!(rounded(f64::INFINITY, 2), 0.0);
        assert!(rounded(-0.001, 2).is_sign_positive());
        assert_eq!(share_pct(Nanos(5), Nanos::ZERO), 0.0);
        assert_eq!(count(f64::NAN), 0);
    }
}
