//! Waits for the disk that are longer when other workers wait for it too → the part of them that is the others' fault.

use super::{
    types::Spent,
    waits::{Bit, Key, On},
};
use crate::recording::Nanos;

/// Waits with others beside them are this much longer than those without, or it is no matter.
const LONGER: f64 = 1.5;
const ALONE: usize = 3;
/// Fewer say nothing.
const LEAST: usize = 30;

pub(super) fn separate(bits: &mut [Vec<Bit>]) {
    let is_disk = |bit: &&Bit| bit.step.is_some() && bit.on == On::Own(Spent::Disk);
    let mut spans: Vec<(Nanos, Nanos)> = bits.iter().flatten().filter(is_disk).map(|bit| (bit.from, bit.to)).collect();
    spans.sort_unstable();
    let (mut alone, mut until) = (Vec::new(), Nanos::ZERO);
    for (index, (from, to)) in spans.iter().enumerate() {
        let next = spans.get(index + 1).map_or(Nanos(u64::MAX), |(from, _)| *from);
        if *from >= until && next >= *to {
            alone.push(to.since(*from));
        }
        until = until.max(*to);
    }
    if spans.len() < LEAST || alone.len() < ALONE {
        return;
    }
    let mean = spans.iter().map(|(from, to)| to.since(*from).0 as f64).sum::<f64>() / spans.len() as f64;
    let alone = alone.iter().map(|length| length.0 as f64).sum::<f64>() / alone.len() as f64;
    if mean <= alone * LONGER {
        return;
    }
    let others = 1.0 - alone / mean;
    for of_worker in bits {
        let mut split = Vec::with_capacity(of_worker.len());
        for bit in of_worker.drain(..) {
            if !is_disk(&&bit) {
                split.push(bit);
                continue;
            }
            let cut = Nanos(bit.to.0 - (bit.length().0 as f64 * others) as u64).max(bit.from);
            split.push(Bit { to: cut, ..bit.clone() });
            split.push(Bit { from: cut, on: On::Shared(Key::Disk), ..bit });
        }
        split.retain(|bit| bit.to > bit.from);
        *of_worker = split;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(from: u64, to: u64) -> Bit {
        Bit { from: Nanos(from), to: Nanos(to), step: Some(0), on: On::Own(Spent::Disk), stack: None, wait: None }
    }

    fn shared(bits: &[Vec<Bit>]) -> u64 {
        bits.iter().flatten().filter(|bit| bit.on == On::Shared(Key::Disk)).map(|bit| bit.length().0).sum()
    }

    #[test]
    fn longer_beside_others_is_the_others_part() {
        // Five times alone for 10, then three workers at a time for 30 each.
        let alone: Vec<Bit> = (0..5).map(|n| wait(n * 100, n * 100 + 10)).collect();
        let crowd = || (10..20).map(|n| wait(n * 100, n * 100 + 30)).collect::<Vec<Bit>>();
        let mut bits = vec![alone.clone().into_iter().chain(crowd()).collect(), crowd(), crowd()];
        let before: u64 = bits.iter().flatten().map(|bit| bit.length().0).sum();
        separate(&mut bits);
        let after: u64 = bits.iter().flatten().map(|bit| bit.length().0).sum();
        assert_eq!(before, after);
        let expected = 950.0 - 10.0 * 35.0;
        assert!((shared(&bits) as f64 - expected).abs() < 40.0, "{}", shared(&bits));
        let mut same: Vec<Vec<Bit>> = vec![(0..40).map(|n| wait(n * 100, n * 100 + 10)).collect(); 3];
        same.push(alone.iter().map(|bit| wait(bit.from.0 + 50, bit.to.0 + 50)).collect());
        separate(&mut same);
        assert_eq!(shared(&same), 0, "as long beside others as alone");
    }
}
