//! The backend without any privilege: the target's own tree polled in /proc, as its user may. Time on the CPU is the
//! scheduler's own figure and exact; what happened between two polls is not seen, so every other number is right to one
//! poll's distance, and processes that live shorter are missed. Where a thread that computes is, nobody tells: only an
//! interpreter's frames can be read; of one that waits the native stack can.

mod look;
mod objects;
mod polls;
mod wait_channel;
mod waits;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{
    clock::thread_cpu_ns,
    item::Item,
    mappings::{Change, What},
    process,
    to_wire::{Entries, Who},
};
use crate::{
    recording::Loss,
    unwind::{Mapping, Root, read_mappings},
};

pub use look::{State, look};
pub use objects::{Objects, network_namespace};
use polls::Polls;
pub use waits::{Off, Seen, see, tell};

/// Processes of one tree that are looked at.
const PROCESSES: usize = 4096;
/// At most so many parts of a hundred of one CPU go into looking.
const SHARE: u64 = 5;
/// What is mapped is read again so often, for libraries that come later; sooner while they come.
const MAPPINGS_NS: u64 = 500_000_000;
const EARLY_NS: u64 = 20_000_000;
const CHILDREN_BYTES: u64 = 64 << 10;

pub struct Procfs {
    polls: Polls,
    root: u32,
    alive: BTreeSet<u32>,
    /// Between two passes, as asked for.
    period: u64,
    next: u64,
    began: u64,
    passes: u64,
    programs: BTreeMap<u32, Program>,
}

/// What was last seen of a process.
#[derive(Default)]
struct Program {
    executable: PathBuf,
    mappings: Vec<Mapping>,
    /// When the mappings are read again.
    due: u64,
}

impl Procfs {
    pub fn new(root: u32, now: u64, sample_hz: u32, stack_bytes: u32) -> Procfs {
        Procfs {
            polls: Polls::new(root, now, stack_bytes),
            root,
            alive: BTreeSet::from([root]),
            period: 1_000_000_000 / u64::from(sample_hz.max(1)),
            next: now,
            began: now,
            passes: 0,
            programs: BTreeMap::new(),
        }
    }

    pub fn alive(&self) -> &BTreeSet<u32> {
        &self.alive
    }

    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// When the next pass is due.
    pub fn due(&self) -> u64 {
        self.next
    }

    /// How far apart two polls were: what everything but CPU time is exact to.
    pub fn period(&self, now: u64) -> u64 {
        now.saturating_sub(self.began) / self.passes.max(1)
    }

    pub fn tick(&mut self, now: u64) -> Vec<Item> {
        if now < self.next {
            return Vec::new();
        }
        let before = thread_cpu_ns();
        let tree = tree(self.root);
        let (mut items, mut entries) = (Vec::new(), Entries::default());
        let pass = self.polls.pass(now, &tree, &mut entries);
        self.alive = tree.into_keys().collect();
        // A process is told before its program.
        items.push(Item::Events(entries.into_bytes()));
        for pid in &pass.gone {
            self.programs.remove(pid);
        }
        for pid in self.alive.clone() {
            self.program(pid, now, &mut items);
        }
        let mut entries = Entries::default();
        for who in pass.ran {
            entries.sample(who, [0; 17], &[]);
        }
        items.push(Item::Events(entries.into_bytes()));
        self.passes += 1;
        // Not the time that it took: a pass that lost the CPU would make the next one late too.
        let cost = thread_cpu_ns().saturating_sub(before);
        self.next = now + self.period.max(cost.saturating_mul(100 / SHARE));
        items
    }

    /// A new program, and what it has mapped since.
    fn program(&mut self, pid: u32, now: u64, items: &mut Vec<Item>) {
        let known = self.programs.entry(pid).or_default();
        let executable = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let executed = executable != known.executable && !executable.as_os_str().is_empty();
        if executed {
            items.push(Item::Image { pid, seen: process::read(pid), root: Root::of(pid) });
            let mut entries = Entries::default();
            entries.exec(Who { pid, tid: pid, at: now }, process::comm(pid, pid));
            items.push(Item::Events(entries.into_bytes()));
            *known = Program { executable, ..Program::default() };
        }
        if now < known.due {
            return;
        }
        // Its libraries come within its first milliseconds.
        known.due = now + if known.mappings.is_empty() { 0 } else { MAPPINGS_NS };
        let mappings = read_mappings(pid);
        if mappings != known.mappings && !mappings.is_empty() {
            known.mappings.clone_from(&mappings);
            known.due = now + EARLY_NS;
            items.push(Item::Changes(vec![Change { at: now, pid, what: What::Snapshot(mappings) }]));
        }
    }

    /// `ended`: the root process, where it ended by itself.
    pub fn finish(self, now: u64, ended: Option<u32>) -> (Vec<Item>, Vec<(Loss, u64)>) {
        let mut entries = Entries::default();
        let refused = self.polls.refused;
        self.polls.finish(now, ended, &mut entries);
        (vec![Item::Events(entries.into_bytes())], vec![(Loss::NoTaskStorage, refused)])
    }
}

/// The process and all below it, each with its parent, as far as the kernel lists children.
pub fn tree(root: u32) -> BTreeMap<u32, u32> {
    let mut found = BTreeMap::new();
    let mut open = vec![(root, 0)];
    while let Some((pid, parent)) = open.pop() {
        if found.len() >= PROCESSES || found.contains_key(&pid) {
            continue;
        }
        found.insert(pid, parent);
        for tid in process::threads(pid, PROCESSES) {
            let children = process::bytes(pid, &format!("task/{tid}/children"), CHILDREN_BYTES);
            let text = String::from_utf8_lossy(&children);
            open.extend(text.split_ascii_whitespace().filter_map(|child| Some((child.parse().ok()?, pid))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn finds_the_tree() {
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "sleep 5 & wait"]).spawn().expect("sh runs");
        let deadline = std::time::Instant::now() + Duration::from_secs(3);
        let mut found = tree(child.id());
        while found.len() < 2 && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            found = tree(child.id());
        }
        assert_eq!(found.len(), 2, "the shell and its sleep");
        assert_eq!(found.get(&child.id()), Some(&0));
        assert!(found.iter().any(|(pid, parent)| *pid != child.id() && *parent == child.id()));
        for pid in found.into_keys() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGKILL);
        }
        let _ = child.wait();
    }
}
