//! What the probes cost → what they give up, in a stated order. A plain function of its readings; it touches nothing.
//!
//! The order: heads of messages, copies of stacks (their length, then how often a message has one), the sampling rate,
//! short waits one by one. Counts and bytes are never
//! given up. A step that would relieve nothing is passed over: a storm of reads is not made cheaper by fewer samples.
//! There is no way back up within a run: the load that a step relieved is still there, so going up would only bring it
//! back; and a report can explain a few changes, each from its time on, not a rate that swings.

use perfmap_common as wire;
use perfmap_common::Plain;

use crate::recording::{Nanos, Overload, Thinning};

const HEAD: u32 = 512;
const STACK: u32 = 8 * 1024;
const SHORT_STACK: u32 = 4 * 1024;

/// All that is given up, in this order.
pub const ORDER: [Thinning; 7] = [
    Thinning::Payload { bytes: HEAD },
    Thinning::Stacks { bytes: STACK },
    Thinning::Turns { every: 16 },
    Thinning::Stacks { bytes: SHORT_STACK },
    Thinning::Sampling { every: 2 },
    Thinning::Sampling { every: 4 },
    Thinning::Waits { below: Nanos(1_000_000) },
];

/// Run time of the probes over the target's own CPU time that is too much.
const TOO_MUCH: f64 = 0.20;
/// A target that uses less than this part of one CPU is judged as if it used it: what its probes take then comes
/// mostly out of time in which it waits anyway.
const LEAST_CPU: f64 = 0.25;
/// Intervals in a row that must be too much: start-up (imports, first calls of every site) may be for one.
const IN_A_ROW: u32 = 2;
/// A step is worth taking where what it saves is at least this part of the probes' time, or of the ring's bytes. Low,
/// because the reader of the ring lags in a storm and then sees less of it than there is.
const WORTH: f64 = 0.02;

/// What copying a byte out of the target and into the ring takes, and what a sample and a wait's record take beside their
/// stack: rough figures of one machine, used to choose a step, never to report.
const BYTE_NS: f64 = 0.3;
const RECORD_NS: f64 = 2_500.0;

/// What came through the ring, as far as a step of the order could have saved it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    pub bytes: u64,
    /// Bytes of messages' heads beyond `HEAD`, of stacks beyond `STACK` and `SHORT_STACK`.
    heads: u64,
    stacks: u64,
    short_stacks: u64,
    /// Records of messages with a stack, of CPU samples and of returns from a wait, and their bytes.
    turns: u64,
    turn_bytes: u64,
    samples: u64,
    sample_bytes: u64,
    waits: u64,
    wait_bytes: u64,
}

impl Volume {
    /// One entry of the ring.
    pub fn add(&mut self, kind: wire::Kind, entry: &[u8]) {
        let length = entry.len() as u64;
        self.bytes += length;
        let stack = match kind {
            wire::Kind::Sample | wire::Kind::FaultStack => wire::Sample::read(entry).map(|sample| sample.stack),
            wire::Kind::Memory => wire::Memory::read(entry).map(|memory| memory.stack),
            wire::Kind::Allocation => wire::Allocation::read(entry).map(|allocation| allocation.stack),
            wire::Kind::Call => wire::Call::read(entry).map(|call| call.stack),
            wire::Kind::ShortWaits => wire::ShortWaits::read(entry).map(|waits| waits.stack),
            wire::Kind::Message => wire::Message::read(entry).map(|message| {
                self.heads += u64::from(message.captured.saturating_sub(HEAD));
                if message.flags & wire::MESSAGE_STACK != 0 {
                    (self.turns, self.turn_bytes) = (self.turns + 1, self.turn_bytes + length);
                }
                message.stack
            }),
            wire::Kind::Plaintext => wire::Plaintext::read(entry).map(|message| message.stack),
            wire::Kind::Ask => wire::Ask::read(entry).map(|ask| ask.stack),
            wire::Kind::FileIo => wire::FileIo::read(entry).filter(|io| io.has_stack != 0).map(|io| io.stack),
            wire::Kind::Opened => {
                wire::Opened::read(entry).filter(|one| one.flags & wire::OPENED_STACK != 0).map(|one| one.stack)
            }
            wire::Kind::Goroutine => wire::Goroutine::read(entry).map(|seen| seen.stack),
            wire::Kind::Freed
            | wire::Kind::Fork
            | wire::Kind::Exec
            | wire::Kind::Exit
            | wire::Kind::Rename
            | wire::Kind::Block
            | wire::Kind::SocketSeen
            | wire::Kind::SocketState
            | wire::Kind::PythonCode
            | wire::Kind::Closed
            | wire::Kind::Unread
            | wire::Kind::Resumed
            | wire::Kind::Adopt
            | wire::Kind::Peer => None,
        };
        let user = stack.map_or(0, |stack| stack.user);
        self.stacks += u64::from(user.saturating_sub(STACK));
        self.short_stacks += u64::from(user.saturating_sub(SHORT_STACK));
        match kind {
            wire::Kind::Sample => (self.samples, self.sample_bytes) = (self.samples + 1, self.sample_bytes + length),
            wire::Kind::Call => (self.waits, self.wait_bytes) = (self.waits + 1, self.wait_bytes + length),
            _ => {}
        }
    }
}

