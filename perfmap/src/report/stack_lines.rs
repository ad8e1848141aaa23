//! Events with their stacks → folded lines: "process;thread;outermost;…;innermost" with a weight.
//!
//! Knows nothing of waits' causes or of steps: these are the raw stacks, of all threads of the tree.

use std::collections::BTreeMap;

use crate::{
    recording::{Event, Nanos, OffCpu, Recording, ShortWaits, StackId, TaskId},
    resolve::{Language, Place, Resolved},
};

use super::text::visible;

/// Sorted by line, so that the same recording gives the same bytes.
pub type Lines = BTreeMap<String, u64>;

/// Whether frames say what they are written in: flame graphs colour by it, other tools know only the kernel's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    Kernel,
    Languages,
}

/// What one line is made of; summed before any text is made, because there are far more events than stacks.
pub(super) type Site = (TaskId, Option<StackId>, Leaf);
pub(super) type Sites = BTreeMap<Site, u64>;

/// What stands above the stack's innermost function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leaf {
    None,
    WaitsForCpu,
    ShortWaits,
}

impl Leaf {
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Leaf::None => None,
            Leaf::WaitsForCpu => Some("[waits for a CPU]"),
            Leaf::ShortWaits => Some("[short waits]"),
        }
    }
}

/// On-CPU: one for each tick of the sampling clock; a sample of a thinned stretch stands for several.
pub fn samples(recording: &Recording, resolved: &Resolved, marks: Marks) -> Lines {
    lines(sampled(recording), &Line { recording, resolved, marks })
}

/// In ticks.
pub(super) fn sampled(recording: &Recording) -> Sites {
    let mut sites = BTreeMap::new();
    for event in &recording.events {
        if let Event::Sample(sample) = event {
            let ticks = recording.meta.sample_every(sample.at);
            add(&mut sites, (sample.task, Some(sample.stack), Leaf::None), ticks.into());
        }
    }
    sites
}

/// On-CPU in microseconds, as far as the sampling rate tells.
pub fn on_cpu(recording: &Recording, resolved: &Resolved) -> Lines {
    let period_us = 1e6 / f64::from(recording.meta.sample_hz.max(1));
    let samples = samples(recording, resolved, Marks::Languages);
    samples.into_iter().map(|(line, count)| (line, (count as f64 * period_us).round() as u64)).collect()
}

/// Off-CPU in microseconds: blocked, and runnable without a CPU.
pub fn off_cpu(recording: &Recording, resolved: &Resolved) -> Lines {
    let lines = lines(off_the_cpu(recording), &Line { recording, resolved, marks: Marks::Languages });
    lines.into_iter().map(|(line, ns)| (line, ns / 1000)).filter(|(_, us)| *us > 0).collect()
}

/// In nanoseconds.
pub(super) fn off_the_cpu(recording: &Recording) -> Sites {
    let mut sites = BTreeMap::new();
    for event in &recording.events {
        match event {
            Event::OffCpu(wait) => {
                let (stack, blocked, runnable) = split(recording, wait);
                add(&mut sites, (wait.task, stack, Leaf::None), blocked.0);
                add(&mut sites, (wait.task, stack, Leaf::WaitsForCpu), runnable.0);
            }
            Event::ShortWaits(ShortWaits { task, run_queue, blocked, .. }) => {
                let sum: Nanos = blocked.iter().map(|(_, length)| *length).sum();
                add(&mut sites, (*task, None, Leaf::ShortWaits), sum.0);
                add(&mut sites, (*task, None, Leaf::WaitsForCpu), run_queue.0);
            }
            Event::Sample(_) | Event::Message(_) | Event::FileIo(_) | Event::Memory(_) => {}
        }
    }
    sites
}

/// On-CPU and off-CPU together: all the time of all threads.
pub fn wall(recording: &Recording, resolved: &Resolved) -> Lines {
    let mut lines = on_cpu(recording, resolved);
    for (line, us) in off_cpu(recording, resolved) {
        add(&mut lines, line, us);
    }
    lines
}

/// Stacks that read the same are one line.
fn lines(sites: BTreeMap<Site, u64>, names: &Line<'_>) -> Lines {
    let mut lines = Lines::new();
    for ((task, stack, leaf), weight) in sites {
        add(&mut lines, names.of(task, stack, leaf.text()), weight);
    }
    lines
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, weight: u64) {
    if weight > 0 {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(weight);
    }
}

