//! The records that cross the kernel border, their limits, and the settings that go the other way.
//!
//! Everything here is `repr(C)` and laid out without hidden padding; `perfmap-ebpf/src/wire.h` is the same text in C,
//! and `collect` compares both against the object's BTF when it loads it. Times are CLOCK_MONOTONIC nanoseconds.
#![no_std]

mod allocation;
mod file_io;
mod kind;
mod runtime;
mod settings;
mod socket;
mod stack;
mod task;
mod tls;
mod wait;

pub use allocation::*;
pub use file_io::*;
pub use kind::*;
pub use runtime::*;
pub use settings::*;
pub use socket::*;
pub use stack::*;
pub use task::*;
pub use tls::*;
pub use wait::*;

/// Bumped whenever a record changes its layout.
pub const WIRE_VERSION: u32 = 3;

/// Deepest Python stack that is walked in the kernel.
pub const MAX_PYTHON_FRAMES: usize = 128;
/// Deepest kernel stack that is kept.
pub const MAX_KERNEL_FRAMES: usize = 48;
/// Most bytes of user stack that are copied for unwinding: 16 KiB cut one in five stacks of Python importing modules;
/// 32 KiB is the largest value of a per-CPU map.
pub const MAX_STACK_BYTES: usize = 32 * 1024;
/// Most bytes of one message's head that are copied: of protocols of framed calls, whole transfers up to this size (what
/// libpq and MySQL clients read at once), so that no header is missed; of others and of larger ones 4 KiB. Twice this
/// is the largest value of a per-CPU map.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;
/// Most bytes of a Python line table that are copied.
pub const MAX_LINE_TABLE_BYTES: usize = 8192;
/// Most bytes of a Python name or file name that are copied.
pub const MAX_STRING_BYTES: usize = 512;
/// Classes of blocks whose short waits are summed (order of `recording::WaitClass`).
pub const WAIT_CLASSES: usize = 8;
/// Longest chain of coroutines that await one another which is kept of one that is resumed.
pub const MAX_AWAITS: usize = 32;
/// So many polls after one that blocked are looked at.
pub const RESUMED_ROUNDS: u32 = 10;
pub const ROUND_MAIN: u32 = 255;
pub const ROUND_STARTED: u32 = 254;

macro_rules! plain {
    ($($record:ty = $size:literal),* $(,)?) => {
        $(
            const _: () = assert!(core::mem::size_of::<$record>() == $size);
            // SAFETY: repr(C), integers only, and the size check above leaves no room for padding.
            unsafe impl Plain for $record {}
        )*
    };
}

/// A record of integers without padding: any bytes of the right length are a value of it.
///
/// # Safety
/// Implementors are `repr(C)`, hold integers and arrays of integers only, and have no padding.
pub unsafe trait Plain: Copy {
    /// The record at the start of `bytes`, or None where they are too few.
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < core::mem::size_of::<Self>() {
            return None;
        }
        // SAFETY: the length was checked, any bits are valid for the type, and the read needs no alignment.
        Some(unsafe { core::ptr::read_unaligned(bytes.as_ptr().cast::<Self>()) })
    }

    fn as_bytes(&self) -> &[u8] {
        // SAFETY: no padding, so every byte is initialised; the lifetime is that of `self`.
        unsafe { core::slice::from_raw_parts((self as *const Self).cast::<u8>(), core::mem::size_of::<Self>()) }
    }
}

plain! {
    Header = 24,
    Fork = 48,
    Named = 48,
    Exit = 56,
    StackHead = 160,
    PythonFrame = 32,
    Sample = 184,
    Memory = 200,
    Allocation = 208,
    Freed = 32,
    AllocationTotals = 40,
    Block = 128,
    Call = 232,
    ShortWaits = 272,
    SocketSeen = 96,
    SocketState = 104,
    Message = 232,
    FileIo = 248,
    Opened = 232,
    Closed = 56,
    Unread = 40,
    Plaintext = 224,
    Ask = 224,
    PythonCode = 72,
    Resumed = 48,
    Goroutine = 208,
    GoLayout = 56,
    PythonLayout = 80,
    SocketSums = 72,
    Settings = 40,
    Adopt = 56,
    FarEnd = 48,
    LiveSettings = 24,
}
