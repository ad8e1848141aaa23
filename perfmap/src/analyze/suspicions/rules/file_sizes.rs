//! How much a step reads or writes with one system call, and how often it makes the kernel bring what it wrote to the
//! device. The recording has sums by call site, so the median is one over call sites, weighted by their calls.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    analyze::{
        ENOUGH_SAMPLES, replay,
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
    map::{self, Step},
    recording::{CallId, Event, FileOperation, KnownFile, Nanos, StackId},
    resolve::{self, Language, PlaceId, Resolved},
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
        if io.file.and_then(|file| facts.recording.files.known.get(file.0 as usize)).is_some_and(is_for_profilers) {
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

/// A runtime names the code that it generates there, because it was asked to for the profile's sake: `perf-PID.map`,
/// `jit-PID.dump` of perf's jitdump, and V8's own log beside them, `isolate-ADDRESS-PID-v8.log`.
fn is_for_profilers(file: &KnownFile) -> bool {
    let name = file.path.as_deref().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let pid = |begin: &str, end: &str| name.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
    if pid("isolate-", "-v8.log").is_some_and(|which| !which.is_empty()) {
        return true;
    }
    let pid = pid("perf-", ".map").or_else(|| pid("jit-", ".dump"));
    pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
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
                "by its samples {:.1} ms of its CPU time are in {} calls; {needed} of {BUFFER} bytes would do",
                in_calls.as_ms(),
                sums.calls
            ),
        });
        let mut change = sketch::change(Pattern::Buffer, found.location.as_ref(), &step.function);
        if found.gain.is_none() {
            change.ungained = Some("no sample is in the calls, or nobody waits for them".into());
        }
        found.change = Some(change);
    }
    Some(found)
}

/// CPU time that the step spends in its reads or writes: its own, by the share of its samples that are in them. Where the
/// profiled run has too few, those of the run at a higher rate.
pub(super) fn in_file_calls(facts: &Facts<'_>, stacks: &Stacks<'_>, step: &Step, operation: FileOperation) -> Nanos {
    let samples = facts.recording.events.iter().filter_map(|event| match event {
        Event::Sample(sample) => Some((sample.stack, u64::from(facts.recording.meta.sample_every(sample.at)))),
        Event::OffCpu(_) | Event::ShortWaits(_) | Event::Message(_) | Event::FileIo(_) | Event::Memory(_) => None,
    });
    let of_step: Vec<(StackId, u64)> =
        samples.filter(|(stack, _)| stacks.step(*stack).is_some_and(|of| of.id == step.id)).collect();
    let (mut within, mut all) = in_calls(facts.resolved, &of_step, operation);
    if let Some(again) = facts.recording.closer.samples.as_ref().filter(|_| all < ENOUGH_SAMPLES) {
        let named = again.names.recording(&facts.recording.meta);
        let resolved = resolve::resolve(&named);
        let own = map::innermost(&named, &resolved);
        let file = step.location.as_ref().map(|location| location.file.as_str());
        let is_step = |stack: &StackId| {
            let place = own.get(stack.0 as usize).and_then(Option::as_ref);
            place.is_some_and(|place| place.function == step.function && file.is_none_or(|file| file == place.file))
        };
        let of_step: Vec<(StackId, u64)> = again.samples.iter().filter(|(stack, _)| is_step(stack)).copied().collect();
        let more = in_calls(&resolved, &of_step, operation);
        if more.1 > all {
            (within, all) = more;
        }
    }
    let cpu = if step.own_cpu > Nanos::ZERO { step.own_cpu } else { step.thread_cpu };
    Nanos((cpu.0 as f64 * within as f64 / all.max(1) as f64) as u64)
}

/// How many of these samples are in such a call, of how many. What the kernel does before and after the file's own function
/// is told by where the call was made from; what our own probes do there is nobody's to save.
fn in_calls(resolved: &Resolved, samples: &[(StackId, u64)], operation: FileOperation) -> (u64, u64) {
    let names = match operation {
        FileOperation::Read => ["vfs_read", "ksys_read"],
        FileOperation::Write => ["vfs_write", "ksys_write"],
    };
    let places = |stack: StackId| resolved.stacks.get(stack.0 as usize).map_or(&[][..], |stack| stack);
    let kernel = |id: &PlaceId| {
        resolved
            .places
            .get(id.0 as usize)
            .filter(|place| place.language == Language::Kernel)
            .map(|place| &*place.function)
    };
    let from = |stack: StackId| {
        let places = places(stack);
        let outside = places.iter().position(|id| kernel(id).is_none()).unwrap_or(places.len());
        places.split_at_checked(outside).unwrap_or_default()
    };
    let in_call = |stack: StackId| from(stack).0.iter().filter_map(kernel).any(|name| names.contains(&name));
    let of_probes = |stack: StackId| from(stack).0.iter().filter_map(kernel).any(|name| name.starts_with("bpf_"));
    let callers: BTreeSet<&[PlaceId]> =
        samples.iter().filter(|(stack, _)| in_call(*stack)).map(|(stack, _)| from(*stack).1).collect();
    let within = samples.iter().filter(|(stack, _)| callers.contains(from(*stack).1) && !of_probes(*stack));
    (within.map(|(_, weight)| weight).sum(), samples.iter().map(|(_, weight)| weight).sum())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_the_profile_s_sake() {
        let of = |path: &str| is_for_profilers(&KnownFile { device: 0, inode: 1, path: Some(path.into()), size: 0 });
        for path in ["/tmp/perf-17.map", "/tmp/jit-17.dump", "isolate-0x5581d40-17-v8.log", "/srv/isolate-0x1-2-v8.log"]
        {
            assert!(of(path), "{path}");
        }
        for path in
            ["/tmp/perf-a.map", "/tmp/perf-.map", "isolate--v8.log.1", "isolate-v8.log", "v8.log", "/isolate-a/b"]
        {
            assert!(!of(path), "{path}");
        }
    }
}
