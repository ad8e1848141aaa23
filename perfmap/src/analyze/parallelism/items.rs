//! What the workers do again and again → how many items they did, and when each began.
//!
//! Round trips of one kind, waits of one kind in one step, and visits of a step are marks. Marks that come equally often
//! belong to one item; the largest such set is what an item is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    types::{Confidence, ItemSource, Items, Spent},
    waits::{Bit, On},
};
use crate::{
    analyze::suspicions::Facts,
    map::{Activity, FunctionId},
    recording::{Nanos, TaskId},
};

const TOO_MANY_REQUESTS: u16 = 429;
/// Counts that differ by so little, in percent, are the same.
const SAME_PCT: u64 = 3;
/// Each worker does so many on average, else nothing is repeated.
const REPEATED: u64 = 2;
/// So many percent of the workers show the mark.
const SHOWN_PCT: usize = 60;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Request,
    Trip { peer: Option<usize>, method: Option<String>, route: Option<String> },
    Wait { step: usize, on: Spent, function: Option<FunctionId> },
    Visit { step: usize },
}

impl Mark {
    /// Each is seen, or only where something else lies between two of them.
    fn weight(&self) -> u64 {
        match self {
            Mark::Request => 4,
            Mark::Trip { .. } => 3,
            Mark::Wait { .. } => 2,
            Mark::Visit { .. } => 1,
        }
    }

    /// Calls of others are nobody's step.
    fn is_of(&self, step_is: impl Fn(usize) -> bool) -> bool {
        match self {
            Mark::Request | Mark::Trip { .. } => true,
            Mark::Wait { step, .. } | Mark::Visit { step } => step_is(*step),
        }
    }
}

/// The worker and when.
type Times = Vec<(usize, Nanos)>;

pub(super) struct Counted {
    pub items: Items,
    /// By worker: when its items began, in order.
    pub begins: Vec<Vec<Nanos>>,
}

/// The task of each worker, with its work.
pub(super) struct Seen<'s> {
    pub tasks: &'s [Vec<TaskId>],
    pub bits: &'s [Vec<Bit>],
    pub active: &'s [(Nanos, Nanos)],
    pub step_names: &'s [String],
    pub coroutines: bool,
    /// By requests from outside, and nothing else.
    pub served: bool,
    /// Requests that were answered with 429, where these are no chance.
    pub refusals: u64,
}

pub(super) fn repeated(facts: &Facts<'_>, activity: &Activity<'_>, seen: &Seen<'_>) -> Option<Counted> {
    let mut marks: BTreeMap<Mark, Times> = BTreeMap::new();
    trips(facts, seen, &mut marks);
    // A refused request is asked again: an item has one answer, and as many waits as it was refused.
    if !seen.served && (marks.is_empty() || seen.refusals == 0) {
        waits(activity, seen, &mut marks);
    }
    let workers = seen.bits.len();
    let enough = |times: &Times| {
        let shown: BTreeSet<usize> = times.iter().map(|(worker, _)| *worker).collect();
        times.len() as u64 >= REPEATED * workers as u64 && shown.len() * 100 >= workers * SHOWN_PCT
    };
    let marks: Vec<(Mark, Times)> = marks.into_iter().filter(|(_, times)| enough(times)).collect();
    let set = |centre: usize| -> Vec<usize> {
        let count = marks[centre].1.len() as u64;
        let same = |times: &Times| (times.len() as u64).abs_diff(count) * 100 <= count * SAME_PCT;
        (0..marks.len()).filter(|index| same(&marks[*index].1)).collect()
    };
    let weight = |set: &[usize]| set.iter().map(|index| marks[*index].0.weight()).sum::<u64>();
    let best = (0..marks.len()).map(set).max_by_key(|set| {
        let count = set.first().map_or(0, |index| marks[*index].1.len());
        // What the loop itself waits for is the pool's as well: for the next item, for its results.
        let called = set.iter().any(|index| marks[*index].0.is_of(|step| step + 1 < seen.step_names.len()));
        (weight(set), called, count, std::cmp::Reverse(set.first().copied()))
    })?;
    let first = *best.first()?;
    let mut begins: Vec<Vec<Nanos>> = vec![Vec::new(); workers];
    for (worker, at) in &marks[first].1 {
        begins[*worker].push(*at);
    }
    begins.iter_mut().for_each(|times| times.sort_unstable());
    let exact = best.iter().any(|index| marks[*index].0.weight() > 1);
    let confidence = match weight(&best) {
        4.. => Confidence::High,
        _ if exact => Confidence::Medium,
        _ => Confidence::Low,
    };
    let what: Vec<String> = best.iter().take(3).map(|index| told(&marks[*index].0, facts, seen)).collect();
    let items =
        Items { count: marks[first].1.len() as u64, source: ItemSource::Repetition, confidence, what: what.join(", ") };
    Some(Counted { items, begins })
}

