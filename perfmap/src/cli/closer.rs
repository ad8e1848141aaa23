//! The profiled run has too few samples for the lines of a hot function → the command is run once more at a higher rate, and its
//! samples are kept beside the first run's. Not where the command failed or was stopped: it would do so again, or do other work.

use super::{
    console::Console,
    errors::Failure,
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
    if !plan.escalate || learned.is_plain() || !whole || plan.sample_hz >= HIGHER_HZ {
        return Ok(());
    }
    let Some(why) = reason(recording, plan) else { return Ok(()) };
    progress.again(&format!(
        "{why} at {} Hz: once more at {HIGHER_HZ} Hz for its lines (--no-escalate: not)",
        meta.sample_hz
    ));
    let mut runner = Runner::new(plan, learned)?;
    let outcome = runner.run(Purpose::Closer { sample_hz: HIGHER_HZ }, console);
    drop(runner);
    match outcome {
        Ok(outcome) => {
            let again = complete(plan, None, outcome, progress);
            let (ending, interrupted) = (again.meta.ending, again.meta.interrupted);
            if interrupted || ending != recording.meta.ending {
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
    Ok(())
}

/// "parse has 12 samples".
fn reason(recording: &Recording, plan: &TracePlan) -> Option<String> {
    let resolved = resolve::resolve(recording);
    let correlated = correlate::correlate(recording);
    let map = map::build(recording, &resolved, &correlated, &MapOptions { min_share: plan.output.min_share });
    let few = analyze::too_few(recording, &resolved, &map);
    let named = few.iter().map(|(function, samples)| {
        format!("{function} has {samples} {}", if *samples == 1 { "sample" } else { "samples" })
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| named.join(", "))
}
