//! What a run with probes at the allocators saw, by stack → by function of the project: bytes, blocks, and what is alive at the end,
//! each with the error that drawing brings. And where in a function most was allocated that is alive, whichever run told it.

use std::collections::BTreeMap;

use crate::{
    map::{self, Innermost},
    recording::{Estimate, Nanos, NativeAllocations, Recording},
    resolve,
};

/// Functions that are named, those with most bytes alive and those with most bytes at all.
const NAMED: usize = 5;

#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    pub calls: u64,
    pub bytes: u64,
    pub frees: u64,
    /// Of all functions, also outside the project.
    pub alive: Amount,
    pub untracked: u64,
    pub lost: u64,
    pub unwatched: u32,
    pub stopped: Option<Nanos>,
    pub wall: Nanos,
    /// In which the program ran without it.
    pub before: Nanos,
    /// Most bytes alive first, then most bytes.
    pub functions: Vec<Allocating>,
}

/// Half widths of 95 % intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    pub bytes: u64,
    pub bytes_error: f64,
    pub blocks: f64,
    pub blocks_error: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Allocating {
    pub function: String,
    pub file: String,
    /// With most bytes of what is alive; of all where nothing is.
    pub line: Option<u32>,
    pub all: Amount,
    pub alive: Amount,
}

impl Native {
    /// What the probes cost for each call.
    pub fn per_call(&self) -> Nanos {
        Nanos(self.wall.since(self.before).0 / self.calls.saturating_add(self.frees).max(1))
    }
}

#[derive(Default)]
struct Sum {
    all: Estimate,
    alive: Estimate,
    lines: BTreeMap<u32, (u64, u64)>,
}

pub fn native(recording: &Recording, seen: &NativeAllocations) -> Native {
    let mut total = Estimate::default();
    seen.by_stack.iter().for_each(|at| total.add(&at.alive));
    let mut functions = functions(recording, seen);
    let mut named: Vec<Allocating> = Vec::new();
    let mut take = |functions: &[Allocating]| {
        for one in functions.iter().take(NAMED) {
            if !named.contains(one) {
                named.push(one.clone());
            }
        }
    };
    functions.retain(|one| one.all.bytes > 0);
    functions.sort_by(|a, b| b.all.bytes.cmp(&a.all.bytes).then_with(|| a.function.cmp(&b.function)));
    let by_bytes = functions.clone();
    functions.retain(|one| one.alive.bytes > 0);
    functions.sort_by(|a, b| b.alive.bytes.cmp(&a.alive.bytes).then_with(|| a.function.cmp(&b.function)));
    take(&functions);
    take(&by_bytes);
    let NativeAllocations { calls, bytes, frees, untracked, lost, unwatched, stopped, wall, .. } = *seen;
    let (alive, before) = (amount(&total, seen.mean), recording.meta.wall);
    Native { calls, bytes, frees, alive, untracked, lost, unwatched, stopped, wall, before, functions: named }
}

/// By what is innermost of the project's on the stack.
fn functions(recording: &Recording, seen: &NativeAllocations) -> Vec<Allocating> {
    let named = seen.names.recording(&recording.meta);
    let own = map::innermost(&named, &resolve::resolve(&named));
    let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for at in &seen.by_stack {
        let Some(Some(Innermost { function, file, line, importing: _ })) = own.get(at.stack.0 as usize) else {
            continue;
        };
        let sum = sums.entry((function, file)).or_default();
        sum.all.add(&at.all);
        sum.alive.add(&at.alive);
        if let Some(line) = line {
            let of_line = sum.lines.entry(*line).or_default();
            of_line.0 = of_line.0.saturating_add(at.alive.bytes(seen.mean));
            of_line.1 = of_line.1.saturating_add(at.all.bytes(seen.mean));
        }
    }
    let one = |((function, file), sum): ((&str, &str), Sum)| Allocating {
        function: function.to_owned(),
        file: file.to_owned(),
        line: sum.lines.iter().max_by_key(|(line, bytes)| (**bytes, u32::MAX - **line)).map(|(line, _)| *line),
        all: amount(&sum.all, seen.mean),
        alive: amount(&sum.alive, seen.mean),
    };
    sums.into_iter().map(one).collect()
}

