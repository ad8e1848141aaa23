//! A step in which resident memory grows by more than 100 MiB. Pages count where they are touched first, and what the step
//! gives back is taken off (`docs/memory.md`). Growth of several processes is not held at one time: the one that grew most
//! is judged. What a program of others takes ends with it, and no function of the project's took it.

use std::{collections::BTreeMap, path::Path};

use super::super::{Answer, Category, Evidence, Facts, Suspicion, Value, Verdict, stacks::Stacks};
use crate::{
    map::{Location, Step, StepKind},
    recording::{Event, ProcessId, Recording},
    resolve::is_project_program,
};

pub const ID: &str = "large_allocation";
const LARGE: i64 = 100 << 20;
/// Below, nothing gives rise to the suspicion.
const LOOKED_AT: i64 = 32 << 20;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let (of_one, mut found) = (of_one(facts), Vec::new());
    for step in &facts.map.steps {
        below(facts.recording, &of_one, step, &mut found);
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

type OfOne<'a> = BTreeMap<(&'a str, Option<&'a Location>), i64>;

/// By function: the growth of the process in which it grew most.
fn of_one<'a>(facts: &Facts<'a>) -> OfOne<'a> {
    let stacks = Stacks::new(facts);
    let mut by_process: BTreeMap<(&str, Option<&Location>, ProcessId), i64> = BTreeMap::new();
    for event in &facts.recording.events {
        if let Event::Memory(memory) = event
            && let Some(step) = stacks.step(memory.stack)
            && let Some(task) = facts.recording.tasks.get(memory.task.0 as usize)
        {
            let sum = by_process.entry((&step.function, step.location.as_ref(), task.process)).or_default();
            *sum = sum.saturating_add(memory.change);
        }
    }
    let mut most = OfOne::new();
    for ((function, location, _), grown) in by_process {
        let known = most.entry((function, location)).or_insert(grown);
        *known = grown.max(*known);
    }
    most
}

fn below(recording: &Recording, of_one: &OfOne<'_>, step: &Step, found: &mut Vec<Suspicion>) {
    if step.memory_delta >= LOOKED_AT {
        let one = of_one.get(&(step.function.as_str(), step.location.as_ref()));
        found.push(suspicion(step, one.copied(), is_of_others(recording, step)));
    }
    for child in &step.children {
        below(recording, of_one, child, found);
    }
}

/// A program from outside the project's roots, in which none of the project's functions was seen.
fn is_of_others(recording: &Recording, step: &Step) -> bool {
    let is_it = |path: &str| Path::new(path).file_name().is_some_and(|name| *name == *step.function);
    let is_own = |path: &str| is_it(path) && is_project_program(&recording.meta, path);
    let mut images = recording.processes.iter().flat_map(|process| &process.images);
    let is_subprocess = step.kind == StepKind::Subprocess && step.location.is_none();
    is_subprocess && !images.any(|image| is_own(&image.executable))
}

fn suspicion(step: &Step, one: Option<i64>, of_others: bool) -> Suspicion {
    let grown = step.memory_delta.min(one.unwrap_or(i64::MAX));
    let large = grown > LARGE;
    let note = match (of_others, large) {
        (true, _) => "a program of others took it, in no function of the project's, and it was gone when that ended",
        (false, true) => "so much was touched for the first time in it and is still there when it ends",
        (false, false) if step.memory_delta > LARGE => "it grows, but in no process by so much",
        (false, false) => "it grows, but by less",
    };
    let limit = Value::Bytes(LARGE.unsigned_abs());
    let mut evidence = vec![Evidence::held_against("growth", Value::Bytes(grown.max(0).unsigned_abs()), limit)];
    if grown < step.memory_delta {
        evidence.push(Evidence::new("of all processes together", Value::Bytes(step.memory_delta.unsigned_abs())));
    }
    Suspicion {
        id: ID,
        category: Category::ResourceLifecycle,
        subject: step.function.clone(),
        location: step.location.clone(),
        affected_steps: vec![step.id.clone()],
        description: format!("memory grows much in {}", step.function),
        verdict: if large && !of_others { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence,
        note: note.into(),
        gain: None,
        change: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{
            fixture::{map, recording, resolved},
            suspicions::testing::with_map,
        },
        correlate::Correlated,
    };

    #[test]
    fn found_dismissed_and_quiet() {
        let verdict = |bytes: i64| {
            let mut map = map();
            for step in &mut map.steps {
                quiet(step);
            }
            map.steps[0].children[0].memory_delta = bytes;
            match with_map(&map, judge) {
                Answer::Found(found) => found.first().map(|one| (one.verdict, one.affected_steps.clone())),
                Answer::Quiet | Answer::NotEnough(_) => None,
            }
        };
        assert_eq!(verdict(101 << 20), Some((Verdict::Confirmed, vec!["1.1".to_owned()])));
        assert_eq!(verdict(100 << 20).map(|found| found.0), Some(Verdict::Dismissed));
        assert_eq!(verdict(31 << 20), None);
        assert_eq!(verdict(-(200 << 20)), None);
    }

    fn quiet(step: &mut Step) {
        step.memory_delta = 0;
        step.children.iter_mut().for_each(quiet);
    }

    /// Of one process together, and of eight one after the other.
    #[test]
    fn processes_are_judged_one_by_one() {
        let step = Step { memory_delta: 160 << 20, ..map().steps[0].clone() };
        let verdict = |one: i64| suspicion(&step, Some(one), false).verdict;
        assert_eq!(verdict(160 << 20), Verdict::Confirmed);
        assert_eq!(verdict(20 << 20), Verdict::Dismissed);
        assert_eq!(suspicion(&step, None, false).verdict, Verdict::Confirmed);
    }

    /// A compiler that needs much; the project's own program, of which no function is known.
    #[test]
    fn a_program_of_others() {
        let mut map = map();
        map.steps.iter_mut().for_each(quiet);
        let step = &mut map.steps[0];
        (step.kind, step.location, step.memory_delta) = (StepKind::Subprocess, None, 300 << 20);
        step.function = "cc1".into();
        let judged = |path: &str| {
            let mut recording = recording();
            recording.meta.project_roots = vec!["/home/me/shop".into()];
            recording.processes[0].images[0].executable = path.into();
            let (resolved, correlated) = (resolved(), Correlated::default());
            match judge(&Facts { recording: &recording, resolved: &resolved, correlated: &correlated, map: &map }) {
                Answer::Found(found) => found.first().map(|one| one.verdict),
                Answer::Quiet | Answer::NotEnough(_) => None,
            }
        };
        assert_eq!(judged("/usr/lib/gcc/x86_64-linux-gnu/12/cc1"), Some(Verdict::Dismissed));
        assert_eq!(judged("/home/me/shop/bin/cc1"), Some(Verdict::Confirmed));
        assert_eq!(judged("/home/me/shopping/bin/cc1"), Some(Verdict::Dismissed));
    }
}
