//! How much a step reads or writes with one system call, and how often it makes the kernel bring what it wrote to the
//! device. The recording has sums by call site, so the median is one over call sites, weighted by their calls.

use std::collections::BTreeMap;

use crate::{
    analyze::{
        replay,
        replay::Span,
        suspicions::{
            Answer, Facts,
            calls::Place,
            draft::suspicion,
            sketch::{self, Pattern},
            stacks::Stacks,
            types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
        },
    },
    correlate::syscalls,
    map::Step,
    recording::{CallId, Event, FileOperation, Nanos},
    resolve::Language,
};

const TINY: (&str, Category) = ("tiny_io", Category::DataFlow);
const SYNCS: (&str, Category) = ("small_sync_writes", Category::DataFlow);
const MANY_CALLS: u64 = 100;
const SMALL: u64 = 512;
/// What a buffer takes at once.
const BUFFER: u64 = 64 * 1024;
const MANY_SYNCS: usize = 10;
/// Syncs for each write: every fifth that was long enough to be recorded, since shorter ones are not seen.
const MOST_SYNCS: f64 = 0.2;

#[derive(Default)]
struct Sums<'a> {
    step: Option<&'a Step>,
    calls: u64,
    bytes: u64,
    /// (mean size, calls) of a call site.
    sites: Vec<(u64, u64)>,
}

impl Sums<'_> {
    fn median(&self) -> u64 {
        let mut sites = self.sites.clone();
        sites.sort_unstable();
        let mut before = 0_u64;
        let found = sites.iter().find(|(_, calls)| {
            before = before.saturating_add(*calls);
            before * 2 >= self.calls
        });
        found.map_or(0, |(size, _)| *size)
    }
}

fn sums<'a>(facts: &Facts<'a>, stacks: &Stacks<'a>) -> BTreeMap<(&'a str, FileOperation), Sums<'a>> {
    let mut found: BTreeMap<(&str, FileOperation), Sums<'_>> = BTreeMap::new();
    for event in &facts.recording.events {
        let Event::FileIo(io) = event else { continue };
        let Some(step) = io.stack.and_then(|stack| stacks.step(stack)) else { continue };
        // Loading code reads its files as it must.
        if step.function.ends_with("<module>") || io.stack.is_some_and(|stack| loads(stacks, stack)) {
            continue;
        }
        let of = found.entry((step.id.as_str(), io.operation)).or_default();
        of.step = Some(step);
        of.calls = of.calls.saturating_add(io.calls);
        of.bytes = of.bytes.saturating_add(io.bytes);
        of.sites.push((io.bytes / io.calls.max(1), io.calls));
    }
    found
}

pub(super) fn loads(stacks: &Stacks<'_>, stack: crate::recording::StackId) -> bool {
    stacks.places(stack).any(|(_, place)| place.file.as_deref().is_some_and(|file| file.contains("importlib")))
}