fn amount(of: &Estimate, mean: u64) -> Amount {
    Amount {
        bytes: of.bytes(mean),
        bytes_error: of.bytes_error(mean),
        blocks: of.blocks,
        blocks_error: of.blocks_error(),
    }
}

/// Who allocated most of what was alive at the end, as a run of its own has told.
#[derive(Debug, Clone, PartialEq)]
pub struct Keeper {
    pub function: String,
    pub line: Option<u32>,
    pub bytes: u64,
    pub told_by: &'static str,
}

/// Of `function`, where it is among them; else the first of all. None where no such run was made, or it saw nothing alive.
pub fn keeper(recording: &Recording, function: &str) -> Option<Keeper> {
    let closer = &recording.closer;
    let mut keepers: Vec<Keeper> = Vec::new();
    for by in closer.allocated.iter().flat_map(|allocated| &allocated.functions) {
        let line = Some(by.line).filter(|line| *line != 0);
        keepers.push(Keeper { function: by.function.clone(), line, bytes: by.bytes, told_by: "tracemalloc" });
    }
    if let Some(seen) = closer.native.as_ref().filter(|seen| seen.hindrance.is_none()) {
        for one in functions(recording, seen) {
            let Allocating { function, line, alive, .. } = one;
            keepers.push(Keeper { function, line, bytes: alive.bytes, told_by: "probes at the allocator" });
        }
    }
    keepers.retain(|keeper| keeper.bytes > 0);
    keepers.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.function.cmp(&b.function)));
    let own = keepers.iter().find(|keeper| keeper.function == function).cloned();
    own.or_else(|| keepers.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Allocated, AllocatedAt, AllocatedBy, Frame, FrameId, Stack, StackEnd, StackId, StackNames};

    fn seen() -> NativeAllocations {
        let stack = |frame| Stack {
            kernel: [].into(),
            native: [FrameId(frame)].into(),
            python: [].into(),
            end: StackEnd::Complete,
        };
        let at = |stack, points, alive| AllocatedAt {
            stack: StackId(stack),
            all: Estimate { points, blocks: points as f64, blocks_variance: points as f64, whole: 0 },
            alive: Estimate { points: alive, blocks: alive as f64, blocks_variance: alive as f64, whole: 0 },
        };
        NativeAllocations {
            mean: 1000,
            calls: 400,
            frees: 100,
            bytes: 130_000,
            wall: Nanos(2_000_000),
            names: StackNames {
                frames: vec![
                    Frame::Jit { name: "a".into(), place: None },
                    Frame::Jit { name: "b".into(), place: None },
                ],
                stacks: vec![stack(0), stack(1)],
                ..StackNames::default()
            },
            by_stack: vec![at(0, 100, 4), at(1, 30, 25)],
            ..NativeAllocations::default()
        }
    }

    #[test]
    fn what_is_alive_is_estimated_with_its_error() {
        let mut recording = Recording::default();
        recording.meta.wall = Nanos(1_000_000);
        let found = native(&recording, &seen());
        assert_eq!((found.alive.bytes, found.calls, found.before), (29_000, 400, Nanos(1_000_000)));
        assert!((found.alive.bytes_error - 1960.0 * 29.0_f64.sqrt()).abs() < 1e-6);
        assert_eq!(found.per_call(), Nanos(2000));
    }

    #[test]
    fn the_keeper_is_the_functions_own_or_the_first() {
        let mut recording = Recording::default();
        assert_eq!(keeper(&recording, "load"), None);
        let by = |function: &str, bytes, line| AllocatedBy {
            file: "/a.py".into(),
            first_line: 2,
            line,
            function: function.into(),
            bytes,
            blocks: 1,
        };
        let functions = vec![by("fill", 9, 4), by("load", 5, 0), by("none", 0, 1)];
        recording.closer.allocated = Some(Allocated { functions, ..Allocated::default() });
        let told = |function| keeper(&recording, function).map(|keeper| (keeper.function, keeper.line, keeper.bytes));
        assert_eq!(told("load"), Some(("load".into(), None, 5)));
        assert_eq!(told("none"), Some(("fill".into(), Some(4), 9)));
    }
}
