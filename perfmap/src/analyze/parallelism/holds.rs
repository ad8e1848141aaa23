//! Waits for one thing that one has at a time, or few → who had it before each was let in, and from when to when.

use std::collections::BTreeMap;

use crate::{
    analyze::suspicions::Facts,
    correlate::{Wait, WaitId},
    map::Activity,
    recording::{Nanos, TaskId},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub by: TaskId,
    pub from: Nanos,
    pub to: Nanos,
}

/// Only of those that had waited for it themselves it is known since when they had it.
pub(super) fn holds(facts: &Facts<'_>, activity: &Activity<'_>, waits: impl Iterator<Item = WaitId>) -> Vec<Hold> {
    let waits: Vec<(WaitId, &Wait)> =
        waits.filter_map(|id| Some((id, facts.correlated.waits.get(id.0 as usize)?))).collect();
    let mut grants: BTreeMap<TaskId, Vec<Nanos>> = BTreeMap::new();
    for (_, wait) in &waits {
        grants.entry(wait.task).or_default().push(wait.woken);
    }
    grants.values_mut().for_each(|times| times.sort_unstable());
    let mut found = Vec::new();
    for (id, wait) in &waits {
        let holder = activity.by(*id).or_else(|| wait.lock.and_then(|lock| lock.holder));
        let Some(by) = holder else { continue };
        let had = grants.get(&by).and_then(|times| {
            let before = times.partition_point(|at| *at < wait.woken).checked_sub(1)?;
            times.get(before).copied()
        });
        if let Some(from) = had {
            found.push(Hold { by, from, to: wait.woken });
        }
    }
    found
}
