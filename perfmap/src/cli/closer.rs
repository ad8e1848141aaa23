//! The profiled run has too few samples for the lines of a hot function → the command is run once more at a higher rate, and its
//! samples are kept beside the first run's; and the runs that options ask for. Not where the command failed or was stopped: it would do so again, or do other work.

use super::{
    allocations,
    console::Console,
    errors::Failure,
    instrument,
    plan::TracePlan,
    progress::Progress,
    runner::{Learned, Purpose, Runner},
    trace::complete,
};
use crate::{
    analyze::{self, HIGHER_HZ},
    correlate,
    map::{self, MapOptions},
    recording::{Ending, Recording, SampledAgain},
    resolve,
};

pub fn look(
    plan: &TracePlan,
    learned: Learned,
    recording: &mut Recording,
    progress: &mut Progress<'_>,
    console: &Console,
) -> Result<(), Failure> {
    let meta = &recording.meta;
    let whole = meta.ending == Some(Ending::Exited(0)) && !meta.interrupted;
    let faster = plan.escalate && plan.sample_hz < HIGHER_HZ;
    if learned.is_without_ebpf() || !whole || !(faster || plan.instrument || plan.tracemalloc || plan.allocations) {
        return Ok(());
    }
    let (few, python) = {
        let resolved = resolve::resolve(recording);
        let correlated = correlate::correlate(recording);
        let map = map::build(recording, &resolved, &correlated, &MapOptions { min_share: plan.output.min_share });
        (analyze::too_few(recording, &resolved, &map), analyze::hot_python(&resolved, &map))
    };
    let mut learned = learned;
    if faster && !few.is_empty() {
        let rate = format!("at {} Hz", recording.meta.sample_hz);
        progress
            .again(&format!("{} {rate}: once more at {HIGHER_HZ} Hz for its lines (--no-escalate: not)", named(&few)));
        learned = sampled_again(plan, learned, recording, progress, console)?;
    }
    if plan.instrument {
        learned = instrument::time_lines(plan, learned, &python, recording, progress, console)?;
    }
    if plan.tracemalloc {
        learned = instrument::count_allocations(plan, learned, recording, progress, console)?;
    }
    if plan.allocations {
        allocations::look(plan, learned, recording, progress, console)?;
    }
    Ok(())
}

fn sampled_again(
    plan: &TracePlan,
    learned: Learned,
    recording: &mut Recording,
    progress: &Progress<'_>,
    console: &Console,
) -> Result<Learned, Failure> {
    let mut runner = Runner::new(plan, learned)?;
    let outcome = runner.run(Purpose::Closer { sample_hz: HIGHER_HZ }, console);
    let learned = runner.learned();
    match outcome {
        Ok(outcome) => {
            let again = complete(plan, None, outcome, progress);
            if again.meta.interrupted || again.meta.ending != recording.meta.ending {
                console.warning("the second run did not end as the first did: the lines are the first one's");
            }
            recording.closer.samples = Some(SampledAgain::of(again));
        }
        // Ctrl-C in it stops it, and not what is known already.
        Err(Failure::Interrupted { .. }) => {
            console.warning("the second run was stopped: the lines are the first one's")
        }
        Err(failure) => console.warning(&format!("no second run: {failure}")),
    }
    Ok(learned)
}

/// "parse has 12 samples".
fn named(few: &[(String, u64)]) -> String {
    let named = few.iter().map(|(function, samples)| {
        format!("{function} has {samples} {}", if *samples == 1 { "sample" } else { "samples" })
    });
    named.collect::<Vec<_>>().join(", ")
}
