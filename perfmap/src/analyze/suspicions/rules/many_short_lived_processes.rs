//! Fifty processes and more whose starting and ending costs over a tenth of the wall time. The cost of one: from its fork to
//! its execve, and the CPU time that was sampled in what every process goes through: the kernel's fork, execve and exit, the
//! dynamic loader, the start and end of an interpreter. What it does in between is its work. How long they computed is known
//! exactly, the samples say what part of that was starting: of two hundred processes that live for a millisecond each, twenty
//! are sampled. Where several run at one time, the CPU time counts as much less. Waits for a CPU belong to the machine: they are
//! in neither side of the share.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Answer, Category, Evidence, Facts, Gain, Value, Verdict,
    calls::{self, Place},
    stacks::Stacks,
};
use crate::{
    analyze::{
        hot, share_pct,
        suspicions::{
            draft::suspicion,
            sketch_resources::{self, Pattern},
        },
    },
    correlate::{Cause, State},
    map::Step,
    recording::{Event, Nanos, ProcessId, Recording},
    resolve::{self, Language},
};

const RULE: (&str, Category) = ("many_short_lived_processes", Category::Environment);
const PROCESSES: usize = 50;
/// One that lives longer does something.
const SHORT: Nanos = Nanos(1_000_000_000);
const SHARE_PCT: f64 = 10.0;

/// Functions of the kernel on whose behalf a process comes to be or goes.
const KERNEL: [&str; 12] = [
    "kernel_clone",
    "copy_process",
    "ret_from_fork",
    "schedule_tail",
    "bprm_execve",
    "do_execveat_common",
    "do_execve",
    "load_elf_binary",
    "do_exit",
    "do_group_exit",
    "exit_mmap",
    "release_task",
];
/// Of runtimes: before and after what they were started for.
const RUNTIMES: [&str; 9] = [
    "Py_InitializeFromConfig",
    "Py_FinalizeEx",
    "_Py_Finalize",
    "pymain_init",
    "JNI_CreateJavaVM",
    "InitializeOncePerProcess",
    "ruby_setup",
    "_dl_start_user",
    "_dl_fini",
];

struct Cost {
    processes: usize,
    /// From fork to execve: of all together, at one time once.
    until_execve: Nanos,
    sampled: Nanos,
    /// How many of them ran at one time, mean.
    together: f64,
}

impl Cost {
    fn wall(&self) -> Nanos {
        self.until_execve.plus(Nanos((self.sampled.0 as f64 / self.together.max(1.0)) as u64))
    }
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let recording = facts.recording;
    let short = short_lived(recording);
    if short.len() < PROCESSES {
        return Answer::Quiet;
    }
    let cost = cost(facts, &short);
    let (wall, pct) =
        (cost.wall().min(facts.map.wall), share_pct(cost.wall(), hot::without_queues(facts.map)).min(100.0));
    let confirmed = pct > SHARE_PCT;
    let evidence = vec![
        Evidence::held_against(
            "processes that lived for less than a second",
            Value::Count(cost.processes as u64),
            Value::Count(PROCESSES as u64),
        ),
        Evidence::held_against(
            "their start and end, share of the wall time without waits for a CPU",
            Value::Percent(pct),
            Value::Percent(SHARE_PCT),
        ),
        Evidence::new("from fork to execve", Value::Time(cost.until_execve)),
        Evidence::new("starting and ending, as sampled of their CPU time", Value::Time(cost.sampled)),
        Evidence::new("at one time, mean", Value::Ratio(cost.together)),
    ];
    let step = starter(facts);
    let place = step.map(|step| Place { step: Some(step), above: None });
    let function = step.map_or(calls::OUTSIDE, |step| step.function.as_str());
    let each = wall.as_ms() / cost.processes as f64;
    let note = format!("{} processes, {each:.2} ms each", cost.processes);
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let description = format!("{function} starts a process for each small piece of work.");
    let mut found = suspicion(RULE, function.to_owned(), place.as_ref(), (verdict, note), description, evidence);
    if confirmed {
        let saved = Nanos(wall.0 - wall.0 / cost.processes as u64);
        found.gain = place.is_none_or(|place| place.is_waited_for()).then(|| Gain {
            wall: saved,
            basis: format!("{} starts and ends took {:.1} ms, one would do", cost.processes, wall.as_ms()),
        });
        let mut change = sketch_resources::change(Pattern::OneProcess, found.location.as_ref(), function);
        change.ungained = change.ungained.filter(|_| found.gain.is_none());
        found.change = Some(change);
    }
    Answer::Found(vec![found])
}

fn short_lived(recording: &Recording) -> BTreeSet<ProcessId> {
    let is_short = |(index, process): (usize, &crate::recording::Process)| {
        let id = ProcessId(index as u32);
        let short = process.parent.is_some() && !recording.is_outside(id) && process.died?.since(process.born) < SHORT;
        short.then_some(id)
    };
    recording.processes.iter().enumerate().filter_map(is_short).collect()
}

