//! The machine and the control group around the run: what they counted from its beginning to its end.

use serde::{Deserialize, Serialize};

use super::Nanos;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Between the two readings; 0: there were none.
    pub length: Nanos,
    /// Empty where the kernel keeps no account of pressure.
    pub pressure: Vec<Pressure>,
    /// Those that did anything, by their number.
    pub disks: Vec<Disk>,
    /// Pages, of the whole machine.
    pub swapped_in: u64,
    pub swapped_out: u64,
    /// Page faults that waited for a device, of the whole machine.
    pub major_faults: u64,
    /// The same of the command's processes that have ended.
    pub own_major_faults: u64,
    /// None: no control group with a memory controller.
    pub memory: Option<GroupMemory>,
}

impl Environment {
    /// Of the control group where it keeps an account of its own, else of the machine.
    pub fn pressure_of(&self, resource: Resource) -> Option<&Pressure> {
        let of = |scope| self.pressure.iter().find(|one| one.scope == scope && one.resource == resource);
        of(Scope::Group).or_else(|| of(Scope::Machine))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    Machine,
    /// perfmap's own control group, in which it starts the command.
    Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resource {
    Cpu,
    Io,
    Memory,
}

/// Pressure stall information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    pub scope: Scope,
    pub resource: Resource,
    /// At least one task waited for it.
    pub some: Nanos,
    /// All that were not idle did.
    pub full: Nanos,
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// As [`super::KnownFile::device`].
    pub device: u32,
    pub name: String,
    pub requests: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Something was under way.
    pub busy: Nanos,
    /// Sum over the requests: by `busy` it is the mean length of the queue.
    pub queued: Nanos,
}

/// What the control group's memory controller counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMemory {
    /// Bytes; None: no limit.
    pub limit: Option<u64>,
    /// Times that it was held back at `memory.high`, reached its limit, ran out of memory.
    pub held_back: u64,
    pub reached: u64,
    pub out: u64,
}
