//! One goroutine's stints and what was seen of it in between → its waits: where, for what, and who ended them.

use super::{Fact, What, stints::Stint};
use crate::{
    recording::{Nanos, StackId},
    unwind::go::Reason,
};

/// One stretch without a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    pub from: Nanos,
    /// It could go on; until `to` no thread took it up.
    pub woken: Nanos,
    pub to: Nanos,
    /// None: it was not seen in it.
    pub at: Option<(StackId, Reason)>,
    /// Index of the stint that ends it; none: nothing did.
    pub until: Option<usize>,
}

/// When it lived, as far as it was seen. `own` are its facts, `stints` its stints, both in order of time; `end` is its
/// process's.
pub fn life(own: &[Fact], stints: &[Stint], end: Nanos) -> Option<(Nanos, Nanos)> {
    let first = own.first().map(|fact| fact.at);
    let ran = stints.first().map(|stint| stint.from);
    let born = [first, ran].into_iter().flatten().min()?;
    let ran = stints.last().map_or(born, |stint| stint.to);
    let waited = own.iter().rev().find(|fact| matches!(fact.what, What::Waits { .. })).map(|fact| fact.at);
    let died = own.iter().rev().find_map(|fact| match fact.what {
        What::Waits { .. } => Some(end),
        // It goes on, and is not seen waiting any more: to the last of its stints.
        What::GoesOn(_) => Some(ran.max(fact.at)),
        // What it waited for last came: it ran once more, unseen, and was gone.
        What::Ended(_) if waited.is_some_and(|waited| waited >= ran) => Some(fact.at),
        What::Ended(_) => Some(if ran > born { ran } else { fact.at }),
        What::Runs(_) | What::Schedules | What::Asks { .. } | What::Writes { .. } => None,
    });
    Some((born, died.unwrap_or(ran).max(ran).min(end)))
}

/// Its waits between `born` and `died`.
pub fn waits(own: &[Fact], stints: &[Stint], born: Nanos, died: Nanos) -> Vec<Wait> {
    let mut found = Vec::new();
    let mut now = born;
    for (index, stint) in stints.iter().enumerate() {
        if stint.from > now {
            gap(own, now, stint.from.min(died), Some(index), &mut found);
        }
        now = now.max(stint.to);
    }
    if now < died {
        gap(own, now, died, None, &mut found);
    }
    found
}

/// One stretch without a thread: cut where it was seen waiting elsewhere, as it ran in between without being seen.
fn gap(own: &[Fact], from: Nanos, to: Nanos, until: Option<usize>, found: &mut Vec<Wait>) {
    if from >= to {
        return;
    }
    let first = own.partition_point(|fact| fact.at < from);
    let inside = &own[first..first + own[first..].partition_point(|fact| fact.at < to)];
    let before = own[..first].iter().rev().find_map(state);
    let mut wait = Wait { from, woken: to, to, at: before.flatten(), until };
    let mut fresh = true;
    for fact in inside {
        match fact.what {
            What::Waits { stack, reason, .. } => {
                if !fresh {
                    let until = None;
                    found.push(Wait { woken: wait.woken.min(fact.at), to: fact.at, until, ..wait });
                    (wait.from, wait.woken) = (fact.at, to);
                }
                wait.at = Some((stack, reason));
                fresh = false;
            }
            What::GoesOn(_) => {
                wait.woken = wait.woken.min(fact.at);
                fresh = false;
            }
            What::Runs(_) | What::Schedules | What::Ended(_) | What::Asks { .. } | What::Writes { .. } => {}
        }
    }
    found.push(wait);
}

/// Where it waited when it was last looked at; `Some(None)`: it did not.
fn state(fact: &Fact) -> Option<Option<(StackId, Reason)>> {
    match fact.what {
        What::Waits { stack, reason, .. } => Some(Some((stack, reason))),
        What::GoesOn(_) | What::Ended(_) => Some(None),
        What::Runs(_) | What::Schedules | What::Asks { .. } | What::Writes { .. } => None,
    }
}
