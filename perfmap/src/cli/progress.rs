//! What is being done, how far it is, and when it will end.
//!
//! While the command runs its output and ours share one terminal (it has our standard error), and a line that is drawn
//! again and again would be torn apart by it. So runs get one plain line each, between the runs; the live line
//! (indicatif) is for the stages after the last run, where the terminal is ours alone.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::console::Console;
use crate::{baseline::Phase, recording::Nanos};

#[derive(Debug)]
pub struct Progress<'a> {
    console: &'a Console,
    /// Of the runs so far, warm-ups included.
    walls: Vec<Nanos>,
    /// Runs that are still to be made, the one that is running included.
    left: u32,
}

impl<'a> Progress<'a> {
    pub fn new(console: &'a Console, runs: u32) -> Progress<'a> {
        Progress { console, walls: Vec::new(), left: runs }
    }

    pub fn begin(&self, phase: Option<Phase>) {
        self.console.line(&line(phase, &self.walls, self.left));
    }

    /// A run that was not foreseen.
    pub fn again(&self, why: &str) {
        self.console.line(&format!("again      {why}"));
    }

    pub fn end(&mut self, wall: Nanos) {
        self.walls.push(wall);
        self.left = self.left.saturating_sub(1);
    }

    /// A stage after the runs; drawn where a terminal is there to draw on.
    pub fn stage(&self, what: &'static str) -> Stage {
        if !self.console.can_redraw() {
            self.console.detail(what);
            return Stage(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Stage(Some(bar))
    }
}

/// Ends with its scope and leaves no trace on the terminal.
#[derive(Debug)]
pub struct Stage(Option<ProgressBar>);

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// None as phase: the profiled run.
fn line(phase: Option<Phase>, walls: &[Nanos], left: u32) -> String {
    let what = match phase {
        Some(Phase::WarmUp { number, of }) => format!("baseline   warm-up {number} of {of}"),
        Some(Phase::Counted { number, of }) => format!("baseline   run {number} of {of}"),
        None => "profiled   run 1 of 1".to_owned(),
    };
    let Some(last) = walls.last() else { return what };
    // The last run is the best forecast: the first one filled the caches.
    let to_go = Nanos(last.0.saturating_mul(u64::from(left)));
    format!("{what:<24}   last run {}, about {} to go", seconds(*last), seconds(to_go))
}

fn seconds(length: Nanos) -> String {
    match length.0 {
        0..10_000_000_000 => format!("{:.2} s", length.as_ms() / 1e3),
        10_000_000_000..100_000_000_000 => format!("{:.0} s", length.as_ms() / 1e3),
        _ => format!("{:.0} min", length.as_ms() / 6e4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_phase_run_last_and_rest() {
        let warm = Some(Phase::WarmUp { number: 1, of: 1 });
        assert_eq!(line(warm, &[], 5), "baseline   warm-up 1 of 1");
        let second = Some(Phase::Counted { number: 2, of: 3 });
        let walls = [Nanos(9_000_000_000), Nanos(7_280_000_000)];
        assert_eq!(line(second, &walls, 3), "baseline   run 2 of 3      last run 7.28 s, about 22 s to go");
        assert_eq!(
            line(None, &[Nanos(200_000_000_000)], 1),
            "profiled   run 1 of 1      last run 3 min, about 3 min to go"
        );
    }
}
