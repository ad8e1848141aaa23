//! How the rate changes with the number of workers, and when the whole job will be done: what unprofiled runs with other
//! numbers of workers and the command's own words about its progress tell ([`crate::recording::Work`]).
//!
//! Knows neither steps nor waits: why the rate is what it is, the recording of one run says.

pub mod curve;
pub mod fit;
pub mod forecast;
pub mod law;
mod student;

pub use curve::{Curve, Point, Unit};
pub use fit::{WhyNot, fit};
pub use forecast::{Forecast, Left, Rate, from_completions, from_progress};
pub use law::{Estimate, Peak, Usl};

use crate::recording::Recording;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scaling {
    pub curve: Option<Curve>,
    pub forecast: Option<Forecast>,
}

/// None where nothing was said or measured of it.
pub fn scaling(recording: &Recording) -> Option<Scaling> {
    let work = &recording.work;
    let found = Scaling { curve: curve::curve(work), forecast: from_progress(work) };
    (found != Scaling::default()).then_some(found)
}
