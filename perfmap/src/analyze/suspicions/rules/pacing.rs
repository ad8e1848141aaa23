//! Sleeps of several threads that end one after the other in even steps, whatever their number and length: a limiter of the
//! program's own lets so many through in a second. Sleeps that nothing paces end whenever they end: of random ends, about a
//! third of the gaps lie between half and one and a half times the median one. Sleeps that never overlap are a lock's holders',
//! and equal ones end as evenly as they began: neither is looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay::{self, Span},
        suspicions::{
            Facts,
            calls::Place,
            draft::suspicion,
            stacks::Stacks,
            types::{Category, Evidence, Suspicion, Value, Verdict},
        },
    },
    correlate::Cause,
    map::Step,
    recording::{Nanos, TaskId},
};

const RULE: (&str, Category) = ("rate_limiting", Category::Concurrency);
/// Shorter ones are a thread that yields.
const LEAST: Nanos = Nanos(1_000_000);
const SLEEPS: usize = 30;
const THREADS: usize = 3;
/// So many percent of the gaps are as long as the median one, give or take a half.
const EVEN_PCT: usize = 70;

struct Sleeps<'a> {
    step: &'a Step,
    tasks: BTreeSet<TaskId>,
    spans: Vec<Span>,
}

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Suspicion> {
    let stacks = Stacks::new(facts);
    let mut by_step: BTreeMap<&str, Sleeps<'_>> = BTreeMap::new();
    for wait in facts.correlated.waits.iter().filter(|wait| wait.cause == Cause::Sleep) {
        let length = wait.woken.since(wait.off);
        let Some(step) = wait.stack.filter(|_| length >= LEAST).and_then(|stack| stacks.step(stack)) else { continue };
        let none = Sleeps { step, tasks: BTreeSet::new(), spans: Vec::new() };
        let of = by_step.entry(step.id.as_str()).or_insert(none);
        of.tasks.insert(wait.task);
        of.spans.push(Span { from: wait.off, to: wait.woken, computed: Nanos::ZERO });
    }
    let many = by_step.into_values().filter(|of| of.spans.len() >= SLEEPS && of.tasks.len() >= THREADS);
    many.filter_map(|of| paced(&of)).collect()
}

fn paced(of: &Sleeps<'_>) -> Option<Suspicion> {
    let ends: Vec<Nanos> = of.spans.iter().map(|span| span.to).collect();
    let mut lengths: Vec<Nanos> = of.spans.iter().map(|span| span.length()).collect();
    lengths.sort_unstable();
    let (short, long) = (lengths.get(lengths.len() / 10)?, lengths.get(lengths.len() * 9 / 10)?);
    let (gap, even) = evenness(&ends)?;
    let equal = long.since(*short).0 < gap.0 / 2;
    if replay::width(&of.spans) < THREADS || equal || even < EVEN_PCT || gap == Nanos::ZERO {
        return None;
    }
    let name = of.step.function.clone();
    let evidence = vec![
        Evidence::new("sleeps", Value::Count(of.spans.len() as u64)),
        Evidence::new("threads", Value::Count(of.tasks.len() as u64)),
        Evidence::new("between the ends of two of them", Value::Time(gap)),
        Evidence::held_against("even gaps", Value::Percent(even as f64), Value::Percent(EVEN_PCT as f64)),
        Evidence::new("time in them, all threads", Value::Time(lengths.iter().copied().sum())),
    ];
    let note = format!(
        "sleeps of {} threads end every {:.1} ms, evenly: {:.0} a second, whatever the number of threads",
        of.tasks.len(),
        gap.as_ms(),
        1e9 / gap.0 as f64
    );
    let place = Place { step: Some(of.step), above: None };
    let description = format!("{name} lets only so many through in a second.");
    Some(suspicion(RULE, name, Some(&place), (Verdict::Confirmed, note), description, evidence))
}

/// The median gap between two ends, and how many percent of the gaps are about as long.
pub(crate) fn evenness(ends: &[Nanos]) -> Option<(Nanos, usize)> {
    let mut ends = ends.to_vec();
    ends.sort_unstable();
    let mut gaps: Vec<u64> = ends.windows(2).map(|two| two[1].since(two[0]).0).collect();
    gaps.sort_unstable();
    let median = *gaps.get(gaps.len() / 2)?;
    let even = gaps.iter().filter(|gap| **gap >= median / 2 && **gap <= median.saturating_mul(3) / 2).count();
    Some((Nanos(median), even * 100 / gaps.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ends_are_told_from_chance() {
        let even: Vec<Nanos> = (0..50u64).map(|n| Nanos(n * 10_000_000 + n % 3 * 1_000_000)).collect();
        assert!(evenness(&even).is_some_and(|(_, pct)| pct > 90));
        // Exponential gaps, by a fixed sequence.
        let mut at = 0.0f64;
        let random = (0..200u64).map(|n| {
            let unit = ((n * 2_654_435_761) % 1_000_003) as f64 / 1_000_003.0;
            at += -(1.0 - unit).ln() * 1e7;
            Nanos(at as u64)
        });
        let random: Vec<Nanos> = random.collect();
        assert!(evenness(&random).is_some_and(|(_, pct)| pct < 50), "{:?}", evenness(&random));
        assert!(evenness(&[Nanos(1)]).is_none());
    }
}
