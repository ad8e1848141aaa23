//! `--sweep`: the command, run without probes with several numbers of workers, in turn.
//!
//! Rounds go up and down through the numbers by turns, so that what drifts (a warming machine, a growing table) does not
//! look like an effect of the workers. Ctrl-C ends it and keeps what was measured.

use std::{os::fd::AsFd, time::Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    capture::{Capture, Told},
    console::Console,
    errors::{Failure, ending_text},
    plan::TracePlan,
    runner::{control, interrupted_by_terminal, now},
    work::ScalePlan,
};
use crate::{
    collect::Control,
    recording::{Ending, Nanos, SweepRun, Work},
    target::{Command, Escalation, Held, Signals},
};

const TICK_MS: u16 = 20;

/// Adds the runs to `work`. True: Ctrl-C ended it.
pub fn sweep(plan: &TracePlan, scale: &ScalePlan, work: &mut Work, console: &Console) -> Result<bool, Failure> {
    let Some(by) = &scale.by else { return Ok(false) };
    let signals =
        Signals::install().map_err(|error| Failure::Internal { what: format!("signal handlers: {error}") })?;
    let began = Instant::now();
    let mut broken: Vec<u32> = Vec::new();
    for (round, workers) in order(&scale.counts, scale.runs) {
        if broken.contains(&workers) {
            continue;
        }
        if began.elapsed() >= scale.limit {
            console.warning(&format!(
                "the sweep has taken {:?}: it ends here, with the runs made so far (--sweep-limit allows more)",
                scale.limit
            ));
            break;
        }
        let of = if workers == 1 { "1 worker" } else { &format!("{workers} workers") };
        console.line(&format!("sweep      {of}, run {round} of {}", scale.runs));
        let command = by.with(&plan.command, workers);
        let run = run(&command, plan, &signals)?;
        if run.interrupted {
            console.note("interrupted: the sweep ends here, what was measured is kept");
            return Ok(true);
        }
        let failed = run.ending != Some(Ending::Exited(0));
        if failed {
            console.warning(&format!("with {of} the command ended with {}: left out", ending_text(run.ending)));
            broken.push(workers);
        }
        let items = run.told.progress.last().map(|last| last.done);
        work.add_sweep(SweepRun { workers, items, wall: run.wall, failed });
    }
    Ok(false)
}

/// (round from 1, workers).
fn order(counts: &[u32], runs: u32) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    for round in 1..=runs {
        let mut turn: Vec<(u32, u32)> = counts.iter().map(|workers| (round, *workers)).collect();
        if round % 2 == 0 {
            turn.reverse();
        }
        all.extend(turn);
    }
    all
}

struct Run {
    wall: Nanos,
    ending: Option<Ending>,
    interrupted: bool,
    told: Told,
}

fn run(command: &Command, plan: &TracePlan, signals: &Signals) -> Result<Run, Failure> {
    let capture = plan.work.progress.as_ref().map(|pattern| Capture::begin(pattern, command)).transpose()?;
    let command = capture.as_ref().map_or_else(|| command.clone(), |capture| capture.of(command));
    let held = Held::spawn(&command)?;
    let remote = held.remote();
    let began = Instant::now();
    let mut running = held.release()?;
    let mut escalation = Escalation::default();
    let mut killed = false;
    let ending = loop {
        let ended = running.try_wait();
        let ended = ended.map_err(|error| Failure::Internal { what: format!("waiting for the command: {error}") })?;
        if ended.is_some() || killed {
            break ended;
        }
        killed = control(signals, &mut escalation, now(began), &remote) == Control::Abort;
        let _ = poll(&mut [PollFd::new(running.pidfd().as_fd(), PollFlags::POLLIN)], PollTimeout::from(TICK_MS));
    };
    let wall = now(began);
    let told = capture.map(Capture::finish).unwrap_or_default();
    let stopped = escalation.interrupted() || escalation.stop_signal().is_some() || killed;
    Ok(Run { wall, ending, interrupted: stopped || interrupted_by_terminal(ending), told })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_go_up_and_down_by_turns() {
        let order = order(&[1, 2, 4], 3);
        let workers: Vec<u32> = order.iter().map(|(_, workers)| *workers).collect();
        assert_eq!(workers, [1, 2, 4, 4, 2, 1, 1, 2, 4]);
        assert_eq!(order.last(), Some(&(3, 4)));
        // Over two rounds each number has the same mean place: a steady drift touches all alike.
        for wanted in [1, 2, 4] {
            let places: usize = (0..6).filter(|at| workers[*at] == wanted).sum();
            assert_eq!(places, 5);
        }
    }
}
