//! The records that cross the kernel border, their limits, and the settings that go the other way.
//!
//! Everything here is `repr(C)` and laid out without hidden padding; `perfmap-ebpf/src/wire.h` is the same text in C,
//! and `collect` compares both against the object's BTF when it loads it. Times are CLOCK_MONOTONIC nanoseconds.
#![no_std]

/// Bumped whenever a record changes its layout.
pub const WIRE_VERSION: u32 = 2;

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
    Adopt = 15,
    Peer = 16,
    Resumed = 17,
    Plaintext = 20,
    Memory = 21,
    Ask = 22,
    Goroutine = 24,
}

impl Kind {
    pub const ALL: [Kind; 21] = [
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
        Kind::Adopt,
        Kind::Peer,
        Kind::Resumed,
        Kind::Plaintext,
        Kind::Memory,
        Kind::Ask,
        Kind::Goroutine,
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
    RingMemory = 10,
}
pub const LOSS_SLOTS: usize = 11;

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
}

/// The wake came before the switch-out was seen (other CPU).
pub const BLOCK_EARLY_WAKE: u32 = 1;
/// The task was still off the CPU when the recording ended.
pub const BLOCK_UNFINISHED: u32 = 2;
/// The lock is CPython's global interpreter lock.
pub const BLOCK_INTERPRETER_LOCK: u32 = 4;
/// What it waited for a CPU for was its cgroup's next CPU quota.
pub const BLOCK_THROTTLED: u32 = 8;

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

/// What a call into a TLS library moved: header (`at` = the call's return), fields, the stack's
/// variable parts, then `captured` bytes of plaintext.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Plaintext {
    pub header: Header,
    /// Address of the library's object; used again when it was freed.
    pub connection: u64,
    /// Cookie of the last socket that the call used; 0: of none.
    pub socket: u64,
    pub bytes: u64,
    /// The call's entry.
    pub began: u64,
    pub captured: u32,
    /// `PLAINTEXT_*` bits.
    pub flags: u32,
    pub stack: StackHead,
}
pub const PLAINTEXT_SENT: u32 = 1;
/// A stack was taken.
pub const PLAINTEXT_STACK: u32 = 2;
/// rustls: `connection` is the object's beginning where it was written, a part of it where it was read.
pub const PLAINTEXT_RUSTLS: u32 = 4;

/// A probed function of a TLS library: the cookie of its probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum TlsFunction {
    SslRead = 1,
    SslWrite = 2,
    SslReadEx = 3,
    SslWriteEx = 4,
    GnutlsRecv = 5,
    GnutlsSend = 6,
    GoRead = 7,
    GoWrite = 8,
    RustlsRead = 10,
    RustlsWrite = 11,
    /// Not of TLS: `net/http.(*persistConn).roundTrip`, at whose entry the goroutine is known that makes a request.
    GoAsks = 12,
    /// `net/http.persistConnWriter.Write`: the one that writes for a connection.
    GoWrites = 13,
}

impl TlsFunction {
    /// The cookie of the probes at its returns.
    pub const fn return_cookie(self) -> u64 {
        match self {
            Self::GoRead | Self::GoWrite | Self::GoAsks | Self::GoWrites => 9,
            Self::SslRead
            | Self::SslWrite
            | Self::SslReadEx
            | Self::SslWriteEx
            | Self::GnutlsRecv
            | Self::GnutlsSend
            | Self::RustlsRead
            | Self::RustlsWrite => 0,
        }
    }
}

/// Somebody asked for what an event loop does in a later turn: header, fields, then the stack's variable parts and
/// `captured` bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Ask {
    pub header: Header,
    /// Of libuv; 0: not known.
    pub handle: u64,
    /// What the handle belongs to, as the program says; 0: not known.
    pub wrap: u64,
    /// Of a timer: when it runs out, at the latest.
    pub due: u64,
    /// An [`AskFunction`].
    pub what: u32,
    pub has_stack: u32,
    /// Bytes of what `wrap` points to, behind the stack.
    pub captured: u32,
    pub reserved: u32,
    pub stack: StackHead,
}
/// Of the object that a connection belongs to: Node's has its TLS library's object within some 200 bytes.
pub const WRAP_BYTES: usize = 512;

/// A probed function in which somebody asks for something: the cookie of its probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum AskFunction {
    /// A handle for a connection is made.
    Made = 32,
    /// The connection of a handle is opened: the next one that its thread opens.
    Connects = 33,
    /// A connection that is open is given to another request.
    Reused = 34,
    /// A timer is set.
    Timer = 35,
}

impl AskFunction {
    pub fn from_u32(value: u32) -> Option<AskFunction> {
        [Self::Made, Self::Connects, Self::Reused, Self::Timer].into_iter().find(|known| *known as u32 == value)
    }
}

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

