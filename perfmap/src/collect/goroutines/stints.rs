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

/// It was seen waiting; whether for a timer or a descriptor.
type Waited = (Nanos, bool);

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
    pub idle: Vec<Slept>,
    /// It runs `main` before any other.
    pub first: bool,
}

/// One sleep of a thread's scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slept {
    pub from: Nanos,
    pub to: Nanos,
    /// By another thread; else a timer or a descriptor ended it.
    pub woken: bool,
}

/// By thread, in order of time. `facts` are in order of time.
pub fn stints(threads: &BTreeMap<TaskId, Thread>, facts: &[Fact]) -> BTreeMap<TaskId, Vec<Stint>> {
    let mut waits: BTreeMap<Goroutine, Vec<Waited>> = BTreeMap::new();
    let mut of_thread: BTreeMap<TaskId, (Vec<Seen>, Vec<Told>)> = BTreeMap::new();
    let mut ends_itself: BTreeMap<Goroutine, bool> = BTreeMap::new();
    let mut began: BTreeMap<Goroutine, Nanos> = BTreeMap::new();
    for fact in facts {
        if let Some(goroutine) = fact.what.of() {
            began.entry(goroutine).or_insert(fact.at);
        }
        let (ran, told) = of_thread.entry(fact.thread).or_default();
        if let Some(goroutine) = fact.what.ran() {
            ran.push((fact.at, goroutine));
        }
        if let What::Waits { goroutine, reason, .. } = fact.what {
            let now = matches!(reason, Reason::Sleep | Reason::Descriptor);
            told.push((fact.at, goroutine, ends_itself.insert(goroutine, now).unwrap_or(false)));
            waits.entry(goroutine).or_default().push((fact.at, now));
        }
    }
    let mut starts = Vec::new();
    let found = threads.iter().map(|(task, thread)| {
        let (ran, told) = of_thread.remove(task).unwrap_or_default();
        (*task, Of { task: *task, ran: &ran, told: &told, waits: &waits, began: &began }.stints(thread, &mut starts))
    });
    let mut found = found.collect();
    add_last_stints(last_stints(facts), starts, &mut found);
    found
}

/// Of a thread between two sleeps; the next one lasts to `slept`.
struct Stretch {
    from: Nanos,
    to: Nanos,
    slept: Nanos,
    /// It runs `main` first.
    main: bool,
    /// Another thread ended the sleep before it.
    woken: bool,
}

struct Of<'a> {
    task: TaskId,
    ran: &'a [Seen],
    told: &'a [Told],
    waits: &'a BTreeMap<Goroutine, Vec<Waited>>,
    /// What was seen of each first.
    began: &'a BTreeMap<Goroutine, Nanos>,
}

