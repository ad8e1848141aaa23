//! (workers, rate) → the Universal Scalability Law through them: least squares of the rates themselves
//! (Levenberg-Marquardt), with contention and coherency held at 0 or above.
//!
//! The usual textbook way, a straight line through transformed rates, weighs the measurement at one worker above all
//! others and forces the curve through it; here the rate of one worker is fitted as the others are.

use super::{
    law::{Estimate, Usl, rate},
    student,
};

/// Why there is no curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// Three unknowns want three different numbers of workers at least.
    TooFew { counts: usize },
    /// A rate of nothing, or workers below one.
    NoRate,
    /// The measurements determine no curve.
    NoFit,
}

/// Three unknowns: with fewer counts of workers they are not determined.
pub const FEWEST: usize = 3;
const STEPS: usize = 2000;
/// Where to begin: (contention, coherency) that real programs have. The best end counts.
const STARTS: [(f64, f64); 7] =
    [(0.01, 1e-4), (0.1, 1e-3), (0.5, 1e-2), (0.9, 1e-5), (0.02, 2e-2), (0.0, 1e-6), (0.5, 0.5)];

type Three = [f64; 3];

/// Each count of workers may come more than once. With three counts the curve goes through the three medians by force,
/// and there are no intervals.
pub fn fit(points: &[(f64, f64)]) -> Result<Usl, WhyNot> {
    let mut counts: Vec<f64> = points.iter().map(|(workers, _)| *workers).collect();
    counts.sort_by(f64::total_cmp);
    counts.dedup();
    if counts.len() < FEWEST {
        return Err(WhyNot::TooFew { counts: counts.len() });
    }
    let sound =
        |(workers, rate): &(f64, f64)| *workers >= 1.0 && *rate > 0.0 && workers.is_finite() && rate.is_finite();
    let largest = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    if !points.iter().all(sound) || largest <= 0.0 {
        return Err(WhyNot::NoRate);
    }
    // In units of the largest rate, so that steps and ends mean the same for any unit.
    let scaled: Vec<(f64, f64)> = points.iter().map(|(workers, rate)| (*workers, rate / largest)).collect();
    let ends = STARTS.iter().map(|(sigma, kappa)| descend(&scaled, start(&scaled, *sigma, *kappa)));
    let best = ends.filter(|(_, cost)| cost.is_finite()).min_by(|one, other| one.1.total_cmp(&other.1));
    let (found, cost) = best.ok_or(WhyNot::NoFit)?;
    let degrees = points.len().saturating_sub(3);
    let variance = (degrees > 0).then(|| cost / degrees as f64);
    let errors = variance.and_then(|variance| {
        let inverse = inverse(&normal(&scaled, found, [true; 3]).0)?;
        let error = |index: usize| (inverse[index][index] * variance).max(0.0).sqrt();
        Some([error(0), error(1), error(2)])
    });
    let quantile = student::quantile(degrees);
    let estimate = |index: usize, scale: f64, most: f64| {
        let (value, error) = (found[index] * scale, errors.map(|errors| errors[index] * scale));
        let reach = error.zip(quantile).map(|(error, quantile)| error * quantile);
        let interval = reach.map(|reach| ((value - reach).max(0.0), (value + reach).min(most)));
        Estimate { value, standard_error: error, interval }
    };
    Ok(Usl {
        lambda: estimate(0, largest, f64::INFINITY),
        sigma: estimate(1, 1.0, 1.0),
        kappa: estimate(2, 1.0, f64::INFINITY),
        residual: variance.map(|variance| variance.sqrt() * largest),
        measured_to: counts.last().copied().unwrap_or(1.0),
    })
}

/// For given contention and coherency the best rate of one worker has a closed form.
fn start(points: &[(f64, f64)], sigma: f64, kappa: f64) -> Three {
    let (mut both, mut square) = (0.0, 0.0);
    for (workers, measured) in points {
        let capacity = rate([1.0, sigma, kappa], *workers);
        both += capacity * measured;
        square += capacity * capacity;
    }
    [both / square, sigma, kappa]
}

fn cost(points: &[(f64, f64)], at: Three) -> f64 {
    points.iter().map(|(workers, measured)| (rate(at, *workers) - measured).powi(2)).sum()
}

