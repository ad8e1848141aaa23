//! Waits that a fix would take away → what that saves, by laying the run's timelines out again without them; or why it cannot
//! be said.

use std::collections::BTreeSet;

use super::{
    Facts,
    sketch::{self, Pattern},
    types::{Gain, Suspicion, Verdict},
};
use crate::{
    analyze::without::{self, Left},
    correlate::{Cause, State, WaitId},
    map::Lock,
    recording::{Nanos, ProcessId, TaskId},
};

/// What is taken away.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fix {
    pub waits: BTreeSet<WaitId>,
    /// The threads of a process no longer share an interpreter.
    pub interpreters: bool,
    pub run_queue: bool,
    pub throttled: bool,
    /// A CPU for everyone who wants one.
    pub more_cpus: bool,
}

/// Puts hint and gain on a confirmed suspicion; `basis`: what was taken away, in words.
pub(crate) fn mend(facts: &Facts<'_>, one: &mut Suspicion, pattern: Pattern, function: &str, fix: &Fix, basis: &str) {
    if one.verdict != Verdict::Confirmed {
        return;
    }
    let mut change = sketch::change(pattern, one.location.as_ref(), function);
    match saved(facts, fix) {
        // Nobody is told to do what gains nothing.
        Some(Nanos::ZERO) => {
            one.note = format!("{}; laid out again {basis}, the run takes as long", one.note);
            return;
        }
        Some(wall) => {
            one.gain = Some(Gain {
                wall,
                basis: format!("the run laid out again {basis}: {:.1} ms", facts.map.wall.since(wall).as_ms()),
            })
        }
        None if facts.recording.meta.root.is_none() => change.ungained = Some("nothing was run that has an end".into()),
        None => change.ungained = Some("laid out again as it was, the run does not come to its own length".into()),
    }
    one.change = Some(change);
}

/// A hint without a gain, and why there is none.
pub(crate) fn advise(one: &mut Suspicion, pattern: Pattern, function: &str, ungained: &str) {
    if one.verdict == Verdict::Confirmed {
        let mut change = sketch::change(pattern, one.location.as_ref(), function);
        change.ungained = Some(ungained.to_owned());
        one.change = Some(change);
    }
}

pub(crate) fn saved(facts: &Facts<'_>, fix: &Fix) -> Option<Nanos> {
    let Facts { recording, correlated, map, .. } = facts;
    let of_interpreter_locks: BTreeSet<WaitId> = waits(map.locks.iter().filter(|lock| lock.interpreter));
    let shared: BTreeSet<ProcessId> = of_interpreter_locks
        .iter()
        .filter_map(|id| recording.tasks.get(correlated.waits.get(id.0 as usize)?.task.0 as usize))
        .map(|task| task.process)
        .collect();
    let cpus = Some(recording.meta.cpus.max(1));
    let alone = |of_interpreters: bool| Left {
        one_at_a_time: if of_interpreters { shared.clone() } else { BTreeSet::new() },
        for_a_turn: if of_interpreters { of_interpreter_locks.clone() } else { BTreeSet::new() },
        cpus,
        ..Left::default()
    };
    let fixed = |measured: &Left| {
        let taken: &BTreeSet<WaitId> = if fix.interpreters { &of_interpreter_locks } else { &fix.waits };
        Left {
            waits: taken.clone(),
            cpus: if fix.more_cpus { None } else { cpus },
            run_queue: fix.run_queue,
            throttled: fix.throttled,
            ..measured.clone()
        }
    };
    let by = |measured: &Left| without::saved(recording, correlated, measured, &fixed(measured));
    // What comes to wait for the interpreter where other waits go is told by the first alone; where threads compute outside
    // it, only the second comes to the measured length.
    let with_turns = (!fix.interpreters && !shared.is_empty()).then(|| by(&alone(true))).flatten();
    with_turns.or_else(|| by(&alone(false)))
}

/// What some threads do between two instants, waits for locks and for work left out, done by `users` of them at one time
/// instead: whoever is free takes what comes next. What they compute needs the CPUs, or the one interpreter, that it has.
pub(crate) fn shared_out(
    facts: &Facts<'_>,
    tasks: &BTreeSet<TaskId>,
    (from, to): (Nanos, Nanos),
    users: usize,
) -> Option<Nanos> {
    let (mut busy, mut computes) = (Nanos::ZERO, Nanos::ZERO);
    for task in tasks {
        let timeline = facts.correlated.timelines.get(task.0 as usize)?;
        let first = timeline.0.partition_point(|segment| segment.to <= from);
        for segment in timeline.0.iter().skip(first).take_while(|segment| segment.from < to) {
            let length = segment.to.min(to).since(segment.from.max(from));
            match segment.state {
                State::Cpu { .. } => {
                    computes = computes.plus(length);
                    busy = busy.plus(length);
                }
                State::RunQueue(_) => busy = busy.plus(length),
                State::Blocked(wait) => match facts.correlated.waits.get(wait.0 as usize).map(|wait| wait.cause) {
                    Some(Cause::Network | Cause::Database | Cause::Disk | Cause::Sleep | Cause::Child) => {
                        busy = busy.plus(length);
                    }
                    Some(Cause::Lock | Cause::Pipe | Cause::Other) | None => {}
                },
            }
        }
    }
    let process = facts.recording.tasks.get(tasks.first()?.0 as usize)?.process;
    let one_at_a_time = facts.map.locks.iter().filter(|lock| lock.interpreter).flat_map(|lock| &lock.which).any(|id| {
        let task = facts.correlated.waits.get(id.0 as usize).map(|wait| wait.task);
        task.and_then(|task| facts.recording.tasks.get(task.0 as usize)).is_some_and(|task| task.process == process)
    });
    let at_once = if one_at_a_time { 1 } else { u64::from(facts.recording.meta.cpus.max(1)) };
    Some(Nanos(busy.0 / users.max(1) as u64).max(Nanos(computes.0 / at_once)))
}

pub(crate) fn waits<'l>(locks: impl Iterator<Item = &'l Lock>) -> BTreeSet<WaitId> {
    locks.flat_map(|lock| lock.which.iter().copied()).collect()
}
