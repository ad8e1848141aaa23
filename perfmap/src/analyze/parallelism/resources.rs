//! Waits for what the workers share → resources: who waits, who has it meanwhile, how many have it at a time, and how much
//! of the workers' time it costs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    category::MATTERS_PCT,
    holds,
    look::Look,
    types::{Category, Resource, Side, Spent, WorkerKind},
    waits::{Bit, Key, On},
};
use crate::{
    analyze::{
        share_pct,
        suspicions::{Evidence, Facts, Value},
    },
    correlate::WaitId,
    map::Activity,
    recording::{Nanos, StackId, covered},
    resolve::Language,
};

/// Beside a wait that is so many times as long another one is no cause.
const BESIDE: u64 = 10;
/// Waits whose statements are looked at.
const MOST_LOOKED_AT: usize = 1000;
/// Frames of one stack, from the leaf.
const FRAMES: usize = 24;

#[derive(Debug, Default)]
struct Sums {
    waits: Vec<(usize, WaitId)>,
    /// Without a wait of the worker's own in between.
    runs: u64,
    last: Option<(usize, u64)>,
    total: Nanos,
    intervals: Vec<(Nanos, Nanos)>,
    workers: BTreeMap<usize, Nanos>,
    steps: BTreeMap<usize, Nanos>,
    stacks: BTreeMap<StackId, Nanos>,
}

/// Those that cost so little of the workers' time, or beside the largest, that it cannot be told from noise.
pub(super) fn slight(look: &Look) -> BTreeSet<Key> {
    let mut sums: BTreeMap<&Key, Nanos> = BTreeMap::new();
    for bit in look.bits.iter().flatten().filter(|bit| bit.step.is_some()) {
        if let On::Shared(key) = &bit.on {
            let sum = sums.entry(key).or_default();
            *sum = sum.plus(bit.length());
        }
    }
    let busy = look.worker_time();
    let most = sums.values().copied().max().unwrap_or_default();
    let is_slight = |sum: Nanos| share_pct(sum, busy) < MATTERS_PCT || sum.0.saturating_mul(BESIDE) < most.0;
    let slight = sums.into_iter().filter(|(_, sum)| is_slight(*sum));
    slight.map(|(key, _)| key.clone()).collect()
}

/// Largest wait first.
pub(super) fn resources(facts: &Facts<'_>, activity: &Activity<'_>, look: &Look) -> Vec<Resource> {
    let mut sums: BTreeMap<&Key, Sums> = BTreeMap::new();
    for (worker, bits) in look.bits.iter().enumerate() {
        let mut own = 0;
        for bit in bits.iter().filter(|bit| bit.step.is_some()) {
            match &bit.on {
                On::Shared(key) => add(sums.entry(key).or_default(), (worker, own), bit),
                // Whatever it waits for itself ends what it was let in for.
                On::Own(Spent::Cpu) | On::Idle => {}
                On::Own(_) => own += 1,
            }
        }
    }
    let busy = look.worker_time();
    let mut found: Vec<Resource> =
        sums.into_iter().map(|(key, sums)| resource(facts, activity, look, key, sums, busy)).collect();
    found.sort_by(|a, b| b.waited.cmp(&a.waited).then_with(|| (a.category, &a.name).cmp(&(b.category, &b.name))));
    found
}

fn add(sums: &mut Sums, (worker, own): (usize, u64), bit: &Bit) {
    if sums.last.replace((worker, own)) != Some((worker, own)) {
        sums.runs += 1;
    }
    let length = bit.length();
    sums.total = sums.total.plus(length);
    sums.intervals.push((bit.from, bit.to));
    let grow = |sum: &mut Nanos| *sum = sum.plus(length);
    grow(sums.workers.entry(worker).or_default());
    if let Some(step) = bit.step {
        grow(sums.steps.entry(step).or_default());
    }
    if let Some(stack) = bit.stack {
        grow(sums.stacks.entry(stack).or_default());
    }
    if let Some(wait) = bit.wait
        && sums.waits.last().is_none_or(|(_, last)| *last != wait)
    {
        sums.waits.push((worker, wait));
    }
}

