//! What was typed about the amount of work → what will be measured of it, checked before anything runs.

use std::time::Duration;

use super::{
    errors::Failure,
    scale_args::{ScaleArgs, WorkArgs},
    workers::WorkersBy,
};
use crate::{
    baseline::{PatternError, ProgressPattern},
    recording::{MOST_SWEEP, Work},
    target::Command,
};

/// Numbers of workers in one sweep.
const MOST_COUNTS: usize = 32;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkPlan {
    /// Without progress and sweep, which the runs bring.
    pub said: Work,
    pub progress: Option<ProgressPattern>,
}

/// What `perfmap scale` does beside the trace.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScalePlan {
    pub by: Option<WorkersBy>,
    /// Rising, each once.
    pub counts: Vec<u32>,
    /// Runs with each number of workers.
    pub runs: u32,
    pub limit: Duration,
}

pub fn work_plan(typed: &WorkArgs) -> Result<WorkPlan, Failure> {
    let WorkArgs { items, total, progress, workers } = typed;
    let said = Work { items: *items, total: *total, workers: *workers, ..Work::default() };
    Ok(WorkPlan { said, progress: progress.as_deref().map(pattern).transpose()? })
}

fn pattern(typed: &str) -> Result<ProgressPattern, Failure> {
    ProgressPattern::new(typed).map_err(|error| Failure::Usage {
        hint: Some(match &error {
            PatternError::NotARegex(_) => "the syntax is that of most tools: 'done (\\d+)/(\\d+)'".into(),
            PatternError::NoCapture | PatternError::TooManyCaptures(_) => {
                "put brackets around the number of items that are done: 'done (\\d+)', and around the total where it is \
                 told too; (?:...) groups without capturing"
                    .into()
            }
        }),
        what: format!("--progress {typed:?}: {error}"),
    })
}

pub fn scale_plan(typed: &ScaleArgs) -> Result<ScalePlan, Failure> {
    let by = match (&typed.workers_env, &typed.workers_arg) {
        (Some(name), _) => Some(WorkersBy::environment(name)?),
        (None, Some(template)) => Some(WorkersBy::argument(template)?),
        (None, None) => None,
    };
    let mut counts = typed.sweep.clone();
    counts.sort_unstable();
    counts.dedup();
    let usage = |what: String, hint: &str| Err(Failure::Usage { what, hint: Some(hint.to_owned()) });
    if !counts.is_empty() && by.is_none() {
        return usage(
            "--sweep needs to know how the command is told its number of workers".into(),
            "--workers-env NAME for an environment variable, or --workers-arg '--workers {}' for an option",
        );
    }
    if by.is_some() && counts.is_empty() && typed.trace.work.workers.is_none() {
        return usage(
            "--workers-env and --workers-arg say how, but not how many workers".into(),
            "--sweep 1,2,4,8 tries several numbers; --workers 8 runs with this one",
        );
    }
    if counts.len() > MOST_COUNTS || counts.len() * typed.trace.runs as usize > MOST_SWEEP {
        return usage(
            format!(
                "--sweep with {} numbers of workers and {} runs of each is too much",
                counts.len(),
                typed.trace.runs
            ),
            "32 numbers and 1024 runs in all at most; doubling numbers (1,2,4,8) show a curve best",
        );
    }
    Ok(ScalePlan { by, counts, runs: typed.trace.runs, limit: typed.sweep_limit })
}

impl ScalePlan {
    /// The number of workers that the profiled run has: the one that was typed, else the command's own, else the most of
    /// the sweep, where what stands in their way shows most. None: nothing tells.
    pub fn workers(&self, typed: Option<u32>, command: &Command) -> Option<u32> {
        typed.or_else(|| self.by.as_ref()?.of(command)).or_else(|| self.counts.last().copied())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Subcommand};

    fn typed(words: &[&str]) -> Result<ScaleArgs, clap::Error> {
        let all = ["perfmap", "scale"].iter().chain(words);
        Args::try_parse_from(all).map(|args| match args.command {
            Subcommand::Scale(typed) => *typed,
            other => panic!("{other:?}"),
        })
    }

    fn planned(words: &[&str]) -> Result<ScalePlan, Failure> {
        scale_plan(&typed(words).expect("parses"))
    }

    #[test]
    fn a_sweep_with_its_numbers_in_order() {
        let plan = planned(&["--sweep", "8,1,4,2,4", "--workers-env", "W", "--runs", "2", "--", "x"]).expect("a plan");
        assert_eq!((plan.counts, plan.runs), (vec![1, 2, 4, 8], 2));
        let by_argument = planned(&["--sweep=1,2", "--workers-arg", "--workers {}", "--", "x", "--sweep"]);
        assert!(matches!(by_argument.expect("a plan").by, Some(WorkersBy::Argument(_))));
    }

    #[test]
    fn what_does_nothing_is_refused_with_a_hint() {
        for wrong in [
            &["--sweep", "1,2", "--", "x"][..],
            &["--workers-env", "W", "--", "x"],
            &["--workers-arg", "-j", "--workers", "3", "--", "x"],
            &["--sweep", "1,2", "--workers-env", "W", "--runs", "900", "--", "x"],
        ] {
            let failure = planned(wrong).expect_err("refused");
            assert_eq!((failure.exit_code(), failure.hint().is_some()), (2, true), "{wrong:?}: {failure}");
        }
        for wrong in [
            &["--sweep", "0,1", "--workers-env", "W", "--", "x"][..],
            &["--sample", "3s", "--sweep", "1,2", "--workers-env", "W", "--", "x"],
            &["--pid", "1"],
            &["--pid", "1", "--sample", "3s", "--", "x"],
            &["--after", "3s", "--", "x"],
            &[],
        ] {
            assert!(typed(wrong).is_err(), "{wrong:?}");
        }
        assert!(typed(&["--pid", "1", "--sample", "3s"]).is_ok(), "no command beside a running process");
    }

    #[test]
    fn patterns() {
        let of = |progress: &str| work_plan(&WorkArgs { progress: Some(progress.into()), ..WorkArgs::default() });
        assert!(of(r"(\d+)/(\d+)").is_ok());
        for wrong in ["done", "(", "(a)(b)(c)"] {
            assert!(of(wrong).expect_err("refused").hint().is_some(), "{wrong}");
        }
    }

    #[test]
    fn the_profiled_run_has_the_workers_that_were_typed_or_are_there_or_the_most() {
        let plan = planned(&["--sweep", "1,8", "--workers-env", "W", "--", "x"]).expect("a plan");
        let mut command = Command {
            argv: vec!["x".into()],
            working_directory: "/".into(),
            identity: None,
            environment: vec![],
            stdout_to_stderr: false,
            output: None,
        };
        assert_eq!(plan.workers(None, &command), Some(8));
        command.environment.push(("W".into(), "3".into()));
        assert_eq!(plan.workers(None, &command), Some(3));
        assert_eq!(plan.workers(Some(5), &command), Some(5));
    }
}
