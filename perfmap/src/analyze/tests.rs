//! The rules on the example and on small maps, each with one reason.

use proptest::prelude::*;

use super::{
    fixture::{call, latency, map, ms, peer, recording, resolved, step, waits},
    *,
};
use crate::{
    map::{Counted, Outside, Peer, Step, StepKind, WaitCause},
    recording::{Ending, Loss, Metrics, Nanos, Overload, Thinned, Thinning, Unnamed},
};

fn of(map: &Map) -> Analysis {
    analyze(&recording(), &resolved(), &Default::default(), map)
}

/// One step of 600 ms in a run of 1000.
fn one(step: Step) -> Map {
    Map { wall: ms(1000), services: vec!["x".into()], steps: vec![step], ..Map::default() }
}

#[test]
fn the_call_owns_the_inside_of_the_service() {
    let found = of(&map());
    assert_eq!(found.class, Class::IoNetwork);
    let detail =
        Detail::SequentialCalls { count: 13, protocol: CallProtocol::Http, peer: "mt-engine".into(), time: ms(1590) };
    assert_eq!(found.detail, detail);
    let top: Vec<_> = found.top.iter().map(|b| (b.step.as_deref(), b.function.as_str(), b.class, b.rank)).collect();
    assert_eq!(
        top,
        [
            (Some("1.1.1"), "mt_translate", Class::IoNetwork, Rank::Primary),
            (Some("1.1.2"), "tikal_extract", Class::IoNetwork, Rank::Secondary),
            (None, "", Class::Cpu, Rank::Tertiary),
        ]
    );
    assert!((found.top[0].share_pct - 57.818).abs() < 0.001);
}

#[test]
fn classes_by_the_largest_wait() {
    let cases = [
        (WaitCause::Network, Class::IoNetwork),
        (WaitCause::Db, Class::IoDb),
        (WaitCause::Disk, Class::IoFile),
        (WaitCause::Lock, Class::Lock),
        (WaitCause::Sleep, Class::Wait),
        (WaitCause::Child, Class::Unknown),
        (WaitCause::Pipe, Class::Lock),
        (WaitCause::RunQueue, Class::Infrastructure),
        (WaitCause::Throttled, Class::Infrastructure),
        (WaitCause::Gpu, Class::Infrastructure),
        (WaitCause::Other, Class::Unknown),
    ];
    for (cause, class) in cases {
        let found = of(&one(Step { own_cpu: ms(100), own_waits: waits(&[(cause, 500)]), ..step("1", "f", 600, 600) }));
        assert_eq!(found.class, class, "{cause:?}");
    }
}

#[test]
fn who_waits_for_the_interpreter_waits_to_compute() {
    let waiting = Step { own_cpu: ms(100), own_waits: waits(&[(WaitCause::Lock, 500)]), ..step("1", "f", 600, 600) };
    let mut map = Map { locks: super::fixture::map().locks, ..one(waiting) };
    map.locks[0].service = 0;
    map.locks[0].interpreter = true;
    map.locks[0].waited = ms(450);
    if let Some(waiter) = &mut map.locks[0].waiter {
        waiter.function = "f".into();
    }
    for kind in [StepKind::FunctionCall, StepKind::LockWait] {
        map.steps[0].kind = kind;
        let found = of(&map);
        assert_eq!((found.class, found.detail), (Class::Cpu, Detail::ForInterpreter { time: ms(600) }));
    }
    // A pool that somebody else has a place in stands in no list.
    map.locks[0].waited = ms(50);
    assert_eq!(of(&map).class, Class::Lock);
    map.locks[0].waited = ms(450);
    map.locks[0].interpreter = false;
    assert_eq!(of(&map).class, Class::Lock);
}

/// What its peer does is the peer's; the rest of a long call is a few turns at the interpreter.
#[test]
fn a_call_with_a_short_wait_for_the_interpreter_is_a_call() {
    let called = call("source", "GET /slow", 640, false, latency(400, 401, 402, 402));
    let waiting = Step {
        own_cpu: ms(2),
        own_waits: waits(&[(WaitCause::Lock, 20)]),
        kind: StepKind::HttpCall,
        call: called,
        http_round_trips: 640,
        ..step("1", "f", 32000, 32000)
    };
    let mut map = Map { locks: super::fixture::map().locks, ..one(waiting) };
    (map.locks[0].service, map.locks[0].interpreter, map.locks[0].waited) = (0, true, ms(20));
    if let Some(waiter) = &mut map.locks[0].waiter {
        waiter.function = "f".into();
    }
    assert_ne!(of(&map).class, Class::Cpu);
}

