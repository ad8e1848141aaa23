//! Coroutines without any function of the project (a library's, gathered) → where the one that waits for them waits: it
//! made them, so their requests are its own.
//!
//! Who awaits whom is not recorded. Who makes coroutines and waits for them goes to wait right after it made them: the
//! last that went to wait for others before a coroutine began, and still waits, is taken for the one.

use super::{Loop, MAX_LOOKED_AT};
use crate::recording::{Nanos, StackId, TurnKind};

/// From when until when a coroutine of the project waited for others, and where.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    from: Nanos,
    to: Nanos,
    stack: StackId,
}

#[derive(Debug, Default)]
pub(super) struct Awaiters {
    /// By beginning.
    waiting: Vec<Waiting>,
}

impl Awaiters {
    /// `waits_for_others`: whether a coroutine of the project that waits at a stack, for tasks where so told, does.
    pub(super) fn new(of: &Loop, waits_for_others: impl Fn(StackId, bool) -> bool) -> Awaiters {
        let mut waiting = Vec::new();
        for life in &of.lives {
            let turns: Vec<_> = life.iter().filter_map(|index| of.turns.get(*index as usize)).collect();
            for two in turns.windows(2) {
                if let TurnKind::Resumed { of_tasks, .. } = two[1].kind
                    && waits_for_others(two[1].stack, of_tasks)
                {
                    waiting.push(Waiting { from: two[0].at, to: two[1].at, stack: two[1].stack });
                }
            }
        }
        waiting.sort_by_key(|wait| (wait.from, wait.to, wait.stack));
        Awaiters { waiting }
    }

    /// Where the coroutine that sent something at `at` is waited for.
    pub(super) fn of_sender(&self, of: &Loop, at: Nanos) -> Option<StackId> {
        let last = of.turns.partition_point(|turn| turn.at <= at).checked_sub(1)?;
        let life = of.lives.get(of.turns.get(last)?.life.0 as usize)?;
        let began = of.turns.get(*life.first()? as usize).filter(|turn| turn.kind == TurnKind::Started)?.at;
        let before = self.waiting.partition_point(|wait| wait.from <= began);
        let mut near = self.waiting[..before].iter().rev().take(MAX_LOOKED_AT);
        near.find(|wait| wait.to > at).map(|wait| wait.stack)
    }
}
