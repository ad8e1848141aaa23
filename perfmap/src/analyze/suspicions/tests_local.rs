//! Rules on loops, files, names, pools and limits, in both directions, on made-up runs.

use super::{Verdict, told::run};
use crate::{
    analyze::fixture::{ms, step},
    correlate::{Cause, Protocol, Segment, State, Timeline, WaitId},
    map::{Location, Step},
    recording::*,
};
use Verdict::{Confirmed, Dismissed};

const ITEM: &str = "SELECT * FROM item WHERE id = ?";

const IN_LOOP: [(&str, u32); 3] = [("time.sleep", 1), ("load", 8), ("BaseEventLoop._run_once", 9)];

#[test]
fn a_block_on_the_loop_s_thread() {
    let mut of = run();
    let stack = of.stack(&IN_LOOP);
    of.loops(stack);
    for n in 0..4 {
        of.wait(n * 100, n * 100 + 60, Cause::Sleep, stack);
    }
    let found = of.judged("sync_io_in_async");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "load"));
    // Four at a time.
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(180));
}

/// The loop's own poll, a thread without a loop, and a loop with one coroutine that nobody waits behind.
#[test]
fn waits_that_hold_nobody_up() {
    let mut of = run();
    let poll = of.stack(&[("epoll_wait", 1), ("load", 8), ("BaseEventLoop._run_once", 9)]);
    let plain = of.stack(&[("time.sleep", 1), ("load", 8)]);
    of.loops(poll);
    of.wait(0, 500, Cause::Network, poll);
    of.wait(500, 900, Cause::Sleep, plain);
    assert!(of.judged("sync_io_in_async").is_empty());
    let mut alone = run();
    let stack = alone.stack(&IN_LOOP);
    alone.wait(0, 500, Cause::Sleep, stack);
    assert!(alone.judged("sync_io_in_async").is_empty());
}

#[test]
fn a_turn_that_computes_for_long() {
    let mut of = run();
    let stack = of.stack(&[("load", 8), ("BaseEventLoop._run_once", 9)]);
    of.loops(stack);
    of.correlated.timelines = vec![Timeline(vec![
        Segment { from: ms(0), to: ms(30), state: State::Cpu { short: None } },
        Segment { from: ms(100), to: ms(180), state: State::Cpu { short: None } },
    ])];
    for at in [5, 15, 105, 115] {
        of.recording.events.push(Event::Sample(Sample { at: ms(at), task: TaskId(0), stack }));
    }
    assert_eq!(of.verdict("sync_io_in_async"), Some(Confirmed));
    of.correlated.timelines[0].0.pop();
    assert!(of.judged("sync_io_in_async").is_empty());
}

/// Others had the CPU in between: the turn goes on; after a block it is another one.
#[test]
fn a_turn_on_a_busy_machine() {
    let mut of = run();
    let stack = of.stack(&[("load", 8), ("BaseEventLoop._run_once", 9)]);
    of.loops(stack);
    let cpu = |from, to| Segment { from: ms(from), to: ms(to), state: State::Cpu { short: None } };
    let between = |state| vec![Timeline(vec![cpu(0, 30), Segment { from: ms(30), to: ms(90), state }, cpu(90, 130)])];
    for at in [5, 15, 105, 115] {
        of.recording.events.push(Event::Sample(Sample { at: ms(at), task: TaskId(0), stack }));
    }
    of.correlated.timelines = between(State::RunQueue(WaitId(0)));
    assert_eq!(of.verdict("sync_io_in_async"), Some(Confirmed));
    of.correlated.timelines = between(State::Blocked(WaitId(0)));
    assert!(of.judged("sync_io_in_async").is_empty());
}

/// `execFileSync` polls in a loop of its own, and the outer one stands still.
#[test]
fn a_loop_in_a_loop() {
    let verdict = |below: &[(&str, u32)]| {
        let mut of = run();
        let mut places = vec![("epoll_pwait", 1), ("node.uv_run", 1), ("node.spawnSync", 1), ("load", 8)];
        places.extend_from_slice(below);
        let stack = of.stack(&places);
        of.loops(stack);
        of.wait(0, 300, Cause::Other, stack);
        of.judged("sync_io_in_async").first().map(|one| (one.verdict, one.subject.clone()))
    };
    assert_eq!(verdict(&[("node.uv_run", 1), ("node.main", 1)]), Some((Confirmed, "load".to_owned())));
    assert_eq!(verdict(&[("node.main", 1)]), None, "the program's only loop");
}

