//! Findings → signs that changing this program's code is the wrong tool. Each rests on measured shares; none is said
//! where a confirmed suspicion speaks against it.

use std::collections::BTreeMap;

use super::{
    ACTIONABLE_PCT, Bottleneck,
    candidate::{Candidate, is_call},
    norms::{Norms, Operation},
    rules, share_pct,
    suspicions::{Suspicion, Verdict, disk_throughput_bound, major_faults},
    types::{Class, Detail},
};
use crate::{
    map::{Map, Peer, Step, StepKind, WaitCause},
    recording::{Nanos, Recording},
};

const EXTERNAL_PCT: f64 = 90.0;
const INFRASTRUCTURE_PCT: f64 = 50.0;
/// So much of the wall time must lie inside the norms.
const NORM_PCT: f64 = 50.0;
/// What can be done about a slow service that nobody here can change: batching, caching, reuse, parallelism.
const ALTERNATIVES: [&str; 12] = [
    "batch_unused",
    "cache_unused",
    "connection_per_request",
    "dns_per_request",
    "n_plus_one_queries",
    "over_fetching",
    "pool_exhaustion",
    "repeated_query",
    "repeated_request",
    "sequential_awaits",
    "sequential_http_calls",
    "tls_full_handshake",
];

#[derive(Debug, Clone, PartialEq)]
pub enum Indicator {
    /// Nearly all of the time waits on peers out of reach, and none of it can be saved by asking otherwise.
    ExternalServiceNoAlternative { share_pct: f64 },
    /// Each large step is a call that takes what such calls take.
    WithinIndustryNorm { calls: Vec<Usual> },
    /// What is missing is a CPU, memory or a faster disk, not better code.
    InfrastructureBound { share_pct: f64, stalls: Stalls },
    /// All that was suspected was measured and dismissed, and nothing stands out.
    AlreadyOptimized { dismissed: u64, largest_pct: f64 },
}

/// Wall time that the machine did not give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stalls {
    pub run_queue: Nanos,
    pub throttled: Nanos,
    /// Pages that came from a device: mapped files, swap.
    pub faults: Nanos,
    /// Other waits for a disk that did all it could.
    pub disk: Nanos,
}

/// A call whose latency lies inside the norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Usual {
    pub step: String,
    pub function: String,
    pub median: Nanos,
    pub operation: Operation,
    pub to_ms: f64,
}

