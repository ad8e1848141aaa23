//! The tree's threads, looked at again and again → CPU samples and waits.
//!
//! The scheduler's own figures of a thread (schedstat: time on a CPU, time it was ready, turns) are exact; where they did
//! not move between two polls, the thread stayed in one wait, and nothing else of it is read. Where they did, a new look
//! says where it is now; how the time between is laid out within one poll's distance is an assumption, its sums are not.
//! Without schedstat (another kernel's /proc) the state at the poll stands for the time up to it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Off, Seen, State, look, objects::Objects, see, tell};
use crate::collect::{
    process,
    to_wire::{Entries, Who},
};

/// Threads of one process and in all that are looked at.
const THREADS: usize = 4096;
/// The slowest clock of usual kernels.
const TICK_NS: u64 = 4_000_000;
/// A turn on the CPU shorter than this within a wait is part of it: a time-out that was asked for again.
const MOMENT_NS: u64 = 100_000;

#[derive(Debug)]
struct Thread {
    pid: u32,
    /// Up to where it has been told.
    told: u64,
    figures: Option<Figures>,
    /// Time on a CPU that was told before the scheduler's figure had it; below 0: that is still to be told.
    ahead: i64,
    wait: Option<Wait>,
    /// In this pass.
    present: bool,
}

impl Thread {
    fn new(pid: u32, now: u64) -> Thread {
        Thread { pid, told: now, figures: None, ahead: 0, wait: None, present: true }
    }
}

#[derive(Debug)]
struct Wait {
    from: u64,
    seen: Seen,
}

/// schedstat; `turns` tells a new wait from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Figures {
    cpu: u64,
    ready: u64,
    turns: u64,
}

#[derive(Debug, Default)]
pub struct Polls {
    threads: HashMap<u32, Thread>,
    processes: BTreeMap<u32, u32>,
    objects: Objects,
    stack_bytes: usize,
    /// Ended, but still listed: nobody has waited for them.
    dead: HashSet<u32>,
    /// The last child that ended, by parent: when, and which.
    ended: HashMap<u32, (u64, u32)>,
    /// Threads beyond the limit.
    pub refused: u64,
}

/// What a pass found.
#[derive(Debug, Default)]
pub struct Pass {
    /// Processes seen for the first time.
    pub fresh: Vec<u32>,
    pub gone: Vec<u32>,
    /// Threads that were running.
    pub ran: Vec<Who>,
}

impl Polls {
    pub fn new(root: u32, origin: u64, stack_bytes: u32) -> Polls {
        let root_thread = Thread::new(root, origin);
        Polls { threads: HashMap::from([(root, root_thread)]), stack_bytes: stack_bytes as usize, ..Polls::default() }
    }

    /// `alive`: the tree, each with its parent.
    pub fn pass(&mut self, now: u64, alive: &BTreeMap<u32, u32>, entries: &mut Entries) -> Pass {
        let mut pass = Pass::default();
        self.threads.values_mut().for_each(|thread| thread.present = false);
        let listed: Vec<(u32, u32, Vec<u32>)> =
            alive.iter().map(|(pid, parent)| (*pid, *parent, process::threads(*pid, THREADS))).collect();
        for tid in listed.iter().flat_map(|(_, _, threads)| threads) {
            if let Some(thread) = self.threads.get_mut(tid) {
                thread.present = true;
            }
        }
        // A child's end comes before its parent's going on.
        self.end_absent(now, entries, &mut pass);
        for (pid, parent, threads) in &listed {
            if !threads.is_empty() && !self.dead.contains(pid) && self.processes.insert(*pid, *parent).is_none() {
                pass.fresh.push(*pid);
            }
            // The leader first: it is the process.
            let leader = threads.binary_search(pid).ok().map(|_| pid);
            for tid in leader.into_iter().chain(threads.iter().filter(|tid| *tid != pid)) {
                self.thread((*pid, *parent, *tid), now, entries, &mut pass);
            }
        }
        let listed: HashSet<u32> = listed.into_iter().flat_map(|(_, _, threads)| threads).collect();
        self.dead.retain(|tid| listed.contains(tid));
        pass
    }

