//! Threads that wait inside a pool's acquire while as many calls are under way as ever are: the pool is too small. Where
//! its size is one that libraries choose by themselves, it is a default that nobody changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay::{self, Span},
        suspicions::{
            Answer, Facts,
            calls::{self, Place},
            draft::suspicion,
            replayed,
            sketch::{self, Pattern},
            stacks::Stacks,
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::{Cause, RoundTrip},
    map::Step,
    recording::{Nanos, ProcessId, StackId, TaskId},
};

const POOL: (&str, Category) = ("pool_exhaustion", Category::ConnectionManagement);
const LIMIT: (&str, Category) = ("default_limit_reached", Category::Configuration);
const TIMES: usize = 3;
/// Shorter ones are the pool's own lock.
const LEAST: Nanos = Nanos(1_000_000);
/// In so many percent of the waits all places are taken at some time.
const TAKEN_PCT: usize = 80;
/// Sizes that pools and clients have unless told otherwise: SQLAlchemy 5, HikariCP, node-postgres and asyncpg 10,
/// SQLAlchemy with its overflow 15, requests' adapters 10, aiohttp and httpx 100.
const DEFAULTS: [usize; 4] = [5, 10, 15, 100];
/// What takes a connection from a pool is called.
const ACQUIRES: [&str; 10] = [
    "acquire",
    "_acquire",
    "getconn",
    "_getconn",
    "get_connection",
    "_get_conn",
    "_do_get",
    "checkout",
    "getConnection",
    "borrowObject",
];

struct Waiting<'a> {
    step: &'a Step,
    spans: Vec<Span>,
    tasks: BTreeSet<TaskId>,
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut all: Vec<Suspicion> = found(facts).into_iter().map(|(one, _)| one).collect();
    for one in super::pool_places::judge(facts) {
        if !all.iter().any(|known| known.affected_steps == one.affected_steps) {
            all.push(one);
        }
    }
    answer(all)
}

pub(crate) fn default_limit(facts: &Facts<'_>) -> Answer {
    let of = |(pool, limit): (Suspicion, usize)| {
        let default = pool.verdict == Verdict::Confirmed && DEFAULTS.contains(&limit);
        default.then(|| {
            let mut evidence = pool.evidence.clone();
            evidence.push(Evidence::new("a default of pools", Value::Count(limit as u64)));
            Suspicion {
                id: LIMIT.0,
                category: LIMIT.1,
                description: format!("The pool for {} has {limit} places, as pools have by default.", pool.subject),
                note: format!("never more than {limit} calls at one time; {}", pool.note),
                evidence,
                ..pool
            }
        })
    };
    answer(found(facts).into_iter().filter_map(of).collect())
}

