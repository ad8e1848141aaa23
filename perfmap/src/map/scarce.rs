//! Waits for a CPU and for a disk → who had the CPU instead, and which disk it was.
//!
//! Who had the CPU is who ran there for the longest stretch while the other was ready: of several that took turns
//! meanwhile only that one is named, and has the whole wait. Times are sums over the waiting threads, so they can be longer than the run.

use std::collections::BTreeMap;

use super::{
    known::Known,
    locks,
    model::{DiskWaits, Rival},
};
use crate::{
    recording::{Device, DeviceId, Event, Nanos, OffCpu, OffState, Runner, StackId},
    resolve::Resolved,
};

/// So many are named, those waited for longest.
const MOST: usize = 20;
/// Shorter sums are not worth a line.
const LEAST: Nanos = Nanos(1_000_000);

#[derive(Debug, Default)]
struct Sum {
    waits: u64,
    waited: Nanos,
    /// By who waited, or by what the rival did.
    functions: BTreeMap<String, Nanos>,
}

impl Sum {
    fn add(&mut self, length: Nanos, function: Option<String>) {
        self.waits += 1;
        self.waited = self.waited.plus(length);
        if let Some(function) = function {
            let of_function = self.functions.entry(function).or_default();
            *of_function = of_function.plus(length);
        }
    }

    /// The function with the largest part.
    fn function(&self) -> Option<String> {
        let most = self.functions.iter().max_by_key(|(name, length)| (**length, std::cmp::Reverse(*name)));
        most.map(|(name, _)| name.clone())
    }
}

pub(super) fn rivals(known: &Known<'_>, resolved: &Resolved) -> Vec<Rival> {
    let mut sums: BTreeMap<(Option<String>, bool), Sum> = BTreeMap::new();
    for off in offs(known) {
        let queued = off.on.since(off.woken);
        // Where wakes are not seen, neither is who had the CPU.
        if queued == Nanos::ZERO || off.throttled || off.unfinished || off.unseen_wake {
            continue;
        }
        let (who, traced) = match &off.before {
            Some(runner) => (Some(name(known, runner)), runner.task.is_some()),
            None => (None, false),
        };
        let function = off.before.as_ref().and_then(|runner| ran(known, resolved, runner, off));
        sums.entry((who, traced)).or_default().add(queued, function);
    }
    let mut found: Vec<Rival> = sums
        .into_iter()
        .filter(|(_, sum)| sum.waited >= LEAST)
        .map(|((who, traced), sum)| {
            let function = sum.function();
            Rival { who, traced, function, waits: sum.waits, waited: sum.waited }
        })
        .collect();
    found.sort_by(|a, b| b.waited.cmp(&a.waited).then_with(|| (&a.who, a.traced).cmp(&(&b.who, b.traced))));
    found.truncate(MOST);
    found
}

pub(super) fn disks(known: &Known<'_>, resolved: &Resolved) -> Vec<DiskWaits> {
    let mut sums: BTreeMap<DeviceId, Sum> = BTreeMap::new();
    for off in offs(known) {
        let Some(device) = off.device.filter(|_| off.state == OffState::Uninterruptible) else { continue };
        let call = off.call.and_then(|call| known.recording.calls.get(call.0 as usize));
        let stack = call.and_then(|call| call.stack).or(off.stack);
        let function = function(known, resolved, stack);
        sums.entry(device).or_default().add(off.woken.since(off.off), function);
    }
    let mut found: Vec<DiskWaits> = sums
        .into_iter()
        .filter(|(_, sum)| sum.waited >= LEAST)
        .filter_map(|(id, sum)| {
            let device = device_name(known.recording.devices.get(id.0 as usize)?);
            Some(DiskWaits { device, function: sum.function(), waits: sum.waits, waited: sum.waited })
        })
        .collect();
    found.sort_by(|a, b| b.waited.cmp(&a.waited).then_with(|| a.device.cmp(&b.device)));
    found.truncate(MOST);
    found
}

fn offs<'a>(known: &Known<'a>) -> impl Iterator<Item = &'a OffCpu> {
    known.recording.events.iter().filter_map(|event| match event {
        Event::OffCpu(off) => Some(off),
        Event::Sample(_) | Event::ShortWaits(_) | Event::Message(_) | Event::FileIo(_) | Event::Memory(_) => None,
    })
}

