//! What was seen and could not be kept, counted by kind where it happened. Nothing is dropped silently.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Loss {
    /// No room in the ring buffer, by record.
    RingFullSample,
    RingFullWait,
    RingFullMessage,
    RingFullTask,
    RingFullFile,
    RingFullPython,
    /// A traced task got no storage in the kernel.
    NoTaskStorage,
    /// perf reported lost mapping records.
    MappingLost,
    /// A record did not decode.
    Malformed,
    /// User memory could not be read.
    PythonUnreadable,
    /// The file-I/O site table was full; sums are kept, their site is lost.
    SiteTableFull,
    /// The unwinder lagged behind and stacks were dropped from the queue.
    UnwinderLagged,
    /// Payload head could not be read.
    PayloadUnreadable,
    /// Requests were under way when earlier detail was given up, on a connection that had too many messages of them.
    RequestsCut,
    /// The bytes are in a later record, with its stack.
    RingFullMemory,
    /// A wait whose end was seen without who brought it: the wake went by untraced. Its time is the scheduler's own.
    WakeUnseen,
    /// A task got the CPU without having been seen to lose it: what it waited counts as computed.
    SwitchUnseen,
}

impl Loss {
    /// What the reader must know about it: one phrase.
    pub fn meaning(self) -> &'static str {
        match self {
            Loss::RingFullSample => "CPU samples dropped: the ring buffer was full",
            Loss::RingFullWait => "waits kept as sums, without stack or waker: the ring buffer was full",
            Loss::RingFullMessage => "socket messages dropped: round trips may be low",
            Loss::RingFullTask => "process events dropped: processes may be missing",
            Loss::RingFullFile => "file I/O records dropped",
            Loss::RingFullPython => "Python code names dropped",
            Loss::NoTaskStorage => "threads that could not be followed",
            Loss::MappingLost => "memory mappings dropped: some addresses have no name",
            Loss::Malformed => "records that did not decode",
            Loss::PythonUnreadable => "Python frames that could not be read",
            Loss::SiteTableFull => "file I/O sites beyond the table: bytes without a function",
            Loss::UnwinderLagged => "stacks dropped: the unwinder lagged behind",
            Loss::RequestsCut => {
                "requests whose answer had not been seen when earlier detail was given up: not counted"
            }
            Loss::RingFullMemory => "memory records dropped: growth is told by a later one, at its function",
            Loss::WakeUnseen => "waits whose waker was not seen",
            Loss::SwitchUnseen => "waits that were not seen to begin: they count as computing",
            Loss::PayloadUnreadable => "message heads that could not be read",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses(pub BTreeMap<Loss, u64>);

impl Losses {
    pub fn add(&mut self, kind: Loss, count: u64) {
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
    pub fn of(&self, kind: Loss) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }
}