impl Of<'_> {
    fn stints(&self, thread: &Thread, starts: &mut Vec<Start>) -> Vec<Stint> {
        let mut found = Vec::new();
        let mut now = thread.born;
        let end = Slept { from: thread.died, to: thread.died, woken: false };
        let mut woken = true;
        for slept in thread.idle.iter().copied().chain([end]) {
            let main = thread.first && now == thread.born;
            let stretch = Stretch { from: now, to: slept.from.min(thread.died), slept: slept.to, main, woken };
            self.between(stretch, &mut found, starts);
            now = now.max(slept.to);
            woken = slept.woken;
        }
        found
    }

    fn between(&self, stretch: Stretch, found: &mut Vec<Stint>, starts: &mut Vec<Start>) {
        let Stretch { from, to, slept, main, woken } = stretch;
        if from >= to {
            return;
        }
        let inside = |all: &[Seen], from: Nanos, to: Nanos| {
            let first = all.partition_point(|(at, _)| *at < from);
            first..first + all[first..].partition_point(|(at, _)| *at <= to)
        };
        // Whether the thread was seen inside it, or that is made up.
        let mut seen: Vec<(Nanos, Goroutine, bool)> = Vec::new();
        if main {
            seen.push((from, MAIN, true));
        }
        seen.extend(self.ran[inside(self.ran, from, to)].iter().map(|(at, goroutine)| (*at, *goroutine, true)));
        // Those that waited when the thread went to sleep, and had run since the last look without being seen. Whom a timer
        // or a descriptor made ready came first: nobody on this thread did.
        let first = self.told.partition_point(|(at, _, _)| *at < to);
        let told = self.told[first..].iter().take_while(|(at, _, _)| *at <= slept);
        let mut unseen: Vec<(bool, Goroutine)> = told
            .filter(|(_, goroutine, _)| !seen.iter().any(|(_, other, _)| other == goroutine))
            .map(|(_, goroutine, ended_itself)| (!ended_itself, *goroutine))
            .collect();
        let mut began_by_itself = main || woken || unseen.iter().any(|(later, _)| !later);
        began_by_itself |= seen.iter().any(|(_, goroutine, _)| self.waited_by_itself(*goroutine, from));
        if unseen.len() <= MAX_UNSEEN {
            unseen.sort_by_key(|(later, _)| *later);
            let unseen = unseen.into_iter().map(|(_, goroutine)| goroutine);
            // One that was not there before was made by somebody, and where no other thread woke this one, by who ran here:
            // by one that was there.
            let made_here = seen.first().copied().filter(|(at, first, _)| !woken && self.began_at(*first, *at));
            let (earlier, later): (Vec<Goroutine>, Vec<Goroutine>) =
                unseen.partition(|goroutine| made_here.is_some() && !self.began_at(*goroutine, from));
            let last = seen.last().map_or(from, |(at, _, _)| *at);
            let since = match made_here {
                Some(_) => last.plus(Nanos(to.since(last).0 / (later.len() as u64 + 1))),
                None => last,
            };
            seen.extend(spread(later, since, to));
            if let Some((at, _, _)) = made_here {
                drop(seen.splice(0..0, spread(earlier, from, at)));
            }
        }
        let Some((_, first, _)) = seen.first().copied() else { return };
        if !began_by_itself {
            let known = seen.iter().find(|(_, _, known)| *known).map_or(to, |(at, _, _)| *at);
            starts.push(Start { at: from, thread: self.task, known });
        }
        let (mut goroutine, mut begun, mut last) = (first, from, from);
        let (mut after, mut known) = (None, false);
        let mut add = |goroutine, from: Nanos, until: Nanos, after, seen| {
            if from < until {
                found.push(Stint { thread: self.task, goroutine, from, to: until, after, seen });
            }
        };
        for (at, next, next_known) in seen {
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

    /// Nothing was known of it before.
    fn began_at(&self, goroutine: Goroutine, at: Nanos) -> bool {
        self.began.get(&goroutine).is_some_and(|began| *began >= at)
    }

    /// When it was first seen waiting in `(from, to]`.
    fn waiting(&self, goroutine: Goroutine, from: Nanos, to: Nanos) -> Option<Nanos> {
        let waits = self.waits.get(&goroutine)?;
        waits.get(waits.partition_point(|(at, _)| *at <= from)).map(|(at, _)| *at).filter(|at| *at <= to)
    }

    /// It waited for a timer or a descriptor when it was last looked at.
    fn waited_by_itself(&self, goroutine: Goroutine, at: Nanos) -> bool {
        let waits = self.waits.get(&goroutine).map_or(&[][..], Vec::as_slice);
        let before = waits[..waits.partition_point(|(seen, _)| *seen <= at)].last();
        before.is_some_and(|(_, by_itself)| *by_itself)
    }
}

/// Each of those that ran unseen has as much of the time as the others.
fn spread(unseen: Vec<Goroutine>, from: Nanos, to: Nanos) -> impl Iterator<Item = (Nanos, Goroutine, bool)> {
    let each = to.since(from).0 / (unseen.len() as u64).max(1);
    let times = (0..).map(move |index| from.plus(Nanos(each * index)));
    times.zip(unseen).map(|(at, goroutine)| (at, goroutine, false))
}

/// A timer or a descriptor ended a thread's sleep, and nobody that was seen to run then had waited for one.
struct Start {
    at: Nanos,
    thread: TaskId,
    /// Then somebody was seen.
    known: Nanos,
}

/// One waited for a timer or a descriptor, and was gone before it was seen again: it ran once more.
struct LastStint {
    goroutine: Goroutine,
    waited: Nanos,
    /// It went on, or was gone.
    by: Nanos,
}

fn last_stints(facts: &[Fact]) -> Vec<LastStint> {
    let mut found = Vec::new();
    let mut waiting: BTreeMap<Goroutine, (Nanos, Option<Nanos>)> = BTreeMap::new();
    for fact in facts {
        if let Some(goroutine) = fact.what.ran() {
            waiting.remove(&goroutine);
        }
        match fact.what {
            What::Waits { goroutine, reason: Reason::Sleep | Reason::Descriptor, .. } => {
                waiting.insert(goroutine, (fact.at, None));
            }
            What::Waits { goroutine, reason: Reason::Lock | Reason::Goroutine | Reason::Runtime, .. } => {
                waiting.remove(&goroutine);
            }
            What::GoesOn(goroutine) => {
                if let Some((_, on)) = waiting.get_mut(&goroutine) {
                    on.get_or_insert(fact.at);
                }
            }
            What::Ended(goroutine) => {
                if let Some((waited, on)) = waiting.remove(&goroutine) {
                    found.push(LastStint { goroutine, waited, by: on.unwrap_or(fact.at) });
                }
            }
            What::Runs(_) | What::Schedules | What::Asks { .. } | What::Writes { .. } => {}
        }
    }
    found.sort_by_key(|last| (last.by, last.goroutine));
    found
}

/// Where they ran: before whom they made ready, on the thread whose sleep ended without another reason just before they were
/// found gone.
fn add_last_stints(last: Vec<LastStint>, mut starts: Vec<Start>, found: &mut BTreeMap<TaskId, Vec<Stint>>) {
    starts.sort_by_key(|start| (start.at, start.thread));
    let mut starts = starts.into_iter().peekable();
    let mut open: Vec<Start> = Vec::new();
    let mut made_up: BTreeMap<TaskId, Vec<Stint>> = BTreeMap::new();
    for LastStint { goroutine, waited, by } in last {
        while let Some(start) = starts.next_if(|start| start.at <= by) {
            open.push(start);
        }
        let Some(Start { at, thread, known }) = open.pop_if(|start| start.at > waited) else { continue };
        let Some(stints) = found.get_mut(&thread) else { continue };
        let first = stints.partition_point(|stint| stint.from < at);
        let Some(next) = stints.get_mut(first).filter(|next| next.from == at && next.goroutine != goroutine) else {
            continue;
        };
        let to = at.plus(Nanos(next.to.min(known).since(at).0 / 2));
        if to > at {
            (next.from, next.after) = (to, Some(goroutine));
            let stint = Stint { thread, goroutine, from: at, to, after: None, seen: false };
            made_up.entry(thread).or_default().push(stint);
        }
    }
    for (thread, stints) in made_up {
        let all = found.entry(thread).or_default();
        all.extend(stints);
        all.sort_by_key(|stint| stint.from);
    }
}
