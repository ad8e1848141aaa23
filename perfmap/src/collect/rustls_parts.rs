//! rustls names its connection by one address where it writes and by that of a part of it where it reads → one address for
//! both. How far the part lies from the beginning is the compiler's choice, the same in all of one program: the first
//! connection that does both tells it.

use std::collections::{BTreeSet, HashMap};

/// The part lies within the object (rustls 0.23: 832 bytes), so that no other one's beginning is nearer to it.
const SIZE: u64 = 1024;
/// Connections that did only one of both.
const OPEN: usize = 65_536;

#[derive(Debug, Default)]
pub struct Parts {
    /// By process.
    distance: HashMap<u32, u64>,
    /// Of processes whose distance is not known.
    wholes: BTreeSet<(u32, u64)>,
    parts: BTreeSet<(u32, u64)>,
}

/// What was called by its part so far, and what it is called from now on.
type Joined = Vec<(u64, u64)>;

impl Parts {
    pub fn written(&mut self, pid: u32, whole: u64) -> (u64, Joined) {
        if self.distance.contains_key(&pid) {
            return (whole, Vec::new());
        }
        let behind = (pid, whole)..(pid, whole.saturating_add(SIZE));
        if let Some((_, part)) = self.parts.range(behind).next().copied() {
            return (whole, self.learn(pid, part - whole));
        }
        if self.wholes.len() < OPEN {
            self.wholes.insert((pid, whole));
        }
        (whole, Vec::new())
    }

    pub fn read(&mut self, pid: u32, part: u64) -> (u64, Joined) {
        if let Some(distance) = self.distance.get(&pid) {
            return (part.wrapping_sub(*distance), Vec::new());
        }
        let before = (pid, part.saturating_sub(SIZE))..=(pid, part);
        if let Some((_, whole)) = self.wholes.range(before).next_back().copied() {
            return (whole, self.learn(pid, part - whole));
        }
        if self.parts.len() < OPEN {
            self.parts.insert((pid, part));
        }
        (part, Vec::new())
    }

    pub fn exited(&mut self, pid: u32) {
        self.distance.remove(&pid);
        self.forget(pid);
    }

    fn learn(&mut self, pid: u32, distance: u64) -> Joined {
        self.distance.insert(pid, distance);
        let parts = self.parts.range((pid, 0)..=(pid, u64::MAX));
        let joined = parts.map(|(_, part)| (*part, part.wrapping_sub(distance))).collect();
        self.forget(pid);
        joined
    }

    fn forget(&mut self, pid: u32) {
        self.wholes.retain(|(of, _)| *of != pid);
        self.parts.retain(|(of, _)| *of != pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_writes_first() {
        let mut parts = Parts::default();
        assert_eq!(parts.written(1, 0x1000), (0x1000, vec![]));
        assert_eq!(parts.written(1, 0x1800), (0x1800, vec![]));
        assert_eq!(parts.read(1, 0x1890), (0x1800, vec![]));
        assert_eq!(parts.read(1, 0x1090), (0x1000, vec![]));
        // Another process is another program, until it has told the same.
        assert_eq!(parts.read(2, 0x1090), (0x1090, vec![]));
        parts.exited(1);
        assert_eq!(parts.read(1, 0x1090), (0x1090, vec![]));
    }

    #[test]
    fn a_server_reads_first() {
        let mut parts = Parts::default();
        assert_eq!(parts.read(1, 0x5090), (0x5090, vec![]));
        assert_eq!(parts.read(1, 0x3090), (0x3090, vec![]));
        // Too far away to be the same object.
        assert_eq!(parts.written(1, 0x2000), (0x2000, vec![]));
        assert_eq!(parts.written(1, 0x3000), (0x3000, vec![(0x3090, 0x3000), (0x5090, 0x5000)]));
        assert_eq!(parts.read(1, 0x7090), (0x7000, vec![]));
    }

    proptest::proptest! {
        #[test]
        fn total_on_any_addresses(calls in proptest::collection::vec((0u32..3, 0u64.., 0u8..2), 0..60)) {
            let mut parts = Parts::default();
            for (pid, address, way) in calls {
                let _ = if way == 0 { parts.read(pid, address) } else { parts.written(pid, address) };
            }
        }
    }
}
