//! Calls → stretches: two calls are of one stretch unless the program left the function in between that both were made for.
//! A test runner, a queue's worker, a scheduler of jobs calls the same function again and again: what takes several of these
//! calls to be a pattern is no loop of anybody's.
//!
//! Told from where a thread was seen to wait or to ask between the two: under the same callers, but not in the function. A
//! coroutine is not on its thread's stack while it waits, so nothing is told of what runs on an event loop.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Facts,
    stacks::{Stacks, runs_loop},
};
use crate::{
    correlate::RoundTrip,
    map::Step,
    recording::{Nanos, ProcessId, StackId, TaskId},
    resolve::Place,
};

/// Something that a thread did at a place.
#[derive(Debug, Clone, Copy)]
struct Seen {
    from: Nanos,
    to: Nanos,
    stack: StackId,
}

/// The project's function that a library, or nobody, called first on a stack; how deep in the step's path, and the stack.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    depth: usize,
    step: &'a Step,
    at: usize,
    stack: StackId,
}

struct Last<'a> {
    entry: Entry<'a>,
    received: Nanos,
    stretch: usize,
}

/// Most of the calls that were made in one stretch.
pub(crate) fn most_in_one(facts: &Facts<'_>, calls: &[&RoundTrip], step: Option<&Step>) -> usize {
    let calls: Vec<_> = calls.iter().map(|call| (*call, step)).collect();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for stretch in stretches(facts, &calls) {
        *counts.entry(stretch).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

pub(crate) fn note(most: usize, count: usize) -> String {
    format!("no more than {most} of the {count} in one call of the function that they were made for")
}

/// By call, which come by the time they were sent: a number for each stretch. Calls of which nothing is told are all of one.
pub(crate) fn stretches(facts: &Facts<'_>, calls: &[(&RoundTrip, Option<&Step>)]) -> Vec<usize> {
    let stacks = Stacks::new(facts);
    let seen = seen(facts, calls);
    let mut open: BTreeMap<(TaskId, &str), Last<'_>> = BTreeMap::new();
    let mut found = Vec::with_capacity(calls.len());
    let mut next = 1;
    for (call, step) in calls {
        let Some((host, entry)) = step.and_then(|step| host(facts, &stacks, &seen, call, step)) else {
            found.push(0);
            continue;
        };
        let key = (host, entry.step.function.as_str());
        let goes_on = open.get(&key).filter(|last| {
            let of_host = seen.get(&host).map_or(&[][..], Vec::as_slice);
            let after = of_host.partition_point(|seen| seen.from < last.received);
            let between = of_host[after..].iter().take_while(|seen| seen.from < call.sent);
            !between.into_iter().any(|seen| is_outside(&stacks, &last.entry, seen.stack))
        });
        let stretch = goes_on.map_or(next, |last| last.stretch);
        next = next.max(stretch + 1);
        open.insert(key, Last { entry, received: call.received, stretch });
        found.push(stretch);
    }
    found
}

/// What the threads of the calling processes did, by its beginning.
fn seen(facts: &Facts<'_>, calls: &[(&RoundTrip, Option<&Step>)]) -> BTreeMap<TaskId, Vec<Seen>> {
    let process = |task: TaskId| facts.recording.tasks.get(task.0 as usize).map(|task| task.process);
    let own: BTreeSet<ProcessId> = calls.iter().filter_map(|(call, _)| process(call.task)).collect();
    let is_own = |task: TaskId| process(task).is_some_and(|process| own.contains(&process));
    let mut seen: BTreeMap<TaskId, Vec<Seen>> = BTreeMap::new();
    let waits = facts.correlated.waits.iter().filter_map(|wait| Some((wait.task, wait.off, wait.woken, wait.stack?)));
    let trips = facts.correlated.flows.round_trips.iter().filter(|trip| !trip.inbound);
    let trips = trips.filter_map(|trip| Some((trip.task, trip.sent, trip.received, trip.stack?)));
    for (task, from, to, stack) in waits.chain(trips).filter(|(task, ..)| is_own(*task)) {
        seen.entry(task).or_default().push(Seen { from, to, stack });
    }
    seen.values_mut().for_each(|of_task| of_task.sort_unstable_by_key(|seen| (seen.from, seen.to)));
    seen
}

/// The thread that had entered the outermost function of the step's path when the call was made: the caller's own, or one
/// that waits for it.
fn host<'a>(
    facts: &Facts<'a>,
    stacks: &Stacks<'a>,
    seen: &BTreeMap<TaskId, Vec<Seen>>,
    call: &RoundTrip,
    step: &Step,
) -> Option<(TaskId, Entry<'a>)> {
    let path = path(facts, step);
    let of = |task: TaskId, stack: StackId| Some((task, entry(stacks, &path, stack)?));
    let own = call.stack.and_then(|stack| of(call.task, stack));
    let waiting = seen.iter().filter_map(|(task, of_task)| {
        let before = of_task.partition_point(|seen| seen.from <= call.sent);
        let during = of_task[..before].iter().rev().take(2).find(|seen| seen.to >= call.received)?;
        of(*task, during.stack)
    });
    own.into_iter().chain(waiting).min_by_key(|(_, entry)| entry.depth)
}

/// Steps from the root to this one.
fn path<'a>(facts: &Facts<'a>, step: &Step) -> Vec<&'a Step> {
    let mut path = Vec::new();
    let mut below: &'a [Step] = &facts.map.steps;
    while let Some(next) = below.iter().find(|one| one.id == step.id || step.id.starts_with(&format!("{}.", one.id))) {
        path.push(next);
        below = &next.children;
    }
    path
}

