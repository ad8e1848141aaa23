//! Events → who did what when: per task a timeline without gaps, waits with their cause, sockets paired to flows.

pub mod flows;

use crate::recording::Recording;

/// Everything that follows from the events without knowing any function's name.
#[derive(Debug, Clone, Default)]
pub struct Correlated {}

pub fn correlate(_recording: &Recording) -> Correlated {
    Correlated::default()
}