    fn thread(&mut self, (pid, parent, tid): (u32, u32, u32), now: u64, entries: &mut Entries, pass: &mut Pass) {
        if self.dead.contains(&tid) {
            return;
        }
        if !self.threads.contains_key(&tid) {
            if self.threads.len() >= THREADS {
                self.refused += 1;
                return;
            }
            let maker = if tid == pid { parent } else { pid };
            entries.fork(Who { pid: maker, tid: maker, at: now }, pid, tid, process::comm(pid, tid));
            self.threads.insert(tid, Thread::new(pid, now));
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let figures = figures(pid, tid);
        let unmoved = figures.is_some() && figures == thread.figures;
        if unmoved && thread.wait.is_some() {
            thread.told = now;
            return;
        }
        let Some(look) = look(pid, tid, now) else { return };
        let who = Who { pid, tid, at: now };
        if look.state == State::Gone {
            self.dead.insert(tid);
            return self.end(who, entries, pass);
        }
        let running = look.state == State::Running;
        // It is ready and has got no CPU since: how long it waited is told when it has.
        if unmoved && running {
            return;
        }
        let moved = figures.zip(thread.figures).map(|(now, before)| Moved::between(before, now));
        thread.figures = figures.or(thread.figures);
        let same = |wait: &Wait| wait.seen.look.call == look.call && wait.seen.look.place == look.place;
        // The same call at the same place, and no time on a CPU to speak of.
        if !running && thread.wait.as_ref().is_some_and(same) && moved.is_none_or(|moved| moved.cpu < MOMENT_NS) {
            thread.told = now;
            return;
        }
        let laid = lay_out(thread.told, now, moved, thread.ahead, thread.wait.is_some(), running);
        thread.ahead = laid.ahead;
        let child = self.ended.get(&pid).copied();
        if let Some(wait) = thread.wait.take() {
            let child = child.filter(|(at, _)| *at >= wait.from).map(|(_, child)| child);
            let who = Who { at: laid.last_ends, ..who };
            let state = wait.seen.look.state.number();
            tell(entries, Off { who, from: wait.from, state, unfinished: false, child }, Some(&wait.seen));
        }
        for (from, to, state) in [laid.ready, laid.unknown] {
            if to > from {
                tell(entries, Off { who: Who { at: to, ..who }, from, state, unfinished: false, child: None }, None);
            }
        }
        thread.told = now;
        match running {
            true => pass.ran.push(Who { at: now.saturating_sub(1), ..who }),
            false => {
                let seen = see(look, &mut self.objects, self.stack_bytes);
                thread.wait = Some(Wait { from: laid.next_begins, seen });
            }
        }
    }

    fn end_absent(&mut self, now: u64, entries: &mut Entries, pass: &mut Pass) {
        let mut gone: Vec<(bool, u32, u32)> = self
            .threads
            .iter()
            .filter(|(_, thread)| !thread.present)
            .map(|(tid, thread)| (*tid == thread.pid, *tid, thread.pid))
            .collect();
        // A process's first thread is its last to go.
        gone.sort_unstable();
        for (_, tid, pid) in gone {
            self.end(Who { pid, tid, at: now }, entries, pass);
        }
    }

    fn end(&mut self, who: Who, entries: &mut Entries, pass: &mut Pass) {
        let Some(thread) = self.threads.remove(&who.tid) else { return };
        end(&thread, who, false, entries);
        let over = who.tid == who.pid;
        let cpu = thread.figures.map_or(0, |figures| figures.cpu);
        entries.exit(who, perfmap_common::EXIT_UNKNOWN, u32::from(!over), cpu, [0; 16]);
        if over && let Some(parent) = self.processes.remove(&who.pid) {
            self.ended.insert(parent, (who.at, who.pid));
            self.ended.remove(&who.pid);
            pass.gone.push(who.pid);
        }
    }

    /// What is still waited for when the recording ends. `ended`: a process that ended since the last pass, so that what its
    /// threads waited for at that pass was over before.
    pub fn finish(self, now: u64, ended: Option<u32>, entries: &mut Entries) {
        let mut left: Vec<(u32, Thread)> = self.threads.into_iter().collect();
        left.sort_by_key(|(tid, _)| *tid);
        for (tid, thread) in left {
            let unfinished = Some(thread.pid) != ended;
            end(&thread, Who { pid: thread.pid, tid, at: now }, unfinished, entries);
        }
    }
}

fn end(thread: &Thread, who: Who, unfinished: bool, entries: &mut Entries) {
    if let Some(wait) = &thread.wait {
        let state = wait.seen.look.state.number();
        tell(entries, Off { who, from: wait.from, state, unfinished, child: None }, Some(&wait.seen));
    }
}

#[derive(Debug, Clone, Copy)]
struct Moved {
    cpu: u64,
    ready: u64,
}

impl Moved {
    fn between(before: Figures, now: Figures) -> Moved {
        Moved { cpu: now.cpu.saturating_sub(before.cpu), ready: now.ready.saturating_sub(before.ready) }
    }
}

/// How the time since the last poll is laid out. Parts may be empty; (from, to, state).
#[derive(Debug, PartialEq, Eq)]
struct Laid {
    last_ends: u64,
    ready: (u64, u64, u32),
    /// Off the CPU, running before and after.
    unknown: (u64, u64, u32),
    /// The rest up to here was on a CPU.
    next_begins: u64,
    /// As `Thread::ahead`.
    ahead: i64,
}

/// `waited`: at the poll before; `running`: now. A wait ends at the last poll that saw it, where another one follows, else
/// as late as the time on the CPU allows.
fn lay_out(told: u64, now: u64, moved: Option<Moved>, ahead: i64, waited: bool, running: bool) -> Laid {
    let span = now.saturating_sub(told);
    let (mut cpu, ready, figure) = match (moved, running) {
        (Some(moved), _) => {
            let due = i64::try_from(moved.cpu).unwrap_or(i64::MAX).saturating_sub(ahead);
            (u64::try_from(due).unwrap_or(0).min(span), moved.ready, moved.cpu)
        }
        (None, true) => (span, 0, span),
        (None, false) => (0, 0, 0),
    };
    let ready = ready.min(span - cpu);
    // The figure of a thread that has the CPU moves with the clock's tick.
    if running && span - cpu - ready <= TICK_NS {
        cpu = span - ready;
    }
    let ahead = ahead.saturating_add(cpu as i64).saturating_sub(i64::try_from(figure).unwrap_or(i64::MAX));
    let rest = span - cpu - ready;
    let last_ends = if waited && running { told + rest } else { told };
    let ready_ends = last_ends + ready;
    let unknown_ends = if !waited && running { ready_ends + rest } else { ready_ends };
    Laid {
        last_ends,
        ready: (last_ends, ready_ends, 0),
        unknown: (ready_ends, unknown_ends, 1),
        next_begins: (unknown_ends + cpu).min(now),
        ahead,
    }
}

fn figures(pid: u32, tid: u32) -> Option<Figures> {
    let text = process::bytes(pid, &format!("task/{tid}/schedstat"), 128);
    let text = std::str::from_utf8(&text).ok()?;
    let mut words = text.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    Some(Figures { cpu: words.next()??, ready: words.next()??, turns: words.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_a_process_that_ended_waited_for_is_over() {
        let nanosleep = look::Entered { number: 230, arguments: [0; 3] };
        let look = look::Look { at: 5, pid: 7, tid: 7, state: State::Sleeping, call: Some(nanosleep), place: None };
        let last_wait = |ended: Option<u32>| {
            let mut polls = Polls::new(7, 1, 0);
            let seen = see(look.clone(), &mut Objects::default(), 0);
            let thread = polls.threads.get_mut(&7).expect("the first thread");
            thread.wait = Some(Wait { from: 3, seen });
            let mut entries = Entries::default();
            polls.finish(9, ended, &mut entries);
            entries.into_bytes()
        };
        let told = |unfinished: bool| {
            let mut entries = Entries::default();
            let seen = see(look.clone(), &mut Objects::default(), 0);
            let who = Who { pid: 7, tid: 7, at: 9 };
            tell(&mut entries, Off { who, from: 3, state: 1, unfinished, child: None }, Some(&seen));
            entries.into_bytes()
        };
        assert_eq!(last_wait(Some(7)), told(false));
        assert_eq!(last_wait(None), told(true));
        assert_eq!(last_wait(Some(8)), told(true), "another process's");
        assert_ne!(told(true), told(false));
    }

    #[test]
    fn layouts() {
        let moved = Some(Moved { cpu: 3 * MS, ready: 2 * MS });
        // From one wait into another: it ends where it was last seen.
        let laid = lay_out(100 * MS, 110 * MS, moved, 0, true, false);
        assert_eq!((laid.last_ends, laid.ready.1, laid.next_begins), (100 * MS, 102 * MS, 105 * MS));
        // It waited and runs: all that is not explained was the wait.
        let laid = lay_out(100 * MS, 110 * MS, moved, 0, true, true);
        assert_eq!((laid.last_ends, laid.ready.1, laid.next_begins), (105 * MS, 107 * MS, 110 * MS));
        // It ran and runs: what it waited for in between nobody saw.
        let laid = lay_out(100 * MS, 110 * MS, moved, 0, false, true);
        assert_eq!((laid.ready.1, laid.unknown, laid.ahead), (102 * MS, (102 * MS, 107 * MS, 1), 0));
        // The figure is a tick late; the next one has it.
        let laid = lay_out(100 * MS, 110 * MS, Some(Moved { cpu: 7 * MS, ready: 0 }), 0, false, true);
        assert_eq!((laid.unknown.1 - laid.unknown.0, laid.ahead), (0, 3 * MS as i64));
        // Without figures the state stands for the time up to it.
        assert_eq!(lay_out(100, 110, None, 0, false, false).next_begins, 100);
        assert_eq!(lay_out(100, 110, None, 0, true, true).last_ends, 100);
    }

    proptest! {
        /// Time on the CPU is what the scheduler said, wherever it is put; what is not told yet is kept.
        #[test]
        fn figures_are_kept(
            told in 0u64..1000, span in 0u64..20_000_000, cpu in 0u64..20_000_000, ready in 0u64..20_000_000,
            ahead in -9_000_000i64..9_000_000, waited: bool, running: bool,
        ) {
            let now = told + span;
            let laid = lay_out(told, now, Some(Moved { cpu, ready }), ahead, waited, running);
            let next = if running { now } else { laid.next_begins };
            let off = (laid.last_ends - told) + (laid.ready.1 - laid.ready.0) + (laid.unknown.1 - laid.unknown.0) + (now - next);
            prop_assert_eq!((span - off) as i64 - cpu as i64, laid.ahead - ahead);
            prop_assert!(laid.last_ends >= told && laid.next_begins <= now);
        }
    }
}
