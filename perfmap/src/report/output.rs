//! The performance map as it is written: versioned, with the keys that `docs/performance_map.schema.json` fixes.
//! Names and units of keys never change within a schema version; new optional keys may appear.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub const SCHEMA_VERSION: u32 = 1;

/// The file's only top-level key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "perfmap performance map")]
pub struct Document {
    pub performance_map: PerformanceMap,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PerformanceMap {
    pub schema_version: u32,
    /// The command as typed.
    pub test_command: String,
    /// Medians of the runs without deep probes; null where none was made.
    pub baseline: Option<BaselineOut>,
    /// Requests that watched processes answered, by endpoint, most first (`perfmap attach`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub served: Vec<ServedOut>,
    /// Every endpoint the tree talked to.
    pub peers: Vec<PeerOut>,
    pub profiled_run: ProfiledRun,
    /// Locks that threads waited for, longest wait first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LockOut>,
    /// Who had the CPU while threads of the tree were ready to run, longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run_queue: Vec<RivalOut>,
    /// Disks that were waited for, longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskOut>,
    /// What programs told in profiles of their own (`--pprof`). Sums over their time: no part of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_profiles: Vec<OwnProfileOut>,
    /// Longest first; the last ones are the remainders, `(outside the project)` and, of watched processes, `(waiting for
    /// requests)`. All `self_ms` add up to the wall time.
    pub steps: Vec<StepOut>,
    pub bottleneck_classification: ClassOut,
    pub bottleneck_detail: String,
    /// Three at most, largest share first.
    pub top_bottlenecks: Vec<BottleneckOut>,
    /// What the reader must know about how far the figures can be trusted.
    pub warnings: Vec<String>,
}

/// One source's readings, summed up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnProfileOut {
    /// The file, or the address without its query.
    pub source: String,
    /// Name and pid; null where it is not known whose it is.
    pub process: Option<String>,
    /// The program that it says it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    pub readings: u32,
    /// Of the run's time: from the first moment to the last that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<f64>,
    /// So much of it was covered; null where it does not say a duration.
    pub duration_ms: Option<f64>,
    /// perfmap's own CPU samples of the process in the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// Of them: without any function's name. Then these functions are the names that they lack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unnamed_samples_pct: Option<f64>,
    pub kinds: Vec<OwnKindOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnKindOut {
    pub kind: String,
    pub unit: String,
    /// Negative where it is a change, as of memory in use.
    pub total: i64,
    /// Largest own values first, ten at most.
    pub functions: Vec<OwnFunctionOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnFunctionOut {
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Of stacks that end in it.
    #[serde(rename = "self")]
    pub own: i64,
    /// Of the total; null where the values are changes of both signs.
    pub self_pct: Option<f64>,
    /// Of all stacks that it is in.
    pub total: i64,
    pub total_pct: Option<f64>,
}

/// Who had the CPU that threads of the tree waited for: who ran on it for the longest stretch of each wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalOut {
    /// The thread's name; null where the CPU was idle until then.
    pub had_cpu: Option<String>,
    /// It belongs to the profiled tree.
    pub traced: bool,
    /// What it did then, where it belongs to the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Those long enough to be recorded one by one.
    pub waits: u64,
    /// Sum over the waiting threads.
    pub wait_ms: f64,
}

/// Waits for one block device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiskOut {
    /// The kernel's name, else its numbers (major:minor).
    pub device: String,
    /// That waited for it longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Those long enough to be recorded one by one.
    pub waits: u64,
    /// Sum over the waiting threads.
    pub wait_ms: f64,
}

