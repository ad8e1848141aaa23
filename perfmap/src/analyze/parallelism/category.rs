//! Resources and idle time → the category, from what was measured and not from the factor; where the factor alone would
//! have had something else looked for first, that is said.

use super::types::{Category, Resource, Severity};

/// Less of the workers' time, in percent, cannot be told from noise: it is no cause, and stays part of the work.
pub(super) const MATTERS_PCT: f64 = 3.0;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub category: Category,
    /// Words of the table for this factor, where the evidence is another one.
    pub by_factor: Option<&'static str>,
}

pub(super) fn judge(resources: &[Resource], tail_pct: f64, idle_pct: f64, severity: Severity) -> Judged {
    let shared = resources.first().map(|one| (one.lost_pct, one.category));
    let tail = (tail_pct, Category::Imbalance);
    let idle = (idle_pct, Category::Starvation);
    let largest = [shared.unwrap_or((0.0, Category::None)), tail, idle]
        .into_iter()
        .reduce(|best, one| if one.0 > best.0 { one } else { best });
    let category = match largest {
        // A few items more for one than for another are no imbalance worth a word.
        Some((pct, category @ (Category::Imbalance | Category::Starvation))) => {
            if pct >= MATTERS_PCT && severity != Severity::Good { category } else { Category::None }
        }
        // Where nothing is lost, what the machine adds is not the program's matter.
        Some((_, Category::CpuContention | Category::CpuThrottling | Category::DiskContention))
            if severity == Severity::Good =>
        {
            Category::None
        }
        Some((pct, category)) if pct >= MATTERS_PCT => category,
        Some(_) | None => Category::None,
    };
    let (words, fits): (&str, &[Category]) = match severity {
        Severity::Critical => (
            "a lock (database write lock, file lock, one mutex)",
            &[Category::LockContention, Category::DatabaseWriteLock],
        ),
        Severity::Warning => {
            ("a connection pool or a queue that is exhausted", &[Category::PoolExhaustion, Category::Starvation])
        }
        Severity::Minor => (
            "rate limiting or CPU contention",
            &[Category::RateLimiting, Category::CpuContention, Category::GilContention, Category::CpuThrottling],
        ),
        Severity::Good => ("", &[]),
    };
    let by_factor = (severity != Severity::Good && !fits.contains(&category)).then_some(words);
    Judged { category, by_factor }
}