/// A coroutine that asyncio is about to resume, found in the queue of its event loop when the first poll after one that
/// blocked returns: header, fields, then its frames and those that it awaits, outermost first.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Resumed {
    pub header: Header,
    /// As in [`StackHead::coroutine`].
    pub coroutine: u64,
    pub frames: u32,
    /// How many polls that did not block lie between; `ROUND_MAIN`: not resumed, but what the loop runs for;
    /// `ROUND_STARTED`: about to run for the first time.
    pub round: u32,
    /// 1: it awaits one of the loop's tasks, or several.
    pub of_tasks: u32,
    pub reserved: u32,
}

/// What was seen of one of Go's goroutines: header (`tid` is the thread that saw it), fields, then its stack where it has
/// one.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Goroutine {
    pub header: Header,
    /// `runtime.g.goid`.
    pub goroutine: u64,
    /// Address of the `net/http.persistConn`, where it asks or writes.
    pub connection: u64,
    /// [`GoroutineWhat`].
    pub what: u32,
    /// `runtime.g.waitreason`, where it waits.
    pub reason: u32,
    pub stack: StackHead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum GoroutineWhat {
    /// No thread runs it: it waits, with the stack that it will go on with.
    Waits = 1,
    /// It waited when it was last looked at.
    GoesOn = 2,
    Ended = 3,
    /// It makes a request on `connection`: where it does.
    Asks = 4,
    /// It writes what others ask on `connection`.
    Writes = 5,
    /// It ran since it was last told of, and waits where it did.
    WaitsAgain = 6,
}

impl GoroutineWhat {
    pub fn from_u32(value: u32) -> Option<GoroutineWhat> {
        let all = [Self::Waits, Self::GoesOn, Self::Ended, Self::Asks, Self::Writes, Self::WaitsAgain];
        all.into_iter().find(|what| *what as u32 == value)
    }
}

/// Where Go's runtime keeps its goroutines; value of the `go_processes` map, key tgid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct GoLayout {
    /// Address of `runtime.allgs`, a slice.
    pub goroutines: u64,
    /// Where a thread keeps its goroutine's address, from its thread pointer on.
    pub thread_local_g: i64,
    /// Offsets in `runtime.g`.
    pub g_status: u32,
    pub g_id: u32,
    pub g_reason: u32,
    /// Of the frame pointer that it goes on with.
    pub g_frame: u32,
    /// The kernel side's own: when all were looked at last, and which is next.
    pub looked: u64,
    pub from: u32,
    /// Offset of the count of its runs, one byte; 0: there is none that is known.
    pub g_runs: u32,
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
    /// Offset of `thread_id` (a pthread_t) in PyThreadState.
    pub thread_pthread: u32,
    /// Offset of the owner's byte in a frame; 0: coroutines can not be told.
    pub frame_owner: u32,
    /// Offset of the frame in a coroutine object.
    pub generator_frame: u32,
    /// Offset of the coroutine in asyncio's task object.
    pub future_coroutine: u32,
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
    /// Of these every so-manieth has its stack taken.
    pub turns: u32,
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
    /// 1: count only (baseline runs): no stacks, no waits.
    pub counting_only: u32,
    /// `Follow`.
    pub follow: u32,
    /// By whose numbers processes and threads are called: inode of a PID namespace; 0: the machine's own.
    pub pid_namespace: u32,
    pub reserved: u32,
}

/// What may change while the target runs: the one value of the `live` map, written before the first probe is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct LiveSettings {
    /// Blocks at least this long are recorded one by one; not below `Settings::wait_threshold_ns`.
    pub wait_threshold_ns: u64,
    /// Most bytes of a message's head that are copied, at most `MAX_PAYLOAD_BYTES`.
    pub payload_bytes: u32,
    /// Most bytes of user stack that are copied, at most `MAX_STACK_BYTES`.
    pub stack_bytes: u32,
    /// Of so many turns of one socket one has its stack taken, the first among them.
    pub turn_every: u32,
    /// Of so many ticks of the sampling clock one is taken.
    pub sample_every: u32,
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
    StackHead = 160,
    PythonFrame = 32,
    Sample = 184,
    Memory = 200,
    Block = 88,
    Call = 232,
    ShortWaits = 272,
    SocketSeen = 96,
    SocketState = 104,
    Message = 232,
    FileIo = 224,
    Plaintext = 224,
    Ask = 224,
    PythonCode = 72,
    Resumed = 48,
    Goroutine = 208,
    GoLayout = 48,
    PythonLayout = 80,
    SocketSums = 72,
    Settings = 40,
    Adopt = 56,
    FarEnd = 48,
    LiveSettings = 24,
}