pub(crate) fn tiny(facts: &Facts<'_>) -> Answer {
    let stacks = Stacks::new(facts);
    let found: Vec<Suspicion> = sums(facts, &stacks)
        .into_iter()
        .filter(|(_, sums)| sums.calls >= MANY_CALLS)
        .filter_map(|((_, operation), sums)| of_sums(facts, &stacks, operation, &sums))
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_sums(facts: &Facts<'_>, stacks: &Stacks<'_>, operation: FileOperation, sums: &Sums<'_>) -> Option<Suspicion> {
    let step = sums.step?;
    let median = sums.median();
    let verb = match operation {
        FileOperation::Read => "reads",
        FileOperation::Write => "writes",
    };
    let confirmed = median < SMALL;
    let evidence = vec![
        Evidence::held_against("calls", Value::Count(sums.calls), Value::Count(MANY_CALLS)),
        Evidence::held_against("median size", Value::Bytes(median), Value::Bytes(SMALL)),
        Evidence::new("bytes", Value::Bytes(sums.bytes)),
    ];
    let note = format!("{} calls of {median} bytes in the median", sums.calls);
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let place = Place { step: Some(step), above: None };
    let description = format!("{} {verb} a file in small pieces.", step.function);
    let mut found = suspicion(TINY, step.function.clone(), Some(&place), (verdict, note), description, evidence);
    if confirmed {
        let in_calls = in_file_calls(facts, stacks, step, operation);
        let needed = sums.bytes.div_ceil(BUFFER).max(1);
        let saved = Nanos(in_calls.0 - in_calls.0.min(in_calls.0 / sums.calls.max(1) * needed));
        found.gain = (place.is_waited_for() && saved > Nanos::ZERO).then(|| Gain {
            wall: saved,
            basis: format!(
                "{:.1} ms were sampled in {} calls; {needed} of {BUFFER} bytes would do",
                in_calls.as_ms(),
                sums.calls
            ),
        });
        found.change = Some(sketch::change(Pattern::Buffer, found.location.as_ref(), &step.function));
    }
    Some(found)
}

/// CPU time of the kernel under the step's reads or writes, as sampled.
pub(super) fn in_file_calls(facts: &Facts<'_>, stacks: &Stacks<'_>, step: &Step, operation: FileOperation) -> Nanos {
    let names = match operation {
        FileOperation::Read => ["vfs_read", "ksys_read"],
        FileOperation::Write => ["vfs_write", "ksys_write"],
    };
    let in_call = |event: &&Event| match event {
        Event::Sample(sample) => {
            stacks.step(sample.stack).is_some_and(|of| of.id == step.id)
                && stacks
                    .places(sample.stack)
                    .any(|(_, place)| place.language == Language::Kernel && names.contains(&place.function.as_str()))
        }
        Event::OffCpu(_) | Event::ShortWaits(_) | Event::Message(_) | Event::FileIo(_) | Event::Memory(_) => false,
    };
    let samples = facts.recording.events.iter().filter(in_call).count() as u64;
    Nanos(samples.saturating_mul(1_000_000_000 / u64::from(facts.recording.meta.sample_hz.max(1))))
}

pub(crate) fn syncs(facts: &Facts<'_>) -> Answer {
    let stacks = Stacks::new(facts);
    type Syncs<'s> = (&'s Step, Vec<(Option<CallId>, Span)>);
    let mut by_step: BTreeMap<&str, Syncs<'_>> = BTreeMap::new();
    for event in &facts.recording.events {
        let Event::OffCpu(off) = event else { continue };
        let call = off.call.and_then(|id| facts.recording.calls.get(id.0 as usize));
        let Some(call) = call.filter(|call| syscalls::syncs(call.number)) else { continue };
        let Some(step) = call.stack.and_then(|stack| stacks.step(stack)) else { continue };
        let span = Span { from: off.off, to: off.on, computed: Nanos::ZERO };
        let spans = &mut by_step.entry(step.id.as_str()).or_insert_with(|| (step, Vec::new())).1;
        // One call can block several times.
        match spans.last_mut() {
            Some((of, last)) if *of == off.call => last.to = span.to,
            _ => spans.push((off.call, span)),
        }
    }
    let sums = sums(facts, &stacks);
    let mut found = Vec::new();
    for (id, (step, spans)) in by_step.into_iter().filter(|(_, (_, spans))| spans.len() >= MANY_SYNCS) {
        let writes = sums.get(&(id, FileOperation::Write)).map_or(0, |sums| sums.calls);
        let spans: Vec<Span> = spans.into_iter().map(|(_, span)| span).collect();
        found.push(of_syncs(step, &spans, writes));
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_syncs(step: &Step, spans: &[Span], writes: u64) -> Suspicion {
    let ratio = spans.len() as f64 / writes.max(1) as f64;
    let confirmed = ratio >= MOST_SYNCS;
    let time = replay::covered(spans);
    let evidence = vec![
        Evidence::held_against("syncs that blocked", Value::Count(spans.len() as u64), Value::Count(MANY_SYNCS as u64)),
        Evidence::new("writes", Value::Count(writes)),
        Evidence::held_against("syncs per write", Value::Ratio(ratio), Value::Ratio(MOST_SYNCS)),
        Evidence::new("time in syncs", Value::Time(time)),
    ];
    let note = format!("{} syncs for {writes} writes, {:.1} ms", spans.len(), time.as_ms());
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let place = Place { step: Some(step), above: None };
    let description = format!("{} brings each write to the device by itself.", step.function);
    let mut found = suspicion(SYNCS, step.function.clone(), Some(&place), (verdict, note), description, evidence);
    if confirmed {
        let one = spans.iter().map(|span| span.length()).max().unwrap_or_default();
        found.gain = place.is_waited_for().then(|| Gain {
            wall: time.since(one),
            basis: format!("{} syncs take {:.1} ms, the longest {:.1} ms", spans.len(), time.as_ms(), one.as_ms()),
        });
        found.change = Some(sketch::change(Pattern::SyncOnce, found.location.as_ref(), &step.function));
    }
    found
}