/// A client that asks every now and then whether something is done.
#[test]
fn who_sleeps_between_its_calls_waits() {
    let call = call("jobs", "GET /job", 13, true, latency(9, 9, 10, 10));
    let polls = |slept: u64| Step {
        kind: StepKind::HttpCall,
        own_waits: waits(&[(WaitCause::Sleep, slept), (WaitCause::Network, 600 - slept)]),
        call: call.clone(),
        ..step("1", "f", 600, 600)
    };
    let found = of(&one(polls(500)));
    assert_eq!((found.class, found.detail), (Class::Wait, Detail::Waiting { cause: WaitCause::Sleep, time: ms(600) }));
    let found = of(&one(polls(200)));
    assert_eq!(found.class, Class::IoNetwork);
    assert!(matches!(found.detail, Detail::SequentialCalls { count: 13, .. }), "{:?}", found.detail);
}

#[test]
fn classes_by_kind() {
    let cases = [
        (StepKind::HttpCall, Class::IoNetwork),
        (StepKind::GrpcCall, Class::IoNetwork),
        (StepKind::QueueOp, Class::IoNetwork),
        (StepKind::DbQuery, Class::IoDb),
        (StepKind::CacheOp, Class::Cache),
        (StepKind::FileIo, Class::IoFile),
        (StepKind::LockWait, Class::Lock),
        (StepKind::Sleep, Class::Wait),
        (StepKind::Gpu, Class::Infrastructure),
    ];
    for (kind, class) in cases {
        let slow = Step { kind, own_waits: waits(&[(WaitCause::Other, 600)]), ..step("1", "f", 600, 600) };
        assert_eq!(of(&one(slow.clone())).class, class, "{kind:?}");
        // What computes is CPU, whatever it is called.
        assert_eq!(of(&one(Step { own_cpu: ms(550), own_waits: waits(&[]), ..slow })).class, Class::Cpu, "{kind:?}");
    }
}

#[test]
fn a_peer_out_of_reach_is_external_and_a_private_one_is_not() {
    let to = |peer_of: Peer| {
        let address = peer_of.address.clone();
        let slow = Step {
            kind: StepKind::HttpCall,
            http_round_trips: 1,
            own_waits: waits(&[(WaitCause::Network, 600)]),
            call: call(&address, "GET /", 1, true, latency(600, 600, 600, 600)),
            ..step("1", "f", 600, 600)
        };
        of(&Map { peers: vec![peer_of], ..one(slow) }).class
    };
    let far = |address: &str| Peer { local: false, ..peer(None, address, 1) };
    assert_eq!(to(far("93.184.216.34:443")), Class::External);
    assert_eq!(to(far("[2606:4700::1]:443")), Class::External);
    assert_eq!(to(far("10.0.0.7:443")), Class::IoNetwork);
    assert_eq!(to(Peer { local: true, ..far("93.184.216.34:443") }), Class::IoNetwork);
    assert_eq!(to(Peer { service: Some("x".into()), ..far("93.184.216.34:443") }), Class::IoNetwork);
}

#[test]
fn overlapping_calls_are_not_called_sequential() {
    let slow = Step {
        kind: StepKind::HttpCall,
        http_round_trips: 5,
        own_waits: waits(&[(WaitCause::Network, 600)]),
        call: call("10.0.0.7:80", "GET /", 5, false, latency(500, 500, 500, 500)),
        ..step("1", "f", 600, 600)
    };
    assert!(matches!(of(&one(slow)).detail, Detail::Calls { count: 5, .. }));
}

#[test]
fn nothing_stands_out_below_a_fifth_and_nothing_measured_is_unknown() {
    let even: Vec<Step> = (1..=6).map(|n| Step { own_cpu: ms(150), ..step(&n.to_string(), "f", 150, 150) }).collect();
    let found = of(&Map { wall: ms(1000), steps: even, ..Map::default() });
    assert_eq!((found.class, found.top.len()), (Class::None, 3));
    assert_eq!(found.detail, Detail::NothingStandsOut { largest: ms(150) });
    assert_eq!(found.top[0].step.as_deref(), Some("1"), "the first of equals");
    let found = of(&Map::default());
    assert_eq!((found.class, found.detail, found.top), (Class::Unknown, Detail::NothingMeasured, vec![]));
}

