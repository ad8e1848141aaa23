//! Memory that grows with every iteration and does not stop to. Iterations are what the process is seen to do again and
//! again: requests that it makes or answers, else waits at one place, in a thread in which memory grows: others tick on
//! whatever is done. The line through resident memory over their number is fitted by least squares; a warm-up grows at first
//! and then no more, a load of data grows once.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::super::{Answer, Category, Evidence, Facts, Suspicion, Value, Verdict};
use crate::{
    map::Step,
    recording::{Event, Nanos, ProcessId, StackId, TaskId},
};

pub const ID: &str = "memory_leak";
/// Fewer are no repetition.
const ITERATIONS: usize = 20;
/// Readings of memory while they went on; fewer are no line.
const READINGS: usize = 8;
/// Growth over all iterations from which on it is looked at, and from which on it is confirmed.
const LOOKED_AT: f64 = 16.0 * 1024.0 * 1024.0;
const GROWN: f64 = 32.0 * 1024.0 * 1024.0;
/// Share of the variance of memory that the line explains.
const FIT: f64 = 0.9;
/// The second half grows at least so much as the line says.
const GOES_ON: f64 = 0.5;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let found: Vec<Suspicion> = memory(facts)
        .into_iter()
        .filter_map(|(process, readings)| suspicion(facts, process, &readings, &iterations(facts, process)))
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// (time, resident bytes) by process, in order.
fn memory(facts: &Facts<'_>) -> Vec<(ProcessId, Vec<(Nanos, f64)>)> {
    let mut of: FxHashMap<ProcessId, Vec<(Nanos, f64)>> = FxHashMap::default();
    for event in &facts.recording.events {
        if let Event::Memory(memory) = event
            && let Some(task) = facts.recording.tasks.get(memory.task.0 as usize)
        {
            of.entry(task.process).or_default().push((memory.at, memory.resident as f64));
        }
    }
    let mut all: Vec<_> = of.into_iter().filter(|(_, readings)| readings.len() >= READINGS).collect();
    all.sort_by_key(|(process, _)| *process);
    all
}

/// Tasks in which a tenth of the process's memory grows, or more.
fn growing(facts: &Facts<'_>, process: ProcessId) -> Vec<TaskId> {
    let mut grown: BTreeMap<TaskId, i64> = BTreeMap::new();
    for event in &facts.recording.events {
        if let Event::Memory(memory) = event
            && facts.recording.tasks.get(memory.task.0 as usize).is_some_and(|task| task.process == process)
        {
            let sum = grown.entry(memory.task).or_default();
            *sum = sum.saturating_add(memory.change.max(0));
        }
    }
    let all = grown.values().fold(0_i64, |all, of| all.saturating_add(*of));
    grown.into_iter().filter(|(_, of)| *of > 0 && *of >= all / 10).map(|(task, _)| task).collect()
}

/// When the process did once more what it does most often.
fn iterations(facts: &Facts<'_>, process: ProcessId) -> Vec<Nanos> {
    let is_own = |task: crate::recording::TaskId| {
        facts.recording.tasks.get(task.0 as usize).is_some_and(|task| task.process == process)
    };
    let trips = facts.correlated.flows.round_trips.iter().filter(|trip| is_own(trip.task));
    let mut requests: Vec<Nanos> = trips.map(|trip| trip.received).collect();
    let mut waits: FxHashMap<StackId, Vec<Nanos>> = FxHashMap::default();
    let growing = growing(facts, process);
    for wait in facts.correlated.waits.iter().filter(|wait| wait.woken > wait.off && growing.contains(&wait.task)) {
        if let Some(stack) = wait.stack {
            waits.entry(stack).or_default().push(wait.on);
        }
    }
    let most = waits.into_iter().max_by_key(|(stack, times)| (times.len(), std::cmp::Reverse(*stack)));
    let mut most = most.map(|(_, times)| times).unwrap_or_default();
    let found = if requests.len() >= ITERATIONS { &mut requests } else { &mut most };
    found.sort_unstable();
    std::mem::take(found)
}

