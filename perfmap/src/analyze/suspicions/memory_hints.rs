//! A confirmed suspicion about memory → what to change, with the function and, where a run of its own counted allocations, the line
//! that most of what is kept was allocated at.

use super::{
    Facts, Suspicion, Verdict, rules,
    sketch_resources::{Pattern, change},
};
use crate::analyze::allocations::keeper;

pub(super) fn add(facts: &Facts<'_>, one: &mut Suspicion) {
    let pattern = match one.id {
        rules::memory_leak::ID => Pattern::Forget,
        rules::large_allocation::ID => Pattern::Stream,
        _ => return,
    };
    if one.verdict != Verdict::Confirmed || one.change.is_some() {
        return;
    }
    let mut change = change(pattern, one.location.as_ref(), &one.subject);
    let told = keeper(facts.recording, &one.subject).map(|keeper| {
        let line = keeper.line.map(|line| format!(" at line {line}")).unwrap_or_default();
        let mib = keeper.bytes as f64 / f64::from(1 << 20);
        format!(
            " Of what was alive at the end, {} had allocated {mib:.1} MiB{line} ({}).",
            keeper.function, keeper.told_by
        )
    });
    change.hint.push_str(
        &told.unwrap_or_else(|| " perfmap trace --allocations (Python: --tracemalloc) names the line.".into()),
    );
    one.change = Some(change);
}
