//! The records that cross the kernel border, their limits, and the settings that go the other way.
//!
//! Everything here is `repr(C)` and laid out without hidden padding; `perfmap-ebpf/src/wire.h` is the same text in C,
//! and `collect` compares both against the object's BTF when it loads it. Times are CLOCK_MONOTONIC nanoseconds.
#![no_std]

/// Bumped whenever a record changes its layout.
pub const WIRE_VERSION: u32 = 1;

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

/// First word of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Fork = 1,
    Exec = 2,
    Exit = 3,
    Rename = 4,
    Sample = 5,
    Block = 6,
    Call = 7,
    ShortWaits = 8,
    SocketSeen = 9,
    SocketState = 10,
    Message = 11,
    FileIo = 12,
    PythonCode = 13,
    FaultStack = 14,
}

impl Kind {
    pub const ALL: [Kind; 14] = [
        Kind::Fork,
        Kind::Exec,
        Kind::Exit,
        Kind::Rename,
        Kind::Sample,
        Kind::Block,
        Kind::Call,
        Kind::ShortWaits,
        Kind::SocketSeen,
        Kind::SocketState,
        Kind::Message,
        Kind::FileIo,
        Kind::PythonCode,
        Kind::FaultStack,
    ];

    pub fn from_u32(value: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u32 == value)
    }
}

/// Index into the per-CPU loss counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum LossSlot {
    RingSample = 0,
    RingWait = 1,
    RingMessage = 2,
    RingTask = 3,
    RingFile = 4,
    RingPython = 5,
    TaskStorage = 6,
    PythonUnreadable = 7,
    SiteTable = 8,
    PayloadUnreadable = 9,
}
pub const LOSS_SLOTS: usize = 10;

/// Who and when; `task` is the subject, which is not always the running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    pub kind: u32,
    /// Process (tgid) and thread (pid) as the initial PID namespace numbers them.
    pub pid: u32,
    pub tid: u32,
    pub cpu: u32,
    pub at: u64,
}

/// A fork or clone; the header names the maker.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Fork {
    pub header: Header,
    pub child_pid: u32,
    pub child_tid: u32,
    pub comm: [u8; 16],
}

/// execve (`Kind::Exec`, `value` = the thread's former tid) or a new thread name (`Kind::Rename`).
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

/// What precedes the variable parts of a stack: `python` frames (32 bytes each), `kernel` addresses (8), `user` bytes,
/// in this order.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct StackHead {
    /// ax dx cx bx si di bp sp r8..r15 ip: framehop's (DWARF) order.
    pub registers: [u64; 17],
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
    pub reserved: u32,
}

/// The wake came before the switch-out was seen (other CPU).
pub const BLOCK_EARLY_WAKE: u32 = 1;
/// The task was still off the CPU when the recording ended.
pub const BLOCK_UNFINISHED: u32 = 2;

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

/// A socket at its first transfer.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct SocketSeen {
    pub header: Header,
    /// The kernel's cookie: never used again while the machine is up.
    pub socket: u64,
    /// Kernel address of this end; used again after close.
    pub kernel: u64,
    /// Unix sockets: kernel address of the other end.
    pub peer: u64,
    pub netns: u32,
    pub family: u16,
    pub kind: u16,
    pub local_port: u16,
    pub remote_port: u16,
    pub state: u16,
    pub protocol: u16,
    pub local_ip: [u8; 16],
    pub remote_ip: [u8; 16],
}

/// A TCP state change; the header's task is the running one, which need not own the socket.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct SocketState {
    pub seen: SocketSeen,
    pub from: u32,
    pub to: u32,
}

/// A transfer on a socket: header, fields, the stack's variable parts, then `captured` payload bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Message {
    pub header: Header,
    pub socket: u64,
    pub bytes: u64,
    /// Transfers and bytes of this socket and direction since the last record that were not recorded one by one.
    pub skipped_messages: u64,
    pub skipped_bytes: u64,
    pub syscall: u32,
    pub descriptor: i32,
    pub captured: u32,
    /// `MESSAGE_*` bits.
    pub flags: u32,
    pub stack: StackHead,
}
pub const MESSAGE_SENT: u32 = 1;
/// The socket is judged to carry no known protocol; only sums follow.
pub const MESSAGE_OPAQUE: u32 = 2;
/// A stack was taken.
pub const MESSAGE_STACK: u32 = 4;
/// The socket's last sums (`bytes` is 0): it was closed.
pub const MESSAGE_CLOSED: u32 = 8;
/// The payload is pieces of the transfer: each is its offset (u32) and length (u32), then its bytes.
pub const MESSAGE_PIECES: u32 = 16;

