//! A thread that runs an event loop blocks, or computes for long, in what the loop runs; and somebody waited for his
//! turn meanwhile: another coroutine, or a request that was under way. The loop's own poll is where it should wait.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        replay::{self, Span},
        suspicions::{
            Answer, Facts,
            calls::Place,
            draft::{PATTERN, suspicion},
            sketch::{self, Pattern},
            stacks::Stacks,
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::{Cause, State, Timeline},
    map::Step,
    recording::{Event, Nanos, TaskId},
};

const RULE: (&str, Category) = ("sync_io_in_async", Category::AsyncPatterns);
/// A turn, or the blocks of one function together, that others feel.
const LONG: Nanos = Nanos(50_000_000);
/// Shorter blocks are the price of a file or a log.
const LEAST: Nanos = Nanos(2_000_000);
/// What `asyncio.to_thread` and libuv have at least.
const THREADS: usize = 4;

#[derive(Default)]
struct OfStep<'a> {
    step: Option<&'a Step>,
    /// Somebody waited for the loop, once at least.
    crowded: bool,
    blocks: Vec<Span>,
    turns: Vec<Span>,
    by_cause: BTreeMap<&'static str, Nanos>,
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let stacks = Stacks::new(facts);
    let crowds = Crowds::new(facts);
    let mut found: BTreeMap<&str, OfStep<'_>> = BTreeMap::new();
    for wait in facts.correlated.waits.iter().filter(|wait| wait.woken.since(wait.off) >= LEAST) {
        let Some(stack) = wait.stack else { continue };
        let (step, cause) = if stacks.is_in_epoll(stack) {
            (stacks.step_of_inner_loop(stack), Some(named(wait.cause).unwrap_or("an event loop of its own")))
        } else {
            (stacks.step_in_loop(stack), named(wait.cause))
        };
        let (Some(step), Some(cause)) = (step, cause) else { continue };
        let span = Span { from: wait.off, to: wait.woken, computed: Nanos::ZERO };
        let of = found.entry(step.id.as_str()).or_default();
        of.step = Some(step);
        of.crowded |= crowds.others(facts, wait.task, span);
        of.blocks.push(span);
        let sum = of.by_cause.entry(cause).or_default();
        *sum = sum.plus(span.length());
    }
    for (task, span, step) in long_turns(facts, &stacks) {
        if crowds.others(facts, task, span) {
            let of = found.entry(step.id.as_str()).or_default();
            of.step = Some(step);
            of.crowded = true;
            of.turns.push(span);
        }
    }
    let found: Vec<Suspicion> = found.into_values().filter_map(|of| of.judged(facts, &crowds)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn named(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Network => Some("network"),
        Cause::Database => Some("database"),
        Cause::Disk => Some("disk"),
        Cause::Sleep => Some("sleep"),
        Cause::Child => Some("child process"),
        Cause::Pipe => Some("pipe"),
        // The interpreter's lock is taken by every thread; a short lock is no I/O.
        Cause::Lock | Cause::Other => None,
    }
}

impl OfStep<'_> {
    fn judged(self, facts: &Facts<'_>, crowds: &Crowds) -> Option<Suspicion> {
        let OfStep { step, crowded, blocks, turns, by_cause } = self;
        let step = step.filter(|_| crowded)?;
        let blocked = replay::covered(&blocks);
        let longest = turns.iter().map(|turn| turn.length()).max().unwrap_or_default();
        let confirmed = blocked >= LONG || longest >= LONG;
        if !confirmed && blocks.len() < PATTERN {
            return None;
        }
        let mut evidence = vec![
            Evidence::held_against("time blocked on the loop's thread", Value::Time(blocked), Value::Time(LONG)),
            Evidence::new("blocks", Value::Count(blocks.len() as u64)),
            Evidence::held_against("longest turn spent computing", Value::Time(longest), Value::Time(LONG)),
        ];
        evidence.extend(by_cause.iter().map(|(cause, time)| Evidence::new(cause, Value::Time(*time))));
        let note = format!(
            "{} blocks, {:.1} ms together, and {} turns of more than {:.0} ms, while others waited for the loop",
            blocks.len(),
            blocked.as_ms(),
            turns.len(),
            LONG.as_ms()
        );
        let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
        let place = Place { step: Some(step), above: None };
        let description = format!("{} blocks the thread of an event loop.", step.function);
        let mut found = suspicion(RULE, step.function.clone(), Some(&place), (verdict, note), description, evidence);
        if confirmed {
            // Off the loop, blocks overlap as far as there is somebody to go on; computing is moved, not saved.
            let wide = crowds.most.min((facts.recording.meta.cpus as usize).saturating_add(THREADS)).max(1);
            let then = replay::overlapped(&blocks, wide);
            found.gain = place.is_waited_for().then(|| Gain {
                wall: replay::saved(&blocks, then),
                basis: format!(
                    "blocks of {:.1} ms on threads, {wide} at a time: {:.1} ms",
                    blocked.as_ms(),
                    then.as_ms()
                ),
            });
            found.change = Some(sketch::change(Pattern::OffTheLoop, found.location.as_ref(), &step.function));
        }
        Some(found)
    }
}

