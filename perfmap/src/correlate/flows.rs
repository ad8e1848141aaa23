//! (placeholder of the interface)

use crate::recording::Recording;

#[derive(Debug, Clone)]
pub struct RoundTrip;

#[derive(Debug, Clone, Default)]
pub struct Flows {
    pub round_trips: Vec<RoundTrip>,
}

pub fn flows(_recording: &Recording) -> Flows {
    Flows::default()
}
