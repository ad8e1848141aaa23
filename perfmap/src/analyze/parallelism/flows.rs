//! An event loop whose tasks are not seen (Node, any other single thread) → workers, by its round trips: an item is a chain
//! of calls of several kinds, and as many items as are under way are the workers. What the loop computes for an item is
//! not told apart.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    items::Counted,
    look::{Look, StepPlace},
    stages::{self, Call, Part},
    types::{Confidence, ItemSource, Items, Spent, WorkerKind},
    waits::{Bit, Key, On},
    workers,
};
use crate::{
    analyze::suspicions::Facts,
    correlate::RoundTrip,
    map::{Activity, FunctionId},
    recording::{Nanos, TaskId},
};

/// Fewer calls of a kind say nothing.
const LEAST: usize = 30;
/// Kinds that come equally often, up to so many percent, are stages of one item.
const SAME_PCT: usize = 3;
/// Who computes for more of the time is held up by that, and answers lie about until it reads them.
const BUSY_PCT: u64 = 70;

type Kind<'f> = (Option<usize>, Option<&'f str>, Option<&'f str>);

/// `servers`: who answers requests; what these ask for belongs to their callers.
pub(super) fn looks(facts: &Facts<'_>, activity: &Activity<'_>) -> Vec<Look> {
    let servers = workers::servers(facts);
    let loops: BTreeSet<TaskId> = facts.recording.turns.iter().map(|turn| turn.task).collect();
    let mut by_task: BTreeMap<TaskId, BTreeMap<Kind<'_>, Vec<&RoundTrip>>> = BTreeMap::new();
    for trip in facts.correlated.flows.round_trips.iter().filter(|trip| !trip.inbound) {
        if !servers.contains(&trip.task) && !loops.contains(&trip.task) {
            let kind = (trip.peer, trip.method.as_deref(), trip.route.as_deref());
            by_task.entry(trip.task).or_default().entry(kind).or_default().push(trip);
        }
    }
    by_task.into_iter().filter_map(|(task, kinds)| of_task(facts, activity, task, kinds)).collect()
}

fn of_task(
    facts: &Facts<'_>,
    activity: &Activity<'_>,
    task: TaskId,
    kinds: BTreeMap<Kind<'_>, Vec<&RoundTrip>>,
) -> Option<Look> {
    let known = facts.recording.tasks.get(task.0 as usize)?;
    let mut kinds: Vec<(Kind<'_>, Vec<&RoundTrip>)> =
        kinds.into_iter().filter(|(_, trips)| trips.len() >= LEAST).collect();
    let most = kinds.iter().map(|(_, trips)| trips.len()).max()?;
    kinds.retain(|(_, trips)| trips.len().abs_diff(most) * 100 <= most * SAME_PCT);
    kinds.sort_by_key(|(kind, trips)| (trips.first().map(|trip| trip.sent), *kind));
    if kinds.len() < 2 {
        return None;
    }
    let calls =
        |trips: &Vec<&RoundTrip>| -> Vec<Call> { trips.iter().map(|t| (t.sent, t.received.max(t.sent))).collect() };
    let stages: Vec<Vec<Call>> = kinds.iter().map(|(_, trips)| calls(trips)).collect();
    // Calls that come one after the other are a single worker's.
    let first = stages.first()?;
    if first.windows(2).filter(|two| two[1].0 < two[0].1).count() * 2 < first.len() {
        return None;
    }
    let workers = stages::slots(stages::items(&stages)?);
    if workers.len() < workers::LEAST || most < workers.len() * 2 {
        return None;
    }
    let ends = |get: fn(&stages::Item) -> Nanos| workers.iter().flatten().map(get);
    let (from, to) = (ends(|item| item.from).min()?, ends(|item| item.to).max()?);
    let computed = facts.correlated.timelines.get(task.0 as usize)?.on_cpu(from, to);
    if computed.0.saturating_mul(100) > to.since(from).0.saturating_mul(BUSY_PCT) {
        return None;
    }
    let steps: Vec<StepPlace> = kinds.iter().map(|(kind, trips)| step(activity, kind, trips)).collect();
    let bits = workers.iter().map(|items| items.iter().flat_map(|item| bits(&kinds, item)).collect()).collect();
    let active = workers.iter().filter_map(|items| Some((items.first()?.from, items.last()?.to))).collect();
    let begins: Vec<Vec<Nanos>> = workers.iter().map(|items| items.iter().map(|item| item.from).collect()).collect();
    let what: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let items = Items {
        count: begins.iter().map(Vec::len).sum::<usize>() as u64,
        source: ItemSource::Repetition,
        confidence: Confidence::Medium,
        what: format!("calls one after the other: {}", what.join(", ")),
    };
    Some(Look::of_calls(
        WorkerKind::Coroutines,
        known.process,
        known.comm.clone(),
        (bits, active),
        steps,
        Counted { items, begins },
    ))
}

/// Named by the function that most of its calls are made in, where that is known; what is handed to a connection that was
/// busy is sent by the loop.
fn step(activity: &Activity<'_>, kind: &Kind<'_>, trips: &[&RoundTrip]) -> StepPlace {
    let mut counts: BTreeMap<FunctionId, usize> = BTreeMap::new();
    for function in trips.iter().filter_map(|trip| activity.path(trip.stack).last()) {
        *counts.entry(*function).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(id, count)| (*count, std::cmp::Reverse(*id)));
    match most.filter(|(_, count)| *count * 4 > trips.len()) {
        Some((id, _)) => {
            let (name, location) = activity.function(id);
            StepPlace { name: name.to_owned(), location }
        }
        None => {
            let words: Vec<&str> = [kind.1, kind.2].into_iter().flatten().collect();
            StepPlace { name: if words.is_empty() { "calls".into() } else { words.join(" ") }, location: None }
        }
    }
}

fn bits<'k>(kinds: &'k [(Kind<'_>, Vec<&RoundTrip>)], item: &'k stages::Item) -> impl Iterator<Item = Bit> + use<'k> {
    item.parts.iter().filter(|(from, to, _)| to > from).map(|(from, to, part)| {
        let (step, call, on) = match part {
            Part::Call { stage, call } => (*stage, Some(*call), None),
            Part::Place { stage } => (*stage, None, Some(On::Shared(Key::Places { step: *stage }))),
            Part::Between { stage } => (*stage, None, Some(On::Own(Spent::Other))),
        };
        let trip = kinds.get(step).zip(call).and_then(|((_, trips), call)| trips.get(call));
        let store = trip.is_some_and(|trip| trip.protocol.kind().is_store());
        let on = on.unwrap_or(On::Own(if store { Spent::Database } else { Spent::Network }));
        Bit { from: *from, to: *to, step: Some(step), on, stack: trip.and_then(|trip| trip.stack), wait: None }
    })
}
