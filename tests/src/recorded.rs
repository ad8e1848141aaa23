//! The recording itself, where the map is too coarse to ask: single processes.

use anyhow::{Context, Result};
use perfmap::{
    correlate, map,
    recording::{Process, ProcessId, Recording},
    resolve,
};
use std::path::Path;

pub fn read(path: &Path) -> Result<Recording> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    perfmap::recording::file::decode(&bytes).with_context(|| format!("decode {}", path.display()))
}

/// Laws that the recording's map breaks.
pub fn broken(recording: &Recording) -> Vec<map::Broken> {
    let resolved = resolve::resolve(recording);
    let correlated = correlate::correlate(recording);
    map::audit(recording, &resolved, &correlated, &map::MapOptions::default())
}

/// Processes that the root process made itself.
pub fn children_of_root(recording: &Recording) -> Vec<&Process> {
    let root = recording.meta.root.map(|task| recording.task(task).process);
    recording.processes.iter().filter(|process| parent_is(process, root)).collect()
}

fn parent_is(process: &Process, root: Option<ProcessId>) -> bool {
    root.is_some() && process.parent == root
}
