//! How many runs, which of them count, and when to stop: without knowing how a run is made, and without a clock.

use crate::recording::{Baseline, Ending, Metrics};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Discarded: they fill caches and compile.
    pub warmups: u32,
    pub runs: u32,
}

/// Which run it is; counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    WarmUp { number: u32, of: u32 },
    Counted { number: u32, of: u32 },
}

#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    pub metrics: Metrics,
    /// None: its ending was not seen.
    pub ending: Option<Ending>,
    /// The user asked to stop while it ran.
    pub interrupted: bool,
}

/// What is told after each run.
#[derive(Debug)]
pub struct Observed<'a> {
    pub phase: Phase,
    pub metrics: &'a Metrics,
}

#[derive(Debug, PartialEq)]
pub enum BaselineError<E> {
    /// The command does not work by itself: profiling it would explain a failure.
    CommandFailed {
        phase: Phase,
        ending: Option<Ending>,
    },
    Interrupted,
    Run(E),
}

pub fn measure<E>(
    schedule: Schedule,
    run: &mut dyn FnMut(Phase) -> Result<RunResult, E>,
    observe: &mut dyn FnMut(Observed<'_>),
) -> Result<Baseline, BaselineError<E>> {
    let Schedule { warmups, runs } = schedule;
    let warm = (1..=warmups).map(|number| Phase::WarmUp { number, of: warmups });
    let counted = (1..=runs).map(|number| Phase::Counted { number, of: runs });
    let mut baseline = Baseline { warmups, ..Baseline::default() };
    for phase in warm.chain(counted) {
        let RunResult { metrics, ending, interrupted } = run(phase).map_err(BaselineError::Run)?;
        if interrupted {
            return Err(BaselineError::Interrupted);
        }
        if ending != Some(Ending::Exited(0)) {
            return Err(BaselineError::CommandFailed { phase, ending });
        }
        observe(Observed { phase, metrics: &metrics });
        if matches!(phase, Phase::Counted { .. }) {
            baseline.runs.push(metrics);
        }
    }
    Ok(baseline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Nanos;

    /// A command whose k-th run takes k ms and ends as told.
    fn play(warmups: u32, runs: u32, endings: &[(Ending, bool)]) -> (Result<Baseline, BaselineError<String>>, usize) {
        let mut made = 0;
        let mut told = 0;
        let result = measure(
            Schedule { warmups, runs },
            &mut |_| {
                let (ending, interrupted) = *endings.get(made).ok_or("no more runs")?;
                made += 1;
                let metrics = Metrics { wall: Nanos(made as u64 * 1_000_000), ..Metrics::default() };
                Ok(RunResult { metrics, ending: Some(ending), interrupted })
            },
            &mut |_| told += 1,
        );
        if result.is_ok() {
            assert_eq!(told, made, "each good run is told");
        }
        (result, made)
    }

    const GOOD: (Ending, bool) = (Ending::Exited(0), false);

    #[test]
    fn warm_ups_are_discarded() {
        let (result, made) = play(1, 3, &[GOOD; 4]);
        let baseline = result.expect("all runs are good");
        assert_eq!(made, 4);
        assert_eq!(baseline.warmups, 1);
        let walls: Vec<f64> = baseline.runs.iter().map(|run| run.wall.as_ms()).collect();
        assert_eq!(walls, [2.0, 3.0, 4.0]);
    }

    #[test]
    fn the_first_failure_ends_it() {
        let failed = (Ending::Exited(1), false);
        let (result, made) = play(1, 3, &[failed, GOOD, GOOD]);
        let phase = Phase::WarmUp { number: 1, of: 1 };
        assert_eq!(result, Err(BaselineError::CommandFailed { phase, ending: Some(failed.0) }));
        assert_eq!(made, 1);
        let killed = (Ending::Killed(9), false);
        let (result, made) = play(0, 3, &[GOOD, killed, GOOD]);
        let phase = Phase::Counted { number: 2, of: 3 };
        assert_eq!(result, Err(BaselineError::CommandFailed { phase, ending: Some(killed.0) }));
        assert_eq!(made, 2);
    }

    #[test]
    fn an_interrupt_is_no_failure_of_the_command() {
        let (result, _) = play(1, 3, &[GOOD, (Ending::Killed(2), true)]);
        assert_eq!(result, Err(BaselineError::Interrupted));
    }

    #[test]
    fn errors_of_the_runner_come_through() {
        assert_eq!(play(1, 3, &[GOOD]).0, Err(BaselineError::Run("no more runs".to_owned())));
    }
}
