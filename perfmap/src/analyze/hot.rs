//! The map → the project's functions by the time that they compute on the chain of waits, largest first, and the lines
//! of those that own much of it. A function is one wherever it is called from.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    map::{self, Location, Map, Step, WaitCause, Waits},
    recording::{Event, Nanos, Recording},
    resolve::Resolved,
};

/// Above this share of the wall time (percent) a function's lines are looked at.
pub const HOT_PCT: f64 = 30.0;
/// With fewer samples in the function the 95 % interval of a half share is wider than ±14 points.
pub const ENOUGH_SAMPLES: u64 = 50;
/// So many lines are named, those with most samples.
const LINES: usize = 10;

#[derive(Debug, Clone, PartialEq)]
pub struct Hot {
    pub function: String,
    pub location: Option<Location>,
    /// Index into [`Map::services`].
    pub service: usize,
    /// In the order of the map.
    pub steps: Vec<String>,
    /// Own time on the CPU: none of its children's.
    pub cpu: Nanos,
    /// Of the wall time without waits for a CPU: what it would be on a machine with nothing else to do.
    pub share_pct: f64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// CPU samples with the function innermost of the project's.
    pub samples: u64,
    /// Of them: while it imported modules.
    pub importing: u64,
    /// Of them: without a line.
    pub unknown: u64,
    /// Most samples first.
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub line: u32,
    pub samples: u64,
    /// Of the function's samples, in percent.
    pub share_pct: f64,
}

pub fn functions(map: &Map) -> Vec<Hot> {
    let mut found = Found::new();
    for step in &map.steps {
        collect(step, &mut found);
    }
    let base = map.wall.since(queued(map));
    let mut all: Vec<Hot> = found
        .into_iter()
        .filter(|(_, (cpu, _))| *cpu > Nanos::ZERO)
        .map(|((service, function, location), (cpu, steps))| Hot {
            function: function.to_owned(),
            location: location.cloned(),
            service,
            steps,
            cpu,
            share_pct: super::share_pct(cpu, base),
        })
        .collect();
    all.sort_by_key(|hot| Reverse(hot.cpu));
    all
}

/// On the chain of waits: ready to run, but without a CPU or without quota.
fn queued(map: &Map) -> Nanos {
    let of = |waits: &Waits| waits.of(WaitCause::RunQueue).plus(waits.of(WaitCause::Throttled));
    fn below(step: &Step, of: &impl Fn(&Waits) -> Nanos) -> Nanos {
        let own = if step.beside { Nanos::ZERO } else { of(&step.own_waits) };
        own.plus(step.children.iter().map(|child| below(child, of)).sum())
    }
    map.steps.iter().map(|step| below(step, &of)).sum::<Nanos>().plus(of(&map.outside.waits))
}

type Found<'m> = BTreeMap<(usize, &'m str, Option<&'m Location>), (Nanos, Vec<String>)>;

fn collect<'m>(step: &'m Step, found: &mut Found<'m>) {
    if !step.beside && step.own_cpu > Nanos::ZERO {
        let (cpu, steps) = found.entry((step.service, &step.function, step.location.as_ref())).or_default();
        *cpu = cpu.plus(step.own_cpu);
        steps.push(step.id.clone());
    }
    for child in &step.children {
        collect(child, found);
    }
}

/// From the samples of all threads: what nobody waited for computes at the same lines.
pub fn lines(recording: &Recording, resolved: &Resolved, hot: &Hot) -> Lines {
    let own = map::innermost(recording, resolved);
    let file = hot.location.as_ref().map(|location| location.file.as_str());
    let mut by_line: BTreeMap<u32, u64> = BTreeMap::new();
    let mut found = Lines::default();
    for event in &recording.events {
        let Event::Sample(sample) = event else { continue };
        let Some(Some(place)) = own.get(sample.stack.0 as usize) else { continue };
        if place.function != hot.function || file.is_some_and(|file| file != place.file) {
            continue;
        }
        let weight = u64::from(recording.meta.sample_every(sample.at));
        found.samples = found.samples.saturating_add(weight);
        found.importing = found.importing.saturating_add(if place.importing { weight } else { 0 });
        match place.line {
            Some(line) => *by_line.entry(line).or_default() += weight,
            None => found.unknown = found.unknown.saturating_add(weight),
        }
    }
    let total = found.samples.max(1) as f64;
    found.lines = by_line
        .into_iter()
        .map(|(line, samples)| Line { line, samples, share_pct: samples as f64 / total * 100.0 })
        .collect();
    found.lines.sort_by_key(|line| (Reverse(line.samples), line.line));
    found.lines.truncate(LINES);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::fixture::{map, ms, recording, resolved, step};

    #[test]
    fn a_function_is_one_wherever_it_is_called_from() {
        let mut map = map();
        let own = |id: &str, cpu| Step { own_cpu: ms(cpu), ..step(id, "parse", cpu, cpu) };
        map.steps.extend([own("2", 500), own("3", 600), Step { beside: true, ..own("4", 9000) }]);
        let found = functions(&map);
        assert_eq!((found[0].function.as_str(), found[0].cpu), ("parse", ms(1100)));
        assert_eq!(found[0].steps, ["2", "3"]);
        assert_eq!((found[1].function.as_str(), found[1].service), ("extract_text", 1));
    }

    #[test]
    fn a_busy_machine_makes_no_function_cooler() {
        let share = |map: &Map| functions(map)[0].share_pct;
        let calm = share(&map());
        let mut busy = map();
        busy.wall = busy.wall.plus(ms(5000));
        busy.steps[0].own_waits.add(WaitCause::RunQueue, ms(4000));
        busy.outside.waits.add(WaitCause::Throttled, ms(1000));
        assert!((share(&busy) - calm).abs() < 1e-9, "{} {calm}", share(&busy));
    }

    #[test]
    fn lines_are_those_of_the_innermost_own_function() {
        let mut recording = recording();
        recording.meta.project_roots = vec!["/app".into()];
        recording.meta.working_directory = "/app".into();
        let location = Location { file: "app/services/job_processor.py".into(), line: 2 };
        let hot = Hot {
            function: "mt_translate".into(),
            location: Some(location),
            service: 0,
            steps: vec!["1".into()],
            cpu: ms(1900),
            share_pct: 70.0,
        };
        let found = lines(&recording, &resolved(), &hot);
        assert_eq!((found.samples, found.importing, found.unknown), (196, 0, 0));
        assert_eq!(found.lines, [Line { line: 3, samples: 196, share_pct: 100.0 }]);
        let other = Hot { location: Some(Location { file: "other.py".into(), line: 2 }), ..hot };
        assert_eq!(lines(&recording, &resolved(), &other), Lines::default());
    }
}
