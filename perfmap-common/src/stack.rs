//! Stacks, and what is nothing but one: samples and changes of memory.

use crate::Header;

/// What precedes the variable parts of a stack: `python` frames (32 bytes each), `kernel` addresses (8), `user` bytes,
/// in this order.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct StackHead {
    /// ax dx cx bx si di bp sp r8..r15 ip: framehop's (DWARF) order.
    pub registers: [u64; 17],
    /// The outermost coroutine of the Python frames, by the address of its frame; 0: none. An event loop's task.
    pub coroutine: u64,
    pub python: u32,
    pub kernel: u32,
    pub user: u32,
    /// `STACK_*` bits.
    pub flags: u32,
}
/// The Python walk was cut at `MAX_PYTHON_FRAMES` or by unreadable memory.
pub const STACK_PYTHON_CUT: u32 = 1;
/// The interpreter's thread state was not found (thread outside Python, or start-up).
pub const STACK_NO_THREAD_STATE: u32 = 2;
/// The copy filled `MAX_STACK_BYTES`: the stack may be longer.
pub const STACK_USER_CUT: u32 = 4;

/// One interpreter frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PythonFrame {
    /// Address of the code object.
    pub code: u64,
    /// 3.11+: address of the (previous) instruction; earlier: f_lasti.
    pub instruction: u64,
    /// Address of the qualified name (before 3.11: of the name): with `code` and `first_line` the identity, because
    /// addresses of freed code objects are used again.
    pub name: u64,
    pub first_line: u32,
    /// 3.11+: the 4 bytes of the frame at offset 68, which hold the owner and is_entry bytes.
    pub owner: u32,
}

/// A CPU sample: the header, then a stack.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Sample {
    pub header: Header,
    pub stack: StackHead,
}

/// A change of a process's resident memory since the last one told: header, fields, then the stack of who was at it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Memory {
    pub header: Header,
    /// Bytes.
    pub change: i64,
    /// Bytes that are resident now, as far as the kernel's per-CPU counters have been brought together.
    pub resident: i64,
    pub stack: StackHead,
}