fn cost(facts: &Facts<'_>, short: &BTreeSet<ProcessId>) -> Cost {
    let recording = facts.recording;
    let (mut starts, mut lives) = (Vec::new(), Vec::new());
    let mut sum_of_lives = Nanos::ZERO;
    let mut first: BTreeMap<ProcessId, usize> = BTreeMap::new();
    for (index, task) in recording.tasks.iter().enumerate() {
        first.entry(task.process).or_insert(index);
    }
    for id in short {
        let process = recording.process(*id);
        let died = process.died.unwrap_or(process.born);
        if let Some(image) = process.images.iter().find(|image| image.at > process.born) {
            until_execve(facts, first.get(id).copied(), (process.born, image.at), &mut starts);
        }
        sum_of_lives = sum_of_lives.plus(died.since(process.born));
        lives.push((process.born, died));
    }
    let starting = starting(facts.resolved);
    let executed: BTreeMap<ProcessId, Nanos> = short
        .iter()
        .filter_map(|id| {
            let process = recording.process(*id);
            Some((*id, process.images.iter().find(|image| image.at > process.born)?.at))
        })
        .collect();
    let (mut after, mut of_parents) = (Sampled::default(), 0_u64);
    for event in &recording.events {
        let Event::Sample(sample) = event else { continue };
        let Some(task) = recording.tasks.get(sample.task.0 as usize) else { continue };
        let Some(of) = starting.get(sample.stack.0 as usize) else { continue };
        // Of each sample as many as it stands for.
        let weight = u64::from(recording.meta.sample_every(sample.at));
        if !short.contains(&task.process) {
            of_parents += if of.is(true) { weight } else { 0 };
        } else if executed.get(&task.process).is_none_or(|at| sample.at > *at) {
            // Until its execve all of its time counts already.
            after.all += weight;
            after.starting += if of.is(false) { weight } else { 0 };
        }
    }
    let period = Nanos(1_000_000_000 / u64::from(recording.meta.sample_hz.max(1)));
    let sampled =
        after.of(computed_after(facts, short, &executed), period).plus(Nanos(period.0.saturating_mul(of_parents)));
    let together = sum_of_lives.0 as f64 / crate::recording::covered(lives).0.max(1) as f64;
    Cost {
        processes: short.len(),
        until_execve: crate::recording::covered(starts),
        sampled,
        together: together.max(1.0),
    }
}

/// Samples of the short-lived processes after their execve.
#[derive(Debug, Clone, Copy, Default)]
struct Sampled {
    starting: u64,
    all: u64,
}

impl Sampled {
    /// The part of what they computed that was starting; where that is not known, as long as the samples stand for.
    fn of(self, computed: Nanos, period: Nanos) -> Nanos {
        if computed == Nanos::ZERO || self.all == 0 {
            return Nanos(period.0.saturating_mul(self.starting));
        }
        Nanos((computed.0 as f64 * (self.starting as f64 / self.all as f64)) as u64)
    }
}

/// CPU time of the processes after their execve.
fn computed_after(facts: &Facts<'_>, short: &BTreeSet<ProcessId>, executed: &BTreeMap<ProcessId, Nanos>) -> Nanos {
    let tasks = facts.recording.tasks.iter().zip(&facts.correlated.timelines);
    let of_short = tasks.filter(|(task, _)| short.contains(&task.process));
    let computed = of_short.flat_map(|(task, timeline)| {
        let from = executed.get(&task.process).copied().unwrap_or(task.born);
        let cpu = timeline.0.iter().filter(|segment| matches!(segment.state, State::Cpu { .. }));
        cpu.map(move |segment| segment.to.since(segment.from.max(from)))
    });
    computed.sum()
}

/// Without the waits for a CPU, which are no cost of starting.
fn until_execve(facts: &Facts<'_>, task: Option<usize>, (from, to): (Nanos, Nanos), starts: &mut Vec<(Nanos, Nanos)>) {
    let timeline = task.and_then(|task| facts.correlated.timelines.get(task));
    let Some(timeline) = timeline.filter(|timeline| !timeline.0.is_empty()) else {
        return starts.push((from, to));
    };
    let within = timeline.0.iter().filter(|segment| segment.to > from && segment.from < to);
    let works = within.filter(|segment| !matches!(segment.state, State::RunQueue(_)));
    starts.extend(works.map(|segment| (segment.from.max(from), segment.to.min(to))));
}

/// What a stack is in.
#[derive(Clone, Copy, Default)]
struct Starting {
    kernel: bool,
    loader: bool,
}

impl Starting {
    /// A process that starts others and goes on pays for forks alone.
    fn is(self, kernel_alone: bool) -> bool {
        self.kernel || !kernel_alone && self.loader
    }
}

/// By stack.
fn starting(resolved: &resolve::Resolved) -> Vec<Starting> {
    let of_place = |id: &resolve::PlaceId| {
        let Some(place) = resolved.places.get(id.0 as usize) else { return Starting::default() };
        let is_loader = |module: &str| module.rsplit('/').next().is_some_and(|name| name.starts_with("ld-"));
        let function = place.function.as_str();
        if place.language == Language::Kernel {
            return Starting { kernel: KERNEL.contains(&function), loader: false };
        }
        let loader = RUNTIMES.contains(&function) || place.module.as_deref().is_some_and(is_loader);
        Starting { kernel: false, loader }
    };
    let stack = |ids: &[resolve::PlaceId]| {
        ids.iter().map(of_place).fold(Starting::default(), |sum, of| Starting {
            kernel: sum.kernel || of.kernel,
            loader: sum.loader || of.loader,
        })
    };
    resolved.stacks.iter().map(|ids| stack(ids)).collect()
}

/// The step that waits longest for children.
fn starter<'a>(facts: &Facts<'a>) -> Option<&'a Step> {
    let stacks = Stacks::new(facts);
    let mut waited: BTreeMap<&str, (Nanos, &Step)> = BTreeMap::new();
    for wait in facts.correlated.waits.iter().filter(|wait| matches!(wait.cause, Cause::Child | Cause::Pipe)) {
        if let Some(step) = wait.stack.and_then(|stack| stacks.step(stack)) {
            let sum = waited.entry(step.id.as_str()).or_insert((Nanos::ZERO, step));
            sum.0 = sum.0.plus(wait.woken.since(wait.off));
        }
    }
    waited.into_values().max_by_key(|(time, _)| *time).map(|(_, step)| step)
}
