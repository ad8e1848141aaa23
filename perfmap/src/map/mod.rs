//! Timelines → steps: the wait graph walked from the root task, folded to the project's functions.

mod model;

pub use model::{Counted, Latency, Location, Map, Outside, Peer, PeerCall, Step, StepKind, WaitCause, Waits};

use crate::{correlate::Correlated, recording::Recording, resolve::Resolved};

#[derive(Debug, Clone)]
pub struct MapOptions {
    /// Steps below this share of wall time (0.01 = 1 %) and without I/O are folded into their parent.
    pub min_share: f64,
}

pub fn build(_recording: &Recording, _resolved: &Resolved, _correlated: &Correlated, _options: &MapOptions) -> Map {
    Map::default()
}
