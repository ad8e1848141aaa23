//! Runs of the command after the profiled one, that look more closely at a part of it. What they saw stays apart from the
//! profiled run's events: it is of another run.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{
    Code, Ending, Event, Frame, Meta, Module, Nanos, NativeAllocations, PythonFrame, Recording, Stack, StackId, Symbol,
};

/// Empty where the profiled run was enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Closer {
    pub samples: Option<SampledAgain>,
    pub lines: Option<TimedLines>,
    pub allocated: Option<Allocated>,
    pub native: Option<NativeAllocations>,
}

/// CPU samples of a run at a higher rate, and what names their stacks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampledAgain {
    pub sample_hz: u32,
    pub wall: Nanos,
    pub ending: Option<Ending>,
    pub interrupted: bool,
    pub names: StackNames,
    /// How many ticks of the clock fell on each stack.
    pub samples: Vec<(StackId, u64)>,
}

/// Some stacks of another run, and what names them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StackNames {
    pub modules: Vec<Module>,
    pub codes: Vec<Code>,
    pub kernel_symbols: Vec<String>,
    pub frames: Vec<Frame>,
    pub python_frames: Vec<PythonFrame>,
    /// Those that are asked for alone.
    pub stacks: Vec<Stack>,
    /// One for each frame.
    pub symbols: Vec<Symbol>,
}

/// What a line profiler inside the program measured: every execution of every line of the functions that it was told of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedLines {
    /// Its name and version; None where it could not be used.
    pub profiler: Option<String>,
    /// Why there is nothing, where there is nothing.
    pub hindrance: Option<String>,
    pub wall: Nanos,
    pub functions: Vec<TimedFunction>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimedFunction {
    /// Absolute.
    pub file: String,
    pub first_line: u32,
    /// (line, executions, time) in the order of the lines.
    pub lines: Vec<(u32, u64, Nanos)>,
}

/// What Python's tracemalloc counted: bytes that were allocated and not freed when their process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocated {
    /// Why there is nothing, where there is nothing.
    pub hindrance: Option<String>,
    pub wall: Nanos,
    /// At the end, of all processes.
    pub live: u64,
    /// The highest of one process.
    pub peak: u64,
    /// Most bytes first.
    pub functions: Vec<AllocatedBy>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocatedBy {
    /// Absolute.
    pub file: String,
    pub first_line: u32,
    /// Where most of it was allocated; 0: not known.
    pub line: u32,
    /// The project's function that is innermost on the stack of the allocation.
    pub function: String,
    pub bytes: u64,
    pub blocks: u64,
}

impl SampledAgain {
    /// Of the names: `recording.symbols` is filled.
    pub fn of(recording: Recording) -> SampledAgain {
        let mut counts: Vec<(StackId, u64)> = Vec::new();
        let mut known: FxHashMap<StackId, StackId> = FxHashMap::default();
        let mut stacks = Vec::new();
        for event in &recording.events {
            let Event::Sample(sample) = event else { continue };
            let weight = u64::from(recording.meta.sample_every(sample.at));
            let id = *known.entry(sample.stack).or_insert_with(|| {
                let id = StackId(stacks.len() as u32);
                stacks.push(recording.stack(sample.stack).clone());
                counts.push((id, 0));
                id
            });
            if let Some((_, count)) = counts.get_mut(id.0 as usize) {
                *count = count.saturating_add(weight);
            }
        }
        SampledAgain {
            sample_hz: recording.meta.sample_hz,
            wall: recording.meta.wall,
            ending: recording.meta.ending,
            interrupted: recording.meta.interrupted,
            names: StackNames::of(recording, stacks),
            samples: counts,
        }
    }
}

impl StackNames {
    /// Of a recording whose symbols are filled.
    pub fn of(recording: Recording, stacks: Vec<Stack>) -> StackNames {
        let Recording { modules, codes, kernel_symbols, frames, python_frames, symbols, .. } = recording;
        StackNames { modules, codes, kernel_symbols, frames, python_frames, stacks, symbols }
    }

    /// What names stacks reads: `meta` of the first run says what is the project's.
    pub fn recording(&self, meta: &Meta) -> Recording {
        Recording {
            meta: meta.clone(),
            modules: self.modules.clone(),
            codes: self.codes.clone(),
            kernel_symbols: self.kernel_symbols.clone(),
            frames: self.frames.clone(),
            python_frames: self.python_frames.clone(),
            stacks: self.stacks.clone(),
            symbols: self.symbols.clone(),
            ..Recording::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Overload, Sample, StackEnd, TaskId, Thinned, Thinning};

    #[test]
    fn ticks_are_counted_by_stack_and_the_other_stacks_are_left() {
        let stack = |end| Stack { kernel: [].into(), native: [].into(), python: [].into(), end };
        let sample = |at, stack| Event::Sample(Sample { at: Nanos(at), task: TaskId(0), stack: StackId(stack) });
        let thinned =
            Thinned { at: Nanos(5), what: Thinning::Sampling { every: 2 }, why: Overload::RingFull { lost: 1 } };
        let recording = Recording {
            meta: Meta { sample_hz: 999, thinned: vec![thinned], ..Meta::default() },
            stacks: vec![stack(StackEnd::TooDeep), stack(StackEnd::NoRule), stack(StackEnd::Complete)],
            events: vec![sample(1, 2), sample(2, 0), sample(6, 2)],
            ..Recording::default()
        };
        let again = SampledAgain::of(recording);
        assert_eq!(again.samples, [(StackId(0), 3), (StackId(1), 1)]);
        assert_eq!(again.names.stacks, [stack(StackEnd::Complete), stack(StackEnd::TooDeep)]);
    }
}
