//! Resident memory of the target's tree, sampled while it runs. PSS where it can be read, so that pages shared between
//! its processes count once.

use std::collections::BTreeSet;

use procfs::process::Process;

use super::MemoryCurve;

/// RSS is a few counters, so it is looked at often; PSS is a walk over the page tables under the target's mmap lock
/// (about 1 ms for 100 MiB), so it is read only where RSS says that something has changed, and now and then.
const RSS_EVERY_NS: u64 = 20_000_000;
const PSS_EVERY_NS: u64 = 500_000_000;
/// A change of RSS by a twentieth asks for PSS.
const CHANGE: u64 = 20;

#[derive(Debug, Default)]
pub struct MemoryWatch {
    curve: MemoryCurve,
    next_ns: u64,
    /// RSS of the tree when PSS was last read, and when that was.
    read_at: Option<(u64, u64)>,
}

impl MemoryWatch {
    pub fn tick(&mut self, now_ns: u64, processes: &BTreeSet<u32>) {
        if now_ns < self.next_ns {
            return;
        }
        self.next_ns = now_ns.saturating_add(RSS_EVERY_NS);
        let resident: Vec<(u32, u64)> =
            processes.iter().filter_map(|pid| Some((*pid, resident(*pid).filter(|bytes| *bytes > 0)?))).collect();
        let sum: u64 = resident.iter().map(|(_, bytes)| bytes).sum();
        let changed = self.read_at.is_none_or(|(before, at)| {
            before.abs_diff(sum) > before / CHANGE || now_ns.saturating_sub(at) >= PSS_EVERY_NS
        });
        if sum == 0 || !changed {
            return;
        }
        let (mut total, mut pss) = (0, true);
        for (pid, bytes) in resident {
            let proportional = proportional(pid);
            pss &= proportional.is_some() || self::resident(pid).is_none_or(|bytes| bytes == 0);
            total += proportional.unwrap_or(bytes);
        }
        let first = self.read_at.is_none();
        self.read_at = Some((sum, now_ns));
        if first {
            self.curve = MemoryCurve { start: total, is_pss: true, ..self.curve };
        }
        self.curve.is_pss &= pss;
        self.curve.peak = self.curve.peak.max(total);
        self.curve.end = total;
    }

    pub fn curve(&self) -> MemoryCurve {
        self.curve
    }
}

fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

fn proportional(pid: u32) -> Option<u64> {
    let rollup = process(pid)?.smaps_rollup().ok()?;
    rollup.memory_map_rollup.0.first()?.extension.map.get("Pss").copied()
}

fn resident(pid: u32) -> Option<u64> {
    process(pid)?.statm().ok()?.resident.checked_mul(procfs::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_its_own_growth() {
        let me = BTreeSet::from([std::process::id()]);
        let mut watch = MemoryWatch::default();
        watch.tick(0, &me);
        let start = watch.curve().start;
        assert!(start > 0);
        let block = vec![1u8; 64 << 20];
        watch.tick(u64::MAX / 2, &me);
        assert!(watch.curve().peak >= start + (60 << 20), "{:?}", watch.curve());
        assert_eq!(block.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 64 << 20);
    }
}
