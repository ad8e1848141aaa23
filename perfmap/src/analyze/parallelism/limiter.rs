//! Sleeps that hold the workers back: paced ones, whose ends come one after the other in even steps whatever their number
//! and length; those in functions that say so; and those between a refusal for too many requests and the next try.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay::{self, Span},
        suspicions::{Facts, evenness},
    },
    correlate::{Cause, Wait},
    recording::{Nanos, StackId, TaskId},
};

const LEAST: Nanos = Nanos(1_000_000);
const SLEEPS: usize = 30;
const THREADS: usize = 3;
const EVEN_PCT: usize = 70;
const TOO_MANY_REQUESTS: u16 = 429;
/// So many refusals are no chance.
const REFUSALS: usize = 3;
const HOLD_BACK: [&str; 4] = ["throttle", "limiter", "backoff", "back_off"];

#[derive(Debug, Default)]
pub(super) struct Limiters {
    /// Steps whose sleeps are paced, with the gap between two that are let through.
    pub paced: BTreeMap<usize, Nanos>,
    /// By `StackId`: a function on it says that it holds back.
    named: Vec<bool>,
    /// By worker: from a refusal to the next request; sorted.
    refused: BTreeMap<TaskId, Vec<(Nanos, Nanos)>>,
    pub refusals: u64,
}

impl Limiters {
    /// `sleeps`: all sleeps of the workers in their steps.
    pub(super) fn new(facts: &Facts<'_>, members: &BTreeSet<TaskId>, sleeps: &[(usize, &Wait)]) -> Limiters {
        let mut found = Limiters { named: named(facts), ..Limiters::default() };
        let mut by_step: BTreeMap<usize, Vec<&Wait>> = BTreeMap::new();
        for (step, wait) in sleeps.iter().filter(|(_, wait)| wait.woken.since(wait.off) >= LEAST) {
            by_step.entry(*step).or_default().push(wait);
        }
        for (step, waits) in by_step {
            if let Some(gap) = paced(&waits) {
                found.paced.insert(step, gap);
            }
        }
        let mut last: BTreeMap<TaskId, (Nanos, bool)> = BTreeMap::new();
        for trip in facts.correlated.flows.round_trips.iter().filter(|trip| members.contains(&trip.task)) {
            let refused = trip.status == Some(TOO_MANY_REQUESTS);
            found.refusals += u64::from(refused);
            if let Some((at, true)) = last.insert(trip.task, (trip.received, refused)) {
                found.refused.entry(trip.task).or_default().push((at, trip.sent));
            }
        }
        if found.refusals < REFUSALS as u64 {
            (found.refusals, found.refused) = (0, BTreeMap::new());
        }
        found
    }

    pub(super) fn holds_back(&self, step: usize, wait: &Wait) -> bool {
        self.is_named(wait.stack) || self.paced.contains_key(&step) || self.is_after_refusal(wait)
    }

    pub(super) fn is_named(&self, stack: Option<StackId>) -> bool {
        stack.is_some_and(|stack| self.named.get(stack.0 as usize).copied().unwrap_or(false))
    }

    fn is_after_refusal(&self, wait: &Wait) -> bool {
        let Some(gaps) = self.refused.get(&wait.task) else { return false };
        let next = gaps.partition_point(|(_, to)| *to <= wait.off);
        gaps.get(next).is_some_and(|(from, to)| *from <= wait.off && wait.woken <= *to)
    }
}

fn named(facts: &Facts<'_>) -> Vec<bool> {
    let holds: Vec<bool> = facts
        .resolved
        .places
        .iter()
        .map(|place| {
            let name = place.function.to_ascii_lowercase();
            HOLD_BACK.iter().any(|part| name.contains(part))
        })
        .collect();
    let on =
        |stack: &[crate::resolve::PlaceId]| stack.iter().any(|id| holds.get(id.0 as usize).copied().unwrap_or(false));
    facts.resolved.stacks.iter().map(|stack| on(stack)).collect()
}

/// The gap between two that are let through.
fn paced(waits: &[&Wait]) -> Option<Nanos> {
    let tasks: BTreeSet<TaskId> = waits.iter().map(|wait| wait.task).collect();
    if waits.len() < SLEEPS || tasks.len() < THREADS || waits.iter().any(|wait| wait.cause != Cause::Sleep) {
        return None;
    }
    let spans: Vec<Span> =
        waits.iter().map(|wait| Span { from: wait.off, to: wait.woken, computed: Nanos::ZERO }).collect();
    let ends: Vec<Nanos> = spans.iter().map(|span| span.to).collect();
    let mut lengths: Vec<Nanos> = spans.iter().map(|span| span.length()).collect();
    lengths.sort_unstable();
    // A busy machine makes some of equal sleeps longer.
    let (short, long) = (lengths.get(lengths.len() / 10)?, lengths.get(lengths.len() * 3 / 4)?);
    let (gap, even) = evenness(&ends)?;
    let equal = long.since(*short).0 < gap.0 / 2;
    let is_paced = replay::width(&spans) >= THREADS && !equal && even >= EVEN_PCT && gap > Nanos::ZERO;
    is_paced.then_some(gap)
}
