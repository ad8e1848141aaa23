//! The closed set of things that can be observed about a running task.

use serde::{Deserialize, Serialize};

use super::{FileId, Nanos, SocketId, StackId, TaskId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Sample(Sample),
    OffCpu(OffCpu),
    ShortWaits(ShortWaits),
    Message(Message),
    FileIo(FileIo),
    Memory(Memory),
}

impl Event {
    /// When it was complete: the sort key of a recording.
    pub fn at(&self) -> Nanos {
        match self {
            Event::Sample(event) => event.at,
            Event::OffCpu(event) => event.on,
            Event::ShortWaits(event) => event.to,
            Event::Message(event) => event.at,
            Event::FileIo(event) => event.last,
            Event::Memory(event) => event.at,
        }
    }
    pub fn task(&self) -> TaskId {
        match self {
            Event::Sample(event) => event.task,
            Event::OffCpu(event) => event.task,
            Event::ShortWaits(event) => event.task,
            Event::Message(event) => event.task,
            Event::FileIo(event) => event.task,
            Event::Memory(event) => event.task,
        }
    }
}

/// The task was on a CPU at this instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub at: Nanos,
    pub task: TaskId,
    pub stack: StackId,
}

/// One interval off the CPU, at least `Meta::wait_threshold` long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OffCpu {
    pub task: TaskId,
    /// Switched out.
    pub off: Nanos,
    /// Made runnable; equal to `off` when it was preempted. From here to `on` it waited for a CPU.
    pub woken: Nanos,
    /// Switched in again; or the end of the recording (see `unfinished`).
    pub on: Nanos,
    pub state: OffState,
    /// Number of the system call it was in, where it was in one.
    pub syscall: Option<u32>,
    /// None: woken by an interrupt with nobody behind it, or not seen.
    pub waker: Option<Waker>,
    /// The system call's record, where it returned. Several waits can lie in one call.
    pub call: Option<CallId>,
    /// Stack for a block outside system calls (page fault), or taken at the end of the recording.
    pub stack: Option<StackId>,
    /// Still off the CPU when the recording ended.
    pub unfinished: bool,
    /// While it was runnable, its cgroup had used up its CPU quota.
    pub throttled: bool,
    /// The lock that it went to sleep on, where that says who held it then.
    pub held: Option<HeldLock>,
    /// It was woken, but by whom was not seen.
    pub unseen_wake: bool,
    /// Who had its CPU right before it got it; None: nobody.
    pub before: Option<Runner>,
    /// The block device that it waited for.
    pub device: Option<DeviceId>,
}

/// Who had the CPU that a task waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// None: not a traced task.
    pub task: Option<TaskId>,
    /// 0: of another PID namespace.
    pub pid: u32,
    /// Empty for a traced task.
    pub comm: String,
}

/// Index into `Recording::devices`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId(pub u32);

/// A block device that a traced task waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub major: u32,
    pub minor: u32,
    /// None: it was gone when its name was looked up.
    pub name: Option<String>,
}

/// What a lock said when a task went to sleep on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLock {
    pub holder: TaskId,
    /// CPython's global interpreter lock.
    pub interpreter: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OffState {
    /// Preempted or yielded while runnable.
    Runnable,
    /// S: waits for an event, a signal can end it.
    Interruptible,
    /// D: mostly block devices and page faults.
    Uninterruptible,
    /// Stopped or traced.
    Stopped,
}

/// Who made the task runnable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waker {
    /// None: not a traced task (see `pid`, `comm`), or the idle task.
    pub task: Option<TaskId>,
    pub pid: u32,
    pub comm: String,
    /// The system call that the waker was in.
    pub syscall: Option<u32>,
    /// First argument of that call: a descriptor, for the calls that take one.
    pub descriptor: i32,
    /// The wake came from a timer interrupt.
    pub timer: bool,
}

/// Index into `Recording::calls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u32);

/// A system call in which the task was off the CPU for `Meta::wait_threshold` or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub task: TaskId,
    /// When it returned.
    pub returned: Nanos,
    pub number: u32,
    /// Result, negative errno on failure.
    pub result: i64,
    /// The first three arguments.
    pub arguments: [u64; 3],
    pub object: OnObject,
    pub stack: Option<StackId>,
}

