//! One function reads a file again that has not changed. A file is told by device and inode; it was read again where more
//! bytes of it were read than it has. What was written in between, and a caller that sleeps between its looks, are reasons
//! to read again. Loading code reads its files as it must.

use std::collections::BTreeMap;

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::Place,
        draft::suspicion,
        rules::file_sizes::{in_file_calls, loads},
        sketch_resources::{self, Pattern},
        stacks::Stacks,
        types::{Category, Evidence, Gain, Suspicion, Value, Verdict},
    },
    correlate::Cause,
    map::Step,
    recording::{Event, FileId, FileIo, FileOperation, KnownFile, Nanos, ProcessId},
};

const RULE: (&str, Category) = ("repeated_file_read", Category::DataFlow);
/// Read in whole so many times: twice is before and after.
const TIMES: f64 = 3.0;
/// Fewer bytes again, fewer times, are no matter.
const BYTES: u64 = 64 * 1024;
const MANY: f64 = 20.0;

struct Reads<'a> {
    step: &'a Step,
    of: Vec<&'a FileIo>,
}

impl Reads<'_> {
    fn bytes(&self) -> u64 {
        self.of.iter().fold(0, |sum, io| sum.saturating_add(io.bytes))
    }

    fn span(&self) -> (Nanos, Nanos) {
        let from = self.of.iter().map(|io| io.first).min().unwrap_or_default();
        (from, self.of.iter().map(|io| io.first).max().unwrap_or_default())
    }
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let stacks = Stacks::new(facts);
    let mut reads: BTreeMap<(&str, ProcessId, FileId), Reads<'_>> = BTreeMap::new();
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    let mut written: BTreeMap<FileId, Vec<Nanos>> = BTreeMap::new();
    for event in &facts.recording.events {
        let Event::FileIo(io) = event else { continue };
        let Some(file) = io.file else { continue };
        if io.operation == FileOperation::Write {
            written.entry(file).or_default().push(io.last);
            continue;
        }
        let Some(stack) = io.stack.filter(|stack| !loads(&stacks, *stack)) else { continue };
        let (Some(step), Some(task)) = (stacks.step(stack), facts.recording.tasks.get(io.task.0 as usize)) else {
            continue;
        };
        if step.function.ends_with("<module>") {
            continue;
        }
        let sum = all.entry(step.id.as_str()).or_default();
        *sum = sum.saturating_add(io.bytes);
        let of = reads.entry((step.id.as_str(), task.process, file)).or_insert(Reads { step, of: Vec::new() });
        of.of.push(io);
    }
    let mut found: Vec<Suspicion> = Vec::new();
    for ((id, _, file), reads) in reads {
        let Some(known) = facts.recording.files.known.get(file.0 as usize).filter(|known| known.size > 0) else {
            continue;
        };
        let (bytes, times) = (reads.bytes(), reads.bytes() as f64 / known.size as f64);
        let again = bytes.saturating_sub(known.size);
        if times < TIMES || again < BYTES && times < MANY {
            continue;
        }
        let (from, to) = reads.span();
        let writes = written.get(&file).map_or(0, |at| at.iter().filter(|at| **at > from && **at < to).count());
        let of_all = all.get(id).copied().unwrap_or(bytes);
        found.push(of_file(facts, &stacks, known, &reads, writes, of_all));
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_file(
    facts: &Facts<'_>,
    stacks: &Stacks<'_>,
    known: &KnownFile,
    reads: &Reads<'_>,
    writes: usize,
    of_all: u64,
) -> Suspicion {
    let name = known.path.as_deref().unwrap_or("a file whose name was not seen");
    let bytes = reads.bytes();
    let (times, again) = (bytes as f64 / known.size as f64, bytes.saturating_sub(known.size));
    let polls = polls(facts, &reads.of);
    let (verdict, note) = if writes > 0 {
        (Verdict::Dismissed, format!("it was written {writes} times in between"))
    } else if polls {
        (Verdict::Dismissed, "the caller sleeps between its looks: it polls".to_owned())
    } else {
        (Verdict::Confirmed, format!("read in whole {times:.0} times, and not written in between by what was followed"))
    };
    let evidence = vec![
        Evidence::held_against("bytes read for each byte of the file", Value::Ratio(times), Value::Ratio(TIMES)),
        Evidence::new("size of the file", Value::Bytes(known.size)),
        Evidence::new("bytes read again", Value::Bytes(again)),
        Evidence::held_against("writes to it in between", Value::Count(writes as u64), Value::Count(0)),
    ];
    let place = Place { step: Some(reads.step), above: None };
    let function = &reads.step.function;
    let description = format!("{function} reads {name} again and again.");
    let mut found = suspicion(RULE, name.to_owned(), Some(&place), (verdict, note), description, evidence);
    if verdict == Verdict::Confirmed {
        let in_calls = in_file_calls(facts, stacks, reads.step, FileOperation::Read);
        let part = again as f64 / of_all.max(1) as f64;
        let wall = Nanos((in_calls.plus(on_disk(facts, stacks, reads.step)).0 as f64 * part) as u64);
        found.gain = (place.is_waited_for() && wall > Nanos::ZERO).then(|| Gain {
            wall,
            basis: format!(
                "{:.0} % of what {function} reads it had read before; its reads took {:.1} ms (what it makes of the \
                 content is not counted)",
                part * 100.0,
                in_calls.as_ms()
            ),
        });
        let mut change = sketch_resources::change(Pattern::KeepContent, found.location.as_ref(), function);
        change.ungained = change.ungained.filter(|_| found.gain.is_none());
        found.change = Some(change);
    }
    found
}

fn on_disk(facts: &Facts<'_>, stacks: &Stacks<'_>, step: &Step) -> Nanos {
    let is_its = |wait: &&crate::correlate::Wait| {
        wait.cause == Cause::Disk && wait.stack.and_then(|stack| stacks.step(stack)).is_some_and(|of| of.id == step.id)
    };
    let spans: Vec<(Nanos, Nanos)> =
        facts.correlated.waits.iter().filter(is_its).map(|wait| (wait.off, wait.woken)).collect();
    crate::recording::covered(spans)
}

/// In most of the pauses between two looks the task slept for more than half of the time.
fn polls(facts: &Facts<'_>, of: &[&FileIo]) -> bool {
    let Some(task) = of.first().map(|io| io.task) else { return false };
    let waits = facts.correlated.waits.iter();
    let sleeps = waits.filter(|wait| wait.task == task && wait.cause == Cause::Sleep);
    let mut sleeps: Vec<(Nanos, Nanos)> = sleeps.map(|wait| (wait.off, wait.woken)).collect();
    sleeps.sort_unstable();
    let slept = of.windows(2).filter(|pair| {
        let (from, to) = (pair[0].last, pair[1].first);
        let next = sleeps.partition_point(|(off, _)| *off < from);
        let within = sleeps[next..].iter().take_while(|(off, _)| *off < to);
        let sum: Nanos = within.map(|(off, woken)| (*woken).min(to).since(*off)).sum();
        sum.0 > to.since(from).0 / 2
    });
    slept.count() * 2 > of.len().saturating_sub(1)
}