pub(super) fn indicators(
    recording: &Recording,
    map: &Map,
    candidates: &[Candidate<'_>],
    top: &[Bottleneck],
    suspicions: &[Suspicion],
    norms: &Norms,
) -> Vec<Indicator> {
    let found = [
        external(map, candidates, suspicions),
        within_norm(map, candidates, top, suspicions, norms),
        infrastructure(recording, map, suspicions),
        optimized(map, candidates, suspicions),
    ];
    found.into_iter().flatten().collect()
}

fn is_confirmed(suspicion: &Suspicion) -> bool {
    suspicion.verdict == Verdict::Confirmed
}

fn external(map: &Map, candidates: &[Candidate<'_>], suspicions: &[Suspicion]) -> Option<Indicator> {
    let can_be_asked_otherwise = suspicions.iter().any(|one| is_confirmed(one) && ALTERNATIVES.contains(&one.id));
    let waits = |candidate: &&Candidate<'_>| rules::judge(map, candidate).0 == Class::External;
    let time: Nanos = candidates.iter().filter(waits).map(|candidate| candidate.time).sum();
    let share_pct = share_pct(time, map.wall);
    (share_pct >= EXTERNAL_PCT && !can_be_asked_otherwise)
        .then_some(Indicator::ExternalServiceNoAlternative { share_pct })
}

fn within_norm(
    map: &Map,
    candidates: &[Candidate<'_>],
    top: &[Bottleneck],
    suspicions: &[Suspicion],
    norms: &Norms,
) -> Option<Indicator> {
    if suspicions.iter().any(is_confirmed) {
        return None;
    }
    let steps: BTreeMap<&str, &Step> =
        candidates.iter().filter_map(|candidate| candidate.step.map(|step| (step.id.as_str(), step))).collect();
    let large: Vec<&Bottleneck> = top.iter().filter(|one| one.share_pct > ACTIONABLE_PCT).collect();
    let covered: f64 = large.iter().map(|one| one.share_pct).sum();
    let calls: Option<Vec<Usual>> = large
        .iter()
        .map(|one| usual(map, steps.get(one.step.as_deref()?)?, norms).filter(|_| waits_for_calls(one)))
        .collect();
    let calls = calls.filter(|calls| !calls.is_empty())?;
    (covered >= NORM_PCT).then_some(Indicator::WithinIndustryNorm { calls })
}

/// The latency of its calls explains its time: what it computes and how long it sleeps in between is its own.
fn waits_for_calls(one: &Bottleneck) -> bool {
    match one.class {
        Class::IoDb | Class::IoNetwork | Class::External | Class::Cache => true,
        Class::Cpu
        | Class::IoFile
        | Class::Architecture
        | Class::Lock
        | Class::Wait
        | Class::Infrastructure
        | Class::None
        | Class::Unknown => false,
    }
}

fn usual(map: &Map, step: &Step, norms: &Norms) -> Option<Usual> {
    let operation = operation(map, step)?;
    let median = step.call.as_ref()?.latency?.median;
    let norm = norms.of_operation(operation).filter(|norm| norm.holds(median))?;
    Some(Usual { step: step.id.clone(), function: step.function.clone(), median, operation, to_ms: norm.to_ms })
}

/// What a call step does, as far as its kind and its statement tell. Whether a query should scan is not known: it is held
/// against the norm of one that finds its rows by an index.
fn operation(map: &Map, step: &Step) -> Option<Operation> {
    let call = step.call.as_ref()?;
    let word = call.endpoint.as_deref().unwrap_or_default().split_whitespace().next().unwrap_or_default();
    Some(match step.kind {
        StepKind::HttpCall => {
            let mut peers = map.peers.iter().filter(|peer| is_of(peer, &call.peer));
            match peers.next() {
                Some(peer) if peer.local => Operation::HttpHost,
                Some(peer) if rules::is_external(map, peer) => Operation::HttpExternal,
                Some(_) => Operation::HttpDatacentre,
                None if map.services.contains(&call.peer) => Operation::HttpHost,
                None => return None,
            }
        }
        StepKind::GrpcCall => Operation::Grpc,
        StepKind::DbQuery if word.eq_ignore_ascii_case("commit") => Operation::Commit,
        StepKind::DbQuery if ["insert", "update", "delete"].iter().any(|write| word.eq_ignore_ascii_case(write)) => {
            Operation::WriteSingle
        }
        StepKind::DbQuery => Operation::QueryIndexed,
        StepKind::CacheOp => Operation::Cache,
        StepKind::QueueOp => Operation::QueuePublish,
        StepKind::FunctionCall
        | StepKind::FileIo
        | StepKind::LockWait
        | StepKind::Sleep
        | StepKind::Subprocess
        | StepKind::Gpu
        | StepKind::Loop => return None,
    })
}

fn is_of(peer: &Peer, name: &str) -> bool {
    peer.address == name || peer.service.as_deref() == Some(name)
}

/// What asks a disk for more than it has to is no reason to blame the disk.
const DISK_CAN_BE_SPARED: [&str; 3] = ["repeated_file_read", "small_sync_writes", "tiny_io"];

fn infrastructure(recording: &Recording, map: &Map, suspicions: &[Suspicion]) -> Option<Indicator> {
    fn sum(step: &Step, cause: WaitCause) -> Nanos {
        let own = if step.beside { Nanos::ZERO } else { step.own_waits.of(cause) };
        own.plus(step.children.iter().map(|child| sum(child, cause)).sum())
    }
    let of = |cause| map.steps.iter().map(|step| sum(step, cause)).sum::<Nanos>().plus(map.outside.waits.of(cause));
    // Page faults that wait are waits for a disk; nobody on the chain waited longer for them than for disks.
    let on_disk = of(WaitCause::Disk);
    let faults = major_faults::faults(recording).time.min(on_disk);
    let can_be_spared = suspicions.iter().any(|one| is_confirmed(one) && DISK_CAN_BE_SPARED.contains(&one.id));
    let saturated = disk_throughput_bound::load(recording).is_some_and(|load| load.is_saturated());
    let disk = if saturated && !can_be_spared { on_disk.since(faults) } else { Nanos::ZERO };
    let stalls = Stalls { run_queue: of(WaitCause::RunQueue), throttled: of(WaitCause::Throttled), faults, disk };
    let Stalls { run_queue, throttled, .. } = stalls;
    let share_pct = share_pct(run_queue.plus(throttled).plus(faults).plus(disk), map.wall);
    (share_pct >= INFRASTRUCTURE_PCT).then_some(Indicator::InfrastructureBound { share_pct, stalls })
}

/// What was not suspected of anything shows nothing: at least one suspicion must have been dismissed.
fn optimized(map: &Map, candidates: &[Candidate<'_>], suspicions: &[Suspicion]) -> Option<Indicator> {
    let dismissed = suspicions.iter().filter(|one| one.verdict == Verdict::Dismissed).count();
    if dismissed == 0 || dismissed < suspicions.len() {
        return None;
    }
    let steps = || candidates.iter().filter(|candidate| candidate.step.is_some());
    let largest_pct = steps().map(|candidate| candidate.share_pct).fold(0.0, f64::max);
    // Calls one after the other could overlap or be one, however small each is.
    let one_by_one: Nanos = steps()
        .filter(|candidate| candidate.step.is_some_and(|step| is_call(step.kind)))
        .filter(|candidate| matches!(rules::judge(map, candidate).1, Detail::SequentialCalls { .. }))
        .map(|candidate| candidate.time)
        .sum();
    let outside_pct = share_pct(map.outside.self_time, map.wall);
    let nothing_large = [largest_pct, share_pct(one_by_one, map.wall)].iter().all(|share| *share <= ACTIONABLE_PCT);
    (nothing_large && outside_pct <= super::PRIMARY_PCT)
        .then_some(Indicator::AlreadyOptimized { dismissed: dismissed as u64, largest_pct })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        analyze,
        fixture::{map, ms, recording, resolved},
        suspicions::{Category, testing::suspicion},
    };
    use crate::recording::{Device, DeviceId, Disk, Event, OffCpu, OffState, TaskId};

    fn found(map: &Map) -> Vec<Indicator> {
        of(&recording(), map)
    }

    fn of(recording: &Recording, map: &Map) -> Vec<Indicator> {
        analyze(recording, &resolved(), &Default::default(), map).wrong_tool
    }

    /// The whole time is one call to a peer far away.
    fn far_away(latency_ms: u64, address: &str) -> Map {
        let mut map = map();
        let mut call = map.steps[0].children[0].children[0].clone();
        call.children.clear();
        call.self_time = ms(2700);
        call.wall = ms(2700);
        call.own_cpu = ms(0);
        if let Some(peer_call) = &mut call.call {
            peer_call.peer = address.into();
            peer_call.latency = Some(crate::analyze::fixture::latency(1, latency_ms, latency_ms, latency_ms));
        }
        map.peers = vec![crate::map::Peer { local: false, ..crate::analyze::fixture::peer(None, address, 13) }];
        map.steps = vec![call];
        map.services.truncate(1);
        map.locks.clear();
        map.outside.self_time = ms(50);
        map
    }

    #[test]
    fn the_example_can_be_helped() {
        assert_eq!(found(&map()), []);
    }

    #[test]
    fn a_service_that_nobody_here_can_change() {
        let slow = far_away(9000, "93.184.216.34:443");
        let [Indicator::ExternalServiceNoAlternative { share_pct }] = found(&slow)[..] else {
            panic!("{:?}", found(&slow))
        };
        assert!((share_pct - 98.2).abs() < 0.1, "{share_pct}");
        assert_eq!(found(&far_away(9000, "10.0.0.7:443")), []);
        let confirmed = [suspicion("sequential_http_calls", Category::Architecture, Verdict::Confirmed)];
        let candidates = crate::analyze::candidate::ranked(&slow);
        assert_eq!(indicators(&recording(), &slow, &candidates, &[], &confirmed, &Norms::usual()), []);
    }

    #[test]
    fn calls_that_take_what_such_calls_take() {
        let near = far_away(80, "10.0.0.7:80");
        let [Indicator::WithinIndustryNorm { calls }] = &found(&near)[..] else { panic!("{:?}", found(&near)) };
        assert_eq!((calls[0].operation, calls[0].median), (Operation::HttpDatacentre, ms(80)));
        let mut polls = near.clone();
        polls.steps[0].own_waits =
            crate::analyze::fixture::waits(&[(WaitCause::Sleep, 2000), (WaitCause::Network, 700)]);
        assert_eq!(found(&polls), [], "it sleeps between them: that is no peer's latency");
        let mut own = recording();
        own.meta.norms = vec!["[norms]\nhttp_datacentre = [1, 20]".into()];
        assert_eq!(of(&own, &near), [], "the user's norm is another");
    }

    #[test]
    fn a_machine_without_a_cpu_to_spare() {
        let mut map = map();
        map.steps[0].own_waits.add(WaitCause::RunQueue, ms(1000));
        map.outside.waits.add(WaitCause::Throttled, ms(500));
        let found = found(&map);
        let [Indicator::InfrastructureBound { stalls, .. }] = found[..] else { panic!("{found:?}") };
        assert_eq!(stalls, Stalls { run_queue: ms(1000), throttled: ms(500), ..Stalls::default() });
    }

    /// Waits for the disk count where it did all it could, and page faults where there were some.
    #[test]
    fn a_machine_with_a_slow_disk() {
        let mut map = map();
        map.steps[0].own_waits.add(WaitCause::Disk, ms(1500));
        assert_eq!(of(&recording(), &map), []);
        let mut recording = recording();
        let off = OffCpu {
            task: TaskId(0),
            off: ms(100),
            woken: ms(1600),
            on: ms(1600),
            state: OffState::Uninterruptible,
            syscall: Some(0),
            waker: None,
            call: None,
            stack: None,
            unfinished: false,
            throttled: false,
            held: None,
            unseen_wake: false,
            before: None,
            device: Some(DeviceId(0)),
        };
        let faults = |off: &OffCpu| vec![Event::OffCpu(OffCpu { syscall: None, ..off.clone() })];
        recording.devices = vec![Device { major: 8, minor: 0, name: None }];
        recording.events = vec![Event::OffCpu(off.clone())];
        recording.environment.disks = vec![Disk {
            device: 8 << 20,
            name: "sda".into(),
            requests: 10,
            read_bytes: 10 << 20,
            written_bytes: 0,
            busy: ms(1600),
            queued: ms(9000),
        }];
        let stalls = |recording: &Recording| match of(recording, &map)[..] {
            [Indicator::InfrastructureBound { stalls, .. }] => stalls,
            ref found => panic!("{found:?}"),
        };
        // The example waits for a disk for 28 ms by itself.
        assert_eq!(stalls(&recording), Stalls { disk: ms(1528), ..Stalls::default() });
        recording.events = faults(&off);
        recording.environment.own_major_faults = 50;
        assert_eq!(stalls(&recording), Stalls { faults: ms(1500), disk: ms(28), ..Stalls::default() });
    }

    #[test]
    fn nothing_left_to_do() {
        let mut map = map();
        map.steps =
            (1..=9).map(|n| crate::analyze::fixture::step(&n.to_string(), &format!("f{n}"), 280, 280)).collect();
        for step in &mut map.steps {
            step.own_cpu = step.self_time;
        }
        let candidates = crate::analyze::candidate::ranked(&map);
        let indicators =
            |suspicions: &[Suspicion]| indicators(&recording(), &map, &candidates, &[], suspicions, &Norms::usual());
        let dismissed = suspicion("tiny_io", Category::DataFlow, Verdict::Dismissed);
        let unverified = suspicion("tiny_io", Category::DataFlow, Verdict::Unverified);
        assert!(matches!(
            indicators(std::slice::from_ref(&dismissed))[..],
            [Indicator::AlreadyOptimized { dismissed: 1, .. }]
        ));
        assert_eq!(indicators(&[]), [], "nothing was looked into");
        assert_eq!(indicators(&[dismissed, unverified]), []);
    }
}