/// One function's waits for one lock while one other function held it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LockOut {
    pub kind: LockKindOut,
    /// In the memory of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Null where its stack was not seen.
    pub waiter: Option<LockSideOut>,
    /// Null where nothing told who had it.
    pub holder: Option<LockSideOut>,
    /// Those long enough to be recorded one by one.
    pub waits: u64,
    /// Sum over the waiting threads.
    pub wait_ms: f64,
    /// How long it was held while anybody of these waited.
    pub hold_ms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockKindOut {
    Mutex,
    /// CPython's global interpreter lock.
    Interpreter,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LockSideOut {
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where most of the time was spent: names, the thread's start first.
    pub stack: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineOut {
    pub runs: u64,
    pub warmups: u32,
    pub wall_time_ms: f64,
    /// User + system of the whole process tree.
    pub cpu_time_ms: f64,
    /// Highest simultaneous resident size of the tree, in MiB.
    pub memory_peak_mb: f64,
    /// Resident size of the tree at its end minus at its start, in MiB.
    pub memory_delta_mb: f64,
    /// Bytes returned by read-like calls on files; sockets are counted apart. Null, like the counts below, where
    /// nothing was allowed to count them.
    pub io_read_bytes: Option<u64>,
    pub io_write_bytes: Option<u64>,
    pub net_read_bytes: Option<u64>,
    pub net_write_bytes: Option<u64>,
    pub http_round_trips: Option<u64>,
    pub db_round_trips: Option<u64>,
    pub gpu: Option<GpuOut>,
    /// Run time of the counting BPF programs themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_run_time_ms: Option<f64>,
    /// Shared pages are counted once in the memory figures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub memory_is_pss: bool,
    /// The file that an earlier baseline was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<String>,
    pub spread: SpreadsOut,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuOut {
    pub utilization_pct: f64,
    pub memory_peak_mb: f64,
    pub device: String,
}

/// By metric, in the units of the medians.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpreadsOut {
    pub wall_time_ms: SpreadOut,
    pub cpu_time_ms: SpreadOut,
    pub memory_peak_mb: SpreadOut,
    pub memory_delta_mb: SpreadOut,
    pub io_read_bytes: Option<SpreadOut>,
    pub io_write_bytes: Option<SpreadOut>,
    pub net_read_bytes: Option<SpreadOut>,
    pub net_write_bytes: Option<SpreadOut>,
    pub http_round_trips: Option<SpreadOut>,
    pub db_round_trips: Option<SpreadOut>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpreadOut {
    pub min: f64,
    pub max: f64,
    /// Coefficient of variation over the counted runs.
    pub cv_pct: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeerOut {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub protocol: String,
    pub round_trips: u64,
    pub failed: u64,
    pub connections: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<LatencyOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_handshake_ms: Option<f64>,
    pub counted: CountedOut,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServedOut {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Method and route template.
    pub endpoint: String,
    pub count: u64,
    pub per_second: f64,
    /// Answered with an error of the server.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Request's first byte read to answer's last byte written.
    pub latency_ms: LatencyOut,
    pub counted: CountedOut,
    /// The step that shows where its time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// Of the single round trips: request's first byte sent to response's last byte read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyOut {
    pub min: f64,
    pub median: f64,
    pub p95: f64,
    pub max: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CountedOut {
    #[serde(rename = "exact")]
    Exact,
    #[serde(rename = "inferred")]
    Inferred,
    #[serde(rename = "at least")]
    AtLeast,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfiledRun {
    /// What the steps' times add up to.
    pub wall_time_ms: f64,
    /// So much longer was observed; counts are of all of it, times of its last `wall_time_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_window_ms: Option<f64>,
    /// Against the baseline's median; null without a baseline.
    pub overhead_pct: Option<f64>,
    /// CPU samples.
    pub samples: u64,
    pub events: u64,
    pub lost_events: u64,
    pub backend: String,
    /// The command's exit code, where it is not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that killed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Run time of our BPF programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf_run_time_ms: Option<f64>,
    /// CPU time that perfmap itself used meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiler_cpu_time_ms: Option<f64>,
    /// The NVIDIA devices that the run used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepOut {
    /// Position in the tree: "1", "1.1", "1.1.2".
    pub id: String,
    pub function: String,
    /// `file:line` where the function begins, relative to the project root where the file lies in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Present only when more than one service is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(rename = "type")]
    pub kind: KindOut,
    /// Length of the union of the intervals in which a thread was inside this function on behalf of its parent.
    pub wall_time_ms: f64,
    pub time_share_pct: f64,
    /// Wall time inside the step and in none of its children.
    pub self_ms: f64,
    pub cpu_time_ms: f64,
    /// Blocked time by cause.
    #[serde(default, skip_serializing_if = "WaitOut::is_empty")]
    pub wait_ms: WaitOut,
    /// Sum over threads, where it differs from the wall time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_time_ms: Option<f64>,
    /// Ran beside the chain of waits: nobody waited for it, so it owns no wall time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concurrent: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_round_trips: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_requests: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub db_round_trips: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub io_read_bytes: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub io_write_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_delta_mb: Option<f64>,
    /// Service name where known, else the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Method and route template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<LatencyOut>,
    /// The round trips never overlapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequential: Option<bool>,
    /// Present where the round trips are not counted exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<CountedOut>,
    /// Half width of the 95 % interval of `time_share_pct` that sampling leaves; 0 where times were measured.
    pub error_pct: f64,
    /// Of the remainder: the library functions or binaries that own most of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub largest: Vec<LargestOut>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<StepOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LargestOut {
    pub function: String,
    pub self_ms: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindOut {
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

/// Causes without time are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipe: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runqueue: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<f64>,
}

impl WaitOut {
    pub fn is_empty(&self) -> bool {
        *self == WaitOut::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClassOut {
    #[serde(rename = "CPU")]
    Cpu,
    #[serde(rename = "I/O-DB")]
    IoDb,
    #[serde(rename = "I/O-Network")]
    IoNetwork,
    #[serde(rename = "I/O-File")]
    IoFile,
    External,
    Cache,
    Architecture,
    Lock,
    Wait,
    Infrastructure,
    #[serde(rename = "none")]
    None,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RankOut {
    /// Over 50 % of the wall time.
    Primary,
    /// 20 to 50 %.
    Secondary,
    /// Under 20 %.
    Tertiary,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BottleneckOut {
    /// The step's `id`.
    pub step: String,
    pub function: String,
    #[serde(rename = "type")]
    pub class: ClassOut,
    pub rank: RankOut,
    /// The step's own time plus that of the peer's steps below it, in percent of the wall time.
    pub share_pct: f64,
    pub description: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