/// What a socket carries; values of the `verdicts` map, by which user space tells the kernel side (key: cookie).
pub const PROTOCOL_HTTP1: u32 = 1;
pub const PROTOCOL_TLS: u32 = 2;
pub const PROTOCOL_OPAQUE: u32 = 3;
/// Framed: databases, caches, HTTP/2, DNS.
pub const PROTOCOL_CALLS: u32 = 4;
/// All frames' headers, wherever they lie in a transfer, but no bodies.
pub const PROTOCOL_HTTP2: u32 = 5;

/// Sums of file I/O of one call site: header (`at` = last call), fields, then a stack where the site is new.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct FileIo {
    pub header: Header,
    pub first: u64,
    pub bytes: u64,
    pub calls: u64,
    /// Identity of the site; its stack came with the first record of this number.
    pub site: u64,
    /// 0 read, 1 write.
    pub operation: u32,
    /// 1: this record carries the site's stack.
    pub has_stack: u32,
    pub stack: StackHead,
}

/// A Python code object at first sight: header, fields, then `name`, `file`, `table` bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PythonCode {
    pub header: Header,
    pub code: u64,
    pub name_address: u64,
    pub first_line: u32,
    /// Bytes of the name and of the file name; characters are 1, 2 or 4 bytes wide.
    pub name_bytes: u32,
    pub name_width: u32,
    pub file_bytes: u32,
    pub file_width: u32,
    pub table_bytes: u32,
    /// Length of the table in the target, which may be more than was copied.
    pub table_length: u64,
}

/// How to walk one process's Python frames; value of the `python_processes` map, key tgid. Offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct PythonLayout {
    /// Address of `_PyRuntime` in the target.
    pub runtime: u64,
    /// 0x030b for 3.11.
    pub version: u32,
    /// Offset of the thread-state key (a pthread key) in `_PyRuntime`.
    pub tss_key: u32,
    /// Offset of `frame`, `cframe` or `current_frame` in PyThreadState.
    pub thread_frame: u32,
    /// 1: `thread_frame` points at a cframe, whose current_frame lies at `cframe_current`.
    pub has_cframe: u32,
    pub cframe_current: u32,
    pub frame_code: u32,
    pub frame_back: u32,
    pub frame_instruction: u32,
    pub code_file: u32,
    pub code_name: u32,
    pub code_first_line: u32,
    pub code_table: u32,
    /// Size of a str object's header before its characters: compact ASCII, and compact of wider kinds.
    pub str_ascii: u32,
    pub str_compact: u32,
}

/// Value of the `sockets` map, key cookie: what is known of one socket in the kernel. Read by user space at the end,
/// for the sums of sockets that were never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct SocketSums {
    /// Received, then sent: transfers and bytes that no `Message` has carried yet.
    pub skipped_messages: [u64; 2],
    pub skipped_bytes: [u64; 2],
    pub messages: u32,
    /// `PROTOCOL_*`; 0: undecided.
    pub protocol: u32,
    /// Direction of the last transfer plus 1; 0: none yet.
    pub last: u32,
    pub pid: u32,
    pub tid: u32,
    pub reserved: u32,
    /// HTTP/2, received and sent: bytes of the current frame's payload that are to come, and whether they are taken.
    pub frame_left: [u32; 2],
    pub frame_taken: [u32; 2],
}

/// Settings that are written into the object before it is loaded (`settings` in .rodata).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Blocks at least this long are recorded one by one.
    pub wait_threshold_ns: u64,
    /// Short waits of a task are written out at least this often while it goes on having them.
    pub short_waits_every_ns: u64,
    /// File I/O sums of a task are written out at least this often while it goes on.
    pub file_io_every_ns: u64,
    pub stack_bytes: u32,
    /// 1: count only (baseline runs): no stacks, no waits.
    pub counting_only: u32,
}

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
    StackHead = 152,
    PythonFrame = 32,
    Sample = 176,
    Block = 88,
    Call = 224,
    ShortWaits = 264,
    SocketSeen = 96,
    SocketState = 104,
    Message = 224,
    FileIo = 216,
    PythonCode = 72,
    PythonLayout = 64,
    SocketSums = 72,
    Settings = 32,
}
