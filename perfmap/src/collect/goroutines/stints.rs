//! Facts of one process → who ran on which thread, and until when.
//!
//! A thread works from one sleep of its scheduler's to the next. In between it is known at some instants whom it ran (a
//! sample, a system call, a probe); whom it ran first it ran from the beginning, each one until it was seen waiting or
//! another one was seen running, the last one to the end.

use std::collections::BTreeMap;

use super::{Fact, Goroutine, MAIN, What};
use crate::{
    recording::{Nanos, TaskId},
    unwind::go::Reason,
};

/// Goroutines that ran between two sleeps of a thread without being seen; of more nothing is made up.
const MAX_UNSEEN: usize = 4;

/// The thread ran it.
type Seen = (Nanos, Goroutine);
/// The thread saw it waiting; whether it had waited for a timer or a descriptor before.
type Told = (Nanos, Goroutine, bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stint {
    pub thread: TaskId,
    pub goroutine: Goroutine,
    pub from: Nanos,
    pub to: Nanos,
    /// Who ran on the thread just before, where that did not sleep in between.
    pub after: Option<Goroutine>,
    /// The thread was seen inside it; else it is made up from what ran unseen.
    pub seen: bool,
}

/// One thread of the process: its life, and when its scheduler slept, in order of time.
#[derive(Debug, Clone, Default)]
pub struct Thread {
    pub born: Nanos,
    pub died: Nanos,
    pub idle: Vec<(Nanos, Nanos)>,
    /// It runs `main` before any other.
    pub first: bool,
}

/// By thread, in order of time. `facts` are in order of time.
pub fn stints(threads: &BTreeMap<TaskId, Thread>, facts: &[Fact]) -> BTreeMap<TaskId, Vec<Stint>> {
    let mut waits: BTreeMap<Goroutine, Vec<Nanos>> = BTreeMap::new();
    let mut of_thread: BTreeMap<TaskId, (Vec<Seen>, Vec<Told>)> = BTreeMap::new();
    let mut ends_itself: BTreeMap<Goroutine, bool> = BTreeMap::new();
    for fact in facts {
        let (ran, told) = of_thread.entry(fact.thread).or_default();
        if let Some(goroutine) = fact.what.ran() {
            ran.push((fact.at, goroutine));
        }
        if let What::Waits { goroutine, reason, .. } = fact.what {
            let now = matches!(reason, Reason::Sleep | Reason::Descriptor);
            told.push((fact.at, goroutine, ends_itself.insert(goroutine, now).unwrap_or(false)));
            waits.entry(goroutine).or_default().push(fact.at);
        }
    }
    let found = threads.iter().map(|(task, thread)| {
        let (ran, told) = of_thread.remove(task).unwrap_or_default();
        (*task, Of { task: *task, ran: &ran, told: &told, waits: &waits }.stints(thread))
    });
    found.collect()
}

struct Of<'a> {
    task: TaskId,
    ran: &'a [Seen],
    told: &'a [Told],
    waits: &'a BTreeMap<Goroutine, Vec<Nanos>>,
}

impl Of<'_> {
    fn stints(&self, thread: &Thread) -> Vec<Stint> {
        let mut found = Vec::new();
        let mut now = thread.born;
        let ends = thread.idle.iter().copied().chain([(thread.died, thread.died)]);
        for (from, to) in ends {
            let main = thread.first && now == thread.born;
            self.between(now, from.min(thread.died), to, main, &mut found);
            now = now.max(to);
        }
        found
    }

    /// Between two sleeps; the next one lasts to `slept`.
    fn between(&self, from: Nanos, to: Nanos, slept: Nanos, main: bool, found: &mut Vec<Stint>) {
        if from >= to {
            return;
        }
        let inside = |all: &[Seen], from: Nanos, to: Nanos| {
            let first = all.partition_point(|(at, _)| *at < from);
            first..first + all[first..].partition_point(|(at, _)| *at <= to)
        };
        let mut seen: Vec<Seen> = Vec::new();
        if main {
            seen.push((from, MAIN));
        }
        seen.extend_from_slice(&self.ran[inside(self.ran, from, to)]);
        let certain = seen.len();
        // Those that waited when the thread went to sleep, and had run since the last look without being seen. Whom a timer
        // or a descriptor made ready came first: nobody on this thread did.
        let first = self.told.partition_point(|(at, _, _)| *at < to);
        let told = self.told[first..].iter().take_while(|(at, _, _)| *at <= slept);
        let mut unseen: Vec<(bool, Goroutine)> = told
            .filter(|(_, goroutine, _)| !seen.iter().any(|(_, other)| other == goroutine))
            .map(|(_, goroutine, ended_itself)| (!ended_itself, *goroutine))
            .collect();
        if unseen.len() <= MAX_UNSEEN {
            unseen.sort_by_key(|(later, _)| *later);
            let last = seen.last().map_or(from, |(at, _)| *at);
            let each = to.since(last).0 / (unseen.len() as u64).max(1);
            let times = (0..).map(|index| last.plus(Nanos(each * index)));
            seen.extend(times.zip(unseen.into_iter().map(|(_, goroutine)| goroutine)));
        }
        let Some((_, first)) = seen.first().copied() else { return };
        let (mut goroutine, mut begun, mut last) = (first, from, from);
        let (mut after, mut known) = (None, false);
        let mut add = |goroutine, from: Nanos, until: Nanos, after, seen| {
            if from < until {
                found.push(Stint { thread: self.task, goroutine, from, to: until, after, seen });
            }
        };
        for (index, (at, next)) in seen.into_iter().enumerate() {
            let next_known = index < certain;
            if next == goroutine {
                (last, known) = (at, known || next_known);
                continue;
            }
            let until = self.waiting(goroutine, last, at).unwrap_or(at);
            add(goroutine, begun, until, after, known);
            after = Some(goroutine);
            (goroutine, begun, last, known) = (next, until, at, next_known);
        }
        let until = self.waiting(goroutine, last, to).unwrap_or(to);
        add(goroutine, begun, until, after, known);
    }

    /// When it was first seen waiting in `(from, to]`.
    fn waiting(&self, goroutine: Goroutine, from: Nanos, to: Nanos) -> Option<Nanos> {
        let waits = self.waits.get(&goroutine)?;
        waits.get(waits.partition_point(|at| *at <= from)).copied().filter(|at| *at <= to)
    }
}
