//! A pool of anything: threads wait in a function while others, always equally many, are past the wait in the same function,
//! and one of these lets the next one in. Unlike a mutex it has several places; unlike a queue of work, who ends a wait is
//! one that had a place itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay::{self, Span},
        suspicions::{
            Facts,
            calls::Place,
            draft::suspicion,
            replayed,
            sketch::{self, Pattern},
            stacks::Stacks,
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::{Cause, Wait},
    map::Step,
    recording::{Nanos, TaskId},
};

const RULE: (&str, Category) = ("pool_exhaustion", Category::ConnectionManagement);
/// Shorter ones are the pool's own lock.
const LEAST: Nanos = Nanos(1_000_000);
const TIMES: usize = 10;
const WAITING_THREADS: usize = 3;
const PLACES: usize = 2;
/// In so many percent of the waits: all places are taken at some time, and one who had a place ends it.
const PCT: usize = 80;
/// A place is given back so soon before the next one is let in.
const SOON: Nanos = Nanos(20_000_000);

struct Used<'a> {
    step: &'a Step,
    waits: Vec<&'a Wait>,
    held: Vec<&'a Wait>,
}

pub(super) fn judge(facts: &Facts<'_>) -> Vec<Suspicion> {
    let stacks = Stacks::new(facts);
    let process = |task: TaskId| facts.recording.tasks.get(task.0 as usize).map(|task| task.process);
    let mut by_step: BTreeMap<&str, Used<'_>> = BTreeMap::new();
    for wait in facts.correlated.waits.iter().filter(|wait| wait.woken.since(wait.off) >= LEAST) {
        let Some(step) = wait.stack.and_then(|stack| stacks.step(stack)) else { continue };
        let none = || Used { step, waits: Vec::new(), held: Vec::new() };
        let of = by_step.entry(step.id.as_str()).or_insert_with(none);
        match wait.cause {
            Cause::Lock => of.waits.push(wait),
            // A channel's other end is in the same process.
            Cause::Pipe if wait.by.is_some_and(|by| process(by) == process(wait.task)) => of.waits.push(wait),
            Cause::Network | Cause::Database | Cause::Disk | Cause::Sleep | Cause::Child | Cause::Pipe => {
                of.held.push(wait)
            }
            Cause::Other => {}
        }
    }
    let found = by_step.into_values().filter_map(|used| {
        let mut one = pool(&used)?;
        let all = || used.waits.iter().chain(&used.held);
        let (from, to) = (all().map(|wait| wait.off).min()?, all().map(|wait| wait.woken).max()?);
        let tasks: BTreeSet<TaskId> = all().map(|wait| wait.task).collect();
        let then = replayed::shared_out(facts, &tasks, (from, to), tasks.len());
        let place = Place { step: Some(used.step), above: None };
        one.gain = then.filter(|_| place.is_waited_for()).map(|then| Gain {
            wall: to.since(from).since(then),
            basis: format!(
                "what {} threads do in {:.1} ms, with a place for each: {:.1} ms",
                tasks.len(),
                to.since(from).as_ms(),
                then.as_ms()
            ),
        });
        one.change = Some(sketch::change(Pattern::LargerPool, one.location.as_ref(), &used.step.function));
        Some(one)
    });
    found.collect()
}

