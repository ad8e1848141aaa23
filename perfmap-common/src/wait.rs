//! Intervals off the CPU, and the system calls that they lie in.

use crate::{Header, Sample, StackHead, WAIT_CLASSES};

/// One interval off the CPU over the threshold; written at switch-in, so it has no stack.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Block {
    pub header: Header,
    pub off: u64,
    /// 0: nobody was seen waking it.
    pub wake: u64,
    /// The kernel's task state at switch-out; 0: runnable (preempted).
    pub state: u32,
    /// -1: not in a system call.
    pub syscall: i32,
    pub waker_pid: u32,
    pub waker_tid: u32,
    pub waker_syscall: i32,
    pub waker_descriptor: i32,
    pub waker_comm: [u8; 16],
    /// `BLOCK_*` bits.
    pub flags: u32,
    /// Thread that held the lock when the task went to sleep on it, as the lock itself says (its process's own thread
    /// id); 0: no lock, or one that does not say.
    pub holder: u32,
    /// Who had the CPU right before; 0: nobody, or a process of another PID namespace.
    pub before_pid: u32,
    pub before_tid: u32,
    /// Empty for a followed task.
    pub before_comm: [u8; 16],
    /// The kernel's number of the block device that it had just given work to when it went to sleep uninterruptibly; 0:
    /// none.
    pub device: u32,
    pub reserved: u32,
    /// The goroutine that the waker ran; 0: none, or none that is known.
    pub waker_goroutine: u64,
}

/// The wake came before the switch-out was seen (other CPU).
pub const BLOCK_EARLY_WAKE: u32 = 1;
/// The task was still off the CPU when the recording ended.
pub const BLOCK_UNFINISHED: u32 = 2;
/// The lock is CPython's global interpreter lock.
pub const BLOCK_INTERPRETER_LOCK: u32 = 4;
/// What it waited for a CPU for was its cgroup's next CPU quota.
pub const BLOCK_THROTTLED: u32 = 8;
/// The wake was not seen: nobody is named, its time is the scheduler's own.
pub const BLOCK_UNSEEN_WAKE: u32 = 16;

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Object {
    None = 0,
    Socket = 1,
    Pipe = 2,
    File = 3,
    Anonymous = 4,
    Other = 5,
}

/// The return of a system call in which a `Block` was written: header, fields, then a stack where `has_stack`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Call {
    pub header: Header,
    pub result: i64,
    pub arguments: [u64; 3],
    /// Kernel address of the socket, inode of the pipe, or 0.
    pub identity: u64,
    pub syscall: u32,
    pub object: u32,
    pub stack: StackHead,
}

/// A block outside system calls (page fault), taken at switch-out: header, then a stack.
pub type FaultStack = Sample;

/// Sums of blocks below the threshold: header (`at` = end), fields, then a stack.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct ShortWaits {
    pub header: Header,
    pub from: u64,
    pub run_queue: u64,
    pub blocked: [u64; WAIT_CLASSES],
    pub count: u64,
    pub stack: StackHead,
}