/// One interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    pub wall: Nanos,
    /// Run time of our programs.
    pub probes: Nanos,
    /// CPU time of the followed processes; the programs run on it.
    pub tree_cpu: Nanos,
    /// Records that found no room.
    pub lost: u64,
    pub through: Volume,
}

impl Reading {
    fn overload(&self) -> Option<Overload> {
        let own = self.tree_cpu.since(self.probes).0 as f64;
        let share = self.probes.0 as f64 / own.max(self.wall.0 as f64 * LEAST_CPU).max(1.0);
        match () {
            () if share > TOO_MUCH => Some(Overload::ProbeTime { pct: share * 100.0 }),
            () if self.lost > 0 => Some(Overload::RingFull { lost: self.lost }),
            () => None,
        }
    }

    /// What `step` saves is a notable part of what is too much. Nothing is saved by a step that is in force.
    fn relieved_by(&self, step: Thinning) -> bool {
        let (records, bytes) = match step {
            Thinning::Payload { .. } => (0, self.through.heads),
            Thinning::Stacks { bytes } if bytes >= STACK => (0, self.through.stacks),
            Thinning::Stacks { .. } => (0, self.through.short_stacks),
            Thinning::Turns { .. } => (self.through.turns, self.through.turn_bytes),
            Thinning::Sampling { .. } => (self.through.samples, self.through.sample_bytes),
            Thinning::Waits { .. } => (self.through.waits, self.through.wait_bytes),
        };
        let time = records as f64 * RECORD_NS + bytes as f64 * BYTE_NS;
        let of_probes = time >= self.probes.0 as f64 * WORTH;
        // What was lost took its time as well, but is not in the volume: then the ring's bytes tell what the storm is of.
        let of_ring = bytes as f64 >= self.through.bytes as f64 * WORTH;
        bytes > 0 && (of_probes || (self.lost > 0 && of_ring))
    }
}

#[derive(Debug, Default)]
pub struct Policy {
    /// Index into `ORDER`: all before it were taken or passed over for good, so that the order holds whatever comes.
    next: usize,
    in_a_row: u32,
}

impl Policy {
    /// The step to take now, if any. `now` is what is in force.
    pub fn judge(&mut self, reading: &Reading, now: &wire::LiveSettings) -> Option<(Thinning, Overload)> {
        let Some(why) = reading.overload() else {
            self.in_a_row = 0;
            return None;
        };
        self.in_a_row += 1;
        if self.in_a_row < IN_A_ROW {
            return None;
        }
        let mut left = ORDER.into_iter().enumerate().skip(self.next);
        let (index, step) = left.find(|(_, step)| apply(*step, now) != *now && reading.relieved_by(*step))?;
        self.next = index + 1;
        // What it brings is judged on intervals that have it.
        self.in_a_row = 0;
        Some((step, why))
    }
}