fn resource(facts: &Facts<'_>, activity: &Activity<'_>, look: &Look, key: &Key, sums: Sums, busy: Nanos) -> Resource {
    let wanted = covered(sums.intervals.iter().copied());
    // A lock is asked for once by a wait; a database's client asks again and again.
    let waits = match key {
        Key::Lock { .. } | Key::Places { .. } | Key::Room { .. } | Key::FileLock if !sums.waits.is_empty() => {
            sums.waits.len() as u64
        }
        _ => sums.runs,
    };
    let main_step = largest(&sums.steps).map(|step| look.step_name(step)).unwrap_or_default();
    let (holds, holding) = holders(facts, activity, look, &sums);
    let hold = median(holds);
    let exclusive =
        matches!(key, Key::Lock { .. } | Key::Places { .. } | Key::Room { .. } | Key::FileLock | Key::Database { .. });
    let emptied = matches!(key, Key::Room { .. });
    let holding = if emptied { emptier(facts, activity, &sums) } else { holding };
    let turn = (exclusive && waits > 0).then(|| Nanos(wanted.0 / waits));
    let places = match key {
        // Who lets a coroutine go on is not seen: only how many go on at a time.
        Key::Places { .. } if look.kind == WorkerKind::Coroutines => Some(inside(look, key, &sums)),
        Key::Lock { .. } | Key::Places { .. } => hold.map(|hold| {
            let ratio = hold.0 as f64 * waits as f64 / wanted.0.max(1) as f64;
            (ratio.round() as u64).min(inside(look, key, &sums)).clamp(1, look.bits.len() as u64)
        }),
        Key::FileLock | Key::Database { .. } => Some(1),
        Key::Interpreter { .. } => Some(1),
        Key::Room { .. } | Key::Limiter { .. } | Key::RunQueue | Key::Throttled | Key::Disk | Key::Peer { .. } => None,
    };
    let waiting_stack = largest(&sums.stacks);
    let of_semaphore = waiting_stack.is_some_and(|stack| on_stack(facts, stack, "SemLock"));
    let category = match (key, places) {
        (Key::Lock { .. }, Some(2..)) if of_semaphore => Category::PoolExhaustion,
        (Key::Places { .. }, Some(1)) => Category::LockContention,
        _ => key.category(),
    };
    let address = match key {
        Key::Lock { address, .. } => *address,
        _ => None,
    };
    let name = match key {
        Key::Lock { address: Some(address), .. } => format!("the lock at {address:#x}"),
        Key::Lock { address: None, .. } => "a lock".into(),
        Key::Places { .. } if category == Category::LockContention => {
            format!("the only place that {main_step} waits for")
        }
        Key::Places { .. } => match places {
            Some(places) => format!("the {places} places that {main_step} waits for"),
            None => format!("the places that {main_step} waits for"),
        },
        Key::Room { .. } => format!("room in the queue that {main_step} fills"),
        Key::FileLock => "a lock on a file".into(),
        Key::Database { engine } => format!("a lock of {engine}"),
        Key::Interpreter { .. } => "the interpreter (GIL)".into(),
        Key::Limiter { .. } if look.refusals > 0 => format!("the limit that is answered with 429, in {main_step}"),
        Key::Limiter { .. } => format!("the limiter that {main_step} sleeps in"),
        Key::RunQueue => "the CPU cores".into(),
        Key::Throttled => "the CPU quota of the cgroup".into(),
        Key::Disk => "the disk".into(),
        Key::Peer { peer, saturated } => {
            let name = facts.map.peer_names.get(*peer).map_or("a peer", |name| name.as_str());
            if *saturated { name.to_owned() } else { format!("{name}, which takes longer the more is asked of it") }
        }
    };
    let (statement, blocking_statement) = match key {
        Key::Database { .. } => statements(facts, look, &sums),
        _ => (None, None),
    };
    let mut evidence = vec![
        Evidence::new("waits", Value::Count(waits)),
        Evidence::new("workers that waited", Value::Count(sums.workers.len() as u64)),
        Evidence::new("time in them, all workers", Value::Time(sums.total)),
    ];
    if let Some(turn) = turn {
        evidence.push(Evidence::new("from one let in to the next", Value::Time(turn)));
    }
    if let Some(hold) = hold.filter(|_| exclusive) {
        evidence.push(Evidence::new("had for", Value::Time(hold)));
    }
    if let Key::Limiter { step } = key
        && let Some(gap) = look.paced.get(step)
    {
        evidence.push(Evidence::new("between two that are let through", Value::Time(*gap)));
    }
    if let Key::Limiter { .. } = key
        && look.refusals > 0
    {
        evidence.push(Evidence::new("answers 429", Value::Count(look.refusals)));
    }
    let limiter_turn = match key {
        Key::Limiter { step } => look.paced.get(step).copied(),
        _ => None,
    };
    Resource {
        category,
        name,
        address,
        places,
        waiting: waiting_stack.map(|stack| side(facts, activity, stack)),
        holding: holding.map(|stack| side(facts, activity, stack)),
        emptied,
        statement,
        blocking_statement,
        waits,
        waited: sums.total,
        wanted,
        turn: turn.or(limiter_turn),
        lost_pct: share_pct(sums.total, busy),
        utilisation_pct: share_pct(wanted, look.duration()).min(100.0),
        evidence,
    }
}