fn told(mark: &Mark, facts: &Facts<'_>, seen: &Seen<'_>) -> String {
    let step = |step: &usize| seen.step_names.get(*step).map_or("the loop", |name| name.as_str());
    match mark {
        Mark::Request => "requests that were answered".into(),
        Mark::Trip { peer, method, route } => {
            let words: Vec<&str> = [method.as_deref(), route.as_deref()].into_iter().flatten().collect();
            let name = peer.and_then(|peer| facts.map.peer_names.get(peer)).map_or("", |name| name.as_str());
            if words.is_empty() { format!("calls to {name}") } else { words.join(" ") }
        }
        Mark::Wait { step: of, on, .. } => {
            let on = match on {
                Spent::Sleep => "sleeps",
                Spent::Disk => "waits for the disk",
                Spent::Pipe => "waits at a pipe",
                Spent::Child => "child processes",
                Spent::Network | Spent::Database => "answers",
                Spent::Cpu | Spent::Lock | Spent::RunQueue | Spent::Other | Spent::Shared(_) => "waits",
            };
            format!("{on} in {}", step(of))
        }
        Mark::Visit { step: of } => format!("visits of {}", step(of)),
    }
}

fn trips(facts: &Facts<'_>, seen: &Seen<'_>, marks: &mut BTreeMap<Mark, Times>) {
    let mut worker_of: BTreeMap<TaskId, usize> = BTreeMap::new();
    for (worker, tasks) in seen.tasks.iter().enumerate() {
        worker_of.extend(tasks.iter().map(|task| (*task, worker)));
    }
    for trip in facts.correlated.flows.round_trips.iter().filter(|trip| trip.inbound == seen.served) {
        let Some(worker) = worker_of.get(&trip.task).copied() else { continue };
        let Some((from, to)) = seen.active.get(worker) else { continue };
        if trip.received <= *from || trip.sent >= *to || trip.status == Some(TOO_MANY_REQUESTS) {
            continue;
        }
        let mark = match seen.served {
            true => Mark::Request,
            false => Mark::Trip { peer: trip.peer, method: trip.method.clone(), route: trip.route.clone() },
        };
        marks.entry(mark).or_default().push((worker, trip.sent));
    }
}

fn waits(activity: &Activity<'_>, seen: &Seen<'_>, marks: &mut BTreeMap<Mark, Times>) {
    for (worker, bits) in seen.bits.iter().enumerate() {
        let (mut visited, mut waited) = (None, None);
        for bit in bits {
            if let Some(step) = bit.step
                && visited != Some(step)
            {
                marks.entry(Mark::Visit { step }).or_default().push((worker, bit.from));
            }
            visited = bit.step.or(visited);
            // Parts of one wait count once; a coroutine's waits are no task's.
            let waits = matches!(&bit.on, On::Own(on) if *on != Spent::Cpu);
            if let (Some(step), On::Own(on)) = (bit.step, &bit.on)
                && waits
                && (bit.wait.is_none() && seen.coroutines || bit.wait.is_some() && waited != bit.wait)
            {
                let function = activity.path(bit.stack).last().copied();
                let mark = Mark::Wait { step, on: *on, function };
                marks.entry(mark).or_default().push((worker, bit.from));
                waited = bit.wait;
            }
        }
    }
}

/// What was typed and what the command told come before what was counted.
pub(super) fn ranked(facts: &Facts<'_>, counted: Option<Items>) -> Vec<Items> {
    let work = &facts.recording.work;
    let told = work.items.map(|count| Items {
        count,
        source: ItemSource::Told,
        confidence: Confidence::High,
        what: "--items".into(),
    });
    let done = work.progress.last().map(|last| {
        // Of a part of a longer run: what was done in it.
        let before = work.sampled.map(|sampled| sampled.done_before.or(work.progress.first().map(|p| p.done)));
        last.done.saturating_sub(before.flatten().unwrap_or(0))
    });
    let progress = done.filter(|done| *done > 0).map(|count| Items {
        count,
        source: ItemSource::Progress,
        confidence: if work.progress.len() >= 3 { Confidence::High } else { Confidence::Medium },
        what: format!("--progress, {} lines", work.progress.len()),
    });
    [told, progress, counted].into_iter().flatten().filter(|items| items.count > 0).collect()
}
