//! Processes and threads: made, replaced, ended, adopted; and who is followed.

use crate::Header;

/// A fork or clone; the header names the maker.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Fork {
    pub header: Header,
    pub child_pid: u32,
    pub child_tid: u32,
    pub comm: [u8; 16],
}

/// execve (`Kind::Exec`, `value` = the thread's former tid), a new thread name (`Kind::Rename`), or a process that is
/// not followed and uses the far end of a followed one's connection (`Kind::Peer`; told once).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Named {
    pub header: Header,
    pub value: u64,
    pub comm: [u8; 16],
}

/// A thread's end.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Exit {
    pub header: Header,
    /// As wait(2) reports it: signal in the low 7 bits, exit code in bits 8..16.
    pub code: u32,
    /// Threads of the process that are still alive; 0: the process is over.
    pub alive: u32,
    /// CPU time of this thread.
    pub cpu_ns: u64,
    pub comm: [u8; 16],
}

/// `Exit::code` where nobody told how it ended: no wait(2) reports it.
pub const EXIT_UNKNOWN: u32 = 0x7f;

/// A thread that ran already is followed from now on.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Adopt {
    pub header: Header,
    /// Process id of its process's parent.
    pub parent: u32,
    pub reserved: u32,
    /// CPU time that this thread had used before.
    pub cpu_ns: u64,
    pub comm: [u8; 16],
}

/// What is done with processes that are not followed and use the far end of a followed one's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Follow {
    None = 0,
    /// `Kind::Peer`; user space decides.
    Announce = 1,
    /// `Kind::Peer`, and its own connections are looked at in the same way; it is not followed.
    Learn = 2,
    /// It is followed from this transfer on.
    Adopt = 3,
}

/// Value of the `outsiders` map, key tgid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    Announced = 1,
    /// `Follow::Adopt`: its threads are followed, or will be at the next walk over all tasks. Else: its connections
    /// are looked at.
    Followed = 2,
    /// Never followed, whatever it speaks to.
    Never = 3,
}

/// Key of the `far_ends` map: an end of a connection as its own owner sees it. Unix sockets: `socket` alone, the kernel
/// address of that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FarEnd {
    pub local_ip: [u8; 16],
    pub remote_ip: [u8; 16],
    pub socket: u64,
    pub local_port: u16,
    pub remote_port: u16,
    pub reserved: u32,
}