fn split(recording: &Recording, wait: &OffCpu) -> (Option<StackId>, Nanos, Nanos) {
    let of_call = wait.call.and_then(|id| recording.calls.get(id.0 as usize)).and_then(|call| call.stack);
    let woken = wait.woken.clamp(wait.off, wait.on.max(wait.off));
    (wait.stack.or(of_call), woken.since(wait.off), wait.on.since(woken))
}

struct Line<'r> {
    recording: &'r Recording,
    resolved: &'r Resolved,
    marks: Marks,
}

/// A process's and a thread's name with their ids.
pub(super) fn task_names(recording: &Recording, task: TaskId) -> (String, String) {
    let Some(task) = recording.tasks.get(task.0 as usize) else {
        return ("[unknown process]".into(), "[unknown thread]".into());
    };
    let process = recording.processes.get(task.process.0 as usize);
    let image = process.and_then(|process| process.images.last());
    let own = process.and_then(|process| process.own_name.as_deref());
    let name = own.or(image.map(|image| image.comm.as_str())).unwrap_or("[unknown process]");
    let pid = process.map_or(0, |process| process.pid);
    (format!("{name} [{pid}]"), format!("{} [{}]", task.comm, task.tid))
}

impl Line<'_> {
    fn of(&self, task: TaskId, stack: Option<StackId>, leaf: Option<&str>) -> String {
        let mut line = self.task(task);
        let places = stack.and_then(|id| self.resolved.stacks.get(id.0 as usize));
        match places {
            Some(places) => {
                let places = places.iter().rev().filter_map(|id| self.resolved.places.get(id.0 as usize));
                for place in places {
                    line.push(';');
                    line.push_str(&self.frame(place));
                }
            }
            None if leaf.is_none() => line.push_str(";[no stack]"),
            None => {}
        }
        if let Some(leaf) = leaf {
            line.push(';');
            line.push_str(leaf);
        }
        line
    }

    fn task(&self, task: TaskId) -> String {
        let (process, thread) = task_names(self.recording, task);
        format!("{};{}", clean(&process), clean(&thread))
    }

    fn frame(&self, place: &Place) -> String {
        let name = match (place.language, place.file.as_deref()) {
            (Language::Python, Some(file)) => {
                let file = file.rsplit('/').next().unwrap_or(file);
                clean(&format!("{} ({file}:{})", place.function, place.first_line.unwrap_or(0)))
            }
            _ => clean(&place.function),
        };
        match (place.language, self.marks) {
            (Language::Kernel, _) => name + "_[k]",
            (Language::Python | Language::Jit, Marks::Languages) => name + "_[j]",
            (Language::Python | Language::Jit | Language::Native, _) => name,
        }
    }
}

/// The format's own signs are `;` between frames and the last blank before the weight; readers also take a second
/// number at the end for the weight of a comparison.
fn clean(name: &str) -> String {
    let mut name = visible(name).replace(';', ":");
    let last = name.rsplit(char::is_whitespace).next().unwrap_or_default();
    if last.len() < name.len() && last.parse::<f64>().is_ok() {
        let at = name.len() - last.len();
        let before = name[..at].trim_end().len();
        name.replace_range(before..at, "_");
    }
    if name.trim().is_empty() { "[empty name]".into() } else { name }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_do_not_break_the_format() {
        assert_eq!(clean("a;b\nc"), "a:b\\nc");
        assert_eq!(clean("operator() 12"), "operator()_12");
        assert_eq!(clean("x 1 2"), "x 1_2");
        assert_eq!(clean("void f<int>(int, char)"), "void f<int>(int, char)");
        assert_eq!(clean(" "), "[empty name]");
    }

    proptest! {
        #[test]
        fn a_cleaned_name_is_one_frame_without_a_number_at_its_end(name in any::<String>()) {
            let name = clean(&name);
            prop_assert!(!name.contains(';') && !name.contains('\n') && !name.is_empty());
            if let Some((_, last)) = name.rsplit_once(' ') {
                prop_assert!(last.parse::<f64>().is_err(), "{:?}", name);
            }
        }
    }
}