/// A step of 250 ms beside 400 ms spread over start-up, imports and the test runner.
#[test]
fn the_remainder_gives_way_to_a_step_worth_acting_on() {
    let outside = Outside { self_time: ms(400), cpu: ms(400), ..Outside::default() };
    let sleeping = Step { own_waits: waits(&[(WaitCause::Sleep, 250)]), ..step("1", "f", 250, 250) };
    let found = of(&Map { outside: outside.clone(), ..one(sleeping) });
    assert_eq!(found.class, Class::Wait);
    let small = Step { own_waits: waits(&[(WaitCause::Sleep, 150)]), ..step("1", "f", 150, 150) };
    let found = of(&Map { outside, ..one(small) });
    assert_eq!(found.class, Class::Cpu);
}

#[test]
fn the_remainder_can_be_the_largest() {
    let top = vec![("sort".into(), ms(600))];
    let outside = Outside { self_time: ms(700), cpu: ms(650), waits: waits(&[]), top, ..Outside::default() };
    let found = of(&Map { outside, ..one(Step { own_cpu: ms(300), ..step("1", "f", 300, 300) }) });
    assert_eq!(found.class, Class::Cpu);
    assert_eq!(found.detail, Detail::Outside { time: ms(700), largest: Some("sort".into()) });
    assert_eq!((found.top[0].step.clone(), found.top[0].rank), (None, Rank::Primary));
    // The largest of many small ones is not most of it.
    let top = vec![("sort".into(), ms(200))];
    let outside = Outside { self_time: ms(700), cpu: ms(650), waits: waits(&[]), top, ..Outside::default() };
    let found = of(&Map { outside, ..one(Step { own_cpu: ms(300), ..step("1", "f", 300, 300) }) });
    assert_eq!(found.detail, Detail::Outside { time: ms(700), largest: None });
}

#[test]
fn steps_beside_the_chain_own_nothing() {
    let beside = Step { beside: true, own_cpu: ms(900), ..step("2", "g", 900, 900) };
    let mut map = one(Step { own_cpu: ms(600), ..step("1", "f", 600, 600) });
    map.steps.push(beside);
    assert_eq!(of(&map).top.len(), 1);
}

/// A test that posts one job to the program, which computes and calls the engine.
fn driven(compute: u64, engine: u64) -> Map {
    let handle = Step {
        service: 2,
        own_waits: waits(&[(WaitCause::Sleep, engine)]),
        ..step("1.1.1.1", "handle", engine, engine)
    };
    let translate = Step {
        service: 1,
        kind: StepKind::HttpCall,
        http_round_trips: 4,
        call: call("engine", "POST /translate", 4, true, latency(1, 1, 1, 1)),
        children: vec![handle],
        ..step("1.1.1", "translate", engine, 0)
    };
    let job = Step {
        service: 1,
        own_cpu: ms(compute),
        children: vec![translate],
        ..step("1.1", "job", compute + engine, compute)
    };
    let test = Step {
        kind: StepKind::HttpCall,
        http_round_trips: 1,
        call: call("api", "POST /jobs", 1, true, latency(1, 1, 1, 1)),
        children: vec![job],
        ..step("1", "test_job", compute + engine, 0)
    };
    let services = ["test", "api", "engine"].map(str::to_owned).into();
    Map { wall: ms(compute + engine), services, steps: vec![test], ..Map::default() }
}

#[test]
fn the_innermost_call_owns_what_is_below_it() {
    let found = of(&driven(300, 700));
    assert_eq!((found.class, found.top[0].function.as_str()), (Class::IoNetwork, "translate"));
    assert!(matches!(found.detail, Detail::SequentialCalls { count: 4, time, .. } if time == ms(700)));
    assert_eq!((found.top[1].function.as_str(), found.top[1].share_pct.round()), ("test_job", 30.0));
}

#[test]
fn the_call_that_drives_a_computing_program_is_not_its_bottleneck() {
    let found = of(&driven(700, 300));
    assert_eq!((found.class, found.top[0].function.as_str()), (Class::Cpu, "job"));
    assert_eq!(found.top[1].function, "translate");
}

