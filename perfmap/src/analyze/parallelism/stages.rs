//! Calls of several kinds, many of each → items that pass from one kind to the next, as many at a time as are under way.
//! What lies between two calls of an item is told too: all places of the next kind were taken, or something else.
//!
//! Items are in the order in which a stage answered them, and are let into the next one in that order: where they are not
//! (a pool that serves the newest first), the number at a time and the sums are right all the same.

use std::collections::BTreeMap;

use crate::recording::Nanos;

/// Sent and received.
pub(super) type Call = (Nanos, Nanos);

/// Shorter gaps are the program's own.
const GAP: Nanos = Nanos(1_000_000);
/// So many percent of the calls are sent after what comes before them was answered.
const ORDERED_PCT: usize = 95;
/// Places are what is waited for where all are taken for so much of the wait.
const TAKEN_PCT: u64 = 80;
/// Gaps that nothing explains, of the items' time: with more it is no chain of calls.
const UNKNOWN_PCT: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Call {
        stage: usize,
        call: usize,
    },
    /// For a place in this stage.
    Place {
        stage: usize,
    },
    Between {
        stage: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub from: Nanos,
    pub to: Nanos,
    pub parts: Vec<(Nanos, Nanos, Part)>,
}

/// Stages are in the order of an item, each with its calls by `sent`, equally many up to a few that were cut off.
pub(super) fn items(stages: &[Vec<Call>]) -> Option<Vec<Item>> {
    let count = stages.iter().map(Vec::len).min().filter(|count| *count > 0)?;
    let full: Vec<Full> = stages.iter().map(|calls| Full::new(calls)).collect();
    let mut found: Vec<Item> = Vec::with_capacity(count);
    let (mut disordered, mut unknown, mut all) = (0, 0_u64, 0_u64);
    for (call, (from, to)) in stages.first()?.iter().copied().enumerate().take(count) {
        found.push(Item { from, to, parts: vec![(from, to, Part::Call { stage: 0, call })] });
    }
    for stage in 1..stages.len() {
        // In the order in which the stage before answered.
        found.sort_by_key(|item| (item.to, item.from));
        for (call, (item, (sent, received))) in found.iter_mut().zip(stages.get(stage)?.iter().copied()).enumerate() {
            if sent < item.to {
                disordered += 1;
            }
            let sent = sent.max(item.to);
            let received = received.max(sent);
            let gap = sent.since(item.to);
            if gap > Nanos::ZERO {
                let taken = full.get(stage)?.within(item.to, sent);
                let place = gap >= GAP && taken.0 * 100 >= gap.0 * TAKEN_PCT;
                let part = if place { Part::Place { stage } } else { Part::Between { stage } };
                unknown += if place { 0 } else { gap.0 };
                item.parts.push((item.to, sent, part));
            }
            item.parts.push((sent, received, Part::Call { stage, call }));
            item.to = received;
        }
    }
    for item in &found {
        all += item.to.since(item.from).0;
    }
    if disordered * 100 > count * stages.len() * (100 - ORDERED_PCT) || unknown * 100 > all * UNKNOWN_PCT {
        return None;
    }
    found.sort_by_key(|item| (item.from, item.to));
    Some(found)
}

/// More at a time for so little of a stage's time, in percent, are its clocks' errors.
const ERROR_PCT: u64 = 5;

/// When as many calls of a stage were under way as ever are.
struct Full(Vec<(Nanos, Nanos)>);

