//! Resident memory of the target's tree, sampled while it runs. PSS where it can be read, so that pages shared between
//! its processes count once.

use std::{collections::BTreeSet, fs::File, io::Read};

use super::MemoryCurve;

/// Reading smaps_rollup walks the target's page tables under its mmap lock (about 0.1 to 1 ms for 100 MiB), so the
/// pauses between readings grow with what the last one took.
const LEAST_PAUSE_MS: u64 = 25;

#[derive(Debug, Default)]
pub struct MemoryWatch {
    curve: MemoryCurve,
    started: bool,
    next_ns: u64,
}

impl MemoryWatch {
    pub fn tick(&mut self, now_ns: u64, processes: &BTreeSet<u32>) {
        if now_ns < self.next_ns || processes.is_empty() {
            return;
        }
        let began = std::time::Instant::now();
        let mut total = 0;
        let mut pss = true;
        for pid in processes {
            match proportional(*pid) {
                Some(bytes) => total += bytes,
                None => {
                    if let Some(bytes) = resident(*pid) {
                        total += bytes;
                        pss = false;
                    }
                }
            }
        }
        let took = began.elapsed().as_nanos() as u64;
        self.next_ns = now_ns + (LEAST_PAUSE_MS * 1_000_000).max(took * 20);
        if total == 0 {
            return;
        }
        if !self.started {
            self.started = true;
            self.curve = MemoryCurve { start: total, is_pss: pss, ..self.curve };
        }
        self.curve.is_pss &= pss;
        self.curve.peak = self.curve.peak.max(total);
        self.curve.end = total;
    }

    pub fn curve(&self) -> MemoryCurve {
        self.curve
    }
}

fn small_file(path: String) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(64 << 10).read_to_string(&mut text).ok()?;
    Some(text)
}

fn proportional(pid: u32) -> Option<u64> {
    let text = small_file(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn resident(pid: u32) -> Option<u64> {
    let text = small_file(format!("/proc/{pid}/statm"))?;
    text.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(4096)
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