/// Into what can be: a rate above nothing, a share of the work, no gain by coherency.
fn bounded([lambda, sigma, kappa]: Three) -> Three {
    [lambda.max(1e-12), sigma.clamp(0.0, 1.0), kappa.max(0.0)]
}

/// Ends where no step makes it better.
fn descend(points: &[(f64, f64)], from: Three) -> (Three, f64) {
    let mut at = bounded(from);
    let mut best = cost(points, at);
    let mut damping = 1e-3;
    for _ in 0..STEPS {
        let (_, gradient) = normal(points, at, [true; 3]);
        // What stands at a bound and wants beyond it stays there.
        let free = [
            true,
            !(at[1] <= 0.0 && gradient[1] > 0.0 || at[1] >= 1.0 && gradient[1] < 0.0),
            !(at[2] <= 0.0 && gradient[2] > 0.0),
        ];
        let (mut matrix, gradient) = normal(points, at, free);
        for (index, row) in matrix.iter_mut().enumerate() {
            row[index] += row[index] * damping;
        }
        let step = inverse(&matrix).map(|inverse| times(&inverse, gradient));
        let next = step.map(|step| bounded([at[0] - step[0], at[1] - step[1], at[2] - step[2]]));
        let better = next.map(|next| (next, cost(points, next))).filter(|(_, cost)| *cost < best);
        match better {
            Some((next, cost)) => {
                at = next;
                best = cost;
                damping = (damping / 5.0).max(1e-15);
            }
            None if damping > 1e12 => break,
            None => damping *= 4.0,
        }
    }
    (at, best)
}

/// Half the second derivative of the cost, and half the first, of those that are free; of the others a row of the unit
/// matrix and nothing, so that they do not move.
fn normal(points: &[(f64, f64)], at: Three, free: [bool; 3]) -> ([Three; 3], Three) {
    let mut matrix = [[0.0; 3]; 3];
    let mut gradient = [0.0; 3];
    for (workers, measured) in points {
        let n = *workers;
        let below = 1.0 + at[1] * (n - 1.0) + at[2] * n * (n - 1.0);
        let modelled = at[0] * n / below;
        let slope = [n / below, -modelled * (n - 1.0) / below, -modelled * n * (n - 1.0) / below];
        for row in 0..3 {
            gradient[row] += slope[row] * (modelled - measured);
            for column in 0..3 {
                matrix[row][column] += slope[row] * slope[column];
            }
        }
    }
    for index in (0..3).filter(|index| !free[*index]) {
        gradient[index] = 0.0;
        matrix[index] = [0.0; 3];
        for row in &mut matrix {
            row[index] = 0.0;
        }
        matrix[index][index] = 1.0;
    }
    (matrix, gradient)
}

fn times(matrix: &[Three; 3], vector: Three) -> Three {
    [0, 1, 2].map(|row| (0..3).map(|column| matrix[row][column] * vector[column]).sum())
}

/// Of a symmetric matrix, brought to ones on the diagonal first: its columns differ by many powers of ten. None where it
/// has none.
fn inverse(matrix: &[Three; 3]) -> Option<[Three; 3]> {
    let scale = [0, 1, 2].map(|index: usize| matrix[index][index].sqrt());
    if !scale.iter().all(|one| *one > 0.0 && one.is_finite()) {
        return None;
    }
    let even = |row: usize, column: usize| matrix[row][column] / scale[row] / scale[column];
    let m = [0, 1, 2].map(|row| [0, 1, 2].map(|column| even(row, column)));
    let minor = |row: usize, column: usize| {
        let (r, c) = ([(row + 1) % 3, (row + 2) % 3], [(column + 1) % 3, (column + 2) % 3]);
        m[r[0]][c[0]] * m[r[1]][c[1]] - m[r[0]][c[1]] * m[r[1]][c[0]]
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * minor(0, column)).sum();
    if determinant.abs() < 1e-14 || !determinant.is_finite() {
        return None;
    }
    Some([0, 1, 2].map(|row| [0, 1, 2].map(|column| minor(column, row) / determinant / scale[row] / scale[column])))
}

#[cfg(test)]
mod tests;
