//! One event per CPU on the target and all that it starts: CPU samples with registers and stack, switches, mappings,
//! names and lives, in one buffer each, as an ordinary user may have them at perf_event_paranoid 2.
//!
//! Per CPU, because an inherited event's buffer must belong to one.

use perf_event::{Builder, Clock, SampleFlag, Sampler, events::Software};

use super::record::{REGISTERS, Record, parse};
use crate::collect::{mappings::Change, to_wire::Who};

/// A user may lock 512 KiB per CPU (kernel.perf_event_mlock_kb) and what its limit leaves: less is tried where more is
/// refused.
const BUFFER_BYTES: [usize; 5] = [4 << 20, 2 << 20, 1 << 20, 512 << 10, 256 << 10];
/// Most bytes of one drain of one buffer: a target that never pauses must not keep us.
const DRAIN_BYTES: usize = 8 << 20;
/// The kernel cuts samples at 64 KiB.
const MOST_STACK: u32 = 32 << 10;

pub struct Rings {
    samplers: Vec<Sampler>,
    /// Read, but another CPU's buffer may hold older ones.
    held: Vec<(u64, Record, Option<Change>)>,
    pub lost: u64,
}

/// What is asked for of each CPU.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub sample_hz: u32,
    pub stack_bytes: u32,
}

impl Rings {
    /// None of `pid`: the caller itself, to see whether it works.
    pub fn open(pid: Option<u32>, cpus: &[usize], asked: Asked) -> std::io::Result<Rings> {
        // With the kernel's share of the time where that is allowed (paranoid 1 or a capability).
        let samplers = match open_all(pid, cpus, asked, true) {
            Err(error) if refused(&error) => open_all(pid, cpus, asked, false)?,
            opened => opened?,
        };
        Ok(Rings { samplers, held: Vec::new(), lost: 0 })
    }

    /// Records up to `until` in the order of time; `seen` is told of each switch at once, newer ones too.
    pub fn drain(&mut self, until: u64, mut seen: impl FnMut(Who, bool)) -> Vec<(Record, Option<Change>)> {
        for sampler in &mut self.samplers {
            let mut bytes = 0;
            while bytes < DRAIN_BYTES
                && let Some(record) = sampler.next_record()
            {
                bytes += record.len();
                let (record, change) = parse(record.ty(), record.misc(), &record.to_contiguous());
                let at = match &record {
                    Record::On { who } => {
                        seen(*who, true);
                        who.at
                    }
                    Record::Off { who, .. } => {
                        seen(*who, false);
                        who.at
                    }
                    Record::Sample { who, .. }
                    | Record::Forked { who, .. }
                    | Record::Exited { who, .. }
                    | Record::Named { who, .. } => who.at,
                    Record::Lost(count) => {
                        self.lost += count;
                        continue;
                    }
                    Record::Other => match &change {
                        Some(change) => change.at,
                        None => continue,
                    },
                };
                self.held.push((at, record, change));
            }
        }
        // Stable: what one CPU wrote in the same nanosecond stays in its order.
        self.held.sort_by_key(|(at, _, _)| *at);
        let ready = self.held.partition_point(|(at, _, _)| *at <= until);
        self.held.drain(..ready).map(|(_, record, change)| (record, change)).collect()
    }
}

fn refused(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

fn open_all(pid: Option<u32>, cpus: &[usize], asked: Asked, kernel: bool) -> std::io::Result<Vec<Sampler>> {
    cpus.iter().map(|cpu| open(pid, *cpu, asked, kernel)).collect()
}

fn open(pid: Option<u32>, cpu: usize, asked: Asked, kernel: bool) -> std::io::Result<Sampler> {
    let mut refusal = std::io::Error::from_raw_os_error(libc::EPERM);
    for bytes in BUFFER_BYTES {
        let counter = builder(pid, cpu, asked, kernel).build()?;
        match counter.sampled(bytes) {
            Ok(mut sampler) => {
                sampler.as_counter_mut().enable()?;
                return Ok(sampler);
            }
            Err(error) => refusal = error, // EPERM: too much locked memory
        }
    }
    Err(refusal)
}

fn builder(pid: Option<u32>, cpu: usize, asked: Asked, kernel: bool) -> Builder<'static> {
    let mut builder = Builder::new(Software::CPU_CLOCK);
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        builder.observe_pid(pid);
    }
    builder
        .one_cpu(cpu)
        .inherit(true)
        .exclude_kernel(!kernel)
        .sample_period(1_000_000_000 / u64::from(asked.sample_hz.max(1)))
        .sample(SampleFlag::TID | SampleFlag::TIME | SampleFlag::REGS_USER | SampleFlag::STACK_USER)
        .sample_regs_user(REGISTERS)
        .sample_stack_user(asked.stack_bytes.min(MOST_STACK) & !7)
        .sample_id_all(true)
        .context_switch(true)
        .mmap(true)
        .mmap2(true)
        .build_id(true)
        .comm(true)
        .comm_exec(true)
        .task(true)
        .clockid(Clock::MONOTONIC)
        // Polled: a wake-up would come from inside the target.
        .wakeup_watermark(u32::MAX as usize);
    builder
}
