//! What the map is made of. Times in nanoseconds, sizes in bytes; text and rounding are `report`'s.

use crate::{correlate::WaitId, recording::Nanos};

/// The walked wait graph of one recording, folded to the project's functions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    /// Life of the root task, from the release to its exit; or how long running processes were watched.
    pub wall: Nanos,
    /// Observed before `wall` began: counts are of both, times of `wall` alone.
    pub earlier: Nanos,
    /// Longest first. Their `self_time`s, their descendants' and `outside` add up to `wall`.
    pub steps: Vec<Step>,
    /// Wall time in which no function of the project was on the stack.
    pub outside: Outside,
    /// Of watched processes: neither a request nor any work. Part of `wall`, beside the steps and `outside`.
    pub idle: Nanos,
    /// Requests that watched processes answered, most first; empty where a command was run.
    pub served: Vec<Served>,
    /// Every endpoint that the tree talked to as a client, most round trips first.
    pub peers: Vec<Peer>,
    /// By index into `Flows::peers`: the service's name, else the address.
    pub peer_names: Vec<String>,
    /// Locks that threads waited for, longest wait first.
    pub locks: Vec<Lock>,
    /// Who had the CPU while tasks of the tree were ready to run, longest first.
    pub rivals: Vec<Rival>,
    /// Disks that were waited for, longest first.
    pub disks: Vec<DiskWaits>,
    /// Round trips of HTTP/2 and gRPC whose requests have no name.
    pub nameless: u64,
    /// Names of all services seen, the root's first; one entry: the steps need no service.
    pub services: Vec<String>,
    /// How far the owned time is from `wall`; an assertion of the walk, 0 but for a bug.
    pub closure_error: i64,
}

/// The `(outside the project)` remainder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outside {
    pub self_time: Nanos,
    pub cpu: Nanos,
    pub waits: Waits,
    /// The largest owners in it: library or binary function, with its time; three at most.
    pub top: Vec<(String, Nanos)>,
    pub http_round_trips: u64,
    pub db_round_trips: u64,
    pub failed_requests: u64,
    pub file_read: u64,
    pub file_written: u64,
    /// Bytes by which resident memory grew.
    pub memory_delta: i64,
    /// As [`Step::calls`], of nobody's step.
    pub calls: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    FunctionCall,
    HttpCall,
    GrpcCall,
    DbQuery,
    CacheOp,
    QueueOp,
    FileIo,
    LockWait,
    Sleep,
    Subprocess,
    Gpu,
    Loop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitCause {
    Network,
    Db,
    Disk,
    Lock,
    Sleep,
    Child,
    Pipe,
    RunQueue,
    Throttled,
    Gpu,
    Other,
}

/// Blocked time by cause; causes without time are absent. Sorted by cause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waits(pub std::collections::BTreeMap<WaitCause, Nanos>);

