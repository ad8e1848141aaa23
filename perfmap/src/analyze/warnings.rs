//! Recording and map → what the reader must know about how far the figures can be trusted.

use std::collections::BTreeMap;

use crate::{
    map::{Counted, Map},
    recording::{Ending, Event, Loss, Recording, Sample, StackEnd, Unnamed},
    resolve::{Language, Resolved},
};

use super::{
    baseline::{self, Metric},
    types::Warning,
};

/// Coefficient of variation above which a baseline is called unstable.
const UNSTABLE_PCT: f64 = 20.0;
const OVERHEAD_PCT: f64 = 20.0;
/// Below this share of the samples a gap in the stacks or names is not worth a line.
const SAMPLES_PCT: f64 = 1.0;
/// With fewer samples the 95 % interval of a half share is wider than ±10 points.
const FEW_SAMPLES: u64 = 100;
/// CPU time below this share of wall needs no samples to be judged.
const CPU_MATTERS: f64 = 0.1;
/// Files named at most among those without symbols.
const FILES: usize = 5;
const CLOSURE_PCT: f64 = 1.0;

/// In the order of their weight for the reader.
pub fn all(recording: &Recording, resolved: &Resolved, map: &Map) -> Vec<Warning> {
    let mut found = vec![];
    ending(recording, &mut found);
    if !recording.earlier.is_empty() {
        let (length, events) = (recording.earlier.length, recording.earlier.events);
        found.push(Warning::Window { length, events, wall: map.wall });
    }
    runs(recording, map, &mut found);
    probes(recording, &mut found);
    losses(recording, &mut found);
    samples(recording, resolved, &mut found);
    counts(recording, map, &mut found);
    closure(map, &mut found);
    found.extend(recording.meta.notes.iter().cloned().map(Warning::Note));
    found
}

fn ending(recording: &Recording, found: &mut Vec<Warning>) {
    if recording.meta.interrupted {
        found.push(Warning::Interrupted);
    }
    match recording.meta.ending {
        Some(Ending::Exited(0)) | None => {}
        Some(Ending::Exited(code)) => found.push(Warning::CommandFailed { code }),
        Some(Ending::Killed(signal)) => found.push(Warning::CommandKilled { signal }),
    }
}

fn runs(recording: &Recording, map: &Map, found: &mut Vec<Warning>) {
    let Some(runs) = recording.baseline.as_ref().filter(|baseline| !baseline.runs.is_empty()) else {
        // What was only watched has no run of its own to be measured by.
        if !recording.meta.attached {
            found.push(Warning::NoBaseline);
        }
        return;
    };
    for metric in Metric::ALL {
        let (Some(spread), Some(floor)) = (baseline::spread(runs, metric), metric.judged_from()) else {
            continue;
        };
        if spread.median >= floor && spread.cv_pct > UNSTABLE_PCT {
            found.push(Warning::UnstableBaseline { metric, cv_pct: spread.cv_pct });
        }
    }
    if let Some(pct) = baseline::overhead_pct(Some(runs), map.wall.plus(map.earlier)).filter(|&pct| pct > OVERHEAD_PCT)
    {
        found.push(Warning::Overhead { pct });
    }
    let count = runs.runs.iter().map(|run| run.lost).fold(0u64, u64::saturating_add);
    if count > 0 {
        found.push(Warning::BaselineLost { count });
    }
}

/// What the probes took, and what was thinned to make it less.
fn probes(recording: &Recording, found: &mut Vec<Warning>) {
    let meta = &recording.meta;
    found.extend(meta.thinned.iter().cloned().map(Warning::Thinned));
    let probes: u64 = meta.bpf_cost.iter().map(|(_, _, time)| time.0).fold(0, u64::saturating_add);
    // The programs run on the target's own CPU time. Below a twentieth of the wall time they slow nothing down much.
    let pct = probes as f64 / meta.tree_cpu.0.saturating_sub(probes).max(1) as f64 * 100.0;
    if pct > OVERHEAD_PCT && probes > recording.observed().0 / 20 {
        found.push(Warning::ProbeTime { pct });
    }
}

fn losses(recording: &Recording, found: &mut Vec<Warning>) {
    let lost: &BTreeMap<Loss, u64> = &recording.losses.0;
    found.extend(lost.iter().filter(|(_, count)| **count > 0).map(|(&kind, &count)| Warning::Lost { kind, count }));
}