/// How many workers are usually in the step that most wait in, past the wait, while somebody waits.
fn inside(look: &Look, key: &Key, sums: &Sums) -> u64 {
    let Some(step) = largest(&sums.steps) else { return 1 };
    let mut edges: Vec<(Nanos, i64, i64)> = Vec::new();
    for bit in look.bits.iter().flatten().filter(|bit| bit.step == Some(step)) {
        let waits = bit.on == On::Shared(key.clone());
        let (had, waiting) = if waits { (0, 1) } else { (1, 0) };
        edges.push((bit.from, had, waiting));
        edges.push((bit.to, -had, -waiting));
    }
    edges.sort_unstable();
    let (mut now, mut waiting, mut from) = (0_i64, 0_i64, Nanos::ZERO);
    let mut lengths: BTreeMap<i64, u64> = BTreeMap::new();
    for (at, had, waits) in edges {
        if waiting > 0 {
            *lengths.entry(now).or_default() += at.since(from).0;
        }
        (now, waiting, from) = (now + had, waiting + waits, at);
    }
    let half = lengths.values().sum::<u64>() / 2;
    let mut sum = 0;
    let usual = lengths.iter().find(|(_, length)| {
        sum += **length;
        sum >= half
    });
    usual.map_or(1, |(count, _)| u64::try_from(*count).unwrap_or(1)).max(1)
}

/// How long those that ended a wait had had what was waited for, and where they were most of the time.
fn holders(facts: &Facts<'_>, activity: &Activity<'_>, look: &Look, sums: &Sums) -> (Vec<Nanos>, Option<StackId>) {
    let holds = holds::holds(facts, activity, sums.waits.iter().map(|(_, id)| *id));
    let mut stacks: BTreeMap<StackId, u64> = BTreeMap::new();
    for hold in &holds {
        let middle = Nanos(hold.from.0 + hold.to.since(hold.from).0 / 2);
        if let Some(stack) = look.stack_at(hold.by, middle) {
            *stacks.entry(stack).or_default() += 1;
        }
    }
    let most = stacks.into_iter().max_by_key(|(stack, count)| (*count, std::cmp::Reverse(*stack)));
    (holds.iter().map(|hold| hold.to.since(hold.from)).collect(), most.map(|(stack, _)| stack))
}

/// Where those that made room were most of the time while somebody waited for it.
fn emptier(facts: &Facts<'_>, activity: &Activity<'_>, sums: &Sums) -> Option<StackId> {
    let mut stacks: BTreeMap<StackId, Nanos> = BTreeMap::new();
    // Many are like the others.
    let every = sums.waits.len() / MOST_LOOKED_AT + 1;
    for (_, id) in sums.waits.iter().step_by(every) {
        let Some(wait) = facts.correlated.waits.get(id.0 as usize) else { continue };
        let Some(by) = activity.by(*id) else { continue };
        for piece in activity.pieces_between(by, wait.off, wait.woken) {
            if let Some(stack) = piece.stack.filter(|stack| !activity.path(Some(*stack)).is_empty()) {
                let sum = stacks.entry(stack).or_default();
                *sum = sum.plus(piece.length());
            }
        }
    }
    largest(&stacks)
}

