//! Parallelism as it is written: the part of the result that says why so many workers are not so many times as fast.
//! Versioned with the result; rates are items a second, times milliseconds an item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    finding,
    number::{ms, pct, rounded},
    result::EvidenceOut,
};
use crate::{
    analyze::parallelism::{
        Category, Confidence, ItemSource, Limit, Parallelism, Resource, Severity, Side, Spent, WorkerKind,
    },
    recording::Nanos,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParallelismOut {
    pub workers: u64,
    pub worker_kind: WorkerKindOut,
    /// `--workers` said so.
    pub workers_told: bool,
    /// The function that they began in.
    pub root_function: String,
    pub service: String,
    pub items: u64,
    /// How the items can be counted; the first one is taken.
    pub item_sources: Vec<ItemsOut>,
    pub duration_ms: f64,
    /// What the whole job still has to do after this run, at the measured rate; where its size is known.
    pub remaining_items: Option<u64>,
    pub remaining_ms: Option<f64>,
    /// All steps of an item.
    pub item_ms: f64,
    /// Without waits for what the workers share.
    pub item_work_ms: f64,
    pub item_cpu_ms: f64,
    pub steps: Vec<StepTimeOut>,
    pub single_worker_rate: f64,
    pub theoretical_rate: f64,
    /// The CPU cores cap the theoretical rate; null where they do not.
    pub capped_by_cores: Option<u32>,
    pub actual_rate: f64,
    pub serialization_factor: f64,
    pub efficiency: f64,
    pub severity: SeverityOut,
    pub root_cause: CauseOut,
    pub root_cause_detail: String,
    /// What the factor alone would have had looked for first, where the evidence is another one.
    pub by_factor_alone: Option<String>,
    /// Longest wait first.
    pub resources: Vec<ResourceOut>,
    pub worker_use: Vec<WorkerUseOut>,
    /// Of the workers' time: nothing left to do, or nothing brought.
    pub idle_pct: f64,
    pub checks: ChecksOut,
    pub recommended_fix: Option<FixOut>,
    pub expected: Option<ExpectedOut>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerKindOut {
    Threads,
    Processes,
    Coroutines,
    /// A process or a thread for each item, so many at a time.
    Slots,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ItemsOut {
    pub count: u64,
    pub source: ItemSourceOut,
    pub confidence: ConfidenceOut,
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemSourceOut {
    Option,
    Progress,
    Repetition,
    Lives,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfidenceOut {
    High,
    Medium,
    Low,
}

impl From<Confidence> for ConfidenceOut {
    fn from(confidence: Confidence) -> ConfidenceOut {
        match confidence {
            Confidence::High => ConfidenceOut::High,
            Confidence::Medium => ConfidenceOut::Medium,
            Confidence::Low => ConfidenceOut::Low,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeverityOut {
    Critical,
    Warning,
    Minor,
    Good,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CauseOut {
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

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepTimeOut {
    pub name: String,
    /// `file:line`.
    pub location: Option<String>,
    pub mean_ms: f64,
    pub median_ms: f64,
    pub p95_ms: f64,
    /// Of the item.
    pub share_pct: f64,
    /// Without waits for what the workers share.
    pub uncontended_ms: f64,
    /// Mean while no other worker was in the step; null where that was never or seldom.
    pub alone_ms: Option<f64>,
    /// By cause, longest first.
    pub spent: Vec<SpentOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpentOut {
    pub on: String,
    pub ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceOut {
    pub category: CauseOut,
    pub name: String,
    /// Of a lock, in the memory of its process.
    pub address: Option<String>,
    /// So many workers have it at a time.
    pub places: Option<u64>,
    pub waiting: Option<SideOut>,
    pub holding: Option<SideOut>,
    /// Of a database: what waited, and what the others' sessions were in meanwhile.
    pub statement: Option<String>,
    pub blocking_statement: Option<String>,
    pub waits: u64,
    /// Sum over the workers.
    pub waited_ms: f64,
    /// From one being let in to the next, while somebody waited.
    pub turn_ms: Option<f64>,
    /// Of the workers' time.
    pub lost_pct: f64,
    /// Of the time, while somebody waited for it.
    pub utilisation_pct: f64,
    pub evidence: Vec<EvidenceOut>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SideOut {
    pub function: String,
    pub location: Option<String>,
    /// Outermost first.
    pub stack: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerUseOut {
    pub name: String,
    pub items: u64,
    pub worked_pct: f64,
    pub waited_pct: f64,
    pub idle_pct: f64,
}

/// The same figures from other sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChecksOut {
    pub load_balance: f64,
    pub serialization_efficiency: f64,
    pub transfer_efficiency: f64,
    /// Their product.
    pub parallel_efficiency: f64,
    /// Workers at an item: counted.
    pub workers_in_items: f64,
    /// Rate times the time of an item.
    pub workers_by_littles_law: f64,
    /// What differs by more than 20 %.
    pub disagreements: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FixOut {
    pub hint: String,
    pub before: String,
    pub after: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedOut {
    /// Without the wait for the critical resource.
    pub rate: f64,
    /// What limits it then.
    pub limited_by: String,
    pub items: u64,
    pub now_ms: f64,
    pub then_ms: f64,
    /// With so many items to one turn at the resource.
    pub batch: Option<BatchOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchOut {
    pub items: u64,
    pub rate: f64,
    pub limited_by: String,
}

pub fn parallelism(found: &Parallelism) -> ParallelismOut {
    let rate = |rate: f64| rounded(rate, 3);
    let efficiencies = &found.efficiencies;
    ParallelismOut {
        workers: found.workers,
        worker_kind: match found.kind {
            WorkerKind::Threads => WorkerKindOut::Threads,
            WorkerKind::Processes => WorkerKindOut::Processes,
            WorkerKind::Coroutines => WorkerKindOut::Coroutines,
            WorkerKind::Slots => WorkerKindOut::Slots,
        },
        workers_told: found.workers_told,
        root_function: found.root.clone(),
        service: found.service.clone(),
        items: found.items.first().map_or(0, |items| items.count),
        item_sources: found
            .items
            .iter()
            .map(|items| ItemsOut {
                count: items.count,
                source: match items.source {
                    ItemSource::Told => ItemSourceOut::Option,
                    ItemSource::Progress => ItemSourceOut::Progress,
                    ItemSource::Repetition => ItemSourceOut::Repetition,
                    ItemSource::Lives => ItemSourceOut::Lives,
                },
                confidence: items.confidence.into(),
                what: items.what.clone(),
            })
            .collect(),
        duration_ms: ms(found.duration),
        remaining_items: found.remaining.map(|(items, _)| items),
        remaining_ms: found.remaining.map(|(_, time)| ms(time)),
        item_ms: ms(found.item),
        item_work_ms: ms(found.item_work),
        item_cpu_ms: ms(found.item_cpu),
        steps: found
            .steps
            .iter()
            .map(|step| StepTimeOut {
                name: step.name.clone(),
                location: step.location.as_ref().map(finding::place),
                mean_ms: ms(step.mean),
                median_ms: ms(step.median),
                p95_ms: ms(step.p95),
                share_pct: pct(step.share_pct),
                uncontended_ms: ms(step.uncontended),
                alone_ms: step.alone.map(ms),
                spent: step.spent.iter().map(|(on, time)| SpentOut { on: spent_name(*on), ms: ms(*time) }).collect(),
            })
            .collect(),
        single_worker_rate: rate(found.single_rate),
        theoretical_rate: rate(found.theoretical_rate),
        capped_by_cores: found.capped_by_cores,
        actual_rate: rate(found.actual_rate),
        serialization_factor: rounded(found.factor, 2),
        efficiency: rounded(found.efficiency, 3),
        severity: match found.severity {
            Severity::Critical => SeverityOut::Critical,
            Severity::Warning => SeverityOut::Warning,
            Severity::Minor => SeverityOut::Minor,
            Severity::Good => SeverityOut::Good,
        },
        root_cause: cause_out(found.category),
        root_cause_detail: found.root_cause.clone(),
        by_factor_alone: found.by_factor.map(str::to_owned),
        resources: found.resources.iter().map(resource_out).collect(),
        worker_use: found
            .uses
            .iter()
            .map(|one| WorkerUseOut {
                name: one.name.clone(),
                items: one.items,
                worked_pct: pct(one.worked_pct),
                waited_pct: pct(one.waited_pct),
                idle_pct: pct(one.idle_pct),
            })
            .collect(),
        idle_pct: pct(found.idle_pct),
        checks: ChecksOut {
            load_balance: rounded(efficiencies.load_balance, 3),
            serialization_efficiency: rounded(efficiencies.serialization, 3),
            transfer_efficiency: rounded(efficiencies.transfer, 3),
            parallel_efficiency: rounded(efficiencies.parallel, 3),
            workers_in_items: rounded(efficiencies.in_items, 2),
            workers_by_littles_law: rounded(efficiencies.little, 2),
            disagreements: found.disagreements.iter().map(disagreement).collect(),
        },
        recommended_fix: found.change.as_ref().map(|change| FixOut {
            hint: change.hint.clone(),
            before: change.before.clone(),
            after: change.after.clone(),
        }),
        expected: found.expected.as_ref().map(|expected| ExpectedOut {
            rate: rate(expected.rate),
            limited_by: limit(&expected.limit),
            items: expected.items,
            now_ms: ms(expected.now),
            then_ms: ms(expected.time),
            batch: expected.batched.as_ref().map(|(items, batch_rate, by)| BatchOut {
                items: *items,
                rate: rate(*batch_rate),
                limited_by: limit(by),
            }),
        }),
    }
}

fn resource_out(resource: &Resource) -> ResourceOut {
    ResourceOut {
        category: cause_out(resource.category),
        name: resource.name.clone(),
        address: resource.address.map(|address| format!("{address:#x}")),
        places: resource.places,
        waiting: resource.waiting.as_ref().map(side_out),
        holding: resource.holding.as_ref().map(side_out),
        statement: resource.statement.clone(),
        blocking_statement: resource.blocking_statement.clone(),
        waits: resource.waits,
        waited_ms: ms(resource.waited),
        turn_ms: resource.turn.map(ms),
        lost_pct: pct(resource.lost_pct),
        utilisation_pct: pct(resource.utilisation_pct),
        evidence: resource.evidence.iter().map(super::from_analysis::evidence_out).collect(),
    }
}

fn side_out(side: &Side) -> SideOut {
    SideOut {
        function: side.function.clone(),
        location: side.location.as_ref().map(finding::place),
        stack: side.stack.clone(),
    }
}

pub fn cause_out(category: Category) -> CauseOut {
    match category {
        Category::LockContention => CauseOut::LockContention,
        Category::DatabaseWriteLock => CauseOut::DatabaseWriteLock,
        Category::PoolExhaustion => CauseOut::PoolExhaustion,
        Category::RateLimiting => CauseOut::RateLimiting,
        Category::GilContention => CauseOut::GilContention,
        Category::CpuContention => CauseOut::CpuContention,
        Category::CpuThrottling => CauseOut::CpuThrottling,
        Category::DiskContention => CauseOut::DiskContention,
        Category::SaturatedPeer => CauseOut::SaturatedPeer,
        Category::Imbalance => CauseOut::Imbalance,
        Category::Starvation => CauseOut::Starvation,
        Category::None => CauseOut::None,
    }
}

pub fn category_name(category: Category) -> &'static str {
    match category {
        Category::LockContention => "lock contention",
        Category::DatabaseWriteLock => "database write lock",
        Category::PoolExhaustion => "pool exhausted",
        Category::RateLimiting => "rate limiting",
        Category::GilContention => "the interpreter's lock (GIL)",
        Category::CpuContention => "too few CPU cores",
        Category::CpuThrottling => "CPU quota",
        Category::DiskContention => "the disk",
        Category::SaturatedPeer => "a saturated peer",
        Category::Imbalance => "imbalance",
        Category::Starvation => "no work brought",
        Category::None => "none",
    }
}

pub fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Minor => "minor",
        Severity::Good => "good",
    }
}

pub fn kind_name(kind: WorkerKind) -> &'static str {
    match kind {
        WorkerKind::Threads => "threads",
        WorkerKind::Processes => "processes",
        WorkerKind::Coroutines => "coroutines",
        WorkerKind::Slots => "at a time",
    }
}

pub fn spent_name(on: Spent) -> String {
    match on {
        Spent::Cpu => "cpu".into(),
        Spent::Network => "network".into(),
        Spent::Database => "database".into(),
        Spent::Disk => "disk".into(),
        Spent::Sleep => "sleep".into(),
        Spent::Child => "child process".into(),
        Spent::Pipe => "pipe".into(),
        Spent::Lock => "lock".into(),
        Spent::RunQueue => "no CPU".into(),
        Spent::Other => "other".into(),
        Spent::Shared(category) => format!("waits: {}", category_name(category)),
    }
}

pub fn limit(limit: &Limit) -> String {
    match limit {
        Limit::Workers => "the workers themselves".into(),
        Limit::CpuCores(cores) => format!("{cores} CPU cores"),
        Limit::Resource(name) => name.clone(),
    }
}

pub fn disagreement(one: &crate::analyze::parallelism::Disagreement) -> String {
    format!("{}: {} against {}", one.what, rounded(one.one, 2), rounded(one.other, 2))
}

/// "2.27 items/s".
pub fn rate(rate: f64) -> String {
    if rate >= 99.5 {
        format!("{rate:.0} items/s")
    } else if rate >= 9.95 {
        format!("{rate:.1} items/s")
    } else {
        format!("{rate:.2} items/s")
    }
}

/// Of an item: to the hundredth below ten.
pub fn item_ms(length: Nanos) -> String {
    let value = length.as_ms();
    if value >= 99.5 {
        format!("{value:.0}")
    } else if value >= 9.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