/// What a system call's descriptor was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OnObject {
    None,
    Socket(SocketId),
    /// Both ends of a pipe share this inode number.
    Pipe(u64),
    File,
    /// epoll, eventfd, timerfd, … by kernel address.
    Anonymous(u64),
}

/// Blocks and run-queue waits below the threshold, summed over a stretch of one task's life: never dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShortWaits {
    pub task: TaskId,
    pub from: Nanos,
    pub to: Nanos,
    pub run_queue: Nanos,
    /// By class of the system call.
    pub blocked: Vec<(WaitClass, Nanos)>,
    pub count: u64,
    /// Where the task was when the sum was closed.
    pub stack: Option<StackId>,
}

/// What a block was about, as far as the system call tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WaitClass {
    Socket,
    Pipe,
    Poll,
    Futex,
    Sleep,
    Child,
    Disk,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    Sent,
    Received,
}

/// Where a message was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// A system call on the socket: the bytes that went over it.
    Wire,
    /// A call into a TLS library: what the records on the wire carry. Its bytes are in no sum.
    Plaintext,
}

/// One transfer on a socket, on connections that carry (or may carry) a known protocol. Transfers of other
/// connections are only in the sums of [`super::Socket`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub at: Nanos,
    pub task: TaskId,
    pub socket: SocketId,
    pub layer: Layer,
    pub direction: Direction,
    pub bytes: u64,
    pub descriptor: i32,
    /// What a protocol parser saw in it, in order.
    pub marks: Vec<Mark>,
    /// Present where the message opens a turn (the first sent after one received).
    pub stack: Option<StackId>,
}

/// A protocol parser's findings, without payload, parameters or header values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// A TLS record's header: content type (20..=24) and length of the record's body in bytes.
    TlsRecord {
        content: u8,
        length: u16,
    },
    TlsDesync,
    /// HTTP/1 switched to another protocol (WebSocket, a tunnel, HTTP/2): nothing below is HTTP/1 any more.
    Upgraded,
    /// A call in one of the protocols of which nothing but requests and answers is kept.
    Call {
        wire: Wire,
        /// 0: answers come in the order of the requests; else what an answer and its request share (an HTTP/2 stream,
        /// a DNS id plus 1).
        stream: u32,
        step: CallStep,
    },
    /// Words and values of the transfer, each as a hash under a key that is not kept: equal ones are equal within one
    /// run. Bounded; `whole`: there were no others.
    Tokens {
        hashes: Vec<u32>,
        whole: bool,
    },
}

/// The protocols that are read: requests and their answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Wire {
    Http1,
    Http2,
    Grpc,
    Postgres,
    Mysql,
    Redis,
    Memcached,
    Dns,
}

/// How far one call has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallStep {
    /// The request is known, if not all of it sent.
    Request {
        method: Option<WebMethod>,
        /// Bounded: a normalised statement, a command, a name looked up; for HTTP and gRPC the path without query.
        operation: Option<String>,
        host: Option<String>,
        /// Equal for requests of one run that are equal with their parameters; a hash under a key that is not kept.
        repeat: Option<u64>,
    },
    RequestEnd,
    /// The answer has begun. Said again before its end, what is said last holds (an error behind rows, trailers).
    Response {
        /// HTTP's or gRPC's.
        status: Option<u16>,
        /// The answer is an error.
        failed: bool,
    },
    ResponseEnd,
    /// There will be no (further) answer: the stream was reset, the statement was skipped.
    Abandoned,
    /// Bytes that are needed were not captured, on this direction: what was under way is unclear until a request or
    /// an answer begins anew.
    Desync,
}

/// RFC 9110 methods; others are kept as written (bounded, token characters only).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WebMethod(pub String);

/// File I/O of one call site over a stretch of time: sums, exact in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileIo {
    pub task: TaskId,
    pub operation: FileOperation,
    pub first: Nanos,
    pub last: Nanos,
    pub calls: u64,
    pub bytes: u64,
    pub stack: Option<StackId>,
    /// All of it was on this one; None: no regular file, or one beyond the table.
    pub file: Option<FileId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileOperation {
    Read,
    Write,
}

/// A process's resident memory has changed by so much since the last one; the stack is of the task that was at it when
/// enough had come together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub at: Nanos,
    pub task: TaskId,
    /// Bytes.
    pub change: i64,
    /// Bytes of the process that are resident now, about: the kernel counts on each CPU for itself and brings that
    /// together now and then.
    pub resident: u64,
    pub stack: StackId,
}