/// Of a wait inside a database: what the worker had asked, and what the session that let it go on was asked meanwhile.
fn statements(facts: &Facts<'_>, look: &Look, sums: &Sums) -> (Option<String>, Option<String>) {
    let trips = &facts.correlated.flows.round_trips;
    let database = |trip: &&crate::correlate::RoundTrip| trip.protocol.kind().is_store();
    let (mut asked, mut blocking): (BTreeMap<&str, Nanos>, BTreeMap<&str, Nanos>) = Default::default();
    // Many are like the others.
    let every = sums.waits.len() / MOST_LOOKED_AT + 1;
    for (worker, id) in sums.waits.iter().step_by(every) {
        let Some(wait) = facts.correlated.waits.get(id.0 as usize) else { continue };
        let first = trips.partition_point(|trip| trip.sent < wait.off.since(look.longest_trip));
        let until = trips.partition_point(|trip| trip.sent < wait.woken);
        let during = trips.get(first..until).unwrap_or_default().iter().filter(database);
        for trip in during {
            let Some(text) = trip.route.as_deref() else { continue };
            let overlap = trip.received.min(wait.woken).since(trip.sent.max(wait.off));
            let own = look.tasks.get(*worker).is_some_and(|tasks| tasks.contains(&trip.task));
            if own && overlap.0 > 0 {
                let sum = asked.entry(text).or_default();
                *sum = sum.plus(overlap);
            }
        }
    }
    let most = |of: &BTreeMap<&str, Nanos>| {
        of.iter().max_by_key(|(text, sum)| (**sum, std::cmp::Reverse(**text))).map(|(text, _)| (*text).to_owned())
    };
    let statement = most(&asked);
    // While one waits, who does not wait has the lock: what these are in, but for the statement that waits.
    for (_, id) in sums.waits.iter().step_by(every) {
        let Some(wait) = facts.correlated.waits.get(id.0 as usize) else { continue };
        let first = trips.partition_point(|trip| trip.sent < wait.off);
        let until = trips.partition_point(|trip| trip.sent < wait.woken);
        for trip in trips.get(first..until).unwrap_or_default().iter().filter(database) {
            let Some(text) = trip.route.as_deref().filter(|text| Some(*text) != statement.as_deref()) else { continue };
            if trip.task != wait.task && trip.received <= wait.woken {
                let sum = blocking.entry(text).or_default();
                *sum = sum.plus(trip.latency());
            }
        }
    }
    (statement, most(&blocking))
}

fn on_stack(facts: &Facts<'_>, stack: StackId, part: &str) -> bool {
    places(facts, stack).any(|place| place.function.contains(part))
}

/// Leaf first.
fn places<'f>(facts: &Facts<'f>, stack: StackId) -> impl Iterator<Item = &'f crate::resolve::Place> + use<'f> {
    let resolved = facts.resolved;
    let ids = resolved.stacks.get(stack.0 as usize).map_or(&[][..], |ids| &ids[..]);
    ids.iter().filter_map(move |id| resolved.places.get(id.0 as usize))
}

fn side(facts: &Facts<'_>, activity: &Activity<'_>, stack: StackId) -> Side {
    let mut names: Vec<String> = places(facts, stack)
        .filter(|place| place.language != Language::Kernel)
        .take(FRAMES)
        .map(|place| place.function.clone())
        .collect();
    names.reverse();
    match activity.path(Some(stack)).last() {
        Some(id) => {
            let (function, location) = activity.function(*id);
            Side { function: function.to_owned(), location, stack: names }
        }
        None => Side { function: names.last().cloned().unwrap_or_default(), location: None, stack: names },
    }
}

fn largest<K: Ord + Copy>(sums: &BTreeMap<K, Nanos>) -> Option<K> {
    sums.iter().max_by_key(|(key, sum)| (**sum, std::cmp::Reverse(**key))).map(|(key, _)| *key)
}

fn median(mut lengths: Vec<Nanos>) -> Option<Nanos> {
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied()
}
