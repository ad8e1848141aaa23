//! What the runs without deep probes measured. Kept in the recording, so that `report` can print it again.

use serde::{Deserialize, Serialize};

use super::Nanos;

/// One run of the command, its whole process tree. Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub wall: Nanos,
    /// User + system.
    pub cpu: Nanos,
    /// Highest simultaneous resident size of the tree.
    pub memory_peak: u64,
    /// Resident size of the tree at its end minus at its start; can be negative.
    pub memory_delta: i64,
    /// True where PSS could be read, so that shared pages are counted once.
    pub memory_is_pss: bool,
    /// True where probes counted bytes and round trips; false where only /proc was read, and the counts below mean
    /// nothing.
    pub is_counted: bool,
    pub file_read: u64,
    pub file_written: u64,
    pub net_read: u64,
    pub net_written: u64,
    pub http_round_trips: u64,
    pub db_round_trips: u64,
    pub gpu: Option<GpuUse>,
    /// Events that the counting probes lost: counts are `at least` where it is not 0.
    pub lost: u64,
    /// Run time of the counting BPF programs.
    pub probe_cost: Nanos,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuUse {
    pub device: String,
    pub utilization_pct: f64,
    pub memory_peak: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    pub warmups: u32,
    /// The counted runs in order.
    pub runs: Vec<Metrics>,
    /// File that an earlier baseline was read from (`--baseline-file`).
    pub reused_from: Option<String>,
}