/// Stretches of a thread's time from one of its loop's polls to the next in which it computed for long, with the step
/// that was sampled most in them.
fn long_turns<'a>(facts: &Facts<'a>, stacks: &Stacks<'a>) -> Vec<(TaskId, Span, &'a Step)> {
    let mut samples: BTreeMap<TaskId, Vec<(Nanos, &Step)>> = BTreeMap::new();
    for event in &facts.recording.events {
        if let Event::Sample(sample) = event
            && let Some(step) = stacks.step_in_loop(sample.stack)
        {
            samples.entry(sample.task).or_default().push((sample.at, step));
        }
    }
    let mut found = Vec::new();
    for (task, samples) in samples {
        let Some(timeline) = facts.correlated.timelines.get(task.0 as usize) else { continue };
        for turn in computing(timeline).into_iter().filter(|turn| turn.cpu >= LONG) {
            let from = samples.partition_point(|(at, _)| *at < turn.from);
            let inside: Vec<&Step> =
                samples[from..].iter().take_while(|(at, _)| *at < turn.to).map(|(_, step)| *step).collect();
            let mut counts: BTreeMap<&str, (usize, &Step)> = BTreeMap::new();
            for step in &inside {
                counts.entry(step.id.as_str()).or_insert((0, *step)).0 += 1;
            }
            // Two samples at least: one may be the only one of many short turns.
            if let Some((count, step)) = counts.into_values().max_by_key(|(count, _)| *count)
                && count >= 2
            {
                let span = Span { from: turn.from, to: turn.to, computed: Nanos::ZERO };
                found.push((task, span, step));
            }
        }
    }
    found
}

/// From one block of a thread to the next.
struct Computing {
    from: Nanos,
    to: Nanos,
    cpu: Nanos,
}

/// Who loses the CPU to another program is in the same turn when he has it again.
fn computing(timeline: &Timeline) -> Vec<Computing> {
    let mut found: Vec<Computing> = Vec::new();
    let mut goes_on = false;
    for segment in &timeline.0 {
        match segment.state {
            State::Cpu { .. } => {
                let cpu = segment.to.since(segment.from);
                match found.last_mut().filter(|_| goes_on) {
                    Some(turn) => (turn.to, turn.cpu) = (segment.to, turn.cpu.plus(cpu)),
                    None => found.push(Computing { from: segment.from, to: segment.to, cpu }),
                }
                goes_on = true;
            }
            State::RunQueue(_) => {}
            State::Blocked(_) => goes_on = false,
        }
    }
    found
}

/// Who else there is on a loop.
struct Crowds {
    /// Threads of loops with the lives of their coroutines: first and last turn.
    coroutines: BTreeMap<TaskId, Vec<(Nanos, Nanos)>>,
    most: usize,
}

impl Crowds {
    fn new(facts: &Facts<'_>) -> Crowds {
        let mut lives: BTreeMap<(TaskId, u64), (Nanos, Nanos)> = BTreeMap::new();
        for turn in &facts.recording.turns {
            let life = lives.entry((turn.task, turn.coroutine.0)).or_insert((turn.at, turn.at));
            life.1 = life.1.max(turn.at);
        }
        let mut coroutines: BTreeMap<TaskId, Vec<(Nanos, Nanos)>> = BTreeMap::new();
        for ((task, _), life) in lives {
            coroutines.entry(task).or_default().push(life);
        }
        let widths = coroutines.values().map(|lives| {
            let spans: Vec<Span> =
                lives.iter().map(|(from, to)| Span { from: *from, to: *to, computed: Nanos::ZERO }).collect();
            replay::width(&spans)
        });
        let most = widths.chain([THREADS]).max().unwrap_or(THREADS);
        Crowds { coroutines, most }
    }

    /// Two coroutines of the thread were alive, or another request of its process was under way, all the while.
    fn others(&self, facts: &Facts<'_>, task: TaskId, span: Span) -> bool {
        let lives = self.coroutines.get(&task).map_or(&[][..], Vec::as_slice);
        if lives.iter().filter(|(from, to)| *from <= span.to && *to >= span.from).count() > 1 {
            return true;
        }
        let process = |task: TaskId| facts.recording.tasks.get(task.0 as usize).map(|task| task.process);
        let own = process(task);
        let trips = &facts.correlated.flows.round_trips;
        let until = trips.partition_point(|trip| trip.sent < span.to);
        let under_way = trips[..until].iter().rev().take(256).filter(|trip| {
            let server = trip.server_socket.and_then(|socket| facts.recording.sockets.get(socket.0 as usize));
            let involved = process(trip.task) == own || server.map(|socket| socket.process) == own;
            involved && trip.received >= span.to
        });
        under_way.map(|trip| trip.socket).collect::<BTreeSet<_>>().len() > 1
    }
}
