//! Who mapped what when, from perf's side-band records: polling /proc/PID/maps would lose short processes.
//! One dummy event per CPU; the records carry build ids, paths and times, and cost about 100 bytes a mapping.

use crate::unwind::Mapping;
use perf_event::{Builder, Clock, SampleFlag, Sampler, events::Software};

/// One change of a process's address space. Times are CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at: u64,
    pub pid: u32,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Mapped {
        start: u64,
        length: u64,
        file_offset: u64,
        path: Vec<u8>,
        build_id: Vec<u8>,
    },
    /// `pid` is the child.
    Forked {
        parent: u32,
    },
    /// All executable mappings, read from /proc: of a process that is followed from now on.
    Snapshot(Vec<Mapping>),
    /// execve: the old address space is gone. Comes before the new image's mappings.
    Executed,
}

pub struct Mappings {
    samplers: Vec<Sampler>,
    pub lost: u64,
}

/// One CPU's buffer: 1 MiB holds the mappings of 2,000 process starts between two polls.
pub const BUFFER_BYTES: usize = 1 << 20;
/// perf_event_mlock_kb allows half a MiB a CPU unless it was made smaller.
const LEAST_BYTES: usize = 64 << 10;

// include/uapi/linux/perf_event.h
const RECORD_LOST: u32 = 2;
const RECORD_COMM: u32 = 3;
const RECORD_FORK: u32 = 7;
const RECORD_MMAP2: u32 = 10;
const MISC_COMM_EXEC: u16 = 1 << 13;
const MISC_MMAP_BUILD_ID: u16 = 1 << 14;
const PROT_EXEC: u32 = 4;

impl Mappings {
    /// Opens the events on all CPUs in `cpus`. Without CAP_IPC_LOCK the kernel counts the buffers of all CPUs against a limit
    /// of the user's: then smaller ones, which fit it whatever else is locked.
    pub fn open(cpus: &[usize]) -> std::io::Result<Mappings> {
        let mut bytes = BUFFER_BYTES;
        loop {
            match Mappings::with_buffers(cpus, bytes) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) && bytes > LEAST_BYTES => bytes /= 2,
                opened => return opened,
            }
        }
    }

    pub fn with_buffers(cpus: &[usize], bytes: usize) -> std::io::Result<Mappings> {
        let mut samplers = Vec::with_capacity(cpus.len());
        for cpu in cpus {
            let mut counter = Builder::new(Software::DUMMY)
                .any_pid()
                .one_cpu(*cpu)
                .mmap(true)
                .mmap2(true)
                .build_id(true)
                .comm(true)
                .comm_exec(true)
                .task(true)
                .sample_id_all(true)
                .sample(SampleFlag::TID | SampleFlag::TIME)
                .clockid(Clock::MONOTONIC)
                // Polled: a wake-up would come from inside the target's mmap.
                .wakeup_watermark(bytes)
                .build()?;
            counter.enable()?;
            samplers.push(counter.sampled(bytes)?);
        }
        Ok(Mappings { samplers, lost: 0 })
    }

    /// All changes since the last call, oldest first.
    pub fn drain(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for sampler in &mut self.samplers {
            while let Some(record) = sampler.next_record() {
                match parse(record.ty(), record.misc(), &record.to_contiguous()) {
                    Parsed::Change(change) => changes.push(change),
                    Parsed::Lost(count) => self.lost += count,
                    Parsed::Other => {}
                }
            }
        }
        changes.sort_by_key(|change| change.at);
        changes
    }
}

/// What one record says of mappings.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    Change(Change),
    Lost(u64),
    Other,
}

/// One record's body, after its header. Total: a short body is `Other`.
pub fn parse(kind: u32, misc: u16, body: &[u8]) -> Parsed {
    let change = || {
        // sample_id_all with TID and TIME: the time is the last word.
        let at = u64_at(body, body.len().checked_sub(8)?)?;
        Some(match kind {
            RECORD_MMAP2 => mapped(at, misc, body)?,
            RECORD_COMM if misc & MISC_COMM_EXEC != 0 => Change { at, pid: u32_at(body, 0)?, what: What::Executed },
            RECORD_FORK => {
                let (pid, parent) = (u32_at(body, 0)?, u32_at(body, 4)?);
                if pid == parent {
                    return None; // a thread
                }
                Change { at, pid, what: What::Forked { parent } }
            }
            _ => return None,
        })
    };
    match kind {
        RECORD_LOST => Parsed::Lost(u64_at(body, 8).unwrap_or(1)),
        _ => change().map_or(Parsed::Other, Parsed::Change),
    }
}

fn mapped(at: u64, misc: u16, body: &[u8]) -> Option<Change> {
    if u32_at(body, 56)? & PROT_EXEC == 0 {
        return None;
    }
    let build_id = if misc & MISC_MMAP_BUILD_ID != 0 {
        let length = usize::from(*body.get(32)?).min(20);
        body.get(36..36 + length)?.to_vec()
    } else {
        Vec::new()
    };
    let name = body.get(64..body.len().checked_sub(16)?)?;
    let path = name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    Some(Change {
        at,
        pid: u32_at(body, 0)?,
        what: What::Mapped {
            start: u64_at(body, 8)?,
            length: u64_at(body, 16)?,
            file_offset: u64_at(body, 24)?,
            path,
            build_id,
        },
    })
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sees_what_this_process_maps() {
        let Ok(mut mappings) = Mappings::open(&cpus()) else {
            assert!(!nix::unistd::geteuid().is_root(), "root may open per-CPU events");
            return;
        };
        let pid = std::process::Command::new("/bin/true").spawn().map(|mut child| {
            let pid = child.id();
            let _ = child.wait();
            pid
        });
        let pid = pid.expect("/bin/true runs");
        let changes = mappings.drain();
        let mine: Vec<_> = changes.iter().filter(|change| change.pid == pid).collect();
        assert!(mine.iter().any(|change| change.what == What::Executed), "{mine:?}");
        assert!(mine.iter().any(
            |change| matches!(&change.what, What::Mapped { path, build_id, .. } if path.ends_with(b"libc.so.6") && !build_id.is_empty())
        ));
        assert!(mine.windows(2).all(|pair| pair[0].at <= pair[1].at));
    }

    fn cpus() -> Vec<usize> {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(kind in 0u32..30, misc in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(kind, misc, &body);
        }
    }
}
