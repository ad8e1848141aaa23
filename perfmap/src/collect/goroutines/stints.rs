//! Facts of one process → who ran on which thread, and until when.
//!
//! A thread works from one sleep of its scheduler's to the next. In between it is known at some instants whom it ran (a
//! sample, a system call, a probe); whom it ran first it ran from the beginning, each one until it was seen waiting or
//! another one was seen running, the last one to the end.

use std::collections::BTreeMap;

use super::{Fact, Goroutine, MAIN, What};
use crate::recording::{Nanos, TaskId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stint {
    pub thread: TaskId,
    pub goroutine: Goroutine,
    pub from: Nanos,
    pub to: Nanos,
    /// Who ran on the thread just before, where that did not sleep in between.
    pub after: Option<Goroutine>,
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
    let mut of_thread: BTreeMap<TaskId, (Vec<(Nanos, Goroutine)>, Vec<(Nanos, Goroutine)>)> = BTreeMap::new();
    for fact in facts {
        let (ran, told) = of_thread.entry(fact.thread).or_default();
        if let Some(goroutine) = fact.what.ran() {
            ran.push((fact.at, goroutine));
        }
        if let What::Waits { goroutine, .. } = fact.what {
            told.push((fact.at, goroutine));
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
    ran: &'a [(Nanos, Goroutine)],
    /// Seen by this thread to wait.
    told: &'a [(Nanos, Goroutine)],
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
        let inside = |all: &[(Nanos, Goroutine)], from: Nanos, to: Nanos| {
            let first = all.partition_point(|(at, _)| *at < from);
            first..first + all[first..].partition_point(|(at, _)| *at <= to)
        };
        let mut seen: Vec<(Nanos, Goroutine)> = Vec::new();
        if main {
            seen.push((from, MAIN));
        }
        seen.extend_from_slice(&self.ran[inside(self.ran, from, to)]);
        // One that went to sleep at the end of it, and that nothing else was seen of: the last thing that ran.
        let mut asleep = self.told[inside(self.told, to, slept)].iter().map(|(_, goroutine)| *goroutine);
        let unseen = |goroutine: &Goroutine| !seen.iter().any(|(_, other)| other == goroutine);
        if let (Some(one), None) = (asleep.find(unseen), asleep.find(unseen)) {
            seen.push((seen.last().map_or(from, |(at, _)| *at), one));
        }
        let Some((_, first)) = seen.first().copied() else { return };
        let (mut goroutine, mut begun, mut last) = (first, from, from);
        let mut after = None;
        let add = |goroutine, from: Nanos, until: Nanos, after, found: &mut Vec<Stint>| {
            if from < until {
                found.push(Stint { thread: self.task, goroutine, from, to: until, after });
            }
        };
        for (at, next) in seen {
            if next == goroutine {
                last = at;
                continue;
            }
            let until = self.waiting(goroutine, last, at).unwrap_or(at);
            add(goroutine, begun, until, after, found);
            after = Some(goroutine);
            (goroutine, begun, last) = (next, until, at);
        }
        let until = self.waiting(goroutine, last, to).unwrap_or(to);
        add(goroutine, begun, until, after, found);
    }

    /// When it was first seen waiting in `(from, to]`.
    fn waiting(&self, goroutine: Goroutine, from: Nanos, to: Nanos) -> Option<Nanos> {
        let waits = self.waits.get(&goroutine)?;
        waits.get(waits.partition_point(|at| *at <= from)).copied().filter(|at| *at <= to)
    }
}
