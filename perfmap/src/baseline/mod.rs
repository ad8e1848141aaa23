//! The command, run a few times without deep probes → what it costs by itself: the figures that a later change is
//! compared with, and the proof that the command works before it is profiled.
//!
//! Does not know how a run is made ([`measure`] is given one) nor how figures are shown.

mod file;
mod last_lines;
mod metrics;
mod progress;
mod schedule;
mod statistics;

pub use file::{BaselineFile, BaselineFileError, FILE_LIMIT};
pub use last_lines::Witness;
pub use metrics::metrics;
pub use progress::{PatternError, ProgressPattern, ProgressReader};
pub use schedule::{BaselineError, Observed, Phase, RunResult, Schedule, measure};
pub use statistics::{Statistics, statistics};
