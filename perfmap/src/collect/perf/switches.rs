//! Switches, forks and exits of one thread after the other → its time on the CPU, its waits, and sums of short ones.
//! Exact to the record; what a wait was about comes from a look at the thread while it lasted, if there was one.

use std::collections::HashMap;

use crate::collect::{
    procfs::{Off, Seen, tell},
    to_wire::{Entries, Who},
};

/// Sums of short waits are closed after so long.
const SUM_NS: u64 = 100_000_000;
/// A parent that goes on so soon after a child's end was waiting for it.
const CHILD_NS: u64 = 1_000_000;
const RUNNABLE: u32 = 0;
const INTERRUPTIBLE: u32 = 1;

#[derive(Debug)]
struct Thread {
    pid: u32,
    comm: [u8; 16],
    /// Since when, and whether it could have gone on; None: it has the CPU.
    off: Option<(u64, bool)>,
    /// When it got the CPU last.
    on: u64,
    cpu_ns: u64,
    sum: Sum,
    seen: Option<Box<Seen>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    from: u64,
    run_queue: u64,
    blocked: u64,
    count: u64,
}

#[derive(Debug, Default)]
pub struct Switches {
    threads: HashMap<u32, Thread>,
    /// Threads alive, by process.
    alive: HashMap<u32, u32>,
    /// The last child that ended, by parent: when, and which.
    ended: HashMap<u32, (u64, u32)>,
    threshold: u64,
    /// Got the CPU without having been seen to lose it, or the other way round.
    pub unseen: u64,
}

impl Switches {
    /// The target, held before its release: it can go on.
    pub fn new(root: u32, now: u64, threshold: u64) -> Switches {
        let mut switches = Switches { threshold, ..Switches::default() };
        switches.born(root, root, now, [0; 16]);
        switches
    }

    fn born(&mut self, pid: u32, tid: u32, at: u64, comm: [u8; 16]) {
        let sum = Sum { from: at, ..Sum::default() };
        let thread = Thread { pid, comm, off: Some((at, true)), on: at, cpu_ns: 0, sum, seen: None };
        if self.threads.insert(tid, thread).is_none_or(|before| before.pid != pid) {
            *self.alive.entry(pid).or_default() += 1;
        }
    }

    pub fn forked(&mut self, child: Who, maker: (u32, u32), entries: &mut Entries) {
        let comm = self.threads.get(&maker.1).map_or([0; 16], |thread| thread.comm);
        entries.fork(Who { pid: maker.0, tid: maker.1, at: child.at }, child.pid, child.tid, comm);
        self.born(child.pid, child.tid, child.at, comm);
    }

    pub fn named(&mut self, who: Who, comm: [u8; 16], executed: bool, entries: &mut Entries) {
        // A thread that is not the first one takes over its number when it executes a program.
        if executed && !self.threads.contains_key(&who.tid) {
            let other = self.threads.iter().filter(|(_, thread)| thread.pid == who.pid).map(|(tid, _)| *tid).min();
            if let Some(thread) = other.and_then(|tid| self.threads.remove(&tid)) {
                self.threads.insert(who.tid, thread);
            }
        }
        if let Some(thread) = self.threads.get_mut(&who.tid) {
            thread.comm = comm;
        }
        match executed {
            true => entries.exec(who, comm),
            false => entries.rename(who, comm),
        }
    }

    /// True: the process is over.
    pub fn exited(&mut self, who: Who, parent: u32, code: u32, entries: &mut Entries) -> bool {
        let Some(mut thread) = self.threads.remove(&who.tid) else { return false };
        if thread.off.is_none() {
            thread.cpu_ns += who.at.saturating_sub(thread.on);
        }
        thread.close_sum(who, entries);
        let alive = self.alive.entry(who.pid).or_default();
        *alive = alive.saturating_sub(1);
        let left = *alive;
        if left == 0 {
            self.alive.remove(&who.pid);
            self.ended.insert(parent, (who.at, who.pid));
            self.ended.remove(&who.pid);
        }
        entries.exit(who, code, left, thread.cpu_ns, thread.comm);
        left == 0
    }

    pub fn off(&mut self, who: Who, preempted: bool) {
        let Some(thread) = self.threads.get_mut(&who.tid) else { return };
        match thread.off {
            None => thread.cpu_ns += who.at.saturating_sub(thread.on),
            Some(_) => self.unseen += 1,
        }
        thread.off = Some((who.at, preempted));
    }

    pub fn on(&mut self, who: Who, entries: &mut Entries) {
        let threshold = self.threshold;
        let child = |ended: &HashMap<u32, (u64, u32)>, from: u64| {
            let (at, child) = ended.get(&who.pid).copied()?;
            (at >= from && at <= who.at && who.at - at < CHILD_NS).then_some(child)
        };
        let Some(thread) = self.threads.get_mut(&who.tid) else { return };
        let Some((from, preempted)) = thread.off.take() else {
            self.unseen += 1;
            thread.on = who.at;
            return;
        };
        thread.on = who.at;
        // Records come later than looks: one that is newer belongs to a wait that is still to be told.
        let seen = thread.seen.take_if(|seen| seen.look.at <= who.at).filter(|seen| seen.look.at >= from);
        let length = who.at.saturating_sub(from);
        if length < threshold {
            thread.sum.count += 1;
            match preempted {
                true => thread.sum.run_queue += length,
                false => thread.sum.blocked += length,
            }
            if who.at.saturating_sub(thread.sum.from) >= SUM_NS {
                thread.close_sum(who, entries);
            }
            return;
        }
        thread.close_sum(Who { at: from, ..who }, entries);
        let state = match (preempted, &seen) {
            (true, _) => RUNNABLE,
            (false, Some(seen)) => seen.look.state.number().max(INTERRUPTIBLE),
            (false, None) => INTERRUPTIBLE,
        };
        let child = child(&self.ended, from).filter(|_| state != RUNNABLE);
        let seen = seen.filter(|_| state != RUNNABLE);
        tell(entries, Off { who, from, state, unfinished: false, child }, seen.as_deref());
        thread.sum.from = who.at;
    }

    /// Of a wait that lasts, or has just ended: which one is told by its time.
    pub fn looked(&mut self, seen: Seen) {
        if let Some(thread) = self.threads.get_mut(&seen.look.tid) {
            thread.seen = Some(Box::new(seen));
        }
    }

    /// Closes what is open, at the end of the recording.
    pub fn finish(mut self, now: u64, entries: &mut Entries) -> u64 {
        let mut left: Vec<(u32, Thread)> = self.threads.drain().collect();
        left.sort_by_key(|(tid, _)| *tid);
        for (tid, mut thread) in left {
            let who = Who { pid: thread.pid, tid, at: now };
            match thread.off {
                Some((from, preempted)) if now.saturating_sub(from) >= self.threshold => {
                    thread.close_sum(Who { at: from, ..who }, entries);
                    let seen = thread.seen.take().filter(|seen| seen.look.at >= from && !preempted);
                    let state = if preempted { RUNNABLE } else { INTERRUPTIBLE };
                    tell(entries, Off { who, from, state, unfinished: true, child: None }, seen.as_deref());
                }
                Some(_) | None => thread.close_sum(who, entries),
            }
        }
        self.unseen
    }
}

impl Thread {
    fn close_sum(&mut self, who: Who, entries: &mut Entries) {
        let Sum { from, run_queue, blocked, count } = self.sum;
        if count > 0 {
            entries.short_waits(who, from, run_queue, blocked, count);
        }
        self.sum = Sum { from: who.at, ..Sum::default() };
    }
}

#[cfg(test)]
#[path = "switches_tests.rs"]
mod tests;
