//! Pages that have to be brought from a device while the program touches them: a file mapped into memory that is not in
//! the page cache, code that was evicted, swap. A wait in no system call for a block device is one; the kernel's count of
//! the command's major faults says how many there were, also of those too short to be recorded one by one.

use std::collections::BTreeMap;

use super::{
    super::{Answer, Category, Evidence, Facts, Suspicion, Value, Verdict, stacks::Stacks},
    steps,
};
use crate::{
    analyze::share_pct,
    recording::{Event, Nanos, OffCpu, OffState, Recording, Resource, WaitClass},
};

pub const ID: &str = "major_faults";
const SHARE_PCT: f64 = 10.0;
/// Below, nobody would suspect it: every program's first pages come from somewhere.
const SUSPECTED_PCT: f64 = 2.0;
const COUNT: u64 = 10;

/// What page faults waited for devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub count: u64,
    /// Time in which a task of the command was in one: tasks that wait together count once.
    pub time: Nanos,
}

/// The command's own count; of a watched process, which nobody waits for, the machine's.
pub fn count(recording: &Recording) -> u64 {
    let environment = &recording.environment;
    if recording.meta.attached { environment.major_faults } else { environment.own_major_faults }
}

pub fn faults(recording: &Recording) -> Faults {
    let count = count(recording);
    let of_command = |task: crate::recording::TaskId| {
        recording.tasks.get(task.0 as usize).is_some_and(|task| !recording.is_outside(task.process))
    };
    let mut spans: Vec<(Nanos, Nanos)> = Vec::new();
    let mut short = Nanos::ZERO;
    for event in &recording.events {
        match event {
            Event::OffCpu(off) if is_fault(off) && of_command(off.task) => spans.push((off.off, off.woken)),
            Event::ShortWaits(waits) if of_command(waits.task) => {
                let disk = waits.blocked.iter().filter(|(class, _)| *class == WaitClass::Disk);
                short = short.plus(disk.map(|(_, length)| *length).sum());
            }
            Event::OffCpu(_)
            | Event::ShortWaits(_)
            | Event::Sample(_)
            | Event::Message(_)
            | Event::FileIo(_)
            | Event::Memory(_) => {}
        }
    }
    // Waits below the threshold are sums over all uses of disks: no more of them than there are faults left to explain.
    let rest = count.saturating_sub(spans.len() as u64);
    let most = Nanos(rest.saturating_mul(recording.meta.wait_threshold.0));
    let time = crate::recording::covered(spans).plus(short.min(most)).min(recording.meta.wall);
    Faults { count, time }
}

pub fn is_fault(off: &OffCpu) -> bool {
    off.state == OffState::Uninterruptible && off.syscall.is_none() && off.device.is_some()
}

/// Of each step whose function was in them, sum over threads.
pub fn by_step(facts: &Facts<'_>) -> BTreeMap<String, Nanos> {
    let (stacks, mut found) = (Stacks::new(facts), BTreeMap::<String, Nanos>::new());
    for event in &facts.recording.events {
        if let Event::OffCpu(off) = event
            && is_fault(off)
            && let Some(step) = off.stack.and_then(|stack| stacks.step(stack))
        {
            let sum = found.entry(step.id.clone()).or_default();
            *sum = sum.plus(off.woken.since(off.off));
        }
    }
    found
}

pub fn judge(facts: &Facts<'_>) -> Answer {
    let recording = facts.recording;
    if recording.environment.length == Nanos::ZERO {
        return Answer::NotEnough("page faults were not counted".into());
    }
    let Faults { count, time } = faults(recording);
    let pct = share_pct(time, facts.map.wall);
    if count < COUNT || pct < SUSPECTED_PCT {
        return Answer::Quiet;
    }
    let affected: Vec<String> = by_step(facts).into_keys().collect();
    let environment = &recording.environment;
    let mut evidence = vec![
        Evidence::held_against("page faults that waited for a device", Value::Count(count), Value::Count(COUNT)),
        Evidence::held_against("time in them, share of the wall time", Value::Percent(pct), Value::Percent(SHARE_PCT)),
        Evidence::new("time in them", Value::Time(time)),
        Evidence::new("pages swapped in by the machine meanwhile", Value::Count(environment.swapped_in)),
    ];
    evidence.extend(steps::pressure(recording, Resource::Memory));
    if let Some(memory) = environment.memory
        && let Some(limit) = memory.limit
    {
        evidence.push(Evidence::new("memory limit of the control group", Value::Bytes(limit)));
        evidence.push(Evidence::new("times that the limit was reached", Value::Count(memory.reached)));
    }
    let confirmed = pct > SHARE_PCT;
    let from = if environment.swapped_in > count / 2 { "most from swap" } else { "from mapped files" };
    Answer::Found(vec![Suspicion {
        id: ID,
        category: Category::Environment,
        subject: "page faults".into(),
        location: None,
        affected_steps: affected,
        description: "pages of memory come from a device when they are touched".into(),
        verdict: if confirmed { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence,
        note: format!("{count} faults, {from}: {pct:.1} % of the wall time"),
        gain: None,
        change: None,
    }])
}
