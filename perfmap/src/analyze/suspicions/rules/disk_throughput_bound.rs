//! A block device that does all it can: what is waited for is the device, it is busy all that time, and either several
//! requests stand in its queue or it moves large pieces. One small request at a time keeps a device busy as well, but then it
//! is its latency that is waited for, and fewer requests are the cure.

use super::{
    super::{Answer, Category, Evidence, Facts, Suspicion, Value, Verdict},
    steps,
};
use crate::{
    analyze::share_pct,
    map::WaitCause,
    recording::{DeviceId, Disk, Event, Nanos, OffState, Recording, Resource},
};

pub const ID: &str = "disk_throughput_bound";
const SHARE_PCT: f64 = 20.0;
const SUSPECTED_PCT: f64 = 5.0;
/// While it was waited for, the device did something.
const BUSY_PCT: f64 = 80.0;
const QUEUE: f64 = 2.0;
/// Bytes in one request: readahead and writeback give a device its throughput with these.
const LARGE: u64 = 64 * 1024;

/// The device that was waited for, as it was during the run.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub disk: &'a Disk,
    /// Time in which a task waited for a disk; tasks that wait together count once.
    pub waited: Nanos,
}

impl Load<'_> {
    pub fn busy_pct(&self) -> f64 {
        (self.disk.busy.0 as f64 * 100.0 / self.waited.0.max(1) as f64).min(100.0)
    }

    pub fn queue(&self) -> f64 {
        self.disk.queued.0 as f64 / self.disk.busy.0.max(1) as f64
    }

    pub fn request_bytes(&self) -> u64 {
        self.disk.read_bytes.saturating_add(self.disk.written_bytes) / self.disk.requests.max(1)
    }

    pub fn is_saturated(&self) -> bool {
        self.busy_pct() >= BUSY_PCT && (self.queue() >= QUEUE || self.request_bytes() >= LARGE)
    }
}

/// None: nobody waited for a disk, or the machine's disks were not read.
pub fn load(recording: &Recording) -> Option<Load<'_>> {
    let mut by_device: std::collections::BTreeMap<Option<DeviceId>, Nanos> = std::collections::BTreeMap::new();
    let mut spans = Vec::new();
    for event in &recording.events {
        let Event::OffCpu(off) = event else { continue };
        if off.state == OffState::Uninterruptible && off.device.is_some() {
            let sum = by_device.entry(off.device).or_default();
            *sum = sum.plus(off.woken.since(off.off));
            spans.push((off.off, off.woken));
        }
    }
    let (device, _) = by_device.into_iter().max_by_key(|(_, waited)| *waited)?;
    let device = recording.devices.get(device?.0 as usize)?;
    let number = device.major.checked_mul(1 << 20)?.checked_add(device.minor)?;
    let disk = recording.environment.disks.iter().find(|disk| disk.device == number)?;
    Some(Load { disk, waited: crate::recording::covered(spans) })
}

pub fn judge(facts: &Facts<'_>) -> Answer {
    let map = facts.map;
    let (in_steps, affected) = steps::sum(map, |step| step.own_waits.of(WaitCause::Disk));
    let pct = share_pct(in_steps.plus(map.outside.waits.of(WaitCause::Disk)), map.wall);
    if pct < SUSPECTED_PCT {
        return Answer::Quiet;
    }
    let Some(load) = load(facts.recording) else {
        return Answer::NotEnough("which device was waited for, or what it did, is not known".into());
    };
    let (busy, queue, size) = (load.busy_pct(), load.queue(), load.request_bytes());
    let moved = load.disk.read_bytes.saturating_add(load.disk.written_bytes);
    let a_second = (moved as f64 * 1e9 / load.disk.busy.0.max(1) as f64) as u64;
    let mut evidence = vec![
        Evidence::held_against(
            "waits for disks, share of the wall time",
            Value::Percent(pct),
            Value::Percent(SHARE_PCT),
        ),
        Evidence::held_against(
            "the device was busy, of the time waited",
            Value::Percent(busy),
            Value::Percent(BUSY_PCT),
        ),
        Evidence::held_against("requests in its queue, mean", Value::Ratio(queue), Value::Ratio(QUEUE)),
        Evidence::held_against("bytes of a request, mean", Value::Bytes(size), Value::Bytes(LARGE)),
        Evidence::new("bytes for each second that it was busy", Value::Bytes(a_second)),
    ];
    evidence.extend(steps::pressure(facts.recording, Resource::Io));
    let confirmed = pct > SHARE_PCT && load.is_saturated();
    let note = if confirmed {
        format!("{} moved {:.0} MB/s with {queue:.1} requests at a time", load.disk.name, a_second as f64 / 1e6)
    } else if pct <= SHARE_PCT {
        format!("{pct:.0} % of the wall time")
    } else if busy < BUSY_PCT {
        format!("{} was idle for {:.0} % of the time that it was waited for", load.disk.name, 100.0 - busy)
    } else {
        format!("one request of {size} bytes at a time: each waits for the device's answer, not for its throughput")
    };
    Answer::Found(vec![Suspicion {
        id: ID,
        category: Category::Environment,
        subject: load.disk.name.clone(),
        location: None,
        affected_steps: affected,
        description: "a block device does all it can".into(),
        verdict: if confirmed { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence,
        note,
        gain: None,
        change: None,
    }])
}