/// Three rounds of three calls in one coroutine, each at a line of its own.
fn awaits(gap: u64, needs: bool) -> super::told::Run {
    let mut of = run();
    let stacks: Vec<StackId> = (0..3).map(|n| of.stack(&[("load", 10 + n)])).collect();
    of.loops(stacks[0]);
    let socket = of.connection(0, 100);
    for n in 0..9_u64 {
        let which = (n % 3) as usize;
        let trip = of.get(socket, n * gap, n * gap + 20);
        (trip.route, trip.stack) = (Some(["/user", "/orders", "/prices"][which].into()), Some(stacks[which]));
        if needs {
            (trip.asked.tokens, trip.answered.tokens) = (vec![n as u32], vec![n as u32 + 1]);
        }
    }
    of
}

#[test]
fn awaits_one_after_the_other() {
    let found = awaits(30, false).judged("sequential_awaits");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "load"));
    // Three rounds of 60 ms that could take 20 ms each.
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(120));
}

#[test]
fn awaits_together_and_awaits_that_need_one_another() {
    assert_eq!(awaits(5, false).verdict("sequential_awaits"), Some(Dismissed));
    assert_eq!(awaits(30, true).verdict("sequential_awaits"), Some(Dismissed));
    let mut threads = awaits(30, false);
    threads.recording.turns.clear();
    assert!(threads.judged("sequential_awaits").is_empty());
}

/// A function of a script is below its callers up to its first await, and alone from there on: eight rounds in three steps.
#[test]
fn awaits_of_one_function_in_several_steps() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..24_u64 {
        of.get(socket, n * 30, n * 30 + 20).route = Some(["/user", "/orders", "/prices"][(n % 3) as usize].into());
    }
    of.map.steps[0].calls.clear();
    let chain = |id: &str, functions: &[(&str, u32)], calls: Vec<u32>| {
        let ids = (0..functions.len()).map(|depth| format!("{id}{}", ".1".repeat(depth)));
        let steps = ids.zip(functions).map(|(id, (function, line))| {
            let location = Some(Location { file: "app/page.js".into(), line: *line });
            Step { location, ..step(&id, function, 700, 0) }
        });
        let steps: Vec<Step> = steps.collect();
        let whole = steps.into_iter().rev().fold(None, |below: Option<Step>, mut step| {
            match below {
                Some(below) => step.children.push(below),
                None => step.calls.clone_from(&calls),
            }
            Some(step)
        });
        whole.unwrap()
    };
    let (all, page, get, promise) = (("all", 9), ("page", 37), ("get", 15), ("(anonymous)", 1));
    of.map.steps = vec![
        chain("1", &[all, page, get], vec![0]),
        chain("2", &[page, get, promise], (0..24).filter(|n| n % 3 != 0).collect()),
        chain("3", &[all, page, get, promise], (1..8).map(|n| n * 3).collect()),
    ];
    let found = of.judged("sequential_awaits");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "page"));
    assert_eq!(found[0].affected_steps, ["1.1", "2", "3.1"]);
    // Eight rounds of 60 ms that could take 20 ms each.
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(320));
}

#[test]
fn small_pieces_and_large_ones() {
    let mut of = run();
    let stack = of.stack(&[("file.write", 3), ("load", 8)]);
    of.writes(5000, 5000 * 40, stack);
    assert_eq!(of.verdict("tiny_io"), Some(Confirmed));
    let mut large = run();
    let stack = large.stack(&[("file.write", 3), ("load", 8)]);
    large.writes(200, 200 * 65536, stack);
    assert_eq!(large.verdict("tiny_io"), Some(Dismissed));
    let mut few = run();
    let stack = few.stack(&[("file.write", 3), ("load", 8)]);
    few.writes(99, 99, stack);
    assert!(few.judged("tiny_io").is_empty());
}

#[test]
fn a_sync_for_each_write_and_one_for_all() {
    let mut of = run();
    let stack = of.stack(&[("os.fsync", 3), ("load", 8)]);
    of.writes(20, 20 * 4096, stack);
    for n in 0..20 {
        of.sync(n * 10, n * 10 + 5, stack);
    }
    let found = of.judged("small_sync_writes");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(95)));
    of.writes(2000, 2000 * 4096, stack);
    assert_eq!(of.verdict("small_sync_writes"), Some(Dismissed));
}