/// A module that a library's function lies below only loads or starts what calls the program's functions.
fn entry<'a>(stacks: &Stacks<'a>, path: &[&'a Step], stack: StackId) -> Option<Entry<'a>> {
    let places: Vec<_> = stacks.steps_on(stack).collect();
    let outermost = places.iter().rposition(|(_, _, step)| step.is_some())?;
    let is_module = places[outermost].1.function.ends_with("<module>");
    let dispatches = outermost > 0 && places[outermost - 1].2.is_none();
    let inner = places[..outermost].iter().rposition(|(_, _, step)| step.is_some());
    let at = inner.filter(|_| is_module && dispatches).unwrap_or(outermost);
    if places[at..].iter().any(|(_, place, _)| runs_loop(place)) {
        return None;
    }
    let step = places[at].2?;
    let same = |one: &&Step| one.function == step.function && one.location == step.location;
    Some(Entry { depth: path.iter().position(same)?, step, at, stack })
}

/// Below the callers of the entry, as far as frames of the same language show them, but not in its function.
fn is_outside(stacks: &Stacks<'_>, entry: &Entry<'_>, stack: StackId) -> bool {
    let mut of_entry = stacks.places(entry.stack).skip(entry.at).map(|(_, place)| place);
    let Some(own) = of_entry.next() else { return false };
    let callers: Vec<&Place> = of_entry.filter(|place| place.language == own.language).collect();
    let same = |a: &Place, b: &Place| a.function == b.function && a.file == b.file;
    let inside = stacks.places(stack).any(|(_, place)| same(place, own));
    !inside && stacks.places(stack).any(|(_, place)| callers.iter().any(|caller| same(caller, place)))
}

#[cfg(test)]
mod tests {
    use super::super::{
        Verdict::{Confirmed, Dismissed},
        told::{Run, run},
    };
    use crate::{
        correlate::Cause,
        recording::{ProcessId, StackId, Task, TaskId},
    };

    const ITEM: &str = "SELECT * FROM item WHERE id = ?";

    /// A runner of tests calls `load` eight times; each call asks once.
    fn runner(of: &mut Run) -> StackId {
        let inside = of.stack(&[("psycopg.wait", 1), ("load", 9), ("pytest.call", 3), ("pytest.main", 1)]);
        let socket = of.connection(0, 100);
        for n in 0..8 {
            of.query(socket, n * 100, n * 100 + 10, ITEM).stack = Some(inside);
        }
        inside
    }

    #[test]
    fn a_test_that_runs_eight_times_is_no_loop() {
        let mut of = run();
        runner(&mut of);
        let fixture = of.stack(&[("psycopg.wait", 1), ("pytest.fixture", 5), ("pytest.main", 1)]);
        (0..8).for_each(|n| of.wait(n * 100 + 50, n * 100 + 60, Cause::Database, fixture));
        let found = of.judged("n_plus_one_queries");
        assert_eq!(found[0].verdict, Dismissed);
        assert!(found[0].note.starts_with("no more than 1 of the 8"), "{}", found[0].note);
    }

    #[test]
    fn a_loop_stays_in_its_function() {
        let mut of = run();
        let inside = runner(&mut of);
        (0..8).for_each(|n| of.wait(n * 100 + 50, n * 100 + 60, Cause::Lock, inside));
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Confirmed));
        let foreign = of.stack(&[("gc.collect", 1), ("thread.run", 2)]);
        (0..8).for_each(|n| of.wait(n * 100 + 70, n * 100 + 80, Cause::Lock, foreign));
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Confirmed), "what has other callers tells nothing");
    }

    #[test]
    fn of_one_call_and_the_next_the_longer_one_counts() {
        let mut of = run();
        runner(&mut of);
        let fixture = of.stack(&[("psycopg.wait", 1), ("pytest.fixture", 5), ("pytest.main", 1)]);
        of.wait(250, 260, Cause::Lock, fixture);
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Confirmed), "five are behind the fixture");
        of.wait(450, 460, Cause::Lock, fixture);
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Dismissed), "and now three at most");
    }

    /// The test waits for another thread, which asks: where the test's own thread was is what counts.
    #[test]
    fn the_thread_that_waits_for_the_caller() {
        let mut of = run();
        of.recording.tasks.push(Task { tid: 9, process: ProcessId(0), ..of.recording.tasks[0].clone() });
        let worker = of.stack(&[("psycopg.wait", 1), ("fetch", 20), ("thread.run", 1)]);
        let waits = of.stack(&[("queue.get", 1), ("load", 9), ("pytest.call", 3), ("pytest.main", 1)]);
        let idle = of.stack(&[("queue.get", 1), ("thread.run", 1)]);
        let socket = of.connection(0, 100);
        for n in 0..8 {
            let trip = of.query(socket, n * 100 + 5, n * 100 + 15, ITEM);
            (trip.stack, trip.task) = (Some(worker), TaskId(2));
            of.moves_to("1.1", "fetch");
            of.wait(n * 100, n * 100 + 20, Cause::Lock, waits);
            of.wait(n * 100 + 30, n * 100 + 90, Cause::Lock, idle);
            of.correlated.waits.last_mut().unwrap().task = TaskId(2);
        }
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Confirmed), "the worker is idle, but load was never left");
        let fixture = of.stack(&[("psycopg.wait", 1), ("pytest.fixture", 5), ("pytest.main", 1)]);
        (0..8).for_each(|n| of.wait(n * 100 + 50, n * 100 + 60, Cause::Lock, fixture));
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Dismissed));
    }

    #[test]
    fn nothing_is_told_of_event_loops() {
        let mut of = run();
        let inside = of.stack(&[("sock.send", 1), ("load", 9), ("asyncio._run_once", 3), ("pytest.main", 1)]);
        let outside = of.stack(&[("sock.send", 1), ("asyncio._run_once", 3), ("pytest.main", 1)]);
        let socket = of.connection(0, 100);
        for n in 0..8 {
            of.query(socket, n * 100, n * 100 + 10, ITEM).stack = Some(inside);
            of.wait(n * 100 + 50, n * 100 + 60, Cause::Lock, outside);
        }
        assert_eq!(of.verdict("n_plus_one_queries"), Some(Confirmed));
    }

    #[test]
    fn one_input_at_several_tests_is_no_repeated_work() {
        let mut of = run();
        let socket = of.connection(0, 100);
        let stacks = ["total", "taxes"].map(|test| {
            of.stack(&[("psycopg.wait", 1), ("fetch", 20), (test, 9), ("pytest.call", 3), ("pytest.main", 1)])
        });
        for n in 0..8 {
            let trip = of.query(socket, n * 100, n * 100 + 10, ITEM);
            (trip.stack, trip.repeat, trip.answered.tokens) = (Some(stacks[n as usize % 2]), Some(9), vec![1]);
            of.moves_to(if n % 2 == 0 { "2.1" } else { "3.1" }, "fetch");
        }
        for (index, test) in [(1, "total"), (2, "taxes")] {
            of.map.steps[index].function = test.into();
        }
        assert_eq!(of.verdict("repeated_computation"), Some(Dismissed));
        let within = ["total", "taxes"].map(|test| of.stack(&[("fetch", 20), (test, 9), ("load", 3)]));
        for (n, trip) in of.correlated.flows.round_trips.iter_mut().enumerate() {
            trip.stack = Some(within[n % 2]);
        }
        assert_eq!(of.verdict("repeated_computation"), Some(Confirmed));
    }
}
