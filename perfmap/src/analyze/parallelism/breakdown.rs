//! What the workers' time went into, step by step and item by item.

use std::collections::BTreeMap;

use super::{
    look::{Look, spent},
    types::{Spent, StepTime, WorkerUse},
    waits::{Bit, On},
};
use crate::{analyze::share_pct, recording::Nanos};

/// So many times alone are needed for their mean.
const ALONE: usize = 3;
/// Steps below this share of the item are not told, in percent.
const LEAST_PCT: f64 = 0.5;

/// In the order of an item, as far as its parts begin one after the other.
pub(super) fn steps(look: &Look, items: u64) -> Vec<StepTime> {
    let items = items.max(1);
    let item: Nanos = Nanos(look.in_steps().0 / items);
    let visits = visits(look);
    let mut found: Vec<(f64, StepTime)> = Vec::new();
    for (step, place) in look.steps.iter().enumerate() {
        let mut parts: BTreeMap<Spent, Nanos> = BTreeMap::new();
        let (mut total, mut work) = (Nanos::ZERO, Nanos::ZERO);
        for bit in look.bits.iter().flatten().filter(|bit| bit.step == Some(step)) {
            let length = bit.length();
            total = total.plus(length);
            if let Some(on) = spent(bit) {
                let sum = parts.entry(on).or_default();
                *sum = sum.plus(length);
            }
            if matches!(bit.on, On::Own(_)) {
                work = work.plus(length);
            }
        }
        let mean = Nanos(total.0 / items);
        let share_pct = share_pct(mean, item);
        if total == Nanos::ZERO || share_pct < LEAST_PCT {
            continue;
        }
        let mut spent: Vec<(Spent, Nanos)> =
            parts.into_iter().map(|(on, sum)| (on, Nanos(sum.0 / items))).filter(|(_, sum)| sum.0 > 0).collect();
        spent.sort_by_key(|(on, sum)| (std::cmp::Reverse(*sum), *on));
        let mut of_items = per_item(look, step);
        of_items.sort_unstable();
        let at = |pct: usize| of_items.get((of_items.len().saturating_sub(1) * pct).div_ceil(100)).copied();
        let time = StepTime {
            name: place.name.clone(),
            location: place.location.clone(),
            mean,
            median: at(50).unwrap_or(mean),
            p95: at(95).unwrap_or(mean),
            share_pct,
            uncontended: Nanos(work.0 / items),
            alone: alone(&visits, step, items),
            spent,
        };
        found.push((position(look, step), time));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, step)| step).collect()
}

/// Where in an item the step begins, 0 to 1, on average: by who comes first after an item's begin.
fn position(look: &Look, step: usize) -> f64 {
    let mut sum = 0.0;
    let mut count = 0.0;
    for (bits, (from, _)) in look.bits.iter().zip(&look.active) {
        if let Some(first) = bits.iter().find(|bit| bit.step == Some(step)) {
            sum += first.from.since(*from).as_ms();
            count += 1.0;
        }
    }
    if count > 0.0 { sum / count } else { f64::MAX }
}

/// Time of the step in each item: from one item's begin to the next one's.
fn per_item(look: &Look, step: usize) -> Vec<Nanos> {
    let Some(counted) = &look.counted else { return vec![] };
    let mut found = Vec::new();
    for (bits, begins) in look.bits.iter().zip(&counted.begins) {
        let mut times = vec![Nanos::ZERO; begins.len()];
        for bit in bits.iter().filter(|bit| bit.step == Some(step)) {
            // What lies before the first begin belongs to it.
            let index = begins.partition_point(|begin| *begin <= bit.from).saturating_sub(1);
            if let Some(time) = times.get_mut(index) {
                *time = time.plus(bit.length());
            }
        }
        found.extend(times);
    }
    found
}

/// A worker, from when to when it was in a step without leaving it.
type Visit = (usize, Nanos, Nanos);

