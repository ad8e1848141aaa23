//! Processes that may have become an interpreter's → its layout, told to the kernel side and to the recorder. Looked for
//! until it is there or the time is over: what a process maps it maps after its execve.

use std::collections::HashMap;

use crossbeam_channel::Sender;

use super::{CollectError, item::Item, object::PythonProcesses, run::send};
use crate::unwind::python::{Discoverer, Discovery};

/// How long an interpreter is looked for after an execve; a late one shows by its mapping.
pub const SEARCH_NS: u64 = 300_000_000;

/// Processes that are searched, and where the kernel side is told what was found.
pub struct Interpreters {
    map: PythonProcesses,
    /// Since when, by pid.
    searching: HashMap<u32, u64>,
    enabled: bool,
}

/// A process, since when it was searched, and what it is.
pub type Looked = (u32, u64, Discovery);

/// Looks through the programs of processes: of one with many symbols that takes its time.
pub fn look(discoverer: &mut Discoverer, wanted: Vec<(u32, u64)>) -> Vec<Looked> {
    wanted.into_iter().map(|(pid, since)| (pid, since, discoverer.discover(pid))).collect()
}

impl Interpreters {
    pub fn new(map: PythonProcesses, enabled: bool) -> Interpreters {
        Interpreters { map, searching: HashMap::new(), enabled }
    }

    pub fn search(&mut self, pid: u32, now: u64) {
        if self.enabled {
            self.searching.insert(pid, now);
        }
    }

    pub fn is_searched(&self, pid: u32) -> bool {
        self.searching.contains_key(&pid)
    }

    pub fn ended(&mut self, pid: u32) {
        self.searching.remove(&pid);
    }

    pub fn wanted(&self) -> Vec<(u32, u64)> {
        self.searching.iter().map(|(pid, since)| (*pid, *since)).collect()
    }

    /// Tells both sides what was found; true while something is searched. Who ended or executed another program since it was
    /// looked at is passed over.
    pub fn tell(&mut self, looked: Vec<Looked>, now: u64, sender: &Sender<Item>) -> Result<bool, CollectError> {
        for (pid, since, discovery) in looked {
            if self.searching.get(&pid) != Some(&since) {
                continue;
            }
            match discovery {
                Discovery::NotYet if now.saturating_sub(since) < SEARCH_NS => continue,
                Discovery::Found(layout) if self.map.insert(pid, &layout) => {
                    send(sender, Item::Python { pid, layout })?
                }
                Discovery::Found(_) | Discovery::NotYet | Discovery::NotPython | Discovery::Refused(_) => {}
            }
            self.searching.remove(&pid);
        }
        Ok(!self.searching.is_empty())
    }
}
