//! The report as it is written: what was concluded, with the map inside. Versioned with the map: names and units of keys
//! never change within a schema version (`docs/profile_result.schema.json`); new optional keys may appear.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    output::{BottleneckOut, ClassOut, PerformanceMap},
    parallelism::ParallelismOut,
    scaling::out::ScalingOut,
};

/// The file's only top-level key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "perfmap profile result")]
pub struct ResultDocument {
    pub profile_result: ProfileResult,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileResult {
    /// Null where no target in the source was named.
    pub entry_point_info: Option<EntryPointOut>,
    pub performance_map: PerformanceMap,
    pub bottleneck_classification: ClassOut,
    pub bottleneck_detail: String,
    /// Three at most, largest share first.
    pub top_bottlenecks: Vec<BottleneckOut>,
    /// From the wall time down to code, configuration or architecture.
    pub root_cause: Vec<WhyOut>,
    /// Of confirmed suspicions alone, largest gain first.
    pub optimization_hints: Vec<HintOut>,
    /// Confirmed ones first.
    pub suspicion_stack: Vec<SuspicionOut>,
    /// Null where nothing was done side by side, again and again.
    pub parallelism: Option<SideBySideOut>,
    /// Null where nobody looked for one.
    pub e2e_test: Option<E2eTestOut>,
    /// The levels of detail that were gone to, each with its reason.
    pub escalation: Vec<EscalationOut>,
    /// Always empty unless the user asked for source instrumentation.
    pub instrumented_files: Vec<String>,
    pub wrong_tool_indicators: Vec<IndicatorOut>,
    pub verdict: VerdictOut,
    /// Why this verdict; never empty.
    pub verdict_reasons: Vec<String>,
    /// What the reader must know about how far the figures can be trusted.
    pub warnings: Vec<String>,
}

/// What the workers did, and how the rate changes with their number: each where it was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideBySideOut {
    #[serde(flatten)]
    pub workers: Option<ParallelismOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingOut>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPointOut {
    #[serde(rename = "type")]
    pub kind: EntryKindOut,
    /// `file:line`.
    pub location: String,
    pub route: Option<String>,
    pub function: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKindOut {
    ApiEndpoint,
    Function,
    Pipeline,
    Test,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyOut {
    pub why: String,
    pub because: String,
    /// The measurement of this link.
    pub evidence: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HintOut {
    pub hint: String,
    /// `id` of the suspicion.
    pub suspicion: String,
    pub subject: String,
    pub location: Option<String>,
    pub evidence: String,
    /// Computed from this run; null where it cannot be.
    pub expected_gain_ms: Option<f64>,
    /// Before and after, in the step's language; empty where no sketch says more than the hint.
    pub how: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuspicionOut {
    /// In the catalogue.
    pub id: String,
    pub category: CategoryOut,
    /// What is suspected: a peer, a function, a file, a statement.
    pub subject: String,
    /// `file:line`.
    pub location: Option<String>,
    /// The steps' `id`s.
    pub affected_steps: Vec<String>,
    pub description: String,
    pub verdict: SuspicionVerdictOut,
    pub evidence: Vec<EvidenceOut>,
    /// Why this verdict, and how sure it is.
    pub verification_note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_gain_ms: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoryOut {
    ConnectionManagement,
    DataFlow,
    AsyncPatterns,
    ResourceLifecycle,
    Configuration,
    RedundantWork,
    Architecture,
    Concurrency,
    Environment,
    HotCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuspicionVerdictOut {
    Confirmed,
    Dismissed,
    /// The suspicious code did not run.
    Unverified,
}

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceOut {
    pub what: String,
    pub value: ValueOut,
    pub unit: UnitOut,
    /// The rule's limit for it, in the same unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<ValueOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ValueOut {
    Number(#[serde(serialize_with = "plainly")] f64),
    Text(String),
}

/// Without a point where there is nothing behind it: a count is a whole number to every reader.
fn plainly<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    /// Up to here whole numbers are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && (0.0..=EXACT).contains(number) {
        serializer.serialize_u64(*number as u64)
    } else {
        serializer.serialize_f64(*number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitOut {
    Count,
    Percent,
    Ratio,
    Ms,
    Bytes,
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct E2eTestOut {
    pub command: Option<String>,
    pub source: TestSourceOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestSourceOut {
    User,
    Route,
    Function,
    Module,
    None,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EscalationOut {
    /// 1 functions, 2 lines, 3 memory.
    pub level: u32,
    pub profiler: String,
    pub reason: String,
    pub result: String,
    /// Of level 2: the function whose lines these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Of level 2: most samples first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineOut>,
    /// Of level 3, by probes at the allocator: most bytes alive at the end first, then most bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allocations: Vec<AllocationOut>,
    /// Where these are not the profiled run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunOut>,
}

/// What one function allocated, estimated from a sample of blocks; errors are half widths of 95 % intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AllocationOut {
    pub function: String,
    pub location: String,
    pub bytes: u64,
    pub bytes_error: u64,
    pub blocks: u64,
    pub blocks_error: u64,
    /// Not freed when the process ended.
    pub alive_bytes: u64,
    pub alive_bytes_error: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LineOut {
    pub line: u32,
    /// Of the function's CPU samples; where a line profiler measured it, of its time.
    pub share_pct: f64,
    /// Half width of the share's 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_pct: Option<f64>,
    /// Where samples tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// Where a line profiler measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executions: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<f64>,
}

/// A run of the command after the profiled one, for this alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunOut {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_hz: Option<u32>,
    pub wall_time_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IndicatorOut {
    pub id: IndicatorIdOut,
    pub evidence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IndicatorIdOut {
    ExternalServiceNoAlternative,
    WithinIndustryNorm,
    InfrastructureBound,
    AlreadyOptimized,
}

/// Whether to go and change this code on these figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictOut {
    /// A cause is confirmed or a step is large enough, and the figures can be trusted.
    Proceed,
    /// The figures are in doubt, or nothing was found that could be acted on.
    Concerns,
    /// A wrong-tool indicator says that changing this code cannot help.
    Block,
}
