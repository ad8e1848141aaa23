//! (room) The interface only; written elsewhere.

use crate::{
    recording::{Nanos, Recording},
    target::{Held, LaunchError},
    unwind::modules::ModuleFiles,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Count,
    Profile,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub mode: Mode,
    pub sample_hz: u32,
    pub wait_threshold: Nanos,
    pub stack_bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Continue,
    Abort,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Progress {
    pub elapsed: Nanos,
    pub events: u64,
    pub processes: u32,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryCurve {
    pub peak: u64,
    pub start: u64,
    pub end: u64,
    pub is_pss: bool,
}

pub struct Outcome {
    pub recording: Recording,
    pub files: ModuleFiles,
    pub memory: MemoryCurve,
}

#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error("no privilege for eBPF: {missing}")]
    NoPrivilege { missing: String },
    #[error("this kernel cannot: {what}")]
    Unsupported { what: String },
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

#[derive(Debug, Clone)]
pub struct ProbeResult {
    pub name: &'static str,
    pub loaded: Result<(), String>,
}

pub fn probe() -> Vec<ProbeResult> {
    Vec::new()
}

pub fn run(_plan: &Plan, _held: Held, _control: &mut dyn FnMut(&Progress) -> Control) -> Result<Outcome, CollectError> {
    Err(CollectError::Unsupported { what: "the collector is not in this branch".into() })
}