fn pool(used: &Used<'_>) -> Option<Suspicion> {
    let waiting: BTreeSet<TaskId> = used.waits.iter().map(|wait| wait.task).collect();
    if used.waits.len() < TIMES || waiting.len() < WAITING_THREADS {
        return None;
    }
    let span = |wait: &&Wait| Span { from: wait.off, to: wait.woken, computed: Nanos::ZERO };
    let held: Vec<Span> = used.held.iter().map(span).collect();
    let places = replay::width(&held);
    if places < PLACES {
        return None;
    }
    let all_taken = |wait: &&&Wait| {
        let during: Vec<Span> =
            held.iter().filter(|span| span.from < wait.woken && span.to > wait.off).copied().collect();
        replay::width(&during) >= places
    };
    let by_one_of_them = |wait: &&&Wait| {
        wait.by.is_some_and(|by| {
            let own = used.held.iter().filter(|held| held.task == by);
            own.into_iter().any(|held| held.woken <= wait.woken && wait.woken.since(held.woken) <= SOON)
        })
    };
    let count = used.waits.len();
    let (taken, handed) =
        (used.waits.iter().filter(all_taken).count(), used.waits.iter().filter(by_one_of_them).count());
    if taken * 100 < count * PCT || handed * 100 < count * PCT {
        return None;
    }
    let spans: Vec<Span> = used.waits.iter().map(span).collect();
    let (waited, most) = (spans.iter().map(|span| span.length()).sum::<Nanos>(), replay::width(&spans));
    let name = used.step.function.clone();
    let percent = |part: usize| Value::Percent(part as f64 / count as f64 * 100.0);
    let evidence = vec![
        Evidence::new("places", Value::Count(places as u64)),
        Evidence::new("waits", Value::Count(count as u64)),
        Evidence::new("time in them, all threads", Value::Time(waited)),
        Evidence::new("most waiting at one time", Value::Count(most as u64)),
        Evidence::held_against("waits while all places were taken", percent(taken), Value::Percent(PCT as f64)),
        Evidence::held_against("waits ended by who had a place", percent(handed), Value::Percent(PCT as f64)),
    ];
    let note = format!("{count} waits of up to {most} threads, while {places} were past the wait, never more");
    let place = Place { step: Some(used.step), above: None };
    let description = format!("What {name} takes turns at has too few places for its users.");
    Some(suspicion(RULE, name, Some(&place), (Verdict::Confirmed, note), description, evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::fixture::{ms, step};

    fn wait(task: u32, (from, to): (u64, u64), cause: Cause, by: Option<u32>) -> Wait {
        Wait {
            task: TaskId(task),
            off: ms(from),
            woken: ms(to),
            on: ms(to),
            throttled: false,
            cause,
            by: by.map(TaskId),
            stack: None,
            multiplexed: false,
            socket: None,
            polls_one: false,
            futex: true,
            lock: None,
        }
    }

    /// `users` threads take turns at `places` places, each for 20 ms, twice over.
    fn turns(users: u32, places: u32, by_holder: bool) -> (Vec<Wait>, Vec<Wait>) {
        let (mut waits, mut held) = (Vec::new(), Vec::new());
        for turn in 0..users * 2 {
            let round = u64::from(turn / places);
            let task = turn % users;
            let before = turn.checked_sub(places).map(|turn| turn % users);
            if round > 0 {
                let began = if turn < users { 0 } else { u64::from((turn - users) / places + 1) * 20 };
                let by = if by_holder { before } else { Some(99) };
                waits.push(wait(task, (began, round * 20), Cause::Lock, by));
            }
            held.push(wait(task, (round * 20, round * 20 + 20), Cause::Sleep, None));
        }
        (waits, held)
    }

    fn places(waits: &[Wait], held: &[Wait]) -> Option<Value> {
        let step = step("1", "use", 400, 400);
        let used = Used { step: &step, waits: waits.iter().collect(), held: held.iter().collect() };
        pool(&used).map(|one| one.evidence[0].value.clone())
    }

    #[test]
    fn a_pool_is_told_from_a_mutex_and_from_a_queue_of_work() {
        let (waits, held) = turns(12, 4, true);
        assert_eq!(places(&waits, &held), Some(Value::Count(4)));
        let (waits, held) = turns(12, 1, true);
        assert_eq!(places(&waits, &held), None, "a mutex");
        let (waits, held) = turns(12, 4, false);
        assert_eq!(places(&waits, &held), None, "somebody else hands out the work");
        let (waits, held) = turns(4, 4, true);
        assert_eq!(places(&waits, &held), None, "enough places");
    }
}
