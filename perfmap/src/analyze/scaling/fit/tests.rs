#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use proptest::prelude::*;

use super::*;

/// Within a tenth of a percent.
fn near(value: f64, published: f64) -> bool {
    (value - published).abs() <= 0.001 * published.abs()
}

/// Data, coefficients and standard errors: vignette of the R package `usl`, version 3.0.3 (S. Moeding).
#[test]
fn the_ray_tracer_of_the_literature() {
    let processors = [1.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 48.0, 64.0];
    let throughput = [20.0, 78.0, 130.0, 170.0, 190.0, 200.0, 210.0, 230.0, 260.0, 280.0, 310.0];
    let points: Vec<(f64, f64)> = processors.into_iter().zip(throughput).collect();
    let usl = fit(&points).unwrap();
    assert!(near(usl.lambda.value, 21.848_843), "{usl:?}");
    assert!(near(usl.sigma.value, 0.057_771), "{usl:?}");
    assert!(usl.kappa.value.abs() < 1e-9, "{usl:?}");
    assert!(near(usl.lambda.standard_error.unwrap(), 2.196_165), "{usl:?}");
    assert!(near(usl.sigma.standard_error.unwrap(), 0.013_293), "{usl:?}");
    assert!((usl.kappa.standard_error.unwrap() - 0.000_118).abs() < 1e-6, "{usl:?}");
    assert!(near(usl.residual.unwrap(), 9.336), "{usl:?}");
    assert_eq!(usl.knee(), None);
    let crate::analyze::scaling::Peak::Never { limit } = usl.peak() else { panic!("{usl:?}") };
    assert!((limit - 378.0).abs() < 0.5, "{limit}");
    // Two-sided with eight degrees of freedom.
    let (low, high) = usl.sigma.interval.unwrap();
    assert!(near(high - low, 2.0 * 2.306_004 * 0.013_293_3), "{low} {high}");
    assert_eq!(usl.kappa.interval.unwrap().0, 0.0);
}

/// The same source; the peak is what the package's own tests hold it to.
#[test]
fn the_sparc_center_of_the_literature() {
    let load = [1.0, 18.0, 36.0, 72.0, 108.0, 144.0, 216.0];
    let throughput = [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2];
    let points: Vec<(f64, f64)> = load.into_iter().zip(throughput).collect();
    let usl = fit(&points).unwrap();
    assert!(near(usl.lambda.value, 89.995_238_4), "{usl:?}");
    assert!(near(usl.sigma.value, 0.027_728_5), "{usl:?}");
    assert!(near(usl.kappa.value, 0.000_104_4), "{usl:?}");
    assert!(near(usl.sigma.standard_error.unwrap(), 0.009_121_7), "{usl:?}");
    assert!(near(usl.lambda.standard_error.unwrap(), 14.213_490_6), "{usl:?}");
    assert!((usl.kappa.standard_error.unwrap() - 0.000_019_9).abs() < 1e-7, "{usl:?}");
    assert!(near(usl.residual.unwrap(), 82.85), "{usl:?}");
    assert!(near(usl.knee().unwrap(), 96.519_56), "{usl:?}");
    assert!(near(usl.rate(usl.knee().unwrap()), 1884.0), "{usl:?}");
}

/// The same package's test of its first six measurements of the ray tracer, and a made-up example with a known law.
#[test]
fn parts_and_made_up_data() {
    let points = [(1.0, 20.0), (4.0, 78.0), (8.0, 130.0), (12.0, 170.0), (16.0, 190.0), (20.0, 200.0)];
    let usl = fit(&points).unwrap();
    assert!((usl.sigma.value - 0.02444).abs() < 5e-6, "{usl:?}");
    assert!((usl.kappa.value - 0.00163).abs() < 5e-6, "{usl:?}");
    assert!(near(usl.lambda.value, 20.85605), "{usl:?}");
    let points = [(1.0, 1.0), (2.0, 1.8868), (4.0, 3.0769), (6.0, 3.5294), (8.0, 3.5398), (10.0, 3.3557)];
    let usl = fit(&points).unwrap();
    assert!(near(usl.sigma.value, 0.02) && near(usl.kappa.value, 0.02) && near(usl.lambda.value, 1.0), "{usl:?}");
}

#[test]
fn too_little_is_said_to_be_too_little() {
    assert_eq!(fit(&[]), Err(WhyNot::TooFew { counts: 0 }));
    assert_eq!(fit(&[(1.0, 5.0), (2.0, 9.0), (2.0, 9.1), (1.0, 5.1)]), Err(WhyNot::TooFew { counts: 2 }));
    assert_eq!(fit(&[(1.0, 5.0), (2.0, 0.0), (3.0, 9.0)]), Err(WhyNot::NoRate));
    assert_eq!(fit(&[(0.0, 5.0), (2.0, 1.0), (3.0, 9.0)]), Err(WhyNot::NoRate));
    assert_eq!(fit(&[(1.0, f64::NAN), (2.0, 1.0), (3.0, 9.0)]), Err(WhyNot::NoRate));
    let three = fit(&[(1.0, 10.0), (2.0, 18.0), (4.0, 29.0)]).unwrap();
    assert_eq!((three.sigma.interval, three.residual), (None, None), "nothing tells how sure three points are");
}

#[test]
fn what_gets_faster_than_linear_has_no_negative_contention() {
    let usl = fit(&[(1.0, 10.0), (2.0, 21.0), (4.0, 43.0), (8.0, 90.0)]).unwrap();
    assert!(usl.sigma.value.abs() < 1e-9 && usl.kappa.value.abs() < 1e-9, "{usl:?}");
}

#[test]
fn a_rate_that_never_changes_is_all_contention() {
    let usl = fit(&[(1.0, 10.0), (2.0, 10.0), (4.0, 10.0), (8.0, 10.0)]).unwrap();
    assert!((usl.sigma.value - 1.0).abs() < 1e-6 && usl.kappa.value < 1e-6, "{usl:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What a law made is found again, in any unit of the rate.
    #[test]
    fn the_law_is_found_again(lambda in 1e-3_f64..1e6, sigma in 0.0_f64..0.9, kappa in 0.0_f64..0.05) {
        let points: Vec<(f64, f64)> =
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].iter().map(|n| (*n, rate([lambda, sigma, kappa], *n))).collect();
        let usl = fit(&points).unwrap();
        prop_assert!((usl.lambda.value / lambda - 1.0).abs() < 1e-4, "{usl:?}");
        prop_assert!((usl.sigma.value - sigma).abs() < 1e-4, "{usl:?}");
        prop_assert!((usl.kappa.value - kappa).abs() < 1e-5, "{usl:?}");
    }

    #[test]
    fn any_rates_give_a_law_within_its_bounds(rates in proptest::collection::vec(1e-9_f64..1e9, 3..12)) {
        let points: Vec<(f64, f64)> = rates.iter().enumerate().map(|(at, rate)| (at as f64 + 1.0, *rate)).collect();
        let usl = fit(&points).unwrap();
        prop_assert!((0.0..=1.0).contains(&usl.sigma.value) && usl.kappa.value >= 0.0 && usl.lambda.value > 0.0);
        if let Some((low, high)) = usl.sigma.interval {
            prop_assert!(low <= usl.sigma.value && usl.sigma.value <= high);
        }
        prop_assert!(usl.knee().is_none_or(f64::is_finite));
    }
}
