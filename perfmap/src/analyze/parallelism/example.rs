//! The example of the specification as it would be found: fetch 205 ms, write 236 ms under one lock, 64 workers.

use super::types::*;
use crate::{
    analyze::suspicions::{Change, Evidence, Value},
    map::Location,
    recording::Nanos,
};

fn ms(value: u64) -> Nanos {
    Nanos(value * 1_000_000)
}

fn side(stack: &[&str]) -> Side {
    Side {
        function: "write".into(),
        location: Some(Location { file: "backfill.py".into(), line: 40 }),
        stack: stack.iter().map(|name| (*name).to_owned()).collect(),
    }
}

pub(crate) fn example() -> Parallelism {
    let lock = Resource {
        category: Category::LockContention,
        name: "the lock at 0x7f0000004000".into(),
        address: Some(0x7f00_0000_4000),
        places: Some(1),
        waiting: Some(side(&["worker", "item", "write", "pthread_mutex_lock"])),
        holding: Some(side(&["worker", "item", "write", "fsync"])),
        emptied: false,
        statement: None,
        blocking_statement: None,
        waits: 640,
        waited: ms(20_500_000),
        wanted: ms(325_000),
        turn: Some(ms(508)),
        lost_pct: 98.6,
        utilisation_pct: 99.9,
        evidence: vec![Evidence::new("waits", Value::Count(640)), Evidence::new("had for", Value::Time(ms(236)))],
    };
    let step = |name: &str, line, mean, uncontended, share_pct, spent| StepTime {
        name: name.into(),
        location: Some(Location { file: "backfill.py".into(), line }),
        mean: ms(mean),
        median: ms(mean),
        p95: ms(mean + 20),
        share_pct,
        uncontended: ms(uncontended),
        alone: None,
        spent,
    };
    let items = |count, source, what: &str| Items { count, source, confidence: Confidence::High, what: what.into() };
    Parallelism {
        kind: WorkerKind::Threads,
        workers: 64,
        workers_told: false,
        root: "worker".into(),
        service: "backfill".into(),
        items: vec![
            items(641, ItemSource::Progress, "--progress, 32 lines"),
            items(640, ItemSource::Repetition, "GET /item, waits for the disk in write"),
        ],
        begun: vec![],
        duration: ms(325_380),
        remaining: Some((9_359, ms(4_750_000))),
        item: ms(32_480),
        item_work: ms(441),
        item_cpu: ms(2),
        steps: vec![
            step("fetch", 20, 205, 205, 0.6, vec![(Spent::Network, ms(204)), (Spent::Cpu, ms(1))]),
            step(
                "write",
                40,
                32_275,
                236,
                99.4,
                vec![(Spent::Shared(Category::LockContention), ms(32_039)), (Spent::Disk, ms(236))],
            ),
        ],
        single_rate: 2.268,
        theoretical_rate: 145.1,
        capped_by_cores: None,
        actual_rate: 1.97,
        factor: 73.7,
        efficiency: 0.0136,
        severity: Severity::Critical,
        category: Category::LockContention,
        by_factor: None,
        resources: vec![lock],
        uses: vec![WorkerUse { name: "w0 4711".into(), items: 10, worked_pct: 1.4, waited_pct: 98.5, idle_pct: 0.1 }],
        idle_pct: 0.1,
        efficiencies: Efficiencies {
            load_balance: 0.98,
            serialization: 0.014,
            transfer: 1.0,
            parallel: 0.0137,
            in_items: 63.9,
            little: 64.0,
        },
        disagreements: vec![Disagreement { what: "items: by a, and by b".into(), one: 641.0, other: 320.0 }],
        root_cause:
            "99 % of the workers' time is spent waiting in write for the lock at 0x7f0000004000, while write has it"
                .into(),
        change: Some(Change {
            hint: "Hold the lock of write for less.".into(),
            before: "with lock:\n    write(item)".into(),
            after: "with lock:\n    write_all(batch)".into(),
            ungained: None,
        }),
        expected: Some(Expected {
            rate: 145.1,
            time: ms(64_500),
            now: ms(4_750_000),
            items: 9_359,
            limit: Limit::Workers,
            batched: Some((10, 42.4, Limit::Resource("the lock at 0x7f0000004000".into()))),
        }),
    }
}