#[test]
fn the_example_warns_of_what_its_samples_lack() {
    let missing =
        Warning::MissingSymbols { file: Some("/usr/lib/libc.so.6".into()), why: Unnamed::NoSymbol, share_pct: 2.0 };
    assert_eq!(of(&map()).warnings, [Warning::TruncatedStacks { share_pct: 2.0 }, missing]);
}

#[test]
fn every_doubt_has_its_warning() {
    let mut recording = recording();
    recording.meta.interrupted = true;
    recording.meta.ending = Some(Ending::Killed(9));
    recording.meta.notes = vec!["a note".into()];
    recording.events.truncate(30);
    recording.losses.add(Loss::RingFullWait, 7);
    let thinned =
        Thinned { at: ms(500), what: Thinning::Sampling { every: 2 }, why: Overload::ProbeTime { pct: 30.0 } };
    recording.meta.thinned = vec![thinned.clone()];
    recording.meta.bpf_cost = vec![("on_switch".into(), 9, ms(100)), ("on_send".into(), 9, ms(150))];
    recording.meta.tree_cpu = ms(750);
    let runs = [1000, 1000, 2000].map(|wall| Metrics { wall: ms(wall), lost: 1, ..Metrics::default() });
    recording.baseline.as_mut().expect("the example has one").runs = runs.into();
    let mut map = map();
    map.peers[0].counted = Counted::Inferred;
    map.peers[1].counted = Counted::AtLeast;
    map.nameless = 4;
    map.closure_error = -55_000_000;
    let warnings = analyze(&recording, &resolved(), &Default::default(), &map).warnings;
    let expected = [
        Warning::Interrupted,
        Warning::CommandKilled { signal: 9 },
        Warning::UnstableBaseline { metric: baseline::Metric::Wall, cv_pct: 43.301_270_189_221_94 },
        Warning::Overhead { pct: 175.0 },
        Warning::BaselineLost { count: 3 },
        Warning::Thinned(thinned),
        Warning::ProbeTime { pct: 50.0 },
        Warning::Lost { kind: Loss::RingFullWait, count: 7 },
        Warning::FewSamples { samples: 30 },
        Warning::NamelessRequests { count: 4 },
        Warning::InferredCounts { peer: "mt-engine".into() },
        Warning::LowCounts { peer: "tikal".into() },
        Warning::NotClosed { pct: 2.0 },
        Warning::Note("a note".into()),
    ];
    assert_eq!(warnings, expected);
    recording.baseline = None;
    recording.meta.ending = Some(Ending::Exited(3));
    let warnings = analyze(&recording, &resolved(), &Default::default(), &map).warnings;
    assert_eq!(warnings[1..3], [Warning::CommandFailed { code: 3 }, Warning::NoBaseline]);
}

fn any_step() -> impl Strategy<Value = Step> {
    let leaf = (0..2000u64, 0..3usize, 0..4u8, any::<bool>()).prop_map(|(own, service, kind, beside)| Step {
        service,
        http_round_trips: own % 3,
        own_cpu: ms(own),
        kind: [StepKind::FunctionCall, StepKind::HttpCall, StepKind::DbQuery, StepKind::Sleep][usize::from(kind)],
        self_time: if beside { Nanos::ZERO } else { ms(own) },
        beside,
        ..step("x", "f", own, own)
    });
    leaf.prop_recursive(5, 40, 4, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(step, children)| Step { children, ..step })
    })
}

fn total(step: &Step) -> Nanos {
    step.self_time.plus(step.children.iter().map(total).sum())
}

proptest! {
    /// Whatever the tree, what is named never owns more than there is.
    #[test]
    fn named_bottlenecks_share_the_wall_time(steps in prop::collection::vec(any_step(), 0..4), outside in 0..500u64) {
        let outside = Outside { self_time: ms(outside), ..Outside::default() };
        let wall = steps.iter().map(total).sum::<Nanos>().plus(outside.self_time);
        let map = Map { wall, steps, outside, ..Map::default() };
        let found = of(&map);
        let sum: f64 = found.top.iter().map(|bottleneck| bottleneck.share_pct).sum();
        prop_assert!(sum <= 100.0 + 1e-6, "{}", sum);
        prop_assert!(found.top.windows(2).all(|pair| pair[0].share_pct >= pair[1].share_pct));
        prop_assert_eq!(found.class == Class::Unknown && found.top.is_empty(), wall == Nanos::ZERO);
    }
}