/// What was resident at each iteration: a reading holds until the next one, for memory that does not change is not told.
fn held(readings: &[(Nanos, f64)], iterations: &[Nanos]) -> Vec<(f64, f64)> {
    let at = |at: &Nanos| readings.partition_point(|(told, _)| told <= at).checked_sub(1);
    let points = iterations.iter().enumerate();
    points.filter_map(|(n, one)| Some((n as f64, readings.get(at(one)?)?.1))).collect()
}

/// y = a + slope · x by least squares; `fit` is the coefficient of determination.
#[derive(Debug, Clone, Copy)]
struct Line {
    slope: f64,
    fit: f64,
}

fn line(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n));
    let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|point| of(point.0 - x, point.1 - y)).sum::<f64>();
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    (xx > 0.0 && yy > 0.0).then(|| Line { slope: xy / xx, fit: xy * xy / (xx * yy) })
}

fn suspicion(
    facts: &Facts<'_>,
    process: ProcessId,
    readings: &[(Nanos, f64)],
    iterations: &[Nanos],
) -> Option<Suspicion> {
    let (first, last) = (*iterations.first()?, *iterations.last()?);
    if iterations.len() < ITERATIONS {
        return None;
    }
    let during = readings.iter().filter(|(at, _)| *at >= first && *at <= last);
    if during.count() < READINGS {
        return None;
    }
    let points = held(readings, iterations);
    let whole = line(&points)?;
    // Not beyond the readings: iterations before the first one are no points.
    let grown = whole.slope * (points.last()?.0 - points.first()?.0 + 1.0);
    if grown < LOOKED_AT {
        return None;
    }
    let second = line(&points[points.len() / 2..]).map_or(0.0, |line| line.slope);
    let goes_on = second >= whole.slope * GOES_ON;
    let is_heap = is_filled_before_collected(facts, process);
    let confirmed = grown >= GROWN && whole.fit >= FIT && goes_on && !is_heap;
    let step = most_grown(&facts.map.steps);
    let note = match (confirmed, goes_on) {
        (true, _) => {
            "memory grows in a line with the iterations until the end; whether what is kept is needed is not known"
        }
        (false, true) if is_heap => "a Java heap is filled before it is collected: its growth does not tell a leak",
        (false, false) => "it grows at first and then no more",
        (false, true) => "it grows, but not in a line with the iterations, or by little",
    };
    let name = &facts.recording.process(process).images.last().map(|image| image.comm.clone()).unwrap_or_default();
    Some(Suspicion {
        id: ID,
        category: Category::ResourceLifecycle,
        subject: step.map_or_else(|| name.clone(), |step| step.function.clone()),
        location: step.and_then(|step| step.location.clone()),
        affected_steps: step.map(|step| step.id.clone()).into_iter().collect(),
        description: "memory grows with every iteration".into(),
        verdict: if confirmed { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence: vec![
            Evidence::new("growth per iteration", Value::Bytes(whole.slope.max(0.0) as u64)),
            Evidence::new("iterations", Value::Count(iterations.len() as u64)),
            Evidence::held_against("growth", Value::Bytes(grown as u64), Value::Bytes(GROWN as u64)),
            Evidence::held_against(
                "share of the variance that a line explains",
                Value::Ratio(whole.fit),
                Value::Ratio(FIT),
            ),
        ],
        note: note.into(),
        gain: None,
        change: None,
    })
}

/// Java's virtual machine: it reserves its heap by the machine's memory, and new objects touch fresh pages of it until the
/// first collection, whatever the program keeps. Told by the frames of those in whose time memory grew.
fn is_filled_before_collected(facts: &Facts<'_>, process: ProcessId) -> bool {
    let is_machine = |stack: StackId| {
        let places = facts.resolved.stacks.get(stack.0 as usize).map_or(&[][..], |ids| ids);
        let modules = places.iter().filter_map(|id| facts.resolved.places.get(id.0 as usize)?.module.as_deref());
        modules.into_iter().any(|module| module.rsplit('/').next() == Some("libjvm.so"))
    };
    facts.recording.events.iter().any(|event| match event {
        Event::Memory(memory) => {
            let of = facts.recording.tasks.get(memory.task.0 as usize).map(|task| task.process);
            of == Some(process) && is_machine(memory.stack)
        }
        Event::Sample(_) | Event::OffCpu(_) | Event::ShortWaits(_) | Event::Message(_) | Event::FileIo(_) => false,
    })
}

/// The step whose own growth is the largest.
fn most_grown(steps: &[Step]) -> Option<&Step> {
    let below = steps.iter().filter_map(|step| most_grown(&step.children));
    steps.iter().chain(below).filter(|step| step.memory_delta > 0).max_by_key(|step| step.memory_delta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{fixture::ms, suspicions::told::run},
        correlate::Cause,
        recording::{Memory, Task},
    };

    fn points(bytes: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..60).map(|n| (f64::from(n), bytes(f64::from(n)))).collect()
    }

    /// Memory grows by a MiB every 10 ms; in between the thread in which it does, or another one, sleeps each time.
    fn growth_and_naps(napping: TaskId, module: Option<&str>) -> Option<Verdict> {
        let mut of = run();
        let (load, nap) = (of.stack(&[("load", 9)]), of.stack(&[("thread.nap", 3)]));
        of.resolved.places.iter_mut().for_each(|place| place.module = module.map(str::to_owned));
        of.recording.tasks.push(Task { tid: 9, process: ProcessId(0), ..of.recording.tasks[0].clone() });
        for n in 0..60_u64 {
            let (at, resident) = (ms(n * 10), (n + 1) << 20);
            of.recording.events.push(Event::Memory(Memory {
                at,
                task: TaskId(0),
                change: 1 << 20,
                resident,
                stack: load,
            }));
            of.wait(n * 10 + 2, n * 10 + 8, Cause::Sleep, nap);
            of.correlated.waits.last_mut().unwrap().task = napping;
        }
        of.verdict(ID)
    }

    /// A buffer that fills during ten of sixty requests, in a line: nothing is told of it afterwards.
    #[test]
    fn what_grows_at_first_has_grown_by_no_more() {
        let of = |growing: u64| {
            let mut of = run();
            let (load, nap) = (of.stack(&[("load", 9)]), of.stack(&[("thread.nap", 3)]));
            for n in 0..60_u64 {
                if n < growing {
                    let (task, change) = (TaskId(0), 4 << 20);
                    let resident = (n + 1) << 22;
                    of.recording.events.push(Event::Memory(Memory {
                        at: ms(n * 10),
                        task,
                        change,
                        resident,
                        stack: load,
                    }));
                }
                of.wait(n * 10 + 2, n * 10 + 8, Cause::Sleep, nap);
            }
            of.verdict(ID)
        };
        assert_eq!((of(12), of(60)), (Some(Verdict::Dismissed), Some(Verdict::Confirmed)));
    }

    #[test]
    fn what_another_thread_does_again_and_again_is_no_iteration() {
        assert_eq!(growth_and_naps(TaskId(0), None), Some(Verdict::Confirmed));
        assert_eq!(growth_and_naps(TaskId(2), None), None);
    }

    #[test]
    fn a_java_heap_that_fills_is_no_leak() {
        let of = |module| growth_and_naps(TaskId(0), Some(module));
        assert_eq!(of("/usr/lib/jvm/java-17/lib/server/libjvm.so"), Some(Verdict::Dismissed));
        assert_eq!(of("/srv/app/libjvm.so.map/liba.so"), Some(Verdict::Confirmed));
    }

    #[test]
    fn a_line_is_told_from_a_plateau() {
        let leak = line(&points(|n| 3.0 + n * 2.0)).unwrap();
        assert!((leak.slope - 2.0).abs() < 1e-9 && leak.fit > 0.999_999);
        let warm = points(|n| n.min(20.0));
        assert!(line(&warm).unwrap().fit < FIT);
        assert!(line(&warm[30..]).is_none(), "what does not move has no line");
        assert!(line(&[]).is_none() && line(&[(1.0, 2.0)]).is_none());
    }
}