fn samples(recording: &Recording, resolved: &Resolved, found: &mut Vec<Warning>) {
    let (mut total, mut ticks, mut cut) = (0u64, 0u64, 0u64);
    let mut nameless: BTreeMap<(Option<&str>, Unnamed), u64> = BTreeMap::new();
    for event in &recording.events {
        let Event::Sample(sample) = event else { continue };
        total += 1;
        ticks = ticks.saturating_add(recording.meta.sample_every(sample.at).into());
        cut += u64::from(is_cut(recording, resolved, sample));
        if let Some(of) = nameless_leaf(resolved, sample) {
            *nameless.entry(of).or_default() += 1;
        }
    }
    if total == 0 {
        return;
    }
    let share = |count: u64| count as f64 / total as f64 * 100.0;
    let on_cpu = ticks as f64 / f64::from(recording.meta.sample_hz.max(1));
    if total < FEW_SAMPLES && on_cpu * 1e9 > CPU_MATTERS * recording.meta.wall.0 as f64 {
        found.push(Warning::FewSamples { samples: total });
    }
    if share(cut) >= SAMPLES_PCT {
        found.push(Warning::TruncatedStacks { share_pct: share(cut) });
    }
    let mut files: Vec<_> = nameless.into_iter().filter(|(_, count)| share(*count) >= SAMPLES_PCT).collect();
    files.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for ((file, why), count) in files.into_iter().take(FILES) {
        let file = file.map(str::to_owned);
        found.push(Warning::MissingSymbols { file, why, share_pct: share(count) });
    }
}

/// Where threads and programs begin: what has no caller. Some of them have no unwind rule that says so.
const BEGINNINGS: [&str; 6] = ["_start", "_dl_start_user", "_dl_start", "clone", "clone3", "__clone3"];

/// Not where an interpreter's frames, which are walked for themselves, tell the whole way.
fn is_cut(recording: &Recording, resolved: &Resolved, sample: &Sample) -> bool {
    let Some(stack) = recording.stacks.get(sample.stack.0 as usize) else {
        return true;
    };
    match stack.end {
        StackEnd::Complete => false,
        StackEnd::TooDeep => true,
        StackEnd::CopyTooShort | StackEnd::NotWalked => stack.python.is_empty(),
        StackEnd::NoRule => {
            let root = resolved.stacks.get(sample.stack.0 as usize).and_then(|places| places.last());
            let root = root.and_then(|place| resolved.places.get(place.0 as usize));
            stack.python.is_empty() && root.is_none_or(|place| !BEGINNINGS.contains(&place.function.as_str()))
        }
    }
}

/// The innermost function outside the kernel, where it is a native one without a name.
fn nameless_leaf<'r>(resolved: &'r Resolved, sample: &Sample) -> Option<(Option<&'r str>, Unnamed)> {
    let places = resolved.stacks.get(sample.stack.0 as usize)?;
    let leaf = places
        .iter()
        .filter_map(|id| resolved.places.get(id.0 as usize))
        .find(|place| place.language != Language::Kernel)?;
    match leaf.language {
        Language::Native => leaf.unnamed.map(|why| (leaf.module.as_deref(), why)),
        Language::Python | Language::Kernel | Language::Jit => None,
    }
}

fn counts(recording: &Recording, map: &Map, found: &mut Vec<Warning>) {
    if map.nameless > 0 {
        found.push(Warning::NamelessRequests { count: map.nameless });
    }
    for peer in &map.peers {
        let name = || peer.service.clone().unwrap_or_else(|| peer.address.clone());
        match peer.counted {
            Counted::Exact => {}
            Counted::Inferred => found.push(Warning::InferredCounts { peer: name() }),
            // A note on each says it, and what was counted.
            Counted::AtLeast if !recording.far_ends.is_empty() => {}
            Counted::AtLeast => found.push(Warning::LowCounts { peer: name() }),
        }
    }
}

fn closure(map: &Map, found: &mut Vec<Warning>) {
    let pct = map.closure_error.unsigned_abs() as f64 / map.wall.0.max(1) as f64 * 100.0;
    if pct > CLOSURE_PCT {
        found.push(Warning::NotClosed { pct });
    }
}