fn answer(found: Vec<Suspicion>) -> Answer {
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn found(facts: &Facts<'_>) -> Vec<(Suspicion, usize)> {
    let stacks = Stacks::new(facts);
    let mut waiting: BTreeMap<(ProcessId, &str), Waiting<'_>> = BTreeMap::new();
    let all = facts.correlated.waits.iter();
    // A channel is a pipe between goroutines.
    for wait in all.filter(|wait| matches!(wait.cause, Cause::Lock | Cause::Sleep | Cause::Pipe | Cause::Other)) {
        let (Some(stack), Some(task)) = (wait.stack, facts.recording.tasks.get(wait.task.0 as usize)) else { continue };
        if wait.woken.since(wait.off) < LEAST || !in_acquire(&stacks, stack) {
            continue;
        }
        let Some(step) = stacks.step(stack) else { continue };
        let of = waiting.entry((task.process, step.id.as_str())).or_insert_with(|| Waiting {
            step,
            spans: Vec::new(),
            tasks: BTreeSet::new(),
        });
        of.tasks.insert(wait.task);
        of.spans.push(Span { from: wait.off, to: wait.woken, computed: Nanos::ZERO });
    }
    let enough = waiting.into_iter().filter(|(_, of)| of.spans.len() >= TIMES);
    enough.filter_map(|((process, _), of)| of_step(facts, process, &of)).collect()
}

/// A function with such a name, in something that is called a pool.
pub(super) fn in_acquire(stacks: &Stacks<'_>, stack: StackId) -> bool {
    stacks.places(stack).any(|(_, place)| {
        let name = place.function.rsplit(['.', ':']).next().unwrap_or_default();
        let file = place.file.as_deref().unwrap_or_default();
        ACQUIRES.contains(&name)
            && [place.function.as_str(), file].iter().any(|of| of.to_ascii_lowercase().contains("pool"))
    })
}

fn of_step(facts: &Facts<'_>, process: ProcessId, waiting: &Waiting<'_>) -> Option<(Suspicion, usize)> {
    let of_process = |task: crate::recording::TaskId| {
        facts.recording.tasks.get(task.0 as usize).is_some_and(|task| task.process == process)
    };
    // The peer with most time in calls while somebody waited.
    let (from, to) =
        (waiting.spans.iter().map(|span| span.from).min()?, waiting.spans.iter().map(|span| span.to).max()?);
    let mut by_peer: BTreeMap<usize, Vec<&RoundTrip>> = BTreeMap::new();
    for trip in facts.correlated.flows.round_trips.iter().filter(|trip| !trip.inbound && of_process(trip.task)) {
        if let Some(peer) = trip.peer
            && trip.received > from
            && trip.sent < to
        {
            by_peer.entry(peer).or_default().push(trip);
        }
    }
    let time = |trips: &Vec<&RoundTrip>| trips.iter().map(|trip| trip.latency()).sum::<Nanos>();
    let (peer, trips) = by_peer.into_iter().max_by_key(|(_, trips)| time(trips))?;
    let spans = calls::spans(facts, &trips);
    let limit = replay::width(&spans);
    // At its beginning or later: between two calls on one connection there are moments without any.
    let all_taken = |wait: &&Span| {
        let during: Vec<Span> =
            spans.iter().filter(|span| span.from < wait.to && span.to > wait.from).copied().collect();
        replay::width(&during) >= limit
    };
    let taken = waiting.spans.iter().filter(all_taken).count();
    let confirmed = taken * 100 >= waiting.spans.len() * TAKEN_PCT;
    let name = calls::peer_name(facts, Some(peer));
    let waited: Nanos = waiting.spans.iter().map(|span| span.length()).sum();
    let most_waiting = replay::width(&waiting.spans);
    let evidence = vec![
        Evidence::held_against(
            "waits in the pool",
            Value::Count(waiting.spans.len() as u64),
            Value::Count(TIMES as u64),
        ),
        Evidence::new("time in them, all threads", Value::Time(waited)),
        Evidence::new("most calls at one time", Value::Count(limit as u64)),
        Evidence::held_against(
            "waits while all places were taken",
            Value::Percent(taken as f64 / waiting.spans.len() as f64 * 100.0),
            Value::Percent(TAKEN_PCT as f64),
        ),
        Evidence::new("most waiting at one time", Value::Count(most_waiting as u64)),
    ];
    let note = format!(
        "{} waits, {taken} of them while {limit} calls to {name} were under way, never more",
        waiting.spans.len()
    );
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let place = Place { step: Some(waiting.step), above: None };
    let description = format!("The pool of connections to {name} is too small for its users.");
    let mut one = suspicion(POOL, name, Some(&place), (verdict, note), description, evidence);
    if confirmed {
        let users = limit + most_waiting;
        let began = trips.iter().map(|trip| trip.sent).min()?.min(from);
        let ended = trips.iter().map(|trip| trip.received).max()?.max(to);
        let tasks = trips.iter().map(|trip| trip.task).chain(waiting.tasks.iter().copied()).collect();
        let then = replayed::shared_out(facts, &tasks, (began, ended), users);
        let now = ended.since(began);
        one.gain = then.filter(|_| place.is_waited_for()).map(|then| Gain {
            wall: now.since(then),
            basis: format!(
                "what its users do in {:.1} ms without the waits in the pool, {users} at a time instead of {limit}: {:.1} ms",
                now.as_ms(),
                then.as_ms()
            ),
        });
        one.change = Some(sketch::change(Pattern::LargerPool, one.location.as_ref(), &waiting.step.function));
    }
    Some((one, limit))
}