#[test]
fn answers_that_come_40_ms_late() {
    // The first is acknowledged at once, as Linux does on a new connection.
    let stalled = |latency: u64, writes: u64| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..7 {
            of.get(socket, n * 100, n * 100 + if n == 0 { 1 } else { latency });
            (0..writes).for_each(|write| of.sends(n * 100 + write / 2, socket));
        }
        of
    };
    let found = stalled(41, 2).judged("delayed_ack_stall");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(240)));
    assert_eq!(stalled(5, 2).verdict("delayed_ack_stall"), Some(Dismissed));
    assert!(stalled(41, 1).judged("delayed_ack_stall").is_empty());
}

/// The server's reads tell a part that came late from a server that takes its time.
#[test]
fn servers_that_take_40_ms_are_no_stall() {
    let served = |second_read: u64, last: u64| {
        let mut of = run();
        let (socket, server) = (of.connection(0, 100), of.connection(0, 100));
        of.recording.sockets[server.0 as usize].process = ProcessId(1);
        for n in 0..6 {
            of.get(socket, n * 100, n * 100 + last).server_socket = Some(server);
            of.sends(n * 100, socket);
            of.sends(n * 100, socket);
            of.reads(n * 100, server);
            of.reads(n * 100 + second_read, server);
            of.sends(n * 100 + last - 1, server);
        }
        of
    };
    let found = served(41, 43).judged("delayed_ack_stall");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(246)));
    assert_eq!(served(1, 43).verdict("delayed_ack_stall"), Some(Dismissed));
}

/// Nobody watches the server, and no request was answered sooner.
#[test]
fn answers_after_40_ms_alone_are_no_stall() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..6 {
        of.get(socket, n * 100, n * 100 + 43);
        of.sends(n * 100, socket);
        of.sends(n * 100, socket);
    }
    let found = of.judged("delayed_ack_stall");
    assert_eq!(found[0].verdict, Dismissed);
    assert!(found[0].note.contains("may take that long itself"), "{}", found[0].note);
}

/// Forty streams of one HTTP/2 connection: what is sent after a request is the next request.
#[test]
fn requests_side_by_side_on_one_connection_are_no_stall() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..10 {
        of.get(socket, n, n + 45);
        of.sends(n, socket);
    }
    assert!(of.judged("delayed_ack_stall").is_empty());
}

#[test]
fn a_name_looked_up_for_each_request() {
    let asks = |lookups: u64, requests: u64| {
        let mut of = run();
        of.correlated.flows.peers[0].host = Some("shop.test:80".into());
        let socket = of.connection(0, 100);
        for n in 0..lookups {
            let trip = of.get(socket, n * 20, n * 20 + 4);
            (trip.protocol, trip.method, trip.route) = (Protocol::Dns, None, Some("A shop.test".into()));
        }
        for n in 0..requests {
            of.get(socket, n * 20 + 5, n * 20 + 9);
        }
        of
    };
    let found = asks(10, 10).judged("dns_per_request");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(36)));
    assert_eq!(asks(6, 40).verdict("dns_per_request"), Some(Dismissed));
    assert!(asks(1, 40).judged("dns_per_request").is_empty());
}

#[test]
fn threads_that_wait_for_a_place_in_a_pool() {
    let waits_for = |busy: bool, cause: Cause| {
        let mut of = run();
        let stack = of.stack(&[("queue.get", 1), ("ConnectionPool.acquire", 2), ("load", 8)]);
        for n in 0..10_u64 {
            for place in 0..5 {
                let socket = of.connection(0, 100);
                let from = if busy { n * 100 } else { n * 100 + 70 };
                of.get(socket, from + place, n * 100 + 95);
            }
            of.wait(n * 100 + 10, n * 100 + 60, cause, stack);
        }
        of
    };
    let waits = |busy| waits_for(busy, Cause::Lock);
    assert_eq!(waits_for(true, Cause::Pipe).verdict("pool_exhaustion"), Some(Confirmed), "a goroutine's channel");
    let found = waits(true).judged("pool_exhaustion");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "catalog"));
    assert_eq!(waits(true).verdict("default_limit_reached"), Some(Confirmed));
    assert_eq!(waits(false).verdict("pool_exhaustion"), Some(Dismissed));
    assert!(waits(false).judged("default_limit_reached").is_empty());
    assert!(run().judged("pool_exhaustion").is_empty());
}

