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
pub use forecast::{Forecast, Left, Rate, from_items, from_progress};
pub use law::{Estimate, Peak, Usl};

use super::{
    parallelism::{ItemSource, Parallelism},
    suspicions::Facts,
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scaling {
    pub curve: Option<Curve>,
    pub forecast: Option<Forecast>,
    /// Those written most often first.
    pub checkpoints: Vec<Checkpoint>,
}

/// None where nothing was said or measured of it.
pub fn scaling(facts: &Facts<'_>, workers: Option<&Parallelism>) -> Option<Scaling> {
    let work = &facts.recording.work;
    let wanted = workers.is_some() || work.asked || !work.progress.is_empty();
    let found = Scaling {
        curve: curve::curve(work),
        forecast: from_progress(work).or_else(|| counted(facts, workers?)),
        checkpoints: if wanted { checkpoints(facts) } else { vec![] },
    };
    (found != Scaling::default()).then_some(found)
}

/// Of a sample, or where the whole job's size was told: what is counted goes on like that.
fn counted(facts: &Facts<'_>, workers: &Parallelism) -> Option<Forecast> {
    let work = &facts.recording.work;
    let seen = workers.items.iter().find(|items| matches!(items.source, ItemSource::Repetition | ItemSource::Lives))?;
    let wanted = work.sampled.is_some() || work.total.is_some();
    if wanted { from_items(&workers.begun, seen.confidence, work) } else { None }
}
