//! A lock that is held for long because who has it waits for something else that is shared (the interpreter, a database, a
//! limiter, another lock): that is what all who wait for the lock wait for. What the machine adds (no CPU) is left out: it
//! lengthens every hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    holds::holds,
    waits::{Bit, Key, On},
};
use crate::{
    analyze::suspicions::Facts,
    correlate::WaitId,
    map::Activity,
    recording::{Nanos, TaskId},
};

/// Who waits may itself be waited for.
const CHAIN: usize = 4;

pub(super) fn pass_on(facts: &Facts<'_>, activity: &Activity<'_>, tasks: &[Vec<TaskId>], bits: &mut [Vec<Bit>]) {
    let behind = behind(facts, activity, tasks, bits);
    if behind.is_empty() {
        return;
    }
    let last = |key: &Key| {
        let (mut now, mut seen) = (key, BTreeSet::from([key]));
        for _ in 0..CHAIN {
            match behind.get(now) {
                Some(next) if seen.insert(next) => now = next,
                Some(_) | None => break,
            }
        }
        now.clone()
    };
    for bit in bits.iter_mut().flatten() {
        if let On::Shared(key) = &bit.on
            && behind.contains_key(key)
        {
            bit.on = On::Shared(last(key));
        }
    }
}

/// By lock: what its holders wait for during more than half of the time in which they have it.
fn behind(facts: &Facts<'_>, activity: &Activity<'_>, tasks: &[Vec<TaskId>], bits: &[Vec<Bit>]) -> BTreeMap<Key, Key> {
    let worker_of: BTreeMap<TaskId, usize> =
        tasks.iter().enumerate().flat_map(|(worker, tasks)| tasks.iter().map(move |task| (*task, worker))).collect();
    let mut waits: BTreeMap<&Key, Vec<WaitId>> = BTreeMap::new();
    for bit in bits.iter().flatten() {
        if let (On::Shared(key @ (Key::Lock { .. } | Key::Places { .. })), Some(wait)) = (&bit.on, bit.wait) {
            let of_key = waits.entry(key).or_default();
            if of_key.last() != Some(&wait) {
                of_key.push(wait);
            }
        }
    }
    let mut found = BTreeMap::new();
    for (key, waits) in waits {
        let mut held = Nanos::ZERO;
        let mut sums: BTreeMap<&Key, Nanos> = BTreeMap::new();
        for hold in holds(facts, activity, waits.into_iter()) {
            held = held.plus(hold.to.since(hold.from));
            let Some(of_worker) = worker_of.get(&hold.by).and_then(|worker| bits.get(*worker)) else { continue };
            let first = of_worker.partition_point(|bit| bit.to <= hold.from);
            for bit in of_worker.iter().skip(first).take_while(|bit| bit.from < hold.to) {
                if let On::Shared(other) = &bit.on
                    && other != key
                    && !matches!(other, Key::RunQueue | Key::Throttled)
                {
                    let sum = sums.entry(other).or_default();
                    *sum = sum.plus(bit.to.min(hold.to).since(bit.from.max(hold.from)));
                }
            }
        }
        let most = sums.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)));
        if let Some((other, _)) = most.filter(|(_, sum)| sum.0.saturating_mul(2) > held.0) {
            found.insert(key.clone(), other.clone());
        }
    }
    found
}
