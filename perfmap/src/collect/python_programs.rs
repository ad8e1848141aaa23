//! Processes that executed a program → where its interpreter keeps its frames, told to both sides; or, where our own
//! walk does not know it, a reader outside (`fallback`); or why there are no Python functions.

use std::collections::{BTreeMap, HashMap};

use crossbeam_channel::Sender;

use super::{
    CollectError, PythonBy,
    fallback::{Because, Fallback, Outcomes},
    item::Item,
    object::PythonProcesses,
    run::send,
};
use crate::{
    recording::{Nanos, ProcessId, Recording},
    unwind::python::{Discoverer, Discovery, Refusal},
};

/// How long an interpreter is looked for after an execve; a late one shows by its mapping.
pub const SEARCH_NS: u64 = 300_000_000;
/// A program that lived no longer than this part of the run is no reason for a note.
const SHORT_LIVED: u64 = 5;

pub struct PythonPrograms {
    /// None: there is no kernel side.
    map: Option<PythonProcesses>,
    /// Since when, by pid.
    searching: HashMap<u32, u64>,
    by: PythonBy,
    fallback: Fallback,
    /// By pid.
    read_outside: BTreeMap<u32, Because>,
    unread: BTreeMap<u32, Refusal>,
}

/// A process, since when it was searched, and what it is.
pub type Looked = (u32, u64, Discovery);

/// Looks through the programs of processes: of one with many symbols that takes its time.
pub fn look(discoverer: &mut Discoverer, wanted: Vec<(u32, u64)>) -> Vec<Looked> {
    wanted.into_iter().map(|(pid, since)| (pid, since, discoverer.discover(pid))).collect()
}

impl PythonPrograms {
    pub fn new(map: Option<PythonProcesses>, by: PythonBy, fallback: Fallback) -> PythonPrograms {
        PythonPrograms {
            map,
            searching: HashMap::new(),
            by,
            fallback,
            read_outside: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }

    /// After an execve, or when an interpreter was mapped: what was known of it may be over.
    pub fn search(&mut self, pid: u32, now: u64) {
        if self.by == PythonBy::Off {
            return;
        }
        self.searching.insert(pid, now);
        self.unread.remove(&pid);
    }

    pub fn executed(&mut self, pid: u32, now: u64) {
        if self.read_outside.remove(&pid).is_some() {
            self.fallback.forget(pid);
        }
        self.search(pid, now);
    }

    /// The kernel copies only a layout that is known already.
    pub fn forked(&mut self, parent: u32, child: u32, now: u64) {
        if self.searching.contains_key(&parent) || self.read_outside.contains_key(&parent) {
            self.search(child, now);
        }
    }

    pub fn ended(&mut self, pid: u32) {
        self.searching.remove(&pid);
        self.fallback.forget(pid);
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
            match (discovery, self.by) {
                (Discovery::NotYet, _) if now.saturating_sub(since) < SEARCH_NS => continue,
                (Discovery::Found(layout), PythonBy::Auto | PythonBy::Ebpf)
                    if self.map.as_mut().is_some_and(|map| map.insert(pid, &layout)) =>
                {
                    send(sender, Item::Python { pid, layout })?
                }
                (Discovery::Found(_), PythonBy::PySpy) => self.read_outside(pid, Because::Asked, sender)?,
                (Discovery::Found(_), PythonBy::Auto) if self.map.is_none() => {
                    self.read_outside(pid, Because::NoProbes, sender)?
                }
                (Discovery::Refused(why), PythonBy::Auto | PythonBy::PySpy) if why.may_be_read_from_outside() => {
                    self.read_outside(pid, Because::Unknown(why), sender)?
                }
                (Discovery::Refused(why), _) => {
                    self.unread.insert(pid, why);
                }
                (Discovery::Found(_) | Discovery::NotYet | Discovery::NotPython, _) => {}
            }
            self.searching.remove(&pid);
        }
        Ok(!self.searching.is_empty())
    }

    fn read_outside(&mut self, pid: u32, why: Because, sender: &Sender<Item>) -> Result<(), CollectError> {
        match self.read_outside.insert(pid, why) {
            None => self.fallback.read(pid, sender),
            Some(_) => Ok(()),
        }
    }

    /// Ends the reading, which then sends nothing more. What the report must say about interpreters.
    pub fn finish(self) -> PythonNotes {
        PythonNotes { outcomes: self.fallback.finish(), read_outside: self.read_outside, unread: self.unread }
    }
}

/// Whose Python functions were read otherwise, or not at all.
pub struct PythonNotes {
    outcomes: Outcomes,
    read_outside: BTreeMap<u32, Because>,
    unread: BTreeMap<u32, Refusal>,
}

impl PythonNotes {
    /// CPU time of processes of perfmap's own, which the kernel counts among its children's as the target's.
    pub fn readers_cpu(&self) -> Nanos {
        self.outcomes.cpu
    }

    /// One for each reader that was at it, and one for each program that was there for a while and has none.
    pub fn notes(&self, recording: &Recording, wall: Nanos) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for (index, process) in recording.processes.iter().enumerate() {
            let lived = process.died.unwrap_or(wall).since(process.born);
            if recording.is_outside(ProcessId(index as u32)) || lived.0 < wall.0 / SHORT_LIVED {
                continue;
            }
            let name = process.images.last().map_or("", |image| image.comm.as_str());
            let note = match (self.outcomes.of.get(&process.pid), self.unread.get(&process.pid)) {
                (Some(readings), _) => {
                    let why = self.read_outside.get(&process.pid).unwrap_or(&Because::Asked);
                    Some(readings.note(name, process.pid, why))
                }
                (None, Some(why)) => Some(format!("Python functions of {name} are not told: {why}")),
                (None, None) => None,
            };
            notes.extend(note.filter(|note| !notes.contains(note)));
        }
        notes
    }
}
