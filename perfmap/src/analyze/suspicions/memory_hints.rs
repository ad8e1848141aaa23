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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{
            fixture::{map, recording, resolved},
            suspicions::{Category, testing::suspicion},
        },
        correlate::Correlated,
        map::Location,
        recording::{Allocated, AllocatedBy},
    };

    fn hint(id: &'static str, verdict: Verdict, allocated: Option<Allocated>) -> Option<super::super::Change> {
        let (mut recording, resolved, correlated, map) = (recording(), resolved(), Correlated::default(), map());
        recording.closer.allocated = allocated;
        let facts = Facts { recording: &recording, resolved: &resolved, correlated: &correlated, map: &map };
        let location = Some(Location { file: "app/jobs.py".into(), line: 4 });
        let mut one =
            Suspicion { subject: "remember".into(), location, ..suspicion(id, Category::ResourceLifecycle, verdict) };
        add(&facts, &mut one);
        one.change
    }

    #[test]
    fn the_line_is_named_where_allocations_were_counted() {
        let by = AllocatedBy {
            file: "/app/jobs.py".into(),
            first_line: 4,
            line: 6,
            function: "remember".into(),
            bytes: 48 << 20,
            blocks: 3,
        };
        let counted = Allocated { functions: vec![by], ..Allocated::default() };
        let leak = hint(rules::memory_leak::ID, Verdict::Confirmed, Some(counted)).unwrap();
        assert!(leak.hint.contains("remember had allocated 48.0 MiB at line 6 (tracemalloc)"), "{}", leak.hint);
        assert!(leak.after.contains("lru_cache") && leak.ungained.is_some());
        let large = hint(rules::large_allocation::ID, Verdict::Confirmed, None).unwrap();
        assert!(large.hint.contains("--allocations") && large.after.contains("generator"));
        assert_eq!(hint(rules::memory_leak::ID, Verdict::Dismissed, None), None);
        assert_eq!(hint("tiny_io", Verdict::Confirmed, None), None);
    }
}
