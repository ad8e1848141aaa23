//! What a candidate's own time consists of: on-CPU, and blocked by cause.

use crate::{
    map::{WaitCause, Waits},
    recording::Nanos,
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    pub cpu: Nanos,
    pub waits: Waits,
}

impl Parts {
    /// The cause with the longest wait; the first of equals.
    pub fn longest_wait(&self) -> Option<(WaitCause, Nanos)> {
        let mut longest: Option<(WaitCause, Nanos)> = None;
        for (&cause, &length) in &self.waits.0 {
            if length > longest.map_or(Nanos::ZERO, |(_, most)| most) {
                longest = Some((cause, length));
            }
        }
        longest
    }
}
