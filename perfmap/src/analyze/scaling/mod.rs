//! How the rate changes with the number of workers, and when the whole job will be done: what unprofiled runs with other
//! numbers of workers and the command's own words about its progress tell ([`crate::recording::Work`]).
//!
//! Why the rate is what it is, others say; only of the files that are written anew it is told what they cost.

pub mod checkpoints;
pub mod curve;
pub mod fit;
pub mod forecast;
pub mod law;
mod student;

pub use checkpoints::{Checkpoint, checkpoints};
pub use curve::{Curve, Point, Unit};
pub use fit::{WhyNot, fit};
pub use forecast::{Forecast, Left, Rate, from_completions, from_progress};
pub use law::{Estimate, Peak, Usl};

use super::suspicions::Facts;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scaling {
    pub curve: Option<Curve>,
    pub forecast: Option<Forecast>,
    /// Those written most often first.
    pub checkpoints: Vec<Checkpoint>,
}

/// None where nothing was said or measured of it. `workers`: several were seen to do the same.
pub fn scaling(facts: &Facts<'_>, workers: bool) -> Option<Scaling> {
    let work = &facts.recording.work;
    let wanted = workers || work.asked || !work.progress.is_empty();
    let found = Scaling {
        curve: curve::curve(work),
        forecast: from_progress(work),
        checkpoints: if wanted { checkpoints(facts) } else { vec![] },
    };
    (found != Scaling::default()).then_some(found)
}
