//! Which levels of detail were gone to, each with its reason and what it gave. Level 1, functions, always; level 2, the
//! lines of a hot function, where one owns so much that its name alone is no answer; level 3, memory by function, where
//! the process tree ends much larger than it began. No level changes the program.

use std::cmp::Reverse;

use super::{
    allocations::{self, Native},
    baseline::{self, Metric},
    hot::{self, HOT_PCT, Hot},
    lines::{Lines, Looker},
};
use crate::{
    map::{Location, Map, Step},
    recording::{Event, Nanos, Recording, TimedFunction, TimedLines},
    resolve::Resolved,
};

/// Functions that are looked into: more than three cannot own over 30 % each.
const MOST: usize = 3;
/// Lines that are named of a function that was timed.
const TIMED: usize = 10;
/// Functions that are named with what they allocated.
const ALLOCATED: usize = 5;
/// Growth over a run that is out of the ordinary: so many bytes, or such a part of the peak. Of small programs every start
/// is a large part of the peak.
const LARGE_DELTA: f64 = 100.0 * 1024.0 * 1024.0;
const PART_OF_PEAK: f64 = 0.25;
const LEAST_DELTA: f64 = 16.0 * 1024.0 * 1024.0;

#[derive(Debug, Clone, PartialEq)]
pub struct Escalation {
    pub level: Level,
    pub backend: String,
    pub sample_hz: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    Functions {
        samples: u64,
        events: u64,
    },
    /// Of one function: it owns `share_pct` of the wall time, which its callees do not explain.
    Lines {
        function: String,
        location: Option<Location>,
        share_pct: f64,
        lines: Lines,
    },
    /// Of one function, timed by a line profiler inside the program, in a run of its own.
    TimedLines {
        function: String,
        location: Option<Location>,
        profiler: String,
        wall: Nanos,
        /// In which the program ran without it.
        before: Nanos,
        /// Longest first.
        lines: Vec<TimedLine>,
    },
    /// The user asked for it, and nothing came of it.
    Hindered {
        level: u32,
        profiler: &'static str,
        option: &'static str,
        hindrance: String,
    },
    /// What Python's tracemalloc counted in a run of its own: bytes that were alive at the end, and by whom.
    Allocated {
        live: u64,
        peak: u64,
        wall: Nanos,
        /// In which the program ran without it.
        before: Nanos,
        /// (function, bytes, blocks), most bytes first.
        functions: Vec<(String, u64, u64)>,
    },
    /// What probes at the allocators saw in a run of its own.
    Native(Native),
    /// Growth from the start of the baseline's runs to their end, their peak, and in which functions memory grew most.
    Memory {
        delta: i64,
        peak: u64,
        functions: Vec<(String, i64)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimedLine {
    pub line: u32,
    pub executions: u64,
    pub time: Nanos,
    /// Of the function's time.
    pub share_pct: f64,
}

impl Level {
    pub fn number(&self) -> u32 {
        match self {
            Level::Functions { .. } => 1,
            Level::Lines { .. } | Level::TimedLines { .. } => 2,
            Level::Hindered { level, .. } => *level,
            Level::Memory { .. } | Level::Allocated { .. } | Level::Native(_) => 3,
        }
    }
}

pub(super) fn steps(recording: &Recording, resolved: &Resolved, map: &Map) -> Vec<Escalation> {
    let meta = &recording.meta;
    let step = |level| Escalation { level, backend: meta.backend.clone(), sample_hz: meta.sample_hz };
    let samples = recording.events.iter().filter(|event| matches!(event, Event::Sample(_))).count() as u64;
    let mut found = vec![step(Level::Functions { samples, events: recording.events.len() as u64 })];
    let looker = Looker::new(recording, resolved);
    let timed = recording.closer.lines.as_ref();
    for hot in hot::functions(map).into_iter().filter(|hot| hot.share_pct > HOT_PCT).take(MOST) {
        let lines = looker.lines(&hot);
        let more = timed.and_then(|timed| timed_lines(&hot, timed, meta.wall));
        let hot::Hot { function, location, share_pct, .. } = hot;
        found.push(step(Level::Lines { function, location, share_pct, lines }));
        found.extend(more.map(step));
    }
    let any = found.iter().any(|step| matches!(step.level, Level::TimedLines { .. }));
    if let Some(timed) = timed.filter(|_| !any) {
        let unknown = || "the hot functions did not run under it".to_owned();
        let hindrance = timed.hindrance.clone().unwrap_or_else(unknown);
        let (profiler, option) = ("line_profiler", "--allow-instrumentation");
        found.push(step(Level::Hindered { level: 2, profiler, option, hindrance }));
    }
    if let Some((delta, peak)) = abnormal_memory(recording) {
        found.push(step(Level::Memory { delta, peak, functions: grown_most(map) }));
    }
    if let Some(allocated) = &recording.closer.allocated {
        let (profiler, option) = ("tracemalloc", "--tracemalloc");
        found.push(step(match &allocated.hindrance {
            Some(hindrance) => Level::Hindered { level: 3, profiler, option, hindrance: hindrance.clone() },
            None => {
                let by = allocated.functions.iter().take(ALLOCATED);
                Level::Allocated {
                    live: allocated.live,
                    peak: allocated.peak,
                    wall: allocated.wall,
                    before: meta.wall,
                    functions: by.map(|by| (by.function.clone(), by.bytes, by.blocks)).collect(),
                }
            }
        }));
    }
    if let Some(seen) = &recording.closer.native {
        let (profiler, option) = ("probes at the allocator", "--allocations");
        found.push(step(match &seen.hindrance {
            Some(hindrance) => Level::Hindered { level: 3, profiler, option, hindrance: hindrance.clone() },
            None => Level::Native(allocations::native(recording, seen)),
        }));
    }
    found
}

fn timed_lines(hot: &Hot, timed: &TimedLines, before: Nanos) -> Option<Level> {
    let location = hot.location.as_ref()?;
    let is_it = |of: &&TimedFunction| of.first_line == location.line && of.file.ends_with(&location.file);
    let function = timed.functions.iter().find(is_it)?;
    let total: Nanos = function.lines.iter().map(|(_, _, time)| *time).sum();
    let line = |(line, executions, time): &(u32, u64, Nanos)| TimedLine {
        line: *line,
        executions: *executions,
        time: *time,
        share_pct: super::share_pct(*time, total),
    };
    let mut lines: Vec<TimedLine> = function.lines.iter().map(line).collect();
    lines.sort_by_key(|line| (Reverse(line.time), line.line));
    lines.truncate(TIMED);
    let profiler = timed.profiler.clone()?;
    let (function, location) = (hot.function.clone(), hot.location.clone());
    (total > Nanos::ZERO).then_some(Level::TimedLines { function, location, profiler, wall: timed.wall, before, lines })
}

/// Median growth and peak of the baseline's runs, where they are out of the ordinary.
fn abnormal_memory(recording: &Recording) -> Option<(i64, u64)> {
    let runs = recording.baseline.as_ref()?;
    let of = |metric| baseline::spread(runs, metric).map(|spread| spread.median);
    let (delta, peak) = (of(Metric::MemoryDelta)?, of(Metric::MemoryPeak)?);
    (delta > LARGE_DELTA || delta > peak * PART_OF_PEAK && delta > LEAST_DELTA).then_some((delta as i64, peak as u64))
}

fn grown_most(map: &Map) -> Vec<(String, i64)> {
    fn below(step: &Step, found: &mut Vec<(String, i64)>) {
        if step.memory_delta > 0 {
            found.push((step.function.clone(), step.memory_delta));
        }
        step.children.iter().for_each(|child| below(child, found));
    }
    let mut found = Vec::new();
    map.steps.iter().for_each(|step| below(step, &mut found));
    found.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::fixture::{map, recording, resolved};

    #[test]
    fn a_hot_function_is_looked_into() {
        let found = steps(&recording(), &resolved(), &map());
        let levels: Vec<u32> = found.iter().map(|step| step.level.number()).collect();
        assert_eq!(levels, [1, 2]);
        let Level::Lines { function, lines, .. } = &found[1].level else { panic!("{found:?}") };
        assert_eq!(function, "extract_text");
        assert!(!lines.are_enough());
        let mut cool = map();
        cool.wall.0 *= 2;
        assert_eq!(steps(&recording(), &resolved(), &cool).len(), 1);
    }
}
