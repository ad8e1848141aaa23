//! What was said and seen about the amount of work: what the user typed, what the command's output told, and the rates
//! of unprofiled runs with other numbers of workers. Nothing is concluded here.
//!
//! Bounded: a command that tells its progress a million times leaves a series thinned evenly in time.

use serde::{Deserialize, Serialize};

use super::Nanos;

/// Progress that is kept: a point each 10 s of half a day.
pub const MOST_PROGRESS: usize = 4096;
/// Runs of a sweep that are kept: 32 numbers of workers with 32 runs each.
pub const MOST_SWEEP: usize = 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// `--items N`: items of this run.
    pub items: Option<u64>,
    /// `--total N`: items of the whole job.
    pub total: Option<u64>,
    /// `--workers N`.
    pub workers: Option<u32>,
    /// What `--progress REGEX` captured from the profiled run's output, in order of time.
    pub progress: Vec<Progress>,
    /// `--sweep`: unprofiled runs with so many workers each.
    pub sweep: Vec<SweepRun>,
    /// `--sample`: only a part of a longer run was recorded.
    pub sampled: Option<Sampled>,
    /// `perfmap scale` was asked; else the workers were found without a question.
    pub asked: bool,
}

/// One line of output that told how far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the origin, as events are.
    pub at: Nanos,
    pub done: u64,
    pub total: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepRun {
    pub workers: u32,
    /// Where the run told it; else each run is taken to do the same work.
    pub items: Option<u64>,
    pub wall: Nanos,
    /// It did not end with 0: its rate says nothing.
    pub failed: bool,
}

/// The recording is a window of a longer run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sampled {
    /// How long the run had gone on before the window; None: not known.
    pub ran_before: Option<Nanos>,
    /// What the last progress before the window told.
    pub done_before: Option<u64>,
}

impl Work {
    /// The newest point is always kept. Where there is no room every second one goes.
    pub fn add_progress(&mut self, progress: Progress) {
        if self.progress.len() >= MOST_PROGRESS {
            let mut index = 0;
            self.progress.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.progress.push(progress);
    }

    /// What is over the bound is left out.
    pub fn add_sweep(&mut self, run: SweepRun) {
        if self.sweep.len() < MOST_SWEEP {
            self.sweep.push(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_thinned_evenly_and_ends_with_the_newest() {
        let mut work = Work::default();
        let last = 50_000;
        for done in 0..=last {
            work.add_progress(Progress { at: Nanos(done * 10), done, total: None });
        }
        let kept: Vec<u64> = work.progress.iter().map(|progress| progress.done).collect();
        assert!(kept.len() <= MOST_PROGRESS && kept.len() > MOST_PROGRESS / 4, "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (0, last));
        assert!(work.progress.is_sorted_by_key(|progress| progress.at));
    }

    #[test]
    fn a_sweep_is_bounded() {
        let mut work = Work::default();
        for workers in 0..3000 {
            work.add_sweep(SweepRun { workers, items: None, wall: Nanos(1), failed: false });
        }
        assert_eq!(work.sweep.len(), MOST_SWEEP);
    }
}
