//! Why so many workers are not so many times as fast: what is said of it, as closed types. Rates are items a second.

use crate::{
    analyze::suspicions::{Change, Evidence},
    map::Location,
    recording::Nanos,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerKind {
    Threads,
    Processes,
    /// Of event loops.
    Coroutines,
    /// A process or a thread for each item, so many at a time.
    Slots,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemSource {
    /// `--items`.
    Told,
    /// `--progress`.
    Progress,
    /// The workers do the same again and again.
    Repetition,
    /// One process or thread is one item.
    Lives,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    High,
    Medium,
    Low,
}

/// One way to count the items.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    pub count: u64,
    pub source: ItemSource,
    pub confidence: Confidence,
    /// What was counted: "GET /fast, sleeps in write_result".
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    LockContention,
    DatabaseWriteLock,
    PoolExhaustion,
    RateLimiting,
    GilContention,
    CpuContention,
    CpuThrottling,
    DiskContention,
    SaturatedPeer,
    Imbalance,
    Starvation,
    None,
}

/// By the serialization factor: over 10, 3 to 10, 1.5 to 3, up to 1.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Critical,
    Warning,
    Minor,
    Good,
}

/// What a worker's time went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spent {
    Cpu,
    Network,
    Database,
    Disk,
    Sleep,
    Child,
    Pipe,
    Lock,
    /// Runnable, without a CPU.
    RunQueue,
    Other,
    /// Waits for what the workers share, by what that is.
    Shared(Category),
}

/// One step of an item. Times are per item.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTime {
    pub name: String,
    pub location: Option<Location>,
    pub mean: Nanos,
    pub median: Nanos,
    pub p95: Nanos,
    /// Of the item's time.
    pub share_pct: f64,
    /// Without waits for what the workers share.
    pub uncontended: Nanos,
    /// The mean of those times in which no other worker was in the step, where there were some.
    pub alone: Option<Nanos>,
    /// Largest first.
    pub spent: Vec<(Spent, Nanos)>,
}

/// Something that several workers want and few can have at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub category: Category,
    /// "the lock at 0x7f…", "PostgreSQL's lock", "the pool of write_result".
    pub name: String,
    pub address: Option<u64>,
    /// So many workers had it at a time.
    pub places: Option<u64>,
    pub waiting: Option<Side>,
    pub holding: Option<Side>,
    /// A queue that is full: `holding` is what who empties it is in.
    pub emptied: bool,
    /// The statement that waited, and the one that the session which had the lock was in meanwhile.
    pub statement: Option<String>,
    pub blocking_statement: Option<String>,
    pub waits: u64,
    /// Sum over the workers.
    pub waited: Nanos,
    /// Time in which at least one worker waited.
    pub wanted: Nanos,
    /// From one being let in to the next, while somebody waited.
    pub turn: Option<Nanos>,
    /// Of the workers' time, spent waiting for it.
    pub lost_pct: f64,
    /// How much of the time it was in use, as far as that is known: at least while somebody waited.
    pub utilisation_pct: f64,
    pub evidence: Vec<Evidence>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    pub function: String,
    pub location: Option<Location>,
    /// Root first.
    pub stack: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerUse {
    pub name: String,
    pub items: u64,
    /// Of the time in which the workers ran: worked, waited for what they share, had nothing to do.
    pub worked_pct: f64,
    pub waited_pct: f64,
    pub idle_pct: f64,
}

/// Checks of the same figures from other sides, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Efficiencies {
    /// Mean work of the workers by the most that one has.
    pub load_balance: f64,
    /// Most work of one worker, and its waits for the machine, by the run's time: what dependencies leave.
    pub serialization: f64,
    /// What the machine (no CPU, no quota) leaves of that worker's time.
    pub transfer: f64,
    /// Their product.
    pub parallel: f64,
    /// Workers that were at an item, on average over the time.
    pub in_items: f64,
    /// The same by Little's law: rate times the time of an item.
    pub little: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    pub what: String,
    pub one: f64,
    pub other: f64,
}

/// What caps the rate when the critical resource is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// The workers themselves: each does an item after the other.
    Workers,
    CpuCores(u32),
    Resource(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub rate: f64,
    /// For the items of this run, or of the whole job where its size was told.
    pub time: Nanos,
    pub now: Nanos,
    pub items: u64,
    pub limit: Limit,
    /// With several items to one turn at the resource: how many, and the rate.
    pub batched: Option<(u64, f64, Limit)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parallelism {
    pub kind: WorkerKind,
    pub workers: u64,
    /// `--workers`.
    pub workers_told: bool,
    pub root: String,
    pub service: String,
    /// The chosen one first.
    pub items: Vec<Items>,
    /// When each item that was counted began, in order; empty where none were.
    pub begun: Vec<Nanos>,
    /// From the first item's beginning to the last one's end.
    pub duration: Nanos,
    pub remaining: Option<(u64, Nanos)>,
    /// Time of an item, all steps.
    pub item: Nanos,
    /// Without waits for what the workers share.
    pub item_work: Nanos,
    pub item_cpu: Nanos,
    pub steps: Vec<StepTime>,
    pub single_rate: f64,
    pub theoretical_rate: f64,
    /// The CPU cores cap it.
    pub capped_by_cores: Option<u32>,
    pub actual_rate: f64,
    pub factor: f64,
    pub efficiency: f64,
    pub severity: Severity,
    pub category: Category,
    /// What would be looked for first by the factor alone, where the evidence says something else.
    pub by_factor: Option<&'static str>,
    /// Longest wait first; the first one is the critical one, where there is a root cause.
    pub resources: Vec<Resource>,
    pub uses: Vec<WorkerUse>,
    /// Of the workers' time: no work left while others still had some, or none brought.
    pub idle_pct: f64,
    pub efficiencies: Efficiencies,
    pub disagreements: Vec<Disagreement>,
    pub root_cause: String,
    pub change: Option<Change>,
    pub expected: Option<Expected>,
}

impl Parallelism {
    pub fn critical(&self) -> Option<&Resource> {
        self.resources.first().filter(|first| first.category == self.category)
    }
}
