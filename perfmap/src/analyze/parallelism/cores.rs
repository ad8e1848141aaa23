//! Waits for a CPU → whether the traced programs took the CPUs from one another, or others on the machine did. What others
//! take is not shared among the workers: with one of them it would be as slow.

use super::{
    look::Look,
    waits::{Bit, Key, On},
};
use crate::{
    analyze::suspicions::Facts,
    correlate::State,
    recording::{Nanos, covered},
};

/// The traced programs are on a CPU for so much of such a wait, in percent, or it is not for theirs.
const OWN_PCT: u64 = 50;

pub(super) fn are_taken_by_others(facts: &Facts<'_>, look: &Look) -> bool {
    let waits = look.bits.iter().flatten().filter(|bit| bit.step.is_some() && bit.on == On::Shared(Key::RunQueue));
    let waits: Vec<(Nanos, Nanos)> = waits.map(|bit: &Bit| (bit.from, bit.to)).collect();
    if waits.is_empty() {
        return false;
    }
    let segments = facts.correlated.timelines.iter().flat_map(|timeline| &timeline.0);
    let on_cpu = segments.filter(|segment| matches!(segment.state, State::Cpu { .. }));
    let on_cpu: Vec<(Nanos, Nanos)> = on_cpu.map(|segment| (segment.from, segment.to)).collect();
    let (waited, computed) = (covered(waits.iter().copied()), covered(on_cpu.iter().copied()));
    // What both have in common is what their union is shorter than their sum.
    let common = waited.plus(computed).since(covered(waits.into_iter().chain(on_cpu)));
    common.0.saturating_mul(100) < waited.0.saturating_mul(OWN_PCT)
}
