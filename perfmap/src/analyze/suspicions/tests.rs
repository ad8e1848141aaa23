//! Each rule in both directions, on made-up runs.

use super::{told::run, *};
use crate::{
    analyze::fixture::ms,
    correlate::{Cause, Protocol, Segment, State, Timeline},
    recording::*,
};
use Verdict::{Confirmed, Dismissed};

#[test]
fn a_connection_for_each_request() {
    let mut of = run();
    for n in 0..10 {
        let socket = of.connection(n * 10, 2000);
        of.get(socket, n * 10, n * 10 + 5);
    }
    let found = of.judged("connection_per_request");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "catalog"));
    // The first connection is needed; ten less one at 2 ms, but the first began at the beginning.
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(18));
    assert_eq!(found[0].affected_steps, ["1"]);
}

#[test]
fn one_connection_for_all_requests() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..13 {
        of.get(socket, n * 10, n * 10 + 5);
    }
    let found = of.judged("connection_per_request");
    assert_eq!((found[0].verdict, found[0].note.as_str()), (Dismissed, "1 connection(s), 13 requests"));
}

/// What is asked at one time needs a connection each, once.
#[test]
fn connections_of_requests_at_one_time() {
    let mut of = run();
    for n in 0..10 {
        let socket = of.connection(n, 100);
        of.get(socket, n, 500 + n);
    }
    assert_eq!(of.verdict("connection_per_request"), Some(Dismissed));
}

#[test]
fn few_requests_are_no_pattern() {
    let mut of = run();
    for n in 0..4 {
        let socket = of.connection(n * 10, 100);
        of.get(socket, n * 10, n * 10 + 5);
    }
    assert!(of.judged("connection_per_request").is_empty());
    assert!(of.judged("sequential_http_calls").is_empty());
}

#[test]
fn calls_one_after_the_other() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        of.get(socket, n * 100, n * 100 + 90);
    }
    let found = of.judged("sequential_http_calls");
    assert_eq!(found[0].verdict, Confirmed);
    assert_eq!(found[0].evidence[0].value, Value::Count(8));
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(7 * 90));
    assert!(found[0].change.as_ref().unwrap().after.contains("ThreadPoolExecutor"));
}

#[test]
fn calls_that_need_one_another() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        let trip = of.get(socket, n * 100, n * 100 + 90);
        trip.asked.tokens = vec![n as u32];
        trip.answered.tokens = vec![n as u32 + 1];
    }
    let found = of.judged("sequential_http_calls");
    assert_eq!(found[0].verdict, Dismissed);
    assert!(found[0].note.starts_with("dependent: 7 of 8"), "{}", found[0].note);
}

/// All need what the first one brought: the others do not need each other.
#[test]
fn one_answer_that_all_others_need() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        let trip = of.get(socket, n * 100, n * 100 + 90);
        trip.asked.tokens = if n == 0 { vec![1] } else { vec![1, 50] };
        trip.answered.tokens = vec![50];
    }
    assert_eq!(of.verdict("sequential_http_calls"), Some(Confirmed));
}

#[test]
fn calls_at_one_time() {
    let mut of = run();
    for n in 0..8 {
        let socket = of.connection(n, 100);
        of.get(socket, n, 90 + n);
    }
    assert_eq!(of.verdict("sequential_http_calls"), Some(Dismissed));
}

#[test]
fn calls_of_which_nothing_was_read() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        let trip = of.get(socket, n * 100, n * 100 + 90);
        (trip.asked, trip.answered) = Default::default();
    }
    assert!(of.judged("sequential_http_calls").is_empty());
}

/// A server makes one call for each of the requests that it answers.
#[test]
fn one_call_for_each_request_is_no_pattern() {
    let mut of = run();
    let (socket, inbound) = (of.connection(0, 100), of.connection(0, 100));
    for n in 0..8 {
        let request = of.get(inbound, n * 100, n * 100 + 95);
        (request.inbound, request.peer, request.server_socket) = (true, None, Some(inbound));
        of.map.steps[0].calls.pop();
        of.get(socket, n * 100 + 1, n * 100 + 90);
    }
    assert!(of.judged("sequential_http_calls").is_empty());
}

const ITEM: &str = "SELECT * FROM item WHERE id = ?";

#[test]
fn one_statement_for_each_item() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..20 {
        of.query(socket, n * 10, n * 10 + 8, ITEM);
    }
    let found = of.judged("n_plus_one_queries");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(19 * 8)));
    assert!(of.judged("repeated_query").is_empty());
    assert!(of.judged("sequential_http_calls").is_empty());
}