fn name(known: &Known<'_>, runner: &Runner) -> String {
    let task = runner.task.and_then(|task| known.recording.tasks.get(task.0 as usize));
    task.map_or(&runner.comm, |task| &task.comm).clone()
}

/// What a task of ours did in the other's place.
fn ran(known: &Known<'_>, resolved: &Resolved, runner: &Runner, off: &OffCpu) -> Option<String> {
    let task = runner.task?;
    let pieces = known.points.pieces(task, off.woken, off.on);
    let longest = pieces.iter().filter(|(_, _, stack)| stack.is_some()).max_by_key(|(from, to, _)| to.since(*from));
    function(known, resolved, longest.and_then(|(_, _, stack)| *stack))
}

fn function(known: &Known<'_>, resolved: &Resolved, stack: Option<StackId>) -> Option<String> {
    locks::name(known, resolved, stack)
}

/// The kernel's name, else its numbers.
fn device_name(device: &Device) -> String {
    match &device.name {
        Some(name) => name.clone(),
        None => format!("{}:{}", device.major, device.minor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        correlate::syscalls,
        map::testing::{Ended, Story, ms},
    };

    /// The last wait that was told.
    fn last(story: &mut Story) -> &mut OffCpu {
        match story.recording.events.last_mut() {
            Some(Event::OffCpu(off)) => off,
            _ => panic!("no wait"),
        }
    }

    #[test]
    fn who_had_the_cpu_and_what_it_did() {
        let (mut story, main) = Story::new("app", 600);
        let rival = story.thread(main, 0);
        story.recording.tasks[rival.0 as usize].comm = "rival".into();
        story.cpu(main, 0, 100, "main");
        story.preempted(main, 100, 200);
        last(&mut story).before = Some(Runner { task: Some(rival), pid: 0, comm: String::new() });
        for (from, to) in [(200, 230), (230, 280)] {
            story.preempted(main, from, to);
            last(&mut story).before = Some(Runner { task: None, pid: 7, comm: "make".into() });
        }
        story.preempted(main, 300, 320);
        story.preempted(main, 400, 500);
        last(&mut story).throttled = true;
        story.cpu(main, 500, 600, "main");
        story.cpu(rival, 0, 150, "rival begin");
        story.cpu(rival, 150, 600, "rival parse");
        let row = |who: Option<&str>, function: Option<&str>, waits, waited| Rival {
            who: who.map(str::to_owned),
            traced: function.is_some(),
            function: function.map(str::to_owned),
            waits,
            waited: ms(waited),
        };
        let rivals = story.map().rivals;
        assert!(["begin", "parse"].map(|name| Some(name.to_owned())).contains(&rivals[0].function));
        let did = rivals[0].function.as_deref();
        assert_eq!(
            rivals,
            [row(Some("rival"), did, 1, 100), row(Some("make"), None, 2, 80), row(None, None, 1, 20)],
            "a quota is nobody's"
        );
    }

    #[test]
    fn which_disk() {
        let (mut story, main) = Story::new("app", 500);
        story.recording.devices = vec![
            Device { major: 259, minor: 1, name: Some("nvme0n1p1".into()) },
            Device { major: 8, minor: 3, name: None },
        ];
        story.cpu(main, 0, 50, "main");
        let waits = [(100, 200, Some(0)), (200, 210, Some(1)), (210, 300, Some(0)), (300, 400, None)];
        for (from, to, device) in waits {
            let stack = if from == 100 { "main save" } else { "main load" };
            story.block(main, from, to, stack, Ended::call(syscalls::FSYNC));
            let wait = last(&mut story);
            wait.state = OffState::Uninterruptible;
            wait.device = device.map(DeviceId);
        }
        let row = |device: &str, function: &str, waits, waited| DiskWaits {
            device: device.into(),
            function: Some(function.into()),
            waits,
            waited: ms(waited),
        };
        assert_eq!(story.map().disks, [row("nvme0n1p1", "save", 2, 190), row("8:3", "load", 1, 10)]);
    }
}
