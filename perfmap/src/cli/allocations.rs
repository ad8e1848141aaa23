//! `--allocations`: the command runs once more with probes at malloc and its like → what each stack allocated, and what of it was alive
//! at the end. In that run alone: each call traps into the kernel.

use std::path::PathBuf;

use super::{
    console::Console,
    errors::Failure,
    plan::TracePlan,
    progress::Progress,
    runner::{Learned, Purpose, Runner},
    trace::complete,
};
use crate::{
    collect::AllocationPlan,
    recording::{Nanos, NativeAllocations, Recording},
};

/// So many times as long as without it the run may take; and at least so long.
const SLOWER: u64 = 10;
const LEAST: Nanos = Nanos(20_000_000_000);

pub fn look(
    plan: &TracePlan,
    learned: Learned,
    recording: &mut Recording,
    progress: &Progress<'_>,
    console: &Console,
) -> Result<Learned, Failure> {
    progress.again(
        "once more with probes at malloc and free (each call of them takes longer; no file is changed, no code is brought in)",
    );
    let files = recording.modules.iter().map(|module| PathBuf::from(&module.path)).filter(|path| path.is_absolute());
    let limit = Nanos(recording.meta.wall.0.saturating_mul(SLOWER)).max(LEAST);
    let mut runner = Runner::new(plan, learned)?;
    runner.look_at(AllocationPlan { files: files.collect(), limit });
    let outcome = runner.run(Purpose::Allocations, console);
    let learned = runner.learned();
    let none = |why: String| NativeAllocations { hindrance: Some(why), ..NativeAllocations::default() };
    let found = match outcome {
        Ok(mut outcome) if outcome.recording.meta.ending == recording.meta.ending => match outcome.allocations.take() {
            Some(seen) => seen.named(complete(plan, None, outcome, progress)),
            None => none("there is no eBPF".into()),
        },
        Ok(_) => none("the run with it did not end as the one without it".into()),
        Err(Failure::Interrupted { .. }) => none("the run with it was stopped".into()),
        Err(failure) => none(failure.to_string()),
    };
    if let Some(hindrance) = &found.hindrance {
        console.warning(&format!("no allocations are counted: {hindrance}"));
    }
    recording.closer.native = Some(found);
    Ok(learned)
}