#[test]
fn different_statements_and_transaction_bounds() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        of.query(socket, n * 30, n * 30 + 5, "BEGIN");
        of.query(socket, n * 30 + 10, n * 30 + 15, &format!("SELECT a FROM t{n}"));
        of.query(socket, n * 30 + 20, n * 30 + 25, "COMMIT");
    }
    assert!(of.judged("n_plus_one_queries").is_empty());
}

#[test]
fn the_same_statement_with_the_same_parameters() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..5 {
        let trip = of.query(socket, n * 10, n * 10 + 8, ITEM);
        (trip.repeat, trip.answered.tokens) = (Some(9), vec![1]);
    }
    let found = of.judged("repeated_query");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(4 * 8)));
    assert!(of.judged("n_plus_one_queries").is_empty());
}

#[test]
fn asked_again_because_it_changed() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..5 {
        let trip = of.get(socket, n * 20, n * 20 + 8);
        (trip.repeat, trip.answered.tokens) = (Some(9), vec![1]);
        of.get(socket, n * 20 + 9, n * 20 + 12).method = Some("POST".into());
    }
    assert_eq!(of.verdict("repeated_request"), Some(Dismissed));
}

#[test]
fn answers_that_differ_were_worth_asking_for() {
    let mut of = run();
    let socket = of.connection(0, 100);
    (0..5).for_each(|n| of.get(socket, n * 20, n * 20 + 8).repeat = Some(9));
    assert_eq!(of.verdict("repeated_request"), Some(Dismissed));
}

#[test]
fn one_entry_for_several_steps_and_no_hint_for_little() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        of.get(socket, n * 100, n * 100 + 90);
    }
    let mut second = of.map.steps[0].clone();
    (second.id, second.wall) = ("2".into(), ms(100));
    second.calls.clear();
    of.map.steps.push(second);
    for n in 8..16 {
        let index = of.correlated.flows.round_trips.len() as u32;
        of.get(socket, n * 100, n * 100 + 1);
        of.map.steps[0].calls.pop();
        of.map.steps[1].calls.push(index);
    }
    let all = suspicions(&of.facts());
    let found: Vec<_> = all.iter().filter(|one| one.id == "sequential_http_calls").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].affected_steps, ["1", "2"]);
    of.map.wall = ms(100_000);
    let all = suspicions(&of.facts());
    assert!(all.iter().all(|one| one.change.is_none()), "a gain below a hundredth is no hint");
    assert!(all.iter().any(|one| one.verdict == Confirmed));
}

#[test]
fn what_only_the_source_says() {
    let mut of = run();
    let finding = |function: &str, rule: &str| SourceFinding {
        rule: rule.into(),
        function: function.into(),
        file: "app/load.py".into(),
        line: 9,
        what: "requests.get() inside a loop".into(),
    };
    of.recording.source = Some(Source {
        findings: vec![
            finding("load", "connection_per_request"),
            finding("never", "connection_per_request"),
            finding("load", "no_such_rule"),
        ],
        ..Source::default()
    });
    let verdicts: Vec<_> = suspicions(&of.facts()).into_iter().map(|one| (one.subject, one.verdict)).collect();
    assert_eq!(verdicts, [("load".to_owned(), Dismissed), ("never".to_owned(), Verdict::Unverified)]);
}

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
    let stalled = |latency: u64, writes: u64| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..6 {
            of.get(socket, n * 100, n * 100 + latency);
            (0..writes).for_each(|write| of.sends(n * 100 + write, socket));
        }
        of
    };
    let found = stalled(41, 2).judged("delayed_ack_stall");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(240)));
    assert_eq!(stalled(5, 2).verdict("delayed_ack_stall"), Some(Dismissed));
    assert!(stalled(41, 1).judged("delayed_ack_stall").is_empty());
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
    let waits = |busy: bool| {
        let mut of = run();
        let stack = of.stack(&[("queue.get", 1), ("ConnectionPool.acquire", 2), ("load", 8)]);
        for n in 0..10_u64 {
            for place in 0..5 {
                let socket = of.connection(0, 100);
                let from = if busy { n * 100 } else { n * 100 + 70 };
                of.get(socket, from + place, n * 100 + 95);
            }
            of.wait(n * 100 + 10, n * 100 + 60, Cause::Lock, stack);
        }
        of
    };
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
    assert_eq!(refused(1).verdict("rate_limiting"), Some(Dismissed));
    assert!(refused(0).judged("rate_limiting").is_empty());
    let mut own = run();
    let stack = own.stack(&[("time.sleep", 1), ("limits.RateLimiter.wait", 2), ("load", 8)]);
    for n in 0..4 {
        own.wait(n * 100, n * 100 + 50, Cause::Sleep, stack);
    }
    assert_eq!(own.verdict("rate_limiting"), Some(Confirmed));
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
