//! The Universal Scalability Law (N. J. Gunther): the rate of N workers, from what one does (lambda), the share of the
//! work that only one can do at a time (sigma) and what each pair of workers costs to keep in step (kappa).

/// A fitted value with its 95 % interval, where the fit leaves room to tell one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub standard_error: Option<f64>,
    /// Cut off where the value cannot lie.
    pub interval: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usl {
    /// Rate of one worker.
    pub lambda: Estimate,
    /// Contention: 0 to 1.
    pub sigma: Estimate,
    /// Coherency: 0 or more.
    pub kappa: Estimate,
    /// Standard deviation of the measured rates around the curve; None where the curve goes through all of them by force.
    pub residual: Option<f64>,
    /// The most workers that were measured.
    pub measured_to: f64,
}

/// Where more workers stop helping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peak {
    /// The most that a whole number of workers does.
    At { workers: f64, rate: f64 },
    /// No loss by coherency was seen: each worker adds something, together never more than this rate.
    Never { limit: f64 },
    /// Neither contention nor coherency was seen: linear as far as it was measured.
    Linear,
}

/// A kappa below this share of what would show within ten times the measured range is none.
const NO_COHERENCY: f64 = 1e-12;

impl Usl {
    pub fn rate(&self, workers: f64) -> f64 {
        rate([self.lambda.value, self.sigma.value, self.kappa.value], workers)
    }

    /// Workers at the top of the curve, no whole number.
    pub fn knee(&self) -> Option<f64> {
        let (sigma, kappa) = (self.sigma.value, self.kappa.value);
        (kappa > NO_COHERENCY).then(|| ((1.0 - sigma) / kappa).sqrt())
    }

    pub fn peak(&self) -> Peak {
        match self.knee() {
            Some(knee) => {
                let below = knee.floor().max(1.0);
                let above = below + 1.0;
                let workers = if self.rate(above) > self.rate(below) { above } else { below };
                Peak::At { workers, rate: self.rate(workers) }
            }
            None if self.sigma.value > NO_COHERENCY => Peak::Never { limit: self.lambda.value / self.sigma.value },
            None => Peak::Linear,
        }
    }

    /// Fewest workers that reach 90 % of the most there is to reach: what more costs and hardly gives.
    pub fn enough(&self) -> Option<f64> {
        let most = match self.peak() {
            Peak::At { rate, workers: _ } => rate,
            Peak::Never { limit } => limit,
            Peak::Linear => return None,
        };
        // X(N) >= q is a quadratic in N whose smaller root is where the curve first comes by.
        let [lambda, sigma, kappa] = [self.lambda.value, self.sigma.value, self.kappa.value];
        let wanted = 0.9 * most;
        let (a, b, c) = (wanted * kappa, wanted * (sigma - kappa) - lambda, wanted * (1.0 - sigma));
        // Free of cancellation, also where there is no coherency.
        let root = 2.0 * c / (-b + (b * b - 4.0 * a * c).max(0.0).sqrt());
        (root.is_finite() && root > 0.0).then(|| root.ceil().max(1.0))
    }
}

pub(super) fn rate([lambda, sigma, kappa]: [f64; 3], workers: f64) -> f64 {
    lambda * workers / (1.0 + sigma * (workers - 1.0) + kappa * workers * (workers - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(lambda: f64, sigma: f64, kappa: f64) -> Usl {
        let exact = |value| Estimate { value, standard_error: None, interval: None };
        Usl { lambda: exact(lambda), sigma: exact(sigma), kappa: exact(kappa), residual: None, measured_to: 64.0 }
    }

    #[test]
    fn the_knee_is_the_top_of_the_curve() {
        let usl = law(90.0, 0.0277, 1.044e-4);
        let knee = usl.knee().unwrap_or(0.0);
        assert!((knee - 96.5).abs() < 0.1);
        assert!(usl.rate(knee) > usl.rate(knee * 0.98) && usl.rate(knee) > usl.rate(knee * 1.02));
        let Peak::At { workers, rate } = usl.peak() else { panic!("{:?}", usl.peak()) };
        assert!([96.0, 97.0].contains(&workers));
        assert!((1..400).all(|n| usl.rate(f64::from(n)) <= rate));
        let enough = usl.enough().unwrap_or(0.0);
        assert!(usl.rate(enough) >= 0.9 * rate && usl.rate(enough - 1.0) < 0.9 * rate, "{enough}");
    }

    #[test]
    fn without_coherency_there_is_a_limit_and_no_top() {
        let usl = law(10.0, 0.25, 0.0);
        assert_eq!((usl.knee(), usl.peak()), (None, Peak::Never { limit: 40.0 }));
        let enough = usl.enough().unwrap_or(0.0);
        assert!(usl.rate(enough) >= 36.0 && usl.rate(enough - 1.0) < 36.0, "{enough}");
        assert_eq!(law(10.0, 0.0, 0.0).peak(), Peak::Linear);
        assert_eq!(law(10.0, 0.0, 0.0).enough(), None);
    }

    #[test]
    fn a_second_worker_may_be_one_too_many() {
        let usl = law(10.0, 0.5, 0.9);
        assert_eq!(usl.peak(), Peak::At { workers: 1.0, rate: 10.0 });
    }
}