fn visits(look: &Look) -> BTreeMap<usize, Vec<Visit>> {
    let mut found: BTreeMap<usize, Vec<Visit>> = BTreeMap::new();
    for (worker, bits) in look.bits.iter().enumerate() {
        let mut open: Option<(usize, Nanos, Nanos)> = None;
        let mut close = |open: &mut Option<(usize, Nanos, Nanos)>| {
            if let Some((step, from, to)) = open.take() {
                found.entry(step).or_default().push((worker, from, to));
            }
        };
        for bit in bits {
            match (&mut open, bit.step) {
                (Some((known, _, to)), Some(step)) if *known == step => *to = bit.to,
                (_, Some(step)) => {
                    close(&mut open);
                    open = Some((step, bit.from, bit.to));
                }
                (_, None) => close(&mut open),
            }
        }
        close(&mut open);
    }
    for of_step in found.values_mut() {
        of_step.sort_by_key(|(worker, from, to)| (*from, *to, *worker));
    }
    found
}

/// The mean visit while nobody else was in the step; visits that hold several items are none.
fn alone(visits: &BTreeMap<usize, Vec<Visit>>, step: usize, items: u64) -> Option<Nanos> {
    let visits = visits.get(&step)?;
    if (visits.len() as u64).saturating_mul(10) < items.saturating_mul(8) {
        return None;
    }
    let mut lengths = Vec::new();
    let mut until = Nanos::ZERO;
    for (index, (_, from, to)) in visits.iter().enumerate() {
        let next = visits.get(index + 1).map_or(Nanos(u64::MAX), |(_, from, _)| *from);
        if *from >= until && next >= *to {
            lengths.push(to.since(*from));
        }
        until = until.max(*to);
    }
    let sum: Nanos = lengths.iter().copied().sum();
    (lengths.len() >= ALONE).then(|| Nanos(sum.0 / lengths.len() as u64))
}

/// Sums over all workers, within their steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub work: Nanos,
    pub cpu: Nanos,
    pub shared: Nanos,
    /// Before a worker's first item and after its last one.
    pub tail: Nanos,
    /// Between its items.
    pub idle: Nanos,
}

pub(super) fn totals(look: &Look) -> Totals {
    let mut sums = Totals::default();
    for worker in 0..look.bits.len() {
        let of = of_worker(look, worker);
        sums.work = sums.work.plus(of.work);
        sums.cpu = sums.cpu.plus(of.cpu);
        sums.shared = sums.shared.plus(of.shared);
        sums.tail = sums.tail.plus(of.tail);
        sums.idle = sums.idle.plus(of.idle);
    }
    sums
}

fn of_worker(look: &Look, worker: usize) -> Totals {
    let mut sums = Totals::default();
    let Some((bits, (from, to))) = look.bits.get(worker).zip(look.active.get(worker)) else { return sums };
    let add = |sum: &mut Nanos, bit: &Bit| *sum = sum.plus(bit.length());
    for bit in bits {
        match (&bit.on, bit.step) {
            (On::Own(Spent::Cpu), _) => {
                add(&mut sums.work, bit);
                add(&mut sums.cpu, bit);
            }
            (On::Own(_), Some(_)) => add(&mut sums.work, bit),
            (On::Shared(_), Some(_)) => add(&mut sums.shared, bit),
            (On::Own(_) | On::Shared(_), None) | (On::Idle, _) => {}
        }
    }
    sums.tail = look.to().since(*to).plus(from.since(look.from()));
    let known = sums.work.plus(sums.shared).plus(sums.tail);
    sums.idle = look.duration().since(known);
    sums
}

pub(super) fn uses(look: &Look) -> Vec<WorkerUse> {
    let duration = look.duration();
    (0..look.bits.len())
        .map(|worker| {
            let of = of_worker(look, worker);
            let items = look.counted.as_ref().and_then(|counted| counted.begins.get(worker)).map_or(0, Vec::len);
            WorkerUse {
                name: look.names.get(worker).cloned().unwrap_or_default(),
                items: items as u64,
                worked_pct: share_pct(of.work, duration),
                waited_pct: share_pct(of.shared, duration),
                idle_pct: share_pct(of.tail.plus(of.idle), duration),
            }
        })
        .collect()
}

/// Work of each worker, with what the machine took of its time.
pub(super) fn worked(look: &Look) -> Vec<(Nanos, Nanos)> {
    (0..look.bits.len())
        .map(|worker| {
            let machine = look.bits.get(worker).into_iter().flatten().filter(|bit| {
                matches!(&bit.on, On::Shared(super::waits::Key::RunQueue | super::waits::Key::Throttled))
                    && bit.step.is_some()
            });
            (of_worker(look, worker).work, machine.map(Bit::length).sum())
        })
        .collect()
}
