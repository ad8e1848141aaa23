//! Waits for disks are the program's matter, but not where most of them are page faults that the machine could not serve from
//! memory: with a confirmed `major_faults`, such a bottleneck is of the class Infrastructure.

use super::{
    suspicions::{Facts, Suspicion, Verdict, major_faults},
    types::{Bottleneck, Class, Detail},
};
use crate::map::{Step, WaitCause};

/// Mends the bottlenecks and gives the class and detail of the largest.
pub(super) fn are_the_machines(
    facts: &Facts<'_>,
    suspicions: &[Suspicion],
    (mut class, mut detail): (Class, Detail),
    top: &mut [Bottleneck],
) -> (Class, Detail) {
    let is_it = |one: &&Suspicion| one.id == major_faults::ID && one.verdict == Verdict::Confirmed;
    if !suspicions.iter().any(|one| is_it(&one)) {
        return (class, detail);
    }
    let mut waits = Vec::new();
    let mut rest: Vec<&Step> = facts.map.steps.iter().collect();
    while let Some(step) = rest.pop() {
        waits.push((step.id.as_str(), step.own_waits.of(WaitCause::Disk)));
        rest.extend(&step.children);
    }
    let faults = major_faults::by_step(facts);
    for one in top.iter_mut().filter(|one| one.class == Class::IoFile) {
        let Some((id, disk)) = waits.iter().find(|(id, _)| one.step.as_deref() == Some(*id)) else { continue };
        if faults.get(*id).is_none_or(|faults| faults.0 < disk.0 / 2) {
            continue;
        }
        let waiting = Detail::Waiting { cause: WaitCause::Disk, time: *disk };
        if class == Class::IoFile && detail == one.detail {
            (class, detail) = (Class::Infrastructure, waiting.clone());
        }
        (one.class, one.detail) = (Class::Infrastructure, waiting);
    }
    (class, detail)
}