impl Waits {
    pub fn add(&mut self, cause: WaitCause, length: Nanos) {
        if length > Nanos::ZERO {
            let sum = self.0.entry(cause).or_default();
            *sum = sum.plus(length);
        }
    }
    pub fn of(&self, cause: WaitCause) -> Nanos {
        self.0.get(&cause).copied().unwrap_or_default()
    }
    pub fn total(&self) -> Nanos {
        self.0.values().copied().sum()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Position in the tree: "1.1.2".
    pub id: String,
    pub function: String,
    /// Where the function begins.
    pub location: Option<Location>,
    /// Index into [`Map::services`].
    pub service: usize,
    pub kind: StepKind,
    /// Length of the union of the intervals in which a thread was inside the function on behalf of its parent.
    pub wall: Nanos,
    /// Wall time inside the step and in none of its children. 0 for steps that ran beside the chain of waits.
    pub self_time: Nanos,
    pub cpu: Nanos,
    pub waits: Waits,
    /// What `self_time` consists of: together they are as long as it.
    pub own_cpu: Nanos,
    pub own_waits: Waits,
    /// Sum over threads; differs from `wall` where they overlap.
    pub thread_time: Nanos,
    /// CPU time of all threads in the step, on the chain of waits and off it.
    pub thread_cpu: Nanos,
    /// True for steps that nobody on the root's chain waited for: they own no wall time.
    pub beside: bool,
    /// The other side of a call: the step above it waited for this one at a socket.
    pub over_socket: bool,
    /// The counts are the step's own: those that its children caused are theirs alone.
    pub http_round_trips: u64,
    pub failed_requests: u64,
    pub db_round_trips: u64,
    pub file_read: u64,
    pub file_written: u64,
    /// Bytes by which resident memory grew in it, less what it gave back.
    pub memory_delta: i64,
    pub call: Option<PeerCall>,
    /// Half width of the 95 % interval of the wall share that sampling leaves, in percentage points.
    pub error_pct: f64,
    /// Indices into `Flows::round_trips`, in order: the calls that the step itself made.
    pub calls: Vec<u32>,
    /// Longest first.
    pub children: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Relative to the project root where it lies in it.
    pub file: String,
    pub line: u32,
}

/// One function's waits for one lock while one other function held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// In the memory of its process.
    pub address: Option<u64>,
    /// CPython's global interpreter lock.
    pub interpreter: bool,
    /// Index into [`Map::services`].
    pub service: usize,
    /// None: its stack was not seen.
    pub waiter: Option<LockSide>,
    /// None: nothing told who had it.
    pub holder: Option<LockSide>,
    /// Those long enough to be recorded one by one.
    pub waits: u64,
    /// Which these are, sorted; one that several held the lock in is in the rows of all.
    pub which: Vec<WaitId>,
    /// Sum over the waiting threads.
    pub waited: Nanos,
    /// How long it was held while anybody of these waited.
    pub held: Nanos,
}

/// Who had the CPU that tasks of the tree waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// The thread's name; None: the CPU was idle, and late.
    pub who: Option<String>,
    /// It belongs to the tree itself.
    pub traced: bool,
    /// What it did then, where it belongs to the tree.
    pub function: Option<String>,
    pub waits: u64,
    /// Sum over the waiting threads.
    pub waited: Nanos,
}

/// Waits for one block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskWaits {
    /// The kernel's name (`nvme0n1p2`), else major:minor.
    pub device: String,
    /// That waited for it longest.
    pub function: Option<String>,
    /// Those long enough to be recorded one by one.
    pub waits: u64,
    /// Sum over the waiting threads.
    pub waited: Nanos,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockSide {
    /// The project's function that was deepest on the stack; else the innermost one that has a name.
    pub function: String,
    pub location: Option<Location>,
    /// Where most of the time was spent: names, root first.
    pub stack: Vec<String>,
}

/// What a call step called.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerCall {
    /// Service name where known, else the address.
    pub peer: String,
    /// Method and route template, or the normalised statement, where the round trips of the step agree on one; else
    /// the method or nothing.
    pub endpoint: Option<String>,
    pub latency: Option<Latency>,
    /// Round trips of this step never overlapped.
    pub sequential: bool,
    /// Those that this describes: where a step makes calls of several kinds, those that take longest together.
    pub round_trips: u64,
}

/// Requests of one kind, seen from the server's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Index into [`Map::services`].
    pub service: usize,
    /// `GET /items/{id}`.
    pub endpoint: String,
    pub count: u64,
    /// Of them: answered with an error of the server (a status of 500 or more, or what the protocol has for it).
    pub failed: u64,
    /// Request's first byte read to answer's last byte written.
    pub latency: Latency,
    pub counted: Counted,
}

/// Of the single round trips: request's first byte sent to response's last byte read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    pub min: Nanos,
    pub median: Nanos,
    pub p95: Nanos,
    pub max: Nanos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    Exact,
    Inferred,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    pub service: Option<String>,
    /// "127.0.0.1:8002", "[::1]:80", "unix:/path".
    pub address: String,
    /// "http/1.1", "tls", "tcp", "unix".
    pub protocol: String,
    pub round_trips: u64,
    pub failed: u64,
    pub connections: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub latency: Option<Latency>,
    /// Median time of connect, where connects were seen.
    pub connect: Option<Nanos>,
    pub tls_handshake: Option<Nanos>,
    pub counted: Counted,
    /// The address is on this host.
    pub local: bool,
}