#[test]
fn refused_for_asking_too_often() {
    let refused = |count: u64| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..20 {
            of.get(socket, n * 20, n * 20 + 4).status = Some(if n < count { 429 } else { 200 });
        }
        of
    };
    assert_eq!(refused(5).verdict("rate_limiting"), Some(Confirmed));
    let change = refused(5).judged("rate_limiting")[0].change.clone().expect("a hint");
    assert!(change.after.contains("Retry-After") && change.ungained.is_some(), "{change:?}");
    assert_eq!(refused(1).verdict("rate_limiting"), Some(Dismissed));
    assert!(refused(0).judged("rate_limiting").is_empty());
    let mut own = run();
    let stack = own.stack(&[("time.sleep", 1), ("limits.RateLimiter.wait", 2), ("load", 8)]);
    for n in 0..4 {
        own.wait(n * 100, n * 100 + 50, Cause::Sleep, stack);
    }
    assert_eq!(own.verdict("rate_limiting"), Some(Confirmed));
    let mut plain = run();
    let stack = plain.stack(&[("time.sleep", 1), ("test_of_rate_limits", 2), ("load", 8)]);
    for n in 0..4 {
        plain.wait(n * 100, n * 100 + 50, Cause::Sleep, stack);
    }
    assert!(plain.judged("rate_limiting").is_empty());
}

#[test]
fn one_function_below_several_with_the_same_input() {
    let equal = |same: bool| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..4_u64 {
            let trip = of.get(socket, n * 20, n * 20 + 10);
            if same {
                (trip.repeat, trip.answered.tokens) = (Some(7), vec![1]);
            }
            of.moves_to(&format!("1.{}.1", n % 2 + 1), "rates");
        }
        of
    };
    let found = equal(true).judged("repeated_computation");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "rates"));
    assert_eq!(found[0].affected_steps, ["1.1.1", "1.2.1"]);
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(30));
    assert!(equal(false).judged("repeated_computation").is_empty());
}

#[test]
fn a_cache_at_hand_that_is_not_asked() {
    let asks = |cache: bool, below: &str| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..5 {
            let trip = of.get(socket, n * 20, n * 20 + 10);
            (trip.repeat, trip.answered.tokens) = (Some(7), vec![1]);
        }
        if cache {
            let trip = of.get(socket, 900, 901);
            (trip.protocol, trip.method, trip.route) = (Protocol::Redis, None, Some("GET".into()));
            of.moves_to(below, "other");
        }
        of
    };
    assert_eq!(asks(true, "2").verdict("cache_unused"), Some(Confirmed));
    assert!(asks(false, "2").judged("cache_unused").is_empty());
    assert!(asks(true, "1.1").judged("cache_unused").is_empty(), "the step asks it");
}

#[test]
fn a_batch_method_that_is_not_used() {
    let asks = |function: &str| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..20 {
            of.query(socket, n * 10, n * 10 + 8, ITEM);
        }
        of.recording.source = Some(Source {
            findings: vec![SourceFinding {
                rule: "batch_unused".into(),
                function: function.into(),
                file: "app/load.py".into(),
                line: 3,
                what: "get_many() in the client".into(),
            }],
            ..Source::default()
        });
        of
    };
    assert_eq!(asks("load").verdict("batch_unused"), Some(Confirmed));
    assert!(asks("other").judged("batch_unused").is_empty());
}

#[test]
fn sessions_that_are_not_resumed() {
    let shakes = |server: u16, tickets: &[u16]| {
        let mut of = run();
        for n in 0..6 {
            let socket = of.connection(n * 100, 100);
            of.records(n * 100, socket, Direction::Sent, &[(22, 500)]);
            of.records(n * 100 + 5, socket, Direction::Received, &[(22, 122), (20, 1), (23, server)]);
            of.records(n * 100 + 6, socket, Direction::Sent, &[(20, 1), (23, 69), (23, 100)]);
            let tickets: Vec<(u8, u16)> = tickets.iter().map(|length| (23, *length)).collect();
            of.records(n * 100 + 9, socket, Direction::Received, &tickets);
            of.get(socket, n * 100 + 6, n * 100 + 10);
        }
        of
    };
    assert_eq!(shakes(1300, &[250, 250, 90]).verdict("tls_full_handshake"), Some(Confirmed));
    assert_eq!(shakes(150, &[250, 250, 90]).verdict("tls_full_handshake"), Some(Dismissed));
    assert_eq!(shakes(1300, &[90]).verdict("tls_full_handshake"), Some(Dismissed));
    assert!(run().judged("tls_full_handshake").is_empty());
}
