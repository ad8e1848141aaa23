//! The backend of an ordinary user: perf's own events on the target's tree. Samples, switches, lives and mappings are
//! exact; what a wait was about is looked up in /proc while it lasts (every few milliseconds, so that shorter ones stay
//! unknown). Messages, files and who woke whom are not seen.

mod record;
mod rings;
mod switches;

use std::collections::{BTreeSet, HashMap};

use super::{
    clock::monotonic_ns,
    item::Item,
    process,
    procfs::{Objects, look, see},
    to_wire::{Entries, Who},
};
use crate::{recording::Loss, unwind::Root};
use record::Record;
pub use rings::{Asked, Rings};
use switches::Switches;

/// A thread that has been off the CPU for so long is looked at.
const WORTH_A_LOOK_NS: u64 = 1_500_000;
/// Most looks of one tick, about 50 µs each, and most time for them: a table of many sockets takes longer.
const LOOKS: usize = 24;
const LOOKS_NS: u64 = 2_000_000;

pub struct Perf {
    rings: Rings,
    switches: Switches,
    objects: Objects,
    stack_bytes: usize,
    /// Threads that are off the CPU, as the newest records have it: since when.
    off: HashMap<u32, Outside>,
    alive: BTreeSet<u32>,
    /// When the buffers were read last: what is older is complete now.
    read: u64,
    events: u64,
}

#[derive(Debug, Clone, Copy)]
struct Outside {
    pid: u32,
    since: u64,
    looked: bool,
}

impl Perf {
    /// Of a target that is held still.
    pub fn open(root: u32, cpus: &[usize], asked: Asked, threshold: u64, now: u64) -> std::io::Result<Perf> {
        let rings = Rings::open(Some(root), cpus, asked)?;
        Ok(Perf {
            rings,
            switches: Switches::new(root, now, threshold),
            objects: Objects::default(),
            stack_bytes: asked.stack_bytes as usize,
            off: HashMap::new(),
            alive: BTreeSet::from([root]),
            read: now,
            events: 0,
        })
    }

    pub fn alive(&self) -> &BTreeSet<u32> {
        &self.alive
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    /// What has become complete since the last tick.
    pub fn tick(&mut self, now: u64) -> Vec<Item> {
        let until = std::mem::replace(&mut self.read, now);
        let items = self.drain(until);
        self.look_around(monotonic_ns());
        items
    }

    fn drain(&mut self, until: u64) -> Vec<Item> {
        let off = &mut self.off;
        let records = self.rings.drain(until, |who, on| newest(off, who, on));
        let (mut items, mut changes, mut entries) = (Vec::new(), Vec::new(), Entries::default());
        self.events += records.len() as u64;
        for (record, change) in records {
            changes.extend(change);
            match record {
                Record::Sample { who, registers, user } => entries.sample(who, registers, &user),
                Record::On { who } => self.switches.on(who, &mut entries),
                Record::Off { who, preempted } => self.switches.off(who, preempted),
                Record::Forked { who, maker } => {
                    self.alive.insert(who.pid);
                    self.switches.forked(who, maker, &mut entries);
                }
                Record::Exited { who, parent } => {
                    self.off.remove(&who.tid);
                    if self.switches.exited(who, parent, perfmap_common::EXIT_UNKNOWN, &mut entries) {
                        self.alive.remove(&who.pid);
                    }
                }
                Record::Named { who, comm, executed } => {
                    if executed {
                        let (seen, root) = (process::read(who.pid), Root::of(who.pid));
                        items.push(Item::Image { pid: who.pid, seen, root });
                    }
                    self.switches.named(who, comm, executed, &mut entries);
                }
                Record::Lost(_) | Record::Other => {}
            }
        }
        // Mappings first: the events need them.
        items.push(Item::Changes(changes));
        items.push(Item::Events(entries.into_bytes()));
        items
    }

    /// Looks at threads that wait and that nobody has looked at yet, the longest first.
    fn look_around(&mut self, now: u64) {
        let mut waiting: Vec<(u64, u32)> = self
            .off
            .iter()
            .filter(|(_, outside)| !outside.looked && now.saturating_sub(outside.since) >= WORTH_A_LOOK_NS)
            .map(|(tid, outside)| (outside.since, *tid))
            .collect();
        waiting.sort_unstable();
        for (_, tid) in waiting.into_iter().take(LOOKS) {
            let Some(outside) = self.off.get_mut(&tid) else { continue };
            let at = monotonic_ns();
            if at.saturating_sub(now) > LOOKS_NS {
                break;
            }
            outside.looked = true;
            if let Some(look) = look(outside.pid, tid, at).filter(|look| look.state.number() != 0) {
                self.switches.looked(see(look, &mut self.objects, self.stack_bytes));
            }
        }
    }

    /// The last records, and what was under way; losses by kind.
    pub fn finish(mut self, now: u64) -> (Vec<Item>, Vec<(Loss, u64)>) {
        let mut items = self.drain(u64::MAX);
        let mut entries = Entries::default();
        let unseen = self.switches.finish(now, &mut entries);
        items.push(Item::Events(entries.into_bytes()));
        (items, vec![(Loss::RingFullSample, self.rings.lost), (Loss::SwitchUnseen, unseen)])
    }
}

fn newest(off: &mut HashMap<u32, Outside>, who: Who, on: bool) {
    match on {
        true => {
            off.remove(&who.tid);
        }
        false => {
            off.insert(who.tid, Outside { pid: who.pid, since: who.at, looked: false });
        }
    }
}
