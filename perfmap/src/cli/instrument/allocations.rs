//! `--tracemalloc`: the command runs once more with Python's own tracemalloc → what each of the project's functions allocated that
//! was still alive when its process ended.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Hooked, nobody, run_with, short};
use crate::{
    cli::{console::Console, errors::Failure, plan::TracePlan, progress::Progress, runner::Learned},
    recording::{Allocated, AllocatedBy, Nanos, Recording},
};

const HOOK: &str =
    concat!(include_str!("site_head.py"), include_str!("tracemalloc_site.py"), include_str!("site_tail.py"));
/// That are kept, those with most bytes.
const FUNCTIONS: usize = 100;

pub fn count_allocations(
    plan: &TracePlan,
    learned: Learned,
    recording: &mut Recording,
    progress: &Progress<'_>,
    console: &Console,
) -> Result<Learned, Failure> {
    progress.again(
        "once more with tracemalloc in the Python processes (PYTHONPATH has a directory of perfmap's first; no file is changed)",
    );
    let roots: Vec<String> = recording.meta.project_roots.iter().map(|root| root.display().to_string()).collect();
    let variable = ("PERFMAP_MEMORY_ROOTS", roots.join("\n").into());
    let (hooked, learned) = run_with(plan, learned, HOOK, [variable], "PERFMAP_MEMORY_OUT", recording, console)?;
    let found = match hooked {
        Hooked::Told(told, wall) => together(told, wall),
        Hooked::Nothing(why) => Allocated { hindrance: Some(why), ..Allocated::default() },
    };
    if let Some(hindrance) = &found.hindrance {
        console.warning(&format!("no allocations are counted: {hindrance}"));
    }
    recording.closer.allocated = Some(found);
    Ok(learned)
}

/// What one process wrote.
#[derive(Debug, Deserialize)]
struct Told {
    hindrance: Option<String>,
    live: u64,
    peak: u64,
    functions: Vec<ToldFunction>,
}

#[derive(Debug, Deserialize)]
struct ToldFunction {
    file: String,
    line: u32,
    at: u32,
    function: String,
    bytes: u64,
    blocks: u64,
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    blocks: u64,
    /// Of the process with most bytes.
    line: (u64, u32),
}

/// Sums over all processes; the peak is the highest of one of them.
fn together(told: Vec<Told>, wall: Nanos) -> Allocated {
    let mut found = Allocated { wall, ..Allocated::default() };
    let mut hindrance = if told.is_empty() { Some(nobody()) } else { None };
    let mut any = false;
    let mut sums: BTreeMap<(String, u32, String), Sum> = BTreeMap::new();
    for one in told {
        any |= one.hindrance.is_none();
        hindrance = hindrance.or(one.hindrance);
        found.live = found.live.saturating_add(one.live);
        found.peak = found.peak.max(one.peak);
        for function in one.functions.into_iter().take(FUNCTIONS) {
            let key = (short(function.file), function.line, short(function.function));
            let sum = sums.entry(key).or_default();
            sum.bytes = sum.bytes.saturating_add(function.bytes);
            sum.blocks = sum.blocks.saturating_add(function.blocks);
            sum.line = sum.line.max((function.bytes, function.at));
        }
    }
    found.hindrance = hindrance.filter(|_| !any).map(short);
    let by = |((file, first_line, function), Sum { bytes, blocks, line: (_, line) })| AllocatedBy {
        file,
        first_line,
        line,
        function,
        bytes,
        blocks,
    };
    found.functions = sums.into_iter().map(by).collect();
    found
        .functions
        .sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| (&a.file, a.first_line).cmp(&(&b.file, b.first_line))));
    found.functions.truncate(FUNCTIONS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_added_up() {
        let one = |live, peak, bytes| {
            let text = format!(
                r#"{{"hindrance": null, "live": {live}, "peak": {peak}, "functions": [
                {{"file": "/a.py", "line": 2, "at": {peak}, "function": "load", "bytes": {bytes}, "blocks": 3}}]}}"#
            );
            serde_json::from_str::<Told>(&text).expect("as the hook writes it")
        };
        let found = together(vec![one(10, 40, 7), one(20, 30, 8)], Nanos(9));
        let by = AllocatedBy {
            file: "/a.py".into(),
            first_line: 2,
            line: 30,
            function: "load".into(),
            bytes: 15,
            blocks: 6,
        };
        let all = Allocated { hindrance: None, wall: Nanos(9), live: 30, peak: 40, functions: vec![by] };
        assert_eq!(found, all);
        assert!(together(vec![], Nanos(9)).hindrance.is_some_and(|why| why.contains("-S")));
    }
}