impl Full {
    fn new(calls: &[Call]) -> Full {
        let mut edges: Vec<(Nanos, i64)> = calls.iter().flat_map(|(from, to)| [(*from, 1), (*to, -1)]).collect();
        // What ends at an instant ends before what begins there.
        edges.sort_unstable();
        let mut lengths: BTreeMap<i64, u64> = BTreeMap::new();
        let (mut now, mut last) = (0, Nanos::ZERO);
        for (at, by) in &edges {
            if now > 0 {
                *lengths.entry(now).or_default() += at.since(last).0;
            }
            (now, last) = (now + by, *at);
        }
        let all: u64 = lengths.values().sum();
        let mut above = 0;
        let most = lengths.iter().rev().find(|(_, length)| {
            above += **length;
            above * 100 > all * ERROR_PCT
        });
        let most = most.map_or(1, |(width, _)| *width);
        let (mut found, mut now, mut since): (Vec<(Nanos, Nanos)>, i64, Option<Nanos>) = (Vec::new(), 0, None);
        for (at, by) in edges {
            now += by;
            match since {
                None if now >= most => since = Some(at),
                // Until the next one is sent it is the place's way back.
                Some(from) if now < most && at > from => {
                    found.push((from, at));
                    since = None;
                }
                Some(_) | None => {}
            }
        }
        Full(found)
    }

    fn within(&self, from: Nanos, to: Nanos) -> Nanos {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        let inside = self.0.iter().skip(first).take_while(|(begin, _)| *begin < to);
        inside.map(|(begin, end)| (*end).min(to).since((*begin).max(from))).sum()
    }
}

/// Items by worker: each goes to the first one that is free.
pub(super) fn slots(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut slots: Vec<Vec<Item>> = Vec::new();
    for item in items {
        match slots.iter_mut().find(|slot| slot.last().is_none_or(|last| last.to <= item.from)) {
            Some(slot) => slot.push(item),
            None => slots.push(vec![item]),
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Nanos {
        Nanos(value * 1_000_000)
    }

    /// `workers` at once, each asks for 20 ms and then stores for `store` at one of `places`, eight times.
    fn pipeline(workers: usize, places: usize, store: u64) -> Vec<Vec<Call>> {
        let (mut fetches, mut stores) = (vec![], vec![]);
        let mut free = vec![0_u64; places];
        let mut ready: Vec<(u64, usize)> = (0..workers).map(|_| (0, 8)).collect();
        while let Some(worker) = (0..workers).filter(|it| ready[*it].1 > 0).min_by_key(|it| ready[*it].0) {
            let (from, left) = ready[worker];
            fetches.push((ms(from), ms(from + 20)));
            let place = free.iter_mut().min().expect("a place");
            let begins = (*place).max(from + 20);
            *place = begins + store;
            stores.push((ms(begins), ms(begins + store)));
            ready[worker] = (begins + store, left - 1);
        }
        stores.sort_unstable();
        vec![fetches, stores]
    }

    fn waits(items: &[Item]) -> (usize, usize) {
        let parts = || items.iter().flat_map(|item| &item.parts);
        let places = parts().filter(|(_, _, part)| matches!(part, Part::Place { .. })).count();
        (places, parts().filter(|(_, _, part)| matches!(part, Part::Between { .. })).count())
    }

    #[test]
    fn a_stage_with_two_places_is_waited_for() {
        let items = items(&pipeline(50, 2, 8)).expect("items");
        assert_eq!(items.len(), 400);
        let (places, between) = waits(&items);
        assert!(places >= 390 && between <= 10, "{places} {between}");
        assert_eq!(slots(items).len(), 50);
    }

    #[test]
    fn with_a_place_for_each_nothing_is_waited_for() {
        let items = items(&pipeline(50, 50, 8)).expect("items");
        assert_eq!((items.len(), waits(&items)), (400, (0, 0)));
        assert_eq!(slots(items).len(), 50);
    }

    /// All of one kind, then all of the other: nobody passes from one to the next.
    #[test]
    fn what_is_done_in_two_rounds_or_at_once_is_no_chain() {
        let fetches: Vec<Call> = (0..60).map(|call| (ms(call * 5), ms(call * 5 + 20))).collect();
        let stores: Vec<Call> = (0..60).map(|call| (ms(400 + call * 40), ms(420 + call * 40))).collect();
        assert_eq!(items(&[fetches.clone(), stores]), None);
        let at_once: Vec<Call> = fetches.iter().map(|(from, to)| (*from, *to)).collect();
        assert_eq!(items(&[fetches, at_once]), None);
        assert_eq!(items(&[vec![], vec![]]), None);
    }
}
