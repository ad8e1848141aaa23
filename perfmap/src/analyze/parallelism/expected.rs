//! The rate without the wait for the critical resource: the same items, laid out again; what limits them next is the
//! workers, the cores, or another resource.

use super::types::{Category, Expected, Limit, Resource};
use crate::recording::Nanos;

/// Items to one turn at the resource, where they are batched.
const BATCH: u64 = 10;

/// One item's times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Item {
    pub work: f64,
    /// Waits for all that is shared, the critical resource too.
    pub shared: f64,
    /// Of the whole tree.
    pub cpu: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    pub workers: u64,
    pub cores: u32,
    pub items: u64,
    pub actual: f64,
}

/// `critical`: the first resource is; else it is work that is not shared out, and the workers wait for no resource less.
pub(super) fn expected(run: Run, item: Item, resources: &[Resource], critical: bool, rest: u64) -> Option<Expected> {
    let first = resources.first().filter(|_| critical);
    let per_item = first.map_or(0.0, |first| first.waited.0 as f64 / run.items.max(1) as f64);
    let others: Vec<&Resource> = resources.iter().skip(usize::from(critical)).collect();
    let time = item.work + (item.shared - per_item).max(0.0);
    let (rate, limit) = capped(run, time, item.cpu, &others);
    if !rate.is_finite() || rate <= 0.0 {
        return None;
    }
    let one_at_a_time =
        |one: &&Resource| matches!(one.category, Category::LockContention | Category::DatabaseWriteLock);
    let batched = first.filter(one_at_a_time).and_then(|first| {
        first.turn.map(|turn| {
            let (turn, size) = (turn.0 as f64, BATCH as f64);
            let time = item.work - turn.min(item.work) * (1.0 - 1.0 / size) + (item.shared - per_item).max(0.0);
            let (rate, limit) = capped(run, time, item.cpu, &others);
            // The lock itself lets so many batches through.
            let through = size * 1e9 / turn.max(1.0);
            if through < rate { (BATCH, through, Limit::Resource(first.name.clone())) } else { (BATCH, rate, limit) }
        })
    });
    // Without a wait nothing is slower than with it: what limits it then limits it now.
    let rate = rate.max(run.actual);
    let seconds = |rate: f64| Nanos((rest as f64 / rate * 1e9) as u64);
    Some(Expected { rate, time: seconds(rate), now: seconds(run.actual), items: rest, limit, batched })
}

fn capped(run: Run, time: f64, cpu: f64, others: &[&Resource]) -> (f64, Limit) {
    let mut best = (run.workers as f64 * 1e9 / time.max(1.0), Limit::Workers);
    if run.cores > 0 && cpu > 0.0 {
        let cores = f64::from(run.cores) * 1e9 / cpu;
        if cores < best.0 {
            best = (cores, Limit::CpuCores(run.cores));
        }
    }
    for other in others {
        // One turn after the other; what nobody waited for long has room to spare.
        if let Some(turn) = other.turn.filter(|turn| turn.0 > 0 && other.utilisation_pct > 50.0) {
            let through = 1e9 / turn.0 as f64;
            if through < best.0 && through > run.actual {
                best = (through, Limit::Resource(other.name.clone()));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(turn_ms: u64, waited_ms: u64) -> Resource {
        Resource {
            category: Category::LockContention,
            name: "the lock".into(),
            address: None,
            places: Some(1),
            waiting: None,
            holding: None,
            emptied: false,
            statement: None,
            blocking_statement: None,
            waits: 100,
            waited: Nanos(waited_ms * 1_000_000),
            wanted: Nanos(1),
            turn: Some(Nanos(turn_ms * 1_000_000)),
            lost_pct: 90.0,
            utilisation_pct: 100.0,
            evidence: vec![],
        }
    }

    /// fetch 205 ms, write 236 ms under one lock, 64 workers: 100 items, 4.24 a second.
    #[test]
    fn the_example_without_its_lock_and_with_batches() {
        let run = Run { workers: 64, cores: 8, items: 100, actual: 4.24 };
        let wait = 64.0 / 4.24 * 1e9 - 441e6;
        let item = Item { work: 441e6, shared: wait, cpu: 1e6 };
        let critical = lock(236, (wait * 100.0 / 1e6) as u64);
        let found = expected(run, item, &[critical], true, 1000).expect("a rate");
        assert!((found.rate - 145.1).abs() < 0.2 && found.limit == Limit::Workers, "{found:?}");
        assert!((found.time.as_ms() - 6890.0).abs() < 20.0, "{found:?}");
        let (size, rate, limit) = found.batched.expect("batches");
        assert_eq!(size, 10);
        assert!((rate - 10.0 / 0.236).abs() < 0.1, "{rate}");
        assert_eq!(limit, Limit::Resource("the lock".into()));
    }

    #[test]
    fn cores_and_the_next_resource_cap_it() {
        let run = Run { workers: 64, cores: 2, items: 100, actual: 40.0 };
        let item = Item { work: 20e6, shared: 1580e6, cpu: 10e6 };
        let found = expected(run, item, &[lock(25, 158_000)], true, 100).expect("a rate");
        assert!((found.rate - 200.0).abs() < 1e-6, "{found:?}");
        assert_eq!(found.limit, Limit::CpuCores(2));
        let found = expected(run, item, &[lock(25, 158_000), lock(10, 0)], true, 100).expect("a rate");
        assert!((found.rate - 100.0).abs() < 1e-6, "{found:?}");
        let as_fast_as_can_be = Run { actual: 210.0, ..run };
        let found = expected(as_fast_as_can_be, item, &[lock(25, 158_000)], true, 100).expect("a rate");
        assert_eq!((found.rate, found.limit, found.time), (210.0, Limit::CpuCores(2), found.now));
    }
}