/// What is in force after `step`. Limits only ever become tighter.
pub fn apply(step: Thinning, now: &wire::LiveSettings) -> wire::LiveSettings {
    let mut after = *now;
    match step {
        Thinning::Payload { bytes } => after.payload_bytes = bytes.min(now.payload_bytes),
        Thinning::Stacks { bytes } => after.stack_bytes = bytes.min(now.stack_bytes),
        Thinning::Turns { every } => after.turn_every = every.max(now.turn_every),
        Thinning::Sampling { every } => after.sample_every = every.max(now.sample_every),
        Thinning::Waits { below } => after.wait_threshold_ns = below.0.max(now.wait_threshold_ns),
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: wire::LiveSettings = wire::LiveSettings {
        wait_threshold_ns: 100_000,
        payload_bytes: 4096,
        stack_bytes: 32768,
        turn_every: 1,
        sample_every: 1,
    };

    fn ms(count: u64) -> Nanos {
        Nanos(count * 1_000_000)
    }

    /// A quarter of a second in which the probes ran for so long, of a target that used a whole CPU.
    fn busy(probes: u64, through: Volume) -> Reading {
        Reading { wall: ms(250), probes: ms(probes), tree_cpu: ms(250), lost: 0, through }
    }

    /// A storm that every step would relieve as long as it is not in force.
    fn everything(now: &wire::LiveSettings) -> Volume {
        let over = |now: u32, limit: u32| if now > limit { 300_000_000 } else { 0 };
        Volume {
            bytes: 1_000_000_000,
            heads: over(now.payload_bytes, HEAD),
            stacks: over(now.stack_bytes, STACK),
            short_stacks: over(now.stack_bytes, SHORT_STACK),
            turns: 20_000,
            turn_bytes: 200_000_000,
            samples: 20_000,
            sample_bytes: 200_000_000,
            waits: 20_000,
            wait_bytes: 200_000_000,
        }
    }

    fn steps_of(reading: impl Fn(&wire::LiveSettings) -> Reading, intervals: usize) -> Vec<Thinning> {
        let (mut policy, mut now, mut taken) = (Policy::default(), FULL, Vec::new());
        for _ in 0..intervals {
            if let Some((step, _)) = policy.judge(&reading(&now), &now) {
                now = apply(step, &now);
                taken.push(step);
            }
        }
        taken
    }

    #[test]
    fn under_lasting_overload_all_steps_are_taken_in_order_and_then_none() {
        assert_eq!(steps_of(|now| busy(100, everything(now)), 40), ORDER);
        let lost = |now: &wire::LiveSettings| Reading { lost: 5, ..busy(1, everything(now)) };
        assert_eq!(steps_of(lost, 40), ORDER, "losses alone are reason enough");
    }

    #[test]
    fn a_step_takes_two_intervals_in_a_row() {
        let calm = busy(10, everything(&FULL));
        let storm = busy(100, everything(&FULL));
        let mut policy = Policy::default();
        let judged: Vec<bool> =
            [storm, calm, storm, calm, storm, storm, storm].iter().map(|r| policy.judge(r, &FULL).is_some()).collect();
        assert_eq!(judged, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn what_would_relieve_nothing_is_passed_over() {
        let reads = |_: &wire::LiveSettings| busy(100, Volume { bytes: 20_000, ..Volume::default() });
        assert_eq!(steps_of(reads, 40), []);
        let samples = Volume { samples: 20_000, sample_bytes: 40_000_000, bytes: 40_000_000, ..Volume::default() };
        let expected = [Thinning::Sampling { every: 2 }, Thinning::Sampling { every: 4 }];
        assert_eq!(steps_of(|_| busy(100, samples), 40), expected);
    }

    #[test]
    fn a_fifth_of_the_targets_own_time_is_the_limit() {
        let over = |probes, cpu| {
            let reading = Reading { wall: ms(1000), probes: ms(probes), tree_cpu: ms(cpu), ..Reading::default() };
            reading.overload().is_some()
        };
        assert!(!over(166, 1000) && over(168, 1000), "the probes' own time does not count as the target's");
        assert!(!over(320, 2000) && over(340, 2000), "several CPUs");
        assert!(!over(40, 60) && over(60, 80), "one that mostly waits");
        assert!(!over(0, 0));
    }

    #[test]
    fn savings_are_read_from_the_records() {
        let mut head = [0u8; size_of::<wire::Message>()];
        let captured = std::mem::offset_of!(wire::Message, captured);
        head[captured..captured + 4].copy_from_slice(&4096u32.to_ne_bytes());
        let user = std::mem::offset_of!(wire::Message, stack) + std::mem::offset_of!(wire::StackHead, user);
        head[user..user + 4].copy_from_slice(&10_240u32.to_ne_bytes());
        let mut volume = Volume::default();
        volume.add(wire::Kind::Message, &head);
        let bytes = head.len() as u64;
        assert_eq!(volume, Volume { bytes, heads: 3584, stacks: 2048, short_stacks: 6144, ..Volume::default() });
        volume.add(wire::Kind::Call, &head[..20]);
        assert_eq!((volume.waits, volume.wait_bytes), (1, 20), "a cut record counts, its stack is not read");
    }

    proptest! {
        #[test]
        fn limits_only_become_tighter_and_each_step_comes_once(
            readings in prop::collection::vec((0u64..400, 0u64..400, 0u64..3, 0u64..3), 0..80)
        ) {
            let (mut policy, mut now) = (Policy::default(), FULL);
            let mut taken = Vec::new();
            for (probes, cpu, lost, what) in readings {
                let mut through = everything(&now);
                if what == 0 {
                    through.heads = 0;
                    through.samples = 0;
                    through.sample_bytes = 0;
                }
                let reading = Reading { wall: ms(250), probes: ms(probes), tree_cpu: ms(cpu), lost, through };
                if let Some((step, _)) = policy.judge(&reading, &now) {
                    let after = apply(step, &now);
                    prop_assert!(after.payload_bytes <= now.payload_bytes && after.stack_bytes <= now.stack_bytes);
                    prop_assert!(after.sample_every >= now.sample_every && after.turn_every >= now.turn_every);
                    prop_assert!(after.wait_threshold_ns >= now.wait_threshold_ns);
                    prop_assert!(!taken.contains(&step));
                    taken.push(step);
                    now = after;
                }
            }
        }
    }
}
