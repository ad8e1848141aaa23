//! Processes that may have become an interpreter's → its layout, told to the kernel side and to the recorder. Looked for
//! until it is there or the time is over: what a process maps it maps after its execve.

use std::collections::HashMap;

use crossbeam_channel::Sender;

use super::{CollectError, item::Item, object::PythonProcesses, run::send};
use crate::unwind::python::{Discoverer, Discovery};

/// How long an interpreter is looked for after an execve; a late one shows by its mapping.
pub const SEARCH_NS: u64 = 300_000_000;

/// Finds the layouts of interpreters and tells both sides.
pub struct Interpreters {
    map: PythonProcesses,
    discoverer: Discoverer,
    /// Since when, by pid.
    searching: HashMap<u32, u64>,
    enabled: bool,
}

impl Interpreters {
    pub fn new(map: PythonProcesses, enabled: bool) -> Interpreters {
        Interpreters { map, discoverer: Discoverer::default(), searching: HashMap::new(), enabled }
    }

    pub fn is_searched(&self, pid: u32) -> bool {
        self.searching.contains_key(&pid)
    }

    pub fn ended(&mut self, pid: u32) {
        self.searching.remove(&pid);
    }

    pub fn search(&mut self, pid: u32, now: u64) {
        if self.enabled {
            self.searching.insert(pid, now);
        }
    }

    /// True while something is looked for.
    pub fn tick(&mut self, now: u64, sender: &Sender<Item>) -> Result<bool, CollectError> {
        let mut found = Vec::new();
        let (map, discoverer) = (&mut self.map, &mut self.discoverer);
        self.searching.retain(|pid, since| match discoverer.discover(*pid) {
            Discovery::Found(layout) => {
                if map.insert(*pid, &layout) {
                    found.push((*pid, layout));
                }
                false
            }
            Discovery::NotPython | Discovery::Refused(_) => false,
            Discovery::NotYet => now.saturating_sub(*since) < SEARCH_NS,
        });
        for (pid, layout) in found {
            send(sender, Item::Python { pid, layout })?;
        }
        Ok(!self.searching.is_empty())
    }
}
